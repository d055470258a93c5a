//===- Bench.cpp - ssmc bench ---------------------------------------------===//
//
// Times every legal mode over lengths, on drawn inputs, beside what the machine's
// memory and arithmetic give at best, measured in the same run.
//
//===----------------------------------------------------------------------===//

#include "Error.h"
#include "Limits.h"
#include "Modes.h"
#include "Prepare.h"
#include "Progress.h"
#include "RandomData.h"
#include "Table.h"
#include "Verbs.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include <chrono>

using namespace ssmc;

using Clock = std::chrono::steady_clock;

static double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

namespace {
/// One line of the table.
struct Figure {
  std::string mode;
  int64_t length, batch, calls;
  double seconds; // of the fastest call: the others were disturbed
  double bytes, flop;
};
} // namespace

/// Bytes that a call must read and write at least: weights' tables, inputs, outputs,
/// and a state per token where it steps.
static double bytesOf(const ssmrt_module *module, int64_t batch, int64_t length,
                      bool stepwise) {
  double perCall = double(ssmrt_prepared_bytes(module, length)), streamed = 0;
  auto add = [&](const ssmrt_value_info *infos, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      double bytes = double(ssmrt_dtype_size(infos[i].dtype));
      for (int64_t extent : shapeFor(infos[i], batch, length))
        bytes *= double(extent);
      streamed += bytes;
    }
  };
  add(module->inputs, module->num_inputs);
  add(module->outputs, module->num_outputs);
  if (!stepwise)
    return perCall + streamed;
  double state = double(ssmrt_state_bytes(module, batch, length));
  return double(length) * (perCall + 2 * state) + streamed;
}

static llvm::Expected<Figure> measure(const ssmrt_module *module, ssmrt_context *context,
                                      llvm::ArrayRef<ssmrt_tensor> weights,
                                      llvm::StringRef mode, int64_t batch,
                                      int64_t length, double seconds,
                                      const FlopCount &flop) {
  Progress progress("timing mode " + mode.str() + ", length " + std::to_string(length));
  bool stepwise = mode == "step" && length > 0;
  auto session = Session::create(module, context, weights, length);
  if (!session)
    return session.takeError();
  auto inputs = drawInputs(module, batch, length, 1);
  if (!inputs)
    return inputs.takeError();
  auto outputs = session->makeOutputs(batch, length);
  if (!outputs)
    return outputs.takeError();
  std::vector<ssmrt_tensor> views = viewAll(*inputs);
  Figure figure{mode.str(), length, batch, 0, 1e30,
                bytesOf(module, batch, length, stepwise),
                flop.of(batch, length)};
  Clock::time_point start = Clock::now();
  // The first call warms caches and pages; it counts only if nothing else fits.
  while (figure.calls < 2 || secondsSince(start) < seconds) {
    llvm::Expected<Block> state = Block();
    if (stepwise)
      state = session->makeState(batch);
    if (!state)
      return state.takeError();
    Clock::time_point begin = Clock::now();
    if (llvm::Error error = session->segment(views, *outputs, batch, 0, length, stepwise,
                                             stepwise ? state->get() : nullptr))
      return std::move(error);
    figure.seconds = std::min(figure.seconds, secondsSince(begin));
    ++figure.calls;
    if (figure.calls == 1 && secondsSince(start) > 4 * seconds)
      break;
  }
  return figure;
}

static void print(const Options &options, const ssmrt_module *module,
                  llvm::ArrayRef<Figure> figures, const Limits &limits) {
  Table table({"mode", ">batch", ">length", ">ms", ">tokens/s", ">GB/s", ">of memory",
               ">GFLOP/s", ">of peak"});
  llvm::json::Array list;
  for (const Figure &figure : figures) {
    double tokens = double(figure.batch * figure.length) / figure.seconds;
    double bandwidth = figure.bytes / figure.seconds * 1e-9;
    double rate = figure.flop / figure.seconds * 1e-9;
    auto share = [](double value, double limit) {
      return llvm::formatv("{0:f0} %", limit > 0 ? 100 * value / limit : 0).str();
    };
    table.add({figure.mode, std::to_string(figure.batch), std::to_string(figure.length),
               numberText(figure.seconds * 1e3), llvm::formatv("{0:f0}", tokens).str(),
               numberText(bandwidth), share(bandwidth, limits.bytesPerSecond * 1e-9),
               numberText(rate), share(rate, limits.flopPerSecond * 1e-9)});
    list.push_back(llvm::json::Object{{"layer", module->layer},
                                      {"mode", figure.mode},
                                      {"batch", figure.batch},
                                      {"length", figure.length},
                                      {"calls", figure.calls},
                                      {"seconds", figure.seconds},
                                      {"bytes", figure.bytes},
                                      {"flop", figure.flop},
                                      {"limit_bytes_per_second", limits.bytesPerSecond},
                                      {"limit_flop_per_second", limits.flopPerSecond}});
  }
  if (options.json) {
    llvm::outs() << llvm::formatv("{0:2}\n", llvm::json::Value(std::move(list)));
    return;
  }
  if (options.csv)
    return table.printCSV(llvm::outs());
  llvm::outs() << "layer " << module->layer << ", " << limits.threads
               << (limits.threads == 1 ? " thread" : " threads") << "; memory "
               << numberText(limits.bytesPerSecond * 1e-9) << " GB/s, arithmetic "
               << numberText(limits.flopPerSecond * 1e-9) << " GFLOP/s\n";
  table.print(llvm::outs());
}

llvm::Error ssmc::runBench(const Options &options) {
  if (llvm::Error error = checkTarget(options))
    return error;
  auto source = readSource(options);
  if (!source)
    return source.takeError();
  auto files = WeightFiles::open(source->weightFiles, options.prefix);
  if (!files)
    return files.takeError();
  auto context = makeContext(options.threads);
  if (!context)
    return context.takeError();
  auto limits = measureLimits(context->get(), options.dtype == "f64");
  if (!limits)
    return limits.takeError();
  std::vector<int64_t> lengths = options.lengths;
  if (lengths.empty())
    lengths = {1, 512, 2048};
  int64_t batch = options.batch ? int64_t(options.batch) : 1;
  double seconds = options.seconds > 0 ? options.seconds : 0.5;
  std::vector<std::string> modes = {options.mode};
  std::vector<Figure> figures;
  for (size_t i = 0; i < modes.size(); ++i) {
    BuildRequest request(options);
    request.lastToken = options.lastToken;
    request.mode = modes[i];
    request.needsInitializers = true;
    Build build(*source, *files, options, request);
    if (llvm::Error error = build.runFrontend())
      return error;
    if (i == 0 && options.mode == "auto")
      for (const ModeChoice &mode : tryModes(*source, *files, options, request))
        if (mode.refusal.empty() && mode.mode != "auto")
          modes.push_back(mode.mode);
    FlopCount flop = countFlop(build.module());
    auto object = build.makeObject();
    if (!object)
      return object.takeError();
    auto layer = LoadedLayer::load(std::move(*object), request.name);
    if (!layer)
      return layer.takeError();
    const ssmrt_module *module = layer->get();
    auto seed = files->empty() ? std::optional<uint64_t>(options.init.value_or(1))
                               : std::nullopt;
    auto weights = bindWeights(module, *files, build.initializers(), seed);
    if (!weights)
      return weights.takeError();
    for (int64_t length : lengths) {
      auto figure = measure(module, context->get(), weights->tensors, modes[i], batch,
                            length, seconds, flop);
      if (!figure)
        return figure.takeError();
      figures.push_back(std::move(*figure));
    }
    if (i + 1 == modes.size())
      print(options, module, figures, *limits);
  }
  return llvm::Error::success();
}
