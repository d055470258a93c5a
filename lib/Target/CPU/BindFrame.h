//===- BindFrame.h - Layout shared by code and description -----*- C++ -*-===//

#ifndef SSMC_TARGET_CPU_BINDFRAME_H
#define SSMC_TARGET_CPU_BINDFRAME_H

#include "llvm/ADT/StringRef.h"
#include <cstdint>

namespace ssmc {

/// Values of the attribute `ssm.dims` for extents known at run time; the same
/// numbers as SSMRT_BATCH and SSMRT_LENGTH. Those of further sequence axes follow.
constexpr int64_t kBatchDim = -1, kLengthDim = -2;
/// States and tables start at multiples of this many bytes.
constexpr int64_t kBlockAlignment = 64;
/// On an argument that is a table, and on what becomes of it.
constexpr llvm::StringLiteral kTableAttr = "ssm.table";

} // namespace ssmc

#endif // SSMC_TARGET_CPU_BINDFRAME_H
