/*===- Library.c - Compiled layers in shared objects ----------------------===*\
|*                                                                            *|
|* dlopen and the names of the symbols. Programs that link their layer need   *|
|* nothing of this file.                                                      *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "CUDA.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef const ssmrt_module *(*ModuleFunction)(void);

ssmrt_status ssmrt_library_open(const char *path, void **library) {
  if (!path || !library)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "ssmrt_library_open: null %s",
                     path ? "result" : "path");
  *library = NULL;
  /* A name without a slash would be searched for in the system's folders. */
  size_t room = strlen(path) + 3;
  char *file = malloc(room);
  if (!file)
    return ssmrtFailMemory(room, "a path");
  snprintf(file, room, "%s%s", strchr(path, '/') ? "" : "./", path);
  dlerror();
  *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  free(file);
  if (*library)
    return SSMRT_OK;
  const char *reason = dlerror();
  return ssmrtFail(SSMRT_BAD_FILE, "%s: cannot load: %s", path,
                   reason ? reason : "unknown reason");
}

ssmrt_status ssmrt_library_module(void *library, const char *name,
                                  const ssmrt_module **module) {
  if (!library || !module)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "ssmrt_library_module: null %s",
                     library ? "result" : "library");
  *module = NULL;
  char symbol[512] = "ssmrt_modules";
  if (name) {
    int size = snprintf(symbol, sizeof(symbol), "%s_module", name);
    if (size < 0 || (size_t)size >= sizeof(symbol))
      return ssmrtFail(SSMRT_NOT_FOUND,
                       "the name of the layer has %zu characters; wanted fewer "
                       "than 500",
                       strlen(name));
  }
  void *address = dlsym(library, symbol);
  if (!address)
    return ssmrtFail(SSMRT_NOT_FOUND,
                     "no symbol '%s' in the library; wanted a shared object "
                     "that ssmc compiled%s",
                     symbol, name ? "" : ", or the name of its layer");
  ModuleFunction function;
  memcpy(&function, &address, sizeof(function));
  const ssmrt_module *found = function();
  ssmrt_status status = ssmrt_module_check(found);
  if (status == SSMRT_OK)
    *module = found;
  return status;
}

void ssmrt_library_close(void *library) {
  if (!library)
    return;
  ssmrtForgetCudaLibrary(library);
  dlclose(library);
}
