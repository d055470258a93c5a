//===- ElaboratePart.cpp - Parts and names in a checkpoint ----------------===//
//
// A part is a layer with parameters, a choice among such, or a member of a family.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

using namespace ssmc;
using namespace mlir;

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
    return evaluatePart(*choice->otherwise, scope, prefix, partPath);
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
    auto inner = makeScope(family->scope);
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
    auto tensor = weightTensor(*family->weight, inner, family->name);
    if (!tensor)
      return std::nullopt;
    return Entity::of(std::move(*tensor), expr.range);
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
    auto inner = makeScope(local ? local->scope : nullptr);
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
