//===- WarpgroupChunk.h - A recurrence in chunks by warpgroups -*- C++ -*-===//
//
// Internal to the lowering of `ssm.scan` for Hopper: LowerWarpgroupChunk.cpp says what
// fits and who does what, WarpgroupStaging.cpp fetches, WarpgroupProducts.cpp multiplies.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_WARPGROUPCHUNK_H
#define SSMC_LIB_TARGET_NVPTX_WARPGROUPCHUNK_H

#include "Target/NVPTX/ChunkFactors.h"
#include "Target/NVPTX/Warpgroup.h"

namespace ssmc::nvptx {
using namespace mlir;
using mlir::ssm::CoefficientsOp;
using mlir::ssm::ProductTerms;
using mlir::ssm::ScanOp;

/// A unit is a recurrence with 64 lanes: a head, or a part of one. A block has four of
/// them with the same keys, or two, and three warpgroups: one fetches chunks of 64 tokens
/// into a ring in shared memory and sums up decays, two multiply, with the states of
/// their units in registers. With c the sums of the logarithms (to base 2) of the decays
/// of a chunk, f what else depends on time, and all products transposed, so that left
/// operands are in registers and only P and the outputs go through shared memory (P and g
/// are rounded to bf16):
///
///   S^T [j, i] = k_j q_i                                once for all units
///   P^T [j, i] = S^T 2^(c_i - c_j) f_j  where j <= i
///   o^T [p, i] = 2^(c_i) (state q_i) + w^T P^T
///   state      = 2^(c_63) state + (g w)^T k             g_j = 2^(c_63 - c_j) f_j
///
/// Blocks are as many as the device has multiprocessors, and each has an equal run of the
/// chunks of all groups of units, so it may end within a group. It begins with that one,
/// leaves the states in memory, and the next block takes it up as its last one. The word
/// that says so is in the memory of the outputs, where that next block alone writes
/// later.
class WarpgroupChunk : WarpgroupEmitter {
public:
  static constexpr int64_t kMostUnits = 4, kFewestUnits = 2;

  /// `blocks` that the device holds at once, of at most `mostUnits`.
  WarpgroupChunk(ScanOp op, OpBuilder &builder, int64_t blocks, int64_t mostUnits);

  bool fits();
  int64_t getUnits() { return units; }
  /// On the host: whether there would be a block for each group of half as many units.
  Value hasFewGroups();
  /// Memory that has to be aligned to vectors.
  SmallVector<Value> getVectorMemory();
  void run();

private:
  /// A tensor with neighbours beside each other, which are fetched or stored together.
  struct Rows {
    Value memory;
    AffineMap map;
    int64_t step; ///< bytes from a token to the next
  };
  /// Chunks of a group of units that the block has.
  struct Group {
    Value row, place; ///< of the batch, and of the groups of a sequence
    Value number, first, stop;
  };

  // LowerWarpgroupChunk.cpp
  Value countGroups();
  std::optional<Rows> findRows(Value memory, AffineMap map, unsigned dim);
  bool findOperands();
  bool findDecay();
  bool chooseUnits();
  int64_t getSharedBytes();
  void clearFlags();
  /// What producers and multipliers walk alike: `body` for each group of the block, with
  /// the number of chunks before it.
  void forGroups(function_ref<void(const Group &, Value)> body);
  void forChunks(const Group &group, ValueRange carried,
                 function_ref<Values(Value, ValueRange)> body, Values &results);
  /// Sets the point to a unit of the group (a word), its first lane.
  void bindUnit(const Group &group, Value unit);
  /// Sets the point to a token in the order of time; the number is an index.
  void bindToken(Value step);
  /// Address of what `map` has of the point, in contiguous memory: the strides that
  /// nvptx::addressOf multiplies by are registers that are not there.
  Value addressOf(Value memory, AffineMap map);
  int64_t stepOf(const Rows &rows) { return op.getReverse() ? -rows.step : rows.step; }
  Value stageOf(Value step) { return remWords(step, kStages); }
  Value parityOf(Value step) { return remWords(divWords(step, kStages), 2); }
  int64_t atBarrier(bool isEmpty) { return atBarriers + (isEmpty ? kStages * 8 : 0); }
  Value barrierOf(Value stage) { return addWords(shared, mulWords(stage, 8)); }

  // WarpgroupStaging.cpp
  void produce(Value thread);
  void fetch(const Group &group, Value chunk, Value at, Value thread);
  void fetchRows(const Rows &rows, int64_t tiles, Value chunk, Value at, Value thread);
  void stageScales(ArrayRef<Value> tokens, Value at, Value lane);
  Values evaluateTokens(const Group &group, Value unit, Value chunk, Value lane);

  // WarpgroupProducts.cpp
  void multiplyChunks(Value thread);
  void bindMultiplier(Value thread);
  void renewPlaces();
  /// Where the scales of this warpgroup are in a stage at `at`.
  Value scalesAt(Value at) {
    return addWords(at, mulWords(warpgroup, unitsOfWarpgroup * kScaleBytes));
  }
  Values emitChunk(Values states, const Group &group, Value chunk, Value step);
  Values multiplyTokens(Value at, Value read);
  /// A row of S^T of this thread is a token of the chunk's first half, or of its second.
  Value tokenOf(int64_t half);
  Value eighthOf(int64_t half) { return half ? subWords(word(7), warp) : warp; }
  /// The column of this thread's sums, and the next.
  Value columnOf() { return mulWords(remWords(here.lane, 4), 2); }
  Values computeDecays(Value at, int64_t unit);
  void storeDecayed(ArrayRef<Value> sums, ArrayRef<Value> decays, int64_t unit);
  Values emitUnit(Values state, const Group &group, Value chunk, Value at, int64_t unit,
                  Value readTile, Value keyTile);
  void storeOutputs(const Group &group, Value chunk, int64_t unit);
  Value outputsAt(int64_t unit) {
    return addWords(mulWords(unitOfWarpgroup(unit), kTokens * kOutputStride), atOutputs);
  }
  void clearProducts();
  Values loadStates(const Group &group, Value resumes);
  void storeStates(const Group &group, ValueRange states);
  /// Addresses of the pairs of a thread, in the order of its sums.
  Values statePlaces(Value memory, const Group &group, int64_t unit);
  Value flagOf(const Group &group);
  Value unitOfWarpgroup(int64_t unit) {
    return addWords(mulWords(warpgroup, unitsOfWarpgroup), unit);
  }
  int64_t atScale(int64_t unit, int64_t row) {
    return atScales + unit * kScaleBytes + row * kTokens * 4;
  }
  void meetWarpgroup() { meet(addWords(warpgroup, 1), kWarpgroup); }

  static constexpr int64_t kTokens = 64, kLanes = 64, kStages = 2;
  static constexpr int64_t kWarp = 32, kWarpgroup = 128, kMultipliers = 2;
  static constexpr int64_t kThreads = (1 + kMultipliers) * kWarpgroup;
  /// Of a thread; all of a multiprocessor are given out.
  static constexpr int64_t kFetchingRegisters = 24, kMultiplyingRegisters = 240;
  /// Of a unit, for each token: c; f; 2^c; g in bf16, and of the second half of a chunk
  /// what c has grown by since the first, as a power of two.
  static constexpr int64_t kScaleBytes = 4 * kTokens * 4;
  /// Bytes that a thread copies or stores at once.
  static constexpr int64_t kVector = 16;
  /// Bytes of a token of the outputs, so that eight are in different banks.
  static constexpr int64_t kOutputStride = kLanes * 2 + 16;

  ScanOp op;
  CoefficientsOp roles;
  ProductTerms products;
  int64_t blocks, mostUnits;

  Rows read, keys, values, outputs;
  int64_t numKeys = 0, tiles = 0;
  /// Units of a block and a warpgroup; parts of a head; heads of a block.
  int64_t units = 0, unitsOfWarpgroup = 0, parts = 0, heads = 0, groupsOfRow = 0;
  /// Logarithm of the decay, to base e or 2; null: there is none.
  Value decay;
  bool isPowerOfTwo = false;
  /// Bytes from a lane's keys to the next one's.
  int64_t stateStep = 0;

  // Where in shared memory: of a stage, and after the stages.
  int64_t atKeys = 0, atValues = 0, atScales = 0, stageBytes = 0;
  int64_t atProducts = 0, atOutputs = 0, atBarriers = 0;

  SmallVector<Value> point, sizes;
  Value length, numChunks, begin, end; ///< words
  Value shared;                        ///< where shared memory begins

  Value warpgroup, warp; ///< of a thread that multiplies
  /// Its lane, and where it reads and writes in shared memory, from the beginning of a
  /// stage or of all. Here they are renewed: what follows from them is computed in each
  /// chunk anew, and not kept in registers.
  struct Places {
    Value lane, keys, products, matrices;
  } places, here;
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_WARPGROUPCHUNK_H
