//===- NarrowTensors.cpp - Sequences in a dtype of their own --------------===//
//
// Inputs and outputs that run over a sequence are most of what a call reads and writes.
// Here they get the dtype that the caller wants for them in memory, with a conversion
// beside each; ssm-fuse-elementwise, ssm-fuse-scans and ssm-fuse-epilogues take the
// conversions into what computes.
//
//===----------------------------------------------------------------------===//

#include "Rewrites.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "ssmrt/ssmrt.h"

using namespace mlir;

/// Whether a value of `forward` is a sequence of numbers.
static bool isSequence(Type type, DenseI64ArrayAttr dims) {
  return dims && isa<FloatType>(getElementTypeOrSelf(type)) &&
         llvm::any_of(dims.asArrayRef(), [](int64_t dim) { return dim <= SSMRT_LENGTH; });
}

/// `value` with elements of type `type`; f32 and f64 hold those of a narrow one, which
/// are rounded to nearest, ties to even, on the way back.
static Value convert(OpBuilder &builder, Location loc, Value value, Type type) {
  auto from = cast<RankedTensorType>(value.getType());
  auto to = from.clone(type);
  Value empty = tensor::EmptyOp::create(
      builder, loc, tensor::getMixedSizes(builder, loc, value), type);
  AffineMap map = builder.getMultiDimIdentityMap(from.getRank());
  SmallVector<utils::IteratorType> iterators(from.getRank(),
                                             utils::IteratorType::parallel);
  bool widens = type.getIntOrFloatBitWidth() > from.getElementTypeBitWidth();
  return linalg::GenericOp::create(
             builder, loc, to, value, empty, ArrayRef{map, map}, iterators,
             [&](OpBuilder &b, Location loc, ValueRange arguments) {
               Value element = arguments.front();
               element = widens ? arith::ExtFOp::create(b, loc, type, element).getResult()
                                : arith::TruncFOp::create(b, loc, type, element);
               linalg::YieldOp::create(b, loc, element);
             })
      .getResult(0);
}

void ssmc::narrowTensors(ModuleOp module, StringRef dtype) {
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  if (!forward)
    return;
  OpBuilder builder(module.getContext());
  Type narrow = dtype == "bf16" ? Type(builder.getBF16Type()) : builder.getF16Type();
  auto isWider = [&](Type type) {
    return getElementTypeOrSelf(type).getIntOrFloatBitWidth() >
           narrow.getIntOrFloatBitWidth();
  };
  Block &body = forward.getBody().front();
  SmallVector<Type> inputs(forward.getArgumentTypes()), outputs(forward.getResultTypes());
  builder.setInsertionPointToStart(&body);
  for (auto [i, argument] : llvm::enumerate(body.getArguments())) {
    auto dims = forward.getArgAttrOfType<DenseI64ArrayAttr>(i, "ssm.dims");
    if (!forward.getArgAttr(i, "ssm.input") || !isSequence(inputs[i], dims) ||
        !isWider(inputs[i]))
      continue;
    auto wide = cast<RankedTensorType>(inputs[i]);
    inputs[i] = wide.clone(narrow);
    argument.setType(inputs[i]);
    SmallVector<OpOperand *> uses(llvm::make_pointer_range(argument.getUses()));
    Value converted =
        convert(builder, argument.getLoc(), argument, wide.getElementType());
    for (OpOperand *use : uses)
      use->set(converted);
  }
  Operation *terminator = body.getTerminator();
  builder.setInsertionPoint(terminator);
  for (auto [i, result] : llvm::enumerate(terminator->getOpOperands())) {
    auto dims = forward.getResultAttrOfType<DenseI64ArrayAttr>(i, "ssm.dims");
    if (!forward.getResultAttr(i, "ssm.output") || !isSequence(outputs[i], dims) ||
        !isWider(outputs[i]))
      continue;
    outputs[i] = cast<RankedTensorType>(outputs[i]).clone(narrow);
    result.set(convert(builder, terminator->getLoc(), result.get(), narrow));
  }
  forward.setType(builder.getFunctionType(inputs, outputs));
}
