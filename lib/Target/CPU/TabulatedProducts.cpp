//===- TabulatedProducts.cpp - Arithmetic of tabulated chunks -------------===//
//
// A token never meets later ones, not even multiplied by zero, so that a NaN stays
// where it arises.
//
//===----------------------------------------------------------------------===//

#include "TabulatedLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Tables of the op, in their order.
enum Table : unsigned { writeTable, readTable, kernelTable, decayTable };

//===----------------------------------------------------------------------===//
// Building blocks
//===----------------------------------------------------------------------===//

Value TabulatedLowering::multiplyAdd(Value a, Value b, Value c) {
  Value product = arith::MulFOp::create(builder, loc, a, b);
  allowContraction(product.getDefiningOp());
  Value sum = arith::AddFOp::create(builder, loc, product, c);
  allowContraction(sum.getDefiningOp());
  return sum;
}

/// `c - a * b`.
Value TabulatedLowering::multiplySubtract(Value a, Value b, Value c) {
  Value product = arith::MulFOp::create(builder, loc, a, b);
  allowContraction(product.getDefiningOp());
  Value difference = arith::SubFOp::create(builder, loc, c, product);
  allowContraction(difference.getDefiningOp());
  return difference;
}

Value TabulatedLowering::zero() {
  FloatAttr value = builder.getFloatAttr(element, 0);
  if (width == 1)
    return arith::ConstantOp::create(builder, loc, value);
  return arith::ConstantOp::create(
      builder, loc, DenseElementsAttr::get(VectorType::get({width}, element), value));
}

Value TabulatedLowering::loadTable(unsigned number, ArrayRef<Value> indices) {
  Value table = op.getTables()[number];
  SmallVector<Value> place{outerNumber, tileNumber};
  llvm::append_range(place, indices);
  place.push_back(index(0));
  if (width == 1)
    return memref::LoadOp::create(builder, loc, table, place);
  auto type = VectorType::get({width}, element);
  if (cast<MemRefType>(table.getType()).getShape().back() == width)
    return vector::LoadOp::create(builder, loc, type, table, place);
  return vector::BroadcastOp::create(builder, loc, type,
                                     memref::LoadOp::create(builder, loc, table, place));
}

Value TabulatedLowering::loadRow(Value scratch, Value row) {
  if (width == 1)
    return memref::LoadOp::create(builder, loc, scratch, ValueRange{row, index(0)});
  return vector::LoadOp::create(builder, loc, VectorType::get({width}, element), scratch,
                                ValueRange{row, index(0)});
}

void TabulatedLowering::storeRow(Value value, Value scratch, Value row) {
  if (width == 1)
    memref::StoreOp::create(builder, loc, value, scratch, ValueRange{row, index(0)});
  else
    vector::StoreOp::create(builder, loc, value, scratch, ValueRange{row, index(0)});
}

Value TabulatedLowering::getCarriedPlace(Value number, Value row) {
  return plus(times(number, rows + rowPadding), row);
}

Value TabulatedLowering::getValuePlace(Value number, Value token, int64_t input,
                                       int64_t length) {
  int64_t stride = length == 1 ? inputs : length * inputs + 1;
  return at(plus(times(number, stride), times(token, inputs)), input);
}

void TabulatedLowering::forBlocks(int64_t size, int64_t block, BlockBody body) {
  int64_t whole = size / block * block;
  emitFor(builder, loc, index(0), index(whole), block,
          [&](Value first) { body(first, block); });
  if (size > whole)
    body(index(whole), size - whole);
}

void TabulatedLowering::forBlocks(Value size, int64_t block, BlockBody body) {
  Value whole = times(
      builder.createOrFold<arith::DivUIOp>(loc, size, index(block)), block);
  emitFor(builder, loc, index(0), whole, block,
          [&](Value first) { body(first, block); });
  if (block > 1)
    emitFor(builder, loc, whole, size, 1, [&](Value first) { body(first, 1); });
}

/// Adds a(row, n, position) * b(column, n, position) for all n and for positions in
/// [lower, upper) to sums of rows x columns.
SmallVector<Value> TabulatedLowering::accumulate(
    ValueRange sums, int64_t columns, Value lower, Value upper, int64_t number,
    llvm::function_ref<Value(int64_t, int64_t, Value)> a,
    llvm::function_ref<Value(int64_t, int64_t, Value)> b, int64_t rows) {
  return emitFor(builder, loc, lower, upper, 1, sums,
                 [&](Value position, ValueRange before) {
                   SmallVector<Value> next(before);
                   for (int64_t n = 0; n < number; ++n) {
                     SmallVector<Value> loaded;
                     for (int64_t column = 0; column < columns; ++column)
                       loaded.push_back(b(column, n, position));
                     for (int64_t row = 0; row < rows; ++row) {
                       Value factor = a(row, n, position);
                       for (int64_t column = 0; column < columns; ++column) {
                         Value &sum = next[row * columns + column];
                         sum = multiplyAdd(factor, loaded[column], sum);
                       }
                     }
                   }
                   return next;
                 });
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// What each chunk writes to the state that it leaves. A chunk of one token is the last
/// of a longer one.
void TabulatedLowering::emitWrites(Value chunks, int64_t length) {
  forBlocks(rows, blockRows, [&](Value firstRow, int64_t numRows) {
    forBlocks(chunks, blockColumns, [&](Value firstChunk, int64_t numChunks) {
      if (length == chunk && numChunks > 1)
        emitPrefetch(firstRow, firstChunk);
      SmallVector<Value> sums(numRows * numChunks, zero());
      sums = accumulate(
          sums, numChunks, index(0), index(length), inputs,
          [&](int64_t row, int64_t input, Value token) {
            return loadTable(writeTable, {at(firstRow, row), at(token, chunk - length),
                                          index(input)});
          },
          [&](int64_t column, int64_t input, Value token) {
            return loadRow(values, getValuePlace(at(firstChunk, column), token, input,
                                                 length));
          },
          numRows);
      for (int64_t row = 0; row < numRows; ++row)
        for (int64_t column = 0; column < numChunks; ++column)
          storeRow(sums[row * numChunks + column], carried,
                   getCarriedPlace(at(firstChunk, column), at(firstRow, row)));
    });
  });
}

/// Replaces what each chunk writes by the state before it.
void TabulatedLowering::emitCarry(Value chunks, int64_t length) {
  Value exponent = index(length == 1 ? 0 : 1);
  if (dense) {
    emitFor(builder, loc, index(0), chunks, 1, [&](Value number) {
      forBlocks(rows, 8, [&](Value firstRow, int64_t numRows) {
        SmallVector<Value> sums;
        for (int64_t row = 0; row < numRows; ++row)
          sums.push_back(loadRow(carried, getCarriedPlace(number, at(firstRow, row))));
        sums = accumulate(
            sums, 1, index(0), index(rows), 1,
            [&](int64_t row, int64_t, Value source) {
              return loadTable(decayTable, {exponent, at(firstRow, row), source});
            },
            [&](int64_t, int64_t, Value source) {
              return loadRow(state, getStatePlace(source));
            },
            numRows);
        for (int64_t row = 0; row < numRows; ++row)
          storeRow(sums[row], nextState, at(firstRow, row));
      });
      emitFor(builder, loc, index(0), index(rows), 1, [&](Value row) {
        Value place = getStatePlace(row);
        storeRow(loadRow(state, place), carried, getCarriedPlace(number, row));
        storeRow(loadRow(nextState, row), state, place);
      });
    });
    return;
  }
  forBlocks(rows / parts, 4, [&](Value firstKey, int64_t numKeys) {
    int64_t count = numKeys * parts;
    Value first = times(firstKey, parts);
    SmallVector<Value> decays, states;
    for (int64_t row = 0; row < count; ++row) {
      decays.push_back(loadTable(decayTable, {exponent, at(first, row)}));
      states.push_back(loadRow(state, getStatePlace(at(first, row))));
    }
    states = emitFor(
        builder, loc, index(0), chunks, 1, states, [&](Value number, ValueRange before) {
          SmallVector<Value> next;
          for (int64_t row = 0; row < count; ++row)
            next.push_back(loadRow(carried, getCarriedPlace(number, at(first, row))));
          for (int64_t row = 0; row < count; ++row)
            storeRow(before[row], carried, getCarriedPlace(number, at(first, row)));
          for (int64_t row = 0; row < count; row += parts) {
            next[row] = multiplyAdd(decays[row], before[row], next[row]);
            if (parts == 1)
              continue;
            next[row] = multiplySubtract(decays[row + 1], before[row + 1], next[row]);
            next[row + 1] = multiplyAdd(decays[row], before[row + 1], next[row + 1]);
            next[row + 1] = multiplyAdd(decays[row + 1], before[row], next[row + 1]);
          }
          return next;
        });
    for (int64_t row = 0; row < count; ++row)
      storeRow(states[row], state, getStatePlace(at(first, row)));
  });
}

/// The outputs of each chunk, for one copy.
void TabulatedLowering::emitReads(Value copy, Value chunks, int64_t length) {
  int64_t blockTokens = std::max<int64_t>(blockRows / outputs, 1);
  auto valueAt = [&](Value firstChunk, int64_t column, Value token, int64_t input) {
    return loadRow(values,
                   getValuePlace(at(firstChunk, column), token, input, length));
  };
  auto emitBlock = [&](Value firstChunk, int64_t numChunks, Value firstToken,
                       int64_t numTokens) {
    int64_t numRows = numTokens * outputs;
    auto tap = [&](int64_t part, int64_t input, Value lag) {
      return loadTable(kernelTable, {copy, index(part), index(input), lag});
    };
    SmallVector<Value> sums(numRows * numChunks, zero());
    // From the state before the chunk.
    sums = accumulate(
        sums, numChunks, index(0), index(rows), 1,
        [&](int64_t row, int64_t, Value source) {
          return loadTable(readTable, {copy, at(firstToken, row / outputs),
                                       index(row % outputs), source});
        },
        [&](int64_t column, int64_t, Value source) {
          return loadRow(carried, getCarriedPlace(at(firstChunk, column), source));
        },
        numRows);
    // From the tokens before the block.
    sums = accumulate(
        sums, numChunks, index(0), firstToken, inputs,
        [&](int64_t row, int64_t input, Value token) {
          return tap(row % outputs, input,
                     minus(at(firstToken, row / outputs), token));
        },
        [&](int64_t column, int64_t input, Value token) {
          return valueAt(firstChunk, column, token, input);
        },
        numRows);
    // From those of the block, up to the output's own.
    for (int64_t token = 0; token < numTokens; ++token)
      for (int64_t input = 0; input < inputs; ++input) {
        SmallVector<Value> loaded;
        for (int64_t column = 0; column < numChunks; ++column)
          loaded.push_back(valueAt(firstChunk, column, at(firstToken, token), input));
        for (int64_t row = token * outputs; row < numRows; ++row) {
          Value factor = tap(row % outputs, input, index(row / outputs - token));
          for (int64_t column = 0; column < numChunks; ++column) {
            Value &sum = sums[row * numChunks + column];
            sum = multiplyAdd(factor, loaded[column], sum);
          }
        }
      }
    for (int64_t row = 0; row < numRows; ++row)
      for (int64_t column = 0; column < numChunks; ++column) {
        Value token = at(plus(times(at(firstChunk, column), length), firstToken),
                         row / outputs);
        storeRow(sums[row * numChunks + column], results,
                 at(times(token, outputs), row % outputs));
      }
  };
  forBlocks(chunks, blockColumns, [&](Value firstChunk, int64_t numChunks) {
    forBlocks(length, blockTokens, [&](Value firstToken, int64_t numTokens) {
      emitBlock(firstChunk, numChunks, firstToken, numTokens);
    });
  });
}
