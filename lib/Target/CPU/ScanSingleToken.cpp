//===- ScanSingleToken.cpp - One step of a recurrence ---------------------===//
//
// Decoding takes one token at a time: moving the state is all the work. Where
// the keys are contiguous in memory the lanes run over them, so that each
// vector of the state is loaded, changed and stored once, and the read ends in
// a horizontal sum. What precedes and follows keeps its lanes.
//
//===----------------------------------------------------------------------===//

#include "ScanLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Copies whose sums are kept in registers beside each other.
static constexpr int64_t maximumCopies = 4;

bool ScanLowering::hasSingleTokenForm() {
  if (!hasKeys() || !reads() || erases() || !lane || copies > maximumCopies ||
      copies == 0 || innerKeys < fullWidth)
    return false;
  for (const Access &access : finals)
    if (getStride(access, *innerKey) != Stride::unit)
      return false;
  return true;
}

void ScanLowering::emitSingleToken(RegionEmitter &coefficients,
                                   RegionEmitter &epilogue) {
  firstToken = index(0);
  endToken = index(1);
  emitTimePass(coefficients);
  emitTimeKeysPass(coefficients);
  forUnitLanes(coefficients, group, [&](RegionEmitter &raw, int64_t vectors) {
    RegionEmitter rawGroup = raw;
    RegionEmitter after = follow(epilogue, raw);
    emitPrologue(rawGroup, vectors);
    Value base = raw.getDim(*lane);
    Value count = minIndex(builder, loc, index(vectors * width),
                           subIndex(builder, loc, endLane, base));
    emitFor(builder, loc, index(0), count, 1, [&](Value number) {
      RegionEmitter emitter = coefficients;
      bindKeySources(emitter, number);
      emitter.bindDim(1, firstToken);
      emitter.bindDim(*lane, addIndex(builder, loc, base, number));
      emitter.hoist(coefficientsBody, {emitter.zeroOffsets()});
      emitKeyLanes(emitter, number);
    });
    emitEpilogue(after, vectors);
  });
}

/// Values in scratch for the element `number` of the group, lanes over keys.
void ScanLowering::bindKeySources(RegionEmitter &emitter, Value number) {
  Value vector =
      builder.createOrFold<arith::DivUIOp>(loc, number, index(width));
  Value position =
      builder.createOrFold<arith::RemUIOp>(loc, number, index(width));
  for (const Kept &value : kept) {
    if (value.kind == Kind::lanesKeys)
      continue;
    llvm::SmallBitVector dims = coefficientsBase.getDependentDims(value.value);
    if (value.kind == Kind::timeLanes)
      dims.set(*lane);
    if (value.kind == Kind::timeKeys)
      for (unsigned dim : keyDims)
        dims.set(dim);
    auto source = [this, value, vector,
                   position](const Offsets &offsets) -> Value {
      Value zero = index(0);
      if (value.kind == Kind::time)
        return memref::LoadOp::create(builder, loc, value.scratch, zero);
      if (value.kind == Kind::timeLanes)
        return memref::LoadOp::create(builder, loc, value.scratch,
                                      ValueRange{zero, vector, position});
      Value key = addIndex(builder, loc, keyBase, index(offsets[*innerKey]));
      Type type = VectorType::get({fullWidth}, value.value.getType());
      // Rows are padded to whole vectors.
      return vector::LoadOp::create(builder, loc, cast<VectorType>(type),
                                    value.scratch,
                                    ValueRange{zero, outerKey, key});
    };
    emitter.bindSource(value.value, source, dims);
  }
}

/// Asks for vectors of states, and of operands that every element has of its own,
/// at a distance: rows of elements follow each other in memory, and the loads of
/// one row leave no room to wait for the next.
void ScanLowering::emitPrefetchRows(RegionEmitter &at, const Offsets &point) {
  constexpr int64_t lineBytes = 64;
  auto prefetch = [&](const Access &access) {
    auto type = cast<MemRefType>(access.memref.getType());
    int64_t bytes = type.getElementTypeBitWidth() / 8;
    if (getStride(access, *innerKey) != Stride::unit ||
        point[*innerKey] * bytes % lineBytes != 0)
      return;
    SmallVector<Value> indices = at.getIndices(access, point);
    indices.back() = addIndex(builder, loc, indices.back(),
                              index(target.prefetchBytes / 2 / bytes));
    memref::PrefetchOp::create(builder, loc, access.memref, indices,
                               /*isWrite=*/false, /*localityHint=*/3,
                               /*isDataCache=*/true);
  };
  if (target.prefetchBytes == 0)
    return;
  for (const Access &access : initial)
    prefetch(access);
  for (auto [i, operand] : llvm::enumerate(op.getIns()))
    if (AffineMap map = op.getInsMap(i); map.isFunctionOfDim(*lane))
      prefetch({operand, map});
}

/// One step of all keys of one element; leaves the sums of its reads.
void ScanLowering::emitKeyLanes(RegionEmitter &element, Value number) {
  int64_t whole = innerKeys / fullWidth;
  int64_t unroll = std::min<int64_t>(whole, 4 / copies);
  SmallVector<unsigned> otherKeys;
  SmallVector<Value> otherExtents;
  for (unsigned dim : keyDims)
    if (dim != innerKey) {
      otherKeys.push_back(dim);
      otherExtents.push_back(index(op.getDimSize(dim)));
    }
  Lanes lanesOfKeys;
  lanesOfKeys.dim = innerKey;
  lanesOfKeys.width = fullWidth;
  RegionEmitter typed = element;
  typed.setLanes(lanesOfKeys);

  // sums[(u * copies + c) * parts + part]
  SmallVector<Value> sums;
  for (int64_t i = 0; i < unroll * copies; ++i)
    llvm::append_range(sums, zeroState(typed));
  auto emitVectors = [&](RegionEmitter &at, int64_t count, ValueRange carried) {
    SmallVector<Value> next(carried);
    for (int64_t u = 0; u < count; ++u) {
      Offsets point = at.zeroOffsets();
      point[*innerKey] = u * fullWidth;
      emitPrefetchRows(at, point);
      Number state = zeroState(at);
      for (unsigned part = 0; part < parts && !initial.empty(); ++part)
        state[part] =
            convert(at.splat(at.load(initial[part], point)), this->element);
      state = getNext(at, applyReset(at, state, point), {}, point);
      for (unsigned part = 0; part < parts; ++part)
        at.store(finals[part], toMemory(state[part]), point);
      if (Value mask = at.getLanes().mask) {
        Number none = zeroState(at);
        for (auto [value, zero] : llvm::zip(state, none))
          value = arith::SelectOp::create(builder, loc, mask, value, zero);
      }
      int64_t number = 0;
      forCopies({&at}, [&](ArrayRef<RegionEmitter *> emitters) {
        Value *sum = &next[(u * copies + number++) * parts];
        Number read = getRole(*emitters[0], roles.getRead(), 0, point);
        Number updated = multiplyAdd(read, state, Number(sum, sum + parts));
        llvm::copy(updated, sum);
      });
    }
    return next;
  };
  auto emitRange = [&](RegionEmitter &outer, int64_t begin, int64_t end,
                       int64_t count, bool masked, ValueRange carried) {
    return emitFor(builder, loc, index(begin), index(end), count * fullWidth,
                   carried, [&](Value base, ValueRange values) {
                     RegionEmitter at = outer;
                     Lanes lanesHere = lanesOfKeys;
                     if (masked) {
                       lanesHere.mask = vector::CreateMaskOp::create(
                           builder, loc,
                           VectorType::get({fullWidth}, builder.getI1Type()),
                           index(innerKeys % fullWidth));
                       lanesHere.last = index(innerKeys - 1);
                     }
                     at.setLanes(lanesHere);
                     at.bindDim(*innerKey, base);
                     keyBase = base;
                     return emitVectors(at, count, values);
                   });
  };
  sums = emitFor(
      builder, loc, index(0), index(outerKeys), 1, sums,
      [&](Value outer, ValueRange carried) {
        RegionEmitter at = element;
        SmallVector<Value> digits =
            delinearize(builder, loc, outer, otherExtents);
        for (auto [dim, digit] : llvm::zip(otherKeys, digits))
          at.bindDim(dim, digit);
        outerKey = outer;
        int64_t unrolled = whole / unroll * unroll * fullWidth;
        SmallVector<Value> values =
            emitRange(at, 0, unrolled, unroll, false, carried);
        values = emitRange(at, unrolled, whole * fullWidth, 1, false, values);
        if (innerKeys % fullWidth != 0)
          values = emitRange(at, whole * fullWidth, innerKeys, 1, true, values);
        return values;
      });

  Value vector =
      builder.createOrFold<arith::DivUIOp>(loc, number, index(width));
  Value position =
      builder.createOrFold<arith::RemUIOp>(loc, number, index(width));
  for (int64_t c = 0; c < copies; ++c)
    for (unsigned part = 0; part < readScratch.size(); ++part) {
      Value sum = sums[c * parts + part];
      for (int64_t u = 1; u < unroll; ++u)
        sum = addReal(sum, sums[(u * copies + c) * parts + part]);
      memref::StoreOp::create(builder, loc, sumLanes(builder, loc, sum),
                              readScratch[part],
                              ValueRange{index(0), index(c), vector, position});
    }
}
