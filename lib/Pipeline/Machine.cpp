//===- Machine.cpp - From the LLVM dialect to machine code ----------------===//

#include "ssmc/Pipeline/Pipeline.h"

#include "Target/CPU/ModuleDescription.h"
#include "Target/CPU/Target.h"
#include "Target/NVPTX/Assembler.h"
#include "Target/NVPTX/CodeGen.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/Utils/ModuleUtils.h"

using namespace ssmc;

/// Code generators without bf16 arithmetic take vectors of bf16 apart through f32 and
/// call `__truncsfbf2` of the compiler's support library. Artefacts have no such
/// library, so the module brings the function: round to nearest, ties to even.
static void addRoundingToBF16(llvm::Module &module) {
  llvm::LLVMContext &context = module.getContext();
  llvm::Type *f32 = llvm::Type::getFloatTy(context);
  llvm::Type *bf16 = llvm::Type::getBFloatTy(context);
  bool uses = false;
  for (llvm::Function &function : module)
    for (llvm::Instruction &instruction : llvm::instructions(function))
      uses |= instruction.getType()->getScalarType() == bf16;
  if (!uses || module.getFunction("__truncsfbf2"))
    return;
  auto *function = llvm::Function::Create(llvm::FunctionType::get(bf16, {f32}, false),
                                          llvm::GlobalValue::InternalLinkage,
                                          "__truncsfbf2", module);
  llvm::IRBuilder<> b(llvm::BasicBlock::Create(context, "", function));
  llvm::Value *x = function->getArg(0);
  llvm::Value *bits = b.CreateBitCast(x, b.getInt32Ty());
  llvm::Value *odd = b.CreateAnd(b.CreateLShr(bits, 16), 1);
  llvm::Value *rounded =
      b.CreateLShr(b.CreateAdd(b.CreateAdd(bits, b.getInt32(0x7FFF)), odd), 16);
  llvm::Value *quiet = b.CreateOr(b.CreateLShr(bits, 16), 0x40);
  llvm::Value *isNaN = b.CreateFCmpUNO(x, x);
  llvm::Value *half = b.CreateTrunc(b.CreateSelect(isNaN, quiet, rounded), b.getInt16Ty());
  b.CreateRet(b.CreateBitCast(half, bf16));
  llvm::appendToCompilerUsed(module, {function});
}

static mlir::FailureOr<nvptx::Kernels> emitKernels(mlir::ModuleOp module,
                                                   const PipelineOptions &options) {
  return nvptx::emitPTX(module, options.getGPU());
}

/// Machine code for each of the GPUs that options name, each from PTX of its own.
static mlir::FailureOr<std::vector<CUDACode::Cubin>>
emitCubins(mlir::ModuleOp module, const PipelineOptions &options) {
  std::vector<CUDACode::Cubin> cubins;
  for (llvm::StringRef gpu : options.gpu) {
    auto arch = nvptx::parseArch(gpu);
    if (!arch)
      return module.emitError("'") << gpu << "' is no GPU: expected a name like sm_90";
    auto kernels = nvptx::emitPTX(module, gpu);
    if (failed(kernels))
      return mlir::failure();
    auto code = nvptx::assemble(kernels->ptx, gpu, options.assembler);
    if (!code)
      return module.emitError(llvm::toString(code.takeError()));
    cubins.push_back({arch->number, arch->variant, std::move(*code)});
  }
  return cubins;
}

mlir::FailureOr<std::string> ssmc::emitPTX(mlir::ModuleOp module,
                                           const PipelineOptions &options) {
  if (!nvptx::hasKernels(module))
    return module.emitError("the module has no kernels: it is not for CUDA, or not of the "
                            "phase 'machine'");
  auto kernels = emitKernels(module, options);
  if (failed(kernels))
    return mlir::failure();
  return std::move(kernels->ptx);
}

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
    // Runs once, and its work is in tasks: small code is compiled sooner.
    if (function.getName() == "prepare")
      function.addFnAttr(llvm::Attribute::OptimizeForSize);
    // Two layers in one program must not meet.
    if (function.getName() != "prepare" && function.getName() != "forward" &&
        function.getName() != "step")
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
  }
  addRoundingToBF16(*result);
  std::optional<CUDACode> code;
  if (nvptx::hasKernels(module)) {
    auto kernels = emitKernels(module, options);
    if (failed(kernels))
      return nullptr;
    code = CUDACode{std::move(kernels->names),
                    std::move(kernels->sharedBytes),
                    std::move(kernels->ptx),
                    {}};
    if (!options.assembler.empty()) {
      auto cubins = emitCubins(module, options);
      if (failed(cubins))
        return nullptr;
      code->cubins = std::move(*cubins);
    }
  }
  if (description)
    emitModuleDescription(*result, description, code ? &*code : nullptr);

  optimize(*result, *machine,
           options.literal ? llvm::OptimizationLevel::O1 : llvm::OptimizationLevel::O3);
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
