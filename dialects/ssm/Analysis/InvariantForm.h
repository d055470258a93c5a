//===- InvariantForm.h - Time-invariant recurrences as matrices -*- C++ -*-===//
//
// How a time-invariant recurrence splits into matrices that depend on weights alone
// and inputs that do not depend on the state's keys: what its chunked form, and its
// kernel as a convolution, are made of.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_ANALYSIS_INVARIANTFORM_H
#define SSM_ANALYSIS_INVARIANTFORM_H

#include "ssm/IR/SSM.h"

#include <string>

namespace mlir::ssm {

/// A factor of a product, or the inverse of one.
struct WriteFactor {
  Value value;
  bool inverse = false;
  bool operator==(const WriteFactor &other) const {
    return value == other.value && inverse == other.inverse;
  }
};

/// A product of numbers that are the same at every token.
struct WriteGain {
  bool negative = false;
  SmallVector<WriteFactor> factors;
};

/// What the state takes of one input: for each part of the state a sum of gains.
struct WriteInput {
  /// Their product is the input; none of them depends on keys.
  SmallVector<WriteFactor> factors;
  SmallVector<SmallVector<WriteGain>, 2> gains;
};

/// Dimensions are those of the op's maps.
struct InvariantForm {
  /// Dimensions that the read sums over or the transition mixes.
  SmallVector<unsigned> rows;
  /// Dimensions of the output that the state lacks, or that the transition mixes.
  SmallVector<unsigned> copies;
  /// The dimension of state and output that fills vectors, if there is one.
  std::optional<unsigned> lane;
  /// The other dimensions of state and output: independent recurrences.
  SmallVector<unsigned> outer;
  /// Whether the matrices depend on those dimensions.
  bool onLane = false, onOuter = false;
  SmallVector<WriteInput> inputs;

  /// The product of the extents of `dims`.
  static int64_t getExtent(ScanOp op, ArrayRef<unsigned> dims);
};

/// The dimensions of the form of `op`, without inputs; nothing if an extent is unknown.
std::optional<InvariantForm> getInvariantDims(ScanOp op);

/// The form of `op`, which must be time-invariant; or nothing, and why.
std::optional<InvariantForm> getInvariantForm(ScanOp op, std::string &reason);

} // namespace mlir::ssm

#endif // SSM_ANALYSIS_INVARIANTFORM_H
