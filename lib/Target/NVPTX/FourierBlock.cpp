//===- FourierBlock.cpp - A Fourier transform by a block of threads -------===//

#include "Target/NVPTX/FourierBlock.h"
#include "Target/NVPTX/Launch.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>

using namespace mlir;
using namespace ssmc;
using namespace ssmc::nvptx;

/// Points of shared memory after which one stays free.
static constexpr int64_t kRow = 16, kRowPlaces = kRow + 1;
/// Bytes of a complex number.
static constexpr int64_t kNumberBytes = 8;

MemRefType FourierBlock::getMemoryType(Type element) {
  return sharedType({2 * kPoints / kRow * kRowPlaces}, element);
}

FourierBlock::FourierBlock(detail::Loops &loops, Value memory, Value roots, Value thread)
    : loops(loops), memory(memory), roots(roots), thread(thread),
      type(getElementTypeOrSelf(memory.getType())) {
  static_assert(kThreads == kRow * kRow && kOwn == kRow && kPoints == kRow * kThreads,
                "a node of the second pass has as many threads as one of the third points");
  OpBuilder &b = loops.builder;
  Value row = loops.index(kRow);
  Value node = arith::DivUIOp::create(b, loops.loc, thread, row);
  Value inNode = arith::RemUIOp::create(b, loops.loc, thread, row);
  constexpr int64_t kNodePlaces = kRow * kRowPlaces; // of a node of the second pass
  passes[0] = {loops.add(thread, node), kNodePlaces, Value()};
  passes[1] = {loops.add(loops.mul(node, loops.index(kNodePlaces)), inNode), kRowPlaces,
               loops.add(node, row)};
  passes[2] = {loops.mul(thread, loops.index(kRowPlaces)), 1,
               loops.add(thread, loops.index(kThreads))};
}

void FourierBlock::barrier() { gpu::BarrierOp::create(loops.builder, loops.loc); }

void FourierBlock::transform(Points points) {
  for (auto [number, pass] : llvm::enumerate(passes)) {
    if (number > 0)
      load(points, pass);
    split(points, pass);
    if (number + 1 == kPasses)
      break;
    store(points, pass);
    barrier();
  }
}

void FourierBlock::invert(Points points) {
  for (int number = kPasses - 1; number >= 0; --number) {
    const Pass &pass = passes[number];
    if (number + 1 < kPasses)
      load(points, pass);
    join(points, pass);
    if (number == 0)
      break;
    store(points, pass);
    barrier();
  }
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

void FourierBlock::load(Points points, const Pass &pass) {
  OpBuilder &b = loops.builder;
  for (auto [i, point] : llvm::enumerate(points)) {
    Value place = loops.add(pass.base, loops.index(int64_t(i) * pass.step));
    Value pair = vector::LoadOp::create(b, loops.loc, VectorType::get(2, type), memory,
                                        loops.mul(place, loops.index(2)),
                                        /*nontemporal=*/false,
                                        llvm::MaybeAlign(kNumberBytes));
    point = {vector::ExtractOp::create(b, loops.loc, pair, 0),
             vector::ExtractOp::create(b, loops.loc, pair, 1)};
  }
}

void FourierBlock::store(Points points, const Pass &pass) {
  OpBuilder &b = loops.builder;
  for (auto [i, point] : llvm::enumerate(points)) {
    Value place = loops.add(pass.base, loops.index(int64_t(i) * pass.step));
    Value pair = vector::FromElementsOp::create(b, loops.loc, VectorType::get(2, type),
                                                ValueRange{point.re, point.im});
    vector::StoreOp::create(b, loops.loc, pair, memory, loops.mul(place, loops.index(2)),
                            /*nontemporal=*/false, llvm::MaybeAlign(kNumberBytes));
  }
}

Value FourierBlock::getPlace(Value base, int64_t i) {
  Value own = loops.mul(thread, loops.index(4));
  return loops.add(base, loops.add(own, loops.index(i / 2 * 4 * kThreads)));
}

int64_t FourierBlock::getAlignment(Value spectrum) {
  ArrayRef<int64_t> shape = cast<MemRefType>(spectrum.getType()).getShape();
  int64_t places = shape[shape.size() - 3];
  bool isEven = !ShapedType::isDynamic(places) && places % 2 == 0;
  return isEven ? kVectorBytes : kVectorBytes / 2;
}

void FourierBlock::storeValues(Points points, Value to, Value base, int64_t alignment) {
  OpBuilder &b = loops.builder;
  for (int64_t i = 0; i < kOwn; i += 2) {
    Value vector = vector::FromElementsOp::create(
        b, loops.loc, VectorType::get(4, type),
        ValueRange{points[i].re, points[i].im, points[i + 1].re, points[i + 1].im});
    vector::StoreOp::create(b, loops.loc, vector, to, getPlace(base, i),
                            /*nontemporal=*/false, llvm::MaybeAlign(alignment));
  }
}

//===----------------------------------------------------------------------===//
// Twiddle factors
//===----------------------------------------------------------------------===//

/// `exp(pi i turns)`.
ComplexNumber FourierBlock::constant(double turns) {
  return {loops.constant(type, std::cos(M_PI * turns)),
          loops.constant(type, std::sin(M_PI * turns))};
}

ComplexNumber FourierBlock::loadRoot(Value number) {
  OpBuilder &b = loops.builder;
  Value pair = vector::LoadOp::create(b, loops.loc, VectorType::get(2, type), roots,
                                      loops.mul(number, loops.index(2)),
                                      /*nontemporal=*/false,
                                      llvm::MaybeAlign(kNumberBytes));
  return {vector::ExtractOp::create(b, loops.loc, pair, 0),
          vector::ExtractOp::create(b, loops.loc, pair, 1)};
}

/// The `f` of ssm.roots.
static double getFraction(int64_t root) {
  return root == 1 ? 0.25 : (getFraction(root / 2) + double(root % 2)) / 2;
}

/// The roots of the first of each two nodes below a node, level by level; the second has
/// the same one times i. With `f` that of the node, the root of its descendant `n` of the
/// level `l` is that of the first one there, times exp(pi i f'(n)), where f' is an `f`
/// that begins with 0.
SmallVector<ComplexNumber> FourierBlock::getTwiddles(const Pass &pass) {
  SmallVector<ComplexNumber> twiddles;
  for (int level = 0; level < kLevels; ++level) {
    int64_t nodes = int64_t(1) << level;
    ComplexNumber first;
    if (pass.root)
      first = loadRoot(loops.mul(pass.root, loops.index(nodes)));
    for (int64_t node = 0; node < nodes; node += 2) {
      if (!pass.root) {
        twiddles.push_back(constant(getFraction(nodes + node)));
        continue;
      }
      double turns = 0; // bits of the node, the lowest first
      for (int64_t bits = node, scale = 2; bits > 0; bits /= 2, scale *= 2)
        turns += double(bits % 2) / double(scale);
      twiddles.push_back(node == 0 ? first : multiply(first, constant(turns)));
    }
  }
  return twiddles;
}

//===----------------------------------------------------------------------===//
// Butterflies
//===----------------------------------------------------------------------===//

Value FourierBlock::fma(Value a, Value b, Value c) {
  return math::FmaOp::create(loops.builder, loops.loc, a, b, c);
}

Value FourierBlock::negate(Value a) {
  return arith::NegFOp::create(loops.builder, loops.loc, a);
}

ComplexNumber FourierBlock::multiply(ComplexNumber a, ComplexNumber b) {
  return {fma(negate(a.im), b.im, loops.mul(a.re, b.re)),
          fma(a.im, b.re, loops.mul(a.re, b.im))};
}

ComplexNumber FourierBlock::multiplyAdd(ComplexNumber a, ComplexNumber b,
                                        ComplexNumber sum) {
  return {fma(negate(a.im), b.im, fma(a.re, b.re, sum.re)),
          fma(a.im, b.re, fma(a.re, b.im, sum.im))};
}

void FourierBlock::forPairs(
    Points points, ArrayRef<ComplexNumber> twiddles, int level,
    function_ref<void(ComplexNumber &, ComplexNumber &, ComplexNumber)> pair) {
  int64_t nodes = int64_t(1) << level, half = kOwn / nodes / 2;
  int64_t firstTwiddle = level == 0 ? 0 : nodes / 2;
  for (int64_t node = 0; node < nodes; ++node) {
    ComplexNumber twiddle = twiddles[firstTwiddle + node / 2];
    if (node % 2)
      twiddle = {negate(twiddle.im), twiddle.re};
    for (int64_t i = 0; i < half; ++i) {
      int64_t at = node * 2 * half + i;
      pair(points[at], points[at + half], twiddle);
    }
  }
}

/// `a + w b` and `a - w b`, the second of which is twice `a` less the first: six
/// multiply-adds for both.
void FourierBlock::split(Points points, const Pass &pass) {
  SmallVector<ComplexNumber> twiddles = getTwiddles(pass);
  Value two = loops.constant(type, 2.0);
  auto pair = [&](ComplexNumber &a, ComplexNumber &b, ComplexNumber w) {
    if (!a.im) { // as is b: real numbers
      ComplexNumber sum = {fma(b.re, w.re, a.re), loops.mul(b.re, w.im)};
      b = {fma(negate(b.re), w.re, a.re), negate(sum.im)};
      a = sum;
      return;
    }
    ComplexNumber sum = multiplyAdd(b, w, a);
    b = {fma(a.re, two, negate(sum.re)), fma(a.im, two, negate(sum.im))};
    a = sum;
  };
  for (int level = 0; level < kLevels; ++level)
    forPairs(points, twiddles, level, pair);
}

void FourierBlock::join(Points points, const Pass &pass) {
  SmallVector<ComplexNumber> twiddles = getTwiddles(pass);
  auto pair = [&](ComplexNumber &a, ComplexNumber &b, ComplexNumber w) {
    ComplexNumber difference = {loops.sub(a.re, b.re), loops.sub(a.im, b.im)};
    a = {loops.add(a.re, b.re), loops.add(a.im, b.im)};
    b = multiply(difference, {w.re, negate(w.im)});
  };
  for (int level = kLevels - 1; level >= 0; --level)
    forPairs(points, twiddles, level, pair);
}
