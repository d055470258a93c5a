//===- Machine.h - What the cost model knows of a GPU ----------*- C++ -*-===//

#ifndef SSMC_TARGET_NVPTX_MACHINE_H
#define SSMC_TARGET_NVPTX_MACHINE_H

#include "ssm/Analysis/Machine.h"

namespace ssmc::nvptx {

/// The figures of a multiprocessor of the architecture `arch` ("sm_90a"); those of the
/// closest older one that is known where it is not. `roundsTables`: there is code for chunks
/// with tables, whose operands are rounded to bf16.
mlir::ssm::Machine getMachine(llvm::StringRef arch, bool roundsTables);

/// Whether code for all of `archs` may have products of warpgroups (wgmma). There has to be
/// one: otherwise code is for whatever comes.
bool haveWarpgroups(llvm::ArrayRef<std::string> archs);

/// Bytes of shared memory that a block may ask for wherever code for `archs` runs.
int64_t getSharedBytes(llvm::ArrayRef<std::string> archs);

} // namespace ssmc::nvptx

#endif // SSMC_TARGET_NVPTX_MACHINE_H
