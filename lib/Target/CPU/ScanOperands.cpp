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

/// Bytes of an operand that belong to one batch row.
static double getBytesOfRow(MemRefType type, bool hasRows) {
  double elements = 1;
  for (int64_t size : type.getShape().drop_front(hasRows ? 1 : 0))
    elements *= ShapedType::isDynamic(size) ? 1 : size;
  return elements * type.getElementTypeBitWidth() / 8;
}

/// Nanoseconds in which one core reads and writes what a batch row needs once,
/// however many tokens there are: states, and operands that no token changes.
/// With few tokens they come from memory: those of other layers were touched
/// since.
static double getOnceCost(ssm::ScanOp op) {
  constexpr double nanosecondsPerByte = 0.05;
  double bytes = 0;
  for (Value state : op.getFinalStates())
    bytes += 2 * getBytesOfRow(cast<MemRefType>(state.getType()), true);
  for (auto [i, operand] : llvm::enumerate(op.getIns())) {
    AffineMap map = op.getInsMap(i);
    if (!map.isFunctionOfDim(1))
      bytes += getBytesOfRow(cast<MemRefType>(operand.getType()),
                             map.isFunctionOfDim(0));
  }
  return bytes * nanosecondsPerByte;
}

/// Nanoseconds of work that two threads finish sooner than one: both wait for
/// memory, and starting the second takes about one of them.
static constexpr double worthTwoThreads = 16e3;

void ssmc::cpu::emitUnitTasks(
    OpBuilder &builder, ssm::ScanOp op, Value batches, int64_t unitsOfRow,
    Value tokens, double stepCost,
    llvm::function_ref<void(Value begin, Value end)> body) {
  Location loc = op.getLoc();
  auto index = [&](int64_t value) { return indexConstant(builder, loc, value); };
  Value numUnits = mulIndex(builder, loc, batches, index(unitsOfRow));
  // In steps, as the length is known at run time only.
  int64_t onceSteps =
      getOnceCost(op) / std::max<int64_t>(unitsOfRow, 1) / stepCost;
  Value steps = addIndex(builder, loc, tokens, index(onceSteps));
  Value least = builder.createOrFold<arith::MaxSIOp>(loc, numUnits, index(1));
  Value unitsPerTask = minIndex(
      builder, loc, getUnitsPerTask(builder, loc, steps, stepCost), least);
  // Work of one or two tasks is halved.
  Value isWorthTwo = builder.createOrFold<arith::CmpIOp>(
      loc, arith::CmpIPredicate::sge, mulIndex(builder, loc, numUnits, steps),
      index(worthTwoThreads / stepCost));
  Value half = ceilDivIndex(builder, loc, least, index(2));
  unitsPerTask = builder.createOrFold<arith::SelectOp>(
      loc, isWorthTwo, minIndex(builder, loc, unitsPerTask, half), unitsPerTask);
  emitTasks(builder, loc, numUnits, unitsPerTask, std::nullopt, body);
}
