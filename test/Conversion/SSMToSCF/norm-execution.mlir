// RUN: ssm-opt %s --convert-ssm-to-scf %lower_to_llvm -o %t.mlir
// RUN: %run norm_rms %t.mlir | %python %S/Inputs/check.py norm_rms
// RUN: %run norm_layer %t.mlir | %python %S/Inputs/check.py norm_layer
// RUN: %run norm_l2 %t.mlir | %python %S/Inputs/check.py norm_l2
// Runs the literal lowering. What is printed is checked by Inputs/check.py, which
// computes the outputs again from the printed inputs.

func.func @norm_rms() {
  %x = memref.alloc() : memref<3x6xf32>
  %x_flat = memref.collapse_shape %x [[0, 1]] : memref<3x6xf32> into memref<18xf32>
  %x_all = memref.cast %x_flat : memref<18xf32> to memref<?xf32>
  %x_seed = arith.constant 1 : index
  call @fill_f32(%x_all, %x_seed) : (memref<?xf32>, index) -> ()
  %x_show1 = memref.cast %x : memref<3x6xf32> to memref<*xf32>
  call @printMemrefF32(%x_show1) : (memref<*xf32>) -> ()
  %weight = memref.alloc() : memref<6xf32>
  %weight_all = memref.cast %weight : memref<6xf32> to memref<?xf32>
  %weight_seed = arith.constant 2 : index
  call @fill_f32(%weight_all, %weight_seed) : (memref<?xf32>, index) -> ()
  %weight_show2 = memref.cast %weight : memref<6xf32> to memref<*xf32>
  call @printMemrefF32(%weight_show2) : (memref<*xf32>) -> ()
  %y = memref.alloc() : memref<3x6xf32>
  ssm.norm rms eps 2.500000e-01 input(%x : memref<3x6xf32>)
      epilogue_ins(%weight : memref<6xf32>) outs(%y : memref<3x6xf32>)
      maps [affine_map<(r, d) -> (d)>] epilogue {
  ^bb0(%v: f32, %w: f32):
    %out = arith.mulf %v, %w : f32
    ssm.yield %out : f32
  }
  %y_show3 = memref.cast %y : memref<3x6xf32> to memref<*xf32>
  call @printMemrefF32(%y_show3) : (memref<*xf32>) -> ()
  return
}

func.func @norm_layer() {
  %x = memref.alloc() : memref<3x6xf32>
  %x_flat = memref.collapse_shape %x [[0, 1]] : memref<3x6xf32> into memref<18xf32>
  %x_all = memref.cast %x_flat : memref<18xf32> to memref<?xf32>
  %x_seed = arith.constant 1 : index
  call @fill_f32(%x_all, %x_seed) : (memref<?xf32>, index) -> ()
  %x_show1 = memref.cast %x : memref<3x6xf32> to memref<*xf32>
  call @printMemrefF32(%x_show1) : (memref<*xf32>) -> ()
  %weight = memref.alloc() : memref<6xf32>
  %weight_all = memref.cast %weight : memref<6xf32> to memref<?xf32>
  %weight_seed = arith.constant 2 : index
  call @fill_f32(%weight_all, %weight_seed) : (memref<?xf32>, index) -> ()
  %weight_show2 = memref.cast %weight : memref<6xf32> to memref<*xf32>
  call @printMemrefF32(%weight_show2) : (memref<*xf32>) -> ()
  %y = memref.alloc() : memref<3x6xf32>
  ssm.norm layer eps 2.500000e-01 input(%x : memref<3x6xf32>)
      epilogue_ins(%weight : memref<6xf32>) outs(%y : memref<3x6xf32>)
      maps [affine_map<(r, d) -> (d)>] epilogue {
  ^bb0(%v: f32, %w: f32):
    %out = arith.mulf %v, %w : f32
    ssm.yield %out : f32
  }
  %y_show3 = memref.cast %y : memref<3x6xf32> to memref<*xf32>
  call @printMemrefF32(%y_show3) : (memref<*xf32>) -> ()
  return
}

func.func @norm_l2() {
  %x = memref.alloc() : memref<3x6xf32>
  %x_flat = memref.collapse_shape %x [[0, 1]] : memref<3x6xf32> into memref<18xf32>
  %x_all = memref.cast %x_flat : memref<18xf32> to memref<?xf32>
  %x_seed = arith.constant 1 : index
  call @fill_f32(%x_all, %x_seed) : (memref<?xf32>, index) -> ()
  %x_show1 = memref.cast %x : memref<3x6xf32> to memref<*xf32>
  call @printMemrefF32(%x_show1) : (memref<*xf32>) -> ()
  %weight = memref.alloc() : memref<6xf32>
  %weight_all = memref.cast %weight : memref<6xf32> to memref<?xf32>
  %weight_seed = arith.constant 2 : index
  call @fill_f32(%weight_all, %weight_seed) : (memref<?xf32>, index) -> ()
  %weight_show2 = memref.cast %weight : memref<6xf32> to memref<*xf32>
  call @printMemrefF32(%weight_show2) : (memref<*xf32>) -> ()
  %y = memref.alloc() : memref<3x6xf32>
  ssm.norm l2 eps 2.500000e-01 groups 2 input(%x : memref<3x6xf32>)
      epilogue_ins(%weight : memref<6xf32>) outs(%y : memref<3x6xf32>)
      maps [affine_map<(r, d) -> (d)>] epilogue {
  ^bb0(%v: f32, %w: f32):
    %out = arith.mulf %v, %w : f32
    ssm.yield %out : f32
  }
  %y_show3 = memref.cast %y : memref<3x6xf32> to memref<*xf32>
  call @printMemrefF32(%y_show3) : (memref<*xf32>) -> ()
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
