/*===- FakeCUDADriver.c - The CUDA driver's functions in host memory ------===*\
|*                                                                            *|
|* As much of the driver as libssmrt uses. Strict where the real one is lax:  *|
|* pointers must be of memory it gave out, on the device that is current; a   *|
|* stream must be of that device; what a capture forbids fails.               *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "FakeCUDADriver.h"

#include "CUDADriver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct CUctx_st Context;
typedef struct CUmod_st Module;
typedef struct CUfunc_st Function;
typedef struct CUstream_st Stream;

enum { /* CUresult */
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_INVALID_HANDLE = 400,
  CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900
};

enum { MaxDevices = 2, MaxKernels = 512, MaxCalls = 64, MaxArguments = 32 };
enum { MaxLaunches = 256, MaxBlocks = 256, MaxOperations = 256 };
enum { Memory = 1 << 24 };

struct CUctx_st {
  int device, references;
};

typedef struct Kernel {
  char name[64];
  int arguments, maxThreads, sharedBytes;
  fake_kernel run;
  int64_t granted;
} Kernel;

struct CUfunc_st {
  int kernel;
};

struct CUmod_st {
  int device;
  Function functions[MaxKernels];
};

/* A launch, copy or fill that a capture has kept. */
typedef struct Operation {
  int kernel; /* -1: memory */
  fake_launch launch;
  uint64_t values[MaxArguments];
  void *to;
  const void *from;
  int fill;
  size_t bytes;
} Operation;

struct CUstream_st {
  int device;
  bool isCapturing;
  Operation operations[MaxOperations];
  int count;
};

typedef struct Block {
  char *data;
  size_t bytes;
  int device;
} Block;

static struct {
  int count, arch[MaxDevices];
  Context contexts[MaxDevices];
  Kernel kernels[MaxKernels];
  int numKernels;
  bool overlaps; /* code says that its kernels do */
  bool isStrict; /* a test has said what kernels there are */
  Block blocks[MaxBlocks];
  fake_launch launches[MaxLaunches];
  int numLaunches, modules;
  char failing[64];
  int failure, skip;
  struct {
    char name[64];
    int count;
  } calls[MaxCalls];
  char log[256], image[64];
} fake = {.count = MaxDevices, .arch = {90, 90}};

/* A captured stream, and what is replayed. */
struct CUgraph_st {
  Operation operations[MaxOperations];
  int count;
};
struct CUgraphExec_st {
  struct CUgraph_st graph;
};

static int captures; /* streams that are being captured */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local Context *stack[8];
static _Thread_local int depth;

/*===----------------------------------------------------------------------===*\
|* Bookkeeping                                                                *|
\*===----------------------------------------------------------------------===*/

/* Counts a call, and gives the failure that a test wants of it. */
static CUresult enter(const char *function) {
  pthread_mutex_lock(&mutex);
  int i = 0;
  while (i < MaxCalls - 1 && fake.calls[i].count > 0 &&
         strcmp(fake.calls[i].name, function))
    ++i;
  snprintf(fake.calls[i].name, sizeof(fake.calls[i].name), "%s", function);
  ++fake.calls[i].count;
  CUresult result = CUDA_SUCCESS;
  if (!strcmp(fake.failing, function) && fake.skip-- == 0) {
    result = fake.failure;
    fake.failing[0] = '\0';
  }
  pthread_mutex_unlock(&mutex);
  return result;
}

#define ENTER(NAME)                                                            \
  do {                                                                         \
    CUresult failure = enter(NAME);                                            \
    if (failure)                                                               \
      return failure;                                                          \
  } while (0)

static int current(void) { return depth > 0 ? stack[depth - 1]->device : -1; }

/* Whether memory that was given out on the current device holds the bytes. */
static bool isHeld(const void *memory, size_t bytes) {
  bool found = false;
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < MaxBlocks && !found; ++i) {
    const Block *block = &fake.blocks[i];
    found = block->data && block->device == current() &&
            (const char *)memory >= block->data &&
            (const char *)memory + bytes <= block->data + block->bytes;
  }
  pthread_mutex_unlock(&mutex);
  return found;
}

static CUresult checkStream(const Stream *stream) {
  if (current() < 0)
    return CUDA_ERROR_INVALID_CONTEXT;
  return stream && stream->device != current() ? CUDA_ERROR_INVALID_HANDLE
                                               : CUDA_SUCCESS;
}

static void perform(Operation *operation) {
  if (operation->kernel < 0) {
    if (operation->from)
      memcpy(operation->to, operation->from, operation->bytes);
    else
      memset(operation->to, operation->fill, operation->bytes);
    return;
  }
  const Kernel *kernel = &fake.kernels[operation->kernel];
  void *arguments[MaxArguments];
  for (int i = 0; i < kernel->arguments; ++i)
    arguments[i] = &operation->values[i];
  pthread_mutex_lock(&mutex);
  if (fake.numLaunches < MaxLaunches)
    fake.launches[fake.numLaunches++] = operation->launch;
  pthread_mutex_unlock(&mutex);
  if (kernel->run)
    kernel->run(&operation->launch, arguments);
}

/* Does it, or keeps it. */
static CUresult submit(Stream *stream, Operation *operation) {
  if (!stream || !stream->isCapturing) {
    perform(operation);
    return CUDA_SUCCESS;
  }
  if (stream->count == MaxOperations)
    return CUDA_ERROR_OUT_OF_MEMORY;
  stream->operations[stream->count++] = *operation;
  return CUDA_SUCCESS;
}

static CUresult submitCopy(CUstream stream, void *to, const void *from,
                           int fill, size_t bytes) {
  CUresult result = checkStream(stream);
  if (result)
    return result;
  Operation operation = {
      .kernel = -1, .to = to, .from = from, .fill = fill, .bytes = bytes};
  return submit(stream, &operation);
}

/*===----------------------------------------------------------------------===*\
|* The driver                                                                 *|
\*===----------------------------------------------------------------------===*/

CUresult cuInit(unsigned flags) {
  (void)flags;
  ENTER("cuInit");
  return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version) {
  ENTER("cuDriverGetVersion");
  *version = 12040;
  return CUDA_SUCCESS;
}

static const struct {
  CUresult result;
  const char *name, *text;
} errors[] = {
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT",
     "invalid device context"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available"},
    {218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
     "the provided PTX was compiled "
     "with an unsupported toolchain."},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE",
     "invalid resource handle"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access"},
    {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
     "system has unsupported display "
     "driver / cuda driver combination"},
    {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
     "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
};

CUresult cuGetErrorName(CUresult result, const char **text) {
  for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); ++i)
    if (errors[i].result == result)
      return *text = errors[i].name, CUDA_SUCCESS;
  return *text = NULL, CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult result, const char **text) {
  for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); ++i)
    if (errors[i].result == result)
      return *text = errors[i].text, CUDA_SUCCESS;
  return *text = NULL, CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGetCount(int *count) {
  ENTER("cuDeviceGetCount");
  *count = fake.count;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  ENTER("cuDeviceGet");
  if (ordinal < 0 || ordinal >= fake.count)
    return 101;
  *device = ordinal + 100; /* a handle is no ordinal */
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int size, CUdevice device) {
  ENTER("cuDeviceGetName");
  snprintf(name, (size_t)size, "Fake GPU %d", device - 100);
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device) {
  ENTER("cuDeviceGetAttribute");
  int arch = fake.arch[device - 100];
  static const struct {
    int attribute, value;
  } values[] = {{1, 1024},  {2, 1024},  {3, 1024},  {4, 64},   {5, 2147483647},
                {6, 65535}, {7, 65535}, {8, 49152}, {16, 132}, {97, 232448}};
  if (attribute == 75 || attribute == 76)
    return *value = attribute == 75 ? arch / 10 : arch % 10, CUDA_SUCCESS;
  for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); ++i)
    if (values[i].attribute == attribute)
      return *value = values[i].value, CUDA_SUCCESS;
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
  (void)device;
  ENTER("cuDeviceTotalMem");
  *bytes = Memory;
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
  ENTER("cuDevicePrimaryCtxRetain");
  *context = &fake.contexts[device - 100];
  (*context)->device = device - 100;
  ++(*context)->references;
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  ENTER("cuDevicePrimaryCtxRelease");
  --fake.contexts[device - 100].references;
  return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
  ENTER("cuCtxPushCurrent");
  stack[depth++] = context;
  return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext *context) {
  ENTER("cuCtxPopCurrent");
  if (depth == 0)
    return CUDA_ERROR_INVALID_CONTEXT;
  *context = stack[--depth];
  return CUDA_SUCCESS;
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext *context) {
  ENTER("cuStreamGetCtx");
  *context = &fake.contexts[stream->device];
  return CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(CUstream stream, int *status) {
  ENTER("cuStreamIsCapturing");
  *status = stream && stream->isCapturing;
  return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream stream) {
  ENTER("cuStreamSynchronize");
  CUresult result = checkStream(stream);
  return !result && stream && stream->isCapturing
             ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
             : result;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned count,
                            int *options, void **values) {
  for (unsigned i = 0; i < count; ++i)
    if (options[i] == 5 && fake.log[0])
      strcpy(values[i], fake.log);
  ENTER("cuModuleLoadDataEx");
  if (captures)
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (current() < 0)
    return CUDA_ERROR_INVALID_CONTEXT;
  snprintf(fake.image, sizeof(fake.image), "%s", (const char *)image);
  *module = calloc(1, sizeof(**module));
  (*module)->device = current();
  ++fake.modules;
  return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule module) {
  ENTER("cuModuleUnload");
  if (current() != module->device)
    return CUDA_ERROR_INVALID_CONTEXT;
  --fake.modules;
  free(module);
  return CUDA_SUCCESS;
}

static Kernel *appendKernel(const char *name, int maxThreads) {
  Kernel *kernel = &fake.kernels[fake.numKernels++];
  memset(kernel, 0, sizeof(*kernel));
  snprintf(kernel->name, sizeof(kernel->name), "%s", name);
  kernel->maxThreads = maxThreads;
  return kernel;
}

/* The function fake_NAME of the library that FAKE_CUDA_KERNELS names, where it
 * has one, with fake_NAME_arguments; else the kernel does nothing. */
static void findBody(Kernel *kernel) {
  const char *path = getenv("FAKE_CUDA_KERNELS");
  void *library = path ? dlopen(path, RTLD_NOW) : NULL;
  char symbol[96];
  snprintf(symbol, sizeof(symbol), "fake_%s", kernel->name);
  void *body = library ? dlsym(library, symbol) : NULL;
  if (!body)
    return;
  memcpy(&kernel->run, &body, sizeof(body));
  snprintf(symbol, sizeof(symbol), "fake_%s_arguments", kernel->name);
  const int *count = dlsym(library, symbol);
  kernel->arguments = count ? *count : 0;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module,
                             const char *name) {
  ENTER("cuModuleGetFunction");
  for (int i = 0; i < fake.numKernels; ++i)
    if (!strcmp(fake.kernels[i].name, name)) {
      module->functions[i].kernel = i;
      *function = &module->functions[i];
      return CUDA_SUCCESS;
    }
  if (fake.isStrict || fake.numKernels == MaxKernels)
    return CUDA_ERROR_NOT_FOUND;
  module->functions[fake.numKernels].kernel = fake.numKernels;
  *function = &module->functions[fake.numKernels];
  findBody(appendKernel(name, 1024));
  return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int *value, int attribute, CUfunction function) {
  ENTER("cuFuncGetAttribute");
  const Kernel *kernel = &fake.kernels[function->kernel];
  *value = attribute == 0 ? kernel->maxThreads : kernel->sharedBytes;
  return attribute <= 1 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value) {
  ENTER("cuFuncSetAttribute");
  if (attribute != 8)
    return CUDA_ERROR_INVALID_VALUE;
  fake.kernels[function->kernel].granted = value;
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY,
                        unsigned gridZ, unsigned blockX, unsigned blockY,
                        unsigned blockZ, unsigned sharedBytes, CUstream stream,
                        void **parameters, void **extra) {
  ENTER("cuLaunchKernel");
  const Kernel *kernel = &fake.kernels[function->kernel];
  CUresult result = checkStream(stream);
  if (result)
    return result;
  if (extra || gridX * gridY * gridZ == 0 || blockX * blockY * blockZ == 0)
    return CUDA_ERROR_INVALID_VALUE;
  Operation operation = {.kernel = function->kernel,
                         .launch = {kernel->name,
                                    {gridX, gridY, gridZ},
                                    {blockX, blockY, blockZ},
                                    sharedBytes,
                                    stream,
                                    current()}};
  for (int i = 0; i < kernel->arguments; ++i)
    memcpy(&operation.values[i], parameters[i], sizeof(uint64_t));
  return submit(stream, &operation);
}

CUresult cuModuleGetGlobal_v2(uint64_t *memory, size_t *bytes, CUmodule module,
                              const char *name) {
  ENTER("cuModuleGetGlobal");
  (void)module;
  if (!fake.overlaps || strcmp(name, "ssmrt_kernels_overlap"))
    return CUDA_ERROR_NOT_FOUND;
  *memory = 256;
  *bytes = 1;
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function,
                          void **parameters, void **extra) {
  ENTER("cuLaunchKernelEx");
  if (config->numAttributes != 1 ||
      config->attributes->id !=
          CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION ||
      !config->attributes->value.programmaticStreamSerializationAllowed)
    return CUDA_ERROR_INVALID_VALUE;
  return cuLaunchKernel(function, config->gridX, config->gridY, config->gridZ,
                        config->blockX, config->blockY, config->blockZ,
                        config->sharedBytes, config->stream,
                        parameters, extra);
}

CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
  ENTER("cuMemGetInfo");
  *free = Memory / 2;
  *total = Memory;
  return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *memory, size_t bytes) {
  ENTER("cuMemAlloc");
  if (captures)
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (current() < 0)
    return CUDA_ERROR_INVALID_CONTEXT;
  if (bytes == 0)
    return CUDA_ERROR_INVALID_VALUE;
  for (int i = 0; i < MaxBlocks && bytes <= Memory; ++i) {
    Block *block = &fake.blocks[i];
    if (block->data)
      continue;
    block->bytes = bytes;
    block->device = current();
    if (posix_memalign((void **)&block->data, 256, bytes))
      return block->data = NULL, CUDA_ERROR_OUT_OF_MEMORY;
    memset(block->data, 0xA5, bytes);
    *memory = (uintptr_t)block->data;
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemFree_v2(CUdeviceptr memory) {
  ENTER("cuMemFree");
  if (captures)
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  for (int i = 0; i < MaxBlocks; ++i)
    if (fake.blocks[i].data && (uintptr_t)fake.blocks[i].data == memory) {
      free(fake.blocks[i].data);
      fake.blocks[i].data = NULL;
      return CUDA_SUCCESS;
    }
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes,
                              CUstream stream) {
  ENTER("cuMemcpyHtoDAsync");
  if (!isHeld((void *)to, bytes) || isHeld(from, 1))
    return CUDA_ERROR_INVALID_VALUE;
  return submitCopy(stream, (void *)to, from, 0, bytes);
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes,
                              CUstream stream) {
  ENTER("cuMemcpyDtoHAsync");
  if (!isHeld((void *)from, bytes) || isHeld(to, 1))
    return CUDA_ERROR_INVALID_VALUE;
  return submitCopy(stream, to, (void *)from, 0, bytes);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes,
                              CUstream stream) {
  ENTER("cuMemcpyDtoDAsync");
  if (!isHeld((void *)to, bytes) || !isHeld((void *)from, bytes))
    return CUDA_ERROR_INVALID_VALUE;
  return submitCopy(stream, (void *)to, (void *)from, 0, bytes);
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes,
                         CUstream stream) {
  ENTER("cuMemsetD8Async");
  if (!isHeld((void *)to, bytes))
    return CUDA_ERROR_INVALID_VALUE;
  return submitCopy(stream, (void *)to, NULL, value, bytes);
}

/*===----------------------------------------------------------------------===*\
|* What programs that measure need                                            *|
\*===----------------------------------------------------------------------===*/

CUresult cuCtxSetCurrent(CUcontext context) {
  ENTER("cuCtxSetCurrent");
  depth = 1;
  stack[0] = context;
  return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
  (void)flags;
  ENTER("cuStreamCreate");
  if (current() < 0)
    return CUDA_ERROR_INVALID_CONTEXT;
  *stream = calloc(1, sizeof(**stream));
  (*stream)->device = current();
  return CUDA_SUCCESS;
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  ENTER("cuStreamDestroy");
  free(stream);
  return CUDA_SUCCESS;
}

CUresult cuStreamBeginCapture_v2(CUstream stream, int mode) {
  (void)mode;
  ENTER("cuStreamBeginCapture");
  if (!stream || stream->isCapturing)
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  stream->isCapturing = true;
  stream->count = 0;
  ++captures;
  return CUDA_SUCCESS;
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
  ENTER("cuStreamEndCapture");
  stream->isCapturing = false;
  --captures;
  *graph = calloc(1, sizeof(**graph));
  memcpy((*graph)->operations, stream->operations, sizeof(stream->operations));
  (*graph)->count = stream->count;
  return CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph,
                                     unsigned long long flags) {
  (void)flags;
  ENTER("cuGraphInstantiateWithFlags");
  *executable = malloc(sizeof(**executable));
  (*executable)->graph = *graph;
  return CUDA_SUCCESS;
}

CUresult cuGraphDestroy(CUgraph graph) {
  ENTER("cuGraphDestroy");
  free(graph);
  return CUDA_SUCCESS;
}

CUresult cuGraphExecDestroy(CUgraphExec executable) {
  ENTER("cuGraphExecDestroy");
  free(executable);
  return CUDA_SUCCESS;
}

CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
  ENTER("cuGraphLaunch");
  CUresult result = checkStream(stream);
  for (int i = 0; !result && i < executable->graph.count; ++i)
    perform(&executable->graph.operations[i]);
  return result;
}

/* The time at which it was recorded. */
struct CUevent_st {
  struct timespec time;
};

CUresult cuEventCreate(CUevent *event, unsigned flags) {
  (void)flags;
  ENTER("cuEventCreate");
  *event = calloc(1, sizeof(**event));
  return CUDA_SUCCESS;
}

CUresult cuEventDestroy_v2(CUevent event) {
  ENTER("cuEventDestroy");
  free(event);
  return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  ENTER("cuEventRecord");
  clock_gettime(CLOCK_MONOTONIC, &event->time);
  return checkStream(stream);
}

CUresult cuEventSynchronize(CUevent event) {
  (void)event;
  ENTER("cuEventSynchronize");
  return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent begin, CUevent end) {
  ENTER("cuEventElapsedTime");
  double seconds = (double)(end->time.tv_sec - begin->time.tv_sec);
  double nanoseconds = (double)(end->time.tv_nsec - begin->time.tv_nsec);
  *milliseconds = (float)(seconds * 1e3 + nanoseconds * 1e-6);
  return CUDA_SUCCESS;
}

/*===----------------------------------------------------------------------===*\
|* For tests                                                                  *|
\*===----------------------------------------------------------------------===*/

static void reset(void) {
  fake.numLaunches = fake.numKernels = 0;
  fake.isStrict = fake.overlaps = false;
  fake.failing[0] = fake.log[0] = fake.image[0] = '\0';
  fake.count = MaxDevices;
  fake.arch[0] = fake.arch[1] = 90;
  memset(fake.calls, 0, sizeof(fake.calls));
}

static void addKernel(const char *name, int arguments, fake_kernel run,
                      int maxThreads, int sharedBytes) {
  fake.isStrict = true;
  Kernel *kernel = appendKernel(name, maxThreads);
  kernel->arguments = arguments;
  kernel->run = run;
  kernel->sharedBytes = sharedBytes;
}

static void fail(const char *function, int result, int skip) {
  snprintf(fake.failing, sizeof(fake.failing), "%s", function);
  fake.failure = result;
  fake.skip = skip;
}

static void setDevice(int device, int arch) { fake.arch[device] = arch; }
static void setCount(int count) { fake.count = count; }
static void setOverlaps(bool overlaps) { fake.overlaps = overlaps; }
static void setLog(const char *text) {
  snprintf(fake.log, sizeof(fake.log), "%s", text);
}
static int launches(void) { return fake.numLaunches; }
static const fake_launch *getLaunch(int index) { return &fake.launches[index]; }
static int calls(const char *function) {
  for (int i = 0; i < MaxCalls; ++i)
    if (!strcmp(fake.calls[i].name, function))
      return fake.calls[i].count;
  return 0;
}
static int liveMemory(void) {
  int count = 0;
  for (int i = 0; i < MaxBlocks; ++i)
    count += fake.blocks[i].data != NULL;
  return count;
}
static int liveModules(void) { return fake.modules; }
static int liveContexts(void) {
  return fake.contexts[0].references + fake.contexts[1].references;
}
static int64_t granted(const char *name) {
  for (int i = 0; i < fake.numKernels; ++i)
    if (!strcmp(fake.kernels[i].name, name))
      return fake.kernels[i].granted;
  return -1;
}
static const char *lastImage(void) { return fake.image; }

static void *makeStream(int device) {
  static Stream streams[16];
  static int count;
  Stream *stream = &streams[count++ % 16];
  memset(stream, 0, sizeof(*stream));
  stream->device = device;
  return stream;
}
static void beginCapture(void *stream) {
  ((Stream *)stream)->isCapturing = true;
  ((Stream *)stream)->count = 0;
  ++captures;
}
static void endCapture(void *stream) {
  ((Stream *)stream)->isCapturing = false;
  --captures;
}
static void replay(void *stream) {
  Stream *captured = stream;
  for (int i = 0; i < captured->count; ++i)
    perform(&captured->operations[i]);
}

const fake_cuda *fake_cuda_functions(void) {
  static const fake_cuda functions = {
      reset,       addKernel,    fail,         setDevice,  setCount,
      setLog,      setOverlaps,  launches,     getLaunch,  calls,
      liveMemory,  liveModules,  liveContexts, granted,    lastImage,
      makeStream,  beginCapture, endCapture,   replay};
  return &functions;
}
