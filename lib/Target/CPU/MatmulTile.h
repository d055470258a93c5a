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
  /// Panels from `panel` on that are read side by side: so many streams of
  /// memory in flight.
  int64_t panels = 1;
  /// First index of the depth in the weights, and the number of them.
  mlir::Value depthBegin, depth;
  /// Whether `depth` may be other than a multiple of the unrolled step.
  int64_t depthDivisor = 1;
  /// Receives the sums at `[sumsRow + row, column]`, those of each further panel
  /// `sumsPanelStride` rows below.
  mlir::Value sums;
  mlir::Value sumsRow;
  int64_t sumsPanelStride = 0;
  /// Starts from the values in `sums` where this is true; null: never.
  mlir::Value resume;
  int64_t rows, width, lanes;
  mlir::Type accumulator;

  bool isPaired() const;
  bool isDot() const;
};

void emitMatmulTile(mlir::ImplicitLocOpBuilder &b, const MatmulTile &tile);

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_MATMULTILE_H
