//===- IndexLimits.cpp - How large integer inputs may be ------------------===//

#include "Rewrites.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

/// The smallest extent that `index` is an index into, or `limit`.
static int64_t limitOf(Value index, int64_t limit) {
  for (OpOperand &use : index.getUses()) {
    if (auto cast = llvm::dyn_cast<arith::IndexCastOp>(use.getOwner()))
      limit = limitOf(cast, limit);
    auto extract = llvm::dyn_cast<tensor::ExtractOp>(use.getOwner());
    if (!extract || use.getOperandNumber() == 0)
      continue;
    int64_t extent =
        extract.getTensor().getType().getDimSize(use.getOperandNumber() - 1);
    if (!ShapedType::isDynamic(extent) && (limit == 0 || extent < limit))
      limit = extent;
  }
  return limit;
}

void ssmc::annotateIndexLimits(ModuleOp module) {
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  if (!forward)
    return;
  for (BlockArgument argument : forward.getArguments()) {
    unsigned number = argument.getArgNumber();
    if (!forward.getArgAttr(number, "ssm.input") ||
        forward.getArgAttr(number, "ssm.limit") ||
        !getElementTypeOrSelf(argument.getType()).isInteger())
      continue;
    int64_t limit = 0;
    for (OpOperand &use : argument.getUses())
      if (auto op = llvm::dyn_cast<linalg::LinalgOp>(use.getOwner()))
        limit = limitOf(op.getMatchingBlockArgument(&use), limit);
    if (limit > 0)
      forward.setArgAttr(number, "ssm.limit",
                         Builder(module.getContext()).getI64IntegerAttr(limit));
  }
}
