//===- LowerChunk.cpp - Sizes and schedule of chunks on tensor cores ------===//

#include "Target/NVPTX/ChunkKernel.h"
#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Lowering.h"
#include "Target/NVPTX/Passes.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

namespace {
/// Keys whose states fit into the registers of a thread.
constexpr int64_t kMaxKeys = 256;
/// Elements after each row of a matrix, so that eight rows lie in different banks.
constexpr int64_t kRowPadding = 8;
/// With up to so many keys a multiprocessor is to hold so many blocks, or larger ones.
constexpr int64_t kSharingKeys = 128, kSharingBlocks = 2;
/// Up to so many blocks of one head each have a multiprocessor of their own.
constexpr int64_t kFewBlocks = 128;
} // namespace

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

ChunkKernel::ChunkKernel(ScanOp op, OpBuilder &builder, int64_t terms, int64_t sharedBytes,
                         bool readsVectors, bool maySpread)
    : KernelEmitter(builder, op.getLoc()), op(op), cores(loops, terms),
      roles(op.getCoefficientsOp()), f32(builder.getF32Type()), terms(terms),
      sharedBytes(sharedBytes), readsVectors(readsVectors), maySpread(maySpread),
      point(op.getNumDims()),
      sizes(op.getNumDims()) {}

bool ChunkKernel::fits() {
  if (!op.hasPureBufferSemantics())
    return false;
  for (Value operand : op->getOperands())
    if (getElementTypeOrSelf(operand.getType()).isF64())
      return false;
  for (Region *region : {&op.getCoefficients(), &op.getEpilogue()})
    for (Operation &inner : region->front())
      if (inner.getNumRegions())
        return false;
  std::optional<ProductTerms> found = ProductTerms::get(op);
  if (!found || !found->copyDims.empty() || found->pairs.size() > 1)
    return false;
  products = std::move(*found);
  keys = op.getDimSize(products.key);
  lanes = op.getDimSize(products.lane);
  paddedKeys = llvm::alignTo(keys, kChunk);
  if (paddedKeys > kMaxKeys)
    return false;

  Row read;
  read.factors.push_back({roles.getRead()[0], false});
  rows.push_back(std::move(read));
  for (ProductTerms::ErasePair &pair : products.pairs) {
    Row row;
    row.isBefore = true;
    eraseTime = pair.time;
    isEraseNegative =
        ProductTerms::splitKeys(op, {{pair.left, false}}, eraseTime, row.factors) !=
        pair.negated;
    for (auto [number, term] : llvm::enumerate(products.terms))
      if (!products.keyDecay && ProductTerms::areSameFactors(term.key, row.factors))
        row.term = number;
    rows.push_back(std::move(row));
  }
  hasLaneVectors = storesLaneVectors();
  for (ProductTerms::Term &term : products.terms)
    hasLaneVectors |= findLaneVectors(term).has_value();
  return chooseGroup();
}

/// Multiples of a vector, of all buffers.
static int64_t bytesOf(ArrayRef<MemRefType> buffers) {
  int64_t bytes = 0;
  for (MemRefType type : buffers)
    bytes += llvm::alignTo(type.getNumElements() * type.getElementTypeBitWidth() / 8,
                           kVectorBytes);
  return bytes;
}

int64_t ChunkKernel::getSharedBytes(int64_t tokens, int64_t numStages) {
  group = tokens;
  stages = numStages;
  return bytesOf(getBuffers());
}

size_t ChunkKernel::numAskedFor() {
  SmallVector<MemRefType> buffers = getBuffers();
  if (bytesOf(buffers) <= kSharedBytes)
    return 0;
  return llvm::count_if(
      buffers, [](MemRefType type) { return type.getElementType().isBF16(); });
}

/// Whether two neighbours in the last independent dimension have the same keys.
bool ChunkKernel::canShareKeys() {
  if (products.outerDims.empty() || op.getDimSize(products.outerDims.back()) % 2)
    return false;
  unsigned dim = products.outerDims.back();
  bool areShared = true;
  forMatrices([&](const Factors &factors, const SharedMatrix &, bool) {
    for (unsigned argument : findArguments(factors))
      areShared &= isSameFor(op.getInsMap(argument), dim, /*count=*/2);
  });
  return areShared;
}

/// Two stages where there is room, and then more warps that multiply what is
/// staged: of twice as many lanes, or of two heads, if blocks are many. One
/// product waits for another with an erase pair, so that more blocks are better.
bool ChunkKernel::chooseGroup() {
  if (products.pairs.empty() && paddedKeys <= kSharingKeys) {
    bool hasWideTile = lanes > getTileLanes();
    tileWarps = hasWideTile ? 2 * kWarps : kWarps;
    heads =
        !hasWideTile && !products.keyDecay && !maySpread && canShareKeys() ? 2 : 1;
    if (heads * tileWarps > kWarps && chooseGroup(/*numStages=*/2))
      return true;
  }
  heads = 1;
  tileWarps = kWarps;
  return chooseGroup(/*numStages=*/2) || chooseGroup(/*numStages=*/1);
}

/// As many chunks as warps that stage, or fewer where memory is short.
bool ChunkKernel::chooseGroup(int64_t numStages) {
  // A warp stages a chunk: of one chunk alone, others would wait for it.
  int64_t fewest = numStages > 1 ? 2 * kChunk : kChunk;
  int64_t bytes = products.pairs.empty() ? kSharedBytes : sharedBytes;
  for (int64_t tokens = kWarps * kChunk / heads; tokens >= fewest; tokens /= 2)
    if (getSharedBytes(tokens, numStages) <= bytes)
      return true;
  return false;
}

SmallVector<MemRefType> ChunkKernel::getBuffers() {
  Type bf16 = loops.builder.getBF16Type();
  SmallVector<MemRefType> buffers;
  auto add = [&](ArrayRef<int64_t> shape, Type type) {
    buffers.push_back(sharedType(shape, type));
  };
  for (size_t i = 0; i < products.terms.size(); ++i)
    add({stages, terms, group, paddedKeys + kRowPadding}, bf16);
  for (Row &row : rows)
    if (!row.term)
      add({stages, terms, group, paddedKeys + kRowPadding}, bf16);
  int64_t tokens = heads * group, chunks = heads * numChunks();
  add({stages, terms, getNumScores(), tokens, kScoreStride}, bf16);
  if (hasTokenDecay()) {
    add({stages, tokens}, f32);
    add({stages, tokens}, f32);
    add({stages, chunks}, f32);
    add({chunks, kChunk + 1, kDecayStride}, f32);
  }
  if (hasTimeFactors())
    add({stages, int64_t(products.terms.size()), tokens}, f32);
  if (products.keyDecay) {
    add({stages, numChunks(), paddedKeys}, f32);
    add({numChunks(), paddedKeys}, f32);
    add({numChunks()}, loops.builder.getI32Type());
  }
  if (!products.pairs.empty()) {
    add({stages, group}, f32);
    add({group}, f32);
    add({numChunks(), kChunk, kChunk}, f32);
  }
  return buffers;
}

/// Names what getBuffers lists, in its order.
void ChunkKernel::allocate(ValueRange buffers) {
  OpBuilder &b = loops.builder;
  auto next = [&] {
    Value buffer = buffers.front();
    buffers = buffers.drop_front();
    return buffer;
  };
  auto matrix = [&](int64_t rows, int64_t stride) {
    matrixAddresses.push_back(
        memref::ExtractAlignedPointerAsIndexOp::create(b, loops.loc, next()));
    return SharedMatrix{Value(), rows, stride};
  };
  for (size_t i = 0; i < products.terms.size(); ++i)
    keyMatrices.push_back(matrix(group, paddedKeys + kRowPadding));
  for (Row &row : rows)
    if (!row.term)
      row.matrix = matrix(group, paddedKeys + kRowPadding);
  scores = matrix(getNumScores() * heads * group, kScoreStride);
  if (hasTokenDecay()) {
    prefixes = next();
    suffixes = next();
    totals = next();
    withinChunk = next();
  }
  if (hasTimeFactors())
    timeScales = next();
  if (products.keyDecay) {
    totals = next();
    inverseTotals = next();
    isExtreme = next();
  }
  if (!products.pairs.empty()) {
    erasePrefixes = next();
    eraseScales = next();
    triangle = next();
  }
}

void ChunkKernel::bindStage(Value number) {
  OpBuilder &b = loops.builder;
  stage = number;
  ArrayRef<Value> addresses = matrixAddresses;
  auto bind = [&](SharedMatrix &matrix) {
    int64_t bytes = terms * matrix.rows * matrix.stride * int64_t(sizeof(uint16_t));
    Value address = loops.add(addresses.front(), times(stage, bytes));
    addresses = addresses.drop_front();
    address = arith::IndexCastOp::create(b, loops.loc, b.getI64Type(), address);
    auto type = LLVM::LLVMPointerType::get(b.getContext(),
                                           unsigned(NVVM::NVVMMemorySpace::Shared));
    matrix.pointer = LLVM::IntToPtrOp::create(b, loops.loc, type, address);
  };
  for (SharedMatrix &matrix : keyMatrices)
    bind(matrix);
  for (Row &row : rows)
    if (row.term)
      row.matrix = keyMatrices[*row.term];
    else
      bind(row.matrix);
  bind(scores);
}

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
  ArrayRef<MemRefType> asked = ArrayRef(types).take_front(numAskedFor());
  gpu::LaunchOp launch = startLaunch(b, loops.loc, getNumBlocks(), loops.index(1),
                                     threads, ArrayRef(types).drop_front(asked.size()));
  if (threads == 2 * kThreads && readsVectors && products.pairs.empty() &&
      paddedKeys <= kSharingKeys)
    launch->setAttr(kMinBlocksAttr, b.getI64IntegerAttr(kSharingBlocks));
  Value thread = launch.getThreadIds().x;
  lane = remainder(thread, kWarp);
  // The same for all threads of a warp, and seen to be.
  warp = shuffle(quotient(thread, kWarp), loops.index(0));
  laneRow = quotient(lane, 4);
  laneColumn = times(remainder(lane, 4), 2);
  SmallVector<Value> buffers;
  if (!asked.empty()) {
    launch->setAttr(kSharedBytesAttr, b.getI64IntegerAttr(bytesOf(asked)));
    Value memory = gpu::DynamicSharedMemoryOp::create(
        b, loops.loc, sharedType({ShapedType::kDynamic}, b.getI8Type()));
    for (auto [number, type] : llvm::enumerate(asked))
      buffers.push_back(memref::ViewOp::create(
          b, loops.loc, type, memory, loops.index(bytesOf(asked.take_front(number))),
          ValueRange()));
  }
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
