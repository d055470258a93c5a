//===- Attention.h - The tokens that a second index walks ------*- C++ -*-===//

#ifndef SSMC_FRONTEND_ATTENTION_H
#define SSMC_FRONTEND_ATTENTION_H

#include "Term.h"

namespace ssmc {

/// The tokens that a token sees: from the largest of `from` to below the smallest
/// of `to`, functions of the index `time`.
struct SeenTokens {
  IndexId time = 0;
  llvm::SmallVector<mlir::AffineExpr> from, to;
  bool causal = false; // none after the token itself
  std::optional<int64_t> reach; // at most so many tokens back
};

} // namespace ssmc

#endif // SSMC_FRONTEND_ATTENTION_H
