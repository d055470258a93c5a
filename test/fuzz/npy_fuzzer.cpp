//===- npy_fuzzer.cpp - .npy files of random bytes ------------------------===//

#include "NPY.h"

#include <cstdlib>
#include <cstring>
#include <vector>

static void check(const uint8_t *data, size_t size) {
  ssmrtNPYHeader header;
  if (ssmrtParseNPY("fuzz", data, size, &header) != SSMRT_OK) {
    if (!*ssmrt_last_error())
      std::abort();
    return;
  }
  int64_t elements;
  if (!ssmrtNumElements(header.shape, header.ndim, &elements) ||
      header.dataOffset + header.dataBytes != size ||
      elements * static_cast<int64_t>(ssmrt_dtype_size(header.dtype)) !=
          static_cast<int64_t>(header.dataBytes))
    std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check(data, size);
  // The dictionary is where the work is: a good frame around the same bytes.
  if (size > 0xFFFF)
    return 0;
  std::vector<uint8_t> file = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
  file.push_back(static_cast<uint8_t>(size));
  file.push_back(static_cast<uint8_t>(size >> 8));
  file.insert(file.end(), data, data + size);
  check(file.data(), file.size());
  return 0;
}
