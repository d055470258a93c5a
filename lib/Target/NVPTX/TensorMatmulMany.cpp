//===- TensorMatmulMany.cpp - Products of many tokens ---------------------===//
//
// A block has a tile of columns by tokens: it stages chunks of both operands in shared memory
// and fetches further ones while it multiplies. Eight rows of a chunk are 512 bytes, which a
// warp reads without meeting a bank twice.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/TensorMatmul.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

void TensorMatmul::emitTiles(int64_t warpTile) {
  int64_t tile = warpTile * kAcross, threads = kAcross * kAcross * kWarp;
  int64_t pieces = tile * 4 / threads; // of 8 numbers, that a thread moves of each operand
  int64_t chunks = llvm::divideCeil(depth, kChunk);
  int64_t fragments = warpTile / kColumns, groups = warpTile / kTokens;
  bool isGuarded = depth % kChunk != 0;
  auto stageType = sharedType({2, tile, kChunk}, element);
  auto sumsType = sharedType({kAcross, kTokens, tile + 4}, type);
  Value rowTiles = arith::CeilDivUIOp::create(b, loc, rows, loops.index(tile));
  OpBuilder::InsertionGuard inner(b);
  gpu::LaunchOp launch = startLaunch(rowTiles, loops.index(llvm::divideCeil(panels, tile)),
                                     threads, {stageType, stageType, sumsType});
  Value left = launch.getWorkgroupAttributions()[0],
        right = launch.getWorkgroupAttributions()[1],
        finished = launch.getWorkgroupAttributions()[2];
  Value thread = launch.getThreadIds().x;
  Value firstColumn = loops.mul(launch.getBlockIds().y, loops.index(tile));
  Value firstRow = loops.mul(launch.getBlockIds().x, loops.index(tile));
  Value lastRow = loops.sub(rows, loops.index(1)), lastColumn = loops.index(panels - 1);

  // What the thread moves.
  Value part = loops.mul(rem(thread, 4), loops.index(kVector));
  SmallVector<Value> places, fetchedColumns;
  SmallVector<SmallVector<Value>> fetchedRows;
  for (int64_t i = 0; i < pieces; ++i) {
    places.push_back(loops.add(div(thread, 4), loops.index(i * threads / 4)));
    fetchedColumns.push_back(least(loops.add(firstColumn, places[i]), lastColumn));
    fetchedRows.push_back(leadingOf(least(loops.add(firstRow, places[i]), lastRow)));
  }
  auto fetch = [&](Value chunk) {
    Value k = madd(chunk, kChunk, part);
    SmallVector<Value> values;
    for (Value column : fetchedColumns)
      values.push_back(loadWeight(column, k, isGuarded));
    for (ArrayRef<Value> leading : fetchedRows)
      values.push_back(loadToken(leading, k, isGuarded));
    return values;
  };
  auto put = [&](ArrayRef<Value> values, Value stage) {
    for (auto [i, value] : llvm::enumerate(values))
      vector::StoreOp::create(b, loc, round(value), int64_t(i) < pieces ? left : right,
                              ValueRange{stage, places[i % pieces], part},
                              /*nontemporal=*/false, llvm::MaybeAlign(kVectorBytes));
  };

  Lane lane = laneOf(thread);
  Value warp = div(thread, kWarp);
  Value warpColumn = rem(warp, kAcross), warpRow = div(warp, kAcross);
  Value leftRow = madd(warpColumn, warpTile, lane.row);
  Value rightRow = madd(warpRow, warpTile, lane.row);
  Value quarter = loops.mul(lane.quarter, loops.index(kVector));
  auto read = [&](Value buffer, Value stage, Value row, int64_t further) {
    return loadVector(buffer, {stage, loops.add(row, loops.index(further)), quarter},
                      stageType);
  };
  auto stageOf = [&](Value chunk) { return rem(chunk, 2); };
  // Chunks after the last are the last again: nobody uses them.
  auto fetchAt = [&](Value chunk) { return fetch(least(chunk, loops.index(chunks - 1))); };
  int64_t numSums = fragments * groups * kSums;
  SmallVector<Value> init(numSums, loops.constant(type, 0.0));
  put(fetch(loops.index(0)), loops.index(0));
  // Small tiles have the registers for the chunk after the next, too.
  bool isFarAhead = warpTile == kSmall;
  if (isFarAhead)
    llvm::append_range(init, fetchAt(loops.index(1)));
  barrier();
  auto loop = scf::ForOp::create(b, loc, loops.index(0), loops.index(chunks), loops.index(1),
                                 init);
  {
    OpBuilder::InsertionGuard body(b);
    b.setInsertionPointToStart(loop.getBody());
    Value chunk = loop.getInductionVar(), stage = stageOf(chunk);
    Value next = loops.add(chunk, loops.index(1));
    ValueRange carried = loop.getRegionIterArgs();
    SmallVector<Value> ahead =
        fetchAt(isFarAhead ? loops.add(chunk, loops.index(2)) : next);
    SmallVector<SmallVector<Value>> low, high;
    for (int64_t m = 0; m < fragments; ++m) {
      low.push_back(registersOf(read(left, stage, leftRow, m * kColumns)));
      high.push_back(registersOf(read(left, stage, leftRow, m * kColumns + 8)));
    }
    SmallVector<Value> sums(carried.take_front(numSums));
    for (int64_t n = 0; n < groups; ++n) {
      SmallVector<Value> token = registersOf(read(right, stage, rightRow, n * kTokens));
      for (int64_t half = 0; half < 4; half += 2)
        for (int64_t m = 0; m < fragments; ++m)
          multiply({low[m][half], high[m][half], low[m][half + 1], high[m][half + 1]},
                   {token[half], token[half + 1]},
                   MutableArrayRef(sums).slice((n * fragments + m) * kSums, kSums));
    }
    put(isFarAhead ? SmallVector<Value>(carried.drop_front(numSums)) : ahead, stageOf(next));
    barrier();
    if (isFarAhead)
      llvm::append_range(sums, ahead);
    scf::YieldOp::create(b, loc, sums);
  }

  // Through shared memory, 8 tokens of each row of warps at a time: neighbouring threads
  // store neighbouring columns.
  for (int64_t n = 0; n < groups; ++n) {
    if (n > 0)
      barrier();
    for (int64_t m = 0; m < fragments; ++m)
      for (int64_t i = 0; i < kSums; ++i)
        loops.store(loop.getResult((n * fragments + m) * kSums + i), finished,
                    {warpRow, madd(lane.quarter, 2, loops.index(i % 2)),
                     loops.add(leftRow, loops.index(m * kColumns + i / 2 * 8))});
    barrier();
    int64_t mine = kAcross * kTokens / (kAcross * kAcross);
    loops.repeat(loops.index(mine), [&](Value i) {
      Value number = madd(warp, mine, i);
      Value half = div(number, kTokens), token = rem(number, kTokens);
      Value row = loops.add(firstRow,
                            madd(half, warpTile, loops.add(token, loops.index(n * kTokens))));
      when(loops.less(row, rows), [&] {
        SmallVector<Value> leading = leadingOf(row);
        loops.repeat(loops.index(tile / kWarp), [&](Value j) {
          Value place = madd(j, kWarp, rem(thread, kWarp));
          Value column = loops.add(firstColumn, place);
          when(loops.less(column, columns), [&] {
            store(leading, column, loops.load(finished, {half, token, place}));
          });
        });
      });
    });
  }
}

void TensorMatmul::emitMany() {
  auto emitMost = [&] {
    // A ragged depth takes registers that large tiles do not have.
    if (depth % kChunk != 0)
      return emitTiles(kSmall);
    int64_t large = kLarge * kAcross;
    Value tiles = arith::CeilDivUIOp::create(b, loc, rows, loops.index(large));
    choose(loops.mul(tiles, loops.index(llvm::divideCeil(panels, large))), kBusyTiles,
           [&] { emitTiles(kSmall); }, [&] { emitTiles(kLarge); });
  };
  choose(rows, kFew, [&] { emitFew(NormOp()); }, emitMost);
}
