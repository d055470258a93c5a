//===- safetensors_fuzzer.cpp - Weight files of random bytes --------------===//
//
// The bytes are tried as a file and as an index. What is accepted must hold
// together: every tensor inside the data, names found again.
//
//===----------------------------------------------------------------------===//

#include "Weights.h"

#include <cstdlib>
#include <cstring>

static void require(bool condition) {
  if (!condition)
    std::abort();
}

static void checkShard(const ssmrtShard &shard, const uint8_t *data,
                       size_t size) {
  volatile unsigned sum = 0;
  for (int64_t i = 0; i < shard.count; ++i) {
    const ssmrtEntry &entry = shard.entries[i];
    uint64_t bytes = entry.end - entry.begin;
    require(entry.data >= data && entry.data + bytes <= data + size);
    for (uint64_t j = 0; j < bytes; ++j)
      sum = sum + entry.data[j];
    require(ssmrtFindEntry(shard.sorted, shard.count, entry.name) == &entry);
    int64_t elements;
    require(ssmrtNumElements(entry.shape, entry.ndim, &elements));
    if (entry.dtype.lanes)
      require(elements * static_cast<int64_t>(entry.dtype.bits / 8) ==
              static_cast<int64_t>(bytes));
  }
  ssmrtText near = {};
  ssmrtSuggest(shard.sorted, shard.count, "model.layers.0.weight", &near);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ssmrtShard shard;
  if (ssmrtParseSafetensors("fuzz", data, size, &shard) == SSMRT_OK) {
    checkShard(shard, data, size);
    ssmrtCloseShard(&shard);
  } else {
    require(*ssmrt_last_error());
  }
  ssmrtParseIndex("fuzz", data, size);

  // Random bytes hardly ever begin with a sensible length: the same bytes as
  // header and data, cut where the first two say.
  if (size < 2)
    return 0;
  uint64_t header = (data[0] | data[1] << 8) % (size - 1);
  uint8_t *file = static_cast<uint8_t *>(std::malloc(size + 6));
  for (int i = 0; i < 8; ++i)
    file[i] = static_cast<uint8_t>(header >> (8 * i));
  std::memcpy(file + 8, data + 2, size - 2);
  if (ssmrtParseSafetensors("fuzz", file, size + 6, &shard) == SSMRT_OK) {
    checkShard(shard, file, size + 6);
    ssmrtCloseShard(&shard);
  }
  std::free(file);
  return 0;
}
