// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-lower-to-cpu{vector-bits=256}))' | FileCheck %s --implicit-check-not=linalg. --implicit-check-not='ssm.scan'

// Tasks over blocks of rows, vectors of eight lanes inside.
// CHECK-LABEL: func.func @elementwise
// CHECK: scf.parallel
// CHECK: vector<8xf32>
func.func @elementwise(%x: memref<?x?x64xf32>, %y: memref<?x?x64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(b, t, d) -> (b, t, d)>,
                                   affine_map<(b, t, d) -> (b, t, d)>],
                  iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x : memref<?x?x64xf32>) outs(%y : memref<?x?x64xf32>) {
  ^bb0(%a: f32, %o: f32):
    %0 = arith.mulf %a, %a : f32
    linalg.yield %0 : f32
  }
  return
}

// A recurrence: channels in the lanes, the state in a vector; what later tokens need is
// fetched. What they write is fetched too, unless all of it is larger than the last cache
// and aligned: then it goes past the caches, before a fence.
// CHECK-LABEL: func.func @recurrence
// CHECK: %[[LARGE:.+]] = arith.cmpi uge, {{.*}}, %c16777216
// CHECK: %[[STREAMED:.+]] = arith.andi %[[LARGE]]
// CHECK: scf.parallel
// CHECK: scf.if %[[STREAMED]] {
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<8xf32>
// CHECK-COUNT-4: memref.prefetch {{.*}}, read, locality<2>, data : memref<?x?x16xf32>
// CHECK-NOT: memref.prefetch
// CHECK: vector.store {{.*}} {alignment = 32 : i64, nontemporal = true}
// CHECK: llvm.fence seq_cst
// CHECK: else
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<8xf32>
// CHECK-COUNT-6: memref.prefetch {{.*}}, read, locality<2>, data : memref<?x?x16xf32>
// CHECK-NOT: memref.prefetch
// CHECK: vector.store {{.*}}] : memref<?x?x16xf32>, vector<8xf32>
func.func @recurrence(%g: memref<?x?x16xf32>, %x: memref<?x?x16xf32>,
                      %y: memref<?x?x16xf32>, %s: memref<?x16xf32>) {
  ssm.scan ins(%g, %x : memref<?x?x16xf32>, memref<?x?x16xf32>)
      initial(%s : memref<?x16xf32>)
      outs(%y, %s : memref<?x?x16xf32>, memref<?x16xf32>)
      maps {ins = [affine_map<(b, t, d) -> (b, t, d)>,
                   affine_map<(b, t, d) -> (b, t, d)>],
            epilogue = [], state = affine_map<(b, t, d) -> (b, d)>,
            output = affine_map<(b, t, d) -> (b, t, d)>}
      coefficients {
  ^bb0(%a: f32, %u: f32):
    ssm.coefficients decay(%a : f32) write(%u : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}

// A recurrence of heads: rows of keys that each head has of its own are fetched a tile of
// tokens ahead, as those of its lanes are; those that heads share are in a cache.
// CHECK-LABEL: func.func @heads
// CHECK-NOT: memref.prefetch {{.*}} : memref<?x?x100xf32>
// CHECK: memref.prefetch {{.*}}, read, locality<2>, data : memref<?x?x4x100xf32>
// CHECK-NOT: memref.prefetch {{.*}} : memref<?x?x100xf32>
// CHECK: memref.prefetch {{.*}}, read, locality<2>, data : memref<?x?x4x16xf32>
// CHECK-NOT: memref.prefetch {{.*}} : memref<?x?x100xf32>
// CHECK: return
func.func @heads(%x: memref<?x?x4x16xf32>, %k: memref<?x?x4x100xf32>,
                 %q: memref<?x?x100xf32>, %y: memref<?x?x4x16xf32>,
                 %s: memref<?x4x16x100xf32>) {
  ssm.scan ins(%x, %k, %q : memref<?x?x4x16xf32>, memref<?x?x4x100xf32>,
               memref<?x?x100xf32>)
      initial(%s : memref<?x4x16x100xf32>)
      outs(%y, %s : memref<?x?x4x16xf32>, memref<?x4x16x100xf32>)
      maps {ins = [affine_map<(b, t, h, p, n) -> (b, t, h, p)>,
                   affine_map<(b, t, h, p, n) -> (b, t, h, n)>,
                   affine_map<(b, t, h, p, n) -> (b, t, n)>],
            epilogue = [], state = affine_map<(b, t, h, p, n) -> (b, h, p, n)>,
            output = affine_map<(b, t, h, p, n) -> (b, t, h, p)>}
      coefficients {
  ^bb0(%xv: f32, %kv: f32, %qv: f32):
    %minus = arith.negf %kv : f32
    %write = arith.mulf %xv, %kv : f32
    ssm.coefficients write(%write : f32) read(%qv : f32) erase(%kv, %minus : f32, f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}
