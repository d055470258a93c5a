//===- TensorCores.h - Products by the tensor cores of a warp --*- C++ -*-===//
//
// mma.sync m16n8k16 of bf16 with sums in f32 (sm_80 and later). Numbers of f32 may be
// sums of several terms of bf16: two have 16 bits, and three products take the place of
// one.
//
// With g = lane / 4 and t = 2 * (lane % 4), a thread has of
//   the sums     16 x 8:   (g, t), (g, t + 1), (g + 8, t), (g + 8, t + 1)
//   the left    16 x 16:   pairs at (g, t), (g + 8, t), (g, t + 8), (g + 8, t + 8)
//   the right    16 x 8:   pairs at (t, g), (t + 8, g)
// so the sums of two products side by side are a left operand of the next.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_TENSORCORES_H
#define SSMC_LIB_TARGET_NVPTX_TENSORCORES_H

#include "Conversion/SSMToSCF/Loops.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace ssmc::nvptx {

/// The instruction: adds the product of four registers of `type`, bf16 or f16, with two to
/// four sums in f32.
void emitMma(mlir::OpBuilder &builder, mlir::Location loc, mlir::ValueRange left,
             mlir::ValueRange right, llvm::MutableArrayRef<mlir::Value> sums,
             mlir::NVVM::MMATypes type);

/// Four tiles of 8 x 8 numbers of 16 bits: a lane names a row of one, and has a pair of each.
llvm::SmallVector<mlir::Value> emitLdMatrix(mlir::OpBuilder &builder, mlir::Location loc,
                                            mlir::Value pointer, bool transposed);

/// A pointer to a buffer in shared memory.
mlir::Value getSharedPointer(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value buffer);

/// A matrix of bf16 in shared memory, row by row; of each term one.
struct SharedMatrix {
  mlir::Value pointer; ///< in the address space of shared memory
  int64_t rows = 0;
  /// Elements from a row to the next: eight rows lie in different banks.
  int64_t stride = 0;
};

class TensorCores {
public:
  /// Registers of an operand, term by term.
  using Fragment = llvm::SmallVector<llvm::SmallVector<mlir::Value>>;

  TensorCores(ssmc::detail::Loops &loops, int64_t terms) : loops(loops), terms(terms) {}

  /// How the four tiles of 8 x 8 lie in the 16 x 16 that a thread loads: tiles below
  /// each other come first (a left operand by rows, or a right one by columns), or those
  /// beside each other (two right operands by rows, which are columns of the product).
  enum class Order { belowFirst, besideFirst };
  /// The element of a 16 x 16 whose row of a tile this `lane` names.
  mlir::Value getOffset(Order order, mlir::Value lane, int64_t stride);

  /// Pairs of bf16, one a term, whose sums are `low` and `high`.
  llvm::SmallVector<mlir::Value> split(mlir::Value low, mlir::Value high);
  /// The numbers of such pairs.
  std::pair<mlir::Value, mlir::Value> join(mlir::ValueRange pairs);
  /// A left operand: columns `2 * i` and `2 * i + 1` of `sums` of two products.
  Fragment splitSums(llvm::ArrayRef<mlir::Value> sums);

  /// Four tiles of each term of `matrix` from `lane`'s place on, `row` and `column`
  /// further.
  Fragment load(const SharedMatrix &matrix, mlir::Value lane, int64_t row, int64_t column,
                bool transposed);
  /// Stores pairs, one a term, at an offset in elements.
  void store(mlir::ValueRange pairs, const SharedMatrix &matrix, mlir::Value offset);
  /// The transpose of a matrix of 8 x 8, of which the lane has a pair: of row lane / 4, the
  /// columns 2 * (lane % 4) and the next.
  mlir::Value transpose(mlir::Value pair);
  /// Stores vectors of pairs, one a term, at an offset in elements, aligned to their size.
  void storeWords(mlir::ValueRange vectors, const SharedMatrix &matrix, mlir::Value offset);
  /// Stores one number at an offset in elements.
  void storeNumber(mlir::Value number, const SharedMatrix &matrix, mlir::Value offset);

  /// Adds the product of `left` with tile `which` (0 or 1) of `right` to four sums.
  void multiply(llvm::MutableArrayRef<mlir::Value> sums, const Fragment &left,
                const Fragment &right, int64_t which);

private:
  mlir::Value at(mlir::Value pointer, mlir::Value offset);
  mlir::Value at(mlir::Value pointer, int64_t offset);
  int64_t sizeOf(const SharedMatrix &matrix) { return matrix.rows * matrix.stride; }

  ssmc::detail::Loops &loops;
  int64_t terms;
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_TENSORCORES_H
