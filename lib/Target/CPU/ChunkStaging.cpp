//===- ChunkStaging.cpp - Between memory and scratch of a chunk -----------===//

#include "ChunkLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include <numeric>

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Moves the state between the buffers of the op and scratch memory.
void ChunkLowering::emitBoundary(RegionEmitter &emitter, bool load) {
  int64_t whole = keys / width * width;
  if (load && op.getInitial().empty()) {
    emitFor(builder, loc, index(0), index(keys), 1, [&](Value k) {
      emitFor(builder, loc, index(0), index(laneBlock), width,
              [&](Value column) {
                storeVector(constant(0), state, {k, column});
              });
    });
    return;
  }
  Access access{load ? op.getInitial().front() : op.getFinalStates().front(),
                op.getStateMap()};
  Type type = cast<MemRefType>(access.memref.getType()).getElementType();
  auto move = [&](RegionEmitter &point, Value column, int64_t number) {
    Value first = point.getDim(key);
    SmallVector<Offsets> points(number, point.zeroOffsets());
    for (int64_t i = 0; i < number; ++i)
      points[i][key] = i;
    if (load) {
      SmallVector<Value> rows =
          point.loadTransposed(access, key, number, points[0]);
      for (int64_t i = 0; i < number; ++i) {
        Value row = rows.empty() ? point.load(access, points[i]) : rows[i];
        storeVector(convert(point.splat(row), element), state,
                    {at(first, i), column});
      }
      return;
    }
    SmallVector<Value> rows;
    for (int64_t i = 0; i < number; ++i)
      rows.push_back(convert(loadVector(state, {at(first, i), column}), type));
    if (point.storeTransposed(access, key, rows, points[0]))
      return;
    for (int64_t i = 0; i < number; ++i)
      point.store(access, rows[i], points[i]);
  };
  emitLaneLoops(
      emitter, loc, lane, firstLane, endLane, width, 1,
      std::gcd(lanes, laneBlock), [&](RegionEmitter &inner, int64_t) {
        Value column = subIndex(builder, loc, inner.getDim(lane), firstLane);
        emitFor(builder, loc, index(0), index(whole), width, [&](Value k) {
          RegionEmitter point = inner;
          point.bindDim(key, k);
          move(point, column, width);
        });
        emitFor(builder, loc, index(whole), index(keys), 1, [&](Value k) {
          RegionEmitter point = inner;
          point.bindDim(key, k);
          move(point, column, 1);
        });
      });
}

/// The rows of a head are pages apart, where no processor looks ahead by
/// itself.
void ChunkLowering::emitPrefetch(Value number, int64_t blocks) {
  // Several blocks share the rows of a token, or one has those of several
  // tokens.
  int64_t shares = std::max<int64_t>(blocks / chunk, 1);
  int64_t blockTokens = llvm::divideCeil(chunk, blocks);
  Value first =
      mulIndex(builder, loc, divide(number, shares), index(blockTokens));
  Value share =
      builder.createOrFold<arith::RemUIOp>(loc, number, index(shares));
  for (int64_t i = 0; i < blockTokens; ++i) {
    // Inside the arrays, though a wrong address would do no harm.
    Value last = subIndex(builder, loc, tokens, index(1));
    Value token =
        minIndex(builder, loc,
                 addIndex(builder, loc, at(start, chunk + i), first), last);
    if (op.getReverse())
      token = subIndex(builder, loc, last, token);
    RegionEmitter ahead = *unitPoint;
    ahead.bindDim(1, token);
    for (const Stream &stream : streams) {
      int64_t lineElements = 64 * 8 /
                             cast<MemRefType>(stream.access.memref.getType())
                                 .getElementTypeBitWidth();
      bool onLane = stream.dim == lane;
      int64_t lines = llvm::divideCeil(onLane ? laneBlock : keys, lineElements);
      int64_t shareLines = llvm::divideCeil(lines, shares);
      for (int64_t line = 0; line < shareLines; ++line) {
        Value place =
            mulIndex(builder, loc,
                     at(mulIndex(builder, loc, share, index(shareLines)), line),
                     index(lineElements));
        Value end = index(onLane ? lanes - 1 : keys - 1);
        if (onLane)
          place = addIndex(builder, loc, place, firstLane);
        ahead.bindDim(stream.dim, minIndex(builder, loc, place, end));
        ahead.bindDim(onLane ? key : lane, index(0));
        stream.emitPrefetch(ahead, ahead.zeroOffsets(), stream.written);
      }
    }
  }
}

/// Runs `emit` for each token of the chunk, in the order of the recurrence.
void ChunkLowering::forTokens(
    RegionEmitter &emitter, Block &body,
    llvm::function_ref<void(RegionEmitter &, Value)> emit) {
  emitFor(builder, loc, index(0), count, 1, [&](Value step) {
    Value token = addIndex(builder, loc, start, step);
    if (op.getReverse())
      token = subIndex(builder, loc, subIndex(builder, loc, tokens, index(1)),
                       token);
    RegionEmitter inner = emitter;
    inner.bindDim(1, token);
    inner.hoist(body, {inner.zeroOffsets()});
    emit(inner, step);
  });
}

/// Stores a row over `dim`, the key or the lane, for one token.
void ChunkLowering::stage(RegionEmitter &emitter, unsigned dim, Value scratch,
                          Value step,
                          llvm::function_ref<Value(RegionEmitter &)> compute) {
  bool onLane = dim == lane;
  Value lower = onLane ? firstLane : index(0);
  Value upper = onLane ? endLane : index(keys);
  int64_t multiple = onLane ? std::gcd(lanes, laneBlock) : keys;
  emitLaneLoops(
      emitter, loc, dim, lower, upper, width, 1, multiple,
      [&](RegionEmitter &inner, int64_t) {
        Value column = subIndex(builder, loc, inner.getDim(dim), lower);
        storeVector(inner.splat(compute(inner)), scratch, {step, column});
      });
}

Value ChunkLowering::one(RegionEmitter &emitter) {
  Value scalar =
      arith::ConstantOp::create(builder, loc, builder.getFloatAttr(element, 1));
  return emitter.splat(scalar);
}

Value ChunkLowering::getProduct(RegionEmitter &emitter,
                                ArrayRef<Factor> factors) {
  Value result;
  auto get = [&](const Factor &factor) {
    return convert(emitter.getVector(factor.value, emitter.zeroOffsets()),
                   element);
  };
  for (const Factor &factor : factors)
    if (!factor.inverse)
      result = result ? multiply(result, get(factor)) : get(factor);
  if (!result)
    result = one(emitter);
  for (const Factor &factor : factors)
    if (factor.inverse)
      result = arith::DivFOp::create(builder, loc, result, get(factor));
  return result;
}

SmallVector<std::pair<ArrayRef<ChunkLowering::Factor>, Value>>
ChunkLowering::getScales() {
  SmallVector<std::pair<ArrayRef<Factor>, Value>> result;
  auto add = [&](ArrayRef<Factor> factors, Value scratch) {
    if (!factors.empty())
      result.push_back({factors, scratch});
  };
  if (!hasTerms())
    add(timeFactors, scales);
  for (Term &term : terms)
    if (hasTerms())
      add(term.time, term.scales);
  for (ErasePair &pair : pairs)
    add(pair.time, pair.scales);
  return result;
}

/// What depends on time alone is computed for a vector of tokens at once.
void ChunkLowering::stageTimes(RegionEmitter &emitter) {
  auto emit = [&](RegionEmitter &inner, Value place) {
    auto store = [&](Value value, Value scratch) {
      if (isa<VectorType>(value.getType()))
        storeVector(value, scratch, place);
      else
        memref::StoreOp::create(builder, loc, value, scratch, place);
    };
    for (auto [factors, scratch] : getScales())
      store(getProduct(inner, factors), scratch);
    if (keyDecay)
      return;
    if (roles.getDecay().empty())
      return store(one(inner), decays);
    Value decay = inner.getVector(roles.getDecay()[0], inner.zeroOffsets());
    store(convert(decay, element), decays);
  };
  // Backwards, the tokens of a vector would be in the wrong order.
  if (op.getReverse())
    return forTokens(emitter, coefficientsBody, emit);
  emitLaneLoops(emitter, loc, 1, start, addIndex(builder, loc, start, count),
                width, 1, 1, [&](RegionEmitter &inner, int64_t) {
                  emit(inner, subIndex(builder, loc, inner.getDim(1), start));
                });
}

void ChunkLowering::stageWrite(RegionEmitter &emitter) {
  if (!keyDecay || !getScales().empty())
    stageTimes(emitter);
  forTokens(emitter, coefficientsBody, [&](RegionEmitter &inner, Value step) {
    if (keyDecay)
      stage(inner, key, decays, step, [&](RegionEmitter &point) {
        return convert(point.get(roles.getDecay()[0], point.zeroOffsets()),
                       element);
      });
    stage(inner, key, queries, step,
          [&](RegionEmitter &point) { return getProduct(point, keyFactors); });
    stage(inner, lane, values, step, [&](RegionEmitter &point) -> Value {
      Value value = getProduct(point, laneFactors);
      if (!timeFactors.empty())
        value = multiply(value, splat(loadScalar(scales, step)));
      if (!negated)
        return value;
      return arith::NegFOp::create(builder, loc, value);
    });
  });
  fillTail(queries, paddedKeys, 0);
  fillTail(values, laneBlock, 0);
  fillTail(decays, keyDecay ? paddedKeys : 0, 1);
}

void ChunkLowering::stageRead(RegionEmitter &emitter) {
  forTokens(emitter, coefficientsBody, [&](RegionEmitter &inner, Value step) {
    stage(inner, key, queries, step, [&](RegionEmitter &point) {
      return convert(point.get(roles.getRead()[0], point.zeroOffsets()),
                     element);
    });
  });
  fillTail(queries, paddedKeys, 0);
}

/// Rows after the last token; without columns, numbers.
void ChunkLowering::fillTail(Value scratch, int64_t columns, double value) {
  emitFor(builder, loc, count, padded, 1, [&](Value row) {
    if (columns == 0) {
      Value scalar = arith::ConstantOp::create(
          builder, loc, builder.getFloatAttr(element, value));
      memref::StoreOp::create(builder, loc, scalar, scratch, row);
      return;
    }
    emitFor(builder, loc, index(0), index(columns), width, [&](Value column) {
      storeVector(constant(value), scratch, {row, column});
    });
  });
}

/// The keys, staged a token a row where the queries come later, as columns.
void ChunkLowering::transposeKeys(Value columns) {
  emitFor(builder, loc, index(0), padded, width, [&](Value token) {
    emitFor(builder, loc, index(0), index(paddedKeys), width, [&](Value k) {
      SmallVector<Value> rows;
      for (int64_t i = 0; i < width; ++i)
        rows.push_back(loadVector(queries, {at(token, i), k}));
      rows = transposeInRegisters(builder, loc, std::move(rows));
      for (int64_t i = 0; i < width; ++i)
        storeVector(rows[i], columns, {at(k, i), token});
    });
  });
}

/// The epilogue sees a read as its first argument.
void ChunkLowering::bindOutput(RegionEmitter &epilogue, Value value) {
  llvm::SmallBitVector dims(numDims);
  dims.set(1);
  dims.set(lane);
  if (value)
    value = convert(value, epilogueBody.getArgument(0).getType());
  epilogue.bindSource(
      epilogueBody.getArgument(0), [value](const Offsets &) { return value; },
      dims,
      /*varies=*/true);
}

void ChunkLowering::emitOutputs(RegionEmitter &epilogue) {
  Access output{op.getOutputInits().front(), op.getOutputMap()};
  Value yielded = op.getEpilogueYield().getValues().front();
  forTokens(epilogue, epilogueBody, [&](RegionEmitter &inner, Value step) {
    emitLaneLoops(
        inner, loc, lane, firstLane, endLane, width, 1,
        std::gcd(lanes, laneBlock), [&](RegionEmitter &point, int64_t) {
          Value column = subIndex(builder, loc, point.getDim(lane), firstLane);
          bindOutput(point, loadVector(reads, {step, column}));
          Offsets here = point.zeroOffsets();
          point.store(output, point.getVector(yielded, here), here);
        });
  });
}
