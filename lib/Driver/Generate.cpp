//===- Generate.cpp - ssmc generate ---------------------------------------===//
//
// The prompt goes through forward in segments, which bound the memory for a long
// one, then one step a token. The layer is compiled to give the logits of the last
// token alone.
//
//===----------------------------------------------------------------------===//

#include "Error.h"
#include "Files.h"
#include "Prepare.h"
#include "Progress.h"
#include "Sampler.h"
#include "Verbs.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/raw_ostream.h"
#include <chrono>

using namespace ssmc;

using Clock = std::chrono::steady_clock;

static constexpr int64_t byteVocabulary = 256;
static constexpr int64_t promptSegment = 1024;

namespace {
/// The roles of a language model's values.
struct Model {
  int64_t ids = -1, logits = -1; // indices of input and output
  int64_t vocabulary = 0;
};

class Generator {
public:
  Generator(const Options &options, PreparedLayer &layer, Model model)
      : options(options), layer(layer), model(model) {}

  llvm::Error readPrompt();
  llvm::Error readStop();
  llvm::Error run();

private:
  const ssmrt_value_info &idsInfo() const {
    return layer.module()->inputs[model.ids];
  }
  int64_t &tokenAt(int64_t row, int64_t column) {
    return tokens[row * (promptLength + wanted) + column];
  }
  bool printsText() const {
    return model.vocabulary == byteVocabulary && batch == 1 &&
           options.outputTokens.empty();
  }
  llvm::Error consumePrompt(Session &session, void *state);
  llvm::Error choose(const Tensor &logits);
  llvm::Error append();
  bool shouldStop();
  llvm::Error writeTokens();
  void report(double promptSeconds, double stepSeconds) const;

  const Options &options;
  PreparedLayer &layer;
  Model model;
  int64_t batch = 1, promptLength = 0, wanted = 100, made = 0;
  std::vector<int64_t> tokens; // [batch, promptLength + wanted]
  std::vector<int64_t> next;   // chosen and not yet appended
  std::vector<char> ended;     // rows that met the end
  int64_t endToken = -1;
  std::string tail; // what was printed, as long as the text to stop at
  std::vector<Sampler> samplers;
  bool readerGone = false;
};
} // namespace

static llvm::Expected<Model> findModel(const ssmrt_module *module) {
  Model model;
  for (int64_t i = 0; i < module->num_inputs; ++i)
    if (llvm::StringRef(module->inputs[i].name) == "ids")
      model.ids = i;
  for (int64_t i = 0; i < module->num_outputs; ++i)
    if (llvm::StringRef(module->outputs[i].name) == "logits")
      model.logits = i;
  if (model.ids < 0 || model.logits < 0)
    return failure(llvm::Twine("layer '") + module->layer +
                   "' is not a language model: it has no " +
                   (model.ids < 0 ? "input 'ids'" : "output 'logits'"));
  const ssmrt_value_info &ids = module->inputs[model.ids];
  const ssmrt_value_info &logits = module->outputs[model.logits];
  bool fits = ids.ndim == 2 && ids.shape[0] == SSMRT_BATCH &&
              ids.shape[1] == SSMRT_LENGTH && logits.ndim == 3 &&
              logits.shape[0] == SSMRT_BATCH && logits.shape[1] == 1;
  if (!fits)
    return failure(llvm::Twine("layer '") + module->layer + "' takes ids " +
                   shapeText(shapeOf(ids)) + " and gives logits " +
                   shapeText(shapeOf(logits)) +
                   "; wanted [batch, length] and, for the last token, "
                   "[batch, 1, vocabulary]");
  model.vocabulary = logits.shape[2];
  if (!module->step)
    return noStep(*module);
  return model;
}

//===----------------------------------------------------------------------===//
// Prompt
//===----------------------------------------------------------------------===//

llvm::Error Generator::readPrompt() {
  wanted = int64_t(options.count.value_or(100));
  if (wanted > INT32_MAX)
    return failure("-n " + llvm::Twine(wanted) + ": wanted at most " +
                   llvm::Twine(INT32_MAX));
  if (options.prompt) {
    if (model.vocabulary != byteVocabulary)
      return failure("--prompt: the model's vocabulary has " +
                     llvm::Twine(model.vocabulary) +
                     " entries, not the 256 of bytes; give --prompt-tokens FILE");
    promptLength = int64_t(options.prompt->size());
    for (char c : *options.prompt)
      tokens.push_back(uint8_t(c));
    tokens.resize(promptLength + wanted);
  } else {
    auto bound = bindInputs(layer.module(),
                            {FileBinding{idsInfo().name, options.promptTokens}});
    if (!bound)
      return bound.takeError();
    const ssmrt_tensor &given = bound->tensors[model.ids];
    batch = bound->batch;
    promptLength = bound->lengths[0];
    auto wide = Tensor::create({SSMRT_INT, 64, 1}, {batch, promptLength});
    if (!wide)
      return wide.takeError();
    ssmrt_tensor to = wide->view();
    if (ssmrt_convert(&given, &to) != SSMRT_OK)
      return runtimeFailure(options.promptTokens + ": ");
    int64_t total;
    if (__builtin_mul_overflow(batch, promptLength + wanted, &total) ||
        total > (int64_t(1) << 40))
      return failure("-n " + llvm::Twine(wanted) + " for a batch of " +
                     llvm::Twine(batch) + " does not fit into memory");
    tokens.resize(total);
    for (int64_t row = 0; row < batch; ++row)
      std::copy_n(wide->data<int64_t>() + row * promptLength, promptLength,
                  &tokenAt(row, 0));
  }
  if (promptLength == 0 && batch > 0)
    return failure("the prompt is empty; wanted at least one token");
  next.resize(batch);
  ended.resize(batch);
  for (int64_t row = 0; row < batch; ++row)
    samplers.emplace_back(options.temperature, options.topK,
                          options.seed + uint64_t(row));
  return llvm::Error::success();
}

llvm::Error Generator::readStop() {
  if (options.stopText && model.vocabulary != byteVocabulary)
    return failure("--stop=TEXT: the model's vocabulary has " +
                   llvm::Twine(model.vocabulary) + " entries, not the 256 of bytes");
  if (!options.stopAtEnd)
    return llvm::Error::success();
  const auto &config = layer.getSource().config;
  auto id = config ? config->getInteger("eos_token_id") : std::nullopt;
  if (!id)
    return failure("--stop: config.json has no integer 'eos_token_id'; give "
                   "--stop=TEXT");
  endToken = *id;
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Generation
//===----------------------------------------------------------------------===//

/// Calls forward over the prompt and chooses the first token.
llvm::Error Generator::consumePrompt(Session &session, void *state) {
  Progress progress("reading the prompt");
  std::vector<ssmrt_tensor> inputs(layer.module()->num_inputs);
  for (int64_t at = 0; at < promptLength; at += promptSegment) {
    int64_t length = std::min(promptSegment, promptLength - at);
    auto ids = Tensor::create({SSMRT_INT, 64, 1}, {batch, length});
    if (!ids)
      return ids.takeError();
    for (int64_t row = 0; row < batch; ++row)
      std::copy_n(&tokenAt(row, at), length, ids->data<int64_t>() + row * length);
    auto converted = Tensor::create(idsInfo().dtype, {batch, length});
    if (!converted)
      return converted.takeError();
    ssmrt_tensor from = ids->view(), to = converted->view();
    if (ssmrt_convert(&from, &to) != SSMRT_OK)
      return runtimeFailure("the prompt: ");
    if (llvm::Error error = checkLimit(idsInfo(), to, "the prompt"))
      return error;
    inputs[model.ids] = to;
    auto outputs = session.makeOutputs(batch, length);
    if (!outputs)
      return outputs.takeError();
    if (llvm::Error error = session.forward(inputs, *outputs, batch, length, state))
      return error;
    if (at + length == promptLength)
      return choose((*outputs)[model.logits]);
  }
  return llvm::Error::success();
}

llvm::Error Generator::choose(const Tensor &logits) {
  const Tensor *wide = &logits;
  Tensor converted;
  if (logits.getDType().bits == 16) {
    auto copy = convertTo(logits, {SSMRT_FLOAT, 32, 1});
    if (!copy)
      return copy.takeError();
    converted = std::move(*copy);
    wide = &converted;
  }
  for (int64_t row = 0; row < batch; ++row) {
    int64_t offset = row * model.vocabulary;
    auto choose = [&](auto *numbers) {
      return samplers[row].choose(
          llvm::ArrayRef(numbers + offset, size_t(model.vocabulary)));
    };
    int64_t token = wide->getDType().bits == 64 ? choose(wide->data<double>())
                                                : choose(wide->data<float>());
    if (token < 0)
      return failure("the logits of row " + llvm::Twine(row) + " after token " +
                     llvm::Twine(promptLength + made) +
                     " are not numbers: no token can be chosen");
    next[row] = ended[row] ? endToken : token;
  }
  return llvm::Error::success();
}

/// Takes the chosen tokens into the sequences, and prints them.
llvm::Error Generator::append() {
  for (int64_t row = 0; row < batch; ++row) {
    tokenAt(row, promptLength + made) = next[row];
    ended[row] |= endToken >= 0 && next[row] == endToken;
  }
  ++made;
  if (!printsText())
    return llvm::Error::success();
  char byte = char(next[0]);
  llvm::outs() << byte;
  llvm::outs().flush();
  if (std::error_code error = llvm::outs().error()) {
    // A reader that left has seen what it wanted.
    readerGone = error == std::errc::broken_pipe;
    llvm::outs().clear_error();
    if (!readerGone)
      return failure("standard output: " + error.message());
  }
  if (options.stopText) {
    tail += byte;
    if (tail.size() > options.stopText->size())
      tail.erase(0, 1);
  }
  return llvm::Error::success();
}

bool Generator::shouldStop() {
  if (readerGone || made >= wanted)
    return true;
  if (options.stopText && tail == *options.stopText)
    return true;
  return endToken >= 0 && llvm::all_of(ended, [](char flag) { return flag; });
}

llvm::Error Generator::run() {
  if (!options.outputTokens.empty())
    if (llvm::Error error = checkWritable(options.outputTokens))
      return error;
  auto session = layer.prepare(promptLength + wanted);
  if (!session)
    return session.takeError();
  auto state = session->makeState(batch);
  if (!state)
    return state.takeError();
  // On a terminal the text reads on from its prompt; elsewhere only new text is
  // wanted.
  bool onTerminal = llvm::sys::Process::StandardOutIsDisplayed();
  if (printsText() && onTerminal && options.prompt)
    llvm::outs() << *options.prompt;

  Clock::time_point start = Clock::now(), afterPrompt = start;
  if (wanted > 0 && batch > 0) {
    if (llvm::Error error = consumePrompt(*session, state->get()))
      return error;
    afterPrompt = Clock::now();
    auto ids = Tensor::create(idsInfo().dtype, {batch, 1});
    if (!ids)
      return ids.takeError();
    auto outputs = session->makeOutputs(batch, 1);
    if (!outputs)
      return outputs.takeError();
    std::vector<ssmrt_tensor> inputs(layer.module()->num_inputs);
    inputs[model.ids] = ids->view();
    for (;;) {
      if (llvm::Error error = append())
        return error;
      if (shouldStop())
        break;
      for (int64_t row = 0; row < batch; ++row)
        if (idsInfo().dtype.bits == 64)
          ids->data<int64_t>()[row] = next[row];
        else
          ids->data<int32_t>()[row] = int32_t(next[row]);
      if (llvm::Error error = session->step(inputs, *outputs, batch, state->get()))
        return error;
      if (llvm::Error error = choose((*outputs)[model.logits]))
        return error;
    }
  } else {
    made = batch > 0 ? 0 : wanted;
  }
  Clock::time_point end = Clock::now();
  if (printsText() && onTerminal)
    llvm::outs() << '\n';
  auto seconds = [](Clock::duration time) {
    return std::chrono::duration<double>(time).count();
  };
  report(seconds(afterPrompt - start), seconds(end - afterPrompt));
  return writeTokens();
}

void Generator::report(double promptSeconds, double stepSeconds) const {
  auto rate = [](int64_t count, double seconds) {
    return llvm::formatv("{0} tokens in {1} s, {2} tokens/s", count,
                         llvm::format("%.3f", seconds),
                         llvm::format("%.1f", seconds > 0 ? count / seconds : 0.0))
        .str();
  };
  if (made == 0)
    return;
  // The first token comes with the prompt.
  llvm::errs() << "prompt: " << rate(batch * promptLength, promptSeconds)
               << "\ngeneration: " << rate(batch * (made - 1), stepSeconds) << '\n';
}

llvm::Error Generator::writeTokens() {
  if (options.outputTokens.empty()) {
    if (!printsText())
      for (int64_t row = 0; row < batch; ++row) {
        for (int64_t i = 0; i < made; ++i)
          llvm::outs() << (i ? " " : "") << tokenAt(row, promptLength + i);
        llvm::outs() << '\n';
      }
    return llvm::Error::success();
  }
  int64_t length = promptLength + made;
  auto result = Tensor::create({SSMRT_INT, 64, 1}, {batch, length});
  if (!result)
    return result.takeError();
  for (int64_t row = 0; row < batch; ++row)
    std::copy_n(&tokenAt(row, 0), length, result->data<int64_t>() + row * length);
  OutputFiles files;
  if (llvm::Error error = files.add(options.outputTokens, "tokens", *result))
    return error;
  return files.commit();
}

llvm::Error ssmc::runGenerate(const Options &options) {
  auto layer = PreparedLayer::build(options);
  if (!layer)
    return layer.takeError();
  auto model = findModel((*layer)->module());
  if (!model)
    return model.takeError();
  Generator generator(options, **layer, *model);
  if (llvm::Error error = generator.readPrompt())
    return error;
  if (llvm::Error error = generator.readStop())
    return error;
  return generator.run();
}
