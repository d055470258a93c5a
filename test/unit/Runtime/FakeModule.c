/*===- FakeModule.c - A compiled layer, written by hand -------------------===*\
|*                                                                            *|
|* That of FakeLayer.h for the CPU; one weight is packed, one is borrowed.    *|
|* In C, as what ssmc emits needs no more: it is linked, and loaded as a      *|
|* shared object.                                                             *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "FakeLayer.h"

#include <string.h>

/* What prepare writes: the packed decay and a pointer to the borrowed scale. */
typedef struct Tables {
  float decay[NumChannels];
  float offset;
  const float *scale;
} Tables;

static int64_t getTableBytes(int64_t maxLength) {
  (void)maxLength;
  return sizeof(Tables);
}

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

static const ssmrt_value_info weights[] = {
    {"decay", F32, 1, channels, 0, 0, 0},
    {"scale", F32, 1, channels, SSMRT_BORROWED, 0, 0},
    {"offset", F32, 0, NULL, SSMRT_OPTIONAL, 0, 0},
};
static const ssmrt_module module = {
    FAKE_LAYER,
    .target = "cpu generic",
    .hash = 0x1234,
    .device_type = SSMRT_CPU,
};

const ssmrt_module *fake_module(void) { return &module; }
const ssmrt_module *ssmrt_modules(void) { return &module; }
