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

/// Patterns that turn ssm ops on memory into scalar loops.
void populateSSMToSCFConversionPatterns(mlir::RewritePatternSet &patterns);
} // namespace ssmc

#endif // SSMC_CONVERSION_SSMTOSCF_H
