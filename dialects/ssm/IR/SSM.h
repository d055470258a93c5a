//===- SSM.h - The ssm dialect ---------------------------------*- C++ -*-===//
//
// The single header a client of the dialect includes.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_IR_SSM_H
#define SSM_IR_SSM_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SmallBitVector.h"

#include "ssm/IR/SSMDialect.h.inc"
#include "ssm/IR/SSMEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "ssm/IR/SSMAttrs.h.inc"

namespace mlir::ssm {
class CoefficientsOp;
class YieldOp;

/// Whether `op` reads, by `read`, at each point the element that it writes there
/// to `written`, so that both may be one buffer: a residual that a product adds
/// in place. Its lowerings keep sums apart until the epilogue has read its
/// operands; those of the other ops do not promise that.
bool isReadWhereWritten(Operation *op, OpOperand &read, OpOperand &written);
} // namespace mlir::ssm

#define GET_OP_CLASSES
#include "ssm/IR/SSMOps.h.inc"

#endif // SSM_IR_SSM_H
