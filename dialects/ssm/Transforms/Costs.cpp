//===- Costs.cpp - What is dear to compute --------------------------------===//

#include "Costs.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "ssm/IR/SSM.h"

using namespace mlir;

bool ssm::isCostlyScalar(Operation *op) {
  if (isa<arith::DivFOp, arith::RemFOp, arith::DivSIOp, arith::DivUIOp,
          arith::RemSIOp, arith::RemUIOp, ssm::DiscretizeOp>(op))
    return true;
  if (!isa_and_nonnull<math::MathDialect>(op->getDialect()))
    return false;
  // The rest of the dialect: one or two instructions on floating-point numbers.
  return !isa<math::AbsFOp, math::AbsIOp, math::CopySignOp, math::FmaOp,
              math::FloorOp, math::CeilOp, math::RoundOp, math::RoundEvenOp,
              math::TruncOp, math::IsNaNOp, math::IsInfOp, math::IsFiniteOp,
              math::IsNormalOp>(op);
}

bool ssm::containsCostlyScalar(Operation *op) {
  return op
      ->walk([](Operation *nested) {
        bool isCostly = isCostlyScalar(nested) ||
                        isa<ssm::DiscretizeMatrixOp, ssm::MatrixPowerOp,
                            ssm::KrylovOp, ssm::ImpulseResponseOp,
                            ssm::RootsOp, ssm::SpectrumOp>(nested);
        return isCostly ? WalkResult::interrupt() : WalkResult::advance();
      })
      .wasInterrupted();
}
