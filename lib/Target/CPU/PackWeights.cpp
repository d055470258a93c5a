//===- PackWeights.cpp - Weight matrices to panels ------------------------===//

#include "Target/CPU/IndexMath.h"
#include "Target/CPU/PackedMatmul.h"
#include "Target/CPU/VectorEmitter.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace ssmc::cpu;

/// Rows of panels that are filled at a time: what they take stays in a first level
/// cache while one column after the other adds its elements.
static constexpr int64_t blockRows = 64;

void ssmc::cpu::emitPackWeights(OpBuilder &builder, Location loc, Value weight,
                                Value packed, bool transposed) {
  ImplicitLocOpBuilder b(loc, builder);
  IndexMath index(b);
  auto type = cast<MemRefType>(packed.getType());
  auto weightType = cast<MemRefType>(weight.getType());
  auto element = cast<FloatType>(type.getElementType());
  bool isPaired = type.getRank() == 4;
  int64_t columns = weightType.getDimSize(transposed ? 1 : 0);
  int64_t depth = weightType.getDimSize(transposed ? 0 : 1);
  int64_t panels = type.getDimSize(0), width = type.getDimSize(2);
  int64_t rows = type.getDimSize(1) * (isPaired ? 2 : 1);
  Value one = index.constant(1);

  auto forRange = [&](Value begin, Value end, int64_t step,
                      llvm::function_ref<void(Value)> body) {
    scf::ForOp::create(b, begin, end, index.constant(step), ValueRange{},
                       [&](OpBuilder &, Location, Value i, ValueRange) {
                         body(i);
                         scf::YieldOp::create(b);
                       });
  };
  auto store = [&](Value value, Value panel, Value k, Value column) {
    SmallVector<Value> position = {panel, k, column};
    if (isPaired) {
      Value two = index.constant(2);
      position = {panel, index.div(k, two), column, index.rem(k, two)};
    }
    memref::StoreOp::create(b, value, packed, position);
  };
  auto copy = [&](Value panel, Value k, Value column) {
    Value n = index.add(index.mul(panel, index.constant(width)), column);
    Value value = memref::LoadOp::create(
        b, weight, transposed ? ValueRange{k, n} : ValueRange{n, k});
    store(convertFloat(b, loc, value, element), panel, k, column);
  };

  auto parallel = scf::ParallelOp::create(
      b, ValueRange{index.constant(0)}, ValueRange{index.constant(panels)},
      ValueRange{one}, [&](OpBuilder &, Location, ValueRange task) {
        Value panel = task[0];
        Value zero = index.constant(0), depthEnd = index.constant(depth);
        Value columnEnd = index.constant(width);
        if (columns % width)
          columnEnd = index.min(
              columnEnd, index.sub(index.constant(columns),
                                   index.mul(panel, index.constant(width))));
        forRange(zero, depthEnd, blockRows, [&](Value begin) {
          Value end = begin;
          if (depth % blockRows)
            end = index.min(index.add(begin, index.constant(blockRows)), depthEnd);
          else
            end = index.add(begin, index.constant(blockRows));
          // The inner loop follows the weight's rows.
          if (transposed)
            forRange(begin, end, 1, [&](Value k) {
              forRange(zero, columnEnd, 1,
                       [&](Value column) { copy(panel, k, column); });
            });
          else
            forRange(zero, columnEnd, 1, [&](Value column) {
              forRange(begin, end, 1,
                       [&](Value k) { copy(panel, k, column); });
            });
        });
        // What is beyond the weight counts nothing.
        Value nothing =
            arith::ConstantOp::create(b, b.getFloatAttr(element, 0.0));
        auto clear = [&](Value firstRow, Value firstColumn) {
          forRange(firstRow, index.constant(rows), 1, [&](Value k) {
            forRange(firstColumn, index.constant(width), 1,
                     [&](Value column) { store(nothing, panel, k, column); });
          });
        };
        if (columns % width)
          clear(zero, columnEnd);
        if (rows > depth)
          clear(depthEnd, zero);
      });
  if (type.hasStaticShape() && type.getNumElements() > 0)
    parallel->setAttr("ssm.cost",
                      b.getI64IntegerAttr(
                          1 + type.getNumElements() / type.getDimSize(0)));
}
