//===- Outputs.cpp - Outputs to files -------------------------------------===//

#include "Error.h"
#include "Files.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/raw_ostream.h"
#include <unistd.h>

using namespace ssmc;

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

/// What a rename to `path` must replace: the file behind symbolic links.
static std::string resolve(llvm::StringRef path) {
  llvm::SmallString<128> real;
  if (!llvm::sys::fs::real_path(path, real))
    return real.str().str();
  return path.str();
}

/// Whether the file is a device or a pipe, which is written in place.
static bool isSpecial(llvm::StringRef path) {
  llvm::sys::fs::file_status status;
  return !llvm::sys::fs::status(path, status) && llvm::sys::fs::exists(status) &&
         !llvm::sys::fs::is_regular_file(status);
}

llvm::Error ssmc::checkWritable(llvm::StringRef path) {
  if (llvm::sys::fs::is_directory(path))
    return failure(path + ": is a directory; wanted a file");
  if (isSpecial(path))
    return llvm::Error::success();
  std::string resolved = resolve(path);
  llvm::StringRef directory = llvm::sys::path::parent_path(resolved);
  if (directory.empty())
    directory = ".";
  if (!llvm::sys::fs::exists(directory))
    return failure(path + ": there is no directory " + directory);
  if (!llvm::sys::fs::is_directory(directory))
    return failure(path + ": " + directory + " is not a directory");
  if (llvm::sys::fs::access(directory, llvm::sys::fs::AccessMode::Write))
    return failure(path + ": the directory " + directory + " cannot be written to");
  return llvm::Error::success();
}

llvm::Error ssmc::checkOutputFiles(const ssmrt_module *module,
                                   llvm::ArrayRef<FileBinding> bindings) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < module->num_outputs; ++i)
    names.push_back(module->outputs[i].name);
  for (const FileBinding &binding : bindings) {
    if (!llvm::is_contained(names, binding.name))
      return failure("layer '" + llvm::Twine(module->layer) + "' has no output '" +
                     binding.name + "'" + didYouMean(binding.name, names) +
                     "; it has " + llvm::join(names, ", "));
    llvm::StringRef extension = llvm::sys::path::extension(binding.file);
    if (extension != ".npy" && extension != ".safetensors" && !isSpecial(binding.file))
      return failure(binding.file + ": has the extension '" + extension +
                     "'; wanted .npy or .safetensors");
    if (llvm::Error error = checkWritable(binding.file))
      return error;
    for (const FileBinding &other : bindings)
      if (&other < &binding && other.file == binding.file &&
          (extension != ".safetensors" || other.name == binding.name))
        return failure(binding.file + ": is given for two outputs, '" + other.name +
                       "' and '" + binding.name + "'");
  }
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

OutputFiles::~OutputFiles() {
  for (const Pending &file : pending)
    if (!file.temporary.empty()) {
      llvm::sys::fs::remove(file.temporary);
      llvm::sys::DontRemoveFileOnSignal(file.temporary);
    }
}

llvm::Expected<std::string> OutputFiles::makeTemporary(llvm::StringRef path) {
  if (llvm::Error error = checkWritable(path))
    return std::move(error);
  std::string resolved = isSpecial(path) ? "" : resolve(path);
  llvm::SmallString<128> temporary;
  std::error_code error;
  int descriptor;
  if (resolved.empty())
    error = llvm::sys::fs::createTemporaryFile("ssmc", "", descriptor, temporary);
  else
    error = llvm::sys::fs::createUniqueFile(resolved + ".%%%%%%%%", descriptor,
                                            temporary, llvm::sys::fs::OF_None, 0666);
  if (error)
    return failure(path + ": " + error.message());
  ::close(descriptor);
  llvm::sys::RemoveFileOnSignal(temporary);
  pending.push_back({temporary.str().str(), resolved.empty() ? path.str() : resolved});
  return temporary.str().str();
}

llvm::Error OutputFiles::add(llvm::StringRef path, llvm::StringRef bytes,
                             bool executable) {
  auto temporary = makeTemporary(path);
  if (!temporary)
    return temporary.takeError();
  std::error_code error;
  llvm::raw_fd_ostream os(*temporary, error);
  if (!error) {
    os << bytes;
    os.close();
    error = os.error();
    os.clear_error();
  }
  if (!error && executable)
    if (auto permissions = llvm::sys::fs::getPermissions(*temporary))
      error = llvm::sys::fs::setPermissions(*temporary,
                                            *permissions | llvm::sys::fs::all_exe);
  if (error)
    return failure(path + ": " + error.message());
  return llvm::Error::success();
}

llvm::Error OutputFiles::add(llvm::StringRef path, llvm::StringRef name,
                             const Tensor &tensor) {
  if (llvm::sys::path::extension(path) == ".safetensors") {
    // Several tensors may go into one file: written when all are known.
    for (auto &[file, tensors] : safetensors)
      if (file == path) {
        tensors.push_back({name.str(), &tensor});
        return llvm::Error::success();
      }
    safetensors.push_back({path.str(), {{name.str(), &tensor}}});
    return llvm::Error::success();
  }
  auto temporary = makeTemporary(path);
  if (!temporary)
    return temporary.takeError();
  ssmrt_tensor view = tensor.view();
  Tensor wide; // files of .npy have no bf16
  if (tensor.getDType().code == SSMRT_BFLOAT) {
    auto converted = convertTo(tensor, {SSMRT_FLOAT, 32, 1});
    if (!converted)
      return converted.takeError();
    wide = std::move(*converted);
    view = wide.view();
  }
  if (ssmrt_npy_write(temporary->c_str(), &view) != SSMRT_OK)
    return runtimeFailure(path + ": ");
  return llvm::Error::success();
}

static std::string safetensorsType(ssmrt_dtype dtype) {
  std::string name = ssmrt_dtype_name(dtype);
  return name == "bool" ? "BOOL" : llvm::StringRef(name).upper();
}

llvm::Error OutputFiles::commit() {
  for (auto &[path, tensors] : safetensors) {
    llvm::json::Object header;
    int64_t offset = 0;
    for (const auto &[name, tensor] : tensors) {
      header[name] = llvm::json::Object{
          {"dtype", safetensorsType(tensor->getDType())},
          {"shape", llvm::json::Array(tensor->getShape())},
          {"data_offsets", llvm::json::Array{offset, offset + tensor->bytes()}}};
      offset += tensor->bytes();
    }
    std::string text;
    llvm::raw_string_ostream(text) << llvm::json::Value(std::move(header));
    text.resize(llvm::alignTo(text.size(), 8), ' ');
    uint8_t size[8];
    llvm::support::endian::write64le(size, text.size());
    text.insert(text.begin(), size, size + 8);
    for (const auto &[name, tensor] : tensors)
      text.append(tensor->data(), size_t(tensor->bytes()));
    if (llvm::Error error = add(path, text))
      return error;
  }
  // Devices and pipes first: writing to one can still fail, and then no file
  // may have appeared.
  std::stable_partition(pending.begin(), pending.end(),
                        [](const Pending &file) { return isSpecial(file.path); });
  for (Pending &file : pending) {
    if (isSpecial(file.path)) {
      auto bytes = llvm::MemoryBuffer::getFile(file.temporary, false, false);
      std::error_code error = bytes.getError();
      if (!error) {
        llvm::raw_fd_ostream os(file.path, error, llvm::sys::fs::CD_OpenExisting);
        if (!error) {
          os << (*bytes)->getBuffer();
          os.close();
          error = os.error();
          os.clear_error();
        }
      }
      if (error)
        return failure(file.path + ": " + error.message());
      continue; // the destructor removes the temporary
    }
    if (std::error_code error = llvm::sys::fs::rename(file.temporary, file.path))
      return failure(file.path + ": " + error.message());
    llvm::sys::DontRemoveFileOnSignal(file.temporary);
    file.temporary.clear();
  }
  return llvm::Error::success();
}
