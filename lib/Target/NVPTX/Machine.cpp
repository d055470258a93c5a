//===- Machine.cpp - What the cost model knows of a GPU -------------------===//

#include "Target/NVPTX/Machine.h"

#include "Target/NVPTX/Assembler.h"
#include "Target/NVPTX/FourierBlock.h"

using namespace ssmc;

namespace {
/// What NVIDIA says of an architecture's largest device.
struct Device {
  int arch;
  double multiprocessors;
  double lanes;         ///< multiply-adds in f32 that a multiprocessor starts in a clock
  double products;      ///< those in bf16 of its tensor cores
  double cacheBytes;    ///< of the second cache, for all
  double bytesPerClock; ///< from memory, for one multiprocessor
};
} // namespace

static constexpr Device devices[] = {
    {80, 108, 64, 1024, 40 << 20, 13},   {89, 142, 128, 512, 96 << 20, 2.4},
    {90, 132, 128, 2048, 50 << 20, 18},  {100, 148, 128, 4096, 126 << 20, 29},
    {120, 188, 128, 512, 128 << 20, 3.6},
};

/// Special functions that a multiprocessor starts in a clock, on all of these.
static constexpr double functionsPerClock = 16;
/// What `mma.sync` reaches of the tensor cores (docs/experiments/tensor-cores.md), and the
/// products of bf16 in the place of one of f32 (ChunkKernel.h).
static constexpr double productShare = 0.6, productsOfFloat = 6;
/// A token waits for the loads of its operands and for sums over threads, a chunk of 16
/// tokens for those and for barriers. Measured on an H200 with one recurrence a
/// multiprocessor or fewer, of 16 bits: 410 to 620 clocks a token with 128 keys, of which 300
/// are the arithmetic of the model; 1400 to 1900 a chunk, with a decay for each key 4700 with
/// one pair of vectors over keys (GLA) and 7900 with four (RWKV-7).
static constexpr double tokenClocks = 150, chunkClocks = 1600, keyDecayClocks = 1600,
                        chunkTokens = 16;

/// Measured on an H200 with states of 64 numbers, 1024 channels and 8 rows: of S4D's
/// recurrence 0.51, of one with an erase pair (S4), which waits for sums over threads, 0.31.
static constexpr double invariantShare = 0.4;

/// Chunks with tables (TabulatedKernel.h): tokens, numbers of a state, and clocks of eight
/// lanes. Measured on an H200 with 64 numbers and 8 rows: 8192 tokens take 172 us, and from
/// about 100 on a call is faster than the recurrence.
static constexpr double tableTokens = 32, tableNumbers = 64, tableLanes = 8,
                        tableClocks = 170, tableCallClocks = 1600;

mlir::ssm::Machine nvptx::getMachine(llvm::StringRef arch, bool roundsTables) {
  std::optional<Arch> parsed = parseArch(arch);
  const Device *device = devices;
  for (const Device &next : devices)
    if (parsed && next.arch <= parsed->number)
      device = &next;
  mlir::ssm::Machine machine;
  machine.vectorBits = 32 * device->lanes;
  machine.vectorRegisters = 256;
  machine.fmaPerClock = 1;
  machine.productFmaPerClock =
      device->products / device->lanes * productShare / productsOfFloat;
  machine.functionClocks = device->lanes / functionsPerClock;
  machine.divideClocks = 2 * machine.functionClocks; // a reciprocal, and its correction
  // Shared memory stands for the near caches, a multiprocessor's part of the last one.
  machine.l1Bytes = machine.l2Bytes = 128 << 10;
  machine.l2BytesPerClock = device->lanes;
  machine.l3Bytes = device->cacheBytes / device->multiprocessors;
  machine.l3BytesPerClock = 2 * device->bytesPerClock;
  machine.memoryBytesPerClock = device->bytesPerClock;
  machine.tokenClocks = tokenClocks;
  machine.invariantShare = invariantShare;
  machine.chunkClocks = chunkClocks;
  machine.keyDecayClocks = keyDecayClocks;
  machine.chunkTokens = chunkTokens;
  machine.tableTokens = tableTokens;
  machine.tableNumbers = roundsTables ? tableNumbers : 0;
  machine.tableClocks = device->lanes / tableLanes * tableClocks;
  machine.tableCallClocks = device->lanes / tableLanes * tableCallClocks;
  machine.transformPoints = FourierBlock::kPoints;
  machine.cores = device->multiprocessors;
  return machine;
}

bool nvptx::haveWarpgroups(llvm::ArrayRef<std::string> archs) {
  return !archs.empty() && llvm::all_of(archs, [](llvm::StringRef name) {
    std::optional<Arch> arch = parseArch(name);
    return arch && arch->number == 90 && arch->variant == 'a';
  });
}

int64_t nvptx::getSharedBytes(llvm::ArrayRef<std::string> archs) {
  // PTX for sm_90 runs on later ones as well, which have less.
  return (haveWarpgroups(archs) ? 227 : 99) << 10;
}
