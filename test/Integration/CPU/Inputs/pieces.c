/* Runs a layer with embedded weights, one input and one output on a sequence in
 * pieces:
 *
 *   pieces LAYER.so INPUT.npy OUTPUT.npy PIECE...
 *
 * f100 is a call of 100 tokens, s100 are 100 steps, c goes on with a copy of the
 * state, r with its rows in the opposite order. w is a call of the whole sequence that
 * keeps no state, and with p100 before all others there are tables for 100 tokens. */

#include "ssmrt/ssmrt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(ssmrt_status status) {
  if (status == SSMRT_OK)
    return;
  fprintf(stderr, "pieces: %s\n", ssmrt_last_error());
  exit(1);
}

/* Filled with what is no state and no number. */
static void *allocate(int64_t bytes) {
  if (bytes < 0)
    check(SSMRT_NO_MEMORY);
  size_t size = ((size_t)bytes / SSMRT_ALIGNMENT + 1) * SSMRT_ALIGNMENT;
  void *block = aligned_alloc(SSMRT_ALIGNMENT, size);
  if (!block)
    exit(1);
  return memset(block, 0xff, size);
}

static const ssmrt_module *module;
static int64_t batch, length, rowIn, rowOut; /* bytes of a token of a row */
static int isReversed;

static int64_t tokenBytes(const ssmrt_value_info *info) {
  int64_t bytes = (int64_t)ssmrt_dtype_size(info->dtype);
  for (int32_t i = 2; i < info->ndim; ++i)
    bytes *= info->shape[i];
  return bytes;
}

/* The tokens [begin, begin + count) of all rows between a whole sequence and
 * the memory of a call. */
static void move(char *sequence, char *call, int64_t bytes, int64_t begin,
                 int64_t count, int isIn) {
  for (int64_t row = 0; row < batch; ++row) {
    int64_t to = isReversed ? batch - 1 - row : row;
    char *a = sequence + (row * length + begin) * bytes;
    char *b = call + to * count * bytes;
    memcpy(isIn ? b : a, isIn ? a : b, (size_t)(count * bytes));
  }
}

static ssmrt_tensor describe(const ssmrt_value_info *info, void *data,
                             int64_t *shape, int64_t count) {
  ssmrt_tensor tensor = {0};
  for (int32_t i = 0; i < info->ndim; ++i)
    shape[i] = info->shape[i];
  shape[0] = batch;
  shape[1] = count;
  tensor.data = data;
  tensor.device.device_type = 1;
  tensor.ndim = info->ndim;
  tensor.dtype = info->dtype;
  tensor.shape = shape;
  return tensor;
}

int main(int argc, char **argv) {
  void *library;
  ssmrt_array *array;
  ssmrt_tensor input;
  check(ssmrt_library_open(argv[1], &library));
  check(ssmrt_library_module(library, NULL, &module));
  check(ssmrt_module_check(module));
  check(ssmrt_npy_read(argv[2], &array, &input));
  batch = input.shape[0];
  length = input.shape[1];
  rowIn = tokenBytes(&module->inputs[0]);
  rowOut = tokenBytes(&module->outputs[0]);
  char *all = allocate(batch * length * rowOut);
  char *in = allocate(batch * length * rowIn);
  char *out = allocate(batch * length * rowOut);
  int first = argc > 4 && argv[4][0] == 'p' ? 5 : 4;
  int64_t tables = first == 5 ? atoll(argv[4] + 1) : length;
  void *prepared = allocate(ssmrt_prepared_bytes(module, tables));
  void *scratch = allocate(ssmrt_prepare_workspace_bytes(module, tables));
  void *workspace = allocate(ssmrt_workspace_bytes(module, batch, length));
  int64_t stateBytes = ssmrt_state_bytes(module, batch, length);
  void *state = allocate(stateBytes);
  check(ssmrt_prepare(module, NULL, NULL, 0, prepared, tables, scratch));
  check(ssmrt_state_reset(module, state, batch, length));
  int64_t shapes[2][SSMRT_MAX_DIMS];
  int64_t done = 0;
  for (int i = first; i < argc; ++i) {
    char kind = argv[i][0];
    if (kind == 'c' || kind == 'r') {
      void *next = allocate(stateBytes);
      int64_t *rows = allocate(batch * 8);
      for (int64_t row = 0; row < batch; ++row)
        rows[row] = batch - 1 - row;
      check(kind == 'c'
                ? ssmrt_state_copy(module, next, state)
                : ssmrt_state_select(module, next, state, rows, batch));
      isReversed ^= kind == 'r';
      free(rows);
      free(state);
      state = next;
      continue;
    }
    int64_t count = kind == 'w' ? length : atoll(argv[i] + 1);
    int64_t each = kind == 's' ? 1 : count;
    for (int64_t end = done + count; done < end; done += each) {
      ssmrt_tensor from = describe(&module->inputs[0], in, shapes[0], each);
      ssmrt_tensor to = describe(&module->outputs[0], out, shapes[1], each);
      move(input.data, in, rowIn, done, each, 1);
      check((kind == 's' ? ssmrt_step : ssmrt_forward)(
          module, NULL, prepared, &from, 1, &to, 1, kind == 'w' ? NULL : state,
          workspace));
      move(all, out, rowOut, done, each, 0);
    }
  }
  if (done != length) {
    fprintf(stderr, "pieces: %lld of %lld tokens\n", (long long)done,
            (long long)length);
    return 1;
  }
  int64_t shape[SSMRT_MAX_DIMS];
  ssmrt_tensor result = describe(&module->outputs[0], all, shape, length);
  check(ssmrt_npy_write(argv[3], &result));
  void *blocks[] = {all, in, out, prepared, scratch, workspace, state};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; ++i)
    free(blocks[i]);
  ssmrt_array_free(array);
  ssmrt_library_close(library);
  return 0;
}
