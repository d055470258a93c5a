//===- Session.h - A prepared layer and its calls --------------*- C++ -*-===//
//
// Everything that executes a layer does so through here, and through nothing but
// the runtime's C functions.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_DRIVER_SESSION_H
#define SSMC_LIB_DRIVER_SESSION_H

#include "Build.h"
#include "Device.h"
#include "Load.h"
#include "Tensor.h"

namespace ssmc {

/// Threads for the calls.
struct DestroyContext {
  void operator()(ssmrt_context *context) const { ssmrt_context_destroy(context); }
};
using Context = std::unique_ptr<ssmrt_context, DestroyContext>;
llvm::Expected<Context> makeContext(uint64_t threads);

/// A layer's code with its prepared tables, for sequences up to a length. A layer for
/// CUDA runs on the first GPU, with inputs and outputs copied there and back. Must go
/// before the layer's code does.
class Session {
public:
  /// Prepares tables from weights in the order of the module, for sequences that are no
  /// longer than `maxLength` along any axis.
  static llvm::Expected<Session> create(const ssmrt_module *module,
                                        ssmrt_context *context,
                                        llvm::ArrayRef<ssmrt_tensor> weights,
                                        int64_t maxLength);

  const ssmrt_module &module() const { return *layer; }
  /// A message for each state that grows without bound, with its eigenvalue.
  llvm::ArrayRef<std::string> findGrowth() const { return growth; }
  /// A state before the first token.
  llvm::Expected<Block> makeState(int64_t batch) const;
  /// Outputs of the described shapes.
  llvm::Expected<std::vector<Tensor>> makeOutputs(int64_t batch,
                                                  llvm::ArrayRef<int64_t> lengths) const;

  /// One segment. Inputs without data are absent.
  llvm::Error forward(llvm::ArrayRef<ssmrt_tensor> inputs,
                      llvm::ArrayRef<Tensor> outputs, int64_t batch,
                      llvm::ArrayRef<int64_t> lengths, void *state = nullptr);
  llvm::Error step(llvm::ArrayRef<ssmrt_tensor> inputs, llvm::ArrayRef<Tensor> outputs,
                   int64_t batch, void *state);
  /// The tokens [begin, end) of a sequence, in one call of forward or token by
  /// token; reads from the inputs, and writes to the outputs, of the whole
  /// sequence. With several sequence axes these are all along the first of them.
  llvm::Error segment(llvm::ArrayRef<ssmrt_tensor> inputs,
                      llvm::ArrayRef<Tensor> outputs, int64_t batch, int64_t begin,
                      int64_t end, bool stepwise, void *state);

  /// Of a layer for CUDA: seconds of one of `calls` calls, queued one after the other,
  /// with inputs and outputs in the GPU's memory. With `stepwise` a call is a step for
  /// each token, all of the same values.
  llvm::Expected<double> timeOnDevice(llvm::ArrayRef<ssmrt_tensor> inputs,
                                      llvm::ArrayRef<Tensor> outputs, int64_t batch,
                                      llvm::ArrayRef<int64_t> lengths, bool stepwise,
                                      int64_t calls);

private:
  /// Puts the prepared tables, and the calls from here on, onto the GPU.
  llvm::Error upload();
  /// A header that keeps the memory of its payload.
  llvm::Expected<Block> makeStateOnDevice(int64_t batch) const;
  llvm::Error reserveOnDevice(int64_t bytes);
  llvm::Error callOnDevice(bool isStep, llvm::ArrayRef<ssmrt_tensor> inputs,
                           llvm::MutableArrayRef<ssmrt_tensor> outputs, void *state);
  /// Queues a call on values in the GPU's memory.
  llvm::Error queue(bool isStep, llvm::ArrayRef<ssmrt_tensor> inputs,
                    llvm::MutableArrayRef<ssmrt_tensor> outputs, void *state);
  /// The same for a step; from the second with the same memory on it is a graph.
  llvm::Error queueStep(llvm::ArrayRef<ssmrt_tensor> inputs,
                        llvm::MutableArrayRef<ssmrt_tensor> outputs, void *state);
  llvm::Error reserve(int64_t batch, llvm::ArrayRef<int64_t> lengths);
  llvm::Error call(bool isStep, llvm::ArrayRef<ssmrt_tensor> inputs,
                   llvm::ArrayRef<Tensor> outputs, int64_t batch,
                   llvm::ArrayRef<int64_t> lengths, void *state);

  const ssmrt_module *layer = nullptr;
  ssmrt_context *context = nullptr;
  int64_t maxLength = 0;
  std::vector<std::string> growth;
  Block prepared, workspace;
  int64_t workspaceBytes = -1;
  // Of a layer for CUDA: `prepared` is the header alone.
  std::shared_ptr<Device> device;
  DeviceMemory preparedPayload, deviceWorkspace;
  std::vector<DeviceMemory> deviceInputs, deviceOutputs;
  /// What the last step ran on: addresses and extents; and such a step as a graph.
  std::vector<int64_t> stepMemory;
  DeviceGraph stepGraph;
};

/// Weights for a module: of files, or drawn where a seed is given. Keeps what the
/// views point to.
struct BoundWeights {
  std::vector<Tensor> drawn;
  std::vector<ssmrt_tensor> tensors;
};
llvm::Expected<BoundWeights> bindWeights(const ssmrt_module *module,
                                         const WeightFiles &files,
                                         llvm::ArrayRef<WeightInitializer> initializers,
                                         std::optional<uint64_t> seed);

/// "no step: ...", for a layer that cannot run token by token.
llvm::Error noStep(const ssmrt_module &module);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_SESSION_H
