//===- FFTConvTiles.cpp - Tokens by channel and back ----------------------===//
//
// Tiles change their direction through shared memory: of the input, or of what its producer
// makes, before the transforms, and of sums with the epilogue after them.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/FFTConv.h"

#include "Target/NVPTX/Launch.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::detail;
using namespace ssmc::nvptx;

/// The channel `number` of the output in `point`.
void FFTConv::bindChannel(Value number) {
  for (unsigned dim : llvm::reverse(channelDims)) {
    point[dim] = remainder(number, sizes[dim]);
    number = quotient(number, sizes[dim]);
  }
}

/// Where a token of a channel is in memory for transforms.
Value FFTConv::getPlace(Value channel, Value token) {
  Value number = loops.add(loops.mul(point[0], channels), channel);
  return loops.add(loops.add(loops.mul(number, length), token), firstToken);
}

/// A launch with a block of threads for each tile of so many tokens, whose shared memory
/// has a row of tokens for each channel; one place more than those lets threads find
/// different banks.
gpu::LaunchOp FFTConv::startTile(Value tokens) {
  OpBuilder &b = loops.builder;
  auto ceilDiv = [&](Value a, int64_t by) -> Value {
    return arith::CeilDivUIOp::create(b, loops.loc, a, loops.index(by));
  };
  Value rowTiles = ceilDiv(channels, kWarp), tokenTiles = ceilDiv(tokens, kTileTokens);
  Value count = loops.mul(loops.mul(rowTiles, tokenTiles), batches);
  gpu::LaunchOp launch =
      startLaunch(b, loops.loc, count, loops.index(1), kWarp * kWarps,
                  sharedType({kWarp, kTileTokens + 1}, f32));
  tile = launch.getWorkgroupAttributions()[0];
  thread = launch.getThreadIds().x;
  llvm::fill(point, loops.index(0));
  // Blocks are fewer than 2^31, and a division of 32 bits is a fraction of one of 64.
  auto split = [&](Value number, Value by) {
    Type i32 = b.getI32Type();
    number = arith::IndexCastUIOp::create(b, loops.loc, i32, number);
    by = arith::IndexCastUIOp::create(b, loops.loc, i32, by);
    auto widen = [&](Value value) -> Value {
      return arith::IndexCastUIOp::create(b, loops.loc, b.getIndexType(), value);
    };
    return std::pair(widen(arith::DivUIOp::create(b, loops.loc, number, by)),
                     widen(arith::RemUIOp::create(b, loops.loc, number, by)));
  };
  auto [outer, channelTile] = split(launch.getBlockIds().x, rowTiles);
  auto [batch, tokenTile] = split(outer, tokenTiles);
  tileChannel = times(channelTile, kWarp);
  tileToken = times(tokenTile, kTileTokens);
  point[0] = batch;
  return launch;
}

/// `body` for a tile that is there as a whole, which nothing has to be asked of, or not.
void FFTConv::forTile(function_ref<void(bool)> body) {
  Value isWhole = both(loops.less(plus(tileChannel, kWarp - 1), channels),
                       loops.less(plus(tileToken, kTileTokens - 1), length));
  loops.when(isWhole, [&] { body(true); }, [&] { body(false); });
}

/// The last one before `end` in the place of those after it.
Value FFTConv::clamp(Value index, Value end, bool isWhole) {
  return isWhole ? index : min(index, plus(end, -1));
}

/// `body` where a tile has the channel and the token.
void FFTConv::whenThere(Value channel, Value token, bool isWhole,
                        function_ref<void()> body) {
  if (isWhole)
    return body();
  loops.when(both(loops.less(channel, channels), loops.less(token, length)), body);
}

/// An element of the input, or what its producer would make.
Value FFTConv::loadInput(ArrayRef<Value> indices) {
  if (!producer)
    return loops.load(op.getInput(), indices);
  SmallVector<Value> at(producer.getNumLoops());
  AffineMap map = producer.getIndexingMapsArray().back();
  for (auto [expr, index] : llvm::zip_equal(map.getResults(), indices))
    at[cast<AffineDimExpr>(expr).getPosition()] = index;
  Block &body = *producer.getBlock();
  return loops
      .inlineSlice(body, body.getTerminator()->getOperands(),
                   [&](unsigned argument) {
                     OpOperand *operand = producer.getDpsInputOperand(argument);
                     return loops.load(
                         operand->get(),
                         loops.apply(producer.getMatchingIndexingMap(operand), at));
                   })
      .front();
}

/// The thread's tokens in the ring of the history, those that it has room for.
void FFTConv::storeHistory(ArrayRef<Value> values, SmallVector<Value> from) {
  Value warp = quotient(thread, loops.index(kWarp)),
        lane = remainder(thread, loops.index(kWarp));
  Value kept = loops.size(op.getHistory(), 1), channel = loops.add(tileChannel, lane);
  Value firstKept = loops.sub(length, kept);
  Value firstPlace = loops.add(remainder(tileToken, kept), warp);
  for (int64_t i = 0; i < kTileOwn; ++i) {
    Value token = loops.add(tileToken, plus(warp, i * kWarps));
    Value isKept =
        both(loops.less(plus(firstKept, -1), token), loops.less(token, length));
    loops.when(both(isKept, loops.less(channel, channels)), [&] {
      Value place = plus(firstPlace, i * kWarps);
      from[1] = loops.select(loops.less(place, kept), place, loops.sub(place, kept));
      loops.store(values[i], op.getHistory(), from);
    });
  }
}

/// Tokens of the input, token by token, to tokens channel by channel.
void FFTConv::emitTokens() {
  // A number of tokens, as kernels take no truth values.
  Value written;
  if (writesHistory())
    written = keepsHistory ? loops.select(keepsHistory, length, loops.index(0)) : length;
  OpBuilder::InsertionGuard guard(loops.builder);
  startTile(tensor ? times(blocks, kBlock) : length);
  forTile([&](bool isWhole) { moveTokens(written, isWhole); });
}

void FFTConv::moveTokens(Value written, bool isWhole) {
  Value warp = quotient(thread, loops.index(kWarp)),
        lane = remainder(thread, loops.index(kWarp));
  bindChannel(clamp(loops.add(tileChannel, lane), channels, isWhole));
  SmallVector<Value> from = loops.apply(op.getInputMap(), point), values;
  for (int64_t i = 0; i < kTileOwn; ++i) {
    Value token = loops.add(tileToken, plus(warp, i * kWarps));
    from[1] = clamp(token, length, isWhole);
    values.push_back(loadInput(from));
  }
  if (written)
    loops.when(loops.less(loops.index(0), written), [&] { storeHistory(values, from); });
  for (auto [i, value] : llvm::enumerate(values))
    loops.store(loops.convert(value, f32), tile, {lane, plus(warp, i * kWarps)});
  gpu::BarrierOp::create(loops.builder, loops.loc);
  if (tensor)
    return storePairs(isWhole);
  for (int64_t i = 0; i < kTileOwn; ++i) {
    Value inTile = plus(times(warp, kWarp / kWarps), i / 2);
    Value inRow = plus(lane, i % 2 * kWarp);
    Value channel = loops.add(tileChannel, inTile), token = loops.add(tileToken, inRow);
    whenThere(channel, token, isWhole, [&] {
      loops.store(loops.load(tile, {inTile, inRow}), memory, getPlace(channel, token));
    });
  }
}

/// The tile as pairs of f16, each channel's divided by the largest power of two up to one of
/// its tokens; zero after the last token, up to the end of a block.
void FFTConv::storePairs(bool isWhole) {
  OpBuilder &b = loops.builder;
  Type i32 = b.getI32Type();
  auto word = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, loops.loc, b.getI32IntegerAttr(int32_t(value)));
  };
  auto bitsOf = [&](Value value) -> Value {
    return arith::BitcastOp::create(b, loops.loc, i32, value);
  };
  Value warp = quotient(thread, kWarp), lane = remainder(thread, kWarp);
  for (int64_t i = 0; i < kWarp / kWarps; ++i) {
    Value inTile = plus(times(warp, kWarp / kWarps), i);
    Value channel = loops.add(tileChannel, inTile);
    std::array<Value, 2> pair, sizes;
    for (int64_t second = 0; second < 2; ++second) {
      Value inRow = plus(times(lane, 2), second);
      Value value = loops.load(tile, {inTile, inRow});
      if (!isWhole)
        value = loops.select(loops.less(loops.add(tileToken, inRow), length), value,
                             constant(0.0));
      pair[second] = value;
      sizes[second] =
          arith::AndIOp::create(b, loops.loc, bitsOf(value), word(0x7FFFFFFF));
    }
    // The bits of numbers that are not negative are in their order.
    Value largest = NVVM::ReduxOp::create(
        b, loops.loc, i32, arith::MaxUIOp::create(b, loops.loc, sizes[0], sizes[1]),
        NVVM::ReduxKind::UMAX, word(-1));
    auto bitsOfNumber = [&](double value) {
      return word(llvm::bit_cast<int32_t>(float(value)));
    };
    Value scaleBits = arith::AndIOp::create(b, loops.loc, largest, word(0x7F800000));
    scaleBits = arith::MaxUIOp::create(b, loops.loc, scaleBits,
                                       bitsOfNumber(TensorConvolution::kLeastScale));
    scaleBits = arith::MinUIOp::create(b, loops.loc, scaleBits,
                                       bitsOfNumber(TensorConvolution::kLargestScale));
    Value inverseBits = arith::SubIOp::create(b, loops.loc, word(254 << 23), scaleBits);
    Value inverse = arith::BitcastOp::create(b, loops.loc, f32, inverseBits);
    auto store = [&] {
      Value vector = LLVM::CallIntrinsicOp::create(
                         b, loops.loc, VectorType::get(2, b.getF16Type()),
                         b.getStringAttr("llvm.nvvm.ff2f16x2.rn"),
                         ValueRange{loops.mul(pair[1], inverse), loops.mul(pair[0], inverse)})
                         ->getResult(0);
      vector = vector::BitCastOp::create(b, loops.loc, VectorType::get(1, f32), vector);
      Value place =
          tensor->getTokenPlace(point[0], channel, loops.add(tileToken, times(lane, 2)));
      loops.store(vector::ExtractOp::create(b, loops.loc, vector, 0), memory, place);
      loops.when(loops.less(lane, loops.index(1)), [&] {
        loops.store(arith::BitcastOp::create(b, loops.loc, f32, scaleBits), memory,
                    tensor->getTokenScalePlace(point[0], channel, tileToken));
      });
    };
    isWhole ? store() : loops.when(loops.less(channel, channels), store);
  }
}

/// The lane's two sums of a channel, of which blocks are whole.
std::array<Value, 2> FFTConv::loadPair(Value channel) {
  OpBuilder &b = loops.builder;
  Value token = loops.add(tileToken, times(remainder(thread, kWarp), 2));
  Value word = loops.load(memory, tensor->getTokenPlace(point[0], channel, token));
  Value scale = loops.load(
      memory, tensor->getScalePlace(point[0], channel, quotient(tileToken, kBlock)));
  Value vector =
      vector::FromElementsOp::create(b, loops.loc, VectorType::get(1, f32), word);
  vector = vector::BitCastOp::create(b, loops.loc, VectorType::get(2, b.getF16Type()), vector);
  SmallVector<Value> parts = extractElements(b, loops.loc, vector);
  return {loops.mul(loops.convert(parts[0], f32), scale),
          loops.mul(loops.convert(parts[1], f32), scale)};
}

/// Sums channel by channel to outputs token by token.
void FFTConv::emitOutputs() {
  OpBuilder::InsertionGuard guard(loops.builder);
  startTile(length);
  forTile([&](bool isWhole) { moveOutputs(isWhole); });
}

void FFTConv::moveOutputs(bool isWhole) {
  Value warp = quotient(thread, loops.index(kWarp)),
        lane = remainder(thread, loops.index(kWarp));
  SmallVector<Value> sums;
  for (int64_t i = 0; i < kTileOwn; ++i) {
    Value channel = loops.add(tileChannel, plus(times(warp, kWarp / kWarps), i / 2));
    channel = clamp(channel, channels, isWhole);
    if (tensor) {
      if (i % 2 == 0)
        llvm::append_range(sums, loadPair(channel));
      continue;
    }
    Value token = loops.add(tileToken, plus(lane, i % 2 * kWarp));
    sums.push_back(loops.load(memory, getPlace(channel, clamp(token, length, isWhole))));
  }
  for (auto [i, sum] : llvm::enumerate(sums))
    loops.store(sum, tile,
                {plus(times(warp, kWarp / kWarps), i / 2),
                 tensor ? plus(times(lane, 2), i % 2) : plus(lane, i % 2 * kWarp)});
  gpu::BarrierOp::create(loops.builder, loops.loc);
  Value channel = loops.add(tileChannel, lane);
  bindChannel(clamp(channel, channels, isWhole));
  // What outputs need is loaded for all of a thread's before one is stored.
  SmallVector<Value> results;
  for (int64_t i = 0; i < kTileOwn; ++i) {
    Value row = plus(warp, i * kWarps);
    point[1] = clamp(loops.add(tileToken, row), length, isWhole);
    results.push_back(loops
                          .inlineEpilogue(op.getEpilogue(), loops.load(tile, {lane, row}),
                                          op.getEpilogueIns(), op.getEpilogueMaps(), point)
                          .front());
  }
  for (int64_t i = 0; i < kTileOwn; ++i) {
    point[1] = loops.add(tileToken, plus(warp, i * kWarps));
    whenThere(channel, point[1], isWhole, [&] {
      loops.store(results[i], op.getOutput(), loops.apply(op.getOutputMap(), point));
    });
  }
}
