//===- ElaborateState.cpp - State blocks become ssm.scan ------------------===//
//
// The update lines of a block give one expression that is linear in the state
// before the token; its parts are the roles of `ssm.scan`. An output line is
// fused as the scan's read and epilogue where it contracts the state along axes
// it shares with the output; otherwise the sequence of states is the result and
// the output an ordinary contraction behind it.
//
//===----------------------------------------------------------------------===//

#include "StateBlock.h"
#include "TermEmitter.h"

#include "llvm/ADT/StringSwitch.h"
#include <cmath>

using namespace ssmc;
using namespace mlir;

/// The index space of a line: the token and the state's axes.
static void bindAxes(PointContext &point, llvm::ArrayRef<Axis> axes,
                     llvm::ArrayRef<IndexId> ids,
                     llvm::function_ref<AffineExpr(IndexId)> dim) {
  for (auto [axis, id] : llvm::zip(axes, ids)) {
    point.bound[axis.name] = dim(id);
    point.variables.push_back(id);
  }
}

/// Evaluates the update lines and splits the result into its roles.
bool Elaborator::readStateLines(StateBlock &block, std::shared_ptr<Scope> scope) {
  const ast::StateStmt &stmt = block.stmt;
  PointContext point;
  block.bindSequences(point, &context);
  bindAxes(point, block.axes, block.ids, [&](IndexId id) { return dim(id); });
  point.stateAt = &block.at;
  point.stateName = stmt.state.name.name;
  point.stateComplex = block.isComplex();
  Number before = ssmc::real(stateTerm(block.at, 0));
  if (block.isComplex())
    before.im = stateTerm(block.at, 1);
  point.stateValue = before;
  const ast::StateStmt::Line *update = nullptr; // the last one
  size_t numUpdates = llvm::count_if(stmt.lines, [](const auto &line) {
    return line.kind != ast::StateStmt::Line::Output;
  });
  for (const ast::StateStmt::Line &line : stmt.lines) {
    if (line.kind == ast::StateStmt::Line::Output)
      continue;
    auto value = evaluatePoint(*line.value, scope, point);
    if (!value)
      return false;
    update = &line;
    if (line.kind == ast::StateStmt::Line::Update) {
      if (stmt.rule)
        return diagnostics.error(line.range, "a block with 'discretize' is written as "
                                             "d" + point.stateName + "/dt = ...");
      point.stateValue = *value;
      continue;
    }
    if (!stmt.rule || !stmt.step)
      return diagnostics.error(line.range, "a differential equation needs a line "
                                           "'discretize RULE, step EXPRESSION'");
    auto mixing = findMixing(*value, block, line.value->range);
    if (!mixing)
      return false;
    LinearForm form;
    if (!mixing->isMixed())
      form = linearForm(*value, block.at, block.isComplex());
    if (!form.failure.empty())
      return diagnostics.error(line.value->range, form.failure);
    auto ruleOf = [&](const ast::Expr *expr) -> std::optional<int> {
      std::string name;
      if (auto known = evaluateConstant(*expr, *scope))
        name = known->str();
      else if (auto *plain = llvm::dyn_cast<ast::NameExpr>(expr))
        name = plain->name;
      int rule = llvm::StringSwitch<int>(name)
                     .Case("zoh", 0).Case("bilinear", 1)
                     .Case("euler", 2).Case("forward", 2).Case("backward", 3).Default(-1);
      if (rule >= 0)
        return rule;
      diagnostics.error(expr->range, "'" + name + "' is not a discretisation rule; "
                                     "known are zoh, bilinear, euler, backward");
      return std::nullopt;
    };
    auto rule = ruleOf(stmt.rule.get());
    std::optional<int> inputRule = -1;
    if (stmt.inputRule)
      inputRule = ruleOf(stmt.inputRule.get());
    if (!rule || !inputRule)
      return false;
    PointContext stepPoint;
    stepPoint.parent = &point;
    auto step = evaluatePoint(*stmt.step, scope, stepPoint);
    if (!step)
      return false;
    if (step->im || step->re->hasState)
      return diagnostics.error(stmt.step->range, "the step must be a real number that "
                                                 "does not contain the state");
    if (mixing->isMixed()) {
      if (numUpdates > 1)
        return diagnostics.error(line.range, "an equation that mixes the state is the "
                                             "only update of its block");
      return mix(block, *mixing, Discretization{*rule, *inputRule, step->re}, *scope);
    }
    Number rate = form.decay ? form.decay : ssmc::real(constant(0));
    auto [decay, gain] = ssmc::discretize(*rule, *inputRule, rate, step->re);
    point.stateValue = multiply(decay, before);
    if (form.write)
      point.stateValue = add(point.stateValue, multiply(gain, form.write));
  }
  if (!update)
    return diagnostics.error(stmt.range, "the state '" + point.stateName +
                                             "' is never updated");
  // The last update may keep a remainder.
  TermRef last = point.stateValue.re;
  if (!block.isComplex() && !point.stateValue.im && last->hasState &&
      last->kind == Term::Operation && last->op == Operator::Mod &&
      !last->operands[1]->hasState) {
    block.period = constantValue(last->operands[1]);
    if (!block.period || !std::isfinite(*block.period) || *block.period <= 0)
      return diagnostics.error(update->range,
                               "a state is kept as the remainder of a number above 0 "
                               "that is known when the layer is compiled");
    point.stateValue.re = last->operands[0];
  }
  // Erase terms of a real state are roles of the scan as they stand.
  bool sums = false;
  for (const TermRef &term : {point.stateValue.re, point.stateValue.im})
    if (term)
      walk(term, [&](const TermRef &node) {
        sums |= node->kind == Term::Reduce && node->hasState;
      });
  if (sums) {
    auto mixing = findMixing(point.stateValue, block, stmt.lines[0].range);
    if (!mixing)
      return false;
    if (block.isComplex() || !mixing->isSeparable)
      return mix(block, *mixing, std::nullopt, *scope);
  }
  LinearForm form = linearForm(point.stateValue, block.at, block.isComplex());
  if (!form.failure.empty())
    return diagnostics.error(stmt.lines[0].range, form.failure);
  block.decay = form.decay ? form.decay : ssmc::real(constant(0));
  block.write = form.write;
  block.erase = std::move(form.erase);
  if (block.period && (!isConstant(block.decay.re, 1) || !block.erase.empty()))
    return diagnostics.error(update->range,
                             "a state that is kept as a remainder has no factor: its "
                             "update is " + point.stateName + " = (" + point.stateName +
                                 " + e) % number");
  return true;
}

/// The sequence axis along which a block runs, and its direction.
bool Elaborator::findDirection(StateBlock &block, std::shared_ptr<Scope> scope) {
  const ast::StateStmt &stmt = block.stmt;
  std::optional<unsigned> sequence;
  if (stmt.along) {
    auto direction = directionOf(*stmt.along, scope);
    if (!direction)
      return false;
    block.backward = direction->backward;
    sequence = direction->sequence;
  }
  VisibleSequences visible = visibleSequences(*scope);
  if (visible.axes.empty())
    return diagnostics.error(stmt.range, "a state needs a sequence: no input has the "
                                         "axis t");
  if (!sequence && visible.axes.size() > 1) {
    std::string names;
    for (const Axis &axis : visible.axes)
      names += (names.empty() ? "" : ", ") + axis.name;
    return diagnostics.error(stmt.range, "a state runs along one sequence axis of " +
                                             names + "; say which, as in along " +
                                             visible.axes[0].name + " or along backward(" +
                                             visible.axes[0].name + ")");
  }
  std::map<int64_t, IndexId> ids; // by extent
  for (const Axis &axis : visible.axes) {
    IndexId id = ids[axis.size] = newIndex(axis);
    if (sequence && sequenceExtent(*sequence) != axis.size) {
      block.others.push_back(id);
      continue;
    }
    block.time = id;
    block.timeAxis = axis;
  }
  for (const Axis &axis : visible.names)
    block.sequenceNames.push_back({axis.name, ids[axis.size]});
  block.restIsSequences = visible.hasRest;
  for (const Axis &axis : visible.rest)
    if (axis.sequence)
      block.rest.push_back(ids[axis.size]);
    else
      block.restIsSequences = false;
  return true;
}

/// Where the state lives between calls.
bool Elaborator::placeState(StateBlock &block, Scope &scope) {
  const ast::StateStmt &stmt = block.stmt;
  bool isHandedOn = stmt.from || !stmt.to.name.empty();
  if (sequences.size() > 1 && isHandedOn)
    return diagnostics.error(stmt.range, "a state of a layer with several sequence axes "
                                         "has no initial and final value that a later "
                                         "call could use");
  if (block.backward && isHandedOn)
    return diagnostics.error(stmt.range, "a state along backward has no initial and "
                                         "final value that a later call could use");
  if (block.backward || sequences.size() > 1)
    return true;
  if (keepsStates()) {
    llvm::SmallVector<int64_t> sizes;
    for (const Axis &axis : block.axes)
      sizes.push_back(axis.size);
    if (block.isComplex())
      sizes.push_back(2);
    block.slot = states.size();
    Value current;
    addState(uniqueState(stmt.state.name.name), sizes, scalarType, current);
    if (!block.isComplex()) {
      block.initial[0] = current;
    } else {
      auto [re, im] = splitComplex(current);
      block.initial[0] = re;
      block.initial[1] = im;
      block.whole = current;
    }
  }
  if (stmt.from) {
    auto *from = llvm::dyn_cast<ast::NameExpr>(stmt.from.get());
    Entity *entity = from ? scope.findValue(from->name) : nullptr;
    auto zero = evaluateConstant(*stmt.from, scope);
    bool isZero = zero && zero->isNumber() && zero->number == 0;
    if (entity && entity->kind == Entity::Tensor && entity->tensor.inlined)
      isZero = isConstant(entity->tensor.inlined.re, 0);
    if (entity && entity->kind == Entity::InitialState && keepsStates())
      states[block.slot].initialInput = entity->name;
    else if (!isZero)
      return diagnostics.error(stmt.from->range, "a state starts from an input of "
                                                 "the layer or from 0");
  }
  if (!stmt.to.name.empty()) {
    Entity entity;
    entity.kind = Entity::FinalState;
    entity.slot = block.slot;
    entity.range = stmt.to.range;
    scope.values[stmt.to.name] = entity;
  }
  return true;
}

bool Elaborator::runState(const ast::StateStmt &stmt, std::shared_ptr<Scope> outer) {
  StateBlock block(stmt);
  const std::string &name = stmt.state.name.name;
  for (const ast::AxisPattern &pattern : stmt.state.axes) {
    auto axis = resolveAxis(pattern, *outer, true);
    if (!axis)
      return false;
    if (axis->name.empty() || axis->sequence)
      return diagnostics.error(pattern.range, "an axis of a state needs a name and a "
                                              "fixed extent");
    block.axes.push_back(*axis);
    block.ids.push_back(newIndex(*axis));
    block.at.push_back(dim(block.ids.back()));
  }
  if (!findDirection(block, outer))
    return false;
  // The state's name inside the block is not the value it has outside.
  auto scope = makeScope(outer);
  if (!readStateLines(block, scope))
    return false;

  if (!placeState(block, *outer))
    return false;
  if (block.backward)
    reversed = true;

  const ast::StateStmt::Line *output = nullptr;
  unsigned outputs = 0;
  for (const ast::StateStmt::Line &line : stmt.lines)
    if (line.kind == ast::StateStmt::Line::Output) {
      output = &line;
      ++outputs;
    }
  bool usedLater = outer->usedLater && llvm::is_contained(*outer->usedLater, name);
  if (outputs == 1 && !usedLater) {
    unsigned errors = diagnostics.getNumErrors();
    bool fused = emitScan(block, outer, output);
    if (fused || diagnostics.getNumErrors() != errors)
      return fused;
  }
  if (!emitScan(block, outer, nullptr))
    return false;
  for (const ast::StateStmt::Line &line : stmt.lines) {
    if (line.kind != ast::StateStmt::Line::Output)
      continue;
    auto tensor = defineTensor(line.target, *line.value, outer, false);
    if (!tensor)
      return false;
    outer->values[line.target.name.name] =
        Entity::of(std::move(*tensor), line.target.name.range);
  }
  return true;
}
