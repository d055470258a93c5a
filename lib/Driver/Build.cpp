//===- Build.cpp - From a source to machine code --------------------------===//

#include "Build.h"
#include "Cache.h"
#include "Error.h"

#include "Target/NVPTX/Assembler.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Remarks.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "ssmc/InitAll.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/TargetParser/Host.h"

using namespace ssmc;

static bool isExecuting(const Options &options) {
  return options.verb == Verb::Run || options.verb == Verb::Generate ||
         options.verb == Verb::Verify || options.verb == Verb::Bench;
}

/// The GPU that this process will run on, where it does.
static std::vector<std::string> findGPU(const Options &options) {
  ssmrt_cuda_device device;
  // LLVM may not know the newest, which run what is for older ones.
  constexpr int newest = 121;
  if (options.target != "cuda" || !isExecuting(options) ||
      ssmrt_cuda_device_info(0, &device) != SSMRT_OK || device.arch > newest)
    return {};
  return {"sm_" + std::to_string(device.arch)};
}

llvm::Error ssmc::checkTarget(const Options &options) {
  int devices;
  if (options.target == "cuda" && isExecuting(options) &&
      ssmrt_cuda_device_count(&devices) != SSMRT_OK)
    return runtimeFailure("--target cuda: ");
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Set-up
//===----------------------------------------------------------------------===//

Build::Build(const Source &source, const WeightFiles &weights, const Options &options,
             BuildRequest request)
    : source(source), options(options), request(std::move(request)) {
  frontendOptions.layer = source.layer;
  frontendOptions.set = options.set;
  frontendOptions.config = source.config ? &*source.config : nullptr;
  frontendOptions.doublePrecision = this->request.doublePrecision;
  frontendOptions.testValues = this->request.testValues;
  frontendOptions.weightTypes = weights.types(options.weightsDType);
  frontendOptions.weightType = options.weightsDType;
  pipelineOptions.name = this->request.name;
  pipelineOptions.mode = this->request.mode;
  // For tests where no device is: kernels run on the CPU, a thread after the other.
  pipelineOptions.emulateKernels = options.target == "cuda-emulated";
  pipelineOptions.target = pipelineOptions.emulateKernels ? "cuda" : options.target;
  pipelineOptions.gpu = options.gpu.empty() ? findGPU(options) : options.gpu;
  // Of what is loaded where it was compiled the driver makes machine code itself.
  if (options.verb == Verb::Compile && !options.gpu.empty())
    pipelineOptions.assembler = nvptx::findAssembler();
  pipelineOptions.cpu = options.cpu;
  pipelineOptions.triple = options.triple;
  pipelineOptions.literal = this->request.literal;
  pipelineOptions.fastExp = options.fastExp;
  pipelineOptions.operandType = this->request.operandType;
  pipelineOptions.ioType = this->request.ioType;
  pipelineOptions.stateType = this->request.stateType;
  pipelineOptions.lastToken = this->request.lastToken;
  pipelineOptions.explain = options.explain;
  pipelineOptions.dumpDirectory = options.dumpDirectory;
  pipelineOptions.schedule = options.schedule;
  pipelineOptions.machine = options.machine;
  key = computeKey();
}

Build::~Build() = default;

/// Everything an object is made from.
std::string Build::computeKey() {
  CacheKey key;
  key.add(source.text).add(source.kind == Source::MLIR ? "mlir" : "ssm");
  key.add(frontendOptions.layer);
  for (const auto &[name, value] : frontendOptions.set)
    key.add(name).add(value);
  key.add("config");
  if (source.config)
    key.add(llvm::formatv("{0}", llvm::json::Value(llvm::json::Object(*source.config)))
                .str());
  key.add("types").add(options.weightsDType);
  for (const auto &[name, type] : frontendOptions.weightTypes)
    key.add(name).add(type);
  key.add("options").add(request.doublePrecision ? "f64" : "f32").add(request.ioType);
  key.add(request.stateType);
  key.add(request.testValues ? "test" : "").add(request.lastToken ? "last token" : "");
  key.add(pipelineOptions.mode);
  addTarget(key);
  pipelineOptions.hash = key.hash();
  return key.hex();
}

/// What the phases after the layer's read besides the module.
void Build::addTarget(CacheKey &key) {
  key.add(request.operandType).add(request.literal ? "literal" : "");
  key.add(pipelineOptions.name);
  key.add(pipelineOptions.fastExp ? "fast-exp" : "").add(pipelineOptions.triple);
  key.add(pipelineOptions.cpu).add(options.target);
  key.add(llvm::join(pipelineOptions.gpu, ",")).add(pipelineOptions.assembler);
  const ScheduleOptions &schedule = pipelineOptions.schedule;
  key.add(llvm::formatv("{0},{1},{2},{3},{4}", schedule.chunk, schedule.lanes,
                        schedule.segments, schedule.crossover, schedule.conv)
              .str());
  for (const auto &[name, value] : pipelineOptions.machine)
    key.add(name).add(std::to_string(value));
  if (pipelineOptions.cpu == "native") {
    key.add(llvm::sys::getHostCPUName());
    // A map without order: sort.
    std::vector<std::string> features;
    for (const auto &feature : llvm::sys::getHostCPUFeatures())
      if (feature.getValue())
        features.push_back(feature.getKey().str());
    llvm::sort(features);
    key.add(llvm::join(features, ","));
  }
}

CacheKey Build::computeProgramKey() {
  std::string text;
  llvm::raw_string_ostream os(text);
  module().print(os);
  CacheKey key;
  key.add("program").add(text);
  addTarget(key);
  return key;
}

namespace {
/// Prints each remark as a diagnostic at its place.
class PrintRemarks : public mlir::remark::detail::RemarkEmittingPolicyBase {
public:
  void reportRemark(const mlir::remark::detail::Remark &remark) override {
    mlir::emitRemark(remark.getLocation(), remark.getMsg());
  }
  void finalize() override {}
};
} // namespace

void Build::makeContext() {
  if (context)
    return;
  mlir::DialectRegistry registry;
  registerAll(registry);
  context = std::make_unique<mlir::MLIRContext>(registry);
  if (pipelineOptions.explain) // functions one after the other
    context->disableMultithreading();
  context->printOpOnDiagnostic(false);
  if (options.remarks && !request.quiet) {
    std::string filter = options.remarksFilter.empty() ? ".*" : options.remarksFilter;
    // They are printed like any other diagnostic: no streamer is needed.
    (void)mlir::remark::enableOptimizationRemarks(
        *context, nullptr, std::make_unique<PrintRemarks>(),
        {filter, filter, filter, filter, filter});
  }
  if (!request.quiet) {
    handler = std::make_shared<mlir::SourceMgrDiagnosticHandler>(sources, context.get(),
                                                                 llvm::errs());
    return;
  }
  handler = std::make_shared<mlir::ScopedDiagnosticHandler>(
      context.get(), [this](mlir::Diagnostic &diagnostic) {
        if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error)
          diagnostics += (diagnostics.empty() ? "" : "; ") + diagnostic.str();
        return mlir::success();
      });
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

llvm::Error Build::parseMLIR() {
  sources.AddNewSourceBuffer(source.buffer(), {});
  context->loadAllAvailableDialects();
  compiled.module =
      mlir::parseSourceFile<mlir::ModuleOp>(sources, mlir::ParserConfig(context.get()));
  if (!compiled.module)
    return reportedFailure();
  compiled.layer = "layer";
  compiled.module->walk([&](mlir::Operation *op) {
    if (auto name = op->getAttrOfType<mlir::StringAttr>("ssm.layer"))
      compiled.layer = name.str();
  });
  return llvm::Error::success();
}

llvm::Error Build::runFrontend() {
  if (compiled.module)
    return llvm::Error::success();
  makeContext();
  if (source.kind == Source::MLIR)
    return parseMLIR();
  llvm::raw_string_ostream text(diagnostics);
  llvm::raw_ostream &os = request.quiet ? static_cast<llvm::raw_ostream &>(text)
                                        : llvm::errs();
  compiled = compileSource(*context, sources, source.buffer(), frontendOptions, os);
  if (!compiled.module)
    return reportedFailure();
  return llvm::Error::success();
}

llvm::Error Build::lower(Phase phase) {
  if (llvm::Error error = runFrontend())
    return error;
  if (!options.dumpDirectory.empty())
    if (std::error_code error = llvm::sys::fs::create_directories(options.dumpDirectory))
      return failure(options.dumpDirectory + ": " + error.message());
  pipelineOptions.stopAfter = phase;
  if (mlir::failed(runPipeline(module(), pipelineOptions)))
    return reportedFailure();
  if (phase >= Phase::Layer) { // settled: the module has it
    pipelineOptions.mode = "auto";
    pipelineOptions.lastToken = false;
    pipelineOptions.ioType.clear();
    pipelineOptions.stateType.clear();
  }
  return llvm::Error::success();
}

llvm::Expected<std::unique_ptr<llvm::Module>> Build::makeLLVM() {
  if (llvm::Error error = lower(Phase::Object))
    return std::move(error);
  auto result = translateToLLVM(module(), llvmContext, pipelineOptions);
  if (!result)
    return reportedFailure();
  return std::move(result);
}

llvm::Expected<std::string> Build::makePTX() {
  if (llvm::Error error = lower(Phase::Object))
    return std::move(error);
  auto ptx = emitPTX(module(), pipelineOptions);
  if (failed(ptx))
    return reportedFailure();
  return std::move(*ptx);
}

llvm::Error Build::emit(llvm::Module &module, MachineFormat format,
                        llvm::SmallVectorImpl<char> &out) {
  if (mlir::failed(emitMachineCode(module, pipelineOptions, format, out)))
    return reportedFailure();
  return llvm::Error::success();
}

llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> Build::makeObject() {
  // What is printed or written on the way happens only if the way is gone.
  bool useCache = !options.noCache && options.dumpDirectory.empty() &&
                  (request.quiet || (!options.explain && !options.remarks));
  // Drawn weights come from the front end, which is the cheap part.
  if (request.needsInitializers)
    if (llvm::Error error = runFrontend())
      return std::move(error);
  if (useCache)
    if (auto object = readCache(key))
      return std::move(object);
  // Sources and modes that become the same program share its object. A file of MLIR may be
  // of a later phase.
  llvm::SmallVector<std::string, 2> names = {key};
  if (source.kind != Source::MLIR) {
    if (llvm::Error error = lower(Phase::Layer))
      return std::move(error);
    CacheKey program = computeProgramKey();
    pipelineOptions.hash = program.hash();
    names.push_back(program.hex());
    if (useCache)
      if (auto object = readCache(names.back())) {
        writeCache(key, object->getBuffer());
        return std::move(object);
      }
  }
  auto module = makeLLVM();
  if (!module)
    return module.takeError();
  llvm::SmallVector<char, 0> object;
  if (llvm::Error error = emit(**module, MachineFormat::Object, object))
    return std::move(error);
  llvm::StringRef bytes(object.data(), object.size());
  if (useCache)
    for (llvm::StringRef name : names)
      writeCache(name, bytes);
  return llvm::MemoryBuffer::getMemBufferCopy(bytes, source.name + ".o");
}
