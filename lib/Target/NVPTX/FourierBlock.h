//===- FourierBlock.h - A Fourier transform by a block of threads -*- C++ -*-===//
//
// Transforms of polynomials modulo X^N - i, with N = 4096: the tree of `ssm.roots`, four
// levels at a time. A thread has 16 points in registers, splits a node into 16, and gets
// 16 points of one of those through shared memory, twice. Coefficients are spread over
// the threads, as they are read from memory; a thread ends with 16 values that are leaves
// of the tree beside each other, and the inverse goes the same way back.
//
// Between points of shared memory that are 16 apart one stays free, so that threads find
// different banks whether theirs are beside each other or 16 apart.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_FOURIERBLOCK_H
#define SSMC_LIB_TARGET_NVPTX_FOURIERBLOCK_H

#include "Conversion/SSMToSCF/Loops.h"

namespace ssmc::nvptx {

/// A complex number; `im` is null where it is zero.
struct ComplexNumber {
  mlir::Value re, im;
};

class FourierBlock {
public:
  /// Points of a transform, threads, and points of a thread.
  static constexpr int64_t kPoints = 4096, kThreads = 256, kOwn = kPoints / kThreads;
  using Points = llvm::MutableArrayRef<ComplexNumber>;

  /// The memory that a block shares.
  static mlir::MemRefType getMemoryType(mlir::Type element);
  /// `roots` are numbers, the table of ssm.roots.
  FourierBlock(detail::Loops &loops, mlir::Value memory, mlir::Value roots,
               mlir::Value thread);

  /// The coefficient `thread + i * kThreads` in `points[i]` gives way to the value `thread
  /// * kOwn + i`. Threads must not read what others have stored before.
  void transform(Points points);
  /// The coefficients of such values, times the number of points.
  void invert(Points points);

  /// The 16 coefficients, times 16, of the node that has the thread's values as leaves.
  void joinOwn(Points points) { join(points, passes[kPasses - 1]); }

  /// Where a thread's values `i` and `i + 1` are, in the order of ssm.spectrum for threads,
  /// and stores all of them there, from `base` on, a multiple of `alignment` bytes.
  mlir::Value getPlace(mlir::Value base, int64_t i);
  void storeValues(Points points, mlir::Value to, mlir::Value base, int64_t alignment);
  /// What a channel's places in a spectrum begin at a multiple of, in bytes: that of a
  /// vector unless they may be an odd number.
  static int64_t getAlignment(mlir::Value spectrum);

  ComplexNumber multiply(ComplexNumber a, ComplexNumber b);
  ComplexNumber multiplyAdd(ComplexNumber a, ComplexNumber b, ComplexNumber sum);
  void barrier();

private:
  static constexpr int kPasses = 3, kLevels = 4;
  /// Where the points of a thread are in a pass: `base + i * step`, and their node.
  struct Pass {
    mlir::Value base;
    int64_t step;
    mlir::Value root; ///< null: the first
  };

  llvm::SmallVector<ComplexNumber> getTwiddles(const Pass &pass);
  ComplexNumber loadRoot(mlir::Value number);
  void load(Points points, const Pass &pass);
  void store(Points points, const Pass &pass);
  void split(Points points, const Pass &pass);
  void join(Points points, const Pass &pass);
  /// Calls `pair(a, b, twiddle)` for what a level of a node joins.
  void forPairs(Points points, llvm::ArrayRef<ComplexNumber> twiddles, int level,
                llvm::function_ref<void(ComplexNumber &, ComplexNumber &, ComplexNumber)>
                    pair);

  ComplexNumber constant(double turns);
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value c);
  mlir::Value negate(mlir::Value a);

  detail::Loops &loops;
  mlir::Value memory, roots, thread;
  mlir::Type type;
  Pass passes[kPasses];
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_FOURIERBLOCK_H
