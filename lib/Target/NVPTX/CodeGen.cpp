//===- CodeGen.cpp - PTX of a module's kernels ----------------------------===//

#include "Target/NVPTX/CodeGen.h"

#include "Target/CPU/Target.h"
#include "Target/NVPTX/Assembler.h"
#include "Target/NVPTX/DoubleProducts.h"
#include "Target/NVPTX/Overlap.h"
#include "Target/NVPTX/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include <mutex>

using namespace mlir;
using namespace ssmc;

extern "C" void LLVMInitializeNVPTXTargetInfo();
extern "C" void LLVMInitializeNVPTXTarget();
extern "C" void LLVMInitializeNVPTXTargetMC();
extern "C" void LLVMInitializeNVPTXAsmPrinter();

static constexpr unsigned kSharedSpace = unsigned(NVVM::NVVMMemorySpace::Shared);

static std::unique_ptr<llvm::TargetMachine> createTargetMachine(StringRef arch) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
  llvm::Triple triple("nvptx64-nvidia-cuda");
  std::string error;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return nullptr;
  llvm::TargetOptions options;
  // Products are fused with the sums that they feed.
  options.AllowFPOpFusion = llvm::FPOpFusion::Fast;
  // movmatrix is of PTX 7.8, which sm_89 and later have by default.
  std::optional<nvptx::Arch> parsed = nvptx::parseArch(arch);
  StringRef features = parsed && parsed->number < 89 ? "+ptx78" : "";
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, arch, features, options, std::nullopt, std::nullopt,
      llvm::CodeGenOptLevel::Aggressive));
}

bool nvptx::hasKernels(ModuleOp module) {
  return !module.getOps<gpu::GPUModuleOp>().empty();
}

FailureOr<nvptx::Kernels> nvptx::emitPTX(ModuleOp module, StringRef arch) {
  gpu::GPUModuleOp kernels = *module.getOps<gpu::GPUModuleOp>().begin();
  std::unique_ptr<llvm::TargetMachine> machine = createTargetMachine(arch);
  if (!machine)
    return module.emitError("this build of LLVM has no code generator for NVIDIA GPUs");
  if (!machine->getMCSubtargetInfo()->isCPUStringValid(arch))
    return module.emitError("'") << arch << "' is no architecture of NVIDIA GPUs that "
                                            "LLVM knows, expected one like sm_80";
  MLIRContext &context = *module.getContext();
  registerBuiltinDialectTranslation(context);
  registerGPUDialectTranslation(context);
  registerLLVMDialectTranslation(context);
  registerNVVMDialectTranslation(context);
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> code =
      translateModuleToLLVMIR(kernels, llvmContext, "kernels");
  if (!code)
    return failure();
  code->setTargetTriple(machine->getTargetTriple());
  code->setDataLayout(machine->createDataLayout());

  // Shared memory that launches ask for is of no size known here.
  for (llvm::GlobalVariable &global : code->globals())
    if (global.getAddressSpace() == kSharedSpace &&
        code->getDataLayout().getTypeAllocSize(global.getValueType()) == 0) {
      global.setInitializer(nullptr);
      global.setLinkage(llvm::GlobalValue::ExternalLinkage);
    }

  Kernels result;
  SmallVector<llvm::Function *> functions;
  for (auto kernel : kernels.getOps<LLVM::LLVMFuncOp>()) {
    if (kernel.isExternal())
      continue;
    result.names.push_back(kernel.getName().str());
    auto shared = kernel->getAttrOfType<IntegerAttr>(kSharedBytesAttr);
    result.sharedBytes.push_back(shared ? int32_t(shared.getInt()) : 0);
    llvm::Function *function = code->getFunction(kernel.getName());
    functions.push_back(function);
    function->addFnAttr("target-cpu", arch);
    if (auto threads = kernel->getAttrOfType<IntegerAttr>(kBlockAttr))
      function->addFnAttr("nvvm.maxntid", std::to_string(threads.getInt()));
    if (auto blocks = kernel->getAttrOfType<IntegerAttr>(kMinBlocksAttr))
      function->addFnAttr("nvvm.minctasm", std::to_string(blocks.getInt()));
  }

  splitDoubleProducts(*code, arch);
  overlapKernels(*code, functions, arch);
  optimize(*code, *machine, llvm::OptimizationLevel::O3);

  llvm::SmallString<0> text;
  llvm::raw_svector_ostream stream(text);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr,
                                   llvm::CodeGenFileType::AssemblyFile))
    return module.emitError("LLVM cannot emit PTX");
  passes.run(*code);
  result.ptx = text.str().str();
  // A function of a library that nobody links: found here, not when it is loaded.
  for (StringRef rest = result.ptx; !rest.empty();) {
    auto [line, after] = rest.split('\n');
    rest = after;
    if (line.starts_with(".extern .func"))
      return module.emitError("internal error: kernels call a function that is not "
                              "there: ")
             << line;
  }
  return result;
}
