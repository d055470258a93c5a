//===- Modes.h - Which modes a layer may be executed in --------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_MODES_H
#define SSMC_LIB_DRIVER_MODES_H

#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace ssmc {

/// A mode, and why it is illegal; an empty reason means that it is legal.
struct ModeLegality {
  std::string mode, reason;
  mlir::Location where; // of the first state block that refuses
};

/// The modes besides auto, of a module in the frontend's phase: a mode is legal for a
/// layer if it is for each of its state blocks.
std::vector<ModeLegality> legalModes(mlir::ModuleOp module);

/// Reports an error at the state block that does not allow the mode.
mlir::LogicalResult checkMode(mlir::ModuleOp module, llvm::StringRef mode);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_MODES_H
