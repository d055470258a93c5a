//===- LowerMatmul.cpp - ssm.matmul and ssm.pack as parallel loops --------===//

#include "Target/CPU/PackedMatmul.h"
#include "Target/CPU/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
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

static LogicalResult lower(ssm::MatmulOp op, const KernelTarget &target) {
  PackedMatmul matmul;
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
        if (failed(lower(matmul, target)))
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
