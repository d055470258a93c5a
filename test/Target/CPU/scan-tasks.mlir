// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-lower-to-cpu{vector-bits=256},canonicalize,cse))' | FileCheck %s

#bthp = affine_map<(b, t, h, p, k) -> (b, t, h, p)>
#bthk = affine_map<(b, t, h, p, k) -> (b, t, h, k)>
#bth = affine_map<(b, t, h, p, k) -> (b, t, h)>
#state = affine_map<(b, t, h, p, k) -> (b, h, k, p)>

// One token: states of 786 KB come from memory, where two threads are faster than one.
// CHECK-LABEL: func.func @step_of_large_states
// CHECK: %[[TASKS:.*]] = arith.constant 4 : index
// CHECK: scf.parallel ({{.*}}) = (%{{.*}}) to (%[[TASKS]])
func.func @step_of_large_states(%g: memref<1x1x24xf32>, %k: memref<1x1x24x128xf32>,
                                %v: memref<1x1x24x64xf32>, %y: memref<1x1x24x64xf32>,
                                %s: memref<1x24x128x64xf32>) {
  ssm.scan
      ins(%g, %k, %v : memref<1x1x24xf32>, memref<1x1x24x128xf32>, memref<1x1x24x64xf32>)
      initial(%s : memref<1x24x128x64xf32>)
      outs(%y, %s : memref<1x1x24x64xf32>, memref<1x24x128x64xf32>)
      maps {ins = [#bth, #bthk, #bthp], state = #state, output = #bthp}
      coefficients {
  ^bb0(%gv: f32, %kv: f32, %vv: f32):
    %write = arith.mulf %kv, %vv : f32
    ssm.coefficients decay(%gv : f32) write(%write : f32) read(%kv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}

// States of 12 KB: nothing to share.
// CHECK-LABEL: func.func @step_of_small_states
// CHECK-NOT: scf.parallel
// CHECK: return
func.func @step_of_small_states(%g: memref<1x1x24xf32>, %k: memref<1x1x24x16xf32>,
                                %v: memref<1x1x24x8xf32>, %y: memref<1x1x24x8xf32>,
                                %s: memref<1x24x16x8xf32>) {
  ssm.scan
      ins(%g, %k, %v : memref<1x1x24xf32>, memref<1x1x24x16xf32>, memref<1x1x24x8xf32>)
      initial(%s : memref<1x24x16x8xf32>)
      outs(%y, %s : memref<1x1x24x8xf32>, memref<1x24x16x8xf32>)
      maps {ins = [#bth, #bthk, #bthp], state = #state, output = #bthp}
      coefficients {
  ^bb0(%gv: f32, %kv: f32, %vv: f32):
    %write = arith.mulf %kv, %vv : f32
    ssm.coefficients decay(%gv : f32) write(%write : f32) read(%kv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}
