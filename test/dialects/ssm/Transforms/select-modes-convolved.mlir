// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{explain}))' 2>%t | FileCheck %s
// RUN: FileCheck %s --check-prefix=EXPLAIN < %t
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{chunk-tokens=16}))' | FileCheck %s --check-prefix=NONE
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{convolution=direct}))' | FileCheck %s --check-prefix=NONE

#bte = affine_map<(b, t, e, n) -> (b, t, e)>
#en = affine_map<(b, t, e, n) -> (e, n)>
module attributes {dlti.target_system_spec = #dlti.target_system_spec<
    "CPU" = #dlti.target_device_spec<"vector_bits" = 512 : i64, "vector_registers" = 32 : i64,
                                     "L2_cache_size_in_bytes" = 1048576 : i64>>} {
  // Many keys make a recurrence dearer than a convolution, whose cost knows none of them.
  // Its other form is that of calls that carry a state.
  // CHECK-LABEL: @many
  // CHECK: schedule = #ssm.schedule<mode = scan>, shortest_conv = {{[0-9]+}}
  // EXPLAIN: class I, runs as scan; conv from length {{[0-9]+}} on where no state is carried
  // EXPLAIN-NEXT: predicted clocks a token
  // EXPLAIN: conv *
  // NONE-NOT: shortest_conv
  func.func @many(%a: tensor<64x256xf32> {ssm.weight = "a"},
      %u: tensor<?x?x64xf32> {ssm.input = "u"}, %s: tensor<?x64x256xf32> {ssm.state = "s"},
      %y: tensor<?x?x64xf32>)
      -> (tensor<?x?x64xf32> {ssm.output = "y"}, tensor<?x64x256xf32> {ssm.state = "s"}) {
    %0:2 = ssm.scan ins(%a, %u : tensor<64x256xf32>, tensor<?x?x64xf32>)
        initial(%s : tensor<?x64x256xf32>)
        outs(%y, %s : tensor<?x?x64xf32>, tensor<?x64x256xf32>)
        maps {ins = [#en, #bte], state = affine_map<(b, t, e, n) -> (b, e, n)>, output = #bte}
        coefficients {
    ^bb0(%av: f32, %uv: f32):
      ssm.coefficients decay(%av : f32) write(%uv : f32) read(%av : f32)
    } epilogue {
    ^bb0(%o: f32):
      ssm.yield %o : f32
    } -> tensor<?x?x64xf32>, tensor<?x64x256xf32>
    return %0#0, %0#1 : tensor<?x?x64xf32>, tensor<?x64x256xf32>
  }

  // A final state that the layer itself gives away has to be computed, by the recurrence.
  // CHECK-LABEL: @given
  // CHECK-NOT: shortest_conv
  func.func @given(%a: tensor<64x256xf32> {ssm.weight = "a"},
      %u: tensor<?x?x64xf32> {ssm.input = "u"}, %s: tensor<?x64x256xf32>,
      %y: tensor<?x?x64xf32>)
      -> (tensor<?x?x64xf32> {ssm.output = "y"}, tensor<?x64x256xf32> {ssm.output = "s"}) {
    %0:2 = ssm.scan ins(%a, %u : tensor<64x256xf32>, tensor<?x?x64xf32>)
        outs(%y, %s : tensor<?x?x64xf32>, tensor<?x64x256xf32>)
        maps {ins = [#en, #bte], state = affine_map<(b, t, e, n) -> (b, e, n)>, output = #bte}
        coefficients {
    ^bb0(%av: f32, %uv: f32):
      ssm.coefficients decay(%av : f32) write(%uv : f32) read(%av : f32)
    } epilogue {
    ^bb0(%o: f32):
      ssm.yield %o : f32
    } -> tensor<?x?x64xf32>, tensor<?x64x256xf32>
    return %0#0, %0#1 : tensor<?x?x64xf32>, tensor<?x64x256xf32>
  }

  // Few keys: the recurrence is cheaper.
  // CHECK-LABEL: @few
  // CHECK-NOT: shortest_conv
  func.func @few(%a: tensor<64x4xf32> {ssm.weight = "a"},
      %u: tensor<?x?x64xf32> {ssm.input = "u"}, %s: tensor<?x64x4xf32>,
      %y: tensor<?x?x64xf32>) -> (tensor<?x?x64xf32> {ssm.output = "y"}) {
    %0:2 = ssm.scan ins(%a, %u : tensor<64x4xf32>, tensor<?x?x64xf32>)
        outs(%y, %s : tensor<?x?x64xf32>, tensor<?x64x4xf32>)
        maps {ins = [#en, #bte], state = affine_map<(b, t, e, n) -> (b, e, n)>, output = #bte}
        coefficients {
    ^bb0(%av: f32, %uv: f32):
      ssm.coefficients decay(%av : f32) write(%uv : f32) read(%av : f32)
    } epilogue {
    ^bb0(%o: f32):
      ssm.yield %o : f32
    } -> tensor<?x?x64xf32>, tensor<?x64x4xf32>
    return %0#0 : tensor<?x?x64xf32>
  }
}
