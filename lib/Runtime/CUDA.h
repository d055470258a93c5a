/*===- CUDA.h - The CUDA driver and contexts of GPUs -------------*- C -*-===*\
|*                                                                            *|
|* The driver's functions are declared here, under its names, as far as they  *|
|* are used: building needs nothing of CUDA, and running without it is an     *|
|* error message of the first call for a GPU.                                 *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SSMRT_CUDA_H
#define SSMRT_CUDA_H

#include "Internal.h"

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/*===----------------------------------------------------------------------===*\
|* The driver                                                                 *|
\*===----------------------------------------------------------------------===*/

typedef int CUresult, CUdevice;
typedef uint64_t CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;

enum { /* CUresult */
  CUDA_SUCCESS = 0,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_IMAGE = 200,
  CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
  CUDA_ERROR_INVALID_PTX = 218,
  CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,
  CUDA_ERROR_NOT_FOUND = 500
};

enum { /* CUdevice_attribute */
  CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 1,
  CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X = 2, /* and y, z */
  CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X = 5,  /* and y, z */
  CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK = 8,
  CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
  CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97
};

enum { /* CUfunction_attribute */
  CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 0,
  CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES = 1,
  CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8
};

enum { /* CUjit_option */
  CU_JIT_ERROR_LOG_BUFFER = 5,
  CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6
};

enum { CU_STREAM_CAPTURE_STATUS_NONE = 0 };
enum { CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1 };

enum { CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION = 6 };

typedef struct CUlaunchAttribute {
  int id;
  char padding[4];
  union {
    char bytes[64];
    int programmaticStreamSerializationAllowed;
  } value;
} CUlaunchAttribute;

typedef struct CUlaunchConfig {
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes;
  CUstream stream;
  CUlaunchAttribute *attributes;
  unsigned numAttributes;
} CUlaunchConfig;

/* F(name, symbol, parameters): symbols carry the version of their parameters. */
#define SSMRT_CUDA_FUNCTIONS(F)                                                \
  F(cuInit, "cuInit", (unsigned flags))                                        \
  F(cuDriverGetVersion, "cuDriverGetVersion", (int *version))                  \
  F(cuGetErrorName, "cuGetErrorName", (CUresult result, const char **text))    \
  F(cuGetErrorString, "cuGetErrorString",                                      \
    (CUresult result, const char **text))                                      \
  F(cuDeviceGetCount, "cuDeviceGetCount", (int *count))                        \
  F(cuDeviceGet, "cuDeviceGet", (CUdevice * device, int ordinal))              \
  F(cuDeviceGetName, "cuDeviceGetName",                                        \
    (char *name, int size, CUdevice device))                                   \
  F(cuDeviceGetAttribute, "cuDeviceGetAttribute",                              \
    (int *value, int attribute, CUdevice device))                              \
  F(cuDeviceTotalMem, "cuDeviceTotalMem_v2", (size_t *bytes, CUdevice device)) \
  F(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain",                      \
    (CUcontext *context, CUdevice device))                                     \
  F(cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2",                 \
    (CUdevice device))                                                         \
  F(cuCtxPushCurrent, "cuCtxPushCurrent_v2", (CUcontext context))              \
  F(cuCtxPopCurrent, "cuCtxPopCurrent_v2", (CUcontext *context))               \
  F(cuStreamGetCtx, "cuStreamGetCtx", (CUstream stream, CUcontext *context))   \
  F(cuStreamIsCapturing, "cuStreamIsCapturing", (CUstream stream, int *status))\
  F(cuStreamSynchronize, "cuStreamSynchronize", (CUstream stream))             \
  F(cuModuleLoadDataEx, "cuModuleLoadDataEx",                                  \
    (CUmodule *module, const void *image, unsigned count, int *options,        \
     void **values))                                                           \
  F(cuModuleUnload, "cuModuleUnload", (CUmodule module))                       \
  F(cuModuleGetFunction, "cuModuleGetFunction",                                \
    (CUfunction *function, CUmodule module, const char *name))                 \
  F(cuFuncGetAttribute, "cuFuncGetAttribute",                                  \
    (int *value, int attribute, CUfunction function))                          \
  F(cuFuncSetAttribute, "cuFuncSetAttribute",                                  \
    (CUfunction function, int attribute, int value))                           \
  F(cuLaunchKernel, "cuLaunchKernel",                                          \
    (CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ,      \
     unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedBytes,  \
     CUstream stream, void **parameters, void **extra))                        \
  F(cuMemGetInfo, "cuMemGetInfo_v2", (size_t *free, size_t *total))            \
  F(cuMemAlloc, "cuMemAlloc_v2", (CUdeviceptr *memory, size_t bytes))          \
  F(cuMemFree, "cuMemFree_v2", (CUdeviceptr memory))                           \
  F(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2",                                 \
    (CUdeviceptr to, const void *from, size_t bytes, CUstream stream))         \
  F(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2",                                 \
    (void *to, CUdeviceptr from, size_t bytes, CUstream stream))               \
  F(cuMemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2",                                 \
    (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream))         \
  F(cuMemsetD8Async, "cuMemsetD8Async",                                        \
    (CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream))

/* What kernels that overlap need, and graphs; NULL in drivers that lack them. */
#define SSMRT_CUDA_OPTIONAL_FUNCTIONS(F)                                       \
  F(cuModuleGetGlobal, "cuModuleGetGlobal_v2",                                 \
    (CUdeviceptr * memory, size_t *bytes, CUmodule module, const char *name))  \
  F(cuLaunchKernelEx, "cuLaunchKernelEx",                                      \
    (const CUlaunchConfig *config, CUfunction function, void **parameters,     \
     void **extra))                                                            \
  F(cuStreamCreate, "cuStreamCreate", (CUstream * stream, unsigned flags))     \
  F(cuStreamDestroy, "cuStreamDestroy_v2", (CUstream stream))                  \
  F(cuStreamBeginCapture, "cuStreamBeginCapture_v2",                           \
    (CUstream stream, int mode))                                               \
  F(cuStreamEndCapture, "cuStreamEndCapture",                                  \
    (CUstream stream, CUgraph * graph))                                        \
  F(cuGraphInstantiateWithFlags, "cuGraphInstantiateWithFlags",                \
    (CUgraphExec * executable, CUgraph graph, unsigned long long flags))       \
  F(cuGraphDestroy, "cuGraphDestroy", (CUgraph graph))                         \
  F(cuGraphExecDestroy, "cuGraphExecDestroy", (CUgraphExec executable))        \
  F(cuGraphLaunch, "cuGraphLaunch", (CUgraphExec executable, CUstream stream))

typedef struct ssmrtCudaDriver {
#define SSMRT_MEMBER(NAME, SYMBOL, PARAMETERS) CUresult (*NAME) PARAMETERS;
  SSMRT_CUDA_FUNCTIONS(SSMRT_MEMBER)
  SSMRT_CUDA_OPTIONAL_FUNCTIONS(SSMRT_MEMBER)
#undef SSMRT_MEMBER
} ssmrtCudaDriver;

/* The driver, loaded and started by the first call that succeeds. */
ssmrt_status ssmrtGetCudaDriver(const ssmrtCudaDriver **driver);

/* "WHAT: NAME: the driver's words", with the status that the result amounts to. */
ssmrt_status ssmrtFailCuda(const ssmrtCudaDriver *driver, CUresult result,
                           const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Finds the device and what it can do. */
ssmrt_status ssmrtGetCudaDevice(const ssmrtCudaDriver *driver, int ordinal,
                                CUdevice *device);

/*===----------------------------------------------------------------------===*\
|* Contexts                                                                   *|
\*===----------------------------------------------------------------------===*/

struct ssmrtCudaCode;

/* The kernels that a context has taken from the table of all. */
typedef struct ssmrtCudaUse {
  struct ssmrtCudaCode *code;
  struct ssmrtCudaUse *next;
} ssmrtCudaUse;

typedef struct ssmrtCudaLimits {
  int32_t arch;
  int grid[3], block[3], threads;
  int sharedBytes, optInSharedBytes;
} ssmrtCudaLimits;

typedef struct ssmrtCudaContext {
  ssmrt_context base; /* first: the one is a pointer to the other */
  const ssmrtCudaDriver *driver;
  int ordinal;
  CUdevice device;
  CUcontext primary;
  CUstream stream;
  bool captures;      /* a graph has begun, on a stream of its own */
  CUstream ownStream; /* the context's, meanwhile */
  ssmrtCudaLimits limits;
  bool waits; /* after each launch, to see which kernel fails */
  ssmrtCudaUse *uses; /* the last used one first */
  /* The first failure of a launch in the call under way. */
  ssmrt_status status;
  ssmrtText message;
} ssmrtCudaContext;

/* Fails for a context that is not of ssmrt_cuda_context_create. `who` is for the
 * message: the function, or the layer. */
ssmrt_status ssmrtCheckCudaContext(const char *who, ssmrt_context *context,
                                   ssmrtCudaContext **cuda);
void ssmrtDestroyCudaContext(ssmrtCudaContext *cuda);

/* The launch of such contexts, by which they are known. */
void ssmrtLaunchCuda(ssmrt_context *context, const ssmrt_cuda_code *code,
                     int32_t kernel, const ssmrt_cuda_geometry *geometry,
                     void **arguments);

/* Makes the primary context current on this thread, until it is left. */
ssmrt_status ssmrtEnterCuda(const ssmrtCudaContext *cuda);
/* Checks the context and enters it. */
ssmrt_status ssmrtCheckAndEnterCuda(const char *who, ssmrt_context *context,
                                    ssmrtCudaContext **cuda);
void ssmrtLeaveCuda(const ssmrtCudaContext *cuda);

/* The failure that launches have left, which is then forgotten. */
ssmrt_status ssmrtTakeCudaFailure(ssmrtCudaContext *cuda);

/* Of a CUDA module's code; the context must be current. */
ssmrt_status ssmrtLoadCuda(ssmrtCudaContext *cuda, const char *name,
                           const ssmrt_cuda_code *code);
void ssmrtUnloadCuda(ssmrtCudaContext *cuda, const ssmrt_cuda_code *code);
/* The code of a shared object that is about to be closed: what is loaded of it is
 * not taken for that of another one which comes to lie at the same address. */
void ssmrtForgetCudaLibrary(void *library);

/* The module for CUDA: `module` itself, or the one that it brings along. */
ssmrt_status ssmrtGetCudaModule(const ssmrt_module **module);
/* Finds it, checks the context and enters that. */
ssmrt_status ssmrtEnterForModule(const ssmrt_module **module,
                                 ssmrt_context *context,
                                 ssmrtCudaContext **cuda);

/*===----------------------------------------------------------------------===*\
|* Memory of either kind                                                      *|
\*===----------------------------------------------------------------------===*/

/* Copies and zeroes payloads: with a context on its device, in the order of its
 * stream; with NULL in host memory, at once. */
ssmrt_status ssmrtCopy(ssmrtCudaContext *cuda, void *to, const void *from,
                       int64_t bytes);
ssmrt_status ssmrtZero(ssmrtCudaContext *cuda, void *memory, int64_t bytes);

/*===----------------------------------------------------------------------===*\
|* Blocks of either kind                                                      *|
\*===----------------------------------------------------------------------===*/

/* Makes `payload`, in memory of the context's device, that of the block. */
ssmrt_status ssmrtPlacePayload(const ssmrtCudaContext *cuda,
                               ssmrtHeader *header, void *payload);

/* The public calls on states, with a context for those on its device (where
 * `payload` is the memory of the result) and with NULL for those in host memory,
 * whose payload follows the header. */
ssmrt_status ssmrtResetState(const ssmrt_module *module, ssmrtCudaContext *cuda,
                             void *state, void *payload, int64_t batch,
                             int64_t maxLength);
ssmrt_status ssmrtCopyState(const ssmrt_module *module, ssmrtCudaContext *cuda,
                            void *to, void *payload, const void *from);
ssmrt_status ssmrtSelectState(const ssmrt_module *module, ssmrtCudaContext *cuda,
                              void *to, void *payload, const void *from,
                              const int64_t *rows, int64_t count);

#ifdef __cplusplus
}
#endif

#endif /* SSMRT_CUDA_H */
