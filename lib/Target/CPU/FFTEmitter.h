//===- FFTEmitter.h - Fourier transforms, channels in lanes ----*- C++ -*-===//
//
// Transforms of polynomials modulo X^N - i in memory, as loops over passes. The
// point `p` of a buffer is two vectors, real and imaginary part, of as many
// transforms as there are lanes. A pass splits every node of the tree of
// `ssm.roots` that it finds: so values come in the order of its leaves, and the
// inverse, which goes the same way back, needs no other. Twiddle factors belong
// to nodes and stay in registers along one.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_FFTEMITTER_H
#define SSMC_TARGET_CPU_FFTEMITTER_H

#include "VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace ssmc::cpu {

struct ComplexLanes {
  Value re;
  Value im; ///< null if zero
};

/// `size` points at `base` that are the node `root` of the tree.
struct FFTNode {
  Value memory; ///< one-dimensional
  Value base, size, root;
};

class FFTEmitter {
public:
  FFTEmitter(OpBuilder &builder, Location loc, Value roots, Type element,
             int64_t width)
      : builder(builder), loc(loc), roots(roots),
        type(VectorType::get({width}, element)), width(width) {}

  ComplexLanes load(Value memory, Value point);
  void store(ComplexLanes value, Value memory, Value point);

  /// Splits `points`, 4 or 8 of them, spread over a node: two or three levels.
  void split(MutableArrayRef<ComplexLanes> points,
             ArrayRef<ComplexLanes> twiddles);
  /// The inverse of `split`, times the number of points.
  void join(MutableArrayRef<ComplexLanes> points,
            ArrayRef<ComplexLanes> twiddles);
  /// What these two need at the node `root`.
  SmallVector<ComplexLanes> loadTwiddles(Value root, int64_t radix);

  /// One pass over `node`; its parts are then `radix` nodes from `radix * root`
  /// on.
  void splitNode(const FFTNode &node, int64_t radix);
  void joinNode(const FFTNode &node, int64_t radix);
  /// All passes over a node of a power of two of at least 8 points.
  void transform(const FFTNode &node);
  void invert(const FFTNode &node);

  /// `sum + a * b`.
  ComplexLanes multiplyAdd(ComplexLanes a, ComplexLanes b, ComplexLanes sum);
  Value zero() {
    return arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type));
  }

private:
  struct Passes {
    Value radix8, radix4;
  };
  Passes countPasses(Value size);
  void emitPass(const FFTNode &node, Value count, int64_t radix, bool isInverse);
  Value index(int64_t value) { return indexConstant(builder, loc, value); }
  Value add(Value a, Value b) { return addIndex(builder, loc, a, b); }
  Value mul(Value a, Value b) { return mulIndex(builder, loc, a, b); }
  Value shiftRight(Value a, int64_t bits) {
    return builder.createOrFold<arith::ShRUIOp>(loc, a, index(bits));
  }
  Value sum(Value a, Value b) { return emit<arith::AddFOp>(a, b); }
  Value difference(Value a, Value b) { return emit<arith::SubFOp>(a, b); }
  Value product(Value a, Value b) { return emit<arith::MulFOp>(a, b); }
  template <typename OpTy> Value emit(Value a, Value b) {
    Value result = OpTy::create(builder, loc, a, b);
    allowContraction(result.getDefiningOp());
    return result;
  }
  ComplexLanes multiply(ComplexLanes a, ComplexLanes b);
  ComplexLanes multiplyConjugate(ComplexLanes a, ComplexLanes b);
  void splitPair(ComplexLanes &a, ComplexLanes &b, ComplexLanes w, bool turned);
  void joinPair(ComplexLanes &a, ComplexLanes &b, ComplexLanes w, bool turned);

  OpBuilder &builder;
  Location loc;
  Value roots;
  VectorType type;
  int64_t width;
};

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_FFTEMITTER_H
