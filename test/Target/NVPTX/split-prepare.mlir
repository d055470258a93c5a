// RUN: ssm-opt %s --nvptx-split-prepare --split-input-file | FileCheck %s

// The kernel of a system and its transforms go to the device, of which both are tables; what
// they are made of is one as well, and keeps its number where it was one before.
// CHECK-LABEL: func.func @prepare(
// CHECK-SAME: -> (tensor<4096x2xf32> {ssm.table = 1 : i64}, tensor<1x4x8x1xf64> {ssm.table = 3 : i64},
// CHECK-SAME: tensor<1x4x4x2x1xf64> {ssm.table = 4 : i64}, tensor<1x4x1x1x8x1xf64> {ssm.table = 5 : i64}) {
// CHECK-NOT: ssm.impulse_response
// CHECK-NOT: ssm.spectrum
// CHECK: return
// CHECK-LABEL: func.func @prepare_on_device(
// CHECK-SAME: %[[A:.*]]: tensor<1x4x4x2x1xf64> {ssm.table = 4 : i64}, %[[B:.*]]: tensor<1x4x8x1xf64> {ssm.table = 3 : i64},
// CHECK-SAME: %[[C:.*]]: tensor<1x4x1x1x8x1xf64> {ssm.table = 5 : i64}, %{{.*}}: index {ssm.prepared_length},
// CHECK-SAME: %[[R:.*]]: tensor<4096x2xf32> {ssm.table = 1 : i64})
// CHECK-SAME: -> (tensor<?x1x1x4xf32> {ssm.extents = array<i64: 1, 0, 0, 1, 0, 1, 0, 4>, ssm.table = 0 : i64},
// CHECK-SAME: tensor<4x?x2x1xf32> {ssm.extents = array<i64: 0, 4, 1, 0, 0, 2, 0, 1>, ssm.table = 2 : i64}) {
// CHECK: %[[K:.*]] = ssm.impulse_response transition(%[[A]] : {{.*}}) input(%[[B]] : {{.*}}) read(%[[C]] :
// CHECK: %[[F:.*]] = tensor.collapse_shape %[[K]]
// CHECK: %[[S:.*]] = ssm.spectrum kernel(%[[F]] : {{.*}}) roots(%[[R]] :
// CHECK: return %[[K]], %[[S]]
func.func @prepare(%a: tensor<1x4x4x2x1xf64> {ssm.weight = "a"}, %length: index {ssm.prepared_length},
    %c: tensor<1x4x1x1x8x1xf64> {ssm.weight = "c"}, %b: tensor<1x4x8x1xf64> {ssm.weight = "b"})
    -> (tensor<?x1x1x4xf32> {ssm.extents = array<i64: 1, 0, 0, 1, 0, 1, 0, 4>, ssm.table = 0 : i64},
        tensor<4096x2xf32> {ssm.table = 1 : i64},
        tensor<4x?x2x1xf32> {ssm.extents = array<i64: 0, 4, 1, 0, 0, 2, 0, 1>, ssm.table = 2 : i64},
        tensor<1x4x8x1xf64> {ssm.table = 3 : i64}) {
  %k0 = tensor.empty(%length) : tensor<?x1x1x4xf32>
  %k = ssm.impulse_response transition(%a : tensor<1x4x4x2x1xf64>) input(%b : tensor<1x4x8x1xf64>)
      read(%c : tensor<1x4x1x1x8x1xf64>) outs(%k0 : tensor<?x1x1x4xf32>) -> tensor<?x1x1x4xf32>
  %flat = tensor.collapse_shape %k [[0], [1, 2, 3]] : tensor<?x1x1x4xf32> into tensor<?x4xf32>
  %r0 = tensor.empty() : tensor<4096x2xf32>
  %r = ssm.roots outs(%r0 : tensor<4096x2xf32>) -> tensor<4096x2xf32>
  %s0 = tensor.empty(%length) : tensor<4x?x2x1xf32>
  %s = ssm.spectrum kernel(%flat : tensor<?x4xf32>) roots(%r : tensor<4096x2xf32>) lag 0 lane 1
      outs(%s0 : tensor<4x?x2x1xf32>) {block = 4096 : i64, threads = 256 : i64} -> tensor<4x?x2x1xf32>
  return %k, %r, %s, %b : tensor<?x1x1x4xf32>, tensor<4096x2xf32>, tensor<4x?x2x1xf32>, tensor<1x4x8x1xf64>
}

// -----

// What the CPU reads stays there.
// CHECK-LABEL: func.func @prepare(
// CHECK: ssm.impulse_response
// CHECK-NOT: @prepare_on_device
func.func @prepare(%a: tensor<1x4x4x2x1xf64> {ssm.weight = "a"}, %b: tensor<1x4x8x1xf64> {ssm.weight = "b"},
    %c: tensor<1x4x1x1x8x1xf64> {ssm.weight = "c"}, %length: index {ssm.prepared_length})
    -> (tensor<?x1x1x4xf32> {ssm.extents = array<i64: 1, 0, 0, 1, 0, 1, 0, 4>, ssm.table = 0 : i64}) {
  %k0 = tensor.empty(%length) : tensor<?x1x1x4xf32>
  %k = ssm.impulse_response transition(%a : tensor<1x4x4x2x1xf64>) input(%b : tensor<1x4x8x1xf64>)
      read(%c : tensor<1x4x1x1x8x1xf64>) outs(%k0 : tensor<?x1x1x4xf32>) -> tensor<?x1x1x4xf32>
  %0 = arith.negf %k : tensor<?x1x1x4xf32>
  return %0 : tensor<?x1x1x4xf32>
}

// -----

// Transforms of what is no table, and has no size that is known, stay as well.
// CHECK-LABEL: func.func @prepare(
// CHECK: ssm.spectrum
// CHECK-NOT: @prepare_on_device
func.func @prepare(%a: tensor<4xf32> {ssm.weight = "a"}, %length: index {ssm.prepared_length})
    -> (tensor<4096x2xf32> {ssm.table = 0 : i64},
        tensor<4x?x2x1xf32> {ssm.extents = array<i64: 0, 4, 1, 0, 0, 2, 0, 1>, ssm.table = 1 : i64}) {
  %k0 = tensor.empty(%length) : tensor<?x4xf32>
  %k = linalg.broadcast ins(%a : tensor<4xf32>) outs(%k0 : tensor<?x4xf32>) dimensions = [0]
  %r0 = tensor.empty() : tensor<4096x2xf32>
  %r = ssm.roots outs(%r0 : tensor<4096x2xf32>) -> tensor<4096x2xf32>
  %s0 = tensor.empty(%length) : tensor<4x?x2x1xf32>
  %s = ssm.spectrum kernel(%k : tensor<?x4xf32>) roots(%r : tensor<4096x2xf32>) lag 0 lane 1
      outs(%s0 : tensor<4x?x2x1xf32>) {block = 4096 : i64, threads = 256 : i64} -> tensor<4x?x2x1xf32>
  return %r, %s : tensor<4096x2xf32>, tensor<4x?x2x1xf32>
}
