//===- TensorMatmulFew.cpp - Products of few tokens -----------------------===//
//
// The weights are what counts: a block has 16 columns, or 8 where blocks are few; its warps
// share the depth, and weights go from memory to registers; they are asked for before the
// kernel waits for those before it. A norm of the tokens is computed by every block of 16
// columns anew, which is less than another kernel.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Overlap.h"
#include "Target/NVPTX/TensorMatmul.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

/// Warps of a block, and where blocks are too few to keep a device busy; weights of a lane
/// that are in flight.
static constexpr int64_t kWarps = 8, kManyWarps = 16, kBusyBlocks = 128, kAhead = 12;
/// Below so many blocks of 16 columns there are those of 8 if all weights of a lane are not in
/// flight at once: twice as many leave less of a device without work. Half of the
/// instruction's sums, which nobody waits for, are unused.
static constexpr int64_t kHalvedBlocks = 4 * kBusyBlocks;

/// Every block computes the norm: that pays where each runs once, all at a time.
bool TensorMatmul::canNorm() {
  Shares shares = shareDepth();
  return !shares.isGuarded && shares.passes == 1 && shares.blocks <= 2 * kBusyBlocks &&
         NormRow(norm, b, shares.warps * kWarp).fits();
}

void TensorMatmul::measureRows(NormRow &row, Value firstRow, Value thread, Value lane,
                               Value figures) {
  Value count = least(loops.sub(rows, firstRow), loops.index(kTokens));
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
                             Value firstColumn, Value firstRow, const Shares &shares) {
  Lane lane = laneOf(thread);
  Value warp = div(thread, kWarp);
  for (int64_t i = 0; i < 2 * shares.halves; ++i) {
    Value sum = chains[0][i];
    for (const Sums &chain : chains.drop_front())
      sum = loops.add(sum, chain[i]);
    loops.store(sum, partial,
                {warp, madd(lane.quarter, 2, loops.index(i % 2)),
                 loops.add(lane.row, loops.index(i / 2 * 8))});
  }
  barrier();
  int64_t threads = shares.warps * kWarp, width = shares.columns();
  for (int64_t done = 0; done < width * kTokens; done += threads) {
    Value number = loops.add(thread, loops.index(done));
    Value token = div(number, width), place = rem(number, width);
    Value row = loops.add(firstRow, token), column = loops.add(firstColumn, place);
    Value isThere = both(loops.less(row, rows), loops.less(column, columns));
    loops.when(both(isThere, loops.less(token, loops.index(kTokens))), [&] {
      Value sum;
      for (int64_t w = 0; w < shares.warps; ++w) {
        Value value = loops.load(partial, {loops.index(w), token, place});
        sum = sum ? loops.add(sum, value) : value;
      }
      store(leadingOf(row), column, sum);
    });
  }
}

TensorMatmul::Shares TensorMatmul::shareDepth() {
  int64_t chunks = llvm::divideCeil(depth, kChunk);
  auto shareBy = [&](int64_t halves) {
    Shares shares;
    shares.halves = halves;
    shares.blocks = llvm::divideCeil(panels, shares.columns());
    shares.warps = std::min(chunks, shares.blocks < kBusyBlocks ? kManyWarps : kWarps);
    int64_t share = llvm::divideCeil(chunks, shares.warps);
    shares.passes = llvm::divideCeil(share * halves, kAhead);
    shares.ahead = llvm::divideCeil(share, shares.passes);
    shares.isGuarded = shares.warps * shares.passes * shares.ahead * kChunk != depth;
    return shares;
  };
  Shares whole = shareBy(2);
  bool isHalved = !norm && whole.passes > 1 && whole.blocks < kHalvedBlocks;
  return isHalved ? shareBy(1) : whole;
}

void TensorMatmul::emitFew(NormOp norm) {
  Shares shares = shareDepth();
  int64_t warps = shares.warps, passes = shares.passes, ahead = shares.ahead;
  int64_t halves = shares.halves;
  bool isGuarded = shares.isGuarded;
  Value groups = arith::CeilDivUIOp::create(b, loc, rows, loops.index(kTokens));
  OpBuilder::InsertionGuard inner(b);
  // Tokens are four numbers further apart than they have, so that lanes meet different banks.
  SmallVector<MemRefType> buffers = {sharedType({warps, kTokens, shares.columns() + 4}, type)};
  if (norm)
    buffers.push_back(sharedType({kTokens, 2}, type));
  gpu::LaunchOp launch =
      startLaunch(loops.index(shares.blocks), groups, warps * kWarp, buffers);
  Value thread = launch.getThreadIds().x, warp = div(thread, kWarp);
  Lane lane = laneOf(thread);
  Value firstColumn = loops.mul(launch.getBlockIds().x, loops.index(shares.columns()));
  Value firstRow = loops.mul(launch.getBlockIds().y, loops.index(kTokens));
  Value last = loops.index(panels - 1);
  SmallVector<Value> mine;
  for (int64_t half = 0; half < halves; ++half)
    mine.push_back(least(loops.add(firstColumn, madd(loops.index(half), 8, lane.row)), last));

  auto depthAt = [&](Value pass, int64_t i) {
    Value chunk = madd(madd(pass, ahead, loops.index(i)), warps, warp);
    return madd(chunk, kChunk, loops.mul(lane.quarter, loops.index(kVector)));
  };
  auto fetch = [&](Value pass) {
    SmallVector<Value> weights;
    for (int64_t i = 0; i < ahead; ++i)
      for (Value column : mine)
        weights.push_back(loadWeight(column, depthAt(pass, i), isGuarded));
    return weights;
  };
  SmallVector<Value> weights = fetch(loops.index(0));
  emitWait(b, loc);
  // Tokens that are not there are the last one: nobody stores what comes of them.
  Value row = least(loops.add(firstRow, lane.row), loops.sub(rows, loops.index(1)));
  SmallVector<Value> leading = leadingOf(row);
  std::optional<NormRow> normRow;
  if (norm) {
    normRow.emplace(norm, b, warps * kWarp);
    measureRows(*normRow, firstRow, thread, lane.row, launch.getWorkgroupAttributions()[1]);
  }
  SmallVector<Sums> chains(4, zeros());
  auto use = [&](Value pass, ValueRange weights) {
    SmallVector<Value> tokens;
    for (int64_t i = 0; i < ahead; ++i)
      tokens.push_back(normRow ? loadNormed(*normRow, leading, depthAt(pass, i))
                               : round(loadToken(leading, depthAt(pass, i), isGuarded)));
    // Of 8 columns the second half of the sums is the first one's again.
    for (int64_t i = 0; i < ahead; ++i)
      multiply(weights[halves * i], weights[halves * i + halves - 1], tokens[i],
               chains[i % 2 * 2], chains[i % 2 * 2 + 1]);
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
    SmallVector<Value> next = fetch(loops.add(pass, loops.index(1)));
    use(pass, current);
    scf::YieldOp::create(b, loc, flatten(next));
    weights = unflatten(loop.getResults());
  }
  use(loops.index(passes - 1), weights);
  addShares(chains, thread, launch.getWorkgroupAttributions()[0], firstColumn, firstRow, shares);
}
