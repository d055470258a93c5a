//===- ChunkStaging.cpp - What all warps need of a group of chunks --------===//

#include "Target/NVPTX/ChunkKernel.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

namespace {
/// Pairs of a matrix whose loads are on their way together.
constexpr int64_t kLoadsAhead = 8;
} // namespace

Value ChunkKernel::loadStaged(Value table, ArrayRef<Value> indices) {
  SmallVector<Value> place{stage};
  llvm::append_range(place, indices);
  return loops.load(table, place);
}

void ChunkKernel::storeStaged(Value value, Value table, ArrayRef<Value> indices) {
  SmallVector<Value> place{stage};
  llvm::append_range(place, indices);
  loops.store(value, table, place);
}

Value ChunkKernel::shuffle(Value value, Value from) {
  OpBuilder &b = loops.builder;
  Type i32 = b.getI32Type();
  bool isIndex = value.getType().isIndex();
  if (isIndex)
    value = arith::IndexCastOp::create(b, loops.loc, i32, value);
  from = arith::IndexCastOp::create(b, loops.loc, i32, from);
  Value width = arith::ConstantOp::create(b, loops.loc, b.getI32IntegerAttr(kWarp));
  value = gpu::ShuffleOp::create(b, loops.loc, value, from, width, gpu::ShuffleMode::IDX)
              .getShuffleResult();
  return isIndex ? arith::IndexCastOp::create(b, loops.loc, b.getIndexType(), value) : value;
}

/// Everything that does not depend on lanes: of a token, whose warps have a chunk each,
/// then vectors of keys.
SmallVector<Value> ChunkKernel::loadGroup(Value first) {
  SmallVector<Value> loaded;
  bindToken(loops.add(first, remainder(ownToken(), group)));
  for (ProductTerms::Term &term : products.terms)
    if (!term.time.empty())
      loaded.push_back(evaluate(term.time));
  if (hasTokenDecay())
    loaded.push_back(evaluate(roles.getDecay()[0]));
  if (!products.pairs.empty())
    loaded.push_back(evaluate(eraseTime));
  if (!products.keyDecay)
    forMatrices([&](const Factors &factors, const SharedMatrix &, bool) {
      if (std::optional<Vectors> vectors = findVectors(factors))
        llvm::append_range(loaded, loadVectors(*vectors, first));
    });
  else if (loadsDecayedAhead())
    llvm::append_range(loaded, loadDecayedKeys(first));
  return loaded;
}

/// The token of this thread, among those of all heads; the two halves of a warp do the same.
Value ChunkKernel::ownToken() {
  return loops.add(times(warp, kChunk), remainder(lane, kChunk));
}

void ChunkKernel::stageGroup(Value first, ValueRange loaded) {
  auto take = [&](size_t count) {
    ValueRange front = loaded.take_front(count);
    loaded = loaded.drop_front(count);
    return front;
  };
  size_t numTokens = hasTokenDecay() + !products.pairs.empty();
  for (ProductTerms::Term &term : products.terms)
    numTokens += !term.time.empty();
  if (numTokens)
    stageTokens(first, take(numTokens));
  if (products.keyDecay)
    stageDecayedKeys(first, loaded);
  else
    forMatrices([&](const Factors &factors, const SharedMatrix &matrix, bool isKey) {
      if (std::optional<Vectors> vectors = findVectors(factors))
        stageVectors(factors, *vectors, matrix, first, isKey,
                     take(numVectors(vectors->count)));
      else
        stageMatrix(factors, matrix, first, isKey);
    });
  stagingBarrier();
}

/// Of keys beyond the last token nothing may be left.
void ChunkKernel::forMatrices(
    function_ref<void(const Factors &, const SharedMatrix &, bool)> visit) {
  SharedMatrix none;
  for (auto [i, term] : llvm::enumerate(products.terms))
    visit(term.key, keyMatrices.empty() ? none : keyMatrices[i], /*isKey=*/true);
  for (Row &row : rows)
    if (!row.term)
      visit(row.factors, row.matrix, /*isKey=*/false);
}

void ChunkKernel::goOnWithChunk() {
  if (heads * numChunks() >= kWarps)
    return;
  OpBuilder &b = loops.builder;
  Value hasChunk = loops.less(warp, loops.index(heads * numChunks()));
  auto branch = scf::IfOp::create(b, loops.loc, hasChunk, /*withElseRegion=*/false);
  b.setInsertionPointToStart(branch.thenBlock());
}

void ChunkKernel::stageTokens(Value first, ValueRange loaded) {
  OpBuilder &b = loops.builder;
  OpBuilder::InsertionGuard guard(b);
  goOnWithChunk();
  Value token = ownToken();
  for (auto [number, term] : llvm::enumerate(products.terms))
    if (!term.time.empty()) {
      storeStaged(loaded.front(), timeScales, {loops.index(number), token});
      loaded = loaded.drop_front();
    }
  Value isToken = bindToken(loops.add(first, remainder(token, group)));
  Value before = one();
  if (hasTokenDecay())
    before = stageTokenDecays(token, loops.select(isToken, loaded.front(), one()));
  if (!products.pairs.empty())
    stageEraseScales(token, loaded.back(), before);
}

/// Returns the product of the decays before the token.
Value ChunkKernel::stageTokenDecays(Value token, Value decay) {
  Value place = remainder(lane, kChunk);
  Value prefix = decay, suffix = decay;
  for (int64_t distance = 1; distance < kChunk; distance *= 2) {
    Value reaches = loops.less(loops.index(distance - 1), place);
    Value earlier = shuffle(prefix, loops.select(reaches, plus(lane, -distance), lane));
    prefix = loops.select(reaches, loops.mul(prefix, earlier), prefix);
    reaches = loops.less(place, loops.index(kChunk - distance));
    Value later = shuffle(suffix, loops.select(reaches, plus(lane, distance), lane));
    suffix = loops.select(reaches, loops.mul(suffix, later), suffix);
  }
  Value isFirst = loops.less(place, loops.index(1));
  Value isLast = loops.less(loops.index(kChunk - 2), place);
  Value before = shuffle(prefix, loops.select(isFirst, lane, plus(lane, -1)));
  before = loops.select(isFirst, one(), before);
  Value after = shuffle(suffix, loops.select(isLast, lane, plus(lane, 1)));
  storeStaged(prefix, prefixes, {token});
  storeStaged(loops.select(isLast, one(), after), suffixes, {token});
  storeStaged(shuffle(prefix, loops.index(kChunk - 1)), totals, {warp});
  // A column of the products a thread.
  loops.store(zero(), withinChunk, {warp, loops.index(0), place});
  Value product = one();
  for (int64_t row = 0; row < kChunk; ++row) {
    Value rowIndex = loops.index(row);
    Value decays = shuffle(decay, rowIndex);
    product = loops.select(loops.less(place, rowIndex), loops.mul(product, decays), product);
    Value isBelow = loops.less(place, loops.index(row + 1));
    loops.store(loops.select(isBelow, product, zero()), withinChunk,
                {warp, loops.index(row + 1), place});
  }
  return before;
}

void ChunkKernel::stageEraseScales(Value token, Value scale, Value before) {
  if (isEraseNegative)
    scale = arith::NegFOp::create(loops.builder, loops.loc, scale);
  loops.store(scale, eraseScales, {token});
  storeStaged(loops.mul(scale, before), erasePrefixes, {token});
}

/// Rows of keys, two neighbouring ones a thread.
void ChunkKernel::stageMatrix(const Factors &factors, const SharedMatrix &matrix, Value first,
                              bool zeroTail) {
  OpBuilder &b = loops.builder;
  int64_t pairs = paddedKeys / 2, count = group * pairs;
  Value thread = loops.add(times(warp, kWarp), lane);
  int64_t rounds = llvm::divideCeil(count, kThreads);
  int64_t together = std::min(kLoadsAhead, rounds);
  while (rounds % together)
    --together;
  auto loop = scf::ForOp::create(b, loops.loc, loops.index(0), loops.index(rounds),
                                 loops.index(together));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value number = loops.add(times(loop.getInductionVar(), kThreads), thread);
  SmallVector<Value> offsets, lows, highs;
  for (int64_t i = 0; i < together; ++i) {
    Value place = plus(number, i * kThreads);
    if (count % kThreads)
      place = arith::MinSIOp::create(b, loops.loc, place, loops.index(count - 1));
    Value token = quotient(place, pairs), key = times(remainder(place, pairs), 2);
    Value isToken = bindToken(loops.add(first, token));
    auto element = [&](Value at) {
      Value isKey = bindKey(at);
      Value value = loops.select(isKey, evaluate(factors), zero());
      return zeroTail ? loops.select(isToken, value, zero()) : value;
    };
    lows.push_back(element(key));
    highs.push_back(element(plus(key, 1)));
    offsets.push_back(loops.add(times(token, matrix.stride), key));
  }
  for (int64_t i = 0; i < together; ++i)
    cores.store(cores.split(lows[i], highs[i]), matrix, offsets[i]);
}
