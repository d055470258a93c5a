//===- DoubleMathTest.cpp - Errors of the functions of f64 ----------------===//

#include "KernelJIT.h"
#include "Target/NVPTX/DoubleMath.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace ssmc;

static std::vector<double> apply(const std::string &name, std::vector<double> x) {
  std::string text = "func.func @f(%x: memref<?xf64>, %r: memref<?xf64>) {\n"
                     "%c0 = arith.constant 0 : index\n"
                     "%c1 = arith.constant 1 : index\n"
                     "%n = memref.dim %x, %c0 : memref<?xf64>\n"
                     "scf.for %i = %c0 to %n step %c1 {\n"
                     "%a = memref.load %x[%i] : memref<?xf64>\n"
                     "%v = math." +
                     name +
                     " %a : f64\n"
                     "memref.store %v, %r[%i] : memref<?xf64>\n}\n"
                     "return\n}\n";
  std::unique_ptr<MLIRContext> context = test::createKernelContext();
  auto module = parseSourceString<ModuleOp>(text, context.get());
  nvptx::expandDoubleMath(*module);
  test::KernelJIT jit(*module);
  std::vector<double> r(x.size());
  auto view = [](std::vector<double> &v) {
    return StridedMemRefType<double, 1>{v.data(), v.data(), 0, {int64_t(v.size())}, {1}};
  };
  auto xs = view(x), rs = view(r);
  jit.call("f", xs, rs);
  return r;
}

/// Numbers of both signs from 2^low to 2^high, 0, infinities and NaN.
static std::vector<double> numbers(int low, int high) {
  std::vector<double> x = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1.0, -1.0};
  for (int i = 0; i <= 4000; ++i) {
    double power = low + (high - low) * i / 4000.0;
    x.push_back(std::exp2(power));
    x.push_back(-std::exp2(power));
  }
  return x;
}

/// `isAbsolute`: results are compared with 1, not with themselves.
static void check(const std::string &name, double (*reference)(double), int low, int high,
                  bool isAbsolute = false) {
  std::vector<double> x = numbers(low, high), got = apply(name, x);
  for (size_t i = 0; i < x.size(); ++i) {
    double want = reference(x[i]);
    if (std::isnan(want) || std::isinf(want) || want == 0) {
      bool same = std::isnan(want) ? std::isnan(got[i])
                                   : got[i] == want && std::signbit(got[i]) ==
                                                           std::signbit(want);
      ASSERT_TRUE(same) << name << "(" << x[i] << ") = " << got[i] << ", want " << want;
      continue;
    }
    double size = isAbsolute ? 1 : std::max(std::fabs(want), 0x1p-1022);
    ASSERT_LE(std::fabs(got[i] - want) / size, 1e-14)
        << name << "(" << x[i] << ") = " << got[i] << ", want " << want;
  }
}

TEST(DoubleMath, Exponential) {
  check("exp", std::exp, -60, 9);
  check("exp2", std::exp2, -60, 9);
  check("expm1", std::expm1, -60, 9);
}

TEST(DoubleMath, Logarithm) {
  check("log", std::log, -1070, 1000);
  check("log1p", std::log1p, -60, 60);
  check("log2", std::log2, -200, 200);
  check("log10", std::log10, -200, 200);
}

TEST(DoubleMath, Trigonometric) {
  check("sin", std::sin, -60, 30, /*isAbsolute=*/true);
  check("cos", std::cos, -60, 30, /*isAbsolute=*/true);
}

TEST(DoubleMath, Others) {
  check("tanh", std::tanh, -60, 8);
  check("erf", std::erf, -60, 8);
  check("rsqrt", [](double x) { return 1 / std::sqrt(x); }, -200, 200);
}
