//===- Inputs.cpp - Inputs from files -------------------------------------===//

#include "Error.h"
#include "Files.h"

#include "llvm/Support/Path.h"

using namespace ssmc;

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

static llvm::Expected<FileArray> readSafetensors(const std::string &path,
                                                 llvm::StringRef name) {
  ssmrt_weights *weights;
  if (ssmrt_weights_open(path.c_str(), &weights) != SSMRT_OK)
    return runtimeFailure();
  FileArray result;
  result.owner = std::shared_ptr<void>(weights, [](void *weights) {
    ssmrt_weights_close(static_cast<ssmrt_weights *>(weights));
  });
  ssmrt_status status = ssmrt_weights_count(weights) == 1
                            ? ssmrt_weights_at(weights, 0, &result.tensor)
                            : ssmrt_weights_find(weights, name.str().c_str(),
                                                 &result.tensor);
  if (status != SSMRT_OK)
    return runtimeFailure();
  return std::move(result);
}

llvm::Expected<FileArray> ssmc::readArray(const std::string &path,
                                          llvm::StringRef name) {
  if (llvm::sys::path::extension(path) == ".safetensors")
    return readSafetensors(path, name);
  FileArray result;
  ssmrt_array *array;
  if (ssmrt_npy_read(path.c_str(), &array, &result.tensor) != SSMRT_OK)
    return runtimeFailure();
  result.owner = std::shared_ptr<void>(
      array, [](void *array) { ssmrt_array_free(static_cast<ssmrt_array *>(array)); });
  return std::move(result);
}

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

static llvm::ArrayRef<int64_t> shapeOf(const ssmrt_tensor &tensor) {
  return llvm::ArrayRef<int64_t>(tensor.shape, size_t(tensor.ndim));
}

namespace {
/// A run-time extent, and the file that settled it.
struct Extent {
  int64_t value = -1;
  std::string file;
};
} // namespace

static llvm::Error checkShape(const ssmrt_value_info &info, const ssmrt_tensor &tensor,
                              const std::string &file, Extent &batch,
                              llvm::MutableArrayRef<Extent> lengths) {
  std::string wanted = "; input '" + std::string(info.name) + "' wants " +
                       shapeText(shapeOf(info));
  bool matches = tensor.ndim == info.ndim;
  for (int i = 0; matches && i < info.ndim; ++i) {
    bool isBatch = info.shape[i] == SSMRT_BATCH;
    int axis = ssmrt_sequence_axis(info.shape[i]);
    if (!isBatch && axis < 0) {
      matches = info.shape[i] == tensor.shape[i];
      continue;
    }
    Extent &extent = isBatch ? batch : lengths[axis];
    if (extent.value < 0) {
      extent = {tensor.shape[i], file};
    } else if (extent.value != tensor.shape[i]) {
      matches = false;
      wanted += " with " + std::string(isBatch ? "batch " : "length ") +
                (axis > 0 ? std::to_string(axis + 1) + " = " : "") +
                std::to_string(extent.value) + " as in " + extent.file;
    }
  }
  if (matches)
    return llvm::Error::success();
  return failure(file + ": has shape " + shapeText(shapeOf(tensor)) + wanted);
}

template <typename T>
static int64_t firstBeyond(const ssmrt_tensor &tensor, int64_t count, int64_t limit) {
  const T *data = reinterpret_cast<const T *>(static_cast<const char *>(tensor.data) +
                                              tensor.byte_offset);
  for (int64_t i = 0; i < count; ++i)
    if (data[i] < 0 || int64_t(data[i]) >= limit)
      return i;
  return -1;
}

llvm::Error ssmc::checkLimit(const ssmrt_value_info &info, const ssmrt_tensor &tensor,
                             llvm::StringRef file) {
  if (info.limit <= 0 || info.dtype.code != SSMRT_INT || !tensor.data)
    return llvm::Error::success();
  int64_t count = 1;
  for (int64_t extent : shapeOf(tensor))
    count *= extent;
  bool isWide = info.dtype.bits == 64;
  int64_t place = isWide ? firstBeyond<int64_t>(tensor, count, info.limit)
                         : firstBeyond<int32_t>(tensor, count, info.limit);
  if (place < 0)
    return llvm::Error::success();
  const char *data = static_cast<const char *>(tensor.data) + tensor.byte_offset;
  int64_t value = isWide ? reinterpret_cast<const int64_t *>(data)[place]
                         : reinterpret_cast<const int32_t *>(data)[place];
  llvm::SmallVector<int64_t> point(tensor.ndim);
  for (int64_t i = tensor.ndim, rest = place; i-- > 0; rest /= tensor.shape[i])
    point[i] = rest % tensor.shape[i];
  return failure(file + ": the value at " + shapeText(point) + " is " +
                 llvm::Twine(value) + "; input '" + info.name + "' wants 0 to " +
                 llvm::Twine(info.limit - 1));
}

/// A copy in the dtype the code reads.
static llvm::Error convert(const ssmrt_value_info &info, const std::string &file,
                           ssmrt_tensor &tensor, BoundInputs &inputs) {
  bool toInteger = !isFloat(info.dtype) && info.dtype.code != SSMRT_BOOL;
  if (toInteger && isFloat(tensor.dtype))
    return failure(file + ": is " + ssmrt_dtype_name(tensor.dtype) + "; input '" +
                   info.name + "' wants integers");
  auto copy = Tensor::create(info.dtype, shapeOf(tensor));
  if (!copy)
    return copy.takeError();
  ssmrt_tensor to = copy->view();
  if (ssmrt_convert(&tensor, &to) != SSMRT_OK)
    return runtimeFailure(file + ": input '" + info.name + "': ");
  inputs.converted.push_back(std::move(*copy));
  tensor = inputs.converted.back().view();
  return llvm::Error::success();
}

static llvm::Error noInput(const ssmrt_module *module, const FileBinding &binding) {
  std::vector<std::string> names;
  std::string known;
  for (int64_t i = 0; i < module->num_inputs; ++i) {
    names.push_back(module->inputs[i].name);
    known += (i ? ", " : "") + names.back();
  }
  return failure("layer '" + llvm::Twine(module->layer) + "' has no input '" +
                 binding.name + "'" + didYouMean(binding.name, names) +
                 (known.empty() ? "; it has none" : "; it has " + known));
}

llvm::Expected<BoundInputs> ssmc::bindInputs(const ssmrt_module *module,
                                             llvm::ArrayRef<FileBinding> bindings) {
  BoundInputs result;
  // Views point into the elements: these must not move.
  result.converted.reserve(module->num_inputs);
  result.tensors.resize(module->num_inputs);
  for (const FileBinding &binding : bindings) {
    bool known = false;
    for (int64_t i = 0; i < module->num_inputs; ++i)
      known |= binding.name == module->inputs[i].name;
    if (!known)
      return noInput(module, binding);
  }
  Extent batch, lengths[SSMRT_MAX_AXES];
  for (int64_t i = 0; i < module->num_inputs; ++i) {
    const ssmrt_value_info &info = module->inputs[i];
    const FileBinding *given = nullptr;
    for (const FileBinding &binding : bindings) {
      if (binding.name != info.name)
        continue;
      if (given)
        return failure("input '" + binding.name + "' is given twice: " + given->file +
                       " and " + binding.file);
      given = &binding;
    }
    if (!given && (info.flags & (SSMRT_OPTIONAL | SSMRT_INITIAL)))
      continue;
    if (!given)
      return failure("layer '" + llvm::Twine(module->layer) + "' wants input '" +
                     info.name + "', " + ssmrt_dtype_name(info.dtype) + " " +
                     shapeText(shapeOf(info)) + "; give --input " + info.name +
                     "=FILE");
    auto array = readArray(given->file, info.name);
    if (!array)
      return array.takeError();
    ssmrt_tensor &tensor = result.tensors[i];
    tensor = array->tensor;
    result.files.push_back(std::move(*array));
    if (llvm::Error error = checkShape(info, tensor, given->file, batch, lengths))
      return std::move(error);
    bool same = tensor.dtype.code == info.dtype.code &&
                tensor.dtype.bits == info.dtype.bits;
    if (!same)
      if (llvm::Error error = convert(info, given->file, tensor, result))
        return std::move(error);
    if (llvm::Error error = checkLimit(info, tensor, given->file))
      return std::move(error);
  }
  if (batch.value >= 0)
    result.batch = batch.value;
  result.lengths.clear();
  for (const Extent &length : llvm::ArrayRef(lengths).take_front(module->num_axes))
    result.lengths.push_back(std::max<int64_t>(length.value, 0));
  return std::move(result);
}
