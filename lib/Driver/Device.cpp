//===- Device.cpp - A GPU that layers run on ------------------------------===//

#include "Device.h"
#include "Error.h"

#include <algorithm>
#include <chrono>

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

llvm::Expected<DeviceGraph>
DeviceGraph::capture(std::shared_ptr<Device> device,
                     llvm::function_ref<llvm::Error()> calls) {
  DeviceGraph result;
  if (ssmrt_cuda_graph_begin(device->get()) != SSMRT_OK)
    return runtimeFailure();
  llvm::Error error = calls();
  ssmrt_status status = ssmrt_cuda_graph_end(device->get(), &result.graph);
  result.device = std::move(device);
  if (error)
    return std::move(error);
  if (status != SSMRT_OK)
    return runtimeFailure();
  return std::move(result);
}

llvm::Error DeviceGraph::launch() const {
  if (ssmrt_cuda_graph_launch(device->get(), graph) != SSMRT_OK)
    return runtimeFailure();
  return llvm::Error::success();
}

llvm::Expected<std::string> ssmc::deviceName() {
  ssmrt_cuda_device device;
  if (ssmrt_cuda_device_info(0, &device) != SSMRT_OK)
    return runtimeFailure();
  return std::string(device.name);
}

llvm::Expected<double> ssmc::measureDeviceCopy() {
  auto device = Device::open();
  if (!device)
    return device.takeError();
  // Larger than its caches, if there is room.
  DeviceMemory from, to;
  for (int64_t bytes = int64_t(1) << 30;; bytes /= 2) {
    auto first = DeviceMemory::create(*device, bytes);
    auto second = first ? DeviceMemory::create(*device, bytes)
                        : llvm::Expected<DeviceMemory>(DeviceMemory());
    if (first && second) {
      from = std::move(*first);
      to = std::move(*second);
      break;
    }
    llvm::Error error = first ? second.takeError() : first.takeError();
    if (bytes < 1 << 20)
      return std::move(error);
    llvm::consumeError(std::move(error));
  }
  ssmrt_context *gpu = (*device)->get();
  constexpr int copies = 8;
  double best = 0;
  for (int run = 0; run < 4; ++run) {
    if (ssmrt_cuda_synchronize(gpu) != SSMRT_OK)
      return runtimeFailure();
    auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < copies; ++i)
      if (ssmrt_cuda_copy(gpu, to.get(), from.get(), from.bytes()) != SSMRT_OK)
        return runtimeFailure();
    if (ssmrt_cuda_synchronize(gpu) != SSMRT_OK)
      return runtimeFailure();
    std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * copies * double(from.bytes()) / time.count());
  }
  return best;
}
