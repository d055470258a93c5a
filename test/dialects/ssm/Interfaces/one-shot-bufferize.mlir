// RUN: ssm-opt %s --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" \
// RUN:   | FileCheck %s

#bte = affine_map<(b, t, e) -> (b, t, e)>
#be = affine_map<(b, t, e) -> (b, e)>

// The state is updated in place.
// CHECK-LABEL: @scan_carry
// CHECK-SAME: %[[A:[^,]*]]: memref<?x?x4xf32>, %[[Y:[^,]*]]: memref<?x?x4xf32>, %[[S:[^,)]*]]: memref<?x4xf32>)
// CHECK-NOT: memref.alloc
// CHECK-NOT: memref.copy
// CHECK: ssm.scan ins(%[[A]] : {{.*}}) initial(%[[S]] : {{.*}}) outs(%[[Y]], %[[S]] :
// CHECK-NOT: memref.copy
// CHECK: return %[[Y]], %[[S]]
func.func @scan_carry(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) -> (tensor<?x?x4xf32>, tensor<?x4xf32>) {
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [#bte], state = #be, output = #bte}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32) write(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return %y, %s : tensor<?x?x4xf32>, tensor<?x4xf32>
}

// The initial state is wanted afterwards: the final one goes elsewhere.
// CHECK-LABEL: @scan_initial_used_again
// CHECK-SAME: %[[A:[^,]*]]: memref<?x?x4xf32>, %[[Y:[^,]*]]: memref<?x?x4xf32>, %[[S:[^,)]*]]: memref<?x4xf32>)
// CHECK: %[[NEW:.*]] = memref.alloc
// CHECK: ssm.scan ins(%[[A]] : {{.*}}) initial(%[[S]] : {{.*}}) outs(%[[Y]], %[[NEW]] :
// CHECK: return %[[S]], %[[NEW]]
func.func @scan_initial_used_again(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [#bte], state = #be, output = #bte}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32) write(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return %s0, %s : tensor<?x4xf32>, tensor<?x4xf32>
}

// Real part over imaginary part is not the same point of the same state.
// CHECK-LABEL: @scan_swapped_parts
// CHECK: memref.alloc
// CHECK: ssm.scan complex
func.func @scan_swapped_parts(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %re: tensor<?x4xf32>, %im: tensor<?x4xf32>)
    -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %y, %s:2 = ssm.scan complex ins(%a : tensor<?x?x4xf32>)
      initial(%re, %im : tensor<?x4xf32>, tensor<?x4xf32>)
      outs(%y0, %im, %re : tensor<?x?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
      maps {ins = [#bte], state = #be, output = #bte}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v, %v : f32, f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  return %s#0, %s#1 : tensor<?x4xf32>, tensor<?x4xf32>
}

// An input is read at other points than the output is written.
// CHECK-LABEL: @conv_in_place
// CHECK-SAME: %[[U:[^,]*]]: memref<?x?x8xf32>, %[[K:[^,]*]]: memref<8x4xf32>, %[[H:[^,)]*]]: memref<?x3x8xf32>)
// CHECK: %[[Y:.*]] = memref.alloc
// CHECK-NOT: memref.copy
// CHECK: ssm.conv input(%[[U]] : {{.*}}) kernel(%[[K]] : {{.*}}) history(%[[H]] : {{.*}}) outs(%[[Y]], %[[H]] :
// CHECK-NOT: memref.copy
// CHECK: return %[[Y]], %[[H]]
func.func @conv_in_place(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x3x8xf32>) {
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>)
      outs(%u, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, j)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return %y, %h1 : tensor<?x?x8xf32>, tensor<?x3x8xf32>
}

// CHECK-LABEL: @shift_carry
// CHECK-SAME: %[[X:[^,]*]]: memref<?x?xf32>, %[[H:[^,]*]]: memref<?x2xf32>, %[[Y:[^,)]*]]: memref<?x?xf32>)
// CHECK-NOT: memref.alloc
// CHECK: ssm.shift 2 input(%[[X]] : {{.*}}) history(%[[H]] : {{.*}}) outs(%[[Y]], %[[H]] :
// CHECK: return %[[Y]], %[[H]]
func.func @shift_carry(%x: tensor<?x?xf32>, %h: tensor<?x2xf32>,
    %y0: tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x2xf32>) {
  %y, %h1 = ssm.shift 2 input(%x : tensor<?x?xf32>)
      history(%h : tensor<?x2xf32>)
      outs(%y0, %h : tensor<?x?xf32>, tensor<?x2xf32>)
      -> tensor<?x?xf32>, tensor<?x2xf32>
  return %y, %h1 : tensor<?x?xf32>, tensor<?x2xf32>
}

// Outs are not read, so an empty tensor becomes an uninitialised buffer.
// CHECK-LABEL: @pack_norm_matmul
// CHECK-SAME: %[[W:[^,]*]]: memref<48x64xf32>, %[[X:[^,]*]]: memref<4x64xf32>)
// CHECK-NOT: memref.copy
// CHECK: %[[P:.*]] = memref.alloc() {{.*}} : memref<2x64x32xf32>
// CHECK: ssm.pack weight(%[[W]] : {{.*}}) outs(%[[P]] :
// CHECK: %[[N:.*]] = memref.alloc() {{.*}} : memref<4x64xf32>
// CHECK: ssm.norm rms eps 0.000000e+00 input(%[[X]] : {{.*}}) outs(%[[N]] :
// CHECK: %[[Y:.*]] = memref.alloc() {{.*}} : memref<4x48xf32>
// CHECK: ssm.matmul input(%[[N]] : {{.*}}) weight(%[[P]] : {{.*}}) outs(%[[Y]] :
// CHECK: return %[[Y]]
func.func @pack_norm_matmul(%w: tensor<48x64xf32>, %x: tensor<4x64xf32>)
    -> tensor<4x48xf32> {
  %p0 = tensor.empty() : tensor<2x64x32xf32>
  %p = ssm.pack weight(%w : tensor<48x64xf32>) outs(%p0 : tensor<2x64x32xf32>)
      -> tensor<2x64x32xf32>
  %n0 = tensor.empty() : tensor<4x64xf32>
  %n = ssm.norm rms eps 0.0 input(%x : tensor<4x64xf32>)
      outs(%n0 : tensor<4x64xf32>) maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<4x64xf32>
  %y0 = tensor.empty() : tensor<4x48xf32>
  %y = ssm.matmul input(%n : tensor<4x64xf32>) weight(%p : tensor<2x64x32xf32>)
      outs(%y0 : tensor<4x48xf32>) maps [] epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<4x48xf32>
  return %y : tensor<4x48xf32>
}
