//===- Link.h - Archives, shared objects and C headers ---------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_LINK_H
#define SSMC_LIB_DRIVER_LINK_H

#include "Build.h"

namespace ssmc {

/// An archive of one object called NAME.o.
llvm::Expected<std::string> makeArchive(llvm::StringRef object, llvm::StringRef name);

/// A shared object of the layer and the whole runtime, which it exports: programs
/// need nothing else.
llvm::Expected<std::string> linkShared(llvm::StringRef object, llvm::StringRef triple);

/// The C header of a layer, which says whether the artefact has its weights.
llvm::Expected<std::string> makeHeader(Build &build, llvm::StringRef name,
                                       bool hasWeights);

/// The linker that linkShared runs, or "".
std::string findLinker();
/// libssmrt.a of this build or installation, or "".
std::string findRuntimeArchive();

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_LINK_H
