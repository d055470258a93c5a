/*===- run_gpu.c - Runs a compiled layer on a GPU, and times it -----------===*\
|*                                                                            *|
|*   run_gpu LAYER.so --weights w.safetensors \                               *|
|*       --input u=u.npy --output y=y.npy         one call of forward         *|
|*   ... --step                                   a call a token              *|
|*   ... --split N                                two calls, N tokens first   *|
|*   ... --time 20                                and 20 samples of its time  *|
|*   ... --time 20 --tables                       of what prepare leaves to   *|
|*                                                the device instead          *|
|*   ... --rows 1e-5                              the last row alone as well  *|
|*   run_gpu LAYER.so --random BATCH LENGTH --time 20 [--step]                *|
|*                                                                            *|
|* Weights in the artefact (ssmc compile --embed-weights) need no file; with  *|
|* --random-weights they are small numbers, for times alone.                  *|
|* Timing captures forward (with --step: one step) into a graph and replays   *|
|* it. GB/s are the bytes that a call needs at least, tables, inputs, outputs *|
|* and, of steps, the state twice; "of copy" compares them with a copy on the *|
|* device in the same process. Small calls stay in its caches.                *|
|*                                                                            *|
|* It links libssmrt.a alone: no LLVM, nothing of CUDA but the driver.        *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "Driver.h"
#include "Layer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fail(const char *message) {
  fprintf(stderr, "run_gpu: error: %s\n", message);
  exit(1);
}

/*===----------------------------------------------------------------------===*\
|* Arguments                                                                  *|
\*===----------------------------------------------------------------------===*/

typedef struct Arguments {
  int count;
  char **values;
} Arguments;

/* The `offset`-th value after an option; NULL where it is not given. */
static const char *find_option(Arguments arguments, const char *name,
                               int offset) {
  for (int i = 2; i + offset < arguments.count; ++i)
    if (!strcmp(arguments.values[i], name))
      return arguments.values[i + offset];
  return NULL;
}

/* FILE of "--input NAME=FILE". */
static const char *find_file(Arguments arguments, const char *kind,
                             const char *name) {
  size_t size = strlen(name);
  for (int i = 2; i + 1 < arguments.count; ++i) {
    const char *value = arguments.values[i + 1];
    if (!strcmp(arguments.values[i], kind) && !strncmp(value, name, size) &&
        value[size] == '=')
      return value + size + 1;
  }
  return NULL;
}

static int64_t number_of(Arguments arguments, const char *name, int offset,
                         int64_t otherwise) {
  const char *text = find_option(arguments, name, offset);
  return text ? atoll(text) : otherwise;
}

/*===----------------------------------------------------------------------===*\
|* Arrays                                                                     *|
\*===----------------------------------------------------------------------===*/

/* Reads a file into the described dtype; batch and lengths are what it says. */
static void read_input(Layer *layer, Value *value, const char *path) {
  ssmrt_array *array;
  ssmrt_tensor stored;
  check(ssmrt_npy_read(path, &array, &stored));
  memcpy(value->shape, stored.shape, sizeof(int64_t) * (size_t)stored.ndim);
  allocate_value(layer, value, stored.ndim);
  check(ssmrt_convert(&stored, &value->host));
  ssmrt_array_free(array);
  for (int32_t i = 0; i < value->info->ndim && i < stored.ndim; ++i) {
    int axis = ssmrt_sequence_axis(value->info->shape[i]);
    if (value->info->shape[i] == SSMRT_BATCH)
      layer->batch = value->shape[i];
    if (axis >= 0)
      layer->lengths[axis] = value->shape[i];
  }
}

/* Floats in [-1, 0), as logarithms of decays are; integers in [0, limit). */
static void draw_input(const Layer *layer, Value *value) {
  static uint64_t state = 20;
  resolve_shape(layer, value, -1);
  allocate_value(layer, value, value->info->ndim);
  int64_t size = (int64_t)ssmrt_dtype_size(value->info->dtype);
  int64_t count = value->bytes / size;
  bool isFloat = value->info->dtype.code == SSMRT_FLOAT ||
                 value->info->dtype.code == SSMRT_BFLOAT;
  bool isLimit = value->info->limit > 0 && !isFloat;
  double *numbers = allocate_host(count * 8);
  int64_t *integers = (int64_t *)(void *)numbers;
  for (int64_t i = 0; i < count; ++i) {
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
    uint64_t bits = state >> 33;
    if (isFloat)
      numbers[i] = (double)bits * 0x1p-31 - 1;
    else
      integers[i] = isLimit ? (int64_t)(bits % (uint64_t)value->info->limit)
                            : (int64_t)(bits & 1);
  }
  ssmrt_tensor drawn = value->host;
  drawn.data = numbers;
  drawn.dtype = (ssmrt_dtype){isFloat ? SSMRT_FLOAT : SSMRT_INT, 64, 1};
  check(ssmrt_convert(&drawn, &value->host));
  free(numbers);
}

/*===----------------------------------------------------------------------===*\
|* Set-up                                                                     *|
\*===----------------------------------------------------------------------===*/

static void make_inputs(Layer *layer, Arguments arguments) {
  layer->batch = number_of(arguments, "--random", 1, 1);
  bool isRandom = find_option(arguments, "--random", 2) != NULL;
  for (int axis = 0; axis < SSMRT_MAX_AXES; ++axis)
    layer->lengths[axis] =
        isRandom ? number_of(arguments, "--random", 2, 0) : 0;
  const ssmrt_module *module = layer->module;
  for (int64_t i = 0; i < module->num_inputs; ++i) {
    Value *value = &layer->inputs[i];
    value->info = &module->inputs[i];
    const char *file = find_file(arguments, "--input", value->info->name);
    bool isOptional = value->info->flags & (SSMRT_OPTIONAL | SSMRT_INITIAL);
    if (file)
      read_input(layer, value, file);
    else if (isRandom && !isOptional)
      draw_input(layer, value);
    if (value->isThere)
      upload(layer, value);
  }
  for (int64_t i = 0; i < module->num_outputs; ++i) {
    layer->outputs[i].info = &module->outputs[i];
    resolve_shape(layer, &layer->outputs[i], -1);
    allocate_value(layer, &layer->outputs[i], module->outputs[i].ndim);
  }
}

/* Small numbers, for times alone. Returns the memory of the shapes. */
static void *draw_weights(const ssmrt_module *module, ssmrt_tensor *weights) {
  int64_t(*shapes)[SSMRT_MAX_DIMS] =
      allocate_host(module->num_weights * (int64_t)sizeof(*shapes));
  for (int64_t i = 0; i < module->num_weights; ++i) {
    const ssmrt_value_info *info = &module->weights[i];
    int64_t count = 1;
    for (int32_t j = 0; j < info->ndim; ++j)
      count *= shapes[i][j] = info->shape[j];
    float *values = allocate_host(count * 4);
    uint64_t bits = 7;
    for (int64_t j = 0; j < count; ++j) {
      bits = bits * UINT64_C(6364136223846793005) + 1442695040888963407;
      values[j] = ((float)(bits >> 40) * 0x1p-23f - 1) * 0.1f;
    }
    weights[i].data = values;
    weights[i].dtype = (ssmrt_dtype){SSMRT_FLOAT, 32, 1};
    weights[i].ndim = info->ndim;
    weights[i].shape = shapes[i];
  }
  return shapes;
}

static void prepare(Layer *layer, Arguments arguments) {
  const ssmrt_module *module = layer->module;
  ssmrt_weights *file = NULL;
  ssmrt_tensor *weights =
      calloc((size_t)module->num_weights + 1, sizeof(*weights));
  const char *path = find_option(arguments, "--weights", 1);
  if (path) {
    check(ssmrt_weights_open(path, &file));
    check(ssmrt_weights_bind(file, module,
                             find_option(arguments, "--prefix", 1), weights));
  }
  bool isDrawn = !path && find_option(arguments, "--random-weights", 0);
  void *shapes = isDrawn ? draw_weights(module, weights) : NULL;
  bool isGiven = path || isDrawn;
  int64_t longest = longest_of(layer);
  void *tables = allocate_host(ssmrt_prepared_bytes(module, longest));
  void *scratch = allocate_host(ssmrt_prepare_workspace_bytes(module, longest));
  ssmrt_context *threads;
  check(ssmrt_context_create(0, &threads));
  check(ssmrt_prepare(module, threads, isGiven ? weights : NULL,
                      isGiven ? module->num_weights : 0, tables, longest,
                      scratch));
  ssmrt_context_destroy(threads);
  layer->preparedBytes = ssmrt_cuda_prepared_bytes(module, longest);
  layer->prepared = allocate_host(SSMRT_HEADER_BYTES);
  layer->preparedPayload = allocate_device(layer, layer->preparedBytes);
  check(ssmrt_cuda_upload(module, layer->context, tables, layer->prepared,
                          layer->preparedPayload));
  check(ssmrt_cuda_synchronize(layer->context));
  free(scratch);
  free(tables);
  for (int64_t i = 0; isDrawn && i < module->num_weights; ++i)
    free(weights[i].data);
  free(shapes);
  free(weights);
  ssmrt_weights_close(file);

  layer->stateBytes = ssmrt_cuda_state_bytes(module, layer->batch, longest);
  layer->state = allocate_host(SSMRT_HEADER_BYTES);
  layer->statePayload = allocate_device(layer, layer->stateBytes);
  layer->workspace = allocate_device(
      layer,
      ssmrt_workspace_bytes_for_axes(module, layer->batch, layer->lengths));
}

/*===----------------------------------------------------------------------===*\
|* Calls                                                                      *|
\*===----------------------------------------------------------------------===*/

/* The tokens [begin, end) in calls of `count` each. */
static void run_pieces(Layer *layer, int64_t begin, int64_t end, int64_t count,
                       bool isStep) {
  static Value ins[SSMRT_MAX_VALUES], outs[SSMRT_MAX_VALUES];
  const ssmrt_module *module = layer->module;
  for (int64_t i = 0; i < module->num_inputs; ++i)
    make_part(layer, &layer->inputs[i], &ins[i], count);
  for (int64_t i = 0; i < module->num_outputs; ++i)
    make_part(layer, &layer->outputs[i], &outs[i], count);
  for (int64_t at = begin; at < end; at += count) {
    for (int64_t i = 0; i < module->num_inputs; ++i) {
      if (!layer->inputs[i].isThere)
        continue;
      /* A state begins once. */
      ins[i].isThere = at == 0 || !(ins[i].info->flags & SSMRT_INITIAL);
      copy_tokens(layer, &layer->inputs[i], &ins[i], at, count, true);
      upload(layer, &ins[i]);
    }
    call(layer, ins, outs, layer->state, isStep);
    for (int64_t i = 0; i < module->num_outputs; ++i) {
      download(layer, &outs[i]);
      copy_tokens(layer, &layer->outputs[i], &outs[i], at, count, false);
    }
  }
  for (int64_t i = 0; i < module->num_inputs; ++i) {
    ins[i].isThere = layer->inputs[i].isThere;
    free_part(layer, &ins[i]);
  }
  for (int64_t i = 0; i < module->num_outputs; ++i)
    free_part(layer, &outs[i]);
}

/* Files of .npy have no bf16: what is narrow is written as f32. */
static void write_output(const Value *value, const char *file) {
  ssmrt_tensor wide = value->host;
  if (value->info->dtype.code == SSMRT_BFLOAT) {
    wide.dtype = (ssmrt_dtype){SSMRT_FLOAT, 32, 1};
    wide.data = allocate_host(value->bytes * 2);
    check(ssmrt_convert(&value->host, &wide));
  }
  check(ssmrt_npy_write(file, &wide));
  if (wide.data != value->host.data)
    free(wide.data);
}

static void run(Layer *layer, Arguments arguments) {
  bool isStep = find_option(arguments, "--step", 0) != NULL;
  int64_t length = layer->lengths[0];
  int64_t split = number_of(arguments, "--split", 1, 0);
  if (isStep || split > 0)
    reset(layer);
  if (isStep) {
    run_pieces(layer, 0, length, 1, /*isStep=*/true);
  } else if (split > 0) {
    if (split >= length)
      fail("--split: wanted fewer tokens than the sequence has");
    run_pieces(layer, 0, split, split, /*isStep=*/false);
    run_pieces(layer, split, length, length - split, /*isStep=*/false);
  } else {
    call(layer, layer->inputs, layer->outputs, NULL, /*isStep=*/false);
    for (int64_t i = 0; i < layer->module->num_outputs; ++i)
      download(layer, &layer->outputs[i]);
  }
  for (int64_t i = 0; i < layer->module->num_outputs; ++i) {
    const char *file =
        find_file(arguments, "--output", layer->outputs[i].info->name);
    if (file)
      write_output(&layer->outputs[i], file);
  }
}

int main(int argc, char **argv) {
  if (argc < 2 || argv[1][0] == '-') {
    fprintf(
        stderr,
        "usage: run_gpu LAYER.so [--weights FILE] [--prefix P] [--device N] "
        "[--random-weights] [--input NAME=FILE.npy]... "
        "[--random BATCH LENGTH] "
        "[--output NAME=FILE.npy]... [--step] [--split N] [--time N [--tables]] "
        "[--rows TOLERANCE]\n");
    return 2;
  }
  Arguments arguments = {argc, argv};
  static Layer layer;
  void *library;
  check(ssmrt_library_open(argv[1], &library));
  check(ssmrt_library_module(library, /*name=*/NULL, &layer.module));
  if (layer.module->device_type != SSMRT_CUDA)
    layer.module = layer.module->cuda;
  if (!layer.module)
    fail("the layer was compiled for the CPU alone");
  layer.device = (int)number_of(arguments, "--device", 1, 0);
  layer.stream = open_stream(layer.device);
  check(ssmrt_cuda_context_create(layer.device, layer.stream, &layer.context));
  double start = now();
  check(ssmrt_cuda_load(layer.module, layer.context));
  double loading = now() - start;
  make_inputs(&layer, arguments);
  prepare(&layer, arguments);
  run(&layer, arguments);
  if (find_option(arguments, "--time", 1)) {
    ssmrt_cuda_device device;
    check(ssmrt_cuda_device_info(layer.device, &device));
    printf("%s, sm_%d, driver for CUDA %d.%d; kernels loaded in %.0f ms\n",
           device.name, device.arch, device.driver_version / 1000,
           device.driver_version % 1000 / 10, loading * 1e3);
    int samples = (int)number_of(arguments, "--time", 1, 20);
    if (find_option(arguments, "--tables", 0))
      measure_tables(&layer, samples);
    else
      measure(&layer, find_option(arguments, "--step", 0) != NULL, samples);
  }
  const char *tolerance = find_option(arguments, "--rows", 1);
  if (tolerance)
    compare_last_row(&layer, atof(tolerance));
  /* The process gives its device memory back. */
  check(ssmrt_cuda_synchronize(layer.context));
  ssmrt_context_destroy(layer.context);
  ssmrt_library_close(library);
  return 0;
}
