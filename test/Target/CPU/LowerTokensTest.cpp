//===- LowerTokensTest.cpp - Shifts, convolutions and norms ---------------===//

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

TEST(LowerShift, HistoryAndCut) {
  const char *text = R"(
  func.func @f(%x: memref<?x?x$Exf32>, %h: memref<?x$Dx$Exf32>,
               %c: memref<?x?xi1>, %y: memref<?x?x$Exf32>) {
    ssm.shift $D input(%x : memref<?x?x$Exf32>)
        history(%h : memref<?x$Dx$Exf32>) cut(%c : memref<?x?xi1>)
        outs(%y, %h : memref<?x?x$Exf32>, memref<?x$Dx$Exf32>)
    return
  })";
  for (int64_t channels : {1, 16, 21})
    for (int64_t distance : {1, 3})
      for (int64_t tokens : {0, 1, 2, 9})
        checkLowering(text, {{{"E", channels}, {"D", distance}}, 2, tokens});
}

TEST(LowerShift, Ahead) {
  const char *text = R"(
  func.func @f(%x: memref<?x?x2x$Exf32, strided<[?, ?, ?, 1], offset: ?>>,
               %y: memref<?x?x2x$Exf32>, %i: memref<?x?xf64>,
               %j: memref<?x?xf64>) {
    ssm.shift -2
        input(%x : memref<?x?x2x$Exf32, strided<[?, ?, ?, 1], offset: ?>>)
        outs(%y : memref<?x?x2x$Exf32>)
    ssm.shift 1 input(%i : memref<?x?xf64>) outs(%j : memref<?x?xf64>)
    return
  })";
  for (int64_t tokens : {0, 1, 2, 9})
    checkLowering(text, {{{"E", 21}}, 2, tokens});
}

static const char *depthwise = R"(
  func.func @f(%u: memref<?x?x$Exf32, strided<[?, ?, 1], offset: ?>>,
               %k: memref<$Ex$Lxf32>, %h: memref<?x$Mx$Exf32>,
               %c: memref<?x?xi1>, %bias: memref<$Exf32>,
               %y: memref<?x?x$Exf32>, %h1: memref<?x$Mx$Exf32>) {
    ssm.conv input(%u : memref<?x?x$Exf32, strided<[?, ?, 1], offset: ?>>)
        kernel(%k : memref<$Ex$Lxf32>) history(%h : memref<?x$Mx$Exf32>)
        cut(%c : memref<?x?xi1>) epilogue_ins(%bias : memref<$Exf32>)
        outs(%y, %h1 : memref<?x?x$Exf32>, memref<?x$Mx$Exf32>)
        maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
              kernel = affine_map<(b, t, c, j) -> (c, -j + $M)>,
              epilogue = [affine_map<(b, t, c, j) -> (c)>],
              output = affine_map<(b, t, c, j) -> (b, t, c)>} lags $L
        epilogue {
    ^bb0(%acc: f32, %bv: f32):
      %v = arith.addf %acc, %bv : f32
      %t = math.tanh %v : f32
      ssm.yield %t : f32
    }
    return
  })";

static void checkDepthwise(const std::string &text) {
  for (int64_t channels : {1, 16, 21, 100})
    for (int64_t lags : {2, 4, 11})
      checkLowering(text, {{{"E", channels}, {"L", lags}, {"M", lags - 1}}});
  for (int64_t tokens : {0, 1, 2, 65, 130})
    for (int64_t lags : {4, 11})
      checkLowering(text,
                    {{{"E", 37}, {"L", lags}, {"M", lags - 1}}, 2, tokens});
}

TEST(LowerConv, HistoryAndCut) { checkDepthwise(depthwise); }

TEST(LowerConv, HistoryInPlace) {
  std::string text = replace(depthwise, "outs(%y, %h1 :", "outs(%y, %h :");
  checkDepthwise(text);
}

TEST(LowerConv, Alone) {
  std::string text = replace(depthwise, "cut(%c : memref<?x?xi1>)", "");
  text = replace(text, "history(%h : memref<?x$Mx$Exf32>)", "");
  checkDepthwise(text);
}

/// Long kernels, of one side or two, shorter and longer than the sequence.
TEST(LowerLongConv, Sides) {
  const char *text = R"(
  func.func @f(%u: memref<?x?x$Exf32>, %k: memref<$Lx2x$Exf32>,
               %y: memref<?x?x2x$Exf32>) {
    ssm.conv input(%u : memref<?x?x$Exf32>) kernel(%k : memref<$Lx2x$Exf32>)
        outs(%y : memref<?x?x2x$Exf32>)
        maps {input = affine_map<(b, t, g, e, j) -> (b, t, e)>,
              kernel = affine_map<(b, t, g, e, j) -> (j, g, e)>,
              output = affine_map<(b, t, g, e, j) -> (b, t, g, e)>}
        lags $L from $F
        epilogue {
    ^bb0(%acc: f32):
      ssm.yield %acc : f32
    }
    return
  })";
  const int64_t kernels[][2] = {{20, 0}, {33, -16}, {17, -17}, {9, 3}};
  for (auto [lags, first] : kernels)
    for (int64_t tokens : {0, 1, 9, 70}) {
      Sizes sizes;
      sizes.named = {{"L", lags}, {"F", first}, {"E", tokens == 9 ? 16 : 5}};
      sizes.tokens = tokens;
      checkLowering(text, sizes);
    }
}

/// The ring of earlier tokens: not full yet, wrapped, shorter than the call.
TEST(LowerLongConv, Ring) {
  const char *text = R"(
  func.func @f(%u: memref<?x?x$Exf32>, %k: memref<$Lx$Exf32>,
               %h: memref<?x$Hx$Exf32>, %y: memref<?x?x$Exf32>) {
    %p = arith.constant $P : index
    ssm.conv input(%u : memref<?x?x$Exf32>) kernel(%k : memref<$Lx$Exf32>)
        history(%h : memref<?x$Hx$Exf32>) position(%p : index)
        outs(%y, %h : memref<?x?x$Exf32>, memref<?x$Hx$Exf32>)
        maps {input = affine_map<(b, t, e, j) -> (b, t, e)>,
              kernel = affine_map<(b, t, e, j) -> (j, e)>,
              output = affine_map<(b, t, e, j) -> (b, t, e)>}
        lags $L
        epilogue {
    ^bb0(%acc: f32):
      ssm.yield %acc : f32
    }
    return
  })";
  for (int64_t position : {0, 3, 25})
    for (int64_t tokens : {1, 8, 30}) {
      Sizes sizes;
      sizes.named = {{"L", 12}, {"H", 11}, {"P", position}, {"E", 17}};
      sizes.tokens = tokens;
      checkLowering(text, sizes);
    }
}

/// Several outputs for each input channel, two dimensions of channels.
TEST(LowerConv, ChannelMultiplier) {
  const char *text = R"(
  func.func @f(%u: memref<?x?x3xf32>, %k: memref<$Lx3x$Exf32>,
               %h: memref<?x$Mx3xf32>, %c: memref<?x?xi1>,
               %y: memref<?x?x3x$Exf32>) {
    ssm.conv input(%u : memref<?x?x3xf32>)
        kernel(%k : memref<$Lx3x$Exf32>) history(%h : memref<?x$Mx3xf32>)
        cut(%c : memref<?x?xi1>)
        outs(%y, %h : memref<?x?x3x$Exf32>, memref<?x$Mx3xf32>)
        maps {input = affine_map<(b, t, g, e, j) -> (b, t, g)>,
              kernel = affine_map<(b, t, g, e, j) -> (j, g, e)>,
              epilogue = [],
              output = affine_map<(b, t, g, e, j) -> (b, t, g, e)>} lags $L
        epilogue {
    ^bb0(%acc: f32):
      ssm.yield %acc : f32
    }
    return
  })";
  for (int64_t lags : {4, 10})
    for (int64_t outputs : {1, 19})
      for (int64_t tokens : {0, 1, 9})
        checkLowering(
            text, {{{"L", lags}, {"M", lags - 1}, {"E", outputs}}, 2, tokens});
}

TEST(LowerNorm, Kinds) {
  const char *text = R"(
  func.func @f(%x: memref<?x?x$Exf32, strided<[?, ?, 1], offset: ?>>,
               %w: memref<$Exf32>, %y: memref<?x?x$Exf32>) {
    ssm.norm KIND eps 1.000000e-05 groups $G
        input(%x : memref<?x?x$Exf32, strided<[?, ?, 1], offset: ?>>)
        epilogue_ins(%w : memref<$Exf32>) outs(%y : memref<?x?x$Exf32>)
        maps [affine_map<(b, t, d) -> (d)>] epilogue {
    ^bb0(%v: f32, %wv: f32):
      %out = arith.mulf %v, %wv : f32
      ssm.yield %out : f32
    }
    return
  })";
  for (const char *kind : {"rms", "layer", "l2"}) {
    std::string kindText = replace(text, "KIND", kind);
    for (int64_t length : {1, 5, 16, 17, 48, 515})
      checkLowering(kindText, {{{"E", length}, {"G", 1}}});
    for (int64_t length : {1, 16, 21})
      checkLowering(kindText, {{{"E", 3 * length}, {"G", 3}}});
    for (int64_t tokens : {0, 1, 65})
      checkLowering(kindText, {{{"E", 100}, {"G", 2}}, 1, tokens});
  }
}

TEST(LowerNorm, InPlaceOverHeads) {
  const char *text = R"(
  func.func @f(%x: memref<?x?x3x$Exf64>, %w: memref<3x$Exf64>) {
    ssm.norm layer eps 1.000000e-05 input(%x : memref<?x?x3x$Exf64>)
        epilogue_ins(%w : memref<3x$Exf64>) outs(%x : memref<?x?x3x$Exf64>)
        maps [affine_map<(b, t, h, d) -> (h, d)>] epilogue {
    ^bb0(%v: f64, %wv: f64):
      %out = arith.mulf %v, %wv : f64
      ssm.yield %out : f64
    }
    return
  })";
  for (int64_t length : {1, 8, 21})
    checkLowering(text, {{{"E", length}}}, 1e-10);
}
