//===- Sampler.h - Chooses a token from logits -----------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_SAMPLER_H
#define SSMC_LIB_DRIVER_SAMPLER_H

#include "llvm/ADT/ArrayRef.h"
#include <cstdint>
#include <random>
#include <vector>

namespace ssmc {

class Sampler {
public:
  /// Temperature 0 takes the largest logit, the first of equals.
  Sampler(double temperature, uint64_t topK, uint64_t seed)
      : temperature(temperature), topK(topK), engine(seed) {}

  /// The token, or -1 if no logit is a number that can be chosen.
  template <typename T> int64_t choose(llvm::ArrayRef<T> logits) {
    values.assign(logits.begin(), logits.end());
    return chooseFromValues();
  }

private:
  int64_t chooseFromValues();

  double temperature;
  uint64_t topK;
  std::mt19937_64 engine;
  std::vector<double> values;
  std::vector<uint32_t> order;
};

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_SAMPLER_H
