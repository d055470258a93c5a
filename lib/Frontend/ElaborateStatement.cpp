//===- ElaborateStatement.cpp - Statements and definitions ----------------===//

#include "Elaborator.h"
#include "NameCollector.h"

#include "llvm/ADT/ScopeExit.h"

using namespace ssmc;
using namespace mlir;

//===----------------------------------------------------------------------===//
// Bodies
//===----------------------------------------------------------------------===//

bool Elaborator::runBody(const std::vector<ast::StmtPtr> &body,
                         std::shared_ptr<Scope> scope, Entity *returned) {
  bool good = true;
  // What follows a state block decides what it must deliver.
  std::vector<std::vector<std::string>> later(body.size());
  NameCollector collector;
  for (size_t i = body.size(); i-- > 0;) {
    later[i] = collector.names;
    collector.stmt(*body[i]);
  }
  const std::vector<std::string> *outer = scope->usedLater;
  std::vector<std::string> joined;
  for (size_t i = 0; i < body.size(); ++i) {
    joined = later[i];
    if (outer)
      joined.insert(joined.end(), outer->begin(), outer->end());
    scope->usedLater = &joined;
    good &= runStatement(*body[i], scope, returned);
    if (returned && returned->kind != Entity::Absent)
      break;
  }
  scope->usedLater = outer;
  return good;
}

Location Elaborator::locationOf(llvm::SMRange range) {
  const llvm::SourceMgr &sources = diagnostics.getSources();
  unsigned buffer = sources.FindBufferContainingLoc(range.Start);
  if (!buffer)
    return UnknownLoc::get(&context);
  auto [line, column] = sources.getLineAndColumn(range.Start, buffer);
  return FileLineColLoc::get(
      &context, sources.getMemoryBuffer(buffer)->getBufferIdentifier(), line, column);
}

bool Elaborator::runStatement(const ast::Stmt &stmt, std::shared_ptr<Scope> scope,
                              Entity *returned) {
  Location outer = loc;
  loc = locationOf(stmt.range);
  llvm::scope_exit restore([&] { loc = outer; });
  return goOn(stmt, *scope, [&] { return runOne(stmt, scope, returned); });
}

bool Elaborator::runOne(const ast::Stmt &stmt, std::shared_ptr<Scope> scope,
                        Entity *returned) {
  switch (stmt.kind) {
  case ast::Stmt::Assign:
  case ast::Stmt::Let:
  case ast::Stmt::Kernel:
  case ast::Stmt::Table:
    return runAssign(llvm::cast<ast::AssignStmt>(stmt), scope);
  case ast::Stmt::State:
    return runState(llvm::cast<ast::StateStmt>(stmt), scope);
  case ast::Stmt::Fn: {
    auto &fn = llvm::cast<ast::FnDecl>(stmt);
    Entity entity;
    entity.kind = Entity::Function;
    entity.function = &fn;
    entity.scope = scope;
    entity.range = fn.name.range;
    scope->values[fn.name.name] = entity;
    return true;
  }
  case ast::Stmt::For:
    return runFor(llvm::cast<ast::ForStmt>(stmt), scope);
  case ast::Stmt::If: {
    auto &choice = llvm::cast<ast::IfStmt>(stmt);
    auto holds = requireBoolean(*choice.condition, *scope, "this condition");
    if (!holds)
      return false;
    // Branches assign to the surrounding names.
    return runBody(*holds ? choice.thenBody : choice.elseBody, scope, returned);
  }
  case ast::Stmt::Return: {
    auto value = evaluate(*llvm::cast<ast::ReturnStmt>(stmt).value, scope);
    if (!value)
      return false;
    if (returned)
      *returned = *value;
    return true;
  }
  case ast::Stmt::Over:
    return runOver(llvm::cast<ast::OverStmt>(stmt), scope);
  case ast::Stmt::Part:
  case ast::Stmt::Weight:
    break; // the parser has refused them
  }
  llvm_unreachable("a statement of a layer in a function");
}

bool Elaborator::assignPattern(const ast::Pattern &target, Entity value,
                               Scope &scope) {
  if (!target.isTuple) {
    // Axes on the left rename those of the value.
    if (target.hasAxes && value.kind == Entity::Tensor) {
      auto bound = bindParameter(target, value.tensor, scope, target.range);
      if (!bound)
        return false;
      value.tensor = *bound;
    }
    value.range = target.name.range;
    scope.values[target.name.name] = std::move(value);
    return true;
  }
  if (value.kind != Entity::Tuple ||
      value.elements.size() != target.elements.size())
    return diagnostics.error(
        target.range, llvm::Twine(target.elements.size()) + " names for " +
                          llvm::Twine(value.kind == Entity::Tuple
                                          ? value.elements.size() : 1) +
                          " values");
  for (auto [element, part] : llvm::zip(target.elements, value.elements))
    if (!assignPattern(element, part, scope))
      return false;
  return true;
}

bool Elaborator::runAssign(const ast::AssignStmt &stmt,
                           std::shared_ptr<Scope> scope) {
  bool outer = inKernel;
  inKernel |= stmt.kind == ast::Stmt::Kernel;
  llvm::scope_exit restore([&] { inKernel = outer; });
  const ast::Pattern &target = stmt.target;
  if (target.isTuple) {
    auto value = evaluate(*stmt.value, scope);
    return value && assignPattern(target, std::move(*value), *scope);
  }
  if (!target.hasAxes) {
    // A number becomes a constant, everything else a value.
    if (auto known = evaluateConstant(*stmt.value, *scope)) {
      if (stmt.kind == ast::Stmt::Let) {
        scope->constants[target.name.name] = *known;
        scope->values.erase(target.name.name);
        return true;
      }
    }
    auto value = evaluate(*stmt.value, scope);
    if (!value)
      return false;
    if (value->kind == Entity::Point) {
      value->kind = Entity::Tensor;
      value->tensor = materialize(value->number, {}, {}, false);
    }
    value->range = target.name.range;
    scope->values[target.name.name] = std::move(*value);
    return true;
  }
  auto tensor = defineTensor(target, *stmt.value, scope, false);
  if (!tensor)
    return false;
  scope->values[target.name.name] =
      Entity::of(std::move(*tensor), target.name.range);
  return true;
}

/// `target[axes] = value`: the axes on the left are the loop.
std::optional<TensorValue>
Elaborator::defineTensor(const ast::Pattern &target, const ast::Expr &value,
                         std::shared_ptr<Scope> scope, bool force) {
  PointContext point;
  llvm::SmallVector<Axis> axes;
  auto bindAxis = [&](const ast::AxisPattern &pattern) -> std::optional<Axis> {
    std::optional<Axis> axis;
    if (pattern.kind == ast::AxisPattern::Name && !pattern.size &&
        pattern.extent == ast::AxisPattern::Plain &&
        !scope->findAxis(pattern.name.name) &&
        !scope->findConstant(pattern.name.name)) {
      axis.emplace(); // its extent comes from the right side
      axis->name = pattern.name.name;
      axis->range = pattern.range;
    } else {
      axis = resolveAxis(pattern, *scope, true);
    }
    if (!axis)
      return std::nullopt;
    IndexId id = newIndex(*axis);
    point.variables.push_back(id);
    if (!axis->name.empty()) {
      if (point.bound.count(axis->name)) {
        diagnostics.error(pattern.range, "axis '" + axis->name +
                                             "' stands twice on the left");
        return std::nullopt;
      }
      point.bound[axis->name] = indexOf(id);
    }
    return axis;
  };
  for (const ast::AxisPattern &pattern : target.axes) {
    if (pattern.kind == ast::AxisPattern::Rest) {
      // The leading axes of the enclosing function's argument.
      auto *rest = scope->findAxis("..");
      unsigned count = rest ? rest->first.members.size() : 0;
      for (unsigned i = 0; i < count; ++i) {
        Axis axis = rest->first.members[i];
        IndexId id = newIndex(axis);
        point.variables.push_back(id);
        point.rest.push_back(id);
        if (!axis.name.empty())
          point.bound[axis.name] = indexOf(id);
        axes.push_back(axis);
      }
      continue;
    }
    if (pattern.kind == ast::AxisPattern::Merged) {
      Axis merged;
      merged.size = 1;
      merged.range = pattern.range;
      for (const ast::AxisPattern &member : pattern.members) {
        auto axis = bindAxis(member);
        if (!axis)
          return std::nullopt;
        merged.members.push_back(*axis);
      }
      axes.push_back(merged);
      continue;
    }
    auto axis = bindAxis(pattern);
    if (!axis)
      return std::nullopt;
    axes.push_back(*axis);
  }
  auto number = evaluatePoint(value, scope, point);
  if (!number)
    return std::nullopt;
  if (target.isComplex && !number->im)
    number->im = constant(0);
  // Extents found on the right complete the axes on the left.
  unsigned variable = 0;
  for (Axis &axis : axes) {
    auto complete = [&](Axis &one) {
      one.size = indexAxis(point.variables[variable]).size;
      one.sequence = indexAxis(point.variables[variable]).sequence;
      one.first = indexAxis(point.variables[variable]).first;
      one.firstScale = indexAxis(point.variables[variable]).firstScale;
      ++variable;
      if (one.size == kUnknownExtent) {
        diagnostics.error(one.range, "axis '" + one.name + "' has no extent: give it "
                                     "one, " + one.name + ": SIZE");
        return false;
      }
      if (!one.name.empty() && !scope->findAxis(one.name))
        scope->axes[one.name] = {one, one.range};
      return true;
    };
    if (axis.members.empty()) {
      if (!complete(axis))
        return std::nullopt;
      continue;
    }
    axis.size = 1;
    for (Axis &member : axis.members) {
      if (!complete(member))
        return std::nullopt;
      axis.size *= member.size;
    }
  }
  return materialize(*number, point.variables, axes, force);
}
