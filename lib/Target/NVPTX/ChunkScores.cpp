//===- ChunkScores.cpp - Products within chunks ---------------------------===//
//
// A warp has a chunk of the group: the scores of its tokens, and, with an erase pair, the
// inverse of a unit triangular matrix.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/ChunkKernel.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

void ChunkKernel::forSums(function_ref<void(int64_t, Value, Value)> visit) {
  for (int64_t i = 0; i < 8; ++i)
    visit(i, plus(laneRow, i % 4 / 2 * 8), plus(laneColumn, i / 4 * 8 + i % 2));
}

void ChunkKernel::emitScores(Value first) {
  OpBuilder &b = loops.builder;
  OpBuilder::InsertionGuard guard(b);
  goOnWithChunk();
  emitChunkScores(first);
}

void ChunkKernel::emitChunkScores(Value first) {
  OpBuilder &b = loops.builder;
  unsigned numTerms = products.terms.size();
  for (auto [rowNumber, row] : llvm::enumerate(rows)) {
    SmallVector<Value> ofRow;
    if (products.keyDecay) {
      Value flag = memref::LoadOp::create(b, loops.loc, isExtreme, warp);
      Value isNone = arith::CmpIOp::create(
          b, loops.loc, arith::CmpIPredicate::eq, flag,
          arith::ConstantOp::create(b, loops.loc, b.getI32IntegerAttr(0)));
      auto branch = scf::IfOp::create(b, loops.loc,
                                      SmallVector<Type>(kSums * numTerms, f32), isNone,
                                      /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(branch.thenBlock());
      scf::YieldOp::create(b, loops.loc, multiplyRows(row));
      b.setInsertionPointToStart(branch.elseBlock());
      SmallVector<Value> directly;
      for (unsigned term = 0; term < numTerms; ++term)
        llvm::append_range(directly, sumDirectly(row, term, first));
      scf::YieldOp::create(b, loops.loc, directly);
      ofRow = branch.getResults();
    } else {
      ofRow = multiplyRows(row);
    }
    for (unsigned term = 0; term < numTerms; ++term) {
      MutableArrayRef<Value> sums = MutableArrayRef(ofRow).slice(kSums * term, kSums);
      applyDecays(sums, row);
      if (row.isBefore && products.pairs[0].term == term) {
        forSums([&](int64_t i, Value r, Value c) {
          loops.store(sums[i], triangle, {warp, r, c});
        });
        continue;
      }
      Value firstRow =
          loops.add(times(warp, kChunk),
                    loops.index((rowNumber * numTerms + term) * heads * group));
      for (int64_t i = 0; i < 8; i += 2) {
        Value place = loops.add(firstRow, plus(laneRow, i % 4 / 2 * 8));
        place = loops.add(times(place, scores.stride), plus(laneColumn, i / 4 * 8));
        cores.store(cores.split(sums[i], sums[i + 1]), scores, place);
      }
    }
  }
  if (!products.pairs.empty())
    emitInverse();
}

/// 16 rows times as many keys of each term, as two products side by side.
SmallVector<Value> ChunkKernel::multiplyRows(const Row &row) {
  SmallVector<Value> sums = zeros(kSums * keyMatrices.size());
  auto place = [&](const SharedMatrix &matrix, Order order) {
    return loops.add(cores.getOffset(order, lane, matrix.stride),
                     times(remainder(warp, numChunks()), kChunk * matrix.stride));
  };
  Value left = place(row.matrix, Order::belowFirst);
  SmallVector<Value> right;
  for (const SharedMatrix &columns : keyMatrices)
    right.push_back(place(columns, Order::besideFirst));
  for (int64_t key = 0; key < paddedKeys; key += kChunk) {
    Fragment a = cores.load(row.matrix, left, 0, key, /*transposed=*/false);
    if (products.keyDecay)
      a = divideByTotals(a, key);
    for (auto [term, columns] : llvm::enumerate(keyMatrices)) {
      Fragment b = cores.load(columns, right[term], 0, key, /*transposed=*/false);
      for (int64_t half = 0; half < 2; ++half)
        cores.multiply(MutableArrayRef(sums).slice(kSums * term + 4 * half, 4), a, b,
                       half);
    }
  }
  return sums;
}

/// Rows have the decays from the start of the chunk, keys those to its end: together all
/// of the chunk's too many.
ChunkKernel::Fragment ChunkKernel::divideByTotals(const Fragment &fragment,
                                                  int64_t key) {
  SmallVector<Value> numbers;
  for (int64_t i = 0; i < 4; ++i) {
    SmallVector<Value> pairs;
    for (auto &term : fragment)
      pairs.push_back(term[i]);
    auto [low, high] = cores.join(pairs);
    for (auto [number, value] : {std::make_pair(0, low), std::make_pair(1, high)}) {
      Value column = plus(laneColumn, key + i / 2 * 8 + number);
      numbers.push_back(loops.mul(value, loops.load(inverseTotals, {warp, column})));
    }
  }
  return cores.splitSums(numbers);
}

/// The same from memory, number by number, with the decays between the two tokens.
SmallVector<Value> ChunkKernel::sumDirectly(const Row &row, unsigned term, Value first) {
  Value chunk = loops.add(first, times(warp, kChunk));
  SmallVector<Value> sums;
  forSums([&](int64_t, Value r, Value c) {
    // Decays of the tokens after the column's: up to the row's, or the one before it.
    Value begin = plus(c, 1), end = plus(r, row.isBefore ? 0 : 1);
    auto sum = loops.reduce(
        loops.index(0), loops.index(keys), {zero()}, [&](Value key, ValueRange carried) {
          point[products.key] = key;
          auto product = loops.reduce(begin, end, {one()}, [&](Value at, ValueRange so) {
            Value isToken = bindToken(loops.add(chunk, at));
            Value decay = loops.select(isToken, evaluate(roles.getDecay()[0]), one());
            return SmallVector<Value>{loops.mul(so[0], decay)};
          });
          bindToken(loops.add(chunk, r));
          Value left = loops.mul(evaluate(row.factors), product[0]);
          Value isToken = bindToken(loops.add(chunk, c));
          Value right = loops.select(isToken, evaluate(products.terms[term].key), zero());
          return SmallVector<Value>{loops.add(carried[0], loops.mul(left, right))};
        });
    sums.push_back(sum[0]);
  });
  return sums;
}

/// Decays between the two tokens, or, where operands have them, zero for later tokens.
void ChunkKernel::applyDecays(MutableArrayRef<Value> sums, const Row &row) {
  forSums([&](int64_t i, Value r, Value c) {
    if (hasTokenDecay()) {
      Value decay = loops.load(withinChunk, {warp, row.isBefore ? r : plus(r, 1), c});
      sums[i] = loops.mul(sums[i], decay);
    } else {
      Value isSeen = loops.less(c, row.isBefore ? r : plus(r, 1));
      sums[i] = loops.select(isSeen, sums[i], zero());
    }
    if (row.isBefore) {
      Value scale = loops.load(eraseScales, {loops.add(times(warp, kChunk), r)});
      sums[i] = loops.mul(sums[i], scale);
    }
  });
}

/// The inverse of one minus the triangle, a column a thread; both halves of the warp do
/// the same.
void ChunkKernel::emitInverse() {
  OpBuilder &b = loops.builder;
  Value all = arith::ConstantOp::create(b, loops.loc, b.getI32IntegerAttr(-1));
  NVVM::SyncWarpOp::create(b, loops.loc, all);
  Value column = remainder(lane, kChunk);
  SmallVector<Value> solution;
  for (int64_t row = 0; row < kChunk; ++row) {
    Value isDiagonal = both(loops.less(column, loops.index(row + 1)),
                             loops.less(loops.index(row - 1), column));
    Value sum = loops.select(isDiagonal, one(), zero());
    for (int64_t at = 0; at < row; ++at) {
      Value factor = loops.load(triangle, {warp, loops.index(row), loops.index(at)});
      sum = loops.add(sum, loops.mul(factor, solution[at]));
    }
    solution.push_back(sum);
  }
  unsigned number = products.terms.size() + products.pairs[0].term;
  Value firstRow = loops.add(times(warp, kChunk), loops.index(number * heads * group));
  for (int64_t row = 0; row < kChunk; ++row)
    cores.storeNumber(solution[row], scores,
                      loops.add(times(plus(firstRow, row), scores.stride), column));
}
