// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=conv}))' | FileCheck %s --check-prefix=ALLOWED
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=chunk}))' | FileCheck %s --check-prefix=ALLOWED
// RUN: not ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=scan}))' 2>&1 | FileCheck %s --check-prefix=SCAN

// A long kernel may be asked for as a convolution or in chunks, which are blocks of its
// Toeplitz matrix either way; a kernel of few lags is asked for nothing.
// ALLOWED: lags 3 epilogue
// ALLOWED: lags ? epilogue
// SCAN: error: mode 'scan' is not possible for the convolution with a kernel as long as the sequence: the kernel is no state space
func.func @forward(%u: tensor<?x?x8xf32>, %short: tensor<3x8xf32>, %long: tensor<?x8xf32>,
    %y: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %0 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%short : tensor<3x8xf32>)
      outs(%y : tensor<?x?x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 3
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>
  %1 = ssm.conv input(%0 : tensor<?x?x8xf32>) kernel(%long : tensor<?x8xf32>)
      outs(%y : tensor<?x?x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags ?
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>
  return %1 : tensor<?x?x8xf32>
}
