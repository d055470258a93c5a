//===- CarriedTokens.cpp - Earlier tokens of a sequence -------------------===//

#include "CarriedTokens.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace ssmc;
using namespace ssmc::cpu;

static Value getExtent(OpBuilder &builder, Location loc, Value memref,
                       int64_t axis) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(axis))
    return indexConstant(builder, loc, type.getDimSize(axis));
  return memref::DimOp::create(builder, loc, memref, axis);
}

void ssmc::cpu::emitCopyToken(OpBuilder &builder, Location loc,
                              const VectorTarget &target, Value source,
                              Value sourceToken, Value destination,
                              Value destinationToken, Value batch) {
  auto type = cast<MemRefType>(destination.getType());
  unsigned rank = type.getRank();
  AffineMap identity = builder.getMultiDimIdentityMap(rank);
  Type element = type.getElementType();
  int64_t width = target.getLanes(element.getIntOrFloatBitWidth());
  RegionEmitter write(builder, loc, rank);
  write.bindDim(0, batch);
  write.bindDim(1, destinationToken);
  auto emitPoint = [&](RegionEmitter &emitter) {
    Value value;
    if (source) {
      RegionEmitter read = emitter;
      read.bindDim(1, sourceToken);
      value = read.load({source, identity}, read.zeroOffsets());
    } else {
      Type loaded = emitter.getLanesType(element);
      value =
          arith::ConstantOp::create(builder, loc, builder.getZeroAttr(loaded));
    }
    emitter.store({destination, identity}, value, emitter.zeroOffsets());
  };
  std::function<void(RegionEmitter &, unsigned)> emitDim =
      [&](RegionEmitter &emitter, unsigned dim) {
        if (dim == rank)
          return emitPoint(emitter);
        Value zero = indexConstant(builder, loc, 0);
        Value extent = getExtent(builder, loc, destination, dim);
        if (dim + 1 == rank && !element.isInteger(1))
          return emitLaneLoops(
              emitter, loc, dim, zero, extent, width, 1,
              type.isDynamicDim(dim) ? 1 : type.getDimSize(dim),
              [&](RegionEmitter &inner, int64_t) { emitPoint(inner); });
        emitFor(builder, loc, zero, extent, 1, [&](Value iv) {
          RegionEmitter inner = emitter;
          inner.bindDim(dim, iv);
          emitDim(inner, dim + 1);
        });
      };
  emitDim(write, 2);
}

Value ssmc::cpu::emitIsCut(OpBuilder &builder, Location loc,
                           const CarriedTokens &carried, Value batch,
                           Value token, Value last) {
  if (!carried.cut)
    return Value();
  Value zero = indexConstant(builder, loc, 0);
  Value one = indexConstant(builder, loc, 1);
  Value begin = arith::MaxSIOp::create(
      builder, loc, addIndex(builder, loc, token, one), zero);
  Value none =
      arith::ConstantOp::create(builder, loc, builder.getBoolAttr(false));
  return emitFor(builder, loc, begin, addIndex(builder, loc, last, one), 1,
                 none, [&](Value t, ValueRange found) {
                   Value starts = memref::LoadOp::create(
                       builder, loc, carried.cut, ValueRange{batch, t});
                   return SmallVector<Value>{
                       arith::OrIOp::create(builder, loc, found[0], starts)};
                 })[0];
}

void ssmc::cpu::emitCopyCarried(OpBuilder &builder, Location loc,
                                const VectorTarget &target,
                                const CarriedTokens &carried, Value token,
                                Value last, Value destination,
                                Value destinationToken, Value batch) {
  auto copy = [&](Value source, Value sourceToken) {
    emitCopyToken(builder, loc, target, source, sourceToken, destination,
                  destinationToken, batch);
  };
  auto compare = [&](arith::CmpIPredicate predicate, Value a, Value b) {
    return arith::CmpIOp::create(builder, loc, predicate, a, b).getResult();
  };
  Value isZero = emitIsCut(builder, loc, carried, batch, token, last);
  Value after = compare(arith::CmpIPredicate::sge, token, carried.tokens);
  isZero = isZero ? arith::OrIOp::create(builder, loc, isZero, after) : after;
  emitIf(
      builder, loc, isZero, [&] { copy(Value(), Value()); },
      [&] {
        Value zero = indexConstant(builder, loc, 0);
        emitIf(
            builder, loc, compare(arith::CmpIPredicate::slt, token, zero),
            [&] {
              Value length = indexConstant(builder, loc, carried.length);
              copy(carried.history, addIndex(builder, loc, token, length));
            },
            [&] { copy(carried.input, token); });
      });
}

void ssmc::cpu::emitFinalHistory(OpBuilder &builder, Location loc,
                                 const VectorTarget &target,
                                 const CarriedTokens &carried,
                                 Value destination) {
  Value one = indexConstant(builder, loc, 1);
  Value length = indexConstant(builder, loc, carried.length);
  // In increasing order a token is read before its place is overwritten. Rows
  // are short: a task takes several.
  emitTasks(builder, loc, carried.batches, indexConstant(builder, loc, 8),
            std::nullopt, [&](Value begin, Value end) {
              emitFor(builder, loc, begin, end, 1, [&](Value batch) {
                emitFor(
                    builder, loc, indexConstant(builder, loc, 0), length, 1,
                    [&](Value i) {
                      Value token = addIndex(
                          builder, loc,
                          subIndex(builder, loc, carried.tokens, length), i);
                      Value last = subIndex(builder, loc, carried.tokens, one);
                      emitCopyCarried(builder, loc, target, carried, token,
                                      last, destination, i, batch);
                    });
              });
            });
}

void ssmc::cpu::emitPutRing(OpBuilder &builder, Location loc,
                            const VectorTarget &target, Value input, Value ring,
                            Value position) {
  Value zero = indexConstant(builder, loc, 0), one = indexConstant(builder, loc, 1);
  Value batches = getExtent(builder, loc, input, 0);
  Value tokens = getExtent(builder, loc, input, 1);
  Value ringTokens = getExtent(builder, loc, ring, 1);
  Value skipped = arith::MaxSIOp::create(
      builder, loc, subIndex(builder, loc, tokens, ringTokens), zero);
  emitTasks(builder, loc, batches, one, std::nullopt, [&](Value begin, Value end) {
    emitFor(builder, loc, begin, end, 1, [&](Value batch) {
      emitFor(builder, loc, skipped, tokens, 1, [&](Value token) {
        Value place =
            arith::RemSIOp::create(builder, loc, addIndex(builder, loc, position, token),
                                   ringTokens);
        emitCopyToken(builder, loc, target, input, token, ring, place, batch);
      });
    });
  });
}
