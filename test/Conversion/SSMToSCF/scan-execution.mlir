// RUN: ssm-opt %s --convert-ssm-to-scf %lower_to_llvm -o %t.mlir
// RUN: %run scan_read %t.mlir | %python %S/Inputs/check.py scan_read
// RUN: %run scan_strided %t.mlir | %python %S/Inputs/check.py scan_strided
// RUN: %run scan_complex %t.mlir | %python %S/Inputs/check.py scan_complex
// RUN: %run scan_complex_read %t.mlir | %python %S/Inputs/check.py scan_complex_read
// RUN: %run scan_erase %t.mlir | %python %S/Inputs/check.py scan_erase
// RUN: %run scan_erase_keys %t.mlir | %python %S/Inputs/check.py scan_erase_keys
// RUN: %run scan_reverse %t.mlir | %python %S/Inputs/check.py scan_reverse
// RUN: %run scan_dense %t.mlir | %python %S/Inputs/check.py scan_dense
// RUN: %run scan_empty %t.mlir | %python %S/Inputs/check.py scan_empty
// Runs the literal lowering. What is printed is checked by Inputs/check.py, which
// computes the outputs again from the printed inputs.

func.func @scan_read() {
  %dt = memref.alloc() : memref<2x5x3xf64>
  %dt_flat = memref.collapse_shape %dt [[0, 1, 2]] : memref<2x5x3xf64> into memref<30xf64>
  %dt_all = memref.cast %dt_flat : memref<30xf64> to memref<?xf64>
  %dt_seed = arith.constant 1 : index
  call @fill_f64(%dt_all, %dt_seed) : (memref<?xf64>, index) -> ()
  %dt_show1 = memref.cast %dt : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%dt_show1) : (memref<*xf64>) -> ()
  %a = memref.alloc() : memref<3x2xf64>
  %a_flat = memref.collapse_shape %a [[0, 1]] : memref<3x2xf64> into memref<6xf64>
  %a_all = memref.cast %a_flat : memref<6xf64> to memref<?xf64>
  %a_seed = arith.constant 2 : index
  call @fill_f64(%a_all, %a_seed) : (memref<?xf64>, index) -> ()
  %a_show2 = memref.cast %a : memref<3x2xf64> to memref<*xf64>
  call @printMemrefF64(%a_show2) : (memref<*xf64>) -> ()
  %u = memref.alloc() : memref<2x5x3xf64>
  %u_flat = memref.collapse_shape %u [[0, 1, 2]] : memref<2x5x3xf64> into memref<30xf64>
  %u_all = memref.cast %u_flat : memref<30xf64> to memref<?xf64>
  %u_seed = arith.constant 3 : index
  call @fill_f64(%u_all, %u_seed) : (memref<?xf64>, index) -> ()
  %u_show3 = memref.cast %u : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%u_show3) : (memref<*xf64>) -> ()
  %bt = memref.alloc() : memref<2x5x2xf64>
  %bt_flat = memref.collapse_shape %bt [[0, 1, 2]] : memref<2x5x2xf64> into memref<20xf64>
  %bt_all = memref.cast %bt_flat : memref<20xf64> to memref<?xf64>
  %bt_seed = arith.constant 4 : index
  call @fill_f64(%bt_all, %bt_seed) : (memref<?xf64>, index) -> ()
  %bt_show4 = memref.cast %bt : memref<2x5x2xf64> to memref<*xf64>
  call @printMemrefF64(%bt_show4) : (memref<*xf64>) -> ()
  %ct = memref.alloc() : memref<2x5x2xf64>
  %ct_flat = memref.collapse_shape %ct [[0, 1, 2]] : memref<2x5x2xf64> into memref<20xf64>
  %ct_all = memref.cast %ct_flat : memref<20xf64> to memref<?xf64>
  %ct_seed = arith.constant 5 : index
  call @fill_f64(%ct_all, %ct_seed) : (memref<?xf64>, index) -> ()
  %ct_show5 = memref.cast %ct : memref<2x5x2xf64> to memref<*xf64>
  call @printMemrefF64(%ct_show5) : (memref<*xf64>) -> ()
  %state = memref.alloc() : memref<2x3x2xf64>
  %state_flat = memref.collapse_shape %state [[0, 1, 2]] : memref<2x3x2xf64> into memref<12xf64>
  %state_all = memref.cast %state_flat : memref<12xf64> to memref<?xf64>
  %state_seed = arith.constant 6 : index
  call @fill_f64(%state_all, %state_seed) : (memref<?xf64>, index) -> ()
  %state_show6 = memref.cast %state : memref<2x3x2xf64> to memref<*xf64>
  call @printMemrefF64(%state_show6) : (memref<*xf64>) -> ()
  %y = memref.alloc() : memref<2x5x3xf64>
  ssm.scan
      ins(%dt, %a, %u, %bt, %ct : memref<2x5x3xf64>, memref<3x2xf64>, memref<2x5x3xf64>, memref<2x5x2xf64>, memref<2x5x2xf64>)
      initial(%state : memref<2x3x2xf64>)
      epilogue_ins(%u : memref<2x5x3xf64>)
      outs(%y, %state : memref<2x5x3xf64>, memref<2x3x2xf64>)
      maps {ins = [affine_map<(b, t, e, n) -> (b, t, e)>,
                   affine_map<(b, t, e, n) -> (e, n)>,
                   affine_map<(b, t, e, n) -> (b, t, e)>,
                   affine_map<(b, t, e, n) -> (b, t, n)>,
                   affine_map<(b, t, e, n) -> (b, t, n)>],
            epilogue = [affine_map<(b, t, e, n) -> (b, t, e)>],
            state = affine_map<(b, t, e, n) -> (b, e, n)>,
            output = affine_map<(b, t, e, n) -> (b, t, e)>}
      coefficients {
  ^bb0(%d: f64, %av: f64, %uv: f64, %bv: f64, %cv: f64):
    %x = arith.mulf %d, %av : f64
    %decay = math.exp %x : f64
    %du = arith.mulf %d, %uv : f64
    %write = arith.mulf %du, %bv : f64
    ssm.coefficients decay(%decay : f64) write(%write : f64) read(%cv : f64)
  } epilogue {
  ^bb0(%o: f64, %uv: f64):
    %out = arith.addf %o, %uv : f64
    ssm.yield %out : f64
  }
  %y_show7 = memref.cast %y : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%y_show7) : (memref<*xf64>) -> ()
  %state_show8 = memref.cast %state : memref<2x3x2xf64> to memref<*xf64>
  call @printMemrefF64(%state_show8) : (memref<*xf64>) -> ()
  return
}

func.func @scan_strided() {
  %dt = memref.alloc() : memref<2x5x3xf64>
  %dt_flat = memref.collapse_shape %dt [[0, 1, 2]] : memref<2x5x3xf64> into memref<30xf64>
  %dt_all = memref.cast %dt_flat : memref<30xf64> to memref<?xf64>
  %dt_seed = arith.constant 1 : index
  call @fill_f64(%dt_all, %dt_seed) : (memref<?xf64>, index) -> ()
  %dt_show1 = memref.cast %dt : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%dt_show1) : (memref<*xf64>) -> ()
  %a = memref.alloc() : memref<3x2xf64>
  %a_flat = memref.collapse_shape %a [[0, 1]] : memref<3x2xf64> into memref<6xf64>
  %a_all = memref.cast %a_flat : memref<6xf64> to memref<?xf64>
  %a_seed = arith.constant 2 : index
  call @fill_f64(%a_all, %a_seed) : (memref<?xf64>, index) -> ()
  %a_show2 = memref.cast %a : memref<3x2xf64> to memref<*xf64>
  call @printMemrefF64(%a_show2) : (memref<*xf64>) -> ()
  %padded = memref.alloc() : memref<2x5x6xf64>
  %u = memref.subview %padded[0, 0, 1] [2, 5, 3] [1, 1, 2] : memref<2x5x6xf64> to memref<2x5x3xf64, strided<[30, 6, 2], offset: 1>>
  %u_seed = arith.constant 3 : index
  %padded_flat = memref.collapse_shape %padded [[0, 1, 2]] : memref<2x5x6xf64> into memref<60xf64>
  %padded_all = memref.cast %padded_flat : memref<60xf64> to memref<?xf64>
  call @fill_f64(%padded_all, %u_seed) : (memref<?xf64>, index) -> ()
  %u_any = memref.cast %u : memref<2x5x3xf64, strided<[30, 6, 2], offset: 1>> to memref<*xf64>
  call @printMemrefF64(%u_any) : (memref<*xf64>) -> ()
  %bt = memref.alloc() : memref<2x5x2xf64>
  %bt_flat = memref.collapse_shape %bt [[0, 1, 2]] : memref<2x5x2xf64> into memref<20xf64>
  %bt_all = memref.cast %bt_flat : memref<20xf64> to memref<?xf64>
  %bt_seed = arith.constant 3 : index
  call @fill_f64(%bt_all, %bt_seed) : (memref<?xf64>, index) -> ()
  %bt_show3 = memref.cast %bt : memref<2x5x2xf64> to memref<*xf64>
  call @printMemrefF64(%bt_show3) : (memref<*xf64>) -> ()
  %ct = memref.alloc() : memref<2x5x2xf64>
  %ct_flat = memref.collapse_shape %ct [[0, 1, 2]] : memref<2x5x2xf64> into memref<20xf64>
  %ct_all = memref.cast %ct_flat : memref<20xf64> to memref<?xf64>
  %ct_seed = arith.constant 4 : index
  call @fill_f64(%ct_all, %ct_seed) : (memref<?xf64>, index) -> ()
  %ct_show4 = memref.cast %ct : memref<2x5x2xf64> to memref<*xf64>
  call @printMemrefF64(%ct_show4) : (memref<*xf64>) -> ()
  %state = memref.alloc() : memref<2x3x2xf64>
  %state_flat = memref.collapse_shape %state [[0, 1, 2]] : memref<2x3x2xf64> into memref<12xf64>
  %state_all = memref.cast %state_flat : memref<12xf64> to memref<?xf64>
  %state_seed = arith.constant 5 : index
  call @fill_f64(%state_all, %state_seed) : (memref<?xf64>, index) -> ()
  %state_show5 = memref.cast %state : memref<2x3x2xf64> to memref<*xf64>
  call @printMemrefF64(%state_show5) : (memref<*xf64>) -> ()
  %y = memref.alloc() : memref<2x5x3xf64>
  ssm.scan
      ins(%dt, %a, %u, %bt, %ct : memref<2x5x3xf64>, memref<3x2xf64>, memref<2x5x3xf64, strided<[30, 6, 2], offset: 1>>, memref<2x5x2xf64>, memref<2x5x2xf64>)
      initial(%state : memref<2x3x2xf64>)
      epilogue_ins(%u : memref<2x5x3xf64, strided<[30, 6, 2], offset: 1>>)
      outs(%y, %state : memref<2x5x3xf64>, memref<2x3x2xf64>)
      maps {ins = [affine_map<(b, t, e, n) -> (b, t, e)>,
                   affine_map<(b, t, e, n) -> (e, n)>,
                   affine_map<(b, t, e, n) -> (b, t, e)>,
                   affine_map<(b, t, e, n) -> (b, t, n)>,
                   affine_map<(b, t, e, n) -> (b, t, n)>],
            epilogue = [affine_map<(b, t, e, n) -> (b, t, e)>],
            state = affine_map<(b, t, e, n) -> (b, e, n)>,
            output = affine_map<(b, t, e, n) -> (b, t, e)>}
      coefficients {
  ^bb0(%d: f64, %av: f64, %uv: f64, %bv: f64, %cv: f64):
    %x = arith.mulf %d, %av : f64
    %decay = math.exp %x : f64
    %du = arith.mulf %d, %uv : f64
    %write = arith.mulf %du, %bv : f64
    ssm.coefficients decay(%decay : f64) write(%write : f64) read(%cv : f64)
  } epilogue {
  ^bb0(%o: f64, %uv: f64):
    %out = arith.addf %o, %uv : f64
    ssm.yield %out : f64
  }
  %y_show6 = memref.cast %y : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%y_show6) : (memref<*xf64>) -> ()
  %state_show7 = memref.cast %state : memref<2x3x2xf64> to memref<*xf64>
  call @printMemrefF64(%state_show7) : (memref<*xf64>) -> ()
  return
}

func.func @scan_complex() {
  %lr = memref.alloc() : memref<3xf64>
  %lr_all = memref.cast %lr : memref<3xf64> to memref<?xf64>
  %lr_seed = arith.constant 1 : index
  call @fill_f64(%lr_all, %lr_seed) : (memref<?xf64>, index) -> ()
  %lr_show1 = memref.cast %lr : memref<3xf64> to memref<*xf64>
  call @printMemrefF64(%lr_show1) : (memref<*xf64>) -> ()
  %li = memref.alloc() : memref<3xf64>
  %li_all = memref.cast %li : memref<3xf64> to memref<?xf64>
  %li_seed = arith.constant 2 : index
  call @fill_f64(%li_all, %li_seed) : (memref<?xf64>, index) -> ()
  %li_show2 = memref.cast %li : memref<3xf64> to memref<*xf64>
  call @printMemrefF64(%li_show2) : (memref<*xf64>) -> ()
  %ur = memref.alloc() : memref<2x5x3xf64>
  %ur_flat = memref.collapse_shape %ur [[0, 1, 2]] : memref<2x5x3xf64> into memref<30xf64>
  %ur_all = memref.cast %ur_flat : memref<30xf64> to memref<?xf64>
  %ur_seed = arith.constant 3 : index
  call @fill_f64(%ur_all, %ur_seed) : (memref<?xf64>, index) -> ()
  %ur_show3 = memref.cast %ur : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%ur_show3) : (memref<*xf64>) -> ()
  %ui = memref.alloc() : memref<2x5x3xf64>
  %ui_flat = memref.collapse_shape %ui [[0, 1, 2]] : memref<2x5x3xf64> into memref<30xf64>
  %ui_all = memref.cast %ui_flat : memref<30xf64> to memref<?xf64>
  %ui_seed = arith.constant 4 : index
  call @fill_f64(%ui_all, %ui_seed) : (memref<?xf64>, index) -> ()
  %ui_show4 = memref.cast %ui : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%ui_show4) : (memref<*xf64>) -> ()
  %sr = memref.alloc() : memref<2x3xf64>
  %sr_flat = memref.collapse_shape %sr [[0, 1]] : memref<2x3xf64> into memref<6xf64>
  %sr_all = memref.cast %sr_flat : memref<6xf64> to memref<?xf64>
  %sr_seed = arith.constant 5 : index
  call @fill_f64(%sr_all, %sr_seed) : (memref<?xf64>, index) -> ()
  %sr_show5 = memref.cast %sr : memref<2x3xf64> to memref<*xf64>
  call @printMemrefF64(%sr_show5) : (memref<*xf64>) -> ()
  %si = memref.alloc() : memref<2x3xf64>
  %si_flat = memref.collapse_shape %si [[0, 1]] : memref<2x3xf64> into memref<6xf64>
  %si_all = memref.cast %si_flat : memref<6xf64> to memref<?xf64>
  %si_seed = arith.constant 6 : index
  call @fill_f64(%si_all, %si_seed) : (memref<?xf64>, index) -> ()
  %si_show6 = memref.cast %si : memref<2x3xf64> to memref<*xf64>
  call @printMemrefF64(%si_show6) : (memref<*xf64>) -> ()
  %yr = memref.alloc() : memref<2x5x3xf64>
  %yi = memref.alloc() : memref<2x5x3xf64>
  ssm.scan complex
      ins(%lr, %li, %ur, %ui : memref<3xf64>, memref<3xf64>, memref<2x5x3xf64>, memref<2x5x3xf64>)
      initial(%sr, %si : memref<2x3xf64>, memref<2x3xf64>)
      outs(%yr, %yi, %sr, %si : memref<2x5x3xf64>, memref<2x5x3xf64>, memref<2x3xf64>, memref<2x3xf64>)
      maps {ins = [affine_map<(b, t, p) -> (p)>, affine_map<(b, t, p) -> (p)>,
                   affine_map<(b, t, p) -> (b, t, p)>,
                   affine_map<(b, t, p) -> (b, t, p)>],
            state = affine_map<(b, t, p) -> (b, p)>,
            output = affine_map<(b, t, p) -> (b, t, p)>}
      coefficients {
  ^bb0(%dr: f64, %di: f64, %wr: f64, %wi: f64):
    ssm.coefficients decay(%dr, %di : f64, f64) write(%wr, %wi : f64, f64)
  } epilogue {
  ^bb0(%re: f64, %im: f64):
    ssm.yield %re, %im : f64, f64
  }
  %yr_show7 = memref.cast %yr : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%yr_show7) : (memref<*xf64>) -> ()
  %yi_show8 = memref.cast %yi : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%yi_show8) : (memref<*xf64>) -> ()
  %sr_show9 = memref.cast %sr : memref<2x3xf64> to memref<*xf64>
  call @printMemrefF64(%sr_show9) : (memref<*xf64>) -> ()
  %si_show10 = memref.cast %si : memref<2x3xf64> to memref<*xf64>
  call @printMemrefF64(%si_show10) : (memref<*xf64>) -> ()
  return
}

func.func @scan_complex_read() {
  %lr = memref.alloc() : memref<3xf64>
  %lr_all = memref.cast %lr : memref<3xf64> to memref<?xf64>
  %lr_seed = arith.constant 1 : index
  call @fill_f64(%lr_all, %lr_seed) : (memref<?xf64>, index) -> ()
  %lr_show1 = memref.cast %lr : memref<3xf64> to memref<*xf64>
  call @printMemrefF64(%lr_show1) : (memref<*xf64>) -> ()
  %li = memref.alloc() : memref<3xf64>
  %li_all = memref.cast %li : memref<3xf64> to memref<?xf64>
  %li_seed = arith.constant 2 : index
  call @fill_f64(%li_all, %li_seed) : (memref<?xf64>, index) -> ()
  %li_show2 = memref.cast %li : memref<3xf64> to memref<*xf64>
  call @printMemrefF64(%li_show2) : (memref<*xf64>) -> ()
  %u = memref.alloc() : memref<2x5xf64>
  %u_flat = memref.collapse_shape %u [[0, 1]] : memref<2x5xf64> into memref<10xf64>
  %u_all = memref.cast %u_flat : memref<10xf64> to memref<?xf64>
  %u_seed = arith.constant 3 : index
  call @fill_f64(%u_all, %u_seed) : (memref<?xf64>, index) -> ()
  %u_show3 = memref.cast %u : memref<2x5xf64> to memref<*xf64>
  call @printMemrefF64(%u_show3) : (memref<*xf64>) -> ()
  %cr = memref.alloc() : memref<3xf64>
  %cr_all = memref.cast %cr : memref<3xf64> to memref<?xf64>
  %cr_seed = arith.constant 4 : index
  call @fill_f64(%cr_all, %cr_seed) : (memref<?xf64>, index) -> ()
  %cr_show4 = memref.cast %cr : memref<3xf64> to memref<*xf64>
  call @printMemrefF64(%cr_show4) : (memref<*xf64>) -> ()
  %ci = memref.alloc() : memref<3xf64>
  %ci_all = memref.cast %ci : memref<3xf64> to memref<?xf64>
  %ci_seed = arith.constant 5 : index
  call @fill_f64(%ci_all, %ci_seed) : (memref<?xf64>, index) -> ()
  %ci_show5 = memref.cast %ci : memref<3xf64> to memref<*xf64>
  call @printMemrefF64(%ci_show5) : (memref<*xf64>) -> ()
  %y = memref.alloc() : memref<2x5xf64>
  %sr = memref.alloc() : memref<2x3xf64>
  %si = memref.alloc() : memref<2x3xf64>
  ssm.scan complex
      ins(%lr, %li, %u, %cr, %ci : memref<3xf64>, memref<3xf64>, memref<2x5xf64>, memref<3xf64>, memref<3xf64>)
      outs(%y, %sr, %si : memref<2x5xf64>, memref<2x3xf64>, memref<2x3xf64>)
      maps {ins = [affine_map<(b, t, p) -> (p)>, affine_map<(b, t, p) -> (p)>,
                   affine_map<(b, t, p) -> (b, t)>,
                   affine_map<(b, t, p) -> (p)>, affine_map<(b, t, p) -> (p)>],
            state = affine_map<(b, t, p) -> (b, p)>,
            output = affine_map<(b, t, p) -> (b, t)>}
      coefficients {
  ^bb0(%dr: f64, %di: f64, %w: f64, %rr: f64, %ri: f64):
    %zero = arith.constant 0.000000e+00 : f64
    ssm.coefficients decay(%dr, %di : f64, f64) write(%w, %zero : f64, f64) read(%rr, %ri : f64, f64)
  } epilogue {
  ^bb0(%re: f64):
    ssm.yield %re : f64
  }
  %y_show6 = memref.cast %y : memref<2x5xf64> to memref<*xf64>
  call @printMemrefF64(%y_show6) : (memref<*xf64>) -> ()
  %sr_show7 = memref.cast %sr : memref<2x3xf64> to memref<*xf64>
  call @printMemrefF64(%sr_show7) : (memref<*xf64>) -> ()
  %si_show8 = memref.cast %si : memref<2x3xf64> to memref<*xf64>
  call @printMemrefF64(%si_show8) : (memref<*xf64>) -> ()
  return
}

func.func @scan_erase() {
  %g = memref.alloc() : memref<2x5x2xf64>
  %g_flat = memref.collapse_shape %g [[0, 1, 2]] : memref<2x5x2xf64> into memref<20xf64>
  %g_all = memref.cast %g_flat : memref<20xf64> to memref<?xf64>
  %g_seed = arith.constant 1 : index
  call @fill_f64(%g_all, %g_seed) : (memref<?xf64>, index) -> ()
  %g_show1 = memref.cast %g : memref<2x5x2xf64> to memref<*xf64>
  call @printMemrefF64(%g_show1) : (memref<*xf64>) -> ()
  %beta = memref.alloc() : memref<2x5x2xf64>
  %beta_flat = memref.collapse_shape %beta [[0, 1, 2]] : memref<2x5x2xf64> into memref<20xf64>
  %beta_all = memref.cast %beta_flat : memref<20xf64> to memref<?xf64>
  %beta_seed = arith.constant 2 : index
  call @fill_f64(%beta_all, %beta_seed) : (memref<?xf64>, index) -> ()
  %beta_show2 = memref.cast %beta : memref<2x5x2xf64> to memref<*xf64>
  call @printMemrefF64(%beta_show2) : (memref<*xf64>) -> ()
  %k = memref.alloc() : memref<2x5x2x3xf64>
  %k_flat = memref.collapse_shape %k [[0, 1, 2, 3]] : memref<2x5x2x3xf64> into memref<60xf64>
  %k_all = memref.cast %k_flat : memref<60xf64> to memref<?xf64>
  %k_seed = arith.constant 3 : index
  call @fill_f64(%k_all, %k_seed) : (memref<?xf64>, index) -> ()
  %k_show3 = memref.cast %k : memref<2x5x2x3xf64> to memref<*xf64>
  call @printMemrefF64(%k_show3) : (memref<*xf64>) -> ()
  %v = memref.alloc() : memref<2x5x2x2xf64>
  %v_flat = memref.collapse_shape %v [[0, 1, 2, 3]] : memref<2x5x2x2xf64> into memref<40xf64>
  %v_all = memref.cast %v_flat : memref<40xf64> to memref<?xf64>
  %v_seed = arith.constant 4 : index
  call @fill_f64(%v_all, %v_seed) : (memref<?xf64>, index) -> ()
  %v_show4 = memref.cast %v : memref<2x5x2x2xf64> to memref<*xf64>
  call @printMemrefF64(%v_show4) : (memref<*xf64>) -> ()
  %q = memref.alloc() : memref<2x5x2x3xf64>
  %q_flat = memref.collapse_shape %q [[0, 1, 2, 3]] : memref<2x5x2x3xf64> into memref<60xf64>
  %q_all = memref.cast %q_flat : memref<60xf64> to memref<?xf64>
  %q_seed = arith.constant 5 : index
  call @fill_f64(%q_all, %q_seed) : (memref<?xf64>, index) -> ()
  %q_show5 = memref.cast %q : memref<2x5x2x3xf64> to memref<*xf64>
  call @printMemrefF64(%q_show5) : (memref<*xf64>) -> ()
  %state = memref.alloc() : memref<2x2x3x2xf64>
  %state_flat = memref.collapse_shape %state [[0, 1, 2, 3]] : memref<2x2x3x2xf64> into memref<24xf64>
  %state_all = memref.cast %state_flat : memref<24xf64> to memref<?xf64>
  %state_seed = arith.constant 6 : index
  call @fill_f64(%state_all, %state_seed) : (memref<?xf64>, index) -> ()
  %state_show6 = memref.cast %state : memref<2x2x3x2xf64> to memref<*xf64>
  call @printMemrefF64(%state_show6) : (memref<*xf64>) -> ()
  %y = memref.alloc() : memref<2x5x2x2xf64>
  ssm.scan
      ins(%g, %beta, %k, %v, %q : memref<2x5x2xf64>, memref<2x5x2xf64>, memref<2x5x2x3xf64>, memref<2x5x2x2xf64>, memref<2x5x2x3xf64>)
      initial(%state : memref<2x2x3x2xf64>)
      outs(%y, %state : memref<2x5x2x2xf64>, memref<2x2x3x2xf64>)
      maps {ins = [affine_map<(b, t, h, k, v) -> (b, t, h)>, affine_map<(b, t, h, k, v) -> (b, t, h)>,
                   affine_map<(b, t, h, k, v) -> (b, t, h, k)>,
                   affine_map<(b, t, h, k, v) -> (b, t, h, v)>,
                   affine_map<(b, t, h, k, v) -> (b, t, h, k)>],
            state = affine_map<(b, t, h, k, v) -> (b, h, k, v)>,
            output = affine_map<(b, t, h, k, v) -> (b, t, h, v)>}
      coefficients {
  ^bb0(%gv: f64, %bv: f64, %kv: f64, %vv: f64, %qv: f64):
    %left = arith.mulf %gv, %kv : f64
    %bk = arith.mulf %bv, %kv : f64
    %right = arith.negf %bk : f64
    %write = arith.mulf %bk, %vv : f64
    ssm.coefficients decay(%gv : f64) write(%write : f64) read(%qv : f64) erase(%left, %right : f64, f64)
  } epilogue {
  ^bb0(%o: f64):
    ssm.yield %o : f64
  }
  %y_show7 = memref.cast %y : memref<2x5x2x2xf64> to memref<*xf64>
  call @printMemrefF64(%y_show7) : (memref<*xf64>) -> ()
  %state_show8 = memref.cast %state : memref<2x2x3x2xf64> to memref<*xf64>
  call @printMemrefF64(%state_show8) : (memref<*xf64>) -> ()
  return
}

func.func @scan_erase_keys() {
  %l = memref.alloc() : memref<2x5x3xf64>
  %l_flat = memref.collapse_shape %l [[0, 1, 2]] : memref<2x5x3xf64> into memref<30xf64>
  %l_all = memref.cast %l_flat : memref<30xf64> to memref<?xf64>
  %l_seed = arith.constant 1 : index
  call @fill_f64(%l_all, %l_seed) : (memref<?xf64>, index) -> ()
  %l_show1 = memref.cast %l : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%l_show1) : (memref<*xf64>) -> ()
  %r = memref.alloc() : memref<2x5x3xf64>
  %r_flat = memref.collapse_shape %r [[0, 1, 2]] : memref<2x5x3xf64> into memref<30xf64>
  %r_all = memref.cast %r_flat : memref<30xf64> to memref<?xf64>
  %r_seed = arith.constant 2 : index
  call @fill_f64(%r_all, %r_seed) : (memref<?xf64>, index) -> ()
  %r_show2 = memref.cast %r : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%r_show2) : (memref<*xf64>) -> ()
  %u = memref.alloc() : memref<2x5x3x2xf64>
  %u_flat = memref.collapse_shape %u [[0, 1, 2, 3]] : memref<2x5x3x2xf64> into memref<60xf64>
  %u_all = memref.cast %u_flat : memref<60xf64> to memref<?xf64>
  %u_seed = arith.constant 3 : index
  call @fill_f64(%u_all, %u_seed) : (memref<?xf64>, index) -> ()
  %u_show3 = memref.cast %u : memref<2x5x3x2xf64> to memref<*xf64>
  call @printMemrefF64(%u_show3) : (memref<*xf64>) -> ()
  %y = memref.alloc() : memref<2x5x3x2xf64>
  %state = memref.alloc() : memref<2x2x3xf64>
  ssm.scan
      ins(%l, %r, %u : memref<2x5x3xf64>, memref<2x5x3xf64>, memref<2x5x3x2xf64>)
      outs(%y, %state : memref<2x5x3x2xf64>, memref<2x2x3xf64>)
      maps {ins = [affine_map<(b, t, k, v) -> (b, t, k)>, affine_map<(b, t, k, v) -> (b, t, k)>,
                   affine_map<(b, t, k, v) -> (b, t, k, v)>],
            state = affine_map<(b, t, k, v) -> (b, v, k)>,
            output = affine_map<(b, t, k, v) -> (b, t, k, v)>} keys [2]
      coefficients {
  ^bb0(%left: f64, %right: f64, %write: f64):
    ssm.coefficients write(%write : f64) erase(%left, %right : f64, f64)
  } epilogue {
  ^bb0(%o: f64):
    ssm.yield %o : f64
  }
  %y_show4 = memref.cast %y : memref<2x5x3x2xf64> to memref<*xf64>
  call @printMemrefF64(%y_show4) : (memref<*xf64>) -> ()
  %state_show5 = memref.cast %state : memref<2x2x3xf64> to memref<*xf64>
  call @printMemrefF64(%state_show5) : (memref<*xf64>) -> ()
  return
}

func.func @scan_reverse() {
  %decay = memref.alloc() : memref<2xf64>
  %decay_all = memref.cast %decay : memref<2xf64> to memref<?xf64>
  %decay_seed = arith.constant 1 : index
  call @fill_f64(%decay_all, %decay_seed) : (memref<?xf64>, index) -> ()
  %decay_show1 = memref.cast %decay : memref<2xf64> to memref<*xf64>
  call @printMemrefF64(%decay_show1) : (memref<*xf64>) -> ()
  %starts = memref.alloc() : memref<2x5xf64>
  %starts_flat = memref.collapse_shape %starts [[0, 1]] : memref<2x5xf64> into memref<10xf64>
  %starts_all = memref.cast %starts_flat : memref<10xf64> to memref<?xf64>
  %starts_seed = arith.constant 2 : index
  call @fill_f64(%starts_all, %starts_seed) : (memref<?xf64>, index) -> ()
  %starts_show2 = memref.cast %starts : memref<2x5xf64> to memref<*xf64>
  call @printMemrefF64(%starts_show2) : (memref<*xf64>) -> ()
  %u = memref.alloc() : memref<2x5x3xf64>
  %u_flat = memref.collapse_shape %u [[0, 1, 2]] : memref<2x5x3xf64> into memref<30xf64>
  %u_all = memref.cast %u_flat : memref<30xf64> to memref<?xf64>
  %u_seed = arith.constant 3 : index
  call @fill_f64(%u_all, %u_seed) : (memref<?xf64>, index) -> ()
  %u_show3 = memref.cast %u : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%u_show3) : (memref<*xf64>) -> ()
  %ct = memref.alloc() : memref<2x5x2x2xf64>
  %ct_flat = memref.collapse_shape %ct [[0, 1, 2, 3]] : memref<2x5x2x2xf64> into memref<40xf64>
  %ct_all = memref.cast %ct_flat : memref<40xf64> to memref<?xf64>
  %ct_seed = arith.constant 4 : index
  call @fill_f64(%ct_all, %ct_seed) : (memref<?xf64>, index) -> ()
  %ct_show4 = memref.cast %ct : memref<2x5x2x2xf64> to memref<*xf64>
  call @printMemrefF64(%ct_show4) : (memref<*xf64>) -> ()
  %y = memref.alloc() : memref<2x5x2x3xf64>
  %state = memref.alloc() : memref<2x3x2xf64>
  ssm.scan reverse
      ins(%decay, %starts, %u, %ct : memref<2xf64>, memref<2x5xf64>, memref<2x5x3xf64>, memref<2x5x2x2xf64>)
      outs(%y, %state : memref<2x5x2x3xf64>, memref<2x3x2xf64>)
      maps {ins = [affine_map<(b, t, e, n, r) -> (n)>, affine_map<(b, t, e, n, r) -> (b, t)>,
                   affine_map<(b, t, e, n, r) -> (b, t, e)>,
                   affine_map<(b, t, e, n, r) -> (b, t, n, r)>],
            state = affine_map<(b, t, e, n, r) -> (b, e, n)>,
            output = affine_map<(b, t, e, n, r) -> (b, t, r, e)>}
      coefficients {
  ^bb0(%d: f64, %sv: f64, %uv: f64, %cv: f64):
    %half = arith.constant -5.000000e-01 : f64
    %reset = arith.cmpf olt, %sv, %half : f64
    ssm.coefficients decay(%d : f64) write(%uv : f64) read(%cv : f64) reset(%reset)
  } epilogue {
  ^bb0(%o: f64):
    %two = arith.constant 2.000000e+00 : f64
    %out = arith.mulf %o, %two : f64
    ssm.yield %out : f64
  }
  %y_show5 = memref.cast %y : memref<2x5x2x3xf64> to memref<*xf64>
  call @printMemrefF64(%y_show5) : (memref<*xf64>) -> ()
  %state_show6 = memref.cast %state : memref<2x3x2xf64> to memref<*xf64>
  call @printMemrefF64(%state_show6) : (memref<*xf64>) -> ()
  return
}

func.func @scan_dense() {
  %a = memref.alloc() : memref<3x3xf64>
  %a_flat = memref.collapse_shape %a [[0, 1]] : memref<3x3xf64> into memref<9xf64>
  %a_all = memref.cast %a_flat : memref<9xf64> to memref<?xf64>
  %a_seed = arith.constant 1 : index
  call @fill_f64(%a_all, %a_seed) : (memref<?xf64>, index) -> ()
  %a_show1 = memref.cast %a : memref<3x3xf64> to memref<*xf64>
  call @printMemrefF64(%a_show1) : (memref<*xf64>) -> ()
  %rate = memref.alloc() : memref<5xf64>
  %rate_all = memref.cast %rate : memref<5xf64> to memref<?xf64>
  %rate_seed = arith.constant 2 : index
  call @fill_f64(%rate_all, %rate_seed) : (memref<?xf64>, index) -> ()
  %rate_show2 = memref.cast %rate : memref<5xf64> to memref<*xf64>
  call @printMemrefF64(%rate_show2) : (memref<*xf64>) -> ()
  %u = memref.alloc() : memref<2x5x3xf64>
  %u_flat = memref.collapse_shape %u [[0, 1, 2]] : memref<2x5x3xf64> into memref<30xf64>
  %u_all = memref.cast %u_flat : memref<30xf64> to memref<?xf64>
  %u_seed = arith.constant 3 : index
  call @fill_f64(%u_all, %u_seed) : (memref<?xf64>, index) -> ()
  %u_show3 = memref.cast %u : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%u_show3) : (memref<*xf64>) -> ()
  %c = memref.alloc() : memref<3xf64>
  %c_all = memref.cast %c : memref<3xf64> to memref<?xf64>
  %c_seed = arith.constant 4 : index
  call @fill_f64(%c_all, %c_seed) : (memref<?xf64>, index) -> ()
  %c_show4 = memref.cast %c : memref<3xf64> to memref<*xf64>
  call @printMemrefF64(%c_show4) : (memref<*xf64>) -> ()
  %state = memref.alloc() : memref<2x3x3xf64>
  %state_flat = memref.collapse_shape %state [[0, 1, 2]] : memref<2x3x3xf64> into memref<18xf64>
  %state_all = memref.cast %state_flat : memref<18xf64> to memref<?xf64>
  %state_seed = arith.constant 5 : index
  call @fill_f64(%state_all, %state_seed) : (memref<?xf64>, index) -> ()
  %state_show5 = memref.cast %state : memref<2x3x3xf64> to memref<*xf64>
  call @printMemrefF64(%state_show5) : (memref<*xf64>) -> ()
  %y = memref.alloc() : memref<2x5x3xf64>
  ssm.scan ins(%a, %rate, %u, %c : memref<3x3xf64>, memref<5xf64>, memref<2x5x3xf64>, memref<3xf64>)
      initial(%state : memref<2x3x3xf64>)
      outs(%y, %state : memref<2x5x3xf64>, memref<2x3x3xf64>)
      maps {ins = [affine_map<(b, t, e, n, m) -> (n, m)>, affine_map<(b, t, e, n, m) -> (t)>,
                   affine_map<(b, t, e, n, m) -> (b, t, e)>, affine_map<(b, t, e, n, m) -> (n)>],
            state = affine_map<(b, t, e, n, m) -> (b, e, n)>,
            output = affine_map<(b, t, e, n, m) -> (b, t, e)>} dense [3, 4]
      coefficients {
  ^bb0(%av: f64, %rv: f64, %uv: f64, %cv: f64):
    %transition = arith.mulf %av, %rv : f64
    ssm.coefficients write(%uv : f64) read(%cv : f64) dense(%transition : f64)
  } epilogue {
  ^bb0(%o: f64):
    ssm.yield %o : f64
  }
  %y_show6 = memref.cast %y : memref<2x5x3xf64> to memref<*xf64>
  call @printMemrefF64(%y_show6) : (memref<*xf64>) -> ()
  %state_show7 = memref.cast %state : memref<2x3x3xf64> to memref<*xf64>
  call @printMemrefF64(%state_show7) : (memref<*xf64>) -> ()
  return
}

func.func @scan_empty() {
  %u = memref.alloc() : memref<2x0x3xf64>
  %u_flat = memref.collapse_shape %u [[0, 1, 2]] : memref<2x0x3xf64> into memref<0xf64>
  %u_all = memref.cast %u_flat : memref<0xf64> to memref<?xf64>
  %u_seed = arith.constant 1 : index
  call @fill_f64(%u_all, %u_seed) : (memref<?xf64>, index) -> ()
  %u_show1 = memref.cast %u : memref<2x0x3xf64> to memref<*xf64>
  call @printMemrefF64(%u_show1) : (memref<*xf64>) -> ()
  %state = memref.alloc() : memref<2x3xf64>
  %state_flat = memref.collapse_shape %state [[0, 1]] : memref<2x3xf64> into memref<6xf64>
  %state_all = memref.cast %state_flat : memref<6xf64> to memref<?xf64>
  %state_seed = arith.constant 2 : index
  call @fill_f64(%state_all, %state_seed) : (memref<?xf64>, index) -> ()
  %state_show2 = memref.cast %state : memref<2x3xf64> to memref<*xf64>
  call @printMemrefF64(%state_show2) : (memref<*xf64>) -> ()
  %y = memref.alloc() : memref<2x0x3xf64>
  %final = memref.alloc() : memref<2x3xf64>
  ssm.scan ins(%u : memref<2x0x3xf64>) initial(%state : memref<2x3xf64>)
      outs(%y, %final : memref<2x0x3xf64>, memref<2x3xf64>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%uv: f64):
    ssm.coefficients write(%uv : f64)
  } epilogue {
  ^bb0(%o: f64):
    ssm.yield %o : f64
  }
  %y_show3 = memref.cast %y : memref<2x0x3xf64> to memref<*xf64>
  call @printMemrefF64(%y_show3) : (memref<*xf64>) -> ()
  %final_show4 = memref.cast %final : memref<2x3xf64> to memref<*xf64>
  call @printMemrefF64(%final_show4) : (memref<*xf64>) -> ()
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
