/*===- State.c - State blocks ---------------------------------------------===*\
|*                                                                            *|
|* A block is a header of 64 bytes and a payload: the described states in     *|
|* their order, each in C order of its shape and on a 64-byte boundary.       *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "CUDA.h"

#include <string.h>

_Static_assert(sizeof(ssmrtHeader) == SSMRT_HEADER_BYTES, "header size");

/*===----------------------------------------------------------------------===*\
|* Layout                                                                     *|
\*===----------------------------------------------------------------------===*/

static void resolveShape(const ssmrt_value_info *info, int64_t batch,
                         int64_t maxLength, int64_t *shape) {
  for (int32_t i = 0; i < info->ndim; ++i)
    shape[i] = info->shape[i] == SSMRT_BATCH    ? batch
               : info->shape[i] == SSMRT_LENGTH ? maxLength
                                                : info->shape[i];
}

/* Bytes of one state variable up to where the next one begins. */
static bool getStateBytes(const ssmrt_value_info *info, int64_t batch,
                          int64_t maxLength, int64_t *bytes) {
  int64_t shape[SSMRT_MAX_DIMS];
  if (info->ndim < 0 || info->ndim > SSMRT_MAX_DIMS)
    return false;
  resolveShape(info, batch, maxLength, shape);
  return ssmrtNumElements(shape, info->ndim, bytes) &&
         ssmrtMul(*bytes, (int64_t)ssmrt_dtype_size(info->dtype), bytes) &&
         ssmrtRoundUp(*bytes, bytes);
}

/* Of all described variables but those that have one of the flags `without`. */
static bool getDescribedBytes(const ssmrt_module *module, int64_t batch,
                              int64_t maxLength, uint32_t without,
                              int64_t *bytes) {
  *bytes = 0;
  for (int64_t i = 0; i < module->num_states; ++i) {
    int64_t size;
    if (module->states[i].flags & without)
      continue;
    if (!getStateBytes(&module->states[i], batch, maxLength, &size) ||
        !ssmrtAdd(*bytes, size, bytes))
      return false;
  }
  return true;
}

ssmrt_status ssmrtStatePayload(const ssmrt_module *module, int64_t batch,
                               int64_t maxLength, int64_t *bytes) {
  /* The module's own function multiplies without looking: it is asked only
   * when the described variables fit. */
  int64_t wanted = 0;
  bool fits = getDescribedBytes(module, batch, maxLength, /*without=*/0, bytes);
  if (fits && module->state_bytes)
    wanted = module->state_bytes(batch, maxLength);
  if (!fits || wanted < 0 || !ssmrtRoundUp(wanted, &wanted))
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: the state of batch %lld and length %lld does not fit "
                     "into memory",
                     module->name, (long long)batch, (long long)maxLength);
  if (*bytes < wanted)
    *bytes = wanted;
  return SSMRT_OK;
}

ssmrt_status ssmrtUnkeptPayload(const ssmrt_module *module, int64_t batch,
                                int64_t *bytes) {
  bool hasLater = false;
  for (int64_t i = 0; i < module->num_states; ++i)
    hasLater |= (module->states[i].flags & SSMRT_LATER) != 0;
  if (!hasLater)
    return ssmrtStatePayload(module, batch, /*maxLength=*/0, bytes);
  if (getDescribedBytes(module, batch, /*maxLength=*/0, SSMRT_LATER, bytes))
    return SSMRT_OK;
  return ssmrtFail(SSMRT_BAD_ARGUMENT,
                   "%s: the state of batch %lld does not fit into memory",
                   module->name, (long long)batch);
}

/*===----------------------------------------------------------------------===*\
|* Checks                                                                     *|
\*===----------------------------------------------------------------------===*/

ssmrt_status ssmrtCheckState(const ssmrt_module *module, const void *state) {
  ssmrt_status status = ssmrtCheckBlock(state, "state");
  if (status != SSMRT_OK)
    return status;
  const ssmrtHeader *header = state;
  if (header->magic != SSMRT_STATE_MAGIC)
    return ssmrtFail(SSMRT_BAD_STATE,
                     "%s: not a state block; wanted one that "
                     "ssmrt_state_reset, _copy or _select has written",
                     module->name);
  if (header->version != SSMRT_ABI_VERSION ||
      header->headerBytes != SSMRT_HEADER_BYTES)
    return ssmrtFail(SSMRT_BAD_STATE,
                     "%s: the state block has version %u; wanted %d",
                     module->name, header->version, SSMRT_ABI_VERSION);
  if (header->hash != module->hash)
    return ssmrtFail(SSMRT_BAD_STATE,
                     "%s: the state block is of another layer, or of this one "
                     "compiled with other parameters or options (hash %016llx; "
                     "wanted %016llx)",
                     module->name, (unsigned long long)header->hash,
                     (unsigned long long)module->hash);
  /* Blocks may come back from a disk: sizes are not taken on trust. */
  int64_t payload;
  if (!ssmrtIsPlaced(module, header) || header->batch < 0 || header->maxLength < 0 || header->position < 0 ||
      ssmrtStatePayload(module, header->batch, header->maxLength, &payload) !=
          SSMRT_OK ||
      payload != header->payloadBytes)
    return ssmrtFail(SSMRT_BAD_STATE,
                     "%s: the state block's header is damaged: batch %lld, "
                     "length %lld, position %lld, %lld bytes",
                     module->name, (long long)header->batch,
                     (long long)header->maxLength, (long long)header->position,
                     (long long)header->payloadBytes);
  return SSMRT_OK;
}

ssmrt_status ssmrtCheckPlace(const ssmrt_module *module, const void *block,
                             int deviceType, int device) {
  const ssmrtHeader *header = block;
  if (header->deviceType == deviceType && header->device == device)
    return SSMRT_OK;
  ssmrtText text = {0};
  ssmrtAppendPlace(&text, header->deviceType, header->device);
  ssmrtAppend(&text, "; wanted it in ");
  ssmrtAppendPlace(&text, deviceType, device);
  bool isUpload = deviceType == SSMRT_CUDA && header->deviceType == SSMRT_CPU;
  bool isDownload = deviceType == SSMRT_CPU && header->deviceType == SSMRT_CUDA;
  return ssmrtFail(header->magic == SSMRT_STATE_MAGIC ? SSMRT_BAD_STATE
                                                      : SSMRT_BAD_ARGUMENT,
                   "%s: the payload of the %s is in %s%s", module->name,
                   header->magic == SSMRT_STATE_MAGIC ? "state"
                                                      : "prepared tables",
                   text.data,
                   isUpload     ? ": ssmrt_cuda_upload brings it there"
                   : isDownload ? ": ssmrt_cuda_download brings it there"
                                : "");
}

/*===----------------------------------------------------------------------===*\
|* Operations                                                                 *|
\*===----------------------------------------------------------------------===*/

ssmrt_status ssmrt_state_reset(const ssmrt_module *module, void *state,
                               int64_t batch, int64_t max_length) {
  return ssmrtResetState(module, NULL, state, NULL, batch, max_length);
}

ssmrt_status ssmrtResetState(const ssmrt_module *module, ssmrtCudaContext *cuda,
                             void *state, void *payload, int64_t batch,
                             int64_t maxLength) {
  ssmrt_status status = ssmrtCheckModule(module);
  if (status == SSMRT_OK)
    status = ssmrtCheckBlock(state, "state");
  if (status != SSMRT_OK)
    return status;
  int64_t bytes;
  if (batch < 0 || maxLength < 0)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: batch %lld and length %lld; wanted at least 0",
                     module->name, (long long)batch, (long long)maxLength);
  status = ssmrtStatePayload(module, batch, maxLength, &bytes);
  if (status != SSMRT_OK)
    return status;
  ssmrtHeader header = {SSMRT_STATE_MAGIC, SSMRT_ABI_VERSION,
                        SSMRT_HEADER_BYTES, SSMRT_CPU, /*device=*/0,
                        module->hash, batch, maxLength,
                        /*position=*/0, bytes, /*payload=*/0};
  if (cuda)
    status = ssmrtPlacePayload(cuda, &header, payload);
  else
    payload = (char *)state + SSMRT_HEADER_BYTES;
  if (status == SSMRT_OK)
    status = ssmrtZero(cuda, payload, bytes);
  if (status == SSMRT_OK)
    memcpy(state, &header, sizeof(header));
  return status;
}

/* A state that is the source of a copy. */
static ssmrt_status checkSource(const ssmrt_module *module,
                                const ssmrtCudaContext *cuda,
                                const void *from) {
  ssmrt_status status = ssmrtCheckState(module, from);
  if (status != SSMRT_OK)
    return status;
  return ssmrtCheckPlace(module, from, cuda ? SSMRT_CUDA : SSMRT_CPU,
                         cuda ? cuda->ordinal : 0);
}

ssmrt_status ssmrt_state_copy(const ssmrt_module *module, void *to,
                              const void *from) {
  return ssmrtCopyState(module, NULL, to, NULL, from);
}

ssmrt_status ssmrtCopyState(const ssmrt_module *module, ssmrtCudaContext *cuda,
                            void *to, void *payload, const void *from) {
  ssmrt_status status = ssmrtCheckModule(module);
  if (status == SSMRT_OK)
    status = ssmrtCheckBlock(to, "destination state");
  if (status == SSMRT_OK)
    status = checkSource(module, cuda, from);
  if (status != SSMRT_OK)
    return status;
  ssmrtHeader header = *(const ssmrtHeader *)from;
  const void *source = ssmrtPayload(from);
  if (cuda) {
    status = ssmrtPlacePayload(cuda, &header, payload);
    if (status == SSMRT_OK && payload != source &&
        ssmrtOverlap(payload, header.payloadBytes, source, header.payloadBytes))
      status = ssmrtFail(SSMRT_BAD_ARGUMENT,
                         "%s: a state is copied over a part of itself",
                         module->name);
  } else {
    payload = (char *)to + SSMRT_HEADER_BYTES;
  }
  if (status == SSMRT_OK && payload != source)
    status = ssmrtCopy(cuda, payload, source, header.payloadBytes);
  if (status == SSMRT_OK)
    memcpy(to, &header, sizeof(header));
  return status;
}

/* Rows of one variable. Its batch extent may stand anywhere in the shape; a
 * variable without one is shared by the rows and copied whole. */
static ssmrt_status selectRows(ssmrtCudaContext *cuda,
                               const ssmrt_value_info *info,
                               const ssmrtHeader *header, const int64_t *rows,
                               int64_t count, char *to, const char *from) {
  int64_t shape[SSMRT_MAX_DIMS];
  resolveShape(info, header->batch, header->maxLength, shape);
  int64_t outer = 1, inner = (int64_t)ssmrt_dtype_size(info->dtype);
  int32_t axis = 0;
  for (; axis < info->ndim && info->shape[axis] != SSMRT_BATCH; ++axis)
    outer *= shape[axis];
  if (axis == info->ndim)
    return ssmrtCopy(cuda, to, from, outer * inner);
  for (int32_t i = axis + 1; i < info->ndim; ++i)
    inner *= shape[i];
  ssmrt_status status = SSMRT_OK;
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; status == SSMRT_OK && i < count; ++i)
      status = ssmrtCopy(cuda, to + (o * count + i) * inner,
                         from + (o * header->batch + rows[i]) * inner, inner);
  return status;
}

static ssmrt_status checkRows(const ssmrt_module *module, const int64_t *rows,
                              int64_t count, int64_t batch) {
  if (count < 0 || (count > 0 && !rows))
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "%s: %lld rows%s", module->name,
                     (long long)count, rows ? "" : " in a null pointer");
  for (int64_t i = 0; i < count; ++i)
    if (rows[i] < 0 || rows[i] >= batch)
      return ssmrtFail(SSMRT_BAD_ARGUMENT,
                       "%s: row %lld of the selection is %lld; wanted 0 to "
                       "%lld, the batch of the state",
                       module->name, (long long)i, (long long)rows[i],
                       (long long)batch - 1);
  return SSMRT_OK;
}

ssmrt_status ssmrt_state_select(const ssmrt_module *module, void *to,
                                const void *from, const int64_t *rows,
                                int64_t count) {
  return ssmrtSelectState(module, NULL, to, NULL, from, rows, count);
}

ssmrt_status ssmrtSelectState(const ssmrt_module *module, ssmrtCudaContext *cuda,
                              void *to, void *payload, const void *from,
                              const int64_t *rows, int64_t count) {
  ssmrt_status status = ssmrtCheckModule(module);
  if (status == SSMRT_OK)
    status = ssmrtCheckBlock(to, "destination state");
  if (status == SSMRT_OK)
    status = checkSource(module, cuda, from);
  if (status != SSMRT_OK)
    return status;
  ssmrtHeader header = *(const ssmrtHeader *)from;
  status = checkRows(module, rows, count, header.batch);
  if (status != SSMRT_OK)
    return status;
  int64_t bytes, described;
  status = ssmrtStatePayload(module, count, header.maxLength, &bytes);
  if (status != SSMRT_OK)
    return status;
  /* Bytes beyond the described variables belong to nobody's row. */
  if (!getDescribedBytes(module, count, header.maxLength, /*without=*/0,
                         &described) ||
      described != bytes)
    return ssmrtFail(SSMRT_BAD_VERSION,
                     "%s: its state has %lld bytes and describes %lld; rows of "
                     "it cannot be selected",
                     module->name, (long long)bytes, (long long)described);
  const char *source = ssmrtPayload(from);
  if (cuda)
    status = ssmrtPlacePayload(cuda, &header, payload);
  else
    payload = (char *)to + SSMRT_HEADER_BYTES;
  if (status != SSMRT_OK)
    return status;
  if (to == from || ssmrtOverlap(payload, bytes, source, header.payloadBytes) ||
      (!cuda && ssmrtOverlap(to, SSMRT_HEADER_BYTES + bytes, from,
                             SSMRT_HEADER_BYTES + header.payloadBytes)))
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: rows are selected into the block they come from",
                     module->name);
  char *target = payload;
  /* Gaps between variables too: equal states are equal bytes. */
  status = ssmrtZero(cuda, target, bytes);
  for (int64_t i = 0; status == SSMRT_OK && i < module->num_states; ++i) {
    const ssmrt_value_info *info = &module->states[i];
    int64_t size;
    status = selectRows(cuda, info, &header, rows, count, target, source);
    getStateBytes(info, count, header.maxLength, &size);
    target += size;
    getStateBytes(info, header.batch, header.maxLength, &size);
    source += size;
  }
  header.batch = count;
  header.payloadBytes = bytes;
  if (status == SSMRT_OK)
    memcpy(to, &header, sizeof(header));
  return status;
}

ssmrt_tensor ssmrtStateTensor(const ssmrt_module *module, int64_t index,
                              void *payload, int64_t batch, int64_t maxLength,
                              int64_t *shape) {
  char *data = payload;
  for (int64_t i = 0; i < index; ++i) {
    int64_t bytes = 0;
    getStateBytes(&module->states[i], batch, maxLength, &bytes);
    data += bytes;
  }
  const ssmrt_value_info *info = &module->states[index];
  resolveShape(info, batch, maxLength, shape);
  return ssmrtMakeTensor(data, info->dtype, info->ndim, shape);
}

ssmrt_status ssmrt_state_view(const ssmrt_module *module, void *state,
                              int64_t index, int64_t shape[SSMRT_MAX_DIMS],
                              ssmrt_tensor *view) {
  ssmrt_status status = ssmrtCheckModule(module);
  if (status == SSMRT_OK)
    status = ssmrtCheckState(module, state);
  if (status != SSMRT_OK)
    return status;
  if (index < 0 || index >= module->num_states)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: state variable %lld; wanted 0 to %lld", module->name,
                     (long long)index, (long long)module->num_states - 1);
  if (!shape || !view)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "%s: null result for a view",
                     module->name);
  const ssmrtHeader *header = state;
  *view = ssmrtStateTensor(module, index, ssmrtPayload(header), header->batch,
                           header->maxLength, shape);
  view->device.device_type = header->deviceType;
  view->device.device_id = header->device;
  return SSMRT_OK;
}
