//===- PackedMatmul.h - Products by packed weights as loops ----*- C++ -*-===//
//
// `y[..., n] = epilogue(sum_k x[..., k] W[n, k])` for weights in the panel
// layouts of `ssm.pack`, and the packing itself, as loops of vector code.
//
// Work is a one-dimensional `scf.parallel` over tasks: blocks of tokens by
// groups of panels. The partition depends on shapes alone, so results do not
// depend on the number of threads. A task:
//
//   for each block of the depth K                      (one, unless K is large)
//     for each tile of tokens
//       copy the tokens' inputs to a small buffer      (contiguous, widened)
//       for each panel of the group
//         sums of tile x panel in registers            (over the depth)
//         epilogue, columns across lanes, and store
//
// A tile has as many tokens as registers allow, at the end of a block 8, 4, 2
// or 1; or 32 and 16 where sums are in matrix registers, `AMXTile.h`, which
// products of few tokens do without. The weights of a group stay in the core's own cache from tile to tile;
// with few tokens a group is one or two panels and the loop streams weights.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_PACKEDMATMUL_H
#define SSMC_TARGET_CPU_PACKEDMATMUL_H

#include "Target/CPU/KernelTarget.h"
#include "mlir/IR/AffineMap.h"
#include "mlir/IR/Builders.h"

namespace ssmc::cpu {

/// Operands are memrefs. `input` and `output` have the same number of
/// dimensions, their last ones static.
struct PackedMatmul {
  mlir::Value input;
  mlir::Value weight;
  mlir::Value output;
  /// Inputs are rounded to the weight's element type first.
  bool roundInput = false;
  /// As in `ssm.matmul`; without it the sums are stored.
  mlir::Region *epilogue = nullptr;
  llvm::SmallVector<mlir::Value> epilogueInputs;
  llvm::SmallVector<mlir::AffineMap> epilogueMaps;
};

/// Reports and fails if a type is not one that kernels exist for.
mlir::LogicalResult emitPackedMatmul(mlir::OpBuilder &builder,
                                     mlir::Location loc,
                                     const PackedMatmul &matmul,
                                     const KernelTarget &target);

/// From `weight[n, k]`, or `weight[k, n]`, to panels.
void emitPackWeights(mlir::OpBuilder &builder, mlir::Location loc,
                     mlir::Value weight, mlir::Value packed, bool transposed);

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_PACKEDMATMUL_H
