//===- ChunkFactors.cpp - Factors of a chunk's products -------------------===//

#include "Target/NVPTX/ChunkFactors.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;

Value nvptx::evaluateFactors(detail::Loops &loops, ScanOp op,
                             ArrayRef<ProductTerms::Factor> factors,
                             function_ref<Value(unsigned)> getArgument) {
  OpBuilder &b = loops.builder;
  Type f32 = b.getF32Type();
  SmallVector<Value> wanted;
  for (const ProductTerms::Factor &factor : factors)
    wanted.push_back(factor.value);
  SmallVector<Value> values =
      loops.inlineSlice(op.getCoefficients().front(), wanted, getArgument);
  Value product = loops.constant(f32, 1.0);
  bool isFirst = true;
  for (auto [factor, value] : llvm::zip_equal(factors, values))
    if (!factor.inverse) {
      value = loops.convert(value, f32);
      product = isFirst ? value : loops.mul(product, value);
      isFirst = false;
    }
  for (auto [factor, value] : llvm::zip_equal(factors, values))
    if (factor.inverse)
      product = arith::DivFOp::create(b, loops.loc, product, loops.convert(value, f32));
  return product;
}

std::optional<unsigned> nvptx::findCopied(ArrayRef<ProductTerms::Factor> factors) {
  if (factors.size() != 1 || factors.front().inverse)
    return std::nullopt;
  Value value = factors.front().value;
  if (auto widened = value.getDefiningOp<arith::ExtFOp>())
    value = widened.getIn();
  auto argument = dyn_cast<BlockArgument>(value);
  return argument ? std::optional(argument.getArgNumber()) : std::nullopt;
}

bool nvptx::isSameFor(AffineMap map, unsigned dim, int64_t count) {
  return llvm::all_of(map.getResults(), [&](AffineExpr index) {
    if (!index.isFunctionOfDim(dim))
      return true;
    auto quotient = dyn_cast<AffineBinaryOpExpr>(index);
    auto divisor = quotient ? dyn_cast<AffineConstantExpr>(quotient.getRHS()) : nullptr;
    return divisor && quotient.getKind() == AffineExprKind::FloorDiv &&
           isa<AffineDimExpr>(quotient.getLHS()) && divisor.getValue() % count == 0;
  });
}
