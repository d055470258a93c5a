//===- Machine.h - What the cost model knows of a machine ------*- C++ -*-===//
//
// The figures come from the module's `dlti.target_system_spec`, device "CPU":
//
//   module attributes {dlti.target_system_spec = #dlti.target_system_spec<
//     "CPU" = #dlti.target_device_spec<
//       "vector_bits" = 512 : i64, "fma_per_clock" = 2.0 : f64>>} { ... }
//
// or from device "GPU" where there is one: its multiprocessors are the cores.
// What the specification leaves out has the default below: a plain core with vectors
// of 128 bits. Clocks are those of one core.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_ANALYSIS_MACHINE_H
#define SSM_ANALYSIS_MACHINE_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Operation.h"

namespace mlir::ssm {

struct Machine {
  static constexpr StringLiteral cpuDevice = "CPU", gpuDevice = "GPU";

#define SSM_MACHINE_FIGURE(NAME, KEY, DEFAULT, WHAT) double NAME = DEFAULT;
#include "ssm/Analysis/Machine.def"

  /// Elements of a vector of `bits`-bit numbers.
  double getLanes(unsigned bits) const { return vectorBits / bits; }

  /// Vector multiply-adds of a product of matrices that start in one clock.
  double getProductFmaPerClock() const {
    return productFmaPerClock > 0 ? productFmaPerClock : fmaPerClock;
  }

  /// Bytes that one core reads in a clock of data of which there are `bytes`, used again
  /// and again: from the cache that half of them fill. All cores share the last one.
  double getBytesPerClock(double bytes) const {
    if (bytes <= l2Bytes / 2)
      return l2BytesPerClock;
    return bytes <= l3Bytes / 2 ? l3BytesPerClock : memoryBytesPerClock;
  }

  /// The figures for `op`: those of the closest enclosing op that has a specification,
  /// else the defaults.
  static Machine get(Operation *op);
  /// The figures as an attribute for `dlti.target_system_spec`.
  Attribute toAttribute(MLIRContext *context, StringRef device = cpuDevice) const;
  /// Sets the figure `key`; false if there is none of that name.
  bool set(StringRef key, double value);
  /// Keys of all figures.
  static ArrayRef<StringRef> keys();
};

} // namespace mlir::ssm

#endif // SSM_ANALYSIS_MACHINE_H
