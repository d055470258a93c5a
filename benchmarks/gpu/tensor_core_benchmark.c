/*===- tensor_core_benchmark.c - A product on tensor cores ----------------===*\
|*                                                                            *|
|*   tensor_core_benchmark product.cubin [M N K]                              *|
|*                                                                            *|
|* Runs the kernel of tensor_cores.py on random bf16 numbers, compares some   *|
|* of the results with sums in f64, and prints how long a launch takes and    *|
|* the error. Needs the CUDA driver, found at run time, and nothing else.     *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "device.h"

#include <math.h>

int main(int argc, char **argv) {
  if (argc != 2 && argc != 5) {
    fprintf(stderr, "usage: tensor_core_benchmark product.cubin [M N K]\n");
    return 2;
  }
  int m = argc > 2 ? atoi(argv[2]) : 8192, n = argc > 2 ? atoi(argv[3]) : 8192;
  int k = argc > 2 ? atoi(argv[4]) : 8192;
  int device;
  void *function = open_kernel(argv[1], "matmul", &device);
  unsigned bytes = 4 * (128 + 256) * 64 * 2;
  allow_shared(function, (int)bytes);
  uint64_t a = allocate((size_t)m * k * 2), b = allocate((size_t)n * k * 2);
  uint64_t c = allocate((size_t)m * n * 2);
  uint16_t *host_a = make_bf16((size_t)m * k);
  uint16_t *host_b = make_bf16((size_t)n * k);
  upload(a, host_a, (size_t)m * k * 2);
  upload(b, host_b, (size_t)n * k * 2);
  TensorMap map_a =
      make_map(a, 2, (uint64_t[]){k, m}, (uint32_t[]){64, 128});
  TensorMap map_b =
      make_map(b, 2, (uint64_t[]){k, n}, (uint32_t[]){64, 256});
  void *arguments[] = {&map_a, &map_b, &c, &m, &n, &k};
  Clock clock = make_clock();
  double best = 1e30;
  for (int sample = 0; sample < 12; ++sample) {
    int calls = sample ? 10 : 1;
    start(&clock);
    for (int i = 0; i < calls; ++i)
      launch(function, (unsigned)(m / 128 * (n / 256)), 384, bytes,
             clock.stream, arguments);
    double seconds = stop(&clock) / calls;
    if (sample && seconds < best)
      best = seconds;
  }
  uint16_t *host_c = malloc((size_t)m * n * 2);
  download(host_c, c, (size_t)m * n * 2);
  double error = 0, largest = 0;
  for (int sample = 0; sample < 4096; ++sample) {
    int64_t row = (int64_t)sample * 7919 % m;
    int64_t column = (int64_t)sample * 104729 % n;
    double sum = 0;
    for (int i = 0; i < k; ++i)
      sum += (double)from_bf16(host_a[row * k + i]) *
             from_bf16(host_b[column * k + i]);
    error = fmax(error, fabs(sum - from_bf16(host_c[row * n + column])));
    largest = fmax(largest, fabs(sum));
  }
  printf("%d x %d x %d: %.1f us, %.0f TFLOP/s, error %.2g of the largest\n", m,
         n, k, best * 1e6, 2e-12 * m * n * k / best, error / largest);
  return error / largest < 1e-2 ? 0 : 1;
}
