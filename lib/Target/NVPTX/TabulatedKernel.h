//===- TabulatedKernel.h - Chunks by tables on tensor cores ----*- C++ -*-===//
//
// Internal to the lowering of `ssm.scan` with tables: LowerTabulated.cpp chooses sizes
// and emits the loop over time, TabulatedStaging.cpp moves tokens between memory and the
// registers of products, TabulatedProducts.cpp multiplies.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_TABULATEDKERNEL_H
#define SSMC_LIB_TARGET_NVPTX_TABULATEDKERNEL_H

#include "Target/NVPTX/KernelEmitter.h"
#include "Target/NVPTX/TensorCores.h"
#include "ssm/Analysis/InvariantForm.h"

namespace ssmc::nvptx {
using namespace mlir;
using mlir::ssm::CoefficientsOp;
using mlir::ssm::InvariantForm;
using mlir::ssm::ScanOp;

/// With the tables of a channel (`ssm.scan`), u the inputs of a chunk and s the state
/// before it:
///
///   w = write u,   y = kernel u + read s,   s = A^32 s + w
///
/// A warp has one channel, whose tables stay in its registers as right operands for the
/// whole sequence; a block has eight channels that are neighbours in memory, 16 bytes of
/// a token. The products are transposed: their 16 rows are chunks, 16 / n that follow each
/// other of n rows of the batch. So tables are multiplied with what is never padded, and
/// the sums that are states of a chunk are a left operand of the next product. States stay
/// in f32; of two chunks the same thread has them, those of others it gets by shuffles.
///
/// A thread loads the eight channels of two neighbouring tokens, some tiles ahead, and
/// puts pairs of tokens, channel by channel, into shared memory: registers of left operands
/// as their threads want them. Outputs take their place and go back the same way.
class TabulatedKernel : KernelEmitter {
public:
  /// A block has `rows` rows of the batch.
  TabulatedKernel(ScanOp op, OpBuilder &builder, int64_t rows);

  bool fits();
  /// Memory whose rows have to begin at multiples of vectors.
  SmallVector<Value> getVectorMemory();
  void run();

private:
  /// Real and imaginary part, or two numbers, of neighbouring columns.
  using Pair = std::array<Value, 2>;
  using Words = SmallVector<Value>;

  /// An operand over time whose channels are loaded together.
  struct Stream {
    Value memref;
    AffineMap map;
  };

  // LowerTabulated.cpp
  bool findStreams();
  std::optional<unsigned> addStream(Value memref, AffineMap map);
  bool isVector(Value memref, AffineMap map);
  void bindThread(Value thread, Value block);
  /// Sets the point to the channel of the warp.
  void bindChannel() { point[*form.lane] = channel; }
  /// Sets the point to a token of the order, or the last one; whether there is such one.
  Value bindToken(Value step);
  /// Binds the key of a number of the state; whether there is such a number.
  Value bindNumber(Value number);
  /// Carries the states, then what is loaded ahead, of the tiles after `begin`.
  SmallVector<Value> forTiles(Value begin, Value end, int64_t step, bool areWhole,
                              ValueRange carried);
  SmallVector<Value> emitStep(Value tile, bool isWhole, ValueRange carried);
  SmallVector<Value> loadStates();
  void storeStates(ValueRange states);
  /// The states after the tokens from `begin` on, one by one.
  SmallVector<Value> runRest(Value begin, ValueRange states);

  // TabulatedStaging.cpp
  /// Binds the first or second token that this thread loads of a tile, and its channels.
  Value bindPiece(Value tile, int64_t which);
  Words loadTile(Value tile);
  void stageTile(ValueRange loaded, Value stage);
  Words makeInputs(ValueRange loaded);
  /// Words of two tokens each, channel by channel, of those of two channels each.
  Words pairTokens(Value first, Value second);
  void storeTile(Value tile, Value stage);
  Value permute(Value low, Value high, int32_t selector);
  Value evaluateInput(function_ref<Value(unsigned)> getArgument);
  Value loadAtPoint(Value memref, AffineMap map) {
    return loops.load(memref, loops.apply(map, point));
  }
  /// The two numbers of a word, as elements of `type`.
  Pair splitWord(Value word, Type type);

  // TabulatedProducts.cpp
  void loadTables();
  Value loadTable(unsigned number, ArrayRef<Value> indices);
  /// What `load` makes of a number of the state; zero if there is no such number.
  Value loadOfNumber(Value number, function_ref<Value(Value)> load);
  Pair advance(Pair state, Pair power);
  /// The same, and `sum` more.
  Pair advance(Pair state, Pair power, Pair sum);
  /// The states after a tile, or after the last of its chunks that is whole.
  SmallVector<Value> emitTile(Value tile, Value stage, ValueRange states, bool isWhole);
  /// States before both chunks of this thread, and those after all chunks.
  struct Chain {
    Pair first, second, after;
  };
  Chain chainChunks(Pair state, Pair power, Pair firstSum, Pair secondSum);
  Pair shuffle(Pair pair, Value from);
  Pair choose(Value condition, Pair left, Pair right);
  void multiplyInputs(MutableArrayRef<SmallVector<Value>> outputs,
                      ArrayRef<Value> inputs);
  /// Puts what the epilogue makes of them where the inputs were.
  void storeOutputs(Value tile, Value stage, ArrayRef<Value> inputs,
                    ArrayRef<SmallVector<Value>> outputs);
  Value applyEpilogue(Value sum, function_ref<Value(unsigned)> getOperand);
  SmallVector<Value> placeOfWord(Value stage, int64_t word) {
    return {stage, warp, loops.index(word), lane};
  }

  Value zero() { return loops.constant(f32, 0.0); }

  static constexpr int64_t kTile = 8, kDepth = 16; ///< of the tensor cores
  static constexpr int64_t kWarp = 32, kChannels = 8, kThreads = kWarp * kChannels;
  static constexpr int64_t kChunk = 32;
  /// Registers of a left operand of two chunks: as many as warps, which stage one each.
  static constexpr int64_t kWords = kChunk / kDepth * 4;
  static constexpr int64_t kStages = 3;     ///< of tiles in shared memory
  static constexpr int64_t kTilesAhead = 4; ///< that are loaded

  ScanOp op;
  TensorCores cores;
  CoefficientsOp roles;
  FloatType f32;
  Type i32;
  int64_t batchRows, groups, tileTokens; ///< groups of two chunks of a row
  InvariantForm form;
  int64_t numbers = 0, paddedNumbers = 0; ///< of the state of a channel
  int64_t parts = 1, channels = 0, outerExtent = 1;
  SmallVector<Stream> streams;
  SmallVector<std::optional<unsigned>> argumentStreams; ///< of the coefficients
  std::optional<unsigned> copied; ///< the stream that is the inputs as they are

  SmallVector<Value> point, sizes;
  Value length, lane, warp;
  Value firstChannel, channel; ///< of the block; of the warp
  Value tableOuter, tableTile;
  /// Of the sums of this thread: the first of two columns; of their rows the group of two
  /// chunks, and whether there is such a row of the batch.
  Value laneColumn, group, isRow;
  Value buffer; ///< shared: stage x channel x word x thread
  SmallVector<Value> operands; ///< of the epilogue that do not change with time
  SmallVector<SmallVector<Words>> write, read; ///< by depth and column: two words
  Words kernel;              ///< by blocks from the diagonal on
  SmallVector<Pair> powers;  ///< of the transition, for a chunk
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_TABULATEDKERNEL_H
