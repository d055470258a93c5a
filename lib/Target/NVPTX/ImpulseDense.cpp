//===- ImpulseDense.cpp - Kernels of systems whose transition is a matrix -===//
//
// A block of threads has a system. A power of its matrix is in shared memory and is
// squared there; with A^n the states of n lags give the next n, and later rows of n
// blocks the next n. In the end every warp has its part of A^512, with which eight rows
// become the next eight, and the states of 16 lags, which are multiplied with them, in
// registers.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/DoubleProducts.h"
#include "Target/NVPTX/ImpulseKernel.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

static constexpr int64_t kWarps = 4, kThreads = kWarps * kWarp;
/// Lags of a block, and tiles of them, or of columns, that a warp has.
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
  /// A tile of the warp's columns; where it has one alone that is all of them.
  Value ownTile(int64_t i) {
    return plus(times(warp, ownTiles), std::min(i, ownTiles - 1));
  }
  void barrier() { gpu::BarrierOp::create(b, loops.loc); }
  Values loadRows(Value first);
  void square();
  Values loadColumn(Value column, bool isTransposed);
  SmallVector<Values> loadOwnColumns(bool isTransposed);
  void multiplyLines(ArrayRef<Values> columns, const Values &line, Value to, Value known);
  void advance(Value level, bool isTransposed);
  std::array<Values, 2> multiplyRows(const Values &low, const Values &high);
  SmallVector<Values> makeStates();

  int64_t tiles, ownTiles; ///< of a state; of a warp
  Value thread, warp;
  Value power; ///< [rows, rows]
  Value lines; ///< [16, rows]: eight rows, and the next; states of eight lags at first
};
} // namespace

/// Of eight lines from `first` on the lane's numbers, step by step.
DenseKernel::Values DenseKernel::loadRows(Value first) {
  Values numbers;
  for (int64_t step = 0; step < 2 * tiles; ++step)
    numbers.push_back(
        loops.load(lines, {loops.add(first, row), plus(quarter, step * kQuads)}));
  return numbers;
}

/// Of a column of the power, or of its transpose, the lane's numbers, step by step.
DenseKernel::Values DenseKernel::loadColumn(Value column, bool isTransposed) {
  Values numbers;
  for (int64_t step = 0; step < 2 * tiles; ++step) {
    Value k = plus(quarter, step * kQuads);
    numbers.push_back(isTransposed ? loops.load(power, {column, k})
                                   : loops.load(power, {k, column}));
  }
  return numbers;
}

/// The power's columns of the warp's tiles.
SmallVector<DenseKernel::Values> DenseKernel::loadOwnColumns(bool isTransposed) {
  SmallVector<Values> columns;
  for (int64_t tile = 0; tile < kOwnTiles; ++tile)
    columns.push_back(
        loadColumn(loops.add(times(ownTile(tile), kTile), row), isTransposed));
  return columns;
}

/// The warp's part of the eight lines from `first` on times the power, to those from `to`
/// on; of the first `known` alone, where there is a number.
void DenseKernel::multiplyLines(ArrayRef<Values> columns, const Values &line, Value to,
                                Value known) {
  Values sums = multiply(columns[0], columns[1], line);
  if (known)
    barrier();
  for (int64_t i = 0; i < 2 * ownTiles; ++i) {
    Value number = plus(times(quarter, 2), i % 2);
    auto store = [&] {
      loops.store(sums[i], lines,
                  {loops.add(to, number), loops.add(times(ownTile(i / 2), kTile), row)});
    };
    known ? loops.when(loops.less(number, known), store) : store();
  }
}

/// With the power 2^level of what makes a line the next one, lines from 2^level on.
void DenseKernel::advance(Value level, bool isTransposed) {
  Value known = arith::ShLIOp::create(b, loops.loc, loops.index(1), level);
  multiplyLines(loadOwnColumns(isTransposed), loadRows(loops.index(0)), known, known);
}

/// Two times eight rows times the power's transpose. Columns of a tile are taken in such
/// an order that a lane's sums are its numbers of two steps of the next product.
std::array<DenseKernel::Values, 2> DenseKernel::multiplyRows(const Values &low,
                                                             const Values &high) {
  std::array<Values, 2> result;
  Value inTile = loops.add(quotient(row, 2), times(remainder(row, 2), kQuads));
  for (int64_t tile = 0; tile < tiles; ++tile) {
    Values sums = multiply(low, high,
                           loadColumn(plus(inTile, tile * kTile), /*isTransposed=*/true));
    for (int64_t half = 0; half < 2; ++half)
      result[half].append(sums.begin() + 2 * half, sums.begin() + 2 * half + 2);
  }
  return result;
}

/// Each warp has a quarter of the matrix. Ends with all of it in place.
void DenseKernel::square() {
  int64_t side = tiles / 2;
  Value firstRow = loops.add(times(quotient(warp, 2), side * kTile), row);
  Value firstColumn = times(remainder(warp, 2), side * kTile);
  Value zero = loops.constant(b.getF64Type(), 0);
  constexpr int64_t kDepth = kQuads * kProductSteps;
  Values sums = loops.reduce(
      loops.index(0), loops.index(rows / kDepth), Values(2 * side * side, zero),
      [&](Value chunk, ValueRange partial) {
        SmallVector<Values> left(side), right(side);
        for (int64_t step = 0; step < kProductSteps; ++step) {
          Value k = loops.add(plus(times(chunk, kDepth), step * kQuads), quarter);
          for (int64_t i = 0; i < side; ++i) {
            left[i].push_back(loops.load(power, {plus(firstRow, i * kTile), k}));
            right[i].push_back(
                loops.load(power, {k, loops.add(plus(firstColumn, i * kTile), row)}));
          }
        }
        Values result;
        for (int64_t i = 0; i < side; i += 2)
          for (int64_t j = 0; j < side; ++j) {
            Values tile(partial.slice(result.size(), 4));
            multiplyAdd(left[i], left[i + 1], right[j], tile);
            llvm::append_range(result, tile);
          }
        return result;
      });
  barrier();
  for (auto [i, sum] : llvm::enumerate(ValueRange(sums))) {
    // Pairs of rows of tiles, columns of them, rows of the pair, and two neighbours.
    int64_t pair = i / (4 * side), column = i / 4 % side, half = i / 2 % 2;
    if (i % 2 == 0)
      storeNeighbours(b, loops.loc, ValueRange(sums).slice(i, 2), power,
                      {plus(firstRow, (2 * pair + half) * kTile),
                       loops.add(plus(firstColumn, column * kTile), times(quarter, 2))});
  }
  barrier();
}

/// The states of the warp's lags, of which the first line has b: right operands, of whose
/// columns a lane has one. Leaves the power of a block.
SmallVector<DenseKernel::Values> DenseKernel::makeStates() {
  loops.repeat(loops.index(llvm::Log2_64(kTile)), [&](Value level) {
    advance(level, /*isTransposed=*/true);
    square();
  });
  // Of tile i all numbers whose bit in i is set.
  Values first = loadRows(loops.index(0));
  SmallVector<Values> states = {first, multiplyRows(first, first)[1]};
  square();
  for (int64_t bit = 0; bit < llvm::Log2_64(kWarps); ++bit) {
    Value isSet = arith::CmpIOp::create(
        b, loops.loc, arith::CmpIPredicate::ne,
        arith::AndIOp::create(b, loops.loc, warp, loops.index(1 << bit)), loops.index(0));
    auto flatten = [](ArrayRef<Values> all) {
      Values values(all[0]);
      llvm::append_range(values, all[1]);
      return values;
    };
    auto branch = scf::IfOp::create(
        b, loops.loc, isSet,
        [&](OpBuilder &, Location) {
          scf::YieldOp::create(b, loops.loc, flatten(multiplyRows(states[0], states[1])));
        },
        [&](OpBuilder &, Location) {
          scf::YieldOp::create(b, loops.loc, flatten(states));
        });
    for (auto [half, state] : llvm::enumerate(states))
      state = Values(branch.getResults().slice(half * 2 * tiles, 2 * tiles));
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
    loops.store(
        loops.load(op.getTransition(), {system.outer, system.tile, i, k, system.lane}),
        power, {i, k});
  }
  // What lines have beyond those known is multiplied, too, and then forgotten.
  Value isFirst = loops.less(thread, loops.index(rows));
  loops.when(isFirst, [&] {
    loops.store(loadInput(system, thread), lines, {zero, thread});
  });
  barrier();
  SmallVector<Values> states = makeStates();

  loops.when(isFirst, [&] {
    loops.store(loadRead(system, out, which, thread), lines, {zero, thread});
  });
  barrier();
  loops.repeat(loops.index(llvm::Log2_64(kTile)), [&](Value level) {
    advance(level, /*isTransposed=*/false);
    square();
  });
  SmallVector<Values> columns = loadOwnColumns(/*isTransposed=*/false);

  constexpr int64_t kGroupLags = kBlockLags * kTile;
  Value ownLag = loops.add(times(warp, kOwnTiles * kTile), row);
  loops.repeat(ceilQuotient(numLags, kGroupLags), [&](Value group) {
    Value now = times(remainder(group, 2), kTile);
    Values line = loadRows(now);
    multiplyLines(columns, line, loops.sub(loops.index(kTile), now), Value());
    Values sums = multiply(states[0], states[1], line);
    for (auto [i, sum] : llvm::enumerate(sums)) {
      Value block = loops.add(times(group, kTile), plus(times(quarter, 2), i % 2));
      Value lag = loops.add(times(block, kBlockLags), plus(ownLag, i / 2 * kTile));
      loops.when(loops.less(lag, numLags),
                 [&, sum = sum] { storeTap(sum, out, lag, system, which); });
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
