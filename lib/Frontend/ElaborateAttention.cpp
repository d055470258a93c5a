//===- ElaborateAttention.cpp - A second index over the sequence ----------===//
//
// `over s: t where ...` declares an index that walks the sequence beside `t`.
// Values over both are terms that are never stored; `sum(s)` of one becomes
// ssm.attend, which keeps keys and values of earlier tokens where a token needs
// none that come after it.
//
//===----------------------------------------------------------------------===//

#include "Attention.h"
#include "Elaborator.h"
#include "TermEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "ssm/IR/SSM.h"

using namespace ssmc;
using namespace mlir;

bool Elaborator::runOver(const ast::OverStmt &stmt, std::shared_ptr<Scope> scope) {
  auto *axis = scope->findAxis(stmt.axis.name);
  if (!axis || !axis->first.sequence || axis->first.second)
    return diagnostics.error(stmt.axis.range, "'" + stmt.axis.name +
                                                  "' is not an axis of the sequence");
  if (auto *other = scope->findAxis(stmt.index.name); other && !other->first.second) {
    diagnostics.error(stmt.index.range, "'" + stmt.index.name +
                                            "' is an axis already; name the second "
                                            "index over the sequence otherwise");
    diagnostics.note(other->second, "the axis is declared here");
    return false;
  }
  if (inImpulse)
    return diagnostics.error(stmt.range, "a second index over a sequence in a function "
                                         "whose response to an impulse is taken");
  if (scope->findCut(axis->first.size))
    return diagnostics.error(stmt.range, "a second index over a sequence that is cut "
                                         "is not available in this version");
  Axis second = axis->first;
  second.name = stmt.index.name;
  second.range = stmt.index.range;
  second.second = true;
  scope->axes[stmt.index.name] = {second, stmt.index.range};
  scope->overs[stmt.index.name] = {&stmt, scope};
  return true;
}

//===----------------------------------------------------------------------===//
// Parts of a sum
//===----------------------------------------------------------------------===//

bool Elaborator::isOverBoth(const TermRef &term) {
  llvm::SmallVector<int64_t> first, second; // the axes, by their extents
  for (unsigned id : term->indices.set_bits())
    if (const Axis &axis = indexAxis(id); axis.sequence)
      (axis.second ? second : first).push_back(axis.size);
  return llvm::any_of(first, [&](int64_t size) {
    return llvm::is_contained(second, size);
  });
}

namespace {
/// An operand of the op: a tensor at indices, the batch first if `batched`.
struct Operand {
  Value tensor;
  llvm::SmallVector<AffineExpr> at;
  bool batched = false;
};

struct Pair {
  Operand query, key;
};
} // namespace

struct Elaborator::Attention {
  IndexId s;
  IndexId t;
  llvm::SMRange range;
  llvm::SmallVector<IndexId> others; // along other sequence axes: rows of the op
  std::vector<Pair> pairs;
  std::vector<Operand> scoreIns;
  llvm::DenseMap<const Term *, unsigned> pairOf, scoreInOf;
  llvm::SmallVector<IndexId> contracted;
  std::vector<TermRef> kept; // terms in the maps above live as long
};

static void flatten(const TermRef &term, llvm::SmallVectorImpl<TermRef> &factors) {
  if (term->kind == Term::Operation && term->op == Operator::Mul) {
    flatten(term->operands[0], factors);
    flatten(term->operands[1], factors);
    return;
  }
  factors.push_back(term);
}

static bool isPlain(const TermRef &term) {
  if (term->kind != Term::Element || term->integer || term->boolean)
    return false;
  llvm::SmallVector<AffineExpr> seen;
  for (AffineExpr at : term->at) {
    if (!llvm::isa<AffineDimExpr>(at) || llvm::is_contained(seen, at))
      return false;
    seen.push_back(at);
  }
  return true;
}

static Operand operandOf(const TermRef &leaf) {
  return {leaf->tensor, llvm::SmallVector<AffineExpr>(leaf->at), leaf->batched};
}

/// A term over tokens `s` as an element of a tensor with batch and tokens first.
TermRef Elaborator::keyedElement(const TermRef &term, IndexId s) {
  if (isPlain(term) && term->batched && !term->at.empty() && term->at[0] == dim(s))
    return term;
  llvm::SmallVector<IndexId> variables = {s};
  for (unsigned id : term->indices.set_bits())
    if (id != s)
      variables.push_back(id);
  llvm::SmallVector<AffineExpr> at;
  for (IndexId id : variables)
    at.push_back(dim(id));
  llvm::SmallVector<Value> values;
  emitGeneric(term, variables, {}, Operator::Add, values, /*forceBatch=*/true);
  return element(values[0], at, /*batched=*/true, /*integer=*/false, /*boolean=*/false);
}

/// An element as one of the op's rows.
TermRef Elaborator::rowOf(const Attention &attention, const TermRef &leaf) {
  bool hasOthers = llvm::any_of(attention.others,
                                [&](IndexId id) { return leaf->dependsOn(id); });
  if (attention.others.empty() || (!leaf->batched && !hasOthers))
    return leaf;
  return elementOfRows(leaf, leaf->dependsOn(attention.s) ? attention.s : attention.t,
                       attention.others);
}

/// Adds the pair query * key, summed over `over`, and gives what stands for it.
TermRef Elaborator::addPair(Attention &attention, TermRef query, TermRef key,
                            llvm::ArrayRef<IndexId> over) {
  TermRef scale = constant(1);
  for (IndexId id : over) {
    if (!query->dependsOn(id) && !key->dependsOn(id))
      scale = multiply(scale, extentTerm(id));
    else if (indexAxis(id).sequence)
      return diagnostics.error(attention.range, "a sum inside of a value over two tokens "
                                                "is over axes of a fixed extent"),
             nullptr;
    else if (!llvm::is_contained(attention.contracted, id))
      attention.contracted.push_back(id);
  }
  Pair pair;
  pair.query =
      operandOf(rowOf(attention, isPlain(query) ? query : materializeTerm(query)));
  pair.key = operandOf(rowOf(attention, keyedElement(key, attention.s)));
  auto stand = std::make_shared<Term>();
  stand->kind = Term::Element;
  stand->tensor = pair.key.tensor;
  attention.pairOf[stand.get()] = attention.pairs.size();
  attention.pairs.push_back(pair);
  attention.kept.push_back(stand);
  return multiply(scale, stand);
}

/// A sum over indices of products of a value at `t` and one at `s`.
std::optional<TermRef> Elaborator::splitProducts(Attention &attention,
                                                 const TermRef &body,
                                                 llvm::ArrayRef<IndexId> over) {
  if (body->kind == Term::Operation) {
    bool isSum = body->op == Operator::Add || body->op == Operator::Sub;
    if (isSum || body->op == Operator::Neg) {
      auto a = splitProducts(attention, body->operands[0], over);
      if (!a || !isSum)
        return a ? std::optional(negate(*a)) : std::nullopt;
      auto b = splitProducts(attention, body->operands[1], over);
      if (!b)
        return std::nullopt;
      return body->op == Operator::Add ? add(*a, *b) : subtract(*a, *b);
    }
  }
  TermRef query = constant(1), key = constant(1);
  std::function<bool(const TermRef &, bool)> take = [&](const TermRef &term,
                                                        bool inverse) {
    bool isProduct = term->kind == Term::Operation &&
                     (term->op == Operator::Mul || term->op == Operator::Div);
    if (isOverBoth(term)) {
      if (!isProduct)
        return false;
      return take(term->operands[0], inverse) &&
             take(term->operands[1], inverse != (term->op == Operator::Div));
    }
    TermRef &side = term->dependsOn(attention.s) ? key : query;
    side = inverse ? divide(side, term) : multiply(side, term);
    return true;
  };
  if (!take(body, false)) {
    diagnostics.error(attention.range,
                      "a sum inside of a value over '" + indexAxis(attention.t).name +
                          "' and '" + indexAxis(attention.s).name +
                          "' is one of products of a value at each of them");
    return std::nullopt;
  }
  TermRef pair = addPair(attention, query, key, over);
  return pair ? std::optional(pair) : std::nullopt;
}

/// The score with its operands taken out: sums of products, tensors, values of one
/// token. What is left is arithmetic of them and of indices.
std::optional<TermRef> Elaborator::takeOperands(Attention &attention,
                                                const TermRef &term) {
  auto addScoreIn = [&](const TermRef &leaf) {
    TermRef value = rowOf(attention, leaf);
    auto stand = std::make_shared<Term>(*value);
    attention.scoreInOf[stand.get()] = attention.scoreIns.size();
    attention.scoreIns.push_back(operandOf(value));
    attention.kept.push_back(stand);
    return stand;
  };
  // The op's arithmetic knows the tokens, but not those of its rows.
  bool hasOthers = llvm::any_of(attention.others,
                                [&](IndexId id) { return term->dependsOn(id); });
  if (term->kind == Term::Constant || (term->kind == Term::Index && !hasOthers))
    return term;
  if (!term->dependsOn(attention.s))
    return addScoreIn(isPlain(term) ? term : materializeTerm(term));
  if (!term->dependsOn(attention.t) && (!term->fixed || hasOthers))
    return addPair(attention, constant(1), term, {});
  auto refuse = [&](const llvm::Twine &what) {
    diagnostics.error(attention.range, what);
    return std::nullopt;
  };
  const std::string &t = indexAxis(attention.t).name, &s = indexAxis(attention.s).name;
  switch (term->kind) {
  case Term::Reduce:
    return splitProducts(attention, term->operands[0], term->over);
  case Term::Element: {
    // Tokens count from the first one of a call, so only differences mean a place.
    for (AffineExpr at : term->at) {
      if (llvm::any_of(attention.others, [&](IndexId id) { return at == dim(id); }))
        continue;
      auto linear = linearIndex(at);
      int64_t sum = linear ? 0 : 1;
      if (linear)
        for (auto [id, factor] : linear->dims)
          sum += indexAxis(id).sequence ? factor : 0;
      if (sum != 0 || at.isFunctionOfSymbol(0))
        return refuse("an element that depends on '" + t + "' and '" + s +
                      "' is at a place that depends on their difference");
    }
    return addScoreIn(term);
  }
  case Term::Operation: {
    if (term->op == Operator::Softmax)
      return refuse("a softmax over '" + s + "' is a factor of what is summed over '" +
                    s + "', and the only one that depends on '" + t + "' too");
    auto copy = std::make_shared<Term>(*term);
    for (TermRef &operand : copy->operands) {
      auto taken = takeOperands(attention, operand);
      if (!taken)
        return std::nullopt;
      operand = *taken;
    }
    return copy;
  }
  default:
    return refuse("this cannot depend on '" + t + "' and '" + s + "' at once");
  }
}

//===----------------------------------------------------------------------===//
// The sum
//===----------------------------------------------------------------------===//

std::optional<TermRef> Elaborator::attend(IndexId s, const TermRef &body,
                                          const SeenTokens &seen,
                                          llvm::SMRange range) {
  if (body->kind == Term::Operation &&
      (body->op == Operator::Add || body->op == Operator::Sub)) {
    auto a = attend(s, body->operands[0], seen, range);
    auto b = attend(s, body->operands[1], seen, range);
    if (!a || !b)
      return std::nullopt;
    return body->op == Operator::Add ? add(*a, *b) : subtract(*a, *b);
  }
  if (isConstant(body, 0))
    return body;
  if (body->hasState) {
    diagnostics.error(range, "a state is not summed over tokens; the state itself is "
                             "such a sum");
    return std::nullopt;
  }
  if (!body->dependsOn(s))
    return multiply(body, countSeen(seen));

  Attention attention;
  attention.s = s;
  attention.t = seen.time;
  attention.range = range;
  llvm::SmallVector<TermRef> factors;
  flatten(body, factors);
  TermRef outside = constant(1), score = constant(1), value = constant(1);
  bool isSoftmax = false;
  for (const TermRef &factor : factors) {
    if (!factor->dependsOn(s)) {
      outside = multiply(outside, factor);
    } else if (!isOverBoth(factor)) {
      value = multiply(value, factor);
    } else if (factor->kind == Term::Operation && factor->op == Operator::Softmax &&
               isConstant(score, 1) && !isSoftmax) {
      isSoftmax = true;
      score = factor->operands[0];
    } else {
      score = isSoftmax ? operation(Operator::Softmax, score) : score;
      score = multiply(score, factor);
      isSoftmax = false;
    }
  }
  llvm::SmallVector<IndexId> lanes;
  llvm::SmallBitVector used = score->indices;
  used.resize(std::max(used.size(), value->indices.size()));
  used |= value->indices;
  for (unsigned id : used.set_bits())
    if (id != s && id != attention.t)
      (indexAxis(id).sequence ? attention.others : lanes).push_back(id);
  auto taken = takeOperands(attention, score);
  if (!taken)
    return std::nullopt;
  Operand values = operandOf(rowOf(attention, keyedElement(value, s)));

  // Dimensions: batch, t, s, lanes, what pairs are summed over.
  llvm::DenseMap<AffineExpr, AffineExpr> rename;
  rename[dim(attention.t)] = getAffineDimExpr(1, &context);
  rename[dim(s)] = getAffineDimExpr(2, &context);
  unsigned numDims = 3;
  for (IndexId id : llvm::concat<const IndexId>(lanes, attention.contracted))
    rename[dim(id)] = getAffineDimExpr(numDims++, &context);
  auto mapOf = [&](const Operand &operand) {
    llvm::SmallVector<AffineExpr> exprs;
    if (operand.batched)
      exprs.push_back(getAffineDimExpr(0, &context));
    for (AffineExpr at : operand.at)
      exprs.push_back(at.replace(rename));
    return AffineMap::get(numDims, 0, exprs, &context);
  };
  llvm::SmallVector<Value> queries, keys, scoreIns, keyed;
  llvm::SmallVector<AffineMap> queryMaps, keyMaps, scoreMaps;
  for (const Pair &pair : attention.pairs) {
    queries.push_back(pair.query.tensor);
    queryMaps.push_back(mapOf(pair.query));
    keys.push_back(pair.key.tensor);
    keyMaps.push_back(mapOf(pair.key));
  }
  for (const Operand &operand : attention.scoreIns) {
    scoreIns.push_back(operand.tensor);
    scoreMaps.push_back(mapOf(operand));
  }
  auto rangeMap = [&](llvm::ArrayRef<AffineExpr> exprs) {
    llvm::SmallVector<AffineExpr> results;
    for (AffineExpr expr : exprs)
      results.push_back(simplifyAffineExpr(
          expr.replace(dim(attention.t), getAffineDimExpr(0, &context)), 1, 0));
    return AffineMapAttr::get(AffineMap::get(1, 0, results, &context));
  };
  llvm::SmallVector<AffineExpr> outputExprs, at;
  for (IndexId id : attention.others)
    at.push_back(dim(id));
  at.push_back(dim(attention.t));
  llvm::SmallVector<int64_t> outputSizes = {indexAxis(attention.t).size};
  for (unsigned d = 0; d < lanes.size() + 2; ++d)
    outputExprs.push_back(getAffineDimExpr(d < 2 ? d : d + 1, &context));
  for (IndexId id : lanes) {
    outputSizes.push_back(indexAxis(id).size);
    at.push_back(dim(id));
  }

  // Earlier tokens are kept unless the sequence comes as a whole.
  llvm::SmallVector<Value> outs = {
      emptyRows(attention.others, outputSizes, scalarType)};
  llvm::SmallVector<Value> histories;
  llvm::SmallVector<unsigned> slots;
  reversed |= !seen.causal;
  if (seen.causal && seen.reach != 0 && keepsStates()) {
    keyed = keys;
    keyed.push_back(values.tensor);
    for (auto [i, operand] : llvm::enumerate(keyed)) {
      auto type = llvm::cast<RankedTensorType>(operand.getType());
      llvm::SmallVector<int64_t> sizes = {seen.reach ? *seen.reach : kLagExtent};
      for (int64_t d = 2; d < type.getRank(); ++d)
        sizes.push_back(type.getDimSize(d));
      slots.push_back(states.size());
      Value history;
      addState(uniqueState(i + 1 < keyed.size() ? "keys" : "values"), sizes,
               type.getElementType(), history);
      histories.push_back(history);
    }
    outs.append(histories.begin(), histories.end());
  }
  auto op = ssm::AttendOp::create(
      builder, loc, TypeRange(ValueRange(outs)), queries, keys, scoreIns,
      values.tensor, /*decays=*/Value(), histories, position, outs,
      isSoftmax ? builder.getUnitAttr() : UnitAttr(), rangeMap(seen.from),
      rangeMap(seen.to), builder.getAffineMapArrayAttr(queryMaps),
      builder.getAffineMapArrayAttr(keyMaps), builder.getAffineMapArrayAttr(scoreMaps),
      AffineMapAttr::get(mapOf(values)), /*decay_map=*/AffineMapAttr(),
      AffineMapAttr::get(AffineMap::get(numDims, 0, outputExprs, &context)));
  noteSequence(op, indexAxis(attention.t));
  {
    OpBuilder::InsertionGuard guard(builder);
    llvm::SmallVector<Type> types(queries.size(), scalarType);
    for (Value operand : scoreIns)
      types.push_back(getElementTypeOrSelf(operand));
    unsigned firstIndex = types.size();
    types.append(2 + lanes.size(), builder.getIndexType());
    Block *block =
        builder.createBlock(&op.getScore(), {}, types,
                            llvm::SmallVector<Location>(types.size(), loc));
    TermEmitter emitter(builder, loc, scalarType);
    emitter.elementOf = [&](const Term &node) -> Value {
      auto pair = attention.pairOf.find(&node);
      if (pair != attention.pairOf.end())
        return block->getArgument(pair->second);
      return block->getArgument(queries.size() + attention.scoreInOf.lookup(&node));
    };
    emitter.indexOf = [&](IndexId id) -> Value {
      unsigned d = llvm::cast<AffineDimExpr>(rename.lookup(dim(id))).getPosition();
      return block->getArgument(firstIndex + d - 1);
    };
    emitter.length = [&](unsigned sequence) { return sizeOfLength(sequence); };
    emitter.preparedLength = [&] { return prepared; };
    ssm::YieldOp::create(builder, loc, emitter.emit(*taken, scalarType));
  }
  for (auto [i, slot] : llvm::enumerate(slots))
    setState(slot, op.getResult(i + 1));
  Value whole = unfoldRows(op.getResult(0), attention.others);
  return multiply(outside, element(whole, at, true, false, false));
}
