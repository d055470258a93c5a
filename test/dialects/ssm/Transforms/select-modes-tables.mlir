// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes,ssm-tabulate-chunks{vector-bits=32}))' | FileCheck %s

// Where there is code for chunks with tables of one number of tokens, for states up to a size and results in bf16: those take it from the
// length on from which it pays, larger ones stay with the recurrence.
module attributes {dlti.target_system_spec = #dlti.target_system_spec<
    "GPU" = #dlti.target_device_spec<"vector_bits" = 4096 : i64, "fma_per_clock" = 1.0 : f64, "token_clocks" = 150 : i64,
                                     "table_tokens" = 32 : i64, "table_numbers" = 64 : i64,
                                     "table_clocks" = 2720 : i64, "table_call_clocks" = 25600 : i64>>} {
  // CHECK-LABEL: @fits
  // CHECK: ssm.scan
  // CHECK-SAME: tables({{.*}} : tensor<1x128x64x32x1x1xf32>
  // CHECK: schedule = #ssm.schedule<mode = chunk, chunk = 32, crossover = {{[0-9]+}}>
  func.func @fits(%a: tensor<128x64xf32> {ssm.weight = "a"}, %u: tensor<?x?x128xf32>, %y: tensor<?x?x128xbf16>,
      %s: tensor<?x128x64xf32>) -> (tensor<?x?x128xbf16>, tensor<?x128x64xf32>) {
    %0:2 = ssm.scan ins(%a, %u : tensor<128x64xf32>, tensor<?x?x128xf32>) initial(%s : tensor<?x128x64xf32>)
        outs(%y, %s : tensor<?x?x128xbf16>, tensor<?x128x64xf32>)
        maps {ins = [affine_map<(b, t, e, n) -> (e, n)>, affine_map<(b, t, e, n) -> (b, t, e)>],
              state = affine_map<(b, t, e, n) -> (b, e, n)>, output = affine_map<(b, t, e, n) -> (b, t, e)>}
        coefficients {
    ^bb0(%v: f32, %w: f32):
      ssm.coefficients decay(%v : f32) write(%w : f32) read(%v : f32)
    } epilogue {
    ^bb0(%v: f32):
      %rounded = arith.truncf %v : f32 to bf16
      ssm.yield %rounded : bf16
    } -> tensor<?x?x128xbf16>, tensor<?x128x64xf32>
    return %0#0, %0#1 : tensor<?x?x128xbf16>, tensor<?x128x64xf32>
  }

  // CHECK-LABEL: @too_large
  // CHECK-NOT: tables
  // CHECK: schedule = #ssm.schedule<mode = scan>
  func.func @too_large(%a: tensor<128x65xf32> {ssm.weight = "a"}, %u: tensor<?x?x128xf32>, %y: tensor<?x?x128xbf16>,
      %s: tensor<?x128x65xf32>) -> (tensor<?x?x128xbf16>, tensor<?x128x65xf32>) {
    %0:2 = ssm.scan ins(%a, %u : tensor<128x65xf32>, tensor<?x?x128xf32>) initial(%s : tensor<?x128x65xf32>)
        outs(%y, %s : tensor<?x?x128xbf16>, tensor<?x128x65xf32>)
        maps {ins = [affine_map<(b, t, e, n) -> (e, n)>, affine_map<(b, t, e, n) -> (b, t, e)>],
              state = affine_map<(b, t, e, n) -> (b, e, n)>, output = affine_map<(b, t, e, n) -> (b, t, e)>}
        coefficients {
    ^bb0(%v: f32, %w: f32):
      ssm.coefficients decay(%v : f32) write(%w : f32) read(%v : f32)
    } epilogue {
    ^bb0(%v: f32):
      %rounded = arith.truncf %v : f32 to bf16
      ssm.yield %rounded : bf16
    } -> tensor<?x?x128xbf16>, tensor<?x128x65xf32>
    return %0#0, %0#1 : tensor<?x?x128xbf16>, tensor<?x128x65xf32>
  }
}
