//===- Norm.cpp - Norms as loops over a row -------------------------------===//

#include "Loops.h"

#include "ssm/IR/SSM.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc::detail;

namespace {
struct LowerNorm : public OpRewritePattern<NormOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(NormOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics())
      return rewriter.notifyMatchFailure(op, "on tensors");
    Loops loops(rewriter, op.getLoc());
    SmallVector<Value> sizes;
    SmallVector<unsigned> rowDims;
    unsigned rank = cast<MemRefType>(op.getInput().getType()).getRank();
    for (unsigned dim = 0; dim < rank; ++dim) {
      sizes.push_back(loops.size(op.getInput(), dim));
      rowDims.push_back(dim);
    }
    rowDims.pop_back();
    SmallVector<Value> point(rank, loops.index(0));
    loops.each(rowDims, sizes, point, [&] {
      loops.each(loops.index(op.getGroups()),
                   [&](Value group) { lowerGroup(op, loops, point, group); });
    });
    rewriter.eraseOp(op);
    return success();
  }

private:
  /// `group` of the row at `point`.
  static void lowerGroup(NormOp op, Loops &loops, SmallVector<Value> &point,
                         Value group) {
    auto inputType = cast<MemRefType>(op.getInput().getType());
    Type type = getAccumulatorType(
        {inputType.getElementType(), getElementTypeOrSelf(op.getOutput())});
    int64_t size = inputType.getShape().back() / op.getGroups();
    Value begin = loops.mul(group, loops.index(size));
    Value end = loops.add(begin, loops.index(size));
    Value zero = loops.constant(type, 0.0);
    Value count = loops.constant(type, size);

    Value mean = zero;
    auto loadDifference = [&](Value iv) {
      point.back() = iv;
      Value x = loops.convert(loops.load(op.getInput(), point), type);
      return op.getKind() == NormKind::layer ? loops.sub(x, mean) : x;
    };
    auto sum = [&](function_ref<Value(Value)> term) {
      return loops
          .reduce(begin, end, zero,
                  [&](Value iv, ValueRange partial) -> SmallVector<Value> {
                    return {loops.add(partial[0], term(iv))};
                  })
          .front();
    };
    if (op.getKind() == NormKind::layer) {
      Value total = sum([&](Value iv) { return loadDifference(iv); });
      mean = arith::DivFOp::create(loops.builder, loops.loc, total, count);
    }
    Value square = sum([&](Value iv) {
      Value x = loadDifference(iv);
      return loops.mul(x, x);
    });
    if (op.getKind() != NormKind::l2)
      square = arith::DivFOp::create(loops.builder, loops.loc, square, count);
    Value eps = loops.constant(type, op.getEps().convertToDouble());
    Value divisor =
        math::SqrtOp::create(loops.builder, loops.loc, loops.add(square, eps));

    loops.reduce(begin, end, ValueRange(), [&](Value iv, ValueRange) {
      Value y = arith::DivFOp::create(loops.builder, loops.loc,
                                      loadDifference(iv), divisor);
      Value result =
          loops
              .inlineEpilogue(op.getEpilogue(), y, op.getEpilogueIns(),
                              op.getEpilogueMaps(), point)
              .front();
      loops.store(result, op.getOutput(), point);
      return SmallVector<Value>();
    });
  }
};
} // namespace

void ssmc::detail::populateNormPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerNorm>(patterns.getContext());
}
