//===- ChunkProducts.cpp - The chain of chunks ----------------------------===//
//
// Everything here is of the lanes of one warp, transposed: rows are lanes, columns tokens
// or keys.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/ChunkKernel.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

/// What a term writes, without factors of time alone: the sum number `4 n + 2 h + e` is of
/// the token `8 n + laneColumn + e` and the lane that bindLane(h) names. Of tokens and lanes
/// that are not there, those of the last: their keys are zero, or nobody reads them.
SmallVector<Value> ChunkKernel::loadValues(unsigned number, Value first, int64_t chunk) {
  const ProductTerms::Term &term = products.terms[number];
  if (!term.isWritten)
    return {};
  if (findLaneVectors(term))
    return loadLanes(term, first, chunk);
  SmallVector<Value> values;
  for (int64_t i = 0; i < kSums; ++i) {
    bindToken(loops.add(first, plus(laneColumn, chunk * kChunk + i / 4 * 8 + i % 2)));
    bindLane(i % 4 / 2);
    values.push_back(evaluate(term.lane));
  }
  return values;
}

void ChunkKernel::emitChunk(SmallVectorImpl<Value> &states,
                            MutableArrayRef<SmallVector<Value>> values, Value first,
                            int64_t chunk) {
  for (auto [number, term] : llvm::enumerate(products.terms))
    if (term.isWritten && !term.time.empty())
      scaleColumns(values[number], timeScales, chunk, loops.index(number));
  if (!products.pairs.empty()) {
    unsigned own = products.pairs[0].term, numTerms = products.terms.size();
    SmallVector<Value> sums = readStates(states, rows[1], chunk);
    scaleColumns(sums, erasePrefixes, chunk);
    for (unsigned term = 0; term < numTerms; ++term)
      if (term != own)
        addScores(sums, values[term], numTerms + term, chunk);
    if (products.terms[own].isWritten)
      sums = loops.addNumbers(sums, values[own]);
    values[own] = zeros(8);
    addScores(values[own], sums, numTerms + own, chunk);
  }
  SmallVector<Value> sums = readStates(states, rows[0], chunk);
  if (hasTokenDecay())
    scaleColumns(sums, prefixes, chunk);
  for (unsigned term = 0; term < products.terms.size(); ++term)
    addScores(sums, values[term], term, chunk);
  storeOutputs(sums, first, chunk);
  updateStates(states, values, chunk);
}

/// Lanes by tokens: the states times a row for each token.
SmallVector<Value> ChunkKernel::readStates(ArrayRef<Value> states, const Row &row,
                                           int64_t chunk) {
  SmallVector<Value> sums = zeros(kSums);
  Value place = cores.getOffset(Order::besideFirst, lane, row.matrix.stride);
  for (int64_t key = 0; key < paddedKeys; key += kChunk) {
    Fragment left = cores.splitSums(states.slice(key / 2, kSums));
    Fragment right =
        cores.load(row.matrix, place, chunk * kChunk, key, /*transposed=*/false);
    for (int64_t half = 0; half < 2; ++half)
      cores.multiply(MutableArrayRef(sums).slice(4 * half, 4), left, right, half);
  }
  return sums;
}

/// Multiplies columns, which are tokens, by the numbers of a table, or of a row of it.
void ChunkKernel::scaleColumns(MutableArrayRef<Value> sums, Value table, int64_t chunk,
                               Value row) {
  for (auto [i, sum] : llvm::enumerate(sums)) {
    SmallVector<Value> place;
    if (row)
      place.push_back(row);
    Value token = loops.add(laneColumn, times(head, group));
    place.push_back(plus(token, chunk * kChunk + i / 4 * 8 + i % 2));
    sum = loops.mul(sum, loadStaged(table, place));
  }
}

/// Adds values times the scores with a `number`.
void ChunkKernel::addScores(MutableArrayRef<Value> sums, ArrayRef<Value> values,
                            unsigned number, int64_t chunk) {
  Fragment left = cores.splitSums(values);
  Value place = cores.getOffset(Order::besideFirst, lane, scores.stride);
  place = loops.add(place, times(head, group * scores.stride));
  Fragment right = cores.load(scores, place, number * heads * group + chunk * kChunk, 0,
                              /*transposed=*/false);
  for (int64_t half = 0; half < 2; ++half)
    cores.multiply(sums.slice(4 * half, 4), left, right, half);
}

void ChunkKernel::updateStates(SmallVectorImpl<Value> &states,
                               ArrayRef<SmallVector<Value>> values, int64_t chunk) {
  if (hasTokenDecay()) {
    Value total = loadStaged(totals, {plus(times(head, numChunks()), chunk)});
    for (Value &state : states)
      state = loops.mul(state, total);
  }
  if (products.keyDecay)
    for (auto [i, state] : llvm::enumerate(states)) {
      Value key = plus(laneColumn, i / 4 * 8 + i % 2);
      state = loops.mul(state, loadStaged(totals, {loops.index(chunk), key}));
    }
  for (auto [term, matrix] : llvm::enumerate(keyMatrices)) {
    SmallVector<Value> decayed = values[term];
    if (hasTokenDecay())
      scaleColumns(decayed, suffixes, chunk);
    Fragment left = cores.splitSums(decayed);
    Value place = cores.getOffset(Order::belowFirst, lane, matrix.stride);
    for (int64_t key = 0; key < paddedKeys; key += kChunk) {
      Fragment right = cores.load(matrix, place, chunk * kChunk, key, /*transposed=*/true);
      for (int64_t half = 0; half < 2; ++half)
        cores.multiply(MutableArrayRef(states).slice(key / 2 + 4 * half, 4), left, right,
                       half);
    }
  }
}

void ChunkKernel::storeOutputs(ArrayRef<Value> sums, Value first, int64_t chunk) {
  SmallVector<Value> results;
  for (auto [i, sum] : llvm::enumerate(sums)) {
    Value step = loops.add(first, plus(laneColumn, chunk * kChunk + i / 4 * 8 + i % 2));
    Value isInside = bindToken(step);
    isInside = both(isInside, bindLane(i % 4 / 2));
    Value result = loops
                       .inlineEpilogue(op.getEpilogue(), sum, op.getEpilogueIns(),
                                       op.getEpilogueMaps(), point)
                       .front();
    if (storesLaneVectors()) {
      results.push_back(result);
      continue;
    }
    loops.when(isInside, [&] {
      loops.store(result, op.getOutputInits().front(), loops.apply(op.getOutputMap(), point));
    });
  }
  if (!results.empty())
    storeLanes(results, first, chunk);
}
