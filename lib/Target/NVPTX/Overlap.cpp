//===- Overlap.cpp - Kernels that begin before others end -----------------===//

#include "Target/NVPTX/Overlap.h"

#include "Target/NVPTX/Assembler.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"

using namespace ssmc;

/// Assembly that clobbers memory, not the intrinsics: those are said to touch none, and
/// loads could move across them.
static constexpr llvm::StringLiteral kWait = "griddepcontrol.wait;";
static constexpr llvm::StringLiteral kLaunch = "griddepcontrol.launch_dependents;";
static constexpr llvm::StringLiteral kClobber = "~{memory}";
/// The first architecture that has them.
static constexpr int kFirstArch = 90;

void nvptx::emitWait(mlir::OpBuilder &b, mlir::Location loc) {
  using namespace mlir;
  LLVM::InlineAsmOp::create(b, loc, TypeRange(), ValueRange(), b.getStringAttr(kWait),
                            b.getStringAttr(kClobber),
                            /*has_side_effects=*/b.getUnitAttr(), UnitAttr(),
                            LLVM::TailCallKindAttr::get(b.getContext(),
                                                        LLVM::TailCallKind::None),
                            LLVM::AsmDialectAttr(), ArrayAttr());
}

static llvm::SmallVector<llvm::CallInst *> findWaits(llvm::Function &kernel) {
  llvm::SmallVector<llvm::CallInst *> waits;
  for (llvm::Instruction &instruction : llvm::instructions(kernel))
    if (auto *call = llvm::dyn_cast<llvm::CallInst>(&instruction))
      if (auto *text = llvm::dyn_cast<llvm::InlineAsm>(call->getCalledOperand());
          text && text->getAsmString() == kWait)
        waits.push_back(call);
  return waits;
}

void nvptx::overlapKernels(llvm::Module &code, llvm::ArrayRef<llvm::Function *> kernels,
                           llvm::StringRef arch) {
  auto parsed = parseArch(arch);
  bool overlaps = parsed && parsed->number >= kFirstArch;
  auto *type = llvm::FunctionType::get(llvm::Type::getVoidTy(code.getContext()), false);
  for (llvm::Function *kernel : kernels) {
    llvm::SmallVector<llvm::CallInst *> waits = findWaits(*kernel);
    if (!overlaps) {
      for (llvm::CallInst *wait : waits)
        wait->eraseFromParent();
      continue;
    }
    llvm::IRBuilder<> builder(&*kernel->getEntryBlock().getFirstInsertionPt());
    builder.CreateCall(llvm::InlineAsm::get(type, kLaunch, kClobber, true));
    if (waits.empty())
      builder.CreateCall(llvm::InlineAsm::get(type, kWait, kClobber, true));
  }
  if (!overlaps)
    return;
  auto *byte = llvm::Type::getInt8Ty(code.getContext());
  new llvm::GlobalVariable(code, byte, /*isConstant=*/false,
                           llvm::GlobalValue::ExternalLinkage,
                           llvm::ConstantInt::get(byte, 1), "ssmrt_kernels_overlap", nullptr,
                           llvm::GlobalValue::NotThreadLocal, /*AddressSpace=*/1);
}
