//===- reference_loops.h - What to measure against --------------*- C++ -*-===//
//
// Plain loops as one writes them by hand, and probes of what the machine gives
// at the moment. Each source is compiled with the flags that it names.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_BENCHMARKS_REFERENCE_LOOPS_H
#define SSMC_BENCHMARKS_REFERENCE_LOOPS_H

#include <algorithm>
#include <cstdint>
#include <utility>

namespace ssmc::benchmarks {

/// Selective scan: tokens outermost, the state in memory, libm's functions.
/// Arrays as in the arguments' order [L, D], [D], [D, N], [L, D], [L, N],
/// [L, N], [D], [L, D], [D, N] (in and out), [L, D].
void selectiveScanLoop(int64_t tokens, int64_t channels, int64_t keys,
                       const float *step, const float *bias, const float *a,
                       const float *u, const float *b, const float *c,
                       const float *d, const float *z, float *state, float *y);

/// A scan with one decay a head: tokens outermost, the state in memory.
/// [L, H], [H], [L, H, P], [L, N], [L, N], [H], [H, P, N], [L, H, P].
void headScanLoop(int64_t tokens, int64_t heads, int64_t width, int64_t keys,
                  const float *step, const float *a, const float *x,
                  const float *b, const float *c, const float *d, float *state,
                  float *y);

/// Gated delta rule: tokens outermost, the state in memory. Queries and keys
/// [L, H, K], values [L, H, V], beta and log decay [L, H], [H, K, V],
/// [L, H, V].
void deltaLoop(int64_t tokens, int64_t heads, int64_t keys, int64_t width,
               const float *q, const float *k, const float *v,
               const float *beta, const float *g, float *state, float *y);

/// Fused multiply-adds of 16 floats that a core can do in a second now, from
/// some 20 microseconds of independent ones.
double measureMultiplyAdds();

/// Bytes per second now, read and written, of a copy beyond the caches with
/// stores that bypass them; some milliseconds.
double measureCopy();

/// Processor time of this thread in seconds: other work on the machine does not
/// count.
double getThreadTime();

/// The highest rate of multiply-adds that this process has seen, now and before; at first
/// of many probes. A probe that something interrupts is low, and would make whatever is
/// measured beside it look fast. One that the system charges too little time is high (1.7
/// times the rate was seen in a virtual machine): of two in a row the lower counts.
inline double getHighestRate() {
  static double highest = 0;
  for (int probes = highest == 0 ? 200 : 1; probes > 0; --probes) {
    double first = measureMultiplyAdds(), second = measureMultiplyAdds();
    highest = std::max(highest, std::min(first, second));
  }
  return highest;
}

/// Clocks of a core with two full 512-bit units that `body` takes, and its seconds.
template <typename Body> std::pair<double, double> sample(Body body) {
  getHighestRate();
  double start = getThreadTime();
  body();
  double time = getThreadTime() - start;
  return {time * getHighestRate() / 2, time};
}

} // namespace ssmc::benchmarks

#endif // SSMC_BENCHMARKS_REFERENCE_LOOPS_H
