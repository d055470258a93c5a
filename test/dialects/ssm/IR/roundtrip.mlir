// RUN: ssm-opt %s --verify-roundtrip | FileCheck %s
// RUN: ssm-opt %s --mlir-print-op-generic | ssm-opt | FileCheck %s

// What the examples of the reference pages lack: every optional part, on memory.

#bte = affine_map<(b, t, e) -> (b, t, e)>
#be = affine_map<(b, t, e) -> (b, e)>
#t = affine_map<(b, t, e) -> (b, t)>

// CHECK-LABEL: @scan_memory
// CHECK: ssm.scan reverse complex ins(%{{.*}}, %{{.*}} : memref<?x?x4xf32>, memref<?x?x4xf32>)
// CHECK-SAME: initial(%{{.*}}, %{{.*}} : memref<?x4xf32>, memref<?x4xf32>)
// CHECK-SAME: epilogue_ins(%{{.*}} : memref<?x?x4xf32>)
// CHECK-SAME: outs(
// CHECK-SAME: maps {ins = [#{{.*}}, #{{.*}}], epilogue = [#{{.*}}], state = #{{.*}}, output = #{{.*}}}
// CHECK-SAME: coefficients {
// CHECK: ssm.coefficients decay(%{{.*}}, %{{.*}} : f32, f32) write(%{{.*}}, %{{.*}} : f32, f32)
// CHECK: } epilogue {
// CHECK: ssm.yield %{{.*}}, %{{.*}} : f32, f32
// CHECK: } attributes {dim_names = ["b", "t", "e"], schedule = #ssm.schedule<mode = scan, chunk = 64, lanes = 16, segments = 2>}
// CHECK-NOT: ->
// CHECK: return
func.func @scan_memory(%a: memref<?x?x4xf32>, %y0: memref<?x?x4xf32>,
    %y1: memref<?x?x4xf32>, %s0: memref<?x4xf32>, %s1: memref<?x4xf32>) {
  ssm.scan reverse complex
      ins(%a, %a : memref<?x?x4xf32>, memref<?x?x4xf32>)
      initial(%s0, %s1 : memref<?x4xf32>, memref<?x4xf32>)
      epilogue_ins(%a : memref<?x?x4xf32>)
      outs(%y0, %y1, %s0, %s1 : memref<?x?x4xf32>, memref<?x?x4xf32>,
           memref<?x4xf32>, memref<?x4xf32>)
      maps {ins = [#bte, #bte], epilogue = [#bte], state = #be, output = #bte}
      coefficients {
  ^bb0(%re: f32, %im: f32):
    ssm.coefficients decay(%re, %im : f32, f32) write(%im, %re : f32, f32)
  } epilogue {
  ^bb0(%re: f32, %im: f32, %v: f32):
    %sum = arith.addf %re, %v : f32
    ssm.yield %sum, %im : f32, f32
  } attributes {dim_names = ["b", "t", "e"],
                schedule = #ssm.schedule<mode = scan, chunk = 64, lanes = 16,
                                         segments = 2>}
  return
}

// CHECK-LABEL: @scan_keys_reset
// CHECK: ssm.scan ins(
// CHECK-SAME: keys [2] coefficients {
// CHECK: ssm.coefficients erase(%{{.*}}, %{{.*}} : f32, f32) reset(%{{.*}})
func.func @scan_keys_reset(%a: tensor<?x?x4xf32>, %r: tensor<?x?xi1>,
    %y0: tensor<?x?x4xf32>, %s0: tensor<?x4xf32>) -> tensor<?x?x4xf32> {
  %y, %s = ssm.scan ins(%a, %r : tensor<?x?x4xf32>, tensor<?x?xi1>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [#bte, #t], state = #be, output = #bte} keys [2]
      coefficients {
  ^bb0(%v: f32, %starts: i1):
    ssm.coefficients erase(%v, %v : f32, f32) reset(%starts)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return %y : tensor<?x?x4xf32>
}

// CHECK-LABEL: @scan_dense
// CHECK: ssm.scan ins(
// CHECK-SAME: dense [2, 3] coefficients {
// CHECK: ssm.coefficients read(%{{.*}} : f32) dense(%{{.*}} : f32)
func.func @scan_dense(%a: tensor<4x4xf64>, %c: tensor<4xf32>,
    %y0: tensor<?x?xbf16>, %s0: tensor<?x4xf32>) -> tensor<?x?xbf16> {
  %y, %s = ssm.scan ins(%a, %c : tensor<4x4xf64>, tensor<4xf32>)
      outs(%y0, %s0 : tensor<?x?xbf16>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, n, m) -> (n, m)>,
                   affine_map<(b, t, n, m) -> (n)>],
            state = affine_map<(b, t, n, m) -> (b, n)>,
            output = affine_map<(b, t, n, m) -> (b, t)>} dense [2, 3]
      coefficients {
  ^bb0(%av: f64, %cv: f32):
    %narrow = arith.truncf %av : f64 to f32
    ssm.coefficients read(%cv : f32) dense(%narrow : f32)
  } epilogue {
  ^bb0(%o: bf16):
    ssm.yield %o : bf16
  } -> tensor<?x?xbf16>, tensor<?x4xf32>
  return %y : tensor<?x?xbf16>
}

// Coefficients without arguments.
// CHECK-LABEL: @scan_constant
// CHECK: ssm.scan outs(
// CHECK-SAME: maps {state = #{{.*}}, output = #{{.*}}} coefficients {
func.func @scan_constant(%y0: tensor<?x?x4xf32>, %s0: tensor<?x4xf32>)
    -> tensor<?x?x4xf32> {
  %y, %s = ssm.scan outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {state = #be, output = #bte} coefficients {
    %one = arith.constant 1.0 : f32
    ssm.coefficients write(%one : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return %y : tensor<?x?x4xf32>
}

// CHECK-LABEL: @conv_memory
// CHECK: ssm.conv input(%{{.*}} : memref<?x?x8xf32>) kernel(%{{.*}} : memref<8x4xf32>)
// CHECK-SAME: history(%{{.*}} : memref<?x3x8xf32>) cut(%{{.*}} : memref<?x?xi1>)
// CHECK-SAME: outs(%{{.*}}, %{{.*}} : memref<?x?x8xf32>, memref<?x3x8xf32>)
// CHECK-SAME: maps {input = #{{.*}}, kernel = #{{.*}}, output = #{{.*}}} lags 4 epilogue {
// CHECK: } attributes {tag}
func.func @conv_memory(%u: memref<?x?x8xf32>, %k: memref<8x4xf32>,
    %h: memref<?x3x8xf32>, %cut: memref<?x?xi1>, %y: memref<?x?x8xf32>) {
  ssm.conv input(%u : memref<?x?x8xf32>) kernel(%k : memref<8x4xf32>)
      history(%h : memref<?x3x8xf32>) cut(%cut : memref<?x?xi1>)
      outs(%y, %h : memref<?x?x8xf32>, memref<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } attributes {tag}
  return
}

// CHECK-LABEL: @shift_cut
// CHECK: ssm.shift 2 input(%{{.*}} : memref<?x?xf64>) cut(%{{.*}} : memref<?x?xi1>) outs(%{{.*}} : memref<?x?xf64>)
// CHECK-NEXT: ssm.shift -1 input(%{{.*}} : memref<?x?xf64>) outs(%{{.*}} : memref<?x?xf64>)
func.func @shift_cut(%x: memref<?x?xf64>, %cut: memref<?x?xi1>,
    %y: memref<?x?xf64>) {
  ssm.shift 2 input(%x : memref<?x?xf64>) cut(%cut : memref<?x?xi1>)
      outs(%y : memref<?x?xf64>)
  ssm.shift -1 input(%x : memref<?x?xf64>) outs(%y : memref<?x?xf64>)
  return
}

// CHECK-LABEL: @norms
// CHECK: ssm.norm layer eps 9.9999999999999995E-7 groups 2 input(%{{.*}} : memref<?x8xf32>) outs(%{{.*}} : memref<?x8xf32>) maps [] epilogue {
// CHECK: ssm.norm l2 eps 0.000000e+00 input(
func.func @norms(%x: memref<?x8xf32>, %y: memref<?x8xf32>) {
  ssm.norm layer eps 1.0e-6 groups 2 input(%x : memref<?x8xf32>)
      outs(%y : memref<?x8xf32>) maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  }
  ssm.norm l2 eps 0.0 input(%x : memref<?x8xf32>) outs(%y : memref<?x8xf32>)
      maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  }
  return
}

// CHECK-LABEL: @packs
// CHECK: ssm.pack transposed weight(%{{.*}} : memref<5x48xf32>) outs(%{{.*}} : memref<2x3x32x2xbf16>)
func.func @packs(%w: memref<5x48xf32>, %p: memref<2x3x32x2xbf16>) {
  ssm.pack transposed weight(%w : memref<5x48xf32>)
      outs(%p : memref<2x3x32x2xbf16>)
  return
}

// CHECK-LABEL: @discretizations
// CHECK: ssm.discretize zoh input euler rate(%{{.*}}, %{{.*}} : f32, f32) step(%{{.*}} : f32) -> decay(f32, f32) gain(f32, f32)
// CHECK: ssm.discretize bilinear rate(
// CHECK: ssm.discretize backward rate(
func.func @discretizations(%re: f32, %im: f32, %dt: f32) -> f32 {
  %d0:4 = ssm.discretize zoh input euler rate(%re, %im : f32, f32)
      step(%dt : f32) -> decay(f32, f32) gain(f32, f32)
  %d1:2 = ssm.discretize bilinear rate(%re : f32) step(%dt : f32)
      -> decay(f32) gain(f32)
  %d2:2 = ssm.discretize backward rate(%re : f32) step(%dt : f32)
      -> decay(f32) gain(f32)
  return %d0#0 : f32
}
// CHECK-LABEL: @responses
// CHECK: ssm.impulse_response reverse dense transition(%{{.*}} : memref<1x2x6x6x8xf64>) input(%{{.*}} : memref<1x2x6x8xf64>) read(%{{.*}} : memref<1x2x2x1x6x8xf64>) outs(%{{.*}}, %{{.*}} : memref<?x1x1x16xf32>, memref<?x1x1x16xf64>)
func.func @responses(%a: memref<1x2x6x6x8xf64>, %b: memref<1x2x6x8xf64>,
    %c: memref<1x2x2x1x6x8xf64>, %k: memref<?x1x1x16xf32>, %m: memref<?x1x1x16xf64>) {
  ssm.impulse_response reverse dense transition(%a : memref<1x2x6x6x8xf64>)
      input(%b : memref<1x2x6x8xf64>) read(%c : memref<1x2x2x1x6x8xf64>)
      outs(%k, %m : memref<?x1x1x16xf32>, memref<?x1x1x16xf64>)
  return
}
