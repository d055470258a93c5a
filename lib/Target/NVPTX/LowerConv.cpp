//===- LowerConv.cpp - A short convolution by runs of tokens --------------===//
//
// A thread has a run of tokens of one channel: it reads each token that they see once,
// and each tap of the kernel once.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Lowering.h"

#include "Conversion/SSMToSCF/Sequence.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::detail;

/// Lags of a kernel that fits into registers, and tokens of a run.
static constexpr int64_t kMaxLags = 16, kTokens = 8;

LogicalResult nvptx::lowerConv(RewriterBase &rewriter, ConvOp op) {
  int64_t firstLag = op.getStaticFirst(), numLags = op.getLags();
  if (!op.hasPureBufferSemantics() || op.hasDynamicLags() || op.getFirst() ||
      firstLag < 0 || numLags > kMaxLags || op.getCut() || op.getPosition())
    return failure();
  Loops loops(rewriter, op.getLoc());
  Location loc = op.getLoc();
  Type type = getAccumulatorType({getElementTypeOrSelf(op.getInput()),
                                  getElementTypeOrSelf(op.getKernel()),
                                  getElementTypeOrSelf(op.getOutput())});
  int64_t reach = firstLag + numLags - 1;
  Sequence sequence = {op.getInput(), op.getHistory(), /*cut=*/Value(),
                       /*position=*/Value(), loops.index(reach)};
  SmallVector<Value> point(op.getNumDims(), loops.index(0)), sizes;
  SmallVector<unsigned> dims;
  for (auto [axis, expr] : llvm::enumerate(op.getOutputMap().getResults())) {
    dims.push_back(cast<AffineDimExpr>(expr).getPosition());
    sizes.push_back(loops.size(op.getOutput(), axis));
  }
  int64_t known = cast<MemRefType>(op.getOutput().getType()).getDimSize(1);
  int64_t numTokens = ShapedType::isDynamic(known) ? kTokens : std::min(known, kTokens);
  if (numTokens == 0)
    return failure();
  Value length = sizes[1];
  sizes[1] = rewriter.createOrFold<arith::CeilDivUIOp>(loc, length, loops.index(numTokens));

  loops.each(dims, sizes, point, [&] {
    Value first = loops.mul(point[1], loops.index(numTokens));
    Value last = loops.sub(length, loops.index(1));
    // Tokens of the run after the last one are the last one, and are not stored.
    SmallVector<Value> times;
    for (int64_t i = 0; i < numTokens; ++i) {
      Value time = loops.add(first, loops.index(i));
      times.push_back(i ? rewriter.createOrFold<arith::MinUIOp>(loc, time, last) : time);
    }
    SmallVector<Value> taps, tokens;
    for (int64_t lag = 0; lag < numLags; ++lag) {
      point.back() = loops.index(lag);
      taps.push_back(loops.convert(
          loops.load(op.getKernel(), loops.apply(op.getKernelMap(), point)), type));
    }
    SmallVector<Value> from = loops.apply(op.getInputMap(), point);
    for (int64_t i = -reach; i < numTokens - firstLag; ++i) {
      from[1] = i < 0 ? loops.sub(first, loops.index(-i)) : times[i];
      tokens.push_back(i < 0 ? loadToken(loops, sequence, from, first, type)
                             : loops.convert(loops.load(op.getInput(), from), type));
    }
    SmallVector<Value> results;
    for (int64_t i = 0; i < numTokens; ++i) {
      Value sum = loops.constant(type, 0.0);
      for (int64_t lag = 0; lag < numLags; ++lag)
        sum = loops.add(sum, loops.mul(taps[lag], tokens[i + numLags - 1 - lag]));
      point[1] = times[i];
      results.push_back(loops
                            .inlineEpilogue(op.getEpilogue(), sum, op.getEpilogueIns(),
                                            op.getEpilogueMaps(), point)
                            .front());
    }
    for (auto [i, result] : llvm::enumerate(results)) {
      OpBuilder::InsertionGuard guard(rewriter);
      if (i > 0) {
        Value exists = loops.less(loops.add(first, loops.index(i)), length);
        auto branch = scf::IfOp::create(rewriter, loc, exists, /*withElseRegion=*/false);
        rewriter.setInsertionPointToStart(branch.thenBlock());
      }
      point[1] = times[i];
      loops.store(result, op.getOutput(), loops.apply(op.getOutputMap(), point));
    }
  });
  if (Value finalHistory = op.getFinalHistory())
    writeFinalHistory(loops, sequence, finalHistory);
  rewriter.eraseOp(op);
  return success();
}
