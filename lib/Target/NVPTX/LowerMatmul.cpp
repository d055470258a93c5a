//===- LowerMatmul.cpp - Products of tokens by packed weights -------------===//
//
// Products of 16-bit numbers are those of TensorMatmul.cpp. Others have forms between which
// the host chooses by the number of tokens. Many: a block has a tile of rows by a panel of
// columns; it stages pieces of both operands in shared memory, the next one while it
// multiplies, and a thread has 8 x 4 sums, or 2 x 4, in registers. Few: the weights are what
// counts; a block has 16 columns, its threads share the sum over the depth, and weights are
// read once for up to 8 rows.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Lowering.h"
#include "Target/NVPTX/MatmulKernel.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::detail;
using namespace ssmc::nvptx;

namespace {
/// Rows of threads of a tile, columns of a thread, depth of a piece.
constexpr int64_t kRowThreads = 16, kThreadColumns = 4, kDepth = 16;
/// Rows of a thread in large tiles; in small ones, which are taken while there are fewer
/// large ones than keep a device busy.
constexpr int64_t kLargeRows = 8, kSmallRows = 2, kBusyTiles = 128;
/// Of the form for few tokens: columns and threads of a block, rows of a pass, and up to
/// how many rows it is taken.
constexpr int64_t kFewColumns = 16, kFewThreads = 256, kFewRows = 8, kFew = 32;
constexpr int64_t kMaxGridY = 65535; // of the hardware

class ScalarMatmul : MatmulKernel {
public:
  ScalarMatmul(MatmulOp op, RewriterBase &b)
      : MatmulKernel(op, b), isPaired(weightType.getElementTypeBitWidth() == 16) {}

  /// Whether extents are known as far as tiles need them.
  bool fits() {
    return op.hasPureBufferSemantics() && !ShapedType::isDynamic(depth) && depth > 0 &&
           !ShapedType::isDynamic(panels) && width % kFewColumns == 0 &&
           panels * (width / kFewColumns) <= kMaxGridY;
  }
  void run();

private:
  void emitTiles(int64_t threadRows);
  void emitFew();
  Value loadInput(ArrayRef<Value> leading, Value k);
  Value loadWeight(Value panel, Value k, Value column);
  Value madd(Value x, Value y, Value z) { return loops.add(loops.mul(x, y), z); }

  bool isPaired;
};
} // namespace

Value ScalarMatmul::loadInput(ArrayRef<Value> leading, Value k) {
  SmallVector<Value> indices(leading);
  indices.push_back(k);
  Value x = loops.load(op.getInput(), indices);
  if (op.getRoundInput())
    x = loops.convert(x, weightType.getElementType());
  return loops.convert(x, type);
}

Value ScalarMatmul::loadWeight(Value panel, Value k, Value column) {
  SmallVector<Value> indices = {panel, k, column};
  if (isPaired)
    indices = {panel, div(k, 2), column, rem(k, 2)};
  return loops.convert(loops.load(op.getWeight(), indices), type);
}

void ScalarMatmul::emitTiles(int64_t threadRows) {
  int64_t columnThreads = width / kThreadColumns, threads = columnThreads * kRowThreads;
  int64_t tileRows = kRowThreads * threadRows, numSums = threadRows * kThreadColumns;
  // Rows of the left piece have one more place, so that what is written together lies in
  // different banks.
  auto leftType = sharedType({kDepth, tileRows + 4}, type),
       rightType = sharedType({kDepth, width}, type);
  Value tiles = arith::CeilDivUIOp::create(b, loc, rows, loops.index(tileRows));
  OpBuilder::InsertionGuard guard(b);
  gpu::LaunchOp launch =
      startLaunch(tiles, loops.index(panels), threads, {leftType, rightType});
  Value left = launch.getWorkgroupAttributions()[0],
        right = launch.getWorkgroupAttributions()[1];
  Value thread = launch.getThreadIds().x, panel = launch.getBlockIds().y;
  Value firstRow = loops.mul(launch.getBlockIds().x, loops.index(tileRows));
  Value lastRow = loops.sub(rows, loops.index(1));
  auto inRange = [&](Value row) { return least(row, lastRow); };

  // What the thread moves of each piece.
  int64_t numLeft = tileRows * kDepth / threads, numRight = kDepth * width / threads;
  SmallVector<SmallVector<Value>> leftRows;
  SmallVector<Value> leftPlaces, leftDepths, rightDepths, rightColumns;
  for (int64_t i = 0; i < numLeft; ++i) {
    Value number = loops.add(thread, loops.index(i * threads));
    leftPlaces.push_back(div(number, kDepth));
    leftDepths.push_back(rem(number, kDepth));
    leftRows.push_back(leadingOf(inRange(loops.add(firstRow, leftPlaces.back()))));
  }
  for (int64_t i = 0; i < numRight; ++i) {
    Value number = loops.add(thread, loops.index(i * threads));
    rightDepths.push_back(div(number, width));
    rightColumns.push_back(rem(number, width));
  }
  Value zero = loops.constant(type, 0.0), last = loops.index(depth - 1);
  auto within = [&](Value k, function_ref<Value(Value)> load) -> Value {
    if (depth % kDepth == 0)
      return load(k);
    Value isInside = loops.less(k, loops.index(depth));
    return loops.select(isInside, load(least(k, last)), zero);
  };
  auto fetch = [&](Value from) {
    SmallVector<Value> values;
    for (int64_t i = 0; i < numLeft; ++i)
      values.push_back(within(loops.add(from, leftDepths[i]), [&](Value k) {
        return loadInput(leftRows[i], k);
      }));
    for (int64_t i = 0; i < numRight; ++i)
      values.push_back(within(loops.add(from, rightDepths[i]), [&](Value k) {
        return loadWeight(panel, k, rightColumns[i]);
      }));
    return values;
  };
  Value row = loops.mul(div(thread, columnThreads), loops.index(threadRows));
  Value column = loops.mul(rem(thread, columnThreads), loops.index(kThreadColumns));
  SmallVector<Value> init(numSums, zero);
  llvm::append_range(init, fetch(loops.index(0)));
  int64_t pieces = llvm::divideCeil(depth, kDepth);
  auto loop = scf::ForOp::create(b, loc, loops.index(0), loops.index(pieces * kDepth),
                                 loops.index(kDepth), init);
  {
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPointToStart(loop.getBody());
    ValueRange carried = loop.getRegionIterArgs();
    ValueRange fetched = carried.drop_front(numSums);
    for (int64_t i = 0; i < numLeft; ++i)
      loops.store(fetched[i], left, {leftDepths[i], leftPlaces[i]});
    for (int64_t i = 0; i < numRight; ++i)
      loops.store(fetched[numLeft + i], right, {rightDepths[i], rightColumns[i]});
    barrier();
    // The piece after the last is the last again: nobody uses it.
    Value next = loops.add(loop.getInductionVar(), loops.index(kDepth));
    next = least(next, loops.index((pieces - 1) * kDepth));
    SmallVector<Value> ahead = fetch(next);
    SmallVector<Value> sums(carried.take_front(numSums));
    for (int64_t k = 0; k < kDepth; ++k) {
      Value at = loops.index(k);
      SmallVector<Value> x, w;
      for (int64_t i = 0; i < threadRows; ++i)
        x.push_back(loops.load(left, {at, loops.add(row, loops.index(i))}));
      for (int64_t j = 0; j < kThreadColumns; ++j)
        w.push_back(loops.load(right, {at, loops.add(column, loops.index(j))}));
      for (int64_t i = 0; i < threadRows; ++i)
        for (int64_t j = 0; j < kThreadColumns; ++j) {
          Value &sum = sums[i * kThreadColumns + j];
          sum = madd(x[i], w[j], sum);
        }
    }
    barrier();
    llvm::append_range(sums, ahead);
    scf::YieldOp::create(b, loc, sums);
  }
  for (int64_t i = 0; i < threadRows; ++i)
    for (int64_t j = 0; j < kThreadColumns; ++j) {
      Value at = loops.add(loops.add(firstRow, row), loops.index(i));
      Value n = loops.add(loops.mul(panel, loops.index(width)),
                          loops.add(column, loops.index(j)));
      loops.when(both(loops.less(at, rows), loops.less(n, columns)),
           [&] { store(leadingOf(at), n, loop.getResult(i * kThreadColumns + j)); });
    }
}

void ScalarMatmul::emitFew() {
  int64_t shares = kFewThreads / kFewColumns, parts = width / kFewColumns;
  auto partialType = sharedType({shares, kFewRows, kFewColumns}, type);
  Value passes = arith::CeilDivUIOp::create(b, loc, rows, loops.index(kFewRows));
  OpBuilder::InsertionGuard guard(b);
  gpu::LaunchOp launch =
      startLaunch(passes, loops.index(panels * parts), kFewThreads, {partialType});
  Value partial = launch.getWorkgroupAttributions()[0];
  Value thread = launch.getThreadIds().x;
  Value panel = div(launch.getBlockIds().y, parts);
  Value place = rem(thread, kFewColumns), share = div(thread, kFewColumns);
  Value column = loops.add(
      loops.mul(rem(launch.getBlockIds().y, parts), loops.index(kFewColumns)), place);
  Value firstRow = loops.mul(launch.getBlockIds().x, loops.index(kFewRows));
  Value lastRow = loops.sub(rows, loops.index(1));
  SmallVector<SmallVector<Value>> leading;
  for (int64_t i = 0; i < kFewRows; ++i)
    leading.push_back(leadingOf(least(loops.add(firstRow, loops.index(i)), lastRow)));
  SmallVector<Value> zeros(kFewRows, loops.constant(type, 0.0));
  // Rows that are not there are not loaded: the last one stands for them.
  auto loop = scf::ForOp::create(
      b, loc, share, loops.index(depth), loops.index(shares), zeros,
      [&](OpBuilder &, Location, Value k, ValueRange carried) {
        Value weight = loadWeight(panel, k, column);
        SmallVector<Value> sums;
        for (int64_t i = 0; i < kFewRows; ++i)
          sums.push_back(madd(loadInput(leading[i], k), weight, carried[i]));
        scf::YieldOp::create(b, loc, sums);
      });
  for (int64_t i = 0; i < kFewRows; ++i)
    loops.store(loop.getResult(i), partial, {share, loops.index(i), place});
  barrier();
  // The first threads of the block add up what the others have: one a sum.
  Value number = div(thread, kFewColumns);
  Value at = loops.add(firstRow, number);
  Value n = loops.add(loops.mul(panel, loops.index(width)), column);
  Value isMine = both(loops.less(number, loops.index(kFewRows)),
                      both(loops.less(at, rows), loops.less(n, columns)));
  loops.when(isMine, [&] {
    Value sum;
    for (int64_t s = 0; s < shares; ++s) {
      Value value = loops.load(partial, {loops.index(s), number, place});
      sum = sum ? loops.add(sum, value) : value;
    }
    store(leadingOf(at), n, sum);
  });
}

void ScalarMatmul::run() {
  countRows();
  OpBuilder::InsertionGuard guard(b);
  choose(rows, kFew, [&] { emitFew(); }, [&] {
    Value tiles = arith::CeilDivUIOp::create(b, loc, rows,
                                             loops.index(kRowThreads * kLargeRows));
    choose(loops.mul(tiles, loops.index(panels)), kBusyTiles,
           [&] { emitTiles(kSmallRows); }, [&] { emitTiles(kLargeRows); });
  });
}

LogicalResult nvptx::lowerMatmul(RewriterBase &rewriter, MatmulOp op,
                                 Neighbours neighbours, Device device) {
  if (succeeded(lowerTensorMatmul(rewriter, op, neighbours, device)))
    return success();
  ScalarMatmul kernels(op, rewriter);
  if (!kernels.fits())
    return failure();
  kernels.run();
  rewriter.eraseOp(op);
  return success();
}
