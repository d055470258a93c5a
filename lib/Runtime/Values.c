/*===- Values.c - Inputs and outputs of a call, checked -------------------===*\
|*                                                                            *|
|* Each against its description, with one batch and one length of each axis   *|
|* for all; and where they are, in host memory or on a GPU, which is where    *|
|* the call will run.                                                         *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "Call.h"

/*===----------------------------------------------------------------------===*\
|* Where a call runs                                                          *|
\*===----------------------------------------------------------------------===*/

/* The device of the first value that is there; 0 where none is. */
static int firstDevice(const ssmrt_value_info *infos,
                       const ssmrt_tensor *values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    bool mayBeAbsent = infos[i].flags & (SSMRT_OPTIONAL | SSMRT_INITIAL);
    if (values[i].data || !mayBeAbsent)
      return values[i].device.device_type;
  }
  return 0;
}

const ssmrt_module *ssmrtPickModule(const ssmrt_module *module,
                                    const ssmrt_tensor *inputs,
                                    int64_t numInputs,
                                    const ssmrt_tensor *outputs,
                                    int64_t numOutputs) {
  /* Anything else is reported by the checks that follow. */
  if (!module->cuda || numInputs != module->num_inputs ||
      numOutputs != module->num_outputs || (numInputs > 0 && !inputs) ||
      (numOutputs > 0 && !outputs))
    return module;
  int device = firstDevice(module->inputs, inputs, numInputs);
  if (device == 0)
    device = firstDevice(module->outputs, outputs, numOutputs);
  return device == SSMRT_CUDA ? module->cuda : module;
}

ssmrtCall ssmrtStartCall(const ssmrt_module *module) {
  ssmrtCall call;
  call.module = module;
  call.cuda = NULL;
  call.batch.value = -1;
  for (int axis = 0; axis < SSMRT_MAX_AXES; ++axis)
    call.lengths[axis].value = -1;
  return call;
}

/*===----------------------------------------------------------------------===*\
|* Values                                                                     *|
\*===----------------------------------------------------------------------===*/

static ssmrt_status failShape(const ssmrtCall *call, const char *role,
                              const ssmrt_value_info *info,
                              const ssmrt_tensor *tensor) {
  ssmrtText text = {0};
  ssmrtAppendShape(&text, tensor->shape, tensor->ndim);
  ssmrtAppend(&text, "; wanted ");
  ssmrtAppendShape(&text, info->shape, info->ndim);
  for (int axis = -1; axis < SSMRT_MAX_AXES; ++axis) {
    const ssmrtExtent *extent = axis < 0 ? &call->batch : &call->lengths[axis];
    if (extent->value < 0 || extent->name == info->name)
      continue;
    ssmrtAppend(&text, ", %s", axis < 0 ? "batch" : "length");
    if (axis > 0)
      ssmrtAppend(&text, " %d =", axis + 1);
    ssmrtAppend(&text, " %lld as in %s '%s'", (long long)extent->value,
                extent->role, extent->name);
  }
  return ssmrtFail(SSMRT_BAD_ARGUMENT, "%s: %s '%s' has shape %s",
                   call->module->name, role, info->name, text.data);
}

static bool matchExtent(int64_t wanted, int64_t found, ssmrtCall *call,
                        const char *role, const char *name) {
  int axis = ssmrt_sequence_axis(wanted);
  if (wanted != SSMRT_BATCH && axis < 0)
    return wanted == found;
  ssmrtExtent *extent = axis < 0 ? &call->batch : &call->lengths[axis];
  if (extent->value >= 0)
    return extent->value == found;
  extent->value = found;
  extent->role = role;
  extent->name = name;
  return true;
}

/* A tensor in the memory that the code works on. */
static ssmrt_status checkPlace(const ssmrtCall *call, const char *role,
                               const ssmrt_value_info *info,
                               const ssmrt_tensor *tensor) {
  int type = tensor->device.device_type, device = tensor->device.device_id;
  int wanted = call->cuda ? SSMRT_CUDA : SSMRT_CPU;
  /* Zero, what a zeroed struct holds, is no device in DLPack. */
  if ((type == 0 ? SSMRT_CPU : type) == wanted &&
      (!call->cuda || device == call->cuda->ordinal))
    return SSMRT_OK;
  ssmrtText text = {0};
  ssmrtAppendPlace(&text, type, device);
  ssmrtAppend(&text, "; wanted ");
  ssmrtAppendPlace(&text, wanted, call->cuda ? call->cuda->ordinal : 0);
  if (call->cuda)
    ssmrtAppend(&text, ", which the context is for");
  else if (call->module->cuda)
    ssmrtAppend(&text, ", where the values before it are");
  else if (type == SSMRT_CUDA)
    ssmrtAppend(&text, ", for which the layer was compiled (--target cuda, or "
                       "cpu,cuda, makes one for GPUs)");
  return ssmrtFail(SSMRT_BAD_ARGUMENT, "%s: %s '%s' is in %s",
                   call->module->name, role, info->name, text.data);
}

static ssmrt_status checkValue(ssmrtCall *call, const char *role,
                               const ssmrt_value_info *info,
                               const ssmrt_tensor *tensor, int64_t *bytes) {
  int64_t elements;
  ssmrt_status status = checkPlace(call, role, info, tensor);
  if (status == SSMRT_OK)
    status = ssmrtCheckLayout(role, info->name, tensor, &elements);
  if (status != SSMRT_OK)
    return status;
  if (!ssmrtSameDType(tensor->dtype, info->dtype))
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "%s: %s '%s' is %s; wanted %s",
                     call->module->name, role, info->name,
                     ssmrt_dtype_name(tensor->dtype),
                     ssmrt_dtype_name(info->dtype));
  bool matches = tensor->ndim == info->ndim;
  for (int32_t i = 0; matches && i < info->ndim; ++i)
    matches =
        matchExtent(info->shape[i], tensor->shape[i], call, role, info->name);
  if (!matches)
    return failShape(call, role, info, tensor);
  size_t size = ssmrt_dtype_size(info->dtype);
  if (elements > 0 && !ssmrtIsAligned(ssmrtData(tensor), size))
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: %s '%s' is at address %p; wanted a multiple of %zu",
                     call->module->name, role, info->name, ssmrtData(tensor),
                     size);
  *bytes = elements * (int64_t)size;
  return SSMRT_OK;
}

/* Token ids index tables: one outside is an error and not a read astray. On a
 * GPU the caller answers for them. */
static ssmrt_status checkLimit(const ssmrtCall *call,
                               const ssmrt_value_info *info,
                               const ssmrt_tensor *tensor, int64_t bytes) {
  if (call->cuda || info->limit <= 0 ||
      (info->dtype.code != SSMRT_INT && info->dtype.code != SSMRT_UINT))
    return SSMRT_OK;
  const char *data = ssmrtData(tensor);
  size_t size = ssmrt_dtype_size(info->dtype);
  for (int64_t i = 0; i < bytes / (int64_t)size; ++i) {
    /* Little endian: widened by its low bytes, then by its sign. */
    uint64_t bits = 0;
    memcpy(&bits, data + i * size, size);
    int unused = 64 - info->dtype.bits;
    int64_t value = info->dtype.code == SSMRT_INT
                        ? (int64_t)(bits << unused) >> unused
                        : (int64_t)bits;
    if (value < 0 || value >= info->limit)
      return ssmrtFail(SSMRT_BAD_ARGUMENT,
                       "%s: input '%s' has the value %lld at element %lld; "
                       "wanted 0 to %lld",
                       call->module->name, info->name, (long long)value,
                       (long long)i, (long long)info->limit - 1);
  }
  return SSMRT_OK;
}

static ssmrt_status checkCount(const ssmrtCall *call, const char *role,
                               const void *values, int64_t found,
                               int64_t wanted) {
  if (found != wanted)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "%s: %lld %ss; wanted %lld",
                     call->module->name, (long long)found, role,
                     (long long)wanted);
  if (found > 0 && !values)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "%s: the %ss are a null pointer",
                     call->module->name, role);
  if (found > SSMRT_MAX_VALUES)
    return ssmrtFail(SSMRT_BAD_VERSION, "%s: %lld %ss; wanted at most %d",
                     call->module->name, (long long)found, role,
                     SSMRT_MAX_VALUES);
  return SSMRT_OK;
}

ssmrt_status ssmrtCheckInputs(ssmrtCall *call, const ssmrt_tensor *inputs,
                              int64_t count) {
  const ssmrt_module *module = call->module;
  ssmrt_status status =
      checkCount(call, "input", inputs, count, module->num_inputs);
  for (int64_t i = 0; status == SSMRT_OK && i < count; ++i) {
    const ssmrt_value_info *info = &module->inputs[i];
    call->inputs[i] = NULL;
    call->inputBytes[i] = 0;
    if ((info->flags & (SSMRT_OPTIONAL | SSMRT_INITIAL)) && !inputs[i].data)
      continue;
    status = checkValue(call, "input", info, &inputs[i], &call->inputBytes[i]);
    if (status == SSMRT_OK)
      status = checkLimit(call, info, &inputs[i], call->inputBytes[i]);
    call->inputs[i] = ssmrtData(&inputs[i]);
  }
  return status;
}

ssmrt_status ssmrtCheckOutputs(ssmrtCall *call, const ssmrt_tensor *outputs,
                               int64_t count) {
  const ssmrt_module *module = call->module;
  ssmrt_status status =
      checkCount(call, "output", outputs, count, module->num_outputs);
  for (int64_t i = 0; status == SSMRT_OK && i < count; ++i) {
    status = checkValue(call, "output", &module->outputs[i], &outputs[i],
                        &call->outputBytes[i]);
    call->outputs[i] = ssmrtData(&outputs[i]);
  }
  return status;
}

ssmrt_status ssmrt_check_limits(const ssmrt_module *module,
                                const ssmrt_tensor *inputs,
                                int64_t num_inputs) {
  ssmrt_status status = ssmrtCheckModule(module);
  if (status != SSMRT_OK)
    return status;
  ssmrtCall call = ssmrtStartCall(module);
  return ssmrtCheckInputs(&call, inputs, num_inputs);
}
