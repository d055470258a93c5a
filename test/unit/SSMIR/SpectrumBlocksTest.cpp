//===- SpectrumBlocksTest.cpp - Memory of relaxed convolutions ------------===//

#include "ssm/IR/SpectrumBlocks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace mlir::ssm;

namespace {
/// Where indices are built, which fold to numbers.
struct Folded {
  Folded() { context.loadDialect<arith::ArithDialect>(); }
  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(builder, loc, value);
  }

  MLIRContext context;
  Location loc = UnknownLoc::get(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  OpBuilder builder = OpBuilder::atBlockBegin(module->getBody());
};
} // namespace

/// Places that the levels take, for a history of `tokens` tokens.
static int64_t countPlaces(int64_t lags, int64_t first, int64_t tokens,
                           bool isWhole) {
  Folded at;
  SmallVector<SpectrumBlocks> pieces =
      getSpectrumBlocks(at.builder, at.loc, at.index(lags), at.index(first));
  int64_t places = 0, numUsed = 0;
  SmallVector<RelaxedLevel> levels =
      getRelaxedLevels(at.builder, at.loc, pieces, at.index(tokens), isWhole);
  for (auto [number, level] : llvm::enumerate(levels)) {
    if (*getConstantIntValue(level.isUsed) == 0)
      continue;
    EXPECT_EQ(number, size_t(numUsed++)) << "smaller blocks are used first";
    EXPECT_EQ(*getConstantIntValue(level.offset), places);
    places += (*getConstantIntValue(level.slots) + 2) * level.pieces.getStride();
  }
  return places;
}

TEST(RelaxedLevels, KnownLags) {
  for (int64_t lags : {128, 129, 130, 500, 512, 513, 514, 600, 2048, 2049, 5000,
                       70000, 1 << 20, 33554432})
    for (int64_t first : {0, 1, 63})
      EXPECT_EQ(countPlaces(lags, first, first + lags - 1, /*isWhole=*/false),
                getRelaxedPlaces(lags, first))
          << lags << " lags from " << first;
  EXPECT_EQ(getRelaxedPlaces(100, 0), 0);
}

// Blocks of one size: pieces for all lags, as many as there are places.
TEST(SpectrumBlocks, OneSize) {
  Folded at;
  struct Case {
    int64_t lags, first, firstPiece, numPieces;
  };
  for (Case next : {Case{1, 0, 0, 2}, Case{64, 0, 0, 2}, Case{65, 0, 0, 3},
                    Case{64, 1, 0, 3}, Case{100, -50, -1, 3}, Case{129, -128, -2, 4}}) {
    SpectrumBlocks blocks =
        getBlocksOfSize(at.builder, at.loc, 64, at.index(next.lags), at.index(next.first));
    EXPECT_EQ(*getConstantIntValue(blocks.firstPiece), next.firstPiece);
    EXPECT_EQ(*getConstantIntValue(blocks.numPieces), next.numPieces);
    EXPECT_EQ(getPlacesOfSize(64, next.lags, next.first), 64 * next.numPieces);
    EXPECT_EQ(blocks.getStride(), 64);
  }
}

// Every value of a piece has a place of its own.
TEST(SpectrumBlocks, PlacesForThreads) {
  Folded at;
  SmallVector<int64_t> values(64, -1);
  for (int64_t number = 0; number < 64; ++number) {
    Value place = getPlaceForThreads(at.builder, at.loc, 64, 8,
                                     at.index(number));
    values[*getConstantIntValue(place)] = number;
  }
  for (int64_t pair = 0; pair < 4; ++pair)
    for (int64_t thread = 0; thread < 8; ++thread)
      for (int64_t j = 0; j < 2; ++j)
        EXPECT_EQ(values[2 * (8 * pair + thread) + j], 8 * thread + 2 * pair + j);
}

// Lengths at run time: the memory grows by a fixed number of places a token, which
// is tightest where a size of blocks begins to be used.
TEST(RelaxedLevels, LagsOfTheSequence) {
  SmallVector<int64_t> lengths = {0, 1, 127, 1000, 1000000};
  for (int64_t block = 64; block <= 1 << 22; block *= 4)
    for (int64_t more : {-1, 0, 1, 2, 63, 64, 65})
      for (int64_t blocks : {2, 3, 5, 8, 9})
        lengths.push_back(blocks * block + more);
  for (int64_t tokens : lengths)
    for (int64_t lags : {tokens / 8 + 1, tokens, tokens + 1, 8 * tokens + 1})
      EXPECT_LE(countPlaces(lags, 0, tokens, /*isWhole=*/true),
                kRelaxedPlacesPerToken * tokens)
          << tokens << " tokens, prepared for " << lags;
}
