//===- ScanPasses.cpp - The loops of a recurrence over a tile of time -----===//

#include "ScanLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

Value ScanLowering::loadScratch(Value scratch, ValueRange indices) {
  Type type = cast<MemRefType>(scratch.getType()).getElementType();
  if (!lane)
    return memref::LoadOp::create(builder, loc, scratch, indices);
  return vector::LoadOp::create(builder, loc, VectorType::get({width}, type),
                                scratch, indices);
}

void ScanLowering::storeScratch(Value value, Value scratch,
                                ValueRange indices) {
  if (isa<VectorType>(value.getType()))
    vector::StoreOp::create(builder, loc, value, scratch, indices);
  else
    memref::StoreOp::create(builder, loc, value, scratch, indices);
}

/// Values in scratch are read where the code being emitted is.
void ScanLowering::bindSources(RegionEmitter &staged) {
  for (const Kept &value : kept) {
    auto source = [this, value](const Offsets &offsets) -> Value {
      Value scratch = value.scratch;
      Value zero = index(0);
      if (value.kind == Kind::time)
        return memref::LoadOp::create(builder, loc, scratch, step);
      if (value.kind == Kind::timeLanes)
        return loadScratch(scratch,
                           {step, getVector(vectorOfGroup, offsets), zero});
      Value key = addIndex(builder, loc, keyBase, index(offsets[*innerKey]));
      if (value.kind == Kind::timeKeys)
        return memref::LoadOp::create(builder, loc, scratch,
                                      ValueRange{step, outerKey, key});
      return loadScratch(scratch,
                         {getVector(tile, offsets), outerKey, key, zero});
    };
    llvm::SmallBitVector dims = coefficientsBase.getDependentDims(value.value);
    // The address needs the block of keys even where the value does not.
    if (value.kind == Kind::timeKeys || value.kind == Kind::lanesKeys)
      for (unsigned dim : keyDims)
        dims.set(dim);
    if (value.kind == Kind::lanesKeys || value.kind == Kind::timeLanes)
      dims.set(*lane);
    staged.bindSource(value.value, source, dims);
  }
}

Value ScanLowering::getVector(Value first, const Offsets &offsets) {
  if (!lane || offsets[*lane] == 0)
    return first;
  return addIndex(builder, loc, first, index(offsets[*lane] / width));
}

SmallVector<Offsets> ScanLowering::getKeyPoints(int64_t count,
                                                int64_t vectors) {
  SmallVector<Offsets> points;
  for (int64_t v = 0; v < vectors; ++v)
    for (int64_t k = 0; k < count; ++k) {
      points.push_back(Offsets(numDims, 0));
      if (innerKey)
        points.back()[*innerKey] = k;
      if (lane)
        points.back()[*lane] = v * width;
    }
  return points;
}

SmallVector<Value> ScanLowering::emitKeyBlocks(
    ArrayRef<RegionEmitter *> emitters, ValueRange inits,
    llvm::function_ref<SmallVector<Value>(ArrayRef<RegionEmitter *>, int64_t,
                                          ValueRange)>
        body,
    int64_t block) {
  SmallVector<unsigned> otherKeys;
  SmallVector<Value> otherExtents;
  for (unsigned dim : keyDims)
    if (dim != innerKey) {
      otherKeys.push_back(dim);
      otherExtents.push_back(index(op.getDimSize(dim)));
    }
  return emitFor(
      builder, loc, index(0), index(outerKeys), 1, inits,
      [&](Value outer, ValueRange carried) {
        SmallVector<Value> digits =
            delinearize(builder, loc, outer, otherExtents);
        auto emitBlocks = [&](int64_t begin, int64_t end, int64_t count,
                              ValueRange values) {
          return emitFor(builder, loc, index(begin), index(end), count, values,
                         [&](Value base, ValueRange innerCarried) {
                           std::vector<RegionEmitter> copied;
                           for (RegionEmitter *emitter : emitters)
                             copied.push_back(*emitter);
                           SmallVector<RegionEmitter *> inner;
                           for (RegionEmitter &emitter : copied) {
                             for (auto [dim, digit] :
                                  llvm::zip(otherKeys, digits))
                               emitter.bindDim(dim, digit);
                             emitter.bindDim(*innerKey, base);
                             inner.push_back(&emitter);
                           }
                           outerKey = outer;
                           keyBase = base;
                           return body(inner, count, innerCarried);
                         });
        };
        int64_t whole = innerKeys / block * block;
        SmallVector<Value> values(carried);
        values = emitBlocks(0, whole, block, values);
        if (whole < innerKeys)
          values = emitBlocks(whole, innerKeys, innerKeys - whole, values);
        return values;
      });
}

/// Values that depend on time only: lanes over time.
void ScanLowering::emitTimePass(RegionEmitter &raw) {
  if (llvm::none_of(kept, [](const Kept &k) { return k.kind == Kind::time; }))
    return;
  emitLaneLoops(raw, loc, 1, firstToken, endToken, fullWidth, 1, 1,
                [&](RegionEmitter &emitter, int64_t) {
                  Value at =
                      subIndex(builder, loc, emitter.getDim(1), firstToken);
                  for (const Kept &value : kept)
                    if (value.kind == Kind::time)
                      vector::StoreOp::create(
                          builder, loc,
                          emitter.getVector(value.value, emitter.zeroOffsets()),
                          value.scratch, at);
                });
}

/// Inside the arrays, though a wrong address of what is fetched would do no harm.
Value ScanLowering::getTokenOfNextTile(Value token) {
  token = subIndex(builder, loc, token, index(op.getReverse() ? timeTile : -timeTile));
  return builder.createOrFold<arith::MaxSIOp>(
      loc, minIndex(builder, loc, token, subIndex(builder, loc, tokens, index(1))),
      index(0));
}

/// Values that depend on time and keys: lanes over the innermost key.
void ScanLowering::emitTimeKeysPass(RegionEmitter &raw) {
  if (llvm::none_of(kept,
                    [](const Kept &k) { return k.kind == Kind::timeKeys; }))
    return;
  Value count = subIndex(builder, loc, endToken, firstToken);
  emitFor(builder, loc, index(0), count, 1, [&](Value at) {
    RegionEmitter token = raw;
    token.bindDim(1, addIndex(builder, loc, firstToken, at));
    emitKeyBlocks(
        {&token}, {},
        [&](ArrayRef<RegionEmitter *> emitters, int64_t, ValueRange) {
          RegionEmitter keys = *emitters[0];
          keys.unbindDim(*innerKey);
          emitLaneLoops(
              keys, loc, *innerKey, index(0), index(innerKeys), fullWidth, 1,
              innerKeys, [&](RegionEmitter &emitter, int64_t) {
                Value key = emitter.getDim(*innerKey);
                for (const Kept &value : kept)
                  if (value.kind == Kind::timeKeys)
                    vector::StoreOp::create(
                        builder, loc,
                        emitter.getVector(value.value, emitter.zeroOffsets()),
                        value.scratch, ValueRange{at, outerKey, key});
                RegionEmitter ahead = emitter;
                ahead.bindDim(
                    1, getTokenOfNextTile(addIndex(builder, loc, firstToken, at)));
                for (const Stream &stream : keyStreams)
                  stream.emitPrefetch(ahead, ahead.zeroOffsets(), stream.written);
              });
          return SmallVector<Value>();
        },
        std::max<int64_t>(innerKeys, 1)); // All of them at once.
  });
}

SmallVector<Offsets> ScanLowering::getLanePoints(int64_t vectors) {
  SmallVector<Offsets> points;
  for (int64_t v = 0; v < vectors; ++v) {
    points.push_back(Offsets(numDims, 0));
    if (lane)
      points.back()[*lane] = v * width;
  }
  return points;
}

/// Values that depend on time and lanes, a row of memory at a time.
void ScanLowering::emitPrologue(RegionEmitter &raw, int64_t vectors) {
  if (llvm::none_of(kept,
                    [](const Kept &k) { return k.kind == Kind::timeLanes; }))
    return;
  SmallVector<Offsets> points = getLanePoints(vectors);
  raw.hoist(coefficientsBody, points);
  Value count = subIndex(builder, loc, endToken, firstToken);
  emitFor(builder, loc, index(0), count, 1, [&](Value at) {
    RegionEmitter emitter = raw;
    emitter.bindDim(1, addIndex(builder, loc, firstToken, at));
    for (auto [v, point] : llvm::enumerate(points))
      for (const Kept &value : kept)
        if (value.kind == Kind::timeLanes)
          storeScratch(emitter.getVector(value.value, point), value.scratch,
                       {at, index(v), index(0)});
  });
}

/// Runs `body` with the emitters at each vector of the group, `together` at a
/// time.
void ScanLowering::forGroupVectors(
    RegionEmitter &staged, RegionEmitter &epilogue, int64_t vectors,
    int64_t together,
    llvm::function_ref<void(RegionEmitter &, RegionEmitter &)> body) {
  emitFor(builder, loc, index(0), index(vectors), together, [&](Value number) {
    vectorOfGroup = number;
    RegionEmitter emitter = staged, after = epilogue;
    tile = index(0);
    if (lane) {
      Value shift = mulIndex(builder, loc, number, index(width));
      Value position = addIndex(builder, loc, staged.getDim(*lane), shift);
      emitter.bindDim(*lane, position);
      after.bindDim(*lane, position);
      tile = builder.createOrFold<arith::DivUIOp>(
          loc, subIndex(builder, loc, position, firstLane), index(width));
    }
    emitter.hoist(coefficientsBody, getLanePoints(together));
    if (!reads())
      after.hoist(epilogueBody, getLanePoints(together));
    body(emitter, after);
  });
}

/// Reads that are summed up block by block of keys start at 0.
void ScanLowering::emitZeroReads(RegionEmitter &emitter, int64_t vectors) {
  if (!reads())
    return;
  Value count = subIndex(builder, loc, endToken, firstToken);
  emitFor(builder, loc, index(0), count, 1, [&](Value at) {
    emitFor(builder, loc, index(0), index(copies), 1, [&](Value c) {
      for (Value scratch : readScratch)
        for (int64_t v = 0; v < vectors; ++v)
          storeScratch(zeroState(emitter)[0], scratch,
                       {at, c, index(v), index(0)});
    });
  });
}

void ScanLowering::emitRecurrence(RegionEmitter &staged,
                                  RegionEmitter &epilogue, int64_t vectors) {
  int64_t together = vectors % blockVectors == 0 ? blockVectors : 1;
  bool partial = !resident();
  if (partial)
    emitZeroReads(staged, vectors);
  if (partial && erases())
    return forGroupVectors(staged, epilogue, vectors, together,
                           [&](RegionEmitter &emitter, RegionEmitter &after) {
                             emitErasing(emitter, after);
                           });
  // Keys outermost: what is read for a block of them over the tile stays in the
  // nearest cache for all vectors.
  emitKeyBlocks(
      {&staged, &epilogue}, {},
      [&](ArrayRef<RegionEmitter *> emitters, int64_t keys, ValueRange) {
        forGroupVectors(*emitters[0], *emitters[1], vectors, together,
                        [&](RegionEmitter &emitter, RegionEmitter &after) {
                          emitBlockInRegisters(emitter, after, keys, together,
                                               partial);
                        });
        return SmallVector<Value>();
      },
      keyBlock);
}

SmallVector<Value> ScanLowering::emitSteps(
    ValueRange inits,
    llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  Value count = subIndex(builder, loc, endToken, firstToken);
  return emitFor(
      builder, loc, index(0), count, 1, inits,
      [&](Value iv, ValueRange carried) {
        step = iv;
        if (op.getReverse())
          step = subIndex(builder, loc, subIndex(builder, loc, count, index(1)),
                          iv);
        return body(addIndex(builder, loc, firstToken, step), carried);
      });
}

/// Rows of memory are pages apart, where no processor looks ahead by itself.
/// While the unit's lanes are computed for one tile, those of the next tile are
/// fetched: a vector of each array at each step, along the rows, so that what
/// the processor fetches on its own beside it is of use too. Where the steps
/// are taken once for each block of keys, they share the work.
void ScanLowering::emitPrefetch(const RegionEmitter &emitter, int64_t vectors,
                                bool inBlocks) {
  if (streams.empty())
    return;
  int64_t rowBlocks = llvm::divideCeil(innerKeys, keyBlock);
  int64_t blocks = inBlocks ? outerKeys * rowBlocks : 1;
  OpBuilder::InsertionGuard guard(builder);
  Value slot = step;
  if (blocks > 1) {
    Value block = addIndex(
        builder, loc, mulIndex(builder, loc, outerKey, index(rowBlocks)),
        builder.createOrFold<arith::DivUIOp>(loc, keyBase, index(keyBlock)));
    slot = addIndex(builder, loc,
                    mulIndex(builder, loc, block, index(timeTile)), step);
    Value rest = builder.createOrFold<arith::RemUIOp>(loc, slot, index(blocks));
    Value isTurn = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                                         rest, index(0));
    auto branch = scf::IfOp::create(builder, loc, isTurn, false);
    builder.setInsertionPointToStart(branch.thenBlock());
    slot = builder.createOrFold<arith::DivUIOp>(loc, slot, index(blocks));
  }
  for (int64_t v = 0; v < vectors; ++v) {
    Value number =
        addIndex(builder, loc,
                 mulIndex(builder, loc, addIndex(builder, loc, tile, index(v)),
                          index(timeTile)),
                 slot);
    Value rowVectors = index(laneBlock / width);
    Value row = builder.createOrFold<arith::DivUIOp>(loc, number, rowVectors);
    Value column =
        builder.createOrFold<arith::RemUIOp>(loc, number, rowVectors);
    Value token = getTokenOfNextTile(addIndex(builder, loc, firstToken, row));
    Value position = addIndex(builder, loc, firstLane,
                              mulIndex(builder, loc, column, index(width)));
    if (lanes % laneBlock != 0)
      position = minIndex(builder, loc, position, index(lanes - 1));
    RegionEmitter ahead = emitter;
    ahead.bindDim(1, token);
    ahead.bindDim(*lane, position);
    for (const Stream &stream : streams)
      stream.emitPrefetch(ahead, ahead.zeroOffsets(), stream.written);
  }
}

/// The same where a group of lanes goes through a sequence, or a block of it,
/// at once: into the second cache (rows a page apart throw each other out of
/// the first), and what is written too, for reading: it comes from memory all
/// the same, unless it goes past the caches. Past the last row this is the next
/// block's, or does no harm.
void ScanLowering::emitPrefetchAhead(const RegionEmitter &emitter, Value token,
                                     ArrayRef<Offsets> points) {
  // Tens of clocks a token, hundreds until memory answers.
  static constexpr int64_t distance = 16;
  RegionEmitter ahead = emitter;
  ahead.bindDim(1, op.getReverse()
                       ? subIndex(builder, loc, token, index(distance))
                       : addIndex(builder, loc, token, index(distance)));
  for (const Stream &stream : streams) {
    if (stream.written && (streaming || segmentKind == SegmentKind::ending))
      continue;
    for (const Offsets &point : points)
      stream.emitPrefetch(ahead, point, /*forWriting=*/false);
  }
}

/// The steps of the tile for one block of keys, whose state stays in registers.
void ScanLowering::emitBlockInRegisters(RegionEmitter &staged,
                                        RegionEmitter &epilogue, int64_t keys,
                                        int64_t vectors, bool partial) {
  SmallVector<Offsets> points = getKeyPoints(keys, vectors);
  int64_t count = points.size();
  SmallVector<Value> carried;
  for (const Offsets &point : points)
    llvm::append_range(carried, loadState(point));
  staged.hoist(coefficientsBody, points);
  if (!reads())
    epilogue.hoist(epilogueBody, points);
  carried = emitSteps(carried, [&](Value token, ValueRange values) {
    RegionEmitter emitter = staged, after = epilogue;
    emitter.bindDim(1, token);
    after.bindDim(1, token);
    emitPrefetch(emitter, vectors, /*inBlocks=*/true);
    SmallVector<Number> states;
    for (int64_t k = 0; k < count; ++k)
      states.push_back(applyReset(
          emitter,
          Number(values.begin() + k * parts, values.begin() + (k + 1) * parts),
          points[k]));
    SmallVector<Number> erased(getErasePairs(), zeroState(emitter));
    addErased(emitter, states, points, erased);
    SmallVector<Value> next;
    for (int64_t k = 0; k < count; ++k) {
      states[k] = getNext(emitter, states[k], erased, points[k]);
      llvm::append_range(next, states[k]);
    }
    emitReads(emitter, after, states, points, partial);
    return next;
  });
  for (int64_t k = 0; k < count; ++k)
    storeState(
        Number(carried.begin() + k * parts, carried.begin() + (k + 1) * parts),
        points[k]);
}

/// With erase pairs a step needs all keys before it changes any: the state
/// stays in scratch and each step passes over it twice.
void ScanLowering::emitErasing(RegionEmitter &staged, RegionEmitter &epilogue) {
  emitSteps({}, [&](Value token, ValueRange) {
    RegionEmitter emitter = staged, after = epilogue;
    emitter.bindDim(1, token);
    after.bindDim(1, token);
    emitPrefetch(emitter, /*vectors=*/1, /*inBlocks=*/false);
    SmallVector<Value> inits;
    for (unsigned pair = 0; pair < getErasePairs(); ++pair)
      llvm::append_range(inits, zeroState(emitter));
    auto group = [&](ValueRange values) {
      SmallVector<Number> numbers;
      for (unsigned i = 0; i < values.size(); i += parts)
        numbers.push_back(
            Number(values.begin() + i, values.begin() + i + parts));
      return numbers;
    };
    auto load = [&](RegionEmitter &block, ArrayRef<Offsets> points) {
      SmallVector<Number> states;
      for (const Offsets &point : points)
        states.push_back(applyReset(block, loadState(point), point));
      return states;
    };
    SmallVector<Value> sums = emitKeyBlocks(
        {&emitter}, inits,
        [&](ArrayRef<RegionEmitter *> emitters, int64_t count,
            ValueRange carried) {
          SmallVector<Offsets> points = getKeyPoints(count);
          SmallVector<Number> erased = group(carried);
          addErased(*emitters[0], load(*emitters[0], points), points, erased);
          SmallVector<Value> next;
          for (const Number &sum : erased)
            llvm::append_range(next, sum);
          return next;
        },
        keyBlock);
    SmallVector<Number> erased = group(sums);
    emitKeyBlocks(
        {&emitter, &after}, {},
        [&](ArrayRef<RegionEmitter *> emitters, int64_t count, ValueRange) {
          SmallVector<Offsets> points = getKeyPoints(count);
          SmallVector<Number> states = load(*emitters[0], points);
          for (auto [k, point] : llvm::enumerate(points)) {
            states[k] = getNext(*emitters[0], states[k], erased, point);
            storeState(states[k], point);
          }
          emitReads(*emitters[0], *emitters[1], states, points,
                    /*partial=*/true);
          return SmallVector<Value>();
        },
        keyBlock);
    return SmallVector<Value>();
  });
}

void ScanLowering::emitEpilogue(RegionEmitter &epilogue, int64_t vectors) {
  SmallVector<Offsets> points = getLanePoints(vectors);
  epilogue.hoist(epilogueBody, points);
  Value count = subIndex(builder, loc, endToken, firstToken);
  emitFor(builder, loc, index(0), count, 1, [&](Value at) {
    RegionEmitter emitter = epilogue;
    emitter.bindDim(1, addIndex(builder, loc, firstToken, at));
    forCopies({&emitter}, [&](ArrayRef<RegionEmitter *> emitters) {
      for (auto [v, point] : llvm::enumerate(points)) {
        Number read;
        for (Value scratch : readScratch)
          read.push_back(loadScratch(scratch, {at, copy, index(v), index(0)}));
        storeOutputs(*emitters[0], read, point);
      }
    });
  });
}
