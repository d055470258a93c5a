//===- ElaborateLoop.cpp - Loops ------------------------------------------===//
//
// Unfolded where an iteration differs in more than its weights and states; else
// they stay loops.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"
#include "NameCollector.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/PatternMatch.h"

using namespace ssmc;
using namespace mlir;

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

  auto inner = makeScope(scope);
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
        sizes.push_back(sizeOfBatch());
        // As addState takes them: those of the whole state.
        for (int64_t d = 2; d < type.getRank(); ++d)
          sizes.push_back(
              type.isDynamicDim(d)
                  ? OpFoldResult(tensor::DimOp::create(b, l, arg, d).getResult())
                  : OpFoldResult(b.getIndexAttr(type.getDimSize(d))));
        values.push_back(insertSlice(b, l, slot.inner, arg, offsets, sizes, strides));
      }
      return values;
    };
    auto replaced = forOp.replaceWithAdditionalYields(
        rewriter, stateInits, /*replaceInitOperandUsesInLoop=*/true, yieldStates);
    assert(succeeded(replaced) && "a loop can always yield more");
    forOp = cast<scf::ForOp>(replaced->getOperation());
  }
  builder.setInsertionPointAfter(forOp);
  for (auto [i, name] : llvm::enumerate(carried))
    scope->values[name].tensor.re = forOp.getResult(i);
  for (size_t i = firstState; i < states.size(); ++i)
    states[i].value = forOp.getResult(carried.size() + i - firstState);
  return true;
}
