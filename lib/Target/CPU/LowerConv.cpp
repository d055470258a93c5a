#include "CPULowering.h"
using namespace mlir;
LogicalResult ssmc::cpu::lowerConv(RewriterBase &, ConvOp, const VectorTarget &) { return failure(); }
