//===- Buffers.h - Whose memory a value is ---------------------*- C++ -*-===//

#ifndef SSMC_LIB_TARGET_NVPTX_BUFFERS_H
#define SSMC_LIB_TARGET_NVPTX_BUFFERS_H

#include "mlir/IR/Builders.h"

namespace ssmc::nvptx {

/// The temporary or argument that `value` is a part of.
mlir::Value getBuffer(mlir::Value value);
/// Whether it is a temporary, which the planner of memory gives to another once its last
/// reader has run.
bool isTemporary(mlir::Value value);
/// Whether it is an argument of the layer, of which the frame has the address.
bool isArgument(mlir::Value value);
/// Whether `op` alone uses the argument that `value` is a part of.
bool isOwnArgument(mlir::Value value, mlir::Operation *op);
/// On the host: whether anything reads the states after this call; null where no frame says.
mlir::Value emitKeepsStates(mlir::OpBuilder &builder, mlir::Operation *op);
/// Whether it is a part of a table that `prepare` made: no kernel writes it,
/// and it begins at a multiple of 16 bytes.
bool isTable(mlir::Value value);
/// Whether a product after `op` reads `memory`: the planner of memory keeps
/// what is still to be read.
bool isReadAfter(mlir::Operation *op, mlir::Value memory);
/// Whether `second` follows `first`, and nothing happens between them.
bool follow(mlir::Operation *first, mlir::Operation *second);

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_BUFFERS_H
