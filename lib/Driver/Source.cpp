//===- Source.cpp - What SOURCE names -------------------------------------===//

#include "Source.h"
#include "Config.h"
#include "Error.h"

#include "ssmc/Frontend/Frontend.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace ssmc;

llvm::Expected<std::string> ssmc::readText(llvm::StringRef path) {
  // A directory opens as a file does; only reading from it fails, with a message
  // that helps nobody.
  if (llvm::sys::fs::is_directory(path))
    return failure(path + ": is a directory; wanted a file");
  llvm::Expected<llvm::sys::fs::file_t> file = llvm::sys::fs::openNativeFileForRead(path);
  if (!file)
    return failure(path + ": " + llvm::toString(file.takeError()));
  llvm::scope_exit close([&] { llvm::sys::fs::closeFile(*file); });
  // A pipe or a device has no size, and may have no end.
  constexpr size_t most = 256 << 20;
  llvm::SmallVector<char, 0> text;
  for (;;) {
    size_t old = text.size();
    text.resize_for_overwrite(old + (1 << 16));
    auto read = llvm::sys::fs::readNativeFile(
        *file, llvm::MutableArrayRef<char>(text).drop_front(old));
    if (!read)
      return failure(path + ": " + llvm::toString(read.takeError()));
    text.truncate(old + *read);
    if (*read == 0)
      return std::string(text.begin(), text.end());
    if (text.size() > most)
      return failure(path + ": has more than " + llvm::Twine(most >> 20) +
                     " MiB; wanted a text");
  }
}

llvm::Expected<llvm::json::Object> ssmc::readConfig(llvm::StringRef path) {
  auto text = readText(path);
  if (!text)
    return text.takeError();
  return parseConfig(path, *text);
}

//===----------------------------------------------------------------------===//
// Directories of models
//===----------------------------------------------------------------------===//

static std::string inDirectory(llvm::StringRef directory, llvm::StringRef file) {
  llvm::SmallString<128> path(directory);
  llvm::sys::path::append(path, file);
  return path.str().str();
}

static std::string knownModelTypes() {
  std::string names;
  for (llvm::StringRef module : shippedModules())
    if (auto model = findModelFor(module))
      names += (names.empty() ? "" : ", ") + module.str();
  return names;
}

static llvm::Error readModel(const Options &options, Source &source) {
  std::string path = inDirectory(options.source, "config.json");
  if (!llvm::sys::fs::exists(path))
    return failure(options.source + ": a directory without config.json; wanted a "
                                    "Hugging Face model, a .ssm file or an .mlir file");
  auto config = readConfig(path);
  if (!config)
    return config.takeError();
  auto type = config->getString("model_type");
  if (!type)
    return failure(path + ": no string 'model_type'; wanted one of " +
                   knownModelTypes());
  auto model = findModelFor(*type);
  if (!model)
    return failure(path + ": model_type '" + printable(*type) +
                   "' is not known; wanted one of " + knownModelTypes());
  source.isModel = true;
  source.text = findShippedModule(model->first)->str();
  source.name = model->first + ".ssm";
  source.layer = options.layer.empty() ? model->second : options.layer;
  source.config = std::move(*config);
  if (!source.weightFiles.empty() || options.init)
    return llvm::Error::success();
  for (llvm::StringRef file : {"model.safetensors.index.json", "model.safetensors"}) {
    std::string candidate = inDirectory(options.source, file);
    if (llvm::sys::fs::exists(candidate)) {
      source.weightFiles.push_back(candidate);
      return llvm::Error::success();
    }
  }
  // What only describes the layer can do without the tensors.
  if (options.verb == Verb::Run || options.verb == Verb::Generate)
    return failure(options.source + ": neither model.safetensors nor "
                                    "model.safetensors.index.json beside config.json");
  return llvm::Error::success();
}

llvm::Expected<Source> ssmc::readSource(const Options &options) {
  Source source;
  source.weightFiles = options.weights;
  source.layer = options.layer;
  if (!options.configFile.empty()) {
    auto config = readConfig(options.configFile);
    if (!config)
      return config.takeError();
    source.config = std::move(*config);
  }
  if (llvm::sys::fs::is_directory(options.source)) {
    if (!options.configFile.empty())
      return failure("--config with a directory, which has its own config.json");
    if (llvm::Error error = readModel(options, source))
      return std::move(error);
    return std::move(source);
  }
  auto text = readText(options.source);
  if (!text)
    return text.takeError();
  source.text = std::move(*text);
  source.name = options.source;
  bool isMLIR = llvm::sys::path::extension(options.source) == ".mlir";
  source.kind = isMLIR ? Source::MLIR : Source::Text;
  return std::move(source);
}
