//===- MatmulKernel.h - A compiled product by packed weights ---*- C++ -*-===//
//
// Shared by the unit test and the benchmark of lib/Target/CPU's products.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TEST_LIB_MATMULKERNEL_H
#define SSMC_TEST_LIB_MATMULKERNEL_H

#include "KernelJIT.h"
#include "Target/CPU/KernelTarget.h"

namespace ssmc::test {

struct MatmulShape {
  int64_t columns, depth;
  std::string input = "f32", weight = "f32", output = "f32";
  bool roundInput = false;
};

/// Functions `pack(weight, packed)` and `matmul(x, packed, y)`; with an
/// epilogue, `matmul(x, packed, y, bias, scale, residual, table)` gives
///
///   y[b, t, n] = (x W + bias[n]) * scale[b, t] + residual[b, t, n]
///                + table[n, b]
///
/// x, y and residual are 3-dimensional with any strides, their last one 1.
class MatmulKernel {
public:
  MatmulKernel(const MatmulShape &shape, const cpu::KernelTarget &target,
               bool withEpilogue);

  int64_t getPackedBytes() const;
  void pack(const float *weight, void *packed);
  /// Strides are of tokens; batches of `tokens` follow each other.
  void call(int64_t batches, int64_t tokens, void *x, int64_t xStride,
            void *packed, void *y, int64_t yStride, float *bias = nullptr,
            float *scale = nullptr, float *residual = nullptr,
            float *table = nullptr);

private:
  MatmulShape shape;
  int64_t width, panels, rows;
  bool isPaired, withEpilogue;
  std::unique_ptr<mlir::MLIRContext> context;
  std::unique_ptr<KernelJIT> jit;
};

} // namespace ssmc::test

#endif // SSMC_TEST_LIB_MATMULKERNEL_H
