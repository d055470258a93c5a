// RUN: ssm-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(ssm-lower-to-cpu{vector-bits=256},canonicalize,cse))' | FileCheck %s

#bte = affine_map<(b, t, e, n) -> (b, t, e)>
#en = affine_map<(b, t, e, n) -> (e, n)>

// Sixteen vectors of lanes: two side by side take turns, tile by tile, so the states of
// both are in scratch memory, and eight tasks are left.
// CHECK-LABEL: @pairs
// CHECK-DAG: %[[TWO:.*]] = arith.constant 2 : index
// CHECK-DAG: %[[ONE:.*]] = arith.constant 1 : index
// CHECK: memref.alloca() {{.*}} : memref<2x8xf32>
// The state before, tiles of both and then what is left of the sequence, the state after.
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[TWO]] step %[[ONE]]
// CHECK: scf.for
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[TWO]] step %[[ONE]]
// CHECK: memref.prefetch
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[TWO]] step %[[ONE]]
func.func @pairs(%a: memref<128x1xf32>, %u: memref<?x?x128xf32>,
    %y: memref<?x?x128xf32>, %s: memref<?x128x1xf32>,
    %write: memref<1x16x1x4x1x8xf32>, %read: memref<1x16x1x4x1x1x8xf32>,
    %kernel: memref<1x16x1x1x1x4x8xf32>, %decay: memref<1x16x2x1x8xf32>) {
  ssm.scan
      ins(%a, %u : memref<128x1xf32>, memref<?x?x128xf32>)
      tables(%write, %read, %kernel, %decay : memref<1x16x1x4x1x8xf32>,
          memref<1x16x1x4x1x1x8xf32>, memref<1x16x1x1x1x4x8xf32>,
          memref<1x16x2x1x8xf32>)
      outs(%y, %s : memref<?x?x128xf32>, memref<?x128x1xf32>)
      maps {ins = [#en, #bte],
            state = affine_map<(b, t, e, n) -> (b, e, n)>, output = #bte}
      coefficients {
  ^bb0(%av: f32, %uv: f32):
    ssm.coefficients decay(%av : f32) write(%uv : f32) read(%av : f32) inputs(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 4>}
  return
}

// -----

#bte = affine_map<(b, t, e, n) -> (b, t, e)>
#en = affine_map<(b, t, e, n) -> (e, n)>

// Two vectors of lanes stay two tasks.
// CHECK-LABEL: @few
// CHECK-NOT: memref<2x8xf32>
// CHECK: memref.alloca() {{.*}} : memref<1x8xf32>
func.func @few(%a: memref<16x1xf32>, %u: memref<?x?x16xf32>,
    %y: memref<?x?x16xf32>, %s: memref<?x16x1xf32>,
    %write: memref<1x2x1x4x1x8xf32>, %read: memref<1x2x1x4x1x1x8xf32>,
    %kernel: memref<1x2x1x1x1x4x8xf32>, %decay: memref<1x2x2x1x8xf32>) {
  ssm.scan
      ins(%a, %u : memref<16x1xf32>, memref<?x?x16xf32>)
      tables(%write, %read, %kernel, %decay : memref<1x2x1x4x1x8xf32>,
          memref<1x2x1x4x1x1x8xf32>, memref<1x2x1x1x1x4x8xf32>, memref<1x2x2x1x8xf32>)
      outs(%y, %s : memref<?x?x16xf32>, memref<?x16x1xf32>)
      maps {ins = [#en, #bte],
            state = affine_map<(b, t, e, n) -> (b, e, n)>, output = #bte}
      coefficients {
  ^bb0(%av: f32, %uv: f32):
    ssm.coefficients decay(%av : f32) write(%uv : f32) read(%av : f32) inputs(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 4>}
  return
}
