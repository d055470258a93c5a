//===- AttendProducts.cpp - Arithmetic of a tile of queries and keys ------===//

#include "AttendLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <limits>

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

static constexpr double infinity = std::numeric_limits<double>::infinity();

/// Products of all keys and queries. Rows of the tile after the last key hold what was
/// there before; nobody asks for their products.
void AttendLowering::emitScores(Pair &pair) {
  forBlocks(paddedRows, getWidestBlock(), width, [&](Value column, int64_t vectors) {
    int64_t rows = std::min(getRows(vectors), tile);
    emitFor(builder, loc, index(0), count, rows, [&](Value first) {
      SmallVector<Value> products = accumulate(
          zeros(rows * vectors), rows, vectors, index(0), index(pair.depth),
          [&](int64_t r, Value depth) {
            return loadScalar(pair.keys, {at(first, r), depth});
          },
          [&](int64_t v, Value depth) {
            return loadVector(pair.queries, {depth, at(column, v * width)});
          });
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t v = 0; v < vectors; ++v)
          storeVector(products[r * vectors + v], pair.scores,
                      {at(first, r), at(column, v * width)});
    });
  });
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

/// The score of the queries from `row` of the block on and a key of the tile.
Value AttendLowering::getScore(RegionEmitter &rows, Value row, Value key) {
  this->row = row;
  this->key = key;
  RegionEmitter emitter = rows;
  emitter.bindDim(2, sub(plus(low, key), position));
  return emitter.getVector(op.getScoreYield().getOperand(0), emitter.zeroOffsets());
}

void AttendLowering::emitWeights(bool masked) {
  forBlocks(paddedRows, getWidestBlock(), width, [&](Value row, int64_t vectors) {
    emitWeights(row, vectors, masked);
  });
}

/// Weights of a few vectors of queries, from the last key to the first: so the decays of
/// those after a key are known.
void AttendLowering::emitWeights(Value first, int64_t vectors, bool masked) {
  std::vector<RegionEmitter> rows;
  SmallVector<Value> places, carried, seenFrom, seenTo;
  auto bounds = VectorType::get({width}, builder.getI64Type());
  for (int64_t v = 0; v < vectors; ++v) {
    places.push_back(at(first, v * width));
    row = places.back();
    rows.push_back(*unit);
    setRows(rows.back(), row);
    rows.back().hoist(body, {rows.back().zeroOffsets()});
    if (op.getSoftmax())
      carried.push_back(constant(-infinity));
    if (op.getDecays())
      carried.push_back(loadVector(carries, row));
    if (!masked)
      continue;
    seenFrom.push_back(vector::LoadOp::create(builder, loc, bounds, begins, row));
    seenTo.push_back(vector::LoadOp::create(builder, loc, bounds, ends, row));
  }
  Value last = sub(count, index(1));
  carried = emitFor(
      builder, loc, index(0), count, 1, carried,
      [&](Value step, ValueRange before) {
        Value key = sub(last, step);
        Value decay, token;
        if (op.getDecays())
          decay = splat(loadScalar(decays, key));
        if (masked) {
          token = arith::IndexCastOp::create(builder, loc, builder.getI64Type(),
                                             plus(low, key));
          token = vector::BroadcastOp::create(builder, loc, bounds, token);
        }
        SmallVector<Value> after;
        for (int64_t v = 0; v < vectors; ++v) {
          Value weight = getScore(rows[v], places[v], key), seen;
          if (masked)
            seen = arith::AndIOp::create(
                builder, loc, compare(arith::CmpIPredicate::sge, token, seenFrom[v]),
                compare(arith::CmpIPredicate::slt, token, seenTo[v]));
          auto select = [&](Value value, Value otherwise) {
            return masked ? arith::SelectOp::create(builder, loc, seen, value, otherwise)
                                .getResult()
                          : value;
          };
          if (op.getDecays()) {
            weight = multiply(weight, before[v]);
            after.push_back(select(flush(multiply(before[v], decay)), before[v]));
          }
          weight = select(weight, constant(op.getSoftmax() ? -infinity : 0));
          if (op.getSoftmax())
            after.push_back(
                arith::MaximumFOp::create(builder, loc, before[v], weight));
          storeVector(weight, weights, {key, places[v]});
        }
        return after;
      });
  for (int64_t v = 0; v < vectors; ++v) {
    if (op.getDecays())
      storeVector(carried[v], carries, places[v]);
  }
  if (op.getSoftmax())
    emitExponentials(places, carried);
}

/// Scores become weights: exponentials of what they are below the largest score so far.
/// What was summed before is scaled to a larger one.
void AttendLowering::emitExponentials(ArrayRef<Value> places, ValueRange found) {
  auto exponential = [&](Value value, Value top) -> Value {
    return math::ExpOp::create(builder, loc,
                               arith::SubFOp::create(builder, loc, value, top));
  };
  SmallVector<Value> tops, totalsBefore;
  for (auto [place, top] : llvm::zip(places, found)) {
    Value before = loadVector(largest, place);
    Value now = arith::MaximumFOp::create(builder, loc, before, top);
    storeVector(now, largest, place);
    // Where nothing is seen yet, nothing is subtracted.
    Value isNone = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OEQ, now,
                                         constant(-infinity));
    now = arith::SelectOp::create(builder, loc, isNone, constant(0), now);
    Value scale = exponential(before, now);
    storeVector(scale, scales, place);
    tops.push_back(now);
    totalsBefore.push_back(multiply(loadVector(totals, place), scale));
  }
  SmallVector<Value> sums = emitFor(
      builder, loc, index(0), count, 1, zeros(places.size()),
      [&](Value key, ValueRange before) {
        SmallVector<Value> after;
        for (auto [place, top, sum] : llvm::zip(places, tops, before)) {
          Value weight = exponential(loadVector(weights, {key, place}), top);
          storeVector(weight, weights, {key, place});
          after.push_back(add(sum, weight));
        }
        return after;
      });
  for (auto [place, before, sum] : llvm::zip(places, totalsBefore, sums))
    storeVector(add(before, sum), totals, place);
}

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

/// Sums of queries whose largest score has grown.
void AttendLowering::emitScale() {
  Value one = arith::ConstantOp::create(builder, loc, builder.getFloatAttr(element, 1.0));
  emitFor(builder, loc, index(0), numRows, 1, [&](Value row) {
    Value scale = loadScalar(scales, row);
    Value hasGrown =
        arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::UNE, scale, one);
    emitIf(builder, loc, hasGrown, [&] {
      emitFor(builder, loc, index(0), index(columns), width, [&](Value column) {
        storeVector(multiply(loadVector(sums, {row, column}), splat(scale)), sums,
                    {row, column});
      });
    });
  });
}

/// Adds the weighted values of the keys [lower, upper); with `masked` only where a
/// query sees the key.
SmallVector<Value> AttendLowering::emitSegment(ValueRange sums, Value row,
                                               int64_t rows, Value column,
                                               int64_t vectors, Value lower,
                                               Value upper, bool masked) {
  auto loadWeight = [&](int64_t r, Value key) {
    return loadScalar(weights, {key, at(row, r)});
  };
  auto loadValues = [&](int64_t v, Value key) {
    return loadVector(values, {key, at(column, v * width)});
  };
  if (!masked)
    return accumulate(sums, rows, vectors, lower, upper, loadWeight, loadValues);
  return emitFor(
      builder, loc, lower, upper, 1, sums, [&](Value key, ValueRange before) {
        Value token = arith::IndexCastOp::create(builder, loc, builder.getI64Type(),
                                                 plus(low, key));
        SmallVector<Value> columns, after;
        for (int64_t v = 0; v < vectors; ++v)
          columns.push_back(loadValues(v, key));
        for (int64_t r = 0; r < rows; ++r) {
          Value seen = arith::AndIOp::create(
              builder, loc,
              compare(arith::CmpIPredicate::sge, token, loadScalar(begins, at(row, r))),
              compare(arith::CmpIPredicate::slt, token, loadScalar(ends, at(row, r))));
          Value weight = splat(loadWeight(r, key));
          for (int64_t v = 0; v < vectors; ++v) {
            Value sum = before[r * vectors + v];
            Value next = add(multiply(weight, columns[v]), sum);
            after.push_back(arith::SelectOp::create(builder, loc, seen, next, sum));
          }
        }
        return after;
      });
}

void AttendLowering::emitSums() {
  forBlocks(columns, getWidestBlock(), width, [&](Value column, int64_t vectors) {
    int64_t rows = std::min(getRows(vectors), block);
    emitFor(builder, loc, index(0), numRows, rows, [&](Value row) {
      // Keys that some of the rows see, and those that all of them see.
      Value someBegin, allBegin, allEnd, someEnd;
      for (int64_t r = 0; r < rows; ++r) {
        auto load = [&](Value memory) {
          Value token = arith::IndexCastOp::create(
              builder, loc, builder.getIndexType(), loadScalar(memory, at(row, r)));
          return min(max(sub(token, low), index(0)), count);
        };
        Value begin = load(begins), end = load(ends);
        someBegin = r ? min(someBegin, begin) : begin;
        allBegin = r ? max(allBegin, begin) : begin;
        allEnd = r ? min(allEnd, end) : end;
        someEnd = r ? max(someEnd, end) : end;
      }
      allEnd = max(allEnd, allBegin);
      SmallVector<Value> block;
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t v = 0; v < vectors; ++v)
          block.push_back(loadVector(sums, {at(row, r), at(column, v * width)}));
      block = emitSegment(block, row, rows, column, vectors, someBegin, allBegin,
                          /*masked=*/true);
      block = emitSegment(block, row, rows, column, vectors, allBegin, allEnd,
                          /*masked=*/false);
      block = emitSegment(block, row, rows, column, vectors, allEnd, someEnd,
                          /*masked=*/true);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t v = 0; v < vectors; ++v)
          storeVector(block[r * vectors + v], sums,
                      {at(row, r), at(column, v * width)});
    });
  });
}
