//===- LowerAttend.cpp - Analysis and schedule of sums over seen tokens ---===//

#include "AttendLowering.h"
#include "CarriedTokens.h"

#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Bytes of scratch memory of one task, on its stack and in its second cache.
static constexpr int64_t scratchBytes = 512 * 1024;
/// Queries of a block and keys of a tile: at most, and at least.
static constexpr int64_t longestBlock = 64, longestTile = 64, shortestTile = 16;
/// Rows of a block are a multiple of this: whole blocks of every product.
static constexpr int64_t rowMultiple = 8;

AttendLowering::AttendLowering(RewriterBase &builder, AttendOp op,
                               const VectorTarget &target)
    : BlockProducts(builder, op.getLoc(), target), op(op),
      body(op.getScore().front()), numDims(op.getNumDims()),
      sizes(op.getNumDims(), -1), base(builder, op.getLoc(), op.getNumDims()) {}

//===----------------------------------------------------------------------===//
// Analysis
//===----------------------------------------------------------------------===//

/// Extents of the lanes and of what is summed over; false if one is not static.
bool AttendLowering::findSizes(AffineMap map, Value operand) {
  auto type = cast<MemRefType>(operand.getType());
  for (auto [axis, expr] : llvm::enumerate(map.getResults())) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim || dim.getPosition() < 3)
      continue;
    if (type.isDynamicDim(axis))
      return false;
    sizes[dim.getPosition()] = type.getDimSize(axis);
  }
  return true;
}

int64_t AttendLowering::getExtent(ArrayRef<unsigned> dims) {
  int64_t extent = 1;
  for (unsigned dim : dims)
    extent *= sizes[dim];
  return extent;
}

/// Puts last what is contiguous in memory, for the lanes.
void AttendLowering::orderDims(SmallVector<unsigned> &dims, Access access) {
  auto *unit = llvm::find_if(
      dims, [&](unsigned dim) { return getStride(access, dim) == Stride::unit; });
  if (unit != dims.end())
    std::rotate(unit, unit + 1, dims.end());
}

/// Elements of a row of scratch memory for all points of `dims`. Vectors that begin at
/// the last point of several dimensions end after it.
int64_t AttendLowering::getPitch(ArrayRef<unsigned> dims) {
  int64_t pitch = llvm::alignTo(getExtent(dims), width);
  return dims.size() > 1 && sizes[dims.back()] % width != 0 ? pitch + width : pitch;
}

int64_t AttendLowering::getScratchBytes() {
  int64_t elements = tile * getPitch(valueLanes) + block * columns + tile + 4 * block;
  for (const Pair &pair : pairs)
    elements += block * pair.depth + tile * getPitch(pair.dims) + tile * block;
  if (pairs.empty())
    elements += tile * block;
  elements += int64_t(op.getScoreIns().size()) * (tile + block);
  return elements * element.getIntOrFloatBitWidth() / 8 + 2 * block * 8;
}

bool AttendLowering::chooseSizes() {
  columns = llvm::alignTo(getExtent(valueLanes), width);
  int64_t least = std::max(width, rowMultiple);
  block = std::max(longestBlock, least);
  if (std::optional<int64_t> known = getConstant(tokens))
    block = std::min<int64_t>(block, llvm::alignTo(std::max<int64_t>(*known, 1), least));
  tile = longestTile;
  while (getScratchBytes() > scratchBytes) {
    if (tile > longestTile / 2)
      tile /= 2;
    else if (block > least)
      block /= 2;
    else if (tile > shortestTile)
      tile /= 2;
    else
      return false;
  }
  return true;
}

/// Nanoseconds of a block of queries for one key.
double AttendLowering::getTileKeyCost() {
  double products = columns + 20;
  for (const Pair &pair : pairs)
    products += pair.depth;
  return block * products / width * 0.3;
}

/// Whether an operand of the score is at places that stay the same where both tokens
/// advance.
bool AttendLowering::isWindow(unsigned scoreIn) {
  AffineMap map = op.getScoreMap(scoreIn);
  if (!isa<FloatType>(getElementTypeOrSelf(op.getScoreIns()[scoreIn])))
    return false;
  MLIRContext *context = op.getContext();
  SmallVector<AffineExpr> next;
  for (unsigned dim = 0; dim < numDims; ++dim) {
    AffineExpr expr = getAffineDimExpr(dim, context);
    next.push_back(dim == 1 || dim == 2 ? expr + 1 : expr);
  }
  return map.isFunctionOfDim(1) && map.isFunctionOfDim(2) &&
         llvm::all_of(map.getResults(), [&](AffineExpr expr) {
           return simplifyAffineExpr(expr.replaceDims(next) - expr, numDims, 0) ==
                  getAffineConstantExpr(0, context);
         });
}

std::optional<std::string> AttendLowering::analyze() {
  for (Operation &inner : body.without_terminator())
    if (inner.getNumRegions() != 0 ||
        !(isMemoryEffectFree(&inner) || isa<memref::LoadOp>(inner)))
      return ("the score computes " + inner.getName().getStringRef() +
              ", which has no form for vectors")
          .str();
  for (auto [history, final] : llvm::zip(op.getHistories(), op.getFinalHistories()))
    if (history != final)
      return "the histories are not written where they are read";
  if (op.getHistories().empty() && !op.getFinalHistories().empty())
    return "histories are written and none are read";
  constexpr const char *dynamic =
      "an extent besides batch and sequence is known at run time only";
  if (!findSizes(op.getOutputMap(), op.getOutput()))
    return dynamic;
  for (unsigned i = 0, end = op.getNumPairs(); i < end; ++i)
    if (!findSizes(op.getKeyMap(i), op.getKeys()[i]) ||
        !findSizes(op.getQueryMap(i), op.getQueries()[i]))
      return dynamic;
  if (llvm::any_of(ArrayRef(sizes).drop_front(3), [](int64_t n) { return n < 1; }))
    return "an extent besides batch and sequence is not that of an operand";
  setElement(getElementTypeOrSelf(op.getOutput()));
  scoreLanes = op.getScoreLanes();
  for (unsigned lane = 3; lane < op.getNumLanes() + 3; ++lane)
    if (!llvm::is_contained(scoreLanes, lane))
      valueLanes.push_back(lane);
  orderDims(valueLanes, {op.getValues(), op.getValueMap()});
  for (unsigned i = 0, end = op.getNumPairs(); i < end; ++i) {
    Pair pair;
    pair.number = i;
    pair.dims = op.getContracted(i);
    orderDims(pair.dims, {op.getKeys()[i], op.getKeyMap(i)});
    pair.depth = getExtent(pair.dims);
    pairs.push_back(pair);
  }
  for (unsigned i = 0, end = op.getScoreIns().size(); i < end; ++i)
    if (isWindow(i))
      windows.push_back({i, Value()});
  if (!chooseSizes())
    return "a block of queries and a tile of keys take more than " +
           std::to_string(scratchBytes / 1024) + " KB";
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Schedule
//===----------------------------------------------------------------------===//

std::optional<std::string> AttendLowering::run() {
  builder.setInsertionPoint(op);
  auto extentOf = [&](Value memref, int64_t axis) {
    return builder.createOrFold<memref::DimOp>(loc, memref, axis);
  };
  tokens = extentOf(op.getOutput(), 1);
  if (std::optional<std::string> reason = analyze())
    return reason;
  batches = extentOf(op.getOutput(), 0);
  position = op.getPosition();
  firstSeen = op.getHistories().empty() ? position : index(0);
  lastSeen = plus(position, extentOf(op.getValues(), 1));
  bindScore();
  Value numBlocks = ceilDivIndex(builder, loc, tokens, index(block));
  Value numUnits = mulIndex(builder, loc, mulIndex(builder, loc, batches, numBlocks),
                            index(getExtent(scoreLanes)));
  SmallVector<Value> extents{batches};
  for (unsigned lane : scoreLanes)
    extents.push_back(index(sizes[lane]));
  extents.push_back(numBlocks);
  Value unitsPerTask = getUnitsPerTask(builder, loc, sub(lastSeen, firstSeen),
                                       getTileKeyCost());
  unitsPerTask = min(unitsPerTask, max(numUnits, index(1)));
  emitTasks(builder, loc, numUnits, unitsPerTask, std::nullopt,
            [&](Value begin, Value end) {
              allocateScratch();
              emitFor(builder, loc, begin, end, 1, [&](Value number) {
                SmallVector<Value> digits = delinearize(builder, loc, number, extents);
                RegionEmitter emitter = base;
                emitter.bindDim(0, digits[0]);
                for (auto [lane, digit] : llvm::zip(scoreLanes, llvm::drop_begin(digits)))
                  emitter.bindDim(lane, digit);
                unit = &emitter;
                emitUnit(digits.back());
              });
            });
  for (auto [input, ring] : llvm::zip(op.getKeyed(), op.getFinalHistories()))
    emitPutRing(builder, loc, target, input, ring, position);
  builder.eraseOp(op);
  return std::nullopt;
}

/// Where the arguments of the score come from.
void AttendLowering::bindScore() {
  base.addBody(body);
  auto dimsOf = [&](ArrayRef<unsigned> dims) {
    llvm::SmallBitVector bits(numDims);
    for (unsigned dim : dims)
      bits.set(dim);
    return bits;
  };
  unsigned number = 0;
  for (Pair &pair : pairs) {
    Pair *found = &pair;
    base.bindSource(body.getArgument(number++),
                    [this, found](const Offsets &) {
                      return loadVector(found->scores, {key, row});
                    },
                    dimsOf({1, 2}));
  }
  for (unsigned i = 0, end = op.getScoreIns().size(); i < end; ++i) {
    Value argument = body.getArgument(number++);
    AffineMap map = op.getScoreMap(i);
    auto *window = llvm::find_if(windows, [&](auto &w) { return w.number == i; });
    if (window != windows.end()) {
      base.bindSource(
          argument,
          [this, window](const Offsets &) {
            // Distances grow with the query and toward the first key.
            Value at = sub(plus(row, sub(count, index(1))), key);
            Type type = getElementTypeOrSelf(window->elements);
            return vector::LoadOp::create(builder, loc, VectorType::get({width}, type),
                                          window->elements, at);
          },
          dimsOf({1, 2}));
      continue;
    }
    bool isPlain = llvm::all_of(map.getResults(), [](AffineExpr expr) {
      return isa<AffineDimExpr, AffineConstantExpr>(expr);
    });
    if (isPlain) {
      base.bindAccess(argument, {op.getScoreIns()[i], map});
      continue;
    }
    base.bindSource(
        argument, [this, i](const Offsets &) { return loadByLane(i); },
        dimsOf({1, 2}));
  }
  auto toVector = [&](Value index) {
    return vector::BroadcastOp::create(
        builder, loc, VectorType::get({width}, builder.getIndexType()), index);
  };
  base.bindSource(
      body.getArgument(number++),
      [this, toVector](const Offsets &) -> Value {
        Value steps = vector::StepOp::create(
            builder, loc, VectorType::get({width}, builder.getIndexType()));
        return arith::AddIOp::create(builder, loc,
                                     toVector(plus(plus(firstRow, row), position)),
                                     steps);
      },
      dimsOf({1}));
  base.bindSource(
      body.getArgument(number++),
      [this](const Offsets &) -> Value { return plus(low, key); }, dimsOf({2}));
  for (unsigned lane = 3; lane < op.getNumLanes() + 3; ++lane)
    base.bindSource(
        body.getArgument(number++),
        [this, lane](const Offsets &) -> Value { return unit->getDim(lane); },
        dimsOf({lane}));
}

void AttendLowering::allocateScratch() {
  for (Pair &pair : pairs) {
    pair.queries = allocate({pair.depth, block});
    pair.keys = allocate({tile, getPitch(pair.dims)});
    pair.scores = allocate({tile, block});
  }
  weights = pairs.empty() ? allocate({tile, block}) : pairs.front().scores;
  values = allocate({tile, getPitch(valueLanes)});
  sums = allocate({block, columns});
  for (Window &window : windows)
    window.elements = allocate(
        {block + tile}, getElementTypeOrSelf(op.getScoreIns()[window.number]));
  begins = allocate({block}, builder.getI64Type());
  ends = allocate({block}, builder.getI64Type());
  if (op.getDecays()) {
    decays = allocate({tile});
    carries = allocate({block});
  }
  if (op.getSoftmax()) {
    largest = allocate({block});
    totals = allocate({block});
    scales = allocate({block});
  }
}

/// The largest result of `map` and `limit`, or the smallest.
Value AttendLowering::emitBound(AffineMap map, Value token, Value limit,
                                bool isLower) {
  for (AffineExpr expr : map.getResults()) {
    Value bound = affine::expandAffineExpr(builder, loc, expr, token, ValueRange());
    limit = isLower ? max(limit, bound) : min(limit, bound);
  }
  return limit;
}

/// What each query of the block sees. Rows past the last query repeat it.
void AttendLowering::emitBounds() {
  Value far = index(int64_t(1) << 62), near = index(-(int64_t(1) << 62));
  SmallVector<Value> bounds = emitFor(
      builder, loc, index(0), paddedRows, 1, {far, near, far, near},
      [&](Value row, ValueRange carried) -> SmallVector<Value> {
        Value token = plus(min(plus(firstRow, row), sub(tokens, index(1))), position);
        Value begin = emitBound(op.getFromMap(), token, firstSeen, /*isLower=*/true);
        Value end = emitBound(op.getToMap(), token, lastSeen, /*isLower=*/false);
        for (auto [bound, memory] : {std::pair(begin, begins), {end, ends}})
          memref::StoreOp::create(builder, loc,
                                  arith::IndexCastOp::create(
                                      builder, loc, builder.getI64Type(), bound),
                                  memory, row);
        return {min(carried[0], begin), max(carried[1], begin), min(carried[2], end),
                max(carried[3], end)};
      });
  minBegin = bounds[0];
  maxBegin = bounds[1];
  minEnd = bounds[2];
  maxEnd = bounds[3];
}

void AttendLowering::emitUnit(Value number) {
  firstRow = mulIndex(builder, loc, number, index(block));
  numRows = min(sub(tokens, firstRow), index(block));
  int64_t multiple = std::max(width, rowMultiple);
  paddedRows = mulIndex(builder, loc, ceilDivIndex(builder, loc, numRows, index(multiple)),
                        index(multiple));
  emitBounds();
  for (Pair &pair : pairs)
    stageQueries(pair);
  auto fill = [&](Value memory, double value) {
    emitFor(builder, loc, index(0), paddedRows, width,
            [&](Value row) { storeVector(constant(value), memory, row); });
  };
  emitFor(builder, loc, index(0), paddedRows, 1, [&](Value row) {
    emitFor(builder, loc, index(0), index(columns), width, [&](Value column) {
      storeVector(constant(0), sums, {row, column});
    });
  });
  if (op.getDecays())
    fill(carries, 1);
  if (op.getSoftmax()) {
    fill(largest, -std::numeric_limits<double>::infinity());
    fill(totals, 0);
  }
  Value seen = max(sub(maxEnd, minBegin), index(0));
  emitFor(builder, loc, index(0), ceilDivIndex(builder, loc, seen, index(tile)), 1,
          [&](Value number) {
            high = sub(maxEnd, mulIndex(builder, loc, number, index(tile)));
            emitTile(number);
          });
  emitOutputs();
}

void AttendLowering::emitTile(Value number) {
  low = max(minBegin, sub(high, index(tile)));
  count = sub(high, low);
  for (Pair &pair : pairs) {
    stageKeyed(pair.number, op.getKeyMap(pair.number), pair.dims, pair.keys);
    emitScores(pair);
  }
  stageKeyed(op.getNumPairs(), op.getValueMap(), valueLanes, values);
  if (op.getDecays())
    stageKeyed(op.getNumPairs() + 1, *op.getDecayMap(), {}, decays);
  for (Window &window : windows)
    stageWindow(window);
  // Does every query see every token of the tile?
  Value isWhole = arith::AndIOp::create(
      builder, loc, compare(arith::CmpIPredicate::sge, low, maxBegin),
      compare(arith::CmpIPredicate::sle, high, minEnd));
  emitIf(
      builder, loc, isWhole, [&] { emitWeights(/*masked=*/false); },
      [&] { emitWeights(/*masked=*/true); });
  if (op.getSoftmax())
    emitScale();
  emitSums();
}

LogicalResult ssmc::cpu::lowerAttend(RewriterBase &rewriter, AttendOp op,
                                     const VectorTarget &target) {
  if (!op.hasPureBufferSemantics())
    return failure();
  Location loc = op.getLoc();
  AttendLowering lowering(rewriter, op, target);
  std::optional<std::string> reason = lowering.run();
  if (!reason)
    return success();
  remark::missed(loc, remark::RemarkOpts::name("Literal").category("ssm-lower-to-cpu"))
      << remark::add("ssm.attend runs as scalar loops")
      << remark::reason("{0}", *reason);
  return failure();
}
