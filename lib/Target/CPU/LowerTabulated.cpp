//===- LowerTabulated.cpp - Schedule of tabulated chunks ------------------===//

#include "TabulatedLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Bytes of scratch memory of a tile: what the first cache holds. The tables come from
/// the second, once for every block of columns, however many chunks a tile has.
static constexpr int64_t scratchBytes = 48 * 1024;
/// Units of a group: lines of memory are fetched in pairs. Four were no faster, and are
/// tables of twice as many bytes in the second cache.
static constexpr int64_t unitsOfGroup = 2;
/// Bytes of tables of a group: what the second cache holds beside everything else.
static constexpr int64_t groupBytes = 512 * 1024;
/// Groups of a row of the batch, at least, as a thread computes whole ones.
static constexpr int64_t minimumGroups = 8;
/// Tokens that one block of a product fetches ahead; more would not be hidden by it.
static constexpr int64_t maximumShare = 32;

TabulatedLowering::TabulatedLowering(RewriterBase &builder, ScanOp op,
                                     const VectorTarget &target)
    : builder(builder), op(op), loc(op.getLoc()), target(target),
      roles(op.getCoefficientsOp()),
      coefficientsBody(op.getCoefficients().front()),
      epilogueBody(op.getEpilogue().front()), numDims(op.getNumDims()),
      coefficientsBase(builder, loc, numDims),
      epilogueBase(builder, loc, numDims) {}

/// Sizes, from the tables; false if those are not of this op's dimensions.
bool TabulatedLowering::chooseSizes() {
  auto shapeOf = [&](unsigned table) {
    return cast<MemRefType>(op.getTables()[table].getType()).getShape();
  };
  ArrayRef<int64_t> write = shapeOf(0);
  rows = write[2];
  chunk = write[3];
  inputs = write[4];
  copies = shapeOf(1)[2];
  parts = op.getNumStates();
  outputs = op.getNumOutputs();
  dense = shapeOf(3).size() == 6;
  form.onOuter = write[0] > 1;
  form.onLane = write[5] > 1;
  if (form.lane) {
    lanes = op.getDimSize(*form.lane);
    width = form.onLane ? write[5]
                        : std::min<int64_t>(
                              target.getLanes(element.getIntOrFloatBitWidth()),
                              llvm::PowerOf2Ceil(lanes));
    tiles = llvm::divideCeil(lanes, width);
  }
  if (target.getRegisters() < 32)
    blockColumns = 3;
  int64_t ofChunk = (rows + chunk * (inputs + outputs)) * width *
                    element.getIntOrFloatBitWidth() / 8;
  tileChunks = blockColumns *
               std::clamp<int64_t>(scratchBytes / (ofChunk * blockColumns), 1, 4);
  int64_t tableBytes = rows * chunk * (inputs + copies * outputs) * write[5] *
                       element.getIntOrFloatBitWidth() / 8;
  if (tiles % unitsOfGroup == 0 && unitsOfGroup * tableBytes <= groupBytes &&
      tiles * InvariantForm::getExtent(op, form.outer) >= unitsOfGroup * minimumGroups)
    groupUnits = unitsOfGroup;
  return rows == parts * InvariantForm::getExtent(op, form.rows) &&
         copies == InvariantForm::getExtent(op, form.copies) &&
         write[1] == (form.onLane ? tiles : 1) &&
         (!form.onOuter || write[0] == InvariantForm::getExtent(op, form.outer));
}

/// Time for one token of a unit, in nanoseconds.
double TabulatedLowering::getUnitTokenCost() {
  double carry = rows * (dense ? rows : parts) / double(chunk);
  double products = double(rows) * (inputs + copies * outputs) + carry +
                    0.5 * chunk * inputs * copies * outputs;
  return (products + 30.0 * (inputs + copies)) * 0.2;
}

LogicalResult TabulatedLowering::run() {
  if (epilogueBody.walk([&](Operation *inner) {
        return inner->getNumRegions() ? WalkResult::interrupt()
                                      : WalkResult::advance();
      }).wasInterrupted())
    return failure();
  std::optional<InvariantForm> found = getInvariantDims(op);
  if (!found)
    return failure();
  form = std::move(*found);
  element = op.getStateType();
  if (!chooseSizes())
    return failure();

  bindOperands(op, coefficientsBase, epilogueBase);
  bindOutputs(epilogueBase, {});
  if (form.lane) {
    auto copies = llvm::make_filter_range(
        form.copies, [&](unsigned dim) { return op.getDimSize(dim) > 1; });
    streams = getStreams(op, *form.lane, llvm::to_vector(copies));
  }

  builder.setInsertionPoint(op);
  auto getExtent = [&](int64_t axis) {
    return builder.createOrFold<memref::DimOp>(loc, op.getOutputInits().front(), axis);
  };
  batches = getExtent(0);
  tokens = getExtent(1);
  int64_t ofRow = tiles * InvariantForm::getExtent(op, form.outer);
  emitUnitTasks(builder, op, batches, ofRow / groupUnits, tokens,
                groupUnits * getUnitTokenCost(),
                [&](Value begin, Value end) { emitTask(begin, end); });
  builder.eraseOp(op);
  return success();
}

//===----------------------------------------------------------------------===//
// Schedule
//===----------------------------------------------------------------------===//

Value TabulatedLowering::allocate(int64_t rows) {
  return memref::AllocaOp::create(builder, loc,
                                  MemRefType::get({rows, width}, element),
                                  builder.getI64IntegerAttr(64));
}

void TabulatedLowering::emitTask(Value begin, Value end) {
  state = allocate(groupUnits * rows);
  if (dense)
    nextState = allocate(rows);
  values = allocate(tileChunks * (chunk * inputs + 1));
  carried = allocate(tileChunks * (rows + rowPadding));
  results = allocate(tileChunks * chunk * outputs);
  emitFor(builder, loc, begin, end, 1, [&](Value group) { emitGroup(group); });
}

/// A tile of each unit of the group, then the next one of each.
void TabulatedLowering::emitGroup(Value group) {
  auto forUnits = [&](UnitBody body) {
    emitFor(builder, loc, index(0), index(groupUnits), 1, [&](Value number) {
      unitInGroup = number;
      emitUnit(group, body);
    });
  };
  auto emitTiles = [&](Value firstToken, Value lastToken, int64_t length) {
    int64_t step = tileChunks * length;
    emitFor(builder, loc, firstToken, lastToken, step, [&](Value start) {
      Value count = minIndex(builder, loc, minus(lastToken, start), index(step));
      Value chunks = count;
      if (length > 1)
        chunks = builder.createOrFold<arith::DivUIOp>(loc, count, index(length));
      forUnits([&](RegionEmitter &coefficients, RegionEmitter &epilogue) {
        emitTile(coefficients, epilogue, start, chunks, length);
      });
    });
  };
  forUnits([&](RegionEmitter &coefficients, RegionEmitter &) {
    emitBoundary(coefficients, /*load=*/true);
  });
  Value whole = times(
      builder.createOrFold<arith::DivUIOp>(loc, tokens, index(chunk)), chunk);
  emitTiles(index(0), whole, chunk);
  if (chunk > 1)
    emitTiles(whole, tokens, 1);
  forUnits([&](RegionEmitter &coefficients, RegionEmitter &) {
    emitBoundary(coefficients, /*load=*/false);
  });
}

/// Runs `body` at the lanes of a unit. Rows of the batch follow each other, so that the
/// tables of a group are read again soon.
void TabulatedLowering::emitUnit(Value group, UnitBody body) {
  SmallVector<Value> extents;
  for (unsigned dim : form.outer)
    extents.push_back(index(op.getDimSize(dim)));
  extents.push_back(index(tiles / groupUnits));
  extents.push_back(batches);
  SmallVector<Value> digits = delinearize(builder, loc, group, extents);
  RegionEmitter coefficients = coefficientsBase;
  RegionEmitter epilogue = epilogueBase;
  outerNumber = index(0);
  for (RegionEmitter *emitter : {&coefficients, &epilogue}) {
    emitter->bindDim(0, digits.back());
    for (auto [i, dim] : llvm::enumerate(form.outer))
      emitter->bindDim(dim, digits[i]);
  }
  if (form.onOuter)
    for (auto [i, dim] : llvm::enumerate(form.outer))
      outerNumber = plus(times(outerNumber, op.getDimSize(dim)), digits[i]);
  Value tile = plus(times(digits[form.outer.size()], groupUnits), unitInGroup);
  tileNumber = form.onLane ? tile : index(0);
  coefficients.hoist(coefficientsBody, {coefficients.zeroOffsets()});
  epilogue.hoist(epilogueBody, {epilogue.zeroOffsets()});
  if (!form.lane)
    return body(coefficients, epilogue);
  firstLane = times(tile, width);
  endLane = minIndex(builder, loc, at(firstLane, width), index(lanes));
  emitLaneLoops(coefficients, loc, *form.lane, firstLane, endLane, width, 1, lanes,
                [&](RegionEmitter &inner, int64_t) {
                  RegionEmitter after = epilogue;
                  after.setLanes(inner.getLanes());
                  after.bindDim(*form.lane, inner.getDim(*form.lane));
                  body(inner, after);
                });
}

/// `chunks` chunks of `length` tokens, from the token `first` on.
void TabulatedLowering::emitTile(RegionEmitter &coefficients, RegionEmitter &epilogue,
                                 Value first, Value chunks, int64_t length) {
  firstToken = first;
  point = &coefficients;
  stageInputs(coefficients, first, chunks, length);
  emitWrites(chunks, length);
  emitCarry(chunks, length);
  SmallVector<Value> extents;
  for (unsigned dim : form.copies)
    extents.push_back(index(op.getDimSize(dim)));
  emitFor(builder, loc, index(0), index(copies), 1, [&](Value copy) {
    RegionEmitter copied = epilogue;
    SmallVector<Value> digits = delinearize(builder, loc, copy, extents);
    for (auto [dim, digit] : llvm::zip(form.copies, digits))
      copied.bindDim(dim, digit);
    emitReads(copy, chunks, length);
    emitOutputs(copied, first, chunks, length);
  });
}

//===----------------------------------------------------------------------===//
// Between memory and scratch
//===----------------------------------------------------------------------===//

/// Moves the state between the buffers of the op and scratch memory.
void TabulatedLowering::emitBoundary(RegionEmitter &emitter, bool load) {
  SmallVector<Value> extents;
  for (unsigned dim : form.rows)
    extents.push_back(index(op.getDimSize(dim)));
  emitFor(builder, loc, index(0), index(rows / parts), 1, [&](Value key) {
    RegionEmitter point = emitter;
    SmallVector<Value> digits = delinearize(builder, loc, key, extents);
    for (auto [dim, digit] : llvm::zip(form.rows, digits))
      point.bindDim(dim, digit);
    Offsets here = point.zeroOffsets();
    for (int64_t part = 0; part < parts; ++part) {
      Value row = getStatePlace(at(times(key, parts), part));
      if (!load) {
        Access access{op.getFinalStates()[part], op.getStateMap()};
        Type type = cast<MemRefType>(access.memref.getType()).getElementType();
        point.store(access, convert(loadRow(state, row), type), here);
        continue;
      }
      Value value = zero();
      if (!op.getInitial().empty())
        value = convert(
            point.splat(point.load({op.getInitial()[part], op.getStateMap()}, here)),
            element);
      storeRow(value, state, row);
    }
  });
}

/// Runs `emit` for the tokens of the chunks, in the order of the recurrence.
void TabulatedLowering::forTokens(
    RegionEmitter &emitter, Block &body, Value first, Value chunks, int64_t length,
    llvm::function_ref<void(RegionEmitter &, Value, Value)> emit) {
  emitFor(builder, loc, index(0), chunks, 1, [&](Value number) {
    Value before = plus(first, times(number, length));
    emitFor(builder, loc, index(0), index(length), 1, [&](Value step) {
      Value token = plus(before, step);
      if (op.getReverse())
        token = minus(at(tokens, -1), token);
      RegionEmitter inner = emitter;
      inner.bindDim(1, token);
      inner.hoist(body, {inner.zeroOffsets()});
      emit(inner, number, step);
    });
  });
}

void TabulatedLowering::stageInputs(RegionEmitter &emitter, Value first, Value chunks,
                                    int64_t length) {
  forTokens(emitter, coefficientsBody, first, chunks, length,
            [&](RegionEmitter &inner, Value number, Value step) {
              for (auto [which, input] : llvm::enumerate(roles.getInputs())) {
                Value value = inner.getVector(input, inner.zeroOffsets());
                storeRow(convert(value, element), values,
                         getValuePlace(number, step, which, length));
              }
            });
}

/// Rows of memory are pages apart, where no processor looks ahead by itself. Each block
/// of a tile's first product fetches its share of the next tile: of a row, the lines
/// of all units of the group together.
void TabulatedLowering::emitPrefetch(Value firstRow, Value firstChunk) {
  int64_t tileTokens = tileChunks * chunk;
  int64_t rowBlocks = llvm::divideCeil(rows, blockRows);
  int64_t share = llvm::divideCeil(tileTokens, rowBlocks * (tileChunks / blockColumns));
  if (streams.empty() || share > maximumShare)
    return;
  Value block = plus(
      times(builder.createOrFold<arith::DivUIOp>(loc, firstChunk, index(blockColumns)),
            rowBlocks),
      builder.createOrFold<arith::DivUIOp>(loc, firstRow, index(blockRows)));
  block = plus(times(unitInGroup, rowBlocks * (tileChunks / blockColumns)), block);
  Value groupLane = minus(firstLane, times(unitInGroup, width));
  Value first = times(block, share), next = at(firstToken, tileTokens);
  Value last = at(tokens, -1);
  for (int64_t i = 0; i < share; ++i) {
    Value number = at(first, i), group = index(groupUnits);
    Value line = builder.createOrFold<arith::RemUIOp>(loc, number, group);
    number = builder.createOrFold<arith::DivUIOp>(loc, number, group);
    // Inside the arrays, though a wrong address would do no harm.
    Value token = minIndex(builder, loc, plus(next, number), last);
    if (op.getReverse())
      token = minus(last, token);
    RegionEmitter ahead = *point;
    ahead.bindDim(1, token);
    ahead.bindDim(*form.lane, plus(groupLane, times(line, width)));
    for (unsigned dim : form.copies)
      ahead.bindDim(dim, index(0));
    for (const Stream &stream : streams)
      stream.emitPrefetch(ahead, ahead.zeroOffsets(), stream.written);
  }
}

/// The epilogue sees the reads as its first arguments.
void TabulatedLowering::bindOutputs(RegionEmitter &epilogue, ArrayRef<Value> reads) {
  llvm::SmallBitVector dims(numDims);
  dims.set(1);
  if (form.lane)
    dims.set(*form.lane);
  for (int64_t output = 0; output < outputs; ++output) {
    Value value;
    if (!reads.empty())
      value = convert(reads[output], epilogueBody.getArgument(output).getType());
    epilogue.bindSource(
        epilogueBody.getArgument(output), [value](const Offsets &) { return value; },
        dims, /*varies=*/true);
  }
}

void TabulatedLowering::emitOutputs(RegionEmitter &epilogue, Value first, Value chunks,
                                    int64_t length) {
  forTokens(epilogue, epilogueBody, first, chunks, length,
            [&](RegionEmitter &inner, Value number, Value step) {
              step = plus(times(number, length), step);
              SmallVector<Value> reads, yielded;
              for (int64_t output = 0; output < outputs; ++output)
                reads.push_back(
                    loadRow(results, at(times(step, outputs), output)));
              bindOutputs(inner, reads);
              Offsets here = inner.zeroOffsets();
              for (Value value : op.getEpilogueYield().getValues())
                yielded.push_back(inner.getVector(value, here));
              for (auto [output, value] : llvm::zip(op.getOutputInits(), yielded))
                inner.store({output, op.getOutputMap()}, value, here);
            });
}

LogicalResult ssmc::cpu::lowerTabulated(RewriterBase &rewriter, ScanOp op,
                                        const VectorTarget &target) {
  ScheduleAttr schedule = op.getScheduleAttr();
  if (op.getTables().empty() || !schedule || schedule.getMode() != ScanMode::chunk ||
      !isa<MemRefType>(op.getOuts().front().getType()))
    return failure();
  return TabulatedLowering(rewriter, op, target).run();
}
