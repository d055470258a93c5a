//===- PreparedValues.cpp - What weights alone determine ------------------===//

#include "PreparedValues.h"
#include "Costs.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace mlir::ssm;

SetVector<Value> ssm::getReadValues(Operation *op) {
  SetVector<Value> values(op->operand_begin(), op->operand_end());
  getUsedValuesDefinedAbove(op->getRegions(), values);
  return values;
}

bool ssm::isDeterminedByWeights(Value value) {
  SetVector<Value> values;
  values.insert(value);
  bool sawWeight = false;
  for (unsigned next = 0; next < values.size(); ++next) {
    Value current = values[next];
    if (Operation *op = current.getDefiningOp()) {
      if (!isMemoryEffectFree(op) || isa<LoopLikeOpInterface>(op))
        return false;
      SetVector<Value> read = getReadValues(op);
      values.insert(read.begin(), read.end());
      continue;
    }
    auto argument = cast<BlockArgument>(current);
    Operation *parent = argument.getOwner()->getParentOp();
    if (auto loop = dyn_cast<scf::ForOp>(parent)) {
      if (argument != loop.getInductionVar())
        return false;
      continue;
    }
    auto function = dyn_cast<func::FuncOp>(parent);
    if (!function)
      return false;
    unsigned number = argument.getArgNumber();
    if (!function.getArgAttr(number, kWeightAttr) &&
        !function.getArgAttr(number, kTableAttr))
      return false;
    sawWeight = true;
  }
  return sawWeight;
}

static bool hasStaticTensorResults(Operation *op) {
  return llvm::all_of(op->getResultTypes(), [](Type type) {
    auto tensorType = dyn_cast<RankedTensorType>(type);
    return tensorType && tensorType.hasStaticShape();
  });
}

PreparedValues::PreparedValues(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments()) {
    unsigned number = argument.getArgNumber();
    if (function.getArgAttr(number, kWeightAttr) ||
        function.getArgAttr(number, kTableAttr))
      known[argument] = {nullptr, true};
  }
  classifyBlock(function.getBody().front(), nullptr);
}

std::optional<Prepared> PreparedValues::classify(Operation *op) const {
  if (op->getNumResults() == 0 || !isMemoryEffectFree(op))
    return std::nullopt;
  Prepared info = {nullptr, false};
  for (Value value : getReadValues(op)) {
    auto it = known.find(value);
    if (it == known.end())
      return std::nullopt;
    if (it->second.loop)
      info.loop = it->second.loop;
    info.worthy |= it->second.worthy;
  }
  if (hasStaticTensorResults(op)) {
    info.worthy |= containsCostlyScalar(op);
    return info;
  }
  // A number or a tensor of unknown extent cannot be a table. It may still be
  // an operand of one, unless it comes from weights.
  if (info.worthy)
    return std::nullopt;
  return info;
}

void PreparedValues::classifyBlock(Block &block, scf::ForOp loop) {
  for (Operation &op : block.without_terminator()) {
    if (std::optional<Prepared> info = classify(&op)) {
      for (Value result : op.getResults())
        known[result] = *info;
      continue;
    }
    // The index of an inner loop, or of one whose trips cannot be counted,
    // stays unknown: what depends on it is computed in place.
    auto nested = dyn_cast<scf::ForOp>(op);
    if (!nested || loop || !nested.getStaticTripCount())
      continue;
    known[nested.getInductionVar()] = {nested, false};
    classifyBlock(*nested.getBody(), nested);
  }
}
