// RUN: ssm-opt %s --ssm-read-packed-weights | FileCheck %s

// CHECK-LABEL: func.func @embedding_and_head(
// CHECK-SAME:    %[[W:[^ :,]+]]: tensor<64x8xf32>
// CHECK:         %[[P:[^ :,]+]] = ssm.pack weight(%[[W]]
// CHECK:         linalg.generic
// CHECK-NOT:     tensor.extract %[[W]]
// CHECK:         %[[PANEL:[^ :,]+]] = arith.divui %[[I:[^ :,]+]], %
// CHECK:         %[[N:[^ :,]+]] = arith.remui %[[I]], %
// CHECK:         tensor.extract %[[P]][%[[PANEL]], %[[K:[^ :,]+]], %[[N]]] : tensor<2x8x32xf32>
func.func @embedding_and_head(%w: tensor<64x8xf32> {ssm.weight = "w"}, %ids: tensor<?xi64>, %x0: tensor<?x8xf32>)
    -> (tensor<?x8xf32>, tensor<2x8x32xf32>) {
  %x = linalg.generic {indexing_maps = [affine_map<(t, k) -> (t)>, affine_map<(t, k) -> (t, k)>],
      iterator_types = ["parallel", "parallel"]} ins(%ids : tensor<?xi64>) outs(%x0 : tensor<?x8xf32>) {
  ^bb0(%id: i64, %o: f32):
    %i = arith.index_cast %id : i64 to index
    %k = linalg.index 1 : index
    %v = tensor.extract %w[%i, %k] : tensor<64x8xf32>
    linalg.yield %v : f32
  } -> tensor<?x8xf32>
  %e = tensor.empty() : tensor<2x8x32xf32>
  %p = ssm.pack weight(%w : tensor<64x8xf32>) outs(%e : tensor<2x8x32xf32>) -> tensor<2x8x32xf32>
  return %x, %p : tensor<?x8xf32>, tensor<2x8x32xf32>
}

// Halves are packed in pairs of the depth.
// CHECK-LABEL: func.func @pairs(
// CHECK:         %[[P:[^ :,]+]] = ssm.pack
// CHECK:         tensor.extract %[[P]][%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}] : tensor<2x4x32x2xbf16>
func.func @pairs(%w: tensor<64x8xbf16> {ssm.weight = "w"}, %i: index, %k: index) -> (bf16, tensor<2x4x32x2xbf16>) {
  %e = tensor.empty() : tensor<2x4x32x2xbf16>
  %p = ssm.pack weight(%w : tensor<64x8xbf16>) outs(%e : tensor<2x4x32x2xbf16>) -> tensor<2x4x32x2xbf16>
  %v = tensor.extract %w[%i, %k] : tensor<64x8xbf16>
  return %v, %p : bf16, tensor<2x4x32x2xbf16>
}

// Panels that were rounded are no substitute.
// CHECK-LABEL: func.func @narrowed(
// CHECK:         tensor.extract %{{.*}}[%{{.*}}, %{{.*}}] : tensor<64x8xf32>
func.func @narrowed(%w: tensor<64x8xf32> {ssm.weight = "w"}, %i: index, %k: index) -> (f32, tensor<2x4x32x2xbf16>) {
  %e = tensor.empty() : tensor<2x4x32x2xbf16>
  %p = ssm.pack weight(%w : tensor<64x8xf32>) outs(%e : tensor<2x4x32x2xbf16>) -> tensor<2x4x32x2xbf16>
  %v = tensor.extract %w[%i, %k] : tensor<64x8xf32>
  return %v, %p : f32, tensor<2x4x32x2xbf16>
}
