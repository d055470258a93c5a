//===- PackedMatmulTest.cpp - Products by packed weights ------------------===//
//
// Against loops in double precision: numbers of tokens around the tile's rows,
// columns around the panel's width, depths around the unrolled step, gaps
// between rows, every element type.
//
//===----------------------------------------------------------------------===//

#include "MatmulKernel.h"
#include "gtest/gtest.h"
#include "llvm/TargetParser/Host.h"
#include <cmath>
#include <cstring>
#include <random>

using namespace ssmc;
using ssmc::test::MatmulKernel;
using ssmc::test::MatmulShape;

namespace {
cpu::KernelTarget makeTarget(int64_t bits, int64_t registers,
                             cpu::BF16Unit bf16 = cpu::BF16Unit::None) {
  cpu::KernelTarget target;
  target.vectorBits = bits;
  target.vectorRegisters = registers;
  target.bf16 = bf16;
  return target;
}

/// A number of some type as stored, and its value.
struct Storage {
  explicit Storage(const std::string &type) : type(type) {
    bytes = type == "f64" ? 8 : type.back() == '6' ? 2 : 4;
  }
  double round(double x) const {
    float f = static_cast<float>(x);
    if (type == "bf16") {
      uint32_t bits;
      std::memcpy(&bits, &f, 4);
      bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000;
      std::memcpy(&f, &bits, 4);
      return f;
    }
    if (type == "f16")
      return static_cast<_Float16>(f);
    return type == "f64" ? x : f;
  }
  void set(char *data, int64_t i, double x) const {
    if (type == "f64") {
      std::memcpy(data + 8 * i, &x, 8);
      return;
    }
    float f = static_cast<float>(round(x));
    if (type == "f32")
      std::memcpy(data + 4 * i, &f, 4);
    if (type == "bf16")
      std::memcpy(data + 2 * i, reinterpret_cast<char *>(&f) + 2, 2);
    if (type == "f16") {
      auto h = static_cast<_Float16>(f);
      std::memcpy(data + 2 * i, &h, 2);
    }
  }
  double get(const char *data, int64_t i) const {
    if (type == "f64") {
      double x;
      std::memcpy(&x, data + 8 * i, 8);
      return x;
    }
    float f = 0;
    if (type == "f32")
      std::memcpy(&f, data + 4 * i, 4);
    if (type == "bf16")
      std::memcpy(reinterpret_cast<char *>(&f) + 2, data + 2 * i, 2);
    if (type == "f16") {
      _Float16 h;
      std::memcpy(&h, data + 2 * i, 2);
      f = h;
    }
    return f;
  }

  std::string type;
  int64_t bytes;
};

class Check {
public:
  Check(MatmulShape shape, const cpu::KernelTarget &target, bool withEpilogue)
      : shape(shape), withEpilogue(withEpilogue), xType(shape.input),
        wType(shape.weight), yType(shape.output),
        kernel(shape, target, withEpilogue) {
    weight.resize(shape.columns * shape.depth);
    for (float &w : weight)
      w = number();
    // Nothing may depend on what is there before.
    packed.assign(kernel.getPackedBytes(), char(0xFF));
    kernel.pack(weight.data(), packed.data());
  }

  void run(int64_t batches, int64_t tokens) {
    int64_t m = batches * tokens, n = shape.columns, k = shape.depth;
    int64_t xStride = k + 3, yStride = n + 5;
    std::vector<char> x((m * xStride + 1) * xType.bytes, char(0xFF));
    std::vector<char> y((m * yStride + 1) * yType.bytes, char(0xFF));
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < k; ++j)
        xType.set(x.data(), i * xStride + j, number());
    std::vector<float> bias(n), scale(m), residual(m * yStride),
        table(n * batches);
    for (auto *v : {&bias, &scale, &residual, &table})
      for (float &e : *v)
        e = number();
    std::vector<char> before = y;
    kernel.call(batches, tokens, x.data(), xStride, packed.data(), y.data(),
                yStride, bias.data(), scale.data(), residual.data(),
                table.data());
    bool isLarge = m * n * k > 2'000'000;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t c = 0; c < yStride; ++c) {
        if (c >= n) {
          ASSERT_EQ(0, std::memcmp(&y[(i * yStride + c) * yType.bytes],
                                   &before[(i * yStride + c) * yType.bytes],
                                   yType.bytes))
              << "wrote past the columns";
          continue;
        }
        if (isLarge && c % 61 && c + 20 < n)
          continue;
        double sum = 0, size = 0;
        for (int64_t j = 0; j < k; ++j) {
          double term = xType.get(x.data(), i * xStride + j);
          if (shape.roundInput)
            term = wType.round(term);
          term *= wType.round(weight[c * k + j]);
          sum += term;
          size += std::fabs(term);
        }
        double bound = 1e-7 * (4 + std::sqrt(k)) * (size + 1);
        if (shape.output == "bf16")
          bound += 4e-3 * std::fabs(sum);
        if (shape.output == "f16")
          bound += 6e-4 * std::fabs(sum);
        if (shape.output == "f64" || shape.input == "f64")
          bound = 1e-14 * (size + 1);
        if (withEpilogue) {
          sum = (sum + bias[c]) * scale[i] + residual[i * yStride + c] +
                table[c * batches + i / tokens];
          bound += 1e-6;
        }
        double got = yType.get(y.data(), i * yStride + c);
        ASSERT_LE(std::fabs(got - sum), bound)
            << "M " << batches << "x" << tokens << " N " << n << " K " << k
            << " at " << i << ", " << c << ": found " << got << ", wanted "
            << sum;
      }
    }
  }

private:
  double number() {
    return std::uniform_real_distribution<double>(-1, 1)(random);
  }

  MatmulShape shape;
  bool withEpilogue;
  Storage xType, wType, yType;
  MatmulKernel kernel;
  std::mt19937 random{1};
  std::vector<float> weight;
  std::vector<char> packed;
};

using Shapes = std::vector<std::pair<int64_t, int64_t>>;

void checkShapes(const cpu::KernelTarget &target, const Shapes &shapes) {
  for (auto [columns, depth] : shapes) {
    Check check({columns, depth}, target, columns % 2);
    for (int64_t tokens : {0, 1, 2, 3, 4, 5, 7, 13, 14, 15, 29})
      check.run(1, tokens);
    check.run(3, 171); // 513
    check.run(512, 1);
    check.run(0, 4);
  }
}
} // namespace

TEST(PackedMatmul, Avx2Tiles) {
  checkShapes(makeTarget(256, 16), {{1, 1},
                                    {5, 2},
                                    {31, 3},
                                    {32, 48},
                                    {33, 7},
                                    {80, 769},
                                    {300, 768},
                                    {3072, 5}});
}
TEST(PackedMatmul, Avx512Tiles) {
  checkShapes(makeTarget(512, 32),
              {{31, 3}, {32, 48}, {33, 7}, {300, 769}, {1060, 33}});
}
TEST(PackedMatmul, NeonTiles) {
  checkShapes(makeTarget(128, 32), {{5, 3}, {80, 769}});
}
TEST(PackedMatmul, NoVectors) { checkShapes(makeTarget(32, 8), {{5, 3}}); }

TEST(PackedMatmul, DeepProducts) {
  for (int64_t bits : {256, 512}) {
    Check check({530, 2500}, makeTarget(bits, bits / 16), true);
    for (int64_t tokens : {1, 9, 100})
      check.run(2, tokens);
  }
}

/// Few tokens take the whole depth at once while their inputs fit a cache: four of
/// the first depth, three of the second, one of the third, none of the last.
TEST(PackedMatmul, FewTokensOfDeepProducts) {
  cpu::KernelTarget target = makeTarget(256, 16);
  target.prefetchBytes = 8192;
  for (int64_t depth : {4096, 4097, 16383, 16385}) {
    Check check({21, depth}, target, false);
    for (int64_t tokens : {1, 2, 3, 4, 5})
      check.run(1, tokens);
    check.run(4, 1);
    check.run(4, 0);
  }
}

TEST(PackedMatmul, ElementTypes) {
  for (int64_t bits : {256, 512})
    for (const char *weight : {"bf16", "f16", "f32", "f64"})
      for (int64_t depth : {1, 6, 31}) {
        if (bits == 512 && depth != 31)
          continue;
        bool isDouble = std::string(weight) == "f64";
        MatmulShape shape{45, depth};
        shape.weight = weight;
        shape.input = shape.output = isDouble ? "f64" : "f32";
        Check check(shape, makeTarget(bits, bits / 16), false);
        for (int64_t tokens : {1, 3, 20})
          check.run(2, tokens);
      }
}

TEST(PackedMatmul, NarrowInputsAndOutputs) {
  for (const char *type : {"bf16", "f16"}) {
    MatmulShape shape{40, 33, type, "bf16", type};
    Check check(shape, makeTarget(256, 16), false);
    for (int64_t tokens : {1, 3, 20})
      check.run(2, tokens);
  }
}

/// Both operands narrow: odd depths and those around what an instruction takes,
/// tokens around the rows of a tile, panels of one and two registers.
static void checkNarrowOperands(const std::string &type,
                                const cpu::KernelTarget &target) {
  for (auto [columns, depth] : Shapes{{15, 3}, {80, 48}, {96, 77}, {40, 4200}}) {
    MatmulShape shape{columns, depth, "f32", type, "f32", /*roundInput=*/true};
    if (depth == 77)
      shape.input = shape.output = type;
    Check check(shape, target, columns % 2);
    for (int64_t tokens : {0, 1, 2, 3, 4, 5, 7, 8, 16, 17, 31, 33, 65})
      check.run(1, tokens);
    check.run(3, 171);
  }
}

TEST(PackedMatmul, NarrowOperandsWidened) {
  checkNarrowOperands("bf16", makeTarget(256, 16));
  checkNarrowOperands("f16", makeTarget(256, 16));
}

static bool hostHas(llvm::StringRef feature) {
  return llvm::sys::getHostCPUFeatures().lookup(feature);
}

TEST(PackedMatmul, NarrowOperandsByDotProducts) {
  if (!hostHas("avx512bf16"))
    GTEST_SKIP() << "no AVX512-BF16";
  checkNarrowOperands("bf16", makeTarget(512, 32, cpu::BF16Unit::Dot));
}

TEST(PackedMatmul, NarrowOperandsInTiles) {
  if (!hostHas("amx-bf16") || !hostHas("avx512bf16"))
    GTEST_SKIP() << "no AMX-BF16";
  checkNarrowOperands("bf16", makeTarget(512, 32, cpu::BF16Unit::Tiles));
}
