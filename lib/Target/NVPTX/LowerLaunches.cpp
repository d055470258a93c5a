//===- LowerLaunches.cpp - Launches as calls of the runtime ---------------===//

#include "Target/NVPTX/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace ssmc::nvptx {
#define GEN_PASS_DEF_LOWERLAUNCHESPASS
#include "Target/NVPTX/Passes.h.inc"
} // namespace ssmc::nvptx

using namespace mlir;
using namespace ssmc;

namespace {
struct LowerLaunchesPass : ssmc::nvptx::impl::LowerLaunchesPassBase<LowerLaunchesPass> {
  void runOnOperation() override;

private:
  void lower(gpu::LaunchFuncOp launch, int32_t number);
};
} // namespace

void LowerLaunchesPass::lower(gpu::LaunchFuncOp launch, int32_t number) {
  MLIRContext *context = &getContext();
  Location loc = launch.getLoc();
  auto function = launch->getParentOfType<func::FuncOp>();
  OpBuilder b(launch), entry = OpBuilder::atBlockBegin(&function.front());
  Type pointer = LLVM::LLVMPointerType::get(context);
  Type i32 = b.getI32Type(), i64 = b.getI64Type();
  Value one = LLVM::ConstantOp::create(entry, loc, i64, entry.getI64IntegerAttr(1));
  auto allocate = [&](Type type) -> Value {
    return LLVM::AllocaOp::create(entry, loc, pointer, type, one, /*alignment=*/8);
  };
  auto store = [&](Value value, Value base, Type type, int32_t index) {
    Value slot = LLVM::GEPOp::create(b, loc, pointer, type, base,
                                     ArrayRef<LLVM::GEPArg>{0, index});
    LLVM::StoreOp::create(b, loc, value, slot);
    return slot;
  };

  // Memory for the arguments, and pointers to them.
  SmallVector<Type> types(launch.getKernelOperands().getTypes());
  auto valuesType = LLVM::LLVMStructType::getLiteral(context, types);
  auto pointersType = LLVM::LLVMArrayType::get(pointer, std::max<size_t>(types.size(), 1));
  Value values = allocate(valuesType), pointers = allocate(pointersType);
  for (auto [i, operand] : llvm::enumerate(launch.getKernelOperands()))
    store(store(operand, values, valuesType, i), pointers, pointersType, i);

  // ssmrt_cuda_geometry: grid, block, shared bytes, reserved.
  auto geometryType = LLVM::LLVMArrayType::get(i32, 8);
  Value geometry = allocate(geometryType);
  Value sizes[] = {launch.getGridSizeX(),  launch.getGridSizeY(),  launch.getGridSizeZ(),
                   launch.getBlockSizeX(), launch.getBlockSizeY(), launch.getBlockSizeZ()};
  for (auto [i, size] : llvm::enumerate(sizes)) {
    if (!size.getType().isInteger(32))
      size = arith::IndexCastOp::create(b, loc, i32, size);
    store(size, geometry, geometryType, i);
  }
  Value shared = launch.getDynamicSharedMemorySize();
  Value zero = LLVM::ConstantOp::create(b, loc, i32, b.getI32IntegerAttr(0));
  store(shared ? shared : zero, geometry, geometryType, 6);
  store(zero, geometry, geometryType, 7);

  Value runtimeContext =
      LLVM::LoadOp::create(b, loc, pointer, function.getArgument(0));
  Value code = LLVM::AddressOfOp::create(b, loc, pointer, "ssmrt_cuda_code");
  Value kernel = LLVM::ConstantOp::create(b, loc, i32, b.getI32IntegerAttr(number));
  LLVM::CallOp::create(b, loc, TypeRange(), "ssmrt_cuda_launch",
                       ValueRange{runtimeContext, code, kernel, geometry, pointers});
  launch.erase();
}

void LowerLaunchesPass::runOnOperation() {
  ModuleOp module = getOperation();
  auto kernels = module.lookupSymbol<gpu::GPUModuleOp>("kernels");
  if (!kernels)
    return;
  llvm::StringMap<int32_t> numbers;
  for (auto kernel : kernels.getOps<gpu::GPUFuncOp>())
    numbers.insert({kernel.getName(), int32_t(numbers.size())});
  SmallVector<gpu::LaunchFuncOp> launches;
  module.walk([&](gpu::LaunchFuncOp launch) { launches.push_back(launch); });

  OpBuilder b(&getContext());
  b.setInsertionPointToStart(module.getBody());
  Type pointer = LLVM::LLVMPointerType::get(&getContext());
  Type i32 = b.getI32Type();
  LLVM::LLVMFuncOp::create(
      b, module.getLoc(), "ssmrt_cuda_launch",
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(&getContext()),
                                  {pointer, pointer, i32, pointer, pointer}));
  LLVM::GlobalOp::create(b, module.getLoc(), LLVM::LLVMArrayType::get(b.getI8Type(), 0),
                         /*isConstant=*/true, LLVM::Linkage::External, "ssmrt_cuda_code",
                         Attribute());
  for (gpu::LaunchFuncOp launch : launches)
    lower(launch, numbers.lookup(launch.getKernelName().getValue()));
  module->removeAttr(gpu::GPUDialect::getContainerModuleAttrName());
}
