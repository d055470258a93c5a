//===- LowerFFTConv.cpp - A long convolution by Fourier transforms --------===//
//
// The decision, and the second kernel; FFTConv.h says what there is.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/FFTConv.h"

#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Lowering.h"
#include "Target/NVPTX/Passes.h"

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

/// Blocks of threads that a multiprocessor is to hold.
static constexpr int64_t kMinBlocks = 3;

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
// Transforms
//===----------------------------------------------------------------------===//

/// A thread's part of the block `number` of tokens; zero after the last token.
FFTConv::Points FFTConv::loadTokens(Value number) {
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
FFTConv::Points FFTConv::multiplyOwn(const Points &points) {
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
