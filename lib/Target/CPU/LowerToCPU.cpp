//===- LowerToCPU.cpp - The pass that vectorises for the CPU --------------===//

#include "CPULowering.h"
#include "Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

namespace ssmc::cpu {
#define GEN_PASS_DEF_LOWERTOCPUPASS
#include "Target/CPU/Passes.h.inc"
} // namespace ssmc::cpu

namespace {
struct LowerToCPUPass : ssmc::cpu::impl::LowerToCPUPassBase<LowerToCPUPass> {
  using LowerToCPUPassBase::LowerToCPUPassBase;
  void runOnOperation() override;
};
} // namespace

void LowerToCPUPass::runOnOperation() {
  if (vectorBits != 128 && vectorBits != 256 && vectorBits != 512) {
    getOperation().emitError("vector-bits is ")
        << vectorBits << ", expected 128, 256 or 512";
    return signalPassFailure();
  }
  VectorTarget target;
  target.bits = vectorBits;
  target.prefetchBytes = prefetchBytes;
  IRRewriter rewriter(&getContext());
  lowerCrossovers(rewriter, getOperation());
  SmallVector<Operation *> ops;
  getOperation().walk([&](Operation *op) {
    if (isa<linalg::LinalgOp, memref::CopyOp, ScanOp, ConvOp, ShiftOp, NormOp,
            SpectrumOp, AttendOp, ImpulseResponseOp>(op))
      ops.push_back(op);
  });
  for (Operation *op : ops) {
    rewriter.setInsertionPoint(op);
    if (auto copy = dyn_cast<memref::CopyOp>(op)) {
      Operation *generic = linalg::makeMemRefCopyOp(
          rewriter, op->getLoc(), copy.getSource(), copy.getTarget());
      rewriter.eraseOp(op);
      op = generic;
    } else if (isa<linalg::LinalgOp>(op) && !isa<linalg::GenericOp>(op)) {
      FailureOr<linalg::GenericOp> generic =
          linalg::generalizeNamedOp(rewriter, cast<linalg::LinalgOp>(op));
      if (failed(generic))
        continue;
      op = *generic;
    }
    // What has no vector form stays for the literal lowering.
    (void)llvm::TypeSwitch<Operation *, LogicalResult>(op)
        .Case<linalg::GenericOp>([&](auto generic) {
          return lowerGeneric(rewriter, generic, target);
        })
        .Case<ScanOp>([&](auto scan) {
          if (succeeded(lowerTabulated(rewriter, scan, target)) ||
              succeeded(lowerChunk(rewriter, scan, target)))
            return success();
          scan.dropTables();
          return lowerScan(rewriter, scan, target);
        })
        .Case<ConvOp>(
            [&](auto conv) { return lowerConv(rewriter, conv, target); })
        .Case<AttendOp>(
            [&](auto attend) { return lowerAttend(rewriter, attend, target); })
        .Case<ShiftOp>(
            [&](auto shift) { return lowerShift(rewriter, shift, target); })
        .Case<SpectrumOp>(
            [&](auto spectrum) { return lowerSpectrum(rewriter, spectrum); })
        .Case<ImpulseResponseOp>([&](auto response) {
          return lowerImpulseResponse(rewriter, response, target);
        })
        .Case<NormOp>(
            [&](auto norm) { return lowerNorm(rewriter, norm, target); })
        .Default([](Operation *) { return failure(); });
  }
}
