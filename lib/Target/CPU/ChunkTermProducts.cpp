//===- ChunkTermProducts.cpp - The state and the lanes of a chunk -------===//
//
// For chunks of several terms and of erase pairs: see ChunkTerms.cpp.
//
//===----------------------------------------------------------------------===//

#include "ChunkLowering.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Adds products of rows with the state before the chunk to the sums. Shares of
/// the next chunk are fetched meanwhile, from number `fetch` on.
SmallVector<Value> ChunkLowering::addState(ValueRange sums, Value rows,
                                           Value first, Value column,
                                           int64_t vectors, Value fetch) {
  auto addKeys = [&](ValueRange sums, Value lower, Value upper) {
    return accumulate(
        sums, sums.size() / vectors, vectors, lower, upper,
        [&](int64_t r, Value k) {
          return loadScalar(rows, {at(first, r), k});
        },
        [&](int64_t v, Value k) {
          return loadVector(state, {k, at(column, v * width)});
        });
  };
  if (!fetch)
    return addKeys(sums, index(0), index(keys));
  Value whole = index(keys / fetchKeys * fetchKeys);
  SmallVector<Value> added =
      emitFor(builder, loc, index(0), whole, fetchKeys, sums,
              [&](Value k, ValueRange carried) {
                Value part = divide(k, fetchKeys);
                emitPrefetch(addIndex(builder, loc, fetch, part), fetches);
                return addKeys(carried, k, at(k, fetchKeys));
              });
  return addKeys(added, whole, index(keys));
}

/// Adds what a term of the tokens before a block of rows gives to its sums.
SmallVector<Value> ChunkLowering::addTokens(ValueRange sums, Value scores,
                                            Value values, Value first,
                                            Value column, int64_t vectors) {
  return accumulate(
      sums, sums.size() / vectors, vectors, index(0), first,
      [&](int64_t r, Value token) {
        return loadScalar(scores, {at(first, r), token});
      },
      [&](int64_t v, Value token) {
        return loadVector(values, {token, at(column, v * width)});
      });
}

/// Decays before the tokens from `first` on, on their sums. With a decay for
/// each key, the rows have them.
void ChunkLowering::scaleSums(MutableArrayRef<Value> sums, Value first,
                              int64_t vectors) {
  if (keyDecay)
    return;
  for (auto [i, sum] : llvm::enumerate(sums)) {
    Value decay = loadScalar(decaysBefore, at(first, i / vectors));
    sum = multiply(sum, splat(decay));
  }
}

/// Terms that have erase pairs.
int64_t ChunkLowering::getNumErasedTerms() {
  int64_t count = 0;
  for (unsigned m = 0; m < terms.size(); ++m)
    count +=
        llvm::any_of(pairs, [&](ErasePair &pair) { return pair.term == m; });
  return count;
}

/// The first fetch of a block of rows that starts at `first`, of the rows with
/// number `set`.
Value ChunkLowering::getFetch(Value fetch, int64_t set, Value first,
                              int64_t rows) {
  if (!fetch)
    return fetch;
  int64_t parts = keys / fetchKeys;
  Value number = mulIndex(builder, loc, divide(first, rows), index(parts));
  return addIndex(builder, loc, at(fetch, set * chunk / rows * parts), number);
}

/// Lanes of the terms that have erase pairs. Those of a block of tokens are
/// first complete but for what its own tokens give, and are then solved one
/// after the other in registers.
void ChunkLowering::emitTermValues(Value column, int64_t vectors, Value fetch) {
  SmallVector<SmallVector<ErasePair *>> erases(terms.size());
  for (ErasePair &pair : pairs)
    erases[pair.term].push_back(&pair);
  if (pairs.empty())
    return;
  int64_t rows = getRows(vectors * getNumErasedTerms());
  auto load = [&](Value values, Value token, int64_t v) {
    return loadVector(values, {token, at(column, v * width)});
  };
  emitFor(builder, loc, index(0), index(chunk), rows, [&](Value first) {
    SmallVector<SmallVector<Value>> sums(terms.size());
    for (auto [term, own, ownSums] : llvm::zip(terms, erases, sums)) {
      if (own.empty())
        continue;
      ownSums = zeros(rows * vectors);
      for (ErasePair *pair : own)
        ownSums = addState(ownSums, pair->rows, first, column, vectors,
                           getFetch(fetch, pair - pairs.begin(), first, rows));
      scaleSums(ownSums, first, vectors);
      for (auto [i, sum] : llvm::enumerate(ownSums))
        if (term.isWritten)
          sum =
              add(sum, load(term.values, at(first, i / vectors), i % vectors));
      for (ErasePair *pair : own)
        for (auto [other, scores] : llvm::zip(terms, pair->scores))
          ownSums =
              addTokens(ownSums, scores, other.values, first, column, vectors);
    }
    for (int64_t j = 0; j < rows; ++j) {
      Value token = at(first, j);
      for (auto [m, term] : llvm::enumerate(terms)) {
        SmallVector<Value> written;
        for (int64_t v = 0; v < vectors; ++v) {
          written.push_back(erases[m].empty() ? load(term.values, token, v)
                                              : sums[m][j * vectors + v]);
          if (!erases[m].empty())
            storeVector(written[v], term.values,
                        {token, at(column, v * width)});
        }
        for (ErasePair &pair : pairs)
          for (int64_t r = j + 1; r < rows; ++r) {
            Value score =
                splat(loadScalar(pair.scores[m], {at(first, r), token}));
            for (int64_t v = 0; v < vectors; ++v) {
              Value &sum = sums[pair.term][r * vectors + v];
              sum = add(multiply(score, written[v]), sum);
            }
          }
      }
    }
  });
}

void ChunkLowering::emitTermReads(Value column, int64_t vectors, Value fetch) {
  int64_t rows = getRows(vectors);
  emitFor(builder, loc, index(0), index(chunk), rows, [&](Value first) {
    SmallVector<Value> sums =
        addState(zeros(rows * vectors), queries, first, column, vectors,
                 getFetch(fetch, 0, first, rows));
    scaleSums(sums, at(first, 1), vectors);
    for (Term &term : terms) {
      sums = addTokens(sums, term.scores, term.values, first, column, vectors);
      accumulateTriangle(
          sums, rows, vectors, first,
          [&](int64_t r, Value token) {
            return loadScalar(term.scores, {at(first, r), token});
          },
          [&](int64_t v, Value token) {
            return loadVector(term.values, {token, at(column, v * width)});
          });
    }
    storeBlock(sums, reads, first, column, vectors);
  });
}

void ChunkLowering::emitTermUpdate(Value column, int64_t vectors, Value fetch) {
  forBlocks(keys, getRows(vectors), 1, [&](Value row, int64_t rows) {
    emitPrefetch(addIndex(builder, loc, fetch, divide(row, getRows(vectors))),
                 fetches);
    SmallVector<Value> sums = loadDecayed(row, rows, column, vectors);
    for (Term &term : terms)
      sums = accumulate(
          sums, rows, vectors, index(0), index(chunk),
          [&](int64_t r, Value token) {
            return keyDecay
                       ? loadScalar(term.decayedColumns, {at(row, r), token})
                       : loadScalar(term.rows, {token, at(row, r)});
          },
          [&](int64_t v, Value token) {
            return loadVector(term.values, {token, at(column, v * width)});
          });
    storeBlock(sums, state, row, column, vectors);
  });
}
