//===- ElaborateOperator.cpp - Operators over axes ------------------------===//
//
// Sums, maxima, softmax and norms over axes, and the tensors of other tokens.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "ssm/IR/SSM.h"
#include "llvm/ADT/StringSwitch.h"
#include <cmath>

using namespace ssmc;
using namespace mlir;

std::optional<Number> Elaborator::pointOfApply(const ast::ApplyExpr &expr,
                                               std::shared_ptr<Scope> scope,
                                               PointContext &point) {
  llvm::StringRef op = expr.op.name;
  PointContext inner;
  inner.parent = &point;
  llvm::SmallVector<IndexId> over;
  bool pairs = false;
  for (const ast::ApplyExpr::Axis &axis : expr.axes) {
    Axis bound;
    if (axis.size) {
      auto size = requireInteger(*axis.size, *scope, "the extent of an axis");
      if (!size)
        return std::nullopt;
      bound.name = axis.name.name;
      bound.size = *size;
      bound.range = axis.name.range;
    } else if (auto *found = scope->findAxis(axis.name.name)) {
      bound = found->first;
    } else {
      bound.name = axis.name.name; // its extent comes from what it indexes
      bound.range = axis.name.range;
    }
    pairs |= bound.pairs;
    over.push_back(newIndex(bound));
    inner.bound[axis.name.name] = indexOf(over.back());
  }
  auto body = evaluatePoint(*expr.operand, scope, inner);
  if (!body)
    return std::nullopt;
  for (IndexId id : over)
    pairs |= indexAxis(id).pairs; // an index without an axis takes that of its operand
  for (auto [id, axis] : llvm::zip(over, expr.axes))
    if (indexAxis(id).size == kUnknownExtent) {
      diagnostics.error(axis.name.range, "axis '" + axis.name.name +
                                             "' has no extent here; write " +
                                             axis.name.name + ": SIZE");
      return std::nullopt;
    }
  if (expr.where) {
    auto condition = evaluatePoint(*expr.where, scope, inner);
    if (!condition)
      return std::nullopt;
    double neutral = op == "max" ? -INFINITY : op == "min" ? INFINITY
                     : op == "prod" ? 1 : 0;
    body = select(condition->re, *body, ssmc::real(constant(neutral)));
  }
  auto *second = llvm::find_if(over, [&](IndexId id) { return indexAxis(id).second; });
  if (second != over.end()) {
    if (over.size() != 1) {
      diagnostics.error(expr.range, "an operator over '" + indexAxis(*second).name +
                                        "' is over it alone; write one more for the "
                                        "other axes");
      return std::nullopt;
    }
    return applyOverTokens(expr, *second, *body, *scope, inner);
  }
  if (op == "sum" || op == "mean") {
    auto sum = sumOver(over, *body, expr.range, *scope);
    if (!sum)
      return std::nullopt;
    if (pairs) // each stored state stands for itself and its conjugate
      sum = ssmc::real(multiply(constant(2), sum->re));
    if (op == "sum")
      return sum;
    TermRef count = constant(1);
    for (IndexId id : over)
      count = multiply(count, extentTerm(id));
    return divide(*sum, ssmc::real(count));
  }
  if (body->im || body->re->hasState) {
    diagnostics.error(expr.range, "'" + op + "' needs real numbers that do not "
                                  "contain the state");
    return std::nullopt;
  }
  // The tensor that the remaining operators need, over its own axes.
  llvm::SmallVector<IndexId> outer;
  for (unsigned id : body->re->indices.set_bits())
    if (!llvm::is_contained(over, id))
      outer.push_back(id);
  llvm::sort(outer, [&](IndexId a, IndexId b) {
    bool first = indexAxis(a).sequence, second = indexAxis(b).sequence;
    return first != second ? first : a < b;
  });
  auto reduceWith = [&](TermRef term, Operator combine) {
    llvm::SmallVector<Value> values;
    emitGeneric(term, outer, over, combine, values);
    bool batched = llvm::cast<RankedTensorType>(values[0].getType()).getRank() !=
                   int64_t(outer.size());
    llvm::SmallVector<AffineExpr> at;
    for (IndexId id : outer)
      at.push_back(dim(id));
    return element(values[0], at, batched, false, false);
  };
  if (op == "max")
    return ssmc::real(reduceWith(body->re, Operator::Max));
  if (op == "min")
    return ssmc::real(reduceWith(body->re, Operator::Min));
  if (op == "prod")
    return ssmc::real(reduceWith(body->re, Operator::Mul));
  auto apply = [&](const TermRef &term) { return ssmc::real(term); };
  if (op == "softmax") {
    TermRef largest = reduceWith(body->re, Operator::Max);
    TermRef shifted = operation(Operator::Exp, subtract(body->re, largest));
    TermRef values = materializeTerm(shifted);
    TermRef total = reduceWith(values, Operator::Add);
    // The operator's own axis is an axis of the result, under the same name.
    TermRef result = divide(values, total);
    llvm::SmallVector<AffineExpr> from;
    return apply(substitute(
        result,
        [&](IndexId id) -> AffineExpr {
          if (llvm::is_contained(over, id))
            return point.find(indexAxis(id).name);
          return {};
        },
        &context));
  }
  std::optional<ssm::NormKind> kind = llvm::StringSwitch<std::optional<ssm::NormKind>>(op)
                                          .Case("rmsnorm", ssm::NormKind::rms)
                                          .Case("layernorm", ssm::NormKind::layer)
                                          .Case("l2norm", ssm::NormKind::l2)
                                          .Default(std::nullopt);
  if (!kind || over.size() != 1) {
    diagnostics.error(expr.range, kind ? "'" + op + "' is over one axis"
                                       : "'" + op + "' is not known here");
    return std::nullopt;
  }
  double eps = 0;
  for (const ast::Arg &option : expr.options) {
    if (option.name.name != "eps") {
      diagnostics.error(option.value->range, "'" + op + "' has the option eps, not '" +
                                                 option.name.name + "'");
      return std::nullopt;
    }
    auto value = requireConstant(*option.value, *scope, "eps");
    if (!value)
      return std::nullopt;
    eps = value->number;
  }
  // Rows along the normalised axis, which comes last.
  llvm::SmallVector<IndexId> variables(outer);
  variables.push_back(over[0]);
  llvm::SmallVector<Axis> axes;
  for (IndexId id : variables) {
    Axis axis = indexAxis(id);
    axis.members.clear();
    axes.push_back(axis);
  }
  TensorValue rows = materialize(*body, variables, axes, false);
  if (rows.inlined || rows.dimension.back() < 0) {
    diagnostics.error(expr.range, "'" + op + "' of a value that is constant along "
                                  "the axis");
    return std::nullopt;
  }
  auto type = llvm::cast<RankedTensorType>(rows.re.getType());
  llvm::SmallVector<int64_t> sizes;
  for (const Axis &axis : axes)
    sizes.push_back(axis.size);
  Value init = emptyTensor(sizes, rows.batched, scalarType);
  auto norm = ssm::NormOp::create(
      builder, loc, type,
      ssm::NormKindAttr::get(&context, *kind), builder.getF64FloatAttr(eps), rows.re,
      ValueRange(), ValueRange(init), builder.getAffineMapArrayAttr({}),
      builder.getI64IntegerAttr(1));
  {
    OpBuilder::InsertionGuard guard(builder);
    Block *block = builder.createBlock(&norm.getEpilogue(), {}, scalarType, loc);
    ssm::YieldOp::create(builder, loc, block->getArguments());
  }
  llvm::SmallVector<AffineExpr> at;
  for (IndexId id : outer)
    at.push_back(dim(id));
  AffineExpr own = point.find(indexAxis(over[0]).name);
  if (!own) {
    PointContext *root = &point;
    while (root->parent)
      root = root->parent;
    if (!root->automatic) {
      diagnostics.error(expr.range, "axis '" + indexAxis(over[0]).name +
                                        "' of the result is not on the left");
      return std::nullopt;
    }
    root->variables.push_back(over[0]);
    own = dim(over[0]);
    root->bound[indexAxis(over[0]).name] = indexOf(over[0]);
  } else if (auto d = llvm::dyn_cast<AffineDimExpr>(own)) {
    if (!unify(d.getPosition(), indexAxis(over[0]).size, expr.range))
      return std::nullopt;
  }
  at.push_back(own);
  return ssmc::real(element(norm.getResult(0), at, rows.batched, false, false));
}

/// An operator over a second index over the sequence.
std::optional<Number> Elaborator::applyOverTokens(const ast::ApplyExpr &expr, IndexId s,
                                                  const Number &body, Scope &scope,
                                                  PointContext &inner) {
  llvm::StringRef op = expr.op.name;
  const std::string name = indexAxis(s).name;
  if (op == "softmax" && !body.im) {
    AffineExpr at = inner.parent->find(name);
    if (!at) {
      diagnostics.error(expr.range, "axis '" + name + "' of the result is not on the "
                                    "left");
      return std::nullopt;
    }
    return ssmc::real(substitute(
        operation(Operator::Softmax, body.re),
        [&](IndexId id) { return id == s ? at : AffineExpr(); }, &context));
  }
  if ((op != "sum" && op != "mean") || body.im) {
    diagnostics.error(expr.range, "over a second index of the sequence there are sum, "
                                  "mean and softmax of real numbers");
    return std::nullopt;
  }
  auto seen = seenTokens(s, inner, scope, expr.range);
  if (!seen)
    return std::nullopt;
  auto sum = attend(s, body.re, *seen, expr.range);
  if (!sum)
    return std::nullopt;
  return ssmc::real(op == "sum" ? *sum : divide(*sum, countSeen(*seen)));
}

static bool dependsOnAny(const TermRef &term, llvm::ArrayRef<IndexId> over) {
  return llvm::any_of(over, [&](IndexId id) { return term->dependsOn(id); });
}

/// Splits `term` into a factor that does not depend on `over` and the rest.
static std::pair<TermRef, TermRef> factor(const TermRef &term,
                                          llvm::ArrayRef<IndexId> over) {
  if (!dependsOnAny(term, over) && !term->hasState)
    return {term, constant(1)};
  if (term->kind == Term::Operation) {
    if (term->op == Operator::Mul) {
      auto [a, restA] = factor(term->operands[0], over);
      auto [b, restB] = factor(term->operands[1], over);
      return {multiply(a, b), multiply(restA, restB)};
    }
    if (term->op == Operator::Neg) {
      auto [a, rest] = factor(term->operands[0], over);
      return {negate(a), rest};
    }
    if (term->op == Operator::Div && !dependsOnAny(term->operands[1], over) &&
        !term->operands[1]->hasState) {
      auto [a, rest] = factor(term->operands[0], over);
      return {divide(a, term->operands[1]), rest};
    }
  }
  return {constant(1), term};
}

/// A sum of terms that contain the state: over an axis of it, or over a few terms
/// that each contain it.
std::optional<TermRef> Elaborator::sumWithState(llvm::ArrayRef<IndexId> over,
                                                const TermRef &term,
                                                llvm::SMRange range) {
  constexpr int64_t maxTerms = 64;
  bool isSummed = false;
  walk(term, [&](const TermRef &node) {
    if (node->kind == Term::State)
      for (AffineExpr at : node->at)
        for (IndexId id : over)
          isSummed |= at.isFunctionOfDim(id);
  });
  if (isSummed)
    return reduce(over, term);
  std::vector<TermRef> terms = {term};
  for (IndexId id : over) {
    const Axis &axis = indexAxis(id);
    if (isRunTimeExtent(axis.size) || int64_t(terms.size()) * axis.size > maxTerms) {
      diagnostics.error(range, "a sum around terms that contain the state has at most " +
                                   llvm::Twine(maxTerms) + " of them");
      return std::nullopt;
    }
    std::vector<TermRef> next;
    for (const TermRef &one : terms)
      for (int64_t i = 0; i < axis.size; ++i)
        next.push_back(substitute(
            one,
            [&](IndexId other) {
              return other == id ? getAffineConstantExpr(i, &context) : AffineExpr();
            },
            &context));
    terms = std::move(next);
  }
  TermRef sum = constant(0);
  for (const TermRef &one : terms)
    sum = add(sum, one);
  return sum;
}

std::optional<Number> Elaborator::sumOver(llvm::ArrayRef<IndexId> over,
                                          Number body, llvm::SMRange range,
                                          Scope &scope) {
  auto sumTerm = [&](const TermRef &term) -> std::optional<TermRef> {
    if (isConstant(term, 0))
      return term;
    if (term->hasState)
      return sumWithState(over, term, range);
    auto [outside, inside] = factor(term, over);
    if (isOverBoth(inside))
      return multiply(outside, reduce(over, inside));
    if (!dependsOnAny(inside, over)) {
      TermRef count = constant(1);
      for (IndexId id : over)
        count = multiply(count, extentTerm(id));
      return multiply(count, multiply(outside, inside));
    }
    // A sum over a lag is a convolution.
    IndexId lag = ~0u;
    walk(inside, [&](const TermRef &node) {
      if (node->kind != Term::Element)
        return;
      for (AffineExpr at : node->at)
        for (IndexId id : over)
          if (isLagged(at, id))
            lag = id;
    });
    if (lag != ~0u) {
      auto value = convolve(over, inside, lag, range, scope);
      if (!value)
        return std::nullopt;
      return multiply(outside, value->re);
    }
    llvm::SmallVector<IndexId> parallel, reduced;
    for (unsigned id : inside->indices.set_bits())
      (llvm::is_contained(over, id) ? reduced : parallel).push_back(id);
    llvm::sort(parallel, [&](IndexId a, IndexId b) {
      bool first = indexAxis(a).sequence, second = indexAxis(b).sequence;
    return first != second ? first : a < b;
    });
    TermRef count = constant(1); // of axes that the term does not depend on
    for (IndexId id : over)
      if (!llvm::is_contained(reduced, id))
        count = multiply(count, extentTerm(id));
    llvm::SmallVector<Value> values;
    emitGeneric(inside, parallel, reduced, Operator::Add, values);
    bool batched = llvm::cast<RankedTensorType>(values[0].getType()).getRank() !=
                   int64_t(parallel.size());
    llvm::SmallVector<AffineExpr> at;
    for (IndexId id : parallel)
      at.push_back(dim(id));
    TermRef sum = element(values[0], at, batched, false, false);
    return multiply(multiply(count, outside), sum);
  };
  auto re = sumTerm(body.re);
  if (!re)
    return std::nullopt;
  if (!body.im)
    return ssmc::real(*re);
  auto im = sumTerm(body.im);
  if (!im)
    return std::nullopt;
  if ((*im)->kind == Term::Reduce)
    const_cast<Term *>(im->get())->part = 1;
  return Number{*re, *im};
}

/// The tensor `distance` tokens earlier (later, if negative). Outside the
/// sequence it is 0, but a state has a value before the first token.
TensorValue Elaborator::shift(const TensorValue &tensor, unsigned axis,
                              int64_t distance, Scope &scope) {
  if (distance < 0)
    reversed = true;
  if (!keepsStates())
    return shiftRows(tensor, axis, distance, scope);
  TensorValue result = tensor;
  auto apply = [&](Value value) -> Value {
    if (!value)
      return value;
    Value before = stateBefore.lookup(value);
    auto type = llvm::cast<RankedTensorType>(value.getType());
    llvm::SmallVector<int64_t> sizes;
    for (int64_t d = tensor.batched; d < type.getRank(); ++d)
      sizes.push_back(type.isDynamicDim(d) ? kDynamicExtent : type.getDimSize(d));
    Value init = emptyTensor(sizes, tensor.batched, type.getElementType());
    llvm::SmallVector<Value> outs = {init};
    llvm::SmallVector<Type> types = {type};
    Value history;
    unsigned slot = states.size();
    bool known = before && distance == 1;
    if (known) {
      // The state itself is what calls hand on.
      sizes[0] = 1;
      llvm::SmallVector<ReassociationIndices> groups = {{0, 1}};
      for (int64_t d = 2; d < type.getRank(); ++d)
        groups.push_back({d});
      outs.push_back(emptyTensor(sizes, true, type.getElementType()));
      types.push_back(outs.back().getType());
      history = tensor::ExpandShapeOp::create(builder, loc, types.back(), before,
                                              groups);
    } else if (distance > 0) {
      sizes[0] = distance;
      Value current;
      addState(uniqueState("shift"), sizes, type.getElementType(), current);
      history = current;
      outs.push_back(history);
      types.push_back(history.getType());
    }
    Value cut;
    if (const TensorValue *found = scope.findCut(kDynamicExtent); found && distance > 0)
      cut = found->re;
    auto op = ssm::ShiftOp::create(builder, loc, types,
                                   builder.getI64IntegerAttr(distance), value,
                                   history, cut, outs);
    if (history && !known)
      setState(slot, op.getResult(1));
    return op.getResult(0);
  };
  result.re = apply(tensor.re);
  result.im = apply(tensor.im);
  return result;
}
