//===- SSMMatrix.cpp - Functions of small matrices ------------------------===//
//
// Verification.
//
//===----------------------------------------------------------------------===//

#include "OpsDetail.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace mlir::ssm::detail;

/// (C1): the last two dimensions of `value` are those of a square matrix.
static LogicalResult verifySquare(Operation *op, StringRef what, Value value) {
  if (failed(verifyFloats(op, what, value)))
    return failure();
  ArrayRef<int64_t> shape = getShape(value);
  if (shape.size() >= 2 && !ShapedType::isDynamic(shape.back()) &&
      shape.back() == shape[shape.size() - 2])
    return success();
  return op->emitOpError() << "(C1) " << what << ": found " << value.getType()
                           << ", wanted ... x N x N of static N";
}

LogicalResult DiscretizeMatrixOp::verify() {
  if (failed(verifyOneForm(*this)) ||
      failed(verifyNumOuts(*this, getOuts().size(), 2, 2)) ||
      failed(verifySquare(*this, "rate", getRate())) ||
      failed(verifyFloats(*this, "step", getStep())))
    return failure();
  ArrayRef<int64_t> rate = getShape(getRate());
  ArrayRef<int64_t> shared = rate.drop_back(2);
  SmallVector<int64_t> wanted(getShape(getStep()));
  if (shared.size() > wanted.size() ||
      !agree(shared, ArrayRef(wanted).take_back(shared.size())))
    return emitOpError() << "(C2) step: found " << getStep().getType()
                         << ", wanted the leading dimensions of "
                         << getRate().getType() << " as its last ones";
  wanted.append(2, rate.back());
  for (Value out : getOuts())
    if (failed(verifyFloats(*this, "out", out)))
      return failure();
    else if (!agree(wanted, getShape(out)))
      return emitOpError() << "(C3) out: found " << out.getType()
                           << ", wanted the shape of the step and then "
                           << rate.back() << " x " << rate.back();
  return success();
}

LogicalResult MatrixPowerOp::verify() {
  if (failed(verifyOneForm(*this)) ||
      failed(verifyNumOuts(*this, getOuts().size(), 1, 1)) ||
      failed(verifySquare(*this, "matrix", getMatrix())) ||
      failed(verifyFloats(*this, "out", getOuts().front())))
    return failure();
  if (!agree(getShape(getMatrix()), getShape(getOuts().front())))
    return emitOpError() << "(C2) out: found " << getOuts().front().getType()
                         << ", wanted the shape of " << getMatrix().getType();
  return success();
}

LogicalResult KrylovOp::verify() {
  if (failed(verifyOneForm(*this)) ||
      failed(verifyNumOuts(*this, getOuts().size(), 1, 1)) ||
      failed(verifySquare(*this, "matrix", getMatrix())) ||
      failed(verifyFloats(*this, "vector", getVector())) ||
      failed(verifyFloats(*this, "out", getOuts().front())))
    return failure();
  ArrayRef<int64_t> matrix = getShape(getMatrix());
  ArrayRef<int64_t> vector = getShape(getVector());
  if (vector.size() + 1 < matrix.size() ||
      !agree(matrix.drop_back(2), vector.take_front(matrix.size() - 2)) ||
      !agree(matrix.back(), vector.back()))
    return emitOpError() << "(C2) vector: found " << getVector().getType()
                         << ", wanted the leading dimensions of "
                         << getMatrix().getType() << " first and "
                         << matrix.back() << " last";
  SmallVector<int64_t> wanted(vector.drop_back());
  wanted.append({ShapedType::kDynamic, matrix.back()});
  if (!agree(wanted, getShape(getOuts().front())))
    return emitOpError() << "(C3) out: found " << getOuts().front().getType()
                         << ", wanted the shape of " << getVector().getType()
                         << " with one more dimension before the last";
  return success();
}
