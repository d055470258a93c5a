//===- LowerImpulse.cpp - Impulse responses by blocks of lags -------------===//
//
// The response at the lag i m + j is what is read of A^(i m) A^j b. The states A^j b
// of a block of m lags are computed once, and for every block what is read of a state
// that many tokens later, c A^(i m): for each vector of lanes two matrices, whose
// product is the kernel at the full rate of multiply-adds. Powers of a matrix come
// from squaring, and each square doubles the states; numbers on a diagonal are
// multiplied one by one.
//
//===----------------------------------------------------------------------===//

#include "CPULowering.h"
#include "VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Lags of a block, a power of two: as many multiply-adds go into the states and the
/// powers as into the rows of some hundred blocks.
static constexpr int64_t blockLags = 64;
/// Columns of a tile of a product.
static constexpr int64_t tileColumns = 4;

namespace {
class ImpulseLowering {
public:
  ImpulseLowering(RewriterBase &builder, ImpulseResponseOp op, const VectorTarget &target)
      : builder(builder), op(op), loc(op.getLoc()), rows(op.getRows()),
        parts(op.getParts()), width(op.getWidth()), reads(op.getReads()),
        // Sums of a tile, and its operands, stay in registers.
        blocks(target.getRegisters() >= 32 ? 4 : 2),
        vector(VectorType::get({width}, builder.getF64Type())) {}
  LogicalResult run();

private:
  using Load = llvm::function_ref<Value(Value, Value)>;
  using Store = llvm::function_ref<void(Value, Value, Value)>;

  void emitSystem(Value unit);
  void emitDiagonal();
  void emitDense();
  void emitSquares(int64_t from, Value to, llvm::function_ref<void(Value)> before);
  void emitBlocks(Value group, Value place, Value read, unsigned number, Value which);
  void emitProduct(int64_t numRows, Value numColumns, Load left, Load right, Store store);
  void storeTap(Value lag, unsigned number, Value which, Value value);

  Value index(int64_t value) { return indexConstant(builder, loc, value); }
  Value add(Value a, Value b) { return addIndex(builder, loc, a, b); }
  Value mul(Value a, Value b) { return mulIndex(builder, loc, a, b); }
  Value load(Value memref, ValueRange indices) {
    SmallVector<Value> all(indices);
    all.push_back(index(0));
    return vector::LoadOp::create(builder, loc, vector, memref, all);
  }
  void store(Value value, Value memref, ValueRange indices) {
    SmallVector<Value> all(indices);
    all.push_back(index(0));
    vector::StoreOp::create(builder, loc, value, memref, all);
  }
  Value multiply(Value a, Value b) {
    Value product = arith::MulFOp::create(builder, loc, a, b);
    allowContraction(product.getDefiningOp());
    return product;
  }
  Value plus(Value a, Value b) {
    Value sum = arith::AddFOp::create(builder, loc, a, b);
    allowContraction(sum.getDefiningOp());
    return sum;
  }
  Value minus(Value a, Value b) {
    Value difference = arith::SubFOp::create(builder, loc, a, b);
    allowContraction(difference.getDefiningOp());
    return difference;
  }
  /// The product of numbers of `parts` parts.
  SmallVector<Value> multiply(ValueRange a, ValueRange b) {
    if (parts == 1)
      return {multiply(a[0], b[0])};
    return {minus(multiply(a[0], b[0]), multiply(a[1], b[1])),
            plus(multiply(a[0], b[1]), multiply(a[1], b[0]))};
  }
  /// Rows that read a number `x`, as rows that read `factor x`.
  SmallVector<Value> readProduct(ValueRange row, ValueRange factor) {
    if (parts == 1)
      return {multiply(row[0], factor[0])};
    return {plus(multiply(row[0], factor[0]), multiply(row[1], factor[1])),
            minus(multiply(row[1], factor[0]), multiply(row[0], factor[1]))};
  }
  Value rowOf(Value key, int64_t part) {
    return add(mul(key, index(parts)), index(part));
  }
  /// Memory of a task; rows of an odd number of vectors do not compete for one set of
  /// a cache.
  Value allocate(ArrayRef<int64_t> shape) {
    SmallVector<int64_t> all(shape);
    all.back() |= 1;
    all.push_back(width);
    owned.push_back(memref::AllocOp::create(builder, loc,
                                            MemRefType::get(all, vector.getElementType()),
                                            builder.getI64IntegerAttr(64)));
    return owned.back();
  }
  /// For every row that is read: its number among all, the out, and its number there.
  void forReads(llvm::function_ref<void(Value, unsigned, Value)> body) {
    for (unsigned number = 0; number < op.getOuts().size(); ++number)
      emitFor(builder, loc, index(0), index(reads), 1, [&](Value which) {
        body(add(index(number * reads), which), number, which);
      });
  }

  RewriterBase &builder;
  ImpulseResponseOp op;
  Location loc;
  int64_t rows, parts, width, reads, blocks;
  VectorType vector;
  Value numLags, system, tile;
  Value states;   ///< [rows, lags of a block]
  Value readRows; ///< [2, what is read, blocks, rows]: of one group, and of the next
  Value powers;   ///< [2, rows, rows]: a power, and its square
  SmallVector<Value> owned;
};
} // namespace

LogicalResult ImpulseLowering::run() {
  for (Value operand : op->getOperands()) {
    auto type = dyn_cast<MemRefType>(operand.getType());
    if (!type || !type.areTrailingDimsContiguous(1))
      return failure();
  }
  builder.setInsertionPoint(op);
  auto out = cast<MemRefType>(op.getOuts().front().getType());
  numLags = out.isDynamicDim(0)
                ? memref::DimOp::create(builder, loc, op.getOuts().front(), 0).getResult()
                : index(out.getDimSize(0));
  ArrayRef<int64_t> shape = cast<MemRefType>(op.getInput().getType()).getShape();
  emitTasks(builder, loc, index(shape[0] * shape[1]), index(1), std::nullopt,
            [&](Value unit, Value) {
              SmallVector<Value> digits =
                  delinearize(builder, loc, unit, {index(shape[0]), index(shape[1])});
              system = digits[0];
              tile = digits[1];
              states = allocate({rows, blockLags});
              readRows = allocate(
                  {2, int64_t(op.getOuts().size()) * reads, blocks, rows});
              if (op.getDense())
                emitDense();
              else
                emitDiagonal();
              for (Value memory : owned)
                memref::DeallocOp::create(builder, loc, memory);
            });
  builder.eraseOp(op);
  return success();
}

/// store(i, j, sum over the rows k of the state of left(i, k) right(k, j))
void ImpulseLowering::emitProduct(int64_t numRows, Value numColumns, Load left,
                                  Load right, Store store) {
  auto emitTile = [&](Value row, Value column, int64_t high, int64_t wide) {
    Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(vector));
    SmallVector<Value> sums = emitFor(
        builder, loc, index(0), index(rows), 1, SmallVector<Value>(high * wide, zero),
        [&](Value k, ValueRange partial) {
          SmallVector<Value> results(partial), factors;
          for (int64_t j = 0; j < wide; ++j)
            factors.push_back(right(k, add(column, index(j))));
          for (int64_t i = 0; i < high; ++i) {
            Value factor = left(add(row, index(i)), k);
            for (int64_t j = 0; j < wide; ++j)
              results[i * wide + j] =
                  plus(results[i * wide + j], multiply(factor, factors[j]));
          }
          return results;
        });
    for (int64_t i = 0; i < high; ++i)
      for (int64_t j = 0; j < wide; ++j)
        store(add(row, index(i)), add(column, index(j)), sums[i * wide + j]);
  };
  auto emitRows = [&](Value row, int64_t high) {
    Value odd = builder.createOrFold<arith::RemUIOp>(loc, numColumns, index(tileColumns));
    Value whole = subIndex(builder, loc, numColumns, odd);
    emitFor(builder, loc, index(0), whole, tileColumns,
            [&](Value column) { emitTile(row, column, high, tileColumns); });
    emitFor(builder, loc, whole, numColumns, 1,
            [&](Value column) { emitTile(row, column, high, 1); });
  };
  int64_t odd = numRows % blocks;
  emitFor(builder, loc, index(0), index(numRows - odd), blocks,
          [&](Value row) { emitRows(row, blocks); });
  if (odd > 0)
    emitRows(index(numRows - odd), odd);
}

//===----------------------------------------------------------------------===//
// A diagonal transition
//===----------------------------------------------------------------------===//

void ImpulseLowering::emitDiagonal() {
  // The transition over one block, and over a group of them.
  Value steps = allocate({2, rows});
  emitFor(builder, loc, index(0), index(rows / parts), 1, [&](Value key) {
    SmallVector<Value> factor, state;
    for (int64_t part = 0; part < parts; ++part) {
      factor.push_back(load(op.getTransition(), {system, tile, key, index(part)}));
      state.push_back(load(op.getInput(), {system, tile, rowOf(key, part)}));
    }
    emitFor(builder, loc, index(0), index(blockLags), 1, state,
            [&](Value lag, ValueRange now) {
              for (int64_t part = 0; part < parts; ++part)
                store(now[part], states, {rowOf(key, part), lag});
              return multiply(now, factor);
            });
    SmallVector<Value> power = factor;
    for (int64_t lags = 1; lags < blockLags; lags *= 2)
      power = multiply(power, power);
    SmallVector<Value> group = power;
    for (int64_t count = 1; count < blocks; count *= 2)
      group = multiply(group, group);
    for (int64_t part = 0; part < parts; ++part) {
      store(power[part], steps, {index(0), rowOf(key, part)});
      store(group[part], steps, {index(1), rowOf(key, part)});
    }
    forReads([&](Value read, unsigned number, Value which) {
      SmallVector<Value> row;
      for (int64_t part = 0; part < parts; ++part)
        row.push_back(load(op.getRead(), {system, tile, index(number), which,
                                          rowOf(key, part)}));
      for (int64_t block = 0; block < blocks; ++block) {
        for (int64_t part = 0; part < parts; ++part)
          store(row[part], readRows, {index(0), read, index(block), rowOf(key, part)});
        row = readProduct(row, power);
      }
    });
  });
  Value groups = ceilDivIndex(builder, loc, numLags, index(blocks * blockLags));
  emitFor(builder, loc, index(0), groups, 1, [&](Value group) {
    forReads([&](Value read, unsigned number, Value which) {
      emitBlocks(group, index(0), read, number, which);
      emitFor(builder, loc, index(0), index(rows / parts), 1, [&](Value key) {
        SmallVector<Value> step;
        for (int64_t part = 0; part < parts; ++part)
          step.push_back(load(steps, {index(1), rowOf(key, part)}));
        for (int64_t block = 0; block < blocks; ++block) {
          SmallVector<Value> row;
          for (int64_t part = 0; part < parts; ++part)
            row.push_back(load(readRows, {index(0), read, index(block), rowOf(key, part)}));
          row = readProduct(row, step);
          for (int64_t part = 0; part < parts; ++part)
            store(row[part], readRows, {index(0), read, index(block), rowOf(key, part)});
        }
      });
    });
  });
}

//===----------------------------------------------------------------------===//
// A dense transition
//===----------------------------------------------------------------------===//

/// Squares the power of place `step % 2`, from the power 2^from to 2^to.
void ImpulseLowering::emitSquares(int64_t from, Value to,
                                  llvm::function_ref<void(Value)> before) {
  emitFor(builder, loc, index(from), to, 1, [&](Value step) {
    before(step);
    Value now = builder.createOrFold<arith::AndIOp>(loc, step, index(1));
    Value next = subIndex(builder, loc, index(1), now);
    emitProduct(
        rows, index(rows),
        [&](Value i, Value k) { return load(powers, {now, i, k}); },
        [&](Value k, Value j) { return load(powers, {now, k, j}); },
        [&](Value i, Value j, Value sum) { store(sum, powers, {next, i, j}); });
  });
}

void ImpulseLowering::emitDense() {
  powers = allocate({2, rows, rows});
  emitFor(builder, loc, index(0), index(rows), 1, [&](Value i) {
    store(load(op.getInput(), {system, tile, i}), states, {i, index(0)});
    emitFor(builder, loc, index(0), index(rows), 1, [&](Value j) {
      store(load(op.getTransition(), {system, tile, i, j}), powers, {index(0), i, j});
    });
  });
  // With A^n the states from n on follow from those before.
  int64_t levels = llvm::Log2_64(blockLags), more = llvm::Log2_64(blocks);
  emitSquares(0, index(levels), [&](Value step) {
    Value now = builder.createOrFold<arith::AndIOp>(loc, step, index(1));
    Value known = arith::ShLIOp::create(builder, loc, index(1), step);
    emitProduct(
        rows, known, [&](Value i, Value k) { return load(powers, {now, i, k}); },
        [&](Value k, Value lag) { return load(states, {k, lag}); },
        [&](Value i, Value lag, Value sum) {
          store(sum, states, {i, add(known, lag)});
        });
  });
  // Rows of the first blocks one by one, of others by groups.
  auto advance = [&](Value place, Value from, Value to, Value read, Value firstBlock,
                     Value nextBlock, int64_t count) {
    emitProduct(
        count, index(rows),
        [&](Value block, Value k) {
          return load(readRows, {from, read, add(firstBlock, block), k});
        },
        [&](Value k, Value j) { return load(powers, {place, k, j}); },
        [&](Value block, Value j, Value sum) {
          store(sum, readRows, {to, read, add(nextBlock, block), j});
        });
  };
  Value zero = index(0);
  forReads([&](Value read, unsigned number, Value which) {
    emitFor(builder, loc, zero, index(rows), 1, [&](Value k) {
      store(load(op.getRead(), {system, tile, index(number), which, k}), readRows,
            {zero, read, zero, k});
    });
    emitFor(builder, loc, index(1), index(blocks), 1, [&](Value block) {
      advance(index(levels % 2), zero, zero, read, subIndex(builder, loc, block, index(1)),
              block, 1);
    });
  });
  Value groups = ceilDivIndex(builder, loc, numLags, index(blocks * blockLags));
  Value isMore = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ugt, groups,
                                       index(1));
  emitSquares(levels,
              arith::SelectOp::create(builder, loc, isMore, index(levels + more),
                                      index(levels)),
              [](Value) {});
  emitFor(builder, loc, zero, groups, 1, [&](Value group) {
    Value now = builder.createOrFold<arith::AndIOp>(loc, group, index(1));
    Value next = subIndex(builder, loc, index(1), now);
    forReads([&](Value read, unsigned number, Value which) {
      emitBlocks(group, now, read, number, which);
      Value isBeforeLast = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne,
                                                 add(group, index(1)), groups);
      emitIf(builder, loc, isBeforeLast, [&] {
        advance(index((levels + more) % 2), now, next, read, zero, zero, blocks);
      });
    });
  });
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

/// The taps of a group of blocks, by rows at `place`.
void ImpulseLowering::emitBlocks(Value group, Value place, Value read, unsigned number,
                                 Value which) {
  emitProduct(
      blocks, index(blockLags),
      [&](Value block, Value k) { return load(readRows, {place, read, block, k}); },
      [&](Value k, Value lag) { return load(states, {k, lag}); },
      [&](Value block, Value lag, Value sum) {
        Value first = mul(add(mul(group, index(blocks)), block), index(blockLags));
        storeTap(add(first, lag), number, which, sum);
      });
}

/// Rounds and stores the taps at a lag, if there is such a lag.
void ImpulseLowering::storeTap(Value lag, unsigned number, Value which, Value value) {
  Value isInside = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ult, lag,
                                         numLags);
  Value out = op.getOuts()[number];
  Type element = cast<MemRefType>(out.getType()).getElementType();
  value = flushDenormals(builder, loc, value, element);
  if (op.getReverse())
    lag = subIndex(builder, loc, subIndex(builder, loc, numLags, index(1)), lag);
  emitIf(builder, loc, isInside, [&] {
    vector::StoreOp::create(
        builder, loc, convertFloat(builder, loc, value, element), out,
        ValueRange{lag, system, which, mul(tile, index(width))});
  });
}

LogicalResult ssmc::cpu::lowerImpulseResponse(RewriterBase &rewriter,
                                              ImpulseResponseOp op,
                                              const VectorTarget &target) {
  return ImpulseLowering(rewriter, op, target).run();
}
