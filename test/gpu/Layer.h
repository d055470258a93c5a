/*===- Layer.h - A compiled layer on a GPU, with its tensors -----*- C -*-===*\
|*                                                                            *|
|* Every function ends the program where the runtime fails.                   *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SSMRT_TEST_GPU_LAYER_H
#define SSMRT_TEST_GPU_LAYER_H

#include "ssmrt/ssmrt.h"

#include <stdbool.h>

/* One value of the layer: in host memory and on the device. */
typedef struct Value {
  const ssmrt_value_info *info;
  bool isThere;
  int64_t shape[SSMRT_MAX_DIMS], bytes;
  ssmrt_tensor host, device;
} Value;

typedef struct Layer {
  const ssmrt_module *module;
  ssmrt_context *context;
  void *stream;
  int device;
  int64_t batch, lengths[SSMRT_MAX_AXES];
  Value inputs[SSMRT_MAX_VALUES], outputs[SSMRT_MAX_VALUES];
  void *prepared, *preparedPayload, *state, *statePayload, *workspace;
  int64_t preparedBytes, stateBytes;
} Layer;

/* Ends the program with the runtime's message unless `status` is SSMRT_OK. */
void check(ssmrt_status status);

/* A size below zero is the failure of the call that it comes from. */
void *allocate_host(int64_t bytes);
void *allocate_device(const Layer *layer, int64_t bytes);

/* The shape of the value's description; `length` is that of the first sequence, below
 * zero the layer's own. */
void resolve_shape(const Layer *layer, Value *value, int64_t length);
/* Memory on both sides, of the value's shape. */
void allocate_value(const Layer *layer, Value *value, int32_t ndim);
/* Memory for `count` tokens of a value, if it is there. */
void make_part(const Layer *layer, const Value *whole, Value *part,
               int64_t count);
void free_part(const Layer *layer, Value *part);

void upload(const Layer *layer, const Value *value);
void download(const Layer *layer, const Value *value);
/* Copies the tokens [at, at + count) of a sequence in host memory from or to an
 * array of just these; or the whole array where it has no sequence. */
void copy_tokens(const Layer *layer, Value *whole, Value *part, int64_t at,
                 int64_t count, bool toPart);

int64_t longest_of(const Layer *layer);
void reset(const Layer *layer);
void call(const Layer *layer, const Value *inputs, const Value *outputs,
          void *state, bool isStep);

/* Captures forward (or one step) into a graph, replays it, and prints its times. */
void measure(Layer *layer, bool isStep, int samples);
/* The same for the tables that are made on the device; the bytes are those of all. */
void measure_tables(Layer *layer, int samples);

/* Runs the last row of the batch alone, and compares it with what the layer's outputs
 * have of it: fails where numbers differ by more than `tolerance` of the largest. */
void compare_last_row(Layer *layer, double tolerance);

#endif /* SSMRT_TEST_GPU_LAYER_H */
