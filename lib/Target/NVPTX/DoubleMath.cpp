//===- DoubleMath.cpp - Elementary functions of f64 scalars ---------------===//
//
// Argument reduction, then series: f64 is rare here, so terms are not counted.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/DoubleMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"
#include <limits>

using namespace mlir;
using namespace ssmc::nvptx;

static constexpr double infinity = std::numeric_limits<double>::infinity();
/// Adding 1.5 * 2^52 rounds to an integer, found in the low bits.
static constexpr double roundingShift = 6755399441055744.0;

Value DoubleMath::number(double value) {
  return arith::ConstantOp::create(b, b.getF64FloatAttr(value));
}
Value DoubleMath::integer(int64_t value) {
  return arith::ConstantOp::create(b, b.getI64IntegerAttr(value));
}
Value DoubleMath::add(Value x, Value y) { return arith::AddFOp::create(b, x, y); }
Value DoubleMath::sub(Value x, Value y) { return arith::SubFOp::create(b, x, y); }
Value DoubleMath::mul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
Value DoubleMath::div(Value x, Value y) { return arith::DivFOp::create(b, x, y); }
Value DoubleMath::fma(Value x, Value y, Value z) {
  return LLVM::CallIntrinsicOp::create(b, x.getType(), b.getStringAttr("llvm.fma.f64"),
                                       ValueRange{x, y, z})
      ->getResult(0);
}
Value DoubleMath::bits(Value x) {
  return arith::BitcastOp::create(b, b.getI64Type(), x);
}
Value DoubleMath::fromBits(Value i) {
  return arith::BitcastOp::create(b, b.getF64Type(), i);
}
Value DoubleMath::select(Value condition, Value x, Value y) {
  return arith::SelectOp::create(b, condition, x, y);
}
Value DoubleMath::isEqual(Value x, double y) {
  return arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x, number(y));
}
Value DoubleMath::polynomial(Value x, ArrayRef<double> coefficients) {
  Value result = number(coefficients.back());
  for (double c : llvm::reverse(coefficients.drop_back()))
    result = fma(result, x, number(c));
  return result;
}

Value DoubleMath::exp(Value x) {
  // Results are 0 and infinity well before; NaN passes.
  x = arith::MaximumFOp::create(b, x, number(-800.0));
  x = arith::MinimumFOp::create(b, x, number(800.0));
  Value shifted = fma(x, number(1.4426950408889634), number(roundingShift));
  Value n = sub(shifted, number(roundingShift));
  Value r = fma(n, number(-0.693147180369123816490), x); // ln 2, its upper bits
  r = fma(n, number(-1.90821492927058770002e-10), r);
  return scaledExp(r, shifted);
}

Value DoubleMath::exp2(Value x) {
  x = arith::MaximumFOp::create(b, x, number(-1200.0));
  x = arith::MinimumFOp::create(b, x, number(1200.0));
  Value shifted = add(x, number(roundingShift));
  Value rest = sub(x, sub(shifted, number(roundingShift)));
  return scaledExp(mul(rest, number(0.6931471805599453)), shifted);
}

Value DoubleMath::scaledExp(Value r, Value shifted) {
  SmallVector<double> taylor = {1.0};
  for (int i = 1; i <= 14; ++i)
    taylor.push_back(taylor.back() / i);
  Value result = polynomial(r, taylor);
  // Two factors: one cannot hold the exponents of denormal results.
  Value power = arith::SubIOp::create(b, bits(shifted), bits(number(roundingShift)));
  Value half = arith::ShRSIOp::create(b, power, integer(1));
  for (Value part : {half, Value(arith::SubIOp::create(b, power, half))}) {
    Value biased = arith::AddIOp::create(b, part, integer(1023));
    result = mul(result, fromBits(arith::ShLIOp::create(b, biased, integer(52))));
  }
  return result;
}

// W. Kahan: what rounding exp(x) lost is lost in its logarithm, too.
Value DoubleMath::expm1(Value x) {
  Value u = exp(x), minusOne = sub(u, number(1.0));
  Value corrected = div(mul(minusOne, x), log(u));
  Value result = select(isEqual(u, 1.0), x, corrected);
  result = select(isEqual(minusOne, -1.0), number(-1.0), result);
  return select(isEqual(u, infinity), number(infinity), result);
}

Value DoubleMath::log1p(Value x) {
  Value u = add(x, number(1.0));
  Value corrected = div(mul(log(u), x), sub(u, number(1.0)));
  Value result = select(isEqual(u, 1.0), x, corrected);
  return select(isEqual(u, infinity), number(infinity), result);
}

Value DoubleMath::log(Value x) {
  // Denormal numbers are scaled to normal ones.
  Value isTiny = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x,
                                       number(std::numeric_limits<double>::min()));
  Value scaled = select(isTiny, mul(x, number(0x1p54)), x);
  // The mantissa in [sqrt(1/2), sqrt(2)).
  Value offset = arith::SubIOp::create(b, bits(scaled), integer(0x3FE6A09E667F3BCD));
  Value exponent = arith::ShRSIOp::create(b, offset, integer(52));
  Value low = arith::AndIOp::create(b, offset, integer((int64_t(1) << 52) - 1));
  Value m = fromBits(arith::AddIOp::create(b, low, integer(0x3FE6A09E667F3BCD)));
  Value n = arith::SIToFPOp::create(b, b.getF64Type(), exponent);
  n = sub(n, select(isTiny, number(54.0), number(0.0)));
  // log(m) = 2 artanh(s).
  Value f = sub(m, number(1.0));
  Value s = div(f, add(f, number(2.0)));
  SmallVector<double> series;
  for (int i = 3; i <= 23; i += 2)
    series.push_back(2.0 / i);
  Value square = mul(s, s);
  // 2 s = f - s f, of which f is exact.
  Value tail = mul(s, sub(mul(square, polynomial(square, series)), f));
  Value result = add(f, fma(n, number(1.90821492927058770002e-10), tail));
  result = fma(n, number(0.693147180369123816490), result);
  result = select(isEqual(x, infinity), x, result);
  result = select(isEqual(x, 0.0), number(-infinity), result);
  Value isNumber = arith::CmpFOp::create(b, arith::CmpFPredicate::OGE, x, number(0.0));
  return select(isNumber, result, number(std::numeric_limits<double>::quiet_NaN()));
}

Value DoubleMath::tanh(Value x) {
  Value magnitude = arith::MinimumFOp::create(b, math::AbsFOp::create(b, x), number(20.0));
  Value e = expm1(add(magnitude, magnitude));
  return math::CopySignOp::create(b, div(e, add(e, number(2.0))), x);
}

Value DoubleMath::rsqrt(Value x) {
  return div(number(1.0), math::SqrtOp::create(b, x));
}

// 2/sqrt(pi) exp(-x^2) x sum_n (2 x^2)^n / (3 5 ... (2n + 1)): no term is negative.
Value DoubleMath::erf(Value x) {
  constexpr int64_t numTerms = 160; // to the last place at the bound
  Value bounded = math::CopySignOp::create(
      b, arith::MinimumFOp::create(b, math::AbsFOp::create(b, x), number(6.0)), x);
  Value square = mul(bounded, bounded), twice = add(square, square);
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  Value end = arith::ConstantIndexOp::create(b, numTerms);
  auto loop = scf::ForOp::create(
      b, zero, end, one, ValueRange{bounded, bounded, number(3.0)},
      [&](OpBuilder &, Location, Value, ValueRange at) {
        Value term = div(mul(at[0], twice), at[2]);
        scf::YieldOp::create(b, ValueRange{term, add(at[1], term), add(at[2], number(2.0))});
      });
  Value scale = mul(number(1.1283791670955126), exp(arith::NegFOp::create(b, square)));
  return mul(loop.getResult(1), scale);
}

Value DoubleMath::sineOfQuadrant(Value x, int64_t quarters) {
  // pi/2 in three parts of 33 bits: products by a quadrant below 2^20 are exact, and
  // fused ones beyond lose nothing that counts.
  Value shifted = fma(x, number(0.63661977236758134308), number(roundingShift));
  Value n = sub(shifted, number(roundingShift));
  Value r = fma(n, number(-1.57079632673412561417), x);
  r = fma(n, number(-6.07710050630396597660e-11), r);
  r = fma(n, number(-2.02226624871116645580e-21), r);
  r = fma(n, number(-8.47842766036889956997e-32), r);
  SmallVector<double> sine = {1.0}, cosine = {1.0};
  for (int i = 1; i <= 9; ++i) {
    sine.push_back(-sine.back() / ((2 * i) * (2 * i + 1)));
    cosine.push_back(-cosine.back() / ((2 * i - 1) * (2 * i)));
  }
  Value square = mul(r, r);
  Value near = mul(r, polynomial(square, sine)), far = polynomial(square, cosine);
  Value quadrant = arith::AddIOp::create(b, bits(shifted), integer(quarters));
  auto hasBit = [&](int64_t bit) -> Value {
    Value masked = arith::AndIOp::create(b, quadrant, integer(bit));
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, masked, integer(0));
  };
  Value result = select(hasBit(1), far, near);
  result = select(hasBit(2), arith::NegFOp::create(b, result), result);
  return quarters == 0 ? select(isEqual(x, 0.0), x, result) : result;
}

/// A function of f64 as arithmetic, or null.
static Value emitDouble(ImplicitLocOpBuilder &b, Operation *op) {
  if (!op->getResult(0).getType().isF64())
    return {};
  DoubleMath math(b);
  Value x = op->getOperand(0);
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](math::ExpOp) { return math.exp(x); })
      .Case([&](math::ExpM1Op) { return math.expm1(x); })
      .Case([&](math::LogOp) { return math.log(x); })
      .Case([&](math::Log1pOp) { return math.log1p(x); })
      .Case([&](math::SinOp) { return math.sin(x); })
      .Case([&](math::CosOp) { return math.cos(x); })
      .Case([&](math::TanhOp) { return math.tanh(x); })
      .Case([&](math::ErfOp) { return math.erf(x); })
      .Case([&](math::RsqrtOp) { return math.rsqrt(x); })
      .Case([&](math::Exp2Op) { return math.exp2(x); })
      .Case([&](math::Log2Op) { return math.log2(x); })
      .Case([&](math::Log10Op) { return math.log10(x); })
      .Default([](Operation *) { return Value(); });
}

void ssmc::nvptx::expandDoubleMath(Operation *root) {
  root->walk([](Operation *op) {
    if (!isa_and_nonnull<math::MathDialect>(op->getDialect()))
      return;
    ImplicitLocOpBuilder b(op->getLoc(), op);
    if (Value result = emitDouble(b, op)) {
      op->getResult(0).replaceAllUsesWith(result);
      op->erase();
    }
  });
}
