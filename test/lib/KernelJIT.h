//===- KernelJIT.h - Compiles loops and vectors in memory ------*- C++ -*-===//
//
// For unit tests and benchmarks of what lib/Target/CPU emits: takes a module of
// func, scf, vector, arith and memref, runs tasks one after the other, and
// gives back a function pointer. No runtime library, no threads.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TEST_LIB_KERNELJIT_H
#define SSMC_TEST_LIB_KERNELJIT_H

#include "mlir/ExecutionEngine/CRunnerUtils.h"
#include "mlir/ExecutionEngine/ExecutionEngine.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

namespace ssmc::test {

/// A context with the dialects that kernels consist of.
std::unique_ptr<mlir::MLIRContext> createKernelContext();

class KernelJIT {
public:
  /// Compiles for this machine. Ends the process with a message on failure: a
  /// test has nothing to do without its kernel.
  explicit KernelJIT(mlir::ModuleOp module);

  /// Calls a function of the module whose arguments are all memrefs.
  template <typename... MemRefs> void call(llvm::StringRef name, MemRefs &...m) {
    auto *function = reinterpret_cast<void (*)(MemRefs *...)>(lookup(name));
    function(&m...);
  }

  void *lookup(llvm::StringRef name);

private:
  std::unique_ptr<mlir::ExecutionEngine> engine;
  llvm::StringMap<void *> functions;
};

} // namespace ssmc::test

#endif // SSMC_TEST_LIB_KERNELJIT_H
