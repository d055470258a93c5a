/*===- Driver.c - Streams, graphs and events of CUDA ----------------------===*/

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "Driver.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* F(name, symbol, parameters) of the driver's functions; handles are pointers,
 * device memory is a number. */
#define FUNCTIONS(F)                                                           \
  F(getErrorName, "cuGetErrorName", (int result, const char **text))           \
  F(init, "cuInit", (unsigned flags))                                          \
  F(deviceGet, "cuDeviceGet", (int *device, int ordinal))                      \
  F(contextRetain, "cuDevicePrimaryCtxRetain", (void **context, int device))   \
  F(contextSet, "cuCtxSetCurrent", (void *context))                            \
  F(streamCreate, "cuStreamCreate", (void **stream, unsigned flags))           \
  F(streamDestroy, "cuStreamDestroy_v2", (void *stream))                       \
  F(streamSynchronize, "cuStreamSynchronize", (void *stream))                  \
  F(beginCapture, "cuStreamBeginCapture_v2", (void *stream, int mode))         \
  F(endCapture, "cuStreamEndCapture", (void *stream, void **graph))            \
  F(instantiate, "cuGraphInstantiateWithFlags",                                \
    (void **executable, void *graph, unsigned long long flags))                \
  F(graphDestroy, "cuGraphDestroy", (void *graph))                             \
  F(executableDestroy, "cuGraphExecDestroy", (void *executable))               \
  F(graphLaunch, "cuGraphLaunch", (void *executable, void *stream))            \
  F(eventCreate, "cuEventCreate", (void **event, unsigned flags))              \
  F(eventDestroy, "cuEventDestroy_v2", (void *event))                          \
  F(eventRecord, "cuEventRecord", (void *event, void *stream))                 \
  F(eventSynchronize, "cuEventSynchronize", (void *event))                     \
  F(eventElapsedTime, "cuEventElapsedTime",                                    \
    (float *milliseconds, void *begin, void *end))                             \
  F(memAlloc, "cuMemAlloc_v2", (uint64_t * memory, size_t bytes))              \
  F(memFree, "cuMemFree_v2", (uint64_t memory))                                \
  F(memSet, "cuMemsetD8Async",                                                 \
    (uint64_t memory, unsigned char value, size_t bytes, void *stream))        \
  F(memCopy, "cuMemcpyDtoDAsync_v2",                                           \
    (uint64_t to, uint64_t from, size_t bytes, void *stream))

static struct {
#define MEMBER(NAME, SYMBOL, PARAMETERS) int(*NAME) PARAMETERS;
  FUNCTIONS(MEMBER)
#undef MEMBER
} driver;

static void check(int result, const char *what) {
  if (result == 0)
    return;
  const char *name = NULL;
  driver.getErrorName(result, &name);
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
      FUNCTIONS(SYMBOL_NAME)
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
  int handle;
  void *context, *stream;
  CHECK(init, 0);
  CHECK(deviceGet, &handle, device);
  CHECK(contextRetain, &context, handle);
  CHECK(contextSet, context);
  CHECK(streamCreate, &stream, /*non-blocking*/ 1);
  return stream;
}

void close_stream(void *stream) { CHECK(streamDestroy, stream); }

void begin_capture(void *stream) {
  CHECK(beginCapture, stream, /*thread local*/ 1);
}

void *end_capture(void *stream) {
  void *graph, *executable;
  CHECK(endCapture, stream, &graph);
  CHECK(instantiate, &executable, graph, 0);
  CHECK(graphDestroy, graph);
  return executable;
}

void free_graph(void *graph) { CHECK(executableDestroy, graph); }

/* Seconds between two points of the stream. */
static double elapsed(void *begin, void *end) {
  float milliseconds;
  CHECK(eventSynchronize, end);
  CHECK(eventElapsedTime, &milliseconds, begin, end);
  CHECK(eventDestroy, begin);
  CHECK(eventDestroy, end);
  return milliseconds * 1e-3;
}

double time_replays(void *stream, void *graph, int count) {
  void *begin, *end;
  CHECK(eventCreate, &begin, 0);
  CHECK(eventCreate, &end, 0);
  CHECK(eventRecord, begin, stream);
  for (int i = 0; i < count; ++i)
    CHECK(graphLaunch, graph, stream);
  CHECK(eventRecord, end, stream);
  return elapsed(begin, end);
}

double measure_copy(void *stream, size_t bytes) {
  uint64_t from, to;
  while (bytes > 1 << 20 && driver.memAlloc(&from, 2 * bytes) != 0)
    bytes /= 2;
  if (bytes > 1 << 20)
    CHECK(memFree, from);
  CHECK(memAlloc, &from, bytes);
  CHECK(memAlloc, &to, bytes);
  CHECK(memSet, from, 1, bytes, stream);
  double best = 0;
  for (int i = 0; i < 6; ++i) {
    void *begin, *end;
    CHECK(eventCreate, &begin, 0);
    CHECK(eventCreate, &end, 0);
    CHECK(eventRecord, begin, stream);
    CHECK(memCopy, to, from, bytes, stream);
    CHECK(eventRecord, end, stream);
    double rate = 2 * (double)bytes / elapsed(begin, end);
    if (i > 0 && rate > best) /* the first one warms up */
      best = rate;
  }
  CHECK(memFree, from);
  CHECK(memFree, to);
  return best;
}

double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}
