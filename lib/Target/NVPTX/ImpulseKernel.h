//===- ImpulseKernel.h - The kernel of a time-invariant system -*- C++ -*-===//
//
// The response at the lag i m + j is what is read of A^(i m) A^j b: the rows c A^(i m) of
// eight blocks of m lags times the states A^j b of one, in f64 on the tensor cores.
//
// Which numbers of a state a step of a product names is free, as long as both sides
// agree.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_IMPULSEKERNEL_H
#define SSMC_LIB_TARGET_NVPTX_IMPULSEKERNEL_H

#include "Target/NVPTX/KernelEmitter.h"
#include "Target/NVPTX/Launch.h"

namespace ssmc::nvptx {

constexpr int64_t kWarp = 32;

/// A kernel for each out; `emit` leaves the op.
class ImpulseKernel : protected KernelEmitter {
protected:
  using Values = llvm::SmallVector<mlir::Value>;
  /// Rows or columns of a tile, which are lags, or blocks of lags, and lanes with a row,
  /// each of which has every fourth number of it.
  static constexpr int64_t kTile = 8, kQuads = 4;

  ImpulseKernel(mlir::OpBuilder &builder, mlir::ssm::ImpulseResponseOp op);

  /// The sums of two tiles of rows, of which `low` and `high` are a lane's numbers step
  /// by step, times one tile of columns.
  Values multiply(mlir::ArrayRef<Value> low, mlir::ArrayRef<Value> high,
                  mlir::ArrayRef<Value> right);
  void multiplyAdd(mlir::ArrayRef<Value> low, mlir::ArrayRef<Value> high,
                   mlir::ArrayRef<Value> right, Values &sums);

  /// Where a system's numbers are.
  struct System {
    Value outer, tile, lane; ///< indices of operands
    Value number;            ///< among the lanes of an out
  };
  System systemOf(Value outer, Value number);
  Value loadInput(const System &system, Value row);
  Value loadRead(const System &system, unsigned out, Value which, Value row);

  /// A magnitude below the smallest normal number of the out is zero.
  Value round(Value number);
  /// Stores the number of a lag.
  void storeTap(Value number, unsigned out, Value lag, const System &system, Value which);
  Value getPlace(Value lag);

  mlir::OpBuilder &b;
  mlir::ssm::ImpulseResponseOp op;
  mlir::Type element; ///< of the outs
  int64_t rows, width, outer, lanes, reads;
  Value numLags;
  Value lane, row, quarter; ///< of a thread, g and q of DoubleProducts.h
};

/// A diagonal transition, of real or complex numbers: a warp has a system, whose states
/// and rows stay in registers.
bool fitsDiagonal(mlir::ssm::ImpulseResponseOp op);
void emitDiagonal(mlir::OpBuilder &builder, mlir::ssm::ImpulseResponseOp op);
/// A matrix: a block has a system, and the powers of its matrix in shared memory.
bool fitsDense(mlir::ssm::ImpulseResponseOp op);
void emitDense(mlir::OpBuilder &builder, mlir::ssm::ImpulseResponseOp op);

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_IMPULSEKERNEL_H
