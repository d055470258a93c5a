//===- ElaborateStatement.cpp - Definitions, calls and loops --------------===//

#include "Elaborator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/ScopeExit.h"
#include <set>

using namespace ssmc;
using namespace mlir;

//===----------------------------------------------------------------------===//
// Names used by later statements
//===----------------------------------------------------------------------===//

namespace {
/// Collects the names that expressions mention.
struct NameCollector {
  std::vector<std::string> names;

  void expr(const ast::Expr *e) {
    if (!e)
      return;
    switch (e->kind) {
    case ast::Expr::Name:
      names.push_back(llvm::cast<ast::NameExpr>(e)->name);
      break;
    case ast::Expr::Index: {
      auto *index = llvm::cast<ast::IndexExpr>(e);
      expr(index->base.get());
      for (auto &item : index->items) {
        expr(item.index.get());
        expr(item.otherwise.get());
      }
      break;
    }
    case ast::Expr::Call: {
      auto *call = llvm::cast<ast::CallExpr>(e);
      expr(call->callee.get());
      for (auto &arg : call->args)
        expr(arg.value.get());
      break;
    }
    case ast::Expr::Apply: {
      auto *apply = llvm::cast<ast::ApplyExpr>(e);
      expr(apply->operand.get());
      expr(apply->where.get());
      expr(apply->by.get());
      for (auto &option : apply->options)
        expr(option.value.get());
      break;
    }
    case ast::Expr::Unary:
      expr(llvm::cast<ast::UnaryExpr>(e)->operand.get());
      break;
    case ast::Expr::Binary:
      expr(llvm::cast<ast::BinaryExpr>(e)->lhs.get());
      expr(llvm::cast<ast::BinaryExpr>(e)->rhs.get());
      break;
    case ast::Expr::If: {
      auto *choice = llvm::cast<ast::IfExpr>(e);
      for (auto &c : choice->conditions)
        expr(c.get());
      for (auto &v : choice->values)
        expr(v.get());
      expr(choice->otherwise.get());
      break;
    }
    case ast::Expr::Match:
      expr(llvm::cast<ast::MatchExpr>(e)->subject.get());
      for (auto &arm : llvm::cast<ast::MatchExpr>(e)->arms)
        expr(arm.value.get());
      break;
    case ast::Expr::Tuple:
      for (auto &element : llvm::cast<ast::TupleExpr>(e)->elements)
        expr(element.get());
      break;
    case ast::Expr::Lambda:
      expr(llvm::cast<ast::LambdaExpr>(e)->body.get());
      break;
    case ast::Expr::Iverson:
      expr(llvm::cast<ast::IversonExpr>(e)->condition.get());
      break;
    default:
      break;
    }
  }

  void stmt(const ast::Stmt &s) {
    switch (s.kind) {
    case ast::Stmt::Assign:
    case ast::Stmt::Let:
    case ast::Stmt::Kernel:
    case ast::Stmt::Table:
      expr(llvm::cast<ast::AssignStmt>(s).value.get());
      break;
    case ast::Stmt::State: {
      auto &state = llvm::cast<ast::StateStmt>(s);
      expr(state.from.get());
      expr(state.step.get());
      for (auto &line : state.lines)
        expr(line.value.get());
      break;
    }
    case ast::Stmt::For:
      for (auto &inner : llvm::cast<ast::ForStmt>(s).body)
        stmt(*inner);
      break;
    case ast::Stmt::If:
      expr(llvm::cast<ast::IfStmt>(s).condition.get());
      for (auto &inner : llvm::cast<ast::IfStmt>(s).thenBody)
        stmt(*inner);
      for (auto &inner : llvm::cast<ast::IfStmt>(s).elseBody)
        stmt(*inner);
      break;
    case ast::Stmt::Return:
      expr(llvm::cast<ast::ReturnStmt>(s).value.get());
      break;
    case ast::Stmt::Fn:
      expr(llvm::cast<ast::FnDecl>(s).value.get());
      for (auto &inner : llvm::cast<ast::FnDecl>(s).body)
        stmt(*inner);
      break;
    default:
      break;
    }
  }
};
} // namespace

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

/// The place in the text, for the diagnostics of passes.
static Location locationOf(llvm::SMRange range, const llvm::SourceMgr &sources,
                           MLIRContext &context) {
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
  loc = locationOf(stmt.range, diagnostics.getSources(), context);
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
    return diagnostics.error(stmt.range, "a second index over the sequence is not "
                                         "available in this version");
  case ast::Stmt::Part:
  case ast::Stmt::Weight:
    return diagnostics.error(stmt.range, "parts and weights belong to the layer, "
                                         "outside its functions");
  }
  return false;
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
  Entity entity;
  entity.range = target.name.range;
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
  entity.kind = Entity::Tensor;
  entity.tensor = std::move(*tensor);
  scope->values[target.name.name] = std::move(entity);
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

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

/// `(h, k)` in a parameter's axes: one axis of the argument becomes several.
std::optional<TensorValue> Elaborator::splitAxes(const ast::Pattern &pattern,
                                                 const TensorValue &value,
                                                 Scope &scope, llvm::SMRange where) {
  llvm::SmallVector<IndexId> variables;
  llvm::SmallVector<Axis> axes;
  llvm::SmallVector<AffineExpr> at;
  size_t named = 0;
  for (const ast::AxisPattern &axis : pattern.axes)
    named += axis.kind != ast::AxisPattern::Rest;
  bool hasRest = named != pattern.axes.size();
  if (named > value.axes.size() || (!hasRest && named != value.axes.size())) {
    diagnostics.error(where, "'" + pattern.name.name + "' has " + llvm::Twine(named) +
                                 " axes, the value has " +
                                 llvm::Twine(value.axes.size()));
    diagnostics.note(pattern.range, "declared here");
    return std::nullopt;
  }
  size_t position = 0;
  auto keep = [&](Axis axis) {
    variables.push_back(newIndex(axis));
    axes.push_back(axis);
    at.push_back(dim(variables.back()));
    ++position;
  };
  Axis rest;
  for (const ast::AxisPattern &axisPattern : pattern.axes) {
    if (axisPattern.kind == ast::AxisPattern::Rest) {
      for (size_t n = value.axes.size() - named; n > 0; --n) {
        rest.members.push_back(value.axes[position]);
        keep(value.axes[position]);
      }
      scope.axes[".."] = {rest, axisPattern.range};
      continue;
    }
    if (axisPattern.kind != ast::AxisPattern::Merged) {
      Axis axis = value.axes[position];
      if (axisPattern.kind == ast::AxisPattern::Name) {
        axis.name = axisPattern.name.name;
        if (!scope.findAxis(axis.name))
          scope.axes[axis.name] = {axis, axisPattern.range};
      }
      keep(axis);
      continue;
    }
    int64_t total = value.axes[position].size, known = 1;
    llvm::SmallVector<Axis> members;
    int open = -1; // the member whose extent the value decides
    for (const ast::AxisPattern &member : axisPattern.members) {
      bool fresh = member.kind == ast::AxisPattern::Name && !member.size &&
                   !scope.findAxis(member.name.name) &&
                   !scope.findConstant(member.name.name);
      if (fresh) {
        if (open >= 0) {
          diagnostics.error(member.range, "only one of the axes stored as one may take "
                                          "its extent from the value");
          return std::nullopt;
        }
        open = members.size();
        Axis axis;
        axis.name = member.name.name;
        axis.range = member.range;
        members.push_back(axis);
        continue;
      }
      auto axis = resolveAxis(member, scope, true);
      if (!axis)
        return std::nullopt;
      known *= axis->size;
      members.push_back(*axis);
    }
    if (open >= 0 && known > 0 && total % known == 0) {
      members[open].size = total / known;
      known = total;
      scope.axes[members[open].name] = {members[open], members[open].range};
    }
    if (known != total) {
      diagnostics.error(where, "an axis of extent " + llvm::Twine(total) +
                                   " does not split into parts of " +
                                   llvm::Twine(known) + " elements");
      diagnostics.note(axisPattern.range, "declared here");
      return std::nullopt;
    }
    AffineExpr merged;
    for (const Axis &member : members) {
      variables.push_back(newIndex(member));
      axes.push_back(member);
      AffineExpr d = dim(variables.back());
      merged = merged ? merged * member.size + d : d;
    }
    at.push_back(merged);
    ++position;
  }
  PointContext none;
  auto number = access(value, at, {}, where, scope, none);
  if (!number)
    return std::nullopt;
  return materialize(*number, variables, axes, false);
}

/// The value under the axis names of a parameter (or of a left side).
std::optional<TensorValue> Elaborator::bindParameter(const ast::Pattern &pattern,
                                                     TensorValue value, Scope &scope,
                                                     llvm::SMRange where,
                                                     bool splits) {
  auto isMerged = [](const ast::AxisPattern &axis) {
    return axis.kind == ast::AxisPattern::Merged;
  };
  if (splits && llvm::any_of(pattern.axes, isMerged))
    return splitAxes(pattern, value, scope, where);
  size_t named = 0;
  bool hasRest = false;
  for (const ast::AxisPattern &axis : pattern.axes)
    axis.kind == ast::AxisPattern::Rest ? void(hasRest = true) : void(++named);
  size_t rank = value.axes.size();
  if (hasRest ? rank < named : rank != named) {
    // A number is constant along every axis.
    if (rank == 0 && value.inlined && !hasRest) {
      TensorValue result = value;
      for (const ast::AxisPattern &axisPattern : pattern.axes) {
        auto axis = resolveAxis(axisPattern, scope, true);
        if (!axis)
          return std::nullopt;
        result.axes.push_back(*axis);
        result.dimension.push_back(-1);
        result.variables.push_back(newIndex(*axis));
      }
      return result;
    }
    diagnostics.error(where, "'" + pattern.name.name + "' has " +
                                 llvm::Twine(named) + " axes, the value has " +
                                 llvm::Twine(rank));
    diagnostics.note(pattern.range, "declared here");
    return std::nullopt;
  }
  size_t position = 0;
  for (const ast::AxisPattern &axisPattern : pattern.axes) {
    if (axisPattern.kind == ast::AxisPattern::Rest) {
      Axis rest;
      for (; position < rank - named; ++position)
        rest.members.push_back(value.axes[position]);
      scope.axes[".."] = {rest, axisPattern.range};
      continue;
    }
    Axis &have = value.axes[position++];
    if (axisPattern.kind == ast::AxisPattern::Name && !axisPattern.size &&
        !scope.findConstant(axisPattern.name.name)) {
      // An axis by name: known in this layer, or met here.
      auto *known = scope.findAxis(axisPattern.name.name);
      if (known && known->first.size != have.size) {
        diagnostics.error(where, "axis '" + axisPattern.name.name + "' of '" +
                                     pattern.name.name + "' has " +
                                     llvm::Twine(known->first.size) +
                                     " elements, this value has " +
                                     (have.size == kDynamicExtent
                                          ? llvm::Twine("those of the sequence")
                                          : llvm::Twine(have.size)));
        diagnostics.note(known->second, "the axis is declared here");
        return std::nullopt;
      }
      Axis axis = known ? known->first : have;
      axis.name = axisPattern.name.name;
      axis.members.clear();
      axis.sequence = have.sequence;
      axis.size = have.size;
      if (!known)
        scope.axes[axis.name] = {axis, axisPattern.range};
      have = axis;
      continue;
    }
    auto axis = resolveAxis(axisPattern, scope, true);
    if (!axis)
      return std::nullopt;
    if (axis->size != have.size) {
      diagnostics.error(where, "'" + pattern.name.name + "' wants " +
                                   llvm::Twine(axis->size) + " elements here, the "
                                   "value has " +
                                   (have.size == kDynamicExtent
                                        ? llvm::Twine("those of the sequence")
                                        : llvm::Twine(have.size)));
      diagnostics.note(axisPattern.range, "declared here");
      return std::nullopt;
    }
    axis->sequence = have.sequence;
    have = *axis;
  }
  return value;
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
        Entity entity;
        entity.kind = Entity::Tensor;
        entity.tensor = *bound;
        scope->values[name] = entity;
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
      Entity entity;
      entity.kind = Entity::Tensor;
      entity.tensor = *value;
      scope->values[name] = entity;
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
    scope->cut = std::make_shared<TensorValue>(*value);
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
    results.push_back(&result);
    resultNames.push_back(result.pattern.name.name);
  }

  Entity returned;
  if (fn.value) {
    if (results.size() == 1 && results[0]->pattern.hasAxes) {
      auto value = defineTensor(results[0]->pattern, *fn.value, scope, false);
      if (!value)
        return std::nullopt;
      returned.kind = Entity::Tensor;
      returned.tensor = *value;
      return returned;
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
      returned.kind = Entity::Tensor;
      returned.tensor = *value;
      return returned;
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

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

namespace {
/// Finds out whether a loop's body uses its index only to choose among families.
struct RollCheck {
  const std::string &index;
  bool good = true;

  void expr(const ast::Expr *e) {
    if (!e || !good)
      return;
    if (auto *name = llvm::dyn_cast<ast::NameExpr>(e)) {
      good &= name->name != index;
      return;
    }
    if (auto *at = llvm::dyn_cast<ast::IndexExpr>(e)) {
      expr(at->base.get());
      auto *base = llvm::dyn_cast<ast::NameExpr>(at->base.get());
      for (auto &item : at->items) {
        auto *name = llvm::dyn_cast<ast::NameExpr>(item.index.get());
        if (base && name && name->name == index && at->items.size() == 1)
          continue;
        expr(item.index.get());
        expr(item.otherwise.get());
      }
      return;
    }
    NameCollector names;
    names.expr(e);
    if (!llvm::is_contained(names.names, index))
      return;
    // Only calls and sums of calls may contain the index.
    if (auto *call = llvm::dyn_cast<ast::CallExpr>(e)) {
      expr(call->callee.get());
      for (auto &arg : call->args)
        expr(arg.value.get());
    } else if (auto *binary = llvm::dyn_cast<ast::BinaryExpr>(e)) {
      expr(binary->lhs.get());
      expr(binary->rhs.get());
    } else {
      good = false;
    }
  }
};
} // namespace

bool Elaborator::canRoll(const ast::ForStmt &stmt, Scope &scope) {
  if (loop)
    return false;
  RollCheck check{stmt.index.name};
  for (const ast::StmtPtr &inner : stmt.body) {
    auto *assign = llvm::dyn_cast<ast::AssignStmt>(inner.get());
    if (!assign || assign->target.isTuple)
      return false;
    check.expr(assign->value.get());
  }
  // Families must be numbered exactly by their own index: "layers.{i}.mixer".
  NameCollector names;
  for (const ast::StmtPtr &inner : stmt.body)
    names.stmt(*inner);
  for (const std::string &name : names.names) {
    Entity *entity = scope.findValue(name);
    if (!entity)
      continue;
    if (entity->kind == Entity::WeightFamily)
      return false;
    if (entity->kind != Entity::PartFamily)
      continue;
    const ast::PartStmt &part = *entity->part;
    if (part.family.size() != 1 || !part.at)
      return false;
    std::string own = "{" + part.family[0].name.name + "}";
    llvm::StringRef at = *part.at;
    if (!at.contains(own) || at.count('{') != 1)
      return false;
    // The part's own arguments must not depend on the index.
    NameCollector argument;
    argument.expr(part.value.get());
    if (llvm::is_contained(argument.names, part.family[0].name.name))
      return false;
  }
  return check.good;
}

bool Elaborator::countUnfolded(llvm::SMRange where) {
  constexpr unsigned maxUnfolded = 100000;
  if (++unfolded <= maxUnfolded)
    return true;
  if (unfolded > maxUnfolded + 1) // said once
    return false;
  return diagnostics.error(where, "the layer unfolds into more than " +
                                      llvm::Twine(maxUnfolded) +
                                      " parts and iterations of loops");
}

bool Elaborator::runFor(const ast::ForStmt &stmt, std::shared_ptr<Scope> scope) {
  auto from = stmt.from ? requireInteger(*stmt.from, *scope, "the start of a loop")
                        : std::optional<int64_t>(0);
  auto to = requireInteger(*stmt.to, *scope, "the end of a loop");
  if (!from || !to)
    return false;
  if (*to < 0 && *to < *from)
    return diagnostics.error(stmt.range, "a loop from " + llvm::Twine(*from) + " to " +
                                             llvm::Twine(*to) +
                                             ", which is before its beginning");
  constexpr int64_t maxIterations = 10000;
  if (*to - *from > maxIterations)
    return diagnostics.error(stmt.range, "a loop of " + llvm::Twine(*to - *from) +
                                             " iterations; at most " +
                                             llvm::Twine(maxIterations) + " are run");
  if (*from == 0 && *to >= 2 && canRoll(stmt, *scope))
    return runRolled(stmt, scope, *to);
  for (int64_t i = *from; i < *to; ++i) {
    // Loops in loops and in parts: what is run one by one is code each time.
    if (!countUnfolded(stmt.range))
      return false;
    scope->constants[stmt.index.name] = Constant::of(double(i), true);
    if (!runBody(stmt.body, scope, nullptr))
      return false;
  }
  scope->constants.erase(stmt.index.name);
  return true;
}

/// A loop over depth whose iterations differ only in their weights and states
/// stays a loop: its code exists once.
bool Elaborator::runRolled(const ast::ForStmt &stmt, std::shared_ptr<Scope> scope,
                           int64_t trips) {
  // Names the body rebinds that exist before it are carried.
  std::vector<std::string> carried;
  llvm::SmallVector<Value> inits;
  for (const ast::StmtPtr &inner : stmt.body) {
    const std::string &name = llvm::cast<ast::AssignStmt>(*inner).target.name.name;
    auto found = scope->values.find(name);
    if (found == scope->values.end() || llvm::is_contained(carried, name))
      continue;
    TensorValue &tensor = found->second.tensor;
    if (found->second.kind != Entity::Tensor || !tensor.re || tensor.im)
      return diagnostics.error(stmt.range, "'" + name + "' cannot be carried by a loop");
    carried.push_back(name);
    inits.push_back(tensor.re);
  }
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  Value one = arith::ConstantIndexOp::create(builder, loc, 1);
  Value count = arith::ConstantIndexOp::create(builder, loc, trips);
  // The length and the batch are computed outside.
  sizeOfBatch();
  sizeOfLength();
  auto forOp = scf::ForOp::create(builder, loc, zero, count, one, inits);
  loop = RolledLoop{forOp, trips, stmt.index.name};
  size_t firstState = states.size();

  auto inner = std::make_shared<Scope>(scope);
  inner->loopIndex = stmt.index.name;
  for (auto [i, name] : llvm::enumerate(carried)) {
    Entity entity = scope->values[name];
    entity.tensor.re = forOp.getRegionIterArg(i);
    inner->values[name] = entity;
  }
  bool good;
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(forOp.getBody());
    std::vector<std::string> all = carried;
    inner->usedLater = &all;
    good = runBody(stmt.body, inner, nullptr);
    inner->usedLater = nullptr;
    llvm::SmallVector<Value> yields;
    for (auto [i, name] : llvm::enumerate(carried)) {
      if (!good)
        break;
      TensorValue &tensor = inner->values[name].tensor;
      if (!tensor.re || tensor.re.getType() != inits[i].getType()) {
        good = diagnostics.error(stmt.range, "'" + name + "' changes its shape in a "
                                             "loop over depth");
        break;
      }
      // The carried value is updated in place.
      Value copy = linalg::CopyOp::create(builder, loc, tensor.re,
                                          forOp.getRegionIterArg(i))
                       .getResult(0);
      yields.push_back(copy);
    }
    if (good) {
      if (auto *old = forOp.getBody()->empty() ? nullptr
                                               : &forOp.getBody()->back();
          old && old->hasTrait<OpTrait::IsTerminator>())
        old->erase();
      scf::YieldOp::create(builder, loc, yields);
    }
  }
  loop.reset();
  loopSlices.clear();
  if (!good)
    return false;

  // States made in the body become carried values of the loop as well.
  llvm::SmallVector<Value> stateInits;
  for (size_t i = firstState; i < states.size(); ++i)
    stateInits.push_back(states[i].argument);
  IRRewriter rewriter(builder);
  if (!stateInits.empty()) {
    auto yieldStates = [&](OpBuilder &b, Location l,
                           llvm::ArrayRef<BlockArgument> newArgs) {
      llvm::SmallVector<Value> values;
      for (auto [k, arg] : llvm::enumerate(newArgs)) {
        StateSlot &slot = states[firstState + k];
        auto type = cast<RankedTensorType>(arg.getType());
        llvm::SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)),
            strides(type.getRank(), b.getIndexAttr(1)), sizes;
        offsets[0] = forOp.getInductionVar();
        sizes.push_back(b.getIndexAttr(1));
        for (int64_t d = 1; d < type.getRank(); ++d)
          sizes.push_back(type.isDynamicDim(d)
                              ? OpFoldResult(sizeOfBatch())
                              : OpFoldResult(b.getIndexAttr(type.getDimSize(d))));
        values.push_back(insertSlice(b, l, slot.inner, arg, offsets, sizes, strides));
      }
      return values;
    };
    auto replaced = forOp.replaceWithAdditionalYields(
        rewriter, stateInits, /*replaceInitOperandUsesInLoop=*/true, yieldStates);
    if (failed(replaced))
      return diagnostics.error(stmt.range, "the loop's states could not be carried");
    forOp = cast<scf::ForOp>(replaced->getOperation());
  }
  builder.setInsertionPointAfter(forOp);
  for (auto [i, name] : llvm::enumerate(carried))
    scope->values[name].tensor.re = forOp.getResult(i);
  for (size_t i = firstState; i < states.size(); ++i)
    states[i].value = forOp.getResult(carried.size() + i - firstState);
  return true;
}
