// RUN: ssm-opt %s --convert-ssm-to-scf --canonicalize --cse \
// RUN:   | FileCheck %s --implicit-check-not=' ssm.'

#bte = affine_map<(b, t, e, n) -> (b, t, e)>
#btn = affine_map<(b, t, e, n) -> (b, t, n)>
#ben = affine_map<(b, t, e, n) -> (b, e, n)>

// CHECK-LABEL: func.func @reverse_reset
// CHECK-SAME: %[[A:[^,]*]]: memref<?x?x8xf32>, %[[C:[^,]*]]: memref<?x?x4xf32>, %[[R:[^,]*]]: memref<?x?xi1>,
// CHECK-SAME: %[[S0:[^,]*]]: memref<?x8x4xf32>, %[[Y:[^,]*]]: memref<?x?x8xf32>, %[[S:[^,]*]]: memref<?x8x4xf32>
// CHECK-DAG: %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG: %[[C1:.*]] = arith.constant 1 : index
// CHECK-DAG: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK-DAG: %[[B:.*]] = memref.dim %[[Y]], %[[C0]]
// CHECK-DAG: %[[T:.*]] = memref.dim %[[Y]], %[[C1]]

// The final state starts as the initial one.
// CHECK: scf.for %[[IB:.*]] = %[[C0]] to %[[B]]
// CHECK: scf.for %[[IE:.*]] = %[[C0]] to %{{.*}}
// CHECK: scf.for %[[IN:.*]] = %[[C0]] to %{{.*}}
// CHECK: %[[INITIAL:.*]] = memref.load %[[S0]][%[[IB]], %[[IE]], %[[IN]]]
// CHECK: memref.store %[[INITIAL]], %[[S]][%[[IB]], %[[IE]], %[[IN]]]

// Then, at every token from the last, the new state and the output.
// CHECK: scf.for %[[B1:.*]] = %[[C0]] to %[[B]]
// CHECK: scf.for %[[STEP:.*]] = %[[C0]] to %[[T]]
// CHECK: %[[LAST:.*]] = arith.subi %[[T]], %[[C1]]
// CHECK: %[[TOKEN:.*]] = arith.subi %[[LAST]], %[[STEP]]
// CHECK: scf.for %[[E1:.*]] =
// CHECK: scf.for %[[N1:.*]] =
// CHECK: %[[BEFORE:.*]] = memref.load %[[S]][%[[B1]], %[[E1]], %[[N1]]]
// CHECK: %[[STARTS:.*]] = memref.load %[[R]][%[[B1]], %[[TOKEN]]]
// CHECK: %[[PREVIOUS:.*]] = arith.select %[[STARTS]], %[[ZERO]], %[[BEFORE]]
// CHECK: %[[DECAY:.*]] = memref.load %[[A]][%[[B1]], %[[TOKEN]], %[[E1]]]
// CHECK: %[[AFTER:.*]] = arith.mulf %[[DECAY]], %[[PREVIOUS]]
// CHECK: memref.store %[[AFTER]], %[[S]][%[[B1]], %[[E1]], %[[N1]]]
// CHECK: scf.for %[[E2:.*]] =
// CHECK: %[[SUM:.*]] = scf.for %[[N2:.*]] = {{.*}} iter_args(%[[PARTIAL:.*]] = %[[ZERO]])
// CHECK: %[[READ:.*]] = memref.load %[[C]][%[[B1]], %[[TOKEN]], %[[N2]]]
// CHECK: %[[STATE:.*]] = memref.load %[[S]][%[[B1]], %[[E2]], %[[N2]]]
// CHECK: %[[PRODUCT:.*]] = arith.mulf %[[READ]], %[[STATE]]
// CHECK: arith.addf %[[PARTIAL]], %[[PRODUCT]]
// CHECK: memref.store %[[SUM]], %[[Y]][%[[B1]], %[[TOKEN]], %[[E2]]]
func.func @reverse_reset(%a: memref<?x?x8xf32>, %c: memref<?x?x4xf32>,
    %r: memref<?x?xi1>, %s0: memref<?x8x4xf32>, %y: memref<?x?x8xf32>,
    %s: memref<?x8x4xf32>) {
  ssm.scan reverse
      ins(%a, %c, %r : memref<?x?x8xf32>, memref<?x?x4xf32>, memref<?x?xi1>)
      initial(%s0 : memref<?x8x4xf32>)
      outs(%y, %s : memref<?x?x8xf32>, memref<?x8x4xf32>)
      maps {ins = [#bte, #btn, affine_map<(b, t, e, n) -> (b, t)>],
            state = #ben, output = #bte}
      coefficients {
  ^bb0(%av: f32, %cv: f32, %starts: i1):
    ssm.coefficients decay(%av : f32) read(%cv : f32) reset(%starts)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}

// Narrow numbers are computed in f32; what coefficients capture stays.
// CHECK-LABEL: func.func @narrow
// CHECK-SAME: %[[SCALE:[^,]*]]: f32
// CHECK: %[[LOADED:.*]] = memref.load {{.*}} : memref<?x?xbf16>
// CHECK: %[[WIDE:.*]] = arith.extf %[[LOADED]] : bf16 to f32
// CHECK: arith.mulf %[[WIDE]], %[[SCALE]] : f32
// CHECK: %[[RESULT:.*]] = arith.truncf %{{.*}} : f32 to f16
// CHECK: memref.store %[[RESULT]], %{{.*}} : memref<?x?xf16>
func.func @narrow(%scale: f32, %u: memref<?x?xbf16>, %y: memref<?x?xf16>,
    %s: memref<?xf32>) {
  ssm.scan ins(%u : memref<?x?xbf16>)
      outs(%y, %s : memref<?x?xf16>, memref<?xf32>)
      maps {ins = [affine_map<(b, t) -> (b, t)>],
            state = affine_map<(b, t) -> (b)>,
            output = affine_map<(b, t) -> (b, t)>}
      coefficients {
  ^bb0(%v: bf16):
    %wide = arith.extf %v : bf16 to f32
    %write = arith.mulf %wide, %scale : f32
    ssm.coefficients write(%write : f32)
  } epilogue {
  ^bb0(%o: f16):
    ssm.yield %o : f16
  }
  return
}

// A matrix needs the whole state before this token.
// CHECK-LABEL: func.func @dense
// CHECK-SAME: %[[S:[^,)]*]]: memref<?x4xf32>)
// CHECK: %[[COPY:.*]] = memref.alloc(%{{.*}}) : memref<?x4xf32>
// CHECK: %[[STATE:.*]] = memref.load %[[S]]
// CHECK: memref.store %[[STATE]], %[[COPY]]
// CHECK: scf.for %[[N:.*]] =
// CHECK: scf.for %[[M:.*]] = {{.*}} iter_args
// CHECK: memref.load %{{.*}}[%[[N]], %[[M]]] : memref<4x4xf32>
// CHECK: memref.load %[[COPY]][%{{.*}}, %[[M]]]
// CHECK: memref.store %{{.*}}, %[[S]][%{{.*}}, %[[N]]]
// CHECK: memref.dealloc %[[COPY]]
func.func @dense(%a: memref<4x4xf32>, %y: memref<?x?x4xf32>,
    %s: memref<?x4xf32>) {
  ssm.scan ins(%a : memref<4x4xf32>)
      outs(%y, %s : memref<?x?x4xf32>, memref<?x4xf32>)
      maps {ins = [affine_map<(b, t, n, m) -> (n, m)>],
            state = affine_map<(b, t, n, m) -> (b, n)>,
            output = affine_map<(b, t, n, m) -> (b, t, n)>} dense [2, 3]
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients dense(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}

// Discretisation inside the coefficients is expanded.
// CHECK-LABEL: func.func @discretized
// CHECK: %[[RATE:.*]] = memref.load %{{.*}} : memref<4xf32>
// CHECK: %[[X:.*]] = arith.mulf %[[RATE]], %{{.*}} : f32
// CHECK: math.exp %[[X]] : f32
func.func @discretized(%a: memref<4xf32>, %dt: memref<?x?xf32>,
    %y: memref<?x?x4xf32>, %s: memref<?x4xf32>) {
  ssm.scan ins(%a, %dt : memref<4xf32>, memref<?x?xf32>)
      outs(%y, %s : memref<?x?x4xf32>, memref<?x4xf32>)
      maps {ins = [affine_map<(b, t, n) -> (n)>, affine_map<(b, t, n) -> (b, t)>],
            state = affine_map<(b, t, n) -> (b, n)>,
            output = affine_map<(b, t, n) -> (b, t, n)>}
      coefficients {
  ^bb0(%v: f32, %step: f32):
    %decay, %gain = ssm.discretize zoh rate(%v : f32) step(%step : f32)
        -> decay(f32) gain(f32)
    ssm.coefficients decay(%decay : f32) write(%gain : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}
