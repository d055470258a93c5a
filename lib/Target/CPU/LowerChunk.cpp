//===- LowerChunk.cpp - Analysis and schedule of the chunked form ---------===//

#include "ChunkLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <cmath>

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Bytes of scratch memory of one task, on its stack and in its second cache.
static constexpr int64_t scratchBytes = 256 * 1024;
/// Tokens to a multiple of which a chunk is padded: whole blocks of every
/// product, for every vector width.
static constexpr int64_t tokenMultiple = 16;
static constexpr int64_t maximumChunk = 256;
static constexpr int64_t maximumLanes = 256;

ChunkLowering::ChunkLowering(RewriterBase &builder, ScanOp op,
                             const VectorTarget &target)
    : BlockProducts(builder, op.getLoc(), target), op(op),
      roles(op.getCoefficientsOp()),
      coefficientsBody(op.getCoefficients().front()),
      epilogueBody(op.getEpilogue().front()), numDims(op.getNumDims()),
      coefficientsBase(builder, loc, numDims),
      epilogueBase(builder, loc, numDims) {}

//===----------------------------------------------------------------------===//
// Analysis
//===----------------------------------------------------------------------===//

bool ChunkLowering::chooseTerms() {
  std::optional<ProductTerms> products = ProductTerms::get(op);
  if (!products)
    return false;
  lane = products->lane;
  key = products->key;
  outerDims = products->outerDims;
  unitKeys = products->unitKeys;
  copyDims = products->copyDims;
  keyDecay = products->keyDecay;
  lanes = op.getDimSize(lane);
  keys = op.getDimSize(key);
  for (unsigned dim : copyDims)
    copies *= op.getDimSize(dim);
  for (const ProductTerms::Term &term : products->terms)
    terms.push_back(term);
  for (const ProductTerms::ErasePair &pair : products->pairs)
    pairs.push_back(pair);
  if (!hasTerms()) {
    timeFactors = terms.front().time;
    laneFactors = terms.front().lane;
    keyFactors = terms.front().key;
    negated = terms.front().negated;
  }
  return true;
}

/// A token costs `Q (K + V) / 2` products within a chunk of Q tokens, against
/// `K V / Q` times what it takes to load, scale and store an element of the
/// state. Without units for products of matrices the best is a short chunk.
int64_t ChunkLowering::getBestChunk() {
  double state = double(keys) * lanes;
  double best = std::sqrt(6 * state / (keys + lanes));
  return llvm::alignDown(std::clamp<int64_t>(best, tokenMultiple, 64),
                         tokenMultiple);
}

int64_t ChunkLowering::getScratchElements() {
  if (hasTerms())
    return getTermScratchElements();
  int64_t elements = keys * laneBlock + 2 * chunk * laneBlock +
                     2 * chunk * paddedKeys + chunk * chunk + chunk;
  elements += keyDecay ? 2 * chunk * paddedKeys + 2 * paddedKeys
                       : chunk * chunk + chunk;
  return elements;
}

bool ChunkLowering::chooseSizes() {
  block = std::max<int64_t>(width, 4);
  paddedKeys = llvm::alignTo(keys, width);
  ScheduleAttr schedule = op.getScheduleAttr();
  chunk = schedule.getChunk() > 0 ? schedule.getChunk() : getBestChunk();
  int64_t length = op.getDimSize(1);
  if (!ShapedType::isDynamic(length))
    chunk = std::min(chunk, std::max<int64_t>(length, 1));
  chunk = llvm::alignTo(std::min(chunk, maximumChunk), tokenMultiple);
  int64_t limit = schedule.getLanes() > 0 ? schedule.getLanes() : maximumLanes;
  limit = llvm::alignTo(std::min(limit, lanes), width);
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  auto fits = [&] {
    // Blocks of equal size, of whole vectors.
    laneBlock = llvm::alignTo(
        llvm::divideCeil(lanes, llvm::divideCeil(lanes, limit)), width);
    return getScratchElements() * bytes <= scratchBytes;
  };
  while (!fits()) {
    if (limit > 4 * width)
      limit = llvm::alignTo(limit / 2, width);
    else if (chunk > 2 * tokenMultiple)
      chunk = llvm::alignTo(chunk / 2, tokenMultiple);
    else if (limit > width)
      limit = llvm::alignTo(limit / 2, width);
    else if (chunk > tokenMultiple)
      chunk = tokenMultiple;
    else
      return false;
  }
  return true;
}

/// Time for one token of a unit, in nanoseconds.
double ChunkLowering::getUnitTokenCost() {
  double products = 0.5 * chunk * (keys * copies + laneBlock * copies) +
                    double(keys) * laneBlock * (1 + copies);
  double staged = 20.0 * (keys + laneBlock) + 300;
  return (products + staged) / width * 0.15;
}

LogicalResult ChunkLowering::run() {
  if (op.getDimSize(1) == 1)
    return failure();
  for (Block *body : {&coefficientsBody, &epilogueBody})
    for (Operation &inner : *body)
      if (inner.getNumRegions() != 0)
        return failure();
  setElement(builder.getF32Type());
  for (Value operand : op->getOperands())
    if (cast<MemRefType>(operand.getType()).getElementType().isF64())
      setElement(builder.getF64Type());
  if (!chooseTerms() || !chooseSizes())
    return failure();

  bindOperands(op, coefficientsBase, epilogueBase);
  bindOutput(epilogueBase, Value());
  streams = getStreams(op, {key, lane}, copyDims);

  builder.setInsertionPoint(op);
  Value output = op.getOutputInits().front();
  auto getExtent = [&](int64_t axis) {
    return builder.createOrFold<memref::DimOp>(loc, output, axis);
  };
  batches = getExtent(0);
  tokens = getExtent(1);
  int64_t units = llvm::divideCeil(lanes, laneBlock);
  for (unsigned dim : outerDims)
    units *= op.getDimSize(dim);
  emitUnitTasks(builder, op, batches, units, tokens, getUnitTokenCost(),
                [&](Value begin, Value end) { emitTask(begin, end); });
  builder.eraseOp(op);
  return success();
}

//===----------------------------------------------------------------------===//
// Schedule
//===----------------------------------------------------------------------===//

void ChunkLowering::allocateScratch() {
  if (hasTerms())
    return allocateTermScratch();
  state = allocate({keys, laneBlock});
  values = allocate({chunk, laneBlock});
  queries = allocate({chunk, paddedKeys});
  keyColumns = allocate({paddedKeys, chunk});
  scores = allocate({chunk, chunk});
  reads = allocate({chunk, laneBlock});
  scales = allocate({chunk});
  if (!keyDecay) {
    decays = allocate({chunk});
    products = allocate({chunk, chunk});
    return;
  }
  decays = allocate({chunk, paddedKeys});
  decayedKeys = allocate({paddedKeys, chunk});
  blockProduct = allocate({paddedKeys});
  fullProduct = allocate({paddedKeys});
}

void ChunkLowering::emitTask(Value begin, Value end) {
  allocateScratch();
  emitFor(builder, loc, begin, end, 1, [&](Value unit) { emitUnit(unit); });
}

void ChunkLowering::emitUnit(Value unit) {
  SmallVector<Value> extents{batches};
  for (unsigned dim : outerDims)
    extents.push_back(index(op.getDimSize(dim)));
  extents.push_back(index(llvm::divideCeil(lanes, laneBlock)));
  SmallVector<Value> digits = delinearize(builder, loc, unit, extents);
  RegionEmitter coefficients = coefficientsBase;
  RegionEmitter epilogue = epilogueBase;
  for (RegionEmitter *emitter : {&coefficients, &epilogue}) {
    emitter->bindDim(0, digits[0]);
    for (auto [i, dim] : llvm::enumerate(outerDims))
      emitter->bindDim(dim, digits[i + 1]);
    for (unsigned dim : unitKeys)
      emitter->bindDim(dim, index(0));
  }
  coefficients.hoist(coefficientsBody, {coefficients.zeroOffsets()});
  epilogue.hoist(epilogueBody, {epilogue.zeroOffsets()});
  firstLane = mulIndex(builder, loc, digits.back(), index(laneBlock));
  endLane = minIndex(builder, loc, at(firstLane, laneBlock), index(lanes));
  emitBoundary(coefficients, /*load=*/true);
  emitFor(builder, loc, index(0), tokens, chunk,
          [&](Value first) { emitChunk(coefficients, epilogue, first); });
  emitBoundary(coefficients, /*load=*/false);
}

void ChunkLowering::emitChunk(RegionEmitter &coefficients,
                              RegionEmitter &epilogue, Value first) {
  unitPoint = &coefficients;
  start = first;
  count = minIndex(builder, loc, subIndex(builder, loc, tokens, start),
                   index(chunk));
  padded = mulIndex(builder, loc,
                    ceilDivIndex(builder, loc, count, index(tokenMultiple)),
                    index(tokenMultiple));
  if (hasTerms())
    return emitTerms(coefficients, epilogue);
  stageWrite(coefficients);
  transposeKeys(keyColumns);
  if (!keyDecay)
    emitDecayProducts();
  forCopies(coefficients, epilogue,
            [&](RegionEmitter &copied, RegionEmitter &copiedEpilogue) {
              emitCopy(copied, copiedEpilogue);
            });
  if (!keyDecay)
    scaleForState();
  emitStateUpdate();
}

void ChunkLowering::forCopies(
    RegionEmitter &coefficients, RegionEmitter &epilogue,
    llvm::function_ref<void(RegionEmitter &, RegionEmitter &)> emit) {
  SmallVector<Value> extents;
  for (unsigned dim : copyDims)
    extents.push_back(index(op.getDimSize(dim)));
  emitFor(builder, loc, index(0), index(copies), 1, [&](Value copy) {
    RegionEmitter copied = coefficients, copiedEpilogue = epilogue;
    SmallVector<Value> digits = delinearize(builder, loc, copy, extents);
    for (auto [dim, digit] : llvm::zip(copyDims, digits)) {
      copied.bindDim(dim, digit);
      copiedEpilogue.bindDim(dim, digit);
    }
    emit(copied, copiedEpilogue);
  });
}

void ChunkLowering::emitCopy(RegionEmitter &coefficients,
                             RegionEmitter &epilogue) {
  stageRead(coefficients);
  if (keyDecay)
    emitKeyDecayScores();
  else
    emitScores();
  emitRead();
  emitOutputs(epilogue);
}

LogicalResult ssmc::cpu::lowerChunk(RewriterBase &rewriter, ScanOp op,
                                    const VectorTarget &target) {
  ScheduleAttr schedule = op.getScheduleAttr();
  if (!schedule || schedule.getMode() != ScanMode::chunk ||
      !isa<MemRefType>(op.getOuts().front().getType()))
    return failure();
  return ChunkLowering(rewriter, op, target).run();
}
