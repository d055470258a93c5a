/*===- Error.c - The calling thread's last message ------------------------===*\
|*                                                                            *|
|* The only mutable state of the runtime: one buffer a thread.                *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "Internal.h"

#include <stdio.h>
#include <string.h>

static _Thread_local char lastError[1024];

const char *ssmrt_last_error(void) { return lastError; }

/* Cuts a truncated UTF-8 sequence off the end, and replaces what could drive a
 * terminal: names come from files that nobody vouches for. */
static void sanitize(char *text) {
  for (char *c = text; *c; ++c)
    if ((unsigned char)*c < 0x20 || *c == 0x7F)
      *c = '?';
  size_t size = strlen(text);
  size_t lead = size;
  while (lead > 0 && size - lead < 3 &&
         ((unsigned char)text[lead - 1] & 0xC0) == 0x80)
    --lead;
  if (lead == 0 || (unsigned char)text[lead - 1] < 0xC0)
    return;
  unsigned char first = (unsigned char)text[lead - 1];
  size_t wanted = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (size - lead + 1 < wanted)
    text[lead - 1] = '\0';
}

ssmrt_status ssmrtFail(ssmrt_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  /* Through a second buffer: an argument may be the previous message. */
  char message[sizeof(lastError)];
  vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  sanitize(message);
  memcpy(lastError, message, strlen(message) + 1);
  return status;
}

ssmrt_status ssmrtFailMemory(uint64_t bytes, const char *what) {
  return ssmrtFail(SSMRT_NO_MEMORY, "no memory for %llu bytes of %s",
                   (unsigned long long)bytes, what);
}

void ssmrtAppend(ssmrtText *text, const char *format, ...) {
  size_t room = sizeof(text->data) - text->size;
  va_list arguments;
  va_start(arguments, format);
  int written = vsnprintf(text->data + text->size, room, format, arguments);
  va_end(arguments);
  if (written > 0)
    text->size += (size_t)written < room ? (size_t)written : room - 1;
}

void ssmrtAppendShape(ssmrtText *text, const int64_t *shape, int64_t ndim) {
  ssmrtAppend(text, "[");
  for (int64_t i = 0; i < ndim; ++i) {
    if (i > 0)
      ssmrtAppend(text, ", ");
    if (shape[i] == SSMRT_BATCH)
      ssmrtAppend(text, "batch");
    else if (ssmrt_sequence_axis(shape[i]) == 0)
      ssmrtAppend(text, "length");
    else if (ssmrt_sequence_axis(shape[i]) > 0)
      ssmrtAppend(text, "length %d", ssmrt_sequence_axis(shape[i]) + 1);
    else
      ssmrtAppend(text, "%lld", (long long)shape[i]);
  }
  ssmrtAppend(text, "]");
}
