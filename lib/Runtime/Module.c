/*===- Module.c - Checks and sizes of compiled layers ---------------------===*\
|*                                                                            *|
|* A module may come from a file that was compiled by another version: what   *|
|* the calls rely on is checked in each of them, the descriptions once.       *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "Internal.h"

#include <string.h>

/*===----------------------------------------------------------------------===*\
|* Checks                                                                     *|
\*===----------------------------------------------------------------------===*/

ssmrt_status ssmrtCheckModule(const ssmrt_module *module) {
  if (!module)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "null module");
  if (module->magic != SSMRT_MAGIC)
    return ssmrtFail(SSMRT_BAD_VERSION,
                     "not a compiled layer: its magic number is %016llx; "
                     "wanted %016llx",
                     (unsigned long long)module->magic,
                     (unsigned long long)SSMRT_MAGIC);
  if (module->abi_version != SSMRT_ABI_VERSION)
    return ssmrtFail(SSMRT_BAD_VERSION,
                     "the layer was compiled for version %u of the runtime; "
                     "wanted %d",
                     module->abi_version, SSMRT_ABI_VERSION);
  if (module->struct_size < sizeof(ssmrt_module))
    return ssmrtFail(SSMRT_BAD_VERSION,
                     "the layer's description has %u bytes; wanted at least "
                     "%zu",
                     module->struct_size, sizeof(ssmrt_module));
  if (!module->forward || !module->name || !module->layer)
    return ssmrtFail(SSMRT_BAD_VERSION, "the layer's description has no %s",
                     module->forward ? "name" : "forward function");
  if (module->num_axes < 1 || module->num_axes > SSMRT_MAX_AXES)
    return ssmrtFail(SSMRT_BAD_VERSION,
                     "%s: the description has %lld sequence axes; wanted 1 to "
                     "%d",
                     module->name, (long long)module->num_axes, SSMRT_MAX_AXES);
  bool isCuda = module->device_type == SSMRT_CUDA;
  if ((!isCuda && module->device_type != SSMRT_CPU) ||
      isCuda != (module->cuda_code != NULL))
    return ssmrtFail(SSMRT_BAD_VERSION,
                     "%s: the layer is for device type %d and has %s kernels; "
                     "wanted 1, the CPU, without, or 2, CUDA, with them",
                     module->name, (int)module->device_type,
                     module->cuda_code ? "CUDA" : "no");
  return SSMRT_OK;
}

ssmrt_status ssmrtCheckContext(const ssmrt_module *module,
                               ssmrt_context **context) {
  if (!*context)
    *context = ssmrt_context_serial();
  if ((*context)->struct_size >= sizeof(ssmrt_context) &&
      (*context)->parallel_for)
    return SSMRT_OK;
  return ssmrtFail(SSMRT_BAD_ARGUMENT,
                   "%s: a context of %u bytes %s parallel_for; wanted one with "
                   "it, of at least %zu bytes",
                   module->name, (*context)->struct_size,
                   (*context)->parallel_for ? "with" : "without",
                   sizeof(ssmrt_context));
}

/* What every described value needs. Weights have no run-time extents. */
static ssmrt_status checkValue(const ssmrt_module *module, const char *role,
                               const ssmrt_value_info *info,
                               bool extentsAreStatic) {
  if (!info->name)
    return ssmrtFail(SSMRT_BAD_VERSION, "%s: a described %s has no name",
                     module->name, role);
  if (ssmrt_dtype_size(info->dtype) == 0)
    return ssmrtFail(SSMRT_BAD_VERSION,
                     "%s: %s '%s' has an unknown dtype (code %u, %u bits)",
                     module->name, role, info->name, info->dtype.code,
                     info->dtype.bits);
  if (info->ndim < 0 || info->ndim > SSMRT_MAX_DIMS ||
      (info->ndim > 0 && !info->shape))
    return ssmrtFail(SSMRT_BAD_VERSION,
                     "%s: %s '%s' has %d dimensions; wanted 0 to %d",
                     module->name, role, info->name, (int)info->ndim,
                     SSMRT_MAX_DIMS);
  for (int32_t i = 0; i < info->ndim; ++i) {
    int64_t extent = info->shape[i];
    if (extent >= 0)
      continue;
    int axis = ssmrt_sequence_axis(extent);
    bool isKnown = extent == SSMRT_BATCH || (axis >= 0 && axis < module->num_axes);
    if (extentsAreStatic || !isKnown)
      return ssmrtFail(SSMRT_BAD_VERSION,
                       "%s: %s '%s' has the extent %lld in its description",
                       module->name, role, info->name, (long long)extent);
  }
  return SSMRT_OK;
}

/* A value that is the initial or final value of a state has its shape. */
static ssmrt_status checkStateOf(const ssmrt_module *module, const char *role,
                                 const ssmrt_value_info *info) {
  if (!(info->flags & (SSMRT_INITIAL | SSMRT_FINAL)))
    return SSMRT_OK;
  if (info->state < 0 || info->state >= module->num_states)
    return ssmrtFail(SSMRT_BAD_VERSION,
                     "%s: %s '%s' is state variable %d; wanted 0 to %lld",
                     module->name, role, info->name, (int)info->state,
                     (long long)module->num_states - 1);
  const ssmrt_value_info *state = &module->states[info->state];
  bool same = state->ndim == info->ndim;
  for (int32_t i = 0; same && i < info->ndim; ++i)
    same = state->shape[i] == info->shape[i];
  if (same)
    return SSMRT_OK;
  return ssmrtFail(SSMRT_BAD_VERSION,
                   "%s: %s '%s' and its state '%s' differ in shape",
                   module->name, role, info->name, state->name);
}

static ssmrt_status checkValues(const ssmrt_module *module, const char *role,
                                const ssmrt_value_info *infos, int64_t count,
                                int64_t limit, bool extentsAreStatic) {
  if (count < 0 || count > limit || (count > 0 && !infos))
    return ssmrtFail(SSMRT_BAD_VERSION,
                     "%s: the description has %lld %ss; wanted 0 to %lld",
                     module->name, (long long)count, role, (long long)limit);
  for (int64_t i = 0; i < count; ++i) {
    ssmrt_status status = checkValue(module, role, &infos[i], extentsAreStatic);
    if (status != SSMRT_OK)
      return status;
  }
  return SSMRT_OK;
}

/* Without the last ones the others stay where they are. */
static ssmrt_status checkLaterStates(const ssmrt_module *module) {
  for (int64_t i = 1; i < module->num_states; ++i)
    if ((module->states[i - 1].flags & SSMRT_LATER) &&
        !(module->states[i].flags & SSMRT_LATER))
      return ssmrtFail(SSMRT_BAD_VERSION,
                       "%s: state '%s' is for later calls alone and stands "
                       "before '%s'; wanted it after all others",
                       module->name, module->states[i - 1].name,
                       module->states[i].name);
  return SSMRT_OK;
}

/* What the calls for a GPU cannot do without reading or converting there. */
static ssmrt_status checkCudaModule(const ssmrt_module *module) {
  for (int64_t i = 0; i < module->num_weights; ++i)
    if (module->weights[i].flags & SSMRT_BORROWED)
      return ssmrtFail(SSMRT_BAD_VERSION,
                       "%s: weight '%s' is used in place, in host memory, which "
                       "kernels do not see",
                       module->name, module->weights[i].name);
  const ssmrt_value_info *values[] = {module->inputs, module->outputs};
  const int64_t counts[] = {module->num_inputs, module->num_outputs};
  for (int role = 0; role < 2; ++role)
    for (int64_t i = 0; i < counts[role]; ++i) {
      const ssmrt_value_info *info = &values[role][i];
      if ((info->flags & (SSMRT_INITIAL | SSMRT_FINAL)) &&
          !ssmrtSameDType(info->dtype, module->states[info->state].dtype))
        return ssmrtFail(SSMRT_BAD_VERSION,
                         "%s: '%s' is %s and its state '%s' is %s; wanted one "
                         "dtype on a GPU",
                         module->name, info->name, ssmrt_dtype_name(info->dtype),
                         module->states[info->state].name,
                         ssmrt_dtype_name(module->states[info->state].dtype));
    }
  return SSMRT_OK;
}

/* The twin of a module for the CPU is the same layer to its callers. */
static ssmrt_status checkTwin(const ssmrt_module *module) {
  const ssmrt_module *cuda = module->cuda;
  if (!cuda)
    return SSMRT_OK;
  ssmrt_status status = ssmrt_module_check(cuda);
  if (status != SSMRT_OK)
    return status;
  if (module->device_type == SSMRT_CPU && cuda->device_type == SSMRT_CUDA &&
      !cuda->cuda && cuda->num_weights == module->num_weights &&
      cuda->num_inputs == module->num_inputs &&
      cuda->num_outputs == module->num_outputs &&
      cuda->num_axes == module->num_axes)
    return SSMRT_OK;
  return ssmrtFail(SSMRT_BAD_VERSION,
                   "%s: what it brings along for CUDA is another layer, or for "
                   "device type %d",
                   module->name, (int)cuda->device_type);
}

ssmrt_status ssmrt_module_check(const ssmrt_module *module) {
  ssmrt_status status = ssmrtCheckModule(module);
  if (status == SSMRT_OK && module->num_axes > 1 &&
      (module->num_states > 0 || module->step))
    status = ssmrtFail(SSMRT_BAD_VERSION,
                       "%s: a layer with %lld sequence axes has %lld states "
                       "and %s step; wanted neither",
                       module->name, (long long)module->num_axes,
                       (long long)module->num_states,
                       module->step ? "a" : "no");
  if (status == SSMRT_OK)
    status = checkValues(module, "weight", module->weights, module->num_weights,
                         INT32_MAX, /*extentsAreStatic=*/true);
  if (status == SSMRT_OK)
    status = checkValues(module, "input", module->inputs, module->num_inputs,
                         SSMRT_MAX_VALUES, /*extentsAreStatic=*/false);
  if (status == SSMRT_OK)
    status = checkValues(module, "output", module->outputs, module->num_outputs,
                         SSMRT_MAX_VALUES, /*extentsAreStatic=*/false);
  if (status == SSMRT_OK)
    status = checkValues(module, "state", module->states, module->num_states,
                         INT32_MAX, /*extentsAreStatic=*/false);
  if (status == SSMRT_OK)
    status = checkLaterStates(module);
  for (int64_t i = 0; status == SSMRT_OK && i < module->num_inputs; ++i)
    status = checkStateOf(module, "input", &module->inputs[i]);
  for (int64_t i = 0; status == SSMRT_OK && i < module->num_outputs; ++i)
    status = checkStateOf(module, "output", &module->outputs[i]);
  if (status == SSMRT_OK && module->device_type == SSMRT_CUDA)
    status = checkCudaModule(module);
  return status == SSMRT_OK ? checkTwin(module) : status;
}

/*===----------------------------------------------------------------------===*\
|* Sizes                                                                      *|
\*===----------------------------------------------------------------------===*/

/* Every size function fails for a negative argument, and -1 is its failure. */
static ssmrt_status checkExtents(const ssmrt_module *module, int64_t batch,
                                 int64_t length) {
  ssmrt_status status = ssmrtCheckModule(module);
  if (status != SSMRT_OK)
    return status;
  if (batch < 0 || length < 0)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: batch %lld and length %lld; wanted at least 0",
                     module->name, (long long)batch, (long long)length);
  return SSMRT_OK;
}

static int64_t failSize(const ssmrt_module *module, const char *what) {
  ssmrtFail(SSMRT_BAD_ARGUMENT, "%s: the %s does not fit into memory",
            module->name, what);
  return -1;
}

int64_t ssmrt_prepared_bytes(const ssmrt_module *module, int64_t max_length) {
  if (checkExtents(module, 0, max_length) != SSMRT_OK)
    return -1;
  int64_t bytes =
      module->prepared_bytes ? module->prepared_bytes(max_length) : 0;
  if (bytes < 0 || !ssmrtAdd(bytes, SSMRT_HEADER_BYTES, &bytes) ||
      !ssmrtRoundUp(bytes, &bytes))
    return failSize(module, "block of prepared tables");
  return bytes;
}

int64_t ssmrt_prepare_workspace_bytes(const ssmrt_module *module,
                                      int64_t max_length) {
  if (checkExtents(module, 0, max_length) != SSMRT_OK)
    return -1;
  int64_t bytes = module->prepare_workspace_bytes
                      ? module->prepare_workspace_bytes(max_length)
                      : 0;
  if (bytes < 0 || !ssmrtRoundUp(bytes, &bytes))
    return failSize(module, "workspace");
  return bytes;
}

int64_t ssmrt_state_bytes(const ssmrt_module *module, int64_t batch,
                          int64_t max_length) {
  int64_t bytes;
  if (checkExtents(module, batch, max_length) != SSMRT_OK ||
      ssmrtStatePayload(module, batch, max_length, &bytes) != SSMRT_OK)
    return -1;
  if (!ssmrtAdd(bytes, SSMRT_HEADER_BYTES, &bytes))
    return failSize(module, "state");
  return bytes;
}

int64_t ssmrt_workspace_bytes(const ssmrt_module *module, int64_t batch,
                              int64_t length) {
  int64_t lengths[SSMRT_MAX_AXES];
  for (int axis = 0; axis < SSMRT_MAX_AXES; ++axis)
    lengths[axis] = length;
  return ssmrt_workspace_bytes_for_axes(module, batch, lengths);
}

int64_t ssmrt_workspace_bytes_for_axes(const ssmrt_module *module,
                                       int64_t batch, const int64_t *lengths) {
  int64_t state;
  if (checkExtents(module, batch, /*length=*/0) != SSMRT_OK)
    return -1;
  for (int64_t axis = 0; axis < module->num_axes; ++axis)
    if (checkExtents(module, batch, lengths[axis]) != SSMRT_OK)
      return -1;
  if (ssmrtUnkeptPayload(module, batch, &state) != SSMRT_OK)
    return -1;
  int64_t forward = module->forward_workspace_bytes
                        ? module->forward_workspace_bytes(batch, lengths)
                        : 0;
  int64_t step = module->step && module->step_workspace_bytes
                     ? module->step_workspace_bytes(batch)
                     : 0;
  int64_t bytes = forward > step ? forward : step;
  if (forward < 0 || step < 0 || !ssmrtRoundUp(bytes, &bytes) ||
      !ssmrtAdd(bytes, state, &bytes))
    return failSize(module, "workspace");
  return bytes;
}
