//===- Matrix.cpp - Functions of small matrices as loops ------------------===//
//
// One matrix after the other, copied to memory of f64 and worked on there.
//
//===----------------------------------------------------------------------===//

#include "Loops.h"

#include "ssm/IR/SSM.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc::detail;

namespace {
/// A pattern that may be asked for independent points with temporaries of their own.
template <typename Op> struct PointPattern : public OpRewritePattern<Op> {
  PointPattern(MLIRContext *context, bool forThreads)
      : OpRewritePattern<Op>(context), forThreads(forThreads) {}

protected:
  /// `body` for every point; `allocate` once, or at each point.
  void forPoints(Loops &loops, ArrayRef<unsigned> dims, ValueRange sizes,
                 SmallVector<Value> &point, function_ref<void()> allocate,
                 function_ref<void()> body) const {
    if (!forThreads) {
      allocate();
      return loops.repeat(dims, sizes, point, body);
    }
    loops.each(dims, sizes, point, [&] {
      allocate();
      body();
    });
  }
  bool forThreads;
};

/// Loops over matrices of one size, in temporary memory.
class Matrices {
public:
  /// `isOwn`: in memory of one thread, where it is made.
  Matrices(Loops &loops, int64_t extent, bool isOwn = false)
      : loops(loops), f64(loops.builder.getF64Type()), extent(extent), isOwn(isOwn),
        size(loops.index(extent)) {}
  ~Matrices() {
    for (Value matrix : owned)
      memref::DeallocOp::create(loops.builder, loops.loc, matrix);
  }

  Value create() {
    auto type = MemRefType::get({extent, extent}, f64);
    if (isOwn)
      return memref::AllocaOp::create(loops.builder, loops.loc, type);
    owned.push_back(memref::AllocOp::create(loops.builder, loops.loc, type));
    return owned.back();
  }
  Value number(double value) { return loops.constant(f64, value); }
  Value at(Value matrix, Value i, Value j) { return loops.load(matrix, {i, j}); }

  /// matrix[i, j] = element(i, j)
  void fill(Value matrix, function_ref<Value(Value, Value)> element) {
    loops.repeat(size, [&](Value i) {
      loops.repeat(size, [&](Value j) {
        loops.store(element(i, j), matrix, {i, j});
      });
    });
  }
  void copy(Value from, Value to) {
    fill(to, [&](Value i, Value j) { return at(from, i, j); });
  }
  /// `value` on the diagonal, zero elsewhere.
  Value diagonal(Value i, Value j, Value value) {
    Value equal = arith::CmpIOp::create(loops.builder, loops.loc,
                                        arith::CmpIPredicate::eq, i, j);
    return loops.select(equal, value, number(0));
  }
  void setIdentity(Value matrix) {
    fill(matrix, [&](Value i, Value j) { return diagonal(i, j, number(1)); });
  }
  /// product = left right, another matrix than both.
  void multiply(Value left, Value right, Value product) {
    fill(product, [&](Value i, Value j) {
      return loops
          .reduce(loops.index(0), size, number(0),
                  [&](Value k, ValueRange sum) -> SmallVector<Value> {
                    return {loops.add(
                        sum[0], loops.mul(at(left, i, k), at(right, k, j)))};
                  })
          .front();
    });
  }
  void invert(Value matrix, Value inverse);
  void exponentiate(Value matrix, Value exponential, Value gain, Value product);

private:
  void ifTrue(Value condition, function_ref<void()> body) {
    auto ifOp = scf::IfOp::create(loops.builder, loops.loc, condition);
    OpBuilder::InsertionGuard guard(loops.builder);
    loops.builder.setInsertionPointToStart(ifOp.thenBlock());
    body();
  }
  Value compare(arith::CmpFPredicate predicate, Value left, Value right) {
    return arith::CmpFOp::create(loops.builder, loops.loc, predicate, left,
                                 right);
  }
  Value magnitude(Value value) {
    return math::AbsFOp::create(loops.builder, loops.loc, value);
  }

  Loops &loops;
  Type f64;
  int64_t extent;
  bool isOwn;
  Value size;
  SmallVector<Value> owned;
};
} // namespace

/// Gauss and Jordan's elimination with row pivots; `matrix` is used up. Rows
/// with nothing to eliminate, as in triangular matrices, are left alone.
void Matrices::invert(Value matrix, Value inverse) {
  setIdentity(inverse);
  Value both[] = {matrix, inverse};
  loops.repeat(size, [&](Value k) {
    SmallVector<Value> best = loops.reduce(
        k, size, {k, number(-1)},
        [&](Value i, ValueRange found) -> SmallVector<Value> {
          Value candidate = magnitude(at(matrix, i, k));
          Value larger =
              compare(arith::CmpFPredicate::OGT, candidate, found[1]);
          return {loops.select(larger, i, found[0]),
                  loops.select(larger, candidate, found[1])};
        });
    Value pivot = at(matrix, best[0], k);
    Value factor = arith::DivFOp::create(loops.builder, loops.loc, number(1), pivot);
    for (Value rows : both)
      loops.repeat(size, [&](Value j) {
        Value upper = at(rows, k, j);
        Value lower = at(rows, best[0], j);
        loops.store(upper, rows, {best[0], j});
        loops.store(loops.mul(lower, factor), rows, {k, j});
      });
    loops.repeat(size, [&](Value i) {
      Value multiple = at(matrix, i, k);
      Value other = arith::CmpIOp::create(loops.builder, loops.loc,
                                          arith::CmpIPredicate::ne, i, k);
      Value eliminates = arith::AndIOp::create(
          loops.builder, loops.loc, other,
          compare(arith::CmpFPredicate::UNE, multiple, number(0)));
      ifTrue(eliminates, [&] {
        for (Value rows : both)
          loops.repeat(size, [&](Value j) {
            Value product = loops.mul(multiple, at(rows, k, j));
            loops.store(loops.sub(at(rows, i, j), product), rows, {i, j});
          });
      });
    });
  });
}

/// exp(matrix), and `gain`, the sum of matrix^k / (k+1)!, which is
/// (exp(x) - 1) / x at x = matrix; `matrix` is used up, `product` is scratch. Halved until its norm is
/// at most 1/2, where 16 terms of the series are exact in f64, and doubled again
/// by exp(2x) = exp(x)^2, gain(2x) = (exp(x) + 1) gain(x) / 2.
void Matrices::exponentiate(Value matrix, Value exponential, Value gain,
                            Value product) {
  constexpr int64_t numTerms = 16, maxHalvings = 1100;
  Value norm =
      loops
          .reduce(loops.index(0), size, number(0),
                  [&](Value i, ValueRange largest) -> SmallVector<Value> {
                    Value sum =
                        loops
                            .reduce(loops.index(0), size, number(0),
                                    [&](Value j, ValueRange partial)
                                        -> SmallVector<Value> {
                                      return {loops.add(
                                          partial[0],
                                          magnitude(at(matrix, i, j)))};
                                    })
                            .front();
                    return {arith::MaxNumFOp::create(loops.builder, loops.loc,
                                                     largest[0], sum)};
                  })
          .front();
  SmallVector<Value> scaling = loops.reduce(
      loops.index(0), loops.index(maxHalvings),
      {norm, number(1), loops.index(0)},
      [&](Value, ValueRange now) -> SmallVector<Value> {
        Value large = compare(arith::CmpFPredicate::OGT, now[0], number(0.5));
        return {loops.select(large, loops.mul(now[0], number(0.5)), now[0]),
                loops.select(large, loops.mul(now[1], number(0.5)), now[1]),
                loops.select(large, loops.add(now[2], loops.index(1)), now[2])};
      });
  fill(matrix, [&](Value i, Value j) {
    return loops.mul(at(matrix, i, j), scaling[1]);
  });

  setIdentity(gain);
  loops.repeat(loops.index(numTerms), [&](Value iteration) {
    Value divisor = arith::IndexCastOp::create(
        loops.builder, loops.loc, loops.builder.getI64Type(),
        loops.sub(loops.index(numTerms + 1), iteration));
    divisor = arith::SIToFPOp::create(loops.builder, loops.loc, f64, divisor);
    multiply(matrix, gain, product);
    fill(gain, [&](Value i, Value j) {
      Value term = arith::DivFOp::create(loops.builder, loops.loc,
                                         at(product, i, j), divisor);
      return loops.add(diagonal(i, j, number(1)), term);
    });
  });
  multiply(matrix, gain, product);
  fill(exponential, [&](Value i, Value j) {
    return loops.add(diagonal(i, j, number(1)), at(product, i, j));
  });
  loops.repeat(scaling[2], [&](Value) {
    multiply(exponential, gain, product);
    fill(gain, [&](Value i, Value j) {
      return loops.mul(loops.add(at(product, i, j), at(gain, i, j)),
                       number(0.5));
    });
    multiply(exponential, exponential, product);
    copy(product, exponential);
  });
}

namespace {
struct LowerDiscretizeMatrix : public PointPattern<DiscretizeMatrixOp> {
  using PointPattern::PointPattern;

  LogicalResult matchAndRewrite(DiscretizeMatrixOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics())
      return rewriter.notifyMatchFailure(op, "on tensors");
    Loops loops(rewriter, op.getLoc());
    auto rateType = cast<MemRefType>(op.getRate().getType());
    unsigned rank = cast<MemRefType>(op.getStep().getType()).getRank();
    unsigned own = rank - (rateType.getRank() - 2);
    SmallVector<Value> sizes;
    SmallVector<unsigned> dims;
    for (unsigned dim = 0; dim < rank; ++dim) {
      sizes.push_back(loops.size(op.getStep(), dim));
      dims.push_back(dim);
    }
    {
      Matrices matrices(loops, rateType.getShape().back(), forThreads);
      Value scaled, transition, gain, product;
      auto allocate = [&] {
        for (Value *matrix : {&scaled, &transition, &gain, &product})
          *matrix = matrices.create();
      };
      SmallVector<Value> point(rank, loops.index(0));
      forPoints(loops, dims, sizes, point, allocate, [&] {
        Type f64 = rewriter.getF64Type();
        Value step = loops.convert(loops.load(op.getStep(), point), f64);
        auto indices = [&](ArrayRef<Value> leading, Value i, Value j) {
          SmallVector<Value> all(leading);
          all.append({i, j});
          return all;
        };
        // scaled = factor * step * rate
        auto scale = [&](double factor) {
          matrices.fill(scaled, [&](Value i, Value j) {
            Value rate = loops.convert(
                loops.load(op.getRate(),
                           indices(ArrayRef(point).drop_front(own), i, j)),
                f64);
            return loops.mul(loops.mul(rate, step), matrices.number(factor));
          });
        };
        auto store = [&](unsigned out, function_ref<Value(Value, Value)> element) {
          Value memref = op.getOuts()[out];
          loops.repeat(loops.index(rateType.getShape().back()), [&](Value i) {
            loops.repeat(loops.index(rateType.getShape().back()), [&](Value j) {
              loops.store(element(i, j), memref, indices(point, i, j));
            });
          });
        };
        auto apply = [&](Discretization rule, bool isTransition, bool isGain) {
          auto storeGain = [&](Value matrix) {
            if (isGain)
              store(1, [&](Value i, Value j) {
                return loops.mul(step, matrices.at(matrix, i, j));
              });
          };
          switch (rule) {
          case Discretization::zoh:
            scale(1);
            matrices.exponentiate(scaled, transition, gain, product);
            if (isTransition)
              store(0, [&](Value i, Value j) {
                return matrices.at(transition, i, j);
              });
            return storeGain(gain);
          case Discretization::euler:
            scale(1);
            if (isTransition)
              store(0, [&](Value i, Value j) {
                return loops.add(matrices.diagonal(i, j, matrices.number(1)),
                                 matrices.at(scaled, i, j));
              });
            matrices.setIdentity(gain);
            return storeGain(gain);
          case Discretization::bilinear:
          case Discretization::backward: {
            // With M = 1 - p A d the transition M^-1 (1 + (1-p) A d) is
            // M^-1 / p - (1-p) / p.
            double part = rule == Discretization::bilinear ? 0.5 : 1;
            scale(-part);
            matrices.fill(scaled, [&](Value i, Value j) {
              return loops.add(matrices.diagonal(i, j, matrices.number(1)),
                               matrices.at(scaled, i, j));
            });
            matrices.invert(scaled, gain);
            if (isTransition)
              store(0, [&](Value i, Value j) {
                return loops.sub(
                    loops.mul(matrices.at(gain, i, j),
                              matrices.number(1 / part)),
                    matrices.diagonal(i, j,
                                      matrices.number((1 - part) / part)));
              });
            return storeGain(gain);
          }
          }
        };
        Discretization input = op.getInput().value_or(op.getRule());
        apply(op.getRule(), /*isTransition=*/true, input == op.getRule());
        if (input != op.getRule())
          apply(input, /*isTransition=*/false, /*isGain=*/true);
      });
    }
    rewriter.eraseOp(op);
    return success();
  }
};

struct LowerMatrixPower : public PointPattern<MatrixPowerOp> {
  using PointPattern::PointPattern;

  LogicalResult matchAndRewrite(MatrixPowerOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics())
      return rewriter.notifyMatchFailure(op, "on tensors");
    Loops loops(rewriter, op.getLoc());
    auto type = cast<MemRefType>(op.getMatrix().getType());
    Value out = op.getOuts().front();
    unsigned rank = type.getRank();
    SmallVector<Value> sizes;
    SmallVector<unsigned> dims;
    for (unsigned dim = 0; dim + 2 < rank; ++dim) {
      sizes.push_back(loops.size(op.getMatrix(), dim));
      dims.push_back(dim);
    }
    int64_t exponent = op.getExponent();
    uint64_t bits = exponent < 0 ? -uint64_t(exponent) : uint64_t(exponent);
    {
      Matrices matrices(loops, type.getShape().back(), forThreads);
      Value square, power, product;
      auto allocate = [&] {
        for (Value *matrix : {&square, &power, &product})
          *matrix = matrices.create();
      };
      SmallVector<Value> point(rank - 2, loops.index(0));
      forPoints(loops, dims, sizes, point, allocate, [&] {
        auto indices = [&](Value i, Value j) {
          SmallVector<Value> all(point);
          all.append({i, j});
          return all;
        };
        matrices.fill(square, [&](Value i, Value j) {
          return loops.convert(loops.load(op.getMatrix(), indices(i, j)),
                               rewriter.getF64Type());
        });
        if (exponent < 0) {
          matrices.invert(square, product);
          matrices.copy(product, square);
        }
        matrices.setIdentity(power);
        for (uint64_t rest = bits; rest; rest >>= 1) {
          if (rest & 1) {
            matrices.multiply(power, square, product);
            matrices.copy(product, power);
          }
          if (rest > 1) {
            matrices.multiply(square, square, product);
            matrices.copy(product, square);
          }
        }
        Value extent = loops.index(type.getShape().back());
        loops.repeat(extent, [&](Value i) {
          loops.repeat(extent, [&](Value j) {
            loops.store(matrices.at(power, i, j), out, indices(i, j));
          });
        });
      });
    }
    rewriter.eraseOp(op);
    return success();
  }
};

struct LowerKrylov : public PointPattern<KrylovOp> {
  using PointPattern::PointPattern;

  LogicalResult matchAndRewrite(KrylovOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics())
      return rewriter.notifyMatchFailure(op, "on tensors");
    Loops loops(rewriter, op.getLoc());
    Type f64 = rewriter.getF64Type();
    Value out = op.getOuts().front();
    auto type = cast<MemRefType>(op.getMatrix().getType());
    unsigned shared = type.getRank() - 2;
    unsigned leading = cast<MemRefType>(op.getVector().getType()).getRank() - 1;
    Value extent = loops.index(type.getShape().back());
    SmallVector<Value> sizes;
    SmallVector<unsigned> dims;
    for (unsigned dim = 0; dim < leading; ++dim) {
      sizes.push_back(loops.size(op.getVector(), dim));
      dims.push_back(dim);
    }
    // The image before, and this one.
    Value states;
    auto allocate = [&] {
      auto pair = MemRefType::get({2, type.getShape().back()}, f64);
      if (forThreads)
        states = memref::AllocaOp::create(rewriter, op.getLoc(), pair);
      else
        states = memref::AllocOp::create(rewriter, op.getLoc(), pair);
    };
    Value before = loops.index(0), now = loops.index(1);
    SmallVector<Value> point(leading, loops.index(0));
    auto at = [&](std::initializer_list<Value> last) {
      SmallVector<Value> all(point);
      all.append(last);
      return all;
    };
    forPoints(loops, dims, sizes, point, allocate, [&] {
      loops.repeat(extent, [&](Value i) {
        loops.store(loops.convert(loops.load(op.getVector(), at({i})), f64), states,
                    {before, i});
      });
      loops.repeat(loops.size(out, leading), [&](Value image) {
        loops.repeat(extent, [&](Value i) {
          loops.store(loops.load(states, {before, i}), out, at({image, i}));
          Value sum =
              loops
                  .reduce(loops.index(0), extent, loops.constant(f64, 0),
                          [&](Value k, ValueRange partial) -> SmallVector<Value> {
                            SmallVector<Value> place(
                                ArrayRef(point).take_front(shared));
                            place.append({i, k});
                            Value element = loops.convert(
                                loops.load(op.getMatrix(), place), f64);
                            Value state = loops.load(states, {before, k});
                            return {loops.add(partial[0],
                                              loops.mul(element, state))};
                          })
                  .front();
          loops.store(sum, states, {now, i});
        });
        loops.repeat(extent, [&](Value i) {
          loops.store(loops.load(states, {now, i}), states, {before, i});
        });
      });
    });
    if (!forThreads)
      memref::DeallocOp::create(rewriter, op.getLoc(), states);
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

void ssmc::detail::populateMatrixPatterns(RewritePatternSet &patterns,
                                          bool forThreads) {
  patterns.add<LowerDiscretizeMatrix, LowerMatrixPower, LowerKrylov>(
      patterns.getContext(), forThreads);
}
