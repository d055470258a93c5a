//===- LowerWarpgroupChunk.cpp - Chunks by warpgroups: what fits, who does what -===//

#include "Target/NVPTX/Buffers.h"
#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Lowering.h"
#include "Target/NVPTX/Passes.h"
#include "Target/NVPTX/WarpgroupChunk.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

/// Tiles begin at multiples of that, shared memory may begin anywhere.
static constexpr int64_t kTileAlignment = 1024;
/// Shared memory that a block may ask for.
static constexpr int64_t kMostShared = 227 * 1024;

WarpgroupChunk::WarpgroupChunk(ScanOp op, OpBuilder &builder, int64_t blocks,
                               int64_t mostUnits)
    : WarpgroupEmitter(builder, op.getLoc()), op(op), roles(op.getCoefficientsOp()),
      blocks(blocks), mostUnits(mostUnits), point(op.getNumDims()),
      sizes(op.getNumDims()) {}

//===----------------------------------------------------------------------===//
// What fits
//===----------------------------------------------------------------------===//

/// Neighbours in `dim` lie beside each other, and tokens a known distance apart.
std::optional<WarpgroupChunk::Rows> WarpgroupChunk::findRows(Value memory, AffineMap map,
                                                             unsigned dim) {
  auto type = cast<MemRefType>(memory.getType());
  if (!type.getElementType().isBF16() || !type.getLayout().isIdentity() ||
      getNeighbours(memory, map, dim) != op.getDimSize(dim))
    return std::nullopt;
  int64_t step = 2;
  for (int64_t axis = int64_t(map.getNumResults()) - 1; axis >= 0; --axis) {
    AffineExpr index = map.getResult(unsigned(axis));
    if (auto exact = dyn_cast<AffineDimExpr>(index); exact && exact.getPosition() == 1)
      return Rows{memory, map, step};
    if (index.isFunctionOfDim(1) || type.isDynamicDim(unsigned(axis)))
      return std::nullopt;
    step *= type.getDimSize(unsigned(axis));
  }
  return std::nullopt;
}

/// Read, keys and values are in memory as products take them; what depends on time alone
/// may be a factor of the keys or of the values.
bool WarpgroupChunk::findOperands() {
  ProductTerms::Term &term = products.terms.front();
  std::pair<ProductTerms::Factors *, unsigned> own[] = {{&term.key, products.key},
                                                        {&term.lane, products.lane}};
  for (auto [factors, dim] : own)
    if (ProductTerms::split(op, std::exchange(*factors, {}), dim, term.time, *factors))
      term.negated = !term.negated;
  std::optional<unsigned> arguments[] = {findCopied({{roles.getRead()[0], false}}),
                                         findCopied(term.key), findCopied(term.lane)};
  Rows *found[] = {&read, &keys, &values};
  unsigned dims[] = {products.key, products.key, products.lane};
  for (auto [argument, rows, dim] : llvm::zip_equal(arguments, found, dims)) {
    if (!argument)
      return false;
    auto at = findRows(op.getIns()[*argument], op.getInsMap(*argument), dim);
    if (!at)
      return false;
    *rows = *at;
  }
  auto at = findRows(op.getOutputInits().front(), op.getOutputMap(), products.lane);
  if (!at)
    return false;
  outputs = *at;
  // Flags are put there before inputs are read.
  for (Value memory : op.getIns())
    if (getBuffer(memory) == getBuffer(outputs.memory))
      return false;
  // Outputs are rounded, no more.
  Block &epilogue = op.getEpilogue().front();
  return op.getEpilogueIns().empty() && llvm::range_size(epilogue) == 2 &&
         isa<arith::TruncFOp>(epilogue.front());
}

/// A decay is a power, whose exponents are summed up.
bool WarpgroupChunk::findDecay() {
  if (roles.getDecay().empty())
    return true;
  Operation *power = roles.getDecay()[0].getDefiningOp();
  if (!isa_and_present<math::ExpOp, math::Exp2Op>(power))
    return false;
  decay = power->getOperand(0);
  isPowerOfTwo = isa<math::Exp2Op>(power);
  return true;
}

/// As many units as possible share what is fetched of keys.
bool WarpgroupChunk::chooseUnits() {
  parts = op.getDimSize(products.lane) / kLanes;
  for (units = mostUnits; units >= kFewestUnits; units /= 2) {
    if (units % parts != 0)
      continue;
    heads = units / parts;
    unitsOfWarpgroup = units / kMultipliers;
    bool shares = heads == 1;
    if (!shares && !products.outerDims.empty()) {
      unsigned dim = products.outerDims.back();
      shares = op.getDimSize(dim) % heads == 0 && isSameFor(read.map, dim, heads) &&
               isSameFor(keys.map, dim, heads);
    }
    if (shares && getSharedBytes() <= kMostShared)
      return true;
  }
  return false;
}

int64_t WarpgroupChunk::getSharedBytes() {
  tiles = numKeys / kTileWidth;
  atKeys = tiles * kTileBytes;
  atValues = 2 * tiles * kTileBytes;
  atScales = atValues + units * kTileBytes;
  stageBytes = atScales + units * kScaleBytes;
  atProducts = kStages * stageBytes;
  atOutputs = atProducts + units * kTileBytes;
  atBarriers = atOutputs + units * kTokens * kOutputStride;
  return kTileAlignment + atBarriers + 2 * kStages * 8;
}

bool WarpgroupChunk::fits() {
  if (!op.hasPureBufferSemantics())
    return false;
  for (Value operand : op->getOperands())
    if (getElementTypeOrSelf(operand.getType()).isF64())
      return false;
  std::optional<ProductTerms> found = ProductTerms::get(op);
  if (!found || !found->copyDims.empty() || !found->pairs.empty() || found->keyDecay ||
      found->terms.size() != 1)
    return false;
  products = std::move(*found);
  for (Operation &inner : op.getCoefficients().front())
    if (inner.getNumRegions())
      return false;
  numKeys = op.getDimSize(products.key);
  if ((numKeys != kTileWidth && numKeys != 2 * kTileWidth) ||
      op.getDimSize(products.lane) % kLanes != 0 || !findOperands() || !findDecay())
    return false;
  SmallVector<Value> states(op.getFinalStates());
  llvm::append_range(states, op.getInitial());
  for (Value state : states) {
    auto type = cast<MemRefType>(state.getType());
    if (!type.getElementType().isF32() || !type.getLayout().isIdentity() ||
        getNeighbours(state, op.getStateMap(), products.key) != numKeys)
      return false;
    stateStep = 4;
    AffineMap map = op.getStateMap();
    for (unsigned axis = map.getNumResults() - 1;
         map.getDimPosition(axis) != products.lane; --axis)
      stateStep *= type.getDimSize(axis);
  }
  return chooseUnits();
}

SmallVector<Value> WarpgroupChunk::getVectorMemory() {
  SmallVector<Value> memory = {read.memory, keys.memory, values.memory, outputs.memory};
  llvm::append_range(memory, op.getFinalStates());
  llvm::append_range(memory, op.getInitial());
  return memory;
}

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

void WarpgroupChunk::bindUnit(const Group &group, Value unit) {
  llvm::fill(point, loops.index(0));
  point[0] = group.row;
  Value block = group.place;
  unit = toIndex(unit);
  point[products.lane] = times(remainder(unit, parts), kLanes);
  int64_t together = heads;
  for (unsigned dim : llvm::reverse(products.outerDims)) {
    int64_t size = op.getDimSize(dim) / together;
    point[dim] = remainder(block, size);
    if (together > 1)
      point[dim] = loops.add(times(point[dim], together), quotient(unit, parts));
    block = quotient(block, size);
    together = 1;
  }
}

void WarpgroupChunk::bindToken(Value step) {
  point[1] = op.getReverse() ? loops.sub(plus(sizes[1], -1), step) : step;
}

Value WarpgroupChunk::addressOf(Value memory, AffineMap map) {
  Value place = loops.index(0);
  for (auto [axis, index] : llvm::enumerate(loops.apply(map, point))) {
    Value size = loops.size(memory, unsigned(axis));
    place = axis ? loops.add(loops.mul(place, size), index) : index;
  }
  int64_t bytes = getElementTypeOrSelf(memory.getType()).getIntOrFloatBitWidth() / 8;
  Value start =
      memref::ExtractAlignedPointerAsIndexOp::create(loops.builder, loops.loc, memory);
  return toLong(loops.add(start, times(place, bytes)));
}

void WarpgroupChunk::forGroups(function_ref<void(const Group &, Value)> body) {
  OpBuilder &b = loops.builder;
  Value last = toWord(quotient(plus(toIndex(end), -1), toIndex(numChunks)));
  Value first = toWord(quotient(toIndex(begin), toIndex(numChunks)));
  Value count = addWords(subWords(last, first), 1);
  auto loop = scf::ForOp::create(b, loops.loc, word(0), count, word(1), word(0));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Group group;
  group.number = subWords(last, loop.getInductionVar());
  Value start = mulWords(group.number, numChunks);
  group.first = arith::MaxSIOp::create(b, loops.loc, subWords(begin, start), word(0));
  group.stop = arith::MinUIOp::create(b, loops.loc, subWords(end, start), numChunks);
  group.row = quotient(toIndex(group.number), groupsOfRow);
  group.place = remainder(toIndex(group.number), groupsOfRow);
  Value before = loop.getRegionIterArgs().front();
  body(group, before);
  Value after = addWords(before, subWords(group.stop, group.first));
  scf::YieldOp::create(b, loops.loc, after);
}

void WarpgroupChunk::forChunks(const Group &group, ValueRange carried,
                               function_ref<Values(Value, ValueRange)> body,
                               Values &results) {
  auto loop = scf::ForOp::create(
      loops.builder, loops.loc, group.first, group.stop, word(1), carried,
      [&](OpBuilder &b, Location loc, Value chunk, ValueRange arguments) {
        scf::YieldOp::create(b, loc, body(chunk, arguments));
      });
  results = Values(loop.getResults());
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

/// Before the kernel: nobody has left states behind yet.
void WarpgroupChunk::clearFlags() {
  SmallVector<unsigned> dims = {0};
  llvm::append_range(dims, products.outerDims);
  llvm::fill(point, loops.index(0));
  bindToken(plus(sizes[1], -1));
  loops.each(dims, sizes, point, [&] {
    for (int64_t part = 0; part < parts; ++part)
      for (int64_t half = 0; half < 2; ++half) {
        point[products.lane] = loops.index(part * kLanes + half);
        loops.store(loops.constant(f32, 0.0), outputs.memory,
                    loops.apply(outputs.map, point));
      }
  });
}

Value WarpgroupChunk::countGroups() {
  loops.bindSizes(op, sizes);
  groupsOfRow = 1;
  for (unsigned dim : products.outerDims)
    groupsOfRow *= op.getDimSize(dim);
  groupsOfRow /= heads;
  return times(sizes[0], groupsOfRow);
}

Value WarpgroupChunk::hasFewGroups() {
  return loops.less(countGroups(), loops.index(blocks / 2 + 1));
}

void WarpgroupChunk::run() {
  OpBuilder &b = loops.builder;
  Value groups = countGroups();
  Value most = loops.index(blocks);
  Value isDivided = loops.less(most, groups);
  loops.when(isDivided, [&] { clearFlags(); });
  Value grid = loops.select(isDivided, most, groups);
  Value chunks = ceilQuotient(sizes[1], kTokens);

  OpBuilder::InsertionGuard guard(b);
  gpu::LaunchOp launch = startLaunch(b, loops.loc, grid, loops.index(1), kThreads);
  launch->setAttr(kMinBlocksAttr, b.getI64IntegerAttr(1));
  launch->setAttr(kSharedBytesAttr, b.getI64IntegerAttr(getSharedBytes()));
  auto type = sharedType({ShapedType::kDynamic}, b.getI8Type());
  Value memory = gpu::DynamicSharedMemoryOp::create(b, loops.loc, type);
  shared = toWord(memref::ExtractAlignedPointerAsIndexOp::create(b, loops.loc, memory));
  shared = arith::AndIOp::create(b, loops.loc, addWords(shared, kTileAlignment - 1),
                                 word(-kTileAlignment));
  length = toWord(sizes[1]);
  numChunks = toWord(chunks);
  Value block = launch.getBlockIds().x;
  Value total = loops.mul(groups, chunks);
  auto startOf = [&](Value number) {
    return toWord(quotient(loops.mul(total, number), launch.getGridSize().x));
  };
  begin = startOf(block);
  end = startOf(plus(block, 1));

  Value thread = toWord(launch.getThreadIds().x);
  loops.when(isEqual(thread, 0), [&] {
    for (int64_t stage = 0; stage < kStages; ++stage) {
      initBarrier(shared, atBarrier(/*isEmpty=*/false) + stage * 8, kWarpgroup);
      initBarrier(shared, atBarrier(/*isEmpty=*/true) + stage * 8,
                  kMultipliers * kWarpgroup / kWarp);
    }
    publishBarriers();
  });
  gpu::BarrierOp::create(b, loops.loc);
  loops.when(
      isBelow(thread, word(kWarpgroup)), [&] { produce(thread); },
      [&] { multiplyChunks(thread); });
}

LogicalResult nvptx::lowerWarpgroupChunk(RewriterBase &rewriter, ScanOp op, int64_t terms,
                                         const Device &device) {
  ScheduleAttr schedule = op.getScheduleAttr();
  if (!schedule || schedule.getMode() != ScanMode::chunk || terms != 1)
    return failure();
  using Kernel = WarpgroupChunk;
  Kernel kernel(op, rewriter, device.multiprocessors, Kernel::kMostUnits);
  if (!kernel.fits())
    return failure();
  detail::Loops loops(rewriter, op.getLoc());
  auto emit = [&] {
    Kernel narrow(op, rewriter, device.multiprocessors, Kernel::kFewestUnits);
    if (kernel.getUnits() == Kernel::kFewestUnits || !narrow.fits())
      return kernel.run();
    Value hasFewGroups = kernel.hasFewGroups();
    loops.when(
        hasFewGroups, [&] { narrow.run(); }, [&] { kernel.run(); });
  };
  Value isAligned =
      areAligned(rewriter, op.getLoc(), kernel.getVectorMemory(), kVectorBytes);
  loops.when(isAligned, emit, [&] {
    (void)lowerChunk(rewriter, cast<ScanOp>(rewriter.clone(*op)), terms, device);
  });
  rewriter.eraseOp(op);
  return success();
}
