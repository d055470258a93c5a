//===- Weights.h - Where a layer's weights come from -----------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_WEIGHTS_H
#define SSMC_LIB_DRIVER_WEIGHTS_H

#include "Tensor.h"
#include "ssmc/Frontend/Frontend.h"
#include "ssmrt/ssmrt.h"
#include "llvm/Support/Error.h"
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace ssmc {

/// The tensors of some files, mapped into memory.
class WeightFiles {
public:
  static llvm::Expected<WeightFiles> open(llvm::ArrayRef<std::string> paths,
                                          llvm::StringRef prefix);

  bool empty() const { return files.empty(); }
  /// Element types by the layer's own names, without the prefix; `narrow` replaces
  /// that of every float.
  std::map<std::string, std::string> types(llvm::StringRef narrow) const;
  /// Views of the module's weights, in its order.
  llvm::Error bind(const ssmrt_module *module,
                   std::vector<ssmrt_tensor> &tensors) const;
  /// Names in the files that the module does not read, with the files' names.
  std::vector<std::string> unused(const ssmrt_module *module) const;

private:
  struct Close {
    void operator()(ssmrt_weights *weights) const { ssmrt_weights_close(weights); }
  };
  std::vector<std::unique_ptr<ssmrt_weights, Close>> files;
  std::vector<std::string> paths;
  std::string prefix;
};

/// Weights drawn by initialisers, in the order of the module.
llvm::Expected<std::vector<Tensor>>
drawWeights(const ssmrt_module *module,
            llvm::ArrayRef<WeightInitializer> initializers, uint64_t seed);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_WEIGHTS_H
