//===- PackWeights.cpp - Weight matrices to panels ------------------------===//

#include "Target/CPU/IndexMath.h"
#include "Target/CPU/PackedMatmul.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace ssmc::cpu;

static Value convertFloat(ImplicitLocOpBuilder &b, Value value, Type type) {
  unsigned from = value.getType().getIntOrFloatBitWidth();
  unsigned to = type.getIntOrFloatBitWidth();
  if (value.getType() == type)
    return value;
  if (from < to)
    return arith::ExtFOp::create(b, type, value);
  if (from > to)
    return arith::TruncFOp::create(b, type, value);
  return convertFloat(b, convertFloat(b, value, b.getF32Type()), type);
}

void ssmc::cpu::emitPackWeights(OpBuilder &builder, Location loc, Value weight,
                                Value packed, bool transposed) {
  ImplicitLocOpBuilder b(loc, builder);
  IndexMath index(b);
  auto type = cast<MemRefType>(packed.getType());
  auto element = cast<FloatType>(type.getElementType());
  bool isPaired = type.getRank() == 4;
  Value columns = index.dim(weight, transposed ? 1 : 0);
  Value depth = index.dim(weight, transposed ? 0 : 1);
  Value panels = index.dim(packed, 0);
  Value rows = index.mul(index.dim(packed, 1), isPaired ? 2 : 1);
  Value width = index.dim(packed, 2);
  Value zeroIndex = index.constant(0), one = index.constant(1);

  auto packElement = [&](Value panel, Value k, Value column) {
    Value n = index.add(index.mul(panel, width), column);
    Value isInside = arith::AndIOp::create(b, index.less(n, columns),
                                           index.less(k, depth));
    auto load = [&](OpBuilder &, Location) {
      Value value = memref::LoadOp::create(
          b, weight, transposed ? ValueRange{k, n} : ValueRange{n, k});
      scf::YieldOp::create(b, convertFloat(b, value, element));
    };
    auto pad = [&](OpBuilder &, Location) {
      Value zero = arith::ConstantOp::create(b, b.getFloatAttr(element, 0.0));
      scf::YieldOp::create(b, zero);
    };
    Value value = scf::IfOp::create(b, isInside, load, pad).getResult(0);
    SmallVector<Value> position = {panel, k, column};
    if (isPaired) {
      Value two = index.constant(2);
      position = {panel, index.div(k, two), column, index.rem(k, two)};
    }
    memref::StoreOp::create(b, value, packed, position);
  };

  // The inner loop follows the weight's rows.
  auto parallel = scf::ParallelOp::create(
      b, ValueRange{zeroIndex}, ValueRange{panels}, ValueRange{one},
      [&](OpBuilder &, Location, ValueRange task) {
        Value outerEnd = transposed ? rows : width;
        Value innerEnd = transposed ? width : rows;
        scf::ForOp::create(
            b, zeroIndex, outerEnd, one, ValueRange{},
            [&](OpBuilder &, Location, Value outer, ValueRange) {
              scf::ForOp::create(
                  b, zeroIndex, innerEnd, one, ValueRange{},
                  [&](OpBuilder &, Location, Value inner, ValueRange) {
                    packElement(task[0], transposed ? outer : inner,
                                transposed ? inner : outer);
                    scf::YieldOp::create(b);
                  });
              scf::YieldOp::create(b);
            });
      });
  if (type.hasStaticShape() && type.getNumElements() > 0)
    parallel->setAttr("ssm.cost",
                      b.getI64IntegerAttr(
                          1 + type.getNumElements() / type.getDimSize(0)));
}
