//===- LowerImpulseTest.cpp - Impulse responses against the interpreter ---===//

#include "LoweringCheck.h"
#include "gtest/gtest.h"
#include <cmath>
#include <vector>

using namespace ssmc::test;

/// A magnitude of the transition's numbers near 1, then the response.
static std::string scaled(const std::string &shape, const std::string &factor,
                          const std::string &type, const std::string &response) {
  return R"(
  #all = affine_map<(a, b, c, d, e) -> (a, b, c, d, e)>
  func.func @f(%raw: memref<)" + shape + R"(xf64>, %a: memref<)" + shape + R"(xf64>,
      %b: memref<$Ox$Tx$Nx$Wxf64>, %c: memref<$Ox$Tx$Px$Qx$Nx$Wxf64>,
      %k: memref<$Lx$Ox$Qx$Cx)" + type + R"(>, %m: memref<$Lx$Ox$Qx$Cxf64>) {
    linalg.generic {indexing_maps = [#all, #all], iterator_types =
        ["parallel", "parallel", "parallel", "parallel", "parallel"]}
        ins(%raw : memref<)" + shape + R"(xf64>) outs(%a : memref<)" + shape + R"(xf64>) {
    ^bb0(%in: f64, %out: f64):
      %s = arith.constant )" + factor + R"( : f64
      %v = arith.mulf %in, %s : f64
      linalg.yield %v : f64
    }
    )" + response + R"(
    return
  })";
}

static void check(bool dense, int64_t rows, int64_t parts, bool reverse) {
  std::string shape = dense ? "$Ox$Tx$Nx$Nx$W" : "$Ox$Tx$Kx$Rx$W";
  // Powers of a random matrix may grow out of f32.
  std::string type = dense ? "f64" : "f32";
  double factor = dense ? std::sqrt(3.0 / double(rows)) : parts == 1 ? 0.99 : 0.72;
  struct Shape {
    int64_t systems, tiles, width, outs, reads, bits;
    std::vector<int64_t> lags;
  };
  for (const Shape &s :
       {Shape{2, 2, 8, 1, 1, 512, {1, 2, 7, 63, 64, 65, 131, 256, 257, 521}},
        Shape{1, 1, 1, 2, 1, 512, {3, 300}}, Shape{1, 3, 4, 1, 3, 256, {5, 129, 307}},
        Shape{2, 1, 2, 2, 2, 128, {66}}}) {
    std::string outs = "%k", types = "memref<$Lx$Ox$Qx$Cx" + type + ">";
    if (s.outs == 2) {
      outs += ", %m";
      types += ", memref<$Lx$Ox$Qx$Cxf64>";
    }
    std::string text = scaled(
        shape, std::to_string(factor), type,
        std::string("ssm.impulse_response ") + (reverse ? "reverse " : "") +
            (dense ? "dense " : "") + "transition(%a : memref<" + shape +
            "xf64>) input(%b : memref<$Ox$Tx$Nx$Wxf64>) "
            "read(%c : memref<$Ox$Tx$Px$Qx$Nx$Wxf64>) outs(" + outs + " : " + types + ")");
    for (int64_t lags : s.lags) {
      Sizes sizes;
      sizes.named = {{"O", s.systems}, {"T", s.tiles}, {"N", rows}, {"W", s.width},
                     {"P", s.outs}, {"Q", s.reads}, {"L", lags},
                     {"C", s.tiles * s.width}, {"K", rows / parts}, {"R", parts}};
      sizes.vectorBits = s.bits;
      checkLowering(text, sizes, 1e-6);
      if (testing::Test::HasFailure())
        return;
    }
  }
}

TEST(LowerImpulse, RealDiagonal) {
  for (int64_t rows : {1, 3, 16})
    check(/*dense=*/false, rows, 1, /*reverse=*/false);
}

TEST(LowerImpulse, ComplexDiagonal) {
  for (int64_t rows : {2, 6, 10})
    check(/*dense=*/false, rows, 2, /*reverse=*/rows == 6);
}

TEST(LowerImpulse, Dense) {
  for (int64_t rows : {1, 2, 5, 7})
    check(/*dense=*/true, rows, 1, /*reverse=*/rows == 2);
}
