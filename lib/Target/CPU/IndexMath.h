//===- IndexMath.h - Arithmetic on indices, folded where static -*- C++ -*-===//

#ifndef SSMC_TARGET_CPU_INDEXMATH_H
#define SSMC_TARGET_CPU_INDEXMATH_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"

namespace ssmc::cpu {

/// Emits arithmetic on non-negative indices. Constants fold at once, so that
/// loops get static bounds where shapes are static.
class IndexMath {
public:
  explicit IndexMath(mlir::ImplicitLocOpBuilder &builder) : b(builder) {}

  mlir::Value constant(int64_t value) {
    return mlir::arith::ConstantIndexOp::create(b, value);
  }
  mlir::Value add(mlir::Value x, mlir::Value y) {
    return fold<mlir::arith::AddIOp>(x, y);
  }
  mlir::Value add(mlir::Value x, int64_t y) { return add(x, constant(y)); }
  mlir::Value sub(mlir::Value x, mlir::Value y) {
    return fold<mlir::arith::SubIOp>(x, y);
  }
  mlir::Value mul(mlir::Value x, mlir::Value y) {
    return fold<mlir::arith::MulIOp>(x, y);
  }
  mlir::Value mul(mlir::Value x, int64_t y) { return mul(x, constant(y)); }
  mlir::Value min(mlir::Value x, mlir::Value y) {
    return fold<mlir::arith::MinUIOp>(x, y);
  }
  mlir::Value max(mlir::Value x, mlir::Value y) {
    return fold<mlir::arith::MaxUIOp>(x, y);
  }
  mlir::Value div(mlir::Value x, mlir::Value y) {
    return fold<mlir::arith::DivUIOp>(x, y);
  }
  mlir::Value rem(mlir::Value x, mlir::Value y) {
    return fold<mlir::arith::RemUIOp>(x, y);
  }
  mlir::Value ceilDiv(mlir::Value x, mlir::Value y) {
    return div(add(x, sub(y, constant(1))), y);
  }
  mlir::Value roundDown(mlir::Value x, int64_t y) {
    return mul(div(x, constant(y)), y);
  }
  mlir::Value roundUp(mlir::Value x, int64_t y) {
    return mul(ceilDiv(x, constant(y)), y);
  }
  mlir::Value less(mlir::Value x, mlir::Value y) {
    return mlir::arith::CmpIOp::create(b, mlir::arith::CmpIPredicate::ult, x,
                                       y);
  }
  mlir::Value equal(mlir::Value x, mlir::Value y) {
    return mlir::arith::CmpIOp::create(b, mlir::arith::CmpIPredicate::eq, x, y);
  }
  mlir::Value select(mlir::Value condition, mlir::Value x, mlir::Value y) {
    return mlir::arith::SelectOp::create(b, condition, x, y);
  }
  mlir::Value dim(mlir::Value memref, int64_t i) {
    auto type = mlir::cast<mlir::MemRefType>(memref.getType());
    if (!type.isDynamicDim(i))
      return constant(type.getDimSize(i));
    return mlir::memref::DimOp::create(b, memref, i);
  }

private:
  template <typename Op> mlir::Value fold(mlir::Value x, mlir::Value y) {
    return b.createOrFold<Op>(x, y);
  }

  mlir::ImplicitLocOpBuilder &b;
};

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_INDEXMATH_H
