//===- ProductTerms.h - A recurrence as products of matrices ----*- C++ -*-===//
//
// What every lowering of chunks needs of a recurrence: which dimensions are the rows and
// columns of its products, and of what factors the products consist.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_ANALYSIS_PRODUCTTERMS_H
#define SSM_ANALYSIS_PRODUCTTERMS_H

#include "ssm/IR/SSM.h"

namespace mlir::ssm {

struct ProductTerms {
  /// A factor of a product, or the inverse of one.
  struct Factor {
    Value value;
    bool inverse;
    bool operator==(const Factor &other) const {
      return value == other.value && inverse == other.inverse;
    }
  };
  using Factors = SmallVector<Factor>;

  /// What each token adds to the state: a vector of keys times one of lanes, times what
  /// depends on time alone.
  struct Term {
    Factors time, lane, key;
    bool negated = false;
    /// Whether the write gives it lanes, or erase pairs alone.
    bool isWritten = true;
  };
  /// Sums of the state before a token, weighted by `left`, add to the lanes of a term.
  struct ErasePair {
    Value left;
    unsigned term = 0;
    Factors time;
    bool negated = false;
  };

  /// None where chunks of `op` are no products.
  static std::optional<ProductTerms> get(ScanOp op);

  /// Splits `factors` into what depends on the key and on time alone; returns whether
  /// the product is negated. Terms that differ in time alone then have the same keys.
  static bool splitKeys(ScanOp op, Factors factors, Factors &time, Factors &key) {
    return split(op, std::move(factors), op.getKeyDims(), time, key);
  }
  /// The same for any dimensions `dims`, on which `own` depends.
  static bool split(ScanOp op, Factors factors, ArrayRef<unsigned> dims, Factors &time,
                    Factors &own);
  static bool areSameFactors(ArrayRef<Factor> a, ArrayRef<Factor> b);

  unsigned lane = 0, key = 0;
  /// Dimensions of state and output that are independent recurrences; keys of extent
  /// one; dimensions of the output that the state lacks.
  SmallVector<unsigned> outerDims, unitKeys, copyDims;
  bool keyDecay = false; ///< the decay depends on keys
  /// With erase pairs, the keys of each term are split.
  SmallVector<Term> terms;
  SmallVector<ErasePair> pairs;
};

} // namespace mlir::ssm

#endif // SSM_ANALYSIS_PRODUCTTERMS_H
