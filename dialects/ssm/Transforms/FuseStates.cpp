//===- FuseStates.cpp - Conversions of states into scans ------------------===//
//
// ssm-fuse-states: a scan whose state is widened before it and rounded after it reads and
// writes the narrow state.
//
//===----------------------------------------------------------------------===//

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

/// Whether all that `op` does is a `Conversion` of each element.
template <typename Conversion>
static bool isConversion(linalg::GenericOp op) {
  if (!op || op.getNumDpsInputs() != 1 || op.getNumResults() != 1 ||
      !llvm::all_of(op.getIndexingMapsArray(), [](AffineMap map) { return map.isIdentity(); }))
    return false;
  Block &body = *op.getBody();
  auto yielded = cast<linalg::YieldOp>(body.getTerminator()).getOperand(0);
  auto conversion = yielded.template getDefiningOp<Conversion>();
  return conversion && conversion.getIn() == body.getArgument(0);
}

/// The state in 16 bits that `value` is in f32; null if it is anything else.
static Value getNarrow(Value value) {
  auto widened = value.getDefiningOp<linalg::GenericOp>();
  if (!getElementTypeOrSelf(value).isF32() || !isConversion<arith::ExtFOp>(widened))
    return {};
  Value narrow = widened.getDpsInputOperand(0)->get();
  return getElementTypeOrSelf(narrow).getIntOrFloatBitWidth() == 16 ? narrow : Value();
}

/// What alone reads `state`, rounding it to `type`.
static linalg::GenericOp getRounding(Value state, Type type) {
  if (!state.hasOneUse())
    return {};
  auto rounding = dyn_cast<linalg::GenericOp>(*state.user_begin());
  return isConversion<arith::TruncFOp>(rounding) &&
                 rounding.getDpsInputOperand(0)->get() == state &&
                 getElementTypeOrSelf(rounding.getResult(0)) == type
             ? rounding
             : nullptr;
}

static void fuseStates(RewriterBase &rewriter, ssm::ScanOp scan) {
  unsigned width = scan.getNumStates(), firstResult = scan.getNumOutputs();
  if (scan.getInitial().empty())
    return;
  SmallVector<Value> narrow;
  SmallVector<linalg::GenericOp> roundings;
  for (auto [initial, final] : llvm::zip_equal(scan.getInitial(), scan.getFinalStates())) {
    Value state = getNarrow(initial);
    if (!state || getNarrow(final) != state ||
        (!narrow.empty() && state.getType() != narrow.front().getType()))
      return;
    narrow.push_back(state);
    Value result = scan.getResult(firstResult + roundings.size());
    roundings.push_back(getRounding(result, getElementTypeOrSelf(state)));
    if (!roundings.back())
      return;
  }
  llvm::SmallSetVector<Operation *, 4> widenings;
  for (Value state : llvm::concat<Value>(SmallVector<Value>(scan.getInitial()),
                                         SmallVector<Value>(scan.getFinalStates())))
    widenings.insert(state.getDefiningOp());
  rewriter.modifyOpInPlace(scan, [&] {
    scan.getInitialMutable().assign(narrow);
    MutableOperandRange outs = scan.getOutsMutable();
    for (unsigned part = 0; part < width; ++part) {
      outs.slice(firstResult + part, 1).assign(narrow[part]);
      scan.getResult(firstResult + part).setType(narrow[part].getType());
    }
  });
  for (auto [part, rounding] : llvm::enumerate(roundings))
    rewriter.replaceOp(rounding, scan.getResult(firstResult + part));
  for (Operation *widening : widenings)
    if (widening->use_empty())
      rewriter.eraseOp(widening);
}

namespace {
class FuseStatesPass : public ssm::impl::FuseStatesPassBase<FuseStatesPass> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    SmallVector<ssm::ScanOp> scans;
    getOperation().walk([&](ssm::ScanOp scan) { scans.push_back(scan); });
    for (ssm::ScanOp scan : scans)
      fuseStates(rewriter, scan);
  }
};
} // namespace
