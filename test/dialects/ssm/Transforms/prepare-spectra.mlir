// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-prepare-spectra))' | FileCheck %s
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-prepare-spectra{vector-bits=256}))' | FileCheck %s --check-prefix=NARROW
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-prepare-spectra),ssm-split-prepare)' | FileCheck %s --check-prefix=SPLIT

// The transforms of a kernel of 100 lags: two blocks of 64 and what reaches into a third.
// CHECK-LABEL: func.func @forward
// CHECK: %[[ROOTS:.*]] = ssm.roots outs(%{{.*}} : tensor<64x2xf32>)
// CHECK: %[[SPECTRUM:.*]] = ssm.spectrum kernel(%{{.*}} : tensor<100x20xf32>) roots(%[[ROOTS]] : tensor<64x2xf32>) lag 0 lane 1
// CHECK-SAME: -> tensor<2x204x2x16xf32>
// CHECK: ssm.conv
// CHECK-SAME: spectrum(%[[SPECTRUM]] : tensor<2x204x2x16xf32>) roots(%[[ROOTS]] : tensor<64x2xf32>)
// CHECK-SAME: tensor<?x?x128xf32>
// CHECK: spectrum_lane = 2
// Kernels that run directly, or whose kernel is an input, stay as they are.
// CHECK: ssm.conv
// CHECK-NOT: spectrum(
// CHECK: return
// NARROW: tensor<3x204x2x8xf32>
// Both tables are made once.
// SPLIT-LABEL: func.func @prepare
// SPLIT: ssm.spectrum
// SPLIT-LABEL: func.func @forward
// SPLIT-NOT: ssm.spectrum kernel
func.func @forward(%x: tensor<?x?x20xf32>, %k: tensor<100x20xf32> {ssm.weight = "k"},
    %free: tensor<100x20xf32>, %y: tensor<?x?x20xf32>)
    -> (tensor<?x?x20xf32>, tensor<?x?x20xf32>, tensor<?x?x20xf32>) {
  %0 = ssm.conv input(%x : tensor<?x?x20xf32>) kernel(%k : tensor<100x20xf32>)
      outs(%y : tensor<?x?x20xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 100
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } attributes {shortest_fft = 128 : i64} -> tensor<?x?x20xf32>
  %1 = ssm.conv input(%x : tensor<?x?x20xf32>) kernel(%k : tensor<100x20xf32>)
      outs(%y : tensor<?x?x20xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 100
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x20xf32>
  %2 = ssm.conv input(%x : tensor<?x?x20xf32>) kernel(%free : tensor<100x20xf32>)
      outs(%y : tensor<?x?x20xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 100
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } attributes {shortest_fft = 128 : i64} -> tensor<?x?x20xf32>
  return %0, %1, %2 : tensor<?x?x20xf32>, tensor<?x?x20xf32>, tensor<?x?x20xf32>
}
