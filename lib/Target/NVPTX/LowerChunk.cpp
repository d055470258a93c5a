//===- LowerChunk.cpp - Sizes and schedule of chunks on tensor cores ------===//

#include "Target/NVPTX/ChunkKernel.h"
#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Lowering.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

namespace {
/// Keys whose states fit into the registers of a thread.
constexpr int64_t kMaxKeys = 256;
/// Shared memory that a kernel may have without being asked for.
constexpr int64_t kSharedBytes = 48 * 1024;
/// Elements after each row of a matrix, so that eight rows lie in different banks.
constexpr int64_t kRowPadding = 8;
} // namespace

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

ChunkKernel::ChunkKernel(ScanOp op, OpBuilder &builder, int64_t terms)
    : op(op), loops(builder, op.getLoc()), cores(loops, terms),
      roles(op.getCoefficientsOp()), f32(builder.getF32Type()), terms(terms),
      point(op.getNumDims()), sizes(op.getNumDims()) {}

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
  return chooseGroup();
}

int64_t ChunkKernel::getSharedBytes(int64_t tokens) {
  group = tokens;
  int64_t bytes = 0;
  for (MemRefType type : getBuffers())
    bytes += llvm::alignTo(type.getNumElements() * type.getElementTypeBitWidth() / 8, 16);
  return bytes;
}

/// As many chunks as warps, or fewer where memory is short.
bool ChunkKernel::chooseGroup() {
  for (int64_t tokens = kWarps * kChunk; tokens >= kChunk; tokens /= 2)
    if (getSharedBytes(tokens) <= kSharedBytes)
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
    add({terms, group, paddedKeys + kRowPadding}, bf16);
  for (Row &row : rows)
    if (!row.term)
      add({terms, group, paddedKeys + kRowPadding}, bf16);
  add({terms, getNumScores(), group, kScoreStride}, bf16);
  if (hasTokenDecay()) {
    add({group}, f32);
    add({group}, f32);
    add({numChunks()}, f32);
    add({numChunks(), kChunk + 1, kDecayStride}, f32);
  }
  if (products.keyDecay) {
    add({numChunks(), paddedKeys}, f32);
    add({numChunks()}, loops.builder.getI32Type());
  }
  if (!products.pairs.empty()) {
    add({group}, f32);
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
    return SharedMatrix{getSharedPointer(b, loops.loc, next()), rows, stride};
  };
  for (size_t i = 0; i < products.terms.size(); ++i)
    keyMatrices.push_back(matrix(group, paddedKeys + kRowPadding));
  for (Row &row : rows)
    row.matrix = row.term ? keyMatrices[*row.term] : matrix(group, paddedKeys + kRowPadding);
  scores = matrix(getNumScores() * group, kScoreStride);
  if (hasTokenDecay()) {
    prefixes = next();
    suffixes = next();
    totals = next();
    withinChunk = next();
  }
  if (products.keyDecay) {
    totals = next();
    isExtreme = next();
  }
  if (!products.pairs.empty()) {
    eraseScales = next();
    erasePrefixes = next();
    triangle = next();
  }
}

//===----------------------------------------------------------------------===//
// Places and values at them
//===----------------------------------------------------------------------===//

void ChunkKernel::barrier() { gpu::BarrierOp::create(loops.builder, loops.loc); }

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
  return bindWithin(products.lane, plus(loops.add(firstLane, laneRow), 8 * half), lanes,
                    llvm::alignTo(lanes, kBlockLanes));
}

Value ChunkKernel::evaluate(ArrayRef<ProductTerms::Factor> factors) {
  SmallVector<Value> wanted;
  for (const ProductTerms::Factor &factor : factors)
    wanted.push_back(factor.value);
  SmallVector<Value> values =
      loops.inlineSlice(op.getCoefficients().front(), wanted, [&](unsigned argument) {
        return loops.load(op.getIns()[argument],
                          loops.apply(op.getInsMap(argument), point));
      });
  Value product = one();
  bool isFirst = true;
  for (auto [factor, value] : llvm::zip_equal(factors, values))
    if (!factor.inverse) {
      value = loops.convert(value, f32);
      product = isFirst ? value : loops.mul(product, value);
      isFirst = false;
    }
  for (auto [factor, value] : llvm::zip_equal(factors, values))
    if (factor.inverse)
      product = arith::DivFOp::create(loops.builder, loops.loc, product,
                                      loops.convert(value, f32));
  return product;
}

Value ChunkKernel::evaluate(Value coefficient) {
  return evaluate({ProductTerms::Factor{coefficient, false}});
}

//===----------------------------------------------------------------------===//
// Schedule
//===----------------------------------------------------------------------===//

void ChunkKernel::bindBlock(Value block) {
  firstLane = times(remainder(block, llvm::divideCeil(lanes, kBlockLanes)), kBlockLanes);
  firstLane = loops.add(firstLane, times(warp, kWarpLanes));
  block = quotient(block, llvm::divideCeil(lanes, kBlockLanes));
  for (unsigned dim : llvm::reverse(products.outerDims)) {
    point[dim] = remainder(block, op.getDimSize(dim));
    block = quotient(block, op.getDimSize(dim));
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
  OpBuilder &b = loops.builder;
  for (auto [i, state] : llvm::enumerate(states)) {
    Value isInside = bindKey(plus(laneColumn, i / 4 * 8 + i % 2));
    isInside = i1And(isInside, bindLane(i % 4 / 2));
    auto branch = scf::IfOp::create(b, loops.loc, isInside, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    loops.store(state, op.getFinalStates().front(), loops.apply(op.getStateMap(), point));
  }
}

SmallVector<Value> ChunkKernel::emitGroups(Value begin, Value end, bool areWhole,
                                           ValueRange states) {
  isWhole = areWhole;
  auto loop = scf::ForOp::create(
      loops.builder, loops.loc, begin, end, loops.index(group), states,
      [&](OpBuilder &, Location, Value first, ValueRange carried) {
        scf::YieldOp::create(loops.builder, loops.loc, emitGroup(first, carried));
      });
  return loop.getResults();
}

SmallVector<Value> ChunkKernel::emitGroup(Value first, ValueRange carried) {
  SmallVector<Value> states(carried);
  // What is of this thread alone comes while the others are staged.
  SmallVector<SmallVector<SmallVector<Value>>> values(numChunks());
  for (int64_t chunk = 0; chunk < numChunks(); ++chunk)
    for (unsigned term = 0; term < products.terms.size(); ++term)
      values[chunk].push_back(loadValues(term, first, chunk));
  stageTokens(first);
  barrier();
  emitScores(first);
  barrier();
  for (int64_t chunk = 0; chunk < numChunks(); ++chunk)
    emitChunk(states, values[chunk], first, chunk);
  barrier();
  return states;
}

void ChunkKernel::run() {
  OpBuilder &b = loops.builder;
  loops.bindSizes(op, sizes);
  length = sizes[1];
  int64_t blocksOfRow = llvm::divideCeil(lanes, kBlockLanes);
  for (unsigned dim : products.outerDims)
    blocksOfRow *= op.getDimSize(dim);
  OpBuilder::InsertionGuard guard(b);
  gpu::LaunchOp launch = startLaunch(b, loops.loc, times(sizes[0], blocksOfRow),
                                     loops.index(1), kThreads, getBuffers());
  llvm::fill(point, loops.index(0));
  Value thread = launch.getThreadIds().x;
  lane = remainder(thread, kWarp);
  // The same for all threads of a warp, and seen to be.
  warp = shuffle(quotient(thread, kWarp), loops.index(0));
  laneRow = quotient(lane, 4);
  laneColumn = times(remainder(lane, 4), 2);
  SmallVector<Value> buffers;
  for (BlockArgument buffer : launch.getWorkgroupAttributions())
    buffers.push_back(buffer);
  allocate(buffers);
  bindBlock(launch.getBlockIds().x);
  Value whole = loops.sub(length, remainder(length, group));
  SmallVector<Value> states =
      emitGroups(loops.index(0), whole, /*areWhole=*/true, loadStates());
  storeStates(emitGroups(whole, length, /*areWhole=*/false, states));
}

bool nvptx::fitsChunks(ScanOp op, int64_t terms) {
  OpBuilder builder(op);
  return ChunkKernel(op, builder, terms).fits();
}

LogicalResult nvptx::lowerChunk(RewriterBase &rewriter, ScanOp op, int64_t terms) {
  ScheduleAttr schedule = op.getScheduleAttr();
  if (!schedule || schedule.getMode() != ScanMode::chunk)
    return failure();
  relaxDecays(rewriter, op);
  ChunkKernel kernel(op, rewriter, terms);
  if (!kernel.fits())
    return failure();
  kernel.run();
  rewriter.eraseOp(op);
  return success();
}
