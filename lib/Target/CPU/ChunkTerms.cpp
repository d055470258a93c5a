//===- ChunkTerms.cpp - Chunks of several terms and of erase pairs --------===//
//
// A token i adds a sum of terms k_im w_im to the state, and an erase pair adds
// c_ip (l_ip S_(i-1)) to the lanes of one of them. With P_ij the product of the
// decays of the tokens after j up to i, and S the state before the chunk:
//
//   e_ip = l_ip P_(i-1) S + sum_(j<i, m) (l_ip P_(i-1)j k_jm) w_jm
//   w_im = v_im + sum_(p of m) c_ip e_ip
//   o_i  = q_i P_i S + sum_(j<=i, m) (q_i P_ij k_jm) w_jm
//   S    = P_n S + sum_(j, m) (P_nj k_jm) w_jm
//
// The first two are solved token after token, which is the product with the
// inverse of a unit triangular matrix. All coefficients in parentheses are
// independent of the lanes. Products of decays are formed by multiplication,
// as in the form with one term.
//
// Chunks have 16 tokens: what a token costs within its chunk grows with the
// size of the chunk, what it costs to read and update the state shrinks only as
// long as loading and scaling the state count.
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

int64_t ChunkLowering::getTermScratchElements() {
  int64_t matrices = (terms.size() * (pairs.size() + 1) + 1) * chunk * chunk;
  int64_t columns = terms.size() * (keyDecay ? 2 : 1) + pairs.size() + 2;
  int64_t rows = terms.size() + pairs.size() + 1;
  return keys * (laneBlock + width) + matrices + columns * chunk * paddedKeys +
         rows * chunk * (laneBlock + 1) + paddedKeys;
}

//===----------------------------------------------------------------------===//
// Schedule
//===----------------------------------------------------------------------===//

void ChunkLowering::allocateTermScratch() {
  // Rows that are a power of two apart would fall into few sets of a cache.
  state = allocate({keys, laneBlock + width});
  queries = allocate({chunk, paddedKeys});
  reads = allocate({chunk, laneBlock});
  for (Term &term : terms) {
    term.columns = allocate({paddedKeys, chunk});
    if (keyDecay)
      term.decayedColumns = allocate({paddedKeys, chunk});
    term.values = allocate({chunk, laneBlock});
    term.scales = allocate({chunk});
    term.scores = allocate({chunk, chunk});
  }
  for (ErasePair &pair : pairs) {
    pair.rows = allocate({chunk, paddedKeys});
    pair.sums = allocate({chunk, laneBlock});
    pair.scales = allocate({chunk});
    pair.scores.clear();
    for (unsigned m = 0; m < terms.size(); ++m)
      pair.scores.push_back(allocate({chunk, chunk}));
  }
  if (!keyDecay) {
    decays = allocate({chunk});
    products = allocate({chunk, chunk});
    return;
  }
  decays = allocate({chunk, paddedKeys});
  fullProduct = allocate({paddedKeys});
}

void ChunkLowering::emitTerms(RegionEmitter &coefficients,
                              RegionEmitter &epilogue) {
  padded = index(chunk);
  stageTerms(coefficients);
  if (!keyDecay)
    emitDecayProducts();
  for (ErasePair &pair : pairs) {
    for (auto [term, scores] : llvm::zip(terms, pair.scores))
      emitTermScores(pair.rows, term, scores, /*before=*/true);
    scaleRows(pair.rows, /*before=*/true);
  }
  auto forColumns = [&](Body body) { forBlocks(laneBlock, 2, width, body); };
  if (copyDims.empty()) {
    emitQueries(coefficients);
    decayColumns();
    // The columns of the state stay in the first cache.
    forColumns([&](Value column, int64_t vectors) {
      emitErasedSums(column, vectors);
      emitTermReads(column, vectors);
      emitTermUpdate(column, vectors);
    });
    return emitOutputs(epilogue);
  }
  forColumns([&](Value column, int64_t vectors) {
    emitErasedSums(column, vectors);
  });
  forCopies(coefficients, epilogue, [&](RegionEmitter &copied,
                                        RegionEmitter &copiedEpilogue) {
    emitQueries(copied);
    forColumns([&](Value column, int64_t vectors) {
      emitTermReads(column, vectors);
    });
    emitOutputs(copiedEpilogue);
  });
  decayColumns();
  forColumns([&](Value column, int64_t vectors) {
    emitTermUpdate(column, vectors);
  });
}

void ChunkLowering::emitQueries(RegionEmitter &coefficients) {
  stageRead(coefficients);
  for (Term &term : terms)
    emitTermScores(queries, term, term.scores, /*before=*/false);
  scaleRows(queries, /*before=*/false);
}

void ChunkLowering::stageTerms(RegionEmitter &emitter) {
  if (!keyDecay || !getScales().empty())
    stageTimes(emitter);
  for (Term &term : terms) {
    forTokens(emitter, coefficientsBody, [&](RegionEmitter &inner, Value step) {
      stage(inner, key, queries, step,
            [&](RegionEmitter &point) { return getProduct(point, term.key); });
      if (!term.isWritten)
        return;
      stage(inner, lane, term.values, step, [&](RegionEmitter &point) -> Value {
        Value value = getProduct(point, term.lane);
        if (!term.time.empty())
          value = multiply(value, splat(loadScalar(term.scales, step)));
        if (!term.negated)
          return value;
        return arith::NegFOp::create(builder, loc, value);
      });
    });
    fillTail(queries, paddedKeys, 0);
    transposeKeys(term.columns);
    if (term.isWritten)
      fillTail(term.values, laneBlock, 0);
  }
  forTokens(emitter, coefficientsBody, [&](RegionEmitter &inner, Value step) {
    auto stageRow = [&](Value value, Value scratch) {
      stage(inner, key, scratch, step, [&](RegionEmitter &point) {
        return convert(point.get(value, point.zeroOffsets()), element);
      });
    };
    if (keyDecay)
      stageRow(roles.getDecay()[0], decays);
    for (ErasePair &pair : pairs)
      stageRow(pair.left, pair.rows);
  });
  fillTail(decays, keyDecay ? paddedKeys : 0, 1);
  for (ErasePair &pair : pairs) {
    fillTail(pair.rows, paddedKeys, 0);
    if (!pair.time.empty())
      fillTail(pair.scales, 0, 0);
  }
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

/// Lanes are the columns of a row; the first `count` are seen by it.
static Value maskFirst(OpBuilder &builder, Location loc, int64_t width,
                       Value count) {
  return vector::CreateMaskOp::create(
      builder, loc, VectorType::get({width}, builder.getI1Type()), count);
}

/// scores[i, j] = rows_i P_ij columns_j for j <= i; with `before`, of the
/// product up to the token before i, for j < i. What lies after is not read.
void ChunkLowering::emitTermScores(Value rows, Term &term, Value scores,
                                   bool before) {
  if (keyDecay)
    return emitTermKeyDecayScores(rows, term, scores, before);
  int64_t vectors = std::min<int64_t>(2, chunk / width);
  int64_t rowBlock = getRows(vectors);
  Value zero = index(0);
  emitFor(builder, loc, zero, index(chunk), rowBlock, [&](Value first) {
    forBlocks(chunk, vectors, width, [&](Value column, int64_t vectors) {
      SmallVector<Value> sums = accumulate(
          zeros(rowBlock * vectors), rowBlock, vectors, zero, index(keys),
          [&](int64_t r, Value k) {
            return loadScalar(rows, {at(first, r), k});
          },
          [&](int64_t v, Value k) {
            return loadVector(term.columns, {k, at(column, v * width)});
          });
      for (int64_t r = 0; r < rowBlock; ++r)
        for (int64_t v = 0; v < vectors; ++v) {
          Value row = at(first, r), position = at(column, v * width);
          Value last = row;
          if (before)
            last = arith::MaxSIOp::create(
                builder, loc, subIndex(builder, loc, row, index(1)), zero);
          Value score = multiply(sums[r * vectors + v],
                                 loadVector(products, {last, position}));
          Value seen = subIndex(builder, loc, before ? row : at(row, 1),
                                position);
          score = arith::SelectOp::create(
              builder, loc, maskFirst(builder, loc, width, seen), score,
              constant(0));
          storeVector(score, scores, {row, position});
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
      Value mask =
          maskFirst(builder, loc, width, index(before ? r : r + 1));
      Value score =
          arith::SelectOp::create(builder, loc, mask, sums[r], constant(0));
      storeVector(score, scores, {index(base + r), column});
    }
  }
}

/// Rows that meet the state before the chunk.
void ChunkLowering::scaleRows(Value rows, bool before) {
  if (!keyDecay) {
    // The first token's decay is not part of the products.
    Value first = loadScalar(decays, index(0));
    emitFor(builder, loc, index(before), index(chunk), 1, [&](Value row) {
      Value last = subIndex(builder, loc, row, index(before));
      Value scale = splat(arith::MulFOp::create(
          builder, loc, first, loadScalar(products, {last, index(0)})));
      emitFor(builder, loc, index(0), index(paddedKeys), width, [&](Value k) {
        storeVector(multiply(loadVector(rows, {row, k}), scale), rows,
                    {row, k});
      });
    });
    return;
  }
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
void ChunkLowering::decayColumns() {
  if (keyDecay)
    return;
  Value last = index(chunk - 1);
  for (int64_t base = 0; base < chunk; base += width) {
    Value column = index(base);
    Value scale = loadVector(products, {last, column});
    emitFor(builder, loc, index(0), index(keys), 1, [&](Value k) {
      for (Term &term : terms)
        storeVector(multiply(loadVector(term.columns, {k, column}), scale),
                    term.columns, {k, column});
    });
  }
}

//===----------------------------------------------------------------------===//
// The state and the lanes
//===----------------------------------------------------------------------===//

void ChunkLowering::emitErasedSums(Value column, int64_t vectors) {
  if (pairs.empty())
    return;
  int64_t rows = getRows(vectors);
  for (ErasePair &pair : pairs)
    emitFor(builder, loc, index(0), index(chunk), rows, [&](Value row) {
      SmallVector<Value> sums = accumulate(
          zeros(rows * vectors), rows, vectors, index(0), index(keys),
          [&](int64_t r, Value k) {
            return loadScalar(pair.rows, {at(row, r), k});
          },
          [&](int64_t v, Value k) {
            return loadVector(state, {k, at(column, v * width)});
          });
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t v = 0; v < vectors; ++v)
          storeVector(sums[r * vectors + v], pair.sums,
                      {at(row, r), at(column, v * width)});
    });
  for (int64_t v = 0; v < vectors; ++v)
    emitSubstitution(at(column, v * width));
}

/// One token after the other: its sums are complete, so its values are; they
/// add to the sums of the tokens after it.
void ChunkLowering::emitSubstitution(Value column) {
  SmallVector<SmallVector<Value>> sums(pairs.size());
  for (auto [pair, own] : llvm::zip(pairs, sums))
    for (int64_t i = 0; i < chunk; ++i)
      own.push_back(loadVector(pair.sums, {index(i), column}));
  for (int64_t j = 0; j < chunk; ++j)
    for (auto [m, term] : llvm::enumerate(terms)) {
      Value value;
      if (term.isWritten)
        value = loadVector(term.values, {index(j), column});
      bool changed = false;
      for (auto [pair, own] : llvm::zip(pairs, sums)) {
        if (pair.term != m)
          continue;
        Value erased = own[j];
        if (!pair.time.empty())
          erased = multiply(splat(loadScalar(pair.scales, index(j))), erased);
        if (pair.negated)
          erased = arith::NegFOp::create(builder, loc, erased);
        value = value ? add(value, erased) : erased;
        changed = true;
      }
      if (changed)
        storeVector(value, term.values, {index(j), column});
      for (auto [pair, own] : llvm::zip(pairs, sums))
        for (int64_t i = j + 1; i < chunk; ++i) {
          Value score = splat(loadScalar(pair.scores[m], {index(i), index(j)}));
          own[i] = add(multiply(score, value), own[i]);
        }
    }
}

void ChunkLowering::emitTermReads(Value column, int64_t vectors) {
  int64_t rows = getRows(vectors);
  emitFor(builder, loc, index(0), index(chunk), rows, [&](Value row) {
    SmallVector<Value> sums = accumulate(
        zeros(rows * vectors), rows, vectors, index(0), index(keys),
        [&](int64_t r, Value k) { return loadScalar(queries, {at(row, r), k}); },
        [&](int64_t v, Value k) {
          return loadVector(state, {k, at(column, v * width)});
        });
    for (Term &term : terms) {
      auto loadScore = [&](int64_t r, Value token) {
        return loadScalar(term.scores, {at(row, r), token});
      };
      auto loadValue = [&](int64_t v, Value token) {
        return loadVector(term.values, {token, at(column, v * width)});
      };
      sums = accumulate(sums, rows, vectors, index(0), row, loadScore,
                        loadValue);
      accumulateTriangle(sums, rows, vectors, row, loadScore, loadValue);
    }
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        storeVector(sums[r * vectors + v], reads,
                    {at(row, r), at(column, v * width)});
  });
}

void ChunkLowering::emitTermUpdate(Value column, int64_t vectors) {
  forBlocks(keys, getRows(vectors), 1, [&](Value row, int64_t rows) {
    emitPrefetch(row, column, 2);
    SmallVector<Value> sums;
    for (int64_t r = 0; r < rows; ++r) {
      Value decay = getTotalDecay(at(row, r));
      for (int64_t v = 0; v < vectors; ++v)
        sums.push_back(multiply(
            loadVector(state, {at(row, r), at(column, v * width)}), decay));
    }
    for (Term &term : terms)
      sums = accumulate(
          sums, rows, vectors, index(0), index(chunk),
          [&](int64_t r, Value token) {
            return loadScalar(keyDecay ? term.decayedColumns : term.columns,
                              {at(row, r), token});
          },
          [&](int64_t v, Value token) {
            return loadVector(term.values, {token, at(column, v * width)});
          });
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        storeVector(sums[r * vectors + v], state,
                    {at(row, r), at(column, v * width)});
  });
}
