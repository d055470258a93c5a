/*===- Tensor.c - Data types and descriptions of tensors ------------------===*\
|*                                                                            *|
|* What can be said about a tensor without knowing what it is for.            *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "Internal.h"

#include <string.h>

static const struct {
  uint8_t code, bits;
  const char *name;
} dtypes[] = {
    {SSMRT_FLOAT, 32, "f32"},   {SSMRT_BFLOAT, 16, "bf16"},
    {SSMRT_FLOAT, 16, "f16"},   {SSMRT_FLOAT, 64, "f64"},
    {SSMRT_INT, 64, "i64"},     {SSMRT_INT, 32, "i32"},
    {SSMRT_INT, 16, "i16"},     {SSMRT_INT, 8, "i8"},
    {SSMRT_UINT, 64, "u64"},    {SSMRT_UINT, 32, "u32"},
    {SSMRT_UINT, 16, "u16"},    {SSMRT_UINT, 8, "u8"},
    {SSMRT_BOOL, 8, "bool"},
};

const char *ssmrt_dtype_name(ssmrt_dtype dtype) {
  if (dtype.lanes != 1)
    return "?";
  for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); ++i)
    if (dtypes[i].code == dtype.code && dtypes[i].bits == dtype.bits)
      return dtypes[i].name;
  return "?";
}

size_t ssmrt_dtype_size(ssmrt_dtype dtype) {
  return ssmrt_dtype_name(dtype)[0] == '?' ? 0 : dtype.bits / 8u;
}

int ssmrt_sequence_axis(int64_t extent) {
  bool isLength =
      extent <= SSMRT_LENGTH && extent > SSMRT_LENGTH - SSMRT_MAX_AXES;
  return isLength ? (int)(SSMRT_LENGTH - extent) : -1;
}

bool ssmrtNumElements(const int64_t *shape, int64_t ndim, int64_t *result) {
  int64_t product = 1;
  bool empty = false, fits = true;
  for (int64_t i = 0; i < ndim; ++i) {
    if (shape[i] < 0)
      return false;
    empty |= shape[i] == 0;
    fits = fits && ssmrtMul(product, shape[i], &product);
  }
  *result = empty ? 0 : product;
  return empty || fits;
}

/* C order: extents of 1 may have any stride, as DLPack producers leave there
 * what they like; tensors without elements likewise. */
static bool isContiguous(const ssmrt_tensor *tensor) {
  if (!tensor->strides)
    return true;
  int64_t expected = 1;
  for (int64_t i = tensor->ndim; i-- > 0;) {
    if (tensor->shape[i] != 1 && tensor->strides[i] != expected)
      return false;
    expected *= tensor->shape[i];
  }
  return true;
}

ssmrt_status ssmrtCheckTensor(const char *role, const char *name,
                              const ssmrt_tensor *tensor, int64_t *elements) {
  /* Zero, what a zeroed struct holds, is no device in DLPack. */
  if (tensor->device.device_type != SSMRT_CPU &&
      tensor->device.device_type != 0)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s '%s' is on device type %d; wanted memory of the "
                     "CPU (1)",
                     role, name, (int)tensor->device.device_type);
  return ssmrtCheckLayout(role, name, tensor, elements);
}

ssmrt_status ssmrtCheckLayout(const char *role, const char *name,
                              const ssmrt_tensor *tensor, int64_t *elements) {
  size_t size = ssmrt_dtype_size(tensor->dtype);
  if (size == 0)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s '%s' has an unknown dtype (code %u, %u bits, %u "
                     "lanes)",
                     role, name, tensor->dtype.code, tensor->dtype.bits,
                     tensor->dtype.lanes);
  if (tensor->ndim < 0 || tensor->ndim > SSMRT_MAX_DIMS)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s '%s' has %d dimensions; wanted 0 to %d", role, name,
                     (int)tensor->ndim, SSMRT_MAX_DIMS);
  if (tensor->ndim > 0 && !tensor->shape)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s '%s' has %d dimensions and a null shape", role, name,
                     (int)tensor->ndim);
  int64_t bytes;
  if (!ssmrtNumElements(tensor->shape, tensor->ndim, elements) ||
      !ssmrtMul(*elements, (int64_t)size, &bytes)) {
    ssmrtText text = {0};
    ssmrtAppendShape(&text, tensor->shape, tensor->ndim);
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s '%s' has shape %s; wanted extents of at least 0 whose "
                     "product fits into memory",
                     role, name, text.data);
  }
  if (*elements == 0)
    return SSMRT_OK;
  if (!tensor->data)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "%s '%s' has no data: null pointer",
                     role, name);
  if (!isContiguous(tensor)) {
    ssmrtText text = {0};
    ssmrtAppend(&text, "strides ");
    ssmrtAppendShape(&text, tensor->strides, tensor->ndim);
    ssmrtAppend(&text, " with shape ");
    ssmrtAppendShape(&text, tensor->shape, tensor->ndim);
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "%s '%s' has %s; wanted C order without gaps", role, name,
                     text.data);
  }
  return SSMRT_OK;
}

void ssmrtAppendPlace(ssmrtText *text, int deviceType, int device) {
  if (deviceType == SSMRT_CUDA)
    ssmrtAppend(text, "memory of GPU %d", device);
  else if (deviceType == SSMRT_CPU || deviceType == 0)
    ssmrtAppend(text, "host memory");
  else
    ssmrtAppend(text, "memory of device type %d", deviceType);
}

ssmrt_tensor ssmrtMakeTensor(void *data, ssmrt_dtype dtype, int64_t ndim,
                             int64_t *shape) {
  ssmrt_tensor tensor;
  memset(&tensor, 0, sizeof(tensor));
  tensor.data = data;
  tensor.device.device_type = SSMRT_CPU;
  tensor.ndim = (int32_t)ndim;
  tensor.dtype = dtype;
  tensor.shape = shape;
  return tensor;
}

ssmrt_status ssmrtCheckBlock(const void *block, const char *what) {
  if (!block)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "the %s is a null pointer", what);
  if (!ssmrtIsAligned(block, SSMRT_ALIGNMENT))
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "the %s is at address %p; wanted a multiple of %d", what,
                     block, SSMRT_ALIGNMENT);
  return SSMRT_OK;
}
