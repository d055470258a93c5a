#include "CPULowering.h"
using namespace mlir;
LogicalResult ssmc::cpu::lowerShift(RewriterBase &, ShiftOp, const VectorTarget &) { return failure(); }
