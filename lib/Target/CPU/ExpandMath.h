//===- ExpandMath.h - Elementary functions as arithmetic -------*- C++ -*-===//

#ifndef SSMC_TARGET_CPU_EXPANDMATH_H
#define SSMC_TARGET_CPU_EXPANDMATH_H

#include "Target/CPU/VectorMath.h"

namespace ssmc::cpu {

/// Replaces the elementary functions below `root` (see pass
/// `ssm-expand-math`).
void expandMath(mlir::Operation *root, const VectorMathOptions &options);

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_EXPANDMATH_H
