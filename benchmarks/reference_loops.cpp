//===- reference_loops.cpp - Plain loops, -O3 -march=native ---------------===//

#include "reference_loops.h"

#include <cmath>
#include <vector>

void ssmc::benchmarks::selectiveScanLoop(
    int64_t tokens, int64_t channels, int64_t keys,
    const float *__restrict step, const float *__restrict bias,
    const float *__restrict a, const float *__restrict u,
    const float *__restrict b, const float *__restrict c,
    const float *__restrict d, const float *__restrict z,
    float *__restrict state, float *__restrict y) {
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t e = 0; e < channels; ++e) {
      float raw = step[t * channels + e] + bias[e];
      float dt = raw > 20 ? raw : std::log1p(std::exp(raw));
      float x = u[t * channels + e], sum = 0;
      for (int64_t n = 0; n < keys; ++n) {
        float &h = state[e * keys + n];
        h = h * std::exp(dt * a[e * keys + n]) + dt * x * b[t * keys + n];
        sum += h * c[t * keys + n];
      }
      float gate = z[t * channels + e];
      y[t * channels + e] = (sum + d[e] * x) * (gate / (1 + std::exp(-gate)));
    }
}

void ssmc::benchmarks::deltaLoop(int64_t tokens, int64_t heads, int64_t keys,
                                 int64_t width, const float *q, const float *k,
                                 const float *v, const float *beta,
                                 const float *g, float *state, float *y) {
  std::vector<float> change(width);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t h = 0; h < heads; ++h) {
      const float *key = k + (t * heads + h) * keys;
      const float *query = q + (t * heads + h) * keys;
      const float *value = v + (t * heads + h) * width;
      float *out = y + (t * heads + h) * width;
      float *s = state + h * keys * width;
      float decay = std::exp(g[t * heads + h]), rate = beta[t * heads + h];
      for (int64_t i = 0; i < width; ++i)
        change[i] = value[i], out[i] = 0;
      for (int64_t n = 0; n < keys; ++n)
        for (int64_t i = 0; i < width; ++i)
          change[i] -= decay * key[n] * s[n * width + i];
      for (int64_t n = 0; n < keys; ++n)
        for (int64_t i = 0; i < width; ++i) {
          float next = decay * s[n * width + i] + rate * key[n] * change[i];
          s[n * width + i] = next;
          out[i] += query[n] * next;
        }
    }
}
