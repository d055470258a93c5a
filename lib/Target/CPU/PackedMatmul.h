//===- PackedMatmul.h - Products by packed weights as loops ----*- C++ -*-===//
//
// `y[..., n] = epilogue(sum_k x[..., k] W[n, k])` for weights in the panel
// layouts of `ssm.pack`, and the packing itself, as loops of vector code.
//
// Work is a one-dimensional `scf.parallel` over tasks, in one of two forms: for many
// tokens (BlockedMatmul.cpp), and for few, which wait for the weights
// (StreamedMatmul.cpp). Partitions depend on shapes alone, so results do not depend
// on the number of threads.
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
  /// So many bytes of memory, for nothing but this product while it runs.
  llvm::function_ref<mlir::Value(int64_t)> getScratch;
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
