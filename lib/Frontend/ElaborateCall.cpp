//===- ElaborateCall.cpp - Calls of parts and functions -------------------===//
//
// Arguments take the axes of the parameters; results give theirs back to the caller.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

using namespace ssmc;
using namespace mlir;

/// The place of `..`, or the number of axes.
static size_t findRest(const std::vector<ast::AxisPattern> &axes) {
  return llvm::find_if(axes, [](const ast::AxisPattern &axis) {
           return axis.kind == ast::AxisPattern::Rest;
         }) -
         axes.begin();
}

/// Gives the axes of a call's result the names of the caller: those of the arguments
/// they came from, or none.
void Elaborator::exportAxes(Entity &result, const ast::FnDecl &fn, Scope &scope,
                            llvm::ArrayRef<std::pair<size_t, TensorValue>> args) {
  std::map<std::string, Axis> names;
  size_t firstKept = 0; // of what `..` stands for
  for (const auto &[number, tensor] : args) {
    if (number >= fn.params.size())
      continue;
    const std::vector<ast::AxisPattern> &axes = fn.params[number].pattern.axes;
    size_t restAt = findRest(axes);
    if (restAt < axes.size())
      firstKept = restAt;
    for (auto [i, pattern] : llvm::enumerate(axes)) {
      size_t at = i > restAt ? tensor.axes.size() - axes.size() + i : i;
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
      if (i >= firstKept && i < firstKept + kept)
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

Entity *Elaborator::findCallee(llvm::StringRef name, Scope &scope,
                               Entity &library) {
  if (Entity *entity = scope.findValue(name))
    return entity;
  const ast::FnDecl *fn = findFunction(name);
  if (!fn)
    return nullptr;
  library.kind = Entity::Function;
  library.function = fn;
  library.scope = makeScope(nullptr);
  return &library;
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
      auto inner = makeScope(callee.instance->scope);
      inner->inheritCuts(*scope);
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
      auto inner = makeScope(callee.scope);
      inner->inheritCuts(*scope);
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
          if (good)
            entity = Entity::of(std::move(*bound), entity.range);
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
          args.push_back(Entity::of(std::move(*value), arg.value->range));
          continue;
        }
      }
      auto value = evaluate(*arg.value, scope);
      if (!value)
        return std::nullopt;
      args.push_back(std::move(*value));
    }
    auto inner = makeScope(callee.scope);
    for (auto [i, arg] : llvm::enumerate(call.args)) {
      const ast::FnDecl::Param &param = callee.function->params[i];
      if (!param.pattern.hasAxes)
        if (auto known = evaluateConstant(*arg.value, *scope))
          inner->constants[param.pattern.name.name] = *known;
    }
    inner->inheritCuts(*scope);
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

/// Runs a function over tensors; several results come as a tuple.
std::optional<Entity>
Elaborator::callFunction(const ast::FnDecl &fn, std::shared_ptr<Scope> scope,
                         std::vector<Entity> args, llvm::SMRange where,
                         PointContext *point, llvm::StringRef) {
  if (++depth > 200) {
    diagnostics.error(where, "functions call each other without end");
    --depth;
    return std::nullopt;
  }
  struct Leave {
    unsigned &depth;
    ~Leave() { --depth; }
  } leave{depth};
  // The text calls a layer by the name of the part.
  std::string callee =
      fn.name.name == "forward" ? "the layer" : "'" + fn.name.name + "'";
  if (args.size() > fn.params.size()) {
    diagnostics.error(where, callee + " takes " + llvm::Twine(fn.params.size()) +
                                 (fn.params.size() == 1 ? " argument" : " arguments") +
                                 ", found " + llvm::Twine(args.size()));
    diagnostics.note(fn.name.range, "declared here");
    return std::nullopt;
  }
  // Parameters under conditions that are false take no argument.
  size_t next = 0;
  for (const ast::FnDecl::Param &param : fn.params) {
    const std::string &name = param.pattern.name.name;
    if (param.condition) {
      auto present = requireBoolean(*param.condition, *scope, "this condition");
      if (!present)
        return std::nullopt;
      if (!*present) {
        Entity absent;
        absent.range = param.condition->range;
        scope->values[name] = absent;
        continue;
      }
    }
    if (scope->constants.count(name)) { // bound by the caller as a number
      ++next;
      if (param.pattern.hasAxes) {
        Constant value = scope->constants[name];
        scope->constants.erase(name);
        TensorValue number = materialize(real(constant(value.number)), {}, {}, false);
        auto bound = bindParameter(param.pattern, number, *scope, where);
        if (!bound)
          return std::nullopt;
        scope->values[name] = Entity::of(std::move(*bound));
      }
      continue;
    }
    if (next >= args.size()) {
      if (!param.defaultValue) {
        diagnostics.error(where, "argument '" + name + "' of " + callee + " is missing");
        diagnostics.note(param.pattern.range, "declared here");
        return std::nullopt;
      }
      if (auto known = evaluateConstant(*param.defaultValue, *scope)) {
        if (!param.pattern.hasAxes) {
          scope->constants[name] = *known;
          continue;
        }
      }
      auto value = defineTensor(param.pattern, *param.defaultValue, scope, false);
      if (!value)
        return std::nullopt;
      scope->values[name] = Entity::of(std::move(*value));
      continue;
    }
    Entity arg = std::move(args[next++]);
    if (arg.kind == Entity::Point) {
      arg.kind = Entity::Tensor;
      arg.tensor = materialize(arg.number, {}, {}, false);
    }
    if (arg.kind == Entity::Tensor && param.pattern.hasAxes) {
      auto bound = bindParameter(param.pattern, arg.tensor, *scope, where);
      if (!bound)
        return std::nullopt;
      arg.tensor = *bound;
    }
    // A state that is passed through is no tensor, but its axes may appear first here.
    if (arg.kind == Entity::InitialState)
      for (const ast::AxisPattern &axis : param.pattern.axes)
        if (!resolveAxis(axis, *scope, true))
          return std::nullopt;
    arg.range = param.pattern.name.range;
    scope->values[name] = std::move(arg);
  }
  scope->enclosing = &fn;
  if (fn.cutWhere) {
    // True where a document starts: neither state nor shifted reads cross.
    ast::Pattern cut;
    cut.name = fn.cutAxis;
    cut.hasAxes = true;
    cut.axes.emplace_back();
    cut.axes.back().name = fn.cutAxis;
    cut.axes.back().range = fn.cutAxis.range;
    auto value = defineTensor(cut, *fn.cutWhere, scope, true);
    if (!value)
      return std::nullopt;
    if (!value->boolean) {
      diagnostics.error(fn.cutWhere->range, "'cut' needs a condition, found a number");
      return std::nullopt;
    }
    if (!value->axes[0].sequence) {
      diagnostics.error(fn.cutAxis.range, "'cut' is along a sequence axis; '" +
                                              fn.cutAxis.name + "' is none");
      return std::nullopt;
    }
    scope->cuts[value->axes[0].size] = *value;
  }

  std::vector<const ast::FnDecl::Result *> results;
  std::vector<std::string> resultNames;
  for (const ast::FnDecl::Result &result : fn.results) {
    if (result.condition) {
      auto present = requireBoolean(*result.condition, *scope, "this condition");
      if (!present)
        return std::nullopt;
      if (!*present)
        continue;
    }
    // An axis may appear first in a result.
    for (const ast::AxisPattern &axis : result.pattern.axes)
      if (axis.kind == ast::AxisPattern::Name && axis.size &&
          !scope->findAxis(axis.name.name) && evaluateConstant(*axis.size, *scope) &&
          !resolveAxis(axis, *scope, true))
        return std::nullopt;
    results.push_back(&result);
    resultNames.push_back(result.pattern.name.name);
  }

  Entity returned;
  if (fn.value) {
    if (results.size() == 1 && results[0]->pattern.hasAxes) {
      auto value = defineTensor(results[0]->pattern, *fn.value, scope, false);
      if (!value)
        return std::nullopt;
      return Entity::of(std::move(*value));
    }
    if (!fn.resultAxes.empty()) {
      ast::Pattern pattern;
      pattern.hasAxes = true;
      pattern.name = fn.name;
      // Axis patterns own expressions: take them by reference for this call.
      auto &axes = const_cast<std::vector<ast::AxisPattern> &>(fn.resultAxes);
      std::swap(pattern.axes, axes);
      auto value = defineTensor(pattern, *fn.value, scope, false);
      std::swap(pattern.axes, axes);
      if (!value)
        return std::nullopt;
      return Entity::of(std::move(*value));
    }
    return evaluate(*fn.value, scope);
  }
  scope->usedLater = &resultNames;
  bool good = runBody(fn.body, scope, &returned);
  scope->usedLater = nullptr;
  if (!good)
    return std::nullopt;
  if (returned.kind != Entity::Absent)
    return returned;
  if (results.empty()) {
    diagnostics.error(fn.range, "'" + fn.name.name + "' gives no result: name one "
                                "after '->' or return a value");
    return std::nullopt;
  }
  Entity tuple;
  tuple.kind = Entity::Tuple;
  for (const ast::FnDecl::Result *result : results) {
    const std::string &name = result->pattern.name.name;
    auto found = scope->values.find(name);
    if (found == scope->values.end()) {
      diagnostics.error(result->pattern.range, "the result '" + name +
                                                   "' is not assigned");
      return std::nullopt;
    }
    Entity value = found->second;
    if (value.kind == Entity::Tensor && result->pattern.hasAxes) {
      auto bound = bindParameter(result->pattern, value.tensor, *scope,
                                 result->pattern.range, /*splits=*/false);
      if (!bound)
        return std::nullopt;
      value.tensor = *bound;
    }
    tuple.elements.push_back(std::move(value));
  }
  if (tuple.elements.size() == 1)
    return tuple.elements[0];
  return tuple;
}
