//===- Modes.h - Which modes a layer may be executed in --------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_MODES_H
#define SSMC_LIB_DRIVER_MODES_H

#include "Build.h"

namespace ssmc {

struct ModeChoice {
  std::string mode, refusal; // refusal: why not; empty if it can be executed
};

/// `auto` and what the compiler says to each of the other modes.
std::vector<ModeChoice> tryModes(const Source &source, const WeightFiles &weights,
                                 const Options &options, BuildRequest request);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_MODES_H
