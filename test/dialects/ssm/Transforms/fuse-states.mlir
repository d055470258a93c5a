// RUN: ssm-opt %s -ssm-fuse-states -canonicalize -split-input-file | FileCheck %s
// RUN: ssm-opt %s -ssm-fuse-states=histories -canonicalize -split-input-file | FileCheck %s --check-prefix=HISTORY

#id = affine_map<(d0, d1) -> (d0, d1)>

// CHECK-LABEL: func.func @sum
// CHECK-SAME: %[[S:[a-z0-9]+]]: tensor<2x4xbf16>
// CHECK-NOT: linalg.generic
// CHECK: %[[R:.*]]:2 = ssm.scan {{.*}} initial(%[[S]] : tensor<2x4xbf16>) outs(%{{.*}}, %[[S]] : tensor<2x8x4xf32>, tensor<2x4xbf16>)
// CHECK: return %[[R]]#0, %[[R]]#1
func.func @sum(%d: tensor<2x8x4xf32>, %s: tensor<2x4xbf16>, %y: tensor<2x8x4xf32>)
    -> (tensor<2x8x4xf32>, tensor<2x4xbf16>) {
  %e = tensor.empty() : tensor<2x4xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%s : tensor<2x4xbf16>) outs(%e : tensor<2x4xf32>) {
  ^bb0(%in: bf16, %out: f32):
    %w = arith.extf %in : bf16 to f32
    linalg.yield %w : f32
  } -> tensor<2x4xf32>
  %1:2 = ssm.scan ins(%d : tensor<2x8x4xf32>) initial(%0 : tensor<2x4xf32>)
      outs(%y, %0 : tensor<2x8x4xf32>, tensor<2x4xf32>)
      maps {ins = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>],
            state = affine_map<(d0, d1, d2) -> (d0, d2)>,
            output = affine_map<(d0, d1, d2) -> (d0, d1, d2)>} coefficients {
  ^bb0(%a: f32):
    ssm.coefficients decay(%a : f32)
  } epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<2x8x4xf32>, tensor<2x4xf32>
  %f = tensor.empty() : tensor<2x4xbf16>
  %2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%1#1 : tensor<2x4xf32>) outs(%f : tensor<2x4xbf16>) {
  ^bb0(%in: f32, %out: bf16):
    %n = arith.truncf %in : f32 to bf16
    linalg.yield %n : bf16
  } -> tensor<2x4xbf16>
  return %1#0, %2 : tensor<2x8x4xf32>, tensor<2x4xbf16>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// Something else reads all digits of the final state.

// CHECK-LABEL: func.func @read
// CHECK: linalg.generic
// CHECK: ssm.scan {{.*}} initial(%{{.*}} : tensor<2x4xf32>)
// CHECK: linalg.generic
func.func @read(%d: tensor<2x8x4xf32>, %s: tensor<2x4xbf16>, %y: tensor<2x8x4xf32>)
    -> (tensor<2x4xf32>, tensor<2x4xbf16>) {
  %e = tensor.empty() : tensor<2x4xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%s : tensor<2x4xbf16>) outs(%e : tensor<2x4xf32>) {
  ^bb0(%in: bf16, %out: f32):
    %w = arith.extf %in : bf16 to f32
    linalg.yield %w : f32
  } -> tensor<2x4xf32>
  %1:2 = ssm.scan ins(%d : tensor<2x8x4xf32>) initial(%0 : tensor<2x4xf32>)
      outs(%y, %0 : tensor<2x8x4xf32>, tensor<2x4xf32>)
      maps {ins = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>],
            state = affine_map<(d0, d1, d2) -> (d0, d2)>,
            output = affine_map<(d0, d1, d2) -> (d0, d1, d2)>} coefficients {
  ^bb0(%a: f32):
    ssm.coefficients decay(%a : f32)
  } epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<2x8x4xf32>, tensor<2x4xf32>
  %f = tensor.empty() : tensor<2x4xbf16>
  %2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%1#1 : tensor<2x4xf32>) outs(%f : tensor<2x4xbf16>) {
  ^bb0(%in: f32, %out: bf16):
    %n = arith.truncf %in : f32 to bf16
    linalg.yield %n : bf16
  } -> tensor<2x4xbf16>
  return %1#1, %2 : tensor<2x4xf32>, tensor<2x4xbf16>
}

// -----

#id = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#token = affine_map<(b, t, c, j) -> (b, t, c)>

// A convolution's history, where the option says so.

// CHECK-LABEL: func.func @convolution
// CHECK: linalg.generic
// CHECK: ssm.conv {{.*}} history(%{{.*}} : tensor<2x2x4xf32>)
// CHECK: linalg.generic
// HISTORY-LABEL: func.func @convolution
// HISTORY-SAME: %[[H:[a-z0-9]+]]: tensor<2x2x4xbf16>
// HISTORY-NOT: linalg.generic
// HISTORY: %[[R:.*]]:2 = ssm.conv {{.*}} history(%[[H]] : tensor<2x2x4xbf16>) outs(%{{.*}}, %[[H]] : tensor<2x8x4xf32>, tensor<2x2x4xbf16>)
// HISTORY: return %[[R]]#0, %[[R]]#1
func.func @convolution(%u: tensor<2x8x4xbf16>, %k: tensor<4x3xf32>, %h: tensor<2x2x4xbf16>,
                       %y: tensor<2x8x4xf32>) -> (tensor<2x8x4xf32>, tensor<2x2x4xbf16>) {
  %e = tensor.empty() : tensor<2x2x4xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id],
                       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%h : tensor<2x2x4xbf16>) outs(%e : tensor<2x2x4xf32>) {
  ^bb0(%in: bf16, %out: f32):
    %w = arith.extf %in : bf16 to f32
    linalg.yield %w : f32
  } -> tensor<2x2x4xf32>
  %1:2 = ssm.conv input(%u : tensor<2x8x4xbf16>) kernel(%k : tensor<4x3xf32>)
      history(%0 : tensor<2x2x4xf32>)
      outs(%y, %0 : tensor<2x8x4xf32>, tensor<2x2x4xf32>)
      maps {input = #token, kernel = affine_map<(b, t, c, j) -> (c, -j + 2)>,
            output = #token} lags 3 epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<2x8x4xf32>, tensor<2x2x4xf32>
  %f = tensor.empty() : tensor<2x2x4xbf16>
  %2 = linalg.generic {indexing_maps = [#id, #id],
                       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%1#1 : tensor<2x2x4xf32>) outs(%f : tensor<2x2x4xbf16>) {
  ^bb0(%in: f32, %out: bf16):
    %n = arith.truncf %in : f32 to bf16
    linalg.yield %n : bf16
  } -> tensor<2x2x4xbf16>
  return %1#0, %2 : tensor<2x8x4xf32>, tensor<2x2x4xbf16>
}
