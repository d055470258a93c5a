//===- Passes.h - ssm to ssm -----------------------------------*- C++ -*-===//

#ifndef SSM_TRANSFORMS_PASSES_H
#define SSM_TRANSFORMS_PASSES_H

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Pass/Pass.h"
#include "ssm/Analysis/RecurrenceClass.h"
#include "ssm/IR/SSM.h"

namespace mlir {
class RewritePatternSet;

namespace ssm {
#define GEN_PASS_DECL
#include "ssm/Transforms/Passes.h.inc"

/// Why `mode` is not possible for a recurrence: the mathematics forbids it, or there
/// is no lowering for it. Empty if it is possible.
std::string reasonAgainst(ScanOp scan, const RecurrenceInfo &info, ExecutionMode mode);

/// Patterns of ssm-expand-discretize.
void populateExpandDiscretizePatterns(RewritePatternSet &patterns);

#define GEN_PASS_REGISTRATION
#include "ssm/Transforms/Passes.h.inc"
} // namespace ssm
} // namespace mlir

#endif // SSM_TRANSFORMS_PASSES_H
