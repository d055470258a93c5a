/*===- Internal.h - What the runtime's files share ---------------*- C -*-===*\
|*                                                                            *|
|* Errors, checked sizes, descriptions of tensors and a file mapped into      *|
|* memory. Nothing here is visible outside the archive's own objects, except  *|
|* what ssmrt.h declares.                                                     *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SSMRT_INTERNAL_H
#define SSMRT_INTERNAL_H

/* Everything is compiled with hidden visibility; the public names are not. */
#pragma GCC visibility push(default)
#include "ssmrt/ssmrt.h"
#pragma GCC visibility pop

#include <stdarg.h>
#include <stdbool.h>

/* Files and the low bytes of integers are taken as they lie in memory. */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "little endian machines only"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*===----------------------------------------------------------------------===*\
|* Errors                                                                     *|
\*===----------------------------------------------------------------------===*/

/* Stores the message for the calling thread and returns `status`. Control
 * characters, which names in a file may contain, are replaced. */
ssmrt_status ssmrtFail(ssmrt_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "no memory for N bytes of WHAT". */
ssmrt_status ssmrtFailMemory(uint64_t bytes, const char *what);

/* A bounded text buffer for composing messages; it truncates silently. */
typedef struct ssmrtText {
  size_t size;
  char data[512];
} ssmrtText;

void ssmrtAppend(ssmrtText *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "[2, 3]"; run-time extents print as "batch", "length", and "length 2" and so on
 * for further sequence axes. */
void ssmrtAppendShape(ssmrtText *text, const int64_t *shape, int64_t ndim);

/*===----------------------------------------------------------------------===*\
|* Sizes                                                                      *|
\*===----------------------------------------------------------------------===*/

/* Each returns false when the result does not fit into 63 bits. */
static inline bool ssmrtMul(int64_t a, int64_t b, int64_t *result) {
  return !__builtin_mul_overflow(a, b, result);
}

static inline bool ssmrtAdd(int64_t a, int64_t b, int64_t *result) {
  return !__builtin_add_overflow(a, b, result);
}

static inline bool ssmrtRoundUp(int64_t bytes, int64_t *result) {
  if (!ssmrtAdd(bytes, SSMRT_ALIGNMENT - 1, result))
    return false;
  *result &= ~(int64_t)(SSMRT_ALIGNMENT - 1);
  return true;
}

/* Product of extents; false for a negative extent or an overflow. A zero extent
 * makes the product 0 whatever the others are. */
bool ssmrtNumElements(const int64_t *shape, int64_t ndim, int64_t *result);

static inline bool ssmrtOverlap(const void *a, int64_t aBytes, const void *b,
                                int64_t bBytes) {
  uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
  return aBytes > 0 && bBytes > 0 && x < y + (uint64_t)bBytes &&
         y < x + (uint64_t)aBytes;
}

static inline bool ssmrtIsAligned(const void *pointer, size_t alignment) {
  return ((uintptr_t)pointer & (alignment - 1)) == 0;
}

/*===----------------------------------------------------------------------===*\
|* Tensors                                                                    *|
\*===----------------------------------------------------------------------===*/

static inline ssmrt_dtype ssmrtDType(uint8_t code, uint8_t bits) {
  ssmrt_dtype dtype = {code, bits, 1};
  return dtype;
}

static inline bool ssmrtSameDType(ssmrt_dtype a, ssmrt_dtype b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

static inline void *ssmrtData(const ssmrt_tensor *tensor) {
  return tensor->data ? (char *)tensor->data + tensor->byte_offset : NULL;
}

/* Checks everything about a tensor that does not depend on what is wanted: CPU,
 * a known dtype, a sane shape, C order, a pointer if it has elements. `role`
 * and `name` are for the message: "input 'u'". Gives the number of elements. */
ssmrt_status ssmrtCheckTensor(const char *role, const char *name,
                              const ssmrt_tensor *tensor, int64_t *elements);
/* The same for a tensor in any memory. */
ssmrt_status ssmrtCheckLayout(const char *role, const char *name,
                              const ssmrt_tensor *tensor, int64_t *elements);

/* ssmrt_convert with the context's threads. */
ssmrt_status ssmrtConvert(ssmrt_context *context, const ssmrt_tensor *from,
                          ssmrt_tensor *to);

/* A tensor over contiguous memory, C order, on the CPU. */
ssmrt_tensor ssmrtMakeTensor(void *data, ssmrt_dtype dtype, int64_t ndim,
                             int64_t *shape);

/*===----------------------------------------------------------------------===*\
|* Modules                                                                    *|
\*===----------------------------------------------------------------------===*/

/* Magic, version, sizes and entry points: cheap enough for every call. The
 * descriptions are checked by ssmrt_module_check alone. */
ssmrt_status ssmrtCheckModule(const ssmrt_module *module);

/* Checks the caller's context; the serial one stands in for NULL. */
ssmrt_status ssmrtCheckContext(const ssmrt_module *module,
                               ssmrt_context **context);

/* Whether a stored tensor is a described weight: same extents, but for 1s. */
bool ssmrtMatchWeightShape(const ssmrt_value_info *info,
                           const ssmrt_tensor *tensor);
ssmrt_status ssmrtFailWeightShape(const char *owner, const char *name,
                                  const ssmrt_value_info *info,
                                  const ssmrt_tensor *tensor);

/* Where a described state lies in a payload of the given batch and length, and
 * its shape; `shape` has room for SSMRT_MAX_DIMS extents. */
ssmrt_tensor ssmrtStateTensor(const ssmrt_module *module, int64_t index,
                              void *payload, int64_t batch, int64_t maxLength,
                              int64_t *shape);

/* Bytes of the payload of a state block, without the header. */
ssmrt_status ssmrtStatePayload(const ssmrt_module *module, int64_t batch,
                               int64_t maxLength, int64_t *bytes);
/* The same for a call that keeps no state: without what is for later calls. */
ssmrt_status ssmrtUnkeptPayload(const ssmrt_module *module, int64_t batch,
                                int64_t *bytes);

/*===----------------------------------------------------------------------===*\
|* Headers of blocks                                                          *|
\*===----------------------------------------------------------------------===*/

#define SSMRT_STATE_MAGIC UINT64_C(0x3145544154534D53)    /* "SMSTATE1" */
#define SSMRT_PREPARED_MAGIC UINT64_C(0x3150455250534D53) /* "SMSPREP1" */

/* The first 64 bytes of a state block and of the prepared tables; all that lies
 * in host memory where the payload is on a device. */
typedef struct ssmrtHeader {
  uint64_t magic;
  uint32_t version; /* SSMRT_ABI_VERSION */
  uint16_t headerBytes;
  uint8_t deviceType; /* of the payload: ssmrt_device_type */
  uint8_t device;     /* its number; 0 for the CPU */
  uint64_t hash;    /* of the layer */
  int64_t batch;    /* 0 in prepared tables */
  int64_t maxLength;
  int64_t position; /* tokens seen; 0 in prepared tables */
  int64_t payloadBytes;
  uint64_t payload; /* its address on a device; 0: it follows the header */
} ssmrtHeader;

/* Where the payload is. */
static inline void *ssmrtPayload(const ssmrtHeader *header) {
  if (header->deviceType == SSMRT_CPU)
    return (char *)(uintptr_t)header + SSMRT_HEADER_BYTES;
  return (void *)(uintptr_t)header->payload;
}

/* Whether a header says sensibly where its payload is: anywhere else than in host
 * memory it is that of a CUDA module. */
static inline bool ssmrtIsPlaced(const ssmrt_module *module,
                                 const ssmrtHeader *header) {
  if (header->deviceType == SSMRT_CPU)
    return header->device == 0 && header->payload == 0;
  return header->deviceType == SSMRT_CUDA && module->device_type == SSMRT_CUDA &&
         (header->payload != 0 || header->payloadBytes == 0) &&
         header->payload % SSMRT_ALIGNMENT == 0;
}

/* "host memory", "memory of GPU 1". */
void ssmrtAppendPlace(ssmrtText *text, int deviceType, int device);

/* Checks that the payload of a block, which is checked otherwise, is in memory of
 * the given device. */
ssmrt_status ssmrtCheckPlace(const ssmrt_module *module, const void *block,
                             int deviceType, int device);

/* Checks that a block is there and aligned; `what` is for the message. */
ssmrt_status ssmrtCheckBlock(const void *block, const char *what);
/* Checks that the block is a state of this module. */
ssmrt_status ssmrtCheckState(const ssmrt_module *module, const void *state);

/*===----------------------------------------------------------------------===*\
|* Files                                                                      *|
\*===----------------------------------------------------------------------===*/

/* A whole regular file, mapped read only. */
typedef struct ssmrtFile {
  const unsigned char *data; /* not NULL, even for an empty file */
  uint64_t size;
} ssmrtFile;

ssmrt_status ssmrtMapFile(const char *path, ssmrtFile *file);
void ssmrtUnmapFile(ssmrtFile *file);

/* A block that ssmrt_prepare filled for this module. */
ssmrt_status ssmrtCheckPrepared(const ssmrt_module *module,
                                const void *prepared);

#ifdef __cplusplus
}
#endif

#endif /* SSMRT_INTERNAL_H */
