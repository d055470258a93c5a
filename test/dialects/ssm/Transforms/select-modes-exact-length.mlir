// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=conv}))' | FileCheck %s --check-prefix=ALLOWED
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=chunk}))' | FileCheck %s --check-prefix=ALLOWED
// RUN: not ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=step}))' 2>&1 | FileCheck %s -DMODE=step
// RUN: not ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=scan}))' 2>&1 | FileCheck %s -DMODE=scan

// Values that depend on the length allow the whole sequence alone, also in blocks of its
// Toeplitz matrix.
// ALLOWED: lags ? epilogue
// CHECK: error: mode '[[MODE]]' is not possible: the values of a kernel depend on the length of the sequence
func.func @forward(%u: tensor<?x?x8xf32>, %long: tensor<?x8xf32>,
    %y: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> attributes {ssm.exact_length} {
  %0 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%long : tensor<?x8xf32>)
      outs(%y : tensor<?x?x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags ?
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}
