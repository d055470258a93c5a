//===- RandomData.cpp - Seeded inputs -------------------------------------===//

#include "RandomData.h"
#include "Error.h"

#include <cstring>
#include <random>

using namespace ssmc;

static void draw(const ssmrt_value_info &info, double *values, int64_t count,
                 uint64_t seed) {
  std::seed_seq sequence{uint32_t(seed), uint32_t(seed >> 32)};
  std::mt19937_64 engine(sequence);
  std::normal_distribution<double> gaussian(0, 0.5);
  int64_t limit = info.dtype.code == SSMRT_BOOL ? 2 : info.limit > 0 ? info.limit : 8;
  for (int64_t i = 0; i < count; ++i) {
    if (isFloat(info.dtype))
      values[i] = gaussian(engine);
    else
      values[i] = double(engine() % uint64_t(limit));
    // Sequences begin anew here and there, not at every other token.
    if (info.dtype.code == SSMRT_BOOL)
      values[i] = engine() % 8 == 0;
  }
}

llvm::Expected<std::vector<Tensor>> ssmc::drawInputs(const ssmrt_module *module,
                                                     int64_t batch,
                                                     llvm::ArrayRef<int64_t> lengths,
                                                     uint64_t seed) {
  std::vector<Tensor> inputs;
  for (int64_t i = 0; i < module->num_inputs; ++i) {
    const ssmrt_value_info &info = module->inputs[i];
    llvm::SmallVector<int64_t, 4> shape = shapeFor(info, batch, lengths);
    auto drawn = Tensor::create({SSMRT_FLOAT, 64, 1}, shape);
    if (!drawn)
      return drawn.takeError();
    bool hasBatch = info.ndim > 0 && info.shape[0] == SSMRT_BATCH;
    int64_t rows = hasBatch ? batch : 1, count = drawn->count();
    for (int64_t row = 0; row < rows && count > 0; ++row)
      draw(info, drawn->data<double>() + row * (count / rows), count / rows,
           seed * 1000003 + uint64_t(i) * 1009 + uint64_t(row));
    inputs.push_back(std::move(*drawn));
  }
  return convertAll(inputs, module->inputs);
}

llvm::Expected<std::vector<Tensor>> ssmc::convertAll(llvm::ArrayRef<Tensor> tensors,
                                                     const ssmrt_value_info *infos) {
  std::vector<Tensor> result;
  for (auto [i, tensor] : llvm::enumerate(tensors)) {
    auto copy = convertTo(tensor, infos[i].dtype);
    if (!copy)
      return failure(llvm::Twine(infos[i].name) + ": " +
                     llvm::toString(copy.takeError()));
    result.push_back(std::move(*copy));
  }
  return std::move(result);
}

std::vector<ssmrt_tensor> ssmc::viewAll(llvm::ArrayRef<Tensor> tensors) {
  std::vector<ssmrt_tensor> views;
  for (const Tensor &tensor : tensors)
    views.push_back(tensor.view());
  return views;
}

llvm::Expected<std::vector<Tensor>> ssmc::takeRow(llvm::ArrayRef<Tensor> tensors,
                                                  const ssmrt_value_info *infos,
                                                  int64_t row) {
  std::vector<Tensor> result;
  for (auto [i, tensor] : llvm::enumerate(tensors)) {
    llvm::SmallVector<int64_t, 4> shape(tensor.getShape());
    bool hasBatch = infos[i].ndim > 0 && infos[i].shape[0] == SSMRT_BATCH;
    int64_t bytes = tensor.bytes(), offset = 0;
    if (hasBatch) {
      bytes = shape[0] ? bytes / shape[0] : 0;
      offset = row * bytes;
      shape[0] = 1;
    }
    auto copy = Tensor::create(tensor.getDType(), shape);
    if (!copy)
      return copy.takeError();
    std::memcpy(copy->data(), tensor.data() + offset, size_t(bytes));
    result.push_back(std::move(*copy));
  }
  return std::move(result);
}
