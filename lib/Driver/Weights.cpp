//===- Weights.cpp - Where a layer's weights come from --------------------===//

#include "Weights.h"
#include "Error.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include <cmath>

using namespace ssmc;

llvm::Expected<WeightFiles> WeightFiles::open(llvm::ArrayRef<std::string> paths,
                                              llvm::StringRef prefix) {
  WeightFiles result;
  result.prefix = prefix.str();
  for (const std::string &path : paths) {
    ssmrt_weights *weights;
    if (ssmrt_weights_open(path.c_str(), &weights) != SSMRT_OK)
      return runtimeFailure();
    result.files.emplace_back(weights);
    result.paths.push_back(path);
  }
  return std::move(result);
}

std::map<std::string, std::string> WeightFiles::types(llvm::StringRef narrow) const {
  std::map<std::string, std::string> types;
  for (const auto &file : files)
    for (int64_t i = 0, count = ssmrt_weights_count(file.get()); i < count; ++i) {
      llvm::StringRef name = ssmrt_weights_name(file.get(), i);
      ssmrt_tensor tensor;
      // A tensor of an unknown dtype matters only if the layer reads it; binding
      // says so then.
      if (!name.consume_front(prefix) ||
          ssmrt_weights_at(file.get(), i, &tensor) != SSMRT_OK)
        continue;
      bool isFloat =
          tensor.dtype.code == SSMRT_FLOAT || tensor.dtype.code == SSMRT_BFLOAT;
      types.try_emplace(name.str(), isFloat && !narrow.empty()
                                        ? narrow.str()
                                        : ssmrt_dtype_name(tensor.dtype));
    }
  return types;
}

llvm::Error WeightFiles::bind(const ssmrt_module *module,
                              std::vector<ssmrt_tensor> &tensors) const {
  tensors.resize(module->num_weights);
  if (files.size() == 1) {
    if (ssmrt_weights_bind(files[0].get(), module, prefix.c_str(), tensors.data()) !=
        SSMRT_OK)
      return runtimeFailure();
    return llvm::Error::success();
  }
  for (int64_t i = 0; i < module->num_weights; ++i) {
    std::string messages;
    // One weight at a time: each file may have it.
    ssmrt_module one = *module;
    one.num_weights = 1;
    one.weights = &module->weights[i];
    tensors[i] = ssmrt_tensor{};
    for (const auto &file : files) {
      ssmrt_status status =
          ssmrt_weights_bind(file.get(), &one, prefix.c_str(), &tensors[i]);
      if (status == SSMRT_OK && tensors[i].data)
        break;
      if (status != SSMRT_OK && status != SSMRT_NOT_FOUND)
        return runtimeFailure();
      if (status == SSMRT_NOT_FOUND)
        messages += (messages.empty() ? "" : "; ") + std::string(ssmrt_last_error());
    }
    if (!tensors[i].data && !(one.weights->flags & SSMRT_OPTIONAL))
      return failure(messages);
  }
  return llvm::Error::success();
}

std::vector<std::string> WeightFiles::unused(const ssmrt_module *module) const {
  llvm::StringSet<> read;
  for (int64_t i = 0; i < module->num_weights; ++i)
    read.insert(prefix + module->weights[i].name);
  std::vector<std::string> names;
  for (size_t i = 0; i < files.size(); ++i)
    for (int64_t j = 0, count = ssmrt_weights_count(files[i].get()); j < count; ++j) {
      const char *name = ssmrt_weights_name(files[i].get(), j);
      if (!read.contains(name))
        names.push_back(paths[i] + ": " + printable(name));
    }
  return names;
}

/// The member's number where `name` is `pattern` with a number for "{}".
static std::optional<int64_t> memberOf(llvm::StringRef pattern, llvm::StringRef name) {
  auto [before, after] = pattern.split("{}");
  int64_t member;
  if (!name.consume_front(before) || !name.consume_back(after) ||
      name.getAsInteger(10, member))
    return std::nullopt;
  return member;
}

static llvm::Error fill(const ssmrt_value_info &info, const double *values,
                        int64_t count, Tensor &tensor) {
  auto drawn = Tensor::create({SSMRT_FLOAT, 64, 1}, tensor.getShape());
  if (!drawn)
    return drawn.takeError();
  double *data = drawn->data<double>();
  std::copy(values, values + count, data);
  // An initialiser computes in reals; an integer is what it rounds to.
  if (info.dtype.code != SSMRT_FLOAT && info.dtype.code != SSMRT_BFLOAT)
    for (int64_t i = 0; i < count; ++i)
      data[i] = std::nearbyint(data[i]);
  ssmrt_tensor from = drawn->view(), to = tensor.view();
  if (ssmrt_convert(&from, &to) != SSMRT_OK)
    return runtimeFailure(llvm::Twine("initial values of '") + info.name + "': ");
  return llvm::Error::success();
}

llvm::Expected<std::vector<Tensor>>
ssmc::drawWeights(const ssmrt_module *module,
                  llvm::ArrayRef<WeightInitializer> initializers, uint64_t seed) {
  // The members of a family are drawn together.
  llvm::StringMap<std::vector<double>> drawn;
  std::vector<Tensor> weights;
  for (int64_t i = 0; i < module->num_weights; ++i) {
    const ssmrt_value_info &info = module->weights[i];
    const WeightInitializer *source = nullptr;
    int64_t member = 0;
    for (const WeightInitializer &candidate : initializers) {
      if (candidate.family == 0 && candidate.name == info.name)
        source = &candidate;
      else if (auto index = candidate.family > 0 ? memberOf(candidate.name, info.name)
                                                 : std::nullopt) {
        source = &candidate;
        member = *index;
      }
    }
    auto tensor = Tensor::create(
        info.dtype, llvm::ArrayRef<int64_t>(info.shape, size_t(info.ndim)));
    if (!tensor)
      return tensor.takeError();
    int64_t count = tensor->count();
    if (!source)
      return failure(llvm::Twine("weight '") + info.name + "' has no initialiser");
    auto [entry, isNew] = drawn.try_emplace(source->name);
    if (isNew)
      entry->second = source->values(seed);
    if (int64_t(entry->second.size()) < (member + 1) * count)
      return failure(llvm::Twine("the initialiser of '") + info.name + "' gives " +
                     llvm::Twine(entry->second.size()) + " values; wanted " +
                     llvm::Twine((member + 1) * count));
    if (llvm::Error error =
            fill(info, entry->second.data() + member * count, count, *tensor))
      return std::move(error);
    weights.push_back(std::move(*tensor));
  }
  return std::move(weights);
}
