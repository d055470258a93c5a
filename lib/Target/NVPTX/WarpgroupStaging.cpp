//===- WarpgroupStaging.cpp - The warpgroup that fetches chunks ------------===//
//
// Its threads copy 16 bytes each into tiles, swizzled, zeros where no token is; a warp a
// unit computes what depends on time alone. A stage is full when all have what they
// copied.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/WarpgroupChunk.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

/// A logarithm that makes a state zero; sums of larger ones would lose what comes after.
static constexpr double kZeroLogarithm = -150;
static constexpr double kLog2E = 1.44269504088896340736;
/// Of a tile's row.
static constexpr int64_t kRowBytes = 128, kRowVectors = kRowBytes / 16;

void WarpgroupChunk::produce(Value thread) {
  OpBuilder &b = loops.builder;
  setRegisters(kFetchingRegisters, /*increase=*/false);
  warp = uniform(divWords(thread, kWarp));
  Value hasUnit = isBelow(warp, word(units));
  forGroups([&](const Group &group, Value before) {
    Values results;
    forChunks(
        group, {},
        [&](Value chunk, ValueRange) {
          Value step = addWords(before, subWords(chunk, group.first));
          Value stage = stageOf(step);
          Value at = addWords(shared, mulWords(stage, stageBytes));
          // Read before there is room for the chunk, so that nobody waits for it.
          Value unit = arith::MinUIOp::create(b, loops.loc, warp, word(units - 1));
          Value lane = renew(remWords(thread, kWarp));
          Values tokens = evaluateTokens(group, unit, chunk, lane);
          wait(barrierOf(stage), atBarrier(/*isEmpty=*/true),
               exclusiveOr(parityOf(step), 1));
          fetch(group, chunk, at, thread);
          loops.when(hasUnit, [&] { stageScales(tokens, at, lane); });
          waitForCopiesIn();
          publish();
          arrive(barrierOf(stage), atBarrier(/*isEmpty=*/false));
          return Values();
        },
        results);
  });
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

void WarpgroupChunk::fetch(const Group &group, Value chunk, Value at, Value thread) {
  bindUnit(group, word(0));
  fetchRows(read, tiles, chunk, at, thread);
  fetchRows(keys, tiles, chunk, addWords(at, atKeys), thread);
  for (int64_t head = 0; head < heads; ++head) {
    bindUnit(group, word(head * parts));
    fetchRows(values, parts, chunk, addWords(at, atValues + head * parts * kTileBytes),
              thread);
  }
}

/// Tiles beside each other of the tensor that follow each other in shared memory.
void WarpgroupChunk::fetchRows(const Rows &rows, int64_t tiles, Value chunk, Value at,
                               Value thread) {
  constexpr int64_t rowsAtOnce = kWarpgroup / kRowVectors;
  Value first = mulWords(chunk, kTokens);
  bindToken(toIndex(first));
  Value address = addressOf(rows.memory, rows.map);
  thread = renew(thread);
  Value column = remWords(thread, kRowVectors), row = divWords(thread, kRowVectors);
  Value within = addWords(mulWords(row, stepOf(rows)), mulWords(column, kVector));
  within = arith::ExtSIOp::create(loops.builder, loops.loc, i64, within);
  address = arith::AddIOp::create(loops.builder, loops.loc, address, within);
  Value place = addWords(mulWords(row, kRowBytes),
                         mulWords(exclusiveOr(column, remWords(row, 8)), kVector));
  place = addWords(at, place);
  Value left = subWords(subWords(length, first), row);
  for (int64_t i = 0; i < kTokens / rowsAtOnce; ++i) {
    Value isToken = compare(arith::CmpIPredicate::sgt, left, word(i * rowsAtOnce));
    Value bytes = loops.select(isToken, word(kVector), word(0));
    for (int64_t tile = 0; tile < tiles; ++tile)
      copyIn(place, tile * kTileBytes + i * rowsAtOnce * kRowBytes, address,
             tile * kRowBytes + i * rowsAtOnce * stepOf(rows), bytes);
  }
}

//===----------------------------------------------------------------------===//
// What depends on time alone
//===----------------------------------------------------------------------===//

/// Of two tokens of a lane: the logarithm of the decay, and the factor.
WarpgroupEmitter::Values WarpgroupChunk::evaluateTokens(const Group &group, Value unit,
                                                        Value chunk, Value lane) {
  OpBuilder &b = loops.builder;
  const ProductTerms::Term &term = products.terms.front();
  auto getArgument = [&](unsigned argument) {
    return loops.load(op.getIns()[argument], loops.apply(op.getInsMap(argument), point));
  };
  auto evaluate = [&](ArrayRef<ProductTerms::Factor> factors) {
    return evaluateFactors(loops, op, factors, getArgument);
  };
  bindUnit(group, unit);
  Value zero = loops.constant(f32, 0.0);
  Values result;
  for (int64_t e = 0; e < 2; ++e) {
    Value step = addWords(mulWords(chunk, kTokens), addWords(mulWords(lane, 2), e));
    Value isToken = isBelow(step, length);
    bindToken(toIndex(arith::MinUIOp::create(b, loops.loc, step, addWords(length, -1))));
    Value logarithm = zero;
    if (decay) {
      logarithm = evaluate({ProductTerms::Factor{decay, false}});
      if (!isPowerOfTwo)
        logarithm = loops.mul(logarithm, loops.constant(f32, kLog2E));
      logarithm = arith::MaximumFOp::create(b, loops.loc, logarithm,
                                            loops.constant(f32, kZeroLogarithm));
      logarithm = loops.select(isToken, logarithm, zero);
    }
    Value factor = evaluate(term.time);
    if (term.negated)
      factor = arith::NegFOp::create(b, loops.loc, factor);
    result.push_back(logarithm);
    result.push_back(loops.select(isToken, factor, zero));
  }
  return result;
}

void WarpgroupChunk::stageScales(ArrayRef<Value> tokens, Value at, Value lane) {
  Value steps[] = {tokens[0], tokens[2]}, factors[] = {tokens[1], tokens[3]};
  Value total = loops.add(steps[0], steps[1]);
  for (int64_t distance = 1; distance < kWarp; distance *= 2) {
    Value more = loops.add(total, shuffleUp(total, distance));
    total = loops.select(isBelow(lane, word(distance)), total, more);
  }
  Value before = shuffleUp(total, 1);
  before = loops.select(isEqual(lane, 0), loops.constant(f32, 0.0), before);
  Value sums[] = {loops.add(before, steps[0]), total};
  Value last = shuffle(total, kWarp - 1), middle = shuffle(total, kWarp / 2 - 1);
  Value start = addWords(at, mulWords(warp, kScaleBytes));
  Value pairs = addWords(start, mulWords(lane, 8));
  Value powers[2], weights[2], fromMiddle[2];
  for (int64_t e = 0; e < 2; ++e) {
    powers[e] = exp2(sums[e]);
    weights[e] = loops.mul(exp2(loops.sub(last, sums[e])), factors[e]);
    fromMiddle[e] = exp2(loops.sub(sums[e], middle));
  }
  storePair(sums[0], sums[1], pairs, atScale(0, 0));
  storePair(factors[0], factors[1], pairs, atScale(0, 1));
  storePair(powers[0], powers[1], pairs, atScale(0, 2));
  // Of the second half: after the weights, whose numbers have half the size.
  loops.when(isBelow(word(kWarp / 2 - 1), lane),
             [&] { storePair(fromMiddle[0], fromMiddle[1], pairs, atScale(0, 3)); });
  storeShared(pack(weights[0], weights[1]), addWords(start, mulWords(lane, 4)),
              atScale(0, 3));
}
