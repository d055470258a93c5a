// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=conv}))' | FileCheck %s
// A recurrence that weights determine runs once and token by token, whatever is asked
// of the layer.

#in = affine_map<(b, t, h) -> (h)>
#token = affine_map<(b, t, h) -> (b, t, h)>
#state = affine_map<(b, t, h) -> (b, h)>

// CHECK-LABEL: func.func @prepared
// CHECK: ssm.scan
// CHECK: schedule = #ssm.schedule<mode = scan>
func.func @prepared(%length: index {ssm.prepared_length},
    %a: tensor<4xf32> {ssm.weight = "a"}, %x: tensor<?x?x4xf32> {ssm.input = "x"})
    -> (tensor<1x?x4xf32>, tensor<1x4xf32>) {
  %one = arith.constant 1.0 : f32
  %empty = tensor.empty(%length) : tensor<1x?x4xf32>
  %u = linalg.fill ins(%one : f32) outs(%empty : tensor<1x?x4xf32>) -> tensor<1x?x4xf32>
  %last = tensor.empty() : tensor<1x4xf32>
  %0:2 = ssm.scan ins(%a, %u : tensor<4xf32>, tensor<1x?x4xf32>)
      outs(%empty, %last : tensor<1x?x4xf32>, tensor<1x4xf32>)
      maps {ins = [#in, #token], epilogue = [], state = #state, output = #token}
      coefficients {
  ^bb0(%av: f32, %uv: f32):
    ssm.coefficients decay(%av : f32) write(%uv : f32)
  } epilogue {
  ^bb0(%s: f32):
    ssm.yield %s : f32
  } -> tensor<1x?x4xf32>, tensor<1x4xf32>
  return %0#0, %0#1 : tensor<1x?x4xf32>, tensor<1x4xf32>
}
