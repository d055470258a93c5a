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
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ssmc {

/// What the front end needs besides the text.
struct FrontendOptions {
  std::string layer;                        // empty: the only or last one
  std::map<std::string, std::string> set;   // --set NAME=VALUE
  const llvm::json::Object *config = nullptr; // config.json, for `config "..."`
  bool doublePrecision = false;             // activations in f64 instead of f32
  bool testValues = false; // parameters take the values that tests use
  /// Element type of a weight in its file ("bf16", "f32", ...) by its full name;
  /// an absent name means `weightType`, or if that is empty the activations' type.
  std::map<std::string, std::string> weightTypes;
  std::string weightType;
};

/// Text of a module shipped inside the compiler (`std`, `mamba`, ...), or none.
std::optional<llvm::StringRef> findShippedModule(llvm::StringRef name);
/// Names of all shipped modules, sorted.
std::vector<llvm::StringRef> shippedModules();
/// The shipped module and model that a config.json's `model_type` names.
std::optional<std::pair<std::string, std::string>>
findModelFor(llvm::StringRef modelType);

/// What an initialiser fills: the values of one weight, in C order of its shape.
struct WeightInitializer {
  std::string name;            // "{}" stands for the member of a family
  std::vector<int64_t> shape;  // as stored
  int64_t family = 0;          // number of members, or 0
  std::function<std::vector<double>(uint64_t seed)> values;
};

struct CompiledSource {
  mlir::OwningOpRef<mlir::ModuleOp> module; // null: errors were reported
  std::string layer;
  std::vector<WeightInitializer> weights;
  std::vector<std::pair<std::string, std::string>> parameters; // names and values
};

/// Parses the buffer and everything it imports, and emits the chosen layer as
/// `func.func @forward` (see lib/Frontend/Elaborator.h for its form). Errors go to
/// `os`.
CompiledSource compileSource(mlir::MLIRContext &context, llvm::SourceMgr &sources,
                             std::unique_ptr<llvm::MemoryBuffer> buffer,
                             const FrontendOptions &options, llvm::raw_ostream &os);

/// Checks every layer and model of the buffer that stands alone: each parameter has a
/// value, no argument has leading axes `..`. Errors go to the diagnostic handler of `sources`, if it has one, and to
/// `os` otherwise. Returns the buffer's id.
unsigned checkSource(mlir::MLIRContext &context, llvm::SourceMgr &sources,
                     std::unique_ptr<llvm::MemoryBuffer> buffer, llvm::raw_ostream &os);

/// Parses the buffer and prints its syntax tree.
mlir::LogicalResult printTree(llvm::SourceMgr &sources,
                              std::unique_ptr<llvm::MemoryBuffer> buffer,
                              llvm::raw_ostream &tree, llvm::raw_ostream &os);

/// Names of the layers a source declares, in order; empty on a syntax error.
std::vector<std::string> layersOf(llvm::StringRef text);

} // namespace ssmc

#endif // SSMC_FRONTEND_FRONTEND_H
