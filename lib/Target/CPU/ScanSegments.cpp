//===- ScanSegments.cpp - A recurrence in pieces of time ------------------===//
//
// Few channels and many tokens leave little to do at the same time. Then the
// sequence is cut into segments. What a segment makes of a state is linear in
// it: the state that it leaves when it starts from 0, and the product of its
// decays. A first pass finds both for every segment at once; with them the
// state that each starts from is known, and a second pass runs them all.
//
// How many segments there are follows from the shapes alone: results are the
// same for any number of threads.
//
//===----------------------------------------------------------------------===//

#include "ScanLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Segments, where the lowering decides. Each is run almost twice, so that two
/// would be in vain.
static constexpr int64_t defaultSegments = 8;
/// Tokens that a segment is worth its while for.
static constexpr int64_t minimumSegment = 1024;
/// Units of a row that are too few.
static constexpr int64_t fewUnits = 2;
/// Bytes of the states between segments, which are on the stack.
static constexpr int64_t maximumBoundaries = 128 * 1024;

/// Segments of a sequence that is long enough; 1 if it is never cut.
int64_t ScanLowering::chooseSegments() {
  ScheduleAttr schedule = op.getScheduleAttr();
  int64_t wanted = schedule ? schedule.getSegments() : 0;
  // What is erased mixes keys: the effect on a state is a matrix. A reset also
  // clears infinities and NaN, which a product with 0 does not.
  if (wanted == 1 || erases() || roles.getReset() || roles.getDecay().empty() ||
      lanes == 0)
    return 1;
  int64_t units = getUnitsOfRow();
  int64_t count = wanted > 1 ? wanted : defaultSegments;
  int64_t bytes = element.getIntOrFloatBitWidth() / 8 * parts * 2 * count *
                  units * laneBlock * innerKeys * outerKeys;
  if (bytes > maximumBoundaries || (wanted == 0 && units > fewUnits))
    return 1;
  return count;
}

int64_t ScanLowering::getUnitsOfRow() {
  int64_t units = llvm::divideCeil(lanes, laneBlock);
  for (unsigned dim : outerDims)
    units *= op.getDimSize(dim);
  return units;
}

/// Emits the segments where the sequence is long, `emitWhole` where it is not.
void ScanLowering::emitSegmentsOrWhole(int64_t count,
                                       llvm::function_ref<void()> emitWhole) {
  if (count == 1)
    return emitWhole();
  if (op.getScheduleAttr() && op.getScheduleAttr().getSegments() > 1)
    return emitSegments(count);
  Value isLong = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sge,
                                       tokens, index(count * minimumSegment));
  Value isSingle = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                                         batches, index(1));
  Value condition = arith::AndIOp::create(builder, loc, isLong, isSingle);
  emitIf(builder, loc, condition, [&] { emitSegments(count); }, emitWhole);
}

void ScanLowering::emitSegments(int64_t count) {
  int64_t units = getUnitsOfRow();
  {
    // One place for all rows of a batch; in a loop the stack would grow.
    OpBuilder::InsertionGuard guard(builder);
    Operation *function = op;
    while (!function->hasTrait<OpTrait::AutomaticAllocationScope>())
      function = function->getParentOp();
    builder.setInsertionPointToStart(&function->getRegion(0).front());
    SmallVector<int64_t> shape{count,     units,     laneBlock / width,
                               outerKeys, innerKeys, width};
    for (unsigned part = 0; part < parts; ++part) {
      endStates.push_back(allocate(shape, element));
      decayProducts.push_back(allocate(shape, element));
    }
  }
  Value length = ceilDivIndex(builder, loc, tokens, index(count));
  length = mulIndex(builder, loc,
                    ceilDivIndex(builder, loc, length, index(timeTile)),
                    index(timeTile));
  emitFor(builder, loc, index(0), batches, 1, [&](Value row) {
    for (bool ending : {true, false}) {
      int64_t number = ending ? count - 1 : count;
      emitTasks(
          builder, loc, index(number * units), index(1), std::nullopt,
          [&](Value begin, Value) {
            SmallVector<Value> digits =
                delinearize(builder, loc, begin, {index(number), index(units)});
            segment = digits[0];
            unitOfRow = digits[1];
            segmentKind = ending ? SegmentKind::ending : SegmentKind::whole;
            lastSegment = index(count - 1);
            firstStep = minIndex(
                builder, loc, mulIndex(builder, loc, segment, length), tokens);
            endStep =
                minIndex(builder, loc,
                         addIndex(builder, loc, firstStep, length), tokens);
            allocateScratch();
            emitUnit(addIndex(builder, loc,
                              mulIndex(builder, loc, row, index(units)),
                              unitOfRow));
          });
      stateScratch.clear();
      productScratch.clear();
      readScratch.clear();
    }
  });
  segmentKind = SegmentKind::none;
}

/// Runs `body` at every place of the unit's state, a vector of lanes at a time.
void ScanLowering::forStatePlaces(
    RegionEmitter &emitter,
    llvm::function_ref<void(RegionEmitter &, const Offsets &)> body) {
  forUnitLanes(emitter, 1, [&](RegionEmitter &inner, int64_t) {
    bindTile(inner);
    if (!hasKeys())
      return body(inner, inner.zeroOffsets());
    emitKeyBlocks(
        {&inner}, {},
        [&](ArrayRef<RegionEmitter *> emitters, int64_t, ValueRange) {
          body(*emitters[0], emitters[0]->zeroOffsets());
          return SmallVector<Value>();
        },
        1);
  });
}

SmallVector<Value> ScanLowering::getBoundaryPlace(Value ofSegment,
                                                  const Offsets &offsets) {
  SmallVector<Value> place{ofSegment, unitOfRow, getVector(tile, offsets)};
  if (hasKeys())
    place.append({outerKey,
                  addIndex(builder, loc, keyBase, index(offsets[*innerKey])),
                  index(0)});
  else
    place.append(3, index(0));
  return place;
}

ScanLowering::Number ScanLowering::loadNumber(ArrayRef<Value> memory,
                                              ValueRange place) {
  Number number;
  for (Value part : memory)
    number.push_back(loadScratch(part, place));
  return number;
}

void ScanLowering::storeNumber(const Number &number, ArrayRef<Value> memory,
                               ValueRange place) {
  for (auto [part, scratch] : llvm::zip(number, memory))
    storeScratch(part, scratch, place);
}

ScanLowering::Number ScanLowering::oneState(RegionEmitter &emitter) {
  Number one = zeroState(emitter);
  Type type = emitter.getLanesType(element);
  TypedAttr attr = builder.getFloatAttr(element, 1.0);
  if (auto vectorType = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vectorType, Attribute(attr));
  one[0] = arith::ConstantOp::create(builder, loc, attr);
  return one;
}

/// The state that the segment starts from: the first one's, changed by the
/// segments before it in turn.
ScanLowering::Number ScanLowering::getCarried(const Offsets &offsets) {
  SmallVector<Value> first =
      loadNumber(endStates, getBoundaryPlace(index(0), offsets));
  SmallVector<Value> state = emitFor(
      builder, loc, index(0), segment, 1, first,
      [&](Value before, ValueRange carried) {
        Value next = addIndex(builder, loc, before, index(1));
        Number result = multiplyAdd(
            loadNumber(decayProducts, getBoundaryPlace(before, offsets)),
            Number(carried.begin(), carried.end()),
            loadNumber(endStates, getBoundaryPlace(next, offsets)));
        return SmallVector<Value>(result.begin(), result.end());
      });
  return Number(state.begin(), state.end());
}

/// Leaves what the segment makes of a state, at one place: the state from 0
/// beside the next segment, the product beside its own.
void ScanLowering::storeEnding(const Number &state, const Number &product,
                               const Offsets &offsets) {
  Value next = addIndex(builder, loc, segment, index(1));
  storeNumber(state, endStates, getBoundaryPlace(next, offsets));
  storeNumber(product, decayProducts, getBoundaryPlace(segment, offsets));
}

/// The first pass over one step: a state and the product of decays.
void ScanLowering::advance(RegionEmitter &emitter, Number &state,
                           Number &product, const Offsets &offsets) {
  state = getNext(emitter, state, {}, offsets);
  product = multiply(getRole(emitter, roles.getDecay(), 0, offsets), product);
}

/// The first segment's task notes the initial state, which the last one's may
/// overwrite in the second pass.
void ScanLowering::emitInitialBoundary(RegionEmitter &emitter) {
  Value isFirst = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                                        segment, index(0));
  auto branch = scf::IfOp::create(builder, loc, isFirst, false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  forStatePlaces(emitter, [&](RegionEmitter &at, const Offsets &point) {
    Number state = zeroState(at);
    for (unsigned part = 0; part < parts && !initial.empty(); ++part)
      state[part] = convert(at.splat(at.load(initial[part], point)), element);
    storeNumber(state, endStates, getBoundaryPlace(index(0), point));
  });
}

/// The first pass over a tile, for a block of keys in registers.
void ScanLowering::emitEndingTile(RegionEmitter &staged,
                                  RegionEmitter &epilogue, int64_t vectors) {
  emitKeyBlocks(
      {&staged, &epilogue}, {},
      [&](ArrayRef<RegionEmitter *> emitters, int64_t keys, ValueRange) {
        auto body = [&](RegionEmitter &at, RegionEmitter &) {
          SmallVector<Offsets> points = getKeyPoints(keys);
          SmallVector<Value> carried;
          for (const Offsets &point : points)
            for (ArrayRef<Value> memory : {ArrayRef<Value>(stateScratch),
                                           ArrayRef<Value>(productScratch)})
              llvm::append_range(carried,
                                 loadNumber(memory, getStatePlace(point)));
          at.hoist(coefficientsBody, points);
          carried = emitSteps(carried, [&](Value token, ValueRange values) {
            RegionEmitter emitter = at;
            emitter.bindDim(1, token);
            SmallVector<Value> next;
            for (auto [k, point] : llvm::enumerate(points)) {
              auto from = values.begin() + 2 * k * parts;
              Number state(from, from + parts);
              Number product(from + parts, from + 2 * parts);
              advance(emitter, state, product, point);
              llvm::append_range(next, state);
              llvm::append_range(next, product);
            }
            return next;
          });
          for (auto [k, point] : llvm::enumerate(points)) {
            auto *from = carried.begin() + 2 * k * parts;
            storeNumber(Number(from, from + parts), stateScratch,
                        getStatePlace(point));
            storeNumber(Number(from + parts, from + 2 * parts), productScratch,
                        getStatePlace(point));
          }
        };
        forGroupVectors(*emitters[0], *emitters[1], vectors, 1, body);
        return SmallVector<Value>();
      },
      std::max<int64_t>(keyBlock / 2, 1));
}
