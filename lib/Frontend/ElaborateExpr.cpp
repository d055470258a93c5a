//===- ElaborateExpr.cpp - Expressions as numbers, points and tensors -----===//
//
// An expression is evaluated in one of three ways: as a compile-time constant,
// at a point of an index space (giving a term), or as a whole tensor, whose axes
// are those of its operands.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include <cmath>

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

static PointContext &rootOf(PointContext &point) {
  PointContext *p = &point;
  while (p->parent)
    p = p->parent;
  return *p;
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

static std::optional<Constant> constantCall(llvm::StringRef name,
                                            llvm::ArrayRef<Constant> args) {
  for (const Constant &arg : args)
    if (!arg.isNumber())
      return std::nullopt;
  auto one = [&](double (*fn)(double)) -> std::optional<Constant> {
    if (args.size() != 1)
      return std::nullopt;
    return Constant::of(fn(args[0].number), false);
  };
  if (name == "ceil" && args.size() == 1)
    return Constant::of(std::ceil(args[0].number), true);
  if (name == "floor" && args.size() == 1)
    return Constant::of(std::floor(args[0].number), true);
  if (name == "sqrt")
    return one(std::sqrt);
  if (name == "exp")
    return one(std::exp);
  if (name == "log")
    return one(std::log);
  if (name == "abs")
    return one(std::fabs);
  if ((name == "min" || name == "max") && args.size() == 2) {
    bool integer = args[0].kind == Constant::Integer &&
                   args[1].kind == Constant::Integer;
    double a = args[0].number, b = args[1].number;
    return Constant::of(name == "min" ? std::min(a, b) : std::max(a, b), integer);
  }
  return std::nullopt;
}

static std::optional<Constant> constantBinary(BinaryExpr::Op op,
                                              const Constant &a,
                                              const Constant &b) {
  if (a.kind == Constant::Name || b.kind == Constant::Name) {
    if (a.kind != b.kind)
      return std::nullopt;
    if (op == BinaryExpr::Eq)
      return Constant::of(a.name == b.name);
    if (op == BinaryExpr::Ne)
      return Constant::of(a.name != b.name);
    return std::nullopt;
  }
  double x = a.number, y = b.number;
  bool integers = a.kind == Constant::Integer && b.kind == Constant::Integer;
  switch (op) {
  case BinaryExpr::Add: return Constant::of(x + y, integers);
  case BinaryExpr::Sub: return Constant::of(x - y, integers);
  case BinaryExpr::Mul: return Constant::of(x * y, integers);
  case BinaryExpr::Div: {
    double q = x / y;
    // A quotient that is whole stays usable as a size: `D / heads`.
    return Constant::of(q, integers && y != 0 && q == std::floor(q));
  }
  case BinaryExpr::FloorDiv: return Constant::of(std::floor(x / y), integers);
  case BinaryExpr::Mod: return Constant::of(x - y * std::floor(x / y), integers);
  case BinaryExpr::Pow:
    return Constant::of(std::pow(x, y), integers && y >= 0);
  case BinaryExpr::Eq: return Constant::of(x == y);
  case BinaryExpr::Ne: return Constant::of(x != y);
  case BinaryExpr::Lt: return Constant::of(x < y);
  case BinaryExpr::Le: return Constant::of(x <= y);
  case BinaryExpr::Gt: return Constant::of(x > y);
  case BinaryExpr::Ge: return Constant::of(x >= y);
  case BinaryExpr::And: return Constant::of(x != 0 && y != 0);
  case BinaryExpr::Or: return Constant::of(x != 0 || y != 0);
  case BinaryExpr::MatMul: return std::nullopt;
  }
  return std::nullopt;
}

/// The value of an expression of parameters and numbers, or nothing (without a
/// message) where it is none.
std::optional<Constant> Elaborator::evaluateConstant(const ast::Expr &expr,
                                                     Scope &scope) {
  switch (expr.kind) {
  case ast::Expr::Number: {
    auto &number = llvm::cast<ast::NumberExpr>(expr);
    return Constant::of(number.value, number.isInteger);
  }
  case ast::Expr::String:
    return Constant::of(llvm::cast<ast::StringExpr>(expr).value);
  case ast::Expr::Name: {
    const std::string &name = llvm::cast<ast::NameExpr>(expr).name;
    if (Constant *found = scope.findConstant(name))
      return *found;
    if (name == "pi" && !scope.findValue(name))
      return Constant::of(M_PI, false);
    if (name == "inf" && !scope.findValue(name))
      return Constant::of(INFINITY, false);
    if (name == "true" || name == "false")
      return Constant::of(name == "true");
    (void)scope.findValue(name); // notes the use of one that is wrong
    return std::nullopt;
  }
  case ast::Expr::Config: {
    auto &config = llvm::cast<ast::ConfigExpr>(expr);
    const llvm::json::Value *value = nullptr;
    llvm::SmallVector<llvm::StringRef> parts;
    llvm::StringRef(config.field).split(parts, '.');
    if (options.config)
      value = options.config->get(parts[0]);
    for (llvm::StringRef part : llvm::drop_begin(parts)) {
      size_t index;
      if (!value)
        break;
      if (auto *array = value->getAsArray())
        value = !part.getAsInteger(10, index) && index < array->size()
                    ? &(*array)[index] : nullptr;
      else if (auto *object = value->getAsObject())
        value = object->get(part);
      else
        value = nullptr;
    }
    // Hugging Face writes infinities as {"__float__": "Infinity"}.
    if (value)
      if (auto *object = value->getAsObject())
        if (auto text = object->getString("__float__"))
          for (auto [word, number] : {std::pair("Infinity", INFINITY),
                                      std::pair("-Infinity", -INFINITY),
                                      std::pair("NaN", NAN)})
            if (*text == word)
              return Constant::of(double(number), false);
    // null is how Hugging Face writes "as usual"; other values that are no
    // constants are mistakes, which a fallback would hide.
    if (value && (value->getAsArray() || value->getAsObject()))
      return std::nullopt;
    if (value)
      if (auto boolean = value->getAsBoolean())
        return Constant::of(*boolean);
    if (value)
      if (auto integer = value->getAsInteger())
        return Constant::of(double(*integer), true);
    if (value)
      if (auto number = value->getAsNumber())
        return Constant::of(*number, false);
    if (value)
      if (auto text = value->getAsString())
        return Constant::of(text->str());
    if (config.fallback)
      return evaluateConstant(*config.fallback, scope);
    return std::nullopt;
  }
  case ast::Expr::Unary: {
    auto &unary = llvm::cast<ast::UnaryExpr>(expr);
    auto value = evaluateConstant(*unary.operand, scope);
    if (!value || value->kind == Constant::Name)
      return std::nullopt;
    if (unary.op == ast::UnaryExpr::Not)
      return Constant::of(value->number == 0);
    return Constant::of(-value->number, value->kind == Constant::Integer);
  }
  case ast::Expr::Binary: {
    auto &binary = llvm::cast<BinaryExpr>(expr);
    auto a = evaluateConstant(*binary.lhs, scope);
    if (!a)
      return std::nullopt;
    // A choice stands by its name: `disc == zoh`.
    std::optional<Constant> b;
    auto *name = llvm::dyn_cast<ast::NameExpr>(binary.rhs.get());
    if (a->kind == Constant::Name && name && !scope.findConstant(name->name))
      b = Constant::of(name->name);
    else
      b = evaluateConstant(*binary.rhs, scope);
    if (!b)
      return std::nullopt;
    return constantBinary(binary.op, *a, *b);
  }
  case ast::Expr::If: {
    auto &choice = llvm::cast<ast::IfExpr>(expr);
    for (auto [condition, value] :
         llvm::zip(choice.conditions, choice.values)) {
      auto holds = evaluateConstant(*condition, scope);
      if (!holds)
        return std::nullopt;
      if (holds->number != 0)
        return evaluateConstant(*value, scope);
    }
    return choice.otherwise ? evaluateConstant(*choice.otherwise, scope)
                            : std::nullopt;
  }
  case ast::Expr::Match: {
    auto &match = llvm::cast<ast::MatchExpr>(expr);
    auto subject = evaluateConstant(*match.subject, scope);
    if (!subject)
      return std::nullopt;
    for (const ast::MatchExpr::Arm &arm : match.arms)
      if (arm.label.name == subject->str())
        return evaluateConstant(*arm.value, scope);
    return std::nullopt;
  }
  case ast::Expr::Tuple: {
    auto &tuple = llvm::cast<ast::TupleExpr>(expr);
    return tuple.elements.size() == 1 ? evaluateConstant(*tuple.elements[0], scope)
                                      : std::nullopt;
  }
  case ast::Expr::Call: {
    auto &call = llvm::cast<ast::CallExpr>(expr);
    auto *callee = llvm::dyn_cast<ast::NameExpr>(call.callee.get());
    if (!callee)
      return std::nullopt;
    std::vector<Constant> args;
    for (const ast::Arg &arg : call.args) {
      auto value = evaluateConstant(*arg.value, scope);
      if (!value)
        return std::nullopt;
      args.push_back(*value);
    }
    const ast::FnDecl *fn = nullptr;
    if (Entity *entity = scope.findValue(callee->name))
      fn = entity->kind == Entity::Function ? entity->function : nullptr;
    else
      fn = findFunction(callee->name);
    if (!fn)
      return constantCall(callee->name, args);
    if (!fn->value || fn->params.size() != args.size())
      return std::nullopt;
    Scope inner(nullptr);
    for (auto [param, arg] : llvm::zip(fn->params, args))
      inner.constants[param.pattern.name.name] = arg;
    return evaluateConstant(*fn->value, inner);
  }
  default:
    return std::nullopt;
  }
}

std::optional<Constant> Elaborator::requireConstant(const ast::Expr &expr,
                                                    Scope &scope,
                                                    llvm::StringRef what) {
  auto value = evaluateConstant(expr, scope);
  if (value)
    return value;
  if (auto *config = llvm::dyn_cast<ast::ConfigExpr>(&expr)) {
    if (options.config)
      diagnostics.error(expr.range, "config.json has no usable field '" +
                                        config->field + "', which is " + what);
    else
      diagnostics.error(expr.range, what + " comes from the field '" +
                                        config->field +
                                        "' of a config.json; give a model "
                                        "directory, or set it with --set");
    return std::nullopt;
  }
  diagnostics.error(expr.range, what + " must be known when the layer is compiled; "
                                       "this depends on more than parameters");
  return std::nullopt;
}

std::optional<int64_t> Elaborator::requireInteger(const ast::Expr &expr,
                                                  Scope &scope,
                                                  llvm::StringRef what) {
  auto value = requireConstant(expr, scope, what);
  if (!value)
    return std::nullopt;
  if (!value->isNumber() || value->number != std::floor(value->number) ||
      std::isinf(value->number)) {
    diagnostics.error(expr.range, what + " must be an integer, found " +
                                      value->str());
    return std::nullopt;
  }
  if (std::fabs(value->number) > 1e15) {
    diagnostics.error(expr.range, what + " must be at most 10^15, found " +
                                      value->str());
    return std::nullopt;
  }
  return int64_t(value->number);
}

std::optional<bool> Elaborator::requireBoolean(const ast::Expr &expr,
                                               Scope &scope,
                                               llvm::StringRef what) {
  auto value = requireConstant(expr, scope, what);
  if (!value)
    return std::nullopt;
  if (value->kind == Constant::Name) {
    diagnostics.error(expr.range, what + " must be true or false, found " +
                                      value->str());
    return std::nullopt;
  }
  return value->number != 0;
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
      if (!choice.otherwise) {
        diagnostics.error(expr.range, "this 'if' needs an 'else'");
        return std::nullopt;
      }
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
  AffineExpr index = point.find(expr.name);
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
    const Entity *weight = resolveWeight(entity, *scope);
    if (!weight)
      return std::nullopt;
    return broadcast(weight->tensor, point, *scope, range, name);
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
                  llvm::none_of(root.variables, [&](IndexId other) {
                    return indexAxis(other).name == axis.name;
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

//===----------------------------------------------------------------------===//
// Indexing
//===----------------------------------------------------------------------===//

/// An index as an affine function of index variables, or nothing (silently) if
/// it is none.
std::optional<AffineExpr>
Elaborator::affineIndex(const ast::Expr &expr, std::shared_ptr<Scope> scope,
                        PointContext &point) {
  if (auto *name = llvm::dyn_cast<ast::NameExpr>(&expr)) {
    if (AffineExpr index = point.find(name->name))
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
      const Entity *weight = resolveWeight(*entity, *scope);
      if (!weight)
        return std::nullopt;
      tensor = weight->tensor;
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
    std::string axes;
    for (const Axis &axis : tensor->axes)
      axes += (axes.empty() ? "" : ", ") +
              (axis.name.empty() ? std::string("_") : axis.name);
    diagnostics.error(expr.range, "'" + name + "' has " + llvm::Twine(rank) +
                                      " axes [" + axes + "], indexed here with " +
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
          Axis axis = tensor->axes[i];
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
        std::string text;
        for (int64_t size : sizes)
          text += (text.empty() ? "" : " x ") + std::to_string(size);
        diagnostics.error(item.index->range,
                          "the merged indices cover " + text + " elements, the axis "
                          "of '" + name + "' has " + llvm::Twine(axis.size));
        return std::nullopt;
      }
      for (auto [i, member] : llvm::enumerate(members))
        merged = i ? merged * sizes[i] + member : member;
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
      if (!unify(d.getPosition(), axis.size, item.index->range))
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
                  ? operation(Operator::Le, lengthTerm(), indexTerm(index))
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
  for (auto [i, axis] : llvm::enumerate(tensor.axes)) {
    if (!axis.sequence || !places[i] || tensor.dimension[i] < 0)
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
      tensor = shift(tensor, -linear->constant, scope, "shift");
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
      for (auto [d, i] : order)
        positions.push_back(terms[i]);
      return gather(value, positions, tensor.batched, tensor.integer);
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

//===----------------------------------------------------------------------===//
// Whole tensors
//===----------------------------------------------------------------------===//

std::optional<TensorValue>
Elaborator::evaluateTensor(const ast::Expr &expr, std::shared_ptr<Scope> scope) {
  auto entity = evaluate(expr, scope);
  if (!entity)
    return std::nullopt;
  if (entity->kind != Entity::Tensor) {
    diagnostics.error(expr.range, "a tensor is needed here");
    return std::nullopt;
  }
  return entity->tensor;
}

std::optional<Entity> Elaborator::evaluate(const ast::Expr &expr,
                                           std::shared_ptr<Scope> scope) {
  auto tensorEntity = [&](TensorValue tensor) {
    Entity entity;
    entity.kind = Entity::Tensor;
    entity.tensor = std::move(tensor);
    entity.range = expr.range;
    return entity;
  };
  switch (expr.kind) {
  case ast::Expr::Name: {
    auto &name = llvm::cast<ast::NameExpr>(expr);
    if (name.name == "forward" || name.name == "backward") {
      Entity entity;
      entity.kind = Entity::Direction;
      entity.backward = name.name == "backward";
      return entity;
    }
    if (Entity *entity = scope->findValue(name.name)) {
      if (entity->kind == Entity::Weight) {
        const Entity *weight = resolveWeight(*entity, *scope);
        if (!weight)
          return std::nullopt;
        return *weight;
      }
      if (entity->kind == Entity::Absent) {
        PointContext none;
        pointOfEntity(*entity, expr.range, name.name, scope, none);
        return std::nullopt;
      }
      if (entity->kind != Entity::Point)
        return *entity;
    }
    break;
  }
  case ast::Expr::Tuple: {
    auto &tuple = llvm::cast<ast::TupleExpr>(expr);
    if (tuple.elements.size() == 1)
      return evaluate(*tuple.elements[0], scope);
    Entity entity;
    entity.kind = Entity::Tuple;
    for (const ast::ExprPtr &element : tuple.elements) {
      auto value = evaluate(*element, scope);
      if (!value)
        return std::nullopt;
      entity.elements.push_back(std::move(*value));
    }
    return entity;
  }
  case ast::Expr::Lambda: {
    Entity entity;
    entity.kind = Entity::Lambda;
    entity.lambda = &llvm::cast<ast::LambdaExpr>(expr);
    entity.scope = scope;
    return entity;
  }
  case ast::Expr::If: {
    auto &choice = llvm::cast<ast::IfExpr>(expr);
    bool allKnown = true;
    for (auto [condition, value] :
         llvm::zip(choice.conditions, choice.values)) {
      auto known = evaluateConstant(*condition, *scope);
      if (!known) {
        allKnown = false;
        break;
      }
      if (known->number != 0)
        return evaluate(*value, scope);
    }
    if (allKnown && choice.otherwise)
      return evaluate(*choice.otherwise, scope);
    break;
  }
  case ast::Expr::Match: {
    auto &match = llvm::cast<ast::MatchExpr>(expr);
    auto subject = evaluateConstant(*match.subject, *scope);
    if (subject)
      for (const ast::MatchExpr::Arm &arm : match.arms)
        if (arm.label.name == subject->str())
          return evaluate(*arm.value, scope);
    break;
  }
  case ast::Expr::Index: {
    auto &index = llvm::cast<ast::IndexExpr>(expr);
    auto *name = llvm::dyn_cast<ast::NameExpr>(index.base.get());
    Entity *entity = name ? scope->findValue(name->name) : nullptr;
    if (entity && (entity->kind == Entity::PartFamily ||
                   entity->kind == Entity::WeightFamily))
      return evaluatePart(expr, scope, "", "");
    break;
  }
  case ast::Expr::Call: {
    auto &call = llvm::cast<ast::CallExpr>(expr);
    auto *name = llvm::dyn_cast<ast::NameExpr>(call.callee.get());
    if (name) {
      Entity *entity = scope->findValue(name->name);
      Entity library;
      if (!entity) {
        if (const ast::FnDecl *fn = findFunction(name->name)) {
          library.kind = Entity::Function;
          library.function = fn;
          library.scope = std::make_shared<Scope>(nullptr);
          entity = &library;
        }
      }
      if (entity) {
        // Functions that are one expression over plain parameters are elementwise:
        // they are evaluated at a point below.
        bool elementwise = entity->kind == Entity::Lambda;
        if (entity->kind == Entity::Function) {
          elementwise = entity->function->value && entity->function->results.empty();
          for (const ast::FnDecl::Param &param : entity->function->params)
            elementwise &= !param.pattern.hasAxes;
        }
        if (!elementwise)
          return callEntity(*entity, call, scope, nullptr);
      } else {
        bool known = false;
        auto result = callBuiltinTensor(call, name->name, scope, known);
        if (known)
          return result;
      }
    } else {
      auto callee = evaluate(*call.callee, scope);
      if (!callee)
        return std::nullopt;
      return callEntity(*callee, call, scope, nullptr);
    }
    break;
  }
  case ast::Expr::Binary: {
    auto &binary = llvm::cast<BinaryExpr>(expr);
    if (binary.op != BinaryExpr::MatMul)
      break;
    // x @ W: the last axis of x with the first of W.
    auto x = evaluateTensor(*binary.lhs, scope);
    auto w = evaluateTensor(*binary.rhs, scope);
    if (!x || !w)
      return std::nullopt;
    if (w->axes.size() != 2 || x->axes.empty() ||
        x->axes.back().size != w->axes[0].size) {
      diagnostics.error(expr.range, "'@' needs x[.., i] @ W[i, o] with equal extents");
      return std::nullopt;
    }
    PointContext point;
    llvm::SmallVector<AffineExpr> atX, atW;
    llvm::SmallVector<IndexId> variables;
    llvm::SmallVector<Axis> axes;
    for (const Axis &axis : llvm::ArrayRef<Axis>(x->axes).drop_back()) {
      variables.push_back(newIndex(axis));
      axes.push_back(axis);
      atX.push_back(dim(variables.back()));
    }
    variables.push_back(newIndex(w->axes[1]));
    axes.push_back(w->axes[1]);
    IndexId inner = newIndex(w->axes[0]);
    atX.push_back(dim(inner));
    atW = {dim(inner), dim(variables.back())};
    auto a = access(*x, atX, {}, expr.range, *scope, point);
    auto b = access(*w, atW, {}, expr.range, *scope, point);
    if (!a || !b)
      return std::nullopt;
    auto product = sumOver(inner, multiply(*a, *b), expr.range, *scope);
    if (!product)
      return std::nullopt;
    return tensorEntity(materialize(*product, variables, axes, false));
  }
  default:
    break;
  }

  // Everything else is elementwise over the axes of its operands.
  PointContext point;
  point.automatic = true;
  auto number = evaluatePoint(expr, scope, point);
  if (!number)
    return std::nullopt;
  for (const TermRef &term : {number->re, number->im})
    for (unsigned id : term ? term->indices.set_bits() : llvm::SmallBitVector().set_bits())
      if (!llvm::is_contained(point.variables, id)) {
        diagnostics.error(expr.range, "this is needed as a whole tensor, but depends on "
                                      "an index of the definition around it; give the "
                                      "function's parameters axes");
        return std::nullopt;
      }
  for (auto &[unit, id] : point.units)
    for (const Axis &member : unit.members)
      if (point.bound.count(member.name)) {
        diagnostics.error(expr.range, "axis '" + member.name + "' stands alone in one "
                                      "operand and merged with others in another; index "
                                      "the operands");
        return std::nullopt;
      }
  // The sequence first, then the axes of the operand that has most of them.
  llvm::SmallVector<IndexId> variables;
  auto take = [&](IndexId id) {
    if (!llvm::is_contained(variables, id))
      variables.push_back(id);
  };
  for (IndexId id : point.variables)
    if (indexAxis(id).sequence)
      take(id);
  for (IndexId id : point.longest)
    if (llvm::is_contained(point.variables, id))
      take(id);
  for (IndexId id : point.variables)
    take(id);
  llvm::SmallVector<Axis> axes;
  for (IndexId id : variables) {
    Axis axis = indexAxis(id);
    axis.members.clear();
    axes.push_back(axis);
  }
  TensorValue result = materialize(*number, variables, axes, false);
  for (auto [axis, id] : llvm::zip(result.axes, variables))
    axis.members = indexAxis(id).members;
  return tensorEntity(std::move(result));
}
