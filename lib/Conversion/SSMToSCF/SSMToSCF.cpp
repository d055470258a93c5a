//===- SSMToSCF.cpp - Literal lowering of the ssm dialect -----------------===//
//
// Only the pass; the families' patterns are in files of their names.
//
//===----------------------------------------------------------------------===//

#include "ssmc/Conversion/SSMToSCF.h"

#include "Loops.h"

#include "ssm/IR/SSM.h"
#include "ssm/Transforms/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace ssmc {
#define GEN_PASS_DEF_CONVERTSSMTOSCFPASS
#include "ssmc/Conversion/Passes.h.inc"
} // namespace ssmc

using namespace mlir;

namespace {
struct ConvertSSMToSCFPass
    : public ssmc::impl::ConvertSSMToSCFPassBase<ConvertSSMToSCFPass> {
  void runOnOperation() override {
    // Coefficients are copied into the loops, so what they contain goes first.
    RewritePatternSet scalars(&getContext());
    ssm::populateExpandDiscretizePatterns(scalars);
    walkAndApplyPatterns(getOperation(), std::move(scalars));

    RewritePatternSet patterns(&getContext());
    ssmc::populateSSMToSCFConversionPatterns(patterns);
    walkAndApplyPatterns(getOperation(), std::move(patterns));

    WalkResult result = getOperation()->walk([](Operation *op) {
      if (!isa_and_nonnull<ssm::SSMDialect>(op->getDialect()))
        return WalkResult::advance();
      op->emitOpError("operands: found tensors, wanted memrefs; bufferize "
                      "before this pass");
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace

void ssmc::populateSSMToSCFConversionPatterns(RewritePatternSet &patterns,
                                              bool forThreads) {
  detail::populateScanPatterns(patterns, forThreads);
  detail::populateConvPatterns(patterns);
  detail::populateSpectrumPatterns(patterns);
  detail::populateAttendPatterns(patterns);
  detail::populateNormPatterns(patterns);
  detail::populateMatmulPatterns(patterns);
  detail::populateMatrixPatterns(patterns, forThreads);
  detail::populateImpulsePatterns(patterns, forThreads);
}
