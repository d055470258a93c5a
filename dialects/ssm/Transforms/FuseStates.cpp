//===- FuseStates.cpp - Conversions of states into scans ------------------===//
//
// ssm-fuse-states: a scan whose state is widened before it and rounded after it reads and
// writes the narrow state; a convolution its history, where the option says so.
//
//===----------------------------------------------------------------------===//

#include "ElementwiseBody.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "ssm/IR/SSM.h"
#include "ssm/Transforms/Passes.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_FUSESTATESPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;

/// The state in 16 bits that `value` is in f32; null if it is anything else.
static Value getNarrow(Value value) {
  Value narrow = ssm::getConverted<arith::ExtFOp>(value);
  bool isNarrow = narrow && getElementTypeOrSelf(value).isF32() &&
                  getElementTypeOrSelf(narrow).getIntOrFloatBitWidth() == 16;
  return isNarrow ? narrow : Value();
}

/// What alone reads `state`, rounding it to `type`.
static linalg::GenericOp getRounding(Value state, Type type) {
  if (!state.hasOneUse())
    return {};
  auto rounding = dyn_cast<linalg::GenericOp>(*state.user_begin());
  return rounding && ssm::getConverted<arith::TruncFOp>(rounding.getResult(0)) == state &&
                 getElementTypeOrSelf(rounding.getResult(0)) == type
             ? rounding
             : nullptr;
}

/// `initial`: the operands of `op` that are states before it. Those after it are its results
/// from `firstResult` on, which `outs` has the destinations of.
static void fuseStates(RewriterBase &rewriter, Operation *op, MutableOperandRange initial,
                       MutableOperandRange outs, unsigned firstResult) {
  unsigned width = initial.size();
  if (width == 0 || outs.size() < firstResult + width)
    return;
  SmallVector<Value> narrow;
  SmallVector<linalg::GenericOp> roundings;
  llvm::SmallSetVector<Operation *, 4> widenings;
  for (unsigned part = 0; part < width; ++part) {
    Value wide = initial[part].get(), final = outs[firstResult + part].get();
    Value state = getNarrow(wide);
    if (!state || getNarrow(final) != state ||
        (!narrow.empty() && state.getType() != narrow.front().getType()))
      return;
    narrow.push_back(state);
    roundings.push_back(
        getRounding(op->getResult(firstResult + part), getElementTypeOrSelf(state)));
    if (!roundings.back())
      return;
    widenings.insert(wide.getDefiningOp());
    widenings.insert(final.getDefiningOp());
  }
  rewriter.modifyOpInPlace(op, [&] {
    for (auto [part, state] : llvm::enumerate(narrow)) {
      initial[part].set(state);
      outs[firstResult + part].set(state);
      op->getResult(firstResult + part).setType(state.getType());
    }
  });
  for (auto [part, rounding] : llvm::enumerate(roundings))
    rewriter.replaceOp(rounding, op->getResult(firstResult + part));
  for (Operation *widening : widenings)
    if (widening->use_empty())
      rewriter.eraseOp(widening);
}

namespace {
class FuseStatesPass : public ssm::impl::FuseStatesPassBase<FuseStatesPass> {
public:
  using FuseStatesPassBase::FuseStatesPassBase;

private:
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<ssm::ScanOp>(op) || (histories && isa<ssm::ConvOp>(op)))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      if (auto scan = dyn_cast<ssm::ScanOp>(op))
        fuseStates(rewriter, scan, scan.getInitialMutable(), scan.getOutsMutable(),
                   scan.getNumOutputs());
      else if (auto convolution = cast<ssm::ConvOp>(op); convolution.getFinalHistory())
        fuseStates(rewriter, convolution, convolution.getHistoryMutable(),
                   convolution.getOutsMutable(), /*firstResult=*/1);
    }
  }
};
} // namespace
