//===- KernelTarget.cpp - What kernels need to know of a processor --------===//

#include "Target/CPU/KernelTarget.h"

#include <algorithm>

using namespace mlir;
using namespace ssmc::cpu;

int64_t KernelTarget::getLanes(Type element) const {
  return std::max<int64_t>(1, vectorBits / element.getIntOrFloatBitWidth());
}

int64_t KernelTarget::getPanelWidth(Type accumulator) const {
  int64_t lanes = getLanes(accumulator);
  return lanes * (lanes <= 4 && vectorRegisters >= 32 ? 4 : 2);
}

int64_t KernelTarget::getTileRows(int64_t width, Type accumulator) const {
  // Beside the accumulators: a row of weights and two broadcast inputs.
  int64_t columns = std::max<int64_t>(1, width / getLanes(accumulator));
  // More than 16 rows hide no more latency.
  return std::clamp<int64_t>((vectorRegisters - 2 - columns) / columns, 1, 16);
}
