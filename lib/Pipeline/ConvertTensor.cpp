//===- ConvertTensor.cpp - A tensor in another type -----------------------===//

#include "ConvertTensor.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

Type ssmc::getNarrowType(MLIRContext *context, StringRef name) {
  return name == "bf16" ? Type(BFloat16Type::get(context)) : Float16Type::get(context);
}

bool ssmc::isWider(Type type, Type narrow) {
  Type element = getElementTypeOrSelf(type);
  return isa<FloatType>(element) &&
         element.getIntOrFloatBitWidth() > narrow.getIntOrFloatBitWidth();
}

Value ssmc::convertTensor(OpBuilder &builder, Location loc, Value value, Type type) {
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
