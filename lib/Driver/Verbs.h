//===- Verbs.h - One function a verb ---------------------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_VERBS_H
#define SSMC_LIB_DRIVER_VERBS_H

#include "Options.h"

namespace ssmc {

llvm::Error runCompile(const Options &options);
llvm::Error runRun(const Options &options);
llvm::Error runGenerate(const Options &options);
llvm::Error runVerify(const Options &options);
llvm::Error runBench(const Options &options);
llvm::Error runInspect(const Options &options);
llvm::Error runDoctor(const Options &options);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_VERBS_H
