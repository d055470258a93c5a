//===- ModuleDescription.h - The exported module of a layer ----*- C++ -*-===//

#ifndef SSMC_TARGET_CPU_MODULEDESCRIPTION_H
#define SSMC_TARGET_CPU_MODULEDESCRIPTION_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"
#include "ssmrt/ssmrt.h"

namespace ssmc {

/// Adds the constants and functions of `ssmrt_module` (ssmrt.h) to the LLVM module
/// of a layer. `description` is the module attribute `ssm.module` that
/// describeModule made.
void emitModuleDescription(llvm::Module &module, mlir::DictionaryAttr description);
/// Puts the bytes of the weights into the module of the layer exported as NAME_module:
/// its `embedded_weights`. In the order of the description; a tensor without data is
/// absent.
void embedWeights(llvm::Module &module, llvm::StringRef name,
                  llvm::ArrayRef<ssmrt_tensor> weights);
/// The dtype of a name in the description: "f32", "bf16", "i64", "bool".
ssmrt_dtype dtypeNamed(llvm::StringRef name);

} // namespace ssmc

#endif // SSMC_TARGET_CPU_MODULEDESCRIPTION_H
