/*===- tensor_core_benchmark.c - A product on tensor cores ----------------===*\
|*                                                                            *|
|*   tensor_core_benchmark product.cubin [M N K]                              *|
|*                                                                            *|
|* Runs the kernel of tensor_cores.py on random bf16 numbers, compares some   *|
|* of the results with sums in f64, and prints how long a launch takes and    *|
|* the error. Needs the CUDA driver, found at run time, and nothing else.     *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { _Alignas(64) uint64_t opaque[16]; } TensorMap;

static void *driver;

static void fail(const char *what, int status) {
  fprintf(stderr, "tensor_core_benchmark: %s: CUDA status %d\n", what, status);
  exit(1);
}

static void *find(const char *name) {
  void *function = dlsym(driver, name);
  if (!function)
    fail(name, -1);
  return function;
}

#define CALL(NAME, TYPES, ...)                                                 \
  do {                                                                         \
    int status = ((int(*) TYPES)find(#NAME))(__VA_ARGS__);                     \
    if (status)                                                                \
      fail(#NAME, status);                                                     \
  } while (0)

static float from_bf16(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, 4);
  return value;
}

static uint64_t allocate(size_t bytes) {
  uint64_t pointer;
  CALL(cuMemAlloc_v2, (uint64_t *, size_t), &pointer, bytes);
  return pointer;
}

/* Of a matrix of bf16, C order: tiles of `box_rows` rows of 64 columns, whose
 * 128 bytes are swizzled in shared memory. */
static TensorMap make_map(uint64_t data, uint64_t rows, uint64_t columns,
                          uint32_t box_rows) {
  TensorMap map;
  uint64_t extents[2] = {columns, rows}, strides[1] = {columns * 2};
  uint32_t box[2] = {64, box_rows}, steps[2] = {1, 1};
  CALL(cuTensorMapEncodeTiled,
       (TensorMap *, int, uint32_t, uint64_t, const uint64_t *,
        const uint64_t *, const uint32_t *, const uint32_t *, int, int, int,
        int),
       &map, /*bf16*/ 9, 2, data, extents, strides, box, steps,
       /*no interleave*/ 0, /*128 bytes*/ 3, /*256 bytes of L2*/ 3, 0);
  return map;
}

static uint16_t *make_random(size_t count, uint64_t data) {
  uint16_t *numbers = malloc(count * 2);
  static uint64_t seed = 1;
  for (size_t i = 0; i < count; ++i) {
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    float value = (float)(int32_t)(seed >> 32) * 0x1p-31f;
    uint32_t bits;
    memcpy(&bits, &value, 4);
    numbers[i] = (uint16_t)(bits >> 16);
  }
  CALL(cuMemcpyHtoD_v2, (uint64_t, const void *, size_t), data, numbers,
       count * 2);
  return numbers;
}

int main(int argc, char **argv) {
  if (argc != 2 && argc != 5) {
    fprintf(stderr, "usage: tensor_core_benchmark product.cubin [M N K]\n");
    return 2;
  }
  int m = argc > 2 ? atoi(argv[2]) : 8192, n = argc > 2 ? atoi(argv[3]) : 8192;
  int k = argc > 2 ? atoi(argv[4]) : 8192;
  driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (!driver)
    fail("libcuda.so.1", -1);
  int device;
  void *context, *module, *function, *stream, *events[2];
  CALL(cuInit, (unsigned), 0);
  CALL(cuDeviceGet, (int *, int), &device, 0);
  CALL(cuDevicePrimaryCtxRetain, (void **, int), &context, device);
  CALL(cuCtxSetCurrent, (void *), context);
  CALL(cuModuleLoad, (void **, const char *), &module, argv[1]);
  CALL(cuModuleGetFunction, (void **, void *, const char *), &function, module,
       "matmul");
  unsigned bytes = 4 * (128 + 256) * 64 * 2;
  CALL(cuFuncSetAttribute, (void *, int, int), function,
       /*dynamic shared memory at most*/ 8, (int)bytes);
  uint64_t a = allocate((size_t)m * k * 2), b = allocate((size_t)n * k * 2);
  uint64_t c = allocate((size_t)m * n * 2);
  uint16_t *host_a = make_random((size_t)m * k, a);
  uint16_t *host_b = make_random((size_t)n * k, b);
  TensorMap map_a = make_map(a, m, k, 128), map_b = make_map(b, n, k, 256);
  void *arguments[] = {&map_a, &map_b, &c, &m, &n, &k};
  CALL(cuStreamCreate, (void **, unsigned), &stream, 1);
  for (int i = 0; i < 2; ++i)
    CALL(cuEventCreate, (void **, unsigned), &events[i], 0);
  double best = 1e30;
  for (int sample = 0; sample < 12; ++sample) {
    int calls = sample ? 10 : 1;
    CALL(cuEventRecord, (void *, void *), events[0], stream);
    for (int i = 0; i < calls; ++i)
      CALL(cuLaunchKernel,
           (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
            unsigned, void *, void **, void **),
           function, (unsigned)(m / 128 * (n / 256)), 1, 1, 384, 1, 1, bytes,
           stream, arguments, NULL);
    CALL(cuEventRecord, (void *, void *), events[1], stream);
    CALL(cuEventSynchronize, (void *), events[1]);
    float milliseconds;
    CALL(cuEventElapsedTime, (float *, void *, void *), &milliseconds,
         events[0], events[1]);
    if (sample && milliseconds / calls * 1e-3 < best)
      best = milliseconds / calls * 1e-3;
  }
  uint16_t *host_c = malloc((size_t)m * n * 2);
  CALL(cuMemcpyDtoH_v2, (void *, uint64_t, size_t), host_c, c,
       (size_t)m * n * 2);
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
