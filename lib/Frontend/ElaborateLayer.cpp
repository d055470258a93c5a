//===- ElaborateLayer.cpp - Layers and their parameters -------------------===//
//
// A layer becomes an instance: its parameters get values, from the call, from the
// command line or by default, and its members are declared in the order of the text.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

#include "llvm/ADT/StringExtras.h"
#include <cmath>

using namespace ssmc;
using namespace mlir;

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

/// Gives each parameter its value: from the call, or from --set for the layer that
/// is compiled (and what it is another name of), or its default.
bool Elaborator::bindParameters(const ast::LayerDecl &layer,
                                const ast::CallExpr *call, Scope *caller,
                                Scope &scope, bool isCompiled) {
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
        if (llvm::is_contained(choices, plain->name) ||
            (!choices.empty() && !evaluateConstant(expr, call ? *caller : scope)))
          return Constant::of(plain->name); // if it is not one of them: see below
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
    } else if (isCompiled && set != options.set.end()) {
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
               ((options.testValues && isCompiled) || !param.defaultValue ||
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
    if (choices.empty() && isCompiled && !checkKind(param, *value, scope, where))
      return false;
    // A list of names may contain numbers: they are compared as names.
    scope.constants[name] = *value;
    if (isCompiled && found == given.end() && !isSettable(name))
      parameters.emplace_back(name, value->str());
  }
  return true;
}

bool Elaborator::isSettable(llvm::StringRef name) const {
  return llvm::any_of(parameters, [&](auto &entry) { return entry.first == name; });
}

/// What --set names are parameters of the layer that is compiled, or of the one that it
/// is another name of.
bool Elaborator::checkSettings(const ast::LayerDecl &layer) {
  for (auto &[name, text] : options.set)
    if (!isSettable(name))
      return diagnostics.error(layer.name.range,
                               "'" + layer.name.name + "' has no parameter '" + name +
                                   "' (--set " + name + "=" + text + ")");
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
                        std::string instancePath, bool isCompiled) {
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
  auto scope = makeScope(nullptr);
  if (!bindParameters(declared, call, caller.get(), *scope, isCompiled))
    return nullptr;
  if (declared.alias) {
    auto *other = llvm::dyn_cast<ast::CallExpr>(declared.alias.get());
    auto *name = other ? llvm::dyn_cast<ast::NameExpr>(other->callee.get()) : nullptr;
    const ast::LayerDecl *target = name ? findLayer(name->name) : nullptr;
    if (!target) {
      diagnostics.error(declared.alias->range, "this is not a layer");
      return nullptr;
    }
    return instantiate(*target, other, scope, prefix, instancePath,
                       isCompiled && other->passRest);
  }
  auto instance = std::make_shared<Instance>();
  instance->layer = &declared;
  instance->scope = scope;
  instance->prefix = std::move(prefix);
  instance->path = std::move(instancePath);
  return instance;
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
    llvm_unreachable("a statement of a function in a layer");
  }
}
