/*===- emulated_warps.h - Threads of a block as coroutines ---------*- C -*-===*\
|*                                                                            *|
|* What ptx_to_c.py's code calls: threads that wait for each other, shuffles, *|
|* and the instructions of tensor cores.                                      *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SSMC_TEST_GPU_EMULATED_WARPS_H
#define SSMC_TEST_GPU_EMULATED_WARPS_H

#include "FakeCUDADriver.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct Thread {
  unsigned index, block;
  const fake_launch *launch;
  /* What other threads of the warp read, and what an instruction gives. */
  uint32_t shown[6], results[4];
  int isInRange; /* of a shuffle: the lane that it names */
  uint64_t address;
  float sums[4];
  double wide[2], wide_sums[2], wide_results[4];
} Thread;

typedef void (*thread_body)(Thread *self, void **arguments);

/* Ends the program where a device would: vectors are at multiples of their bytes. */
void check_alignment(uint64_t address, unsigned bytes);
void run_grid(const fake_launch *launch, void **arguments, thread_body body);
unsigned special(const Thread *self, const char *name);
void wait_block(Thread *self);
/* A named barrier of some threads. */
void wait_some(Thread *self, unsigned barrier, unsigned wanted);
void wait_warp(Thread *self);
uint32_t shuffle(Thread *self, uint32_t value, uint32_t operand, const char *kind,
                 uint32_t clamp, uint32_t mask);
/* movmatrix: of 8 x 8. */
uint32_t transpose(Thread *self, uint32_t pair);
/// Of all lanes.
uint32_t largest(Thread *self, uint32_t value);
void load_matrices(Thread *self, uint64_t address, int count, int transposed);
void multiply(Thread *self, const uint32_t *operands, const float *sums, int isF16);
/* Adds the product of 8 x 4 by 4 x 8, in f64, to wide_sums. */
void multiply_wide(Thread *self, double left, double right);
void store_matrices(Thread *self, uint64_t address, const uint32_t *registers, int count,
                    int transposed);
/* wgmma: a warp's 16 rows of the sums, which are of all columns. The right operand is
 * named by a descriptor of dynamic shared memory whose rows of 128 bytes are swizzled. */
void multiply_warpgroup(Thread *self, int columns, float *sums, const uint32_t *left,
                        uint64_t right, int adds, int transposed);
uint32_t multiply_pairs(uint32_t a, uint32_t b, int isF16);
/* Of 32-bit addresses, as those of a device; begins at a multiple of 2^18. */
uint8_t *dynamic_shared(void);
/* Barriers in shared memory. */
void init_barrier(uint64_t address, unsigned count);
void arrive(uint64_t address);
int try_wait(Thread *self, uint64_t address, unsigned parity);
uint32_t permute(uint32_t a, uint32_t b, uint32_t selector);
uint16_t to_bf16(float value);
uint16_t to_f16(float value);
float from_f16(uint16_t bits);

/* The same bits as another type. */
#define REINTERPRET(NAME, FROM, TO)                                            \
  static inline TO NAME(FROM from) {                                           \
    TO to;                                                                     \
    memcpy(&to, &from, sizeof(to));                                            \
    return to;                                                                 \
  }
REINTERPRET(as_f32, uint32_t, float)
REINTERPRET(of_f32, float, uint32_t)
REINTERPRET(as_f64, uint64_t, double)
REINTERPRET(of_f64, double, uint64_t)
#undef REINTERPRET
static inline float bits_f32(uint64_t bits) { return as_f32((uint32_t)bits); }
static inline double bits_f64(uint64_t bits) { return as_f64(bits); }

#endif /* SSMC_TEST_GPU_EMULATED_WARPS_H */
