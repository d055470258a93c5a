//===- SSMDialect.cpp - Registration of the ssm dialect -------------------===//

#include "ssm/IR/SSM.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::ssm;

#include "ssm/IR/SSMDialect.cpp.inc"
#include "ssm/IR/SSMEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "ssm/IR/SSMAttrs.cpp.inc"

void SSMDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "ssm/IR/SSMOps.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "ssm/IR/SSMAttrs.cpp.inc"
      >();
}
