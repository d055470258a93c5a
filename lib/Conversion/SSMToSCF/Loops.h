//===- Loops.h - Scalar loops over points ----------------------*- C++ -*-===//
//
// What the families of the literal lowering share: loops over dimensions,
// accesses through maps, conversions between floating-point types.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_CONVERSION_SSMTOSCF_LOOPS_H
#define SSMC_LIB_CONVERSION_SSMTOSCF_LOOPS_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/PatternMatch.h"
#include "ssm/IR/SSM.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace ssmc::detail {

/// Builds scalar code at the insertion point of a builder.
class Loops {
public:
  Loops(mlir::OpBuilder &builder, mlir::Location loc)
      : builder(builder), loc(loc) {}

  mlir::OpBuilder &builder;
  mlir::Location loc;

  mlir::Value index(int64_t value);
  mlir::Value constant(mlir::Type type, double value);
  mlir::Value add(mlir::Value left, mlir::Value right);
  mlir::Value sub(mlir::Value left, mlir::Value right);
  mlir::Value mul(mlir::Value left, mlir::Value right);
  mlir::Value less(mlir::Value left, mlir::Value right);
  mlir::Value select(mlir::Value condition, mlir::Value left,
                     mlir::Value right);
  mlir::Value max(mlir::Value left, mlir::Value right);

  /// Of numbers, which have one part, or two: real and imaginary.
  llvm::SmallVector<mlir::Value> addNumbers(mlir::ValueRange left,
                                            mlir::ValueRange right);
  llvm::SmallVector<mlir::Value> mulNumbers(mlir::ValueRange left,
                                            mlir::ValueRange right);

  /// Extents of the dimensions that outputs and states of a recurrence have; those
  /// that `sizes` has already stay.
  void bindSizes(mlir::ssm::ScanOp op,
                 llvm::MutableArrayRef<mlir::Value> sizes);

  /// Size of dimension `dim` of `memref`.
  mlir::Value size(mlir::Value memref, unsigned dim);

  /// `value` as a `type`, if both are floating-point; otherwise unchanged.
  mlir::Value convert(mlir::Value value, mlir::Type type);

  mlir::Value load(mlir::Value memref, mlir::ValueRange indices);
  void store(mlir::Value value, mlir::Value memref, mlir::ValueRange indices);

  /// The indices that `map` makes of `point`.
  llvm::SmallVector<mlir::Value> apply(mlir::AffineMap map,
                                       mlir::ValueRange point);

  /// Emits `body` under a condition, and `otherwise`, where there is one, under its
  /// opposite.
  void when(mlir::Value condition, llvm::function_ref<void()> body,
            llvm::function_ref<void()> otherwise = nullptr);

  /// Loads `memref[indices]` as `type` if `condition`, otherwise `otherwise`.
  mlir::Value loadIf(mlir::Value condition, mlir::Value memref,
                     mlir::ValueRange indices, mlir::Type type,
                     llvm::function_ref<mlir::Value()> otherwise);

  /// `body` for every index from `begin` to `end`, carrying `init`.
  llvm::SmallVector<mlir::Value>
  reduce(mlir::Value begin, mlir::Value end, mlir::ValueRange init,
         llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value,
                                                           mlir::ValueRange)>
             body);

  /// `body` for every index from 0 to `end`.
  void repeat(mlir::Value end, llvm::function_ref<void(mlir::Value)> body);

  /// `body` for every point of the dimensions `dims` of `point`, whose extents
  /// are `sizes`; `point` holds the others already.
  void repeat(llvm::ArrayRef<unsigned> dims, mlir::ValueRange sizes,
              llvm::SmallVector<mlir::Value> &point,
              llvm::function_ref<void()> body);

  /// `repeat` for points that are independent of each other: the loops carry
  /// `kIndependentAttr`.
  void each(mlir::Value end, llvm::function_ref<void(mlir::Value)> body);
  void each(llvm::ArrayRef<unsigned> dims, mlir::ValueRange sizes,
            llvm::SmallVector<mlir::Value> &point,
            llvm::function_ref<void()> body);

  llvm::SmallVector<mlir::Value>
  reduce(llvm::ArrayRef<unsigned> dims, mlir::ValueRange sizes,
         llvm::SmallVector<mlir::Value> &point, mlir::ValueRange init,
         llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::ValueRange)>
             body);

  /// Values `results` of `block`, computed from `arguments`, which are asked
  /// for one by one, only where needed. One that is always widened may come so.
  llvm::SmallVector<mlir::Value>
  inlineSlice(mlir::Block &block, mlir::ValueRange results,
              llvm::function_ref<mlir::Value(unsigned)> getArgument);

  /// What the epilogue `region` yields for `values` (converted to its
  /// arguments' types) and `operands` at `point`.
  llvm::SmallVector<mlir::Value> inlineEpilogue(mlir::Region &region,
                                                mlir::ValueRange values,
                                                mlir::ValueRange operands,
                                                mlir::ArrayAttr maps,
                                                mlir::ValueRange point);
  /// The same with operands that `getOperand` has by number.
  llvm::SmallVector<mlir::Value>
  inlineEpilogue(mlir::Region &region, mlir::ValueRange values,
                 llvm::function_ref<mlir::Value(unsigned)> getOperand);
};

/// The type in which numbers of `types` are accumulated: f64 if any is, f32
/// otherwise.
mlir::Type getAccumulatorType(mlir::TypeRange types);

/// Adds the patterns of one family; `forThreads` as in SSMToSCF.h.
void populateScanPatterns(mlir::RewritePatternSet &patterns, bool forThreads);
void populateConvPatterns(mlir::RewritePatternSet &patterns);
void populateSpectrumPatterns(mlir::RewritePatternSet &patterns);
void populateAttendPatterns(mlir::RewritePatternSet &patterns);
void populateNormPatterns(mlir::RewritePatternSet &patterns);
void populateMatmulPatterns(mlir::RewritePatternSet &patterns);
void populateMatrixPatterns(mlir::RewritePatternSet &patterns, bool forThreads);
void populateImpulsePatterns(mlir::RewritePatternSet &patterns, bool forThreads);

} // namespace ssmc::detail

#endif // SSMC_LIB_CONVERSION_SSMTOSCF_LOOPS_H
