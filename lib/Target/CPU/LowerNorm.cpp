#include "CPULowering.h"
using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;
LogicalResult ssmc::cpu::lowerNorm(RewriterBase &, NormOp, const VectorTarget &) { return failure(); }
