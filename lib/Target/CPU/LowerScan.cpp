//===- LowerScan.cpp - Schedule of the recurrence -------------------------===//

#include "ScanLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "ssm/Analysis/Machine.h"
#include <numeric>

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

ScanLowering::ScanLowering(RewriterBase &builder, ScanOp op,
                           const VectorTarget &target)
    : builder(builder), op(op), loc(op.getLoc()), target(target),
      roles(op.getCoefficientsOp()),
      coefficientsBody(op.getCoefficients().front()),
      epilogueBody(op.getEpilogue().front()), numDims(op.getNumDims()),
      parts(op.getNumStates()), coefficientsBase(builder, loc, numDims),
      epilogueBase(builder, loc, numDims) {
  element = op.getStateType();
}

LogicalResult ScanLowering::run() {
  for (Block *body : {&coefficientsBody, &epilogueBody})
    for (Operation &inner : *body)
      if (inner.getNumRegions() != 0)
        return failure();
  width = target.getLanes(element.getIntOrFloatBitWidth());
  auto noteWidth = [&](Value operand) {
    if (cast<MemRefType>(operand.getType()).getElementType().isF64())
      width = target.getLanes(64);
  };
  for (Value operand : op->getOperands())
    noteWidth(operand);
  fullWidth = width;
  if (!chooseLanes() || op.getNumOutputs() > parts)
    return failure();

  bindOperands(op, coefficientsBase, epilogueBase);
  for (Value operand : op.getInitial())
    initial.push_back({operand, op.getStateMap()});
  for (Value operand : op.getFinalStates())
    finals.push_back({operand, op.getStateMap()});
  for (Value operand : op.getOutputInits())
    outputs.push_back({operand, op.getOutputMap()});
  chooseBlocks();
  if (lane)
    streams = getStreams(
        op, *lane,
        llvm::to_vector(llvm::concat<const unsigned>(keyDims, copyDims)));
  // Rows that other units read too are in a cache.
  if (innerKey)
    for (const Stream &stream : getStreams(op, *innerKey, copyDims))
      if (llvm::any_of(stream.access.map.getResults(), [&](AffineExpr expr) {
            auto dim = dyn_cast<AffineDimExpr>(expr);
            return dim && llvm::is_contained(outerDims, dim.getPosition());
          }) && !(lane && stream.access.map.isFunctionOfDim(*lane)))
        keyStreams.push_back(stream);
  bindOutputs(epilogueBase, {});
  if (hasKeys())
    simplifyExponentials();
  chooseKept();

  builder.setInsertionPoint(op);
  auto getExtent = [&](Value memref, int64_t axis) -> Value {
    auto type = cast<MemRefType>(memref.getType());
    if (!type.isDynamicDim(axis))
      return index(type.getDimSize(axis));
    return memref::DimOp::create(builder, loc, memref, axis);
  };
  batches = getExtent(outputs.front().memref, 0);
  tokens = getExtent(outputs.front().memref, 1);
  streamCondition = emitStreamCondition();
  emitSegmentsOrWhole(chooseSegments(), [&] { emitWhole(); });
  builder.eraseOp(op);
  return success();
}

//===----------------------------------------------------------------------===//
// Schedule
//===----------------------------------------------------------------------===//

void ScanLowering::emitWhole() {
  emitUnitTasks(builder, op, batches, getUnitsOfRow(), tokens, getUnitStepCost(),
                [&](Value begin, Value end) { emitTask(begin, end); });
}

Value ScanLowering::allocate(ArrayRef<int64_t> shape, Type type) {
  return memref::AllocaOp::create(builder, loc, MemRefType::get(shape, type),
                                  builder.getI64IntegerAttr(64));
}

void ScanLowering::allocateScratch() {
  if (!hasKeys())
    return;
  int64_t tiles = laneBlock / width;
  int64_t paddedKeys =
      llvm::alignTo(std::max<int64_t>(innerKeys, 1), fullWidth);
  for (unsigned part = 0; part < parts; ++part) {
    SmallVector<int64_t> shape{tiles, outerKeys, innerKeys, width};
    stateScratch.push_back(allocate(shape, element));
    if (segmentKind == SegmentKind::ending)
      productScratch.push_back(allocate(shape, element));
  }
  for (Kept &value : kept) {
    Type type = value.value.getType();
    switch (value.kind) {
    case Kind::time:
      value.scratch = allocate({timeTile}, type);
      break;
    case Kind::timeKeys:
      value.scratch = allocate({timeTile, outerKeys, paddedKeys}, type);
      break;
    case Kind::timeLanes:
      value.scratch = allocate({timeTile, group, width}, type);
      break;
    case Kind::lanesKeys:
      value.scratch = allocate({tiles, outerKeys, innerKeys, width}, type);
      break;
    }
  }
  if (reads() && segmentKind != SegmentKind::ending)
    for (unsigned i = 0; i < outputs.size(); ++i)
      readScratch.push_back(
          allocate({timeTile, copies, group, width}, element));
}

void ScanLowering::emitTask(Value begin, Value end) {
  stateScratch.clear();
  readScratch.clear();
  firstStep = index(0);
  endStep = tokens;
  allocateScratch();
  emitFor(builder, loc, begin, end, 1, [&](Value unit) { emitUnit(unit); });
}

void ScanLowering::emitUnit(Value unit) {
  SmallVector<Value> unitExtents{batches};
  for (unsigned dim : outerDims)
    unitExtents.push_back(index(op.getDimSize(dim)));
  unitExtents.push_back(index(llvm::divideCeil(lanes, laneBlock)));
  SmallVector<Value> digits = delinearize(builder, loc, unit, unitExtents);
  RegionEmitter coefficients = coefficientsBase;
  RegionEmitter epilogue = epilogueBase;
  for (RegionEmitter *emitter : {&coefficients, &epilogue}) {
    emitter->bindDim(0, digits[0]);
    for (auto [i, dim] : llvm::enumerate(outerDims))
      emitter->bindDim(dim, digits[i + 1]);
  }
  coefficients.hoist(coefficientsBody, {coefficients.zeroOffsets()});
  if (lane) {
    firstLane = mulIndex(builder, loc, digits.back(), index(laneBlock));
    endLane = minIndex(builder, loc,
                       addIndex(builder, loc, firstLane, index(laneBlock)),
                       index(lanes));
  }
  if (segmentKind == SegmentKind::ending)
    emitInitialBoundary(coefficients);
  auto emitStreaming = [&] {
    streaming = true;
    emitDirect(coefficients, epilogue);
    streaming = false;
    // Others may read what went past the caches only after a fence.
    LLVM::FenceOp::create(builder, loc, LLVM::AtomicOrdering::seq_cst,
                          StringRef());
  };
  if (!hasKeys() && streamCondition && segmentKind != SegmentKind::ending)
    return emitIf(builder, loc, streamCondition, emitStreaming,
                  [&] { emitDirect(coefficients, epilogue); });
  if (!hasKeys())
    return emitDirect(coefficients, epilogue);
  if (segmentKind != SegmentKind::none)
    return emitTiles(coefficients, epilogue);
  std::optional<int64_t> length = getConstant(tokens);
  if (!hasSingleTokenForm() || (length && length != 1))
    return emitTiles(coefficients, epilogue);
  if (length)
    return emitSingleToken(coefficients, epilogue);
  Value isSingle = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                                         tokens, index(1));
  emitIf(
      builder, loc, isSingle, [&] { emitSingleToken(coefficients, epilogue); },
      [&] { emitTiles(coefficients, epilogue); });
}

void ScanLowering::forUnitLanes(
    RegionEmitter &emitter, int64_t vectors,
    llvm::function_ref<void(RegionEmitter &, int64_t)> body) {
  if (lane)
    return emitLaneLoops(emitter, loc, *lane, firstLane, endLane, width,
                         vectors, std::gcd(lanes, laneBlock), body);
  RegionEmitter inner = emitter;
  body(inner, 1);
}

RegionEmitter ScanLowering::follow(const RegionEmitter &emitter,
                                   const RegionEmitter &leader) {
  RegionEmitter result = emitter;
  if (!lane)
    return result;
  result.setLanes(leader.getLanes());
  result.bindDim(*lane, leader.getDim(*lane));
  return result;
}

/// Whether the rows of a call that are written go past the caches: where they
/// fill the last one, a line that is fetched to be overwritten costs a third of
/// the traffic. None where they never do: rows of whole vectors only.
Value ScanLowering::emitStreamCondition() {
  if (!lane || hasKeys() || lanes % width != 0)
    return Value();
  int64_t vectorBytes = target.bits / 8;
  Value bytes, misaligned;
  for (const Access &output : outputs) {
    auto type = cast<MemRefType>(output.memref.getType());
    int64_t elementBytes = type.getElementTypeBitWidth() / 8;
    // Less than a vector would be a line in pieces.
    if (getStride(output, *lane) != Stride::unit ||
        !type.getLayout().isIdentity() ||
        type.getDimSize(type.getRank() - 1) != lanes ||
        width * elementBytes != vectorBytes)
      return Value();
    Value size = index(elementBytes);
    for (auto [axis, extent] : llvm::enumerate(type.getShape()))
      size = mulIndex(
          builder, loc, size,
          ShapedType::isDynamic(extent)
              ? memref::DimOp::create(builder, loc, output.memref, axis)
              : index(extent));
    Value address = memref::ExtractAlignedPointerAsIndexOp::create(
        builder, loc, output.memref);
    bytes = bytes ? addIndex(builder, loc, bytes, size) : size;
    misaligned = misaligned
                     ? arith::OrIOp::create(builder, loc, misaligned, address)
                     : address;
  }
  Value large =
      arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::uge, bytes,
                            index(int64_t(Machine::get(op).l3Bytes)));
  Value rest =
      arith::AndIOp::create(builder, loc, misaligned, index(vectorBytes - 1));
  Value aligned = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                                        rest, index(0));
  return arith::AndIOp::create(builder, loc, large, aligned);
}

void ScanLowering::emitDirect(RegionEmitter &coefficients,
                              RegionEmitter &epilogue) {
  forUnitLanes(
      coefficients, group, [&](RegionEmitter &emitter, int64_t vectors) {
        RegionEmitter after = follow(epilogue, emitter);
        SmallVector<Offsets> points;
        for (int64_t v = 0; v < vectors; ++v) {
          points.push_back(emitter.zeroOffsets());
          if (lane)
            points.back()[*lane] = v * width;
        }
        bindTile(emitter);
        bool ending = segmentKind == SegmentKind::ending;
        SmallVector<Value> carried;
        for (const Offsets &point : points) {
          Number state = zeroState(emitter);
          if (segmentKind == SegmentKind::whole)
            state = getCarried(point);
          else if (!ending && !initial.empty())
            for (unsigned part = 0; part < parts; ++part)
              state[part] = convert(
                  emitter.splat(emitter.load(initial[part], point)), element);
          llvm::append_range(carried, state);
          if (ending)
            llvm::append_range(carried, oneState(emitter));
        }
        emitter.hoist(coefficientsBody, points);
        after.hoist(epilogueBody, points);
        carried = emitFor(
            builder, loc, firstStep, endStep, 1, carried,
            [&](Value iv, ValueRange states) {
              Value token = iv;
              if (op.getReverse())
                token = subIndex(builder, loc,
                                 subIndex(builder, loc, tokens, index(1)), iv);
              RegionEmitter inner = emitter, innerAfter = after;
              inner.bindDim(1, token);
              innerAfter.bindDim(1, token);
              emitPrefetchAhead(ending ? inner : innerAfter, token, points);
              SmallVector<Value> next;
              for (auto [v, point] : llvm::enumerate(points)) {
                if (ending) {
                  auto from = states.begin() + 2 * v * parts;
                  Number state(from, from + parts);
                  Number product(from + parts, from + 2 * parts);
                  advance(inner, state, product, point);
                  llvm::append_range(next, state);
                  llvm::append_range(next, product);
                  continue;
                }
                Number state(states.begin() + v * parts,
                             states.begin() + (v + 1) * parts);
                state = applyReset(inner, state, point);
                SmallVector<Number> erased(getErasePairs(), zeroState(inner));
                addErased(inner, {state}, {point}, erased);
                Number updated = getNext(inner, state, erased, point);
                emitReads(inner, innerAfter, {updated}, {point}, false);
                next.append(updated.begin(), updated.end());
              }
              return next;
            });
        if (ending) {
          for (auto [v, point] : llvm::enumerate(points)) {
            auto *from = carried.begin() + 2 * v * parts;
            storeEnding(Number(from, from + parts),
                        Number(from + parts, from + 2 * parts), point);
          }
          return;
        }
        ifLast([&] {
          unsigned next = 0;
          for (const Offsets &point : points)
            for (unsigned part = 0; part < parts; ++part)
              emitter.store(finals[part], toMemory(carried[next++]), point);
        });
      });
}

void ScanLowering::bindTile(RegionEmitter &emitter) {
  tile = index(0);
  if (lane)
    tile = builder.createOrFold<arith::DivUIOp>(
        loc, subIndex(builder, loc, emitter.getDim(*lane), firstLane),
        index(width));
}

void ScanLowering::ifLast(llvm::function_ref<void()> body) {
  if (segmentKind == SegmentKind::none)
    return body();
  Value isLast = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                                       segment, lastSegment);
  emitIf(builder, loc, isLast, body);
}

void ScanLowering::emitTiles(RegionEmitter &coefficients,
                             RegionEmitter &epilogue) {
  bool ending = segmentKind == SegmentKind::ending;
  if (segmentKind == SegmentKind::none)
    emitBoundary(coefficients, /*load=*/true);
  else
    forStatePlaces(coefficients, [&](RegionEmitter &at, const Offsets &point) {
      storeState(ending ? zeroState(at) : getCarried(point), point);
      if (ending)
        storeNumber(oneState(at), productScratch, getStatePlace(point));
    });
  emitLanesKeys(coefficients);
  RegionEmitter staged = coefficients;
  bindSources(staged);
  staged.hoist(coefficientsBody, {staged.zeroOffsets()});
  emitFor(builder, loc, firstStep, endStep, timeTile, [&](Value start) {
    Value end = minIndex(
        builder, loc, addIndex(builder, loc, start, index(timeTile)), endStep);
    firstToken = start;
    endToken = end;
    if (op.getReverse()) {
      firstToken = subIndex(builder, loc, tokens, end);
      endToken = subIndex(builder, loc, tokens, start);
    }
    emitTimePass(coefficients);
    emitTimeKeysPass(coefficients);
    forUnitLanes(coefficients, group, [&](RegionEmitter &raw, int64_t vectors) {
      RegionEmitter rawGroup = raw;
      RegionEmitter stagedGroup = follow(staged, raw);
      RegionEmitter after = follow(epilogue, raw);
      emitPrologue(rawGroup, vectors);
      if (ending)
        return emitEndingTile(stagedGroup, after, vectors);
      emitRecurrence(stagedGroup, after, vectors);
      if (reads())
        emitEpilogue(after, vectors);
    });
  });
  if (ending)
    return forStatePlaces(
        coefficients, [&](RegionEmitter &, const Offsets &point) {
          SmallVector<Value> place = getStatePlace(point);
          storeEnding(loadNumber(stateScratch, place),
                      loadNumber(productScratch, place), point);
        });
  ifLast([&] { emitBoundary(coefficients, /*load=*/false); });
}

/// Moves the state between the buffers of the op and scratch memory.
void ScanLowering::emitBoundary(RegionEmitter &emitter, bool load) {
  forUnitLanes(emitter, 1, [&](RegionEmitter &inner, int64_t) {
    bindTile(inner);
    emitKeyBlocks(
        {&inner}, {},
        [&](ArrayRef<RegionEmitter *> emitters, int64_t count, ValueRange) {
          RegionEmitter &block = *emitters[0];
          SmallVector<Offsets> points = getKeyPoints(count);
          SmallVector<Number> states(count, zeroState(block));
          for (unsigned part = 0; part < parts; ++part) {
            if (load && initial.empty())
              continue;
            Access &access = load ? initial[part] : finals[part];
            if (!load) {
              SmallVector<Value> values;
              for (int64_t k = 0; k < count; ++k)
                values.push_back(toMemory(loadState(points[k])[part]));
              if (!block.storeTransposed(access, *innerKey, values, points[0]))
                for (int64_t k = 0; k < count; ++k)
                  block.store(access, values[k], points[k]);
              continue;
            }
            SmallVector<Value> values =
                block.loadTransposed(access, *innerKey, count, points[0]);
            for (int64_t k = 0; k < count; ++k)
              states[k][part] = convert(
                  block.splat(values.empty() ? block.load(access, points[k])
                                             : values[k]),
                  element);
          }
          if (load)
            for (int64_t k = 0; k < count; ++k)
              storeState(states[k], points[k]);
          return SmallVector<Value>();
        },
        std::max<int64_t>(1, std::min(width, innerKeys)));
  });
}

/// What depends on lanes and keys but not on time is computed once per unit.
void ScanLowering::emitLanesKeys(RegionEmitter &emitter) {
  if (llvm::none_of(kept,
                    [](const Kept &k) { return k.kind == Kind::lanesKeys; }))
    return;
  forUnitLanes(emitter, 1, [&](RegionEmitter &inner, int64_t) {
    bindTile(inner);
    emitKeyBlocks(
        {&inner}, {},
        [&](ArrayRef<RegionEmitter *> emitters, int64_t count, ValueRange) {
          RegionEmitter &block = *emitters[0];
          SmallVector<Offsets> points = getKeyPoints(count);
          for (auto [i, operand] : llvm::enumerate(op.getIns())) {
            AffineMap map = op.getInsMap(i);
            // A read may be another for each copy, of which none is at hand here.
            if (map.isFunctionOfDim(1) ||
                llvm::any_of(op.getCopyDims(),
                             [&](unsigned dim) { return map.isFunctionOfDim(dim); }))
              continue;
            SmallVector<Value> values = block.loadTransposed(
                {operand, map}, *innerKey, count, points[0]);
            for (auto [k, value] : llvm::enumerate(values))
              block.setValue(coefficientsBody.getArgument(i), points[k], value);
          }
          for (Kept &value : kept) {
            if (value.kind != Kind::lanesKeys)
              continue;
            for (int64_t k = 0; k < count; ++k) {
              Value key = addIndex(builder, loc, keyBase, index(k));
              storeScratch(block.getVector(value.value, points[k]),
                           value.scratch, {tile, outerKey, key, index(0)});
            }
          }
          return SmallVector<Value>();
        },
        std::max<int64_t>(1, std::min(width, innerKeys)));
  });
}

LogicalResult ssmc::cpu::lowerScan(RewriterBase &rewriter, ScanOp op,
                                   const VectorTarget &target) {
  if (!isa<MemRefType>(op.getOuts().front().getType()) || op.getDense())
    return failure();
  return ScanLowering(rewriter, op, target).run();
}
