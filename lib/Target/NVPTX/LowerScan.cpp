//===- LowerScan.cpp - A recurrence with a thread a lane ------------------===//
//
// How states are shared among threads, and what surrounds the blocks of tokens of
// ScanBlock.cpp.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Lowering.h"
#include "Target/NVPTX/Passes.h"
#include "Target/NVPTX/ScanKernel.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

namespace {
/// States a thread can hold beside the operands of a block.
constexpr int64_t kMaxStates = 64;
/// States of a thread where there are lanes enough to keep a device busy; with up to
/// kFewLanes lanes as many threads as can share one.
constexpr int64_t kSharedStates = 16, kFewLanes = 4096;
/// Products of a transition matrix a token, written out.
constexpr int64_t kMaxDense = 256;
/// Outputs a thread writes a token.
constexpr int64_t kMaxOutputs = 64;
/// Updates of single states in the code of a block, and tokens of it.
constexpr int64_t kBlockUpdates = 128, kMaxTokens = 16;
/// Values that do not change with time are loaded once if there are not more.
constexpr int64_t kMaxInvariants = 96;
/// Threads of a block of the grid.
constexpr int64_t kThreads = 128;
} // namespace

int64_t ScanKernel::extentOf(ArrayRef<unsigned> dims) {
  int64_t extent = 1;
  for (unsigned dim : dims) {
    int64_t size = op.getDimSize(dim);
    if (ShapedType::isDynamic(size) || size > kMaxStates * kMaxStates)
      return -1;
    extent *= sizeOf(dim);
  }
  return extent;
}

void ScanKernel::shareKeys() {
  if (!isCooperative || op.getDense() || roles.getRead().empty() || op.getKeyDims().empty())
    return;
  unsigned key = op.getKeyDims().back();
  int64_t threads = 1;
  while (threads < kWarp && numInner * width > maxStates * threads &&
         op.getDimSize(key) % (2 * threads) == 0)
    threads *= 2;
  if (threads == 1)
    return;
  split = key;
  numSharing = threads;
  numInner /= threads;
}

bool ScanKernel::fits() {
  if (!op.hasPureBufferSemantics())
    return false;
  SmallVector<unsigned> keyDims = op.getKeyDims();
  for (unsigned dim : op.getStateDims()) {
    bool isLane = !llvm::is_contained(keyDims, dim) && op.getDenseTarget() != dim;
    (isLane ? laneDims : innerDims).push_back(dim);
  }
  for (unsigned dim : op.getOutputDims())
    if (!llvm::is_contained(laneDims, dim))
      outputDims.push_back(dim);
  numInner = extentOf(innerDims);
  numOutputs = extentOf(outputDims);
  if (numInner < 0 || numOutputs < 0 || numOutputs > kMaxOutputs)
    return false;
  shareKeys();
  if (numInner * width > kMaxStates)
    return false;
  if (!op.getDense())
    return true;
  int64_t rows = op.getDimSize(*op.getDenseTarget());
  return numInner * rows * width * width <= kMaxDense;
}

Value ScanKernel::getNumLanes() {
  loops.bindSizes(op, sizes);
  Value lanes = sizes[0];
  for (unsigned dim : laneDims)
    lanes = loops.mul(lanes, sizes[dim]);
  return lanes;
}

void ScanKernel::run() {
  llvm::fill(sizes, Value());
  loops.bindSizes(op, sizes);
  llvm::fill(point, loops.index(0));
  for (ArrayRef<unsigned> dims : {ArrayRef(innerDims), ArrayRef(outputDims)})
    for (unsigned dim : dims)
      at[dim] = 0;
  if (std::optional<unsigned> source = op.getDenseSource())
    at[*source] = 0;

  OpBuilder &builder = loops.builder;
  Value zeroIndex = loops.index(0), oneIndex = loops.index(1);
  SmallVector<unsigned> threadDims = {0};
  llvm::append_range(threadDims, laneDims);
  auto threadSizes =
      llvm::map_to_vector(threadDims, [&](unsigned dim) { return sizes[dim]; });
  if (split)
    threadSizes.push_back(loops.index(numSharing));
  SmallVector<Value> zeros(threadSizes.size(), zeroIndex), ones(threadSizes.size(), oneIndex);
  auto threads = scf::ParallelOp::create(builder, loops.loc, zeros, threadSizes, ones);
  threads->setAttr(nvptx::kBlockAttr, builder.getI64IntegerAttr(kThreads));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(threads.getBody());
  for (auto [dim, index] : llvm::zip(threadDims, threads.getInductionVars()))
    point[dim] = index;
  if (split)
    rank = threads.getInductionVars().back();
  thread = point[threadDims.back()];
  if (split)
    thread = loops.add(loops.mul(thread, loops.index(numSharing)), rank);

  // What does not change with time, as long as there are registers.
  int64_t room = kMaxInvariants - numInner * width;
  auto loadInvariant = [&](Value operand, AffineMap map) {
    if (map.isFunctionOfDim(1))
      return;
    SmallVector<unsigned> dims;
    for (const auto &entry : at)
      if (map.isFunctionOfDim(entry.first))
        dims.push_back(entry.first);
    llvm::sort(dims);
    int64_t count = extentOf(dims);
    if (count > room)
      return;
    room -= count;
    for (int64_t i = 0; i < count; ++i) {
      moveTo(dims, i);
      loaded.clear();
      load(operand, map, 0);
      for (auto &[key, value] : loaded)
        invariants[key] = value;
    }
    moveTo(dims, 0);
  };
  for (auto [i, operand] : llvm::enumerate(op.getIns()))
    loadInvariant(operand, op.getInsMap(i));
  for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
    loadInvariant(operand, op.getEpilogueMap(i));

  SmallVector<Value> states;
  for (int64_t i = 0; i < numInner; ++i) {
    moveTo(innerDims, i);
    SmallVector<Value> indices = loops.apply(op.getStateMap(), point);
    for (unsigned part = 0; part < width; ++part)
      states.push_back(
          op.getInitial().empty()
              ? loops.constant(type, 0.0)
              : loops.convert(loops.load(op.getInitial()[part], indices), type));
  }

  int64_t updates = numInner * width;
  if (op.getDense())
    updates *= op.getDimSize(*op.getDenseTarget());
  int64_t tokens = std::clamp<int64_t>(kBlockUpdates / std::max<int64_t>(updates, 1), 1,
                                       kMaxTokens);
  if (defersOutputs()) // all of a block wait for its end
    tokens = std::clamp<int64_t>(kMaxTokens / numOutputs, 1, tokens);
  auto block = [&](Value begin, Value end, int64_t count) {
    auto loop = scf::ForOp::create(
        builder, loops.loc, begin, end, loops.index(count), states,
        [&](OpBuilder &, Location, Value first, ValueRange carried) {
          scf::YieldOp::create(builder, loops.loc, emitBlock(first, count, carried));
        });
    states.assign(loop.getResults().begin(), loop.getResults().end());
  };
  Value whole = zeroIndex;
  if (tokens > 1) {
    whole = loops.sub(sizes[1], arith::RemUIOp::create(builder, loops.loc, sizes[1],
                                                       loops.index(tokens)));
    block(zeroIndex, whole, tokens);
  }
  block(whole, sizes[1], 1);

  for (int64_t i = 0; i < numInner; ++i) {
    moveTo(innerDims, i);
    SmallVector<Value> indices = loops.apply(op.getStateMap(), point);
    for (unsigned part = 0; part < width; ++part)
      loops.store(states[i * width + part], op.getFinalStates()[part], indices);
  }
}

/// A decay exp(x) may round x*log2(e) once: its error is then as if x itself had been
/// rounded once more. Over the tokens for which a state lasts, about 1/|x|, the errors of
/// |x| units in the last place add up to one.
static void relaxDecays(ScanOp op) {
  for (Value decay : op.getCoefficientsOp().getDecay())
    if (auto exponential = decay.getDefiningOp<math::ExpOp>())
      exponential.setFastmath(exponential.getFastmath() | arith::FastMathFlags::afn);
}

LogicalResult nvptx::lowerScan(RewriterBase &rewriter, ScanOp op, bool cooperative) {
  ScanKernel many(op, rewriter, cooperative, kSharedStates);
  if (!many.fits())
    return failure();
  if (cooperative)
    relaxDecays(op);
  ScanKernel few(op, rewriter, cooperative, 1);
  if (!cooperative || !few.fits() || few.getNumSharing() == many.getNumSharing()) {
    many.run();
    rewriter.eraseOp(op);
    return success();
  }
  OpBuilder::InsertionGuard guard(rewriter);
  Value most = arith::ConstantIndexOp::create(rewriter, op.getLoc(), kFewLanes);
  Value isFew = arith::CmpIOp::create(rewriter, op.getLoc(), arith::CmpIPredicate::sle,
                                      few.getNumLanes(), most);
  auto branch =
      scf::IfOp::create(rewriter, op.getLoc(), isFew, /*withElseRegion=*/true);
  rewriter.setInsertionPointToStart(branch.thenBlock());
  few.run();
  rewriter.setInsertionPointToStart(branch.elseBlock());
  many.run();
  rewriter.eraseOp(op);
  return success();
}
