//===- VectorMath.h - Elementary functions from arithmetic -----*- C++ -*-===//
//
// Emits elementary functions of f32 scalars and vectors (of any shape) as
// `arith` operations: no calls, no tables, no branches. Maximum errors over all
// floats, in units in the last place, are checked by the unit test:
//
// | function      | ulp  | notes                                             |
// |---------------|------|---------------------------------------------------|
// | exp, exp2     | 1.2  | denormal results correct                          |
// | exp, fast     | 70   | 4 in [-1, 0]; results below 2^-125 may become 0   |
// | expm1, log1p  | 1.5  |                                                   |
// | log           | 1    | log2 and log10: 2                                 |
// | tanh          | 2.5  |                                                   |
// | sin, cos      | 1.5  | to 10^9 (10^6 without fused operations); beyond   |
// |               |      | 2^50 only bounded by [-1, 1]                      |
// | erf, rsqrt    | 1.5  |                                                   |
// | pow           | 1.2  |                                                   |
//
// Infinities, NaN and the sign of zero are as in C. Products that feed a sum
// carry `contract`, so that targets with a fused operation use it; none is
// needed for the errors above.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_VECTORMATH_H
#define SSMC_TARGET_CPU_VECTORMATH_H

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace ssmc::cpu {

struct VectorMathOptions {
  /// One rounding of x*log2(e) and a quintic instead of a two-step reduction
  /// and a sextic: a fifth faster, error proportional to |x|.
  bool fastExp = false;
  /// May use AVX-512 instructions on vectors of 16 lanes.
  bool avx512 = false;
  /// Scalars are for PTX: exp and exp2 through `ex2.approx.ftz` (2.5 ulp, 4 ulp of
  /// x*log2(e) if fast; denormal results are 0).
  bool ptx = false;
};

/// Emits at the insertion point of `builder`. Arguments are f32, or vectors
/// of f32; so are the results.
class VectorMath {
public:
  VectorMath(mlir::ImplicitLocOpBuilder &builder,
             const VectorMathOptions &options)
      : b(builder), options(options) {}

  mlir::Value exp(mlir::Value x);
  mlir::Value exp2(mlir::Value x);
  mlir::Value expm1(mlir::Value x);
  mlir::Value log(mlir::Value x);
  mlir::Value log2(mlir::Value x);
  mlir::Value log10(mlir::Value x);
  mlir::Value log1p(mlir::Value x);
  /// For 0 <= x <= 1 (or NaN), error 1.7 ulp.
  mlir::Value log1pOfUnit(mlir::Value x);
  mlir::Value tanh(mlir::Value x);
  mlir::Value sin(mlir::Value x);
  mlir::Value cos(mlir::Value x);
  mlir::Value erf(mlir::Value x);
  mlir::Value rsqrt(mlir::Value x);
  mlir::Value pow(mlir::Value x, mlir::Value y);
  /// To bf16, to nearest even.
  mlir::Value toBF16(mlir::Value x);

private:
  /// Logarithm's argument as 2^exponent * (1 + fraction), the fraction in
  /// [sqrt(1/2) - 1, sqrt(2) - 1).
  struct Decomposed {
    mlir::Value exponent; // i32
    mlir::Value fraction;
  };
  /// x = quadrant * pi/2 + angle.
  struct Angle {
    mlir::Value quadrant; // i32, modulo 4
    mlir::Value angle;
  };

  // Arithmetic on whatever shape the operands have.
  mlir::Value constant(double value, mlir::Type like);
  mlir::Value integer(int64_t value, mlir::Type like);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, double y) { return mul(x, constant(y, x)); }
  mlir::Value add(mlir::Value x, double y) { return add(x, constant(y, x)); }
  mlir::Value constant(double value, mlir::Value like) {
    return constant(value, like.getType());
  }
  /// x * y + z and z - x * y, fused where the target can.
  mlir::Value madd(mlir::Value x, mlir::Value y, mlir::Value z);
  mlir::Value madd(mlir::Value x, double y, mlir::Value z) {
    return madd(x, constant(y, x), z);
  }
  mlir::Value nmadd(mlir::Value x, mlir::Value y, mlir::Value z);
  mlir::Value nmadd(mlir::Value x, double y, mlir::Value z) {
    return nmadd(x, constant(y, x), z);
  }
  /// Horner's rule; the constant term first.
  mlir::Value polynomial(mlir::Value x, llvm::ArrayRef<double> coefficients);
  mlir::Value bits(mlir::Value x);
  mlir::Value fromBits(mlir::Value i, mlir::Type type);
  mlir::Value abs(mlir::Value x);
  mlir::Value copySign(mlir::Value magnitude, mlir::Value sign);
  /// Between the bounds; NaN stays NaN.
  mlir::Value clamp(mlir::Value x, double low, double high);
  mlir::Value isEqual(mlir::Value x, double y);
  mlir::Value isLess(mlir::Value x, double y);
  mlir::Value isGreater(mlir::Value x, double y);
  mlir::Value select(mlir::Value condition, mlir::Value x, mlir::Value y);
  mlir::Value select(mlir::Value condition, double x, mlir::Value y) {
    return select(condition, constant(x, y), y);
  }
  /// The same shape with another element type.
  mlir::Type withElement(mlir::Type type, mlir::Type element);

  bool hasScalef(mlir::Type type);
  /// x * 2^n, `n` holding integers.
  mlir::Value scalef(mlir::Value x, mlir::Value n);
  /// x * 2^n for an i32 `n` in [-250, 250], rounded once.
  mlir::Value scale(mlir::Value x, mlir::Value n);
  /// Nearest integer to x * factor as a float, and as an i32 (only without
  /// scalef).
  std::pair<mlir::Value, mlir::Value> roundToInteger(mlir::Value x,
                                                     double factor);
  mlir::Value scaleRounded(mlir::Value x,
                           std::pair<mlir::Value, mlir::Value> n);
  mlir::Value fastExp2(mlir::Value x);
  mlir::Value ptxExp2(mlir::Value x);
  mlir::Value ptxExp(mlir::Value x);
  Decomposed decompose(mlir::Value x);
  /// log(1 + fraction).
  mlir::Value logOfFraction(mlir::Value fraction);
  /// log of a decomposed positive finite number.
  mlir::Value logOfDecomposed(const Decomposed &d);
  /// Puts in the values of a logarithm of x where x is not positive and finite.
  mlir::Value withLogLimits(mlir::Value x, mlir::Value result);
  Angle reduceAngle(mlir::Value x);
  mlir::Value sineOfQuadrant(const Angle &reduced);

  mlir::ImplicitLocOpBuilder &b;
  const VectorMathOptions &options;
};

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_VECTORMATH_H
