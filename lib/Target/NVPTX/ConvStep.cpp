//===- ConvStep.cpp - A short convolution of a single token ---------------===//

#include "Target/NVPTX/ConvStep.h"
#include "Target/NVPTX/Buffers.h"
#include "Target/NVPTX/Launch.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::detail;
using namespace ssmc::nvptx;

ConvStep::ConvStep(ConvOp op, OpBuilder &builder)
    : op(op), loops(builder, op.getLoc()), numLags(op.getLags()),
      type(getAccumulatorType({getElementTypeOrSelf(op.getInput()),
                               getElementTypeOrSelf(op.getKernel()),
                               getElementTypeOrSelf(op.getOutput())})) {}

bool ConvStep::fits(ConvOp op) {
  if (!op.hasPureBufferSemantics() || op.isLong() || op.getFirst() ||
      op.getStaticFirst() || op.getCut() || op.getPosition() ||
      op.getNumExtraOuts())
    return false;
  llvm::SmallDenseSet<AffineExpr> dims;
  for (AffineExpr expr : op.getInputMap().getResults())
    if (isa<AffineDimExpr>(expr))
      dims.insert(expr);
  return dims.size() == op.getInputMap().getNumResults() &&
         dims.size() == op.getNumDims() - 1;
}

void ConvStep::moveTo(ArrayRef<Value> indices) {
  from.assign(indices.begin(), indices.end());
  point.assign(op.getNumDims(), loops.index(0));
  for (auto [expr, index] :
       llvm::zip_equal(op.getInputMap().getResults(), indices))
    point[cast<AffineDimExpr>(expr).getPosition()] = index;
}

void ConvStep::loadTables(ArrayRef<Value> indices) {
  moveTo(indices);
  if (isTable(op.getKernel()))
    loadTaps();
  operands.resize(op.getEpilogueIns().size());
  loadOperands(/*areTables=*/true);
}

void ConvStep::prefetchLineOf(Value memref, ArrayRef<Value> indices) {
  prefetchLine(loops.builder, loops.loc,
               addressOf(loops.builder, loops.loc, memref, indices), CacheLevel::device);
}

void ConvStep::prefetchHistory() {
  for (int64_t i = 0; op.getHistory() && i + 1 < numLags; ++i) {
    from[1] = loops.index(i);
    prefetchLineOf(op.getHistory(), from);
  }
}

void ConvStep::prefetch(ArrayRef<Value> indices) {
  moveTo(indices);
  if (isTable(op.getKernel())) {
    point.back() = loops.index(0);
    prefetchLineOf(op.getKernel(), loops.apply(op.getKernelMap(), point));
  }
  for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
    if (isTable(operand))
      prefetchLineOf(operand, loops.apply(op.getEpilogueMap(i), point));
  prefetchHistory();
}

void ConvStep::loadTaps() {
  for (int64_t lag = 0; lag < numLags; ++lag) {
    point.back() = loops.index(lag);
    Value tap =
        loops.load(op.getKernel(), loops.apply(op.getKernelMap(), point));
    taps.push_back(loops.convert(tap, type));
  }
}

void ConvStep::loadOperands(bool areTables) {
  for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
    if (isTable(operand) == areTables)
      operands[i] =
          loops.load(operand, loops.apply(op.getEpilogueMap(i), point));
}

void ConvStep::loadHistory() {
  for (int64_t i = 0; i + 1 < numLags; ++i) {
    from[1] = loops.index(i);
    tokens.push_back(
        op.getHistory() ? loops.convert(loops.load(op.getHistory(), from), type)
                        : loops.constant(type, 0.0));
  }
  if (!isTable(op.getKernel()))
    loadTaps();
  loadOperands(/*areTables=*/false);
}

void ConvStep::finish(Value token) {
  tokens.push_back(loops.convert(token, type));
  Value sum = loops.constant(type, 0.0);
  for (int64_t lag = 0; lag < numLags; ++lag)
    sum = loops.add(sum, loops.mul(taps[lag], tokens[numLags - 1 - lag]));
  Value result = loops
                     .inlineEpilogue(op.getEpilogue(), sum,
                                     [&](unsigned number) { return operands[number]; })
                     .front();
  loops.store(result, op.getOutput(), loops.apply(op.getOutputMap(), point));
  if (Value finalHistory = op.getFinalHistory())
    for (int64_t i = 0; i + 1 < numLags; ++i) {
      from[1] = loops.index(i);
      loops.store(tokens[i + 1], finalHistory, from);
    }
}
