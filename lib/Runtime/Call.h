/*===- Call.h - One call of a layer while it is being checked ----*- C -*-===*\
|*                                                                            *|
|* What the checks of values and those of blocks share.                       *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SSMRT_CALL_H
#define SSMRT_CALL_H

#include "CUDA.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A run-time extent and the value that settled it; -1 until one has. */
typedef struct ssmrtExtent {
  int64_t value;
  const char *role, *name;
} ssmrtExtent;

/* One call while it is being checked. */
typedef struct ssmrtCall {
  const ssmrt_module *module;
  ssmrtCudaContext *cuda; /* NULL on the CPU */
  ssmrtExtent batch, lengths[SSMRT_MAX_AXES];
  const void *inputs[SSMRT_MAX_VALUES];
  void *outputs[SSMRT_MAX_VALUES];
  int64_t inputBytes[SSMRT_MAX_VALUES], outputBytes[SSMRT_MAX_VALUES];
} ssmrtCall;

/* A call of which nothing is known yet. */
ssmrtCall ssmrtStartCall(const ssmrt_module *module);

/* Of an artefact for both the CPU and CUDA: the layer for where the values are. */
const ssmrt_module *
ssmrtPickModule(const ssmrt_module *module, const ssmrt_tensor *inputs,
                int64_t numInputs, const ssmrt_tensor *outputs,
                int64_t numOutputs);

/* Check the values against the description, and settle batch and lengths. */
ssmrt_status ssmrtCheckInputs(ssmrtCall *call, const ssmrt_tensor *inputs,
                              int64_t count);
ssmrt_status ssmrtCheckOutputs(ssmrtCall *call, const ssmrt_tensor *outputs,
                               int64_t count);

#ifdef __cplusplus
}
#endif

#endif /* SSMRT_CALL_H */
