// RUN: ssm-opt %s -ssm-lower-to-cpu='vector-bits=256' | FileCheck %s

#btk = affine_map<(b, t, p, k) -> (b, t, k)>
#btp = affine_map<(b, t, p, k) -> (b, t, p)>
#bt = affine_map<(b, t, p, k) -> (b, t)>
#state = affine_map<(b, t, p, k) -> (b, k, p)>

// A matrix of decays between the tokens of a chunk, and one of scores. The update of the
// state fetches what the next chunk reads and writes.
// CHECK-LABEL: func @one_decay
// CHECK: scf.parallel
// CHECK-COUNT-2: memref.alloca() {alignment = 64 : i64} : memref<32x32xf32>
// CHECK: memref.prefetch {{.*}}, read, locality<2>, data : memref<?x?x24xf32>
// CHECK: memref.prefetch {{.*}}, read, locality<2>, data : memref<?x?x40xf32>
// CHECK: memref.prefetch {{.*}}, write, locality<2>, data : memref<?x?x40xf32>
// CHECK-NOT: ssm.scan
func.func @one_decay(%g: memref<?x?xf32>, %k: memref<?x?x24xf32>,
                     %v: memref<?x?x40xf32>, %y: memref<?x?x40xf32>,
                     %s: memref<?x24x40xf32>) {
  ssm.scan
      ins(%g, %k, %v : memref<?x?xf32>, memref<?x?x24xf32>,
          memref<?x?x40xf32>)
      initial(%s : memref<?x24x40xf32>)
      outs(%y, %s : memref<?x?x40xf32>, memref<?x24x40xf32>)
      maps {ins = [#bt, #btk, #btp], state = #state, output = #btp}
      coefficients {
  ^bb0(%gv: f32, %kv: f32, %vv: f32):
    %write = arith.mulf %kv, %vv : f32
    ssm.coefficients decay(%gv : f32) write(%write : f32) read(%kv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 32>}
  return
}

// A decay for each key: the chunk's decays are kept, by token and key.
// CHECK-LABEL: func @key_decay
// CHECK: scf.parallel
// CHECK-COUNT-2: memref.alloca() {alignment = 64 : i64} : memref<32x24xf32>
// CHECK-NOT: ssm.scan
func.func @key_decay(%g: memref<?x?x24xf32>, %k: memref<?x?x24xf32>,
                     %v: memref<?x?x40xf32>, %y: memref<?x?x40xf32>,
                     %s: memref<?x24x40xf32>) {
  ssm.scan
      ins(%g, %k, %v : memref<?x?x24xf32>, memref<?x?x24xf32>,
          memref<?x?x40xf32>)
      initial(%s : memref<?x24x40xf32>)
      outs(%y, %s : memref<?x?x40xf32>, memref<?x24x40xf32>)
      maps {ins = [#btk, #btk, #btp], state = #state, output = #btp}
      coefficients {
  ^bb0(%gv: f32, %kv: f32, %vv: f32):
    %write = arith.mulf %kv, %vv : f32
    ssm.coefficients decay(%gv : f32) write(%write : f32) read(%kv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 32>}
  return
}

// No sum of products: the sequential form.
// CHECK-LABEL: func @no_factors
// CHECK: scf.parallel
// CHECK-NOT: memref<32x32xf32>
// CHECK-NOT: ssm.scan
// CHECK: return
func.func @no_factors(%g: memref<?x?xf32>, %k: memref<?x?x24xf32>,
                      %v: memref<?x?x40xf32>, %y: memref<?x?x40xf32>,
                      %s: memref<?x24x40xf32>) {
  ssm.scan
      ins(%g, %k, %v : memref<?x?xf32>, memref<?x?x24xf32>,
          memref<?x?x40xf32>)
      initial(%s : memref<?x24x40xf32>)
      outs(%y, %s : memref<?x?x40xf32>, memref<?x24x40xf32>)
      maps {ins = [#bt, #btk, #btp], state = #state, output = #btp}
      coefficients {
  ^bb0(%gv: f32, %kv: f32, %vv: f32):
    %sum = arith.addf %kv, %vv : f32
    %write = math.exp %sum : f32
    ssm.coefficients decay(%gv : f32) write(%write : f32) read(%kv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 32>}
  return
}

// With an erase term, and a write of two products too.
// CHECK-LABEL: func @erase
// CHECK: scf.parallel
// CHECK: memref<32x32xf32>
// CHECK-NOT: ssm.scan
// CHECK: return
func.func @erase(%g: memref<?x?xf32>, %k: memref<?x?x24xf32>,
                 %v: memref<?x?x40xf32>, %y: memref<?x?x40xf32>,
                 %s: memref<?x24x40xf32>) {
  ssm.scan
      ins(%g, %k, %v : memref<?x?xf32>, memref<?x?x24xf32>,
          memref<?x?x40xf32>)
      initial(%s : memref<?x24x40xf32>)
      outs(%y, %s : memref<?x?x40xf32>, memref<?x24x40xf32>)
      maps {ins = [#bt, #btk, #btp], state = #state, output = #btp}
      coefficients {
  ^bb0(%gv: f32, %kv: f32, %vv: f32):
    %nk = arith.negf %kv : f32
    %product = arith.mulf %kv, %vv : f32
    %write = arith.addf %product, %vv : f32
    ssm.coefficients decay(%gv : f32) write(%write : f32) read(%kv : f32)
        erase(%kv, %nk : f32, f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 32>}
  return
}

// What tokens give each other are sums over keys, eight at once. Sums with the state
// fetch the next chunk, too: those of the erase term, then those that are read. The
// update has the keys of a token side by side.
// CHECK-LABEL: func @long_keys
// CHECK: memref.alloca() {{.*}} : memref<16x72xf32>
// CHECK-COUNT-14: vector.shuffle {{.*}} : vector<8xf32>, vector<8xf32>
// CHECK: vector.store {{.*}} : memref<16x16xf32>, vector<2xf32>
// CHECK: memref.prefetch {{.*}}, read, locality<2>, data : memref<?x?x64xf32>
// CHECK: memref.prefetch {{.*}}, write, locality<2>, data : memref<?x?x40xf32>
// CHECK: memref.prefetch {{.*}}, write, locality<2>, data : memref<?x?x40xf32>
// CHECK: memref.prefetch {{.*}}, write, locality<2>, data : memref<?x?x40xf32>
// CHECK-NOT: ssm.scan
func.func @long_keys(%g: memref<?x?xf32>, %k: memref<?x?x64xf32>,
                     %v: memref<?x?x40xf32>, %y: memref<?x?x40xf32>,
                     %s: memref<?x64x40xf32>) {
  ssm.scan
      ins(%g, %k, %v : memref<?x?xf32>, memref<?x?x64xf32>,
          memref<?x?x40xf32>)
      initial(%s : memref<?x64x40xf32>)
      outs(%y, %s : memref<?x?x40xf32>, memref<?x64x40xf32>)
      maps {ins = [#bt, #btk, #btp], state = #state, output = #btp}
      coefficients {
  ^bb0(%gv: f32, %kv: f32, %vv: f32):
    %nk = arith.negf %kv : f32
    %write = arith.mulf %kv, %vv : f32
    ssm.coefficients decay(%gv : f32) write(%write : f32) read(%kv : f32)
        erase(%kv, %nk : f32, f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = chunk>}
  return
}

// A reset makes what is before it vanish: the sequential form.
// CHECK-LABEL: func @reset
// CHECK: scf.parallel
// CHECK-NOT: memref<32x32xf32>
// CHECK-NOT: ssm.scan
// CHECK: return
func.func @reset(%r: memref<?x?xi1>, %k: memref<?x?x24xf32>,
                 %v: memref<?x?x40xf32>, %y: memref<?x?x40xf32>,
                 %s: memref<?x24x40xf32>) {
  ssm.scan
      ins(%r, %k, %v : memref<?x?xi1>, memref<?x?x24xf32>,
          memref<?x?x40xf32>)
      initial(%s : memref<?x24x40xf32>)
      outs(%y, %s : memref<?x?x40xf32>, memref<?x24x40xf32>)
      maps {ins = [#bt, #btk, #btp], state = #state, output = #btp}
      coefficients {
  ^bb0(%rv: i1, %kv: f32, %vv: f32):
    %write = arith.mulf %kv, %vv : f32
    ssm.coefficients write(%write : f32) read(%kv : f32) reset(%rv)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 32>}
  return
}
