//===- PackedMatmul.cpp - Which form a product by packed weights takes ----===//

#include "Target/CPU/PackedMatmul.h"

#include "Target/CPU/AMXTile.h"
#include "Target/CPU/MatmulEmitter.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace ssmc::cpu;

/// `then` where the condition holds, else `otherwise`.
static void emitChoice(ImplicitLocOpBuilder &b, Value condition,
                       llvm::function_ref<void()> then,
                       llvm::function_ref<void()> otherwise) {
  scf::IfOp::create(
      b, condition,
      [&](OpBuilder &, Location) {
        then();
        scf::YieldOp::create(b);
      },
      [&](OpBuilder &, Location) {
        otherwise();
        scf::YieldOp::create(b);
      });
}

/// Whether panels are whole matrix registers.
static bool fitsTiles(MemRefType weight) {
  return weight.getDimSize(1) % (amxDepth / 2) == 0 &&
         (weight.getDimSize(2) == amxRows || weight.getDimSize(2) == 2 * amxRows);
}

LogicalResult ssmc::cpu::emitPackedMatmul(OpBuilder &builder, Location loc,
                                          const PackedMatmul &matmul,
                                          const KernelTarget &target) {
  auto input = cast<MemRefType>(matmul.input.getType());
  auto weight = cast<MemRefType>(matmul.weight.getType());
  auto output = cast<MemRefType>(matmul.output.getType());
  for (MemRefType type : {input, output})
    if (type.isDynamicDim(type.getRank() - 1))
      return emitError(loc) << "found " << type
                            << ", wanted a static last dimension";
  if (!weight.hasStaticShape() || !weight.areTrailingDimsContiguous(weight.getRank()))
    return emitError(loc) << "found packed weight " << weight
                          << ", wanted a static shape without gaps";
  // An empty sum of an empty product still needs its epilogue; a product
  // without columns has nothing to write.
  if (output.getShape().back() == 0)
    return success();
  Type accumulator = builder.getF32Type();
  for (MemRefType type : {input, weight, output})
    if (type.getElementType().isF64())
      accumulator = type.getElementType();
  ImplicitLocOpBuilder b(loc, builder);
  IndexMath index(b);
  Value tokens = getTokens(index, matmul.output);
  auto emitBlocked = [&](BF16Unit unit) {
    emitBlockedMatmul(b, matmul, target, accumulator, unit);
  };
  auto emitVectors = [&](BF16Unit unit) {
    int64_t most =
        MatmulBlocking(matmul, target, accumulator, unit).streamedRows;
    if (most == 0)
      return emitBlocked(unit);
    // None are not few: they have no tasks.
    Value below = index.sub(tokens, index.constant(1));
    emitChoice(
        b, index.less(below, index.constant(most)),
        [&] { emitStreamedMatmul(b, matmul, target, accumulator, unit); },
        [&] { emitBlocked(unit); });
  };
  bool isNarrow = matmul.roundInput && accumulator.isF32() &&
                  weight.getElementType().isBF16();
  if (isNarrow && target.bf16 == BF16Unit::Tiles && fitsTiles(weight)) {
    // Vectors fill the time of few tokens, which wait for memory, as well.
    Value isMany = arith::CmpIOp::create(b, arith::CmpIPredicate::uge, tokens,
                                         index.constant(amxRows / 2));
    auto request = [&](OpBuilder &, Location) {
      scf::YieldOp::create(b, emitAMXRequest(b));
    };
    auto no = [&](OpBuilder &, Location) {
      Value never = arith::ConstantOp::create(b, b.getBoolAttr(false));
      scf::YieldOp::create(b, never);
    };
    Value hasTiles = scf::IfOp::create(b, isMany, request, no).getResult(0);
    emitChoice(
        b, hasTiles, [&] { emitBlocked(BF16Unit::Tiles); },
        [&] { emitVectors(BF16Unit::None); });
    return success();
  }
  emitVectors(isNarrow && target.bf16 == BF16Unit::Dot ? BF16Unit::Dot
                                                       : BF16Unit::None);
  return success();
}
