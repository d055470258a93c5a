//===- Help.cpp - --help and --version ------------------------------------===//

#include "Help.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/FormatVariadic.h"

using namespace ssmc;

static const VerbSpec verbs[] = {
    {Verb::Compile, "compile", "SOURCE -o FILE",
     "spec to artefact: object, library, assembly, MLIR, LLVM IR",
     "The kind of the artefact follows from the name's extension, or from --emit, "
     "which\nwrites to standard output without -o. A .so needs a linker (ld.lld or cc).",
     "ssmc compile mamba.ssm --layer Mamba --set D=768 -o mamba.so --header mamba.h"},
    {Verb::Run, "run", "SOURCE --input NAME=FILE --output NAME=FILE",
     "compile in memory and evaluate on .npy and .safetensors files",
     "Arrays are [batch, t..., channels...]; batch and length are what the files say.\n"
     "Without --output, a summary of each output is printed.",
     "ssmc run s4d.ssm --weights s4d.safetensors --input u=u.npy --output y=y.npy"},
    {Verb::Generate, "generate", "DIR --prompt TEXT -n N",
     "text from a language model, streaming to standard output",
     "Tokens per second go to standard error.",
     "ssmc generate examples/checkpoints/mamba-docs --prompt 'NAME' -n 200"},
    {Verb::Verify, "verify", "SOURCE",
     "compare every legal mode with the literal lowering in f64",
     "Weights and inputs are drawn with fixed seeds. Lengths are 0, 1, 2, 7, tiles and\n"
     "chunks with a token more or less, and several chunks; sequences are also cut in\n"
     "two with the state passed on, rows run alone, and threads must not change a bit.\n"
     "f32 in every mode and f64 in auto, or --dtype. Exit status 1 if a mode disagrees.",
     "ssmc verify retnet.ssm --layer RetNet"},
    {Verb::Bench, "bench", "SOURCE", "time every legal mode over lengths",
     "Modes and the machine's limits are measured in turns; the fastest call counts. GB/s\n"
     "are the bytes a call needs at least: tables of weights and the state once (step: for\n"
     "each token), inputs and outputs; caches may deliver faster than memory. Predicted are\n"
     "the clocks of one core that the cost model gives for the state blocks alone.",
     "ssmc bench mamba.ssm --layer Mamba --set D=768 --lengths 1K,4K"},
    {Verb::Inspect, "inspect", "SOURCE",
     "weights, inputs, outputs, states, classes and legal modes of a layer",
     "With files of weights, also the tensors in them that the layer does not read.",
     "ssmc inspect examples/checkpoints/mamba-docs"},
    {Verb::Doctor, "doctor", "", "what works on this machine, and what to install",
     "", "ssmc doctor"},
};

llvm::ArrayRef<VerbSpec> ssmc::verbSpecs() { return verbs; }

llvm::StringRef ssmc::verbName(Verb verb) {
  for (const VerbSpec &spec : verbs)
    if (spec.verb == verb)
      return spec.name;
  return "";
}

std::string ssmc::versionText() {
  return "ssmc " SSMC_VERSION " (LLVM " LLVM_VERSION_STRING ")";
}

void ssmc::printVersion() { llvm::outs() << versionText() << '\n'; }

static void printVerbs(llvm::raw_ostream &os) {
  os << "usage: ssmc VERB SOURCE [options]\n\n"
        "Compiles state space model layers to native code. SOURCE is a .ssm file, an\n"
        ".mlir file, or a Hugging Face model directory.\n\n";
  for (const VerbSpec &spec : verbs)
    os << llvm::formatv("  {0,-10}{1}\n", spec.name, spec.summary);
  os << "\nssmc VERB --help shows a verb's options and an example; ssmc --version the\n"
        "version.\n";
}

static void printOption(const OptionSpec &spec, llvm::raw_ostream &os) {
  std::string form = spec.letter ? std::string("-") + spec.letter + ", --" : "--";
  form += spec.name;
  if (spec.arity == OptionSpec::Arity::One)
    form += " " + spec.meta.str();
  else if (spec.arity == OptionSpec::Arity::Optional)
    form += "[=" + spec.meta.str() + "]";
  os << llvm::formatv("  {0,-24} {1}\n", form, spec.help);
}

void ssmc::printHelp(Verb verb, llvm::raw_ostream &os) {
  const VerbSpec *spec =
      llvm::find_if(verbs, [&](const VerbSpec &spec) { return spec.verb == verb; });
  if (spec == std::end(verbs))
    return printVerbs(os);
  os << "usage: ssmc " << spec->name << " " << spec->arguments
     << (spec->arguments.empty() ? "" : " ") << "[options]\n\n";
  std::string summary = spec->summary.str();
  summary[0] = llvm::toUpper(summary[0]);
  os << summary << ".\n" << spec->details << (spec->details.empty() ? "" : "\n")
     << "\noptions:\n";
  for (const OptionSpec &option : optionSpecs())
    if (option.verbs & (1u << unsigned(verb)))
      printOption(option, os);
  os << "  --help\n\nexample:\n  " << spec->example << '\n';
}
