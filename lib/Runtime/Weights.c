/*===- Weights.c - Tensors of a checkpoint by name ------------------------===*\
|*                                                                            *|
|* One file or many, the caller sees one list of tensors.                     *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "Weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*===----------------------------------------------------------------------===*\
|* Lookup                                                                     *|
\*===----------------------------------------------------------------------===*/

static int compareNames(const void *a, const void *b) {
  return strcmp((*(const ssmrtEntry *const *)a)->name,
                (*(const ssmrtEntry *const *)b)->name);
}

void ssmrtSortEntries(const ssmrtEntry **entries, int64_t count) {
  if (count > 0)
    qsort((void *)entries, (size_t)count, sizeof(*entries), compareNames);
}

const ssmrtEntry *ssmrtFindEntry(const ssmrtEntry *const *sorted, int64_t count,
                                 const char *name) {
  while (count > 0) {
    int64_t half = count / 2;
    int order = strcmp(name, sorted[half]->name);
    if (order == 0)
      return sorted[half];
    if (order > 0) {
      sorted += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return NULL;
}

/*===----------------------------------------------------------------------===*\
|* Opening                                                                    *|
\*===----------------------------------------------------------------------===*/

static bool hasSuffix(const char *text, const char *suffix) {
  size_t size = strlen(text), suffixSize = strlen(suffix);
  return size >= suffixSize && strcmp(text + size - suffixSize, suffix) == 0;
}

static ssmrt_status openFile(const char *path, ssmrt_weights *weights) {
  weights->shards = calloc(1, sizeof(*weights->shards));
  if (!weights->shards)
    return ssmrtFailMemory(sizeof(*weights->shards), "a file");
  ssmrt_status status = ssmrtOpenShard(path, weights->shards);
  if (status != SSMRT_OK)
    return status;
  weights->numShards = 1;
  weights->count = weights->shards->count;
  size_t bytes = ((size_t)weights->count + 1) * sizeof(*weights->entries);
  weights->entries = malloc(bytes);
  if (!weights->entries)
    return ssmrtFailMemory(bytes, "tensors");
  for (int64_t i = 0; i < weights->count; ++i)
    weights->entries[i] = &weights->shards->entries[i];
  return SSMRT_OK;
}

/* The file that a directory is opened for: the usual names. */
static char *getFileOf(const char *path) {
  static const char *const names[] = {"model.safetensors",
                                      "model.safetensors.index.json"};
  struct stat info;
  if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
    return strdup(path);
  size_t room = strlen(path) + 64;
  char *file = malloc(room);
  for (int i = 0; file && i < 2; ++i) {
    snprintf(file, room, "%s/%s", path, names[i]);
    if (stat(file, &info) == 0)
      return file;
  }
  if (file)
    snprintf(file, room, "%s/%s", path, names[0]);
  return file;
}

static ssmrt_status openWeights(ssmrt_weights *weights) {
  ssmrt_status status = hasSuffix(weights->path, ".json")
                            ? ssmrtReadIndex(weights->path, weights)
                            : openFile(weights->path, weights);
  if (status != SSMRT_OK)
    return status;
  size_t bytes = ((size_t)weights->count + 1) * sizeof(*weights->sorted);
  weights->sorted = malloc(bytes);
  if (!weights->sorted)
    return ssmrtFailMemory(bytes, "tensors");
  memcpy((void *)weights->sorted, weights->entries,
         (size_t)weights->count * sizeof(*weights->sorted));
  ssmrtSortEntries(weights->sorted, weights->count);
  return SSMRT_OK;
}

ssmrt_status ssmrt_weights_open(const char *path, ssmrt_weights **weights) {
  if (!path || !weights)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "ssmrt_weights_open: null %s",
                     path ? "result" : "path");
  *weights = NULL;
  ssmrt_weights *result = calloc(1, sizeof(*result));
  if (!result)
    return ssmrtFailMemory(sizeof(*result), "weights");
  result->path = getFileOf(path);
  ssmrt_status status = result->path
                            ? openWeights(result)
                            : ssmrtFailMemory(strlen(path) + 64, "a path");
  if (status != SSMRT_OK) {
    ssmrt_weights_close(result);
    return status;
  }
  *weights = result;
  return SSMRT_OK;
}

void ssmrt_weights_close(ssmrt_weights *weights) {
  if (!weights)
    return;
  for (int64_t i = 0; i < weights->numShards; ++i)
    ssmrtCloseShard(&weights->shards[i]);
  free(weights->shards);
  free((void *)weights->entries);
  free((void *)weights->sorted);
  free(weights->path);
  free(weights);
}

/*===----------------------------------------------------------------------===*\
|* Tensors                                                                    *|
\*===----------------------------------------------------------------------===*/

int64_t ssmrt_weights_count(const ssmrt_weights *weights) {
  return weights ? weights->count : 0;
}

const char *ssmrt_weights_name(const ssmrt_weights *weights, int64_t index) {
  return weights && index >= 0 && index < weights->count
             ? weights->entries[index]->name
             : NULL;
}

static ssmrt_status viewEntry(const ssmrt_weights *weights,
                              const ssmrtEntry *entry, ssmrt_tensor *tensor) {
  if (entry->dtype.lanes == 0)
    return ssmrtFail(SSMRT_BAD_FILE,
                     "%s: tensor '%s' is %s, which is not supported; wanted "
                     "F64, F32, F16, BF16, C64, an integer dtype or BOOL",
                     weights->path, entry->name, entry->dtypeName);
  *tensor = ssmrtMakeTensor((void *)(uintptr_t)entry->data, entry->dtype,
                            entry->ndim, entry->shape);
  return SSMRT_OK;
}

ssmrt_status ssmrt_weights_at(const ssmrt_weights *weights, int64_t index,
                              ssmrt_tensor *tensor) {
  if (!weights || !tensor)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "ssmrt_weights_at: null %s",
                     weights ? "result" : "weights");
  if (index < 0 || index >= weights->count)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "%s: tensor %lld; wanted 0 to %lld",
                     weights->path, (long long)index,
                     (long long)weights->count - 1);
  return viewEntry(weights, weights->entries[index], tensor);
}

ssmrt_status ssmrt_weights_find(const ssmrt_weights *weights, const char *name,
                                ssmrt_tensor *tensor) {
  if (!weights || !name || !tensor)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "ssmrt_weights_find: null %s",
                     !weights ? "weights" : !name ? "name" : "result");
  const ssmrtEntry *entry =
      ssmrtFindEntry(weights->sorted, weights->count, name);
  if (entry)
    return viewEntry(weights, entry, tensor);
  ssmrtText near = {0};
  ssmrtSuggest(weights->entries, weights->count, name, &near);
  return ssmrtFail(SSMRT_NOT_FOUND, "%s: no tensor '%s' among %lld%s",
                   weights->path, name, (long long)weights->count, near.data);
}

/* One weight of the module; `name` has room for prefix and name. */
static ssmrt_status bindWeight(const ssmrt_weights *weights, const char *name,
                               const ssmrt_value_info *info,
                               ssmrt_tensor *tensor) {
  bool isAbsent = !ssmrtFindEntry(weights->sorted, weights->count, name);
  if ((info->flags & SSMRT_OPTIONAL) && isAbsent) {
    *tensor = ssmrtMakeTensor(NULL, info->dtype, info->ndim,
                              (int64_t *)(uintptr_t)info->shape);
    return SSMRT_OK;
  }
  ssmrt_status status = ssmrt_weights_find(weights, name, tensor);
  if (status == SSMRT_OK && !ssmrtMatchWeightShape(info, tensor))
    return ssmrtFailWeightShape(weights->path, name, info, tensor);
  return status;
}

ssmrt_status ssmrt_weights_bind(const ssmrt_weights *weights,
                                const ssmrt_module *module, const char *prefix,
                                ssmrt_tensor *tensors) {
  ssmrt_status status = ssmrt_module_check(module);
  if (status != SSMRT_OK)
    return status;
  if (!weights || (!tensors && module->num_weights > 0))
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "ssmrt_weights_bind: null %s",
                     weights ? "result" : "weights");
  if (!prefix)
    prefix = "";
  size_t longest = 0;
  for (int64_t i = 0; i < module->num_weights; ++i) {
    size_t size = strlen(module->weights[i].name);
    longest = size > longest ? size : longest;
  }
  size_t room = strlen(prefix) + longest + 1;
  char *name = malloc(room);
  if (!name)
    return ssmrtFailMemory(room, "a name");
  for (int64_t i = 0; i < module->num_weights && status == SSMRT_OK; ++i) {
    snprintf(name, room, "%s%s", prefix, module->weights[i].name);
    status = bindWeight(weights, name, &module->weights[i], &tensors[i]);
  }
  free(name);
  return status;
}
