//===- LowerMatmul.cpp - ssm.matmul and ssm.pack as parallel loops --------===//

#include "Target/CPU/PackedMatmul.h"
#include "Target/CPU/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "ssm/IR/SSM.h"
#include "llvm/ADT/StringSwitch.h"

namespace ssmc::cpu {
#define GEN_PASS_DEF_LOWERMATMULPASS
#include "Target/CPU/Passes.h.inc"
} // namespace ssmc::cpu

using namespace mlir;
using namespace ssmc::cpu;

namespace {
/// A block of the stack for a function's products, which run one after the other.
/// It lies before all loops, which would take more of the stack each time.
class Scratch {
public:
  Value get(func::FuncOp function, int64_t bytes) {
    memref::AllocaOp &block = blocks[function];
    Type element = IntegerType::get(function.getContext(), 8);
    if (!block) {
      auto builder = OpBuilder::atBlockBegin(&function.front());
      block = memref::AllocaOp::create(builder, function.getLoc(),
                                       MemRefType::get({0}, element),
                                       builder.getI64IntegerAttr(64));
    }
    int64_t size = std::max(bytes, block.getType().getDimSize(0));
    block.getResult().setType(MemRefType::get({size}, element));
    return block;
  }

private:
  llvm::DenseMap<Operation *, memref::AllocaOp> blocks;
};
} // namespace

static LogicalResult lower(ssm::MatmulOp op, const KernelTarget &target,
                           Scratch &scratch) {
  PackedMatmul matmul;
  auto function = op->getParentOfType<func::FuncOp>();
  auto getScratch = [&](int64_t bytes) { return scratch.get(function, bytes); };
  matmul.getScratch = getScratch;
  matmul.input = op.getInput();
  matmul.weight = op.getWeight();
  matmul.output = op.getOutput();
  matmul.roundInput = op.getRoundInput();
  // An epilogue that yields its argument is none.
  auto yield = op.getEpilogueYield();
  if (yield.getValues().front() != op.getEpilogue().getArgument(0))
    matmul.epilogue = &op.getEpilogue();
  if (matmul.epilogue) {
    llvm::append_range(matmul.epilogueInputs, op.getEpilogueIns());
    for (unsigned i = 0, e = op.getEpilogueIns().size(); i != e; ++i)
      matmul.epilogueMaps.push_back(op.getEpilogueMap(i));
  }
  OpBuilder builder(op);
  return emitPackedMatmul(builder, op.getLoc(), matmul, target);
}

namespace {
struct LowerMatmul : ssmc::cpu::impl::LowerMatmulPassBase<LowerMatmul> {
  using Base::Base;

  void runOnOperation() override {
    KernelTarget target;
    target.vectorBits = vectorBits;
    target.vectorRegisters = vectorRegisters;
    auto unit = llvm::StringSwitch<std::optional<BF16Unit>>(bf16Unit)
                    .Case("none", BF16Unit::None)
                    .Case("dot", BF16Unit::Dot)
                    .Case("tiles", BF16Unit::Tiles)
                    .Default(std::nullopt);
    if (!unit) {
      getOperation()->emitError("bf16-unit is ")
          << bf16Unit << ", expected none, dot or tiles";
      return signalPassFailure();
    }
    target.bf16 = *unit;
    target.prefetchBytes = prefetchBytes;
    Scratch scratch;
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa<ssm::MatmulOp, ssm::PackOp>(op))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      auto destination = cast<DestinationStyleOpInterface>(op);
      if (!destination.hasPureBufferSemantics()) {
        op->emitError("found tensors, wanted memrefs: bufferization comes "
                      "before this pass");
        return signalPassFailure();
      }
      if (auto matmul = dyn_cast<ssm::MatmulOp>(op)) {
        if (failed(lower(matmul, target, scratch)))
          return signalPassFailure();
      } else {
        auto pack = cast<ssm::PackOp>(op);
        OpBuilder builder(pack);
        emitPackWeights(builder, pack.getLoc(), pack.getWeight(),
                        pack.getOuts().front(), pack.getTransposed());
      }
      op->erase();
    }
  }
};
} // namespace
