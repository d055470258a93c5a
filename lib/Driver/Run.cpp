//===- Run.cpp - ssmc run -------------------------------------------------===//
//
// Compile in memory, bind weights and inputs, evaluate, write outputs.
//
//===----------------------------------------------------------------------===//

#include "Error.h"
#include "Files.h"
#include "Prepare.h"
#include "Progress.h"
#include "Verbs.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>

using namespace ssmc;

/// One line an output, where no file asks for it: shape, range, and whether all is
/// finite.
static void summarize(const ssmrt_value_info &info, const Tensor &tensor) {
  double low = INFINITY, high = -INFINITY, sum = 0;
  int64_t count = tensor.count(), odd = 0;
  for (int64_t i = 0; i < count; ++i) {
    double value = numberAt(tensor, i);
    odd += !std::isfinite(value);
    low = std::min(low, value);
    high = std::max(high, value);
    sum += value;
  }
  llvm::outs() << info.name << " " << ssmrt_dtype_name(info.dtype) << " "
               << shapeText(tensor.getShape());
  if (count > 0)
    llvm::outs() << llvm::formatv(": from {0:g} to {1:g}, mean {2:g}",
                                  llvm::format("%.6g", low), llvm::format("%.6g", high),
                                  llvm::format("%.6g", sum / double(count)));
  if (odd > 0)
    llvm::outs() << ", " << odd << " not finite";
  llvm::outs() << '\n';
}

llvm::Error ssmc::runRun(const Options &options) {
  auto layer = PreparedLayer::build(options);
  if (!layer)
    return layer.takeError();
  const ssmrt_module *module = (*layer)->module();
  if (llvm::Error error = checkOutputFiles(module, options.outputs))
    return error;
  auto inputs = bindInputs(module, options.inputs);
  if (!inputs)
    return inputs.takeError();
  bool stepwise = options.mode == "step" && inputs->lengths[0] > 0;
  if (options.mode == "step" && !module->step)
    return noStep(*module);
  auto session = (*layer)->prepare(*llvm::max_element(inputs->lengths));
  if (!session)
    return session.takeError();
  auto outputs = session->makeOutputs(inputs->batch, inputs->lengths);
  if (!outputs)
    return outputs.takeError();
  llvm::Expected<Block> state = Block();
  if (stepwise)
    state = session->makeState(inputs->batch);
  if (!state)
    return state.takeError();
  std::optional<Progress> progress(std::in_place, "running");
  if (llvm::Error error =
          session->segment(inputs->tensors, *outputs, inputs->batch, 0,
                           inputs->lengths[0], stepwise, stepwise ? state->get() : nullptr))
    return error;
  progress.reset();

  OutputFiles files;
  for (const FileBinding &binding : options.outputs)
    for (int64_t i = 0; i < module->num_outputs; ++i)
      if (binding.name == module->outputs[i].name)
        if (llvm::Error error = files.add(binding.file, binding.name, (*outputs)[i]))
          return error;
  if (options.outputs.empty())
    for (int64_t i = 0; i < module->num_outputs; ++i)
      summarize(module->outputs[i], (*outputs)[i]);
  return files.commit();
}
