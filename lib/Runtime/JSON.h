/*===- JSON.h - A pull parser for JSON that trusts nothing -------*- C -*-===*\
|*                                                                            *|
|* Reads a text of known size front to back, once. Strict RFC 8259: UTF-8 is  *|
|* checked, nesting is limited, numbers that are asked for are integers.      *|
|* Nothing is copied but strings, into the caller's buffer.                   *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SSMRT_JSON_H
#define SSMRT_JSON_H

#include "Internal.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { JSONMaxDepth = 64 };

typedef struct ssmrtJSON {
  const char *path; /* for messages */
  const unsigned char *begin, *next, *end;
} ssmrtJSON;

/* A decoded string; not terminated while parsing, terminated when done. */
typedef struct ssmrtString {
  char *data;
  size_t size;
} ssmrtString;

ssmrtJSON ssmrtJSONOpen(const char *path, const void *text, uint64_t size);

/* Each consumes white space and then what it is named after, or fails with a
 * message that names the file and the offset. */
ssmrt_status ssmrtJSONExpect(ssmrtJSON *json, char wanted, const char *where);
/* Whether the next token begins with `c`; consumes it if so. */
bool ssmrtJSONTake(ssmrtJSON *json, char c);
/* Appends the decoded string and a NUL at `*room`, which has space for as many
 * bytes as the text has left, and advances it. A string with a NUL inside is
 * refused: names are C strings. */
ssmrt_status ssmrtJSONString(ssmrtJSON *json, char **room, const char *where,
                             ssmrtString *result);
/* An integer from 0 to 2^63-1. */
ssmrt_status ssmrtJSONInteger(ssmrtJSON *json, const char *where,
                              int64_t *result);
/* Checks and skips any value. */
ssmrt_status ssmrtJSONSkip(ssmrtJSON *json);
/* After the last value: only white space is left. */
ssmrt_status ssmrtJSONEnd(ssmrtJSON *json);

ssmrt_status ssmrtJSONFail(const ssmrtJSON *json, const char *wanted,
                           const char *where);

#ifdef __cplusplus
}
#endif

#endif /* SSMRT_JSON_H */
