/*===- device.h - A GPU through its driver -----------------------*- C -*-===*\
|*                                                                            *|
|* What the programs here share: the CUDA driver's functions, found at run    *|
|* time; device memory; tensor maps and random numbers of bf16. A program     *|
|* ends where the driver fails.                                               *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SSMC_BENCHMARKS_GPU_DEVICE_H
#define SSMC_BENCHMARKS_GPU_DEVICE_H

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { _Alignas(64) uint64_t opaque[16]; } TensorMap;

static void *driver;

static void fail(const char *what, int status) {
  fprintf(stderr, "%s: CUDA status %d\n", what, status);
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

/* In [-1, 1). */
static float next_random(void) {
  static uint64_t seed = 1;
  seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
  return (float)(int32_t)(seed >> 32) * 0x1p-31f;
}

static uint64_t allocate(size_t bytes) {
  uint64_t pointer;
  CALL(cuMemAlloc_v2, (uint64_t *, size_t), &pointer, bytes);
  return pointer;
}

static void upload(uint64_t data, const void *numbers, size_t bytes) {
  CALL(cuMemcpyHtoD_v2, (uint64_t, const void *, size_t), data, numbers, bytes);
}

static void download(void *numbers, uint64_t data, size_t bytes) {
  CALL(cuMemcpyDtoH_v2, (void *, uint64_t, size_t), numbers, data, bytes);
}

/* Of bf16, extents from the innermost, in boxes `box` whose innermost extent is
 * 64 numbers: 128 bytes, swizzled in shared memory. */
static TensorMap make_map(uint64_t data, int rank, const uint64_t *extents,
                          const uint32_t *box) {
  TensorMap map;
  uint64_t strides[4], stride = 2;
  const uint32_t steps[4] = {1, 1, 1, 1};
  for (int i = 0; i + 1 < rank; ++i)
    strides[i] = stride *= extents[i];
  CALL(cuTensorMapEncodeTiled,
       (TensorMap *, int, uint32_t, uint64_t, const uint64_t *,
        const uint64_t *, const uint32_t *, const uint32_t *, int, int, int,
        int),
       &map, /*bf16*/ 9, rank, data, extents, strides, box, steps,
       /*no interleave*/ 0, /*128 bytes*/ 3, /*256 bytes of L2*/ 3, 0);
  return map;
}

static uint16_t *make_bf16(size_t count) {
  uint16_t *numbers = malloc(count * 2);
  for (size_t i = 0; i < count; ++i) {
    float value = next_random();
    uint32_t bits;
    memcpy(&bits, &value, 4);
    numbers[i] = (uint16_t)(bits >> 16);
  }
  return numbers;
}

/* The driver, the first device's primary context, and the kernel of a cubin. */
static void *open_kernel(const char *cubin, const char *name, int *device) {
  void *context, *module, *function;
  driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (!driver)
    fail("libcuda.so.1", -1);
  CALL(cuInit, (unsigned), 0);
  CALL(cuDeviceGet, (int *, int), device, 0);
  CALL(cuDevicePrimaryCtxRetain, (void **, int), &context, *device);
  CALL(cuCtxSetCurrent, (void *), context);
  CALL(cuModuleLoad, (void **, const char *), &module, cubin);
  CALL(cuModuleGetFunction, (void **, void *, const char *), &function, module,
       name);
  return function;
}

static void allow_shared(void *function, int bytes) {
  CALL(cuFuncSetAttribute, (void *, int, int), function,
       /*dynamic shared memory at most*/ 8, bytes);
}

static void launch(void *function, unsigned blocks, unsigned threads,
                   unsigned shared_bytes, void *stream, void **arguments) {
  CALL(cuLaunchKernel,
       (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
        unsigned, void *, void **, void **),
       function, blocks, 1, 1, threads, 1, 1, shared_bytes, stream, arguments,
       NULL);
}

/* A stream with two events that time what is queued in between. */
typedef struct { void *stream, *events[2]; } Clock;

static Clock make_clock(void) {
  Clock clock;
  CALL(cuStreamCreate, (void **, unsigned), &clock.stream, 1);
  for (int i = 0; i < 2; ++i)
    CALL(cuEventCreate, (void **, unsigned), &clock.events[i], 0);
  return clock;
}

static void start(const Clock *clock) {
  CALL(cuEventRecord, (void *, void *), clock->events[0], clock->stream);
}

/* Seconds since `start`, once all that was queued is done. */
static double stop(const Clock *clock) {
  float milliseconds;
  CALL(cuEventRecord, (void *, void *), clock->events[1], clock->stream);
  CALL(cuEventSynchronize, (void *), clock->events[1]);
  CALL(cuEventElapsedTime, (float *, void *, void *), &milliseconds,
       clock->events[0], clock->events[1]);
  return milliseconds * 1e-3;
}

#endif /* SSMC_BENCHMARKS_GPU_DEVICE_H */
