#include "CPULowering.h"
using namespace mlir;
LogicalResult ssmc::cpu::lowerNorm(RewriterBase &, NormOp, const VectorTarget &) { return failure(); }
