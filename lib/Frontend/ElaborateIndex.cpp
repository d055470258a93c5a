//===- ElaborateIndex.cpp - Elements of tensors at indices ----------------===//
//
// Affine indices become maps, others look up; a token other than `t` is a shift.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

#include <cmath>

using namespace ssmc;
using namespace mlir;
using ast::BinaryExpr;

/// An index as an affine function of index variables, or nothing (silently) if
/// it is none.
std::optional<AffineExpr>
Elaborator::affineIndex(const ast::Expr &expr, std::shared_ptr<Scope> scope,
                        PointContext &point) {
  if (auto *name = llvm::dyn_cast<ast::NameExpr>(&expr)) {
    if (AffineExpr index = findIndex(name->name, *scope, point))
      return index;
    PointContext &root = rootOf(point);
    if (root.automatic && scope->findAxis(name->name)) {
      Axis axis = scope->findAxis(name->name)->first;
      IndexId id = newIndex(axis);
      root.bound[name->name] = indexOf(id);
      root.variables.push_back(id);
      return indexOf(id);
    }
  }
  if (auto known = evaluateConstant(expr, *scope)) {
    if (known->isNumber() && known->number == std::floor(known->number))
      return getAffineConstantExpr(int64_t(known->number), &context);
    return std::nullopt;
  }
  if (auto *unary = llvm::dyn_cast<ast::UnaryExpr>(&expr)) {
    auto value = affineIndex(*unary->operand, scope, point);
    if (!value || unary->op != ast::UnaryExpr::Neg)
      return std::nullopt;
    return -*value;
  }
  auto *binary = llvm::dyn_cast<BinaryExpr>(&expr);
  if (!binary)
    return std::nullopt;
  auto a = affineIndex(*binary->lhs, scope, point);
  auto b = affineIndex(*binary->rhs, scope, point);
  if (!a || !b)
    return std::nullopt;
  auto constantOf = [](AffineExpr e) {
    auto c = llvm::dyn_cast<AffineConstantExpr>(e);
    return c ? c.getValue() : 0;
  };
  switch (binary->op) {
  case BinaryExpr::Add: return *a + *b;
  case BinaryExpr::Sub: return *a - *b;
  case BinaryExpr::Mul:
    if (a->isSymbolicOrConstant() || b->isSymbolicOrConstant())
      return *a * *b;
    return std::nullopt;
  case BinaryExpr::FloorDiv:
    if (constantOf(*b) > 0)
      return a->floorDiv(*b);
    return std::nullopt;
  case BinaryExpr::Mod:
    if (constantOf(*b) > 0)
      return *a % *b;
    return std::nullopt;
  default:
    return std::nullopt;
  }
}

/// The place along `axis` of an index, which may be null.
AffineExpr Elaborator::placeOf(AffineExpr index, const Axis &axis) {
  if (!index || (axis.first == 0 && axis.firstScale == 0))
    return index;
  return simplifyAffineExpr(index - firstOf(axis), indexAxes.size(), 1);
}

static bool isRest(const ast::Expr &expr) {
  auto *range = llvm::dyn_cast<ast::RangeExpr>(&expr);
  return range && !range->from && !range->to;
}

std::optional<Number> Elaborator::pointOfIndex(const ast::IndexExpr &expr,
                                               std::shared_ptr<Scope> scope,
                                               PointContext &point) {
  // The state of this block at explicit indices.
  auto *baseName = llvm::dyn_cast<ast::NameExpr>(expr.base.get());
  for (PointContext *p = &point; p && baseName; p = p->parent) {
    if (!p->stateAt || baseName->name != p->stateName)
      continue;
    if (expr.items.size() != p->stateAt->size()) {
      diagnostics.error(expr.range, "the state '" + p->stateName + "' has " +
                                        llvm::Twine(p->stateAt->size()) +
                                        " axes, indexed here with " +
                                        llvm::Twine(expr.items.size()));
      return std::nullopt;
    }
    llvm::SmallVector<AffineExpr> at;
    for (const ast::IndexExpr::Item &item : expr.items) {
      auto index = affineIndex(*item.index, scope, point);
      if (!index) {
        diagnostics.error(item.index->range, "an index of the state must be an axis "
                                             "or a summed index");
        return std::nullopt;
      }
      if (auto d = llvm::dyn_cast<AffineDimExpr>(*index))
        if (auto own = llvm::dyn_cast<AffineDimExpr>((*p->stateAt)[at.size()]))
          if (!unify(d.getPosition(), indexAxis(own.getPosition()), item.index->range))
            return std::nullopt;
      at.push_back(*index);
    }
    // The previous lines' result at these indices.
    auto map = [&](IndexId id) -> AffineExpr {
      for (auto [from, to] : llvm::zip(*p->stateAt, at))
        if (from == dim(id))
          return to;
      return {};
    };
    Number value = p->stateValue;
    value.re = substitute(value.re, map, &context);
    if (value.im)
      value.im = substitute(value.im, map, &context);
    return value;
  }

  // What is indexed.
  std::optional<TensorValue> tensor;
  if (baseName) {
    Entity *entity = scope->findValue(baseName->name);
    if (!entity) {
      diagnostics.error(baseName->range, "'" + baseName->name + "' is not defined" +
                                             suggest(baseName->name, *scope));
      return std::nullopt;
    }
    if (entity->kind == Entity::Weight) {
      tensor = resolveWeight(*entity);
      if (!tensor)
        return std::nullopt;
    } else if (entity->kind == Entity::Tensor ||
               entity->kind == Entity::FinalState) {
      tensor = entity->tensor;
    } else if (entity->kind == Entity::WeightFamily) {
      auto whole = evaluate(expr, scope);
      if (!whole)
        return std::nullopt;
      return broadcast(whole->tensor, point, *scope, expr.range, baseName->name);
    } else if (entity->kind == Entity::Absent) {
      return pointOfEntity(*entity, baseName->range, baseName->name, scope, point);
    } else {
      diagnostics.error(baseName->range, "'" + baseName->name +
                                             "' is not a tensor and has no axes");
      return std::nullopt;
    }
  } else {
    tensor = evaluateTensor(*expr.base, scope);
    if (!tensor)
      return std::nullopt;
  }
  std::string name = baseName ? baseName->name : "the indexed value";

  // Expand `..`, then match items with axes.
  size_t explicitItems = 0;
  bool hasRest = false;
  for (const ast::IndexExpr::Item &item : expr.items)
    isRest(*item.index) ? void(hasRest = true) : void(++explicitItems);
  size_t rank = tensor->axes.size();
  size_t restCount = hasRest ? rank - std::min(rank, explicitItems) : 0;
  if (explicitItems + restCount != rank ||
      (hasRest && restCount != rootOf(point).rest.size() &&
       !rootOf(point).automatic)) {
    diagnostics.error(expr.range, "'" + name + "' has " + llvm::Twine(rank) + " axes " +
                                      shapeText(tensor->axes) + ", indexed here with " +
                                      llvm::Twine(explicitItems));
    return std::nullopt;
  }
  llvm::SmallVector<AffineExpr> at;
  llvm::SmallVector<TermRef> terms;
  bool affine = true;
  const ast::Expr *otherwise = nullptr;
  TermRef outside;
  for (const ast::IndexExpr::Item &item : expr.items) {
    if (isRest(*item.index)) {
      PointContext &root = rootOf(point);
      if (root.automatic && root.rest.empty())
        for (size_t i = 0; i < restCount; ++i) {
          Axis axis = tensor->axes[at.size() + i];
          AffineExpr bound = axis.name.empty() ? AffineExpr()
                                               : placeOf(point.find(axis.name), axis);
          IndexId id;
          if (bound && llvm::isa<AffineDimExpr>(bound)) {
            id = llvm::cast<AffineDimExpr>(bound).getPosition();
          } else {
            id = newIndex(axis);
            root.variables.push_back(id);
            if (!axis.name.empty())
              root.bound[axis.name] = indexOf(id);
          }
          root.rest.push_back(id);
        }
      for (IndexId id : root.rest) {
        if (!unify(id, tensor->axes[at.size()].size, item.index->range))
          return std::nullopt;
        at.push_back(dim(id));
        terms.push_back(indexTerm(dim(id)));
      }
      continue;
    }
    const Axis &axis = tensor->axes[at.size()];
    auto *tuple = llvm::dyn_cast<ast::TupleExpr>(item.index.get());
    if (tuple && tuple->elements.size() > 1) {
      // (h, k): several axes stored as one, the first one slow.
      AffineExpr merged;
      int64_t covered = 1;
      llvm::SmallVector<AffineExpr> members;
      llvm::SmallVector<int64_t> sizes;
      unsigned unknown = ~0u;
      for (auto [i, element] : llvm::enumerate(tuple->elements)) {
        auto index = affineIndex(*element, scope, point);
        if (!index) {
          diagnostics.error(element->range,
                            "an index of a merged pair must be affine");
          return std::nullopt;
        }
        members.push_back(*index);
        int64_t size = kUnknownExtent;
        if (auto d = llvm::dyn_cast<AffineDimExpr>(*index))
          size = indexAxis(d.getPosition()).size;
        if (size == kUnknownExtent)
          unknown = unknown == ~0u ? i : 1000;
        else
          covered *= size;
        sizes.push_back(size);
      }
      if (unknown < members.size() && axis.size > 0 && axis.size % covered == 0) {
        sizes[unknown] = axis.size / covered;
        if (auto d = llvm::dyn_cast<AffineDimExpr>(members[unknown]))
          indexAxis(d.getPosition()).size = sizes[unknown];
        covered *= sizes[unknown];
      }
      if (covered != axis.size) {
        // An axis may be unknown because of an error that was shown.
        if (llvm::is_contained(sizes, kUnknownExtent) && diagnostics.hasErrors())
          return std::nullopt;
        std::string text;
        for (int64_t size : sizes)
          text += (text.empty() ? "" : " x ") +
                  (size == kUnknownExtent ? "?" : std::to_string(size));
        diagnostics.error(item.index->range,
                          "the merged indices cover " + text + " elements, the axis "
                          "of '" + name + "' has " + llvm::Twine(axis.size));
        return std::nullopt;
      }
      // An index of one value is 0: what is read of an axis then shows as a part of it.
      for (auto [i, member] : llvm::enumerate(members)) {
        if (sizes[i] == 1 && llvm::isa<AffineDimExpr>(member))
          member = getAffineConstantExpr(0, &context);
        merged = i ? merged * sizes[i] + member : member;
      }
      at.push_back(merged);
      terms.push_back(indexTerm(merged));
      continue;
    }
    auto index = affineIndex(*item.index, scope, point);
    if (index)
      index = placeOf(*index, axis);
    if (!index) {
      auto *plain = llvm::dyn_cast<ast::NameExpr>(item.index.get());
      if (plain && !scope->findValue(plain->name) &&
          !scope->findConstant(plain->name)) {
        PointContext &root = rootOf(point);
        if (root.automatic) {
          Axis fresh = axis;
          fresh.name = plain->name;
          fresh.members.clear();
          IndexId id = newIndex(fresh);
          root.bound[plain->name] = indexOf(id);
          root.variables.push_back(id);
          index = dim(id);
        } else {
          diagnostics.error(plain->range, "index '" + plain->name +
                                              "' is not on the left and no reduction "
                                              "binds it");
          return std::nullopt;
        }
      }
    }
    if (index && axis.sequence)
      if (auto linear = linearIndex(*index);
          linear && linear->dims.size() == 1 && linear->dims[0].second == -1 &&
          indexAxis(linear->dims[0].first).sequence) {
        // Not t + c, a shift, but c - t: the token is looked up.
        affine = false;
        at.push_back({});
        terms.push_back(indexTerm(*index));
        continue;
      }
    if (!index) {
      auto position = evaluatePoint(*item.index, scope, point);
      if (!position)
        return std::nullopt;
      affine = false;
      at.push_back({});
      terms.push_back(subtract(position->re, indexTerm(firstOf(axis))));
      continue;
    }
    if (auto d = llvm::dyn_cast<AffineDimExpr>(*index))
      if (!unify(d.getPosition(), axis, item.index->range))
        return std::nullopt;
    if (auto c = llvm::dyn_cast<AffineConstantExpr>(*index))
      if (axis.size >= 0 && (c.getValue() < 0 || c.getValue() >= axis.size)) {
        diagnostics.error(item.index->range, "index " + llvm::Twine(c.getValue()) +
                                                 " is outside axis " +
                                                 llvm::Twine(at.size() + 1) + " of '" +
                                                 name + "', which has " +
                                                 llvm::Twine(axis.size));
        return std::nullopt;
      }
    if (item.otherwise)
      otherwise = item.otherwise.get();
    at.push_back(*index);
    terms.push_back(indexTerm(*index));
  }
  std::optional<Number> value =
      access(*tensor, at, affine ? llvm::ArrayRef<TermRef>() : terms, expr.range,
             *scope, point);
  if (!value || !otherwise)
    return value;
  // `x[t-1 else v]`: the first tokens take v; `x[t+1 else v]`: the last ones.
  auto beyond = evaluatePoint(*otherwise, scope, point);
  if (!beyond)
    return std::nullopt;
  for (auto [axis, index] : llvm::zip(tensor->axes, at)) {
    if (!axis.sequence)
      continue;
    auto sum = llvm::dyn_cast<AffineBinaryOpExpr>(index);
    auto shift = sum && sum.getKind() == AffineExprKind::Add
                     ? llvm::dyn_cast<AffineConstantExpr>(sum.getRHS())
                     : AffineConstantExpr();
    outside = shift && shift.getValue() > 0
                  ? operation(Operator::Le, lengthTerm(sequenceNumber(axis.size)),
                              indexTerm(index))
                  : operation(Operator::Lt, indexTerm(index), constant(0));
  }
  if (!outside)
    return value;
  return select(outside, *beyond, *value);
}

/// The element of a tensor at positions; sequence positions other than `t` become
/// shifts, or stay for the sum over a lag to recognise.
std::optional<Number> Elaborator::access(const TensorValue &source,
                                         llvm::ArrayRef<AffineExpr> at,
                                         llvm::ArrayRef<TermRef> terms,
                                         llvm::SMRange range, Scope &scope,
                                         PointContext &point) {
  auto isElsewhere = [&](unsigned i) {
    return source.axes[i].sequence && at[i] && !llvm::isa<AffineDimExpr>(at[i]);
  };
  if (source.inlined && llvm::any_of(llvm::seq<unsigned>(0, source.axes.size()),
                                     isElsewhere)) {
    // Outside the sequence it is zero, so it is no function of indices alone.
    TensorValue whole =
        materialize(source.inlined, source.variables, source.axes, true);
    return access(whole, at, terms, range, scope, point);
  }
  if (source.inlined) {
    if (!terms.empty()) {
      diagnostics.error(range, "a function of indices cannot be indexed by a "
                               "value");
      return std::nullopt;
    }
    auto map = [&](IndexId id) -> AffineExpr {
      for (auto [variable, to] : llvm::zip(source.variables, at))
        if (variable == id)
          return to;
      return {};
    };
    Number value = source.inlined;
    value.re = substitute(value.re, map, &context);
    if (value.im)
      value.im = substitute(value.im, map, &context);
    return value;
  }
  TensorValue tensor = source;
  llvm::SmallVector<AffineExpr> places(at.begin(), at.end());
  for (unsigned i = 0; i < tensor.axes.size(); ++i) { // which a shift replaces
    if (!tensor.axes[i].sequence || !places[i] || tensor.dimension[i] < 0)
      continue;
    if (llvm::isa<AffineDimExpr>(places[i]))
      continue;
    // t + c: a shift.
    auto linear = linearIndex(places[i]);
    unsigned sequences = 0;
    bool units = linear.has_value();
    if (linear)
      for (auto [id, factor] : linear->dims) {
        units &= indexAxis(id).sequence ? factor == 1 : factor == 1 || factor == -1;
        sequences += indexAxis(id).sequence;
      }
    if (units && sequences == 1 && linear->dims.size() == 1 &&
        linear->preparedScale == 0) {
      tensor = shift(tensor, i, -linear->constant, scope);
      places[i] = dim(linear->dims[0].first);
      continue;
    }
    if (units && sequences == 1 && linear->dims.size() == 2)
      continue; // t - j: the sum over j decides
    diagnostics.error(range, "a token is reached as t, t - 1 or t + 1 (any number), "
                             "or t - j under a sum over a lag j");
    return std::nullopt;
  }
  llvm::SmallVector<std::pair<int, unsigned>> order; // dimension, axis
  for (auto [i, d] : llvm::enumerate(tensor.dimension))
    if (d >= 0)
      order.push_back({d, unsigned(i)});
  llvm::sort(order);
  auto leaf = [&](Value value) -> TermRef {
    if (!terms.empty()) {
      llvm::SmallVector<TermRef> positions;
      TermRef outside;
      for (auto [d, i] : order) {
        TermRef position = terms[i];
        if (tensor.axes[i].sequence && !at[i]) {
          // A token at a computed place may be any: the whole sequence is needed.
          reversed = true;
          TermRef last =
              subtract(lengthTerm(sequenceNumber(tensor.axes[i].size)), constant(1));
          outside = operation(Operator::Or, operation(Operator::Lt, position, constant(0)),
                              operation(Operator::Lt, last, position));
          position = operation(Operator::Max, constant(0),
                               operation(Operator::Min, position, last));
        }
        positions.push_back(position);
      }
      TermRef found = gather(value, positions, tensor.batched, tensor.integer);
      return outside ? operation(Operator::Select, {outside, constant(0), found})
                     : found;
    }
    llvm::SmallVector<AffineExpr> exprs;
    for (auto [d, i] : order)
      exprs.push_back(places[i]);
    return element(value, exprs, tensor.batched, tensor.integer, tensor.boolean);
  };
  Number result = real(leaf(tensor.re));
  if (tensor.im)
    result.im = leaf(tensor.im);
  return result;
}
