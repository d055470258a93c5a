//===- LowerConv.cpp - Causal convolution along the sequence --------------===//
//
// Channels in lanes. With a short kernel time is the innermost loop: the last
// tokens stay in registers, so that each input vector is loaded once, and where
// a document starts they are cleared. Otherwise the taps are a loop over
// memory.
//
//===----------------------------------------------------------------------===//

#include "CarriedTokens.h"
#include "ConvEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Longest kernel whose taps and tokens are kept in registers.
static constexpr int64_t registerLags = 8;

namespace {
class ConvLowering : public ConvEmitter {
public:
  using ConvEmitter::ConvEmitter;
  LogicalResult run();

private:
  void emitLanes(RegionEmitter &emitter);
  void emitRolling(RegionEmitter &emitter, int64_t vectors);
  void emitDirect(RegionEmitter &emitter);
  Value emitTaps(RegionEmitter &emitter, Value batch, Value token);
  Value loadToken(RegionEmitter &emitter, Value token, const Offsets &offsets);
  Value getCut(RegionEmitter &emitter, Value token);

  CarriedTokens carried;
  int64_t lags = 0;
  bool rolling = false;
};
} // namespace

LogicalResult ConvLowering::run() {
  bool isPlain = !op.getHistory() && !op.getFinalHistory() && !op.getCut();
  if (op.hasDynamicLags() || op.getFirst() || op.getPosition() ||
      op.getStaticFirst() != 0 || (op.isLong() && isPlain))
    return failure();
  if (failed(prepare()))
    return failure();
  lags = op.getLags();
  rolling = lags <= registerLags;
  builder.setInsertionPoint(op);
  carried.input = op.getInput();
  carried.history = op.getHistory();
  carried.cut = op.getCut();
  carried.length = lags - 1;
  carried.batches = getExtent(op.getOutput(), 0);
  carried.tokens = getExtent(op.getOutput(), 1);

  emitTokenBlocks(
      carried.batches, carried.tokens, getOutputCost(3.0 + lags), [] {},
      [&](RegionEmitter &emitter) { emitLanes(emitter); });
  if (op.getFinalHistory())
    emitFinalHistory(builder, loc, target, carried, op.getFinalHistory());
  builder.eraseOp(op);
  return success();
}

void ConvLowering::emitLanes(RegionEmitter &emitter) {
  auto emitVectors = [&](RegionEmitter &inner, int64_t vectors) {
    if (rolling)
      return emitRolling(inner, vectors);
    emitDirect(inner);
  };
  if (!lane)
    return emitVectors(emitter, 1);
  // Taps and tokens of all vectors share the registers.
  int64_t vectors =
      rolling
          ? std::clamp<int64_t>((target.getRegisters() - 8) / (2 * lags), 1, 4)
          : 1;
  vectors =
      std::min<int64_t>(vectors, std::max<int64_t>(1, getSize(*lane) / width));
  emitLaneLoops(emitter, loc, *lane, index(0), index(getSize(*lane)), width,
                vectors, getSize(*lane), emitVectors);
}

/// The input at a signed token index: from the history if it is negative.
Value ConvLowering::loadToken(RegionEmitter &emitter, Value token,
                              const Offsets &offsets) {
  auto load = [&](const Access &access, Value at) {
    RegionEmitter inner = emitter;
    inner.bindDim(1, at);
    return inner.splat(convert(inner.load(access, offsets), element));
  };
  Value inside = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sge,
                                       token, index(0));
  return emitChoice(
      builder, loc, inside, [&] { return load(input, token); },
      [&] {
        return history.memref
                   ? load(history,
                          addIndex(builder, loc, token, index(lags - 1)))
                   : zero(emitter);
      });
}

/// Whether a document starts at `token`, which may be negative (false).
Value ConvLowering::getCut(RegionEmitter &emitter, Value token) {
  Value before = subIndex(builder, loc, token, index(1));
  return emitIsCut(builder, loc, carried, emitter.getDim(0), before, token);
}

void ConvLowering::emitRolling(RegionEmitter &emitter, int64_t vectors) {
  SmallVector<Offsets> points;
  for (int64_t v = 0; v < vectors; ++v) {
    points.push_back(emitter.zeroOffsets());
    if (lane)
      points.back()[*lane] = v * width;
  }
  // taps[v * lags + j]
  SmallVector<Value> taps;
  RegionEmitter atTap = emitter;
  atTap.bindDim(lag, index(0));
  for (Offsets point : points)
    for (int64_t j = 0; j < lags; ++j) {
      point[lag] = j;
      taps.push_back(atTap.splat(convert(atTap.load(kernel, point), element)));
    }
  // window[v * (lags - 1) + i] is the token i + 1 before the current one.
  int64_t kept = lags - 1;
  SmallVector<Value> window(kept * vectors, zero(emitter));
  auto clear = [&](Value cut, SmallVector<Value> &values) {
    if (!cut)
      return;
    Value none = zero(emitter);
    for (Value &value : values)
      value = arith::SelectOp::create(builder, loc, cut, none, value);
  };
  auto push = [&](SmallVector<Value> &values, int64_t v, Value newest) {
    if (kept == 0)
      return;
    for (int64_t i = kept - 1; i > 0; --i)
      values[v * kept + i] = values[v * kept + i - 1];
    values[v * kept] = newest;
  };
  for (int64_t i = kept; i > 0; --i) {
    Value token = subIndex(builder, loc, firstToken, index(i));
    clear(getCut(emitter, token), window);
    for (int64_t v = 0; v < vectors; ++v)
      push(window, v, loadToken(emitter, token, points[v]));
  }
  emitter.hoist(body, points);
  emitFor(
      builder, loc, firstToken, endToken, 1, window,
      [&](Value token, ValueRange values) {
        SmallVector<Value> current(values);
        RegionEmitter inner = emitter;
        inner.bindDim(1, token);
        if (carried.cut)
          clear(memref::LoadOp::create(builder, loc, carried.cut,
                                       ValueRange{emitter.getDim(0), token}),
                current);
        SmallVector<Value> results;
        for (int64_t v = 0; v < vectors; ++v) {
          Value newest =
              inner.splat(convert(inner.load(input, points[v]), element));
          // The oldest token first: the newest arrives last.
          Value sum = zero(emitter);
          for (int64_t j = kept; j > 0; --j)
            sum =
                multiplyAdd(taps[v * lags + j], current[v * kept + j - 1], sum);
          results.push_back(multiplyAdd(taps[v * lags], newest, sum));
          push(current, v, newest);
        }
        storeResult(inner, results, points);
        return current;
      });
}

void ConvLowering::emitDirect(RegionEmitter &emitter) {
  emitFor(builder, loc, firstToken, endToken, 1, [&](Value token) {
    RegionEmitter inner = emitter;
    inner.bindDim(1, token);
    Value sum = emitTaps(inner, emitter.getDim(0), token);
    storeResult(inner, sum, {inner.zeroOffsets()});
  });
}

/// The sum over taps for one vector of outputs.
Value ConvLowering::emitTaps(RegionEmitter &emitter, Value batch, Value token) {
  Value one = index(1);
  // Taps [0, inside) read the sequence, those after them the history.
  Value inside =
      minIndex(builder, loc, addIndex(builder, loc, token, one), index(lags));
  Value sequenceEnd = inside, historyEnd = index(lags);
  if (carried.cut) {
    // The first tap that reaches behind a document's start ends both.
    Value limit = index(lags);
    limit = emitFor(builder, loc, index(0), inside, 1, limit,
                    [&](Value j, ValueRange found) {
                      Value starts = memref::LoadOp::create(
                          builder, loc, carried.cut,
                          ValueRange{batch, subIndex(builder, loc, token, j)});
                      Value next = minIndex(builder, loc, found[0],
                                            addIndex(builder, loc, j, one));
                      return SmallVector<Value>{arith::SelectOp::create(
                          builder, loc, starts, next, found[0])};
                    })[0];
    sequenceEnd = minIndex(builder, loc, inside, limit);
    historyEnd = limit;
  }
  auto emitRange = [&](const Access &access, Value begin, Value end,
                       int64_t shift, Value start) {
    return emitFor(
        builder, loc, begin, end, 1, start,
        [&](Value j, ValueRange carriedSum) {
          RegionEmitter tap = emitter;
          tap.bindDim(lag, j);
          Value weight =
              tap.splat(convert(tap.load(kernel, tap.zeroOffsets()), element));
          tap.bindDim(1,
                      addIndex(builder, loc, subIndex(builder, loc, token, j),
                               index(shift)));
          Value value =
              tap.splat(convert(tap.load(access, tap.zeroOffsets()), element));
          return SmallVector<Value>{multiplyAdd(weight, value, carriedSum[0])};
        })[0];
  };
  Value sum = emitRange(input, index(0), sequenceEnd, 0, zero(emitter));
  if (!history.memref)
    return sum;
  return emitRange(history, inside, historyEnd, lags - 1, sum);
}

LogicalResult ssmc::cpu::lowerConv(RewriterBase &rewriter, ConvOp op,
                                   const VectorTarget &target) {
  if (succeeded(ConvLowering(rewriter, op, target).run()))
    return success();
  return lowerLongConv(rewriter, op, target);
}
