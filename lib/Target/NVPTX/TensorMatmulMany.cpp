//===- TensorMatmulMany.cpp - Products of many tokens ---------------------===//
//
// A block has a tile of columns by tokens and goes along the depth in chunks of both operands,
// which lie in a ring of stages in shared memory: while one is multiplied, the next ones are on
// their way (cp.async). Pieces of 16 bytes of a row are permuted by the row, so that neither
// the copies nor ldmatrix meet a bank twice.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Overlap.h"
#include "Target/NVPTX/TensorCores.h"
#include "Target/NVPTX/TensorMatmul.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

/// Depth of an instruction, and bytes of that in a row.
static constexpr int64_t kSlice = 16, kSliceBytes = 32;

namespace {
/// A tile, and how the warps of a block share it.
struct Tile {
  int64_t columns, tokens, depth; // of a chunk
  int64_t columnWarps, tokenWarps, depthWarps;
};
} // namespace

/// Each has room for three stages. Where there are few tiles, warps share the depth, and add up
/// their sums.
static constexpr Tile kLargeTile = {128, 128, 32, 2, 4, 1}, kMediumTile = {64, 64, 64, 1, 2, 2},
                      kDeepTile = {32, 32, 128, 1, 1, 8};
/// Not more large tiles than this leave multiprocessors idle; not more medium ones.
static constexpr int64_t kBusyLargeTiles = 256, kBusyMediumTiles = 128;

//===----------------------------------------------------------------------===//
// A block's tile
//===----------------------------------------------------------------------===//

class TensorMatmul::Tiles {
public:
  Tiles(TensorMatmul &product, const Tile &tile)
      : product(product), b(product.b), loc(product.loc), loops(product.loops), tile(tile),
        threads(kWarp * tile.columnWarps * tile.tokenWarps * tile.depthWarps),
        fragments(tile.columns / tile.columnWarps / kColumns),
        groups(tile.tokens / tile.tokenWarps / kTokens), rowBytes(tile.depth * 2),
        stages(kSharedBytes / getStageBytes()), isGuarded(product.depth % tile.depth != 0) {}

  void emit();

private:
  /// What the thread copies and multiplies.
  void place();
  /// The byte of a tile in shared memory where `piece` of `row` lies.
  Value swizzle(Value row, Value piece);
  /// Begins to copy a chunk of weights, or of tokens, into a stage.
  void copyWeights(Value chunk, Value stage);
  void copyTokens(Value chunk, Value stage);
  /// Tokens that are rounded, or that are not aligned, go through registers, in which as many
  /// chunks are on their way as there is room for.
  int64_t getLoadsAhead() { return copiesTokens ? 0 : tile.columns < 64 ? 2 : 1; }
  SmallVector<Value> loadTokens(Value chunk);
  void putTokens(ArrayRef<Value> values, Value stage);
  Value getNextStage(Value stage);
  void multiplyChunk(Value stage, MutableArrayRef<Value> sums);
  SmallVector<Value> loadFragment(Value offset, Value stage, int64_t row);
  void finish(ArrayRef<Value> sums);
  void shareSums(ArrayRef<Value> sums);
  /// Stores the sums of an instruction: those of 8 tokens by 16 columns of the warp's.
  void storeSums(Value group, Value fragment, ArrayRef<Value> sums);

  int64_t getStageBytes() { return (tile.columns + tile.tokens) * rowBytes; }
  int64_t getPieces(int64_t rows) { return rows * rowBytes / kVectorBytes / threads; }
  Value constant(int64_t value) {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(int32_t(value)));
  }
  Value toI32(Value index) {
    return arith::IndexCastOp::create(b, loc, b.getI32Type(), index);
  }
  /// Of places in shared memory, which have 32 bits.
  Value plus(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value flip(Value x, Value y) { return arith::XOrIOp::create(b, loc, x, y); }
  Value at(Value base, Value bytes) { return product.at(base, bytes); }
  Value at(Value base, int64_t bytes) { return product.at(base, bytes); }

  TensorMatmul &product;
  RewriterBase &b;
  Location loc;
  ssmc::detail::Loops &loops;
  const Tile tile;
  const int64_t threads, fragments, groups, rowBytes, stages;
  const bool isGuarded;

  bool copiesTokens = false;
  Value shared, thread, firstColumn, firstRow;
  // What the thread copies: the depth in a chunk, the place in a stage, where rows begin.
  Value pieceDepth, piecePlace;
  SmallVector<Value> weightRows, tokenRows;
  SmallVector<SmallVector<Value>> tokens;
  // What it multiplies: places of its rows of both operands, a slice each; its sums.
  SmallVector<Value> leftPlaces, rightPlaces;
  Value warpDepth, warpColumn, warpToken, sumColumn, sumToken;
};

Value TensorMatmul::Tiles::swizzle(Value row, Value piece) {
  // Rows of 64 bytes are two in a line of all banks.
  Value turn = rowBytes == 64 ? product.rem(product.div(row, 2), 4) : product.rem(row, 8);
  Value place = loops.mul(flip(piece, turn), loops.index(kVectorBytes));
  return product.madd(row, rowBytes, place);
}

void TensorMatmul::Tiles::place() {
  Value zero = loops.index(0);
  int64_t pieces = rowBytes / kVectorBytes; // of a row
  Value row = product.div(thread, pieces), piece = product.rem(thread, pieces);
  pieceDepth = loops.mul(piece, loops.index(kVector));
  piecePlace = toI32(swizzle(row, piece));
  Value lastColumn = loops.index(product.panels - 1);
  Value lastRow = loops.sub(product.rows, loops.index(1));
  auto rowOf = [&](Value first, int64_t i) {
    return loops.add(first, loops.add(row, loops.index(i * threads / pieces)));
  };
  // Rows that are not there are the last one: nobody stores what comes of them.
  for (int64_t i = 0; i < getPieces(tile.columns); ++i) {
    Value column = rowOf(firstColumn, i);
    if (product.panels % tile.columns != 0)
      column = product.least(column, lastColumn);
    weightRows.push_back(product.makePointer(product.op.getWeight(), {column, zero, zero, zero}));
  }
  for (int64_t i = 0; i < getPieces(tile.tokens); ++i) {
    tokens.push_back(product.leadingOf(product.least(rowOf(firstRow, i), lastRow)));
    if (!copiesTokens)
      continue;
    SmallVector<Value> indices(tokens.back());
    indices.push_back(zero);
    tokenRows.push_back(product.makePointer(product.op.getInput(), indices));
  }

  Value lane = product.rem(thread, kWarp), warp = product.div(thread, kWarp);
  warpColumn = product.rem(warp, tile.columnWarps);
  warpToken = product.rem(product.div(warp, tile.columnWarps), tile.tokenWarps);
  warpDepth = product.div(warp, tile.columnWarps * tile.tokenWarps);
  warpColumn = loops.mul(warpColumn, loops.index(fragments * kColumns));
  warpToken = loops.mul(warpToken, loops.index(groups * kTokens));
  // Tiles of 8 x 8 that ldmatrix loads: of columns those below each other come first, of
  // tokens those beside each other.
  Value in8 = product.rem(lane, 8), upper = product.div(lane, 16),
        odd = product.rem(product.div(lane, 8), 2);
  Value left = toI32(swizzle(product.madd(odd, 8, in8), upper));
  Value right = toI32(swizzle(product.madd(upper, 8, in8), odd));
  Value leftBase = toI32(loops.mul(warpColumn, loops.index(rowBytes)));
  Value rightBase = toI32(product.madd(warpToken, rowBytes,
                                       loops.index(tile.columns * rowBytes)));
  int64_t slices = tile.depth / kSlice / tile.depthWarps;
  Value mine = toI32(loops.mul(warpDepth, loops.index(slices * kSliceBytes)));
  for (int64_t i = 0; i < slices; ++i) {
    Value slice = flip(mine, constant(i * kSliceBytes));
    leftPlaces.push_back(plus(leftBase, flip(left, slice)));
    rightPlaces.push_back(plus(rightBase, flip(right, slice)));
  }
  Lane quarter = product.laneOf(thread);
  sumColumn = loops.add(loops.add(firstColumn, warpColumn), quarter.row);
  sumToken = loops.add(loops.add(firstRow, warpToken),
                       loops.mul(quarter.quarter, loops.index(2)));
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

void TensorMatmul::Tiles::copyWeights(Value chunk, Value stage) {
  Value k = product.madd(chunk, tile.depth, pieceDepth);
  Value target = at(shared, plus(stage, piecePlace));
  for (auto [i, row] : llvm::enumerate(weightRows))
    product.copyPiece(at(target, int64_t(i) * threads * kVectorBytes), row, k,
                      product.weightType.getShape()[1] * 2, isGuarded);
}

void TensorMatmul::Tiles::copyTokens(Value chunk, Value stage) {
  Value k = product.madd(chunk, tile.depth, pieceDepth);
  Value target = at(shared, plus(stage, piecePlace));
  for (auto [i, row] : llvm::enumerate(tokenRows))
    product.copyPiece(
        at(target, tile.columns * rowBytes + int64_t(i) * threads * kVectorBytes), row, k,
        product.depth, isGuarded);
}

SmallVector<Value> TensorMatmul::Tiles::loadTokens(Value chunk) {
  SmallVector<Value> values;
  Value k = product.madd(chunk, tile.depth, pieceDepth);
  for (ArrayRef<Value> leading : tokens)
    values.push_back(product.loadToken(leading, k, isGuarded));
  return values;
}

void TensorMatmul::Tiles::putTokens(ArrayRef<Value> values, Value stage) {
  Value target = at(shared, plus(stage, piecePlace));
  for (auto [i, value] : llvm::enumerate(values))
    LLVM::StoreOp::create(
        b, loc, product.round(value),
        at(target, tile.columns * rowBytes + int64_t(i) * threads * kVectorBytes), kVectorBytes);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

SmallVector<Value> TensorMatmul::Tiles::loadFragment(Value offset, Value stage, int64_t row) {
  Value place = at(at(shared, plus(stage, offset)), row * rowBytes);
  SmallVector<Value> registers = emitLdMatrix(b, loc, place, /*transposed=*/false);
  if (product.element.isF16())
    for (Value &value : registers)
      value = LLVM::BitcastOp::create(b, loc, VectorType::get(2, product.element), value);
  return registers;
}

void TensorMatmul::Tiles::multiplyChunk(Value stage, MutableArrayRef<Value> sums) {
  for (auto [leftPlace, rightPlace] : llvm::zip_equal(leftPlaces, rightPlaces)) {
    SmallVector<SmallVector<Value>> left;
    for (int64_t m = 0; m < fragments; ++m)
      left.push_back(loadFragment(leftPlace, stage, m * kColumns));
    for (int64_t n = 0; n < groups; n += 2) {
      SmallVector<Value> right = loadFragment(rightPlace, stage, n * kTokens);
      for (int64_t half = 0; half < 2; ++half)
        for (int64_t m = 0; m < fragments; ++m)
          product.multiply(left[m], {right[2 * half], right[2 * half + 1]},
                           sums.slice(((n + half) * fragments + m) * kSums, kSums));
    }
  }
}

void TensorMatmul::Tiles::storeSums(Value group, Value fragment, ArrayRef<Value> sums) {
  for (int64_t token = 0; token < 2; ++token) {
    Value row = loops.add(sumToken, product.madd(group, kTokens, loops.index(token)));
    loops.when(loops.less(row, product.rows), [&] {
      SmallVector<Value> leading = product.leadingOf(row);
      for (int64_t half = 0; half < 2; ++half) {
        Value column = loops.add(
            sumColumn, product.madd(fragment, kColumns, loops.index(half * kTokens)));
        loops.when(loops.less(column, product.columns),
                     [&] { product.store(leading, column, sums[half * 2 + token]); });
      }
    });
  }
}

/// Warps that have the same tile, of different slices, share the adding up of their sums.
void TensorMatmul::Tiles::shareSums(ArrayRef<Value> sums) {
  int64_t units = fragments * groups, mine = units / tile.depthWarps;
  int64_t others = threads / tile.depthWarps;
  assert(threads * units * kSums * 4 <= stages * getStageBytes());
  Value other = product.rem(thread, others); // the same place of the tile
  auto placeOf = [&](Value warp, Value unit, int64_t i) {
    Value number = product.madd(product.madd(warp, units, unit), kSums, loops.index(i));
    return at(shared, toI32(loops.mul(product.madd(number, others, other), loops.index(4))));
  };
  product.barrier();
  for (int64_t unit = 0; unit < units; ++unit)
    for (int64_t i = 0; i < kSums; ++i)
      LLVM::StoreOp::create(b, loc, sums[unit * kSums + i],
                            placeOf(warpDepth, loops.index(unit), i));
  product.barrier();
  loops.repeat(loops.index(mine), [&](Value i) {
    Value unit = product.madd(warpDepth, mine, i);
    Sums whole = product.zeros();
    for (int64_t warp = 0; warp < tile.depthWarps; ++warp)
      for (int64_t j = 0; j < kSums; ++j) {
        Value place = placeOf(loops.index(warp), unit, j);
        whole[j] = loops.add(whole[j], LLVM::LoadOp::create(b, loc, product.type, place));
      }
    storeSums(product.div(unit, fragments), product.rem(unit, fragments), whole);
  });
}

void TensorMatmul::Tiles::finish(ArrayRef<Value> sums) {
  if (tile.depthWarps > 1)
    return shareSums(sums);
  for (int64_t n = 0; n < groups; ++n)
    for (int64_t m = 0; m < fragments; ++m)
      storeSums(loops.index(n), loops.index(m), sums.slice((n * fragments + m) * kSums, kSums));
}

Value TensorMatmul::Tiles::getNextStage(Value stage) {
  Value further = plus(stage, constant(getStageBytes()));
  Value isLast = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, further,
                                       constant(stages * getStageBytes()));
  return loops.select(isLast, constant(0), further);
}

void TensorMatmul::Tiles::emit() {
  int64_t chunks = llvm::divideCeil(product.depth, tile.depth);
  int64_t ahead = stages - 1, stageBytes = getStageBytes();
  copiesTokens = product.canCopyTokens();
  Value rowTiles =
      arith::CeilDivUIOp::create(b, loc, product.rows, loops.index(tile.tokens));
  OpBuilder::InsertionGuard inner(b);
  gpu::LaunchOp launch = product.startLaunch(
      rowTiles, loops.index(llvm::divideCeil(product.panels, tile.columns)), threads,
      {sharedType({stages * stageBytes}, b.getI8Type())});
  shared = getSharedPointer(b, loc, launch.getWorkgroupAttributions()[0]);
  firstColumn = loops.mul(launch.getBlockIds().y, loops.index(tile.columns));
  firstRow = loops.mul(launch.getBlockIds().x, loops.index(tile.tokens));
  thread = launch.getThreadIds().x;
  place();

  // Weights do not depend on the kernels before this one.
  for (int64_t i = 0; i < std::min(ahead, chunks); ++i)
    copyWeights(loops.index(i), constant(i * stageBytes));
  emitWait(b, loc);
  for (int64_t i = 0; i < ahead; ++i) {
    Value stage = constant(i * stageBytes);
    if (i < chunks && copiesTokens)
      copyTokens(loops.index(i), stage);
    else if (i < chunks)
      putTokens(loadTokens(loops.index(i)), stage);
    NVVM::CpAsyncCommitGroupOp::create(b, loc);
  }

  // Chunks after the last are the last again: nobody uses them.
  auto loadAhead = [&](Value chunk) {
    return loadTokens(product.least(chunk, loops.index(chunks - 1)));
  };
  int64_t numSums = fragments * groups * kSums, loads = getLoadsAhead();
  SmallVector<Value> init(numSums, loops.constant(product.type, 0.0));
  llvm::append_values(init, constant(0), constant(ahead * stageBytes));
  for (int64_t i = 0; i < loads; ++i)
    llvm::append_range(init, loadAhead(loops.index(ahead + i)));
  auto loop = scf::ForOp::create(b, loc, loops.index(0), loops.index(chunks), loops.index(1),
                                 init);
  {
    OpBuilder::InsertionGuard body(b);
    b.setInsertionPointToStart(loop.getBody());
    ValueRange carried = loop.getRegionIterArgs();
    Value stage = carried[numSums], freeStage = carried[numSums + 1];
    ValueRange fetched = carried.drop_front(numSums + 2);
    NVVM::CpAsyncWaitGroupOp::create(b, loc, uint32_t(ahead - 1));
    product.barrier();
    Value next = loops.add(loop.getInductionVar(), loops.index(ahead));
    loops.when(loops.less(next, loops.index(chunks)), [&] {
      copyWeights(next, freeStage);
      if (copiesTokens)
        copyTokens(next, freeStage);
    });
    NVVM::CpAsyncCommitGroupOp::create(b, loc);
    SmallVector<Value> results(carried.take_front(numSums)), later;
    if (!copiesTokens) {
      putTokens(SmallVector<Value>(fetched.take_front(tokens.size())), freeStage);
      llvm::append_range(later, fetched.drop_front(tokens.size()));
      llvm::append_range(later, loadAhead(loops.add(next, loops.index(loads))));
    }
    multiplyChunk(stage, results);
    llvm::append_values(results, getNextStage(stage), getNextStage(freeStage));
    llvm::append_range(results, later);
    scf::YieldOp::create(b, loc, results);
  }
  finish(SmallVector<Value>(loop.getResults().take_front(numSums)));
}

//===----------------------------------------------------------------------===//
// The choice
//===----------------------------------------------------------------------===//

void TensorMatmul::emitMany() {
  auto emit = [&](const Tile &tile) { Tiles(*this, tile).emit(); };
  auto unlessFewer = [&](const Tile &tile, int64_t most, function_ref<void()> otherwise) {
    Value tiles = arith::CeilDivUIOp::create(b, loc, rows, loops.index(tile.tokens));
    tiles = loops.mul(tiles, loops.index(llvm::divideCeil(panels, tile.columns)));
    choose(tiles, most, otherwise, [&] { emit(tile); });
  };
  auto emitSmaller = [&] {
    unlessFewer(kMediumTile, kBusyMediumTiles, [&] { emit(kDeepTile); });
  };
  auto emitMost = [&] {
    // Tokens that go through registers take those that large tiles have for sums.
    if (!canCopyTokens())
      return emitSmaller();
    unlessFewer(kLargeTile, kBusyLargeTiles, emitSmaller);
  };
  choose(
      rows, kFew, [&] { emitFewForms(NormOp(), ConvOp()); }, emitMost);
}
