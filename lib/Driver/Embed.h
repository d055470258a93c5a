//===- Embed.h - Weights inside an artefact --------------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_EMBED_H
#define SSMC_LIB_DRIVER_EMBED_H

#include "Build.h"
#include "Weights.h"

namespace ssmc {

/// Puts the layer's weights, in the dtypes that its code reads, into the LLVM module
/// that `build` made: those of the files, or drawn where a seed is given.
llvm::Error embedWeights(Build &build, llvm::Module &module, const WeightFiles &files,
                         std::optional<uint64_t> seed);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_EMBED_H
