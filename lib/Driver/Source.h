//===- Source.h - What SOURCE names ----------------------------*- C++ -*-===//
//
// A .ssm file, an .mlir file, or a Hugging Face directory, which stands for a
// shipped model, the parameters in config.json and the weights beside it.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_DRIVER_SOURCE_H
#define SSMC_LIB_DRIVER_SOURCE_H

#include "Options.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"

namespace ssmc {

struct Source {
  enum Kind { Text, MLIR } kind = Text;
  std::string text, name; // `name` is for diagnostics
  bool isModel = false;   // a Hugging Face directory
  std::string layer;      // empty: the only or last one
  std::optional<llvm::json::Object> config;
  std::vector<std::string> weightFiles; // of --weights, or of the directory

  std::unique_ptr<llvm::MemoryBuffer> buffer() const {
    return llvm::MemoryBuffer::getMemBufferCopy(text, name);
  }
};

llvm::Expected<Source> readSource(const Options &options);

/// Reads a whole file; the error names the file and the reason.
llvm::Expected<std::string> readText(llvm::StringRef path);

/// Parses JSON as Hugging Face writes it, with bare Infinity and NaN.
llvm::Expected<llvm::json::Object> readConfig(llvm::StringRef path);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_SOURCE_H
