//===- Tensor.cpp - Arrays that the driver owns ---------------------------===//

#include "Tensor.h"
#include "Error.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"
#include <sys/mman.h>

using namespace ssmc;

/// Pages that the processor translates at once, where the system has them. Reading
/// long tables from small pages takes half as long again.
static constexpr size_t largePage = size_t(2) << 20;
static constexpr size_t leastForLargePages = 2 * largePage;

llvm::Expected<Block> Block::create(int64_t bytes, llvm::StringRef what) {
  Block block;
  if (bytes > INT64_MAX - SSMRT_ALIGNMENT)
    return failure("the " + what + " does not fit into memory");
  // At least one line, so that an empty block has an address of its own.
  size_t rounded = llvm::alignTo(std::max<int64_t>(bytes, 1), SSMRT_ALIGNMENT);
  bool isLarge = rounded >= leastForLargePages;
  void *memory = nullptr;
  if (posix_memalign(&memory, isLarge ? largePage : SSMRT_ALIGNMENT, rounded))
    return failure("no memory for " + llvm::Twine(bytes) + " bytes: the " + what);
#ifdef MADV_HUGEPAGE
  // A wish; whole pages alone, for the end shares its page with other memory.
  if (isLarge)
    (void)madvise(memory, rounded / largePage * largePage, MADV_HUGEPAGE);
#endif
  block.memory.reset(memory);
  return std::move(block);
}

static bool multiply(int64_t &product, int64_t factor) {
  return !__builtin_mul_overflow(product, factor, &product);
}

llvm::Expected<Tensor> Tensor::create(ssmrt_dtype dtype,
                                      llvm::ArrayRef<int64_t> shape) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape.assign(shape.begin(), shape.end());
  int64_t bytes = int64_t(ssmrt_dtype_size(dtype));
  for (int64_t extent : shape)
    if (extent < 0 || !multiply(bytes, extent))
      return failure("an array of shape " + shapeText(shape) +
                     " does not fit into memory");
  auto block = Block::create(bytes, "array of shape " + shapeText(shape));
  if (!block)
    return block.takeError();
  tensor.block = std::move(*block);
  return std::move(tensor);
}

int64_t Tensor::count() const {
  int64_t count = 1;
  for (int64_t extent : shape)
    count *= extent;
  return count;
}

ssmrt_tensor Tensor::view() const {
  ssmrt_tensor result = {};
  result.data = block.get();
  result.device = {1, 0};
  result.ndim = int32_t(shape.size());
  result.dtype = dtype;
  result.shape = const_cast<int64_t *>(shape.data());
  return result;
}

std::string ssmc::shapeText(llvm::ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (int64_t extent : shape) {
    text += text.size() > 1 ? ", " : "";
    int axis = ssmrt_sequence_axis(extent);
    text += extent == SSMRT_BATCH ? "batch"
            : axis == 0           ? "length"
            : axis > 0            ? "length " + std::to_string(axis + 1)
                                  : std::to_string(extent);
  }
  return text + "]";
}

int64_t ssmc::lengthOf(llvm::ArrayRef<int64_t> lengths, int axis) {
  return size_t(axis) < lengths.size() ? lengths[axis] : lengths.back();
}

int64_t ssmc::tokensOf(llvm::ArrayRef<int64_t> lengths, const ssmrt_module &module) {
  int64_t tokens = 1;
  for (int axis = 0; axis < module.num_axes; ++axis)
    tokens *= lengthOf(lengths, axis);
  return tokens;
}

std::string ssmc::lengthsText(llvm::ArrayRef<int64_t> lengths) {
  if (llvm::all_equal(lengths))
    return std::to_string(lengths.front());
  std::string text;
  for (int64_t length : lengths)
    text += (text.empty() ? "" : "x") + std::to_string(length);
  return text;
}

llvm::ArrayRef<int64_t> ssmc::shapeOf(const ssmrt_value_info &info) {
  return llvm::ArrayRef<int64_t>(info.shape, size_t(info.ndim));
}

llvm::SmallVector<int64_t, 4> ssmc::shapeFor(const ssmrt_value_info &info,
                                             int64_t batch,
                                             llvm::ArrayRef<int64_t> lengths) {
  llvm::SmallVector<int64_t, 4> shape(shapeOf(info));
  for (int64_t &extent : shape)
    if (extent == SSMRT_BATCH)
      extent = batch;
    else if (int axis = ssmrt_sequence_axis(extent); axis >= 0)
      extent = lengthOf(lengths, axis);
  return shape;
}

int ssmc::lengthDimension(const ssmrt_value_info &info, int axis) {
  for (int i = 0; i < info.ndim; ++i)
    if (info.shape[i] == SSMRT_LENGTH - axis)
      return i;
  return -1;
}

static int64_t limitOf(const ssmrt_module &module, uint32_t flag) {
  for (int64_t i = 0; i < module.num_inputs; ++i)
    if (module.inputs[i].flags & flag)
      return module.inputs[i].limit;
  return 0;
}

int64_t ssmc::fixedLength(const ssmrt_module &module) {
  return limitOf(module, SSMRT_FIXED_LENGTH);
}

int64_t ssmc::longestLength(const ssmrt_module &module) {
  return limitOf(module, SSMRT_LIMITED_LENGTH);
}

bool ssmc::isFloat(ssmrt_dtype dtype) {
  return dtype.code == SSMRT_FLOAT || dtype.code == SSMRT_BFLOAT;
}

double ssmc::numberAt(const Tensor &tensor, int64_t i) {
  ssmrt_dtype dtype = tensor.getDType();
  if (dtype.bits == 64)
    return tensor.data<double>()[i];
  if (dtype.bits == 32)
    return tensor.data<float>()[i];
  const llvm::fltSemantics &format = dtype.code == SSMRT_BFLOAT
                                         ? llvm::APFloat::BFloat()
                                         : llvm::APFloat::IEEEhalf();
  return llvm::APFloat(format, llvm::APInt(16, tensor.data<uint16_t>()[i]))
      .convertToFloat();
}

llvm::Expected<Tensor> ssmc::convertTo(const Tensor &tensor, ssmrt_dtype dtype) {
  auto copy = Tensor::create(dtype, tensor.getShape());
  if (!copy)
    return copy.takeError();
  ssmrt_tensor from = tensor.view(), to = copy->view();
  if (ssmrt_convert(&from, &to) != SSMRT_OK)
    return runtimeFailure();
  return std::move(*copy);
}
