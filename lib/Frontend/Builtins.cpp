//===- Builtins.cpp - Functions and axis operators of the language --------===//
//
// What the language itself provides: elementary functions, reductions, norms over
// an axis, convolution as a sum over a lag, shifts, split and concat.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "ssm/IR/SSM.h"
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
    diagnostics.error(range, "'" + name + "' of a complex number is not defined; "
                             "exp, +, -, *, /, conj, re, im and abs2 are");
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
    return real(lengthTerm());
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

/// Gives the axes of a call's result the names of the caller: those of the arguments
/// they came from, or none.
void Elaborator::exportAxes(Entity &result, const ast::FnDecl &fn, Scope &scope,
                            llvm::ArrayRef<std::pair<size_t, TensorValue>> args) {
  std::map<std::string, Axis> names;
  for (const auto &[number, tensor] : args) {
    if (number >= fn.params.size())
      continue;
    const std::vector<ast::AxisPattern> &axes = fn.params[number].pattern.axes;
    bool hasRest = !axes.empty() && axes[0].kind == ast::AxisPattern::Rest;
    for (auto [i, pattern] : llvm::enumerate(axes)) {
      size_t at = hasRest ? tensor.axes.size() - axes.size() + i : i;
      if (pattern.kind == ast::AxisPattern::Name && at < tensor.axes.size())
        names.insert({pattern.name.name, tensor.axes[at]});
    }
  }
  auto rest = scope.axes.find("..");
  size_t kept = rest == scope.axes.end() ? 0 : rest->second.first.members.size();
  std::function<void(Entity &)> rename = [&](Entity &entity) {
    for (Entity &element : entity.elements)
      rename(element);
    for (auto [i, axis] : llvm::enumerate(entity.tensor.axes)) {
      if (i < kept)
        continue;
      auto found = names.find(axis.name);
      bool same = found != names.end() && found->second.size == axis.size;
      if (same) {
        axis = found->second;
      } else {
        axis.members.clear();
        axis.name = axis.sequence ? axis.name : "";
      }
    }
  };
  rename(result);
}

/// Calls a part, a function or a lambda. Plain functions of one expression are
/// inlined at `point` where there is one.
std::optional<Entity> Elaborator::callEntity(Entity &callee,
                                             const ast::CallExpr &call,
                                             std::shared_ptr<Scope> scope,
                                             PointContext *point) {
  if (callee.kind == Entity::Part) {
    if (!callee.instance) { // Identity
      if (call.args.size() != 1) {
        diagnostics.error(call.range, "Identity takes one argument");
        return std::nullopt;
      }
      return evaluate(*call.args[0].value, scope);
    }
    const ast::FnDecl *forward = forwardOf(*callee.instance);
    if (!forward) {
      diagnostics.error(call.range, "layer '" + callee.instance->layer->name.name +
                                        "' has no fn forward");
      return std::nullopt;
    }
    std::vector<Entity> args;
    std::vector<std::pair<size_t, TensorValue>> given;
    for (const ast::Arg &arg : call.args) {
      auto value = evaluate(*arg.value, scope);
      if (!value)
        return std::nullopt;
      if (value->kind == Entity::Tensor)
        given.push_back({args.size(), value->tensor});
      args.push_back(std::move(*value));
    }
    std::string outer = path;
    path = callee.instance->path;
    std::optional<Entity> result;
    if (elaborateMembers(*callee.instance)) {
      auto inner = std::make_shared<Scope>(callee.instance->scope);
      if (!forward->cutWhere)
        if (const TensorValue *cut = scope->findCut())
          inner->cut = std::make_shared<TensorValue>(*cut);
      result = callFunction(*forward, inner, std::move(args), call.range, nullptr);
      if (result)
        exportAxes(*result, *forward, *inner, given);
    }
    path = outer;
    return result;
  }
  if (callee.kind == Entity::Function || callee.kind == Entity::Lambda) {
    bool lambda = callee.kind == Entity::Lambda;
    const ast::Expr *body =
        lambda ? callee.lambda->body.get() : callee.function->value.get();
    size_t wanted = lambda ? callee.lambda->params.size()
                           : callee.function->params.size();
    if (call.args.size() > wanted) {
      diagnostics.error(call.range, "too many arguments: " +
                                        llvm::Twine(call.args.size()) +
                                        " where " + llvm::Twine(wanted) +
                                        " are taken");
      return std::nullopt;
    }
    bool inlined = point && body && (lambda || callee.function->results.empty());
    if (inlined) {
      if (++depth > 200) {
        diagnostics.error(call.range, "functions call each other without end");
        return std::nullopt;
      }
      auto inner = std::make_shared<Scope>(callee.scope);
      if (!inner->findCut())
        if (const TensorValue *cut = scope->findCut())
          inner->cut = std::make_shared<TensorValue>(*cut);
      bool good = true;
      for (size_t i = 0; i < wanted && good; ++i) {
        const ast::FnDecl::Param *param =
            lambda ? nullptr : &callee.function->params[i];
        std::string name =
            lambda ? callee.lambda->params[i].name : param->pattern.name.name;
        const ast::Expr *arg =
            i < call.args.size() ? call.args[i].value.get()
            : param              ? param->defaultValue.get()
                                 : nullptr;
        if (!arg) {
          diagnostics.error(call.range, "argument '" + name + "' is missing");
          good = false;
          break;
        }
        if (auto known = evaluateConstant(*arg, *scope)) {
          inner->constants[name] = *known;
          continue;
        }
        Entity entity;
        entity.range = arg->range;
        if (param && param->pattern.hasAxes) {
          auto value = evaluateTensor(*arg, scope);
          good = value.has_value();
          if (!good)
            break;
          auto bound = bindParameter(param->pattern, *value, *inner, arg->range);
          good = bound.has_value();
          if (good) {
            entity.kind = Entity::Tensor;
            entity.tensor = *bound;
          }
        } else {
          // Functions and parts are passed as they are.
          auto *argName = llvm::dyn_cast<ast::NameExpr>(arg);
          Entity *named = argName ? scope->findValue(argName->name) : nullptr;
          if (named && (named->kind == Entity::Part ||
                        named->kind == Entity::Function ||
                        named->kind == Entity::Lambda)) {
            entity = *named;
          } else {
            auto value = evaluatePoint(*arg, scope, *point);
            good = value.has_value();
            if (good) {
              entity.kind = Entity::Point;
              entity.number = *value;
            }
          }
        }
        inner->values[name] = entity;
      }
      std::optional<Number> value;
      if (good)
        value = evaluatePoint(*body, inner, *point);
      --depth;
      if (!value)
        return std::nullopt;
      Entity result;
      result.kind = Entity::Point;
      result.number = *value;
      result.range = call.range;
      return result;
    }
    if (lambda) {
      diagnostics.error(call.range, "a lambda is applied where its result is a number");
      return std::nullopt;
    }
    std::vector<Entity> args;
    for (auto [i, arg] : llvm::enumerate(call.args)) {
      const ast::FnDecl::Param &param = callee.function->params[i];
      if (!param.pattern.hasAxes)
        if (auto known = evaluateConstant(*arg.value, *scope)) {
          // A number stays one: sizes and choices inside depend on it.
          Entity constant;
          constant.kind = Entity::Absent;
          constant.range = arg.value->range;
          args.push_back(constant);
          continue;
        }
      if (param.pattern.hasAxes && !param.pattern.axes.empty()) {
        // The parameter's axes are the argument's index space.
        auto *name = llvm::dyn_cast<ast::NameExpr>(arg.value.get());
        bool plain = name && scope->findValue(name->name);
        if (!plain && llvm::isa<ast::IfExpr, ast::IndexExpr, ast::NumberExpr>(
                          arg.value.get())) {
          auto value = defineTensor(param.pattern, *arg.value, scope, false);
          if (!value)
            return std::nullopt;
          Entity entity;
          entity.kind = Entity::Tensor;
          entity.tensor = *value;
          entity.range = arg.value->range;
          args.push_back(std::move(entity));
          continue;
        }
      }
      auto value = evaluate(*arg.value, scope);
      if (!value)
        return std::nullopt;
      args.push_back(std::move(*value));
    }
    auto inner = std::make_shared<Scope>(callee.scope);
    for (auto [i, arg] : llvm::enumerate(call.args)) {
      const ast::FnDecl::Param &param = callee.function->params[i];
      if (!param.pattern.hasAxes)
        if (auto known = evaluateConstant(*arg.value, *scope))
          inner->constants[param.pattern.name.name] = *known;
    }
    if (!inner->findCut())
      if (const TensorValue *cut = scope->findCut())
        inner->cut = std::make_shared<TensorValue>(*cut);
    std::vector<std::pair<size_t, TensorValue>> given;
    for (auto [i, arg] : llvm::enumerate(args))
      if (arg.kind == Entity::Tensor)
        given.push_back({i, arg.tensor});
    auto result =
        callFunction(*callee.function, inner, std::move(args), call.range, point);
    // The names of a library function's axes mean nothing here.
    bool library = !callee.scope->parent && callee.scope->axes.empty();
    if (result && library)
      exportAxes(*result, *callee.function, *inner, given);
    return result;
  }
  diagnostics.error(call.callee->range, "this is not a function, a part or a layer "
                                        "that can be called");
  return std::nullopt;
}

/// split and concat.
std::optional<Entity>
Elaborator::callBuiltinTensor(const ast::CallExpr &call, llvm::StringRef name,
                              std::shared_ptr<Scope> scope, bool &known) {
  known = name == "split" || name == "concat";
  if (!known)
    return std::nullopt;
  auto tensorEntity = [&](TensorValue tensor) {
    Entity entity;
    entity.kind = Entity::Tensor;
    entity.tensor = std::move(tensor);
    entity.range = call.range;
    return entity;
  };
  if (name == "split") {
    if (call.args.size() < 2) {
      diagnostics.error(call.range, "'split' takes a tensor and the pieces of its "
                                    "last axis");
      return std::nullopt;
    }
    auto tensor = evaluateTensor(*call.args[0].value, scope);
    if (!tensor)
      return std::nullopt;
    if (tensor->axes.empty() || tensor->inlined) {
      diagnostics.error(call.args[0].value->range, "this has no axis to split");
      return std::nullopt;
    }
    unsigned last = tensor->axes.size() - 1;
    int64_t total = tensor->axes[last].size, offset = 0;
    Entity result;
    result.kind = Entity::Tuple;
    for (const ast::Arg &arg : llvm::drop_begin(call.args)) {
      // A piece is a size, an axis, or axes stored as one.
      llvm::SmallVector<Axis> axes;
      auto one = [&](const ast::Expr &expr) -> bool {
        if (auto *lag = llvm::dyn_cast<ast::LagExpr>(&expr)) {
          auto axis = resolveAxis(lag->axis, *scope, true);
          if (!axis)
            return false;
          axes.push_back(*axis);
          return true;
        }
        if (auto *axisName = llvm::dyn_cast<ast::NameExpr>(&expr))
          if (auto *axis = scope->findAxis(axisName->name);
              axis && !scope->findConstant(axisName->name)) {
            axes.push_back(axis->first);
            return true;
          }
        auto size = requireInteger(expr, *scope, "the size of a piece");
        if (!size)
          return false;
        Axis axis;
        axis.size = *size;
        axes.push_back(axis);
        return true;
      };
      auto *tuple = llvm::dyn_cast<ast::TupleExpr>(arg.value.get());
      if (tuple) {
        for (auto [i, element] : llvm::enumerate(tuple->elements)) {
          const ast::Expr *size = i < tuple->sizes.size() ? tuple->sizes[i].get()
                                                          : nullptr;
          auto *plain = llvm::dyn_cast<ast::NameExpr>(element.get());
          if (!size || !plain) {
            if (!one(*element))
              return std::nullopt;
            continue;
          }
          auto extent = requireInteger(*size, *scope, "the extent of an axis");
          if (!extent)
            return std::nullopt;
          Axis axis;
          axis.name = plain->name;
          axis.size = *extent;
          axis.range = plain->range;
          if (!scope->findAxis(axis.name))
            scope->axes[axis.name] = {axis, plain->range};
          axes.push_back(axis);
        }
      } else if (!one(*arg.value)) {
        return std::nullopt;
      }
      Axis piece;
      piece.size = 1;
      for (const Axis &axis : axes)
        piece.size *= axis.size;
      if (axes.size() == 1)
        piece = axes[0];
      if (piece.size < 0 || offset + piece.size > total) {
        diagnostics.error(arg.value->range, "the pieces up to here have " +
                                                llvm::Twine(offset + piece.size) +
                                                " elements, the axis " +
                                                llvm::Twine(total));
        return std::nullopt;
      }
      TensorValue part = slice(*tensor, last, offset, piece);
      offset += piece.size;
      if (axes.size() > 1) {
        // Give the merged axes dimensions of their own.
        llvm::SmallVector<IndexId> variables;
        llvm::SmallVector<Axis> all;
        llvm::SmallVector<AffineExpr> at;
        for (const Axis &axis : llvm::ArrayRef<Axis>(part.axes).drop_back()) {
          variables.push_back(newIndex(axis));
          all.push_back(axis);
          at.push_back(dim(variables.back()));
        }
        AffineExpr merged;
        for (const Axis &axis : axes) {
          variables.push_back(newIndex(axis));
          all.push_back(axis);
          AffineExpr d = dim(variables.back());
          merged = merged ? merged * axis.size + d : d;
        }
        at.push_back(merged);
        PointContext none;
        auto value = access(part, at, {}, arg.value->range, *scope, none);
        if (!value)
          return std::nullopt;
        part = materialize(*value, variables, all, false);
      }
      result.elements.push_back(tensorEntity(std::move(part)));
    }
    if (offset != total) {
      diagnostics.error(call.range, "the pieces have " + llvm::Twine(offset) +
                                        " elements together, the axis has " +
                                        llvm::Twine(total));
      return std::nullopt;
    }
    return result;
  }

  // concat along the last axis.
  std::vector<TensorValue> parts;
  int64_t total = 0;
  bool isComplex = false;
  for (const ast::Arg &arg : call.args) {
    auto tensor = evaluateTensor(*arg.value, scope);
    if (!tensor)
      return std::nullopt;
    if (tensor->axes.empty()) {
      diagnostics.error(arg.value->range, "'concat' joins the last axes of tensors; "
                                          "this has none");
      return std::nullopt;
    }
    // Full tensors over equal leading axes.
    PointContext point;
    llvm::SmallVector<IndexId> variables;
    llvm::SmallVector<AffineExpr> at;
    for (const Axis &axis : tensor->axes) {
      variables.push_back(newIndex(axis));
      at.push_back(dim(variables.back()));
    }
    bool whole = tensor->re && llvm::all_of(tensor->dimension,
                                            [](int d) { return d >= 0; });
    if (!whole) {
      auto value = access(*tensor, at, {}, arg.value->range, *scope, point);
      if (!value)
        return std::nullopt;
      tensor = materialize(*value, variables, tensor->axes, true);
    }
    if (!parts.empty())
      for (auto [a, b] : llvm::zip(llvm::ArrayRef(parts[0].axes).drop_back(),
                                   llvm::ArrayRef(tensor->axes).drop_back()))
        if (a.size != b.size || parts[0].axes.size() != tensor->axes.size()) {
          diagnostics.error(arg.value->range,
                            "'concat' needs equal axes before the last");
          return std::nullopt;
        }
    isComplex |= tensor->isComplex();
    total += tensor->axes.back().size;
    parts.push_back(*tensor);
  }
  TensorValue result = parts[0];
  Axis joined;
  joined.size = total;
  result.axes.back() = joined;
  auto join = [&](bool imaginary) -> Value {
    llvm::SmallVector<int64_t> sizes;
    for (const Axis &axis : result.axes)
      sizes.push_back(axis.size);
    Value whole = emptyTensor(sizes, result.batched, scalarType);
    int64_t offset = 0;
    for (TensorValue &part : parts) {
      Value value = imaginary ? part.im : part.re;
      auto type = llvm::cast<RankedTensorType>(whole.getType());
      llvm::SmallVector<int64_t> partSizes;
      for (const Axis &axis : part.axes)
        partSizes.push_back(axis.size);
      llvm::SmallVector<OpFoldResult> offsets(type.getRank(),
                                              builder.getIndexAttr(0)),
          strides(type.getRank(), builder.getIndexAttr(1)),
          extents = mixedSizes(partSizes, result.batched);
      offsets.back() = builder.getIndexAttr(offset);
      whole = insertSlice(builder, loc, value, whole, offsets, extents, strides);
      offset += part.axes.back().size;
    }
    return whole;
  };
  if (isComplex)
    for (auto [part, arg] : llvm::zip(parts, call.args))
      if (!part.im) {
        diagnostics.error(arg.value->range, "'concat' joins real with complex");
        return std::nullopt;
      }
  result.re = join(false);
  result.im = isComplex ? join(true) : Value();
  return tensorEntity(std::move(result));
}

//===----------------------------------------------------------------------===//
// Operators over axes
//===----------------------------------------------------------------------===//

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
  if (!expr.operand) {
    diagnostics.error(expr.range, "'" + op + "' over axes needs an operand");
    return std::nullopt;
  }
  auto body = evaluatePoint(*expr.operand, scope, inner);
  if (!body)
    return std::nullopt;
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

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

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

std::optional<Number> Elaborator::sumOver(llvm::ArrayRef<IndexId> over,
                                          Number body, llvm::SMRange range,
                                          Scope &scope) {
  auto sumTerm = [&](const TermRef &term) -> std::optional<TermRef> {
    if (isConstant(term, 0))
      return term;
    if (term->hasState)
      return reduce(over, term);
    auto [outside, inside] = factor(term, over);
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
TensorValue Elaborator::shift(const TensorValue &tensor, int64_t distance,
                              Scope &scope, llvm::StringRef name) {
  TensorValue result = tensor;
  if (distance < 0)
    reversed = true;
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
      addState(uniqueState(name), sizes, type.getElementType(), current);
      history = current;
      outs.push_back(history);
      types.push_back(history.getType());
    }
    Value cut;
    if (const TensorValue *found = scope.findCut(); found && distance > 0)
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
