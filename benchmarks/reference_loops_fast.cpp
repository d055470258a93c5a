//===- reference_loops_fast.cpp - Loops, -O3 -march=native -ffast-math ----===//

#include "reference_loops.h"

#include <cmath>

void ssmc::benchmarks::headScanLoop(
    int64_t tokens, int64_t heads, int64_t width, int64_t keys,
    const float *__restrict step, const float *__restrict a,
    const float *__restrict x, const float *__restrict b,
    const float *__restrict c, const float *__restrict d,
    float *__restrict state, float *__restrict y) {
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t h = 0; h < heads; ++h) {
      float dt = step[t * heads + h], decay = std::exp(dt * a[h]);
      for (int64_t p = 0; p < width; ++p) {
        float value = x[(t * heads + h) * width + p], sum = 0;
        float *row = state + (h * width + p) * keys;
        for (int64_t n = 0; n < keys; ++n) {
          row[n] = row[n] * decay + dt * value * b[t * keys + n];
          sum += row[n] * c[t * keys + n];
        }
        y[(t * heads + h) * width + p] = sum + d[h] * value;
      }
    }
}
