/*===- Execute.c - forward and step of compiled layers --------------------===*\
|*                                                                            *|
|* Generated code checks nothing, so everything it relies on is checked here: *|
|* the values by Values.c, prepared tables, state and workspace below, and    *|
|* that nothing that is written overlaps anything that is read. On a GPU all  *|
|* this is known without looking at the memory itself, which would mean to    *|
|* wait for it.                                                               *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "Call.h"

/*===----------------------------------------------------------------------===*\
|* Blocks                                                                     *|
\*===----------------------------------------------------------------------===*/

/* Outputs against a block of memory that the call reads; inputs too where it
 * writes the block. */
static ssmrt_status checkApart(const ssmrtCall *call, const char *what,
                               const void *block, int64_t bytes,
                               bool isWritten) {
  for (int64_t i = 0; isWritten && i < call->module->num_inputs; ++i)
    if (ssmrtOverlap(call->inputs[i], call->inputBytes[i], block, bytes))
      return ssmrtFail(SSMRT_BAD_ARGUMENT,
                       "%s: input '%s' overlaps the %s; wanted memory apart",
                       call->module->name, call->module->inputs[i].name, what);
  for (int64_t i = 0; i < call->module->num_outputs; ++i)
    if (ssmrtOverlap(call->outputs[i], call->outputBytes[i], block, bytes))
      return ssmrtFail(SSMRT_BAD_ARGUMENT,
                       "%s: output '%s' overlaps the %s; wanted memory apart",
                       call->module->name, call->module->outputs[i].name, what);
  return SSMRT_OK;
}

static ssmrt_status checkAliases(const ssmrtCall *call) {
  const ssmrt_module *module = call->module;
  for (int64_t i = 0; i < module->num_outputs; ++i) {
    const char *role = "input", *other = NULL;
    for (int64_t j = 0; j < module->num_inputs && !other; ++j)
      if (ssmrtOverlap(call->outputs[i], call->outputBytes[i], call->inputs[j],
                       call->inputBytes[j]))
        other = module->inputs[j].name;
    for (int64_t j = 0; j < i && !other; ++j)
      if (ssmrtOverlap(call->outputs[i], call->outputBytes[i], call->outputs[j],
                       call->outputBytes[j])) {
        role = "output";
        other = module->outputs[j].name;
      }
    if (other)
      return ssmrtFail(SSMRT_BAD_ARGUMENT,
                       "%s: output '%s' overlaps %s '%s'; wanted memory apart",
                       module->name, module->outputs[i].name, role, other);
  }
  return SSMRT_OK;
}

/* The same of a block with a header, which in host memory is a part of it. */
static ssmrt_status checkBlockApart(const ssmrtCall *call, const char *what,
                                    const void *block, bool isWritten) {
  const ssmrtHeader *header = block;
  if (call->cuda)
    return checkApart(call, what, ssmrtPayload(header), header->payloadBytes,
                      isWritten);
  return checkApart(call, what, block,
                    SSMRT_HEADER_BYTES + header->payloadBytes, isWritten);
}

static ssmrt_status checkBlockPlace(const ssmrtCall *call, const void *block) {
  return ssmrtCheckPlace(call->module, block,
                         call->cuda ? SSMRT_CUDA : SSMRT_CPU,
                         call->cuda ? call->cuda->ordinal : 0);
}

static ssmrt_status checkPrepared(const ssmrtCall *call, const void *prepared) {
  ssmrt_status status = ssmrtCheckPrepared(call->module, prepared);
  if (status != SSMRT_OK)
    return status;
  status = checkBlockPlace(call, prepared);
  if (status != SSMRT_OK)
    return status;
  return checkBlockApart(call, "prepared tables", prepared,
                         /*isWritten=*/false);
}

/* A state that is given settles the batch, and must have room for the length if
 * any variable grows with it. */
static ssmrt_status checkStateFits(const ssmrtCall *call,
                                   const ssmrtHeader *header) {
  const ssmrt_module *module = call->module;
  if (header->position > 0 && !module->step)
    return ssmrtFail(SSMRT_BAD_STATE,
                     "%s: the layer needs its whole sequence at once; wanted a "
                     "state at position 0, found %lld",
                     module->name, (long long)header->position);
  int64_t end;
  int64_t length = call->lengths[0].value;
  if (!ssmrtAdd(header->position, length, &end))
    end = INT64_MAX;
  for (int64_t i = 0; i < module->num_states; ++i)
    for (int32_t j = 0; j < module->states[i].ndim; ++j)
      if (module->states[i].shape[j] == SSMRT_LENGTH && end > header->maxLength)
        return ssmrtFail(SSMRT_BAD_STATE,
                         "%s: position %lld and length %lld; the state was "
                         "made for %lld tokens",
                         module->name, (long long)header->position,
                         (long long)length, (long long)header->maxLength);
  return SSMRT_OK;
}

/* Tables of a kernel reach as far as they were prepared for. */
static ssmrt_status checkLengthOf(const ssmrt_module *module,
                                  const ssmrt_value_info *info, int64_t length,
                                  int64_t position, int64_t preparedLength) {
  if ((info->flags & SSMRT_FIXED_LENGTH) && length != info->limit &&
      length != 0)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: input '%s' has length %lld; the layer takes "
                     "sequences of %lld tokens",
                     module->name, info->name, (long long)length,
                     (long long)info->limit);
  if ((info->flags & SSMRT_LIMITED_LENGTH) &&
      (length > info->limit || position > info->limit - length))
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: input '%s' has length %lld at position %lld; the "
                     "layer takes sequences of at most %lld tokens, for which "
                     "its weights were made",
                     module->name, info->name, (long long)length,
                     (long long)position, (long long)info->limit);
  if ((info->flags & SSMRT_EXACT_LENGTH) &&
      (position != 0 || (length != preparedLength && length != 0)))
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: input '%s' has length %lld at position %lld; the "
                     "layer's kernel depends on the length and was prepared "
                     "for %lld: prepare it again for another length",
                     module->name, info->name, (long long)length,
                     (long long)position, (long long)preparedLength);
  if ((info->flags & SSMRT_BOUNDED_LENGTH) &&
      (length > preparedLength || position > preparedLength - length))
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: input '%s' has length %lld at position %lld; the "
                     "layer's kernel was prepared for %lld tokens: prepare "
                     "it for the longest sequence",
                     module->name, info->name, (long long)length,
                     (long long)position, (long long)preparedLength);
  return SSMRT_OK;
}

static ssmrt_status checkPreparedLength(const ssmrtCall *call, int64_t position,
                                        int64_t preparedLength) {
  const ssmrt_module *module = call->module;
  for (int64_t i = 0; i < module->num_inputs; ++i) {
    const ssmrt_value_info *info = &module->inputs[i];
    for (int32_t j = 0; j < info->ndim; ++j) {
      int axis = ssmrt_sequence_axis(info->shape[j]);
      if (axis < 0)
        continue;
      ssmrt_status status = checkLengthOf(
          module, info, call->lengths[axis].value, position, preparedLength);
      if (status != SSMRT_OK)
        return status;
    }
  }
  return SSMRT_OK;
}

/*===----------------------------------------------------------------------===*\
|* Calls                                                                      *|
\*===----------------------------------------------------------------------===*/

static ssmrt_status checkCall(ssmrtCall *call, const void *prepared,
                              const ssmrt_tensor *inputs, int64_t numInputs,
                              const ssmrt_tensor *outputs, int64_t numOutputs) {
  ssmrt_status status = ssmrtCheckInputs(call, inputs, numInputs);
  if (status == SSMRT_OK)
    status = ssmrtCheckOutputs(call, outputs, numOutputs);
  if (status == SSMRT_OK)
    status = checkAliases(call);
  if (status == SSMRT_OK)
    status = checkPrepared(call, prepared);
  /* A layer without such values has one row, and no tokens. */
  if (call->batch.value < 0)
    call->batch.value = 1;
  for (int axis = 0; axis < SSMRT_MAX_AXES; ++axis)
    if (call->lengths[axis].value < 0)
      call->lengths[axis].value = 0;
  return status;
}

/* Fills state, workspace and position of the frame. */
static ssmrt_status placeBlocks(const ssmrtCall *call, void *state,
                                void *workspace, bool isStep,
                                ssmrt_frame *frame) {
  const ssmrt_module *module = call->module;
  int64_t stateBytes, bytes;
  ssmrt_status status = ssmrtUnkeptPayload(module, frame->batch, &stateBytes);
  if (status != SSMRT_OK)
    return status;
  int64_t (*stepBytes)(int64_t) = module->step_workspace_bytes;
  int64_t (*forwardBytes)(int64_t, const int64_t *) =
      module->forward_workspace_bytes;
  int64_t lengths[SSMRT_MAX_AXES];
  for (int axis = 0; axis < SSMRT_MAX_AXES; ++axis)
    lengths[axis] = call->lengths[axis].value;
  if (isStep)
    bytes = stepBytes ? stepBytes(frame->batch) : 0;
  else
    bytes = forwardBytes ? forwardBytes(frame->batch, lengths) : 0;
  int64_t total;
  if (bytes < 0 || !ssmrtAdd(bytes, state ? 0 : stateBytes, &total))
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: no workspace is large enough for batch %lld and "
                     "length %lld",
                     module->name, (long long)frame->batch,
                     (long long)frame->length);
  if (total > 0) {
    status = ssmrtCheckBlock(workspace, "workspace");
    if (status == SSMRT_OK)
      status = checkApart(call, "workspace", workspace, total,
                          /*isWritten=*/true);
    if (status != SSMRT_OK)
      return status;
  }
  if (state) {
    const ssmrtHeader *header = state;
    frame->state = ssmrtPayload(header);
    frame->workspace = workspace;
    frame->position = header->position;
    status = checkStateFits(call, header);
    if (status != SSMRT_OK)
      return status;
    return checkBlockApart(call, "state", state, /*isWritten=*/true);
  }
  /* The state of a call that keeps none stands before the workspace proper. */
  frame->state = workspace;
  frame->workspace = workspace ? (char *)workspace + stateBytes : NULL;
  return ssmrtZero(call->cuda, frame->state, stateBytes);
}

/* Copies the inputs that are initial states. */
static ssmrt_status setInitialStates(const ssmrtCall *call,
                                     const ssmrt_frame *frame,
                                     const ssmrt_tensor *inputs,
                                     int64_t maxLength) {
  const ssmrt_module *module = call->module;
  for (int64_t i = 0; i < module->num_inputs; ++i) {
    const ssmrt_value_info *info = &module->inputs[i];
    if (!(info->flags & SSMRT_INITIAL) || !inputs[i].data)
      continue;
    if (frame->position > 0)
      return ssmrtFail(SSMRT_BAD_STATE,
                       "%s: input '%s', an initial state, is given at position "
                       "%lld; wanted position 0",
                       module->name, info->name, (long long)frame->position);
    int64_t shape[SSMRT_MAX_DIMS];
    ssmrt_tensor state = ssmrtStateTensor(module, info->state, frame->state,
                                          frame->batch, maxLength, shape);
    ssmrt_status status = call->cuda
                              ? ssmrtCopy(call->cuda, ssmrtData(&state),
                                          call->inputs[i], call->inputBytes[i])
                              : ssmrt_convert(&inputs[i], &state);
    if (status != SSMRT_OK)
      return status;
  }
  return SSMRT_OK;
}

/* Fills the outputs that are final states. */
static ssmrt_status getFinalStates(const ssmrtCall *call,
                                   const ssmrt_frame *frame,
                                   ssmrt_tensor *outputs, int64_t maxLength) {
  const ssmrt_module *module = call->module;
  for (int64_t i = 0; i < module->num_outputs; ++i) {
    const ssmrt_value_info *info = &module->outputs[i];
    if (!(info->flags & SSMRT_FINAL))
      continue;
    int64_t shape[SSMRT_MAX_DIMS];
    ssmrt_tensor state = ssmrtStateTensor(module, info->state, frame->state,
                                          frame->batch, maxLength, shape);
    ssmrt_status status =
        call->cuda ? ssmrtCopy(call->cuda, call->outputs[i], ssmrtData(&state),
                               call->outputBytes[i])
                   : ssmrt_convert(&state, &outputs[i]);
    if (status != SSMRT_OK)
      return status;
  }
  return SSMRT_OK;
}

/* Queues the work, or does it. The state's position goes on once that succeeds.
 */
static ssmrt_status execute(ssmrtCall *call, bool isStep, ssmrt_frame *frame,
                            const ssmrt_tensor *inputs, ssmrt_tensor *outputs,
                            void *state, void *workspace) {
  ssmrt_status status = placeBlocks(call, state, workspace, isStep, frame);
  if (status != SSMRT_OK)
    return status;
  status = checkPreparedLength(call, frame->position, frame->prepared_length);
  if (status != SSMRT_OK)
    return status;
  int64_t maxLength = frame->state_length;
  status = setInitialStates(call, frame, inputs, maxLength);
  if (status != SSMRT_OK)
    return status;
  (isStep ? call->module->step : call->module->forward)(frame);
  if (call->cuda)
    status = ssmrtTakeCudaFailure(call->cuda);
  if (status != SSMRT_OK)
    return status;
  if (state)
    ((ssmrtHeader *)state)->position += frame->length;
  return getFinalStates(call, frame, outputs, maxLength);
}

static ssmrt_status run(ssmrtCall *call, bool isStep, ssmrt_context *context,
                        const void *prepared, const ssmrt_tensor *inputs,
                        int64_t numInputs, ssmrt_tensor *outputs,
                        int64_t numOutputs, void *state, void *workspace) {
  ssmrt_status status =
      call->module->device_type == SSMRT_CUDA
          ? ssmrtCheckCudaContext(call->module->name, context, &call->cuda)
          : ssmrtCheckContext(call->module, &context);
  if (status == SSMRT_OK && state) {
    status = ssmrtCheckState(call->module, state);
    if (status == SSMRT_OK)
      status = checkBlockPlace(call, state);
    if (status == SSMRT_OK)
      call->batch = (ssmrtExtent){((const ssmrtHeader *)state)->batch,
                                  "the given", "state"};
  }
  if (status == SSMRT_OK)
    status = checkCall(call, prepared, inputs, numInputs, outputs, numOutputs);
  if (status != SSMRT_OK)
    return status;
  ssmrt_frame frame;
  memset(&frame, 0, sizeof(frame));
  frame.context = context;
  frame.prepared = ssmrtPayload(prepared);
  frame.batch = call->batch.value;
  frame.length = call->lengths[0].value;
  for (int axis = 1; axis < SSMRT_MAX_AXES; ++axis)
    frame.more_lengths[axis - 1] = call->lengths[axis].value;
  frame.inputs = call->inputs;
  frame.outputs = call->outputs;
  frame.prepared_length = ((const ssmrtHeader *)prepared)->maxLength;
  /* What grows with the sequence serves later calls only. */
  frame.state_length = state ? ((const ssmrtHeader *)state)->maxLength : 0;
  frame.keeps_state = state != NULL;
  for (int64_t i = 0; i < call->module->num_outputs; ++i)
    frame.keeps_state |= (call->module->outputs[i].flags & SSMRT_FINAL) != 0;
  if (call->cuda) {
    call->cuda->status = SSMRT_OK; /* whatever was launched outside of calls */
    status = ssmrtEnterCuda(call->cuda);
  }
  if (status != SSMRT_OK)
    return status;
  status = execute(call, isStep, &frame, inputs, outputs, state, workspace);
  if (call->cuda)
    ssmrtLeaveCuda(call->cuda);
  return status;
}

ssmrt_status ssmrt_forward(const ssmrt_module *module, ssmrt_context *context,
                           const void *prepared, const ssmrt_tensor *inputs,
                           int64_t num_inputs, ssmrt_tensor *outputs,
                           int64_t num_outputs, void *state, void *workspace) {
  ssmrt_status status = ssmrtCheckModule(module);
  if (status != SSMRT_OK)
    return status;
  module = ssmrtPickModule(module, inputs, num_inputs, outputs, num_outputs);
  ssmrtCall call = ssmrtStartCall(module);
  return run(&call, /*isStep=*/false, context, prepared, inputs, num_inputs,
             outputs, num_outputs, state, workspace);
}

ssmrt_status ssmrt_step(const ssmrt_module *module, ssmrt_context *context,
                        const void *prepared, const ssmrt_tensor *inputs,
                        int64_t num_inputs, ssmrt_tensor *outputs,
                        int64_t num_outputs, void *state, void *workspace) {
  ssmrt_status status = ssmrtCheckModule(module);
  if (status != SSMRT_OK)
    return status;
  module = ssmrtPickModule(module, inputs, num_inputs, outputs, num_outputs);
  if (!module->step)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: the layer cannot run token by token; use forward",
                     module->name);
  if (!state)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s: a step needs a state block; found a null pointer",
                     module->name);
  ssmrtCall call = ssmrtStartCall(module);
  call.lengths[0] = (ssmrtExtent){1, "one", "step"};
  return run(&call, /*isStep=*/true, context, prepared, inputs, num_inputs,
             outputs, num_outputs, state, workspace);
}
