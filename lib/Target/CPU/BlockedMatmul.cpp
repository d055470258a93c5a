//===- BlockedMatmul.cpp - Products of many tokens ------------------------===//
//
// Work is a one-dimensional `scf.parallel` over tasks: blocks of tokens by groups
// of panels. A task:
//
//   for each block of the depth K                      (one, unless K is large)
//     for each tile of tokens
//       copy the tokens' inputs to a small buffer      (contiguous, widened)
//       for each panel of the group
//         sums of tile x panel in registers            (over the depth)
//         epilogue, columns across lanes, and store
//
// A tile has as many tokens as registers allow, at the end of a block 8, 4, 2
// or 1; or 32 and 16 where sums are in matrix registers, `AMXTile.h`. The weights
// of a group stay in the core's own cache from tile to tile.
//
//===----------------------------------------------------------------------===//

#include "Target/CPU/AMXTile.h"
#include "Target/CPU/MatmulEmitter.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace ssmc::cpu;

/// Tasks wanted of large products.
static constexpr int64_t wantedTasks = 16;

namespace {
class BlockedEmitter : MatmulEmitter {
public:
  using MatmulEmitter::MatmulEmitter;
  void emit();

private:
  void emitTask();
  void emitTiles();
  void emitDepthBlock(Value depthBegin);
  /// A tile of `rows` tokens (a value of `tileSizes`) from token `row` on.
  void emitTile(Value row, Value rows, Value depthBegin, Value depth);
  void emitSums(Value panel, Value rows, Value sumsRow, Value depthBegin,
                Value depth);
  SmallVector<int64_t> tileSizes() const;
  bool isTiled() const { return unit == BF16Unit::Tiles; }
  bool isBlocked() const { return s.depthBlocks > 1; }

  // Of a task.
  Value rowBegin, rowEnd, panelBegin, panelEnd;
};
} // namespace

SmallVector<int64_t> BlockedEmitter::tileSizes() const {
  if (isTiled())
    return {2 * amxRows, amxRows};
  SmallVector<int64_t> sizes = {s.tileRows};
  for (int64_t size = int64_t(1) << 10; size > 0; size /= 2)
    if (size < s.tileRows)
      sizes.push_back(size);
  return sizes;
}

void BlockedEmitter::emitSums(Value panel, Value rows, Value sumsRow,
                              Value depthBegin, Value depth) {
  switchRows(rows, tileSizes(), [&](int64_t size) {
    MatmulTile tile = getTile(size, panel);
    tile.sumsRow = sumsRow;
    if (isBlocked()) {
      tile.depthBegin = depthBegin;
      tile.depth = depth;
      tile.depthDivisor = std::gcd(s.depth, s.depthBlock);
      tile.resume = index.less(index.constant(0), depthBegin);
    }
    if (isTiled())
      emitAMXTile(b, tile);
    else
      emitMatmulTile(b, tile);
  });
}

void BlockedEmitter::emitTile(Value row, Value rows, Value depthBegin,
                              Value depth) {
  // Vectors have tiles of exactly the tokens there are.
  Value tileTokens = rows;
  if (isTiled())
    tileTokens = index.min(rows, index.sub(rowEnd, row));
  copyInputs(row, tileTokens, depthBegin, depth);
  forRange(panelBegin, panelEnd, 1, [&](Value panel) {
    if (isBlocked()) {
      Value sumsRow =
          index.add(index.mul(index.sub(panel, panelBegin), s.maxRows),
                    index.sub(row, rowBegin));
      emitSums(panel, rows, sumsRow, depthBegin, depth);
      return;
    }
    emitSums(panel, rows, index.constant(0), depthBegin, depth);
    emitResults(row, tileTokens, panel, index.constant(0));
  });
}

void BlockedEmitter::emitDepthBlock(Value depthBegin) {
  Value depth = index.constant(s.depth);
  if (isBlocked())
    depth = index.min(index.constant(s.depthBlock),
                      index.sub(index.constant(s.depth), depthBegin));
  scf::WhileOp::create(
      b, TypeRange{b.getIndexType()}, ValueRange{rowBegin},
      [&](OpBuilder &, Location, ValueRange row) {
        scf::ConditionOp::create(b, index.less(row[0], rowEnd), row);
      },
      [&](OpBuilder &, Location, ValueRange row) {
        Value rest = index.sub(rowEnd, row[0]);
        SmallVector<int64_t> sizes = tileSizes();
        Value rows = index.constant(sizes.back());
        for (size_t i = sizes.size() - 1; i-- > 0;) {
          // A tile of matrix registers may have rows to spare.
          int64_t least = isTiled() ? sizes[i + 1] + 1 : sizes[i];
          rows = index.select(index.less(rest, index.constant(least)), rows,
                              index.constant(sizes[i]));
        }
        emitTile(row[0], rows, depthBegin, depth);
        scf::YieldOp::create(b, index.add(row[0], rows));
      });
}

void BlockedEmitter::emitTask() {
  inputs = allocate(getInputsType(s.tileRows, s.depthBlock));
  int64_t sumsRows = isBlocked() ? s.maxRows * s.group : s.tileRows;
  sums = allocate(MemRefType::get({sumsRows, s.width}, accumulator));
  if (isTiled())
    emitAMXBegin(b, allocate(MemRefType::get({64}, b.getI8Type())));
  emitTiles();
  if (isTiled())
    emitAMXEnd(b);
}

void BlockedEmitter::emitTiles() {
  if (!isBlocked()) {
    emitDepthBlock(index.constant(0));
    return;
  }
  forRange(index.constant(0), index.constant(s.depth), s.depthBlock,
           [&](Value depthBegin) { emitDepthBlock(depthBegin); });
  forRange(panelBegin, panelEnd, 1, [&](Value panel) {
    Value sumsRow = index.mul(index.sub(panel, panelBegin), s.maxRows);
    emitResults(rowBegin, index.sub(rowEnd, rowBegin), panel, sumsRow);
  });
}

void BlockedEmitter::emit() {
  // Few tokens: small groups, for the sake of tasks. Many: as many blocks of
  // tokens as the number of tasks asks for, but none too small or too large.
  Value isFew = index.less(tokens, index.constant(2 * s.tileRows));
  auto groupsOf = [&](int64_t group) { return llvm::divideCeil(s.panels, group); };
  Value group = index.select(isFew, index.constant(s.smallGroup),
                             index.constant(s.group));
  Value groups = index.select(isFew, index.constant(groupsOf(s.smallGroup)),
                              index.constant(groupsOf(s.group)));
  int64_t wantedBlocks = llvm::divideCeil(
      wantedTasks, std::max<int64_t>(1, groupsOf(s.group)));
  Value blocks = index.min(index.constant(wantedBlocks),
                           index.div(tokens, index.constant(s.minRows)));
  blocks = index.max(blocks, index.ceilDiv(tokens, index.constant(s.maxRows)));
  blocks = index.max(blocks, index.constant(1));
  Value rows = index.roundUp(index.ceilDiv(tokens, blocks), s.tileRows);
  rows = index.max(rows, index.constant(s.tileRows));
  blocks = index.ceilDiv(tokens, rows);
  forTasks(index.mul(blocks, groups), [&](Value task) {
    // Block after block of tokens meets the same weights, which stay in the
    // core's own cache.
    rowBegin = index.mul(index.rem(task, blocks), rows);
    rowEnd = index.min(index.add(rowBegin, rows), tokens);
    panelBegin = index.mul(index.div(task, blocks), group);
    panelEnd = index.min(index.add(panelBegin, group), index.constant(s.panels));
    emitTask();
  });
}

void ssmc::cpu::emitBlockedMatmul(ImplicitLocOpBuilder &b,
                                  const PackedMatmul &matmul,
                                  const KernelTarget &target, Type accumulator,
                                  BF16Unit unit) {
  BlockedEmitter(b, matmul, target, accumulator, unit).emit();
}
