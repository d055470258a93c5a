//===- LowerShift.cpp - The sequence some tokens earlier or later ---------===//

#include "CarriedTokens.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

LogicalResult ssmc::cpu::lowerShift(RewriterBase &rewriter, ShiftOp op,
                                    const VectorTarget &target) {
  Value output = op.getOuts().front();
  auto type = dyn_cast<MemRefType>(output.getType());
  if (!type)
    return failure();
  rewriter.setInsertionPoint(op);
  Location loc = op.getLoc();
  CarriedTokens carried;
  carried.input = op.getInput();
  carried.history = op.getHistory();
  carried.cut = op.getCut();
  carried.length = std::max<int64_t>(op.getDistance(), 0);
  auto getExtent = [&](int64_t axis) -> Value {
    if (!type.isDynamicDim(axis))
      return indexConstant(rewriter, loc, type.getDimSize(axis));
    return memref::DimOp::create(rewriter, loc, output, axis);
  };
  carried.batches = getExtent(0);
  carried.tokens = getExtent(1);

  int64_t elements = 1;
  for (int64_t extent : type.getShape().drop_front(2))
    elements *= ShapedType::isDynamic(extent) ? 64 : extent;
  double tokenCost = 5 + 0.3 * elements * 32 / double(target.bits);
  int64_t perTask = std::max<int64_t>(1, 2e4 / tokenCost);
  Value units = mulIndex(rewriter, loc, carried.batches, carried.tokens);
  Value distance = indexConstant(rewriter, loc, op.getDistance());
  emitTasks(rewriter, loc, units, indexConstant(rewriter, loc, perTask),
            perTask * tokenCost, [&](Value begin, Value end) {
              emitFor(rewriter, loc, begin, end, 1, [&](Value unit) {
                SmallVector<Value> at = delinearize(
                    rewriter, loc, unit, {carried.batches, carried.tokens});
                Value token = subIndex(rewriter, loc, at[1], distance);
                emitCopyCarried(rewriter, loc, target, carried, token, at[1],
                                output, at[1], at[0]);
              });
            });
  if (op.getOuts().size() > 1)
    emitFinalHistory(rewriter, loc, target, carried, op.getOuts()[1]);
  rewriter.eraseOp(op);
  return success();
}
