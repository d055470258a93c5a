/*===- ssmrt.h - C ABI of compiled layers and their runtime ---------------===*\
|*                                                                            *|
|* A compiled layer is one exported function, `const ssmrt_module             *|
|* *NAME_module(void)`, whose result describes the layer and holds its code.  *|
|* This header needs C99 and nothing else; libssmrt needs libc, libm and      *|
|* pthreads, and for layers on a GPU finds the CUDA driver when it is asked.  *|
|*                                                                            *|
|* Memory is the caller's: prepared tables, state and workspace are blocks of *|
|* 64-byte aligned memory whose sizes are asked for beforehand. Nothing in a  *|
|* call allocates, but ssmrt_prepare's copies of weights that it converts,    *|
|* which it frees. There is no global mutable state: two threads may run two  *|
|* sequences at once, each with its own state and workspace, sharing the      *|
|* prepared tables.                                                           *|
|*                                                                            *|
|* Every function that can fail returns an ssmrt_status; the message of the   *|
|* last failure on the calling thread is ssmrt_last_error().                  *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SSMRT_SSMRT_H
#define SSMRT_SSMRT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SSMRT_MAGIC UINT64_C(0x0031545253534D53)
#define SSMRT_ABI_VERSION 3
#define SSMRT_ALIGNMENT 64

typedef enum ssmrt_status {
  SSMRT_OK = 0,
  SSMRT_BAD_ARGUMENT = 1, /* shape, dtype, alignment, null pointer */
  SSMRT_BAD_FILE = 2,     /* unreadable, truncated, inconsistent */
  SSMRT_NOT_FOUND = 3,    /* a tensor or symbol that is not there */
  SSMRT_NO_MEMORY = 4,
  SSMRT_BAD_VERSION = 5,  /* the module was compiled for another runtime */
  SSMRT_BAD_STATE = 6,    /* a state block of another layer, dtype or batch */
  SSMRT_NO_DEVICE = 7,    /* no CUDA driver, no such device, no code for it */
  SSMRT_DEVICE_FAILED = 8 /* the driver refused, or a kernel failed */
} ssmrt_status;

/* Message of the last failure on this thread; "" if there was none. */
const char *ssmrt_last_error(void);

/*===----------------------------------------------------------------------===*\
|* Tensors: the memory layout of DLPack's DLTensor                            *|
\*===----------------------------------------------------------------------===*/

typedef enum ssmrt_type_code {
  SSMRT_INT = 0,
  SSMRT_UINT = 1,
  SSMRT_FLOAT = 2,
  SSMRT_BFLOAT = 4,
  SSMRT_BOOL = 6
} ssmrt_type_code;

typedef struct ssmrt_dtype {
  uint8_t code;   /* ssmrt_type_code */
  uint8_t bits;
  uint16_t lanes; /* 1 */
} ssmrt_dtype;

/* Where memory is, in DLPack's numbers. 0 in a tensor is taken for the CPU. */
typedef enum ssmrt_device_type {
  SSMRT_CPU = 1,
  SSMRT_CUDA = 2 /* device memory of the GPU that device_id numbers */
} ssmrt_device_type;

typedef struct ssmrt_tensor {
  void *data;
  struct { int32_t device_type, device_id; } device; /* 1, 0: CPU */
  int32_t ndim;
  ssmrt_dtype dtype;
  int64_t *shape;
  int64_t *strides;     /* in elements; NULL: C order */
  uint64_t byte_offset;
} ssmrt_tensor;

/* Bytes of one element; 0 for an unknown dtype. */
size_t ssmrt_dtype_size(ssmrt_dtype dtype);
/* "f32", "bf16", "i64", ...; "?" for an unknown dtype. */
const char *ssmrt_dtype_name(ssmrt_dtype dtype);

/*===----------------------------------------------------------------------===*\
|* Execution context: threads, or a GPU                                       *|
\*===----------------------------------------------------------------------===*/

/* One piece of work: the items [begin, end) of a range. */
typedef void (*ssmrt_body)(void *closure, int64_t begin, int64_t end);

/* Generated code splits its work through the context it is given, never by
 * itself. `parallel_for` must call `body` so that every item of [0, count) is
 * covered exactly once, on any threads, and return when all is done. `cost` is
 * the compiler's estimate of one item in nanoseconds, for deciding whether
 * threads pay; 0 means unknown. Results do not depend on the split. */
typedef struct ssmrt_context ssmrt_context;
struct ssmrt_cuda_code;
struct ssmrt_cuda_geometry;
/* Starts kernel number `kernel` of the code. One slot a parameter in `arguments`:
 * the address of a scalar, or of a device pointer. A grid with an extent of 0 is
 * no launch. Errors do not return: the first one is kept in the context, the
 * launches after it are skipped, and the call that runs the code reports it. */
typedef void (*ssmrt_launch)(ssmrt_context *context,
                             const struct ssmrt_cuda_code *code, int32_t kernel,
                             const struct ssmrt_cuda_geometry *geometry,
                             void **arguments);
struct ssmrt_context {
  uint32_t struct_size; /* sizeof(ssmrt_context) */
  uint32_t threads;     /* at most this many run at once; informative */
  void (*parallel_for)(ssmrt_context *context, ssmrt_body body, void *closure,
                       int64_t count, int64_t cost);
  void *pool; /* private to whoever made the context */
  /* Of ssmrt_cuda_context_create, NULL otherwise. Generated code calls it by the
   * name ssmrt_cuda_launch, a function that every artefact has for itself. */
  ssmrt_launch launch;
};

#define SSMRT_MAX_THREADS 1024

/* A context with its own pool of `threads` threads, the caller among them (0:
 * one per core, 1: the caller alone). Calls from within its own bodies, and
 * from a second thread while it is at work, run on the thread that makes them.
 * Must not be destroyed during a call. */
ssmrt_status ssmrt_context_create(uint32_t threads, ssmrt_context **context);
void ssmrt_context_destroy(ssmrt_context *context); /* of any kind */
/* The context that runs everything on the calling thread; what calls below take
 * a NULL context for. */
ssmrt_context *ssmrt_context_serial(void);

/*===----------------------------------------------------------------------===*\
|* Modules                                                                    *|
\*===----------------------------------------------------------------------===*/

/* Extents of a described shape that are known only at run time. */
#define SSMRT_BATCH (-1)  /* the batch */
#define SSMRT_LENGTH (-2) /* the length of the sequence; in states max_length */
/* A layer may have several sequence axes, such as height and width of an image:
 * SSMRT_LENGTH is the length of axis 0, and of axis a it is SSMRT_LENGTH - a. All
 * values of a call agree in the length of each axis; those of two axes may differ. */
/* The sequence axis that a described extent is the length of; -1 for others. */
int ssmrt_sequence_axis(int64_t extent);

#define SSMRT_MAX_AXES 4    /* sequence axes of a layer */
#define SSMRT_MAX_DIMS 16   /* dimensions of a value */
#define SSMRT_MAX_VALUES 64 /* inputs, and outputs, of a layer */

typedef struct ssmrt_value_info {
  const char *name;
  ssmrt_dtype dtype;
  int32_t ndim;
  const int64_t *shape; /* SSMRT_BATCH, SSMRT_LENGTH - a or an extent */
  uint32_t flags;
  int32_t state;        /* index of a state, for the two flags below */
  int64_t limit;        /* integers are in [0, limit); 0: any; or see below */
} ssmrt_value_info;

#define SSMRT_OPTIONAL 1u /* an input or weight that may be absent: data NULL */
#define SSMRT_BORROWED 2u /* a weight that must outlive the prepared tables */
/* An input that is not read by the code, of the shape of its state: where it is
 * given, ssmrt_forward and ssmrt_step copy it into the state before the first
 * token of a sequence; later it is refused. Always optional. */
#define SSMRT_INITIAL 4u
/* An output that is not written by the code: it receives the state, of whose
 * shape it is, after the last token of the call. */
#define SSMRT_FINAL 8u
/* An input whose sequence must be exactly as long as the tables were prepared
 * for: they depend on the length. */
#define SSMRT_EXACT_LENGTH 16u
/* An input whose sequence, from its first token on, must not be longer than the
 * tables were prepared for: they have entries for so many. */
#define SSMRT_BOUNDED_LENGTH 32u
/* An input whose sequence has `limit` tokens, no more and no less (or none):
 * the layer is written for that length. */
#define SSMRT_FIXED_LENGTH 64u
/* An input whose sequence, from its first token on, has at most `limit` tokens:
 * a weight of the layer has elements for so many. */
#define SSMRT_LIMITED_LENGTH 128u

/* A state that no call at position 0 reads or writes: a call that keeps no state
 * has no memory for it. Such states come after the others. */
#define SSMRT_LATER 256u

/* The decay of a state block, where it is the same for every token: the
 * eigenvalues of the recurrence, which the prepared tables hold. */
typedef struct ssmrt_decay_info {
  const char *state;  /* the state's name in the spec */
  ssmrt_dtype dtype;  /* f32 or f64 */
  int64_t count;      /* eigenvalues */
  int64_t offsets[2]; /* of their real and imaginary parts in the tables, in
                       * bytes; the latter is -1 where they are real */
} ssmrt_decay_info;

/* What generated code receives. ssmrt_prepare, ssmrt_forward and ssmrt_step
 * fill it after checking everything; the code itself checks nothing. In forward
 * and step of a CUDA module prepared, state, workspace and what the elements of
 * inputs and outputs point to is device memory; all else is the host's. */
typedef struct ssmrt_frame {
  ssmrt_context *context;
  void *prepared;       /* written by prepare, read by the others */
  void *state;          /* the payload; zeroed memory if none is kept */
  void *workspace;
  int64_t batch, length; /* in prepare: 0 and max_length */
  int64_t position;     /* tokens of the sequence before this call */
  const void *const *inputs; /* weights in prepare, inputs otherwise */
  void *const *outputs;
  int64_t prepared_length; /* max_length of the prepared tables */
  int64_t state_length;    /* max_length of the state; 0 if none is kept */
  int64_t keeps_state;     /* whether anything reads the states after this call */
  int64_t more_lengths[SSMRT_MAX_AXES - 1]; /* of sequence axes 1, 2, ... */
} ssmrt_frame;

/* Kernels for GPUs: one a layer, constant data of the artefact. */
typedef struct ssmrt_cubin {
  int32_t arch;    /* of the device: 90 for compute capability 9.0 */
  int32_t variant; /* 0, or 'a': for this very architecture, as sm_90a */
  const void *data;
  uint64_t bytes;
} ssmrt_cubin;

/* Kernels of an image that has a variable ssmrt_kernels_overlap are launched before
 * those queued earlier end: they wait for them where they have to, by themselves. */
typedef struct ssmrt_cuda_code {
  uint32_t struct_size; /* sizeof(ssmrt_cuda_code) */
  int32_t num_kernels;
  const char *const *kernels; /* their names in the code */
  const char *ptx;            /* ends with a NUL; NULL: cubins alone */
  uint64_t ptx_bytes;         /* without the NUL */
  int32_t num_cubins;
  const ssmrt_cubin *cubins;
  /* Bytes of dynamic shared memory that each kernel may be launched with, where
   * that is more than the 48 KiB that need no asking; NULL: none is. */
  const int32_t *kernel_max_shared;
} ssmrt_cuda_code;

typedef struct ssmrt_cuda_geometry {
  uint32_t grid[3], block[3]; /* x, y, z */
  uint32_t shared_bytes;      /* of dynamic shared memory */
  uint32_t reserved;
} ssmrt_cuda_geometry;

/* forward or step depend on the number of tokens before the call, beyond what is
 * in the state: a captured graph holds for the position of its capture alone. */
#define SSMRT_READS_POSITION 1u

typedef struct ssmrt_module {
  uint64_t magic;        /* SSMRT_MAGIC */
  uint32_t abi_version;  /* SSMRT_ABI_VERSION */
  uint32_t struct_size;  /* sizeof(ssmrt_module) */
  const char *name;      /* the exported name */
  const char *layer;     /* the layer's name in the spec */
  const char *target;    /* "cpu x86-64-v4" */
  const char *compiler;  /* "ssmc 0.1.0" */
  uint64_t hash;         /* of spec, parameters and options */
  int64_t num_weights, num_inputs, num_outputs, num_states;
  const ssmrt_value_info *weights, *inputs, *outputs, *states;
  /* Sizes in bytes of what the frame points to, without any header; NULL
   * stands for 0. The state's payload is the described states in their order,
   * each in C order of its shape and beginning at a multiple of 64 bytes.
   * `lengths` are those of the num_axes sequence axes. */
  int64_t (*prepared_bytes)(int64_t max_length);
  int64_t (*state_bytes)(int64_t batch, int64_t max_length);
  int64_t (*prepare_workspace_bytes)(int64_t max_length);
  int64_t (*forward_workspace_bytes)(int64_t batch, const int64_t *lengths);
  int64_t (*step_workspace_bytes)(int64_t batch);
  /* Code. `forward` runs a whole segment from the state in the frame and
   * leaves the state after it; `step` is forward of one token, with the same
   * shapes. `step` is NULL where the mathematics does not allow it (a backward
   * pass over the sequence); then `forward` takes a state at position 0 only.
   * `prepare` may be NULL. */
  void (*prepare)(const ssmrt_frame *frame);
  void (*forward)(const ssmrt_frame *frame);
  void (*step)(const ssmrt_frame *frame);
  void (*backward)(const ssmrt_frame *frame); /* reserved: NULL */
  int64_t num_decays;
  const ssmrt_decay_info *decays;
  /* The weights that the artefact carries (ssmc compile --embed-weights), in
   * the order and the dtypes of the description; NULL: none. */
  const ssmrt_tensor *embedded_weights;
  int64_t num_axes; /* sequence axes, 1 to SSMRT_MAX_AXES; with several of them
                     * there are no states and no step */
  /* SSMRT_CPU; or SSMRT_CUDA: forward, step and prepare_on_device are host code
   * that launches kernels of cuda_code through the context, on device memory.
   * prepare is code for the CPU in both. */
  int32_t device_type;
  uint32_t flags; /* SSMRT_READS_POSITION */
  const ssmrt_cuda_code *cuda_code; /* NULL in modules for the CPU */
  /* The same layer for CUDA, of an artefact for both; NULL: there is none.
   * ssmrt_forward and ssmrt_step use it where the tensors are on a GPU; what is
   * prepared, allocated and kept for it is asked of it. */
  const struct ssmrt_module *cuda;
  /* Of a CUDA module: fills the tables that prepare leaves to the device, from
   * those it has made, which are there already; ssmrt_cuda_upload calls it.
   * NULL: prepare makes all. The frame has prepared, prepared_length and length. */
  void (*prepare_on_device)(const ssmrt_frame *frame);
} ssmrt_module;

/* Checks magic, version, sizes and descriptions. Every function below checks
 * the first three. */
ssmrt_status ssmrt_module_check(const ssmrt_module *module);
/* Loads a shared object and finds its module: what the function `NAME_module`
 * returns, or with name NULL the function `ssmrt_modules`, which a shared
 * object of one layer exports under that name too. A path without a slash is a
 * file of the current directory. Closing ends the life of the module. */
ssmrt_status ssmrt_library_open(const char *path, void **library);
ssmrt_status ssmrt_library_module(void *library, const char *name,
                                  const ssmrt_module **module);
void ssmrt_library_close(void *library);

/* Sizes of blocks, headers included; -1 on failure. `max_length` bounds the
 * tokens of a sequence, along any of its axes, for layers that keep something for
 * each. A workspace serves smaller batches and shorter sequences too. */
int64_t ssmrt_prepared_bytes(const ssmrt_module *module, int64_t max_length);
int64_t ssmrt_state_bytes(const ssmrt_module *module, int64_t batch,
                          int64_t max_length);
int64_t ssmrt_workspace_bytes(const ssmrt_module *module, int64_t batch,
                              int64_t length); /* for forward and step */
/* The same for sequence axes of different lengths, module->num_axes of them;
 * ssmrt_workspace_bytes is for axes that all have the length given. */
int64_t ssmrt_workspace_bytes_for_axes(const ssmrt_module *module, int64_t batch,
                                       const int64_t *lengths);
int64_t ssmrt_prepare_workspace_bytes(const ssmrt_module *module,
                                      int64_t max_length);

/* Tables from weights, in the order of module->weights. Tensors must be C order
 * on the CPU; their shape is the described one up to extents of 1; their dtype
 * may be any and is converted, unless the weight is SSMRT_BORROWED. NULL in
 * place of the weights takes those that are embedded in the artefact. */
ssmrt_status ssmrt_prepare(const ssmrt_module *module, ssmrt_context *context,
                           const ssmrt_tensor *weights, int64_t num_weights,
                           void *prepared, int64_t max_length, void *workspace);

/* The eigenvalue of the largest magnitude, which is returned too, among those of
 * module->decays[index]: real and imaginary part. Above 1 the state grows from
 * token to token: the weights are unstable, or the step of a discretisation is
 * too large. NaN where one is no number; -1 on failure. */
double ssmrt_largest_decay(const ssmrt_module *module, const void *prepared,
                           int64_t index, double eigenvalue[2]);

/* Runs a segment: inputs and outputs in the order of the description; C order,
 * the described dtype, one batch and one length of each sequence axis in all;
 * outputs apart from everything else. Batch and lengths may be 0. `state` may be
 * NULL in forward: the sequence starts at zero and its state is not kept (the
 * workspace holds it). For tensors of a GPU see below. */
ssmrt_status ssmrt_forward(const ssmrt_module *module, ssmrt_context *context,
                           const void *prepared, const ssmrt_tensor *inputs,
                           int64_t num_inputs, ssmrt_tensor *outputs,
                           int64_t num_outputs, void *state, void *workspace);
ssmrt_status ssmrt_step(const ssmrt_module *module, ssmrt_context *context,
                        const void *prepared, const ssmrt_tensor *inputs,
                        int64_t num_inputs, ssmrt_tensor *outputs,
                        int64_t num_outputs, void *state, void *workspace);

/* Whether integers of the inputs, in host memory, are within their limits: what
 * ssmrt_forward and ssmrt_step check there themselves. */
ssmrt_status ssmrt_check_limits(const ssmrt_module *module,
                                const ssmrt_tensor *inputs, int64_t num_inputs);

/*===----------------------------------------------------------------------===*\
|* State blocks: opaque, versioned; a header, then the payload                *|
\*===----------------------------------------------------------------------===*/

/* Makes the block the state before the first token (all zero). */
ssmrt_status ssmrt_state_reset(const ssmrt_module *module, void *state,
                               int64_t batch, int64_t max_length);
ssmrt_status ssmrt_state_copy(const ssmrt_module *module, void *to,
                              const void *from);
/* to[i] = from[rows[i]]: a block of `count` rows, with room for as many, apart
 * from `from`. */
ssmrt_status ssmrt_state_select(const ssmrt_module *module, void *to,
                                const void *from, const int64_t *rows,
                                int64_t count);
/* A described state variable inside the block, as a tensor over its memory;
 * `shape` has room for SSMRT_MAX_DIMS extents. */
ssmrt_status ssmrt_state_view(const ssmrt_module *module, void *state,
                              int64_t index, int64_t shape[SSMRT_MAX_DIMS],
                              ssmrt_tensor *view);

/*===----------------------------------------------------------------------===*\
|* Layers on a GPU                                                            *|
\*===----------------------------------------------------------------------===*/

/* Forward and step of a CUDA module take tensors in memory of the context's
 * device, a workspace there (of ssmrt_workspace_bytes, 64-byte aligned), and
 * prepared tables and a state whose payload is there, and queue their work in
 * the context's stream. They allocate nothing, wait for nothing and, once
 * ssmrt_cuda_load has been called, may be captured into a graph. What they report
 * are mistakes of the caller and refused launches; a kernel that fails later
 * is reported by whatever waits for it, or by the next call. After a failed
 * launch the state is undefined.
 *
 * The values of integer inputs are not compared with their limit, which would
 * mean to wait for them: that they are in [0, limit) is up to the caller, who may
 * ask ssmrt_check_limits before they are uploaded.
 *
 * A block of a CUDA module (prepared tables, a state) is in one of two forms.
 * In host memory, in one piece, it is what ssmrt_prepare and ssmrt_state_reset
 * write: to be saved, read, and uploaded. On a device it is a header of
 * SSMRT_HEADER_BYTES, 64-byte aligned, in host memory, which stands for the
 * block in all calls, and its payload in device memory, also 64-byte aligned. The
 * caller has both pieces and frees them after the last use. */
#define SSMRT_HEADER_BYTES 64

/* A context for one GPU: its primary context, which the CUDA runtime, PyTorch
 * and others use too, and a stream of it (a CUstream or cudaStream_t; NULL: the
 * default stream, which cannot be captured). The driver, libcuda.so.1, is loaded
 * by the first such call; the environment variable SSMRT_CUDA_DRIVER may name
 * another library that has its functions. One thread at a time may use a context.
 * It must not outlive its stream; nor the artefacts whose layers ran in it, but
 * where they are closed by ssmrt_library_close or were unloaded before. With the
 * environment variable SSMRT_CUDA_WAIT set to 1 it waits for each kernel, so that
 * a failure names the kernel. */
ssmrt_status ssmrt_cuda_context_create(int device, void *stream,
                                       ssmrt_context **context);
/* GPUs that the driver has; SSMRT_NO_DEVICE without a driver. */
ssmrt_status ssmrt_cuda_device_count(int *count);

typedef struct ssmrt_cuda_device {
  char name[128];
  int32_t arch;              /* 90 for compute capability 9.0 */
  int32_t driver_version;    /* of CUDA that the driver has: 12040 for 12.4 */
  uint64_t memory_bytes;
  int32_t multiprocessors;
  int32_t max_shared_bytes;  /* a block, when asked for */
} ssmrt_cuda_device;
ssmrt_status ssmrt_cuda_device_info(int device, ssmrt_cuda_device *info);

/* Loads the kernels: from the cubin for the device if the artefact has one, else
 * by the driver's compiler from PTX. The first launch does it otherwise, which
 * takes long, and is refused while the stream is being captured. */
ssmrt_status ssmrt_cuda_load(const ssmrt_module *module, ssmrt_context *context);
/* Forgets the kernels; they are unloaded with the last context that has them.
 * For artefacts that are closed before the context is destroyed. */
ssmrt_status ssmrt_cuda_unload(const ssmrt_module *module,
                               ssmrt_context *context);
/* Waits until all that is queued in the stream is done, and reports what failed. */
ssmrt_status ssmrt_cuda_synchronize(ssmrt_context *context);

/* Device memory, for callers that have no other source of it; aligned to 256
 * bytes. 0 bytes give NULL. Freeing NULL does nothing; freeing waits for the
 * device. Not to be called during a capture. */
ssmrt_status ssmrt_cuda_alloc(ssmrt_context *context, int64_t bytes,
                              void **memory);
ssmrt_status ssmrt_cuda_free(ssmrt_context *context, void *memory);
/* Copies in the order of the stream. To the device: `from` may be reused on
 * return, unless its pages are locked: then not before the stream has got there.
 * To the host: waits for the stream; the bytes are there on return. */
ssmrt_status ssmrt_cuda_copy_to_device(ssmrt_context *context, void *to,
                                       const void *from, int64_t bytes);
ssmrt_status ssmrt_cuda_copy_to_host(ssmrt_context *context, void *to,
                                     const void *from, int64_t bytes);

/* From one place of the device to another, apart from it. */
ssmrt_status ssmrt_cuda_copy(ssmrt_context *context, void *to, const void *from,
                             int64_t bytes);

/* Bytes of the payload of a block in device memory; -1 on failure. */
int64_t ssmrt_cuda_prepared_bytes(const ssmrt_module *module,
                                  int64_t max_length);
int64_t ssmrt_cuda_state_bytes(const ssmrt_module *module, int64_t batch,
                               int64_t max_length);

/* Copies a block, prepared tables or a state, from host memory to the device:
 * fills `header` and `payload`, of tables also what kernels make of others. In the
 * order of the stream, as ssmrt_cuda_copy_to_device. */
ssmrt_status ssmrt_cuda_upload(const ssmrt_module *module,
                               ssmrt_context *context, const void *from,
                               void *header, void *payload);
/* The other way; `to` has ssmrt_prepared_bytes or ssmrt_state_bytes. Waits. */
ssmrt_status ssmrt_cuda_download(const ssmrt_module *module,
                                 ssmrt_context *context, const void *header,
                                 void *to);

/* What ssmrt_state_reset, ssmrt_state_copy and ssmrt_state_select do, in the
 * order of the stream; ssmrt_state_view takes both forms of a block. */
ssmrt_status ssmrt_cuda_state_reset(const ssmrt_module *module,
                                    ssmrt_context *context, void *state,
                                    void *payload, int64_t batch,
                                    int64_t max_length);
ssmrt_status ssmrt_cuda_state_copy(const ssmrt_module *module,
                                   ssmrt_context *context, void *to,
                                   void *payload, const void *from);
ssmrt_status ssmrt_cuda_state_select(const ssmrt_module *module,
                                     ssmrt_context *context, void *to,
                                     void *payload, const void *from,
                                     const int64_t *rows, int64_t count);
/* Says that `tokens` more tokens have gone through the state, by replays of a
 * graph: the position is in the header, which a replay does not see. (The call
 * that was captured has counted its own tokens, although it ran nothing.
 * Negative numbers take such back.) Refused for layers that are
 * SSMRT_READS_POSITION, whose graphs would go on from the wrong token. */
ssmrt_status ssmrt_cuda_state_advance(const ssmrt_module *module, void *state,
                                      int64_t tokens);

/* Calls to be made again and again on the same memory: between begin and end they
 * are kept instead of done. A launch does them all, in the order of the context's
 * stream, which may be the device's own. The kernels must be loaded before. */
typedef struct ssmrt_cuda_graph ssmrt_cuda_graph;
ssmrt_status ssmrt_cuda_graph_begin(ssmrt_context *context);
ssmrt_status ssmrt_cuda_graph_end(ssmrt_context *context,
                                  ssmrt_cuda_graph **graph);
ssmrt_status ssmrt_cuda_graph_launch(ssmrt_context *context,
                                     const ssmrt_cuda_graph *graph);
void ssmrt_cuda_graph_destroy(ssmrt_context *context, ssmrt_cuda_graph *graph);

/*===----------------------------------------------------------------------===*\
|* Weight files: safetensors, mapped into memory                              *|
\*===----------------------------------------------------------------------===*/

typedef struct ssmrt_weights ssmrt_weights;

/* One file; or an index, `model.safetensors.index.json`, with its shards beside
 * it; or a directory that holds either under that name. */
ssmrt_status ssmrt_weights_open(const char *path, ssmrt_weights **weights);
void ssmrt_weights_close(ssmrt_weights *weights);
int64_t ssmrt_weights_count(const ssmrt_weights *weights);
const char *ssmrt_weights_name(const ssmrt_weights *weights, int64_t index);
/* A view of the mapped file, or of a copy where the file does not align the
 * tensor to its elements; valid until close, not to be written to. NULL names
 * are an error; for a name that is absent the message lists the nearest. */
ssmrt_status ssmrt_weights_find(const ssmrt_weights *weights, const char *name,
                                ssmrt_tensor *tensor);
ssmrt_status ssmrt_weights_at(const ssmrt_weights *weights, int64_t index,
                              ssmrt_tensor *tensor);
/* The tensors of a module in its order, each name after `prefix` (or ""),
 * shapes checked. `tensors` has room for module->num_weights. An optional
 * weight that is not there has no data. */
ssmrt_status ssmrt_weights_bind(const ssmrt_weights *weights,
                                const ssmrt_module *module, const char *prefix,
                                ssmrt_tensor *tensors);

/*===----------------------------------------------------------------------===*\
|* .npy files                                                                 *|
\*===----------------------------------------------------------------------===*/

typedef struct ssmrt_array ssmrt_array;

/* Versions 1 to 3, C order, little endian; `tensor` views memory that `array`
 * owns. */
ssmrt_status ssmrt_npy_read(const char *path, ssmrt_array **array,
                            ssmrt_tensor *tensor);
void ssmrt_array_free(ssmrt_array *array);
/* Writes to a temporary file beside `path`, then renames it: the file appears
 * whole or not at all. */
ssmrt_status ssmrt_npy_write(const char *path, const ssmrt_tensor *tensor);

/*===----------------------------------------------------------------------===*\
|* Conversion                                                                 *|
\*===----------------------------------------------------------------------===*/

/* Elementwise conversion between any two dtypes of the same shape in C order;
 * refuses to change an integer: i64 values that f32 has no exact form for,
 * fractions to an integer dtype. Floats round once, to nearest even. */
ssmrt_status ssmrt_convert(const ssmrt_tensor *from, ssmrt_tensor *to);

#ifdef __cplusplus
}
#endif

#endif /* SSMRT_SSMRT_H */
