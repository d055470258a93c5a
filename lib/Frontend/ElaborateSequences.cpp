//===- ElaborateSequences.cpp - Several sequence axes ---------------------===//
//
// The ops that walk a sequence (ssm.scan, ssm.conv, ssm.shift) know one. In a layer
// with several, each op walks one of them, and the tokens along the others are rows
// of the op, like those of the batch: its operands get the order batch, other axes,
// sequence, rest, and the first two of these become one dimension.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "ssm/IR/SSM.h"
#include "llvm/ADT/StringExtras.h"

using namespace ssmc;
using namespace mlir;

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

/// The extent of a sequence axis that stands in a pattern, `t` or `x: seq`. The
/// inputs of the layer declare them.
std::optional<int64_t> Elaborator::declareSequence(const ast::AxisPattern &pattern) {
  const std::string &name = pattern.name.name;
  if (declaresInputs) {
    if (sequences.size() == kMaxSequences) {
      diagnostics.error(pattern.range, "a layer has at most " +
                                           llvm::Twine(kMaxSequences) +
                                           " sequence axes; '" + name + "' is one more");
      return std::nullopt;
    }
    sequences.push_back({name, Value()});
    return sequenceExtent(sequences.size() - 1);
  }
  if (pattern.extent == ast::AxisPattern::Seq || sequences.size() > 1) {
    diagnostics.error(pattern.range, "'" + name + "' is no sequence axis: an input of "
                                     "the layer declares it, " + name + ": seq");
    return std::nullopt;
  }
  if (sequences.empty()) // a member of the layer speaks of it before the inputs
    sequences.push_back({name, Value()});
  return kDynamicExtent; // of the only one, whatever its name is
}

/// An extent as messages show it.
std::string Elaborator::extentText(int64_t extent) {
  if (extent == kLagExtent)
    return "all lags back";
  if (extent == kTwoSidedExtent)
    return "all lags in two directions";
  if (!isSequenceExtent(extent))
    return std::to_string(extent);
  if (sequences.size() < 2)
    return "the length of the sequence";
  return "the length of the sequence axis '" + sequences[sequenceNumber(extent)].name +
         "'";
}

/// The sequence axes that can be named in a scope, each once, under the innermost of
/// its names, and all names.
Elaborator::VisibleSequences Elaborator::visibleSequences(Scope &scope) {
  VisibleSequences found;
  auto see = [&](const Axis &axis) {
    if (!axis.sequence || axis.second || axis.name.empty())
      return;
    if (llvm::none_of(found.names, [&](const Axis &other) {
          return other.name == axis.name; // hidden
        }))
      found.names.push_back(axis);
    if (llvm::none_of(found.axes,
                      [&](const Axis &other) { return other.size == axis.size; }))
      found.axes.push_back(axis);
  };
  for (Scope *s = &scope; s; s = s->parent.get())
    for (const auto &[name, entry] : s->axes) {
      if (name != "..") {
        Axis axis = entry.first;
        axis.name = name;
        see(axis);
      } else if (!found.hasRest) {
        found.hasRest = true;
        found.rest = entry.first.members;
        llvm::for_each(entry.first.members, see);
      }
    }
  llvm::sort(found.axes,
             [](const Axis &a, const Axis &b) { return a.size < b.size; });
  return found;
}

/// `backward(x)`: a direction along a sequence axis.
std::optional<Entity> Elaborator::directionAlong(Entity direction,
                                                 const ast::CallExpr &call,
                                                 Scope &scope) {
  auto *name = call.args.size() == 1
                   ? llvm::dyn_cast<ast::NameExpr>(call.args[0].value.get())
                   : nullptr;
  auto *axis = name ? scope.findAxis(name->name) : nullptr;
  if (!axis || !axis->first.sequence || axis->first.second) {
    diagnostics.error(call.range, "a direction is along a sequence axis, as in "
                                  "backward(x)");
    return std::nullopt;
  }
  direction.sequence = sequenceNumber(axis->first.size);
  return direction;
}

/// The direction of a state block: a sequence axis, or a direction with or without.
std::optional<Entity> Elaborator::directionOf(const ast::Expr &expr,
                                              std::shared_ptr<Scope> scope) {
  auto *name = llvm::dyn_cast<ast::NameExpr>(&expr);
  auto *axis = name && !scope->findValue(name->name) ? scope->findAxis(name->name)
                                                     : nullptr;
  if (axis && axis->first.sequence && !axis->first.second) {
    Entity entity;
    entity.kind = Entity::Direction;
    entity.sequence = sequenceNumber(axis->first.size);
    return entity;
  }
  auto direction = evaluate(expr, scope);
  if (direction && direction->kind != Entity::Direction) {
    diagnostics.error(expr.range, "'along' takes forward, backward or a sequence axis, "
                                  "as in along x or along backward(x)");
    return std::nullopt;
  }
  return direction;
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// Which of several axes an op walks, for who predicts its cost.
void Elaborator::noteSequence(Operation *op, const Axis &axis) {
  if (sequences.size() > 1)
    op->setAttr("sequence_axis", builder.getI64IntegerAttr(sequenceNumber(axis.size)));
}

/// The batch times the lengths of other sequence axes.
Value Elaborator::rowCount(ArrayRef<IndexId> others) {
  Value rows = sizeOfBatch();
  for (IndexId id : others)
    rows = arith::MulIOp::create(
        builder, loc, rows, sizeOfLength(sequenceNumber(indexAxis(id).size)));
  return rows;
}

/// An empty tensor whose first dimension are the rows.
Value Elaborator::emptyRows(ArrayRef<IndexId> others, ArrayRef<int64_t> sizes,
                            Type type) {
  llvm::SmallVector<OpFoldResult> mixed = mixedSizes(sizes, false);
  mixed.insert(mixed.begin(), rowCount(others));
  return tensor::EmptyOp::create(builder, loc, mixed, type);
}

/// Dimensions [0, count) as one, or one as so many.
static llvm::SmallVector<ReassociationIndices> joinFirst(int64_t count, int64_t rank) {
  llvm::SmallVector<ReassociationIndices> groups(1);
  for (int64_t d = 0; d < rank; ++d)
    if (d < count)
      groups[0].push_back(d);
    else
      groups.push_back({d});
  return groups;
}

/// An element of a tensor as an element of its rows: what depends on the batch or on a
/// sequence axis gets batch and other axes as its first dimension, and then the place
/// along `time`, if it has one, and the remaining places in their order.
TermRef Elaborator::elementOfRows(const TermRef &leaf, IndexId time,
                                  ArrayRef<IndexId> others) {
  bool hasOthers = llvm::any_of(others, [&](IndexId id) { return leaf->dependsOn(id); });
  if (!leaf->batched && !hasOthers && !leaf->dependsOn(time))
    return leaf;
  auto type = cast<RankedTensorType>(leaf->tensor.getType());
  // For each dimension of the rows its place in the tensor, or -1.
  llvm::SmallVector<int> order;
  auto find = [&](auto isWanted) {
    auto *at = llvm::find_if(leaf->at, isWanted);
    return at == leaf->at.end() ? -1 : int(at - leaf->at.begin());
  };
  for (IndexId id : others)
    order.push_back(find([&](AffineExpr at) { return at == dim(id); }));
  if (int at = find([&](AffineExpr at) { return at.isFunctionOfDim(time); }); at >= 0)
    order.push_back(at);
  for (int i = 0; i < int(leaf->at.size()); ++i)
    if (!llvm::is_contained(order, i))
      order.push_back(i);

  llvm::SmallVector<AffineExpr> places;
  for (int place : llvm::drop_begin(order, others.size()))
    places.push_back(leaf->at[place]);
  auto known = rowsOf.find({leaf->tensor.getAsOpaquePointer(), order});
  Value rows;
  if (known != rowsOf.end() &&
      known->second.getParentBlock() == builder.getInsertionBlock()) {
    rows = known->second;
  } else {
    bool isInOrder = leaf->batched;
    for (auto [i, place] : llvm::enumerate(order))
      isInOrder &= place == int(i);
    Value whole = leaf->tensor;
    if (!isInOrder) {
      llvm::SmallVector<IndexId> variables(others);
      llvm::SmallVector<AffineExpr> at(leaf->at.size());
      for (auto [i, place] : llvm::enumerate(order)) {
        if (i >= others.size()) {
          Axis axis;
          axis.size = type.getDimSize(place + leaf->batched);
          if (type.isDynamicDim(place + leaf->batched)) {
            axis = indexAxis(time);
            axis.name.clear();
          }
          variables.push_back(newIndex(axis));
        }
        if (place >= 0)
          at[place] = dim(variables[i]);
      }
      TermRef moved = element(leaf->tensor, at, leaf->batched, leaf->integer,
                              leaf->boolean);
      llvm::SmallVector<Value> values;
      whole = emitGeneric(moved, variables, {}, Operator::Add, values,
                          /*forceBatch=*/true);
    }
    rows = whole;
    if (!others.empty())
      rows = tensor::CollapseShapeOp::create(
          builder, loc, whole,
          joinFirst(others.size() + 1, cast<RankedTensorType>(whole.getType()).getRank()));
    rowsOf[{leaf->tensor.getAsOpaquePointer(), order}] = rows;
  }
  bool integer =
      leaf->integer && cast<RankedTensorType>(rows.getType()).getElementType().isInteger();
  return element(rows, places, /*batched=*/true, integer, leaf->boolean);
}

/// A term over rows.
TermRef Elaborator::termOfRows(const TermRef &term, IndexId time,
                               ArrayRef<IndexId> others) {
  if (others.empty())
    return term;
  if (term->kind == Term::Element)
    return elementOfRows(term, time, others);
  auto copy = std::make_shared<Term>(*term);
  for (TermRef &operand : copy->operands)
    operand = termOfRows(operand, time, others);
  return copy;
}

/// Rows, then a sequence: the batch, the other sequence axes, then that one.
Value Elaborator::unfoldRows(Value rows, ArrayRef<IndexId> others) {
  if (others.empty())
    return rows;
  auto type = cast<RankedTensorType>(rows.getType());
  llvm::SmallVector<int64_t> shape(others.size() + 1, ShapedType::kDynamic);
  llvm::SmallVector<OpFoldResult> sizes = {sizeOfBatch()};
  for (IndexId id : others)
    sizes.push_back(sizeOfLength(sequenceNumber(indexAxis(id).size)));
  for (int64_t d = 1; d < type.getRank(); ++d) {
    shape.push_back(type.getDimSize(d));
    sizes.push_back(type.isDynamicDim(d)
                        ? OpFoldResult(tensor::DimOp::create(builder, loc, rows, d)
                                           .getResult())
                        : OpFoldResult(builder.getIndexAttr(type.getDimSize(d))));
  }
  return tensor::ExpandShapeOp::create(
      builder, loc, RankedTensorType::get(shape, type.getElementType()), rows,
      joinFirst(others.size() + 1, shape.size()), sizes);
}

/// Where documents along the sequence axis of `time` start, for each row; or null.
Value Elaborator::cutOfRows(Scope &scope, IndexId time, ArrayRef<IndexId> others) {
  const TensorValue *cut = scope.findCut(indexAxis(time).size);
  if (!cut)
    return {};
  TermRef leaf = element(cut->re, dim(time), cut->batched, /*integer=*/false,
                         /*boolean=*/true);
  return others.empty() ? leaf->tensor : elementOfRows(leaf, time, others)->tensor;
}

/// The tensor `distance` tokens earlier along a sequence axis, 0 outside of it.
TensorValue Elaborator::shiftRows(const TensorValue &tensor, unsigned axis,
                                  int64_t distance, Scope &scope) {
  // Index variables by dimension.
  llvm::SmallVector<IndexId> variables;
  llvm::SmallVector<AffineExpr> at;
  llvm::SmallVector<Axis> axes;
  llvm::SmallVector<IndexId> others;
  IndexId time = 0;
  llvm::SmallVector<std::pair<int, unsigned>> order; // dimension, axis
  for (auto [i, d] : llvm::enumerate(tensor.dimension))
    if (d >= 0)
      order.push_back({d, unsigned(i)});
  llvm::sort(order);
  for (auto [d, i] : order) {
    IndexId id = newIndex(tensor.axes[i]);
    at.push_back(dim(id));
    if (i == axis)
      time = id;
    else if (tensor.axes[i].sequence)
      others.push_back(id);
    else
      variables.push_back(id);
  }
  llvm::sort(others, [&](IndexId a, IndexId b) {
    return indexAxis(a).size < indexAxis(b).size;
  });
  auto apply = [&](Value value) -> Number {
    TermRef rows = elementOfRows(element(value, at, tensor.batched, tensor.integer,
                                         tensor.boolean), time, others);
    auto type = cast<RankedTensorType>(rows->tensor.getType());
    llvm::SmallVector<int64_t> sizes;
    for (int64_t d = 1; d < type.getRank(); ++d)
      sizes.push_back(type.isDynamicDim(d) ? indexAxis(time).size : type.getDimSize(d));
    Value init = emptyRows(others, sizes, type.getElementType());
    Value cut = distance > 0 ? cutOfRows(scope, time, others) : Value();
    auto op = ssm::ShiftOp::create(builder, loc, init.getType(),
                                   builder.getI64IntegerAttr(distance), rows->tensor,
                                   /*history=*/Value(), cut, init);
    llvm::SmallVector<AffineExpr> places;
    for (IndexId id : others)
      places.push_back(dim(id));
    llvm::append_range(places, rows->at);
    return real(element(unfoldRows(op.getResult(0), others), places, true,
                        rows->integer, tensor.boolean));
  };
  Number number = apply(tensor.re);
  if (tensor.im)
    number.im = apply(tensor.im).re;
  // The result has its dimensions in this order.
  TensorValue result = tensor;
  result.integer = number.re->integer;
  result.batched = true;
  result.re = number.re->tensor;
  if (number.im)
    result.im = number.im->tensor;
  for (auto [i, d] : llvm::enumerate(tensor.dimension)) {
    if (d < 0)
      continue;
    auto *place = llvm::find(number.re->at, at[llvm::find_if(order, [&, d = d](auto &entry) {
                                                 return entry.first == d;
                                               }) - order.begin()]);
    result.dimension[i] = place - number.re->at.begin();
  }
  return result;
}
