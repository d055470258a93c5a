//===- MatmulTile.h - Sums of a tile of a product in registers --*- C++ -*-===//
//
// The innermost kernel of a product by packed weights.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_MATMULTILE_H
#define SSMC_TARGET_CPU_MATMULTILE_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace ssmc::cpu {

/// Where a tile's operands are.
struct MatmulTile {
  /// `rows x depth` inputs, of the accumulator's type, or bf16 for dot products
  /// of pairs; zero past an odd depth if weights come in pairs.
  mlir::Value input;
  /// Packed weights, pairs and columns collapsed into one dimension.
  mlir::Value weight;
  mlir::Value panel;
  /// First index of the depth in the weights, and the number of them.
  mlir::Value depthBegin, depth;
  /// Whether `depth` may be other than a multiple of the unrolled step.
  int64_t depthDivisor = 1;
  /// Receives the sums at `[sumsRow + row, column]`.
  mlir::Value sums;
  mlir::Value sumsRow;
  /// Starts from the values in `sums` where this is true; null: never.
  mlir::Value resume;
  /// How far ahead of the loads weights are asked for, and half as far once more for
  /// the first cache; 0: not at all.
  int64_t prefetchBytes = 0;
  int64_t rows, width, lanes;
  mlir::Type accumulator;

  bool isPaired() const;
  bool isDot() const;
};

void emitMatmulTile(mlir::ImplicitLocOpBuilder &b, const MatmulTile &tile);

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_MATMULTILE_H
