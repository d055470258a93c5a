//===- ChunkVectors.cpp - Vectors of keys for shared memory ----------------===//
//
// A matrix that is computed of one operand with neighbouring keys beside each other: a
// thread loads 16 bytes at once, ahead of the group that they are of.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/ChunkKernel.h"
#include "Target/NVPTX/Launch.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

SmallVector<unsigned> ChunkKernel::findArguments(const Factors &factors) {
  llvm::SetVector<Value> needed;
  for (const ProductTerms::Factor &factor : factors)
    needed.insert(factor.value);
  SmallVector<unsigned> arguments;
  for (size_t i = 0; i < needed.size(); ++i)
    if (Operation *source = needed[i].getDefiningOp())
      needed.insert(source->operand_begin(), source->operand_end());
    else
      arguments.push_back(cast<BlockArgument>(needed[i]).getArgNumber());
  return arguments;
}

std::optional<unsigned> ChunkKernel::findOnlyArgument(const Factors &factors) {
  SmallVector<unsigned> arguments = findArguments(factors);
  return arguments.size() == 1 ? std::optional(arguments.front()) : std::nullopt;
}

std::optional<ChunkKernel::Vectors> ChunkKernel::findVectors(const Factors &factors) {
  std::optional<unsigned> argument = findOnlyArgument(factors);
  if (!readsVectors || !argument)
    return std::nullopt;
  Value memory = op.getIns()[*argument];
  Type type = getElementTypeOrSelf(memory.getType());
  int64_t bits = type.getIntOrFloatBitWidth();
  if (!isa<FloatType>(type) || (bits != 16 && bits != 32))
    return std::nullopt;
  int64_t count = 8 * kVectorBytes / bits;
  if (getNeighbours(memory, op.getInsMap(*argument), products.key) != keys ||
      keys % count != 0)
    return std::nullopt;
  bool isCopy = terms == 1 && type.isBF16() && findCopied(factors);
  return Vectors{*argument, count, isCopy};
}

void ChunkKernel::forVectors(int64_t count,
                             function_ref<void(int64_t, Value, Value)> visit) {
  int64_t perToken = paddedKeys / count, total = group * perToken;
  Value thread = loops.add(times(warp, kWarp), lane);
  for (int64_t i = 0; i < numVectors(count); ++i) {
    Value place = plus(thread, i * kThreads);
    if (total % kThreads)
      place = arith::MinSIOp::create(loops.builder, loops.loc, place,
                                     loops.index(total - 1));
    visit(i, quotient(place, perToken), times(remainder(place, perToken), count));
  }
}

SmallVector<Value> ChunkKernel::loadVectors(const Vectors &vectors, Value first) {
  OpBuilder &b = loops.builder;
  Value memory = op.getIns()[vectors.argument];
  auto type = VectorType::get(vectors.count, getElementTypeOrSelf(memory.getType()));
  auto words = VectorType::get(kVectorBytes / 4, b.getI32Type());
  SmallVector<Value> loaded;
  forVectors(vectors.count, [&](int64_t, Value token, Value key) {
    bindToken(loops.add(first, token));
    bindWithin(products.key, key, keys - vectors.count + 1,
               paddedKeys - vectors.count + 1);
    Value vector = vector::LoadOp::create(
        b, loops.loc, type, memory, loops.apply(op.getInsMap(vectors.argument), point),
        /*nontemporal=*/false, llvm::MaybeAlign(kVectorBytes));
    loaded.push_back(vector::BitCastOp::create(b, loops.loc, words, vector));
  });
  return loaded;
}

void ChunkKernel::stageVectors(const Factors &factors, const Vectors &vectors,
                               const SharedMatrix &matrix, Value first, bool zeroTail,
                               ValueRange loaded) {
  OpBuilder &b = loops.builder;
  forVectors(vectors.count, [&](int64_t i, Value token, Value key) {
    Value isThere = bindToken(loops.add(first, token)), isKey = bindKey(key);
    isThere = zeroTail ? both(isThere, isKey) : isKey;
    SmallVector<Value> words{loaded[i]};
    if (!vectors.isCopy)
      words = splitVector(factors, vectors, loaded[i]);
    for (Value &ofTerm : words) {
      Value none =
          arith::ConstantOp::create(b, loops.loc, b.getZeroAttr(ofTerm.getType()));
      ofTerm = loops.select(isThere, ofTerm, none);
    }
    cores.storeWords(words, matrix, loops.add(times(token, matrix.stride), key));
  });
}

SmallVector<Value> ChunkKernel::splitVector(const Factors &factors, const Vectors &vectors,
                                            Value loaded) {
  OpBuilder &b = loops.builder;
  Type element = getElementTypeOrSelf(op.getIns()[vectors.argument].getType());
  SmallVector<Value> numbers = extractElements(
      b, loops.loc,
      vector::BitCastOp::create(b, loops.loc, VectorType::get(vectors.count, element),
                                loaded));
  for (Value &number : numbers)
    number = evaluate(factors, [&](unsigned) { return number; });
  SmallVector<SmallVector<Value>> pairs(terms);
  for (int64_t i = 0; i < vectors.count; i += 2)
    for (auto [term, pair] : llvm::enumerate(cores.split(numbers[i], numbers[i + 1])))
      pairs[term].push_back(pair);
  auto type = VectorType::get(vectors.count / 2, b.getI32Type());
  return llvm::map_to_vector(pairs, [&](ArrayRef<Value> ofTerm) -> Value {
    return vector::FromElementsOp::create(b, loops.loc, type, ofTerm);
  });
}
