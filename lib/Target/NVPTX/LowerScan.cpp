//===- LowerScan.cpp - A recurrence with a thread a lane ------------------===//
//
// How states are shared among threads, and what surrounds the blocks of tokens of
// ScanBlock.cpp.
//
//===----------------------------------------------------------------------===//

#include "Target/CPU/ExpandMath.h"
#include "Target/NVPTX/Buffers.h"
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
/// Lanes of which a step gives a thread several.
constexpr int64_t kManyLanes = 16384;
/// States of a thread where there are so few lanes that segments alone do not help.
constexpr int64_t kSomeStates = 8;
/// Warps of all lanes below which time is cut, those below which multiprocessors are
/// without one, and how many there are to be then; tokens of a segment at least.
constexpr int64_t kFewWarps = 256, kFewestWarps = 96, kBusyWarps = 2048, kMinSegment = 64;
/// Warps that keep most schedulers of a device busy, if each is one's only, and states of
/// a thread where lanes are shared to have so many.
constexpr int64_t kSpreadWarps = 320, kSpreadStates = 4;
/// Products of a transition matrix a token, written out.
constexpr int64_t kMaxDense = 256;
/// Outputs a thread writes a token.
constexpr int64_t kMaxOutputs = 64;
/// Updates of single states in the code of a block, and tokens of it.
constexpr int64_t kBlockUpdates = 128, kMaxTokens = 16;
/// Tokens of a block where a block of threads has all warps that registers allow.
constexpr int64_t kCutTokens = 8;
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

bool ScanKernel::hasVectors() {
  bool found = false;
  forMemory([&](Value memref, AffineMap map) { found |= vectorWidth(memref, map) > 1; });
  return found;
}

Value ScanKernel::isAligned() {
  SmallVector<Value> memrefs;
  forMemory([&](Value memref, AffineMap map) {
    if (vectorWidth(memref, map) > 1)
      memrefs.push_back(memref);
  });
  for (const Staged &source : staged)
    memrefs.push_back(source.memref);
  return areAligned(loops.builder, loops.loc, memrefs, kVectorBytes);
}

void ScanKernel::forMemory(function_ref<void(Value, AffineMap)> visit) {
  for (auto [i, operand] : llvm::enumerate(op.getIns()))
    visit(operand, op.getInsMap(i));
  for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
    visit(operand, op.getEpilogueMap(i));
  for (Value state : llvm::concat<Value>(SmallVector<Value>(op.getInitial()),
                                         SmallVector<Value>(op.getFinalStates())))
    visit(state, op.getStateMap());
}

void ScanKernel::groupKeys() {
  SmallVector<unsigned> keyDims = op.getKeyDims();
  if (!readsVectors || keyDims.empty() || !llvm::is_contained(innerDims, keyDims.back()))
    return;
  lastKey = keyDims.back();
  group = int64_t(1) << llvm::countr_zero(uint64_t(sizeOf(*lastKey)));
  group = std::min(group, kVectorBytes / 2); // of the narrowest numbers
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
  groupKeys();
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

Value ScanKernel::getNumWarps() {
  Value threads = loops.mul(getNumLanes(), loops.index(numSharing));
  return arith::CeilDivUIOp::create(loops.builder, loops.loc, threads, loops.index(kWarp));
}

Value ScanKernel::chooseSegments() {
  OpBuilder &b = loops.builder;
  Value warps = getNumWarps(), segments = loops.index(1);
  auto isAtMost = [&](Value value, int64_t bound) -> Value {
    return arith::CmpIOp::create(b, loops.loc, arith::CmpIPredicate::sle, value,
                                 loops.index(bound));
  };
  for (int64_t count = 2; count <= kMaxSegments; count *= 2) {
    Value tokens = loops.index(count * kMinSegment);
    Value isLong = arith::CmpIOp::create(b, loops.loc, arith::CmpIPredicate::sge, sizes[1],
                                         tokens);
    Value isIdle = isAtMost(warps, kBusyWarps / count);
    segments = loops.select(arith::AndIOp::create(b, loops.loc, isLong, isIdle),
                            loops.index(count), segments);
  }
  Value isFew = isAtMost(warps, kFewWarps);
  if (maxStates > kSomeStates && numInner * width > kSomeStates) // threads could be more
    isFew = arith::AndIOp::create(
        b, loops.loc, isFew,
        arith::CmpIOp::create(b, loops.loc, arith::CmpIPredicate::sge, warps,
                              loops.index(kFewestWarps)));
  return loops.select(isFew, segments, loops.index(1));
}

void ScanKernel::bindOp() {
  loaded.clear(); // of another kernel
  invariants.clear();
  llvm::fill(sizes, Value());
  loops.bindSizes(op, sizes);
  llvm::fill(point, loops.index(0));
  for (ArrayRef<unsigned> dims : {ArrayRef(innerDims), ArrayRef(outputDims)})
    for (unsigned dim : dims)
      at[dim] = 0;
  if (std::optional<unsigned> source = op.getDenseSource())
    at[*source] = 0;
}

SmallVector<Value> ScanKernel::threadSizes() {
  SmallVector<Value> result = {sizes[0]};
  for (unsigned dim : laneDims)
    result.push_back(sizes[dim]);
  if (split)
    result.push_back(loops.index(numSharing));
  return result;
}

void ScanKernel::bindThread(ValueRange indices) {
  point[0] = thread = indices[0];
  for (auto [dim, index] : llvm::zip(laneDims, indices.drop_front()))
    point[dim] = thread = index;
  if (!split)
    return;
  rank = indices.back();
  thread = loops.add(loops.mul(thread, loops.index(numSharing)), rank);
}

void ScanKernel::bindNumber(Value number, ArrayRef<Value> extents) {
  SmallVector<Value> indices(extents.size());
  for (size_t i = extents.size(); i-- > 0;) {
    indices[i] = i ? Value(arith::RemUIOp::create(loops.builder, loops.loc, number, extents[i]))
                   : number;
    if (i)
      number = arith::DivUIOp::create(loops.builder, loops.loc, number, extents[i]);
  }
  bindThread(indices);
}

void ScanKernel::loadInvariants(function_ref<bool(Value)> isWanted) {
  int64_t room = kMaxInvariants - numInner * width - int64_t(invariants.size());
  auto loadInvariant = [&](Value operand, AffineMap map) {
    if (map.isFunctionOfDim(1) || (isWanted && !isWanted(operand)))
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
}

SmallVector<Value> ScanKernel::loadInitial() {
  SmallVector<Value> states;
  loaded.clear();
  for (int64_t i = 0; i < numInner; ++i) {
    moveTo(innerDims, i);
    for (unsigned part = 0; part < width; ++part)
      states.push_back(op.getInitial().empty()
                           ? loops.constant(type, 0.0)
                           : loops.convert(load(op.getInitial()[part], op.getStateMap(), 0),
                                           type));
  }
  return states;
}

void ScanKernel::storeFinal(ArrayRef<Value> states) {
  for (unsigned part = 0; part < width; ++part) {
    Value memref = op.getFinalStates()[part];
    Type element = getElementTypeOrSelf(memref);
    int64_t together = vectorWidth(memref, op.getStateMap());
    SmallVector<Value> row;
    for (int64_t i = 0; i < numInner; ++i) {
      moveTo(innerDims, i);
      row.push_back(loops.convert(states[i * width + part], element));
      if (int64_t(row.size()) < together)
        continue;
      if (lastKey && together > 1)
        point[*lastKey] = positionOf(*lastKey, at[*lastKey] - (together - 1));
      SmallVector<Value> indices = loops.apply(op.getStateMap(), point);
      if (together == 1)
        loops.store(row.front(), memref, indices);
      else
        storeNeighbours(loops.builder, loops.loc, row, memref, indices);
      row.clear();
    }
  }
}

int64_t ScanKernel::getBlockTokens() {
  if (copiesAhead)
    return ringTokens;
  int64_t updates = numInner * width;
  if (op.getDense())
    updates *= op.getDimSize(*op.getDenseTarget());
  int64_t tokens = std::clamp<int64_t>(kBlockUpdates / std::max<int64_t>(updates, 1), 1,
                                       kMaxTokens);
  if (isCut)
    tokens = std::min(tokens, lacksRegisters() && updates > kSomeStates ? kCutTokens / 2
                                                                         : kCutTokens);
  if (defersOutputs()) // all of a block wait for its end
    tokens = std::clamp<int64_t>(kMaxTokens / numOutputs, 1, tokens);
  return tokens;
}

SmallVector<Value> ScanKernel::runTokens(Value begin, Value end, ArrayRef<Value> from) {
  if (isSingle)
    return emitBlock(begin, 1, from);
  OpBuilder &builder = loops.builder;
  SmallVector<Value> states(from);
  auto block = [&](Value first, Value last, int64_t count) {
    auto loop = scf::ForOp::create(
        builder, loops.loc, first, last, loops.index(count), states,
        [&](OpBuilder &, Location, Value time, ValueRange carried) {
          if (readsStaged)
            goOnCopying(time, last);
          scf::YieldOp::create(builder, loops.loc, emitBlock(time, count, carried));
        });
    states.assign(loop.getResults().begin(), loop.getResults().end());
  };
  int64_t tokens = getBlockTokens();
  Value whole = begin;
  if (tokens > 1) {
    Value count = loops.sub(end, begin);
    Value rest =
        arith::RemUIOp::create(builder, loops.loc, count, loops.index(tokens));
    whole = loops.sub(end, rest);
    if (copiesAhead)
      startCopies(whole);
    readsStaged = copiesAhead;
    block(begin, whole, tokens);
    readsStaged = false;
  }
  block(whole, end, 1);
  return states;
}

void ScanKernel::startThreads(ArrayRef<Value> extents) {
  OpBuilder &builder = loops.builder;
  SmallVector<Value> zeros(extents.size(), loops.index(0)),
      ones(extents.size(), loops.index(1));
  auto threads = scf::ParallelOp::create(builder, loops.loc, zeros, extents, ones);
  threads->setAttr(nvptx::kBlockAttr, builder.getI64IntegerAttr(kThreads));
  builder.setInsertionPointToStart(threads.getBody());
  bindThread(threads.getInductionVars());
}

void ScanKernel::run() {
  bindOp();
  isCut = false;
  OpBuilder::InsertionGuard guard(loops.builder);
  startThreads(threadSizes());
  loadInvariants();
  storeFinal(runTokens(loops.index(0), sizes[1], loadInitial()));
}

bool nvptx::dependsOn(ScanOp op, Value value, ArrayRef<unsigned> dims) {
  llvm::SmallBitVector dependent = op.getDependentDims(value);
  return llvm::any_of(dims, [&](unsigned dim) { return dependent[dim]; });
}

void nvptx::relaxDecays(RewriterBase &rewriter, ScanOp op) {
  SmallVector<Value> decays(op.getCoefficientsOp().getDecay());
  for (Value decay : decays)
    if (auto exponential = decay.getDefiningOp<math::ExpOp>())
      if (exponential.getType().isF32())
        cpu::toPowerOfTwo(rewriter, exponential,
                          [&](Value value) { return !dependsOn(op, value, {1}); });
}

static void collectFactors(Value value, SmallVectorImpl<Value> &factors) {
  auto product = value.getDefiningOp<arith::MulFOp>();
  if (!product || !value.hasOneUse()) {
    factors.push_back(value);
    return;
  }
  collectFactors(product.getLhs(), factors);
  collectFactors(product.getRhs(), factors);
}

/// In products that are written, what all keys share is multiplied first: once a token.
static void shareProducts(RewriterBase &rewriter, ScanOp op) {
  OpBuilder::InsertionGuard guard(rewriter);
  CoefficientsOp roles = op.getCoefficientsOp();
  rewriter.setInsertionPoint(roles);
  for (OpOperand &operand : roles->getOpOperands()) {
    if (!llvm::is_contained(roles.getWrite(), operand.get()))
      continue;
    SmallVector<Value> factors, shared, keyed;
    collectFactors(operand.get(), factors);
    for (Value factor : factors)
      (dependsOn(op, factor, op.getKeyDims()) ? keyed : shared).push_back(factor);
    if (shared.size() < 2 || keyed.empty())
      continue;
    Value product;
    for (Value factor : llvm::concat<Value>(shared, keyed))
      product = product ? arith::MulFOp::create(rewriter, op.getLoc(), product, factor)
                        : factor;
    operand.set(product);
  }
}

/// Calls `emit` for the kernel in which threads have many states, where there are lanes
/// enough, and else for the one with few.
static void emitBySharing(RewriterBase &rewriter, ScanOp op, ScanKernel &many, ScanKernel &few,
                          function_ref<void(ScanKernel &)> emit) {
  if (!few.fits() || few.getNumSharing() == many.getNumSharing())
    return emit(many);
  Loops loops(rewriter, op.getLoc());
  Value isFew = arith::CmpIOp::create(rewriter, op.getLoc(), arith::CmpIPredicate::sle,
                                      few.getNumLanes(), loops.index(kFewLanes));
  loops.when(isFew, [&] { emit(few); }, [&] { emit(many); });
}

/// Where a thread for each lane makes too few warps, threads share lanes and copy ahead all
/// the same; calls `otherwise` where there are enough, or are not even enough then. Rows of
/// f32 are twice the copies of a ring that holds half the tokens: there segments are faster.
static void emitSpread(RewriterBase &rewriter, ScanOp op, function_ref<void()> otherwise) {
  ScanKernel whole(op, rewriter, /*isCooperative=*/true, kSharedStates, /*readsVectors=*/true);
  ScanKernel spread(op, rewriter, /*isCooperative=*/true, kSpreadStates, /*readsVectors=*/true);
  if (!whole.fits() || !spread.fits() || whole.getNumSharing() > 1 ||
      spread.getNumSharing() == 1 || !whole.findStaged(/*isDeep=*/false) ||
      !spread.findStaged(/*isDeep=*/true) || !spread.hasNarrowRows())
    return otherwise();
  Loops loops(rewriter, op.getLoc());
  auto compare = [&](arith::CmpIPredicate predicate, Value value, int64_t bound) -> Value {
    return arith::CmpIOp::create(rewriter, op.getLoc(), predicate, value, loops.index(bound));
  };
  auto both = [&](Value a, Value b) -> Value {
    return arith::AndIOp::create(rewriter, op.getLoc(), a, b);
  };
  Value isSpread = both(compare(arith::CmpIPredicate::slt, whole.getNumWarps(), kSpreadWarps),
                        compare(arith::CmpIPredicate::sge, spread.getNumWarps(), kSpreadWarps));
  Value isLong = compare(arith::CmpIPredicate::sge, loops.size(op.getOutputInits().front(), 1),
                         spread.getRingTokens());
  loops.when(both(isSpread, isLong), [&] { spread.emitStaged(/*isDeep=*/true); }, otherwise);
}

/// The forms of a recurrence, of which the host takes one for a call.
static void emitForms(RewriterBase &rewriter, ScanOp op, bool cooperative, bool vectors) {
  ScanKernel many(op, rewriter, cooperative, kSharedStates, vectors);
  ScanKernel few(op, rewriter, cooperative, 1, vectors);
  many.fits();
  bool copiesAhead =
      vectors && many.getNumSharing() == 1 && many.findStaged(/*isDeep=*/false);
  Loops loops(rewriter, op.getLoc());
  auto emitWhole = [&] {
    emitBySharing(rewriter, op, many, few, [&](ScanKernel &kernel) {
      if (!copiesAhead || &kernel != &many)
        return kernel.run();
      // Less than a block of tokens is not copied ahead.
      Value length = loops.size(op.getOutputInits().front(), 1);
      Value isShort = loops.less(length, loops.index(many.getRingTokens()));
      loops.when(isShort, [&] { many.run(); }, [&] { many.runStaged(); });
    });
  };
  if (!many.hasSegments())
    return emitWhole();
  ScanKernel some(op, rewriter, cooperative, kSomeStates, vectors);
  some.fits();
  // With lanes for a warp each on most multiprocessors, threads with many states.
  auto emitSegments = [&](ScanKernel &kernel, function_ref<void()> otherwise) {
    Value segments = kernel.chooseSegments();
    Value isCut = arith::CmpIOp::create(
        rewriter, op.getLoc(), arith::CmpIPredicate::sgt, segments,
        arith::ConstantIndexOp::create(rewriter, op.getLoc(), 1));
    loops.when(isCut, [&] { kernel.runSegments(segments); }, otherwise);
  };
  emitSegments(many, [&] {
    if (some.getNumSharing() == many.getNumSharing())
      return emitWhole();
    emitSegments(some, emitWhole);
  });
}

/// Calls of a single token have a form of their own where lanes are many.
static void emitByLength(RewriterBase &rewriter, ScanOp op, bool cooperative, bool vectors) {
  ScanKernel single(op, rewriter, cooperative, kSharedStates, vectors);
  single.fits();
  auto emitLong = [&] {
    if (!cooperative || !vectors)
      return emitForms(rewriter, op, cooperative, vectors);
    emitSpread(rewriter, op, [&] { emitForms(rewriter, op, cooperative, vectors); });
  };
  if (!cooperative)
    return emitLong();
  Loops loops(rewriter, op.getLoc());
  Value isSingle = arith::CmpIOp::create(
      rewriter, op.getLoc(), arith::CmpIPredicate::eq,
      loops.size(op.getOutputInits().front(), 1), loops.index(1));
  Value isMany = arith::CmpIOp::create(rewriter, op.getLoc(), arith::CmpIPredicate::sge,
                                       single.getNumLanes(), loops.index(kManyLanes));
  loops.when(arith::AndIOp::create(rewriter, op.getLoc(), isSingle, isMany),
             [&] { single.runSingle(); }, emitLong);
}

MatmulOp nvptx::findProductOf(RewriterBase &rewriter, ScanOp op) {
  if (ScheduleAttr schedule = op.getScheduleAttr();
      schedule && schedule.getMode() == ScanMode::chunk)
    return {};
  auto found = [&]() -> MatmulOp {
    for (Value operand : op.getIns())
      for (Operation *user : operand.getUsers())
        if (auto product = dyn_cast<MatmulOp>(user))
          if (product.getOutput() == operand && follow(product, op))
            return product;
    return {};
  }();
  if (!found || !isTemporary(found.getOutput()) ||
      llvm::is_contained(op.getEpilogueIns(), found.getOutput()) ||
      llvm::any_of(found.getOutput().getUsers(), [&](Operation *user) {
        return user != found && user != op;
      }))
    return {};
  // What other lanes still read when one stores its output.
  SmallVector<Value> read(found.getEpilogueIns());
  read.push_back(found.getInput());
  for (Value memory : read) {
    bool isScanned = llvm::any_of(op.getIns(), [&](Value operand) {
      return operand != found.getOutput() &&
             getBuffer(operand) == getBuffer(memory);
    });
    if (getBuffer(memory) == getBuffer(found.getOutput()) ||
        (isTemporary(memory) && !isScanned && !isReadAfter(op, memory)))
      return {};
  }
  ScanKernel kernel(op, rewriter, /*isCooperative=*/true,
                    ScanKernel::getStepStates(op),
                    /*readsVectors=*/true, /*isStep=*/true);
  return ScanKernel::getStepStates(op) && kernel.fits() &&
                 kernel.canMultiply(found)
             ? found
             : MatmulOp();
}

/// A single token has a form of its own where there are not many lanes.
static void emitStepOr(RewriterBase &rewriter, ScanOp op, MatmulOp product,
                       function_ref<void()> otherwise) {
  int64_t states = ScanKernel::getStepStates(op);
  ScanKernel step(op, rewriter, /*isCooperative=*/true, states, /*readsVectors=*/true,
                  /*isStep=*/true);
  if (!states || !step.fits())
    return otherwise();
  Loops loops(rewriter, op.getLoc());
  Value length = loops.size(op.getOutputInits().front(), 1);
  Value isStep = arith::AndIOp::create(
      rewriter, op.getLoc(), loops.less(length, loops.index(2)),
      loops.less(step.getNumLanes(), loops.index(kManyLanes)));
  isStep = arith::AndIOp::create(rewriter, op.getLoc(), isStep, step.isAligned());
  loops.when(isStep, [&] { step.runStep(product); }, otherwise);
}

LogicalResult nvptx::lowerScan(RewriterBase &rewriter, ScanOp op, bool cooperative,
                               MatmulOp product, Device device) {
  ScanKernel probe(op, rewriter, cooperative, kSharedStates, /*readsVectors=*/true);
  if (!probe.fits())
    return failure();
  shareProducts(rewriter, op);
  if (cooperative)
    relaxDecays(rewriter, op);
  bool copiesAhead = probe.getNumSharing() == 1 && probe.findStaged(/*isDeep=*/false);
  auto emitScalar = [&] {
    ScanKernel scalar(op, rewriter, cooperative, kSharedStates, /*readsVectors=*/false);
    scalar.fits();
    scalar.run();
  };
  auto emitAll = [&] {
    if (product)
      (void)lowerMatmul(rewriter, product, Neighbours(), device);
    if (!probe.hasVectors() && !copiesAhead)
      return emitByLength(rewriter, op, cooperative, /*vectors=*/false);
    Loops(rewriter, op.getLoc())
        .when(probe.isAligned(),
              [&] { emitByLength(rewriter, op, cooperative, /*vectors=*/true); }, emitScalar);
  };
  if (cooperative)
    emitStepOr(rewriter, op, product, emitAll);
  else
    emitAll();
  rewriter.eraseOp(op);
  return success();
}
