//===- RelaxedConv.cpp - Sums of later outputs, token by token ------------===//

#include "RelaxedConv.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Time of the products, in that of a pass; a power of two.
static constexpr int64_t productTime = 4;
/// Points whose products are summed at a time.
static constexpr int64_t productPoints = 4;
/// Blocks of one size that are one of the next size.
static constexpr int64_t blockRatioShift = 2;
static const int64_t firstShift = llvm::Log2_64(kFirstBlock);

//===----------------------------------------------------------------------===//
// What all units share
//===----------------------------------------------------------------------===//

void RelaxedConv::prepare(Value numLags, Value firstLag, Value tokens,
                          Value units) {
  lags = numLags;
  first = firstLag;
  history = tokens;
  Value position = op.getPosition();
  auto isTrue = [&](Value a, Value b) {
    return builder.createOrFold<arith::AndIOp>(loc, a, b);
  };
  isOn = compare(arith::CmpIPredicate::sgt, position, index(0));
  isOn = isTrue(isOn, compare(arith::CmpIPredicate::sge, history,
                              index(kRelaxedReach)));
  isOn = isTrue(isOn, compare(arith::CmpIPredicate::sle, lags,
                              index(kMaxSpectrumLags)));

  // One row of memory for each sequence.
  auto metadata = memref::ExtractStridedMetadataOp::create(
      builder, loc, op.getPartialSums());
  ValueRange sizes = metadata.getSizes();
  Value rowSize = mul(sizes[1], sizes[2]);
  auto flatType = MemRefType::get(
      {ShapedType::kDynamic}, type.getElementType(),
      StridedLayoutAttr::get(builder.getContext(), ShapedType::kDynamic, {1}));
  memory = memref::ReinterpretCastOp::create(
      builder, loc, flatType, metadata.getBaseBuffer(),
      OpFoldResult(metadata.getOffset()),
      SmallVector<OpFoldResult>{OpFoldResult(mul(sizes[0], rowSize))},
      SmallVector<OpFoldResult>{builder.getIndexAttr(1)});
  rowPoints = builder.createOrFold<arith::DivUIOp>(loc, rowSize,
                                                   index(2 * width));
  unitPoints = builder.createOrFold<arith::DivUIOp>(loc, rowPoints, units);
}

void RelaxedConv::beginTask() {
  // The levels, for a loop over them.
  SmallVector<SpectrumBlocks> pieces =
      getSpectrumBlocks(builder, loc, lags, first);
  SmallVector<RelaxedLevel> levels = getRelaxedLevels(
      builder, loc, pieces, history, /*isWhole=*/op.hasDynamicLags());
  auto tableType = MemRefType::get({int64_t(levels.size()), NumFields},
                                   builder.getIndexType());
  table = memref::AllocaOp::create(builder, loc, tableType);
  Value count = index(0);
  for (auto [number, level] : llvm::enumerate(levels)) {
    if (getConstant(level.isUsed) == 0)
      break; // nor are larger ones
    // Passes of three levels each, and of two for what is left.
    int64_t shift = llvm::Log2_64(level.pieces.block);
    int64_t radix4 = (3 - shift % 3) % 3, radix8 = (shift - 2 * radix4) / 3;
    Value fields[NumFields];
    fields[Shift] = index(shift);
    fields[Offset] = level.offset;
    fields[Slots] = level.slots;
    fields[FirstPiece] = level.pieces.firstPiece;
    fields[LastPiece] =
        add(add(level.pieces.firstPiece, level.pieces.numPieces), index(-1));
    fields[SpectrumPlace] = level.pieces.offset;
    fields[IsLast] = select(level.pieces.isComplete, index(1), index(0));
    fields[Radix8] = index(radix8);
    fields[Radix4] = index(radix4);
    for (int64_t field = 0; field < NumFields; ++field)
      memref::StoreOp::create(builder, loc, fields[field], table,
                              ValueRange{index(number), index(field)});
    count = add(count, select(level.isUsed, index(1), index(0)));
  }
  numLevels = select(isOn, count, index(0));
}

RelaxedConv::Unit RelaxedConv::getUnit(Value sequence, Value number,
                                       SmallVector<Value> spectrumIndices) {
  return {add(mul(sequence, rowPoints), mul(number, unitPoints)), sequence,
          std::move(spectrumIndices)};
}

Value RelaxedConv::isStale(const Unit &unit) {
  // At position 0 there may be no memory for it.
  auto isElsewhere = [&]() -> Value {
    Value left = memref::LoadOp::create(
        builder, loc, op.getPartialSumsPosition(), unit.sequence);
    left =
        arith::IndexCastOp::create(builder, loc, builder.getIndexType(), left);
    return compare(arith::CmpIPredicate::ne, left, op.getPosition());
  };
  return emitChoice(builder, loc, isOn, isElsewhere, [&]() -> Value {
    return arith::ConstantIntOp::create(builder, loc, 0, 1);
  });
}

void RelaxedConv::setPosition(Value position) {
  emitIf(isOn, [&] {
    Value sequences = memref::DimOp::create(
        builder, loc, op.getPartialSumsPosition(), index(0));
    Value number = arith::IndexCastOp::create(builder, loc,
                                              builder.getI64Type(), position);
    emitFor(builder, loc, index(0), sequences, 1, [&](Value sequence) {
      memref::StoreOp::create(builder, loc, number, op.getPartialSumsPosition(),
                              sequence);
    });
  });
}

RelaxedConv::Level RelaxedConv::loadLevel(Value number) {
  auto load = [&](Field field) -> Value {
    return memref::LoadOp::create(builder, loc, table,
                                  ValueRange{number, index(field)});
  };
  Level level;
  level.shift = load(Shift);
  level.offset = load(Offset);
  level.slots = load(Slots);
  level.firstPiece = load(FirstPiece);
  level.lastPiece = load(LastPiece);
  level.spectrumPlace = load(SpectrumPlace);
  level.isLast = compare(arith::CmpIPredicate::ne, load(IsLast), index(0));
  level.radix8 = load(Radix8);
  level.radix4 = load(Radix4);
  level.block = shiftLeft(index(1), level.shift);
  level.stride = add(level.block, index(kPiecePadding));
  level.passes = add(level.radix8, level.radix4);
  return level;
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

Value RelaxedConv::getNearBegin(Value token) {
  Value shift = index(firstShift);
  Value begin = shiftLeft(add(shiftRight(token, shift), index(-1)), shift);
  return select(isOn, begin, index(std::numeric_limits<int32_t>::min()));
}

Value RelaxedConv::addSums(const Unit &unit, Value token, Value sum) {
  return emitFor(
      builder, loc, index(0), numLevels, 1, sum,
      [&](Value number, ValueRange partial) {
        Level level = loadLevel(number);
        Value block = shiftRight(token, level.shift);
        Value point = sub(token, shiftLeft(block, level.shift));
        auto addFar = [&]() -> Value {
          Value at = add(getSumSlot(unit, level, block), point);
          Value far = vector::LoadOp::create(builder, loc, type, memory,
                                             mul(at, index(2 * width)));
          return arith::AddFOp::create(builder, loc, partial[0], far);
        };
        return SmallVector<Value>{emitChoice(
            builder, loc, compare(arith::CmpIPredicate::sge, block, index(2)),
            addFar, [&] { return partial[0]; })};
      })[0];
}

//===----------------------------------------------------------------------===//
// Work
//===----------------------------------------------------------------------===//

Value RelaxedConv::getInputSlot(const Unit &unit, const Level &level,
                                Value number) {
  Value slot = arith::RemUIOp::create(builder, loc, number, level.slots);
  return add(add(unit.base, level.offset), mul(slot, level.stride));
}

Value RelaxedConv::getSumSlot(const Unit &unit, const Level &level,
                              Value number) {
  Value parity =
      builder.createOrFold<arith::AndIOp>(loc, number, index(1));
  return add(add(unit.base, level.offset),
             mul(add(level.slots, parity), level.stride));
}

Value RelaxedConv::getFirstInput(const Level &level, Value target) {
  // Larger blocks take what is two of them apart.
  Value shift = index(blockRatioShift);
  Value near =
      shiftLeft(add(shiftRight(target, shift), index(-1)), shift);
  Value first = select(level.isLast, index(0), near);
  first = max(first, sub(target, level.lastPiece));
  return max(first, index(0));
}

void RelaxedConv::advance(const Unit &unit, Value from, Value to, Value isAnew,
                          ForLanes forLanes, LoadTokens load) {
  emitFor(builder, loc, index(0), numLevels, 1, [&](Value number) {
    Level level = loadLevel(number);
    Value time = add(mul(level.passes, index(2)), index(productTime));
    Value whole = mul(time, level.block);
    auto getProgress = [&](Value position, Value block) {
      return mul(sub(position, shiftLeft(block, level.shift)), time);
    };
    Value fromBlock = shiftRight(from, level.shift);
    Value toBlock = shiftRight(to, level.shift);
    // In a block the sums of the next one are made. Anew: the transforms that this
    // needs, the sums of the block, and a part of the next one's.
    Value begin = select(isAnew, add(getFirstInput(level, toBlock), index(2)),
                         add(fromBlock, index(1)));
    begin = max(begin, index(2));
    emitFor(builder, loc, begin, add(toBlock, index(2)), 1, [&](Value target) {
      Value isNext = compare(arith::CmpIPredicate::sgt, target, toBlock);
      Value isGoingOn = builder.createOrFold<arith::AndIOp>(
          loc,
          compare(arith::CmpIPredicate::eq, target, add(fromBlock, index(1))),
          compare(arith::CmpIPredicate::eq, isAnew,
                  arith::ConstantIntOp::create(builder, loc, 0, 1)));
      Value workBegin =
          select(isGoingOn, getProgress(from, fromBlock), index(0));
      Value workEnd = select(isLess(target, toBlock),
                             mul(level.passes, level.block), whole);
      workEnd = select(isNext, getProgress(to, toBlock), workEnd);
      emitWork(unit, level, target, workBegin, workEnd, forLanes, load);
    });
  });
}

void RelaxedConv::emitWork(const Unit &unit, const Level &level, Value target,
                           Value begin, Value end, ForLanes forLanes,
                           LoadTokens load) {
  Value last = shiftRight(add(end, sub(level.block, index(1))), level.shift);
  emitFor(builder, loc, shiftRight(begin, level.shift), last, 1, [&](Value time) {
    Value origin = shiftLeft(time, level.shift);
    Value from = max(sub(begin, origin), index(0));
    Value to = min(sub(end, origin), level.block);
    Value input = sub(target, index(2));
    Value inputSlot = getInputSlot(unit, level, input);
    Value sumSlot = getSumSlot(unit, level, target);
    auto items = [&](int64_t perItem) {
      Value shift = index(llvm::Log2_64(perItem));
      return std::pair(shiftRight(from, shift), shiftRight(to, shift));
    };
    Value inverse = sub(sub(time, level.passes), index(productTime));
    auto emitForward = [&] {
      emitIf(
          isLess(time, level.radix8),
          [&] {
            auto [first, end] = items(8);
            emitPass(level, inputSlot, mul(time, index(3)), 8,
                     /*isInverse=*/false, first, end);
          },
          [&] {
            auto [first, end] = items(4);
            Value splits = add(mul(level.radix8, index(3)),
                               mul(sub(time, level.radix8), index(2)));
            emitPass(level, inputSlot, splits, 4, /*isInverse=*/false, first,
                     end);
          });
    };
    auto emitInverse = [&] {
      // The same passes in the opposite order.
      Value pass = sub(sub(level.passes, index(1)), inverse);
      emitIf(
          isLess(pass, level.radix8),
          [&] {
            auto [first, end] = items(8);
            emitPass(level, sumSlot, mul(pass, index(3)), 8, /*isInverse=*/true,
                     first, end);
          },
          [&] {
            auto [first, end] = items(4);
            Value splits = add(mul(level.radix8, index(3)),
                               mul(sub(pass, level.radix8), index(2)));
            emitPass(level, sumSlot, splits, 4, /*isInverse=*/true, first, end);
          });
    };
    emitIf(
        isLess(time, level.passes),
        [&] {
          emitIf(
              compare(arith::CmpIPredicate::eq, time, index(0)),
              [&] {
                auto [first, end] = items(8);
                emitRead(level, inputSlot, shiftLeft(input, level.shift), first,
                         end, forLanes, load);
              },
              emitForward);
        },
        [&] {
          emitIf(
              isLess(inverse, index(0)),
              [&] {
                // All of the time that the products have so far.
                Value before = shiftLeft(sub(time, level.passes), level.shift);
                Value shift =
                    index(llvm::Log2_64(productPoints * productTime));
                emitProducts(unit, level, target,
                             shiftRight(add(before, from), shift),
                             shiftRight(add(before, to), shift));
              },
              emitInverse);
        });
  });
}

void RelaxedConv::emitRead(const Level &level, Value slot, Value firstToken,
                           Value begin, Value end, ForLanes forLanes,
                           LoadTokens load) {
  Value step = shiftRight(level.block, index(3));
  forLanes([&](RegionEmitter &lanes) {
    SmallVector<ComplexLanes> twiddles = fft.loadTwiddles(index(1), 8);
    emitFor(builder, loc, begin, end, 1, [&](Value item) {
      SmallVector<ComplexLanes> points;
      for (Value token : load(lanes, add(firstToken, item), step, 8))
        points.push_back({token, Value()});
      fft.split(points, twiddles);
      Value at = add(slot, item);
      for (ComplexLanes &point : points) {
        fft.store(point, memory, at);
        at = add(at, step);
      }
    });
  });
}

void RelaxedConv::emitPass(const Level &level, Value slot, Value splits,
                           int64_t radix, bool isInverse, Value begin,
                           Value end) {
  Value radixShift = index(llvm::Log2_64(radix));
  Value stepShift = sub(sub(level.shift, splits), radixShift);
  Value step = shiftLeft(index(1), stepShift);
  Value firstRoot = shiftLeft(index(1), splits);
  emitFor(builder, loc, begin, end, 1, [&](Value item) {
    Value node = shiftRight(item, stepShift);
    Value position = sub(item, shiftLeft(node, stepShift));
    SmallVector<ComplexLanes> twiddles =
        fft.loadTwiddles(add(firstRoot, node), radix);
    Value at = add(slot, position);
    at = add(at, shiftLeft(shiftLeft(node, stepShift), radixShift));
    SmallVector<Value> places(1, at);
    for (int64_t i = 1; i < radix; ++i)
      places.push_back(add(places.back(), step));
    SmallVector<ComplexLanes> points;
    for (Value place : places)
      points.push_back(fft.load(memory, place));
    if (isInverse)
      fft.join(points, twiddles);
    else
      fft.split(points, twiddles);
    for (auto [point, place] : llvm::zip_equal(points, places))
      fft.store(point, memory, place);
  });
}

void RelaxedConv::emitProducts(const Unit &unit, const Level &level,
                               Value target, Value begin, Value end) {
  Value firstInput = getFirstInput(level, target);
  Value endInput =
      min(sub(target, index(1)), add(sub(target, level.firstPiece), index(1)));
  Value firstSlot =
      arith::RemUIOp::create(builder, loc, firstInput, level.slots);
  Value memoryBase = add(unit.base, level.offset);
  Value sumSlot = getSumSlot(unit, level, target);
  auto loadSpectrum = [&](Value place) {
    ComplexLanes value;
    for (int64_t part = 0; part < 2; ++part) {
      SmallVector<Value> indices(unit.spectrumIndices);
      indices.append({place, index(part), index(0)});
      (part ? value.im : value.re) = vector::LoadOp::create(
          builder, loc, type, op.getSpectrum(), indices);
    }
    return value;
  };
  emitFor(builder, loc, begin, end, 1, [&](Value item) {
    Value point = mul(item, index(productPoints));
    SmallVector<Value> state(1, firstSlot);
    state.append(2 * productPoints, fft.zero());
    state = emitFor(
        builder, loc, firstInput, endInput, 1, state,
        [&](Value input, ValueRange partial) {
          Value piece = sub(sub(target, input), level.firstPiece);
          Value place =
              add(add(level.spectrumPlace, mul(piece, level.stride)), point);
          Value from =
              add(add(memoryBase, mul(partial[0], level.stride)), point);
          Value slot = add(partial[0], index(1));
          slot = select(compare(arith::CmpIPredicate::eq, slot, level.slots),
                        index(0), slot);
          SmallVector<Value> next(1, slot);
          for (int64_t i = 0; i < productPoints; ++i) {
            ComplexLanes sum = fft.multiplyAdd(
                fft.load(memory, add(from, index(i))),
                loadSpectrum(add(place, index(i))),
                {partial[1 + 2 * i], partial[2 + 2 * i]});
            next.append({sum.re, sum.im});
          }
          return next;
        });
    for (int64_t i = 0; i < productPoints; ++i)
      fft.store({state[1 + 2 * i], state[2 + 2 * i]}, memory,
                add(add(sumSlot, point), index(i)));
  });
}
