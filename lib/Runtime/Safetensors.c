/*===- Safetensors.c - Reader of one safetensors file ---------------------===*\
|*                                                                            *|
|* The format: 8 bytes of length, little endian; a JSON object of that length *|
|* that gives each tensor's dtype, shape and range; the data. Accepted is     *|
|* what the reference reader accepts: ranges that cover the data exactly,     *|
|* without gaps and overlaps.                                                 *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "JSON.h"
#include "Weights.h"

#include <stdlib.h>
#include <string.h>

/* Dtypes of the format. Those without a counterpart in ssmrt_dtype are checked
 * like the others and refused when they are asked for: a layer may not need
 * them. A complex number is two floats on a last axis. */
static const struct DType {
  const char *name;
  uint8_t code, bits; /* of the counterpart; code 255: none */
  uint8_t storedBits;
} dtypes[] = {
    {"F32", SSMRT_FLOAT, 32, 32}, {"BF16", SSMRT_BFLOAT, 16, 16},
    {"F16", SSMRT_FLOAT, 16, 16}, {"F64", SSMRT_FLOAT, 64, 64},
    {"I64", SSMRT_INT, 64, 64},   {"I32", SSMRT_INT, 32, 32},
    {"I16", SSMRT_INT, 16, 16},   {"I8", SSMRT_INT, 8, 8},
    {"U64", SSMRT_UINT, 64, 64},  {"U32", SSMRT_UINT, 32, 32},
    {"U16", SSMRT_UINT, 16, 16},  {"U8", SSMRT_UINT, 8, 8},
    {"BOOL", SSMRT_BOOL, 8, 8},   {"C64", SSMRT_FLOAT, 32, 64},
    {"F8_E4M3", 255, 0, 8},       {"F8_E5M2", 255, 0, 8},
    {"F8_E8M0", 255, 0, 8},       {"F8_E4M3FNUZ", 255, 0, 8},
    {"F8_E5M2FNUZ", 255, 0, 8},   {"F6_E2M3", 255, 0, 6},
    {"F6_E3M2", 255, 0, 6},       {"F4", 255, 0, 4},
};

static const struct DType *findDType(const char *name) {
  for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); ++i)
    if (strcmp(dtypes[i].name, name) == 0)
      return &dtypes[i];
  return NULL;
}

/*===----------------------------------------------------------------------===*\
|* Header                                                                     *|
\*===----------------------------------------------------------------------===*/

/* The header while it is read. Shapes are kept as places in `extents`, which
 * moves as it grows, and become pointers at the end. */
typedef struct Reader {
  ssmrtJSON json;
  ssmrtShard *shard;
  char *names; /* room for the next string */
  int64_t numExtents, extentCapacity, entryCapacity;
  bool hasMetadata;
} Reader;

/* Makes room for one more element of an array. */
static bool grow(void **array, int64_t count, int64_t *capacity, size_t size) {
  if (count < *capacity)
    return true;
  int64_t wanted = *capacity ? *capacity * 2 : 64;
  void *larger = realloc(*array, (size_t)wanted * size);
  if (!larger)
    return false;
  *array = larger;
  *capacity = wanted;
  return true;
}

static ssmrt_status failEntry(const Reader *reader, const ssmrtEntry *entry,
                              const char *problem) {
  return ssmrtFail(SSMRT_BAD_FILE, "%s: tensor '%s': %s", reader->json.path,
                   entry->name, problem);
}

static ssmrt_status pushExtent(Reader *reader, ssmrtEntry *entry,
                               int64_t extent) {
  if (entry->ndim == SSMRT_MAX_DIMS)
    return failEntry(reader, entry, "more than 16 dimensions");
  if (!grow((void **)&reader->shard->extents, reader->numExtents,
            &reader->extentCapacity, sizeof(int64_t)))
    return ssmrtFailMemory((uint64_t)reader->extentCapacity * 16, "shapes");
  reader->shard->extents[reader->numExtents++] = extent;
  ++entry->ndim;
  return SSMRT_OK;
}

static ssmrt_status readShape(Reader *reader, ssmrtEntry *entry) {
  ssmrt_status status = ssmrtJSONExpect(&reader->json, '[', "shape");
  if (status != SSMRT_OK || ssmrtJSONTake(&reader->json, ']'))
    return status;
  do {
    int64_t extent;
    status = ssmrtJSONInteger(&reader->json, "shape", &extent);
    if (status == SSMRT_OK)
      status = pushExtent(reader, entry, extent);
    if (status != SSMRT_OK)
      return status;
  } while (ssmrtJSONTake(&reader->json, ','));
  return ssmrtJSONExpect(&reader->json, ']', "shape");
}

static ssmrt_status readOffsets(Reader *reader, ssmrtEntry *entry) {
  int64_t begin, end;
  ssmrtJSON *json = &reader->json;
  ssmrt_status status = ssmrtJSONExpect(json, '[', "data_offsets");
  if (status == SSMRT_OK)
    status = ssmrtJSONInteger(json, "data_offsets", &begin);
  if (status == SSMRT_OK)
    status = ssmrtJSONExpect(json, ',', "data_offsets");
  if (status == SSMRT_OK)
    status = ssmrtJSONInteger(json, "data_offsets", &end);
  if (status == SSMRT_OK)
    status = ssmrtJSONExpect(json, ']', "data_offsets");
  if (status != SSMRT_OK)
    return status;
  entry->begin = (uint64_t)begin;
  entry->end = (uint64_t)end;
  return SSMRT_OK;
}

/* The fields of one tensor, in any order, each once; unknown ones are skipped,
 * as the reference reader does. */
static ssmrt_status readFields(Reader *reader, ssmrtEntry *entry) {
  enum { DType = 1, Shape = 2, Offsets = 4, All = 7 };
  int seen = 0;
  ssmrtJSON *json = &reader->json;
  ssmrt_status status = ssmrtJSONExpect(json, '{', "a tensor");
  while (status == SSMRT_OK) {
    ssmrtString key, value;
    char *mark = reader->names;
    status = ssmrtJSONString(json, &reader->names, "a tensor", &key);
    if (status == SSMRT_OK)
      status = ssmrtJSONExpect(json, ':', "a tensor");
    if (status != SSMRT_OK)
      return status;
    int field = strcmp(key.data, "dtype") == 0          ? DType
                : strcmp(key.data, "shape") == 0        ? Shape
                : strcmp(key.data, "data_offsets") == 0 ? Offsets
                                                        : 0;
    reader->names = mark; /* the key is not needed any more */
    if (seen & field)
      return failEntry(reader, entry, "a field is given twice");
    seen |= field;
    if (field == DType) {
      status = ssmrtJSONString(json, &reader->names, "dtype", &value);
      entry->dtypeName = value.data;
    } else if (field == Shape) {
      status = readShape(reader, entry);
    } else if (field == Offsets) {
      status = readOffsets(reader, entry);
    } else {
      status = ssmrtJSONSkip(json);
    }
    if (status != SSMRT_OK || !ssmrtJSONTake(json, ','))
      break;
  }
  if (status == SSMRT_OK)
    status = ssmrtJSONExpect(json, '}', "a tensor");
  if (status == SSMRT_OK && seen != All)
    return failEntry(reader, entry,
                     "dtype, shape and data_offsets are wanted, and not all "
                     "there");
  return status;
}

/* Size against range, and the counterpart of the dtype. */
static ssmrt_status checkEntry(Reader *reader, ssmrtEntry *entry,
                               uint64_t dataBytes) {
  int64_t *shape = reader->shard->extents + (reader->numExtents - entry->ndim);
  const struct DType *dtype = findDType(entry->dtypeName);
  if (!dtype)
    return ssmrtFail(SSMRT_BAD_FILE, "%s: tensor '%s': unknown dtype '%s'",
                     reader->json.path, entry->name, entry->dtypeName);
  if (entry->begin > entry->end || entry->end > dataBytes)
    return ssmrtFail(SSMRT_BAD_FILE,
                     "%s: tensor '%s': data_offsets [%llu, %llu]; wanted a "
                     "range within the %llu bytes of data",
                     reader->json.path, entry->name,
                     (unsigned long long)entry->begin,
                     (unsigned long long)entry->end,
                     (unsigned long long)dataBytes);
  int64_t bits;
  uint64_t found = entry->end - entry->begin;
  ssmrtText text = {0};
  ssmrtAppendShape(&text, shape, entry->ndim);
  if (!ssmrtNumElements(shape, entry->ndim, &bits) ||
      !ssmrtMul(bits, dtype->storedBits, &bits))
    return ssmrtFail(SSMRT_BAD_FILE,
                     "%s: tensor '%s': shape %s has more elements than any "
                     "file",
                     reader->json.path, entry->name, text.data);
  if (bits % 8 != 0 || found != (uint64_t)bits / 8)
    return ssmrtFail(SSMRT_BAD_FILE,
                     "%s: tensor '%s': %s %s has %llu bytes; wanted %llu",
                     reader->json.path, entry->name, dtype->name, text.data,
                     (unsigned long long)found, (unsigned long long)bits / 8);
  if (dtype->code == 255) {
    entry->dtype.lanes = 0;
    return SSMRT_OK;
  }
  entry->dtype = ssmrtDType(dtype->code, dtype->bits);
  return dtype->storedBits > dtype->bits ? pushExtent(reader, entry, 2)
                                         : SSMRT_OK;
}

static ssmrt_status readMetadata(Reader *reader) {
  ssmrtJSON *json = &reader->json;
  if (reader->hasMetadata)
    return ssmrtFail(SSMRT_BAD_FILE, "%s: __metadata__ is given twice",
                     json->path);
  reader->hasMetadata = true;
  ssmrt_status status = ssmrtJSONExpect(json, '{', "__metadata__");
  if (status != SSMRT_OK || ssmrtJSONTake(json, '}'))
    return status;
  do {
    char *mark = reader->names;
    ssmrtString ignored;
    status = ssmrtJSONString(json, &reader->names, "__metadata__", &ignored);
    if (status == SSMRT_OK)
      status = ssmrtJSONExpect(json, ':', "__metadata__");
    if (status == SSMRT_OK)
      status = ssmrtJSONString(json, &reader->names, "__metadata__", &ignored);
    reader->names = mark;
  } while (status == SSMRT_OK && ssmrtJSONTake(json, ','));
  return status == SSMRT_OK ? ssmrtJSONExpect(json, '}', "__metadata__")
                            : status;
}

static ssmrt_status readEntry(Reader *reader, const char *name,
                              uint64_t dataBytes) {
  ssmrtShard *shard = reader->shard;
  if (!grow((void **)&shard->entries, shard->count, &reader->entryCapacity,
            sizeof(ssmrtEntry)))
    return ssmrtFailMemory(
        (uint64_t)reader->entryCapacity * 2 * sizeof(ssmrtEntry), "tensors");
  ssmrtEntry *entry = &shard->entries[shard->count++];
  memset(entry, 0, sizeof(*entry));
  entry->name = name;
  ssmrt_status status = readFields(reader, entry);
  return status == SSMRT_OK ? checkEntry(reader, entry, dataBytes) : status;
}

static ssmrt_status readHeader(Reader *reader, uint64_t dataBytes) {
  ssmrtJSON *json = &reader->json;
  ssmrt_status status = ssmrtJSONExpect(json, '{', "the header");
  if (status != SSMRT_OK)
    return status;
  if (!ssmrtJSONTake(json, '}')) {
    do {
      ssmrtString name;
      status = ssmrtJSONString(json, &reader->names, "the header", &name);
      if (status == SSMRT_OK)
        status = ssmrtJSONExpect(json, ':', "the header");
      if (status != SSMRT_OK)
        return status;
      status = strcmp(name.data, "__metadata__") == 0
                   ? readMetadata(reader)
                   : readEntry(reader, name.data, dataBytes);
      if (status != SSMRT_OK)
        return status;
    } while (ssmrtJSONTake(json, ','));
    status = ssmrtJSONExpect(json, '}', "the header");
  }
  return status == SSMRT_OK ? ssmrtJSONEnd(json) : status;
}

/*===----------------------------------------------------------------------===*\
|* Ranges and names                                                           *|
\*===----------------------------------------------------------------------===*/

static int compareRanges(const void *a, const void *b) {
  const ssmrtEntry *x = *(const ssmrtEntry *const *)a;
  const ssmrtEntry *y = *(const ssmrtEntry *const *)b;
  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  return (x->end > y->end) - (x->end < y->end);
}

static ssmrt_status checkRanges(ssmrtShard *shard, uint64_t dataBytes) {
  if (shard->count > 0)
    qsort(shard->sorted, (size_t)shard->count, sizeof(*shard->sorted),
          compareRanges);
  uint64_t end = 0;
  for (int64_t i = 0; i < shard->count; ++i) {
    const ssmrtEntry *entry = shard->sorted[i];
    if (entry->begin < end)
      return ssmrtFail(SSMRT_BAD_FILE,
                       "%s: tensors '%s' and '%s' overlap at byte %llu of the "
                       "data",
                       shard->path, shard->sorted[i - 1]->name, entry->name,
                       (unsigned long long)entry->begin);
    if (entry->begin > end)
      return ssmrtFail(SSMRT_BAD_FILE,
                       "%s: bytes %llu to %llu of the data, before tensor "
                       "'%s', belong to no tensor",
                       shard->path, (unsigned long long)end,
                       (unsigned long long)entry->begin, entry->name);
    end = entry->end;
  }
  if (end != dataBytes)
    return ssmrtFail(SSMRT_BAD_FILE,
                     "%s: %llu bytes of data; wanted %llu, the end of the last "
                     "tensor",
                     shard->path, (unsigned long long)dataBytes,
                     (unsigned long long)end);
  return SSMRT_OK;
}

static ssmrt_status checkNames(ssmrtShard *shard) {
  ssmrtSortEntries(shard->sorted, shard->count);
  for (int64_t i = 1; i < shard->count; ++i)
    if (strcmp(shard->sorted[i - 1]->name, shard->sorted[i]->name) == 0)
      return ssmrtFail(SSMRT_BAD_FILE, "%s: tensor '%s' is there twice",
                       shard->path, shard->sorted[i]->name);
  return SSMRT_OK;
}

/*===----------------------------------------------------------------------===*\
|* Files                                                                      *|
\*===----------------------------------------------------------------------===*/

static ssmrt_status parse(const unsigned char *data, uint64_t size,
                          ssmrtShard *shard) {
  if (size < 8)
    return ssmrtFail(SSMRT_BAD_FILE,
                     "%s: %llu bytes; wanted at least the 8 of a header's "
                     "length",
                     shard->path, (unsigned long long)size);
  uint64_t header = 0;
  for (int i = 8; i-- > 0;)
    header = header << 8 | data[i];
  if (header > size - 8 || header > SSMRT_MAX_HEADER)
    return ssmrtFail(SSMRT_BAD_FILE,
                     "%s: a header of %llu bytes; wanted at most %llu, what "
                     "the file %s",
                     shard->path, (unsigned long long)header,
                     (unsigned long long)(header > size - 8
                                              ? size - 8
                                              : SSMRT_MAX_HEADER),
                     header > size - 8 ? "has left" : "format allows");
  uint64_t dataBytes = size - 8 - header;
  shard->names = malloc(header + 1);
  if (!shard->names)
    return ssmrtFailMemory(header + 1, "names");
  Reader reader;
  memset(&reader, 0, sizeof(reader));
  reader.json = ssmrtJSONOpen(shard->path, data + 8, header);
  reader.shard = shard;
  reader.names = shard->names;
  if (!grow((void **)&shard->extents, 0, &reader.extentCapacity,
            sizeof(int64_t)))
    return ssmrtFailMemory(64 * sizeof(int64_t), "shapes");
  ssmrt_status status = readHeader(&reader, dataBytes);
  if (status != SSMRT_OK)
    return status;
  shard->sorted = malloc(((size_t)shard->count + 1) * sizeof(*shard->sorted));
  if (!shard->sorted)
    return ssmrtFailMemory((uint64_t)shard->count * sizeof(*shard->sorted),
                           "tensors");
  int64_t *shape = shard->extents;
  for (int64_t i = 0; i < shard->count; ++i) {
    ssmrtEntry *entry = &shard->entries[i];
    entry->shape = shape;
    entry->data = data + 8 + header + entry->begin;
    if (entry->ndim > 0)
      shape += entry->ndim;
    shard->sorted[i] = entry;
  }
  status = checkRanges(shard, dataBytes);
  return status == SSMRT_OK ? checkNames(shard) : status;
}

ssmrt_status ssmrtParseSafetensors(const char *path, const void *data,
                                   uint64_t size, ssmrtShard *shard) {
  memset(shard, 0, sizeof(*shard));
  shard->path = strdup(path);
  if (!shard->path)
    return ssmrtFailMemory(strlen(path) + 1, "a path");
  ssmrt_status status = parse(data, size, shard);
  if (status != SSMRT_OK)
    ssmrtCloseShard(shard);
  return status;
}

static bool isOdd(const ssmrtEntry *entry) {
  return entry->dtype.lanes && entry->end > entry->begin &&
         !ssmrtIsAligned(entry->data, entry->dtype.bits / 8u);
}

/* The format does not align tensors to their elements, though most writers do.
 * Those that are odd move to memory of ours: weights may be used in place. */
static ssmrt_status alignEntries(ssmrtShard *shard) {
  int64_t total = 0, bytes;
  for (int64_t i = 0; i < shard->count; ++i) {
    const ssmrtEntry *entry = &shard->entries[i];
    /* The sum of ranges within one file, rounded up: it does not overflow. */
    if (isOdd(entry) &&
        ssmrtRoundUp((int64_t)(entry->end - entry->begin), &bytes))
      total += bytes;
  }
  if (total == 0)
    return SSMRT_OK;
  if (posix_memalign(&shard->copies, SSMRT_ALIGNMENT, (size_t)total)) {
    shard->copies = NULL;
    return ssmrtFailMemory((uint64_t)total, shard->path);
  }
  unsigned char *next = shard->copies;
  for (int64_t i = 0; i < shard->count; ++i) {
    ssmrtEntry *entry = &shard->entries[i];
    if (!isOdd(entry))
      continue;
    uint64_t size = entry->end - entry->begin;
    memcpy(next, entry->data, size);
    entry->data = next;
    ssmrtRoundUp((int64_t)size, &bytes);
    next += bytes;
  }
  return SSMRT_OK;
}

ssmrt_status ssmrtOpenShard(const char *path, ssmrtShard *shard) {
  memset(shard, 0, sizeof(*shard));
  ssmrtFile file;
  ssmrt_status status = ssmrtMapFile(path, &file);
  if (status != SSMRT_OK)
    return status;
  status = ssmrtParseSafetensors(path, file.data, file.size, shard);
  if (status != SSMRT_OK) {
    ssmrtUnmapFile(&file);
    return status;
  }
  shard->file = file;
  status = alignEntries(shard);
  if (status != SSMRT_OK)
    ssmrtCloseShard(shard);
  return status;
}

void ssmrtCloseShard(ssmrtShard *shard) {
  ssmrtUnmapFile(&shard->file);
  free(shard->copies);
  free(shard->path);
  free(shard->names);
  free(shard->extents);
  free(shard->entries);
  free((void *)shard->sorted);
  memset(shard, 0, sizeof(*shard));
}
