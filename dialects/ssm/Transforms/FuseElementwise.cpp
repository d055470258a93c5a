//===- FuseElementwise.cpp - Elementwise ops and reshapes, joined ---------===//
//
// ssm-fuse-elementwise: an elementwise linalg.generic moves into the only one
// that reads it; reshapes between them, and unit dimensions that exist for a
// norm's groups, go. Upstream's patterns, and what they must not do here:
// repeat costly math, move into sums, or mix what weights alone determine with
// what depends on inputs.
//
//===----------------------------------------------------------------------===//

#include "Costs.h"
#include "PreparedValues.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/MemRef/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "ssm/IR/SSM.h"
#include "ssm/Transforms/Passes.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_FUSEELEMENTWISEPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;

static remark::RemarkOpts remarkNamed(StringRef name) {
  return remark::RemarkOpts::name(name).category("ssm-fuse-elementwise");
}

//===----------------------------------------------------------------------===//
// Unit dimensions
//===----------------------------------------------------------------------===//

/// Drops the unit dimensions of a norm but the one it divides: groups of one.
static void dropUnitDims(RewriterBase &rewriter, ssm::NormOp norm) {
  auto type = cast<RankedTensorType>(norm.getInput().getType());
  int64_t rank = type.getRank();
  // Each unit dimension merges with those that follow it.
  SmallVector<ReassociationIndices> groups;
  SmallVector<AffineExpr> positions;
  SmallVector<int64_t> shape;
  ReassociationIndices group;
  for (int64_t dim = 0; dim < rank; ++dim) {
    group.push_back(dim);
    bool isUnit = type.getDimSize(dim) == 1 && dim + 1 != rank;
    positions.push_back(isUnit
                            ? rewriter.getAffineConstantExpr(0)
                            : rewriter.getAffineDimExpr(groups.size()));
    if (isUnit)
      continue;
    groups.push_back(group);
    shape.push_back(type.getDimSize(dim));
    group.clear();
  }
  int64_t newRank = shape.size();
  if (newRank == rank)
    return;
  Location loc = norm.getLoc();
  rewriter.setInsertionPoint(norm);
  auto collapse = [&](Value value) -> Value {
    return tensor::CollapseShapeOp::create(rewriter, loc, value, groups);
  };
  Value input = collapse(norm.getInput());
  Value init = collapse(norm.getOutput());
  SmallVector<AffineMap> maps;
  for (unsigned i = 0; i < norm.getEpilogueIns().size(); ++i)
    maps.push_back(norm.getEpilogueMap(i).replaceDimsAndSymbols(positions, {},
                                                                newRank, 0));
  auto smaller = ssm::NormOp::create(
      rewriter, loc, init.getType(), norm.getKind(), norm.getEps(), input,
      norm.getEpilogueIns(), init, rewriter.getAffineMapArrayAttr(maps),
      norm.getGroups());
  smaller.getEpilogue().takeBody(norm.getEpilogue());
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(rewriter, loc, norm.getOutput());
  rewriter.replaceOpWithNewOp<tensor::ExpandShapeOp>(
      norm, norm.getResult(0).getType(), smaller.getResult(0), groups, sizes);
}

static bool isElementwise(linalg::GenericOp op) {
  return op.hasPureTensorSemantics() && op.getNumReductionLoops() == 0;
}

/// Drops unit dimensions around norms and of elementwise ops.
static void dropUnitDims(func::FuncOp function) {
  IRRewriter rewriter(function.getContext());
  SmallVector<Operation *> ops;
  function.walk([&](Operation *op) {
    if (isa<ssm::NormOp, linalg::GenericOp>(op))
      ops.push_back(op);
  });
  linalg::ControlDropUnitDims options;
  for (Operation *op : ops) {
    if (auto norm = dyn_cast<ssm::NormOp>(op)) {
      if (norm.hasPureTensorSemantics())
        dropUnitDims(rewriter, norm);
      continue;
    }
    auto generic = cast<linalg::GenericOp>(op);
    if (!isElementwise(generic))
      continue;
    rewriter.setInsertionPoint(generic);
    FailureOr<linalg::DropUnitDimsResult> dropped =
        linalg::dropUnitDims(rewriter, generic, options);
    if (succeeded(dropped))
      rewriter.replaceOp(generic, dropped->replacements);
  }
}

//===----------------------------------------------------------------------===//
// What may be fused
//===----------------------------------------------------------------------===//

/// Why the producer of `operand` stays apart; null if it may move into the
/// generic op that reads it.
static const char *refuseFusion(OpOperand *operand) {
  auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
  auto consumer = cast<linalg::GenericOp>(operand->getOwner());
  if (!producer || !isElementwise(producer))
    return "the producer is not elementwise";
  if (!isElementwise(consumer))
    return "the consumer is a sum";
  for (Operation *user : producer->getUsers())
    if (user != consumer)
      return "another op reads the result as well";
  bool isCostly = ssm::containsCostlyScalar(producer);
  if (isCostly && !operand->get().hasOneUse())
    return "costly math would be done for each of several uses";
  if (isCostly && !consumer.getMatchingIndexingMap(operand).isPermutation())
    return "costly math would be repeated along another dimension";
  if (ssm::isDeterminedByWeights(producer.getResult(0)) &&
      !ssm::isDeterminedByWeights(consumer.getResult(0)))
    return "it depends on weights alone and is computed once";
  return nullptr;
}

/// Whether a matmul or a convolution comes before `op`, whose epilogue `op` can
/// become as long as it keeps its shape.
static bool followsProduct(linalg::GenericOp op) {
  return llvm::any_of(op->getOperands(), [](Value operand) {
    Operation *producer = operand.getDefiningOp();
    if (auto generic = dyn_cast_or_null<linalg::GenericOp>(producer))
      return generic.getNumReductionLoops() != 0;
    return isa_and_nonnull<ssm::ConvOp, ssm::MatmulOp>(producer);
  });
}

/// Whether the reshape at `operand` may move through its elementwise neighbour:
/// towards the shape of scans and norms.
static bool mayExpand(OpOperand *operand) {
  Operation *producer = operand->get().getDefiningOp();
  if (auto consumer = dyn_cast<linalg::GenericOp>(operand->getOwner())) {
    auto collapse = dyn_cast_or_null<tensor::CollapseShapeOp>(producer);
    return collapse && isElementwise(consumer) &&
           isa_and_nonnull<ssm::ScanOp, ssm::NormOp, linalg::GenericOp>(
               collapse.getSrc().getDefiningOp());
  }
  auto generic = dyn_cast_or_null<linalg::GenericOp>(producer);
  return generic && isElementwise(generic) && operand->get().hasOneUse() &&
         !followsProduct(generic);
}

namespace {
class FuseElementwisePass
    : public ssm::impl::FuseElementwisePassBase<FuseElementwisePass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isDeclaration())
      return;
    dropUnitDims(function);

    MLIRContext *context = &getContext();
    RewritePatternSet patterns(context);
    linalg::populateElementwiseOpsFusionPatterns(
        patterns, [](OpOperand *operand) {
          const char *why = refuseFusion(operand);
          if (!why)
            remark::passed(operand->getOwner()->getLoc(), remarkNamed("Fused"))
                << remark::metric("operand",
                                  int64_t(operand->getOperandNumber()));
          return !why;
        });
    linalg::populateFoldReshapeOpsByExpansionPatterns(patterns, mayExpand);
    tensor::populateReassociativeReshapeFoldingPatterns(patterns);
    tensor::populateFoldTensorEmptyPatterns(patterns);
    memref::populateResolveRankedShapedTypeResultDimsPatterns(patterns);
    linalg::GenericOp::getCanonicalizationPatterns(patterns, context);
    tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns, context);
    tensor::DimOp::getCanonicalizationPatterns(patterns, context);
    tensor::EmptyOp::getCanonicalizationPatterns(patterns, context);
    tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, context);
    if (failed(applyPatternsGreedily(function, std::move(patterns))))
      return signalPassFailure();

    function.walk([](linalg::GenericOp op) {
      if (!op.hasPureTensorSemantics())
        return;
      for (OpOperand *operand : op.getDpsInputOperands())
        if (operand->get().getDefiningOp<linalg::GenericOp>())
          remark::missed(op.getLoc(), remarkNamed("Kept"))
              << remark::reason("{0}", refuseFusion(operand)
                                           ? refuseFusion(operand)
                                           : "the maps cannot be composed");
    });
  }
};
} // namespace
