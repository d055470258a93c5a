//===- VectorEmitter.h - Scalar regions at vector width --------*- C++ -*-===//
//
// The engine shared by the CPU lowerings. A structured op gives a scalar region
// and, for each of its arguments, a memref with an affine map from the op's
// iteration dimensions. The emitter clones values of the region for a point of
// the iteration space, one dimension of which runs over the lanes of a vector.
// A value that does not depend on the lanes stays scalar until it meets one
// that does; a value is computed once per combination of the unrolled
// dimensions on which it depends.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_VECTOREMITTER_H
#define SSMC_TARGET_CPU_VECTOREMITTER_H

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/AffineMap.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallBitVector.h"
#include "llvm/ADT/SmallPtrSet.h"
#include <functional>
#include <map>
#include <optional>

namespace ssmc::cpu {

using namespace mlir;

/// Memory and the index of the element that belongs to a point.
struct Access {
  Value memref;
  AffineMap map;
};

/// Constant distance of an unrolled point from the current one, by dimension.
using Offsets = SmallVector<int64_t, 6>;

/// The dimension that runs over the lanes of a vector. With `mask`, lanes after
/// the index `last` are off.
struct Lanes {
  std::optional<unsigned> dim;
  int64_t width = 1;
  Value mask;
  Value last;
};

class RegionEmitter {
public:
  /// Gives the value at a point from elsewhere: an accumulator, scratch memory.
  using Source = std::function<Value(const Offsets &)>;

  RegionEmitter(OpBuilder &builder, Location loc, unsigned numDims);

  /// From here on, dimension `dim` has the value `index` (the first lane's for
  /// the dimension of the lanes).
  void bindDim(unsigned dim, Value index);
  void unbindDim(unsigned dim);
  Value getDim(unsigned dim) const { return dimValues[dim]; }
  void setLanes(const Lanes &newLanes);
  const Lanes &getLanes() const { return lanes; }

  /// Values of `body` are cloned; those of other blocks are used as they are.
  void addBody(Block &body) { bodies.insert(&body); }
  /// The argument `arg` is loaded from `access`.
  void bindAccess(Value arg, Access access) { accesses[arg] = access; }
  /// `value` comes from `source`, and depends on `dims`. A value that `varies`
  /// changes at a fixed point, as an accumulator does: nothing that uses it is
  /// kept for later.
  void bindSource(Value value, Source source, llvm::SmallBitVector dims,
                  bool varies = false);

  /// Ops of the region have been replaced: what is known of values is void.
  void forgetValues() {
    dependentDims.clear();
    cache.clear();
  }
  /// The value at a point is known already.
  void setValue(Value value, const Offsets &offsets, Value known);

  /// Dimensions on which a value of the region depends; the bit after the last
  /// dimension is set for what varies.
  llvm::SmallBitVector getDependentDims(Value value);

  /// The value at a point: a scalar if no lane dimension is involved.
  Value get(Value value, const Offsets &offsets);
  /// The same as a vector (a scalar if there are no lanes).
  Value getVector(Value value, const Offsets &offsets);
  /// A scalar or vector as a vector.
  Value splat(Value value);
  /// The type of `element` over the lanes.
  Type getLanesType(Type element) const;

  /// Computes now what the values bound so far determine, for all `points`.
  void hoist(Block &body, ArrayRef<Offsets> points);

  Value load(const Access &access, const Offsets &offsets);
  /// With `streaming` whole vectors, aligned to their size, go past the caches.
  void store(const Access &access, Value value, const Offsets &offsets,
             bool streaming = false);
  /// Loads, for `count` consecutive offsets of `dim`, vectors over the lanes
  /// from memory in which `dim` is contiguous: whole rows are read and
  /// transposed in registers. Empty if the access does not allow it.
  SmallVector<Value> loadTransposed(const Access &access, unsigned dim,
                                    int64_t count, const Offsets &offsets);
  /// The inverse of `loadTransposed`; false if the access does not allow it.
  bool storeTransposed(const Access &access, unsigned dim,
                       ArrayRef<Value> values, const Offsets &offsets);
  /// Index values of the access at a point (of the first lane).
  SmallVector<Value> getIndices(const Access &access, const Offsets &offsets,
                                Value lane = Value());

  Offsets zeroOffsets() const { return Offsets(numDims, 0); }
  OpBuilder &getBuilder() { return builder; }
  Location getLoc() const { return loc; }

private:
  using Key = std::pair<void *, Offsets>;
  struct Entry {
    Value value;
    llvm::SmallBitVector dims;
  };

  Offsets getRelevant(const llvm::SmallBitVector &dims,
                      const Offsets &offsets) const;
  Value compute(Value value, const Offsets &offsets);
  Value computeOp(Operation *op, unsigned result, const Offsets &offsets);
  Value computeLoad(Operation *op, ArrayRef<Value> operands);
  Value computeByLane(Operation *op, unsigned result, ArrayRef<Value> operands);
  Value getLaneIndex(int64_t lane, int64_t offset);
  bool dependsOnLanes(AffineMap map) const;

  OpBuilder &builder;
  Location loc;
  unsigned numDims;
  SmallVector<Value> dimValues;
  Lanes lanes;
  llvm::SmallPtrSet<Block *, 2> bodies;
  llvm::DenseMap<Value, Access> accesses;
  std::map<void *, std::pair<Source, llvm::SmallBitVector>> sources;
  llvm::DenseMap<Value, llvm::SmallBitVector> dependentDims;
  std::map<Key, Entry> cache;
};

/// How the access moves in memory when dimension `dim` advances by one:
/// nothing, one element of the last memref dimension, or otherwise.
enum class Stride { none, unit, other };
Stride getStride(const Access &access, unsigned dim);

/// Vectors of `rows.size()` elements: element j of result i is element i of
/// row j. As many rows as lanes, a power of two.
SmallVector<Value> transposeInRegisters(OpBuilder &builder, Location loc,
                                        SmallVector<Value> rows);
/// Sums over the lanes of as many vectors as each has lanes: lane i is the sum
/// of vector i.
Value sumLanesInRegisters(OpBuilder &builder, Location loc,
                          SmallVector<Value> rows);

/// Combines the lanes of a vector by halves, with clones of the scalar `op`.
Value reduceLanes(OpBuilder &builder, Location loc, Operation *op,
                  Value vector);

/// The sum of a vector's lanes, by halves.
Value sumLanes(OpBuilder &builder, Location loc, Value vector);

/// Lets products be fused with sums, and nothing else.
void allowContraction(Operation *op);

/// A loop `for (iv = lower; iv < upper; iv += step)`. A loop known to run once
/// is its body alone.
SmallVector<Value>
emitFor(OpBuilder &builder, Location loc, Value lower, Value upper,
        int64_t step, ValueRange inits,
        llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body);
void emitFor(OpBuilder &builder, Location loc, Value lower, Value upper,
             int64_t step, llvm::function_ref<void(Value)> body);

/// Splits [lower, upper) of the lane dimension into loops over `vectors` whole
/// vectors, then one, then a masked one; leaves out those that cannot occur
/// for the static extent and alignment at hand. `body` gets the number of
/// vectors and the lanes, with the dimension bound in `emitter`.
void emitLaneLoops(RegionEmitter &emitter, Location loc, unsigned dim,
                   Value lower, Value upper, int64_t width, int64_t vectors,
                   int64_t multiple,
                   llvm::function_ref<void(RegionEmitter &, int64_t)> body);

/// Code for either case, of which the second may be none. Without a condition it is
/// false.
void emitIf(OpBuilder &builder, Location loc, Value condition,
            llvm::function_ref<void()> whenTrue,
            llvm::function_ref<void()> whenFalse = nullptr);
/// The value of either case; that of the other is not computed.
Value emitChoice(OpBuilder &builder, Location loc, Value condition,
                 llvm::function_ref<Value()> whenTrue,
                 llvm::function_ref<Value()> whenFalse);

/// An index constant; the value of an index that is a constant.
Value indexConstant(OpBuilder &builder, Location loc, int64_t value);
std::optional<int64_t> getConstant(Value value);

/// Splits units [0, numUnits) into tasks that may run in parallel: a task takes
/// `unitsPerTask` consecutive ones.
void emitTasks(OpBuilder &builder, Location loc, Value numUnits,
               Value unitsPerTask, std::optional<double> taskCost,
               llvm::function_ref<void(Value begin, Value end)> body);

/// Units per task such that a task takes about `taskNanoseconds`, given the
/// cost of a unit as `factor` (an index) times `nanoseconds`.
Value getUnitsPerTask(OpBuilder &builder, Location loc, Value factor,
                      double nanoseconds);

/// A number or a vector with elements of the floating-point type `element`.
Value convertFloat(OpBuilder &builder, Location loc, Value value, Type element);

/// `value`, zero where it would be a denormal number of the floating-point type
/// `element`: arithmetic on those is slow, a hundred clocks and more on some CPUs.
Value flushDenormals(OpBuilder &builder, Location loc, Value value, Type element);

/// Index arithmetic that folds constants.
Value addIndex(OpBuilder &builder, Location loc, Value a, Value b);
Value subIndex(OpBuilder &builder, Location loc, Value a, Value b);
Value mulIndex(OpBuilder &builder, Location loc, Value a, Value b);
Value minIndex(OpBuilder &builder, Location loc, Value a, Value b);
Value ceilDivIndex(OpBuilder &builder, Location loc, Value a, Value b);
/// The digits of a linear index, the last varying fastest.
SmallVector<Value> delinearize(OpBuilder &builder, Location loc, Value linear,
                               ArrayRef<Value> extents);

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_VECTOREMITTER_H
