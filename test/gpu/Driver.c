/*===- Driver.c - Streams and events of CUDA ------------------------------===*/

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "Driver.h"

#include "CUDADriver.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NEEDED(F) SSMRT_CUDA_FUNCTIONS(F) SSMRT_CUDA_MEASURING_FUNCTIONS(F)

static struct {
#define MEMBER(NAME, SYMBOL, PARAMETERS) CUresult(*NAME) PARAMETERS;
  NEEDED(MEMBER)
#undef MEMBER
} driver;

static void check(CUresult result, const char *what) {
  if (result == 0)
    return;
  const char *name = NULL;
  driver.cuGetErrorName(result, &name);
  char message[256];
  snprintf(message, sizeof(message), "%s: %s (%d)", what,
           name ? name : "unknown", result);
  fail(message);
}
#define CHECK(NAME, ...) check(driver.NAME(__VA_ARGS__), #NAME)

static void load(void) {
  const char *path = getenv("SSMRT_CUDA_DRIVER");
  void *library = dlopen(path && *path ? path : "libcuda.so.1", RTLD_NOW);
  if (!library)
    fail(dlerror());
  static const char *const symbols[] = {
#define SYMBOL_NAME(NAME, SYMBOL, PARAMETERS) SYMBOL,
      NEEDED(SYMBOL_NAME)
#undef SYMBOL_NAME
  };
  enum { Count = sizeof(symbols) / sizeof(symbols[0]) };
  void *addresses[Count];
  for (int i = 0; i < Count; ++i) {
    addresses[i] = dlsym(library, symbols[i]);
    if (!addresses[i])
      fail(symbols[i]);
  }
  memcpy(&driver, addresses, sizeof(driver));
}

void *open_stream(int device) {
  load();
  CUdevice handle;
  CUcontext context;
  CUstream stream;
  CHECK(cuInit, 0);
  CHECK(cuDeviceGet, &handle, device);
  CHECK(cuDevicePrimaryCtxRetain, &context, handle);
  CHECK(cuCtxSetCurrent, context);
  CHECK(cuStreamCreate, &stream, /*non-blocking*/ 1);
  return stream;
}

void *mark(void *stream) {
  CUevent event;
  CHECK(cuEventCreate, &event, 0);
  CHECK(cuEventRecord, event, stream);
  return event;
}

double seconds_between(void *begin, void *end) {
  float milliseconds;
  CHECK(cuEventSynchronize, end);
  CHECK(cuEventElapsedTime, &milliseconds, begin, end);
  CHECK(cuEventDestroy, begin);
  CHECK(cuEventDestroy, end);
  return milliseconds * 1e-3;
}

double measure_copy(void *stream, size_t bytes) {
  CUdeviceptr from, to;
  while (bytes > 1 << 20 && driver.cuMemAlloc(&from, 2 * bytes) != CUDA_SUCCESS)
    bytes /= 2;
  if (bytes > 1 << 20)
    CHECK(cuMemFree, from);
  CHECK(cuMemAlloc, &from, bytes);
  CHECK(cuMemAlloc, &to, bytes);
  CHECK(cuMemsetD8Async, from, 1, bytes, stream);
  double best = 0;
  for (int i = 0; i < 6; ++i) {
    void *begin = mark(stream);
    CHECK(cuMemcpyDtoDAsync, to, from, bytes, stream);
    double rate = 2 * (double)bytes / seconds_between(begin, mark(stream));
    if (i > 0 && rate > best) /* the first one warms up */
      best = rate;
  }
  CHECK(cuMemFree, from);
  CHECK(cuMemFree, to);
  return best;
}

double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}
