//===- TabulateResponse.cpp - The kernel of a time-invariant recurrence ---===//
//
// Transition, gains and reads laid out for ssm.impulse_response, and its results over
// dimensions of the scan.
//
//===----------------------------------------------------------------------===//

#include "Tabulator.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::ssm;

/// The parts of numbers laid out over [outer, keys, tiles, width], as rows:
/// [outer, tiles, keys, parts, width].
Value Tabulator::joinParts(ArrayRef<Value> number) {
  return emitGeneric({outer, tiles, keys, parts, width}, number,
                     SmallVector<AffineMap>(number.size(), select(5, {0, 2, 1, 4})), 1,
                     wide,
                     [&](OpBuilder &nested, ValueRange values) {
                       if (parts == 1)
                         return SmallVector<Value>{values[0]};
                       Value part = linalg::IndexOp::create(nested, loc, 3);
                       Value zero = arith::ConstantIndexOp::create(nested, loc, 0);
                       Value isReal = arith::CmpIOp::create(
                           nested, loc, arith::CmpIPredicate::eq, part, zero);
                       return SmallVector<Value>{arith::SelectOp::create(
                           nested, loc, isReal, values[0], values[1])};
                     })
      .front();
}

SmallVector<unsigned> Tabulator::getKernelDims() {
  SmallVector<unsigned> dims = {1};
  if (form.onOuter)
    llvm::append_range(dims, form.outer);
  llvm::append_range(dims, form.copies);
  if (form.onLane)
    dims.push_back(*form.lane);
  return dims;
}

/// From [lags, outer, copies, lanes filled up] to the kernel's dimensions.
Value Tabulator::dropPadding(Value kernel) {
  Value length = tensor::DimOp::create(builder, loc, kernel, 0);
  if (lanes != tiles * width) {
    SmallVector<OpFoldResult> offsets(4, builder.getIndexAttr(0)),
        strides(4, builder.getIndexAttr(1)), sizes = {length};
    for (int64_t size : {outer, copies, lanes})
      sizes.push_back(builder.getIndexAttr(size));
    kernel = tensor::ExtractSliceOp::create(builder, loc, kernel, offsets, sizes, strides);
  }
  // To the lags and one dimension of everything else, and from there.
  kernel = tensor::CollapseShapeOp::create(
      builder, loc, kernel, SmallVector<ReassociationIndices>{{0}, {1, 2, 3}});
  SmallVector<unsigned> dims = getKernelDims();
  SmallVector<OpFoldResult> sizes = {length};
  SmallVector<int64_t> shape = {
      cast<RankedTensorType>(kernel.getType()).getDimSize(0)};
  SmallVector<ReassociationIndices> groups = {{0}, {}};
  for (unsigned dim : ArrayRef(dims).drop_front()) {
    groups.back().push_back(shape.size());
    shape.push_back(scan.getDimSize(dim));
    sizes.push_back(builder.getIndexAttr(shape.back()));
  }
  if (dims.size() == 1)
    return tensor::CollapseShapeOp::create(
        builder, loc, kernel, SmallVector<ReassociationIndices>{{0, 1}});
  if (dims.size() == 2)
    return kernel;
  return tensor::ExpandShapeOp::create(builder, loc, RankedTensorType::get(shape, element),
                                       kernel, groups, sizes);
}

SmallVector<SmallVector<Value>> Tabulator::makeKernels(Value length) {
  decay = getDecay();
  read = getRead();
  Value transition = isMixing() ? makeTransition(/*lanesLast=*/true) : joinParts(decay);
  Value readRows = getReadRows(/*lanesLast=*/true);
  SmallVector<SmallVector<Value>> kernels;
  for (const WriteInput &input : form.inputs) {
    Value gain = joinParts(getGain(input));
    gain = tensor::CollapseShapeOp::create(
        builder, loc, gain, SmallVector<ReassociationIndices>{{0}, {1}, {2, 3}, {4}});
    SmallVector<OpFoldResult> sizes = {length};
    for (int64_t size : {outer, copies, tiles * width})
      sizes.push_back(builder.getIndexAttr(size));
    SmallVector<Value> outs;
    for (unsigned output = 0; output < outputs; ++output)
      outs.push_back(tensor::EmptyOp::create(builder, loc, sizes, element));
    auto response = ImpulseResponseOp::create(
        builder, loc, ValueRange(outs).getTypes(), /*dense=*/isMixing(),
        /*reverse=*/scan.getReverse(), transition, gain, readRows, outs);
    SmallVector<Value> &list = kernels.emplace_back();
    for (Value kernel : response.getResults())
      list.push_back(dropPadding(kernel));
  }
  return kernels;
}
