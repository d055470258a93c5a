/*===- FakeCUDADriver.h - What tests ask of the fake driver ------*- C -*-===*\
|*                                                                            *|
|* A shared object with the driver's functions over host memory. A test opens *|
|* it, too, and finds these functions in it.                                  *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SSMRT_UNIT_FAKECUDADRIVER_H
#define SSMRT_UNIT_FAKECUDADRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One launch as the driver saw it. */
typedef struct fake_launch {
  const char *kernel;
  unsigned grid[3], block[3], shared_bytes;
  void *stream;
  int device;
} fake_launch;

/* A kernel as a function of the whole grid; what a block does is up to it. */
typedef void (*fake_kernel)(const fake_launch *launch, void **arguments);

typedef struct fake_cuda {
  /* Forgets launches, failures and kernels; two devices of sm_90 again. Memory
   * and streams stay. */
  void (*reset)(void);
  /* Known to every module that is loaded from then on, and no other; without a
   * call of this any name is a kernel that does nothing. `arguments` of 8 bytes,
   * `max_threads` of a block, `shared_bytes` of its own. */
  void (*add_kernel)(const char *name, int arguments, fake_kernel kernel,
                     int max_threads, int shared_bytes);
  /* The call of a function after `skip` others gives `result`, once. */
  void (*fail)(const char *function, int result, int skip);
  void (*set_device)(int device, int arch);
  void (*set_count)(int devices);
  /* What cuModuleLoadDataEx writes into its log. */
  void (*set_log)(const char *text);
  /* Whether modules have the variable that says that their kernels overlap. */
  void (*set_overlaps)(bool overlaps);

  int (*launches)(void);
  const fake_launch *(*launch)(int index);
  int (*calls)(const char *function);
  /* Device allocations, modules, contexts that are alive. */
  int (*live_memory)(void);
  int (*live_modules)(void);
  int (*live_contexts)(void);
  int64_t (*granted_shared_bytes)(const char *kernel);
  /* The first bytes of the image that was loaded last. */
  const char *(*last_image)(void);

  void *(*make_stream)(int device);
  /* Launches, copies and fills of a stream are kept instead of done; what a
   * capture forbids fails. */
  void (*begin_capture)(void *stream);
  void (*end_capture)(void *stream);
  void (*replay)(void *stream);
} fake_cuda;

const fake_cuda *fake_cuda_functions(void);

#ifdef __cplusplus
}
#endif

#endif /* SSMRT_UNIT_FAKECUDADRIVER_H */
