//===- Modes.cpp - Which modes a layer may be executed in -----------------===//

#include "Cache.h"
#include "Limits.h"
#include "Modes.h"
#include "Parallel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "ssm/Analysis/CostModel.h"
#include "ssm/Transforms/Passes.h"

using namespace ssmc;

/// What the schedules of the layer's recurrences are predicted to take. With
/// `quadratic`, the module is one in which they are recurrences still.
static std::vector<double> predict(mlir::ModuleOp module, bool stepwise, bool quadratic,
                                   llvm::ArrayRef<Lengths> lengths) {
  std::vector<double> clocks(lengths.size(), 0);
  module.walk([&](mlir::ssm::ScanOp scan) {
    if (scan->getParentOfType<mlir::func::FuncOp>().getName() != "forward")
      return;
    double trips = 1;
    for (auto loop = scan->getParentOfType<mlir::scf::ForOp>(); loop;
         loop = loop->getParentOfType<mlir::scf::ForOp>())
      if (auto count = loop.getStaticTripCount())
        trips *= double(count->getZExtValue());
    mlir::ssm::Machine machine = mlir::ssm::Machine::get(scan);
    mlir::ssm::RecurrenceInfo info = mlir::ssm::analyzeRecurrence(scan);
    bool isSum = quadratic && mlir::ssm::reasonAgainst(
                                  scan, info, mlir::ssm::ExecutionMode::Quadratic)
                                  .empty();
    mlir::ssm::ScanWork work(scan, info);
    mlir::ssm::CostModel model(work, machine);
    mlir::ssm::ScheduleAttr schedule = scan.getScheduleAttr();
    // The other branch may be a convolution.
    auto branch = scan->getParentOfType<mlir::scf::IfOp>();
    auto shortest = branch ? branch->getAttrOfType<mlir::IntegerAttr>(
                                 mlir::ssm::kShortestConvAttr)
                           : mlir::IntegerAttr();
    auto longest = branch ? branch->getAttrOfType<mlir::IntegerAttr>(
                                mlir::ssm::kLongestConvAttr)
                          : mlir::IntegerAttr();
    int axis = sequenceAxisOf(scan);
    auto axes = scan->getParentOfType<mlir::func::FuncOp>()->getAttrOfType<mlir::ArrayAttr>(
        "ssm.sequence_axes");
    for (auto [sum, all] : llvm::zip(clocks, lengths)) {
      mlir::ssm::Execution form;
      int64_t length = lengthOf(all, axis);
      double rows = 1; // the tokens along other axes
      for (int other = 0; axes && other < int(axes.size()); ++other)
        rows *= other == axis ? 1 : double(lengthOf(all, other));
      if (schedule && length >= schedule.getCrossover())
        form = {schedule.getMode(), schedule.getChunk()};
      if (isSum)
        form = {mlir::ssm::ScanMode::quadratic, 0};
      if (shortest && length >= shortest.getInt() &&
          (!longest || length <= longest.getInt()))
        form = {mlir::ssm::ScanMode::conv, 0};
      sum += trips * rows *
             (stepwise ? double(length) * model.getClocks({}, 1)
                       : model.getClocks(form, length));
    }
  });
  return clocks;
}

static std::vector<int64_t> findTiles(mlir::ModuleOp module) {
  // What the lowerings take where the schedule leaves it to them.
  std::vector<int64_t> tiles = {32};
  module.walk([&](mlir::ssm::ScanOp scan) {
    if (mlir::ssm::ScheduleAttr schedule = scan.getScheduleAttr())
      for (int64_t tile : {schedule.getChunk(), schedule.getCrossover()})
        if (tile > 0)
          tiles.push_back(tile);
  });
  return tiles;
}

std::vector<ModeChoice> ssmc::tryModes(const Source &source, const WeightFiles &weights,
                                       const Options &options, BuildRequest request,
                                       llvm::ArrayRef<Lengths> lengths) {
  std::vector<ModeChoice> modes;
  request.quiet = true;
  for (const char *mode : {"auto", "step", "scan", "chunk", "conv", "quadratic"})
    if (options.mode == "auto" || options.mode == mode)
      modes.emplace_back().mode = mode;
  llvm::Error error = runInParallel(modes.size(), [&](size_t i) {
    ModeChoice &choice = modes[i];
    BuildRequest asked = request;
    asked.mode = choice.mode;
    Build build(source, weights, options, asked);
    build.pipeline().explain = false;
    build.pipeline().dumpDirectory.clear();
    bool isQuadratic = choice.mode == "quadratic";
    llvm::Error error = build.lower(Phase::Frontend);
    if (!error && isQuadratic)
      choice.clocks = predict(build.module(), false, /*quadratic=*/true, lengths);
    if (!error)
      error = build.lower(Phase::Layer);
    if (!error) {
      choice.program = build.computeProgramKey().hash();
      choice.tiles = findTiles(build.module());
      build.module().walk([&](mlir::ssm::ConvOp conv) {
        choice.mayLeak |= conv->hasAttr("shortest_fft");
      });
      if (!isQuadratic)
        choice.clocks = predict(build.module(), choice.mode == "step",
                                /*quadratic=*/false, lengths);
    } else {
      llvm::consumeError(std::move(error));
      choice.refusal = build.takeDiagnostics();
      // `auto` is refused by nothing but a mistake in the source, which is reported
      // where the layer is compiled.
      if (choice.refusal.empty())
        choice.refusal = "refused";
      if (choice.mode == "auto")
        choice.refusal.clear();
    }
    return llvm::Error::success();
  });
  llvm::cantFail(std::move(error)); // refusals are no errors
  return modes;
}
