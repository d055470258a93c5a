// RUN: ssm-opt %s --split-input-file --verify-diagnostics

func.func @scan_both_forms(%a: memref<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{operands of both forms: found 'tensor<?x4xf32>' and 'memref<?x?x4xf32>', wanted only tensors or only memrefs}}
  %y, %s = ssm.scan ins(%a : memref<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c1_number_of_maps(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C1) number of ins maps: found 0, wanted 1, one for each operand}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c1_symbols(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C1) symbols of the ins 0 map: found 1, wanted none}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e)[s] -> (b, t, e + s)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c1_dimensions(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C1) dimensions of the ins 0 map: found 4, wanted 3}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e, f) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c1_results(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C1) results of the ins 0 map: found 2, wanted 3, the rank of 'tensor<?x?x4xf32>'}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c1_dim_names(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C1) dim_names: found 2, wanted 3, one for each dimension}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {dim_names = ["b", "t"]} -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c2_few_results(%a: tensor<?x?x4xf32>, %y0: tensor<?xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C2) results of the output map: found 1, wanted at least 2}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c2_not_alone(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C2) result 1 of the state map: found d2 + 1, wanted a dimension alone}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e + 1)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c2_twice(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C2) result 2 of the output map: found d1 again, wanted distinct dimensions}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, t)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c2_leading(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C2) result 0 of the state map: found d2, wanted d0}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (e, b)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c2_unnamed_dimension(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C2) d3: found neither in the state nor in the output map, wanted it in one of them}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e, f) -> (b, t, e)>],
            state = affine_map<(b, t, e, f) -> (b, e)>,
            output = affine_map<(b, t, e, f) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c3_state_over_time(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C3) state map: found d1, the sequence, in affine_map<(d0, d1, d2) -> (d0, d1)>, wanted a state without it}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, t)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c4_coefficient_arguments(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C4) coefficient arguments: found ('f64'), wanted ('f32')}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f64):
    ssm.coefficients decay(%v : f64)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c4_coefficients_end(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C4) end of the coefficients: found 'ssm.yield', wanted 'ssm.coefficients'}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c4_epilogue_arguments(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C4) epilogue arguments: found ('f32', 'f32'), wanted ('f32')}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32, %p: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c4_epilogue_end(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C4) end of the epilogue: found 'llvm.unreachable', wanted 'ssm.yield'}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    llvm.unreachable
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c4_yielded(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    // expected-error @+1 {{(C4) yielded types: found (), wanted ('f32')}}
    ssm.yield
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c5_no_outputs(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C5) outs: found 1, wanted 2, outputs and then final states}}
  %y = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%s0 : tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x4xf32>
  return
}

// -----

func.func @scan_c5_outputs(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C5) outs: found 3, wanted 2, outputs and then final states}}
  %y:3 = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %y0, %s0 : tensor<?x?x4xf32>, tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x?x4xf32>,
       tensor<?x4xf32>
  return
}

// -----

func.func @scan_c5_complex_outputs(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C5) outs: found 2, wanted 3 or 4, outputs and then final states}}
  %y:2 = ssm.scan complex ins(%a : tensor<?x?x4xf32>)
      outs(%s0, %s0 : tensor<?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v, %v : f32, f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c5_initial(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C5) initial states: found 1, wanted 0 or 2}}
  %y, %s:2 = ssm.scan complex ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v, %v : f32, f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c5_state_elements(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xi32>) {
  // expected-error @+1 {{(C5) elements of the final state: found 'i32', wanted a floating-point type}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xi32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xi32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xi32>
  return
}

// -----

func.func @scan_c5_other_state_elements(%a: tensor<?x?x4xf32>, %r0: tensor<?x4xf64>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C5) elements of a state: found 'f64', wanted 'f32' as in the first final state}}
  %y, %s:2 = ssm.scan complex ins(%a : tensor<?x?x4xf32>)
      initial(%r0, %s0 : tensor<?x4xf64>, tensor<?x4xf32>)
      outs(%y0, %s0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v, %v : f32, f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c5_output_elements(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xi32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C5) elements of an output: found 'i32', wanted a floating-point type}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xi32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: i32):
    ssm.yield %o : i32
  } -> tensor<?x?x4xi32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c6_copies(%a: tensor<?x?x4xf32>, %c: tensor<?x?x4x3xf32>,
    %y0: tensor<?x?x3xf32>, %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C6) coefficient 0: found to depend on d3, which the state lacks, wanted only the read to do so}}
  %y, %s = ssm.scan ins(%a, %c : tensor<?x?x4xf32>, tensor<?x?x4x3xf32>)
      outs(%y0, %s0 : tensor<?x?x3xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, n, r) -> (b, t, n)>,
                   affine_map<(b, t, n, r) -> (b, t, n, r)>],
            state = affine_map<(b, t, n, r) -> (b, n)>,
            output = affine_map<(b, t, n, r) -> (b, t, r)>}
      coefficients {
  ^bb0(%v: f32, %w: f32):
    ssm.coefficients decay(%w : f32) read(%w : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x3xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c7_extents(%a: tensor<?x?x5xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C7) size of d2 in ins 0: found 5, wanted 4 as in the other operands}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x5xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c7_bounds(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C7) index of ins 0 along axis 2: found 4, wanted 0 to 3}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e + 1)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c7_bounds_below(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C7) index of ins 0 along axis 2: found -1, wanted 0 to 3}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e - 1)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c8_keys(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C8) keys: found 1, wanted distinct dimensions of the state beyond the batch}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      keys [1] coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c8_no_read(%a: tensor<?x?x4xf32>, %c: tensor<?x?x4x3xf32>,
    %y0: tensor<?x?x3xf32>, %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C8) d2: found in the state but not in the output, wanted a read that sums over it}}
  %y, %s = ssm.scan ins(%a, %c : tensor<?x?x4xf32>, tensor<?x?x4x3xf32>)
      outs(%y0, %s0 : tensor<?x?x3xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, n, r) -> (b, t, n)>,
                   affine_map<(b, t, n, r) -> (b, t, n, r)>],
            state = affine_map<(b, t, n, r) -> (b, n)>,
            output = affine_map<(b, t, n, r) -> (b, t, r)>}
      coefficients {
  ^bb0(%v: f32, %w: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x3xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c8_keys_of_read(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C8) keys: found d2 among them, wanted the state dimensions that the output lacks}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      keys [2] coefficients {
  ^bb0(%v: f32):
    ssm.coefficients read(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c9_dimensions(%a: tensor<4x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C9) dense: found [3, 2], wanted a state dimension and one that neither state nor output has}}
  %y, %s = ssm.scan ins(%a : tensor<4x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, n, m) -> (n, m)>],
            state = affine_map<(b, t, n, m) -> (b, n)>,
            output = affine_map<(b, t, n, m) -> (b, t, n)>} dense [3, 2]
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients dense(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c9_role_missing(%a: tensor<4x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C9) dense: found dimensions but no role, wanted both or neither}}
  %y, %s = ssm.scan ins(%a : tensor<4x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, n, m) -> (n, m)>],
            state = affine_map<(b, t, n, m) -> (b, n)>,
            output = affine_map<(b, t, n, m) -> (b, t, n)>} dense [2, 3]
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients 
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c9_dimensions_missing(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C9) dense: found a role but no dimensions, wanted both or neither}}
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients dense(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c9_beside_decay(%a: tensor<4x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  %y, %s = ssm.scan ins(%a : tensor<4x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, n, m) -> (n, m)>],
            state = affine_map<(b, t, n, m) -> (b, n)>,
            output = affine_map<(b, t, n, m) -> (b, t, n)>} dense [2, 3]
      coefficients {
  ^bb0(%v: f32):
    %one = arith.constant 1.0 : f32
    // expected-error @+1 {{(C9) dense: found beside a decay, wanted one of them}}
    ssm.coefficients decay(%one : f32) dense(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_c9_other_role(%a: tensor<4x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{(C9) coefficient 0: found to depend on d3, wanted only the dense one to do so}}
  %y, %s = ssm.scan ins(%a : tensor<4x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, n, m) -> (n, m)>],
            state = affine_map<(b, t, n, m) -> (b, n)>,
            output = affine_map<(b, t, n, m) -> (b, t, n)>} dense [2, 3]
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients write(%v : f32) dense(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @coefficients_decay(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  %y, %s:2 = ssm.scan complex ins(%a : tensor<?x?x4xf32>)
      outs(%y0, %s0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    // expected-error @+1 {{decay: found 1 operands, wanted 0 or 2, real and imaginary part}}
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @coefficients_write(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    // expected-error @+1 {{write: found 2 operands, wanted 0 or 1}}
    ssm.coefficients write(%v, %v : f32, f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @coefficients_read(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    // expected-error @+1 {{read: found 2 operands, wanted 0 or 1}}
    ssm.coefficients read(%v, %v : f32, f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @coefficients_erase(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  %y, %s:2 = ssm.scan complex ins(%a : tensor<?x?x4xf32>)
      outs(%y0, %s0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    // expected-error @+1 {{erase: found 2 operands, wanted a multiple of 4}}
    ssm.coefficients erase(%v, %v : f32, f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_unknown_map(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            // expected-error @+1 {{unknown map 'states'}}
            states = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_map_twice(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            // expected-error @+1 {{map 'state' given twice}}
            state = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_map_missing(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
      // expected-error @+1 {{expected a map 'output'}}
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @scan_no_outs(%a: tensor<?x?x4xf32>, %y0: tensor<?x?x4xf32>,
    %s0: tensor<?x4xf32>) {
  %y, %s = ssm.scan ins(%a : tensor<?x?x4xf32>)
      initial(%s0 : tensor<?x4xf32>)
      // expected-error @+1 {{expected 'outs'}}
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients decay(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @conv_c1_dimensions(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C1) dimensions of the output map: found 2, wanted at least 3: batch, sequence and lag}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, j) -> (b)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, j) -> (b)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_c1_input(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C1) results of the input map: found 2, wanted 3, the rank of 'tensor<?x?x8xf32>'}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_c2_leading(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C2) output map: found affine_map<(d0, d1, d2, d3) -> (d1, d0, d2)>, wanted results that start with d0, d1}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (t, b, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_c2_distinct(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C2) output map: found d3 in affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>, wanted distinct dimensions other than the lag d3}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, j)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_c2_all(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C2) output map: found affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2)>, wanted all dimensions but the lag d4}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, d, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, d, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, d, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_c3_leading(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C3) input map: found affine_map<(d0, d1, d2, d3) -> (d0, d1 - d3, d2)>, wanted results that start with d0, d1}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t - j, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_c3_lag(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C3) input map: found the lag d3 in affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>, wanted it in the kernel's map only}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, j)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_c4_history(%u: tensor<?x5x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x5x8xf32>) {
  // expected-error @+1 {{(C4) history: found 'tensor<?x5x8xf32>', wanted the shape of 'tensor<?x5x8xf32>' with 3 tokens}}
  %y, %h1 = ssm.conv input(%u : tensor<?x5x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%u : tensor<?x5x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x5x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x5x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_c4_final_history(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x4x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C4) final history: found 'tensor<?x4x8xf32>', wanted the shape of 'tensor<?x?x8xf32>' with 3 tokens}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x4x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x4x8xf32>
  return
}

// -----

func.func @conv_c4_history_elements(%g: tensor<?x3x8xf64>, %u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C4) elements of the final history: found 'f32', wanted 'f64' as in the history}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%g : tensor<?x3x8xf64>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_c4_cut(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi8>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C4) cut: found 'tensor<?x?xi8>', wanted i1 elements and the two leading dimensions of the input 'tensor<?x?x8xf32>'}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi8>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_c5_epilogue(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C5) epilogue arguments: found ('bf16'), wanted ('f32')}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: bf16):
    ssm.yield %acc : bf16
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_c6_lags(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C6) lags: found 0, wanted at least 1}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 0
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_c6_extents(%u: tensor<?x?x8xf32>, %k: tensor<9x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C6) size of d2 in the kernel: found 9, wanted 8 as in the other operands}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<9x4xf32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_c6_bounds(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C6) index of the kernel along axis 1: found -1, wanted 0 to 3}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 2)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_outs(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{outs: found 3, wanted 1 or 2}}
  %y:3 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>,
           tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>,
       tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_elements(%u: tensor<?x?x8xf32>, %k: tensor<8x4xi32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{elements of the kernel: found 'i32', wanted a floating-point type}}
  %y, %h1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xi32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @conv_two_inputs(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
    %h: tensor<?x3x8xf32>, %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{found 2 operands, wanted one}}
  %y, %h1 = ssm.conv input(%u, %u : tensor<?x?x8xf32>, tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      history(%h : tensor<?x3x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
  return
}

// -----

func.func @shift_c1_distance(%x: tensor<?x?x8xf32>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C1) distance: found 0, wanted another number}}
  %y = ssm.shift 0 input(%x : tensor<?x?x8xf32>)
      outs(%y0 : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return
}

// -----

func.func @shift_c2_history(%x: tensor<?x?x8xf32>, %h: tensor<?x2x8xf32>,
    %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C2) distance: found -2 with a history, wanted a positive one}}
  %y, %h1 = ssm.shift -2 input(%x : tensor<?x?x8xf32>)
      history(%h : tensor<?x2x8xf32>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x2x8xf32>)
      -> tensor<?x?x8xf32>, tensor<?x2x8xf32>
  return
}

// -----

func.func @shift_c2_cut(%x: tensor<?x?x8xf32>, %cut: tensor<?x?xi1>,
    %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C2) distance: found -1 with a cut, wanted a positive one}}
  %y = ssm.shift -1 input(%x : tensor<?x?x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0 : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return
}

// -----

func.func @shift_c2_history_shape(%x: tensor<?x?x8xf32>, %h: tensor<?x2x8xf32>,
    %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C2) history: found 'tensor<?x2x8xf32>', wanted the shape of 'tensor<?x?x8xf32>' with 3 tokens}}
  %y, %h1 = ssm.shift 3 input(%x : tensor<?x?x8xf32>)
      history(%h : tensor<?x2x8xf32>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x2x8xf32>)
      -> tensor<?x?x8xf32>, tensor<?x2x8xf32>
  return
}

// -----

func.func @shift_c2_final_history_shape(%x: tensor<?x?x8xf32>, %h: tensor<?x2x8xf32>,
    %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C2) final history: found 'tensor<?x2x8xf32>', wanted the shape of 'tensor<?x?x8xf32>' with 3 tokens}}
  %y, %h1 = ssm.shift 3 input(%x : tensor<?x?x8xf32>)
      cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x2x8xf32>)
      -> tensor<?x?x8xf32>, tensor<?x2x8xf32>
  return
}

// -----

func.func @shift_c2_history_elements(%g: tensor<?x2x8xf64>, %x: tensor<?x?x8xf32>, %h: tensor<?x2x8xf32>,
    %cut: tensor<?x?xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C2) elements of the final history: found 'f32', wanted 'f64' as in the history}}
  %y, %h1 = ssm.shift 2 input(%x : tensor<?x?x8xf32>)
      history(%g : tensor<?x2x8xf64>) cut(%cut : tensor<?x?xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x2x8xf32>)
      -> tensor<?x?x8xf32>, tensor<?x2x8xf32>
  return
}

// -----

func.func @shift_c2_cut_shape(%x: tensor<?x?x8xf32>, %h: tensor<?x2x8xf32>,
    %cut: tensor<?x?x8xi1>, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C2) cut: found 'tensor<?x?x8xi1>', wanted i1 elements and the two leading dimensions of the input 'tensor<?x?x8xf32>'}}
  %y, %h1 = ssm.shift 2 input(%x : tensor<?x?x8xf32>)
      history(%h : tensor<?x2x8xf32>) cut(%cut : tensor<?x?x8xi1>)
      outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x2x8xf32>)
      -> tensor<?x?x8xf32>, tensor<?x2x8xf32>
  return
}

// -----

func.func @shift_c3_rank(%x: tensor<?xf32>, %y0: tensor<?xf32>) {
  // expected-error @+1 {{(C3) input: found 'tensor<?xf32>', wanted at least batch and sequence}}
  %y = ssm.shift -1 input(%x : tensor<?xf32>)
      outs(%y0 : tensor<?xf32>) -> tensor<?xf32>
  return
}

// -----

func.func @shift_c3_output(%x: tensor<?x?x8xf32>, %y0: tensor<?x?x9xf32>) {
  // expected-error @+1 {{(C3) output: found 'tensor<?x?x9xf32>', wanted the shape of 'tensor<?x?x8xf32>'}}
  %y = ssm.shift -1 input(%x : tensor<?x?x8xf32>)
      outs(%y0 : tensor<?x?x9xf32>) -> tensor<?x?x9xf32>
  return
}

// -----

func.func @norm_c1_groups(%x: tensor<?x8xf32>, %w: tensor<8xf32>,
    %y0: tensor<?x8xf32>) {
  // expected-error @+1 {{(C1) groups: found 0, wanted at least 1}}
  %y = ssm.norm rms eps 0.0 groups 0 input(%x : tensor<?x8xf32>)
      epilogue_ins(%w : tensor<8xf32>) outs(%y0 : tensor<?x8xf32>)
      maps [affine_map<(t, d) -> (d)>] epilogue {
  ^bb0(%v: f32, %wv: f32):
    ssm.yield %v : f32
  } -> tensor<?x8xf32>
  return
}

// -----

func.func @norm_c1_size(%x: tensor<?x8xf32>, %w: tensor<8xf32>,
    %y0: tensor<?x8xf32>) {
  // expected-error @+1 {{(C1) input: found 'tensor<?x8xf32>', wanted a static last dimension that is a multiple of 3}}
  %y = ssm.norm rms eps 0.0 groups 3 input(%x : tensor<?x8xf32>)
      epilogue_ins(%w : tensor<8xf32>) outs(%y0 : tensor<?x8xf32>)
      maps [affine_map<(t, d) -> (d)>] epilogue {
  ^bb0(%v: f32, %wv: f32):
    ssm.yield %v : f32
  } -> tensor<?x8xf32>
  return
}

// -----

func.func @norm_c2_output(%x: tensor<?x8xf32>, %w: tensor<8xf32>,
    %y0: tensor<?x9xf32>) {
  // expected-error @+1 {{(C2) output: found 'tensor<?x9xf32>', wanted the shape of 'tensor<?x8xf32>'}}
  %y = ssm.norm rms eps 0.0 groups 2 input(%x : tensor<?x8xf32>)
      epilogue_ins(%w : tensor<8xf32>) outs(%y0 : tensor<?x9xf32>)
      maps [affine_map<(t, d) -> (d)>] epilogue {
  ^bb0(%v: f32, %wv: f32):
    ssm.yield %v : f32
  } -> tensor<?x9xf32>
  return
}

// -----

func.func @norm_c3_maps(%x: tensor<?x8xf32>, %w: tensor<8xf32>,
    %y0: tensor<?x8xf32>) {
  // expected-error @+1 {{(C3) number of epilogue maps: found 0, wanted 1, one for each operand}}
  %y = ssm.norm rms eps 0.0 groups 2 input(%x : tensor<?x8xf32>)
      epilogue_ins(%w : tensor<8xf32>) outs(%y0 : tensor<?x8xf32>)
      maps [] epilogue {
  ^bb0(%v: f32, %wv: f32):
    ssm.yield %v : f32
  } -> tensor<?x8xf32>
  return
}

// -----

func.func @norm_c3_extents(%x: tensor<?x8xf32>, %w: tensor<9xf32>,
    %y0: tensor<?x8xf32>) {
  // expected-error @+1 {{(C3) size of d1 in epilogue_ins 0: found 9, wanted 8 as in the other operands}}
  %y = ssm.norm rms eps 0.0 groups 2 input(%x : tensor<?x8xf32>)
      epilogue_ins(%w : tensor<9xf32>) outs(%y0 : tensor<?x8xf32>)
      maps [affine_map<(t, d) -> (d)>] epilogue {
  ^bb0(%v: f32, %wv: f32):
    ssm.yield %v : f32
  } -> tensor<?x8xf32>
  return
}

// -----

func.func @norm_c3_epilogue(%x: tensor<?x8xf32>, %w: tensor<8xf32>,
    %y0: tensor<?x8xf32>) {
  // expected-error @+1 {{(C3) epilogue arguments: found ('f32'), wanted ('f32', 'f32')}}
  %y = ssm.norm rms eps 0.0 groups 2 input(%x : tensor<?x8xf32>)
      epilogue_ins(%w : tensor<8xf32>) outs(%y0 : tensor<?x8xf32>)
      maps [affine_map<(t, d) -> (d)>] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  } -> tensor<?x8xf32>
  return
}

// -----

func.func @pack_c1_matrix(%w: tensor<48xf32>, %p0: tensor<2x64x32xf32>) {
  // expected-error @+1 {{(C1) weight: found 'tensor<48xf32>', wanted a matrix}}
  %p = ssm.pack weight(%w : tensor<48xf32>)
      outs(%p0 : tensor<2x64x32xf32>) -> tensor<2x64x32xf32>
  return
}

// -----

func.func @pack_c1_depth(%w: tensor<48x64xf32>, %p0: tensor<2x63x32xf32>) {
  // expected-error @+1 {{(C1) packed weight: found 'tensor<2x63x32xf32>', wanted ceil(48/W) x 64 x W with a static W}}
  %p = ssm.pack weight(%w : tensor<48x64xf32>)
      outs(%p0 : tensor<2x63x32xf32>) -> tensor<2x63x32xf32>
  return
}

// -----

func.func @pack_c1_panels(%w: tensor<48x64xf32>, %p0: tensor<1x64x32xf32>) {
  // expected-error @+1 {{(C1) packed weight: found 'tensor<1x64x32xf32>', wanted ceil(48/W) x 64 x W with a static W}}
  %p = ssm.pack weight(%w : tensor<48x64xf32>)
      outs(%p0 : tensor<1x64x32xf32>) -> tensor<1x64x32xf32>
  return
}

// -----

func.func @pack_c1_pairs(%w: tensor<48x64xf32>, %p0: tensor<2x64x32xbf16>) {
  // expected-error @+1 {{(C1) packed weight: found 'tensor<2x64x32xbf16>', wanted ceil(48/W) x ceil(64/2) x W x 2 with a static W}}
  %p = ssm.pack weight(%w : tensor<48x64xf32>)
      outs(%p0 : tensor<2x64x32xbf16>) -> tensor<2x64x32xbf16>
  return
}

// -----

func.func @matmul_c1_panels(%x: tensor<?x64xf32>, %w: tensor<3x64x32xf32>,
    %b: tensor<48xf32>, %y0: tensor<?x48xf32>) {
  // expected-error @+1 {{(C1) packed weight: found 'tensor<3x64x32xf32>', wanted ceil(48/W) x 64 x W with a static W}}
  %y = ssm.matmul input(%x : tensor<?x64xf32>) weight(%w : tensor<3x64x32xf32>)
      epilogue_ins(%b : tensor<48xf32>) outs(%y0 : tensor<?x48xf32>)
      maps [affine_map<(t, n) -> (n)>] epilogue {
  ^bb0(%acc: f32, %bv: f32):
    ssm.yield %acc : f32
  } -> tensor<?x48xf32>
  return
}

// -----

func.func @matmul_c1_width(%x: tensor<?x64xf32>, %w: tensor<2x64x?xf32>,
    %b: tensor<48xf32>, %y0: tensor<?x48xf32>) {
  // expected-error @+1 {{(C1) packed weight: found 'tensor<2x64x?xf32>', wanted ceil(48/W) x 64 x W with a static W}}
  %y = ssm.matmul input(%x : tensor<?x64xf32>) weight(%w : tensor<2x64x?xf32>)
      epilogue_ins(%b : tensor<48xf32>) outs(%y0 : tensor<?x48xf32>)
      maps [affine_map<(t, n) -> (n)>] epilogue {
  ^bb0(%acc: f32, %bv: f32):
    ssm.yield %acc : f32
  } -> tensor<?x48xf32>
  return
}

// -----

func.func @matmul_c2_rows(%x: tensor<2x64xf32>, %w: tensor<2x64x32xf32>,
    %b: tensor<48xf32>, %y0: tensor<3x48xf32>) {
  // expected-error @+1 {{(C2) output: found 'tensor<3x48xf32>', wanted the shape of 'tensor<2x64xf32>' in all dimensions but the last}}
  %y = ssm.matmul input(%x : tensor<2x64xf32>) weight(%w : tensor<2x64x32xf32>)
      epilogue_ins(%b : tensor<48xf32>) outs(%y0 : tensor<3x48xf32>)
      maps [affine_map<(t, n) -> (n)>] epilogue {
  ^bb0(%acc: f32, %bv: f32):
    ssm.yield %acc : f32
  } -> tensor<3x48xf32>
  return
}

// -----

func.func @matmul_c3_bounds(%x: tensor<?x64xf32>, %w: tensor<2x64x32xf32>,
    %b: tensor<48xf32>, %y0: tensor<?x48xf32>) {
  // expected-error @+1 {{(C3) index of epilogue_ins 0 along axis 0: found 48, wanted 0 to 47}}
  %y = ssm.matmul input(%x : tensor<?x64xf32>) weight(%w : tensor<2x64x32xf32>)
      epilogue_ins(%b : tensor<48xf32>) outs(%y0 : tensor<?x48xf32>)
      maps [affine_map<(t, n) -> (n + 1)>] epilogue {
  ^bb0(%acc: f32, %bv: f32):
    ssm.yield %acc : f32
  } -> tensor<?x48xf32>
  return
}

// -----

func.func @matmul_c3_yielded(%x: tensor<?x64xf32>, %w: tensor<2x64x32xf32>,
    %b: tensor<48xf32>, %y0: tensor<?x48xf32>) {
  %y = ssm.matmul input(%x : tensor<?x64xf32>) weight(%w : tensor<2x64x32xf32>)
      epilogue_ins(%b : tensor<48xf32>) outs(%y0 : tensor<?x48xf32>)
      maps [affine_map<(t, n) -> (n)>] epilogue {
  ^bb0(%acc: f32, %bv: f32):
    // expected-error @+1 {{(C3) yielded types: found ('f32', 'f32'), wanted ('f32')}}
    ssm.yield %acc, %bv : f32, f32
  } -> tensor<?x48xf32>
  return
}

// -----

func.func @discretize_rate(%rate: f32, %dt: f32) {
  // expected-error @+1 {{rate: found 3 operands, wanted 1, or 2 if complex}}
  %0:2 = ssm.discretize zoh rate(%rate, %rate, %rate : f32, f32, f32) step(%dt : f32)
      -> decay(f32) gain(f32)
  return
}

// -----

func.func @discretize_step(%rate: f32, %dt: f32) {
  // expected-error @+1 {{step: found 2 operands, wanted 1}}
  %0:2 = ssm.discretize zoh rate(%rate : f32) step(%dt, %dt : f32, f32)
      -> decay(f32) gain(f32)
  return
}

// -----

func.func @discretize_results(%rate: f32, %dt: f32) {
  // expected-error @+1 {{results: found 2 for the decay and 1 for the gain, wanted 1 each, as for the rate}}
  %0:3 = ssm.discretize zoh rate(%rate : f32) step(%dt : f32)
      -> decay(f32, f32) gain(f32)
  return
}

// -----

func.func @discretize_types(%rate: f32, %dt: f64) {
  // expected-error @+1 {{types: found 'f64', wanted 'f32' as the rate}}
  %0:2 = ssm.discretize zoh rate(%rate : f32) step(%dt : f64)
      -> decay(f32) gain(f32)
  return
}

// -----

func.func @conv_c7_lags(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>, %y0: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  // expected-error @+1 {{(C7) kernel map: found affine_map<(d0, d1, d2, d3) -> (d2, -d3 + 3)>, wanted the lag d3 alone as one of the indices, as the number of lags is the kernel's}}
  %y = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
      outs(%y0 : tensor<?x?x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>, kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags ?
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// -----

func.func @conv_c7_first(%u: tensor<?x?x8xf32>, %k: tensor<?x8xf32>, %f: index, %y0: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  // expected-error @+1 {{(C7) first lag: found a value and the number 2, wanted one of them}}
  %y = "ssm.conv"(%u, %k, %f, %y0) <{
      input_map = affine_map<(b, t, c, j) -> (b, t, c)>, kernel_map = affine_map<(b, t, c, j) -> (j, c)>,
      output_map = affine_map<(b, t, c, j) -> (b, t, c)>, epilogue_maps = [], lags = -9223372036854775808 : i64,
      static_first = 2 : i64, operandSegmentSizes = array<i32: 1, 1, 0, 0, 0, 0, 1, 0, 0, 1>}> ({
  ^bb0(%acc: f32):
    "ssm.yield"(%acc) : (f32) -> ()
  }) : (tensor<?x?x8xf32>, tensor<?x8xf32>, index, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// -----

func.func @conv_c8_position(%u: tensor<?x?x8xf32>, %k: tensor<?x8xf32>, %p: index, %y0: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  // expected-error @+1 {{(C8) position: found one without a history, wanted a history}}
  %y = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<?x8xf32>) position(%p : index)
      outs(%y0 : tensor<?x?x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>, kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags ?
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// -----

func.func @conv_c8_history(%u: tensor<?x?x8xf32>, %k: tensor<4x8xf32>, %h: tensor<?x3x8xf32>, %y0: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  // expected-error @+1 {{(C8) history: found one with the lags -3 to 0, wanted a lag above 0}}
  %y = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<4x8xf32>) history(%h : tensor<?x3x8xf32>)
      outs(%y0 : tensor<?x?x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>, kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4 from -3
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// -----

func.func @conv_c9_parts(%u: tensor<?x?x8xf32>, %k: tensor<?x8xf32>, %r: tensor<64x2xf32>, %y0: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  // expected-error @+1 {{(C9) spectrum: found only a part of spectrum, roots and spectrum_lane, wanted all or none}}
  %y = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<?x8xf32>) roots(%r : tensor<64x2xf32>)
      outs(%y0 : tensor<?x?x8xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags ?
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// -----

func.func @conv_c9_lane(%u: tensor<?x?x8xf32>, %k: tensor<?x8xf32>, %r: tensor<64x2xf32>, %s: tensor<1x?x2x16xf32>, %y0: tensor<?x?x8xf32>, %w: tensor<?x?x64xf32>) {
  // expected-error @+1 {{(C9) spectrum_lane: found 1, wanted a channel of the kernel}}
  %y, %w1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<?x8xf32>) spectrum(%s : tensor<1x?x2x16xf32>) roots(%r : tensor<64x2xf32>)
      outs(%y0, %w : tensor<?x?x8xf32>, tensor<?x?x64xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags ?
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } attributes {spectrum_lane = 1 : i64} -> tensor<?x?x8xf32>, tensor<?x?x64xf32>
  return
}

// -----

func.func @conv_c9_shape(%u: tensor<?x?x8xf32>, %k: tensor<?x8xf32>, %r: tensor<64x2xf32>, %s: tensor<1x?x16xf32>, %y0: tensor<?x?x8xf32>, %w: tensor<?x?x64xf32>) {
  // expected-error @+1 {{(C9) spectrum: found 'tensor<1x?x16xf32>', wanted what ssm.spectrum makes of the kernel}}
  %y, %w1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<?x8xf32>) spectrum(%s : tensor<1x?x16xf32>) roots(%r : tensor<64x2xf32>)
      outs(%y0, %w : tensor<?x?x8xf32>, tensor<?x?x64xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags ?
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } attributes {spectrum_lane = 2 : i64} -> tensor<?x?x8xf32>, tensor<?x?x64xf32>
  return
}

// -----

func.func @conv_c10_history(%u: tensor<?x?x8xf32>, %k: tensor<?x8xf32>, %r: tensor<64x2xf32>, %s: tensor<1x?x2x16xf32>, %h: tensor<?x?x8xf32>, %p: index, %y0: tensor<?x?x8xf32>, %w: tensor<?x?x64xf32>, %a: tensor<?x?x96xf32>, %q: tensor<?xi64>) {
  // expected-error @+1 {{(C10) relaxed: wanted a spectrum, a position, a history with its destination, and no lag below 0}}
  %y, %w1, %a1, %q1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<?x8xf32>) spectrum(%s : tensor<1x?x2x16xf32>) roots(%r : tensor<64x2xf32>)
      outs(%y0, %w, %a, %q : tensor<?x?x8xf32>, tensor<?x?x64xf32>, tensor<?x?x96xf32>, tensor<?xi64>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags ?
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } attributes {relaxed, spectrum_lane = 2 : i64} -> tensor<?x?x8xf32>, tensor<?x?x64xf32>, tensor<?x?x96xf32>, tensor<?xi64>
  return
}

// -----

func.func @conv_c10_sums(%u: tensor<?x?x8xf32>, %k: tensor<?x8xf32>, %r: tensor<64x2xf32>, %s: tensor<1x?x2x16xf32>, %h: tensor<?x?x8xf32>, %p: index, %y0: tensor<?x?x8xf32>, %w: tensor<?x?x64xf32>, %a: tensor<?x96xf32>, %q: tensor<?xi64>) {
  // expected-error @+1 {{(C10) partial sums: found 'tensor<?x96xf32>', wanted three dimensions of 'f32'}}
  %y, %h1, %w1, %a1, %q1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<?x8xf32>) history(%h : tensor<?x?x8xf32>) position(%p : index) spectrum(%s : tensor<1x?x2x16xf32>) roots(%r : tensor<64x2xf32>)
      outs(%y0, %h, %w, %a, %q : tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x64xf32>, tensor<?x96xf32>, tensor<?xi64>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags ?
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } attributes {relaxed, spectrum_lane = 2 : i64} -> tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x64xf32>, tensor<?x96xf32>, tensor<?xi64>
  return
}

// -----

func.func @conv_c10_position(%u: tensor<?x?x8xf32>, %k: tensor<?x8xf32>, %r: tensor<64x2xf32>, %s: tensor<1x?x2x16xf32>, %h: tensor<?x?x8xf32>, %p: index, %y0: tensor<?x?x8xf32>, %w: tensor<?x?x64xf32>, %a: tensor<?x?x96xf32>, %q: tensor<?xf32>) {
  // expected-error @+1 {{(C10) partial sums and their position: found 'tensor<?x?x96xf32>' and 'tensor<?xf32>', wanted one row and one i64 for each sequence of 'tensor<?x?x8xf32>'}}
  %y, %h1, %w1, %a1, %q1 = ssm.conv input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<?x8xf32>) history(%h : tensor<?x?x8xf32>) position(%p : index) spectrum(%s : tensor<1x?x2x16xf32>) roots(%r : tensor<64x2xf32>)
      outs(%y0, %h, %w, %a, %q : tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x64xf32>, tensor<?x?x96xf32>, tensor<?xf32>)
      maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
            kernel = affine_map<(b, t, c, j) -> (j, c)>,
            output = affine_map<(b, t, c, j) -> (b, t, c)>} lags ?
      epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  } attributes {relaxed, spectrum_lane = 2 : i64} -> tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x64xf32>, tensor<?x?x96xf32>, tensor<?xf32>
  return
}

// -----

func.func @roots_c1(%r0: tensor<64x3xf32>) -> tensor<64x3xf32> {
  // expected-error @+1 {{(C1) roots: found 'tensor<64x3xf32>', wanted pairs of floating-point numbers, ? x 2}}
  %r = ssm.roots outs(%r0 : tensor<64x3xf32>) -> tensor<64x3xf32>
  return %r : tensor<64x3xf32>
}

// -----

func.func @spectrum_c1(%k: tensor<100x8xf32>, %r: tensor<64x2xf32>, %s0: tensor<1x256x2x16xf32>) {
  // expected-error @+1 {{(C1) lag and lane: found 0 and 0, wanted two dimensions of 'tensor<100x8xf32>'}}
  %s = ssm.spectrum kernel(%k : tensor<100x8xf32>) roots(%r : tensor<64x2xf32>) lag 0 lane 0
      outs(%s0 : tensor<1x256x2x16xf32>) -> tensor<1x256x2x16xf32>
  return
}

// -----

func.func @spectrum_c4_block(%k: tensor<100x8xf32>, %r: tensor<64x2xf32>, %s0: tensor<1x256x2x16xf32>) {
  // expected-error @+1 {{(C4) block: found 100, wanted a power of two, at least 8}}
  %s = ssm.spectrum kernel(%k : tensor<100x8xf32>) roots(%r : tensor<64x2xf32>) lag 0 lane 1
      outs(%s0 : tensor<1x256x2x16xf32>) {block = 100 : i64} -> tensor<1x256x2x16xf32>
  return
}

// -----

func.func @spectrum_c4_threads(%k: tensor<100x8xf32>, %r: tensor<64x2xf32>, %s0: tensor<1x256x2x16xf32>) {
  // expected-error @+1 {{(C4) threads: found 64, wanted a power of two, at most half of a block}}
  %s = ssm.spectrum kernel(%k : tensor<100x8xf32>) roots(%r : tensor<64x2xf32>) lag 0 lane 1
      outs(%s0 : tensor<1x256x2x16xf32>) {block = 64 : i64, threads = 64 : i64} -> tensor<1x256x2x16xf32>
  return
}

// -----

func.func @spectrum_c2(%k: tensor<100x18xf32>, %r: tensor<64x2xf32>, %s0: tensor<1x256x2x16xf32>) {
  // expected-error @+1 {{(C2) spectrum: found 'tensor<1x256x2x16xf32>', wanted the other dimensions of 'tensor<100x18xf32>', then ceil(lanes / W) x places x 2 x W}}
  %s = ssm.spectrum kernel(%k : tensor<100x18xf32>) roots(%r : tensor<64x2xf32>) lag 0 lane 1
      outs(%s0 : tensor<1x256x2x16xf32>) -> tensor<1x256x2x16xf32>
  return
}

// -----

#bte = affine_map<(b, t, e) -> (b, t, e)>
func.func @scan_c11_shape(%a: tensor<8xf32>, %u: tensor<?x?x8xf32>, %y: tensor<?x?x8xf32>, %s: tensor<?x8xf32>,
    %w: tensor<1x1x1x4x1x8xf32>, %r: tensor<1x1x1x4x1x1x8xf32>, %k: tensor<1x1x1x1x1x3x8xf32>, %d: tensor<1x1x2x1x8xf32>) {
  // expected-error @+1 {{(C11) table of the kernel: found shape [1, 1, 1, 1, 1, 3, 8], wanted [1, 1, 1, 1, 1, 4, 8], which agrees with the others}}
  %0:2 = ssm.scan ins(%a, %u : tensor<8xf32>, tensor<?x?x8xf32>)
      tables(%w, %r, %k, %d : tensor<1x1x1x4x1x8xf32>, tensor<1x1x1x4x1x1x8xf32>, tensor<1x1x1x1x1x3x8xf32>, tensor<1x1x2x1x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
      maps {ins = [affine_map<(b, t, e) -> (e)>, #bte], state = affine_map<(b, t, e) -> (b, e)>, output = #bte}
      coefficients {
  ^bb0(%av: f32, %uv: f32):
    ssm.coefficients decay(%av : f32) write(%uv : f32) inputs(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x8xf32>, tensor<?x8xf32>
  return
}

// -----

#bte = affine_map<(b, t, e) -> (b, t, e)>
func.func @scan_c11_inputs(%a: tensor<8xf32>, %u: tensor<?x?x8xf32>, %y: tensor<?x?x8xf32>, %s: tensor<?x8xf32>) {
  // expected-error @+1 {{(C11) tables: found inputs alone, wanted both or neither}}
  %0:2 = ssm.scan ins(%a, %u : tensor<8xf32>, tensor<?x?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
      maps {ins = [affine_map<(b, t, e) -> (e)>, #bte], state = affine_map<(b, t, e) -> (b, e)>, output = #bte}
      coefficients {
  ^bb0(%av: f32, %uv: f32):
    ssm.coefficients decay(%av : f32) write(%uv : f32) inputs(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x8xf32>, tensor<?x8xf32>
  return
}
