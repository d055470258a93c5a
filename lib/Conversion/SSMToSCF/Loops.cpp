//===- Loops.cpp - Scalar loops over points -------------------------------===//

#include "Loops.h"
#include "ssmc/Conversion/SSMToSCF.h"

#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace ssmc::detail;

Value Loops::index(int64_t value) {
  return arith::ConstantIndexOp::create(builder, loc, value);
}

Value Loops::constant(Type type, double value) {
  return arith::ConstantOp::create(builder, loc,
                                   builder.getFloatAttr(type, value));
}

Value Loops::add(Value left, Value right) {
  if (left.getType().isIndex())
    return arith::AddIOp::create(builder, loc, left, right);
  return arith::AddFOp::create(builder, loc, left, right);
}

Value Loops::sub(Value left, Value right) {
  if (left.getType().isIndex())
    return arith::SubIOp::create(builder, loc, left, right);
  return arith::SubFOp::create(builder, loc, left, right);
}

Value Loops::mul(Value left, Value right) {
  if (left.getType().isIndex())
    return arith::MulIOp::create(builder, loc, left, right);
  return arith::MulFOp::create(builder, loc, left, right);
}

Value Loops::less(Value left, Value right) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, left,
                               right);
}

Value Loops::select(Value condition, Value left, Value right) {
  return arith::SelectOp::create(builder, loc, condition, left, right);
}

Value Loops::max(Value left, Value right) {
  return arith::MaxSIOp::create(builder, loc, left, right);
}

SmallVector<Value> Loops::addNumbers(ValueRange left, ValueRange right) {
  SmallVector<Value> sum;
  for (auto [l, r] : llvm::zip_equal(left, right))
    sum.push_back(add(l, r));
  return sum;
}

SmallVector<Value> Loops::mulNumbers(ValueRange left, ValueRange right) {
  if (left.size() == 1)
    return {mul(left[0], right[0])};
  return {sub(mul(left[0], right[0]), mul(left[1], right[1])),
          add(mul(left[0], right[1]), mul(left[1], right[0]))};
}

void Loops::bindSizes(ssm::ScanOp op, MutableArrayRef<Value> sizes) {
  for (auto [map, memref] :
       {std::make_pair(op.getOutputMap(), op.getOutputInits().front()),
        std::make_pair(op.getStateMap(), op.getFinalStates().front())})
    for (auto [axis, expr] : llvm::enumerate(map.getResults())) {
      unsigned dim = cast<AffineDimExpr>(expr).getPosition();
      if (!sizes[dim])
        sizes[dim] = size(memref, axis);
    }
}

Value Loops::size(Value memref, unsigned dim) {
  return memref::DimOp::create(builder, loc, memref, dim);
}

Value Loops::convert(Value value, Type type) {
  auto from = dyn_cast<FloatType>(value.getType());
  auto to = dyn_cast<FloatType>(type);
  if (!from || !to || from == to)
    return value;
  if (from.getWidth() < to.getWidth())
    return arith::ExtFOp::create(builder, loc, to, value);
  // Formats of one width (bf16 and f16) have no direct conversion.
  if (from.getWidth() == to.getWidth())
    return convert(convert(value, builder.getF32Type()), type);
  return arith::TruncFOp::create(builder, loc, to, value);
}

Value Loops::load(Value memref, ValueRange indices) {
  return memref::LoadOp::create(builder, loc, memref, indices);
}

void Loops::store(Value value, Value memref, ValueRange indices) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  memref::StoreOp::create(builder, loc, convert(value, element), memref,
                          indices);
}

SmallVector<Value> Loops::apply(AffineMap map, ValueRange point) {
  return *affine::expandAffineMap(builder, loc, map, point);
}

void Loops::when(Value condition, llvm::function_ref<void()> body,
                 llvm::function_ref<void()> otherwise) {
  auto branch =
      scf::IfOp::create(builder, loc, condition, /*withElseRegion=*/bool(otherwise));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  body();
  if (!otherwise)
    return;
  builder.setInsertionPointToStart(branch.elseBlock());
  otherwise();
}

Value Loops::loadIf(Value condition, Value memref, ValueRange indices,
                    Type type, function_ref<Value()> otherwise) {
  auto ifOp = scf::IfOp::create(builder, loc, type, condition,
                                /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(ifOp.thenBlock());
  Value loaded = convert(load(memref, indices), type);
  scf::YieldOp::create(builder, loc, loaded);
  builder.setInsertionPointToStart(ifOp.elseBlock());
  Value other = otherwise();
  scf::YieldOp::create(builder, loc, other);
  return ifOp.getResult(0);
}

SmallVector<Value>
Loops::reduce(Value begin, Value end, ValueRange init,
              function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(
      builder, loc, begin, end, index(1), init,
      [&](OpBuilder &, Location, Value iv, ValueRange carried) {
        scf::YieldOp::create(builder, loc, body(iv, carried));
      });
  return loop.getResults();
}

void Loops::repeat(Value end, function_ref<void(Value)> body) {
  reduce(index(0), end, ValueRange(), [&](Value iv, ValueRange) {
    body(iv);
    return SmallVector<Value>();
  });
}

void Loops::repeat(ArrayRef<unsigned> dims, ValueRange sizes,
                   SmallVector<Value> &point, function_ref<void()> body) {
  reduce(dims, sizes, point, ValueRange(), [&](ValueRange) {
    body();
    return SmallVector<Value>();
  });
}

void Loops::each(Value end, function_ref<void(Value)> body) {
  auto loop = scf::ForOp::create(builder, loc, index(0), end, index(1));
  loop->setAttr(ssmc::kIndependentAttr, builder.getUnitAttr());
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

void Loops::each(ArrayRef<unsigned> dims, ValueRange sizes,
                 SmallVector<Value> &point, function_ref<void()> body) {
  if (dims.empty())
    return body();
  each(sizes[dims.front()], [&](Value iv) {
    point[dims.front()] = iv;
    each(dims.drop_front(), sizes, point, body);
  });
}

SmallVector<Value>
Loops::reduce(ArrayRef<unsigned> dims, ValueRange sizes,
              SmallVector<Value> &point, ValueRange init,
              function_ref<SmallVector<Value>(ValueRange)> body) {
  if (dims.empty())
    return body(init);
  return reduce(index(0), sizes[dims.front()], init,
                [&](Value iv, ValueRange carried) {
                  point[dims.front()] = iv;
                  return reduce(dims.drop_front(), sizes, point, carried, body);
                });
}

SmallVector<Value>
Loops::inlineSlice(Block &block, ValueRange results,
                   function_ref<Value(unsigned)> getArgument) {
  // Values of the block that the results need, also inside nested regions.
  DenseSet<Value> needed(results.begin(), results.end());
  DenseSet<Operation *> cloned;
  for (Operation &op : llvm::reverse(block)) {
    if (llvm::none_of(op.getResults(),
                      [&](Value value) { return needed.contains(value); }))
      continue;
    cloned.insert(&op);
    op.walk([&](Operation *nested) {
      needed.insert(nested->operand_begin(), nested->operand_end());
    });
  }
  IRMapping mapping;
  for (BlockArgument argument : block.getArguments())
    if (needed.contains(argument))
      mapping.map(argument, getArgument(argument.getArgNumber()));
  for (Operation &op : block) {
    if (!cloned.contains(&op))
      continue;
    auto widened = dyn_cast<arith::ExtFOp>(op);
    Value wide = widened ? mapping.lookupOrNull(widened.getIn()) : Value();
    if (wide && wide.getType() == widened.getType())
      mapping.map(widened.getResult(), wide);
    else
      builder.clone(op, mapping);
  }
  return llvm::map_to_vector(
      results, [&](Value value) { return mapping.lookupOrDefault(value); });
}

SmallVector<Value>
Loops::inlineEpilogue(Region &region, ValueRange values,
                      function_ref<Value(unsigned)> getOperand) {
  Block &block = region.front();
  return inlineSlice(
      block, block.getTerminator()->getOperands(), [&](unsigned argument) {
        if (argument >= values.size())
          return getOperand(argument - values.size());
        return convert(values[argument], block.getArgument(argument).getType());
      });
}

SmallVector<Value> Loops::inlineEpilogue(Region &region, ValueRange values,
                                         ValueRange operands, ArrayAttr maps,
                                         ValueRange point) {
  return inlineEpilogue(region, values, [&](unsigned operand) {
    AffineMap map = cast<AffineMapAttr>(maps[operand]).getValue();
    return load(operands[operand], apply(map, point));
  });
}

Type ssmc::detail::getAccumulatorType(TypeRange types) {
  Type type = Float32Type::get(types.front().getContext());
  for (Type candidate : types)
    if (candidate.isF64())
      type = candidate;
  return type;
}
