//===- Builtins.cpp - Elementary functions --------------------------------===//
//
// And calls where a number is needed.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

#include "llvm/ADT/StringSwitch.h"

using namespace ssmc;
using namespace mlir;

//===----------------------------------------------------------------------===//
// Elementary functions
//===----------------------------------------------------------------------===//

namespace {
struct Elementary {
  Operator op;
  unsigned arity;
};
} // namespace

static std::optional<Elementary> elementary(llvm::StringRef name) {
  return llvm::StringSwitch<std::optional<Elementary>>(name)
      .Case("exp", Elementary{Operator::Exp, 1})
      .Case("expm1", Elementary{Operator::Expm1, 1})
      .Case("log", Elementary{Operator::Log, 1})
      .Case("log1p", Elementary{Operator::Log1p, 1})
      .Case("sqrt", Elementary{Operator::Sqrt, 1})
      .Case("rsqrt", Elementary{Operator::Rsqrt, 1})
      .Case("sin", Elementary{Operator::Sin, 1})
      .Case("cos", Elementary{Operator::Cos, 1})
      .Case("tanh", Elementary{Operator::Tanh, 1})
      .Case("erf", Elementary{Operator::Erf, 1})
      .Case("floor", Elementary{Operator::Floor, 1})
      .Case("ceil", Elementary{Operator::Ceil, 1})
      .Case("abs", Elementary{Operator::Abs, 1})
      .Case("min", Elementary{Operator::Min, 2})
      .Case("max", Elementary{Operator::Max, 2})
      .Case("pow", Elementary{Operator::Pow, 2})
      .Case("normal", Elementary{Operator::Normal, 1})
      .Case("uniform", Elementary{Operator::Uniform, 2})
      .Default(std::nullopt);
}

/// A whole power as products; others by exp and log.
static TermRef power(TermRef base, TermRef exponent) {
  if (isConstant(base, 1))
    return base;
  if (auto e = constantValue(exponent)) {
    if (*e == 0.5)
      return operation(Operator::Sqrt, base);
    if (*e == -0.5)
      return operation(Operator::Rsqrt, base);
    if (*e == std::floor(*e) && std::fabs(*e) <= 8 && *e != 0) {
      TermRef product = base;
      for (int i = 1; i < std::fabs(*e); ++i)
        product = multiply(product, base);
      return *e < 0 ? divide(constant(1), product) : product;
    }
  }
  return operation(Operator::Pow, base, exponent);
}

std::optional<Number> Elaborator::builtin(llvm::StringRef name,
                                          llvm::ArrayRef<Number> args,
                                          llvm::SMRange range) {
  auto arity = [&](unsigned wanted) {
    if (args.size() == wanted)
      return true;
    diagnostics.error(range, "'" + name + "' takes " + llvm::Twine(wanted) +
                                 (wanted == 1 ? " argument, found "
                                              : " arguments, found ") +
                                 llvm::Twine(args.size()));
    return false;
  };
  if (name == "complex") {
    if (!arity(2))
      return std::nullopt;
    return Number{args[0].re, args[1].re};
  }
  if (name == "re" || name == "im" || name == "conj" || name == "cis" ||
      name == "abs2") {
    if (!arity(1))
      return std::nullopt;
    const Number &a = args[0];
    if (name == "re")
      return real(a.re);
    if (name == "im")
      return real(imag(a));
    if (name == "conj")
      return conj(a);
    if (name == "cis")
      return Number{operation(Operator::Cos, a.re), operation(Operator::Sin, a.re)};
    TermRef square = multiply(a.re, a.re);
    return real(a.im ? add(square, multiply(a.im, a.im)) : square);
  }
  if (name == "loguniform") {
    if (!arity(2))
      return std::nullopt;
    return ssmc::real(operation(
        Operator::Exp, operation(Operator::Uniform, operation(Operator::Log, args[0].re),
                                 operation(Operator::Log, args[1].re))));
  }
  auto function = elementary(name);
  if (!function) {
    diagnostics.error(range, "'" + name + "' is not a function");
    return std::nullopt;
  }
  if (!arity(function->arity))
    return std::nullopt;
  bool anyComplex = llvm::any_of(args, [](const Number &a) { return a.isComplex(); });
  if (anyComplex) {
    if (name == "exp")
      return expOf(args[0]);
    if (name == "expm1")
      return expm1Of(args[0]);
    if (name == "pow" && !args[1].im)
      if (auto e = constantValue(args[1].re))
        if (*e == std::floor(*e) && *e >= 0 && *e <= INT32_MAX) {
          // By repeated squaring: a product of all squares whose bit is set.
          Number product = ssmc::real(constant(1)), square = args[0];
          bool first = true;
          for (uint32_t bits = uint32_t(*e); bits; bits >>= 1) {
            if (bits & 1)
              product = first ? square : multiply(product, square);
            first &= !(bits & 1);
            if (bits > 1)
              square = multiply(square, square);
          }
          return product;
        }
    diagnostics.error(range, "'" + name + "' of a complex number is not defined; exp, "
                             "expm1, +, -, *, /, conj, re, im and abs2 are");
    return std::nullopt;
  }
  if (function->op == Operator::Pow)
    return real(power(args[0].re, args[1].re));
  llvm::SmallVector<TermRef, 2> terms;
  for (const Number &arg : args) {
    if (arg.re->boolean) {
      diagnostics.error(range, "'" + name + "' needs numbers, found a condition");
      return std::nullopt;
    }
    terms.push_back(arg.re);
  }
  return real(operation(function->op, terms));
}

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

std::optional<Number> Elaborator::pointOfCall(const ast::CallExpr &expr,
                                              std::shared_ptr<Scope> scope,
                                              PointContext &point) {
  if (auto known = evaluateConstant(expr, *scope))
    if (known->isNumber())
      return real(constant(known->number));
  auto *name = llvm::dyn_cast<ast::NameExpr>(expr.callee.get());
  if (!name) {
    auto callee = evaluate(*expr.callee, scope);
    if (!callee)
      return std::nullopt;
    auto result = callEntity(*callee, expr, scope, &point);
    if (!result)
      return std::nullopt;
    return pointOfEntity(*result, expr.range, "the result", scope, point);
  }
  Entity library;
  Entity *entity = findCallee(name->name, *scope, library);
  if (entity) {
    auto result = callEntity(*entity, expr, scope, &point);
    if (!result)
      return std::nullopt;
    return pointOfEntity(*result, expr.range, "the result of " + name->name, scope,
                         point);
  }
  if (name->name == "len") {
    auto *axis = expr.args.size() == 1
                     ? llvm::dyn_cast<ast::NameExpr>(expr.args[0].value.get())
                     : nullptr;
    auto *known = axis ? scope->findAxis(axis->name) : nullptr;
    if (!axis || (axis->name != "t" && (!known || !known->first.sequence))) {
      diagnostics.error(expr.range, "'len' takes the sequence axis, len(t)");
      return std::nullopt;
    }
    return real(lengthTerm(known ? sequenceNumber(known->first.size) : 0));
  }
  bool known = false;
  auto tensor = callBuiltinTensor(expr, name->name, scope, known);
  if (known) {
    if (!tensor)
      return std::nullopt;
    return pointOfEntity(*tensor, expr.range, "the result of " + name->name, scope,
                         point);
  }
  llvm::SmallVector<Number, 3> args;
  for (const ast::Arg &arg : expr.args) {
    auto value = evaluatePoint(*arg.value, scope, point);
    if (!value)
      return std::nullopt;
    args.push_back(*value);
  }
  return builtin(name->name, args, expr.range);
}
