//===- Launch.h - Launches whose threads work together ---------*- C++ -*-===//

#ifndef SSMC_LIB_TARGET_NVPTX_LAUNCH_H
#define SSMC_LIB_TARGET_NVPTX_LAUNCH_H

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace ssmc::nvptx {

/// Memory that the threads of a block share.
mlir::MemRefType sharedType(llvm::ArrayRef<int64_t> shape, mlir::Type element);

/// A launch of gridX x gridY blocks of `threads`, with `shared` memory; the builder is
/// left in its body. `fewer`: threads of a block, where not all of them.
mlir::gpu::LaunchOp startLaunch(mlir::OpBuilder &builder, mlir::Location loc,
                                mlir::Value gridX, mlir::Value gridY, int64_t threads,
                                llvm::ArrayRef<mlir::MemRefType> shared = {},
                                mlir::Value fewer = {});

/// Shared memory that a block may have without asking for more.
constexpr int64_t kSharedBytes = 48 * 1024;

/// What a thread loads and stores at once, and lines of caches.
constexpr int64_t kVectorBytes = 16, kLine = 128;

/// The largest number of elements known of which the rows of `memref`, along
/// its last dimension, and their beginnings from its memory's are multiples; 1:
/// nothing is known. `ofSlices`: also of one layer's part of what all layers
/// have, where registers suffice for more loads at once.
int64_t getRowUnit(mlir::Value memref, bool ofSlices = false);

/// Elements of `memref` that lie beside each other along dimension `dim` of a point, from
/// multiples of their number on; 1: none are known to. Rows may be parts of longer ones.
int64_t getNeighbours(mlir::Value memref, mlir::AffineMap map, unsigned dim,
                      bool ofSlices = false);
/// On the host: whether all of `memrefs` begin at multiples of `bytes`.
mlir::Value areAligned(mlir::OpBuilder &builder, mlir::Location loc,
                       mlir::ValueRange memrefs, int64_t bytes);
/// `count` elements of `memref` beside each other, the first at `indices`, whose address is a
/// multiple of their bytes; and the same for stores.
mlir::Value loadNeighbours(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value memref,
                           mlir::ValueRange indices, int64_t count);
void storeNeighbours(mlir::OpBuilder &builder, mlir::Location loc, mlir::ValueRange values,
                     mlir::Value memref, mlir::ValueRange indices);
/// The address in bytes of an element of `memref`; and asking for the line
/// around one, which comes into the cache that a processor has, or into the
/// device's.
mlir::Value addressOf(mlir::OpBuilder &builder, mlir::Location loc,
                      mlir::Value memref, mlir::ValueRange indices);
enum class CacheLevel { own, device };
void prefetchLine(mlir::OpBuilder &builder, mlir::Location loc,
                  mlir::Value address, CacheLevel level);
/// Copies `bytes` from a 64-bit address to shared memory, `offset` bytes from the beginning
/// of `buffer`, while the thread goes on (cp.async); both are multiples of `bytes`, which
/// are as many as one copy can have.
bool canCopyAhead(int64_t bytes);
void copyAhead(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value buffer,
               mlir::Value offset, mlir::Value address, int64_t bytes);
/// The elements of a vector; those of 16 bits so that what widens one is one instruction.
llvm::SmallVector<mlir::Value> extractElements(mlir::OpBuilder &builder, mlir::Location loc,
                                               mlir::Value vector);

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_LAUNCH_H
