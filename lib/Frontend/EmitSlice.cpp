//===- EmitSlice.cpp - Sizes and parts of tensors -------------------------===//
//
// Empty tensors, slices, and operands read along a part of a dimension.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace ssmc;

SmallVector<OpFoldResult> Elaborator::mixedSizes(ArrayRef<int64_t> sizes,
                                                 bool batched) {
  SmallVector<OpFoldResult> mixed;
  if (batched)
    mixed.push_back(sizeOfBatch());
  for (int64_t size : sizes)
    mixed.push_back(isSequenceExtent(size)    ? OpFoldResult(sizeOfLength(sequenceNumber(size)))
                    : size == kLagExtent      ? OpFoldResult(preparedLength())
                    : size == kTwoSidedExtent ? OpFoldResult(preparedLength(2))
                                              : builder.getIndexAttr(size));
  return mixed;
}

/// A multiple of the length that kernels are prepared for.
Value Elaborator::preparedLength(int64_t scale, int64_t offset) {
  Value value = prepared;
  if (scale != 1)
    value = arith::MulIOp::create(
        builder, loc, value, arith::ConstantIndexOp::create(builder, loc, scale));
  if (offset != 0)
    value = arith::AddIOp::create(
        builder, loc, value, arith::ConstantIndexOp::create(builder, loc, offset));
  return value;
}

Value Elaborator::emptyTensor(ArrayRef<int64_t> sizes, bool batched, Type type) {
  return tensor::EmptyOp::create(builder, loc, mixedSizes(sizes, batched), type);
}

/// An operand read at `d + c`, or along a part of a dimension only (`C[(1, c), h]`,
/// channels of one side), as a slice read at `d`: so maps stay permutations.
/// `sizes` are those of the loops after the batch.
std::pair<Value, AffineMap> Elaborator::readPart(Value tensor, AffineMap map,
                                                 bool batched,
                                                 ArrayRef<int64_t> sizes) {
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<AffineExpr> exprs(map.getResults());
  SmallVector<int64_t> offsets(type.getRank(), 0), extents(type.getShape());
  bool part = false;
  for (auto [i, expr] : llvm::enumerate(exprs)) {
    int64_t offset = 0;
    AffineExpr at = expr;
    auto sum = dyn_cast<AffineBinaryOpExpr>(expr);
    if (sum && sum.getKind() == AffineExprKind::Add)
      if (auto c = dyn_cast<AffineConstantExpr>(sum.getRHS())) {
        at = sum.getLHS();
        offset = c.getValue();
      }
    auto d = dyn_cast<AffineDimExpr>(at);
    if (!d || d.getPosition() < unsigned(batched) || type.isDynamicDim(i))
      continue;
    int64_t size = sizes[d.getPosition() - batched];
    if (isRunTimeExtent(size) || offset < 0 ||
        offset + size > type.getDimSize(i) ||
        (offset == 0 && size == type.getDimSize(i)))
      continue;
    offsets[i] = offset;
    extents[i] = size;
    expr = at;
    part = true;
  }
  if (!part)
    return {tensor, map};
  SmallVector<OpFoldResult> starts, counts,
      strides(type.getRank(), builder.getIndexAttr(1));
  for (int64_t i = 0; i < type.getRank(); ++i) {
    starts.push_back(builder.getIndexAttr(offsets[i]));
    counts.push_back(type.isDynamicDim(i)
                         ? OpFoldResult(tensor::DimOp::create(builder, loc,
                                                              tensor, i)
                                            .getResult())
                         : OpFoldResult(builder.getIndexAttr(extents[i])));
  }
  Value slice = makeSlice(tensor, starts, counts, strides);
  return {slice, AffineMap::get(map.getNumDims(), 0, exprs, &context)};
}

/// A slice; an empty one, which MLIR would place beyond the end, is a tensor of its
/// own. With a `type` dimensions of one element are dropped.
Value Elaborator::makeSlice(Value tensor, ArrayRef<OpFoldResult> offsets,
                            ArrayRef<OpFoldResult> sizes,
                            ArrayRef<OpFoldResult> strides, RankedTensorType type) {
  if (!type)
    type = tensor::ExtractSliceOp::inferResultType(
        cast<RankedTensorType>(tensor.getType()), sizes);
  if (!llvm::is_contained(type.getShape(), 0))
    return tensor::ExtractSliceOp::create(builder, loc, type, tensor, offsets, sizes,
                                          strides);
  SmallVector<Value> dynamic;
  for (OpFoldResult size : sizes)
    if (auto value = dyn_cast<Value>(size))
      dynamic.push_back(value);
  return tensor::EmptyOp::create(builder, loc, type, dynamic);
}

Value ssmc::insertSlice(OpBuilder &builder, Location loc, Value part, Value whole,
                  ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                  ArrayRef<OpFoldResult> strides) {
  if (llvm::is_contained(cast<RankedTensorType>(part.getType()).getShape(), 0))
    return whole;
  return tensor::InsertSliceOp::create(builder, loc, part, whole, offsets, sizes,
                                       strides);
}

/// `piece.size` elements of an axis from `offset` on, as a view.
TensorValue Elaborator::slice(const TensorValue &tensor, unsigned axis,
                              int64_t offset, Axis piece) {
  TensorValue result = tensor;
  result.axes[axis] = piece;
  if (tensor.dimension[axis] < 0)
    return result;
  auto cut = [&](Value value) -> Value {
    if (!value)
      return value;
    auto type = cast<RankedTensorType>(value.getType());
    SmallVector<OpFoldResult> offsets(type.getRank(), builder.getIndexAttr(0)),
        strides(type.getRank(), builder.getIndexAttr(1)), sizes;
    for (int64_t i = 0; i < type.getRank(); ++i)
      sizes.push_back(type.isDynamicDim(i)
                          ? OpFoldResult(tensor::DimOp::create(builder, loc,
                                                               value, i)
                                             .getResult())
                          : OpFoldResult(builder.getIndexAttr(type.getDimSize(i))));
    unsigned d = tensor.dimension[axis] + tensor.batched;
    offsets[d] = builder.getIndexAttr(offset);
    sizes[d] = builder.getIndexAttr(piece.size);
    return makeSlice(value, offsets, sizes, strides);
  };
  result.re = cut(tensor.re);
  result.im = cut(tensor.im);
  return result;
}
