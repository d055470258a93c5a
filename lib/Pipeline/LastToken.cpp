//===- LastToken.cpp - Results of the last token alone --------------------===//
//
// A language model's head costs as much as many layers, and continuing a text needs
// it once. The slice of the last token moves from the result towards the arguments
// as far as tokens are independent of each other.
//
//===----------------------------------------------------------------------===//

#include "Rewrites.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "ssm/IR/SSM.h"
#include "ssmrt/ssmrt.h"
#include "llvm/ADT/DenseMap.h"

using namespace mlir;

namespace {
class LastToken {
public:
  LastToken(OpBuilder &builder, Location loc) : builder(builder), loc(loc) {}

  /// The last token of a tensor [batch, time, ...], as a tensor [batch, 1, ...].
  Value of(Value whole) {
    Value &known = memory[whole];
    if (known)
      return known;
    Value last = move(whole);
    // The recursion may have moved the entries.
    return memory[whole] = last ? last : slice(whole);
  }

  static bool isSequence(Value value) {
    auto type = llvm::dyn_cast<RankedTensorType>(value.getType());
    return type && type.getRank() >= 2 && type.isDynamicDim(0) && type.isDynamicDim(1);
  }

private:
  static RankedTensorType typeOf(Value whole) {
    auto type = llvm::cast<RankedTensorType>(whole.getType());
    SmallVector<int64_t> shape(type.getShape());
    shape[1] = 1;
    return RankedTensorType::get(shape, type.getElementType());
  }

  Value slice(Value whole) {
    auto type = llvm::cast<RankedTensorType>(whole.getType());
    Value one = arith::ConstantIndexOp::create(builder, loc, 1);
    Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
    Value length = tensor::DimOp::create(builder, loc, whole, 1);
    // A sequence without tokens has no last one; the address stays in bounds.
    Value last = arith::MaxSIOp::create(
        builder, loc, arith::SubIOp::create(builder, loc, length, one), zero);
    SmallVector<OpFoldResult> offsets(type.getRank(), builder.getIndexAttr(0));
    SmallVector<OpFoldResult> strides(type.getRank(), builder.getIndexAttr(1));
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, loc, whole);
    offsets[1] = last;
    sizes[1] = builder.getIndexAttr(1);
    return tensor::ExtractSliceOp::create(builder, loc, typeOf(whole), whole, offsets,
                                          sizes, strides);
  }

  /// Computes the last token from last tokens; null where that is not known to be
  /// right, or where the whole is needed anyway.
  Value move(Value whole) {
    Operation *op = whole.getDefiningOp();
    if (!op || !whole.hasOneUse())
      return nullptr;
    if (auto empty = llvm::dyn_cast<tensor::EmptyOp>(op))
      return tensor::EmptyOp::create(builder, loc, typeOf(whole),
                                     empty.getDynamicSizes().front());
    if (auto reshape = llvm::dyn_cast<tensor::CollapseShapeOp>(op))
      return keepsSequence(reshape.getReassociationIndices())
                 ? tensor::CollapseShapeOp::create(builder, loc, typeOf(whole),
                                                   of(reshape.getSrc()),
                                                   reshape.getReassociationIndices())
                       .getResult()
                 : nullptr;
    if (auto reshape = llvm::dyn_cast<tensor::ExpandShapeOp>(op)) {
      if (!keepsSequence(reshape.getReassociationIndices()))
        return nullptr;
      SmallVector<OpFoldResult> sizes = reshape.getMixedOutputShape();
      sizes[1] = builder.getIndexAttr(1);
      return tensor::ExpandShapeOp::create(builder, loc, typeOf(whole),
                                           of(reshape.getSrc()),
                                           reshape.getReassociationIndices(), sizes);
    }
    if (op->getNumResults() != 1)
      return nullptr;
    if (auto linalgOp = llvm::dyn_cast<linalg::LinalgOp>(op))
      return isTokenwise(linalgOp) ? clone(op, whole) : nullptr;
    if (llvm::isa<ssm::NormOp>(op))
      return clone(op, whole);
    return nullptr;
  }

  static bool keepsSequence(ArrayRef<ReassociationIndices> groups) {
    return groups.size() >= 2 && groups[0].size() == 1 && groups[1].size() == 1;
  }

  /// Whether each token of the result comes from the same token of the operands.
  static bool isTokenwise(linalg::LinalgOp op) {
    if (op.hasIndexSemantics())
      return false;
    AffineMap out = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
    auto batch = llvm::dyn_cast<AffineDimExpr>(out.getResult(0));
    auto time = llvm::dyn_cast<AffineDimExpr>(out.getResult(1));
    if (!batch || !time)
      return false;
    for (OpOperand &operand : op->getOpOperands()) {
      if (!llvm::isa<RankedTensorType>(operand.get().getType()))
        continue;
      AffineMap map = op.getMatchingIndexingMap(&operand);
      bool usesTime = map.isFunctionOfDim(time.getPosition());
      if (!usesTime && !isSequence(operand.get()))
        continue;
      bool inPlace = isSequence(operand.get()) && map.getResult(0) == batch &&
                     map.getResult(1) == time;
      for (auto [i, expr] : llvm::enumerate(map.getResults()))
        inPlace &= i == 1 || !expr.isFunctionOfDim(time.getPosition());
      if (!inPlace)
        return false;
    }
    return true;
  }

  Value clone(Operation *op, Value whole) {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(isSequence(operand) ? of(operand) : operand);
    builder.setInsertionPoint(op->getBlock()->getTerminator());
    Operation *copy = builder.clone(*op);
    copy->setOperands(operands);
    copy->getResult(0).setType(typeOf(whole));
    return copy->getResult(0);
  }

  OpBuilder &builder;
  Location loc;
  llvm::DenseMap<Value, Value> memory;
};
} // namespace

void ssmc::keepLastToken(ModuleOp module) {
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  if (!forward)
    return;
  Operation *terminator = forward.getBody().front().getTerminator();
  OpBuilder builder(terminator);
  LastToken last(builder, forward.getLoc());
  SmallVector<Type> types(forward.getResultTypes());
  for (auto [i, result] : llvm::enumerate(terminator->getOperands())) {
    auto dims = forward.getResultAttrOfType<DenseI64ArrayAttr>(i, "ssm.dims");
    if (!forward.getResultAttr(i, "ssm.output") || !dims || dims.size() < 2 ||
        dims[0] != SSMRT_BATCH || dims[1] != SSMRT_LENGTH ||
        !LastToken::isSequence(result))
      continue;
    Value value = last.of(result);
    terminator->setOperand(i, value);
    types[i] = value.getType();
    SmallVector<int64_t> shape(dims.asArrayRef());
    shape[1] = 1;
    forward.setResultAttr(i, "ssm.dims", builder.getDenseI64ArrayAttr(shape));
  }
  forward.setType(builder.getFunctionType(forward.getArgumentTypes(), types));
}
