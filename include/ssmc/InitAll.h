//===- InitAll.h - Registers every dialect the compiler uses ---*- C++ -*-===//

#ifndef SSMC_INITALL_H
#define SSMC_INITALL_H

#include "mlir/IR/DialectRegistry.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "ssm/IR/SSM.h"
#include "ssm/Interfaces/BufferizableOpInterfaceImpl.h"
#include "ssm/Interfaces/TilingInterfaceImpl.h"

namespace ssmc {

/// Dialects, their extensions and their translations to LLVM IR.
inline void registerAll(mlir::DialectRegistry &registry) {
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllToLLVMIRTranslations(registry);
  registry.insert<mlir::ssm::SSMDialect>();
  mlir::ssm::registerBufferizableOpInterfaceExternalModels(registry);
  mlir::ssm::registerTilingInterfaceExternalModels(registry);
}

} // namespace ssmc

#endif // SSMC_INITALL_H
