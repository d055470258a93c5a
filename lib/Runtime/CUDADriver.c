/*===- CUDADriver.c - The CUDA driver, found at run time ------------------===*\
|*                                                                            *|
|* Loaded by the first call for a GPU. A failure is not remembered: the next  *|
|* call tries again.                                                          *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "CUDA.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/*===----------------------------------------------------------------------===*\
|* Errors                                                                     *|
\*===----------------------------------------------------------------------===*/

static ssmrt_status statusOf(CUresult result) {
  switch (result) {
  case CUDA_ERROR_OUT_OF_MEMORY:
    return SSMRT_NO_MEMORY;
  case CUDA_ERROR_NO_DEVICE:
  case CUDA_ERROR_NO_BINARY_FOR_GPU:
    return SSMRT_NO_DEVICE;
  case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
    return SSMRT_BAD_VERSION;
  default:
    return SSMRT_DEVICE_FAILED;
  }
}

ssmrt_status ssmrtFailCuda(const ssmrtCudaDriver *driver, CUresult result,
                           const char *format, ...) {
  char what[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(what, sizeof(what), format, arguments);
  va_end(arguments);
  const char *name = NULL, *text = NULL;
  if (driver->cuGetErrorName(result, &name) != CUDA_SUCCESS || !name)
    name = "an error that the driver does not name";
  if (driver->cuGetErrorString(result, &text) != CUDA_SUCCESS || !text)
    text = "no text";
  return ssmrtFail(statusOf(result), "%s: %s (%d): %s", what, name, result,
                   text);
}

/*===----------------------------------------------------------------------===*\
|* Loading                                                                    *|
\*===----------------------------------------------------------------------===*/

static ssmrt_status openDriver(ssmrtCudaDriver *driver) {
  const char *path = getenv("SSMRT_CUDA_DRIVER");
  if (!path || !*path)
    path = "libcuda.so.1";
  dlerror();
  /* Never closed: the driver has threads of its own. */
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *reason = dlerror();
    return ssmrtFail(SSMRT_NO_DEVICE,
                     "no CUDA driver: %s; wanted NVIDIA's driver, which has "
                     "libcuda.so.1",
                     reason ? reason : path);
  }
  static const char *const symbols[] = {
#define SSMRT_SYMBOL(NAME, SYMBOL, PARAMETERS) SYMBOL,
      SSMRT_CUDA_FUNCTIONS(SSMRT_SYMBOL)
      SSMRT_CUDA_OPTIONAL_FUNCTIONS(SSMRT_SYMBOL)
#undef SSMRT_SYMBOL
  };
#define SSMRT_ONE(NAME, SYMBOL, PARAMETERS) +1
  enum {
    NumSymbols = sizeof(symbols) / sizeof(symbols[0]),
    NumNeeded = SSMRT_CUDA_FUNCTIONS(SSMRT_ONE)
  };
#undef SSMRT_ONE
  void *addresses[NumSymbols];
  for (int i = 0; i < NumSymbols; ++i) {
    addresses[i] = dlsym(library, symbols[i]);
    if (!addresses[i] && i < NumNeeded)
      return ssmrtFail(SSMRT_NO_DEVICE,
                       "the CUDA driver %s has no function '%s'; wanted a "
                       "driver for CUDA 11 or later",
                       path, symbols[i]);
  }
  _Static_assert(sizeof(*driver) == sizeof(addresses),
                 "one pointer a function");
  memcpy(driver, addresses, sizeof(*driver));
  CUresult result = driver->cuInit(0);
  if (result == CUDA_ERROR_NO_DEVICE)
    return ssmrtFail(SSMRT_NO_DEVICE, "the CUDA driver %s finds no GPU", path);
  if (result != CUDA_SUCCESS) {
    ssmrtFailCuda(driver, result, "the CUDA driver %s does not start", path);
    return SSMRT_NO_DEVICE;
  }
  return SSMRT_OK;
}

ssmrt_status ssmrtGetCudaDriver(const ssmrtCudaDriver **driver) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static ssmrtCudaDriver loaded;
  static atomic_bool isLoaded;
  *driver = &loaded;
  if (atomic_load_explicit(&isLoaded, memory_order_acquire))
    return SSMRT_OK;
  pthread_mutex_lock(&mutex);
  ssmrt_status status = SSMRT_OK;
  if (!atomic_load_explicit(&isLoaded, memory_order_relaxed)) {
    ssmrtCudaDriver opened;
    status = openDriver(&opened);
    if (status == SSMRT_OK) {
      loaded = opened;
      atomic_store_explicit(&isLoaded, true, memory_order_release);
    }
  }
  pthread_mutex_unlock(&mutex);
  return status;
}

/*===----------------------------------------------------------------------===*\
|* Devices                                                                    *|
\*===----------------------------------------------------------------------===*/

ssmrt_status ssmrt_cuda_device_count(int *count) {
  if (!count)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "ssmrt_cuda_device_count: null result");
  *count = 0;
  const ssmrtCudaDriver *driver;
  ssmrt_status status = ssmrtGetCudaDriver(&driver);
  if (status != SSMRT_OK)
    return status;
  CUresult result = driver->cuDeviceGetCount(count);
  if (result != CUDA_SUCCESS)
    return ssmrtFailCuda(driver, result, "counting GPUs");
  return SSMRT_OK;
}

ssmrt_status ssmrtGetCudaDevice(const ssmrtCudaDriver *driver, int ordinal,
                                CUdevice *device) {
  int count;
  ssmrt_status status = ssmrt_cuda_device_count(&count);
  if (status != SSMRT_OK)
    return status;
  if (count == 0)
    return ssmrtFail(SSMRT_NO_DEVICE, "the CUDA driver finds no GPU");
  /* A block's header has a byte for it. */
  if (ordinal < 0 || ordinal >= count || ordinal > UINT8_MAX)
    return ssmrtFail(SSMRT_NO_DEVICE, "no GPU %d; wanted 0 to %d", ordinal,
                     (count > UINT8_MAX ? UINT8_MAX : count) - 1);
  CUresult result = driver->cuDeviceGet(device, ordinal);
  if (result != CUDA_SUCCESS)
    return ssmrtFailCuda(driver, result, "GPU %d", ordinal);
  return SSMRT_OK;
}

ssmrt_status ssmrt_cuda_device_info(int device, ssmrt_cuda_device *info) {
  if (!info)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "ssmrt_cuda_device_info: null result");
  memset(info, 0, sizeof(*info));
  const ssmrtCudaDriver *driver;
  CUdevice handle;
  ssmrt_status status = ssmrtGetCudaDriver(&driver);
  if (status == SSMRT_OK)
    status = ssmrtGetCudaDevice(driver, device, &handle);
  if (status != SSMRT_OK)
    return status;
  int major = 0, minor = 0, version = 0, count = 0, shared = 0;
  size_t bytes = 0;
  CUresult result =
      driver->cuDeviceGetName(info->name, sizeof(info->name), handle);
  if (result == CUDA_SUCCESS)
    result = driver->cuDriverGetVersion(&version);
  if (result == CUDA_SUCCESS)
    result = driver->cuDeviceTotalMem(&bytes, handle);
  if (result == CUDA_SUCCESS)
    result = driver->cuDeviceGetAttribute(
        &major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, handle);
  if (result == CUDA_SUCCESS)
    result = driver->cuDeviceGetAttribute(
        &minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, handle);
  if (result == CUDA_SUCCESS)
    result = driver->cuDeviceGetAttribute(
        &count, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, handle);
  if (result == CUDA_SUCCESS)
    result = driver->cuDeviceGetAttribute(
        &shared, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, handle);
  if (result != CUDA_SUCCESS)
    return ssmrtFailCuda(driver, result, "GPU %d", device);
  info->name[sizeof(info->name) - 1] = '\0';
  info->arch = major * 10 + minor;
  info->driver_version = version;
  info->memory_bytes = bytes;
  info->multiprocessors = count;
  info->max_shared_bytes = shared;
  return SSMRT_OK;
}
