//===- Assembler.h - PTX to machine code of a GPU --------------*- C++ -*-===//

#ifndef SSMC_TARGET_NVPTX_ASSEMBLER_H
#define SSMC_TARGET_NVPTX_ASSEMBLER_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <optional>
#include <string>

namespace ssmc::nvptx {

/// An architecture of NVIDIA's GPUs, from a name such as sm_90 or sm_90a.
struct Arch {
  int number = 0;   // 90 for compute capability 9.0
  char variant = 0; // 'a' or 'f': code for it runs on that very architecture alone
};
std::optional<Arch> parseArch(llvm::StringRef name);

/// NVIDIA's assembler, ptxas: on the PATH, or in the folder bin of CUDA_HOME or
/// CUDA_PATH; "" where there is none.
std::string findAssembler();

/// The machine code (a cubin) of `ptx` for the architecture `arch`, by the program
/// `assembler`, whose complaints are the message of a failure.
llvm::Expected<std::string> assemble(llvm::StringRef ptx, llvm::StringRef arch,
                                     llvm::StringRef assembler);

} // namespace ssmc::nvptx

#endif // SSMC_TARGET_NVPTX_ASSEMBLER_H
