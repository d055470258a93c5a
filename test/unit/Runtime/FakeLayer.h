/*===- FakeLayer.h - What layers written by hand have in common --*- C -*-===*\
|*                                                                            *|
|* The description and the sizes of a decaying sum, s = a * s + u, y = s *    *|
|* scale, for FakeModule.c and FakeCUDAModule.c, which have the code. Small   *|
|* enough to see what it should give; it has every kind of value that the     *|
|* runtime handles: an optional weight, an optional input, and a state whose  *|
|* batch is not its first axis.                                               *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SSMRT_UNIT_FAKELAYER_H
#define SSMRT_UNIT_FAKELAYER_H

#include "ssmrt/ssmrt.h"

enum { NumChannels = 3 };

static int64_t roundUp(int64_t bytes) { return (bytes + 63) / 64 * 64; }

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

#define F32 {SSMRT_FLOAT, 32, 1}
#define I64 {SSMRT_INT, 64, 1}

static const int64_t channels[] = {NumChannels};
static const int64_t sequence[] = {SSMRT_BATCH, SSMRT_LENGTH, NumChannels};
static const int64_t rows[] = {SSMRT_BATCH};
static const int64_t rowsOfChannels[] = {SSMRT_BATCH, NumChannels};
static const int64_t countsOfRows[] = {2, SSMRT_BATCH};

static const ssmrt_value_info inputs[] = {
    {"u", F32, 3, sequence, 0, 0, 0},
    {"gain", F32, 1, rows, SSMRT_OPTIONAL, 0, 0},
};
static const ssmrt_value_info outputs[] = {{"y", F32, 3, sequence, 0, 0, 0}};
static const ssmrt_value_info states[] = {
    {"s", F32, 2, rowsOfChannels, 0, 0, 0},
    {"count", I64, 2, countsOfRows, 0, 0, 0},
};

/* The fields of the module that both have; `weights`, `getTableBytes`, `prepare`
 * and `forward` are those of the file. */
#define FAKE_LAYER                                                             \
  .magic = SSMRT_MAGIC, .abi_version = SSMRT_ABI_VERSION,                      \
  .struct_size = sizeof(ssmrt_module), .name = "fake", .layer = "Fake",        \
  .compiler = "hand", .num_weights = 3, .num_inputs = 2, .num_outputs = 1,     \
  .num_states = 2, .weights = weights, .inputs = inputs, .outputs = outputs,   \
  .states = states, .prepared_bytes = getTableBytes,                           \
  .state_bytes = getStateBytes, .forward_workspace_bytes = getForwardBytes,    \
  .step_workspace_bytes = getStepBytes, .prepare = prepare,                    \
  .forward = forward, .step = forward, .num_axes = 1

#endif /* SSMRT_UNIT_FAKELAYER_H */
