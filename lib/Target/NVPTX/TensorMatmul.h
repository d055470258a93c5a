//===- TensorMatmul.h - Products by tensor cores ---------------*- C++ -*-===//
//
// mma.sync m16n8k16 of bf16 or f16 with sums in f32: columns of the weight are the rows of
// the instruction, tokens its columns, so that up to 8 tokens waste nothing. A lane reads 16
// bytes, which follow each other in a row, of either operand, and they are two of the
// instruction's pieces: the order of a sum is free as long as both operands have the same.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_TENSORMATMUL_H
#define SSMC_LIB_TARGET_NVPTX_TENSORMATMUL_H

#include "Target/NVPTX/ConvStep.h"
#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Lowering.h"
#include "Target/NVPTX/MatmulKernel.h"
#include "Target/NVPTX/NormRow.h"

#include <functional>

namespace ssmc::nvptx {

/// The first column that `view` has of `whole`, of which it is all or, with the
/// same rank, some columns.
std::optional<int64_t> firstColumnOf(mlir::Value view, mlir::Value whole);

/// A product of 16-bit numbers. The weight has panels of one column, which are its rows.
class TensorMatmul : MatmulKernel {
public:
  TensorMatmul(mlir::ssm::MatmulOp op, Neighbours neighbours, Device device,
               mlir::RewriterBase &b)
      : MatmulKernel(op, b), norm(neighbours.norm), conv(neighbours.conv),
        device(device), element(weightType.getElementType()),
        vectorType(mlir::VectorType::get(kVector, element)) {}

  bool fits();
  void run();

private:
  template <typename T> using SmallVector = llvm::SmallVector<T>;
  template <typename T> using ArrayRef = llvm::ArrayRef<T>;
  using NormOp = mlir::ssm::NormOp;
  using ConvOp = mlir::ssm::ConvOp;

  /// Columns and tokens of an instruction; numbers that a lane reads together, and the depth
  /// that the four lanes of a row have then: two instructions.
  static constexpr int64_t kColumns = 16, kTokens = 8, kVector = 8, kChunk = 32;
  static constexpr int64_t kWarp = 32, kSums = 4;
  /// Of the form for few tokens: up to how many it is taken.
  static constexpr int64_t kFew = 32;

  /// Which of 8 rows of a fragment a lane reads, and which quarter of a chunk.
  struct Lane {
    Value row, quarter;
  };
  /// Sums of an instruction: two tokens of one column, then of the column 8 further.
  using Sums = SmallVector<Value>;

  // Few tokens: TensorMatmulFew.cpp.

  /// What a thread stores: the sum of a token and a column, both numbered in
  /// the block.
  struct Place {
    Value token, number, column, isThere;
    SmallVector<Value> leading, operands;
  };
  /// How blocks share the columns, one half or both of an instruction's, and
  /// the warps of a block the depth: chunks of a warp are `ahead` in each of
  /// `passes`; tokens of a block.
  /// With `stages` of a ring of weights (TensorMatmulRing.cpp), a multiprocessor has one
  /// block, which takes the columns of several.
  struct Shares {
    int64_t halves, blocks, warps, passes, ahead, tokens, stages = 0;
    bool isGuarded; // some are beyond the end

    int64_t columns() const { return halves * kColumns / 2; }
  };
  Shares shareDepth(int64_t tokens);
  std::optional<Shares> shareRing(int64_t tokens);
  /// Whether the norm is computed with the product.
  bool canNorm();
  /// Whether threads of a block have a sum each, of which they convolve some.
  bool canConvolve();
  /// Whether the norm may as well scale the sums: then nobody waits for its
  /// figures.
  bool scalesSums();
  /// Up to how many tokens the norm is computed with the product.
  int64_t countNormed();
  /// Puts tokens from `firstRow` on into shared memory as operands, of which
  /// the norm is to scale the sums, and each warp's sums of their squares.
  void stageTokens(NormRow &row, Value firstRow, Value thread, Value staged,
                   Value squares, const Shares &shares);
  /// Shared memory of a block: sums of `warps`, then what the norm needs.
  SmallVector<mlir::MemRefType> buffersOf(NormOp norm, int64_t warps,
                                          const Shares &shares);
  /// What loads operands of a lane, from a depth on, in a launch with those
  /// buffers, once the kernels before it have ended.
  std::function<Value(Value)> readTokens(NormOp norm, mlir::gpu::LaunchOp launch,
                                         Value firstRow, const Shares &shares);
  /// The place in the convolution's input of what a thread stores.
  SmallVector<Value> channelAt(ConvOp conv, const Place &place);
  /// The columns that a lane multiplies of a block's, which begin at `firstColumn`.
  SmallVector<Value> columnsOf(Value firstColumn, Lane lane, const Shares &shares);
  /// Where a lane's part of its warp's chunk `number` begins.
  Value depthOf(Value number, Value thread, const Shares &shares);
  /// `norm` and `conv`, of single tokens, are computed here; `groups` of blocks
  /// have up to `tokens` each.
  void emitFew(NormOp norm, ConvOp conv, int64_t tokens, Value groups);
  /// The same for one token, and for more.
  void emitFewForms(NormOp norm, ConvOp conv);
  /// The norm and the product alone, and either form of it.
  void emitProduct();
  /// Measures the tokens from `firstRow` on, and gives the lane's row its own figures.
  void measureRows(NormRow &row, Value firstRow, Value thread, Value lane,
                   Value figures, int64_t tokens);
  /// Of what is not there, leading indices and operands are others' that are.
  Place placeOf(Value number, Value firstColumn, Value firstRow,
                const Shares &shares);
  void loadOperands(Place &place);
  /// The channel of the convolution that a column is; beyond its channels
  /// others are.
  Value channelOf(Value column);
  /// The sums that warps share, from registers to their end, by way of `partial`
  /// from `firstWarp` on; of `squares`, if the norm is to scale sums, each warp
  /// has its share. `step` gets what is of its channels.
  void addShares(ArrayRef<Sums> chains, Value thread, Value partial,
                 Value firstWarp, Value squares, const Shares &shares,
                 ArrayRef<Place> places, std::optional<ConvStep> &step);
  /// Asks for what the epilogue of the norm reads of tables.
  void prefetchScales(Value thread, int64_t threads);
  /// What the sums of a block's first groups of columns will need that no kernel
  /// writes, and histories, are asked for; a thread has 8 columns.
  void prefetchPlaces(ConvOp conv, Value thread, Value block, Value firstRow,
                      int64_t grid, const Shares &shares);
  void emitRing(NormOp norm, ConvOp conv, const Shares &shares, Value groups);

  // Many tokens: TensorMatmulMany.cpp.

  class Tiles;
  void emitMany();
  /// Whether tokens can be copied as they are, 16 bytes at a time.
  bool canCopyTokens();

  // Operands and instructions: TensorMatmul.cpp.

  /// 8 numbers of the weight of `column`, or of a token, as they are in memory, from `k` on;
  /// with `isGuarded` zeros beyond the end.
  Value loadWeight(Value column, Value k, bool isGuarded);
  Value loadToken(ArrayRef<Value> leading, Value k, bool isGuarded);
  /// As operands. Whoever rounds waits for the load.
  Value round(Value numbers);
  /// The same of tokens that `row`, a norm, is still to be applied to; where it
  /// scales sums its epilogue alone is applied, and squares are added to
  /// `squares`.
  Value loadNormed(NormRow &row, ArrayRef<Value> leading, Value k,
                   bool isGuarded, Value *squares);
  Value guard(Value k, int64_t end, bool isGuarded, llvm::function_ref<Value(Value)> load);
  /// A load of 8 numbers that follow each other in `memref`.
  Value loadVector(Value memref, ArrayRef<Value> indices, mlir::MemRefType type);
  /// The place of an element in memory; and `bytes` further than `base`.
  Value makePointer(Value memref, ArrayRef<Value> indices);
  Value at(Value base, Value bytes);
  Value at(Value base, int64_t bytes);
  /// Begins to copy 8 numbers from `k` on of the row at `source` to shared memory;
  /// with `isGuarded` zeros from `end` on.
  void copyPiece(Value target, Value source, Value k, int64_t end, bool isGuarded);
  /// The registers of 8 numbers.
  SmallVector<Value> registersOf(Value vector);
  /// Adds the products of 16 columns and 8 tokens over a chunk to `first` and `second`.
  void multiply(Value low, Value high, Value token, Sums &first, Sums &second);
  void multiply(ArrayRef<Value> left, ArrayRef<Value> right,
                llvm::MutableArrayRef<Value> sums);
  Sums zeros() { return Sums(kSums, loops.constant(type, 0.0)); }
  Lane laneOf(Value thread) {
    Value lane = rem(thread, kWarp);
    return {div(lane, 4), rem(lane, 4)};
  }
  Value madd(Value x, int64_t y, Value z) {
    return loops.add(loops.mul(x, loops.index(y)), z);
  }

  NormOp norm;
  ConvOp conv;
  Device device;
  mlir::Type element;
  mlir::VectorType vectorType;
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_TENSORMATMUL_H
