//===- AttendLowering.h - Sums over seen tokens in tiles -------*- C++ -*-===//
//
// Internal to the lowering of `ssm.attend`: LowerAttend.cpp analyses the op and
// emits the schedule, AttendStaging.cpp moves data between memory and scratch,
// AttendProducts.cpp emits the arithmetic of a tile.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_ATTENDLOWERING_H
#define SSMC_TARGET_CPU_ATTENDLOWERING_H

#include "BlockProducts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include <optional>
#include <string>

namespace ssmc::cpu {

using namespace mlir::ssm;

/// A unit of work is one batch row, one step of each lane of the score, and a
/// block of queries. It walks the tokens that any of them sees in tiles, the last
/// tile first, so nothing is stored that has both sequences for extents:
///
///   scores[s, t]  = sum_r keys[s, r] * queries[t, r]      (queries in the lanes)
///   weights[s, t] = score(scores, ...) * decays, or exp(score - largest)
///   sums[t, e]   += sum_s weights[s, t] * values[s, e]    (values in the lanes)
///
/// With queries in the lanes, the largest score, the sum of weights and the products
/// of decays of a query are vectors that are carried from key to key: no lanes are
/// combined, and decays are multiplied up in the order of the definition. Where a tile
/// has a larger score than those before, the sums are scaled down.
///
/// Only tiles that not every query of the block sees as a whole are masked. A query
/// never meets a value it does not see, not even multiplied by zero, so that a NaN
/// stays where it arises.
class AttendLowering : BlockProducts {
public:
  AttendLowering(RewriterBase &builder, AttendOp op, const VectorTarget &target);
  /// Replaces the op; otherwise gives the reason why it cannot.
  std::optional<std::string> run();

private:
  /// Queries and keys of one product.
  struct Pair {
    unsigned number;
    SmallVector<unsigned> dims; ///< that the product sums over
    int64_t depth = 1;
    Value queries; ///< depth x block
    Value keys;    ///< tile x depth, padded
    Value scores;  ///< tile x block
  };
  /// An operand of the score at a place that depends on how far tokens are apart:
  /// its elements at all distances of a tile.
  struct Window {
    unsigned number;
    Value elements;
  };
  using Point = llvm::function_ref<void(RegionEmitter &, Value)>;

  // Analysis.
  std::optional<std::string> analyze();
  bool findSizes(AffineMap map, Value operand);
  void orderDims(SmallVector<unsigned> &dims, Access access);
  int64_t getExtent(ArrayRef<unsigned> dims);
  int64_t getPitch(ArrayRef<unsigned> dims);
  bool chooseSizes();
  int64_t getScratchBytes();
  double getTileKeyCost();
  bool isWindow(unsigned scoreIn);

  // Schedule.
  void bindScore();
  void allocateScratch();
  void emitUnit(Value unit);
  void emitBounds();
  Value emitBound(AffineMap map, Value token, Value limit, bool isLower);
  void emitTile(Value tile);

  // Between memory and scratch.
  void forPoints(RegionEmitter &emitter, ArrayRef<unsigned> dims, Point body);
  void stageQueries(Pair &pair);
  void stageKeyed(unsigned number, AffineMap map, ArrayRef<unsigned> dims,
                  Value scratch);
  void stageWindow(Window &window);
  Value loadChecked(RegionEmitter &emitter, const Access &access);
  Value loadByLane(unsigned scoreIn);
  void setRows(RegionEmitter &emitter, Value row);
  void emitOutputs();

  // Arithmetic.
  void emitScores(Pair &pair);
  void emitWeights(bool masked);
  void emitWeights(Value row, int64_t vectors, bool masked);
  void emitExponentials(ArrayRef<Value> places, ValueRange found);
  Value getScore(RegionEmitter &rows, Value row, Value key);
  void emitScale();
  void emitSums();
  SmallVector<Value> emitSegment(ValueRange sums, Value row, int64_t rows,
                                 Value column, int64_t vectors, Value lower,
                                 Value upper, bool masked);

  Value min(Value a, Value b) { return minIndex(builder, loc, a, b); }
  Value max(Value a, Value b) {
    return builder.createOrFold<arith::MaxSIOp>(loc, a, b);
  }
  Value sub(Value a, Value b) { return subIndex(builder, loc, a, b); }
  Value plus(Value a, Value b) { return addIndex(builder, loc, a, b); }
  Value compare(arith::CmpIPredicate predicate, Value a, Value b) {
    return builder.createOrFold<arith::CmpIOp>(loc, predicate, a, b);
  }

  AttendOp op;
  Block &body;
  unsigned numDims;
  SmallVector<int64_t> sizes; ///< of the dimensions from the first lane on; or -1
  SmallVector<unsigned> scoreLanes, valueLanes;
  SmallVector<Pair> pairs;
  SmallVector<Window> windows;
  int64_t block = 64, tile = 64, columns = 1;
  RegionEmitter base;

  Value batches, tokens, position;
  Value firstSeen, lastSeen;    ///< bounds that all queries share
  Value values;                 ///< tile x columns, padded
  Value decays;                 ///< tile
  Value weights;                ///< tile x block
  Value sums;                   ///< block x columns
  Value largest, totals, scales; ///< block: of the softmax
  Value carries;                ///< block: products of decays so far
  Value begins, ends;           ///< block: i64, the tokens that a query sees

  // Where the code being emitted is.
  const RegionEmitter *unit = nullptr;
  Value firstRow, numRows, paddedRows;             ///< of the block
  Value minBegin, maxBegin, minEnd, maxEnd;        ///< of its queries
  Value low, high, count;                          ///< of the tile
  Value row, key;                                  ///< of the score
};

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_ATTENDLOWERING_H
