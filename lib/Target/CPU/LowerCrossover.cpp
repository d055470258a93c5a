//===- LowerCrossover.cpp - The form of a recurrence by its length --------===//

#include "CPULowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;

static ScheduleAttr withMode(ScheduleAttr schedule, ScanMode mode) {
  // The tile of one form means nothing to the other.
  bool same = mode == schedule.getMode();
  return ScheduleAttr::get(schedule.getContext(), mode, same ? schedule.getChunk() : 0,
                           schedule.getLanes(), schedule.getSegments(), 0);
}

/// A schedule with a crossover becomes one without: two forms and a branch between
/// them, or the right one where the length is known.
void ssmc::cpu::lowerCrossovers(RewriterBase &rewriter, Operation *root) {
  SmallVector<ScanOp> scans;
  root->walk([&](ScanOp scan) {
    if (ScheduleAttr schedule = scan.getScheduleAttr();
        schedule && schedule.getCrossover() > 0)
      scans.push_back(scan);
  });
  for (ScanOp scan : scans) {
    ScheduleAttr schedule = scan.getScheduleAttr();
    ScheduleAttr above = withMode(schedule, schedule.getMode());
    ScheduleAttr below = withMode(schedule, ScanMode::scan);
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(scan);
    Location loc = scan.getLoc();
    Value length = rewriter.createOrFold<memref::DimOp>(
        loc, scan.getOutputInits().front(), 1);
    if (std::optional<int64_t> known = getConstantIntValue(length)) {
      scan.setScheduleAttr(*known >= schedule.getCrossover() ? above : below);
      continue;
    }
    Value shortest =
        arith::ConstantIndexOp::create(rewriter, loc, schedule.getCrossover());
    Value isLong = arith::CmpIOp::create(rewriter, loc, arith::CmpIPredicate::sge, length,
                                         shortest);
    auto branch = scf::IfOp::create(rewriter, loc, isLong, /*withElseRegion=*/true);
    rewriter.setInsertionPointToStart(branch.thenBlock());
    cast<ScanOp>(rewriter.clone(*scan)).setScheduleAttr(above);
    rewriter.setInsertionPointToStart(branch.elseBlock());
    auto sequential = cast<ScanOp>(rewriter.clone(*scan));
    sequential.setScheduleAttr(below);
    sequential.dropTables();
    rewriter.eraseOp(scan);
  }
}
