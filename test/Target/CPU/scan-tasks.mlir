// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-lower-to-cpu{vector-bits=256},canonicalize,cse))' | FileCheck %s
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-lower-to-cpu{vector-bits=256 prefetch-bytes=8192},canonicalize,cse))' | FileCheck %s --check-prefix=AHEAD

#bthp = affine_map<(b, t, h, p, k) -> (b, t, h, p)>
#bthk = affine_map<(b, t, h, p, k) -> (b, t, h, k)>
#bth = affine_map<(b, t, h, p, k) -> (b, t, h)>
#state = affine_map<(b, t, h, p, k) -> (b, h, k, p)>

#btd = affine_map<(b, t, d, n) -> (b, t, d)>
#btn = affine_map<(b, t, d, n) -> (b, t, n)>
#dn = affine_map<(b, t, d, n) -> (d, n)>
#bdn = affine_map<(b, t, d, n) -> (b, d, n)>

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

// States of 98 KB and a table of as many bytes: two tasks of equal size. Both are asked
// for 4 KB ahead, once for each line.
// CHECK-LABEL: func.func @step_of_states_with_table
// CHECK-NOT: locality<3>
// CHECK: scf.parallel ({{.*}}) = (%{{.*}}) to (%c2)
// CHECK-NOT: locality<3>
// AHEAD-LABEL: func.func @step_of_states_with_table
// AHEAD: scf.parallel
// AHEAD-NOT: locality<3>
// AHEAD: memref.prefetch %{{.*}}[%{{.*}}, %[[ROW:.*]], %c1024], read, locality<3>, data : memref<1x1536x16xf32>
// AHEAD-NEXT: memref.prefetch %{{.*}}[%[[ROW]], %c1024], read, locality<3>, data : memref<1536x16xf32>
// AHEAD-NOT: locality<3>
func.func @step_of_states_with_table(%a: memref<1536x16xf32>, %x: memref<1x1x1536xf32>,
                                     %k: memref<1x1x16xf32>, %y: memref<1x1x1536xf32>,
                                     %s: memref<1x1536x16xf32>) {
  ssm.scan
      ins(%a, %x, %k : memref<1536x16xf32>, memref<1x1x1536xf32>, memref<1x1x16xf32>)
      initial(%s : memref<1x1536x16xf32>)
      outs(%y, %s : memref<1x1x1536xf32>, memref<1x1536x16xf32>)
      maps {ins = [#dn, #btd, #btn], state = #bdn, output = #btd}
      coefficients {
  ^bb0(%av: f32, %xv: f32, %kv: f32):
    %scaled = arith.mulf %av, %xv : f32
    %decay = math.exp %scaled : f32
    %write = arith.mulf %kv, %xv : f32
    ssm.coefficients decay(%decay : f32) write(%write : f32) read(%kv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  }
  return
}
