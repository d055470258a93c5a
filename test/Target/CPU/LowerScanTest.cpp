//===- LowerScanTest.cpp - Recurrences on vectors -------------------------===//

#include "LoweringCheck.h"
#include "gtest/gtest.h"

using namespace ssmc::test;

/// A channel has a state of `keys` values; softplus step, skip and gate.
static const char *selective = R"(
  #bte = affine_map<(b, t, e, n) -> (b, t, e)>
  #btn = affine_map<(b, t, e, n) -> (b, t, n)>
  #e = affine_map<(b, t, e, n) -> (e)>
  func.func @f(%dt: memref<?x?x$Exf32>, %bias: memref<$Exf32>,
               %a: memref<$Ex$Nxf32>, %u: memref<?x?x$Exf32>,
               %bt: memref<?x?x$Nxf32, strided<[?, ?, 1], offset: ?>>,
               %ct: memref<?x?x$Nxf32>, %d: memref<$Exf32>,
               %z: memref<?x?x$Exf32, strided<[?, ?, 1], offset: ?>>,
               %s: memref<?x$Ex$Nxf32>, %y: memref<?x?x$Exf32>) {
    ssm.scan
        ins(%dt, %bias, %a, %u, %bt, %ct : memref<?x?x$Exf32>, memref<$Exf32>,
            memref<$Ex$Nxf32>, memref<?x?x$Exf32>,
            memref<?x?x$Nxf32, strided<[?, ?, 1], offset: ?>>,
            memref<?x?x$Nxf32>)
        initial(%s : memref<?x$Ex$Nxf32>)
        epilogue_ins(%u, %d, %z : memref<?x?x$Exf32>, memref<$Exf32>,
            memref<?x?x$Exf32, strided<[?, ?, 1], offset: ?>>)
        outs(%y, %s : memref<?x?x$Exf32>, memref<?x$Ex$Nxf32>)
        maps {ins = [#bte, #e, affine_map<(b, t, e, n) -> (e, n)>, #bte, #btn,
                     #btn],
              epilogue = [#bte, #e, #bte],
              state = affine_map<(b, t, e, n) -> (b, e, n)>, output = #bte}
        coefficients {
    ^bb0(%p: f32, %pb: f32, %av: f32, %uv: f32, %bv: f32, %cv: f32):
      %sum = arith.addf %p, %pb : f32
      %ex = math.exp %sum : f32
      %step = math.log1p %ex : f32
      %x = arith.mulf %step, %av : f32
      %decay = math.exp %x : f32
      %du = arith.mulf %step, %uv : f32
      %write = arith.mulf %du, %bv : f32
      ssm.coefficients decay(%decay : f32) write(%write : f32) read(%cv : f32)
    } epilogue {
    ^bb0(%o: f32, %uv: f32, %dv: f32, %zv: f32):
      %one = arith.constant 1.0 : f32
      %skip = arith.mulf %uv, %dv : f32
      %v = arith.addf %o, %skip : f32
      %neg = arith.negf %zv : f32
      %ez = math.exp %neg : f32
      %den = arith.addf %ez, %one : f32
      %gate = arith.divf %zv, %den : f32
      %out = arith.mulf %v, %gate : f32
      ssm.yield %out : f32
    }
    return
  })";

// Sums of growing states: errors are relative to the largest.
static constexpr double tolerance = 2e-4;

TEST(LowerScan, SelectiveChannels) {
  for (int64_t channels : {1, 5, 15, 16, 17, 48, 515})
    checkLowering(selective, {{{"E", channels}, {"N", 16}}, 2, 7});
  for (int64_t bits : {128, 256})
    checkLowering(selective, {{{"E", 53}, {"N", 16}}, 2, 7, bits});
}

TEST(LowerScan, SelectiveKeys) {
  for (int64_t keys : {1, 3, 17, 64})
    checkLowering(selective, {{{"E", 21}, {"N", keys}}, 1, 7}, tolerance);
}

TEST(LowerScan, SelectiveTokens) {
  for (int64_t tokens : {0, 1, 2, 33, 65})
    checkLowering(selective, {{{"E", 37}, {"N", 16}}, 3, tokens}, tolerance);
  checkLowering(selective, {{{"E", 37}, {"N", 16}}, 0, 5});
}

/// One decay a head; value lanes; groups of heads share keys and queries.
static const char *heads = R"(
  #bth = affine_map<(b, t, h, p, n) -> (b, t, h)>
  #bthp = affine_map<(b, t, h, p, n) -> (b, t, h, p)>
  #btgn = affine_map<(b, t, h, p, n) -> (b, t, h floordiv 2, n)>
  #h = affine_map<(b, t, h, p, n) -> (h)>
  func.func @f(%dt: memref<?x?x4xf32>, %a: memref<4xf32>,
               %x: memref<?x?x4x$Pxf32>, %bt: memref<?x?x2x$Nxf32>,
               %ct: memref<?x?x2x$Nxf32>, %d: memref<4xf32>,
               %s0: memref<?x4x$Px$Nxf32>, %y: memref<?x?x4x$Pxf32>,
               %s1: memref<?x4x$Px$Nxf32>) {
    ssm.scan
        ins(%dt, %a, %x, %bt, %ct : memref<?x?x4xf32>, memref<4xf32>,
            memref<?x?x4x$Pxf32>, memref<?x?x2x$Nxf32>, memref<?x?x2x$Nxf32>)
        initial(%s0 : memref<?x4x$Px$Nxf32>)
        epilogue_ins(%x, %d : memref<?x?x4x$Pxf32>, memref<4xf32>)
        outs(%y, %s1 : memref<?x?x4x$Pxf32>, memref<?x4x$Px$Nxf32>)
        maps {ins = [#bth, #h, #bthp, #btgn, #btgn], epilogue = [#bthp, #h],
              state = affine_map<(b, t, h, p, n) -> (b, h, p, n)>,
              output = #bthp}
        coefficients {
    ^bb0(%step: f32, %av: f32, %xv: f32, %bv: f32, %cv: f32):
      %q = arith.mulf %step, %step : f32
      %ea = math.exp %av : f32
      %e = arith.mulf %q, %ea : f32
      %ne = arith.negf %e : f32
      %decay = math.exp %ne : f32
      %du = arith.mulf %step, %xv : f32
      %write = arith.mulf %du, %bv : f32
      ssm.coefficients decay(%decay : f32) write(%write : f32) read(%cv : f32)
    } epilogue {
    ^bb0(%o: f32, %xv: f32, %dv: f32):
      %skip = arith.mulf %xv, %dv : f32
      %v = arith.addf %o, %skip : f32
      ssm.yield %v : f32
    }
    return
  })";

TEST(LowerScan, Heads) {
  for (int64_t p : {1, 16, 20, 64})
    for (int64_t n : {3, 16, 128})
      checkLowering(heads, {{{"P", p}, {"N", n}}, 2, 5}, tolerance);
  for (int64_t tokens : {0, 1, 33, 65})
    checkLowering(heads, {{{"P", 32}, {"N", 24}}, 1, tokens}, tolerance);
  for (int64_t bits : {128, 256})
    checkLowering(heads, {{{"P", 20}, {"N", 17}}, 1, 34, bits}, tolerance);
}

/// A decay for each key; several queries read one state; no initial state.
static const char *keyDecay = R"(
  #btk = affine_map<(b, t, p, k, c) -> (b, t, k)>
  #btp = affine_map<(b, t, p, k, c) -> (b, t, p)>
  #btck = affine_map<(b, t, p, k, c) -> (b, t, c, k)>
  func.func @f(%g: memref<?x?x$Kxf32>, %k: memref<?x?x$Kxf32>,
               %v: memref<?x?x$Pxf32>, %q: memref<?x?x$Cx$Kxf32>,
               %y: memref<?x?x$Cx$Pxf32>, %s: memref<?x$Kx$Pxf32>) {
    ssm.scan
        ins(%g, %k, %v, %q : memref<?x?x$Kxf32>, memref<?x?x$Kxf32>,
            memref<?x?x$Pxf32>, memref<?x?x$Cx$Kxf32>)
        outs(%y, %s : memref<?x?x$Cx$Pxf32>, memref<?x$Kx$Pxf32>)
        maps {ins = [#btk, #btk, #btp, #btck], epilogue = [],
              state = affine_map<(b, t, p, k, c) -> (b, k, p)>,
              output = affine_map<(b, t, p, k, c) -> (b, t, c, p)>}
        coefficients {
    ^bb0(%gv: f32, %kv: f32, %vv: f32, %qv: f32):
      %a = math.absf %gv : f32
      %n = arith.negf %a : f32
      %decay = math.exp %n : f32
      %write = arith.mulf %kv, %vv : f32
      %two = arith.constant 2.0 : f32
      %read = arith.mulf %qv, %two : f32
      ssm.coefficients decay(%decay : f32) write(%write : f32)
          read(%read : f32)
    } epilogue {
    ^bb0(%o: f32):
      ssm.yield %o : f32
    }
    return
  })";

TEST(LowerScan, KeyDecayAndCopies) {
  for (int64_t copies : {1, 3, 6})
    for (int64_t keys : {1, 5, 16, 40})
      checkLowering(keyDecay, {{{"P", 19}, {"K", keys}, {"C", copies}}, 2, 9},
                    tolerance);
  for (int64_t tokens : {0, 1, 33, 65})
    checkLowering(keyDecay, {{{"P", 16}, {"K", 20}, {"C", 2}}, 1, tokens},
                  tolerance);
}

/// The state is the output: a gated recurrence with resets, backwards or not.
static std::string makeGated(bool reverse) {
  return std::string(R"(
  #bte = affine_map<(b, t, e) -> (b, t, e)>
  func.func @f(%x: memref<?x?x$Exf32>, %g: memref<?x?x$Exf32>,
               %r: memref<?x?xi1>, %seg: memref<?x?xi32>,
               %y: memref<?x?x$Exf32>, %s: memref<?x$Exf32>) {
    ssm.scan )") +
         (reverse ? "reverse " : "") + R"(
        ins(%x, %g, %r, %seg : memref<?x?x$Exf32>, memref<?x?x$Exf32>,
            memref<?x?xi1>, memref<?x?xi32>)
        initial(%s : memref<?x$Exf32>)
        epilogue_ins(%x : memref<?x?x$Exf32>)
        outs(%y, %s : memref<?x?x$Exf32>, memref<?x$Exf32>)
        maps {ins = [#bte, #bte, affine_map<(b, t, e) -> (b, t)>,
                     affine_map<(b, t, e) -> (b, t)>], epilogue = [#bte],
              state = affine_map<(b, t, e) -> (b, e)>, output = #bte}
        coefficients {
    ^bb0(%xv: f32, %gv: f32, %rv: i1, %sv: i32):
      %z = arith.constant 0 : i32
      %first = arith.cmpi eq, %sv, %z : i32
      %reset = arith.andi %rv, %first : i1
      %q = arith.mulf %gv, %gv : f32
      %w = arith.mulf %q, %xv : f32
      ssm.coefficients decay(%q : f32) write(%w : f32) reset(%reset)
    } epilogue {
    ^bb0(%o: f32, %xv: f32):
      %v = arith.addf %o, %xv : f32
      ssm.yield %v : f32
    }
    return
  })";
}

TEST(LowerScan, StateIsTheOutput) {
  for (bool reverse : {false, true}) {
    std::string text = makeGated(reverse);
    for (int64_t channels : {1, 15, 16, 17, 48, 515})
      checkLowering(text, {{{"E", channels}}, 3, 11});
    for (int64_t tokens : {0, 1, 2, 65})
      checkLowering(text, {{{"E", 24}}, 1, tokens});
  }
}

/// States kept as remainders, which a read sums over.
static const char *remainders = R"(
  #bte = affine_map<(b, t, e, n) -> (b, t, e)>
  #btn = affine_map<(b, t, e, n) -> (b, t, n)>
  func.func @f(%x: memref<?x?x$Exf32>, %k: memref<?x?x$Nxf32>, %s: memref<?x$Ex$Nxf32>,
               %y: memref<?x?x$Exf32>) {
    ssm.scan ins(%x, %k : memref<?x?x$Exf32>, memref<?x?x$Nxf32>)
        initial(%s : memref<?x$Ex$Nxf32>)
        outs(%y, %s : memref<?x?x$Exf32>, memref<?x$Ex$Nxf32>)
        maps {ins = [#bte, #btn], epilogue = [],
              state = affine_map<(b, t, e, n) -> (b, e, n)>, output = #bte}
        coefficients {
    ^bb0(%xv: f32, %kv: f32):
      %w = arith.mulf %xv, %kv : f32
      ssm.coefficients write(%w : f32) read(%kv : f32)
    } epilogue {
    ^bb0(%o: f32):
      ssm.yield %o : f32
    } attributes {period = 3.1415926535897931e-01 : f64}
    return
  })";

TEST(LowerScan, Remainders) {
  for (int64_t tokens : {0, 1, 9, 65})
    for (int64_t keys : {1, 5, 40})
      checkLowering(remainders, {{{"E", 19}, {"N", keys}}, 2, tokens}, tolerance);
}

/// Complex states, channels in lanes, modes as keys; the real part of the read.
static const char *complexModes = R"(
  #hn = affine_map<(b, t, h, n) -> (h, n)>
  #bth = affine_map<(b, t, h, n) -> (b, t, h)>
  func.func @f(%ar: memref<$Hx$Nxf32>, %ai: memref<$Hx$Nxf32>,
               %cr: memref<$Hx$Nxf32>, %ci: memref<$Hx$Nxf32>,
               %u: memref<?x?x$Hxf32>, %y: memref<?x?x$Hxf32>,
               %sr: memref<?x$Hx$Nxf32>, %si: memref<?x$Hx$Nxf32>) {
    ssm.scan complex
        ins(%ar, %ai, %cr, %ci, %u : memref<$Hx$Nxf32>, memref<$Hx$Nxf32>,
            memref<$Hx$Nxf32>, memref<$Hx$Nxf32>, memref<?x?x$Hxf32>)
        initial(%sr, %si : memref<?x$Hx$Nxf32>, memref<?x$Hx$Nxf32>)
        outs(%y, %sr, %si : memref<?x?x$Hxf32>, memref<?x$Hx$Nxf32>,
             memref<?x$Hx$Nxf32>)
        maps {ins = [#hn, #hn, #hn, #hn, #bth], epilogue = [],
              state = affine_map<(b, t, h, n) -> (b, h, n)>, output = #bth}
        coefficients {
    ^bb0(%dr0: f32, %di0: f32, %rr: f32, %ri: f32, %uv: f32):
      %half = arith.constant 0.6 : f32
      %zero = arith.constant 0.0 : f32
      %dr = arith.mulf %dr0, %half : f32
      %di = arith.mulf %di0, %half : f32
      ssm.coefficients decay(%dr, %di : f32, f32) write(%uv, %zero : f32, f32)
          read(%rr, %ri : f32, f32)
    } epilogue {
    ^bb0(%o: f32):
      ssm.yield %o : f32
    }
    return
  })";

TEST(LowerScan, ComplexModes) {
  for (int64_t channels : {1, 16, 19})
    for (int64_t modes : {1, 8, 11, 32})
      checkLowering(complexModes, {{{"H", channels}, {"N", modes}}, 2, 9},
                    tolerance);
  checkLowering(complexModes, {{{"H", 33}, {"N", 16}}, 1, 70}, tolerance);
}

/// Complex states as two outputs, backwards.
static const char *complexState = R"(
  #n = affine_map<(b, t, n) -> (n)>
  #btn = affine_map<(b, t, n) -> (b, t, n)>
  func.func @f(%ar: memref<$Nxf32>, %ai: memref<$Nxf32>,
               %ur: memref<?x?x$Nxf32>, %ui: memref<?x?x$Nxf32>,
               %yr: memref<?x?x$Nxf32>, %yi: memref<?x?x$Nxf32>,
               %sr: memref<?x$Nxf32>, %si: memref<?x$Nxf32>) {
    ssm.scan reverse complex
        ins(%ar, %ai, %ur, %ui : memref<$Nxf32>, memref<$Nxf32>,
            memref<?x?x$Nxf32>, memref<?x?x$Nxf32>)
        outs(%yr, %yi, %sr, %si : memref<?x?x$Nxf32>, memref<?x?x$Nxf32>,
             memref<?x$Nxf32>, memref<?x$Nxf32>)
        maps {ins = [#n, #n, #btn, #btn], epilogue = [],
              state = affine_map<(b, t, n) -> (b, n)>, output = #btn}
        coefficients {
    ^bb0(%dr0: f32, %di0: f32, %wr: f32, %wi: f32):
      %half = arith.constant 0.6 : f32
      %dr = arith.mulf %dr0, %half : f32
      %di = arith.mulf %di0, %half : f32
      ssm.coefficients decay(%dr, %di : f32, f32) write(%wr, %wi : f32, f32)
    } epilogue {
    ^bb0(%o: f32, %i: f32):
      ssm.yield %o, %i : f32, f32
    }
    return
  })";

TEST(LowerScan, ComplexStates) {
  for (int64_t states : {1, 16, 40})
    for (int64_t tokens : {0, 1, 33})
      checkLowering(complexState, {{{"N", states}}, 2, tokens});
}

/// The delta rule: what a key holds is erased before it is written.
static const char *delta = R"(
  #bthk = affine_map<(b, t, h, p, k) -> (b, t, h, k)>
  #bthp = affine_map<(b, t, h, p, k) -> (b, t, h, p)>
  #bth = affine_map<(b, t, h, p, k) -> (b, t, h)>
  func.func @f(%q: memref<?x?x2x$Kxf32>, %k: memref<?x?x2x$Kxf32>,
               %v: memref<?x?x2x$Pxf32>, %beta: memref<?x?x2xf32>,
               %r: memref<?x?xi1>, %s0: memref<?x2x$Kx$Pxf32>,
               %y: memref<?x?x2x$Pxf32>, %s1: memref<?x2x$Kx$Pxf32>) {
    ssm.scan
        ins(%q, %k, %v, %beta, %r : memref<?x?x2x$Kxf32>, memref<?x?x2x$Kxf32>,
            memref<?x?x2x$Pxf32>, memref<?x?x2xf32>, memref<?x?xi1>)
        initial(%s0 : memref<?x2x$Kx$Pxf32>)
        outs(%y, %s1 : memref<?x?x2x$Pxf32>, memref<?x2x$Kx$Pxf32>)
        maps {ins = [#bthk, #bthk, #bthp, #bth,
                     affine_map<(b, t, h, p, k) -> (b, t)>], epilogue = [],
              state = affine_map<(b, t, h, p, k) -> (b, h, k, p)>,
              output = #bthp}
        coefficients {
    ^bb0(%qv: f32, %kv: f32, %vv: f32, %bv: f32, %rv: i1):
      %scale = arith.constant 0.15 : f32
      %ks = arith.mulf %kv, %scale : f32
      %bk = arith.mulf %bv, %ks : f32
      %right = arith.negf %bk : f32
      %write = arith.mulf %bk, %vv : f32
      ssm.coefficients write(%write : f32) read(%qv : f32)
          erase(%ks, %right : f32, f32) reset(%rv)
    } epilogue {
    ^bb0(%o: f32):
      ssm.yield %o : f32
    }
    return
  })";

TEST(LowerScan, DeltaRule) {
  for (int64_t keys : {1, 3, 16, 17, 64})
    for (int64_t p : {1, 16, 20})
      checkLowering(delta, {{{"P", p}, {"K", keys}}, 2, 9}, tolerance);
  for (int64_t tokens : {0, 1, 33, 65})
    checkLowering(delta, {{{"P", 16}, {"K", 24}}, 1, tokens}, tolerance);
}

/// Erase pairs without a read: keys are dimensions of the output.
static const char *erasedState = R"(
  #btk = affine_map<(b, t, p, k) -> (b, t, k)>
  #btp = affine_map<(b, t, p, k) -> (b, t, p)>
  func.func @f(%k: memref<?x?x$Kxf32>, %v: memref<?x?x$Pxf32>,
               %y: memref<?x?x$Kx$Pxf32>, %s: memref<?x$Kx$Pxf32>) {
    ssm.scan
        ins(%k, %v : memref<?x?x$Kxf32>, memref<?x?x$Pxf32>)
        initial(%s : memref<?x$Kx$Pxf32>)
        outs(%y, %s : memref<?x?x$Kx$Pxf32>, memref<?x$Kx$Pxf32>)
        maps {ins = [#btk, #btp], epilogue = [],
              state = affine_map<(b, t, p, k) -> (b, k, p)>,
              output = affine_map<(b, t, p, k) -> (b, t, k, p)>}
        keys [3] coefficients {
    ^bb0(%kv: f32, %vv: f32):
      %scale = arith.constant 0.15 : f32
      %ks = arith.mulf %kv, %scale : f32
      %right = arith.negf %ks : f32
      %write = arith.mulf %ks, %vv : f32
      ssm.coefficients write(%write : f32) erase(%ks, %right : f32, f32)
    } epilogue {
    ^bb0(%o: f32):
      ssm.yield %o : f32
    }
    return
  })";

TEST(LowerScan, ErasedStateIsTheOutput) {
  for (int64_t keys : {3, 16, 20})
    for (int64_t p : {5, 16})
      checkLowering(erasedState, {{{"P", p}, {"K", keys}}, 2, 9}, tolerance);
}

static std::string replaced(std::string text, const std::string &from,
                            const std::string &to) {
  return text.replace(text.find(from), from.size(), to);
}

/// In segments of time, of which some are short or empty.
static std::string cut(const std::string &text, int segments) {
  return replaced(text, "\n    return",
                  " attributes {schedule = #ssm.schedule<mode = scan, "
                  "segments = " +
                      std::to_string(segments) + ">}\n    return");
}

TEST(LowerScan, Segments) {
  // States that do not grow, for more tokens.
  std::string decaying = replaced(selective, "%x = arith.mulf %step, %av : f32",
                                  R"(%aa = math.absf %av : f32
      %na = arith.negf %aa : f32
      %x = arith.mulf %step, %na : f32)");
  for (int64_t tokens : {0, 1, 33, 97})
    checkLowering(cut(decaying, 3), {{{"E", 21}, {"N", 5}}, 2, tokens},
                  tolerance);
  checkLowering(cut(decaying, 5), {{{"E", 70}, {"N", 17}}, 1, 161}, tolerance);
  checkLowering(cut(heads, 3), {{{"P", 20}, {"N", 24}}, 2, 97}, tolerance);
  checkLowering(cut(keyDecay, 4), {{{"P", 19}, {"K", 5}, {"C", 2}}, 1, 130},
                tolerance);
  checkLowering(cut(complexModes, 3), {{{"H", 19}, {"N", 11}}, 2, 97},
                tolerance);
  for (int64_t bits : {128, 256})
    checkLowering(cut(decaying, 3), {{{"E", 21}, {"N", 16}}, 1, 97, bits},
                  tolerance);
}

TEST(LowerScan, SegmentsOfStatesThatAreOutputs) {
  for (bool reverse : {false, true})
    for (int64_t channels : {1, 17, 70})
      for (int64_t tokens : {0, 2, 100})
        checkLowering(cut(replaced(makeGated(reverse), " reset(%reset)", ""), 3),
                      {{{"E", channels}}, 2, tokens});
  checkLowering(cut(complexState, 4), {{{"N", 19}}, 2, 130});
}

/// Long sequences of few channels are cut without being told to.
TEST(LowerScan, SegmentsByDefault) {
  for (int64_t tokens : {8191, 8193})
    checkLowering(replaced(makeGated(false), " reset(%reset)", ""),
                  {{{"E", 3}}, 1, tokens}, tolerance);
}

/// What is erased mixes keys, and a reset clears NaN: such a state is not cut,
/// whoever asks for it.
TEST(LowerScan, NoSegmentsOfErasedStates) {
  checkLowering(cut(makeGated(false), 3), {{{"E", 17}}, 2, 100});
  checkLowering(cut(delta, 3), {{{"P", 16}, {"K", 17}}, 1, 65}, tolerance);
}

/// One channel: nothing to put into lanes.
TEST(LowerScan, Doubles) {
  std::string text = heads;
  for (size_t at; (at = text.find("f32")) != std::string::npos;)
    text.replace(at, 3, "f64");
  for (int64_t p : {1, 8, 12})
    checkLowering(text, {{{"P", p}, {"N", 17}}, 1, 35}, 1e-11);
}

/// Lanes over keys, where they are contiguous.
TEST(LowerScan, SingleToken) {
  std::string copies = keyDecay;
  auto replace = [&](const std::string &from, const std::string &to) {
    for (size_t at = 0; (at = copies.find(from, at)) != std::string::npos;
         at += to.size())
      copies.replace(at, from.size(), to);
  };
  replace("memref<?x$Kx$Pxf32>", "memref<?x$Px$Kxf32>");
  replace("(b, k, p)", "(b, p, k)");
  for (int64_t keys : {16, 19, 100}) {
    checkLowering(heads, {{{"P", 20}, {"N", keys}}, 2, 1}, tolerance);
    checkLowering(heads, {{{"P", 20}, {"N", keys}}, 2, 1, 256}, tolerance);
    checkLowering(selective, {{{"E", 70}, {"N", keys}}, 2, 1}, tolerance);
    checkLowering(complexModes, {{{"H", 70}, {"N", keys}}, 2, 1}, tolerance);
    for (int64_t c : {1, 3})
      checkLowering(copies, {{{"P", 19}, {"K", keys}, {"C", c}}, 2, 1},
                    tolerance);
  }
}
