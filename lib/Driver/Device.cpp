//===- Device.cpp - A GPU that layers run on ------------------------------===//

#include "Device.h"
#include "Error.h"

using namespace ssmc;

llvm::Expected<std::shared_ptr<Device>> Device::open() {
  // One that is kept: the GPU's context would go and come with every other.
  static ssmrt_context *keeper;
  if (!keeper && ssmrt_cuda_context_create(0, nullptr, &keeper) != SSMRT_OK)
    return runtimeFailure();
  std::shared_ptr<Device> device(new Device());
  if (ssmrt_cuda_context_create(0, nullptr, &device->context) != SSMRT_OK)
    return runtimeFailure();
  return device;
}

llvm::Expected<DeviceMemory> DeviceMemory::create(std::shared_ptr<Device> device,
                                                  int64_t bytes) {
  DeviceMemory result;
  if (bytes < 0 || ssmrt_cuda_alloc(device->get(), bytes, &result.memory) != SSMRT_OK)
    return runtimeFailure();
  result.device = std::move(device);
  result.size = bytes;
  return std::move(result);
}
