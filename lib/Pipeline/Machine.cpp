//===- Machine.cpp - From the LLVM dialect to machine code ----------------===//

#include "ssmc/Pipeline/Pipeline.h"

#include "Target/CPU/ModuleDescription.h"
#include "Target/CPU/Target.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/raw_ostream.h"

using namespace ssmc;

std::unique_ptr<llvm::Module> ssmc::translateToLLVM(mlir::ModuleOp module,
                                                    llvm::LLVMContext &context,
                                                    const PipelineOptions &options) {
  auto target = CPUTarget::get(options.triple, options.cpu);
  if (failed(target))
    return nullptr;
  mlir::registerBuiltinDialectTranslation(*module.getContext());
  mlir::registerLLVMDialectTranslation(*module.getContext());
  auto description = module->getAttrOfType<mlir::DictionaryAttr>("ssm.module");
  std::unique_ptr<llvm::Module> result = mlir::translateModuleToLLVMIR(
      module, context, options.name);
  if (!result)
    return nullptr;
  std::unique_ptr<llvm::TargetMachine> machine = target->createTargetMachine();
  result->setTargetTriple(machine->getTargetTriple());
  result->setDataLayout(machine->createDataLayout());
  for (llvm::Function &function : *result) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", target->cpu);
    if (!target->features.empty())
      function.addFnAttr("target-features", target->features);
    if (target->avx512)
      function.addFnAttr("prefer-vector-width", "512");
    // Two layers in one program must not meet.
    if (function.getName() != "prepare" && function.getName() != "forward" &&
        function.getName() != "step")
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
  }
  if (description)
    emitModuleDescription(*result, description);

  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(machine.get());
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graph, modules);
  auto level = options.literal ? llvm::OptimizationLevel::O1
                               : llvm::OptimizationLevel::O3;
  builder.buildPerModuleDefaultPipeline(level).run(*result, modules);
  return result;
}

mlir::LogicalResult ssmc::emitMachineCode(llvm::Module &module,
                                          const PipelineOptions &options,
                                          MachineFormat format,
                                          llvm::SmallVectorImpl<char> &out) {
  auto target = CPUTarget::get(options.triple, options.cpu);
  if (failed(target))
    return mlir::failure();
  std::unique_ptr<llvm::TargetMachine> machine = target->createTargetMachine();
  llvm::raw_svector_ostream stream(out);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr,
                                   format == MachineFormat::Object
                                       ? llvm::CodeGenFileType::ObjectFile
                                       : llvm::CodeGenFileType::AssemblyFile))
    return mlir::failure();
  passes.run(module);
  return mlir::success();
}
