/*===- File.c - A file mapped into memory ---------------------------------===*\
|*                                                                            *|
|* Read only, shared with the page cache: opening a checkpoint costs its      *|
|* header, not its weights.                                                   *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "Internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

ssmrt_status ssmrtMapFile(const char *path, ssmrtFile *file) {
  static const unsigned char nothing[1];
  file->data = nothing;
  file->size = 0;
  /* O_NONBLOCK: opening a pipe must not wait for a writer. */
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return ssmrtFail(SSMRT_BAD_FILE, "%s: cannot open: %s", path,
                     strerror(errno));
  struct stat info;
  if (fstat(descriptor, &info) != 0) {
    int error = errno;
    close(descriptor);
    return ssmrtFail(SSMRT_BAD_FILE, "%s: cannot read: %s", path,
                     strerror(error));
  }
  if (!S_ISREG(info.st_mode)) {
    close(descriptor);
    return ssmrtFail(SSMRT_BAD_FILE, "%s: is %s; wanted a regular file", path,
                     S_ISDIR(info.st_mode) ? "a directory" : "no file");
  }
  if (info.st_size == 0) {
    close(descriptor);
    return SSMRT_OK;
  }
  void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE,
                    descriptor, 0);
  int error = errno;
  close(descriptor);
  if (data == MAP_FAILED)
    return ssmrtFail(error == ENOMEM ? SSMRT_NO_MEMORY : SSMRT_BAD_FILE,
                     "%s: cannot map %lld bytes: %s", path,
                     (long long)info.st_size, strerror(error));
  file->data = data;
  file->size = (uint64_t)info.st_size;
  return SSMRT_OK;
}

void ssmrtUnmapFile(ssmrtFile *file) {
  if (file->size > 0)
    munmap((void *)(uintptr_t)file->data, (size_t)file->size);
  file->size = 0;
}
