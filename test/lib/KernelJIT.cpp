//===- KernelJIT.cpp - Compiles loops and vectors in memory ---------------===//

#include "KernelJIT.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/ExecutionEngine/OptUtils.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Transforms/Passes.h"
#include "ssm/IR/SSM.h"
#include "llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h"
#include "llvm/Support/TargetSelect.h"

using namespace mlir;
using namespace ssmc::test;

std::unique_ptr<MLIRContext> ssmc::test::createKernelContext() {
  DialectRegistry registry;
  registry.insert<affine::AffineDialect, arith::ArithDialect,
                  cf::ControlFlowDialect, func::FuncDialect,
                  LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect,
                  scf::SCFDialect, ssm::SSMDialect, ub::UBDialect, vector::VectorDialect>();
  registerAllToLLVMIRTranslations(registry);
  auto context = std::make_unique<MLIRContext>(registry);
  context->loadAllAvailableDialects();
  return context;
}

/// A parallel loop as a sequential one. Its buffers move to the function's
/// entry: the memory of an `alloca` in a loop would grow with the iterations.
static void runInSequence(scf::ParallelOp parallel) {
  OpBuilder b(parallel);
  auto loop = scf::ForOp::create(
      b, parallel.getLoc(), parallel.getLowerBound()[0],
      parallel.getUpperBound()[0], parallel.getStep()[0]);
  Block *body = parallel.getBody();
  body->getTerminator()->erase();
  loop.getBody()->getOperations().splice(loop.getBody()->begin(),
                                         body->getOperations());
  body->getArgument(0).replaceAllUsesWith(loop.getInductionVar());
  Operation *entry =
      &loop->getParentOfType<func::FuncOp>().getBody().front().front();
  loop.walk([&](memref::AllocaOp op) { op->moveBefore(entry); });
  parallel->erase();
}

static void addLowering(PassManager &pm) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createConvertVectorToSCFPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(createConvertMathToLLVMPass());
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

KernelJIT::KernelJIT(ModuleOp module) {
  SmallVector<scf::ParallelOp> parallels;
  module.walk([&](scf::ParallelOp op) { parallels.push_back(op); });
  llvm::for_each(parallels, runInSequence);
  module.walk([&](func::FuncOp op) {
    op->setAttr("llvm.emit_c_interface", UnitAttr::get(op.getContext()));
  });
  PassManager pm(module.getContext());
  addLowering(pm);
  if (failed(pm.run(module)))
    llvm::report_fatal_error("cannot lower the kernel");

  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  llvm::InitializeNativeTargetAsmParser();
  auto builder =
      llvm::cantFail(llvm::orc::JITTargetMachineBuilder::detectHost());
  auto machine = llvm::cantFail(builder.createTargetMachine());
  auto transformer = makeOptimizingTransformer(3, 0, machine.get());
  ExecutionEngineOptions options;
  options.transformer = transformer;
  options.jitCodeGenOptLevel = llvm::CodeGenOptLevel::Aggressive;
  engine = llvm::cantFail(
      ExecutionEngine::create(module, options, std::move(machine)));
}

void *KernelJIT::lookup(llvm::StringRef name) {
  void *&function = functions[name];
  if (!function)
    function = llvm::cantFail(engine->lookup(("_mlir_ciface_" + name).str()));
  return function;
}
