// RUN: ssm-opt %s --convert-ssm-to-scf %lower_to_llvm -o %t.mlir
// RUN: %run spectrum %t.mlir | FileCheck %s
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-lower-to-cpu{vector-bits=128}))' | ssm-opt --convert-ssm-to-scf --convert-math-to-llvm --convert-vector-to-llvm %lower_to_llvm -o %t.fast.mlir
// RUN: %run spectrum %t.fast.mlir | FileCheck %s
// RUN: %run small %t.fast.mlir | FileCheck %s --check-prefix=SMALL

// A kernel of the lag 0 alone, which is 64: its transform is one everywhere, and in the
// second piece, which is the high half of what the first one gives, -i. The other
// channels of the tile are zero.
// CHECK: data =
// CHECK-NEXT: {{\[}}[1, {{-?}}0, {{-?}}0, {{-?}}0]
// CHECK-NEXT: [{{-?}}0, {{-?}}0, {{-?}}0, {{-?}}0]
// CHECK: data =
// CHECK-NEXT: {{\[}}[{{-?}}0, {{-?}}0, {{-?}}0, {{-?}}0]
// CHECK-NEXT: [-1, {{-?}}0, {{-?}}0, {{-?}}0]
// The root of the first node of X^64 - i, and those of its two parts.
// CHECK: data =
// CHECK-NEXT: {{\[}}[1, 0]
// CHECK-NEXT: [0.70{{[0-9]+}}, 0.70
// CHECK-NEXT: [0.92{{[0-9]+}}, 0.38
// CHECK-NEXT: [-0.38{{[0-9]+}}, 0.92
// One tap of lag 1 in a block of 8 points for two threads, of two channels: the value k is
// the root k of X^8 - i over 8, and the places 0 to 7 have k = 0, 1, 4, 5, 2, 3, 6, 7. The
// second channel has twice as much.
// CHECK: data =
// CHECK-NEXT: {{\[}}[0.98{{[0-9]+}}, 0.19
// CHECK-NEXT: [-0.98{{[0-9]+}}, -0.19
// CHECK-NEXT: [0.55{{[0-9]+}}, 0.83
// CHECK-NEXT: [-0.55{{[0-9]+}}, -0.83
// CHECK-NEXT: [-0.19{{[0-9]+}}, 0.98
// CHECK-NEXT: [0.19{{[0-9]+}}, -0.98
// CHECK-NEXT: [-0.83{{[0-9]+}}, 0.55
// CHECK-NEXT: [0.83{{[0-9]+}}, -0.55
// CHECK: data =
// CHECK-NEXT: {{\[}}[1.96{{[0-9]+}}, 0.39
func.func @spectrum() {
  %c0 = arith.constant 0 : index
  %k = memref.alloc() : memref<1x1xf32>
  %tap = arith.constant 64.0 : f32
  memref.store %tap, %k[%c0, %c0] : memref<1x1xf32>
  %r = memref.alloc() : memref<64x2xf32>
  ssm.roots outs(%r : memref<64x2xf32>)
  %s = memref.alloc() : memref<1x136x2x4xf32>
  ssm.spectrum kernel(%k : memref<1x1xf32>) roots(%r : memref<64x2xf32>) lag 0 lane 1
      outs(%s : memref<1x136x2x4xf32>)
  %low = memref.subview %s[0, 37, 0, 0] [1, 1, 2, 4] [1, 1, 1, 1]
      : memref<1x136x2x4xf32> to memref<2x4xf32, strided<[4, 1], offset: 296>>
  %low_show = memref.cast %low : memref<2x4xf32, strided<[4, 1], offset: 296>> to memref<*xf32>
  call @printMemrefF32(%low_show) : (memref<*xf32>) -> ()
  %high = memref.subview %s[0, 105, 0, 0] [1, 1, 2, 4] [1, 1, 1, 1]
      : memref<1x136x2x4xf32> to memref<2x4xf32, strided<[4, 1], offset: 840>>
  %high_show = memref.cast %high : memref<2x4xf32, strided<[4, 1], offset: 840>> to memref<*xf32>
  call @printMemrefF32(%high_show) : (memref<*xf32>) -> ()
  %first = memref.subview %r[0, 0] [4, 2] [1, 1] : memref<64x2xf32> to memref<4x2xf32, strided<[2, 1]>>
  %first_show = memref.cast %first : memref<4x2xf32, strided<[2, 1]>> to memref<*xf32>
  call @printMemrefF32(%first_show) : (memref<*xf32>) -> ()
  %c1 = arith.constant 1 : index
  %two = memref.alloc() : memref<2x2xf32>
  %zero = arith.constant 0.0 : f32
  %eight = arith.constant 8.0 : f32
  %more = arith.constant 16.0 : f32
  memref.store %zero, %two[%c0, %c0] : memref<2x2xf32>
  memref.store %eight, %two[%c0, %c1] : memref<2x2xf32>
  memref.store %zero, %two[%c1, %c0] : memref<2x2xf32>
  memref.store %more, %two[%c1, %c1] : memref<2x2xf32>
  %t = memref.alloc() : memref<2x16x2x1xf32>
  ssm.spectrum kernel(%two : memref<2x2xf32>) roots(%r : memref<64x2xf32>) lag 1 lane 0
      outs(%t : memref<2x16x2x1xf32>) {block = 8 : i64, threads = 2 : i64}
  %one = memref.subview %t[0, 0, 0, 0] [1, 8, 2, 1] [1, 1, 1, 1]
      : memref<2x16x2x1xf32> to memref<8x2xf32, strided<[2, 1]>>
  %one_show = memref.cast %one : memref<8x2xf32, strided<[2, 1]>> to memref<*xf32>
  call @printMemrefF32(%one_show) : (memref<*xf32>) -> ()
  %other = memref.subview %t[1, 0, 0, 0] [1, 1, 2, 1] [1, 1, 1, 1]
      : memref<2x16x2x1xf32> to memref<1x2xf32, strided<[2, 1], offset: 32>>
  %other_show = memref.cast %other : memref<1x2xf32, strided<[2, 1], offset: 32>> to memref<*xf32>
  call @printMemrefF32(%other_show) : (memref<*xf32>) -> ()
  return
}

// Taps of channels of one tile, over 64: a denormal number is zero, the smallest that is
// none stays.
// SMALL: data =
// SMALL-NEXT: {{\[}}[0, 1.17549e-38, {{-?}}0, {{-?}}0]
func.func @small() {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %k = memref.alloc() : memref<1x2xf32>
  %denormal = arith.constant 7.0e-37 : f32
  %normal = arith.constant 0x03800000 : f32
  memref.store %denormal, %k[%c0, %c0] : memref<1x2xf32>
  memref.store %normal, %k[%c0, %c1] : memref<1x2xf32>
  %r = memref.alloc() : memref<64x2xf32>
  ssm.roots outs(%r : memref<64x2xf32>)
  %s = memref.alloc() : memref<1x136x2x4xf32>
  ssm.spectrum kernel(%k : memref<1x2xf32>) roots(%r : memref<64x2xf32>) lag 0 lane 1
      outs(%s : memref<1x136x2x4xf32>)
  %low = memref.subview %s[0, 37, 0, 0] [1, 1, 2, 4] [1, 1, 1, 1]
      : memref<1x136x2x4xf32> to memref<2x4xf32, strided<[4, 1], offset: 296>>
  %low_show = memref.cast %low : memref<2x4xf32, strided<[4, 1], offset: 296>> to memref<*xf32>
  call @printMemrefF32(%low_show) : (memref<*xf32>) -> ()
  return
}

func.func private @printMemrefF32(memref<*xf32>)
