//===- LowerFFTConv.cpp - A long convolution by Fourier transforms --------===//
//
// Tokens are cut into blocks, of which ssm.spectrum has the formula. Sequences lie token
// by token in memory, with channels beside each other; so one kernel writes the tokens of
// each channel beside each other, into memory for transforms, a second convolves there, and
// a third goes back and finishes the outputs.
//
// In the second a block of threads has one channel of one sequence. Block after block it
// transforms tokens (FourierBlock.h), keeps that for later blocks, adds up products with
// the pieces of the kernel, transforms back and writes sums over the tokens. Where outputs
// need later tokens it transforms all blocks before. Threads read what they have kept
// themselves, so nothing else waits for it.
//
// For sequences of 16 bits tensor cores may be the second (TensorConvolution.h); then it is
// f16 that lies between the kernels.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/FourierBlock.h"
#include "Target/NVPTX/KernelEmitter.h"
#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Lowering.h"
#include "Target/NVPTX/Passes.h"
#include "Target/NVPTX/TensorConvolution.h"

#include "Conversion/SSMToSCF/Sequence.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "ssm/IR/SpectrumBlocks.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::detail;
using namespace ssmc::nvptx;

namespace {
constexpr int64_t kBlock = FourierBlock::kPoints, kThreads = FourierBlock::kThreads,
                  kOwn = FourierBlock::kOwn;
/// Blocks of threads that a multiprocessor is to hold.
constexpr int64_t kMinBlocks = 3;
/// Channels and tokens of a tile that changes its direction, by warps of one token each,
/// and what a thread has of it.
constexpr int64_t kWarp = 32, kTileTokens = 64, kWarps = 8, kTileOwn = kTileTokens / kWarps;
using Points = SmallVector<ComplexNumber, kOwn>;

class FFTConv : nvptx::KernelEmitter {
public:
  /// `tensorCores`: of how many multiprocessors they may transform sequences of 16 bits.
  FFTConv(ConvOp op, linalg::GenericOp producer, Value keepsHistory, int64_t tensorCores,
          OpBuilder &builder);
  Value isPossible();
  void emit();
  /// Whether each token of the input is read once, so that the history is written by the
  /// way.
  bool writesHistory();

private:
  // Tiles, by two launches.
  gpu::LaunchOp startTile(Value tokens);
  void emitTokens();
  void moveTokens(Value written, bool isWhole);
  void storeHistory(ArrayRef<Value> values, SmallVector<Value> from);
  void emitOutputs();
  void moveOutputs(bool isWhole);
  void forTile(llvm::function_ref<void(bool)> body);
  Value clamp(Value index, Value end, bool isWhole);
  void whenThere(Value channel, Value token, bool isWhole, llvm::function_ref<void()> body);
  void bindChannel(Value number);
  Value loadInput(ArrayRef<Value> indices);
  Value getPlace(Value channel, Value token);

  // For tensor cores.
  TensorConvolution::Sequences getSequences();
  void storePairs(bool isWhole);
  std::array<Value, 2> loadPair(Value channel);

  // Transforms.
  void emitWideForm();
  void emitConvolution(bool afterAll);
  void emitBlocks();
  void emitBlocksAfterAll();
  Points loadTokens(Value number);
  void storeTokens(const Points &points, Value number);
  Value getKept(Value number);
  void keep(Points &points, Value number);
  Points multiplyOwn(const Points &points);
  void addProducts(Points &sums, Value output, Value begin, Value end);
  std::array<ComplexNumber, 2> loadNumbers(Value memory, Value place, int64_t alignment);
  std::array<ComplexNumber, 2> loadFactors(Value base, int64_t i);
  SmallVector<Value> getSpectrumSizes();
  Value getSpectrumBase(ArrayRef<Value> spectrumSizes);

  Value constant(double value) { return loops.constant(f32, value); }

  ConvOp op;
  linalg::GenericOp producer; ///< of the input, or null
  Value keepsHistory;         ///< or null: always
  FloatType f32;
  SmallVector<unsigned> channelDims; ///< of the output, the last one innermost
  SmallVector<Value> sizes, point;
  Value batches, length, channels, blocks;
  SpectrumBlocks pieces;
  Value lastPiece;
  bool looksAhead; ///< maybe; or the own block has no piece of its own
  Value memory;    ///< transforms that are kept, then tokens by channel
  Value keptBlocks, firstToken;
  Value spectrum;
  int64_t cores = 0; ///< whose tensor cores may transform
  TensorConvolution *tensor = nullptr; ///< while kernels for it are emitted

  // Of a block of threads.
  Value thread, row, spectrumBase; ///< row: of a channel of a sequence
  Value tile, tileChannel, tileToken;
  std::optional<FourierBlock> fourier;
};
} // namespace

FFTConv::FFTConv(ConvOp op, linalg::GenericOp producer, Value keepsHistory,
                 int64_t tensorCores, OpBuilder &builder)
    : KernelEmitter(builder, op.getLoc()), op(op), producer(producer),
      keepsHistory(keepsHistory), f32(builder.getF32Type()),
      sizes(op.getNumDims()), point(op.getNumDims()) {
  for (auto [axis, expr] : llvm::enumerate(op.getOutputMap().getResults())) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    sizes[dim] = loops.size(op.getOutput(), axis);
    if (axis > 1)
      channelDims.push_back(dim);
  }
  batches = sizes[0];
  length = sizes[1];
  channels = loops.index(1);
  for (unsigned dim : channelDims)
    channels = loops.mul(channels, sizes[dim]);
  blocks = arith::CeilDivUIOp::create(builder, op.getLoc(), length, loops.index(kBlock));
  Lags lags = getLags(loops, op);
  pieces = getBlocksOfSize(builder, op.getLoc(), kBlock, lags.count, lags.first);
  lastPiece = plus(loops.add(pieces.firstPiece, pieces.numPieces), -1);
  auto first = static_cast<int64_t>(op.getStaticFirst());
  looksAhead = op.getFirst() || first < 0 || first >= kBlock;
  if (getElementTypeOrSelf(op.getOutput()).getIntOrFloatBitWidth() == 16 && !looksAhead)
    cores = tensorCores;
}

/// No token came before, and the sequence is long enough.
Value FFTConv::isPossible() {
  OpBuilder &b = loops.builder;
  auto isEqual = [&](Value a, int64_t value) -> Value {
    return arith::CmpIOp::create(b, loops.loc, arith::CmpIPredicate::eq, a,
                                 loops.index(value));
  };
  int64_t shortest = static_cast<int64_t>(*op.getShortestFft());
  // A block alone has its own piece only.
  Value hasOwn = both(loops.less(pieces.firstPiece, loops.index(1)),
                      loops.less(loops.index(-1), lastPiece));
  Value possible = both(loops.less(loops.index(shortest - 1), length),
                        either(hasOwn, loops.less(loops.index(1), blocks)));
  if (op.getPosition())
    possible = both(possible, isEqual(op.getPosition(), 0));
  // A tile passes the end of the history's ring once at most.
  if (writesHistory())
    possible = both(possible, loops.less(loops.index(kTileTokens - 1),
                                         loops.size(op.getHistory(), 1)));
  return possible;
}

bool FFTConv::writesHistory() {
  return op.getHistory() && op.getFinalHistory() == op.getHistory() &&
         op.getInputMap().isProjectedPermutation() &&
         op.getInputMap().getNumResults() == op.getOutputMap().getNumResults();
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

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

/// A launch with a block of threads for each tile of so many tokens, whose shared memory has a row of tokens for
/// each channel; one place more than those lets threads find different banks.
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

//===----------------------------------------------------------------------===//
// Transforms
//===----------------------------------------------------------------------===//

/// A thread's part of the block `number` of tokens; zero after the last token.
Points FFTConv::loadTokens(Value number) {
  OpBuilder &b = loops.builder;
  Value first = loops.add(times(number, kBlock), thread);
  Value base = loops.add(loops.add(loops.mul(row, length), firstToken), first);
  SmallVector<Type> types(kOwn, f32);
  auto branch = scf::IfOp::create(
      b, loops.loc, types, loops.less(plus(times(number, kBlock), kBlock - 1), length),
      /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  for (bool isWhole : {true, false}) {
    b.setInsertionPointToStart(isWhole ? branch.thenBlock() : branch.elseBlock());
    SmallVector<Value> values;
    for (int64_t i = 0; i < kOwn; ++i) {
      Value place = plus(base, i * kThreads);
      if (isWhole) {
        values.push_back(loops.load(memory, place));
        continue;
      }
      Value isToken = loops.less(plus(first, i * kThreads), length);
      values.push_back(
          loops.loadIf(isToken, memory, place, f32, [&] { return constant(0.0); }));
    }
    scf::YieldOp::create(b, loops.loc, values);
  }
  Points points;
  for (Value value : branch.getResults())
    points.push_back({value, Value()});
  return points;
}

void FFTConv::storeTokens(const Points &points, Value number) {
  Value first = loops.add(times(number, kBlock), thread);
  Value base = loops.add(loops.add(loops.mul(row, length), firstToken), first);
  for (int64_t i = 0; i < kOwn; ++i)
    loops.when(loops.less(plus(first, i * kThreads), length), [&] {
      loops.store(points[i].re, memory, plus(base, i * kThreads));
    });
}

/// Two complex numbers beside each other.
std::array<ComplexNumber, 2> FFTConv::loadNumbers(Value from, Value place,
                                                  int64_t alignment) {
  OpBuilder &b = loops.builder;
  Value vector =
      vector::LoadOp::create(b, loops.loc, VectorType::get(4, f32), from, place,
                             /*nontemporal=*/false, llvm::MaybeAlign(alignment));
  auto part = [&](int64_t i) {
    return vector::ExtractOp::create(b, loops.loc, vector, i).getResult();
  };
  return {ComplexNumber{part(0), part(1)}, ComplexNumber{part(2), part(3)}};
}

/// Those of the kernel for the thread's values `i` and `i + 1`.
std::array<ComplexNumber, 2> FFTConv::loadFactors(Value base, int64_t i) {
  return loadNumbers(spectrum, fourier->getPlace(base, i),
                     FourierBlock::getAlignment(op.getSpectrum()));
}

/// Where the transform of the block `number` of tokens is kept.
Value FFTConv::getKept(Value number) {
  return times(loops.add(loops.mul(row, keptBlocks), number), 2 * kBlock);
}

/// Keeps the transform of the block `number` of tokens.
void FFTConv::keep(Points &points, Value number) {
  fourier->storeValues(points, memory, getKept(number), kVectorBytes);
}

/// Products of a thread's values with those of the kernel's piece 0.
Points FFTConv::multiplyOwn(const Points &points) {
  Points products;
  Value piece = loops.sub(loops.index(0), pieces.firstPiece);
  Value base = loops.add(spectrumBase, times(piece, 2 * kBlock));
  for (int64_t i = 0; i < kOwn; i += 2)
    for (const ComplexNumber &factor : loadFactors(base, i))
      products.push_back(fourier->multiply(points[products.size()], factor));
  return products;
}

/// Adds what the kept blocks [begin, end) give the block `output`.
void FFTConv::addProducts(Points &sums, Value output, Value begin, Value end) {
  OpBuilder &b = loops.builder;
  SmallVector<Value> carried;
  for (const ComplexNumber &sum : sums)
    carried.append({sum.re, sum.im});
  auto loop = scf::ForOp::create(
      b, loops.loc, begin, end, loops.index(1), carried,
      [&](OpBuilder &, Location, Value number, ValueRange before) {
        Value piece = loops.sub(loops.sub(output, number), pieces.firstPiece);
        Value place = loops.add(spectrumBase, times(piece, 2 * kBlock));
        Value keptPlace = getKept(number);
        SmallVector<Value> after;
        for (int64_t i = 0; i < kOwn; i += 2) {
          auto kept = loadNumbers(memory, fourier->getPlace(keptPlace, i), kVectorBytes);
          auto factors = loadFactors(place, i);
          for (int64_t j = 0; j < 2; ++j) {
            int64_t at = after.size();
            ComplexNumber sum = fourier->multiplyAdd(kept[j], factors[j],
                                                     {before[at], before[at + 1]});
            after.append({sum.re, sum.im});
          }
        }
        scf::YieldOp::create(b, loops.loc, after);
      });
  for (auto [i, sum] : llvm::enumerate(sums))
    sum = {loop.getResult(2 * i), loop.getResult(2 * i + 1)};
}

/// Outputs of a block as soon as it is transformed.
void FFTConv::emitBlocks() {
  loops.repeat(blocks, [&](Value number) {
    Points points = loadTokens(number);
    fourier->transform(points);
    loops.when(loops.less(plus(number, 1), blocks), [&] { keep(points, number); });
    Value begin = loops.max(loops.index(0), loops.sub(number, lastPiece));
    Points sums = multiplyOwn(points);
    addProducts(sums, number, begin, number);
    fourier->invert(sums);
    storeTokens(sums, number);
  });
}

/// All blocks are transformed before there are outputs of one.
void FFTConv::emitBlocksAfterAll() {
  loops.repeat(blocks, [&](Value number) {
    Points points = loadTokens(number);
    fourier->transform(points);
    keep(points, number);
    fourier->barrier();
  });
  loops.repeat(blocks, [&](Value number) {
    Value begin = loops.max(loops.index(0), loops.sub(number, lastPiece));
    Value end = min(blocks, plus(loops.sub(number, pieces.firstPiece), 1));
    Points sums(kOwn, ComplexNumber{constant(0.0), constant(0.0)});
    addProducts(sums, number, begin, end);
    fourier->invert(sums);
    storeTokens(sums, number);
    fourier->barrier();
  });
}

/// Extents of the spectrum's leading dimensions, and the numbers of a channel.
SmallVector<Value> FFTConv::getSpectrumSizes() {
  SmallVector<Value> spectrumSizes;
  for (int64_t axis = 0, rank = op.getKernelMap().getNumResults(); axis < rank; ++axis)
    spectrumSizes.push_back(loops.size(op.getSpectrum(), axis));
  spectrumSizes.back() = times(spectrumSizes.back(), 2);
  return spectrumSizes;
}

/// Where the spectrum of the channel of `point` begins.
Value FFTConv::getSpectrumBase(ArrayRef<Value> spectrumSizes) {
  auto laneDim = static_cast<unsigned>(*op.getSpectrumLane());
  SmallVector<unsigned> dims;
  for (auto [axis, expr] : llvm::enumerate(op.getKernelMap().getResults()))
    if (unsigned dim = cast<AffineDimExpr>(expr).getPosition();
        axis != *op.getLagAxis() && dim != laneDim)
      dims.push_back(dim);
  dims.push_back(laneDim);
  Value base = loops.index(0);
  for (auto [dim, size] : llvm::zip_equal(dims, spectrumSizes.drop_back()))
    base = loops.add(loops.mul(base, size), point[dim]);
  return loops.mul(base, spectrumSizes.back());
}

/// A block of threads for each channel of each sequence; those of one channel, which read
/// the same spectrum, are beside each other.
void FFTConv::emitConvolution(bool afterAll) {
  OpBuilder &b = loops.builder;
  OpBuilder::InsertionGuard guard(b);
  SmallVector<Value> spectrumSizes = getSpectrumSizes();
  spectrum = flatten(op.getSpectrum());
  Value roots = flatten(op.getRoots());
  gpu::LaunchOp launch =
      startLaunch(b, loops.loc, loops.mul(batches, channels), loops.index(1), kThreads,
                  FourierBlock::getMemoryType(f32));
  launch->setAttr(kMinBlocksAttr, b.getI64IntegerAttr(kMinBlocks));
  thread = launch.getThreadIds().x;
  llvm::fill(point, loops.index(0));
  Value channel = quotient(launch.getBlockIds().x, batches);
  row = loops.add(
      loops.mul(remainder(launch.getBlockIds().x, batches), channels), channel);
  bindChannel(channel);
  spectrumBase = getSpectrumBase(spectrumSizes);
  fourier.emplace(loops, launch.getWorkgroupAttributions()[0], roots, thread);
  afterAll ? emitBlocksAfterAll() : emitBlocks();
}

TensorConvolution::Sequences FFTConv::getSequences() {
  SmallVector<Value> spectrumSizes = getSpectrumSizes();
  return {memory,
          flatten(op.getSpectrum()),
          flatten(op.getRoots()),
          FourierBlock::getAlignment(op.getSpectrum()),
          batches,
          channels,
          blocks,
          plus(lastPiece, 1),
          cores,
          [this, spectrumSizes](Value channel) {
            llvm::fill(point, loops.index(0));
            bindChannel(channel);
            return getSpectrumBase(spectrumSizes);
          }};
}

void FFTConv::emit() {
  memory = flatten(op.getWorkspace());
  if (!cores)
    return emitWideForm();
  TensorConvolution products(loops.builder, loops.loc, getSequences());
  // Fewer rows leave too many columns of the products empty.
  Value enough = loops.less(loops.index(TensorConvolution::kRows / 2 - 1), batches);
  Value fits = loops.less(plus(products.getNumWords(), -1), loops.size(memory, 0));
  Value hasOwn = loops.less(loops.index(-1), lastPiece);
  loops.when(
      both(both(enough, fits), hasOwn),
      [&] {
        tensor = &products;
        emitTokens();
        products.emit();
        emitOutputs();
        tensor = nullptr;
      },
      [&] { emitWideForm(); });
}

void FFTConv::emitWideForm() {
  Value isSingle = loops.less(blocks, loops.index(2));
  keptBlocks = looksAhead ? loops.select(isSingle, loops.index(0), blocks)
                          : plus(blocks, -1);
  firstToken =
      times(loops.mul(loops.mul(batches, channels), keptBlocks), 2 * kBlock);
  emitTokens();
  if (looksAhead)
    loops.when(
        isSingle, [&] { emitConvolution(/*afterAll=*/false); },
        [&] { emitConvolution(/*afterAll=*/true); });
  else
    emitConvolution(/*afterAll=*/false);
  emitOutputs();
}

bool nvptx::canUseFFT(ConvOp op) {
  return op.getSpectrum() && op.getShortestFft() &&
         getElementTypeOrSelf(op.getSpectrum()).isF32() &&
         cast<MemRefType>(op.getSpectrum().getType()).getShape().back() == 1;
}

void nvptx::emitFFTConv(OpBuilder &builder, ConvOp op, linalg::GenericOp producer,
                        Value keepsHistory, int64_t tensorCores,
                        function_ref<void()> otherwise,
                        function_ref<void()> putHistory) {
  FFTConv conv(op, producer, keepsHistory, tensorCores, builder);
  Value isPossible = conv.isPossible();
  auto emit = [&] {
    conv.emit();
    if (!conv.writesHistory())
      putHistory();
  };
  Loops(builder, op.getLoc()).when(isPossible, emit, otherwise);
}
