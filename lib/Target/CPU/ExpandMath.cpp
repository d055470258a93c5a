//===- ExpandMath.cpp - Elementary functions as arithmetic ----------------===//
//
// Decides which operations of `math` become arithmetic, which are taken apart
// into scalars and which stay. The functions themselves are in VectorMath.
//
//===----------------------------------------------------------------------===//

#include "Target/CPU/ExpandMath.h"

#include "Target/CPU/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

namespace ssmc::cpu {
#define GEN_PASS_DEF_EXPANDMATHPASS
#include "Target/CPU/Passes.h.inc"
} // namespace ssmc::cpu

using namespace mlir;
using namespace ssmc::cpu;

/// Whether processors have an instruction, or LLVM a short sequence, for it.
static bool hasInstruction(Operation *op) {
  return isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp,
             math::CountLeadingZerosOp, math::CountTrailingZerosOp,
             math::CtPopOp, math::FloorOp, math::FmaOp, math::IsFiniteOp,
             math::IsInfOp, math::IsNaNOp, math::IsNormalOp,
             math::RoundEvenOp, math::SqrtOp, math::TruncOp>(op);
}

/// Marks log1p(exp(-|x|)), the smooth part of a softplus: its argument is at
/// most 1.
static constexpr const char *unitArgument = "ssm.unit_argument";

static bool isSoftplus(math::Log1pOp op) {
  auto exponential = op.getOperand().getDefiningOp<math::ExpOp>();
  auto negated = exponential
                     ? exponential.getOperand().getDefiningOp<arith::NegFOp>()
                     : arith::NegFOp();
  return negated && negated.getOperand().getDefiningOp<math::AbsFOp>();
}

/// The function as arithmetic on f32 operands, or null if not in the list.
static Value emitFunction(VectorMath &math, Operation *op,
                          ArrayRef<Value> operands) {
  Value x = operands[0];
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](math::ExpOp) { return math.exp(x); })
      .Case([&](math::Exp2Op) { return math.exp2(x); })
      .Case([&](math::ExpM1Op) { return math.expm1(x); })
      .Case([&](math::LogOp) { return math.log(x); })
      .Case([&](math::Log2Op) { return math.log2(x); })
      .Case([&](math::Log10Op) { return math.log10(x); })
      .Case([&](math::Log1pOp log) {
        return log->hasAttr(unitArgument) ? math.log1pOfUnit(x)
                                          : math.log1p(x);
      })
      .Case([&](math::TanhOp) { return math.tanh(x); })
      .Case([&](math::SinOp) { return math.sin(x); })
      .Case([&](math::CosOp) { return math.cos(x); })
      .Case([&](math::ErfOp) { return math.erf(x); })
      .Case([&](math::RsqrtOp) { return math.rsqrt(x); })
      .Case([&](math::PowFOp) { return math.pow(x, operands[1]); })
      .Default([](Operation *) { return Value(); });
}

static Type withElement(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(element);
  return element;
}

/// In f32, with conversions around it if the operands are narrower.
static Value emitInF32(ImplicitLocOpBuilder &b, Operation *op,
                       const VectorMathOptions &options) {
  Type type = op->getResult(0).getType();
  Type element = getElementTypeOrSelf(type);
  if (!isa<FloatType>(element) || element.getIntOrFloatBitWidth() > 32)
    return {};
  bool narrow = !element.isF32();
  Type wide = withElement(type, b.getF32Type());
  SmallVector<Value> operands;
  for (Value operand : op->getOperands()) {
    if (operand.getType() != type)
      return {};
    operands.push_back(
        narrow ? Value(arith::ExtFOp::create(b, wide, operand)) : operand);
  }
  VectorMathOptions chosen = options;
  if (auto flags = dyn_cast<arith::ArithFastMathInterface>(op))
    chosen.fastExp |= arith::bitEnumContainsAll(
        flags.getFastMathFlagsAttr().getValue(), arith::FastMathFlags::afn);
  VectorMath math(b, chosen);
  Value result = emitFunction(math, op, operands);
  if (result && narrow)
    result = arith::TruncFOp::create(b, type, result);
  return result;
}

/// One scalar operation a lane.
static Value emitByLane(ImplicitLocOpBuilder &b, Operation *op) {
  auto type = cast<VectorType>(op->getResult(0).getType());
  Value result =
      arith::ConstantOp::create(b, cast<TypedAttr>(b.getZeroAttr(type)));
  SmallVector<int64_t> lane(type.getRank());
  for (int64_t i = 0, e = type.getNumElements(); i != e; ++i) {
    int64_t rest = i;
    for (int64_t d = type.getRank() - 1; d >= 0; --d) {
      lane[d] = rest % type.getDimSize(d);
      rest /= type.getDimSize(d);
    }
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(vector::ExtractOp::create(b, operand, lane));
    OperationState state(op->getLoc(), op->getName(), operands,
                         {type.getElementType()}, op->getAttrs());
    Value scalar = b.create(state)->getResult(0);
    result = vector::InsertOp::create(b, scalar, result, lane);
  }
  return result;
}

// Without an instruction for it LLVM calls a function of the compiler's runtime
// library, a lane at a time.
static void expandToBF16(arith::TruncFOp op, const VectorMathOptions &options) {
  ImplicitLocOpBuilder b(op.getLoc(), op);
  Value x = op.getIn();
  if (!getElementTypeOrSelf(x).isF32())
    x = arith::TruncFOp::create(b, withElement(x.getType(), b.getF32Type()), x);
  VectorMath math(b, options);
  op.getResult().replaceAllUsesWith(math.toBF16(x));
  op->erase();
}

void ssmc::cpu::expandMath(Operation *root, const VectorMathOptions &options) {
  SmallVector<Operation *> functions;
  // Before the exponentials that it looks at are gone.
  root->walk([&](math::Log1pOp op) {
    if (isSoftplus(op))
      op->setAttr(unitArgument, UnitAttr::get(op.getContext()));
  });
  root->walk([&](Operation *op) {
    if (isa_and_nonnull<math::MathDialect>(op->getDialect()) &&
        !hasInstruction(op))
      functions.push_back(op);
  });
  for (Operation *op : functions) {
    ImplicitLocOpBuilder b(op->getLoc(), op);
    Value result = emitInF32(b, op, options);
    if (!result) {
      auto vector = dyn_cast<VectorType>(op->getResult(0).getType());
      if (!vector || vector.isScalable())
        continue;
      result = emitByLane(b, op);
    }
    op->getResult(0).replaceAllUsesWith(result);
    op->erase();
  }
  if (options.ptx) // has an instruction
    return;
  root->walk([&](arith::TruncFOp op) {
    if (getElementTypeOrSelf(op.getType()).isBF16())
      expandToBF16(op, options);
  });
}

void ssmc::cpu::toPowerOfTwo(RewriterBase &rewriter, math::ExpOp op,
                             function_ref<bool(Value)> isFixed) {
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(op);
  Location loc = op.getLoc();
  auto multiply = [&](Value left, Value right) -> Value {
    return arith::MulFOp::create(rewriter, loc, left, right, arith::FastMathFlags::contract);
  };
  Value exponent = op.getOperand();
  Value factor = arith::ConstantOp::create(
      rewriter, loc, rewriter.getF32FloatAttr(1.44269504088896340736f));
  Value fixed, moving;
  if (auto product = exponent.getDefiningOp<arith::MulFOp>()) {
    bool isLeft = isFixed(product.getLhs());
    if (isLeft || isFixed(product.getRhs())) {
      fixed = isLeft ? product.getLhs() : product.getRhs();
      moving = isLeft ? product.getRhs() : product.getLhs();
    }
  }
  exponent = fixed ? multiply(moving, multiply(fixed, factor)) : multiply(exponent, factor);
  rewriter.replaceOpWithNewOp<math::Exp2Op>(op, exponent, arith::FastMathFlags::afn);
}

namespace {
struct ExpandMath : ssmc::cpu::impl::ExpandMathPassBase<ExpandMath> {
  using Base::Base;

  void runOnOperation() override {
    VectorMathOptions options;
    options.fastExp = fastExp;
    options.avx512 = avx512;
    expandMath(getOperation(), options);
  }
};
} // namespace
