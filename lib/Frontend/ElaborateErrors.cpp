//===- ElaborateErrors.cpp - Going on after an error ----------------------===//
//
// A statement with an error leaves its names behind as wrong. What is said of a
// statement that uses one of them would only repeat the first error: it is not
// shown, and makes the names of that statement wrong in turn.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

using namespace ssmc;

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
