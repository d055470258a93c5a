//===- Session.cpp - A prepared layer and its calls -----------------------===//

#include "Session.h"
#include "Error.h"

#include "llvm/Support/FormatVariadic.h"

using namespace ssmc;

llvm::Expected<Context> ssmc::makeContext(uint64_t threads) {
  ssmrt_context *context;
  if (ssmrt_context_create(uint32_t(threads), &context) != SSMRT_OK)
    return runtimeFailure();
  return Context(context);
}

llvm::Error ssmc::noStep(const ssmrt_module &module) {
  if (module.num_axes > 1)
    return failure(llvm::Twine("layer '") + module.layer +
                   "' has no step: it has " + llvm::Twine(module.num_axes) +
                   " sequence axes, so that its tokens have no order, and needs its "
                   "whole sequence at once");
  for (int64_t i = 0; i < module.num_inputs; ++i)
    if (module.inputs[i].flags & SSMRT_EXACT_LENGTH)
      return failure(llvm::Twine("layer '") + module.layer +
                     "' has no step: the values of its kernel depend on the length of "
                     "the sequence, so it needs its whole sequence at once");
  return failure(llvm::Twine("layer '") + module.layer +
                 "' has no step: what it computes for a token depends on later tokens, "
                 "so it needs its whole sequence at once");
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

static llvm::Error noWeights(const ssmrt_module *module) {
  std::string names;
  int64_t shown = std::min<int64_t>(module->num_weights, 4);
  for (int64_t i = 0; i < shown; ++i)
    names += (i ? ", '" : "'") + std::string(module->weights[i].name) + "'";
  if (shown < module->num_weights)
    names += ", ...";
  return failure(llvm::Twine("layer '") + module->layer + "' reads " +
                 llvm::Twine(module->num_weights) +
                 (module->num_weights == 1 ? " weight (" : " weights (") + names +
                 "); give --weights FILE, or --init SEED to draw them");
}

llvm::Expected<BoundWeights>
ssmc::bindWeights(const ssmrt_module *module, const WeightFiles &files,
                  llvm::ArrayRef<WeightInitializer> initializers,
                  std::optional<uint64_t> seed) {
  BoundWeights result;
  if (seed) {
    auto drawn = drawWeights(module, initializers, *seed);
    if (!drawn)
      return drawn.takeError();
    result.drawn = std::move(*drawn);
    for (const Tensor &tensor : result.drawn)
      result.tensors.push_back(tensor.view());
    return std::move(result);
  }
  if (module->num_weights == 0)
    return std::move(result);
  if (files.empty())
    return noWeights(module);
  if (llvm::Error error = files.bind(module, result.tensors))
    return std::move(error);
  return std::move(result);
}

//===----------------------------------------------------------------------===//
// Set-up
//===----------------------------------------------------------------------===//

/// A block of a size that the runtime computed; negative is its failure.
static llvm::Expected<Block> makeBlock(int64_t bytes, llvm::StringRef what) {
  if (bytes < 0)
    return runtimeFailure();
  return Block::create(bytes, what);
}

/// A message for each state that grows without bound, with its eigenvalue.
static std::vector<std::string> describeGrowth(const ssmrt_module &layer,
                                               const void *prepared) {
  // Magnitudes of 1 are meant to be; rounding may put them above it.
  constexpr double limit = 1 + 1e-5;
  std::vector<std::string> messages;
  for (int64_t i = 0; i < layer.num_decays; ++i) {
    double eigenvalue[2];
    double magnitude = ssmrt_largest_decay(&layer, prepared, i, eigenvalue);
    if (!(magnitude > limit)) // what is no number shows in the results
      continue;
    std::string value = llvm::formatv("{0}", llvm::format("%.4g", eigenvalue[0]));
    if (eigenvalue[1] != 0)
      value += llvm::formatv("{0}i", llvm::format("%+.4g", eigenvalue[1]));
    messages.push_back(
        (llvm::Twine("layer '") + layer.layer + "': state '" + layer.decays[i].state +
         "' grows from token to token: its decay has the eigenvalue " + value +
         ", of magnitude " +
         llvm::formatv("{0}", llvm::format("%.4g", magnitude)).str() +
         "; wanted at most 1. If a discretisation makes it, take a smaller step, or zoh, "
         "bilinear or backward")
            .str());
  }
  return messages;
}

llvm::Expected<Session> Session::create(const ssmrt_module *module,
                                        ssmrt_context *context,
                                        llvm::ArrayRef<ssmrt_tensor> weights,
                                        int64_t maxLength) {
  Session session;
  session.layer = module;
  session.context = context;
  session.maxLength = maxLength;
  auto prepared =
      makeBlock(ssmrt_prepared_bytes(module, maxLength), "prepared tables");
  if (!prepared)
    return prepared.takeError();
  auto workspace = makeBlock(ssmrt_prepare_workspace_bytes(module, maxLength),
                             "workspace of prepare");
  if (!workspace)
    return workspace.takeError();
  if (ssmrt_prepare(module, context, weights.data(), int64_t(weights.size()),
                    prepared->get(), maxLength, workspace->get()) != SSMRT_OK)
    return runtimeFailure();
  session.prepared = std::move(*prepared);
  session.growth = describeGrowth(*module, session.prepared.get());
  if (module->device_type == SSMRT_CUDA)
    if (llvm::Error error = session.upload())
      return std::move(error);
  return std::move(session);
}

llvm::Expected<Block> Session::makeState(int64_t batch) const {
  if (device)
    return makeStateOnDevice(batch);
  auto state = makeBlock(ssmrt_state_bytes(layer, batch, maxLength), "state");
  if (!state)
    return state.takeError();
  if (ssmrt_state_reset(layer, state->get(), batch, maxLength) != SSMRT_OK)
    return runtimeFailure();
  return std::move(*state);
}

llvm::Expected<std::vector<Tensor>>
Session::makeOutputs(int64_t batch, llvm::ArrayRef<int64_t> lengths) const {
  std::vector<Tensor> outputs;
  for (int64_t i = 0; i < layer->num_outputs; ++i) {
    const ssmrt_value_info &info = layer->outputs[i];
    auto tensor = Tensor::create(info.dtype, shapeFor(info, batch, lengths));
    if (!tensor)
      return tensor.takeError();
    outputs.push_back(std::move(*tensor));
  }
  return std::move(outputs);
}

llvm::Error Session::reserve(int64_t batch, llvm::ArrayRef<int64_t> lengths) {
  int64_t all[SSMRT_MAX_AXES];
  for (int axis = 0; axis < SSMRT_MAX_AXES; ++axis)
    all[axis] = lengthOf(lengths, axis);
  int64_t bytes = ssmrt_workspace_bytes_for_axes(layer, batch, all);
  if (bytes < 0)
    return runtimeFailure();
  if (bytes <= workspaceBytes)
    return llvm::Error::success();
  if (device)
    return reserveOnDevice(bytes);
  auto block = Block::create(bytes, "workspace");
  if (!block)
    return block.takeError();
  workspace = std::move(*block);
  workspaceBytes = bytes;
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

llvm::Error Session::call(bool isStep, llvm::ArrayRef<ssmrt_tensor> inputs,
                          llvm::ArrayRef<Tensor> outputs, int64_t batch,
                          llvm::ArrayRef<int64_t> lengths, void *state) {
  if (llvm::Error error = reserve(batch, lengths))
    return error;
  llvm::SmallVector<ssmrt_tensor> results;
  for (const Tensor &output : outputs)
    results.push_back(output.view());
  if (device)
    return callOnDevice(isStep, inputs, results, state);
  auto *function = isStep ? ssmrt_step : ssmrt_forward;
  if (function(layer, context, prepared.get(), inputs.data(), int64_t(inputs.size()),
               results.data(), int64_t(results.size()), state,
               workspace.get()) != SSMRT_OK)
    return runtimeFailure();
  return llvm::Error::success();
}

llvm::Error Session::forward(llvm::ArrayRef<ssmrt_tensor> inputs,
                             llvm::ArrayRef<Tensor> outputs, int64_t batch,
                             llvm::ArrayRef<int64_t> lengths, void *state) {
  return call(/*isStep=*/false, inputs, outputs, batch, lengths, state);
}

llvm::Error Session::step(llvm::ArrayRef<ssmrt_tensor> inputs,
                          llvm::ArrayRef<Tensor> outputs, int64_t batch, void *state) {
  if (!layer->step)
    return noStep(*layer);
  return call(/*isStep=*/true, inputs, outputs, batch, int64_t(1), state);
}

/// Copies `count` tokens between an array of a whole sequence, from token `at` on,
/// and an array of just these tokens; or the whole array if it has no sequence.
static void copyTokens(const ssmrt_value_info &info, char *whole, int64_t length,
                       int64_t at, char *part, int64_t count, int64_t batch,
                       bool toPart) {
  int dimension = lengthDimension(info);
  int64_t outer = 1, inner = int64_t(ssmrt_dtype_size(info.dtype));
  for (int i = 0; i < info.ndim; ++i) {
    int64_t extent = info.shape[i] == SSMRT_BATCH ? batch : info.shape[i];
    if (i != dimension)
      (i < dimension ? outer : inner) *= extent;
  }
  if (dimension < 0)
    at = 0, length = count = 1;
  for (int64_t i = 0; i < outer; ++i) {
    char *wide = whole + (i * length + at) * inner, *narrow = part + i * count * inner;
    if (toPart)
      std::memcpy(narrow, wide, size_t(count * inner));
    else
      std::memcpy(wide, narrow, size_t(count * inner));
  }
}

llvm::Error Session::segment(llvm::ArrayRef<ssmrt_tensor> inputs,
                             llvm::ArrayRef<Tensor> outputs, int64_t batch,
                             int64_t begin, int64_t end, bool stepwise, void *state) {
  if (stepwise && !layer->step)
    return noStep(*layer);
  Lengths lengths(layer->num_axes, 0);
  for (int64_t i = 0; i < layer->num_inputs; ++i)
    for (int axis = 0; axis < layer->num_axes && inputs[i].data; ++axis)
      if (int dimension = lengthDimension(layer->inputs[i], axis); dimension >= 0)
        lengths[axis] = inputs[i].shape[dimension];
  int64_t length = lengths[0];
  if (!stepwise && begin == 0 && end == length)
    return forward(inputs, outputs, batch, lengths, state);
  int64_t count = stepwise ? 1 : end - begin;
  std::vector<Tensor> slices(layer->num_inputs);
  std::vector<ssmrt_tensor> parts(inputs.begin(), inputs.end());
  auto isSliced = [&](int64_t i) {
    return inputs[i].data && lengthDimension(layer->inputs[i]) >= 0;
  };
  for (int64_t i = 0; i < layer->num_inputs; ++i) {
    if (!isSliced(i))
      continue;
    const ssmrt_value_info &info = layer->inputs[i];
    auto slice = Tensor::create(info.dtype, shapeFor(info, batch, count));
    if (!slice)
      return slice.takeError();
    slices[i] = std::move(*slice);
    parts[i] = slices[i].view();
  }
  auto results = makeOutputs(batch, count);
  if (!results)
    return results.takeError();
  for (int64_t at = begin; at < end || (count == 0 && at == begin); ++at) {
    for (int64_t i = 0; i < layer->num_inputs; ++i)
      if (isSliced(i))
        copyTokens(layer->inputs[i],
                   static_cast<char *>(inputs[i].data) + inputs[i].byte_offset, length,
                   at, slices[i].data(), count, batch, /*toPart=*/true);
      else if (at > 0 && (layer->inputs[i].flags & SSMRT_INITIAL))
        parts[i].data = nullptr; // a state starts once
    llvm::Error error = stepwise ? step(parts, *results, batch, state)
                                 : forward(parts, *results, batch, count, state);
    if (error)
      return error;
    for (int64_t i = 0; i < layer->num_outputs; ++i)
      copyTokens(layer->outputs[i], outputs[i].data(), length, at, (*results)[i].data(),
                 count, batch, /*toPart=*/false);
    if (!stepwise)
      break;
  }
  return llvm::Error::success();
}
