/*===- Rows.c - A row of a batch against the same row alone ---------------===*\
|*                                                                            *|
|* In tensors of more than 2^31 elements the last row is where offsets of 32  *|
|* bits would not reach.                                                      *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "Driver.h"
#include "Layer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 1 << 20 }; /* numbers that are compared at once */

/* The last row of a value, in the same memory; the value itself where it has none. */
static void view_last_row(const Layer *layer, const Value *whole, Value *row) {
  *row = *whole;
  row->host.shape = row->device.shape = row->shape;
  if (!whole->isThere || whole->info->ndim == 0 ||
      whole->info->shape[0] != SSMRT_BATCH)
    return;
  int64_t offset = whole->bytes / layer->batch * (layer->batch - 1);
  row->shape[0] = 1;
  row->bytes = whole->bytes / layer->batch;
  row->host.data = (char *)whole->host.data + offset;
  row->device.data = (char *)whole->device.data + offset;
}

/* Numbers [at, at + count) as f64. */
static void widen(const Value *value, int64_t at, int64_t count,
                  double *numbers) {
  ssmrt_tensor from = value->host, to;
  from.ndim = 1;
  from.shape = &count;
  from.data = (char *)value->host.data +
              at * (int64_t)ssmrt_dtype_size(value->info->dtype);
  to = from;
  to.dtype = (ssmrt_dtype){SSMRT_FLOAT, 64, 1};
  to.data = numbers;
  check(ssmrt_convert(&from, &to));
}

/* The largest difference, over the largest number. */
static double compare_values(const Value *left, const Value *right) {
  static double a[COUNT], b[COUNT];
  int64_t size = (int64_t)ssmrt_dtype_size(left->info->dtype);
  double largest = 0, worst = 0;
  for (int64_t at = 0, end = left->bytes / size; at < end; at += COUNT) {
    int64_t count = end - at < COUNT ? end - at : COUNT;
    widen(left, at, count, a);
    widen(right, at, count, b);
    for (int64_t i = 0; i < count; ++i) {
      double difference = fabs(a[i] - b[i]);
      largest = fabs(a[i]) > largest ? fabs(a[i]) : largest;
      /* NaN counts as a difference. */
      worst = difference <= worst ? worst : isnan(difference) ? INFINITY : difference;
    }
  }
  return largest > 0 ? worst / largest : worst;
}

void compare_last_row(Layer *layer, double tolerance) {
  static Value ins[SSMRT_MAX_VALUES], outs[SSMRT_MAX_VALUES], own[SSMRT_MAX_VALUES];
  const ssmrt_module *module = layer->module;
  for (int64_t i = 0; i < module->num_inputs; ++i)
    view_last_row(layer, &layer->inputs[i], &ins[i]);
  for (int64_t i = 0; i < module->num_outputs; ++i) {
    view_last_row(layer, &layer->outputs[i], &outs[i]);
    own[i] = outs[i];
    allocate_value(layer, &own[i], own[i].info->ndim);
  }
  call(layer, ins, own, /*state=*/NULL, /*isStep=*/false);
  double worst = 0;
  for (int64_t i = 0; i < module->num_outputs; ++i) {
    download(layer, &own[i]);
    double error = compare_values(&own[i], &outs[i]);
    worst = error > worst ? error : worst;
    free_part(layer, &own[i]);
  }
  printf("row %lld alone: largest difference %.2g of the largest number\n",
         (long long)layer->batch - 1, worst);
  if (!(worst <= tolerance))
    fail("the last row of the batch differs from the row alone");
}
