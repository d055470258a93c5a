//===- DoubleProducts.cpp - Products of f64 by tensor cores ---------------===//

#include "Target/NVPTX/DoubleProducts.h"
#include "Target/NVPTX/Assembler.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/IntrinsicsNVPTX.h"

using namespace ssmc;

/// The first architecture with the large instruction.
static constexpr int kFirstArch = 90;

void nvptx::emitDoubleProduct(mlir::OpBuilder &b, mlir::Location loc,
                              llvm::ArrayRef<mlir::Value> low,
                              llvm::ArrayRef<mlir::Value> high,
                              llvm::ArrayRef<mlir::Value> right,
                              llvm::MutableArrayRef<mlir::Value> sums) {
  using namespace mlir;
  SmallVector<Value> operands;
  for (int64_t i = 0; i < kProductSteps; ++i)
    operands.append({low[i], high[i]});
  llvm::append_range(operands, right);
  llvm::append_range(operands, sums);
  SmallVector<Type> types(sums.size(), b.getF64Type());
  Value result = LLVM::CallIntrinsicOp::create(
                     b, loc, LLVM::LLVMStructType::getLiteral(b.getContext(), types),
                     b.getStringAttr("llvm.nvvm.mma.m16n8k16.row.col.f64"), operands)
                     ->getResult(0);
  for (auto [i, sum] : llvm::enumerate(sums))
    sum = LLVM::ExtractValueOp::create(b, loc, result, i);
}

/// Eight small instructions in the place of `call`.
static void split(llvm::CallInst &call) {
  llvm::IRBuilder<> builder(&call);
  constexpr unsigned kLeft = 2 * nvptx::kProductSteps, kRight = nvptx::kProductSteps;
  llvm::Value *result = llvm::PoisonValue::get(call.getType());
  for (unsigned half = 0; half < 2; ++half) {
    llvm::Value *sums[] = {call.getArgOperand(kLeft + kRight + 2 * half),
                           call.getArgOperand(kLeft + kRight + 2 * half + 1)};
    for (unsigned i = 0; i < kRight; ++i) {
      llvm::Value *product =
          builder.CreateIntrinsic(llvm::Intrinsic::nvvm_mma_m8n8k4_row_col_f64, {},
                                  {call.getArgOperand(2 * i + half),
                                   call.getArgOperand(kLeft + i), sums[0], sums[1]});
      for (unsigned j = 0; j < 2; ++j)
        sums[j] = builder.CreateExtractValue(product, j);
    }
    for (unsigned j = 0; j < 2; ++j)
      result = builder.CreateInsertValue(result, sums[j], 2 * half + j);
  }
  call.replaceAllUsesWith(result);
  call.eraseFromParent();
}

void nvptx::splitDoubleProducts(llvm::Module &code, llvm::StringRef arch) {
  std::optional<Arch> parsed = parseArch(arch);
  if (parsed && parsed->number >= kFirstArch)
    return;
  llvm::Function *product = llvm::Intrinsic::getDeclarationIfExists(
      &code, llvm::Intrinsic::nvvm_mma_m16n8k16_row_col_f64);
  if (!product)
    return;
  for (llvm::User *user : llvm::make_early_inc_range(product->users()))
    split(*llvm::cast<llvm::CallInst>(user));
  product->eraseFromParent();
}
