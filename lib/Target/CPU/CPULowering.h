//===- CPULowering.h - Vectorised lowerings for the CPU --------*- C++ -*-===//
//
// Turns memref-form structured ops into tasks (`scf.parallel`) of loops over
// vectors. Each function replaces the op, or fails and leaves it as it was.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_CPULOWERING_H
#define SSMC_TARGET_CPU_CPULOWERING_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Pass/Pass.h"
#include "ssm/IR/SSM.h"

namespace mlir::ssm::cpu {

/// The vector unit that code is generated for.
struct VectorTarget {
  /// Bits of a vector register: 128, 256 or 512.
  int64_t bits = 512;

  /// Lanes for elements of `type`: those of the widest type that takes part.
  int64_t getLanes(unsigned elementBits) const {
    return bits / std::max(elementBits, 32u);
  }
  /// Architectural vector registers.
  int64_t getRegisters() const { return bits == 256 ? 16 : 32; }
};

LogicalResult lowerGeneric(RewriterBase &rewriter, linalg::GenericOp op,
                           const VectorTarget &target);
LogicalResult lowerScan(RewriterBase &rewriter, ScanOp op,
                        const VectorTarget &target);
LogicalResult lowerConv(RewriterBase &rewriter, ConvOp op,
                        const VectorTarget &target);
LogicalResult lowerShift(RewriterBase &rewriter, ShiftOp op,
                         const VectorTarget &target);
LogicalResult lowerNorm(RewriterBase &rewriter, NormOp op,
                        const VectorTarget &target);

/// Applies the lowerings above to every op of a function.
std::unique_ptr<Pass> createLowerToCPUPass(VectorTarget target = {});
void registerLowerToCPUPass();

} // namespace mlir::ssm::cpu

#endif // SSMC_TARGET_CPU_CPULOWERING_H
