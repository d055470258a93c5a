//===- LowerLongConv.cpp - Convolution with a long kernel -----------------===//
//
// Blocks of the Toeplitz matrix times tokens, channels in lanes: eight outputs
// stay in registers while a block of as many taps passes over them. Of the
// fifteen tokens that meet in a block seven were loaded for the block before,
// so a block costs sixteen loads and 64 multiply-adds. Taps at the ends, which
// not all of the outputs have, are added one by one; so are those that read
// the history, a ring of tokens.
//
// All outputs of a unit take the taps of one stretch before those of the next,
// with their sums in scratch memory meanwhile: so a stretch of the kernel, and
// the tokens that it meets, are read from the nearest cache.
//
//===----------------------------------------------------------------------===//

#include "CarriedTokens.h"
#include "ConvEmitter.h"

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
/// Lags assumed where they are known at run time only, for the size of tasks.
static constexpr int64_t typicalLags = 1024;

namespace {
class LongConvLowering : public ConvEmitter {
public:
  using ConvEmitter::ConvEmitter;
  LogicalResult run();

private:
  void emitChoice();
  void emitDirect();
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
  bool mayTransform = false;
  if (std::optional<int64_t> shortest = op.getShortestFft())
    mayTransform = getConstant(tokens).value_or(*shortest) >= *shortest &&
                   canUseFFT(builder, op, target);
  if (mayTransform)
    emitChoice();
  else
    emitDirect();
  if (op.getFinalHistory())
    emitPutRing(builder, loc, target, op.getInput(), op.getFinalHistory(), position);
  builder.eraseOp(op);
  return success();
}

/// By transforms from a length on, where nothing came before.
void LongConvLowering::emitChoice() {
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
  auto branch = scf::IfOp::create(builder, loc, isLong, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(branch.thenBlock()->getTerminator());
  emitFFTConv(builder, op, target);
  builder.setInsertionPoint(branch.elseBlock()->getTerminator());
  emitDirect();
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
  return max(min(add(sub(token, first), index(1)), lags), index(0));
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

/// The taps that read the ring: from the newest token in it backward.
Value LongConvLowering::addHistory(RegionEmitter &emitter, Value token,
                                   Value sum) {
  Value zero = index(0), one = index(1);
  Value begin = max(add(sub(token, first), one), zero);
  Value kept = min(ringTokens, position);
  Value end = min(lags, add(add(sub(token, first), kept), one));
  // The place of the token that the first of these taps reads.
  Value newest = add(position, sub(sub(token, first), begin));
  Value place = arith::RemSIOp::create(builder, loc, max(newest, zero),
                                       max(ringTokens, one));
  return emitFor(builder, loc, begin, end, 1, {place, sum},
                 [&](Value tap, ValueRange state) {
                   RegionEmitter at = emitter;
                   at.bindDim(1, state[0]);
                   Value next = multiplyAdd(loadTap(emitter, tap),
                                            load(at, history), state[1]);
                   Value isFirst = arith::CmpIOp::create(
                       builder, loc, arith::CmpIPredicate::eq, state[0], zero);
                   Value earlier = arith::SelectOp::create(
                       builder, loc, isFirst, ringTokens, state[0]);
                   return SmallVector<Value>{sub(earlier, one), next};
                 })[1];
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
