//===- KernelEmitter.h - Arithmetic on the indices of a kernel -*- C++ -*-===//
//
// What the emitters of kernels share: words for indices, beside those of Loops.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_KERNELEMITTER_H
#define SSMC_LIB_TARGET_NVPTX_KERNELEMITTER_H

#include "Conversion/SSMToSCF/Loops.h"

namespace ssmc::nvptx {

class KernelEmitter {
protected:
  using Value = mlir::Value;

  KernelEmitter(mlir::OpBuilder &builder, mlir::Location loc) : loops(builder, loc) {}

  Value plus(Value value, int64_t offset) {
    return offset ? loops.add(value, loops.index(offset)) : value;
  }
  Value times(Value value, int64_t factor) { return loops.mul(value, loops.index(factor)); }
  /// Of indices that are not negative, rounded down.
  Value quotient(Value value, Value divisor) {
    return mlir::arith::DivUIOp::create(loops.builder, loops.loc, value, divisor);
  }
  Value quotient(Value value, int64_t divisor) {
    return quotient(value, loops.index(divisor));
  }
  Value ceilQuotient(Value value, int64_t divisor) {
    return quotient(plus(value, divisor - 1), divisor);
  }
  Value remainder(Value value, Value divisor) {
    return mlir::arith::RemUIOp::create(loops.builder, loops.loc, value, divisor);
  }
  Value remainder(Value value, int64_t divisor) {
    return remainder(value, loops.index(divisor));
  }
  Value min(Value left, Value right) {
    return loops.select(loops.less(left, right), left, right);
  }
  Value both(Value left, Value right) {
    return mlir::arith::AndIOp::create(loops.builder, loops.loc, left, right);
  }
  Value either(Value left, Value right) {
    return mlir::arith::OrIOp::create(loops.builder, loops.loc, left, right);
  }

  /// The elements of contiguous memory one behind the other.
  Value flatten(Value memref) {
    auto type = mlir::cast<mlir::MemRefType>(memref.getType());
    mlir::ReassociationIndices all;
    for (int64_t axis = 0; axis < type.getRank(); ++axis)
      all.push_back(axis);
    int64_t count = type.hasStaticShape() ? type.getNumElements()
                                          : mlir::ShapedType::kDynamic;
    return mlir::memref::CollapseShapeOp::create(
        loops.builder, loops.loc, mlir::MemRefType::get({count}, type.getElementType()),
        memref, mlir::ArrayRef<mlir::ReassociationIndices>{all});
  }

  /// `body` for indices from `begin` to before `end`, `step` apart.
  void emitFor(Value begin, Value end, Value step, llvm::function_ref<void(Value)> body) {
    mlir::OpBuilder &builder = loops.builder;
    auto loop = mlir::scf::ForOp::create(builder, loops.loc, begin, end, step);
    mlir::OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(loop.getBody());
    body(loop.getInductionVar());
  }

  detail::Loops loops;
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_KERNELEMITTER_H
