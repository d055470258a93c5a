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
  checkLowering(heads, {{{"P", 64}, {"N", 128}, {"Q", 64}}, 1, 70}, tolerance);
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
    } attributes {schedule = #ssm.schedule<mode = chunk>}
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
  checkLowering(keyDecay, {{{"P", 130}, {"K", 128}, {"C", 1}, {"G", 1}}, 1, 70},
                tolerance);
}

/// Products of decays below the smallest number, and close to one.
TEST(LowerChunk, KeyDecayStrength) {
  for (int64_t strength : {0, 30, 200})
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
