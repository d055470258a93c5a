/*===- CUDAContext.c - Contexts of GPUs and their memory ------------------===*\
|*                                                                            *|
|* A context is a device, a stream, and the failure of the last launch. The   *|
|* primary context is made current for the length of each call, so that any   *|
|* thread may call, whatever it uses CUDA for otherwise.                      *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "CUDA.h"

#include <stdlib.h>

/*===----------------------------------------------------------------------===*\
|* Creation                                                                   *|
\*===----------------------------------------------------------------------===*/

/* Host code of a CUDA module has no loops to share out; prepare may come here. */
static void runSerially(ssmrt_context *context, ssmrt_body body, void *closure,
                        int64_t count, int64_t cost) {
  (void)context, (void)cost;
  if (count > 0)
    body(closure, 0, count);
}

static ssmrt_status getLimits(const ssmrtCudaContext *cuda,
                              ssmrtCudaLimits *limits) {
  int major, minor;
  const struct {
    int *value, attribute;
  } wanted[] = {
      {&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR},
      {&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR},
      {&limits->threads, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK},
      {&limits->block[0], CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X},
      {&limits->block[1], CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + 1},
      {&limits->block[2], CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + 2},
      {&limits->grid[0], CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X},
      {&limits->grid[1], CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + 1},
      {&limits->grid[2], CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + 2},
      {&limits->sharedBytes, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK},
      {&limits->optInSharedBytes,
       CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN},
  };
  for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); ++i) {
    CUresult result = cuda->driver->cuDeviceGetAttribute(
        wanted[i].value, wanted[i].attribute, cuda->device);
    if (result != CUDA_SUCCESS)
      return ssmrtFailCuda(cuda->driver, result, "attribute %d of GPU %d",
                           wanted[i].attribute, cuda->ordinal);
  }
  limits->arch = major * 10 + minor;
  return SSMRT_OK;
}

/* A stream of another context would be found out by the first launch only. */
static ssmrt_status checkStream(const ssmrtCudaContext *cuda) {
  if (!cuda->stream)
    return SSMRT_OK;
  CUcontext owner = NULL;
  CUresult result = cuda->driver->cuStreamGetCtx(cuda->stream, &owner);
  if (result != CUDA_SUCCESS)
    return ssmrtFailCuda(cuda->driver, result, "the stream %p",
                         (void *)cuda->stream);
  if (owner != cuda->primary)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "the stream %p is of another device or context; wanted "
                     "one of the primary context of GPU %d",
                     (void *)cuda->stream, cuda->ordinal);
  return SSMRT_OK;
}

static ssmrt_status setUp(ssmrtCudaContext *cuda) {
  ssmrt_status status = getLimits(cuda, &cuda->limits);
  if (status == SSMRT_OK)
    status = ssmrtEnterCuda(cuda);
  if (status != SSMRT_OK)
    return status;
  status = checkStream(cuda);
  ssmrtLeaveCuda(cuda);
  return status;
}

ssmrt_status ssmrt_cuda_context_create(int device, void *stream,
                                       ssmrt_context **context) {
  if (!context)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "ssmrt_cuda_context_create: null result");
  *context = NULL;
  const ssmrtCudaDriver *driver;
  CUdevice handle;
  ssmrt_status status = ssmrtGetCudaDriver(&driver);
  if (status == SSMRT_OK)
    status = ssmrtGetCudaDevice(driver, device, &handle);
  if (status != SSMRT_OK)
    return status;
  ssmrtCudaContext *cuda = calloc(1, sizeof(*cuda));
  if (!cuda)
    return ssmrtFailMemory(sizeof(*cuda), "a context");
  cuda->base.struct_size = sizeof(ssmrt_context);
  cuda->base.threads = 1;
  cuda->base.parallel_for = runSerially;
  cuda->base.launch = ssmrtLaunchCuda;
  cuda->driver = driver;
  cuda->ordinal = device;
  cuda->device = handle;
  cuda->stream = stream;
  const char *waits = getenv("SSMRT_CUDA_WAIT");
  cuda->waits = waits && *waits && strcmp(waits, "0") != 0;
  CUresult result = driver->cuDevicePrimaryCtxRetain(&cuda->primary, handle);
  if (result != CUDA_SUCCESS) {
    free(cuda);
    return ssmrtFailCuda(driver, result, "the context of GPU %d", device);
  }
  status = setUp(cuda);
  if (status != SSMRT_OK) {
    driver->cuDevicePrimaryCtxRelease(handle);
    free(cuda);
    return status;
  }
  *context = &cuda->base;
  return SSMRT_OK;
}

void ssmrtDestroyCudaContext(ssmrtCudaContext *cuda) {
  if (cuda->uses && ssmrtEnterCuda(cuda) == SSMRT_OK) {
    while (cuda->uses)
      ssmrtUnloadCuda(cuda, NULL);
    ssmrtLeaveCuda(cuda);
  }
  cuda->driver->cuDevicePrimaryCtxRelease(cuda->device);
  free(cuda);
}

ssmrt_status ssmrtCheckCudaContext(const char *who, ssmrt_context *context,
                                   ssmrtCudaContext **cuda) {
  if (!context || context->struct_size < sizeof(ssmrt_context) ||
      context->launch != ssmrtLaunchCuda)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: %s; wanted one of ssmrt_cuda_context_create", who,
                     context ? "the context has threads and no GPU"
                             : "the context is a null pointer");
  *cuda = (ssmrtCudaContext *)context;
  return SSMRT_OK;
}

ssmrt_status ssmrtEnterCuda(const ssmrtCudaContext *cuda) {
  CUresult result = cuda->driver->cuCtxPushCurrent(cuda->primary);
  if (result != CUDA_SUCCESS)
    return ssmrtFailCuda(cuda->driver, result, "the context of GPU %d",
                         cuda->ordinal);
  return SSMRT_OK;
}

ssmrt_status ssmrtCheckAndEnterCuda(const char *who, ssmrt_context *context,
                                    ssmrtCudaContext **cuda) {
  ssmrt_status status = ssmrtCheckCudaContext(who, context, cuda);
  return status == SSMRT_OK ? ssmrtEnterCuda(*cuda) : status;
}

void ssmrtLeaveCuda(const ssmrtCudaContext *cuda) {
  CUcontext context;
  cuda->driver->cuCtxPopCurrent(&context);
}

/*===----------------------------------------------------------------------===*\
|* Code                                                                       *|
\*===----------------------------------------------------------------------===*/

ssmrt_status ssmrtGetCudaModule(const ssmrt_module **module) {
  ssmrt_status status = ssmrtCheckModule(*module);
  if (status != SSMRT_OK)
    return status;
  if ((*module)->device_type == SSMRT_CUDA)
    return SSMRT_OK;
  if (!(*module)->cuda)
    return ssmrtFail(SSMRT_NO_DEVICE,
                     "%s: the layer was compiled for the CPU alone; wanted "
                     "ssmc compile --target cuda, or cpu,cuda",
                     (*module)->name);
  *module = (*module)->cuda;
  return ssmrtCheckModule(*module);
}

ssmrt_status ssmrtEnterForModule(const ssmrt_module **module,
                                 ssmrt_context *context,
                                 ssmrtCudaContext **cuda) {
  ssmrt_status status = ssmrtGetCudaModule(module);
  return status == SSMRT_OK
             ? ssmrtCheckAndEnterCuda((*module)->name, context, cuda)
             : status;
}

ssmrt_status ssmrt_cuda_load(const ssmrt_module *module,
                             ssmrt_context *context) {
  ssmrtCudaContext *cuda;
  ssmrt_status status = ssmrtEnterForModule(&module, context, &cuda);
  if (status != SSMRT_OK)
    return status;
  status = ssmrtLoadCuda(cuda, module->name, module->cuda_code);
  ssmrtLeaveCuda(cuda);
  return status;
}

ssmrt_status ssmrt_cuda_unload(const ssmrt_module *module,
                               ssmrt_context *context) {
  ssmrtCudaContext *cuda;
  ssmrt_status status = ssmrtEnterForModule(&module, context, &cuda);
  if (status != SSMRT_OK)
    return status;
  ssmrtUnloadCuda(cuda, module->cuda_code);
  ssmrtLeaveCuda(cuda);
  return SSMRT_OK;
}

ssmrt_status ssmrtTakeCudaFailure(ssmrtCudaContext *cuda) {
  ssmrt_status status = cuda->status;
  if (status != SSMRT_OK)
    ssmrtFail(status, "%s", cuda->message.data);
  cuda->status = SSMRT_OK;
  return status;
}

/*===----------------------------------------------------------------------===*\
|* Memory                                                                     *|
\*===----------------------------------------------------------------------===*/

ssmrt_status ssmrt_cuda_synchronize(ssmrt_context *context) {
  ssmrtCudaContext *cuda;
  ssmrt_status status =
      ssmrtCheckAndEnterCuda("ssmrt_cuda_synchronize", context, &cuda);
  if (status != SSMRT_OK)
    return status;
  CUresult result = cuda->driver->cuStreamSynchronize(cuda->stream);
  if (result != CUDA_SUCCESS)
    status = ssmrtFailCuda(cuda->driver, result,
                           "waiting for GPU %d, for all that was queued before",
                           cuda->ordinal);
  ssmrtLeaveCuda(cuda);
  return status;
}

ssmrt_status ssmrt_cuda_alloc(ssmrt_context *context, int64_t bytes,
                              void **memory) {
  ssmrtCudaContext *cuda;
  ssmrt_status status =
      ssmrtCheckCudaContext("ssmrt_cuda_alloc", context, &cuda);
  if (status != SSMRT_OK)
    return status;
  if (!memory || bytes < 0)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "ssmrt_cuda_alloc: %s%lld bytes",
                     memory ? "" : "null result, ", (long long)bytes);
  *memory = NULL;
  if (bytes == 0)
    return SSMRT_OK;
  status = ssmrtEnterCuda(cuda);
  if (status != SSMRT_OK)
    return status;
  CUdeviceptr address = 0;
  CUresult result = cuda->driver->cuMemAlloc(&address, (size_t)bytes);
  if (result == CUDA_SUCCESS) {
    *memory = (void *)(uintptr_t)address;
  } else {
    size_t free = 0, total = 0;
    if (result == CUDA_ERROR_OUT_OF_MEMORY &&
        cuda->driver->cuMemGetInfo(&free, &total) == CUDA_SUCCESS)
      status = ssmrtFail(SSMRT_NO_MEMORY,
                         "no memory for %lld bytes on GPU %d, where %llu of "
                         "%llu bytes are free",
                         (long long)bytes, cuda->ordinal,
                         (unsigned long long)free, (unsigned long long)total);
    else
      status = ssmrtFailCuda(cuda->driver, result, "%lld bytes on GPU %d",
                             (long long)bytes, cuda->ordinal);
  }
  ssmrtLeaveCuda(cuda);
  return status;
}

ssmrt_status ssmrt_cuda_free(ssmrt_context *context, void *memory) {
  ssmrtCudaContext *cuda;
  ssmrt_status status =
      ssmrtCheckCudaContext("ssmrt_cuda_free", context, &cuda);
  if (status != SSMRT_OK || !memory)
    return status;
  status = ssmrtEnterCuda(cuda);
  if (status != SSMRT_OK)
    return status;
  CUresult result = cuda->driver->cuMemFree((CUdeviceptr)(uintptr_t)memory);
  if (result != CUDA_SUCCESS)
    status = ssmrtFailCuda(cuda->driver, result, "freeing %p on GPU %d", memory,
                           cuda->ordinal);
  ssmrtLeaveCuda(cuda);
  return status;
}

typedef enum Direction { ToDevice, ToHost, OnDevice } Direction;

static CUresult queueCopy(const ssmrtCudaContext *cuda, void *to,
                          const void *from, size_t bytes, Direction direction) {
  const ssmrtCudaDriver *driver = cuda->driver;
  CUdeviceptr target = (uintptr_t)to, source = (uintptr_t)from;
  switch (direction) {
  case ToDevice:
    return driver->cuMemcpyHtoDAsync(target, from, bytes, cuda->stream);
  case ToHost:
    return driver->cuMemcpyDtoHAsync(to, source, bytes, cuda->stream);
  default:
    return driver->cuMemcpyDtoDAsync(target, source, bytes, cuda->stream);
  }
}

static ssmrt_status copy(const char *who, ssmrt_context *context, void *to,
                         const void *from, int64_t bytes, Direction direction) {
  static const char *const ways[] = {"to", "from", "on"};
  ssmrtCudaContext *cuda;
  ssmrt_status status = ssmrtCheckCudaContext(who, context, &cuda);
  if (status != SSMRT_OK)
    return status;
  if (bytes < 0 || (bytes > 0 && (!to || !from)))
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "%s: %lld bytes from %p to %p", who,
                     (long long)bytes, from, to);
  if (bytes == 0)
    return SSMRT_OK;
  status = ssmrtEnterCuda(cuda);
  if (status != SSMRT_OK)
    return status;
  CUresult result = queueCopy(cuda, to, from, (size_t)bytes, direction);
  if (result == CUDA_SUCCESS && direction == ToHost)
    result = cuda->driver->cuStreamSynchronize(cuda->stream);
  if (result != CUDA_SUCCESS)
    status = ssmrtFailCuda(cuda->driver, result, "copying %lld bytes %s GPU %d",
                           (long long)bytes, ways[direction], cuda->ordinal);
  ssmrtLeaveCuda(cuda);
  return status;
}

ssmrt_status ssmrt_cuda_copy_to_device(ssmrt_context *context, void *to,
                                       const void *from, int64_t bytes) {
  return copy("ssmrt_cuda_copy_to_device", context, to, from, bytes, ToDevice);
}

ssmrt_status ssmrt_cuda_copy_to_host(ssmrt_context *context, void *to,
                                     const void *from, int64_t bytes) {
  return copy("ssmrt_cuda_copy_to_host", context, to, from, bytes, ToHost);
}

ssmrt_status ssmrt_cuda_copy(ssmrt_context *context, void *to, const void *from,
                             int64_t bytes) {
  return copy("ssmrt_cuda_copy", context, to, from, bytes, OnDevice);
}

ssmrt_status ssmrtCopy(ssmrtCudaContext *cuda, void *to, const void *from,
                       int64_t bytes) {
  if (bytes == 0)
    return SSMRT_OK;
  if (!cuda) {
    memmove(to, from, (size_t)bytes);
    return SSMRT_OK;
  }
  CUresult result = queueCopy(cuda, to, from, (size_t)bytes, OnDevice);
  if (result != CUDA_SUCCESS)
    return ssmrtFailCuda(cuda->driver, result, "copying %lld bytes on GPU %d",
                         (long long)bytes, cuda->ordinal);
  return SSMRT_OK;
}

ssmrt_status ssmrtZero(ssmrtCudaContext *cuda, void *memory, int64_t bytes) {
  if (bytes == 0)
    return SSMRT_OK;
  if (!cuda) {
    memset(memory, 0, (size_t)bytes);
    return SSMRT_OK;
  }
  CUresult result = cuda->driver->cuMemsetD8Async(
      (CUdeviceptr)(uintptr_t)memory, 0, (size_t)bytes, cuda->stream);
  if (result != CUDA_SUCCESS)
    return ssmrtFailCuda(cuda->driver, result, "zeroing %lld bytes on GPU %d",
                         (long long)bytes, cuda->ordinal);
  return SSMRT_OK;
}
