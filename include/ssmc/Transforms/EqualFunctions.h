//===- EqualFunctions.h - Functions that do the same -----------*- C++ -*-===//
//
// `step` does to one token what `forward` does to many, and layers repeat: of what is
// outlined from them much is the same code.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TRANSFORMS_EQUALFUNCTIONS_H
#define SSMC_TRANSFORMS_EQUALFUNCTIONS_H

#include "mlir/IR/OperationSupport.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/Hashing.h"

namespace ssmc {

/// Ops with a body, such as functions, by what the body does.
template <typename Function> class EqualFunctions {
public:
  /// The function found earlier that has the body of `function` and of which `alike`
  /// holds. Null if there is none: then `function` is kept for later ones.
  template <typename Alike> Function find(Function function, Alike alike) {
    llvm::SmallVector<Function> &candidates = known[hash(function.getBody())];
    for (Function other : candidates)
      if (alike(other) && Equivalence::isRegionEquivalentTo(&other.getBody(), &function.getBody(),
                                                            Equivalence::IgnoreLocations))
        return other;
    candidates.push_back(function);
    return {};
  }
  Function find(Function function) {
    return find(function, [](Function) { return true; });
  }

private:
  using Equivalence = mlir::OperationEquivalence;

  static size_t hash(mlir::Region &body) {
    llvm::hash_code hash = llvm::hash_value(0);
    body.walk([&](mlir::Operation *op) {
      hash = llvm::hash_combine(
          hash, Equivalence::computeHash(op, Equivalence::ignoreHashValue,
                                         Equivalence::ignoreHashValue,
                                         Equivalence::IgnoreLocations));
    });
    return hash;
  }

  llvm::DenseMap<size_t, llvm::SmallVector<Function>> known;
};

} // namespace ssmc

#endif // SSMC_TRANSFORMS_EQUALFUNCTIONS_H
