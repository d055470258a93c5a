//===- ssm-opt.cpp - Runs passes on MLIR text -----------------------------===//

#include "Target/CPU/Passes.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "ssm/IR/SSM.h"
#include "ssm/Interfaces/BufferizableOpInterfaceImpl.h"
#include "ssm/Interfaces/TilingInterfaceImpl.h"
#include "ssm/Transforms/Passes.h"
#include "ssmc/Conversion/Passes.h"
#include "ssmc/Transforms/Passes.h"

#ifdef SSMC_BUILD_TESTS
namespace ssmc::test {
void registerTestRecurrenceClassPass();
} // namespace ssmc::test
#endif

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllPasses();
  registry.insert<mlir::ssm::SSMDialect>();
  mlir::ssm::registerBufferizableOpInterfaceExternalModels(registry);
  mlir::ssm::registerTilingInterfaceExternalModels(registry);
  mlir::ssm::registerSSMPasses();
  ssmc::registerSSMCConversionPasses();
  ssmc::registerSSMCTransformsPasses();
  ssmc::cpu::registerCPUPasses();
#ifdef SSMC_BUILD_TESTS
  ssmc::test::registerTestRecurrenceClassPass();
#endif
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "ssmc optimiser\n", registry));
}
