//===- TensorConvolutionFactors.cpp - Matrices of transforms --------------===//

#include "Target/NVPTX/TensorConvolution.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace ssmc;
using namespace ssmc::nvptx;

//===----------------------------------------------------------------------===//
// Factors
//===----------------------------------------------------------------------===//

/// What X to the size of a node is there: that of `ssm.roots` above it,
/// negative in the second of two.
ComplexNumber TensorConvolution::loadNode(Value node) {
  OpBuilder &b = loops.builder;
  Value place = times(quotient(node, 2), 2);
  Value pair = vector::LoadOp::create(
      b, loops.loc, VectorType::get(2, f32), sequences.roots, place,
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

ComplexNumber TensorConvolution::select(Value condition, ComplexNumber a,
                                        ComplexNumber b) {
  return {loops.select(condition, a.re, b.re),
          loops.select(condition, a.im, b.im)};
}

ComplexNumber TensorConvolution::power(ComplexNumber base, Value exponent,
                                       int bits) {
  ComplexNumber result = {number(1), number(0)};
  for (int bit = 0; bit < bits; ++bit) {
    Value isSet = loops.less(
        loops.index(0), remainder(quotient(exponent, int64_t(1) << bit), 2));
    result = select(isSet, multiply(result, base), result);
    base = multiply(base, base);
  }
  return result;
}

static ComplexNumber
raise(ComplexNumber base, int times,
      function_ref<ComplexNumber(ComplexNumber, ComplexNumber)> multiply) {
  for (; times > 1; times /= 2)
    base = multiply(base, base);
  return base;
}

/// The rows of real and imaginary parts of 16 sums of 16 real numbers, of which
/// a thread has those of four that are four apart.
TensorConvolution::Words TensorConvolution::makeOuterFactors() {
  std::array<Factors, 2> rows; // of nodes that are eight apart
  for (int half = 0; half < 2; ++half) {
    ComplexNumber root = loadNode(plus(laneRow, kRadix + 8 * half));
    ComplexNumber fourth =
        raise(root, 4,
              [&](ComplexNumber a, ComplexNumber b) { return multiply(a, b); });
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

/// The rows of 16 real sums of 16 complex numbers, of which a thread has those
/// of four that are four apart.
TensorConvolution::Words TensorConvolution::makeOuterInverse() {
  Words words;
  for (int i = 0; i < 4; ++i) {
    ComplexNumber root = conjugate(loadNode(plus(laneColumn, kRadix + 4 * i)));
    ComplexNumber eighth =
        raise(root, 8,
              [&](ComplexNumber a, ComplexNumber b) { return multiply(a, b); });
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
    Value node =
        loops.add(times(warp, kRadix), plus(laneRow, kNodes + 8 * half));
    ComplexNumber root = loadNode(node);
    ComplexNumber fourth =
        raise(root, 4,
              [&](ComplexNumber a, ComplexNumber b) { return multiply(a, b); });
    ComplexNumber factor = power(root, laneColumn, 2);
    for (int i = 0; i < 4; ++i) {
      loops.store(pack(factor.re, factor.im), shared,
                  plus(place, kInnerFactors + 8 * half * kFactorRow + 4 * i));
      factor = multiply(factor, fourth);
    }
  }
  syncWarp();
}

/// A word with its halves exchanged, and the low one, which was the high one,
/// negative.
Value TensorConvolution::swap(Value pair) {
  return arith::XOrIOp::create(loops.builder, loops.loc,
                               permute(pair, pair, kSwapped), word(0x8000));
}

/// The left operand of 16 complex sums: rows of real parts, (a, -b) of a + b i,
/// then rows of imaginary parts, (b, a).
TensorConvolution::Words TensorConvolution::loadInnerFactors() {
  Value place = loops.add(times(warp, kFactorNode),
                          loops.add(times(laneRow, kFactorRow), laneColumn));
  Words real, imaginary;
  for (int64_t column = 0; column < 4; ++column)
    for (int64_t half = 0; half < 2; ++half) {
      Value one =
          loops.load(shared, plus(place, kInnerFactors + 8 * half * kFactorRow +
                                             4 * column));
      real.push_back(arith::XOrIOp::create(loops.builder, loops.loc, one,
                                           word(0x80000000)));
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
          shared,
          plus(place, kInnerFactors + 4 * column * kFactorRow + 8 * half)));
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
    llvm::append_range(
        factors, extractWords(loadVector(shared, plus(place, i * kWarp))));
  return factors;
}

//===----------------------------------------------------------------------===//
// The kernel's pieces
//===----------------------------------------------------------------------===//

/// Half of the threads have a node of every second piece, and go back from its
/// values to its coefficients.
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
      SmallVector<Value> parts = extractWords(vector);
      values.push_back({parts[0], parts[1]});
      values.push_back({parts[2], parts[3]});
    }
    return values;
  };
  auto forPieces =
      [&](ValueRange before,
          function_ref<SmallVector<Value>(Value, ValueRange)> body) {
        auto loop = scf::ForOp::create(
            b, loops.loc, firstPiece, pieces, loops.index(2), before,
            [&](OpBuilder &, Location, Value piece, ValueRange carried) {
              scf::YieldOp::create(b, loops.loc, body(piece, carried));
            });
        return loop.getResults();
      };
  // The sum of a piece's coefficients is at most 16 times the root of its
  // values' squares.
  Value bound =
      forPieces(number(0),
                [&](Value piece, ValueRange carried) -> SmallVector<Value> {
                  Value sum = number(0);
                  for (ComplexNumber value : loadValues(piece))
                    sum = loops.add(sum,
                                    loops.add(loops.mul(value.re, value.re),
                                              loops.mul(value.im, value.im)));
                  Value root = LLVM::CallIntrinsicOp::create(
                                   b, loops.loc, f32,
                                   b.getStringAttr("llvm.nvvm.sqrt.approx.f"),
                                   ValueRange{sum})
                                   ->getResult(0);
                  return {loops.add(carried.front(),
                                    loops.mul(root, number(kRadix)))};
                })
          .front();
  for (int64_t distance = 1; distance < kWarp; distance *= 2) {
    Value other = gpu::ShuffleOp::create(b, loops.loc, bound, int32_t(distance),
                                         kWarp, gpu::ShuffleMode::XOR)
                      .getShuffleResult();
    bound = LLVM::MaxNumOp::create(b, loops.loc, bound, other);
  }
  loops.store(bitcast(bound, i32), shared, plus(warp, kLargest));
  barrier();
  for (int64_t i = 0; i < kRadix; ++i)
    bound = LLVM::MaxNumOp::create(
        b, loops.loc, bound,
        bitcast(loops.load(shared, loops.index(kLargest + i)), f32));
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
    Value staged =
        loops.add(times(loops.sub(thread, lane), kStagedNode), inVector);
    Value place =
        loops.add(getKernelPlace(firstNode, piece), times(lane, kVector));
    for (int64_t i = 0; i < kWarp; i += 4)
      storeVector(
          extractWords(loadVector(shared, plus(staged, i * kStagedNode))),
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

/// Numbers of a node: from eight rows below the thread's place on the diagonal
/// to twelve columns right of it, four apart.
TensorConvolution::Words TensorConvolution::loadKernel(Value node,
                                                       Value piece) {
  Value place = plus(
      loops.add(getKernelPlace(node, piece), loops.sub(laneRow, laneColumn)),
      kRadix);
  Words numbers;
  for (int64_t offset = 8; offset >= -12; offset -= 4)
    numbers.push_back(
        bitcast(loops.load(sequences.memory, plus(place, offset)), i32));
  return numbers;
}

/// The left operand that they make; they are conjugates already.
TensorConvolution::Words
TensorConvolution::makeMatrix(ArrayRef<Value> numbers) {
  Words words;
  for (bool isImaginary : {false, true})
    for (int64_t column = 0; column < 4; ++column)
      for (int64_t offset : {2 + column, column})
        words.push_back(isImaginary ? swap(numbers[offset]) : numbers[offset]);
  return words;
}
