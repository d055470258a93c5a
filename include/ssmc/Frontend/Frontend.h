//===- Frontend.h - From .ssm text to the ssm dialect ----------*- C++ -*-===//
//
// Parse, check, elaborate: one layer of one spec, with its parameters fixed,
// becomes a function of tensors. No token and no tree in sight.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_FRONTEND_FRONTEND_H
#define SSMC_FRONTEND_FRONTEND_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/SourceMgr.h"
#include <map>
#include <optional>
#include <string>

namespace ssmc {

/// What the front end needs besides the text.
struct FrontendOptions {
  std::string layer;                        // empty: the only or last one
  std::map<std::string, std::string> set;   // --set NAME=VALUE
  const llvm::json::Object *config = nullptr; // config.json, for `config "..."`
  bool doublePrecision = false;             // activations in f64 instead of f32
  /// Element type of a weight in its file ("bf16", "f32", ...) by its full name;
  /// an absent name means the activations' type.
  std::map<std::string, std::string> weightTypes;
};

/// Text of a module shipped inside the compiler (`std`, `mamba`, ...), or none.
std::optional<llvm::StringRef> findShippedModule(llvm::StringRef name);
/// Names of all shipped modules, sorted.
std::vector<llvm::StringRef> shippedModules();
/// The shipped module and model that a config.json's `model_type` names.
std::optional<std::pair<std::string, std::string>>
findModelFor(llvm::StringRef modelType);

/// Registers the file and everything it imports with `sources`, and emits the
/// chosen layer as `func.func @forward` (see lib/Frontend/Elaborator.h for its
/// form). Errors go to `os`; returns null if there was one.
mlir::OwningOpRef<mlir::ModuleOp>
compileSource(mlir::MLIRContext &context, llvm::SourceMgr &sources,
              std::unique_ptr<llvm::MemoryBuffer> buffer,
              const FrontendOptions &options, llvm::raw_ostream &os);

/// The layers of a spec, in order, for messages and `inspect`.
mlir::LogicalResult printTree(llvm::SourceMgr &sources,
                              std::unique_ptr<llvm::MemoryBuffer> buffer,
                              llvm::raw_ostream &tree, llvm::raw_ostream &os);

} // namespace ssmc

#endif // SSMC_FRONTEND_FRONTEND_H
