// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{explain}))' 2>%t | FileCheck %s
// RUN: FileCheck %s --check-prefix=EXPLAIN --input-file=%t
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{convolution=fft}))' | FileCheck %s --check-prefix=FFT
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{convolution=direct}))' | FileCheck %s --check-prefix=DIRECT
// RUN: not ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{convolution=slow}))' 2>&1 | FileCheck %s --check-prefix=NONE

// A kernel of a few lags is never worth transforms, a long one from some length on.
// CHECK: lags 12 epilogue
// CHECK-NOT: shortest_fft
// CHECK: lags ? epilogue
// CHECK: shortest_fft = {{[0-9]+}} : i64
// EXPLAIN: kernel of 12 lags: no state space, runs as blocks of its Toeplitz matrix
// EXPLAIN: kernel as long as the sequence: no state space, runs by Fourier transforms from length {{[0-9]+}} on, as blocks of its Toeplitz matrix below
// EXPLAIN-NEXT: predicted clocks a token of a vector of channels
// EXPLAIN-NEXT: length 64 {{.*}} 32768
// EXPLAIN-NEXT: direct
// EXPLAIN-NEXT: fft
// FFT-COUNT-2: shortest_fft = 0 : i64
// DIRECT-NOT: shortest_fft
// NONE: error: conv is auto, fft or direct, not 'slow'
func.func @forward(%u: tensor<?x?x8xf32>, %short: tensor<12x8xf32>, %long: tensor<?x8xf32>,
    %y: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %0 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%short : tensor<12x8xf32>)
      outs(%y : tensor<?x?x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 12
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
