//===- Buffers.cpp - Whose memory a value is ------------------------------===//

#include "Target/NVPTX/Buffers.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace ssmc;

Value nvptx::getBuffer(Value value) {
  while (Operation *def = value.getDefiningOp()) {
    if (!isa<memref::SubViewOp, memref::ExpandShapeOp, memref::CollapseShapeOp,
             memref::CastOp>(def))
      break;
    value = def->getOperand(0);
  }
  return value;
}

bool nvptx::isTemporary(Value value) {
  return isa_and_nonnull<memref::ViewOp, memref::AllocOp>(
      getBuffer(value).getDefiningOp());
}

bool nvptx::isArgument(Value value) {
  Value buffer = getBuffer(value);
  if (auto argument = dyn_cast<BlockArgument>(buffer))
    return isa<FunctionOpInterface>(argument.getOwner()->getParentOp());
  return bool(buffer.getDefiningOp<UnrealizedConversionCastOp>());
}
