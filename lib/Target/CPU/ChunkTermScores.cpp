//===- ChunkTermScores.cpp - Rows of a chunk times its keys -------------===//
//
// For chunks of several terms and of erase pairs: see ChunkTerms.cpp.
//
//===----------------------------------------------------------------------===//

#include "ChunkLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Lanes are the columns of a row; the first `count` are seen by it.
static Value maskFirst(OpBuilder &builder, Location loc, int64_t width,
                       Value count) {
  return vector::CreateMaskOp::create(
      builder, loc, VectorType::get({width}, builder.getI1Type()), count);
}

/// decaysBefore[i] = a_0 ... a_(i-1).
void ChunkLowering::emitDecaysBefore() {
  Value one =
      arith::ConstantOp::create(builder, loc, builder.getFloatAttr(element, 1));
  memref::StoreOp::create(builder, loc, one, decaysBefore, index(0));
  // The first token's decay is not part of the products.
  Value first = loadScalar(decays, index(0));
  emitFor(builder, loc, index(0), index(chunk), 1, [&](Value row) {
    Value product = arith::MulFOp::create(
        builder, loc, first, loadScalar(products, {row, index(0)}));
    memref::StoreOp::create(builder, loc, product, decaysBefore, at(row, 1));
  });
}

/// scores[i, j] = rows_i P_ij columns_j for j <= i; with `before`, of the
/// product up to the token before i, for j < i. What lies after is not read.
/// With a decay for each key, the rows meet the state before the chunk after
/// this.
void ChunkLowering::emitTermScores(ArrayRef<ScoreRows> sets) {
  if (keyDecay) {
    for (const ScoreRows &set : sets) {
      for (auto [term, scores] : llvm::zip(terms, set.scores))
        emitTermKeyDecayScores(set.rows, term, scores, set.before);
      scaleRows(set.rows, set.before);
    }
    return;
  }
  for (const ScoreRows &set : sets)
    for (size_t m = 0; m < terms.size(); ++m) {
      Value scores = set.scores[m];
      emitRowProducts(set.rows, terms[m].rows, scores);
      emitFor(builder, loc, index(set.before), index(chunk), 1, [&](Value row) {
        Value last = subIndex(builder, loc, row, index(set.before));
        emitFor(builder, loc, index(0), at(last, 1), width, [&](Value column) {
          storeVector(multiply(loadVector(scores, {row, column}),
                               loadVector(products, {last, column})),
                      scores, {row, column});
        });
      });
    }
}

/// products[i, j] = a_i b_j for j <= i. Keys are in the lanes: blocks of tokens
/// can be smaller than a vector, so that few products of later tokens are
/// formed, and nothing is transposed.
void ChunkLowering::emitRowProducts(Value a, Value b, Value products) {
  int64_t numSums = target.getRegisters() / 2, numRows = 4;
  int64_t numColumns = numSums / numRows;
  auto addKeys = [&](ValueRange sums, Value first, Value column, Value k,
                     Value mask) {
    auto load = [&](Value rows, Value row) {
      Value keys = loadVector(rows, {row, k});
      return mask ? arith::SelectOp::create(builder, loc, mask, keys,
                                            constant(0))
                        .getResult()
                  : keys;
    };
    SmallVector<Value> columns, next;
    for (int64_t c = 0; c < numColumns; ++c)
      columns.push_back(load(b, at(column, c)));
    for (int64_t r = 0; r < numRows; ++r) {
      Value row = load(a, at(first, r));
      for (int64_t c = 0; c < numColumns; ++c)
        next.push_back(
            add(multiply(row, columns[c]), sums[r * numColumns + c]));
    }
    return next;
  };
  int64_t whole = keys / width * width;
  emitFor(builder, loc, index(0), index(chunk), numRows, [&](Value first) {
    emitFor(builder, loc, index(0), at(first, numRows), numColumns,
            [&](Value column) {
              SmallVector<Value> sums =
                  emitFor(builder, loc, index(0), index(whole), width,
                          zeros(numSums), [&](Value k, ValueRange carried) {
                            return addKeys(carried, first, column, k, Value());
                          });
              if (whole < keys)
                sums = addKeys(
                    sums, first, column, index(whole),
                    maskFirst(builder, loc, width, index(keys - whole)));
              for (int64_t i = 0; i < numSums; i += width) {
                Value group = sumLanesInRegisters(
                    builder, loc,
                    SmallVector<Value>(ArrayRef(sums).slice(i, width)));
                // Whole rows, or a part of one.
                int64_t part = std::min(width, numColumns);
                for (int64_t j = 0; j < width; j += part) {
                  Value row = vector::ExtractStridedSliceOp::create(
                      builder, loc, group, {j}, {part}, {1});
                  storeVector(row, products,
                              {at(first, (i + j) / numColumns),
                               at(column, (i + j) % numColumns)});
                }
              }
            });
  });
}

/// For each key, what is left of the columns is carried from row to row.
void ChunkLowering::emitTermKeyDecayScores(Value rows, Term &term, Value scores,
                                           bool before) {
  for (int64_t base = 0; base < chunk; base += width) {
    int64_t numRows = chunk - base;
    Value column = index(base);
    auto maskType = VectorType::get({width}, builder.getI1Type());
    SmallVector<Value> sums = emitFor(
        builder, loc, index(0), index(keys), 1, zeros(numRows),
        [&](Value k, ValueRange carried) {
          Value columns = loadVector(term.columns, {k, column});
          Value left = constant(0);
          SmallVector<Value> next;
          for (int64_t r = 0; r < numRows; ++r) {
            Value row = index(base + r);
            Value factor = splat(loadScalar(rows, {row, k}));
            Value sum = carried[r];
            if (before && r > 0)
              sum = add(multiply(factor, left), sum);
            if (r > 0)
              left = multiply(left, splat(loadScalar(decays, {row, k})));
            if (r < width) {
              SmallVector<bool> bits(width, false);
              bits[r] = true;
              Value mask = arith::ConstantOp::create(
                  builder, loc,
                  DenseElementsAttr::get(maskType, ArrayRef(bits)));
              left = arith::SelectOp::create(builder, loc, mask, columns, left);
            }
            if (!before)
              sum = add(multiply(factor, left), sum);
            next.push_back(sum);
          }
          if (!before)
            storeVector(flush(left), term.decayedColumns, {k, column});
          return next;
        });
    for (int64_t r = 0; r < numRows; ++r) {
      Value mask = maskFirst(builder, loc, width, index(before ? r : r + 1));
      Value score =
          arith::SelectOp::create(builder, loc, mask, sums[r], constant(0));
      storeVector(score, scores, {index(base + r), column});
    }
  }
}

/// A decay for each key is on the rows that meet the state before the chunk.
void ChunkLowering::scaleRows(Value rows, bool before) {
  emitFor(builder, loc, index(0), index(paddedKeys), width, [&](Value k) {
    Value product = constant(1);
    for (int64_t r = 0; r < chunk; ++r) {
      Value row = index(r);
      Value next = flush(multiply(product, loadVector(decays, {row, k})));
      storeVector(multiply(loadVector(rows, {row, k}), before ? product : next),
                  rows, {row, k});
      product = next;
    }
    storeVector(product, fullProduct, k);
  });
}

/// Decays from each token to the end of the chunk, on its keys. With a decay
/// for each key they come with the scores.
void ChunkLowering::decayRows() {
  if (keyDecay)
    return;
  emitFor(builder, loc, index(0), index(chunk), 1, [&](Value row) {
    Value decay = splat(loadScalar(products, {index(chunk - 1), row}));
    emitFor(builder, loc, index(0), index(paddedKeys), width, [&](Value k) {
      for (Term &term : terms)
        storeVector(multiply(loadVector(term.rows, {row, k}), decay), term.rows,
                    {row, k});
    });
  });
}
