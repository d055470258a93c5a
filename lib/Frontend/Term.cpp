//===- Term.cpp - Construction, folding and traversal of terms ------------===//

#include "Term.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/Hashing.h"
#include "llvm/ADT/bit.h"
#include <cmath>

using namespace ssmc;
using mlir::AffineExpr;

//===----------------------------------------------------------------------===//
// Leaves and nodes
//===----------------------------------------------------------------------===//

static void mark(llvm::SmallBitVector &set, AffineExpr expr) {
  expr.walk([&](AffineExpr e) {
    if (auto dim = llvm::dyn_cast<mlir::AffineDimExpr>(e)) {
      if (set.size() <= dim.getPosition())
        set.resize(dim.getPosition() + 1);
      set.set(dim.getPosition());
    }
  });
}

static void merge(llvm::SmallBitVector &into, const llvm::SmallBitVector &from) {
  if (into.size() < from.size())
    into.resize(from.size());
  into |= from;
}

TermRef ssmc::constant(double value) {
  auto term = std::make_shared<Term>();
  term->kind = Term::Constant;
  term->value = value;
  term->fixed = term->exact = true;
  return term;
}

TermRef ssmc::boolean(bool value) {
  auto term = std::make_shared<Term>();
  term->kind = Term::Constant;
  term->value = value;
  term->boolean = term->fixed = term->exact = true;
  return term;
}

TermRef ssmc::indexTerm(AffineExpr expr) {
  if (auto c = llvm::dyn_cast<mlir::AffineConstantExpr>(expr))
    return constant(c.getValue());
  auto term = std::make_shared<Term>();
  term->kind = Term::Index;
  term->index = expr;
  term->fixed = term->exact = true;
  mark(term->indices, expr);
  return term;
}

TermRef ssmc::lengthTerm(unsigned sequence) {
  auto term = std::make_shared<Term>();
  term->kind = Term::Length;
  term->sequence = sequence;
  term->fixed = term->exact = true;
  return term;
}

TermRef ssmc::element(mlir::Value tensor, llvm::ArrayRef<AffineExpr> at,
                      bool batched, bool integer, bool boolean) {
  auto term = std::make_shared<Term>();
  term->kind = Term::Element;
  term->tensor = tensor;
  term->at.assign(at.begin(), at.end());
  term->batched = batched;
  term->integer = integer;
  term->boolean = boolean;
  term->exact = integer;
  for (AffineExpr expr : at)
    mark(term->indices, expr);
  return term;
}

TermRef ssmc::gather(mlir::Value tensor, llvm::ArrayRef<TermRef> at,
                     bool batched, bool integer) {
  auto term = std::make_shared<Term>();
  term->kind = Term::Gather;
  term->tensor = tensor;
  term->operands.assign(at.begin(), at.end());
  term->batched = batched;
  term->integer = term->exact = integer;
  for (const TermRef &operand : at)
    merge(term->indices, operand->indices);
  return term;
}

TermRef ssmc::stateTerm(llvm::ArrayRef<AffineExpr> at, unsigned part) {
  auto term = std::make_shared<Term>();
  term->kind = Term::State;
  term->at.assign(at.begin(), at.end());
  term->part = part;
  term->hasState = true;
  for (AffineExpr expr : at)
    mark(term->indices, expr);
  return term;
}

TermRef ssmc::reduce(llvm::ArrayRef<IndexId> over, TermRef body) {
  auto term = std::make_shared<Term>();
  term->kind = Term::Reduce;
  term->over.assign(over.begin(), over.end());
  term->indices = body->indices;
  for (IndexId id : over)
    if (id < term->indices.size())
      term->indices.reset(id);
  term->hasState = body->hasState;
  term->operands.push_back(std::move(body));
  return term;
}

std::optional<double> ssmc::constantValue(const TermRef &term) {
  if (term && term->kind == Term::Constant)
    return term->value;
  return std::nullopt;
}

bool ssmc::isConstant(const TermRef &term, double value) {
  return term && term->kind == Term::Constant && term->value == value;
}

/// The value of an operation on numbers.
static double fold(Operator op, llvm::ArrayRef<double> v) {
  switch (op) {
  case Operator::Add: return v[0] + v[1];
  case Operator::Sub: return v[0] - v[1];
  case Operator::Mul: return v[0] * v[1];
  case Operator::Div: return v[0] / v[1];
  case Operator::Neg: return -v[0];
  case Operator::Min: return std::fmin(v[0], v[1]);
  case Operator::Max: return std::fmax(v[0], v[1]);
  case Operator::Pow: return std::pow(v[0], v[1]);
  case Operator::Exp: return std::exp(v[0]);
  case Operator::Expm1: return std::expm1(v[0]);
  case Operator::Log: return std::log(v[0]);
  case Operator::Log1p: return std::log1p(v[0]);
  case Operator::Sqrt: return std::sqrt(v[0]);
  case Operator::Rsqrt: return 1 / std::sqrt(v[0]);
  case Operator::Sin: return std::sin(v[0]);
  case Operator::Cos: return std::cos(v[0]);
  case Operator::Tanh: return std::tanh(v[0]);
  case Operator::Erf: return std::erf(v[0]);
  case Operator::Abs: return std::fabs(v[0]);
  case Operator::Floor: return std::floor(v[0]);
  case Operator::Ceil: return std::ceil(v[0]);
  case Operator::Mod: return v[0] - v[1] * std::floor(v[0] / v[1]);
  case Operator::Eq: return v[0] == v[1];
  case Operator::Ne: return v[0] != v[1];
  case Operator::Lt: return v[0] < v[1];
  case Operator::Le: return v[0] <= v[1];
  case Operator::And: return v[0] != 0 && v[1] != 0;
  case Operator::Or: return v[0] != 0 || v[1] != 0;
  case Operator::Not: return v[0] == 0;
  case Operator::Select: return v[0] != 0 ? v[1] : v[2];
  case Operator::Softmax: case Operator::Discretize: case Operator::Normal:
  case Operator::Uniform: break;
  }
  return NAN;
}

static bool isPredicate(Operator op) {
  switch (op) {
  case Operator::Eq: case Operator::Ne: case Operator::Lt: case Operator::Le:
  case Operator::And: case Operator::Or: case Operator::Not:
    return true;
  default:
    return false;
  }
}

static bool foldable(Operator op) {
  return op != Operator::Softmax && op != Operator::Discretize && op != Operator::Normal && op != Operator::Uniform;
}

TermRef ssmc::operation(Operator op, llvm::ArrayRef<TermRef> operands) {
  bool allConstant = foldable(op);
  for (const TermRef &operand : operands)
    allConstant &= operand->kind == Term::Constant;
  if (allConstant) {
    llvm::SmallVector<double, 3> values;
    for (const TermRef &operand : operands)
      values.push_back(operand->value);
    double value = fold(op, values);
    bool isBool = isPredicate(op) ||
                  (op == Operator::Select && operands[1]->boolean);
    return isBool ? boolean(value != 0) : constant(value);
  }
  if (op == Operator::Select && operands[0]->kind == Term::Constant)
    return operands[0]->value != 0 ? operands[1] : operands[2];
  auto term = std::make_shared<Term>();
  term->kind = Term::Operation;
  term->op = op;
  term->boolean = isPredicate(op) || (op == Operator::Select && operands[1]->boolean);
  term->fixed = term->exact = true;
  for (const TermRef &operand : operands) {
    merge(term->indices, operand->indices);
    term->fixed &= operand->fixed;
    term->exact &= operand->exact;
    term->hasState |= operand->hasState;
    term->operands.push_back(operand);
  }
  return term;
}

TermRef ssmc::add(TermRef a, TermRef b) {
  if (isConstant(a, 0))
    return b;
  if (isConstant(b, 0))
    return a;
  return operation(Operator::Add, a, b);
}

TermRef ssmc::subtract(TermRef a, TermRef b) {
  if (isConstant(b, 0))
    return a;
  if (isConstant(a, 0))
    return negate(b);
  return operation(Operator::Sub, a, b);
}

// A product with a constant 0 is 0 even where the other side might be NaN: the
// zeros that arise here come from the structure of the text (an absent branch, an
// imaginary part that is not there), not from data.
TermRef ssmc::multiply(TermRef a, TermRef b) {
  if (isConstant(a, 1))
    return b;
  if (isConstant(b, 1))
    return a;
  if (isConstant(a, 0) || isConstant(b, 0))
    return constant(0);
  if (isConstant(a, -1))
    return negate(b);
  if (isConstant(b, -1))
    return negate(a);
  return operation(Operator::Mul, a, b);
}

TermRef ssmc::divide(TermRef a, TermRef b) {
  if (isConstant(b, 1))
    return a;
  return operation(Operator::Div, a, b);
}

TermRef ssmc::negate(TermRef a) {
  if (a->kind == Term::Operation && a->op == Operator::Neg)
    return a->operands[0];
  return operation(Operator::Neg, a);
}

//===----------------------------------------------------------------------===//
// Complex arithmetic
//===----------------------------------------------------------------------===//

TermRef ssmc::imag(const Number &a) { return a.im ? a.im : constant(0); }

Number ssmc::add(const Number &a, const Number &b) {
  if (!a.im && !b.im)
    return real(add(a.re, b.re));
  return {add(a.re, b.re), add(imag(a), imag(b))};
}

Number ssmc::subtract(const Number &a, const Number &b) {
  if (!a.im && !b.im)
    return real(subtract(a.re, b.re));
  return {subtract(a.re, b.re), subtract(imag(a), imag(b))};
}

Number ssmc::multiply(const Number &a, const Number &b) {
  if (!a.im && !b.im)
    return real(multiply(a.re, b.re));
  if (!a.im)
    return {multiply(a.re, b.re), multiply(a.re, b.im)};
  if (!b.im)
    return {multiply(a.re, b.re), multiply(a.im, b.re)};
  return {subtract(multiply(a.re, b.re), multiply(a.im, b.im)),
          add(multiply(a.re, b.im), multiply(a.im, b.re))};
}

Number ssmc::divide(const Number &a, const Number &b) {
  if (!b.im) {
    if (!a.im)
      return real(divide(a.re, b.re));
    return {divide(a.re, b.re), divide(a.im, b.re)};
  }
  TermRef norm = add(multiply(b.re, b.re), multiply(b.im, b.im));
  Number product = multiply(a, conj(b));
  return {divide(product.re, norm), divide(imag(product), norm)};
}

Number ssmc::negate(const Number &a) {
  return {negate(a.re), a.im ? negate(a.im) : nullptr};
}

Number ssmc::conj(const Number &a) {
  return {a.re, a.im ? negate(a.im) : nullptr};
}

Number ssmc::expOf(const Number &a) {
  TermRef size = operation(Operator::Exp, a.re);
  if (!a.im)
    return real(size);
  return {multiply(size, operation(Operator::Cos, a.im)),
          multiply(size, operation(Operator::Sin, a.im))};
}

// exp(x) cos(y) - 1 = expm1(x) cos(y) - 2 sin(y/2)^2.
Number ssmc::expm1Of(const Number &a) {
  TermRef size = operation(Operator::Expm1, a.re);
  if (!a.im)
    return real(size);
  TermRef half = operation(Operator::Sin, multiply(constant(0.5), a.im));
  return {subtract(multiply(size, operation(Operator::Cos, a.im)),
                   multiply(constant(2), multiply(half, half))),
          multiply(operation(Operator::Exp, a.re), operation(Operator::Sin, a.im))};
}

Number ssmc::select(TermRef condition, const Number &a, const Number &b) {
  if (auto known = constantValue(condition))
    return *known != 0 ? a : b;
  TermRef re = operation(Operator::Select, {condition, a.re, b.re});
  if (!a.im && !b.im)
    return real(re);
  return {re, operation(Operator::Select, {condition, imag(a), imag(b)})};
}

std::pair<Number, Number> ssmc::discretize(int rule, int inputRule,
                                           const Number &rate,
                                           const TermRef &step) {
  auto result = [&](unsigned part) {
    llvm::SmallVector<TermRef, 3> operands = {step, rate.re};
    if (rate.im)
      operands.push_back(rate.im);
    TermRef term = operation(Operator::Discretize, operands);
    auto *node = const_cast<Term *>(term.get());
    node->part = part;
    node->rule = rule;
    node->inputRule = inputRule;
    return term;
  };
  if (!rate.im)
    return {real(result(0)), real(result(2))};
  return {{result(0), result(1)}, {result(2), result(3)}};
}

//===----------------------------------------------------------------------===//
// Traversal
//===----------------------------------------------------------------------===//

namespace {
struct Substitution {
  const std::function<AffineExpr(IndexId)> &map;
  mlir::MLIRContext *context;
  llvm::DenseMap<const Term *, TermRef> done;

  AffineExpr apply(AffineExpr expr) {
    return expr.replace([&]() {
      llvm::DenseMap<AffineExpr, AffineExpr> replacements;
      expr.walk([&](AffineExpr e) {
        if (auto dim = llvm::dyn_cast<mlir::AffineDimExpr>(e))
          if (AffineExpr to = map(dim.getPosition()))
            replacements[e] = to;
      });
      return replacements;
    }());
  }

  TermRef run(const TermRef &term) {
    if (term->kind == Term::Constant || term->kind == Term::Length)
      return term;
    auto found = done.find(term.get());
    if (found != done.end())
      return found->second;
    TermRef result;
    llvm::SmallVector<AffineExpr> at;
    for (AffineExpr expr : term->at)
      at.push_back(apply(expr));
    llvm::SmallVector<TermRef> operands;
    for (const TermRef &operand : term->operands)
      operands.push_back(run(operand));
    switch (term->kind) {
    case Term::Index: result = indexTerm(apply(term->index)); break;
    case Term::Element:
      result = element(term->tensor, at, term->batched, term->integer,
                       term->boolean);
      break;
    case Term::Gather:
      result = gather(term->tensor, operands, term->batched, term->integer);
      break;
    case Term::State: result = stateTerm(at, term->part); break;
    case Term::Reduce: result = reduce(term->over, operands[0]); break;
    case Term::Operation: {
      result = operation(term->op, operands);
      if (term->op == Operator::Discretize) {
        auto *node = const_cast<Term *>(result.get());
        node->part = term->part;
        node->rule = term->rule;
        node->inputRule = term->inputRule;
      }
      break;
    }
    default: result = term;
    }
    done[term.get()] = result;
    return result;
  }
};
} // namespace

TermRef ssmc::substitute(const TermRef &term,
                         const std::function<AffineExpr(IndexId)> &map,
                         mlir::MLIRContext *context) {
  Substitution substitution{map, context, llvm::DenseMap<const Term *, TermRef>()};
  return substitution.run(term);
}

static void walk(const TermRef &term,
                 const std::function<void(const TermRef &)> &visit,
                 llvm::DenseSet<const Term *> &seen) {
  if (!seen.insert(term.get()).second)
    return;
  for (const TermRef &operand : term->operands)
    walk(operand, visit, seen);
  visit(term);
}

void ssmc::walk(const TermRef &term,
                const std::function<void(const TermRef &)> &visit) {
  llvm::DenseSet<const Term *> seen;
  ::walk(term, visit, seen);
}

double ssmc::evaluate(const TermRef &term, llvm::ArrayRef<int64_t> point,
                      const std::function<double()> &gaussian,
                      const std::function<double()> &uniform) {
  switch (term->kind) {
  case Term::Constant:
    return term->value;
  case Term::Index: {
    auto map = mlir::AffineMap::get(point.size(), 0, term->index);
    return double(map.compose(point)[0]);
  }
  case Term::Operation: {
    llvm::SmallVector<double, 3> values;
    for (const TermRef &operand : term->operands)
      values.push_back(evaluate(operand, point, gaussian, uniform));
    if (term->op == Operator::Normal)
      return values[0] * gaussian();
    if (term->op == Operator::Uniform)
      return values[0] + (values[1] - values[0]) * uniform();
    return fold(term->op, values);
  }
  default:
    return NAN;
  }
}

//===----------------------------------------------------------------------===//
// Equality
//===----------------------------------------------------------------------===//

namespace {
/// Values of terms where a number between 1/2 and 3/2, which follows from what it is,
/// stands for each leaf. Terms that differ as functions have the same value by a
/// coincidence of hashes only.
class Samples {
public:
  double get(const TermRef &term) {
    auto found = values.find(term.get());
    if (found != values.end())
      return found->second;
    double value = compute(term);
    return values[term.get()] = value;
  }

private:
  double compute(const TermRef &term) {
    if (term->kind == Term::Constant)
      return term->value;
    if (term->kind != Term::Operation || !foldable(term->op))
      return draw(getHash(term));
    // Both branches count, whatever the condition is.
    if (term->op == Operator::Select) {
      double weight = draw(getHash(term->operands[0]));
      return weight * get(term->operands[1]) + (1 - weight) * get(term->operands[2]);
    }
    llvm::SmallVector<double, 3> operands;
    for (const TermRef &operand : term->operands)
      operands.push_back(get(operand));
    return fold(term->op, operands);
  }

  static double draw(uint64_t hash) {
    hash = (hash ^ (hash >> 31)) * 0x9e3779b97f4a7c15u;
    return 0.5 + double(hash >> 11) / double(uint64_t(1) << 53);
  }

  size_t getHash(const TermRef &term) {
    auto found = hashes.find(term.get());
    if (found != hashes.end())
      return found->second;
    llvm::hash_code hash = llvm::hash_combine(
        int(term->kind), int(term->op), llvm::bit_cast<uint64_t>(term->value),
        term->index.getAsOpaquePointer(), term->tensor.getAsOpaquePointer(), term->part,
        term->rule, term->inputRule);
    for (AffineExpr expr : term->at)
      hash = llvm::hash_combine(hash, expr.getAsOpaquePointer());
    for (IndexId id : term->over)
      hash = llvm::hash_combine(hash, id);
    for (const TermRef &operand : term->operands)
      hash = llvm::hash_combine(hash, getHash(operand));
    return hashes[term.get()] = hash;
  }

  llvm::DenseMap<const Term *, double> values;
  llvm::DenseMap<const Term *, size_t> hashes;
};
} // namespace

bool ssmc::isEqual(const TermRef &a, const TermRef &b) {
  Samples samples;
  double left = a ? samples.get(a) : 0, right = b ? samples.get(b) : 0;
  return std::fabs(left - right) <= 1e-9 * (1 + std::fabs(left) + std::fabs(right));
}
