/*===- Convert.c - Conversion of elements between dtypes ------------------===*\
|*                                                                            *|
|* Floats are rounded once, to nearest even, and overflow to infinity as IEEE *|
|* says. Integers are never changed silently: a value that the wanted dtype   *|
|* cannot hold exactly is an error.                                           *|
|*                                                                            *|
|* Half precision is done on the bits: the instructions are not in every      *|
|* target's baseline and the library calls are not in every libc.             *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "Internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*===----------------------------------------------------------------------===*\
|* Floats                                                                     *|
\*===----------------------------------------------------------------------===*/

static float floatFromBits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

static uint32_t bitsFromFloat(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

static float fromBF16(uint16_t bits) {
  return floatFromBits((uint32_t)bits << 16);
}

static uint16_t toBF16(float value) {
  uint32_t bits = bitsFromFloat(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) /* NaN: quiet, the payload's top kept */
    return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static float fromF16(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
  uint32_t exponent = bits >> 10 & 0x1F, mantissa = bits & 0x3FF;
  if (exponent == 0x1F)
    return floatFromBits(sign | 0x7F800000 | mantissa << 13);
  if (exponent == 0) { /* subnormal: an integer times 2^-24, exact in f32 */
    float magnitude = (float)mantissa * 0x1p-24f;
    return floatFromBits(sign | bitsFromFloat(magnitude));
  }
  return floatFromBits(sign | (exponent + 112) << 23 | mantissa << 13);
}

static uint16_t toF16(float value) {
  uint32_t bits = bitsFromFloat(value);
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  bits &= 0x7FFFFFFF;
  if (bits > 0x7F800000)
    return (uint16_t)(sign | 0x7E00 | (bits >> 13 & 0x3FF));
  if (bits >= 0x477FF000) /* 65520 and more round to infinity */
    return sign | 0x7C00;
  if (bits >= 0x38800000) { /* normal, at least 2^-14 */
    bits += 0xFFF + (bits >> 13 & 1);
    return (uint16_t)(sign | ((bits >> 13) - (112 << 10)));
  }
  if (bits <= 0x33000000) /* 2^-25 and less round to zero */
    return sign;
  uint32_t shift = 126 - (bits >> 23);
  uint32_t mantissa = (bits & 0x7FFFFF) | 0x800000;
  uint32_t rest = mantissa & ((1u << shift) - 1), half = 1u << (shift - 1);
  mantissa >>= shift;
  mantissa += rest > half || (rest == half && (mantissa & 1));
  return (uint16_t)(sign | mantissa);
}

/* f64 to f32 rounded to odd: rounding the result once more, to a narrower
 * format, then gives what rounding the f64 directly would. */
static float toOddF32(double value) {
  float rounded = (float)value;
  if (isnan(value) || (double)rounded == value)
    return rounded;
  uint32_t bits = bitsFromFloat(rounded);
  if (isinf(rounded)) /* too large for f32 as well as for what follows */
    return rounded;
  if (fabs((double)rounded) > fabs(value))
    --bits;
  return floatFromBits(bits | 1);
}

#define CONVERT_LOOP(NAME, FROM, TO, EXPRESSION)                               \
  static void NAME(const void *from, void *to, int64_t count) {                \
    const FROM *source = from;                                                 \
    TO *target = to;                                                           \
    for (int64_t i = 0; i < count; ++i) {                                      \
      FROM x = source[i];                                                      \
      target[i] = EXPRESSION;                                                  \
    }                                                                          \
  }

CONVERT_LOOP(f16ToBF16, uint16_t, uint16_t, toBF16(fromF16(x)))
CONVERT_LOOP(f16ToF32, uint16_t, float, fromF16(x))
CONVERT_LOOP(f16ToF64, uint16_t, double, (double)fromF16(x))
CONVERT_LOOP(bf16ToF16, uint16_t, uint16_t, toF16(fromBF16(x)))
CONVERT_LOOP(bf16ToF32, uint16_t, float, fromBF16(x))
CONVERT_LOOP(bf16ToF64, uint16_t, double, (double)fromBF16(x))
CONVERT_LOOP(f32ToF16, float, uint16_t, toF16(x))
CONVERT_LOOP(f32ToBF16, float, uint16_t, toBF16(x))
CONVERT_LOOP(f32ToF64, float, double, (double)x)
CONVERT_LOOP(f64ToF16, double, uint16_t, toF16(toOddF32(x)))
CONVERT_LOOP(f64ToBF16, double, uint16_t, toBF16(toOddF32(x)))
CONVERT_LOOP(f64ToF32, double, float, (float)x)

typedef void (*ConvertLoop)(const void *from, void *to, int64_t count);

/* Row and column of a float dtype in the table below; -1 for the others. */
static int floatIndex(ssmrt_dtype dtype) {
  if (dtype.code == SSMRT_BFLOAT)
    return 1;
  if (dtype.code != SSMRT_FLOAT)
    return -1;
  return dtype.bits == 16 ? 0 : dtype.bits == 32 ? 2 : 3;
}

static const ConvertLoop floatLoops[4][4] = {
    {NULL, f16ToBF16, f16ToF32, f16ToF64},
    {bf16ToF16, NULL, bf16ToF32, bf16ToF64},
    {f32ToF16, f32ToBF16, NULL, f32ToF64},
    {f64ToF16, f64ToBF16, f64ToF32, NULL},
};

/*===----------------------------------------------------------------------===*\
|* Integers                                                                   *|
\*===----------------------------------------------------------------------===*/

/* A value on its way: an integer as sign and magnitude, or a float. */
typedef struct Value {
  bool isFloat, negative;
  uint64_t magnitude;
  double number;
} Value;

static Value signedValue(int64_t value) {
  Value result = {false, value < 0, (uint64_t)value, 0};
  if (value < 0)
    result.magnitude = -(uint64_t)value;
  return result;
}

static Value loadValue(ssmrt_dtype dtype, const unsigned char *from) {
  union {
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    float f32;
    double f64;
  } raw;
  memcpy(&raw, from, dtype.bits / 8);
  Value value = {false, false, 0, 0};
  switch (dtype.code) {
  case SSMRT_INT:
    return signedValue(dtype.bits == 8    ? raw.i8
                       : dtype.bits == 16 ? raw.i16
                       : dtype.bits == 32 ? raw.i32
                                          : raw.i64);
  case SSMRT_UINT:
    value.magnitude = dtype.bits == 8    ? raw.u8
                      : dtype.bits == 16 ? raw.u16
                      : dtype.bits == 32 ? raw.u32
                                         : raw.u64;
    return value;
  case SSMRT_BOOL:
    value.magnitude = raw.u8 != 0;
    return value;
  case SSMRT_BFLOAT:
    value.number = fromBF16(raw.u16);
    break;
  default:
    value.number = dtype.bits == 16   ? fromF16(raw.u16)
                   : dtype.bits == 32 ? raw.f32
                                      : raw.f64;
    break;
  }
  value.isFloat = true;
  return value;
}

/* Turns a float with an integral value into the integer. */
static bool makeInteger(Value *value) {
  if (!value->isFloat)
    return true;
  double magnitude = fabs(value->number);
  if (!(magnitude < 0x1p64) || magnitude != floor(magnitude))
    return false;
  value->negative = value->number < 0;
  value->magnitude = (uint64_t)magnitude;
  value->isFloat = false;
  return true;
}

/* Bits of the significand; an integer fits if it has no more between its
 * highest and its lowest bit. */
static int significandBits(ssmrt_dtype dtype) {
  return dtype.code == SSMRT_BFLOAT ? 8
         : dtype.bits == 16         ? 11
         : dtype.bits == 32         ? 24
                                    : 53;
}

static bool isExactFloat(uint64_t magnitude, ssmrt_dtype dtype) {
  if (magnitude == 0)
    return true;
  /* The largest f16 is below the largest integer with few enough bits. */
  if (dtype.code == SSMRT_FLOAT && dtype.bits == 16 && magnitude > 65504)
    return false;
  int width = 64 - __builtin_clzll(magnitude) - __builtin_ctzll(magnitude);
  return width <= significandBits(dtype);
}

static bool storeInteger(ssmrt_dtype dtype, Value value, unsigned char *to) {
  uint64_t bits = value.negative ? -value.magnitude : value.magnitude;
  switch (dtype.code) {
  case SSMRT_INT:
    if (value.magnitude > (UINT64_C(1) << (dtype.bits - 1)) - !value.negative)
      return false;
    break;
  case SSMRT_UINT:
    if ((value.negative && value.magnitude != 0) ||
        (dtype.bits < 64 && value.magnitude >> dtype.bits != 0))
      return false;
    break;
  default: /* bool */
    if (value.negative || value.magnitude > 1)
      return false;
    break;
  }
  memcpy(to, &bits, dtype.bits / 8);
  return true;
}

static bool storeFloat(ssmrt_dtype dtype, Value value, unsigned char *to) {
  if (!isExactFloat(value.magnitude, dtype))
    return false;
  double number = (double)value.magnitude;
  if (value.negative)
    number = -number;
  int index = floatIndex(dtype);
  if (index == 3)
    memcpy(to, &number, sizeof(number));
  else
    floatLoops[3][index](&number, to, 1);
  return true;
}

/*===----------------------------------------------------------------------===*\
|* Tensors                                                                    *|
\*===----------------------------------------------------------------------===*/

static ssmrt_status failValue(const ssmrt_tensor *from, const ssmrt_tensor *to,
                              Value value, int64_t index) {
  char text[32];
  if (value.isFloat)
    snprintf(text, sizeof(text), "%.9g", value.number);
  else
    snprintf(text, sizeof(text), "%s%llu", value.negative ? "-" : "",
             (unsigned long long)value.magnitude);
  return ssmrtFail(SSMRT_BAD_ARGUMENT,
                   "element %lld of a conversion from %s to %s is %s, which %s "
                   "cannot hold exactly",
                   (long long)index, ssmrt_dtype_name(from->dtype),
                   ssmrt_dtype_name(to->dtype), text,
                   ssmrt_dtype_name(to->dtype));
}

static ssmrt_status convertIntegers(const ssmrt_tensor *from,
                                    const ssmrt_tensor *to, int64_t count) {
  const unsigned char *source = ssmrtData(from);
  unsigned char *target = ssmrtData(to);
  size_t sourceSize = ssmrt_dtype_size(from->dtype);
  size_t targetSize = ssmrt_dtype_size(to->dtype);
  bool toFloat = floatIndex(to->dtype) >= 0;
  for (int64_t i = 0; i < count; ++i) {
    Value value = loadValue(from->dtype, source + i * sourceSize);
    unsigned char *element = target + i * targetSize;
    bool stored = toFloat ? storeFloat(to->dtype, value, element)
                          : makeInteger(&value) &&
                                storeInteger(to->dtype, value, element);
    if (!stored)
      return failValue(from, to, value, i);
  }
  return SSMRT_OK;
}

/* Floats are converted in blocks, each through an aligned buffer where a file
 * put the elements at odd addresses. */
enum { BlockElements = 1 << 15, BufferElements = 512 };
/* Nanoseconds of a block, when it comes from memory. */
enum { BlockCost = 30000 };

typedef struct FloatJob {
  ConvertLoop loop;
  const char *source;
  char *target;
  size_t sourceSize, targetSize;
  int64_t count;
} FloatJob;

static void convertOdd(const FloatJob *job, int64_t begin, int64_t end) {
  _Alignas(SSMRT_ALIGNMENT) unsigned char buffer[BufferElements * 8];
  for (int64_t i = begin; i < end; i += BufferElements) {
    int64_t size = end - i < BufferElements ? end - i : BufferElements;
    memcpy(buffer, job->source + i * job->sourceSize, size * job->sourceSize);
    job->loop(buffer, job->target + i * job->targetSize, size);
  }
}

static void convertBlocks(void *closure, int64_t begin, int64_t end) {
  const FloatJob *job = closure;
  begin *= BlockElements;
  end = end * BlockElements < job->count ? end * BlockElements : job->count;
  const char *source = job->source + begin * job->sourceSize;
  if (ssmrtIsAligned(source, job->sourceSize))
    job->loop(source, job->target + begin * job->targetSize, end - begin);
  else
    convertOdd(job, begin, end);
}

ssmrt_status ssmrt_convert(const ssmrt_tensor *from, ssmrt_tensor *to) {
  return ssmrtConvert(ssmrt_context_serial(), from, to);
}

ssmrt_status ssmrtConvert(ssmrt_context *context, const ssmrt_tensor *from,
                          ssmrt_tensor *to) {
  if (!from || !to)
    return ssmrtFail(SSMRT_BAD_ARGUMENT, "ssmrt_convert: null tensor");
  int64_t count, wanted;
  ssmrt_status status = ssmrtCheckTensor("tensor", "from", from, &count);
  if (status == SSMRT_OK)
    status = ssmrtCheckTensor("tensor", "to", to, &wanted);
  if (status != SSMRT_OK)
    return status;
  bool same = from->ndim == to->ndim;
  for (int32_t i = 0; same && i < from->ndim; ++i)
    same = from->shape[i] == to->shape[i];
  if (!same) {
    ssmrtText text = {0};
    ssmrtAppendShape(&text, from->shape, from->ndim);
    ssmrtAppend(&text, " to ");
    ssmrtAppendShape(&text, to->shape, to->ndim);
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "conversion of shape %s; wanted the same shape",
                     text.data);
  }
  if (count == 0)
    return SSMRT_OK;
  if (!ssmrtIsAligned(ssmrtData(to), ssmrt_dtype_size(to->dtype)))
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "conversion to memory that is not aligned to %zu bytes",
                     ssmrt_dtype_size(to->dtype));
  if (ssmrtSameDType(from->dtype, to->dtype)) {
    memmove(ssmrtData(to), ssmrtData(from),
            (size_t)count * ssmrt_dtype_size(to->dtype));
    return SSMRT_OK;
  }
  int row = floatIndex(from->dtype), column = floatIndex(to->dtype);
  if (row < 0 || column < 0)
    return convertIntegers(from, to, count);
  FloatJob job = {floatLoops[row][column],
                  ssmrtData(from),
                  ssmrtData(to),
                  ssmrt_dtype_size(from->dtype),
                  ssmrt_dtype_size(to->dtype),
                  count};
  context->parallel_for(context, convertBlocks, &job,
                        (count - 1) / BlockElements + 1, BlockCost);
  return SSMRT_OK;
}
