//===- LowerTabulated.cpp - Sizes and schedule of chunks by tables --------===//

#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Lowering.h"
#include "Target/NVPTX/TabulatedKernel.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

namespace {
/// Numbers of a state whose tables fit into the registers of a warp.
constexpr int64_t kMaxNumbers = 64;
/// Rows of the batch of a block where there are so many, or nearly.
constexpr int64_t kManyRows = 8, kNearlyMany = 4;
} // namespace

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

TabulatedKernel::TabulatedKernel(ScanOp op, OpBuilder &builder, int64_t rows)
    : KernelEmitter(builder, op.getLoc()), op(op), cores(loops, /*terms=*/1),
      roles(op.getCoefficientsOp()), f32(builder.getF32Type()), i32(builder.getI32Type()),
      batchRows(rows), groups(kTile / rows), tileTokens(2 * groups * kChunk),
      point(op.getNumDims()), sizes(op.getNumDims()) {}

bool TabulatedKernel::isVector(Value memref, AffineMap map) {
  Type type = getElementTypeOrSelf(memref.getType());
  return isa<FloatType>(type) && type.getIntOrFloatBitWidth() == 16 &&
         getNeighbours(memref, map, *form.lane) % kChannels == 0;
}

std::optional<unsigned> TabulatedKernel::addStream(Value memref, AffineMap map) {
  if (!map.isFunctionOfDim(1) || !isVector(memref, map))
    return std::nullopt;
  for (auto [number, stream] : llvm::enumerate(streams))
    if (stream.memref == memref && stream.map == map)
      return unsigned(number);
  streams.push_back({memref, map});
  return streams.size() - 1;
}

/// Of the coefficients' arguments only what the inputs are computed of changes with time.
bool TabulatedKernel::findStreams() {
  for (auto [number, memref] : llvm::enumerate(op.getIns())) {
    AffineMap map = op.getInsMap(number);
    argumentStreams.push_back(addStream(memref, map));
    if (!argumentStreams.back() && map.isFunctionOfDim(1))
      return false;
  }
  Value input = roles.getInputs().front();
  if (auto widened = input.getDefiningOp<arith::ExtFOp>())
    input = widened.getIn();
  auto argument = dyn_cast<BlockArgument>(input);
  if (argument && argument.getType().isBF16())
    copied = argumentStreams[argument.getArgNumber()];
  return true;
}

bool TabulatedKernel::fits() {
  if (!op.hasPureBufferSemantics() || op.getTables().size() != 4 ||
      roles.getInputs().size() != 1 || op.getNumOutputs() != 1)
    return false;
  for (Region *region : {&op.getCoefficients(), &op.getEpilogue()})
    for (Operation &inner : region->front())
      if (inner.getNumRegions())
        return false;
  auto shapeOf = [&](unsigned table) {
    return cast<MemRefType>(op.getTables()[table].getType()).getShape();
  };
  ArrayRef<int64_t> writeShape = shapeOf(0);
  std::optional<InvariantForm> dims = getInvariantDims(op);
  bool isMatrix = shapeOf(3).size() == 6;
  if (!dims || !dims->lane || !dims->copies.empty() || isMatrix ||
      writeShape[3] != kChunk || writeShape[5] != 1 ||
      !getElementTypeOrSelf(op.getTables()[0].getType()).isF32())
    return false;
  form = std::move(*dims);
  form.onOuter = writeShape[0] > 1;
  form.onLane = writeShape[1] > 1;
  outerExtent = InvariantForm::getExtent(op, form.outer);
  numbers = writeShape[2];
  paddedNumbers = llvm::alignTo(numbers, kDepth);
  parts = op.getNumStates();
  channels = op.getDimSize(*form.lane);
  Value output = op.getOutputInits().front();
  bool isOfOp = numbers == parts * InvariantForm::getExtent(op, form.rows) &&
                (!form.onLane || writeShape[1] == channels) &&
                (!form.onOuter || writeShape[0] == outerExtent);
  return isOfOp && paddedNumbers <= kMaxNumbers && channels % kChannels == 0 &&
         getElementTypeOrSelf(output).isBF16() && isVector(output, op.getOutputMap()) &&
         findStreams();
}

SmallVector<Value> TabulatedKernel::getVectorMemory() {
  SmallVector<Value> memory{op.getOutputInits().front()};
  for (const Stream &stream : streams)
    memory.push_back(stream.memref);
  return memory;
}

//===----------------------------------------------------------------------===//
// States
//===----------------------------------------------------------------------===//

Value TabulatedKernel::bindToken(Value step) {
  Value last = loops.sub(length, loops.index(1));
  Value token = min(step, last);
  point[1] = op.getReverse() ? loops.sub(last, token) : token;
  return loops.less(step, length);
}

Value TabulatedKernel::bindNumber(Value number) {
  Value isThere = loops.less(number, loops.index(numbers));
  Value key = quotient(min(number, loops.index(numbers - 1)), parts);
  for (unsigned dim : llvm::reverse(form.rows)) {
    int64_t size = op.getDimSize(dim);
    point[dim] = remainder(key, size);
    key = quotient(key, size);
  }
  return isThere;
}

/// The pair number `i` of a thread is of the numbers `8 i + laneColumn` and the next.
SmallVector<Value> TabulatedKernel::loadStates() {
  SmallVector<Value> states;
  for (int64_t i = 0; i < paddedNumbers / kTile; ++i)
    for (int64_t which = 0; which < 2; ++which) {
      if (op.getInitial().empty()) {
        states.push_back(zero());
        continue;
      }
      Value isNumber = bindNumber(plus(laneColumn, i * kTile + which));
      Value initial = op.getInitial()[parts == 1 ? 0 : which];
      Value state = loops.convert(loadAtPoint(initial, op.getStateMap()), f32);
      states.push_back(loops.select(isNumber, state, zero()));
    }
  return states;
}

void TabulatedKernel::storeStates(ValueRange states) {
  Value isFirst = loops.less(group, loops.index(1));
  for (auto [i, state] : llvm::enumerate(states)) {
    Value isNumber = bindNumber(plus(laneColumn, i / 2 * kTile + i % 2));
    loops.when(both(both(isFirst, isRow), isNumber), [&, i = i, &state = state] {
      loops.store(state, op.getFinalStates()[parts == 1 ? 0 : i % 2],
                  loops.apply(op.getStateMap(), point));
    });
  }
}

SmallVector<Value> TabulatedKernel::runRest(Value begin, ValueRange states) {
  SmallVector<Pair> transition, gains;
  for (int64_t i = 0; i < paddedNumbers / kTile; ++i) {
    Pair &power = transition.emplace_back(), &gain = gains.emplace_back();
    for (int64_t which = 0; which < 2; ++which) {
      Value number = plus(laneColumn, i * kTile + which);
      power[which] = loadOfNumber(number, [&](Value at) {
        return loadTable(3, {loops.index(0), at});
      });
      gain[which] = loadOfNumber(number, [&](Value at) {
        return loadTable(0, {at, loops.index(kChunk - 1), loops.index(0)});
      });
    }
  }
  return loops.reduce(begin, length, states, [&](Value step, ValueRange carried) {
    bindToken(step);
    Value input = evaluateInput([&](unsigned argument) {
      return loadAtPoint(op.getIns()[argument], op.getInsMap(argument));
    });
    SmallVector<Value> after;
    for (int64_t i = 0; i < paddedNumbers / kTile; ++i) {
      Pair written = {loops.mul(gains[i][0], input), loops.mul(gains[i][1], input)};
      Pair state = advance({carried[2 * i], carried[2 * i + 1]}, transition[i], written);
      after.append(state.begin(), state.end());
    }
    return after;
  });
}

//===----------------------------------------------------------------------===//
// Schedule
//===----------------------------------------------------------------------===//

void TabulatedKernel::bindThread(Value thread, Value block) {
  lane = remainder(thread, kWarp);
  warp = quotient(thread, kWarp);
  int64_t tiles = channels / kChannels;
  firstChannel = times(remainder(block, tiles), kChannels);
  channel = loops.add(firstChannel, warp);
  tableTile = form.onLane ? channel : loops.index(0);
  block = quotient(block, tiles);
  tableOuter = form.onOuter ? remainder(block, outerExtent) : loops.index(0);
  for (unsigned dim : llvm::reverse(form.outer)) {
    int64_t size = op.getDimSize(dim);
    point[dim] = remainder(block, size);
    block = quotient(block, size);
  }
  Value row = quotient(lane, 4);
  laneColumn = times(remainder(lane, 4), 2);
  group = quotient(row, batchRows);
  row = loops.add(times(block, batchRows), remainder(row, batchRows));
  isRow = loops.less(row, sizes[0]);
  point[0] = min(row, loops.sub(sizes[0], loops.index(1)));
}

/// What a tile's loads have been put into takes those of a later one.
SmallVector<Value> TabulatedKernel::emitStep(Value tile, bool isWhole,
                                             ValueRange carried) {
  size_t numStates = paddedNumbers / 4, perTile = 2 * streams.size();
  ValueRange states = carried.take_front(numStates);
  ValueRange loaded = carried.drop_front(numStates);
  stageTile(loaded.take_front(perTile), remainder(plus(tile, 1), kStages));
  Words next = loadTile(plus(tile, kTilesAhead));
  Value stage = remainder(tile, kStages);
  SmallVector<Value> after = emitTile(tile, stage, states, isWhole);
  gpu::BarrierOp::create(loops.builder, loops.loc);
  storeTile(tile, stage);
  llvm::append_range(after, loaded.drop_front(perTile));
  llvm::append_range(after, next);
  return after;
}

SmallVector<Value> TabulatedKernel::forTiles(Value begin, Value end, int64_t step,
                                             bool areWhole, ValueRange before) {
  OpBuilder &b = loops.builder;
  auto loop = scf::ForOp::create(
      b, loops.loc, begin, end, loops.index(step), before,
      [&](OpBuilder &, Location, Value tile, ValueRange arguments) {
        SmallVector<Value> carried(arguments);
        for (int64_t i = 0; i < step; ++i)
          carried = emitStep(plus(tile, i), areWhole, carried);
        scf::YieldOp::create(b, loops.loc, carried);
      });
  return loop.getResults();
}

void TabulatedKernel::run() {
  OpBuilder &b = loops.builder;
  loops.bindSizes(op, sizes);
  length = sizes[1];
  Value blocks = times(ceilQuotient(sizes[0], batchRows),
                       outerExtent * channels / kChannels);
  OpBuilder::InsertionGuard guard(b);
  gpu::LaunchOp launch =
      startLaunch(b, loops.loc, blocks, loops.index(1), kThreads,
                  sharedType({kStages, kChannels, kWords, kWarp}, i32));
  buffer = launch.getWorkgroupAttributions().front();
  llvm::fill(point, loops.index(0));
  bindThread(launch.getThreadIds().x, launch.getBlockIds().x);
  bindChannel();
  loadTables();
  SmallVector<Value> carried = loadStates();
  size_t numStates = carried.size();
  Words first = loadTile(loops.index(0));
  for (int64_t tile = 1; tile < kTilesAhead; ++tile)
    llvm::append_range(carried, loadTile(loops.index(tile)));
  stageTile(first, loops.index(0));
  gpu::BarrierOp::create(b, loops.loc);
  // As many tiles in a step as are on their way, so that none of their registers move.
  constexpr int64_t step = kTilesAhead - 1;
  Value whole = times(quotient(length, step * tileTokens), step);
  carried = forTiles(loops.index(0), whole, step, /*areWhole=*/true, carried);
  Value all = ceilQuotient(length, tileTokens);
  carried = forTiles(whole, all, /*step=*/1, /*areWhole=*/false, carried);
  Value rest = times(quotient(length, kChunk), kChunk);
  bindChannel();
  storeStates(runRest(rest, ValueRange(carried).take_front(numStates)));
}

bool nvptx::fitsTables(ScanOp op) {
  OpBuilder builder(op);
  return TabulatedKernel(op, builder, kManyRows).fits();
}

LogicalResult nvptx::lowerTabulated(RewriterBase &rewriter, ScanOp op) {
  ScheduleAttr schedule = op.getScheduleAttr();
  TabulatedKernel probe(op, rewriter, kManyRows);
  if (!schedule || schedule.getMode() != ScanMode::chunk || !probe.fits())
    return failure();
  ssmc::detail::Loops loops(rewriter, op.getLoc());
  auto emit = [&](int64_t rows) {
    TabulatedKernel kernel(op, rewriter, rows);
    kernel.fits();
    kernel.run();
  };
  Value isAligned =
      areAligned(rewriter, op.getLoc(), probe.getVectorMemory(), kVectorBytes);
  loops.when(
      isAligned,
      [&] {
        Value isMany = loops.less(loops.index(kNearlyMany - 1),
                                  loops.size(op.getOutputInits().front(), 0));
        loops.when(isMany, [&] { emit(kManyRows); }, [&] { emit(/*rows=*/1); });
      },
      [&] {
        auto scan = cast<ScanOp>(rewriter.clone(*op));
        scan.dropTables();
        rewriter.setInsertionPoint(scan);
        (void)lowerScan(rewriter, scan, /*cooperative=*/true, MatmulOp(), Device());
      });
  rewriter.eraseOp(op);
  return success();
}
