// RUN: ssm-opt %s --split-input-file --transform-interpreter --canonicalize --cse --verify-diagnostics | FileCheck %s

#bte = affine_map<(b, t, e, n) -> (b, t, e)>
#btn = affine_map<(b, t, e, n) -> (b, t, n)>
#en = affine_map<(b, t, e, n) -> (e, n)>
#ben = affine_map<(b, t, e, n) -> (b, e, n)>

// Batch and channels; time and keys stay whole.
// CHECK-LABEL: @scan
// CHECK: scf.for %[[B:.*]] = %{{.*}} to %{{.*}} step %c1
// CHECK: scf.for %[[E:.*]] = %{{.*}} to %c8 step %c4
// CHECK-DAG: %[[U:.*]] = tensor.extract_slice %{{.*}}[%[[B]], 0, %[[E]]] [1, %{{.*}}, 4] [1, 1, 1] : tensor<?x?x8xf32>
// CHECK-DAG: %[[A:.*]] = tensor.extract_slice %{{.*}}[%[[E]], 0] [4, 16] [1, 1] : tensor<8x16xf32>
// CHECK-DAG: %[[BT:.*]] = tensor.extract_slice %{{.*}}[%[[B]], 0, 0] [1, %{{.*}}, 16] [1, 1, 1] : tensor<?x?x16xf32>
// CHECK-DAG: %[[S:.*]] = tensor.extract_slice %{{.*}}[%[[B]], %[[E]], 0] [1, 4, 16] [1, 1, 1] : tensor<?x8x16xf32>
// CHECK: ssm.scan ins(%[[U]], %[[A]], %[[BT]]
// CHECK: -> tensor<1x?x4xf32>, tensor<1x4x16xf32>
// CHECK: tensor.insert_slice
// CHECK: tensor.insert_slice
func.func @scan(%u: tensor<?x?x8xf32>, %a: tensor<8x16xf32>, %bt: tensor<?x?x16xf32>,
    %s: tensor<?x8x16xf32>, %y: tensor<?x?x8xf32>)
    -> (tensor<?x?x8xf32>, tensor<?x8x16xf32>) {
  %0:2 = ssm.scan ins(%u, %a, %bt : tensor<?x?x8xf32>, tensor<8x16xf32>, tensor<?x?x16xf32>)
      initial(%s : tensor<?x8x16xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8x16xf32>)
      maps {ins = [#bte, #en, #btn], state = #ben, output = #bte}
      coefficients {
  ^bb0(%uv: f32, %av: f32, %bv: f32):
    %w = arith.mulf %uv, %bv : f32
    ssm.coefficients decay(%av : f32) write(%w : f32) read(%bv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x8xf32>, tensor<?x8x16xf32>
  return %0#0, %0#1 : tensor<?x?x8xf32>, tensor<?x8x16xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["ssm.scan"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loops:2 = transform.structured.tile_using_for %op tile_sizes [1, 0, 4]
        : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// A recurrence is not cut in time.
#bte = affine_map<(b, t, e) -> (b, t, e)>
#be = affine_map<(b, t, e) -> (b, e)>

func.func @scan_time(%u: tensor<2x64x8xf32>, %s: tensor<2x8xf32>, %y: tensor<2x64x8xf32>)
    -> (tensor<2x64x8xf32>, tensor<2x8xf32>) {
  // expected-error @below {{to tile operation}}
  // expected-error @below {{failed to generate tiling loops}}
  %0:2 = ssm.scan ins(%u : tensor<2x64x8xf32>) outs(%y, %s : tensor<2x64x8xf32>, tensor<2x8xf32>)
      maps {ins = [#bte], state = #be, output = #bte}
      coefficients {
  ^bb0(%uv: f32):
    ssm.coefficients write(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<2x64x8xf32>, tensor<2x8xf32>
  return %0#0, %0#1 : tensor<2x64x8xf32>, tensor<2x8xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["ssm.scan"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loop = transform.structured.tile_using_for %op tile_sizes [0, 16]
        : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// A normalisation fused into the tiles of the product that reads it; columns stay whole.
// CHECK-LABEL: @norm_into_matmul
// CHECK: scf.for %[[T:.*]] = %{{.*}} to %{{.*}} step %c16
// CHECK: %[[X:.*]] = tensor.extract_slice %{{.*}}[0, %[[T]], 0]
// CHECK: %[[N:.*]] = ssm.norm rms {{.*}} input(%[[X]] : tensor<2x?x64xf32>)
// CHECK: ssm.matmul input(%[[N]] : tensor<2x?x64xf32>) weight(%{{.*}} : tensor<2x64x32xf32>)
func.func @norm_into_matmul(%x: tensor<2x?x64xf32>, %w: tensor<2x64x32xf32>,
    %n: tensor<2x?x64xf32>, %y: tensor<2x?x48xf32>) -> tensor<2x?x48xf32> {
  %0 = ssm.norm rms eps 1.000000e-05 input(%x : tensor<2x?x64xf32>)
      outs(%n : tensor<2x?x64xf32>) maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<2x?x64xf32>
  %1 = ssm.matmul input(%0 : tensor<2x?x64xf32>) weight(%w : tensor<2x64x32xf32>)
      outs(%y : tensor<2x?x48xf32>) maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<2x?x48xf32>
  return %1 : tensor<2x?x48xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["ssm.matmul"]} in %root : (!transform.any_op) -> !transform.any_op
    %fused, %loop = transform.structured.fuse %op tile_sizes [0, 16, 0]
        : (!transform.any_op) -> (!transform.any_op, !transform.op<"scf.for">)
    transform.yield
  }
}

// -----

// Channels of a convolution; the kernel's lags and the history's tokens stay whole.
// CHECK-LABEL: @conv
// CHECK: scf.for %[[C:.*]] = %{{.*}} to %c8 step %c4
// CHECK-DAG: %[[U:.*]] = tensor.extract_slice %{{.*}}[0, 0, %[[C]]] [%{{.*}}, %{{.*}}, 4]
// CHECK-DAG: %[[K:.*]] = tensor.extract_slice %{{.*}}[%[[C]], 0] [4, 4] [1, 1]
// CHECK-DAG: %[[H:.*]] = tensor.extract_slice %{{.*}}[0, 0, %[[C]]] [%{{.*}}, 3, 4]
// CHECK: ssm.conv input(%[[U]] : tensor<?x?x4xf32>) kernel(%[[K]] : tensor<4x4xf32>) history(%[[H]] : tensor<?x3x4xf32>)
func.func @conv(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>, %h: tensor<?x3x8xf32>,
    %y: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x3x8xf32>) {
  %0:2 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>) outs(%y, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return %0#0, %0#1 : tensor<?x?x8xf32>, tensor<?x3x8xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["ssm.conv"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loop = transform.structured.tile_using_for %op tile_sizes [0, 0, 4]
        : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Heads share their keys through a compound index: tiles of heads are refused.
#bth = affine_map<(b, t, h) -> (b, t, h)>
#btg = affine_map<(b, t, h) -> (b, t, h floordiv 2)>
#bh = affine_map<(b, t, h) -> (b, h)>

func.func @compound(%u: tensor<2x9x4xf32>, %s: tensor<2x8xf32>, %y: tensor<2x9x8xf32>)
    -> tensor<2x9x8xf32> {
  // expected-error @below {{to tile operation}}
  // expected-error @below {{failed to generate tiling loops}}
  %0:2 = ssm.scan ins(%u : tensor<2x9x4xf32>) outs(%y, %s : tensor<2x9x8xf32>, tensor<2x8xf32>)
      maps {ins = [#btg], state = #bh, output = #bth}
      coefficients {
  ^bb0(%uv: f32):
    ssm.coefficients write(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<2x9x8xf32>, tensor<2x8xf32>
  return %0#0 : tensor<2x9x8xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["ssm.scan"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loop = transform.structured.tile_using_for %op tile_sizes [0, 0, 4]
        : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}
