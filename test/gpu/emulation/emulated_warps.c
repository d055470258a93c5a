/*===- emulated_warps.c - Threads of a block as coroutines ----------------===*\
|*                                                                            *|
|* One block after the other; a thread runs until it waits for its warp or    *|
|* its block.                                                                 *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#define _GNU_SOURCE
#include "emulated_warps.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { MaxThreads = 1024, StackBytes = 1 << 18, Warp = 32 };

static Thread threads[MaxThreads];
/* A context begins a thread; later it is left and resumed by jumps, which
 * call nothing of the system. */
static ucontext_t contexts[MaxThreads];
static jmp_buf places[MaxThreads], scheduler;
/* How often a thread has met its warp, some lanes of it, and its block. */
static int isBegun[MaxThreads], isDone[MaxThreads], numThreads;
static unsigned long warpCount[MaxThreads], partCount[MaxThreads],
    blockCount[MaxThreads];
/* Of named barriers. */
enum { NamedBarriers = 16 };
static unsigned long arrivals[NamedBarriers];
static thread_body currentBody;
static void **currentArguments;

static void start(int index) {
  currentBody(&threads[index], currentArguments);
  isDone[index] = 1;
  _longjmp(scheduler, 1);
}

static void yield(Thread *self) {
  if (!_setjmp(places[self->index]))
    _longjmp(scheduler, 1);
}

static void resume(int index) {
  if (_setjmp(scheduler))
    return;
  if (isBegun[index])
    _longjmp(places[index], 1);
  isBegun[index] = 1;
  setcontext(&contexts[index]);
}

static int haveArrived(const unsigned long *count, int first, int end,
                       unsigned long wanted) {
  for (int i = first; i < end; ++i)
    if (!isDone[i] && count[i] < wanted)
      return 0;
  return 1;
}

void wait_warp(Thread *self) {
  unsigned long wanted = ++warpCount[self->index];
  int first = (int)self->index / Warp * Warp;
  int end = first + Warp < numThreads ? first + Warp : numThreads;
  while (!haveArrived(warpCount, first, end, wanted))
    yield(self);
}

/* The lanes of `mask`, which are the same ones wherever not all meet. */
static void wait_lanes(Thread *self, uint32_t mask) {
  if (mask == UINT32_MAX) {
    wait_warp(self);
    return;
  }
  unsigned long wanted = ++partCount[self->index];
  int first = (int)self->index / Warp * Warp;
  for (int lane = 0; lane < Warp; ++lane)
    while (mask >> lane & 1 &&
           !haveArrived(partCount, first + lane, first + lane + 1, wanted))
      yield(self);
}

void wait_block(Thread *self) {
  unsigned long wanted = ++blockCount[self->index];
  while (!haveArrived(blockCount, 0, numThreads, wanted))
    yield(self);
}

void wait_some(Thread *self, unsigned barrier, unsigned wanted) {
  unsigned long end = (arrivals[barrier]++ / wanted + 1) * wanted;
  while (arrivals[barrier] < end)
    yield(self);
}

void check_alignment(uint64_t address, unsigned bytes) {
  if (address % bytes == 0)
    return;
  fprintf(stderr, "misaligned address: %#llx is no multiple of %u\n",
          (unsigned long long)address, bytes);
  abort();
}

void run_grid(const fake_launch *launch, void **arguments, thread_body body) {
  static char *stacks;
  if (!stacks)
    stacks = malloc((size_t)MaxThreads * StackBytes);
  numThreads = (int)launch->block[0];
  currentBody = body;
  currentArguments = arguments;
  for (unsigned block = 0; block < launch->grid[0] * launch->grid[1]; ++block) {
    memset(arrivals, 0, sizeof(arrivals));
    for (int i = 0; i < numThreads; ++i) {
      threads[i] = (Thread){.index = (unsigned)i, .block = block, .launch = launch};
      isBegun[i] = isDone[i] = 0;
      warpCount[i] = partCount[i] = blockCount[i] = 0;
      getcontext(&contexts[i]);
      contexts[i].uc_stack.ss_sp = stacks + (size_t)i * StackBytes;
      contexts[i].uc_stack.ss_size = StackBytes;
      makecontext(&contexts[i], (void (*)(void))start, 1, i);
    }
    for (int left = numThreads; left > 0;) {
      left = 0;
      for (int i = 0; i < numThreads; ++i)
        if (!isDone[i]) {
          resume(i);
          left += !isDone[i];
        }
    }
  }
}

unsigned special(const Thread *self, const char *name) {
  unsigned axis = (unsigned)(name[strlen(name) - 1] - 'x');
  if (!strncmp(name, "tid", 3))
    return axis ? 0 : self->index;
  if (!strncmp(name, "ntid", 4))
    return self->launch->block[axis];
  if (!strncmp(name, "nctaid", 6))
    return self->launch->grid[axis];
  if (!strncmp(name, "ctaid", 5))
    return axis == 0   ? self->block % self->launch->grid[0]
           : axis == 1 ? self->block / self->launch->grid[0]
                       : 0;
  return self->index % Warp;
}

static Thread *neighbour(Thread *self, unsigned lane) {
  return &threads[self->index / Warp * Warp + lane % Warp];
}

uint32_t shuffle(Thread *self, uint32_t value, uint32_t operand, const char *kind,
                 uint32_t clamp, uint32_t mask) {
  self->shown[0] = value;
  wait_lanes(self, mask);
  unsigned lane = self->index % Warp, from = operand;
  if (!strcmp(kind, "bfly"))
    from = lane ^ operand;
  else if (!strcmp(kind, "up"))
    from = lane - operand;
  else if (!strcmp(kind, "down"))
    from = lane + operand;
  unsigned segment = clamp >> 8 & 31;
  unsigned last = (lane & segment) | (clamp & 31 & ~segment);
  self->isInRange = strcmp(kind, "up") ? from <= last : (int)from >= (int)last;
  uint32_t result = neighbour(self, self->isInRange ? from : lane)->shown[0];
  wait_lanes(self, mask);
  return result;
}

uint32_t largest(Thread *self, uint32_t value) {
  self->shown[0] = value;
  wait_warp(self);
  for (unsigned lane = 0; lane < Warp; ++lane) {
    uint32_t other = neighbour(self, lane)->shown[0];
    value = other > value ? other : value;
  }
  wait_warp(self);
  return value;
}

void load_matrices(Thread *self, uint64_t address, int count, int transposed) {
  self->address = address;
  wait_warp(self);
  unsigned lane = self->index % Warp, row = lane / 4, column = lane % 4 * 2;
  for (int i = 0; i < count; ++i) {
    uint16_t pair[2];
    for (unsigned j = 0; j < 2; ++j) {
      unsigned r = transposed ? column + j : row, c = transposed ? row : column + j;
      const uint16_t *line =
          (const uint16_t *)neighbour(self, 8 * (unsigned)i + r)->address;
      if ((uintptr_t)line % 16) {
        fprintf(stderr, "ldmatrix: a row at %p, wanted a multiple of 16\n",
                (const void *)line);
        abort();
      }
      pair[j] = line[c];
    }
    memcpy(&self->results[i], pair, 4);
  }
  wait_warp(self);
}

uint32_t transpose(Thread *self, uint32_t pair) {
  self->shown[0] = pair;
  wait_warp(self);
  unsigned lane = self->index % Warp, column = lane / 4, row = lane % 4 * 2;
  uint32_t result = 0;
  for (unsigned i = 0; i < 2; ++i) {
    uint32_t from = neighbour(self, (row + i) * 4 + column / 2)->shown[0];
    result |= (from >> column % 2 * 16 & 0xFFFF) << 16 * i;
  }
  wait_warp(self);
  return result;
}

static float numberAt(uint32_t pair, unsigned which, int isF16) {
  uint16_t bits = (uint16_t)(pair >> 16 * which);
  return isF16 ? from_f16(bits) : as_f32((uint32_t)bits << 16);
}

/* m16n8k16: bf16 times bf16, or f16 times f16, plus f32. */
void multiply(Thread *self, const uint32_t *operands, const float *sums, int isF16) {
  memcpy(self->shown, operands, sizeof(self->shown));
  memcpy(self->sums, sums, sizeof(self->sums));
  wait_warp(self);
  unsigned lane = self->index % Warp;
  float results[4];
  for (unsigned i = 0; i < 4; ++i) {
    unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    double sum = 0;
    for (unsigned k = 0; k < 16; ++k) {
      const Thread *left = neighbour(self, row % 8 * 4 + k % 8 / 2);
      const Thread *right = neighbour(self, column * 4 + k % 8 / 2);
      sum += (double)numberAt(left->shown[row / 8 + k / 8 * 2], k % 2, isF16) *
             numberAt(right->shown[4 + k / 8], k % 2, isF16);
    }
    results[i] = (float)(self->sums[i] + sum);
  }
  wait_warp(self);
  for (unsigned i = 0; i < 4; ++i)
    self->results[i] = of_f32(results[i]);
}

void multiply_wide(Thread *self, double left, double right) {
  self->wide[0] = left;
  self->wide[1] = right;
  wait_warp(self);
  unsigned lane = self->index % Warp, row = lane / 4;
  for (unsigned i = 0; i < 2; ++i) {
    unsigned column = lane % 4 * 2 + i;
    for (unsigned k = 0; k < 4; ++k)
      self->wide_sums[i] += neighbour(self, row * 4 + k)->wide[0] *
                    neighbour(self, column * 4 + k)->wide[1];
  }
  wait_warp(self);
}

/* Where the 16 bytes at a row of a tile are. */
static uint8_t *swizzled(uint64_t address) {
  return dynamic_shared() + (address ^ (address >> 7 & 7) << 4);
}

void multiply_warpgroup(Thread *self, int columns, float *sums, const uint32_t *left,
                        uint64_t right, int adds, int transposed) {
  memcpy(self->shown, left, 4 * sizeof(*left));
  wait_warp(self);
  unsigned lane = self->index % Warp;
  uint64_t start = (right & 0x3FFF) << 4, leading = (right >> 16 & 0x3FFF) << 4,
           stride = (right >> 32 & 0x3FFF) << 4;
  float rows[2][16];
  for (unsigned half = 0; half < 2; ++half)
    for (unsigned k = 0; k < 16; ++k)
      rows[half][k] = numberAt(neighbour(self, lane / 4 * 4 + k % 8 / 2)->shown[half + k / 8 * 2],
                               k % 2, 0);
  for (int i = 0; i < columns / 2; ++i) {
    unsigned column = (unsigned)i / 4 * 8 + lane % 4 * 2 + (unsigned)i % 2;
    double sum = 0;
    for (unsigned k = 0; k < 16; ++k) {
      uint64_t at = transposed ? k / 8 * stride + k % 8 * 128 + column / 64 * leading +
                                     column % 64 * 2
                               : column / 8 * stride + column % 8 * 128 + k * 2;
      uint16_t number;
      memcpy(&number, swizzled(start + at), 2);
      sum += (double)rows[i / 2 % 2][k] * numberAt(number, 0, 0);
    }
    sums[i] = (float)((adds ? sums[i] : 0) + sum);
  }
  wait_warp(self);
}

void store_matrices(Thread *self, uint64_t address, const uint32_t *registers, int count,
                    int transposed) {
  self->address = address;
  wait_warp(self);
  unsigned lane = self->index % Warp, row = lane / 4, column = lane % 4 * 2;
  for (unsigned i = 0; i < (unsigned)count; ++i)
    for (unsigned j = 0; j < 2; ++j) {
      unsigned r = transposed ? column + j : row, c = transposed ? row : column + j;
      uint16_t number = (uint16_t)(registers[i] >> 16 * j);
      memcpy((uint8_t *)neighbour(self, 8 * i + r)->address + 2 * c, &number, 2);
    }
  wait_warp(self);
}

uint32_t multiply_pairs(uint32_t a, uint32_t b, int isF16) {
  uint32_t result = 0;
  for (unsigned i = 0; i < 2; ++i) {
    float product = numberAt(a, i, isF16) * numberAt(b, i, isF16);
    result |= (uint32_t)(isF16 ? to_f16(product) : to_bf16(product)) << 16 * i;
  }
  return result;
}

uint8_t *dynamic_shared(void) {
  static uint8_t *start;
  enum { Bytes = 1 << 18 };
  if (!start) {
    void *memory = mmap(NULL, 2 * Bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (memory == MAP_FAILED) {
      perror("dynamic shared memory");
      abort();
    }
    start = (uint8_t *)(((uintptr_t)memory + Bytes - 1) / Bytes * Bytes);
  }
  return start;
}

/* Arrivals of a phase, those still to come, and how many phases are over. */
typedef struct Barrier {
  uint16_t wanted, missing;
  uint32_t phase;
} Barrier;

void init_barrier(uint64_t address, unsigned count) {
  *(Barrier *)address = (Barrier){(uint16_t)count, (uint16_t)count, 0};
}

void arrive(uint64_t address) {
  Barrier *barrier = (Barrier *)address;
  if (--barrier->missing)
    return;
  barrier->missing = barrier->wanted;
  ++barrier->phase;
}

int try_wait(Thread *self, uint64_t address, unsigned parity) {
  const Barrier *barrier = (const Barrier *)address;
  if (barrier->phase % 2 != parity)
    return 1;
  yield(self);
  return barrier->phase % 2 != parity;
}

uint32_t permute(uint32_t a, uint32_t b, uint32_t selector) {
  uint64_t both = (uint64_t)b << 32 | a;
  uint32_t result = 0;
  for (unsigned i = 0; i < 4; ++i)
    result |= (uint32_t)(both >> (selector >> (4 * i) & 7) * 8 & 0xFF) << (8 * i);
  return result;
}

uint16_t to_f16(float value) {
  _Float16 half = (_Float16)value;
  uint16_t bits;
  memcpy(&bits, &half, sizeof(bits));
  return bits;
}

float from_f16(uint16_t bits) {
  _Float16 half;
  memcpy(&half, &bits, sizeof(half));
  return (float)half;
}

uint16_t to_bf16(float value) {
  uint32_t bits = of_f32(value);
  if (value != value)
    return 0x7FFF;
  return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}
