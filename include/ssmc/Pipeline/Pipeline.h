//===- Pipeline.h - From a layer's function to machine code ----*- C++ -*-===//
//
// Joins the phases of Phases.def. Contains no pass of its own.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_PIPELINE_PIPELINE_H
#define SSMC_PIPELINE_PIPELINE_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include <memory>
#include <string>
#include <vector>

namespace ssmc {

/// The phases, in order, from Phases.def.
enum class Phase {
#define PHASE(NAME, TEXT, SUMMARY) NAME,
#include "ssmc/Pipeline/Phases.def"
};
llvm::StringRef phaseName(Phase phase);
llvm::StringRef phaseSummary(Phase phase);

/// What replaces the cost model's choice for every state block.
struct ScheduleOptions {
  int64_t chunk = 0, lanes = 0, segments = 0; // 0: the model's
  int64_t crossover = -1;                     // -1: the model's
  std::string conv = "auto";                  // auto | fft | direct
};

struct PipelineOptions {
  std::string name = "layer";     // prefix of the exported symbol NAME_module
  std::string mode = "auto";      // auto | step | scan | chunk | conv | quadratic
  std::string cpu = "native";     // LLVM's name of a CPU, or "native"
  std::string triple;             // empty: this machine's
  std::string target = "cpu";     // cpu | cuda: where forward and step compute
  std::vector<std::string> gpu;   // LLVM's names of GPUs; PTX is for the first
  std::string assembler;          // ptxas, for machine code of them all; empty: PTX alone
  bool emulateKernels = false;    // of cuda: kernels run on the CPU, for tests
  bool literal = false;           // the slow lowering that is the oracle
  bool fastExp = false;
  std::string operandType;        // of f32 products by weights: bf16, f16; empty: as they are
  std::string ioType;             // of inputs and outputs over a sequence; empty: as they are
  std::string stateType;          // of states of recurrences in memory; empty: as they are
  bool lastToken = false;         // results over the sequence: of its last token only
  uint64_t hash = 0;              // of spec, parameters and options
  std::string dumpDirectory;      // one file a phase, if not empty
  Phase stopAfter = Phase::Object;
  bool explain = false;           // print what the cost model chose, to stderr
  ScheduleOptions schedule;
  std::vector<std::pair<std::string, double>> machine; // figures other than the target's

  /// The GPU that PTX is for: unless one is named the oldest that has all instructions in
  /// use, so that the code runs on all later ones.
  llvm::StringRef getGPU() const { return gpu.empty() ? "sm_80" : llvm::StringRef(gpu[0]); }
};

/// Lowers the module made by compileSource up to `options.stopAfter`, in place.
mlir::LogicalResult runPipeline(mlir::ModuleOp module,
                                const PipelineOptions &options);

/// The optimised LLVM module of a module in the Machine phase.
std::unique_ptr<llvm::Module> translateToLLVM(mlir::ModuleOp module,
                                              llvm::LLVMContext &context,
                                              const PipelineOptions &options);

/// PTX of the kernels of a module for CUDA in the Machine phase: text that ends with a
/// newline. Reports errors as diagnostics.
mlir::FailureOr<std::string> emitPTX(mlir::ModuleOp module, const PipelineOptions &options);

enum class MachineFormat { Object, Assembly };
/// Emits code for an LLVM module; reports errors to stderr.
mlir::LogicalResult emitMachineCode(llvm::Module &module,
                                    const PipelineOptions &options,
                                    MachineFormat format,
                                    llvm::SmallVectorImpl<char> &out);

} // namespace ssmc

#endif // SSMC_PIPELINE_PIPELINE_H
