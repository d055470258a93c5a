/*===- Driver.h - Streams and events of CUDA ---------------------*- C -*-===*\
|*                                                                            *|
|* What a program that measures needs of the driver beyond libssmrt. Every    *|
|* function ends the program where the driver fails.                          *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SSMRT_TEST_GPU_DRIVER_H
#define SSMRT_TEST_GPU_DRIVER_H

#include <stddef.h>

/* Prints the message and ends the program with status 1. */
_Noreturn void fail(const char *message);

/* Seconds of a clock. */
double now(void);

/* Makes the primary context of the device current on this thread, and a stream. */
void *open_stream(int device);

/* A mark in the stream, and the device's time from one to another, in seconds; which
 * ends both. */
void *mark(void *stream);
double seconds_between(void *begin, void *end);

/* Bytes a second, read and written together, of copies of `bytes` on the device (or
 * of fewer, where they do not fit), the best of a few. */
double measure_copy(void *stream, size_t bytes);

#endif /* SSMRT_TEST_GPU_DRIVER_H */
