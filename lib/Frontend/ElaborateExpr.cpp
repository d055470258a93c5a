//===- ElaborateExpr.cpp - Expressions as numbers, points and tensors -----===//
//
// An expression is evaluated in one of three ways: as a compile-time constant,
// at a point of an index space (giving a term), or as a whole tensor, whose axes
// are those of its operands.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

using namespace ssmc;
using namespace mlir;
using ast::BinaryExpr;

AffineExpr PointContext::find(llvm::StringRef name) const {
  for (const PointContext *p = this; p; p = p->parent) {
    auto found = p->bound.find(name.str());
    if (found != p->bound.end())
      return found->second;
  }
  return {};
}

PointContext &ssmc::rootOf(PointContext &point) {
  PointContext *p = &point;
  while (p->parent)
    p = p->parent;
  return *p;
}

/// The index that a name stands for. What `..` stands for has the names of who called:
/// they broadcast, but where a value here has such a name they are not meant.
AffineExpr Elaborator::findIndex(llvm::StringRef name, Scope &scope,
                                 PointContext &point) {
  AffineExpr index = point.find(name);
  bool isOfRest = index && llvm::any_of(rootOf(point).rest, [&](IndexId id) {
                    return index == indexOf(id);
                  });
  return isOfRest && scope.findValue(name) && !scope.findAxis(name) ? AffineExpr() : index;
}

//===----------------------------------------------------------------------===//
// Points
//===----------------------------------------------------------------------===//

std::optional<Number> Elaborator::evaluatePoint(const ast::Expr &expr,
                                                std::shared_ptr<Scope> scope,
                                                PointContext &point) {
  switch (expr.kind) {
  case ast::Expr::Number:
    return real(constant(llvm::cast<ast::NumberExpr>(expr).value));
  case ast::Expr::Name:
    return pointOfName(llvm::cast<ast::NameExpr>(expr), scope, point);
  case ast::Expr::Config: {
    auto value = requireConstant(expr, *scope, "this value");
    if (!value)
      return std::nullopt;
    return real(constant(value->number));
  }
  case ast::Expr::Index:
    return pointOfIndex(llvm::cast<ast::IndexExpr>(expr), scope, point);
  case ast::Expr::Call:
    return pointOfCall(llvm::cast<ast::CallExpr>(expr), scope, point);
  case ast::Expr::Apply:
    return pointOfApply(llvm::cast<ast::ApplyExpr>(expr), scope, point);
  case ast::Expr::Unary: {
    auto &unary = llvm::cast<ast::UnaryExpr>(expr);
    auto value = evaluatePoint(*unary.operand, scope, point);
    if (!value)
      return std::nullopt;
    if (unary.op == ast::UnaryExpr::Not) {
      if (!value->re->boolean) {
        diagnostics.error(unary.operand->range,
                          "'not' needs a condition, found a number");
        return std::nullopt;
      }
      return real(operation(Operator::Not, value->re));
    }
    return negate(*value);
  }
  case ast::Expr::Binary: {
    auto &binary = llvm::cast<BinaryExpr>(expr);
    // Choices of parameters are compared by name.
    if (auto known = evaluateConstant(expr, *scope))
      if (known->kind == Constant::Boolean)
        return real(boolean(known->number != 0));
    if (binary.op == BinaryExpr::MatMul) {
      auto tensor = evaluateTensor(expr, scope);
      if (!tensor)
        return std::nullopt;
      return broadcast(*tensor, point, *scope, expr.range, "the product");
    }
    auto a = evaluatePoint(*binary.lhs, scope, point);
    auto b = evaluatePoint(*binary.rhs, scope, point);
    if (!a || !b)
      return std::nullopt;
    auto compare = [&](Operator op, bool swap) -> std::optional<Number> {
      if (a->im || b->im) {
        diagnostics.error(expr.range, "complex numbers cannot be compared; compare "
                                      "re, im or abs2 of them");
        return std::nullopt;
      }
      return real(swap ? operation(op, b->re, a->re)
                       : operation(op, a->re, b->re));
    };
    bool logical = binary.op == BinaryExpr::And || binary.op == BinaryExpr::Or;
    bool relation = binary.op >= BinaryExpr::Eq && binary.op <= BinaryExpr::Ge;
    for (auto [side, operand] :
         {std::pair(&*a, binary.lhs.get()), std::pair(&*b, binary.rhs.get())}) {
      if (logical && !side->re->boolean) {
        diagnostics.error(operand->range,
                          "'and' and 'or' need conditions, found a number");
        return std::nullopt;
      }
      if (!logical && !relation && side->re->boolean) {
        diagnostics.error(operand->range,
                          "a condition is not a number; write [condition] for "
                          "1 where it holds and 0 elsewhere");
        return std::nullopt;
      }
    }
    switch (binary.op) {
    case BinaryExpr::Add: return add(*a, *b);
    case BinaryExpr::Sub: return subtract(*a, *b);
    case BinaryExpr::Mul: return multiply(*a, *b);
    case BinaryExpr::Div: return divide(*a, *b);
    case BinaryExpr::FloorDiv:
      return real(operation(Operator::Floor, divide(a->re, b->re)));
    case BinaryExpr::Mod: return real(operation(Operator::Mod, a->re, b->re));
    case BinaryExpr::Pow: return builtin("pow", {*a, *b}, expr.range);
    case BinaryExpr::Eq: return compare(Operator::Eq, false);
    case BinaryExpr::Ne: return compare(Operator::Ne, false);
    case BinaryExpr::Lt: return compare(Operator::Lt, false);
    case BinaryExpr::Le: return compare(Operator::Le, false);
    case BinaryExpr::Gt: return compare(Operator::Lt, true);
    case BinaryExpr::Ge: return compare(Operator::Le, true);
    case BinaryExpr::And: return real(operation(Operator::And, a->re, b->re));
    case BinaryExpr::Or: return real(operation(Operator::Or, a->re, b->re));
    case BinaryExpr::MatMul: break;
    }
    return std::nullopt;
  }
  case ast::Expr::If: {
    auto &choice = llvm::cast<ast::IfExpr>(expr);
    // Branches not taken at compile time are not even looked at.
    std::vector<std::pair<TermRef, Number>> taken;
    std::optional<Number> result;
    for (auto [condition, value] :
         llvm::zip(choice.conditions, choice.values)) {
      if (auto known = evaluateConstant(*condition, *scope)) {
        if (known->number == 0)
          continue;
        result = evaluatePoint(*value, scope, point);
        if (!result)
          return std::nullopt;
        break;
      }
      auto c = evaluatePoint(*condition, scope, point);
      if (!c)
        return std::nullopt;
      if (!c->re->boolean) {
        diagnostics.error(condition->range, "'if' needs a condition, found a number");
        return std::nullopt;
      }
      auto v = evaluatePoint(*value, scope, point);
      if (!v)
        return std::nullopt;
      taken.push_back({c->re, *v});
    }
    if (!result) {
      // The grammar wants one.
      result = evaluatePoint(*choice.otherwise, scope, point);
      if (!result)
        return std::nullopt;
    }
    for (auto &[condition, value] : llvm::reverse(taken))
      result = select(condition, value, *result);
    return result;
  }
  case ast::Expr::Match: {
    auto &match = llvm::cast<ast::MatchExpr>(expr);
    auto subject = requireConstant(*match.subject, *scope, "the subject of a match");
    if (!subject)
      return std::nullopt;
    for (const ast::MatchExpr::Arm &arm : match.arms)
      if (arm.label.name == subject->str())
        return evaluatePoint(*arm.value, scope, point);
    diagnostics.error(expr.range, "no arm for '" + subject->str() + "'");
    return std::nullopt;
  }
  case ast::Expr::Iverson: {
    auto condition =
        evaluatePoint(*llvm::cast<ast::IversonExpr>(expr).condition, scope, point);
    if (!condition)
      return std::nullopt;
    if (!condition->re->boolean) {
      diagnostics.error(expr.range, "'[ ]' needs a condition, found a number");
      return std::nullopt;
    }
    return select(condition->re, real(constant(1)), real(constant(0)));
  }
  case ast::Expr::Tuple: {
    auto &tuple = llvm::cast<ast::TupleExpr>(expr);
    if (tuple.elements.size() == 1)
      return evaluatePoint(*tuple.elements[0], scope, point);
    diagnostics.error(expr.range, "several values stand where one is needed");
    return std::nullopt;
  }
  case ast::Expr::String:
  case ast::Expr::Lambda:
  case ast::Expr::Range:
  case ast::Expr::Lag:
    diagnostics.error(expr.range, "this is not a number");
    return std::nullopt;
  case ast::Expr::Rename:
    diagnostics.error(expr.range, "renamed axes are not available in this version");
    return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Number> Elaborator::pointOfName(const ast::NameExpr &expr,
                                              std::shared_ptr<Scope> scope,
                                              PointContext &point) {
  for (PointContext *p = &point; p; p = p->parent)
    if (p->stateAt && expr.name == p->stateName)
      return pointOfState(*p, expr.range, point);
  Entity *entity = scope->findValue(expr.name);
  AffineExpr index = findIndex(expr.name, *scope, point);
  if (entity && index && entity->kind != Entity::Point) {
    diagnostics.error(expr.range, "'" + expr.name + "' is both an index and a value "
                                  "here; rename one of them");
    diagnostics.note(entity->range, "the value is defined here");
    return std::nullopt;
  }
  if (entity)
    return pointOfEntity(*entity, expr.range, expr.name, scope, point);
  if (index)
    return real(indexTerm(index));
  if (auto known = evaluateConstant(expr, *scope)) {
    if (known->kind == Constant::Boolean)
      return real(boolean(known->number != 0));
    if (known->kind == Constant::Name) {
      diagnostics.error(expr.range, "'" + known->name + "' is a name, not a number; "
                                    "choose by `match` or `==`");
      return std::nullopt;
    }
    return real(constant(known->number));
  }
  if (auto *axis = scope->findAxis(expr.name)) {
    PointContext &root = rootOf(point);
    if (root.automatic) {
      IndexId id = newIndex(axis->first);
      root.bound[expr.name] = indexOf(id);
      root.variables.push_back(id);
      return real(indexTerm(indexOf(id)));
    }
    diagnostics.error(expr.range, "index '" + expr.name + "' is not on the left and "
                                  "no reduction binds it");
    return std::nullopt;
  }
  if (!wrongAxes.count(expr.name))
    diagnostics.error(expr.range, "'" + expr.name + "' is not defined" +
                                      suggest(expr.name, *scope));
  return std::nullopt;
}

/// The state by its name alone: its axes are found by their names.
std::optional<Number> Elaborator::pointOfState(PointContext &block,
                                               llvm::SMRange range,
                                               PointContext &point) {
  llvm::DenseMap<IndexId, AffineExpr> renamed;
  for (AffineExpr at : *block.stateAt) {
    IndexId id = llvm::cast<AffineDimExpr>(at).getPosition();
    const std::string &name = indexAxis(id).name;
    AffineExpr here = point.find(name);
    if (!here) {
      diagnostics.error(range, "axis '" + name + "' of the state '" +
                                   block.stateName + "' is not on the left and no "
                                   "reduction binds it");
      return std::nullopt;
    }
    renamed[id] = here;
  }
  auto map = [&](IndexId id) { return renamed.lookup(id); };
  Number value = block.stateValue;
  value.re = substitute(value.re, map, &context);
  if (value.im)
    value.im = substitute(value.im, map, &context);
  return value;
}

std::optional<Number>
Elaborator::pointOfEntity(Entity &entity, llvm::SMRange range,
                          llvm::StringRef name, std::shared_ptr<Scope> scope,
                          PointContext &point) {
  switch (entity.kind) {
  case Entity::Point:
    return entity.number;
  case Entity::Tensor:
  case Entity::FinalState:
    return broadcast(entity.tensor, point, *scope, range, name);
  case Entity::Weight: {
    auto weight = resolveWeight(entity);
    if (!weight)
      return std::nullopt;
    return broadcast(*weight, point, *scope, range, name);
  }
  case Entity::Absent:
    diagnostics.error(range, "'" + name + "' does not exist under these parameters");
    diagnostics.note(entity.range, "it is declared under this condition");
    return std::nullopt;
  default:
    diagnostics.error(range, "'" + name + "' is not a value");
    return std::nullopt;
  }
}

/// A tensor without an index: it broadcasts by the names of its axes.
std::optional<Number> Elaborator::broadcast(const TensorValue &tensor,
                                            PointContext &point, Scope &scope,
                                            llvm::SMRange range,
                                            llvm::StringRef name) {
  PointContext &root = rootOf(point);
  size_t rank = tensor.axes.size();
  llvm::SmallVector<AffineExpr> at;
  llvm::SmallVector<IndexId> mine;
  for (auto [position, axis] : llvm::enumerate(tensor.axes)) {
    bool spread = !axis.members.empty() && !root.automatic &&
                  llvm::all_of(axis.members, [&](const Axis &member) {
                    return bool(point.find(member.name));
                  });
    if (spread) {
      // The members stand on the left one by one.
      AffineExpr merged;
      for (const Axis &member : axis.members) {
        AffineExpr index = point.find(member.name);
        merged = merged ? merged * member.size + index : index;
      }
      at.push_back(merged);
      continue;
    }
    if (!axis.members.empty() && root.automatic) {
      // Axes stored as one stay one.
      AffineExpr index;
      for (auto &[unit, id] : root.units)
        if (unit == axis && unit.members == axis.members)
          index = dim(id);
      if (!index) {
        IndexId id = newIndex(axis);
        index = dim(id);
        root.variables.push_back(id);
        root.units.push_back({axis, id});
      }
      mine.push_back(llvm::cast<AffineDimExpr>(index).getPosition());
      root.positional.insert({{rank, position}, mine.back()});
      at.push_back(index);
      continue;
    }
    AffineExpr index =
        axis.name.empty() ? AffineExpr() : placeOf(point.find(axis.name), axis);
    auto place = std::make_pair(rank, position);
    if (!index && !root.automatic && root.variables.size() == rank) {
      // A result whose axes have no names takes those of the left side. A named
      // axis does so where its name means nothing here.
      IndexId id = root.variables[position];
      Axis &left = indexAxis(id);
      bool free = axis.name.empty() ||
                  llvm::none_of(root.variables, [&, &name = axis.name](IndexId other) {
                    return indexAxis(other).name == name;
                  });
      if (free && left.sequence == axis.sequence &&
          (left.size == axis.size || left.size == kUnknownExtent)) {
        left.size = axis.size;
        index = dim(id);
      }
    }
    if (!index && root.automatic) {
      auto found = root.positional.find(place);
      if (found != root.positional.end()) {
        Axis &other = indexAxis(found->second);
        bool compatible = other.size == axis.size &&
                          other.sequence == axis.sequence &&
                          (other.name.empty() || axis.name.empty());
        // (an axis without name next to one of merged axes is such a case)
        if (compatible) {
          if (other.name.empty() && !axis.name.empty()) {
            other.name = axis.name;
            root.bound[axis.name] = indexOf(found->second);
          }
          index = dim(found->second);
        }
      }
      if (!index) {
        IndexId id = newIndex(axis);
        index = dim(id);
        root.variables.push_back(id);
        if (!axis.name.empty())
          root.bound[axis.name] = indexOf(id);
      }
    }
    if (!index) {
      if (axis.name.empty())
        diagnostics.error(range, "axis " + llvm::Twine(position + 1) + " of '" +
                                     name + "' has no name, so it cannot be matched "
                                     "with the axes on the left; index it");
      else
        diagnostics.error(range, "axis '" + axis.name + "' of '" + name +
                                     "' is not on the left and no reduction binds "
                                     "it");
      return std::nullopt;
    }
    if (auto d = llvm::dyn_cast<AffineDimExpr>(index)) {
      IndexId id = d.getPosition();
      if (!unify(id, axis.size, range))
        return std::nullopt;
      mine.push_back(id);
      if (root.automatic)
        root.positional.insert({place, id});
    }
    at.push_back(index);
  }
  if (mine.size() > root.longest.size())
    root.longest = mine;
  return access(tensor, at, {}, range, scope, point);
}
