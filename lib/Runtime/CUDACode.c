/*===- CUDACode.c - Kernels: loaded once a device, launched by number -----===*\
|*                                                                            *|
|* One table of the process knows what is loaded: the code of a layer is      *|
|* compiled and put on a device once, for all contexts there, and goes with   *|
|* the last of them. A launch looks into its context's own list alone.        *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr, dlinfo */
#endif

#include "CUDA.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Kernel {
  CUfunction function;
  int maxThreads; /* a block: registers may allow fewer than the device */
  uint32_t maxSharedBytes; /* of dynamic shared memory */
} Kernel;

typedef struct ssmrtCudaCode {
  const ssmrt_cuda_code *code;
  CUdevice device;
  CUmodule module;
  Kernel *kernels;
  bool overlaps; /* each may begin before those queued earlier end */
  int64_t references;
  struct ssmrtCudaCode *next;
} Loaded;

/* Guards the table and what loading takes; not the launches. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Loaded *table;

/*===----------------------------------------------------------------------===*\
|* Images                                                                     *|
\*===----------------------------------------------------------------------===*/

/* What a PTX text says of itself: ".version 7.8", ".target sm_90a". */
typedef struct PTXHeader {
  int version; /* 78; 0: not found */
  int arch;    /* 90 */
  char variant;
} PTXHeader;

static PTXHeader readPTXHeader(const char *ptx) {
  PTXHeader header = {0, 0, '\0'};
  int major, minor;
  const char *version = strstr(ptx, ".version ");
  if (version && sscanf(version, ".version %d.%d", &major, &minor) == 2)
    header.version = major * 10 + minor;
  const char *target = strstr(ptx, ".target sm_");
  if (target &&
      sscanf(target, ".target sm_%d%c", &header.arch, &header.variant) == 2 &&
      header.variant != 'a' && header.variant != 'f')
    header.variant = '\0';
  return header;
}

/* Code for a variant runs on that very architecture alone. */
static bool runsOn(int arch, int variant, int deviceArch) {
  return variant ? arch == deviceArch : arch <= deviceArch;
}

/* Cubins run within one major version, from theirs on. */
static const ssmrt_cubin *findCubin(const ssmrt_cuda_code *code, int arch) {
  const ssmrt_cubin *best = NULL;
  for (int32_t i = 0; i < code->num_cubins; ++i) {
    const ssmrt_cubin *cubin = &code->cubins[i];
    if (cubin->arch / 10 != arch / 10 ||
        !runsOn(cubin->arch, cubin->variant, arch))
      continue;
    if (!best || cubin->arch > best->arch ||
        (cubin->arch == best->arch && cubin->variant))
      best = cubin;
  }
  return best;
}

static ssmrt_status failImage(const ssmrtCudaContext *cuda, const char *name,
                              const ssmrt_cuda_code *code) {
  ssmrtText text = {0};
  for (int32_t i = 0; i < code->num_cubins; ++i) {
    const ssmrt_cubin *cubin = &code->cubins[i];
    char variant[2] = {(char)cubin->variant, '\0'};
    ssmrtAppend(&text, "%s cubin for sm_%d%s", text.size ? "," : "",
                cubin->arch, variant);
  }
  if (code->ptx) {
    PTXHeader header = readPTXHeader(code->ptx);
    char variant[2] = {header.variant, '\0'};
    ssmrtAppend(&text, "%s PTX for sm_%d%s", text.size ? "," : "", header.arch,
                variant);
  }
  return ssmrtFail(
      SSMRT_NO_DEVICE,
      "%s: no kernel image for GPU %d, which is sm_%d; the artefact "
      "has%s: compile with --gpu=sm_%d",
      name, cuda->ordinal, cuda->limits.arch, text.size ? text.data : " none",
      cuda->limits.arch);
}

static ssmrt_status failPTX(const ssmrtCudaContext *cuda, const char *name,
                            const ssmrt_cuda_code *code, CUresult result,
                            char *log) {
  if (result == CUDA_ERROR_NO_BINARY_FOR_GPU)
    return failImage(cuda, name, code);
  if (result == CUDA_ERROR_UNSUPPORTED_PTX_VERSION) {
    int version = 0, ptx = readPTXHeader(code->ptx).version;
    cuda->driver->cuDriverGetVersion(&version);
    return ssmrtFail(SSMRT_BAD_VERSION,
                     "%s: the driver, of CUDA %d.%d, does not know PTX %d.%d; "
                     "wanted a newer driver, or a cubin: compile with "
                     "--gpu=sm_%d where ptxas is",
                     name, version / 1000, version % 1000 / 10, ptx / 10,
                     ptx % 10, cuda->limits.arch);
  }
  for (char *c = log; *c; ++c)
    if (*c == '\n')
      *c = *(c + 1) ? ';' : '\0';
  return ssmrtFailCuda(cuda->driver, result, "%s: loading its kernels%s%.300s",
                       name, *log ? ": " : "", log);
}

static ssmrt_status loadImage(const ssmrtCudaContext *cuda, const char *name,
                              const ssmrt_cuda_code *code, CUmodule *module) {
  const ssmrtCudaDriver *driver = cuda->driver;
  const ssmrt_cubin *cubin = findCubin(code, cuda->limits.arch);
  if (cubin) {
    CUresult result =
        driver->cuModuleLoadDataEx(module, cubin->data, 0, NULL, NULL);
    if (result == CUDA_SUCCESS)
      return SSMRT_OK;
    /* A cubin of a newer ptxas than the driver's: PTX may still do. */
    bool isRefused = result == CUDA_ERROR_NO_BINARY_FOR_GPU ||
                     result == CUDA_ERROR_INVALID_IMAGE;
    if (!isRefused || !code->ptx)
      return ssmrtFailCuda(driver, result, "%s: loading its cubin for sm_%d",
                           name, cubin->arch);
  }
  if (!code->ptx)
    return failImage(cuda, name, code);
  PTXHeader header = readPTXHeader(code->ptx);
  if (!runsOn(header.arch, header.variant, cuda->limits.arch))
    return failImage(cuda, name, code);
  char log[2048] = "";
  int options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {log, (void *)(uintptr_t)(sizeof(log) - 1)};
  CUresult result =
      driver->cuModuleLoadDataEx(module, code->ptx, 2, options, values);
  if (result == CUDA_SUCCESS)
    return SSMRT_OK;
  log[sizeof(log) - 1] = '\0';
  return failPTX(cuda, name, code, result, log);
}

/*===----------------------------------------------------------------------===*\
|* Kernels                                                                    *|
\*===----------------------------------------------------------------------===*/

static ssmrt_status findKernel(const ssmrtCudaContext *cuda, const char *name,
                               const Loaded *loaded, int32_t index) {
  const ssmrtCudaDriver *driver = cuda->driver;
  const ssmrt_cuda_code *code = loaded->code;
  const char *symbol = code->kernels[index];
  Kernel *kernel = &loaded->kernels[index];
  CUresult result =
      driver->cuModuleGetFunction(&kernel->function, loaded->module, symbol);
  int fixedBytes = 0;
  if (result == CUDA_SUCCESS)
    result = driver->cuFuncGetAttribute(&kernel->maxThreads,
                                        CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
                                        kernel->function);
  if (result == CUDA_SUCCESS)
    result = driver->cuFuncGetAttribute(
        &fixedBytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, kernel->function);
  if (result != CUDA_SUCCESS)
    return ssmrtFailCuda(driver, result, "%s: kernel '%s'", name, symbol);
  int wanted = code->kernel_max_shared ? code->kernel_max_shared[index] : 0;
  int most = cuda->limits.optInSharedBytes - fixedBytes;
  if (wanted > most)
    return ssmrtFail(SSMRT_NO_DEVICE,
                     "%s: kernel '%s' wants %d bytes of shared memory beside "
                     "its own %d; GPU %d has %d for a block",
                     name, symbol, wanted, fixedBytes, cuda->ordinal,
                     cuda->limits.optInSharedBytes);
  int granted = cuda->limits.sharedBytes - fixedBytes;
  if (wanted > granted) {
    result = driver->cuFuncSetAttribute(
        kernel->function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
        wanted);
    if (result != CUDA_SUCCESS)
      return ssmrtFailCuda(driver, result,
                           "%s: kernel '%s' with %d bytes of shared memory",
                           name, symbol, wanted);
    granted = wanted;
  }
  kernel->maxSharedBytes = granted > 0 ? (uint32_t)granted : 0;
  return SSMRT_OK;
}

/* Whether the kernels wait by themselves for what they read: the code says so by a
 * variable, which only images for devices that can have. */
static bool findOverlap(const ssmrtCudaDriver *driver, CUmodule module) {
  CUdeviceptr memory;
  size_t bytes;
  return driver->cuLaunchKernelEx && driver->cuModuleGetGlobal &&
         driver->cuModuleGetGlobal(&memory, &bytes, module,
                                   "ssmrt_kernels_overlap") == CUDA_SUCCESS;
}

static ssmrt_status checkCode(const char *name, const ssmrt_cuda_code *code) {
  if (code->struct_size < sizeof(*code))
    return ssmrtFail(SSMRT_BAD_VERSION,
                     "%s: the description of its kernels has %u bytes; wanted "
                     "at least %zu",
                     name, code->struct_size, sizeof(*code));
  if (code->num_kernels < 0 || (code->num_kernels > 0 && !code->kernels) ||
      code->num_cubins < 0 || (code->num_cubins > 0 && !code->cubins))
    return ssmrtFail(
        SSMRT_BAD_VERSION, "%s: the description has %d kernels and %d cubins%s",
        name, (int)code->num_kernels, (int)code->num_cubins,
        code->num_kernels > 0 && !code->kernels ? " without names" : "");
  return SSMRT_OK;
}

static bool isCapturing(const ssmrtCudaContext *cuda) {
  int capture = CU_STREAM_CAPTURE_STATUS_NONE;
  return cuda->stream &&
         cuda->driver->cuStreamIsCapturing(cuda->stream, &capture) ==
             CUDA_SUCCESS &&
         capture != CU_STREAM_CAPTURE_STATUS_NONE;
}

/* Loading allocates, which a capture forbids, and cannot be replayed. */
static ssmrt_status checkNoCapture(const ssmrtCudaContext *cuda,
                                   const char *name) {
  if (!isCapturing(cuda))
    return SSMRT_OK;
  return ssmrtFail(SSMRT_BAD_ARGUMENT,
                   "%s: its kernels are not loaded, and the stream is being "
                   "captured; wanted ssmrt_cuda_load before",
                   name);
}

static ssmrt_status loadCode(const ssmrtCudaContext *cuda, const char *name,
                             const ssmrt_cuda_code *code, Loaded **result) {
  ssmrt_status status = checkCode(name, code);
  if (status == SSMRT_OK)
    status = checkNoCapture(cuda, name);
  if (status != SSMRT_OK)
    return status;
  size_t count = (size_t)code->num_kernels + 1;
  Loaded *loaded = calloc(1, sizeof(*loaded));
  Kernel *kernels = calloc(count, sizeof(*kernels));
  if (!loaded || !kernels) {
    free(loaded);
    free(kernels);
    return ssmrtFailMemory(count * sizeof(*kernels), "kernels");
  }
  loaded->code = code;
  loaded->device = cuda->device;
  loaded->kernels = kernels;
  status = loadImage(cuda, name, code, &loaded->module);
  if (status == SSMRT_OK) {
    loaded->overlaps = findOverlap(cuda->driver, loaded->module);
    for (int32_t i = 0; status == SSMRT_OK && i < code->num_kernels; ++i)
      status = findKernel(cuda, name, loaded, i);
    if (status != SSMRT_OK)
      cuda->driver->cuModuleUnload(loaded->module);
  }
  if (status != SSMRT_OK) {
    free(kernels);
    free(loaded);
    return status;
  }
  *result = loaded;
  return SSMRT_OK;
}

/* The entry of the table, with one more reference. */
static ssmrt_status acquireCode(const ssmrtCudaContext *cuda, const char *name,
                                const ssmrt_cuda_code *code, Loaded **result) {
  pthread_mutex_lock(&mutex);
  Loaded *loaded = table;
  while (loaded && (loaded->code != code || loaded->device != cuda->device))
    loaded = loaded->next;
  ssmrt_status status = SSMRT_OK;
  if (!loaded) {
    status = loadCode(cuda, name, code, &loaded);
    if (status == SSMRT_OK) {
      loaded->next = table;
      table = loaded;
    }
  }
  if (status == SSMRT_OK)
    ++loaded->references;
  pthread_mutex_unlock(&mutex);
  *result = loaded;
  return status;
}

static void releaseCode(const ssmrtCudaContext *cuda, Loaded *loaded) {
  pthread_mutex_lock(&mutex);
  if (--loaded->references == 0) {
    Loaded **place = &table;
    while (*place != loaded)
      place = &(*place)->next;
    *place = loaded->next;
    cuda->driver->cuModuleUnload(loaded->module);
    free(loaded->kernels);
    free(loaded);
  }
  pthread_mutex_unlock(&mutex);
}

void ssmrtForgetCudaLibrary(void *library) {
  struct link_map *map;
  if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0)
    return;
  pthread_mutex_lock(&mutex);
  for (Loaded *loaded = table; loaded; loaded = loaded->next) {
    Dl_info place;
    if (loaded->code && dladdr(loaded->code, &place) != 0 &&
        (uintptr_t)place.dli_fbase == (uintptr_t)map->l_addr)
      loaded->code = NULL;
  }
  pthread_mutex_unlock(&mutex);
}

/*===----------------------------------------------------------------------===*\
|* A context's list                                                           *|
\*===----------------------------------------------------------------------===*/

/* Moves what it finds to the front, for a layer launches kernel after kernel. */
static Loaded *findUse(ssmrtCudaContext *cuda, const ssmrt_cuda_code *code) {
  ssmrtCudaUse **place = &cuda->uses;
  while (*place && (*place)->code->code != code)
    place = &(*place)->next;
  ssmrtCudaUse *use = *place;
  if (!use)
    return NULL;
  *place = use->next;
  use->next = cuda->uses;
  cuda->uses = use;
  return use->code;
}

ssmrt_status ssmrtLoadCuda(ssmrtCudaContext *cuda, const char *name,
                           const ssmrt_cuda_code *code) {
  if (findUse(cuda, code))
    return SSMRT_OK;
  ssmrtCudaUse *use = malloc(sizeof(*use));
  if (!use)
    return ssmrtFailMemory(sizeof(*use), "kernels");
  ssmrt_status status = acquireCode(cuda, name, code, &use->code);
  if (status != SSMRT_OK) {
    free(use);
    return status;
  }
  use->next = cuda->uses;
  cuda->uses = use;
  return SSMRT_OK;
}

/* With NULL whatever was used last. */
void ssmrtUnloadCuda(ssmrtCudaContext *cuda, const ssmrt_cuda_code *code) {
  if (code && !findUse(cuda, code))
    return;
  ssmrtCudaUse *use = cuda->uses;
  cuda->uses = use->next;
  releaseCode(cuda, use->code);
  free(use);
}

/*===----------------------------------------------------------------------===*\
|* Launches                                                                   *|
\*===----------------------------------------------------------------------===*/

static ssmrt_status checkGeometry(const ssmrtCudaContext *cuda,
                                  const char *name, const Kernel *kernel,
                                  const ssmrt_cuda_geometry *geometry) {
  static const char axes[] = "xyz";
  const ssmrtCudaLimits *limits = &cuda->limits;
  uint64_t threads = 1;
  for (int i = 0; i < 3; ++i) {
    if (geometry->grid[i] > (uint32_t)limits->grid[i])
      return ssmrtFail(SSMRT_BAD_ARGUMENT,
                       "kernel '%s' has a grid of %u blocks along %c; GPU %d "
                       "takes at most %d",
                       name, geometry->grid[i], axes[i], cuda->ordinal,
                       limits->grid[i]);
    if (geometry->block[i] == 0 ||
        geometry->block[i] > (uint32_t)limits->block[i])
      return ssmrtFail(SSMRT_BAD_ARGUMENT,
                       "kernel '%s' has blocks of %u threads along %c; GPU %d "
                       "takes 1 to %d",
                       name, geometry->block[i], axes[i], cuda->ordinal,
                       limits->block[i]);
    threads *= geometry->block[i]; /* below 2^48: each is a device's extent */
  }
  int most = limits->threads < kernel->maxThreads ? limits->threads
                                                  : kernel->maxThreads;
  if (threads > (uint64_t)most)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "kernel '%s' has blocks of %llu threads; GPU %d takes at "
                     "most %d of this kernel",
                     name, (unsigned long long)threads, cuda->ordinal, most);
  if (geometry->shared_bytes > kernel->maxSharedBytes)
    return ssmrtFail(
        SSMRT_BAD_ARGUMENT,
        "kernel '%s' has %u bytes of dynamic shared memory; wanted "
        "at most %u",
        name, geometry->shared_bytes, kernel->maxSharedBytes);
  return SSMRT_OK;
}

static CUresult submit(const ssmrtCudaContext *cuda, const Loaded *loaded,
                       CUfunction function,
                       const ssmrt_cuda_geometry *geometry, void **arguments) {
  const uint32_t *grid = geometry->grid, *block = geometry->block;
  if (!loaded->overlaps)
    return cuda->driver->cuLaunchKernel(
        function, grid[0], grid[1], grid[2], block[0], block[1], block[2],
        geometry->shared_bytes, cuda->stream, arguments, NULL);
  CUlaunchAttribute attribute = {
      .id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
      .value = {.programmaticStreamSerializationAllowed = 1}};
  CUlaunchConfig config = {
      grid[0],  grid[1],      grid[2],
      block[0], block[1],     block[2],
      geometry->shared_bytes, cuda->stream,
      &attribute,             1};
  return cuda->driver->cuLaunchKernelEx(&config, function, arguments, NULL);
}

static ssmrt_status launch(ssmrtCudaContext *cuda, const ssmrt_cuda_code *code,
                           int32_t index, const ssmrt_cuda_geometry *geometry,
                           void **arguments) {
  Loaded *loaded = cuda->uses && cuda->uses->code->code == code
                       ? cuda->uses->code
                       : findUse(cuda, code);
  if (!loaded) {
    ssmrt_status status = ssmrtLoadCuda(cuda, "the layer", code);
    if (status != SSMRT_OK)
      return status;
    loaded = cuda->uses->code;
  }
  if (index < 0 || index >= code->num_kernels)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "kernel %d; wanted 0 to %d",
                     (int)index, (int)code->num_kernels - 1);
  const char *name = code->kernels[index];
  const Kernel *kernel = &loaded->kernels[index];
  const uint32_t *grid = geometry->grid, *block = geometry->block;
  ssmrt_status status = checkGeometry(cuda, name, kernel, geometry);
  if (status != SSMRT_OK)
    return status;
  CUresult result =
      submit(cuda, loaded, kernel->function, geometry, arguments);
  if (result == CUDA_SUCCESS && cuda->waits && !isCapturing(cuda)) {
    result = cuda->driver->cuStreamSynchronize(cuda->stream);
    if (result != CUDA_SUCCESS)
      return ssmrtFailCuda(cuda->driver, result, "running kernel '%s'", name);
  }
  if (result == CUDA_SUCCESS)
    return SSMRT_OK;
  return ssmrtFailCuda(cuda->driver, result,
                       "launching kernel '%s' (or running one before it), grid "
                       "%u x %u x %u, block %u x %u x %u, %u bytes shared",
                       name, grid[0], grid[1], grid[2], block[0], block[1],
                       block[2], geometry->shared_bytes);
}

void ssmrtLaunchCuda(ssmrt_context *context, const ssmrt_cuda_code *code,
                     int32_t kernel, const ssmrt_cuda_geometry *geometry,
                     void **arguments) {
  ssmrtCudaContext *cuda = (ssmrtCudaContext *)context;
  if (cuda->status != SSMRT_OK || geometry->grid[0] == 0 ||
      geometry->grid[1] == 0 || geometry->grid[2] == 0)
    return;
  cuda->status = launch(cuda, code, kernel, geometry, arguments);
  if (cuda->status == SSMRT_OK)
    return;
  cuda->message.size = 0;
  ssmrtAppend(&cuda->message, "%s", ssmrt_last_error());
}
