//===- MatmulEpilogue.cpp - An epilogue at vector width -------------------===//

#include "Target/CPU/MatmulEpilogue.h"

#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace ssmc::cpu;

bool MatmulEpilogue::canVectorize() const {
  return llvm::all_of(region.front().without_terminator(), [](Operation &op) {
    return op.hasTrait<OpTrait::ConstantLike>() ||
           OpTrait::hasElementwiseMappableTraits(&op);
  });
}

static SmallVector<Value, 6> applyMap(ImplicitLocOpBuilder &b, AffineMap map,
                                   ValueRange point) {
  auto indices = affine::expandAffineMap(b, b.getLoc(), map, point);
  assert(indices && "maps of operands are affine");
  return llvm::to_vector_of<Value, 6>(*indices);
}

/// Whether a step in the last dimension of `map` is a step in the memory of
/// `type`.
static bool isContiguous(AffineMap map, MemRefType type) {
  unsigned last = map.getNumDims() - 1;
  for (AffineExpr result : map.getResults().drop_back())
    if (result.isFunctionOfDim(last))
      return false;
  AffineExpr dim = getAffineDimExpr(last, map.getContext());
  AffineExpr result = map.getResults().back();
  AffineExpr difference =
      simplifyAffineExpr(result.replace(dim, dim + 1) - result,
                         map.getNumDims(), map.getNumSymbols());
  auto constant = dyn_cast<AffineConstantExpr>(difference);
  if (!constant || constant.getValue() != 1)
    return false;
  SmallVector<int64_t> strides;
  int64_t offset;
  return succeeded(type.getStridesAndOffset(strides, offset)) &&
         strides.back() == 1;
}

Value MatmulEpilogue::loadOperand(ImplicitLocOpBuilder &b, unsigned i,
                                  ValueRange point, int64_t lanes) const {
  Value memref = operands[i];
  AffineMap map = maps[i];
  auto type = cast<MemRefType>(memref.getType());
  if (!lanes || !map.isFunctionOfDim(map.getNumDims() - 1))
    return memref::LoadOp::create(b, memref, applyMap(b, map, point));
  auto vector = VectorType::get(lanes, type.getElementType());
  if (isContiguous(map, type))
    return vector::LoadOp::create(b, vector, memref, applyMap(b, map, point));
  Value result =
      arith::ConstantOp::create(b, cast<TypedAttr>(b.getZeroAttr(vector)));
  for (int64_t lane = 0; lane != lanes; ++lane) {
    SmallVector<Value> lanePoint(point);
    lanePoint.back() = arith::AddIOp::create(
        b, point.back(), arith::ConstantIndexOp::create(b, lane));
    Value element =
        memref::LoadOp::create(b, memref, applyMap(b, map, lanePoint));
    result = vector::InsertOp::create(b, element, result, lane);
  }
  return result;
}

Value MatmulEpilogue::emit(ImplicitLocOpBuilder &b, Value value,
                           ValueRange point) const {
  Block &block = region.front();
  auto vectorType = dyn_cast<VectorType>(value.getType());
  int64_t lanes = vectorType ? vectorType.getNumElements() : 0;
  IRMapping mapping;
  mapping.map(block.getArgument(0), value);
  for (unsigned i = 0, e = operands.size(); i != e; ++i)
    if (BlockArgument argument = block.getArgument(i + 1);
        !argument.use_empty())
      mapping.map(argument, loadOperand(b, i, point, lanes));

  // What is the same for all columns stays scalar until a vector needs it.
  auto toVector = [&](Value scalar) -> Value {
    if (isa<VectorType>(scalar.getType()))
      return scalar;
    return vector::BroadcastOp::create(
        b, VectorType::get(lanes, scalar.getType()), scalar);
  };
  for (Operation &op : block.without_terminator()) {
    bool isUniform = llvm::none_of(op.getOperands(), [&](Value operand) {
      return isa<VectorType>(mapping.lookupOrDefault(operand).getType());
    });
    if (!lanes || isUniform) {
      b.clone(op, mapping);
      continue;
    }
    SmallVector<Value> arguments;
    for (Value operand : op.getOperands())
      arguments.push_back(toVector(mapping.lookupOrDefault(operand)));
    SmallVector<Type> types;
    for (Type type : op.getResultTypes())
      types.push_back(VectorType::get(lanes, type));
    OperationState state(op.getLoc(), op.getName(), arguments, types,
                         op.getAttrs());
    Operation *copy = b.create(state);
    mapping.map(op.getResults(), copy->getResults());
  }
  Value result =
      mapping.lookupOrDefault(block.getTerminator()->getOperand(0));
  return lanes ? toVector(result) : result;
}
