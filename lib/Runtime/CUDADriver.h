/*===- CUDADriver.h - The functions of the CUDA driver ------------*- C -*-===*\
|*                                                                            *|
|* Declared here under the driver's names, as far as they are used: building  *|
|* needs nothing of CUDA, and running without it is an error message of the   *|
|* first call for a GPU. Tests have a driver of the same functions.           *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SSMRT_CUDADRIVER_H
#define SSMRT_CUDADRIVER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int CUresult, CUdevice;
typedef uint64_t CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef struct CUevent_st *CUevent;

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
  F(cuStreamCreate, "cuStreamCreate", (CUstream * stream, unsigned flags))     \
  F(cuStreamDestroy, "cuStreamDestroy_v2", (CUstream stream))                  \
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
  F(cuStreamBeginCapture, "cuStreamBeginCapture_v2",                           \
    (CUstream stream, int mode))                                               \
  F(cuStreamEndCapture, "cuStreamEndCapture",                                  \
    (CUstream stream, CUgraph * graph))                                        \
  F(cuGraphInstantiateWithFlags, "cuGraphInstantiateWithFlags",                \
    (CUgraphExec * executable, CUgraph graph, unsigned long long flags))       \
  F(cuGraphDestroy, "cuGraphDestroy", (CUgraph graph))                         \
  F(cuGraphExecDestroy, "cuGraphExecDestroy", (CUgraphExec executable))        \
  F(cuGraphLaunch, "cuGraphLaunch", (CUgraphExec executable, CUstream stream))

/* What programs that measure need beside these. */
#define SSMRT_CUDA_MEASURING_FUNCTIONS(F)                                      \
  F(cuCtxSetCurrent, "cuCtxSetCurrent", (CUcontext context))                   \
  F(cuEventCreate, "cuEventCreate", (CUevent * event, unsigned flags))         \
  F(cuEventDestroy, "cuEventDestroy_v2", (CUevent event))                      \
  F(cuEventRecord, "cuEventRecord", (CUevent event, CUstream stream))          \
  F(cuEventSynchronize, "cuEventSynchronize", (CUevent event))                 \
  F(cuEventElapsedTime, "cuEventElapsedTime",                                  \
    (float *milliseconds, CUevent begin, CUevent end))

#ifdef __cplusplus
}
#endif

#endif /* SSMRT_CUDADRIVER_H */
