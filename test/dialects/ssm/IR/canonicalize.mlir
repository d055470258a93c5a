// RUN: ssm-opt %s --canonicalize="test-convergence" | FileCheck %s

#bte = affine_map<(b, t, e) -> (b, t, e)>
#be = affine_map<(b, t, e) -> (b, e)>
#e = affine_map<(b, t, e) -> (e)>

// CHECK-LABEL: @scan_operands
// CHECK-SAME: %[[A:.*]]: tensor<?x?x4xf32>, %[[B:.*]]: tensor<4xf32>,
// CHECK: ssm.scan ins(%[[A]] : tensor<?x?x4xf32>) epilogue_ins(%[[B]] : tensor<4xf32>)
// CHECK-SAME: maps {ins = [#[[$BTE:.*]]], epilogue = [#[[$E:.*]]], state
// CHECK: ^bb0(%[[AV:.*]]: f32):
// CHECK: ssm.coefficients decay(%[[AV]] : f32) write(%[[AV]] : f32)
// CHECK: ^bb0(%[[O:.*]]: f32, %[[BV:.*]]: f32):
// CHECK: arith.addf %[[O]], %[[BV]]
func.func @scan_operands(%a: tensor<?x?x4xf32>, %b: tensor<4xf32>,
    %y0: tensor<?x?x4xf32>, %s0: tensor<?x4xf32>) -> tensor<?x?x4xf32> {
  %y, %s = ssm.scan
      ins(%a, %b, %a : tensor<?x?x4xf32>, tensor<4xf32>, tensor<?x?x4xf32>)
      epilogue_ins(%a, %b, %b : tensor<?x?x4xf32>, tensor<4xf32>, tensor<4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [#bte, #e, #bte], epilogue = [#bte, #e, #e], state = #be,
            output = #bte}
      coefficients {
  ^bb0(%av: f32, %unused: f32, %again: f32):
    ssm.coefficients decay(%av : f32) write(%again : f32)
  } epilogue {
  ^bb0(%o: f32, %unused: f32, %bv: f32, %again: f32):
    %sum = arith.addf %o, %again : f32
    ssm.yield %sum : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return %y : tensor<?x?x4xf32>
}

// The same value through another map stays.
// CHECK-LABEL: @scan_other_map
// CHECK: ssm.scan ins(%{{.*}}, %{{.*}} : tensor<4x4xf32>, tensor<4x4xf32>)
func.func @scan_other_map(%a: tensor<4x4xf32>, %y0: tensor<?x?x4x4xf32>,
    %s0: tensor<?x4x4xf32>) -> tensor<?x?x4x4xf32> {
  %y, %s = ssm.scan ins(%a, %a : tensor<4x4xf32>, tensor<4x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4x4xf32>, tensor<?x4x4xf32>)
      maps {ins = [affine_map<(b, t, i, j) -> (i, j)>,
                   affine_map<(b, t, i, j) -> (j, i)>],
            state = affine_map<(b, t, i, j) -> (b, i, j)>,
            output = affine_map<(b, t, i, j) -> (b, t, i, j)>}
      coefficients {
  ^bb0(%av: f32, %transposed: f32):
    ssm.coefficients decay(%av : f32) write(%transposed : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4x4xf32>, tensor<?x4x4xf32>
  return %y : tensor<?x?x4x4xf32>
}

// CHECK-LABEL: @scan_idle_roles
// CHECK: ssm.scan ins(%{{.*}} : tensor<?x?x4xf32>) outs(
// CHECK: ssm.coefficients write(%{{.*}} : f32)
// CHECK-NEXT: }
func.func @scan_idle_roles(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) -> tensor<?x?x4xf32> {
  %zero = arith.constant 0.0 : f32
  %zeros = linalg.fill ins(%zero : f32) outs(%s0 : tensor<?x4xf32>)
      -> tensor<?x4xf32>
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%zeros : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [#bte], state = #be, output = #bte}
      coefficients {
  ^bb0(%av: f32):
    %one = arith.constant 1.0 : f32
    %false = arith.constant false
    ssm.coefficients decay(%one : f32) write(%av : f32) reset(%false)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return %y : tensor<?x?x4xf32>
}

// A negative zero is not the default.
// CHECK-LABEL: @scan_negative_zero
// CHECK: initial(
func.func @scan_negative_zero(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<2x4xf32>) -> tensor<?x?x4xf32> {
  %zeros = arith.constant dense<-0.0> : tensor<2x4xf32>
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%zeros : tensor<2x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<2x4xf32>)
      maps {ins = [#bte], state = #be, output = #bte}
      coefficients {
  ^bb0(%av: f32):
    ssm.coefficients write(%av : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<2x4xf32>
  return %y : tensor<?x?x4xf32>
}

// CHECK-LABEL: @epilogues
// CHECK: ssm.conv
// CHECK-NOT: epilogue_ins
// CHECK-SAME: outs(
// CHECK: ssm.norm
// CHECK-NOT: epilogue_ins
// CHECK-SAME: outs(
// CHECK: ssm.matmul
// CHECK-NOT: epilogue_ins
// CHECK-SAME: outs(
func.func @epilogues(%u: memref<?x?x8xf32>, %k: memref<8x4xf32>,
    %w: memref<1x8x8xf32>, %v: memref<8xf32>, %y: memref<?x?x8xf32>) {
  ssm.conv input(%u : memref<?x?x8xf32>) kernel(%k : memref<8x4xf32>)
      epilogue_ins(%v : memref<8xf32>) outs(%y : memref<?x?x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, j)>,
            epilogue = [affine_map<(b, t, c, j) -> (c)>],
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32, %unused: f32):
    ssm.yield %acc : f32
  }
  ssm.norm rms eps 0.0 input(%u : memref<?x?x8xf32>)
      epilogue_ins(%v : memref<8xf32>) outs(%y : memref<?x?x8xf32>)
      maps [#e] epilogue {
  ^bb0(%x: f32, %unused: f32):
    ssm.yield %x : f32
  }
  ssm.matmul input(%u : memref<?x?x8xf32>) weight(%w : memref<1x8x8xf32>)
      epilogue_ins(%v : memref<8xf32>) outs(%y : memref<?x?x8xf32>)
      maps [#e] epilogue {
  ^bb0(%acc: f32, %unused: f32):
    ssm.yield %acc : f32
  }
  return
}

// CHECK-LABEL: @memory_casts
// CHECK-SAME: %[[X:.*]]: memref<2x5xf32>
// CHECK-NOT: memref.cast
// CHECK: ssm.shift 1 input(%[[X]] : memref<2x5xf32>)
func.func @memory_casts(%x: memref<2x5xf32>, %y: memref<?x?xf32>) {
  %cast = memref.cast %x
      : memref<2x5xf32> to memref<?x?xf32, strided<[?, ?], offset: ?>>
  ssm.shift 1 input(%cast : memref<?x?xf32, strided<[?, ?], offset: ?>>)
      outs(%y : memref<?x?xf32>)
  return
}

// Nothing on tensors stays whose results are unused; memory is written.
// CHECK-LABEL: @unused
// CHECK-NEXT: ssm.shift -1
// CHECK-NEXT: return
func.func @unused(%x: tensor<?x?xf32>, %m: memref<?x?xf32>,
    %n: memref<?x?xf32>) {
  %y = ssm.shift 1 input(%x : tensor<?x?xf32>) outs(%x : tensor<?x?xf32>)
      -> tensor<?x?xf32>
  ssm.shift -1 input(%m : memref<?x?xf32>) outs(%n : memref<?x?xf32>)
  return
}
