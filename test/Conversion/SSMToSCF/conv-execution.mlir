// RUN: ssm-opt %s --convert-ssm-to-scf %lower_to_llvm -o %t.mlir
// RUN: %run conv %t.mlir | %python %S/Inputs/check.py conv
// RUN: %run conv_short %t.mlir | %python %S/Inputs/check.py conv_short
// RUN: %run conv_no_history %t.mlir | %python %S/Inputs/check.py conv_no_history
// RUN: %run shift %t.mlir | %python %S/Inputs/check.py shift
// RUN: %run shift_short %t.mlir | %python %S/Inputs/check.py shift_short
// RUN: %run shift_ahead %t.mlir | %python %S/Inputs/check.py shift_ahead
// Runs the literal lowering. What is printed is checked by Inputs/check.py, which
// computes the outputs again from the printed inputs.

func.func @conv() {
  %u = memref.alloc() : memref<2x6x3xf64>
  %u_flat = memref.collapse_shape %u [[0, 1, 2]] : memref<2x6x3xf64> into memref<36xf64>
  %u_all = memref.cast %u_flat : memref<36xf64> to memref<?xf64>
  %u_seed = arith.constant 1 : index
  call @fill_f64(%u_all, %u_seed) : (memref<?xf64>, index) -> ()
  %u_show1 = memref.cast %u : memref<2x6x3xf64> to memref<*xf64>
  call @printMemrefF64(%u_show1) : (memref<*xf64>) -> ()
  %kernel = memref.alloc() : memref<3x4xf64>
  %kernel_flat = memref.collapse_shape %kernel [[0, 1]] : memref<3x4xf64> into memref<12xf64>
  %kernel_all = memref.cast %kernel_flat : memref<12xf64> to memref<?xf64>
  %kernel_seed = arith.constant 2 : index
  call @fill_f64(%kernel_all, %kernel_seed) : (memref<?xf64>, index) -> ()
  %kernel_show2 = memref.cast %kernel : memref<3x4xf64> to memref<*xf64>
  call @printMemrefF64(%kernel_show2) : (memref<*xf64>) -> ()
  %bias = memref.alloc() : memref<3xf64>
  %bias_all = memref.cast %bias : memref<3xf64> to memref<?xf64>
  %bias_seed = arith.constant 3 : index
  call @fill_f64(%bias_all, %bias_seed) : (memref<?xf64>, index) -> ()
  %bias_show3 = memref.cast %bias : memref<3xf64> to memref<*xf64>
  call @printMemrefF64(%bias_show3) : (memref<*xf64>) -> ()
  %starts = memref.alloc() : memref<2x6xf64>
  %starts_flat = memref.collapse_shape %starts [[0, 1]] : memref<2x6xf64> into memref<12xf64>
  %starts_all = memref.cast %starts_flat : memref<12xf64> to memref<?xf64>
  %starts_seed = arith.constant 4 : index
  call @fill_f64(%starts_all, %starts_seed) : (memref<?xf64>, index) -> ()
  %starts_show4 = memref.cast %starts : memref<2x6xf64> to memref<*xf64>
  call @printMemrefF64(%starts_show4) : (memref<*xf64>) -> ()
  %cut = memref.alloc() : memref<2x6xi1>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %batch = arith.constant 2 : index
  %length = arith.constant 6 : index
  %half = arith.constant -5.000000e-01 : f64
  scf.for %b = %c0 to %batch step %c1 {
    scf.for %t = %c0 to %length step %c1 {
      %start = memref.load %starts[%b, %t] : memref<2x6xf64>
      %starts_here = arith.cmpf olt, %start, %half : f64
      memref.store %starts_here, %cut[%b, %t] : memref<2x6xi1>
    }
  }
  %history = memref.alloc() : memref<2x3x3xf64>
  %history_flat = memref.collapse_shape %history [[0, 1, 2]] : memref<2x3x3xf64> into memref<18xf64>
  %history_all = memref.cast %history_flat : memref<18xf64> to memref<?xf64>
  %history_seed = arith.constant 5 : index
  call @fill_f64(%history_all, %history_seed) : (memref<?xf64>, index) -> ()
  %history_show5 = memref.cast %history : memref<2x3x3xf64> to memref<*xf64>
  call @printMemrefF64(%history_show5) : (memref<*xf64>) -> ()
  %y = memref.alloc() : memref<2x6x3xf64>
  ssm.conv input(%u : memref<2x6x3xf64>) kernel(%kernel : memref<3x4xf64>)
      history(%history : memref<2x3x3xf64>) cut(%cut : memref<2x6xi1>)
      epilogue_ins(%bias : memref<3xf64>)
      outs(%y, %history : memref<2x6x3xf64>, memref<2x3x3xf64>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            epilogue = [affine_map<(b, t, c, j) -> (c)>],
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f64, %bv: f64):
    %out = arith.addf %acc, %bv : f64
    ssm.yield %out : f64
  }
  %y_show6 = memref.cast %y : memref<2x6x3xf64> to memref<*xf64>
  call @printMemrefF64(%y_show6) : (memref<*xf64>) -> ()
  %history_show7 = memref.cast %history : memref<2x3x3xf64> to memref<*xf64>
  call @printMemrefF64(%history_show7) : (memref<*xf64>) -> ()
  return
}

func.func @conv_short() {
  %u = memref.alloc() : memref<2x2x3xf64>
  %u_flat = memref.collapse_shape %u [[0, 1, 2]] : memref<2x2x3xf64> into memref<12xf64>
  %u_all = memref.cast %u_flat : memref<12xf64> to memref<?xf64>
  %u_seed = arith.constant 1 : index
  call @fill_f64(%u_all, %u_seed) : (memref<?xf64>, index) -> ()
  %u_show1 = memref.cast %u : memref<2x2x3xf64> to memref<*xf64>
  call @printMemrefF64(%u_show1) : (memref<*xf64>) -> ()
  %kernel = memref.alloc() : memref<3x4xf64>
  %kernel_flat = memref.collapse_shape %kernel [[0, 1]] : memref<3x4xf64> into memref<12xf64>
  %kernel_all = memref.cast %kernel_flat : memref<12xf64> to memref<?xf64>
  %kernel_seed = arith.constant 2 : index
  call @fill_f64(%kernel_all, %kernel_seed) : (memref<?xf64>, index) -> ()
  %kernel_show2 = memref.cast %kernel : memref<3x4xf64> to memref<*xf64>
  call @printMemrefF64(%kernel_show2) : (memref<*xf64>) -> ()
  %bias = memref.alloc() : memref<3xf64>
  %bias_all = memref.cast %bias : memref<3xf64> to memref<?xf64>
  %bias_seed = arith.constant 3 : index
  call @fill_f64(%bias_all, %bias_seed) : (memref<?xf64>, index) -> ()
  %bias_show3 = memref.cast %bias : memref<3xf64> to memref<*xf64>
  call @printMemrefF64(%bias_show3) : (memref<*xf64>) -> ()
  %starts = memref.alloc() : memref<2x2xf64>
  %starts_flat = memref.collapse_shape %starts [[0, 1]] : memref<2x2xf64> into memref<4xf64>
  %starts_all = memref.cast %starts_flat : memref<4xf64> to memref<?xf64>
  %starts_seed = arith.constant 4 : index
  call @fill_f64(%starts_all, %starts_seed) : (memref<?xf64>, index) -> ()
  %starts_show4 = memref.cast %starts : memref<2x2xf64> to memref<*xf64>
  call @printMemrefF64(%starts_show4) : (memref<*xf64>) -> ()
  %cut = memref.alloc() : memref<2x2xi1>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %batch = arith.constant 2 : index
  %length = arith.constant 2 : index
  %half = arith.constant -5.000000e-01 : f64
  scf.for %b = %c0 to %batch step %c1 {
    scf.for %t = %c0 to %length step %c1 {
      %start = memref.load %starts[%b, %t] : memref<2x2xf64>
      %starts_here = arith.cmpf olt, %start, %half : f64
      memref.store %starts_here, %cut[%b, %t] : memref<2x2xi1>
    }
  }
  %history = memref.alloc() : memref<2x3x3xf64>
  %history_flat = memref.collapse_shape %history [[0, 1, 2]] : memref<2x3x3xf64> into memref<18xf64>
  %history_all = memref.cast %history_flat : memref<18xf64> to memref<?xf64>
  %history_seed = arith.constant 5 : index
  call @fill_f64(%history_all, %history_seed) : (memref<?xf64>, index) -> ()
  %history_show5 = memref.cast %history : memref<2x3x3xf64> to memref<*xf64>
  call @printMemrefF64(%history_show5) : (memref<*xf64>) -> ()
  %y = memref.alloc() : memref<2x2x3xf64>
  ssm.conv input(%u : memref<2x2x3xf64>) kernel(%kernel : memref<3x4xf64>)
      history(%history : memref<2x3x3xf64>) cut(%cut : memref<2x2xi1>)
      epilogue_ins(%bias : memref<3xf64>)
      outs(%y, %history : memref<2x2x3xf64>, memref<2x3x3xf64>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            epilogue = [affine_map<(b, t, c, j) -> (c)>],
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f64, %bv: f64):
    %out = arith.addf %acc, %bv : f64
    ssm.yield %out : f64
  }
  %y_show6 = memref.cast %y : memref<2x2x3xf64> to memref<*xf64>
  call @printMemrefF64(%y_show6) : (memref<*xf64>) -> ()
  %history_show7 = memref.cast %history : memref<2x3x3xf64> to memref<*xf64>
  call @printMemrefF64(%history_show7) : (memref<*xf64>) -> ()
  return
}

func.func @conv_no_history() {
  %u = memref.alloc() : memref<2x4xf64>
  %u_flat = memref.collapse_shape %u [[0, 1]] : memref<2x4xf64> into memref<8xf64>
  %u_all = memref.cast %u_flat : memref<8xf64> to memref<?xf64>
  %u_seed = arith.constant 1 : index
  call @fill_f64(%u_all, %u_seed) : (memref<?xf64>, index) -> ()
  %u_show1 = memref.cast %u : memref<2x4xf64> to memref<*xf64>
  call @printMemrefF64(%u_show1) : (memref<*xf64>) -> ()
  %kernel = memref.alloc() : memref<6xf64>
  %kernel_all = memref.cast %kernel : memref<6xf64> to memref<?xf64>
  %kernel_seed = arith.constant 2 : index
  call @fill_f64(%kernel_all, %kernel_seed) : (memref<?xf64>, index) -> ()
  %kernel_show2 = memref.cast %kernel : memref<6xf64> to memref<*xf64>
  call @printMemrefF64(%kernel_show2) : (memref<*xf64>) -> ()
  %y = memref.alloc() : memref<2x4xf64>
  ssm.conv input(%u : memref<2x4xf64>) kernel(%kernel : memref<6xf64>)
      outs(%y : memref<2x4xf64>)
      maps {input = affine_map<(b, t, j) -> (b, t)>,
            kernel = affine_map<(b, t, j) -> (j)>,
            output = affine_map<(b, t, j) -> (b, t)>} lags 6
      epilogue {
  ^bb0(%acc: f64):
    ssm.yield %acc : f64
  }
  %y_show3 = memref.cast %y : memref<2x4xf64> to memref<*xf64>
  call @printMemrefF64(%y_show3) : (memref<*xf64>) -> ()
  return
}

func.func @shift() {
  %u = memref.alloc() : memref<2x6x3xf64>
  %u_flat = memref.collapse_shape %u [[0, 1, 2]] : memref<2x6x3xf64> into memref<36xf64>
  %u_all = memref.cast %u_flat : memref<36xf64> to memref<?xf64>
  %u_seed = arith.constant 1 : index
  call @fill_f64(%u_all, %u_seed) : (memref<?xf64>, index) -> ()
  %u_show1 = memref.cast %u : memref<2x6x3xf64> to memref<*xf64>
  call @printMemrefF64(%u_show1) : (memref<*xf64>) -> ()
  %starts = memref.alloc() : memref<2x6xf64>
  %starts_flat = memref.collapse_shape %starts [[0, 1]] : memref<2x6xf64> into memref<12xf64>
  %starts_all = memref.cast %starts_flat : memref<12xf64> to memref<?xf64>
  %starts_seed = arith.constant 2 : index
  call @fill_f64(%starts_all, %starts_seed) : (memref<?xf64>, index) -> ()
  %starts_show2 = memref.cast %starts : memref<2x6xf64> to memref<*xf64>
  call @printMemrefF64(%starts_show2) : (memref<*xf64>) -> ()
  %cut = memref.alloc() : memref<2x6xi1>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %batch = arith.constant 2 : index
  %length = arith.constant 6 : index
  %half = arith.constant -5.000000e-01 : f64
  scf.for %b = %c0 to %batch step %c1 {
    scf.for %t = %c0 to %length step %c1 {
      %start = memref.load %starts[%b, %t] : memref<2x6xf64>
      %starts_here = arith.cmpf olt, %start, %half : f64
      memref.store %starts_here, %cut[%b, %t] : memref<2x6xi1>
    }
  }
  %history = memref.alloc() : memref<2x2x3xf64>
  %history_flat = memref.collapse_shape %history [[0, 1, 2]] : memref<2x2x3xf64> into memref<12xf64>
  %history_all = memref.cast %history_flat : memref<12xf64> to memref<?xf64>
  %history_seed = arith.constant 3 : index
  call @fill_f64(%history_all, %history_seed) : (memref<?xf64>, index) -> ()
  %history_show3 = memref.cast %history : memref<2x2x3xf64> to memref<*xf64>
  call @printMemrefF64(%history_show3) : (memref<*xf64>) -> ()
  %y = memref.alloc() : memref<2x6x3xf64>
  ssm.shift 2 input(%u : memref<2x6x3xf64>) history(%history : memref<2x2x3xf64>)
      cut(%cut : memref<2x6xi1>)
      outs(%y, %history : memref<2x6x3xf64>, memref<2x2x3xf64>)
  %y_show4 = memref.cast %y : memref<2x6x3xf64> to memref<*xf64>
  call @printMemrefF64(%y_show4) : (memref<*xf64>) -> ()
  %history_show5 = memref.cast %history : memref<2x2x3xf64> to memref<*xf64>
  call @printMemrefF64(%history_show5) : (memref<*xf64>) -> ()
  return
}

func.func @shift_short() {
  %u = memref.alloc() : memref<2x1x3xf64>
  %u_flat = memref.collapse_shape %u [[0, 1, 2]] : memref<2x1x3xf64> into memref<6xf64>
  %u_all = memref.cast %u_flat : memref<6xf64> to memref<?xf64>
  %u_seed = arith.constant 1 : index
  call @fill_f64(%u_all, %u_seed) : (memref<?xf64>, index) -> ()
  %u_show1 = memref.cast %u : memref<2x1x3xf64> to memref<*xf64>
  call @printMemrefF64(%u_show1) : (memref<*xf64>) -> ()
  %starts = memref.alloc() : memref<2x1xf64>
  %starts_flat = memref.collapse_shape %starts [[0, 1]] : memref<2x1xf64> into memref<2xf64>
  %starts_all = memref.cast %starts_flat : memref<2xf64> to memref<?xf64>
  %starts_seed = arith.constant 2 : index
  call @fill_f64(%starts_all, %starts_seed) : (memref<?xf64>, index) -> ()
  %starts_show2 = memref.cast %starts : memref<2x1xf64> to memref<*xf64>
  call @printMemrefF64(%starts_show2) : (memref<*xf64>) -> ()
  %cut = memref.alloc() : memref<2x1xi1>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %batch = arith.constant 2 : index
  %length = arith.constant 1 : index
  %half = arith.constant -5.000000e-01 : f64
  scf.for %b = %c0 to %batch step %c1 {
    scf.for %t = %c0 to %length step %c1 {
      %start = memref.load %starts[%b, %t] : memref<2x1xf64>
      %starts_here = arith.cmpf olt, %start, %half : f64
      memref.store %starts_here, %cut[%b, %t] : memref<2x1xi1>
    }
  }
  %history = memref.alloc() : memref<2x2x3xf64>
  %history_flat = memref.collapse_shape %history [[0, 1, 2]] : memref<2x2x3xf64> into memref<12xf64>
  %history_all = memref.cast %history_flat : memref<12xf64> to memref<?xf64>
  %history_seed = arith.constant 3 : index
  call @fill_f64(%history_all, %history_seed) : (memref<?xf64>, index) -> ()
  %history_show3 = memref.cast %history : memref<2x2x3xf64> to memref<*xf64>
  call @printMemrefF64(%history_show3) : (memref<*xf64>) -> ()
  %y = memref.alloc() : memref<2x1x3xf64>
  ssm.shift 2 input(%u : memref<2x1x3xf64>) history(%history : memref<2x2x3xf64>)
      cut(%cut : memref<2x1xi1>)
      outs(%y, %history : memref<2x1x3xf64>, memref<2x2x3xf64>)
  %y_show4 = memref.cast %y : memref<2x1x3xf64> to memref<*xf64>
  call @printMemrefF64(%y_show4) : (memref<*xf64>) -> ()
  %history_show5 = memref.cast %history : memref<2x2x3xf64> to memref<*xf64>
  call @printMemrefF64(%history_show5) : (memref<*xf64>) -> ()
  return
}

func.func @shift_ahead() {
  %u = memref.alloc() : memref<2x5x3xf64>
  %u_flat = memref.collapse_shape %u [[0, 1, 2]] : memref<2x5x3xf64> into memref<30xf64>
  %u_all = memref.cast %u_flat : memref<30xf64> to memref<?xf64>
  %u_seed = arith.constant 1 : index
  call @fill_f64(%u_all, %u_seed) : (memref<?xf64>, index) -> ()
  %u_show1 = memref.cast %u : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%u_show1) : (memref<*xf64>) -> ()
  %y = memref.alloc() : memref<2x5x3xf64>
  ssm.shift -2 input(%u : memref<2x5x3xf64>) outs(%y : memref<2x5x3xf64>)
  %y_show2 = memref.cast %y : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%y_show2) : (memref<*xf64>) -> ()
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
