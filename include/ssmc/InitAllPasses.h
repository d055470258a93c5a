//===- InitAllPasses.h - Registers every pass tools may name ---*- C++ -*-===//

#ifndef SSMC_INITALLPASSES_H
#define SSMC_INITALLPASSES_H

#include "Target/CPU/Passes.h"
#include "Target/NVPTX/Passes.h"
#include "mlir/InitAllPasses.h"
#include "ssm/Transforms/Passes.h"
#include "ssmc/Conversion/Passes.h"
#include "ssmc/Transforms/Passes.h"

namespace ssmc {

/// Passes of MLIR and ours. The compiler itself needs none of them by name.
inline void registerAllPasses() {
  mlir::registerAllPasses();
  mlir::ssm::registerSSMPasses();
  registerSSMCConversionPasses();
  registerSSMCTransformsPasses();
  cpu::registerCPUPasses();
  nvptx::registerNVPTXPasses();
}

} // namespace ssmc

#endif // SSMC_INITALLPASSES_H
