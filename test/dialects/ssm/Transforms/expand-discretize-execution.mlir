// RUN: ssm-opt %s --ssm-expand-discretize %lower_to_llvm -o %t.mlir
// RUN: %run discretize_complex %t.mlir | %python %source/test/Conversion/SSMToSCF/Inputs/check.py discretize_complex
// RUN: %run discretize_real %t.mlir | %python %source/test/Conversion/SSMToSCF/Inputs/check.py discretize_real
// Runs the literal lowering. What is printed is checked by Inputs/check.py, which
// computes the outputs again from the printed inputs.

func.func @discretize_complex() {
  %rate = memref.alloc() : memref<6xf64>
  %rate_all = memref.cast %rate : memref<6xf64> to memref<?xf64>
  %rate_seed = arith.constant 1 : index
  call @fill_f64(%rate_all, %rate_seed) : (memref<?xf64>, index) -> ()
  %rate_show1 = memref.cast %rate : memref<6xf64> to memref<*xf64>
  call @printMemrefF64(%rate_show1) : (memref<*xf64>) -> ()
  %rate_im = memref.alloc() : memref<6xf64>
  %rate_im_all = memref.cast %rate_im : memref<6xf64> to memref<?xf64>
  %rate_im_seed = arith.constant 2 : index
  call @fill_f64(%rate_im_all, %rate_im_seed) : (memref<?xf64>, index) -> ()
  %rate_im_show2 = memref.cast %rate_im : memref<6xf64> to memref<*xf64>
  call @printMemrefF64(%rate_im_show2) : (memref<*xf64>) -> ()
  %step = memref.alloc() : memref<6xf64>
  %step_all = memref.cast %step : memref<6xf64> to memref<?xf64>
  %step_seed = arith.constant 3 : index
  call @fill_f64(%step_all, %step_seed) : (memref<?xf64>, index) -> ()
  %step_show3 = memref.cast %step : memref<6xf64> to memref<*xf64>
  call @printMemrefF64(%step_show3) : (memref<*xf64>) -> ()
  %out = memref.alloc() : memref<6x5x4xf64>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %size = arith.constant 6 : index
  scf.for %i = %c0 to %size step %c1 {
    %a = memref.load %rate[%i] : memref<6xf64>
    %dt = memref.load %step[%i] : memref<6xf64>
    %b = memref.load %rate_im[%i] : memref<6xf64>
    %r0:4 = ssm.discretize zoh rate(%a, %b : f64, f64) step(%dt : f64) -> decay(f64, f64) gain(f64, f64)
    %row0 = arith.constant 0 : index
    %col0_0 = arith.constant 0 : index
    memref.store %r0#0, %out[%i, %row0, %col0_0] : memref<6x5x4xf64>
    %col0_1 = arith.constant 1 : index
    memref.store %r0#1, %out[%i, %row0, %col0_1] : memref<6x5x4xf64>
    %col0_2 = arith.constant 2 : index
    memref.store %r0#2, %out[%i, %row0, %col0_2] : memref<6x5x4xf64>
    %col0_3 = arith.constant 3 : index
    memref.store %r0#3, %out[%i, %row0, %col0_3] : memref<6x5x4xf64>
    %r1:4 = ssm.discretize bilinear rate(%a, %b : f64, f64) step(%dt : f64) -> decay(f64, f64) gain(f64, f64)
    %row1 = arith.constant 1 : index
    %col1_0 = arith.constant 0 : index
    memref.store %r1#0, %out[%i, %row1, %col1_0] : memref<6x5x4xf64>
    %col1_1 = arith.constant 1 : index
    memref.store %r1#1, %out[%i, %row1, %col1_1] : memref<6x5x4xf64>
    %col1_2 = arith.constant 2 : index
    memref.store %r1#2, %out[%i, %row1, %col1_2] : memref<6x5x4xf64>
    %col1_3 = arith.constant 3 : index
    memref.store %r1#3, %out[%i, %row1, %col1_3] : memref<6x5x4xf64>
    %r2:4 = ssm.discretize euler rate(%a, %b : f64, f64) step(%dt : f64) -> decay(f64, f64) gain(f64, f64)
    %row2 = arith.constant 2 : index
    %col2_0 = arith.constant 0 : index
    memref.store %r2#0, %out[%i, %row2, %col2_0] : memref<6x5x4xf64>
    %col2_1 = arith.constant 1 : index
    memref.store %r2#1, %out[%i, %row2, %col2_1] : memref<6x5x4xf64>
    %col2_2 = arith.constant 2 : index
    memref.store %r2#2, %out[%i, %row2, %col2_2] : memref<6x5x4xf64>
    %col2_3 = arith.constant 3 : index
    memref.store %r2#3, %out[%i, %row2, %col2_3] : memref<6x5x4xf64>
    %r3:4 = ssm.discretize backward rate(%a, %b : f64, f64) step(%dt : f64) -> decay(f64, f64) gain(f64, f64)
    %row3 = arith.constant 3 : index
    %col3_0 = arith.constant 0 : index
    memref.store %r3#0, %out[%i, %row3, %col3_0] : memref<6x5x4xf64>
    %col3_1 = arith.constant 1 : index
    memref.store %r3#1, %out[%i, %row3, %col3_1] : memref<6x5x4xf64>
    %col3_2 = arith.constant 2 : index
    memref.store %r3#2, %out[%i, %row3, %col3_2] : memref<6x5x4xf64>
    %col3_3 = arith.constant 3 : index
    memref.store %r3#3, %out[%i, %row3, %col3_3] : memref<6x5x4xf64>
    %r4:4 = ssm.discretize zoh input euler rate(%a, %b : f64, f64) step(%dt : f64) -> decay(f64, f64) gain(f64, f64)
    %row4 = arith.constant 4 : index
    %col4_0 = arith.constant 0 : index
    memref.store %r4#0, %out[%i, %row4, %col4_0] : memref<6x5x4xf64>
    %col4_1 = arith.constant 1 : index
    memref.store %r4#1, %out[%i, %row4, %col4_1] : memref<6x5x4xf64>
    %col4_2 = arith.constant 2 : index
    memref.store %r4#2, %out[%i, %row4, %col4_2] : memref<6x5x4xf64>
    %col4_3 = arith.constant 3 : index
    memref.store %r4#3, %out[%i, %row4, %col4_3] : memref<6x5x4xf64>
  }
  %out_show4 = memref.cast %out : memref<6x5x4xf64> to memref<*xf64>
  call @printMemrefF64(%out_show4) : (memref<*xf64>) -> ()
  return
}

func.func @discretize_real() {
  %rate = memref.alloc() : memref<6xf64>
  %rate_all = memref.cast %rate : memref<6xf64> to memref<?xf64>
  %rate_seed = arith.constant 1 : index
  call @fill_f64(%rate_all, %rate_seed) : (memref<?xf64>, index) -> ()
  %rate_show1 = memref.cast %rate : memref<6xf64> to memref<*xf64>
  call @printMemrefF64(%rate_show1) : (memref<*xf64>) -> ()
  %step = memref.alloc() : memref<6xf64>
  %step_all = memref.cast %step : memref<6xf64> to memref<?xf64>
  %step_seed = arith.constant 2 : index
  call @fill_f64(%step_all, %step_seed) : (memref<?xf64>, index) -> ()
  %step_show2 = memref.cast %step : memref<6xf64> to memref<*xf64>
  call @printMemrefF64(%step_show2) : (memref<*xf64>) -> ()
  %out = memref.alloc() : memref<6x5x2xf64>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %size = arith.constant 6 : index
  scf.for %i = %c0 to %size step %c1 {
    %a = memref.load %rate[%i] : memref<6xf64>
    %dt = memref.load %step[%i] : memref<6xf64>
    %r0:2 = ssm.discretize zoh rate(%a : f64) step(%dt : f64) -> decay(f64) gain(f64)
    %row0 = arith.constant 0 : index
    %col0_0 = arith.constant 0 : index
    memref.store %r0#0, %out[%i, %row0, %col0_0] : memref<6x5x2xf64>
    %col0_1 = arith.constant 1 : index
    memref.store %r0#1, %out[%i, %row0, %col0_1] : memref<6x5x2xf64>
    %r1:2 = ssm.discretize bilinear rate(%a : f64) step(%dt : f64) -> decay(f64) gain(f64)
    %row1 = arith.constant 1 : index
    %col1_0 = arith.constant 0 : index
    memref.store %r1#0, %out[%i, %row1, %col1_0] : memref<6x5x2xf64>
    %col1_1 = arith.constant 1 : index
    memref.store %r1#1, %out[%i, %row1, %col1_1] : memref<6x5x2xf64>
    %r2:2 = ssm.discretize euler rate(%a : f64) step(%dt : f64) -> decay(f64) gain(f64)
    %row2 = arith.constant 2 : index
    %col2_0 = arith.constant 0 : index
    memref.store %r2#0, %out[%i, %row2, %col2_0] : memref<6x5x2xf64>
    %col2_1 = arith.constant 1 : index
    memref.store %r2#1, %out[%i, %row2, %col2_1] : memref<6x5x2xf64>
    %r3:2 = ssm.discretize backward rate(%a : f64) step(%dt : f64) -> decay(f64) gain(f64)
    %row3 = arith.constant 3 : index
    %col3_0 = arith.constant 0 : index
    memref.store %r3#0, %out[%i, %row3, %col3_0] : memref<6x5x2xf64>
    %col3_1 = arith.constant 1 : index
    memref.store %r3#1, %out[%i, %row3, %col3_1] : memref<6x5x2xf64>
    %r4:2 = ssm.discretize zoh input euler rate(%a : f64) step(%dt : f64) -> decay(f64) gain(f64)
    %row4 = arith.constant 4 : index
    %col4_0 = arith.constant 0 : index
    memref.store %r4#0, %out[%i, %row4, %col4_0] : memref<6x5x2xf64>
    %col4_1 = arith.constant 1 : index
    memref.store %r4#1, %out[%i, %row4, %col4_1] : memref<6x5x2xf64>
  }
  %out_show3 = memref.cast %out : memref<6x5x2xf64> to memref<*xf64>
  call @printMemrefF64(%out_show3) : (memref<*xf64>) -> ()
  return
}

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
