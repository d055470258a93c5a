//===- ConvStep.h - A short convolution of a single token ------*- C++ -*-===//

#ifndef SSMC_LIB_TARGET_NVPTX_CONVSTEP_H
#define SSMC_LIB_TARGET_NVPTX_CONVSTEP_H

#include "Conversion/SSMToSCF/Loops.h"
#include "ssm/IR/SSM.h"

namespace ssmc::nvptx {

/// Emits what a thread computes that has the only token of a channel.
class ConvStep {
public:
  using Value = mlir::Value;

  ConvStep(mlir::ssm::ConvOp op, mlir::OpBuilder &builder);
  /// Whether the output of a channel is of few tokens of it, and of nothing
  /// else.
  static bool fits(mlir::ssm::ConvOp op);

  /// Loads what no kernel writes, of the channel at `indices` of the input.
  void loadTables(llvm::ArrayRef<Value> indices);
  /// Asks for it instead, where it is tables, and for the history, which may be
  /// written still, or for the history alone.
  void prefetch(llvm::ArrayRef<Value> indices);
  void prefetchHistory();
  /// Loads the tokens before this one, and what else there is.
  void loadHistory();
  /// Stores the output and the history, given the token.
  void finish(Value token);

private:
  /// Goes to the channel at `indices` of the input.
  void moveTo(llvm::ArrayRef<Value> indices);
  void prefetchLineOf(Value memref, llvm::ArrayRef<Value> indices);
  void loadTaps();
  /// Operands of the epilogue that are tables, or those that are not.
  void loadOperands(bool areTables);

  mlir::ssm::ConvOp op;
  ssmc::detail::Loops loops;
  int64_t numLags;
  mlir::Type type;
  llvm::SmallVector<Value> from, point;
  llvm::SmallVector<Value> taps, tokens, operands;
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_CONVSTEP_H
