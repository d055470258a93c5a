//===- TabulatedStaging.cpp - Tokens from memory to operands and back -----===//

#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/TabulatedKernel.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

namespace {
/// Bytes that `prmt` takes: the lower or the upper halves of two words.
constexpr int32_t kLowHalves = 0x5410, kHighHalves = 0x7632;
} // namespace

/// A warp has the word of its number of all channels: word `4 k + 2 h + c` is of the
/// tokens `16 k + 8 h + laneColumn` and the next, of the thread's chunk c.
Value TabulatedKernel::bindPiece(Value tile, int64_t which) {
  point[*form.lane] = firstChannel;
  Value chunk = loops.add(times(group, 2), remainder(warp, 2));
  Value token = loops.add(times(quotient(warp, 2), kTile), laneColumn);
  token = loops.add(times(chunk, kChunk), plus(token, which));
  return bindToken(loops.add(times(tile, tileTokens), token));
}

TabulatedKernel::Words TabulatedKernel::loadTile(Value tile) {
  OpBuilder &b = loops.builder;
  auto type = VectorType::get(kChannels / 2, i32);
  Words loaded;
  for (const Stream &stream : streams)
    for (int64_t which = 0; which < 2; ++which) {
      bindPiece(tile, which);
      Value loadedVector = loadNeighbours(b, loops.loc, stream.memref,
                                    loops.apply(stream.map, point), kChannels);
      loaded.push_back(vector::BitCastOp::create(b, loops.loc, type, loadedVector));
    }
  return loaded;
}

Value TabulatedKernel::permute(Value low, Value high, int32_t selector) {
  OpBuilder &b = loops.builder;
  Value bytes = arith::ConstantOp::create(b, loops.loc, b.getI32IntegerAttr(selector));
  return LLVM::CallIntrinsicOp::create(b, loops.loc, i32,
                                       b.getStringAttr("llvm.nvvm.prmt"),
                                       ValueRange{low, high, bytes})
      ->getResult(0);
}

TabulatedKernel::Words TabulatedKernel::pairTokens(Value first, Value second) {
  Words words;
  for (int64_t i = 0; i < kChannels / 2; ++i) {
    Value low = vector::ExtractOp::create(loops.builder, loops.loc, first, i);
    Value high = vector::ExtractOp::create(loops.builder, loops.loc, second, i);
    words.push_back(permute(low, high, kLowHalves));
    words.push_back(permute(low, high, kHighHalves));
  }
  return words;
}

Value TabulatedKernel::evaluateInput(function_ref<Value(unsigned)> getArgument) {
  Value input = loops
                    .inlineSlice(op.getCoefficients().front(), roles.getInputs().front(),
                                 getArgument)
                    .front();
  return loops.convert(input, f32);
}

TabulatedKernel::Pair TabulatedKernel::splitWord(Value word, Type type) {
  OpBuilder &b = loops.builder;
  Value words =
      vector::FromElementsOp::create(b, loops.loc, VectorType::get(1, i32), word);
  Value pair = vector::BitCastOp::create(b, loops.loc, VectorType::get(2, type), words);
  SmallVector<Value> elements = extractElements(b, loops.loc, pair);
  return {elements[0], elements[1]};
}

/// Of what is loaded of all streams, the inputs as words of two tokens.
TabulatedKernel::Words TabulatedKernel::makeInputs(ValueRange loaded) {
  if (copied)
    return pairTokens(loaded[2 * *copied], loaded[2 * *copied + 1]);
  SmallVector<Words> words;
  for (size_t stream = 0; stream < streams.size(); ++stream)
    words.push_back(pairTokens(loaded[2 * stream], loaded[2 * stream + 1]));
  Words inputs;
  for (int64_t i = 0; i < kChannels; ++i) {
    point[*form.lane] = plus(firstChannel, i);
    Pair numbers;
    for (int64_t which = 0; which < 2; ++which)
      numbers[which] = evaluateInput([&](unsigned argument) {
        std::optional<unsigned> stream = argumentStreams[argument];
        if (!stream)
          return loadAtPoint(op.getIns()[argument], op.getInsMap(argument));
        Type type = getElementTypeOrSelf(streams[*stream].memref.getType());
        return splitWord(words[*stream][i], type)[which];
      });
    inputs.push_back(cores.split(numbers[0], numbers[1]).front());
  }
  return inputs;
}

void TabulatedKernel::stageTile(ValueRange loaded, Value stage) {
  for (auto [i, ofChannel] : llvm::enumerate(makeInputs(loaded)))
    loops.store(ofChannel, buffer, {stage, loops.index(i), warp, lane});
}

void TabulatedKernel::storeTile(Value tile, Value stage) {
  OpBuilder &b = loops.builder;
  Value output = op.getOutputInits().front();
  auto words = VectorType::get(kChannels / 2, i32);
  auto type = VectorType::get(kChannels, getElementTypeOrSelf(output.getType()));
  Words staged;
  for (int64_t i = 0; i < kChannels; ++i)
    staged.push_back(loops.load(buffer, {stage, loops.index(i), warp, lane}));
  for (int64_t which = 0; which < 2; ++which) {
    Words ofToken;
    for (int64_t i = 0; i < kChannels; i += 2)
      ofToken.push_back(
          permute(staged[i], staged[i + 1], which ? kHighHalves : kLowHalves));
    Value stored = vector::FromElementsOp::create(b, loops.loc, words, ofToken);
    stored = vector::BitCastOp::create(b, loops.loc, type, stored);
    Value isToken = bindPiece(tile, which);
    loops.when(both(isToken, isRow), [&] {
      vector::StoreOp::create(b, loops.loc, stored, output,
                              loops.apply(op.getOutputMap(), point),
                              /*nontemporal=*/false, llvm::MaybeAlign(kVectorBytes));
    });
  }
}
