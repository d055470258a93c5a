//===- Costs.h - What is dear to compute -----------------------*- C++ -*-===//
//
// Shared by the passes that move computations: what must not be repeated, and
// what is worth computing once.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_TRANSFORMS_COSTS_H
#define SSM_TRANSFORMS_COSTS_H

#include "mlir/IR/Operation.h"
#include "mlir/IR/Region.h"

namespace mlir::ssm {

/// True for a scalar op that takes as long as many multiplications:
/// transcendental functions, divisions, roots.
bool isCostlyScalar(Operation *op);

/// True if `op` or an op nested in it is costly.
bool containsCostlyScalar(Operation *op);

} // namespace mlir::ssm

#endif // SSM_TRANSFORMS_COSTS_H
