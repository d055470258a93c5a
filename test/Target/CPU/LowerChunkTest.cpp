//===- LowerChunkTest.cpp - Recurrences by products of matrices -----------===//

#include "LoweringCheck.h"
#include "gtest/gtest.h"
#include <utility>

using namespace ssmc::test;

// Sums over keys and tokens: errors are relative to the largest.
static constexpr double tolerance = 2e-4;

static std::string replaceAll(std::string text, const std::string &from,
                              const std::string &to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos;
       at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

/// One decay a head; groups of heads share keys and queries; skip connection.
static const char *heads = R"(
  #bth = affine_map<(b, t, h, p, n) -> (b, t, h)>
  #bthp = affine_map<(b, t, h, p, n) -> (b, t, h, p)>
  #btgn = affine_map<(b, t, h, p, n) -> (b, t, h floordiv 2, n)>
  #h = affine_map<(b, t, h, p, n) -> (h)>
  func.func @f(%dt: memref<?x?x4xf32>, %a: memref<4xf32>,
               %x: memref<?x?x4x$Pxf32, strided<[?, ?, ?, 1], offset: ?>>,
               %bt: memref<?x?x2x$Nxf32>, %ct: memref<?x?x2x$Nxf32>,
               %d: memref<4xf32>, %s0: memref<?x4x$Px$Nxf32>,
               %y: memref<?x?x4x$Pxf32>, %s1: memref<?x4x$Px$Nxf32>) {
    ssm.scan
        ins(%dt, %a, %x, %bt, %ct : memref<?x?x4xf32>, memref<4xf32>,
            memref<?x?x4x$Pxf32, strided<[?, ?, ?, 1], offset: ?>>,
            memref<?x?x2x$Nxf32>, memref<?x?x2x$Nxf32>)
        initial(%s0 : memref<?x4x$Px$Nxf32>)
        epilogue_ins(%x, %d : memref<?x?x4x$Pxf32, strided<[?, ?, ?, 1], offset: ?>>,
            memref<4xf32>)
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
      %xb = arith.mulf %xv, %bv : f32
      %write = arith.mulf %step, %xb : f32
      ssm.coefficients decay(%decay : f32) write(%write : f32) read(%cv : f32)
    } epilogue {
    ^bb0(%o: f32, %xv: f32, %dv: f32):
      %skip = arith.mulf %xv, %dv : f32
      %v = arith.addf %o, %skip : f32
      ssm.yield %v : f32
    } attributes {schedule = #ssm.schedule<mode = chunk, chunk = $Q>}
    return
  })";

TEST(LowerChunk, HeadsTokens) {
  for (int64_t tokens : {0, 1, 7, 64, 65, 200})
    checkLowering(heads, {{{"P", 20}, {"N", 17}, {"Q", 64}}, 2, tokens},
                  tolerance);
}

TEST(LowerChunk, HeadsSizes) {
  for (auto [p, n] : {std::pair(2, 1), std::pair(64, 3), std::pair(37, 40)})
    checkLowering(heads, {{{"P", p}, {"N", n}, {"Q", 32}}, 1, 37}, tolerance);
  checkLowering(heads, {{{"P", 24}, {"N", 72}, {"Q", 64}}, 1, 70}, tolerance);
  checkLowering(heads, {{{"P", 300}, {"N", 5}, {"Q", 1}}, 1, 20}, tolerance);
  checkLowering(heads, {{{"P", 8}, {"N", 5}, {"Q", 200}}, 1, 220}, tolerance);
  checkLowering(heads, {{{"P", 8}, {"N", 5}, {"Q", 64}}, 0, 5}, tolerance);
}

TEST(LowerChunk, HeadsVectorBits) {
  for (int64_t bits : {128, 256})
    checkLowering(heads, {{{"P", 37}, {"N", 19}, {"Q", 64}}, 1, 133, bits},
                  tolerance);
}

TEST(LowerChunk, HeadsReversed) {
  std::string text = replaceAll(heads, "ssm.scan", "ssm.scan reverse");
  for (int64_t tokens : {0, 130})
    checkLowering(text, {{{"P", 19}, {"N", 17}, {"Q", 64}}, 2, tokens},
                  tolerance);
}

TEST(LowerChunk, HeadsDouble) {
  std::string text = replaceAll(heads, "f32", "f64");
  for (int64_t bits : {128, 256, 512})
    checkLowering(text, {{{"P", 11}, {"N", 17}, {"Q", 64}}, 1, 75, bits},
                  1e-11);
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
      %scale = arith.constant $G.0 : f32
      %x = arith.mulf %n, %scale : f32
      %decay = math.exp %x : f32
      %product = arith.mulf %kv, %vv : f32
      %two = arith.constant 2.0 : f32
      %half = arith.divf %product, %two : f32
      %write = arith.negf %half : f32
      %read = arith.mulf %qv, %two : f32
      ssm.coefficients decay(%decay : f32) write(%write : f32)
          read(%read : f32)
    } epilogue {
    ^bb0(%o: f32):
      ssm.yield %o : f32
    } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 64>}
    return
  })";

TEST(LowerChunk, KeyDecayTokens) {
  for (int64_t tokens : {0, 7, 64, 200})
    checkLowering(keyDecay,
                  {{{"P", 19}, {"K", 21}, {"C", 1}, {"G", 1}}, 2, tokens},
                  tolerance);
}

TEST(LowerChunk, KeyDecaySizes) {
  for (auto [keys, copies] :
       {std::pair(1, 1), std::pair(5, 3), std::pair(40, 6)})
    checkLowering(keyDecay,
                  {{{"P", 35}, {"K", keys}, {"C", copies}, {"G", 1}}, 1, 37},
                  tolerance);
  checkLowering(keyDecay, {{{"P", 70}, {"K", 66}, {"C", 1}, {"G", 1}}, 1, 40},
                tolerance);
}

/// Products of decays below the smallest number, and close to one.
TEST(LowerChunk, KeyDecayStrength) {
  for (int64_t strength : {0, 200})
    checkLowering(keyDecay,
                  {{{"P", 16}, {"K", 17}, {"C", 2}, {"G", strength}}, 1, 100},
                  tolerance);
}

TEST(LowerChunk, KeyDecayVectorBits) {
  for (int64_t bits : {128, 256})
    checkLowering(keyDecay,
                  {{{"P", 19}, {"K", 21}, {"C", 2}, {"G", 1}}, 1, 133, bits},
                  tolerance);
  std::string text = replaceAll(keyDecay, "f32", "f64");
  for (int64_t bits : {128, 256, 512})
    checkLowering(text, {{{"P", 5}, {"K", 9}, {"C", 1}, {"G", 1}}, 1, 75, bits},
                  1e-11);
}

/// The same decay at every token, of either sign; or none.
static std::string makeConstant(bool decays) {
  return std::string(R"(
  #bthk = affine_map<(b, t, h, k, p) -> (b, t, h, k)>
  #bthp = affine_map<(b, t, h, k, p) -> (b, t, h, p)>
  func.func @f(%q: memref<?x?x3x$Kxf32>, %k: memref<?x?x3x$Kxf32>,
               %v: memref<?x?x3x$Pxf32>, %g: memref<3xf32>,
               %y: memref<?x?x3x$Pxf32>, %s: memref<?x3x$Kx$Pxf32>) {
    ssm.scan
        ins(%q, %k, %v, %g : memref<?x?x3x$Kxf32>, memref<?x?x3x$Kxf32>,
            memref<?x?x3x$Pxf32>, memref<3xf32>)
        initial(%s : memref<?x3x$Kx$Pxf32>)
        outs(%y, %s : memref<?x?x3x$Pxf32>, memref<?x3x$Kx$Pxf32>)
        maps {ins = [#bthk, #bthk, #bthp,
                     affine_map<(b, t, h, k, p) -> (h)>], epilogue = [],
              state = affine_map<(b, t, h, k, p) -> (b, h, k, p)>,
              output = #bthp}
        coefficients {
    ^bb0(%qv: f32, %kv: f32, %vv: f32, %gv: f32):
      %write = arith.mulf %kv, %vv : f32
      ssm.coefficients )") +
         (decays ? "decay(%gv : f32) " : "") + R"(write(%write : f32)
          read(%qv : f32)
    } epilogue {
    ^bb0(%o: f32):
      ssm.yield %o : f32
    } attributes {schedule = #ssm.schedule<mode = chunk>}
    return
  })";
}

TEST(LowerChunk, ConstantDecay) {
  for (bool decays : {false, true})
    for (int64_t tokens : {1, 130})
      checkLowering(makeConstant(decays), {{{"P", 21}, {"K", 13}}, 2, tokens},
                    tolerance);
}

/// A value of one token, or the query of another, is not a number.
static const char *notNumbers = R"(
  #btk = affine_map<(b, t, k, p) -> (b, t, k)>
  #btp = affine_map<(b, t, k, p) -> (b, t, p)>
  #bt = affine_map<(b, t, k, p) -> (b, t)>
  func.func @f(%q: memref<?x?x6xf32>, %k: memref<?x?x6xf32>,
               %v: memref<?x?x20xf32>, %n: memref<?x?xi32> {test.max = 25 : i32},
               %g: memref<?x?x6xf32>, %y: memref<?x?x20xf32>,
               %s: memref<?x6x20xf32>) {
    ssm.scan
        ins(%q, %k, %v, %n, %g : memref<?x?x6xf32>, memref<?x?x6xf32>,
            memref<?x?x20xf32>, memref<?x?xi32>, memref<?x?x6xf32>)
        initial(%s : memref<?x6x20xf32>)
        outs(%y, %s : memref<?x?x20xf32>, memref<?x6x20xf32>)
        maps {ins = [#btk, #btk, #btp, #bt, #btk], epilogue = [],
              state = affine_map<(b, t, k, p) -> (b, k, p)>, output = #btp}
        coefficients {
    ^bb0(%qv: f32, %kv: f32, %vv: f32, %nv: i32, %gv: f32):
      %nan = arith.constant 0x7FC00000 : f32
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c2 = arith.constant 2 : i32
      %is0 = arith.cmpi eq, %nv, %c0 : i32
      %is1 = arith.cmpi eq, %nv, %c1 : i32
      %is2 = arith.cmpi eq, %nv, %c2 : i32
      %value = arith.select %is0, %nan, %vv : f32
      %query = arith.select %is1, %nan, %qv : f32
      %keyed = arith.select %is2, %nan, %kv : f32
      %write = arith.mulf %keyed, %value : f32
      ssm.coefficients $DECAY write(%write : f32) read(%query : f32)
    } epilogue {
    ^bb0(%o: f32):
      ssm.yield %o : f32
    } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 64>}
    return
  })";

TEST(LowerChunk, NotNumbersStayWhereTheyAre) {
  for (const char *decay : {"", "decay(%gv : f32)"})
    checkLowering(replaceAll(notNumbers, "$DECAY", decay), {{}, 6, 30});
}

/// The delta rule with a decay. DECAY, LEFT, RIGHT, WRITE and STATE are filled
/// in; `%a` is a second vector of keys.
static const char *delta = R"(
  #bthk = affine_map<(b, t, h, k, p, c) -> (b, t, h floordiv 2, k)>
  #bthck = affine_map<(b, t, h, k, p, c) -> (b, t, h floordiv 2, c, k)>
  #bthp = affine_map<(b, t, h, k, p, c) -> (b, t, h, p)>
  #bth = affine_map<(b, t, h, k, p, c) -> (b, t, h)>
  func.func @f(%q: memref<?x?x2x$Cx$Kxf32>, %k: memref<?x?x2x$Kxf32>,
               %a: memref<?x?x2x$Kxf32>, %v: memref<?x?x4x$Pxf32>,
               %beta: memref<?x?x4xf32>, %s0: memref<$STATExf32>,
               %y: memref<?x?x4x$Cx$Pxf32>, %s1: memref<$STATExf32>) {
    ssm.scan $WAY
        ins(%q, %k, %a, %v, %beta : memref<?x?x2x$Cx$Kxf32>,
            memref<?x?x2x$Kxf32>, memref<?x?x2x$Kxf32>, memref<?x?x4x$Pxf32>,
            memref<?x?x4xf32>)
        initial(%s0 : memref<$STATExf32>)
        epilogue_ins(%v : memref<?x?x4x$Pxf32>)
        outs(%y, %s1 : memref<?x?x4x$Cx$Pxf32>, memref<$STATExf32>)
        maps {ins = [#bthck, #bthk, #bthk, #bthp, #bth], epilogue = [#bthp],
              state = affine_map<(b, t, h, k, p, c) -> ($AXES)>,
              output = affine_map<(b, t, h, k, p, c) -> (b, t, h, c, p)>}
        coefficients {
    ^bb0(%qv: f32, %kv: f32, %av: f32, %vv: f32, %bv: f32):
      %scale = arith.constant 0.2 : f32
      %ks = arith.mulf %kv, %scale : f32
      %as = arith.mulf %av, %scale : f32
      %bb = arith.mulf %bv, %bv : f32
      %nb = arith.negf %bb : f32
      %ab = arith.absf_ %av : f32
      %perHead = math.exp %nb : f32
      %na = arith.negf %ab : f32
      %perKey = math.exp %na : f32
      %bk = arith.mulf %bb, %ks : f32
      %nbk = arith.negf %bk : f32
      %dk = arith.mulf %ks, %perHead : f32
      %write = arith.mulf %bk, %vv : f32
      %second = arith.mulf %as, %vv : f32
      %both = arith.subf %write, %second : f32
      ssm.coefficients $ROLES read(%qv : f32) $ERASE
    } epilogue {
    ^bb0(%o: f32, %vv: f32):
      %sum = arith.addf %o, %vv : f32
      ssm.yield %sum : f32
    } attributes {schedule = #ssm.schedule<mode = chunk>}
    return
  })";

namespace {
struct Delta {
  std::string roles, erase;
  bool valuesFirst = false, reverse = false;
};
} // namespace

static std::string makeDelta(const Delta &delta) {
  std::string text = replaceAll(::delta, "arith.absf_", "math.absf");
  text = replaceAll(text, "$ROLES", delta.roles);
  text = replaceAll(text, "$ERASE", delta.erase);
  text = replaceAll(text, "$WAY", delta.reverse ? "reverse" : "");
  text = replaceAll(text, "$STATE",
                    delta.valuesFirst ? "?x4x$Px$K" : "?x4x$Kx$P");
  return replaceAll(text, "$AXES",
                    delta.valuesFirst ? "b, h, p, k" : "b, h, k, p");
}

/// The erase term shares the keys of the write; or has its own; there are two;
/// there is no write; the write has two terms, with and without an erase term.
static const Delta deltas[] = {
    {"write(%write : f32)", "erase(%ks, %nbk : f32, f32)"},
    {"decay(%perHead : f32) write(%write : f32)",
     "erase(%dk, %nbk : f32, f32)"},
    {"decay(%perKey : f32) write(%write : f32)", "erase(%as, %ks : f32, f32)",
     true},
    {"decay(%perKey : f32) write(%write : f32)", "erase(%ks, %nbk : f32, f32)",
     false, true},
    {"decay(%perHead : f32) write(%write : f32)",
     "erase(%ks, %nbk, %as, %as : f32, f32, f32, f32)"},
    {"decay(%perHead : f32)", "erase(%ks, %nbk : f32, f32)", true, true},
    {"decay(%perHead : f32) write(%both : f32)", ""},
    {"decay(%perKey : f32) write(%both : f32)", ""},
    {"decay(%perHead : f32) write(%both : f32)",
     "erase(%ks, %nbk : f32, f32)"}};

TEST(LowerChunk, TermsAndPairs) {
  for (const Delta &delta : deltas)
    checkLowering(makeDelta(delta), {{{"P", 37}, {"K", 19}, {"C", 1}}, 2, 53},
                  tolerance);
}

TEST(LowerChunk, TermsTokens) {
  for (int64_t tokens : {0, 1, 16, 17, 101})
    for (int variant : {1, 2})
      checkLowering(makeDelta(deltas[variant]),
                    {{{"P", 16}, {"K", 9}, {"C", 1}}, 1, tokens}, tolerance);
}

TEST(LowerChunk, TermsSizes) {
  for (auto [keys, p] :
       {std::pair(1, 2), std::pair(128, 24), std::pair(3, 300)})
    checkLowering(makeDelta(deltas[1]),
                  {{{"P", p}, {"K", keys}, {"C", 1}}, 1, 37}, tolerance);
  checkLowering(makeDelta(deltas[2]), {{{"P", 64}, {"K", 64}, {"C", 1}}, 1, 37},
                tolerance);
  for (int variant : {1, 2})
    checkLowering(makeDelta(deltas[variant]),
                  {{{"P", 20}, {"K", 17}, {"C", 3}}, 1, 37}, tolerance);
}

TEST(LowerChunk, TermsVectorBits) {
  for (int variant : {1, 2}) {
    std::string text = makeDelta(deltas[variant]);
    for (int64_t bits : {128, 256})
      checkLowering(text, {{{"P", 19}, {"K", 21}, {"C", 1}}, 1, 43, bits},
                    tolerance);
    text = replaceAll(text, "f32", "f64");
    checkLowering(text, {{{"P", 5}, {"K", 9}, {"C", 2}}, 1, 43}, 1e-11);
  }
}

TEST(LowerChunk, NotNumbersStayWithErasing) {
  for (const char *decay : {"", "decay(%gv : f32)"}) {
    std::string text = replaceAll(notNumbers, "$DECAY", decay);
    text = replaceAll(text, "read(%query : f32)",
                      "read(%query : f32) erase(%keyed, %kv : f32, f32)");
    checkLowering(text, {{}, 6, 30}, 1e-3);
  }
}
