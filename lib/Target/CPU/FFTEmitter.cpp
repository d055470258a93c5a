//===- FFTEmitter.cpp - Fourier transforms, channels in lanes -------------===//

#include "FFTEmitter.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace ssmc;
using namespace ssmc::cpu;

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

ComplexLanes FFTEmitter::load(Value memory, Value point) {
  Value at = mul(point, index(2 * width));
  Value re = vector::LoadOp::create(builder, loc, type, memory, at);
  Value im =
      vector::LoadOp::create(builder, loc, type, memory, add(at, index(width)));
  return {re, im};
}

void FFTEmitter::store(ComplexLanes value, Value memory, Value point) {
  Value at = mul(point, index(2 * width));
  vector::StoreOp::create(builder, loc, value.re, memory, at);
  vector::StoreOp::create(builder, loc, value.im, memory,
                          add(at, index(width)));
}

ComplexLanes FFTEmitter::multiply(ComplexLanes a, ComplexLanes b) {
  if (!a.im)
    return {product(a.re, b.re), product(a.re, b.im)};
  return {difference(product(a.re, b.re), product(a.im, b.im)),
          sum(product(a.re, b.im), product(a.im, b.re))};
}

ComplexLanes FFTEmitter::multiplyConjugate(ComplexLanes a, ComplexLanes b) {
  return {sum(product(a.re, b.re), product(a.im, b.im)),
          difference(product(a.im, b.re), product(a.re, b.im))};
}

ComplexLanes FFTEmitter::multiplyAdd(ComplexLanes a, ComplexLanes b,
                                     ComplexLanes s) {
  return {difference(sum(s.re, product(a.re, b.re)), product(a.im, b.im)),
          sum(sum(s.im, product(a.re, b.im)), product(a.im, b.re))};
}

/// `a + X^(n/2) b` at the roots `w` and `-w` of X^(n/2), `i w` if `turned`.
void FFTEmitter::splitPair(ComplexLanes &a, ComplexLanes &b, ComplexLanes w,
                           bool turned) {
  ComplexLanes t = multiply(b, w);
  Value im = a.im ? a.im : zero();
  if (turned) {
    ComplexLanes high = {difference(a.re, t.im), sum(im, t.re)};
    b = {sum(a.re, t.im), difference(im, t.re)};
    a = high;
    return;
  }
  ComplexLanes high = {sum(a.re, t.re), a.im ? sum(im, t.im) : t.im};
  b = {difference(a.re, t.re), difference(im, t.im)};
  a = high;
}

void FFTEmitter::joinPair(ComplexLanes &a, ComplexLanes &b, ComplexLanes w,
                          bool turned) {
  ComplexLanes d = {difference(a.re, b.re), difference(a.im, b.im)};
  if (turned) // divided by i as well
    d = {difference(a.im, b.im), difference(b.re, a.re)};
  a = {sum(a.re, b.re), sum(a.im, b.im)};
  b = multiplyConjugate(d, w);
}

//===----------------------------------------------------------------------===//
// Butterflies
//===----------------------------------------------------------------------===//

SmallVector<ComplexLanes> FFTEmitter::loadTwiddles(Value root, int64_t radix) {
  SmallVector<ComplexLanes> twiddles;
  auto loadRoot = [&](Value at) {
    Value parts[2];
    for (int64_t part = 0; part < 2; ++part)
      parts[part] = vector::BroadcastOp::create(
          builder, loc, type,
          memref::LoadOp::create(builder, loc, roots,
                                 ValueRange{at, index(part)}));
    twiddles.push_back({parts[0], parts[1]});
  };
  loadRoot(root);
  loadRoot(mul(root, index(2)));
  if (radix == 8) {
    loadRoot(mul(root, index(4)));
    loadRoot(add(mul(root, index(4)), index(2)));
  }
  return twiddles;
}

/// Calls `pair(i, j, twiddle, turned)` for the pairs of a level.
static void
forPairs(int64_t radix, int64_t level,
         llvm::function_ref<void(int64_t, int64_t, int64_t, bool)> pair) {
  int64_t nodes = int64_t(1) << level, half = radix / nodes / 2;
  // The second of two nodes with one parent has the first one's root, times i.
  int64_t firstTwiddle = level == 0 ? 0 : nodes / 2;
  for (int64_t node = 0; node < nodes; ++node)
    for (int64_t i = 0; i < half; ++i)
      pair(node * 2 * half + i, node * 2 * half + half + i,
           firstTwiddle + node / 2, node % 2);
}

void FFTEmitter::split(MutableArrayRef<ComplexLanes> points,
                       ArrayRef<ComplexLanes> twiddles) {
  int64_t radix = points.size();
  for (int64_t level = 0; int64_t(1) << level < radix; ++level)
    forPairs(radix, level, [&](int64_t i, int64_t j, int64_t at, bool turned) {
      splitPair(points[i], points[j], twiddles[at], turned);
    });
}

void FFTEmitter::join(MutableArrayRef<ComplexLanes> points,
                      ArrayRef<ComplexLanes> twiddles) {
  int64_t radix = points.size(), levels = radix == 8 ? 3 : 2;
  for (int64_t level = levels - 1; level >= 0; --level)
    forPairs(radix, level, [&](int64_t i, int64_t j, int64_t at, bool turned) {
      joinPair(points[i], points[j], twiddles[at], turned);
    });
}

//===----------------------------------------------------------------------===//
// Passes
//===----------------------------------------------------------------------===//

static void emitNodePass(FFTEmitter &emitter, OpBuilder &builder, Location loc,
                         const FFTNode &node, int64_t radix, bool isInverse) {
  SmallVector<ComplexLanes> twiddles = emitter.loadTwiddles(node.root, radix);
  Value step = builder.createOrFold<arith::ShRUIOp>(
      loc, node.size, indexConstant(builder, loc, radix == 8 ? 3 : 2));
  emitFor(
      builder, loc, indexConstant(builder, loc, 0), step, 1,
      [&](Value position) {
        Value at = addIndex(builder, loc, node.base, position);
        SmallVector<Value> places(1, at);
        for (int64_t i = 1; i < radix; ++i)
          places.push_back(addIndex(
              builder, loc, at,
              mulIndex(builder, loc, step, indexConstant(builder, loc, i))));
        SmallVector<ComplexLanes> points;
        for (Value place : places)
          points.push_back(emitter.load(node.memory, place));
        if (isInverse)
          emitter.join(points, twiddles);
        else
          emitter.split(points, twiddles);
        for (auto [point, place] : llvm::zip_equal(points, places))
          emitter.store(point, node.memory, place);
      });
}

void FFTEmitter::splitNode(const FFTNode &node, int64_t radix) {
  emitNodePass(*this, builder, loc, node, radix, /*isInverse=*/false);
}

void FFTEmitter::joinNode(const FFTNode &node, int64_t radix) {
  emitNodePass(*this, builder, loc, node, radix, /*isInverse=*/true);
}

/// Passes of three levels each, and of two for what is left.
FFTEmitter::Passes FFTEmitter::countPasses(Value size) {
  Type i64 = builder.getI64Type();
  Value levels = math::CountTrailingZerosOp::create(
      builder, loc, arith::IndexCastOp::create(builder, loc, i64, size));
  levels =
      arith::IndexCastOp::create(builder, loc, builder.getIndexType(), levels);
  // Two passes of two levels for one left over, one for two.
  Value rest = arith::RemUIOp::create(builder, loc, levels, index(3));
  Value radix4 = arith::RemUIOp::create(
      builder, loc, subIndex(builder, loc, index(3), rest), index(3));
  Value left = subIndex(builder, loc, levels, mul(radix4, index(2)));
  return {arith::DivUIOp::create(builder, loc, left, index(3)), radix4};
}

/// One pass over all of the `count` nodes into which `node` has been split.
void FFTEmitter::emitPass(const FFTNode &node, Value count, int64_t radix,
                          bool isInverse) {
  emitFor(builder, loc, index(0), count, 1, [&](Value number) {
    Value base = add(node.base, mul(number, node.size));
    emitNodePass(*this, builder, loc,
                 {node.memory, base, node.size, add(node.root, number)}, radix,
                 isInverse);
  });
}

void FFTEmitter::transform(const FFTNode &node) {
  Passes passes = countPasses(node.size);
  SmallVector<Value> state = {index(1), node.size};
  for (int64_t radix : {8, 4})
    state = emitFor(
        builder, loc, index(0), radix == 8 ? passes.radix8 : passes.radix4, 1,
        state, [&](Value, ValueRange at) {
          emitPass({node.memory, node.base, at[1], mul(node.root, at[0])},
                   at[0], radix, /*isInverse=*/false);
          return SmallVector<Value>{mul(at[0], index(radix)),
                                    shiftRight(at[1], radix == 8 ? 3 : 2)};
        });
}

void FFTEmitter::invert(const FFTNode &node) {
  Passes passes = countPasses(node.size);
  SmallVector<Value> state = {node.size, index(1)};
  for (int64_t radix : {4, 8})
    state = emitFor(
        builder, loc, index(0), radix == 8 ? passes.radix8 : passes.radix4, 1,
        state, [&](Value, ValueRange at) {
          Value count = shiftRight(at[0], radix == 8 ? 3 : 2);
          Value size = mul(at[1], index(radix));
          emitPass({node.memory, node.base, size, mul(node.root, count)}, count,
                   radix, /*isInverse=*/true);
          return SmallVector<Value>{count, size};
        });
}
