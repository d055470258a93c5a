// RUN: ssm-opt %s --nvptx-lower-ops --canonicalize --cse --split-input-file | FileCheck %s

// A recurrence with tables, whose results are bf16: blocks of eight channels, 16 bytes of a token, with the rows of the
// batch as rows of products, or for few rows their chunks. Channels are paired to words by permutations of bytes. The
// states of what is left of the sequence go on token by token. Memory that is aligned otherwise takes the recurrence.
// CHECK-LABEL: func.func @tables(
// CHECK: scf.if
// CHECK: %[[ISALIGNED:.*]] = arith.cmpi eq
// CHECK: scf.if %[[ISALIGNED]]
// CHECK: gpu.launch {{.*}} workgroup(%[[WORDS:.*]] : memref<3x8x8x32xi32, #gpu.address_space<workgroup>>)
// CHECK: gpu.barrier
// CHECK: scf.for
// CHECK: llvm.call_intrinsic "llvm.nvvm.prmt"
// CHECK: vector.load {{.*}} {alignment = 16 : i64} : memref<?x?x16xbf16>, vector<8xbf16>
// CHECK-COUNT-8: memref.load %[[WORDS]]
// CHECK: nvvm.mma.sync {{.*}} shape = #nvvm.shape<m = 16, n = 8, k = 16>
// CHECK-NOT: gpu.shuffle
// CHECK: gpu.barrier
// CHECK: vector.store {{.*}} {alignment = 16 : i64} : memref<?x?x16xbf16>, vector<8xbf16>
// CHECK: gpu.launch
// CHECK: nvvm.mma.sync
// CHECK: gpu.shuffle
// CHECK: } else {
// CHECK-NOT: nvvm.mma.sync
func.func @tables(%u: memref<?x?x16xbf16>, %a: memref<16x32xf32>, %c: memref<16x32xf32>, %y: memref<?x?x16xbf16>,
    %s: memref<?x16x32xf32>, %write: memref<1x16x32x32x1x1xf32>, %read: memref<1x16x1x32x1x32x1xf32>,
    %kernel: memref<1x16x1x1x1x32x1xf32>, %decay: memref<1x16x2x32x1xf32>) attributes {nvptx.host} {
  ssm.scan ins(%u, %a, %c : memref<?x?x16xbf16>, memref<16x32xf32>, memref<16x32xf32>)
      initial(%s : memref<?x16x32xf32>)
      tables(%write, %read, %kernel, %decay : memref<1x16x32x32x1x1xf32>, memref<1x16x1x32x1x32x1xf32>,
             memref<1x16x1x1x1x32x1xf32>, memref<1x16x2x32x1xf32>)
      outs(%y, %s : memref<?x?x16xbf16>, memref<?x16x32xf32>)
      maps {ins = [affine_map<(b, t, e, n) -> (b, t, e)>, affine_map<(b, t, e, n) -> (e, n)>,
                   affine_map<(b, t, e, n) -> (e, n)>],
            state = affine_map<(b, t, e, n) -> (b, e, n)>, output = affine_map<(b, t, e, n) -> (b, t, e)>}
      coefficients {
  ^bb0(%x: bf16, %decayed: f32, %column: f32):
    %wide = arith.extf %x : bf16 to f32
    ssm.coefficients decay(%decayed : f32) write(%wide : f32) read(%column : f32) inputs(%wide : f32)
  } epilogue {
  ^bb0(%o: f32):
    %rounded = arith.truncf %o : f32 to bf16
    ssm.yield %rounded : bf16
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 32>}
  return
}

// -----

// More numbers than registers hold tables for: the recurrence.
// CHECK-LABEL: func.func @many_numbers(
// CHECK-NOT: nvvm.mma.sync
func.func @many_numbers(%u: memref<?x?x16xbf16>, %a: memref<16x80xf32>, %c: memref<16x80xf32>, %y: memref<?x?x16xbf16>,
    %s: memref<?x16x80xf32>, %write: memref<1x16x80x32x1x1xf32>, %read: memref<1x16x1x32x1x80x1xf32>,
    %kernel: memref<1x16x1x1x1x32x1xf32>, %decay: memref<1x16x2x80x1xf32>) attributes {nvptx.host} {
  ssm.scan ins(%u, %a, %c : memref<?x?x16xbf16>, memref<16x80xf32>, memref<16x80xf32>)
      initial(%s : memref<?x16x80xf32>)
      tables(%write, %read, %kernel, %decay : memref<1x16x80x32x1x1xf32>, memref<1x16x1x32x1x80x1xf32>,
             memref<1x16x1x1x1x32x1xf32>, memref<1x16x2x80x1xf32>)
      outs(%y, %s : memref<?x?x16xbf16>, memref<?x16x80xf32>)
      maps {ins = [affine_map<(b, t, e, n) -> (b, t, e)>, affine_map<(b, t, e, n) -> (e, n)>,
                   affine_map<(b, t, e, n) -> (e, n)>],
            state = affine_map<(b, t, e, n) -> (b, e, n)>, output = affine_map<(b, t, e, n) -> (b, t, e)>}
      coefficients {
  ^bb0(%x: bf16, %decayed: f32, %column: f32):
    %wide = arith.extf %x : bf16 to f32
    ssm.coefficients decay(%decayed : f32) write(%wide : f32) read(%column : f32) inputs(%wide : f32)
  } epilogue {
  ^bb0(%o: f32):
    %rounded = arith.truncf %o : f32 to bf16
    ssm.yield %rounded : bf16
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 32>}
  return
}
