/*===- NPYWriter.c - Writer of .npy files ---------------------------------===*\
|*                                                                            *|
|* A file appears whole or not at all: it is written under another name in    *|
|* the same directory and renamed. What is no regular file (a terminal,       *|
|* /dev/null) is written to in place, as a rename would replace it.           *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include "NPY.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HeaderRoom = 1024, DataAlignment = 64 };

/*===----------------------------------------------------------------------===*\
|* Header                                                                     *|
\*===----------------------------------------------------------------------===*/

static const char *getDescr(ssmrt_dtype dtype) {
  static const struct {
    uint8_t code, bits;
    const char *descr;
  } descrs[] = {
      {SSMRT_FLOAT, 16, "<f2"}, {SSMRT_FLOAT, 32, "<f4"},
      {SSMRT_FLOAT, 64, "<f8"}, {SSMRT_INT, 8, "|i1"},
      {SSMRT_INT, 16, "<i2"},   {SSMRT_INT, 32, "<i4"},
      {SSMRT_INT, 64, "<i8"},   {SSMRT_UINT, 8, "|u1"},
      {SSMRT_UINT, 16, "<u2"},  {SSMRT_UINT, 32, "<u4"},
      {SSMRT_UINT, 64, "<u8"},  {SSMRT_BOOL, 8, "|b1"},
  };
  for (size_t i = 0; i < sizeof(descrs) / sizeof(descrs[0]); ++i)
    if (descrs[i].code == dtype.code && descrs[i].bits == dtype.bits)
      return descrs[i].descr;
  return NULL;
}

/* Version 1.0, padded with spaces so that the data is aligned. */
static size_t makeHeader(const ssmrt_tensor *tensor, const char *descr,
                         char *header) {
  enum { Start = SSMRT_NPY_MAGIC_BYTES + 4 };
  ssmrtText text = {0};
  ssmrtAppend(&text, "{'descr': '%s', 'fortran_order': False, 'shape': (",
              descr);
  for (int32_t i = 0; i < tensor->ndim; ++i)
    ssmrtAppend(&text, i + 1 < tensor->ndim ? "%lld, " : "%lld",
                (long long)tensor->shape[i]);
  ssmrtAppend(&text, tensor->ndim == 1 ? ",), }" : "), }");
  size_t total = Start + text.size + 1;
  total = (total + DataAlignment - 1) / DataAlignment * DataAlignment;
  size_t length = total - Start;
  memset(header, ' ', total);
  memcpy(header, SSMRT_NPY_MAGIC "\x01\x00", SSMRT_NPY_MAGIC_BYTES + 2);
  header[Start - 2] = (char)(length & 0xFF);
  header[Start - 1] = (char)(length >> 8);
  memcpy(header + Start, text.data, text.size);
  header[total - 1] = '\n';
  return total;
}

/*===----------------------------------------------------------------------===*\
|* Files                                                                      *|
\*===----------------------------------------------------------------------===*/

static bool writeAll(int descriptor, const void *data, size_t size) {
  const char *next = data;
  while (size > 0) {
    /* Linux writes 2 GB at most in one call. */
    size_t piece = size < (1u << 30) ? size : 1u << 30;
    ssize_t written = write(descriptor, next, piece);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0) {
      if (written == 0)
        errno = ENOSPC;
      return false;
    }
    next += written;
    size -= (size_t)written;
  }
  return true;
}

static ssmrt_status failWrite(const char *path, int error) {
  return ssmrtFail(SSMRT_BAD_FILE, "%s: cannot write: %s", path,
                   strerror(error));
}

/* Writes and closes; returns errno. */
static int writeArray(int descriptor, const ssmrt_tensor *tensor,
                      const char *header, size_t headerBytes, size_t bytes) {
  int error = 0;
  if (!writeAll(descriptor, header, headerBytes) ||
      !writeAll(descriptor, ssmrtData(tensor), bytes))
    error = errno;
  if (close(descriptor) != 0 && error == 0)
    error = errno;
  return error;
}

/* A new file beside `target`. Its permissions are those of any new file, which
 * mkstemp would not give. */
static int createBeside(const char *target, char *name, size_t room) {
  for (unsigned attempt = 0; attempt < 100; ++attempt) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(name, room, "%s.%ld.%lx.tmp", target, (long)getpid(),
             (unsigned long)now.tv_nsec + attempt);
    int descriptor =
        open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST)
      return descriptor;
  }
  return -1;
}

static ssmrt_status replaceFile(const char *path, const char *target,
                                const ssmrt_tensor *tensor, const char *header,
                                size_t headerBytes, size_t bytes) {
  size_t room = strlen(target) + 64;
  char *name = malloc(room);
  if (!name)
    return ssmrtFailMemory(room, "a path");
  int descriptor = createBeside(target, name, room);
  if (descriptor < 0) {
    int error = errno;
    free(name);
    return failWrite(path, error);
  }
  int error = writeArray(descriptor, tensor, header, headerBytes, bytes);
  if (error == 0 && rename(name, target) != 0)
    error = errno;
  if (error != 0)
    unlink(name);
  free(name);
  return error == 0 ? SSMRT_OK : failWrite(path, error);
}

static ssmrt_status writeInPlace(const char *path, const ssmrt_tensor *tensor,
                                 const char *header, size_t headerBytes,
                                 size_t bytes) {
  int descriptor = open(path, O_WRONLY | O_CLOEXEC);
  if (descriptor < 0)
    return failWrite(path, errno);
  int error = writeArray(descriptor, tensor, header, headerBytes, bytes);
  return error == 0 ? SSMRT_OK : failWrite(path, error);
}

ssmrt_status ssmrt_npy_write(const char *path, const ssmrt_tensor *tensor) {
  if (!path || !tensor)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "ssmrt_npy_write: null %s",
                     path ? "tensor" : "path");
  int64_t elements;
  ssmrt_status status = ssmrtCheckTensor("array", path, tensor, &elements);
  if (status != SSMRT_OK)
    return status;
  const char *descr = getDescr(tensor->dtype);
  if (!descr)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: %s has no form in .npy; wanted another dtype "
                     "(ssmrt_convert)",
                     path, ssmrt_dtype_name(tensor->dtype));
  char header[HeaderRoom];
  size_t headerBytes = makeHeader(tensor, descr, header);
  size_t bytes = (size_t)elements * ssmrt_dtype_size(tensor->dtype);
  struct stat info;
  bool exists = stat(path, &info) == 0;
  if (exists && !S_ISREG(info.st_mode))
    return writeInPlace(path, tensor, header, headerBytes, bytes);
  /* A rename would replace a symbolic link and not what it points to. */
  char *resolved = exists ? realpath(path, NULL) : NULL;
  status = replaceFile(path, resolved ? resolved : path, tensor, header,
                       headerBytes, bytes);
  free(resolved);
  return status;
}
