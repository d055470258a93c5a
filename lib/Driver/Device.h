//===- Device.h - A GPU that layers run on ---------------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_DEVICE_H
#define SSMC_LIB_DRIVER_DEVICE_H

#include "ssmrt/ssmrt.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"
#include <memory>
#include <string>

namespace ssmc {

/// A context of the first GPU.
class Device {
public:
  static llvm::Expected<std::shared_ptr<Device>> open();
  ~Device() { ssmrt_context_destroy(context); }
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  ssmrt_context *get() const { return context; }

private:
  Device() = default;
  ssmrt_context *context = nullptr;
};

/// Bytes a second, read and written together, of a copy on the first GPU.
llvm::Expected<double> measureDeviceCopy();
/// Its name.
llvm::Expected<std::string> deviceName();

/// Memory on a GPU, which lives as long as this does.
class DeviceMemory {
public:
  DeviceMemory() = default;
  /// A negative size is the runtime's failure, of the call that computed it.
  static llvm::Expected<DeviceMemory> create(std::shared_ptr<Device> device,
                                             int64_t bytes);
  DeviceMemory(DeviceMemory &&other) { *this = std::move(other); }
  DeviceMemory &operator=(DeviceMemory &&other) {
    std::swap(device, other.device);
    std::swap(memory, other.memory);
    std::swap(size, other.size);
    return *this;
  }
  ~DeviceMemory() {
    if (device)
      ssmrt_cuda_free(device->get(), memory);
  }

  void *get() const { return memory; }
  int64_t bytes() const { return size; }

private:
  std::shared_ptr<Device> device;
  void *memory = nullptr;
  int64_t size = 0;
};

/// Calls on a GPU that were captured once, to be replayed.
class DeviceGraph {
public:
  DeviceGraph() = default;
  /// Of what `calls` queues.
  static llvm::Expected<DeviceGraph>
  capture(std::shared_ptr<Device> device, llvm::function_ref<llvm::Error()> calls);
  DeviceGraph(DeviceGraph &&other) { *this = std::move(other); }
  DeviceGraph &operator=(DeviceGraph &&other) {
    std::swap(device, other.device);
    std::swap(graph, other.graph);
    return *this;
  }
  ~DeviceGraph() {
    if (device)
      ssmrt_cuda_graph_destroy(device->get(), graph);
  }

  explicit operator bool() const { return graph != nullptr; }
  llvm::Error launch() const;

private:
  std::shared_ptr<Device> device;
  ssmrt_cuda_graph *graph = nullptr;
};

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_DEVICE_H
