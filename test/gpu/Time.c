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

void measure(Layer *layer, bool isStep, int samples) {
  if (samples < 1 || samples > 1000)
    fail("--time: wanted 1 to 1000 samples");
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

  /* As many replays a sample as take a few milliseconds. */
  double once = time_replays(layer, graph, 3) / 3;
  int count = once > 0 ? (int)(5e-3 / once) : 1;
  count = count < 1 ? 1 : count > 1000 ? 1000 : count;
  double *times = allocate_host(samples * (int64_t)sizeof(double));
  for (int i = 0; i < samples; ++i)
    times[i] = time_replays(layer, graph, count) / count;
  check(ssmrt_cuda_synchronize(layer->context));
  ssmrt_cuda_graph_destroy(layer->context, graph);
  qsort(times, (size_t)samples, sizeof(double), compare_times);
  double best = times[0], median = times[samples / 2];
  free(times);

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
  double copy = measure_copy(layer->stream, (size_t)1 << 30);
  printf(
      "%s %s batch %lld length %lld: best %.2f us, median %.2f us of %d x %d; "
      "%.0f bytes, %.1f GB/s, %.1f %% of copy (%.1f GB/s); host %.2f us a "
      "call, capture %.2f us\n",
      module->layer, isStep ? "step" : "forward", (long long)layer->batch,
      isStep ? 1LL : (long long)layer->lengths[0], best * 1e6, median * 1e6,
      samples, count, bytes, bytes / best * 1e-9, bytes / best / copy * 100,
      copy * 1e-9, host * 1e6, capturing * 1e6);
}
