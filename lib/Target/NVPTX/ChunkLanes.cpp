//===- ChunkLanes.cpp - Vectors of lanes, from and to memory ---------------===//
//
// In memory lanes are neighbours, in the registers of products tokens are. Where numbers
// have 16 bits a thread loads or stores four lanes of a token, and two transposes of 8 x 8
// make them the pairs of tokens of two rows. Rows are dealt out to lanes so that the four
// are of the same thread's columns.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/ChunkKernel.h"
#include "Target/NVPTX/Launch.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

static constexpr int64_t kBytes = 8; // of a vector

std::optional<unsigned> ChunkKernel::findLaneVectors(const ProductTerms::Term &term) {
  std::optional<unsigned> argument = findOnlyArgument(term.lane);
  if (!readsVectors || !term.isWritten || !argument)
    return std::nullopt;
  Value memory = op.getIns()[*argument];
  Type type = getElementTypeOrSelf(memory.getType());
  bool fits = isa<FloatType>(type) && type.getIntOrFloatBitWidth() == 16 &&
              lanes % kLaneVector == 0 &&
              getNeighbours(memory, op.getInsMap(*argument), products.lane) == lanes;
  return fits ? argument : std::nullopt;
}

bool ChunkKernel::storesLaneVectors() {
  Value memory = op.getOutputInits().front();
  return readsVectors && getElementTypeOrSelf(memory).getIntOrFloatBitWidth() == 16 &&
         lanes % kLaneVector == 0 &&
         getNeighbours(memory, op.getOutputMap(), products.lane) == lanes;
}

int64_t ChunkKernel::numValues(const ProductTerms::Term &term) {
  return findLaneVectors(term) ? kSums / 2 : kSums;
}

Value ChunkKernel::bindLaneVector(Value first, int64_t chunk, int64_t half) {
  Value isToken = bindToken(loops.add(first, plus(laneRow, chunk * kChunk + 8 * half)));
  Value at = loops.add(firstLane, times(laneColumn, kLaneVector / 2));
  int64_t last = kLaneVector - 1;
  return both(isToken, bindWithin(products.lane, at, lanes - last,
                                   llvm::alignTo(lanes, getTileLanes()) - last));
}

/// Two words of each half of the tokens.
SmallVector<Value> ChunkKernel::loadLanes(const ProductTerms::Term &term, Value first,
                                          int64_t chunk) {
  OpBuilder &b = loops.builder;
  unsigned argument = *findLaneVectors(term);
  Value memory = op.getIns()[argument];
  auto type = VectorType::get(kLaneVector, getElementTypeOrSelf(memory.getType()));
  SmallVector<Value> words;
  for (int64_t half = 0; half < 2; ++half) {
    bindLaneVector(first, chunk, half);
    Value vector = vector::LoadOp::create(
        b, loops.loc, type, memory, loops.apply(op.getInsMap(argument), point),
        /*nontemporal=*/false, llvm::MaybeAlign(kBytes));
    vector = vector::BitCastOp::create(
        b, loops.loc, VectorType::get(kLaneVector / 2, b.getI32Type()), vector);
    for (int64_t i = 0; i < kLaneVector / 2; ++i)
      words.push_back(vector::ExtractOp::create(b, loops.loc, vector, i));
  }
  return words;
}

/// The numbers of what loadValues has loaded.
SmallVector<Value> ChunkKernel::spreadLanes(const ProductTerms::Term &term,
                                            ValueRange loaded, Value first,
                                            int64_t chunk) {
  OpBuilder &b = loops.builder;
  SmallVector<Value> values(loaded);
  if (std::optional<unsigned> argument = findLaneVectors(term)) {
    values.clear();
    auto type = VectorType::get(2, getElementTypeOrSelf(op.getIns()[*argument].getType()));
    auto word = VectorType::get(1, b.getI32Type());
    for (Value pair : loaded) {
      pair = vector::FromElementsOp::create(b, loops.loc, word, cores.transpose(pair));
      pair = vector::BitCastOp::create(b, loops.loc, type, pair);
      for (Value number : extractElements(b, loops.loc, pair))
        values.push_back(evaluate(term.lane, [&](unsigned) { return number; }));
    }
  }
  if (term.negated)
    for (Value &value : values)
      value = arith::NegFOp::create(b, loops.loc, value);
  return values;
}

void ChunkKernel::storeLanes(ValueRange results, Value first, int64_t chunk) {
  OpBuilder &b = loops.builder;
  Type i32 = b.getI32Type();
  Value memory = op.getOutputInits().front();
  Type element = getElementTypeOrSelf(memory.getType());
  for (int64_t half = 0; half < 2; ++half) {
    SmallVector<Value> words;
    for (int64_t i = 4 * half; i < 4 * half + 4; i += 2) {
      Value pair = vector::FromElementsOp::create(
          b, loops.loc, VectorType::get(2, element), ValueRange{results[i], results[i + 1]});
      pair = vector::BitCastOp::create(b, loops.loc, VectorType::get(1, i32), pair);
      words.push_back(
          cores.transpose(vector::ExtractOp::create(b, loops.loc, pair, 0)));
    }
    Value vector = vector::FromElementsOp::create(
        b, loops.loc, VectorType::get(kLaneVector / 2, i32), words);
    vector = vector::BitCastOp::create(b, loops.loc, VectorType::get(kLaneVector, element),
                                       vector);
    loops.when(bindLaneVector(first, chunk, half), [&] {
      vector::StoreOp::create(b, loops.loc, vector, memory,
                              loops.apply(op.getOutputMap(), point),
                              /*nontemporal=*/false, llvm::MaybeAlign(kBytes));
    });
  }
}
