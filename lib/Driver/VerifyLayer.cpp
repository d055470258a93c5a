//===- VerifyLayer.cpp - One layer against its literal form ---------------===//

#include "VerifyLayer.h"
#include "Error.h"
#include "Parallel.h"
#include "Progress.h"
#include "RandomData.h"

#include "llvm/ADT/StringSwitch.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

using namespace ssmc;

/// Of the largest magnitude. Narrow dtypes are those of the operands of products: each
/// product is off by half a unit of their last place.
static double toleranceOf(llvm::StringRef dtype) {
  return llvm::StringSwitch<double>(dtype)
      .Case("f64", kSmallestError)
      .Case("bf16", 4e-2)
      .Case("f16", 5e-3)
      .Default(3e-5);
}
/// What storing a number in a dtype of inputs and outputs costs: half a unit of the last
/// place, and for numbers so small that the dtype has no more digits, next to nothing.
static double roundingOf(llvm::StringRef dtype) {
  return llvm::StringSwitch<double>(dtype)
      .Case("bf16", 0x1p-8)
      .Case("f16", 0x1p-11)
      .Default(0);
}

void Verdict::note(double error, const std::string &place) {
  ++comparisons;
  if (!(error <= worst) && !std::isnan(worst)) { // NaN is the worst
    worst = error;
    where = place;
  }
  if (!(error <= tolerance) && failure.empty())
    failure = place + " disagrees";
}

void Verdict::add(const Verdict &part) {
  comparisons += part.comparisons;
  if (!(part.worst <= worst) && !std::isnan(worst)) {
    worst = part.worst;
    where = part.where;
  }
  if (failure.empty())
    failure = part.failure;
}

//===----------------------------------------------------------------------===//
// Compiling
//===----------------------------------------------------------------------===//

BuildRequest LayerVerifier::requestFor(llvm::StringRef mode, bool literal,
                                       bool doublePrecision) const {
  BuildRequest request(options);
  request.mode = mode.str();
  request.literal = literal;
  if (literal) { // the oracle reads and writes all digits
    request.ioType.clear();
    request.stateType.clear();
  }
  request.doublePrecision = doublePrecision;
  request.testValues = !source.config;
  request.needsInitializers = true;
  return request;
}

bool LayerVerifier::wantsDouble(const ModeChoice &choice) const {
  // What the options ask for: that mode.
  return options.dtypeGiven ? options.dtype == "f64" : choice.mode == options.mode;
}

llvm::Error LayerVerifier::compile() {
  if (options.batch)
    batch = int64_t(options.batch);
  auto one = makeContext(1);
  if (!one)
    return one.takeError();
  serial = std::move(*one);
  Progress progress("compiling " + source.layer + " of " + source.name);
  auto add = [&](llvm::StringRef mode, uint64_t program, bool literal,
                 bool doublePrecision) {
    for (const Job &job : jobs)
      if (job.program == program && job.literal == literal &&
          job.doublePrecision == doublePrecision)
        return;
    jobs.push_back({program, mode.str(), literal, doublePrecision,
                    std::make_unique<Build>(
                        source, files, options,
                        requestFor(mode, literal, doublePrecision)),
                    nullptr, "", {}});
  };
  add("auto", 0, /*literal=*/true, /*doublePrecision=*/true);
  // A source with a mistake: said once.
  if (llvm::Error error = jobs.front().build->runFrontend())
    return error;
  choices = tryModes(source, files, options, requestFor("auto", false, false));
  // f32 in every mode, and f64 where the compiler has the choice, which takes every form
  // that it may choose; or the dtype asked for in every mode; or the one mode asked for.
  for (const ModeChoice &choice : choices)
    if (choice.refusal.empty()) {
      if (options.dtype != "f64")
        add(choice.mode, choice.program, false, false);
      if (wantsDouble(choice))
        add(choice.mode, choice.program, false, true);
    }
  llvm::cantFail(runInParallel(jobs.size(), [&](size_t i) {
    Job &job = jobs[i];
    auto object = job.build->makeObject();
    if (object)
      job.object = std::move(*object);
    else
      llvm::handleAllErrors(
          object.takeError(),
          [&](const ReportedError &) { job.failure = "does not compile"; },
          [&](const llvm::ErrorInfoBase &error) { job.failure = error.message(); });
    return llvm::Error::success();
  }));
  for (Job &job : jobs) {
    if (job.object) {
      auto subject = load(job);
      if (!subject)
        return subject.takeError();
      (job.literal ? oracle : job.subject) = std::move(*subject);
    } else if (job.literal) {
      return failure("the literal lowering: " + job.failure);
    }
  }
  return llvm::Error::success();
}

llvm::Expected<LayerVerifier::Subject> LayerVerifier::load(Job &job) {
  auto layer = LoadedLayer::load(std::move(job.object), requestFor("", false, false).name);
  if (!layer)
    return layer.takeError();
  Subject subject;
  subject.layer = std::move(*layer);
  auto seed = files.empty() ? std::optional<uint64_t>(options.init.value_or(1))
                            : std::nullopt;
  auto weights =
      bindWeights(subject.layer.get(), files, job.build->initializers(), seed);
  if (!weights)
    return weights.takeError();
  subject.drawn = std::move(weights->drawn);
  subject.weights = std::move(weights->tensors);
  // All must see the same weights: those that f32 holds.
  if (seed && job.doublePrecision)
    for (Tensor &tensor : subject.drawn)
      if (tensor.getDType().code == SSMRT_FLOAT && tensor.getDType().bits == 64)
        for (int64_t i = 0; i < tensor.count(); ++i)
          tensor.data<double>()[i] = float(tensor.data<double>()[i]);
  return std::move(subject);
}

//===----------------------------------------------------------------------===//
// Comparing
//===----------------------------------------------------------------------===//

double ssmc::magnitudeOf(const Tensor &tensor) {
  double magnitude = 0;
  for (int64_t i = 0; i < tensor.count(); ++i) {
    double x = numberAt(tensor, i);
    magnitude = std::isfinite(x) ? std::max(magnitude, std::fabs(x)) : magnitude;
  }
  return magnitude;
}

/// The largest error over the largest magnitude, which counts as `yardstick` at least;
/// NaN where one has NaN or infinity and the other has not.
static double errorOf(const Tensor &found, const Tensor &wanted, double yardstick) {
  double scale = std::max({1e-30, yardstick, magnitudeOf(wanted)}), error = 0;
  for (int64_t i = 0; i < wanted.count(); ++i) {
    double x = numberAt(found, i), y = numberAt(wanted, i);
    if (x == y || (std::isnan(x) && std::isnan(y)))
      continue;
    if (!std::isfinite(x) || !std::isfinite(y))
      return NAN;
    error = std::max(error, std::fabs(x - y));
  }
  return error / scale;
}

void LayerVerifier::Case::compare(const ssmrt_module *module,
                                  llvm::ArrayRef<Tensor> found,
                                  llvm::ArrayRef<Tensor> expected,
                                  const std::string &place, Verdict &verdict) const {
  for (auto [i, tensor] : llvm::enumerate(found))
    verdict.note(errorOf(tensor, expected[i], yardsticks[i]),
                 std::string(module->outputs[i].name) + ", " + place);
}

llvm::Error LayerVerifier::call(Session &session, llvm::ArrayRef<Tensor> inputs,
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

/// A sequence cut in two, the state passed on; and, where the mode is not `step`, a
/// first part in one call and the rest token by token.
llvm::Error LayerVerifier::comparePieces(Session &session, llvm::ArrayRef<Tensor> inputs,
                                         const Case &sequence, bool stepwise,
                                         Verdict &verdict) {
  const ssmrt_module &module = session.module();
  int64_t length = sequence.lengths[0];
  std::set<int64_t> cuts = {1, length / 2, length - 1};
  for (int64_t cut : cuts)
    for (bool stepRest : {false, true}) {
      // Steps are slow, and one cut shows whether both forms keep the state alike.
      if (cut < 1 || cut >= length || (stepRest && (stepwise || cut != length / 2)))
        continue;
      auto outputs = session.makeOutputs(batch, length);
      if (!outputs)
        return outputs.takeError();
      auto state = session.makeState(batch);
      if (!state)
        return state.takeError();
      std::vector<ssmrt_tensor> views = viewAll(inputs);
      for (auto [begin, end] : {std::pair(int64_t(0), cut), std::pair(cut, length)}) {
        if (llvm::Error error =
                session.segment(views, *outputs, batch, begin, end,
                                stepwise || (stepRest && begin > 0), state->get()))
          return error;
        // A state is given once.
        for (int64_t i = 0; i < module.num_inputs; ++i)
          if (module.inputs[i].flags & SSMRT_INITIAL)
            views[i].data = nullptr;
      }
      sequence.compare(&module, *outputs, sequence.wanted,
                       "length " + std::to_string(length) + " cut at " +
                           std::to_string(cut) + (stepRest ? ", then steps" : ""),
                       verdict);
    }
  return llvm::Error::success();
}

/// Each row alone.
llvm::Error LayerVerifier::compareRows(Session &session, llvm::ArrayRef<Tensor> inputs,
                                       llvm::ArrayRef<Tensor> found, bool stepwise,
                                       const Case &sequence, Verdict &verdict) {
  const ssmrt_module *module = &session.module();
  const Lengths &lengths = sequence.lengths;
  for (int64_t row = 0; row < batch && batch > 1; ++row) {
    auto inputRow = takeRow(inputs, module->inputs, row);
    if (!inputRow)
      return inputRow.takeError();
    auto wanted = takeRow(found, module->outputs, row);
    if (!wanted)
      return wanted.takeError();
    auto outputs = session.makeOutputs(1, lengths);
    if (!outputs)
      return outputs.takeError();
    if (llvm::Error error = call(session, *inputRow, *outputs, 1, lengths[0], stepwise))
      return error;
    sequence.compare(module, *outputs, *wanted,
                     "row " + std::to_string(row) + " alone, length " +
                         lengthsText(lengths),
                     verdict);
  }
  return llvm::Error::success();
}

/// The same bits with any number of threads.
llvm::Error LayerVerifier::compareThreads(Subject &subject, llvm::ArrayRef<Tensor> inputs,
                                          llvm::ArrayRef<Tensor> found, bool stepwise,
                                          llvm::ArrayRef<int64_t> lengths,
                                          Verdict &verdict) {
  const ssmrt_module *module = subject.layer.get();
  // More threads than cores do no harm here, and one core must not hide a race. They
  // are this comparison's own: those that work for another would not take part.
  for (uint64_t threads : {uint64_t(2), options.threads ? options.threads : 5}) {
    auto context = makeContext(threads);
    if (!context)
      return context.takeError();
    auto parallel = Session::create(module, context->get(), subject.weights,
                                    *llvm::max_element(lengths));
    if (!parallel)
      return parallel.takeError();
    auto outputs = parallel->makeOutputs(batch, lengths);
    if (!outputs)
      return outputs.takeError();
    if (llvm::Error error = call(*parallel, inputs, *outputs, batch, lengths[0], stepwise))
      return error;
    for (auto [i, tensor] : llvm::enumerate(*outputs))
      if (std::memcmp(tensor.data(), found[i].data(), size_t(tensor.bytes())) != 0 &&
          verdict.failure.empty())
        verdict.failure = std::string(module->outputs[i].name) + ", length " +
                          lengthsText(lengths) + ": other bits with " +
                          std::to_string((*context)->threads) + " threads";
  }
  return llvm::Error::success();
}

/// Other values from a token on change nothing before it: not a bit, unless the form
/// goes through a transform of the whole sequence, whose rounding `mayLeak`.
llvm::Error LayerVerifier::compareCausality(Session &session,
                                            llvm::ArrayRef<Tensor> inputs,
                                            llvm::ArrayRef<Tensor> found, bool mayLeak,
                                            const Case &sequence, Verdict &verdict) {
  const ssmrt_module *module = &session.module();
  int64_t length = sequence.lengths[0];
  for (int64_t cut : std::set<int64_t>{length / 2, length - 1}) {
    if (cut < 1)
      continue;
    auto others = drawInputs(module, batch, length, kDataSeed + 1);
    if (!others)
      return others.takeError();
    auto changed = convertAll(inputs, module->inputs); // a copy
    if (!changed)
      return changed.takeError();
    for (auto [i, tensor] : llvm::enumerate(*changed)) {
      if (lengthDimension(module->inputs[i]) < 0)
        continue;
      auto copy = [to = tensor.data(), from = (*others)[i].data()](int64_t at,
                                                                   int64_t bytes) {
        std::memcpy(to + at, from + at, size_t(bytes));
      };
      forTokens(module->inputs[i], tensor, cut, length, copy);
    }
    auto outputs = session.makeOutputs(batch, length);
    if (!outputs)
      return outputs.takeError();
    if (llvm::Error error = call(session, *changed, *outputs, batch, length, false))
      return error;
    for (auto [i, tensor] : llvm::enumerate(*outputs)) {
      const ssmrt_value_info &info = module->outputs[i];
      if (lengthDimension(info) < 0)
        continue;
      auto copy = [to = tensor.data(), from = found[i].data()](int64_t at, int64_t bytes) {
        std::memcpy(to + at, from + at, size_t(bytes));
      };
      forTokens(info, tensor, cut, length, copy);
      std::string place = std::string(info.name) + ", length " + std::to_string(length) +
                          ", before token " + std::to_string(cut) + " changed";
      verdict.note(errorOf(tensor, found[i], sequence.yardsticks[i]), place);
      if (!mayLeak && verdict.failure.empty() &&
          std::memcmp(tensor.data(), found[i].data(), size_t(tensor.bytes())) != 0)
        verdict.failure = place + ": other bits, so it depends on later tokens";
    }
  }
  return llvm::Error::success();
}

llvm::Error LayerVerifier::compareCase(Subject &subject, const ModeChoice &choice,
                                       Case &sequence, Verdict &verdict) {
  const ssmrt_module *module = subject.layer.get();
  bool stepwise = choice.mode == "step";
  const Lengths &lengths = sequence.lengths;
  int64_t length = lengths[0];
  auto inputs = convertAll(sequence.inputs, module->inputs);
  if (!inputs)
    return inputs.takeError();
  auto session = Session::create(module, serial.get(), subject.weights,
                                 *llvm::max_element(lengths));
  if (!session)
    return session.takeError();
  verdict.warnings = session->findGrowth();
  auto found = session->makeOutputs(batch, lengths);
  if (!found)
    return found.takeError();
  if (llvm::Error error = call(*session, *inputs, *found, batch, length, stepwise))
    return error;
  std::string place = "length " + lengthsText(lengths);
  if (sequence.isImpulse) {
    Lengths token(lengths);
    llvm::for_each(token, [](int64_t &length) { length = impulseAt(length); });
    sequence.compare(module, *found, sequence.wanted,
                     place + ", token " + lengthsText(token) + " alone", verdict);
    return llvm::Error::success();
  }
  sequence.compare(module, *found, sequence.wanted, place, verdict);
  if (module->step)
    if (llvm::Error error =
            comparePieces(*session, *inputs, sequence, stepwise, verdict))
      return error;
  if (module->step && !stepwise)
    if (llvm::Error error = compareCausality(*session, *inputs, *found, choice.mayLeak,
                                             sequence, verdict))
      return error;
  if (llvm::Error error =
          compareRows(*session, *inputs, *found, stepwise, sequence, verdict))
    return error;
  return compareThreads(subject, *inputs, *found, stepwise, lengths, verdict);
}

/// What each mode is compared in; those that are the same program called the same way
/// give the same numbers, and are compared once.
std::vector<LayerVerifier::Comparison> LayerVerifier::chooseComparisons() {
  std::vector<Comparison> comparisons;
  for (const ModeChoice &choice : choices) {
    if (!choice.refusal.empty()) {
      Comparison &refused = comparisons.emplace_back();
      refused.verdict.mode = choice.mode;
      refused.verdict.refusal = choice.refusal;
      continue;
    }
    for (Job &job : jobs) {
      if (job.literal || job.program != choice.program)
        continue;
      // Made for `auto`, though other modes may share the program.
      if (job.doublePrecision && !wantsDouble(choice))
        continue;
      Comparison comparison;
      comparison.choice = &choice;
      comparison.job = &job;
      Verdict &verdict = comparison.verdict;
      verdict.mode = choice.mode;
      verdict.dtype = job.doublePrecision ? "f64" : options.dtype;
      verdict.tolerance = toleranceOf(verdict.dtype) + roundingOf(options.ioDType);
      if (options.stateDType != "f32") // after every call: roundings add up
        verdict.tolerance += toleranceOf(options.stateDType);
      verdict.failure = job.failure;
      for (auto [i, other] : llvm::enumerate(comparisons))
        if (other.job == &job && !other.same &&
            (other.choice->mode == "step") == (choice.mode == "step"))
          comparison.same = i;
      comparisons.push_back(std::move(comparison));
    }
  }
  return comparisons;
}

llvm::Expected<std::vector<Verdict>> LayerVerifier::run() {
  if (llvm::Error error = makeCases())
    return std::move(error);
  std::vector<Comparison> comparisons = chooseComparisons();
  struct Part {
    Comparison *comparison;
    Case *sequence;
    Verdict verdict;
  };
  std::vector<Part> parts;
  // The last ones, which are begun first, are the longest.
  for (Case &sequence : cases)
    for (Comparison &comparison : comparisons)
      if (comparison.job && !comparison.same && comparison.job->failure.empty())
        parts.push_back({&comparison, &sequence, comparison.verdict});
  Progress progress("comparing the modes of " + layer().str());
  if (llvm::Error error = runInParallel(parts.size(), [&](size_t i) {
        Part &part = parts[i];
        return compareCase(part.comparison->job->subject, *part.comparison->choice,
                           *part.sequence, part.verdict);
      }))
    return std::move(error);
  std::set<std::string> warned; // each message once
  for (Part &part : parts) {
    part.comparison->verdict.add(part.verdict);
    for (const std::string &message : part.verdict.warnings)
      if (warned.insert(message).second)
        warn(message);
  }
  std::vector<Verdict> verdicts;
  for (Comparison &comparison : comparisons) {
    Verdict verdict = comparison.verdict;
    if (comparison.same) {
      verdict = comparisons[*comparison.same].verdict;
      verdict.mode = comparison.verdict.mode;
    }
    verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}
