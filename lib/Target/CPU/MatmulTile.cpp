//===- MatmulTile.cpp - Sums of a tile of a product in registers ----------===//
//
// Outer products: a row of the panel, in a few registers, times each token's
// input broadcast. Tiles of few tokens keep several sets of sums, one for every
// second or fourth index of the depth, to hide the latency of additions.
//
//===----------------------------------------------------------------------===//

#include "Target/CPU/MatmulTile.h"

#include "Target/CPU/IndexMath.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace ssmc::cpu;

bool MatmulTile::isPaired() const {
  return getElementTypeOrSelf(weight.getType()).getIntOrFloatBitWidth() == 16;
}

bool MatmulTile::isDot() const {
  return getElementTypeOrSelf(input.getType()) != accumulator;
}

static constexpr int64_t lineBytes = 64;

namespace {
class TileEmitter {
public:
  TileEmitter(ImplicitLocOpBuilder &b, const MatmulTile &tile)
      : b(b), index(b), tile(tile), columns(tile.width / tile.lanes),
        pair(tile.isPaired() ? 2 : 1),
        vector(VectorType::get(tile.lanes, tile.accumulator)) {
    // Two fused operations a cycle, four cycles each.
    sets = std::max<int64_t>(1, 8 / (tile.rows * columns));
    sets = int64_t(1) << llvm::Log2_64(sets);
    unroll = std::max<int64_t>(4, 2 * sets);
  }

  void emit();

private:
  using Weights = SmallVector<Value>;

  /// The sums of one set for another index (or pair) of the depth.
  void step(MutableArrayRef<Value> sums, Value k);
  /// Registers of weights at depth index k; for pairs k and k + 1.
  SmallVector<Weights, 2> loadWeights(Value k);
  SmallVector<Value, 2> splitPairs(Value packed);
  void prefetchWeights(Value row);
  void dotStep(MutableArrayRef<Value> sums, Value k);
  SmallVector<Value> loop(Value begin, Value end, int64_t steps,
                          ValueRange init);
  /// Where the sums of a row and a register of columns are.
  SmallVector<Value, 2> sumsPosition(int64_t row, int64_t column) {
    return {index.add(tile.sumsRow, row), index.constant(column * tile.lanes)};
  }

  ImplicitLocOpBuilder &b;
  IndexMath index;
  const MatmulTile &tile;
  int64_t columns, pair; // registers of a row
  VectorType vector;
  int64_t sets, unroll;
};
} // namespace

SmallVector<Value, 2> TileEmitter::splitPairs(Value packed) {
  Type element = getElementTypeOrSelf(packed.getType());
  auto i32 = VectorType::get(tile.lanes, b.getI32Type());
  Value bits = vector::BitCastOp::create(b, i32, packed);
  Value sixteen = arith::ConstantOp::create(
      b, DenseElementsAttr::get(i32, b.getI32IntegerAttr(16)));
  // bf16 is the upper half of a float.
  if (element.isBF16() && tile.accumulator.isF32()) {
    Value mask = arith::ConstantOp::create(
        b, DenseElementsAttr::get(i32, b.getI32IntegerAttr(0xFFFF0000)));
    Value even = arith::ShLIOp::create(b, bits, sixteen);
    Value odd = arith::AndIOp::create(b, bits, mask);
    return {arith::BitcastOp::create(b, vector, even),
            arith::BitcastOp::create(b, vector, odd)};
  }
  auto i16 = VectorType::get(tile.lanes, b.getI16Type());
  auto half = VectorType::get(tile.lanes, element);
  SmallVector<Value, 2> result;
  for (Value part : {bits, Value(arith::ShRUIOp::create(b, bits, sixteen))}) {
    Value narrow = arith::TruncIOp::create(b, i16, part);
    Value halves = arith::BitcastOp::create(b, half, narrow);
    result.push_back(arith::ExtFOp::create(b, vector, halves));
  }
  return result;
}

SmallVector<TileEmitter::Weights, 2> TileEmitter::loadWeights(Value k) {
  Type element = getElementTypeOrSelf(tile.weight.getType());
  SmallVector<Weights, 2> weights(pair);
  Value row = index.add(tile.depthBegin, k);
  if (pair > 1)
    row = index.div(row, index.constant(2));
  auto packed = VectorType::get(tile.lanes * pair, element);
  prefetchWeights(row);
  for (int64_t c = 0; c != columns; ++c) {
    Value position = index.constant(c * tile.lanes * pair);
    Value loaded = vector::LoadOp::create(
        b, packed, tile.weight, ValueRange{tile.panel, row, position});
    if (tile.isDot()) {
      weights[0].push_back(loaded);
      continue;
    }
    if (pair > 1) {
      SmallVector<Value, 2> parts = splitPairs(loaded);
      weights[0].push_back(parts[0]);
      weights[1].push_back(parts[1]);
      continue;
    }
    if (element != tile.accumulator)
      loaded = arith::ExtFOp::create(b, vector, loaded);
    weights[0].push_back(loaded);
  }
  return weights;
}

// Panels follow each other: past the end of one is the next.
void TileEmitter::prefetchWeights(Value row) {
  int64_t bytes =
      getElementTypeOrSelf(tile.weight.getType()).getIntOrFloatBitWidth() / 8;
  int64_t rowBytes = tile.width * pair * bytes;
  if (tile.prefetchBytes == 0 || rowBytes % lineBytes)
    return;
  auto prefetch = [&](int64_t distance, unsigned locality) {
    Value ahead = index.add(row, distance / rowBytes);
    for (int64_t position = 0; position < rowBytes; position += lineBytes)
      memref::PrefetchOp::create(
          b, tile.weight,
          ValueRange{tile.panel, ahead, index.constant(position / bytes)},
          /*isWrite=*/false, locality, /*isDataCache=*/true);
  };
  // From memory, then from the second cache: a load that waits for either keeps
  // later ones from starting.
  prefetch(tile.prefetchBytes, 2);
  prefetch(tile.prefetchBytes / 2, 3);
}

void TileEmitter::dotStep(MutableArrayRef<Value> sums, Value k) {
  Weights weights = loadWeights(k)[0];
  auto pairs = VectorType::get(2 * tile.lanes, b.getBF16Type());
  auto name = b.getStringAttr("llvm.x86.avx512bf16.dpbf16ps." +
                              Twine(tile.lanes * 32));
  for (int64_t r = 0; r != tile.rows; ++r) {
    Value x = vector::LoadOp::create(b, VectorType::get(2, b.getBF16Type()),
                                     tile.input,
                                     ValueRange{index.constant(r), k});
    auto one = VectorType::get(1, b.getI32Type());
    x = vector::ExtractOp::create(
        b, vector::BitCastOp::create(b, one, x).getResult(), 0);
    Value xs = vector::BroadcastOp::create(
        b, VectorType::get(tile.lanes, b.getI32Type()), x);
    xs = vector::BitCastOp::create(b, pairs, xs);
    for (int64_t c = 0; c != columns; ++c) {
      Value &sum = sums[r * columns + c];
      sum = LLVM::CallIntrinsicOp::create(b, vector, name,
                                          ValueRange{sum, xs, weights[c]})
                .getResults();
    }
  }
}

void TileEmitter::step(MutableArrayRef<Value> sums, Value k) {
  if (tile.isDot())
    return dotStep(sums, k);
  SmallVector<Weights, 2> weights = loadWeights(k);
  for (int64_t p = 0; p != pair; ++p) {
    Value position = index.add(k, p);
    for (int64_t r = 0; r != tile.rows; ++r) {
      Value x = memref::LoadOp::create(
          b, tile.input, ValueRange{index.constant(r), position});
      Value xs = vector::BroadcastOp::create(b, vector, x);
      for (int64_t c = 0; c != columns; ++c) {
        Value &sum = sums[r * columns + c];
        Value product = arith::MulFOp::create(
            b, weights[p][c], xs, arith::FastMathFlags::contract);
        sum = arith::AddFOp::create(b, product, sum,
                                    arith::FastMathFlags::contract);
      }
    }
  }
}

SmallVector<Value> TileEmitter::loop(Value begin, Value end, int64_t steps,
                                     ValueRange init) {
  int64_t setSize = tile.rows * columns;
  auto loop = scf::ForOp::create(
      b, begin, end, index.constant(steps), init,
      [&](OpBuilder &, Location, Value k, ValueRange carried) {
        SmallVector<Value> sums(carried);
        for (int64_t i = 0; i < steps; i += pair) {
          int64_t set = i / pair % sets;
          step(MutableArrayRef(sums).slice(set * setSize, setSize),
               index.add(k, i));
        }
        scf::YieldOp::create(b, sums);
      });
  return SmallVector<Value>(loop.getResults());
}

void TileEmitter::emit() {
  int64_t setSize = tile.rows * columns;
  Value zero =
      arith::ConstantOp::create(b, cast<TypedAttr>(b.getZeroAttr(vector)));
  SmallVector<Value> sums(sets * setSize, zero);
  if (tile.resume) {
    auto load = [&](OpBuilder &, Location) {
      SmallVector<Value> loaded;
      for (int64_t r = 0; r != tile.rows; ++r)
        for (int64_t c = 0; c != columns; ++c)
          loaded.push_back(vector::LoadOp::create(
              b, vector, tile.sums, sumsPosition(r, c)));
      scf::YieldOp::create(b, loaded);
    };
    auto none = [&](OpBuilder &, Location) {
      scf::YieldOp::create(b, SmallVector<Value>(setSize, zero));
    };
    auto initial = scf::IfOp::create(b, tile.resume, load, none);
    llvm::copy(initial.getResults(), sums.begin());
  }

  // Depths of pairs count whole pairs: the padding is zero in both operands.
  Value end = pair > 1 ? index.roundUp(tile.depth, pair) : tile.depth;
  Value zeroIndex = index.constant(0);
  if (tile.depthDivisor % unroll == 0) {
    sums = loop(zeroIndex, end, unroll, sums);
  } else {
    Value main = index.roundDown(end, unroll);
    sums = loop(zeroIndex, main, unroll, sums);
    sums = loop(main, end, pair, sums);
  }

  for (int64_t distance = sets / 2; distance > 0; distance /= 2)
    for (int64_t i = 0; i != distance * setSize; ++i)
      sums[i] = arith::AddFOp::create(b, sums[i], sums[i + distance * setSize]);
  for (int64_t r = 0; r != tile.rows; ++r)
    for (int64_t c = 0; c != columns; ++c)
      vector::StoreOp::create(b, sums[r * columns + c], tile.sums,
                              sumsPosition(r, c));
}

void ssmc::cpu::emitMatmulTile(ImplicitLocOpBuilder &b,
                               const MatmulTile &tile) {
  TileEmitter(b, tile).emit();
}
