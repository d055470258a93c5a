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

/// The strides of a contiguous memref.
static SmallVector<OpFoldResult> contiguousStrides(OpBuilder &builder, Location loc,
                                                   ArrayRef<OpFoldResult> sizes) {
  SmallVector<OpFoldResult> strides(sizes.size());
  int64_t constant = 1;
  Value product; // of the run-time extents and what is inside of them
  for (int64_t dim = int64_t(sizes.size()) - 1; dim >= 0; --dim) {
    strides[dim] = product ? OpFoldResult(product) : builder.getIndexAttr(constant);
    std::optional<int64_t> size = getConstantIntValue(sizes[dim]);
    if (!product && size) {
      constant *= *size;
      continue;
    }
    if (!product)
      product = arith::ConstantIndexOp::create(builder, loc, constant);
    product = arith::MulIOp::create(
        builder, loc, product, getValueOrCreateConstantIndexOp(builder, loc, sizes[dim]));
  }
  return strides;
}

namespace {
struct ExpandRowsPass : ssmc::impl::ExpandRowsPassBase<ExpandRowsPass> {
  void runOnOperation() override {
    getOperation().walk([](memref::ExpandShapeOp op) {
      MemRefType type = op.getResultType();
      if (!splitsDynamically(op) || !type.getLayout().isIdentity() ||
          !op.getSrcType().getLayout().isIdentity())
        return;
      OpBuilder builder(op);
      SmallVector<OpFoldResult> sizes = op.getMixedOutputShape();
      Value view = memref::ReinterpretCastOp::create(
          builder, op.getLoc(), type, op.getSrc(), builder.getIndexAttr(0), sizes,
          contiguousStrides(builder, op.getLoc(), sizes));
      op.replaceAllUsesWith(view);
      op.erase();
    });
  }
};
} // namespace
