/*===- Suggest.c - Near names ---------------------------------------------===*\
|*                                                                            *|
|* A name that is not in a checkpoint is mostly one that is, behind another   *|
|* prefix or with a slip of the pen. Both are looked for.                     *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "Weights.h"

#include <string.h>

enum { MaxName = 256, MaxSuggestions = 3 };

/* Levenshtein's distance; anything above `limit` may come back as limit + 1. */
static int getDistance(const char *a, size_t aSize, const char *b, size_t bSize,
                       int limit) {
  int row[MaxName + 1];
  for (size_t j = 0; j <= bSize; ++j)
    row[j] = (int)j;
  for (size_t i = 1; i <= aSize; ++i) {
    int diagonal = row[0], best;
    best = row[0] = (int)i;
    for (size_t j = 1; j <= bSize; ++j) {
      int change = diagonal + (a[i - 1] != b[j - 1]);
      int gap = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
      diagonal = row[j];
      row[j] = change < gap ? change : gap;
      if (row[j] < best)
        best = row[j];
    }
    if (best > limit)
      return limit + 1;
  }
  return row[bSize];
}

/* "model.layers.0.A" ends with "layers.0.A", at a dot. */
static bool hasTail(const char *name, size_t size, const char *tail,
                    size_t tailSize) {
  return size > tailSize && tailSize > 0 &&
         name[size - tailSize - 1] == '.' &&
         memcmp(name + size - tailSize, tail, tailSize) == 0;
}

/* Components, separated by dots, that both names end with. */
static int countCommonTail(const char *a, size_t aSize, const char *b,
                           size_t bSize) {
  int components = 0;
  while (aSize > 0 && bSize > 0 && a[aSize - 1] == b[bSize - 1]) {
    --aSize;
    --bSize;
    components += a[aSize] == '.';
  }
  return components;
}

static int getScore(const char *name, size_t size, const char *other,
                    int limit) {
  size_t otherSize = strlen(other);
  if (otherSize > MaxName)
    return limit + 1;
  if (hasTail(name, size, other, otherSize) ||
      hasTail(other, otherSize, name, size))
    return 1;
  int distance = getDistance(name, size, other, otherSize, limit * 4);
  int common = countCommonTail(name, size, other, otherSize);
  return distance / (1 + common);
}

void ssmrtSuggest(const ssmrtEntry *const *entries, int64_t count,
                  const char *name, ssmrtText *text) {
  const char *names[MaxSuggestions];
  int scores[MaxSuggestions], found = 0;
  size_t size = strlen(name);
  if (size > MaxName)
    return;
  int limit = 2 + (int)size / 4;
  for (int64_t i = 0; i < count; ++i) {
    int score = getScore(name, size, entries[i]->name, limit);
    if (score > limit)
      continue;
    int place = found;
    while (place > 0 && scores[place - 1] > score)
      --place;
    if (place == MaxSuggestions)
      continue;
    if (found < MaxSuggestions)
      ++found;
    for (int j = found - 1; j > place; --j) {
      names[j] = names[j - 1];
      scores[j] = scores[j - 1];
    }
    names[place] = entries[i]->name;
    scores[place] = score;
  }
  /* Beside a very near name, the others only distract. */
  for (int i = 0; i < found && scores[i] <= 2 * scores[0] + 2; ++i)
    ssmrtAppend(text, "%s'%s'", i == 0 ? "; nearest: " : ", ", names[i]);
}
