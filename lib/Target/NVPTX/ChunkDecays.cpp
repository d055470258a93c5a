//===- ChunkDecays.cpp - Keys with decays of their own for shared memory ---===//
//
// A thread has two neighbouring keys of a chunk: their decays multiply from token to token.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/ChunkKernel.h"
#include "Target/NVPTX/Launch.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

namespace {
/// Products of the decays of a chunk that scores can be divided by.
constexpr double kSmallestProduct = 0x1p-60, kLargestProduct = 0x1p60;
/// Registers of a thread for what it loads ahead.
constexpr unsigned kMostAhead = 64;
} // namespace

SmallVector<unsigned> ChunkKernel::findDecayedArguments() {
  Factors all{{roles.getDecay()[0], false}};
  for (ProductTerms::Term &term : products.terms)
    llvm::append_range(all, term.key);
  for (Row &row : rows)
    llvm::append_range(all, row.factors);
  return findArguments(all);
}

bool ChunkKernel::loadsDecayedAhead() {
  SmallVector<unsigned> arguments = findDecayedArguments();
  return numChunks() * paddedKeys / 2 <= kThreads &&
         kChunk * arguments.size() <= kMostAhead &&
         llvm::all_of(arguments, [&](unsigned argument) { return readsPairs(argument); });
}

/// Two keys of each token of a chunk, operand by operand.
SmallVector<Value> ChunkKernel::loadDecayedKeys(Value first) {
  OpBuilder &b = loops.builder;
  int64_t count = numChunks() * paddedKeys / 2;
  Value thread = loops.add(times(warp, kWarp), lane);
  if (count < kThreads)
    thread = arith::MinSIOp::create(b, loops.loc, thread, loops.index(count - 1));
  Value firstToken = loops.add(first, times(quotient(thread, paddedKeys / 2), kChunk));
  Value key = times(remainder(thread, paddedKeys / 2), 2);
  SmallVector<unsigned> arguments = findDecayedArguments();
  auto word = VectorType::get(1, b.getI32Type());
  SmallVector<Value> words;
  for (int64_t i = 0; i < kChunk; ++i) {
    bindToken(plus(firstToken, i));
    for (unsigned argument : arguments)
      words.push_back(vector::ExtractOp::create(
          b, loops.loc,
          vector::BitCastOp::create(b, loops.loc, word, loadPair(argument, key)), 0));
  }
  return words;
}

void ChunkKernel::stageDecayedKeys(Value first, ValueRange loaded) {
  OpBuilder &b = loops.builder;
  int64_t perChunk = paddedKeys / 2, count = numChunks() * perChunk;
  Value thread = loops.add(times(warp, kWarp), lane);
  Value zeroFlag = arith::ConstantOp::create(b, loops.loc, b.getI32IntegerAttr(0));
  loops.when(loops.less(thread, loops.index(numChunks())),
             [&] { loops.store(zeroFlag, isExtreme, thread); });
  stagingBarrier();
  auto loop = scf::ForOp::create(b, loops.loc, thread, loops.index(count),
                                 loops.index(kThreads));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value number = loop.getInductionVar();
  stageDecayedPair(first, quotient(number, perChunk), times(remainder(number, perChunk), 2),
                   loaded);
}

bool ChunkKernel::readsPairs(unsigned argument) {
  Value memory = op.getIns()[argument];
  Type type = getElementTypeOrSelf(memory.getType());
  return readsVectors && products.keyDecay && isa<FloatType>(type) &&
         type.getIntOrFloatBitWidth() == 16 && keys % 2 == 0 &&
         getNeighbours(memory, op.getInsMap(argument), products.key) == keys;
}

Value ChunkKernel::loadPair(unsigned argument, Value key) {
  Value memory = op.getIns()[argument];
  bindWithin(products.key, key, keys - 1, paddedKeys - 1);
  auto type = VectorType::get(2, getElementTypeOrSelf(memory.getType()));
  return vector::LoadOp::create(loops.builder, loops.loc, type, memory,
                                loops.apply(op.getInsMap(argument), point),
                                /*nontemporal=*/false, llvm::MaybeAlign(sizeof(uint32_t)));
}

/// At the key `key`, and at the next one.
ChunkKernel::Pair ChunkKernel::evaluatePair(const Factors &factors, Value key,
                                            function_ref<Value(unsigned)> getPair) {
  OpBuilder &b = loops.builder;
  Pair values;
  for (auto [i, value] : llvm::enumerate(values)) {
    Value at = plus(key, i);
    value = evaluate(factors, [&, i = i](unsigned argument) -> Value {
      if (!readsPairs(argument)) {
        bindKey(at);
        return loops.load(op.getIns()[argument],
                          loops.apply(op.getInsMap(argument), point));
      }
      return extractElements(b, loops.loc, getPair(argument))[i];
    });
  }
  return values;
}

/// Of what was loaded ahead, if it was.
void ChunkKernel::stageDecayedPair(Value first, Value chunk, Value key,
                                   ValueRange loaded) {
  OpBuilder &b = loops.builder;
  Value firstToken = times(chunk, kChunk);
  Value isKey[] = {bindKey(key), bindKey(plus(key, 1))};
  SmallVector<unsigned> arguments = findDecayedArguments();
  auto evaluateAt = [&](int64_t i, const Factors &factors, bool needsToken,
                        Value otherwise) {
    Value isToken = bindToken(loops.add(first, plus(firstToken, i)));
    Pair pair = evaluatePair(factors, key, [&](unsigned argument) -> Value {
      if (loaded.empty())
        return loadPair(argument, key);
      int64_t number = llvm::find(arguments, argument) - arguments.begin();
      Type element = getElementTypeOrSelf(op.getIns()[argument].getType());
      Value word = vector::FromElementsOp::create(
          b, loops.loc, VectorType::get(1, b.getI32Type()),
          loaded[i * arguments.size() + number]);
      return vector::BitCastOp::create(b, loops.loc, VectorType::get(2, element), word);
    });
    for (auto [value, isThere] : llvm::zip_equal(pair, isKey))
      value =
          loops.select(needsToken ? both(isThere, isToken) : isThere, value, otherwise);
    return pair;
  };
  auto decayAt = [&](int64_t i) {
    return evaluateAt(i, {{roles.getDecay()[0], false}}, /*needsToken=*/true, one());
  };
  auto keyAt = [&](int64_t i, const ProductTerms::Term &term) {
    return evaluateAt(i, term.key, /*needsToken=*/true, zero());
  };
  auto rowAt = [&](int64_t i, const Row &row) {
    return evaluateAt(i, row.factors, /*needsToken=*/false, zero());
  };
  // Loads first, then what is computed of them; what is there already is widened where it
  // is needed, in fewer registers.
  SmallVector<Pair> decays;
  SmallVector<SmallVector<Pair>> keyVectors(products.terms.size()), rowVectors(rows.size());
  for (int64_t i = 0; loaded.empty() && i < kChunk; ++i) {
    decays.push_back(decayAt(i));
    for (auto [term, vector] : llvm::zip_equal(products.terms, keyVectors))
      vector.push_back(keyAt(i, term));
    for (auto [row, vector] : llvm::zip_equal(rows, rowVectors))
      vector.push_back(rowAt(i, row));
  }
  auto multiply = [&](const Pair &left, const Pair &right) {
    return Pair{loops.mul(left[0], right[0]), loops.mul(left[1], right[1])};
  };
  auto store = [&](const Pair &pair, const SharedMatrix &matrix, int64_t i) {
    Value row = plus(firstToken, i);
    cores.store(cores.split(pair[0], pair[1]), matrix,
                loops.add(times(row, matrix.stride), key));
  };
  Value isOutside;
  auto check = [&](arith::CmpFPredicate predicate, Value value, double bound) {
    Value outside = arith::CmpFOp::create(b, loops.loc, predicate, value,
                                          loops.constant(f32, bound));
    isOutside = isOutside ? arith::OrIOp::create(b, loops.loc, isOutside, outside) : outside;
  };
  Pair prefix{one(), one()};
  for (int64_t i = 0; i < kChunk; ++i) {
    if (!loaded.empty())
      decays.push_back(decayAt(i));
    Pair next = multiply(prefix, decays[i]);
    for (auto [row, vector] : llvm::zip_equal(rows, rowVectors))
      store(multiply(loaded.empty() ? vector[i] : rowAt(i, row),
                     row.isBefore ? prefix : next),
            row.matrix, i);
    prefix = next;
    for (Value product : prefix) {
      Value size = math::AbsFOp::create(b, loops.loc, product);
      // Also where it is no number.
      check(arith::CmpFPredicate::ULT, size, kSmallestProduct);
      check(arith::CmpFPredicate::UGT, size, kLargestProduct);
    }
  }
  for (auto [i, product] : llvm::enumerate(prefix)) {
    storeStaged(product, totals, {chunk, plus(key, i)});
    loops.store(arith::DivFOp::create(b, loops.loc, one(), product), inverseTotals,
                {chunk, plus(key, i)});
  }
  Pair suffix{one(), one()};
  for (int64_t i = kChunk - 1; i >= 0; --i) {
    for (auto [term, vector, matrix] :
         llvm::zip_equal(products.terms, keyVectors, keyMatrices))
      store(multiply(loaded.empty() ? vector[i] : keyAt(i, term), suffix), matrix, i);
    suffix = multiply(suffix, decays[i]);
  }
  loops.when(isOutside, [&] {
    Value flag = arith::ConstantOp::create(b, loops.loc, b.getI32IntegerAttr(1));
    loops.store(flag, isExtreme, chunk);
  });
}
