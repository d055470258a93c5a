//===- Files.h - Inputs and outputs as files -------------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_FILES_H
#define SSMC_LIB_DRIVER_FILES_H

#include "Options.h"
#include "Tensor.h"

namespace ssmc {

/// An array read from a file, with whatever owns its memory.
struct FileArray {
  ssmrt_tensor tensor = {};
  std::shared_ptr<void> owner;
};

/// A .npy file; or the tensor `name`, or the only one, of a .safetensors file.
llvm::Expected<FileArray> readArray(const std::string &path, llvm::StringRef name);

/// The inputs of a call in the order of the module.
struct BoundInputs {
  std::vector<ssmrt_tensor> tensors; // without data: absent
  int64_t batch = 1;
  Lengths lengths = {0};
  std::vector<FileArray> files;
  std::vector<Tensor> converted;
};

/// Reads, checks and converts the inputs that the files give.
llvm::Expected<BoundInputs> bindInputs(const ssmrt_module *module,
                                       llvm::ArrayRef<FileBinding> bindings);

/// Checks that every integer is below the described limit; the message names the
/// file and the place.
llvm::Error checkLimit(const ssmrt_value_info &info, const ssmrt_tensor &tensor,
                       llvm::StringRef file);

/// Refuses, before any work is done, names that the module does not have and files
/// that cannot be created.
llvm::Error checkOutputFiles(const ssmrt_module *module,
                             llvm::ArrayRef<FileBinding> bindings);
llvm::Error checkWritable(llvm::StringRef path);

/// Arrays and bytes that appear under their names all together, when everything is
/// written, or not at all.
class OutputFiles {
public:
  ~OutputFiles();
  /// By extension: .npy, or a tensor called `name` in a .safetensors file.
  llvm::Error add(llvm::StringRef path, llvm::StringRef name, const Tensor &tensor);
  llvm::Error add(llvm::StringRef path, llvm::StringRef bytes, bool executable = false);
  llvm::Error commit();

private:
  struct Pending {
    std::string temporary, path;
  };
  struct Named {
    std::string name;
    const Tensor *tensor;
  };
  llvm::Expected<std::string> makeTemporary(llvm::StringRef path);
  std::vector<Pending> pending;
  std::vector<std::pair<std::string, std::vector<Named>>> safetensors;
};

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_FILES_H
