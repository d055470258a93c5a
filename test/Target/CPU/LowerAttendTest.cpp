//===- LowerAttendTest.cpp - Sums over the tokens that a token sees -------===//

#include "LoweringCheck.h"
#include "gtest/gtest.h"

using namespace ssmc::test;

/// `text` with every `from` replaced.
static std::string replace(std::string text, const std::string &from,
                           const std::string &to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos;
       at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

/// Heads of `Z` features and `E` values; SOFTMAX, FROM, TO and SCORE are replaced.
static const char *attention = R"(
  func.func @f(%q: memref<?x?x2x$Zxf32, strided<[?, ?, ?, 1], offset: ?>>,
               %k: memref<?x?x2x$Zxf32>, %v: memref<?x?x2x$Exf32>,
               %y: memref<?x?x2x$Exf32>) {
    %c0 = arith.constant 0 : index
    ssm.attend SOFTMAX
        queries(%q : memref<?x?x2x$Zxf32, strided<[?, ?, ?, 1], offset: ?>>)
        keys(%k : memref<?x?x2x$Zxf32>) values(%v : memref<?x?x2x$Exf32>)
        position(%c0) outs(%y : memref<?x?x2x$Exf32>)
        from affine_map<(t) -> FROM> to affine_map<(t) -> TO>
        score {
    ^bb0(%dot: f32, %t: index, %s: index, %h: index, %e: index):
      SCORE
    } attributes {
        query_maps = [affine_map<(b, t, s, h, e, z) -> (b, t, h, z)>],
        key_maps = [affine_map<(b, t, s, h, e, z) -> (b, s, h, z)>],
        score_maps = [],
        value_map = affine_map<(b, t, s, h, e, z) -> (b, s, h, e)>,
        output_map = affine_map<(b, t, s, h, e, z) -> (b, t, h, e)>}
    return
  })";

static std::string makeAttention(const std::string &softmax, const std::string &from,
                                 const std::string &to,
                                 const std::string &score = "ssm.yield %dot : f32") {
  std::string text = replace(attention, "SOFTMAX", softmax);
  text = replace(text, "FROM", from);
  return replace(replace(text, "TO", to), "SCORE", score);
}

/// Lengths around those of tiles, and extents around those of vectors.
static void checkShapes(const std::string &text, double tolerance = 3e-5) {
  checkLowering(text, {{{"Z", 33}, {"E", 1}}, 3, 131, 512}, tolerance);
  checkLowering(text, {{{"Z", 16}, {"E", 80}}, 1, 64, 256}, tolerance);
  checkLowering(text, {{{"Z", 1}, {"E", 21}}, 2, 65, 128}, tolerance);
}

TEST(LowerAttend, Causal) {
  for (const char *softmax : {"softmax", ""})
    checkShapes(makeAttention(softmax, "()", "(t + 1)"));
}

TEST(LowerAttend, Lengths) {
  std::string text = makeAttention("softmax", "()", "(t + 1)");
  for (int64_t tokens : {0, 1, 2, 17, 63, 64, 65, 200})
    checkLowering(text, {{{"Z", 24}, {"E", 37}}, 3, tokens});
}

/// Every token sees all others.
TEST(LowerAttend, Full) {
  checkShapes(makeAttention("softmax", "()", "()"));
  checkShapes(makeAttention("", "()", "()"));
}

/// Chunks, a window, and tokens that see nothing.
TEST(LowerAttend, Ranges) {
  const char *ranges[][2] = {
      {"((t floordiv 24) * 24)", "((t floordiv 24) * 24 + 24)"},
      {"((t floordiv 48) * 48, t - 30)", "(t + 1)"},
      {"()", "(t - 9)"},
      {"(t + 40)", "(t + 77)"}};
  for (auto [from, to] : ranges)
    for (const char *softmax : {"softmax", ""})
      checkLowering(makeAttention(softmax, from, to), {{{"Z", 5}, {"E", 21}}, 2, 131});
}

/// Scores that are functions of tokens and lanes.
TEST(LowerAttend, Score) {
  const char *score = R"(
      %c1 = arith.constant 1 : index
      %seen = arith.addi %t, %c1 : index
      %seen_int = arith.index_cast %seen : index to i64
      %number = arith.sitofp %seen_int : i64 to f32
      %head_int = arith.index_cast %h : index to i64
      %head = arith.sitofp %head_int : i64 to f32
      %s_int = arith.index_cast %s : index to i64
      %at = arith.sitofp %s_int : i64 to f32
      %mean = arith.divf %dot, %number : f32
      %far = arith.divf %at, %number : f32
      %sum = arith.addf %mean, %far : f32
      %more = arith.addf %sum, %head : f32
      %erf = math.erf %more : f32
      ssm.yield %erf : f32)";
  checkShapes(makeAttention("", "()", "(t + 1)", score));
  checkShapes(makeAttention("softmax", "()", "()", score));
}

/// Large scores: exponentials would overflow without the largest one, which grows along
/// the sequence.
TEST(LowerAttend, LargeScores) {
  const char *score = R"(
      %s_int = arith.index_cast %s : index to i64
      %at = arith.sitofp %s_int : i64 to f32
      %c5 = arith.constant -5.0 : f32
      %large = arith.mulf %at, %c5 : f32
      %sum = arith.addf %dot, %large : f32
      ssm.yield %sum : f32)";
  for (const char *to : {"(t + 1)", "()"})
    checkLowering(makeAttention("softmax", "()", to, score),
                  {{{"Z", 5}, {"E", 21}}, 2, 131}, 3e-4);
}

/// A NaN among the values stays with the tokens that see it.
TEST(LowerAttend, NotANumber) {
  for (const char *softmax : {"softmax", ""})
    for (const char *from : {"()", "(t - 20)"}) {
      std::string text = makeAttention(softmax, from, "(t + 1)");
      text = replace(text, "%v: memref<?x?x2x$Exf32>",
                     "%v: memref<?x?x2x$Exf32> {test.nan = 8011}");
      checkLowering(text, {{{"Z", 8}, {"E", 35}}, 2, 131});
    }
}

TEST(LowerAttend, Double) {
  for (const char *softmax : {"softmax", ""}) {
    std::string text = replace(makeAttention(softmax, "()", "(t + 1)"), "f32", "f64");
    checkLowering(text, {{{"Z", 12}, {"E", 21}}, 2, 100}, 1e-13);
  }
}

/// A bias for the distance of tokens, to both sides and with both signs; NaN beyond it.
TEST(LowerAttend, Bias) {
  const char *text = R"(
  func.func @f(%q: memref<?x?x$Zxf32>, %k: memref<?x?x$Zxf32>, %v: memref<?x?x$Exf32>,
               %left: memref<$Rxf32>, %right: memref<?x$R2xf32>,
               %odd: memref<200xf32>, %ints: memref<$Rxi32>, %y: memref<?x?x$Exf32>) {
    %c0 = arith.constant 0 : index
    ssm.attend SOFTMAX queries(%q : memref<?x?x$Zxf32>) keys(%k : memref<?x?x$Zxf32>)
        score_ins(%left, %right, %odd, %ints
                  : memref<$Rxf32>, memref<?x$R2xf32>, memref<200xf32>, memref<$Rxi32>)
        values(%v : memref<?x?x$Exf32>)
        position(%c0) outs(%y : memref<?x?x$Exf32>)
        from affine_map<(t) -> ()> to affine_map<(t) -> ()>
        score {
    ^bb0(%dot: f32, %a: f32, %b: f32, %c: f32, %i: i32, %t: index, %s: index, %e: index):
      %0 = arith.addf %dot, %a : f32
      %1 = arith.mulf %0, %b : f32
      %2 = arith.addf %1, %c : f32
      %3 = arith.sitofp %i : i32 to f32
      %4 = arith.subf %2, %3 : f32
      ssm.yield %4 : f32
    } attributes {
        query_maps = [affine_map<(b, t, s, e, z) -> (b, t, z)>],
        key_maps = [affine_map<(b, t, s, e, z) -> (b, s, z)>],
        score_maps = [affine_map<(b, t, s, e, z) -> ($M + s - t)>,
                      affine_map<(b, t, s, e, z) -> (b, t - s + $M)>,
                      affine_map<(b, t, s, e, z) -> (t + s)>,
                      affine_map<(b, t, s, e, z) -> ($M + s - t)>],
        value_map = affine_map<(b, t, s, e, z) -> (b, s, e)>,
        output_map = affine_map<(b, t, s, e, z) -> (b, t, e)>}
    return
  })";
  for (const char *softmax : {"softmax", ""})
    for (int64_t reach : {70, 130})
      for (int64_t tokens : {1, 90}) {
        Sizes sizes{{{"Z", 9},
                     {"E", 20},
                     {"M", reach - 1},
                     {"R", 2 * reach - 1}},
                    2,
                    tokens};
        std::string named = replace(text, "$R2", std::to_string(2 * reach - 1));
        checkLowering(replace(named, "SOFTMAX", softmax), sizes);
      }
}

/// Several products, sums over two dimensions, values that are shared by lanes of the
/// score, values with two lanes, and an operand of tokens alone.
TEST(LowerAttend, Pairs) {
  const char *text = R"(
  func.func @f(%q: memref<?x?x3x$Zxf32>, %k: memref<?x?x$Zxf32>,
               %p: memref<?x5x2xf32>, %o: memref<?x?x2x5xf32>,
               %g: memref<?x?x3xf32>, %v: memref<?x?x$Ex2xf32>,
               %y: memref<?x?x3x2x$Exf32>) {
    %c0 = arith.constant 0 : index
    ssm.attend SOFTMAX
        queries(%q, %p : memref<?x?x3x$Zxf32>, memref<?x5x2xf32>)
        keys(%k, %o : memref<?x?x$Zxf32>, memref<?x?x2x5xf32>)
        score_ins(%g : memref<?x?x3xf32>) values(%v : memref<?x?x$Ex2xf32>)
        position(%c0) outs(%y : memref<?x?x3x2x$Exf32>)
        from affine_map<(t) -> ()> to affine_map<(t) -> (t + 1)>
        score {
    ^bb0(%a: f32, %b: f32, %c: f32, %t: index, %s: index, %h: index, %i: index,
         %e: index):
      %0 = arith.addf %a, %b : f32
      %1 = arith.mulf %0, %c : f32
      ssm.yield %1 : f32
    } attributes {
        query_maps = [affine_map<(b, t, s, h, i, e, z, m, n) -> (b, t, h, z)>,
                      affine_map<(b, t, s, h, i, e, z, m, n) -> (b, m, n)>],
        key_maps = [affine_map<(b, t, s, h, i, e, z, m, n) -> (b, s, z)>,
                    affine_map<(b, t, s, h, i, e, z, m, n) -> (b, s, n, m)>],
        score_maps = [affine_map<(b, t, s, h, i, e, z, m, n) -> (b, t, h)>],
        value_map = affine_map<(b, t, s, h, i, e, z, m, n) -> (b, s, e, i)>,
        output_map = affine_map<(b, t, s, h, i, e, z, m, n) -> (b, t, h, i, e)>}
    return
  })";
  for (const char *softmax : {"softmax", ""})
    for (int64_t bits : {128, 512})
      checkLowering(replace(text, "SOFTMAX", softmax),
                    {{{"Z", 17}, {"E", 19}}, 2, 80, bits});
}

/// Decays between tokens, those that a ring holds among them.
static const char *decayed = R"(
  func.func @f(%q: memref<?x?x2x$Zxf32>, %k: memref<?x?x2x$Zxf32>,
               %v: memref<?x?x2x$Exf32>, %a: memref<?x?x2xf32>,
               %hk: memref<?x$Hx2x$Zxf32>, %hv: memref<?x$Hx2x$Exf32>,
               %ha: memref<?x$Hx2xf32>, %y: memref<?x?x2x$Exf32>) {
    %p = arith.constant $P : index
    ssm.attend queries(%q : memref<?x?x2x$Zxf32>) keys(%k : memref<?x?x2x$Zxf32>)
        values(%v : memref<?x?x2x$Exf32>) decays(%a : memref<?x?x2xf32>)
        histories(%hk, %hv, %ha : memref<?x$Hx2x$Zxf32>, memref<?x$Hx2x$Exf32>,
                                  memref<?x$Hx2xf32>)
        position(%p)
        outs(%y, %hk, %hv, %ha : memref<?x?x2x$Exf32>, memref<?x$Hx2x$Zxf32>,
                                 memref<?x$Hx2x$Exf32>, memref<?x$Hx2xf32>)
        from affine_map<(t) -> FROM> to affine_map<(t) -> TO>
        score {
    ^bb0(%dot: f32, %t: index, %s: index, %h: index, %e: index):
      ssm.yield %dot : f32
    } attributes {
        query_maps = [affine_map<(b, t, s, h, e, z) -> (b, t, h, z)>],
        key_maps = [affine_map<(b, t, s, h, e, z) -> (b, s, h, z)>],
        score_maps = [],
        value_map = affine_map<(b, t, s, h, e, z) -> (b, s, h, e)>,
        decay_map = affine_map<(b, t, s, h, e, z) -> (b, s, h)>,
        output_map = affine_map<(b, t, s, h, e, z) -> (b, t, h, e)>}
    return
  })";

TEST(LowerAttend, Decays) {
  for (auto [position, tokens] : {std::pair(0, 100), {7, 30}, {70, 1}, {100, 64}})
    for (const char *to : {"(t + 1)", "()"}) {
      const char *from = tokens == 64 ? "(t - 45)" : "()";
      std::string text = replace(replace(decayed, "FROM", from), "TO", to);
      checkLowering(text, {{{"Z", 9}, {"E", 20}, {"H", 70}, {"P", position}}, 2, tokens});
    }
}

TEST(LowerAttend, SoftmaxOfRing) {
  std::string text = replace(decayed, "ssm.attend", "ssm.attend softmax");
  text = replace(text, "decays(%a : memref<?x?x2xf32>)", "");
  text = replace(text, "decay_map = affine_map<(b, t, s, h, e, z) -> (b, s, h)>,", "");
  text = replace(text, "(%hk, %hv, %ha : memref<?x$Hx2x$Zxf32>, memref<?x$Hx2x$Exf32>,",
                 "(%hk, %hv : memref<?x$Hx2x$Zxf32>, memref<?x$Hx2x$Exf32>");
  text = replace(text, "                                  memref<?x$Hx2xf32>)\n", ")\n");
  text = replace(text, "outs(%y, %hk, %hv, %ha :", "outs(%y, %hk, %hv :");
  text = replace(text, "memref<?x$Hx2x$Exf32>, memref<?x$Hx2xf32>)\n        from",
                 "memref<?x$Hx2x$Exf32>)\n        from");
  for (auto [position, tokens] : {std::pair(0, 100), {7, 30}, {70, 1}, {100, 64}}) {
    const char *from = tokens == 64 ? "(t - 45)" : "()";
    std::string one = replace(replace(text, "FROM", from), "TO", "(t + 1)");
    checkLowering(one, {{{"Z", 9}, {"E", 20}, {"H", 70}, {"P", position}}, 2, tokens});
  }
}

/// Queries without a batch, of another number than keys: how the state after the last
/// token is read.
TEST(LowerAttend, OtherQueries) {
  const char *text = R"(
  func.func @f(%q: memref<$Zx$Zxf32>, %k: memref<?x?x$Zxf32>, %v: memref<?x?x$Exf32>,
               %a: memref<?x?xf32>, %y: memref<?x$Zx$Exf32>) {
    %c0 = arith.constant 0 : index
    ssm.attend queries(%q : memref<$Zx$Zxf32>) keys(%k : memref<?x?x$Zxf32>)
        values(%v : memref<?x?x$Exf32>) decays(%a : memref<?x?xf32>)
        position(%c0) outs(%y : memref<?x$Zx$Exf32>)
        from affine_map<(t) -> ()> to affine_map<(t) -> ()>
        score {
    ^bb0(%dot: f32, %t: index, %s: index, %e: index):
      ssm.yield %dot : f32
    } attributes {
        query_maps = [affine_map<(b, t, s, e, z) -> (t, z)>],
        key_maps = [affine_map<(b, t, s, e, z) -> (b, s, z)>], score_maps = [],
        value_map = affine_map<(b, t, s, e, z) -> (b, s, e)>,
        decay_map = affine_map<(b, t, s, e, z) -> (b, s)>,
        output_map = affine_map<(b, t, s, e, z) -> (b, t, e)>}
    return
  })";
  for (int64_t keys : {3, 16, 70})
    for (int64_t tokens : {0, 100})
      checkLowering(text, {{{"Z", keys}, {"E", 20}}, 3, tokens});
}

/// No products at all: a sum of values.
TEST(LowerAttend, NoPairs) {
  const char *text = R"(
  func.func @f(%v: memref<?x?xf32>, %y: memref<?x?xf32>) {
    %c0 = arith.constant 0 : index
    ssm.attend values(%v : memref<?x?xf32>)
        position(%c0) outs(%y : memref<?x?xf32>)
        from affine_map<(t) -> ()> to affine_map<(t) -> (t + 1)>
        score {
    ^bb0(%t: index, %s: index):
      %one = arith.constant 1.0 : f32
      ssm.yield %one : f32
    } attributes {query_maps = [], key_maps = [], score_maps = [],
        value_map = affine_map<(b, t, s) -> (b, s)>,
        output_map = affine_map<(b, t, s) -> (b, t)>}
    return
  })";
  checkLowering(text, {{}, 3, 100});
}
