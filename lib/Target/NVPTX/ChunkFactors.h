//===- ChunkFactors.h - Factors of a chunk's products ----------*- C++ -*-===//
//
// What the lowerings of recurrences in chunks share.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_CHUNKFACTORS_H
#define SSMC_LIB_TARGET_NVPTX_CHUNKFACTORS_H

#include "Conversion/SSMToSCF/Loops.h"
#include "ssm/Analysis/ProductTerms.h"

namespace ssmc::nvptx {

/// The product of `factors` in f32, of the arguments of the coefficients that it asks
/// for.
mlir::Value evaluateFactors(detail::Loops &loops, mlir::ssm::ScanOp op,
                            llvm::ArrayRef<mlir::ssm::ProductTerms::Factor> factors,
                            llvm::function_ref<mlir::Value(unsigned)> getArgument);

/// The argument, widened or not, that is the only factor; none where there is something
/// to compute.
std::optional<unsigned>
findCopied(llvm::ArrayRef<mlir::ssm::ProductTerms::Factor> factors);

/// Whether `map` has the same results for `count` neighbours in dimension `dim`, the
/// first of them at a multiple of `count`.
bool isSameFor(mlir::AffineMap map, unsigned dim, int64_t count);

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_CHUNKFACTORS_H
