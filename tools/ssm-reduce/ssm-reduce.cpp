//===- ssm-reduce.cpp - Makes a failing piece of MLIR text smaller --------===//

#include "mlir/Tools/mlir-reduce/MlirReduceMain.h"
#include "mlir/IR/MLIRContext.h"
#include "ssmc/InitAll.h"
#include "ssmc/InitAllPasses.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  ssmc::registerAll(registry);
  ssmc::registerAllPasses();
  mlir::MLIRContext context(registry);
  return failed(mlir::mlirReduceMain(argc, argv, context));
}
