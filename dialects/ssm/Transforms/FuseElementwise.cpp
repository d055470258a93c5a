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
#include "ElementwiseBody.h"
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
// Merged and unit dimensions
//===----------------------------------------------------------------------===//

/// Reads operands that merge dimensions (`d2 * 16 + d3`) through an expanded
/// view: reshapes and unit dimensions are then seen for what they are.
static void expandMergedOperands(RewriterBase &rewriter, linalg::GenericOp op) {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  bool changed = false;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    auto type = dyn_cast<RankedTensorType>(operand->get().getType());
    AffineMap &map = maps[operand->getOperandNumber()];
    if (!type || map.isProjectedPermutation(/*allowZeroInResults=*/true))
      continue;
    SmallVector<ReassociationIndices> groups;
    SmallVector<AffineExpr> exprs;
    SmallVector<int64_t> shape;
    bool isMerged = true;
    for (auto [dim, expr] : llvm::enumerate(map.getResults())) {
      groups.emplace_back();
      std::optional<SmallVector<unsigned>> walked =
          ssm::getWalkedDims(expr, sizes);
      if (!walked || walked->size() == 1) {
        isMerged &= walked.has_value() || isa<AffineConstantExpr>(expr);
        groups.back().push_back(exprs.size());
        exprs.push_back(expr);
        shape.push_back(type.getDimSize(dim));
        continue;
      }
      int64_t product = 1;
      for (unsigned loop : *walked) {
        groups.back().push_back(exprs.size());
        exprs.push_back(rewriter.getAffineDimExpr(loop));
        shape.push_back(sizes[loop]);
        if (ShapedType::isDynamic(sizes[loop]))
          isMerged = false;
        else
          product *= sizes[loop];
      }
      isMerged &= product == type.getDimSize(dim);
    }
    if (!isMerged)
      continue;
    rewriter.setInsertionPoint(op);
    operand->set(tensor::ExpandShapeOp::create(
        rewriter, op.getLoc(), type.clone(shape), operand->get(), groups));
    map = AffineMap::get(map.getNumDims(), 0, exprs, op.getContext());
    changed = true;
  }
  if (changed)
    rewriter.modifyOpInPlace(op, [&] {
      op.setIndexingMapsAttr(rewriter.getAffineMapArrayAttr(maps));
    });
}

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

/// Drops the copies of a scan's output (output dimensions that the state lacks)
/// of which there is only one.
static void dropUnitCopies(RewriterBase &rewriter, ssm::ScanOp scan) {
  llvm::SmallBitVector dropped(scan.getNumDims());
  for (unsigned dim : scan.getCopyDims())
    if (scan.getDimSize(dim) == 1)
      dropped.set(dim);
  if (dropped.none())
    return;
  // Dimensions are renumbered; what indexed with one that goes, indexes with 0.
  SmallVector<AffineExpr> positions;
  SmallVector<int64_t> numbers;
  unsigned newDims = 0;
  for (unsigned dim = 0; dim < scan.getNumDims(); ++dim) {
    positions.push_back(dropped.test(dim)
                            ? rewriter.getAffineConstantExpr(0)
                            : rewriter.getAffineDimExpr(newDims));
    numbers.push_back(newDims);
    if (!dropped.test(dim))
      ++newDims;
  }
  auto renumber = [&](AffineMap map) {
    return map.replaceDimsAndSymbols(positions, {}, newDims, 0);
  };
  auto renumberAll = [&](ArrayAttr maps) {
    SmallVector<AffineMap> changed;
    for (AffineMapAttr map : maps.getAsRange<AffineMapAttr>())
      changed.push_back(renumber(map.getValue()));
    return rewriter.getAffineMapArrayAttr(changed);
  };
  auto renumberDims = [&](ArrayRef<int64_t> dims) {
    return llvm::map_to_vector(dims, [&](int64_t dim) { return numbers[dim]; });
  };
  // A unit dimension of the output merges with its neighbour before: time is
  // always there.
  SmallVector<ReassociationIndices> groups;
  SmallVector<AffineExpr> outputExprs;
  for (auto [at, expr] : llvm::enumerate(scan.getOutputMap().getResults())) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (dropped.test(dim)) {
      groups.back().push_back(at);
      continue;
    }
    groups.push_back({static_cast<int64_t>(at)});
    outputExprs.push_back(positions[dim]);
  }
  Location loc = scan.getLoc();
  rewriter.setInsertionPoint(scan);
  SmallVector<Value> outs(scan.getOuts());
  for (unsigned i = 0; i < scan.getNumOutputs(); ++i)
    outs[i] =
        tensor::CollapseShapeOp::create(rewriter, loc, outs[i], groups);
  std::optional<ArrayAttr> oldNames = scan.getDimNames();
  ArrayAttr names;
  if (oldNames) {
    SmallVector<Attribute> kept;
    for (auto [dim, name] : llvm::enumerate(*oldNames))
      if (!dropped.test(dim))
        kept.push_back(name);
    names = rewriter.getArrayAttr(kept);
  }
  DenseI64ArrayAttr dense;
  if (scan.getDense())
    dense = rewriter.getDenseI64ArrayAttr(renumberDims(*scan.getDense()));
  auto smaller = ssm::ScanOp::create(
      rewriter, loc, ValueRange(outs).getTypes(), scan.getIns(),
      scan.getInitial(), scan.getEpilogueIns(), scan.getTables(), outs,
      renumberAll(scan.getInsMaps()), renumberAll(scan.getEpilogueMaps()),
      renumber(scan.getStateMap()),
      AffineMap::get(newDims, 0, outputExprs, rewriter.getContext()),
      renumberDims(scan.getKeys()), scan.getReverse(), scan.getComplex(),
      scan.getScheduleAttr(), names, dense, scan.getRealSums(),
      scan.getShortestConvAttr(), scan.getPeriodAttr());
  smaller->setDiscardableAttrs(scan->getDiscardableAttrDictionary());
  smaller.getCoefficients().takeBody(scan.getCoefficients());
  smaller.getEpilogue().takeBody(scan.getEpilogue());
  SmallVector<Value> results(smaller.getResults());
  for (unsigned i = 0; i < scan.getNumOutputs(); ++i)
    results[i] = tensor::ExpandShapeOp::create(
        rewriter, loc, scan.getResult(i).getType(), results[i], groups,
        tensor::getMixedSizes(rewriter, loc, scan.getOuts()[i]));
  rewriter.replaceOp(scan, results);
}

/// Whether a reshape between `expanded` and its collapsed form does more than
/// add or drop unit dimensions.
static bool splitsDims(RankedTensorType expanded,
                       ArrayRef<ReassociationIndices> groups) {
  return llvm::any_of(groups, [&](const ReassociationIndices &group) {
    return llvm::count_if(group, [&](int64_t dim) {
             return expanded.getDimSize(dim) != 1;
           }) > 1;
  });
}

namespace {
/// A reshape that takes back what the one before it did. Where only unit
/// dimensions are concerned the two may group them with different neighbours,
/// which keeps upstream's patterns from seeing it.
template <typename OpTy, typename InverseTy>
struct CancelUnitReshape : public OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    auto inverse = op.getSrc().template getDefiningOp<InverseTy>();
    if (!inverse || inverse.getSrc().getType() != op.getType())
      return rewriter.notifyMatchFailure(op, "no reshape to take back");
    auto splits = [](auto reshape) {
      bool expands = std::is_same_v<decltype(reshape), tensor::ExpandShapeOp>;
      return splitsDims(expands ? reshape.getResultType()
                                : reshape.getSrcType(),
                        reshape.getReassociationIndices());
    };
    if (splits(op) || splits(inverse))
      return rewriter.notifyMatchFailure(op, "more than unit dimensions");
    rewriter.replaceOp(op, inverse.getSrc());
    return success();
  }
};
} // namespace

static bool isElementwise(linalg::GenericOp op) {
  return op.hasPureTensorSemantics() && op.getNumReductionLoops() == 0;
}

/// Whether an elementwise op stands between arguments and scans, which take it into
/// their regions as it is: with fewer dimensions a reshape would be between.
static bool isBesideScans(linalg::GenericOp op) {
  return llvm::all_of(op.getDpsInputs(), llvm::IsaPred<BlockArgument>) &&
         llvm::all_of(op->getUsers(), llvm::IsaPred<ssm::ScanOp>);
}

/// Drops unit dimensions of norms, scans and elementwise ops.
static void dropUnitDims(func::FuncOp function) {
  IRRewriter rewriter(function.getContext());
  SmallVector<Operation *> ops;
  function.walk([&](Operation *op) {
    if (isa<ssm::NormOp, ssm::ScanOp, linalg::GenericOp>(op))
      ops.push_back(op);
  });
  linalg::ControlDropUnitDims options;
  for (Operation *op : ops) {
    if (auto norm = dyn_cast<ssm::NormOp>(op)) {
      if (norm.hasPureTensorSemantics())
        dropUnitDims(rewriter, norm);
      continue;
    }
    if (auto scan = dyn_cast<ssm::ScanOp>(op)) {
      if (scan.hasPureTensorSemantics())
        dropUnitCopies(rewriter, scan);
      continue;
    }
    auto generic = cast<linalg::GenericOp>(op);
    if (!isElementwise(generic) || isBesideScans(generic))
      continue;
    expandMergedOperands(rewriter, generic);
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
           splitsDims(collapse.getSrcType(),
                      collapse.getReassociationIndices()) &&
           isa_and_nonnull<ssm::ScanOp, ssm::NormOp, linalg::GenericOp>(
               collapse.getSrc().getDefiningOp());
  }
  auto generic = dyn_cast_or_null<linalg::GenericOp>(producer);
  auto expand = dyn_cast<tensor::ExpandShapeOp>(operand->getOwner());
  return generic && expand &&
         splitsDims(expand.getResultType(), expand.getReassociationIndices()) &&
         isElementwise(generic) && operand->get().hasOneUse() &&
         !followsProduct(generic);
}

//===----------------------------------------------------------------------===//
// Towards the shapes of scans
//===----------------------------------------------------------------------===//

/// Collapses the loops of an elementwise op whose result a scan reads through
/// tensor.collapse_shape, so that it can move into the scan.
static bool collapseForScan(RewriterBase &rewriter,
                            tensor::CollapseShapeOp collapse) {
  auto generic = collapse.getSrc().getDefiningOp<linalg::GenericOp>();
  if (!generic || !isElementwise(generic) || generic.getNumResults() != 1 ||
      generic.hasIndexSemantics() ||
      llvm::none_of(collapse->getUsers(), llvm::IsaPred<ssm::ScanOp>) ||
      !generic.getMatchingIndexingMap(generic.getDpsInitOperand(0))
           .isIdentity())
    return false;
  SmallVector<ReassociationIndices> groups;
  for (const ReassociationIndices &group : collapse.getReassociationIndices())
    if (group.size() > 1)
      groups.push_back(group);
  if (!linalg::areDimSequencesPreserved(generic.getIndexingMapsArray(), groups))
    return false;
  rewriter.setInsertionPoint(generic);
  FailureOr<linalg::CollapseResult> collapsed =
      linalg::collapseOpIterationDims(generic, groups, rewriter);
  if (failed(collapsed))
    return false;
  rewriter.replaceOp(generic, collapsed->results);
  return true;
}

static void populateFusionPatterns(RewritePatternSet &patterns) {
  MLIRContext *context = patterns.getContext();
  linalg::populateElementwiseOpsFusionPatterns(patterns, [](OpOperand *operand) {
    const char *why = refuseFusion(operand);
    if (!why)
      remark::passed(operand->getOwner()->getLoc(), remarkNamed("Fused"))
          << remark::metric("operand", int64_t(operand->getOperandNumber()));
    return !why;
  });
  patterns.add<
      CancelUnitReshape<tensor::CollapseShapeOp, tensor::ExpandShapeOp>,
      CancelUnitReshape<tensor::ExpandShapeOp, tensor::CollapseShapeOp>>(
      context);
  tensor::populateReassociativeReshapeFoldingPatterns(patterns);
  tensor::populateFoldTensorEmptyPatterns(patterns);
  memref::populateResolveRankedShapedTypeResultDimsPatterns(patterns);
  linalg::GenericOp::getCanonicalizationPatterns(patterns, context);
  tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns, context);
  tensor::DimOp::getCanonicalizationPatterns(patterns, context);
  tensor::EmptyOp::getCanonicalizationPatterns(patterns, context);
  tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, context);
}

//===----------------------------------------------------------------------===//
// Inputs that are only widened
//===----------------------------------------------------------------------===//

/// Convolutions of known lags and norms convert what they read.
static void readNarrow(func::FuncOp function) {
  function.walk([](Operation *op) {
    OpOperand *input = nullptr;
    if (auto conv = dyn_cast<ssm::ConvOp>(op); conv && !conv.hasDynamicLags())
      input = &conv.getInputMutable();
    else if (auto norm = dyn_cast<ssm::NormOp>(op))
      input = &norm.getInputMutable();
    if (Value narrow = input ? ssm::getConverted<arith::ExtFOp>(input->get()) : Value())
      input->set(narrow);
  });
}

namespace {
class FuseElementwisePass
    : public ssm::impl::FuseElementwisePassBase<FuseElementwisePass> {
  using FuseElementwisePassBase::FuseElementwisePassBase;
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isDeclaration())
      return;
    dropUnitDims(function);
    if (narrows) // what they read otherwise may have one reader then
      readNarrow(function);

    RewritePatternSet patterns(&getContext());
    populateFusionPatterns(patterns);
    linalg::populateFoldReshapeOpsByExpansionPatterns(patterns, mayExpand);
    if (failed(applyPatternsGreedily(function, std::move(patterns))))
      return signalPassFailure();

    // Collapsing undoes expansion: it has the last word, where it serves a scan.
    RewritePatternSet cleanup(&getContext());
    populateFusionPatterns(cleanup);
    FrozenRewritePatternSet frozen(std::move(cleanup));
    IRRewriter rewriter(&getContext());
    auto collapseOne = [&] {
      return function
          .walk([&](tensor::CollapseShapeOp collapse) {
            return collapseForScan(rewriter, collapse)
                       ? WalkResult::interrupt()
                       : WalkResult::advance();
          })
          .wasInterrupted();
    };
    while (collapseOne())
      if (failed(applyPatternsGreedily(function, frozen)))
        return signalPassFailure();

    if (narrows) // behind reshapes that have gone
      readNarrow(function);
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
