//===- ImpulseKernel.h - The kernel of a time-invariant system -*- C++ -*-===//
//
// The response at the lag i m + j is what is read of A^(i m) A^j b: the rows c A^(i m) of
// eight blocks of m lags times the states A^j b of one, in f64 on the tensor cores.
//
// With g = lane / 4 and q = lane % 4, a thread has of m8n8k4
//   the left   8 x 4:  (g, q)
//   the right  4 x 8:  (q, g)
//   the sums   8 x 8:  (g, 2 q), (g, 2 q + 1)
// As a sum's order is free, k may name any numbers of a state that both sides agree on.
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
  /// Rows of a product, blocks of lags that are computed together, and threads with a row
  /// or column, each of which has every fourth number of it.
  static constexpr int64_t kTile = 8, kQuads = 4;

  ImpulseKernel(mlir::OpBuilder &builder, mlir::ssm::ImpulseResponseOp op);

  /// Sums and one step of their product: `left` of rows, `right` of columns.
  void multiply(Value left, Value right, Values &sums);
  Values zeros();

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
  /// Stores the number of a lag, if there is one.
  void storeTap(Value number, unsigned out, Value lag, const System &system, Value which);
  Value getPlace(Value lag);

  mlir::OpBuilder &b;
  mlir::ssm::ImpulseResponseOp op;
  mlir::Type element; ///< of the outs
  int64_t rows, width, outer, lanes, reads;
  Value numLags;
  Value lane, row, quarter; ///< of a thread, g and q
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
