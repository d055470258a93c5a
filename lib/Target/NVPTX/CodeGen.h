//===- CodeGen.h - PTX of a module's kernels -------------------*- C++ -*-===//

#ifndef SSMC_TARGET_NVPTX_CODEGEN_H
#define SSMC_TARGET_NVPTX_CODEGEN_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/LogicalResult.h"
#include <string>
#include <vector>

namespace ssmc::nvptx {

/// Kernels as text that the driver compiles when it loads them.
struct Kernels {
  std::vector<std::string> names; // by the numbers that launches use
  std::vector<int32_t> sharedBytes; // that each asks for when it is launched
  std::string ptx;
};

/// Whether `module` (in the machine phase) has kernels.
bool hasKernels(mlir::ModuleOp module);

/// PTX for the architecture `arch` ("sm_80") of the kernels of `module` in the machine
/// phase. Fails with a diagnostic where the code would need a library.
llvm::FailureOr<Kernels> emitPTX(mlir::ModuleOp module, llvm::StringRef arch);

} // namespace ssmc::nvptx

#endif // SSMC_TARGET_NVPTX_CODEGEN_H
