//===- Options.cpp - The table of options and its parser ------------------===//
//
// One table drives parsing and --help. An option is known to some verbs only, so
// that an option which a verb would ignore is an error instead.
//
//===----------------------------------------------------------------------===//

#include "Options.h"
#include "Error.h"
#include "Help.h"

#include "Target/NVPTX/Assembler.h"
#include "ssm/Analysis/Machine.h"
#include "ssmc/Pipeline/Pipeline.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Path.h"
#include "ssmrt/ssmrt.h"
#include <cmath>
#include <tuple>

using namespace ssmc;

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

std::optional<uint64_t> ssmc::parseCount(llvm::StringRef text) {
  uint64_t scale = 1, value;
  if (text.consume_back_insensitive("k"))
    scale = 1 << 10;
  else if (text.consume_back_insensitive("m"))
    scale = 1 << 20;
  else if (text.consume_back_insensitive("g"))
    scale = 1 << 30;
  if (text.getAsInteger(10, value) || value > (uint64_t(1) << 62) / scale)
    return std::nullopt;
  return value * scale;
}

/// What an option's value should have been, or "" where it was accepted.
using Applied = std::string;

static Applied applyCount(uint64_t &target, llvm::StringRef value) {
  auto count = parseCount(value);
  if (!count)
    return "an integer of 0 or more";
  target = *count;
  return "";
}

static Applied applyReal(double &target, llvm::StringRef value) {
  if (value.getAsDouble(target) || !(target >= 0) || std::isinf(target))
    return "a number of 0 or more";
  return "";
}

static Applied applyBinding(std::vector<FileBinding> &bindings, llvm::StringRef value) {
  auto [name, file] = value.split('=');
  if (name.empty() || file.empty())
    return "NAME=FILE";
  bindings.push_back({name.str(), file.str()});
  return "";
}

static Applied applyChoice(std::string &target, llvm::StringRef value,
                           llvm::ArrayRef<llvm::StringRef> choices) {
  target = value.str();
  return llvm::is_contained(choices, value) ? "" : llvm::join(choices, ", ");
}

static Applied applyLengths(Options &options, llvm::StringRef value) {
  options.lengths.clear();
  llvm::SmallVector<llvm::StringRef> parts;
  value.split(parts, ',');
  for (llvm::StringRef part : parts) {
    llvm::SmallVector<llvm::StringRef> axes;
    part.split(axes, 'x');
    Lengths lengths;
    for (llvm::StringRef axis : axes) {
      auto count = parseCount(axis);
      if (!count || lengths.size() == SSMRT_MAX_AXES)
        return "lengths such as 1K,4K, or 28x30 for two sequence axes";
      lengths.push_back(int64_t(*count));
    }
    options.lengths.push_back(lengths);
  }
  return "";
}

/// KEY=VALUE,KEY=VALUE: each pair goes to `apply`, which says whether it is right.
static bool applyPairs(llvm::StringRef text,
                       llvm::function_ref<bool(llvm::StringRef, llvm::StringRef)> apply) {
  llvm::SmallVector<llvm::StringRef> pairs;
  text.split(pairs, ',');
  return llvm::all_of(pairs, [&](llvm::StringRef pair) {
    auto [key, value] = pair.split('=');
    return apply(key.trim(), value.trim());
  });
}

static Applied applySchedule(Options &options, llvm::StringRef text) {
  bool right = applyPairs(text, [&](llvm::StringRef key, llvm::StringRef value) {
    if (key == "conv") {
      options.schedule.conv = value.str();
      return value == "auto" || value == "fft" || value == "direct";
    }
    auto count = parseCount(value);
    int64_t *field = llvm::StringSwitch<int64_t *>(key)
                         .Case("chunk", &options.schedule.chunk)
                         .Case("lanes", &options.schedule.lanes)
                         .Case("segments", &options.schedule.segments)
                         .Case("crossover", &options.schedule.crossover)
                         .Default(nullptr);
    if (!field || !count)
      return false;
    *field = int64_t(*count);
    return true;
  });
  return right ? "" : "chunk=N, lanes=N, segments=N, crossover=N or conv=auto, fft or "
                     "direct, with commas between";
}

bool ssmc::isForCUDA(const Options &options) { return options.target != "cpu"; }

static Applied applyTarget(Options &options, llvm::StringRef text) {
  llvm::SmallVector<llvm::StringRef> parts;
  text.split(parts, ',');
  llvm::sort(parts); // cpu stands before cuda
  options.target = llvm::join(parts, ",");
  options.targetGiven = true;
  bool right = llvm::is_contained(
      llvm::ArrayRef<llvm::StringRef>{"cpu", "cuda", "cpu,cuda", "cuda-emulated"},
      options.target);
  return right ? "" : "cpu, cuda or cpu,cuda";
}

static Applied applyGPU(Options &options, llvm::StringRef text) {
  llvm::SmallVector<llvm::StringRef> names;
  text.split(names, ',');
  options.gpu.clear();
  for (llvm::StringRef name : names) {
    auto arch = nvptx::parseArch(name);
    if (!arch || arch->number < 80)
      return "names from sm_80 on, such as sm_80,sm_90 or sm_90a";
    if (!llvm::is_contained(options.gpu, name))
      options.gpu.push_back(name.str());
  }
  // PTX for the oldest runs on all later ones; for a variant, on nothing else.
  llvm::sort(options.gpu, [](llvm::StringRef a, llvm::StringRef b) {
    nvptx::Arch x = *nvptx::parseArch(a), y = *nvptx::parseArch(b);
    return std::tuple(x.variant != 0, x.number, x.variant) <
           std::tuple(y.variant != 0, y.number, y.variant);
  });
  return "";
}

static Applied applyMachine(Options &options, llvm::StringRef text) {
  llvm::ArrayRef<llvm::StringRef> keys = mlir::ssm::Machine::keys();
  bool right = applyPairs(text, [&](llvm::StringRef key, llvm::StringRef value) {
    double number;
    if (auto count = parseCount(value))
      number = double(*count);
    else if (value.getAsDouble(number))
      return false;
    options.machine.emplace_back(key.str(), number);
    return llvm::is_contained(keys, key) && number > 0 && std::isfinite(number);
  });
  return right ? "" : "FIGURE=NUMBER, with commas between; figures are " +
                          llvm::join(keys, ", ");
}

static Applied applyPhase(std::string &target, llvm::StringRef value) {
  std::string names;
#define PHASE(ENUM, TEXT, SUMMARY) names += names.empty() ? TEXT : ", " TEXT;
#include "ssmc/Pipeline/Phases.def"
  target = value.str();
#define PHASE(ENUM, TEXT, SUMMARY)                                                       \
  if (value == TEXT)                                                                     \
    return "";
#include "ssmc/Pipeline/Phases.def"
  return names;
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

#define APPLY [](Options & o, llvm::StringRef v) -> Applied
#define FLAG(FIELD) APPLY { return o.FIELD = true, ""; }
#define TEXT(FIELD) APPLY { return o.FIELD = v.str(), ""; }

static constexpr unsigned on(Verb verb) { return 1u << unsigned(verb); }

// Verbs that compile; that execute what they compiled; that read files of weights.
static constexpr unsigned compiling =
    on(Verb::Compile) | on(Verb::Run) | on(Verb::Generate) | on(Verb::Verify) |
    on(Verb::Bench) | on(Verb::Inspect);
static constexpr unsigned executing =
    on(Verb::Run) | on(Verb::Generate) | on(Verb::Verify) | on(Verb::Bench);
static constexpr unsigned tables =
    on(Verb::Verify) | on(Verb::Bench) | on(Verb::Inspect) | on(Verb::Doctor);

using Arity = OptionSpec::Arity;

static const OptionSpec specs[] = {
    {"input", 0, "NAME=FILE", Arity::One, on(Verb::Run),
     "read an input from .npy or .safetensors; repeatable",
     APPLY { return applyBinding(o.inputs, v); }},
    {"output", 0, "NAME=FILE", Arity::One, on(Verb::Run),
     "write an output to .npy or .safetensors; repeatable",
     APPLY { return applyBinding(o.outputs, v); }},
    {"output", 'o', "FILE", Arity::One, on(Verb::Compile),
     "the artefact: .o, .a, .so, .s, .ll, .mlir, .ptx or .cubin", TEXT(output)},
    {"emit", 0, "WHAT", Arity::One, on(Verb::Compile),
     "ast, ssm, mlir, llvm, asm, obj, ptx, cubin, or the name of a phase", TEXT(emit)},
    {"header", 0, "FILE", Arity::One, on(Verb::Compile),
     "write a C header that declares the artefact's function", TEXT(header)},
    {"embed-weights", 0, "", Arity::None, on(Verb::Compile),
     "put the weights into the artefact, which then needs no file", FLAG(embedWeights)},
    {"name", 0, "NAME", Arity::One, on(Verb::Compile),
     "export NAME_module (default: after the file)", TEXT(name)},
    {"prompt", 0, "TEXT", Arity::One, on(Verb::Generate),
     "the text to go on from; for a vocabulary of 256 bytes",
     APPLY { return o.prompt = v.str(), ""; }},
    {"prompt-tokens", 0, "FILE", Arity::One, on(Verb::Generate),
     "token ids to go on from: .npy, integers [batch, length]", TEXT(promptTokens)},
    {"output-tokens", 0, "FILE", Arity::One, on(Verb::Generate),
     "write prompt and new ids to .npy: [batch, length + n]", TEXT(outputTokens)},
    {"tokens", 'n', "N", Arity::One, on(Verb::Generate), "how many tokens (default 100)",
     APPLY {
       uint64_t n = 0;
       Applied wanted = applyCount(n, v);
       o.count = n;
       return wanted;
     }},
    {"temperature", 0, "T", Arity::One, on(Verb::Generate),
     "draw from softmax(logits / T); 0, the default, takes the largest",
     APPLY { return applyReal(o.temperature, v); }},
    {"top-k", 0, "K", Arity::One, on(Verb::Generate),
     "draw among the K largest only (0: all)", APPLY { return applyCount(o.topK, v); }},
    {"seed", 0, "SEED", Arity::One, on(Verb::Generate), "of the draws (default 0)",
     APPLY { return applyCount(o.seed, v); }},
    {"stop", 0, "TEXT", Arity::Optional, on(Verb::Generate),
     "stop early: at the end-of-text token of config.json, or after =TEXT",
     APPLY {
       o.stopAtEnd = v.empty();
       if (!v.empty())
         o.stopText = v.str();
       return "";
     }},
    {"source", 0, "NAME", Arity::One, on(Verb::Inspect),
     "print the text of a shipped module (`all`: their names)", TEXT(shippedSource)},
    {"lengths", 0, "L,L,...", Arity::One, on(Verb::Bench) | on(Verb::Verify),
     "lengths of the sequence, such as 1K,4K; 28x30 for two axes", APPLY { return applyLengths(o, v); }},
    {"batch", 0, "N", Arity::One, on(Verb::Bench) | on(Verb::Verify),
     "rows (bench: 1, verify: 2)",
     APPLY {
       Applied wanted = applyCount(o.batch, v);
       return wanted.empty() && o.batch == 0 ? "an integer of 1 or more" : wanted;
     }},
    {"seconds", 0, "S", Arity::One, on(Verb::Bench), "time for one figure (default 0.5)",
     APPLY { return applyReal(o.seconds, v); }},
    {"last-token", 0, "", Arity::None, on(Verb::Bench) | on(Verb::Compile),
     "results over the sequence: of its last token alone", FLAG(lastToken)},
    {"json", 0, "", Arity::None, tables, "print JSON", FLAG(json)},
    {"csv", 0, "", Arity::None, on(Verb::Bench), "print comma-separated values",
     FLAG(csv)},
    {"svg", 0, "FILE", Arity::One, on(Verb::Bench),
     "draw time over length, a curve a mode, to an SVG file", TEXT(svg)},

    {"layer", 0, "NAME", Arity::One, compiling, "default: the only or last one",
     TEXT(layer)},
    {"set", 0, "NAME=VALUE", Arity::One, compiling,
     "a parameter: integer, real, true, false or a name; repeatable",
     APPLY {
       auto [name, value] = v.split('=');
       if (name.empty() || value.empty())
         return "NAME=VALUE";
       o.set[name.str()] = value.str();
       return "";
     }},
    {"config", 0, "FILE", Arity::One, compiling,
     "a config.json for a model's parameters, where SOURCE is a .ssm file",
     TEXT(configFile)},
    {"mode", 0, "MODE", Arity::One, compiling,
     "auto (default; bench, verify: all), step, scan, chunk, conv or quadratic",
     APPLY {
       return applyChoice(o.mode, v,
                          {"auto", "step", "scan", "chunk", "conv", "quadratic"});
     }},
    {"target", 0, "TARGET", Arity::One, compiling, "cpu (default), cuda; compile: cpu,cuda",
     APPLY { return applyTarget(o, v); }},
    {"gpu", 0, "SM,SM,...", Arity::One, compiling,
     "GPUs, such as sm_80,sm_90 or sm_90a (default: PTX for sm_80 and later)",
     APPLY { return applyGPU(o, v); }},
    {"cpu", 0, "CPU", Arity::One, compiling,
     "native (default), x86-64-v3, or another of LLVM's names", TEXT(cpu)},
    {"triple", 0, "TRIPLE", Arity::One, on(Verb::Compile), "compile for another machine",
     TEXT(triple)},
    {"dtype", 0, "TYPE", Arity::One, compiling,
     "of activations and products: f32 (default), f64; bf16, f16: products by weights",
     APPLY { return o.dtypeGiven = true, applyChoice(o.dtype, v, {"f32", "f64", "bf16", "f16"}); }},
    {"io-dtype", 0, "TYPE", Arity::One, compiling,
     "of inputs and outputs over a sequence, in memory: f32 (default), bf16, f16",
     APPLY { return applyChoice(o.ioDType, v, {"f32", "bf16", "f16"}); }},
    {"state-dtype", 0, "TYPE", Arity::One, compiling,
     "of states of recurrences, in memory: f32 (default), bf16, f16",
     APPLY { return applyChoice(o.stateDType, v, {"f32", "bf16", "f16"}); }},
    {"weights-dtype", 0, "TYPE", Arity::One, compiling,
     "of stored weights: f32, f64, bf16, f16 (default: as in the file)",
     APPLY { return applyChoice(o.weightsDType, v, {"f32", "f64", "bf16", "f16"}); }},
    {"weights", 0, "FILE", Arity::One, compiling,
     ".safetensors, or a model.safetensors.index.json; repeatable",
     APPLY { return o.weights.push_back(v.str()), ""; }},
    {"prefix", 0, "PREFIX", Arity::One, compiling,
     "stands before the layer's names in the files of weights", TEXT(prefix)},
    {"init", 0, "SEED", Arity::One, executing | on(Verb::Compile),
     "draw weights as the spec says; compile: for --embed-weights",
     APPLY {
       uint64_t seed = 0;
       Applied wanted = applyCount(seed, v);
       o.init = seed;
       return wanted;
     }},
    {"threads", 0, "N", Arity::One, executing, "default: one per core",
     APPLY {
       Applied wanted = applyCount(o.threads, v);
       return wanted.empty() && o.threads > SSMRT_MAX_THREADS
                  ? "at most " + std::to_string(SSMRT_MAX_THREADS)
                  : wanted;
     }},
    {"fast-exp", 0, "", Arity::None, compiling,
     "a shorter polynomial for exp: relative error 2e-6", FLAG(fastExp)},
    {"explain", 0, "", Arity::None, compiling,
     "print what the cost model chose, and why, to standard error", FLAG(explain)},
    {"remarks", 0, "REGEX", Arity::Optional, compiling,
     "print a remark for each decision; =REGEX: of the passes that match",
     APPLY { return o.remarks = true, o.remarksFilter = v.str(), ""; }},
    {"schedule", 0, "KEY=N,...", Arity::One, compiling,
     "instead of the cost model's: chunk, lanes, segments, crossover (the shortest "
     "length in chunks), conv=fft or direct (how long kernels are convolved)",
     APPLY { return applySchedule(o, v); }},
    {"machine", 0, "KEY=X,...", Arity::One, compiling,
     "figures for the cost model instead of the CPU's, such as cores=16",
     APPLY { return applyMachine(o, v); }},
    {"dump-phases-to", 0, "DIR", Arity::One, compiling, "write one .mlir file a phase",
     TEXT(dumpDirectory)},
    {"stop-after", 0, "PHASE", Arity::One, on(Verb::Compile),
     "frontend, layer, buffers, loops, machine or object",
     APPLY { return applyPhase(o.stopAfter, v); }},
    {"no-cache", 0, "", Arity::None, compiling,
     "neither read nor write the cache of compiled layers", FLAG(noCache)},
};

llvm::ArrayRef<OptionSpec> ssmc::optionSpecs() { return specs; }

//===----------------------------------------------------------------------===//
// The parser
//===----------------------------------------------------------------------===//

namespace {
class Parser {
public:
  Parser(llvm::ArrayRef<const char *> arguments) : arguments(arguments) {}

  llvm::Expected<Options> run() {
    if (arguments.empty()) {
      printHelp(Verb::None, llvm::errs());
      return usageFailure("no verb given");
    }
    llvm::StringRef first = next();
    if (first == "--help" || first == "-h" || first == "help")
      return help(position < arguments.size() ? parseVerb(next()) : Verb::None);
    if (first == "--version" || first == "version") {
      printVersion();
      return Options();
    }
    options.verb = parseVerb(first);
    if (options.verb == Verb::None)
      return unknownVerb(first);
    while (position < arguments.size()) {
      llvm::StringRef argument = next();
      if (!literal && (argument == "--help" || argument == "-h"))
        return help(options.verb);
      if (!literal && argument == "--") {
        literal = true;
        continue;
      }
      if (llvm::Error error = parse(argument))
        return std::move(error);
    }
    if (llvm::Error error = check())
      return std::move(error);
    return std::move(options);
  }

private:
  llvm::StringRef next() { return arguments[position++]; }

  static llvm::Expected<Options> help(Verb verb) {
    printHelp(verb, llvm::outs());
    return Options();
  }

  static Verb parseVerb(llvm::StringRef text) {
    for (const VerbSpec &verb : verbSpecs())
      if (verb.name == text)
        return verb.verb;
    return Verb::None;
  }

  static llvm::Error unknownVerb(llvm::StringRef text) {
    std::vector<std::string> names;
    for (const VerbSpec &verb : verbSpecs())
      names.push_back(verb.name.str());
    return usageFailure("unknown verb '" + printable(text) + "'" +
                        didYouMean(text, names));
  }

  llvm::Error fail(const llvm::Twine &message) {
    return usageFailure(message, verbName(options.verb));
  }

  bool isKnown(const OptionSpec &spec) const {
    return spec.verbs & on(options.verb);
  }

  llvm::Error parse(llvm::StringRef argument) {
    if (literal || !argument.starts_with("-") || argument == "-") {
      if (options.source.empty() && options.verb != Verb::Doctor && !argument.empty()) {
        options.source = argument.str();
        return llvm::Error::success();
      }
      return fail("unexpected argument '" + printable(argument) + "'");
    }
    bool isLong = argument.starts_with("--");
    llvm::StringRef name = isLong ? argument.drop_front(2) : argument.substr(1, 1);
    std::optional<llvm::StringRef> value;
    if (isLong && name.contains('=')) {
      value = name.split('=').second;
      name = name.split('=').first;
    } else if (!isLong && argument.size() > 2) {
      value = argument.drop_front(2);
      value->consume_front("=");
    }
    for (const OptionSpec &spec : specs)
      if (isKnown(spec) && (isLong ? name == spec.name
                                   : spec.letter && name[0] == spec.letter))
        return apply(spec, isLong ? "--" + name.str() : "-" + name.str(), value);
    return unknownOption(argument, name);
  }

  llvm::Error unknownOption(llvm::StringRef argument, llvm::StringRef name) {
    std::vector<std::string> names;
    std::string other;
    for (const OptionSpec &spec : specs) {
      if (isKnown(spec))
        names.push_back(("--" + spec.name).str());
      else if (spec.name == name && argument.starts_with("--"))
        other = ": it belongs to another verb";
    }
    llvm::StringRef shown = argument.split('=').first;
    return fail("unknown option '" + printable(shown) + "'" +
                (other.empty() ? didYouMean(shown, names) : other));
  }

  llvm::Error apply(const OptionSpec &spec, llvm::StringRef shown,
                    std::optional<llvm::StringRef> value) {
    if (spec.arity == Arity::None && value)
      return fail("option '" + shown + "' takes no value; found '" + printable(*value) +
                  "'");
    if (spec.arity == Arity::One && !value) {
      if (position == arguments.size())
        return fail("option '" + shown + "' wants a value: " + spec.meta);
      value = next();
    }
    std::string wanted = spec.apply(options, value.value_or(""));
    if (!wanted.empty())
      return fail("option '" + shown + "' is '" + printable(*value) + "'; wanted " +
                  wanted);
    return llvm::Error::success();
  }

  llvm::Error check() {
    bool wantsSource = options.verb != Verb::Doctor && options.shippedSource.empty();
    if (wantsSource && options.source.empty())
      return fail("no SOURCE given: a .ssm file, an .mlir file or a model's directory");
    if (options.verb == Verb::Compile && options.output.empty() &&
        options.emit.empty() && options.header.empty() && options.stopAfter.empty())
      return fail("nothing to write: give -o FILE, --emit=WHAT or --header FILE");
    if (options.verb == Verb::Generate &&
        options.prompt.has_value() == !options.promptTokens.empty())
      return fail(options.prompt ? "both --prompt and --prompt-tokens given; wanted one"
                                 : "no prompt given: --prompt TEXT or "
                                   "--prompt-tokens FILE");
    if (options.init && !options.weights.empty())
      return fail("both --init and --weights given; wanted one");
    // Kernels alone are for a GPU, whether that is said or not.
    bool isKernel = llvm::is_contained({".ptx", ".cubin"},
                                       llvm::sys::path::extension(options.output)) ||
                    options.emit == "ptx" || options.emit == "cubin";
    if (isKernel && !options.targetGiven)
      options.target = "cuda";
    if (isKernel && options.target != "cuda")
      return fail("kernels are of --target cuda; found --target " + options.target);
    if (!options.gpu.empty() && !isForCUDA(options))
      return fail("--gpu is of --target cuda; found --target " + options.target);
    if (options.target == "cpu,cuda" && options.verb != Verb::Compile)
      return fail("--target cpu,cuda is of compile; wanted cpu or cuda");
    return llvm::Error::success();
  }

  llvm::ArrayRef<const char *> arguments;
  size_t position = 0;
  bool literal = false; // after "--"
  Options options;
};
} // namespace

llvm::Expected<Options> ssmc::parseOptions(llvm::ArrayRef<const char *> arguments) {
  return Parser(arguments).run();
}
