//===- JoinBranches.cpp - One destination for what branches yield ---------===//

#include "ssmc/Transforms/Passes.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

namespace ssmc {
#define GEN_PASS_DEF_JOINBRANCHESPASS
#include "ssmc/Transforms/Passes.h.inc"
} // namespace ssmc

using namespace mlir;

/// Moves expansions of what both branches yield behind them. Returns the new op, or null.
static scf::IfOp moveExpansions(RewriterBase &rewriter, scf::IfOp branch) {
  scf::YieldOp yields[] = {branch.thenYield(), branch.elseYield()};
  SmallVector<tensor::ExpandShapeOp> moved(branch.getNumResults());
  SmallVector<Type> types(branch.getResultTypes());
  bool changes = false;
  for (unsigned i = 0; i < branch.getNumResults(); ++i) {
    auto first = yields[0].getOperand(i).getDefiningOp<tensor::ExpandShapeOp>();
    auto second = yields[1].getOperand(i).getDefiningOp<tensor::ExpandShapeOp>();
    if (!first || !second || first.getSrcType() != second.getSrcType() ||
        first.getReassociation() != second.getReassociation() ||
        !llvm::all_of(first.getOutputShape(), [&](Value size) {
          return !branch->isAncestor(size.getParentBlock()->getParentOp());
        }))
      continue;
    moved[i] = first;
    types[i] = first.getSrcType();
    for (scf::YieldOp yield : yields)
      yield->setOperand(
          i, yield.getOperand(i).getDefiningOp<tensor::ExpandShapeOp>().getSrc());
    changes = true;
  }
  if (!changes)
    return {};
  rewriter.setInsertionPoint(branch);
  auto copy = scf::IfOp::create(rewriter, branch.getLoc(), types, branch.getCondition(),
                                /*addThenBlock=*/false, /*addElseBlock=*/false);
  copy->setDiscardableAttrs(branch->getDiscardableAttrDictionary());
  copy.getThenRegion().takeBody(branch.getThenRegion());
  copy.getElseRegion().takeBody(branch.getElseRegion());
  SmallVector<Value> results(copy.getResults());
  for (auto [i, expansion] : llvm::enumerate(moved))
    if (expansion)
      results[i] = tensor::ExpandShapeOp::create(
          rewriter, expansion.getLoc(), expansion.getResultType(), results[i],
          expansion.getReassociationIndices(), expansion.getMixedOutputShape());
  rewriter.replaceOp(branch, results);
  return copy;
}

/// The operand that is the destination of what `yield` yields, if that is an empty
/// tensor.
static OpOperand *getDestination(scf::YieldOp yield, unsigned number) {
  auto result = dyn_cast<OpResult>(yield.getOperand(number));
  auto op = result ? dyn_cast<DestinationStyleOpInterface>(result.getOwner())
                   : DestinationStyleOpInterface();
  if (!op || op->getBlock() != yield->getBlock())
    return nullptr;
  OpOperand *destination = op.getTiedOpOperand(result);
  return destination->get().getDefiningOp<tensor::EmptyOp>() ? destination : nullptr;
}

static void shareDestinations(RewriterBase &rewriter, scf::IfOp branch) {
  for (unsigned i = 0; i < branch.getNumResults(); ++i) {
    OpOperand *first = getDestination(branch.thenYield(), i);
    OpOperand *second = getDestination(branch.elseYield(), i);
    if (!first || !second || first->get().getType() != second->get().getType())
      continue;
    auto empty = first->get().getDefiningOp<tensor::EmptyOp>();
    if (empty.getMixedSizes() !=
            second->get().getDefiningOp<tensor::EmptyOp>().getMixedSizes() ||
        !llvm::all_of(empty.getDynamicSizes(), [&](Value size) {
          return !branch->isAncestor(size.getParentBlock()->getParentOp());
        }))
      continue;
    rewriter.setInsertionPoint(branch);
    Value shared = rewriter.clone(*empty)->getResult(0);
    first->set(shared);
    second->set(shared);
  }
}

namespace {
struct JoinBranchesPass : ssmc::impl::JoinBranchesPassBase<JoinBranchesPass> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    SmallVector<scf::IfOp> branches;
    getOperation().walk([&](scf::IfOp branch) {
      if (branch.getNumResults() > 0)
        branches.push_back(branch);
    });
    for (scf::IfOp branch : branches) {
      if (scf::IfOp moved = moveExpansions(rewriter, branch))
        branch = moved;
      shareDestinations(rewriter, branch);
    }
  }
};
} // namespace
