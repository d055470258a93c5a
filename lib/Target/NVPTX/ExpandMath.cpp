//===- ExpandMath.cpp - Elementary functions without libdevice ------------===//

#include "Target/NVPTX/DoubleMath.h"
#include "Target/NVPTX/Passes.h"

#include "Target/CPU/ExpandMath.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

namespace ssmc::nvptx {
#define GEN_PASS_DEF_EXPANDMATHPASS
#include "Target/NVPTX/Passes.h.inc"
} // namespace ssmc::nvptx

using namespace mlir;
using namespace ssmc;

namespace {
struct ExpandMathPass : ssmc::nvptx::impl::ExpandMathPassBase<ExpandMathPass> {
  using ExpandMathPassBase::ExpandMathPassBase;
  void runOnOperation() override;
};
} // namespace

/// The intrinsic of LLVM that the PTX back end turns into instructions, if there is one;
/// the conversion of `math` would call libdevice instead.
static StringRef getIntrinsic(Operation *op) {
  return llvm::TypeSwitch<Operation *, StringRef>(op)
      .Case([](math::AbsFOp) { return "llvm.fabs"; })
      .Case([](math::CeilOp) { return "llvm.ceil"; })
      .Case([](math::FloorOp) { return "llvm.floor"; })
      .Case([](math::TruncOp) { return "llvm.trunc"; })
      .Case([](math::RoundEvenOp) { return "llvm.roundeven"; })
      .Case([](math::CopySignOp) { return "llvm.copysign"; })
      .Case([](math::FmaOp) { return "llvm.fma"; })
      .Case([](math::SqrtOp) { return "llvm.sqrt"; })
      .Default([](Operation *) { return StringRef(); });
}

static std::string suffixOf(Type type) {
  if (type.isBF16())
    return ".bf16";
  return ".f" + std::to_string(type.getIntOrFloatBitWidth());
}

static Value emitIntrinsic(ImplicitLocOpBuilder &b, Operation *op, StringRef name) {
  Type type = op->getResult(0).getType();
  SmallVector<Value> operands(op->getOperands());
  bool narrow = type.getIntOrFloatBitWidth() < 32;
  Type used = narrow ? Type(b.getF32Type()) : type;
  if (narrow)
    for (Value &operand : operands)
      operand = arith::ExtFOp::create(b, used, operand);
  Value result = LLVM::CallIntrinsicOp::create(
                     b, used, b.getStringAttr(name + suffixOf(used)), operands)
                     ->getResult(0);
  return narrow ? Value(arith::TruncFOp::create(b, type, result)) : result;
}

/// 1 / (1 + exp(x)): a number from 1 to infinity has a quotient without the branch that
/// very small ones need.
static void expandSigmoid(arith::DivFOp quotient) {
  auto sum = quotient.getRhs().getDefiningOp<arith::AddFOp>();
  auto isOne = [](Value value) { return matchPattern(value, m_OneFloat()); };
  if (!sum || !quotient.getType().isF32() || !isOne(quotient.getLhs()))
    return;
  Value left = sum.getLhs(), right = sum.getRhs();
  if (isOne(right))
    std::swap(left, right);
  if (!isOne(left) || !right.getDefiningOp<math::ExpOp>())
    return;
  ImplicitLocOpBuilder b(quotient.getLoc(), quotient);
  auto reciprocal = LLVM::CallIntrinsicOp::create(
      b, quotient.getType(), b.getStringAttr("llvm.nvvm.rcp.approx.ftz.f"), sum.getResult());
  quotient.replaceAllUsesWith(reciprocal->getResult(0));
  quotient.erase();
}

/// A number of 32 bits whose upper half is that of the half register that `bits` holds, and
/// whose lower half is zero: one instruction, whichever half it is.
static Value upperHalf(ImplicitLocOpBuilder &b, Value bits) {
  Type i32 = b.getI32Type();
  Value half = arith::ConstantIntOp::create(b, i32, 16);
  auto part = bits.getDefiningOp<arith::TruncIOp>();
  if (!part || !part.getIn().getType().isInteger(32))
    return arith::ShLIOp::create(b, arith::ExtUIOp::create(b, i32, bits), half);
  auto shift = part.getIn().getDefiningOp<arith::ShRUIOp>();
  if (!shift || getConstantIntValue(shift.getRhs()) != 16)
    return arith::ShLIOp::create(b, part.getIn(), half);
  return arith::AndIOp::create(b, shift.getLhs(),
                               arith::ConstantIntOp::create(b, i32, -65536));
}

/// The upper half of an f32.
static void widenBF16(arith::ExtFOp op) {
  if (!op.getIn().getType().isBF16() || !op.getType().isF32())
    return;
  ImplicitLocOpBuilder b(op.getLoc(), op);
  auto cast = op.getIn().getDefiningOp<arith::BitcastOp>();
  Value bits = cast && cast.getIn().getType().isInteger(16)
                   ? cast.getIn()
                   : Value(arith::BitcastOp::create(b, b.getI16Type(), op.getIn()));
  op.getResult().replaceAllUsesWith(
      arith::BitcastOp::create(b, op.getType(), upperHalf(b, bits)));
  op->erase();
}

void ExpandMathPass::runOnOperation() {
  getOperation().walk(expandSigmoid);
  cpu::VectorMathOptions options;
  options.fastExp = fastExp;
  options.ptx = true;
  cpu::expandMath(getOperation(), options);
  nvptx::expandDoubleMath(getOperation());
  SmallVector<Operation *> ops;
  getOperation().walk([&](Operation *op) {
    if (isa_and_nonnull<math::MathDialect>(op->getDialect()))
      ops.push_back(op);
  });
  for (Operation *op : ops) {
    ImplicitLocOpBuilder b(op->getLoc(), op);
    StringRef name = getIntrinsic(op);
    if (name.empty() || !isa<FloatType>(op->getResult(0).getType())) {
      op->emitOpError("on ") << op->getOperand(0).getType()
                             << " has no form on this target: what is computed for every "
                                "token is computed in f32; choose --dtype f32";
      return signalPassFailure();
    }
    op->getResult(0).replaceAllUsesWith(emitIntrinsic(b, op, name));
    op->erase();
  }
  getOperation().walk(widenBF16);
}
