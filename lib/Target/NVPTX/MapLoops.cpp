//===- MapLoops.cpp - Independent loops as launches -----------------------===//

#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Passes.h"
#include "Target/NVPTX/Points.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"
#include "ssmc/Conversion/SSMToSCF.h"
#include "llvm/ADT/SetVector.h"

namespace ssmc::nvptx {
#define GEN_PASS_DEF_MAPLOOPSPASS
#include "Target/NVPTX/Passes.h.inc"
} // namespace ssmc::nvptx

using namespace mlir;
using namespace ssmc;
using nvptx::Points;

namespace {
/// Threads of a block, and how many blocks keep a device busy: with fewer, blocks of a
/// warp spread the work over more multiprocessors.
constexpr int64_t kThreads = 128, kWarp = 32, kBusyBlocks = 256;
/// Beyond this many blocks threads take several points.
constexpr int64_t kMaxBlocks = 1 << 20;

/// One dimension of a nest.
struct Dimension {
  Value lower, upper, step, induction;
};

struct MapLoopsPass : ssmc::nvptx::impl::MapLoopsPassBase<MapLoopsPass> {
  void runOnOperation() override;

private:
  LogicalResult mapBlock(Block &block);
  void mapNest(Operation *outer);
  /// The same with threads that take `points` of the last dimension.
  gpu::LaunchOp launchNest(Operation *outer, const Points &points);
  /// Ops that touch memory outside of any independent loop: one thread.
  LogicalResult mapAlone(ArrayRef<Operation *> ops);
};
} // namespace

static bool isIndependent(Operation *op) {
  if (auto parallel = dyn_cast<scf::ParallelOp>(op))
    return parallel.getNumReductions() == 0;
  return isa<scf::ForOp>(op) && op->hasAttr(kIndependentAttr) &&
         op->getNumResults() == 0;
}

static bool touchesMemory(Operation *op) {
  return op
      ->walk([](Operation *inner) {
        return isa<memref::LoadOp, memref::StoreOp>(inner) ? WalkResult::interrupt()
                                                           : WalkResult::advance();
      })
      .wasInterrupted();
}

static bool containsKernel(Operation *op) {
  return op
      ->walk([](Operation *inner) {
        return isIndependent(inner) || isa<gpu::LaunchOp>(inner)
                   ? WalkResult::interrupt()
                   : WalkResult::advance();
      })
      .wasInterrupted();
}

static void appendDimensions(Operation *op, SmallVectorImpl<Dimension> &dims) {
  if (auto loop = dyn_cast<scf::ForOp>(op)) {
    dims.push_back({loop.getLowerBound(), loop.getUpperBound(), loop.getStep(),
                    loop.getInductionVar()});
    return;
  }
  auto parallel = cast<scf::ParallelOp>(op);
  for (auto [lower, upper, step, induction] :
       llvm::zip_equal(parallel.getLowerBound(), parallel.getUpperBound(),
                       parallel.getStep(), parallel.getInductionVars()))
    dims.push_back({lower, upper, step, induction});
}

static Block *bodyOf(Operation *op) { return &op->getRegion(0).front(); }

/// The loop that is all of the body of `op`, but for computations that can as well be
/// made inside, with bounds known outside of `outer`.
static Operation *getPerfectlyNested(Operation *op, Operation *outer) {
  Operation *inner = nullptr;
  for (Operation &nested : bodyOf(op)->without_terminator()) {
    if (isIndependent(&nested) && !inner)
      inner = &nested;
    else if (inner || !isMemoryEffectFree(&nested) || nested.getNumRegions())
      return nullptr;
  }
  if (!inner)
    return nullptr;
  SmallVector<Dimension> dims;
  appendDimensions(inner, dims);
  for (const Dimension &dim : dims)
    for (Value bound : {dim.lower, dim.upper, dim.step})
      if (outer->isAncestor(bound.getParentRegion()->getParentOp()))
        return nullptr;
  return inner;
}

/// The loops of a nest, and their dimensions.
static void collectNest(Operation *outer, SmallVectorImpl<Operation *> &nest,
                        SmallVectorImpl<Dimension> &dims) {
  for (Operation *op = outer; op; op = getPerfectlyNested(op, outer)) {
    nest.push_back(op);
    appendDimensions(op, dims);
  }
}

void MapLoopsPass::mapNest(Operation *outer) {
  SmallVector<Operation *> nest;
  SmallVector<Dimension> dims;
  collectNest(outer, nest, dims);
  const Dimension &last = dims.back();
  auto lower = getConstantIntValue(last.lower), upper = getConstantIntValue(last.upper);
  if (!lower || !upper || getConstantIntValue(last.step) != 1)
    return (void)launchNest(outer, Points());
  Block &body = *bodyOf(nest.back());
  Points points = nvptx::choosePoints(outer, body, last.induction, *lower, *upper);
  nvptx::NeighbouringMemory memory;
  if (points.together > 1)
    memory = nvptx::findNeighbouring(outer, body, last.induction, points);
  if (!memory.memrefs.empty()) {
    OpBuilder b(outer);
    Location loc = outer->getLoc();
    Value isAligned = nvptx::areAligned(b, loc, memory.memrefs, memory.bytes);
    auto branch = scf::IfOp::create(b, loc, isAligned, /*withElseRegion=*/true);
    Operation *copy = branch.getThenBodyBuilder().clone(*outer);
    outer->moveBefore(branch.elseYield());
    gpu::LaunchOp launch = launchNest(copy, points);
    nvptx::loadRowsTogether(launch.getBody().front(), memory.rows);
  }
  points.together = 1;
  launchNest(outer, points);
}

gpu::LaunchOp MapLoopsPass::launchNest(Operation *outer, const Points &points) {
  SmallVector<Operation *> nest;
  SmallVector<Dimension> dims;
  collectNest(outer, nest, dims);
  int64_t threads = kThreads;
  for (Operation *op : nest)
    if (auto asked = op->getAttrOfType<IntegerAttr>(nvptx::kBlockAttr))
      threads = asked.getInt();

  OpBuilder b(outer);
  Location loc = outer->getLoc();
  auto constant = [&](int64_t value) -> Value {
    return b.createOrFold<arith::ConstantIndexOp>(loc, value);
  };
  bool isShared = points.count() > 1;
  Value one = constant(1), total = one;
  SmallVector<Value> extents;
  for (const Dimension &dim : dims) {
    Value range = b.createOrFold<arith::SubIOp>(loc, dim.upper, dim.lower);
    range = b.createOrFold<arith::MaxSIOp>(loc, range, constant(0));
    extents.push_back(b.createOrFold<arith::CeilDivSIOp>(loc, range, dim.step));
    if (isShared && &dim == &dims.back())
      extents.back() =
          b.createOrFold<arith::DivUIOp>(loc, extents.back(), constant(points.count()));
    total = b.createOrFold<arith::MulIOp>(loc, total, extents.back());
  }
  Value block = constant(threads);
  if (threads > kWarp) {
    Value isLarge = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, total,
                                          constant(threads * kBusyBlocks));
    block = arith::SelectOp::create(b, loc, isLarge, block, constant(kWarp));
  }
  Value blocks = b.createOrFold<arith::CeilDivSIOp>(loc, total, block);
  blocks = b.createOrFold<arith::MinSIOp>(loc, blocks, constant(kMaxBlocks));
  auto launch = gpu::LaunchOp::create(b, loc, blocks, one, one, block, one, one);
  launch->setAttr(nvptx::kBlockAttr, b.getI64IntegerAttr(threads));

  b.setInsertionPointToStart(&launch.getBody().front());
  Value first = arith::MulIOp::create(b, loc, launch.getBlockIds().x,
                                      launch.getBlockSize().x);
  first = arith::AddIOp::create(b, loc, first, launch.getThreadIds().x);
  Value stride =
      arith::MulIOp::create(b, loc, launch.getGridSize().x, launch.getBlockSize().x);
  auto loop = scf::ForOp::create(b, loc, first, total, stride);
  gpu::TerminatorOp::create(b, loc);
  b.setInsertionPointToStart(loop.getBody());
  Value rest = loop.getInductionVar();
  SmallVector<Value> own;
  for (int64_t i = dims.size() - 1; i >= 0; --i) {
    Value at = rest;
    if (i > 0) {
      at = arith::RemUIOp::create(b, loc, rest, extents[i]);
      rest = arith::DivUIOp::create(b, loc, rest, extents[i]);
    }
    bool isSpread = isShared && i + 1 == int64_t(dims.size());
    SmallVector<Value> numbers =
        isSpread ? nvptx::placePoints(b, loc, at, points) : SmallVector<Value>{at};
    for (Value &number : numbers) {
      number = b.createOrFold<arith::MulIOp>(loc, number, dims[i].step);
      number = b.createOrFold<arith::AddIOp>(loc, number, dims[i].lower);
    }
    dims[i].induction.replaceAllUsesWith(numbers.front());
    if (isSpread)
      own = numbers;
  }
  Operation *terminator = loop.getBody()->getTerminator();
  for (auto [i, op] : llvm::enumerate(nest))
    for (Operation &nested :
         llvm::make_early_inc_range(bodyOf(op)->without_terminator()))
      if (i + 1 == nest.size() || &nested != nest[i + 1])
        nested.moveBefore(terminator);
  if (isShared)
    nvptx::spreadCode(own, points);
  outer->erase();
  return launch;
}

LogicalResult MapLoopsPass::mapAlone(ArrayRef<Operation *> ops) {
  if (ops.empty())
    return success();
  for (Operation *op : ops)
    for (Operation *user : op->getUsers())
      if (llvm::none_of(ops, [&](Operation *other) { return other->isAncestor(user); }))
        return user->emitOpError("internal error: the host would have to wait for a value "
                                 "in memory of the device here");
  OpBuilder b(ops.back()); // after everything that any of them uses
  Location loc = ops.front()->getLoc();
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  auto launch = gpu::LaunchOp::create(b, loc, one, one, one, one, one, one);
  launch->setAttr(nvptx::kBlockAttr, b.getI64IntegerAttr(1));
  b.setInsertionPointToStart(&launch.getBody().front());
  Operation *terminator = gpu::TerminatorOp::create(b, loc);
  for (Operation *op : ops)
    op->moveBefore(terminator);
  return success();
}

LogicalResult MapLoopsPass::mapBlock(Block &block) {
  // Accesses that follow each other, and what is computed from what they load.
  SmallVector<Operation *> alone;
  llvm::SmallPtrSet<Operation *, 8> isAlone;
  auto flush = [&] {
    LogicalResult result = mapAlone(alone);
    alone.clear();
    isAlone.clear();
    return result;
  };
  for (Operation &op : llvm::make_early_inc_range(block)) {
    bool isKernel = isIndependent(&op) || isa<gpu::LaunchOp>(op);
    bool isAround = !isKernel && containsKernel(&op);
    if ((isKernel || isAround || op.hasTrait<OpTrait::IsTerminator>()) && failed(flush()))
      return failure();
    if (isIndependent(&op))
      mapNest(&op);
    if (isAround)
      for (Region &region : op.getRegions())
        for (Block &nested : region)
          if (failed(mapBlock(nested)))
            return failure();
    if (isKernel || isAround || op.hasTrait<OpTrait::IsTerminator>())
      continue;
    bool followsAlone = op.walk([&](Operation *inner) {
      return llvm::any_of(inner->getOperands(), [&](Value operand) {
        return isAlone.contains(operand.getDefiningOp());
      }) ? WalkResult::interrupt() : WalkResult::advance();
    }).wasInterrupted();
    if (touchesMemory(&op) || followsAlone) {
      alone.push_back(&op);
      isAlone.insert(&op);
    }
  }
  return success();
}

void MapLoopsPass::runOnOperation() {
  func::FuncOp function = getOperation();
  if (!function->hasAttr(nvptx::kHostAttr))
    return;
  for (Block &block : function.getBody())
    if (failed(mapBlock(block)))
      return signalPassFailure();
  // What only kernels use is computed where it is used.
  function.walk([](gpu::LaunchOp launch) {
    llvm::SetVector<Value> used;
    getUsedValuesDefinedAbove(launch.getBody(), used);
    OpBuilder b = OpBuilder::atBlockBegin(&launch.getBody().front());
    for (Value value : used)
      if (Operation *def = value.getDefiningOp();
          def && def->hasTrait<OpTrait::ConstantLike>())
        replaceAllUsesInRegionWith(value, b.clone(*def)->getResult(0),
                                   launch.getBody());
  });
}
