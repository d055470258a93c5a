/*===- ThreadPool.c - The context with threads of its own -----------------===*\
|*                                                                            *|
|* A dispatch deals the range out in chunks, an equal run of chunks to every  *|
|* participant. A participant works through its own run first, so that the    *|
|* same thread meets the same items call after call and finds them in its     *|
|* cache; the caller (and, in long jobs, everyone) then takes chunks that     *|
|* their owners have not started. So a worker that sleeps or has lost its     *|
|* core never holds a job up, and after a fork(), where the child has no      *|
|* workers at all, the caller simply does everything.                         *|
|*                                                                            *|
|* Decoding one token is some hundred dispatches of a few microseconds:       *|
|* workers spin on a word of their own before they sleep, and a dispatch to   *|
|* spinning workers makes no system call.                                     *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "CUDA.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Work below this many nanoseconds in total stays on the calling thread, and no
 * participant is woken for less than half of it. */
enum { MinimumWork = 20000 };
/* A job that gives every participant more than LongWork is cut into several
 * chunks each, for threads whose core is slower or shared, or whose memory is.
 * Nobody waits at the end for longer than one chunk takes. */
enum { LongWork = 200000, ChunkWork = 20000, MaxChunksOfLongWork = 64 };
/* Pauses before a worker sleeps: some 50 to 150 microseconds. With more threads
 * than cores spinning takes time from those who work. */
enum { SpinPauses = 3000, SpinPausesCrowded = 50 };
/* After so many pauses a spinning thread offers its core now and then: on a
 * busy machine it may sit on the one that the thread it waits for needs. */
enum { PausesBeforeYield = 256, PausesPerYield = 64 };
enum { MaxThreads = SSMRT_MAX_THREADS, CacheLine = 64 };

/* The floating-point environment that results depend on: flush-to-zero and
 * rounding. Workers take the caller's, so that a number does not depend on the
 * thread that computed it. */
#if defined(__x86_64__) || (defined(__i386__) && defined(__SSE__))
typedef unsigned FloatControl;
enum { FloatControlMask = 0xFFC0 }; /* without the sticky exception flags */
static FloatControl getFloatControl(void) {
  return __builtin_ia32_stmxcsr() & FloatControlMask;
}
static void setFloatControl(FloatControl control) {
  __builtin_ia32_ldmxcsr(control);
}
static void pauseCore(void) { __builtin_ia32_pause(); }
#elif defined(__aarch64__)
typedef uint64_t FloatControl;
static FloatControl getFloatControl(void) {
  FloatControl control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  return control;
}
static void setFloatControl(FloatControl control) {
  __asm__ volatile("msr fpcr, %0" : : "r"(control));
}
static void pauseCore(void) { __asm__ volatile("isb" ::: "memory"); }
#else
typedef int FloatControl;
static FloatControl getFloatControl(void) { return 0; }
static void setFloatControl(FloatControl control) { (void)control; }
static void pauseCore(void) { atomic_signal_fence(memory_order_seq_cst); }
#endif

/* What one dispatch does. Written by the caller while no chunk can be taken,
 * read by those who have taken one. */
typedef struct Job {
  ssmrt_body body;
  void *closure;
  int64_t count;
  uint32_t participants, chunks; /* chunks is a multiple of participants */
  FloatControl floatControl;
} Job;

struct Pool;

/* The chunks [next, end) that a participant owns and nobody has taken yet: next
 * in the high half, end in the low half. Taking one is a compare-exchange; a
 * success proves that the job is alive, since it does not end before the taken
 * chunk is reported. Each on its own cache line, as its owner spins on it. */
typedef struct Slot {
  _Alignas(CacheLine) _Atomic uint64_t chunks;
  _Atomic uint32_t sleeping;
  uint32_t index;
  struct Pool *pool;
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
} Slot;

typedef struct Pool {
  ssmrt_context context;
  Slot *slots; /* slot 0 is the caller's */
  uint32_t threads;
  int spinPauses;
  pid_t process;
  Job job;
  _Alignas(CacheLine) _Atomic uint32_t busy; /* a dispatch is under way */
  _Alignas(CacheLine) _Atomic uint32_t unfinished; /* chunks not yet done */
  _Atomic uint32_t stopping;
} Pool;

/*===----------------------------------------------------------------------===*\
|* Chunks                                                                     *|
\*===----------------------------------------------------------------------===*/

static uint64_t packChunks(uint32_t next, uint32_t end) {
  return (uint64_t)next << 32 | end;
}

static bool hasChunks(uint64_t chunks) {
  return (uint32_t)(chunks >> 32) < (uint32_t)chunks;
}

static bool takeChunk(Slot *slot, uint32_t *chunk) {
  uint64_t chunks = atomic_load_explicit(&slot->chunks, memory_order_acquire);
  while (hasChunks(chunks)) {
    if (atomic_compare_exchange_weak_explicit(
            &slot->chunks, &chunks, chunks + (UINT64_C(1) << 32),
            memory_order_acq_rel, memory_order_acquire)) {
      *chunk = (uint32_t)(chunks >> 32);
      return true;
    }
  }
  return false;
}

/* First item of a chunk. Where chunks cannot be equal, those with one item more
 * are spread evenly, so that the runs of participants differ by one at most. */
static int64_t firstItem(const Job *job, uint32_t chunk) {
  int64_t size = job->count / job->chunks, more = job->count % job->chunks;
  return chunk * size + chunk * more / job->chunks;
}

static uint32_t runSlot(Pool *pool, Slot *slot) {
  uint32_t done = 0, chunk;
  for (; takeChunk(slot, &chunk); ++done) {
    const Job *job = &pool->job;
    job->body(job->closure, firstItem(job, chunk), firstItem(job, chunk + 1));
  }
  return done;
}

/* Runs the chunks that other participants have not come to. */
static uint32_t runOthers(Pool *pool, uint32_t self, uint32_t participants) {
  uint32_t done = 0;
  for (uint32_t i = 1; i < participants; ++i)
    done += runSlot(pool, &pool->slots[(self + i) % participants]);
  return done;
}

/*===----------------------------------------------------------------------===*\
|* Waiting                                                                    *|
\*===----------------------------------------------------------------------===*/

/* Sleeping and waking are a pair of "store mine, then look at yours", which
 * needs sequential consistency on both sides: either the sleeper sees that it
 * has something to do, or the other sees that it sleeps. */
typedef bool (*Ready)(const Slot *slot);

static bool isWorkerReady(const Slot *slot) {
  return hasChunks(atomic_load(&slot->chunks)) ||
         atomic_load(&slot->pool->stopping);
}

static bool isCallerReady(const Slot *slot) {
  return atomic_load(&slot->pool->unfinished) == 0;
}

static void waitUntil(Slot *slot, Ready ready) {
  for (int i = 0; i < slot->pool->spinPauses; ++i) {
    if (ready(slot))
      return;
    pauseCore();
    if (i >= PausesBeforeYield && i % PausesPerYield == 0)
      sched_yield();
  }
  pthread_mutex_lock(&slot->mutex);
  atomic_store(&slot->sleeping, 1);
  while (!ready(slot))
    pthread_cond_wait(&slot->wake, &slot->mutex);
  atomic_store(&slot->sleeping, 0);
  pthread_mutex_unlock(&slot->mutex);
}

static void wakeIfAsleep(Slot *slot) {
  if (!atomic_load(&slot->sleeping))
    return;
  pthread_mutex_lock(&slot->mutex);
  pthread_cond_signal(&slot->wake);
  pthread_mutex_unlock(&slot->mutex);
}

static void finishChunks(Pool *pool, uint32_t done) {
  if (done > 0 && atomic_fetch_sub(&pool->unfinished, done) == done)
    wakeIfAsleep(&pool->slots[0]);
}

static void *runWorker(void *argument) {
  Slot *slot = argument;
  Pool *pool = slot->pool;
  for (;;) {
    waitUntil(slot, isWorkerReady);
    if (atomic_load(&pool->stopping))
      return NULL;
    uint32_t chunk;
    if (!takeChunk(slot, &chunk))
      continue; /* another was faster */
    const Job *job = &pool->job;
    if (getFloatControl() != job->floatControl)
      setFloatControl(job->floatControl);
    job->body(job->closure, firstItem(job, chunk), firstItem(job, chunk + 1));
    uint32_t done = 1 + runSlot(pool, slot);
    /* `done` is not reported yet, so the job is still this one. */
    if (job->chunks > job->participants)
      done += runOthers(pool, slot->index, job->participants);
    finishChunks(pool, done);
  }
}

/*===----------------------------------------------------------------------===*\
|* Dispatch                                                                   *|
\*===----------------------------------------------------------------------===*/

/* Participants and chunks, from the shape of the work alone. */
static void planJob(const Pool *pool, int64_t count, int64_t cost, Job *job) {
  int64_t participants = pool->threads < count ? pool->threads : count;
  int64_t perParticipant = 1;
  job->chunks = job->participants = 1;
  int64_t work;
  if (cost > 0) {
    if (!ssmrtMul(count, cost, &work))
      work = INT64_MAX;
    if (work < MinimumWork)
      return;
    if (participants > work / (MinimumWork / 2))
      participants = work / (MinimumWork / 2);
    if (work / participants > LongWork)
      perParticipant = work / participants / ChunkWork;
    if (perParticipant > MaxChunksOfLongWork)
      perParticipant = MaxChunksOfLongWork;
  }
  if (perParticipant > count / participants)
    perParticipant = count / participants;
  job->participants = (uint32_t)participants;
  job->chunks = (uint32_t)(participants * perParticipant);
}

static void publish(Pool *pool) {
  const Job *job = &pool->job;
  uint32_t each = job->chunks / job->participants;
  atomic_store_explicit(&pool->unfinished, job->chunks, memory_order_relaxed);
  for (uint32_t i = 0; i < job->participants; ++i)
    atomic_store(&pool->slots[i].chunks, packChunks(i * each, (i + 1) * each));
  for (uint32_t i = 1; i < job->participants; ++i)
    wakeIfAsleep(&pool->slots[i]);
}

static void parallelFor(ssmrt_context *context, ssmrt_body body, void *closure,
                        int64_t count, int64_t cost) {
  if (count <= 0)
    return;
  Pool *pool = context->pool;
  Job job = {body, closure, count, 1, 1, getFloatControl()};
  planJob(pool, count, cost, &job);
  /* Nested calls, and a second thread with the same context, find it busy. */
  if (job.participants == 1 ||
      atomic_exchange_explicit(&pool->busy, 1, memory_order_acquire)) {
    body(closure, 0, count);
    return;
  }
  pool->job = job;
  publish(pool);
  uint32_t done = runSlot(pool, &pool->slots[0]);
  done += runOthers(pool, 0, job.participants);
  if (atomic_fetch_sub(&pool->unfinished, done) != done)
    waitUntil(&pool->slots[0], isCallerReady);
  atomic_store_explicit(&pool->busy, 0, memory_order_release);
}

static void serialFor(ssmrt_context *context, ssmrt_body body, void *closure,
                      int64_t count, int64_t cost) {
  (void)context, (void)cost;
  if (count > 0)
    body(closure, 0, count);
}

/*===----------------------------------------------------------------------===*\
|* Creation                                                                   *|
\*===----------------------------------------------------------------------===*/

ssmrt_context *ssmrt_context_serial(void) {
  /* Never written to. */
  static ssmrt_context serial = {sizeof(ssmrt_context), 1, serialFor, NULL,
                                  NULL};
  return &serial;
}

/* Cores that this process may run on. */
static uint32_t countCores(void) {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
    return (uint32_t)CPU_COUNT(&set);
#endif
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  return cores > 0 ? (uint32_t)cores : 1;
}

static void stopWorkers(Pool *pool, uint32_t started) {
  atomic_store(&pool->stopping, 1);
  for (uint32_t i = 1; i < started; ++i) {
    wakeIfAsleep(&pool->slots[i]);
    pthread_join(pool->slots[i].thread, NULL);
  }
}

static void freePool(Pool *pool) {
  for (uint32_t i = 0; i < pool->threads; ++i) {
    pthread_cond_destroy(&pool->slots[i].wake);
    pthread_mutex_destroy(&pool->slots[i].mutex);
  }
  free(pool->slots);
  free(pool);
}

/* Workers take no signals: handlers are the application's business. */
static ssmrt_status startWorkers(Pool *pool) {
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  uint32_t started = 1;
  int error = 0;
  for (; started < pool->threads; ++started) {
    Slot *slot = &pool->slots[started];
    error = pthread_create(&slot->thread, NULL, runWorker, slot);
    if (error)
      break;
  }
  pthread_sigmask(SIG_SETMASK, &previous, NULL);
  if (!error)
    return SSMRT_OK;
  stopWorkers(pool, started);
  return ssmrtFail(SSMRT_NO_MEMORY, "cannot start thread %u of %u: %s",
                   started + 1, pool->threads, strerror(error));
}

ssmrt_status ssmrt_context_create(uint32_t threads, ssmrt_context **context) {
  if (!context)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "ssmrt_context_create: null result");
  *context = NULL;
  if (threads > MaxThreads)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "%u threads; wanted at most %d",
                     threads, MaxThreads);
  uint32_t cores = countCores();
  if (threads == 0)
    threads = cores < MaxThreads ? cores : MaxThreads;
  void *memory = NULL, *slots = NULL;
  if (posix_memalign(&memory, CacheLine, sizeof(Pool)))
    return ssmrtFailMemory(sizeof(Pool), "a thread pool");
  if (posix_memalign(&slots, CacheLine, threads * sizeof(Slot))) {
    free(memory);
    return ssmrtFailMemory(threads * sizeof(Slot), "a thread pool");
  }
  memset(memory, 0, sizeof(Pool));
  memset(slots, 0, threads * sizeof(Slot));
  Pool *pool = memory;
  pool->slots = slots;
  pool->threads = threads;
  pool->process = getpid();
  pool->spinPauses = threads > cores ? SpinPausesCrowded : SpinPauses;
  pool->context = (ssmrt_context){sizeof(ssmrt_context), threads, parallelFor,
                                  pool, /*launch=*/NULL};
  for (uint32_t i = 0; i < threads; ++i) {
    Slot *slot = &pool->slots[i];
    slot->index = i;
    slot->pool = pool;
    pthread_mutex_init(&slot->mutex, NULL);
    pthread_cond_init(&slot->wake, NULL);
  }
  ssmrt_status status = startWorkers(pool);
  if (status != SSMRT_OK) {
    freePool(pool);
    return status;
  }
  *context = &pool->context;
  return SSMRT_OK;
}

static void destroyPool(Pool *pool) {
  /* A forked child inherits the memory but not the workers. */
  if (pool->process == getpid()) {
    stopWorkers(pool, pool->threads);
    freePool(pool);
  }
}

void ssmrt_context_destroy(ssmrt_context *context) {
  if (!context || context->struct_size < sizeof(ssmrt_context))
    return;
  if (context->launch == ssmrtLaunchCuda)
    ssmrtDestroyCudaContext((ssmrtCudaContext *)context);
  else if (context->parallel_for == parallelFor)
    destroyPool(context->pool);
}
