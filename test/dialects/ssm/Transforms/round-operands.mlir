// RUN: ssm-opt %s -ssm-round-operands -split-input-file | FileCheck %s

// Two products read what the norm makes, one of them by a view.

// CHECK-LABEL: func.func @norm
// CHECK: %[[E:.*]] = tensor.empty(%{{.*}}) : tensor<?x4x16xbf16>
// CHECK: %[[Y:.*]] = ssm.norm rms {{.*}} outs(%[[E]] : tensor<?x4x16xbf16>)
// CHECK: ^bb0(%[[V:.*]]: f32):
// CHECK: %[[R:.*]] = arith.truncf %[[V]] : f32 to bf16
// CHECK: ssm.yield %[[R]] : bf16
// CHECK: ssm.matmul input(%[[Y]] : tensor<?x4x16xbf16>)
// CHECK: %[[C:.*]] = tensor.collapse_shape %[[Y]] {{.*}} : tensor<?x4x16xbf16> into tensor<?x16xbf16>
// CHECK: ssm.matmul input(%[[C]] : tensor<?x16xbf16>)
func.func @norm(%n: index, %x: tensor<?x4x16xf32>, %w: tensor<32x8x1x2xbf16>,
                %y: tensor<?x4x32xf32>, %z: tensor<?x32xf32>)
    -> (tensor<?x4x32xf32>, tensor<?x32xf32>) {
  %e = tensor.empty(%n) : tensor<?x4x16xf32>
  %0 = ssm.norm rms eps 1.000000e-05 input(%x : tensor<?x4x16xf32>)
      outs(%e : tensor<?x4x16xf32>) maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<?x4x16xf32>
  %1 = ssm.matmul round_input input(%0 : tensor<?x4x16xf32>)
      weight(%w : tensor<32x8x1x2xbf16>) outs(%y : tensor<?x4x32xf32>) maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<?x4x32xf32>
  %c = tensor.collapse_shape %0 [[0, 1], [2]] : tensor<?x4x16xf32> into tensor<?x16xf32>
  %2 = ssm.matmul round_input input(%c : tensor<?x16xf32>)
      weight(%w : tensor<32x8x1x2xbf16>) outs(%z : tensor<?x32xf32>) maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<?x32xf32>
  return %1, %2 : tensor<?x4x32xf32>, tensor<?x32xf32>
}

// -----

// Something else reads all its bits.

// CHECK-LABEL: func.func @shared
// CHECK-NOT: arith.truncf
// CHECK: ssm.matmul round_input
func.func @shared(%x: tensor<4x16xf32>, %w: tensor<32x8x1x2xbf16>, %y: tensor<4x32xf32>)
    -> (tensor<4x32xf32>, tensor<4x16xf32>) {
  %e = tensor.empty() : tensor<4x16xf32>
  %0 = ssm.norm rms eps 1.000000e-05 input(%x : tensor<4x16xf32>)
      outs(%e : tensor<4x16xf32>) maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<4x16xf32>
  %1 = ssm.matmul round_input input(%0 : tensor<4x16xf32>)
      weight(%w : tensor<32x8x1x2xbf16>) outs(%y : tensor<4x32xf32>) maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<4x32xf32>
  return %1, %0 : tensor<4x32xf32>, tensor<4x16xf32>
}
