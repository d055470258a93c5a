//===- Launch.h - Launches whose threads work together ---------*- C++ -*-===//

#ifndef SSMC_LIB_TARGET_NVPTX_LAUNCH_H
#define SSMC_LIB_TARGET_NVPTX_LAUNCH_H

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace ssmc::nvptx {

/// Memory that the threads of a block share.
mlir::MemRefType sharedType(llvm::ArrayRef<int64_t> shape, mlir::Type element);

/// A launch of gridX x gridY blocks of `threads`, with `shared` memory; the builder is
/// left in its body. `fewer`: threads of a block, where not all of them.
mlir::gpu::LaunchOp startLaunch(mlir::OpBuilder &builder, mlir::Location loc,
                                mlir::Value gridX, mlir::Value gridY, int64_t threads,
                                llvm::ArrayRef<mlir::MemRefType> shared = {},
                                mlir::Value fewer = {});

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_LAUNCH_H
