// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-join-branches,ssm-split-destinations))' | FileCheck %s

// One destination before the branch, which is left alone afterwards; the expansion moves
// behind it.
// CHECK-LABEL: func.func @same
// CHECK: %[[E:.*]] = tensor.empty
// CHECK: %[[R:.*]] = scf.if
// CHECK: linalg.fill {{.*}} outs(%[[E]] :
// CHECK: else
// CHECK: linalg.fill {{.*}} outs(%[[E]] :
// CHECK: %[[X:.*]] = tensor.expand_shape %[[R]]
// CHECK: return %[[X]]
func.func @same(%c: i1, %b: index, %v: f32, %w: f32) -> tensor<?x2x2xf32> {
  %r = scf.if %c -> tensor<?x2x2xf32> {
    %e = tensor.empty(%b) : tensor<?x4xf32>
    %0 = linalg.fill ins(%v : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
    %1 = tensor.expand_shape %0 [[0], [1, 2]] output_shape [%b, 2, 2] : tensor<?x4xf32> into tensor<?x2x2xf32>
    scf.yield %1 : tensor<?x2x2xf32>
  } else {
    %e = tensor.empty(%b) : tensor<?x4xf32>
    %0 = linalg.fill ins(%w : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
    %1 = tensor.expand_shape %0 [[0], [1, 2]] output_shape [%b, 2, 2] : tensor<?x4xf32> into tensor<?x2x2xf32>
    scf.yield %1 : tensor<?x2x2xf32>
  }
  return %r : tensor<?x2x2xf32>
}

// What is as long as something inside of the branch stays there, and so does what is not
// written.
// CHECK-LABEL: func.func @inside
// CHECK-NOT: tensor.empty
// CHECK: scf.if
// CHECK: tensor.empty
// CHECK: else
// CHECK: tensor.empty
func.func @inside(%c: i1, %b: index, %v: f32, %t: tensor<4xf32>) -> (tensor<?xf32>, tensor<4xf32>) {
  %r:2 = scf.if %c -> (tensor<?xf32>, tensor<4xf32>) {
    %n = arith.addi %b, %b : index
    %e = tensor.empty(%n) : tensor<?xf32>
    %0 = linalg.fill ins(%v : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
    scf.yield %0, %t : tensor<?xf32>, tensor<4xf32>
  } else {
    %e = tensor.empty(%b) : tensor<?xf32>
    %0 = linalg.fill ins(%v : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
    %f = tensor.empty() : tensor<4xf32>
    %1 = linalg.fill ins(%v : f32) outs(%f : tensor<4xf32>) -> tensor<4xf32>
    scf.yield %0, %1 : tensor<?xf32>, tensor<4xf32>
  }
  return %r#0, %r#1 : tensor<?xf32>, tensor<4xf32>
}
