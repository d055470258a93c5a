//===- SSMToSCF.h - Literal lowering of the ssm dialect --------*- C++ -*-===//

#ifndef SSMC_CONVERSION_SSMTOSCF_H
#define SSMC_CONVERSION_SSMTOSCF_H

#include "mlir/Pass/Pass.h"

namespace mlir {
class RewritePatternSet;
} // namespace mlir

namespace ssmc {
#define GEN_PASS_DECL_CONVERTSSMTOSCFPASS
#include "ssmc/Conversion/Passes.h.inc"

/// On a loop without results whose iterations may run in any order, also at once.
constexpr llvm::StringLiteral kIndependentAttr = "ssmc.independent";

/// Patterns that turn ssm ops on memory into scalar loops. With `forThreads` whatever is
/// independent is outside of whatever is not, so that a thread can have it: the lanes of
/// a recurrence are outside of time, and temporaries are on the stack of their point.
void populateSSMToSCFConversionPatterns(mlir::RewritePatternSet &patterns,
                                        bool forThreads = false);
} // namespace ssmc

#endif // SSMC_CONVERSION_SSMTOSCF_H
