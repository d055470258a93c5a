//===- state_benchmark.cpp - A time-invariant state block through ssmrt ---===//
//
//   state_benchmark MODEL.so LENGTH [options of Google Benchmark]
//
// The model carries its weights (ssmc compile --embed-weights --init SEED) and has one
// input and one output over channels. `prepare` makes its tables for LENGTH tokens,
// `forward` runs them without a state. Times are the thread's own; clocks are those of
// a core with two 512-bit units, by multiply-adds measured beside every sample.
//
//===----------------------------------------------------------------------===//

#include "benchmark/benchmark.h"
#include "reference_loops.h"
#include "ssmrt/ssmrt.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>

using namespace ssmc::benchmarks;

static const ssmrt_module *module;
static int64_t length, channels;

[[noreturn]] static void stop(const char *what) {
  std::fprintf(stderr, "state_benchmark: %s: %s\n", what, ssmrt_last_error());
  std::exit(1);
}

static void check(ssmrt_status status, const char *what) {
  if (status != SSMRT_OK)
    stop(what);
}

namespace {
struct Free {
  void operator()(void *block) const { std::free(block); }
};
using Block = std::unique_ptr<float, Free>;
} // namespace

static Block allocate(int64_t bytes) {
  void *block = nullptr;
  if (bytes < 0 || posix_memalign(&block, SSMRT_ALIGNMENT,
                                  size_t(std::max<int64_t>(bytes, SSMRT_ALIGNMENT))))
    stop("memory");
  std::memset(block, 0, size_t(bytes));
  return Block(static_cast<float *>(block));
}

/// Times `body` beside multiply-adds; `points` share the clocks.
template <typename Body>
static void measure(benchmark::State &state, double points, Body body) {
  double clocks = 1e30, seconds = 1e30;
  for (auto _ : state) {
    double rate = measureMultiplyAdds();
    double start = getThreadTime();
    body();
    double time = getThreadTime() - start;
    rate = std::max(rate, measureMultiplyAdds());
    state.SetIterationTime(time);
    clocks = std::min(clocks, time * rate / 2);
    seconds = std::min(seconds, time);
  }
  state.counters["clocks"] = clocks / points;
  state.counters["seconds"] = seconds;
}

static void prepareInto(void *prepared, void *scratch) {
  check(ssmrt_prepare(module, nullptr, nullptr, 0, prepared, length, scratch), "prepare");
}

static void prepare(benchmark::State &state) {
  Block prepared = allocate(ssmrt_prepared_bytes(module, length));
  Block scratch = allocate(ssmrt_prepare_workspace_bytes(module, length));
  measure(state, double(length * channels),
          [&] { prepareInto(prepared.get(), scratch.get()); });
}

static void forward(benchmark::State &state) {
  Block prepared = allocate(ssmrt_prepared_bytes(module, length));
  Block scratch = allocate(ssmrt_prepare_workspace_bytes(module, length));
  prepareInto(prepared.get(), scratch.get());
  Block workspace = allocate(ssmrt_workspace_bytes(module, 1, length));
  Block tokens = allocate(length * channels * 4), output = allocate(length * channels * 4);
  std::mt19937 random(1);
  std::normal_distribution<float> draw;
  for (int64_t i = 0; i < length * channels; ++i)
    tokens.get()[i] = draw(random);
  int64_t shape[3] = {1, length, channels};
  ssmrt_tensor in = {}, out = {};
  for (ssmrt_tensor *tensor : {&in, &out}) {
    tensor->dtype = module->inputs[0].dtype;
    tensor->device.device_type = 1;
    tensor->ndim = 3;
    tensor->shape = shape;
  }
  in.data = tokens.get();
  out.data = output.get();
  measure(state, double(length * channels), [&] {
    check(ssmrt_forward(module, nullptr, prepared.get(), &in, 1, &out, 1, nullptr,
                        workspace.get()),
          "forward");
  });
}
BENCHMARK(prepare)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(forward)->UseManualTime()->Unit(benchmark::kMillisecond);

int main(int argc, char **argv) {
  benchmark::Initialize(&argc, argv);
  void *library = nullptr;
  if (argc != 3 || (length = std::atoll(argv[2])) < 1) {
    std::fprintf(stderr, "usage: state_benchmark MODEL.so LENGTH\n");
    return 2;
  }
  check(ssmrt_library_open(argv[1], &library), "open");
  check(ssmrt_library_module(library, nullptr, &module), "module");
  if (module->num_inputs != 1 || module->num_outputs != 1 || module->inputs[0].ndim != 3 ||
      module->outputs[0].ndim != 3 || !module->embedded_weights) {
    std::fprintf(stderr,
                 "state_benchmark: %s: wanted one input and one output over channels, and "
                 "embedded weights\n",
                 argv[1]);
    return 1;
  }
  channels = module->inputs[0].shape[2];
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
