/*===- FakeModule.c - A compiled layer, written by hand -------------------===*\
|*                                                                            *|
|* A decaying sum: s = a * s + u, y = s * scale. Small enough to see what it  *|
|* should give; it has every kind of value that the runtime handles: a weight *|
|* that is packed, one that is borrowed and one that is optional, an optional *|
|* input, and a state whose batch is not its first axis. In C, as what ssmc   *|
|* emits needs no more: it is linked, and loaded as a shared object.          *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "ssmrt/ssmrt.h"

#include <string.h>

enum { NumChannels = 3 };

/* What prepare writes: the packed decay and a pointer to the borrowed scale. */
typedef struct Tables {
  float decay[NumChannels];
  float offset;
  const float *scale;
} Tables;

static int64_t roundUp(int64_t bytes) { return (bytes + 63) / 64 * 64; }

static int64_t getTableBytes(int64_t maxLength) {
  (void)maxLength;
  return sizeof(Tables);
}

static int64_t getSumBytes(int64_t batch) {
  return roundUp(batch * NumChannels * (int64_t)sizeof(float));
}

static int64_t getStateBytes(int64_t batch, int64_t maxLength) {
  (void)maxLength;
  return getSumBytes(batch) + roundUp(2 * batch * (int64_t)sizeof(int64_t));
}

static int64_t getForwardBytes(int64_t batch, const int64_t *lengths) {
  (void)lengths;
  return batch * 64;
}

static int64_t getStepBytes(int64_t batch) { return batch * 64; }

static void prepare(const ssmrt_frame *frame) {
  Tables tables;
  memset(&tables, 0, sizeof(tables));
  memcpy(tables.decay, frame->inputs[0], sizeof(tables.decay));
  tables.scale = frame->inputs[1];
  if (frame->inputs[2])
    tables.offset = *(const float *)frame->inputs[2];
  memcpy(frame->prepared, &tables, sizeof(tables));
}

/* Rows [begin, end) of the batch. The sums go through the workspace, so that a
 * workspace that is too small or shared shows. */
static void scanRows(void *closure, int64_t begin, int64_t end) {
  const ssmrt_frame *frame = closure;
  const Tables *tables = frame->prepared;
  const float *u = frame->inputs[0], *gain = frame->inputs[1];
  float *y = frame->outputs[0], *sums = frame->state;
  int64_t *counts =
      (int64_t *)((char *)frame->state + getSumBytes(frame->batch));
  for (int64_t b = begin; b < end; ++b) {
    float *local = (float *)((char *)frame->workspace + b * 64);
    memcpy(local, sums + b * NumChannels, NumChannels * sizeof(float));
    for (int64_t t = 0; t < frame->length; ++t) {
      for (int64_t c = 0; c < NumChannels; ++c) {
        int64_t at = (b * frame->length + t) * NumChannels + c;
        local[c] = tables->decay[c] * local[c] + u[at];
        y[at] = local[c] * tables->scale[c] * (gain ? gain[b] : 1) +
                tables->offset;
      }
    }
    memcpy(sums + b * NumChannels, local, NumChannels * sizeof(float));
    counts[b] += frame->length;
    counts[frame->batch + b] = frame->position + frame->length;
  }
}

static void forward(const ssmrt_frame *frame) {
  frame->context->parallel_for(frame->context, scanRows,
                               (void *)(uintptr_t)frame, frame->batch,
                               /*cost=*/0);
}

#define F32 {SSMRT_FLOAT, 32, 1}
#define I64 {SSMRT_INT, 64, 1}

static const int64_t channels[] = {NumChannels};
static const int64_t sequence[] = {SSMRT_BATCH, SSMRT_LENGTH, NumChannels};
static const int64_t rows[] = {SSMRT_BATCH};
static const int64_t rowsOfChannels[] = {SSMRT_BATCH, NumChannels};
static const int64_t countsOfRows[] = {2, SSMRT_BATCH};

static const ssmrt_value_info weights[] = {
    {"decay", F32, 1, channels, 0, 0, 0},
    {"scale", F32, 1, channels, SSMRT_BORROWED, 0, 0},
    {"offset", F32, 0, NULL, SSMRT_OPTIONAL, 0, 0},
};
static const ssmrt_value_info inputs[] = {
    {"u", F32, 3, sequence, 0, 0, 0},
    {"gain", F32, 1, rows, SSMRT_OPTIONAL, 0, 0},
};
static const ssmrt_value_info outputs[] = {{"y", F32, 3, sequence, 0, 0, 0}};
static const ssmrt_value_info states[] = {
    {"s", F32, 2, rowsOfChannels, 0, 0, 0},
    {"count", I64, 2, countsOfRows, 0, 0, 0},
};

static const ssmrt_module module = {
    .magic = SSMRT_MAGIC,
    .abi_version = SSMRT_ABI_VERSION,
    .struct_size = sizeof(ssmrt_module),
    .name = "fake",
    .layer = "Fake",
    .target = "cpu generic",
    .compiler = "hand",
    .hash = 0x1234,
    .num_weights = 3,
    .num_inputs = 2,
    .num_outputs = 1,
    .num_states = 2,
    .weights = weights,
    .inputs = inputs,
    .outputs = outputs,
    .states = states,
    .prepared_bytes = getTableBytes,
    .state_bytes = getStateBytes,
    .forward_workspace_bytes = getForwardBytes,
    .step_workspace_bytes = getStepBytes,
    .prepare = prepare,
    .forward = forward,
    .step = forward,
    .num_axes = 1,
    .device_type = SSMRT_CPU,
};

const ssmrt_module *fake_module(void) { return &module; }
const ssmrt_module *ssmrt_modules(void) { return &module; }
