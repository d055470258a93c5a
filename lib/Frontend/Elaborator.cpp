//===- Elaborator.cpp - Layers, parameters, parts, weights ----------------===//

#include "Elaborator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Verifier.h"
#include "ssm/IR/SSM.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include <cmath>

using namespace ssmc;
using namespace mlir;

/// Extents known at run time, as ssmrt.h numbers them.
constexpr int64_t kBatchCode = -1, kLengthCode = -2;

static std::string text(double number) {
  return Constant::of(number, std::isfinite(number)).str();
}

std::string Constant::str() const {
  if (kind == Name)
    return name;
  if (kind == Boolean)
    return number != 0 ? "true" : "false";
  if (kind == Integer && std::fabs(number) < 1e18)
    return std::to_string(int64_t(number));
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%g", number);
  return text;
}

//===----------------------------------------------------------------------===//
// Scopes
//===----------------------------------------------------------------------===//

Entity *Scope::findValue(llvm::StringRef name) {
  for (Scope *s = this; s; s = s->parent.get()) {
    auto found = s->values.find(name.str());
    if (found != s->values.end()) {
      if (found->second.kind == Entity::Wrong)
        *found->second.used = true;
      return &found->second;
    }
    if (s->constants.count(name.str()))
      return nullptr;
  }
  return nullptr;
}

Constant *Scope::findConstant(llvm::StringRef name) {
  for (Scope *s = this; s; s = s->parent.get()) {
    auto found = s->constants.find(name.str());
    if (found != s->constants.end())
      return &found->second;
  }
  return nullptr;
}

std::pair<Axis, llvm::SMRange> *Scope::findAxis(llvm::StringRef name) {
  for (Scope *s = this; s; s = s->parent.get()) {
    auto found = s->axes.find(name.str());
    if (found != s->axes.end())
      return &found->second;
  }
  return nullptr;
}

const TensorValue *Scope::findCut() {
  for (Scope *s = this; s; s = s->parent.get())
    if (s->cut)
      return s->cut.get();
  return nullptr;
}

bool Scope::isLoopIndex(llvm::StringRef name) {
  for (Scope *s = this; s; s = s->parent.get())
    if (!s->loopIndex.empty() && s->loopIndex == name)
      return true;
  return false;
}

//===----------------------------------------------------------------------===//
// Axes and indices
//===----------------------------------------------------------------------===//

IndexId Elaborator::newIndex(Axis axis) {
  indexAxes.push_back(std::move(axis));
  return indexAxes.size() - 1;
}

AffineExpr Elaborator::dim(IndexId id) { return getAffineDimExpr(id, &context); }

/// The index at place 0 of an axis.
AffineExpr Elaborator::firstOf(const Axis &axis) {
  return getAffineSymbolExpr(0, &context) * axis.firstScale + axis.first;
}

/// The index that a variable, which counts places from 0, stands for.
AffineExpr Elaborator::indexOf(IndexId id) { return dim(id) + firstOf(indexAxis(id)); }

/// An index variable and an axis it walks must have the same extent.
bool Elaborator::unify(IndexId id, int64_t size, llvm::SMRange range) {
  Axis &axis = indexAxis(id);
  if (axis.size == kUnknownExtent) {
    axis.size = size;
    axis.sequence = size == kDynamicExtent;
    return true;
  }
  if (size == kUnknownExtent || axis.size == size)
    return true;
  auto text = [](int64_t extent) {
    return extent == kDynamicExtent    ? std::string("the length of the sequence")
           : extent == kLagExtent      ? std::string("all lags back")
           : extent == kTwoSidedExtent ? std::string("all lags in two directions")
                                    : std::to_string(extent);
  };
  diagnostics.error(range, "axis '" + axis.name + "' has extent " + text(axis.size) +
                               ", here it walks an axis of extent " + text(size));
  if (axis.range.isValid())
    diagnostics.note(axis.range, "the axis is declared here");
  return false;
}

/// The axis a pattern names; with `define`, `name: size` declares it.
std::optional<Axis> Elaborator::resolveAxis(const ast::AxisPattern &pattern,
                                            Scope &scope, bool define) {
  Axis axis;
  axis.range = pattern.range;
  if (pattern.kind == ast::AxisPattern::Merged) {
    axis.size = 1;
    for (const ast::AxisPattern &member : pattern.members) {
      auto one = resolveAxis(member, scope, define);
      if (!one)
        return std::nullopt;
      axis.size *= one->size;
      axis.members.push_back(*one);
    }
    return axis;
  }
  if (pattern.kind == ast::AxisPattern::Rest) {
    diagnostics.error(pattern.range, "'..' stands for the leading axes of an argument; "
                                     "there is none here");
    return std::nullopt;
  }
  auto extent = [&](const ast::Expr &expr) -> bool {
    auto size = requireInteger(expr, scope, "the extent of an axis");
    if (!size)
      return false;
    if (*size < 0)
      return diagnostics.error(expr.range, "an axis has an extent of 0 or more, found " +
                                               llvm::Twine(*size));
    if (*size > (int64_t(1) << 40))
      return diagnostics.error(expr.range, "an axis has an extent of at most 2^40, found " +
                                               llvm::Twine(*size));
    axis.size = *size;
    return true;
  };
  if (pattern.kind == ast::AxisPattern::Size) {
    if (!extent(*pattern.size))
      return std::nullopt;
    return axis;
  }
  axis.name = pattern.name.name;
  auto *known = scope.findAxis(axis.name);
  if (pattern.extent == ast::AxisPattern::Seq ||
      (axis.name == "t" && !pattern.size && !known)) {
    axis.sequence = true;
    axis.size = kDynamicExtent;
    if (define)
      scope.axes[axis.name] = {axis, pattern.range};
    return axis;
  }
  if (pattern.extent == ast::AxisPattern::Lag) {
    if (!resolveLag(pattern, axis, scope))
      return std::nullopt;
    if (define)
      scope.axes[axis.name] = {axis, pattern.range};
    return axis;
  }
  if (pattern.size) {
    if (!extent(*pattern.size))
      return std::nullopt;
    if (pattern.extent == ast::AxisPattern::Pairs) {
      if (axis.size % 2) {
        diagnostics.error(pattern.size->range, "'pairs' needs an even extent, found " +
                                                   llvm::Twine(axis.size));
        return std::nullopt;
      }
      axis.size /= 2;
      axis.pairs = true;
    }
    if (known && known->first.size != axis.size) {
      diagnostics.error(pattern.range, "axis '" + axis.name + "' already has extent " +
                                           llvm::Twine(known->first.size) +
                                           ", here it gets " + llvm::Twine(axis.size));
      diagnostics.note(known->second, "declared here");
      return std::nullopt;
    }
    if (define && !known)
      scope.axes[axis.name] = {axis, pattern.range};
    return axis;
  }
  if (known) {
    Axis found = known->first;
    found.range = known->second;
    return found;
  }
  // A parameter as an extent makes an axis without a name.
  if (Constant *constant = scope.findConstant(axis.name)) {
    if (constant->kind != Constant::Integer) {
      diagnostics.error(pattern.range, "an extent must be an integer, '" + axis.name +
                                           "' is " + constant->str());
      return std::nullopt;
    }
    axis.name.clear();
    axis.size = int64_t(constant->number);
    return axis;
  }
  if (wrongAxes.count(axis.name))
    return std::nullopt;
  diagnostics.error(pattern.range, "axis '" + axis.name + "' has no extent: its first "
                                   "appearance must give one, " + axis.name + ": SIZE");
  return std::nullopt;
}

/// `lag` is as long as the input; `lag(M)` has the lags 0 to M - 1; in
/// `lag(a .. b)` both ends belong to it, and they may be infinite.
bool Elaborator::resolveLag(const ast::AxisPattern &pattern, Axis &axis,
                            Scope &scope) {
  double from = 0, to = INFINITY;
  auto end = [&](const ast::Expr &expr, double &value) {
    auto number = requireConstant(expr, scope, "an end of a lag");
    if (!number)
      return false;
    value = number->number;
    if (!number->isNumber() ||
        (std::isfinite(value) && value != std::floor(value)) || std::isnan(value) ||
        (std::isfinite(value) && std::fabs(value) > double(int64_t(1) << 40)))
      return diagnostics.error(expr.range, "an end of a lag is an integer, -inf or inf, "
                                           "found " + number->str());
    return true;
  };
  if (pattern.lagFrom && !end(*pattern.lagFrom, from))
    return false;
  if (pattern.lagTo && !end(*pattern.lagTo, to))
    return false;
  if (pattern.lagTo && !pattern.lagFrom)
    to -= 1;
  if (to < from)
    return diagnostics.error(pattern.range, "a lag needs at least one value; from " +
                                                text(from) + " to " + text(to) +
                                                " there is none");
  if (std::isfinite(from) && std::isfinite(to)) {
    axis.size = int64_t(to - from) + 1;
    axis.first = int64_t(from);
    return true;
  }
  if ((from < 0 && std::isfinite(from)) || (to > 0 && std::isfinite(to)))
    return diagnostics.error(pattern.range, "a lag that is infinite on one side does not "
                                            "go beyond 0 on the other; write "
                                            "lag(-inf .. inf)");
  if (from < 0 && to > 0) {
    axis.size = kTwoSidedExtent;
    axis.firstScale = -1;
  } else {
    axis.size = kLagExtent;
    axis.firstScale = from < 0 ? -1 : 0;
    axis.first = int64_t(from < 0 ? to + 1 : from);
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Finding things
//===----------------------------------------------------------------------===//

const ast::LayerDecl *Elaborator::findLayer(llvm::StringRef name) {
  auto [module, plain] = name.split('.');
  for (const ast::Module *m : modules)
    for (const auto &layer : m->layers) {
      if (layer->name.name == name)
        return layer.get();
      if (!plain.empty() && m->name == module && layer->name.name == plain)
        return layer.get();
    }
  return nullptr;
}

const ast::FnDecl *Elaborator::findFunction(llvm::StringRef name) {
  for (const ast::Module *m : modules)
    for (const auto &fn : m->functions)
      if (fn->name.name == name)
        return fn.get();
  return nullptr;
}

const ast::FnDecl *Elaborator::forwardOf(const Instance &instance) {
  for (const ast::StmtPtr &member : instance.layer->members)
    if (auto *fn = llvm::dyn_cast<ast::FnDecl>(member.get()))
      if (fn->name.name == "forward")
        return fn;
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Parameters and parts
//===----------------------------------------------------------------------===//

/// Gives each parameter its value: from the call, or from --set for the layer that
/// is compiled, or its default.
bool Elaborator::bindParameters(const ast::LayerDecl &layer,
                                const ast::CallExpr *call, Scope *caller,
                                Scope &scope) {
  std::map<std::string, const ast::Expr *> given;
  if (call) {
    size_t position = 0;
    for (const ast::Arg &arg : call->args) {
      std::string name = arg.name.name;
      if (name.empty()) {
        if (position >= layer.params.size()) {
          diagnostics.error(arg.value->range, "'" + layer.name.name + "' has " +
                                                  llvm::Twine(layer.params.size()) +
                                                  " parameters; this is one more");
          diagnostics.note(layer.name.range, "declared here");
          return false;
        }
        name = layer.params[position++].name.name;
      }
      bool known = llvm::any_of(layer.params, [&](const ast::Param &p) {
        return p.name.name == name;
      });
      if (!known) {
        diagnostics.error(arg.name.range.isValid() ? arg.name.range : arg.value->range,
                          "'" + layer.name.name + "' has no parameter '" + name + "'");
        diagnostics.note(layer.name.range, "declared here");
        return false;
      }
      if (!given.insert({name, arg.value.get()}).second)
        return diagnostics.error(arg.value->range,
                                 "parameter '" + name + "' is given twice");
    }
  }
  for (const ast::Param &param : layer.params) {
    const std::string &name = param.name.name;
    llvm::SmallVector<std::string> choices;
    for (const ast::Ident &choice : param.choices)
      choices.push_back(choice.name);
    if (!param.type.name.empty()) {
      bool found = false;
      for (const ast::Module *m : modules)
        for (const ast::NamesDecl &names : m->names)
          if (names.name.name == param.type.name) {
            found = true;
            for (const ast::Ident &choice : names.choices)
              choices.push_back(choice.name);
          }
      if (!found)
        return diagnostics.error(param.type.range, "'" + param.type.name +
                                                       "' is not a declared list of "
                                                       "names");
    }
    // A choice is a name, not an expression.
    auto asChoice = [&](const ast::Expr &expr) -> std::optional<Constant> {
      if (auto *plain = llvm::dyn_cast<ast::NameExpr>(&expr))
        if (llvm::is_contained(choices, plain->name))
          return Constant::of(plain->name);
      return std::nullopt;
    };
    std::optional<Constant> value;
    llvm::SMRange where = param.name.range;
    auto found = given.find(name);
    auto set = options.set.find(name);
    if (found != given.end()) {
      where = found->second->range;
      value = asChoice(*found->second);
      if (!value)
        value = requireConstant(*found->second, *caller, "a parameter");
      if (!value)
        return false;
    } else if (call && call->passRest && caller->findConstant(name)) {
      value = *caller->findConstant(name);
    } else if (!call && set != options.set.end()) {
      const std::string &text = set->second;
      double number;
      if (llvm::is_contained(choices, text))
        value = Constant::of(text);
      else if (text == "true" || text == "false")
        value = Constant::of(text == "true");
      else if (!llvm::StringRef(text).getAsDouble(number))
        value = Constant::of(number, number == std::floor(number) &&
                                         std::fabs(number) < 1e15);
      else
        value = Constant::of(text);
    } else if (param.testValue &&
               ((options.testValues && !call) || !param.defaultValue ||
                (!options.config && !evaluateConstant(*param.defaultValue, scope) &&
                 !asChoice(*param.defaultValue)))) {
      where = param.testValue->range;
      value = asChoice(*param.testValue);
      if (!value)
        value = requireConstant(*param.testValue, scope, "the parameter '" + name + "'");
      if (!value)
        return false;
    } else if (param.defaultValue) {
      where = param.defaultValue->range;
      value = asChoice(*param.defaultValue);
      if (!value)
        value = requireConstant(*param.defaultValue, scope, "the parameter '" + name + "'");
      if (!value)
        return false;
    } else {
      if (call)
        diagnostics.error(call->range, "'" + layer.name.name + "' needs its parameter '" +
                                           name + "'");
      else
        diagnostics.error(param.name.range, "the parameter '" + name + "' of '" +
                                                layer.name.name +
                                                "' has no default; give it with --set " +
                                                name + "=VALUE");
      return false;
    }
    if (!choices.empty() && !llvm::is_contained(choices, value->str())) {
      diagnostics.error(where, "'" + value->str() + "' is not one of " +
                                   llvm::join(choices, " | "));
      if (where.Start != param.name.range.Start)
        diagnostics.note(param.name.range, "the parameter is declared here");
      return false;
    }
    if (choices.empty() && !call && !checkKind(param, *value, scope, where))
      return false;
    // A list of names may contain numbers: they are compared as names.
    scope.constants[name] = *value;
    if (!call)
      parameters.emplace_back(name, value->str());
  }
  if (!call)
    for (auto &[name, text] : options.set) {
      bool known = llvm::any_of(layer.params, [&, &name = name](const ast::Param &p) {
        return p.name.name == name;
      });
      if (!known)
        return diagnostics.error(layer.name.range, "'" + layer.name.name +
                                                       "' has no parameter '" + name +
                                                       "' (--set " + name + "=" + text +
                                                       ")");
    }
  return true;
}

/// A number where the default is a number, and so on: what comes from the command
/// line or a config.json may be anything.
bool Elaborator::checkKind(const ast::Param &param, const Constant &value, Scope &scope,
                           llvm::SMRange where) {
  const ast::Expr *usual = param.testValue.get();
  if (!usual && param.defaultValue) {
    usual = param.defaultValue.get();
    if (auto *config = llvm::dyn_cast<ast::ConfigExpr>(usual))
      usual = config->fallback.get();
  }
  auto wanted = usual ? evaluateConstant(*usual, scope) : std::nullopt;
  if (!wanted || wanted->kind == Constant::Name || wanted->kind == value.kind ||
      (wanted->isNumber() && value.isNumber()))
    return true;
  return diagnostics.error(where, "the parameter '" + param.name.name + "' is " +
                                      value.str() + "; wanted " +
                                      (wanted->isNumber() ? "a number" : "true or false"));
}

std::shared_ptr<Instance>
Elaborator::instantiate(const ast::LayerDecl &declared, const ast::CallExpr *call,
                        std::shared_ptr<Scope> caller, std::string prefix,
                        std::string instancePath) {
  struct Leave {
    unsigned &depth;
    ~Leave() { --depth; }
  } leave{depth};
  if (++depth > 100) {
    diagnostics.error(declared.range, "layers contain each other without end");
    return nullptr;
  }
  if (!countUnfolded(declared.range))
    return nullptr;
  auto scope = std::make_shared<Scope>(nullptr);
  if (!bindParameters(declared, call, caller.get(), *scope))
    return nullptr;
  if (declared.alias) {
    auto *other = llvm::dyn_cast<ast::CallExpr>(declared.alias.get());
    auto *name = other ? llvm::dyn_cast<ast::NameExpr>(other->callee.get()) : nullptr;
    const ast::LayerDecl *target = name ? findLayer(name->name) : nullptr;
    if (!target) {
      diagnostics.error(declared.alias->range, "this is not a layer");
      return nullptr;
    }
    return instantiate(*target, other, scope, prefix, instancePath);
  }
  auto instance = std::make_shared<Instance>();
  instance->layer = &declared;
  instance->scope = scope;
  instance->prefix = std::move(prefix);
  instance->path = std::move(instancePath);
  return instance;
}

/// `{i}`, `{2*i+1}` in a checkpoint name. A rolled loop's index gives `{}`.
std::optional<std::string> Elaborator::expandName(llvm::StringRef text, Scope &scope,
                                                  llvm::SMRange range) {
  std::string result;
  while (!text.empty()) {
    size_t open = text.find('{');
    result += text.take_front(open).str();
    if (open == llvm::StringRef::npos)
      break;
    text = text.drop_front(open + 1);
    size_t close = text.find('}');
    if (close == llvm::StringRef::npos) {
      diagnostics.error(range, "a '{' in a name is not closed");
      return std::nullopt;
    }
    llvm::StringRef inside = text.take_front(close).trim();
    text = text.drop_front(close + 1);
    if (scope.isLoopIndex(inside)) {
      result += "{}";
      continue;
    }
    // A sum of terms, each a product of integers and constants.
    double sum = 0;
    bool good = true;
    std::string spaced = inside.str();
    llvm::SmallVector<llvm::StringRef> terms;
    llvm::StringRef(spaced).split(terms, '+');
    for (llvm::StringRef term : terms) {
      double product = 1;
      llvm::SmallVector<llvm::StringRef> factors;
      term.split(factors, '*');
      for (llvm::StringRef piece : factors) {
        piece = piece.trim();
        llvm::SmallVector<llvm::StringRef> minus;
        piece.split(minus, '-');
        double value = 0;
        for (auto [i, one] : llvm::enumerate(minus)) {
          double number;
          one = one.trim();
          if (one.getAsDouble(number)) {
            Constant *constant = scope.findConstant(one);
            if (!constant || !constant->isNumber()) {
              good = false;
              number = 0;
            } else {
              number = constant->number;
            }
          }
          value = i ? value - number : number;
        }
        product *= value;
      }
      sum += product;
    }
    if (!good) {
      diagnostics.error(range, "'{" + inside + "}' in a name is not a number here");
      return std::nullopt;
    }
    result += std::to_string(int64_t(sum));
  }
  return result;
}

/// A part from its expression: a layer with parameters, a choice among such, or a
/// member of a family of parts (or weights).
std::optional<Entity> Elaborator::evaluatePart(const ast::Expr &expr,
                                               std::shared_ptr<Scope> scope,
                                               const std::string &prefix,
                                               const std::string &partPath) {
  if (auto *choice = llvm::dyn_cast<ast::IfExpr>(&expr)) {
    for (auto [condition, value] : llvm::zip(choice->conditions, choice->values)) {
      auto holds = requireBoolean(*condition, *scope, "this condition");
      if (!holds)
        return std::nullopt;
      if (*holds)
        return evaluatePart(*value, scope, prefix, partPath);
    }
    if (choice->otherwise)
      return evaluatePart(*choice->otherwise, scope, prefix, partPath);
    diagnostics.error(expr.range, "this 'if' needs an 'else'");
    return std::nullopt;
  }
  if (auto *match = llvm::dyn_cast<ast::MatchExpr>(&expr)) {
    auto subject = requireConstant(*match->subject, *scope, "the subject of a match");
    if (!subject)
      return std::nullopt;
    for (const ast::MatchExpr::Arm &arm : match->arms)
      if (arm.label.name == subject->str())
        return evaluatePart(*arm.value, scope, prefix, partPath);
    diagnostics.error(expr.range, "no arm for '" + subject->str() + "'");
    return std::nullopt;
  }
  if (auto *index = llvm::dyn_cast<ast::IndexExpr>(&expr)) {
    auto *name = llvm::dyn_cast<ast::NameExpr>(index->base.get());
    Entity *family = name ? scope->findValue(name->name) : nullptr;
    if (!family || index->items.size() != 1 ||
        (family->kind != Entity::PartFamily && family->kind != Entity::WeightFamily)) {
      diagnostics.error(expr.range, "this is not a member of a family");
      return std::nullopt;
    }
    auto inner = std::make_shared<Scope>(family->scope);
    const std::vector<ast::AxisPattern> &indices =
        family->kind == Entity::PartFamily ? family->part->family
                                           : family->weight->target.family;
    const std::string &own = indices[0].name.name;
    auto *indexName = llvm::dyn_cast<ast::NameExpr>(index->items[0].index.get());
    if (indexName && scope->isLoopIndex(indexName->name)) {
      inner->loopIndex = own;
    } else {
      auto at = requireInteger(*index->items[0].index, *scope, "the index of a family");
      if (!at)
        return std::nullopt;
      int64_t from = 0;
      std::optional<int64_t> count;
      const ast::AxisPattern &pattern = indices[0];
      auto *range = pattern.size ? llvm::dyn_cast<ast::RangeExpr>(pattern.size.get())
                                 : nullptr;
      if (range) {
        auto a = requireInteger(*range->from, *family->scope, "the start of a family");
        count = requireInteger(*range->to, *family->scope, "the end of a family");
        if (!a || !count)
          return std::nullopt;
        from = *a;
      } else if (pattern.size) {
        count = requireInteger(*pattern.size, *family->scope, "the size of a family");
      } else if (Constant *size = family->scope->findConstant(own)) {
        count = int64_t(size->number);
      }
      if (count && (*at < from || *at >= *count)) {
        diagnostics.error(index->items[0].index->range,
                          "'" + name->name + "' has members " + llvm::Twine(from) +
                              " to " + llvm::Twine(*count - 1) + ", found " +
                              llvm::Twine(*at));
        diagnostics.note(pattern.range, "declared here");
        return std::nullopt;
      }
      inner->constants[own] = Constant::of(double(*at), true);
    }
    if (family->kind == Entity::PartFamily) {
      const ast::PartStmt &part = *family->part;
      std::string text = part.at ? *part.at : part.name.name + ".{" + own + "}";
      auto expanded = expandName(text, *inner, expr.range);
      if (!expanded)
        return std::nullopt;
      std::string full = family->name + *expanded;
      if (!full.empty() && !expanded->empty())
        full += ".";
      return evaluatePart(*part.value, inner, full, full.substr(0, full.size() - 1));
    }
    llvm::SmallVector<Axis> axes;
    auto tensor = weightTensor(*family->weight, inner, family->name, axes);
    if (!tensor)
      return std::nullopt;
    Entity entity;
    entity.kind = Entity::Tensor;
    entity.tensor = *tensor;
    entity.range = expr.range;
    return entity;
  }
  const ast::CallExpr *call = llvm::dyn_cast<ast::CallExpr>(&expr);
  auto *name = llvm::dyn_cast<ast::NameExpr>(call ? call->callee.get() : &expr);
  if (!name) {
    diagnostics.error(expr.range, "a part is a layer with its parameters");
    return std::nullopt;
  }
  Entity entity;
  entity.kind = Entity::Part;
  entity.range = expr.range;
  if (name->name == "Identity")
    return entity;
  // A local function may choose the layer: `short(K)`.
  Entity *local = scope->findValue(name->name);
  const ast::FnDecl *fn = local && local->kind == Entity::Function
                              ? local->function
                              : findFunction(name->name);
  if (fn && call && fn->value && !findLayer(name->name)) {
    auto inner = std::make_shared<Scope>(local ? local->scope : nullptr);
    for (auto [param, arg] : llvm::zip(fn->params, call->args)) {
      auto value = requireConstant(*arg.value, *scope, "a parameter");
      if (!value)
        return std::nullopt;
      inner->constants[param.pattern.name.name] = *value;
    }
    return evaluatePart(*fn->value, inner, prefix, partPath);
  }
  const ast::LayerDecl *layer = findLayer(name->name);
  if (!layer) {
    std::string nearest = suggest(name->name, *scope);
    diagnostics.error(name->range,
                      "there is no layer '" + name->name + "'" +
                          (nearest.empty() ? "; is an import missing?" : nearest));
    return std::nullopt;
  }
  ast::CallExpr empty(nullptr, expr.range);
  entity.instance = instantiate(*layer, call ? call : &empty, scope, prefix, partPath);
  if (!entity.instance)
    return std::nullopt;
  return entity;
}

bool Elaborator::declarePart(const ast::PartStmt &part, Instance &instance) {
  Entity entity;
  entity.range = part.name.range;
  auto scope = instance.scope;
  if (part.condition) {
    auto present = requireBoolean(*part.condition, *scope, "this condition");
    if (!present)
      return false;
    if (!*present) {
      // One name may be declared under several conditions.
      entity.range = part.condition->range;
      scope->values.insert({part.name.name, entity});
      return true;
    }
  }
  if (!part.family.empty()) {
    entity.kind = Entity::PartFamily;
    entity.part = &part;
    entity.scope = scope;
    entity.name = instance.prefix;
    if (part.family.size() != 1)
      return diagnostics.error(part.name.range, "a family of parts has one index");
    scope->values[part.name.name] = entity;
    return true;
  }
  auto text = expandName(part.at ? *part.at : part.name.name, *scope, part.range);
  if (!text)
    return false;
  std::string prefix = instance.prefix + *text + (text->empty() ? "" : ".");
  std::string partPath =
      instance.path + (instance.path.empty() ? "" : ".") + part.name.name;
  auto value = evaluatePart(*part.value, scope, prefix, partPath);
  if (!value)
    return false;
  value->range = part.name.range;
  scope->values[part.name.name] = *value;
  return true;
}

/// Declares parts and weights and computes lets, in the order of the text.
bool Elaborator::elaborateMembers(Instance &instance) {
  if (instance.elaborated)
    return true;
  instance.elaborated = true;
  std::shared_ptr<Scope> scope = instance.scope;
  bool good = true;
  // Functions are visible everywhere in the layer.
  for (const ast::StmtPtr &member : instance.layer->members)
    if (auto *fn = llvm::dyn_cast<ast::FnDecl>(member.get())) {
      Entity entity;
      entity.kind = Entity::Function;
      entity.function = fn;
      entity.scope = scope;
      entity.range = fn->name.range;
      if (fn->name.name != "forward")
        scope->values[fn->name.name] = entity;
    }
  for (const ast::StmtPtr &member : instance.layer->members)
    good &= goOn(*member, *scope, [&] { return elaborateMember(*member, instance); });
  return good;
}

bool Elaborator::elaborateMember(const ast::Stmt &member, Instance &instance) {
  std::shared_ptr<Scope> scope = instance.scope;
  switch (member.kind) {
  case ast::Stmt::Fn:
    return true;
  case ast::Stmt::Part:
    return declarePart(llvm::cast<ast::PartStmt>(member), instance);
  case ast::Stmt::Weight:
    return declareWeight(llvm::cast<ast::WeightStmt>(member), instance);
  case ast::Stmt::Let:
  case ast::Stmt::Assign:
  case ast::Stmt::Kernel:
  case ast::Stmt::Table:
  case ast::Stmt::If:
    return runStatement(member, scope, nullptr);
  default:
    return diagnostics.error(member.range, "this belongs into a function");
  }
}

bool Elaborator::declareWeight(const ast::WeightStmt &weight, Instance &instance) {
  std::shared_ptr<Scope> scope = instance.scope;
  Entity entity;
  entity.weight = &weight;
  entity.scope = scope;
  entity.name = instance.prefix;
  entity.range = weight.target.name.range;
  entity.kind =
      weight.target.family.empty() ? Entity::Weight : Entity::WeightFamily;
  bool present = true;
  if (weight.condition) {
    auto holds = requireBoolean(*weight.condition, *scope, "this condition");
    if (!holds)
      return false;
    present = *holds;
  }
  // One name may be declared under several conditions.
  const std::string &name = weight.target.name.name;
  if (!present && weight.otherwise) {
    auto other = evaluate(*weight.otherwise, scope);
    if (!other)
      return false;
    scope->values[name] = *other;
    return true;
  }
  if (!present) {
    if (!scope->values.count(name)) {
      entity.kind = Entity::Absent;
      entity.range = weight.condition->range;
      scope->values[name] = entity;
    }
    return true;
  }
  // Extents are known from here on, used or not.
  bool good = true;
  for (const ast::AxisPattern &axis : weight.target.axes)
    good &= resolveAxis(axis, *scope, true).has_value();
  scope->values[name] = entity;
  return good;
}

//===----------------------------------------------------------------------===//
// Arguments of the function: weights and states
//===----------------------------------------------------------------------===//

Value Elaborator::addArgument(Type type, llvm::ArrayRef<NamedAttribute> attrs) {
  unsigned index = function.getNumArguments();
  (void)function.insertArgument(index, type, builder.getDictionaryAttr(attrs), loc);
  return function.getArgument(index);
}

static Type storedType(llvm::StringRef name, Type fallback, OpBuilder &builder) {
  if (name == "f32" || name == "F32")
    return builder.getF32Type();
  if (name == "f64" || name == "F64")
    return builder.getF64Type();
  if (name == "bf16" || name == "BF16")
    return builder.getBF16Type();
  if (name == "f16" || name == "F16")
    return builder.getF16Type();
  return fallback;
}

const Entity *Elaborator::resolveWeight(Entity &entity, Scope &scope) {
  llvm::SmallVector<Axis> axes;
  auto tensor = weightTensor(*entity.weight, entity.scope, entity.name, axes);
  if (!tensor)
    return nullptr;
  // Inside a loop over depth the view belongs to the iteration.
  static thread_local Entity result;
  result = Entity();
  result.kind = Entity::Tensor;
  result.tensor = *tensor;
  result.range = entity.range;
  return &result;
}

std::optional<TensorValue>
Elaborator::weightTensor(const ast::WeightStmt &weight, std::shared_ptr<Scope> scope,
                         const std::string &prefix, llvm::ArrayRef<Axis>) {
  std::string text = weight.at ? *weight.at : weight.target.name.name;
  if (weight.group && !weight.group->empty())
    text = *weight.group + "." + text;
  auto expanded = expandName(text, *scope, weight.range);
  if (!expanded)
    return std::nullopt;
  std::string name = prefix + *expanded;
  int64_t family = llvm::StringRef(name).contains("{}") ? loop->trips : 0;

  TensorValue tensor;
  llvm::SmallVector<int64_t> stored, shape;
  for (const ast::AxisPattern &pattern : weight.target.axes) {
    auto axis = resolveAxis(pattern, *scope, true);
    if (!axis)
      return std::nullopt;
    if (isRunTimeExtent(axis->size)) {
      diagnostics.error(pattern.range, "a weight is stored, so its axes have extents; "
                                       "write lag(EXTENT)");
      return std::nullopt;
    }
    stored.push_back(axis->size);
    // A literal 1 carries no index.
    auto *literal = pattern.size ? llvm::dyn_cast<ast::NumberExpr>(pattern.size.get())
                                 : nullptr;
    if (pattern.kind == ast::AxisPattern::Size && literal && literal->value == 1)
      continue;
    tensor.dimension.push_back(shape.size());
    shape.push_back(axis->size);
    tensor.axes.push_back(*axis);
  }
  Type element = storedType(
      [&]() -> llvm::StringRef {
        std::string key = name;
        size_t at = key.find("{}");
        if (at != std::string::npos)
          key.replace(at, 2, "0");
        auto found = options.weightTypes.find(key);
        return found == options.weightTypes.end() ? "" : llvm::StringRef(found->second);
      }(),
      scalarType, builder);
  bool isComplex = weight.target.isComplex;
  if (isComplex) {
    stored.push_back(2);
    shape.push_back(2);
  }
  Value &argument = weightArguments[name];
  if (!argument) {
    llvm::SmallVector<int64_t> full(shape);
    if (family)
      full.insert(full.begin(), family);
    argument = addArgument(
        RankedTensorType::get(full, element),
        {builder.getNamedAttr("ssm.weight", builder.getStringAttr(name)),
         builder.getNamedAttr("ssm.shape", builder.getDenseI64ArrayAttr(stored))});
    WeightInfo info;
    info.name = name;
    info.shape.assign(stored.begin(), stored.end());
    info.family = family;
    if (weight.init) {
      PointContext point;
      unsigned position = 0;
      auto initScope = std::make_shared<Scope>(scope);
      llvm::SmallVector<std::pair<IndexId, unsigned>> places;
      auto bind = [&](const Axis &axis, unsigned place) {
        IndexId id = newIndex(axis);
        if (!axis.name.empty())
          point.bound[axis.name] = dim(id);
        point.variables.push_back(id);
        places.push_back({id, place});
      };
      for (const ast::AxisPattern &pattern : weight.target.axes) {
        auto axis = resolveAxis(pattern, *scope, true);
        if (axis->members.empty())
          bind(*axis, position);
        ++position;
      }
      auto value = evaluatePoint(*weight.init, initScope, point);
      if (!value)
        return std::nullopt;
      llvm::DenseMap<IndexId, AffineExpr> map;
      for (auto [id, place] : places)
        map[id] = getAffineDimExpr(place, &context);
      if (!value->re->fixed) {
        diagnostics.error(weight.init->range, "an initialiser depends on indices and "
                                              "parameters only");
        return std::nullopt;
      }
      info.init = substitute(value->re, [&](IndexId id) { return map.lookup(id); },
                             &context);
    }
    weights.push_back(std::move(info));
  }
  Value whole = argument;
  if (family) {
    // One slice an iteration, shared by all its uses.
    auto &[slice, owner] = loopSlices[name];
    if (!slice) {
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointToStart(loop->op.getBody());
      auto type = cast<RankedTensorType>(argument.getType());
      llvm::SmallVector<OpFoldResult> offsets(type.getRank(), builder.getIndexAttr(0)),
          strides(type.getRank(), builder.getIndexAttr(1)), sizes;
      offsets[0] = loop->op.getInductionVar();
      for (int64_t extent : type.getShape())
        sizes.push_back(builder.getIndexAttr(extent));
      sizes[0] = builder.getIndexAttr(1);
      slice = makeSlice(argument, offsets, sizes, strides,
                        RankedTensorType::get(shape, element));
    }
    whole = slice;
  }
  if (!isComplex) {
    tensor.re = whole;
    return tensor;
  }
  auto type = cast<RankedTensorType>(whole.getType());
  for (unsigned part = 0; part < 2; ++part) {
    llvm::SmallVector<OpFoldResult> offsets(type.getRank(), builder.getIndexAttr(0)),
        strides(type.getRank(), builder.getIndexAttr(1)), sizes;
    for (int64_t extent : type.getShape())
      sizes.push_back(builder.getIndexAttr(extent));
    offsets.back() = builder.getIndexAttr(part);
    sizes.back() = builder.getIndexAttr(1);
    Value slice =
        makeSlice(whole, offsets, sizes, strides,
                  RankedTensorType::get(type.getShape().drop_back(), element));
    (part ? tensor.im : tensor.re) = slice;
  }
  return tensor;
}

std::string Elaborator::uniqueState(llvm::StringRef name) {
  std::string base = (path.empty() ? "" : path + ".") + name.str();
  int count = stateNames[base]++;
  return count ? base + "." + std::to_string(count) : base;
}

Elaborator::StateSlot &Elaborator::addState(llvm::StringRef name,
                                            llvm::ArrayRef<int64_t> sizes, Type type,
                                            Value &current) {
  llvm::SmallVector<int64_t> shape = {ShapedType::kDynamic};
  for (int64_t size : sizes)
    shape.push_back(isRunTimeExtent(size) ? ShapedType::kDynamic : size);
  auto whole = RankedTensorType::get(shape, type);
  auto stateAttrs = [&](llvm::StringRef stateName, llvm::ArrayRef<int64_t> extents) {
    llvm::SmallVector<int64_t> dims(extents);
    bool sawBatch = false;
    for (int64_t &extent : dims)
      if (ShapedType::isDynamic(extent)) {
        extent = sawBatch ? kLengthCode : kBatchCode;
        sawBatch = true;
      }
    return llvm::SmallVector<NamedAttribute>{
        builder.getNamedAttr("ssm.state", builder.getStringAttr(stateName)),
        builder.getNamedAttr("ssm.dims", builder.getDenseI64ArrayAttr(dims))};
  };
  StateSlot slot;
  slot.name = name.str();
  if (loop) {
    slot.family = loop->trips;
    llvm::SmallVector<int64_t> full(shape);
    full.insert(full.begin(), loop->trips);
    slot.argument = addArgument(RankedTensorType::get(full, type),
                                stateAttrs(name, full));
    llvm::SmallVector<OpFoldResult> offsets(full.size(), builder.getIndexAttr(0)),
        strides(full.size(), builder.getIndexAttr(1)), extents;
    offsets[0] = loop->op.getInductionVar();
    extents.push_back(builder.getIndexAttr(1));
    extents.push_back(sizeOfBatch());
    for (auto [i, size] : llvm::enumerate(sizes))
      extents.push_back(isRunTimeExtent(size)
                            ? OpFoldResult(tensor::DimOp::create(builder, loc, slot.argument,
                                                                 i + 2)
                                               .getResult())
                            : OpFoldResult(builder.getIndexAttr(size)));
    current = makeSlice(slot.argument, offsets, extents, strides, whole);
    slot.inner = current;
  } else {
    slot.argument = addArgument(whole, stateAttrs(name, shape));
    slot.value = current = slot.argument;
  }
  states.push_back(slot);
  return states.back();
}

void Elaborator::setState(unsigned slot, Value value) {
  (loop ? states[slot].inner : states[slot].value) = value;
}

Value Elaborator::sizeOfBatch() { return batch; }
Value Elaborator::sizeOfLength() { return length; }

//===----------------------------------------------------------------------===//
// The layer's function
//===----------------------------------------------------------------------===//

Elaborator::Elaborator(MLIRContext &context, Diagnostics &diagnostics,
                       const FrontendOptions &options)
    : context(context), diagnostics(diagnostics), options(options),
      builder(&context), loc(UnknownLoc::get(&context)) {
  scalarType = options.doublePrecision ? Type(builder.getF64Type())
                                       : Type(builder.getF32Type());
}

/// Declares the inputs as arguments, runs the body, returns results and states.
bool Elaborator::emitForward(Instance &instance) {
  const ast::FnDecl *forward = forwardOf(instance);
  if (!forward)
    return diagnostics.error(instance.layer->range, "layer '" + instance.layer->name.name +
                                                        "' has no fn forward");
  // Which inputs and results are states.
  std::map<std::string, bool> initials;
  for (const ast::StmtPtr &stmt : forward->body)
    if (auto *state = llvm::dyn_cast<ast::StateStmt>(stmt.get()))
      if (auto *from = state->from ? llvm::dyn_cast<ast::NameExpr>(state->from.get())
                                   : nullptr)
        initials[from->name] = true;

  position = addArgument(builder.getIndexType(),
                         {builder.getNamedAttr("ssm.position", builder.getUnitAttr())});
  prepared = addArgument(
      builder.getIndexType(),
      {builder.getNamedAttr("ssm.prepared_length", builder.getUnitAttr())});
  // Axes get their extents from the weights.
  bool good = elaborateMembers(instance);
  auto scope = std::make_shared<Scope>(instance.scope);
  std::vector<Entity> args;
  bool sized = false;
  for (const ast::FnDecl::Param &param : forward->params) {
    const ast::Pattern &pattern = param.pattern;
    const std::string &name = pattern.name.name;
    if (param.condition) {
      auto present = requireBoolean(*param.condition, *instance.scope, "this condition");
      if (!present)
        return false;
      if (!*present)
        continue;
    }
    Entity entity;
    entity.range = pattern.name.range;
    if (initials.count(name)) {
      for (const ast::AxisPattern &axis : pattern.axes)
        if (axis.name.name == "t")
          return diagnostics.error(axis.range,
                                   "a state starts from '" + name +
                                       "', its value before the first token, which "
                                       "has no sequence axis");
      entity.kind = Entity::InitialState;
      entity.name = name;
      args.push_back(entity);
      continue;
    }
    TensorValue tensor;
    llvm::SmallVector<int64_t> shape;
    bool hasSequence = false;
    for (const ast::AxisPattern &axisPattern : pattern.axes) {
      auto axis = resolveAxis(axisPattern, *scope, true);
      if (!axis)
        return false;
      hasSequence |= axis->sequence;
      tensor.dimension.push_back(shape.size());
      tensor.axes.push_back(*axis);
      shape.push_back(axis->sequence ? ShapedType::kDynamic : axis->size);
    }
    tensor.batched = (hasSequence && !param.shared) || param.batched;
    if (tensor.batched)
      shape.insert(shape.begin(), ShapedType::kDynamic);
    tensor.integer = pattern.isInt;
    Type element = pattern.isInt ? Type(builder.getI64Type()) : scalarType;
    if (pattern.isComplex)
      shape.push_back(2);
    llvm::SmallVector<int64_t> dims(shape);
    for (auto [i, extent] : llvm::enumerate(dims))
      if (ShapedType::isDynamic(extent))
        extent = tensor.batched && i == 0 ? kBatchCode : kLengthCode;
    Value argument = addArgument(
        RankedTensorType::get(shape, element),
        {builder.getNamedAttr("ssm.input", builder.getStringAttr(name)),
         builder.getNamedAttr("ssm.dims", builder.getDenseI64ArrayAttr(dims))});
    if (hasSequence && tensor.batched && !sized) {
      sized = true;
      batch = tensor::DimOp::create(builder, loc, argument, 0);
      for (auto [i, axis] : llvm::enumerate(tensor.axes))
        if (axis.sequence) {
          length = tensor::DimOp::create(builder, loc, argument, i + 1);
          break;
        }
    }
    tensor.re = argument;
    if (pattern.isComplex) {
      // Pairs of reals from here on.
      auto type = cast<RankedTensorType>(argument.getType());
      Value whole = argument;
      for (unsigned part = 0; part < 2; ++part) {
        llvm::SmallVector<OpFoldResult> offsets(type.getRank(),
                                                builder.getIndexAttr(0)),
            strides(type.getRank(), builder.getIndexAttr(1)), sizes;
        for (int64_t d = 0; d < type.getRank(); ++d)
          sizes.push_back(type.isDynamicDim(d)
                              ? OpFoldResult(tensor::DimOp::create(builder, loc, whole, d)
                                                 .getResult())
                              : OpFoldResult(builder.getIndexAttr(type.getDimSize(d))));
        offsets.back() = builder.getIndexAttr(part);
        sizes.back() = builder.getIndexAttr(1);
        Value slice =
            makeSlice(whole, offsets, sizes, strides,
                      RankedTensorType::get(type.getShape().drop_back(), element));
        (part ? tensor.im : tensor.re) = slice;
      }
    }
    entity.kind = Entity::Tensor;
    entity.tensor = tensor;
    args.push_back(entity);
  }
  if (!sized)
    return diagnostics.error(forward->name.range, "a layer needs an input with the "
                                                  "sequence axis t");
  auto run = std::make_shared<Scope>(instance.scope);
  auto result = callFunction(*forward, run, std::move(args), forward->name.range, nullptr);
  if (!result || !good)
    return false;
  std::vector<Entity> values;
  if (result->kind == Entity::Tuple)
    values = result->elements;
  else
    values.push_back(*result);

  // Results: outputs in their order, then every state.
  llvm::SmallVector<Value> returned;
  llvm::SmallVector<Type> types;
  llvm::SmallVector<DictionaryAttr> attrs;
  llvm::SmallVector<Attribute> signature;
  size_t next = 0;
  for (const ast::FnDecl::Result &declared : forward->results) {
    const std::string &name = declared.pattern.name.name;
    if (declared.condition) {
      auto present = evaluateConstant(*declared.condition, *instance.scope);
      if (present && present->number == 0)
        continue;
    }
    auto found = run->values.find(name);
    if (found != run->values.end() && found->second.kind == Entity::FinalState) {
      states[found->second.slot].finalOutput = name;
      ++next;
      continue;
    }
    TensorValue tensor = values[next++].tensor;
    // Outputs are whole: every axis, and the batch, is there.
    llvm::SmallVector<IndexId> variables;
    llvm::SmallVector<AffineExpr> at;
    for (const Axis &axis : tensor.axes) {
      variables.push_back(newIndex(axis));
      at.push_back(dim(variables.back()));
    }
    bool hasSequence = llvm::any_of(tensor.axes, [](const Axis &a) { return a.sequence; });
    bool whole = tensor.re && (tensor.batched || !hasSequence) &&
                 llvm::all_of(llvm::enumerate(tensor.dimension), [](auto d) {
                   return d.value() == int(d.index());
                 });
    if (!whole) {
      PointContext none;
      auto value = access(tensor, at, {}, declared.pattern.range, *run, none);
      if (!value)
        return false;
      tensor = materialize(*value, variables, tensor.axes, true);
    }
    Value value = tensor.re;
    if (tensor.im) {
      // Complex values cross the boundary with a last axis of two.
      auto type = cast<RankedTensorType>(value.getType());
      llvm::SmallVector<int64_t> sizes;
      for (const Axis &axis : tensor.axes)
        sizes.push_back(axis.size);
      sizes.push_back(2);
      Value pair = emptyTensor(sizes, tensor.batched, type.getElementType());
      sizes.back() = 1;
      for (unsigned part = 0; part < 2; ++part) {
        llvm::SmallVector<OpFoldResult> offsets(type.getRank() + 1,
                                                builder.getIndexAttr(0)),
            strides(type.getRank() + 1, builder.getIndexAttr(1)),
            extents = mixedSizes(sizes, tensor.batched);
        offsets.back() = builder.getIndexAttr(part);
        pair = insertSlice(builder, loc, part ? tensor.im : tensor.re, pair, offsets,
                           extents, strides);
      }
      value = pair;
    }
    returned.push_back(value);
    llvm::SmallVector<int64_t> dims;
    if (tensor.batched)
      dims.push_back(kBatchCode);
    for (const Axis &axis : tensor.axes)
      dims.push_back(axis.sequence ? kLengthCode : axis.size);
    if (tensor.im)
      dims.push_back(2);
    attrs.push_back(builder.getDictionaryAttr(
        {builder.getNamedAttr("ssm.output", builder.getStringAttr(name)),
         builder.getNamedAttr("ssm.dims", builder.getDenseI64ArrayAttr(dims))}));
  }
  for (auto [i, slot] : llvm::enumerate(states)) {
    unsigned argument = cast<BlockArgument>(slot.argument).getArgNumber();
    if (!slot.initialInput.empty())
      function.setArgAttr(argument, "ssm.initial", builder.getStringAttr(slot.initialInput));
    if (!slot.finalOutput.empty())
      function.setArgAttr(argument, "ssm.final", builder.getStringAttr(slot.finalOutput));
    returned.push_back(slot.value);
    attrs.push_back(builder.getDictionaryAttr(
        builder.getNamedAttr("ssm.state", builder.getStringAttr(slot.name))));
  }
  func::ReturnOp::create(builder, loc, returned);
  for (Value value : returned)
    types.push_back(value.getType());
  function.setFunctionType(
      builder.getFunctionType(function.getBody().getArgumentTypes(), types));
  function.setAllResultAttrs(attrs);
  return true;
}

OwningOpRef<ModuleOp> Elaborator::run(const ast::Module &main) {
  const ast::LayerDecl *layer = nullptr;
  if (!options.layer.empty()) {
    for (const auto &candidate : main.layers)
      if (candidate->name.name == options.layer)
        layer = candidate.get();
    if (!layer) {
      std::string names;
      for (const auto &candidate : main.layers)
        names += (names.empty() ? "" : ", ") + candidate->name.name;
      diagnostics.error(main.layers.empty() ? SMRange() : main.layers[0]->name.range,
                        "there is no layer '" + options.layer + "'; the file has " +
                            names);
      return nullptr;
    }
  } else if (!main.layers.empty()) {
    layer = main.layers.back().get();
  }
  if (!layer) {
    const llvm::SourceMgr &sources = diagnostics.getSources();
    auto begin = llvm::SMLoc::getFromPointer(
        sources.getMemoryBuffer(sources.getMainFileID())->getBufferStart());
    diagnostics.error(SMRange(begin, begin), "the file declares no layer");
    return nullptr;
  }
  auto instance = instantiate(*layer, nullptr, std::make_shared<Scope>(nullptr), "", "");
  if (!instance)
    return nullptr;
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  builder.setInsertionPointToEnd(module->getBody());
  function = func::FuncOp::create(builder, loc, "forward", builder.getFunctionType({}, {}));
  builder.setInsertionPointToStart(function.addEntryBlock());
  if (!emitForward(*instance))
    return nullptr;
  function->setAttr("ssm.layer", builder.getStringAttr(layer->name.name));
  if (reversed || exactLength)
    function->setAttr("ssm.whole_sequence", builder.getUnitAttr());
  if (exactLength)
    function->setAttr("ssm.exact_length", builder.getUnitAttr());
  if (prepared.use_empty()) {
    unsigned number = cast<BlockArgument>(prepared).getArgNumber();
    (void)function.eraseArgument(number);
  }
  if (failed(verify(*module))) {
    diagnostics.error(layer->name.range, "the compiler made an invalid function of this "
                                         "layer; this is a bug of the compiler");
    return nullptr;
  }
  return module;
}
