// RUN: ssm-opt %s --split-input-file --ssm-fuse-scans | FileCheck %s
// RUN: ssm-opt %s --split-input-file --ssm-fuse-scans --remarks-filter='.*' --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

#bte = affine_map<(b, t, e) -> (b, t, e)>
#e = affine_map<(b, t, e) -> (e)>
#s = affine_map<(b, t, e, n) -> (b, e, n)>
#u = affine_map<(b, t, e, n) -> (b, t, e)>
#n = affine_map<(b, t, e, n) -> (b, t, n)>

// REMARK: [Passed] Fused {{.*}} Remark="into the coefficients"
// REMARK: [Passed] Fused {{.*}} Remark="into the epilogue"

// A producer of both sums of the coefficients; one of the epilogue. An operand
// that the scan has already is not repeated.
// CHECK-LABEL: func.func @gates(
// CHECK-SAME:    %[[DT:[^ :,]+]]: tensor<?x?x8xf32>, %[[B:[^ :,]+]]: tensor<8xf32>, %[[U:[^ :,]+]]: tensor<?x?x8xf32>, %[[K:[^ :,]+]]: tensor<?x?x4xf32>, %[[Z:[^ :,]+]]: tensor<?x?x8xf32>,
// CHECK-NOT:     linalg.generic
// CHECK:         ssm.scan ins(%[[U]], %[[K]], %[[DT]], %[[B]] :
// CHECK-SAME:      epilogue_ins(%[[Z]] :
// CHECK:         ^bb0(%[[UV:[^ :,]+]]: f32, %[[KV:[^ :,]+]]: f32, %[[DTV:[^ :,]+]]: f32, %[[BV:[^ :,]+]]: f32):
// CHECK-NEXT:      %[[SUM:[^ :,]+]] = arith.addf %[[DTV]], %[[BV]] : f32
// CHECK-NEXT:      %[[EXP:[^ :,]+]] = math.exp %[[SUM]] : f32
// CHECK-NEXT:      %[[W:[^ :,]+]] = arith.mulf %[[EXP]], %[[UV]] : f32
// CHECK-NEXT:      ssm.coefficients decay(%[[EXP]] : f32) write(%[[W]] : f32) read(%[[KV]] : f32)
// CHECK:         ^bb0(%[[OV:[^ :,]+]]: f32, %[[ZV:[^ :,]+]]: f32):
// CHECK-NEXT:      %[[G:[^ :,]+]] = math.tanh %[[ZV]] : f32
// CHECK-NEXT:      arith.mulf %[[OV]], %[[G]] : f32
func.func @gates(%dt: tensor<?x?x8xf32>, %bias: tensor<8xf32>, %u: tensor<?x?x8xf32>, %k: tensor<?x?x4xf32>,
    %z: tensor<?x?x8xf32>, %s: tensor<?x8x4xf32>, %e: tensor<?x?x8xf32>, %y: tensor<?x?x8xf32>)
    -> (tensor<?x?x8xf32>, tensor<?x8x4xf32>) {
  %0 = linalg.generic {indexing_maps = [#bte, #e, #bte], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%dt, %bias : tensor<?x?x8xf32>, tensor<8xf32>) outs(%e : tensor<?x?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %3 = arith.addf %a, %b : f32
    %4 = math.exp %3 : f32
    linalg.yield %4 : f32
  } -> tensor<?x?x8xf32>
  %1 = linalg.generic {indexing_maps = [#bte, #bte], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%z : tensor<?x?x8xf32>) outs(%e : tensor<?x?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %3 = math.tanh %a : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x8xf32>
  %2:2 = ssm.scan ins(%0, %u, %k : tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x4xf32>)
      initial(%s : tensor<?x8x4xf32>) epilogue_ins(%1 : tensor<?x?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8x4xf32>)
      maps {ins = [#u, #u, #n], epilogue = [#u], state = #s, output = #u} coefficients {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %3 = arith.mulf %a, %b : f32
    ssm.coefficients decay(%a : f32) write(%3 : f32) read(%c : f32)
  } epilogue {
  ^bb0(%a: f32, %b: f32):
    %3 = arith.mulf %a, %b : f32
    ssm.yield %3 : f32
  } -> tensor<?x?x8xf32>, tensor<?x8x4xf32>
  return %2#0, %2#1 : tensor<?x?x8xf32>, tensor<?x8x4xf32>
}

// -----

#tbe = affine_map<(t, b, e) -> (t, b, e)>
#bte = affine_map<(t, b, e) -> (b, t, e)>
#be = affine_map<(b, t, e) -> (b, e)>
#u = affine_map<(b, t, e) -> (b, t, e)>

// Maps are composed: the producer walks time first, and its results are permuted.
// CHECK: #[[$BTE:.*]] = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
// CHECK: #[[$TBE:.*]] = affine_map<(d0, d1, d2) -> (d1, d0, d2)>
// CHECK-LABEL: func.func @permuted(
// CHECK-SAME:    %[[X:[^ :,]+]]: tensor<?x?x8xf32>, %[[U:[^ :,]+]]: tensor<?x?x8xf32>,
// CHECK:         ssm.scan ins(%[[U]], %[[X]] :
// CHECK-SAME:      maps {ins = [#[[$BTE]], #[[$TBE]]]
func.func @permuted(%x: tensor<?x?x8xf32>, %u: tensor<?x?x8xf32>, %s: tensor<?x8xf32>, %e: tensor<?x?x8xf32>,
    %y: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x8xf32>) {
  %0 = linalg.generic {indexing_maps = [#tbe, #bte], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x : tensor<?x?x8xf32>) outs(%e : tensor<?x?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %2 = math.exp %a : f32
    linalg.yield %2 : f32
  } -> tensor<?x?x8xf32>
  %1:2 = ssm.scan ins(%0, %u : tensor<?x?x8xf32>, tensor<?x?x8xf32>) initial(%s : tensor<?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
      maps {ins = [#u, #u], state = #be, output = #u} coefficients {
  ^bb0(%a: f32, %b: f32):
    ssm.coefficients decay(%a : f32) write(%b : f32)
  } epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } -> tensor<?x?x8xf32>, tensor<?x8xf32>
  return %1#0, %1#1 : tensor<?x?x8xf32>, tensor<?x8xf32>
}

// -----

#id = affine_map<(b, t, e) -> (b, t, e)>
#half = affine_map<(b, t, e) -> (b, t, e mod 4)>
#w = affine_map<(e) -> (e)>
#e = affine_map<(b, t, e) -> (e)>
#be = affine_map<(b, t, e) -> (b, e)>
#sum = affine_map<(b, t, e, k) -> (b, t, e)>
#in = affine_map<(b, t, e, k) -> (b, t, e, k)>

// What stays, in the order of the operands: a reduction, what another op reads,
// what weights alone determine, costly math that several lanes would repeat.
// REMARK: [Missed] Kept {{.*}} Reason="it is a reduction"
// REMARK: [Missed] Kept {{.*}} Reason="another op reads its result as well"
// REMARK: [Missed] Kept {{.*}} Reason="it depends on weights alone and is computed once"
// REMARK: [Missed] Kept {{.*}} Reason="several points of the scan read one element of costly math"
// REMARK: [Missed] Kept {{.*}} Reason="it depends on indices"
// CHECK-LABEL: func.func @kept(
// CHECK-COUNT-5: linalg.generic
// CHECK-NOT:     linalg.generic
// CHECK:         ssm.scan
func.func @kept(%x: tensor<?x?x8x3xf32>, %u: tensor<?x?x8xf32>, %q: tensor<?x?x4xf32>,
    %wt: tensor<8xf32> {ssm.weight = "w"}, %s: tensor<?x8xf32>, %e: tensor<?x?x8xf32>, %f: tensor<?x?x4xf32>,
    %y: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x8xf32>, tensor<?x?x8xf32>) {
  %0 = linalg.generic {indexing_maps = [#in, #sum], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%x : tensor<?x?x8x3xf32>) outs(%e : tensor<?x?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %6 = arith.addf %a, %o : f32
    linalg.yield %6 : f32
  } -> tensor<?x?x8xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%u : tensor<?x?x8xf32>) outs(%e : tensor<?x?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %6 = arith.negf %a : f32
    linalg.yield %6 : f32
  } -> tensor<?x?x8xf32>
  %we = tensor.empty() : tensor<8xf32>
  %2 = linalg.generic {indexing_maps = [#w, #w], iterator_types = ["parallel"]}
      ins(%wt : tensor<8xf32>) outs(%we : tensor<8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %6 = math.exp %a : f32
    linalg.yield %6 : f32
  } -> tensor<8xf32>
  %3 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%q : tensor<?x?x4xf32>) outs(%f : tensor<?x?x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %6 = math.exp %a : f32
    linalg.yield %6 : f32
  } -> tensor<?x?x4xf32>
  %4 = linalg.generic {indexing_maps = [#id], iterator_types = ["parallel", "parallel", "parallel"]}
      outs(%e : tensor<?x?x8xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 1 : index
    %j = arith.index_cast %i : index to i64
    %6 = arith.sitofp %j : i64 to f32
    linalg.yield %6 : f32
  } -> tensor<?x?x8xf32>
  %5:2 = ssm.scan ins(%0, %1, %2, %3, %4 : tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<8xf32>, tensor<?x?x4xf32>, tensor<?x?x8xf32>)
      initial(%s : tensor<?x8xf32>) outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
      maps {ins = [#id, #id, #e, #half, #id], state = #be, output = #id} coefficients {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32, %g: f32):
    %6 = arith.mulf %a, %c : f32
    %7 = arith.mulf %b, %d : f32
    %8 = arith.addf %7, %g : f32
    ssm.coefficients decay(%6 : f32) write(%8 : f32)
  } epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } -> tensor<?x?x8xf32>, tensor<?x8xf32>
  return %5#0, %5#1, %1 : tensor<?x?x8xf32>, tensor<?x8xf32>, tensor<?x?x8xf32>
}
