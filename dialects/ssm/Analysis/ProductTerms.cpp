//===- ProductTerms.cpp - A recurrence as products of matrices ------------===//

#include "ssm/Analysis/ProductTerms.h"
#include "ssm/Analysis/ProductForm.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlir::ssm;

namespace {
/// Fills in the terms for the key and lane of `result`.
class Factorization {
public:
  Factorization(ScanOp op, ProductTerms &result)
      : op(op), roles(op.getCoefficientsOp()), result(result) {}

  bool run();

private:
  bool dependsOnKeys(Value value) {
    llvm::SmallBitVector dims = op.getDependentDims(value);
    return llvm::any_of(op.getKeyDims(), [&](unsigned dim) { return dims[dim]; });
  }
  bool dependsOnLane(Value value) {
    return op.getDependentDims(value).test(result.lane);
  }
  bool factorize(Value value, bool inverse, ProductTerms::Term &term);
  bool addTerm(Value product, bool negated);
  void addPair(Value left, Value right);

  ScanOp op;
  CoefficientsOp roles;
  ProductTerms &result;
};
} // namespace

/// Splits a product into factors of keys, of lanes, and of time alone.
bool Factorization::factorize(Value value, bool inverse, ProductTerms::Term &term) {
  bool onKeys = dependsOnKeys(value);
  bool onLane = dependsOnLane(value);
  if (!onKeys || !onLane) {
    (onKeys ? term.key : onLane ? term.lane : term.time).push_back({value, inverse});
    return true;
  }
  Operation *definition = value.getDefiningOp();
  if (!definition)
    return false;
  if (isa<arith::NegFOp>(definition)) {
    term.negated = !term.negated;
    return factorize(definition->getOperand(0), inverse, term);
  }
  // The state is at least as wide as what is converted.
  if (isa<arith::ExtFOp, arith::TruncFOp>(definition))
    return factorize(definition->getOperand(0), inverse, term);
  if (isa<arith::MulFOp, arith::DivFOp>(definition))
    return factorize(definition->getOperand(0), inverse, term) &&
           factorize(definition->getOperand(1),
                     inverse != isa<arith::DivFOp>(definition), term);
  return false;
}

bool Factorization::addTerm(Value product, bool negated) {
  ProductTerms::Term term;
  term.negated = negated;
  if (!factorize(product, /*inverse=*/false, term))
    return false;
  result.terms.push_back(std::move(term));
  return true;
}

bool ProductTerms::split(ScanOp op, Factors open, ArrayRef<unsigned> dims, Factors &time,
                         Factors &own) {
  Block *body = &op.getCoefficients().front();
  bool negated = false;
  while (!open.empty()) {
    Factor factor = open.pop_back_val();
    Operation *definition = factor.value.getDefiningOp();
    if (definition && definition->getBlock() != body)
      definition = nullptr;
    llvm::SmallBitVector depends = op.getDependentDims(factor.value);
    if (llvm::none_of(dims, [&](unsigned dim) { return depends[dim]; })) {
      time.push_back(factor);
    } else if (isa_and_present<arith::NegFOp>(definition)) {
      negated = !negated;
      open.push_back({definition->getOperand(0), factor.inverse});
    } else if (isa_and_present<arith::MulFOp, arith::DivFOp>(definition)) {
      bool divides = isa<arith::DivFOp>(definition);
      open.push_back({definition->getOperand(0), factor.inverse});
      open.push_back({definition->getOperand(1), factor.inverse != divides});
    } else {
      own.push_back(factor);
    }
  }
  return negated;
}

bool ProductTerms::areSameFactors(ArrayRef<Factor> a, ArrayRef<Factor> b) {
  return a.size() == b.size() && std::is_permutation(a.begin(), a.end(), b.begin());
}

void Factorization::addPair(Value left, Value right) {
  ProductTerms::Term added;
  added.isWritten = false;
  ProductTerms::ErasePair pair;
  pair.left = left;
  pair.negated =
      ProductTerms::splitKeys(op, {{right, false}}, pair.time, added.key);
  auto *same = llvm::find_if(result.terms, [&](const ProductTerms::Term &term) {
    return ProductTerms::areSameFactors(term.key, added.key);
  });
  pair.term = same - result.terms.begin();
  if (same == result.terms.end())
    result.terms.push_back(std::move(added));
  result.pairs.push_back(std::move(pair));
}

bool Factorization::run() {
  result.terms.clear();
  result.pairs.clear();
  OperandRange decay = roles.getDecay(), write = roles.getWrite(), erase = roles.getErase();
  if ((!decay.empty() && dependsOnLane(decay[0])) || dependsOnLane(roles.getRead()[0]) ||
      llvm::any_of(erase, [&](Value value) { return dependsOnLane(value); }))
    return false;
  if (!write.empty() && !addTerm(write[0], /*negated=*/false))
    for (auto [product, negated] : getProducts(write[0]))
      if (!addTerm(product, negated))
        return false;
  if (erase.empty())
    return true;
  for (ProductTerms::Term &term : result.terms)
    if (ProductTerms::splitKeys(op, std::exchange(term.key, {}), term.time, term.key))
      term.negated = !term.negated;
  for (unsigned i = 0; i < erase.size(); i += 2)
    addPair(erase[i], erase[i + 1]);
  return true;
}

std::optional<ProductTerms> ProductTerms::get(ScanOp op) {
  CoefficientsOp roles = op.getCoefficientsOp();
  SmallVector<unsigned> keyDims = op.getKeyDims();
  if (op.getComplex() || op.getDense() || roles.getReset() ||
      (roles.getWrite().empty() && roles.getErase().empty()) || roles.getRead().empty() ||
      keyDims.empty() || op.getNumOutputs() != 1)
    return std::nullopt;
  for (unsigned dim = 2; dim < op.getNumDims(); ++dim)
    if (ShapedType::isDynamic(op.getDimSize(dim)) || op.getDimSize(dim) < 1)
      return std::nullopt;
  ProductTerms result;
  result.key = keyDims.front();
  for (unsigned dim : keyDims)
    if (op.getDimSize(dim) > op.getDimSize(result.key))
      result.key = dim;
  for (unsigned dim : keyDims) {
    if (dim == result.key)
      continue;
    if (op.getDimSize(dim) != 1)
      return std::nullopt;
    result.unitKeys.push_back(dim);
  }
  result.copyDims = op.getCopyDims();
  if (!roles.getDecay().empty()) {
    llvm::SmallBitVector dims = op.getDependentDims(roles.getDecay()[0]);
    result.keyDecay = llvm::any_of(keyDims, [&](unsigned dim) { return dims[dim]; });
  }

  SmallVector<unsigned> candidates;
  for (unsigned dim : op.getStateDims())
    if (!llvm::is_contained(keyDims, dim) && op.getDimSize(dim) > 1)
      candidates.push_back(dim);
  llvm::sort(candidates, [&](unsigned a, unsigned b) {
    return std::make_pair(op.getDimSize(a), a) > std::make_pair(op.getDimSize(b), b);
  });
  for (unsigned dim : candidates) {
    result.lane = dim;
    if (!Factorization(op, result).run())
      continue;
    for (unsigned other : op.getStateDims())
      if (other != dim && !llvm::is_contained(keyDims, other))
        result.outerDims.push_back(other);
    return result;
  }
  return std::nullopt;
}
