//===- longconv_benchmark.cpp - Long convolutions, beside FFTW ------------===//
//
//   longconv_benchmark MODEL.so [options of Google Benchmark]
//
// The model is long_convolution.ssm. FFTW convolves row by row, with plans that
// it measured, the transform of the kernel ready, and rows that lie as it likes
// them: a sequence is contiguous there, channels are here. Every sample of one
// stands beside one of the other, in the thread's own time; counters relate the
// best of both.
//
//===----------------------------------------------------------------------===//

#include "benchmark/benchmark.h"
#include "compiled.h"

#include <fftw3.h>

#include <optional>
#include <cmath>
#include <ctime>


using namespace ssmc::benchmarks;

static const ssmrt_module *module;
static int64_t channels;

static double now() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

namespace {
/// The compiled layer for one length.
struct Compiled {
  explicit Compiled(int64_t length) {
    std::uniform_real_distribution<float> draw(0.0001f, 0.01f);
    std::mt19937 random(1);
    ssmrt_tensor tensors[2] = {};
    for (int64_t i = 0; i < 2; ++i) {
      for (int64_t h = 0; h < channels; ++h)
        weights[i].push_back(draw(random));
      tensors[i].dtype = module->weights[i].dtype;
      tensors[i].device.device_type = 1;
      tensors[i].ndim = 1;
      tensors[i].shape = &channels;
      tensors[i].data = weights[i].data();
    }
    prepared = allocate(ssmrt_prepared_bytes(module, length));
    Block scratch = allocate(ssmrt_prepare_workspace_bytes(module, length));
    check(ssmrt_prepare(module, nullptr, tensors, 2, prepared.get(), length,
                        scratch.get()),
          "prepare");
    call.emplace(module, nullptr, prepared.get(), length, -1.0f, 1.0f);
  }

  std::vector<float> weights[2];
  Block prepared;
  std::optional<Call> call;
};

/// The same by FFTW, channel by channel.
class Rows {
public:
  Rows(int64_t length, const float *tokens, const std::vector<float> &rate,
       const std::vector<float> &skip)
      : length(length), bins(length + 1), skip(skip), input(channels * length),
        output(channels * length), kernels(channels * bins) {
    signal = fftwf_alloc_real(2 * length);
    spectrum = fftwf_alloc_complex(bins);
    forward = fftwf_plan_dft_r2c_1d(int(2 * length), signal, spectrum, FFTW_MEASURE);
    backward = fftwf_plan_dft_c2r_1d(int(2 * length), spectrum, signal, FFTW_MEASURE);
    for (int64_t h = 0; h < channels; ++h) {
      for (int64_t t = 0; t < length; ++t) {
        input[h * length + t] = tokens[t * channels + h];
        signal[t] = std::exp(-rate[h] * float(t)) * float(std::cos(0.1 * double(t))) /
                    float(2 * length);
      }
      std::fill(signal + length, signal + 2 * length, 0.0f);
      fftwf_execute(forward);
      std::memcpy(&kernels[h * bins], spectrum, size_t(bins) * sizeof(fftwf_complex));
    }
  }
  ~Rows() {
    fftwf_destroy_plan(forward);
    fftwf_destroy_plan(backward);
    fftwf_free(signal);
    fftwf_free(spectrum);
  }
  Rows(const Rows &) = delete;
  Rows &operator=(const Rows &) = delete;

  void run() {
    for (int64_t h = 0; h < channels; ++h) {
      const float *in = &input[h * length];
      std::memcpy(signal, in, size_t(length) * sizeof(float));
      std::fill(signal + length, signal + 2 * length, 0.0f);
      fftwf_execute(forward);
      const Bin *k = &kernels[h * bins];
      for (int64_t i = 0; i < bins; ++i) {
        float re = spectrum[i][0] * k[i].re - spectrum[i][1] * k[i].im;
        spectrum[i][1] = spectrum[i][0] * k[i].im + spectrum[i][1] * k[i].re;
        spectrum[i][0] = re;
      }
      fftwf_execute(backward);
      float *out = &output[h * length];
      for (int64_t t = 0; t < length; ++t)
        out[t] = signal[t] + skip[h] * in[t];
    }
  }

  struct Bin {
    float re, im;
  };
  int64_t length, bins;
  std::vector<float> skip, input, output;
  std::vector<Bin> kernels;
  float *signal;
  fftwf_complex *spectrum;
  fftwf_plan forward, backward;
};
} // namespace

static void longConvolution(benchmark::State &state) {
  int64_t length = state.range(0);
  Compiled compiled(length);
  Rows rows(length, compiled.call->input<float>(0), compiled.weights[0],
            compiled.weights[1]);
  compiled.call->forward(nullptr);
  rows.run();
  double square = 0, difference = 0;
  for (int64_t t = 0; t < length; ++t)
    for (int64_t h = 0; h < channels; ++h) {
      double wanted = rows.output[h * length + t];
      double found = compiled.call->output<float>(0)[t * channels + h];
      square += wanted * wanted;
      difference += (wanted - found) * (wanted - found);
    }
  double best = 1e30, other = 1e30;
  for (auto _ : state) {
    double start = now();
    compiled.call->forward(nullptr);
    double seconds = now() - start;
    state.SetIterationTime(seconds);
    best = std::min(best, seconds);
    start = now();
    rows.run();
    other = std::min(other, now() - start);
  }
  double samples = double(length * channels) * 1e-9;
  state.counters["ns"] = best / samples;
  state.counters["fftw_ns"] = other / samples;
  state.counters["times"] = other / best;
  state.counters["difference"] = std::sqrt(difference / square);
}
BENCHMARK(longConvolution)
    ->ArgName("L")
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Arg(1 << 10)
    ->Arg(1 << 11)
    ->Arg(1 << 12)
    ->Arg(1 << 13)
    ->Arg(10240)
    ->Arg(1 << 14)
    ->Arg(1 << 15)
    ->Arg(1 << 16)
    ->Arg(1 << 17);

int main(int argc, char **argv) {
  benchmark::Initialize(&argc, argv);
  void *library = nullptr;
  if (argc != 2) {
    std::fprintf(stderr, "usage: longconv_benchmark MODEL.so\n");
    return 2;
  }
  check(ssmrt_library_open(argv[1], &library), "open");
  check(ssmrt_library_module(library, nullptr, &module), "module");
  if (module->num_weights != 2 || module->num_inputs != 1 || module->num_outputs != 1) {
    std::fprintf(stderr, "longconv_benchmark: %s is not long_convolution.ssm\n", argv[1]);
    return 1;
  }
  channels = module->weights[0].shape[0];
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
