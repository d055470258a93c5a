// RUN: ssm-opt %s --convert-ssm-to-scf %lower_to_llvm -o %t.mlir
// RUN: %run matmul_f32 %t.mlir | %python %S/Inputs/check.py matmul_f32
// RUN: %run matmul_f64 %t.mlir | %python %S/Inputs/check.py matmul_f64
// RUN: %run matmul_bf16 %t.mlir | %python %S/Inputs/check.py matmul_bf16
// RUN: %run matmul_f16 %t.mlir | %python %S/Inputs/check.py matmul_f16
// Runs the literal lowering. What is printed is checked by Inputs/check.py, which
// computes the outputs again from the printed inputs.

func.func @matmul_f32() {
  %x = memref.alloc() : memref<3x5xf32>
  %x_flat = memref.collapse_shape %x [[0, 1]] : memref<3x5xf32> into memref<15xf32>
  %x_all = memref.cast %x_flat : memref<15xf32> to memref<?xf32>
  %x_seed = arith.constant 1 : index
  call @fill_f32(%x_all, %x_seed) : (memref<?xf32>, index) -> ()
  %x_show1 = memref.cast %x : memref<3x5xf32> to memref<*xf32>
  call @printMemrefF32(%x_show1) : (memref<*xf32>) -> ()
  %weight = memref.alloc() : memref<6x5xf32>
  %weight_flat = memref.collapse_shape %weight [[0, 1]] : memref<6x5xf32> into memref<30xf32>
  %weight_all = memref.cast %weight_flat : memref<30xf32> to memref<?xf32>
  %weight_seed = arith.constant 2 : index
  call @fill_f32(%weight_all, %weight_seed) : (memref<?xf32>, index) -> ()
  %weight_show2 = memref.cast %weight : memref<6x5xf32> to memref<*xf32>
  call @printMemrefF32(%weight_show2) : (memref<*xf32>) -> ()
  %bias = memref.alloc() : memref<6xf32>
  %bias_all = memref.cast %bias : memref<6xf32> to memref<?xf32>
  %bias_seed = arith.constant 3 : index
  call @fill_f32(%bias_all, %bias_seed) : (memref<?xf32>, index) -> ()
  %bias_show3 = memref.cast %bias : memref<6xf32> to memref<*xf32>
  call @printMemrefF32(%bias_show3) : (memref<*xf32>) -> ()
  %packed = memref.alloc() : memref<2x5x4xf32>
  %y = memref.alloc() : memref<3x6xf32>
  ssm.pack weight(%weight : memref<6x5xf32>) outs(%packed : memref<2x5x4xf32>)
  ssm.matmul input(%x : memref<3x5xf32>) weight(%packed : memref<2x5x4xf32>)
      epilogue_ins(%bias : memref<6xf32>) outs(%y : memref<3x6xf32>)
      maps [affine_map<(r, n) -> (n)>] epilogue {
  ^bb0(%acc: f32, %bv: f32):
    %out = arith.addf %acc, %bv : f32
    ssm.yield %out : f32
  }
  %y_show4 = memref.cast %y : memref<3x6xf32> to memref<*xf32>
  call @printMemrefF32(%y_show4) : (memref<*xf32>) -> ()
  return
}

func.func @matmul_f64() {
  %x = memref.alloc() : memref<3x5xf64>
  %x_flat = memref.collapse_shape %x [[0, 1]] : memref<3x5xf64> into memref<15xf64>
  %x_all = memref.cast %x_flat : memref<15xf64> to memref<?xf64>
  %x_seed = arith.constant 1 : index
  call @fill_f64(%x_all, %x_seed) : (memref<?xf64>, index) -> ()
  %x_show1 = memref.cast %x : memref<3x5xf64> to memref<*xf64>
  call @printMemrefF64(%x_show1) : (memref<*xf64>) -> ()
  %weight = memref.alloc() : memref<6x5xf64>
  %weight_flat = memref.collapse_shape %weight [[0, 1]] : memref<6x5xf64> into memref<30xf64>
  %weight_all = memref.cast %weight_flat : memref<30xf64> to memref<?xf64>
  %weight_seed = arith.constant 2 : index
  call @fill_f64(%weight_all, %weight_seed) : (memref<?xf64>, index) -> ()
  %weight_show2 = memref.cast %weight : memref<6x5xf64> to memref<*xf64>
  call @printMemrefF64(%weight_show2) : (memref<*xf64>) -> ()
  %bias = memref.alloc() : memref<6xf64>
  %bias_all = memref.cast %bias : memref<6xf64> to memref<?xf64>
  %bias_seed = arith.constant 3 : index
  call @fill_f64(%bias_all, %bias_seed) : (memref<?xf64>, index) -> ()
  %bias_show3 = memref.cast %bias : memref<6xf64> to memref<*xf64>
  call @printMemrefF64(%bias_show3) : (memref<*xf64>) -> ()
  %packed = memref.alloc() : memref<2x5x4xf64>
  %y = memref.alloc() : memref<3x6xf64>
  ssm.pack weight(%weight : memref<6x5xf64>) outs(%packed : memref<2x5x4xf64>)
  ssm.matmul input(%x : memref<3x5xf64>) weight(%packed : memref<2x5x4xf64>)
      epilogue_ins(%bias : memref<6xf64>) outs(%y : memref<3x6xf64>)
      maps [affine_map<(r, n) -> (n)>] epilogue {
  ^bb0(%acc: f64, %bv: f64):
    %out = arith.addf %acc, %bv : f64
    ssm.yield %out : f64
  }
  %y_show4 = memref.cast %y : memref<3x6xf64> to memref<*xf64>
  call @printMemrefF64(%y_show4) : (memref<*xf64>) -> ()
  return
}

func.func @matmul_bf16() {
  %x = memref.alloc() : memref<3x5xf32>
  %x_flat = memref.collapse_shape %x [[0, 1]] : memref<3x5xf32> into memref<15xf32>
  %x_all = memref.cast %x_flat : memref<15xf32> to memref<?xf32>
  %x_seed = arith.constant 1 : index
  call @fill_f32(%x_all, %x_seed) : (memref<?xf32>, index) -> ()
  %x_show1 = memref.cast %x : memref<3x5xf32> to memref<*xf32>
  call @printMemrefF32(%x_show1) : (memref<*xf32>) -> ()
  %weight = memref.alloc() : memref<5x6xf32>
  %weight_flat = memref.collapse_shape %weight [[0, 1]] : memref<5x6xf32> into memref<30xf32>
  %weight_all = memref.cast %weight_flat : memref<30xf32> to memref<?xf32>
  %weight_seed = arith.constant 2 : index
  call @fill_f32(%weight_all, %weight_seed) : (memref<?xf32>, index) -> ()
  %weight_show2 = memref.cast %weight : memref<5x6xf32> to memref<*xf32>
  call @printMemrefF32(%weight_show2) : (memref<*xf32>) -> ()
  %bias = memref.alloc() : memref<6xf32>
  %bias_all = memref.cast %bias : memref<6xf32> to memref<?xf32>
  %bias_seed = arith.constant 3 : index
  call @fill_f32(%bias_all, %bias_seed) : (memref<?xf32>, index) -> ()
  %bias_show3 = memref.cast %bias : memref<6xf32> to memref<*xf32>
  call @printMemrefF32(%bias_show3) : (memref<*xf32>) -> ()
  %packed = memref.alloc() : memref<2x3x4x2xbf16>
  %y = memref.alloc() : memref<3x6xf32>
  ssm.pack transposed weight(%weight : memref<5x6xf32>) outs(%packed : memref<2x3x4x2xbf16>)
  ssm.matmul input(%x : memref<3x5xf32>) weight(%packed : memref<2x3x4x2xbf16>)
      epilogue_ins(%bias : memref<6xf32>) outs(%y : memref<3x6xf32>)
      maps [affine_map<(r, n) -> (n)>] epilogue {
  ^bb0(%acc: f32, %bv: f32):
    %out = arith.addf %acc, %bv : f32
    ssm.yield %out : f32
  }
  %y_show4 = memref.cast %y : memref<3x6xf32> to memref<*xf32>
  call @printMemrefF32(%y_show4) : (memref<*xf32>) -> ()
  return
}

func.func @matmul_f16() {
  %x = memref.alloc() : memref<3x5xf32>
  %x_flat = memref.collapse_shape %x [[0, 1]] : memref<3x5xf32> into memref<15xf32>
  %x_all = memref.cast %x_flat : memref<15xf32> to memref<?xf32>
  %x_seed = arith.constant 1 : index
  call @fill_f32(%x_all, %x_seed) : (memref<?xf32>, index) -> ()
  %x_show1 = memref.cast %x : memref<3x5xf32> to memref<*xf32>
  call @printMemrefF32(%x_show1) : (memref<*xf32>) -> ()
  %weight = memref.alloc() : memref<6x5xf32>
  %weight_flat = memref.collapse_shape %weight [[0, 1]] : memref<6x5xf32> into memref<30xf32>
  %weight_all = memref.cast %weight_flat : memref<30xf32> to memref<?xf32>
  %weight_seed = arith.constant 2 : index
  call @fill_f32(%weight_all, %weight_seed) : (memref<?xf32>, index) -> ()
  %weight_show2 = memref.cast %weight : memref<6x5xf32> to memref<*xf32>
  call @printMemrefF32(%weight_show2) : (memref<*xf32>) -> ()
  %bias = memref.alloc() : memref<6xf32>
  %bias_all = memref.cast %bias : memref<6xf32> to memref<?xf32>
  %bias_seed = arith.constant 3 : index
  call @fill_f32(%bias_all, %bias_seed) : (memref<?xf32>, index) -> ()
  %bias_show3 = memref.cast %bias : memref<6xf32> to memref<*xf32>
  call @printMemrefF32(%bias_show3) : (memref<*xf32>) -> ()
  %packed = memref.alloc() : memref<2x3x4x2xf16>
  %y = memref.alloc() : memref<3x6xf32>
  ssm.pack weight(%weight : memref<6x5xf32>) outs(%packed : memref<2x3x4x2xf16>)
  ssm.matmul input(%x : memref<3x5xf32>) weight(%packed : memref<2x3x4x2xf16>)
      epilogue_ins(%bias : memref<6xf32>) outs(%y : memref<3x6xf32>)
      maps [affine_map<(r, n) -> (n)>] epilogue {
  ^bb0(%acc: f32, %bv: f32):
    %out = arith.addf %acc, %bv : f32
    ssm.yield %out : f32
  }
  %y_show4 = memref.cast %y : memref<3x6xf32> to memref<*xf32>
  call @printMemrefF32(%y_show4) : (memref<*xf32>) -> ()
  return
}

// Multiples of 1/8 between -1 and 1, which print exactly.
func.func private @fill_f32(%out: memref<?xf32>, %seed: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  %c7 = arith.constant 7 : index
  %c17 = arith.constant 17 : index
  %eighth = arith.constant 1.250000e-01 : f32
  %one = arith.constant 1.000000e+00 : f32
  %size = memref.dim %out, %c0 : memref<?xf32>
  scf.for %i = %c0 to %size step %c1 {
    %scaled = arith.muli %i, %c7 : index
    %squared = arith.muli %i, %i : index
    %mixed = arith.addi %scaled, %squared : index
    %offset = arith.muli %seed, %c5 : index
    %sum = arith.addi %mixed, %offset : index
    %residue = arith.remui %sum, %c17 : index
    %integer = arith.index_cast %residue : index to i64
    %number = arith.sitofp %integer : i64 to f32
    %eighths = arith.mulf %number, %eighth : f32
    %value = arith.subf %eighths, %one : f32
    memref.store %value, %out[%i] : memref<?xf32>
  }
  return
}
func.func private @printMemrefF32(memref<*xf32>)

// Multiples of 1/8 between -1 and 1, which print exactly.
func.func private @fill_f64(%out: memref<?xf64>, %seed: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  %c7 = arith.constant 7 : index
  %c17 = arith.constant 17 : index
  %eighth = arith.constant 1.250000e-01 : f64
  %one = arith.constant 1.000000e+00 : f64
  %size = memref.dim %out, %c0 : memref<?xf64>
  scf.for %i = %c0 to %size step %c1 {
    %scaled = arith.muli %i, %c7 : index
    %squared = arith.muli %i, %i : index
    %mixed = arith.addi %scaled, %squared : index
    %offset = arith.muli %seed, %c5 : index
    %sum = arith.addi %mixed, %offset : index
    %residue = arith.remui %sum, %c17 : index
    %integer = arith.index_cast %residue : index to i64
    %number = arith.sitofp %integer : i64 to f64
    %eighths = arith.mulf %number, %eighth : f64
    %value = arith.subf %eighths, %one : f64
    memref.store %value, %out[%i] : memref<?xf64>
  }
  return
}
func.func private @printMemrefF64(memref<*xf64>)
