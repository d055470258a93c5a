//===- TensorConvolution.cpp - Long convolutions by tensor cores ----------===//

#include "Target/NVPTX/TensorConvolution.h"
#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Passes.h"
#include "Target/NVPTX/TensorCores.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace ssmc;
using namespace ssmc::nvptx;

/// Words that a thread loads and stores at once.
static constexpr int64_t kVector = 4;
/// Numbers of the kernel that a thread's part of a node's matrix is made of.
static constexpr int64_t kDiagonals = 6;
/// Of the halves of two words: both low ones, both high ones; and those of one word.
static constexpr int64_t kLowHalves = 0x5410, kHighHalves = 0x7632, kSwapped = 0x1032;

TensorConvolution::TensorConvolution(OpBuilder &builder, Location loc, Sequences given)
    : KernelEmitter(builder, loc), sequences(std::move(given)), f32(builder.getF32Type()),
      i32(builder.getI32Type()) {
  groups = ceilQuotient(sequences.batches, kRows);
  jobs = loops.mul(groups, sequences.channels);
  slots = min(jobs, loops.index(sequences.cores));
  // Tokens, then the kernel's pieces and transforms that are kept, which blocks of threads
  // have one after the other, and scales.
  Value rows = loops.mul(sequences.batches, sequences.channels);
  kernelPlace = loops.mul(rows, times(sequences.blocks, kPoints / 2));
  Value pieces = min(sequences.numPieces, sequences.blocks);
  keptPlace = loops.add(kernelPlace,
                        loops.mul(slots, times(pieces, kNodes * kKernelWords)));
  tokenScalePlace = loops.add(
      keptPlace, loops.mul(slots, times(plus(sequences.blocks, -1), kRows * kPoints)));
  scalePlace = loops.add(
      tokenScalePlace, loops.mul(rows, times(sequences.blocks, kPoints / kScaledTokens)));
}

Value TensorConvolution::getNumWords() {
  Value rows = loops.mul(sequences.batches, sequences.channels);
  return loops.add(scalePlace, loops.mul(rows, sequences.blocks));
}

Value TensorConvolution::getTokenPlace(Value batch, Value number, Value token) {
  Value ofRow = loops.add(loops.mul(batch, sequences.channels), number);
  return loops.add(loops.mul(ofRow, times(sequences.blocks, kPoints / 2)),
                   quotient(token, 2));
}

Value TensorConvolution::getScalePlace(Value batch, Value number, Value block) {
  Value ofRow = loops.add(loops.mul(batch, sequences.channels), number);
  return loops.add(scalePlace, loops.add(loops.mul(ofRow, sequences.blocks), block));
}

Value TensorConvolution::getTokenScalePlace(Value batch, Value number, Value token) {
  Value ofRow = loops.add(loops.mul(batch, sequences.channels), number);
  Value first = loops.mul(ofRow, times(sequences.blocks, kPoints / kScaledTokens));
  return loops.add(tokenScalePlace, loops.add(first, quotient(token, kScaledTokens)));
}

//===----------------------------------------------------------------------===//
// Words
//===----------------------------------------------------------------------===//

Value TensorConvolution::word(int64_t value) {
  return arith::ConstantOp::create(loops.builder, loops.loc,
                                   loops.builder.getI32IntegerAttr(int32_t(value)));
}

Value TensorConvolution::number(double value) { return loops.constant(f32, value); }

Value TensorConvolution::bitcast(Value value, Type type) {
  return value.getType() == type
             ? value
             : LLVM::BitcastOp::create(loops.builder, loops.loc, type, value).getResult();
}

/// Two f16 in a word.
Value TensorConvolution::pack(Value low, Value high) {
  OpBuilder &b = loops.builder;
  Value pair = LLVM::CallIntrinsicOp::create(
                   b, loops.loc, VectorType::get(2, b.getF16Type()),
                   b.getStringAttr("llvm.nvvm.ff2f16x2.rn"), ValueRange{high, low})
                   ->getResult(0);
  return bitcast(pair, i32);
}

Value TensorConvolution::permute(Value low, Value high, int64_t selector) {
  return LLVM::CallIntrinsicOp::create(loops.builder, loops.loc, i32,
                                       loops.builder.getStringAttr("llvm.nvvm.prmt"),
                                       ValueRange{low, high, word(selector)})
      ->getResult(0);
}

void TensorConvolution::product(ArrayRef<Value> left, ArrayRef<Value> right,
                                MutableArrayRef<Value> sums) {
  OpBuilder &b = loops.builder;
  auto pairs = [&](ArrayRef<Value> words) {
    SmallVector<Value> values;
    for (Value value : words)
      values.push_back(bitcast(value, VectorType::get(2, b.getF16Type())));
    return values;
  };
  emitMma(b, loops.loc, pairs(left), pairs(right), sums, NVVM::MMATypes::f16);
}

/// Four words of shared or other memory.
Value TensorConvolution::loadVector(Value from, Value place) {
  Type element = getElementTypeOrSelf(from.getType());
  Value vector = vector::LoadOp::create(
      loops.builder, loops.loc, VectorType::get(kVector, element), from, place,
      /*nontemporal=*/false, llvm::MaybeAlign(kVectorBytes));
  return bitcast(vector, VectorType::get(kVector, i32));
}

void TensorConvolution::storeVector(ArrayRef<Value> words, Value to, Value place) {
  OpBuilder &b = loops.builder;
  Value vector = vector::FromElementsOp::create(
      b, loops.loc, VectorType::get(int64_t(words.size()), i32), words);
  Type element = getElementTypeOrSelf(to.getType());
  vector = bitcast(vector, VectorType::get(int64_t(words.size()), element));
  vector::StoreOp::create(b, loops.loc, vector, to, place, /*nontemporal=*/false,
                          llvm::MaybeAlign(4 * words.size()));
}

static SmallVector<Value> extractWords(OpBuilder &b, Location loc, Value vector) {
  SmallVector<Value> words;
  for (int64_t i = 0; i < kVector; ++i)
    words.push_back(vector::ExtractOp::create(b, loc, vector, i));
  return words;
}

Value TensorConvolution::shuffle(Value value, Value from) {
  return gpu::ShuffleOp::create(loops.builder, loops.loc, value,
                                arith::IndexCastOp::create(loops.builder, loops.loc, i32, from),
                                word(kWarp), gpu::ShuffleMode::IDX)
      .getShuffleResult();
}

/// The largest power of two up to a number that is not negative, between two of them.
Value TensorConvolution::floorPower(Value value, double low, double high) {
  OpBuilder &b = loops.builder;
  value = LLVM::MaxNumOp::create(b, loops.loc, value, number(low));
  value = LLVM::MinNumOp::create(b, loops.loc, value, number(high));
  return bitcast(
      arith::AndIOp::create(b, loops.loc, bitcast(value, i32), word(0x7F800000)), f32);
}

void TensorConvolution::barrier() { gpu::BarrierOp::create(loops.builder, loops.loc); }

void TensorConvolution::syncWarp() {
  NVVM::SyncWarpOp::create(loops.builder, loops.loc, word(-1));
}

void TensorConvolution::forGroups(int64_t together, function_ref<void(Value)> body) {
  emitFor(loops.index(0), loops.index(kRadix), loops.index(together), body);
}

//===----------------------------------------------------------------------===//
// Factors
//===----------------------------------------------------------------------===//

/// What X to the size of a node is there: that of `ssm.roots` above it, negative in the
/// second of two.
ComplexNumber TensorConvolution::loadNode(Value node) {
  OpBuilder &b = loops.builder;
  Value place = times(quotient(node, 2), 2);
  Value pair = vector::LoadOp::create(b, loops.loc, VectorType::get(2, f32),
                                      sequences.roots, place,
                                      /*nontemporal=*/false, llvm::MaybeAlign(8));
  Value isSecond = loops.less(loops.index(0), remainder(node, 2));
  Value sign = loops.select(isSecond, number(-1), number(1));
  return {loops.mul(vector::ExtractOp::create(b, loops.loc, pair, 0), sign),
          loops.mul(vector::ExtractOp::create(b, loops.loc, pair, 1), sign)};
}

ComplexNumber TensorConvolution::conjugate(ComplexNumber a) {
  return {a.re, arith::NegFOp::create(loops.builder, loops.loc, a.im)};
}

ComplexNumber TensorConvolution::multiply(ComplexNumber a, ComplexNumber b) {
  return {loops.sub(loops.mul(a.re, b.re), loops.mul(a.im, b.im)),
          loops.add(loops.mul(a.re, b.im), loops.mul(a.im, b.re))};
}

ComplexNumber TensorConvolution::select(Value condition, ComplexNumber a, ComplexNumber b) {
  return {loops.select(condition, a.re, b.re), loops.select(condition, a.im, b.im)};
}

ComplexNumber TensorConvolution::power(ComplexNumber base, Value exponent, int bits) {
  ComplexNumber result = {number(1), number(0)};
  for (int bit = 0; bit < bits; ++bit) {
    Value isSet = loops.less(loops.index(0),
                             remainder(quotient(exponent, int64_t(1) << bit), 2));
    result = select(isSet, multiply(result, base), result);
    base = multiply(base, base);
  }
  return result;
}

static ComplexNumber raise(ComplexNumber base, int times,
                           function_ref<ComplexNumber(ComplexNumber, ComplexNumber)> multiply) {
  for (; times > 1; times /= 2)
    base = multiply(base, base);
  return base;
}

/// The rows of real and imaginary parts of 16 sums of 16 real numbers, of which a thread has
/// those of four that are four apart.
TensorConvolution::Words TensorConvolution::makeOuterFactors() {
  std::array<Factors, 2> rows; // of nodes that are eight apart
  for (int half = 0; half < 2; ++half) {
    ComplexNumber root = loadNode(plus(laneRow, kRadix + 8 * half));
    ComplexNumber fourth =
        raise(root, 4, [&](ComplexNumber a, ComplexNumber b) { return multiply(a, b); });
    ComplexNumber factor = power(root, laneColumn, 2);
    for (int i = 0; i < 4; ++i) {
      rows[half].push_back(factor);
      factor = multiply(factor, fourth);
    }
  }
  Words words;
  for (bool isImaginary : {false, true})
    for (int i = 0; i < 4; i += 2)
      for (const Factors &row : rows)
        words.push_back(isImaginary ? pack(row[i].im, row[i + 1].im)
                                    : pack(row[i].re, row[i + 1].re));
  return words;
}

/// The rows of 16 real sums of 16 complex numbers, of which a thread has those of four that
/// are four apart.
TensorConvolution::Words TensorConvolution::makeOuterInverse() {
  Words words;
  for (int i = 0; i < 4; ++i) {
    ComplexNumber root = conjugate(loadNode(plus(laneColumn, kRadix + 4 * i)));
    ComplexNumber eighth =
        raise(root, 8, [&](ComplexNumber a, ComplexNumber b) { return multiply(a, b); });
    ComplexNumber factor = power(root, laneRow, 3);
    for (int half = 0; half < 2; ++half) {
      Value scale = number(1.0 / kRadix);
      words.push_back(pack(loops.mul(factor.re, scale),
                           loops.mul(conjugate(factor).im, scale)));
      factor = multiply(factor, eighth);
    }
  }
  return words;
}

/// Those of the warp's node, E(s, r)^j at row r and column j.
void TensorConvolution::storeInnerFactors() {
  Value place = loops.add(times(warp, kFactorNode),
                          loops.add(times(laneRow, kFactorRow), laneColumn));
  for (int half = 0; half < 2; ++half) {
    Value node = loops.add(times(warp, kRadix), plus(laneRow, kNodes + 8 * half));
    ComplexNumber root = loadNode(node);
    ComplexNumber fourth =
        raise(root, 4, [&](ComplexNumber a, ComplexNumber b) { return multiply(a, b); });
    ComplexNumber factor = power(root, laneColumn, 2);
    for (int i = 0; i < 4; ++i) {
      loops.store(pack(factor.re, factor.im), shared,
                  plus(place, kInnerFactors + 8 * half * kFactorRow + 4 * i));
      factor = multiply(factor, fourth);
    }
  }
  syncWarp();
}

/// A word with its halves exchanged, and the low one, which was the high one, negative.
Value TensorConvolution::swap(Value pair) {
  return arith::XOrIOp::create(loops.builder, loops.loc, permute(pair, pair, kSwapped),
                               word(0x8000));
}

/// The left operand of 16 complex sums: rows of real parts, (a, -b) of a + b i, then rows of
/// imaginary parts, (b, a).
TensorConvolution::Words TensorConvolution::loadInnerFactors() {
  Value place = loops.add(times(warp, kFactorNode),
                          loops.add(times(laneRow, kFactorRow), laneColumn));
  Words real, imaginary;
  for (int64_t column = 0; column < 4; ++column)
    for (int64_t half = 0; half < 2; ++half) {
      Value one = loops.load(
          shared, plus(place, kInnerFactors + 8 * half * kFactorRow + 4 * column));
      real.push_back(arith::XOrIOp::create(loops.builder, loops.loc, one, word(0x80000000)));
      imaginary.push_back(permute(one, one, kSwapped));
    }
  llvm::append_range(real, imaginary);
  return real;
}

/// The same of the inverse, the transpose of conjugates.
TensorConvolution::Words TensorConvolution::loadInnerInverse() {
  Value place = loops.add(times(warp, kFactorNode),
                          loops.add(times(laneColumn, kFactorRow), laneRow));
  Words real, imaginary;
  for (int64_t column = 0; column < 4; ++column)
    for (int64_t half = 0; half < 2; ++half) {
      real.push_back(loops.load(
          shared, plus(place, kInnerFactors + 4 * column * kFactorRow + 8 * half)));
      imaginary.push_back(swap(real.back()));
    }
  llvm::append_range(real, imaginary);
  return real;
}

void TensorConvolution::storeFactors(const Words &factors, int64_t first) {
  Value place = plus(times(lane, kVector), first);
  for (size_t i = 0; i < factors.size(); i += kVector)
    storeVector(ArrayRef(factors).slice(i, kVector), shared,
                plus(place, int64_t(i) * kWarp));
}

TensorConvolution::Words TensorConvolution::loadFactors(int64_t first) {
  Value place = plus(times(lane, kVector), first);
  Words factors;
  for (int64_t i = 0; i < 8; i += kVector)
    llvm::append_range(factors,
                       extractWords(loops.builder, loops.loc,
                                    loadVector(shared, plus(place, i * kWarp))));
  return factors;
}

//===----------------------------------------------------------------------===//
// The kernel's pieces
//===----------------------------------------------------------------------===//

/// Half of the threads have a node of every second piece, and go back from its values to
/// its coefficients.
void TensorConvolution::emitKernel() {
  OpBuilder &b = loops.builder;
  Value node = remainder(thread, kNodes), firstPiece = quotient(thread, kNodes);
  Value pieces = min(sequences.numPieces, sequences.blocks);
  FourierBlock fourier(loops, sequences.memory, sequences.roots, node);
  Value base = sequences.getSpectrumBase(channel);
  auto loadValues = [&](Value piece) {
    Value ofPiece = loops.add(base, times(piece, 2 * kPoints));
    SmallVector<ComplexNumber> values;
    for (int64_t i = 0; i < kRadix; i += 2) {
      Value vector = vector::LoadOp::create(
          b, loops.loc, VectorType::get(4, f32), sequences.spectrum,
          fourier.getPlace(ofPiece, i), /*nontemporal=*/false,
          llvm::MaybeAlign(sequences.spectrumAlignment));
      SmallVector<Value> parts = extractWords(b, loops.loc, vector);
      values.push_back({parts[0], parts[1]});
      values.push_back({parts[2], parts[3]});
    }
    return values;
  };
  auto forPieces = [&](ValueRange before,
                       function_ref<SmallVector<Value>(Value, ValueRange)> body) {
    auto loop = scf::ForOp::create(
        b, loops.loc, firstPiece, pieces, loops.index(2), before,
        [&](OpBuilder &, Location, Value piece, ValueRange carried) {
          scf::YieldOp::create(b, loops.loc, body(piece, carried));
        });
    return loop.getResults();
  };
  // The sum of a piece's coefficients is at most 16 times the root of its values' squares.
  Value bound =
      forPieces(number(0), [&](Value piece, ValueRange carried) -> SmallVector<Value> {
        Value sum = number(0);
        for (ComplexNumber value : loadValues(piece))
          sum = loops.add(sum, loops.add(loops.mul(value.re, value.re),
                                         loops.mul(value.im, value.im)));
        Value root = LLVM::CallIntrinsicOp::create(b, loops.loc, f32,
                                                   b.getStringAttr("llvm.nvvm.sqrt.approx.f"),
                                                   ValueRange{sum})
                         ->getResult(0);
        return {loops.add(carried.front(), loops.mul(root, number(kRadix)))};
      }).front();
  for (int64_t distance = 1; distance < kWarp; distance *= 2) {
    Value other = gpu::ShuffleOp::create(b, loops.loc, bound, int32_t(distance), kWarp,
                                         gpu::ShuffleMode::XOR)
                      .getShuffleResult();
    bound = LLVM::MaxNumOp::create(b, loops.loc, bound, other);
  }
  loops.store(bitcast(bound, i32), shared, plus(warp, kLargest));
  barrier();
  for (int64_t i = 0; i < kRadix; ++i)
    bound = LLVM::MaxNumOp::create(
        b, loops.loc, bound, bitcast(loops.load(shared, loops.index(kLargest + i)), f32));
  kernelScale = floorPower(bound, 0x1p-26, 0x1p22);
  Value inverse = arith::DivFOp::create(b, loops.loc, number(1), kernelScale);

  ComplexNumber root = loadNode(plus(node, kNodes));
  forPieces(ValueRange(), [&](Value piece, ValueRange) -> SmallVector<Value> {
    SmallVector<ComplexNumber> taps = loadValues(piece);
    fourier.joinOwn(taps);
    // Real part and the negative of the imaginary one; none at 0.
    Words words(kKernelWords, word(0));
    for (auto [i, tap] : llvm::enumerate(taps)) {
      tap = {loops.mul(tap.re, inverse), loops.mul(tap.im, inverse)};
      words[kRadix + i] = pack(tap.re, conjugate(tap).im);
      if (i > 0) {
        ComplexNumber wrapped = conjugate(multiply(tap, root));
        words[i] = pack(wrapped.re, wrapped.im);
      }
    }
    // Through shared memory, so that a warp stores whole lines.
    Value own = times(thread, kStagedNode);
    for (int64_t i = 0; i < kKernelWords; i += kVector)
      storeVector(ArrayRef(words).slice(i, kVector), shared, plus(own, i));
    syncWarp();
    Value firstNode = loops.sub(node, lane);
    Value inVector = loops.add(times(quotient(lane, 8), kStagedNode),
                               times(remainder(lane, 8), kVector));
    Value staged = loops.add(times(loops.sub(thread, lane), kStagedNode), inVector);
    Value place =
        loops.add(getKernelPlace(firstNode, piece), times(lane, kVector));
    for (int64_t i = 0; i < kWarp; i += 4)
      storeVector(extractWords(b, loops.loc,
                               loadVector(shared, plus(staged, i * kStagedNode))),
                  sequences.memory, plus(place, i * kKernelWords));
    syncWarp();
    return {};
  });
}

Value TensorConvolution::getKernelPlace(Value node, Value piece) {
  Value pieces = min(sequences.numPieces, sequences.blocks);
  Value number = loops.add(loops.mul(slot, pieces), piece);
  return loops.add(kernelPlace,
                   times(loops.add(times(number, kNodes), node), kKernelWords));
}

/// Numbers of a node: from eight rows below the thread's place on the diagonal to twelve
/// columns right of it, four apart.
TensorConvolution::Words TensorConvolution::loadKernel(Value node, Value piece) {
  Value place = plus(loops.add(getKernelPlace(node, piece), loops.sub(laneRow, laneColumn)),
                     kRadix);
  Words numbers;
  for (int64_t offset = 8; offset >= -12; offset -= 4)
    numbers.push_back(bitcast(loops.load(sequences.memory, plus(place, offset)), i32));
  return numbers;
}

/// The left operand that they make; they are conjugates already.
TensorConvolution::Words TensorConvolution::makeMatrix(ArrayRef<Value> numbers) {
  Words words;
  for (bool isImaginary : {false, true})
    for (int64_t column = 0; column < 4; ++column)
      for (int64_t offset : {2 + column, column})
        words.push_back(isImaginary ? swap(numbers[offset]) : numbers[offset]);
  return words;
}

//===----------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------===//

void TensorConvolution::copyIn(Value place, Value from, int64_t bytes) {
  OpBuilder &b = loops.builder;
  auto pointer = [&](Value memref, Value index, NVVM::NVVMMemorySpace space) -> Value {
    auto type = LLVM::LLVMPointerType::get(b.getContext(), unsigned(space));
    return LLVM::IntToPtrOp::create(b, loops.loc, type,
                                    addressOf(b, loops.loc, memref, index));
  };
  NVVM::CpAsyncOp::create(
      b, loops.loc, pointer(shared, place, NVVM::NVVMMemorySpace::Shared),
      pointer(sequences.memory, from, NVVM::NVVMMemorySpace::Global), uint32_t(bytes),
      bytes == kVectorBytes ? NVVM::LoadCacheModifierKind::CG
                            : NVVM::LoadCacheModifierKind::CA,
      Value());
}

/// Tokens of a block, and what they are to be multiplied with: a warp copies 256 of each
/// row.
void TensorConvolution::fetch(Value job, Value block) {
  Value ofChannel = quotient(job, groups), rows = remainder(job, groups);
  Value first = times(block, kPoints);
  for (int64_t i = 0; i < kRows; ++i) {
    Value token = loops.add(first, times(thread, 2 * kVector));
    Value place = loops.add(times(warp, kTokenLine), times(lane, kVector));
    copyIn(plus(place, kTokens + i * kTokenRow),
           getTokenPlace(getRow(rows, loops.index(i)), ofChannel, token), kVectorBytes);
  }
  Value inGroup = quotient(thread, kRowScales), inRow = remainder(thread, kRowScales);
  Value place = loops.add(times(inGroup, kRowScales + 1), inRow);
  copyIn(plus(place, kScales),
         getTokenScalePlace(getRow(rows, inGroup), ofChannel,
                            loops.add(first, times(inRow, kScaledTokens))),
         4);
}

/// Those of the next block, or of the first one of the next channel.
void TensorConvolution::fetchNext(Value job, Value block) {
  Value next = plus(block, 1), nextJob = loops.add(job, slots);
  Value isInJob = loops.less(next, sequences.blocks);
  loops.when(either(isInJob, loops.less(nextJob, jobs)), [&] {
    fetch(loops.select(isInJob, job, nextJob),
          loops.select(isInJob, next, loops.index(0)));
  });
}

/// The largest one of the thread's row so far.
Value TensorConvolution::findScale(Value before) {
  OpBuilder &b = loops.builder;
  Value place = loops.add(times(laneRow, kRowScales + 1), times(laneColumn, kRowScales / 4));
  Value largest = number(kLeastScale);
  for (int64_t i = 0; i < kRowScales / 4; ++i)
    largest = LLVM::MaxNumOp::create(
        b, loops.loc, largest,
        bitcast(loops.load(shared, plus(place, kScales + i)), f32));
  for (int64_t distance : {1, 2}) {
    Value other = gpu::ShuffleOp::create(b, loops.loc, largest, int32_t(distance), kWarp,
                                         gpu::ShuffleMode::XOR)
                      .getShuffleResult();
    largest = LLVM::MaxNumOp::create(b, loops.loc, largest, other);
  }
  return LLVM::MaxNumOp::create(b, loops.loc, before, largest);
}

/// The outer sums of tokens over `scale`, to the nodes; a warp has 16 of each 256.
void TensorConvolution::splitOuter(Value scale) {
  OpBuilder &b = loops.builder;
  Type pairType = VectorType::get(2, b.getF16Type());
  Value inverse = arith::DivFOp::create(b, loops.loc, number(1), scale);
  Words factors = loadFactors(kOuterFactors);
  Words ratios;
  Value scalePlace = loops.add(times(laneRow, kRowScales + 1),
                               loops.add(times(laneColumn, kNodes / kScaledTokens),
                                         quotient(warp, kScaledTokens / kRadix)));
  for (int64_t i = 0; i < 4; ++i) {
    Value own = loops.load(
        shared, plus(scalePlace, kScales + 4 * i * kNodes / kScaledTokens));
    Value ratio = loops.mul(bitcast(own, f32), inverse);
    ratios.push_back(bitcast(pack(ratio, ratio), pairType));
  }
  Value from = loops.add(loops.add(times(laneRow, kTokenRow), times(laneColumn, kTokenLine)),
                         times(warp, 2 * kVector));
  Value to = loops.add(loops.add(times(laneRow, kNode), times(warp, kLine)),
                       times(laneColumn, 2));
  for (int64_t half = 0; half < 2; ++half) {
    SmallVector<Words> pairs; // of the four, eight tokens each
    for (int64_t i = 0; i < 4; ++i) {
      pairs.emplace_back();
      Value vector = loadVector(
          shared, plus(from, kTokens + 4 * i * kTokenLine + half * kVector));
      for (Value pair : extractWords(b, loops.loc, vector))
        pairs.back().push_back(
            bitcast(loops.mul(bitcast(pair, pairType), ratios[i]), i32));
    }
    for (int64_t i = 0; i < 8; ++i) {
      int64_t halves = i % 2 ? kHighHalves : kLowHalves;
      Words right = {permute(pairs[0][i / 2], pairs[1][i / 2], halves),
                     permute(pairs[2][i / 2], pairs[3][i / 2], halves)};
      SmallVector<Value> sums(8, number(0));
      for (int64_t part = 0; part < 2; ++part)
        product(ArrayRef(factors).slice(4 * part, 4), right,
                MutableArrayRef(sums).slice(4 * part, 4));
      storeColumns(sums, plus(to, (8 * half + i) * kColumn), kNode);
    }
  }
}

/// Real parts of two columns in two rows eight apart, then their imaginary parts, as words
/// of both; rows are `step` apart.
void TensorConvolution::storeColumns(ArrayRef<Value> sums, Value place, int64_t step) {
  for (int64_t half = 0; half < 2; ++half)
    storeVector({pack(sums[2 * half], sums[4 + 2 * half]),
                 pack(sums[2 * half + 1], sums[5 + 2 * half])},
                shared, plus(place, 8 * half * step));
}

/// Four numbers of a column, four apart.
TensorConvolution::Words TensorConvolution::loadColumn(Value place, int64_t step) {
  Words words;
  for (int64_t i = 0; i < 4; ++i)
    words.push_back(loops.load(shared, plus(place, 4 * i * step)));
  return words;
}

/// A product of 16 complex numbers, which gives 16.
void TensorConvolution::complexProduct(ArrayRef<Value> left, ArrayRef<Value> right,
                                       MutableArrayRef<Value> sums) {
  for (int64_t depth = 0; depth < 2; ++depth)
    for (int64_t part = 0; part < 2; ++part)
      product(left.slice(8 * part + 4 * depth, 4), right.slice(2 * depth, 2),
              sums.slice(4 * part, 4));
}

/// The inner sums of a warp's node, or their inverse.
void TensorConvolution::transformNode(ArrayRef<Value> factors) {
  Value node = times(warp, kNode);
  Value from = loops.add(node, loops.add(times(laneColumn, kLine), laneRow));
  Value to = loops.add(node, loops.add(times(laneRow, kLine), times(laneColumn, 2)));
  forGroups(kTogether, [&](Value first) {
    Value offset = times(first, kColumn);
    SmallVector<Words> columns;
    for (int64_t i = 0; i < kTogether; ++i)
      columns.push_back(loadColumn(plus(loops.add(from, offset), i * kColumn), kLine));
    for (int64_t i = 0; i < kTogether; ++i) {
      SmallVector<Value> sums(8, number(0));
      complexProduct(factors, columns[i], sums);
      storeColumns(sums, plus(loops.add(to, offset), i * kColumn), kLine);
    }
  });
  syncWarp();
}

/// What a block before gives to some nodes of `block`: of each four words that were kept,
/// and numbers of the kernel. Nothing of the block itself.
TensorConvolution::Words TensorConvolution::loadTerm(ArrayRef<Value> nodes, Value block,
                                                     Value before) {
  OpBuilder &b = loops.builder;
  SmallVector<Type> types((kVector + kDiagonals) * nodes.size(), i32);
  auto branch = scf::IfOp::create(b, loops.loc, types, loops.less(before, block),
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  Words words;
  for (Value node : nodes) {
    llvm::append_range(
        words, extractWords(b, loops.loc,
                            loadVector(sequences.memory, getKeptPlace(node, before))));
    llvm::append_range(words, loadKernel(node, loops.sub(block, before)));
  }
  scf::YieldOp::create(b, loops.loc, words);
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, loops.loc, Words(types.size(), word(0)));
  return Words(branch.getResults());
}

/// Products with the kernel, of this block and of those before it.
void TensorConvolution::multiplyNode(Value block, ArrayRef<Value> scales) {
  OpBuilder &b = loops.builder;
  Value node = times(warp, kNode);
  Value from = loops.add(node, loops.add(times(laneColumn, kColumn), laneRow));
  Value to = loops.add(node, loops.add(times(laneRow, kColumn), times(laneColumn, 2)));
  Value isKept = loops.less(plus(block, 1), sequences.blocks);
  Value begin =
      loops.max(loops.index(0), loops.sub(plus(block, 1), sequences.numPieces));
  SmallVector<Value> inverses;
  for (Value scale : scales)
    inverses.push_back(
        arith::DivFOp::create(b, loops.loc, number(1), loops.mul(scale, kernelScale)));
  forGroups(kTogetherInNode, [&](Value first) {
    Value offset = times(first, kLine);
    SmallVector<Words> columns, kernels;
    SmallVector<Value> nodes, carried;
    for (int64_t i = 0; i < kTogetherInNode; ++i) {
      nodes.push_back(loops.add(times(warp, kRadix), plus(first, i)));
      kernels.push_back(loadKernel(nodes[i], loops.index(0)));
      columns.push_back(loadColumn(plus(loops.add(from, offset), i * kLine), kColumn));
    }
    Words term = loadTerm(nodes, block, begin);
    loops.when(isKept, [&] {
      for (int64_t i = 0; i < kTogetherInNode; ++i)
        storeVector(columns[i], sequences.memory, getKeptPlace(nodes[i], block));
    });
    for (int64_t i = 0; i < kTogetherInNode; ++i) {
      SmallVector<Value> own(8, number(0));
      complexProduct(makeMatrix(kernels[i]), columns[i], own);
      llvm::append_range(carried, own);
    }
    llvm::append_range(carried, term);
    auto loop = scf::ForOp::create(
        b, loops.loc, begin, block, loops.index(1), carried,
        [&](OpBuilder &, Location, Value before, ValueRange values) {
          Words next = loadTerm(nodes, block, plus(before, 1));
          // What it was scaled by, over what this block is.
          SmallVector<Value> ratios;
          for (auto [column, inverse] : llvm::enumerate(inverses)) {
            Value batch = getRow(group, plus(times(laneColumn, 2), int64_t(column)));
            Value scale =
                loops.load(sequences.memory, getScalePlace(batch, channel, before));
            ratios.push_back(
                loops.mul(loops.mul(scale, number(1.0 / kRadix)), inverse));
          }
          Words terms(values.drop_front(8 * kTogetherInNode));
          SmallVector<Value> after;
          for (int64_t i = 0; i < kTogetherInNode; ++i) {
            ArrayRef<Value> words =
                ArrayRef(terms).slice(i * (kVector + kDiagonals), kVector + kDiagonals);
            SmallVector<Value> added(8, number(0));
            complexProduct(makeMatrix(words.drop_front(kVector)), words, added);
            for (int64_t j = 0; j < 8; ++j)
              after.push_back(math::FmaOp::create(b, loops.loc, added[j], ratios[j % 2],
                                                  values[8 * i + j]));
          }
          llvm::append_range(after, next);
          scf::YieldOp::create(b, loops.loc, after);
        });
    Words sums(loop.getResults().take_front(8 * kTogetherInNode));
    for (int64_t i = 0; i < kTogetherInNode; ++i)
      storeColumns(ArrayRef(sums).slice(8 * i, 8), plus(loops.add(to, offset), i * kLine),
                   kColumn);
  });
  syncWarp();
}

Value TensorConvolution::getKeptPlace(Value node, Value block) {
  Value number = loops.add(loops.mul(slot, plus(sequences.blocks, -1)), block);
  number = loops.add(times(number, kNodes), node);
  return loops.add(keptPlace, times(loops.add(times(number, kWarp), lane), kVector));
}

/// Sums over tokens: the first words of a line's halves, four of eight sums of each row.
void TensorConvolution::joinOuter() {
  Words factors = loadFactors(kOuterInverse);
  Value line = times(warp, kLine);
  Value from = loops.add(loops.add(times(laneColumn, kNode), line), laneRow);
  Value to = loops.add(loops.add(times(laneRow, kNode), line), times(laneColumn, 2 * kVector));
  for (int64_t half = 0; half < 2; ++half) {
    SmallVector<SmallVector<Value>> sums;
    for (int64_t i = 0; i < 8; ++i) {
      Words column = loadColumn(plus(from, (8 * half + i) * kColumn), kNode);
      sums.emplace_back(4, number(0));
      for (int64_t depth = 0; depth < 2; ++depth)
        product(ArrayRef(factors).slice(4 * depth, 4),
                ArrayRef(column).slice(2 * depth, 2), sums.back());
    }
    // Nobody else has these lines, and all lanes have read this half of them.
    syncWarp();
    for (int64_t below = 0; below < 2; ++below)
      for (int64_t column = 0; column < 2; ++column) {
        Words words;
        for (int64_t i = 0; i < 8; i += 2)
          words.push_back(
              pack(sums[i][2 * below + column], sums[i + 1][2 * below + column]));
        storeVector(words, shared,
                    plus(to, 8 * below * kNode + half * kHalfLine + column * kVector));
      }
  }
}

/// To where the tokens were.
void TensorConvolution::storeSums(Value block) {
  OpBuilder &b = loops.builder;
  Value place = loops.add(loops.add(times(warp, kNode), times(quotient(lane, 2), kLine)),
                          times(remainder(lane, 2), kHalfLine));
  Value token = loops.add(times(block, kPoints), times(thread, 2 * kVector));
  for (int64_t i = 0; i < kRows; ++i) {
    Value batch = plus(times(group, kRows), i);
    loops.when(loops.less(batch, sequences.batches), [&] {
      Value sums = loadVector(shared, plus(place, i * kVector));
      storeVector(extractWords(b, loops.loc, sums), sequences.memory,
                  getTokenPlace(batch, channel, token));
    });
  }
}

//===----------------------------------------------------------------------===//
// The launch
//===----------------------------------------------------------------------===//

/// A row of a group, or the batch's last.
Value TensorConvolution::getRow(Value rows, Value inGroup) {
  return min(loops.add(times(rows, kRows), inGroup), plus(sequences.batches, -1));
}

void TensorConvolution::emit() {
  OpBuilder &b = loops.builder;
  OpBuilder::InsertionGuard guard(b);
  gpu::LaunchOp launch = startLaunch(b, loops.loc, slots, loops.index(1), kThreads);
  launch->setAttr(kMinBlocksAttr, b.getI64IntegerAttr(1));
  launch->setAttr(kSharedBytesAttr, b.getI64IntegerAttr(4 * kSharedWords));
  Value bytes = gpu::DynamicSharedMemoryOp::create(
      b, loops.loc, sharedType({ShapedType::kDynamic}, b.getI8Type()));
  shared = memref::ViewOp::create(b, loops.loc, sharedType({kSharedWords}, i32), bytes,
                                  loops.index(0), ValueRange());
  thread = launch.getThreadIds().x;
  warp = quotient(thread, kWarp);
  lane = remainder(thread, kWarp);
  laneRow = quotient(lane, 4);
  laneColumn = remainder(lane, 4);
  slot = launch.getBlockIds().x;

  fetch(slot, loops.index(0));
  NVVM::CpAsyncCommitGroupOp::create(b, loops.loc);
  storeInnerFactors();
  loops.when(loops.less(warp, loops.index(1)), [&] {
    storeFactors(makeOuterFactors(), kOuterFactors);
    storeFactors(makeOuterInverse(), kOuterInverse);
  });
  emitFor(slot, jobs, slots, [&](Value job) { emitJob(job); });
}

/// A channel of eight rows.
void TensorConvolution::emitJob(Value job) {
  channel = quotient(job, groups);
  group = remainder(job, groups);
  emitKernel();
  loops.reduce(
      loops.index(0), sequences.blocks, number(kLeastScale),
      [&](Value block, ValueRange before) -> SmallVector<Value> {
        // Tokens are there, and the sums of the block before gone.
        NVVM::CpAsyncWaitGroupOp::create(loops.builder, loops.loc, 0);
        barrier();
        Value scale = findScale(before.front());
        splitOuter(scale);
        barrier();
        fetchNext(job, block);
        NVVM::CpAsyncCommitGroupOp::create(loops.builder, loops.loc);
        transformNode(loadInnerFactors());
        Value scales[] = {shuffle(scale, times(laneColumn, 8)),
                          shuffle(scale, plus(times(laneColumn, 8), 4))};
        multiplyNode(block, scales);
        transformNode(loadInnerInverse());
        Value batch = loops.add(times(group, kRows), laneRow);
        Value isFirst = loops.less(loops.add(warp, laneColumn), loops.index(1));
        loops.when(both(loops.less(batch, sequences.batches), isFirst), [&] {
          loops.store(loops.mul(loops.mul(scale, kernelScale), number(kRadix)),
                      sequences.memory, getScalePlace(batch, channel, block));
        });
        barrier();
        joinOuter();
        barrier();
        storeSums(block);
        return {scale};
      });
}
