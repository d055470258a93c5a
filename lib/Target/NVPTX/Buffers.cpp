//===- Buffers.cpp - Whose memory a value is ------------------------------===//

#include "Target/NVPTX/Buffers.h"

#include "Target/CPU/BindFrame.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "ssm/IR/SSM.h"
#include "ssmrt/ssmrt.h"

using namespace mlir;
using namespace mlir::ssm;
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

bool nvptx::isOwnArgument(Value value, Operation *op) {
  if (!isArgument(value))
    return false;
  SmallVector<Value> pending = {getBuffer(value)};
  while (!pending.empty())
    for (Operation *user : pending.pop_back_val().getUsers()) {
      if (isa<memref::SubViewOp, memref::ExpandShapeOp, memref::CollapseShapeOp,
              memref::CastOp>(user))
        pending.push_back(user->getResult(0));
      else if (user != op && !isa<memref::DimOp>(user))
        return false;
    }
  return true;
}

Value nvptx::emitKeepsStates(OpBuilder &b, Operation *op) {
  auto function = op->getParentOfType<func::FuncOp>();
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  if (function.getArgumentTypes() != ArrayRef<Type>(pointer))
    return {};
  Location loc = op->getLoc();
  Value field = LLVM::GEPOp::create(
      b, loc, pointer, b.getI8Type(), function.getArgument(0),
      ArrayRef<LLVM::GEPArg>{int32_t(offsetof(ssmrt_frame, keeps_state))});
  Value keeps = LLVM::LoadOp::create(b, loc, b.getI64Type(), field);
  Value zero = arith::ConstantIntOp::create(b, loc, b.getI64Type(), 0);
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, keeps, zero);
}

bool nvptx::isTable(Value value) {
  Value buffer = getBuffer(value);
  if (auto argument = dyn_cast<BlockArgument>(buffer)) {
    auto function =
        dyn_cast<FunctionOpInterface>(argument.getOwner()->getParentOp());
    return function && function.getArgAttr(argument.getArgNumber(), kTableAttr);
  }
  return buffer.getDefiningOp()->hasAttr(kTableAttr);
}

bool nvptx::isReadAfter(Operation *op, Value memory) {
  return llvm::any_of(memory.getUsers(), [&](Operation *user) {
    auto reader = dyn_cast<MatmulOp>(user);
    return reader && reader->getBlock() == op->getBlock() &&
           op->isBeforeInBlock(reader) &&
           (reader.getInput() == memory ||
            llvm::is_contained(reader.getEpilogueIns(), memory));
  });
}

bool nvptx::follow(Operation *first, Operation *second) {
  if (first->getBlock() != second->getBlock() ||
      !first->isBeforeInBlock(second))
    return false;
  for (Operation *between = first->getNextNode(); between != second;
       between = between->getNextNode())
    if (!isMemoryEffectFree(between))
      return false;
  return true;
}
