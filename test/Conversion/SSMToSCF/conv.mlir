// RUN: ssm-opt %s --convert-ssm-to-scf --canonicalize --cse \
// RUN:   | FileCheck %s --implicit-check-not=' ssm.'

// CHECK-LABEL: func.func @history_in_place
// CHECK-SAME: %[[U:[^,]*]]: memref<?x?x8xf32>, %[[K:[^,]*]]: memref<8x4xf32>, %[[H:[^,]*]]: memref<?x3x8xf32>, %[[Y:[^,)]*]]: memref<?x?x8xf32>)
// CHECK-DAG: %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG: %[[C3:.*]] = arith.constant 3 : index
// CHECK: scf.for %[[B:.*]] =
// CHECK: scf.for %[[T:.*]] =
// CHECK: scf.for %[[C:.*]] =
// CHECK: %[[SUM:.*]] = scf.for %[[J:.*]] = {{.*}} iter_args
// CHECK: %[[TOKEN:.*]] = arith.subi %[[T]], %[[J]]
// CHECK: %[[INSIDE:.*]] = arith.cmpi sge, %[[TOKEN]], %[[C0]]
// CHECK: scf.if %[[INSIDE]]
// CHECK: memref.load %[[U]][%[[B]], %[[TOKEN]], %[[C]]]
// CHECK: } else {
// CHECK: %[[PAST:.*]] = arith.addi %[[TOKEN]], %[[C3]]
// CHECK: memref.load %[[H]][%[[B]], %[[PAST]], %[[C]]]
// CHECK: %[[TAP:.*]] = arith.subi %[[C3]], %[[J]]
// CHECK: memref.load %[[K]][%[[C]], %[[TAP]]]
// CHECK: memref.store %[[SUM]], %[[Y]][%[[B]], %[[T]], %[[C]]]

// The history moves forward once no output needs it, tokens innermost.
// CHECK: scf.for %[[B2:.*]] =
// CHECK: scf.for %[[C2:.*]] =
// CHECK: scf.for %[[I:.*]] = %[[C0]] to %[[C3]]
// CHECK: memref.store %{{.*}}, %[[H]][%[[B2]], %[[I]], %[[C2]]]
func.func @history_in_place(%u: memref<?x?x8xf32>, %k: memref<8x4xf32>,
    %h: memref<?x3x8xf32>, %y: memref<?x?x8xf32>) {
  ssm.conv input(%u : memref<?x?x8xf32>) kernel(%k : memref<8x4xf32>)
      history(%h : memref<?x3x8xf32>)
      outs(%y, %h : memref<?x?x8xf32>, memref<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  }
  return
}

// Channels that share kernels, and no history: zero before the first token.
// CHECK-LABEL: func.func @grouped
// CHECK-DAG: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK: scf.yield %[[ZERO]] : f32
// CHECK: memref.load %{{.*}} : memref<2x3xbf16>
// CHECK: arith.extf {{.*}} : bf16 to f32
func.func @grouped(%u: memref<?x?x8xf32>, %k: memref<2x3xbf16>,
    %y: memref<?x?x8xf32>) {
  ssm.conv input(%u : memref<?x?x8xf32>) kernel(%k : memref<2x3xbf16>)
      outs(%y : memref<?x?x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c floordiv 4, j)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 3
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  }
  return
}

// CHECK-LABEL: func.func @shift_cut
// CHECK-SAME: %{{[^,]*}}: memref<?x?xf64>, %[[CUT:[^,]*]]: memref<?x?xi1>
// CHECK: scf.for %[[B:.*]] =
// CHECK: scf.for %[[T:.*]] =
// CHECK: %[[FOUND:.*]] = scf.for %[[S:[^ ]*]] = {{.*}} -> (i1)
// CHECK: memref.load %[[CUT]][%[[B]], %[[S]]]
// CHECK: arith.select %[[FOUND]]
func.func @shift_cut(%x: memref<?x?xf64>, %cut: memref<?x?xi1>,
    %y: memref<?x?xf64>) {
  ssm.shift 2 input(%x : memref<?x?xf64>) cut(%cut : memref<?x?xi1>)
      outs(%y : memref<?x?xf64>)
  return
}
