//===- Pipeline.cpp - The phases of a compilation -------------------------===//

#include "ssmc/Pipeline/Pipeline.h"
#include "Describe.h"
#include "Rewrites.h"

#include "Target/CPU/ExpandMath.h"
#include "Target/CPU/Passes.h"
#include "Target/CPU/Target.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "ssm/Transforms/Passes.h"
#include "ssmc/Conversion/Passes.h"
#include "ssmc/Transforms/Passes.h"
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

/// ssm to ssm: what is computed where. The literal lowering skips every
/// optimisation, so that it can judge them.
static void buildLayerPipeline(OpPassManager &pm, const PipelineOptions &options,
                               const CPUTarget &target) {
  pm.addPass(ssm::createExpandDiscretizePass());
  pm.addPass(createCanonicalizerPass());
  ssm::SelectModesPassOptions modes;
  modes.mode = options.mode;
  modes.explain = options.explain;
  pm.addNestedPass<func::FuncOp>(ssm::createSelectModesPass(modes));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  if (!options.literal) {
    pm.addNestedPass<func::FuncOp>(ssm::createFuseElementwisePass());
    pm.addNestedPass<func::FuncOp>(ssm::createHoistInvariantsPass());
    ssm::PackWeightsPassOptions pack;
    pack.panelColumns = target.vectorBits == 512 ? 32 : 16;
    pack.operandType = options.operandType;
    pack.depthMultiple = target.bf16 == cpu::BF16Unit::Tiles ? 32 : 2;
    pm.addNestedPass<func::FuncOp>(ssm::createPackWeightsPass(pack));
    pm.addNestedPass<func::FuncOp>(ssm::createFuseScansPass());
    pm.addNestedPass<func::FuncOp>(ssm::createFuseEpiloguesPass());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
  }
  pm.addPass(ssm::createSplitPreparePass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

/// Tensors to memory: every temporary in one arena, arguments in the frame.
static void buildBuffersPipeline(OpPassManager &pm) {
  pm.addNestedPass<func::FuncOp>(createSplitDestinationsPass());
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

static void buildPlanPipeline(OpPassManager &pm) {
  pm.addNestedPass<func::FuncOp>(createPlanMemoryPass());
}

static void buildLoopsPipeline(OpPassManager &pm, const PipelineOptions &options,
                               const CPUTarget &target) {
  pm.addNestedPass<func::FuncOp>(cpu::createBindFramePass());
  if (!options.literal) {
    cpu::LowerToCPUPassOptions vectors;
    vectors.vectorBits = target.vectorBits;
    pm.addNestedPass<func::FuncOp>(cpu::createLowerToCPUPass(vectors));
    cpu::LowerMatmulPassOptions products;
    products.vectorBits = target.vectorBits;
    products.vectorRegisters = target.vectorRegisters;
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

/// Loops to the LLVM dialect.
static void buildMachinePipeline(OpPassManager &pm, const PipelineOptions &options,
                                 const CPUTarget &target) {
  if (!options.literal) {
    cpu::ExpandMathPassOptions math;
    math.fastExp = options.fastExp;
    math.avx512 = target.avx512;
    pm.addPass(cpu::createExpandMathPass(math));
  }
  pm.addPass(cpu::createOutlineTasksPass());
  pm.addPass(createConvertVectorToSCFPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createLoopInvariantCodeMotionPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertMathToLibmPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  pm.addPass(createCanonicalizerPass());
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

LogicalResult ssmc::runPipeline(ModuleOp module, const PipelineOptions &options) {
  FailureOr<CPUTarget> target = CPUTarget::get(options.triple, options.cpu);
  if (failed(target))
    return module.emitError("'") << options.cpu << "' is not a CPU of '"
                                 << (options.triple.empty() ? "this machine"
                                                            : options.triple)
                                 << "'";
  auto finish = [&](Phase phase) -> LogicalResult {
    if (!options.dumpDirectory.empty() &&
        failed(dump(module, phase, options.dumpDirectory)))
      return failure();
    return success();
  };
  auto run = [&](llvm::function_ref<void(OpPassManager &)> build) {
    PassManager pm(module.getContext());
    (void)applyPassManagerCLOptions(pm); // fails where a tool has none
    build(pm);
    return pm.run(module);
  };
  annotateIndexLimits(module);
  if (options.lastToken)
    keepLastToken(module);
  if (failed(finish(Phase::Frontend)) || options.stopAfter == Phase::Frontend)
    return success(options.stopAfter == Phase::Frontend);
  if (failed(run([&](OpPassManager &pm) {
        buildLayerPipeline(pm, options, *target);
      })) ||
      failed(finish(Phase::Layer)))
    return failure();
  if (options.stopAfter == Phase::Layer)
    return success();
  if (failed(describeModule(module, options)) ||
      failed(run([&](OpPassManager &pm) {
        buildBuffersPipeline(pm);
        buildPlanPipeline(pm);
      })))
    return failure();
  describeWorkspaces(module);
  if (failed(finish(Phase::Buffers)))
    return failure();
  if (options.stopAfter == Phase::Buffers)
    return success();
  if (failed(run([&](OpPassManager &pm) {
        buildLoopsPipeline(pm, options, *target);
      })) ||
      failed(finish(Phase::Loops)))
    return failure();
  if (options.stopAfter == Phase::Loops)
    return success();
  if (failed(run([&](OpPassManager &pm) {
        buildMachinePipeline(pm, options, *target);
      })) ||
      failed(finish(Phase::Machine)))
    return failure();
  return success();
}
