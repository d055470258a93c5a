//===- MatmulEmitter.h - What both forms of a product share -----*- C++ -*-===//
//
// A product by packed weights has two forms. Many tokens, or a very long depth,
// are cut into blocks that stay in caches (BlockedMatmul.cpp). Few tokens wait for
// the weights, which are read once, from first to last (StreamedMatmul.cpp). Both
// copy inputs to a small buffer, make sums of tiles and put them through the
// epilogue.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_MATMULEMITTER_H
#define SSMC_TARGET_CPU_MATMULEMITTER_H

#include "Target/CPU/IndexMath.h"
#include "Target/CPU/MatmulBlocking.h"
#include "Target/CPU/MatmulTile.h"
#include "Target/CPU/PackedMatmul.h"

namespace ssmc::cpu {

/// The number of tokens of a product.
mlir::Value getTokens(IndexMath &index, mlir::Value output);

class MatmulEmitter {
public:
  MatmulEmitter(mlir::ImplicitLocOpBuilder &b, const PackedMatmul &matmul,
                const KernelTarget &target, mlir::Type accumulator,
                BF16Unit unit);

protected:
  /// Rows of `depth` inputs each.
  mlir::MemRefType getInputsType(int64_t rows, int64_t depth) const;
  mlir::Value allocate(mlir::MemRefType type);
  /// `rows` tokens from `row` on to the first rows of `inputs`.
  void copyInputs(mlir::Value row, mlir::Value rows, mlir::Value depthBegin,
                  mlir::Value depth);
  /// `rows` tokens of the buffers by the panel `panel` over the whole depth.
  MatmulTile getTile(int64_t rows, mlir::Value panel);
  /// Epilogue and stores for `rows` tokens from `row` on, one panel.
  void emitResults(mlir::Value row, mlir::Value rows, mlir::Value panel,
                   mlir::Value sumsRow);

  /// Calls `body` for every one of `rows` tokens with its number and its
  /// indices in the leading dimensions.
  void forTokens(mlir::Value row, mlir::Value rows,
                 llvm::function_ref<void(mlir::Value, mlir::ValueRange)> body);
  void forRange(mlir::Value begin, mlir::Value end, int64_t step,
                llvm::function_ref<void(mlir::Value)> body);
  /// Calls `body` with the one of `sizes`, constants, that `rows` is; the first
  /// if it is none.
  void switchRows(mlir::Value rows, llvm::ArrayRef<int64_t> sizes,
                  llvm::function_ref<void(int64_t)> body);
  /// One task for every number below `tasks`.
  void forTasks(mlir::Value tasks, llvm::function_ref<void(mlir::Value)> body);

  mlir::ImplicitLocOpBuilder &b;
  IndexMath index;
  const PackedMatmul &matmul;
  const KernelTarget &target;
  BF16Unit unit; // that this code uses
  mlir::Type accumulator, inputElement, outputElement;
  int64_t rank;
  MatmulBlocking s;

  mlir::Value tokens; // their number
  mlir::Value weight; // pairs and columns as one dimension
  mlir::Value inputs, sums;

private:
  void copyInput(mlir::Value i, mlir::ValueRange token, mlir::Value depthBegin,
                 mlir::Value depth);
  /// A vector of columns from `column` on, of which those before `columnsEnd`
  /// exist (null: all).
  void emitResult(mlir::ValueRange token, mlir::Value column,
                  mlir::Value sumsRow, mlir::Value offset,
                  mlir::Value columnsEnd);
  mlir::Value convert(mlir::Value value, mlir::Type element);
  /// An input, or a vector of inputs, as the tile wants it.
  mlir::Value convertInput(mlir::Value value);

  llvm::SmallVector<mlir::Value> tokenSizes; // the leading dimensions
};

/// For any number of tokens.
void emitBlockedMatmul(mlir::ImplicitLocOpBuilder &b, const PackedMatmul &matmul,
                       const KernelTarget &target, mlir::Type accumulator,
                       BF16Unit unit);
/// For at most `MatmulBlocking::streamedRows` tokens.
void emitStreamedMatmul(mlir::ImplicitLocOpBuilder &b,
                        const PackedMatmul &matmul, const KernelTarget &target,
                        mlir::Type accumulator, BF16Unit unit);

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_MATMULEMITTER_H
