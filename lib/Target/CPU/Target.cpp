//===- Target.cpp - What the code generator knows of a CPU ----------------===//

#include "Target/CPU/Target.h"

#include "llvm/Passes/PassBuilder.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/SubtargetFeature.h"

using namespace ssmc;

static void initializeTargets() {
  static const bool once = [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
    llvm::InitializeAllAsmParsers(); // of the system call for matrix registers
    return true;
  }();
  (void)once;
}

std::unique_ptr<llvm::TargetMachine> CPUTarget::createTargetMachine() const {
  initializeTargets();
  std::string error;
  llvm::Triple parsed(triple);
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(parsed, error);
  if (!target)
    return nullptr;
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      parsed, cpu, features, options, llvm::Reloc::PIC_, std::nullopt,
      llvm::CodeGenOptLevel::Aggressive));
}

llvm::FailureOr<CPUTarget> CPUTarget::get(llvm::StringRef triple, llvm::StringRef cpu) {
  initializeTargets();
  CPUTarget result;
  std::string host = llvm::sys::getDefaultTargetTriple();
  result.triple = triple.empty() ? host : llvm::Triple::normalize(triple);
  bool native = cpu == "native" || cpu.empty();
  bool sameArch = llvm::Triple(result.triple).getArch() == llvm::Triple(host).getArch();
  if (native && sameArch) {
    result.cpu = llvm::sys::getHostCPUName().str();
    llvm::SubtargetFeatures features;
    for (auto &feature : llvm::sys::getHostCPUFeatures())
      features.AddFeature(feature.first(), feature.second);
    result.features = features.getString();
  } else {
    result.cpu = native ? "generic" : cpu.str();
  }
  // LLVM prints a warning of its own for a machine of an unknown CPU: ask one of none.
  CPUTarget plain;
  plain.triple = result.triple;
  std::unique_ptr<llvm::TargetMachine> known = plain.createTargetMachine();
  if (!known || !known->getMCSubtargetInfo()->isCPUStringValid(result.cpu))
    return llvm::failure();
  std::unique_ptr<llvm::TargetMachine> machine = result.createTargetMachine();
  if (!machine)
    return llvm::failure();
  const llvm::MCSubtargetInfo &subtarget = *machine->getMCSubtargetInfo();
  auto has = [&](llvm::StringRef feature) {
    return subtarget.checkFeatures(("+" + feature).str());
  };
  // Measured with one token and 258 MB of bf16, against reading alone: 1.3 instead of
  // 1.05 of its time on Zen 4 with prefetches, 1.1 instead of 1.4 on Sapphire Rapids
  // (1.04 instead of 1.1 where the first cache is asked for them too).
  if (!llvm::StringRef(result.cpu).starts_with("znver"))
    result.prefetchBytes = 8192;
  llvm::Triple parsed(result.triple);
  if (parsed.isX86()) {
    result.avx512 = has("avx512f") && has("avx512vl") && has("avx512dq") && has("avx512bw");
    result.vectorBits = result.avx512 ? 512 : has("avx2") && has("fma") ? 256 : 128;
    result.vectorRegisters = result.avx512 ? 32 : 16;
    // Processors with tiles have slow dot products: with them or in f32. The
    // kernel's leave to use tiles is asked for in Linux' way.
    if (result.avx512 && has("amx-bf16") && has("amx-tile"))
      result.bf16 = parsed.isOSLinux() && parsed.isArch64Bit()
                        ? cpu::BF16Unit::Tiles
                        : cpu::BF16Unit::None;
    else if (result.avx512 && has("avx512bf16"))
      result.bf16 = cpu::BF16Unit::Dot;
  } else if (parsed.isAArch64()) {
    result.vectorRegisters = 32;
  }
  return result;
}

mlir::ssm::Machine CPUTarget::getMachine() const {
  mlir::ssm::Machine machine;
  machine.vectorBits = double(vectorBits);
  machine.vectorRegisters = double(vectorRegisters);
  // Measured on cores of these families; a vector's exponential is a polynomial.
  if (avx512) {
    machine.functionClocks = 7;
    machine.divideClocks = 10;
    machine.l1Bytes = 48 << 10;
    machine.l2Bytes = 1 << 20;
    machine.l2BytesPerClock = 32;
    // Zen 4 takes vectors of 512 bits in two halves.
    if (cpu == "znver4")
      machine.fmaPerClock = 1;
  } else if (vectorBits == 256) {
    machine.functionClocks = 7;
    machine.divideClocks = 5;
    machine.l2Bytes = 512 << 10;
  }
  // Of the last cache the part that eight cores share.
  if (cpu == "znver3" || cpu == "znver4" || cpu == "znver5") {
    machine.l3Bytes = 32 << 20;
    machine.l3BytesPerClock = 20;
    machine.memoryBytesPerClock = 6;
  }
  return machine;
}

void ssmc::optimize(llvm::Module &module, llvm::TargetMachine &machine,
                    llvm::OptimizationLevel level) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graph, modules);
  builder.buildPerModuleDefaultPipeline(level).run(module, modules);
}
