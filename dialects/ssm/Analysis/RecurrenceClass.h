//===- RecurrenceClass.h - Class and legal modes of a scan -----*- C++ -*-===//
//
// From the dimensions on which each coefficient depends follow the class of a
// recurrence and the algorithms that may compute it.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_ANALYSIS_RECURRENCECLASS_H
#define SSM_ANALYSIS_RECURRENCECLASS_H

#include "ssm/IR/SSM.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include <array>
#include <string>

namespace mlir::ssm {

/// Classes by what the decay depends on, besides lanes.
enum class RecurrenceClass {
  /// Nothing; reads or writes depend on time.
  D0,
  /// Time.
  D1,
  /// Time and keys, or keys alone.
  D2,
  /// Keys and other dimensions that the read lacks, or keys where no dimension
  /// is left as columns; or there are no keys.
  D3,
  /// D0 to D3 with erase terms.
  D0d,
  D1d,
  D2d,
  D3d,
  /// Time-invariant: a convolution.
  I,
  /// Time-invariant, dense or diagonal plus low rank.
  Id,
  /// Dense, depending on time.
  Ld,
};
StringRef stringifyRecurrenceClass(RecurrenceClass value);

/// Ways to compute a recurrence.
enum class ExecutionMode { Step, Scan, Chunk, Conv, Quadratic };
constexpr std::array<ExecutionMode, 5> allExecutionModes = {
    ExecutionMode::Step, ExecutionMode::Scan, ExecutionMode::Chunk,
    ExecutionMode::Conv, ExecutionMode::Quadratic};
StringRef stringifyExecutionMode(ExecutionMode value);

/// What is known of one recurrence. Dimensions are those of the op's maps;
/// batch and time are in none of the lists.
struct RecurrenceInfo {
  RecurrenceClass kind;
  /// State dimensions that the read and erase terms sum over.
  SmallVector<unsigned> keys;
  /// State dimensions on which neither decay nor read nor erase terms depend:
  /// columns of the products of chunk mode.
  SmallVector<unsigned> values;
  /// The other state dimensions: independent recurrences.
  SmallVector<unsigned> lanes;
  /// Erase pairs.
  unsigned numErasePairs = 0;
  /// Whether decay, transition, erase terms and reset are the same at every
  /// token.
  bool hasConstantTransition = false;
  /// Why a scan may not be split in time; empty if it may.
  std::string splitReason;

  bool isLegal(ExecutionMode mode) const { return getReason(mode).empty(); }
  /// Why `mode` is illegal; empty if it is legal.
  StringRef getReason(ExecutionMode mode) const {
    return reasons[static_cast<unsigned>(mode)];
  }
  bool isSplittable() const { return splitReason.empty(); }

  /// By mode.
  std::array<std::string, allExecutionModes.size()> reasons;
};

/// Analyses `op`, in tensor or memory form. `isTimeInvariant` says which
/// operands of `ins` are known to be the same at every token although their
/// maps mention `d1`; by default none is.
RecurrenceInfo
analyzeRecurrence(ScanOp op,
                  function_ref<bool(OpOperand &)> isTimeInvariant = nullptr);

} // namespace mlir::ssm

#endif // SSM_ANALYSIS_RECURRENCECLASS_H
