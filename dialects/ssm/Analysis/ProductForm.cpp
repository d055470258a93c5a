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
