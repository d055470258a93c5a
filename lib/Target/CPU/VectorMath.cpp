//===- VectorMath.cpp - Elementary functions from arithmetic --------------===//
//
// Argument reduction, a minimax polynomial and reconstruction for each
// function. The coefficients minimise the error relative to the result, with
// the leading ones fixed where exactness at 0 depends on them.
//
//===----------------------------------------------------------------------===//

#include "Target/CPU/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace ssmc::cpu;

static constexpr double infinity = std::numeric_limits<double>::infinity();
static constexpr double notANumber = std::numeric_limits<double>::quiet_NaN();
static constexpr double log2OfE = 1.4426950408889634;
/// ln 2 in two parts; the first has 9 bits, so that its product by an exponent
/// is exact.
static constexpr double ln2High = 0.693359375;
static constexpr double ln2Low = -2.12194440054690583e-4;
/// Adding 1.5 * 2^23 rounds a float to an integer, found in the low bits.
static constexpr double roundingShift = 12582912.0;
static constexpr int64_t roundingShiftBits = 0x4B400000;
/// The same for doubles.
static constexpr double roundingShift64 = 6755399441055744.0;

/// (exp(r) - 1 - r) / r^2 for |r| <= ln(2)/2.
static constexpr double exponentialTail[] = {
    0.49999994, 0.166665211, 0.041668389, 0.00836871658, 0.00138146034};
/// The same with one more term, for expm1, which has no 1 to drown errors.
static constexpr double exponentialMinusOneTail[] = {
    0.5,           0.166666672,   0.0416662395,
    0.00833328627, 0.00139485928, 0.000199075846};
/// 2^f for |f| <= 1/2.
static constexpr double exponential2[] = {
    1.0,           0.693147242,   0.240226507,   0.0555029735,
    0.00961803086, 0.00134100311, 0.000154697584};
static constexpr double exponential2Fast[] = {
    1.0, 0.693147004, 0.240222424, 0.0555073395, 0.00967153348, 0.00132646982};
/// 2^(g - 1/2) for 0 <= g < 1. In single precision, with fused operations, the
/// value at 1/2 is 1 exactly, and errors beside it do not lean to one side.
static constexpr double exponential2Shifted[] = {
    0.7071067690849304,  0.49013373255729675,  0.16981056332588196,
    0.03948049247264862, 0.006355330813676119, 0.001326472731307149};
/// (log(1+f) - f + f^2/2) / f^3.
static constexpr double logarithmTail[] = {
    0.333333105,  -0.249999866, 0.200022265,  -0.166692525, 0.142186642,
    -0.123843312, 0.118729196,  -0.117898874, 0.0691557974};
/// log1p(y)/y for 0 <= y <= 1.
static constexpr double log1pOfUnitTerms[] = {
    1.0,          -0.49999997, 0.333328426,   -0.249865264, 0.19854106,
    -0.158475652, 0.115618452, -0.0667577237, 0.0252240542, -0.00446621142};
/// (sin(r)/r - 1) / r^2 and (cos(r) - 1 + r^2/2) / r^4 of r^2, |r| <= pi/4.
static constexpr double sineTail[] = {-0.166666552, 0.008332178,
                                      -0.000195172339};
static constexpr double cosineTail[] = {0.0416666456, -0.00138873665,
                                        2.44383791e-05};
/// erf(x)/x - 1 of x^2, and log(erfc(x))/x + 1, on either side of this bound.
static constexpr double erfBound = 0.927734375;
static constexpr double erfNear[] = {0.128379151,  -0.376124978,
                                     0.112818383,  -0.0267668851,
                                     0.0049929521, -0.000598707993};
static constexpr double erfFar[] = {
    -0.12865651,    -0.635118365,   -0.106292017,   0.0238100626,
    -0.00366538065, 0.000328493596, -1.18045928e-05};

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

Type VectorMath::withElement(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(element);
  return element;
}

Value VectorMath::constant(double value, Type like) {
  auto element = cast<FloatType>(getElementTypeOrSelf(like));
  Attribute attr = b.getFloatAttr(element, value);
  if (auto vector = dyn_cast<VectorType>(like))
    attr = DenseElementsAttr::get(vector, attr);
  return arith::ConstantOp::create(b, cast<TypedAttr>(attr));
}

Value VectorMath::integer(int64_t value, Type like) {
  Attribute attr = b.getIntegerAttr(getElementTypeOrSelf(like), value);
  if (auto vector = dyn_cast<VectorType>(like))
    attr = DenseElementsAttr::get(vector, attr);
  return arith::ConstantOp::create(b, cast<TypedAttr>(attr));
}

Value VectorMath::add(Value x, Value y) {
  return arith::AddFOp::create(b, x, y);
}

Value VectorMath::sub(Value x, Value y) {
  return arith::SubFOp::create(b, x, y);
}

Value VectorMath::mul(Value x, Value y) {
  return arith::MulFOp::create(b, x, y);
}

// Not math.fma: where there is no such instruction it becomes a call.
Value VectorMath::madd(Value x, Value y, Value z) {
  Value product =
      arith::MulFOp::create(b, x, y, arith::FastMathFlags::contract);
  return arith::AddFOp::create(b, product, z, arith::FastMathFlags::contract);
}

Value VectorMath::nmadd(Value x, Value y, Value z) {
  Value product =
      arith::MulFOp::create(b, x, y, arith::FastMathFlags::contract);
  return arith::SubFOp::create(b, z, product, arith::FastMathFlags::contract);
}

Value VectorMath::polynomial(Value x, ArrayRef<double> coefficients) {
  Value result = constant(coefficients.back(), x);
  for (double c : llvm::reverse(coefficients.drop_back()))
    result = madd(result, x, constant(c, x));
  return result;
}

Value VectorMath::bits(Value x) {
  unsigned width = getElementTypeOrSelf(x.getType()).getIntOrFloatBitWidth();
  return arith::BitcastOp::create(
      b, withElement(x.getType(), b.getIntegerType(width)), x);
}

Value VectorMath::fromBits(Value i, Type type) {
  return arith::BitcastOp::create(b, type, i);
}

Value VectorMath::abs(Value x) { return math::AbsFOp::create(b, x); }

Value VectorMath::copySign(Value magnitude, Value sign) {
  return math::CopySignOp::create(b, magnitude, sign);
}

// Comparisons false for NaN, so that it passes; x86 has them as one
// instruction each.
Value VectorMath::clamp(Value x, double low, double high) {
  x = select(isLess(x, low), low, x);
  return select(isGreater(x, high), high, x);
}

Value VectorMath::isEqual(Value x, double y) {
  return arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x, constant(y, x));
}

Value VectorMath::isLess(Value x, double y) {
  return arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, constant(y, x));
}

Value VectorMath::isGreater(Value x, double y) {
  return arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x, constant(y, x));
}

Value VectorMath::select(Value condition, Value x, Value y) {
  return arith::SelectOp::create(b, condition, x, y);
}

//===----------------------------------------------------------------------===//
// Powers of two
//===----------------------------------------------------------------------===//

bool VectorMath::hasScalef(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return options.avx512 && vector && vector.getRank() == 1 &&
         !vector.isScalable() && vector.getNumElements() == 16 &&
         vector.getElementType().isF32();
}

Value VectorMath::scalef(Value x, Value n) {
  Value everyLane = integer(-1, b.getI16Type());
  Value currentRounding = integer(4, b.getI32Type());
  auto call = LLVM::CallIntrinsicOp::create(
      b, x.getType(), b.getStringAttr("llvm.x86.avx512.mask.scalef.ps.512"),
      ValueRange{x, n, x, everyLane, currentRounding});
  return call->getResult(0);
}

// Two factors, because one cannot hold the exponents of denormal results; the
// first product is exact.
Value VectorMath::scale(Value x, Value n) {
  Type type = n.getType();
  Value half = arith::ShRSIOp::create(b, n, integer(1, type));
  Value rest = arith::SubIOp::create(b, n, half);
  for (Value part : {half, rest}) {
    Value biased = arith::AddIOp::create(b, part, integer(127, type));
    Value power = arith::ShLIOp::create(b, biased, integer(23, type));
    x = mul(x, fromBits(power, x.getType()));
  }
  return x;
}

std::pair<Value, Value> VectorMath::roundToInteger(Value x, double factor) {
  // Not a conversion to integer, which is undefined for NaN; nor the
  // instruction that rounds, which takes as long as two of these.
  Value shifted = madd(x, factor, constant(roundingShift, x));
  Value n = add(shifted, -roundingShift);
  if (hasScalef(x.getType()))
    return {n, Value()};
  Value i = bits(shifted);
  return {n,
          arith::SubIOp::create(b, i, integer(roundingShiftBits, i.getType()))};
}

Value VectorMath::scaleRounded(Value x, std::pair<Value, Value> n) {
  return n.second ? scale(x, n.second) : scalef(x, n.first);
}

Value VectorMath::ptxExp2(Value x) {
  return LLVM::CallIntrinsicOp::create(
             b, x.getType(), b.getStringAttr("llvm.nvvm.ex2.approx.ftz.f"), x)
      ->getResult(0);
}

// The instruction takes x*log2(e) as rounded; what the rounding lost, and what the
// rounding of log2(e) did, is a factor beside 1.
Value VectorMath::ptxExp(Value x) {
  if (options.fastExp)
    return ptxExp2(mul(x, log2OfE));
  // Results are 0 and infinity long before; beyond, what was lost is not finite.
  // NaN passes.
  x = arith::MaximumFOp::create(b, x, constant(-200.0, x));
  x = arith::MinimumFOp::create(b, x, constant(200.0, x));
  auto fma = [&](Value u, Value v, Value w) -> Value {
    return LLVM::CallIntrinsicOp::create(b, x.getType(), b.getStringAttr("llvm.fma.f32"),
                                         ValueRange{u, v, w})
        ->getResult(0);
  };
  constexpr double high = 1.44269502162933349609375; // log2(e) as a float
  Value t = mul(x, high);
  Value lost = fma(x, constant(high, x), arith::NegFOp::create(b, t));
  lost = fma(x, constant(log2OfE - high, x), lost);
  Value factor = fma(lost, constant(0.6931471805599453, x), constant(1.0, x));
  return mul(ptxExp2(t), factor);
}

Value VectorMath::exp(Value x) {
  if (options.ptx)
    return ptxExp(x);
  if (options.fastExp)
    return fastExp2(arith::MulFOp::create(b, x, constant(log2OfE, x),
                                          arith::FastMathFlags::contract));
  // Past these bounds the result is infinite or 0; within, 2^n has a form.
  x = clamp(x, -104.5, 89.0);
  auto n = roundToInteger(x, log2OfE);
  Value r = nmadd(n.first, ln2High, x);
  r = nmadd(n.first, ln2Low, r);
  Value tail = polynomial(r, exponentialTail);
  Value p = madd(madd(tail, r, constant(1.0, r)), r, constant(1.0, r));
  return scaleRounded(p, n);
}

Value VectorMath::fastExp2(Value x) {
  if (hasScalef(x.getType())) {
    // The scaling rounds its exponent down, so of x + 1/2 only the fraction has
    // to be found; that of infinities is 0.
    Value shifted = arith::AddFOp::create(b, x, constant(0.5, x.getType()),
                                          arith::FastMathFlags::contract);
    Value roundDown = integer(9, b.getI32Type());
    auto fraction = LLVM::CallIntrinsicOp::create(
        b, x.getType(), b.getStringAttr("llvm.x86.avx512.mask.reduce.ps.512"),
        ValueRange{shifted, roundDown, shifted, integer(-1, b.getI16Type()),
                   integer(4, b.getI32Type())});
    return scalef(polynomial(fraction->getResult(0), exponential2Shifted),
                  shifted);
  }
  // The rounding shift with the bias of exponents, less one, on top leaves the
  // exponent of 2^(n-1) in the lowest bits: 2^128 becomes infinity, and 2^-127
  // 0. The bits of `power` mean nothing for NaN, but the polynomial is NaN
  // then.
  x = clamp(x, -126.0, 129.0);
  Value shifted = add(x, roundingShift + 126);
  Value n = add(shifted, -(roundingShift + 126));
  Value exponent = bits(shifted);
  Value power = fromBits(
      arith::ShLIOp::create(b, exponent, integer(23, exponent.getType())),
      x.getType());
  SmallVector<double> twice;
  for (double coefficient : exponential2Fast)
    twice.push_back(2 * coefficient);
  return mul(polynomial(sub(x, n), twice), power);
}

Value VectorMath::exp2(Value x) {
  if (options.ptx)
    return ptxExp2(x);
  if (options.fastExp)
    return fastExp2(x);
  x = clamp(x, -151.0, 129.0);
  auto n = roundToInteger(x, 1.0);
  return scaleRounded(polynomial(sub(x, n.first), exponential2), n);
}

Value VectorMath::expm1(Value x) {
  // Below -20 the result rounds to -1, and 2^(n-1) must stay normal.
  Value inRange = clamp(x, -20.0, 89.0);
  Value shifted = madd(inRange, log2OfE, constant(roundingShift, x));
  Value n = add(shifted, -roundingShift);
  Value r = nmadd(n, ln2High, inRange);
  r = nmadd(n, ln2Low, r);
  Value tail = polynomial(r, exponentialMinusOneTail);
  Value q = madd(mul(r, r), tail, r);
  // exp(x) - 1 = 2 (2^(n-1) q + (2^(n-1) - 1/2)): for n = 0 the parenthesis is
  // 0, and n = 128 does not overflow too early.
  Value i = bits(shifted);
  i = arith::SubIOp::create(b, i,
                            integer(roundingShiftBits - 126, i.getType()));
  Value power = fromBits(arith::ShLIOp::create(b, i, integer(23, i.getType())),
                         x.getType());
  Value halved = madd(power, q, add(power, -0.5));
  // The bits of `power` mean nothing for NaN, but q is NaN then.
  return select(isEqual(x, 0.0), x, add(halved, halved));
}

//===----------------------------------------------------------------------===//
// Logarithms
//===----------------------------------------------------------------------===//

VectorMath::Decomposed VectorMath::decompose(Value x) {
  Value i = bits(x);
  Type type = i.getType();
  // sqrt(1/2), below which the mantissa belongs to the next lower exponent.
  Value threshold = integer(0x3F3504F3, type);
  Value offset = arith::SubIOp::create(b, i, threshold);
  Value exponent = arith::ShRSIOp::create(b, offset, integer(23, type));
  Value mantissa = arith::AndIOp::create(b, offset, integer(0x7FFFFF, type));
  mantissa = arith::AddIOp::create(b, mantissa, threshold);
  return {exponent, add(fromBits(mantissa, x.getType()), -1.0)};
}

Value VectorMath::logOfFraction(Value f) {
  Value square = mul(f, f);
  Value tail = mul(polynomial(f, logarithmTail), mul(f, square));
  return add(f, nmadd(square, 0.5, tail));
}

Value VectorMath::logOfDecomposed(const Decomposed &d) {
  Value f = d.fraction;
  Value e = arith::SIToFPOp::create(b, f.getType(), d.exponent);
  // From the smallest term to the largest.
  Value square = mul(f, f);
  Value tail = mul(polynomial(f, logarithmTail), mul(f, square));
  tail = madd(e, ln2Low, tail);
  tail = nmadd(square, 0.5, tail);
  return madd(e, ln2High, add(f, tail));
}

Value VectorMath::withLogLimits(Value x, Value result) {
  result = select(isLess(x, infinity), result, x);
  result = select(isEqual(x, 0.0), -infinity, result);
  return select(isLess(x, 0.0), notANumber, result);
}

/// Smallest positive normal float.
static constexpr double smallestNormal = 1.17549435082228750797e-38;

Value VectorMath::log(Value x) {
  Value isDenormal = isLess(x, smallestNormal);
  Decomposed d = decompose(select(isDenormal, mul(x, 8388608.0), x));
  Type type = d.exponent.getType();
  d.exponent = arith::AddIOp::create(
      b, d.exponent, select(isDenormal, integer(-23, type), integer(0, type)));
  return withLogLimits(x, logOfDecomposed(d));
}

Value VectorMath::log2(Value x) {
  Value isDenormal = isLess(x, smallestNormal);
  Decomposed d = decompose(select(isDenormal, mul(x, 8388608.0), x));
  Value e = arith::SIToFPOp::create(b, x.getType(), d.exponent);
  e = select(isDenormal, add(e, -23.0), e);
  return withLogLimits(x, madd(logOfFraction(d.fraction), log2OfE, e));
}

Value VectorMath::log10(Value x) { return mul(log(x), 0.4342944819032518); }

Value VectorMath::log1pOfUnit(Value x) {
  return mul(x, polynomial(x, log1pOfUnitTerms));
}

Value VectorMath::log1p(Value x) {
  Value one = constant(1.0, x);
  Value u = add(x, one);
  // What the sum lost, exactly: it returns as a part of the fraction.
  Value virtualX = sub(u, one);
  Value lost = add(sub(one, sub(u, virtualX)), sub(x, virtualX));
  Decomposed d = decompose(u);
  Type type = d.exponent.getType();
  Value biased = arith::SubIOp::create(b, integer(127, type), d.exponent);
  // An exponent of 128 has no reciprocal power; nothing is lost there.
  biased = arith::MaxSIOp::create(b, biased, integer(1, type));
  Value reciprocal = fromBits(
      arith::ShLIOp::create(b, biased, integer(23, type)), x.getType());
  d.fraction = madd(lost, reciprocal, d.fraction);
  Value result = withLogLimits(u, logOfDecomposed(d));
  return select(isEqual(x, 0.0), x, result);
}

//===----------------------------------------------------------------------===//
// Trigonometric functions
//===----------------------------------------------------------------------===//

// In double precision, and pi/2 in two parts, the first of 33 bits: exact
// without a fused operation for up to 2^20 quadrants. Floats would need many
// more parts.
VectorMath::Angle VectorMath::reduceAngle(Value x) {
  Type wide = withElement(x.getType(), b.getF64Type());
  Value y = arith::ExtFOp::create(b, wide, x);
  Value shifted =
      madd(y, 0.63661977236758134308, constant(roundingShift64, wide));
  Value n = add(shifted, -roundingShift64);
  Value remainder = nmadd(n, 1.57079632673412561417, y);
  remainder = nmadd(n, 6.07710050650619224932e-11, remainder);
  Value r = arith::TruncFOp::create(b, x.getType(), remainder);
  Value quadrant = arith::TruncIOp::create(
      b, withElement(x.getType(), b.getI32Type()), bits(shifted));
  return {quadrant, clamp(r, -0.7853982, 0.7853982)};
}

Value VectorMath::sineOfQuadrant(const Angle &reduced) {
  Value r = reduced.angle;
  Value square = mul(r, r);
  Value sine = madd(mul(polynomial(square, sineTail), square), r, r);
  Value cosine = madd(mul(polynomial(square, cosineTail), square), square,
                      nmadd(square, 0.5, constant(1.0, r)));
  Type type = reduced.quadrant.getType();
  Value odd = arith::AndIOp::create(b, reduced.quadrant, integer(1, type));
  Value isOdd =
      arith::CmpIOp::create(b, arith::CmpIPredicate::ne, odd, integer(0, type));
  Value magnitude = bits(select(isOdd, cosine, sine));
  Value sign = arith::AndIOp::create(b, reduced.quadrant, integer(2, type));
  sign = arith::ShLIOp::create(b, sign, integer(30, type));
  return fromBits(arith::XOrIOp::create(b, magnitude, sign), r.getType());
}

Value VectorMath::sin(Value x) {
  return select(isEqual(x, 0.0), x, sineOfQuadrant(reduceAngle(x)));
}

Value VectorMath::cos(Value x) {
  Angle reduced = reduceAngle(x);
  reduced.quadrant = arith::AddIOp::create(
      b, reduced.quadrant, integer(1, reduced.quadrant.getType()));
  return sineOfQuadrant(reduced);
}

//===----------------------------------------------------------------------===//
// Functions of the exponential
//===----------------------------------------------------------------------===//

Value VectorMath::tanh(Value x) {
  // Rounds to 1 past 9.01; expm1 keeps the relative error near 0.
  Value magnitude = clamp(abs(x), 0.0, 10.0);
  Value e = expm1(add(magnitude, magnitude));
  Value quotient = arith::DivFOp::create(b, e, add(e, 2.0));
  return copySign(quotient, x);
}

Value VectorMath::erf(Value x) {
  Value near = madd(polynomial(mul(x, x), erfNear), x, x);
  // Rounds to 1 past 3.92.
  Value t = clamp(abs(x), 0.0, 4.0);
  Value exponent = nmadd(t, constant(1.0, t), mul(polynomial(t, erfFar), t));
  Value complement = exp(exponent);
  Value far = copySign(sub(constant(1.0, x), complement), x);
  return select(isLess(abs(x), erfBound), near, far);
}

Value VectorMath::rsqrt(Value x) {
  return arith::DivFOp::create(b, constant(1.0, x), math::SqrtOp::create(b, x));
}

// |x|^|y| through a double logarithm, whose error is multiplied by up to 128.
Value VectorMath::pow(Value x, Value y) {
  Type type = x.getType();
  Type wide = withElement(type, b.getF64Type());
  Type i32 = withElement(type, b.getI32Type());
  Value magnitude = abs(x);

  Value i = bits(Value(arith::ExtFOp::create(b, wide, magnitude)));
  Value threshold = integer(0x3FE6A09E667F3BCD, i.getType()); // sqrt(1/2)
  Value offset = arith::SubIOp::create(b, i, threshold);
  // Arithmetic shifts and conversions of 64-bit lanes are slow; the exponent
  // is in the upper half.
  Value upper = arith::TruncIOp::create(
      b, i32, arith::ShRUIOp::create(b, offset, integer(32, i.getType())));
  Value exponent = arith::ShRSIOp::create(b, upper, integer(20, i32));
  Value mantissa = arith::AndIOp::create(
      b, offset, integer((int64_t(1) << 52) - 1, i.getType()));
  Value m = fromBits(arith::AddIOp::create(b, mantissa, threshold), wide);
  // log(m) = 2 artanh((m-1)/(m+1)).
  Value s = arith::DivFOp::create(b, add(m, -1.0), add(m, 1.0));
  Value square = mul(s, s);
  Value series = polynomial(
      square, {1.0, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13});
  Value log2 = madd(mul(s, 2.0 * log2OfE), series,
                    arith::SIToFPOp::create(b, wide, exponent));

  // A finite y keeps inf * log2(1) away.
  Value power = clamp(arith::ExtFOp::create(b, wide, y), -1e60, 1e60);
  Value t = clamp(mul(power, log2), -152.0, 130.0);
  Value shifted = add(t, roundingShift64);
  Value fraction =
      arith::TruncFOp::create(b, type, sub(t, add(shifted, -roundingShift64)));
  Value n = arith::TruncIOp::create(b, i32, bits(shifted));
  Value result = scale(polynomial(fraction, exponential2), n);

  // Bases without a logarithm.
  Value isZero = isEqual(x, 0.0);
  Value isInfinite = isEqual(magnitude, infinity);
  Value negative = isLess(y, 0.0);
  Value zero = constant(0.0, type), inf = constant(infinity, type);
  result = select(isZero, select(negative, inf, zero), result);
  result = select(isInfinite, select(negative, zero, inf), result);

  // Negative bases: the sign of odd powers, none of fractional ones. Floats
  // from 2^24 on are even.
  Value exact = clamp(power, -0x1p30, 0x1p30);
  auto isInteger = [&](Value v) -> Value {
    Value rounded = add(add(v, roundingShift64), -roundingShift64);
    return arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, v, rounded);
  };
  Value isWhole = isInteger(exact);
  Value isHalfWhole = isInteger(mul(exact, 0.5));
  Value flipped = copySign(result, x);
  Value signedResult = select(isHalfWhole, result, flipped);
  // Zero and infinity take fractional powers too.
  Value mayBeFractional = arith::OrIOp::create(b, isZero, isInfinite);
  Value fractional =
      select(mayBeFractional, result, constant(notANumber, type));
  Value signBit = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, bits(x),
                                        integer(0, i32));
  result = select(signBit, select(isWhole, signedResult, fractional), result);

  Value isNaN = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, y);
  result = select(isNaN, notANumber, result);
  Value isOne = arith::OrIOp::create(b, isEqual(x, 1.0), isEqual(y, 0.0));
  return select(isOne, 1.0, result);
}

Value VectorMath::toBF16(Value x) {
  Value i = bits(x);
  Type type = i.getType();
  Value sixteen = integer(16, type);
  Value upper = arith::ShRUIOp::create(b, i, sixteen);
  // Half of the last place, less a bit if that place is even.
  Value odd = arith::AndIOp::create(b, upper, integer(1, type));
  Value rounded = arith::AddIOp::create(
      b, i, arith::AddIOp::create(b, odd, integer(0x7FFF, type)));
  rounded = arith::ShRUIOp::create(b, rounded, sixteen);
  // The sum could carry a NaN over to infinity or zero.
  Value quiet = arith::OrIOp::create(b, upper, integer(0x40, type));
  Value isNaN = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
  Value narrow =
      arith::TruncIOp::create(b, withElement(x.getType(), b.getI16Type()),
                              select(isNaN, quiet, rounded));
  return fromBits(narrow, withElement(x.getType(), b.getBF16Type()));
}
