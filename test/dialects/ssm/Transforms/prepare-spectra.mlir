// RUN: ssm-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(ssm-prepare-spectra))' | FileCheck %s
// RUN: ssm-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(ssm-prepare-spectra))' | FileCheck %s --check-prefix=RELAXED
// RUN: ssm-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(ssm-prepare-spectra{vector-bits=256}))' | FileCheck %s --check-prefix=NARROW
// RUN: ssm-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(ssm-prepare-spectra{block=64 threads=8}))' | FileCheck %s --check-prefix=THREADS
// RUN: ssm-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(ssm-prepare-spectra),ssm-split-prepare)' | FileCheck %s --check-prefix=SPLIT

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
// For threads: a transform for each channel, in blocks of one size; three numbers of
// memory for a token and channel, five where outputs need later tokens.
// THREADS-LABEL: func.func @forward
// THREADS: ssm.roots outs(%{{.*}} : tensor<64x2xf32>)
// THREADS: ssm.spectrum {{.*}} {block = 64 : i64, threads = 8 : i64} -> tensor<20x192x2x1xf32>
// THREADS: ssm.conv
// THREADS-SAME: tensor<?x?x60xf32>
// Both tables are made once.
// SPLIT-LABEL: func.func @prepare
// SPLIT: ssm.spectrum
// SPLIT-LABEL: func.func @forward
// SPLIT-NOT: ssm.spectrum kernel
// SPLIT: return
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

// -----

// A history that calls pass on: the sums that later outputs get from it are two states
// more, for two output channels in tiles of 16 lanes. 600 lags: blocks of 64 with
// transforms of 6 earlier ones, of 256 with 2, and sums of two each.
// THREADS-LABEL: func.func @carried
// THREADS-NOT: relaxed
// THREADS: ssm.conv
// THREADS-SAME: tensor<?x?x120xf32>
// THREADS-NOT: relaxed
// RELAXED-LABEL: func.func @carried
// RELAXED-SAME: %[[SUMS:[a-z0-9]+]]: tensor<?x1584x128xf32> {ssm.dims = array<i64: -1, 1584, 128>, ssm.later, ssm.state = "history.sums"}
// RELAXED-SAME: %[[AT:[a-z0-9]+]]: tensor<?xi64> {ssm.dims = array<i64: -1>, ssm.later, ssm.state = "history.sums_position"}
// RELAXED-SAME: -> (tensor<?x?x2x20xf32>, tensor<?x599x20xf32> {ssm.state = "history"}, tensor<?x1584x128xf32> {ssm.state = "history.sums"}, tensor<?xi64> {ssm.state = "history.sums_position"})
// RELAXED: %[[Y:.*]]:5 = ssm.conv
// RELAXED-SAME: outs(%{{.*}}, %{{.*}}, %{{.*}}, %[[SUMS]], %[[AT]] :
// RELAXED: relaxed
// RELAXED: return %[[Y]]#0, %[[Y]]#1, %[[Y]]#3, %[[Y]]#4
func.func @carried(%x: tensor<?x?x20xf32>, %k: tensor<600x2x20xf32> {ssm.weight = "k"},
    %h: tensor<?x599x20xf32> {ssm.state = "history", ssm.dims = array<i64: -1, 599, 20>},
    %p: index, %y: tensor<?x?x2x20xf32>)
    -> (tensor<?x?x2x20xf32>, tensor<?x599x20xf32> {ssm.state = "history"}) {
  %0:2 = ssm.conv input(%x : tensor<?x?x20xf32>) kernel(%k : tensor<600x2x20xf32>)
      history(%h : tensor<?x599x20xf32>) position(%p : index)
      outs(%y, %h : tensor<?x?x2x20xf32>, tensor<?x599x20xf32>)
      maps {input = affine_map<(b, t, c, d, j) -> (b, t, d)>,
            kernel = affine_map<(b, t, c, d, j) -> (j, c, d)>,
            output = affine_map<(b, t, c, d, j) -> (b, t, c, d)>} lags 600
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } attributes {shortest_fft = 128 : i64} -> tensor<?x?x2x20xf32>, tensor<?x599x20xf32>
  return %0#0, %0#1 : tensor<?x?x2x20xf32>, tensor<?x599x20xf32>
}

// -----

// A loop over depth carries one for each trip.
// RELAXED-LABEL: func.func @deep
// RELAXED-SAME: %[[SUMS:[a-z0-9]+]]: tensor<3x?x?x96xf32> {ssm.dims = array<i64: 3, -1, -2, 96>, ssm.later, ssm.state = "history.{}.sums"}
// RELAXED: scf.for
// RELAXED-SAME: %[[ALL:[a-z0-9]+]] = %[[SUMS]]
// RELAXED: %[[ONE:.*]] = tensor.extract_slice %[[ALL]][%{{.*}}, 0, 0, 0] [1, %[[B:.*]], %[[L:.*]], 96]
// RELAXED: %[[Y:.*]]:5 = ssm.conv
// RELAXED-SAME: %[[ONE]], %{{.*}} :
// RELAXED: tensor.insert_slice %[[Y]]#3 into %[[ALL]][%{{.*}}, 0, 0, 0] [1, %[[B]], %[[L]], 96]
func.func @deep(%x: tensor<?x?x8xf32>, %n: index {ssm.prepared_length}, %k: tensor<?x8xf32> {ssm.table = 0, ssm.extents = array<i64: 1, 0, 0, 8>},
    %h: tensor<3x?x?x8xf32> {ssm.state = "history.{}", ssm.dims = array<i64: 3, -1, -2, 8>},
    %p: index, %y: tensor<?x?x8xf32>)
    -> (tensor<?x?x8xf32>, tensor<3x?x?x8xf32> {ssm.state = "history.{}"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %b = tensor.dim %h, %c1 : tensor<3x?x?x8xf32>
  %l = tensor.dim %h, %c2 : tensor<3x?x?x8xf32>
  %0:2 = scf.for %i = %c0 to %c3 step %c1 iter_args(%v = %x, %all = %h) -> (tensor<?x?x8xf32>, tensor<3x?x?x8xf32>) {
    %one = tensor.extract_slice %all[%i, 0, 0, 0] [1, %b, %l, 8] [1, 1, 1, 1] : tensor<3x?x?x8xf32> to tensor<?x?x8xf32>
    %1:2 = ssm.conv input(%v : tensor<?x?x8xf32>) kernel(%k : tensor<?x8xf32>)
        history(%one : tensor<?x?x8xf32>) position(%p : index)
        outs(%y, %one : tensor<?x?x8xf32>, tensor<?x?x8xf32>)
        maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
              kernel = affine_map<(b, t, c, j) -> (j, c)>,
              output = affine_map<(b, t, c, j) -> (b, t, c)>} lags ?
        epilogue {
    ^bb0(%acc: f32):
      ssm.yield %acc : f32
    } attributes {shortest_fft = 128 : i64} -> tensor<?x?x8xf32>, tensor<?x?x8xf32>
    %2 = tensor.insert_slice %1#1 into %all[%i, 0, 0, 0] [1, %b, %l, 8] [1, 1, 1, 1] : tensor<?x?x8xf32> into tensor<3x?x?x8xf32>
    scf.yield %1#0, %2 : tensor<?x?x8xf32>, tensor<3x?x?x8xf32>
  }
  return %0#0, %0#1 : tensor<?x?x8xf32>, tensor<3x?x?x8xf32>
}

// -----

// THREADS-LABEL: func.func @two_sided
// THREADS: ssm.spectrum {{.*}} -> tensor<8x192x2x1xf32>
// THREADS: ssm.conv
// THREADS-SAME: tensor<?x?x40xf32>
// In f64 threads have no transforms.
// THREADS: ssm.conv
// THREADS-NOT: spectrum(
// THREADS: return
func.func @two_sided(%x: tensor<?x?x8xf32>, %k: tensor<100x8xf32> {ssm.weight = "k"},
    %w: tensor<?x?x8xf64>, %y: tensor<?x?x8xf32>, %z: tensor<?x?x8xf64>)
    -> (tensor<?x?x8xf32>, tensor<?x?x8xf64>) {
  %0 = ssm.conv input(%x : tensor<?x?x8xf32>) kernel(%k : tensor<100x8xf32>)
      outs(%y : tensor<?x?x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 100 from -50
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } attributes {shortest_fft = 128 : i64} -> tensor<?x?x8xf32>
  %1 = ssm.conv input(%w : tensor<?x?x8xf64>) kernel(%k : tensor<100x8xf32>)
      outs(%z : tensor<?x?x8xf64>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 100
      epilogue {
  ^bb0(%acc: f64):
    ssm.yield %acc : f64
  } attributes {shortest_fft = 128 : i64} -> tensor<?x?x8xf64>
  return %0, %1 : tensor<?x?x8xf32>, tensor<?x?x8xf64>
}
