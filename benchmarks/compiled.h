//===- compiled.h - What programs that run compiled layers share -*- C++ -*-===//

#ifndef SSMC_BENCHMARKS_COMPILED_H
#define SSMC_BENCHMARKS_COMPILED_H

#include "ssmrt/ssmrt.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <sys/mman.h>
#include <vector>

namespace ssmc::benchmarks {

struct Free {
  void operator()(void *block) const { std::free(block); }
};
using Block = std::unique_ptr<char, Free>;

[[noreturn]] inline void stop(const char *what) {
  std::fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
               ssmrt_last_error());
  std::exit(1);
}

inline void check(ssmrt_status status, const char *what) {
  if (status != SSMRT_OK)
    stop(what);
}

inline Block allocate(int64_t bytes) {
  if (bytes < 0)
    stop("size");
  // Large pages where there is much to fill, as ssmc does it.
  constexpr int64_t largePage = int64_t(2) << 20;
  int64_t alignment = bytes >= 4 * largePage ? largePage : SSMRT_ALIGNMENT;
  void *block = nullptr;
  if (posix_memalign(&block, size_t(alignment), size_t(std::max<int64_t>(bytes, 64))))
    stop("memory");
#ifdef MADV_HUGEPAGE
  if (alignment == largePage)
    (void)madvise(block, size_t(bytes), MADV_HUGEPAGE);
#endif
  return Block(static_cast<char *>(block));
}

} // namespace ssmc::benchmarks

#endif // SSMC_BENCHMARKS_COMPILED_H
