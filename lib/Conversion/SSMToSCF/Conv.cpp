//===- Conv.cpp - Convolution and shift as loops over lags ----------------===//
//
// Outputs come first, then the final history in increasing order of tokens:
// it reads the history at or after the token it writes, and no output needs
// the history any more. So history and final history may be one buffer.
//
//===----------------------------------------------------------------------===//

#include "Loops.h"

#include "ssm/IR/SSM.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc::detail;

namespace {
/// A sequence with what came before it.
struct Sequence {
  Value input;
  /// Null if zero.
  Value history;
  /// Null if no document starts inside.
  Value cut;
  /// Number of tokens of the history.
  int64_t numTokens;
};
} // namespace

/// Whether a document starts at a token of `(token, last]` of this call.
static Value isCut(Loops &loops, const Sequence &sequence, Value batch,
                   Value token, Value last) {
  Value begin = loops.max(loops.add(token, loops.index(1)), loops.index(0));
  Value no = arith::ConstantIntOp::create(loops.builder, loops.loc, 0, 1);
  return loops
      .reduce(begin, loops.add(last, loops.index(1)), no,
              [&](Value iv, ValueRange found) -> SmallVector<Value> {
                Value starts = loops.load(sequence.cut, {batch, iv});
                return {arith::OrIOp::create(loops.builder, loops.loc, found[0],
                                             starts)};
              })
      .front();
}

/// The sequence at `indices`, the second of which is a token that may lie
/// before this call; zero if a document starts in `(token, last]`.
static Value loadToken(Loops &loops, const Sequence &sequence,
                       ArrayRef<Value> indices, Value last, Type type) {
  Value token = indices[1];
  Value isBefore = loops.less(token, loops.index(0));
  Value isInside = arith::XOrIOp::create(
      loops.builder, loops.loc, isBefore,
      arith::ConstantIntOp::create(loops.builder, loops.loc, 1, 1));
  Value value =
      loops.loadIf(isInside, sequence.input, indices, type, [&]() -> Value {
        if (!sequence.history)
          return loops.constant(type, 0.0);
        SmallVector<Value> before(indices);
        before[1] = loops.add(token, loops.index(sequence.numTokens));
        return loops.convert(loops.load(sequence.history, before), type);
      });
  if (!sequence.cut)
    return value;
  return loops.select(isCut(loops, sequence, indices[0], token, last),
                      loops.constant(type, 0.0), value);
}

/// All sizes of `memref`.
static SmallVector<Value> getSizes(Loops &loops, Value memref) {
  SmallVector<Value> sizes;
  int64_t rank = cast<MemRefType>(memref.getType()).getRank();
  for (int64_t dim = 0; dim < rank; ++dim)
    sizes.push_back(loops.size(memref, dim));
  return sizes;
}

/// Writes the last tokens of history and input together.
static void writeFinalHistory(Loops &loops, const Sequence &sequence,
                              Value finalHistory) {
  Type type = getElementTypeOrSelf(finalHistory);
  SmallVector<Value> sizes = getSizes(loops, finalHistory);
  // The number of tokens is static even where the buffer's type says less.
  sizes[1] = loops.index(sequence.numTokens);
  SmallVector<Value> point(sizes.size());
  auto dims = llvm::to_vector(llvm::seq<unsigned>(0, sizes.size()));
  // Tokens innermost, so that every other point is shifted on its own.
  std::rotate(dims.begin() + 1, dims.begin() + 2, dims.end());
  Value length = loops.size(sequence.input, 1);
  Value last = loops.sub(length, loops.index(1));
  loops.repeat(dims, sizes, point, [&] {
    SmallVector<Value> from(point);
    from[1] =
        loops.sub(loops.add(length, point[1]), loops.index(sequence.numTokens));
    loops.store(loadToken(loops, sequence, from, last, type), finalHistory,
                point);
  });
}

static void lowerConv(ConvOp op, OpBuilder &builder) {
  Loops loops(builder, op.getLoc());
  Type type = getAccumulatorType({getElementTypeOrSelf(op.getInput()),
                                  getElementTypeOrSelf(op.getKernel()),
                                  getElementTypeOrSelf(op.getOutput())});
  Sequence sequence = {op.getInput(), op.getHistory(), op.getCut(),
                       static_cast<int64_t>(op.getLags()) - 1};
  SmallVector<Value> sizes(op.getNumDims());
  SmallVector<unsigned> dims;
  for (auto [axis, expr] : llvm::enumerate(op.getOutputMap().getResults())) {
    dims.push_back(cast<AffineDimExpr>(expr).getPosition());
    sizes[dims.back()] = loops.size(op.getOutput(), axis);
  }
  SmallVector<Value> point(op.getNumDims(), loops.index(0));
  loops.repeat(dims, sizes, point, [&] {
    SmallVector<Value> indices = loops.apply(op.getInputMap(), point);
    Value zero = loops.constant(type, 0.0);
    SmallVector<Value> sum = loops.reduce(
        loops.index(0), loops.index(op.getLags()), zero,
        [&](Value lag, ValueRange partial) -> SmallVector<Value> {
          point.back() = lag;
          SmallVector<Value> from(indices);
          from[1] = loops.sub(point[1], lag);
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
  Sequence sequence = {op.getInput(), op.getHistory(), op.getCut(), distance};
  SmallVector<Value> sizes = getSizes(loops, output);
  SmallVector<Value> point(sizes.size());
  auto dims = llvm::to_vector(llvm::seq<unsigned>(0, sizes.size()));
  loops.repeat(dims, sizes, point, [&] {
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
