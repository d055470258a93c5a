/*===- Weights.h - Tensors of weight files -----------------------*- C -*-===*\
|*                                                                            *|
|* What the reader of one file, the reader of an index and the public calls   *|
|* share.                                                                     *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SSMRT_WEIGHTS_H
#define SSMRT_WEIGHTS_H

#include "Internal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The largest header or index that is read; the reference reader's limit. */
#define SSMRT_MAX_HEADER UINT64_C(100000000)

/* One tensor of a file. Names and shapes live in the file's arenas. */
typedef struct ssmrtEntry {
  const char *name;
  const char *dtypeName; /* as in the file */
  ssmrt_dtype dtype;     /* lanes 0: a dtype without a counterpart here */
  int64_t ndim;
  int64_t *shape;
  const unsigned char *data;
  uint64_t begin, end; /* within the data of its file */
} ssmrtEntry;

/* One parsed file: entries in the order of the header, and `sorted`, the same
 * entries by name. */
typedef struct ssmrtShard {
  char *path;
  ssmrtFile file;
  void *copies; /* of tensors at odd addresses in the file */
  char *names;
  int64_t *extents;
  ssmrtEntry *entries;
  int64_t count;
  const ssmrtEntry **sorted;
} ssmrtShard;

struct ssmrt_weights {
  char *path;
  ssmrtShard *shards;
  int64_t numShards;
  const ssmrtEntry **entries; /* in the file's order; of an index, by name */
  const ssmrtEntry **sorted;  /* by name */
  int64_t count;
};

/* Parses a whole file in memory. The shard keeps pointers into `data`. */
ssmrt_status ssmrtParseSafetensors(const char *path, const void *data,
                                   uint64_t size, ssmrtShard *shard);
/* Maps and parses. On failure the shard is empty. */
ssmrt_status ssmrtOpenShard(const char *path, ssmrtShard *shard);
void ssmrtCloseShard(ssmrtShard *shard);

/* Opens the shards of an index and fills the entries, unsorted. */
ssmrt_status ssmrtReadIndex(const char *path, ssmrt_weights *weights);
/* The part that needs no other file: checks the text of an index. */
ssmrt_status ssmrtParseIndex(const char *path, const void *data, uint64_t size);

/* Sorts by name and finds in what was sorted. */
void ssmrtSortEntries(const ssmrtEntry **entries, int64_t count);
const ssmrtEntry *ssmrtFindEntry(const ssmrtEntry *const *sorted, int64_t count,
                                 const char *name);

/* Appends "; nearest: 'a', 'b'" for a name that is not among the entries. */
void ssmrtSuggest(const ssmrtEntry *const *entries, int64_t count,
                  const char *name, ssmrtText *text);

#ifdef __cplusplus
}
#endif

#endif /* SSMRT_WEIGHTS_H */
