/*===- Prepare.c - Tables from weights ------------------------------------===*\
|*                                                                            *|
|* Checks the weights, converts those that are stored in another dtype than   *|
|* the code reads, and lets the module fill its tables. This is the one call  *|
|* that allocates: the converted copies live until it returns.                *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "Internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Shapes of weights may differ in extents of 1, which some frameworks put into
 * the kernels of convolutions: the memory is the same. */
bool ssmrtMatchWeightShape(const ssmrt_value_info *info,
                           const ssmrt_tensor *tensor) {
  int32_t i = 0, j = 0;
  for (;;) {
    while (i < info->ndim && info->shape[i] == 1)
      ++i;
    while (j < tensor->ndim && tensor->shape[j] == 1)
      ++j;
    if (i == info->ndim || j == tensor->ndim)
      return i == info->ndim && j == tensor->ndim;
    if (info->shape[i++] != tensor->shape[j++])
      return false;
  }
}

ssmrt_status ssmrtFailWeightShape(const char *owner, const char *name,
                                  const ssmrt_value_info *info,
                                  const ssmrt_tensor *tensor) {
  ssmrtText text = {0};
  ssmrtAppendShape(&text, tensor->shape, tensor->ndim);
  ssmrtAppend(&text, "; wanted ");
  ssmrtAppendShape(&text, info->shape, info->ndim);
  return ssmrtFail(SSMRT_BAD_ARGUMENT, "%s: weight '%s' has shape %s", owner,
                   name, text.data);
}

/* Pointers for the frame and the copies to free after it. */
typedef struct Converted {
  const void **pointers;
  void **copies;
} Converted;

static ssmrt_status convertWeight(const ssmrt_module *module,
                                  ssmrt_context *context,
                                  const ssmrt_value_info *info,
                                  const ssmrt_tensor *weight, int64_t elements,
                                  void **copy) {
  if (info->flags & SSMRT_BORROWED)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: weight '%s' is %s at address %p; it is used in "
                     "place, which wants %s at a multiple of %zu",
                     module->name, info->name, ssmrt_dtype_name(weight->dtype),
                     ssmrtData(weight), ssmrt_dtype_name(info->dtype),
                     ssmrt_dtype_size(info->dtype));
  int64_t bytes;
  if (!ssmrtMul(elements, (int64_t)ssmrt_dtype_size(info->dtype), &bytes) ||
      posix_memalign(copy, SSMRT_ALIGNMENT, (size_t)bytes)) {
    *copy = NULL;
    return ssmrtFailMemory((uint64_t)elements * ssmrt_dtype_size(info->dtype),
                           info->name);
  }
  ssmrt_tensor target =
      ssmrtMakeTensor(*copy, info->dtype, weight->ndim, weight->shape);
  ssmrt_status status = ssmrtConvert(context, weight, &target);
  if (status == SSMRT_OK)
    return SSMRT_OK;
  ssmrtText reason = {0};
  ssmrtAppend(&reason, "%s", ssmrt_last_error());
  return ssmrtFail(status, "%s: weight '%s': %s", module->name, info->name,
                   reason.data);
}

static ssmrt_status readWeight(const ssmrt_module *module,
                               ssmrt_context *context,
                               const ssmrt_value_info *info,
                               const ssmrt_tensor *weight, const void **pointer,
                               void **copy) {
  if ((info->flags & SSMRT_OPTIONAL) && !weight->data)
    return SSMRT_OK;
  int64_t elements;
  ssmrt_status status =
      ssmrtCheckTensor("weight", info->name, weight, &elements);
  if (status != SSMRT_OK)
    return status;
  if (!ssmrtMatchWeightShape(info, weight))
    return ssmrtFailWeightShape(module->name, info->name, info, weight);
  *pointer = ssmrtData(weight);
  if (elements == 0 ||
      (ssmrtSameDType(weight->dtype, info->dtype) &&
       ssmrtIsAligned(*pointer, ssmrt_dtype_size(info->dtype))))
    return SSMRT_OK;
  status = convertWeight(module, context, info, weight, elements, copy);
  *pointer = *copy;
  return status;
}

static ssmrt_status readWeights(const ssmrt_module *module,
                                ssmrt_context *context,
                                const ssmrt_tensor *weights,
                                Converted *converted) {
  for (int64_t i = 0; i < module->num_weights; ++i) {
    ssmrt_status status =
        readWeight(module, context, &module->weights[i], &weights[i],
                   &converted->pointers[i], &converted->copies[i]);
    if (status != SSMRT_OK)
      return status;
  }
  return SSMRT_OK;
}

static ssmrt_status checkBlocks(const ssmrt_module *module, void *prepared,
                                int64_t maxLength, void *workspace) {
  ssmrt_status status = ssmrtCheckBlock(prepared, "block of prepared tables");
  if (status != SSMRT_OK)
    return status;
  int64_t bytes = ssmrt_prepare_workspace_bytes(module, maxLength);
  if (bytes < 0)
    return SSMRT_BAD_ARGUMENT;
  return bytes > 0 ? ssmrtCheckBlock(workspace, "workspace") : SSMRT_OK;
}

ssmrt_status ssmrt_prepare(const ssmrt_module *module, ssmrt_context *context,
                           const ssmrt_tensor *weights, int64_t num_weights,
                           void *prepared, int64_t max_length,
                           void *workspace) {
  ssmrt_status status = ssmrt_module_check(module);
  if (status == SSMRT_OK)
    status = ssmrtCheckContext(module, &context);
  if (status != SSMRT_OK)
    return status;
  if (!weights && module->embedded_weights) {
    weights = module->embedded_weights;
    num_weights = module->num_weights;
  }
  if (!weights && module->num_weights > 0)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: the weights are a null pointer, and none are "
                     "embedded; wanted %lld",
                     module->name, (long long)module->num_weights);
  if (num_weights != module->num_weights)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "%s: %lld weights; wanted %lld",
                     module->name, (long long)num_weights,
                     (long long)module->num_weights);
  int64_t payload = ssmrt_prepared_bytes(module, max_length);
  if (payload < 0)
    return SSMRT_BAD_ARGUMENT;
  status = checkBlocks(module, prepared, max_length, workspace);
  if (status != SSMRT_OK)
    return status;
  /* Until the end the block is nobody's tables. */
  memset(prepared, 0, SSMRT_HEADER_BYTES);
  size_t count = (size_t)num_weights + 1;
  Converted converted = {calloc(count, sizeof(void *)),
                         calloc(count, sizeof(void *))};
  if (!converted.pointers || !converted.copies)
    status = ssmrtFailMemory(count * 2 * sizeof(void *), "pointers");
  else
    status = readWeights(module, context, weights, &converted);
  if (status == SSMRT_OK) {
    ssmrt_frame frame;
    memset(&frame, 0, sizeof(frame));
    frame.context = context;
    frame.prepared = (char *)prepared + SSMRT_HEADER_BYTES;
    frame.workspace = workspace;
    frame.length = max_length;
    frame.prepared_length = max_length;
    frame.inputs = converted.pointers;
    if (module->prepare)
      module->prepare(&frame);
    ssmrtHeader header = {SSMRT_PREPARED_MAGIC,
                          SSMRT_ABI_VERSION,
                          SSMRT_HEADER_BYTES,
                          SSMRT_CPU,
                          /*device=*/0,
                          module->hash,
                          /*batch=*/0,
                          max_length,
                          /*position=*/0,
                          payload - SSMRT_HEADER_BYTES,
                          /*payload=*/0};
    memcpy(prepared, &header, sizeof(header));
  }
  for (size_t i = 0; converted.copies && i < count; ++i)
    free(converted.copies[i]);
  free(converted.copies);
  free(converted.pointers);
  return status;
}

ssmrt_status ssmrtCheckPrepared(const ssmrt_module *module,
                                const void *prepared) {
  ssmrt_status status = ssmrtCheckBlock(prepared, "block of prepared tables");
  if (status != SSMRT_OK)
    return status;
  const ssmrtHeader *header = prepared;
  if (header->magic != SSMRT_PREPARED_MAGIC ||
      header->version != SSMRT_ABI_VERSION || !ssmrtIsPlaced(module, header))
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: the prepared tables were not written by "
                     "ssmrt_prepare",
                     module->name);
  if (header->hash != module->hash)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: the prepared tables are of another layer (hash "
                     "%016llx; wanted %016llx)",
                     module->name, (unsigned long long)header->hash,
                     (unsigned long long)module->hash);
  return SSMRT_OK;
}

/*===----------------------------------------------------------------------===*\
|* Stability                                                                  *|
\*===----------------------------------------------------------------------===*/

static double loadReal(const char *from, ssmrt_dtype dtype, int64_t index) {
  if (dtype.bits == 64)
    return ((const double *)(const void *)from)[index];
  return (double)((const float *)(const void *)from)[index];
}

double ssmrt_largest_decay(const ssmrt_module *module, const void *prepared,
                           int64_t index, double eigenvalue[2]) {
  if (ssmrtCheckModule(module) != SSMRT_OK ||
      ssmrtCheckPrepared(module, prepared) != SSMRT_OK ||
      ssmrtCheckPlace(module, prepared, SSMRT_CPU, 0) != SSMRT_OK)
    return -1;
  if (!eigenvalue || index < 0 || index >= module->num_decays) {
    ssmrtFail(SSMRT_BAD_ARGUMENT, "%s: decay %lld of %lld%s", module->name,
              (long long)index, (long long)module->num_decays,
              eigenvalue ? "" : ", null result");
    return -1;
  }
  const ssmrt_decay_info *info = &module->decays[index];
  const char *payload = (const char *)prepared + SSMRT_HEADER_BYTES;
  double largest = 0;
  eigenvalue[0] = eigenvalue[1] = 0;
  for (int64_t i = 0; i < info->count; ++i) {
    double re = loadReal(payload + info->offsets[0], info->dtype, i), im = 0;
    if (info->offsets[1] >= 0)
      im = loadReal(payload + info->offsets[1], info->dtype, i);
    double magnitude = hypot(re, im);
    if (magnitude <= largest) /* not for NaN */
      continue;
    largest = magnitude;
    eigenvalue[0] = re;
    eigenvalue[1] = im;
    if (isnan(magnitude))
      break;
  }
  return largest;
}
