//===- Conv.cpp - Convolution and shift as loops over lags ----------------===//
//
// Outputs come first, then the final history: no output needs the history any
// more. It is written in increasing order of tokens, each after the history was
// read at or after it, or, as a ring, at the place that is read. So history and
// final history may be one buffer.
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
  /// Tokens of the sequence before this call, if the history is a ring.
  Value position;
  /// Number of tokens of the history.
  Value numTokens;
  /// Tokens after this call may be asked for.
  bool looksAhead = false;
  /// Tokens before the history may be asked for.
  bool looksBehind = false;

  /// Where a token, counted from the sequence's beginning, is in a ring. One of
  /// no tokens has no places, but is asked all the same.
  Value getPlace(Loops &loops, Value token) const {
    return arith::RemSIOp::create(loops.builder, loops.loc, token,
                                  loops.max(numTokens, loops.index(1)));
  }
};
} // namespace

static Value andOf(Loops &loops, Value left, Value right) {
  return arith::AndIOp::create(loops.builder, loops.loc, left, right);
}

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

/// The history at a token before this call, a negative number.
static Value loadHistory(Loops &loops, const Sequence &sequence,
                         ArrayRef<Value> indices, Type type) {
  Value zero = loops.constant(type, 0.0);
  if (!sequence.history)
    return zero;
  SmallVector<Value> before(indices);
  before[1] = loops.add(indices[1], sequence.numTokens);
  if (!sequence.looksBehind)
    return loops.convert(loops.load(sequence.history, before), type);
  Value isKept = loops.less(loops.index(-1), before[1]);
  if (sequence.position) {
    Value token = loops.add(indices[1], sequence.position);
    isKept = andOf(loops, isKept, loops.less(loops.index(-1), token));
    before[1] = sequence.getPlace(loops, token);
  }
  return loops.loadIf(isKept, sequence.history, before, type,
                      [&] { return zero; });
}

/// The sequence at `indices`, the second of which is a token that may lie
/// outside of this call; zero if a document starts between it and `at`.
static Value loadToken(Loops &loops, const Sequence &sequence,
                       ArrayRef<Value> indices, Value at, Type type) {
  Value token = indices[1];
  Value isBefore = loops.less(token, loops.index(0));
  Value isInside = arith::XOrIOp::create(
      loops.builder, loops.loc, isBefore,
      arith::ConstantIntOp::create(loops.builder, loops.loc, 1, 1));
  if (sequence.looksAhead)
    isInside = andOf(loops, isInside,
                     loops.less(token, loops.size(sequence.input, 1)));
  Value value =
      loops.loadIf(isInside, sequence.input, indices, type, [&]() -> Value {
        if (!sequence.looksAhead)
          return loadHistory(loops, sequence, indices, type);
        // After the end it is zero, and so are places that do not exist.
        auto earlier = scf::IfOp::create(loops.builder, loops.loc, type, isBefore,
                                         /*withElseRegion=*/true);
        OpBuilder::InsertionGuard guard(loops.builder);
        loops.builder.setInsertionPointToStart(earlier.thenBlock());
        scf::YieldOp::create(loops.builder, loops.loc,
                             loadHistory(loops, sequence, indices, type));
        loops.builder.setInsertionPointToStart(earlier.elseBlock());
        scf::YieldOp::create(loops.builder, loops.loc, loops.constant(type, 0.0));
        return earlier.getResult(0);
      });
  if (!sequence.cut)
    return value;
  if (!sequence.looksAhead)
    return loops.select(isCut(loops, sequence, indices[0], token, at),
                        loops.constant(type, 0.0), value);
  Value length = loops.size(sequence.input, 1);
  auto smaller = [&](Value left, Value right) {
    return loops.select(loops.less(left, right), left, right);
  };
  Value last = smaller(loops.max(token, at),
                       loops.sub(length, loops.index(1)));
  return loops.select(
      isCut(loops, sequence, indices[0], smaller(token, at), last),
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
  sizes[1] = sequence.numTokens;
  SmallVector<Value> point(sizes.size());
  auto dims = llvm::to_vector(llvm::seq<unsigned>(0, sizes.size()));
  // Tokens innermost, so that every other point is shifted on its own.
  std::rotate(dims.begin() + 1, dims.begin() + 2, dims.end());
  Value length = loops.size(sequence.input, 1);
  Value last = loops.sub(length, loops.index(1));
  if (!sequence.position)
    return loops.repeat(dims, sizes, point, [&] {
      SmallVector<Value> from(point);
      from[1] = loops.sub(loops.add(length, point[1]), sequence.numTokens);
      loops.store(loadToken(loops, sequence, from, last, type), finalHistory,
                  point);
    });
  if (finalHistory == sequence.history && !sequence.cut) {
    // A ring in place: the new tokens are put into it.
    Value skipped = loops.max(loops.sub(length, sequence.numTokens),
                              loops.index(0));
    sizes[1] = loops.sub(length, skipped);
    return loops.repeat(dims, sizes, point, [&] {
      SmallVector<Value> from(point), to(point);
      from[1] = loops.add(point[1], skipped);
      to[1] = sequence.getPlace(loops, loops.add(sequence.position, from[1]));
      loops.store(loops.convert(loops.load(sequence.input, from), type),
                  finalHistory, to);
    });
  }
  // The latest token whose place in the ring is this one.
  Value newest = loops.add(sequence.position, last);
  loops.repeat(dims, sizes, point, [&] {
    SmallVector<Value> from(point);
    Value behind = loops.sub(loops.add(newest, sequence.numTokens), point[1]);
    from[1] = loops.sub(last, sequence.getPlace(loops, behind));
    loops.store(loadToken(loops, sequence, from, last, type), finalHistory,
                point);
  });
}

static void lowerConv(ConvOp op, OpBuilder &builder) {
  Loops loops(builder, op.getLoc());
  Type type = getAccumulatorType({getElementTypeOrSelf(op.getInput()),
                                  getElementTypeOrSelf(op.getKernel()),
                                  getElementTypeOrSelf(op.getOutput())});
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
  Sequence sequence = {op.getInput(),    op.getHistory(), op.getCut(),
                       op.getPosition(), numTokens,       !isCausal,
                       !reach || op.getPosition()};
  Value first = op.getFirst() ? op.getFirst()
                              : loops.index(static_cast<int64_t>(
                                    op.getStaticFirst()));
  Value lags = op.hasDynamicLags()
                   ? loops.size(op.getKernel(), *op.getLagAxis())
                   : loops.index(static_cast<int64_t>(op.getLags()));
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
        loops.index(0), lags, zero,
        [&](Value place, ValueRange partial) -> SmallVector<Value> {
          point.back() = place;
          SmallVector<Value> from(indices);
          from[1] = loops.sub(point[1], loops.add(first, place));
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
