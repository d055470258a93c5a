//===- config_fuzzer.cpp - config.json of random bytes --------------------===//
//
// The bytes are an object, which prints, or an error with a message.
//
//===----------------------------------------------------------------------===//

#include "Driver/Config.h"
#include "llvm/Support/FormatVariadic.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef text(reinterpret_cast<const char *>(data), size);
  auto config = ssmc::parseConfig("fuzz", text);
  if (!config) {
    if (llvm::toString(config.takeError()).empty())
      std::abort();
    return 0;
  }
  std::string printed = llvm::formatv("{0}", llvm::json::Value(std::move(*config))).str();
  if (printed.empty())
    std::abort();
  return 0;
}
