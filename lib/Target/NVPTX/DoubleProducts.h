//===- DoubleProducts.h - Products of f64 by tensor cores ------*- C++ -*-===//
//
// mma.sync m16n8k16 of f64, which sm_90 and later have; before them eight m8n8k4 take its
// place, which sm_90 has as well, at half the rate.
//
// With g = lane / 4 and q = lane % 4, a thread has of
//   the left   16 x 16:  (g, q + 4 i), (g + 8, q + 4 i) for i = 0..3
//   the right   16 x 8:  (q + 4 i, g)
//   the sums    16 x 8:  (g, 2 q), (g, 2 q + 1), (g + 8, 2 q), (g + 8, 2 q + 1)
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_DOUBLEPRODUCTS_H
#define SSMC_LIB_TARGET_NVPTX_DOUBLEPRODUCTS_H

#include "mlir/IR/Builders.h"
#include "llvm/IR/Module.h"

namespace ssmc::nvptx {

/// Steps i of one instruction.
constexpr int64_t kProductSteps = 4;

/// Adds to four sums the products of two times four left and four right numbers.
void emitDoubleProduct(mlir::OpBuilder &builder, mlir::Location loc,
                       llvm::ArrayRef<mlir::Value> low, llvm::ArrayRef<mlir::Value> high,
                       llvm::ArrayRef<mlir::Value> right,
                       llvm::MutableArrayRef<mlir::Value> sums);

/// Gives `code` for `arch` the instructions that it has.
void splitDoubleProducts(llvm::Module &code, llvm::StringRef arch);

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_DOUBLEPRODUCTS_H
