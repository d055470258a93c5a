//===- LowerNorm.cpp - Rows divided by their size -------------------------===//
//
// Lanes run along the row. Sums are kept in several vectors and combined in a
// fixed order at the end.
//
//===----------------------------------------------------------------------===//

#include "CPULowering.h"
#include "VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Vectors of partial sums: as many as hide the latency of an addition.
static constexpr int64_t partialSums = 4;

namespace {
class NormLowering {
public:
  NormLowering(RewriterBase &builder, NormOp op, const VectorTarget &target)
      : builder(builder), op(op), loc(op.getLoc()), target(target),
        body(op.getEpilogue().front()) {}
  LogicalResult run();

private:
  void emitRow(RegionEmitter &emitter, unsigned dim);
  void emitGroup(RegionEmitter &emitter, Value begin, Value end);
  Value emitSum(RegionEmitter &emitter, Value begin, Value end, Value mean);
  Value getExtent(unsigned axis);
  Value index(int64_t value) { return indexConstant(builder, loc, value); }
  Value real(double value) {
    return arith::ConstantOp::create(builder, loc,
                                     builder.getFloatAttr(element, value));
  }
  template <typename Op> Value create(Value a, Value b) {
    Value result = Op::create(builder, loc, a, b);
    allowContraction(result.getDefiningOp());
    return result;
  }
  Value convert(Value value, Type type) {
    return convertFloat(builder, loc, value, type);
  }

  RewriterBase &builder;
  NormOp op;
  Location loc;
  const VectorTarget &target;
  Block &body;
  Access input, output;
  unsigned rank = 0, last = 0;
  int64_t length = 0, width = 1;
  Type element; ///< in which sums are taken
};
} // namespace

Value NormLowering::getExtent(unsigned axis) {
  auto type = cast<MemRefType>(input.memref.getType());
  if (!type.isDynamicDim(axis))
    return index(type.getDimSize(axis));
  return memref::DimOp::create(builder, loc, input.memref, axis);
}

LogicalResult NormLowering::run() {
  auto type = dyn_cast<MemRefType>(op.getInput().getType());
  if (!type)
    return failure();
  for (Operation &inner : body)
    if (inner.getNumRegions() != 0)
      return failure();
  rank = type.getRank();
  last = rank - 1;
  int64_t size = type.getDimSize(last);
  length = size / op.getGroups();
  element = type.getElementType();
  if (element.getIntOrFloatBitWidth() < 32)
    element = builder.getF32Type();
  width = target.getLanes(element.getIntOrFloatBitWidth());
  AffineMap identity = builder.getMultiDimIdentityMap(rank);
  input = {op.getInput(), identity};
  output = {op.getOutput(), identity};

  builder.setInsertionPoint(op);
  // A unit is a token; dimensions between it and the row are loops.
  unsigned leading = std::min(2u, last);
  double cost = 10 + 0.8 * double(size) / width;
  Value units = index(1);
  SmallVector<Value> extents;
  for (unsigned dim = 0; dim < last; ++dim) {
    if (dim < leading) {
      extents.push_back(getExtent(dim));
      units = mulIndex(builder, loc, units, extents.back());
      continue;
    }
    cost *= type.isDynamicDim(dim) ? 64
                                   : std::max<int64_t>(1, type.getDimSize(dim));
  }
  int64_t perTask = std::max<int64_t>(1, 2e4 / cost);
  emitTasks(builder, loc, units, index(perTask), perTask * cost,
            [&](Value begin, Value end) {
              emitFor(builder, loc, begin, end, 1, [&](Value unit) {
                RegionEmitter emitter(builder, loc, rank);
                emitter.addBody(body);
                SmallVector<Value> digits =
                    delinearize(builder, loc, unit, extents);
                for (auto [dim, digit] : llvm::enumerate(digits))
                  emitter.bindDim(dim, digit);
                for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
                  emitter.bindAccess(body.getArgument(1 + i),
                                     {operand, op.getEpilogueMap(i)});
                emitRow(emitter, leading);
              });
            });
  builder.eraseOp(op);
  return success();
}

void NormLowering::emitRow(RegionEmitter &emitter, unsigned dim) {
  if (dim < last)
    return emitFor(builder, loc, index(0), getExtent(dim), 1, [&](Value iv) {
      RegionEmitter inner = emitter;
      inner.bindDim(dim, iv);
      emitRow(inner, dim + 1);
    });
  emitFor(builder, loc, index(0), index(op.getGroups()), 1, [&](Value group) {
    Value begin = mulIndex(builder, loc, group, index(length));
    emitGroup(emitter, begin, addIndex(builder, loc, begin, index(length)));
  });
}

/// Sum of the row, or of the squared distances from `mean`; `mean` zero gives
/// the sum of squares.
Value NormLowering::emitSum(RegionEmitter &emitter, Value begin, Value end,
                            Value mean) {
  Type vectorType = VectorType::get({width}, element);
  Value zero =
      arith::ConstantOp::create(builder, loc, builder.getZeroAttr(vectorType));
  bool squares = static_cast<bool>(mean);
  bool centred = squares && op.getKind() == NormKind::layer;
  auto accumulate = [&](RegionEmitter &at, int64_t vector, Value sum) {
    Offsets offsets = at.zeroOffsets();
    offsets[last] = vector * width;
    Value x = convert(at.load(input, offsets), element);
    if (centred)
      x = create<arith::SubFOp>(x, at.splat(mean));
    if (at.getLanes().mask)
      x = arith::SelectOp::create(builder, loc, at.getLanes().mask, x, zero);
    if (squares)
      x = create<arith::MulFOp>(x, x);
    return create<arith::AddFOp>(sum, x);
  };
  auto bind = [&](Value iv, Value mask) {
    RegionEmitter at = emitter;
    Lanes lanes;
    lanes.dim = last;
    lanes.width = width;
    lanes.mask = mask;
    lanes.last = subIndex(builder, loc, end, index(1));
    at.setLanes(lanes);
    at.bindDim(last, iv);
    return at;
  };
  int64_t step = partialSums * width;
  Value unrolledEnd =
      addIndex(builder, loc, begin, index(length / step * step));
  Value wholeEnd = addIndex(builder, loc, begin, index(length / width * width));
  SmallVector<Value> sums(partialSums, zero);
  if (length >= step)
    sums = emitFor(builder, loc, begin, unrolledEnd, step, sums,
                   [&](Value iv, ValueRange carried) {
                     RegionEmitter at = bind(iv, Value());
                     SmallVector<Value> next;
                     for (int64_t v = 0; v < partialSums; ++v)
                       next.push_back(accumulate(at, v, carried[v]));
                     return next;
                   });
  Value first = sums[0];
  if (length % step >= width)
    first = emitFor(builder, loc, unrolledEnd, wholeEnd, width, first,
                    [&](Value iv, ValueRange carried) {
                      RegionEmitter at = bind(iv, Value());
                      return SmallVector<Value>{accumulate(at, 0, carried[0])};
                    })[0];
  if (length % width != 0) {
    Value mask = vector::CreateMaskOp::create(
        builder, loc, VectorType::get({width}, builder.getI1Type()),
        index(length % width));
    RegionEmitter at = bind(wholeEnd, mask);
    first = accumulate(at, 0, first);
  }
  Value sum = create<arith::AddFOp>(create<arith::AddFOp>(first, sums[1]),
                                    create<arith::AddFOp>(sums[2], sums[3]));
  return sumLanes(builder, loc, sum);
}

void NormLowering::emitGroup(RegionEmitter &emitter, Value begin, Value end) {
  Value mean = real(0);
  if (op.getKind() == NormKind::layer)
    mean = arith::DivFOp::create(
        builder, loc, emitSum(emitter, begin, end, Value()), real(length));
  Value squares = emitSum(emitter, begin, end, mean);
  if (op.getKind() != NormKind::l2)
    squares = arith::DivFOp::create(builder, loc, squares, real(length));
  squares = create<arith::AddFOp>(squares, real(op.getEps().convertToDouble()));
  Value scale = arith::DivFOp::create(
      builder, loc, real(1), math::SqrtOp::create(builder, loc, squares));
  emitLaneLoops(emitter, loc, last, begin, end, width, 1, length,
                [&](RegionEmitter &at, int64_t) {
                  Value x = convert(at.load(input, at.zeroOffsets()), element);
                  if (op.getKind() == NormKind::layer)
                    x = create<arith::SubFOp>(x, at.splat(mean));
                  x = create<arith::MulFOp>(x, at.splat(scale));
                  x = convert(x, body.getArgument(0).getType());
                  llvm::SmallBitVector dims(rank);
                  dims.set(last);
                  at.bindSource(
                      body.getArgument(0), [x](const Offsets &) { return x; },
                      dims, /*varies=*/true);
                  Value result = at.get(op.getEpilogueYield().getValues()[0],
                                        at.zeroOffsets());
                  at.store(output, result, at.zeroOffsets());
                });
}

LogicalResult ssmc::cpu::lowerNorm(RewriterBase &rewriter, NormOp op,
                                   const VectorTarget &target) {
  return NormLowering(rewriter, op, target).run();
}
