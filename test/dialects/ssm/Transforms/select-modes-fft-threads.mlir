// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes))' | FileCheck %s

// Where transforms have one size, what is padded counts: a long kernel is worth them near
// a quarter of a block, a shorter one never.
module attributes {dlti.target_system_spec = #dlti.target_system_spec<
    "GPU" = #dlti.target_device_spec<"vector_bits" = 4096 : i64, "fma_per_clock" = 1.0 : f64,
                                     "L3_bytes_per_clock" = 36.0 : f64, "memory_bytes_per_clock" = 18.0 : f64,
                                     "transform_points" = 4096.0 : f64>>} {
  // CHECK: lags 100 epilogue
  // CHECK-NOT: shortest_fft
  // CHECK: lags 8192 epilogue
  // CHECK: shortest_fft = {{1?[0-9][0-9][0-9]}} : i64
  func.func @forward(%u: tensor<?x?x8xf32>, %short: tensor<100x8xf32>, %long: tensor<8192x8xf32>,
      %y: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %0 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%short : tensor<100x8xf32>)
        outs(%y : tensor<?x?x8xf32>)
        maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
              kernel = affine_map<(b, t, c, j) -> (j, c)>,
              output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 100
        epilogue {
    ^bb0(%acc: f32):
      ssm.yield %acc : f32
    } -> tensor<?x?x8xf32>
    %1 = ssm.conv input(%0 : tensor<?x?x8xf32>) kernel(%long : tensor<8192x8xf32>)
        outs(%y : tensor<?x?x8xf32>)
        maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
              kernel = affine_map<(b, t, c, j) -> (j, c)>,
              output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 8192
        epilogue {
    ^bb0(%acc: f32):
      ssm.yield %acc : f32
    } -> tensor<?x?x8xf32>
    return %1 : tensor<?x?x8xf32>
  }
}
