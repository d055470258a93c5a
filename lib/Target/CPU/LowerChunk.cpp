//===- LowerChunk.cpp - Analysis and schedule of the chunked form ---------===//

#include "ChunkLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <cmath>
#include <numeric>

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
    : builder(builder), op(op), loc(op.getLoc()), target(target),
      roles(op.getCoefficientsOp()),
      coefficientsBody(op.getCoefficients().front()),
      epilogueBody(op.getEpilogue().front()), numDims(op.getNumDims()),
      coefficientsBase(builder, loc, numDims),
      epilogueBase(builder, loc, numDims) {}

//===----------------------------------------------------------------------===//
// Analysis
//===----------------------------------------------------------------------===//

bool ChunkLowering::dependsOnKeys(Value value) {
  llvm::SmallBitVector dims = op.getDependentDims(value);
  return llvm::any_of(op.getKeyDims(), [&](unsigned d) { return dims[d]; });
}

bool ChunkLowering::dependsOnLane(Value value) {
  return op.getDependentDims(value).test(lane);
}

/// Splits a product into factors of keys, of lanes, and of time alone.
bool ChunkLowering::factorize(Value value, bool inverse) {
  bool onKeys = dependsOnKeys(value);
  bool onLane = dependsOnLane(value);
  if (!onKeys || !onLane) {
    SmallVector<Factor> &factors = onKeys   ? keyFactors
                                   : onLane ? laneFactors
                                            : timeFactors;
    factors.push_back({value, inverse});
    return true;
  }
  Operation *definition = value.getDefiningOp();
  if (!definition)
    return false;
  if (isa<arith::NegFOp>(definition)) {
    negated = !negated;
    return factorize(definition->getOperand(0), inverse);
  }
  // The state is at least as wide as what is converted.
  if (isa<arith::ExtFOp, arith::TruncFOp>(definition))
    return factorize(definition->getOperand(0), inverse);
  if (isa<arith::MulFOp>(definition))
    return factorize(definition->getOperand(0), inverse) &&
           factorize(definition->getOperand(1), inverse);
  if (isa<arith::DivFOp>(definition))
    return factorize(definition->getOperand(0), inverse) &&
           factorize(definition->getOperand(1), !inverse);
  return false;
}

bool ChunkLowering::chooseDims() {
  for (unsigned dim = 2; dim < numDims; ++dim)
    if (ShapedType::isDynamic(op.getDimSize(dim)) || op.getDimSize(dim) < 1)
      return false;
  SmallVector<unsigned> keyDims = op.getKeyDims();
  key = keyDims.front();
  for (unsigned dim : keyDims)
    if (op.getDimSize(dim) > op.getDimSize(key))
      key = dim;
  for (unsigned dim : keyDims)
    if (dim != key)
      unitKeys.push_back(dim);
  if (llvm::any_of(unitKeys, [&](unsigned d) { return op.getDimSize(d) != 1; }))
    return false;
  keys = op.getDimSize(key);
  copyDims = op.getCopyDims();
  for (unsigned dim : copyDims)
    copies *= op.getDimSize(dim);
  keyDecay = !roles.getDecay().empty() && dependsOnKeys(roles.getDecay()[0]);

  SmallVector<unsigned> candidates;
  for (unsigned dim : op.getStateDims())
    if (!llvm::is_contained(keyDims, dim) && op.getDimSize(dim) > 1)
      candidates.push_back(dim);
  llvm::sort(candidates, [&](unsigned a, unsigned b) {
    return std::make_pair(op.getDimSize(a), a) >
           std::make_pair(op.getDimSize(b), b);
  });
  for (unsigned dim : candidates) {
    lane = dim;
    if ((!roles.getDecay().empty() && dependsOnLane(roles.getDecay()[0])) ||
        dependsOnLane(roles.getRead()[0]) ||
        !chooseTerms())
      continue;
    lanes = op.getDimSize(lane);
    for (unsigned other : op.getStateDims())
      if (other != lane && !llvm::is_contained(keyDims, other))
        outerDims.push_back(other);
    return true;
  }
  return false;
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
  width = target.getLanes(element.getIntOrFloatBitWidth());
  vectorType = VectorType::get({width}, element);
  block = std::max<int64_t>(width, 4);
  paddedKeys = llvm::alignTo(keys, width);
  ScheduleAttr schedule = op.getScheduleAttr();
  chunk = schedule.getChunk() > 0 ? schedule.getChunk() : getBestChunk();
  int64_t length = op.getDimSize(1);
  if (!ShapedType::isDynamic(length))
    chunk = std::min(chunk, std::max<int64_t>(length, 1));
  chunk = llvm::alignTo(std::min(chunk, maximumChunk), tokenMultiple);
  // Work within a chunk grows with its square, and there is more of it.
  if (hasTerms())
    chunk = tokenMultiple;
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
  if (op.getComplex() || op.getDense() || roles.getReset() ||
      (roles.getWrite().empty() && roles.getErase().empty()) ||
      roles.getRead().empty() ||
      op.getKeyDims().empty() || op.getNumOutputs() != 1 ||
      op.getDimSize(1) == 1)
    return failure();
  for (Block *body : {&coefficientsBody, &epilogueBody})
    for (Operation &inner : *body)
      if (inner.getNumRegions() != 0)
        return failure();
  element = builder.getF32Type();
  for (Value operand : op->getOperands())
    if (cast<MemRefType>(operand.getType()).getElementType().isF64())
      element = builder.getF64Type();
  if (!chooseDims() || !chooseSizes())
    return failure();

  coefficientsBase.addBody(coefficientsBody);
  epilogueBase.addBody(epilogueBody);
  for (auto [i, operand] : llvm::enumerate(op.getIns()))
    coefficientsBase.bindAccess(coefficientsBody.getArgument(i),
                                {operand, op.getInsMap(i)});
  for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
    epilogueBase.bindAccess(epilogueBody.getArgument(1 + i),
                            {operand, op.getEpilogueMap(i)});
  bindOutput(epilogueBase, Value());

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
  Value numUnits = mulIndex(builder, loc, batches, index(units));
  Value unitsPerTask =
      getUnitsPerTask(builder, loc, tokens, getUnitTokenCost());
  unitsPerTask =
      minIndex(builder, loc, unitsPerTask,
               builder.createOrFold<arith::MaxSIOp>(loc, numUnits, index(1)));
  emitTasks(builder, loc, numUnits, unitsPerTask, std::nullopt,
            [&](Value begin, Value end) { emitTask(begin, end); });
  builder.eraseOp(op);
  return success();
}

//===----------------------------------------------------------------------===//
// Schedule
//===----------------------------------------------------------------------===//

Value ChunkLowering::allocate(ArrayRef<int64_t> shape) {
  return memref::AllocaOp::create(builder, loc, MemRefType::get(shape, element),
                                  builder.getI64IntegerAttr(64));
}

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

//===----------------------------------------------------------------------===//
// Between memory and scratch
//===----------------------------------------------------------------------===//

/// Moves the state between the buffers of the op and scratch memory.
void ChunkLowering::emitBoundary(RegionEmitter &emitter, bool load) {
  int64_t whole = keys / width * width;
  if (load && op.getInitial().empty()) {
    emitFor(builder, loc, index(0), index(keys), 1, [&](Value k) {
      emitFor(builder, loc, index(0), index(laneBlock), width,
              [&](Value column) {
                storeVector(constant(0), state, {k, column});
              });
    });
    return;
  }
  Access access{load ? op.getInitial().front() : op.getFinalStates().front(),
                op.getStateMap()};
  Type type = cast<MemRefType>(access.memref.getType()).getElementType();
  auto move = [&](RegionEmitter &point, Value column, int64_t number) {
    Value first = point.getDim(key);
    SmallVector<Offsets> points(number, point.zeroOffsets());
    for (int64_t i = 0; i < number; ++i)
      points[i][key] = i;
    if (load) {
      SmallVector<Value> rows =
          point.loadTransposed(access, key, number, points[0]);
      for (int64_t i = 0; i < number; ++i) {
        Value row = rows.empty() ? point.load(access, points[i]) : rows[i];
        storeVector(convert(point.splat(row), element), state,
                    {at(first, i), column});
      }
      return;
    }
    SmallVector<Value> rows;
    for (int64_t i = 0; i < number; ++i)
      rows.push_back(convert(loadVector(state, {at(first, i), column}), type));
    if (point.storeTransposed(access, key, rows, points[0]))
      return;
    for (int64_t i = 0; i < number; ++i)
      point.store(access, rows[i], points[i]);
  };
  emitLaneLoops(
      emitter, loc, lane, firstLane, endLane, width, 1,
      std::gcd(lanes, laneBlock), [&](RegionEmitter &inner, int64_t) {
        Value column = subIndex(builder, loc, inner.getDim(lane), firstLane);
        emitFor(builder, loc, index(0), index(whole), width, [&](Value k) {
          RegionEmitter point = inner;
          point.bindDim(key, k);
          move(point, column, width);
        });
        emitFor(builder, loc, index(whole), index(keys), 1, [&](Value k) {
          RegionEmitter point = inner;
          point.bindDim(key, k);
          move(point, column, 1);
        });
      });
}

/// Runs `emit` for each token of the chunk, in the order of the recurrence.
void ChunkLowering::forTokens(
    RegionEmitter &emitter, Block &body,
    llvm::function_ref<void(RegionEmitter &, Value)> emit) {
  emitFor(builder, loc, index(0), count, 1, [&](Value step) {
    Value token = addIndex(builder, loc, start, step);
    if (op.getReverse())
      token = subIndex(builder, loc, subIndex(builder, loc, tokens, index(1)),
                       token);
    RegionEmitter inner = emitter;
    inner.bindDim(1, token);
    inner.hoist(body, {inner.zeroOffsets()});
    emit(inner, step);
  });
}

/// Stores a row over `dim`, the key or the lane, for one token.
void ChunkLowering::stage(RegionEmitter &emitter, unsigned dim, Value scratch,
                          Value step,
                          llvm::function_ref<Value(RegionEmitter &)> compute) {
  bool onLane = dim == lane;
  Value lower = onLane ? firstLane : index(0);
  Value upper = onLane ? endLane : index(keys);
  int64_t multiple = onLane ? std::gcd(lanes, laneBlock) : keys;
  emitLaneLoops(
      emitter, loc, dim, lower, upper, width, 1, multiple,
      [&](RegionEmitter &inner, int64_t) {
        Value column = subIndex(builder, loc, inner.getDim(dim), lower);
        storeVector(inner.splat(compute(inner)), scratch, {step, column});
      });
}

Value ChunkLowering::one(RegionEmitter &emitter) {
  Value scalar =
      arith::ConstantOp::create(builder, loc, builder.getFloatAttr(element, 1));
  return emitter.splat(scalar);
}

Value ChunkLowering::getProduct(RegionEmitter &emitter,
                                ArrayRef<Factor> factors) {
  Value result;
  auto get = [&](const Factor &factor) {
    return convert(emitter.getVector(factor.value, emitter.zeroOffsets()),
                   element);
  };
  for (const Factor &factor : factors)
    if (!factor.inverse)
      result = result ? multiply(result, get(factor)) : get(factor);
  if (!result)
    result = one(emitter);
  for (const Factor &factor : factors)
    if (factor.inverse)
      result = arith::DivFOp::create(builder, loc, result, get(factor));
  return result;
}

SmallVector<std::pair<ArrayRef<ChunkLowering::Factor>, Value>>
ChunkLowering::getScales() {
  SmallVector<std::pair<ArrayRef<Factor>, Value>> result;
  auto add = [&](ArrayRef<Factor> factors, Value scratch) {
    if (!factors.empty())
      result.push_back({factors, scratch});
  };
  if (!hasTerms())
    add(timeFactors, scales);
  for (Term &term : terms)
    if (hasTerms())
      add(term.time, term.scales);
  for (ErasePair &pair : pairs)
    add(pair.time, pair.scales);
  return result;
}

/// What depends on time alone is computed for a vector of tokens at once.
void ChunkLowering::stageTimes(RegionEmitter &emitter) {
  auto emit = [&](RegionEmitter &inner, Value place) {
    auto store = [&](Value value, Value scratch) {
      if (isa<VectorType>(value.getType()))
        storeVector(value, scratch, place);
      else
        memref::StoreOp::create(builder, loc, value, scratch, place);
    };
    for (auto [factors, scratch] : getScales())
      store(getProduct(inner, factors), scratch);
    if (keyDecay)
      return;
    if (roles.getDecay().empty())
      return store(one(inner), decays);
    Value decay = inner.getVector(roles.getDecay()[0], inner.zeroOffsets());
    store(convert(decay, element), decays);
  };
  // Backwards, the tokens of a vector would be in the wrong order.
  if (op.getReverse())
    return forTokens(emitter, coefficientsBody, emit);
  emitLaneLoops(emitter, loc, 1, start, addIndex(builder, loc, start, count),
                width, 1, 1, [&](RegionEmitter &inner, int64_t) {
                  emit(inner, subIndex(builder, loc, inner.getDim(1), start));
                });
}

void ChunkLowering::stageWrite(RegionEmitter &emitter) {
  if (!keyDecay || !getScales().empty())
    stageTimes(emitter);
  forTokens(emitter, coefficientsBody, [&](RegionEmitter &inner, Value step) {
    if (keyDecay)
      stage(inner, key, decays, step, [&](RegionEmitter &point) {
        return convert(point.get(roles.getDecay()[0], point.zeroOffsets()),
                       element);
      });
    stage(inner, key, queries, step,
          [&](RegionEmitter &point) { return getProduct(point, keyFactors); });
    stage(inner, lane, values, step, [&](RegionEmitter &point) -> Value {
      Value value = getProduct(point, laneFactors);
      if (!timeFactors.empty())
        value = multiply(value, splat(loadScalar(scales, step)));
      if (!negated)
        return value;
      return arith::NegFOp::create(builder, loc, value);
    });
  });
  fillTail(queries, paddedKeys, 0);
  fillTail(values, laneBlock, 0);
  fillTail(decays, keyDecay ? paddedKeys : 0, 1);
}

void ChunkLowering::stageRead(RegionEmitter &emitter) {
  forTokens(emitter, coefficientsBody, [&](RegionEmitter &inner, Value step) {
    stage(inner, key, queries, step, [&](RegionEmitter &point) {
      return convert(point.get(roles.getRead()[0], point.zeroOffsets()),
                     element);
    });
  });
  fillTail(queries, paddedKeys, 0);
}

/// Rows after the last token; without columns, numbers.
void ChunkLowering::fillTail(Value scratch, int64_t columns, double value) {
  emitFor(builder, loc, count, padded, 1, [&](Value row) {
    if (columns == 0) {
      Value scalar = arith::ConstantOp::create(
          builder, loc, builder.getFloatAttr(element, value));
      memref::StoreOp::create(builder, loc, scalar, scratch, row);
      return;
    }
    emitFor(builder, loc, index(0), index(columns), width, [&](Value column) {
      storeVector(constant(value), scratch, {row, column});
    });
  });
}

/// The keys, staged a token a row where the queries come later, as columns.
void ChunkLowering::transposeKeys(Value columns) {
  emitFor(builder, loc, index(0), padded, width, [&](Value token) {
    emitFor(builder, loc, index(0), index(paddedKeys), width, [&](Value k) {
      SmallVector<Value> rows;
      for (int64_t i = 0; i < width; ++i)
        rows.push_back(loadVector(queries, {at(token, i), k}));
      rows = transposeInRegisters(builder, loc, std::move(rows));
      for (int64_t i = 0; i < width; ++i)
        storeVector(rows[i], columns, {at(k, i), token});
    });
  });
}

/// The epilogue sees a read as its first argument.
void ChunkLowering::bindOutput(RegionEmitter &epilogue, Value value) {
  llvm::SmallBitVector dims(numDims);
  dims.set(1);
  dims.set(lane);
  if (value)
    value = convert(value, epilogueBody.getArgument(0).getType());
  epilogue.bindSource(
      epilogueBody.getArgument(0), [value](const Offsets &) { return value; },
      dims,
      /*varies=*/true);
}

void ChunkLowering::emitOutputs(RegionEmitter &epilogue) {
  Access output{op.getOutputInits().front(), op.getOutputMap()};
  Value yielded = op.getEpilogueYield().getValues().front();
  forTokens(epilogue, epilogueBody, [&](RegionEmitter &inner, Value step) {
    emitLaneLoops(
        inner, loc, lane, firstLane, endLane, width, 1,
        std::gcd(lanes, laneBlock), [&](RegionEmitter &point, int64_t) {
          Value column = subIndex(builder, loc, point.getDim(lane), firstLane);
          bindOutput(point, loadVector(reads, {step, column}));
          Offsets here = point.zeroOffsets();
          point.store(output, point.getVector(yielded, here), here);
        });
  });
}

LogicalResult ssmc::cpu::lowerChunk(RewriterBase &rewriter, ScanOp op,
                                    const VectorTarget &target) {
  ScheduleAttr schedule = op.getScheduleAttr();
  if (!schedule || schedule.getMode() != ScanMode::chunk ||
      !isa<MemRefType>(op.getOuts().front().getType()))
    return failure();
  return ChunkLowering(rewriter, op, target).run();
}
