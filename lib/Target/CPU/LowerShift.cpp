#include "CPULowering.h"
using namespace mlir;
LogicalResult mlir::ssm::cpu::lowerShift(RewriterBase &, ShiftOp, const VectorTarget &) { return failure(); }
