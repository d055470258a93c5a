//===- MatmulKernel.h - What the forms of a product share ------*- C++ -*-===//

#ifndef SSMC_LIB_TARGET_NVPTX_MATMULKERNEL_H
#define SSMC_LIB_TARGET_NVPTX_MATMULKERNEL_H

#include "Conversion/SSMToSCF/Loops.h"
#include "Target/NVPTX/Launch.h"
#include "ssm/IR/SSM.h"

namespace ssmc::nvptx {

/// A product of tokens (the rows) by a packed weight, as launches of kernels.
class MatmulKernel {
public:
  MatmulKernel(mlir::ssm::MatmulOp op, mlir::RewriterBase &b)
      : op(op), b(b), loc(op.getLoc()), loops(b, loc),
        inputType(mlir::cast<mlir::MemRefType>(op.getInput().getType())),
        weightType(mlir::cast<mlir::MemRefType>(op.getWeight().getType())),
        outputType(mlir::cast<mlir::MemRefType>(op.getOutput().getType())),
        type(ssmc::detail::getAccumulatorType(
            {inputType.getElementType(), weightType.getElementType(),
             outputType.getElementType()})),
        rank(outputType.getRank()), panels(weightType.getShape()[0]),
        width(weightType.getShape()[2]), depth(inputType.getShape().back()) {}

protected:
  using Value = mlir::Value;

  /// Sets the numbers of rows and columns. On the host.
  void countRows();
  /// Begins a launch and goes into its body; `shared`: buffers in shared memory.
  mlir::gpu::LaunchOp startLaunch(Value gridX, Value gridY, int64_t threads,
                                  llvm::ArrayRef<mlir::MemRefType> shared) {
    return nvptx::startLaunch(b, loc, gridX, gridY, threads, shared);
  }
  /// `small` where `left` is at most `right`, otherwise `large`.
  void choose(Value left, int64_t right, llvm::function_ref<void()> small,
              llvm::function_ref<void()> large);
  /// The leading indices of row number `row`, which is in range.
  llvm::SmallVector<Value> leadingOf(Value row);
  /// Stores what the epilogue makes of `sum`.
  void store(llvm::ArrayRef<Value> leading, Value column, Value sum) {
    store(leading, column, sum, loadOperands(leading, column));
  }
  /// The same with the epilogue's operands, loaded before; returns what is
  /// stored.
  Value store(llvm::ArrayRef<Value> leading, Value column, Value sum,
              llvm::ArrayRef<Value> operands);
  llvm::SmallVector<Value> loadOperands(llvm::ArrayRef<Value> leading,
                                        Value column);
  void barrier() { mlir::gpu::BarrierOp::create(b, loc); }
  Value rem(Value x, int64_t y) {
    return mlir::arith::RemUIOp::create(b, loc, x, loops.index(y));
  }
  Value div(Value x, int64_t y) {
    return mlir::arith::DivUIOp::create(b, loc, x, loops.index(y));
  }
  Value least(Value x, Value y) { return mlir::arith::MinSIOp::create(b, loc, x, y); }
  Value both(Value x, Value y) { return mlir::arith::AndIOp::create(b, loc, x, y); }

  mlir::ssm::MatmulOp op;
  mlir::RewriterBase &b;
  mlir::Location loc;
  ssmc::detail::Loops loops;
  mlir::MemRefType inputType, weightType, outputType;
  mlir::Type type;
  int64_t rank, panels, width, depth;
  Value rows, columns;
  llvm::SmallVector<Value> leadingSizes;
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_MATMULKERNEL_H
