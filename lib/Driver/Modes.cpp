//===- Modes.cpp - Which modes a layer may be executed in -----------------===//

#include "Modes.h"

#include "ssm/Analysis/RecurrenceClass.h"

using namespace ssmc;

std::vector<ModeLegality> ssmc::legalModes(mlir::ModuleOp module) {
  std::vector<ModeLegality> modes;
  for (mlir::ssm::ExecutionMode mode : mlir::ssm::allExecutionModes)
    modes.push_back({mlir::ssm::stringifyExecutionMode(mode).lower(), "",
                     module.getLoc()});
  module.walk([&](mlir::ssm::ScanOp scan) {
    mlir::ssm::RecurrenceInfo info = mlir::ssm::analyzeRecurrence(scan);
    for (auto [i, mode] : llvm::enumerate(mlir::ssm::allExecutionModes))
      if (modes[i].reason.empty() && !info.isLegal(mode)) {
        modes[i].reason = info.getReason(mode).str();
        modes[i].where = scan.getLoc();
      }
  });
  module.walk([&](mlir::Operation *op) {
    if (op->hasAttr("ssm.whole_sequence") && modes[0].reason.empty())
      modes[0].reason = "what is computed for a token depends on later tokens";
  });
  return modes;
}

mlir::LogicalResult ssmc::checkMode(mlir::ModuleOp module, llvm::StringRef mode) {
  if (mode == "auto")
    return mlir::success();
  for (const ModeLegality &legality : legalModes(module))
    if (legality.mode == mode && !legality.reason.empty())
      return mlir::emitError(legality.where)
             << "mode '" << mode << "' is illegal here: " << legality.reason;
  return mlir::success();
}
