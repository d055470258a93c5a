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
  LogicalResult select(ConvOp conv, std::optional<ExecutionMode> wanted,
                       bool hasStates);
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
                  info.kind != RecurrenceClass::Id && !info.numErasePairs;
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
  scan.setScheduleAttr(ScheduleAttr::get(&getContext(), chosen, 0, 0, 1));
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

static std::string nameOf(ConvOp conv) {
  if (conv.hasDynamicLags())
    return "the convolution with a kernel as long as the sequence";
  return "the convolution with a kernel of " + std::to_string(conv.getLags()) +
         " lags";
}

/// Why a long kernel cannot be executed in a mode, or nothing. A kernel of few
/// lags is a window over the last tokens, which a layer with states carries like
/// them.
static std::string reasonAgainst(ConvOp conv, ExecutionMode mode, bool hasStates) {
  bool isWindow = hasStates && !conv.hasDynamicLags();
  switch (mode) {
  case ExecutionMode::Scan:
    return isWindow ? ""
                    : "the kernel is no state space: no state of a fixed size "
                      "carries what it needs of earlier tokens";
  case ExecutionMode::Quadratic:
    return isWindow ? "" : "the kernel does not depend on the input, as scores do";
  default:
    return "";
  }
}

LogicalResult SelectModesPass::select(ConvOp conv,
                                      std::optional<ExecutionMode> wanted,
                                      bool hasStates) {
  if (!conv.isLong())
    return success();
  if (wanted)
    if (std::string reason = reasonAgainst(conv, *wanted, hasStates);
        !reason.empty())
      return conv.emitError() << "mode '" << mode << "' is not possible for "
                              << nameOf(conv) << ": " << reason;
  if (wanted == ExecutionMode::Chunk)
    conv.setFormAttr(ConvFormAttr::get(&getContext(), ConvForm::blocks));
  if (!explain)
    return success();
  bool isWhole = getOperation()->hasAttr("ssm.whole_sequence");
  llvm::errs() << nameOf(conv) << ": no state space, runs as "
               << (conv.getForm() ? stringifyConvForm(*conv.getForm())
                                  : StringRef("blocks or fft, by length"))
               << "\n";
  for (ExecutionMode other : allExecutionModes) {
    std::string reason = reasonAgainst(conv, other, hasStates);
    if (other == ExecutionMode::Step && isWhole)
      reason = "the layer needs its whole sequence";
    llvm::errs() << "  " << llvm::left_justify(stringifyExecutionMode(other), 10)
                 << (reason.empty() ? "legal" : reason) << "\n";
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
  if (mode == "step" && getOperation()->hasAttr("ssm.exact_length")) {
    getOperation().emitError()
        << "mode 'step' is not legal: the values of a kernel depend on the length "
           "of the sequence, so it is prepared for one length and runs as a whole";
    return signalPassFailure();
  }
  if (mode == "step" && getOperation()->hasAttr("ssm.whole_sequence")) {
    getOperation().emitError()
        << "mode 'step' is not legal: a part of the layer runs along the sequence "
           "backward, so a token needs those after it";
    return signalPassFailure();
  }
  bool hasStates = false;
  getOperation().walk([&](ScanOp) { hasStates = true; });
  WalkResult result = getOperation().walk([&](Operation *op) {
    LogicalResult selected = success();
    if (auto scan = dyn_cast<ScanOp>(op))
      selected = select(scan, wanted);
    else if (auto conv = dyn_cast<ConvOp>(op))
      selected = select(conv, wanted, hasStates);
    return failed(selected) ? WalkResult::interrupt() : WalkResult::advance();
  });
  if (result.wasInterrupted())
    signalPassFailure();
}
