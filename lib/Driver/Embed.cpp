//===- Embed.cpp - Weights inside an artefact -----------------------------===//
//
// The code may be for another machine, so that the layer cannot be asked for its
// description: that of the MLIR module stands in.
//
//===----------------------------------------------------------------------===//

#include "Embed.h"
#include "Error.h"
#include "Session.h"

#include "Target/CPU/ModuleDescription.h"

using namespace ssmc;

namespace {
/// A module that has weights and is never called.
class WeightsDescription {
public:
  explicit WeightsDescription(mlir::DictionaryAttr description);
  const ssmrt_module *get() const { return &module; }

private:
  std::vector<std::string> names;
  std::vector<ssmrt_value_info> infos;
  std::string name, layer;
  ssmrt_module module = {};
};
} // namespace

WeightsDescription::WeightsDescription(mlir::DictionaryAttr description) {
  auto text = [](mlir::DictionaryAttr from, llvm::StringRef field) {
    return from.getAs<mlir::StringAttr>(field).getValue();
  };
  auto list = description.getAs<mlir::ArrayAttr>("weights");
  for (mlir::Attribute attribute : list)
    names.push_back(text(llvm::cast<mlir::DictionaryAttr>(attribute), "name").str());
  for (auto [attribute, name] : llvm::zip_equal(list, names)) {
    auto weight = llvm::cast<mlir::DictionaryAttr>(attribute);
    // Owned by the IR's context.
    auto shape = weight.getAs<mlir::DenseI64ArrayAttr>("dims").asArrayRef();
    auto flags = weight.getAs<mlir::IntegerAttr>("flags");
    infos.push_back({name.c_str(), dtypeNamed(text(weight, "dtype")),
                     int32_t(shape.size()), shape.data(),
                     uint32_t(flags ? flags.getInt() : 0), /*state=*/0, /*limit=*/0});
  }
  name = text(description, "name").str();
  layer = text(description, "layer").str();
  module.magic = SSMRT_MAGIC;
  module.abi_version = SSMRT_ABI_VERSION;
  module.struct_size = sizeof(module);
  module.name = name.c_str();
  module.layer = layer.c_str();
  module.num_weights = int64_t(infos.size());
  module.weights = infos.data();
  module.num_axes = 1;
  module.device_type = SSMRT_CPU;
  module.forward = [](const ssmrt_frame *) {}; // without it, it is no module
}

llvm::Error ssmc::embedWeights(Build &build, llvm::Module &module,
                               const WeightFiles &files, std::optional<uint64_t> seed) {
  auto attribute = build.module()->getAttrOfType<mlir::DictionaryAttr>("ssm.module");
  if (!attribute)
    return failure("--embed-weights: the module has no description of its weights: "
                   "wanted a .ssm file, or .mlir of an earlier phase");
  WeightsDescription description(attribute);
  const ssmrt_module *layer = description.get();
  auto weights = bindWeights(layer, files, build.initializers(), seed);
  if (!weights)
    return weights.takeError();
  // As the code reads them: prepare then copies none, and some are read in place.
  std::vector<Tensor> converted;
  converted.reserve(weights->tensors.size()); // views point into it
  for (auto [i, tensor] : llvm::enumerate(weights->tensors)) {
    const ssmrt_value_info &info = layer->weights[i];
    if (!tensor.data || std::memcmp(&tensor.dtype, &info.dtype, sizeof(info.dtype)) == 0)
      continue;
    auto copy = Tensor::create(
        info.dtype, llvm::ArrayRef<int64_t>(tensor.shape, size_t(tensor.ndim)));
    if (!copy)
      return copy.takeError();
    ssmrt_tensor target = copy->view();
    if (ssmrt_convert(&tensor, &target) != SSMRT_OK)
      return runtimeFailure(llvm::Twine("weight '") + info.name + "': ");
    converted.push_back(std::move(*copy));
    tensor = converted.back().view();
  }
  embedWeights(module, layer->name, weights->tensors);
  return llvm::Error::success();
}
