//===- Spectrum.cpp - Roots of unity, transforms of a kernel --------------===//
//
// Both in double precision, each value from its definition.
//
//===----------------------------------------------------------------------===//

#include "Loops.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "ssm/IR/SSM.h"
#include "ssm/IR/SpectrumBlocks.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc::detail;

namespace {
/// Arithmetic of angles.
class Angles {
public:
  explicit Angles(Loops &loops)
      : loops(loops), type(loops.builder.getF64Type()) {}

  Value number(double value) { return loops.constant(type, value); }
  Value mul(Value a, Value b) {
    return arith::MulFOp::create(loops.builder, loops.loc, a, b);
  }
  /// `f(r)` of ssm.roots: the bits of `r` below the highest, the lowest first,
  /// as a fraction.
  Value getFraction(Value root);
  /// Cosine and sine of a turn times `turns`.
  std::pair<Value, Value> getUnit(Value turns);

  Loops &loops;
  Type type;
};
} // namespace

Value Angles::getFraction(Value root) {
  OpBuilder &builder = loops.builder;
  Location loc = loops.loc;
  SmallVector<Value> state = loops.reduce(
      loops.index(0), loops.index(40), {root, number(0.0), number(0.5)},
      [&](Value, ValueRange at) -> SmallVector<Value> {
        Value isInner = loops.less(loops.index(1), at[0]);
        Value bit = arith::AndIOp::create(builder, loc, at[0], loops.index(1));
        Value isOdd = loops.less(loops.index(0), bit);
        Value sum = loops.add(at[1], loops.select(isOdd, at[2], number(0.0)));
        Value half =
            arith::ShRUIOp::create(builder, loc, at[0], loops.index(1));
        return {loops.select(isInner, half, at[0]),
                loops.select(isInner, sum, at[1]),
                loops.select(isInner, mul(at[2], number(0.5)), at[2])};
      });
  return loops.add(state[1], mul(number(0.5), state[2]));
}

std::pair<Value, Value> Angles::getUnit(Value turns) {
  Value whole = math::FloorOp::create(loops.builder, loops.loc, turns);
  Value angle = mul(number(2 * M_PI), loops.sub(turns, whole));
  return {math::CosOp::create(loops.builder, loops.loc, angle),
          math::SinOp::create(loops.builder, loops.loc, angle)};
}

static void lowerRoots(RootsOp op, OpBuilder &builder) {
  Loops loops(builder, op.getLoc());
  Angles angles(loops);
  Value roots = op.getOuts().front();
  Type type = getElementTypeOrSelf(roots);
  loops.each(loops.size(roots, 0), [&](Value root) {
    Value isFirst = loops.less(root, loops.index(1));
    Value turns = angles.mul(angles.number(0.5), angles.getFraction(root));
    auto [re, im] =
        angles.getUnit(loops.select(isFirst, angles.number(0.0), turns));
    loops.store(loops.convert(re, type), roots, {root, loops.index(0)});
    loops.store(loops.convert(im, type), roots, {root, loops.index(1)});
  });
}

static void lowerSpectrum(SpectrumOp op, OpBuilder &builder) {
  Location loc = op.getLoc();
  Loops loops(builder, loc);
  Angles angles(loops);
  Value kernel = op.getKernel(), spectrum = op.getOuts().front();
  auto type = cast<MemRefType>(spectrum.getType());
  unsigned lag = op.getLag(), lane = op.getLane(), rank = type.getRank();
  Value lags = loops.size(kernel, lag);
  Value first = op.getFirst()
                    ? op.getFirst()
                    : loops.index(static_cast<int64_t>(op.getStaticFirst()));
  Value zero = angles.number(0.0);

  // All dimensions but place and part; both parts are made together.
  SmallVector<Value> point(rank), sizes;
  SmallVector<unsigned> dims;
  for (unsigned dim = 0; dim < rank; ++dim) {
    sizes.push_back(loops.size(spectrum, dim));
    if (dim != rank - 3 && dim != rank - 2)
      dims.push_back(dim);
  }
  auto emitPiece = [&](const SpectrumBlocks &size, Value number) {
    Value block = loops.index(size.block);
    Value firstLag = loops.mul(loops.add(size.firstPiece, number), block);
    loops.each(dims, sizes, point, [&] {
      Value channel = loops.add(loops.mul(point[rank - 4], sizes[rank - 1]),
                                point[rank - 1]);
      Value isChannel = loops.less(channel, loops.size(kernel, lane));
      auto getTap = [&](Value atLag) {
        Value place = loops.sub(atLag, first);
        Value isTap = arith::AndIOp::create(
            builder, loc, isChannel,
            arith::AndIOp::create(builder, loc,
                                  loops.less(loops.index(-1), place),
                                  loops.less(place, lags)));
        SmallVector<Value> indices;
        for (unsigned axis = 0, next = 0; axis < rank - 2; ++axis)
          indices.push_back(axis == lag    ? place
                            : axis == lane ? channel
                                           : point[next++]);
        return loops.loadIf(isTap, kernel, indices, angles.type,
                            [&] { return zero; });
      };
      loops.each(block, [&](Value k) {
        Value fraction = angles.getFraction(loops.add(block, k));
        SmallVector<Value> sums = loops.reduce(
            loops.index(0), block, {zero, zero},
            [&](Value n, ValueRange partial) -> SmallVector<Value> {
              Value power = arith::SIToFPOp::create(
                  builder, loc, angles.type,
                  arith::IndexCastOp::create(builder, loc, builder.getI64Type(),
                                             n));
              auto [re, im] = angles.getUnit(angles.mul(fraction, power));
              Value at = loops.add(firstLag, n);
              Value low = getTap(at), high = getTap(loops.sub(at, block));
              // (low - i high) (re + i im)
              return {loops.add(partial[0], loops.add(angles.mul(low, re),
                                                      angles.mul(high, im))),
                      loops.add(partial[1], loops.sub(angles.mul(low, im),
                                                      angles.mul(high, re)))};
            });
        Value place = k;
        if (std::optional<uint64_t> threads = op.getThreads())
          place = getPlaceForThreads(builder, loc, size.block, *threads, k);
        point[rank - 3] = loops.add(
            size.offset,
            loops.add(loops.mul(number, loops.index(size.getStride())), place));
        Value scale = angles.number(1.0 / double(size.block));
        for (int64_t part = 0; part < 2; ++part) {
          point[rank - 2] = loops.index(part);
          loops.store(loops.convert(angles.mul(sums[part], scale),
                                    type.getElementType()),
                      spectrum, point);
        }
      });
    });
  };
  for (const SpectrumBlocks &size :
       getSpectrumBlocks(builder, loc, lags, first, op.getBlock()))
    loops.each(size.numPieces,
                 [&](Value number) { emitPiece(size, number); });
}

namespace {
struct LowerRoots : public OpRewritePattern<RootsOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(RootsOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics())
      return rewriter.notifyMatchFailure(op, "on tensors");
    lowerRoots(op, rewriter);
    rewriter.eraseOp(op);
    return success();
  }
};

struct LowerSpectrum : public OpRewritePattern<SpectrumOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SpectrumOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics())
      return rewriter.notifyMatchFailure(op, "on tensors");
    lowerSpectrum(op, rewriter);
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

void ssmc::detail::populateSpectrumPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerRoots, LowerSpectrum>(patterns.getContext());
}
