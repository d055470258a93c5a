//===- AttendStaging.cpp - Between memory and scratch of a tile -----------===//
//
// Queries are transposed once for a block. Keys and values of a tile are copied, from
// this call or from the rings that hold earlier tokens: rows that lie apart in memory
// come to lie together, in the type that is computed with.
//
//===----------------------------------------------------------------------===//

#include "AttendLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <limits>

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Calls `body` for vectors along the last of `dims` at each point of the others, with
/// the number of the first element; for one scalar if there are none.
void AttendLowering::forPoints(RegionEmitter &emitter, ArrayRef<unsigned> dims,
                               Point body) {
  std::function<void(RegionEmitter &, unsigned, Value)> visit =
      [&](RegionEmitter &outer, unsigned number, Value first) {
        if (number == dims.size())
          return body(outer, first);
        unsigned dim = dims[number];
        Value scaled = mulIndex(builder, loc, first, index(sizes[dim]));
        if (number + 1 == dims.size())
          return emitLaneLoops(outer, loc, dim, index(0), index(sizes[dim]), width, 1,
                               sizes[dim], [&](RegionEmitter &inner, int64_t) {
                                 body(inner, plus(scaled, inner.getDim(dim)));
                               });
        emitFor(builder, loc, index(0), index(sizes[dim]), 1, [&](Value at) {
          RegionEmitter inner = outer;
          inner.bindDim(dim, at);
          visit(inner, number + 1, plus(scaled, at));
        });
      };
  visit(emitter, 0, index(0));
}

/// The lanes are queries from `row` of the block on; those after the last query are off.
void AttendLowering::setRows(RegionEmitter &emitter, Value row) {
  Value first = plus(firstRow, row);
  Lanes lanes;
  lanes.dim = 1;
  lanes.width = width;
  lanes.mask = vector::CreateMaskOp::create(
      builder, loc, VectorType::get({width}, builder.getI1Type()), sub(tokens, first));
  lanes.last = sub(tokens, index(1));
  emitter.setLanes(lanes);
  emitter.bindDim(1, first);
}

void AttendLowering::stageQueries(Pair &pair) {
  Access access{op.getQueries()[pair.number], op.getQueryMap(pair.number)};
  // Whole vectors of the last dimension are transposed in registers.
  bool isTransposed =
      !pair.dims.empty() && access.map.isFunctionOfDim(1) &&
      sizes[pair.dims.back()] >= width &&
      getStride(access, pair.dims.back()) == Stride::unit &&
      !access.map.getResults().back().isFunctionOfDim(1);
  emitFor(builder, loc, index(0), paddedRows, width, [&](Value row) {
    RegionEmitter rows = *unit;
    setRows(rows, row);
    auto store = [&](Value value, Value depth) {
      storeVector(convert(rows.splat(value), element), pair.queries, {depth, row});
    };
    std::function<void(RegionEmitter &, unsigned, Value)> visit =
        [&](RegionEmitter &outer, unsigned number, Value first) {
          if (number == pair.dims.size())
            return store(outer.load(access, outer.zeroOffsets()), first);
          unsigned dim = pair.dims[number];
          int64_t size = sizes[dim], whole = 0;
          Value scaled = mulIndex(builder, loc, first, index(size));
          if (isTransposed && number + 1 == pair.dims.size())
            whole = size / width * width;
          emitFor(builder, loc, index(0), index(whole), width, [&](Value at) {
            RegionEmitter inner = outer;
            inner.bindDim(dim, at);
            SmallVector<Value> vectors =
                inner.loadTransposed(access, dim, width, inner.zeroOffsets());
            if (vectors.empty())
              for (int64_t i = 0; i < width; ++i) {
                Offsets offsets = inner.zeroOffsets();
                offsets[dim] = i;
                vectors.push_back(inner.load(access, offsets));
              }
            for (auto [i, vector] : llvm::enumerate(vectors))
              store(vector, this->at(plus(scaled, at), i));
          });
          emitFor(builder, loc, index(whole), index(size), 1, [&](Value at) {
            RegionEmitter inner = outer;
            inner.bindDim(dim, at);
            visit(inner, number + 1, plus(scaled, at));
          });
        };
    visit(rows, 0, index(0));
  });
}

/// Copies what is read at the tokens of the tile: `number` counts keys, values and
/// decays. Tokens that no history holds any more are zero.
void AttendLowering::stageKeyed(unsigned number, AffineMap map,
                                ArrayRef<unsigned> dims, Value scratch) {
  bool isRow = cast<MemRefType>(scratch.getType()).getRank() == 2;
  auto store = [&](RegionEmitter &emitter, Value value, Value row, Value place) {
    value = convert(value, element);
    SmallVector<Value> indices{row};
    if (isRow)
      indices.push_back(place);
    if (!isRow || dims.empty())
      memref::StoreOp::create(builder, loc, value, scratch, indices);
    else
      storeVector(emitter.splat(value), scratch, indices);
  };
  auto copy = [&](Value memory, Value token, Value row) {
    RegionEmitter emitter = *unit;
    emitter.bindDim(2, token);
    forPoints(emitter, dims, [&](RegionEmitter &inner, Value place) {
      store(inner, inner.load({memory, map}, inner.zeroOffsets()), row, place);
    });
  };
  Value input = op.getKeyed()[number];
  emitFor(builder, loc, index(0), count, 1, [&](Value row) {
    Value token = plus(low, row);
    Value own = sub(token, position);
    if (op.getHistories().empty())
      return copy(input, own, row);
    Value history = op.getHistories()[number];
    Value ringTokens = builder.createOrFold<memref::DimOp>(loc, history, 1);
    auto copyKept = [&] {
      copy(history,
           arith::RemSIOp::create(builder, loc, token, max(ringTokens, index(1))), row);
    };
    auto clear = [&] {
      RegionEmitter emitter = *unit;
      emitter.bindDim(2, own);
      forPoints(emitter, dims, [&](RegionEmitter &inner, Value place) {
        Value zero =
            arith::ConstantOp::create(builder, loc, builder.getZeroAttr(element));
        store(inner, zero, row, place);
      });
    };
    emitIf(
        builder, loc, compare(arith::CmpIPredicate::sge, own, index(0)),
        [&] { copy(input, own, row); },
        [&] {
          emitIf(builder, loc,
                 compare(arith::CmpIPredicate::sge, plus(own, ringTokens), index(0)),
                 copyKept, clear);
        });
  });
}

/// The element of an operand of the score at a point without lanes: NaN, or zero where
/// there is none, outside of it.
Value AttendLowering::loadChecked(RegionEmitter &emitter, const Access &access) {
  Type type = getElementTypeOrSelf(access.memref);
  SmallVector<Value> indices = emitter.getIndices(access, emitter.zeroOffsets());
  Value isInside;
  for (auto [axis, expr] : llvm::enumerate(access.map.getResults())) {
    if (isa<AffineDimExpr, AffineConstantExpr>(expr))
      continue;
    Value extent = builder.createOrFold<memref::DimOp>(loc, access.memref, axis);
    // A negative index is a large unsigned one.
    Value fits = compare(arith::CmpIPredicate::ult, indices[axis], extent);
    isInside =
        isInside ? builder.createOrFold<arith::AndIOp>(loc, isInside, fits) : fits;
  }
  TypedAttr none = cast<TypedAttr>(builder.getZeroAttr(type));
  if (isa<FloatType>(type))
    none = builder.getFloatAttr(type, std::numeric_limits<double>::quiet_NaN());
  return emitChoice(
      builder, loc, isInside,
      [&]() -> Value {
        return memref::LoadOp::create(builder, loc, access.memref, indices);
      },
      [&]() -> Value { return arith::ConstantOp::create(builder, loc, none); });
}

/// Elements at the distances of the tile, from that of the first query and the last key
/// on.
void AttendLowering::stageWindow(Window &window) {
  Access access{op.getScoreIns()[window.number], op.getScoreMap(window.number)};
  Value distances = sub(plus(paddedRows, count), index(1));
  emitFor(builder, loc, index(0), distances, 1, [&](Value distance) {
    RegionEmitter emitter = *unit;
    emitter.bindDim(1, plus(firstRow, distance));
    emitter.bindDim(2, sub(sub(high, index(1)), position));
    memref::StoreOp::create(builder, loc, loadChecked(emitter, access),
                            window.elements, distance);
  });
}

/// An operand of the score for each query of a vector on its own.
Value AttendLowering::loadByLane(unsigned scoreIn) {
  Access access{op.getScoreIns()[scoreIn], op.getScoreMap(scoreIn)};
  SmallVector<Value> elements;
  for (int64_t lane = 0; lane < width; ++lane) {
    RegionEmitter emitter = *unit;
    emitter.bindDim(1, min(this->at(plus(firstRow, row), lane), sub(tokens, index(1))));
    emitter.bindDim(2, sub(plus(low, key), position));
    elements.push_back(loadChecked(emitter, access));
  }
  auto type = VectorType::get({width}, getElementTypeOrSelf(access.memref));
  return vector::FromElementsOp::create(builder, loc, type, elements);
}

/// The sums, divided by the sum of weights after a softmax; by one where nothing is seen.
void AttendLowering::emitOutputs() {
  Type type = getElementTypeOrSelf(op.getOutput());
  emitFor(builder, loc, index(0), numRows, 1, [&](Value row) {
    RegionEmitter emitter = *unit;
    emitter.bindDim(1, plus(firstRow, row));
    Value divisor;
    if (op.getSoftmax()) {
      Value total = loadScalar(totals, row);
      Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(element));
      Value one =
          arith::ConstantOp::create(builder, loc, builder.getFloatAttr(element, 1.0));
      Value isSeen = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::UNE,
                                           total, zero);
      divisor = arith::SelectOp::create(builder, loc, isSeen, total, one);
    }
    forPoints(emitter, valueLanes, [&](RegionEmitter &inner, Value place) {
      Value sum = valueLanes.empty() ? loadScalar(sums, {row, place})
                                     : loadVector(sums, {row, place});
      if (divisor)
        sum = arith::DivFOp::create(builder, loc, sum,
                                    valueLanes.empty() ? divisor : splat(divisor));
      inner.store({op.getOutput(), op.getOutputMap()}, convert(sum, type),
                  inner.zeroOffsets());
    });
  });
}
