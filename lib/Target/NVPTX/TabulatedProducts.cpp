//===- TabulatedProducts.cpp - Products of chunks with tables -------------===//
//
// Rows of all sums are chunks: of the two rows of a thread the first and the second chunk.
// Columns are numbers of the state, or tokens.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/TabulatedKernel.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

Value TabulatedKernel::loadTable(unsigned number, ArrayRef<Value> indices) {
  SmallVector<Value> place{tableOuter, tableTile};
  llvm::append_range(place, indices);
  place.push_back(loops.index(0)); // tables are of single channels
  return loops.load(op.getTables()[number], place);
}

Value TabulatedKernel::loadOfNumber(Value number, function_ref<Value(Value)> load) {
  if (numbers == paddedNumbers)
    return load(number);
  Value value = load(min(number, loops.index(numbers - 1)));
  return loops.select(loops.less(number, loops.index(numbers)), value, zero());
}

void TabulatedKernel::loadTables() {
  Value none = loops.index(0), row = quotient(lane, 4); // a column of the product
  auto pack = [&](function_ref<Value(int64_t)> load) {
    Value low = load(0), high = load(1);
    return cores.split(low, high).front();
  };
  // Right operands: pairs along the depth, from laneColumn on.
  write.resize(kChunk / kDepth);
  for (int64_t depth = 0; depth < kChunk / kDepth; ++depth)
    for (int64_t column = 0; column < paddedNumbers; column += kTile) {
      Words &words = write[depth].emplace_back();
      for (int64_t half = 0; half < 2; ++half)
        words.push_back(pack([&](int64_t which) {
          Value token = plus(laneColumn, depth * kDepth + half * kTile + which);
          return loadOfNumber(plus(row, column), [&](Value number) {
            return loadTable(0, {number, token, none});
          });
        }));
    }
  read.resize(paddedNumbers / kDepth);
  for (int64_t depth = 0; depth < paddedNumbers / kDepth; ++depth)
    for (int64_t column = 0; column < kChunk; column += kTile) {
      Words &words = read[depth].emplace_back();
      for (int64_t half = 0; half < 2; ++half)
        words.push_back(pack([&](int64_t which) {
          Value number = plus(laneColumn, depth * kDepth + half * kTile + which);
          return loadOfNumber(number, [&](Value at) {
            return loadTable(1, {none, plus(row, column), none, at});
          });
        }));
    }
  // The kernel's matrix is the same along diagonals: one of its blocks for each.
  for (int64_t block = 0; block < kChunk / kTile; ++block)
    kernel.push_back(pack([&](int64_t which) {
      Value before = plus(laneColumn, which), lag = plus(row, block * kTile);
      Value isThere = loops.less(before, plus(lag, 1));
      lag = loops.select(isThere, loops.sub(lag, before), none);
      return loops.select(isThere, loadTable(2, {none, none, none, lag}), zero());
    }));
  for (int64_t column = 0; column < paddedNumbers; column += kTile) {
    Pair &power = powers.emplace_back();
    for (int64_t which = 0; which < 2; ++which)
      power[which] = loadOfNumber(plus(laneColumn, column + which), [&](Value number) {
        return loadTable(3, {loops.index(1), number});
      });
  }
  for (auto [number, operand] : llvm::enumerate(op.getEpilogueIns())) {
    AffineMap map = op.getEpilogueMap(number);
    operands.push_back(map.isFunctionOfDim(1) ? Value() : loadAtPoint(operand, map));
  }
}

//===----------------------------------------------------------------------===//
// The chain of chunks
//===----------------------------------------------------------------------===//

TabulatedKernel::Pair TabulatedKernel::advance(Pair state, Pair power) {
  if (parts == 1)
    return {loops.mul(state[0], power[0]), loops.mul(state[1], power[1])};
  SmallVector<Value> product = loops.mulNumbers(state, power);
  return {product[0], product[1]};
}

TabulatedKernel::Pair TabulatedKernel::advance(Pair state, Pair power, Pair sum) {
  auto multiplyAdd = [&](Value left, Value right, Value more) {
    return loops.add(more, loops.mul(left, right));
  };
  if (parts == 1)
    return {multiplyAdd(state[0], power[0], sum[0]),
            multiplyAdd(state[1], power[1], sum[1])};
  // What is negated changes from chunk to chunk: of powers nothing else is kept.
  Value rest = loops.sub(loops.mul(state[1], power[1]), sum[0]);
  return {loops.sub(loops.mul(state[0], power[0]), rest),
          multiplyAdd(state[1], power[0], multiplyAdd(state[0], power[1], sum[1]))};
}

TabulatedKernel::Pair TabulatedKernel::shuffle(Pair pair, Value from) {
  OpBuilder &b = loops.builder;
  from = arith::IndexCastOp::create(b, loops.loc, i32, from);
  Value width = arith::ConstantOp::create(b, loops.loc, b.getI32IntegerAttr(kWarp));
  for (Value &value : pair)
    value =
        gpu::ShuffleOp::create(b, loops.loc, value, from, width, gpu::ShuffleMode::IDX)
            .getShuffleResult();
  return pair;
}

TabulatedKernel::Pair TabulatedKernel::choose(Value condition, Pair left, Pair right) {
  return {loops.select(condition, left[0], right[0]),
          loops.select(condition, left[1], right[1])};
}

/// What groups of two chunks make of the state is summed up over the threads of a row.
TabulatedKernel::Chain TabulatedKernel::chainChunks(Pair state, Pair power, Pair firstSum,
                                                    Pair secondSum) {
  if (groups == 1) {
    Pair second = advance(state, power, firstSum);
    return {state, second, advance(second, power, secondSum)};
  }
  int64_t threads = 4 * batchRows; // of a group
  Value isFirst = loops.less(group, loops.index(1));
  Pair sum = advance(firstSum, power, secondSum), far = advance(power, power);
  sum = choose(isFirst, advance(state, far, sum), sum);
  for (int64_t distance = 1; distance < groups; distance *= 2) {
    Value from = remainder(plus(lane, kWarp - distance * threads), kWarp);
    Pair later = advance(shuffle(sum, from), far, sum);
    sum = choose(loops.less(group, loops.index(distance)), sum, later);
    far = advance(far, far);
  }
  // The first group gets what all make of the state, others what those before them do.
  Pair before = shuffle(sum, remainder(plus(lane, kWarp - threads), kWarp));
  Pair first = choose(isFirst, state, before);
  return {first, advance(first, power, firstSum), before};
}

//===----------------------------------------------------------------------===//
// A tile
//===----------------------------------------------------------------------===//

SmallVector<Value> TabulatedKernel::emitTile(Value tile, Value stage, ValueRange states,
                                             bool isWhole) {
  OpBuilder &b = loops.builder;
  Words inputs;
  for (int64_t i = 0; i < kWords; ++i)
    inputs.push_back(loops.load(buffer, placeOfWord(stage, i)));
  Value restChunk, restThread;
  if (!isWhole) {
    restChunk = quotient(loops.sub(length, times(tile, tileTokens)), kChunk);
    Value threads = remainder(lane, 4 * batchRows);
    restThread = loops.add(times(quotient(restChunk, 2), 4 * batchRows), threads);
  }
  SmallVector<Value> after, none(4, zero());
  SmallVector<SmallVector<Value>> outputs(kChunk / kTile, none);
  multiplyInputs(outputs, inputs);
  Words before;
  for (auto [column, power] : llvm::enumerate(powers)) {
    SmallVector<Value> written(4, zero());
    for (auto [depth, ofDepth] : llvm::enumerate(write))
      emitMma(b, loops.loc, ArrayRef(inputs).slice(4 * depth, 4), ofDepth[column],
              written, NVVM::MMATypes::bf16);
    Pair state{states[2 * column], states[2 * column + 1]};
    Chain chain =
        chainChunks(state, power, {written[0], written[1]}, {written[2], written[3]});
    before.push_back(cores.split(chain.first[0], chain.first[1]).front());
    before.push_back(cores.split(chain.second[0], chain.second[1]).front());
    if (before.size() == 4) { // of a depth
      for (auto [ofTokens, sumsOfTokens] : llvm::enumerate(outputs))
        emitMma(b, loops.loc, before, read[column / 2][ofTokens], sumsOfTokens,
                NVVM::MMATypes::bf16);
      before.clear();
    }
    if (!isWhole) {
      Value isFirst = loops.less(remainder(restChunk, 2), loops.index(1));
      Pair rest = choose(isFirst, chain.first, chain.second);
      if (groups > 1)
        rest = shuffle(rest, remainder(restThread, kWarp));
      chain.after =
          choose(loops.less(restChunk, loops.index(2 * groups)), rest, chain.after);
    }
    after.append(chain.after.begin(), chain.after.end());
  }
  storeOutputs(tile, stage, inputs, outputs);
  return after;
}

Value TabulatedKernel::applyEpilogue(Value sum,
                                     function_ref<Value(unsigned)> getOperand) {
  Block &epilogue = op.getEpilogue().front();
  Value result = epilogue.getTerminator()->getOperand(0);
  // Two of them are rounded by one instruction.
  if (auto rounded = result.getDefiningOp<arith::TruncFOp>())
    if (rounded.getIn().getType().isF32())
      result = rounded.getIn();
  auto getArgument = [&](unsigned argument) {
    if (argument == 0)
      return loops.convert(sum, epilogue.getArgument(0).getType());
    return getOperand(argument - 1);
  };
  return loops.convert(loops.inlineSlice(epilogue, result, getArgument).front(), f32);
}

/// The part of the outputs that inputs of the same chunk have.
void TabulatedKernel::multiplyInputs(MutableArrayRef<SmallVector<Value>> outputs,
                                     ArrayRef<Value> inputs) {
  OpBuilder &b = loops.builder;
  Value none = arith::ConstantOp::create(b, loops.loc, b.getI32IntegerAttr(0));
  for (auto [column, ofTokens] : llvm::enumerate(outputs))
    for (size_t depth = 0; 2 * depth <= column; ++depth) {
      size_t block = column - 2 * depth;
      Value right[] = {kernel[block], block > 0 ? kernel[block - 1] : none};
      emitMma(b, loops.loc, inputs.slice(4 * depth, 4), right, ofTokens,
              NVVM::MMATypes::bf16);
    }
}

void TabulatedKernel::storeOutputs(Value tile, Value stage, ArrayRef<Value> inputs,
                                   ArrayRef<SmallVector<Value>> outputs) {
  OpBuilder &b = loops.builder;
  bindChannel();
  for (int64_t column = 0; column < kChunk / kTile; ++column)
    for (int64_t chunk = 0; chunk < 2; ++chunk) {
      int64_t ofWord = column / 2 * 4 + column % 2 * 2 + chunk;
      Pair results;
      for (int64_t which = 0; which < 2; ++which) {
        Value token = plus(loops.add(laneColumn, times(group, 2 * kChunk)),
                           chunk * kChunk + column * kTile + which);
        bindToken(loops.add(times(tile, tileTokens), token));
        auto getOperand = [&](unsigned number) {
          if (operands[number])
            return operands[number];
          Value operand = op.getEpilogueIns()[number];
          AffineMap map = op.getEpilogueMap(number);
          if (copied && streams[*copied].memref == operand && streams[*copied].map == map)
            return splitWord(inputs[ofWord], b.getBF16Type())[which];
          return loadAtPoint(operand, map);
        };
        results[which] = applyEpilogue(outputs[column][2 * chunk + which], getOperand);
      }
      loops.store(cores.split(results[0], results[1]).front(), buffer,
                  placeOfWord(stage, ofWord));
    }
}
