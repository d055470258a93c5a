//===- Lowering.h - Forms of single ops on a GPU ---------------*- C++ -*-===//

#ifndef SSMC_LIB_TARGET_NVPTX_LOWERING_H
#define SSMC_LIB_TARGET_NVPTX_LOWERING_H

#include "mlir/IR/PatternMatch.h"
#include "ssm/IR/SSM.h"

namespace ssmc::nvptx {

/// A recurrence with a thread for each lane and the lane's states in registers; fails
/// where there are too many, or their number is not known. Erases the op.
mlir::LogicalResult lowerScan(mlir::RewriterBase &rewriter, mlir::ssm::ScanOp op);

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_LOWERING_H
