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
constexpr llvm::StringLiteral kIndependentAttr = "ssm.independent";

/// Patterns that turn ssm ops on memory into scalar loops. With `lanesOutside` a
/// recurrence loops over its lanes, which are independent of each other, outside of the
/// loop over time.
void populateSSMToSCFConversionPatterns(mlir::RewritePatternSet &patterns,
                                        bool lanesOutside = false);
} // namespace ssmc

#endif // SSMC_CONVERSION_SSMTOSCF_H
