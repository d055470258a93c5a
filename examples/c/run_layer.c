/*===- run_layer.c - Runs a compiled layer on .npy files ------------------===*\
|*                                                                            *|
|* What a program does with a layer that ssmc compiled, start to end: find    *|
|* the module, look at its description, bind weights, prepare the tables, ask *|
|* for the sizes of the blocks, run, write the results. It knows no layer in  *|
|* particular.                                                                *|
|*                                                                            *|
|*   run_layer layer.so                           prints the description      *|
|*   run_layer layer.so --weights w.safetensors \                             *|
|*       --input u=u.npy --output y=y.npy                                     *|
|*                                                                            *|
|* With --step the layer takes one token a call, as in decoding.              *|
|*                                                                            *|
|* Compiled with -DLAYER_MODULE=NAME_module and linked with the layer's       *|
|* object it needs no shared object, and takes no path of one.                *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "ssmrt/ssmrt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef LAYER_MODULE
const ssmrt_module *LAYER_MODULE(void);
#endif

/*===----------------------------------------------------------------------===*\
|* Helpers                                                                    *|
\*===----------------------------------------------------------------------===*/

static void fail(const char *message) {
  fprintf(stderr, "run_layer: error: %s\n", message);
  exit(1);
}

/* Every call of the runtime gives a status; the message is the thread's. */
static void check(ssmrt_status status) {
  if (status != SSMRT_OK)
    fail(ssmrt_last_error());
}

/* A block as the runtime wants them: aligned to 64 bytes. */
static void *allocate(int64_t bytes) {
  if (bytes < 0)
    fail(ssmrt_last_error());
  size_t size = ((size_t)bytes + SSMRT_ALIGNMENT) / SSMRT_ALIGNMENT;
  void *block = aligned_alloc(SSMRT_ALIGNMENT, size * SSMRT_ALIGNMENT);
  if (!block)
    fail("out of memory");
  return block;
}

static int64_t count_elements(const int64_t *shape, int32_t ndim) {
  int64_t count = 1;
  for (int32_t i = 0; i < ndim; ++i)
    count *= shape[i];
  return count;
}

static ssmrt_tensor make_tensor(ssmrt_dtype dtype, int32_t ndim,
                                int64_t *shape) {
  ssmrt_tensor tensor = {0};
  tensor.device.device_type = 1;
  tensor.dtype = dtype;
  tensor.ndim = ndim;
  tensor.shape = shape;
  tensor.data = allocate(count_elements(shape, ndim) *
                         (int64_t)ssmrt_dtype_size(dtype));
  return tensor;
}

/*===----------------------------------------------------------------------===*\
|* Description                                                                *|
\*===----------------------------------------------------------------------===*/

static void print_values(const char *title, const ssmrt_value_info *infos,
                         int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    printf("  %-7s %s: %s [", title, infos[i].name,
           ssmrt_dtype_name(infos[i].dtype));
    for (int32_t j = 0; j < infos[i].ndim; ++j) {
      int64_t extent = infos[i].shape[j];
      const char *comma = j > 0 ? ", " : "";
      if (ssmrt_sequence_axis(extent) > 0)
        printf("%slength %d", comma, ssmrt_sequence_axis(extent) + 1);
      else if (extent == SSMRT_BATCH || extent == SSMRT_LENGTH)
        printf("%s%s", comma, extent == SSMRT_BATCH ? "batch" : "length");
      else
        printf("%s%lld", comma, (long long)extent);
    }
    printf("]%s\n", infos[i].flags & SSMRT_OPTIONAL ? ", optional" : "");
  }
}

static void print_module(const ssmrt_module *module) {
  printf("%s: layer %s for %s, by %s\n", module->name, module->layer,
         module->target, module->compiler);
  print_values("weight", module->weights, module->num_weights);
  print_values("input", module->inputs, module->num_inputs);
  print_values("output", module->outputs, module->num_outputs);
  print_values("state", module->states, module->num_states);
}

/*===----------------------------------------------------------------------===*\
|* Inputs and outputs                                                         *|
\*===----------------------------------------------------------------------===*/

/* The file of "--KIND NAME=FILE" for a name; NULL if it is not given. */
static const char *find_file(int argc, char **argv, const char *kind,
                             const char *name) {
  size_t size = strlen(name);
  for (int i = 1; i + 1 < argc; ++i)
    if (strcmp(argv[i], kind) == 0 && strncmp(argv[i + 1], name, size) == 0 &&
        argv[i + 1][size] == '=')
      return argv[i + 1] + size + 1;
  return NULL;
}

static const char *find_option(int argc, char **argv, const char *option) {
  for (int i = 1; i + 1 < argc; ++i)
    if (strcmp(argv[i], option) == 0)
      return argv[i + 1];
  return NULL;
}

/* Reads a file into the described dtype. */
static ssmrt_tensor read_input(const ssmrt_value_info *info, const char *path) {
  ssmrt_array *array;
  ssmrt_tensor stored;
  check(ssmrt_npy_read(path, &array, &stored));
  int64_t *shape = malloc(sizeof(int64_t) * SSMRT_MAX_DIMS);
  if (!shape)
    fail("out of memory");
  memcpy(shape, stored.shape, sizeof(int64_t) * (size_t)stored.ndim);
  ssmrt_tensor input = make_tensor(info->dtype, stored.ndim, shape);
  check(ssmrt_convert(&stored, &input));
  ssmrt_array_free(array);
  return input;
}

/* Batch and length of each sequence axis as the inputs have them; ssmrt_forward
 * checks that they agree. */
static void find_extents(const ssmrt_module *module, const ssmrt_tensor *inputs,
                         int64_t *batch, int64_t lengths[SSMRT_MAX_AXES]) {
  *batch = 1;
  memset(lengths, 0, SSMRT_MAX_AXES * sizeof(*lengths));
  for (int64_t i = 0; i < module->num_inputs; ++i) {
    const ssmrt_value_info *info = &module->inputs[i];
    for (int32_t j = 0; j < info->ndim && j < inputs[i].ndim; ++j) {
      if (info->shape[j] == SSMRT_BATCH)
        *batch = inputs[i].shape[j];
      int axis = ssmrt_sequence_axis(info->shape[j]);
      if (axis >= 0)
        lengths[axis] = inputs[i].shape[j];
    }
  }
}

static ssmrt_tensor make_output(const ssmrt_value_info *info, int64_t batch,
                                const int64_t lengths[SSMRT_MAX_AXES]) {
  int64_t *shape = malloc(sizeof(int64_t) * SSMRT_MAX_DIMS);
  if (!shape)
    fail("out of memory");
  for (int32_t i = 0; i < info->ndim; ++i) {
    int axis = ssmrt_sequence_axis(info->shape[i]);
    shape[i] = info->shape[i] == SSMRT_BATCH ? batch
               : axis >= 0                   ? lengths[axis]
                                             : info->shape[i];
  }
  return make_tensor(info->dtype, info->ndim, shape);
}

/*===----------------------------------------------------------------------===*\
|* Running                                                                    *|
\*===----------------------------------------------------------------------===*/

static int has_flag(int argc, char **argv, const char *flag) {
  for (int i = 1; i < argc; ++i)
    if (strcmp(argv[i], flag) == 0)
      return 1;
  return 0;
}

/* The values of one token of a whole sequence, in place; `shape` is the view's.
 * What has no sequence stays as it is. */
static ssmrt_tensor view_token(const ssmrt_value_info *info, ssmrt_tensor whole,
                               int64_t token, int64_t *shape) {
  if (!whole.data)
    return whole;
  uint64_t stride = ssmrt_dtype_size(whole.dtype);
  for (int32_t i = whole.ndim - 1; i >= 0; --i) {
    shape[i] = whole.shape[i];
    if (info->shape[i] == SSMRT_LENGTH) {
      whole.byte_offset += (uint64_t)token * stride;
      shape[i] = 1;
    }
    stride *= (uint64_t)whole.shape[i];
  }
  whole.shape = shape;
  return whole;
}

/* One call a token; the state goes from one to the next. Tokens of several rows
 * do not lie together in memory, so this takes one row. */
static void run_steps(const ssmrt_module *module, ssmrt_context *context,
                      const void *prepared, const ssmrt_tensor *inputs,
                      const ssmrt_tensor *outputs, int64_t batch, int64_t length,
                      void *state, void *workspace) {
  if (batch != 1)
    fail("--step: the inputs have several rows; wanted one");
  static int64_t shapes[2 * SSMRT_MAX_VALUES][SSMRT_MAX_DIMS];
  ssmrt_tensor ins[SSMRT_MAX_VALUES], outs[SSMRT_MAX_VALUES];
  for (int64_t token = 0; token < length; ++token) {
    for (int64_t i = 0; i < module->num_inputs; ++i) {
      ins[i] = view_token(&module->inputs[i], inputs[i], token, shapes[i]);
      if (token > 0 && (module->inputs[i].flags & SSMRT_INITIAL))
        ins[i].data = NULL; /* the state begins once */
    }
    for (int64_t i = 0; i < module->num_outputs; ++i)
      outs[i] = view_token(&module->outputs[i], outputs[i], token,
                           shapes[SSMRT_MAX_VALUES + i]);
    check(ssmrt_step(module, context, prepared, ins, module->num_inputs, outs,
                     module->num_outputs, state, workspace));
  }
}

static void run(const ssmrt_module *module, int argc, char **argv) {
  ssmrt_tensor inputs[SSMRT_MAX_VALUES], outputs[SSMRT_MAX_VALUES];
  memset(inputs, 0, sizeof(inputs));
  for (int64_t i = 0; i < module->num_inputs; ++i) {
    const char *file =
        find_file(argc, argv, "--input", module->inputs[i].name);
    if (file)
      inputs[i] = read_input(&module->inputs[i], file);
  }
  int64_t batch, lengths[SSMRT_MAX_AXES], longest = 0;
  find_extents(module, inputs, &batch, lengths);
  for (int64_t i = 0; i < module->num_outputs; ++i)
    outputs[i] = make_output(&module->outputs[i], batch, lengths);
  for (int64_t axis = 0; axis < module->num_axes; ++axis)
    longest = lengths[axis] > longest ? lengths[axis] : longest;

  /* Threads are shared by all layers of a program: one context is enough. */
  const char *threads = find_option(argc, argv, "--threads");
  ssmrt_context *context;
  check(ssmrt_context_create(threads ? (uint32_t)atoi(threads) : 0, &context));

  /* Weights stay mapped as long as the tables are used. */
  ssmrt_weights *file = NULL;
  ssmrt_tensor *weights =
      calloc((size_t)module->num_weights + 1, sizeof(*weights));
  const char *path = find_option(argc, argv, "--weights");
  if (!weights)
    fail("out of memory");
  if (module->num_weights > 0 && !path && !module->embedded_weights)
    fail("the layer has weights: --weights FILE.safetensors");
  if (path) {
    check(ssmrt_weights_open(path, &file));
    check(ssmrt_weights_bind(file, module,
                             find_option(argc, argv, "--prefix"), weights));
  }
  void *prepared = allocate(ssmrt_prepared_bytes(module, longest));
  void *scratch = allocate(ssmrt_prepare_workspace_bytes(module, longest));
  /* Without a file, those in the artefact. */
  check(ssmrt_prepare(module, context, path ? weights : NULL,
                      path ? module->num_weights : 0, prepared, longest,
                      scratch));
  free(scratch);

  /* A state block keeps the sequence for further segments, or for ssmrt_step
   * token by token. With NULL in its place each call is a whole sequence. */
  void *state = allocate(ssmrt_state_bytes(module, batch, longest));
  check(ssmrt_state_reset(module, state, batch, longest));
  void *workspace =
      allocate(ssmrt_workspace_bytes_for_axes(module, batch, lengths));
  if (has_flag(argc, argv, "--step"))
    run_steps(module, context, prepared, inputs, outputs, batch,
              lengths[0], state, workspace);
  else
    check(ssmrt_forward(module, context, prepared, inputs, module->num_inputs,
                        outputs, module->num_outputs, state, workspace));

  for (int64_t i = 0; i < module->num_outputs; ++i) {
    const char *target =
        find_file(argc, argv, "--output", module->outputs[i].name);
    if (target)
      check(ssmrt_npy_write(target, &outputs[i]));
  }

  for (int64_t i = 0; i < module->num_inputs; ++i) {
    free(inputs[i].data);
    free(inputs[i].shape);
  }
  for (int64_t i = 0; i < module->num_outputs; ++i) {
    free(outputs[i].data);
    free(outputs[i].shape);
  }
  free(workspace);
  free(state);
  free(prepared);
  free(weights);
  ssmrt_weights_close(file);
  ssmrt_context_destroy(context);
}

int main(int argc, char **argv) {
  const ssmrt_module *module;
  void *library = NULL;
#ifdef LAYER_MODULE
  module = LAYER_MODULE();
  int first = 1;
#else
  if (argc < 2 || argv[1][0] == '-') {
    fprintf(stderr, "usage: run_layer LAYER.so [--weights FILE] [--prefix P] "
                    "[--threads N] [--step] [--input NAME=FILE.npy]... "
                    "[--output NAME=FILE.npy]...\n");
    return 2;
  }
  check(ssmrt_library_open(argv[1], &library));
  check(ssmrt_library_module(library, /*name=*/NULL, &module));
  int first = 2;
#endif
  check(ssmrt_module_check(module));
  if (argc == first)
    print_module(module);
  else
    run(module, argc, argv);
  ssmrt_library_close(library);
  return 0;
}
