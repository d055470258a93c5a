//===- NormRow.h - A row of a norm by the threads of a block ---*- C++ -*-===//

#ifndef SSMC_LIB_TARGET_NVPTX_NORMROW_H
#define SSMC_LIB_TARGET_NVPTX_NORMROW_H

#include "Conversion/SSMToSCF/Loops.h"
#include "ssm/IR/SSM.h"

namespace ssmc::nvptx {

/// Emits what a block of threads computes of one row, or one group of it.
class NormRow {
public:
  using Value = mlir::Value;

  /// `together`: neighbours that a thread loads at once.
  NormRow(mlir::ssm::NormOp op, mlir::OpBuilder &builder, int64_t numThreads,
          int64_t together = 1);
  /// Elements of a group.
  static int64_t getSize(mlir::ssm::NormOp op);
  /// Whether a thread can hold what it has.
  bool fits() const;

  /// Reads the elements of the group that begins at `begin` of the row `leading`.
  void load(llvm::ArrayRef<Value> leading, Value begin, Value thread);
  /// Computes the mean, where the norm has one, and the scale, of all threads' elements.
  /// The next sums go where these are read: a barrier has to come between.
  void reduce();
  /// The scale, given the sum of the squares of all elements, less their mean.
  Value scaleOf(Value squares);
  /// `x` less the mean, scaled.
  Value apply(Value x);

  /// Of this thread: elements, their places, and whether each is there, where it may not be;
  /// of neighbours that are loaded at once all are or none.
  llvm::SmallVector<Value> elements, places, exist;
  Value mean, scale;

private:
  Value sum(llvm::function_ref<Value(Value)> term);

  mlir::ssm::NormOp op;
  ssmc::detail::Loops loops;
  int64_t size, numThreads, together;
  mlir::Type type;
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_NORMROW_H
