//===- TabulateMatrices.cpp - Tables of transitions that mix --------------===//
//
// Where the transition is a matrix, or a diagonal with erase terms, it is written out
// as a real matrix over rows (keys and parts) for each lane, in f64. Its powers times
// what is written are the images of ssm.krylov, so are those of its transpose times
// what is read.
//
//===----------------------------------------------------------------------===//

#include "Tabulator.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::ssm;

/// Joins groups of dimensions: `sizes` counts the members of each.
static Value collapse(OpBuilder &builder, Location loc, Value tensor,
                      ArrayRef<int64_t> sizes) {
  SmallVector<ReassociationIndices> groups;
  int64_t next = 0;
  for (int64_t size : sizes) {
    groups.emplace_back();
    for (int64_t i = 0; i < size; ++i)
      groups.back().push_back(next++);
  }
  return tensor::CollapseShapeOp::create(builder, loc, tensor, groups);
}

/// `first` where dimension `dim` of the loop is 0, else `second`.
static Value choose(OpBuilder &nested, Location loc, unsigned dim, Value first,
                    Value second) {
  Value index = linalg::IndexOp::create(nested, loc, dim);
  Value zero = arith::ConstantIndexOp::create(nested, loc, 0);
  Value isFirst =
      arith::CmpIOp::create(nested, loc, arith::CmpIPredicate::eq, index, zero);
  return arith::SelectOp::create(nested, loc, isFirst, first, second);
}

/// `value` where dimensions `left` and `right` of the loop are equal, else 0.
static Value onDiagonal(OpBuilder &nested, Location loc, unsigned left, unsigned right,
                        Value value) {
  Value isEqual = arith::CmpIOp::create(
      nested, loc, arith::CmpIPredicate::eq, linalg::IndexOp::create(nested, loc, left),
      linalg::IndexOp::create(nested, loc, right));
  Value zero = arith::ConstantOp::create(nested, loc, nested.getF64FloatAttr(0));
  return arith::SelectOp::create(nested, loc, isEqual, value, zero);
}

/// [outer, tiles, width, rows, rows], or with the width as the last dimension
Value Tabulator::makeTransition(bool lanesLast) {
  // Dimensions: outer, tiles, (width,) key, part, key before, part before(, width).
  unsigned lane = lanesLast ? 6 : 2, rowKey = lanesLast ? 2 : 3;
  unsigned rowPart = rowKey + 1, columnKey = rowKey + 2, columnPart = rowKey + 3;
  SmallVector<Value> ins;
  SmallVector<AffineMap> maps;
  auto add = [&](ArrayRef<Value> values, ArrayRef<unsigned> dims) {
    for (Value value : values) {
      ins.push_back(value);
      maps.push_back(select(7, dims));
    }
  };
  SmallVector<unsigned> atRow = {0, rowKey, 1, lane},
                        atColumn = {0, columnKey, 1, lane};
  auto layOutRole = [&](ValueRange values, ArrayRef<Dims> groups) {
    SmallVector<Value> needed(values);
    return layOut(
        [&](OpBuilder &nested, IRMapping &mapping) {
          Number number;
          for (Value value : needed)
            number.push_back(emitFactor(nested, mapping, value));
          return number;
        },
        needed, groups);
  };
  unsigned pairs = roles.getErase().size() / (2 * parts);
  if (scan.getDense()) {
    SmallVector<Dims> groups = getGroups();
    groups.insert(groups.begin() + 2, Dims{*scan.getDenseSource()});
    add(layOutRole(roles.getDense(), groups), {0, rowKey, columnKey, 1, lane});
  } else {
    add(getDecay(), atRow);
  }
  for (unsigned pair = 0; pair < pairs; ++pair) {
    add(layOutRole(roles.getErase().slice(2 * parts * pair, parts), getGroups()),
        atColumn);
    add(layOutRole(roles.getErase().slice(2 * parts * pair + parts, parts), getGroups()),
        atRow);
  }
  SmallVector<int64_t> shape = {outer, tiles, keys, parts, keys, parts};
  shape.insert(shape.begin() + lane, width);
  Value transition =
      emitGeneric(
          shape, ins, maps, 1, wide,
          [&](OpBuilder &nested, ValueRange values) {
            auto times = [&](Value a, Value b) -> Value {
              return arith::MulFOp::create(nested, loc, a, b);
            };
            auto plus = [&](Value a, Value b) -> Value {
              return arith::AddFOp::create(nested, loc, a, b);
            };
            auto minus = [&](Value a) -> Value {
              return arith::NegFOp::create(nested, loc, a);
            };
            // Entries by part of the row and part of the column.
            auto entriesOf = [&](ValueRange number) {
              if (parts == 1)
                return SmallVector<Value>{number[0]};
              return SmallVector<Value>{number[0], minus(number[1]), number[1],
                                        number[0]};
            };
            SmallVector<Value> entries = entriesOf(values.take_front(parts));
            if (!scan.getDense())
              for (Value &entry : entries)
                entry = onDiagonal(nested, loc, rowKey, columnKey, entry);
            for (unsigned pair = 0; pair < pairs; ++pair) {
              ValueRange left = values.slice(parts * (1 + 2 * pair), parts);
              ValueRange right = values.slice(parts * (2 + 2 * pair), parts);
              if (parts == 1) {
                entries[0] = plus(entries[0], times(right[0], left[0]));
                continue;
              }
              // The sum's real part is left[0] x - left[1] y.
              Value real[] = {left[0], minus(left[1])};
              Value imaginary[] = {left[1], left[0]};
              for (unsigned row = 0; row < 2; ++row)
                for (unsigned column = 0; column < 2; ++column) {
                  Value &entry = entries[2 * row + column];
                  entry = plus(entry, times(right[row], real[column]));
                  if (scan.getRealSums())
                    continue;
                  Value other = times(right[1 - row], imaginary[column]);
                  entry = plus(entry, row == 0 ? minus(other) : other);
                }
            }
            if (parts == 1)
              return entries;
            return SmallVector<Value>{choose(
                nested, loc, rowPart,
                choose(nested, loc, columnPart, entries[0], entries[1]),
                choose(nested, loc, columnPart, entries[2], entries[3]))};
          })
          .front();
  if (lanesLast)
    return collapse(builder, loc, transition, {1, 1, 2, 2, 1});
  return collapse(builder, loc, transition, {1, 1, 1, 2, 2});
}

/// For each input [outer, tiles, width, chunk, rows]: powers of the transition times
/// what the state takes of it.
SmallVector<Value> Tabulator::getImages(Value transition) {
  SmallVector<Value> images;
  for (const auto &gain : gains) {
    Value vector = emitGeneric({outer, tiles, width, keys, parts}, gain,
                               SmallVector<AffineMap>(parts, select(5, {0, 3, 1, 2})), 1,
                               wide,
                               [&](OpBuilder &nested, ValueRange values) {
                                 return SmallVector<Value>{
                                     parts == 1 ? values[0]
                                                : choose(nested, loc, 4, values[0],
                                                         values[1])};
                               })
                       .front();
    vector = collapse(builder, loc, vector, {1, 1, 1, 2});
    Value empty = tensor::EmptyOp::create(
        builder, loc, ArrayRef<int64_t>{outer, tiles, width, chunk, keys * parts}, wide);
    images.push_back(
        KrylovOp::create(builder, loc, empty.getType(), transition, vector, empty)
            .getResult(0));
  }
  return images;
}

/// [outer, tiles, width, copies, outputs, rows]: an output as a sum over rows; or
/// [outer, tiles, outputs, copies, rows, width].
Value Tabulator::getReadRows(bool lanesLast) {
  // Dimensions: outer, tiles, width, copy, output, key, part; or outer, tiles, output,
  // copy, key, part, width.
  unsigned lane = lanesLast ? 6 : 2, copy = 3, output = lanesLast ? 2 : 4;
  unsigned key = lanesLast ? 4 : 5, part = key + 1;
  SmallVector<int64_t> shape = {outer, tiles, width, copies, outputs, keys, parts};
  if (lanesLast)
    shape = {outer, tiles, outputs, copies, keys, parts, width};
  bool isState = roles.getRead().empty(); // the output is the state itself
  SmallVector<Value> ins;
  if (!isState)
    ins = getRead();
  Value rows =
      emitGeneric(shape, ins,
                  SmallVector<AffineMap>(ins.size(), select(7, {0, copy, key, 1, lane})), 1,
                  wide,
                  [&](OpBuilder &nested, ValueRange values) -> SmallVector<Value> {
                    if (isState)
                      return {onDiagonal(nested, loc, copy, key,
                                         onDiagonal(nested, loc, output, part,
                                                    constant(nested, 1)))};
                    if (parts == 1)
                      return {values[0]};
                    Value minus = arith::NegFOp::create(nested, loc, values[1]);
                    Value real = choose(nested, loc, part, values[0], minus);
                    if (outputs == 1)
                      return {real};
                    Value imaginary = choose(nested, loc, part, values[1], values[0]);
                    return {choose(nested, loc, output, real, imaginary)};
                  })
          .front();
  if (lanesLast)
    return collapse(builder, loc, rows, {1, 1, 1, 1, 2, 1});
  return collapse(builder, loc, rows, {1, 1, 1, 1, 1, 2});
}

/// Elements at other places, rounded.
Value Tabulator::permute(Value tensor, ArrayRef<int64_t> shape,
                         ArrayRef<AffineExpr> positions) {
  AffineMap map = AffineMap::get(shape.size(), 0, positions, builder.getContext());
  return emitGeneric(shape, tensor, map, 1, element,
                     [](OpBuilder &, ValueRange values) {
                       return SmallVector<Value>(values.take_front(1));
                     })
      .front();
}

SmallVector<Value> Tabulator::makeMatrixTables() {
  int64_t rows = keys * parts, inputs = gains.size();
  auto d = [&](unsigned dim) { return builder.getAffineDimExpr(dim); };
  Value transition = makeTransition();
  SmallVector<Value> images = getImages(transition);
  Value readRows = getReadRows();

  SmallVector<Value> members;
  for (Value image : images)
    members.push_back(permute(image, {outer, tiles, rows, chunk, width},
                              {d(0), d(1), d(4), -d(3) + (chunk - 1), d(2)}));
  Value write = assemble({outer, tiles, rows, chunk, inputs, width}, members, {4});

  SmallVector<int64_t> square = {outer, tiles, width, rows, rows};
  Value transposed =
      emitGeneric(square, transition, select(5, {0, 1, 2, 4, 3}), 1, wide,
                  [](OpBuilder &, ValueRange values) {
                    return SmallVector<Value>(values.take_front(1));
                  })
          .front();
  SmallVector<int64_t> shape = {outer, tiles, width, copies, outputs, chunk + 1, rows};
  Value empty = tensor::EmptyOp::create(builder, loc, shape, wide);
  Value readImages =
      KrylovOp::create(builder, loc, empty.getType(), transposed, readRows, empty)
          .getResult(0);
  Value read = permute(readImages, {outer, tiles, copies, chunk, outputs, rows, width},
                       {d(0), d(1), d(6), d(2), d(4), d(3) + 1, d(5)});

  members.clear();
  for (Value image : images) {
    // Dimensions: outer, tiles, copies, outputs, token, width, and the sum over rows.
    SmallVector<int64_t> extents = {outer, tiles, copies, outputs, chunk, width};
    Value sums = linalg::FillOp::create(
                     builder, loc, constant(builder, 0),
                     tensor::EmptyOp::create(builder, loc, extents, wide).getResult())
                     .getResult(0);
    SmallVector<utils::IteratorType> iterators(7, utils::IteratorType::parallel);
    iterators.back() = utils::IteratorType::reduction;
    Value kernel =
        linalg::GenericOp::create(
            builder, loc, sums.getType(), ValueRange{readRows, image}, sums,
            ArrayRef<AffineMap>{select(7, {0, 1, 5, 2, 3, 6}),
                                select(7, {0, 1, 5, 4, 6}),
                                select(7, {0, 1, 2, 3, 4, 5})},
            iterators,
            [&](OpBuilder &nested, Location, ValueRange values) {
              Value product =
                  arith::MulFOp::create(nested, loc, values[0], values[1]);
              linalg::YieldOp::create(
                  nested, loc,
                  ValueRange(arith::AddFOp::create(nested, loc, values[2], product)));
            })
            .getResult(0);
    members.push_back(
        permute(kernel, extents, {d(0), d(1), d(2), d(3), d(4), d(5)}));
  }
  Value kernel =
      assemble({outer, tiles, copies, outputs, inputs, chunk, width}, members, {4});

  empty = tensor::EmptyOp::create(builder, loc, square, wide);
  Value power = MatrixPowerOp::create(builder, loc, empty.getType(),
                                      builder.getI64IntegerAttr(chunk), transition,
                                      empty)
                    .getResult(0);
  members.clear();
  for (Value matrix : {transition, power})
    members.push_back(permute(matrix, {outer, tiles, rows, rows, width},
                              {d(0), d(1), d(4), d(2), d(3)}));
  Value decay = assemble({outer, tiles, 2, rows, rows, width}, members, {2});
  return {write, read, kernel, decay};
}
