// RUN: ssm-opt %s --test-ssm-recurrence-class -o /dev/null | FileCheck %s

// Constant decay per head.
// CHECK-LABEL: scan in @retnet: class D0, keys (n), values (p), lanes (h)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: legal
// CHECK-NEXT:   conv: the read depends on 't'
// CHECK-NEXT:   quadratic: legal
// CHECK-NEXT:   split: legal
func.func @retnet(%d: tensor<6xf32>, %x: tensor<?x?x6x8xf32>, %k: tensor<?x?x6x10xf32>, %q: tensor<?x?x6x10xf32>, %y0: tensor<?x?x6x8xf32>, %s0: tensor<?x6x8x10xf32>) -> tensor<?x?x6x8xf32> {
  %r:2 = ssm.scan ins(%d, %x, %k, %q : tensor<6xf32>, tensor<?x?x6x8xf32>, tensor<?x?x6x10xf32>, tensor<?x?x6x10xf32>)
      outs(%y0, %s0 : tensor<?x?x6x8xf32>, tensor<?x6x8x10xf32>)
      maps {ins = [affine_map<(b, t, h, p, n) -> (h)>, affine_map<(b, t, h, p, n) -> (b, t, h, p)>, affine_map<(b, t, h, p, n) -> (b, t, h, n)>, affine_map<(b, t, h, p, n) -> (b, t, h, n)>],
            state = affine_map<(b, t, h, p, n) -> (b, h, p, n)>, output = affine_map<(b, t, h, p, n) -> (b, t, h, p)>}
      coefficients {
  ^bb0(%dv: f32, %xv: f32, %kv: f32, %qv: f32):
    %w = arith.mulf %xv, %kv : f32
    ssm.coefficients decay(%dv : f32) write(%w : f32) read(%qv : f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "p", "n"]} -> tensor<?x?x6x8xf32>, tensor<?x6x8x10xf32>
  return %r#0 : tensor<?x?x6x8xf32>
}

// Scalar decay per head and token, keys shared by heads.
// CHECK-LABEL: scan in @mamba2: class D1, keys (n), values (p), lanes (h)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: legal
// CHECK-NEXT:   conv: the decay depends on 't'
// CHECK-NEXT:   quadratic: legal
// CHECK-NEXT:   split: legal
func.func @mamba2(%d: tensor<?x?x6xf32>, %x: tensor<?x?x6x8xf32>, %k: tensor<?x?x10xf32>, %q: tensor<?x?x10xf32>, %y0: tensor<?x?x6x8xf32>, %s0: tensor<?x6x8x10xf32>) -> tensor<?x?x6x8xf32> {
  %r:2 = ssm.scan ins(%d, %x, %k, %q : tensor<?x?x6xf32>, tensor<?x?x6x8xf32>, tensor<?x?x10xf32>, tensor<?x?x10xf32>)
      outs(%y0, %s0 : tensor<?x?x6x8xf32>, tensor<?x6x8x10xf32>)
      maps {ins = [affine_map<(b, t, h, p, n) -> (b, t, h)>, affine_map<(b, t, h, p, n) -> (b, t, h, p)>, affine_map<(b, t, h, p, n) -> (b, t, n)>, affine_map<(b, t, h, p, n) -> (b, t, n)>],
            state = affine_map<(b, t, h, p, n) -> (b, h, p, n)>, output = affine_map<(b, t, h, p, n) -> (b, t, h, p)>}
      coefficients {
  ^bb0(%dv: f32, %xv: f32, %kv: f32, %qv: f32):
    %w = arith.mulf %xv, %kv : f32
    ssm.coefficients decay(%dv : f32) write(%w : f32) read(%qv : f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "p", "n"]} -> tensor<?x?x6x8xf32>, tensor<?x6x8x10xf32>
  return %r#0 : tensor<?x?x6x8xf32>
}

// Decay along the key axis.
// CHECK-LABEL: scan in @gla: class D2, keys (k), values (v), lanes (h)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: legal
// CHECK-NEXT:   conv: the decay depends on 't'
// CHECK-NEXT:   quadratic: the decay depends on the key axis 'k', so scores are no product times a mask
// CHECK-NEXT:   split: legal
func.func @gla(%d: tensor<?x?x6x8xf32>, %x: tensor<?x?x6x10xf32>, %k: tensor<?x?x6x8xf32>, %q: tensor<?x?x6x8xf32>, %y0: tensor<?x?x6x10xf32>, %s0: tensor<?x6x8x10xf32>) -> tensor<?x?x6x10xf32> {
  %r:2 = ssm.scan ins(%d, %x, %k, %q : tensor<?x?x6x8xf32>, tensor<?x?x6x10xf32>, tensor<?x?x6x8xf32>, tensor<?x?x6x8xf32>)
      outs(%y0, %s0 : tensor<?x?x6x10xf32>, tensor<?x6x8x10xf32>)
      maps {ins = [affine_map<(b, t, h, k, v) -> (b, t, h, k)>, affine_map<(b, t, h, k, v) -> (b, t, h, v)>, affine_map<(b, t, h, k, v) -> (b, t, h, k)>, affine_map<(b, t, h, k, v) -> (b, t, h, k)>],
            state = affine_map<(b, t, h, k, v) -> (b, h, k, v)>, output = affine_map<(b, t, h, k, v) -> (b, t, h, v)>}
      coefficients {
  ^bb0(%dv: f32, %xv: f32, %kv: f32, %qv: f32):
    %w = arith.mulf %xv, %kv : f32
    ssm.coefficients decay(%dv : f32) write(%w : f32) read(%qv : f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "k", "v"]} -> tensor<?x?x6x10xf32>, tensor<?x6x8x10xf32>
  return %r#0 : tensor<?x?x6x10xf32>
}

// Decay along the key axis and the channels.
// CHECK-LABEL: scan in @mamba: class D3, keys (n), values (), lanes (e)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: the decay depends on both the key axis 'n' and 'e', which the read lacks
// CHECK-NEXT:   conv: the decay depends on 't'
// CHECK-NEXT:   quadratic: the decay depends on the key axis 'n', so scores are no product times a mask
// CHECK-NEXT:   split: legal
func.func @mamba(%dt: tensor<?x?x6xf32>, %a: tensor<6x8xf32>, %u: tensor<?x?x6xf32>, %k: tensor<?x?x8xf32>, %q: tensor<?x?x8xf32>, %y0: tensor<?x?x6xf32>, %s0: tensor<?x6x8xf32>) -> tensor<?x?x6xf32> {
  %r:2 = ssm.scan ins(%dt, %a, %u, %k, %q : tensor<?x?x6xf32>, tensor<6x8xf32>, tensor<?x?x6xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>)
      outs(%y0, %s0 : tensor<?x?x6xf32>, tensor<?x6x8xf32>)
      maps {ins = [affine_map<(b, t, e, n) -> (b, t, e)>, affine_map<(b, t, e, n) -> (e, n)>, affine_map<(b, t, e, n) -> (b, t, e)>, affine_map<(b, t, e, n) -> (b, t, n)>, affine_map<(b, t, e, n) -> (b, t, n)>],
            state = affine_map<(b, t, e, n) -> (b, e, n)>, output = affine_map<(b, t, e, n) -> (b, t, e)>}
      coefficients {
  ^bb0(%dtv: f32, %av: f32, %uv: f32, %kv: f32, %qv: f32):
    %x = arith.mulf %dtv, %av : f32
    %d = math.exp %x : f32
    %du = arith.mulf %dtv, %uv : f32
    %w = arith.mulf %du, %kv : f32
    ssm.coefficients decay(%d : f32) write(%w : f32) read(%qv : f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "e", "n"]} -> tensor<?x?x6xf32>, tensor<?x6x8xf32>
  return %r#0 : tensor<?x?x6xf32>
}

// No read: the state is the output.
// CHECK-LABEL: scan in @hgrn: class D3, keys (), values (), lanes (e)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: no dimension of the state is summed by a read, so a chunk has no matrix product
// CHECK-NEXT:   conv: the decay depends on 't'
// CHECK-NEXT:   quadratic: no dimension of the state is summed by a read, so there are no scores
// CHECK-NEXT:   split: legal
func.func @hgrn(%d: tensor<?x?x6xf32>, %u: tensor<?x?x6xf32>, %y0: tensor<?x?x6xf32>, %s0: tensor<?x6xf32>) -> tensor<?x?x6xf32> {
  %r:2 = ssm.scan ins(%d, %u : tensor<?x?x6xf32>, tensor<?x?x6xf32>)
      outs(%y0, %s0 : tensor<?x?x6xf32>, tensor<?x6xf32>)
      maps {ins = [affine_map<(b, t, e) -> (b, t, e)>, affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>, output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%dv: f32, %uv: f32):
    ssm.coefficients decay(%dv : f32) write(%uv : f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "e"]} -> tensor<?x?x6xf32>, tensor<?x6xf32>
  return %r#0 : tensor<?x?x6xf32>
}

// An erase term, no decay.
// CHECK-LABEL: scan in @deltanet: class D0d, keys (k), values (v), lanes (h)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: legal
// CHECK-NEXT:   conv: the erase term depends on 't'
// CHECK-NEXT:   quadratic: erase terms mix the key axis 'k' between tokens
// CHECK-NEXT:   split: combining two parts takes products of matrices over 'k'
func.func @deltanet(%e: tensor<?x?x6x8xf32>, %x: tensor<?x?x6x10xf32>, %q: tensor<?x?x6x8xf32>, %y0: tensor<?x?x6x10xf32>, %s0: tensor<?x6x8x10xf32>) -> tensor<?x?x6x10xf32> {
  %r:2 = ssm.scan ins(%e, %x, %q : tensor<?x?x6x8xf32>, tensor<?x?x6x10xf32>, tensor<?x?x6x8xf32>)
      outs(%y0, %s0 : tensor<?x?x6x10xf32>, tensor<?x6x8x10xf32>)
      maps {ins = [affine_map<(b, t, h, k, v) -> (b, t, h, k)>, affine_map<(b, t, h, k, v) -> (b, t, h, v)>, affine_map<(b, t, h, k, v) -> (b, t, h, k)>],
            state = affine_map<(b, t, h, k, v) -> (b, h, k, v)>, output = affine_map<(b, t, h, k, v) -> (b, t, h, v)>}
      coefficients {
  ^bb0(%ev: f32, %xv: f32, %qv: f32):
    %a = arith.negf %ev : f32
    %w = arith.mulf %xv, %ev : f32
    ssm.coefficients write(%w : f32) read(%qv : f32) erase(%ev, %a : f32, f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "k", "v"]} -> tensor<?x?x6x10xf32>, tensor<?x6x8x10xf32>
  return %r#0 : tensor<?x?x6x10xf32>
}

// An erase term and a scalar decay.
// CHECK-LABEL: scan in @gated_deltanet: class D1d, keys (k), values (v), lanes (h)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: legal
// CHECK-NEXT:   conv: the decay depends on 't'
// CHECK-NEXT:   quadratic: erase terms mix the key axis 'k' between tokens
// CHECK-NEXT:   split: combining two parts takes products of matrices over 'k'
func.func @gated_deltanet(%g: tensor<?x?x6xf32>, %e: tensor<?x?x6x8xf32>, %x: tensor<?x?x6x10xf32>, %q: tensor<?x?x6x8xf32>, %y0: tensor<?x?x6x10xf32>, %s0: tensor<?x6x8x10xf32>) -> tensor<?x?x6x10xf32> {
  %r:2 = ssm.scan ins(%g, %e, %x, %q : tensor<?x?x6xf32>, tensor<?x?x6x8xf32>, tensor<?x?x6x10xf32>, tensor<?x?x6x8xf32>)
      outs(%y0, %s0 : tensor<?x?x6x10xf32>, tensor<?x6x8x10xf32>)
      maps {ins = [affine_map<(b, t, h, k, v) -> (b, t, h)>, affine_map<(b, t, h, k, v) -> (b, t, h, k)>, affine_map<(b, t, h, k, v) -> (b, t, h, v)>, affine_map<(b, t, h, k, v) -> (b, t, h, k)>],
            state = affine_map<(b, t, h, k, v) -> (b, h, k, v)>, output = affine_map<(b, t, h, k, v) -> (b, t, h, v)>}
      coefficients {
  ^bb0(%gv: f32, %ev: f32, %xv: f32, %qv: f32):
    %a = arith.negf %ev : f32
    %w = arith.mulf %xv, %ev : f32
    ssm.coefficients decay(%gv : f32) write(%w : f32) read(%qv : f32) erase(%ev, %a : f32, f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "k", "v"]} -> tensor<?x?x6x10xf32>, tensor<?x6x8x10xf32>
  return %r#0 : tensor<?x?x6x10xf32>
}

// An erase term and a decay along the key axis.
// CHECK-LABEL: scan in @rwkv7: class D2d, keys (k), values (v), lanes (h)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: legal
// CHECK-NEXT:   conv: the decay depends on 't'
// CHECK-NEXT:   quadratic: erase terms mix the key axis 'k' between tokens
// CHECK-NEXT:   split: combining two parts takes products of matrices over 'k'
func.func @rwkv7(%g: tensor<?x?x6x10xf32>, %e: tensor<?x?x6x10xf32>, %x: tensor<?x?x6x8xf32>, %q: tensor<?x?x6x10xf32>, %y0: tensor<?x?x6x8xf32>, %s0: tensor<?x6x8x10xf32>) -> tensor<?x?x6x8xf32> {
  %r:2 = ssm.scan ins(%g, %e, %x, %q : tensor<?x?x6x10xf32>, tensor<?x?x6x10xf32>, tensor<?x?x6x8xf32>, tensor<?x?x6x10xf32>)
      outs(%y0, %s0 : tensor<?x?x6x8xf32>, tensor<?x6x8x10xf32>)
      maps {ins = [affine_map<(b, t, h, v, k) -> (b, t, h, k)>, affine_map<(b, t, h, v, k) -> (b, t, h, k)>, affine_map<(b, t, h, v, k) -> (b, t, h, v)>, affine_map<(b, t, h, v, k) -> (b, t, h, k)>],
            state = affine_map<(b, t, h, v, k) -> (b, h, v, k)>, output = affine_map<(b, t, h, v, k) -> (b, t, h, v)>}
      coefficients {
  ^bb0(%gv: f32, %ev: f32, %xv: f32, %qv: f32):
    %a = arith.negf %ev : f32
    %w = arith.mulf %xv, %ev : f32
    ssm.coefficients decay(%gv : f32) write(%w : f32) read(%qv : f32) erase(%ev, %a : f32, f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "v", "k"]} -> tensor<?x?x6x8xf32>, tensor<?x6x8x10xf32>
  return %r#0 : tensor<?x?x6x8xf32>
}

// Time-invariant and diagonal.
// CHECK-LABEL: scan in @s4d: class I, keys (n), values (), lanes (h)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: legal
// CHECK-NEXT:   conv: legal
// CHECK-NEXT:   quadratic: nothing but the input depends on 't', so scores would be those of a convolution
// CHECK-NEXT:   split: legal
func.func @s4d(%ar: tensor<6x8xf32>, %ai: tensor<6x8xf32>, %b: tensor<6x8xf32>, %u: tensor<?x?x6xf32>, %cr: tensor<6x8xf32>, %ci: tensor<6x8xf32>, %y0: tensor<?x?x6xf32>, %s0: tensor<?x6x8xf32>, %s1: tensor<?x6x8xf32>) -> tensor<?x?x6xf32> {
  %r:3 = ssm.scan complex ins(%ar, %ai, %b, %u, %cr, %ci : tensor<6x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>, tensor<?x?x6xf32>, tensor<6x8xf32>, tensor<6x8xf32>)
      outs(%y0, %s0, %s1 : tensor<?x?x6xf32>, tensor<?x6x8xf32>, tensor<?x6x8xf32>)
      maps {ins = [affine_map<(b, t, h, n) -> (h, n)>, affine_map<(b, t, h, n) -> (h, n)>, affine_map<(b, t, h, n) -> (h, n)>, affine_map<(b, t, h, n) -> (b, t, h)>, affine_map<(b, t, h, n) -> (h, n)>, affine_map<(b, t, h, n) -> (h, n)>],
            state = affine_map<(b, t, h, n) -> (b, h, n)>, output = affine_map<(b, t, h, n) -> (b, t, h)>}
      coefficients {
  ^bb0(%arv: f32, %aiv: f32, %bv: f32, %uv: f32, %crv: f32, %civ: f32):
    %w = arith.mulf %bv, %uv : f32
    %zero = arith.constant 0.0 : f32
    ssm.coefficients decay(%arv, %aiv : f32, f32) write(%w, %zero : f32, f32) read(%crv, %civ : f32, f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "n"]} -> tensor<?x?x6xf32>, tensor<?x6x8xf32>, tensor<?x6x8xf32>
  return %r#0 : tensor<?x?x6xf32>
}

// Time-invariant, without a read.
// CHECK-LABEL: scan in @lru: class I, keys (), values (), lanes (p)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: legal
// CHECK-NEXT:   conv: legal
// CHECK-NEXT:   quadratic: nothing but the input depends on 't', so scores would be those of a convolution
// CHECK-NEXT:   split: legal
func.func @lru(%ar: tensor<6xf32>, %ai: tensor<6xf32>, %ur: tensor<?x?x6xf32>, %ui: tensor<?x?x6xf32>, %y0: tensor<?x?x6xf32>, %y1: tensor<?x?x6xf32>, %s0: tensor<?x6xf32>, %s1: tensor<?x6xf32>) -> tensor<?x?x6xf32> {
  %r:4 = ssm.scan complex ins(%ar, %ai, %ur, %ui : tensor<6xf32>, tensor<6xf32>, tensor<?x?x6xf32>, tensor<?x?x6xf32>)
      outs(%y0, %y1, %s0, %s1 : tensor<?x?x6xf32>, tensor<?x?x6xf32>, tensor<?x6xf32>, tensor<?x6xf32>)
      maps {ins = [affine_map<(b, t, p) -> (p)>, affine_map<(b, t, p) -> (p)>, affine_map<(b, t, p) -> (b, t, p)>, affine_map<(b, t, p) -> (b, t, p)>],
            state = affine_map<(b, t, p) -> (b, p)>, output = affine_map<(b, t, p) -> (b, t, p)>}
      coefficients {
  ^bb0(%arv: f32, %aiv: f32, %urv: f32, %uiv: f32):
    ssm.coefficients decay(%arv, %aiv : f32, f32) write(%urv, %uiv : f32, f32)
  } epilogue {
  ^bb0(%o0: f32, %o1: f32):
    ssm.yield %o0, %o1 : f32, f32
  } attributes {dim_names = ["b", "t", "p"]} -> tensor<?x?x6xf32>, tensor<?x?x6xf32>, tensor<?x6xf32>, tensor<?x6xf32>
  return %r#0 : tensor<?x?x6xf32>
}

// Time-invariant, diagonal plus low rank.
// CHECK-LABEL: scan in @s4: class Id, keys (n), values (), lanes (h)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: legal
// CHECK-NEXT:   conv: legal
// CHECK-NEXT:   quadratic: nothing but the input depends on 't', so scores would be those of a convolution
// CHECK-NEXT:   split: combining two parts takes products of matrices over 'n'
func.func @s4(%a: tensor<6x8xf32>, %p: tensor<6x8xf32>, %q: tensor<6x8xf32>, %b: tensor<6x8xf32>, %u: tensor<?x?x6xf32>, %c: tensor<6x8xf32>, %y0: tensor<?x?x6xf32>, %s0: tensor<?x6x8xf32>) -> tensor<?x?x6xf32> {
  %r:2 = ssm.scan ins(%a, %p, %q, %b, %u, %c : tensor<6x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>, tensor<6x8xf32>, tensor<?x?x6xf32>, tensor<6x8xf32>)
      outs(%y0, %s0 : tensor<?x?x6xf32>, tensor<?x6x8xf32>)
      maps {ins = [affine_map<(b, t, h, n) -> (h, n)>, affine_map<(b, t, h, n) -> (h, n)>, affine_map<(b, t, h, n) -> (h, n)>, affine_map<(b, t, h, n) -> (h, n)>, affine_map<(b, t, h, n) -> (b, t, h)>, affine_map<(b, t, h, n) -> (h, n)>],
            state = affine_map<(b, t, h, n) -> (b, h, n)>, output = affine_map<(b, t, h, n) -> (b, t, h)>}
      coefficients {
  ^bb0(%av: f32, %pv: f32, %qv: f32, %bv: f32, %uv: f32, %cv: f32):
    %w = arith.mulf %bv, %uv : f32
    ssm.coefficients decay(%av : f32) write(%w : f32) read(%cv : f32) erase(%pv, %qv : f32, f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "n"]} -> tensor<?x?x6xf32>, tensor<?x6x8xf32>
  return %r#0 : tensor<?x?x6xf32>
}

// Time-invariant and dense.
// CHECK-LABEL: scan in @hippo_lti: class Id, keys (), values (h), lanes (n)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: legal
// CHECK-NEXT:   conv: legal
// CHECK-NEXT:   quadratic: nothing but the input depends on 't', so scores would be those of a convolution
// CHECK-NEXT:   split: combining two parts takes products of dense matrices
func.func @hippo_lti(%a: tensor<8x8xf32>, %b: tensor<8xf32>, %u: tensor<?x?x6xf32>, %y0: tensor<?x?x6x8xf32>, %s0: tensor<?x6x8xf32>) -> tensor<?x?x6x8xf32> {
  %r:2 = ssm.scan ins(%a, %b, %u : tensor<8x8xf32>, tensor<8xf32>, tensor<?x?x6xf32>)
      outs(%y0, %s0 : tensor<?x?x6x8xf32>, tensor<?x6x8xf32>)
      maps {ins = [affine_map<(b, t, h, n, m) -> (n, m)>, affine_map<(b, t, h, n, m) -> (n)>, affine_map<(b, t, h, n, m) -> (b, t, h)>],
            state = affine_map<(b, t, h, n, m) -> (b, h, n)>, output = affine_map<(b, t, h, n, m) -> (b, t, h, n)>} dense [3, 4]
      coefficients {
  ^bb0(%av: f32, %bv: f32, %uv: f32):
    %w = arith.mulf %bv, %uv : f32
    ssm.coefficients write(%w : f32) dense(%av : f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "n", "m"]} -> tensor<?x?x6x8xf32>, tensor<?x6x8xf32>
  return %r#0 : tensor<?x?x6x8xf32>
}

// Dense, a function of time.
// CHECK-LABEL: scan in @hippo_legs: class Ld, keys (), values (h), lanes (n)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: the dense transition depends on 't'
// CHECK-NEXT:   conv: the dense transition depends on 't'
// CHECK-NEXT:   quadratic: the dense transition depends on 't'
// CHECK-NEXT:   split: combining two parts takes products of dense matrices
func.func @hippo_legs(%a: tensor<8x8xf32>, %g: tensor<?xf32>, %b: tensor<8xf32>, %u: tensor<?x?x6xf32>, %y0: tensor<?x?x6x8xf32>, %s0: tensor<?x6x8xf32>) -> tensor<?x?x6x8xf32> {
  %r:2 = ssm.scan ins(%a, %g, %b, %u : tensor<8x8xf32>, tensor<?xf32>, tensor<8xf32>, tensor<?x?x6xf32>)
      outs(%y0, %s0 : tensor<?x?x6x8xf32>, tensor<?x6x8xf32>)
      maps {ins = [affine_map<(b, t, h, n, m) -> (n, m)>, affine_map<(b, t, h, n, m) -> (t)>, affine_map<(b, t, h, n, m) -> (n)>, affine_map<(b, t, h, n, m) -> (b, t, h)>],
            state = affine_map<(b, t, h, n, m) -> (b, h, n)>, output = affine_map<(b, t, h, n, m) -> (b, t, h, n)>} dense [3, 4]
      coefficients {
  ^bb0(%av: f32, %gv: f32, %bv: f32, %uv: f32):
    %w = arith.mulf %bv, %uv : f32
    %x = arith.mulf %av, %gv : f32
    ssm.coefficients write(%w : f32) dense(%x : f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "n", "m"]} -> tensor<?x?x6x8xf32>, tensor<?x6x8xf32>
  return %r#0 : tensor<?x?x6x8xf32>
}

// The input in the decay, a constant read.
// CHECK-LABEL: scan in @liquid: class D3, keys (n), values (), lanes (h)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: the decay depends on the key axis 'n' and the state has no value axis, so a chunk's products have one column
// CHECK-NEXT:   conv: the decay depends on 't'
// CHECK-NEXT:   quadratic: the decay depends on the key axis 'n', so scores are no product times a mask
// CHECK-NEXT:   split: legal
func.func @liquid(%a: tensor<6x8xf32>, %u: tensor<?x?x6xf32>, %c: tensor<6x8xf32>, %y0: tensor<?x?x6xf32>, %s0: tensor<?x6x8xf32>) -> tensor<?x?x6xf32> {
  %r:2 = ssm.scan ins(%a, %u, %c : tensor<6x8xf32>, tensor<?x?x6xf32>, tensor<6x8xf32>)
      outs(%y0, %s0 : tensor<?x?x6xf32>, tensor<?x6x8xf32>)
      maps {ins = [affine_map<(b, t, h, n) -> (h, n)>, affine_map<(b, t, h, n) -> (b, t, h)>, affine_map<(b, t, h, n) -> (h, n)>],
            state = affine_map<(b, t, h, n) -> (b, h, n)>, output = affine_map<(b, t, h, n) -> (b, t, h)>}
      coefficients {
  ^bb0(%av: f32, %uv: f32, %cv: f32):
    %d = arith.mulf %av, %uv : f32
    ssm.coefficients decay(%d : f32) write(%uv : f32) read(%cv : f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "n"]} -> tensor<?x?x6xf32>, tensor<?x6x8xf32>
  return %r#0 : tensor<?x?x6xf32>
}

// Time-invariant but for a reset.
// CHECK-LABEL: scan in @documents: class D3, keys (n), values (), lanes (h)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: the decay depends on the key axis 'n' and the state has no value axis, so a chunk's products have one column
// CHECK-NEXT:   conv: the reset depends on 't'
// CHECK-NEXT:   quadratic: the decay depends on the key axis 'n', so scores are no product times a mask
// CHECK-NEXT:   split: legal
func.func @documents(%a: tensor<8xf32>, %s: tensor<?x?xf32>, %u: tensor<?x?x6xf32>, %c: tensor<6x8xf32>, %y0: tensor<?x?x6xf32>, %s0: tensor<?x6x8xf32>) -> tensor<?x?x6xf32> {
  %r:2 = ssm.scan ins(%a, %s, %u, %c : tensor<8xf32>, tensor<?x?xf32>, tensor<?x?x6xf32>, tensor<6x8xf32>)
      outs(%y0, %s0 : tensor<?x?x6xf32>, tensor<?x6x8xf32>)
      maps {ins = [affine_map<(b, t, h, n) -> (n)>, affine_map<(b, t, h, n) -> (b, t)>, affine_map<(b, t, h, n) -> (b, t, h)>, affine_map<(b, t, h, n) -> (h, n)>],
            state = affine_map<(b, t, h, n) -> (b, h, n)>, output = affine_map<(b, t, h, n) -> (b, t, h)>}
      coefficients {
  ^bb0(%av: f32, %sv: f32, %uv: f32, %cv: f32):
    %zero = arith.constant 0.0 : f32
    %starts = arith.cmpf une, %sv, %zero : f32
    ssm.coefficients decay(%av : f32) write(%uv : f32) read(%cv : f32) reset(%starts)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "n"]} -> tensor<?x?x6xf32>, tensor<?x6x8xf32>
  return %r#0 : tensor<?x?x6xf32>
}

// Reversed in time.
// CHECK-LABEL: scan in @backwards: class I, keys (n), values (), lanes (h)
// CHECK-NEXT:   step: the recurrence runs backwards along 't', so the first token needs the last
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: legal
// CHECK-NEXT:   conv: legal
// CHECK-NEXT:   quadratic: nothing but the input depends on 't', so scores would be those of a convolution
// CHECK-NEXT:   split: legal
func.func @backwards(%a: tensor<6x8xf32>, %u: tensor<?x?x6xf32>, %c: tensor<6x8xf32>, %y0: tensor<?x?x6xf32>, %s0: tensor<?x6x8xf32>) -> tensor<?x?x6xf32> {
  %r:2 = ssm.scan reverse ins(%a, %u, %c : tensor<6x8xf32>, tensor<?x?x6xf32>, tensor<6x8xf32>)
      outs(%y0, %s0 : tensor<?x?x6xf32>, tensor<?x6x8xf32>)
      maps {ins = [affine_map<(b, t, h, n) -> (h, n)>, affine_map<(b, t, h, n) -> (b, t, h)>, affine_map<(b, t, h, n) -> (h, n)>],
            state = affine_map<(b, t, h, n) -> (b, h, n)>, output = affine_map<(b, t, h, n) -> (b, t, h)>}
      coefficients {
  ^bb0(%av: f32, %uv: f32, %cv: f32):
    ssm.coefficients decay(%av : f32) write(%uv : f32) read(%cv : f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "n"]} -> tensor<?x?x6xf32>, tensor<?x6x8xf32>
  return %r#0 : tensor<?x?x6xf32>
}

// A write that is no product of a constant and the input.
// CHECK-LABEL: scan in @mixed_write: class D3, keys (n), values (), lanes (h)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: the decay depends on the key axis 'n' and the state has no value axis, so a chunk's products have one column
// CHECK-NEXT:   conv: the write mixes 't' with the key axis 'n', so that it is no sum of constants times inputs
// CHECK-NEXT:   quadratic: the decay depends on the key axis 'n', so scores are no product times a mask
// CHECK-NEXT:   split: legal
func.func @mixed_write(%a: tensor<6x8xf32>, %b: tensor<6x8xf32>, %u: tensor<?x?x6xf32>, %c: tensor<6x8xf32>, %y0: tensor<?x?x6xf32>, %s0: tensor<?x6x8xf32>) -> tensor<?x?x6xf32> {
  %r:2 = ssm.scan ins(%a, %b, %u, %c : tensor<6x8xf32>, tensor<6x8xf32>, tensor<?x?x6xf32>, tensor<6x8xf32>)
      outs(%y0, %s0 : tensor<?x?x6xf32>, tensor<?x6x8xf32>)
      maps {ins = [affine_map<(b, t, h, n) -> (h, n)>, affine_map<(b, t, h, n) -> (h, n)>, affine_map<(b, t, h, n) -> (b, t, h)>, affine_map<(b, t, h, n) -> (h, n)>],
            state = affine_map<(b, t, h, n) -> (b, h, n)>, output = affine_map<(b, t, h, n) -> (b, t, h)>}
      coefficients {
  ^bb0(%av: f32, %bv: f32, %uv: f32, %cv: f32):
    %x = arith.mulf %bv, %uv : f32
    %w = math.tanh %x : f32
    ssm.coefficients decay(%av : f32) write(%w : f32) read(%cv : f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "n"]} -> tensor<?x?x6xf32>, tensor<?x6x8xf32>
  return %r#0 : tensor<?x?x6xf32>
}

// A step that is the same at every token, as an attribute says.
// CHECK-LABEL: scan in @known_constant: class I, keys (n), values (), lanes (h)
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: legal
// CHECK-NEXT:   conv: legal
// CHECK-NEXT:   quadratic: nothing but the input depends on 't', so scores would be those of a convolution
// CHECK-NEXT:   split: legal
func.func @known_constant(%dt: tensor<?x?x6xf32>, %a: tensor<6x8xf32>, %u: tensor<?x?x6xf32>, %c: tensor<6x8xf32>, %y0: tensor<?x?x6xf32>, %s0: tensor<?x6x8xf32>) -> tensor<?x?x6xf32> {
  %r:2 = ssm.scan ins(%dt, %a, %u, %c : tensor<?x?x6xf32>, tensor<6x8xf32>, tensor<?x?x6xf32>, tensor<6x8xf32>)
      outs(%y0, %s0 : tensor<?x?x6xf32>, tensor<?x6x8xf32>)
      maps {ins = [affine_map<(b, t, h, n) -> (b, t, h)>, affine_map<(b, t, h, n) -> (h, n)>, affine_map<(b, t, h, n) -> (b, t, h)>, affine_map<(b, t, h, n) -> (h, n)>],
            state = affine_map<(b, t, h, n) -> (b, h, n)>, output = affine_map<(b, t, h, n) -> (b, t, h)>}
      coefficients {
  ^bb0(%dtv: f32, %av: f32, %uv: f32, %cv: f32):
    %d = arith.mulf %dtv, %av : f32
    ssm.coefficients decay(%d : f32) write(%uv : f32) read(%cv : f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "n"], test.time_invariant = array<i64: 0>} -> tensor<?x?x6xf32>, tensor<?x6x8xf32>
  return %r#0 : tensor<?x?x6xf32>
}

// A sum over keys of which each state is kept as a remainder.
// CHECK-LABEL: scan in @remainder: class D0, keys (n), values (h), lanes ()
// CHECK-NEXT:   step: legal
// CHECK-NEXT:   scan: legal
// CHECK-NEXT:   chunk: the state is kept as a remainder, which is not linear in it
// CHECK-NEXT:   conv: the state is kept as a remainder, which is not linear in it
// CHECK-NEXT:   quadratic: the state is kept as a remainder, which is not linear in it
// CHECK-NEXT:   split: the state is kept as a remainder
func.func @remainder(%u: tensor<?x?x6xf32>, %c: tensor<8xf32>, %y0: tensor<?x?x6xf32>, %s0: tensor<?x6x8xf32>) -> tensor<?x?x6xf32> {
  %r:2 = ssm.scan ins(%u, %c : tensor<?x?x6xf32>, tensor<8xf32>)
      outs(%y0, %s0 : tensor<?x?x6xf32>, tensor<?x6x8xf32>)
      maps {ins = [affine_map<(b, t, h, n) -> (b, t, h)>, affine_map<(b, t, h, n) -> (n)>],
            state = affine_map<(b, t, h, n) -> (b, h, n)>, output = affine_map<(b, t, h, n) -> (b, t, h)>}
      coefficients {
  ^bb0(%uv: f32, %cv: f32):
    ssm.coefficients write(%uv : f32) read(%cv : f32)
  } epilogue {
  ^bb0(%o0: f32):
    ssm.yield %o0 : f32
  } attributes {dim_names = ["b", "t", "h", "n"], period = 2.0 : f64} -> tensor<?x?x6xf32>, tensor<?x6x8xf32>
  return %r#0 : tensor<?x?x6xf32>
}
