//===- WarpgroupProducts.cpp - The warpgroups that multiply chunks ---------===//

#include "Target/NVPTX/WarpgroupChunk.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

static constexpr int64_t kRowBytes = 128, kMatrix = 8;

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

/// Rows of S^T are tokens j, of which only those up to a column's are kept: a warp has
/// eight rows of the first half of a chunk and eight of the second, so that all have as
/// much to do.
void WarpgroupChunk::bindMultiplier(Value thread) {
  warpgroup = uniform(addWords(divWords(thread, kWarpgroup), -1));
  warp = uniform(remWords(divWords(thread, kWarp), kWarpgroup / kWarp));
  places.lane = remWords(thread, kWarp);
  // Where a lane's row of 16 bytes of four matrices of 8 x 8 is within a tile.
  Value matrix = divWords(places.lane, kMatrix), within = remWords(places.lane, kMatrix);
  Value odd = remWords(matrix, 2), upper = divWords(matrix, 2);
  Value halves[2];
  for (int64_t half = 0; half < 2; ++half)
    halves[half] =
        mulWords(addWords(mulWords(eighthOf(half), kMatrix), within), kRowBytes);
  Value ofTiles = mulWords(warpgroup, unitsOfWarpgroup * kTileBytes);
  Value vector = addWords(mulWords(warp, 2), odd);
  Value matrixRow = addWords(mulWords(upper, kMatrix), within);
  places.keys = addWords(loops.select(isEqual(odd, 0), halves[0], halves[1]),
                         mulWords(exclusiveOr(upper, within), 16));
  places.products =
      addWords(addWords(halves[0], mulWords(exclusiveOr(matrix, within), 16)),
               addWords(ofTiles, shared));
  places.matrices = addWords(
      addWords(mulWords(exclusiveOr(vector, within), 16), mulWords(matrixRow, kRowBytes)),
      ofTiles);
}

void WarpgroupChunk::renewPlaces() {
  here = places;
  for (Value *place : {&here.lane, &here.keys, &here.products, &here.matrices})
    *place = renew(*place);
}

Value WarpgroupChunk::tokenOf(int64_t half) {
  return addWords(divWords(here.lane, 4), mulWords(eighthOf(half), kMatrix));
}

//===----------------------------------------------------------------------===//
// Products within a chunk
//===----------------------------------------------------------------------===//

/// Begins S^T.
WarpgroupEmitter::Values WarpgroupChunk::multiplyTokens(Value at, Value readTile) {
  Value place = addWords(at, here.keys);
  SmallVector<Values> rows;
  for (int64_t part = 0; part < numKeys / kDepth; ++part)
    rows.push_back(loadMatrices(exclusiveOr(place, part % 4 * 32),
                                atKeys + part / 4 * kTileBytes, /*transposed=*/false));
  return multiply(kTokens, {}, rows, readTile, Along::rows);
}

/// What S^T is multiplied by, in the order of blocks in which P^T is stored: zero where
/// the column's token is before the row's. From the first half of a chunk to the second a
/// decay is a product of two, to the middle and from there: a power a row instead of one
/// a number. From the second half to the first there are none, which P^T never gets.
WarpgroupEmitter::Values WarpgroupChunk::computeDecays(Value at, int64_t unit) {
  Value never = loops.constant(f32, -std::numeric_limits<double>::infinity());
  bool hasFactors =
      !products.terms.front().time.empty() || products.terms.front().negated;
  Value middle = loadShared(scalesAt(at), atScale(unit, 0) + (kTokens / 2 - 1) * 4, f32);
  Value scales = addWords(scalesAt(at), mulWords(columnOf(), 4));
  Values decays;
  for (int64_t half = 0; half < 2; ++half) {
    Value scale = addWords(scalesAt(at), mulWords(tokenOf(half), 4));
    Value source = loadShared(scale, atScale(unit, 0), f32);
    Value factor = hasFactors ? loadShared(scale, atScale(unit, 1), f32) : Value();
    auto weigh = [&](Value decay) { return factor ? loops.mul(decay, factor) : decay; };
    Value distance = subWords(columnOf(), tokenOf(half));
    for (int64_t block = 4 * half; block < 4 * half + 4; ++block)
      for (auto [e, to] :
           llvm::enumerate(loadPair(scales, atScale(unit, 0) + 8 * block * 4))) {
        Value isBefore =
            compare(arith::CmpIPredicate::slt, distance, word(-(8 * block + int64_t(e))));
        Value logarithm = loops.select(isBefore, never, loops.sub(to, source));
        decays.push_back(weigh(exp2(logarithm)));
      }
    if (half > 0)
      break;
    Value toMiddle = weigh(exp2(loops.sub(middle, source)));
    for (int64_t block = 4; block < 8; ++block)
      for (Value from : loadPair(scales, atScale(unit, 3) + 8 * block * 4))
        decays.push_back(loops.mul(toMiddle, from));
  }
  return decays;
}

/// P^T, to shared memory.
void WarpgroupChunk::storeDecayed(ArrayRef<Value> sums, ArrayRef<Value> decays,
                                  int64_t unit) {
  Value beside = exclusiveOr(here.products, 64);
  Value below = mulWords(subWords(eighthOf(1), warp), kMatrix * kRowBytes);
  struct {
    Value place;
    int64_t half, block;
  } parts[] = {{here.products, 0, 0}, {beside, 0, 4}, {addWords(beside, below), 1, 4}};
  for (auto &part : parts) {
    Values registers;
    for (int64_t block = part.block; block < part.block + 4; ++block) {
      const Value *pair = &sums[4 * block + 2 * part.half];
      registers.push_back(
          pack(loops.mul(pair[0], decays[0]), loops.mul(pair[1], decays[1])));
      decays = decays.drop_front(2);
    }
    storeMatrices(registers, part.place, atProducts + unit * kTileBytes,
                  /*transposed=*/false);
  }
}

void WarpgroupChunk::clearProducts() {
  OpBuilder &b = loops.builder;
  Value zero = LLVM::ZeroOp::create(b, loops.loc, VectorType::get({4}, i32));
  Value start = addWords(shared, mulWords(warpgroup, unitsOfWarpgroup * kTileBytes));
  Value thread = addWords(mulWords(warp, kWarp), places.lane);
  start = addWords(start, mulWords(thread, 16));
  for (int64_t i = 0; i < unitsOfWarpgroup * kTileBytes; i += kWarpgroup * 16)
    storeShared(zero, start, atProducts + i);
}

//===----------------------------------------------------------------------===//
// Products with states
//===----------------------------------------------------------------------===//

/// The new state is still being summed.
WarpgroupEmitter::Values WarpgroupChunk::emitUnit(Values state, const Group &group,
                                                  Value chunk, Value at, int64_t unit,
                                                  Value readTile, Value keyTile) {
  Value total = loadShared(scalesAt(at), atScale(unit, 3) - 4, f32);
  Values sums = multiply(kTokens, {}, toLeft(state), readTile, Along::rows);
  for (Value &number : state)
    number = loops.mul(number, total);
  Values powers;
  Value powersAt = addWords(scalesAt(at), mulWords(columnOf(), 4));
  for (int64_t block = 0; block < kTokens / 8; ++block)
    llvm::append_range(powers, loadPair(powersAt, atScale(unit, 2) + 8 * block * 4));
  sums = waitForProducts(0, sums);
  for (int64_t i = 0; i < kTokens / 2; ++i)
    sums[i] = loops.mul(sums[i], powers[i / 4 * 2 + i % 2]);
  Value ofWarpgroup = mulWords(warpgroup, unitsOfWarpgroup * kTileBytes);
  Value products =
      addWords(addWords(shared, ofWarpgroup), atProducts + unit * kTileBytes);
  SmallVector<Values> lanes, weighted;
  Value lanesAt = addWords(at, here.matrices);
  Value weightsAt = addWords(scalesAt(at), mulWords(columnOf(), 2));
  for (int64_t part = 0; part < kTokens / kDepth; ++part)
    lanes.push_back(loadMatrices(lanesAt,
                                 atValues + unit * kTileBytes + part * kDepth * kRowBytes,
                                 /*transposed=*/true));
  sums =
      multiply(kTokens, sums, lanes, describe(products, Along::columns), Along::columns);
  for (auto [part, registers] : llvm::enumerate(lanes)) {
    Values products;
    for (int64_t i = 0; i < 4; ++i) {
      Value weights = loadShared(
          weightsAt, atScale(unit, 3) + 2 * (int64_t(part) * kDepth + i / 2 * 8), i32);
      products.push_back(mulPairs(registers[i], weights));
    }
    weighted.push_back(products);
  }
  state = multiply(numKeys, state, weighted, keyTile, Along::columns);
  // While that is being multiplied.
  if (unit > 0)
    storeOutputs(group, chunk, unit - 1);
  sums = waitForProducts(1, sums);
  // A lane names a row of four matrices of 8 x 8: a token of eight, and of lanes 8 or 16.
  Value token = addWords(mulWords(divWords(here.lane, 2 * kMatrix), kMatrix),
                         remWords(here.lane, kMatrix));
  Value vector = addWords(remWords(divWords(here.lane, kMatrix), 2), mulWords(warp, 2));
  Value outputsPlace =
      addWords(addWords(mulWords(token, kOutputStride), mulWords(vector, kVector)),
               addWords(shared, outputsAt(unit)));
  for (int64_t part = 0; part < kTokens / kDepth; ++part) {
    Values registers;
    for (int64_t i = 0; i < 4; ++i)
      registers.push_back(pack(sums[8 * part + 2 * i], sums[8 * part + 2 * i + 1]));
    storeMatrices(registers, outputsPlace, part * kDepth * kOutputStride,
                  /*transposed=*/true);
  }
  return state;
}

WarpgroupEmitter::Values WarpgroupChunk::emitChunk(Values states, const Group &group,
                                                   Value chunk, Value step) {
  Value stage = stageOf(step);
  Value at = addWords(shared, mulWords(stage, stageBytes));
  renewPlaces();
  wait(barrierOf(stage), atBarrier(/*isEmpty=*/false), parityOf(step));
  Value readTile = describe(at, Along::rows);
  Value keyTile = describe(addWords(at, atKeys), Along::columns);
  Values sums = waitForProducts(0, multiplyTokens(at, readTile));
  for (int64_t unit = 0; unit < unitsOfWarpgroup; ++unit)
    storeDecayed(sums, computeDecays(at, unit), unit);
  publish();
  meetWarpgroup();
  int64_t count = numKeys / 2;
  Values after;
  for (int64_t unit = 0; unit < unitsOfWarpgroup; ++unit)
    llvm::append_range(after,
                       emitUnit(Values(ArrayRef(states).slice(unit * count, count)),
                                group, chunk, at, unit, readTile, keyTile));
  // While the last states are being summed.
  storeOutputs(group, chunk, unitsOfWarpgroup - 1);
  after = waitForProducts(0, after);
  loops.when(isEqual(here.lane, 0),
             [&] { arrive(barrierOf(stage), atBarrier(/*isEmpty=*/true)); });
  return after;
}

/// Eight threads a token, whose lanes come from all warps: they write whole lines. By parts of
/// a warp's own lanes, which need no meeting, the kernel took 8 % longer.
void WarpgroupChunk::storeOutputs(const Group &group, Value chunk, int64_t unit) {
  OpBuilder &b = loops.builder;
  meetWarpgroup();
  constexpr int64_t together = kLanes * 2 / kVector;
  constexpr int64_t tokensAtOnce = kWarpgroup / together;
  Value vector = mulWords(remWords(here.lane, together), kVector);
  Value token = addWords(divWords(here.lane, together),
                         mulWords(warp, tokensAtOnce / (kWarpgroup / kWarp)));
  Value from = addWords(addWords(mulWords(token, kOutputStride), vector),
                        addWords(shared, outputsAt(unit)));
  Value first = mulWords(chunk, kTokens);
  bindUnit(group, unitOfWarpgroup(unit));
  bindToken(toIndex(first));
  Value within = addWords(mulWords(token, stepOf(outputs)), vector);
  Value to = arith::AddIOp::create(b, loops.loc, addressOf(outputs.memory, outputs.map),
                                   arith::ExtSIOp::create(b, loops.loc, i64, within));
  auto type = LLVM::LLVMPointerType::get(b.getContext(), 1);
  to = LLVM::IntToPtrOp::create(b, loops.loc, type, to);
  Value left = subWords(subWords(length, first), token);
  SmallVector<Value> vectors;
  for (int64_t part = 0; part < kTokens; part += tokensAtOnce)
    vectors.push_back(loadShared(from, part * kOutputStride, VectorType::get({4}, i32)));
  for (auto [part, vector] : llvm::enumerate(vectors)) {
    int64_t token = int64_t(part) * tokensAtOnce;
    Value isToken = compare(arith::CmpIPredicate::sgt, left, word(token));
    loops.when(isToken, [&, &vector = vector] {
      Value place =
          LLVM::GEPOp::create(b, loops.loc, type, b.getI8Type(), to,
                              ArrayRef<LLVM::GEPArg>{int32_t(token * stepOf(outputs))});
      LLVM::StoreOp::create(b, loops.loc, vector, place, /*alignment=*/kVector);
    });
  }
}

//===----------------------------------------------------------------------===//
// States
//===----------------------------------------------------------------------===//

WarpgroupEmitter::Values WarpgroupChunk::statePlaces(Value memory, const Group &group,
                                                     int64_t unit) {
  OpBuilder &b = loops.builder;
  bindUnit(group, unitOfWarpgroup(unit));
  Value row = addWords(mulWords(warp, 16), divWords(here.lane, 4));
  point[products.lane] = loops.add(point[products.lane], toIndex(row));
  point[products.key] = toIndex(columnOf());
  auto type = LLVM::LLVMPointerType::get(b.getContext(), 1);
  Value start =
      LLVM::IntToPtrOp::create(b, loops.loc, type, addressOf(memory, op.getStateMap()));
  Values pairs;
  for (int64_t block = 0; block < numKeys / 8; ++block)
    for (int64_t half = 0; half < 2; ++half)
      pairs.push_back(LLVM::GEPOp::create(
          b, loops.loc, type, b.getI8Type(), start,
          ArrayRef<LLVM::GEPArg>{int32_t(8 * block * 4 + half * 8 * stateStep)}));
  return pairs;
}

/// Those that another block has left, or those given.
WarpgroupEmitter::Values WarpgroupChunk::loadStates(const Group &group, Value resumes) {
  OpBuilder &b = loops.builder;
  renewPlaces();
  auto pairType = VectorType::get({2}, f32);
  auto load = [&](Value memory) {
    Values numbers;
    for (int64_t unit = 0; unit < unitsOfWarpgroup; ++unit)
      for (Value place : statePlaces(memory, group, unit)) {
        Value pair = LLVM::LoadOp::create(b, loops.loc, pairType, place);
        for (int64_t e = 0; e < 2; ++e)
          numbers.push_back(LLVM::ExtractElementOp::create(b, loops.loc, pair, word(e)));
      }
    return numbers;
  };
  size_t count = unitsOfWarpgroup * numKeys / 2;
  auto branch = scf::IfOp::create(b, loops.loc, SmallVector<Type>(count, f32), resumes,
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  waitForFlag(flagOf(group));
  scf::YieldOp::create(b, loops.loc, load(op.getFinalStates().front()));
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, loops.loc,
                       op.getInitial().empty() ? Values(count, loops.constant(f32, 0.0))
                                               : load(op.getInitial().front()));
  return Values(branch.getResults());
}

void WarpgroupChunk::storeStates(const Group &group, ValueRange states) {
  OpBuilder &b = loops.builder;
  renewPlaces();
  for (int64_t unit = 0; unit < unitsOfWarpgroup; ++unit)
    for (Value place : statePlaces(op.getFinalStates().front(), group, unit)) {
      Value pair = LLVM::UndefOp::create(b, loops.loc, VectorType::get({2}, f32));
      for (int64_t e = 0; e < 2; ++e)
        pair = LLVM::InsertElementOp::create(b, loops.loc, pair, states[e], word(e));
      states = states.drop_front(2);
      LLVM::StoreOp::create(b, loops.loc, pair, place);
    }
}

/// In the outputs of the last token, which are written by the block that waits.
Value WarpgroupChunk::flagOf(const Group &group) {
  bindUnit(group, unitOfWarpgroup(0));
  bindToken(plus(sizes[1], -1));
  return addressOf(outputs.memory, outputs.map);
}

void WarpgroupChunk::multiplyChunks(Value thread) {
  setRegisters(kMultiplyingRegisters, /*increase=*/true);
  bindMultiplier(thread);
  clearProducts();
  forGroups([&](const Group &group, Value before) {
    Value resumes = compare(arith::CmpIPredicate::ne, group.first, word(0));
    Values states = loadStates(group, resumes);
    forChunks(
        group, states,
        [&](Value chunk, ValueRange carried) {
          Value step = addWords(before, subWords(chunk, group.first));
          return emitChunk(Values(carried), group, chunk, step);
        },
        states);
    storeStates(group, states);
    meetWarpgroup();
    Value isUnfinished = compare(arith::CmpIPredicate::ne, group.stop, numChunks);
    Value leads = both(isEqual(warp, 0), isEqual(places.lane, 0));
    loops.when(both(isUnfinished, leads), [&] { raiseFlag(flagOf(group)); });
  });
}
