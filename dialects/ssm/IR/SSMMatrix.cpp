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

//===----------------------------------------------------------------------===//
// Impulse responses
//===----------------------------------------------------------------------===//

int64_t ImpulseResponseOp::getRows() { return getShape(getInput())[2]; }
int64_t ImpulseResponseOp::getWidth() { return getShape(getInput())[3]; }
int64_t ImpulseResponseOp::getReads() { return getShape(getRead())[3]; }
int64_t ImpulseResponseOp::getParts() {
  return getDense() ? 1 : getShape(getTransition())[3];
}

LogicalResult ImpulseResponseOp::verify() {
  if (failed(verifyOneForm(*this)))
    return failure();
  if (getOuts().empty())
    return emitOpError() << "(C4) there are no outs; wanted one at least";
  auto isKnown = [&](Value value, size_t rank) {
    auto type = cast<ShapedType>(value.getType());
    return type.getElementType().isF64() && type.hasStaticShape() &&
           type.getShape().size() == rank;
  };
  if (!isKnown(getInput(), 4))
    return emitOpError() << "(C1) input: found " << getInput().getType()
                         << ", wanted O x T x N x W of f64, known extents all";
  ArrayRef<int64_t> input = getShape(getInput());
  int64_t rows = getRows(), width = getWidth();
  bool fits = isKnown(getTransition(), 5);
  if (fits) {
    ArrayRef<int64_t> shape = getShape(getTransition());
    fits = shape.take_front(2) == input.take_front(2) && shape[4] == width;
    fits &= getDense() ? shape[2] == rows && shape[3] == rows
                       : (shape[3] == 1 || shape[3] == 2) && shape[2] * shape[3] == rows;
  }
  if (!fits) {
    InFlightDiagnostic diagnostic = emitOpError();
    diagnostic << "(C2) transition: found " << getTransition().getType() << ", wanted "
               << input[0] << " x " << input[1] << " x ";
    if (getDense())
      diagnostic << rows << " x " << rows;
    else
      diagnostic << "N/P x P, " << rows << " numbers in one part or two each,";
    return diagnostic << " x " << width << " of f64";
  }
  int64_t numOuts = getOuts().size();
  ArrayRef<int64_t> read = getShape(getRead());
  if (!isKnown(getRead(), 6) || read.take_front(2) != input.take_front(2) ||
      read[2] != numOuts || read[4] != rows || read[5] != width)
    return emitOpError() << "(C3) read: found " << getRead().getType() << ", wanted "
                         << input[0] << " x " << input[1] << " x " << numOuts
                         << " x Q x " << rows << " x " << width << " of f64";
  for (Value out : getOuts()) {
    if (failed(verifyFloats(*this, "out", out)))
      return failure();
    ArrayRef<int64_t> shape = getShape(out);
    if (shape.size() != 4 || shape[1] != input[0] || shape[2] != read[3] ||
        shape[3] != input[1] * width ||
        !agree(shape[0], getShape(getOuts().front()).front()))
      return emitOpError() << "(C4) out: found " << out.getType() << ", wanted lags x "
                           << input[0] << " x " << read[3] << " x " << input[1] * width
                           << ", as many lags in each";
  }
  return success();
}
