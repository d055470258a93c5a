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
