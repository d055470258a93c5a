//===- ImpulseDiagonal.cpp - Kernels of systems with a diagonal transition ===//
//
// A warp has a system. Its lanes have the states of one block of lags as the left side of
// all products, and rows of eight blocks as the right one; those of the next eight follow
// from them by one multiplication. Eight systems that are neighbours in memory share a
// block of threads, and what they computed goes to memory together.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/ImpulseKernel.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

/// Systems of a block, one a warp.
static constexpr int64_t kSystems = 8, kThreads = kSystems * kWarp;
/// Numbers of states that stay in a lane's registers, those of one lag among them, and
/// the tiles of eight lags that are enough.
static constexpr int64_t kHeldProducts = 64, kMostSteps = 24, kMostTiles = 4;
/// Blocks of threads that keep a device busy: where systems are fewer, they share lags.
static constexpr int64_t kBusyBlocks = 128;
/// Bits of an index that is looked at.
static constexpr int64_t kIndexBits = 48;
/// Elements beside each other that a thread stores.
static constexpr int64_t kStored = 4;

namespace {
class DiagonalKernel : ImpulseKernel {
public:
  DiagonalKernel(OpBuilder &builder, ImpulseResponseOp op)
      : ImpulseKernel(builder, op), parts(op.getParts()), keys(rows / parts),
        ownKeys(llvm::divideCeil(keys, kQuads)), steps(ownKeys * parts),
        tiles(std::min<int64_t>(kMostTiles,
                                llvm::bit_floor(uint64_t(kHeldProducts / steps)))),
        blockLags(tiles * kTile), groupLags(blockLags * kTile),
        rowPitch(blockLags + kStored), pitch(kTile * rowPitch + kStored) {}

  void emit(unsigned out);

private:
  /// Numbers of the thread's keys, part by part.
  using Numbers = SmallVector<Values>;

  Numbers load(llvm::function_ref<Value(Value, int64_t)> body);
  Numbers multiply(const Numbers &left, const Numbers &right);
  Numbers readProduct(const Numbers &rows, const Numbers &factors);
  Numbers power(const Numbers &base, Value exponent, Value bits);
  Numbers squared(Numbers number, int64_t times);
  Values flatten(const Numbers &numbers);
  Numbers unflatten(ValueRange values);
  Value countBits(Value value);
  void computeGroup(const Numbers &blocks, Value buffer, Value warp, Value half);
  void storeGroup(unsigned out, Value buffer, Value half, Value group,
                  const System &first, Value which, Value thread);

  int64_t parts, keys;
  int64_t ownKeys, steps; ///< of a thread; of a product over all keys
  int64_t tiles;          ///< of eight lags in a block
  int64_t blockLags, groupLags;
  /// Elements from the lags of a block to the next, and from a system's to the next, in
  /// shared memory: lanes meet different banks.
  int64_t rowPitch, pitch;
  SmallVector<Numbers> states; ///< by tile
};
} // namespace

/// Numbers of a state that are not there are zero.
DiagonalKernel::Numbers
DiagonalKernel::load(llvm::function_ref<Value(Value, int64_t)> body) {
  Numbers numbers;
  for (int64_t i = 0; i < ownKeys; ++i) {
    Value key = plus(quarter, i * kQuads);
    bool isWhole = (i + 1) * kQuads <= keys;
    Value isThere = isWhole ? Value() : loops.less(key, loops.index(keys));
    if (!isWhole)
      key = min(key, loops.index(keys - 1));
    Values &number = numbers.emplace_back();
    for (int64_t part = 0; part < parts; ++part) {
      Value value = body(key, part);
      number.push_back(
          isWhole ? value
                  : loops.select(isThere, value, loops.constant(value.getType(), 0)));
    }
  }
  return numbers;
}

DiagonalKernel::Numbers DiagonalKernel::multiply(const Numbers &left,
                                                 const Numbers &right) {
  Numbers result;
  for (auto [l, r] : llvm::zip_equal(left, right))
    result.push_back(loops.mulNumbers(l, r));
  return result;
}

/// Rows that read a number `x`, as rows that read `factor x`.
DiagonalKernel::Numbers DiagonalKernel::readProduct(const Numbers &rows,
                                                    const Numbers &factors) {
  Numbers result;
  for (auto [row, factor] : llvm::zip_equal(rows, factors)) {
    if (parts == 1)
      result.push_back({loops.mul(row[0], factor[0])});
    else
      result.push_back(
          {loops.add(loops.mul(row[0], factor[0]), loops.mul(row[1], factor[1])),
           loops.sub(loops.mul(row[1], factor[0]), loops.mul(row[0], factor[1]))});
  }
  return result;
}

DiagonalKernel::Numbers DiagonalKernel::squared(Numbers number, int64_t times) {
  for (int64_t i = 0; i < times; ++i)
    number = multiply(number, number);
  return number;
}

DiagonalKernel::Values DiagonalKernel::flatten(const Numbers &numbers) {
  Values values;
  for (const Values &number : numbers)
    llvm::append_range(values, number);
  return values;
}

DiagonalKernel::Numbers DiagonalKernel::unflatten(ValueRange values) {
  Numbers numbers;
  for (int64_t i = 0; i < ownKeys; ++i)
    numbers.emplace_back(values.slice(i * parts, parts));
  return numbers;
}

/// `base` to the power `exponent`, which is below 2^bits.
DiagonalKernel::Numbers DiagonalKernel::power(const Numbers &base, Value exponent,
                                              Value bits) {
  Type f64 = b.getF64Type();
  Values init;
  for (int64_t i = 0; i < ownKeys * parts; ++i)
    init.push_back(loops.constant(f64, i % parts == 0 ? 1 : 0));
  llvm::append_range(init, flatten(base));
  int64_t count = ownKeys * parts;
  Values results =
      loops.reduce(loops.index(0), bits, init, [&](Value bit, ValueRange values) {
        Numbers result = unflatten(values.take_front(count));
        Numbers square = unflatten(values.drop_front(count));
        Value rest = arith::ShRUIOp::create(b, loops.loc, exponent, bit);
        Value isSet = arith::CmpIOp::create(
            b, loops.loc, arith::CmpIPredicate::ne,
            arith::AndIOp::create(b, loops.loc, rest, loops.index(1)), loops.index(0));
        Values next;
        for (auto [old, product] :
             llvm::zip_equal(flatten(result), flatten(multiply(result, square))))
          next.push_back(loops.select(isSet, product, old));
        llvm::append_range(next, flatten(multiply(square, square)));
        return next;
      });
  return unflatten(ValueRange(results).take_front(count));
}

/// How many bits numbers up to `value` have.
Value DiagonalKernel::countBits(Value value) {
  return loops
      .reduce(loops.index(0), loops.index(kIndexBits), loops.index(0),
              [&](Value bit, ValueRange sum) {
                Value rest = arith::ShRUIOp::create(b, loops.loc, value, bit);
                Value isMore = arith::CmpIOp::create(
                    b, loops.loc, arith::CmpIPredicate::ne, rest, loops.index(0));
                return Values{loops.add(
                    sum[0], loops.select(isMore, loops.index(1), loops.index(0)))};
              })
      .front();
}

/// Eight blocks of a system to `half` of the buffer, block by block.
void DiagonalKernel::computeGroup(const Numbers &blocks, Value buffer, Value warp,
                                  Value half) {
  Value place = loops.add(times(quarter, 2 * rowPitch), row);
  for (int64_t tile = 0; tile < tiles; tile += 2) {
    Values sums = ImpulseKernel::multiply(flatten(states[tile]),
                                          flatten(states[tile + 1]), flatten(blocks));
    for (auto [i, sum] : llvm::enumerate(sums)) {
      int64_t offset = (tile + i / 2) * kTile + i % 2 * rowPitch;
      loops.store(round(sum), buffer, {half, warp, plus(place, offset)});
    }
  }
}

/// From the buffer to memory, where neighbours are systems.
void DiagonalKernel::storeGroup(unsigned out, Value buffer, Value half, Value group,
                                const System &first, Value which, Value thread) {
  constexpr int64_t kQuarters = kSystems / kStored;
  constexpr int64_t kRun = kWarp / kQuarters; // lags of a warp
  Value memory = op.getOuts()[out];
  for (int64_t done = 0; done < groupLags; done += kThreads / kQuarters) {
    Value inWarp = remainder(thread, kWarp);
    Value number =
        loops.add(times(quotient(thread, kWarp), kRun), remainder(inWarp, kRun));
    number = plus(number, done);
    Value firstLane = times(quotient(inWarp, kRun), kStored);
    Value place = loops.add(times(quotient(number, blockLags), rowPitch),
                            remainder(number, blockLags));
    Value lag = loops.add(times(group, groupLags), number);
    Value system = loops.add(first.number, firstLane);
    Value isThere =
        both(loops.less(lag, numLags), loops.less(number, loops.index(groupLags)));
    loops.when(both(isThere, loops.less(system, loops.index(lanes))), [&] {
      Values numbers;
      for (int64_t i = 0; i < kStored; ++i)
        numbers.push_back(loops.load(buffer, {half, plus(firstLane, i), place}));
      Value at = getPlace(lag);
      if (lanes % kStored == 0)
        return storeNeighbours(b, loops.loc, numbers, memory,
                               {at, first.outer, which, system});
      for (auto [i, value] : llvm::enumerate(numbers)) {
        Value lane = plus(system, i);
        loops.when(loops.less(lane, loops.index(lanes)), [&, value = value] {
          loops.store(value, memory, {at, first.outer, which, lane});
        });
      }
    });
  }
}

void DiagonalKernel::emit(unsigned out) {
  int64_t perOuter = llvm::divideCeil(lanes, kSystems), blocks = outer * perOuter;
  int64_t segments = std::max<int64_t>(1, kBusyBlocks / (blocks * reads));
  Value groups = ceilQuotient(numLags, groupLags);
  // Of the number of a block, on the host.
  Value bits =
      segments == 1 ? loops.index(llvm::Log2_64(kTile)) : countBits(times(groups, kTile));
  OpBuilder::InsertionGuard guard(b);
  gpu::LaunchOp launch =
      startLaunch(b, loops.loc, loops.index(blocks), loops.index(reads * segments),
                  kThreads, {sharedType({2, kSystems, pitch}, element)});
  Value buffer = launch.getWorkgroupAttributions()[0];
  Value thread = launch.getThreadIds().x, warp = quotient(thread, kWarp);
  lane = remainder(thread, kWarp);
  row = quotient(lane, kQuads);
  quarter = remainder(lane, kQuads);
  Value block = launch.getBlockIds().x;
  Value which = quotient(launch.getBlockIds().y, segments);
  Value segment = remainder(launch.getBlockIds().y, segments);
  Value outerIndex = quotient(block, perOuter);
  Value firstNumber = times(remainder(block, perOuter), kSystems);
  System first = systemOf(outerIndex, firstNumber);
  // A warp without a system computes the last one again.
  System system =
      systemOf(outerIndex, min(loops.add(firstNumber, warp), loops.index(lanes - 1)));

  Numbers factor = load([&](Value key, int64_t part) {
    return loops.load(op.getTransition(),
                      {system.outer, system.tile, key, loops.index(part), system.lane});
  });
  auto rowOf = [&](Value key, int64_t part) { return plus(times(key, parts), part); };
  Numbers input =
      load([&](Value key, int64_t part) { return loadInput(system, rowOf(key, part)); });
  int64_t tileBits = llvm::Log2_64(kTile);
  states = {multiply(input, power(factor, row, loops.index(tileBits)))};
  Numbers tileStep = squared(factor, tileBits);
  for (int64_t tile = 1; tile < tiles; ++tile)
    states.push_back(multiply(states.back(), tileStep));
  Numbers blockStep = squared(tileStep, llvm::Log2_64(tiles));
  Numbers groupStep = squared(blockStep, tileBits);

  Value share = ceilQuotient(groups, segments);
  Value begin = min(loops.mul(segment, share), groups);
  Value end = min(loops.add(begin, share), groups);
  Numbers readRows = load([&](Value key, int64_t part) {
    return loadRead(system, out, which, rowOf(key, part));
  });
  Value blockNumber = loops.add(times(begin, kTile), row);
  Numbers left = readProduct(readRows, power(blockStep, blockNumber, bits));
  loops.reduce(begin, end, flatten(left), [&](Value group, ValueRange values) {
    Numbers now = unflatten(values);
    Value half = remainder(group, 2);
    computeGroup(now, buffer, warp, half);
    gpu::BarrierOp::create(b, loops.loc);
    storeGroup(out, buffer, half, group, first, which, thread);
    return flatten(readProduct(now, groupStep));
  });
}

bool nvptx::fitsDiagonal(ImpulseResponseOp op) {
  int64_t parts = op.getParts();
  Type element = getElementTypeOrSelf(op.getOuts().front());
  return llvm::divideCeil(op.getRows() / parts, 4) * parts <= kMostSteps &&
         (element.isF32() || element.isF64());
}

void nvptx::emitDiagonal(OpBuilder &builder, ImpulseResponseOp op) {
  DiagonalKernel kernel(builder, op);
  for (unsigned out = 0; out < op.getOuts().size(); ++out)
    kernel.emit(out);
}
