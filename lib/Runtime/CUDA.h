/*===- CUDA.h - The CUDA driver and contexts of GPUs -------------*- C -*-===*\
\*===----------------------------------------------------------------------===*/

#ifndef SSMRT_CUDA_H
#define SSMRT_CUDA_H

#include "CUDADriver.h"
#include "Internal.h"

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/*===----------------------------------------------------------------------===*\
|* The driver                                                                 *|
\*===----------------------------------------------------------------------===*/

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
