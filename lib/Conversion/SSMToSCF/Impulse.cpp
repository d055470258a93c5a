//===- Impulse.cpp - Impulse responses as loops ---------------------------===//
//
// One lane after the other, one state from the one before.
//
//===----------------------------------------------------------------------===//

#include "Loops.h"

#include "ssm/IR/SSM.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc::detail;

namespace {
struct LowerImpulseResponse : public OpRewritePattern<ImpulseResponseOp> {
  LowerImpulseResponse(MLIRContext *context, bool forThreads)
      : OpRewritePattern(context), forThreads(forThreads) {}

  LogicalResult matchAndRewrite(ImpulseResponseOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics())
      return rewriter.notifyMatchFailure(op, "on tensors");
    Loops loops(rewriter, op.getLoc());
    Location loc = op.getLoc();
    Type f64 = rewriter.getF64Type();
    int64_t rows = op.getRows(), width = op.getWidth(), parts = op.getParts();
    ArrayRef<int64_t> shape = cast<MemRefType>(op.getInput().getType()).getShape();
    // The state before, and this one.
    Value states;
    auto statesType = MemRefType::get({2, rows}, f64);
    if (!forThreads)
      states = memref::AllocOp::create(rewriter, loc, statesType);
    Value before = loops.index(0), now = loops.index(1), zero = loops.index(0);
    Value numLags = loops.size(op.getOuts().front(), 0);
    SmallVector<Value> point(3, zero); // independent system, vector, lane
    auto load = [&](Value memref, ValueRange middle) {
      SmallVector<Value> indices{point[0], point[1]};
      llvm::append_range(indices, middle);
      indices.push_back(point[2]);
      return loops.load(memref, indices);
    };
    auto element = [&](Value key, int64_t part) {
      return load(op.getTransition(), {key, loops.index(part)});
    };
    auto state = [&](Value row) { return loops.load(states, {before, row}); };
    auto advance = [&] {
      if (op.getDense()) {
        loops.repeat(loops.index(rows), [&](Value row) {
          SmallVector<Value> sum = loops.reduce(
              zero, loops.index(rows), loops.constant(f64, 0),
              [&](Value k, ValueRange partial) -> SmallVector<Value> {
                return {loops.add(partial[0], loops.mul(load(op.getTransition(), {row, k}),
                                                        state(k)))};
              });
          loops.store(sum[0], states, {now, row});
        });
      } else {
        loops.repeat(loops.index(rows / parts), [&](Value key) {
          Value row = loops.mul(key, loops.index(parts));
          if (parts == 1)
            return loops.store(loops.mul(element(key, 0), state(row)), states,
                               {now, row});
          Value next = loops.add(row, loops.index(1));
          Value real = loops.sub(loops.mul(element(key, 0), state(row)),
                                 loops.mul(element(key, 1), state(next)));
          Value imaginary = loops.add(loops.mul(element(key, 0), state(next)),
                                      loops.mul(element(key, 1), state(row)));
          loops.store(real, states, {now, row});
          loops.store(imaginary, states, {now, next});
        });
      }
      loops.repeat(loops.index(rows), [&](Value row) {
        loops.store(loops.load(states, {now, row}), states, {before, row});
      });
    };
    auto read = [&](Value lag, unsigned number, Value which) {
      Value sum = loops
                      .reduce(zero, loops.index(rows), loops.constant(f64, 0),
                              [&](Value row, ValueRange partial) -> SmallVector<Value> {
                                Value weight = load(op.getRead(),
                                                    {loops.index(number), which, row});
                                return {loops.add(partial[0],
                                                  loops.mul(weight, state(row)))};
                              })
                      .front();
      Value out = op.getOuts()[number];
      auto type = cast<FloatType>(cast<MemRefType>(out.getType()).getElementType());
      double smallest =
          APFloat::getSmallestNormalized(type.getFloatSemantics()).convertToDouble();
      Value isSmall = arith::CmpFOp::create(rewriter, loc, arith::CmpFPredicate::OLT,
                                            math::AbsFOp::create(rewriter, loc, sum),
                                            loops.constant(f64, smallest));
      sum = loops.select(isSmall, loops.constant(f64, 0), sum);
      Value lane = loops.add(loops.mul(point[1], loops.index(width)), point[2]);
      loops.store(sum, out, {lag, point[0], which, lane});
    };
    SmallVector<Value> sizes = {loops.index(shape[0]), loops.index(shape[1]),
                                loops.index(width)};
    auto lowerLane = [&] {
          if (forThreads)
            states = memref::AllocaOp::create(rewriter, loc, statesType);
          loops.repeat(loops.index(rows), [&](Value row) {
            loops.store(load(op.getInput(), row), states, {before, row});
          });
          loops.repeat(numLags, [&](Value step) {
            Value lag = step;
            if (op.getReverse())
              lag = loops.sub(loops.sub(numLags, loops.index(1)), step);
            for (unsigned number = 0; number < op.getOuts().size(); ++number)
              loops.repeat(loops.index(op.getReads()),
                           [&](Value which) { read(lag, number, which); });
            advance();
          });
        };
    if (forThreads) {
      loops.each({0, 1, 2}, sizes, point, lowerLane);
    } else {
      loops.repeat({0, 1, 2}, sizes, point, lowerLane);
      memref::DeallocOp::create(rewriter, loc, states);
    }
    rewriter.eraseOp(op);
    return success();
  }

private:
  bool forThreads;
};
} // namespace

void ssmc::detail::populateImpulsePatterns(RewritePatternSet &patterns,
                                           bool forThreads) {
  patterns.add<LowerImpulseResponse>(patterns.getContext(), forThreads);
}
