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

std::string mlir::ssm::reasonAgainst(ScanOp scan, const RecurrenceInfo &info,
                                     ExecutionMode mode) {
  if (!info.isLegal(mode))
    return info.getReason(mode).str();
  bool products = !scan.getComplex() && info.kind != RecurrenceClass::I &&
                  info.kind != RecurrenceClass::Id;
  if (mode == ExecutionMode::Conv || mode == ExecutionMode::Quadratic ||
      (mode == ExecutionMode::Chunk && !products))
    return ("it is legal for class " + stringifyRecurrenceClass(info.kind) +
            ", but this version has no lowering for it")
        .str();
  return "";
}

LogicalResult SelectModesPass::select(ScanOp scan, std::optional<ExecutionMode> wanted) {
  RecurrenceInfo info = analyzeRecurrence(scan);
  if (wanted)
    if (std::string reason = reasonAgainst(scan, info, *wanted); !reason.empty())
      return scan.emitError() << "mode '" << mode << "' is not possible for "
                              << nameOf(scan) << ": " << reason;
  ScanMode chosen =
      wanted == ExecutionMode::Chunk ? ScanMode::chunk : ScanMode::scan;
  scan.setScheduleAttr(ScheduleAttr::get(&getContext(), chosen, 0, 0, 0));
  if (explain) {
    llvm::errs() << nameOf(scan) << ": class " << stringifyRecurrenceClass(info.kind)
                 << ", runs as " << stringifyScanMode(chosen) << "\n";
    for (ExecutionMode other : allExecutionModes)
      llvm::errs() << "  " << llvm::left_justify(stringifyExecutionMode(other), 10)
                   << (other == ExecutionMode::Step || reasonAgainst(scan, info, other).empty()
                           ? std::string("legal")
                           : reasonAgainst(scan, info, other))
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
  // A mode of the layer is one of its recurrences; those beside it that lack the
  // form, a running sum for one, are scans.
  bool mayDiffer = false;
  if (wanted && *wanted != ExecutionMode::Step)
    getOperation().walk([&](ScanOp scan) {
      mayDiffer |= reasonAgainst(scan, analyzeRecurrence(scan), *wanted).empty();
    });
  WalkResult result = getOperation().walk([&](ScanOp scan) {
    std::optional<ExecutionMode> own = wanted;
    if (mayDiffer && !reasonAgainst(scan, analyzeRecurrence(scan), *wanted).empty())
      own = ExecutionMode::Scan;
    return failed(select(scan, own)) ? WalkResult::interrupt()
                                     : WalkResult::advance();
  });
  if (result.wasInterrupted())
    signalPassFailure();
}
