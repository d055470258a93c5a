// RUN: ssm-opt %s --ssm-expand-discretize --cse \
// RUN:   | FileCheck %s --implicit-check-not='ssm.discretize'

// CHECK-LABEL: @zoh
// CHECK-SAME: %[[RATE:.*]]: f32, %[[DT:.*]]: f32
// CHECK-DAG: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK-DAG: %[[ONE:.*]] = arith.constant 1.000000e+00 : f32
// CHECK-DAG: %[[X:.*]] = arith.mulf %[[RATE]], %[[DT]]
// CHECK-DAG: %[[DECAY:.*]] = math.exp %[[X]]
// CHECK-DAG: %[[IS_ZERO:.*]] = arith.cmpf oeq, %[[X]], %[[ZERO]]
// CHECK-DAG: %[[NUMERATOR:.*]] = math.expm1 %[[X]]
// CHECK-DAG: %[[DENOMINATOR:.*]] = arith.select %[[IS_ZERO]], %[[ONE]], %[[X]]
// CHECK: %[[DIVIDED:.*]] = arith.divf %[[NUMERATOR]], %[[DENOMINATOR]]
// CHECK: %[[QUOTIENT:.*]] = arith.select %[[IS_ZERO]], %[[ONE]], %[[DIVIDED]]
// CHECK: %[[GAIN:.*]] = arith.mulf %[[DT]], %[[QUOTIENT]]
// CHECK: return %[[DECAY]], %[[GAIN]]
func.func @zoh(%rate: f32, %dt: f32) -> (f32, f32) {
  %decay, %gain = ssm.discretize zoh rate(%rate : f32) step(%dt : f32)
      -> decay(f32) gain(f32)
  return %decay, %gain : f32, f32
}

// Mamba: the state by zoh, the input by euler.
// CHECK-LABEL: @zoh_input_euler
// CHECK-SAME: %[[RATE:.*]]: f64, %[[DT:.*]]: f64
// CHECK: %[[X:.*]] = arith.mulf %[[RATE]], %[[DT]] : f64
// CHECK: %[[DECAY:.*]] = math.exp %[[X]] : f64
// CHECK: return %[[DECAY]], %[[DT]]
func.func @zoh_input_euler(%rate: f64, %dt: f64) -> (f64, f64) {
  %decay, %gain = ssm.discretize zoh input euler rate(%rate : f64)
      step(%dt : f64) -> decay(f64) gain(f64)
  return %decay, %gain : f64, f64
}

// CHECK-LABEL: @bilinear
// CHECK-DAG: %[[ONE:.*]] = arith.constant 1.000000e+00 : f32
// CHECK-DAG: %[[X:.*]] = arith.mulf %{{.*}}, %[[DT:.*]] : f32
// CHECK-DAG: %[[HALF:.*]] = arith.mulf %{{.*}}, %[[X]]
// CHECK-DAG: %[[ABOVE:.*]] = arith.addf %[[ONE]], %[[HALF]]
// CHECK: %[[DECAY:.*]] = arith.divf %[[ABOVE]], %[[BELOW:.*]] :
// CHECK: %[[GAIN:.*]] = arith.divf %{{.*}}, %[[BELOW]]
// CHECK: return %[[DECAY]], %[[GAIN]]
func.func @bilinear(%rate: f32, %dt: f32) -> (f32, f32) {
  %decay, %gain = ssm.discretize bilinear rate(%rate : f32) step(%dt : f32)
      -> decay(f32) gain(f32)
  return %decay, %gain : f32, f32
}

// Inside a region, with a complex rate; the step is real.
// CHECK-LABEL: @complex
// CHECK: ^bb0(%[[RE:.*]]: f32, %[[IM:.*]]: f32, %[[DT:.*]]: f32):
// CHECK: %[[XRE:.*]] = arith.mulf %[[RE]], %[[DT]]
// CHECK: %[[XIM:.*]] = arith.mulf %[[IM]], %[[DT]]
// CHECK: %[[SIZE:.*]] = math.exp %[[XRE]]
// CHECK: %[[COS:.*]] = math.cos %[[XIM]]
// CHECK: %[[DRE:.*]] = arith.mulf %[[SIZE]], %[[COS]]
// CHECK: %[[SIN:.*]] = math.sin %[[XIM]]
// CHECK: %[[DIM:.*]] = arith.mulf %[[SIZE]], %[[SIN]]
// CHECK: math.expm1 %[[XRE]]
// CHECK: ssm.coefficients decay(%[[DRE]], %[[DIM]] : f32, f32)
func.func @complex(%a: memref<4xf32>, %dt: memref<?x?xf32>,
    %y: memref<?x?x4xf32>, %s: memref<?x4xf32>) {
  ssm.scan complex ins(%a, %a, %dt : memref<4xf32>, memref<4xf32>, memref<?x?xf32>)
      outs(%y, %s, %s : memref<?x?x4xf32>, memref<?x4xf32>, memref<?x4xf32>)
      maps {ins = [affine_map<(b, t, n) -> (n)>, affine_map<(b, t, n) -> (n)>,
                   affine_map<(b, t, n) -> (b, t)>],
            state = affine_map<(b, t, n) -> (b, n)>,
            output = affine_map<(b, t, n) -> (b, t, n)>}
      coefficients {
  ^bb0(%re: f32, %im: f32, %step: f32):
    %d:4 = ssm.discretize zoh rate(%re, %im : f32, f32) step(%step : f32)
        -> decay(f32, f32) gain(f32, f32)
    ssm.coefficients decay(%d#0, %d#1 : f32, f32) write(%d#2, %d#3 : f32, f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}
