//===- ScanOperands.cpp - Operands of a recurrence in memory --------------===//

#include "ScanOperands.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc::cpu;

void ssmc::cpu::bindOperands(ScanOp op, RegionEmitter &coefficients,
                             RegionEmitter &epilogue) {
  Block &body = op.getCoefficients().front();
  coefficients.addBody(body);
  for (auto [i, operand] : llvm::enumerate(op.getIns()))
    coefficients.bindAccess(body.getArgument(i), {operand, op.getInsMap(i)});
  Block &after = op.getEpilogue().front();
  epilogue.addBody(after);
  for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
    epilogue.bindAccess(after.getArgument(op.getNumOutputs() + i),
                        {operand, op.getEpilogueMap(i)});
}

SmallVector<Stream> ssmc::cpu::getStreams(ScanOp op, ArrayRef<unsigned> along,
                                          ArrayRef<unsigned> without) {
  SmallVector<Stream> streams;
  auto note = [&](Value memref, AffineMap map, bool written) {
    Access access{memref, map};
    bool seen = llvm::any_of(streams, [&](const Stream &stream) {
      return stream.access.memref == memref && stream.access.map == map;
    });
    if (seen || !map.isFunctionOfDim(1) ||
        llvm::any_of(without,
                     [&](unsigned dim) { return map.isFunctionOfDim(dim); }))
      return;
    for (unsigned dim : along)
      if (getStride(access, dim) == Stride::unit)
        return streams.push_back({access, dim, written});
  };
  for (auto [i, operand] : llvm::enumerate(op.getIns()))
    note(operand, op.getInsMap(i), false);
  for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
    note(operand, op.getEpilogueMap(i), false);
  for (Value operand : op.getOutputInits())
    note(operand, op.getOutputMap(), true);
  return streams;
}

void Stream::emitPrefetch(RegionEmitter &at, const Offsets &offsets,
                          bool forWriting) const {
  memref::PrefetchOp::create(at.getBuilder(), at.getLoc(), access.memref,
                             at.getIndices(access, offsets), forWriting,
                             /*localityHint=*/2, /*isDataCache=*/true);
}

/// Nanoseconds in which one core reads and writes the states of a batch row,
/// which come from memory where a call has few tokens: those of other layers
/// were touched since.
static double getStateCost(ssm::ScanOp op) {
  constexpr double nanosecondsPerByte = 0.05;
  double bytes = 0;
  for (Value state : op.getFinalStates()) {
    auto type = cast<MemRefType>(state.getType());
    double elements = 1;
    for (int64_t size : type.getShape().drop_front())
      elements *= ShapedType::isDynamic(size) ? 1 : size;
    bytes += elements * type.getElementTypeBitWidth() / 8;
  }
  return 2 * bytes * nanosecondsPerByte;
}

void ssmc::cpu::emitUnitTasks(
    OpBuilder &builder, ssm::ScanOp op, Value batches, int64_t unitsOfRow,
    Value tokens, double stepCost,
    llvm::function_ref<void(Value begin, Value end)> body) {
  Location loc = op.getLoc();
  auto index = [&](int64_t value) { return indexConstant(builder, loc, value); };
  Value numUnits = mulIndex(builder, loc, batches, index(unitsOfRow));
  // In steps, as the length is known at run time only.
  int64_t stateSteps =
      getStateCost(op) / std::max<int64_t>(unitsOfRow, 1) / stepCost;
  Value steps = addIndex(builder, loc, tokens, index(stateSteps));
  Value least = builder.createOrFold<arith::MaxSIOp>(loc, numUnits, index(1));
  Value unitsPerTask = minIndex(
      builder, loc, getUnitsPerTask(builder, loc, steps, stepCost), least);
  emitTasks(builder, loc, numUnits, unitsPerTask, std::nullopt, body);
}
