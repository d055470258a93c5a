//===- TabulatedLowering.h - Chunks of a time-invariant recurrence -*- C++ -*-===//
//
// Internal to the lowering of `ssm.scan` with tables: LowerTabulated.cpp emits the
// schedule and moves data between memory and scratch; TabulatedProducts.cpp emits the
// arithmetic on scratch memory.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_TABULATEDLOWERING_H
#define SSMC_TARGET_CPU_TABULATEDLOWERING_H

#include "CPULowering.h"
#include "ScanOperands.h"
#include "ssm/Analysis/InvariantForm.h"

namespace ssmc::cpu {

using namespace mlir::ssm;

/// With x the inputs of chunk k, and the tables of the op (its definition says what
/// they hold), all numbers a vector over the lanes:
///
///   w_k[row]   = sum_j write[row, j] * x_k[j]
///   S_(k+1)    = decay * S_k + w_k
///   y_k[i]     = sum_rows read[i, row] * S_k[row] + sum_(j<=i) kernel[i-j] * x_k[j]
///
/// The first and the last are products of small matrices, one for each lane: an element
/// of a table is loaded once for several chunks, and an input or a state for several
/// rows. A unit of work is one vector of lanes of one row of the batch; so its tables
/// stay in the second cache while the chunks pass, a tile of them at a time. Two units
/// whose lanes lie side by side in memory take turns, tile by tile, as a processor
/// fetches lines in pairs. For each tile:
///
///   inputs of the tile -> scratch
///   w of every chunk -> scratch; from chunk to chunk it is replaced by S
///   outputs -> scratch -> epilogue -> memory
///
/// The tokens after the last whole chunk are chunks of one token.
class TabulatedLowering {
public:
  TabulatedLowering(RewriterBase &builder, ScanOp op, const VectorTarget &target);
  LogicalResult run();

private:
  /// A value by row and column of a block.
  using Element = llvm::function_ref<Value(int64_t)>;
  using BlockBody = llvm::function_ref<void(Value, int64_t)>;
  /// At the lanes of a unit: coefficients and epilogue.
  using UnitBody = llvm::function_ref<void(RegionEmitter &, RegionEmitter &)>;

  // Schedule.
  bool chooseSizes();
  double getUnitTokenCost();
  void emitTask(Value begin, Value end);
  void emitGroup(Value group);
  void emitUnit(Value group, UnitBody body);
  void emitTile(RegionEmitter &coefficients, RegionEmitter &epilogue, Value first,
                Value chunks, int64_t length);

  // Between memory and scratch.
  Value allocate(int64_t rows);
  void emitBoundary(RegionEmitter &emitter, bool load);
  void forTokens(RegionEmitter &emitter, Block &body, Value first, Value chunks,
                 int64_t length,
                 llvm::function_ref<void(RegionEmitter &, Value, Value)> emit);
  void stageInputs(RegionEmitter &emitter, Value first, Value chunks, int64_t length);
  void emitOutputs(RegionEmitter &epilogue, Value first, Value chunks, int64_t length);
  void emitPrefetch(Value firstRow, Value firstChunk);
  void bindOutputs(RegionEmitter &epilogue, ArrayRef<Value> values);

  // Arithmetic on scratch memory.
  void emitWrites(Value chunks, int64_t length);
  void emitCarry(Value chunks, int64_t length);
  void emitReads(Value copy, Value chunks, int64_t length);
  SmallVector<Value> accumulate(ValueRange sums, int64_t columns, Value lower,
                                Value upper, int64_t number,
                                llvm::function_ref<Value(int64_t, int64_t, Value)> a,
                                llvm::function_ref<Value(int64_t, int64_t, Value)> b,
                                int64_t rows);
  /// Places in scratch memory of the unit's state, and of a chunk's rows and inputs.
  Value getStatePlace(Value row) { return plus(times(unitInGroup, rows), row); }
  Value getCarriedPlace(Value number, Value row);
  Value getValuePlace(Value number, Value token, int64_t input, int64_t length);
  void forBlocks(int64_t size, int64_t block, BlockBody body);
  void forBlocks(Value size, int64_t block, BlockBody body);
  Value multiplyAdd(Value a, Value b, Value c);
  Value multiplySubtract(Value a, Value b, Value c);
  Value zero();
  /// An element of a table at the unit: `indices` are those between tile and lane.
  Value loadTable(unsigned number, ArrayRef<Value> indices);
  Value loadRow(Value scratch, Value row);
  void storeRow(Value value, Value scratch, Value row);

  Value index(int64_t value) { return indexConstant(builder, loc, value); }
  Value at(Value base, int64_t offset) {
    return addIndex(builder, loc, base, index(offset));
  }
  Value plus(Value a, Value b) { return addIndex(builder, loc, a, b); }
  Value minus(Value a, Value b) { return subIndex(builder, loc, a, b); }
  Value times(Value a, int64_t b) { return mulIndex(builder, loc, a, index(b)); }
  Value convert(Value value, Type type) {
    return convertFloat(builder, loc, value, type);
  }

  RewriterBase &builder;
  ScanOp op;
  Location loc;
  VectorTarget target;
  CoefficientsOp roles;
  Block &coefficientsBody, &epilogueBody;
  unsigned numDims;
  InvariantForm form;
  Type element;
  int64_t width = 1, lanes = 1, tiles = 1;
  int64_t parts = 1, outputs = 1, rows = 1, copies = 1, chunk = 1, inputs = 1;
  bool dense = false;
  /// Rows and columns of a block of a product, and chunks of a tile.
  int64_t blockRows = 4, blockColumns = 6, tileChunks = 6;
  /// Units of which a tile of each is computed before the next one of any.
  int64_t groupUnits = 1;
  /// Between the rows of one chunk and the next. What a block reads together, a row of
  /// each chunk, must not fall into the same set of a cache, as it would at a distance
  /// of a power of two; nor may a row have the low address bits of one that was just
  /// stored for the chunk before.
  static constexpr int64_t rowPadding = 9;
  /// Memory that is read or written once for a token and lane, and whether it is written.
  SmallVector<Stream> streams;

  Value batches, tokens;
  RegionEmitter coefficientsBase, epilogueBase;
  Value state;     ///< units of the group, rows
  Value nextState; ///< rows
  Value values;    ///< tokens of the tile, inputs
  Value carried;   ///< chunks of the tile, rows: w, then S
  Value results;   ///< tokens of the tile, outputs

  // Where the code being emitted is.
  Value outerNumber, tileNumber; ///< of the tables
  Value unitInGroup;
  Value firstToken;              ///< of the tile
  const RegionEmitter *point = nullptr; ///< the unit's
  Value firstLane, endLane;
};

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_TABULATEDLOWERING_H
