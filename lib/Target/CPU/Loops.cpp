//===- Loops.cpp - Loops, tasks and index arithmetic of the lowerings -----===//

#include "VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace ssmc;
using namespace ssmc::cpu;

/// What a task should take: long against the cost of handing it out, short
/// against a layer.
static constexpr double taskPicoseconds = 20e6;

Value ssmc::cpu::indexConstant(OpBuilder &builder, Location loc,
                               int64_t value) {
  return arith::ConstantIndexOp::create(builder, loc, value);
}

std::optional<int64_t> ssmc::cpu::getConstant(Value value) {
  APInt constant;
  if (!value || !matchPattern(value, m_ConstantInt(&constant)))
    return std::nullopt;
  return constant.getSExtValue();
}

Value ssmc::cpu::convertFloat(OpBuilder &builder, Location loc, Value value,
                              Type element) {
  Type from = getElementTypeOrSelf(value.getType());
  if (from == element)
    return value;
  Type to = element;
  if (auto vector = dyn_cast<VectorType>(value.getType()))
    to = vector.clone(element);
  if (from.getIntOrFloatBitWidth() < element.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(builder, loc, to, value);
  if (from.getIntOrFloatBitWidth() > element.getIntOrFloatBitWidth())
    return arith::TruncFOp::create(builder, loc, to, value);
  // Between bf16 and f16.
  return convertFloat(
      builder, loc, convertFloat(builder, loc, value, builder.getF32Type()),
      element);
}

Value ssmc::cpu::flushDenormals(OpBuilder &builder, Location loc, Value value,
                                Type element) {
  double smallest =
      APFloat::getSmallestNormalized(cast<FloatType>(element).getFloatSemantics())
          .convertToDouble();
  Type type = value.getType();
  TypedAttr limit = builder.getFloatAttr(getElementTypeOrSelf(type), smallest);
  if (auto vector = dyn_cast<VectorType>(type))
    limit = DenseElementsAttr::get(vector, limit);
  Value isSmall = arith::CmpFOp::create(
      builder, loc, arith::CmpFPredicate::OLT,
      math::AbsFOp::create(builder, loc, value),
      arith::ConstantOp::create(builder, loc, limit));
  Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type));
  return arith::SelectOp::create(builder, loc, isSmall, zero, value);
}

Value ssmc::cpu::addIndex(OpBuilder &builder, Location loc, Value a, Value b) {
  return builder.createOrFold<arith::AddIOp>(loc, a, b);
}

Value ssmc::cpu::subIndex(OpBuilder &builder, Location loc, Value a, Value b) {
  return builder.createOrFold<arith::SubIOp>(loc, a, b);
}

Value ssmc::cpu::mulIndex(OpBuilder &builder, Location loc, Value a, Value b) {
  return builder.createOrFold<arith::MulIOp>(loc, a, b);
}

Value ssmc::cpu::minIndex(OpBuilder &builder, Location loc, Value a, Value b) {
  return builder.createOrFold<arith::MinSIOp>(loc, a, b);
}

Value ssmc::cpu::ceilDivIndex(OpBuilder &builder, Location loc, Value a,
                              Value b) {
  if (getConstant(b) == 1)
    return a;
  Value one = indexConstant(builder, loc, 1);
  Value sum = addIndex(builder, loc, a, subIndex(builder, loc, b, one));
  return builder.createOrFold<arith::DivUIOp>(loc, sum, b);
}

SmallVector<Value> ssmc::cpu::delinearize(OpBuilder &builder, Location loc,
                                          Value linear,
                                          ArrayRef<Value> extents) {
  SmallVector<Value> digits(extents.size());
  for (int64_t i = extents.size() - 1; i >= 0; --i) {
    if (i == 0) {
      digits[i] = linear;
      break;
    }
    if (getConstant(extents[i]) == 1) {
      digits[i] = indexConstant(builder, loc, 0);
      continue;
    }
    digits[i] = builder.createOrFold<arith::RemUIOp>(loc, linear, extents[i]);
    linear = builder.createOrFold<arith::DivUIOp>(loc, linear, extents[i]);
  }
  return digits;
}

SmallVector<Value> ssmc::cpu::emitFor(
    OpBuilder &builder, Location loc, Value lower, Value upper, int64_t step,
    ValueRange inits,
    llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  std::optional<int64_t> first = getConstant(lower), last = getConstant(upper);
  if (first && last) {
    if (*first >= *last)
      return SmallVector<Value>(inits);
    if (*first + step >= *last)
      return body(lower, inits);
  }
  auto loop = scf::ForOp::create(builder, loc, lower, upper,
                                 indexConstant(builder, loc, step), inits);
  OpBuilder::InsertionGuard guard(builder);
  // Without results the builder has already made the terminator.
  if (inits.empty()) {
    builder.setInsertionPoint(loop.getBody()->getTerminator());
    body(loop.getInductionVar(), {});
    return {};
  }
  builder.setInsertionPointToEnd(loop.getBody());
  SmallVector<Value> results =
      body(loop.getInductionVar(), loop.getRegionIterArgs());
  scf::YieldOp::create(builder, loc, results);
  return SmallVector<Value>(loop.getResults());
}

void ssmc::cpu::emitFor(OpBuilder &builder, Location loc, Value lower,
                        Value upper, int64_t step,
                        llvm::function_ref<void(Value)> body) {
  emitFor(builder, loc, lower, upper, step, ValueRange(),
          [&](Value iv, ValueRange) {
            body(iv);
            return SmallVector<Value>();
          });
}

void ssmc::cpu::emitIf(OpBuilder &builder, Location loc, Value condition,
                       llvm::function_ref<void()> whenTrue,
                       llvm::function_ref<void()> whenFalse) {
  if (!condition) {
    if (whenFalse)
      whenFalse();
    return;
  }
  auto branch = scf::IfOp::create(builder, loc, condition,
                                  /*withElseRegion=*/bool(whenFalse));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  whenTrue();
  if (!whenFalse)
    return;
  builder.setInsertionPointToStart(branch.elseBlock());
  whenFalse();
}

Value ssmc::cpu::emitChoice(OpBuilder &builder, Location loc, Value condition,
                            llvm::function_ref<Value()> whenTrue,
                            llvm::function_ref<Value()> whenFalse) {
  auto yield = [](llvm::function_ref<Value()> value) {
    return [value](OpBuilder &nested, Location loc) {
      scf::YieldOp::create(nested, loc, value());
    };
  };
  return scf::IfOp::create(builder, loc, condition, yield(whenTrue),
                           yield(whenFalse))
      .getResult(0);
}

void ssmc::cpu::emitLaneLoops(
    RegionEmitter &emitter, Location loc, unsigned dim, Value lower,
    Value upper, int64_t width, int64_t vectors, int64_t multiple,
    llvm::function_ref<void(RegionEmitter &, int64_t)> body) {
  OpBuilder &builder = emitter.getBuilder();
  Value begin = lower;
  auto emitWhole = [&](int64_t count) {
    int64_t step = width * count;
    Value end = upper;
    if (multiple % step != 0) {
      Value size = indexConstant(builder, loc, step);
      Value whole = builder.createOrFold<arith::DivUIOp>(
          loc, subIndex(builder, loc, upper, begin), size);
      end = addIndex(builder, loc, begin, mulIndex(builder, loc, whole, size));
    }
    emitFor(builder, loc, begin, end, step, [&](Value index) {
      RegionEmitter inner = emitter;
      Lanes lanes;
      lanes.dim = dim;
      lanes.width = width;
      inner.setLanes(lanes);
      inner.bindDim(dim, index);
      body(inner, count);
    });
    begin = end;
    return multiple % step == 0;
  };
  if (emitWhole(vectors) || (vectors > 1 && emitWhole(1)))
    return;
  emitFor(builder, loc, begin, upper, width, [&](Value index) {
    RegionEmitter inner = emitter;
    Lanes lanes;
    lanes.dim = dim;
    lanes.width = width;
    Value count = subIndex(builder, loc, upper, index);
    lanes.mask = vector::CreateMaskOp::create(
        builder, loc, VectorType::get({width}, builder.getI1Type()), count);
    lanes.last = subIndex(builder, loc, upper, indexConstant(builder, loc, 1));
    inner.setLanes(lanes);
    inner.bindDim(dim, index);
    body(inner, 1);
  });
}

void ssmc::cpu::emitTasks(
    OpBuilder &builder, Location loc, Value numUnits, Value unitsPerTask,
    std::optional<double> taskCost,
    llvm::function_ref<void(Value begin, Value end)> body) {
  Value zero = indexConstant(builder, loc, 0);
  Value one = indexConstant(builder, loc, 1);
  Value numTasks = ceilDivIndex(builder, loc, numUnits, unitsPerTask);
  auto parallel = scf::ParallelOp::create(
      builder, loc, ValueRange{zero}, ValueRange{numTasks}, ValueRange{one},
      [&](OpBuilder &, Location, ValueRange) {});
  if (taskCost)
    parallel->setAttr("ssm.cost", builder.getF64FloatAttr(*taskCost));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(parallel.getBody()->getTerminator());
  Value task = parallel.getInductionVars().front();
  Value begin = mulIndex(builder, loc, task, unitsPerTask);
  Value end = addIndex(builder, loc, begin, unitsPerTask);
  if (getConstant(unitsPerTask) != 1)
    end = minIndex(builder, loc, end, numUnits);
  body(begin, end);
}

Value ssmc::cpu::getUnitsPerTask(OpBuilder &builder, Location loc, Value factor,
                                 double nanoseconds) {
  int64_t picoseconds = std::max<int64_t>(1, nanoseconds * 1e3);
  Value cost =
      mulIndex(builder, loc, factor, indexConstant(builder, loc, picoseconds));
  cost = builder.createOrFold<arith::MaxSIOp>(loc, cost,
                                              indexConstant(builder, loc, 1));
  return ceilDivIndex(
      builder, loc,
      indexConstant(builder, loc, static_cast<int64_t>(taskPicoseconds)), cost);
}
