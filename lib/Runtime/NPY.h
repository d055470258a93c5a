/*===- NPY.h - The .npy format -----------------------------------*- C -*-===*\
|*                                                                            *|
|* What the reader, the writer and the fuzzer share.                          *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SSMRT_NPY_H
#define SSMRT_NPY_H

#include "Internal.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SSMRT_NPY_MAGIC "\x93NUMPY"
#define SSMRT_NPY_MAGIC_BYTES 6

/* What the header says, checked against the size of the file. A complex dtype
 * has become a float one with a last axis of 2. */
typedef struct ssmrtNPYHeader {
  ssmrt_dtype dtype;
  int64_t ndim;
  int64_t shape[SSMRT_MAX_DIMS];
  uint64_t dataOffset, dataBytes;
} ssmrtNPYHeader;

ssmrt_status ssmrtParseNPY(const char *path, const unsigned char *data,
                           uint64_t size, ssmrtNPYHeader *header);

#ifdef __cplusplus
}
#endif

#endif /* SSMRT_NPY_H */
