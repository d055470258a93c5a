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

#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/MatmulKernel.h"
#include "Target/NVPTX/NormRow.h"

namespace ssmc::nvptx {

/// A product of 16-bit numbers. The weight has panels of one column, which are its rows.
class TensorMatmul : MatmulKernel {
public:
  /// `norm`: of the input; null: there is none.
  TensorMatmul(mlir::ssm::MatmulOp op, mlir::ssm::NormOp norm, mlir::RewriterBase &b)
      : MatmulKernel(op, b), norm(norm), element(weightType.getElementType()),
        vectorType(mlir::VectorType::get(kVector, element)) {}

  bool fits();
  void run();

private:
  template <typename T> using SmallVector = llvm::SmallVector<T>;
  template <typename T> using ArrayRef = llvm::ArrayRef<T>;
  using NormOp = mlir::ssm::NormOp;

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

  /// How blocks share the columns, one half or both of an instruction's, and the warps of a
  /// block the depth: chunks of a warp are `ahead` in each of `passes`.
  struct Shares {
    int64_t halves, blocks, warps, passes, ahead;
    bool isGuarded; // some are beyond the end

    int64_t columns() const { return halves * kColumns / 2; }
  };
  Shares shareDepth();
  /// Whether the norm is computed with the product.
  bool canNorm();
  /// `norm` is computed here.
  void emitFew(NormOp norm);
  /// Measures the tokens from `firstRow` on, and gives the lane's row its own figures.
  void measureRows(NormRow &row, Value firstRow, Value thread, Value lane, Value figures);
  /// The sums that warps share, from registers to their end.
  void addShares(ArrayRef<Sums> chains, Value thread, Value partial, Value firstColumn,
                 Value firstRow, const Shares &shares);

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
  /// The same of tokens that `row`, a norm, is still to be applied to.
  Value loadNormed(NormRow &row, ArrayRef<Value> leading, Value k);
  Value guard(Value k, int64_t end, bool isGuarded, llvm::function_ref<Value(Value)> load);
  /// A load of 8 numbers that follow each other in `memref`.
  Value loadVector(Value memref, ArrayRef<Value> indices, mlir::MemRefType type);
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
  mlir::Type element;
  mlir::VectorType vectorType;
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_TENSORMATMUL_H
