//===- Passes.h - Passes of the CPU target ---------------------*- C++ -*-===//

#ifndef SSMC_TARGET_CPU_PASSES_H
#define SSMC_TARGET_CPU_PASSES_H

#include "mlir/Pass/Pass.h"

namespace ssmc::cpu {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "Target/CPU/Passes.h.inc"
} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_PASSES_H
