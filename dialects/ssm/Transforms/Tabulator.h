//===- Tabulator.h - Tables of a time-invariant recurrence ------*- C++ -*-===//
//
// All numbers are first laid out over [outer, keys, tiles, width]: the dimensions of
// each kind joined, and the lanes cut into vectors, the last filled up with zeros.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_TRANSFORMS_TABULATOR_H
#define SSM_TRANSFORMS_TABULATOR_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "ssm/Analysis/InvariantForm.h"
#include "ssm/IR/SSM.h"

namespace mlir::ssm {

class Tabulator {
public:
  /// Lanes are cut into vectors of at most `vectorLanes`. With `isWide` numbers of the
  /// coefficients are computed in f64 from the operands on.
  Tabulator(ScanOp scan, const InvariantForm &form, int64_t vectorLanes,
            bool isWide = false);
  void run();

  /// The kernel of each output for each input, by input: over the dimensions of
  /// getKernelDims, the first being `length` lags (TabulateResponse.cpp).
  SmallVector<SmallVector<Value>> makeKernels(Value length);
  /// The dimensions of the scan that a kernel has; that of the tokens are the lags.
  SmallVector<unsigned> getKernelDims();

private:
  /// Real, or real and imaginary part.
  using Number = SmallVector<Value, 2>;
  using Dims = SmallVector<unsigned>;
  using Body = function_ref<SmallVector<Value>(OpBuilder &, ValueRange)>;

  // Numbers of the coefficients, as tensors.
  SmallVector<Value> layOut(function_ref<Number(OpBuilder &, IRMapping &)> compute,
                            ArrayRef<Value> needed, ArrayRef<Dims> groups);
  Value cutLanes(Value tensor);
  SmallVector<Dims> getGroups();
  SmallVector<Value> getDecay();
  SmallVector<Value> getRead();
  SmallVector<Value> getGain(const WriteInput &input);
  Value emitGain(OpBuilder &nested, const IRMapping &mapping,
                 ArrayRef<WriteGain> gains);
  Value emitFactor(OpBuilder &nested, const IRMapping &mapping, Value value);

  // Tables.
  Value makeWrite();
  Value makeRead();
  Value makeKernel();
  Value makeDecay();
  // Of a transition that mixes (TabulateMatrices.cpp).
  bool isMixing() { return scan.getDense() || !roles.getErase().empty(); }
  Value makeTransition(bool lanesLast = false);
  SmallVector<Value> getImages(Value transition);
  Value getReadRows(bool lanesLast = false);
  // Of the kernel of all lags.
  Value joinParts(ArrayRef<Value> number);
  Value dropPadding(Value kernel);
  SmallVector<Value> makeMatrixTables();
  Value permute(Value tensor, ArrayRef<int64_t> shape, ArrayRef<AffineExpr> positions);
  SmallVector<Value> emitGeneric(ArrayRef<int64_t> shape, ArrayRef<Value> ins,
                                 ArrayRef<AffineMap> maps, unsigned numResults,
                                 Type type, Body body);
  Value assemble(ArrayRef<int64_t> shape, ArrayRef<Value> members,
                 ArrayRef<unsigned> dims);
  void addInputs(ArrayRef<Value> tables);

  // Arithmetic of a point.
  Number multiply(OpBuilder &nested, const Number &a, const Number &b);
  Number power(OpBuilder &nested, const Number &base, Value exponent);
  Value round(OpBuilder &nested, Value value);
  Value constant(OpBuilder &nested, double value) {
    return arith::ConstantOp::create(nested, loc, nested.getF64FloatAttr(value));
  }
  AffineMap select(unsigned numDims, ArrayRef<unsigned> dims) {
    return AffineMap::getMultiDimMapWithTargets(numDims, dims, builder.getContext());
  }

  ScanOp scan;
  const InvariantForm &form;
  OpBuilder builder;
  Location loc;
  CoefficientsOp roles;
  Block *body;
  Type element, wide;
  bool isWide;
  unsigned parts, outputs;
  int64_t chunk, outer = 1, keys = 1, copies = 1, lanes = 1, tiles = 1, width = 1;
  SmallVector<Value> decay;              ///< [outer, keys, tiles, width], by part
  SmallVector<Value> read;               ///< [outer, copies, keys, tiles, width]
  SmallVector<SmallVector<Value>> gains; ///< as the decay, by input
};

} // namespace mlir::ssm

#endif // SSM_TRANSFORMS_TABULATOR_H
