//===- ExpandRows.cpp - Dimensions with several run-time factors ----------===//

#include "ssmc/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace ssmc {
#define GEN_PASS_DEF_EXPANDROWSPASS
#include "ssmc/Transforms/Passes.h.inc"
} // namespace ssmc

using namespace mlir;

/// Whether a dimension is split into several extents that only the run time knows.
static bool splitsDynamically(memref::ExpandShapeOp op) {
  return llvm::any_of(op.getReassociationIndices(), [&](ArrayRef<int64_t> group) {
    return llvm::count_if(group, [&](int64_t dim) {
             return op.getResultType().isDynamicDim(dim);
           }) > 1;
  });
}

/// The view as a cast: strides of a dimension's parts are its own times the extents of
/// the parts behind.
static Value castRows(memref::ExpandShapeOp op) {
  OpBuilder builder(op);
  Location loc = op.getLoc();
  MemRefType type = op.getResultType();
  auto [known, knownOffset] = type.getStridesAndOffset();
  auto metadata = memref::ExtractStridedMetadataOp::create(builder, loc, op.getSrc());
  auto orKnown = [&](Value value, int64_t number) {
    return ShapedType::isDynamic(number) ? OpFoldResult(value)
                                         : OpFoldResult(builder.getIndexAttr(number));
  };
  SmallVector<OpFoldResult> sizes = op.getMixedOutputShape(), strides(sizes.size());
  for (auto [source, group] : llvm::enumerate(op.getReassociationIndices())) {
    Value stride = metadata.getStrides()[source];
    for (int64_t dim : llvm::reverse(group)) {
      strides[dim] = orKnown(stride, known[dim]);
      stride = arith::MulIOp::create(
          builder, loc, stride, getValueOrCreateConstantIndexOp(builder, loc, sizes[dim]));
    }
  }
  return memref::ReinterpretCastOp::create(builder, loc, type, metadata.getBaseBuffer(),
                                           orKnown(metadata.getOffset(), knownOffset),
                                           sizes, strides);
}

namespace {
struct ExpandRowsPass : ssmc::impl::ExpandRowsPassBase<ExpandRowsPass> {
  void runOnOperation() override {
    getOperation().walk([](memref::ExpandShapeOp op) {
      if (!splitsDynamically(op))
        return;
      op.replaceAllUsesWith(castRows(op));
      op.erase();
    });
  }
};
} // namespace
