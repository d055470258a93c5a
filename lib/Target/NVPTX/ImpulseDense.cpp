//===- ImpulseDense.cpp - Kernels of systems whose transition is a matrix -===//
//
// A block of threads has a system. A power of its matrix is in shared memory and is squared
// there; with A^n the states of n lags give the next n, and later rows of n blocks the next
// n. In the end every warp has its part of A^512, with which eight rows become the next
// eight, and the states of 16 lags, which are multiplied with them, in registers.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/ImpulseKernel.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

static constexpr int64_t kWarps = 4, kThreads = kWarps * kWarp;
/// Lags of a block, and tiles of them that a warp has.
static constexpr int64_t kBlockLags = 64, kOwnTiles = 2;
/// Numbers of a state: those of all warps are whole tiles.
static constexpr int64_t kRowUnit = 32, kMostRows = 64;
/// Numbers of f64 after a row of shared memory: lanes meet different banks.
static constexpr int64_t kPadding = 4;

namespace {
class DenseKernel : ImpulseKernel {
public:
  DenseKernel(OpBuilder &builder, ImpulseResponseOp op)
      : ImpulseKernel(builder, op), tiles(rows / kTile), ownTiles(tiles / kWarps) {}

  void emit(unsigned out);

private:
  void barrier() { gpu::BarrierOp::create(b, loops.loc); }
  Values loadPair(Value buffer, Value row, Value column);
  Values loadRows(Value first);
  void square();
  void advance(Value first, Value level, bool isTransposed);
  Value powerAt(int64_t step, Value column, bool isTransposed);
  Values multiplyByPower(const Values &left, Value firstTile, int64_t count,
                         bool isTransposed);
  SmallVector<Values> makeStates();

  int64_t tiles, ownTiles; ///< of a state; of a warp
  Value thread, warp;
  Value power; ///< [rows, rows]
  Value lines; ///< [16, rows]: eight rows, and the next; states of eight lags at first
};
} // namespace

DenseKernel::Values DenseKernel::loadPair(Value buffer, Value row, Value column) {
  Value pair = loadNeighbours(b, loops.loc, buffer, {row, column}, 2);
  return extractElements(b, loops.loc, pair);
}

/// A left operand: of eight lines from `first` on, all numbers, of which a step has those
/// that a lane has of sums.
DenseKernel::Values DenseKernel::loadRows(Value first) {
  Values numbers;
  for (int64_t tile = 0; tile < tiles; ++tile)
    llvm::append_range(numbers, loadPair(lines, loops.add(first, row),
                                         plus(times(quarter, 2), tile * kTile)));
  return numbers;
}

/// The right operand of step `step` of a product by the power, or by its transpose.
Value DenseKernel::powerAt(int64_t step, Value column, bool isTransposed) {
  Value k = plus(times(quarter, 2), step / 2 * kTile + step % 2);
  column = loops.add(column, row);
  return isTransposed ? loops.load(power, {column, k}) : loops.load(power, {k, column});
}

/// Of the product of eight rows by the power the sums of `count` tiles.
DenseKernel::Values DenseKernel::multiplyByPower(const Values &left, Value firstTile,
                                                 int64_t count, bool isTransposed) {
  Values result;
  for (int64_t tile = 0; tile < count; ++tile) {
    Values sums = zeros();
    Value column = times(plus(firstTile, tile), kTile);
    for (int64_t step = 0; step < 2 * tiles; ++step)
      multiply(left[step], powerAt(step, column, isTransposed), sums);
    llvm::append_range(result, sums);
  }
  return result;
}

/// With the power 2^level of what makes a line the next one, lines from 2^level on.
void DenseKernel::advance(Value first, Value level, bool isTransposed) {
  Value known = arith::ShLIOp::create(b, loops.loc, loops.index(1), level);
  Value firstTile = times(warp, ownTiles);
  Values sums = multiplyByPower(loadRows(first), firstTile, ownTiles, isTransposed);
  barrier();
  loops.when(loops.less(row, known), [&] {
    for (int64_t tile = 0; tile < ownTiles; ++tile)
      storeNeighbours(b, loops.loc, ValueRange(sums).slice(2 * tile, 2), lines,
                      {loops.add(first, loops.add(row, known)),
                       loops.add(times(plus(firstTile, tile), kTile), times(quarter, 2))});
  });
}

/// Each warp has a quarter of the matrix. Ends with all of it in place.
void DenseKernel::square() {
  int64_t side = tiles / 2;
  Value firstRow = loops.add(times(quotient(warp, 2), side * kTile), row);
  Value firstColumn = times(remainder(warp, 2), side * kTile);
  Value zero = loops.constant(b.getF64Type(), 0);
  Values sums = loops.reduce(
      loops.index(0), loops.index(rows / kQuads), Values(2 * side * side, zero),
      [&](Value step, ValueRange partial) {
        Value k = loops.add(times(step, kQuads), quarter);
        Values left, right, result;
        for (int64_t i = 0; i < side; ++i) {
          left.push_back(loops.load(power, {plus(firstRow, i * kTile), k}));
          right.push_back(loops.load(
              power, {k, loops.add(plus(firstColumn, i * kTile), row)}));
        }
        for (int64_t i = 0; i < side * side; ++i) {
          Values tile(partial.slice(2 * i, 2));
          multiply(left[i / side], right[i % side], tile);
          llvm::append_range(result, tile);
        }
        return result;
      });
  barrier();
  for (int64_t i = 0; i < side * side; ++i)
    storeNeighbours(b, loops.loc, ValueRange(sums).slice(2 * i, 2), power,
                    {plus(firstRow, i / side * kTile),
                     loops.add(plus(firstColumn, i % side * kTile), times(quarter, 2))});
  barrier();
}

/// The states of the warp's lags, of which the first line has b: right operands, of whose
/// columns a lane has one. Leaves the power of a block.
SmallVector<DenseKernel::Values> DenseKernel::makeStates() {
  int64_t level = llvm::Log2_64(kTile);
  loops.repeat(loops.index(level), [&](Value i) {
    advance(loops.index(0), i, /*isTransposed=*/true);
    square();
  });
  // Of tile i all numbers whose bit in i is set.
  SmallVector<Values> states(kOwnTiles, loadRows(loops.index(0)));
  Value zero = loops.index(0);
  states[1] = multiplyByPower(states[0], zero, tiles, /*isTransposed=*/true);
  square();
  for (int64_t bit = 0; bit < llvm::Log2_64(kWarps); ++bit) {
    Value isSet = arith::CmpIOp::create(
        b, loops.loc, arith::CmpIPredicate::ne,
        arith::AndIOp::create(b, loops.loc, warp, loops.index(1 << bit)), zero);
    for (Values &state : states) {
      auto branch = scf::IfOp::create(
          b, loops.loc, isSet,
          [&](OpBuilder &, Location) {
            scf::YieldOp::create(
                b, loops.loc, multiplyByPower(state, zero, tiles, /*isTransposed=*/true));
          },
          [&](OpBuilder &, Location) { scf::YieldOp::create(b, loops.loc, state); });
      state = Values(branch.getResults());
    }
    square();
  }
  return states;
}

void DenseKernel::emit(unsigned out) {
  OpBuilder::InsertionGuard guard(b);
  Type f64 = b.getF64Type();
  int64_t pitch = rows + kPadding;
  gpu::LaunchOp launch =
      startLaunch(b, loops.loc, loops.index(outer * lanes), loops.index(reads), kThreads,
                  {sharedType({rows, pitch}, f64), sharedType({2 * kTile, pitch}, f64)});
  power = launch.getWorkgroupAttributions()[0];
  lines = launch.getWorkgroupAttributions()[1];
  thread = launch.getThreadIds().x;
  warp = quotient(thread, kWarp);
  lane = remainder(thread, kWarp);
  row = quotient(lane, kQuads);
  quarter = remainder(lane, kQuads);
  Value block = launch.getBlockIds().x, which = launch.getBlockIds().y;
  System system = systemOf(quotient(block, lanes), remainder(block, lanes));
  Value zero = loops.index(0);

  for (int64_t first = 0; first < rows * rows; first += kThreads) {
    Value number = plus(thread, first);
    Value i = quotient(number, rows), k = remainder(number, rows);
    loops.store(loops.load(op.getTransition(), {system.outer, system.tile, i, k, system.lane}),
                power, {i, k});
  }
  // What lines have beyond those known is multiplied, too, and then forgotten.
  Value isFirst = loops.less(thread, loops.index(rows));
  loops.when(isFirst, [&] { loops.store(loadInput(system, thread), lines, {zero, thread}); });
  barrier();
  SmallVector<Values> states = makeStates();

  loops.when(isFirst, [&] {
    loops.store(loadRead(system, out, which, thread), lines, {zero, thread});
  });
  barrier();
  loops.repeat(loops.index(llvm::Log2_64(kTile)), [&](Value i) {
    advance(zero, i, /*isTransposed=*/false);
    square();
  });
  Value firstTile = times(warp, ownTiles);
  SmallVector<Values> step(ownTiles);
  for (int64_t tile = 0; tile < ownTiles; ++tile)
    for (int64_t k = 0; k < 2 * tiles; ++k)
      step[tile].push_back(
          powerAt(k, times(plus(firstTile, tile), kTile), /*isTransposed=*/false));

  constexpr int64_t kGroupLags = kBlockLags * kTile;
  loops.repeat(ceilQuotient(numLags, kGroupLags), [&](Value group) {
    Value now = times(remainder(group, 2), kTile);
    Value next = loops.sub(loops.index(kTile), now);
    Values left = loadRows(now);
    for (int64_t tile = 0; tile < ownTiles; ++tile) {
      Values sums = zeros();
      for (auto [l, r] : llvm::zip_equal(left, step[tile]))
        multiply(l, r, sums);
      storeNeighbours(b, loops.loc, sums, lines,
                      {loops.add(next, row), loops.add(times(plus(firstTile, tile), kTile),
                                                       times(quarter, 2))});
    }
    Value firstLag = loops.add(times(group, kGroupLags), times(row, kBlockLags));
    for (int64_t tile = 0; tile < kOwnTiles; ++tile) {
      Values sums = zeros();
      for (auto [l, r] : llvm::zip_equal(left, states[tile]))
        multiply(l, r, sums);
      Value lag = loops.add(plus(times(warp, kOwnTiles * kTile), tile * kTile),
                            times(quarter, 2));
      for (auto [i, sum] : llvm::enumerate(sums))
        storeTap(sum, out, loops.add(firstLag, plus(lag, i)), system, which);
    }
    barrier();
  });
}

bool nvptx::fitsDense(ImpulseResponseOp op) {
  return op.getRows() % kRowUnit == 0 && op.getRows() <= kMostRows;
}

void nvptx::emitDense(OpBuilder &builder, ImpulseResponseOp op) {
  DenseKernel kernel(builder, op);
  for (unsigned out = 0; out < op.getOuts().size(); ++out)
    kernel.emit(out);
}
