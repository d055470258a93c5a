//===- longconv_benchmark.cpp - Long convolutions, beside FFTW ------------===//
//
//   longconv_benchmark MODEL.so [options of Google Benchmark]
//
// The model is long_convolution.ssm with its weights (--embed-weights). FFTW convolves row by row, with plans that
// it measured, the transform of the kernel ready, and rows that lie as it likes
// them: a sequence is contiguous there, channels are here. Every sample of one
// stands beside one of the other, in the thread's own time; counters relate the
// best of both.
//
//===----------------------------------------------------------------------===//

#include "benchmark/benchmark.h"
#include "compiled.h"
#include "reference_loops.h"

#include <fftw3.h>

#include <cmath>

using namespace ssmc::benchmarks;

static const ssmrt_module *module;
static int64_t channels;

/// Of the artefact, by channel: rate and skip.
static const float *weight(int number) {
  return static_cast<const float *>(module->embedded_weights[number].data);
}

namespace {
/// The same by FFTW, channel by channel.
class Rows {
public:
  Rows(int64_t length, const float *tokens)
      : length(length), bins(length + 1), skip(weight(1)), input(channels * length),
        output(channels * length), kernels(channels * bins) {
    const float *rate = weight(0);
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
  const float *skip;
  std::vector<float> input, output;
  std::vector<Bin> kernels;
  float *signal;
  fftwf_complex *spectrum;
  fftwf_plan forward, backward;
};
} // namespace

static void longConvolution(benchmark::State &state) {
  int64_t length = state.range(0);
  Block tables = makeTables(module, length);
  Call call(module, nullptr, tables.get(), length, -1, 1);
  Rows rows(length, call.input<float>(0));
  call.forward(nullptr);
  rows.run();
  double square = 0, difference = 0;
  for (int64_t t = 0; t < length; ++t)
    for (int64_t h = 0; h < channels; ++h) {
      double wanted = rows.output[h * length + t];
      double found = call.output<float>(0)[t * channels + h];
      square += wanted * wanted;
      difference += (wanted - found) * (wanted - found);
    }
  double best = 1e30, other = 1e30;
  for (auto _ : state) {
    double start = getThreadTime();
    call.forward(nullptr);
    double seconds = getThreadTime() - start;
    state.SetIterationTime(seconds);
    best = std::min(best, seconds);
    start = getThreadTime();
    rows.run();
    other = std::min(other, getThreadTime() - start);
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
  if (argc != 2) {
    std::fprintf(stderr, "usage: longconv_benchmark MODEL.so\n");
    return 2;
  }
  module = openModule(argv[1]);
  if (module->num_weights != 2 || !module->embedded_weights || module->num_inputs != 1 ||
      module->num_outputs != 1) {
    std::fprintf(stderr,
                 "longconv_benchmark: %s is not long_convolution.ssm with its weights\n",
                 argv[1]);
    return 1;
  }
  channels = module->weights[0].shape[0];
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
