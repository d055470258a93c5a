//===- ElementwiseBody.cpp - Scalar code that can move --------------------===//

#include "ElementwiseBody.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;

ssm::Refusal ssm::refuseElementwise(linalg::GenericOp op) {
  if (!op.hasPureTensorSemantics())
    return "it is not on tensors";
  if (op.getNumReductionLoops() != 0)
    return "it is a reduction";
  for (OpOperand &init : op.getDpsInitsMutable())
    if (!op.getMatchingIndexingMap(&init).isPermutation())
      return "its result's map is no permutation";
  for (Operation &nested : op.getBody()->without_terminator()) {
    if (isa<linalg::IndexOp>(nested))
      return "it depends on indices";
    if (nested.getNumRegions() != 0 || !isMemoryEffectFree(&nested))
      return "its body is more than scalar arithmetic";
    for (Value operand : nested.getOperands())
      if (operand.getParentBlock() != op.getBody() &&
          !matchPattern(operand, m_Constant()))
        return "it uses a value from outside";
  }
  for (Value yielded : op.getBody()->getTerminator()->getOperands())
    if (yielded.getParentBlock() != op.getBody() &&
        !matchPattern(yielded, m_Constant()))
      return "it uses a value from outside";
  return nullptr;
}

AffineMap ssm::getLoopsOfResult(linalg::GenericOp op, unsigned number) {
  return inversePermutation(
      op.getMatchingIndexingMap(op.getDpsInitOperand(number)));
}

SmallVector<Value> ssm::inlineBody(OpBuilder &builder, linalg::GenericOp op,
                                   ValueRange arguments) {
  IRMapping mapping;
  mapping.map(op.getBody()->getArguments(), arguments);
  auto copyConstant = [&](Value value) {
    if (value.getParentBlock() != op.getBody() && !mapping.contains(value))
      builder.clone(*value.getDefiningOp(), mapping);
  };
  for (Operation &nested : op.getBody()->without_terminator()) {
    llvm::for_each(nested.getOperands(), copyConstant);
    builder.clone(nested, mapping);
  }
  SmallVector<Value> yielded;
  for (Value value : op.getBody()->getTerminator()->getOperands()) {
    copyConstant(value);
    yielded.push_back(mapping.lookup(value));
  }
  return yielded;
}

bool ssm::readsInit(linalg::GenericOp op, unsigned number) {
  return !op.getBody()
              ->getArgument(op.getNumDpsInputs() + number)
              .use_empty();
}

unsigned ssm::findOrAddOperand(SmallVectorImpl<Value> &operands,
                               SmallVectorImpl<AffineMap> &maps, Value value,
                               AffineMap map) {
  for (unsigned i = 0; i < operands.size(); ++i)
    if (operands[i] == value && maps[i] == map)
      return i;
  operands.push_back(value);
  maps.push_back(map);
  return operands.size() - 1;
}

std::optional<SmallVector<unsigned>>
ssm::getWalkedDims(AffineExpr expr, ArrayRef<int64_t> sizes) {
  SmallVector<std::pair<int64_t, unsigned>> strides;
  SmallVector<AffineExpr> pending = {expr};
  while (!pending.empty()) {
    AffineExpr next = pending.pop_back_val();
    if (auto dim = dyn_cast<AffineDimExpr>(next)) {
      strides.push_back({1, dim.getPosition()});
      continue;
    }
    auto binary = dyn_cast<AffineBinaryOpExpr>(next);
    if (!binary)
      return std::nullopt;
    if (next.getKind() == AffineExprKind::Add) {
      pending.append({binary.getLHS(), binary.getRHS()});
      continue;
    }
    auto dim = dyn_cast<AffineDimExpr>(binary.getLHS());
    auto factor = dyn_cast<AffineConstantExpr>(binary.getRHS());
    if (next.getKind() != AffineExprKind::Mul || !dim || !factor)
      return std::nullopt;
    strides.push_back({factor.getValue(), dim.getPosition()});
  }
  llvm::sort(strides, std::greater<>());
  int64_t stride = 1;
  for (auto [factor, dim] : llvm::reverse(strides)) {
    if (factor != stride)
      return std::nullopt;
    // The outermost extent does not matter for the strides.
    if (dim == strides.front().second)
      break;
    if (ShapedType::isDynamic(sizes[dim]))
      return std::nullopt;
    stride *= sizes[dim];
  }
  SmallVector<unsigned> dims;
  for (auto [factor, dim] : strides)
    dims.push_back(dim);
  return dims;
}
