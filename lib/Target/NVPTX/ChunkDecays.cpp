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
} // namespace

void ChunkKernel::stageDecayedKeys(Value first) {
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
  stageDecayedPair(first, quotient(number, perChunk), times(remainder(number, perChunk), 2));
}

bool ChunkKernel::readsPairs(unsigned argument) {
  Value memory = op.getIns()[argument];
  Type type = getElementTypeOrSelf(memory.getType());
  return readsVectors && products.keyDecay && isa<FloatType>(type) &&
         type.getIntOrFloatBitWidth() == 16 && keys % 2 == 0 &&
         getNeighbours(memory, op.getInsMap(argument), products.key) == keys;
}

/// At the key `key`, and at the next one.
ChunkKernel::Pair ChunkKernel::evaluatePair(const Factors &factors, Value key) {
  OpBuilder &b = loops.builder;
  Pair values;
  for (auto [i, value] : llvm::enumerate(values)) {
    Value at = plus(key, i);
    value = evaluate(factors, [&, i = i](unsigned argument) -> Value {
      Value memory = op.getIns()[argument];
      AffineMap map = op.getInsMap(argument);
      if (!readsPairs(argument)) {
        bindKey(at);
        return loops.load(memory, loops.apply(map, point));
      }
      bindWithin(products.key, key, keys - 1, paddedKeys - 1);
      auto type = VectorType::get(2, getElementTypeOrSelf(memory.getType()));
      Value pair = vector::LoadOp::create(b, loops.loc, type, memory,
                                          loops.apply(map, point), /*nontemporal=*/false,
                                          llvm::MaybeAlign(sizeof(uint32_t)));
      return extractElements(b, loops.loc, pair)[i];
    });
  }
  return values;
}

void ChunkKernel::stageDecayedPair(Value first, Value chunk, Value key) {
  OpBuilder &b = loops.builder;
  Value firstToken = times(chunk, kChunk);
  Value isKey[] = {bindKey(key), bindKey(plus(key, 1))};
  // Loads first, then what is computed of them.
  SmallVector<Pair> decays;
  SmallVector<SmallVector<Pair>> keyVectors(products.terms.size()), rowVectors(rows.size());
  for (int64_t i = 0; i < kChunk; ++i) {
    Value isToken = bindToken(loops.add(first, plus(firstToken, i)));
    auto evaluateIf = [&](const Factors &factors, bool needsToken, Value otherwise) {
      Pair pair = evaluatePair(factors, key);
      for (auto [value, isThere] : llvm::zip_equal(pair, isKey))
        value = loops.select(needsToken ? both(isThere, isToken) : isThere, value,
                             otherwise);
      return pair;
    };
    decays.push_back(evaluateIf({{roles.getDecay()[0], false}}, true, one()));
    for (auto [term, vector] : llvm::zip_equal(products.terms, keyVectors))
      vector.push_back(evaluateIf(term.key, true, zero()));
    for (auto [row, vector] : llvm::zip_equal(rows, rowVectors))
      vector.push_back(evaluateIf(row.factors, false, zero()));
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
    Pair next = multiply(prefix, decays[i]);
    for (auto [row, vector] : llvm::zip_equal(rows, rowVectors))
      store(multiply(vector[i], row.isBefore ? prefix : next), row.matrix, i);
    prefix = next;
    for (Value product : prefix) {
      Value size = math::AbsFOp::create(b, loops.loc, product);
      // Also where it is no number.
      check(arith::CmpFPredicate::ULT, size, kSmallestProduct);
      check(arith::CmpFPredicate::UGT, size, kLargestProduct);
    }
  }
  for (auto [i, product] : llvm::enumerate(prefix))
    storeStaged(product, totals, {chunk, plus(key, i)});
  Pair suffix{one(), one()};
  for (int64_t i = kChunk - 1; i >= 0; --i) {
    for (auto [vector, matrix] : llvm::zip_equal(keyVectors, keyMatrices))
      store(multiply(vector[i], suffix), matrix, i);
    suffix = multiply(suffix, decays[i]);
  }
  loops.when(isOutside, [&] {
    Value flag = arith::ConstantOp::create(b, loops.loc, b.getI32IntegerAttr(1));
    loops.store(flag, isExtreme, chunk);
  });
}
