//===- SpectrumBlocks.h - Layout of a kernel's transforms ------*- C++ -*-===//
//
// Where the pieces of a kernel are in the result of ssm.spectrum, whose
// description defines them.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_IR_SPECTRUMBLOCKS_H
#define SSM_IR_SPECTRUMBLOCKS_H

#include "mlir/IR/Builders.h"

namespace mlir::ssm {

/// Sizes of blocks: `kFirstBlock`, four times that, and so on.
inline constexpr int64_t kFirstBlock = 64, kNumBlockSizes = 9;
/// Places between the pieces, which would compete for one set of a cache.
inline constexpr int64_t kPiecePadding = 4;
/// Blocks of the smallest size that is complete, which hold all lags.
inline constexpr int64_t kMaxBlocks = 8;
/// Tokens from which on transforms, of whole blocks and what separates them, take
/// less memory than two points a token.
inline constexpr int64_t kShortestTransform = kFirstBlock + 16;
/// Lags beyond which blocks of the largest size would be more than that.
inline constexpr int64_t kMaxSpectrumLags =
    (kFirstBlock << (2 * (kNumBlockSizes - 1))) * kMaxBlocks;

/// The pieces of blocks of one size.
struct SpectrumBlocks {
  int64_t block = 0;
  int64_t padding = kPiecePadding;
  /// Places from one piece to the next.
  int64_t getStride() const { return block + padding; }
  /// Piece numbers [firstPiece, firstPiece + numPieces).
  Value firstPiece, numPieces;
  /// Place of the first one.
  Value offset;
  /// The largest blocks of which there are pieces; pieces of all lags.
  Value isComplete;
};

/// The layout for a kernel of `lags` lags from `first` on, by size of blocks, or
/// with `block` of that size alone; folds to constants where both are.
SmallVector<SpectrumBlocks>
getSpectrumBlocks(OpBuilder &builder, Location loc, Value lags, Value first,
                  std::optional<int64_t> block = std::nullopt);

/// Numbers of memory for transforms, for a token and an output channel, where blocks
/// have one size: the tokens themselves, and the transforms of all blocks but the last;
/// of that as well where there are several and an output needs later tokens.
inline int64_t getNumbersOfToken(bool looksAhead) { return looksAhead ? 5 : 3; }
/// The layout of blocks of one size alone, with all pieces.
SpectrumBlocks getBlocksOfSize(OpBuilder &builder, Location loc, int64_t block,
                               Value lags, Value first);
/// Places of that for a kernel of known lags.
int64_t getPlacesOfSize(int64_t block, int64_t lags, int64_t first);
/// The place of the value `number` of a piece that is laid out for `threads` threads.
Value getPlaceForThreads(OpBuilder &builder, Location loc, int64_t block,
                         int64_t threads, Value number);

/// Places of the spectrum and largest blocks of a kernel of known lags.
int64_t getSpectrumPlaces(int64_t lags, int64_t first);
int64_t getLargestBlock(int64_t lags);

/// What blocks of one size of a relaxed convolution keep between calls: `slots`
/// transforms of blocks of the input, then the sums of two blocks of the output.
struct RelaxedLevel {
  SpectrumBlocks pieces;
  /// There are outputs so far from an input.
  Value isUsed;
  Value slots;
  /// Place of the first one.
  Value offset;
};

/// Sums reach back at least this far: up to two of the smallest blocks are added
/// tap by tap in any case.
inline constexpr int64_t kRelaxedReach = 2 * kFirstBlock;
/// Places a token of the history that suffice where its length is known at run
/// time only.
inline constexpr int64_t kRelaxedPlacesPerToken = 3;

/// The levels by size of blocks, from the pieces of the spectrum. `history` is the
/// number of tokens that the history has room for; where the history has room for
/// the whole sequence (`isWhole`), so have the levels.
SmallVector<RelaxedLevel> getRelaxedLevels(OpBuilder &builder, Location loc,
                                           ArrayRef<SpectrumBlocks> pieces,
                                           Value history, bool isWhole);

/// Places that the levels of a kernel of known lags take.
int64_t getRelaxedPlaces(int64_t lags, int64_t first);

} // namespace mlir::ssm

#endif // SSM_IR_SPECTRUMBLOCKS_H
