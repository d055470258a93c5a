//===- SelectModes.cpp - How each recurrence is executed ------------------===//

#include "PreparedValues.h"
#include "ssm/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Remarks.h"
#include "ssm/Analysis/ConvCostModel.h"
#include "ssm/Analysis/CostModel.h"
#include "ssm/Analysis/InvariantForm.h"
#include "ssm/Analysis/ProductForm.h"
#include "ssm/Analysis/RecurrenceClass.h"
#include "ssm/IR/SSM.h"
#include "ssm/IR/SpectrumBlocks.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
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
  /// What the model recommends, with the overrides of the options.
  ScheduleAttr choose(const CostModel &model, std::optional<ExecutionMode> wanted,
                      bool mayChunk, bool isPrepared, std::optional<int64_t> length);
  void report(ScanOp scan, const RecurrenceInfo &info, const CostModel &model,
              ScheduleAttr schedule, bool mayChunk);
  LogicalResult select(ConvOp conv, std::optional<ExecutionMode> wanted,
                       bool hasStates);
  LogicalResult selectPrepared(Operation *op);
};
} // namespace

/// Lengths at which predictions are shown.
static constexpr int64_t shownLengths[] = {1, 16, 64, 512, 2048};

/// The state's name in the text, for messages.
static std::string nameOf(ScanOp scan) {
  auto name = scan->getAttrOfType<StringAttr>("state_name");
  return name ? "state '" + name.getValue().str() + "'" : std::string("this recurrence");
}

static remark::RemarkOpts remarkNamed(StringRef name) {
  return remark::RemarkOpts::name(name).category("ssm-select-modes");
}

std::string mlir::ssm::reasonAgainst(ScanOp scan, const RecurrenceInfo &info,
                                     ExecutionMode mode) {
  if (!info.isLegal(mode))
    return info.getReason(mode).str();
  bool isInvariant =
      info.kind == RecurrenceClass::I || info.kind == RecurrenceClass::Id;
  if ((mode == ExecutionMode::Chunk || mode == ExecutionMode::Conv) && isInvariant) {
    std::string reason;
    std::optional<InvariantForm> form = getInvariantForm(scan, reason);
    if (form && mode == ExecutionMode::Chunk && scan.getDense() && form->rows.size() > 1)
      return "the transition mixes one of several dimensions that the read sums over, "
             "for which this version has no tables";
    return reason;
  }
  if (mode == ExecutionMode::Quadratic) {
    if (scan.getComplex())
      return "its state is complex, and scores are real numbers";
    if (scan.getReverse())
      return "it runs backward, and scores are those of earlier tokens";
    return scan.getCoefficientsOp().getReset() ? "a reset would cut the scores" : "";
  }
  if (mode == ExecutionMode::Chunk)
    return reasonAgainstProducts(scan);
  return "";
}

/// Whether the tables of a time-invariant recurrence can be made before any input is
/// there. Otherwise each call would make them anew, which pays only where it is asked
/// for.
static bool hasPreparedTables(ScanOp scan, const RecurrenceInfo &info) {
  bool isInvariant =
      info.kind == RecurrenceClass::I || info.kind == RecurrenceClass::Id;
  return !isInvariant || hasPreparedCoefficients(scan);
}

/// "chunk of 64 tokens from length 20 on, scan below".
static std::string describe(ScanOp scan, ScheduleAttr schedule) {
  std::string text = stringifyScanMode(schedule.getMode()).str();
  if (schedule.getChunk() > 0)
    text += llvm::formatv("{0} of {1} tokens",
                          schedule.getMode() == ScanMode::chunk ? "" : " in tiles",
                          schedule.getChunk());
  if (schedule.getLanes() > 0)
    text += llvm::formatv(", {0} lanes a task", schedule.getLanes());
  if (schedule.getSegments() > 1)
    text += llvm::formatv(", {0} segments", schedule.getSegments());
  if (schedule.getCrossover() > 1)
    text += llvm::formatv(" from length {0} on, scan below", schedule.getCrossover());
  if (std::optional<int64_t> shortest = scan.getShortestConv()) {
    auto longest = scan->getAttrOfType<IntegerAttr>(kLongestConvAttr);
    text += llvm::formatv("; conv from length {0} {1} where no state is carried",
                          *shortest,
                          longest ? "to " + std::to_string(longest.getInt()) : "on");
  }
  return text;
}

ScheduleAttr SelectModesPass::choose(const CostModel &model,
                                     std::optional<ExecutionMode> wanted, bool mayChunk,
                                     bool isPrepared, std::optional<int64_t> length) {
  ScanMode chosen = ScanMode::scan;
  int64_t tokens = 0, from = 0;
  if (wanted == ExecutionMode::Quadratic)
    return ScheduleAttr::get(&getContext(), ScanMode::quadratic, 0, 0, 0, 0);
  if (wanted == ExecutionMode::Chunk || (!wanted && mayChunk && isPrepared)) {
    Execution inChunks{ScanMode::chunk, chunk > 0 ? chunk : model.getBestChunk()};
    std::optional<int64_t> shortest = model.getCrossover(inChunks, {ScanMode::scan, 0});
    if (crossover >= 0)
      shortest = crossover;
    else if (wanted)
      shortest = 0; // asked for at every length
    // A length that is known needs one form only.
    if (shortest && (!length || *length >= *shortest)) {
      chosen = ScanMode::chunk;
      tokens = inChunks.chunk;
      from = length || *shortest <= 1 ? 0 : *shortest;
    }
  }
  if (wanted == ExecutionMode::Conv)
    chosen = ScanMode::conv;
  if (chosen == ScanMode::scan && (wanted || !mayChunk))
    tokens = chunk;
  return ScheduleAttr::get(&getContext(), chosen, tokens, lanes, segments,
                           from);
}

void SelectModesPass::report(ScanOp scan, const RecurrenceInfo &info,
                             const CostModel &model, ScheduleAttr schedule,
                             bool mayChunk) {
  SmallVector<Execution> forms = {{ScanMode::scan, 0}};
  if (mayChunk) {
    int64_t best = schedule.getMode() == ScanMode::chunk ? schedule.getChunk()
                                                         : model.getBestChunk();
    SmallVector<int64_t> chunks = {best};
    if (model.choosesChunks())
      chunks.append({16, 32, 64, 128});
    for (int64_t tokens : chunks)
      forms.push_back({ScanMode::chunk, tokens});
    llvm::sort(forms.begin() + 1, forms.end(),
               [](Execution a, Execution b) { return a.chunk < b.chunk; });
    forms.erase(std::unique(forms.begin(), forms.end(),
                            [](Execution a, Execution b) { return a.chunk == b.chunk; }),
                forms.end());
  }
  if (reasonAgainst(scan, info, ExecutionMode::Conv).empty())
    forms.push_back({ScanMode::conv, 0});
  if (reasonAgainst(scan, info, ExecutionMode::Quadratic).empty())
    forms.push_back({ScanMode::quadratic, 0});
  auto nameForm = [](Execution form) {
    std::string text = stringifyScanMode(form.mode).str();
    return form.mode == ScanMode::chunk ? text + " of " + std::to_string(form.chunk)
                                        : text;
  };
  auto isChosen = [&](Execution form) {
    if (form.mode == ScanMode::conv && scan.getShortestConv())
      return true;
    return form.mode == schedule.getMode() &&
           (form.mode != ScanMode::chunk || form.chunk == schedule.getChunk());
  };
  auto clocks = [&](Execution form, int64_t length) {
    return int64_t(std::llround(model.getClocks(form, length) / double(length)));
  };
  constexpr int64_t longest = shownLengths[std::size(shownLengths) - 1];
  remark::passed(scan.getLoc(), remarkNamed("Mode"))
      << remark::add("{0}", describe(scan, schedule))
      << remark::metric("state", nameOf(scan))
      << remark::metric("class", stringifyRecurrenceClass(info.kind));
  for (Execution form : forms)
    if (!isChosen(form))
      remark::missed(scan.getLoc(), remarkNamed("Rejected"))
          << remark::add("{0}", nameForm(form)) << remark::metric("state", nameOf(scan))
          << remark::metric("clocksPerToken", clocks(form, longest));
  for (ExecutionMode mode : allExecutionModes)
    if (std::string reason = reasonAgainst(scan, info, mode);
        mode != ExecutionMode::Step && !reason.empty())
      remark::missed(scan.getLoc(), remarkNamed("Impossible"))
          << remark::add("{0}", stringifyExecutionMode(mode))
          << remark::metric("state", nameOf(scan)) << remark::reason("{0}", reason);
  if (!explain)
    return;

  std::string text;
  llvm::raw_string_ostream os(text);
  os << nameOf(scan);
  if (auto where = scan.getLoc()->findInstanceOf<FileLineColLoc>())
    os << " at " << where.getFilename().getValue() << ":" << where.getLine();
  os << ": class " << stringifyRecurrenceClass(info.kind) << ", runs as "
     << describe(scan, schedule)
     << "\n  predicted clocks a token, of one core for one row\n  "
     << llvm::left_justify("length", 14);
  for (int64_t length : shownLengths)
    os << llvm::right_justify(std::to_string(length), 9);
  for (Execution form : forms) {
    os << "\n  " << llvm::left_justify(nameForm(form) + (isChosen(form) ? " *" : ""), 14);
    for (int64_t length : shownLengths)
      os << llvm::right_justify(std::to_string(clocks(form, length)), 9);
  }
  os << "\n  cheapest: ";
  llvm::interleaveComma(model.getCheapest(forms), os, [&](const CheapestFrom &next) {
    os << nameForm(next.execution) << " from " << next.first;
  });
  os << "\n";
  for (ExecutionMode mode : allExecutionModes)
    if (std::string reason = reasonAgainst(scan, info, mode);
        mode != ExecutionMode::Step && !reason.empty())
      os << "  not " << stringifyExecutionMode(mode) << ": " << reason << "\n";
  llvm::errs() << text;
}

LogicalResult SelectModesPass::select(ScanOp scan, std::optional<ExecutionMode> wanted) {
  RecurrenceInfo info = analyzeRecurrence(scan);
  // A schedule written by hand is asked for as well.
  ScheduleAttr given = wanted ? ScheduleAttr() : scan.getScheduleAttr();
  std::optional<ExecutionMode> asked = wanted;
  if (given && given.getMode() == ScanMode::chunk)
    asked = ExecutionMode::Chunk;
  if (given && given.getMode() == ScanMode::quadratic)
    asked = ExecutionMode::Quadratic;
  if (asked)
    if (std::string reason = reasonAgainst(scan, info, *asked); !reason.empty())
      return scan.emitError() << "mode '" << stringifyExecutionMode(*asked)
                              << "' is not possible for " << nameOf(scan) << ": "
                              << reason;
  bool mayChunk = reasonAgainst(scan, info, ExecutionMode::Chunk).empty();
  std::optional<int64_t> length;
  if (int64_t extent = scan.getDimSize(1); !ShapedType::isDynamic(extent))
    length = extent;
  Machine machine = Machine::get(scan);
  ScanWork work(scan, info);
  work.leavesStates =
      !areKeptOnly(scan) || !isLayer(scan->getParentOfType<func::FuncOp>());
  CostModel model(work, machine);
  // Without code for its chunks it may still be asked for them, and runs as it is.
  bool isInvariant = work.inputs > 0;
  mayChunk &= !isInvariant || model.hasTableCode();
  ScheduleAttr schedule = given ? given : choose(model, wanted, mayChunk,
                                                  hasPreparedTables(scan, info), length);
  scan.setScheduleAttr(schedule);
  // Nothing is asked for: a convolution besides, where that pays.
  bool isFree = !asked && !given && chunk == 0 && crossover < 0 &&
                convolution != "direct";
  if (isFree && isLayer(scan->getParentOfType<func::FuncOp>()) &&
      reasonAgainst(scan, info, ExecutionMode::Conv).empty() &&
      hasPreparedTables(scan, info)) {
    std::optional<LengthRange> range = model.getConvRange(
        {schedule.getMode(), schedule.getChunk()}, schedule.getCrossover());
    bool fits = range && (!length || (*length >= range->first &&
                                      *length <= range->last.value_or(*length)));
    if (fits) {
      scan.setShortestConv(range->first);
      if (range->last)
        scan->setAttr(kLongestConvAttr, Builder(scan).getI64IntegerAttr(*range->last));
      // Without a state, which calls of a whole sequence never go on from, the other form
      // is for few tokens, and for more than there are tables for: one is enough.
      bool isWhole =
          scan.getInitial().empty() || getOperation()->hasAttr("ssm.whole_sequence");
      if (isWhole && !range->last)
        schedule = ScheduleAttr::get(&getContext(), ScanMode::scan, 0, lanes, segments, 0);
      scan.setScheduleAttr(schedule);
    }
  }
  report(scan, info, model, schedule, mayChunk);
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

/// What a long kernel runs as, and what the model predicts for both forms.
static void reportForms(ConvOp conv, const ConvCostModel &model,
                        std::optional<int64_t> shortest) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << nameOf(conv) << ": no state space, runs ";
  if (!shortest)
    os << "as blocks of its Toeplitz matrix";
  else
    os << "by Fourier transforms from length "
       << std::max<int64_t>(*shortest, kShortestTransform) << " on";
  if (shortest)
    os << ", as blocks of its Toeplitz matrix below";
  if (conv.getCut())
    os << ", which documents may cut";
  os << "\n  predicted clocks a token of a vector of channels\n  "
     << llvm::left_justify("length", 14);
  constexpr int64_t lengths[] = {64, 128, 256, 1024, 4096, 32768};
  for (int64_t length : lengths)
    os << llvm::right_justify(std::to_string(length), 9);
  for (bool isDirect : {true, false}) {
    os << "\n  " << llvm::left_justify(isDirect ? "direct" : "fft", 14);
    for (int64_t length : lengths) {
      double clocks = isDirect ? model.getDirectClocks(length)
                               : model.getTransformClocks(length);
      os << llvm::right_justify(
          std::to_string(std::llround(clocks / double(length))), 9);
    }
  }
  os << "\n";
  llvm::errs() << text;
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
  std::optional<int64_t> shortest = chooseShortestTransform(conv, convolution);
  if (shortest)
    conv.setShortestFft(shortest);
  if (!explain)
    return success();
  bool isWhole = getOperation()->hasAttr("ssm.whole_sequence");
  Machine machine = Machine::get(conv);
  reportForms(conv, ConvCostModel(conv, machine), shortest);
  for (ExecutionMode other : allExecutionModes) {
    std::string reason = reasonAgainst(conv, other, hasStates);
    if (other == ExecutionMode::Step && isWhole)
      reason = "the layer needs its whole sequence";
    llvm::errs() << "  " << llvm::left_justify(stringifyExecutionMode(other), 10)
                 << (reason.empty() ? "legal" : reason) << "\n";
  }
  return success();
}

/// A recurrence that weights determine runs token by token: tables for it would cost
/// what it costs itself.
LogicalResult SelectModesPass::selectPrepared(Operation *op) {
  auto scan = dyn_cast<ScanOp>(op);
  if (!scan)
    return select(cast<ConvOp>(op), std::nullopt, /*hasStates=*/false);
  if (!scan.getScheduleAttr())
    scan.setScheduleAttr(
        ScheduleAttr::get(&getContext(), ScanMode::scan, 0, lanes, segments, 0));
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
  // Blocks of the whole Toeplitz matrix are chunks all the same.
  if ((mode == "step" || mode == "scan") &&
      getOperation()->hasAttr("ssm.exact_length")) {
    getOperation().emitError()
        << "mode '" << mode << "' is not possible: the values of a kernel depend on "
        << "the length of the sequence, so it is prepared for one length and runs as a "
           "whole; wanted auto, conv or chunk";
    return signalPassFailure();
  }
  if (convolution != "auto" && convolution != "fft" && convolution != "direct") {
    getOperation().emitError() << "conv is auto, fft or direct, not '"
                               << convolution << "'";
    return signalPassFailure();
  }
  if (chunk < 0 || lanes < 0 || segments < 0) {
    getOperation().emitError("chunk-tokens, lanes and segments are 0 or more");
    return signalPassFailure();
  }
  if (mode == "step" && getOperation()->hasAttr("ssm.sequence_axes")) {
    getOperation().emitError()
        << "mode 'step' is not possible: the layer has several sequence axes, so its "
           "tokens have no order in which they could come";
    return signalPassFailure();
  }
  if (mode == "step" && getOperation()->hasAttr("ssm.whole_sequence")) {
    getOperation().emitError()
        << "mode 'step' is not possible: a part of the layer runs along the sequence "
           "backward, so a token needs those after it";
    return signalPassFailure();
  }
  // A mode of the layer is one of its recurrences; those beside it that lack the
  // form, a running sum for one, are scans.
  bool hasStates = false, mayDiffer = false;
  getOperation().walk([&](ScanOp scan) {
    if (isKnownBeforehand(scan->getResult(0)))
      return;
    hasStates = true;
    if (wanted && *wanted != ExecutionMode::Step)
      mayDiffer |= reasonAgainst(scan, analyzeRecurrence(scan), *wanted).empty();
  });
  WalkResult result = getOperation().walk([&](Operation *op) {
    LogicalResult selected = success();
    // What runs once, before any input is there, has no part in the layer's mode.
    if (isa<ScanOp, ConvOp>(op) && isKnownBeforehand(op->getResult(0))) {
      selected = selectPrepared(op);
    } else if (auto scan = dyn_cast<ScanOp>(op)) {
      std::optional<ExecutionMode> own = wanted;
      if (mayDiffer && !reasonAgainst(scan, analyzeRecurrence(scan), *wanted).empty())
        own = ExecutionMode::Scan;
      selected = select(scan, own);
    } else if (auto conv = dyn_cast<ConvOp>(op)) {
      selected = select(conv, wanted, hasStates);
    }
    return failed(selected) ? WalkResult::interrupt() : WalkResult::advance();
  });
  if (result.wasInterrupted())
    signalPassFailure();
}
