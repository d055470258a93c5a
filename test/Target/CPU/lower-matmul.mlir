// RUN: ssm-opt %s -ssm-lower-matmul='vector-bits=256 vector-registers=16' | FileCheck %s

// RUN: ssm-opt %s -ssm-lower-matmul='vector-bits=512 vector-registers=32 bf16-unit=tiles' | FileCheck %s --check-prefix=TILES
// RUN: ssm-opt %s -ssm-lower-matmul='vector-bits=512 vector-registers=32 bf16-unit=dot' | FileCheck %s --check-prefix=DOT
// RUN: ssm-opt %s -ssm-lower-matmul='vector-bits=256 vector-registers=16 prefetch-bytes=8192' | FileCheck %s --check-prefix=AHEAD

// One to four tokens: inputs are copied to the function's own memory, then each
// panel meets all of them.
// CHECK-LABEL: func @linear
// CHECK: %[[SCRATCH:.*]] = memref.alloca() {alignment = 64 : i64} : memref<1280xi8>
// CHECK: scf.if
// CHECK: memref.view %[[SCRATCH]]{{.*}} to memref<4x80xf32>
// CHECK-COUNT-1: scf.parallel
// CHECK: memref.alloca() {alignment = 64 : i64} : memref<4x16xf32>
// CHECK: scf.index_switch
// CHECK: case 3
// CHECK: case 2
// CHECK: case 1
// CHECK-NOT: memref.prefetch
// CHECK: default
// CHECK: ssm.cost
// More: tiles of 6 tokens by two registers, then 4, 2 and 1; one parallel loop.
// CHECK: else
// CHECK-COUNT-1: scf.parallel
// CHECK-DAG: memref.alloca() {alignment = 64 : i64} : memref<6x80xf32>
// CHECK-DAG: memref.alloca() {alignment = 64 : i64} : memref<6x16xf32>
// CHECK: scf.index_switch
// CHECK: case 4
// CHECK: case 2
// CHECK: case 1
// CHECK: default
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>)
// 40 columns are whole registers: no masks.
// CHECK-NOT: vector.maskedstore
// CHECK: ssm.cost
// Rows of 64 bytes: 128 of them ahead, one prefetch each, and 64 into the first cache;
// not where blocks of weights are in a cache.
// AHEAD-LABEL: func @linear
// AHEAD: case 1
// AHEAD: %[[C128:.*]] = arith.constant 128 : index
// AHEAD-NEXT: %[[ROW:.*]] = arith.addi %{{.*}}, %[[C128]] : index
// AHEAD: memref.prefetch %{{.*}}[%{{.*}}, %[[ROW]], %{{.*}}], read, locality<2>, data
// AHEAD: %[[C64:.*]] = arith.constant 64 : index
// AHEAD-NEXT: %[[NEAR:.*]] = arith.addi %{{.*}}, %[[C64]] : index
// AHEAD: memref.prefetch %{{.*}}[%{{.*}}, %[[NEAR]], %{{.*}}], read, locality<3>, data
// AHEAD: else
// AHEAD: scf.index_switch
// AHEAD-NOT: memref.prefetch
// AHEAD-LABEL: func @last_columns_masked
func.func @linear(%x: memref<?x?x64xf32>, %w: memref<3x64x16xf32>,
                  %b: memref<40xf32>, %y: memref<?x?x40xf32>) {
  ssm.matmul input(%x : memref<?x?x64xf32>) weight(%w : memref<3x64x16xf32>)
      epilogue_ins(%b : memref<40xf32>) outs(%y : memref<?x?x40xf32>)
      maps [affine_map<(b, t, n) -> (n)>] epilogue {
  ^bb0(%acc: f32, %bv: f32):
    %out = arith.addf %acc, %bv : f32
    ssm.yield %out : f32
  }
  return
}

// CHECK-LABEL: func @last_columns_masked
// CHECK: vector.store {{.*}} vector<8xf32>
// CHECK: vector.maskedstore
func.func @last_columns_masked(%x: memref<?x64xf32>, %w: memref<3x64x16xf32>,
                               %y: memref<?x41xf32>) {
  ssm.matmul input(%x : memref<?x64xf32>) weight(%w : memref<3x64x16xf32>)
      outs(%y : memref<?x41xf32>) maps [] epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  }
  return
}

// Pairs of bf16 become f32 by a shift and a mask.
// CHECK-LABEL: func @bf16
// CHECK: memref.collapse_shape
// CHECK: vector.load {{.*}} vector<16xbf16>
// CHECK: vector.bitcast {{.*}} : vector<16xbf16> to vector<8xi32>
// CHECK: arith.shli
// CHECK: arith.andi
func.func @bf16(%x: memref<?x7xf32>, %w: memref<3x4x16x2xbf16>,
                %y: memref<?x48xf32>) {
  ssm.matmul input(%x : memref<?x7xf32>) weight(%w : memref<3x4x16x2xbf16>)
      outs(%y : memref<?x48xf32>) maps [] epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  }
  return
}

// Sums of all the tokens of a task are kept between blocks of the depth.
// Few tokens take it at once.
// CHECK-LABEL: func @deep
// CHECK: memref.view {{.*}} to memref<4x2032xf32>
// CHECK: memref.alloca() {{.*}} : memref<96x16xf32>
// CHECK: scf.index_switch
// CHECK: scf.if %{{.*}} -> (vector<8xf32>
// CHECK: vector.load
func.func @deep(%x: memref<?x2000xf32>, %w: memref<1x2000x16xf32>,
                %y: memref<?x16xf32>) {
  ssm.matmul input(%x : memref<?x2000xf32>) weight(%w : memref<1x2000x16xf32>)
      outs(%y : memref<?x16xf32>) maps [] epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  }
  return
}

// Inputs too long for a cache are cut, however few tokens there are.
// CHECK-LABEL: func @very_deep
// CHECK-NOT: memref.view
// CHECK-COUNT-1: scf.parallel
// CHECK: return
func.func @very_deep(%x: memref<?x20000xf32>, %w: memref<1x20000x16xf32>,
                     %y: memref<?x16xf32>) {
  ssm.matmul input(%x : memref<?x20000xf32>) weight(%w : memref<1x20000x16xf32>)
      outs(%y : memref<?x16xf32>) maps [] epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  }
  return
}

// CHECK-LABEL: func @pack
// CHECK: scf.parallel
// CHECK: ssm.cost
func.func @pack(%w: memref<40x64xf32>, %p: memref<3x32x16x2xbf16>) {
  ssm.pack weight(%w : memref<40x64xf32>) outs(%p : memref<3x32x16x2xbf16>)
  return
}

// Both operands bf16: matrix registers for 8 tokens or more if the kernel lets us,
// otherwise vectors; or dot products of pairs.
// TILES-LABEL: func @narrow
// TILES: arith.cmpi uge
// TILES: llvm.inline_asm has_side_effects
// TILES: scf.parallel
// TILES: "llvm.x86.ldtilecfg"
// TILES: "llvm.x86.tdpbf16ps"
// TILES: "llvm.x86.tilerelease"
// TILES: scf.parallel
// TILES-NOT: tdpbf16ps
// DOT-LABEL: func @narrow
// DOT-NOT: tdpbf16ps
// DOT: "llvm.x86.avx512bf16.dpbf16ps.512"
func.func @narrow(%x: memref<?x64xf32>, %w: memref<2x32x32x2xbf16>, %y: memref<?x64xf32>) {
  ssm.matmul round_input input(%x : memref<?x64xf32>) weight(%w : memref<2x32x32x2xbf16>)
      outs(%y : memref<?x64xf32>) maps [] epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  }
  return
}
