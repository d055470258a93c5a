/*===- WeightsIndex.c - Checkpoints in several files ----------------------===*\
|*                                                                            *|
|* `model.safetensors.index.json` maps the name of each tensor to the file    *|
|* that holds it. The files are beside the index and nowhere else.            *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "JSON.h"
#include "Weights.h"

#include <stdlib.h>
#include <string.h>

typedef struct Mapping {
  const char *name, *file;
} Mapping;

typedef struct Index {
  ssmrtJSON json;
  char *names, *room;
  Mapping *mappings;
  int64_t count, capacity;
} Index;

/*===----------------------------------------------------------------------===*\
|* Text                                                                       *|
\*===----------------------------------------------------------------------===*/

static ssmrt_status pushMapping(Index *index, Mapping mapping) {
  if (index->count == index->capacity) {
    int64_t wanted = index->capacity ? index->capacity * 2 : 64;
    Mapping *larger =
        realloc(index->mappings, (size_t)wanted * sizeof(*larger));
    if (!larger)
      return ssmrtFailMemory((uint64_t)wanted * sizeof(*larger), "an index");
    index->mappings = larger;
    index->capacity = wanted;
  }
  index->mappings[index->count++] = mapping;
  return SSMRT_OK;
}

/* A file name and not a path: the index must not lead out of its directory. */
static bool isFileName(const char *name) {
  return *name && !strpbrk(name, "/\\") && strcmp(name, ".") != 0 &&
         strcmp(name, "..") != 0;
}

static ssmrt_status readWeightMap(Index *index) {
  static const char where[] = "weight_map";
  ssmrtJSON *json = &index->json;
  ssmrt_status status = ssmrtJSONExpect(json, '{', where);
  if (status != SSMRT_OK || ssmrtJSONTake(json, '}'))
    return status;
  do {
    ssmrtString name, file;
    status = ssmrtJSONString(json, &index->room, where, &name);
    if (status == SSMRT_OK)
      status = ssmrtJSONExpect(json, ':', where);
    if (status == SSMRT_OK)
      status = ssmrtJSONString(json, &index->room, where, &file);
    if (status != SSMRT_OK)
      return status;
    if (!isFileName(file.data))
      return ssmrtFail(SSMRT_BAD_FILE,
                       "%s: tensor '%s' is in '%s'; wanted the name of a file "
                       "beside the index",
                       json->path, name.data, file.data);
    Mapping mapping = {name.data, file.data};
    status = pushMapping(index, mapping);
    if (status != SSMRT_OK)
      return status;
  } while (ssmrtJSONTake(json, ','));
  return ssmrtJSONExpect(json, '}', where);
}

static ssmrt_status readDocument(Index *index) {
  ssmrtJSON *json = &index->json;
  bool found = false;
  ssmrt_status status = ssmrtJSONExpect(json, '{', "the index");
  if (status == SSMRT_OK && !ssmrtJSONTake(json, '}')) {
    do {
      ssmrtString key;
      status = ssmrtJSONString(json, &index->room, "the index", &key);
      if (status == SSMRT_OK)
        status = ssmrtJSONExpect(json, ':', "the index");
      if (status != SSMRT_OK)
        return status;
      bool isMap = strcmp(key.data, "weight_map") == 0;
      if (isMap && found)
        return ssmrtFail(SSMRT_BAD_FILE, "%s: weight_map is given twice",
                         json->path);
      found |= isMap;
      status = isMap ? readWeightMap(index) : ssmrtJSONSkip(json);
    } while (status == SSMRT_OK && ssmrtJSONTake(json, ','));
    if (status == SSMRT_OK)
      status = ssmrtJSONExpect(json, '}', "the index");
  }
  if (status == SSMRT_OK)
    status = ssmrtJSONEnd(json);
  if (status == SSMRT_OK && !found)
    return ssmrtFail(SSMRT_BAD_FILE,
                     "%s: no weight_map; wanted an index of safetensors files",
                     json->path);
  return status;
}

static int compareMappings(const void *a, const void *b) {
  return strcmp(((const Mapping *)a)->name, ((const Mapping *)b)->name);
}

static ssmrt_status parseIndex(const char *path, const void *data,
                               uint64_t size, Index *index) {
  memset(index, 0, sizeof(*index));
  if (size > SSMRT_MAX_HEADER)
    return ssmrtFail(SSMRT_BAD_FILE, "%s: %llu bytes; wanted at most %llu",
                     path, (unsigned long long)size,
                     (unsigned long long)SSMRT_MAX_HEADER);
  index->json = ssmrtJSONOpen(path, data, size);
  index->names = index->room = malloc(size + 1);
  if (!index->names)
    return ssmrtFailMemory(size + 1, "names");
  ssmrt_status status = readDocument(index);
  if (status != SSMRT_OK)
    return status;
  if (index->count > 0)
    qsort(index->mappings, (size_t)index->count, sizeof(*index->mappings),
          compareMappings);
  for (int64_t i = 1; i < index->count; ++i)
    if (strcmp(index->mappings[i - 1].name, index->mappings[i].name) == 0)
      return ssmrtFail(SSMRT_BAD_FILE, "%s: tensor '%s' is there twice", path,
                       index->mappings[i].name);
  return SSMRT_OK;
}

static void freeIndex(Index *index) {
  free(index->names);
  free(index->mappings);
}

ssmrt_status ssmrtParseIndex(const char *path, const void *data,
                             uint64_t size) {
  Index index;
  ssmrt_status status = parseIndex(path, data, size, &index);
  freeIndex(&index);
  return status;
}

/*===----------------------------------------------------------------------===*\
|* Shards                                                                     *|
\*===----------------------------------------------------------------------===*/

/* The shard of that file name, opened if this is its first tensor. */
static ssmrt_status getShard(ssmrt_weights *weights, const char *path,
                             const char *file, int64_t *capacity,
                             int64_t *result) {
  const char *slash = strrchr(path, '/');
  size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
  for (int64_t i = weights->numShards; i-- > 0;)
    if (strcmp(weights->shards[i].path + folder, file) == 0) {
      *result = i;
      return SSMRT_OK;
    }
  if (weights->numShards == *capacity) {
    int64_t wanted = *capacity ? *capacity * 2 : 8;
    ssmrtShard *larger =
        realloc(weights->shards, (size_t)wanted * sizeof(*larger));
    if (!larger)
      return ssmrtFailMemory((uint64_t)wanted * sizeof(*larger), "files");
    weights->shards = larger;
    *capacity = wanted;
  }
  char *shardPath = malloc(folder + strlen(file) + 1);
  if (!shardPath)
    return ssmrtFailMemory(folder + strlen(file) + 1, "a path");
  memcpy(shardPath, path, folder);
  strcpy(shardPath + folder, file);
  *result = weights->numShards;
  ssmrt_status status = ssmrtOpenShard(shardPath, &weights->shards[*result]);
  free(shardPath);
  if (status == SSMRT_OK)
    ++weights->numShards;
  return status;
}

static ssmrt_status openShards(ssmrt_weights *weights, const Index *index,
                               const char *path) {
  int64_t capacity = 0;
  for (int64_t i = 0; i < index->count; ++i) {
    const Mapping *mapping = &index->mappings[i];
    int64_t place = 0;
    ssmrt_status status =
        getShard(weights, path, mapping->file, &capacity, &place);
    if (status != SSMRT_OK)
      return ssmrtFail(status, "%s; %s names it for tensor '%s'",
                       ssmrt_last_error(), path, mapping->name);
    const ssmrtShard *shard = &weights->shards[place];
    const ssmrtEntry *entry =
        ssmrtFindEntry(shard->sorted, shard->count, mapping->name);
    if (!entry)
      return ssmrtFail(SSMRT_BAD_FILE,
                       "%s: tensor '%s' should be in '%s', which does not have "
                       "it",
                       path, mapping->name, mapping->file);
    weights->entries[weights->count++] = entry;
  }
  return SSMRT_OK;
}

ssmrt_status ssmrtReadIndex(const char *path, ssmrt_weights *weights) {
  ssmrtFile file;
  ssmrt_status status = ssmrtMapFile(path, &file);
  if (status != SSMRT_OK)
    return status;
  Index index;
  status = parseIndex(path, file.data, file.size, &index);
  if (status == SSMRT_OK) {
    size_t bytes = ((size_t)index.count + 1) * sizeof(*weights->entries);
    weights->entries = malloc(bytes);
    status = weights->entries ? openShards(weights, &index, path)
                              : ssmrtFailMemory(bytes, "tensors");
  }
  freeIndex(&index);
  ssmrtUnmapFile(&file);
  return status;
}
