/*===- FakeCUDAModule.c - A compiled layer for a GPU, written by hand -----===*\
|*                                                                            *|
|* That of FakeLayer.h: prepare as on the CPU, forward as host code that      *|
|* launches a kernel through its context. The kernel is a function here,      *|
|* which the fake driver calls with what was launched.                        *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "FakeCUDAModule.h"
#include "FakeLayer.h"

#include <string.h>

typedef struct Tables {
  float decay[NumChannels], scale[NumChannels];
  float offset;
} Tables;

static int64_t getTableBytes(int64_t maxLength) {
  (void)maxLength;
  return sizeof(Tables);
}

static void prepare(const ssmrt_frame *frame) {
  Tables tables;
  memset(&tables, 0, sizeof(tables));
  memcpy(tables.decay, frame->inputs[0], sizeof(tables.decay));
  memcpy(tables.scale, frame->inputs[1], sizeof(tables.scale));
  if (frame->inputs[2])
    tables.offset = *(const float *)frame->inputs[2];
  memcpy(frame->prepared, &tables, sizeof(tables));
}

const int fake_decaying_sum_arguments = 9;

/* All rows, whatever the grid; the sums go through the workspace. */
void fake_decaying_sum(const fake_launch *launch, void **arguments) {
  (void)launch;
  const Tables *tables = *(void **)arguments[0];
  const float *u = *(void **)arguments[1], *gain = *(void **)arguments[2];
  float *y = *(void **)arguments[3], *sums = *(void **)arguments[4];
  int64_t *counts = *(void **)arguments[5];
  char *workspace = *(void **)arguments[6];
  int64_t batch = *(int64_t *)arguments[7], length = *(int64_t *)arguments[8];
  for (int64_t b = 0; b < batch; ++b) {
    float *local = (float *)(void *)(workspace + b * 64);
    memcpy(local, sums + b * NumChannels, NumChannels * sizeof(float));
    for (int64_t t = 0; t < length; ++t)
      for (int64_t c = 0; c < NumChannels; ++c) {
        int64_t at = (b * length + t) * NumChannels + c;
        local[c] = tables->decay[c] * local[c] + u[at];
        y[at] =
            local[c] * tables->scale[c] * (gain ? gain[b] : 1) + tables->offset;
      }
    memcpy(sums + b * NumChannels, local, NumChannels * sizeof(float));
    counts[b] += length;
    counts[batch + b] += length;
  }
}

static const char *const kernels[] = {"decaying_sum", "nothing"};
static const int32_t maxShared[] = {65536, 0};
static const char cubin[] = "cubin sm_90";
static const ssmrt_cubin cubins[] = {{90, 0, cubin, sizeof(cubin)}};
static const char ptx[] = ".version 7.8\n.target sm_80\n.address_size 64\n";
static const ssmrt_cuda_code code = {
    sizeof(ssmrt_cuda_code), 2, kernels, ptx,
    sizeof(ptx) - 1,         1, cubins,  maxShared};

static void forward(const ssmrt_frame *frame) {
  ssmrt_frame values = *frame;
  const void *u = frame->inputs[0], *gain = frame->inputs[1];
  void *y = frame->outputs[0];
  void *counts = (char *)frame->state + getSumBytes(frame->batch);
  void *arguments[] = {&values.prepared,
                       &u,
                       &gain,
                       &y,
                       &values.state,
                       &counts,
                       &values.workspace,
                       &values.batch,
                       &values.length};
  ssmrt_cuda_geometry geometry = {
      {(uint32_t)frame->batch, 1, frame->length > 0}, {32, 2, 1}, 50000, 0};
  frame->context->launch(frame->context, &code, 0, &geometry, arguments);
  ssmrt_cuda_geometry empty = {{1, 1, 1}, {1, 1, 1}, 0, 0};
  frame->context->launch(frame->context, &code, 1, &empty, NULL);
}

static const ssmrt_value_info weights[] = {
    {"decay", F32, 1, channels, 0, 0, 0},
    {"scale", F32, 1, channels, 0, 0, 0},
    {"offset", F32, 0, NULL, SSMRT_OPTIONAL, 0, 0},
};
static const ssmrt_module module = {
    FAKE_LAYER,
    .target = "cuda sm_80",
    .hash = 0x1235,
    .device_type = SSMRT_CUDA,
    .cuda_code = &code,
};

const ssmrt_module *fake_cuda_module(void) { return &module; }
#ifdef SSMRT_FAKE_LAYER_SHARED /* else the name is that of FakeModule.c */
const ssmrt_module *ssmrt_modules(void) { return &module; }
#endif
