//===- ScanLowering.h - The sequential recurrence on vectors ---*- C++ -*-===//
//
// Internal to the lowering of `ssm.scan`: ScanAnalysis.cpp looks at the op and
// chooses its blocks, LowerScan.cpp emits the schedule, ScanPasses.cpp the
// loops over a time tile, and ScanStep.cpp the arithmetic of one step.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_SCANLOWERING_H
#define SSMC_TARGET_CPU_SCANLOWERING_H

#include "CPULowering.h"
#include "ScanOperands.h"

namespace ssmc::cpu {

using namespace mlir::ssm;

/// Lanes run over a dimension of both state and output. A unit of work is one
/// batch row, one step of each further dimension that state and output share,
/// and a block of lanes. With keys it runs over tiles of time:
///
///   what depends on time alone, or on time and keys -> scratch
///   for each group of lane vectors:
///     what depends on time and lanes -> scratch, a row of memory at a time
///     for each block of keys, for each vector: the steps of the tile, the
///       block of the state in registers, partial outputs in scratch
///     epilogue, a row of memory at a time
///
/// Without keys several lane vectors of the state stay in registers for the
/// whole sequence.
class ScanLowering {
public:
  ScanLowering(RewriterBase &builder, ScanOp op, const VectorTarget &target);
  LogicalResult run();

private:
  /// A value of the state or of a coefficient: real, or real and imaginary.
  using Number = SmallVector<Value, 2>;
  /// How a value kept in scratch is indexed.
  enum class Kind { time, timeKeys, timeLanes, lanesKeys };
  struct Kept {
    Value value;
    Kind kind;
    Value scratch;
  };

  // Analysis.
  bool chooseLanes();
  double getLaneCost(unsigned dim);
  void chooseBlocks();
  bool hasStateFunctions();
  void simplifyExponentials();
  void chooseKept();
  void visitKept(Value value);
  double getUnitStepCost();

  // Schedule.
  void emitWhole();
  void emitTask(Value begin, Value end);
  void allocateScratch();
  Value allocate(ArrayRef<int64_t> shape, Type element);
  void emitUnit(Value unit);
  void emitDirect(RegionEmitter &coefficients, RegionEmitter &epilogue);
  Value emitStreamCondition();
  void emitTiles(RegionEmitter &coefficients, RegionEmitter &epilogue);
  void emitBoundary(RegionEmitter &emitter, bool load);
  void emitLanesKeys(RegionEmitter &emitter);

  /// Runs `body` over the unit's lanes, `vectors` vectors at a time; without
  /// lanes, once.
  void forUnitLanes(RegionEmitter &emitter, int64_t vectors,
                    llvm::function_ref<void(RegionEmitter &, int64_t)> body);
  /// Another emitter at the lanes of `leader`.
  RegionEmitter follow(const RegionEmitter &emitter,
                       const RegionEmitter &leader);

  // Segments of time.
  int64_t chooseSegments();
  int64_t getUnitsOfRow();
  void emitSegmentsOrWhole(int64_t count, llvm::function_ref<void()> emitWhole);
  void emitSegments(int64_t count);
  void emitInitialBoundary(RegionEmitter &emitter);
  void emitEndingTile(RegionEmitter &staged, RegionEmitter &epilogue,
                      int64_t vectors);
  void advance(RegionEmitter &emitter, Number &state, Number &product,
               const Offsets &offsets);
  Number getCarried(const Offsets &offsets);
  void storeEnding(const Number &state, const Number &product,
                   const Offsets &offsets);
  SmallVector<Value> getBoundaryPlace(Value ofSegment, const Offsets &offsets);
  Number loadNumber(ArrayRef<Value> memory, ValueRange place);
  void storeNumber(const Number &number, ArrayRef<Value> memory,
                   ValueRange place);
  void forStatePlaces(
      RegionEmitter &emitter,
      llvm::function_ref<void(RegionEmitter &, const Offsets &)> body);
  Number oneState(RegionEmitter &emitter);
  /// Sets `tile` for the emitter's lanes.
  void bindTile(RegionEmitter &emitter);
  /// Runs `body` where the state of a sequence, or of its last segment, is
  /// left.
  void ifLast(llvm::function_ref<void()> body);

  // A sequence of one token.
  bool hasSingleTokenForm();
  void emitSingleToken(RegionEmitter &coefficients, RegionEmitter &epilogue);
  void bindKeySources(RegionEmitter &emitter, Value number);
  void emitPrefetchRows(RegionEmitter &at, const Offsets &point);
  void emitKeyLanes(RegionEmitter &element, Value number);

  // Passes over a tile of time.
  void emitTimePass(RegionEmitter &raw);
  void emitTimeKeysPass(RegionEmitter &raw);
  void emitPrologue(RegionEmitter &raw, int64_t vectors);
  void emitRecurrence(RegionEmitter &staged, RegionEmitter &epilogue,
                      int64_t vectors);
  void forGroupVectors(
      RegionEmitter &staged, RegionEmitter &epilogue, int64_t vectors,
      int64_t together,
      llvm::function_ref<void(RegionEmitter &, RegionEmitter &)> body);
  void emitZeroReads(RegionEmitter &emitter, int64_t vectors);
  void emitBlockInRegisters(RegionEmitter &staged, RegionEmitter &epilogue,
                            int64_t keys, int64_t vectors, bool partial);
  void emitErasing(RegionEmitter &staged, RegionEmitter &epilogue);
  void emitPrefetch(const RegionEmitter &emitter, int64_t vectors, bool inBlocks);
  void emitPrefetchAhead(const RegionEmitter &emitter, Value token,
                         ArrayRef<Offsets> points);
  Value getTokenOfNextTile(Value token);
  void emitEpilogue(RegionEmitter &epilogue, int64_t vectors);
  void bindSources(RegionEmitter &staged);

  // Steps.
  Number getRole(RegionEmitter &emitter, OperandRange role, unsigned first,
                 const Offsets &offsets);
  Number multiply(const Number &a, const Number &b);
  Number multiplyAdd(const Number &a, const Number &b, const Number &c);
  Number add(const Number &a, const Number &b);
  Value multiplyReal(Value a, Value b);
  Value addReal(Value a, Value b);
  Value subtractReal(Value a, Value b);
  Value convert(Value value, Type type) {
    return convertFloat(builder, loc, value, type);
  }
  Number applyReset(RegionEmitter &emitter, Number state,
                    const Offsets &offsets);
  /// Adds left * state of the points to the sums over keys of each erase pair.
  void addErased(RegionEmitter &emitter, ArrayRef<Number> states,
                 ArrayRef<Offsets> points, SmallVectorImpl<Number> &sums);
  Number getNext(RegionEmitter &emitter, const Number &state,
                 ArrayRef<Number> erased, const Offsets &offsets);
  /// Adds a read of the states at `points` to `start`, if there is one.
  Number getRead(RegionEmitter &emitter, ArrayRef<Number> states,
                 ArrayRef<Offsets> points, std::optional<Number> start);
  void bindOutputs(RegionEmitter &epilogue, const Number &read);
  void storeOutputs(RegionEmitter &epilogue, const Number &read,
                    const Offsets &offsets);
  void emitReads(RegionEmitter &emitter, RegionEmitter &epilogue,
                 ArrayRef<Number> states, ArrayRef<Offsets> points,
                 bool partial);

  /// Runs `body` for each block of keys with the key dimensions bound; `count`
  /// keys of the innermost one are offsets.
  SmallVector<Value>
  emitKeyBlocks(ArrayRef<RegionEmitter *> emitters, ValueRange inits,
                llvm::function_ref<SmallVector<Value>(ArrayRef<RegionEmitter *>,
                                                      int64_t, ValueRange)>
                    body,
                int64_t block);
  SmallVector<Offsets> getKeyPoints(int64_t count, int64_t vectors = 1);
  /// The number of a vector of lanes, given that of the first of a block.
  Value getVector(Value first, const Offsets &offsets);
  SmallVector<Offsets> getLanePoints(int64_t vectors);
  /// The steps of the tile in the direction of the recurrence; `body` gets the
  /// token.
  SmallVector<Value>
  emitSteps(ValueRange inits,
            llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body);
  /// Runs `body` for each copy with the copy dimensions bound.
  void forCopies(ArrayRef<RegionEmitter *> emitters,
                 llvm::function_ref<void(ArrayRef<RegionEmitter *>)> body);
  Value loadScratch(Value scratch, ValueRange indices);
  void storeScratch(Value value, Value scratch, ValueRange indices);
  SmallVector<Value> getStatePlace(const Offsets &offsets);
  Number loadState(const Offsets &offsets);
  void storeState(const Number &state, const Offsets &offsets);
  Number zeroState(RegionEmitter &emitter);
  /// A part of a state as the final states have it in memory.
  Value toMemory(Value part) {
    return convert(part, getElementTypeOrSelf(op.getFinalStates().front()));
  }

  bool hasKeys() const { return !keyDims.empty(); }
  bool resident() const { return outerKeys == 1 && innerKeys <= keyBlock; }
  bool erases() { return !roles.getErase().empty(); }
  bool reads() { return !roles.getRead().empty(); }
  unsigned getErasePairs();
  Value index(int64_t value) { return indexConstant(builder, loc, value); }

  RewriterBase &builder;
  ScanOp op;
  Location loc;
  VectorTarget target;
  CoefficientsOp roles;
  Block &coefficientsBody, &epilogueBody;
  unsigned numDims, parts;
  Type element;

  SmallVector<unsigned> outerDims, keyDims, copyDims;
  std::optional<unsigned> lane, innerKey;
  int64_t fullWidth = 1, width = 1, group = 1, lanes = 1, laneBlock = 1;
  int64_t innerKeys = 1, outerKeys = 1, keyBlock = 1, blockVectors = 1;
  int64_t copies = 1, timeTile = 32;
  SmallVector<Kept> kept;

  SmallVector<Access> initial, finals, outputs;
  SmallVector<Stream> streams, keyStreams; ///< with rows of lanes, and of keys
  /// Whether what is written goes past the caches, of a call and of the code being
  /// emitted.
  Value streamCondition;
  bool streaming = false;
  Value batches, tokens;
  RegionEmitter coefficientsBase, epilogueBase;
  SmallVector<Value> stateScratch;
  SmallVector<Value> readScratch;

  /// Between segments, [segment, unit, vector, outer keys, keys, lanes]: the
  /// state that the one before leaves if it starts from 0 (the initial one for
  /// the first), and the product of decays over one.
  SmallVector<Value> endStates, decayProducts;
  SmallVector<Value> productScratch;

  // Where the code being emitted is.
  enum class SegmentKind { none, ending, whole };
  SegmentKind segmentKind = SegmentKind::none;
  Value segment, lastSegment, unitOfRow;
  Value firstStep, endStep;   ///< of the sequence or segment, in its order
  Value firstLane, endLane;   ///< of the unit
  Value firstToken, endToken; ///< of the tile
  Value step;                 ///< token minus first token
  Value vectorOfGroup;        ///< number of the vector in its group
  Value tile;                 ///< number of the vector in the unit
  Value outerKey, keyBase;    ///< of the block of keys
  Value copy;                 ///< linear number of the copy
};

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_SCANLOWERING_H
