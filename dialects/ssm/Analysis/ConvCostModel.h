//===- ConvCostModel.h - Clocks of long convolutions -----------*- C++ -*-===//
//
// Predicts the clocks that one core takes for one vector of channels of a
// convolution with a long kernel, directly and by Fourier transforms.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_ANALYSIS_CONVCOSTMODEL_H
#define SSM_ANALYSIS_CONVCOSTMODEL_H

#include "ssm/Analysis/Machine.h"
#include "ssm/IR/SSM.h"

#include <optional>

namespace mlir::ssm {

class ConvCostModel {
public:
  ConvCostModel(ConvOp conv, const Machine &machine);
  /// Of a causal kernel as long as the sequence.
  explicit ConvCostModel(const Machine &machine);

  /// Blocks of the Toeplitz matrix times tokens.
  double getDirectClocks(int64_t length) const;
  /// Blocks of tokens transformed, where the kernel's transforms are there.
  double getTransformClocks(int64_t length) const;
  /// The shortest length from which on transforms are predicted to be cheaper at
  /// every length; none where there is no such length.
  std::optional<int64_t> getCrossover() const;

private:
  /// Pairs of an output and a token that meet in a tap.
  double countTaps(double length) const;

  /// Passes of the transforms of one unit through a cache that is not near, in clocks of
  /// a token.
  double getFarPasses(double tokens) const;

  /// Pieces of the kernel that a block of tokens meets, on average.
  double countPieces(double blocks, double block, double lags) const;
  /// The clocks of transforms by blocks of threads.
  double getThreadedClocks(double length, double lags) const;

  double firstLag, lastLag; ///< infinite where the length bounds them
  double fmaPerClock;
  Machine machine;
};

/// The length from which on `conv` runs by transforms, if there is one: with `form` auto
/// where they are predicted to be cheaper, with fft at any length, with direct at none.
std::optional<int64_t> chooseShortestTransform(ConvOp conv, StringRef form);

} // namespace mlir::ssm

#endif // SSM_ANALYSIS_CONVCOSTMODEL_H
