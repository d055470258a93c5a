//===- Matmul.cpp - Panels of weights and products by them ----------------===//

#include "Loops.h"

#include "ssm/IR/SSM.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc::detail;

/// Whether panels hold pairs of rows: those of 16-bit numbers do.
static bool isPaired(Value packed) {
  return getElementTypeOrSelf(packed).getIntOrFloatBitWidth() == 16;
}

static Value divide(Loops &loops, Value value, int64_t divisor) {
  return arith::DivUIOp::create(loops.builder, loops.loc, value,
                                loops.index(divisor));
}

static Value remainder(Loops &loops, Value value, int64_t divisor) {
  return arith::RemUIOp::create(loops.builder, loops.loc, value,
                                loops.index(divisor));
}

static void lowerPack(PackOp op, OpBuilder &builder) {
  Loops loops(builder, op.getLoc());
  Value packed = op.getOuts().front();
  auto packedType = cast<MemRefType>(packed.getType());
  SmallVector<Value> sizes;
  SmallVector<unsigned> dims;
  for (unsigned dim = 0; dim < packedType.getRank(); ++dim) {
    sizes.push_back(loops.size(packed, dim));
    dims.push_back(dim);
  }
  SmallVector<Value> point(sizes.size());
  loops.each(dims, sizes, point, [&] {
    Value n = loops.add(loops.mul(point[0], sizes[2]), point[2]);
    Value k = point[1];
    if (isPaired(packed))
      k = loops.add(loops.mul(k, loops.index(2)), point[3]);
    SmallVector<Value> indices = {n, k};
    if (op.getTransposed())
      std::swap(indices[0], indices[1]);
    Value isInside = arith::AndIOp::create(
        loops.builder, loops.loc,
        loops.less(indices[0], loops.size(op.getWeight(), 0)),
        loops.less(indices[1], loops.size(op.getWeight(), 1)));
    Type type = packedType.getElementType();
    Value value = loops.loadIf(isInside, op.getWeight(), indices, type,
                               [&] { return loops.constant(type, 0.0); });
    loops.store(value, packed, point);
  });
}

static void lowerMatmul(MatmulOp op, OpBuilder &builder) {
  Loops loops(builder, op.getLoc());
  auto outputType = cast<MemRefType>(op.getOutput().getType());
  auto weightType = cast<MemRefType>(op.getWeight().getType());
  Type type = getAccumulatorType({getElementTypeOrSelf(op.getInput()),
                                  weightType.getElementType(),
                                  outputType.getElementType()});
  int64_t panelWidth = weightType.getShape()[2];
  SmallVector<Value> sizes;
  SmallVector<unsigned> dims;
  for (unsigned dim = 0; dim < outputType.getRank(); ++dim) {
    sizes.push_back(loops.size(op.getOutput(), dim));
    dims.push_back(dim);
  }
  Value depth = loops.size(op.getInput(), outputType.getRank() - 1);
  SmallVector<Value> point(sizes.size());
  loops.each(dims, sizes, point, [&] {
    Value panel = divide(loops, point.back(), panelWidth);
    Value column = remainder(loops, point.back(), panelWidth);
    SmallVector<Value> sum = loops.reduce(
        loops.index(0), depth, loops.constant(type, 0.0),
        [&](Value k, ValueRange partial) -> SmallVector<Value> {
          SmallVector<Value> inputIndices(point);
          inputIndices.back() = k;
          SmallVector<Value> weightIndices = {panel, k, column};
          if (isPaired(op.getWeight()))
            weightIndices = {panel, divide(loops, k, 2), column,
                             remainder(loops, k, 2)};
          Value x = loops.load(op.getInput(), inputIndices);
          if (op.getRoundInput())
            x = loops.convert(x, weightType.getElementType());
          x = loops.convert(x, type);
          Value w =
              loops.convert(loops.load(op.getWeight(), weightIndices), type);
          return {loops.add(partial[0], loops.mul(x, w))};
        });
    Value result =
        loops
            .inlineEpilogue(op.getEpilogue(), sum, op.getEpilogueIns(),
                            op.getEpilogueMaps(), point)
            .front();
    loops.store(result, op.getOutput(), point);
  });
}

namespace {
struct LowerPack : public OpRewritePattern<PackOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(PackOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics())
      return rewriter.notifyMatchFailure(op, "on tensors");
    lowerPack(op, rewriter);
    rewriter.eraseOp(op);
    return success();
  }
};

struct LowerMatmul : public OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatmulOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics())
      return rewriter.notifyMatchFailure(op, "on tensors");
    lowerMatmul(op, rewriter);
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

void ssmc::detail::populateMatmulPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerPack, LowerMatmul>(patterns.getContext());
}
