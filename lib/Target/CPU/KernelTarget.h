//===- KernelTarget.h - What kernels need to know of a processor -*- C++ -*-===//

#ifndef SSMC_TARGET_CPU_KERNELTARGET_H
#define SSMC_TARGET_CPU_KERNELTARGET_H

#include "mlir/IR/Types.h"
#include <cstdint>

namespace ssmc::cpu {

/// What a processor multiplies pairs of bf16 with.
enum class BF16Unit {
  None,  // f32 arithmetic on widened operands
  Dot,   // AVX512-BF16: a pair in each lane
  Tiles, // AMX-BF16: 16 x 16 sums over 32 of the depth
};

/// Vector registers and caches of a processor. Kernels are correct on any
/// processor whatever is said here; it decides how fast they are.
struct KernelTarget {
  /// Bits of a vector register.
  int64_t vectorBits = 128;
  /// Number of vector registers.
  int64_t vectorRegisters = 16;
  BF16Unit bf16 = BF16Unit::None;
  /// How far ahead of its loads a loop asks for what it reads once, in bytes; 0: not
  /// at all, where that is in the way of the hardware's own prefetching.
  int64_t prefetchBytes = 0;

  /// Bytes of the cache of a core's own that weights may fill while they are
  /// reused: processors with long vectors have a megabyte or more.
  int64_t getReuseBytes() const {
    return (vectorBits >= 512 ? 448 : 192) * 1024;
  }
  /// The same for products in tiles: they take inputs so much faster that
  /// copying these again for every group would show.
  int64_t getTilesReuseBytes() const { return 1024 * 1024; }
  /// Lanes of `element` in a register.
  int64_t getLanes(mlir::Type element) const;
  /// Columns of a panel of packed weights that are accumulated as
  /// `accumulator`: two registers, or four where there are few lanes and many
  /// registers.
  int64_t getPanelWidth(mlir::Type accumulator) const;
  /// Rows of the tile of a product that fits the registers, for panels of
  /// `width` columns.
  int64_t getTileRows(int64_t width, mlir::Type accumulator) const;
};

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_KERNELTARGET_H
