//===- ElementwiseBody.h - Scalar code that can move -----------*- C++ -*-===//
//
// The scalar body of an elementwise linalg.generic, and how to copy it into a
// region of an ssm op; what the maps of its operands say.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_TRANSFORMS_ELEMENTWISEBODY_H
#define SSM_TRANSFORMS_ELEMENTWISEBODY_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Remarks.h"

namespace mlir::ssm {

/// A reason, or null.
using Refusal = const char *;

/// Why the body of `op` cannot be copied to where only the elements of its
/// operands are known; null if it can.
Refusal refuseElementwise(linalg::GenericOp op);

/// What `value` is a `Conversion` of, element by element; null if it is anything else.
template <typename Conversion>
Value getConverted(Value value) {
  auto op = value.getDefiningOp<linalg::GenericOp>();
  bool converts = op && linalg::isaElemwiseSingleUnaryOpInterface(op) &&
                  isa<Conversion>(op.getBody()->front());
  return converts ? op.getDpsInputs().front() : Value();
}

/// From the indices of result `number` to the loops of `op`, which must be
/// elementwise.
AffineMap getLoopsOfResult(linalg::GenericOp op, unsigned number);

/// Copies the body: `arguments` stand for its block arguments. Returns what it
/// yields. Constants from outside are copied too.
SmallVector<Value> inlineBody(OpBuilder &builder, linalg::GenericOp op,
                              ValueRange arguments);

/// True if the body reads what the result was initialised with.
bool readsInit(linalg::GenericOp op, unsigned number);

/// The number of `operand` among the values in which an op with operands
/// `operands` read by `maps` finds `value` read by `map`; added if absent.
unsigned findOrAddOperand(SmallVectorImpl<Value> &operands,
                          SmallVectorImpl<AffineMap> &maps, Value value,
                          AffineMap map);

/// The dimensions that one result of a map walks, outermost first: a dimension,
/// or several merged in row-major order (`d2 * 16 + d3`). None if it is anything
/// else. `sizes` are those of the dimensions.
std::optional<SmallVector<unsigned>> getWalkedDims(AffineExpr expr,
                                                   ArrayRef<int64_t> sizes);

} // namespace mlir::ssm

#endif // SSM_TRANSFORMS_ELEMENTWISEBODY_H
