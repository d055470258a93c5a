//===- compiled.h - Compiled layers as a program uses them -----*- C++ -*-===//
//
// Through ssmrt alone: memory, inputs and outputs of a layer's calls.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_BENCHMARKS_COMPILED_H
#define SSMC_BENCHMARKS_COMPILED_H

#include "ssmrt/ssmrt.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include <sys/mman.h>

namespace ssmc::benchmarks {

[[noreturn]] inline void stop(const char *what) {
  std::fprintf(stderr, "benchmark: %s: %s\n", what, ssmrt_last_error());
  std::exit(1);
}

inline void check(ssmrt_status status, const char *what) {
  if (status != SSMRT_OK)
    stop(what);
}

struct Free {
  void operator()(void *block) const { std::free(block); }
};
using Block = std::unique_ptr<char, Free>;

/// Memory that nothing has touched; in large pages where there is much to fill, as
/// ssmc does it.
inline Block allocate(int64_t bytes) {
  if (bytes < 0)
    stop("size");
  constexpr int64_t largePage = int64_t(2) << 20;
  int64_t alignment = bytes >= 2 * largePage ? largePage : SSMRT_ALIGNMENT;
  void *block = nullptr;
  if (posix_memalign(&block, size_t(alignment), size_t(std::max<int64_t>(bytes, 64))))
    stop("memory");
#ifdef MADV_HUGEPAGE
  if (alignment == largePage)
    (void)madvise(block, size_t(bytes), MADV_HUGEPAGE);
#endif
  return Block(static_cast<char *>(block));
}

/// The module of a shared object, which stays loaded.
inline const ssmrt_module *openModule(const char *path) {
  void *library = nullptr;
  const ssmrt_module *module = nullptr;
  check(ssmrt_library_open(path, &library), "open");
  check(ssmrt_library_module(library, nullptr, &module), "module");
  return module;
}

/// Tables for up to `length` tokens, from the weights that the artefact carries.
inline Block makeTables(const ssmrt_module *module, int64_t length) {
  Block prepared = allocate(ssmrt_prepared_bytes(module, length));
  Block scratch = allocate(ssmrt_prepare_workspace_bytes(module, length));
  check(ssmrt_prepare(module, nullptr, nullptr, 0, prepared.get(), length, scratch.get()),
        "prepare");
  return prepared;
}

/// Inputs and outputs of calls of one length, in each sequence axis, and batch 1. Inputs of f32 are drawn
/// evenly between two bounds, integers run through their range, others are zero.
class Call {
public:
  Call(const ssmrt_module *module, ssmrt_context *context, const void *prepared,
       int64_t length, float low = 0, float high = 0)
      : length(length), module(module), context(context), prepared(prepared),
        draw(low, high) {
    for (int64_t i = 0; i < module->num_inputs; ++i)
      inputBytes += add(module->inputs[i], inputs);
    for (int64_t i = 0; i < module->num_outputs; ++i)
      outputBytes += add(module->outputs[i], outputs);
    workspaceBytes = ssmrt_workspace_bytes(module, 1, length);
    workspace = allocate(workspaceBytes);
  }

  void forward(void *state) {
    check(ssmrt_forward(module, context, prepared, inputs.data(), int64_t(inputs.size()),
                        outputs.data(), int64_t(outputs.size()), state, workspace.get()),
          "forward");
  }
  void step(void *state) {
    check(ssmrt_step(module, context, prepared, inputs.data(), int64_t(inputs.size()),
                     outputs.data(), int64_t(outputs.size()), state, workspace.get()),
          "step");
  }

  template <typename T> const T *input(size_t i) const {
    return static_cast<const T *>(inputs[i].data);
  }
  template <typename T> const T *output(size_t i) const {
    return static_cast<const T *>(outputs[i].data);
  }

  int64_t length, inputBytes = 0, outputBytes = 0, workspaceBytes = 0;

private:
  /// Bytes that the code reads or writes.
  int64_t add(const ssmrt_value_info &info, std::vector<ssmrt_tensor> &list) {
    auto &shape = shapes.emplace_back(new int64_t[SSMRT_MAX_DIMS]);
    int64_t elements = 1;
    for (int32_t d = 0; d < info.ndim; ++d) {
      int64_t extent = info.shape[d];
      shape[d] = extent == SSMRT_BATCH                ? 1
                 : ssmrt_sequence_axis(extent) >= 0 ? length
                                                    : extent;
      elements *= shape[d];
    }
    int64_t bytes = elements * int64_t(ssmrt_dtype_size(info.dtype));
    ssmrt_tensor tensor = {};
    tensor.dtype = info.dtype;
    tensor.ndim = info.ndim;
    tensor.shape = shape.get();
    bool isLeftOut = info.flags & SSMRT_INITIAL;
    if (!isLeftOut) {
      Block &block = blocks.emplace_back(allocate(bytes));
      std::memset(block.get(), 0, size_t(bytes));
      tensor.data = block.get();
      if (info.limit > 0 && info.dtype.bits == 64)
        for (int64_t i = 0; i < elements; ++i)
          reinterpret_cast<int64_t *>(block.get())[i] = i * 7919 % info.limit;
      if (info.dtype.code == SSMRT_FLOAT && info.dtype.bits == 32)
        for (int64_t i = 0; i < elements; ++i)
          reinterpret_cast<float *>(block.get())[i] = draw(random);
    }
    list.push_back(tensor);
    return isLeftOut || (info.flags & SSMRT_FINAL) ? 0 : bytes;
  }

  const ssmrt_module *module;
  ssmrt_context *context;
  const void *prepared;
  std::uniform_real_distribution<float> draw;
  std::mt19937 random{1};
  std::vector<ssmrt_tensor> inputs, outputs;
  std::vector<std::unique_ptr<int64_t[]>> shapes;
  std::vector<Block> blocks;
  Block workspace;
};

} // namespace ssmc::benchmarks

#endif // SSMC_BENCHMARKS_COMPILED_H
