#include "CPULowering.h"
using namespace mlir;
LogicalResult mlir::ssm::cpu::lowerNorm(RewriterBase &, NormOp, const VectorTarget &) { return failure(); }
