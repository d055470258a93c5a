//===- ConvEmitter.cpp - Shared by the lowerings of ssm.conv --------------===//

#include "ConvEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

LogicalResult ConvEmitter::prepare() {
  auto type = dyn_cast<MemRefType>(op.getOutput().getType());
  if (!type)
    return failure();
  for (Operation &inner : body)
    if (inner.getNumRegions() != 0)
      return failure();
  element = type.getElementType();
  if (!isa<FloatType>(element))
    return failure();
  if (element.getIntOrFloatBitWidth() < 32)
    element = builder.getF32Type();
  width = target.getLanes(element.getIntOrFloatBitWidth());
  input = {op.getInput(), op.getInputMap()};
  kernel = {op.getKernel(), op.getKernelMap()};
  output = {op.getOutput(), op.getOutputMap()};
  history = {op.getHistory(), op.getInputMap()};
  chooseLanes();
  for (unsigned dim = 2; dim < lag; ++dim)
    if (ShapedType::isDynamic(getSize(dim)))
      return failure();
  epilogueBase.addBody(body);
  for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
    epilogueBase.bindAccess(body.getArgument(1 + i),
                            {operand, op.getEpilogueMap(i)});
  storeResult(epilogueBase, {}, {});
  return success();
}

double ConvEmitter::getOutputCost(double cost) {
  for (Operation &inner : body.without_terminator())
    cost += isa<math::MathDialect>(inner.getDialect()) ? 7 : 0.5;
  for (unsigned dim = 2; dim < lag; ++dim)
    cost *= std::max<int64_t>(getSize(dim), 1);
  return cost * 0.2 / width;
}

Value ConvEmitter::zero(RegionEmitter &emitter) {
  return arith::ConstantOp::create(
      builder, loc, builder.getZeroAttr(emitter.getLanesType(element)));
}

Value ConvEmitter::load(RegionEmitter &emitter, const Access &access) {
  return emitter.splat(
      convert(emitter.load(access, emitter.zeroOffsets()), element));
}

int64_t ConvEmitter::getSize(unsigned dim) {
  for (const Access *access : {&output, &input, &kernel})
    for (auto [axis, expr] : llvm::enumerate(access->map.getResults()))
      if (expr == builder.getAffineDimExpr(dim))
        return cast<MemRefType>(access->memref.getType()).getDimSize(axis);
  return ShapedType::kDynamic;
}

Value ConvEmitter::getExtent(Value memref, int64_t axis) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(axis))
    return index(type.getDimSize(axis));
  return memref::DimOp::create(builder, loc, memref, axis);
}

void ConvEmitter::emitTokenBlocks(
    Value batches, Value tokens, double cost,
    llvm::function_ref<void()> beginTask,
    llvm::function_ref<void(RegionEmitter &)> emitChannel) {
  Value blocks = ceilDivIndex(builder, loc, tokens, index(tokenBlock));
  Value units = mulIndex(builder, loc, batches, blocks);
  Value perUnit = minIndex(builder, loc, tokens, index(tokenBlock));
  auto emitUnit = [&](Value unit) {
    SmallVector<Value> digits =
        delinearize(builder, loc, unit, {batches, blocks});
    firstToken = mulIndex(builder, loc, digits[1], index(tokenBlock));
    endToken = minIndex(builder, loc,
                        addIndex(builder, loc, firstToken, index(tokenBlock)),
                        tokens);
    RegionEmitter emitter = epilogueBase;
    emitter.bindDim(0, digits[0]);
    forChannels(emitter, emitChannel);
  };
  emitTasks(builder, loc, units, getUnitsPerTask(builder, loc, perUnit, cost),
            std::nullopt, [&](Value begin, Value end) {
              beginTask();
              emitFor(builder, loc, begin, end, 1, emitUnit);
            });
}

void ConvEmitter::forChannels(RegionEmitter &emitter,
                              llvm::function_ref<void(RegionEmitter &)> emit,
                              unsigned next) {
  if (next == outer.size())
    return emit(emitter);
  emitFor(builder, loc, index(0), index(getSize(outer[next])), 1,
          [&](Value iv) {
            RegionEmitter inner = emitter;
            inner.bindDim(outer[next], iv);
            forChannels(inner, emit, next + 1);
          });
}

Value ConvEmitter::multiplyAdd(Value a, Value b, Value c) {
  Value product = arith::MulFOp::create(builder, loc, a, b);
  allowContraction(product.getDefiningOp());
  Value sum = arith::AddFOp::create(builder, loc, c, product);
  allowContraction(sum.getDefiningOp());
  return sum;
}

void ConvEmitter::chooseLanes() {
  double best = 0;
  for (AffineExpr expr : op.getOutputMap().getResults().drop_front(2)) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (getSize(dim) == 1)
      continue;
    double cost = 0.1;
    for (const Access *access : {&output, &input}) {
      Stride stride = getStride(*access, dim);
      cost += stride == Stride::none ? 0.1 : stride == Stride::unit ? 1 : width;
    }
    double size = std::max<int64_t>(getSize(dim), 1);
    cost *= llvm::divideCeil(int64_t(size), width) * width / size;
    if (!lane || cost <= best) {
      lane = dim;
      best = cost;
    }
  }
  for (AffineExpr expr : op.getOutputMap().getResults().drop_front(2)) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (dim != lane)
      outer.push_back(dim);
  }
  if (!lane)
    width = 1;
}

/// Applies the epilogue and stores; without sums only declares its argument.
void ConvEmitter::storeResult(RegionEmitter &emitter, ArrayRef<Value> results,
                               ArrayRef<Offsets> points) {
  Value argument = body.getArgument(0);
  SmallVector<Value> values;
  for (Value result : results)
    values.push_back(convert(result, argument.getType()));
  llvm::SmallBitVector dims(numDims);
  dims.set(1);
  if (lane)
    dims.set(*lane);
  int64_t step = width;
  std::optional<unsigned> laneDim = lane;
  emitter.bindSource(
      argument,
      [=](const Offsets &offsets) {
        return values[laneDim ? offsets[*laneDim] / step : 0];
      },
      dims, /*varies=*/true);
  for (const Offsets &point : points)
    emitter.store(output,
                  emitter.get(op.getEpilogueYield().getValues()[0], point),
                  point);
}

