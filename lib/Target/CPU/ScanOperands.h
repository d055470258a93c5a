//===- ScanOperands.h - Operands of a recurrence in memory -----*- C++ -*-===//
//
// What the lowerings of `ssm.scan` share: the operands of its regions, the rows
// that are fetched ahead, the division of units of work into tasks.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_SCANOPERANDS_H
#define SSMC_TARGET_CPU_SCANOPERANDS_H

#include "VectorEmitter.h"
#include "ssm/IR/SSM.h"

namespace ssmc::cpu {

/// Clones values of the op's regions, whose arguments are read from the
/// operands; those of the epilogue that are outputs of the recurrence are not
/// bound.
void bindOperands(ssm::ScanOp op, RegionEmitter &coefficients,
                  RegionEmitter &epilogue);

/// Memory of which each token has a row along `dim`. Rows are pages apart,
/// where no processor looks ahead by itself.
struct Stream {
  Access access;
  unsigned dim;
  bool written;

  /// Fetches the emitter's point, moved by `offsets`, into the second cache:
  /// rows a page apart throw each other out of the first. With `forWriting` as
  /// what this core alone has.
  void emitPrefetch(RegionEmitter &at, const Offsets &offsets,
                    bool forWriting) const;
};

/// The streams of an op with rows along one of `along` that do not depend on
/// any of `without`, each once.
SmallVector<Stream> getStreams(ssm::ScanOp op, ArrayRef<unsigned> along,
                               ArrayRef<unsigned> without);

/// Splits the units of all batch rows, `unitsOfRow` each, into tasks. A unit
/// takes `tokens` steps of about `stepCost` nanoseconds, and its share of the
/// states is read and written once.
void emitUnitTasks(OpBuilder &builder, ssm::ScanOp op, Value batches,
                   int64_t unitsOfRow, Value tokens, double stepCost,
                   llvm::function_ref<void(Value begin, Value end)> body);

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_SCANOPERANDS_H
