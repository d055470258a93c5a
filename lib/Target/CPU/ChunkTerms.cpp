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
// inverse of a unit triangular matrix. For this c is part of l where l is
// staged, so that a token is solved as soon as its sum is complete. All
// coefficients in parentheses are independent of the lanes. Products of decays
// are formed by multiplication, as in the form with one term.
//
// Chunks have 16 tokens: what a token costs within its chunk grows with the
// size of the chunk, what it costs to read and update the state shrinks only as
// long as loading and scaling the state count.
//
//===----------------------------------------------------------------------===//

#include "ChunkLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

int64_t ChunkLowering::getTermScratchElements() {
  int64_t matrices = (terms.size() * (pairs.size() + 1) + 1) * chunk * chunk;
  int64_t columns = terms.size() * (keyDecay ? 2 : 1) + pairs.size() + 2;
  int64_t rows = terms.size() + 1;
  int64_t numbers = terms.size() + pairs.size() + 3;
  return (keys + rows * chunk) * (laneBlock + width) + matrices +
         (columns * chunk + 1) * (paddedKeys + width) + numbers * chunk;
}

//===----------------------------------------------------------------------===//
// Schedule
//===----------------------------------------------------------------------===//

void ChunkLowering::allocateTermScratch() {
  // Rows that are a power of two apart would fall into few sets of a cache.
  state = allocate({keys, laneBlock + width});
  queries = allocate({chunk, paddedKeys + width});
  reads = allocate({chunk, laneBlock + width});
  for (Term &term : terms) {
    if (keyDecay) {
      term.columns = allocate({paddedKeys, chunk});
      term.decayedColumns = allocate({paddedKeys, chunk});
    } else {
      term.rows = allocate({chunk, paddedKeys + width});
    }
    term.values = allocate({chunk, laneBlock + width});
    term.scales = allocate({chunk});
    term.scores = allocate({chunk, chunk});
  }
  for (ErasePair &pair : pairs) {
    pair.rows = allocate({chunk, paddedKeys + width});
    pair.scales = allocate({chunk});
    pair.scores.clear();
    for (unsigned m = 0; m < terms.size(); ++m)
      pair.scores.push_back(allocate({chunk, chunk}));
  }
  if (!keyDecay) {
    decays = allocate({chunk});
    products = allocate({chunk, chunk});
    decaysBefore = allocate({chunk + 1});
    return;
  }
  decays = allocate({chunk, paddedKeys});
  fullProduct = allocate({paddedKeys});
}

void ChunkLowering::emitTerms(RegionEmitter &coefficients,
                              RegionEmitter &epilogue) {
  padded = index(chunk);
  stageTerms(coefficients);
  if (!keyDecay) {
    emitDecayProducts();
    emitDecaysBefore();
  }
  SmallVector<ScoreRows> rows;
  for (ErasePair &pair : pairs)
    rows.push_back({pair.rows, pair.scores, /*before=*/true});
  SmallVector<Value> readScores;
  for (Term &term : terms)
    readScores.push_back(term.scores);
  ScoreRows readRows{queries, readScores, /*before=*/false};
  auto forColumns = [&](Body body) { forBlocks(laneBlock, 2, width, body); };
  if (copyDims.empty()) {
    stageRead(coefficients);
    rows.push_back(readRows);
    emitTermScores(rows);
    decayRows();
    // Each product with the state fetches a part of the next chunk: many
    // fetches at once would hold up what the update reads.
    int64_t vectors = std::min<int64_t>(2, laneBlock / width);
    int64_t parts = keys / fetchKeys;
    int64_t ofValues = 0;
    if (!pairs.empty())
      ofValues =
          pairs.size() * parts * chunk / getRows(vectors * getNumErasedTerms());
    int64_t ofReads = parts * chunk / getRows(vectors);
    int64_t ofUpdate = llvm::divideCeil(keys, getRows(vectors));
    int64_t ofColumns = ofValues + ofReads + ofUpdate;
    fetches = ofColumns * llvm::divideCeil(laneBlock, 2 * width);
    // The columns of the state stay in the first cache.
    forColumns([&](Value column, int64_t vectors) {
      Value fetch =
          mulIndex(builder, loc, divide(column, 2 * width), index(ofColumns));
      emitTermValues(column, vectors, fetch);
      emitTermReads(column, vectors, at(fetch, ofValues));
      emitTermUpdate(column, vectors, at(fetch, ofValues + ofReads));
    });
    return emitOutputs(epilogue);
  }
  emitTermScores(rows);
  forColumns([&](Value column, int64_t vectors) {
    emitTermValues(column, vectors, Value());
  });
  forCopies(coefficients, epilogue,
            [&](RegionEmitter &copied, RegionEmitter &copiedEpilogue) {
              stageRead(copied);
              emitTermScores(readRows);
              forColumns([&](Value column, int64_t vectors) {
                emitTermReads(column, vectors, Value());
              });
              emitOutputs(copiedEpilogue);
            });
  decayRows();
  int64_t ofColumns = llvm::divideCeil(keys, getRows(2));
  fetches = ofColumns * llvm::divideCeil(laneBlock, 2 * width);
  forColumns([&](Value column, int64_t vectors) {
    Value fetch =
        mulIndex(builder, loc, divide(column, 2 * width), index(ofColumns));
    emitTermUpdate(column, vectors, fetch);
  });
}

void ChunkLowering::stageTerms(RegionEmitter &emitter) {
  if (!keyDecay || !getScales().empty())
    stageTimes(emitter);
  auto stageTerm = [&](RegionEmitter &inner, Value step, Term &term) {
    stage(inner, key, keyDecay ? queries : term.rows, step,
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
  };
  if (keyDecay)
    for (Term &term : terms) {
      forTokens(emitter, coefficientsBody,
                [&](RegionEmitter &inner, Value step) {
                  stageTerm(inner, step, term);
                });
      fillTail(queries, paddedKeys, 0);
      transposeKeys(term.columns);
    }
  forTokens(emitter, coefficientsBody, [&](RegionEmitter &inner, Value step) {
    if (keyDecay)
      stage(inner, key, decays, step, [&](RegionEmitter &point) {
        return convert(point.get(roles.getDecay()[0], point.zeroOffsets()),
                       element);
      });
    else
      for (Term &term : terms)
        stageTerm(inner, step, term);
    for (ErasePair &pair : pairs)
      stage(inner, key, pair.rows, step, [&](RegionEmitter &point) -> Value {
        Value row = convert(point.get(pair.left, point.zeroOffsets()), element);
        if (!pair.time.empty())
          row =
              multiply(point.splat(row), splat(loadScalar(pair.scales, step)));
        if (!pair.negated)
          return row;
        return arith::NegFOp::create(builder, loc, row);
      });
  });
  for (Term &term : terms) {
    if (!keyDecay)
      fillTail(term.rows, paddedKeys, 0);
    if (term.isWritten)
      fillTail(term.values, laneBlock, 0);
  }
  fillTail(decays, keyDecay ? paddedKeys : 0, 1);
  for (ErasePair &pair : pairs)
    fillTail(pair.rows, paddedKeys, 0);
}
