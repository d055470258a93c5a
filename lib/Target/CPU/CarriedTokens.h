//===- CarriedTokens.h - Earlier tokens of a sequence ----------*- C++ -*-===//
//
// What `ssm.shift` and `ssm.conv` have in common: they read tokens that may lie
// before the sequence, in the history of an earlier call, and hand the last
// tokens to a later one.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_CARRIEDTOKENS_H
#define SSMC_TARGET_CPU_CARRIEDTOKENS_H

#include "CPULowering.h"
#include "VectorEmitter.h"

namespace ssmc::cpu {

/// A sequence `B x T x ...` and what precedes it. `history` (`B x length x
/// ...`) and `cut` (`B x T` booleans) may be null.
struct CarriedTokens {
  Value input, history, cut;
  int64_t length = 0;
  Value batches, tokens;
};

/// Copies one token of `source`, or zeros if it is null, over `target`.
void emitCopyToken(OpBuilder &builder, Location loc, const VectorTarget &target,
                   Value source, Value sourceToken, Value destination,
                   Value destinationToken, Value batch);

/// Copies the token at the signed index `token`: from the history if it is
/// negative, zeros if it lies outside of both or a document starts at one of
/// the tokens (token, last].
void emitCopyCarried(OpBuilder &builder, Location loc,
                     const VectorTarget &target, const CarriedTokens &carried,
                     Value token, Value last, Value destination,
                     Value destinationToken, Value batch);

/// Whether a document starts at one of the tokens (token, last]; null if there
/// are no cuts.
Value emitIsCut(OpBuilder &builder, Location loc, const CarriedTokens &carried,
                Value batch, Value token, Value last);

/// Stores the last `length` tokens of history and input to `destination`, which
/// may be the history itself.
void emitFinalHistory(OpBuilder &builder, Location loc,
                      const VectorTarget &target, const CarriedTokens &carried,
                      Value destination);

/// Puts the tokens of `input` into a ring of as many tokens as `ring` holds, where
/// the token `q` of the sequence is at `q mod H`: the last ones if it has no room for
/// all. `position` tokens came before.
void emitPutRing(OpBuilder &builder, Location loc, const VectorTarget &target,
                 Value input, Value ring, Value position);

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_CARRIEDTOKENS_H
