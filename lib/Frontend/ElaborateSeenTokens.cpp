//===- ElaborateSeenTokens.cpp - What a token sees of a sequence ----------===//
//
// The condition of an index that walks the sequence beside `t` says which tokens a
// token sees: those between two numbers, where it can be told.
//
//===----------------------------------------------------------------------===//

#include "Attention.h"
#include "Elaborator.h"

using namespace ssmc;
using namespace mlir;

/// A number as an affine function of indices, or null.
static AffineExpr affineOf(const TermRef &term, MLIRContext *context) {
  if (term->kind == Term::Index)
    return term->index;
  if (auto value = constantValue(term))
    return *value == std::floor(*value) && std::fabs(*value) < 1e15
               ? getAffineConstantExpr(int64_t(*value), context)
               : AffineExpr();
  if (term->kind != Term::Operation)
    return {};
  if (term->op == Operator::Floor && term->operands[0]->kind == Term::Operation &&
      term->operands[0]->op == Operator::Div) {
    AffineExpr a = affineOf(term->operands[0]->operands[0], context);
    AffineExpr b = affineOf(term->operands[0]->operands[1], context);
    auto by = llvm::dyn_cast_or_null<AffineConstantExpr>(b);
    return a && by && by.getValue() > 0 ? a.floorDiv(by) : AffineExpr();
  }
  llvm::SmallVector<AffineExpr> v;
  for (const TermRef &operand : term->operands) {
    v.push_back(affineOf(operand, context));
    if (!v.back())
      return {};
  }
  switch (term->op) {
  case Operator::Floor: return v[0]; // of a whole number
  case Operator::Add: return v[0] + v[1];
  case Operator::Sub: return v[0] - v[1];
  case Operator::Neg: return -v[0];
  case Operator::Mul:
    return v[0].isSymbolicOrConstant() || v[1].isSymbolicOrConstant() ? v[0] * v[1]
                                                                      : AffineExpr();
  case Operator::Mod: {
    auto by = llvm::dyn_cast<AffineConstantExpr>(v[1]);
    return by && by.getValue() > 0 ? v[0] % by : AffineExpr();
  }
  default: return {};
  }
}

namespace {
/// `tokens * s + chunks * (s floordiv size) + rest`.
struct SecondIndex {
  int64_t tokens = 0, chunks = 0, size = 1;
  AffineExpr rest;

  bool add(AffineExpr expr, int64_t factor, IndexId s) {
    if (!expr.isFunctionOfDim(s)) {
      rest = rest + expr * factor;
      return true;
    }
    if (llvm::isa<AffineDimExpr>(expr)) {
      tokens += factor;
      return true;
    }
    auto binary = llvm::cast<AffineBinaryOpExpr>(expr);
    auto by = llvm::dyn_cast<AffineConstantExpr>(binary.getRHS());
    switch (expr.getKind()) {
    case AffineExprKind::Add:
      return add(binary.getLHS(), factor, s) && add(binary.getRHS(), factor, s);
    case AffineExprKind::Mul:
      return by && add(binary.getLHS(), factor * by.getValue(), s);
    case AffineExprKind::FloorDiv:
      if (!by || !llvm::isa<AffineDimExpr>(binary.getLHS()) ||
          (chunks && size != by.getValue()))
        return false;
      size = by.getValue();
      chunks += factor;
      return true;
    default:
      return false;
    }
  }
};
} // namespace

/// Adds `0 <= expr` to what `seen` says of the tokens.
static bool restrict(AffineExpr expr, IndexId s, MLIRContext *context,
                     SeenTokens &seen) {
  SecondIndex form;
  form.rest = getAffineConstantExpr(0, context);
  if (!form.add(expr, 1, s))
    return false;
  if (form.chunks == 0 && form.tokens == 1)
    seen.from.push_back(-form.rest);
  else if (form.chunks == 0 && form.tokens == -1)
    seen.to.push_back(form.rest + 1);
  else if (form.tokens == 0 && form.chunks == 1)
    seen.from.push_back(-form.rest * form.size);
  else if (form.tokens == 0 && form.chunks == -1)
    seen.to.push_back((form.rest + 1) * form.size);
  else
    return false;
  return true;
}

static bool restrict(const TermRef &condition, IndexId s, MLIRContext *context,
                     SeenTokens &seen) {
  if (condition->kind != Term::Operation)
    return isConstant(condition, 1);
  const auto &operands = condition->operands;
  auto isAlways = [](const TermRef &term) { return isConstant(term, 1); };
  switch (condition->op) {
  case Operator::And:
    return restrict(operands[0], s, context, seen) &&
           restrict(operands[1], s, context, seen);
  case Operator::Or:
    if (isAlways(operands[0]) || isAlways(operands[1]))
      return true;
    if (isConstant(operands[0], 0))
      return restrict(operands[1], s, context, seen);
    return isConstant(operands[1], 0) && restrict(operands[0], s, context, seen);
  case Operator::Eq: case Operator::Le: case Operator::Lt: {
    AffineExpr a = affineOf(operands[0], context), b = affineOf(operands[1], context);
    if (!a || !b)
      return false;
    AffineExpr difference = b - a;
    if (condition->op == Operator::Lt)
      difference = difference - 1;
    return restrict(difference, s, context, seen) &&
           (condition->op != Operator::Eq || restrict(-difference, s, context, seen));
  }
  default:
    return false;
  }
}

/// The smallest and largest value of `t - expr`, if they are bounded: expr is
/// `t + c`, or `(t floordiv n) * n + c`.
static std::optional<std::pair<int64_t, int64_t>>
distanceTo(AffineExpr expr, IndexId t, MLIRContext *context) {
  SecondIndex form;
  form.rest = getAffineConstantExpr(0, context);
  if (!form.add(simplifyAffineExpr(expr, t + 1, 0), 1, t))
    return std::nullopt;
  auto rest = llvm::dyn_cast<AffineConstantExpr>(
      simplifyAffineExpr(form.rest, t + 1, 0));
  if (!rest)
    return std::nullopt;
  int64_t nearest = -rest.getValue();
  if (form.tokens == 1 && form.chunks == 0)
    return std::pair(nearest, nearest);
  if (form.tokens == 0 && form.chunks == form.size)
    return std::pair(nearest, nearest + form.size - 1);
  return std::nullopt;
}

std::optional<SeenTokens> Elaborator::seenTokens(IndexId s, PointContext &point,
                                                 Scope &scope, llvm::SMRange range) {
  Scope::Over *found = nullptr;
  for (Scope *at = &scope; at && !found; at = at->parent.get())
    if (auto over = at->overs.find(indexAxis(s).name); over != at->overs.end())
      found = &over->second;
  assert(found && "a second index comes from 'over'");
  const ast::OverStmt &stmt = *found->stmt;
  SeenTokens seen;
  auto t = llvm::dyn_cast_or_null<AffineDimExpr>(point.find(stmt.axis.name));
  if (!t) {
    diagnostics.error(range, "index '" + stmt.axis.name + "' is not on the left, so "
                             "which '" + stmt.index.name + "' belong to it is not "
                             "known");
    return std::nullopt;
  }
  seen.time = t.getPosition();
  if (stmt.where) {
    auto condition = evaluatePoint(*stmt.where, found->scope, point);
    if (!condition)
      return std::nullopt;
    bool isRange =
        condition->re->boolean && restrict(condition->re, s, &context, seen);
    for (AffineExpr limit : llvm::concat<AffineExpr>(seen.from, seen.to))
      for (unsigned id : condition->re->indices.set_bits())
        isRange &= id == seen.time || !limit.isFunctionOfDim(id);
    if (!isRange) {
      diagnostics.error(stmt.where->range,
                        "the tokens that one sees are a range: the condition is made "
                        "of comparisons of '" + stmt.index.name + "' or '" +
                            stmt.index.name + " // c' with functions of '" +
                            stmt.axis.name + "', joined by 'and'");
      return std::nullopt;
    }
  }
  for (AffineExpr to : seen.to) {
    auto distance = distanceTo(to, seen.time, &context);
    seen.causal |= distance && distance->first >= -1;
  }
  for (AffineExpr from : seen.from)
    if (auto distance = distanceTo(from, seen.time, &context))
      seen.reach = std::min(seen.reach.value_or(INT64_MAX),
                            std::max<int64_t>(distance->second, 0));
  return seen;
}

/// How many tokens a token sees.
TermRef Elaborator::countSeen(const SeenTokens &seen) {
  TermRef from = constant(0), to;
  for (AffineExpr expr : seen.from)
    from = operation(Operator::Max, from, indexTerm(expr));
  for (AffineExpr expr : seen.to)
    to = to ? operation(Operator::Min, to, indexTerm(expr)) : indexTerm(expr);
  if (!seen.causal) {
    TermRef length = lengthTerm(sequenceNumber(indexAxis(seen.time).size));
    to = to ? operation(Operator::Min, to, length) : length;
  }
  return operation(Operator::Max, subtract(to, from), constant(0));
}
