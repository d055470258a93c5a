/*===- Layer.c - A compiled layer on a GPU, with its tensors --------------===*/

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "Layer.h"

#include "Driver.h"

#include <stdlib.h>
#include <string.h>

void check(ssmrt_status status) {
  if (status != SSMRT_OK)
    fail(ssmrt_last_error());
}

void *allocate_host(int64_t bytes) {
  if (bytes < 0)
    fail(ssmrt_last_error());
  void *block = NULL;
  if (posix_memalign(&block, SSMRT_ALIGNMENT, (size_t)bytes + 1))
    fail("out of memory");
  return block;
}

void *allocate_device(const Layer *layer, int64_t bytes) {
  if (bytes < 0)
    fail(ssmrt_last_error());
  void *block;
  check(ssmrt_cuda_alloc(layer->context, bytes, &block));
  return block;
}

void allocate_value(const Layer *layer, Value *value, int32_t ndim) {
  value->isThere = true;
  value->bytes = (int64_t)ssmrt_dtype_size(value->info->dtype);
  for (int32_t i = 0; i < ndim; ++i)
    value->bytes *= value->shape[i];
  value->host.dtype = value->info->dtype;
  value->host.ndim = ndim;
  value->host.shape = value->shape;
  value->host.device.device_type = SSMRT_CPU;
  value->device = value->host;
  value->device.device.device_type = SSMRT_CUDA;
  value->device.device.device_id = layer->device;
  value->host.data = allocate_host(value->bytes);
  value->device.data = allocate_device(layer, value->bytes);
}

void resolve_shape(const Layer *layer, Value *value, int64_t length) {
  for (int32_t i = 0; i < value->info->ndim; ++i) {
    int64_t extent = value->info->shape[i];
    int axis = ssmrt_sequence_axis(extent);
    value->shape[i] = extent == SSMRT_BATCH      ? layer->batch
                      : axis == 0 && length >= 0 ? length
                      : axis >= 0                ? layer->lengths[axis]
                                                 : extent;
  }
}

void upload(const Layer *layer, const Value *value) {
  check(ssmrt_cuda_copy_to_device(layer->context, value->device.data,
                                  value->host.data, value->bytes));
}

void download(const Layer *layer, const Value *value) {
  check(ssmrt_cuda_copy_to_host(layer->context, value->host.data,
                                value->device.data, value->bytes));
}

int64_t longest_of(const Layer *layer) {
  int64_t longest = 0;
  for (int64_t axis = 0; axis < layer->module->num_axes; ++axis)
    if (layer->lengths[axis] > longest)
      longest = layer->lengths[axis];
  return longest;
}

void reset(const Layer *layer) {
  check(ssmrt_cuda_state_reset(layer->module, layer->context, layer->state,
                               layer->statePayload, layer->batch,
                               longest_of(layer)));
}

void call(const Layer *layer, const Value *inputs, const Value *outputs,
                 void *state, bool isStep) {
  ssmrt_tensor in[SSMRT_MAX_VALUES], out[SSMRT_MAX_VALUES];
  const ssmrt_module *module = layer->module;
  memset(in, 0, sizeof(in));
  for (int64_t i = 0; i < module->num_inputs; ++i)
    if (inputs[i].isThere)
      in[i] = inputs[i].device;
  for (int64_t i = 0; i < module->num_outputs; ++i)
    out[i] = outputs[i].device;
  check((isStep ? ssmrt_step : ssmrt_forward)(
      module, layer->context, layer->prepared, in, module->num_inputs, out,
      module->num_outputs, state, layer->workspace));
}

void copy_tokens(const Layer *layer, Value *whole, Value *part,
                        int64_t at, int64_t count, bool toPart) {
  int64_t outer = 1, inner = (int64_t)ssmrt_dtype_size(whole->info->dtype);
  int32_t axis = 0;
  while (axis < whole->info->ndim && whole->info->shape[axis] != SSMRT_LENGTH)
    outer *= whole->shape[axis++];
  int64_t length = axis < whole->info->ndim ? layer->lengths[0] : 1;
  if (axis == whole->info->ndim)
    at = 0, count = 1;
  for (int32_t i = axis + 1; i < whole->info->ndim; ++i)
    inner *= whole->shape[i];
  for (int64_t i = 0; i < outer; ++i) {
    char *wide = (char *)whole->host.data + (i * length + at) * inner;
    char *narrow = (char *)part->host.data + i * count * inner;
    memcpy(toPart ? narrow : wide, toPart ? wide : narrow,
           (size_t)(count * inner));
  }
}

void make_part(const Layer *layer, const Value *whole, Value *part,
                      int64_t count) {
  memset(part, 0, sizeof(*part));
  part->info = whole->info;
  if (!whole->isThere)
    return;
  resolve_shape(layer, part, count);
  allocate_value(layer, part, whole->info->ndim);
}

void free_part(const Layer *layer, Value *part) {
  if (!part->isThere)
    return;
  free(part->host.data);
  check(ssmrt_cuda_free(layer->context, part->device.data));
}
