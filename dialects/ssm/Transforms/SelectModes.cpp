//===- SelectModes.cpp - How each recurrence is executed ------------------===//

#include "ssm/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "ssm/Analysis/RecurrenceClass.h"
#include "ssm/IR/SSM.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_SELECTMODESPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;
using namespace mlir::ssm;

namespace {
struct SelectModesPass : ssm::impl::SelectModesPassBase<SelectModesPass> {
  using SelectModesPassBase::SelectModesPassBase;
  void runOnOperation() override;

private:
  LogicalResult select(ScanOp scan, std::optional<ExecutionMode> wanted);
};
} // namespace

/// The state's name in the text, for messages.
static std::string nameOf(ScanOp scan) {
  auto name = scan->getAttrOfType<StringAttr>("state_name");
  return name ? "state '" + name.getValue().str() + "'" : std::string("this recurrence");
}

LogicalResult SelectModesPass::select(ScanOp scan, std::optional<ExecutionMode> wanted) {
  RecurrenceInfo info = analyzeRecurrence(scan);
  if (wanted && !info.isLegal(*wanted))
    return scan.emitError() << "mode '" << mode << "' is not legal for " << nameOf(scan)
                            << ": " << info.getReason(*wanted);
  ScanMode chosen = ScanMode::scan;
  if (wanted == ExecutionMode::Chunk) {
    if (scan.getComplex() || info.kind == RecurrenceClass::I ||
        info.kind == RecurrenceClass::Id || info.numErasePairs)
      return scan.emitError() << "mode 'chunk' of " << nameOf(scan) << ", class "
                              << stringifyRecurrenceClass(info.kind)
                              << ", has no lowering in this version; step and scan do";
    chosen = ScanMode::chunk;
  }
  if (wanted == ExecutionMode::Conv || wanted == ExecutionMode::Quadratic)
    return scan.emitError() << "mode '" << mode << "' of " << nameOf(scan)
                            << " has no lowering in this version; step and scan do";
  scan.setScheduleAttr(ScheduleAttr::get(&getContext(), chosen, 0, 0, 1));
  if (explain) {
    llvm::errs() << nameOf(scan) << ": class " << stringifyRecurrenceClass(info.kind)
                 << ", runs as " << stringifyScanMode(chosen) << "\n";
    for (ExecutionMode other : allExecutionModes)
      llvm::errs() << "  " << llvm::left_justify(stringifyExecutionMode(other), 10)
                   << (info.isLegal(other) ? StringRef("legal") : info.getReason(other))
                   << "\n";
  }
  return success();
}

void SelectModesPass::runOnOperation() {
  auto wanted =
      llvm::StringSwitch<std::optional<ExecutionMode>>(mode)
          .Case("step", ExecutionMode::Step)
          .Case("scan", ExecutionMode::Scan)
          .Case("chunk", ExecutionMode::Chunk)
          .Case("conv", ExecutionMode::Conv)
          .Case("quadratic", ExecutionMode::Quadratic)
          .Default(std::nullopt);
  if (!wanted && mode != "auto") {
    getOperation().emitError() << "there is no mode '" << mode << "'";
    return signalPassFailure();
  }
  if (mode == "step" && getOperation()->hasAttr("ssm.whole_sequence")) {
    getOperation().emitError()
        << "mode 'step' is not legal: a part of the layer runs along the sequence "
           "backward, so a token needs those after it";
    return signalPassFailure();
  }
  WalkResult result = getOperation().walk([&](ScanOp scan) {
    return failed(select(scan, wanted)) ? WalkResult::interrupt()
                                        : WalkResult::advance();
  });
  if (result.wasInterrupted())
    signalPassFailure();
}
