//===- SSMFolds.cpp - Folds and canonical forms ---------------------------===//
//
// Operands that a region does not use, or uses twice, go; so do roles of a
// recurrence that do nothing, a zero initial state and casts of memory that
// hide what is known of it.
//
//===----------------------------------------------------------------------===//

#include "ssm/IR/SSM.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::ssm;

//===----------------------------------------------------------------------===//
// Operands of regions
//===----------------------------------------------------------------------===//

/// Drops operands whose block argument is unused, and joins those that are the
/// same value seen through the same map. Argument `offset` of `block` belongs
/// to the first operand. Calls `setMaps` with what is left of `maps`.
static LogicalResult dropOperands(Operation *op, MutableOperandRange operands,
                                  ArrayAttr maps, Block &block, unsigned offset,
                                  PatternRewriter &rewriter,
                                  function_ref<void(ArrayAttr)> setMaps) {
  SmallVector<Attribute> kept(maps.begin(), maps.end());
  bool changed = false;
  for (unsigned i = kept.size(); i-- > 0;) {
    BlockArgument argument = block.getArgument(offset + i);
    for (unsigned first = 0; first < i && !argument.use_empty(); ++first) {
      if (operands[first].get() != operands[i].get() || kept[first] != kept[i])
        continue;
      rewriter.replaceAllUsesWith(argument, block.getArgument(offset + first));
      changed = true;
    }
    if (!argument.use_empty())
      continue;
    rewriter.modifyOpInPlace(op, [&] {
      block.eraseArgument(offset + i);
      operands.erase(i);
      kept.erase(kept.begin() + i);
      setMaps(rewriter.getArrayAttr(kept));
    });
    changed = true;
  }
  return success(changed);
}

namespace {
template <typename OpTy>
struct DropEpilogueOperands : public OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    Block &block = op.getEpilogue().front();
    unsigned numValues = block.getNumArguments() - op.getEpilogueIns().size();
    return dropOperands(op, op.getEpilogueInsMutable(), op.getEpilogueMaps(),
                        block, numValues, rewriter,
                        [&](ArrayAttr maps) { op.setEpilogueMapsAttr(maps); });
  }
};

struct DropScanOperands : public OpRewritePattern<ScanOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ScanOp op,
                                PatternRewriter &rewriter) const override {
    return dropOperands(op, op.getInsMutable(), op.getInsMaps(),
                        op.getCoefficients().front(), /*offset=*/0, rewriter,
                        [&](ArrayAttr maps) { op.setInsMapsAttr(maps); });
  }
};

//===----------------------------------------------------------------------===//
// Recurrences
//===----------------------------------------------------------------------===//

/// A real decay of 1 and a reset that is never true do nothing.
struct DropIdleRoles : public OpRewritePattern<CoefficientsOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(CoefficientsOp op,
                                PatternRewriter &rewriter) const override {
    bool changed = false;
    if (op.getReset() && matchPattern(op.getReset(), m_Zero())) {
      rewriter.modifyOpInPlace(op, [&] { op.getResetMutable().clear(); });
      changed = true;
    }
    if (op.getDecay().size() == 1 &&
        matchPattern(op.getDecay().front(), m_OneFloat())) {
      rewriter.modifyOpInPlace(op, [&] { op.getDecayMutable().clear(); });
      changed = true;
    }
    return success(changed);
  }
};

/// An initial state that is zero is the same as none.
struct DropZeroInitial : public OpRewritePattern<ScanOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ScanOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getInitial().empty() || !llvm::all_of(op.getInitial(), isZero))
      return failure();
    rewriter.modifyOpInPlace(op, [&] { op.getInitialMutable().clear(); });
    return success();
  }

private:
  static bool isZero(Value value) {
    if (auto fill = value.getDefiningOp<linalg::FillOp>())
      value = fill.getInputs().front();
    // Not -0.0: what is read from the state keeps its sign.
    return matchPattern(value, m_PosZeroFloat());
  }
};
} // namespace

void ScanOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                         MLIRContext *context) {
  patterns.add<DropScanOperands, DropEpilogueOperands<ScanOp>, DropIdleRoles,
               DropZeroInitial>(context);
}

void ConvOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                         MLIRContext *context) {
  patterns.add<DropEpilogueOperands<ConvOp>>(context);
}

void NormOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                         MLIRContext *context) {
  patterns.add<DropEpilogueOperands<NormOp>>(context);
}

void MatmulOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                           MLIRContext *context) {
  patterns.add<DropEpilogueOperands<MatmulOp>>(context);
}

//===----------------------------------------------------------------------===//
// Casts of memory
//===----------------------------------------------------------------------===//

LogicalResult ScanOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &) {
  return memref::foldMemRefCast(*this);
}

LogicalResult ConvOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &) {
  return memref::foldMemRefCast(*this);
}

LogicalResult ShiftOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &) {
  return memref::foldMemRefCast(*this);
}

LogicalResult RootsOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &) {
  return memref::foldMemRefCast(*this);
}

LogicalResult SpectrumOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &) {
  return memref::foldMemRefCast(*this);
}

LogicalResult NormOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &) {
  return memref::foldMemRefCast(*this);
}

LogicalResult PackOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &) {
  return memref::foldMemRefCast(*this);
}

LogicalResult MatmulOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &) {
  return memref::foldMemRefCast(*this);
}

LogicalResult DiscretizeMatrixOp::fold(FoldAdaptor,
                                       SmallVectorImpl<OpFoldResult> &) {
  return memref::foldMemRefCast(*this);
}

LogicalResult MatrixPowerOp::fold(FoldAdaptor,
                                  SmallVectorImpl<OpFoldResult> &) {
  return memref::foldMemRefCast(*this);
}

LogicalResult KrylovOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &) {
  return memref::foldMemRefCast(*this);
}

LogicalResult ImpulseResponseOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &) {
  return memref::foldMemRefCast(*this);
}
