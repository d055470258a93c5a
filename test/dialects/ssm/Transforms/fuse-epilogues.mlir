// RUN: ssm-opt %s --split-input-file --ssm-fuse-epilogues=narrows | FileCheck %s --check-prefix=NARROW
// RUN: ssm-opt %s --split-input-file --ssm-fuse-epilogues | FileCheck %s
// RUN: ssm-opt %s --split-input-file --ssm-fuse-epilogues --remarks-filter='.*' --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

#x = affine_map<(b, t, c, j) -> (b, t, c)>
#k = affine_map<(b, t, c, j) -> (c, -j + 3)>
#id = affine_map<(b, t, c) -> (b, t, c)>
#c = affine_map<(b, t, c) -> (c)>

// A chain: bias, then an activation. The operand's map is over the dimensions of
// the convolution.
// REMARK: [Passed] Fused {{.*}} Remark="into ssm.conv"
// REMARK: [Passed] Fused {{.*}} Remark="into ssm.conv"
// CHECK: #[[$C:.*]] = affine_map<(d0, d1, d2, d3) -> (d2)>
// CHECK-LABEL: func.func @conv(
// CHECK-SAME:    %[[B:[^:]*]]: tensor<8xf32>, %[[Y:[^:]*]]: tensor<?x?x8xf32>,
// CHECK:         %[[R:[^ :,]+]] = ssm.conv {{.*}} epilogue_ins(%[[B]] : tensor<8xf32>)
// CHECK-SAME:      epilogue = [#[[$C]]]
// CHECK-NEXT:    ^bb0(%[[V:[^ :,]+]]: f32, %[[BV:[^ :,]+]]: f32):
// CHECK-NEXT:      %[[S:[^ :,]+]] = arith.addf %[[V]], %[[BV]] : f32
// CHECK-NEXT:      %[[T:[^ :,]+]] = math.tanh %[[S]] : f32
// CHECK-NEXT:      ssm.yield %[[T]] : f32
// CHECK-NOT:     linalg.generic
// CHECK:         return %[[R]]
func.func @conv(%bias: tensor<8xf32>, %y: tensor<?x?x8xf32>, %x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>) -> tensor<?x?x8xf32> {
  %0 = ssm.conv input(%x : tensor<?x?x8xf32>) kernel(%w : tensor<8x4xf32>) outs(%y : tensor<?x?x8xf32>)
      maps {input = #x, kernel = #k, output = #x} lags 4 epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } -> tensor<?x?x8xf32>
  %1 = linalg.generic {indexing_maps = [#id, #c, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%0, %bias : tensor<?x?x8xf32>, tensor<8xf32>) outs(%y : tensor<?x?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %3 = arith.addf %a, %b : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x8xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%1 : tensor<?x?x8xf32>) outs(%y : tensor<?x?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %3 = math.tanh %a : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x8xf32>
  return %2 : tensor<?x?x8xf32>
}

// -----

#id = affine_map<(b, t, c) -> (b, t, c)>

// A residual, copied back to where it came from: the product is added in place.
// CHECK-LABEL: func.func @residual(
// CHECK-SAME:    %[[R:[^:]*]]: tensor<?x?x16xf32>
// CHECK:         %[[O:[^ :,]+]] = ssm.matmul {{.*}} epilogue_ins(%[[R]] : {{.*}}) outs(%[[R]] :
// CHECK:           arith.addf
// CHECK-NOT:     linalg
// CHECK:         return %[[O]]
func.func @residual(%r: tensor<?x?x16xf32>, %x: tensor<?x?x8xf32>, %w: tensor<1x8x16xf32>, %y: tensor<?x?x16xf32>) -> tensor<?x?x16xf32> {
  %0 = ssm.matmul input(%x : tensor<?x?x8xf32>) weight(%w : tensor<1x8x16xf32>) outs(%y : tensor<?x?x16xf32>) maps [] epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } -> tensor<?x?x16xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%r, %0 : tensor<?x?x16xf32>, tensor<?x?x16xf32>) outs(%y : tensor<?x?x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %3 = arith.addf %a, %b : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x16xf32>
  %2 = linalg.copy ins(%1 : tensor<?x?x16xf32>) outs(%r : tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  return %2 : tensor<?x?x16xf32>
}

// -----

#s = affine_map<(b, t, h, n, c) -> (b, h, n)>
#o = affine_map<(b, t, h, n, c) -> (b, t, c, h)>
#u = affine_map<(b, t, h, n, c) -> (b, t, h)>
#n = affine_map<(b, t, h, n, c) -> (c, n)>
#in = affine_map<(b, t, c, h) -> (b, t, h)>
#d = affine_map<(b, t, c, h) -> (c)>
#id = affine_map<(b, t, c, h) -> (b, t, c, h)>

// The output's dimensions are not in the order of the scan's. The scan moves down
// to the gate, which is computed later.
// CHECK: #[[$U:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2)>
// CHECK: #[[$D:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d4)>
// CHECK-LABEL: func.func @scan(
// CHECK:         %[[G:[^ :,]+]] = linalg.tanh
// CHECK:         ssm.scan
// CHECK-SAME:      epilogue_ins(%[[G]], %{{.*}} : tensor<?x?x8xf32>, tensor<2xf32>)
// CHECK-SAME:      epilogue = [#[[$U]], #[[$D]]]
// CHECK-NOT:     linalg.generic
// CHECK:         return
func.func @scan(%u: tensor<?x?x8xf32>, %b: tensor<2x4xf32>, %d: tensor<2xf32>, %s: tensor<?x8x4xf32>, %e: tensor<?x?x8xf32>,
    %y: tensor<?x?x2x8xf32>) -> (tensor<?x?x2x8xf32>, tensor<?x8x4xf32>) {
  %0:2 = ssm.scan ins(%u, %b : tensor<?x?x8xf32>, tensor<2x4xf32>) initial(%s : tensor<?x8x4xf32>)
      outs(%y, %s : tensor<?x?x2x8xf32>, tensor<?x8x4xf32>)
      maps {ins = [#u, #n], state = #s, output = #o} coefficients {
  ^bb0(%a: f32, %c: f32):
    ssm.coefficients write(%a : f32) read(%c : f32)
  } epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } -> tensor<?x?x2x8xf32>, tensor<?x8x4xf32>
  %1 = linalg.tanh ins(%u : tensor<?x?x8xf32>) outs(%e : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %2 = linalg.generic {indexing_maps = [#id, #in, #d, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%0#0, %1, %d : tensor<?x?x2x8xf32>, tensor<?x?x8xf32>, tensor<2xf32>) outs(%y : tensor<?x?x2x8xf32>) {
  ^bb0(%a: f32, %c: f32, %f: f32, %o: f32):
    %3 = arith.mulf %c, %f : f32
    %4 = arith.mulf %a, %3 : f32
    linalg.yield %4 : f32
  } -> tensor<?x?x2x8xf32>
  return %2, %0#1 : tensor<?x?x2x8xf32>, tensor<?x8x4xf32>
}

// -----

#id = affine_map<(t, d) -> (t, d)>

// Of two norms the later one takes the sum.
// CHECK-LABEL: func.func @later(
// CHECK:         %[[N:[^ :,]+]] = ssm.norm rms {{.*}} outs(%{{.*}} : tensor<?x8xf32>) maps []
// CHECK:         ssm.norm l2 {{.*}} epilogue_ins(%[[N]] :
// CHECK-NOT:     linalg.generic
// CHECK:         return
func.func @later(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %0 = ssm.norm rms eps 1.000000e-05 input(%x : tensor<?x8xf32>) outs(%y : tensor<?x8xf32>) maps [] epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } -> tensor<?x8xf32>
  %1 = ssm.norm l2 eps 1.000000e-05 input(%x : tensor<?x8xf32>) outs(%y : tensor<?x8xf32>) maps [] epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } -> tensor<?x8xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%0, %1 : tensor<?x8xf32>, tensor<?x8xf32>) outs(%y : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %3 = arith.addf %a, %b : f32
    linalg.yield %3 : f32
  } -> tensor<?x8xf32>
  return %2 : tensor<?x8xf32>
}

// -----

#id = affine_map<(t, d) -> (t, d)>
#swap = affine_map<(t, d) -> (d, t)>

// CHECK-LABEL: func.func @kept(
// CHECK-COUNT-4: linalg.generic
// REMARK: [Missed] Kept {{.*}} Reason="another op reads the output as well"
// REMARK: [Missed] Kept {{.*}} Reason="it reads other elements than it writes"
// REMARK: [Missed] Kept {{.*}} Reason="its result is of another type"
// REMARK: [Missed] Kept {{.*}} Reason="it depends on indices"
func.func @kept(%x: tensor<8x8xf32>, %y: tensor<8x8xf32>, %z: tensor<8x8xf64>)
    -> (tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xf64>, tensor<8x8xf32>) {
  %0 = ssm.norm rms eps 1.000000e-05 input(%x : tensor<8x8xf32>) outs(%y : tensor<8x8xf32>) maps [] epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } -> tensor<8x8xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%0 : tensor<8x8xf32>) outs(%y : tensor<8x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %8 = arith.negf %a : f32
    linalg.yield %8 : f32
  } -> tensor<8x8xf32>
  %2 = ssm.norm l2 eps 1.000000e-05 input(%x : tensor<8x8xf32>) outs(%y : tensor<8x8xf32>) maps [] epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } -> tensor<8x8xf32>
  %3 = linalg.generic {indexing_maps = [#swap, #id], iterator_types = ["parallel", "parallel"]}
      ins(%2 : tensor<8x8xf32>) outs(%y : tensor<8x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %8 = arith.negf %a : f32
    linalg.yield %8 : f32
  } -> tensor<8x8xf32>
  %4 = ssm.norm layer eps 1.000000e-05 input(%x : tensor<8x8xf32>) outs(%y : tensor<8x8xf32>) maps [] epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } -> tensor<8x8xf32>
  %5 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%4 : tensor<8x8xf32>) outs(%z : tensor<8x8xf64>) {
  ^bb0(%a: f32, %o: f64):
    %8 = arith.extf %a : f32 to f64
    linalg.yield %8 : f64
  } -> tensor<8x8xf64>
  %6 = ssm.norm layer eps 1.000000e-04 input(%x : tensor<8x8xf32>) outs(%y : tensor<8x8xf32>) maps [] epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } -> tensor<8x8xf32>
  %7 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%6 : tensor<8x8xf32>) outs(%y : tensor<8x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %i = linalg.index 0 : index
    %j = arith.index_cast %i : index to i64
    %k = arith.sitofp %j : i64 to f32
    %8 = arith.mulf %a, %k : f32
    linalg.yield %8 : f32
  } -> tensor<8x8xf32>
  return %0, %1, %3, %5, %7 : tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xf64>, tensor<8x8xf32>
}

// -----

#id = affine_map<(b, t, c) -> (b, t, c)>
#be = affine_map<(b, t, c) -> (b, c)>

// The scan cannot move behind what reads its final state.
// REMARK: [Missed] Kept {{.*}} Reason="another result is needed before the consumer"
// CHECK-LABEL: func.func @state_first(
// CHECK:         linalg.generic
func.func @state_first(%u: tensor<?x?x8xf32>, %s: tensor<?x8xf32>, %y: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x8xf32>) {
  %0:2 = ssm.scan ins(%u : tensor<?x?x8xf32>) initial(%s : tensor<?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>) maps {ins = [#id], state = #be, output = #id} coefficients {
  ^bb0(%a: f32):
    ssm.coefficients write(%a : f32)
  } epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } -> tensor<?x?x8xf32>, tensor<?x8xf32>
  %1 = linalg.exp ins(%0#1 : tensor<?x8xf32>) outs(%s : tensor<?x8xf32>) -> tensor<?x8xf32>
  %2 = linalg.generic {indexing_maps = [#id, #be, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%0#0, %1 : tensor<?x?x8xf32>, tensor<?x8xf32>) outs(%y : tensor<?x?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %3 = arith.mulf %a, %b : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x8xf32>
  return %2, %0#1 : tensor<?x?x8xf32>, tensor<?x8xf32>
}

#tokens = affine_map<(b, t, e) -> (b, t, e)>
#carried = affine_map<(b, t, e) -> (b, e)>

// A scan may write before its epilogue has read all: a residual that goes back to where it
// came from stays a copy.
// CHECK-LABEL: @residual_of_a_scan
// CHECK-SAME: %[[X:[^,]*]]: tensor<?x?x8xf32>
// CHECK: %[[Y:.*]]:2 = ssm.scan {{.*}} epilogue_ins(%[[X]] : {{.*}}) outs(%{{.*}}, %{{.*}} :
// CHECK: linalg.copy ins(%[[Y]]#0 : {{.*}}) outs(%[[X]] : {{.*}})
func.func @residual_of_a_scan(%x: tensor<?x?x8xf32>, %u: tensor<?x?x8xf32>,
    %y: tensor<?x?x8xf32>, %s: tensor<?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x8xf32>) {
  %0:2 = ssm.scan ins(%u : tensor<?x?x8xf32>) epilogue_ins(%x : tensor<?x?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
      maps {ins = [#tokens], epilogue = [#tokens], state = #carried, output = #tokens}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients write(%v : f32)
  } epilogue {
  ^bb0(%o: f32, %r: f32):
    %1 = arith.addf %o, %r : f32
    ssm.yield %1 : f32
  } -> tensor<?x?x8xf32>, tensor<?x8xf32>
  %2 = linalg.copy ins(%0#0 : tensor<?x?x8xf32>) outs(%x : tensor<?x?x8xf32>)
      -> tensor<?x?x8xf32>
  return %2, %0#1 : tensor<?x?x8xf32>, tensor<?x8xf32>
}

// -----

#bte = affine_map<(b, t, e) -> (b, t, e)>

// A consumer of both parts of a complex read reads the epilogue's arguments.
// CHECK-LABEL: @both_parts
// CHECK: ssm.scan complex
// CHECK: epilogue
// CHECK: ^bb0(%[[RE:.*]]: f32, %[[IM:.*]]: f32):
// CHECK: %[[P:.*]] = arith.mulf %[[RE]], %[[IM]]
// CHECK: ssm.yield %[[P]], %[[IM]]
func.func @both_parts(%a: tensor<8xf32>, %u: tensor<?x?x8xf32>, %y: tensor<?x?x8xf32>,
    %s: tensor<?x8xf32>) -> tensor<?x?x8xf32> {
  %0:4 = ssm.scan complex ins(%a, %u : tensor<8xf32>, tensor<?x?x8xf32>)
      outs(%y, %y, %s, %s : tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>)
      maps {ins = [affine_map<(b, t, e) -> (e)>, #bte], state = affine_map<(b, t, e) -> (b, e)>, output = #bte}
      coefficients {
  ^bb0(%av: f32, %uv: f32):
    ssm.coefficients decay(%av, %av : f32, f32) write(%uv, %uv : f32, f32)
  } epilogue {
  ^bb0(%o: f32, %p: f32):
    ssm.yield %o, %p : f32, f32
  } -> tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>
  %1 = linalg.generic {indexing_maps = [#bte, #bte, #bte],
      iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%0#0, %0#1 : tensor<?x?x8xf32>, tensor<?x?x8xf32>) outs(%y : tensor<?x?x8xf32>) {
  ^bb0(%v: f32, %w: f32, %o: f32):
    %2 = arith.mulf %v, %w : f32
    linalg.yield %2 : f32
  } -> tensor<?x?x8xf32>
  return %1 : tensor<?x?x8xf32>
}

// -----

#x = affine_map<(b, t, c, j) -> (b, t, c)>
#k = affine_map<(b, t, c, j) -> (c, -j + 3)>
#id = affine_map<(b, t, c) -> (b, t, c)>

// An activation of what comes out of two branches is computed in both, where it was.
// CHECK-LABEL: func.func @branches(
// CHECK:         %[[IF:.*]] = scf.if
// CHECK:           ssm.conv
// CHECK:             math.tanh
// CHECK-NOT:       linalg.generic
// CHECK:         else
// CHECK:           ssm.conv
// CHECK:             math.tanh
// CHECK-NOT:     linalg.generic
// CHECK:         return %[[IF]]
func.func @branches(%c: i1, %y: tensor<?x?x8xf32>, %x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>, %v: tensor<8x4xf32>) -> tensor<?x?x8xf32> {
  %0 = scf.if %c -> tensor<?x?x8xf32> {
    %1 = ssm.conv input(%x : tensor<?x?x8xf32>) kernel(%w : tensor<8x4xf32>) outs(%y : tensor<?x?x8xf32>)
        maps {input = #x, kernel = #k, output = #x} lags 4 epilogue {
    ^bb0(%a: f32):
      ssm.yield %a : f32
    } -> tensor<?x?x8xf32>
    scf.yield %1 : tensor<?x?x8xf32>
  } else {
    %1 = ssm.conv input(%x : tensor<?x?x8xf32>) kernel(%v : tensor<8x4xf32>) outs(%y : tensor<?x?x8xf32>)
        maps {input = #x, kernel = #k, output = #x} lags 4 epilogue {
    ^bb0(%a: f32):
      ssm.yield %a : f32
    } -> tensor<?x?x8xf32>
    scf.yield %1 : tensor<?x?x8xf32>
  }
  %2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%0 : tensor<?x?x8xf32>) outs(%y : tensor<?x?x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %3 = math.tanh %in : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x8xf32>
  return %2 : tensor<?x?x8xf32>
}

// -----

// Results in a narrower type, where the target stores such.
#id = affine_map<(t, d) -> (t, d)>

// NARROW-LABEL: func.func @narrow(
// NARROW:         ssm.norm
// NARROW:         ^bb0(%[[V:[^ :,]+]]: f32):
// NARROW:           %[[R:[^ :,]+]] = arith.truncf %[[V]] : f32 to bf16
// NARROW:           ssm.yield %[[R]] : bf16
// NARROW-NOT:     linalg.generic
// NARROW:         return
// CHECK-LABEL:  func.func @narrow(
// CHECK:          linalg.generic
func.func @narrow(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>, %z: tensor<?x8xbf16>) -> tensor<?x8xbf16> {
  %0 = ssm.norm rms eps 1.000000e-05 input(%x : tensor<?x8xf32>) outs(%y : tensor<?x8xf32>) maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<?x8xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%0 : tensor<?x8xf32>) outs(%z : tensor<?x8xbf16>) {
  ^bb0(%in: f32, %out: bf16):
    %2 = arith.truncf %in : f32 to bf16
    linalg.yield %2 : bf16
  } -> tensor<?x8xbf16>
  return %1 : tensor<?x8xbf16>
}
