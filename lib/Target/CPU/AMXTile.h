//===- AMXTile.h - Sums of a tile of a product in matrix registers -*- C++ -*-===//
//
// AMX: eight registers of 16 rows of 64 bytes. One instruction adds the product
// of 16 rows by 16 columns over 32 of the depth. Linux hands the registers out
// on demand, and may refuse.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_AMXTILE_H
#define SSMC_TARGET_CPU_AMXTILE_H

#include "Target/CPU/MatmulTile.h"

namespace ssmc::cpu {

/// Rows, and columns of sums, of a register; and what of the depth it takes.
constexpr int64_t amxRows = 16, amxDepth = 32;

/// True if the process may use matrix registers: asks the kernel, which lets
/// all threads use them from then on.
mlir::Value emitAMXRequest(mlir::ImplicitLocOpBuilder &b);

/// A task makes the registers whole before its first tile, with `memory` (64
/// bytes of its own), and gives them back after its last.
void emitAMXBegin(mlir::ImplicitLocOpBuilder &b, mlir::Value memory);
void emitAMXEnd(mlir::ImplicitLocOpBuilder &b);

/// As emitMatmulTile, for bf16 inputs of a multiple of 16 rows, at most 32, by
/// 16 or 32 columns. The inputs are zero, and the weights finite, from `depth` to
/// the next multiple of 32; unused rows may hold anything.
void emitAMXTile(mlir::ImplicitLocOpBuilder &b, const MatmulTile &tile);

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_AMXTILE_H
