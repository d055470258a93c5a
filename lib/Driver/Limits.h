//===- Limits.h - What a machine gives, and what a layer asks --*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_LIMITS_H
#define SSMC_LIB_DRIVER_LIMITS_H

#include "mlir/IR/BuiltinOps.h"
#include "Tensor.h"
#include "llvm/Support/Error.h"
#include <algorithm>
#include <vector>

namespace ssmc {

/// Measured with the threads of a context.
struct Limits {
  uint32_t threads = 1;
  double bytesPerSecond = 0; // reading memory
  double flopPerSecond = 0;  // fused multiply-adds on vectors, two a lane

  /// The faster of two measurements: the other was disturbed.
  Limits best(const Limits &other) const {
    return {std::max(threads, other.threads),
            std::max(bytesPerSecond, other.bytesPerSecond),
            std::max(flopPerSecond, other.flopPerSecond)};
  }
};
llvm::Expected<Limits> measureLimits(ssmrt_context *context, bool doublePrecision);

/// Floating-point operations of forward, by what they grow with.
struct FlopCount {
  /// Sums over the tokens at the lags from first to last, infinite where they
  /// follow the sequence; there are no taps outside of it.
  struct LongKernel {
    double sumsPerToken, firstLag, lastLag;
    int axis; // of the sequence
  };
  /// Sums over the tokens that a token sees, for each of those: from the largest result
  /// of `from` to below the smallest of `to`, functions of the token whose context the
  /// module's is.
  struct SeenTokens {
    double flopPerPair;
    mlir::AffineMap from, to;
    int axis; // of the sequence
  };
  double fixed = 0, perToken = 0;
  std::vector<LongKernel> kernels;
  std::vector<SeenTokens> seen;
  int64_t axes = 1; // of the sequence
  double of(int64_t batch, llvm::ArrayRef<int64_t> lengths) const;
};
/// Counts a module in the frontend's phase; what depends on weights alone, which
/// prepare computes once, is not told apart. With `quadratic`, recurrences are sums over
/// earlier tokens where they have that form.
FlopCount countFlop(mlir::ModuleOp module, bool quadratic = false);
/// The sequence axis that an op walks.
int sequenceAxisOf(mlir::Operation *op);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_LIMITS_H
