//===- Describe.h - Layout and description of a compiled layer -*- C++ -*-===//

#ifndef SSMC_PIPELINE_DESCRIBE_H
#define SSMC_PIPELINE_DESCRIBE_H

#include "ssmc/Pipeline/Pipeline.h"

namespace ssmc {

/// Gives every prepared table its offset, makes `step` from `forward` (where no part
/// of the layer looks ahead), and records names, shapes and dtypes of everything a
/// caller sees in the module attribute `ssm.module`.
mlir::LogicalResult describeModule(mlir::ModuleOp module,
                                   const PipelineOptions &options);

/// Adds the sizes of the arenas, known after memory planning.
void describeWorkspaces(mlir::ModuleOp module);

} // namespace ssmc

#endif // SSMC_PIPELINE_DESCRIBE_H
