//===- LowerImpulse.cpp - Kernels of time-invariant systems ---------------===//

#include "Target/NVPTX/ImpulseKernel.h"
#include "Target/NVPTX/Lowering.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

ImpulseKernel::ImpulseKernel(OpBuilder &builder, ImpulseResponseOp op)
    : KernelEmitter(builder, op.getLoc()), b(builder), op(op),
      element(getElementTypeOrSelf(op.getOuts().front())), rows(op.getRows()),
      width(op.getWidth()),
      outer(cast<ShapedType>(op.getInput().getType()).getDimSize(0)),
      lanes(cast<ShapedType>(op.getInput().getType()).getDimSize(1) * width),
      reads(op.getReads()) {
  numLags = loops.size(op.getOuts().front(), 0);
}

void ImpulseKernel::multiply(Value left, Value right, Values &sums) {
  Type f64 = b.getF64Type();
  auto type = NVVM::MMATypes::f64;
  auto result = NVVM::MmaOp::create(
      b, loops.loc, LLVM::LLVMStructType::getLiteral(b.getContext(), {f64, f64}), left,
      right, sums, ArrayRef<int64_t>{kTile, kTile, kQuads}, /*b1Op=*/std::nullopt,
      /*intOverflow=*/std::nullopt, std::array{type, type},
      std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
  for (auto [i, sum] : llvm::enumerate(sums))
    sum = LLVM::ExtractValueOp::create(b, loops.loc, result, i);
}

ImpulseKernel::Values ImpulseKernel::zeros() {
  return Values(2, loops.constant(b.getF64Type(), 0));
}

ImpulseKernel::System ImpulseKernel::systemOf(Value outer, Value number) {
  return {outer, quotient(number, width), remainder(number, width), number};
}

Value ImpulseKernel::loadInput(const System &system, Value row) {
  return loops.load(op.getInput(), {system.outer, system.tile, row, system.lane});
}

Value ImpulseKernel::loadRead(const System &system, unsigned out, Value which, Value row) {
  return loops.load(op.getRead(), {system.outer, system.tile, loops.index(out), which, row,
                                   system.lane});
}

Value ImpulseKernel::round(Value number) {
  const llvm::fltSemantics &semantics = cast<FloatType>(element).getFloatSemantics();
  double smallest = llvm::APFloat::getSmallestNormalized(semantics).convertToDouble();
  Type f64 = b.getF64Type();
  Value size = math::AbsFOp::create(b, loops.loc, number);
  Value isSmall = arith::CmpFOp::create(b, loops.loc, arith::CmpFPredicate::OLT, size,
                                        loops.constant(f64, smallest));
  return loops.convert(loops.select(isSmall, loops.constant(f64, 0), number), element);
}

Value ImpulseKernel::getPlace(Value lag) {
  return op.getReverse() ? loops.sub(plus(numLags, -1), lag) : lag;
}

void ImpulseKernel::storeTap(Value number, unsigned out, Value lag, const System &system,
                             Value which) {
  loops.when(loops.less(lag, numLags), [&] {
    loops.store(round(number), op.getOuts()[out],
                {getPlace(lag), system.outer, which, system.number});
  });
}

bool nvptx::canRespond(ImpulseResponseOp op) {
  return op.getDense() ? fitsDense(op) : fitsDiagonal(op);
}

LogicalResult nvptx::lowerImpulse(RewriterBase &rewriter, ImpulseResponseOp op) {
  if (!canRespond(op))
    return failure();
  if (op.getDense())
    emitDense(rewriter, op);
  else
    emitDiagonal(rewriter, op);
  rewriter.eraseOp(op);
  return success();
}
