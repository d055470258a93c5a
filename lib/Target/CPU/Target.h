//===- Target.h - What the code generator knows of a CPU -------*- C++ -*-===//

#ifndef SSMC_TARGET_CPU_TARGET_H
#define SSMC_TARGET_CPU_TARGET_H

#include "Target/CPU/KernelTarget.h"
#include "ssm/Analysis/Machine.h"
#include "llvm/Passes/OptimizationLevel.h"
#include "llvm/Support/LogicalResult.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>
#include <string>

namespace ssmc {

struct CPUTarget {
  std::string triple, cpu, features; // as LLVM names them
  int64_t vectorBits = 128;
  int64_t vectorRegisters = 16;
  bool avx512 = false;
  cpu::BF16Unit bf16 = cpu::BF16Unit::None;
  /// As in KernelTarget.
  int64_t prefetchBytes = 0;

  /// The CPU `cpu` ("native": this one) of `triple` (empty: this machine's).
  static llvm::FailureOr<CPUTarget> get(llvm::StringRef triple, llvm::StringRef cpu);
  /// LLVM's code generator for it, position independent, at -O3.
  std::unique_ptr<llvm::TargetMachine> createTargetMachine() const;
  /// Its figures for the cost model. They follow from the features alone, so that one
  /// `--cpu` means one schedule wherever the compiler runs.
  mlir::ssm::Machine getMachine() const;
};

/// LLVM's own pipeline of `level`, for any target.
void optimize(llvm::Module &module, llvm::TargetMachine &machine,
              llvm::OptimizationLevel level);

} // namespace ssmc

#endif // SSMC_TARGET_CPU_TARGET_H
