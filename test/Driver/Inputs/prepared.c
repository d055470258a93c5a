/* Runs a layer with embedded weights, one input and one output on a whole sequence, with
 * tables for another length:
 *
 *   prepared LAYER.so INPUT.npy OUTPUT.npy LENGTH */

#include "ssmrt/ssmrt.h"

#include <stdio.h>
#include <stdlib.h>

static void check(ssmrt_status status) {
  if (status == SSMRT_OK)
    return;
  fprintf(stderr, "prepared: %s\n", ssmrt_last_error());
  exit(1);
}

static void *allocate(int64_t bytes) {
  if (bytes < 0)
    check(SSMRT_NO_MEMORY);
  void *block = aligned_alloc(SSMRT_ALIGNMENT,
                              ((size_t)bytes / SSMRT_ALIGNMENT + 1) * SSMRT_ALIGNMENT);
  if (!block)
    exit(1);
  return block;
}

int main(int argc, char **argv) {
  if (argc != 5)
    return 2;
  void *library;
  const ssmrt_module *module;
  ssmrt_array *array;
  ssmrt_tensor input;
  check(ssmrt_library_open(argv[1], &library));
  check(ssmrt_library_module(library, NULL, &module));
  check(ssmrt_npy_read(argv[2], &array, &input));
  int64_t length = atoll(argv[4]), batch = input.shape[0], tokens = input.shape[1];
  void *prepared = allocate(ssmrt_prepared_bytes(module, length));
  void *scratch = allocate(ssmrt_prepare_workspace_bytes(module, length));
  void *workspace = allocate(ssmrt_workspace_bytes(module, batch, tokens));
  check(ssmrt_prepare(module, NULL, NULL, 0, prepared, length, scratch));
  int64_t shape[SSMRT_MAX_DIMS], bytes = (int64_t)ssmrt_dtype_size(module->outputs[0].dtype);
  for (int32_t i = 0; i < module->outputs[0].ndim; ++i) {
    shape[i] = i == 0 ? batch : i == 1 ? tokens : module->outputs[0].shape[i];
    bytes *= shape[i];
  }
  ssmrt_tensor output = {0};
  output.data = allocate(bytes);
  output.device.device_type = 1;
  output.ndim = module->outputs[0].ndim;
  output.dtype = module->outputs[0].dtype;
  output.shape = shape;
  check(ssmrt_forward(module, NULL, prepared, &input, 1, &output, 1, NULL, workspace));
  check(ssmrt_npy_write(argv[3], &output));
  return 0;
}
