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

void ssmc::cpu::emitUnitTasks(
    OpBuilder &builder, Location loc, Value numUnits, Value tokens,
    double stepCost, llvm::function_ref<void(Value begin, Value end)> body) {
  Value least = builder.createOrFold<arith::MaxSIOp>(
      loc, numUnits, indexConstant(builder, loc, 1));
  Value unitsPerTask = minIndex(
      builder, loc, getUnitsPerTask(builder, loc, tokens, stepCost), least);
  emitTasks(builder, loc, numUnits, unitsPerTask, std::nullopt, body);
}
