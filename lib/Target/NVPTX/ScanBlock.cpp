//===- ScanBlock.cpp - A block of tokens of a recurrence ------------------===//
//
// A thread has one lane of one row of the batch and holds its states over all keys in
// registers; where there are too many keys, neighbouring threads of a warp share them,
// and sums over keys go through shuffles. Time goes in blocks: the operands of all tokens
// of a block are loaded before the chain of updates begins, since what keeps a GPU's
// memory busy is the number of loads on their way. A store ends each token, for the
// assembler moves loads down to their use as far as no store holds them up; threads that
// share a lane may sum up the outputs of a whole block first, and store a token's each.
// Operands that depend on the key are loaded some tokens ahead.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/ScanKernel.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

/// Operands that depend on keys and are loaded ahead.
static constexpr int64_t kKeyedAhead = 32;
/// States for which decays and writes are computed early, and tokens that are read before.
static constexpr int64_t kEarlyStates = 16, kReadBefore = 2;
/// Terms of an output that a thread sums up in two sums.
static constexpr int64_t kManyTerms = 8;

void ScanKernel::sumOverThreads(Parts &sum) {
  OpBuilder &b = loops.builder;
  for (Value &part : sum)
    for (int64_t distance = 1; distance < numSharing; distance *= 2) {
      auto other = gpu::ShuffleOp::create(b, loops.loc, part, int32_t(distance), kWarp,
                                          gpu::ShuffleMode::XOR);
      part = loops.add(part, other.getShuffleResult());
    }
}

void ScanKernel::moveTo(ArrayRef<unsigned> dims, int64_t index) {
  for (unsigned dim : llvm::reverse(dims)) {
    int64_t size = sizeOf(dim);
    at[dim] = index % size;
    point[dim] = positionOf(dim, index % size);
    index /= size;
  }
}

Value ScanKernel::positionOf(unsigned dim, int64_t index) {
  if (split != dim)
    return loops.index(index);
  // Neighbouring threads have neighbouring groups of keys.
  int64_t together = lastKey == dim ? group : 1;
  int64_t first = index / together * together * numSharing + index % together;
  return loops.add(loops.index(first), loops.mul(rank, loops.index(together)));
}

int64_t nvptx::bytesOf(Value memref) {
  return (cast<MemRefType>(memref.getType()).getElementTypeBitWidth() + 7) / 8;
}

int64_t ScanKernel::vectorWidth(Value memref, AffineMap map) {
  if (!lastKey)
    return 1;
  int64_t together = std::min(group, kVectorBytes / bytesOf(memref));
  return getNeighbours(memref, map, *lastKey, isStep) % together == 0 ? together
                                                                      : 1;
}

SmallVector<Value> ScanKernel::loadVector(Value memref, AffineMap map, int64_t count) {
  OpBuilder &b = loops.builder;
  Value here = std::exchange(point[*lastKey],
                             positionOf(*lastKey, at[*lastKey] / count * count));
  Value vector = loadNeighbours(b, loops.loc, memref, loops.apply(map, point), count);
  point[*lastKey] = here;
  return extractElements(b, loops.loc, vector);
}

int64_t ScanKernel::placeOf(ArrayRef<unsigned> dims, ArrayRef<int64_t> place) {
  int64_t index = 0;
  for (auto [dim, i] : llvm::zip_equal(dims, place))
    index = index * sizeOf(dim) + i;
  return index;
}

bool ScanKernel::isInner(AffineMap map) {
  for (const auto &entry : at)
    if (map.isFunctionOfDim(entry.first))
      return true;
  return false;
}

Value ScanKernel::load(Value operand, AffineMap map, int64_t step) {
  if (isMultiplied(operand))
    return laneProduct ? laneProduct : laneProduct = multiplyLane();
  bool isInvariant = !map.isFunctionOfDim(1);
  auto keyHere = [&]() -> Key {
    int64_t place = 0;
    for (unsigned dim = 0; dim < map.getNumDims(); ++dim)
      if (at.count(dim))
        place = place * sizeOf(dim) + (map.isFunctionOfDim(dim) ? at[dim] : 0);
    bool isShared = ownLanes > 1 ? !map.isFunctionOfDim(laneDims.back()) : isInvariant;
    return {{operand, map}, {place, isShared ? -1 : step}};
  };
  Key key = keyHere();
  if (Value found = invariants.lookup(key))
    return found;
  if (Value found = loaded.lookup(key))
    return found;
  int64_t together = vectorWidth(operand, map);
  const Staged *source = getStaged(operand, map);
  if (together == 1)
    return loaded[key] = source ? loadStaged(*source, step, 1).front()
                                : loops.load(operand, loops.apply(map, point));
  int64_t here = at[*lastKey];
  for (auto [i, element] :
       llvm::enumerate(source ? loadStaged(*source, step, together)
                              : loadVector(operand, map, together))) {
    at[*lastKey] = here / together * together + int64_t(i);
    loaded[keyHere()] = element;
  }
  at[*lastKey] = here;
  return loaded.lookup(key);
}

SmallVector<Value> ScanKernel::evaluate(ValueRange values, int64_t step) {
  SmallVector<Value> results = loops.inlineSlice(
      op.getCoefficients().front(), values, [&](unsigned argument) {
        return load(op.getIns()[argument], op.getInsMap(argument), step);
      });
  for (Value &result : results)
    result = loops.convert(result, type);
  return results;
}

int64_t ScanKernel::getEarlyTokens() {
  return readsStaged && split ? kEarlyStates / (numInner * width) : 0;
}

void ScanKernel::evaluateEarly(int64_t step) {
  point[1] = times[step];
  for (int64_t i = 0; i < numInner; ++i) {
    moveTo(innerDims, i);
    for (ValueRange values : {ValueRange(roles.getDecay()), ValueRange(roles.getWrite())})
      if (!values.empty())
        early[{values.front(), {i, step}}] = evaluate(values, step);
  }
}

SmallVector<Value> ScanKernel::evaluateOnce(ValueRange values, int64_t place, int64_t step) {
  auto found = early.find({values.front(), {place, step}});
  return found == early.end() ? evaluate(values, step) : found->second;
}

SmallVector<Value> ScanKernel::update(ArrayRef<Value> states, int64_t step) {
  // The states before this token: zero after a reset.
  SmallVector<Value> before(states);
  if (roles.getReset())
    for (int64_t i = 0; i < numInner; ++i) {
      moveTo(innerDims, i);
      Value reset = evaluate(roles.getReset(), step).front();
      for (unsigned part = 0; part < width; ++part) {
        Value &state = before[i * width + part];
        state = loops.select(reset, loops.constant(type, 0.0), state);
      }
    }
  // Sums of the erase pairs, by the place outside of the keys.
  unsigned numPairs = roles.getErase().size() / (2 * width);
  SmallVector<unsigned> keyDims = op.getKeyDims(), otherDims;
  for (unsigned dim : innerDims)
    if (!llvm::is_contained(keyDims, dim))
      otherDims.push_back(dim);
  auto otherPlace = [&] {
    SmallVector<int64_t> place;
    for (unsigned dim : otherDims)
      place.push_back(at[dim]);
    return placeOf(otherDims, place);
  };
  llvm::DenseMap<std::pair<int64_t, unsigned>, Parts> sums;
  for (unsigned pair = 0; pair < numPairs; ++pair)
    for (int64_t i = 0; i < numInner; ++i) {
      moveTo(innerDims, i);
      Parts left = evaluate(roles.getErase().slice(2 * width * pair, width), step);
      Parts term = multiply(left, stateAt(before, i));
      Parts &sum = sums[{otherPlace(), pair}];
      sum = sum.empty() ? term : add(sum, term);
    }
  for (unsigned pair = 0; pair < numPairs; ++pair)
    for (int64_t i = 0, end = extentOf(otherDims); i < end; ++i) {
      Parts &sum = sums[{i, pair}];
      if (op.getRealSums())
        sum[1] = loops.constant(type, 0.0);
      sumOverThreads(sum);
    }

  SmallVector<Value> after;
  for (int64_t i = 0; i < numInner; ++i) {
    moveTo(innerDims, i);
    Parts state = stateAt(before, i);
    if (op.getDense()) {
      unsigned source = *op.getDenseSource(), target = *op.getDenseTarget();
      Parts sum;
      for (int64_t column = 0; column < op.getDimSize(target); ++column) {
        at[source] = column;
        point[source] = loops.index(column);
        Parts element = evaluate(roles.getDense(), step);
        SmallVector<int64_t> place;
        for (unsigned dim : innerDims)
          place.push_back(dim == target ? column : at[dim]);
        Parts term = multiply(element, stateAt(before, placeOf(innerDims, place)));
        sum = sum.empty() ? term : add(sum, term);
      }
      state = sum;
    }
    if (!roles.getDecay().empty())
      state = multiply(evaluateOnce(roles.getDecay(), i, step), state);
    for (unsigned pair = 0; pair < numPairs; ++pair) {
      Parts right =
          evaluate(roles.getErase().slice(2 * width * pair + width, width), step);
      state = add(state, multiply(right, sums[{otherPlace(), pair}]));
    }
    if (!roles.getWrite().empty())
      state = add(state, evaluateOnce(roles.getWrite(), i, step));
    state[0] = op.createRemainder(loops.builder, loops.loc, state[0]);
    after.append(state);
  }
  return after;
}

Parts ScanKernel::read(ArrayRef<Value> states, int64_t place, int64_t step) {
  // The states at this output: all keys, the rest as in the point. Two sums, for the
  // next addition waits for the one before.
  SmallVector<Parts, 2> sums(numInner >= kManyTerms ? 2 : 1);
  int64_t number = 0;
  for (int64_t i = 0; i < numInner; ++i) {
    moveTo(innerDims, i);
    llvm::DenseMap<unsigned, int64_t> inner = at;
    moveTo(outputDims, place);
    if (llvm::any_of(innerDims, [&](unsigned dim) { return inner[dim] != at[dim]; }))
      continue;
    Parts term = stateAt(states, i);
    if (!roles.getRead().empty())
      term = multiply(evaluate(roles.getRead(), step), term);
    Parts &sum = sums[number++ % sums.size()];
    sum = sum.empty() ? term : add(sum, term);
  }
  Parts sum = sums.front();
  if (sums.size() > 1 && !sums.back().empty())
    sum = add(sum, sums.back());
  sum.resize(op.getNumOutputs());
  return sum;
}

void ScanKernel::write(const Parts &sum, int64_t place, int64_t step) {
  moveTo(outputDims, place);
  Block &block = op.getEpilogue().front();
  SmallVector<Value> results = loops.inlineSlice(
      block, block.getTerminator()->getOperands(), [&](unsigned argument) {
        Type wanted = block.getArgument(argument).getType();
        if (argument < sum.size())
          return loops.convert(sum[argument], wanted);
        unsigned operand = argument - sum.size();
        return load(op.getEpilogueIns()[operand], op.getEpilogueMap(operand), step);
      });
  SmallVector<Value> indices = loops.apply(op.getOutputMap(), point);
  for (auto [result, memref] : llvm::zip_equal(results, op.getOutputInits()))
    loops.store(result, memref, indices);
}

Parts ScanKernel::sumOwn(ArrayRef<Parts> sums) {
  OpBuilder &b = loops.builder;
  SmallVector<Parts> mine(sums);
  for (int64_t distance = numSharing / 2; distance > 0; distance /= 2) {
    Value bit = arith::AndIOp::create(b, loops.loc, rank, loops.index(distance));
    Value isUpper = arith::CmpIOp::create(b, loops.loc, arith::CmpIPredicate::ne, bit,
                                          loops.index(0));
    for (int64_t i = 0; i < distance; ++i)
      for (auto [low, high] : llvm::zip_equal(mine[i], mine[i + distance])) {
        Value given = loops.select(isUpper, low, high);
        Value taken = gpu::ShuffleOp::create(b, loops.loc, given, int32_t(distance), kWarp,
                                             gpu::ShuffleMode::XOR)
                          .getShuffleResult();
        low = loops.add(loops.select(isUpper, high, low), taken);
      }
  }
  return mine.front();
}

void ScanKernel::writeShared(ArrayRef<Parts> sums, int64_t round) {
  OpBuilder &b = loops.builder;
  int64_t size = sums.size() / numOutputs;
  SmallVector<Parts> own;
  for (int64_t place = 0; place < numOutputs; ++place) {
    SmallVector<Parts> tokens;
    for (int64_t token = 0; token < size; ++token)
      tokens.push_back(sums[token * numOutputs + place]);
    if (size == numSharing && readsStaged) { // elsewhere registers are few
      own.push_back(sumOwn(tokens));
      continue;
    }
    for (Parts &sum : tokens)
      sumOverThreads(sum);
    Parts mine = tokens.front();
    for (int64_t token = 1; token < size; ++token) {
      Value isMine = arith::CmpIOp::create(b, loops.loc, arith::CmpIPredicate::eq, rank,
                                           loops.index(token));
      for (auto [part, other] : llvm::zip_equal(mine, tokens[token]))
        part = loops.select(isMine, other, part);
    }
    own.push_back(mine);
  }
  OpBuilder::InsertionGuard guard(b);
  if (size < numSharing) {
    Value hasToken = loops.less(rank, loops.index(size));
    auto branch = scf::IfOp::create(b, loops.loc, hasToken, /*withElseRegion=*/false);
    b.setInsertionPointToStart(branch.thenBlock());
  }
  point[1] = ownTimes[round];
  llvm::DenseMap<Key, Value> outside = loaded; // what a branch loads stays in it
  for (int64_t place = 0; place < numOutputs; ++place)
    write(own[place], place, kOwnStep + round);
  loaded = std::move(outside);
}

void ScanKernel::forOperands(
    function_ref<void(Value, AffineMap, ArrayRef<unsigned>)> visit) {
  SmallVector<unsigned> dims;
  for (const auto &entry : at)
    dims.push_back(entry.first);
  llvm::sort(dims);
  auto visitOne = [&](Value operand, AffineMap map) {
    if (!map.isFunctionOfDim(1))
      return;
    SmallVector<unsigned> own;
    for (unsigned dim : dims)
      if (map.isFunctionOfDim(dim))
        own.push_back(dim);
    visit(operand, map, own);
  };
  for (auto [i, operand] : llvm::enumerate(op.getIns()))
    visitOne(operand, op.getInsMap(i));
  for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
    visitOne(operand, op.getEpilogueMap(i));
}

bool ScanKernel::lacksRegisters() {
  bool isWide = false;
  forOperands([&](Value operand, AffineMap map, ArrayRef<unsigned> dims) {
    isWide |= !dims.empty() && bytesOf(operand) > 2;
  });
  return isCut && split && isWide;
}

void ScanKernel::loadAll(Value operand, AffineMap map, int64_t step) {
  SmallVector<unsigned> dims;
  for (const auto &entry : at)
    if (map.isFunctionOfDim(entry.first))
      dims.push_back(entry.first);
  llvm::sort(dims);
  for (int64_t place = 0, end = extentOf(dims); place < end; ++place) {
    moveTo(dims, place);
    load(operand, map, step);
  }
}

void ScanKernel::loadKeyed(int64_t step) {
  point[1] = times[step];
  forOperands([&](Value operand, AffineMap map, ArrayRef<unsigned> dims) {
    bool isLate = dims.empty() && !(getEarlyTokens() > 0 && getStaged(operand, map));
    if (isLate || !llvm::is_contained(op.getIns(), operand))
      return;
    for (int64_t place = 0, end = extentOf(dims); place < end; ++place) {
      moveTo(dims, place);
      load(operand, map, step);
    }
  });
}

void ScanKernel::prefetch(Value operand, AffineMap map, ArrayRef<unsigned> dims,
                          Value time) {
  OpBuilder &b = loops.builder;
  Location loc = loops.loc;
  int64_t bytes = bytesOf(operand);
  int64_t stride = std::max<int64_t>(1, kLine / bytes / numSharing);
  Value now = std::exchange(point[1], time);
  for (int64_t place = 0, end = extentOf(dims); place < end; place += stride) {
    moveTo(dims, place);
    prefetchLine(b, loc, addressOf(b, loc, operand, loops.apply(map, point)),
                 CacheLevel::own);
  }
  point[1] = now;
}

Value ScanKernel::timeAt(Value token) {
  if (!op.getReverse())
    return token;
  return loops.sub(loops.sub(sizes[1], loops.index(1)), token);
}

SmallVector<Value> ScanKernel::emitBlock(Value first, int64_t count, ValueRange states) {
  loaded.clear();
  early.clear();
  times.clear();
  Value last = loops.sub(sizes[1], loops.index(1));
  for (int64_t step = 0; step < count; ++step)
    times.push_back(timeAt(step ? loops.add(first, loops.index(step)) : first));
  ownTimes.clear();
  for (int64_t step = 0; defersOutputs() && step < count; step += numSharing) {
    Value time = loops.add(first, loops.add(rank, loops.index(step)));
    ownTimes.push_back(timeAt(arith::MinSIOp::create(loops.builder, loops.loc, time, last)));
  }
  // What every key shares comes first, for all tokens.
  for (int64_t step = 0; step < count; ++step) {
    point[1] = times[step];
    auto loadAhead = [&](Value operand, AffineMap map) {
      // What is in shared memory is read where it is used, and a sum waits for
      // others.
      if (map.isFunctionOfDim(1) && !isInner(map) && !getStaged(operand, map) &&
          !isMultiplied(operand))
        load(operand, map, step);
    };
    for (auto [i, operand] : llvm::enumerate(op.getIns()))
      loadAhead(operand, op.getInsMap(i));
    if (!defersOutputs())
      for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
        loadAhead(operand, op.getEpilogueMap(i));
  }
  for (auto [round, time] : llvm::enumerate(ownTimes)) {
    point[1] = time;
    for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
      if (AffineMap map = op.getEpilogueMap(i);
          map.isFunctionOfDim(1) && !isInner(map) && !getStaged(operand, map))
        load(operand, map, kOwnStep + round);
  }
  // What depends on keys comes as many tokens ahead as there are registers.
  int64_t numKeyed = 0;
  forOperands([&](Value operand, AffineMap map, ArrayRef<unsigned> dims) {
    if (!dims.empty())
      numKeyed += extentOf(dims);
  });
  int64_t ahead = kKeyedAhead / std::max<int64_t>(numKeyed, 1);
  if (lacksRegisters())
    ahead = 1;
  ahead = std::clamp<int64_t>(ahead, 1, count);
  int64_t numEarly = std::min(getEarlyTokens(), count);
  if (numEarly > 0)
    ahead = std::min(numEarly + kReadBefore, count);
  for (int64_t step = 0; step < ahead; ++step)
    loadKeyed(step);
  for (int64_t step = 0; step < numEarly; ++step)
    evaluateEarly(step);
  // The next block's come into the cache: neighbouring threads, which share lines, ask for
  // a token each.
  if (isCooperative && count > 1) {
    Value step = arith::RemUIOp::create(loops.builder, loops.loc, thread,
                                        loops.index(count));
    Value time = loops.add(loops.add(first, loops.index(count)), step);
    time = timeAt(arith::MinSIOp::create(loops.builder, loops.loc, time, last));
    forOperands([&](Value operand, AffineMap map, ArrayRef<unsigned> dims) {
      if (!getStaged(operand, map) && !lacksRegisters())
        prefetch(operand, map, dims, time);
    });
  }
  SmallVector<Value> current(states);
  SmallVector<Parts> sums;
  for (int64_t step = 0; step < count; ++step) {
    point[1] = times[step];
    if (findsEnds) {
      ArrayRef<Value> all = current;
      SmallVector<Value> products =
          updateProducts(all.drop_front(numInner * width), step);
      current = update(all.take_front(numInner * width), step);
      current.append(products);
    } else {
      current = update(current, step);
    }
    if (step + ahead < count)
      loadKeyed(step + ahead);
    if (numEarly > 0 && step + numEarly < count)
      evaluateEarly(step + numEarly);
    point[1] = times[step];
    for (int64_t place = 0; place < numOutputs && !findsEnds; ++place) {
      moveTo(outputDims, place);
      Parts sum = read(current, place, step);
      if (defersOutputs()) {
        sums.push_back(sum);
        continue;
      }
      OpBuilder::InsertionGuard guard(loops.builder);
      if (split) {
        sumOverThreads(sum);
        Value isFirst = arith::CmpIOp::create(
            loops.builder, loops.loc, arith::CmpIPredicate::eq, rank, loops.index(0));
        auto branch = scf::IfOp::create(loops.builder, loops.loc, isFirst,
                                        /*withElseRegion=*/false);
        loops.builder.setInsertionPointToStart(branch.thenBlock());
      }
      llvm::DenseMap<Key, Value> outside = loaded; // what a branch loads stays in it
      write(sum, place, step);
      loaded = std::move(outside);
    }
    bool isEndOfRound = (step + 1) % numSharing == 0 || step + 1 == count;
    if (defersOutputs() && !findsEnds && isEndOfRound) {
      writeShared(sums, step / numSharing);
      sums.clear();
    }
  }
  return current;
}
