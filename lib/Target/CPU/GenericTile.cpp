//===- GenericTile.cpp - A block of results of a map or contraction -------===//

#include "GenericLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace ssmc::cpu;

Value GenericLowering::getNeutral(Operation *combiner, Type type) {
  auto kind =
      llvm::TypeSwitch<Operation *, arith::AtomicRMWKind>(combiner)
          .Case<arith::AddFOp>([](auto) { return arith::AtomicRMWKind::addf; })
          .Case<arith::MulFOp>([](auto) { return arith::AtomicRMWKind::mulf; })
          .Case<arith::AddIOp>([](auto) { return arith::AtomicRMWKind::addi; })
          .Case<arith::MulIOp>([](auto) { return arith::AtomicRMWKind::muli; })
          .Case<arith::MaximumFOp>(
              [](auto) { return arith::AtomicRMWKind::maximumf; })
          .Case<arith::MinimumFOp>(
              [](auto) { return arith::AtomicRMWKind::minimumf; })
          .Case<arith::MaxNumFOp>(
              [](auto) { return arith::AtomicRMWKind::maxnumf; })
          .Case<arith::MinNumFOp>(
              [](auto) { return arith::AtomicRMWKind::minnumf; })
          .Case<arith::MaxSIOp>([](auto) { return arith::AtomicRMWKind::maxs; })
          .Case<arith::MinSIOp>([](auto) { return arith::AtomicRMWKind::mins; })
          .Case<arith::OrIOp>([](auto) { return arith::AtomicRMWKind::ori; })
          .Default([](auto) { return arith::AtomicRMWKind::andi; });
  return arith::getIdentityValue(kind, type, builder, loc);
}

SmallVector<Offsets> GenericLowering::getPoints(int64_t rows, int64_t vectors) {
  SmallVector<Offsets> points;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t vector = 0; vector < vectors; ++vector) {
      Offsets point(numDims, 0);
      if (rowDim)
        point[*rowDim] = row;
      if (lane)
        point[*lane] = vector * width;
      points.push_back(point);
    }
  return points;
}

void GenericLowering::emitTile(RegionEmitter &emitter, int64_t rows,
                               int64_t vectors) {
  SmallVector<Offsets> points = getPoints(rows, vectors);
  OperandRange yielded = body.getTerminator()->getOperands();
  if (reductions.empty()) {
    for (const Offsets &point : points)
      for (auto [i, output] : llvm::enumerate(outputs))
        emitter.get(yielded[i], point);
    for (const Offsets &point : points)
      for (auto [i, output] : llvm::enumerate(outputs))
        emitter.store(output, emitter.get(yielded[i], point), point);
    return;
  }
  // With the lanes over a reduction, partial results start from neutral
  // elements and what the output held comes in last.
  SmallVector<Value> accumulators;
  RegionEmitter inner = emitter;
  if (lanesReduce()) {
    Lanes lanes;
    lanes.dim = lane;
    lanes.width = width;
    inner.setLanes(lanes);
  }
  for (auto [i, output] : llvm::enumerate(outputs)) {
    for (const Offsets &point : points) {
      Type element = cast<MemRefType>(output.memref.getType()).getElementType();
      Value start = lanesReduce() ? getNeutral(matchCombiner(i), element)
                                  : inner.load(output, point);
      accumulators.push_back(inner.splat(start));
    }
  }
  inner.hoist(body, points);
  accumulators =
      emitReductions(inner, 0, std::move(accumulators), rows, vectors);
  unsigned next = 0;
  for (auto [i, output] : llvm::enumerate(outputs)) {
    for (const Offsets &point : points) {
      Value result = accumulators[next++];
      if (lanesReduce()) {
        Operation *combiner = matchCombiner(i);
        result = reduceLanes(builder, loc, combiner, result);
        Value old = emitter.load(output, point);
        IRMapping mapping;
        bool accumulatorFirst =
            combiner->getOperand(0) == op.getRegionOutputArgs()[i];
        mapping.map(combiner->getOperand(0), accumulatorFirst ? old : result);
        mapping.map(combiner->getOperand(1), accumulatorFirst ? result : old);
        result = builder.clone(*combiner, mapping)->getResult(0);
      }
      emitter.store(output, result, point);
    }
  }
}

/// The region reads accumulators where it has the outputs' arguments.
void GenericLowering::bindAccumulators(RegionEmitter &emitter,
                                       SmallVector<Value> accumulators,
                                       int64_t rows, int64_t vectors) {
  llvm::SmallBitVector dims(numDims);
  if (rowDim)
    dims.set(*rowDim);
  if (lane)
    dims.set(*lane);
  for (unsigned i = 0; i < outputs.size(); ++i) {
    auto source = [=](const Offsets &point) {
      int64_t row = rowDim ? point[*rowDim] : 0;
      int64_t vector = lane ? point[*lane] / width : 0;
      return accumulators[(i * rows + row) * vectors + vector];
    };
    emitter.bindSource(op.getRegionOutputArgs()[i], source, dims,
                       /*varies=*/true);
  }
}

/// One evaluation of the body for all points, `shift` steps further.
SmallVector<Value> GenericLowering::emitStep(RegionEmitter &emitter,
                                             SmallVector<Value> accumulators,
                                             int64_t rows, int64_t vectors,
                                             Offsets shift) {
  SmallVector<Offsets> points = getPoints(rows, vectors);
  bindAccumulators(emitter, accumulators, rows, vectors);
  SmallVector<Value> next;
  for (Value yielded : body.getTerminator()->getOperands())
    for (const Offsets &point : points) {
      Offsets shifted = point;
      for (unsigned dim = 0; dim < numDims; ++dim)
        shifted[dim] += shift[dim];
      next.push_back(emitter.getVector(yielded, shifted));
    }
  return next;
}

SmallVector<Value>
GenericLowering::emitReductions(RegionEmitter &emitter, unsigned level,
                                SmallVector<Value> accumulators, int64_t rows,
                                int64_t vectors) {
  unsigned dim = reductions[level];
  bool innermost = level + 1 == reductions.size();
  if (innermost && lanesReduce())
    return emitLaneReduction(emitter, std::move(accumulators), rows);
  auto emitLoop = [&](Value begin, Value end, int64_t step,
                      SmallVector<Value> inits) {
    return emitFor(
        builder, loc, begin, end, step, inits,
        [&](Value iv, ValueRange carried) {
          RegionEmitter inner = emitter;
          inner.bindDim(dim, iv);
          SmallVector<Value> values(carried);
          if (!innermost) {
            inner.hoist(body, getPoints(rows, vectors));
            return emitReductions(inner, level + 1, values, rows, vectors);
          }
          for (int64_t i = 0; step > 1 && i < int64_t(inputs.size()); ++i) {
            if (!inputs[i].map || !isTransposed(inputs[i], dim))
              continue;
            for (const Offsets &point : getPoints(rows, vectors)) {
              Offsets start = inner.zeroOffsets();
              for (unsigned d = 0; d < numDims; ++d)
                if (inputs[i].map.isFunctionOfDim(d))
                  start[d] = point[d];
              if (start != point && !(rowDim && point[*rowDim] == 0))
                continue;
              SmallVector<Value> loaded =
                  inner.loadTransposed(inputs[i], dim, step, start);
              for (auto [u, value] : llvm::enumerate(loaded)) {
                Offsets at = start;
                at[dim] = u;
                inner.setValue(op.getRegionInputArgs()[i], at, value);
              }
            }
          }
          for (int64_t u = 0; u < step; ++u) {
            Offsets shift = inner.zeroOffsets();
            shift[dim] = u;
            values = emitStep(inner, values, rows, vectors, shift);
          }
          return values;
        });
  };
  if (!innermost || !transposes)
    return emitLoop(index(0), extents[dim], 1, std::move(accumulators));
  Value size = index(width);
  Value whole = mulIndex(
      builder, loc,
      builder.createOrFold<arith::DivUIOp>(loc, extents[dim], size), size);
  accumulators = emitLoop(index(0), whole, width, std::move(accumulators));
  return emitLoop(whole, extents[dim], 1, std::move(accumulators));
}

SmallVector<Value> GenericLowering::emitLaneReduction(
    RegionEmitter &emitter, SmallVector<Value> accumulators, int64_t rows) {
  Value size = index(width);
  Value whole = mulIndex(
      builder, loc,
      builder.createOrFold<arith::DivUIOp>(loc, extents[*lane], size), size);
  accumulators = emitFor(builder, loc, index(0), whole, width, accumulators,
                         [&](Value iv, ValueRange carried) {
                           RegionEmitter inner = emitter;
                           inner.bindDim(*lane, iv);
                           return emitStep(inner, SmallVector<Value>(carried),
                                           rows, 1, inner.zeroOffsets());
                         });
  return emitFor(
      builder, loc, whole, extents[*lane], width, accumulators,
      [&](Value iv, ValueRange carried) {
        RegionEmitter inner = emitter;
        Lanes lanes = emitter.getLanes();
        lanes.mask = vector::CreateMaskOp::create(
            builder, loc, VectorType::get({width}, builder.getI1Type()),
            subIndex(builder, loc, extents[*lane], iv));
        lanes.last = subIndex(builder, loc, extents[*lane], index(1));
        inner.setLanes(lanes);
        inner.bindDim(*lane, iv);
        SmallVector<Value> next = emitStep(inner, SmallVector<Value>(carried),
                                           rows, 1, inner.zeroOffsets());
        for (auto [value, old] : llvm::zip(next, carried))
          value = arith::SelectOp::create(builder, loc, lanes.mask, value, old);
        return next;
      });
}
