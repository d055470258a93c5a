/*===- CUDABlocks.c - Prepared tables and states on a GPU -----------------===*\
|*                                                                            *|
|* The header of such a block stays in host memory and points to the payload: *|
|* every call checks what it is given, and knows the position, without        *|
|* waiting for the device.                                                    *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "CUDA.h"

/*===----------------------------------------------------------------------===*\
|* Sizes                                                                      *|
\*===----------------------------------------------------------------------===*/

int64_t ssmrt_cuda_prepared_bytes(const ssmrt_module *module,
                                  int64_t max_length) {
  if (ssmrtGetCudaModule(&module) != SSMRT_OK)
    return -1;
  int64_t bytes = ssmrt_prepared_bytes(module, max_length);
  return bytes < 0 ? -1 : bytes - SSMRT_HEADER_BYTES;
}

int64_t ssmrt_cuda_state_bytes(const ssmrt_module *module, int64_t batch,
                               int64_t max_length) {
  if (ssmrtGetCudaModule(&module) != SSMRT_OK)
    return -1;
  int64_t bytes = ssmrt_state_bytes(module, batch, max_length);
  return bytes < 0 ? -1 : bytes - SSMRT_HEADER_BYTES;
}

/*===----------------------------------------------------------------------===*\
|* Between host and device                                                    *|
\*===----------------------------------------------------------------------===*/

/* A state or prepared tables of this module, whichever the block says it is. */
static ssmrt_status checkBlock(const ssmrt_module *module, const void *block) {
  ssmrt_status status = ssmrtCheckBlock(block, "block");
  if (status != SSMRT_OK)
    return status;
  const ssmrtHeader *header = block;
  if (header->magic == SSMRT_STATE_MAGIC)
    return ssmrtCheckState(module, block);
  status = ssmrtCheckPrepared(module, block);
  if (status != SSMRT_OK)
    return status;
  int64_t bytes = ssmrt_prepared_bytes(module, header->maxLength);
  if (bytes >= 0 && header->payloadBytes == bytes - SSMRT_HEADER_BYTES)
    return SSMRT_OK;
  return ssmrtFail(SSMRT_BAD_ARGUMENT,
                   "%s: the header of the prepared tables is damaged: length "
                   "%lld, %lld bytes",
                   module->name, (long long)header->maxLength,
                   (long long)header->payloadBytes);
}

/* The tables that kernels make of others. */
static ssmrt_status prepareOnDevice(const ssmrt_module *module,
                                    ssmrtCudaContext *cuda, void *payload,
                                    int64_t maxLength) {
  if (!module->prepare_on_device)
    return SSMRT_OK;
  cuda->status = SSMRT_OK; /* whatever was launched outside of calls */
  ssmrt_status status = ssmrtEnterCuda(cuda);
  if (status != SSMRT_OK)
    return status;
  ssmrt_frame frame;
  memset(&frame, 0, sizeof(frame));
  frame.context = &cuda->base;
  frame.prepared = payload;
  frame.length = maxLength;
  frame.prepared_length = maxLength;
  module->prepare_on_device(&frame);
  ssmrtLeaveCuda(cuda);
  return ssmrtTakeCudaFailure(cuda);
}

ssmrt_status ssmrt_cuda_upload(const ssmrt_module *module,
                               ssmrt_context *context, const void *from,
                               void *header, void *payload) {
  ssmrtCudaContext *cuda;
  ssmrt_status status = ssmrtGetCudaModule(&module);
  if (status == SSMRT_OK)
    status = ssmrtCheckCudaContext(module->name, context, &cuda);
  if (status == SSMRT_OK)
    status = checkBlock(module, from);
  if (status == SSMRT_OK)
    status = ssmrtCheckPlace(module, from, SSMRT_CPU, 0);
  if (status == SSMRT_OK)
    status = ssmrtCheckBlock(header, "header");
  if (status != SSMRT_OK)
    return status;
  ssmrtHeader result = *(const ssmrtHeader *)from;
  status = ssmrtPlacePayload(cuda, &result, payload);
  if (status == SSMRT_OK)
    status = ssmrt_cuda_copy_to_device(context, payload,
                                       (const char *)from + SSMRT_HEADER_BYTES,
                                       result.payloadBytes);
  if (status == SSMRT_OK && result.magic == SSMRT_PREPARED_MAGIC)
    status = prepareOnDevice(module, cuda, payload, result.maxLength);
  if (status == SSMRT_OK)
    memcpy(header, &result, sizeof(result));
  return status;
}

ssmrt_status ssmrt_cuda_download(const ssmrt_module *module,
                                 ssmrt_context *context, const void *header,
                                 void *to) {
  ssmrtCudaContext *cuda;
  ssmrt_status status = ssmrtGetCudaModule(&module);
  if (status == SSMRT_OK)
    status = ssmrtCheckCudaContext(module->name, context, &cuda);
  if (status == SSMRT_OK)
    status = checkBlock(module, header);
  if (status == SSMRT_OK)
    status = ssmrtCheckPlace(module, header, SSMRT_CUDA, cuda->ordinal);
  if (status == SSMRT_OK)
    status = ssmrtCheckBlock(to, "block");
  if (status != SSMRT_OK)
    return status;
  ssmrtHeader result = *(const ssmrtHeader *)header;
  status = ssmrt_cuda_copy_to_host(context, (char *)to + SSMRT_HEADER_BYTES,
                                   ssmrtPayload(&result), result.payloadBytes);
  if (status != SSMRT_OK)
    return status;
  result.deviceType = SSMRT_CPU;
  result.device = 0;
  result.payload = 0;
  memcpy(to, &result, sizeof(result));
  return SSMRT_OK;
}

ssmrt_status ssmrtPlacePayload(const ssmrtCudaContext *cuda,
                               ssmrtHeader *header, void *payload) {
  if (header->payloadBytes > 0) {
    ssmrt_status status = ssmrtCheckBlock(payload, "payload");
    if (status != SSMRT_OK)
      return status;
  }
  header->deviceType = SSMRT_CUDA;
  header->device = (uint8_t)cuda->ordinal;
  header->payload = (uintptr_t)payload;
  return SSMRT_OK;
}

/*===----------------------------------------------------------------------===*\
|* States                                                                     *|
\*===----------------------------------------------------------------------===*/

ssmrt_status ssmrt_cuda_state_reset(const ssmrt_module *module,
                                    ssmrt_context *context, void *state,
                                    void *payload, int64_t batch,
                                    int64_t max_length) {
  ssmrtCudaContext *cuda;
  ssmrt_status status = ssmrtEnterForModule(&module, context, &cuda);
  if (status != SSMRT_OK)
    return status;
  status = ssmrtResetState(module, cuda, state, payload, batch, max_length);
  ssmrtLeaveCuda(cuda);
  return status;
}

ssmrt_status ssmrt_cuda_state_copy(const ssmrt_module *module,
                                   ssmrt_context *context, void *to,
                                   void *payload, const void *from) {
  ssmrtCudaContext *cuda;
  ssmrt_status status = ssmrtEnterForModule(&module, context, &cuda);
  if (status != SSMRT_OK)
    return status;
  status = ssmrtCopyState(module, cuda, to, payload, from);
  ssmrtLeaveCuda(cuda);
  return status;
}

ssmrt_status ssmrt_cuda_state_select(const ssmrt_module *module,
                                     ssmrt_context *context, void *to,
                                     void *payload, const void *from,
                                     const int64_t *rows, int64_t count) {
  ssmrtCudaContext *cuda;
  ssmrt_status status = ssmrtEnterForModule(&module, context, &cuda);
  if (status != SSMRT_OK)
    return status;
  status = ssmrtSelectState(module, cuda, to, payload, from, rows, count);
  ssmrtLeaveCuda(cuda);
  return status;
}

ssmrt_status ssmrt_cuda_state_advance(const ssmrt_module *module, void *state,
                                      int64_t tokens) {
  ssmrt_status status = ssmrtGetCudaModule(&module);
  if (status == SSMRT_OK)
    status = ssmrtCheckState(module, state);
  if (status != SSMRT_OK)
    return status;
  ssmrtHeader *header = state;
  int64_t position;
  if (module->flags & SSMRT_READS_POSITION)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: the layer's kernels depend on the position, which a "
                     "graph keeps from its capture; replays do not go on from "
                     "one another: wanted ssmrt_forward or ssmrt_step",
                     module->name);
  if (!ssmrtAdd(header->position, tokens, &position) || position < 0)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: position %lld and %lld tokens more; wanted at least "
                     "0",
                     module->name, (long long)header->position,
                     (long long)tokens);
  header->position = position;
  return SSMRT_OK;
}
