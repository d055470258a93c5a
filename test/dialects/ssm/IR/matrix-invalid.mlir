// RUN: ssm-opt %s --split-input-file --verify-diagnostics

func.func @discretize_matrix_c1_square(%a: tensor<4x3xf32>, %d: tensor<2xf32>,
    %m0: tensor<2x4x4xf32>) {
  // expected-error @+1 {{(C1) rate: found 'tensor<4x3xf32>', wanted ... x N x N of static N}}
  %m, %g = ssm.discretize_matrix zoh rate(%a : tensor<4x3xf32>)
      step(%d : tensor<2xf32>) outs(%m0, %m0 : tensor<2x4x4xf32>, tensor<2x4x4xf32>)
      -> tensor<2x4x4xf32>, tensor<2x4x4xf32>
  return
}

// -----

func.func @discretize_matrix_c2_step(%a: tensor<3x4x4xf32>, %d: tensor<2xf32>,
    %m0: tensor<2x4x4xf32>) {
  // expected-error @+1 {{(C2) step: found 'tensor<2xf32>', wanted the leading dimensions of 'tensor<3x4x4xf32>' as its last ones}}
  %m, %g = ssm.discretize_matrix zoh rate(%a : tensor<3x4x4xf32>)
      step(%d : tensor<2xf32>) outs(%m0, %m0 : tensor<2x4x4xf32>, tensor<2x4x4xf32>)
      -> tensor<2x4x4xf32>, tensor<2x4x4xf32>
  return
}

// -----

func.func @discretize_matrix_c3_out(%a: tensor<4x4xf32>, %d: tensor<2xf32>,
    %m0: tensor<3x4x4xf32>) {
  // expected-error @+1 {{(C3) out: found 'tensor<3x4x4xf32>', wanted the shape of the step and then 4 x 4}}
  %m, %g = ssm.discretize_matrix zoh rate(%a : tensor<4x4xf32>)
      step(%d : tensor<2xf32>) outs(%m0, %m0 : tensor<3x4x4xf32>, tensor<3x4x4xf32>)
      -> tensor<3x4x4xf32>, tensor<3x4x4xf32>
  return
}

// -----

func.func @matrix_power_c2_out(%a: tensor<4x4xf32>, %m0: tensor<3x3xf32>) {
  // expected-error @+1 {{(C2) out: found 'tensor<3x3xf32>', wanted the shape of 'tensor<4x4xf32>'}}
  %m = ssm.matrix_power 2 matrix(%a : tensor<4x4xf32>) outs(%m0 : tensor<3x3xf32>)
      -> tensor<3x3xf32>
  return
}

// -----

func.func @krylov_c2_vector(%a: tensor<2x4x4xf32>, %v: tensor<3x4xf32>, %x0: tensor<3x5x4xf32>) {
  // expected-error @+1 {{(C2) vector: found 'tensor<3x4xf32>', wanted the leading dimensions of 'tensor<2x4x4xf32>' first and 4 last}}
  %x = ssm.krylov matrix(%a : tensor<2x4x4xf32>) vector(%v : tensor<3x4xf32>)
      outs(%x0 : tensor<3x5x4xf32>) -> tensor<3x5x4xf32>
  return
}

// -----

func.func @krylov_c3_out(%a: tensor<4x4xf32>, %v: tensor<3x4xf32>, %x0: tensor<5x4xf32>) {
  // expected-error @+1 {{(C3) out: found 'tensor<5x4xf32>', wanted the shape of 'tensor<3x4xf32>' with one more dimension before the last}}
  %x = ssm.krylov matrix(%a : tensor<4x4xf32>) vector(%v : tensor<3x4xf32>)
      outs(%x0 : tensor<5x4xf32>) -> tensor<5x4xf32>
  return
}

// -----

func.func @scan_c10_real_sums(%d: tensor<3xf32>, %u: tensor<?x?x3xf32>,
    %y0: tensor<?x?x3xf32>, %s0: tensor<?x3xf32>) {
  // expected-error @+1 {{(C10) real_sums: found a real recurrence, wanted a complex one that erases}}
  %y, %s = ssm.scan real_sums ins(%d, %u : tensor<3xf32>, tensor<?x?x3xf32>)
      outs(%y0, %s0 : tensor<?x?x3xf32>, tensor<?x3xf32>)
      maps {ins = [affine_map<(b, t, p) -> (p)>, affine_map<(b, t, p) -> (b, t, p)>],
            state = affine_map<(b, t, p) -> (b, p)>,
            output = affine_map<(b, t, p) -> (b, t, p)>}
      coefficients {
  ^bb0(%dv: f32, %uv: f32):
    ssm.coefficients decay(%dv : f32) write(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x3xf32>, tensor<?x3xf32>
  return
}

// -----

func.func @impulse_response_c1(%a: tensor<1x2x3x2x8xf64>, %b: tensor<1x2x6x8xf32>, %c: tensor<1x2x1x1x6x8xf64>,
    %k0: tensor<?x1x1x16xf32>) {
  // expected-error @+1 {{(C1) input: found 'tensor<1x2x6x8xf32>', wanted O x T x N x W of f64, known extents all}}
  %k = ssm.impulse_response transition(%a : tensor<1x2x3x2x8xf64>) input(%b : tensor<1x2x6x8xf32>)
      read(%c : tensor<1x2x1x1x6x8xf64>) outs(%k0 : tensor<?x1x1x16xf32>)
      -> tensor<?x1x1x16xf32>
  return
}

// -----

func.func @impulse_response_c2_diagonal(%a: tensor<1x2x2x3x8xf64>, %b: tensor<1x2x6x8xf64>, %c: tensor<1x2x1x1x6x8xf64>,
    %k0: tensor<?x1x1x16xf32>) {
  // expected-error @+1 {{(C2) transition: found 'tensor<1x2x2x3x8xf64>', wanted 1 x 2 x N/P x P, 6 numbers in one part or two each, x 8 of f64}}
  %k = ssm.impulse_response transition(%a : tensor<1x2x2x3x8xf64>) input(%b : tensor<1x2x6x8xf64>)
      read(%c : tensor<1x2x1x1x6x8xf64>) outs(%k0 : tensor<?x1x1x16xf32>)
      -> tensor<?x1x1x16xf32>
  return
}

// -----

func.func @impulse_response_c2_dense(%a: tensor<1x2x3x2x8xf64>, %b: tensor<1x2x6x8xf64>, %c: tensor<1x2x1x1x6x8xf64>,
    %k0: tensor<?x1x1x16xf32>) {
  // expected-error @+1 {{(C2) transition: found 'tensor<1x2x3x2x8xf64>', wanted 1 x 2 x 6 x 6 x 8 of f64}}
  %k = ssm.impulse_response dense transition(%a : tensor<1x2x3x2x8xf64>) input(%b : tensor<1x2x6x8xf64>)
      read(%c : tensor<1x2x1x1x6x8xf64>) outs(%k0 : tensor<?x1x1x16xf32>)
      -> tensor<?x1x1x16xf32>
  return
}

// -----

func.func @impulse_response_c3(%a: tensor<1x2x3x2x8xf64>, %b: tensor<1x2x6x8xf64>, %c: tensor<1x2x2x1x6x8xf64>,
    %k0: tensor<?x1x1x16xf32>) {
  // expected-error @+1 {{(C3) read: found 'tensor<1x2x2x1x6x8xf64>', wanted 1 x 2 x 1 x Q x 6 x 8 of f64}}
  %k = ssm.impulse_response transition(%a : tensor<1x2x3x2x8xf64>) input(%b : tensor<1x2x6x8xf64>)
      read(%c : tensor<1x2x2x1x6x8xf64>) outs(%k0 : tensor<?x1x1x16xf32>)
      -> tensor<?x1x1x16xf32>
  return
}

// -----

func.func @impulse_response_c4(%a: tensor<1x2x3x2x8xf64>, %b: tensor<1x2x6x8xf64>, %c: tensor<1x2x1x1x6x8xf64>,
    %k0: tensor<?x1x1x8xf32>) {
  // expected-error @+1 {{(C4) out: found 'tensor<?x1x1x8xf32>', wanted lags x 1 x 1 x 16, as many lags in each}}
  %k = ssm.impulse_response transition(%a : tensor<1x2x3x2x8xf64>) input(%b : tensor<1x2x6x8xf64>)
      read(%c : tensor<1x2x1x1x6x8xf64>) outs(%k0 : tensor<?x1x1x8xf32>)
      -> tensor<?x1x1x8xf32>
  return
}

// -----

func.func @scan_c12_period(%u: tensor<?x?x3xf32>, %y0: tensor<?x?x3xf32>,
    %s0: tensor<?x3xf32>) {
  // expected-error @+1 {{(C12) period: found 0.000000e+00 : f64, wanted a finite number above 0}}
  %y, %s = ssm.scan ins(%u : tensor<?x?x3xf32>)
      outs(%y0, %s0 : tensor<?x?x3xf32>, tensor<?x3xf32>)
      maps {ins = [affine_map<(b, t, p) -> (b, t, p)>],
            state = affine_map<(b, t, p) -> (b, p)>,
            output = affine_map<(b, t, p) -> (b, t, p)>}
      coefficients {
  ^bb0(%uv: f32):
    ssm.coefficients write(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {period = 0.0 : f64} -> tensor<?x?x3xf32>, tensor<?x3xf32>
  return
}

// -----

func.func @scan_c12_factor(%u: tensor<?x?x3xf32>, %y0: tensor<?x?x3xf32>,
    %s0: tensor<?x3xf32>) {
  // expected-error @+1 {{(C12) period: found with a factor of the state, wanted a real one that nothing multiplies}}
  %y, %s = ssm.scan ins(%u : tensor<?x?x3xf32>)
      outs(%y0, %s0 : tensor<?x?x3xf32>, tensor<?x3xf32>)
      maps {ins = [affine_map<(b, t, p) -> (b, t, p)>],
            state = affine_map<(b, t, p) -> (b, p)>,
            output = affine_map<(b, t, p) -> (b, t, p)>}
      coefficients {
  ^bb0(%uv: f32):
    ssm.coefficients decay(%uv : f32) write(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {period = 2.0 : f64} -> tensor<?x?x3xf32>, tensor<?x3xf32>
  return
}
