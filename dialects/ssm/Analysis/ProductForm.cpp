//===- ProductForm.cpp - Whether chunks are products of matrices ----------===//

#include "ssm/Analysis/ProductForm.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlir::ssm;

namespace {
/// What a value depends on, for one choice of the lane.
struct Dependences {
  mutable ScanOp op;
  SmallVector<unsigned> keys;
  unsigned lane;

  bool onKeys(Value value) const {
    llvm::SmallBitVector dims = op.getDependentDims(value);
    return llvm::any_of(keys, [&](unsigned dim) { return dims.test(dim); });
  }
  bool onLane(Value value) const { return op.getDependentDims(value).test(lane); }
};
} // namespace

/// Whether `value` is a product of factors of keys and factors of lanes; with
/// `mayBeSum`, or a sum of such products.
static bool factorizes(Value value, const Dependences &dependences, bool mayBeSum) {
  if (!dependences.onKeys(value) || !dependences.onLane(value))
    return true;
  Operation *definition = value.getDefiningOp();
  if (!definition)
    return false;
  bool isSum = isa<arith::AddFOp, arith::SubFOp>(definition);
  if (isSum ? !mayBeSum
            : !isa<arith::NegFOp, arith::ExtFOp, arith::TruncFOp, arith::MulFOp,
                   arith::DivFOp>(definition))
    return false;
  // Below a product there are factors alone.
  bool keepsSum = mayBeSum && !isa<arith::MulFOp, arith::DivFOp>(definition);
  return llvm::all_of(definition->getOperands(), [&](Value operand) {
    return factorizes(operand, dependences, keepsSum);
  });
}

std::string mlir::ssm::reasonAgainstProducts(ScanOp op) {
  CoefficientsOp roles = op.getCoefficientsOp();
  if (op.getComplex())
    return "chunks of a recurrence with complex numbers have no lowering in this version";
  if (roles.getReset())
    return "chunks that reset the state have no lowering in this version";
  if (roles.getRead().empty() || op.getKeyDims().empty())
    return "no dimension of the state is summed by a read, so a chunk has no matrix "
           "product";
  if (roles.getWrite().empty() && roles.getErase().empty())
    return "nothing is written to the state";
  for (unsigned dim = 2; dim < op.getNumDims(); ++dim)
    if (ShapedType::isDynamic(op.getDimSize(dim)) || op.getDimSize(dim) < 1)
      return "the extent of '" + op.getDimName(dim) + "' is not known";
  SmallVector<unsigned> wide;
  SmallVector<unsigned> keys = op.getKeyDims();
  for (unsigned dim : keys)
    if (op.getDimSize(dim) > 1)
      wide.push_back(dim);
  if (wide.size() > 1)
    return "the read sums over both '" + op.getDimName(wide[0]) + "' and '" +
           op.getDimName(wide[1]) + "', and this version's products over one";
  for (unsigned lane : op.getStateDims()) {
    if (llvm::is_contained(keys, lane) || op.getDimSize(lane) <= 1)
      continue;
    Dependences dependences{op, keys, lane};
    auto onLane = [&](Value value) { return dependences.onLane(value); };
    if (llvm::none_of(roles.getDecay(), onLane) &&
        llvm::none_of(roles.getRead(), onLane) &&
        llvm::none_of(roles.getErase(), onLane) &&
        llvm::all_of(roles.getWrite(), [&](Value value) {
          return factorizes(value, dependences, /*mayBeSum=*/true);
        }))
      return "";
  }
  return "no dimension of the state beside the keys leaves decay, read and erase terms "
         "alone and parts the write into factors of keys and of lanes";
}

static void collectProducts(Value value, bool negated,
                            SmallVectorImpl<std::pair<Value, bool>> &products) {
  Operation *definition = value.getDefiningOp();
  if (isa_and_present<arith::AddFOp, arith::SubFOp>(definition)) {
    collectProducts(definition->getOperand(0), negated, products);
    collectProducts(definition->getOperand(1),
                    negated != isa<arith::SubFOp>(definition), products);
  } else if (isa_and_present<arith::NegFOp, arith::ExtFOp, arith::TruncFOp>(
                 definition)) {
    collectProducts(definition->getOperand(0),
                    negated != isa<arith::NegFOp>(definition), products);
  } else {
    products.push_back({value, negated});
  }
}

SmallVector<std::pair<Value, bool>> mlir::ssm::getProducts(Value sum) {
  SmallVector<std::pair<Value, bool>> products;
  collectProducts(sum, /*negated=*/false, products);
  return products;
}

/// The factors of a product that depend on keys and whether it is divided by them, in
/// an order of their own.
static SmallVector<std::pair<void *, bool>>
getKeyFactors(Value product, const Dependences &dependences) {
  SmallVector<std::pair<Value, bool>> open = {{product, false}};
  SmallVector<std::pair<void *, bool>> factors;
  while (!open.empty()) {
    auto [value, inverse] = open.pop_back_val();
    Operation *definition = value.getDefiningOp();
    if (!dependences.onKeys(value))
      continue;
    if (isa_and_present<arith::NegFOp, arith::ExtFOp, arith::TruncFOp, arith::MulFOp,
                        arith::DivFOp>(definition))
      for (auto [i, operand] : llvm::enumerate(definition->getOperands()))
        open.push_back({operand, inverse != (i == 1 && isa<arith::DivFOp>(definition))});
    else
      factors.push_back({value.getAsOpaquePointer(), inverse});
  }
  llvm::sort(factors);
  return factors;
}

unsigned mlir::ssm::countTerms(ScanOp op, unsigned lane) {
  CoefficientsOp roles = op.getCoefficientsOp();
  Dependences dependences{op, op.getKeyDims(), lane};
  SmallVector<SmallVector<std::pair<void *, bool>>> terms;
  if (!roles.getWrite().empty()) {
    Value write = roles.getWrite().front();
    if (factorizes(write, dependences, /*mayBeSum=*/false))
      terms.push_back(getKeyFactors(write, dependences));
    else
      for (auto [product, negated] : getProducts(write))
        terms.push_back(getKeyFactors(product, dependences));
  }
  unsigned parts = op.getNumStates();
  for (unsigned i = parts; i < roles.getErase().size(); i += 2 * parts) {
    auto keys = getKeyFactors(roles.getErase()[i], dependences);
    if (!llvm::is_contained(terms, keys))
      terms.push_back(std::move(keys));
  }
  return std::max<unsigned>(terms.size(), 1);
}
