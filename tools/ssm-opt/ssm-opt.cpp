//===- ssm-opt.cpp - Runs passes on MLIR text -----------------------------===//

#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "ssmc/InitAll.h"
#include "ssmc/InitAllPasses.h"

#ifdef SSMC_BUILD_TESTS
namespace ssmc::test {
void registerTestRecurrenceClassPass();
} // namespace ssmc::test
#endif

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  ssmc::registerAll(registry);
  ssmc::registerAllPasses();
#ifdef SSMC_BUILD_TESTS
  ssmc::test::registerTestRecurrenceClassPass();
#endif
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "ssmc optimiser\n", registry));
}
