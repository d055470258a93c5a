//===- LowerLongConv.cpp - A convolution with many lags -------------------===//
//
// Sums over the lags, with each token and each tap of the kernel read once by a block of
// threads. A block has a tile of outputs and a warp's width of lanes. It goes back in time
// a tile of tokens after the other; with them the lags grow, and the taps that a tile has
// in common with the one before stay where they are, in a ring. A thread has a run of
// outputs of one lane in registers; a tap is read from the ring once for the run.
//
// A single token has one output a lane: the warps of a block share its lags.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Buffers.h"
#include "Target/NVPTX/KernelEmitter.h"
#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Lowering.h"

#include "Conversion/SSMToSCF/Sequence.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::detail;

namespace {
constexpr int64_t kWarp = 32;
/// Outputs of a thread, the warps of a block, and what that makes of a tile.
constexpr int64_t kRun = 16, kWarps = 8, kOutputs = kRun * kWarps;
/// Tokens of a tile, and taps that outputs of one tile and tokens of another are apart.
constexpr int64_t kTokens = 128, kRing = kOutputs + kTokens;
/// Warps that share the lags of a single token, and lags of one that are read together.
constexpr int64_t kSharingWarps = 16, kTogether = 8;

class LongConv : nvptx::KernelEmitter {
public:
  LongConv(ConvOp op, OpBuilder &builder);
  void run(linalg::GenericOp producer, int64_t tensorCores);

private:
  gpu::LaunchOp start(Value tiles, int64_t warps, ArrayRef<MemRefType> shared);
  void emitTiles();
  void emitSingle();

  // A tile of outputs.
  void stageTokens(Value firstToken);
  void stageTaps(Value firstPlace);
  SmallVector<Value> addTile(Value step, ValueRange sums);
  SmallVector<Value> loadTaps(Value firstPlace);
  void storeOutput(Value sum, Value token);

  // A single token.
  Value sumHistory();

  Value loadTap(Value place);
  Value constant(double value) { return loops.constant(f32, value); }
  void barrier() { gpu::BarrierOp::create(loops.builder, loops.loc); }

  ConvOp op;
  FloatType f32;
  unsigned laneDim;
  SmallVector<Value> sizes, point;
  Sequence sequence;
  Value length, first, lags;
  Value available; ///< tokens before this call

  // Of the thread.
  Value lane, warp, isLane;
  Value tokens, taps; ///< shared memory: a tile, and the ring
};
} // namespace

LongConv::LongConv(ConvOp op, OpBuilder &builder)
    : KernelEmitter(builder, op.getLoc()), op(op), f32(builder.getF32Type()),
      sizes(op.getNumDims()), point(op.getNumDims()) {
  for (auto [axis, expr] : llvm::enumerate(op.getOutputMap().getResults())) {
    laneDim = cast<AffineDimExpr>(expr).getPosition();
    sizes[laneDim] = loops.size(op.getOutput(), axis);
  }
  length = sizes[1];
  Lags all = getLags(loops, op);
  first = all.first;
  lags = all.count;
  sequence = getSequence(loops, op);
  Value kept = sequence.numTokens;
  available = !op.getHistory()    ? loops.index(0)
              : op.getPosition() ? min(op.getPosition(), kept)
                                 : kept;
}

/// A launch with a block for each tile of lanes of each sequence, and its thread's place.
gpu::LaunchOp LongConv::start(Value tiles, int64_t warps, ArrayRef<MemRefType> shared) {
  OpBuilder &b = loops.builder;
  Value width = loops.index(kWarp);
  Value laneTiles = arith::CeilDivUIOp::create(b, loops.loc, sizes[laneDim], width);
  Value blocks = laneTiles;
  for (AffineExpr expr : op.getOutputMap().getResults())
    if (unsigned dim = cast<AffineDimExpr>(expr).getPosition(); dim != 1 && dim != laneDim)
      blocks = loops.mul(blocks, sizes[dim]);
  gpu::LaunchOp launch = nvptx::startLaunch(b, loops.loc, blocks, tiles, warps * kWarp, shared);
  llvm::fill(point, loops.index(0));
  Value thread = launch.getThreadIds().x;
  lane = remainder(thread, width);
  warp = quotient(thread, width);
  Value block = launch.getBlockIds().x;
  Value number = loops.add(times(remainder(block, laneTiles), kWarp), lane);
  isLane = loops.less(number, sizes[laneDim]);
  point[laneDim] = min(number, plus(sizes[laneDim], -1));
  block = quotient(block, laneTiles);
  for (AffineExpr expr : llvm::reverse(op.getOutputMap().getResults()))
    if (unsigned dim = cast<AffineDimExpr>(expr).getPosition(); dim != 1 && dim != laneDim) {
      point[dim] = remainder(block, sizes[dim]);
      block = quotient(block, sizes[dim]);
    }
  return launch;
}

void LongConv::storeOutput(Value sum, Value token) {
  point[1] = token;
  Value result = loops
                     .inlineEpilogue(op.getEpilogue(), sum, op.getEpilogueIns(),
                                     op.getEpilogueMaps(), point)
                     .front();
  loops.store(result, op.getOutput(), loops.apply(op.getOutputMap(), point));
}

Value LongConv::loadTap(Value place) {
  point.back() = place;
  return loops.convert(loops.load(op.getKernel(), loops.apply(op.getKernelMap(), point)),
                       f32);
}

//===----------------------------------------------------------------------===//
// Tiles of outputs
//===----------------------------------------------------------------------===//

/// The tile of tokens from `firstToken` on.
void LongConv::stageTokens(Value firstToken) {
  constexpr int64_t perThread = kTokens / kWarps;
  SmallVector<Value> from = loops.apply(op.getInputMap(), point);
  // Of a tile some tokens may be after the sequence, or before the history.
  Sequence around = sequence;
  around.looksAhead = around.looksBehind = true;
  Value isInner = both(loops.less(loops.index(-1), firstToken),
                       loops.less(plus(firstToken, kTokens - 1), length));
  auto emitInner = [&] {
    SmallVector<Value> values;
    for (int64_t i = 0; i < perThread; ++i) {
      from[1] = loops.add(firstToken, plus(warp, i * kWarps));
      values.push_back(loops.load(op.getInput(), from));
    }
    for (auto [i, value] : llvm::enumerate(values))
      loops.store(loops.convert(value, f32), tokens, {plus(warp, i * kWarps), lane});
  };
  loops.when(isInner, emitInner, [&] {
    emitFor(warp, loops.index(kTokens), loops.index(kWarps), [&](Value row) {
      from[1] = loops.add(firstToken, row);
      loops.store(loadToken(loops, around, from, from[1], f32), tokens, {row, lane});
    });
  });
}

/// The taps that a tile of tokens has and the one after it had not.
void LongConv::stageTaps(Value firstPlace) {
  SmallVector<Value> places, values;
  for (int64_t i = 0; i < kTokens / kWarps; ++i) {
    Value place = loops.add(firstPlace, plus(warp, i * kWarps));
    places.push_back(place);
    values.push_back(loadTap(min(place, plus(lags, -1))));
  }
  for (auto [place, value] : llvm::zip_equal(places, values))
    loops.store(loops.select(loops.less(place, lags), value, constant(0.0)), taps,
                {remainder(place, loops.index(kRing)), lane});
}

/// A run of taps; its first place is a multiple of the run's length, maybe a negative one.
SmallVector<Value> LongConv::loadTaps(Value firstPlace) {
  Value row = arith::AndIOp::create(loops.builder, loops.loc, firstPlace,
                                    loops.index(kRing - 1));
  SmallVector<Value> values;
  for (int64_t i = 0; i < kRun; ++i)
    values.push_back(loops.load(taps, {plus(row, i), lane}));
  return values;
}

/// Adds what the tile of tokens number `step`, counted back in time, gives. With the output
/// i and the token j of their tiles, the place of their tap is i - j + firstPlace.
SmallVector<Value> LongConv::addTile(Value step, ValueRange sums) {
  static_assert(kTokens % (2 * kRun) == 0 && kRing % kRun == 0 &&
                (kRing & (kRing - 1)) == 0);
  OpBuilder &b = loops.builder;
  Value firstPlace = plus(times(step, kTokens), kTokens - kOutputs);
  Value runPlace = loops.add(firstPlace, times(warp, kRun));
  SmallVector<Value> carried(sums);
  llvm::append_range(carried, loadTaps(runPlace));
  // Two runs of tokens: the taps of the second are then where those of the first were.
  auto body = [&](OpBuilder &, Location, Value token, ValueRange before) {
    SmallVector<Value> next(before.take_front(kRun)), upper(before.drop_front(kRun));
    for (int64_t half = 0; half < 2; ++half) {
      Value here = plus(token, half * kRun);
      SmallVector<Value> lower = loadTaps(plus(loops.sub(runPlace, here), -kRun));
      for (int64_t j = 0; j < kRun; ++j) {
        Value value = loops.load(tokens, {plus(here, j), lane});
        for (int64_t i = 0; i < kRun; ++i)
          next[i] = math::FmaOp::create(b, loops.loc, value,
                                        i < j ? lower[kRun + i - j] : upper[i - j], next[i]);
      }
      upper = std::move(lower);
    }
    llvm::append_range(next, upper);
    scf::YieldOp::create(b, loops.loc, next);
  };
  auto loop = scf::ForOp::create(b, loops.loc, loops.index(0), loops.index(kTokens),
                                 loops.index(2 * kRun), carried, body);
  return SmallVector<Value>(loop.getResults().take_front(kRun));
}

void LongConv::emitTiles() {
  OpBuilder &b = loops.builder;
  OpBuilder::InsertionGuard guard(b);
  Value tiles = arith::CeilDivUIOp::create(b, loops.loc, length, loops.index(kOutputs));
  gpu::LaunchOp launch = start(
      tiles, kWarps,
      {nvptx::sharedType({kTokens, kWarp}, f32), nvptx::sharedType({kRing, kWarp}, f32)});
  tokens = launch.getWorkgroupAttributions()[0];
  taps = launch.getWorkgroupAttributions()[1];
  // The last outputs have most to add up: they begin.
  Value tile = loops.sub(plus(tiles, -1), launch.getBlockIds().y);
  Value firstOutput = times(tile, kOutputs);
  // Places before the first.
  emitFor(warp, loops.index(kRing), loops.index(kWarps),
          [&](Value row) { loops.store(constant(0.0), taps, {row, lane}); });
  Value end = loops.sub(plus(firstOutput, kOutputs), first);
  Value width = loops.index(kTokens);
  // Rounded to zero: it may be negative where the first lag is large.
  Value reached = arith::DivSIOp::create(b, loops.loc,
                                         plus(loops.add(end, available), -1), width);
  Value steps = min(quotient(plus(lags, kOutputs + kTokens - 2), width),
                    plus(reached, 1));
  SmallVector<Value> zeros(kRun, constant(0.0));
  auto loop = scf::ForOp::create(
      b, loops.loc, loops.index(0), steps, loops.index(1), zeros,
      [&](OpBuilder &, Location, Value step, ValueRange before) {
        barrier();
        stageTokens(loops.sub(end, times(plus(step, 1), kTokens)));
        stageTaps(times(step, kTokens));
        barrier();
        scf::YieldOp::create(b, loops.loc, addTile(step, before));
      });
  for (int64_t i = 0; i < kRun; ++i) {
    Value token = loops.add(firstOutput, plus(times(warp, kRun), i));
    loops.when(both(isLane, loops.less(token, length)),
           [&] { storeOutput(loop.getResult(i), token); });
  }
}

//===----------------------------------------------------------------------===//
// A single token
//===----------------------------------------------------------------------===//

/// What a warp adds up of the tokens before this call.
Value LongConv::sumHistory() {
  OpBuilder &b = loops.builder;
  Value history = op.getHistory(), kept = sequence.numTokens, one = loops.index(1);
  SmallVector<Value> from = loops.apply(op.getInputMap(), point);
  // The place of the token of this call, which has the lag 0.
  Value now = kept;
  if (op.getPosition())
    now = sequence.getPlace(loops, op.getPosition());
  Value begin = loops.max(first, one);
  Value end = min(loops.add(first, lags), loops.add(available, one));
  Value zero = constant(0.0);
  auto loop = scf::ForOp::create(
      b, loops.loc, loops.add(begin, warp), end, loops.index(kSharingWarps * kTogether),
      zero, [&](OpBuilder &, Location, Value lag, ValueRange before) {
        SmallVector<Value> taps, values;
        for (int64_t i = 0; i < kTogether; ++i) {
          Value here = plus(lag, i * kSharingWarps);
          Value isThere = loops.less(here, end);
          here = loops.select(isThere, here, lag);
          taps.push_back(loops.select(isThere, loadTap(loops.sub(here, first)), zero));
          Value place = loops.sub(now, here);
          from[1] = loops.select(loops.less(place, loops.index(0)), loops.add(place, kept),
                                 place);
          values.push_back(loops.convert(loops.load(history, from), f32));
        }
        Value sum = before.front();
        for (auto [tap, value] : llvm::zip_equal(taps, values))
          sum = math::FmaOp::create(b, loops.loc, tap, value, sum);
        scf::YieldOp::create(b, loops.loc, sum);
      });
  return loop.getResult(0);
}

void LongConv::emitSingle() {
  OpBuilder &b = loops.builder;
  OpBuilder::InsertionGuard guard(b);
  gpu::LaunchOp launch = start(loops.index(1), kSharingWarps,
                               {nvptx::sharedType({kSharingWarps, kWarp}, f32)});
  Value partial = launch.getWorkgroupAttributions()[0];
  loops.store(op.getHistory() ? sumHistory() : constant(0.0), partial, {warp, lane});
  barrier();
  loops.when(both(isLane, loops.less(warp, loops.index(1))), [&] {
    Value zero = loops.index(0);
    SmallVector<Value> from = loops.apply(op.getInputMap(), point);
    Value place = loops.sub(zero, first);
    Value isPlace =
        both(loops.less(loops.index(-1), place), loops.less(place, lags));
    Value tap = loadTap(loops.select(isPlace, place, zero));
    Value sum = loops.mul(loops.select(isPlace, tap, constant(0.0)),
                          loops.convert(loops.load(op.getInput(), from), f32));
    for (int64_t i = 0; i < kSharingWarps; ++i)
      sum = loops.add(sum, loops.load(partial, {loops.index(i), lane}));
    storeOutput(sum, zero);
  });
}

/// `producer`: of the input, where transforms can read it instead, or null.
void LongConv::run(linalg::GenericOp producer, int64_t tensorCores) {
  Value isSingle = arith::CmpIOp::create(loops.builder, loops.loc,
                                         arith::CmpIPredicate::eq, length, loops.index(1));
  // Where nobody else reads it, a history serves later calls alone.
  Value keeps;
  if (op.getHistory() && op.getFinalHistory() == op.getHistory() &&
      nvptx::isOwnArgument(op.getHistory(), op))
    keeps = nvptx::emitKeepsStates(loops.builder, op);
  auto putHistory = [&] {
    Value finalHistory = op.getFinalHistory();
    if (!finalHistory)
      return;
    auto put = [&] { writeFinalHistory(loops, sequence, finalHistory); };
    keeps ? loops.when(keeps, put) : put();
  };
  if (!nvptx::canUseFFT(op)) {
    loops.when(isSingle, [&] { emitSingle(); }, [&] { emitTiles(); });
    return putHistory();
  }
  auto emit = [&](void (LongConv::*sums)()) {
    if (producer)
      loops.builder.clone(*producer);
    (this->*sums)();
    putHistory();
  };
  loops.when(isSingle, [&] { emit(&LongConv::emitSingle); }, [&] {
    nvptx::emitFFTConv(
        loops.builder, op, producer, keeps, tensorCores, [&] { emit(&LongConv::emitTiles); },
        putHistory);
  });
}

LogicalResult nvptx::lowerLongConv(RewriterBase &rewriter, ConvOp op, int64_t tensorCores) {
  auto isWide = [](Value value) { return getElementTypeOrSelf(value).isF64(); };
  if (!op.hasPureBufferSemantics() || op.getCut() || op.getNumDims() < 4 ||
      isWide(op.getInput()) || isWide(op.getKernel()) || isWide(op.getOutput()))
    return failure();
  linalg::GenericOp producer;
  if (canUseFFT(op))
    producer = findProducerOf(op);
  LongConv(op, rewriter).run(producer, tensorCores);
  rewriter.eraseOp(op);
  if (producer)
    rewriter.eraseOp(producer);
  return success();
}
