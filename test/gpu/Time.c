/*===- Time.c - Times of a compiled layer on a GPU ------------------------===*/

#include "Driver.h"
#include "Layer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_times(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Seconds that `count` replays take on the device, one after the other. */
static double time_replays(const Layer *layer, const ssmrt_cuda_graph *graph,
                           int count) {
  void *begin = mark(layer->stream);
  for (int i = 0; i < count; ++i)
    check(ssmrt_cuda_graph_launch(layer->context, graph));
  return seconds_between(begin, mark(layer->stream));
}

typedef struct Samples {
  double best, median; /* seconds */
  int number, replays;
} Samples;

static Samples take_samples(Layer *layer, ssmrt_cuda_graph *graph, int number) {
  if (number < 1 || number > 1000)
    fail("--time: wanted 1 to 1000 samples");
  /* As many replays a sample as take a few milliseconds. */
  double once = time_replays(layer, graph, 3) / 3;
  int count = once > 0 ? (int)(5e-3 / once) : 1;
  count = count < 1 ? 1 : count > 1000 ? 1000 : count;
  double *times = allocate_host(number * (int64_t)sizeof(double));
  for (int i = 0; i < number; ++i)
    times[i] = time_replays(layer, graph, count) / count;
  check(ssmrt_cuda_synchronize(layer->context));
  ssmrt_cuda_graph_destroy(layer->context, graph);
  qsort(times, (size_t)number, sizeof(double), compare_times);
  Samples result = {times[0], times[number / 2], number, count};
  free(times);
  return result;
}

static void report(const Layer *layer, const char *what, int64_t length,
                   Samples times, double bytes, double host, double capturing) {
  double copy = measure_copy(layer->stream, (size_t)1 << 30);
  printf(
      "%s %s batch %lld length %lld: best %.2f us, median %.2f us of %d x %d; "
      "%.0f bytes, %.1f GB/s, %.1f %% of copy (%.1f GB/s); host %.2f us a "
      "call, capture %.2f us\n",
      layer->module->layer, what, (long long)layer->batch, (long long)length,
      times.best * 1e6, times.median * 1e6, times.number, times.replays, bytes,
      bytes / times.best * 1e-9, bytes / times.best / copy * 100, copy * 1e-9,
      host * 1e6, capturing * 1e6);
}

void measure(Layer *layer, bool isStep, int samples) {
  const ssmrt_module *module = layer->module;
  static Value ins[SSMRT_MAX_VALUES], outs[SSMRT_MAX_VALUES];
  memcpy(ins, layer->inputs, sizeof(ins));
  memcpy(outs, layer->outputs, sizeof(outs));
  if (isStep) { /* of the first token, again and again */
    reset(layer);
    for (int64_t i = 0; i < module->num_inputs; ++i) {
      make_part(layer, &layer->inputs[i], &ins[i], 1);
      if (ins[i].isThere && (ins[i].info->flags & SSMRT_INITIAL))
        ins[i].isThere = false;
      if (ins[i].isThere) {
        copy_tokens(layer, &layer->inputs[i], &ins[i], 0, 1, true);
        upload(layer, &ins[i]);
      }
    }
    for (int64_t i = 0; i < module->num_outputs; ++i)
      make_part(layer, &layer->outputs[i], &outs[i], 1);
    /* The second token is like all that follow. */
    call(layer, ins, outs, layer->state, isStep);
  }
  void *state = isStep ? layer->state : NULL;
  double start = now();
  ssmrt_cuda_graph *graph;
  check(ssmrt_cuda_graph_begin(layer->context));
  call(layer, ins, outs, state, isStep);
  check(ssmrt_cuda_graph_end(layer->context, &graph));
  double capturing = now() - start;
  Samples times = take_samples(layer, graph, samples);

  /* What the host does for a call, which a graph saves. */
  start = now();
  for (int i = 0; i < 20; ++i) {
    if (isStep)
      reset(layer);
    call(layer, ins, outs, state, isStep);
  }
  double host = (now() - start) / 20;
  check(ssmrt_cuda_synchronize(layer->context));

  double bytes = (double)layer->preparedBytes +
                 (isStep ? 2.0 * (double)layer->stateBytes : 0);
  for (int64_t i = 0; i < module->num_inputs; ++i)
    bytes += ins[i].isThere ? (double)ins[i].bytes : 0;
  for (int64_t i = 0; i < module->num_outputs; ++i)
    bytes += (double)outs[i].bytes;
  report(layer, isStep ? "step" : "forward", isStep ? 1 : layer->lengths[0],
         times, bytes, host, capturing);
}

static void make_tables(const Layer *layer) {
  ssmrt_frame frame;
  memset(&frame, 0, sizeof(frame));
  frame.context = layer->context;
  frame.prepared = layer->preparedPayload;
  frame.length = frame.prepared_length = longest_of(layer);
  layer->module->prepare_on_device(&frame);
}

void measure_tables(Layer *layer, int samples) {
  if (!layer->module->prepare_on_device)
    fail("--tables: the layer makes none on the device");
  double start = now();
  ssmrt_cuda_graph *graph;
  check(ssmrt_cuda_graph_begin(layer->context));
  make_tables(layer);
  check(ssmrt_cuda_graph_end(layer->context, &graph));
  double capturing = now() - start;
  Samples times = take_samples(layer, graph, samples);
  start = now();
  for (int i = 0; i < 20; ++i)
    make_tables(layer);
  double host = (now() - start) / 20;
  check(ssmrt_cuda_synchronize(layer->context));
  report(layer, "tables", longest_of(layer), times, (double)layer->preparedBytes,
         host, capturing);
}
