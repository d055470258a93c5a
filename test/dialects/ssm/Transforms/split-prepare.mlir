// RUN: ssm-opt %s --split-input-file --ssm-split-prepare | FileCheck %s
// RUN: ssm-opt %s --split-input-file --ssm-split-prepare --remarks-filter='.*' --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

#row = affine_map<(t, d) -> (t, d)>
#lane = affine_map<(t, d) -> (d)>

// REMARK: [Passed] Table {{.*}} elements=4, members=1, table=0
// REMARK: [Passed] Table {{.*}} elements=4, members=1, table=1

// A computed table, and a weight that is used as it is. What a table needs of
// constants is copied; the unused weight stays an argument of @prepare.
// CHECK-LABEL: func.func @prepare(
// CHECK-SAME:    %[[W:[^ :,]+]]: tensor<4xf32> {ssm.shape = array<i64: 4, 1>, ssm.weight = "w"},
// CHECK-SAME:    %[[B:[^ :,]+]]: tensor<4xf32> {ssm.weight = "b"}, %{{.*}}: tensor<2xf32> {ssm.weight = "unused"})
// CHECK-SAME:    -> (tensor<4xf32> {ssm.table = 0 : i64}, tensor<4xf32> {ssm.table = 1 : i64})
// CHECK:         %[[E:[^ :,]+]] = linalg.exp ins(%[[W]] : tensor<4xf32>)
// CHECK:         return %[[E]], %[[B]]
// CHECK-LABEL: func.func @forward(
// CHECK-SAME:    %[[X:[^ :,]+]]: tensor<?x4xf32> {ssm.input = "x"},
// CHECK-SAME:    %[[T0:[^ :,]+]]: tensor<4xf32> {ssm.table = 0 : i64}, %[[T1:[^ :,]+]]: tensor<4xf32> {ssm.table = 1 : i64})
// CHECK-NOT:     linalg.exp
// CHECK:         linalg.generic
// CHECK-SAME:      ins(%[[X]], %[[T0]], %[[T1]] :
func.func @forward(%w: tensor<4xf32> {ssm.shape = array<i64: 4, 1>, ssm.weight = "w"},
    %x: tensor<?x4xf32> {ssm.input = "x"}, %b: tensor<4xf32> {ssm.weight = "b"},
    %unused: tensor<2xf32> {ssm.weight = "unused"}) -> tensor<?x4xf32> {
  %c0 = arith.constant 0 : index
  %t = tensor.dim %x, %c0 : tensor<?x4xf32>
  %e = tensor.empty() : tensor<4xf32>
  %0 = linalg.exp ins(%w : tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %y = tensor.empty(%t) : tensor<?x4xf32>
  %1 = linalg.generic {indexing_maps = [#row, #lane, #lane, #row], iterator_types = ["parallel", "parallel"]}
      ins(%x, %0, %b : tensor<?x4xf32>, tensor<4xf32>, tensor<4xf32>) outs(%y : tensor<?x4xf32>) {
  ^bb0(%v: f32, %f: f32, %s: f32, %o: f32):
    %2 = arith.mulf %v, %f : f32
    %3 = arith.addf %2, %s : f32
    linalg.yield %3 : f32
  } -> tensor<?x4xf32>
  return %1 : tensor<?x4xf32>
}

// -----

// Inside a loop over depth: one table with a member for each trip. A plain
// member of a weight needs none, and a value that no trip changes has one member.
// CHECK-LABEL: func.func @prepare(
// CHECK-SAME:    %[[W:[^ :,]+]]: tensor<3x4xf32> {ssm.weight = "l.{}.w"}, %[[B:[^ :,]+]]: tensor<3x4xf32> {ssm.weight = "l.{}.b"}, %[[G:[^ :,]+]]: tensor<4xf32> {ssm.weight = "g"})
// CHECK-SAME:    -> (tensor<3x4xf32> {ssm.table = 0 : i64}, tensor<3x4xf32> {ssm.table = 1 : i64}, tensor<4xf32> {ssm.table = 2 : i64})
// CHECK:         %[[FIXED:[^ :,]+]] = linalg.exp ins(%[[G]] :
// CHECK:         %[[ALL:[^ :,]+]] = tensor.empty() : tensor<3x4xf32>
// CHECK:         %[[T:[^ :,]+]] = scf.for %[[I:[^ :,]+]] = {{.*}} iter_args(%[[FILLED:[^ :,]+]] = %[[ALL]])
// CHECK:           %[[MEMBER:[^ :,]+]] = tensor.extract_slice %[[W]][%[[I]], 0] [1, 4] [1, 1]
// CHECK:           %[[EXP:[^ :,]+]] = linalg.exp ins(%[[MEMBER]] :
// CHECK:           %[[NEXT:[^ :,]+]] = tensor.insert_slice %[[EXP]] into %[[FILLED]][%[[I]], 0] [1, 4] [1, 1]
// CHECK:           scf.yield %[[NEXT]]
// CHECK:         return %[[T]], %[[B]], %[[FIXED]]
// CHECK-LABEL: func.func @forward(
// CHECK-SAME:    %{{.*}}: tensor<4xf32> {ssm.input = "x"}, %[[T0:[^ :,]+]]: tensor<3x4xf32> {ssm.table = 0 : i64}, %[[T1:[^ :,]+]]: tensor<3x4xf32> {ssm.table = 1 : i64}, %[[T2:[^ :,]+]]: tensor<4xf32> {ssm.table = 2 : i64})
// CHECK:         scf.for %[[I:[^ :,]+]] =
// CHECK:           %[[M0:[^ :,]+]] = tensor.extract_slice %[[T0]][%[[I]], 0] [1, 4] [1, 1]
// CHECK:           %[[M1:[^ :,]+]] = tensor.extract_slice %[[T1]][%[[I]], 0] [1, 4] [1, 1]
// CHECK:           linalg.mul ins(%{{.*}}, %[[M0]] :
// CHECK:           linalg.add ins(%{{.*}}, %[[M1]] :
// CHECK:           linalg.add ins(%{{.*}}, %[[T2]] :
func.func @forward(%w: tensor<3x4xf32> {ssm.weight = "l.{}.w"},
    %b: tensor<3x4xf32> {ssm.weight = "l.{}.b"}, %g: tensor<4xf32> {ssm.weight = "g"},
    %x: tensor<4xf32> {ssm.input = "x"}) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %0 = scf.for %i = %c0 to %c3 step %c1 iter_args(%y = %x) -> tensor<4xf32> {
    %wi = tensor.extract_slice %w[%i, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
    %bi = tensor.extract_slice %b[%i, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
    %e = tensor.empty() : tensor<4xf32>
    %1 = linalg.exp ins(%wi : tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
    %2 = linalg.exp ins(%g : tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
    %3 = linalg.mul ins(%y, %1 : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
    %4 = linalg.add ins(%3, %bi : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
    %5 = linalg.add ins(%4, %2 : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
    scf.yield %5 : tensor<4xf32>
  }
  return %0 : tensor<4xf32>
}

// -----

// A loop that starts at 4 in steps of 2: the table counts trips.
// CHECK-LABEL: func.func @prepare
// CHECK:         tensor.empty() : tensor<3x4xf32>
// CHECK:         scf.for %[[I:[^ :,]+]] =
// CHECK:           %[[FROM:[^ :,]+]] = arith.subi %[[I]], %{{.*}} : index
// CHECK:           %[[TRIP:[^ :,]+]] = arith.divui %[[FROM]], %{{.*}} : index
// CHECK:           tensor.insert_slice %{{.*}} into %{{.*}}[%[[TRIP]], 0] [1, 4] [1, 1]
// CHECK-LABEL: func.func @forward
// CHECK:           arith.divui
func.func @forward(%w: tensor<9x4xf32> {ssm.weight = "w"}, %x: tensor<4xf32> {ssm.input = "x"})
    -> tensor<4xf32> {
  %c4 = arith.constant 4 : index
  %c2 = arith.constant 2 : index
  %c9 = arith.constant 9 : index
  %0 = scf.for %i = %c4 to %c9 step %c2 iter_args(%y = %x) -> tensor<4xf32> {
    %wi = tensor.extract_slice %w[%i, 0] [1, 4] [1, 1] : tensor<9x4xf32> to tensor<4xf32>
    %e = tensor.empty() : tensor<4xf32>
    %1 = linalg.exp ins(%wi : tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
    %2 = linalg.mul ins(%y, %1 : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
    scf.yield %2 : tensor<4xf32>
  }
  return %0 : tensor<4xf32>
}

// -----

// Without a constant number of trips the index is an input like any other.
// CHECK-LABEL: func.func @prepare(
// CHECK-SAME:    %[[W:[^ :,]+]]: tensor<9x4xf32>
// CHECK-NEXT:    return %[[W]]
// CHECK-LABEL: func.func @forward
// CHECK:         linalg.exp
func.func @forward(%w: tensor<9x4xf32> {ssm.weight = "w"}, %n: index {ssm.position},
    %x: tensor<4xf32> {ssm.input = "x"}) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %0 = scf.for %i = %c0 to %n step %c1 iter_args(%y = %x) -> tensor<4xf32> {
    %wi = tensor.extract_slice %w[%i, 0] [1, 4] [1, 1] : tensor<9x4xf32> to tensor<4xf32>
    %e = tensor.empty() : tensor<4xf32>
    %1 = linalg.exp ins(%wi : tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
    %2 = linalg.mul ins(%y, %1 : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
    scf.yield %2 : tensor<4xf32>
  }
  return %0 : tensor<4xf32>
}

// -----

#id = affine_map<(d) -> (d)>

// Costly functions of indices are worth a table, cheap ones and zeros are not.
// Views stay where they are.
// CHECK-LABEL: func.func @prepare(
// CHECK-SAME:    %[[W:[^ :,]+]]: tensor<2x2xf32>
// CHECK:         %[[T:[^ :,]+]] = linalg.generic {{.*}} ins(
// CHECK:           math.exp
// CHECK:         return %[[T]], %[[W]]
// CHECK-LABEL: func.func @forward(
// CHECK-SAME:    %[[X:[^ :,]+]]: tensor<4xf32> {ssm.input = "x"}, %[[T0:[^ :,]+]]: tensor<4xf32> {{{.*}}}, %[[T1:[^ :,]+]]: tensor<2x2xf32>
// CHECK:         %[[ZERO:[^ :,]+]] = linalg.fill
// CHECK:         %[[CHEAP:[^ :,]+]] = linalg.generic
// CHECK:         %[[VIEW:[^ :,]+]] = tensor.collapse_shape %[[T1]]
// CHECK:         linalg.generic
// CHECK-SAME:      ins(%[[X]], %[[T0]], %[[CHEAP]], %[[VIEW]] :
// CHECK-SAME:      outs(%[[ZERO]] :
func.func @forward(%w: tensor<2x2xf32> {ssm.weight = "w"}, %x: tensor<4xf32> {ssm.input = "x"})
    -> tensor<4xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4xf32>
  %0 = linalg.fill ins(%zero : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %1 = linalg.generic {indexing_maps = [#id], iterator_types = ["parallel"]} outs(%e : tensor<4xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 0 : index
    %j = arith.index_cast %i : index to i64
    %f = arith.sitofp %j : i64 to f32
    linalg.yield %f : f32
  } -> tensor<4xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%1 : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%v: f32, %o: f32):
    %f = math.exp %v : f32
    linalg.yield %f : f32
  } -> tensor<4xf32>
  %3 = tensor.collapse_shape %w [[0, 1]] : tensor<2x2xf32> into tensor<4xf32>
  %4 = linalg.generic {indexing_maps = [#id, #id, #id, #id, #id], iterator_types = ["parallel"]}
      ins(%x, %2, %1, %3 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) outs(%0 : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32, %o: f32):
    %5 = arith.addf %a, %b : f32
    %6 = arith.addf %5, %c : f32
    %7 = arith.addf %6, %d : f32
    %8 = arith.addf %7, %o : f32
    linalg.yield %8 : f32
  } -> tensor<4xf32>
  return %4 : tensor<4xf32>
}

// -----

// Equal values make one table.
// CHECK-LABEL: func.func @prepare
// CHECK-SAME:    -> (tensor<4xf32> {ssm.table = 0 : i64}) {
// CHECK-COUNT-1: linalg.exp
// CHECK-LABEL: func.func @forward
// CHECK-NOT:     linalg.exp
// CHECK:         return
func.func @forward(%w: tensor<4xf32> {ssm.weight = "w"}, %x: tensor<4xf32> {ssm.input = "x"})
    -> tensor<4xf32> {
  %e = tensor.empty() : tensor<4xf32>
  %0 = linalg.exp ins(%w : tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %f = tensor.empty() : tensor<4xf32>
  %1 = linalg.exp ins(%w : tensor<4xf32>) outs(%f : tensor<4xf32>) -> tensor<4xf32>
  %2 = linalg.mul ins(%x, %0 : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %3 = linalg.mul ins(%2, %1 : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  return %3 : tensor<4xf32>
}

// -----

// Values that regions use from outside are tables as well: an embedding.
// CHECK-LABEL: func.func @forward(
// CHECK-SAME:    %[[T:[^ :,]+]]: tensor<7x4xf32> {ssm.table = 0 : i64})
// CHECK:         tensor.extract %[[T]]
func.func @forward(%w: tensor<7x4xf32> {ssm.weight = "w"}, %ids: tensor<?xi64> {ssm.input = "ids"})
    -> tensor<?x4xf32> {
  %c0 = arith.constant 0 : index
  %t = tensor.dim %ids, %c0 : tensor<?xi64>
  %e = tensor.empty(%t) : tensor<?x4xf32>
  %0 = linalg.generic {indexing_maps = [affine_map<(t, d) -> (t)>, affine_map<(t, d) -> (t, d)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%ids : tensor<?xi64>) outs(%e : tensor<?x4xf32>) {
  ^bb0(%id: i64, %o: f32):
    %i = arith.index_cast %id : i64 to index
    %d = linalg.index 1 : index
    %v = tensor.extract %w[%i, %d] : tensor<7x4xf32>
    linalg.yield %v : f32
  } -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----

// A layer without weights has nothing to prepare.
// CHECK-LABEL: func.func @prepare() {
// CHECK-NEXT:    return
// CHECK-LABEL: func.func @forward(
func.func @forward(%x: tensor<4xf32> {ssm.input = "x"}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

#lag_row = affine_map<(j, d) -> (j, d)>
#lag_lane = affine_map<(j, d) -> (d)>

// A kernel as long as the sequence is a table of twice the prepared length,
// here with the place as a factor. Its extent is computed in @forward, where
// the view of the table stays.
// CHECK-LABEL: func.func @prepare(
// CHECK-SAME:    %[[W:[^ :,]+]]: tensor<6xf32> {ssm.weight = "w"}, %[[P:[^ :,]+]]: index {ssm.prepared_length})
// CHECK-SAME:    -> (tensor<?x6xf32> {ssm.extents = array<i64: 2, 0, 0, 6>, ssm.table = 0 : i64})
// CHECK:         linalg.generic
// CHECK-LABEL: func.func @forward(
// CHECK-SAME:    %[[P:[^ :,]+]]: index {ssm.prepared_length}
// CHECK-SAME:    %[[T:[^ :,]+]]: tensor<?x6xf32> {ssm.extents = array<i64: 2, 0, 0, 6>, ssm.table = 0 : i64})
// CHECK:         %[[L:.*]] = arith.muli %[[P]], %c2
// CHECK:         tensor.expand_shape %[[T]] {{.*}} output_shape [%[[L]], 2, 3]
func.func @forward(%w: tensor<6xf32> {ssm.weight = "w"}, %p: index {ssm.prepared_length},
    %u: tensor<?x?x2x3xf32> {ssm.input = "u"}, %y: tensor<?x?x2x3xf32>) -> tensor<?x?x2x3xf32> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %lags = arith.muli %p, %c2 : index
  %e = tensor.empty(%lags) : tensor<?x6xf32>
  %k = linalg.generic {indexing_maps = [#lag_lane, #lag_row], iterator_types = ["parallel", "parallel"]}
      ins(%w : tensor<6xf32>) outs(%e : tensor<?x6xf32>) {
  ^bb0(%f: f32, %o: f32):
    %i = linalg.index 0 : index
    %n = arith.index_cast %i : index to i64
    %x = arith.sitofp %n : i64 to f32
    %v = arith.mulf %x, %f : f32
    linalg.yield %v : f32
  } -> tensor<?x6xf32>
  %d = tensor.dim %k, %c0 : tensor<?x6xf32>
  %heads = tensor.expand_shape %k [[0], [1, 2]] output_shape [%d, 2, 3] : tensor<?x6xf32> into tensor<?x2x3xf32>
  %c-1 = arith.constant -1 : index
  %first = arith.muli %p, %c-1 : index
  %0 = ssm.conv input(%u : tensor<?x?x2x3xf32>) kernel(%heads : tensor<?x2x3xf32>)
      outs(%y : tensor<?x?x2x3xf32>)
      maps {input = affine_map<(b, t, h, c, j) -> (b, t, h, c)>,
            kernel = affine_map<(b, t, h, c, j) -> (j, h, c)>,
            output = affine_map<(b, t, h, c, j) -> (b, t, h, c)>} lags ? from %first
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x2x3xf32>
  return %0 : tensor<?x?x2x3xf32>
}

// -----

// What one branch alone needs is a table like any other.
// CHECK-LABEL: func.func @prepare(
// CHECK:         linalg.exp
// CHECK-LABEL: func.func @forward(
// CHECK-SAME:    %[[T:[^ :,]+]]: tensor<4xf32> {ssm.table = 0 : i64}
// CHECK:         scf.if
// CHECK-NOT:     linalg.exp
// CHECK:         linalg.add ins(%{{.*}}, %[[T]] :
func.func @forward(%w: tensor<4xf32> {ssm.weight = "w"}, %x: tensor<4xf32> {ssm.input = "x"},
    %c: i1) -> tensor<4xf32> {
  %r = scf.if %c -> tensor<4xf32> {
    %e = tensor.empty() : tensor<4xf32>
    %0 = linalg.exp ins(%w : tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
    %1 = linalg.add ins(%x, %0 : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
    scf.yield %1 : tensor<4xf32>
  } else {
    scf.yield %x : tensor<4xf32>
  }
  return %r : tensor<4xf32>
}
