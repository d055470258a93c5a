/*===- JSON.c - A pull parser for JSON that trusts nothing ----------------===*\
|*                                                                            *|
|* Strings, numbers and skipping. The structure of a document is its reader's *|
|* business: it asks for what it wants, token by token.                       *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "JSON.h"

#include <string.h>

ssmrtJSON ssmrtJSONOpen(const char *path, const void *text, uint64_t size) {
  ssmrtJSON json = {path, text, text, (const unsigned char *)text + size};
  return json;
}

ssmrt_status ssmrtJSONFail(const ssmrtJSON *json, const char *wanted,
                           const char *where) {
  ssmrtText found = {0};
  if (json->next == json->end)
    ssmrtAppend(&found, "the end");
  else if (*json->next < 0x20 || *json->next >= 0x7F)
    ssmrtAppend(&found, "byte 0x%02X", *json->next);
  else
    ssmrtAppend(&found, "'%c'", *json->next);
  return ssmrtFail(SSMRT_BAD_FILE,
                   "%s: malformed JSON at offset %lld%s%s: wanted %s, found %s",
                   json->path, (long long)(json->next - json->begin),
                   *where ? " in " : "", where, wanted, found.data);
}

static void skipSpace(ssmrtJSON *json) {
  while (json->next < json->end &&
         (*json->next == ' ' || *json->next == '\n' || *json->next == '\r' ||
          *json->next == '\t'))
    ++json->next;
}

bool ssmrtJSONTake(ssmrtJSON *json, char c) {
  skipSpace(json);
  if (json->next == json->end || *json->next != (unsigned char)c)
    return false;
  ++json->next;
  return true;
}

ssmrt_status ssmrtJSONExpect(ssmrtJSON *json, char wanted, const char *where) {
  if (ssmrtJSONTake(json, wanted))
    return SSMRT_OK;
  char text[] = {'\'', wanted, '\'', '\0'};
  return ssmrtJSONFail(json, text, where);
}

ssmrt_status ssmrtJSONEnd(ssmrtJSON *json) {
  skipSpace(json);
  return json->next == json->end ? SSMRT_OK
                                 : ssmrtJSONFail(json, "nothing more", "");
}

/*===----------------------------------------------------------------------===*\
|* Strings                                                                    *|
\*===----------------------------------------------------------------------===*/

/* Length of the well-formed UTF-8 sequence at `text`; 0 if there is none. No
 * overlong forms, no surrogates, nothing above U+10FFFF. */
static int getSequenceLength(const unsigned char *text,
                             const unsigned char *end) {
  unsigned char first = *text;
  if (first < 0x80)
    return 1;
  int length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || end - text < length)
    return 0;
  unsigned char low = 0x80, high = 0xBF;
  if (first == 0xE0)
    low = 0xA0;
  else if (first == 0xED)
    high = 0x9F;
  else if (first == 0xF0)
    low = 0x90;
  else if (first == 0xF4)
    high = 0x8F;
  if (text[1] < low || text[1] > high)
    return 0;
  for (int i = 2; i < length; ++i)
    if ((text[i] & 0xC0) != 0x80)
      return 0;
  return length;
}

static char *encode(uint32_t point, char *to) {
  if (point < 0x80) {
    *to++ = (char)point;
  } else if (point < 0x800) {
    *to++ = (char)(0xC0 | point >> 6);
    *to++ = (char)(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    *to++ = (char)(0xE0 | point >> 12);
    *to++ = (char)(0x80 | (point >> 6 & 0x3F));
    *to++ = (char)(0x80 | (point & 0x3F));
  } else {
    *to++ = (char)(0xF0 | point >> 18);
    *to++ = (char)(0x80 | (point >> 12 & 0x3F));
    *to++ = (char)(0x80 | (point >> 6 & 0x3F));
    *to++ = (char)(0x80 | (point & 0x3F));
  }
  return to;
}

static bool readHex4(ssmrtJSON *json, uint32_t *result) {
  *result = 0;
  if (json->end - json->next < 4)
    return false;
  for (int i = 0; i < 4; ++i) {
    unsigned char c = json->next[i];
    uint32_t digit;
    if (c >= '0' && c <= '9')
      digit = c - '0';
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
      digit = (c | 0x20) - 'a' + 10;
    else
      return false;
    *result = *result << 4 | digit;
  }
  json->next += 4;
  return true;
}

/* After "\u": a code point, from a pair of surrogates if need be. */
static bool readUnicode(ssmrtJSON *json, uint32_t *point) {
  if (!readHex4(json, point))
    return false;
  if (*point < 0xD800 || *point > 0xDFFF)
    return *point != 0;
  uint32_t low;
  if (*point > 0xDBFF || json->end - json->next < 2 || json->next[0] != '\\' ||
      json->next[1] != 'u')
    return false;
  json->next += 2;
  if (!readHex4(json, &low) || low < 0xDC00 || low > 0xDFFF)
    return false;
  *point = 0x10000 + ((*point - 0xD800) << 10) + (low - 0xDC00);
  return true;
}

static bool readEscape(ssmrtJSON *json, uint32_t *point) {
  static const char escapes[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  if (json->next == json->end)
    return false;
  unsigned char c = *json->next;
  if (c == 'u') {
    ++json->next;
    return readUnicode(json, point);
  }
  const char *found = c ? strchr(escapes, c) : NULL;
  if (!found)
    return false;
  ++json->next;
  *point = (uint32_t)values[found - escapes];
  return true;
}

/* The decoded form is never longer than the text, so that a buffer of the size
 * of the text holds all strings in it. NULL only checks. */
static ssmrt_status readString(ssmrtJSON *json, char **room,
                               const char *where) {
  if (!ssmrtJSONTake(json, '"'))
    return ssmrtJSONFail(json, "a string", where);
  char *to = room ? *room : NULL;
  while (json->next < json->end && *json->next != '"') {
    if (*json->next < 0x20)
      return ssmrtJSONFail(json, "no control character in a string", where);
    if (*json->next == '\\') {
      ++json->next;
      uint32_t point = 0;
      if (!readEscape(json, &point))
        return ssmrtJSONFail(
            json, "an escape sequence of JSON, and not \\u0000", where);
      if (to)
        to = encode(point, to);
      continue;
    }
    int length = getSequenceLength(json->next, json->end);
    if (length == 0)
      return ssmrtJSONFail(json, "UTF-8", where);
    if (to) {
      memcpy(to, json->next, (size_t)length);
      to += length;
    }
    json->next += length;
  }
  if (json->next == json->end)
    return ssmrtJSONFail(json, "the end of a string", where);
  ++json->next;
  if (room)
    *room = to;
  return SSMRT_OK;
}

ssmrt_status ssmrtJSONString(ssmrtJSON *json, char **room, const char *where,
                             ssmrtString *result) {
  result->data = *room;
  ssmrt_status status = readString(json, room, where);
  if (status != SSMRT_OK)
    return status;
  result->size = (size_t)(*room - result->data);
  *(*room)++ = '\0'; /* where the text has a quote */
  return SSMRT_OK;
}

/*===----------------------------------------------------------------------===*\
|* Numbers and other values                                                   *|
\*===----------------------------------------------------------------------===*/

static bool isDigit(const ssmrtJSON *json) {
  return json->next < json->end && *json->next >= '0' && *json->next <= '9';
}

ssmrt_status ssmrtJSONInteger(ssmrtJSON *json, const char *where,
                              int64_t *result) {
  static const char wanted[] = "an integer from 0 to 2^63-1";
  skipSpace(json);
  if (!isDigit(json))
    return ssmrtJSONFail(json, wanted, where);
  bool isZero = *json->next == '0';
  *result = 0;
  int digits = 0;
  for (; isDigit(json); ++json->next, ++digits)
    if (!ssmrtMul(*result, 10, result) ||
        !ssmrtAdd(*result, *json->next - '0', result))
      return ssmrtJSONFail(json, wanted, where);
  if ((isZero && digits > 1) ||
      (json->next < json->end && strchr(".eE", *json->next) && *json->next))
    return ssmrtJSONFail(json, wanted, where);
  return SSMRT_OK;
}

static bool skipDigits(ssmrtJSON *json) {
  if (!isDigit(json))
    return false;
  while (isDigit(json))
    ++json->next;
  return true;
}

static bool skipNumber(ssmrtJSON *json) {
  if (*json->next == '-')
    ++json->next;
  bool isZero = json->next < json->end && *json->next == '0';
  if (isZero)
    ++json->next;
  else if (!skipDigits(json))
    return false;
  if (json->next < json->end && *json->next == '.') {
    ++json->next;
    if (!skipDigits(json))
      return false;
  }
  if (json->next < json->end && (*json->next | 0x20) == 'e') {
    ++json->next;
    if (json->next < json->end && (*json->next == '+' || *json->next == '-'))
      ++json->next;
    return skipDigits(json);
  }
  return true;
}

static bool skipWord(ssmrtJSON *json, const char *word) {
  size_t size = strlen(word);
  if ((size_t)(json->end - json->next) < size ||
      memcmp(json->next, word, size) != 0)
    return false;
  json->next += size;
  return true;
}

static ssmrt_status skipScalar(ssmrtJSON *json) {
  skipSpace(json);
  if (json->next == json->end)
    return ssmrtJSONFail(json, "a value", "");
  if (*json->next == '"')
    return readString(json, NULL, "");
  bool good = *json->next == '-' || isDigit(json)
                  ? skipNumber(json)
                  : skipWord(json, "true") || skipWord(json, "false") ||
                        skipWord(json, "null");
  return good ? SSMRT_OK : ssmrtJSONFail(json, "a value", "");
}

/* One value, with the brackets open around it on a stack of our own: depth is
 * limited by the array, not by the thread's stack. */
ssmrt_status ssmrtJSONSkip(ssmrtJSON *json) {
  char closers[JSONMaxDepth];
  int depth = 0;
  for (;;) {
    bool isObject = ssmrtJSONTake(json, '{');
    ssmrt_status status = SSMRT_OK;
    if (isObject || ssmrtJSONTake(json, '[')) {
      if (depth == JSONMaxDepth)
        return ssmrtJSONFail(json, "at most 64 levels of nesting", "");
      closers[depth++] = isObject ? '}' : ']';
      if (!ssmrtJSONTake(json, closers[depth - 1])) {
        if (isObject)
          status = readString(json, NULL, "");
        if (isObject && status == SSMRT_OK)
          status = ssmrtJSONExpect(json, ':', "");
        if (status != SSMRT_OK)
          return status;
        continue;
      }
      --depth;
    } else {
      status = skipScalar(json);
    }
    while (status == SSMRT_OK && depth > 0 &&
           ssmrtJSONTake(json, closers[depth - 1]))
      --depth;
    if (status != SSMRT_OK || depth == 0)
      return status;
    status = ssmrtJSONExpect(json, ',', "");
    if (status == SSMRT_OK && closers[depth - 1] == '}') {
      status = readString(json, NULL, "");
      if (status == SSMRT_OK)
        status = ssmrtJSONExpect(json, ':', "");
    }
    if (status != SSMRT_OK)
      return status;
  }
}
