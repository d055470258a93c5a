//===- DoubleMath.h - Elementary functions of f64 scalars ------*- C++ -*-===//
//
// As arithmetic, for targets that have neither instructions nor a library for them.
// Errors are a few units in the last place where |x| is below 2^30 for sine and cosine;
// infinities, NaN and the sign of zero are as in C.
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
  /// sin(x + quarters * pi/2).
  mlir::Value sineOfQuadrant(mlir::Value x, int64_t quarters);

  mlir::ImplicitLocOpBuilder &b;
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_DOUBLEMATH_H
