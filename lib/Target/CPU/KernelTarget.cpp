//===- KernelTarget.cpp - What kernels need to know of a processor --------===//

#include "Target/CPU/KernelTarget.h"

#include "mlir/IR/TypeUtilities.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/TargetParser/Triple.h"

using namespace mlir;
using namespace ssmc::cpu;

KernelTarget KernelTarget::get(const llvm::Triple &triple,
                               const llvm::MCSubtargetInfo &subtarget) {
  KernelTarget target;
  if (triple.isAArch64() || triple.isRISCV()) {
    target.vectorRegisters = 32;
    return target;
  }
  if (!triple.isX86())
    return target;
  if (subtarget.checkFeatures("+avx512f")) {
    target.vectorBits = 512;
    target.vectorRegisters = 32;
    target.avx512 = true;
    target.reuseBytes = 448 * 1024;
  } else if (subtarget.checkFeatures("+avx")) {
    target.vectorBits = 256;
  }
  return target;
}

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
  return std::max<int64_t>(1, (vectorRegisters - 2 - columns) / columns);
}
