//===- Conv.cpp - Convolution and shift as loops over lags ----------------===//
//
// Outputs come first, then the final history: no output needs the history any
// more. It is written in increasing order of tokens, each after the history was
// read at or after it, or, as a ring, at the place that is read. So history and
// final history may be one buffer.
//
//===----------------------------------------------------------------------===//

#include "Sequence.h"

#include "ssm/IR/SSM.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc::detail;

Sequence ssmc::detail::getSequence(Loops &loops, ConvOp op) {
  Value numTokens;
  // Without a ring the number of tokens may be known where the type of the
  // buffer says less.
  if (std::optional<int64_t> known = op.getReach(); known && !op.getPosition())
    numTokens = loops.index(std::max<int64_t>(*known, 0));
  else if (op.getHistory() || op.getFinalHistory())
    numTokens = loops.size(
        op.getHistory() ? op.getHistory() : op.getFinalHistory(), 1);
  std::optional<int64_t> reach = op.getReach();
  bool isCausal = !op.getFirst() && static_cast<int64_t>(op.getStaticFirst()) >= 0;
  return {op.getInput(),    op.getHistory(), op.getCut(),
          op.getPosition(), numTokens,       !isCausal,
          !reach || op.getPosition()};
}

Lags ssmc::detail::getLags(Loops &loops, ConvOp op) {
  return {op.getFirst() ? op.getFirst()
                        : loops.index(static_cast<int64_t>(op.getStaticFirst())),
          op.hasDynamicLags() ? loops.size(op.getKernel(), *op.getLagAxis())
                              : loops.index(static_cast<int64_t>(op.getLags()))};
}

static void lowerConv(ConvOp op, OpBuilder &builder) {
  Loops loops(builder, op.getLoc());
  Type type = getAccumulatorType({getElementTypeOrSelf(op.getInput()),
                                  getElementTypeOrSelf(op.getKernel()),
                                  getElementTypeOrSelf(op.getOutput())});
  Sequence sequence = getSequence(loops, op);
  Lags lags = getLags(loops, op);
  SmallVector<Value> sizes(op.getNumDims());
  SmallVector<unsigned> dims;
  for (auto [axis, expr] : llvm::enumerate(op.getOutputMap().getResults())) {
    dims.push_back(cast<AffineDimExpr>(expr).getPosition());
    sizes[dims.back()] = loops.size(op.getOutput(), axis);
  }
  SmallVector<Value> point(op.getNumDims(), loops.index(0));
  loops.each(dims, sizes, point, [&] {
    SmallVector<Value> indices = loops.apply(op.getInputMap(), point);
    Value zero = loops.constant(type, 0.0);
    SmallVector<Value> sum = loops.reduce(
        loops.index(0), lags.count, zero,
        [&](Value place, ValueRange partial) -> SmallVector<Value> {
          point.back() = place;
          SmallVector<Value> from(indices);
          from[1] = loops.sub(point[1], loops.add(lags.first, place));
          Value value = loadToken(loops, sequence, from, point[1], type);
          Value weight = loops.convert(
              loops.load(op.getKernel(), loops.apply(op.getKernelMap(), point)),
              type);
          return {loops.add(partial[0], loops.mul(weight, value))};
        });
    Value result =
        loops
            .inlineEpilogue(op.getEpilogue(), sum, op.getEpilogueIns(),
                            op.getEpilogueMaps(), point)
            .front();
    loops.store(result, op.getOutput(), loops.apply(op.getOutputMap(), point));
  });
  if (Value finalHistory = op.getFinalHistory())
    writeFinalHistory(loops, sequence, finalHistory);
}

static void lowerShift(ShiftOp op, OpBuilder &builder) {
  Loops loops(builder, op.getLoc());
  Value output = op.getOuts().front();
  Type type = getElementTypeOrSelf(output);
  int64_t distance = op.getDistance();
  Sequence sequence = {op.getInput(), op.getHistory(), op.getCut(),
                       /*position=*/Value(), loops.index(distance)};
  SmallVector<Value> sizes = getSizes(loops, output);
  SmallVector<Value> point(sizes.size());
  auto dims = llvm::to_vector(llvm::seq<unsigned>(0, sizes.size()));
  loops.each(dims, sizes, point, [&] {
    SmallVector<Value> from(point);
    from[1] = loops.sub(point[1], loops.index(distance));
    Value value;
    if (distance > 0)
      value = loadToken(loops, sequence, from, point[1], type);
    else
      value = loops.loadIf(loops.less(from[1], sizes[1]), op.getInput(), from,
                           type, [&] { return loops.constant(type, 0.0); });
    loops.store(value, output, point);
  });
  if (op.getOuts().size() > 1)
    writeFinalHistory(loops, sequence, op.getOuts()[1]);
}

namespace {
struct LowerConv : public OpRewritePattern<ConvOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ConvOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics())
      return rewriter.notifyMatchFailure(op, "on tensors");
    lowerConv(op, rewriter);
    rewriter.eraseOp(op);
    return success();
  }
};

struct LowerShift : public OpRewritePattern<ShiftOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ShiftOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics())
      return rewriter.notifyMatchFailure(op, "on tensors");
    lowerShift(op, rewriter);
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

void ssmc::detail::populateConvPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerConv, LowerShift>(patterns.getContext());
}
