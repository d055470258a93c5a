//===- TensorConvolutionProducts.cpp - Steps of a block -------------------===//

#include "Target/NVPTX/TensorConvolution.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace ssmc;
using namespace ssmc::nvptx;

/// The outer sums of tokens over `scale`, to the nodes; a warp has 16 of each
/// 256.
void TensorConvolution::splitOuter(Value scale) {
  OpBuilder &b = loops.builder;
  Type pairType = VectorType::get(2, b.getF16Type());
  Value inverse = arith::DivFOp::create(b, loops.loc, number(1), scale);
  Words factors = loadFactors(kOuterFactors);
  Words ratios;
  Value scalePlace =
      loops.add(times(laneRow, kRowScales + 1),
                loops.add(times(laneColumn, kNodes / kScaledTokens),
                          quotient(warp, kScaledTokens / kRadix)));
  for (int64_t i = 0; i < 4; ++i) {
    Value own = loops.load(
        shared, plus(scalePlace, kScales + 4 * i * kNodes / kScaledTokens));
    Value ratio = loops.mul(bitcast(own, f32), inverse);
    ratios.push_back(bitcast(pack(ratio, ratio), pairType));
  }
  Value from = loops.add(
      loops.add(times(laneRow, kTokenRow), times(laneColumn, kTokenLine)),
      times(warp, 2 * kVector));
  Value to = loops.add(loops.add(times(laneRow, kNode), times(warp, kLine)),
                       times(laneColumn, 2));
  for (int64_t half = 0; half < 2; ++half) {
    SmallVector<Words> pairs; // of the four, eight tokens each
    for (int64_t i = 0; i < 4; ++i) {
      pairs.emplace_back();
      Value vector = loadVector(
          shared, plus(from, kTokens + 4 * i * kTokenLine + half * kVector));
      for (Value pair : extractWords(vector))
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

/// Real parts of two columns in two rows eight apart, then their imaginary
/// parts, as words of both; rows are `step` apart.
void TensorConvolution::storeColumns(ArrayRef<Value> sums, Value place,
                                     int64_t step) {
  for (int64_t half = 0; half < 2; ++half)
    storeVector({pack(sums[2 * half], sums[4 + 2 * half]),
                 pack(sums[2 * half + 1], sums[5 + 2 * half])},
                shared, plus(place, 8 * half * step));
}

/// Four numbers of a column, four apart.
TensorConvolution::Words TensorConvolution::loadColumn(Value place,
                                                       int64_t step) {
  Words words;
  for (int64_t i = 0; i < 4; ++i)
    words.push_back(loops.load(shared, plus(place, 4 * i * step)));
  return words;
}

/// A product of 16 complex numbers, which gives 16.
void TensorConvolution::complexProduct(ArrayRef<Value> left,
                                       ArrayRef<Value> right,
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
  Value to =
      loops.add(node, loops.add(times(laneRow, kLine), times(laneColumn, 2)));
  forGroups(kTogether, [&](Value first) {
    Value offset = times(first, kColumn);
    SmallVector<Words> columns;
    for (int64_t i = 0; i < kTogether; ++i)
      columns.push_back(
          loadColumn(plus(loops.add(from, offset), i * kColumn), kLine));
    for (int64_t i = 0; i < kTogether; ++i) {
      SmallVector<Value> sums(8, number(0));
      complexProduct(factors, columns[i], sums);
      storeColumns(sums, plus(loops.add(to, offset), i * kColumn), kLine);
    }
  });
  syncWarp();
}

/// What a block before gives to some nodes of `block`: of each four words that
/// were kept, and numbers of the kernel. Nothing of the block itself.
TensorConvolution::Words
TensorConvolution::loadTerm(ArrayRef<Value> nodes, Value block, Value before) {
  OpBuilder &b = loops.builder;
  SmallVector<Type> types((kVector + kDiagonals) * nodes.size(), i32);
  auto branch =
      scf::IfOp::create(b, loops.loc, types, loops.less(before, block),
                        /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  Words words;
  for (Value node : nodes) {
    llvm::append_range(
        words,
        extractWords(loadVector(sequences.memory, getKeptPlace(node, before))));
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
  Value to =
      loops.add(node, loops.add(times(laneRow, kColumn), times(laneColumn, 2)));
  Value isKept = loops.less(plus(block, 1), sequences.blocks);
  Value begin =
      loops.max(loops.index(0), loops.sub(plus(block, 1), sequences.numPieces));
  SmallVector<Value> inverses;
  for (Value scale : scales)
    inverses.push_back(arith::DivFOp::create(b, loops.loc, number(1),
                                             loops.mul(scale, kernelScale)));
  forGroups(kTogetherInNode, [&](Value first) {
    Value offset = times(first, kLine);
    SmallVector<Words> columns, kernels;
    SmallVector<Value> nodes, carried;
    for (int64_t i = 0; i < kTogetherInNode; ++i) {
      nodes.push_back(loops.add(times(warp, kRadix), plus(first, i)));
      kernels.push_back(loadKernel(nodes[i], loops.index(0)));
      columns.push_back(
          loadColumn(plus(loops.add(from, offset), i * kLine), kColumn));
    }
    Words term = loadTerm(nodes, block, begin);
    loops.when(isKept, [&] {
      for (int64_t i = 0; i < kTogetherInNode; ++i)
        storeVector(columns[i], sequences.memory,
                    getKeptPlace(nodes[i], block));
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
            Value batch =
                getRow(group, plus(times(laneColumn, 2), int64_t(column)));
            Value scale = loops.load(sequences.memory,
                                     getScalePlace(batch, channel, before));
            ratios.push_back(
                loops.mul(loops.mul(scale, number(1.0 / kRadix)), inverse));
          }
          Words terms(values.drop_front(8 * kTogetherInNode));
          SmallVector<Value> after;
          for (int64_t i = 0; i < kTogetherInNode; ++i) {
            ArrayRef<Value> words = ArrayRef(terms).slice(
                i * (kVector + kDiagonals), kVector + kDiagonals);
            SmallVector<Value> added(8, number(0));
            complexProduct(makeMatrix(words.drop_front(kVector)), words, added);
            for (int64_t j = 0; j < 8; ++j)
              after.push_back(math::FmaOp::create(
                  b, loops.loc, added[j], ratios[j % 2], values[8 * i + j]));
          }
          llvm::append_range(after, next);
          scf::YieldOp::create(b, loops.loc, after);
        });
    Words sums(loop.getResults().take_front(8 * kTogetherInNode));
    for (int64_t i = 0; i < kTogetherInNode; ++i)
      storeColumns(ArrayRef(sums).slice(8 * i, 8),
                   plus(loops.add(to, offset), i * kLine), kColumn);
  });
  syncWarp();
}

Value TensorConvolution::getKeptPlace(Value node, Value block) {
  Value number = loops.add(loops.mul(slot, plus(sequences.blocks, -1)), block);
  number = loops.add(times(number, kNodes), node);
  return loops.add(keptPlace,
                   times(loops.add(times(number, kWarp), lane), kVector));
}

/// Sums over tokens: the first words of a line's halves, four of eight sums of
/// each row.
void TensorConvolution::joinOuter() {
  Words factors = loadFactors(kOuterInverse);
  Value line = times(warp, kLine);
  Value from = loops.add(loops.add(times(laneColumn, kNode), line), laneRow);
  Value to = loops.add(loops.add(times(laneRow, kNode), line),
                       times(laneColumn, 2 * kVector));
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
          words.push_back(pack(sums[i][2 * below + column],
                               sums[i + 1][2 * below + column]));
        storeVector(
            words, shared,
            plus(to, 8 * below * kNode + half * kHalfLine + column * kVector));
      }
  }
}
