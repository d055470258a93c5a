//===- LowerImpulse.cpp - Kernels of time-invariant systems ---------------===//

#include "Target/NVPTX/DoubleProducts.h"
#include "Target/NVPTX/ImpulseKernel.h"
#include "Target/NVPTX/Lowering.h"

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

ImpulseKernel::Values ImpulseKernel::multiply(ArrayRef<Value> low, ArrayRef<Value> high,
                                              ArrayRef<Value> right) {
  Values sums(4, loops.constant(b.getF64Type(), 0));
  multiplyAdd(low, high, right, sums);
  return sums;
}

/// An instruction has several steps; those that are not there add nothing.
void ImpulseKernel::multiplyAdd(ArrayRef<Value> low, ArrayRef<Value> high,
                                ArrayRef<Value> right, Values &sums) {
  Value zero = loops.constant(b.getF64Type(), 0);
  for (size_t first = 0; first < right.size(); first += kProductSteps) {
    auto take = [&](ArrayRef<Value> all) {
      Values steps(all.slice(first, std::min<size_t>(kProductSteps, all.size() - first)));
      steps.resize(kProductSteps, zero);
      return steps;
    };
    emitDoubleProduct(b, loops.loc, take(low), take(high), take(right), sums);
  }
}

ImpulseKernel::System ImpulseKernel::systemOf(Value outer, Value number) {
  return {outer, quotient(number, width), remainder(number, width), number};
}

Value ImpulseKernel::loadInput(const System &system, Value row) {
  return loops.load(op.getInput(), {system.outer, system.tile, row, system.lane});
}

Value ImpulseKernel::loadRead(const System &system, unsigned out, Value which,
                              Value row) {
  return loops.load(op.getRead(), {system.outer, system.tile, loops.index(out), which,
                                   row, system.lane});
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
  loops.store(round(number), op.getOuts()[out],
              {getPlace(lag), system.outer, which, system.number});
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
