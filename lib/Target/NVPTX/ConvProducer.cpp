//===- ConvProducer.cpp - What makes the input of a convolution -----------===//

#include "Target/NVPTX/Buffers.h"
#include "Target/NVPTX/Lowering.h"

#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

/// Whether each element of the only output is computed by itself, from memrefs alone.
static bool isElementwise(linalg::GenericOp op) {
  return op.getNumDpsInits() == 1 && op.getNumParallelLoops() == op.getNumLoops() &&
         op.getIndexingMapsArray().back().isPermutation() &&
         op.getRegionOutputArgs().front().use_empty() && !op.hasIndexSemantics() &&
         llvm::all_of(op.getDpsInputs(),
                      [](Value value) { return isa<MemRefType>(value.getType()); });
}

/// Addresses of arguments are read from the frame where those are first used.
static bool mayWrite(Operation *op) {
  if (isMemoryEffectFree(op))
    return false;
  auto effects = dyn_cast<MemoryEffectOpInterface>(op);
  return !effects || effects.hasEffect<MemoryEffects::Write>();
}

linalg::GenericOp nvptx::findProducerOf(ConvOp op) {
  linalg::GenericOp producer;
  for (Operation *user : op.getInput().getUsers())
    if (user != op) {
      auto one = dyn_cast<linalg::GenericOp>(user);
      if (!one || producer)
        return {};
      producer = one;
    }
  if (!producer || !isTemporary(op.getInput()) || !isElementwise(producer) ||
      producer.getDpsInits().front() != op.getInput() ||
      producer->getBlock() != op->getBlock() || !producer->isBeforeInBlock(op))
    return {};
  // They are read when memory for transforms is written, and the history.
  for (Value input : producer.getDpsInputs())
    if (!isArgument(input) ||
        (op.getHistory() && getBuffer(input) == getBuffer(op.getHistory())))
      return {};
  for (Operation *between = producer->getNextNode(); between != op;
       between = between->getNextNode())
    if (mayWrite(between))
      return {};
  return producer;
}
