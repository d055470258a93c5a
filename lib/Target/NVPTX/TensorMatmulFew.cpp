//===- TensorMatmulFew.cpp - Products of few tokens -----------------------===//
//
// The weights are what counts: a block has 16 columns, or 8 where blocks are
// few; its warps share the depth, and weights go from memory to registers; they
// are asked for before the kernel waits for those before it. A norm of the
// tokens is computed by every block of 16 columns anew, which is less than
// another kernel: where it only scales, tokens go to shared memory without it,
// and the sums are scaled. Of single tokens the threads that have the sums
// convolve them. Of more blocks than run at once there are fewer, with rings of weights
// (TensorMatmulRing.cpp).
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Buffers.h"
#include "Target/NVPTX/Overlap.h"
#include "Target/NVPTX/TensorMatmul.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

/// Warps of a block, and where blocks are too few to keep a device busy;
/// weights of a lane that are in flight.
static constexpr int64_t kWarps = 8, kManyWarps = 16, kBusyBlocks = 128,
                         kAhead = 20;
/// Below so many blocks of 16 columns there are those of 8 if all weights of a lane are not in
/// flight at once: twice as many leave less of a device without work. Half of the
/// instruction's sums, which nobody waits for, are unused.
static constexpr int64_t kHalvedBlocks = 4 * kBusyBlocks;

/// Whether `value` is `x` times what does not depend on it.
static bool isProportional(Value value, Value x) {
  if (value == x)
    return true;
  Operation *def = value.getDefiningOp();
  if (isa_and_nonnull<arith::ExtFOp, arith::TruncFOp, arith::NegFOp>(def))
    return isProportional(def->getOperand(0), x);
  auto product = dyn_cast_or_null<arith::MulFOp>(def);
  if (!product)
    return false;
  auto isFactor = [&](Value factor) { // an operand
    return isa<BlockArgument>(factor) && factor != x;
  };
  return (isProportional(product.getLhs(), x) && isFactor(product.getRhs())) ||
         (isProportional(product.getRhs(), x) && isFactor(product.getLhs()));
}

/// Numbers that are not scaled yet have the exponents of f32.
bool TensorMatmul::scalesSums() {
  if (!norm || norm.getKind() == NormKind::layer || !element.isBF16())
    return false;
  Block &epilogue = norm.getEpilogue().front();
  return isProportional(epilogue.getTerminator()->getOperand(0),
                        epilogue.getArgument(0));
}

/// Every block computes the norm: if the product has to wait for it, that pays
/// where each block runs once, all at a time.
bool TensorMatmul::canNorm() {
  if (scalesSums())
    return depth % kVector == 0 && countNormed() > 0;
  Shares shares = shareDepth(kTokens);
  return !shares.isGuarded && shares.passes == 1 &&
         (shares.stages > 0 || shares.blocks <= 2 * kBusyBlocks) &&
         NormRow(norm, b, shares.warps * kWarp).fits();
}

/// Tokens are 64 bytes further apart than they have numbers, so that lanes meet
/// different banks.
static MemRefType stagedType(int64_t tokens, int64_t depth, Type element) {
  return sharedType({tokens, depth + 32}, element);
}

int64_t TensorMatmul::countNormed() {
  if (!scalesSums())
    return kTokens;
  int64_t shared =
      kManyWarps * kTokens * (kColumns + 5) * 4; // of sums, at most
  return std::min(kTokens, (kSharedBytes - shared) / ((depth + 32) * 2));
}

void TensorMatmul::stageTokens(NormRow &row, Value firstRow, Value thread,
                               Value staged, Value squares,
                               const Shares &shares) {
  int64_t threads = shares.warps * kWarp;
  Value count = least(loops.sub(rows, firstRow), loops.index(shares.tokens));
  Value warp = div(thread, kWarp);
  loops.repeat(count, [&](Value token) {
    SmallVector<Value> leading = leadingOf(loops.add(firstRow, token));
    Value sum = loops.constant(type, 0.0);
    for (int64_t done = 0; done < depth; done += threads * kVector) {
      bool isPartial = done + threads * kVector > depth;
      Value k = madd(thread, kVector, loops.index(done));
      Value numbers = loadNormed(row, leading, k, isPartial, &sum);
      if (isPartial) // who has none stores the last ones again
        k = least(k, loops.index(depth - kVector));
      vector::StoreOp::create(b, loc, numbers, staged, ValueRange{token, k},
                              /*nontemporal=*/false,
                              llvm::MaybeAlign(kVectorBytes));
    }
    for (int32_t distance = 1; distance < kWarp; distance *= 2)
      sum = loops.add(sum, gpu::ShuffleOp::create(b, loc, sum, distance, kWarp,
                                                  gpu::ShuffleMode::XOR)
                               .getShuffleResult());
    loops.store(sum, squares, {warp, token});
  });
  barrier();
}

void TensorMatmul::measureRows(NormRow &row, Value firstRow, Value thread,
                               Value lane, Value figures, int64_t tokens) {
  Value count = least(loops.sub(rows, firstRow), loops.index(tokens));
  bool hasMean = norm.getKind() == NormKind::layer;
  loops.repeat(count, [&](Value i) {
    row.load(leadingOf(loops.add(firstRow, i)), loops.index(0), thread);
    row.reduce();
    Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, thread,
                                          loops.index(0));
    loops.when(isFirst, [&] {
      loops.store(row.scale, figures, {i, loops.index(0)});
      if (hasMean)
        loops.store(row.mean, figures, {i, loops.index(1)});
    });
    barrier();
  });
  Value mine = least(lane, loops.sub(count, loops.index(1)));
  row.scale = loops.load(figures, {mine, loops.index(0)});
  row.mean = hasMean ? loops.load(figures, {mine, loops.index(1)}) : Value();
}

void TensorMatmul::addShares(ArrayRef<Sums> chains, Value thread, Value partial,
                             Value firstWarp, Value squares,
                             const Shares &shares, ArrayRef<Place> places,
                             std::optional<ConvStep> &step) {
  Lane lane = laneOf(thread);
  Value warp = loops.add(firstWarp, div(thread, kWarp));
  for (int64_t i = 0; i < 2 * shares.halves; ++i) {
    Value sum = chains[0][i];
    for (const Sums &chain : chains.drop_front())
      sum = loops.add(sum, chain[i]);
    Value token = madd(lane.quarter, 2, loops.index(i % 2));
    auto storeSum = [&] {
      loops.store(sum, partial,
                  {warp, token, loops.add(lane.row, loops.index(i / 2 * 8))});
    };
    if (shares.tokens == kTokens)
      storeSum();
    else if (i % 2 < shares.tokens)
      loops.when(loops.less(token, loops.index(shares.tokens)), storeSum);
  }
  barrier();
  auto sumOf = [&](function_ref<Value(Value)> load) {
    Value sum = load(loops.index(0));
    for (int64_t w = 1; w < shares.warps; ++w)
      sum = loops.add(sum, load(loops.index(w)));
    return sum;
  };
  for (const Place &place : places)
    loops.when(place.isThere, [&] {
      Value sum = sumOf([&](Value w) {
        return loops.load(partial,
                          {loops.add(firstWarp, w), place.token, place.number});
      });
      if (squares) {
        Value total = sumOf([&](Value w) {
          return loops.load(squares, {w, place.token});
        });
        sum = loops.mul(sum,
                        NormRow(norm, b, shares.warps * kWarp).scaleOf(total));
      }
      Value result = store(place.leading, place.column, sum, place.operands);
      if (!step)
        return;
      Value channel = channelOf(place.column);
      Value isChannel =
          both(arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, channel,
                                     loops.index(0)),
               loops.less(channel, loops.size(conv.getInput(), rank - 1)));
      loops.when(isChannel, [&] { step->finish(result); });
    });
}

TensorMatmul::Place TensorMatmul::placeOf(Value number, Value firstColumn,
                                          Value firstRow,
                                          const Shares &shares) {
  Place place;
  place.token = div(number, shares.columns());
  place.number = rem(number, shares.columns());
  place.column = loops.add(firstColumn, place.number);
  Value row = loops.add(firstRow, place.token);
  place.leading = leadingOf(least(row, loops.sub(rows, loops.index(1))));
  place.isThere =
      both(both(loops.less(row, rows), loops.less(place.column, columns)),
           loops.less(place.token, loops.index(shares.tokens)));
  return place;
}

void TensorMatmul::loadOperands(Place &place) {
  Value column = least(place.column, loops.sub(columns, loops.index(1)));
  place.operands = MatmulKernel::loadOperands(place.leading, column);
}

Value TensorMatmul::channelOf(Value column) {
  return loops.sub(
      column, loops.index(*firstColumnOf(conv.getInput(), op.getOutput())));
}

bool TensorMatmul::canConvolve() {
  Shares shares = shareDepth(kTokens);
  return shares.warps * kWarp >= shares.columns() * shares.tokens;
}

void TensorMatmul::prefetchScales(Value thread, int64_t threads) {
  for (auto [i, memref] : llvm::enumerate(norm.getEpilogueIns())) {
    Value operand = memref;
    AffineMap map = cast<AffineMapAttr>(norm.getEpilogueMaps()[i]).getValue();
    if (!isTable(operand) ||
        getNeighbours(operand, map, rank - 1, /*ofSlices=*/true) % depth)
      continue;
    int64_t bytes =
        cast<MemRefType>(operand.getType()).getElementTypeBitWidth() / 8;
    int64_t line = kLine / bytes, lines = llvm::divideCeil(depth, line);
    SmallVector<Value> point(rank, loops.index(0));
    for (int64_t done = 0; done < lines; done += threads) {
      Value number = loops.add(thread, loops.index(done));
      point.back() = loops.mul(number, loops.index(line));
      loops.when(loops.less(number, loops.index(lines)), [&] {
        prefetchLine(b, loc,
                     addressOf(b, loc, operand, loops.apply(map, point)),
                     CacheLevel::device);
      });
    }
  }
}

TensorMatmul::Shares TensorMatmul::shareDepth(int64_t tokens) {
  if (std::optional<Shares> ring = shareRing(tokens))
    return *ring;
  int64_t chunks = llvm::divideCeil(depth, kChunk);
  auto shareBy = [&](int64_t halves) {
    Shares shares;
    shares.halves = halves;
    shares.tokens = tokens;
    shares.blocks = llvm::divideCeil(panels, shares.columns());
    shares.warps = std::min(chunks, shares.blocks < kBusyBlocks ? kManyWarps : kWarps);
    int64_t share = llvm::divideCeil(chunks, shares.warps);
    shares.passes = llvm::divideCeil(share * halves, kAhead);
    shares.ahead = llvm::divideCeil(share, shares.passes);
    shares.isGuarded = shares.warps * shares.passes * shares.ahead * kChunk != depth;
    return shares;
  };
  Shares whole = shareBy(2);
  bool isHalved = (!norm || scalesSums()) && whole.passes > 1 &&
                  whole.blocks < kHalvedBlocks;
  return isHalved ? shareBy(1) : whole;
}

void TensorMatmul::emitFewForms(NormOp norm, ConvOp conv) {
  int64_t most = norm ? countNormed() : kTokens;
  auto emitMore = [&] {
    emitFew(norm, conv, most,
            arith::CeilDivUIOp::create(b, loc, rows, loops.index(most)));
  };
  auto emitOne = [&] {
    Value one = loops.index(1), all = std::exchange(rows, one);
    SmallVector<Value> sizes =
        std::exchange(leadingSizes, SmallVector<Value>(rank - 1, one));
    emitFew(norm, conv, 1, all);
    rows = all;
    leadingSizes = sizes;
  };
  choose(rows, 1, emitOne, emitMore);
}

SmallVector<MemRefType> TensorMatmul::buffersOf(NormOp norm, int64_t warps,
                                                const Shares &shares) {
  int64_t tokens = shares.tokens;
  // Tokens are four numbers further apart than they have, so that lanes meet different banks.
  SmallVector<MemRefType> buffers = {
      sharedType({warps, tokens, shares.columns() + 4}, type)};
  bool isScaled = norm && scalesSums();
  if (norm)
    buffers.push_back(isScaled ? sharedType({shares.warps, tokens}, type)
                               : sharedType({tokens, 2}, type));
  if (isScaled)
    buffers.push_back(stagedType(tokens, depth, element));
  return buffers;
}

SmallVector<Value> TensorMatmul::columnsOf(Value firstColumn, Lane lane,
                                           const Shares &shares) {
  Value last = loops.index(panels - 1);
  SmallVector<Value> mine;
  for (int64_t half = 0; half < shares.halves; ++half)
    mine.push_back(
        least(loops.add(firstColumn, madd(loops.index(half), 8, lane.row)), last));
  return mine;
}

Value TensorMatmul::depthOf(Value number, Value thread, const Shares &shares) {
  Value chunk = madd(number, shares.warps, div(thread, kWarp));
  return madd(chunk, kChunk, loops.mul(laneOf(thread).quarter, loops.index(kVector)));
}

SmallVector<Value> TensorMatmul::channelAt(ConvOp conv, const Place &place) {
  Value channel = loops.max(channelOf(place.column), loops.index(0));
  SmallVector<Value> indices = place.leading;
  indices.push_back(least(
      channel, loops.sub(loops.size(conv.getInput(), rank - 1), loops.index(1))));
  return indices;
}

std::function<mlir::Value(mlir::Value)>
TensorMatmul::readTokens(NormOp norm, gpu::LaunchOp launch, Value firstRow,
                         const Shares &shares) {
  Value thread = launch.getThreadIds().x, lane = laneOf(thread).row;
  bool isGuarded = shares.isGuarded;
  // Tokens that are not there are the last one: nobody stores what comes of them.
  Value row = least(loops.add(firstRow, lane), loops.sub(rows, loops.index(1)));
  SmallVector<Value> leading = leadingOf(row);
  if (!norm)
    return [=](Value k) { return round(loadToken(leading, k, isGuarded)); };
  NormRow normRow(norm, b, shares.warps * kWarp);
  Value figures = launch.getWorkgroupAttributions()[1];
  if (!scalesSums()) {
    measureRows(normRow, firstRow, thread, lane, figures, shares.tokens);
    return [=](Value k) mutable {
      return loadNormed(normRow, leading, k, isGuarded, nullptr);
    };
  }
  Value staged = launch.getWorkgroupAttributions()[2];
  stageTokens(normRow, firstRow, thread, staged, figures, shares);
  return [=](Value k) {
    return loadVector(
        staged,
        {loops.sub(row, firstRow),
         isGuarded ? least(k, loops.index(depth - kVector)) : k},
        cast<MemRefType>(staged.getType()));
  };
}

void TensorMatmul::emitFew(NormOp norm, ConvOp conv, int64_t tokens,
                           Value groups) {
  Shares shares = shareDepth(tokens);
  if (shares.stages > 0)
    return emitRing(norm, conv, shares, groups);
  int64_t warps = shares.warps, passes = shares.passes, ahead = shares.ahead;
  int64_t halves = shares.halves;
  OpBuilder::InsertionGuard inner(b);
  gpu::LaunchOp launch = startLaunch(loops.index(shares.blocks), groups, warps * kWarp,
                                     buffersOf(norm, warps, shares));
  Value thread = launch.getThreadIds().x;
  Value firstColumn = loops.mul(launch.getBlockIds().x, loops.index(shares.columns()));
  Value firstRow = loops.mul(launch.getBlockIds().y, loops.index(tokens));
  SmallVector<Value> mine = columnsOf(firstColumn, laneOf(thread), shares);

  auto depthAt = [&](Value pass, int64_t i) {
    return depthOf(madd(pass, ahead, loops.index(i)), thread, shares);
  };
  // Weights of a lane, by chunks.
  auto fetch = [&](Value pass, int64_t i) {
    return llvm::map_to_vector(mine, [&](Value column) {
      return loadWeight(column, depthAt(pass, i), shares.isGuarded);
    });
  };
  SmallVector<Value> weights;
  for (int64_t i = 0; i < ahead; ++i)
    llvm::append_range(weights, fetch(loops.index(0), i));
  if (norm)
    prefetchScales(thread, warps * kWarp);
  SmallVector<Place> places;
  for (int64_t done = 0; done < shares.columns() * tokens;
       done += warps * kWarp)
    places.push_back(placeOf(loops.add(thread, loops.index(done)), firstColumn,
                             firstRow, shares));
  std::optional<ConvStep> step;
  if (conv) {
    step.emplace(conv, b);
    step->loadTables(channelAt(conv, places.front()));
    step->prefetchHistory();
  }
  emitWait(b, loc);
  if (step)
    step->loadHistory();
  for (Place &place : places)
    loadOperands(place);
  std::function<Value(Value)> loadOperand = readTokens(norm, launch, firstRow, shares);
  SmallVector<Sums> chains(4, zeros());
  // With a pass after this one, each chunk's weights make room for that pass's.
  auto use = [&](Value pass, MutableArrayRef<Value> weights, bool hasNext) {
    SmallVector<Value> operands;
    for (int64_t i = 0; i < ahead; ++i)
      operands.push_back(loadOperand(depthAt(pass, i)));
    for (int64_t i = 0; i < ahead; ++i) {
      // Of 8 columns the second half of the sums is the first one's again.
      MutableArrayRef<Value> chunk = weights.slice(halves * i, halves);
      multiply(chunk.front(), chunk.back(), operands[i], chains[i % 2 * 2],
               chains[i % 2 * 2 + 1]);
      if (hasNext)
        llvm::copy(fetch(loops.add(pass, loops.index(1)), i), chunk.begin());
    }
  };
  auto flatten = [&](ArrayRef<Value> weights) {
    SmallVector<Value> values(weights);
    for (const Sums &chain : chains)
      llvm::append_range(values, chain);
    return values;
  };
  auto unflatten = [&](ValueRange values) {
    for (auto [i, chain] : llvm::enumerate(chains))
      chain = Sums(values.slice(halves * ahead + i * kSums, kSums));
    return SmallVector<Value>(values.take_front(halves * ahead));
  };
  if (passes > 1) {
    auto loop = scf::ForOp::create(b, loc, loops.index(0), loops.index(passes - 1),
                                   loops.index(1), flatten(weights));
    OpBuilder::InsertionGuard body(b);
    b.setInsertionPointToStart(loop.getBody());
    Value pass = loop.getInductionVar();
    SmallVector<Value> current = unflatten(loop.getRegionIterArgs());
    use(pass, current, /*hasNext=*/true);
    scf::YieldOp::create(b, loc, flatten(current));
    weights = unflatten(loop.getResults());
  }
  use(loops.index(passes - 1), weights, /*hasNext=*/false);
  addShares(chains, thread, launch.getWorkgroupAttributions()[0], loops.index(0),
            norm && scalesSums() ? Value(launch.getWorkgroupAttributions()[1]) : Value(),
            shares, places, step);
}
