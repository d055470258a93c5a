//===- ModuleDescription.h - The exported module of a layer ----*- C++ -*-===//

#ifndef SSMC_TARGET_CPU_MODULEDESCRIPTION_H
#define SSMC_TARGET_CPU_MODULEDESCRIPTION_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"
#include "ssmrt/ssmrt.h"
#include <string>
#include <vector>

namespace ssmc {

/// Kernels of a layer for CUDA, as `ssmrt_cuda_code` has them.
struct CUDACode {
  struct Cubin {
    int32_t arch = 0;    // 90 for compute capability 9.0
    int32_t variant = 0; // 0, or 'a'
    std::string data;
  };
  std::vector<std::string> kernels; // names, by number
  std::vector<int32_t> sharedBytes; // that they are launched with
  std::string ptx;
  std::vector<Cubin> cubins;
};

/// Adds the constants and functions of `ssmrt_module` (ssmrt.h) to the LLVM module
/// of a layer. `description` is the module attribute `ssm.module` that
/// describeModule made; `code` is null for a layer that runs on the CPU.
void emitModuleDescription(llvm::Module &module, mlir::DictionaryAttr description,
                           const CUDACode *code = nullptr);
/// Puts the bytes of the weights into the module of the layer exported as NAME_module:
/// its `embedded_weights`. In the order of the description; a tensor without data is
/// absent.
void embedWeights(llvm::Module &module, llvm::StringRef name,
                  llvm::ArrayRef<ssmrt_tensor> weights);
/// Moves the code of a layer for CUDA, exported as CUDANAME_module, into the module of
/// the same layer for the CPU, whose `cuda` it becomes, with its embedded weights. Returns
/// false where the two cannot be linked.
bool joinModules(llvm::Module &module, llvm::StringRef name, const llvm::Module &cuda,
                 llvm::StringRef cudaName);
/// The dtype of a name in the description: "f32", "bf16", "i64", "bool".
ssmrt_dtype dtypeNamed(llvm::StringRef name);

} // namespace ssmc

#endif // SSMC_TARGET_CPU_MODULEDESCRIPTION_H
