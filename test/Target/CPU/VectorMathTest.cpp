//===- VectorMathTest.cpp - Errors of the elementary functions ------------===//
//
// Compares with the C library in double precision over bit patterns of floats
// spread over all exponents and both signs, infinities and NaN included.
//
//===----------------------------------------------------------------------===//

#include "KernelJIT.h"
#include "Target/CPU/ExpandMath.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"
#include <cmath>
#include <cstring>

using namespace mlir;
using namespace ssmc;

static float fromBits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

/// Distance in units in the last place of the float nearest to `want`; the
/// unit of denormals is theirs.
static double ulpError(float got, double want) {
  float rounded = static_cast<float>(want);
  if (std::isnan(rounded) || std::isnan(got))
    return std::isnan(rounded) == std::isnan(got) ? 0 : INFINITY;
  if (std::isinf(rounded) || std::isinf(got)) {
    // Just beyond the largest float either is right.
    if (std::isinf(rounded) != std::isinf(got) &&
        std::fabs(want) > 3.4028233e38 && std::fabs(want) < 3.4028240e38)
      return 1;
    return rounded == got ? 0 : INFINITY;
  }
  if (got == 0 && rounded == 0)
    return std::signbit(got) == std::signbit(want) ? 0 : INFINITY;
  double unit = std::ldexp(
      1.0, std::max(std::ilogb(rounded == 0 ? 1e-45f : rounded), -126) - 23);
  return std::fabs(got - want) / unit;
}

namespace {
using Array = StridedMemRefType<float, 1>;

Array view(std::vector<float> &v) {
  return {v.data(), v.data(), 0, {int64_t(v.size())}, {1}};
}

/// A function applied to whole arrays, at some vector width or one by one.
class ArrayFunction {
public:
  ArrayFunction(StringRef op, unsigned arity, int width, bool fast = false) {
    std::string type =
        width > 1 ? "vector<" + std::to_string(width) + "xf32>" : "f32";
    std::string prefix = width > 1 ? "vector" : "memref";
    std::string suffix = width > 1 ? "memref<?xf32>, " + type : "memref<?xf32>";
    std::string text = "func.func @f(%x: memref<?xf32>, %y: memref<?xf32>, "
                       "%r: memref<?xf32>) {\n"
                       "%c0 = arith.constant 0 : index\n"
                       "%step = arith.constant " +
                       std::to_string(width) +
                       " : index\n"
                       "%n = memref.dim %x, %c0 : memref<?xf32>\n"
                       "scf.for %i = %c0 to %n step %step {\n"
                       "%a = " + prefix + ".load %x[%i] : " + suffix + "\n"
                       "%b = " + prefix + ".load %y[%i] : " + suffix + "\n" +
                       apply(op, arity > 1, type) +
                       prefix + ".store %v, %r[%i] : " + suffix + "\n}\n"
                       "return\n}\n";
    context = test::createKernelContext();
    auto module = parseSourceString<ModuleOp>(text, context.get());
    cpu::VectorMathOptions options;
    options.fastExp = fast;
#ifdef __AVX512F__
    options.avx512 = true;
#endif
    cpu::expandMath(*module, options);
    jit = std::make_unique<test::KernelJIT>(*module);
  }

  /// The operation on %a (and %b); log1p(exp(-|x|)) goes by "softplus".
  static std::string apply(StringRef op, bool binary, const std::string &type) {
    if (op == "softplus")
      return "%p = math.absf %a : " + type + "\n%q = arith.negf %p : " + type +
             "\n%e = math.exp %q : " + type + "\n%v = math.log1p %e : " + type +
             "\n";
    return "%v = math." + op.str() + " %a" + (binary ? ", %b" : "") + " : " +
           type + "\n";
  }

  std::vector<float> operator()(std::vector<float> x, std::vector<float> y) {
    std::vector<float> r(x.size());
    Array xs = view(x), ys = view(y), rs = view(r);
    jit->call("f", xs, ys, rs);
    return r;
  }

private:
  std::unique_ptr<MLIRContext> context;
  std::unique_ptr<test::KernelJIT> jit;
};

struct Worst {
  double error = 0;
  float x = 0, got = 0;
};

/// Floats between the bounds, on both sides of 0 if `low` is negative.
std::vector<float> sample(float low, float high, uint32_t stride) {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < (uint64_t(1) << 32); bits += stride) {
    float v = fromBits(static_cast<uint32_t>(bits));
    if (v >= low && v <= high)
      x.push_back(v);
  }
  for (float v : {0.0f, -0.0f, 1.0f, -1.0f, INFINITY, -INFINITY, NAN, low,
                  high, 1e-45f, -1e-45f, 1.17549435e-38f, -1.17549435e-38f})
    if (!(v < low) && !(v > high))
      x.push_back(v);
  while (x.size() % 16)
    x.push_back(low);
  return x;
}

Worst worstError(ArrayFunction &f, double (*reference)(double),
                 const std::vector<float> &x) {
  std::vector<float> got = f(x, x);
  Worst worst;
  for (size_t i = 0; i != x.size(); ++i)
    if (double e = ulpError(got[i], reference(x[i])); e > worst.error)
      worst = {e, x[i], got[i]};
  return worst;
}

void check(StringRef op, double (*reference)(double), double bound,
           float low = -INFINITY, float high = INFINITY, bool fast = false) {
  for (int width : {8, 16, 1}) {
    ArrayFunction f(op, 1, width, fast);
    Worst worst =
        worstError(f, reference, sample(low, high, width == 8 ? 4999 : 49999));
    EXPECT_LE(worst.error, bound) << op.str() << "(" << worst.x << ") = "
                                  << worst.got << ", width " << width;
    if (width == 8)
      ::testing::Test::RecordProperty("ulp", std::to_string(worst.error));
  }
}
} // namespace

TEST(VectorMath, Exp) { check("exp", std::exp, 1.2); }
TEST(VectorMath, Exp2) { check("exp2", std::exp2, 1.2); }
TEST(VectorMath, Expm1) { check("expm1", std::expm1, 1.5); }
TEST(VectorMath, Log) { check("log", std::log, 1.0); }
TEST(VectorMath, Log2) { check("log2", std::log2, 2.0); }
TEST(VectorMath, Log10) { check("log10", std::log10, 2.0); }
TEST(VectorMath, Log1p) { check("log1p", std::log1p, 1.5); }
TEST(VectorMath, Tanh) { check("tanh", std::tanh, 2.5); }
TEST(VectorMath, Sin) { check("sin", std::sin, 1.5, -1.0e9f, 1.0e9f); }
TEST(VectorMath, Cos) { check("cos", std::cos, 1.5, -1.0e9f, 1.0e9f); }
TEST(VectorMath, Erf) { check("erf", std::erf, 1.5); }
TEST(VectorMath, Rsqrt) {
  check("rsqrt", [](double x) { return 1 / std::sqrt(x); }, 1.5);
}
TEST(VectorMath, FastExpNearZero) {
  check("exp", std::exp, 4, -1.0f, 0.0f, /*fast=*/true);
}
TEST(VectorMath, FastExp) {
  check("exp", std::exp, 70, -86.6f, INFINITY, /*fast=*/true);
}

// What a softplus takes the logarithm of is at most 1.
TEST(VectorMath, Softplus) {
  check("softplus", [](double x) { return std::log1p(std::exp(-std::fabs(x))); },
        3, -80.0f, 80.0f);
}

TEST(VectorMath, FastExpUnderflows) {
  ArrayFunction f("exp", 1, 8, /*fast=*/true);
  std::vector<float> x = {-87.4f, -90, -104, -1e4f, -1e30f, -INFINITY, NAN, 0};
  std::vector<float> got = f(x, x);
  for (int i = 0; i < 6; ++i)
    EXPECT_LE(std::fabs(got[i] - std::exp(double(x[i]))), 2.4e-38) << x[i];
  EXPECT_EQ(got[5], 0);
  EXPECT_TRUE(std::isnan(got[6]));
  EXPECT_EQ(got[7], 1);
}

TEST(VectorMath, ExactAtZero) {
  std::vector<float> zeros = {0.0f, -0.0f, 0.0f, -0.0f,
                              0.0f, -0.0f, 0.0f, -0.0f};
  for (StringRef op : {"exp", "exp2", "cos"})
    for (float v : ArrayFunction(op, 1, 8)(zeros, zeros))
      EXPECT_EQ(v, 1.0f) << op.str();
}

TEST(VectorMath, HugeAnglesStayBounded) {
  std::vector<float> x = {1e10f, -1e15f, 1e18f, -1e25f,
                          1e30f, 3e38f,  -3e38f, 1e20f};
  for (StringRef op : {"sin", "cos"})
    for (float v : ArrayFunction(op, 1, 8)(x, x))
      EXPECT_LE(std::fabs(v), 1.0f) << op.str();
}

TEST(VectorMath, Pow) {
  std::vector<float> special = {0.0f,  -0.0f, 1.0f,     -1.0f,     2.0f,
                                -2.0f, 0.5f,  -0.5f,    3.0f,      -3.0f,
                                1e30f, 1e-40f, INFINITY, -INFINITY, NAN,
                                2.5f};
  std::vector<float> x, y;
  for (float a : special)
    for (float b : special) {
      x.push_back(a);
      y.push_back(b);
    }
  uint64_t seed = 1;
  auto next = [&] {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(seed >> 33);
  };
  for (int i = 0; i < 200000; ++i) {
    float a = std::ldexp(1.0f + next() * 0x1p-31f, int(next() % 40) - 20);
    x.push_back(next() % 8 ? a : -a);
    y.push_back(next() % 4 ? (next() * 0x1p-30f - 1) * 8
                           : float(int(next() % 21) - 10));
  }
  for (int width : {8, 16, 1}) {
    std::vector<float> got = ArrayFunction("powf", 2, width)(x, y);
    for (size_t i = 0; i != x.size(); ++i)
      ASSERT_LE(ulpError(got[i], std::pow(double(x[i]), double(y[i]))), 1.2)
          << "pow(" << x[i] << ", " << y[i] << ") = " << got[i];
  }
}

TEST(VectorMath, HalvesInFloat) {
  auto context = test::createKernelContext();
  auto module = parseSourceString<ModuleOp>(
      "func.func @f(%x: vector<8xbf16>, %y: f16, %z: vector<2x2xf64>)"
      " -> (vector<8xbf16>, f16, vector<2x2xf64>) {\n"
      "%a = math.exp %x : vector<8xbf16>\n"
      "%b = math.tanh %y : f16\n"
      "%c = math.exp %z : vector<2x2xf64>\n"
      "return %a, %b, %c : vector<8xbf16>, f16, vector<2x2xf64>\n}",
      context.get());
  cpu::VectorMathOptions options;
  cpu::expandMath(*module, options);
  ASSERT_TRUE(succeeded(verify(*module)));
  int scalars = 0;
  module->walk([&](Operation *op) {
    if (op->getName().getStringRef() == "math.exp") {
      ++scalars;
      EXPECT_TRUE(op->getResult(0).getType().isF64());
    }
  });
  EXPECT_EQ(scalars, 4);
}
