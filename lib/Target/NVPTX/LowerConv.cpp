//===- LowerConv.cpp - A short convolution by runs of tokens --------------===//
//
// A thread has a run of tokens of one channel: it reads each token that they see once,
// and each tap of the kernel once. A run that is the whole sequence, as that of a single
// token, is where the history is written as well: one launch instead of two.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Lowering.h"

#include "Conversion/SSMToSCF/Sequence.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::detail;

/// Lags of a kernel that fits into registers, and bytes of a run: threads with narrower
/// numbers have more tokens, for as many are on their way.
static constexpr int64_t kMaxLags = 16, kRunBytes = 32;
/// Tokens from which on runs at the ends of a sequence have a launch of their own: their code
/// takes more registers than that of all others.
static constexpr int64_t kLongSequence = 1024;

namespace {
/// The code of a thread.
class ConvRun {
public:
  /// `isWhole`: the sequence has `numTokens` tokens.
  ConvRun(ConvOp op, OpBuilder &builder, int64_t numTokens, bool isWhole)
      : op(op), loops(builder, op.getLoc()), numTokens(numTokens), isWhole(isWhole),
        firstLag(op.getStaticFirst()), numLags(op.getLags()),
        reach(firstLag + numLags - 1),
        type(getAccumulatorType({getElementTypeOrSelf(op.getInput()),
                                 getElementTypeOrSelf(op.getKernel()),
                                 getElementTypeOrSelf(op.getOutput())})),
        sequence{op.getInput(), op.getHistory(), /*cut=*/Value(),
                 /*position=*/Value(), loops.index(reach)},
        point(op.getNumDims(), loops.index(0)) {}

  void run();

private:
  /// A run of tokens from `first` on. `isInner`: all are tokens of this call, and so are
  /// those that they see.
  void emit(Value first, bool isInner);
  /// Whether a thread reads all tokens of its channel, and nobody else does: then it
  /// writes the history as well.
  bool ownsChannel();

  ConvOp op;
  Loops loops;
  int64_t numTokens;
  bool isWhole;
  int64_t firstLag, numLags, reach;
  Type type;
  Sequence sequence;
  SmallVector<Value> point;
  Value length;
};
} // namespace

bool ConvRun::ownsChannel() {
  llvm::SmallDenseSet<AffineExpr> dims;
  for (AffineExpr expr : op.getInputMap().getResults())
    if (isa<AffineDimExpr>(expr))
      dims.insert(expr);
  return isWhole && firstLag == 0 && dims.size() == op.getNumDims() - 1;
}

void ConvRun::run() {
  OpBuilder &b = loops.builder;
  SmallVector<Value> sizes;
  SmallVector<unsigned> dims;
  for (auto [axis, expr] : llvm::enumerate(op.getOutputMap().getResults())) {
    dims.push_back(cast<AffineDimExpr>(expr).getPosition());
    sizes.push_back(loops.size(op.getOutput(), axis));
  }
  length = sizes[1];
  Value runs = b.createOrFold<arith::CeilDivUIOp>(loops.loc, length, loops.index(numTokens));
  auto forRuns = [&](Value number, llvm::function_ref<void(Value)> body) {
    sizes[1] = number;
    loops.each(dims, sizes, point, [&] { body(point[1]); });
  };
  auto emitTogether = [&] {
    forRuns(runs, [&](Value run) {
      Value first = loops.mul(run, loops.index(numTokens));
      Value isAfter = loops.less(loops.index(reach - 1), first);
      Value isThere = loops.less(loops.add(first, loops.index(numTokens - 1)), length);
      Value isInner = arith::AndIOp::create(b, loops.loc, isAfter, isThere);
      loops.when(isInner, [&] { emit(first, /*isInner=*/true); },
                 [&] { emit(first, /*isInner=*/false); });
    });
  };
  auto emitApart = [&] {
    Value count = loops.index(numTokens);
    Value before = loops.index(llvm::divideCeil(reach, numTokens));
    Value inner = loops.sub(arith::DivUIOp::create(b, loops.loc, length, count), before);
    forRuns(inner, [&](Value run) {
      emit(loops.mul(loops.add(run, before), count), /*isInner=*/true);
    });
    forRuns(loops.sub(runs, inner), [&](Value run) {
      Value after = loops.add(run, inner);
      run = loops.select(loops.less(run, before), run, after);
      emit(loops.mul(run, count), /*isInner=*/false);
    });
  };
  if (isWhole)
    emitTogether();
  else
    loops.when(loops.less(length, loops.index(kLongSequence)), emitTogether, emitApart);
  Value finalHistory = op.getFinalHistory();
  if (finalHistory && !ownsChannel())
    writeFinalHistory(loops, sequence, finalHistory);
}

void ConvRun::emit(Value first, bool isInner) {
  OpBuilder &b = loops.builder;
  // Tokens of the run after the last one are the last one, and are not stored.
  Value last = loops.sub(length, loops.index(1));
  SmallVector<Value> times = {first};
  for (int64_t i = 1; i < numTokens; ++i) {
    times.push_back(loops.add(first, loops.index(i)));
    if (!isInner)
      times.back() = arith::MinUIOp::create(b, loops.loc, times.back(), last);
  }
  SmallVector<Value> taps, tokens, results;
  for (int64_t lag = 0; lag < numLags; ++lag) {
    point.back() = loops.index(lag);
    taps.push_back(loops.convert(
        loops.load(op.getKernel(), loops.apply(op.getKernelMap(), point)), type));
  }
  SmallVector<Value> from = loops.apply(op.getInputMap(), point);
  for (int64_t i = -reach; i < numTokens - firstLag; ++i) {
    from[1] = i < 0 ? loops.sub(first, loops.index(-i)) : times[i];
    tokens.push_back(i < 0 && !isInner
                         ? loadToken(loops, sequence, from, first, type)
                         : loops.convert(loops.load(op.getInput(), from), type));
  }
  auto store = [&](int64_t i) {
    OpBuilder::InsertionGuard guard(b);
    if (i > 0 && !isInner) {
      Value exists = loops.less(loops.add(first, loops.index(i)), length);
      auto branch = scf::IfOp::create(b, loops.loc, exists, /*withElseRegion=*/false);
      b.setInsertionPointToStart(branch.thenBlock());
    }
    point[1] = times[i];
    loops.store(results[i], op.getOutput(), loops.apply(op.getOutputMap(), point));
  };
  if (Value finalHistory = op.getFinalHistory(); finalHistory && ownsChannel())
    for (int64_t i = 0; i < reach; ++i) {
      from[1] = loops.index(i);
      loops.store(tokens[i + numTokens], finalHistory, from);
    }
  // A store ends each token, for the assembler moves loads down to their use as far as no
  // store holds them up; unless others are to come.
  bool loadsLater =
      llvm::any_of(op.getEpilogueMaps().getAsValueRange<AffineMapAttr>(),
                   [](AffineMap map) { return map.isFunctionOfDim(1); });
  for (int64_t i = 0; i < numTokens; ++i) {
    Value sum = loops.constant(type, 0.0);
    for (int64_t lag = 0; lag < numLags; ++lag)
      sum = loops.add(sum, loops.mul(taps[lag], tokens[i + numLags - 1 - lag]));
    point[1] = times[i];
    results.push_back(loops
                          .inlineEpilogue(op.getEpilogue(), sum, op.getEpilogueIns(),
                                          op.getEpilogueMaps(), point)
                          .front());
    if (!loadsLater)
      store(i);
  }
  for (int64_t i = 0; loadsLater && i < numTokens; ++i)
    store(i);
}

LogicalResult nvptx::lowerConv(RewriterBase &rewriter, ConvOp op) {
  int64_t firstLag = op.getStaticFirst(), numLags = op.getLags();
  if (!op.hasPureBufferSemantics() || op.hasDynamicLags() || op.getFirst() ||
      firstLag < 0 || numLags > kMaxLags || op.getCut() || op.getPosition())
    return failure();
  int64_t known = cast<MemRefType>(op.getOutput().getType()).getDimSize(1);
  if (known == 0)
    return failure();
  int64_t bytes = cast<MemRefType>(op.getInput().getType()).getElementTypeBitWidth() / 8;
  int64_t most = kRunBytes / bytes;
  if (!ShapedType::isDynamic(known)) {
    int64_t numTokens = std::min(known, most);
    ConvRun(op, rewriter, numTokens, known == numTokens).run();
    rewriter.eraseOp(op);
    return success();
  }
  Location loc = op.getLoc();
  Value length = memref::DimOp::create(rewriter, loc, op.getOutput(), 1);
  Value one = arith::ConstantIndexOp::create(rewriter, loc, 1);
  Value isSingle =
      arith::CmpIOp::create(rewriter, loc, arith::CmpIPredicate::eq, length, one);
  Loops(rewriter, loc)
      .when(isSingle, [&] { ConvRun(op, rewriter, 1, /*isWhole=*/true).run(); },
            [&] { ConvRun(op, rewriter, most, /*isWhole=*/false).run(); });
  rewriter.eraseOp(op);
  return success();
}
