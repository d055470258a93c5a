//===- Sampler.cpp - Chooses a token from logits --------------------------===//

#include "Sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace ssmc;

int64_t Sampler::chooseFromValues() {
  int64_t largest = -1;
  for (size_t i = 0; i < values.size(); ++i) {
    // One NaN means that the state is lost: anything chosen would be noise.
    if (std::isnan(values[i]))
      return -1;
    if (largest < 0 || values[i] > values[largest])
      largest = int64_t(i);
  }
  if (largest < 0 || std::isinf(values[largest]))
    return -1;
  if (temperature == 0 || topK == 1)
    return largest;
  order.resize(values.size());
  std::iota(order.begin(), order.end(), 0);
  if (topK > 0 && topK < order.size()) {
    // Equal logits rank by index, so that the set is well defined.
    std::nth_element(order.begin(), order.begin() + int64_t(topK), order.end(),
                     [&](uint32_t a, uint32_t b) {
                       return values[a] != values[b] ? values[a] > values[b] : a < b;
                     });
    order.resize(topK);
    std::sort(order.begin(), order.end());
  }
  double maximum = values[largest], sum = 0;
  for (uint32_t i : order)
    sum += values[i] = std::exp((values[i] - maximum) / temperature);
  // 53 random bits, by hand: the library's distributions differ between libraries.
  double drawn = double(engine() >> 11) * 0x1p-53 * sum;
  for (uint32_t i : order) {
    drawn -= values[i];
    if (drawn < 0)
      return i;
  }
  return largest;
}
