//===- TensorMatmulRing.cpp - Products of few tokens by a ring of weights -===//
//
// Where blocks for all columns would not run at once, a multiprocessor has one block, which
// takes one group of columns after the other. Weights of the next groups are on their way
// to a ring in shared memory (cp.async) while the sums of one are added up, so that memory
// has something to do all the time; they are asked for before the kernel waits for
// those before it. A lane copies what it multiplies itself: it waits for its own copies
// alone. Tokens are read, and their norm computed, once for all groups.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Overlap.h"
#include "Target/NVPTX/Passes.h"
#include "Target/NVPTX/TensorCores.h"
#include "Target/NVPTX/TensorMatmul.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

/// Warps of a block, or fewer where they would not have equal shares of the depth; chunks
/// of tokens that a lane has registers for.
static constexpr int64_t kWarps = 16, kFewerWarps = 8, kMostChunks = 12;
/// Blocks of a multiprocessor that would run at once without a ring; bytes of weights that
/// are worth a stage (24 KB, a depth of 768, take as long as without a ring), and that are
/// enough to be on their way: what is left of shared memory is for blocks of the next
/// kernels.
static constexpr int64_t kBlocksAtOnce = 2, kStageBytes = 32 << 10, kRingBytes = 128 << 10;

std::optional<TensorMatmul::Shares> TensorMatmul::shareRing(int64_t tokens) {
  Shares shares;
  shares.tokens = tokens;
  shares.halves = 8 * depth * 2 < kStageBytes ? 2 : 1;
  shares.blocks = llvm::divideCeil(panels, shares.columns());
  int64_t chunks = llvm::divideCeil(depth, kChunk);
  shares.warps = chunks % kWarps == 0 ? kWarps : kFewerWarps;
  shares.passes = 1;
  shares.ahead = llvm::divideCeil(chunks, shares.warps);
  shares.isGuarded = shares.warps * shares.ahead * kChunk != depth;
  int64_t fixed = 0;
  for (MemRefType buffer : buffersOf(norm, 2 * shares.warps, shares))
    fixed += buffer.getNumElements() * buffer.getElementTypeBitWidth() / 8;
  int64_t stageBytes = shares.warps * shares.ahead * shares.halves * kWarp * kVectorBytes;
  shares.stages = std::min(std::max<int64_t>(kRingBytes / stageBytes, 2),
                           (device.sharedBytes - fixed) / stageBytes);
  if (stageBytes < kStageBytes || shares.ahead > kMostChunks || fixed > kSharedBytes ||
      shares.blocks <= kBlocksAtOnce * device.multiprocessors || shares.stages < 2)
    return std::nullopt;
  return shares;
}

void TensorMatmul::prefetchPlaces(ConvOp conv, Value thread, Value block, Value firstRow,
                                  int64_t grid, const Shares &shares) {
  int64_t halves = shares.halves, most = llvm::divideCeil(shares.blocks, grid) * halves;
  loops.when(loops.less(thread, loops.index(most)), [&] {
    Value group = madd(div(thread, halves), grid, block);
    Place place;
    place.column = madd(group, shares.columns(),
                        loops.mul(rem(thread, halves), loops.index(8)));
    place.leading = leadingOf(firstRow);
    ConvStep(conv, b).prefetch(channelAt(conv, place));
  });
}

void TensorMatmul::emitRing(NormOp norm, ConvOp conv, const Shares &shares, Value groups) {
  int64_t warps = shares.warps, share = shares.ahead, halves = shares.halves;
  int64_t pieceBytes = kWarp * kVectorBytes, stageBytes = share * halves * pieceBytes;
  int64_t grid = std::min(shares.blocks, device.multiprocessors);
  bool isScaled = norm && scalesSums();
  Type word = b.getI32Type();
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(int32_t(value)));
  };
  OpBuilder::InsertionGuard inner(b);
  gpu::LaunchOp launch = startLaunch(loops.index(grid), groups, warps * kWarp,
                                     buffersOf(norm, 2 * warps, shares));
  launch->setAttr(kSharedBytesAttr,
                  b.getI64IntegerAttr(warps * shares.stages * stageBytes));
  auto bytes = sharedType({ShapedType::kDynamic}, b.getI8Type());
  Value ring = getSharedPointer(b, loc, gpu::DynamicSharedMemoryOp::create(b, loc, bytes));
  Value thread = launch.getThreadIds().x, block = launch.getBlockIds().x;
  Value firstRow = loops.mul(launch.getBlockIds().y, loops.index(shares.tokens));
  Lane lane = laneOf(thread);
  Value mine = madd(div(thread, kWarp), shares.stages * stageBytes,
                    loops.mul(rem(thread, kWarp), loops.index(kVectorBytes)));
  ring = at(ring, arith::IndexCastOp::create(b, loc, word, mine));
  auto pieceAt = [&](Value stage, int64_t i, int64_t half) {
    return at(at(ring, stage), (i * halves + half) * pieceBytes);
  };
  SmallVector<Value> depths;
  for (int64_t i = 0; i < share; ++i)
    depths.push_back(depthOf(loops.index(i), thread, shares));

  Value numGroups = loops.index(shares.blocks), zero = loops.index(0);
  // Begins to copy a group's weights, if there is one.
  auto copy = [&](Value group, Value stage) {
    loops.when(loops.less(group, numGroups), [&] {
      SmallVector<Value> columns =
          columnsOf(loops.mul(group, loops.index(shares.columns())), lane, shares);
      for (auto [half, column] : llvm::enumerate(columns)) {
        Value row = makePointer(op.getWeight(), {column, zero, zero, zero});
        for (auto [i, k] : llvm::enumerate(depths))
          copyPiece(pieceAt(stage, int64_t(i), int64_t(half)), row, k,
                    weightType.getShape()[1] * 2, shares.isGuarded);
      }
    });
    NVVM::CpAsyncCommitGroupOp::create(b, loc);
  };
  for (int64_t i = 0; i < shares.stages; ++i)
    copy(loops.add(block, loops.index(i * grid)), constant(i * stageBytes));
  if (norm)
    prefetchScales(thread, warps * kWarp);
  if (conv)
    prefetchPlaces(conv, thread, block, firstRow, grid, shares);
  emitWait(b, loc);
  std::function<Value(Value)> loadOperand = readTokens(norm, launch, firstRow, shares);
  // Operands that are staged in shared memory leave registers to blocks of the next kernels.
  SmallVector<Value> tokens;
  if (!isScaled)
    tokens = llvm::map_to_vector(depths, loadOperand);

  auto loop = scf::ForOp::create(b, loc, block, numGroups, loops.index(grid),
                                 ValueRange{constant(0), zero});
  OpBuilder::InsertionGuard body(b);
  b.setInsertionPointToStart(loop.getBody());
  Value group = loop.getInductionVar(), stage = loop.getRegionIterArg(0),
        turn = loop.getRegionIterArg(1);
  Value firstColumn = loops.mul(group, loops.index(shares.columns()));
  SmallVector<Place> places = {placeOf(thread, firstColumn, firstRow, shares)};
  std::optional<ConvStep> step;
  if (conv) {
    step.emplace(conv, b);
    step->loadTables(channelAt(conv, places.front()));
    step->loadHistory();
  }
  loadOperands(places.front());
  NVVM::CpAsyncWaitGroupOp::create(b, loc, uint32_t(shares.stages - 1));
  SmallVector<Sums> chains(4, zeros());
  for (auto [i, k] : llvm::enumerate(depths)) {
    Value token = isScaled ? loadOperand(k) : tokens[i];
    SmallVector<Value> weights;
    for (int64_t half = 0; half < halves; ++half)
      weights.push_back(LLVM::LoadOp::create(b, loc, vectorType,
                                             pieceAt(stage, int64_t(i), half), kVectorBytes));
    // Of 8 columns the second half of the sums is the first one's again.
    multiply(weights.front(), weights.back(), token, chains[i % 2 * 2],
             chains[i % 2 * 2 + 1]);
  }
  copy(loops.add(group, loops.index(shares.stages * grid)), stage);
  // A warp that is ahead has sums of the next group, in another place.
  addShares(chains, thread, launch.getWorkgroupAttributions()[0], turn,
            isScaled ? Value(launch.getWorkgroupAttributions()[1]) : Value(),
            shares, places, step);
  Value next = arith::AddIOp::create(b, loc, stage, constant(stageBytes));
  Value isLast = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, next,
                                       constant(shares.stages * stageBytes));
  scf::YieldOp::create(b, loc,
                       ValueRange{loops.select(isLast, constant(0), next),
                                  loops.sub(loops.index(warps), turn)});
}
