//===- matmul_benchmark.cpp - Products by packed weights ------------------===//
//
// Compares with OpenBLAS (single precision, weights [N, K], one thread; choose
// its kernels with OPENBLAS_CORETYPE). Counters: GFLOP/s, and the weights' bytes
// per second, which is what bounds products of few tokens.
//
//===----------------------------------------------------------------------===//

#include "MatmulKernel.h"
#include "Target/CPU/Target.h"
#include "benchmark/benchmark.h"
#include <cblas.h>

using namespace ssmc;
using namespace ssmc::test;

extern "C" void openblas_set_num_threads(int);

static cpu::KernelTarget hostTarget() {
  auto host = CPUTarget::get("", "native");
  if (failed(host))
    llvm::report_fatal_error("this machine has no code generator");
  cpu::KernelTarget target;
  target.vectorBits = host->vectorBits;
  target.vectorRegisters = host->vectorRegisters;
  return target;
}

namespace {
struct Operands {
  Operands(int64_t m, int64_t n, int64_t k, int64_t packedBytes)
      : x(m * k), y(m * n), weight(n * k), packed(packedBytes / 4 + 16) {
    uint32_t seed = 1;
    for (auto *v : {&x, &weight})
      for (float &e : *v) {
        seed = seed * 1664525u + 1013904223u;
        e = int32_t(seed) * 0x1p-32f;
      }
  }
  std::vector<float> x, y, weight, packed;
};
} // namespace

static void setCounters(benchmark::State &state, double flops, double bytes) {
  using benchmark::Counter;
  state.counters["GFLOP/s"] =
      Counter(flops * 1e-9, Counter::kIsIterationInvariantRate);
  state.counters["GB/s"] =
      Counter(bytes * 1e-9, Counter::kIsIterationInvariantRate);
}

static void packed(benchmark::State &state, const char *type) {
  int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  MatmulKernel kernel({n, k, "f32", type, "f32"}, hostTarget(),
                      /*withEpilogue=*/false);
  Operands o(m, n, k, kernel.getPackedBytes());
  kernel.pack(o.weight.data(), o.packed.data());
  for (auto _ : state)
    kernel.call(1, m, o.x.data(), k, o.packed.data(), o.y.data(), n);
  setCounters(state, 2.0 * m * n * k, kernel.getPackedBytes());
}

static void openBLAS(benchmark::State &state) {
  int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  openblas_set_num_threads(1);
  Operands o(m, n, k, 0);
  for (auto _ : state) {
    if (m == 1)
      cblas_sgemv(CblasRowMajor, CblasNoTrans, n, k, 1, o.weight.data(), k,
                  o.x.data(), 1, 0, o.y.data(), 1);
    else
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1,
                  o.x.data(), k, o.weight.data(), k, 0, o.y.data(), n);
  }
  setCounters(state, 2.0 * m * n * k, 4.0 * n * k);
}

static void shapes(benchmark::internal::Benchmark *b) {
  b->ArgNames({"M", "N", "K"})->Unit(benchmark::kMicrosecond);
  for (int64_t m : {1, 7, 512, 513})
    for (int64_t n : {80, 3072})
      for (int64_t k : {48, 768})
        b->Args({m, n, k});
  b->Args({1008, 1024, 1152});
  b->Args({512, 1024, 4096});
}

/// Weights beyond the caches.
static void largeVectorShapes(benchmark::internal::Benchmark *b) {
  b->ArgNames({"M", "N", "K"})->Unit(benchmark::kMicrosecond);
  for (int64_t m : {1, 4})
    b->Args({m, 16384, 768});
}

BENCHMARK_CAPTURE(packed, f32, "f32")->Apply(shapes);
BENCHMARK(openBLAS)->Apply(shapes);
BENCHMARK_CAPTURE(packed, f32, "f32")->Apply(largeVectorShapes);
BENCHMARK_CAPTURE(packed, bf16, "bf16")->Apply(largeVectorShapes);
BENCHMARK_CAPTURE(packed, f16, "f16")->Apply(largeVectorShapes);
BENCHMARK_CAPTURE(packed, bf16, "bf16")->Apply(shapes);
BENCHMARK(openBLAS)->Apply(largeVectorShapes);

BENCHMARK_MAIN();
