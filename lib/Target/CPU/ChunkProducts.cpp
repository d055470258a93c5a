//===- ChunkProducts.cpp - Arithmetic of a chunk on scratch memory --------===//
//
// Rows past the last token of a chunk, up to a multiple of 16, hold zeros and
// decays of one: they change nothing. A token never meets later ones, not even
// multiplied by zero, so that a NaN stays where it arises.
//
//===----------------------------------------------------------------------===//

#include "ChunkLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

//===----------------------------------------------------------------------===//
// One decay for all keys
//===----------------------------------------------------------------------===//

/// products[i, j] = a_(j+1) ... a_i for j <= i, a row from the one above.
void ChunkLowering::emitDecayProducts() {
  auto stepType = VectorType::get({width}, builder.getI32Type());
  SmallVector<int32_t> numbers;
  for (int64_t i = 0; i < width; ++i)
    numbers.push_back(i);
  Value steps = arith::ConstantOp::create(
      builder, loc, DenseElementsAttr::get(stepType, ArrayRef(numbers)));
  emitFor(builder, loc, index(0), padded, width, [&](Value column) {
    emitFor(
        builder, loc, column, padded, 1, zeros(1),
        [&](Value row, ValueRange above) -> SmallVector<Value> {
          Value decay = splat(loadScalar(decays, row));
          Value product = flush(multiply(above[0], decay));
          Value distance =
              arith::IndexCastOp::create(builder, loc, builder.getI32Type(),
                                         subIndex(builder, loc, row, column));
          Value diagonal = arith::CmpIOp::create(
              builder, loc, arith::CmpIPredicate::eq, steps,
              vector::BroadcastOp::create(builder, loc, stepType, distance));
          product = arith::SelectOp::create(builder, loc, diagonal, constant(1),
                                            product);
          storeVector(product, products, {row, column});
          return {product};
        });
  });
}

void ChunkLowering::emitScores() {
  int64_t vectors = std::min<int64_t>(2, chunk / width);
  int64_t rows = getRows(vectors);
  emitFor(builder, loc, index(0), padded, rows, [&](Value row) {
    Value upper = mulIndex(
        builder, loc, ceilDivIndex(builder, loc, at(row, rows), index(width)),
        index(width));
    forBlocks(upper, vectors, width, [&](Value column, int64_t vectors) {
      SmallVector<Value> sums = accumulate(
          zeros(rows * vectors), rows, vectors, index(0), index(keys),
          [&](int64_t r, Value k) {
            return loadScalar(queries, {at(row, r), k});
          },
          [&](int64_t v, Value k) {
            return loadVector(keyColumns, {k, at(column, v * width)});
          });
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t v = 0; v < vectors; ++v) {
          SmallVector<Value> place{at(row, r), at(column, v * width)};
          Value score =
              multiply(sums[r * vectors + v], loadVector(products, place));
          Value visible = subIndex(builder, loc, at(place[0], 1), place[1]);
          Value mask = vector::CreateMaskOp::create(
              builder, loc, VectorType::get({width}, builder.getI1Type()),
              visible);
          score =
              arith::SelectOp::create(builder, loc, mask, score, constant(0));
          storeVector(score, scores, place);
        }
    });
  });
  // From here on the queries meet the state before the chunk.
  emitFor(builder, loc, index(0), padded, 1, [&](Value row) {
    Value scale =
        splat(arith::MulFOp::create(builder, loc, loadScalar(decays, index(0)),
                                    loadScalar(products, {row, index(0)})));
    emitFor(builder, loc, index(0), index(paddedKeys), width, [&](Value k) {
      storeVector(multiply(loadVector(queries, {row, k}), scale), queries,
                  {row, k});
    });
  });
}

/// Decays from each token to the end of the chunk, on its key.
void ChunkLowering::scaleForState() {
  Value last = subIndex(builder, loc, padded, index(1));
  emitFor(builder, loc, index(0), padded, width, [&](Value column) {
    Value scale = loadVector(products, {last, column});
    emitFor(builder, loc, index(0), index(keys), 1, [&](Value k) {
      storeVector(multiply(loadVector(keyColumns, {k, column}), scale),
                  keyColumns, {k, column});
    });
  });
}

//===----------------------------------------------------------------------===//
// A decay for each key
//===----------------------------------------------------------------------===//

void ChunkLowering::emitKeyDecayScores() {
  emitFor(builder, loc, index(0), index(paddedKeys), width,
          [&](Value k) { storeVector(constant(1), fullProduct, k); });
  emitFor(builder, loc, index(0), padded, block, [&](Value first) {
    emitDiagonalBlock(first);
    scaleQueriesInBlock(first);
    emitScoresBefore(first);
    scaleAcrossBlocks(first);
  });
}

/// Scores within a block, columns in the lanes: for each key, what is left of
/// the columns' keys is carried from row to row. What is left after the last
/// row is the part of later blocks.
void ChunkLowering::emitDiagonalBlock(Value first) {
  auto maskType = VectorType::get({width}, builder.getI1Type());
  auto getMask = [&](llvm::function_ref<bool(int64_t)> isSet) -> Value {
    SmallVector<bool> bits;
    for (int64_t i = 0; i < width; ++i)
      bits.push_back(isSet(i));
    return arith::ConstantOp::create(
        builder, loc, DenseElementsAttr::get(maskType, ArrayRef(bits)));
  };
  for (int64_t base = 0; base < block; base += width) {
    int64_t rows = block - base;
    Value column = at(first, base);
    SmallVector<Value> sums = emitFor(
        builder, loc, index(0), index(keys), 1, zeros(rows),
        [&](Value k, ValueRange carried) {
          Value keyVector = loadVector(keyColumns, {k, column});
          Value left = constant(0);
          SmallVector<Value> next;
          for (int64_t r = 0; r < rows; ++r) {
            Value row = at(column, r);
            if (r > 0)
              left = multiply(left, splat(loadScalar(decays, {row, k})));
            if (r < width)
              left = arith::SelectOp::create(
                  builder, loc, getMask([&](int64_t i) { return i == r; }),
                  keyVector, left);
            Value query = splat(loadScalar(queries, {row, k}));
            next.push_back(add(multiply(query, left), carried[r]));
          }
          storeVector(left, decayedKeys, {k, column});
          return next;
        });
    for (int64_t r = 0; r < rows; ++r) {
      Value score = arith::SelectOp::create(
          builder, loc, getMask([&](int64_t i) { return i <= r; }), sums[r],
          constant(0));
      storeVector(score, scores, {at(column, r), column});
    }
  }
}

/// Decays from the block's first token on, on its queries.
void ChunkLowering::scaleQueriesInBlock(Value first) {
  emitFor(builder, loc, index(0), index(paddedKeys), width, [&](Value k) {
    SmallVector<Value> product = emitFor(
        builder, loc, first, at(first, block), 1, ValueRange(constant(1)),
        [&](Value row, ValueRange above) -> SmallVector<Value> {
          Value product =
              flush(multiply(above[0], loadVector(decays, {row, k})));
          storeVector(multiply(loadVector(queries, {row, k}), product), queries,
                      {row, k});
          return {product};
        });
    storeVector(product[0], blockProduct, k);
  });
}

/// Scores of the block's rows and the columns of the blocks before.
void ChunkLowering::emitScoresBefore(Value first) {
  int64_t vectors = std::min<int64_t>(2, chunk / width);
  int64_t rows = std::min(getRows(vectors), block);
  emitFor(builder, loc, first, at(first, block), rows, [&](Value row) {
    forBlocks(first, vectors, width, [&](Value column, int64_t vectors) {
      SmallVector<Value> sums = accumulate(
          zeros(rows * vectors), rows, vectors, index(0), index(keys),
          [&](int64_t r, Value k) {
            return loadScalar(queries, {at(row, r), k});
          },
          [&](int64_t v, Value k) {
            return loadVector(decayedKeys, {k, at(column, v * width)});
          });
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t v = 0; v < vectors; ++v)
          storeVector(sums[r * vectors + v], scores,
                      {at(row, r), at(column, v * width)});
    });
  });
}

/// Brings the queries back to the start of the chunk, and the keys of the
/// blocks before to the end of this one.
void ChunkLowering::scaleAcrossBlocks(Value first) {
  emitFor(builder, loc, index(0), index(paddedKeys), width, [&](Value k) {
    Value before = loadVector(fullProduct, k);
    emitFor(builder, loc, first, at(first, block), 1, [&](Value row) {
      storeVector(multiply(loadVector(queries, {row, k}), before), queries,
                  {row, k});
    });
    storeVector(flush(multiply(before, loadVector(blockProduct, k))),
                fullProduct, k);
  });
  emitFor(builder, loc, index(0), index(keys), 1, [&](Value k) {
    Value scale = splat(loadScalar(blockProduct, k));
    emitFor(builder, loc, index(0), first, width, [&](Value column) {
      Value scaled = multiply(loadVector(decayedKeys, {k, column}), scale);
      storeVector(scaled, decayedKeys, {k, column});
    });
  });
}

//===----------------------------------------------------------------------===//
// Output and state
//===----------------------------------------------------------------------===//

void ChunkLowering::accumulateTriangle(MutableArrayRef<Value> sums,
                                       int64_t rows, int64_t vectors,
                                       Value first, Element score,
                                       Element value) {
  for (int64_t j = 0; j < rows; ++j) {
    Value token = at(first, j);
    for (int64_t v = 0; v < vectors; ++v) {
      Value written = value(v, token);
      for (int64_t r = j; r < rows; ++r) {
        Value &sum = sums[r * vectors + v];
        sum = add(multiply(splat(score(r, token)), written), sum);
      }
    }
  }
}

void ChunkLowering::emitRead() {
  forBlocks(laneBlock, getWidestBlock(), width, [&](Value column, int64_t vectors) {
    int64_t rows = getRows(vectors);
    auto loadValue = [&](int64_t v, Value token) {
      return loadVector(values, {token, at(column, v * width)});
    };
    emitFor(builder, loc, index(0), padded, rows, [&](Value row) {
      auto loadScore = [&](int64_t r, Value token) {
        return loadScalar(scores, {at(row, r), token});
      };
      SmallVector<Value> sums = accumulate(zeros(rows * vectors), rows, vectors,
                                           index(0), row, loadScore, loadValue);
      accumulateTriangle(sums, rows, vectors, row, loadScore, loadValue);
      sums = accumulate(
          sums, rows, vectors, index(0), index(keys),
          [&](int64_t r, Value k) {
            return loadScalar(queries, {at(row, r), k});
          },
          [&](int64_t v, Value k) {
            return loadVector(state, {k, at(column, v * width)});
          });
      storeBlock(sums, reads, row, column, vectors);
    });
  });
}

Value ChunkLowering::getTotalDecay(Value k) {
  if (keyDecay)
    return splat(loadScalar(fullProduct, k));
  Value last = subIndex(builder, loc, padded, index(1));
  return splat(arith::MulFOp::create(builder, loc, loadScalar(decays, index(0)),
                                     loadScalar(products, {last, index(0)})));
}

/// A block of the state, as the decays of the chunk leave it.
SmallVector<Value> ChunkLowering::loadDecayed(Value row, int64_t rows,
                                              Value column, int64_t vectors) {
  SmallVector<Value> sums;
  for (int64_t r = 0; r < rows; ++r) {
    Value decay = getTotalDecay(at(row, r));
    for (int64_t v = 0; v < vectors; ++v)
      sums.push_back(multiply(
          loadVector(state, {at(row, r), at(column, v * width)}), decay));
  }
  return sums;
}

void ChunkLowering::storeBlock(ValueRange sums, Value into, Value row,
                               Value column, int64_t vectors) {
  for (auto [i, sum] : llvm::enumerate(sums))
    storeVector(sum, into,
                {at(row, i / vectors), at(column, i % vectors * width)});
}

void ChunkLowering::emitStateUpdate() {
  Value written = keyDecay ? decayedKeys : keyColumns;
  int64_t blockLanes = getWidestBlock() * width;
  int64_t blockKeys = getRows(getWidestBlock());
  int64_t keyBlocks = llvm::divideCeil(keys, blockKeys);
  int64_t blocks = keyBlocks * llvm::divideCeil(laneBlock, blockLanes);
  forBlocks(laneBlock, getWidestBlock(), width, [&](Value column, int64_t vectors) {
    forBlocks(keys, getRows(vectors), 1, [&](Value row, int64_t rows) {
      Value passed = mulIndex(builder, loc, divide(column, blockLanes),
                              index(keyBlocks));
      emitPrefetch(addIndex(builder, loc, passed, divide(row, blockKeys)),
                   blocks);
      SmallVector<Value> sums = accumulate(
          loadDecayed(row, rows, column, vectors), rows, vectors, index(0),
          padded,
          [&](int64_t r, Value token) {
            return loadScalar(written, {at(row, r), token});
          },
          [&](int64_t v, Value token) {
            return loadVector(values, {token, at(column, v * width)});
          });
      storeBlock(sums, state, row, column, vectors);
    });
  });
}
