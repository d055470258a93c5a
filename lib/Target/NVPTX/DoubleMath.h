//===- DoubleMath.h - Elementary functions of f64 scalars ------*- C++ -*-===//
//
// As arithmetic, for targets that have neither instructions nor a library for them.
// Relative errors are below 1e-14, of sine and cosine absolute ones where |x| is below
// 2^30; infinities, NaN and the sign of zero are as in C.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_DOUBLEMATH_H
#define SSMC_LIB_TARGET_NVPTX_DOUBLEMATH_H

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace ssmc::nvptx {

class DoubleMath {
public:
  explicit DoubleMath(mlir::ImplicitLocOpBuilder &builder) : b(builder) {}

  mlir::Value exp(mlir::Value x);
  mlir::Value expm1(mlir::Value x);
  mlir::Value log(mlir::Value x);
  mlir::Value log1p(mlir::Value x);
  mlir::Value sin(mlir::Value x) { return sineOfQuadrant(x, 0); }
  mlir::Value cos(mlir::Value x) { return sineOfQuadrant(x, 1); }
  mlir::Value tanh(mlir::Value x);
  mlir::Value erf(mlir::Value x);
  mlir::Value rsqrt(mlir::Value x);
  mlir::Value exp2(mlir::Value x);
  mlir::Value log2(mlir::Value x) { return mul(log(x), number(1.4426950408889634)); }
  mlir::Value log10(mlir::Value x) { return mul(log(x), number(0.4342944819032518)); }

private:
  mlir::Value number(double value);
  mlir::Value integer(int64_t value);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value div(mlir::Value x, mlir::Value y);
  mlir::Value fma(mlir::Value x, mlir::Value y, mlir::Value z);
  mlir::Value bits(mlir::Value x);
  mlir::Value fromBits(mlir::Value i);
  mlir::Value select(mlir::Value condition, mlir::Value x, mlir::Value y);
  mlir::Value isEqual(mlir::Value x, double y);
  mlir::Value polynomial(mlir::Value x, llvm::ArrayRef<double> coefficients);
  /// 2^n exp(r) for |r| <= ln(2)/2; `shifted` is n and the rounding shift.
  mlir::Value scaledExp(mlir::Value r, mlir::Value shifted);
  /// sin(x + quarters * pi/2).
  mlir::Value sineOfQuadrant(mlir::Value x, int64_t quarters);

  mlir::ImplicitLocOpBuilder &b;
};

/// Replaces operations of `math` on f64 below `root` that are in the list above.
void expandDoubleMath(mlir::Operation *root);

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_DOUBLEMATH_H
