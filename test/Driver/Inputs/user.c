/* A program that knows a compiled layer by its header alone. */
#include "sum.h"
#include <stdio.h>
#include <stdlib.h>

static void *makeBlock(int64_t bytes) {
  return aligned_alloc(SSMRT_ALIGNMENT, (size_t)(bytes / 64 + 1) * 64);
}

int main(void) {
  const ssmrt_module *module = sum_module();
  float data[6] = {1, 2, 3, 4, 5, 6}, result[6], last[3];
  int64_t shape[3] = {1, 2, 3}, lastShape[2] = {1, 3};
  ssmrt_dtype f32 = {SSMRT_FLOAT, 32, 1};
  ssmrt_tensor inputs[SUM_NUM_inputs] = {0}, outputs[SUM_NUM_outputs] = {0};
  inputs[SUM_INPUT_u] = (ssmrt_tensor){data, {1, 0}, 3, f32, shape, NULL, 0};
  outputs[SUM_OUTPUT_y] = (ssmrt_tensor){result, {1, 0}, 3, f32, shape, NULL, 0};
  outputs[SUM_OUTPUT_last] = (ssmrt_tensor){last, {1, 0}, 2, f32, lastShape, NULL, 0};
  void *prepared = makeBlock(ssmrt_prepared_bytes(module, 2));
  void *workspace = makeBlock(ssmrt_workspace_bytes(module, 1, 2) +
                              ssmrt_prepare_workspace_bytes(module, 2));
  if (ssmrt_prepare(module, NULL, NULL, 0, prepared, 2, workspace) != SSMRT_OK ||
      ssmrt_forward(module, NULL, prepared, inputs, SUM_NUM_inputs, outputs,
                    SUM_NUM_outputs, NULL, workspace) != SSMRT_OK) {
    fprintf(stderr, "%s\n", ssmrt_last_error());
    return 1;
  }
  printf("%s: %g %g %g, %g %g %g, last %g\n", module->layer, result[0], result[1],
         result[2], result[3], result[4], result[5], last[2]);
  free(prepared);
  free(workspace);
  return 0;
}
