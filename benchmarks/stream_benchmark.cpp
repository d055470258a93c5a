//===- stream_benchmark.cpp - A long convolution, token by token ----------===//
//
//   stream_benchmark MODEL.so [options of Google Benchmark]
//
// The model is long_convolution.ssm, or another layer with its weights (--embed-weights)
// and one input and output of a row a token. `step` runs tokens one by one after L tokens,
// `continued` a call of 256 tokens there. Every token is measured several times,
// each time from the same state: counters give the mean over tokens of the best
// time, and the longest one, in the thread's own time.
//
//===----------------------------------------------------------------------===//

#include "benchmark/benchmark.h"
#include "compiled.h"
#include "reference_loops.h"

using namespace ssmc::benchmarks;

static const ssmrt_module *module;
static int64_t channels;

static ssmrt_tensor view(void *data, int64_t *shape) {
  ssmrt_tensor tensor = {};
  tensor.data = data;
  tensor.device.device_type = 1;
  tensor.ndim = 3;
  tensor.dtype = module->inputs[0].dtype;
  tensor.shape = shape;
  return tensor;
}

namespace {
/// The layer after a first call.
class Stream {
public:
  Stream(int64_t before, int64_t after)
      : longest(before + after), tokens(size_t(longest * channels)),
        outputs(size_t(longest * channels)) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float &token : tokens)
      token = normal(random);
    prepared = makeTables(module, longest);
    workspace = allocate(ssmrt_workspace_bytes(module, 1, longest));
    for (Block *block : {&state, &start})
      *block = allocate(ssmrt_state_bytes(module, 1, longest));
    check(ssmrt_state_reset(module, state.get(), 1, longest), "reset");
    run(0, before, /*isStep=*/false);
    run(before, 1, /*isStep=*/true); // what a long call leaves to the next one
    check(ssmrt_state_copy(module, start.get(), state.get()), "copy");
  }

  void restart() { check(ssmrt_state_copy(module, state.get(), start.get()), "copy"); }

  /// Seconds of a call.
  double run(int64_t first, int64_t count, bool isStep) {
    int64_t shape[3] = {1, count, channels};
    ssmrt_tensor in = view(&tokens[size_t(first * channels)], shape);
    ssmrt_tensor out = view(&outputs[size_t(first * channels)], shape);
    double begin = getThreadTime();
    check((isStep ? ssmrt_step : ssmrt_forward)(module, nullptr, prepared.get(), &in, 1,
                                                &out, 1, state.get(), workspace.get()),
          "call");
    return getThreadTime() - begin;
  }

private:
  int64_t longest;
  std::vector<float> tokens, outputs;
  Block prepared, workspace, state, start;
};
} // namespace

static void step(benchmark::State &state) {
  int64_t before = state.range(0), count = 1024;
  Stream stream(before, count + 1);
  std::vector<double> best(size_t(count), 1e30);
  for (auto _ : state) {
    stream.restart();
    double total = 0;
    for (int64_t i = 0; i < count; ++i) {
      double seconds = stream.run(before + 1 + i, 1, /*isStep=*/true);
      best[size_t(i)] = std::min(best[size_t(i)], seconds);
      total += seconds;
    }
    state.SetIterationTime(total);
  }
  double sum = 0;
  for (double seconds : best)
    sum += seconds;
  state.counters["mean_us"] = 1e6 * sum / double(count);
  state.counters["longest_us"] = 1e6 * *std::max_element(best.begin(), best.end());
}

static void continued(benchmark::State &state) {
  int64_t before = state.range(0), count = 256;
  Stream stream(before, count + 1);
  double best = 1e30;
  for (auto _ : state) {
    stream.restart();
    double seconds = stream.run(before + 1, count, /*isStep=*/false);
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["mean_us"] = 1e6 * best / double(count);
}

BENCHMARK(step)->ArgName("L")->UseManualTime()->Arg(1 << 8)->Arg(1 << 10)->Arg(1 << 12)->Arg(1 << 14)->Arg(1 << 16);
BENCHMARK(continued)->ArgName("L")->UseManualTime()->Arg(1 << 10)->Arg(1 << 12)->Arg(1 << 14)->Arg(1 << 16);

int main(int argc, char **argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 2) {
    std::fprintf(stderr, "usage: stream_benchmark MODEL.so\n");
    return 2;
  }
  module = openModule(argv[1]);
  auto isRows = [](const ssmrt_value_info &info) {
    return info.ndim == 3 && info.dtype.code == SSMRT_FLOAT && info.dtype.bits == 32;
  };
  if (module->num_inputs != 1 || module->num_outputs != 1 || !module->step ||
      !isRows(module->inputs[0]) || !isRows(module->outputs[0]) ||
      module->inputs[0].shape[2] != module->outputs[0].shape[2]) {
    std::fprintf(stderr, "stream_benchmark: %s: wanted one input and one output of f32, "
                         "[batch, length, channels], and a step\n", argv[1]);
    return 1;
  }
  channels = module->inputs[0].shape[2];
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
