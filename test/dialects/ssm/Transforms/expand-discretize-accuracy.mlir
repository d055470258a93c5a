// RUN: ssm-opt %s --ssm-expand-discretize %lower_to_llvm -o %t.mlir
// RUN: %run main %t.mlir | FileCheck %s

// With x = rate * dt and dt = 1 the zoh gain is 1 + x/2 + x^2/6 + ...: its
// distance from 1, divided by x, shows whether digits are lost near x = 0. With
// exp(x) - 1 in place of expm1(x), the third would be wrong at x = 1e-7.

// CHECK: sizes = [4]
// CHECK-NEXT: [0.5{{[0-9]*}}, 0.5{{[0-9]*}}, 1, 1]
// CHECK: sizes = [6]
// CHECK-NEXT: [0.5{{[0-9]*}}, {{-?[0-9.]+e-0[6-9]|-?0}}, 0.5{{[0-9]*}}, {{-?[0-9.]+e-0[6-9]|-?0}}, 1, 0]
func.func @main() {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  %zero = arith.constant 0.0 : f64
  %one = arith.constant 1.0 : f64
  %small = arith.constant -1.0e-7 : f64
  %imaginary = arith.constant 3.0e-7 : f64

  %real = memref.alloc() : memref<4xf64>
  %below = func.call @distance(%small) : (f64) -> f64
  %above = func.call @distance(%imaginary) : (f64) -> f64
  memref.store %below, %real[%c0] : memref<4xf64>
  memref.store %above, %real[%c1] : memref<4xf64>
  %still:2 = ssm.discretize zoh rate(%zero : f64) step(%one : f64)
      -> decay(f64) gain(f64)
  memref.store %still#0, %real[%c2] : memref<4xf64>
  memref.store %still#1, %real[%c3] : memref<4xf64>
  %any = memref.cast %real : memref<4xf64> to memref<*xf64>
  call @printMemrefF64(%any) : (memref<*xf64>) -> ()

  %complex = memref.alloc() : memref<6xf64>
  %p:2 = func.call @complex_distance(%small, %imaginary) : (f64, f64) -> (f64, f64)
  memref.store %p#0, %complex[%c0] : memref<6xf64>
  memref.store %p#1, %complex[%c1] : memref<6xf64>
  // Purely imaginary: cos(b) - 1 would cancel.
  %q:2 = func.call @complex_distance(%zero, %imaginary) : (f64, f64) -> (f64, f64)
  memref.store %q#0, %complex[%c2] : memref<6xf64>
  memref.store %q#1, %complex[%c3] : memref<6xf64>
  %r:4 = ssm.discretize zoh rate(%zero, %zero : f64, f64) step(%one : f64)
      -> decay(f64, f64) gain(f64, f64)
  memref.store %r#2, %complex[%c4] : memref<6xf64>
  memref.store %r#3, %complex[%c5] : memref<6xf64>
  %complex_any = memref.cast %complex : memref<6xf64> to memref<*xf64>
  call @printMemrefF64(%complex_any) : (memref<*xf64>) -> ()
  return
}

// (gain - 1) / x for the rate x.
func.func private @distance(%x: f64) -> f64 {
  %one = arith.constant 1.0 : f64
  %decay, %gain = ssm.discretize zoh rate(%x : f64) step(%one : f64)
      -> decay(f64) gain(f64)
  %difference = arith.subf %gain, %one : f64
  %quotient = arith.divf %difference, %x : f64
  return %quotient : f64
}

func.func private @complex_distance(%re: f64, %im: f64) -> (f64, f64) {
  %one = arith.constant 1.0 : f64
  %z:4 = ssm.discretize zoh rate(%re, %im : f64, f64) step(%one : f64)
      -> decay(f64, f64) gain(f64, f64)
  %difference = arith.subf %z#2, %one : f64
  // Times the conjugate of the rate, over its square.
  %re2 = arith.mulf %re, %re : f64
  %im2 = arith.mulf %im, %im : f64
  %square = arith.addf %re2, %im2 : f64
  %a = arith.mulf %difference, %re : f64
  %b = arith.mulf %z#3, %im : f64
  %c = arith.mulf %z#3, %re : f64
  %d = arith.mulf %difference, %im : f64
  %ab = arith.addf %a, %b : f64
  %cd = arith.subf %c, %d : f64
  %qr = arith.divf %ab, %square : f64
  %qi = arith.divf %cd, %square : f64
  return %qr, %qi : f64, f64
}

func.func private @printMemrefF64(memref<*xf64>)
