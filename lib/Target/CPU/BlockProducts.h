//===- BlockProducts.h - Products of small matrices in registers -*- C++ -*-===//
//
// What the lowerings that multiply small matrices in scratch memory have in common:
// a block of sums stays in registers while the depth passes, rows are broadcast and
// columns are in the lanes.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_BLOCKPRODUCTS_H
#define SSMC_TARGET_CPU_BLOCKPRODUCTS_H

#include "CPULowering.h"
#include "VectorEmitter.h"

namespace ssmc::cpu {

class BlockProducts {
protected:
  /// The value of a matrix at a row or column, or at a block of columns.
  using Element = llvm::function_ref<Value(int64_t, Value)>;
  using Body = llvm::function_ref<void(Value, int64_t)>;

  BlockProducts(RewriterBase &builder, Location loc, const VectorTarget &target)
      : builder(builder), loc(loc), target(target) {}
  /// Scratch memory holds numbers of `type`.
  void setElement(Type type);

  /// Scratch memory of a task, of the element type unless another is given.
  Value allocate(ArrayRef<int64_t> shape, Type type = Type());
  /// Adds A(row, at) * B(at, vector) for `at` in [lower, upper) to the sums.
  SmallVector<Value> accumulate(ValueRange sums, int64_t rows, int64_t vectors,
                                Value lower, Value upper, Element a, Element b);
  /// Runs `body` for blocks of `block` units of `unit` elements, then for the
  /// rest.
  void forBlocks(int64_t size, int64_t block, int64_t unit, Body body);
  void forBlocks(Value upper, int64_t block, int64_t unit, Body body);
  /// Rows of a block product with `vectors` vectors a row.
  int64_t getRows(int64_t vectors) const;
  /// Vectors of a row of a block at most.
  int64_t getWidestBlock() const { return target.getRegisters() == 32 ? 4 : 2; }
  SmallVector<Value> zeros(int64_t count);
  /// A decay that a few more tokens would make zero is zero: arithmetic on
  /// denormal numbers is slow.
  Value flush(Value vector) { return flushDenormals(builder, loc, vector, element); }
  Value multiply(Value a, Value b);
  Value add(Value a, Value b);
  Value convert(Value value, Type type) {
    return convertFloat(builder, loc, value, type);
  }
  Value splat(Value scalar);
  Value constant(double value);
  Value loadScalar(Value memref, ValueRange indices);
  Value loadVector(Value memref, ValueRange indices);
  void storeVector(Value value, Value memref, ValueRange indices);
  Value index(int64_t value) { return indexConstant(builder, loc, value); }
  Value at(Value base, int64_t offset) {
    return addIndex(builder, loc, base, index(offset));
  }
  Value divide(Value a, int64_t b);

  RewriterBase &builder;
  Location loc;
  VectorTarget target;
  /// What scratch memory holds.
  Type element;
  VectorType vectorType;
  int64_t width = 1;
};

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_BLOCKPRODUCTS_H
