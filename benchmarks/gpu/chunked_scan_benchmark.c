/*===- chunked_scan_benchmark.c - A recurrence on tensor cores ------------===*\
|*                                                                            *|
|*   chunked_scan_benchmark scan.cubin HEADS N [batch length heads]           *|
|*                                                                            *|
|* Runs the kernel of chunked_scan.py, with HEADS heads in a block and states *|
|* of 64 x N, on random numbers; compares y and the final states of some      *|
|* heads with the recurrence in f64, step by step; prints how long a launch   *|
|* takes, its share of the time that a copy of its bytes takes, and the       *|
|* errors. Needs the CUDA driver, found at run time, and nothing else.        *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "device.h"

#include <math.h>

enum { P = 64, CHUNK = 64, MOST_SETS = 16 };

typedef struct {
  int batch, length, heads, n;
  uint16_t *x, *b, *c, *y;
  float *dt, *a, *initial, *final;
} Problem;

/* Squares of differences and of values. */
typedef struct { double error, value; } Norms;

/* One head of one sequence, token by token. */
static void compare_head(const Problem *p, int batch, int head, Norms *y,
                         Norms *final) {
  int n = p->n;
  size_t states = ((size_t)batch * p->heads + head) * P * n;
  double *state = malloc((size_t)P * n * sizeof(double));
  for (int i = 0; i < P * n; ++i)
    state[i] = p->initial ? p->initial[states + i] : 0;
  for (int l = 0; l < p->length; ++l) {
    size_t token = (size_t)batch * p->length + l;
    size_t at = token * p->heads + head;
    double dt = p->dt[at], decay = exp(dt * p->a[head]);
    for (int i = 0; i < P; ++i) {
      double in = dt * from_bf16(p->x[at * P + i]), sum = 0;
      for (int j = 0; j < n; ++j) {
        double *s = state + i * n + j;
        *s = *s * decay + in * from_bf16(p->b[token * n + j]);
        sum += *s * from_bf16(p->c[token * n + j]);
      }
      double difference = sum - from_bf16(p->y[at * P + i]);
      y->error += difference * difference;
      y->value += sum * sum;
    }
  }
  for (int i = 0; i < P * n; ++i) {
    double difference = state[i] - p->final[states + i];
    final->error += difference * difference;
    final->value += state[i] * state[i];
  }
  free(state);
}

static double copy_rate(const Clock *clock) {
  size_t bytes = (size_t)1 << 30;
  uint64_t from = allocate(bytes), to = allocate(bytes);
  double best = 1e30;
  for (int sample = 0; sample < 5; ++sample) {
    start(clock);
    for (int i = 0; i < 4; ++i)
      CALL(cuMemcpyDtoDAsync_v2, (uint64_t, uint64_t, size_t, void *), to, from,
           bytes, clock->stream);
    best = fmin(best, stop(clock) / 4);
  }
  CALL(cuMemFree_v2, (uint64_t), from);
  CALL(cuMemFree_v2, (uint64_t), to);
  return 2.0 * bytes / best;
}

static int by_size(const void *a, const void *b) {
  double difference = *(const double *)a - *(const double *)b;
  return (difference > 0) - (difference < 0);
}

int main(int argc, char **argv) {
  if (argc != 4 && argc != 7) {
    fprintf(stderr, "usage: chunked_scan_benchmark scan.cubin HEADS N "
                    "[batch length heads]\n");
    return 2;
  }
  int block_heads = atoi(argv[2]);
  Problem p = {8, 4096, 80, atoi(argv[3]), 0, 0, 0, 0, 0, 0, 0, 0};
  if (argc == 7) {
    p.batch = atoi(argv[4]);
    p.length = atoi(argv[5]);
    p.heads = atoi(argv[6]);
  }
  int device, processors, most_shared, static_shared, threads;
  void *function = open_kernel(argv[1], "chunked_scan", &device);
  CALL(cuDeviceGetAttribute, (int *, int, int), &processors, 16, device);
  CALL(cuDeviceGetAttribute, (int *, int, int), &most_shared, 97, device);
  CALL(cuFuncGetAttribute, (int *, int, void *), &static_shared, 1, function);
  CALL(cuFuncGetAttribute, (int *, int, void *), &threads, 0, function);
  allow_shared(function, most_shared - static_shared);
  Clock clock = make_clock();

  size_t tokens = (size_t)p.batch * p.length, pairs = tokens * p.heads;
  size_t states = (size_t)p.batch * p.heads * P * p.n;
  p.x = make_bf16(pairs * P);
  p.b = make_bf16(tokens * p.n);
  p.c = make_bf16(tokens * p.n);
  p.y = malloc(pairs * P * 2);
  p.dt = malloc(pairs * 4);
  p.a = malloc((size_t)p.heads * 4);
  p.initial = malloc(states * 4);
  p.final = malloc(states * 4);
  /* Steps from 0.001 to 0.1 and decays from -1 to -16, as layers begin. */
  for (size_t i = 0; i < pairs; ++i)
    p.dt[i] = expf(-4.6f + 2.3f * next_random());
  for (int i = 0; i < p.heads; ++i)
    p.a[i] = -8.5f + 7.5f * next_random();
  for (size_t i = 0; i < states; ++i)
    p.initial[i] = next_random();

  /* As many sets of tensors as the caches cannot hold. */
  size_t touched = pairs * P * 4 + pairs * 4 + tokens * p.n * 4 + states * 8;
  int sets = (int)fmin(MOST_SETS, ceil(256e6 / (double)touched) + 1);
  int groups = p.batch * ((p.heads + block_heads - 1) / block_heads);
  unsigned blocks = (unsigned)(groups < processors ? groups : processors);
  uint64_t y[MOST_SETS], final[MOST_SETS], flags = allocate(groups * 16u);
  CALL(cuMemsetD32_v2, (uint64_t, unsigned, size_t), flags, 0, groups * 4u);
  uint64_t a = allocate((size_t)p.heads * 4), initial[MOST_SETS], dt[MOST_SETS];
  TensorMap maps[MOST_SETS][4];
  upload(a, p.a, (size_t)p.heads * 4);
  for (int set = 0; set < sets; ++set) {
    uint64_t x = allocate(pairs * P * 2), b = allocate(tokens * p.n * 2);
    uint64_t c = allocate(tokens * p.n * 2);
    y[set] = allocate(pairs * P * 2);
    dt[set] = allocate(pairs * 4);
    initial[set] = allocate(states * 4);
    final[set] = allocate(states * 4);
    upload(x, p.x, pairs * P * 2);
    upload(b, p.b, tokens * p.n * 2);
    upload(c, p.c, tokens * p.n * 2);
    upload(dt[set], p.dt, pairs * 4);
    upload(initial[set], p.initial, states * 4);
    /* NaN, so that what is not written is seen. */
    CALL(cuMemsetD32_v2, (uint64_t, unsigned, size_t), y[set], 0x7fc07fc0u,
         pairs * P / 2);
    CALL(cuMemsetD32_v2, (uint64_t, unsigned, size_t), final[set], 0x7fc00000u,
         states);
    uint64_t wide[4] = {P, p.heads, p.length, p.batch};
    uint64_t narrow[3] = {p.n, p.length, p.batch};
    uint32_t wide_box[4] = {64, 1, CHUNK, 1}, narrow_box[3] = {64, CHUNK, 1};
    maps[set][0] = make_map(x, 4, wide, wide_box);
    maps[set][1] = make_map(b, 3, narrow, narrow_box);
    maps[set][2] = make_map(c, 3, narrow, narrow_box);
    maps[set][3] = make_map(y[set], 4, wide, wide_box);
  }

  double seconds[15];
  int samples = 15, next = 0;
  for (int sample = -1; sample < samples; ++sample) {
    int calls = sample < 0 ? sets : 20;
    start(&clock);
    for (int i = 0; i < calls; ++i, next = (next + 1) % sets) {
      void *arguments[] = {&maps[next][0], &maps[next][1], &maps[next][2],
                           &maps[next][3], &dt[next],      &a,
                           &initial[next], &final[next],   &flags,
                           &p.batch,       &p.length,      &p.heads};
      launch(function, blocks, (unsigned)threads,
             (unsigned)(most_shared - static_shared), clock.stream, arguments);
    }
    double taken = stop(&clock) / calls;
    if (sample >= 0)
      seconds[sample] = taken;
  }
  qsort(seconds, (size_t)samples, sizeof *seconds, by_size);

  Norms y_norms = {0, 0}, final_norms = {0, 0};
  download(p.y, y[sets - 1], pairs * P * 2);
  download(p.final, final[sets - 1], states * 4);
  int all = p.batch * p.heads, checked = p.length > 8192 ? 2 : 12;
  if (checked > all)
    checked = all;
  for (int i = 0; i < checked; ++i) {
    int which = checked > 1 ? (int)((int64_t)i * (all - 1) / (checked - 1)) : 0;
    compare_head(&p, which / p.heads, which % p.heads, &y_norms, &final_norms);
  }
  /* Everything is written, every set is the same. */
  size_t wrong = 0;
  uint16_t *other = malloc(pairs * P * 2);
  download(other, y[0], pairs * P * 2);
  for (size_t i = 0; i < pairs * P; ++i)
    wrong += isnan(from_bf16(p.y[i])) || other[i] != p.y[i];
  double rate = copy_rate(&clock), copy = (double)touched / rate;
  double median = seconds[samples / 2];
  double y_error = sqrt(y_norms.error / y_norms.value);
  double final_error = sqrt(final_norms.error / final_norms.value);
  printf(
      "%d x %d x %d x %d, N %d: %.1f us (%.1f to %.1f), %.0f %% of a copy at "
      "%.2f TB/s (%.1f us), error of y %.2g, of states %.2g, %zu wrong\n",
      p.batch, p.length, p.heads, P, p.n, median * 1e6, seconds[0] * 1e6,
      seconds[samples - 1] * 1e6, 100 * copy / median, rate * 1e-12, copy * 1e6,
      y_error, final_error, wrong);
  return y_error < 1e-2 && final_error < 1e-2 && !wrong ? 0 : 1;
}
