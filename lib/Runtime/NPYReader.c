/*===- NPYReader.c - Reader of .npy files ---------------------------------===*\
|*                                                                            *|
|* The header is a dictionary in Python's notation with three keys. Only that *|
|* much of Python is read; whatever numpy itself does not write is refused.   *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "NPY.h"

#include <stdlib.h>
#include <string.h>

struct ssmrt_array {
  int64_t shape[SSMRT_MAX_DIMS];
  void *data;
};

/*===----------------------------------------------------------------------===*\
|* Dictionary                                                                 *|
\*===----------------------------------------------------------------------===*/

typedef struct Reader {
  const char *path;
  const char *begin, *next, *end;
} Reader;

static ssmrt_status failHeader(const Reader *reader, const char *wanted) {
  return ssmrtFail(SSMRT_BAD_FILE,
                   "%s: malformed .npy header at offset %lld: wanted %s",
                   reader->path, (long long)(reader->next - reader->begin),
                   wanted);
}

static void skipSpace(Reader *reader) {
  while (reader->next < reader->end &&
         (*reader->next == ' ' || *reader->next == '\n' ||
          *reader->next == '\t' || *reader->next == '\r'))
    ++reader->next;
}

static bool take(Reader *reader, char c) {
  skipSpace(reader);
  if (reader->next == reader->end || *reader->next != c)
    return false;
  ++reader->next;
  return true;
}

/* A string without escapes, as numpy writes them here. */
static bool takeString(Reader *reader, char *result, size_t room) {
  char quote;
  if (take(reader, '\''))
    quote = '\'';
  else if (take(reader, '"'))
    quote = '"';
  else
    return false;
  size_t size = 0;
  for (; reader->next < reader->end && *reader->next != quote; ++reader->next) {
    if (size + 1 == room || *reader->next == '\\' || *reader->next == '\0')
      return false;
    result[size++] = *reader->next;
  }
  if (reader->next == reader->end)
    return false;
  ++reader->next;
  result[size] = '\0';
  return true;
}

static bool takeWord(Reader *reader, const char *word) {
  skipSpace(reader);
  size_t size = strlen(word);
  if ((size_t)(reader->end - reader->next) < size ||
      memcmp(reader->next, word, size) != 0)
    return false;
  reader->next += size;
  return true;
}

static bool takeExtent(Reader *reader, int64_t *extent) {
  const char *start = reader->next;
  *extent = 0;
  while (reader->next < reader->end && *reader->next >= '0' &&
         *reader->next <= '9') {
    if (!ssmrtMul(*extent, 10, extent) ||
        !ssmrtAdd(*extent, *reader->next - '0', extent))
      return false;
    ++reader->next;
  }
  bool found = reader->next > start;
  /* numpy on Python 2 wrote long integers. */
  if (found && reader->next < reader->end && *reader->next == 'L')
    ++reader->next;
  return found;
}

/* "()", "(3,)", "(3, 4)", "(3, 4,)". */
static ssmrt_status readShape(Reader *reader, ssmrtNPYHeader *header) {
  if (!take(reader, '('))
    return failHeader(reader, "a tuple as shape");
  bool hasComma = false;
  while (!take(reader, ')')) {
    if (header->ndim > 0 && !hasComma)
      return failHeader(reader, "',' or ')' in the shape");
    if (header->ndim == SSMRT_MAX_DIMS)
      return failHeader(reader, "at most 16 dimensions");
    skipSpace(reader);
    if (!takeExtent(reader, &header->shape[header->ndim]))
      return failHeader(reader, "an extent from 0 to 2^63-1");
    ++header->ndim;
    hasComma = take(reader, ',');
  }
  /* "(3)" is a number in Python. */
  if (header->ndim == 1 && !hasComma)
    return failHeader(reader, "a tuple as shape, '(3,)'");
  return SSMRT_OK;
}

typedef struct Fields {
  char descr[32];
  bool isFortran;
} Fields;

static ssmrt_status readField(Reader *reader, ssmrtNPYHeader *header,
                              Fields *fields, int *seen) {
  enum { Descr = 1, Fortran = 2, Shape = 4 };
  char key[32];
  if (!takeString(reader, key, sizeof(key)) || !take(reader, ':'))
    return failHeader(reader, "a key in quotes and ':'");
  int field = strcmp(key, "descr") == 0           ? Descr
              : strcmp(key, "fortran_order") == 0 ? Fortran
              : strcmp(key, "shape") == 0         ? Shape
                                                  : 0;
  if (field == 0 || (*seen & field))
    return failHeader(reader,
                      "each of descr, fortran_order and shape once, and no "
                      "other key");
  *seen |= field;
  if (field == Shape)
    return readShape(reader, header);
  if (field == Descr)
    return takeString(reader, fields->descr, sizeof(fields->descr))
               ? SSMRT_OK
               : failHeader(reader, "a dtype of one element such as '<f4'");
  fields->isFortran = takeWord(reader, "True");
  return fields->isFortran || takeWord(reader, "False")
             ? SSMRT_OK
             : failHeader(reader, "True or False");
}

static ssmrt_status readDictionary(Reader *reader, ssmrtNPYHeader *header,
                                   Fields *fields) {
  enum { All = 7 };
  int seen = 0;
  if (!take(reader, '{'))
    return failHeader(reader, "'{'");
  while (!take(reader, '}')) {
    ssmrt_status status = readField(reader, header, fields, &seen);
    if (status != SSMRT_OK)
      return status;
    if (!take(reader, ',') &&
        (reader->next == reader->end || *reader->next != '}'))
      return failHeader(reader, "',' or '}'");
  }
  skipSpace(reader);
  if (reader->next != reader->end)
    return failHeader(reader, "nothing after '}'");
  if (seen != All)
    return failHeader(reader, "descr, fortran_order and shape");
  return SSMRT_OK;
}

/*===----------------------------------------------------------------------===*\
|* Header                                                                     *|
\*===----------------------------------------------------------------------===*/

/* "<f4": order, kind, bytes. The order is void for single bytes. */
static bool findDType(const char *descr, ssmrt_dtype *dtype, bool *isComplex) {
  static const struct {
    const char *name;
    uint8_t code, bits;
    bool isComplex;
  } dtypes[] = {
      {"f2", SSMRT_FLOAT, 16, false}, {"f4", SSMRT_FLOAT, 32, false},
      {"f8", SSMRT_FLOAT, 64, false}, {"c8", SSMRT_FLOAT, 32, true},
      {"c16", SSMRT_FLOAT, 64, true}, {"i1", SSMRT_INT, 8, false},
      {"i2", SSMRT_INT, 16, false},   {"i4", SSMRT_INT, 32, false},
      {"i8", SSMRT_INT, 64, false},   {"u1", SSMRT_UINT, 8, false},
      {"u2", SSMRT_UINT, 16, false},  {"u4", SSMRT_UINT, 32, false},
      {"u8", SSMRT_UINT, 64, false},  {"b1", SSMRT_BOOL, 8, false},
  };
  if (!*descr || !strchr("<|>=", *descr))
    return false;
  for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); ++i) {
    if (strcmp(descr + 1, dtypes[i].name) != 0)
      continue;
    *dtype = ssmrtDType(dtypes[i].code, dtypes[i].bits);
    *isComplex = dtypes[i].isComplex;
    return *descr == '<' || dtypes[i].bits == 8;
  }
  return false;
}

static ssmrt_status checkFields(const char *path, const Fields *fields,
                                uint64_t left, ssmrtNPYHeader *header) {
  bool isComplex = false;
  if (!findDType(fields->descr, &header->dtype, &isComplex))
    return ssmrtFail(SSMRT_BAD_FILE,
                     "%s: dtype '%s'; wanted '|b1', '|i1', '|u1' or a little "
                     "endian '<i2' to '<i8', '<u2' to '<u8', '<f2', '<f4', "
                     "'<f8', '<c8', '<c16'",
                     path, fields->descr);
  if (fields->isFortran && header->ndim > 1)
    return ssmrtFail(SSMRT_BAD_FILE,
                     "%s: the array is in Fortran order; wanted C order "
                     "(numpy.ascontiguousarray)",
                     path);
  ssmrtText text = {0};
  ssmrtAppendShape(&text, header->shape, header->ndim);
  if (isComplex) {
    if (header->ndim == SSMRT_MAX_DIMS)
      return ssmrtFail(SSMRT_BAD_FILE,
                       "%s: a complex array of %d dimensions; wanted fewer",
                       path, SSMRT_MAX_DIMS);
    header->shape[header->ndim++] = 2;
  }
  int64_t bytes;
  if (!ssmrtNumElements(header->shape, header->ndim, &bytes) ||
      !ssmrtMul(bytes, header->dtype.bits / 8, &bytes) ||
      (uint64_t)bytes != left)
    return ssmrtFail(SSMRT_BAD_FILE,
                     "%s: %llu bytes of data; wanted as many as shape %s of "
                     "'%s' has",
                     path, (unsigned long long)left, text.data, fields->descr);
  header->dataBytes = left;
  return SSMRT_OK;
}

ssmrt_status ssmrtParseNPY(const char *path, const unsigned char *data,
                           uint64_t size, ssmrtNPYHeader *header) {
  memset(header, 0, sizeof(*header));
  enum { VersionEnd = SSMRT_NPY_MAGIC_BYTES + 2 };
  if (size < VersionEnd ||
      memcmp(data, SSMRT_NPY_MAGIC, SSMRT_NPY_MAGIC_BYTES) != 0)
    return ssmrtFail(SSMRT_BAD_FILE,
                     "%s: not a .npy file: it does not begin with "
                     "'\\x93NUMPY' and a version",
                     path);
  unsigned major = data[SSMRT_NPY_MAGIC_BYTES];
  unsigned minor = data[SSMRT_NPY_MAGIC_BYTES + 1];
  if (major < 1 || major > 3 || minor != 0)
    return ssmrtFail(SSMRT_BAD_FILE,
                     "%s: .npy version %u.%u; wanted 1.0, 2.0 or 3.0", path,
                     major, minor);
  uint64_t lengthBytes = major == 1 ? 2 : 4, length = 0;
  if (size - VersionEnd < lengthBytes)
    return ssmrtFail(SSMRT_BAD_FILE, "%s: the file ends within its header",
                     path);
  for (uint64_t i = lengthBytes; i-- > 0;)
    length = length << 8 | data[VersionEnd + i];
  header->dataOffset = VersionEnd + lengthBytes + length;
  if (header->dataOffset > size)
    return ssmrtFail(SSMRT_BAD_FILE,
                     "%s: a header of %llu bytes; the file has %llu left", path,
                     (unsigned long long)length,
                     (unsigned long long)(size - VersionEnd - lengthBytes));
  const char *text = (const char *)data + VersionEnd + lengthBytes;
  Reader reader = {path, (const char *)data, text, text + length};
  Fields fields = {{0}, false};
  ssmrt_status status = readDictionary(&reader, header, &fields);
  return status == SSMRT_OK
             ? checkFields(path, &fields, size - header->dataOffset, header)
             : status;
}

/*===----------------------------------------------------------------------===*\
|* Files                                                                      *|
\*===----------------------------------------------------------------------===*/

/* The data is copied: it may be odd in the file, and inputs want alignment. */
static ssmrt_status readArray(const char *path, const ssmrtFile *file,
                              ssmrt_array *array, ssmrt_tensor *tensor) {
  ssmrtNPYHeader header;
  ssmrt_status status = ssmrtParseNPY(path, file->data, file->size, &header);
  if (status != SSMRT_OK)
    return status;
  if (posix_memalign(&array->data, SSMRT_ALIGNMENT,
                     header.dataBytes ? header.dataBytes : 1)) {
    array->data = NULL;
    return ssmrtFailMemory(header.dataBytes, path);
  }
  memcpy(array->data, file->data + header.dataOffset, header.dataBytes);
  memcpy(array->shape, header.shape, sizeof(array->shape));
  *tensor =
      ssmrtMakeTensor(array->data, header.dtype, header.ndim, array->shape);
  return SSMRT_OK;
}

ssmrt_status ssmrt_npy_read(const char *path, ssmrt_array **array,
                            ssmrt_tensor *tensor) {
  if (!path || !array || !tensor)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "ssmrt_npy_read: null %s",
                     path ? "result" : "path");
  *array = NULL;
  ssmrt_array *result = calloc(1, sizeof(*result));
  if (!result)
    return ssmrtFailMemory(sizeof(*result), "an array");
  ssmrtFile file;
  ssmrt_status status = ssmrtMapFile(path, &file);
  if (status == SSMRT_OK) {
    status = readArray(path, &file, result, tensor);
    ssmrtUnmapFile(&file);
  }
  if (status != SSMRT_OK)
    ssmrt_array_free(result);
  else
    *array = result;
  return status;
}

void ssmrt_array_free(ssmrt_array *array) {
  if (!array)
    return;
  free(array->data);
  free(array);
}
