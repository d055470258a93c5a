//===- LowerChunk.cpp - Schedule of chunks on tensor cores ----------------===//

#include "Target/NVPTX/ChunkKernel.h"
#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Lowering.h"
#include "Target/NVPTX/Passes.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

namespace {
/// With few keys a multiprocessor is to hold so many blocks, or larger ones.
constexpr int64_t kSharingBlocks = 2;
/// Up to so many blocks of one head each have a multiprocessor of their own.
constexpr int64_t kFewBlocks = 128;
} // namespace

//===----------------------------------------------------------------------===//
// Places and values at them
//===----------------------------------------------------------------------===//

void ChunkKernel::barrier() { gpu::BarrierOp::create(loops.builder, loops.loc); }

void ChunkKernel::stagingBarrier() {
  if (stages == 1)
    return barrier();
  OpBuilder &b = loops.builder;
  auto number = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, loops.loc, b.getI32IntegerAttr(int32_t(value)));
  };
  NVVM::BarrierOp::create(b, loops.loc, TypeRange(), number(kStagingBarrier),
                          number(kThreads), {}, Value());
}

Value ChunkKernel::bindToken(Value step) {
  Value last = loops.sub(length, loops.index(1));
  Value token =
      isWhole ? step : arith::MinSIOp::create(loops.builder, loops.loc, step, last);
  point[1] = op.getReverse() ? loops.sub(last, token) : token;
  return isWhole ? isTrue() : loops.less(step, length);
}

Value ChunkKernel::bindWithin(unsigned dim, Value index, int64_t size, int64_t paddedSize) {
  point[dim] = index;
  if (size == paddedSize)
    return isTrue();
  point[dim] =
      arith::MinSIOp::create(loops.builder, loops.loc, index, loops.index(size - 1));
  return loops.less(index, loops.index(size));
}

Value ChunkKernel::bindKey(Value key) {
  return bindWithin(products.key, key, keys, paddedKeys);
}

Value ChunkKernel::bindLane(int64_t half) {
  Value row = plus(laneRow, 8 * half);
  if (hasLaneVectors) // two of the four lanes of a vector
    row = plus(loops.add(times(quotient(laneRow, 2), kLaneVector), remainder(laneRow, 2)),
               2 * half);
  return bindWithin(products.lane, loops.add(firstLane, row), lanes,
                    llvm::alignTo(lanes, getTileLanes()));
}

Value ChunkKernel::evaluate(ArrayRef<ProductTerms::Factor> factors) {
  return evaluate(factors, [&](unsigned argument) {
    return loops.load(op.getIns()[argument], loops.apply(op.getInsMap(argument), point));
  });
}

Value ChunkKernel::evaluate(ArrayRef<ProductTerms::Factor> factors,
                            function_ref<Value(unsigned)> getArgument) {
  return evaluateFactors(loops, op, factors, getArgument);
}

Value ChunkKernel::evaluate(Value coefficient) {
  return evaluate({ProductTerms::Factor{coefficient, false}});
}

//===----------------------------------------------------------------------===//
// Schedule
//===----------------------------------------------------------------------===//

void ChunkKernel::bindBlock(Value block, Value headOfBlock) {
  head = headOfBlock;
  int64_t tiles = llvm::divideCeil(lanes, getTileLanes());
  firstLane = times(remainder(block, tiles), getTileLanes());
  firstLane = loops.add(firstLane, times(remainder(warp, tileWarps), kWarpLanes));
  block = quotient(block, tiles);
  int64_t together = heads;
  for (unsigned dim : llvm::reverse(products.outerDims)) {
    int64_t size = op.getDimSize(dim) / together;
    point[dim] = remainder(block, size);
    if (together > 1)
      point[dim] = loops.add(times(point[dim], together), headOfBlock);
    block = quotient(block, size);
    together = 1;
  }
  point[0] = block;
}

/// The sum number `4 n + 2 h + e` of a warp is of the key `8 n + laneColumn + e` and the
/// lane `8 h + laneRow`.
SmallVector<Value> ChunkKernel::loadStates() {
  if (op.getInitial().empty())
    return zeros(paddedKeys / 2);
  SmallVector<Value> states;
  for (int64_t i = 0; i < paddedKeys / 2; ++i) {
    Value isKey = bindKey(plus(laneColumn, i / 4 * 8 + i % 2));
    bindLane(i % 4 / 2);
    Value state = loops.convert(
        loops.load(op.getInitial().front(), loops.apply(op.getStateMap(), point)), f32);
    states.push_back(loops.select(isKey, state, zero()));
  }
  return states;
}

void ChunkKernel::storeStates(ValueRange states) {
  for (auto [i, state] : llvm::enumerate(states)) {
    Value isInside = bindKey(plus(laneColumn, i / 4 * 8 + i % 2));
    isInside = both(isInside, bindLane(i % 4 / 2));
    loops.when(isInside, [&, &state = state] {
      loops.store(state, op.getFinalStates().front(), loops.apply(op.getStateMap(), point));
    });
  }
}

SmallVector<Value>
ChunkKernel::forGroups(Value begin, Value end, ValueRange carried,
                       function_ref<SmallVector<Value>(Value, ValueRange)> emit) {
  auto loop = scf::ForOp::create(
      loops.builder, loops.loc, begin, end, loops.index(1), carried,
      [&](OpBuilder &, Location, Value number, ValueRange arguments) {
        if (stages > 1)
          bindStage(remainder(number, stages));
        scf::YieldOp::create(loops.builder, loops.loc, emit(number, arguments));
      });
  return loop.getResults();
}

SmallVector<Value> ChunkKernel::emitInTurns(Value begin, Value end, bool areWhole,
                                            ValueRange states) {
  return forGroups(begin, end, states, [&](Value number, ValueRange carried) {
    isWhole = areWhole;
    Value first = times(number, group);
    // What is of this thread alone comes while the others are staged.
    SmallVector<Value> values = loadGroupValues(first);
    stageGroup(first, loadGroup(first));
    emitScores(first);
    barrier();
    SmallVector<Value> after = emitGroup(first, values, carried);
    barrier();
    return after;
  });
}

SmallVector<Value> ChunkKernel::loadGroupValues(Value first) {
  SmallVector<Value> values;
  for (int64_t chunk = 0; chunk < numChunks(); ++chunk)
    llvm::append_range(values, loadChunkValues(first, chunk));
  return values;
}

SmallVector<Value> ChunkKernel::loadChunkValues(Value first, int64_t chunk) {
  SmallVector<Value> values;
  for (unsigned term = 0; term < products.terms.size(); ++term)
    llvm::append_range(values, loadValues(term, first, chunk));
  return values;
}

SmallVector<Value> ChunkKernel::emitGroup(Value first, ArrayRef<Value> loaded,
                                          ValueRange carried,
                                          SmallVectorImpl<Value> *next) {
  SmallVector<Value> states(carried);
  for (int64_t chunk = 0; chunk < numChunks(); ++chunk) {
    SmallVector<SmallVector<Value>> values(products.terms.size());
    for (auto [term, ofTerm] : llvm::zip_equal(products.terms, values))
      if (term.isWritten) {
        ofTerm = spreadLanes(term, loaded.take_front(numValues(term)), first, chunk);
        loaded = loaded.drop_front(numValues(term));
      }
    if (next) {
      bool wasWhole = std::exchange(isWhole, false); // there may be no such group
      llvm::append_range(*next, loadChunkValues(plus(first, group), chunk));
      isWhole = wasWhole;
    }
    emitChunk(states, values, first, chunk);
  }
  return states;
}

void ChunkKernel::runInTurns(Value block) {
  bindThread(warp, loops.index(0), block);
  bindStage(loops.index(0));
  Value whole = quotient(length, group), all = ceilQuotient(length, group);
  SmallVector<Value> states =
      emitInTurns(loops.index(0), whole, /*areWhole=*/true, loadStates());
  storeStates(emitInTurns(whole, all, /*areWhole=*/false, states));
}

/// All warps meet once a group, when it has been staged and the one before multiplied.
void ChunkKernel::runOverlapped(Value block) {
  OpBuilder &b = loops.builder;
  Value whole = quotient(length, group), all = ceilQuotient(length, group);
  Value warpOfBlock = warp;
  auto roles = scf::IfOp::create(b, loops.loc, loops.less(warp, loops.index(kWarps)),
                                 /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(roles.thenBlock());
  // A chunk of a head each, as far as there are any.
  Value chunkHead = arith::MinSIOp::create(
      b, loops.loc, quotient(warpOfBlock, numChunks()), loops.index(heads - 1));
  bindThread(warpOfBlock, chunkHead, block);
  produce(whole, all);
  b.setInsertionPointToStart(roles.elseBlock());
  Value multiplier = plus(warpOfBlock, -kWarps);
  bindThread(multiplier, quotient(multiplier, tileWarps), block);
  consume(whole, all);
}

void ChunkKernel::produce(Value numWhole, Value numGroups) {
  isWhole = false;
  if (!loadsDecayedAhead()) {
    forGroups(loops.index(0), numGroups, loadGroup(loops.index(0)),
              [&](Value number, ValueRange loaded) {
                Value first = times(number, group);
                SmallVector<Value> next = loadGroup(plus(first, group));
                stageGroup(first, loaded);
                emitScores(first);
                barrier();
                return next;
              });
    return;
  }
  // Tokens of whole groups are a known distance apart: fewer addresses in registers. What
  // is loaded ahead takes those of the decays, once they are staged: a spilled load is
  // waited for. The last group loads itself once more.
  loops.when(loops.less(loops.index(0), numWhole), [&] {
    isWhole = true;
    forGroups(loops.index(0), numWhole, loadGroup(loops.index(0)),
              [&](Value number, ValueRange loaded) {
                Value first = times(number, group);
                stageGroup(first, loaded);
                Value next = arith::MinSIOp::create(loops.builder, loops.loc,
                                                    plus(number, 1), plus(numWhole, -1));
                SmallVector<Value> ahead = loadGroup(times(next, group));
                emitScores(first);
                barrier();
                return ahead;
              });
    isWhole = false;
  });
  loops.when(loops.less(numWhole, numGroups), [&] {
    bindStage(remainder(numWhole, stages));
    Value first = times(numWhole, group);
    stageGroup(first, loadGroup(first));
    emitScores(first);
    barrier();
  });
}

void ChunkKernel::consume(Value numWhole, Value numGroups) {
  isWhole = false;
  SmallVector<Value> carried = loadGroupValues(loops.index(0));
  size_t numValues = carried.size();
  llvm::append_range(carried, loadStates());
  auto emit = [&](Value begin, Value end, bool areWhole, ValueRange before) {
    return forGroups(begin, end, before, [&](Value number, ValueRange arguments) {
      Value first = times(number, group);
      barrier();
      isWhole = areWhole;
      SmallVector<Value> values(arguments.take_front(numValues)), next;
      SmallVector<Value> states =
          emitGroup(first, values, arguments.drop_front(numValues), &next);
      llvm::append_range(next, states);
      return next;
    });
  };
  carried = emit(loops.index(0), numWhole, /*areWhole=*/true, carried);
  carried = emit(numWhole, numGroups, /*areWhole=*/false, carried);
  storeStates(ValueRange(carried).drop_front(numValues));
}

void ChunkKernel::bindThread(Value warpOfRole, Value headOfBlock, Value block) {
  warp = warpOfRole;
  llvm::fill(point, loops.index(0));
  bindBlock(block, headOfBlock);
}

Value ChunkKernel::getNumBlocks() {
  int64_t blocksOfRow = llvm::divideCeil(lanes, getTileLanes());
  for (unsigned dim : products.outerDims)
    blocksOfRow *= op.getDimSize(dim);
  return times(loops.size(op.getOutputInits().front(), 0), blocksOfRow / heads);
}

void ChunkKernel::run() {
  OpBuilder &b = loops.builder;
  loops.bindSizes(op, sizes);
  length = sizes[1];
  int64_t threads = kThreads;
  if (stages > 1)
    threads += heads * tileWarps * kWarp;
  OpBuilder::InsertionGuard guard(b);
  SmallVector<MemRefType> types = getBuffers();
  size_t numAsked = numAskedFor();
  gpu::LaunchOp launch = startLaunch(b, loops.loc, getNumBlocks(), loops.index(1),
                                     threads, ArrayRef(types).drop_front(numAsked));
  if (threads == 2 * kThreads && readsVectors && products.pairs.empty() && hasFewKeys())
    launch->setAttr(kMinBlocksAttr, b.getI64IntegerAttr(kSharingBlocks));
  Value thread = launch.getThreadIds().x;
  lane = remainder(thread, kWarp);
  // The same for all threads of a warp, and seen to be.
  warp = shuffle(quotient(thread, kWarp), loops.index(0));
  laneRow = quotient(lane, 4);
  laneColumn = times(remainder(lane, 4), 2);
  SmallVector<Value> buffers = askFor(launch, ArrayRef(types).take_front(numAsked));
  llvm::append_range(buffers, launch.getWorkgroupAttributions());
  allocate(buffers);
  if (stages > 1)
    runOverlapped(launch.getBlockIds().x);
  else
    runInTurns(launch.getBlockIds().x);
}

SmallVector<Value> ChunkKernel::getVectorMemory() {
  SmallVector<Value> memory;
  if (!products.keyDecay)
    forMatrices([&](const Factors &factors, const SharedMatrix &, bool) {
      if (std::optional<Vectors> vectors = findVectors(factors))
        memory.push_back(op.getIns()[vectors->argument]);
    });
  for (unsigned argument = 0; argument < op.getIns().size(); ++argument)
    if (readsPairs(argument))
      memory.push_back(op.getIns()[argument]);
  for (ProductTerms::Term &term : products.terms)
    if (std::optional<unsigned> argument = findLaneVectors(term))
      memory.push_back(op.getIns()[*argument]);
  if (storesLaneVectors())
    memory.push_back(op.getOutputInits().front());
  return memory;
}

bool nvptx::fitsChunks(ScanOp op, int64_t terms, const Device &device) {
  OpBuilder builder(op);
  return ChunkKernel(op, builder, terms, device.sharedBytes, /*readsVectors=*/false).fits();
}

LogicalResult nvptx::lowerChunk(RewriterBase &rewriter, ScanOp op, int64_t terms,
                                const Device &device) {
  ScheduleAttr schedule = op.getScheduleAttr();
  if (!schedule || schedule.getMode() != ScanMode::chunk)
    return failure();
  relaxDecays(rewriter, op);
  auto emit = [&](bool readsVectors) {
    ChunkKernel kernel(op, rewriter, terms, device.sharedBytes, readsVectors);
    kernel.fits();
    if (!kernel.sharesKeys())
      return kernel.run();
    ChunkKernel spread(op, rewriter, terms, device.sharedBytes, readsVectors,
                       /*maySpread=*/true);
    spread.fits();
    Loops loops(rewriter, op.getLoc());
    Value isFew = loops.less(spread.getNumBlocks(), loops.index(kFewBlocks + 1));
    loops.when(isFew, [&] { spread.run(); }, [&] { kernel.run(); });
  };
  ChunkKernel probe(op, rewriter, terms, device.sharedBytes, /*readsVectors=*/true);
  if (!probe.fits())
    return failure();
  SmallVector<Value> memory = probe.getVectorMemory();
  if (memory.empty()) {
    emit(/*readsVectors=*/false);
  } else {
    Value isAligned = areAligned(rewriter, op.getLoc(), memory, kVectorBytes);
    Loops(rewriter, op.getLoc())
        .when(isAligned, [&] { emit(/*readsVectors=*/true); },
              [&] { emit(/*readsVectors=*/false); });
  }
  rewriter.eraseOp(op);
  return success();
}
