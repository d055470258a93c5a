//===- MatmulBlocking.cpp - Sizes of a product's loops --------------------===//

#include "Target/CPU/MatmulBlocking.h"

#include "Target/CPU/AMXTile.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace ssmc::cpu;

/// Depth of a block: long enough to make the loads and stores of sums
/// negligible, short enough for the copied inputs to stay in a first level
/// cache.
static constexpr int64_t maxDepth = 512;
/// Of tiles, whose inputs may come from a second level cache.
static constexpr int64_t maxTilesDepth = 2048;
/// Tiles of tokens to a block: weights come from memory once for so many.
static constexpr int64_t maxTiles = 16;
/// Bytes of sums kept between blocks of the depth.
static constexpr int64_t maxSumsBytes = 64 * 1024;
/// Multiplications below which a task is not worth starting.
static constexpr int64_t minTaskProducts = 1 << 19;
/// Bytes of weights to a task where they are streamed.
static constexpr int64_t streamedBytes = 96 * 1024;
/// Tokens that wait for memory, at most, and bytes of their inputs.
static constexpr int64_t maxStreamedRows = 4;
static constexpr int64_t maxStreamedInputs = 64 * 1024;

MatmulBlocking::MatmulBlocking(const PackedMatmul &matmul,
                               const KernelTarget &target, Type accumulator,
                               BF16Unit unit) {
  bool isTiled = unit == BF16Unit::Tiles;
  auto weightType = cast<MemRefType>(matmul.weight.getType());
  depth = cast<MemRefType>(matmul.input.getType()).getShape().back();
  columns = cast<MemRefType>(matmul.output.getType()).getShape().back();
  width = weightType.getDimSize(2);
  panels = weightType.getDimSize(0);
  lanes = target.getLanes(accumulator);
  while (width % lanes)
    lanes /= 2;
  tileRows = isTiled ? 2 * amxRows : target.getTileRows(width, accumulator);

  int64_t longest = isTiled ? maxTilesDepth : maxDepth;
  depthBlocks = std::max<int64_t>(1, llvm::divideCeil(depth, longest));
  depthBlock =
      depthBlocks == 1
          ? depth
          : llvm::alignTo(llvm::divideCeil(depth, depthBlocks), amxDepth);
  inputPadding = isTiled ? amxDepth : 2;
  int64_t elementBytes = weightType.getElementTypeBitWidth() / 8;
  int64_t panelBytes = std::max<int64_t>(1, depthBlock * width * elementBytes);
  auto groupOf = [&](int64_t bytes, int64_t most) {
    int64_t fit = std::clamp<int64_t>(bytes / panelBytes, 1, most);
    int64_t groups = std::max<int64_t>(1, llvm::divideCeil(panels, fit));
    return std::max<int64_t>(1, llvm::divideCeil(panels, groups));
  };
  int64_t most = std::max<int64_t>(1, panels);
  group = groupOf(
      isTiled ? target.getTilesReuseBytes() : target.getReuseBytes(), most);
  smallGroup = groupOf(streamedBytes / depthBlocks, group);
  int64_t inputBytes =
      std::max<int64_t>(1, depth) * accumulator.getIntOrFloatBitWidth() / 8;
  streamedRows =
      std::min({maxStreamedRows, tileRows, maxStreamedInputs / inputBytes});

  maxRows = maxTiles * tileRows;
  if (depthBlocks > 1) {
    int64_t rowBytes =
        group * width * (accumulator.getIntOrFloatBitWidth() / 8);
    maxRows =
        std::clamp<int64_t>(maxSumsBytes / rowBytes / tileRows, 1, maxTiles) *
        tileRows;
  }
  int64_t rowProducts = std::max<int64_t>(1, group * width * depth);
  minRows = llvm::alignTo(std::max<int64_t>(1, minTaskProducts / rowProducts),
                          tileRows);
  // Ten bytes a nanosecond.
  cost = 1 + smallGroup * panelBytes * depthBlocks / 10;
}
