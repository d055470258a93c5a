//===- Build.h - From a source to machine code -----------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_BUILD_H
#define SSMC_LIB_DRIVER_BUILD_H

#include "Options.h"
#include "Source.h"
#include "Weights.h"
#include "ssmc/Frontend/Frontend.h"
#include "ssmc/Pipeline/Pipeline.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/SourceMgr.h"

namespace ssmc {

class CacheKey;

/// How one layer of a source is compiled; by default as the command line says.
struct BuildRequest {
  BuildRequest(const Options &options)
      : name("layer"), mode(options.mode), doublePrecision(options.dtype == "f64"),
        operandType(options.dtype == "bf16" || options.dtype == "f16" ? options.dtype : ""),
        ioType(options.ioDType == "f32" ? "" : options.ioDType),
        stateType(options.stateDType == "f32" ? "" : options.stateDType) {}
  std::string name; // of the exported symbol, NAME_module
  std::string mode;
  bool doublePrecision;
  std::string operandType; // of products by weights; empty: as they are
  std::string ioType;      // of inputs and outputs over a sequence; empty: as they are
  std::string stateType;   // of states of recurrences, in memory; empty: as they are
  bool literal = false;    // the oracle
  bool lastToken = false;  // results of the last token alone
  bool testValues = false; // parameters without a value take that of the tests
  bool needsInitializers = false;
  bool quiet = false; // diagnostics go to `diagnostics` alone
};

/// A source on its way to machine code, with the context its IR lives in.
class Build {
public:
  Build(const Source &source, const WeightFiles &weights, const Options &options,
        BuildRequest request);
  ~Build();

  /// Text to MLIR; nothing if that was done.
  llvm::Error runFrontend();
  /// Lowers the module up to `phase`.
  llvm::Error lower(Phase phase);
  /// The optimised LLVM module, from the frontend on.
  llvm::Expected<std::unique_ptr<llvm::Module>> makeLLVM();
  llvm::Error emit(llvm::Module &module, MachineFormat format,
                   llvm::SmallVectorImpl<char> &out);
  /// The kernels for a GPU, as text; from the frontend on.
  llvm::Expected<std::string> makePTX();
  /// The object, from the cache if it is there.
  llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> makeObject();

  /// Of the layer's code, once it is lowered, and of what it is compiled for: two modes with
  /// the same are one program.
  CacheKey computeProgramKey();

  mlir::ModuleOp module() { return *compiled.module; }
  llvm::ArrayRef<WeightInitializer> initializers() const { return compiled.weights; }
  /// Names and values of the layer's parameters.
  llvm::ArrayRef<std::pair<std::string, std::string>> parameters() const {
    return compiled.parameters;
  }
  const std::string &layer() const { return compiled.layer; }
  const Source &getSource() const { return source; }
  PipelineOptions &pipeline() { return pipelineOptions; }
  /// What was reported, where the request was quiet.
  std::string takeDiagnostics() { return std::move(diagnostics); }

private:
  llvm::Error parseMLIR();
  void makeContext();
  std::string computeKey();
  void addTarget(CacheKey &key);

  const Source &source;
  const Options &options;
  BuildRequest request;
  FrontendOptions frontendOptions;
  PipelineOptions pipelineOptions;
  std::string key, diagnostics;
  llvm::SourceMgr sources;
  std::unique_ptr<mlir::MLIRContext> context;
  // Shared, for it knows which class it destroys; the class does not.
  std::shared_ptr<mlir::ScopedDiagnosticHandler> handler;
  llvm::LLVMContext llvmContext;
  CompiledSource compiled;
};

/// Refuses what cannot be done for the target, on this machine or at all.
llvm::Error checkTarget(const Options &options);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_BUILD_H
