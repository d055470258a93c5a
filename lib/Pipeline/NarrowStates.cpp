//===- NarrowStates.cpp - States in a dtype of their own ------------------===//
//
// Reading and writing the state is most of what a step does. Here states get the dtype
// that the caller wants for them in memory, from the argument of `forward` through the
// loops over layers to the results, with a conversion beside each scan;
// ssm-fuse-states takes the conversions into the scans. The history of a short
// convolution is tokens of its input: it gets that dtype where they have it already, so
// that nothing is rounded.
//
//===----------------------------------------------------------------------===//

#include "ConvertTensor.h"
#include "Rewrites.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "ssm/IR/SSM.h"
#include "ssm/Transforms/ElementwiseBody.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace ssmc;

namespace {
/// A state on its way through `forward`: the memory that a step reads and overwrites.
class State {
public:
  State(BlockArgument argument, Type narrow) : argument(argument), narrow(narrow) {}

  /// Whether a recurrence carries it, and every one that does may round it; or short
  /// convolutions alone, whose inputs have no more digits.
  bool mayRound();
  void round();

private:
  /// All tensors that are the state, or a part of it, from `value` on.
  void follow(Value value);

  BlockArgument argument;
  Type narrow;
  llvm::SetVector<Value> values;
  llvm::SetVector<ssm::ScanOp> scans;
  llvm::SetVector<ssm::ConvOp> convolutions;
};
} // namespace

/// The values that a loop with `value` as an operand has in its place.
static SmallVector<Value> getLoopValues(OpOperand &use) {
  Operation *owner = use.getOwner();
  if (auto loop = dyn_cast<scf::ForOp>(owner))
    if (use.getOperandNumber() >= loop.getNumControlOperands())
      return {loop.getTiedLoopRegionIterArg(&use), loop.getTiedLoopResult(&use)};
  return {};
}

void State::follow(Value value) {
  if (!values.insert(value))
    return;
  for (OpOperand &use : value.getUses()) {
    Operation *owner = use.getOwner();
    if (auto scan = dyn_cast<ssm::ScanOp>(owner)) {
      scans.insert(scan);
    } else if (auto convolution = dyn_cast<ssm::ConvOp>(owner)) {
      convolutions.insert(convolution);
    } else if (isa<tensor::ExtractSliceOp>(owner) && use.getOperandNumber() == 0) {
      follow(owner->getResult(0));
    } else if (auto insert = dyn_cast<tensor::InsertSliceOp>(owner)) {
      if (&use == &insert.getDestMutable())
        follow(insert.getResult());
    } else {
      for (Value inside : getLoopValues(use))
        follow(inside);
    }
  }
}

/// Whether `value` is what was in `narrow` before.
static bool isWidened(Value value, Type narrow) {
  Value before = ssm::getConverted<arith::ExtFOp>(value);
  return before && getElementTypeOrSelf(before) == narrow;
}

bool State::mayRound() {
  if (!isWider(argument.getType(), narrow))
    return false;
  follow(argument);
  if (scans.empty())
    return !convolutions.empty() &&
           llvm::all_of(convolutions, [&](ssm::ConvOp convolution) {
             return !convolution.isLong() && !convolution.getPosition() &&
                    isWidened(convolution.getInput(), narrow);
           });
  return convolutions.empty() && llvm::all_of(scans, [](ssm::ScanOp scan) {
    ssm::CoefficientsOp roles = scan.getCoefficientsOp();
    return !roles.getDecay().empty() || !roles.getDense().empty() ||
           !roles.getErase().empty();
  });
}

void State::round() {
  OpBuilder builder(argument.getContext());
  Type wide = getElementTypeOrSelf(argument.getType());
  for (Value value : values)
    value.setType(cast<RankedTensorType>(value.getType()).clone(narrow));
  // What is computed with the state sees all digits, what becomes of it is rounded.
  for (Value value : values) {
    SmallVector<OpOperand *> computed;
    for (OpOperand &use : value.getUses()) {
      Operation *owner = use.getOwner();
      bool isSlice = isa<tensor::ExtractSliceOp, tensor::InsertSliceOp>(owner);
      if (!isa<func::ReturnOp, scf::YieldOp, tensor::DimOp>(owner) &&
          getLoopValues(use).empty() && !(isSlice && values.contains(owner->getResult(0))))
        computed.push_back(&use);
    }
    if (computed.empty())
      continue;
    builder.setInsertionPointAfterValue(value);
    Value widened = convertTensor(builder, value.getLoc(), value, wide);
    for (OpOperand *use : computed)
      use->set(widened);
  }
  auto roundOperand = [&](OpOperand &operand) {
    if (!isWider(operand.get().getType(), narrow))
      return;
    builder.setInsertionPoint(operand.getOwner());
    operand.set(convertTensor(builder, operand.getOwner()->getLoc(), operand.get(), narrow));
  };
  for (Value value : values) {
    if (auto insert = value.getDefiningOp<tensor::InsertSliceOp>())
      roundOperand(insert.getSourceMutable());
    if (auto loop = value.getDefiningOp<scf::ForOp>())
      roundOperand(*loop.getTiedLoopYieldedValue(
          loop.getRegionIterArg(cast<OpResult>(value).getResultNumber())));
  }
}

void ssmc::narrowStates(ModuleOp module, StringRef dtype) {
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  if (!forward)
    return;
  Type narrow = getNarrowType(module.getContext(), dtype);
  OpBuilder builder(module.getContext());
  Operation *terminator = forward.getBody().front().getTerminator();
  for (BlockArgument argument : forward.getArguments()) {
    auto name = forward.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "ssm.state");
    State state(argument, narrow);
    if (!name || !state.mayRound())
      continue;
    state.round();
    builder.setInsertionPoint(terminator);
    for (OpOperand &result : terminator->getOpOperands())
      if (forward.getResultAttr(result.getOperandNumber(), "ssm.state") == name &&
          isWider(result.get().getType(), narrow))
        result.set(convertTensor(builder, terminator->getLoc(), result.get(), narrow));
  }
  forward.setType(builder.getFunctionType(forward.getBody().front().getArgumentTypes(),
                                          terminator->getOperandTypes()));
}
