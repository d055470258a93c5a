//===- MatmulBlocking.h - Sizes of a product's loops -----------*- C++ -*-===//
//
// How a product by packed weights is cut into tasks and tiles: a function of
// shapes and target alone.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_MATMULBLOCKING_H
#define SSMC_TARGET_CPU_MATMULBLOCKING_H

#include "Target/CPU/PackedMatmul.h"

namespace ssmc::cpu {

/// A product's extents and the sizes of the loops, all static but the number
/// of tokens.
struct MatmulBlocking {
  int64_t depth, columns, width, panels, lanes;
  int64_t depthBlock, depthBlocks;
  int64_t inputPadding; // zeros follow the inputs to a multiple of this
  int64_t tileRows;
  /// Panels to a group, with many tokens and with few.
  int64_t group, smallGroup;
  /// Tokens that may be multiplied while weights are streamed; 0 if their inputs
  /// are too long for a cache.
  int64_t streamedRows;
  int64_t maxRows, minRows;
  /// Nanoseconds that a task takes at least.
  int64_t cost;

  MatmulBlocking(const PackedMatmul &matmul, const KernelTarget &target,
                 mlir::Type accumulator, BF16Unit unit);
};

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_MATMULBLOCKING_H
