//===- Load.h - Objects loaded into this process ---------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_LOAD_H
#define SSMC_LIB_DRIVER_LOAD_H

#include "ssmrt/ssmrt.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/MemoryBuffer.h"
#include <memory>

namespace ssmc {

/// A compiled layer, ready to be called while this lives.
class LoadedLayer {
public:
  /// `name` is that of the exported symbol, NAME_module.
  static llvm::Expected<LoadedLayer> load(std::unique_ptr<llvm::MemoryBuffer> object,
                                          llvm::StringRef name);
  const ssmrt_module *get() const { return module; }

private:
  std::unique_ptr<llvm::orc::LLJIT> jit;
  const ssmrt_module *module = nullptr;
};

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_LOAD_H
