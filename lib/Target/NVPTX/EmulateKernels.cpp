//===- EmulateKernels.cpp - Launches as loops on the CPU ------------------===//

#include "Target/NVPTX/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"

namespace ssmc::nvptx {
#define GEN_PASS_DEF_EMULATEKERNELSPASS
#include "Target/NVPTX/Passes.h.inc"
} // namespace ssmc::nvptx

using namespace mlir;
using namespace ssmc;

namespace {
struct EmulateKernelsPass
    : ssmc::nvptx::impl::EmulateKernelsPassBase<EmulateKernelsPass> {
  void runOnOperation() override;

private:
  LogicalResult makeFunction(gpu::GPUFuncOp kernel);
  void emulate(gpu::LaunchFuncOp launch);
};
} // namespace

/// Block, thread, number of blocks, of threads: the x dimension of each.
static constexpr unsigned kNumPlaces = 4;

LogicalResult EmulateKernelsPass::makeFunction(gpu::GPUFuncOp kernel) {
  OpBuilder b(&getContext());
  b.setInsertionPointToEnd(getOperation().getBody());
  SmallVector<Type> types(kernel.getArgumentTypes());
  types.append(kNumPlaces, b.getIndexType());
  auto function = func::FuncOp::create(b, kernel.getLoc(), kernel.getName(),
                                       b.getFunctionType(types, {}));
  function.setPrivate();
  function.getBody().takeBody(kernel.getBody());
  Block *entry = &function.getBody().front();
  unsigned first = entry->getNumArguments();
  for (unsigned i = 0; i < kNumPlaces; ++i)
    entry->addArgument(b.getIndexType(), kernel.getLoc());
  WalkResult result = function.walk([&](Operation *op) {
    if (!isa_and_nonnull<gpu::GPUDialect>(op->getDialect()))
      return WalkResult::advance();
    OpBuilder at(op);
    auto replace = [&](gpu::Dimension dim, unsigned place, int64_t otherwise) {
      Value value = entry->getArgument(first + place);
      if (dim != gpu::Dimension::x)
        value = arith::ConstantIndexOp::create(at, op->getLoc(), otherwise);
      op->getResult(0).replaceAllUsesWith(value);
      op->erase();
    };
    if (auto id = dyn_cast<gpu::BlockIdOp>(op))
      replace(id.getDimension(), 0, 0);
    else if (auto id = dyn_cast<gpu::ThreadIdOp>(op))
      replace(id.getDimension(), 1, 0);
    else if (auto size = dyn_cast<gpu::GridDimOp>(op))
      replace(size.getDimension(), 2, 1);
    else if (auto size = dyn_cast<gpu::BlockDimOp>(op))
      replace(size.getDimension(), 3, 1);
    else if (isa<gpu::ReturnOp>(op)) {
      func::ReturnOp::create(at, op->getLoc());
      op->erase();
    } else {
      op->emitOpError("is between threads, which are run one after the other here");
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

void EmulateKernelsPass::emulate(gpu::LaunchFuncOp launch) {
  OpBuilder b(launch);
  Location loc = launch.getLoc();
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  Value grid = launch.getGridSizeX(), block = launch.getBlockSizeX();
  auto blocks = scf::ForOp::create(b, loc, zero, grid, one);
  b.setInsertionPointToStart(blocks.getBody());
  auto threads = scf::ForOp::create(b, loc, zero, block, one);
  b.setInsertionPointToStart(threads.getBody());
  SmallVector<Value> operands(launch.getKernelOperands());
  operands.append({blocks.getInductionVar(), threads.getInductionVar(), grid, block});
  func::CallOp::create(b, loc, launch.getKernelName(), TypeRange(), operands);
  launch.erase();
}

void EmulateKernelsPass::runOnOperation() {
  ModuleOp module = getOperation();
  SmallVector<gpu::LaunchFuncOp> launches;
  module.walk([&](gpu::LaunchFuncOp launch) { launches.push_back(launch); });
  for (gpu::LaunchFuncOp launch : launches)
    emulate(launch);
  for (auto kernels : llvm::make_early_inc_range(module.getOps<gpu::GPUModuleOp>())) {
    for (auto kernel : llvm::make_early_inc_range(kernels.getOps<gpu::GPUFuncOp>()))
      if (failed(makeFunction(kernel)))
        return signalPassFailure();
    kernels.erase();
  }
  module->removeAttr(gpu::GPUDialect::getContainerModuleAttrName());
}
