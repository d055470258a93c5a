//===- Parallel.h - Independent work on all cores --------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_PARALLEL_H
#define SSMC_LIB_DRIVER_PARALLEL_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/ThreadPool.h"
#include <optional>
#include <vector>

namespace ssmc {

/// Calls `run` with each of 0 to count - 1, on all cores, the last ones first: they
/// tend to take longest. Returns the first error in their order.
inline llvm::Error runInParallel(size_t count,
                                 llvm::function_ref<llvm::Error(size_t)> run) {
  std::vector<std::optional<llvm::Error>> errors(count);
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency());
  for (size_t i = count; i-- > 0;)
    pool.async([&errors, run, i] { errors[i].emplace(run(i)); });
  pool.wait();
  llvm::Error first = llvm::Error::success();
  for (std::optional<llvm::Error> &error : errors) {
    if (!first)
      first = std::move(*error);
    else
      llvm::consumeError(std::move(*error));
  }
  return first;
}

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_PARALLEL_H
