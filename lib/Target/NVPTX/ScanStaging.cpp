//===- ScanStaging.cpp - A recurrence whose operands are copied ahead -----===//
//
// Where the lanes of a warp are neighbours in memory, what they read of a token is a row, as
// is what all keys of a token have for every lane. A warp copies the rows of some blocks of
// tokens ahead to a ring in shared memory (cp.async), 16 bytes a thread at once: more bytes
// are on their way than registers could wait for, in fewer instructions. Warps are on their
// own, so that one waits for nothing but its own copies.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/ScanKernel.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

/// The ring of a warp: most tokens of a block, blocks, and bytes. What all warps have on their
/// way is to be some megabytes, as many as memory has at its latency; more only disturb.
struct RingShape {
  int64_t tokens, stages, bytes;
};
static constexpr RingShape kShallow = {16, 3, 12 * 1024}, kDeep = {32, 4, 16 * 1024};
/// Where a token is little work, memory alone counts: of many warps half as many
/// bytes on their way are enough.
static constexpr RingShape kSmall = {16, 3, 8 * 1024};
static constexpr int64_t kLittleWork = 1;
/// Up to so many warps have deep rings.
static constexpr int64_t kFewWarps = 512;
/// Fewer tokens of a block are not worth their copies; updates of states in its code.
static constexpr int64_t kFewTokens = 4, kRingUpdates = 256;
/// Numbers that a thread widens at once.
static constexpr int64_t kWidened = 4;

/// Whether all of a warp's lanes, the first at a multiple of `lanes`, have the same value.
static bool isUniform(AffineExpr expr, unsigned lane, int64_t lanes) {
  if (!expr.isFunctionOfDim(lane))
    return true;
  auto quotient = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!quotient || quotient.getKind() != AffineExprKind::FloorDiv)
    return false;
  auto divisor = dyn_cast<AffineConstantExpr>(quotient.getRHS());
  return divisor && divisor.getValue() % lanes == 0 && isa<AffineDimExpr>(quotient.getLHS());
}

/// Whether 16 bits are widened to f32 wherever they are used.
static bool isWidened(BlockArgument argument) {
  return argument.getType().getIntOrFloatBitWidth() == 16 &&
         llvm::all_of(argument.getUsers(), [](Operation *user) {
           return isa<arith::ExtFOp>(user) && user->getResult(0).getType().isF32();
         });
}

void ScanKernel::stage(Value memref, AffineMap map, BlockArgument argument) {
  unsigned lane = laneDims.back();
  int64_t lanes = getWarpLanes();
  Staged source = {memref, map, lane, lanes, kVectorBytes, false, Value(), Value()};
  auto isOther = [&](unsigned dim) { return map.isFunctionOfDim(dim) && lastKey != dim; };
  if (!map.isFunctionOfDim(1) || llvm::any_of(innerDims, isOther) ||
      llvm::any_of(outputDims, isOther))
    return;
  if (!map.isFunctionOfDim(lane) || getNeighbours(memref, map, lane) % lanes != 0) {
    if (!lastKey || getNeighbours(memref, map, *lastKey) != op.getDimSize(*lastKey) ||
        !llvm::all_of(map.getResults(),
                      [&](AffineExpr expr) { return isUniform(expr, lane, lanes); }))
      return;
    source.dim = *lastKey;
    source.columns = op.getDimSize(*lastKey);
    source.isWidened = !split && source.columns % kWidened == 0 && isWidened(argument);
  }
  int64_t bytes = source.columns * bytesOf(memref);
  source.piece = std::min(kVectorBytes, bytes);
  if (canCopyAhead(source.piece) && bytes % source.piece == 0)
    staged.push_back(source);
}

bool ScanKernel::findStaged(bool isDeep) {
  staged.clear();
  if (!isCooperative || (split && !defersOutputs()) || op.getDense() || laneDims.empty())
    return false;
  int64_t extent = op.getDimSize(laneDims.back());
  if (ShapedType::isDynamic(extent) || extent % getWarpLanes() != 0)
    return false;
  Block &coefficients = op.getCoefficients().front(), &epilogue = op.getEpilogue().front();
  for (auto [i, operand] : llvm::enumerate(op.getIns()))
    stage(operand, op.getInsMap(i), coefficients.getArgument(i));
  for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
    stage(operand, op.getEpilogueMap(i), epilogue.getArgument(op.getNumOutputs() + i));
  const RingShape &shape =
      isDeep ? kDeep : numInner * width <= kLittleWork ? kSmall : kShallow;
  int64_t tokenBytes = 0;
  for (const Staged &source : staged)
    tokenBytes += source.columns * bytesOf(source.memref) * shape.stages +
                  (source.isWidened ? source.columns * 4 : 0);
  numStages = shape.stages;
  ringTokens = shape.tokens;
  while (ringTokens * numInner * width > kRingUpdates || ringTokens * tokenBytes > shape.bytes)
    ringTokens /= 2;
  if (ringTokens < kFewTokens)
    staged.clear();
  return !staged.empty();
}

bool ScanKernel::hasNarrowRows() {
  return llvm::all_of(
      staged, [&](const Staged &source) { return bytesOf(source.memref) == 2; });
}

const ScanKernel::Staged *ScanKernel::getStaged(Value operand, AffineMap map) const {
  if (!readsStaged)
    return nullptr;
  const auto *found = llvm::find_if(staged, [&](const Staged &source) {
    return source.memref == operand && source.map == map;
  });
  return found == staged.end() ? nullptr : found;
}

Value ScanKernel::getLaneOfWarp() {
  if (!split)
    return column;
  return arith::DivUIOp::create(loops.builder, loops.loc, column, loops.index(numSharing));
}

SmallVector<Value> ScanKernel::loadStaged(const Staged &source, int64_t step,
                                          int64_t count) {
  Value token = loops.index(step);
  if (step >= kOwnStep)
    token = loops.add(rank, loops.index((step - kOwnStep) * numSharing));
  if (source.dim != lastKey)
    return {loops.load(source.ring, {slot, token, getLaneOfWarp()})};
  Value first = positionOf(*lastKey, at[*lastKey] / count * count);
  int64_t together = source.isWidened ? std::min(count, kWidened) : count;
  Value from = source.isWidened ? source.wide : source.ring;
  SmallVector<Value> values;
  for (int64_t i = 0; i < count; i += together) {
    SmallVector<Value> indices = {token, loops.add(first, loops.index(i))};
    if (!source.isWidened)
      indices.insert(indices.begin(), slot);
    if (together == 1)
      values.push_back(loops.load(from, indices));
    else
      values.append(extractElements(
          loops.builder, loops.loc,
          loadNeighbours(loops.builder, loops.loc, from, indices, together)));
  }
  return values;
}

void ScanKernel::shareAmongWarp(int64_t count, function_ref<void(Value)> visit) {
  for (int64_t begin = 0; begin < count; begin += kWarp) {
    Value number = loops.add(column, loops.index(begin));
    if (begin + kWarp <= count)
      visit(number);
    else
      loops.when(loops.less(number, loops.index(count)), [&] { visit(number); });
  }
}

void ScanKernel::copyRows(Value time, Value stage) {
  OpBuilder &b = loops.builder;
  Location loc = loops.loc;
  SmallVector<Value> here(point);
  unsigned lane = laneDims.back();
  Value laneOfWarp = getLaneOfWarp();
  for (Staged &source : staged) {
    int64_t elements = source.piece / bytesOf(source.memref);
    int64_t pieces = source.columns / elements, total = ringTokens * pieces;
    shareAmongWarp(total, [&](Value number) {
      Value row = arith::DivUIOp::create(b, loc, number, loops.index(pieces));
      Value piece = arith::RemUIOp::create(b, loc, number, loops.index(pieces));
      Value element = loops.mul(piece, loops.index(elements));
      point[1] = timeAt(loops.add(time, row));
      point[source.dim] =
          source.dim == lane ? loops.add(loops.sub(here[lane], laneOfWarp), element) : element;
      Value to = loops.add(loops.mul(stage, loops.index(total)), number);
      copyAhead(b, loc, source.ring, loops.mul(to, loops.index(source.piece)),
                addressOf(b, loc, source.memref, loops.apply(source.map, point)),
                source.piece);
      point = here;
    });
  }
}

void ScanKernel::widenRows() {
  OpBuilder &b = loops.builder;
  bool isAny = false;
  for (Staged &source : staged) {
    if (!source.isWidened)
      continue;
    isAny = true;
    Value pieces = loops.index(source.columns / kWidened);
    shareAmongWarp(ringTokens * source.columns / kWidened, [&](Value number) {
      Value row = arith::DivUIOp::create(b, loops.loc, number, pieces);
      Value first = loops.mul(arith::RemUIOp::create(b, loops.loc, number, pieces),
                              loops.index(kWidened));
      SmallVector<Value> values = extractElements(
          b, loops.loc, loadNeighbours(b, loops.loc, source.ring, {slot, row, first}, kWidened));
      for (Value &value : values)
        value = loops.convert(value, b.getF32Type());
      storeNeighbours(b, loops.loc, values, source.wide, {row, first});
    });
  }
  if (isAny)
    syncWarp();
}

void ScanKernel::syncWarp() {
  Value all = arith::ConstantOp::create(loops.builder, loops.loc,
                                        loops.builder.getI32IntegerAttr(-1));
  NVVM::SyncWarpOp::create(loops.builder, loops.loc, all);
}

void ScanKernel::startCopies(Value end) {
  for (int64_t stage = 0; stage + 1 < numStages; ++stage) {
    Value time = loops.index(stage * ringTokens);
    loops.when(loops.less(time, end), [&] { copyRows(time, loops.index(stage)); });
    NVVM::CpAsyncCommitGroupOp::create(loops.builder, loops.loc);
  }
}

void ScanKernel::goOnCopying(Value time, Value end) {
  OpBuilder &b = loops.builder;
  Location loc = loops.loc;
  Value stages = loops.index(numStages);
  Value number = arith::DivUIOp::create(b, loc, time, loops.index(ringTokens));
  slot = arith::RemUIOp::create(b, loc, number, stages);
  NVVM::CpAsyncWaitGroupOp::create(b, loc, uint32_t(numStages - 2));
  syncWarp();
  // All threads have read the rows of the block before this one: others come there.
  Value later = loops.add(time, loops.index((numStages - 1) * ringTokens));
  Value free = loops.add(number, loops.index(numStages - 1));
  free = arith::RemUIOp::create(b, loc, free, stages);
  loops.when(loops.less(later, end), [&] { copyRows(later, free); });
  NVVM::CpAsyncCommitGroupOp::create(b, loc);
  widenRows();
}

void ScanKernel::emitStaged(bool isDeep) {
  findStaged(isDeep);
  bindOp();
  isCut = false;
  OpBuilder &b = loops.builder;
  Location loc = loops.loc;
  SmallVector<MemRefType> shared;
  for (const Staged &source : staged) {
    shared.push_back(sharedType({numStages, ringTokens, source.columns},
                                getElementTypeOrSelf(source.memref)));
    if (source.isWidened)
      shared.push_back(sharedType({ringTokens, source.columns}, b.getF32Type()));
  }
  Value warp = loops.index(kWarp);
  OpBuilder::InsertionGuard guard(b);
  gpu::LaunchOp launch =
      startLaunch(b, loc, getNumWarps(), loops.index(1), kWarp, shared);
  ArrayRef<BlockArgument> buffers = launch.getWorkgroupAttributions();
  for (Staged &source : staged) {
    source.ring = buffers.front();
    buffers = buffers.drop_front();
    if (!source.isWidened)
      continue;
    source.wide = buffers.front();
    buffers = buffers.drop_front();
  }
  column = launch.getThreadIds().x;
  bindNumber(loops.add(loops.mul(launch.getBlockIds().x, warp), column));
  loadInvariants();
  copiesAhead = true;
  SmallVector<Value> states = runTokens(loops.index(0), sizes[1], loadInitial());
  copiesAhead = false;
  storeFinal(states);
}

void ScanKernel::runStaged() {
  bindOp();
  OpBuilder &b = loops.builder;
  Value isFew = arith::CmpIOp::create(b, loops.loc, arith::CmpIPredicate::sle, getNumWarps(),
                                      loops.index(kFewWarps));
  loops.when(isFew, [&] { emitStaged(/*isDeep=*/true); },
             [&] { emitStaged(/*isDeep=*/false); });
}
