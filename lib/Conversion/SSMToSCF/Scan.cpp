//===- Scan.cpp - The recurrence as loops over time -----------------------===//

#include "Loops.h"

#include "ssm/IR/SSM.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc::detail;

namespace {
/// One part of a real, two of a complex number.
using Parts = SmallVector<Value>;

class ScanLowering {
public:
  ScanLowering(ScanOp op, OpBuilder &builder)
      : op(op), loops(builder, op.getLoc()), roles(op.getCoefficientsOp()),
        keyDims(op.getKeyDims()), width(op.getNumStates()),
        type(getAccumulatorType(
            getElementTypeOrSelf(op.getFinalStates().front()))),
        point(op.getNumDims()), sizes(op.getNumDims()) {
    for (unsigned dim : op.getStateDims())
      if (!llvm::is_contained(keyDims, dim))
        laneDims.push_back(dim);
  }

  void run();

private:
  Parts loadState();
  void storeState(const Parts &state);
  /// Coefficients `values` at the point, as numbers of the state.
  SmallVector<Value> evaluate(ValueRange values);
  /// The state before this token: zero after a reset.
  Parts loadPrevious();
  void initialize();
  void updateStates();
  void writeOutputs();

  Parts multiply(ValueRange left, ValueRange right);
  Parts add(ValueRange left, ValueRange right);
  Parts zero() { return Parts(width, loops.constant(type, 0.0)); }

  ScanOp op;
  Loops loops;
  CoefficientsOp roles;
  SmallVector<unsigned> keyDims;
  /// State dimensions beyond the batch that are not keys.
  SmallVector<unsigned> laneDims;
  unsigned width;
  /// The type in which the recurrence is computed.
  Type type;
  SmallVector<Value> point;
  SmallVector<Value> sizes;
};

struct LowerScan : public OpRewritePattern<ScanOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ScanOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics())
      return rewriter.notifyMatchFailure(op, "on tensors");
    ScanLowering(op, rewriter).run();
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

Parts ScanLowering::multiply(ValueRange left, ValueRange right) {
  if (width == 1)
    return {loops.mul(left[0], right[0])};
  return {
      loops.sub(loops.mul(left[0], right[0]), loops.mul(left[1], right[1])),
      loops.add(loops.mul(left[0], right[1]), loops.mul(left[1], right[0]))};
}

Parts ScanLowering::add(ValueRange left, ValueRange right) {
  Parts sum;
  for (auto [l, r] : llvm::zip_equal(left, right))
    sum.push_back(loops.add(l, r));
  return sum;
}

Parts ScanLowering::loadState() {
  SmallVector<Value> indices = loops.apply(op.getStateMap(), point);
  Parts state;
  for (Value memref : op.getFinalStates())
    state.push_back(loops.convert(loops.load(memref, indices), type));
  return state;
}

void ScanLowering::storeState(const Parts &state) {
  SmallVector<Value> indices = loops.apply(op.getStateMap(), point);
  for (auto [value, memref] : llvm::zip_equal(state, op.getFinalStates()))
    loops.store(value, memref, indices);
}

SmallVector<Value> ScanLowering::evaluate(ValueRange values) {
  SmallVector<Value> results = loops.inlineSlice(
      op.getCoefficients().front(), values, [&](unsigned argument) {
        return loops.load(op.getIns()[argument],
                          loops.apply(op.getInsMap(argument), point));
      });
  for (Value &result : results)
    result = loops.convert(result, type);
  return results;
}

Parts ScanLowering::loadPrevious() {
  Parts state = loadState();
  if (!roles.getReset())
    return state;
  Value reset = evaluate(roles.getReset()).front();
  for (Value &part : state)
    part = loops.select(reset, loops.constant(type, 0.0), part);
  return state;
}

/// Every point of the initial state is read before the same point of the final
/// state is written, so the two may be one buffer.
void ScanLowering::initialize() {
  SmallVector<unsigned> dims = {0};
  llvm::append_range(dims, op.getStateDims());
  loops.repeat(dims, sizes, point, [&] {
    if (op.getInitial().empty())
      return storeState(zero());
    SmallVector<Value> indices = loops.apply(op.getStateMap(), point);
    Parts state;
    for (Value memref : op.getInitial())
      state.push_back(loops.load(memref, indices));
    storeState(state);
  });
}

void ScanLowering::updateStates() {
  unsigned numPairs = roles.getErase().size() / (2 * width);
  loops.repeat(laneDims, sizes, point, [&] {
    // The sums of all erase pairs over the state before this token come first:
    // they need all keys, which are overwritten below.
    SmallVector<Value> sums(numPairs * width, loops.constant(type, 0.0));
    if (numPairs > 0)
      sums = loops.reduce(keyDims, sizes, point, sums, [&](ValueRange partial) {
        Parts previous = loadPrevious();
        SmallVector<Value> next;
        for (unsigned pair = 0; pair < numPairs; ++pair) {
          SmallVector<Value> left =
              evaluate(roles.getErase().slice(2 * width * pair, width));
          llvm::append_range(next, add(partial.slice(width * pair, width),
                                       multiply(left, previous)));
        }
        return next;
      });
    loops.repeat(keyDims, sizes, point, [&] {
      Parts state = loadPrevious();
      if (!roles.getDecay().empty())
        state = multiply(evaluate(roles.getDecay()), state);
      for (unsigned pair = 0; pair < numPairs; ++pair) {
        SmallVector<Value> right =
            evaluate(roles.getErase().slice(2 * width * pair + width, width));
        ValueRange sum = ValueRange(sums).slice(width * pair, width);
        state = add(state, multiply(right, sum));
      }
      if (!roles.getWrite().empty())
        state = add(state, evaluate(roles.getWrite()));
      storeState(state);
    });
  });
}

void ScanLowering::writeOutputs() {
  loops.repeat(op.getOutputDims(), sizes, point, [&] {
    Parts output;
    if (roles.getRead().empty()) {
      output = loadState();
    } else {
      output =
          loops.reduce(keyDims, sizes, point, zero(), [&](ValueRange partial) {
            return add(partial,
                       multiply(evaluate(roles.getRead()), loadState()));
          });
    }
    output.resize(op.getNumOutputs());
    SmallVector<Value> results =
        loops.inlineEpilogue(op.getEpilogue(), output, op.getEpilogueIns(),
                             op.getEpilogueMaps(), point);
    SmallVector<Value> indices = loops.apply(op.getOutputMap(), point);
    for (auto [result, memref] : llvm::zip_equal(results, op.getOutputInits()))
      loops.store(result, memref, indices);
  });
}

void ScanLowering::run() {
  for (auto [map, memref] :
       {std::make_pair(op.getOutputMap(), op.getOutputInits().front()),
        std::make_pair(op.getStateMap(), op.getFinalStates().front())})
    for (auto [axis, expr] : llvm::enumerate(map.getResults())) {
      unsigned dim = cast<AffineDimExpr>(expr).getPosition();
      if (!sizes[dim])
        sizes[dim] = loops.size(memref, axis);
    }
  // A map may mention a dimension that is not looped over where it is applied;
  // every use overwrites this.
  llvm::fill(point, loops.index(0));

  initialize();
  loops.repeat(sizes[0], [&](Value batch) {
    point[0] = batch;
    loops.repeat(sizes[1], [&](Value step) {
      point[1] = step;
      if (op.getReverse())
        point[1] = loops.sub(loops.sub(sizes[1], loops.index(1)), step);
      updateStates();
      writeOutputs();
    });
  });
}

void ssmc::detail::populateScanPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerScan>(patterns.getContext());
}
