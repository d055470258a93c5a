//===- ElaborateErrors.cpp - Going on after an error ----------------------===//
//
// A statement with an error leaves its names behind as wrong. What is said of a
// statement that uses one of them would only repeat the first error: it is not
// shown, and makes the names of that statement wrong in turn.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

using namespace ssmc;

namespace {
/// Names of which each may be declared once.
struct Declared {
  Diagnostics &diagnostics;
  std::map<std::string, llvm::SMRange> first;

  void add(const ast::Ident &name, llvm::StringRef what) {
    if (name.name.empty())
      return;
    auto [known, fresh] = first.insert({name.name, name.range});
    if (fresh)
      return;
    diagnostics.error(name.range, what + " '" + name.name + "' is declared twice; rename "
                                                            "one of the two");
    diagnostics.note(known->second, "the first one is here");
  }
};
} // namespace

static void checkDeclaredOnce(const ast::FnDecl &fn, Diagnostics &diagnostics) {
  Declared arguments{diagnostics, {}}, results{diagnostics, {}};
  for (const ast::FnDecl::Param &param : fn.params)
    if (!param.condition)
      arguments.add(param.pattern.name, "argument");
  for (const ast::FnDecl::Result &result : fn.results)
    if (!result.condition)
      results.add(result.pattern.name, "result");
}

static void checkDeclaredOnce(const ast::LayerDecl &layer, Diagnostics &diagnostics) {
  Declared parameters{diagnostics, {}}, members{diagnostics, {}};
  for (const ast::Param &param : layer.params)
    parameters.add(param.name, "parameter");
  // What exists under a condition may be declared again under another.
  for (const ast::StmtPtr &member : layer.members) {
    if (auto *part = llvm::dyn_cast<ast::PartStmt>(member.get())) {
      if (!part->condition)
        members.add(part->name, "part");
    } else if (auto *weight = llvm::dyn_cast<ast::WeightStmt>(member.get())) {
      if (!weight->condition)
        members.add(weight->target.name, "weight");
    } else if (auto *fn = llvm::dyn_cast<ast::FnDecl>(member.get())) {
      members.add(fn->name, "function");
      checkDeclaredOnce(*fn, diagnostics);
    }
  }
}

void Elaborator::addModule(const ast::Module &module) {
  modules.push_back(&module);
  Declared layers{diagnostics, {}}, functions{diagnostics, {}};
  for (const auto &layer : module.layers) {
    layers.add(layer->name, "layer");
    checkDeclaredOnce(*layer, diagnostics);
  }
  for (const auto &fn : module.functions) {
    functions.add(fn->name, "function");
    checkDeclaredOnce(*fn, diagnostics);
  }
}

static void collectAxes(llvm::ArrayRef<ast::AxisPattern> axes,
                        std::set<std::string> &names) {
  for (const ast::AxisPattern &axis : axes) {
    if (!axis.name.name.empty())
      names.insert(axis.name.name);
    collectAxes(axis.members, names);
  }
}

void Elaborator::markWrong(const ast::Ident &name, Scope &scope) {
  if (name.name.empty())
    return;
  Entity entity;
  entity.kind = Entity::Wrong;
  entity.used = &diagnostics.consequence;
  entity.range = name.range;
  scope.constants.erase(name.name);
  scope.values[name.name] = entity;
}

void Elaborator::markWrong(const ast::Pattern &target, Scope &scope) {
  collectAxes(target.axes, wrongAxes);
  collectAxes(target.family, wrongAxes);
  if (!target.isTuple)
    markWrong(target.name, scope);
  for (const ast::Pattern &element : target.elements)
    markWrong(element, scope);
}

void Elaborator::markWrong(const ast::Stmt &stmt, Scope &scope) {
  switch (stmt.kind) {
  case ast::Stmt::Assign:
  case ast::Stmt::Let:
  case ast::Stmt::Kernel:
  case ast::Stmt::Table:
    return markWrong(llvm::cast<ast::AssignStmt>(stmt).target, scope);
  case ast::Stmt::State: {
    auto &state = llvm::cast<ast::StateStmt>(stmt);
    markWrong(state.state, scope);
    markWrong(state.to, scope);
    for (const ast::StateStmt::Line &line : state.lines)
      if (line.kind == ast::StateStmt::Line::Output)
        markWrong(line.target, scope);
    return;
  }
  case ast::Stmt::For:
    for (const ast::StmtPtr &inner : llvm::cast<ast::ForStmt>(stmt).body)
      markWrong(*inner, scope);
    return;
  case ast::Stmt::If: {
    auto &choice = llvm::cast<ast::IfStmt>(stmt);
    for (const ast::StmtPtr &inner : choice.thenBody)
      markWrong(*inner, scope);
    for (const ast::StmtPtr &inner : choice.elseBody)
      markWrong(*inner, scope);
    return;
  }
  case ast::Stmt::Part:
    return markWrong(llvm::cast<ast::PartStmt>(stmt).name, scope);
  case ast::Stmt::Weight:
    return markWrong(llvm::cast<ast::WeightStmt>(stmt).target, scope);
  case ast::Stmt::Over:
    return markWrong(llvm::cast<ast::OverStmt>(stmt).index, scope);
  case ast::Stmt::Fn:
  case ast::Stmt::Return:
    return;
  }
}

std::string ssmc::shapeText(llvm::ArrayRef<Axis> axes) {
  std::string text;
  for (const Axis &axis : axes) {
    text += text.empty() ? "[" : ", ";
    text += axis.name;
    if (!axis.sequence && axis.size >= 0)
      text += (axis.name.empty() ? "" : ": ") + std::to_string(axis.size);
    else if (axis.name.empty())
      text += axis.sequence ? "t" : "_";
  }
  return text.empty() ? "[]" : text + "]";
}

std::string Elaborator::suggest(llvm::StringRef name, Scope &scope) {
  std::string best;
  unsigned distance = name.size() < 3 ? 1 : 2;
  auto consider = [&](llvm::StringRef known) {
    unsigned found = name.edit_distance(known, true, distance);
    if (known != name && found <= distance && found < known.size()) {
      distance = found == 0 ? 0 : found - 1;
      best = known.str();
    }
  };
  for (Scope *s = &scope; s; s = s->parent.get()) {
    for (const auto &[known, entity] : s->values)
      consider(known);
    for (const auto &[known, value] : s->constants)
      consider(known);
    for (const auto &[known, axis] : s->axes)
      consider(known);
  }
  for (const ast::Module *module : modules) {
    for (const auto &layer : module->layers)
      consider(layer->name.name);
    for (const auto &fn : module->functions)
      consider(fn->name.name);
  }
  return best.empty() ? "" : "; did you mean '" + best + "'?";
}
