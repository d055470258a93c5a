//===- Passes.h - Passes over upstream dialects ----------------*- C++ -*-===//

#ifndef SSMC_TRANSFORMS_PASSES_H
#define SSMC_TRANSFORMS_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace ssmc {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "ssmc/Transforms/Passes.h.inc"
} // namespace ssmc

#endif // SSMC_TRANSFORMS_PASSES_H
