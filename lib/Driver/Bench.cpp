//===- Bench.cpp - ssmc bench ---------------------------------------------===//
//
// Times every legal mode over lengths, on drawn inputs, beside what the machine's
// memory and arithmetic give at best, measured in the same run.
//
//===----------------------------------------------------------------------===//

#include "Error.h"
#include "Files.h"
#include "Limits.h"
#include "Modes.h"
#include "Plot.h"
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
  Lengths lengths; // one where all are equal
  int64_t tokens;  // of a row
  int64_t batch, calls;
  double seconds; // of the fastest call: the others were disturbed
  double bytes, flop;
  double predicted; // by the cost model: clocks of a core for the state blocks
  Limits limits;    // of the machine while it was measured
};

/// What is measured of one mode, and how to call it.
struct Candidate {
  ModeChoice choice;
  FlopCount flop;
  LoadedLayer layer;
  std::unique_ptr<Build> build; // owns the initialisers' context
  BoundWeights weights;
};
} // namespace

/// Bytes that a call must read and write at least: the tables made from the weights and
/// the state (in and out) once, and inputs and outputs; a call a token where it steps.
/// What stays in a cache between calls arrives faster than memory delivers.
static double bytesOf(const ssmrt_module *module, int64_t batch,
                      llvm::ArrayRef<int64_t> lengths, bool stepwise) {
  int64_t length = *llvm::max_element(lengths);
  double perCall = double(ssmrt_prepared_bytes(module, length)), streamed = 0;
  auto add = [&](const ssmrt_value_info *infos, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      double bytes = double(ssmrt_dtype_size(infos[i].dtype));
      for (int64_t extent : shapeFor(infos[i], batch, lengths))
        bytes *= double(extent);
      streamed += bytes;
    }
  };
  add(module->inputs, module->num_inputs);
  add(module->outputs, module->num_outputs);
  double state = double(ssmrt_state_bytes(module, batch, length));
  return (stepwise ? double(length) : 1.0) * (perCall + 2 * state) + streamed;
}

/// Calls of one mode at one length, sampled beside those of the others.
class Sampler {
public:
  static llvm::Expected<Sampler> create(Candidate &candidate, ssmrt_context *context,
                                        int64_t batch, llvm::ArrayRef<int64_t> lengths,
                                        size_t lengthIndex) {
    const ssmrt_module *module = candidate.layer.get();
    Sampler result;
    result.stepwise = candidate.choice.mode == "step" && lengths[0] > 0;
    auto session = Session::create(module, context, candidate.weights.tensors,
                                   *llvm::max_element(lengths));
    if (!session)
      return session.takeError();
    result.session = std::move(*session);
    auto inputs = drawInputs(module, batch, lengths, 1);
    if (!inputs)
      return inputs.takeError();
    result.inputs = std::move(*inputs);
    auto outputs = result.session.makeOutputs(batch, lengths);
    if (!outputs)
      return outputs.takeError();
    result.outputs = std::move(*outputs);
    const std::vector<double> &clocks = candidate.choice.clocks;
    result.figure = {candidate.choice.mode,
                     Lengths(lengths),
                     tokensOf(lengths, *module),
                     batch,
                     0,
                     1e30,
                     bytesOf(module, batch, lengths, result.stepwise),
                     candidate.flop.of(batch, lengths),
                     lengthIndex < clocks.size() && module->device_type == SSMRT_CPU
                         ? double(batch) * clocks[lengthIndex]
                         : 0,
                     {}};
    return std::move(result);
  }

  /// Calls for about `seconds`, at least once.
  llvm::Error sample(double seconds) {
    if (session.module().device_type == SSMRT_CUDA)
      return sampleOnDevice(seconds);
    Clock::time_point start = Clock::now();
    do {
      llvm::Expected<Block> state = Block();
      if (stepwise)
        state = session.makeState(figure.batch);
      if (!state)
        return state.takeError();
      Clock::time_point begin = Clock::now();
      if (llvm::Error error =
              session.segment(viewAll(inputs), outputs, figure.batch, 0, figure.lengths[0],
                              stepwise, stepwise ? state->get() : nullptr))
        return error;
      figure.seconds = std::min(figure.seconds, secondsSince(begin));
      ++figure.calls;
    } while (secondsSince(start) < seconds);
    return llvm::Error::success();
  }

  Figure figure;

private:
  /// The same of calls that are queued: as many at once as take some milliseconds, so
  /// that waiting for them does not count.
  llvm::Error sampleOnDevice(double seconds) {
    Clock::time_point start = Clock::now();
    int64_t calls = 1;
    do {
      auto time = session.timeOnDevice(viewAll(inputs), outputs, figure.batch,
                                       figure.lengths, stepwise, calls);
      if (!time)
        return time.takeError();
      figure.seconds = std::min(figure.seconds, *time);
      figure.calls += calls;
      calls = std::clamp<int64_t>(int64_t(5e-3 / std::max(*time, 1e-7)), 1, 1000);
    } while (secondsSince(start) < seconds);
    return llvm::Error::success();
  }

  Session session;
  std::vector<Tensor> inputs, outputs;
  bool stepwise = false;
};

/// A number, or an array where the lengths differ.
static llvm::json::Value lengthsValue(llvm::ArrayRef<int64_t> lengths) {
  if (llvm::all_equal(lengths))
    return lengths.front();
  return llvm::json::Array(lengths);
}

/// What runs the layer: threads, or a GPU.
static llvm::Expected<std::string> machineName(const ssmrt_module *module,
                                               uint32_t threads) {
  if (module->device_type == SSMRT_CUDA)
    return deviceName();
  return std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

/// Of the GPU, memory alone.
static llvm::Expected<Limits> measure(const ssmrt_module *module, ssmrt_context *context,
                                      bool doublePrecision) {
  if (module->device_type != SSMRT_CUDA)
    return measureLimits(context, doublePrecision);
  auto rate = measureDeviceCopy();
  if (!rate)
    return rate.takeError();
  return Limits{1, *rate, 0};
}

static void print(const Options &options, const ssmrt_module *module,
                  llvm::ArrayRef<Figure> figures, const Limits &limits,
                  llvm::StringRef machine) {
  Table table({"mode", ">batch", ">length", ">ms", ">tokens/s", ">GB/s", ">of memory",
               ">GFLOP/s", ">of peak", ">predicted clocks"});
  llvm::json::Array list;
  for (const Figure &figure : figures) {
    double tokens = double(figure.batch * figure.tokens) / figure.seconds;
    double bandwidth = figure.bytes / figure.seconds * 1e-9;
    double rate = figure.flop / figure.seconds * 1e-9;
    auto share = [](double value, double limit) {
      return limit > 0 ? llvm::formatv("{0:f0} %", 100 * value / limit).str() : "";
    };
    table.add({figure.mode, std::to_string(figure.batch), lengthsText(figure.lengths),
               numberText(figure.seconds * 1e3), llvm::formatv("{0:f0}", tokens).str(),
               numberText(bandwidth), share(bandwidth, figure.limits.bytesPerSecond * 1e-9),
               numberText(rate), share(rate, figure.limits.flopPerSecond * 1e-9),
               figure.predicted > 0 ? numberText(figure.predicted) : ""});
    list.push_back(llvm::json::Object{{"layer", module->layer},
                                      {"mode", figure.mode},
                                      {"batch", figure.batch},
                                      {"length", lengthsValue(figure.lengths)},
                                      {"calls", figure.calls},
                                      {"seconds", figure.seconds},
                                      {"bytes", figure.bytes},
                                      {"flop", figure.flop},
                                      {"predicted_clocks", figure.predicted},
                                      {"limit_bytes_per_second",
                                       figure.limits.bytesPerSecond},
                                      {"limit_flop_per_second",
                                       figure.limits.flopPerSecond}});
  }
  if (options.json) {
    llvm::outs() << llvm::formatv("{0:2}\n", llvm::json::Value(std::move(list)));
    return;
  }
  if (options.csv)
    return table.printCSV(llvm::outs());
  llvm::outs() << "layer " << module->layer << ", ";
  if (module->device_type == SSMRT_CUDA)
    llvm::outs() << machine << "; copies of memory "
                 << numberText(limits.bytesPerSecond * 1e-9) << " GB/s\n";
  else
    llvm::outs() << machine << "; memory " << numberText(limits.bytesPerSecond * 1e-9)
                 << " GB/s, arithmetic " << numberText(limits.flopPerSecond * 1e-9)
                 << " GFLOP/s\n";
  table.print(llvm::outs());
}

/// Time over length, or over tokens of several axes, a curve a mode.
static llvm::Error draw(const Options &options, const ssmrt_module *module,
                        llvm::ArrayRef<Figure> figures, llvm::StringRef machine) {
  std::vector<Curve> curves;
  for (const Figure &figure : figures) {
    auto curve = llvm::find_if(
        curves, [&](const Curve &other) { return other.name == figure.mode; });
    if (curve == curves.end())
      curve = curves.insert(curve, Curve{figure.mode, {}});
    curve->points.emplace_back(double(figure.tokens), figure.seconds);
  }
  for (Curve &curve : curves)
    llvm::sort(curve.points);
  if (!hasPoints(curves))
    return failure("--svg " + options.svg + ": nothing to draw: wanted a length above 0");
  std::string title = (llvm::Twine(module->layer) + ", " + options.dtype + ", batch " +
                       llvm::Twine(figures.front().batch) + ", " + machine)
                          .str();
  OutputFiles files;
  if (llvm::Error error = files.add(options.svg, plotTimes(title, curves)))
    return error;
  return files.commit();
}

static llvm::Expected<Candidate> makeCandidate(const Source &source,
                                               const WeightFiles &files,
                                               const Options &options,
                                               const ModeChoice &choice) {
  BuildRequest request(options);
  request.lastToken = options.lastToken;
  request.mode = choice.mode;
  request.needsInitializers = true;
  Candidate candidate;
  candidate.choice = choice;
  candidate.build = std::make_unique<Build>(source, files, options, request);
  if (llvm::Error error = candidate.build->runFrontend())
    return std::move(error);
  candidate.flop =
      countFlop(candidate.build->module(), /*quadratic=*/choice.mode == "quadratic");
  auto object = candidate.build->makeObject();
  if (!object)
    return object.takeError();
  auto layer = LoadedLayer::load(std::move(*object), request.name);
  if (!layer)
    return layer.takeError();
  candidate.layer = std::move(*layer);
  auto seed = files.empty() ? std::optional<uint64_t>(options.init.value_or(1))
                            : std::nullopt;
  auto weights = bindWeights(candidate.layer.get(), files,
                             candidate.build->initializers(), seed);
  if (!weights)
    return weights.takeError();
  candidate.weights = std::move(*weights);
  return std::move(candidate);
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
  if (!options.svg.empty())
    if (llvm::Error error = checkWritable(options.svg))
      return error;
  auto context = makeContext(options.threads);
  if (!context)
    return context.takeError();
  std::vector<Lengths> lengths = options.lengths;
  BuildRequest request(options);
  request.lastToken = options.lastToken;
  request.needsInitializers = true;
  if (lengths.empty()) {
    Build build(*source, *files, options, request);
    if (llvm::Error error = build.runFrontend())
      return error;
    lengths = {{1}, {512}, {2048}};
    if (countFlop(build.module()).axes > 1)
      lengths = {{1}, {32}, {128}};
  }
  int64_t batch = options.batch ? int64_t(options.batch) : 1;
  double seconds = options.seconds > 0 ? options.seconds : 0.5;

  // The mode asked for; or `auto`, with which mistakes in the source are reported, and
  // all that are possible.
  std::vector<Candidate> candidates;
  auto add = [&](const ModeChoice &choice) -> llvm::Error {
    Progress progress("compiling mode " + choice.mode);
    auto candidate = makeCandidate(*source, *files, options, choice);
    if (!candidate)
      return candidate.takeError();
    candidates.push_back(std::move(*candidate));
    return llvm::Error::success();
  };
  for (const ModeChoice &choice :
       tryModes(*source, *files, options, request, lengths)) {
    bool asked = choice.mode == options.mode;
    if (asked || (options.mode == "auto" && choice.refusal.empty()))
      if (llvm::Error error = add(choice))
        return error;
  }

  const ssmrt_module *module = candidates.front().layer.get();
  for (const Lengths &all : lengths)
    if (all.size() > 1 && int64_t(all.size()) != module->num_axes)
      return failure("--lengths " + lengthsText(all) + ": layer '" + module->layer +
                     "' has " + llvm::Twine(module->num_axes) +
                     (module->num_axes == 1 ? " sequence axis" : " sequence axes"));
  std::vector<Figure> figures;
  Limits best;
  best.threads = (*context)->threads;
  for (auto [index, length] : llvm::enumerate(lengths)) {
    Progress progress("timing length " + lengthsText(length));
    std::vector<Sampler> samplers;
    for (Candidate &candidate : candidates) {
      auto sampler =
          Sampler::create(candidate, context->get(), batch, length, index);
      if (!sampler)
        return sampler.takeError();
      samplers.push_back(std::move(*sampler));
      // The first call warms caches and pages.
      if (llvm::Error error = samplers.back().sample(0))
        return error;
      samplers.back().figure.seconds = 1e30;
    }
    // Modes and the machine's limits take turns, so that all see the same disturbances.
    constexpr int turns = 3;
    Limits limits;
    for (int turn = 0; turn < turns; ++turn) {
      auto measured = measure(module, context->get(), options.dtype == "f64");
      if (!measured)
        return measured.takeError();
      limits = limits.best(*measured);
      for (Sampler &sampler : samplers)
        if (llvm::Error error = sampler.sample(seconds / turns))
          return error;
    }
    best = best.best(limits);
    for (Sampler &sampler : samplers) {
      sampler.figure.limits = limits;
      figures.push_back(sampler.figure);
    }
  }
  auto machine = machineName(module, best.threads);
  if (!machine)
    return machine.takeError();
  print(options, module, figures, best, *machine);
  return options.svg.empty() ? llvm::Error::success()
                             : draw(options, module, figures, *machine);
}
