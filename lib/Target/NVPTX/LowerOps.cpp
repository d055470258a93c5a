//===- LowerOps.cpp - Structured ops as loops over independent points -----===//

#include "Target/CPU/CPULowering.h"
#include "Target/NVPTX/Lowering.h"
#include "Target/NVPTX/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"
#include "ssm/Analysis/Machine.h"
#include "ssm/Transforms/Passes.h"
#include "ssmc/Conversion/SSMToSCF.h"

namespace ssmc::nvptx {
#define GEN_PASS_DEF_LOWEROPSPASS
#include "Target/NVPTX/Passes.h.inc"
} // namespace ssmc::nvptx

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;

namespace {
struct LowerOpsPass : ssmc::nvptx::impl::LowerOpsPassBase<LowerOpsPass> {
  using LowerOpsPassBase::LowerOpsPassBase;
  void runOnOperation() override;

private:
  /// Leaves chunks to recurrences that have that form here, and a recurrence below the
  /// length from which on they pay.
  void chooseForms(RewriterBase &rewriter, const nvptx::Device &device);
  /// How many bf16 stand for an operand of a recurrence's products: all bits of an f32,
  /// or those that its results have.
  int64_t getNumTerms(ScanOp op) {
    Type result = getElementTypeOrSelf(op.getOuts().front());
    return operandType == "bf16" || result.isBF16() ? 1
           : operandType == "f16" || result.isF16() ? 2
                                                     : 3;
  }
  /// Rounded operands are no loss where results are rounded like them.
  bool hasTables(ScanOp op) {
    return cooperative && getNumTerms(op) == 1 && nvptx::fitsTables(op);
  }
};
} // namespace

/// Tokens for which a recurrence is no sequence.
constexpr int64_t kShortestSequence = 2;

void LowerOpsPass::chooseForms(RewriterBase &rewriter, const nvptx::Device &device) {
  getOperation().walk([&](ScanOp scan) {
    ScheduleAttr schedule = scan.getScheduleAttr();
    if (!schedule || schedule.getMode() != ScanMode::chunk)
      return;
    bool fits = hasTables(scan) ||
                (cooperative && nvptx::fitsChunks(scan, getNumTerms(scan), device));
    int64_t shortest = fits ? std::max(schedule.getCrossover(), kShortestSequence) : 0;
    scan.setScheduleAttr(ScheduleAttr::get(
        &getContext(), fits ? ScanMode::chunk : ScanMode::scan, schedule.getChunk(),
        schedule.getLanes(), schedule.getSegments(), shortest));
  });
  cpu::lowerCrossovers(rewriter, getOperation());
}

void LowerOpsPass::runOnOperation() {
  func::FuncOp function = getOperation();
  if (!function->hasAttr(nvptx::kHostAttr))
    return;
  RewritePatternSet scalars(&getContext());
  populateExpandDiscretizePatterns(scalars);
  walkAndApplyPatterns(function, std::move(scalars));

  IRRewriter rewriter(&getContext());
  auto cores = int64_t(Machine::get(function->getParentOfType<ModuleOp>()).cores);
  nvptx::Device device{cores, sharedBytes};
  chooseForms(rewriter, device);
  SmallVector<Operation *> structured;
  function.walk([&](Operation *op) {
    if (isa<ScanOp, ConvOp, NormOp, MatmulOp, ImpulseResponseOp, SpectrumOp>(op))
      structured.push_back(op);
  });
  // What products compute beside themselves.
  DenseMap<Operation *, nvptx::Neighbours> neighbours;
  DenseSet<Operation *> isComputed;
  for (Operation *op : structured)
    if (auto matmul = dyn_cast<MatmulOp>(op); matmul && cooperative) {
      nvptx::Neighbours found = nvptx::findNeighbours(rewriter, matmul, device);
      neighbours[op] = found;
      isComputed.insert(found.norm);
      isComputed.insert(found.conv);
    }
  // Products that recurrences compute.
  DenseMap<Operation *, MatmulOp> productOf;
  for (Operation *op : structured)
    if (auto scan = dyn_cast<ScanOp>(op); scan && cooperative)
      if (MatmulOp product = nvptx::findProductOf(rewriter, scan);
          product && !neighbours[product].norm && !neighbours[product].conv) {
        productOf[op] = product;
        isComputed.insert(product);
      }
  for (Operation *op : structured) {
    if (isComputed.contains(op))
      continue;
    rewriter.setInsertionPoint(op);
    // What has no form of its own here takes the literal one below.
    if (auto scan = dyn_cast<ScanOp>(op)) {
      if (hasTables(scan) && succeeded(nvptx::lowerTabulated(rewriter, scan)))
        continue;
      scan.dropTables();
      int64_t terms = getNumTerms(scan);
      if (warpgroups &&
          succeeded(nvptx::lowerWarpgroupChunk(rewriter, scan, terms, device)))
        continue;
      if (failed(nvptx::lowerChunk(rewriter, scan, terms, device)))
        (void)nvptx::lowerScan(rewriter, scan, cooperative, productOf.lookup(op), device);
    } else if (auto conv = dyn_cast<ConvOp>(op)) {
      if (failed(nvptx::lowerConv(rewriter, conv)) && cooperative)
        (void)nvptx::lowerLongConv(rewriter, conv, warpgroups ? cores : 0);
    } else if (auto norm = dyn_cast<NormOp>(op); norm && cooperative) {
      (void)nvptx::lowerNorm(rewriter, norm);
    } else if (auto matmul = dyn_cast<MatmulOp>(op); matmul && cooperative) {
      (void)nvptx::lowerMatmul(rewriter, matmul, neighbours.lookup(op), device);
    } else if (auto response = dyn_cast<ImpulseResponseOp>(op); response && cooperative) {
      (void)nvptx::lowerImpulse(rewriter, response);
    } else if (auto spectrum = dyn_cast<SpectrumOp>(op); spectrum && cooperative) {
      (void)nvptx::lowerSpectrum(rewriter, spectrum);
    }
  }

  RewritePatternSet literal(&getContext());
  populateSSMToSCFConversionPatterns(literal, /*forThreads=*/true);
  walkAndApplyPatterns(function, std::move(literal));

  SmallVector<Operation *> ops;
  function.walk([&](Operation *op) {
    if (isa<linalg::LinalgOp, memref::CopyOp>(op))
      ops.push_back(op);
  });
  for (Operation *op : ops) {
    rewriter.setInsertionPoint(op);
    if (auto copy = dyn_cast<memref::CopyOp>(op)) {
      Operation *generic = linalg::makeMemRefCopyOp(rewriter, op->getLoc(),
                                                    copy.getSource(), copy.getTarget());
      rewriter.eraseOp(op);
      op = generic;
    }
    if (failed(linalg::linalgOpToParallelLoops(rewriter, cast<linalg::LinalgOp>(op)))) {
      op->emitOpError("internal error: has no form as loops");
      return signalPassFailure();
    }
    rewriter.eraseOp(op);
  }
}
