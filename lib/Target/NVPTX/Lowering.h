//===- Lowering.h - Forms of single ops on a GPU ---------------*- C++ -*-===//

#ifndef SSMC_LIB_TARGET_NVPTX_LOWERING_H
#define SSMC_LIB_TARGET_NVPTX_LOWERING_H

#include "mlir/IR/PatternMatch.h"
#include "ssm/IR/SSM.h"

namespace ssmc::nvptx {

// Each of these erases the op. `cooperative`: threads may work together.

/// A recurrence with a thread for each lane, or several, and the lane's states in
/// registers; fails where there are too many, or their number is not known.
mlir::LogicalResult lowerScan(mlir::RewriterBase &rewriter, mlir::ssm::ScanOp op,
                              bool cooperative);

/// A convolution with few lags, known ones, by runs of tokens.
mlir::LogicalResult lowerConv(mlir::RewriterBase &rewriter, mlir::ssm::ConvOp op);

/// Rows of a norm with a block of threads each.
mlir::LogicalResult lowerNorm(mlir::RewriterBase &rewriter, mlir::ssm::NormOp op);

/// Products of tokens by weights in tiles of shared memory, or, of a few tokens, in sums
/// that threads share.
mlir::LogicalResult lowerMatmul(mlir::RewriterBase &rewriter, mlir::ssm::MatmulOp op);

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_LOWERING_H
