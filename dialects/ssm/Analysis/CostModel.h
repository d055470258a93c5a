//===- CostModel.h - Clocks of the ways to execute a scan ------*- C++ -*-===//
//
// Predicts the clocks that one core takes for one row of a batch, from what a
// recurrence computes for a token and the figures of a machine. Costs that all ways
// share (what is fused into the op later, the rest of the layer) are left out, so the
// prediction ranks the ways; it is no time of the layer.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_ANALYSIS_COSTMODEL_H
#define SSM_ANALYSIS_COSTMODEL_H

#include "ssm/Analysis/Machine.h"
#include "ssm/Analysis/RecurrenceClass.h"

namespace mlir::ssm {

/// Mark a branch that may be a convolution instead of a recurrence: the fewest tokens of
/// one that is, and the most where there is such a number. A scan with `shortest_conv` may
/// have the latter, too.
inline constexpr llvm::StringLiteral kShortestConvAttr = "ssm.shortest_conv";
inline constexpr llvm::StringLiteral kLongestConvAttr = "ssm.longest_conv";

/// Scalar operations of coefficients at one point.
struct OperationCount {
  double simple = 0, functions = 0, divisions = 0;
  OperationCount &operator+=(const OperationCount &other);
};

/// What a recurrence computes for one token of one row.
struct ScanWork {
  ScanWork(ScanOp op, const RecurrenceInfo &info);

  /// Extents: the product of the keys; the state dimension that fills vectors; the
  /// product of the others, each an independent recurrence; columns of the read that
  /// share a state.
  double keys = 1, lanes = 1, outer = 1, copies = 1;
  unsigned parts = 1, bits = 32;
  bool keyDecay = false; ///< the decay depends on keys
  bool dense = false;
  /// Inputs of the chunks of a time-invariant recurrence; 0 for others.
  double inputs = 0;
  double outputs = 1; ///< parts of the output
  double erasePairs = 0;
  double terms = 1; ///< products of keys and lanes that a token adds to the state
  bool hasInitial = false; ///< the state before the first token is given
  bool reads = false;
  /// Something in the layer reads the last states, which a convolution does not give.
  bool leavesStates = false;
  /// The tokens along other sequence axes are rows that use the same tables.
  bool sharesTables = false;
  /// Of coefficients that change over time, by what else they depend on: keys and
  /// lanes, lanes, keys, nothing.
  OperationCount atStates, atLanes, atKeys, atTokens;
  /// Bytes read and written for a token, and bytes of the state.
  double streamedBytes = 0, stateBytes = 0;
};

/// One way to execute a scan, with its tile.
struct Execution {
  ScanMode mode = ScanMode::scan;
  int64_t chunk = 0; ///< tokens of a chunk; unused in scan mode
};

/// Lengths of sequences.
struct LengthRange {
  int64_t first = 0;
  std::optional<int64_t> last; ///< none where it has no end
};

/// A form that is predicted to be the cheapest from a length on.
struct CheapestFrom {
  int64_t first = 0;
  Execution execution;
};

class CostModel {
public:
  CostModel(const ScanWork &work, const Machine &machine)
      : work(work), machine(machine) {}

  /// Clocks for one row of `length` tokens.
  double getClocks(Execution execution, int64_t length) const;
  /// The tokens of a chunk that make long sequences cheapest.
  int64_t getBestChunk() const;
  /// Whether there is code for chunks of several numbers of tokens.
  bool choosesChunks() const {
    return isTabulated() ? machine.tableTokens <= 0 : machine.chunkTokens <= 0;
  }
  /// Whether there is code for its chunks with tables, where it is time-invariant.
  bool hasTableCode() const;
  /// The shortest length from which on `execution` is predicted to be cheaper than
  /// `other` at every length; none where there is no such length.
  std::optional<int64_t> getCrossover(Execution execution, Execution other) const;

  /// The lengths at which a convolution is predicted to be so much cheaper than `other`,
  /// which may be a scan below `crossover` tokens, that its tables are worth their
  /// memory; none where there are no such lengths.
  std::optional<LengthRange> getConvRange(Execution other, int64_t crossover) const;
  /// The cheapest of `forms` at every length, from short to long ones. What is cheaper
  /// at some lengths only, as padding has it, does not take over.
  SmallVector<CheapestFrom> getCheapest(ArrayRef<Execution> forms) const;

private:
  double getScanClocks(double length) const;
  double getChunkClocks(double chunk, double length) const;
  /// Of one chunk that holds `tokens`, one outer point.
  double getOneChunkClocks(double tokens) const;
  double getTabulatedClocks(double chunk, double length) const;
  /// Of a sum over the tokens before, by tiles of queries and keys.
  double getQuadraticClocks(double length) const;
  double getConvClocks(int64_t length) const;
  /// Bytes of the tables of chunks for one vector of lanes.
  double getTableBytes(double chunk) const;
  bool isTabulated() const { return work.inputs > 0; }
  double getCoefficientClocks(const OperationCount &count) const;
  double getMemoryClocks(double length) const;
  double lanesOfVector() const { return std::max(1.0, machine.getLanes(work.bits)); }

  const ScanWork &work;
  const Machine &machine;
};

} // namespace mlir::ssm

#endif // SSM_ANALYSIS_COSTMODEL_H
