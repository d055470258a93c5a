//===- Compile.cpp - ssmc compile -----------------------------------------===//

#include "Build.h"
#include "Embed.h"
#include "Error.h"
#include "Files.h"
#include "Link.h"
#include "Progress.h"
#include "Verbs.h"

#include "Target/CPU/ModuleDescription.h"
#include "Target/NVPTX/Assembler.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace ssmc;

namespace {
/// What is written.
enum class Kind {
  None, AST, MLIR, PTX, Cubin, LLVM, Assembly, Object, Archive, Shared
};
struct Artefact {
  Kind kind = Kind::None;
  Phase phase = Phase::Frontend; // of MLIR
};
} // namespace

static std::optional<Phase> findPhase(llvm::StringRef name) {
#define PHASE(NAME, TEXT, SUMMARY)                                                       \
  if (name == TEXT)                                                                      \
    return Phase::NAME;
#include "ssmc/Pipeline/Phases.def"
  return std::nullopt;
}

static llvm::Expected<Artefact> artefactOf(const Options &options) {
  if (!options.stopAfter.empty()) {
    if (!options.emit.empty())
      return usageFailure("both --emit and --stop-after given; wanted one", "compile");
    Phase phase = *findPhase(options.stopAfter);
    // The phase after the last one that has MLIR is the object itself.
    return phase == Phase::Object ? Artefact{Kind::Object, phase}
                                  : Artefact{Kind::MLIR, phase};
  }
  if (!options.emit.empty()) {
    Kind kind = llvm::StringSwitch<Kind>(options.emit)
                    .Case("ast", Kind::AST)
                    .Cases({"ssm", "mlir"}, Kind::MLIR)
                    .Case("llvm", Kind::LLVM)
                    .Case("asm", Kind::Assembly)
                    .Cases({"obj", "object"}, Kind::Object)
                    .Case("ptx", Kind::PTX)
                    .Case("cubin", Kind::Cubin)
                    .Default(Kind::None);
    if (kind != Kind::None)
      return Artefact{kind, Phase::Frontend};
    if (auto phase = findPhase(options.emit))
      return Artefact{Kind::MLIR, *phase};
    std::string phases;
#define PHASE(NAME, TEXT, SUMMARY) phases += ", " TEXT;
#include "ssmc/Pipeline/Phases.def"
    return usageFailure("option '--emit' is '" + printable(options.emit) +
                            "'; wanted ast, ssm, mlir, llvm, asm, obj, ptx, cubin" + phases,
                        "compile");
  }
  if (options.output.empty())
    return Artefact();
  llvm::StringRef extension = llvm::sys::path::extension(options.output);
  Kind kind = llvm::StringSwitch<Kind>(extension)
                  .Case(".mlir", Kind::MLIR)
                  .Case(".ll", Kind::LLVM)
                  .Case(".s", Kind::Assembly)
                  .Case(".o", Kind::Object)
                  .Case(".a", Kind::Archive)
                  .Case(".so", Kind::Shared)
                  .Case(".ptx", Kind::PTX)
                  .Case(".cubin", Kind::Cubin)
                  .Default(Kind::None);
  if (kind != Kind::None)
    return Artefact{kind, Phase::Frontend};
  return usageFailure("option '-o' is '" + printable(options.output) +
                          "'; wanted a name that ends in .o, .a, .so, .s, .ll, "
                          ".mlir, .ptx or .cubin, or --emit=WHAT",
                      "compile");
}

/// NAME of NAME_module: as asked for, or after the file.
static llvm::Expected<std::string> exportedName(const Options &options) {
  std::string name = options.name;
  if (name.empty()) {
    const std::string &file = options.output.empty() ? options.header : options.output;
    name = llvm::sys::path::stem(file.empty() || file == "-" ? options.source : file)
               .str();
    for (char &c : name)
      if (!llvm::isAlnum(c))
        c = '_';
    if (name.empty() || llvm::isDigit(name[0]))
      name = "layer_" + name;
    return name;
  }
  bool isIdentifier = !llvm::isDigit(name[0]) && llvm::all_of(name, [](char c) {
                        return llvm::isAlnum(c) || c == '_';
                      });
  if (!isIdentifier)
    return usageFailure("option '--name' is '" + printable(name) +
                            "'; wanted a C identifier",
                        "compile");
  return name;
}

/// The function by which a shared object of one layer is found without its name.
static void exportUnderCommonName(llvm::Module &module, llvm::StringRef name) {
  if (llvm::Function *function = module.getFunction((name + "_module").str()))
    llvm::GlobalAlias::create(llvm::GlobalValue::ExternalLinkage, "ssmrt_modules",
                              function);
}

static bool isMachineCode(Kind kind) { return kind >= Kind::LLVM; }

/// The kernels alone: text, or machine code for one GPU.
static llvm::Expected<std::string> makeKernels(Build &build, Kind kind) {
  const PipelineOptions &pipeline = build.pipeline();
  auto ptx = build.makePTX();
  if (!ptx || kind == Kind::PTX)
    return ptx;
  std::string gpu = pipeline.gpu.empty() ? "sm_80" : pipeline.gpu.front();
  auto code = nvptx::assemble(*ptx, gpu, nvptx::findAssembler());
  if (!code)
    return failure(llvm::toString(code.takeError()));
  return code;
}

static llvm::Error checkKernels(Kind kind, const Options &options) {
  if ((kind == Kind::PTX || kind == Kind::Cubin) && options.gpu.size() > 1)
    return usageFailure("kernels alone are for one GPU; found --gpu " +
                            llvm::join(options.gpu, ","),
                        "compile");
  bool wantsCode = kind == Kind::Cubin || (isMachineCode(kind) && !options.gpu.empty());
  if (!wantsCode || !nvptx::findAssembler().empty())
    return llvm::Error::success();
  llvm::StringRef wanted = "no ptxas found: wanted it on the PATH, or in the folder bin of "
                           "CUDA_HOME or CUDA_PATH";
  if (kind == Kind::Cubin)
    return failure(wanted + "; a .ptx needs none");
  warn(wanted + "; the artefact has PTX for " + options.gpu.front() +
       " alone, which the driver compiles when it is loaded");
  return llvm::Error::success();
}

/// The layer for the CPU with the same layer for CUDA in it.
static llvm::Error addCUDA(Build &build, llvm::Module &module, llvm::StringRef name,
                           const WeightFiles &weights, Options options) {
  options.target = "cuda";
  BuildRequest request(options);
  request.name = (name + "_cuda").str();
  request.lastToken = options.lastToken;
  Build other(build.getSource(), weights, options, request);
  auto cuda = other.makeLLVM();
  if (!cuda)
    return cuda.takeError();
  if (!joinModules(module, name, **cuda, request.name))
    return failure("the code for the CPU and the code for CUDA cannot be linked");
  return llvm::Error::success();
}

static llvm::Expected<std::string> makeMachineCode(Build &build, Kind kind,
                                                   llvm::StringRef name,
                                                   const WeightFiles &weights,
                                                   const Options &options) {
  auto module = build.makeLLVM();
  if (!module)
    return module.takeError();
  if (options.target == "cpu,cuda")
    if (llvm::Error error = addCUDA(build, **module, name, weights, options))
      return std::move(error);
  if (options.embedWeights)
    if (llvm::Error error = embedWeights(build, **module, weights, options.init))
      return std::move(error);
  if (kind == Kind::Shared)
    exportUnderCommonName(**module, name);
  std::string text;
  if (kind == Kind::LLVM) {
    llvm::raw_string_ostream os(text);
    (*module)->print(os, nullptr);
    return text;
  }
  llvm::SmallVector<char, 0> bytes;
  MachineFormat format =
      kind == Kind::Assembly ? MachineFormat::Assembly : MachineFormat::Object;
  if (llvm::Error error = build.emit(**module, format, bytes))
    return std::move(error);
  llvm::StringRef object(bytes.data(), bytes.size());
  if (kind == Kind::Archive)
    return makeArchive(object, name);
  if (kind == Kind::Shared)
    return linkShared(object, build.pipeline().triple);
  return object.str();
}

static llvm::Expected<std::string> makeText(const Source &source, Build &build,
                                            const Artefact &artefact,
                                            llvm::StringRef name,
                                            const WeightFiles &weights,
                                            const Options &options) {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (artefact.kind == Kind::AST) {
    llvm::SourceMgr sources;
    if (source.kind != Source::Text)
      return failure(source.name + ": --emit=ast wants a .ssm file");
    if (mlir::failed(printTree(sources, source.buffer(), os, llvm::errs())))
      return reportedFailure();
    return text;
  }
  if (artefact.kind == Kind::PTX || artefact.kind == Kind::Cubin)
    return makeKernels(build, artefact.kind);
  if (artefact.kind != Kind::MLIR)
    return makeMachineCode(build, artefact.kind, name, weights, options);
  if (llvm::Error error = artefact.phase == Phase::Frontend ? build.runFrontend()
                                                            : build.lower(artefact.phase))
    return std::move(error);
  build.module().print(os);
  return text;
}

llvm::Error ssmc::runCompile(const Options &options) {
  auto artefact = artefactOf(options);
  if (!artefact)
    return artefact.takeError();
  auto name = exportedName(options);
  if (!name)
    return name.takeError();
  if (llvm::Error error = checkTarget(options))
    return error;
  if (llvm::Error error = checkKernels(artefact->kind, options))
    return error;
  if (options.target == "cpu,cuda" && artefact->kind == Kind::MLIR)
    return usageFailure("--target cpu,cuda is of artefacts with machine code: .o, .a, .so, "
                        ".s or .ll; MLIR has one target",
                        "compile");
  if (options.embedWeights && !isMachineCode(artefact->kind))
    return usageFailure("--embed-weights wants an artefact with machine code: -o with "
                        ".o, .a, .so, .s or .ll",
                        "compile");
  if (options.init && !options.embedWeights)
    return usageFailure("--init draws weights for --embed-weights, which is not given",
                        "compile");
  if (!options.header.empty() && options.header == options.output)
    return failure(options.header + ": is given for two files, -o and --header");
  bool toFile = !options.output.empty() && options.output != "-";
  for (const std::string *file : {&options.output, &options.header})
    if (!file->empty() && *file != "-")
      if (llvm::Error error = checkWritable(*file))
        return error;
  auto source = readSource(options);
  if (!source)
    return source.takeError();
  auto weights = WeightFiles::open(source->weightFiles, options.prefix);
  if (!weights)
    return weights.takeError();
  BuildRequest request(options);
  request.name = *name;
  request.lastToken = options.lastToken;

  OutputFiles files;
  std::optional<Progress> progress(std::in_place, "compiling " + source->name);
  if (!options.header.empty()) {
    // Lowering consumes the module: the description comes from a run of its own.
    Build described(*source, *weights, options, request);
    described.pipeline().explain = false;
    described.pipeline().dumpDirectory.clear();
    auto text = makeHeader(described, *name, options.embedWeights);
    if (!text)
      return text.takeError();
    if (llvm::Error error = files.add(options.header, *text))
      return error;
  }
  if (artefact->kind != Kind::None) {
    Build build(*source, *weights, options, request);
    auto text = makeText(*source, build, *artefact, *name, *weights, options);
    if (!text)
      return text.takeError();
    progress.reset(); // the text may go to the same terminal
    if (!toFile)
      llvm::outs() << *text;
    else if (llvm::Error error =
                 files.add(options.output, *text, artefact->kind == Kind::Shared))
      return error;
  }
  return files.commit();
}
