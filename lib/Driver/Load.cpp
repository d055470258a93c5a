//===- Load.cpp - Objects loaded into this process ------------------------===//

#include "Load.h"
#include "Error.h"

#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/Support/TargetSelect.h"

using namespace ssmc;

llvm::Expected<LoadedLayer>
LoadedLayer::load(std::unique_ptr<llvm::MemoryBuffer> object, llvm::StringRef name) {
  llvm::InitializeNativeTarget();
  // No constructors and no thread-local variables: no platform support is needed.
  // Functions of libc and libm are those of this process.
  auto jit = llvm::orc::LLJITBuilder()
                 .setPlatformSetUp(llvm::orc::setUpInactivePlatform)
                 .create();
  if (!jit)
    return jit.takeError();
  if (llvm::Error error = (*jit)->addObjectFile(std::move(object)))
    return std::move(error);
  auto address = (*jit)->lookup((name + "_module").str());
  if (!address)
    return address.takeError();
  LoadedLayer layer;
  layer.module = address->toPtr<const ssmrt_module *(*)(void)>()();
  layer.jit = std::move(*jit);
  if (ssmrt_module_check(layer.module) != SSMRT_OK)
    return runtimeFailure();
  return std::move(layer);
}
