//===- ElaborateConstant.cpp - Values known when a layer is compiled ------===//
//
// Expressions of parameters and numbers.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

#include <cmath>

using namespace ssmc;
using namespace mlir;
using ast::BinaryExpr;

double ssmc::binomial(int64_t n, int64_t k) {
  if (k < 0 || k > n)
    return 0;
  double ways = 1;
  for (int64_t i = 1; i <= std::min(k, n - k); ++i)
    ways = std::round(ways * double(n - std::min(k, n - k) + i) / double(i));
  return ways;
}

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
  if (name == "binom" && args.size() == 2 && args[0].kind == Constant::Integer &&
      args[1].kind == Constant::Integer)
    return Constant::of(binomial(int64_t(args[0].number), int64_t(args[1].number)),
                        true);
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
  case ast::Expr::Apply: {
    // first(s in a .. b where condition, else otherwise)
    auto &apply = llvm::cast<ast::ApplyExpr>(expr);
    if (apply.op.name != "first" || apply.axes.size() != 1 || !apply.axes[0].from ||
        !apply.axes[0].to || !apply.where)
      return std::nullopt;
    auto from = evaluateConstant(*apply.axes[0].from, scope),
         to = evaluateConstant(*apply.axes[0].to, scope);
    if (!from || !to || from->kind != Constant::Integer || to->kind != Constant::Integer)
      return std::nullopt;
    constexpr double mostTried = 1e6;
    Scope inner(std::shared_ptr<Scope>(&scope, [](Scope *) {}));
    for (double i = from->number; i < to->number && i < from->number + mostTried; ++i) {
      inner.constants[apply.axes[0].name.name] = Constant::of(i, true);
      auto holds = evaluateConstant(*apply.where, inner);
      if (!holds)
        return std::nullopt;
      if (holds->number != 0)
        return inner.constants[apply.axes[0].name.name];
    }
    return apply.otherwise ? evaluateConstant(*apply.otherwise, scope) : std::nullopt;
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
