//===- SessionOnDevice.cpp - Calls of a layer on a GPU --------------------===//
//
// Tables and states are on the GPU; inputs and outputs are copied there and back.
//
//===----------------------------------------------------------------------===//

#include "Error.h"
#include "Session.h"

#include <chrono>

using namespace ssmc;

//===----------------------------------------------------------------------===//
// Set-up
//===----------------------------------------------------------------------===//

llvm::Error Session::upload() {
  auto opened = Device::open();
  if (!opened)
    return opened.takeError();
  device = std::move(*opened);
  auto payload = DeviceMemory::create(device, ssmrt_cuda_prepared_bytes(layer, maxLength));
  if (!payload)
    return payload.takeError();
  auto header = Block::create(SSMRT_HEADER_BYTES, "prepared tables");
  if (!header)
    return header.takeError();
  if (ssmrt_cuda_load(layer, device->get()) != SSMRT_OK ||
      ssmrt_cuda_upload(layer, device->get(), prepared.get(), header->get(),
                        payload->get()) != SSMRT_OK ||
      ssmrt_cuda_synchronize(device->get()) != SSMRT_OK)
    return runtimeFailure();
  prepared = std::move(*header);
  preparedPayload = std::move(*payload);
  return llvm::Error::success();
}

llvm::Expected<Block> Session::makeStateOnDevice(int64_t batch) const {
  auto payload =
      DeviceMemory::create(device, ssmrt_cuda_state_bytes(layer, batch, maxLength));
  if (!payload)
    return payload.takeError();
  auto header = Block::create(SSMRT_HEADER_BYTES, "state");
  if (!header)
    return header.takeError();
  if (ssmrt_cuda_state_reset(layer, device->get(), header->get(), payload->get(), batch,
                             maxLength) != SSMRT_OK)
    return runtimeFailure();
  header->keep(std::make_shared<DeviceMemory>(std::move(*payload)));
  return std::move(*header);
}

llvm::Error Session::reserveOnDevice(int64_t bytes) {
  auto memory = DeviceMemory::create(device, bytes);
  if (!memory)
    return memory.takeError();
  deviceWorkspace = std::move(*memory);
  workspaceBytes = bytes;
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

static int64_t bytesOf(const ssmrt_tensor &tensor) {
  int64_t bytes = int64_t(ssmrt_dtype_size(tensor.dtype));
  for (int32_t i = 0; i < tensor.ndim; ++i)
    bytes *= tensor.shape[i];
  return bytes;
}

/// The tensors with memory on the device in place of their own, which `memory` has and
/// keeps for further calls.
static llvm::Expected<std::vector<ssmrt_tensor>>
placeOnDevice(llvm::ArrayRef<ssmrt_tensor> tensors, std::vector<DeviceMemory> &memory,
              const std::shared_ptr<Device> &device) {
  std::vector<ssmrt_tensor> placed(tensors.begin(), tensors.end());
  memory.resize(tensors.size());
  for (auto [tensor, block] : llvm::zip_equal(placed, memory)) {
    tensor.device = {SSMRT_CUDA, 0};
    if (!tensor.data)
      continue;
    if (int64_t bytes = bytesOf(tensor); block.bytes() < bytes) {
      auto larger = DeviceMemory::create(device, bytes);
      if (!larger)
        return larger.takeError();
      block = std::move(*larger);
    }
    tensor.data = block.get();
    tensor.byte_offset = 0;
  }
  return std::move(placed);
}

static llvm::Error copyThere(ssmrt_context *gpu, llvm::ArrayRef<ssmrt_tensor> inputs,
                             llvm::ArrayRef<ssmrt_tensor> placed) {
  for (auto [from, to] : llvm::zip_equal(inputs, placed))
    if (from.data &&
        ssmrt_cuda_copy_to_device(gpu, to.data,
                                  static_cast<char *>(from.data) + from.byte_offset,
                                  bytesOf(from)) != SSMRT_OK)
      return runtimeFailure();
  return llvm::Error::success();
}

llvm::Error Session::callOnDevice(bool isStep, llvm::ArrayRef<ssmrt_tensor> inputs,
                                  llvm::MutableArrayRef<ssmrt_tensor> outputs,
                                  void *state) {
  if (ssmrt_check_limits(layer, inputs.data(), int64_t(inputs.size())) != SSMRT_OK)
    return runtimeFailure();
  auto in = placeOnDevice(inputs, deviceInputs, device);
  if (!in)
    return in.takeError();
  auto out = placeOnDevice(outputs, deviceOutputs, device);
  if (!out)
    return out.takeError();
  if (llvm::Error error = copyThere(device->get(), inputs, *in))
    return error;
  if (llvm::Error error = isStep ? queueStep(*in, *out, state)
                                 : queue(/*isStep=*/false, *in, *out, state))
    return error;
  for (auto [to, from] : llvm::zip_equal(outputs, *out))
    if (ssmrt_cuda_copy_to_host(device->get(), to.data, from.data, bytesOf(to)) !=
        SSMRT_OK)
      return runtimeFailure();
  return llvm::Error::success();
}

llvm::Error Session::queue(bool isStep, llvm::ArrayRef<ssmrt_tensor> inputs,
                           llvm::MutableArrayRef<ssmrt_tensor> outputs, void *state) {
  auto *function = isStep ? ssmrt_step : ssmrt_forward;
  if (function(layer, device->get(), prepared.get(), inputs.data(), int64_t(inputs.size()),
               outputs.data(), int64_t(outputs.size()), state,
               deviceWorkspace.get()) != SSMRT_OK)
    return runtimeFailure();
  return llvm::Error::success();
}

static void appendMemory(llvm::ArrayRef<ssmrt_tensor> tensors,
                         std::vector<int64_t> &memory) {
  for (const ssmrt_tensor &tensor : tensors) {
    memory.push_back(int64_t(reinterpret_cast<intptr_t>(tensor.data)));
    memory.insert(memory.end(), tensor.shape, tensor.shape + tensor.ndim);
  }
}

llvm::Error Session::queueStep(llvm::ArrayRef<ssmrt_tensor> inputs,
                               llvm::MutableArrayRef<ssmrt_tensor> outputs,
                               void *state) {
  // The header may be another block's by now, at the same address.
  int64_t shape[SSMRT_MAX_DIMS];
  ssmrt_tensor view = {};
  if (layer->num_states > 0 &&
      ssmrt_state_view(layer, state, 0, shape, &view) != SSMRT_OK)
    return runtimeFailure();
  ssmrt_tensor space = {};
  space.data = deviceWorkspace.get();
  std::vector<int64_t> memory = {int64_t(reinterpret_cast<intptr_t>(state))};
  appendMemory({view, space}, memory);
  appendMemory(inputs, memory);
  appendMemory(outputs, memory);
  bool isAgain = memory == stepMemory;
  if (!isAgain || (layer->flags & SSMRT_READS_POSITION)) {
    stepMemory = std::move(memory);
    stepGraph = DeviceGraph();
    return queue(/*isStep=*/true, inputs, outputs, state);
  }
  if (!stepGraph) {
    auto graph = DeviceGraph::capture(
        device, [&] { return queue(/*isStep=*/true, inputs, outputs, state); });
    if (!graph)
      return graph.takeError();
    stepGraph = std::move(*graph);
  } else if (ssmrt_cuda_state_advance(layer, state, 1) != SSMRT_OK) {
    return runtimeFailure();
  }
  return stepGraph.launch();
}

//===----------------------------------------------------------------------===//
// Time
//===----------------------------------------------------------------------===//

/// One token in place of each sequence, in the same memory.
static void shorten(const ssmrt_value_info *infos, std::vector<ssmrt_tensor> &tensors,
                    std::vector<llvm::SmallVector<int64_t, 4>> &shapes) {
  shapes.resize(tensors.size());
  for (auto [i, tensor] : llvm::enumerate(tensors)) {
    shapes[i].assign(tensor.shape, tensor.shape + tensor.ndim);
    if (int dimension = lengthDimension(infos[i]); dimension >= 0 && tensor.data)
      shapes[i][dimension] = 1;
    tensor.shape = shapes[i].data();
  }
}

llvm::Expected<double> Session::timeOnDevice(llvm::ArrayRef<ssmrt_tensor> inputs,
                                             llvm::ArrayRef<Tensor> outputs,
                                             int64_t batch,
                                             llvm::ArrayRef<int64_t> lengths,
                                             bool stepwise, int64_t calls) {
  if (llvm::Error error = reserve(batch, lengths))
    return std::move(error);
  llvm::SmallVector<ssmrt_tensor> results;
  for (const Tensor &output : outputs)
    results.push_back(output.view());
  auto in = placeOnDevice(inputs, deviceInputs, device);
  if (!in)
    return in.takeError();
  auto out = placeOnDevice(results, deviceOutputs, device);
  if (!out)
    return out.takeError();
  ssmrt_context *gpu = device->get();
  if (llvm::Error error = copyThere(gpu, inputs, *in))
    return std::move(error);
  Block state;
  DeviceMemory payload;
  std::vector<llvm::SmallVector<int64_t, 4>> shapes, resultShapes;
  if (stepwise) {
    auto memory =
        DeviceMemory::create(device, ssmrt_cuda_state_bytes(layer, batch, maxLength));
    if (!memory)
      return memory.takeError();
    auto header = Block::create(SSMRT_HEADER_BYTES, "state");
    if (!header)
      return header.takeError();
    payload = std::move(*memory);
    state = std::move(*header);
    shorten(layer->inputs, *in, shapes);
    shorten(layer->outputs, *out, resultShapes);
  }
  std::vector<ssmrt_tensor> later = *in; // a state starts once
  for (auto [i, tensor] : llvm::enumerate(later))
    if (layer->inputs[i].flags & SSMRT_INITIAL)
      tensor.data = nullptr;
  if (ssmrt_cuda_synchronize(gpu) != SSMRT_OK)
    return runtimeFailure();
  auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < calls; ++i) {
    if (stepwise && ssmrt_cuda_state_reset(layer, gpu, state.get(), payload.get(), batch,
                                           maxLength) != SSMRT_OK)
      return runtimeFailure();
    for (int64_t token = 0; token < (stepwise ? lengths[0] : 1); ++token)
      if (llvm::Error error =
              queue(stepwise, token > 0 ? later : *in, *out, state.get()))
        return std::move(error);
  }
  if (ssmrt_cuda_synchronize(gpu) != SSMRT_OK)
    return runtimeFailure();
  std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  return time.count() / double(calls);
}
