//===- layer_benchmark.cpp - A layer beside what the machine gives --------===//
//
//   layer_benchmark MODEL.so [options of Google Benchmark]
//     --length=N         tokens of the sequence (2048)
//     --low=X --high=Y   bounds of the inputs (-1 and 1)
//
// The artefact carries its weights (ssmc compile --embed-weights). `forward` is a call
// without a state, `prepare` makes the tables for as many tokens. One thread, in
// its own time. Counters, each from the best sample: `ns` of a call; `clocks`, those of a
// core with two full 512-bit units (time times the fused multiply-adds per second
// measured beside each sample, over two); `copies`, the time over that of a copy of
// as many bytes as the inputs and outputs have, read and written.
//
//===----------------------------------------------------------------------===//

#include "benchmark/benchmark.h"
#include "compiled.h"
#include "reference_loops.h"

#include <string>

using namespace ssmc::benchmarks;

static const ssmrt_module *module;
static Block tables;
static int64_t length = 2048;
static float low = -1, high = 1;

/// The best of samples in which `body` runs `calls` times; `beside` runs before each.
template <typename Beside, typename Body>
static void measure(benchmark::State &state, int calls, Beside beside, Body body) {
  double clocks = 1e30, seconds = 1e30;
  for (auto _ : state) {
    beside();
    auto [found, time] = sample([&] {
      for (int i = 0; i < calls; ++i)
        body();
    });
    clocks = std::min(clocks, found / calls);
    seconds = std::min(seconds, time / calls);
    state.SetIterationTime(time / calls);
  }
  state.counters["ns"] = seconds * 1e9;
  state.counters["clocks"] = clocks;
}

static void prepare(benchmark::State &state) {
  measure(state, 1, [] {}, [] { makeTables(module, length); });
}

static void forward(benchmark::State &state) {
  Call call(module, nullptr, tables.get(), length, low, high);
  call.forward(nullptr);
  double start = getThreadTime();
  call.forward(nullptr);
  // Short cases many times in one sample.
  int calls = int(std::max(1.0, 200e-6 / (getThreadTime() - start)));
  double copy = 0;
  measure(
      state, calls, [&] { copy = std::max(copy, measureCopy()); },
      [&] { call.forward(nullptr); });
  state.counters["copies"] = state.counters["ns"] * 1e-9 * copy /
                             double(call.inputBytes + call.outputBytes);
  state.counters["GB/s"] = copy * 1e-9;
}

int main(int argc, char **argv) {
  benchmark::Initialize(&argc, argv);
  const char *path = nullptr;
  for (int i = 1; i < argc; ++i) {
    std::string text = argv[i];
    auto value = [&](const char *name) -> const char * {
      size_t size = std::strlen(name);
      return text.compare(0, size, name) == 0 ? argv[i] + size : nullptr;
    };
    if (const char *number = value("--length="))
      length = std::atoll(number);
    else if (const char *number = value("--low="))
      low = float(std::atof(number));
    else if (const char *number = value("--high="))
      high = float(std::atof(number));
    else
      path = path ? "" : argv[i];
  }
  if (!path || !*path || *path == '-' || length < 1 || !(low <= high)) {
    std::fprintf(stderr,
                 "usage: layer_benchmark MODEL.so [--length=N] [--low=X] [--high=Y]\n");
    return 2;
  }
  module = openModule(path);
  tables = makeTables(module, length);
  // A number of samples, not a time: what is measured beside a short one is longer.
  for (auto [name, body] : {std::pair("prepare", &prepare), std::pair("forward", &forward)})
    benchmark::RegisterBenchmark(name, body)
        ->UseManualTime()
        ->Iterations(100)
        ->Unit(benchmark::kMillisecond);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
