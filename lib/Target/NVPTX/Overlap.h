//===- Overlap.h - Kernels that begin before others end --------*- C++ -*-===//
//
// From sm_90 on a kernel may be launched while the one before it still runs (programmatic
// dependent launch): every kernel lets the next one begin at once, and waits for the end of
// all before it in front of its first access to memory that they may have written.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_OVERLAP_H
#define SSMC_LIB_TARGET_NVPTX_OVERLAP_H

#include "mlir/IR/Builders.h"
#include "llvm/IR/Module.h"

namespace ssmc::nvptx {

/// The kernel waits here. One without such a place waits at its beginning.
void emitWait(mlir::OpBuilder &builder, mlir::Location loc);

/// Makes `kernels`, those of `code` for `arch`, overlap where that can, and says so by a
/// variable (ssmrt.h); elsewhere they do not wait.
void overlapKernels(llvm::Module &code, llvm::ArrayRef<llvm::Function *> kernels,
                    llvm::StringRef arch);

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_OVERLAP_H
