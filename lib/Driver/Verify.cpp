//===- Verify.cpp - ssmc verify -------------------------------------------===//
//
// The literal lowering in f64 judges every legal mode in f32, on seeded data: whole
// sequences of several lengths, sequences cut in two with the state passed on, rows
// alone against rows in a batch, one thread against several.
//
//===----------------------------------------------------------------------===//

#include "Error.h"
#include "Modes.h"
#include "Prepare.h"
#include "Progress.h"
#include "RandomData.h"
#include "Table.h"
#include "Verbs.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include <cmath>
#include <cstring>

using namespace ssmc;

static constexpr double tolerance = 3e-5; // of the largest magnitude
static constexpr uint64_t dataSeed = 20;

namespace {
/// What one mode did.
struct Verdict {
  double worst = 0;
  std::string where;   // of the worst error
  std::string failure; // what disagreed, or ""

  void note(double error, const std::string &place) {
    if (!(error <= worst)) { // also for NaN
      worst = error;
      where = place;
    }
    if (!(error <= tolerance) && failure.empty())
      failure = place + " disagrees";
  }
};

/// Code of the layer with weights and threads.
struct Subject {
  LoadedLayer layer;
  std::vector<Tensor> drawn;
  std::vector<ssmrt_tensor> weights;
};

class Verifier {
public:
  Verifier(const Options &options, const Source &source, const WeightFiles &files)
      : options(options), source(source), files(files) {}

  llvm::Error setUp();
  llvm::Expected<Verdict> verify(llvm::StringRef mode);
  const std::vector<ModeChoice> &modes() const { return choices; }
  const ssmrt_module *module() const { return oracle.layer.get(); }

private:
  llvm::Expected<Subject> compile(llvm::StringRef mode, bool literal);
  llvm::Error compareLength(Subject &subject, bool stepwise, int64_t length,
                            Verdict &verdict);
  llvm::Error comparePieces(Session &session, llvm::ArrayRef<Tensor> inputs,
                            llvm::ArrayRef<Tensor> wanted, bool stepwise,
                            int64_t length, Verdict &verdict);
  llvm::Error compareRows(Subject &subject, Session &session,
                          llvm::ArrayRef<Tensor> inputs, llvm::ArrayRef<Tensor> found,
                          bool stepwise, int64_t length, Verdict &verdict);
  llvm::Error call(Session &session, llvm::ArrayRef<Tensor> inputs,
                   llvm::ArrayRef<Tensor> outputs, int64_t rows, int64_t length,
                   bool stepwise);

  const Options &options;
  const Source &source;
  const WeightFiles &files;
  std::vector<ModeChoice> choices;
  Subject oracle;
  Context serial, threaded;
  int64_t batch = 2;
};
} // namespace

//===----------------------------------------------------------------------===//
// Compiling
//===----------------------------------------------------------------------===//

llvm::Expected<Subject> Verifier::compile(llvm::StringRef mode, bool literal) {
  BuildRequest request(options);
  request.mode = mode.str();
  request.literal = request.doublePrecision = literal;
  request.testValues = !source.config;
  request.needsInitializers = true;
  auto build = std::make_unique<Build>(source, files, options, request);
  if (literal) {
    if (llvm::Error error = build->runFrontend())
      return std::move(error);
    BuildRequest asked(options);
    asked.testValues = request.testValues;
    choices = tryModes(source, files, options, asked);
  }
  auto object = build->makeObject();
  if (!object)
    return object.takeError();
  auto layer = LoadedLayer::load(std::move(*object), request.name);
  if (!layer)
    return layer.takeError();
  Subject subject;
  subject.layer = std::move(*layer);
  auto seed = files.empty() ? std::optional<uint64_t>(options.init.value_or(1))
                            : std::nullopt;
  auto weights = bindWeights(subject.layer.get(), files, build->initializers(), seed);
  if (!weights)
    return weights.takeError();
  subject.drawn = std::move(weights->drawn);
  subject.weights = std::move(weights->tensors);
  if (!literal || !seed)
    return std::move(subject);
  // Both lowerings must see the same weights: those that f32 holds.
  for (Tensor &tensor : subject.drawn)
    if (tensor.getDType().code == SSMRT_FLOAT && tensor.getDType().bits == 64)
      for (int64_t i = 0; i < tensor.count(); ++i)
        tensor.data<double>()[i] = float(tensor.data<double>()[i]);
  return std::move(subject);
}

llvm::Error Verifier::setUp() {
  if (options.batch)
    batch = int64_t(options.batch);
  auto one = makeContext(1);
  if (!one)
    return one.takeError();
  serial = std::move(*one);
  // More threads than cores do no harm here, and one core must not hide a race.
  auto several = makeContext(options.threads ? options.threads : 4);
  if (!several)
    return several.takeError();
  threaded = std::move(*several);
  auto compiled = compile("auto", /*literal=*/true);
  if (!compiled)
    return compiled.takeError();
  oracle = std::move(*compiled);
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Comparing
//===----------------------------------------------------------------------===//

static double valueAt(const Tensor &tensor, int64_t i) {
  return tensor.getDType().bits == 64 ? tensor.data<double>()[i]
                                      : double(tensor.data<float>()[i]);
}

/// The largest error over the largest magnitude; NaN where one has NaN or infinity
/// and the other has not.
static double errorOf(const Tensor &found, const Tensor &wanted) {
  double scale = 1e-30, error = 0;
  for (int64_t i = 0; i < wanted.count(); ++i) {
    double x = valueAt(found, i), y = valueAt(wanted, i);
    bool same = x == y || (std::isnan(x) && std::isnan(y));
    if (same) {
      scale = std::isfinite(y) ? std::max(scale, std::fabs(y)) : scale;
      continue;
    }
    if (!std::isfinite(x) || !std::isfinite(y))
      return NAN;
    scale = std::max(scale, std::fabs(y));
    error = std::max(error, std::fabs(x - y));
  }
  return error / scale;
}

static void compareAll(const ssmrt_module *module, llvm::ArrayRef<Tensor> found,
                       llvm::ArrayRef<Tensor> wanted, const std::string &place,
                       Verdict &verdict) {
  for (auto [i, tensor] : llvm::enumerate(found))
    verdict.note(errorOf(tensor, wanted[i]),
                 std::string(module->outputs[i].name) + ", " + place);
}

llvm::Error Verifier::call(Session &session, llvm::ArrayRef<Tensor> inputs,
                           llvm::ArrayRef<Tensor> outputs, int64_t rows,
                           int64_t length, bool stepwise) {
  stepwise &= length > 0;
  llvm::Expected<Block> state = Block();
  if (stepwise)
    state = session.makeState(rows);
  if (!state)
    return state.takeError();
  return session.segment(viewAll(inputs), outputs, rows, 0, length, stepwise,
                         stepwise ? state->get() : nullptr);
}

/// A sequence cut in two, the state passed on.
llvm::Error Verifier::comparePieces(Session &session, llvm::ArrayRef<Tensor> inputs,
                                    llvm::ArrayRef<Tensor> wanted, bool stepwise,
                                    int64_t length, Verdict &verdict) {
  const ssmrt_module &module = session.module();
  for (int64_t cut : {int64_t(1), length / 2, length - 1}) {
    if (cut < 1 || cut >= length)
      continue;
    auto outputs = session.makeOutputs(batch, length);
    if (!outputs)
      return outputs.takeError();
    auto state = session.makeState(batch);
    if (!state)
      return state.takeError();
    std::vector<ssmrt_tensor> views = viewAll(inputs);
    for (auto [begin, end] : {std::pair(int64_t(0), cut), std::pair(cut, length)}) {
      if (llvm::Error error = session.segment(views, *outputs, batch, begin, end,
                                              stepwise, state->get()))
        return error;
      // A state is given once.
      for (int64_t i = 0; i < module.num_inputs; ++i)
        if (module.inputs[i].flags & SSMRT_INITIAL)
          views[i].data = nullptr;
    }
    compareAll(&module, *outputs, wanted,
               "length " + std::to_string(length) + " cut at " + std::to_string(cut),
               verdict);
  }
  return llvm::Error::success();
}

/// Each row alone, and the whole on several threads: the same bits.
llvm::Error Verifier::compareRows(Subject &subject, Session &session,
                                  llvm::ArrayRef<Tensor> inputs,
                                  llvm::ArrayRef<Tensor> found, bool stepwise,
                                  int64_t length, Verdict &verdict) {
  const ssmrt_module *module = subject.layer.get();
  for (int64_t row = 0; row < batch && batch > 1; ++row) {
    auto inputRow = takeRow(inputs, module->inputs, row);
    if (!inputRow)
      return inputRow.takeError();
    auto wanted = takeRow(found, module->outputs, row);
    if (!wanted)
      return wanted.takeError();
    auto outputs = session.makeOutputs(1, length);
    if (!outputs)
      return outputs.takeError();
    if (llvm::Error error = call(session, *inputRow, *outputs, 1, length, stepwise))
      return error;
    compareAll(module, *outputs, *wanted,
               "row " + std::to_string(row) + " alone, length " +
                   std::to_string(length),
               verdict);
  }
  auto parallel =
      Session::create(module, threaded.get(), subject.weights, length);
  if (!parallel)
    return parallel.takeError();
  auto outputs = parallel->makeOutputs(batch, length);
  if (!outputs)
    return outputs.takeError();
  if (llvm::Error error = call(*parallel, inputs, *outputs, batch, length, stepwise))
    return error;
  for (auto [i, tensor] : llvm::enumerate(*outputs))
    if (std::memcmp(tensor.data(), found[i].data(), size_t(tensor.bytes())) != 0 &&
        verdict.failure.empty())
      verdict.failure = std::string(module->outputs[i].name) + ", length " +
                        std::to_string(length) + ": other bits with several threads";
  return llvm::Error::success();
}

llvm::Error Verifier::compareLength(Subject &subject, bool stepwise, int64_t length,
                                    Verdict &verdict) {
  const ssmrt_module *module = subject.layer.get();
  auto inputs = drawInputs(module, batch, length, dataSeed);
  if (!inputs)
    return inputs.takeError();
  auto exactInputs = convertAll(*inputs, oracle.layer.get()->inputs);
  if (!exactInputs)
    return exactInputs.takeError();
  auto judge =
      Session::create(oracle.layer.get(), serial.get(), oracle.weights, length);
  if (!judge)
    return judge.takeError();
  auto wanted = judge->makeOutputs(batch, length);
  if (!wanted)
    return wanted.takeError();
  if (llvm::Error error = call(*judge, *exactInputs, *wanted, batch, length, false))
    return error;
  auto session = Session::create(module, serial.get(), subject.weights, length);
  if (!session)
    return session.takeError();
  auto found = session->makeOutputs(batch, length);
  if (!found)
    return found.takeError();
  if (llvm::Error error = call(*session, *inputs, *found, batch, length, stepwise))
    return error;
  compareAll(module, *found, *wanted, "length " + std::to_string(length), verdict);
  if (module->step)
    if (llvm::Error error =
            comparePieces(*session, *inputs, *wanted, stepwise, length, verdict))
      return error;
  return compareRows(subject, *session, *inputs, *found, stepwise, length, verdict);
}

llvm::Expected<Verdict> Verifier::verify(llvm::StringRef mode) {
  Progress progress("verifying mode " + mode.str() + " of " + module()->layer);
  auto subject = compile(mode, /*literal=*/false);
  if (!subject)
    return subject.takeError();
  Verdict verdict;
  std::vector<int64_t> lengths = options.lengths;
  if (lengths.empty())
    lengths = {0, 1, 2, 7, 33, 65};
  // Without a sequence there is only one case.
  bool hasSequence = false;
  for (int64_t i = 0; i < subject->layer.get()->num_inputs; ++i)
    hasSequence |= lengthDimension(subject->layer.get()->inputs[i]) >= 0;
  if (!hasSequence)
    lengths = {0};
  for (int64_t length : lengths)
    if (llvm::Error error = compareLength(*subject, mode == "step", length, verdict))
      return std::move(error);
  return verdict;
}

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

/// A failure is one line of the table, not the end of it.
static std::string messageOf(llvm::Error error) {
  std::string message = "does not compile"; // which was reported
  llvm::handleAllErrors(
      std::move(error), [](const ReportedError &) {},
      [&](const llvm::ErrorInfoBase &other) { message = other.message(); });
  return message;
}

llvm::Error ssmc::runVerify(const Options &options) {
  if (llvm::Error error = checkTarget(options))
    return error;
  auto source = readSource(options);
  if (!source)
    return source.takeError();
  auto files = WeightFiles::open(source->weightFiles, options.prefix);
  if (!files)
    return files.takeError();
  std::vector<std::string> layers = {source->layer};
  if (source->layer.empty() && source->kind == Source::Text) {
    layers = layersOf(source->text);
    // A source with a mistake: the front end says which.
    if (layers.empty())
      layers = {""};
  }
  Table table({"layer", "mode", ">error", "result"});
  llvm::json::Array list;
  bool disagrees = false;
  auto report = [&](llvm::StringRef layer, llvm::StringRef mode, double error,
                    const std::string &result) {
    table.add({layer.str(), mode.str(), error < 0 ? "" : numberText(error), result});
    llvm::json::Object entry{
        {"layer", layer.str()}, {"mode", mode.str()}, {"result", result}};
    if (error >= 0)
      entry["error"] = error;
    list.push_back(std::move(entry));
  };
  for (const std::string &layer : layers) {
    source->layer = layer;
    Verifier verifier(options, *source, *files);
    if (llvm::Error error = verifier.setUp()) {
      disagrees = true;
      report(layer, "", -1, "FAILED: " + messageOf(std::move(error)));
      continue;
    }
    for (const ModeChoice &mode : verifier.modes()) {
      std::string name = verifier.module()->layer;
      if (!mode.refusal.empty()) {
        report(name, mode.mode, -1, "refused: " + mode.refusal);
        continue;
      }
      auto verdict = verifier.verify(mode.mode);
      if (!verdict) {
        disagrees = true;
        report(name, mode.mode, -1, "FAILED: " + messageOf(verdict.takeError()));
        continue;
      }
      disagrees |= !verdict->failure.empty();
      report(name, mode.mode, verdict->worst,
             verdict->failure.empty() ? "ok" : "FAILED: " + verdict->failure);
    }
  }
  if (options.json)
    llvm::outs() << llvm::formatv("{0:2}\n", llvm::json::Value(std::move(list)));
  else
    table.print(llvm::outs());
  return disagrees ? reportedFailure() : llvm::Error::success();
}
