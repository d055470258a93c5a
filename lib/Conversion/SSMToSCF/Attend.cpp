//===- Attend.cpp - Sums over a second sequence index as loops ------------===//
//
// A softmax takes two passes over the tokens seen: one finds the largest score,
// one sums. The output holds the sums on the way. Histories are written last.
//
//===----------------------------------------------------------------------===//

#include "Sequence.h"

#include "ssm/IR/SSM.h"

#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <limits>

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc::detail;

namespace {
/// Lowers one op.
class AttendLowering {
public:
  AttendLowering(AttendOp op, OpBuilder &builder)
      : op(op), loops(builder, op.getLoc()),
        type(getElementTypeOrSelf(op.getOutput())) {}
  void run();

private:
  void lowerToken();
  Value loadKeyed(unsigned number, Value operand, AffineMap map);
  Value loadScoreIn(unsigned i);
  Value getScore();
  Value bound(AffineMap map, Value limit, bool isLower);
  void bindSizes(AffineMap map, Value operand);
  SmallVector<Value> sumOver(ValueRange init,
                             function_ref<SmallVector<Value>(ValueRange)> body);

  AttendOp op;
  Loops loops;
  Type type;
  /// Of keys, then of the values.
  SmallVector<Sequence> sequences;
  SmallVector<Value> sizes, point;
  SmallVector<unsigned> scoreLanes, valueLanes;
  /// The token, and those it sees, from the beginning of the sequence.
  Value token, begin, end;
};
} // namespace

void AttendLowering::bindSizes(AffineMap map, Value operand) {
  for (auto [axis, expr] : llvm::enumerate(map.getResults()))
    if (auto dim = dyn_cast<AffineDimExpr>(expr);
        dim && !sizes[dim.getPosition()])
      sizes[dim.getPosition()] = loops.size(operand, axis);
}

/// A key or value at the token `s` of the point.
Value AttendLowering::loadKeyed(unsigned number, Value operand, AffineMap map) {
  SmallVector<Value> indices = loops.apply(map, point);
  if (sequences[number].history)
    return loadToken(loops, sequences[number], indices, Value(), type);
  return loops.convert(loops.load(operand, indices), type);
}

/// An operand of the score; NaN where the point is outside of it.
Value AttendLowering::loadScoreIn(unsigned i) {
  Value operand = op.getScoreIns()[i];
  AffineMap map = op.getScoreMap(i);
  SmallVector<Value> indices = loops.apply(map, point);
  Value isInside;
  for (auto [axis, expr] : llvm::enumerate(map.getResults())) {
    if (isa<AffineDimExpr, AffineConstantExpr>(expr))
      continue;
    Value low = loops.less(loops.index(-1), indices[axis]);
    Value high = loops.less(indices[axis], loops.size(operand, axis));
    for (Value condition : {low, high})
      isInside = isInside ? arith::AndIOp::create(loops.builder, loops.loc,
                                                  isInside, condition)
                          : condition;
  }
  if (!isInside)
    return loops.load(operand, indices);
  Type element = getElementTypeOrSelf(operand);
  return loops.loadIf(isInside, operand, indices, element, [&]() -> Value {
    if (isa<FloatType>(element))
      return loops.constant(element, std::numeric_limits<double>::quiet_NaN());
    return arith::ConstantOp::create(loops.builder, loops.loc,
                                     loops.builder.getZeroAttr(element));
  });
}

Value AttendLowering::getScore() {
  Block &block = op.getScore().front();
  unsigned pairs = op.getNumPairs(), operands = op.getScoreIns().size();
  return loops
      .inlineSlice(
          block, block.getTerminator()->getOperands(),
          [&](unsigned argument) -> Value {
            if (argument >= pairs + operands) {
              unsigned dim = argument - pairs - operands + 1;
              Value index = point[dim];
              return dim == 1   ? token
                     : dim == 2 ? loops.add(index, op.getPosition())
                                : index;
            }
            if (argument >= pairs)
              return loadScoreIn(argument - pairs);
            auto product = [&](ValueRange partial) -> SmallVector<Value> {
              Value query = loops.convert(
                  loops.load(op.getQueries()[argument],
                             loops.apply(op.getQueryMap(argument), point)),
                  type);
              Value key = loadKeyed(argument, op.getKeys()[argument],
                                    op.getKeyMap(argument));
              return {loops.add(partial[0], loops.mul(query, key))};
            };
            return loops
                .reduce(op.getContracted(argument), sizes, point,
                        loops.constant(type, 0.0), product)
                .front();
          })
      .front();
}

/// The largest result of `map` and `limit`, or the smallest.
Value AttendLowering::bound(AffineMap map, Value limit, bool isLower) {
  for (Value result : loops.apply(map, token))
    limit = isLower ? loops.max(limit, result)
                    : Value(arith::MinSIOp::create(loops.builder, loops.loc,
                                                   limit, result));
  return limit;
}

/// `body` for every token that is seen, the last one first: so the decays of those
/// after a token are known.
SmallVector<Value> AttendLowering::sumOver(
    ValueRange init, function_ref<SmallVector<Value>(ValueRange)> body) {
  Value last = loops.sub(end, loops.index(1));
  return loops.reduce(begin, end, init, [&](Value step, ValueRange carried) {
    Value s = loops.sub(last, loops.sub(step, begin));
    point[2] = loops.sub(s, op.getPosition());
    return body(carried);
  });
}

/// All outputs at a token and the lanes of the score.
void AttendLowering::lowerToken() {
  OpBuilder &builder = loops.builder;
  Value zero = loops.constant(type, 0.0), largest;
  if (op.getSoftmax()) {
    Value lowest = loops.constant(type, -std::numeric_limits<double>::infinity());
    largest = sumOver(lowest, [&](ValueRange partial) -> SmallVector<Value> {
                return {arith::MaximumFOp::create(builder, loops.loc, partial[0],
                                                  getScore())};
              }).front();
    // Where nothing is seen, nothing is subtracted.
    Value isNone = arith::CmpFOp::create(
        builder, loops.loc, arith::CmpFPredicate::OEQ, largest, lowest);
    largest = loops.select(isNone, zero, largest);
  }
  auto forOutputs = [&](function_ref<Value(Value)> update) {
    loops.each(valueLanes, sizes, point, [&] {
      SmallVector<Value> at = loops.apply(op.getOutputMap(), point);
      loops.store(update(loops.load(op.getOutput(), at)), op.getOutput(), at);
    });
  };
  forOutputs([&](Value) { return zero; });
  Value one = loops.constant(type, 1.0);
  Value total =
      sumOver({zero, one}, [&](ValueRange partial) -> SmallVector<Value> {
        Value weight = getScore(), decay = partial[1];
        if (op.getDecays()) {
          weight = loops.mul(weight, decay);
          decay = loops.mul(decay, loadKeyed(op.getNumPairs() + 1, op.getDecays(),
                                             *op.getDecayMap()));
        }
        if (largest)
          weight = math::ExpOp::create(builder, loops.loc,
                                       loops.sub(weight, largest));
        forOutputs([&](Value sum) {
          Value value =
              loadKeyed(op.getNumPairs(), op.getValues(), op.getValueMap());
          return loops.add(sum, loops.mul(weight, value));
        });
        return {loops.add(partial[0], weight), decay};
      }).front();
  if (!largest)
    return;
  Value isSeen = arith::CmpFOp::create(
      builder, loops.loc, arith::CmpFPredicate::UNE, total, zero);
  Value divisor = loops.select(isSeen, total, one);
  forOutputs([&](Value sum) {
    return arith::DivFOp::create(builder, loops.loc, sum, divisor);
  });
}

void AttendLowering::run() {
  sizes.resize(op.getNumDims());
  point.assign(op.getNumDims(), loops.index(0));
  bindSizes(op.getOutputMap(), op.getOutput());
  for (auto [i, input] : llvm::enumerate(op.getKeyed())) {
    if (i < op.getNumPairs())
      bindSizes(op.getKeyMap(i), input);
    Value history = op.getHistories().empty() ? Value() : op.getHistories()[i];
    Value final =
        op.getFinalHistories().empty() ? Value() : op.getFinalHistories()[i];
    Value numTokens;
    if (history || final)
      numTokens = loops.size(history ? history : final, 1);
    sequences.push_back({input, history, /*cut=*/Value(), op.getPosition(),
                         numTokens, /*looksAhead=*/false, /*looksBehind=*/true});
  }
  for (unsigned i = 0, end = op.getNumPairs(); i < end; ++i)
    bindSizes(op.getQueryMap(i), op.getQueries()[i]);
  scoreLanes = op.getScoreLanes();
  for (unsigned lane = 3; lane < op.getNumLanes() + 3; ++lane)
    if (!llvm::is_contained(scoreLanes, lane))
      valueLanes.push_back(lane);
  Value first = op.getHistories().empty() ? op.getPosition() : loops.index(0);
  Value last = loops.add(op.getPosition(), loops.size(op.getValues(), 1));
  loops.each({0, 1}, sizes, point, [&] {
    token = loops.add(point[1], op.getPosition());
    begin = bound(op.getFromMap(), first, /*isLower=*/true);
    end = bound(op.getToMap(), last, /*isLower=*/false);
    loops.each(scoreLanes, sizes, point, [&] { lowerToken(); });
  });
  for (auto [i, final] : llvm::enumerate(op.getFinalHistories()))
    writeFinalHistory(loops, sequences[i], final);
}

namespace {
struct LowerAttend : public OpRewritePattern<AttendOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AttendOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics())
      return rewriter.notifyMatchFailure(op, "on tensors");
    AttendLowering(op, rewriter).run();
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

void ssmc::detail::populateAttendPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerAttend>(patterns.getContext());
}
