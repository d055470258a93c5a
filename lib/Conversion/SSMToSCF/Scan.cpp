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
  ScanLowering(ScanOp op, OpBuilder &builder, bool forThreads)
      : op(op), forThreads(forThreads), loops(builder, op.getLoc()), roles(op.getCoefficientsOp()),
        keyDims(op.getKeyDims()), width(op.getNumStates()),
        type(op.getStateType()),
        point(op.getNumDims()), sizes(op.getNumDims()) {
    for (unsigned dim : op.getStateDims()) {
      if (forThreads && !llvm::is_contained(keyDims, dim) &&
          op.getDenseTarget() != dim)
        outerDims.push_back(dim);
      else
        innerDims.push_back(dim);
      if (!llvm::is_contained(keyDims, dim) && !llvm::is_contained(outerDims, dim))
        laneDims.push_back(dim);
    }
    for (unsigned dim : op.getOutputDims())
      if (!llvm::is_contained(outerDims, dim))
        outputDims.push_back(dim);
  }

  void run();

private:
  /// The state at the point, and at a place in the buffers `memrefs`.
  Parts loadState();
  Parts loadState(ValueRange memrefs, ValueRange indices);
  void storeState(const Parts &state);
  /// Coefficients `values` at the point, as numbers of the state.
  SmallVector<Value> evaluate(ValueRange values);
  /// The state before this token: zero after a reset.
  Parts loadPrevious();
  void initialize();
  /// A transition matrix needs the state before this token while the new one is
  /// written: copies it aside.
  void copyStates();
  /// The transition matrix times the state before this token.
  Parts applyDense();
  void updateStates();
  void writeOutputs();

  /// All tokens of the batch (and lanes) of the point.
  void runSequence();
  /// Where the part of the state at the point is in memory for states.
  SmallVector<Value> getIndices(bool isOfOneLane);
  /// Memory for states in the type that is computed with, like `memref`; where lanes are
  /// outside, of one lane.
  Value allocateLike(Value memref);
  /// Whether the final state has fewer digits than what is computed with.
  bool isNarrow() {
    return getElementTypeOrSelf(op.getFinalStates().front()) != type;
  }
  void storeFinal();
  Parts multiply(ValueRange left, ValueRange right) {
    return loops.mulNumbers(left, right);
  }
  Parts add(ValueRange left, ValueRange right) {
    return loops.addNumbers(left, right);
  }
  Parts zero() { return Parts(width, loops.constant(type, 0.0)); }

  ScanOp op;
  bool forThreads;
  Loops loops;
  CoefficientsOp roles;
  SmallVector<unsigned> keyDims;
  /// State dimensions beyond the batch outside and inside of the loop over time, those
  /// inside that are not keys, and output dimensions inside.
  SmallVector<unsigned> outerDims, innerDims, laneDims, outputDims;
  unsigned width;
  /// The type in which the recurrence is computed.
  Type type;
  SmallVector<Value> point;
  SmallVector<Value> sizes;
  /// Where the state is between tokens, and where it is before this token.
  SmallVector<Value> states, previous;
};

struct LowerScan : public OpRewritePattern<ScanOp> {
  LowerScan(MLIRContext *context, bool forThreads)
      : OpRewritePattern(context), forThreads(forThreads) {}

  LogicalResult matchAndRewrite(ScanOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics())
      return rewriter.notifyMatchFailure(op, "on tensors");
    ScanLowering(op, rewriter, forThreads).run();
    rewriter.eraseOp(op);
    return success();
  }

private:
  bool forThreads;
};
} // namespace

Value ScanLowering::allocateLike(Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  if (forThreads) {
    auto extents = llvm::map_to_vector(
        innerDims, [&](unsigned dim) { return op.getDimSize(dim); });
    return memref::AllocaOp::create(loops.builder, loops.loc,
                                    MemRefType::get(extents, this->type));
  }
  SmallVector<Value> dynamicSizes;
  for (auto [dim, size] : llvm::enumerate(type.getShape()))
    if (ShapedType::isDynamic(size))
      dynamicSizes.push_back(loops.size(memref, dim));
  return memref::AllocOp::create(
      loops.builder, loops.loc,
      MemRefType::get(type.getShape(), this->type), dynamicSizes);
}

SmallVector<Value> ScanLowering::getIndices(bool isOfOneLane) {
  if (!isOfOneLane)
    return loops.apply(op.getStateMap(), point);
  return llvm::map_to_vector(innerDims, [&](unsigned dim) { return point[dim]; });
}

Parts ScanLowering::loadState() {
  return loadState(states, getIndices(forThreads && isNarrow()));
}

Parts ScanLowering::loadState(ValueRange memrefs, ValueRange indices) {
  Parts state;
  for (Value memref : memrefs)
    state.push_back(loops.convert(loops.load(memref, indices), type));
  return state;
}

void ScanLowering::storeState(const Parts &state) {
  SmallVector<Value> indices = getIndices(forThreads && isNarrow());
  for (auto [value, memref] : llvm::zip_equal(state, states))
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
  Parts state = op.getDense() ? loadState(previous, getIndices(forThreads)) : loadState();
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
  SmallVector<unsigned> dims(innerDims);
  if (!forThreads)
    dims.insert(dims.begin(), 0);
  loops.repeat(dims, sizes, point, [&] {
    if (op.getInitial().empty())
      return storeState(zero());
    SmallVector<Value> indices = loops.apply(op.getStateMap(), point);
    storeState(loadState(op.getInitial(), indices));
  });
}

void ScanLowering::storeFinal() {
  if (!isNarrow())
    return;
  SmallVector<unsigned> dims(innerDims);
  if (!forThreads)
    dims.insert(dims.begin(), 0);
  loops.repeat(dims, sizes, point, [&] {
    SmallVector<Value> indices = loops.apply(op.getStateMap(), point);
    for (auto [part, memref] : llvm::zip_equal(loadState(), op.getFinalStates()))
      loops.store(part, memref, indices);
  });
}

void ScanLowering::copyStates() {
  loops.repeat(innerDims, sizes, point, [&] {
    SmallVector<Value> to = getIndices(forThreads);
    for (auto [part, copy] : llvm::zip_equal(loadState(), previous))
      loops.store(part, copy, to);
  });
}

Parts ScanLowering::applyDense() {
  unsigned source = *op.getDenseSource();
  unsigned target = *op.getDenseTarget();
  Value row = point[target];
  Parts sum = loops.reduce(ArrayRef(source), sizes, point, zero(),
                           [&](ValueRange partial) {
                             Parts element = evaluate(roles.getDense());
                             point[target] = point[source];
                             Parts state = loadPrevious();
                             point[target] = row;
                             return add(partial, multiply(element, state));
                           });
  return sum;
}

void ScanLowering::updateStates() {
  unsigned numPairs = roles.getErase().size() / (2 * width);
  loops.repeat(laneDims, sizes, point, [&] {
    // The sums of all erase pairs over the state before this token come first:
    // they need all keys, which are overwritten below. (With a matrix the state
    // before this token is in a copy.)
    SmallVector<Value> sums(numPairs * width, loops.constant(type, 0.0));
    if (numPairs > 0)
      sums = loops.reduce(keyDims, sizes, point, sums, [&](ValueRange partial) {
        Parts before = loadPrevious();
        SmallVector<Value> next;
        for (unsigned pair = 0; pair < numPairs; ++pair) {
          SmallVector<Value> left =
              evaluate(roles.getErase().slice(2 * width * pair, width));
          llvm::append_range(next, add(partial.slice(width * pair, width),
                                       multiply(left, before)));
        }
        return next;
      });
    if (op.getRealSums())
      for (unsigned pair = 0; pair < numPairs; ++pair)
        sums[width * pair + 1] = loops.constant(type, 0.0);
    loops.repeat(keyDims, sizes, point, [&] {
      Parts state = op.getDense() ? applyDense() : loadPrevious();
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
      state[0] = op.createRemainder(loops.builder, loops.loc, state[0]);
      storeState(state);
    });
  });
}

void ScanLowering::writeOutputs() {
  loops.repeat(outputDims, sizes, point, [&] {
    Parts output;
    if (roles.getRead().empty()) {
      output = loadState();
    } else {
      output =
          loops.reduce(keyDims, sizes, point, zero(), [&](ValueRange partial) {
            return add(partial, multiply(evaluate(roles.getRead()), loadState()));
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

void ScanLowering::runSequence() {
  loops.repeat(sizes[1], [&](Value step) {
    point[1] = step;
    if (op.getReverse())
      point[1] = loops.sub(loops.sub(sizes[1], loops.index(1)), step);
    if (op.getDense())
      copyStates();
    updateStates();
    writeOutputs();
  });
}

void ScanLowering::run() {
  loops.bindSizes(op, sizes);
  // A map may mention a dimension that is not looped over where it is applied;
  // every use overwrites this.
  llvm::fill(point, loops.index(0));
  if (std::optional<unsigned> source = op.getDenseSource())
    sizes[*source] = sizes[*op.getDenseTarget()];

  llvm::append_range(states, op.getFinalStates());
  if (op.getDense())
    previous = states;
  auto allocate = [&] {
    for (Value &memref : previous)
      memref = allocateLike(memref);
    for (Value &memref : states)
      if (isNarrow())
        memref = allocateLike(memref);
  };
  if (forThreads) {
    SmallVector<unsigned> dims = {0};
    llvm::append_range(dims, outerDims);
    loops.each(dims, sizes, point, [&] {
      allocate();
      initialize();
      runSequence();
      storeFinal();
    });
    return;
  }
  allocate();
  initialize();
  loops.repeat(sizes[0], [&](Value batch) {
    point[0] = batch;
    runSequence();
  });
  storeFinal();
  if (isNarrow())
    llvm::append_range(previous, states);
  for (Value memref : previous)
    memref::DeallocOp::create(loops.builder, loops.loc, memref);
}

void ssmc::detail::populateScanPatterns(RewritePatternSet &patterns,
                                        bool forThreads) {
  patterns.add<LowerScan>(patterns.getContext(), forThreads);
}
