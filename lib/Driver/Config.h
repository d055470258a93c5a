//===- Config.h - JSON as Hugging Face writes it ---------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_CONFIG_H
#define SSMC_LIB_DRIVER_CONFIG_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

namespace ssmc {

/// The object in the text of a config.json. Bare Infinity, -Infinity and NaN come out
/// as {"__float__": "Infinity"} and so on. `path` is for messages.
llvm::Expected<llvm::json::Object> parseConfig(llvm::StringRef path,
                                               llvm::StringRef text);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_CONFIG_H
