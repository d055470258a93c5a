// RUN: ssm-opt %s --split-input-file --ssm-pack-weights | FileCheck %s
// RUN: ssm-opt %s --split-input-file --ssm-pack-weights=panel-columns=16 | FileCheck %s --check-prefix=NARROW
// RUN: ssm-opt %s --split-input-file --ssm-pack-weights="operand-type=bf16 depth-multiple=32" | FileCheck %s --check-prefix=OPERANDS
// RUN: ssm-opt %s --split-input-file --ssm-pack-weights --remarks-filter='.*' --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

#nk = affine_map<(b, t, n, k) -> (n, k)>
#kn = affine_map<(b, t, n, k) -> (k, n)>
#x = affine_map<(b, t, n, k) -> (b, t, k)>
#y = affine_map<(b, t, n, k) -> (b, t, n)>

// REMARK: [Passed] Packed {{.*}} blocks=1, columns=48, depth=8, products=1
// CHECK-LABEL: func.func @rows(
// CHECK-SAME:    %[[W:[^ :,]+]]: tensor<48x8xf32> {{.*}}, %[[X:[^ :,]+]]: tensor<?x?x8xf32>, %[[Y:[^ :,]+]]: tensor<?x?x48xf32>)
// CHECK:         %[[E:[^ :,]+]] = tensor.empty() : tensor<2x8x32xf32>
// CHECK:         %[[P:[^ :,]+]] = ssm.pack weight(%[[W]] : tensor<48x8xf32>) outs(%[[E]] :
// CHECK:         %[[R:[^ :,]+]] = ssm.matmul input(%[[X]] : {{.*}}) weight(%[[P]] : {{.*}}) outs(%[[Y]] : {{.*}}) maps [] epilogue {
// CHECK-NEXT:    ^bb0(%[[V:[^ :,]+]]: f32):
// CHECK-NEXT:      ssm.yield %[[V]] : f32
// CHECK:         return %[[R]]
// NARROW-LABEL: func.func @rows(
// NARROW:         ssm.pack {{.*}} -> tensor<3x8x16xf32>
func.func @rows(%w: tensor<48x8xf32> {ssm.weight = "w"}, %x: tensor<?x?x8xf32>, %y: tensor<?x?x48xf32>)
    -> tensor<?x?x48xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.fill ins(%zero : f32) outs(%y : tensor<?x?x48xf32>) -> tensor<?x?x48xf32>
  %1 = linalg.generic {indexing_maps = [#nk, #x, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %x : tensor<48x8xf32>, tensor<?x?x8xf32>) outs(%0 : tensor<?x?x48xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %2 = arith.mulf %a, %b : f32
    %3 = arith.addf %o, %2 : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x48xf32>
  return %1 : tensor<?x?x48xf32>
}

// -----

#kn = affine_map<(b, t, n, k) -> (k, n)>
#x = affine_map<(b, t, n, k) -> (b, t, k)>
#y = affine_map<(b, t, n, k) -> (b, t, n)>

// Stored as bf16: panels of pairs, of half the columns for a narrow matrix. The
// sum continues from what it starts with.
// CHECK-LABEL: func.func @transposed_bf16(
// CHECK:         ssm.pack transposed weight(%{{.*}} : tensor<9x12xbf16>) {{.*}} -> tensor<1x5x16x2xbf16>
// CHECK:         ssm.matmul {{.*}} epilogue_ins(%[[Y:[^ :,]+]] : tensor<?x?x12xf32>) outs(%[[Y]] : {{.*}}) maps [#{{.*}}] epilogue {
// CHECK-NEXT:    ^bb0(%[[V:[^ :,]+]]: f32, %[[P:[^ :,]+]]: f32):
// CHECK-NEXT:      arith.addf %[[P]], %[[V]] : f32
func.func @transposed_bf16(%w: tensor<9x12xbf16> {ssm.weight = "w"}, %x: tensor<?x?x9xf32>, %y: tensor<?x?x12xf32>)
    -> tensor<?x?x12xf32> {
  %1 = linalg.generic {indexing_maps = [#x, #kn, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<?x?x9xf32>, tensor<9x12xbf16>) outs(%y : tensor<?x?x12xf32>) {
  ^bb0(%a: f32, %b: bf16, %o: f32):
    %c = arith.extf %b : bf16 to f32
    %2 = arith.mulf %a, %c : f32
    %3 = arith.addf %2, %o : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x12xf32>
  return %1 : tensor<?x?x12xf32>
}

// -----

#nk = affine_map<(b, t, n, k) -> (n, k)>
#x = affine_map<(b, t, n, k) -> (b, t, k)>
#y = affine_map<(b, t, n, k) -> (b, t, n)>

// The real part of complex numbers: two products, the second taken off in place.
// REMARK: [Passed] Packed {{.*}} blocks=1, columns=8, depth=8, products=2
// CHECK-LABEL: func.func @complex(
// CHECK-SAME:    %[[RE:[^:]*]]: tensor<8x8xf32> {{{[^}]*}}}, %[[IM:[^:]*]]: tensor<8x8xf32>
// CHECK:         %[[P0:[^ :,]+]] = ssm.pack weight(%[[RE]]
// CHECK:         %[[Y0:[^ :,]+]] = ssm.matmul {{.*}} weight(%[[P0]]
// CHECK:         %[[P1:[^ :,]+]] = ssm.pack weight(%[[IM]]
// CHECK:         ssm.matmul {{.*}} weight(%[[P1]] {{.*}} epilogue_ins(%[[Y0]] : {{.*}}) outs(%[[Y0]] :
// CHECK-NEXT:    ^bb0(%[[V:[^ :,]+]]: f32, %[[S:[^ :,]+]]: f32):
// CHECK-NEXT:      arith.subf %[[S]], %[[V]] : f32
func.func @complex(%re: tensor<8x8xf32> {ssm.weight = "re"}, %im: tensor<8x8xf32> {ssm.weight = "im"},
    %x: tensor<?x?x8xf32>, %u: tensor<?x?x8xf32>, %y: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.fill ins(%zero : f32) outs(%y : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %1 = linalg.generic {indexing_maps = [#nk, #x, #nk, #x, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%re, %x, %im, %u : tensor<8x8xf32>, tensor<?x?x8xf32>, tensor<8x8xf32>, tensor<?x?x8xf32>) outs(%0 : tensor<?x?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32, %o: f32):
    %2 = arith.mulf %a, %b : f32
    %3 = arith.mulf %c, %d : f32
    %4 = arith.subf %2, %3 : f32
    %5 = arith.addf %o, %4 : f32
    linalg.yield %5 : f32
  } -> tensor<?x?x8xf32>
  return %1 : tensor<?x?x8xf32>
}

// -----

#w = affine_map<(b, t, h, p, i, j) -> (h * 4 + p, i, j)>
#x = affine_map<(b, t, h, p, i, j) -> (b, t, i * 3 + j)>
#y = affine_map<(b, t, h, p, i, j) -> (b, t, h, p)>

// Merged dimensions, in maps or in shapes.
// CHECK-LABEL: func.func @merged(
// CHECK-SAME:    %[[W:[^ :,]+]]: tensor<8x5x3xf32> {{.*}}, %[[X:[^ :,]+]]: tensor<?x?x15xf32>
// CHECK:         %[[M:[^ :,]+]] = tensor.collapse_shape %[[W]] {{\[}}[0], [1, 2]]
// CHECK:         %[[P:[^ :,]+]] = ssm.pack weight(%[[M]] : tensor<8x15xf32>)
// CHECK:         %[[Y:[^ :,]+]] = ssm.matmul input(%[[X]] : tensor<?x?x15xf32>) weight(%[[P]]
// CHECK:         tensor.expand_shape %[[Y]] {{\[}}[0], [1], [2, 3]] {{.*}} : tensor<?x?x8xf32> into tensor<?x?x2x4xf32>
func.func @merged(%w: tensor<8x5x3xf32> {ssm.weight = "w"}, %x: tensor<?x?x15xf32>, %y: tensor<?x?x2x4xf32>)
    -> tensor<?x?x2x4xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.fill ins(%zero : f32) outs(%y : tensor<?x?x2x4xf32>) -> tensor<?x?x2x4xf32>
  %1 = linalg.generic {indexing_maps = [#w, #x, #y],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%w, %x : tensor<8x5x3xf32>, tensor<?x?x15xf32>) outs(%0 : tensor<?x?x2x4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %2 = arith.mulf %a, %b : f32
    %3 = arith.addf %o, %2 : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x2x4xf32>
  return %1 : tensor<?x?x2x4xf32>
}

// -----

#nk = affine_map<(b, t, n, k) -> (n, k)>
#x = affine_map<(b, t, n, k) -> (b, t, k)>
#y = affine_map<(b, t, n, k) -> (b, t, n)>

// A member of a family of weights, and f64 sums of f32 weights.
// CHECK-LABEL: func.func @member_f64(
// CHECK:         scf.for
// CHECK:           %[[W:[^ :,]+]] = tensor.extract_slice
// CHECK:           ssm.pack weight(%[[W]] : tensor<8x8xf32>) {{.*}} -> tensor<1x8x16xf64>
// CHECK:           ssm.matmul
func.func @member_f64(%w: tensor<3x8x8xf32> {ssm.weight = "l.{}.w"}, %x: tensor<?x?x8xf64>) -> tensor<?x?x8xf64> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %zero = arith.constant 0.0 : f64
  %r = scf.for %i = %c0 to %c3 step %c1 iter_args(%y = %x) -> tensor<?x?x8xf64> {
    %wi = tensor.extract_slice %w[%i, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<3x8x8xf32> to tensor<8x8xf32>
    %b = tensor.dim %y, %c0 : tensor<?x?x8xf64>
    %t = tensor.dim %y, %c1 : tensor<?x?x8xf64>
    %e = tensor.empty(%b, %t) : tensor<?x?x8xf64>
    %0 = linalg.fill ins(%zero : f64) outs(%e : tensor<?x?x8xf64>) -> tensor<?x?x8xf64>
    %1 = linalg.generic {indexing_maps = [#nk, #x, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
        ins(%wi, %y : tensor<8x8xf32>, tensor<?x?x8xf64>) outs(%0 : tensor<?x?x8xf64>) {
    ^bb0(%p: f32, %q: f64, %o: f64):
      %s = arith.extf %p : f32 to f64
      %2 = arith.mulf %s, %q : f64
      %3 = arith.addf %o, %2 : f64
      linalg.yield %3 : f64
    } -> tensor<?x?x8xf64>
    scf.yield %1 : tensor<?x?x8xf64>
  }
  return %r : tensor<?x?x8xf64>
}

// -----

#nk = affine_map<(b, t, n, k) -> (n, k)>
#x = affine_map<(b, t, n, k) -> (b, t, k)>
#y = affine_map<(b, t, n, k) -> (b, t, n)>

// REMARK: [Missed] Unpacked {{.*}} Reason="neither factor depends on weights alone"
// CHECK-LABEL: func.func @no_weight(
// CHECK-NOT:     ssm.matmul
// CHECK:         return
func.func @no_weight(%w: tensor<8x8xf32>, %x: tensor<?x?x8xf32>, %y: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %1 = linalg.generic {indexing_maps = [#nk, #x, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %x : tensor<8x8xf32>, tensor<?x?x8xf32>) outs(%y : tensor<?x?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %2 = arith.mulf %a, %b : f32
    %3 = arith.addf %o, %2 : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x8xf32>
  return %1 : tensor<?x?x8xf32>
}

// -----

#nk = affine_map<(b, t, n, k) -> (n, k)>
#x = affine_map<(b, t, n, k) -> (b, t, k)>
#y = affine_map<(b, t, n, k) -> (b, t, n)>

// REMARK: [Missed] Unpacked {{.*}} Reason="the weight has 3 x 40 elements, too few to pack"
// CHECK-LABEL: func.func @few_columns(
// CHECK-NOT:     ssm.matmul
// CHECK:         return
func.func @few_columns(%w: tensor<3x40xf32> {ssm.weight = "w"}, %x: tensor<?x?x40xf32>, %y: tensor<?x?x3xf32>) -> tensor<?x?x3xf32> {
  %1 = linalg.generic {indexing_maps = [#nk, #x, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %x : tensor<3x40xf32>, tensor<?x?x40xf32>) outs(%y : tensor<?x?x3xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %2 = arith.mulf %a, %b : f32
    %3 = arith.addf %o, %2 : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x3xf32>
  return %1 : tensor<?x?x3xf32>
}

// -----

#nk = affine_map<(b, t, n, k) -> (n, k)>
#x = affine_map<(b, t, n, k) -> (b, t, k)>
#y = affine_map<(b, t, n, k) -> (b, t, n)>

// REMARK: [Missed] Unpacked {{.*}} Reason="the body is no sum of products of two operands"
// CHECK-LABEL: func.func @maximum(
// CHECK-NOT:     ssm.matmul
// CHECK:         return
func.func @maximum(%w: tensor<8x8xf32> {ssm.weight = "w"}, %x: tensor<?x?x8xf32>, %y: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %1 = linalg.generic {indexing_maps = [#nk, #x, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %x : tensor<8x8xf32>, tensor<?x?x8xf32>) outs(%y : tensor<?x?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %2 = arith.mulf %a, %b : f32
    %3 = arith.maximumf %o, %2 : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x8xf32>
  return %1 : tensor<?x?x8xf32>
}

// -----

#nk = affine_map<(b, t, n, k) -> (n, k)>
#x = affine_map<(b, t, n, k) -> (t, b, k)>
#y = affine_map<(b, t, n, k) -> (b, t, n)>

// REMARK: [Missed] Unpacked {{.*}} Reason="the input's rows are not contiguous"
// CHECK-LABEL: func.func @other_order(
// CHECK-NOT:     ssm.matmul
// CHECK:         return
func.func @other_order(%w: tensor<8x8xf32> {ssm.weight = "w"}, %x: tensor<?x?x8xf32>, %y: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %1 = linalg.generic {indexing_maps = [#nk, #x, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %x : tensor<8x8xf32>, tensor<?x?x8xf32>) outs(%y : tensor<?x?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %2 = arith.mulf %a, %b : f32
    %3 = arith.addf %o, %2 : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x8xf32>
  return %1 : tensor<?x?x8xf32>
}

// -----

#x = affine_map<(b, t, h, n, k) -> (b, t, h * 8 + k)>
#w = affine_map<(b, t, h, n, k) -> (h, k, n)>
#y = affine_map<(b, t, h, n, k) -> (b, t, h, n)>

// A block-diagonal weight: one loop packs its blocks, one multiplies.
// REMARK: [Passed] Packed {{.*}} blocks=3, columns=16, depth=8, products=1
// CHECK-LABEL: func.func @blocks(
// CHECK-SAME:    %[[W:[^ :,]+]]: tensor<3x8x16xf32> {{.*}}, %[[X:[^ :,]+]]: tensor<?x?x24xf32>,
// CHECK:         %[[P:[^ :,]+]] = scf.for {{.*}} -> (tensor<3x1x8x16xf32>)
// CHECK:           ssm.pack transposed weight(%{{.*}} : tensor<8x16xf32>)
// CHECK:         %[[R:[^ :,]+]] = scf.for %[[I:[^ :,]+]] = {{.*}} iter_args(%[[Y:[^ :,]+]] = %{{.*}}) -> (tensor<?x?x48xf32>)
// CHECK:           %[[PART:[^ :,]+]] = tensor.extract_slice %[[Y]]
// CHECK:           tensor.extract_slice %[[X]]
// CHECK:           tensor.extract_slice %[[P]][%[[I]], 0, 0, 0]
// CHECK:           %[[S:[^ :,]+]] = ssm.matmul {{.*}} outs(%[[PART]] : tensor<?x?x16xf32>)
// CHECK:           tensor.insert_slice %[[S]] into %[[Y]]
// CHECK:         tensor.expand_shape %[[R]] {{.*}} into tensor<?x?x3x16xf32>
func.func @blocks(%w: tensor<3x8x16xf32> {ssm.weight = "w"}, %x: tensor<?x?x24xf32>, %y: tensor<?x?x3x16xf32>) -> tensor<?x?x3x16xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.fill ins(%zero : f32) outs(%y : tensor<?x?x3x16xf32>) -> tensor<?x?x3x16xf32>
  %1 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<?x?x24xf32>, tensor<3x8x16xf32>) outs(%0 : tensor<?x?x3x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %2 = arith.mulf %a, %b : f32
    %3 = arith.addf %o, %2 : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x3x16xf32>
  return %1 : tensor<?x?x3x16xf32>
}

// -----

#nk = affine_map<(b, t, n, k) -> (n, k)>
#x = affine_map<(b, t, n, k) -> (b, t, k)>
#y = affine_map<(b, t, n, k) -> (b, t, n)>

// Both operands narrow: an f32 weight in bf16 panels, padded to blocks of 32.
// OPERANDS-LABEL: func.func @operands(
// OPERANDS:         ssm.pack weight({{.*}} : tensor<48x49xf32>) {{.*}} -> tensor<2x32x32x2xbf16>
// OPERANDS:         ssm.matmul round_input input({{.*}} : tensor<?x?x49xf32>)
func.func @operands(%w: tensor<48x49xf32> {ssm.weight = "w"}, %x: tensor<?x?x49xf32>, %y: tensor<?x?x48xf32>)
    -> tensor<?x?x48xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.fill ins(%zero : f32) outs(%y : tensor<?x?x48xf32>) -> tensor<?x?x48xf32>
  %1 = linalg.generic {indexing_maps = [#nk, #x, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %x : tensor<48x49xf32>, tensor<?x?x49xf32>) outs(%0 : tensor<?x?x48xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %2 = arith.mulf %a, %b : f32
    %3 = arith.addf %o, %2 : f32
    linalg.yield %3 : f32
  } -> tensor<?x?x48xf32>
  return %1 : tensor<?x?x48xf32>
}
