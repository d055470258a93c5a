//===- Interpreter.h - What structured ops mean, in doubles ----*- C++ -*-===//
//
// Executes memref-form `linalg.generic`, `linalg.fill` and `ssm` ops point by
// point as their documentation defines them: an oracle for lowerings that
// shares no code with them.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TEST_LIB_INTERPRETER_H
#define SSMC_TEST_LIB_INTERPRETER_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <vector>

namespace ssmc::test {

/// A dense array, the last dimension contiguous.
struct Array {
  llvm::SmallVector<int64_t> shape;
  std::vector<double> data;

  int64_t getSize() const;
  double &at(llvm::ArrayRef<int64_t> indices);
};

/// Runs the body of `function` on arrays, one for each argument.
void interpret(mlir::func::FuncOp function, llvm::ArrayRef<Array *> arguments);

} // namespace ssmc::test

#endif // SSMC_TEST_LIB_INTERPRETER_H
