//===- Modes.h - Which modes a layer may be executed in --------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_MODES_H
#define SSMC_LIB_DRIVER_MODES_H

#include "Build.h"

namespace ssmc {

struct ModeChoice {
  std::string mode, refusal; // refusal: why not; empty if it can be executed
  /// Of the layer's code in this mode: two modes with the same are one program.
  uint64_t program = 0;
  /// Whether it goes through transforms of a whole sequence, whose rounding reaches
  /// tokens that have nothing to do with each other.
  bool mayLeak = false;
  /// Tokens of tiles and chunks, and lengths at which the form changes.
  std::vector<int64_t> tiles;
  /// Clocks that the cost model predicts for the state blocks of a row, by length.
  std::vector<double> clocks;
};

/// `auto` and what the compiler says to each of the other modes; or the one that the
/// options ask for.
std::vector<ModeChoice> tryModes(const Source &source, const WeightFiles &weights,
                                 const Options &options, BuildRequest request,
                                 llvm::ArrayRef<Lengths> lengths = {});

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_MODES_H
