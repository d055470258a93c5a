//===- Rewrites.h - What is settled before the first phase -----*- C++ -*-===//

#ifndef SSMC_LIB_PIPELINE_REWRITES_H
#define SSMC_LIB_PIPELINE_REWRITES_H

#include "mlir/IR/BuiltinOps.h"

namespace ssmc {

/// Writes on integer inputs that index a tensor how large they may be
/// (`ssm.limit`): the runtime checks it, the code does not.
void annotateIndexLimits(mlir::ModuleOp module);

/// Writes on `@forward` how many tokens a sequence may have (`ssm.longest`), where a
/// score reads an operand of a known extent at the distance of two tokens: beyond it
/// there is nothing to read. With several sequence axes such a layer is refused.
llvm::LogicalResult annotateLongest(mlir::ModuleOp module);

/// Makes results over the sequence results for its last token alone, and what is
/// computed only for them too.
void keepLastToken(mlir::ModuleOp module);

/// Inputs and outputs over a sequence become of type `dtype`, bf16 or f16, if they are
/// wider; what is computed from them stays as it is. States and weights do too.
void narrowTensors(mlir::ModuleOp module, llvm::StringRef dtype);

/// States of recurrences become of type `dtype`, bf16 or f16, in memory, if they are
/// wider. Those that nothing shrinks stay: sums and angles would lose what is small beside
/// them. Histories are inputs, which stay as well.
void narrowStates(mlir::ModuleOp module, llvm::StringRef dtype);

} // namespace ssmc

#endif // SSMC_LIB_PIPELINE_REWRITES_H
