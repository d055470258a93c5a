// RUN: ssm-opt %s --nvptx-lower-ops --canonicalize --cse --split-input-file | FileCheck %s
// RUN: ssm-opt %s --nvptx-lower-ops=cooperative=false --split-input-file | FileCheck %s --check-prefix=ALONE

// A thread a lane; operands of 16 tokens are loaded before the first is used, and the next
// block's are asked for. Where there are few lanes, a block of threads has the same lanes
// in each warp and a segment of time in each, once for what it ends with and once from the
// state that it starts with.
// CHECK-LABEL: func.func @scan(
// CHECK: scf.if
// CHECK: gpu.launch {{.*}} workgroup(%{{.*}} : memref<1x32xf32, #gpu.address_space<workgroup>>)
// CHECK-NOT: memref.store %{{.*}}, %arg3[
// CHECK: gpu.barrier
// CHECK: memref.store %{{.*}}, %arg3[
// CHECK: } {nvptx.block = 512 : i64}
// CHECK: } else {
// CHECK: scf.parallel (%[[B:.*]], %[[E:.*]]) = {{.*}} {
// CHECK: memref.load
// CHECK: scf.for
// CHECK-COUNT-32: memref.load
// CHECK-COUNT-2: llvm.inline_asm has_side_effects "prefetch.L1 [$0];"
// CHECK: math.exp2
// CHECK: memref.store
// CHECK: {nvptx.block = 128 : i64}
// ALONE-LABEL: func.func @scan(
// ALONE-NOT: inline_asm
// ALONE: scf.parallel
// ALONE-NOT: inline_asm
func.func @scan(%g: memref<?x?x8xf32>, %x: memref<?x?x8xf32>, %s: memref<?x8xf32>,
                %y: memref<?x?x8xf32>) attributes {nvptx.host} {
  ssm.scan ins(%g, %x : memref<?x?x8xf32>, memref<?x?x8xf32>)
      initial(%s : memref<?x8xf32>) outs(%y, %s : memref<?x?x8xf32>, memref<?x8xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>, affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%gv: f32, %xv: f32):
    %decay = math.exp %gv : f32
    ssm.coefficients decay(%decay : f32) write(%xv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}

// -----

// Where there are few lanes all threads that can share one; sums over keys through shuffles.
// Neighbouring keys of a thread are loaded together where memory is aligned for it. A single
// token of many lanes has code without loops.
// CHECK-LABEL: func.func @keys(
// CHECK: memref.extract_aligned_pointer_as_index
// CHECK: scf.if
// CHECK: scf.if
// CHECK: scf.parallel (%{{.*}}, %{{.*}}, %{{.*}}) =
// CHECK-NOT: scf.for
// CHECK: vector.load {{.*}} {alignment = 16 : i64} : memref<?x8x128xf32>, vector<4xf32>
// CHECK-NOT: scf.for
// CHECK-COUNT-3: gpu.shuffle xor
// CHECK: } else {
// CHECK: scf.parallel (%{{.*}}, %{{.*}}, %{{.*}}) =
// CHECK: vector.load {{.*}} {alignment = 16 : i64} : memref<?x8x128xf32>, vector<4xf32>
// CHECK-COUNT-5: gpu.shuffle xor
// CHECK: } else {
// CHECK: scf.parallel
// CHECK: vector.load {{.*}} {alignment = 16 : i64} : memref<?x?x128xf32>, vector<4xf32>
// CHECK: gpu.shuffle xor
// CHECK: vector.store {{.*}} {alignment = 16 : i64} : memref<?x8x128xf32>, vector<4xf32>
// CHECK: } else {
// CHECK-NOT: vector.load
// CHECK: return
// ALONE-LABEL: func.func @keys(
// ALONE-NOT: gpu.shuffle
// ALONE: scf.for {{.*}} {
func.func @keys(%k: memref<?x?x128xf32>, %v: memref<?x?x8xf32>, %s: memref<?x8x128xf32>,
                %y: memref<?x?x8xf32>) attributes {nvptx.host} {
  ssm.scan ins(%k, %v : memref<?x?x128xf32>, memref<?x?x8xf32>)
      initial(%s : memref<?x8x128xf32>)
      outs(%y, %s : memref<?x?x8xf32>, memref<?x8x128xf32>)
      maps {ins = [affine_map<(b, t, e, n) -> (b, t, n)>,
                   affine_map<(b, t, e, n) -> (b, t, e)>],
            state = affine_map<(b, t, e, n) -> (b, e, n)>,
            output = affine_map<(b, t, e, n) -> (b, t, e)>}
      coefficients {
  ^bb0(%kv: f32, %vv: f32):
    %write = arith.mulf %kv, %vv : f32
    ssm.coefficients write(%write : f32) read(%kv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}

// -----

// Keys that are a part of longer rows, of which every one begins at a multiple of what is loaded
// together; and a part that does not.
// CHECK-LABEL: func.func @part_of_rows(
// CHECK: vector.load {{.*}} {alignment = 16 : i64} : memref<?x?x128xf32, strided<[?, 192, 1], offset: 64>>, vector<4xf32>
// CHECK-NOT: memref<?x?x128xf32, strided<[?, 192, 1], offset: 3>>, vector
// CHECK: memref.load {{.*}} : memref<?x?x128xf32, strided<[?, 192, 1], offset: 3>>
func.func @part_of_rows(%rows: memref<?x?x192xf32>, %v: memref<?x?x8xf32>, %s: memref<?x8x128xf32>,
                        %y: memref<?x?x8xf32>, %b: index, %t: index) attributes {nvptx.host} {
  %k = memref.subview %rows[0, 0, 64] [%b, %t, 128] [1, 1, 1]
      : memref<?x?x192xf32> to memref<?x?x128xf32, strided<[?, 192, 1], offset: 64>>
  %q = memref.subview %rows[0, 0, 3] [%b, %t, 128] [1, 1, 1]
      : memref<?x?x192xf32> to memref<?x?x128xf32, strided<[?, 192, 1], offset: 3>>
  ssm.scan ins(%k, %q, %v : memref<?x?x128xf32, strided<[?, 192, 1], offset: 64>>, memref<?x?x128xf32, strided<[?, 192, 1], offset: 3>>, memref<?x?x8xf32>)
      initial(%s : memref<?x8x128xf32>)
      outs(%y, %s : memref<?x?x8xf32>, memref<?x8x128xf32>)
      maps {ins = [affine_map<(b, t, e, n) -> (b, t, n)>,
                   affine_map<(b, t, e, n) -> (b, t, n)>,
                   affine_map<(b, t, e, n) -> (b, t, e)>],
            state = affine_map<(b, t, e, n) -> (b, e, n)>,
            output = affine_map<(b, t, e, n) -> (b, t, e)>}
      coefficients {
  ^bb0(%kv: f32, %qv: f32, %vv: f32):
    %write = arith.mulf %kv, %vv : f32
    ssm.coefficients write(%write : f32) read(%qv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}

// -----

// Lanes of a warp that are neighbours in memory: a warp copies their rows of tokens ahead, in
// a deep ring where there are few warps, and reads its block's after its own copies. Keys that
// all lanes share are widened once. A block of tokens left over is loaded directly.
// CHECK-LABEL: func.func @copies_ahead(
// CHECK-SAME: %[[G:.*]]: memref<?x?x64xf32>, %[[X:.*]]: memref<?x?x64xbf16>, %[[K:.*]]: memref<?x?x2x8xbf16>
// CHECK: arith.remui %{{.*}}, %c16
// CHECK: gpu.launch {{.*}} workgroup(%{{.*}} : memref<4x16x32xf32, #gpu.address_space<workgroup>>, %[[XS:.*]] : memref<4x16x32xbf16, #gpu.address_space<workgroup>>, %[[KS:.*]] : memref<4x16x8xbf16, #gpu.address_space<workgroup>>, %[[WIDE:.*]] : memref<16x8xf32, #gpu.address_space<workgroup>>)
// CHECK-COUNT-3: nvvm.cp.async.commit.group
// CHECK: scf.for
// CHECK: nvvm.cp.async.wait.group 2
// CHECK-NEXT: nvvm.bar.warp.sync
// CHECK: nvvm.cp.async.shared.global {{.*}}, 16, cache = cg
// CHECK: nvvm.cp.async.commit.group
// CHECK: vector.load %[[KS]]
// CHECK: vector.store {{.*}}, %[[WIDE]]
// CHECK: nvvm.bar.warp.sync
// CHECK-NOT: prefetch
// CHECK: memref.load %[[XS]]
// CHECK: vector.load %[[WIDE]]
// CHECK: scf.for
// CHECK: memref.load %[[X]][
// CHECK: {nvptx.block = 32 : i64}
// CHECK: } else {
// CHECK: gpu.launch {{.*}} memref<3x16x32xf32
// CHECK: nvvm.cp.async.wait.group 1
// ALONE-LABEL: func.func @copies_ahead(
// ALONE-NOT: nvvm.cp.async
// ALONE: return
func.func @copies_ahead(%g: memref<?x?x64xf32>, %x: memref<?x?x64xbf16>,
                        %k: memref<?x?x2x8xbf16>, %s: memref<?x64x8xf32>,
                        %y: memref<?x?x64xf32>) attributes {nvptx.host} {
  ssm.scan ins(%g, %x, %k : memref<?x?x64xf32>, memref<?x?x64xbf16>, memref<?x?x2x8xbf16>)
      initial(%s : memref<?x64x8xf32>) outs(%y, %s : memref<?x?x64xf32>, memref<?x64x8xf32>)
      maps {ins = [affine_map<(b, t, e, n) -> (b, t, e)>, affine_map<(b, t, e, n) -> (b, t, e)>,
                   affine_map<(b, t, e, n) -> (b, t, e floordiv 32, n)>],
            state = affine_map<(b, t, e, n) -> (b, e, n)>,
            output = affine_map<(b, t, e, n) -> (b, t, e)>}
      coefficients {
  ^bb0(%gv: f32, %xv: bf16, %kv: bf16):
    %xw = arith.extf %xv : bf16 to f32
    %kw = arith.extf %kv : bf16 to f32
    %write = arith.mulf %xw, %kw : f32
    ssm.coefficients decay(%gv : f32) write(%write : f32) read(%kw : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}

// -----

// Of one state a lane a token is little work: rings are half as large where there are many warps.
// CHECK-LABEL: func.func @little_work(
// CHECK: gpu.launch {{.*}} memref<4x16x32xf32
// CHECK: } else {
// CHECK: gpu.launch {{.*}} memref<3x8x32xf32
func.func @little_work(%g: memref<?x?x64xf32>, %x: memref<?x?x64xf32>, %s: memref<?x64xf32>,
                       %y: memref<?x?x64xf32>) attributes {nvptx.host} {
  ssm.scan ins(%g, %x : memref<?x?x64xf32>, memref<?x?x64xf32>)
      initial(%s : memref<?x64xf32>) outs(%y, %s : memref<?x?x64xf32>, memref<?x64xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>, affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%gv: f32, %xv: f32):
    ssm.coefficients decay(%gv : f32) write(%xv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}

// -----

// A single token of many lanes with states in 16 bits: eight threads share as many lanes, whose
// states are all on their way to shared memory before the first is used.
// CHECK-LABEL: func.func @narrow_states(
// CHECK: gpu.launch {{.*}} workgroup(%[[COPIED:.*]] : memref<8x2x64x8xbf16, #gpu.address_space<workgroup>>)
// CHECK-COUNT-16: nvvm.cp.async.shared.global {{.*}}, 16, cache = cg
// CHECK: nvvm.cp.async.commit.group
// CHECK: nvvm.cp.async.wait.group 7
// CHECK-COUNT-2: vector.load %[[COPIED]]
// CHECK-COUNT-2: vector.store {{.*}} : memref<?x8x128xbf16>, vector<8xbf16>
// CHECK: nvvm.cp.async.wait.group 6
// CHECK: nvvm.cp.async.wait.group 0
// CHECK-COUNT-7: gpu.shuffle xor
// CHECK: memref.store
// CHECK: {nvptx.block = 64 : i64}
// ALONE-LABEL: func.func @narrow_states(
// ALONE-NOT: nvvm.cp.async
// ALONE: return
func.func @narrow_states(%k: memref<?x?x128xf32>, %v: memref<?x?x8xf32>,
                         %s: memref<?x8x128xbf16>, %y: memref<?x?x8xf32>)
    attributes {nvptx.host} {
  ssm.scan ins(%k, %v : memref<?x?x128xf32>, memref<?x?x8xf32>)
      initial(%s : memref<?x8x128xbf16>)
      outs(%y, %s : memref<?x?x8xf32>, memref<?x8x128xbf16>)
      maps {ins = [affine_map<(b, t, e, n) -> (b, t, n)>,
                   affine_map<(b, t, e, n) -> (b, t, e)>],
            state = affine_map<(b, t, e, n) -> (b, e, n)>,
            output = affine_map<(b, t, e, n) -> (b, t, e)>}
      coefficients {
  ^bb0(%kv: f32, %vv: f32):
    %write = arith.mulf %kv, %vv : f32
    ssm.coefficients write(%write : f32) read(%kv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}

// -----

// Chunks of two heads that share keys: few blocks have a head each.
// CHECK-LABEL: func.func @few_heads(
// CHECK-DAG: %[[ROWS:.*]] = memref.dim %arg2, %c0
// CHECK-DAG: %[[SPREAD:.*]] = arith.muli %[[ROWS]], %c6
// CHECK: %[[FEW:.*]] = arith.cmpi {{.*}}, %[[SPREAD]], %c129
// CHECK: scf.if %[[FEW]] {
// CHECK: gpu.launch blocks({{.*}}) in ({{.*}} = %[[SPREAD]], {{.*}} threads({{.*}}) in ({{.*}} = %c256
// CHECK: } else {
// CHECK: gpu.launch {{.*}} threads({{.*}}) in ({{.*}} = %c384
func.func @few_heads(%k: memref<?x?x32xf32>, %v: memref<?x?x6x64xf32>,
                     %y: memref<?x?x6x64xf32>, %s: memref<?x6x64x32xf32>)
    attributes {nvptx.host} {
  ssm.scan ins(%k, %v : memref<?x?x32xf32>, memref<?x?x6x64xf32>)
      initial(%s : memref<?x6x64x32xf32>)
      outs(%y, %s : memref<?x?x6x64xf32>, memref<?x6x64x32xf32>)
      maps {ins = [affine_map<(b, t, h, e, n) -> (b, t, n)>,
                   affine_map<(b, t, h, e, n) -> (b, t, h, e)>],
            state = affine_map<(b, t, h, e, n) -> (b, h, e, n)>,
            output = affine_map<(b, t, h, e, n) -> (b, t, h, e)>}
      coefficients {
  ^bb0(%kv: f32, %vv: f32):
    %write = arith.mulf %kv, %vv : f32
    ssm.coefficients write(%write : f32) read(%kv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 16>}
  return
}

// -----

// A block of threads a row: all that a thread reads is on its way before the sum.
// CHECK-LABEL: func.func @norm(
// CHECK: gpu.launch
// CHECK-COUNT-8: memref.load
// CHECK: gpu.all_reduce add
// CHECK-NOT: memref.load
// CHECK-COUNT-4: memref.store
// CHECK: gpu.barrier
// ALONE-LABEL: func.func @norm(
// ALONE-NOT: gpu.launch
func.func @norm(%x: memref<?x?x256xf32>, %w: memref<256xf32>, %y: memref<?x?x256xf32>)
    attributes {nvptx.host} {
  ssm.norm rms eps 1.000000e-05 input(%x : memref<?x?x256xf32>)
      epilogue_ins(%w : memref<256xf32>) outs(%y : memref<?x?x256xf32>)
      maps [affine_map<(b, t, d) -> (d)>] epilogue {
  ^bb0(%v: f32, %wv: f32):
    %out = arith.mulf %v, %wv : f32
    ssm.yield %out : f32
  }
  return
}

// -----

// Four numbers of 16 bits go at once where memory is aligned to those; so do weights of 32.
// CHECK-LABEL: func.func @norm_of_neighbours(
// CHECK-SAME: %[[X:.*]]: memref<?x?x256xbf16>, %[[W:.*]]: memref<256xf32>, %[[Y:.*]]: memref<?x?x256xbf16>)
// CHECK: arith.remui %{{.*}}, %c16
// CHECK: scf.if
// CHECK: gpu.launch
// CHECK: vector.load %[[X]]{{.*}} vector<4xbf16>
// CHECK: vector.load %[[W]]{{.*}} vector<4xf32>
// CHECK-NOT: memref.load
// CHECK: gpu.all_reduce add
// CHECK: vector.store {{.*}}, %[[Y]]
// CHECK: } else {
// CHECK: gpu.launch
// CHECK-NOT: vector
// CHECK: gpu.barrier
func.func @norm_of_neighbours(%x: memref<?x?x256xbf16>, %w: memref<256xf32>,
                              %y: memref<?x?x256xbf16>) attributes {nvptx.host} {
  ssm.norm rms eps 1.000000e-05 input(%x : memref<?x?x256xbf16>)
      epilogue_ins(%w : memref<256xf32>) outs(%y : memref<?x?x256xbf16>)
      maps [affine_map<(b, t, d) -> (d)>] epilogue {
  ^bb0(%v: f32, %wv: f32):
    %out = arith.mulf %v, %wv : f32
    %narrow = arith.truncf %out : f32 to bf16
    ssm.yield %narrow : bf16
  }
  return
}

// -----

// A group of 5 has none.
// CHECK-LABEL: func.func @norm_without_neighbours(
// CHECK-NOT: vector
// CHECK: return
func.func @norm_without_neighbours(%x: memref<?x?x10xbf16>, %y: memref<?x?x10xbf16>)
    attributes {nvptx.host} {
  ssm.norm rms eps 1.000000e-05 groups 2 input(%x : memref<?x?x10xbf16>)
      outs(%y : memref<?x?x10xbf16>) maps [] epilogue {
  ^bb0(%v: f32):
    %narrow = arith.truncf %v : f32 to bf16
    ssm.yield %narrow : bf16
  }
  return
}

// -----

// Few tokens share the sum over the depth; tiles, small and large, for more.
// CHECK-LABEL: func.func @matmul(
// CHECK: scf.if
// CHECK: gpu.launch {{.*}} workgroup(%{{.*}} : memref<16x8x16xf32, #gpu.address_space<workgroup>>)
// CHECK: gpu.barrier
// CHECK: gpu.launch {{.*}} workgroup(%{{.*}} : memref<16x36xf32, #gpu.address_space<workgroup>>
// CHECK: gpu.launch {{.*}} workgroup(%{{.*}} : memref<16x132xf32, #gpu.address_space<workgroup>>
// ALONE-LABEL: func.func @matmul(
// ALONE-NOT: gpu.launch
func.func @matmul(%x: memref<?x?x64xf32>, %w: memref<2x64x64xf32>, %y: memref<?x?x100xf32>)
    attributes {nvptx.host} {
  ssm.matmul input(%x : memref<?x?x64xf32>) weight(%w : memref<2x64x64xf32>)
      outs(%y : memref<?x?x100xf32>) maps [] epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  }
  return
}

// -----

// Everything else is loops over independent points.
// CHECK-LABEL: func.func @generic(
// CHECK: scf.parallel
// CHECK: scf.parallel
func.func @generic(%x: memref<?x8xf32>, %y: memref<?x8xf32>, %z: memref<?x8xf32>)
    attributes {nvptx.host} {
  linalg.generic {indexing_maps = [affine_map<(b, d) -> (b, d)>,
                                   affine_map<(b, d) -> (b, d)>],
                  iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<?x8xf32>) outs(%y : memref<?x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.addf %in, %in : f32
    linalg.yield %0 : f32
  }
  memref.copy %y, %z : memref<?x8xf32> to memref<?x8xf32>
  return
}

// -----

// A single token is all of a thread, which writes the history, too. Otherwise a thread has
// eight: each tap and token is loaded once, what is before the call from the history.
// CHECK-LABEL: func.func @conv(
// CHECK: scf.if
// CHECK: {ssmc.independent}
// CHECK: arith.ceildivui %{{.*}}, %{{.*}} : index
// CHECK: {ssmc.independent}
// ALONE-LABEL: func.func @conv(
// ALONE: arith.cmpi eq
// ALONE: scf.if
// ALONE: memref.store %{{.*}} : memref<?x1x64xf32>
// ALONE: memref.store %{{.*}} : memref<?x?x64xf32>
// ALONE: arith.ceildivui
// ALONE: scf.if
// ALONE-COUNT-2: memref.load %{{.*}} : memref<64x2xf32>
// ALONE-COUNT-9: memref.load %{{.*}} : memref<?x?x64xf32>
// ALONE-NOT: memref.load
// ALONE-COUNT-8: memref.store %{{.*}} : memref<?x?x64xf32>
// ALONE: else
// ALONE: memref.load %{{.*}} : memref<?x1x64xf32>
// ALONE-COUNT-8: memref.store %{{.*}} : memref<?x?x64xf32>
// ALONE: memref.store %{{.*}} : memref<?x1x64xf32>
func.func @conv(%x: memref<?x?x64xf32>, %k: memref<64x2xf32>, %h: memref<?x1x64xf32>,
                %y: memref<?x?x64xf32>) attributes {nvptx.host} {
  ssm.conv input(%x : memref<?x?x64xf32>) kernel(%k : memref<64x2xf32>)
      history(%h : memref<?x1x64xf32>)
      outs(%y, %h : memref<?x?x64xf32>, memref<?x1x64xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, j)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 2
      epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  }
  return
}

// -----

// Rows of bf16 are for tensor cores. Few tokens: weights are asked for before the kernel
// waits for those before it, and the norm that only makes the tokens is computed here: it
// scales the sums. For more it has a launch of its own.
// CHECK-LABEL: func.func @tensor_cores(
// CHECK: scf.if
// CHECK: gpu.launch
// CHECK: vector.load {{.*}} {alignment = 16 : i64} : memref<96x32x1x2xbf16>, vector<8xbf16>
// CHECK: griddepcontrol.wait
// CHECK: vector.store {{.*}} {alignment = 16 : i64} : memref<8x96xbf16, #gpu.address_space<workgroup>>, vector<8xbf16>
// CHECK: gpu.barrier
// CHECK: vector.load {{.*}} : memref<8x96xbf16, #gpu.address_space<workgroup>>, vector<8xbf16>
// CHECK: nvvm.mma.sync
// CHECK: gpu.barrier
// CHECK: math.sqrt
// CHECK: memref.store %{{.*}} : memref<?x?x96xf32>
// CHECK: else
// CHECK: gpu.launch
// CHECK: gpu.all_reduce
// CHECK: gpu.launch
// CHECK: gpu.launch
// CHECK: nvvm.cp.async.shared.global
// CHECK: griddepcontrol.wait
// CHECK: nvvm.cp.async.commit.group
// CHECK: nvvm.cp.async.wait.group
// CHECK: gpu.barrier
// CHECK: nvvm.ldmatrix
// CHECK: nvvm.mma.sync
// CHECK-NOT: ssm.
// ALONE-LABEL: func.func @tensor_cores(
// ALONE-NOT: mma
func.func @tensor_cores(%memory: memref<?xi8>, %at: index, %b: index, %t: index,
                        %w: memref<96x32x1x2xbf16>, %x: memref<?x?x64xf32>,
                        %y: memref<?x?x96xf32>) attributes {nvptx.host} {
  %n = memref.view %memory[%at][%b, %t] : memref<?xi8> to memref<?x?x64xf32>
  ssm.norm rms eps 1.0e-05 input(%x : memref<?x?x64xf32>) outs(%n : memref<?x?x64xf32>)
      maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  }
  ssm.matmul round_input input(%n : memref<?x?x64xf32>) weight(%w : memref<96x32x1x2xbf16>)
      epilogue_ins(%y : memref<?x?x96xf32>) outs(%y : memref<?x?x96xf32>)
      maps [affine_map<(b, t, n) -> (b, t, n)>] epilogue {
  ^bb0(%v: f32, %old: f32):
    %0 = arith.addf %v, %old : f32
    ssm.yield %0 : f32
  }
  return
}

// -----

// A call that begins a sequence of at least 1000 tokens by transforms: tokens channel by
// channel, the transforms in a launch of their own, outputs token by token, with the
// epilogue. Others add up all lags.
// CHECK-LABEL: func.func @transforms(
// CHECK: arith.cmpi eq, %[[LENGTH:.*]], %c1
// CHECK: scf.if
// CHECK: else
// CHECK: arith.cmpi sgt, %[[LENGTH]], %c999
// CHECK: arith.cmpi eq, %{{.*}}, %c0
// CHECK: scf.if
// CHECK: gpu.launch {{.*}} workgroup(%{{.*}} : memref<32x65xf32, #gpu.address_space<workgroup>>)
// CHECK: gpu.barrier
// CHECK: gpu.launch {{.*}} threads({{.*}}) in ({{.*}} = %c256{{.*}} workgroup(%[[SHARED:.*]] : memref<8704xf32, #gpu.address_space<workgroup>>)
// CHECK: scf.for
// Into shared memory and out of it, twice; then the kernel's values, those of earlier
// blocks, and back.
// CHECK-COUNT-16: vector.store %{{.*}}, %[[SHARED]]
// CHECK: gpu.barrier
// CHECK-COUNT-16: vector.load %[[SHARED]]
// CHECK-COUNT-16: vector.store %{{.*}}, %[[SHARED]]
// CHECK: gpu.barrier
// CHECK-COUNT-16: vector.load %[[SHARED]]
// CHECK-COUNT-8: vector.store {{.*}} {alignment = 16 : i64} : memref<?xf32>, vector<4xf32>
// CHECK-COUNT-8: vector.load {{.*}} {alignment = 16 : i64} : memref<491520xf32>, vector<4xf32>
// CHECK: scf.for
// CHECK: vector.load {{.*}} {alignment = 16 : i64} : memref<?xf32>, vector<4xf32>
// CHECK: gpu.barrier
// CHECK: gpu.barrier
// CHECK: } {nvptx.block = 256 : i64, nvptx.min_blocks = 3 : i64}
// CHECK: gpu.launch
// CHECK: arith.mulf %{{.*}}, %{{.*}} : f32
// CHECK: memref.store %{{.*}} : memref<?x?x20xf32>
// CHECK: else
// CHECK: gpu.launch
// CHECK-NOT: ssm.
// ALONE-LABEL: func.func @transforms(
// ALONE-NOT: gpu.launch
func.func @transforms(%x: memref<?x?x20xf32>, %k: memref<5000x20xf32>,
    %h: memref<?x?x20xf32>, %p: index, %s: memref<20x12288x2x1xf32>,
    %r: memref<4096x2xf32>, %z: memref<?x?x20xf32>, %y: memref<?x?x20xf32>,
    %w: memref<?x?x60xf32>) attributes {nvptx.host} {
  ssm.conv input(%x : memref<?x?x20xf32>) kernel(%k : memref<5000x20xf32>)
      history(%h : memref<?x?x20xf32>) position(%p : index)
      spectrum(%s : memref<20x12288x2x1xf32>) roots(%r : memref<4096x2xf32>)
      epilogue_ins(%z : memref<?x?x20xf32>)
      outs(%y, %h, %w : memref<?x?x20xf32>, memref<?x?x20xf32>, memref<?x?x60xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            epilogue = [affine_map<(b, t, c, j) -> (b, t, c)>],
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 5000
      epilogue {
  ^bb0(%acc: f32, %gate: f32):
    %0 = arith.mulf %acc, %gate : f32
    ssm.yield %0 : f32
  } attributes {shortest_fft = 1000 : i64, spectrum_lane = 2 : i64}
  return
}

// -----

// What makes the input is computed where transforms read it, from arguments, and stored
// for sums over all lags alone; its tokens go into the history by the way.
// CHECK-LABEL: func.func @producer(
// CHECK: scf.if
// CHECK: scf.parallel
// CHECK: memref.store %{{.*}}, %[[INPUT:.*]][%{{.*}}] : memref<?x?x20xf32>
// CHECK: gpu.launch
// CHECK: else
// CHECK: scf.if
// CHECK: gpu.launch
// CHECK-COUNT-16: memref.load %{{.*}} : memref<?x?x20xbf16>
// CHECK-COUNT-8: memref.store %{{.*}}, %arg3[
// CHECK: gpu.barrier
// CHECK-NOT: memref.store %{{.*}}, %arg3[
// CHECK: else
// CHECK: scf.parallel
// CHECK: memref.store %{{.*}}, %[[INPUT]][
func.func @producer(%u: memref<?x?x20xbf16>, %v: memref<?x?x20xbf16>, %k: memref<5000x20xf32>,
    %h: memref<?x?x20xf32>, %p: index, %s: memref<20x12288x2x1xf32>,
    %r: memref<4096x2xf32>, %y: memref<?x?x20xf32>, %w: memref<?x?x60xf32>,
    %memory: memref<?xi8>, %at: index, %b: index, %t: index) attributes {nvptx.host} {
  %x = memref.view %memory[%at][%b, %t] : memref<?xi8> to memref<?x?x20xf32>
  linalg.generic {indexing_maps = [affine_map<(b, t, c) -> (b, t, c)>, affine_map<(b, t, c) -> (b, t, c)>,
                                   affine_map<(b, t, c) -> (b, t, c)>],
                  iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%u, %v : memref<?x?x20xbf16>, memref<?x?x20xbf16>) outs(%x : memref<?x?x20xf32>) {
  ^bb0(%a: bf16, %c: bf16, %old: f32):
    %0 = arith.extf %a : bf16 to f32
    %1 = arith.extf %c : bf16 to f32
    %2 = arith.mulf %0, %1 : f32
    linalg.yield %2 : f32
  }
  ssm.conv input(%x : memref<?x?x20xf32>) kernel(%k : memref<5000x20xf32>)
      history(%h : memref<?x?x20xf32>) position(%p : index)
      spectrum(%s : memref<20x12288x2x1xf32>) roots(%r : memref<4096x2xf32>)
      outs(%y, %h, %w : memref<?x?x20xf32>, memref<?x?x20xf32>, memref<?x?x60xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 5000
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } attributes {shortest_fft = 1000 : i64, spectrum_lane = 2 : i64}
  return
}

// -----

// A history of which nothing else is made is left as it is where the frame says that nobody
// keeps states: by the tokens that go into it, and after sums over all lags.
// CHECK-LABEL: func.func @forgets(
// CHECK: %[[FIELD:.*]] = llvm.getelementptr %arg0[88]
// CHECK: %[[KEEPS:.*]] = arith.cmpi ne, %{{.*}}, %c0_i64
// CHECK: scf.if
// CHECK: gpu.launch
// CHECK: scf.if %[[KEEPS]] {
// CHECK: memref.store
// CHECK: else
// CHECK: %[[TOKENS:.*]] = arith.select %[[KEEPS]], %{{.*}}, %c0 : index
// CHECK: gpu.launch
// CHECK: %[[WRITES:.*]] = arith.cmpi sgt, %[[TOKENS]], %c0
// CHECK: scf.if %[[WRITES]] {
// CHECK-COUNT-8: scf.if
// CHECK: gpu.barrier
func.func @forgets(%frame: !llvm.ptr) attributes {nvptx.host} {
  %x = builtin.unrealized_conversion_cast %frame : !llvm.ptr to memref<?x?x20xf32>
  %k = builtin.unrealized_conversion_cast %frame : !llvm.ptr to memref<5000x20xf32>
  %h = builtin.unrealized_conversion_cast %frame : !llvm.ptr to memref<?x?x20xf32>
  %p = builtin.unrealized_conversion_cast %frame : !llvm.ptr to index
  %s = builtin.unrealized_conversion_cast %frame : !llvm.ptr to memref<20x12288x2x1xf32>
  %r = builtin.unrealized_conversion_cast %frame : !llvm.ptr to memref<4096x2xf32>
  %y = builtin.unrealized_conversion_cast %frame : !llvm.ptr to memref<?x?x20xf32>
  %w = builtin.unrealized_conversion_cast %frame : !llvm.ptr to memref<?x?x60xf32>
  ssm.conv input(%x : memref<?x?x20xf32>) kernel(%k : memref<5000x20xf32>)
      history(%h : memref<?x?x20xf32>) position(%p : index)
      spectrum(%s : memref<20x12288x2x1xf32>) roots(%r : memref<4096x2xf32>)
      outs(%y, %h, %w : memref<?x?x20xf32>, memref<?x?x20xf32>, memref<?x?x60xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 5000
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } attributes {shortest_fft = 1000 : i64, spectrum_lane = 2 : i64}
  return
}
