#include "CPULowering.h"
using namespace mlir;
LogicalResult mlir::ssm::cpu::lowerConv(RewriterBase &, ConvOp, const VectorTarget &) { return failure(); }
