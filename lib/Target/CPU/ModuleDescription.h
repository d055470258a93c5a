//===- ModuleDescription.h - The exported module of a layer ----*- C++ -*-===//

#ifndef SSMC_TARGET_CPU_MODULEDESCRIPTION_H
#define SSMC_TARGET_CPU_MODULEDESCRIPTION_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"

namespace ssmc {

/// Adds the constants and functions of `ssmrt_module` (ssmrt.h) to the LLVM module
/// of a layer. `description` is the module attribute `ssm.module` that
/// describeModule made.
void emitModuleDescription(llvm::Module &module, mlir::DictionaryAttr description);

} // namespace ssmc

#endif // SSMC_TARGET_CPU_MODULEDESCRIPTION_H
