// RUN: ssm-opt %s --split-input-file --verify-diagnostics

func.func @attend_c1_to(%q: tensor<?x?x4xf32>, %k: tensor<?x?x4xf32>, %v: tensor<?x?x8xf32>,
    %h: tensor<?x?x4xf32>, %position: index, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C1) to: found affine_map<(d0, d1) -> (d0 + d1)>, wanted one dimension, the token}}
  %y = ssm.attend softmax queries(%q : tensor<?x?x4xf32>) keys(%k : tensor<?x?x4xf32>)
      values(%v : tensor<?x?x8xf32>) position(%position) outs(%y0 : tensor<?x?x8xf32>)
      from affine_map<(t) -> ()> to affine_map<(t, u) -> (t + u)> score {
  ^bb0(%dot: f32, %t: index, %s: index, %e: index):
    ssm.yield %dot : f32
  } attributes {query_maps = [affine_map<(b, t, s, e, z) -> (b, t, z)>],
                key_maps = [affine_map<(b, t, s, e, z) -> (b, s, z)>], score_maps = [],
                value_map = affine_map<(b, t, s, e, z) -> (b, s, e)>,
                output_map = affine_map<(b, t, s, e, z) -> (b, t, e)>} -> tensor<?x?x8xf32>
  return
}

// -----

func.func @attend_c2_output(%q: tensor<?x?x4xf32>, %k: tensor<?x?x4xf32>, %v: tensor<?x?x8xf32>,
    %h: tensor<?x?x4xf32>, %position: index, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C2) output map: found affine_map<(d0, d1, d2, d3, d4) -> (d0, d2, d3)>, wanted d0, d1 and then the dimensions from d3 on}}
  %y = ssm.attend softmax queries(%q : tensor<?x?x4xf32>) keys(%k : tensor<?x?x4xf32>)
      values(%v : tensor<?x?x8xf32>) position(%position) outs(%y0 : tensor<?x?x8xf32>)
      from affine_map<(t) -> ()> to affine_map<(t) -> (t + 1)> score {
  ^bb0(%dot: f32, %t: index, %s: index, %e: index):
    ssm.yield %dot : f32
  } attributes {query_maps = [affine_map<(b, t, s, e, z) -> (b, t, z)>],
                key_maps = [affine_map<(b, t, s, e, z) -> (b, s, z)>], score_maps = [],
                value_map = affine_map<(b, t, s, e, z) -> (b, s, e)>,
                output_map = affine_map<(b, t, s, e, z) -> (b, s, e)>} -> tensor<?x?x8xf32>
  return
}

// -----

func.func @attend_c3_key(%q: tensor<?x?x4xf32>, %k: tensor<?x?x4xf32>, %v: tensor<?x?x8xf32>,
    %h: tensor<?x?x4xf32>, %position: index, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C3) key 0 map: found affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4)>, wanted one that starts with d0, d2 and does not contain d1}}
  %y = ssm.attend softmax queries(%q : tensor<?x?x4xf32>) keys(%k : tensor<?x?x4xf32>)
      values(%v : tensor<?x?x8xf32>) position(%position) outs(%y0 : tensor<?x?x8xf32>)
      from affine_map<(t) -> ()> to affine_map<(t) -> (t + 1)> score {
  ^bb0(%dot: f32, %t: index, %s: index, %e: index):
    ssm.yield %dot : f32
  } attributes {query_maps = [affine_map<(b, t, s, e, z) -> (b, t, z)>],
                key_maps = [affine_map<(b, t, s, e, z) -> (b, t, z)>], score_maps = [],
                value_map = affine_map<(b, t, s, e, z) -> (b, s, e)>,
                output_map = affine_map<(b, t, s, e, z) -> (b, t, e)>} -> tensor<?x?x8xf32>
  return
}

// -----

func.func @attend_c4_histories(%q: tensor<?x?x4xf32>, %k: tensor<?x?x4xf32>, %v: tensor<?x?x8xf32>,
    %h: tensor<?x?x4xf32>, %position: index, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C4) histories: found 1, wanted 2, one for each of keys, values and decays, or none}}
  %y = ssm.attend softmax queries(%q : tensor<?x?x4xf32>) keys(%k : tensor<?x?x4xf32>)
      values(%v : tensor<?x?x8xf32>) histories(%h : tensor<?x?x4xf32>) position(%position) outs(%y0 : tensor<?x?x8xf32>)
      from affine_map<(t) -> ()> to affine_map<(t) -> (t + 1)> score {
  ^bb0(%dot: f32, %t: index, %s: index, %e: index):
    ssm.yield %dot : f32
  } attributes {query_maps = [affine_map<(b, t, s, e, z) -> (b, t, z)>],
                key_maps = [affine_map<(b, t, s, e, z) -> (b, s, z)>], score_maps = [],
                value_map = affine_map<(b, t, s, e, z) -> (b, s, e)>,
                output_map = affine_map<(b, t, s, e, z) -> (b, t, e)>} -> tensor<?x?x8xf32>
  return
}

// -----

func.func @attend_c5_arguments(%q: tensor<?x?x4xf32>, %k: tensor<?x?x4xf32>, %v: tensor<?x?x8xf32>,
    %h: tensor<?x?x4xf32>, %position: index, %y0: tensor<?x?x8xf32>) {
  // expected-error @+1 {{(C5) score: found 3 arguments, wanted 4}}
  %y = ssm.attend softmax queries(%q : tensor<?x?x4xf32>) keys(%k : tensor<?x?x4xf32>)
      values(%v : tensor<?x?x8xf32>) position(%position) outs(%y0 : tensor<?x?x8xf32>)
      from affine_map<(t) -> ()> to affine_map<(t) -> (t + 1)> score {
  ^bb0(%dot: f32, %t: index, %s: index):
    ssm.yield %dot : f32
  } attributes {query_maps = [affine_map<(b, t, s, e, z) -> (b, t, z)>],
                key_maps = [affine_map<(b, t, s, e, z) -> (b, s, z)>], score_maps = [],
                value_map = affine_map<(b, t, s, e, z) -> (b, s, e)>,
                output_map = affine_map<(b, t, s, e, z) -> (b, t, e)>} -> tensor<?x?x8xf32>
  return
}
