//===- GenericLowering.h - Maps and contractions on vectors ----*- C++ -*-===//
//
// Internal to the lowering of `linalg.generic`: LowerGeneric.cpp chooses lanes,
// rows and tasks and emits the outer loops, GenericTile.cpp a block of results.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_GENERICLOWERING_H
#define SSMC_TARGET_CPU_GENERICLOWERING_H

#include "CPULowering.h"
#include "VectorEmitter.h"

namespace ssmc::cpu {

/// Extent assumed where only the run time knows it.
static constexpr int64_t assumedExtent = 64;

/// Lowers one op; see the file's comment.
class GenericLowering {
public:
  GenericLowering(RewriterBase &builder, linalg::GenericOp op,
                  const VectorTarget &target)
      : builder(builder), op(op), loc(op.getLoc()), target(target),
        body(*op.getBody()), numDims(op.getNumLoops()) {}

  LogicalResult run();

private:
  bool analyze();
  Operation *matchCombiner(unsigned output);
  double getCostPerVector(unsigned dim);
  void chooseLanes();
  void chooseRows();
  double getPointCost();
  Value getNeutral(Operation *combiner, Type type);

  void emitAll();
  void emitUnit(RegionEmitter &emitter, Value first, Value last);
  void emitRange(RegionEmitter &emitter, Value first, Value last);
  void emitOthers(RegionEmitter &emitter, unsigned next,
                  llvm::function_ref<void(RegionEmitter &)> inner);
  void emitLanes(RegionEmitter &emitter, int64_t rows, Value first, Value last);
  void emitTile(RegionEmitter &emitter, int64_t rows, int64_t vectors);
  SmallVector<Value> emitReductions(RegionEmitter &emitter, unsigned level,
                                    SmallVector<Value> accumulators,
                                    int64_t rows, int64_t vectors);
  SmallVector<Value> emitLaneReduction(RegionEmitter &emitter,
                                       SmallVector<Value> accumulators,
                                       int64_t rows);
  void bindAccumulators(RegionEmitter &emitter, SmallVector<Value> accumulators,
                        int64_t rows, int64_t vectors);
  SmallVector<Value> emitStep(RegionEmitter &emitter,
                              SmallVector<Value> accumulators, int64_t rows,
                              int64_t vectors, Offsets shift);
  SmallVector<Offsets> getPoints(int64_t rows, int64_t vectors);

  int64_t getAssumed(unsigned dim) {
    return ShapedType::isDynamic(sizes[dim]) ? assumedExtent : sizes[dim];
  }
  bool isReduction(unsigned dim) {
    return op.getIteratorTypesArray()[dim] == utils::IteratorType::reduction;
  }
  Value index(int64_t value) { return indexConstant(builder, loc, value); }
  bool lanesReduce() { return lane && isReduction(*lane); }
  bool isTransposed(const Access &access, unsigned inner) {
    return lane && getStride(access, *lane) == Stride::other &&
           getStride(access, inner) == Stride::unit;
  }

  RewriterBase &builder;
  linalg::GenericOp op;
  Location loc;
  const VectorTarget &target;
  Block &body;
  unsigned numDims;

  SmallVector<Access> inputs, outputs;
  SmallVector<int64_t> sizes; // Static extents or kDynamic.
  SmallVector<Value> extents;
  SmallVector<unsigned> reductions; // The innermost last.
  int64_t width = 1;
  std::optional<unsigned> lane;
  /// Dimension of which several steps are blocked in registers.
  std::optional<unsigned> rowDim;
  int64_t blockRows = 1, blockVectors = 1;
  bool transposes = false;
  /// A unit of work is one step of `outer` and a range of `range`.
  std::optional<unsigned> outer, range;
  int64_t rangeBlock = 1;
  SmallVector<unsigned> others;
};

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_GENERICLOWERING_H
