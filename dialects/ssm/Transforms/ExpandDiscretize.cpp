//===- ExpandDiscretize.cpp - Discretisation rules as arithmetic ----------===//

#include "ssm/IR/SSM.h"
#include "ssm/Transforms/Passes.h"

#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_EXPANDDISCRETIZEPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;
using namespace mlir::ssm;

namespace {
/// A number that may have an imaginary part.
struct Number {
  Value re;
  /// Null if real.
  Value im;
};

/// Scalar arithmetic on numbers.
class Arithmetic {
public:
  Arithmetic(OpBuilder &builder, Location loc, Type type)
      : builder(builder), loc(loc), type(type) {}

  Value constant(double value) {
    return arith::ConstantOp::create(builder, loc,
                                     builder.getFloatAttr(type, value));
  }
  Value add(Value l, Value r) {
    return arith::AddFOp::create(builder, loc, l, r);
  }
  Value sub(Value l, Value r) {
    return arith::SubFOp::create(builder, loc, l, r);
  }
  Value mul(Value l, Value r) {
    return arith::MulFOp::create(builder, loc, l, r);
  }
  Value div(Value l, Value r) {
    return arith::DivFOp::create(builder, loc, l, r);
  }

  Number mul(Number l, Number r) {
    if (!l.im && !r.im)
      return {mul(l.re, r.re), Value()};
    if (!l.im)
      return {mul(l.re, r.re), mul(l.re, r.im)};
    if (!r.im)
      return {mul(l.re, r.re), mul(l.im, r.re)};
    return {sub(mul(l.re, r.re), mul(l.im, r.im)),
            add(mul(l.re, r.im), mul(l.im, r.re))};
  }
  Number div(Number l, Number r) {
    if (!r.im)
      return {div(l.re, r.re), l.im ? div(l.im, r.re) : Value()};
    if (!l.im)
      l.im = constant(0.0);
    // Smith's quotient: scaled by the larger part of `r`, so that squares
    // neither overflow nor vanish.
    Value isRealLarger =
        arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OGE,
                              math::AbsFOp::create(builder, loc, r.re),
                              math::AbsFOp::create(builder, loc, r.im));
    Value large = select(isRealLarger, r.re, r.im);
    Value small = select(isRealLarger, r.im, r.re);
    Value ratio = div(small, large);
    Value size = add(large, mul(small, ratio));
    Value first = select(isRealLarger, l.re, l.im);
    Value second = select(isRealLarger, l.im, l.re);
    // (a + bi) / (c + di): re = (a + b d/c) / s, im = (b - a d/c) / s for
    // |c| >= |d|; otherwise re = (b + a c/d) / s, im = (b c/d - a) / s.
    Value re = div(add(first, mul(second, ratio)), size);
    Value forward = sub(second, mul(first, ratio));
    Value backward = sub(mul(first, ratio), second);
    Value im = div(select(isRealLarger, forward, backward), size);
    return {re, im};
  }
  /// `value + factor * number`.
  Number addScaled(double value, double factor, Number number) {
    Number result = number;
    if (factor == -1.0) {
      result.re = sub(constant(value), result.re);
      if (result.im)
        result.im = arith::NegFOp::create(builder, loc, result.im);
      return result;
    }
    if (factor != 1.0) {
      result.re = mul(constant(factor), result.re);
      if (result.im)
        result.im = mul(constant(factor), result.im);
    }
    result.re = add(constant(value), result.re);
    return result;
  }
  Number exp(Number number) {
    Value size = math::ExpOp::create(builder, loc, number.re);
    if (!number.im)
      return {size, Value()};
    return {mul(size, math::CosOp::create(builder, loc, number.im)),
            mul(size, math::SinOp::create(builder, loc, number.im))};
  }
  Number expm1(Number number) {
    Value real = math::ExpM1Op::create(builder, loc, number.re);
    if (!number.im)
      return {real, Value()};
    // cos(b) = 1 - 2 sin(b/2)^2 keeps the digits that cos(b) - 1 loses.
    Value half =
        math::SinOp::create(builder, loc, mul(constant(0.5), number.im));
    Value size = math::ExpOp::create(builder, loc, number.re);
    Value re = sub(mul(real, math::CosOp::create(builder, loc, number.im)),
                   mul(constant(2.0), mul(half, half)));
    return {re, mul(size, math::SinOp::create(builder, loc, number.im))};
  }
  /// `expm1(x) / x`, 1 where `x` is 0.
  Number expm1Quotient(Number x) {
    Value zero = constant(0.0);
    Value one = constant(1.0);
    Value isZero = arith::CmpFOp::create(builder, loc,
                                         arith::CmpFPredicate::OEQ, x.re, zero);
    if (x.im) {
      Value isImZero = arith::CmpFOp::create(
          builder, loc, arith::CmpFPredicate::OEQ, x.im, zero);
      isZero = arith::AndIOp::create(builder, loc, isZero, isImZero);
    }
    Number numerator = expm1(x);
    Number denominator = {select(isZero, one, x.re), x.im};
    Number quotient = div(numerator, denominator);
    quotient.re = select(isZero, one, quotient.re);
    if (quotient.im)
      quotient.im = select(isZero, zero, quotient.im);
    return quotient;
  }

private:
  Value select(Value condition, Value l, Value r) {
    return arith::SelectOp::create(builder, loc, condition, l, r);
  }

  OpBuilder &builder;
  Location loc;
  Type type;
};

struct ExpandDiscretize : public OpRewritePattern<DiscretizeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(DiscretizeOp op,
                                PatternRewriter &rewriter) const override {
    auto getNumber = [](OperandRange values) {
      return Number{values[0], values.size() > 1 ? values[1] : Value()};
    };
    Arithmetic arithmetic(rewriter, op.getLoc(), op.getRate()[0].getType());
    bool isComplex = op.getRate().size() == 2;
    Number step = getNumber(op.getStep());
    Number x = arithmetic.mul(getNumber(op.getRate()), step);
    Number decay = getDecay(arithmetic, op.getRule(), x);
    Number gain =
        getGain(arithmetic, op.getInput().value_or(op.getRule()), x, step);
    SmallVector<Value> results;
    for (Number number : {decay, gain}) {
      results.push_back(number.re);
      if (isComplex)
        results.push_back(number.im ? number.im : arithmetic.constant(0.0));
    }
    rewriter.replaceOp(op, results);
    return success();
  }

private:
  static Number getDecay(Arithmetic &arithmetic, Discretization rule,
                         Number x) {
    switch (rule) {
    case Discretization::zoh:
      return arithmetic.exp(x);
    case Discretization::bilinear:
      return arithmetic.div(arithmetic.addScaled(1.0, 0.5, x),
                            arithmetic.addScaled(1.0, -0.5, x));
    case Discretization::euler:
      return arithmetic.addScaled(1.0, 1.0, x);
    case Discretization::backward:
      return arithmetic.div(Number{arithmetic.constant(1.0), Value()},
                            arithmetic.addScaled(1.0, -1.0, x));
    }
    llvm_unreachable("all rules are covered");
  }

  static Number getGain(Arithmetic &arithmetic, Discretization rule, Number x,
                        Number step) {
    switch (rule) {
    case Discretization::zoh:
      return arithmetic.mul(step, arithmetic.expm1Quotient(x));
    case Discretization::bilinear:
      return arithmetic.div(step, arithmetic.addScaled(1.0, -0.5, x));
    case Discretization::euler:
      return step;
    case Discretization::backward:
      return arithmetic.div(step, arithmetic.addScaled(1.0, -1.0, x));
    }
    llvm_unreachable("all rules are covered");
  }
};

struct ExpandDiscretizePass
    : public ssm::impl::ExpandDiscretizePassBase<ExpandDiscretizePass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateExpandDiscretizePatterns(patterns);
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};
} // namespace

void mlir::ssm::populateExpandDiscretizePatterns(RewritePatternSet &patterns) {
  patterns.add<ExpandDiscretize>(patterns.getContext());
}
