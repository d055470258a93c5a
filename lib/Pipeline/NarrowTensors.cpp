//===- NarrowTensors.cpp - Sequences in a dtype of their own --------------===//
//
// Inputs and outputs that run over a sequence are most of what a call reads and writes.
// Here they get the dtype that the caller wants for them in memory, with a conversion
// beside each; ssm-fuse-elementwise, ssm-fuse-scans and ssm-fuse-epilogues take the
// conversions into what computes.
//
//===----------------------------------------------------------------------===//

#include "ConvertTensor.h"
#include "Rewrites.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "ssmrt/ssmrt.h"

using namespace mlir;

/// Whether a value of `forward` is a sequence of numbers.
static bool isSequence(Type type, DenseI64ArrayAttr dims) {
  return dims && isa<FloatType>(getElementTypeOrSelf(type)) &&
         llvm::any_of(dims.asArrayRef(), [](int64_t dim) { return dim <= SSMRT_LENGTH; });
}

void ssmc::narrowTensors(ModuleOp module, StringRef dtype) {
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  if (!forward)
    return;
  OpBuilder builder(module.getContext());
  Type narrow = getNarrowType(module.getContext(), dtype);
  Block &body = forward.getBody().front();
  SmallVector<Type> inputs(forward.getArgumentTypes()), outputs(forward.getResultTypes());
  builder.setInsertionPointToStart(&body);
  for (auto [i, argument] : llvm::enumerate(body.getArguments())) {
    auto dims = forward.getArgAttrOfType<DenseI64ArrayAttr>(i, "ssm.dims");
    if (!forward.getArgAttr(i, "ssm.input") || !isSequence(inputs[i], dims) ||
        !isWider(inputs[i], narrow))
      continue;
    auto wide = cast<RankedTensorType>(inputs[i]);
    inputs[i] = wide.clone(narrow);
    argument.setType(inputs[i]);
    SmallVector<OpOperand *> uses(llvm::make_pointer_range(argument.getUses()));
    Value converted =
        convertTensor(builder, argument.getLoc(), argument, wide.getElementType());
    for (OpOperand *use : uses)
      use->set(converted);
  }
  Operation *terminator = body.getTerminator();
  builder.setInsertionPoint(terminator);
  for (auto [i, result] : llvm::enumerate(terminator->getOpOperands())) {
    auto dims = forward.getResultAttrOfType<DenseI64ArrayAttr>(i, "ssm.dims");
    if (!forward.getResultAttr(i, "ssm.output") || !isSequence(outputs[i], dims) ||
        !isWider(outputs[i], narrow))
      continue;
    outputs[i] = cast<RankedTensorType>(outputs[i]).clone(narrow);
    result.set(convertTensor(builder, terminator->getLoc(), result.get(), narrow));
  }
  forward.setType(builder.getFunctionType(inputs, outputs));
}
