//===- Sequence.h - A sequence that calls see in parts ---------*- C++ -*-===//
//
// The tokens of this call with those before it, which a history holds: at its
// end, or as a ring.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_CONVERSION_SSMTOSCF_SEQUENCE_H
#define SSMC_LIB_CONVERSION_SSMTOSCF_SEQUENCE_H

#include "Loops.h"

namespace ssmc::detail {

/// A sequence with what came before it.
struct Sequence {
  mlir::Value input;
  /// Null if zero.
  mlir::Value history;
  /// Null if no document starts inside.
  mlir::Value cut;
  /// Tokens of the sequence before this call, if the history is a ring.
  mlir::Value position;
  /// Number of tokens of the history.
  mlir::Value numTokens;
  /// Tokens after this call may be asked for.
  bool looksAhead = false;
  /// Tokens before the history may be asked for.
  bool looksBehind = false;

  /// Where a token, counted from the sequence's beginning, is in a ring. One of
  /// no tokens has no places, but is asked all the same.
  mlir::Value getPlace(Loops &loops, mlir::Value token) const {
    return mlir::arith::RemSIOp::create(loops.builder, loops.loc, token,
                                  loops.max(numTokens, loops.index(1)));
  }
};

/// What a convolution reads.
Sequence getSequence(Loops &loops, mlir::ssm::ConvOp op);

/// The lags of a kernel: that of its first place, and how many there are.
struct Lags {
  mlir::Value first, count;
};
Lags getLags(Loops &loops, mlir::ssm::ConvOp op);

/// The sequence at `indices`, the second of which is a token that may lie
/// outside of this call; zero if a document starts between it and `at`.
mlir::Value loadToken(Loops &loops, const Sequence &sequence,
                      llvm::ArrayRef<mlir::Value> indices, mlir::Value at,
                      mlir::Type type);

/// Writes the last tokens of history and input together.
void writeFinalHistory(Loops &loops, const Sequence &sequence,
                       mlir::Value finalHistory);

/// All sizes of `memref`.
llvm::SmallVector<mlir::Value> getSizes(Loops &loops, mlir::Value memref);

} // namespace ssmc::detail

#endif // SSMC_LIB_CONVERSION_SSMTOSCF_SEQUENCE_H
