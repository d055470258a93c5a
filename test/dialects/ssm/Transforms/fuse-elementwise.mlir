// RUN: ssm-opt %s --split-input-file --ssm-fuse-elementwise=narrows | FileCheck %s --check-prefix=NARROW
// RUN: ssm-opt %s --split-input-file --ssm-fuse-elementwise | FileCheck %s
// RUN: ssm-opt %s --split-input-file --ssm-fuse-elementwise --remarks-filter='.*' --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

#id = affine_map<(t, d) -> (t, d)>
#d = affine_map<(t, d) -> (d)>

// REMARK: [Passed] Fused {{.*}} operand=0
// CHECK-LABEL: func.func @chain(
// CHECK-SAME:    %[[X:[^ :,]+]]: tensor<?x8xf32>, %[[B:[^ :,]+]]: tensor<8xf32>, %[[Y:[^ :,]+]]: tensor<?x8xf32>
// CHECK:         linalg.generic {{.*}} ins(%[[X]], %[[B]] :
// CHECK:           %[[E:[^ :,]+]] = math.exp
// CHECK:           arith.addf %[[E]]
// CHECK-NOT:     linalg.generic
// CHECK:         return
func.func @chain(%x: tensor<?x8xf32>, %b: tensor<8xf32>, %y: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%y : tensor<?x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %2 = math.exp %v : f32
    linalg.yield %2 : f32
  } -> tensor<?x8xf32>
  %1 = linalg.generic {indexing_maps = [#id, #d, #id], iterator_types = ["parallel", "parallel"]}
      ins(%0, %b : tensor<?x8xf32>, tensor<8xf32>) outs(%y : tensor<?x8xf32>) {
  ^bb0(%v: f32, %w: f32, %o: f32):
    %2 = arith.addf %v, %w : f32
    linalg.yield %2 : f32
  } -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}

// -----

#id = affine_map<(t, d) -> (t, d)>
#td = affine_map<(t, d, n) -> (t, d)>
#tdn = affine_map<(t, d, n) -> (t, d, n)>

// A broadcast repeats cheap math, not an exponential.
// REMARK: [Missed] Kept {{.*}} Reason="costly math would be repeated along another dimension"
// CHECK-LABEL: func.func @broadcast(
// CHECK:         linalg.generic
// CHECK:           math.exp
// CHECK:         linalg.generic
// CHECK:           arith.negf
// CHECK:           arith.addf
// CHECK-NOT:     linalg.generic
// CHECK:         return
func.func @broadcast(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>, %z: tensor<?x8x4xf32>) -> tensor<?x8x4xf32> {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%y : tensor<?x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %3 = math.exp %v : f32
    linalg.yield %3 : f32
  } -> tensor<?x8xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%y : tensor<?x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %3 = arith.negf %v : f32
    linalg.yield %3 : f32
  } -> tensor<?x8xf32>
  %2 = linalg.generic {indexing_maps = [#td, #td, #tdn], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%0, %1 : tensor<?x8xf32>, tensor<?x8xf32>) outs(%z : tensor<?x8x4xf32>) {
  ^bb0(%v: f32, %w: f32, %o: f32):
    %3 = arith.addf %v, %w : f32
    linalg.yield %3 : f32
  } -> tensor<?x8x4xf32>
  return %2 : tensor<?x8x4xf32>
}

// -----

#id = affine_map<(t, d) -> (t, d)>

// REMARK: [Missed] Kept {{.*}} Reason="another op reads the result as well"
// CHECK-LABEL: func.func @two_readers(
// CHECK-COUNT-2: linalg.generic
func.func @two_readers(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%y : tensor<?x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %2 = arith.negf %v : f32
    linalg.yield %2 : f32
  } -> tensor<?x8xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%0 : tensor<?x8xf32>) outs(%y : tensor<?x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %2 = arith.addf %v, %v : f32
    linalg.yield %2 : f32
  } -> tensor<?x8xf32>
  return %0, %1 : tensor<?x8xf32>, tensor<?x8xf32>
}

// -----

#id = affine_map<(t, d) -> (t, d)>
#d = affine_map<(t, d) -> (d)>
#e = affine_map<(d) -> (d)>

// REMARK: [Missed] Kept {{.*}} Reason="it depends on weights alone and is computed once"
// CHECK-LABEL: func.func @weight(
// CHECK-COUNT-2: linalg.generic
func.func @weight(%w: tensor<8xf32> {ssm.weight = "w"}, %x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %z = tensor.empty() : tensor<8xf32>
  %0 = linalg.generic {indexing_maps = [#e, #e], iterator_types = ["parallel"]}
      ins(%w : tensor<8xf32>) outs(%z : tensor<8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %2 = arith.negf %v : f32
    linalg.yield %2 : f32
  } -> tensor<8xf32>
  %1 = linalg.generic {indexing_maps = [#id, #d, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %0 : tensor<?x8xf32>, tensor<8xf32>) outs(%y : tensor<?x8xf32>) {
  ^bb0(%v: f32, %s: f32, %o: f32):
    %2 = arith.mulf %v, %s : f32
    linalg.yield %2 : f32
  } -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}

// -----

#id = affine_map<(t, d) -> (t, d)>
#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>

// REMARK: [Missed] Kept {{.*}} Reason="the consumer is a sum"
// CHECK-LABEL: func.func @sum(
// CHECK-COUNT-2: linalg.generic
func.func @sum(%x: tensor<?x8xf32>, %e: tensor<?x8xf32>, %w: tensor<4x8xf32>, %y: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%v: f32, %o: f32):
    %2 = arith.negf %v : f32
    linalg.yield %2 : f32
  } -> tensor<?x8xf32>
  %1 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%0, %w : tensor<?x8xf32>, tensor<4x8xf32>) outs(%y : tensor<?x4xf32>) {
  ^bb0(%v: f32, %s: f32, %o: f32):
    %2 = arith.mulf %v, %s : f32
    %3 = arith.addf %2, %o : f32
    linalg.yield %3 : f32
  } -> tensor<?x4xf32>
  return %1 : tensor<?x4xf32>
}

// -----

#id = affine_map<(b, t, g, d) -> (b, t, g, d)>
#w = affine_map<(b, t, g, d) -> (g * 8 + d)>

// The group of a norm without groups: no reshape is left.
// CHECK-LABEL: func.func @unit_group(
// CHECK-SAME:    %[[X:[^ :,]+]]: tensor<?x?x8xf32>
// CHECK-NOT:     shape
// CHECK:         %[[N:[^ :,]+]] = ssm.norm rms {{.*}} input(%[[X]] : tensor<?x?x8xf32>)
// CHECK:         linalg.generic {{.*}} ins(%{{.*}}, %[[N]] : tensor<8xf32>, tensor<?x?x8xf32>)
// CHECK-NOT:     shape
// CHECK:         return
func.func @unit_group(%x: tensor<?x?x8xf32>, %w: tensor<8xf32>) -> tensor<?x?x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x8xf32>
  %t = tensor.dim %x, %c1 : tensor<?x?x8xf32>
  %0 = tensor.expand_shape %x [[0], [1], [2, 3]] output_shape [%b, %t, 1, 8] : tensor<?x?x8xf32> into tensor<?x?x1x8xf32>
  %e = tensor.empty(%b, %t) : tensor<?x?x1x8xf32>
  %1 = ssm.norm rms eps 1.000000e-05 input(%0 : tensor<?x?x1x8xf32>) outs(%e : tensor<?x?x1x8xf32>) maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<?x?x1x8xf32>
  %2 = linalg.generic {indexing_maps = [#w, #id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%w, %1 : tensor<8xf32>, tensor<?x?x1x8xf32>) outs(%e : tensor<?x?x1x8xf32>) {
  ^bb0(%v: f32, %s: f32, %o: f32):
    %4 = arith.mulf %v, %s : f32
    linalg.yield %4 : f32
  } -> tensor<?x?x1x8xf32>
  %3 = tensor.collapse_shape %2 [[0], [1], [2, 3]] : tensor<?x?x1x8xf32> into tensor<?x?x8xf32>
  return %3 : tensor<?x?x8xf32>
}

// -----

#s = affine_map<(b, t, h, p, n) -> (b, h, p, n)>
#o = affine_map<(b, t, h, p, n) -> (b, t, h, p)>
#n = affine_map<(b, t, h, p, n) -> (b, t, n)>
#id = affine_map<(b, t, d) -> (b, t, d)>

// A gate on merged heads takes the shape of the scan before it.
// CHECK-LABEL: func.func @gate_of_heads(
// CHECK:         %[[S:[^ :,]+]]:2 = ssm.scan
// CHECK:         %[[G:[^ :,]+]] = linalg.generic {{.*}} ins(%[[S]]#0, %{{.*}} : tensor<?x?x2x4xf32>, tensor<?x?x2x4xf32>)
// CHECK:         tensor.collapse_shape %[[G]]
func.func @gate_of_heads(%x: tensor<?x?x2x4xf32>, %k: tensor<?x?x3xf32>, %z: tensor<?x?x8xf32>, %s: tensor<?x2x4x3xf32>,
    %y: tensor<?x?x2x4xf32>, %e: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x2x4x3xf32>) {
  %0:2 = ssm.scan ins(%x, %k : tensor<?x?x2x4xf32>, tensor<?x?x3xf32>) initial(%s : tensor<?x2x4x3xf32>)
      outs(%y, %s : tensor<?x?x2x4xf32>, tensor<?x2x4x3xf32>) maps {ins = [#o, #n], state = #s, output = #o} coefficients {
  ^bb0(%a: f32, %b: f32):
    ssm.coefficients write(%a : f32) read(%b : f32)
  } epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } -> tensor<?x?x2x4xf32>, tensor<?x2x4x3xf32>
  %1 = tensor.collapse_shape %0#0 [[0], [1], [2, 3]] : tensor<?x?x2x4xf32> into tensor<?x?x8xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%1, %z : tensor<?x?x8xf32>, tensor<?x?x8xf32>) outs(%e : tensor<?x?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %3 = arith.mulf %a, %b : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x8xf32>
  return %2, %0#1 : tensor<?x?x8xf32>, tensor<?x2x4x3xf32>
}

// -----

#be = affine_map<(b, t, e) -> (b, e)>
#id = affine_map<(b, t, e) -> (b, t, e)>
#hp = affine_map<(b, t, h, p) -> (b, t, h, p)>
#w = affine_map<(b, t, h, p) -> (h, p)>

// What a scan over lanes reads is computed by lanes, not by heads.
// CHECK-LABEL: func.func @lanes(
// CHECK:         linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "parallel"]} ins(%{{.*}}, %{{.*}} : tensor<?x?x8xf32>, tensor<8xf32>)
// CHECK:         ssm.scan
func.func @lanes(%x: tensor<?x?x8xf32>, %w: tensor<2x4xf32>, %s: tensor<?x8xf32>, %e: tensor<?x?x2x4xf32>, %y: tensor<?x?x8xf32>)
    -> (tensor<?x?x8xf32>, tensor<?x8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x8xf32>
  %t = tensor.dim %x, %c1 : tensor<?x?x8xf32>
  %0 = tensor.expand_shape %x [[0], [1], [2, 3]] output_shape [%b, %t, 2, 4] : tensor<?x?x8xf32> into tensor<?x?x2x4xf32>
  %1 = linalg.generic {indexing_maps = [#hp, #w, #hp], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%0, %w : tensor<?x?x2x4xf32>, tensor<2x4xf32>) outs(%e : tensor<?x?x2x4xf32>) {
  ^bb0(%v: f32, %q: f32, %o: f32):
    %4 = arith.mulf %v, %q : f32
    linalg.yield %4 : f32
  } -> tensor<?x?x2x4xf32>
  %2 = tensor.collapse_shape %1 [[0], [1], [2, 3]] : tensor<?x?x2x4xf32> into tensor<?x?x8xf32>
  %3:2 = ssm.scan ins(%2 : tensor<?x?x8xf32>) initial(%s : tensor<?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>) maps {ins = [#id], state = #be, output = #id} coefficients {
  ^bb0(%a: f32):
    ssm.coefficients write(%a : f32)
  } epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } -> tensor<?x?x8xf32>, tensor<?x8xf32>
  return %3#0, %3#1 : tensor<?x?x8xf32>, tensor<?x8xf32>
}

// -----

// A norm reads what is only widened for it, the other reader its own copy.
#id = affine_map<(t, d) -> (t, d)>

// NARROW-LABEL: func.func @narrow(
// NARROW-SAME:    %[[X:[^ :,]+]]: tensor<?x8xbf16>
// NARROW:         ssm.norm {{.*}} input(%[[X]] : tensor<?x8xbf16>)
// CHECK-LABEL:  func.func @narrow(
// CHECK:          ssm.norm {{.*}} input(%{{.*}} : tensor<?x8xf32>)
func.func @narrow(%x: tensor<?x8xbf16>, %y: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xbf16>) outs(%y : tensor<?x8xf32>) {
  ^bb0(%in: bf16, %out: f32):
    %2 = arith.extf %in : bf16 to f32
    linalg.yield %2 : f32
  } -> tensor<?x8xf32>
  %1 = ssm.norm rms eps 1.000000e-05 input(%0 : tensor<?x8xf32>) outs(%y : tensor<?x8xf32>) maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}

// -----

// The only copy of a scan's output goes; what else the scan says stays.
#s = affine_map<(b, t, h, n, c) -> (b, h, n)>
#o = affine_map<(b, t, h, n, c) -> (b, t, c, h)>
#x = affine_map<(b, t, h, n, c) -> (b, t, h)>
#q = affine_map<(b, t, h, n, c) -> (c, n)>

// CHECK-LABEL: func.func @one_copy(
// CHECK:         ssm.scan
// CHECK:         } attributes {dim_names = ["b", "t", "h", "n"], period = 2.000000e+00 : f64} -> tensor<?x?x4xf32>, tensor<?x4x3xf32>
func.func @one_copy(%x: tensor<?x?x4xf32>, %q: tensor<1x3xf32>, %s: tensor<?x4x3xf32>, %y: tensor<?x?x1x4xf32>)
    -> (tensor<?x?x1x4xf32>, tensor<?x4x3xf32>) {
  %0:2 = ssm.scan ins(%x, %q : tensor<?x?x4xf32>, tensor<1x3xf32>) initial(%s : tensor<?x4x3xf32>)
      outs(%y, %s : tensor<?x?x1x4xf32>, tensor<?x4x3xf32>) maps {ins = [#x, #q], state = #s, output = #o} coefficients {
  ^bb0(%a: f32, %b: f32):
    ssm.coefficients write(%a : f32) read(%b : f32)
  } epilogue {
  ^bb0(%a: f32):
    ssm.yield %a : f32
  } attributes {dim_names = ["b", "t", "h", "n", "c"], period = 2.0 : f64} -> tensor<?x?x1x4xf32>, tensor<?x4x3xf32>
  return %0#0, %0#1 : tensor<?x?x1x4xf32>, tensor<?x4x3xf32>
}
