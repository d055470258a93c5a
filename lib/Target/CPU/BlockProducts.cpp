//===- BlockProducts.cpp - Products of small matrices in registers --------===//

#include "BlockProducts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace ssmc;
using namespace ssmc::cpu;

void BlockProducts::setElement(Type type) {
  element = type;
  width = target.getLanes(element.getIntOrFloatBitWidth());
  vectorType = VectorType::get({width}, element);
}

Value BlockProducts::allocate(ArrayRef<int64_t> shape, Type type) {
  return memref::AllocaOp::create(builder, loc,
                                  MemRefType::get(shape, type ? type : element),
                                  builder.getI64IntegerAttr(64));
}

Value BlockProducts::multiply(Value a, Value b) {
  Value result = arith::MulFOp::create(builder, loc, a, b);
  allowContraction(result.getDefiningOp());
  return result;
}

Value BlockProducts::add(Value a, Value b) {
  Value result = arith::AddFOp::create(builder, loc, a, b);
  allowContraction(result.getDefiningOp());
  return result;
}

Value BlockProducts::splat(Value scalar) {
  return vector::BroadcastOp::create(builder, loc, vectorType, scalar);
}

Value BlockProducts::constant(double value) {
  return arith::ConstantOp::create(
      builder, loc,
      DenseElementsAttr::get(vectorType, builder.getFloatAttr(element, value)));
}

Value BlockProducts::divide(Value a, int64_t b) {
  return builder.createOrFold<arith::DivUIOp>(loc, a, index(b));
}

SmallVector<Value> BlockProducts::zeros(int64_t count) {
  return SmallVector<Value>(count, constant(0));
}

Value BlockProducts::loadScalar(Value memref, ValueRange indices) {
  return memref::LoadOp::create(builder, loc, memref, indices);
}

Value BlockProducts::loadVector(Value memref, ValueRange indices) {
  return vector::LoadOp::create(builder, loc, vectorType, memref, indices);
}

void BlockProducts::storeVector(Value value, Value memref, ValueRange indices) {
  vector::StoreOp::create(builder, loc, value, memref, indices);
}

int64_t BlockProducts::getRows(int64_t vectors) const {
  int64_t sums = target.getRegisters() / 2;
  return vectors * 8 <= sums ? 8 : 4;
}

SmallVector<Value> BlockProducts::accumulate(ValueRange sums, int64_t rows,
                                             int64_t vectors, Value lower,
                                             Value upper, Element a,
                                             Element b) {
  return emitFor(builder, loc, lower, upper, 1, sums,
                 [&](Value position, ValueRange carried) {
                   SmallVector<Value> columns, next;
                   for (int64_t v = 0; v < vectors; ++v)
                     columns.push_back(b(v, position));
                   for (int64_t r = 0; r < rows; ++r) {
                     Value factor = splat(a(r, position));
                     for (int64_t v = 0; v < vectors; ++v)
                       next.push_back(add(multiply(factor, columns[v]),
                                          carried[r * vectors + v]));
                   }
                   return next;
                 });
}

void BlockProducts::forBlocks(int64_t size, int64_t block, int64_t unit,
                              Body body) {
  int64_t units = llvm::divideCeil(size, unit);
  int64_t whole = units / block * block;
  emitFor(builder, loc, index(0), index(whole * unit), block * unit,
          [&](Value first) { body(first, block); });
  if (units > whole)
    body(index(whole * unit), units - whole);
}

void BlockProducts::forBlocks(Value upper, int64_t block, int64_t unit,
                              Body body) {
  Value size = index(block * unit);
  Value whole =
      mulIndex(builder, loc,
               builder.createOrFold<arith::DivUIOp>(loc, upper, size), size);
  emitFor(builder, loc, index(0), whole, block * unit,
          [&](Value first) { body(first, block); });
  if (block > 1)
    emitFor(builder, loc, whole, upper, unit,
            [&](Value first) { body(first, 1); });
}
