//===- ElaborateValue.cpp - Expressions as whole tensors ------------------===//
//
// What stands without axes on the left: calls, merged axes, operators elementwise
// over the axes of their operands.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

using namespace ssmc;
using namespace mlir;
using ast::BinaryExpr;

std::optional<TensorValue>
Elaborator::evaluateTensor(const ast::Expr &expr, std::shared_ptr<Scope> scope) {
  auto entity = evaluate(expr, scope);
  if (!entity)
    return std::nullopt;
  if (entity->kind != Entity::Tensor) {
    diagnostics.error(expr.range, "a tensor is needed here");
    return std::nullopt;
  }
  return entity->tensor;
}

std::optional<Entity> Elaborator::evaluate(const ast::Expr &expr,
                                           std::shared_ptr<Scope> scope) {
  switch (expr.kind) {
  case ast::Expr::Name: {
    auto &name = llvm::cast<ast::NameExpr>(expr);
    if (name.name == "forward" || name.name == "backward") {
      Entity entity;
      entity.kind = Entity::Direction;
      entity.backward = name.name == "backward";
      return entity;
    }
    if (Entity *entity = scope->findValue(name.name)) {
      if (entity->kind == Entity::Weight) {
        auto weight = resolveWeight(*entity);
        if (!weight)
          return std::nullopt;
        return Entity::of(std::move(*weight), entity->range);
      }
      if (entity->kind == Entity::Absent) {
        PointContext none;
        pointOfEntity(*entity, expr.range, name.name, scope, none);
        return std::nullopt;
      }
      if (entity->kind != Entity::Point)
        return *entity;
    }
    break;
  }
  case ast::Expr::Tuple: {
    auto &tuple = llvm::cast<ast::TupleExpr>(expr);
    if (tuple.elements.size() == 1)
      return evaluate(*tuple.elements[0], scope);
    Entity entity;
    entity.kind = Entity::Tuple;
    for (const ast::ExprPtr &element : tuple.elements) {
      auto value = evaluate(*element, scope);
      if (!value)
        return std::nullopt;
      entity.elements.push_back(std::move(*value));
    }
    return entity;
  }
  case ast::Expr::Lambda: {
    Entity entity;
    entity.kind = Entity::Lambda;
    entity.lambda = &llvm::cast<ast::LambdaExpr>(expr);
    entity.scope = scope;
    return entity;
  }
  case ast::Expr::If: {
    auto &choice = llvm::cast<ast::IfExpr>(expr);
    bool allKnown = true;
    for (auto [condition, value] :
         llvm::zip(choice.conditions, choice.values)) {
      auto known = evaluateConstant(*condition, *scope);
      if (!known) {
        allKnown = false;
        break;
      }
      if (known->number != 0)
        return evaluate(*value, scope);
    }
    if (allKnown && choice.otherwise)
      return evaluate(*choice.otherwise, scope);
    break;
  }
  case ast::Expr::Match: {
    auto &match = llvm::cast<ast::MatchExpr>(expr);
    auto subject = evaluateConstant(*match.subject, *scope);
    if (subject)
      for (const ast::MatchExpr::Arm &arm : match.arms)
        if (arm.label.name == subject->str())
          return evaluate(*arm.value, scope);
    break;
  }
  case ast::Expr::Index: {
    auto &index = llvm::cast<ast::IndexExpr>(expr);
    auto *name = llvm::dyn_cast<ast::NameExpr>(index.base.get());
    Entity *entity = name ? scope->findValue(name->name) : nullptr;
    if (entity && (entity->kind == Entity::PartFamily ||
                   entity->kind == Entity::WeightFamily))
      return evaluatePart(expr, scope, "", "");
    break;
  }
  case ast::Expr::Call: {
    auto &call = llvm::cast<ast::CallExpr>(expr);
    auto *name = llvm::dyn_cast<ast::NameExpr>(call.callee.get());
    if (name) {
      Entity library;
      Entity *entity = findCallee(name->name, *scope, library);
      // Of a matrix and a step it is a rule of discretisation.
      if (!entity && call.args.size() == 1 &&
          (name->name == "forward" || name->name == "backward")) {
        auto direction = evaluate(*name, scope);
        return directionAlong(*direction, call, *scope);
      }
      if (entity && entity->kind == Entity::Direction)
        return directionAlong(*entity, call, *scope);
      if (entity) {
        // Functions that are one expression over plain parameters are elementwise:
        // they are evaluated at a point below.
        bool elementwise = entity->kind == Entity::Lambda;
        if (entity->kind == Entity::Function) {
          elementwise = entity->function->value && entity->function->results.empty();
          for (const ast::FnDecl::Param &param : entity->function->params)
            elementwise &= !param.pattern.hasAxes;
        }
        if (!elementwise)
          return callEntity(*entity, call, scope, nullptr);
      } else {
        bool known = false;
        auto result = callBuiltinTensor(call, name->name, scope, known);
        if (known)
          return result;
      }
    } else {
      auto callee = evaluate(*call.callee, scope);
      if (!callee)
        return std::nullopt;
      return callEntity(*callee, call, scope, nullptr);
    }
    break;
  }
  case ast::Expr::Binary: {
    auto &binary = llvm::cast<BinaryExpr>(expr);
    if (binary.op != BinaryExpr::MatMul)
      break;
    // x @ W: the last axis of x with the first of W.
    auto x = evaluateTensor(*binary.lhs, scope);
    auto w = evaluateTensor(*binary.rhs, scope);
    if (!x || !w)
      return std::nullopt;
    if (w->axes.size() != 2 || x->axes.empty() ||
        x->axes.back().size != w->axes[0].size) {
      diagnostics.error(expr.range, "'@' needs x[.., i] @ W[i, o] with equal extents");
      return std::nullopt;
    }
    PointContext point;
    llvm::SmallVector<AffineExpr> atX, atW;
    llvm::SmallVector<IndexId> variables;
    llvm::SmallVector<Axis> axes;
    for (const Axis &axis : llvm::ArrayRef<Axis>(x->axes).drop_back()) {
      variables.push_back(newIndex(axis));
      axes.push_back(axis);
      atX.push_back(dim(variables.back()));
    }
    variables.push_back(newIndex(w->axes[1]));
    axes.push_back(w->axes[1]);
    IndexId inner = newIndex(w->axes[0]);
    atX.push_back(dim(inner));
    atW = {dim(inner), dim(variables.back())};
    auto a = access(*x, atX, {}, expr.range, *scope, point);
    auto b = access(*w, atW, {}, expr.range, *scope, point);
    if (!a || !b)
      return std::nullopt;
    auto product = sumOver(inner, multiply(*a, *b), expr.range, *scope);
    if (!product)
      return std::nullopt;
    return Entity::of(materialize(*product, variables, axes, false), expr.range);
  }
  default:
    break;
  }

  // Everything else is elementwise over the axes of its operands.
  PointContext point;
  point.automatic = true;
  auto number = evaluatePoint(expr, scope, point);
  if (!number)
    return std::nullopt;
  for (const TermRef &term : {number->re, number->im})
    for (unsigned id : term ? term->indices.set_bits() : llvm::SmallBitVector().set_bits())
      if (!llvm::is_contained(point.variables, id)) {
        diagnostics.error(expr.range, "this is needed as a whole tensor, but depends on "
                                      "an index of the definition around it; give the "
                                      "function's parameters axes");
        return std::nullopt;
      }
  for (auto &[unit, id] : point.units)
    for (const Axis &member : unit.members)
      if (point.bound.count(member.name)) {
        diagnostics.error(expr.range, "axis '" + member.name + "' stands alone in one "
                                      "operand and merged with others in another; index "
                                      "the operands");
        return std::nullopt;
      }
  // The sequence first, then the axes of the operand that has most of them.
  llvm::SmallVector<IndexId> variables;
  auto take = [&](IndexId id) {
    if (!llvm::is_contained(variables, id))
      variables.push_back(id);
  };
  for (IndexId id : point.variables)
    if (indexAxis(id).sequence)
      take(id);
  for (IndexId id : point.longest)
    if (llvm::is_contained(point.variables, id))
      take(id);
  for (IndexId id : point.variables)
    take(id);
  llvm::SmallVector<Axis> axes;
  for (IndexId id : variables) {
    Axis axis = indexAxis(id);
    axis.members.clear();
    axes.push_back(axis);
  }
  TensorValue result = materialize(*number, variables, axes, false);
  for (auto [axis, id] : llvm::zip(result.axes, variables))
    axis.members = indexAxis(id).members;
  return Entity::of(std::move(result), expr.range);
}
