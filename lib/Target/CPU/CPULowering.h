//===- CPULowering.h - Vectorised lowerings for the CPU --------*- C++ -*-===//
//
// Turns memref-form structured ops into tasks (`scf.parallel`) of loops over
// vectors. Each function replaces the op, or fails and leaves it as it was. The
// pass `ssm-lower-to-cpu` applies them to a function.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_CPULOWERING_H
#define SSMC_TARGET_CPU_CPULOWERING_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "ssm/IR/SSM.h"

namespace ssmc::cpu {

/// The vector unit that code is generated for.
struct VectorTarget {
  /// Bits of a vector register: 128, 256 or 512.
  int64_t bits = 512;
  /// `KernelTarget::prefetchBytes`.
  int64_t prefetchBytes = 0;

  /// Lanes for elements of `type`: those of the widest type that takes part.
  int64_t getLanes(unsigned elementBits) const {
    return bits / std::max(elementBits, 32u);
  }
  /// Architectural vector registers.
  int64_t getRegisters() const { return bits == 256 ? 16 : 32; }
};

llvm::LogicalResult lowerGeneric(mlir::RewriterBase &rewriter,
                                 mlir::linalg::GenericOp op,
                                 const VectorTarget &target);
/// By products of matrices, where the schedule of the op asks for chunks and
/// the recurrence has that form.
llvm::LogicalResult lowerChunk(mlir::RewriterBase &rewriter,
                               mlir::ssm::ScanOp op,
                               const VectorTarget &target);
/// By products with the op's tables, if it has any and its schedule asks for chunks.
llvm::LogicalResult lowerTabulated(mlir::RewriterBase &rewriter,
                                   mlir::ssm::ScanOp op,
                                   const VectorTarget &target);
/// Gives recurrences whose form depends on the length one of each, under `root`.
void lowerCrossovers(mlir::RewriterBase &rewriter, mlir::Operation *root);
llvm::LogicalResult lowerScan(mlir::RewriterBase &rewriter,
                              mlir::ssm::ScanOp op, const VectorTarget &target);
llvm::LogicalResult lowerConv(mlir::RewriterBase &rewriter,
                              mlir::ssm::ConvOp op, const VectorTarget &target);
/// In tiles of queries and keys; where it cannot, a remark says why.
llvm::LogicalResult lowerAttend(mlir::RewriterBase &rewriter,
                                mlir::ssm::AttendOp op,
                                const VectorTarget &target);
llvm::LogicalResult lowerShift(mlir::RewriterBase &rewriter,
                               mlir::ssm::ShiftOp op,
                               const VectorTarget &target);
llvm::LogicalResult lowerSpectrum(mlir::RewriterBase &rewriter,
                                  mlir::ssm::SpectrumOp op);
llvm::LogicalResult
lowerImpulseResponse(mlir::RewriterBase &rewriter, mlir::ssm::ImpulseResponseOp op,
                     const VectorTarget &target);
llvm::LogicalResult lowerNorm(mlir::RewriterBase &rewriter,
                              mlir::ssm::NormOp op, const VectorTarget &target);

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_CPULOWERING_H
