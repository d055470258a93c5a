//===- LowerLongConv.cpp - Convolution with a long kernel -----------------===//
//
// Blocks of the Toeplitz matrix times tokens, channels in lanes: eight outputs
// stay in registers while a block of as many taps passes over them. Of the
// fifteen tokens that meet in a block seven were loaded for the block before,
// so a block costs sixteen loads and 64 multiply-adds. Taps at the ends, which
// not all of the outputs have, are added one by one; so are those that read
// the history, a ring of tokens.
//
// A relaxed convolution (RelaxedConv.h) adds only the nearest taps one by one, in
// blocks of tokens that are those of its smallest sums.
//
// All outputs of a unit take the taps of one stretch before those of the next,
// with their sums in scratch memory meanwhile: so a stretch of the kernel, and
// the tokens that it meets, are read from the nearest cache.
//
//===----------------------------------------------------------------------===//

#include "CarriedTokens.h"
#include "ConvEmitter.h"
#include "RelaxedConv.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "ssm/IR/SpectrumBlocks.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Outputs of a tile and taps of a block.
static constexpr int64_t blockSize = 8;
/// Taps of a stretch.
static constexpr int64_t stretchSize = 128;
/// Nanoseconds of a token of a vector of channels of a relaxed convolution.
static constexpr double relaxedCost = 300;
/// Taps of the history that are added at a time.
static constexpr int64_t historyTaps = 4;
/// Lags assumed where they are known at run time only, for the size of tasks.
static constexpr int64_t typicalLags = 1024;

namespace {
class LongConvLowering : public ConvEmitter {
public:
  using ConvEmitter::ConvEmitter;
  LogicalResult run();

private:
  void emitForms();
  void emitSums() { relaxed ? emitRelaxed() : emitDirect(); }
  void emitDirect();
  void emitRelaxed();
  void emitRelaxedUnit(RegionEmitter &emitter, Value tile);
  void emitRelaxedTokens(RelaxedConv::ForLanes forLanes);
  SmallVector<Value> loadTokens(RegionEmitter &emitter, Value first, Value step,
                                int64_t count);
  void emitLanes(RegionEmitter &emitter);
  void emitTokens(RegionEmitter &emitter);
  void emitTile(RegionEmitter &emitter, Value token, int64_t rows,
                Value stretchBegin, Value stretchEnd);
  void emitResult(RegionEmitter &emitter, Value token);
  /// Places of taps that read a token of this call, for one output.
  Value getBegin(Value token);
  Value getEnd(Value token);
  Value loadSum(RegionEmitter &emitter, Value token);
  void storeSum(Value sum, Value token);
  /// The taps [begin, end) of the output `token`, added to `sum`.
  Value addTaps(RegionEmitter &emitter, Value token, Value begin, Value end,
                Value sum);
  Value addHistory(RegionEmitter &emitter, Value token, Value sum);
  Value addHistoryTaps(RegionEmitter &emitter, Value tap, Value place,
                       Value count, Value sum);
  SmallVector<Value> addBlocks(RegionEmitter &emitter, Value token, Value begin,
                               Value end, SmallVector<Value> sums);
  Value loadInput(RegionEmitter &emitter, Value token);
  Value loadTap(RegionEmitter &emitter, Value place);

  Value add(Value a, Value b) { return addIndex(builder, loc, a, b); }
  Value sub(Value a, Value b) { return subIndex(builder, loc, a, b); }
  Value min(Value a, Value b) { return minIndex(builder, loc, a, b); }
  Value max(Value a, Value b) {
    return arith::MaxSIOp::create(builder, loc, a, b);
  }

  Value batches, tokens, lags, first;
  Value ringTokens, position;
  Value sums; ///< of the outputs of a unit, in scratch memory
  std::optional<RelaxedConv> relaxed;
  std::optional<RelaxedConv::Unit> unit; ///< of a relaxed convolution
  Value nearEnd; ///< of the taps of the token 0, where others are not added here
};
} // namespace

LogicalResult LongConvLowering::run() {
  bool hasRing = op.getPosition() && op.getHistory();
  if (op.getCut() || failed(prepare()))
    return failure();
  // Without a ring there is nothing to carry; with one it is updated in place.
  if (!hasRing && (op.getHistory() || op.getFinalHistory()))
    return failure();
  if (op.getFinalHistory() && op.getFinalHistory() != op.getHistory())
    return failure();
  builder.setInsertionPoint(op);
  batches = getExtent(op.getOutput(), 0);
  tokens = getExtent(op.getOutput(), 1);
  lags = op.hasDynamicLags() ? getExtent(op.getKernel(), *op.getLagAxis())
                             : index(op.getLags());
  first = op.getFirst() ? op.getFirst()
                        : index(static_cast<int64_t>(op.getStaticFirst()));
  if (hasRing) {
    position = op.getPosition();
    ringTokens = getExtent(op.getHistory(), 1);
  }
  bool hasTransforms = op.getShortestFft() && canUseFFT(builder, op, target);
  int64_t shortest = op.getShortestFft().value_or(0);
  if (op.getRelaxed() && hasTransforms)
    relaxed.emplace(builder, op, element, width);
  if (hasTransforms &&
      getConstant(tokens).value_or(shortest) >= shortest)
    emitForms();
  else
    emitSums();
  if (op.getFinalHistory())
    emitPutRing(builder, loc, target, op.getInput(), op.getFinalHistory(), position);
  builder.eraseOp(op);
  return success();
}

/// By transforms from a length on, where nothing came before.
void LongConvLowering::emitForms() {
  // Transforms need their memory, which grows with the tokens, and pieces of all
  // lags.
  int64_t shortest =
      std::max<int64_t>(*op.getShortestFft(), kShortestTransform);
  Value isLong = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sge,
                                       tokens, index(shortest));
  auto also = [&](arith::CmpIPredicate predicate, Value a, Value b) {
    isLong = arith::AndIOp::create(
        builder, loc, isLong,
        arith::CmpIOp::create(builder, loc, predicate, a, b));
  };
  also(arith::CmpIPredicate::sle, lags, index(kMaxSpectrumLags));
  if (position)
    also(arith::CmpIPredicate::eq, position, index(0));
  emitIf(
      builder, loc, isLong, [&] { emitFFTConv(builder, op, target); },
      [&] { emitSums(); });
}

void LongConvLowering::emitDirect() {
  double cost = getOutputCost(
      3.0 + (op.hasDynamicLags() ? typicalLags
                                 : static_cast<int64_t>(op.getLags())));
  emitTokenBlocks(
      batches, tokens, cost,
      [&] {
        sums = memref::AllocaOp::create(
            builder, loc, MemRefType::get({tokenBlock * width}, element),
            builder.getI64IntegerAttr(64));
      },
      [&](RegionEmitter &emitter) { emitLanes(emitter); });
}

//===----------------------------------------------------------------------===//
// Relaxed convolutions
//===----------------------------------------------------------------------===//

void LongConvLowering::emitRelaxed() {
  Value tiles = index(llvm::divideCeil(getSize(*lane), width));
  Value units = tiles;
  for (unsigned dim : outer)
    units = mulIndex(builder, loc, units, index(getSize(dim)));
  relaxed->prepare(lags, first, ringTokens, units);
  // Sequences are next to each other: they share the kernel and its spectrum.
  emitTasks(builder, loc, mulIndex(builder, loc, tiles, batches),
            getUnitsPerTask(builder, loc, tokens, relaxedCost), std::nullopt,
            [&](Value begin, Value end) {
              sums = memref::AllocaOp::create(
                  builder, loc, MemRefType::get({tokenBlock * width}, element),
                  builder.getI64IntegerAttr(64));
              relaxed->beginTask();
              emitFor(builder, loc, begin, end, 1, [&](Value number) {
                SmallVector<Value> digits =
                    delinearize(builder, loc, number, {tiles, batches});
                RegionEmitter emitter = epilogueBase;
                emitter.bindDim(0, digits[1]);
                forChannels(emitter, [&](RegionEmitter &inner) {
                  emitRelaxedUnit(inner, digits[0]);
                });
              });
            });
  relaxed->setPosition(add(position, tokens));
}

void LongConvLowering::emitRelaxedUnit(RegionEmitter &emitter, Value tile) {
  Value number = index(0);
  for (unsigned dim : outer)
    number = add(mulIndex(builder, loc, number, index(getSize(dim))),
                 emitter.getDim(dim));
  int64_t size = getSize(*lane);
  number = add(
      mulIndex(builder, loc, number, index(llvm::divideCeil(size, width))), tile);
  SmallVector<Value> spectrumIndices;
  for (AffineExpr expr : op.getKernelMap().getResults()) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (dim != lag && dim != *lane)
      spectrumIndices.push_back(emitter.getDim(dim));
  }
  spectrumIndices.push_back(tile);
  unit = relaxed->getUnit(emitter.getDim(0), number, spectrumIndices);
  Value begin = size <= width ? index(0)
                              : mulIndex(builder, loc, tile, index(width));
  Value end =
      size <= width ? index(size) : min(add(begin, index(width)), index(size));
  emitRelaxedTokens([&](llvm::function_ref<void(RegionEmitter &)> body) {
    emitLaneLoops(emitter, loc, *lane, begin, end, width, 1, size,
                  [&](RegionEmitter &lanes, int64_t) { body(lanes); });
  });
  unit.reset();
}

/// Tokens up to the end of a block, the work that they are given, and so on.
void LongConvLowering::emitRelaxedTokens(RelaxedConv::ForLanes forLanes) {
  static_assert(tokenBlock == kFirstBlock, "sums of a block fit scratch memory");
  Value size = index(tokenBlock), end = add(position, tokens);
  auto blockOf = [&](Value token) {
    return builder.createOrFold<arith::DivUIOp>(loc, token, size);
  };
  Value firstBlock = blockOf(position);
  Value blocks = sub(blockOf(add(end, sub(size, index(1)))), firstBlock);
  auto load = [&](RegionEmitter &lanes, Value begin, Value step, int64_t count) {
    return loadTokens(lanes, begin, step, count);
  };
  auto compare = [&](arith::CmpIPredicate predicate, Value a, Value b) {
    return arith::CmpIOp::create(builder, loc, predicate, a, b).getResult();
  };
  Value isStale = relaxed->isStale(*unit);
  // Once more than there are blocks, for the work of the last tokens.
  emitFor(builder, loc, index(0), add(blocks, index(1)), 1, [&](Value number) {
    Value block = mulIndex(builder, loc, add(firstBlock, number), size);
    Value from = max(sub(block, size), position);
    Value to = min(max(block, position), end);
    Value isFirst = compare(arith::CmpIPredicate::eq, number, index(0));
    Value isLater = compare(arith::CmpIPredicate::ne, number, index(0));
    Value isNeeded = arith::OrIOp::create(builder, loc, isStale, isLater);
    emitIf(builder, loc, isNeeded, [&] {
      relaxed->advance(*unit, from, to, isFirst, forLanes, load);
    });
    emitIf(builder, loc, compare(arith::CmpIPredicate::slt, to, end), [&] {
      firstToken = sub(to, position);
      endToken = sub(min(add(block, size), end), position);
      nearEnd = sub(sub(add(position, index(1)), first),
                    relaxed->getNearBegin(to));
      forLanes([&](RegionEmitter &lanes) { emitTokens(lanes); });
      nearEnd = Value();
    });
  });
}

/// Tokens counted from the sequence's beginning, of this call or of the history.
SmallVector<Value> LongConvLowering::loadTokens(RegionEmitter &emitter,
                                                Value begin, Value step,
                                                int64_t count) {
  Value place = arith::RemSIOp::create(builder, loc, begin, ringTokens);
  Value oldest = sub(position, ringTokens);
  Value token = begin;
  SmallVector<Value> values;
  for (int64_t i = 0; i < count; ++i) {
    auto compare = [&](Value a, Value b) {
      return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sge, a, b)
          .getResult();
    };
    values.push_back(emitChoice(
        builder, loc, compare(token, position),
        [&] { return loadInput(emitter, sub(token, position)); },
        [&] {
          return emitChoice(
              builder, loc, compare(token, oldest),
              [&] {
                RegionEmitter at = emitter;
                at.bindDim(1, place);
                return ConvEmitter::load(at, history);
              },
              [&] { return zero(emitter); });
        }));
    token = add(token, step);
    place = add(place, step);
    place = arith::SelectOp::create(builder, loc, compare(place, ringTokens),
                                    sub(place, ringTokens), place);
  }
  return values;
}

//===----------------------------------------------------------------------===//
// Sums of taps
//===----------------------------------------------------------------------===//

void LongConvLowering::emitLanes(RegionEmitter &emitter) {
  if (!lane)
    return emitTokens(emitter);
  emitLaneLoops(emitter, loc, *lane, index(0), index(getSize(*lane)), width, 1,
                getSize(*lane),
                [&](RegionEmitter &inner, int64_t) { emitTokens(inner); });
}

Value LongConvLowering::getBegin(Value token) {
  Value begin = sub(add(sub(token, first), index(1)), tokens);
  return min(max(begin, index(0)), lags);
}

Value LongConvLowering::getEnd(Value token) {
  Value end = min(add(sub(token, first), index(1)), lags);
  if (nearEnd)
    end = min(end, add(nearEnd, token));
  return max(end, index(0));
}

void LongConvLowering::emitTokens(RegionEmitter &emitter) {
  Value count = sub(endToken, firstToken);
  Value odd = arith::RemSIOp::create(builder, loc, count, index(blockSize));
  Value middle = sub(endToken, odd);
  emitFor(builder, loc, firstToken, endToken, 1,
          [&](Value token) { storeSum(zero(emitter), token); });
  // From the first tap of the last token to the last tap of the first one.
  Value last = sub(endToken, index(1));
  Value begin = min(getBegin(firstToken), getBegin(last));
  Value end = max(getEnd(firstToken), getEnd(last));
  emitFor(builder, loc, begin, end, stretchSize, [&](Value stretch) {
    Value stretchEnd = min(add(stretch, index(stretchSize)), lags);
    emitFor(builder, loc, firstToken, middle, blockSize, [&](Value token) {
      emitTile(emitter, token, blockSize, stretch, stretchEnd);
    });
    emitFor(builder, loc, middle, endToken, 1, [&](Value token) {
      emitTile(emitter, token, 1, stretch, stretchEnd);
    });
  });
  emitFor(builder, loc, firstToken, endToken, 1,
          [&](Value token) { emitResult(emitter, token); });
}

Value LongConvLowering::loadSum(RegionEmitter &emitter, Value token) {
  Value at = mulIndex(builder, loc, sub(token, firstToken), index(width));
  Type type = emitter.getLanesType(element);
  if (auto vectorType = dyn_cast<VectorType>(type))
    return vector::LoadOp::create(builder, loc, vectorType, sums, at);
  return memref::LoadOp::create(builder, loc, sums, at);
}

void LongConvLowering::storeSum(Value sum, Value token) {
  Value at = mulIndex(builder, loc, sub(token, firstToken), index(width));
  if (isa<VectorType>(sum.getType()))
    vector::StoreOp::create(builder, loc, sum, sums, at);
  else
    memref::StoreOp::create(builder, loc, sum, sums, at);
}

void LongConvLowering::emitResult(RegionEmitter &emitter, Value token) {
  Value sum = loadSum(emitter, token);
  if (ringTokens)
    sum = addHistory(emitter, token, sum);
  if (unit)
    sum = relaxed->addSums(*unit, add(position, token), sum);
  RegionEmitter inner = emitter;
  inner.bindDim(1, token);
  storeResult(inner, sum, {inner.zeroOffsets()});
}

Value LongConvLowering::loadInput(RegionEmitter &emitter, Value token) {
  RegionEmitter at = emitter;
  at.bindDim(1, token);
  return load(at, input);
}

Value LongConvLowering::loadTap(RegionEmitter &emitter, Value place) {
  RegionEmitter at = emitter;
  at.bindDim(lag, place);
  return load(at, kernel);
}

Value LongConvLowering::addTaps(RegionEmitter &emitter, Value token,
                                Value begin, Value end, Value sum) {
  Value newest = sub(token, first);
  return emitFor(builder, loc, begin, end, 1, sum,
                 [&](Value place, ValueRange sums) {
                   Value value = loadInput(emitter, sub(newest, place));
                   return SmallVector<Value>{multiplyAdd(
                       loadTap(emitter, place), value, sums[0])};
                 })[0];
}

/// The taps that read the ring: from the newest token in it backward, to where it
/// begins and on from its end.
Value LongConvLowering::addHistory(RegionEmitter &emitter, Value token,
                                   Value sum) {
  Value zero = index(0), one = index(1);
  Value begin = max(add(sub(token, first), one), zero);
  Value kept = min(ringTokens, position);
  Value end = min(lags, add(add(sub(token, first), kept), one));
  if (nearEnd)
    end = min(end, add(nearEnd, token));
  // The place of the token that the first of these taps reads.
  Value newest = add(position, sub(sub(token, first), begin));
  Value place = arith::RemSIOp::create(builder, loc, max(newest, zero),
                                       max(ringTokens, one));
  Value count = max(sub(end, begin), zero);
  Value untilStart = min(count, add(place, one));
  sum = addHistoryTaps(emitter, begin, place, untilStart, sum);
  return addHistoryTaps(emitter, add(begin, untilStart), sub(ringTokens, one),
                        sub(count, untilStart), sum);
}

/// `count` taps from `tap` on, of tokens from `place` of the ring backward. Several
/// sums run side by side, as each waits for its last addition.
Value LongConvLowering::addHistoryTaps(RegionEmitter &emitter, Value tap,
                                       Value place, Value count, Value sum) {
  auto addOne = [&](Value distance, Value partial) {
    RegionEmitter at = emitter;
    at.bindDim(1, sub(place, distance));
    return multiplyAdd(loadTap(emitter, add(tap, distance)), load(at, history),
                       partial);
  };
  Value odd = arith::RemSIOp::create(builder, loc, count, index(historyTaps));
  Value whole = sub(count, odd);
  SmallVector<Value> partial(historyTaps, zero(emitter));
  partial[0] = sum;
  partial = emitFor(builder, loc, index(0), whole, historyTaps, partial,
                    [&](Value distance, ValueRange state) {
                      SmallVector<Value> next(state);
                      for (int64_t i = 0; i < historyTaps; ++i)
                        next[i] = addOne(add(distance, index(i)), next[i]);
                      return next;
                    });
  partial[0] = emitFor(builder, loc, whole, count, 1, partial[0],
                       [&](Value distance, ValueRange state) {
                         return SmallVector<Value>{addOne(distance, state[0])};
                       })[0];
  for (int64_t i = 1; i < historyTaps; ++i)
    partial[0] =
        arith::AddFOp::create(builder, loc, partial[0], partial[i]);
  return partial[0];
}

/// Blocks of taps that all outputs of the tile have.
SmallVector<Value> LongConvLowering::addBlocks(RegionEmitter &emitter,
                                               Value token, Value begin,
                                               Value end,
                                               SmallVector<Value> sums) {
  Value newest = sub(token, first);
  Value last = sub(tokens, index(1));
  // window[d] is the token d + 1 after the one that output 0 and the block's
  // first tap share. Where there is no block they are not used.
  SmallVector<Value> carried(sums);
  for (int64_t d = 1; d < blockSize; ++d) {
    Value at = add(sub(newest, begin), index(d));
    carried.push_back(loadInput(emitter, min(max(at, index(0)), last)));
  }
  SmallVector<Value> results = emitFor(
      builder, loc, begin, end, blockSize, carried,
      [&](Value place, ValueRange state) {
        SmallVector<Value> partial(state.take_front(blockSize));
        // By distance from the shared token, from -(blockSize - 1) on.
        SmallVector<Value> window(2 * blockSize - 1);
        for (int64_t d = 1; d < blockSize; ++d)
          window[blockSize - 1 + d] = state[blockSize + d - 1];
        for (int64_t tap = 0; tap < blockSize; ++tap) {
          window[blockSize - 1 - tap] = loadInput(
              emitter, sub(newest, add(place, index(tap))));
          Value weight = loadTap(emitter, add(place, index(tap)));
          for (int64_t row = 0; row < blockSize; ++row)
            partial[row] = multiplyAdd(
                weight, window[blockSize - 1 + row - tap], partial[row]);
        }
        partial.append(window.begin(), window.begin() + blockSize - 1);
        return partial;
      });
  results.resize(blockSize);
  return results;
}

void LongConvLowering::emitTile(RegionEmitter &emitter, Value token,
                                int64_t rows, Value stretchBegin,
                                Value stretchEnd) {
  SmallVector<Value> partial;
  for (int64_t row = 0; row < rows; ++row)
    partial.push_back(loadSum(emitter, add(token, index(row))));
  Value blocksBegin, blocksEnd;
  if (rows > 1) {
    // The taps that all rows have, as many as make whole blocks.
    blocksBegin = max(getBegin(add(token, index(rows - 1))), stretchBegin);
    Value common = min(getEnd(token), stretchEnd);
    Value count = max(sub(common, blocksBegin), index(0));
    Value odd = arith::RemSIOp::create(builder, loc, count, index(blockSize));
    blocksEnd = add(blocksBegin, sub(count, odd));
    partial = addBlocks(emitter, token, blocksBegin, blocksEnd, partial);
  }
  for (int64_t row = 0; row < rows; ++row) {
    Value at = add(token, index(row));
    Value begin = max(getBegin(at), stretchBegin);
    Value end = min(getEnd(at), stretchEnd);
    Value &sum = partial[row];
    if (rows > 1) {
      sum = addTaps(emitter, at, begin, min(end, blocksBegin), sum);
      begin = max(begin, blocksEnd);
    }
    storeSum(addTaps(emitter, at, begin, end, sum), at);
  }
}

LogicalResult ssmc::cpu::lowerLongConv(RewriterBase &rewriter, ConvOp op,
                                       const VectorTarget &target) {
  return LongConvLowering(rewriter, op, target).run();
}
