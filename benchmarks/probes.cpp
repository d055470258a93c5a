//===- probes.cpp - What the machine gives now, -O3 -march=native ---------===//

#include "reference_loops.h"

#include <ctime>
#include <vector>
#if defined(__AVX__)
#include <immintrin.h>
#endif

using namespace ssmc::benchmarks;

#if defined(__AVX512F__)
static constexpr int lanes = 16;
#elif defined(__AVX__)
static constexpr int lanes = 8;
#else
static constexpr int lanes = 4;
#endif
using Vector = float __attribute__((vector_size(4 * lanes)));

double ssmc::benchmarks::getThreadTime() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

double ssmc::benchmarks::measureMultiplyAdds() {
  // More chains than latency times units; with two operands, fewer than 16
  // registers.
  constexpr int chains = 12, steps = 8000;
  Vector sums[chains] = {}, factor, addend;
  for (int i = 0; i < lanes; ++i) {
    factor[i] = 0.5f;
    addend[i] = 1.0f;
  }
  double start = getThreadTime();
  for (int step = 0; step < steps; ++step) {
#pragma clang fp contract(fast)
#pragma unroll
    for (int c = 0; c < chains; ++c) {
      sums[c] = sums[c] * factor + addend;
      asm volatile("" : "+v"(sums[c]));
    }
  }
  return double(chains) * steps * lanes / 16 / (getThreadTime() - start);
}

/// Past the caches.
static void store(Vector *to, const Vector &value) {
#if defined(__clang__)
  __builtin_nontemporal_store(value, to);
#elif defined(__AVX512F__)
  _mm512_stream_ps(reinterpret_cast<float *>(to), (__m512)value);
#elif defined(__AVX__)
  _mm256_stream_ps(reinterpret_cast<float *>(to), (__m256)value);
#else
  *to = value;
#endif
}

double ssmc::benchmarks::measureCopy() {
  constexpr int64_t count = 16 << 20;
  static std::vector<float> source(count + 16, 1.0f), target(count + 16);
  auto align = [](std::vector<float> &v) {
    return reinterpret_cast<Vector *>(
        (reinterpret_cast<uintptr_t>(v.data()) + 63) / 64 * 64);
  };
  Vector *from = align(source), *to = align(target);
  double start = getThreadTime();
  for (int64_t i = 0; i < count / lanes; ++i)
    store(&to[i], from[i]);
  return 8.0 * count / (getThreadTime() - start);
}
