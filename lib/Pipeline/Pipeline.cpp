//===- Pipeline.cpp - The phases of a compilation -------------------------===//

#include "ssmc/Pipeline/Pipeline.h"
#include "Describe.h"
#include "Rewrites.h"

#include "Target/CPU/ExpandMath.h"
#include "Target/CPU/Passes.h"
#include "Target/CPU/Target.h"
#include "Target/NVPTX/FourierBlock.h"
#include "Target/NVPTX/Machine.h"
#include "Target/NVPTX/Passes.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/DLTI/DLTI.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "ssm/Analysis/Machine.h"
#include "ssm/Transforms/Passes.h"
#include "ssmc/Conversion/Passes.h"
#include "ssmc/Transforms/Passes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace mlir;
using namespace ssmc;

namespace {
struct PhaseInfo {
  llvm::StringRef name, summary;
};
} // namespace

static const PhaseInfo phases[] = {
#define PHASE(NAME, TEXT, SUMMARY) {TEXT, SUMMARY},
#include "ssmc/Pipeline/Phases.def"
};

llvm::StringRef ssmc::phaseName(Phase phase) { return phases[int(phase)].name; }
llvm::StringRef ssmc::phaseSummary(Phase phase) { return phases[int(phase)].summary; }

/// Whether forward and step are for a GPU; the literal lowering is always for the CPU.
static bool isCUDA(const PipelineOptions &options) {
  return options.target == "cuda" && !options.literal;
}

/// Columns of a panel of weights for a GPU: those of a tile of products. Tensor cores take
/// rows of 16-bit numbers as they are, from multiples of 16 bytes on.
constexpr int64_t kGPUPanelColumns = 64, kTensorColumns = 1, kTensorDepth = 8;
/// Tables of chunks are of single channels, one number after the other.
constexpr int64_t kGPUTableBits = 32;

/// A number of a system's state, f64.
constexpr int64_t kSystemBits = 64;

/// ssm to ssm: what is computed where. The literal lowering skips every
/// optimisation, so that it can judge them.
static void buildLayerPipeline(OpPassManager &pm, const PipelineOptions &options,
                               const CPUTarget &target) {
  pm.addPass(ssm::createExpandDiscretizePass());
  pm.addPass(createCanonicalizerPass());
  ssm::SelectModesPassOptions modes;
  modes.mode = options.mode;
  modes.explain = options.explain;
  modes.chunk = options.schedule.chunk;
  modes.lanes = options.schedule.lanes;
  modes.segments = options.schedule.segments;
  modes.crossover = options.schedule.crossover;
  modes.convolution = options.schedule.conv;
  pm.addNestedPass<func::FuncOp>(ssm::createSelectModesPass(modes));
  pm.addNestedPass<func::FuncOp>(ssm::createExpandQuadraticPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  if (!options.literal) {
    // Before values are computed once: kernels are computed in f64 from weights. On a GPU
    // systems do not lie side by side in vectors, and what their states are is known in its
    // memory only, but for those of the first token.
    ssm::ConvolveScansPassOptions convolve;
    convolve.vectorBits = isCUDA(options) ? kSystemBits : target.vectorBits;
    convolve.convolution = options.schedule.conv;
    convolve.byPosition = isCUDA(options);
    pm.addNestedPass<func::FuncOp>(ssm::createConvolveScansPass(convolve));
    ssm::FuseElementwisePassOptions elementwise;
    elementwise.narrows = isCUDA(options);
    pm.addNestedPass<func::FuncOp>(ssm::createFuseElementwisePass(elementwise));
    pm.addNestedPass<func::FuncOp>(ssm::createHoistInvariantsPass());
    ssm::PackWeightsPassOptions pack;
    pack.panelColumns = target.vectorBits == 512 ? 32 : 16;
    pack.operandType = options.operandType;
    pack.depthMultiple = target.bf16 == cpu::BF16Unit::Tiles ? 32 : 2;
    if (isCUDA(options)) {
      pack.panelColumns = options.operandType.empty() ? kGPUPanelColumns : kTensorColumns;
      pack.depthMultiple = options.operandType.empty() ? 2 : kTensorDepth;
    }
    pm.addNestedPass<func::FuncOp>(ssm::createPackWeightsPass(pack));
    pm.addNestedPass<func::FuncOp>(ssm::createReadPackedWeightsPass());
    pm.addNestedPass<func::FuncOp>(ssm::createFuseScansPass());
    ssm::FuseEpiloguesPassOptions epilogues;
    epilogues.narrows = isCUDA(options);
    pm.addNestedPass<func::FuncOp>(ssm::createFuseEpiloguesPass(epilogues));
    // What an epilogue of its own had read besides is now the scan's alone.
    pm.addNestedPass<func::FuncOp>(ssm::createFuseScansPass());
    if (isCUDA(options))
      pm.addNestedPass<func::FuncOp>(ssm::createRoundOperandsPass());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
    ssm::TabulateChunksPassOptions tables;
    tables.vectorBits = isCUDA(options) ? kGPUTableBits : target.vectorBits;
    pm.addNestedPass<func::FuncOp>(ssm::createTabulateChunksPass(tables));
    if (options.schedule.conv != "direct" && !options.emulateKernels) {
      ssm::PrepareSpectraPassOptions spectra;
      spectra.vectorBits = target.vectorBits;
      if (isCUDA(options)) {
        spectra.block = nvptx::FourierBlock::kPoints;
        spectra.threads = nvptx::FourierBlock::kThreads;
      }
      pm.addNestedPass<func::FuncOp>(ssm::createPrepareSpectraPass(spectra));
    }
  }
  pm.addPass(ssm::createSplitPreparePass());
  if (isCUDA(options) && !options.emulateKernels)
    pm.addPass(nvptx::createSplitPreparePass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

/// Tensors to memory: every temporary in one arena, arguments in the frame.
static void buildBuffersPipeline(OpPassManager &pm, const PipelineOptions &options) {
  if (!options.literal) {
    ssm::FuseStatesPassOptions states;
    states.histories = isCUDA(options);
    pm.addNestedPass<func::FuncOp>(ssm::createFuseStatesPass(states));
  }
  pm.addNestedPass<func::FuncOp>(createJoinBranchesPass());
  pm.addNestedPass<func::FuncOp>(createSplitDestinationsPass());
  // What becomes a part of a larger tensor is written there at once.
  pm.addPass(bufferization::createEmptyTensorEliminationPass());
  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  bufferize.functionBoundaryTypeConversion =
      bufferization::LayoutMapOption::IdentityLayoutMap;
  pm.addPass(bufferization::createOneShotBufferizePass(bufferize));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(memref::createFoldMemRefAliasOpsPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

/// Functions whose memory is the device's.
static void markHostFunctions(ModuleOp module) {
  for (llvm::StringRef name : {"forward", "step", "prepare_on_device"})
    if (auto function = module.lookupSymbol<func::FuncOp>(name))
      function->setAttr(nvptx::kHostAttr, UnitAttr::get(module.getContext()));
}

static void buildPlanPipeline(OpPassManager &pm) {
  pm.addNestedPass<func::FuncOp>(createPlanMemoryPass());
}

static void buildLoopsPipeline(OpPassManager &pm, const PipelineOptions &options,
                               const CPUTarget &target) {
  pm.addNestedPass<func::FuncOp>(cpu::createBindFramePass());
  if (isCUDA(options)) {
    OpPassManager &function = pm.nest<func::FuncOp>();
    nvptx::LowerOpsPassOptions lowering;
    lowering.cooperative = !options.emulateKernels;
    lowering.operandType = options.operandType;
    lowering.warpgroups = lowering.cooperative && nvptx::haveWarpgroups(options.gpu);
    lowering.sharedBytes = nvptx::getSharedBytes(options.gpu);
    function.addPass(nvptx::createLowerOpsPass(lowering));
    function.addPass(createCanonicalizerPass());
    function.addPass(createCSEPass());
    function.addPass(nvptx::createMapLoopsPass());
    pm.addPass(nvptx::createOutlineKernelsPass());
    if (options.emulateKernels)
      pm.addPass(nvptx::createEmulateKernelsPass());
  }
  if (!options.literal) {
    cpu::LowerToCPUPassOptions vectors;
    vectors.vectorBits = target.vectorBits;
    vectors.prefetchBytes = target.prefetchBytes;
    pm.addNestedPass<func::FuncOp>(cpu::createLowerToCPUPass(vectors));
    cpu::LowerMatmulPassOptions products;
    products.vectorBits = target.vectorBits;
    products.vectorRegisters = target.vectorRegisters;
    products.prefetchBytes = target.prefetchBytes;
    products.bf16Unit = target.bf16 == cpu::BF16Unit::Tiles ? "tiles"
                        : target.bf16 == cpu::BF16Unit::Dot ? "dot"
                                                            : "none";
    pm.addPass(cpu::createLowerMatmulPass(products));
  }
  // Whatever has no vector form takes the literal one.
  pm.addPass(createConvertSSMToSCFPass());
  pm.addNestedPass<func::FuncOp>(createExpandCopiesPass());
  pm.addNestedPass<func::FuncOp>(createConvertLinalgToLoopsPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

/// Kernels to the LLVM and NVVM dialects, launches to calls of the runtime.
static void buildKernelPipeline(OpPassManager &pm, const PipelineOptions &options) {
  pm.addPass(nvptx::createLowerLaunchesPass());
  OpPassManager &kernels = pm.nest<gpu::GPUModuleOp>();
  kernels.addPass(createCanonicalizerPass());
  kernels.addPass(createCSEPass());
  nvptx::ExpandMathPassOptions math;
  math.fastExp = options.fastExp;
  kernels.addPass(nvptx::createExpandMathPass(math));
  kernels.addPass(memref::createExpandStridedMetadataPass());
  kernels.addPass(createLowerAffinePass());
  kernels.addPass(createLoopInvariantCodeMotionPass());
  kernels.addPass(createCanonicalizerPass());
  kernels.addPass(createCSEPass());
  kernels.addPass(createSCFToControlFlowPass());
  ConvertGpuOpsToNVVMOpsOptions nvvm;
  nvvm.indexBitwidth = 64;
  kernels.addPass(createConvertGpuOpsToNVVMOps(nvvm));
}

/// Loops to the LLVM dialect.
static void buildMachinePipeline(OpPassManager &pm, const PipelineOptions &options,
                                 const CPUTarget &target) {
  if (isCUDA(options) && !options.emulateKernels)
    buildKernelPipeline(pm, options);
  if (!options.literal) {
    cpu::ExpandMathPassOptions math;
    math.fastExp = options.fastExp;
    math.avx512 = target.avx512;
    pm.addPass(cpu::createExpandMathPass(math));
  }
  pm.addPass(cpu::createOutlineTasksPass());
  // Function by function, in parallel.
  OpPassManager &function = pm.nest<func::FuncOp>();
  function.addPass(createConvertVectorToSCFPass());
  function.addPass(createExpandRowsPass());
  function.addPass(memref::createExpandStridedMetadataPass());
  function.addPass(createLowerAffinePass());
  function.addPass(createLoopInvariantCodeMotionPass());
  function.addPass(createCanonicalizerPass());
  function.addPass(createCSEPass());
  function.addPass(createSCFToControlFlowPass());
  function.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertMathToLibmPass());
  pm.nest<func::FuncOp>().addPass(createConvertVectorToLLVMPass());
  // One conversion for what is left: each walks the whole module.
  ConvertToLLVMPassOptions rest;
  rest.allowPatternRollback = false;
  pm.addPass(createConvertToLLVMPass(rest));
  pm.addPass(createReconcileUnrealizedCastsPass());
  pm.addPass(createCSEPass());
}

static LogicalResult dump(ModuleOp module, Phase phase, llvm::StringRef directory) {
  llvm::SmallString<128> path(directory);
  llvm::sys::path::append(path, llvm::Twine(int(phase) + 1) + "-" + phaseName(phase) +
                                    ".mlir");
  std::error_code error = llvm::sys::fs::create_directories(directory);
  if (!error) {
    llvm::ToolOutputFile file(path, error, llvm::sys::fs::OF_Text);
    if (!error) {
      module.print(file.os());
      file.keep();
      return success();
    }
  }
  return module.emitError("cannot write ") << path << ": " << error.message();
}

/// The figures that the cost model reads: those of the CPU or the GPU, unless the module
/// brings its own; then those of the options.
static LogicalResult describeMachine(ModuleOp module, const PipelineOptions &options,
                                     const CPUTarget &target) {
  constexpr llvm::StringLiteral name = DLTIDialect::kTargetSystemDescAttrName;
  // Where results are bf16, products of bf16 lose nothing.
  bool roundsTables = options.ioType == "bf16" && !options.emulateKernels;
  ssm::Machine machine = module->hasAttr(name) ? ssm::Machine::get(module)
                         : isCUDA(options)
                             ? nvptx::getMachine(options.getGPU(), roundsTables)
                             : target.getMachine();
  for (const auto &[key, value] : options.machine)
    if (!machine.set(key, value))
      return module.emitError("'")
             << key << "' is no figure of a machine; there are "
             << llvm::join(ssm::Machine::keys(), ", ");
  module->setAttr(name, machine.toAttribute(module.getContext(),
                                            isCUDA(options) ? ssm::Machine::gpuDevice
                                                            : ssm::Machine::cpuDevice));
  return success();
}

/// The last phase that a module has been through, which it carries as an attribute so
/// that a dumped file goes on from there; a module without one comes from the front
/// end or from a hand.
static FailureOr<Phase> phaseOf(ModuleOp module) {
  auto name = module->getAttrOfType<StringAttr>("ssm.phase");
  if (!name)
    return Phase::Frontend;
  for (Phase phase : {Phase::Frontend, Phase::Layer, Phase::Buffers, Phase::Loops,
                      Phase::Machine})
    if (name == phaseName(phase))
      return phase;
  return module.emitError("ssm.phase is '") << name.getValue() << "', which is no phase";
}

/// Whether what the options ask for can still be done to a module of a later phase;
/// gives it their name.
static LogicalResult resume(ModuleOp module, Phase done, const PipelineOptions &options) {
  if (done > options.stopAfter)
    return module.emitError("the file is of phase '")
           << phaseName(done) << "', later than the '" << phaseName(options.stopAfter)
           << "' asked for";
  if (done >= Phase::Layer &&
      (options.mode != "auto" || options.lastToken || !options.ioType.empty() ||
       !options.stateType.empty()))
    return module.emitError("the file is of phase '")
           << phaseName(done) << "': its mode, its results and their types are settled";
  if (done < Phase::Buffers)
    return success();
  auto description = module->getAttrOfType<DictionaryAttr>("ssm.module");
  if (!description)
    return module.emitError("a module of phase '")
           << phaseName(done) << "' has a description in 'ssm.module'; found none";
  NamedAttrList fields(description);
  fields.set("name", StringAttr::get(module.getContext(), options.name));
  module->setAttr("ssm.module", fields.getDictionary(module.getContext()));
  return success();
}

LogicalResult ssmc::runPipeline(ModuleOp module, const PipelineOptions &options) {
  FailureOr<CPUTarget> target = CPUTarget::get(options.triple, options.cpu);
  if (failed(target))
    return module.emitError("'") << options.cpu << "' is not a CPU of '"
                                 << (options.triple.empty() ? "this machine"
                                                            : options.triple)
                                 << "'";
  FailureOr<Phase> done = phaseOf(module);
  if (failed(done) || failed(resume(module, *done, options)))
    return failure();
  auto run = [&](llvm::function_ref<void(OpPassManager &)> build) {
    PassManager pm(module.getContext());
    (void)applyPassManagerCLOptions(pm); // fails where a tool has none
    build(pm);
    // Verifying after every pass is a quarter of the time; once a phase finds the
    // phase, and builds with assertions find the pass.
#ifdef NDEBUG
    pm.enableVerifier(false);
#endif
    return success(succeeded(pm.run(module)) && succeeded(verify(module)));
  };
  auto lower = [&](Phase phase) -> LogicalResult {
    switch (phase) {
    case Phase::Frontend:
      if (failed(describeMachine(module, options, *target)))
        return failure();
      annotateIndexLimits(module);
      if (failed(annotateLongest(module)))
        return failure();
      if (options.lastToken)
        keepLastToken(module);
      if (!options.ioType.empty())
        narrowTensors(module, options.ioType);
      if (!options.stateType.empty())
        narrowStates(module, options.stateType);
      return success();
    case Phase::Layer:
      return run([&](OpPassManager &pm) { buildLayerPipeline(pm, options, *target); });
    case Phase::Buffers:
      if (failed(describeModule(module, options)))
        return failure();
      if (isCUDA(options))
        markHostFunctions(module);
      if (failed(run([&](OpPassManager &pm) {
            buildBuffersPipeline(pm, options);
            buildPlanPipeline(pm);
          })))
        return failure();
      describeWorkspaces(module);
      return success();
    case Phase::Loops:
      return run([&](OpPassManager &pm) { buildLoopsPipeline(pm, options, *target); });
    case Phase::Machine:
      return run([&](OpPassManager &pm) { buildMachinePipeline(pm, options, *target); });
    case Phase::Object:
      break;
    }
    return success();
  };
  for (Phase phase : {Phase::Frontend, Phase::Layer, Phase::Buffers, Phase::Loops,
                      Phase::Machine}) {
    if (phase > options.stopAfter)
      break;
    // What the first phase does here it may do again.
    if (phase < *done || (phase == *done && phase != Phase::Frontend))
      continue;
    if (failed(lower(phase)))
      return failure();
    module->setAttr("ssm.phase", StringAttr::get(module.getContext(), phaseName(phase)));
    if (!options.dumpDirectory.empty() &&
        failed(dump(module, phase, options.dumpDirectory)))
      return failure();
  }
  return success();
}
