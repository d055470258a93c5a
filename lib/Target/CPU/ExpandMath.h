//===- ExpandMath.h - Elementary functions as arithmetic -------*- C++ -*-===//

#ifndef SSMC_TARGET_CPU_EXPANDMATH_H
#define SSMC_TARGET_CPU_EXPANDMATH_H

#include "Target/CPU/VectorMath.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/PatternMatch.h"

namespace ssmc::cpu {

/// Replaces the elementary functions below `root` (see pass
/// `ssm-expand-math`).
void expandMath(mlir::Operation *root, const VectorMathOptions &options);

/// Makes of exp(x) in f32 the power of two of x * log2(e), rounded once more than x. Where
/// x is a product with something that `isFixed`, that takes the factor.
void toPowerOfTwo(mlir::RewriterBase &rewriter, mlir::math::ExpOp op,
                  llvm::function_ref<bool(mlir::Value)> isFixed);

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_EXPANDMATH_H
