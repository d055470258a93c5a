//===- Passes.h - Passes of the NVPTX target -------------------*- C++ -*-===//

#ifndef SSMC_TARGET_NVPTX_PASSES_H
#define SSMC_TARGET_NVPTX_PASSES_H

#include "mlir/Pass/Pass.h"

namespace ssmc::nvptx {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "Target/NVPTX/Passes.h.inc"

/// On a function whose memory is a device's, and which is itself run by the host: it
/// computes sizes and addresses and launches kernels.
constexpr llvm::StringLiteral kHostAttr = "nvptx.host";
/// On a loop or launch: threads of a block where there is enough work for all
/// multiprocessors; blocks are smaller where there is less.
constexpr llvm::StringLiteral kBlockAttr = "nvptx.block";
/// On a launch: blocks that a multiprocessor is to hold, which bounds a thread's registers.
constexpr llvm::StringLiteral kMinBlocksAttr = "nvptx.min_blocks";
/// On a launch: bytes of shared memory that it asks for, beside what it names.
constexpr llvm::StringLiteral kSharedBytesAttr = "nvptx.shared_bytes";
} // namespace ssmc::nvptx

#endif // SSMC_TARGET_NVPTX_PASSES_H
