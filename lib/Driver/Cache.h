//===- Cache.h - Compiled layers on disk -----------------------*- C++ -*-===//
//
// Objects under $SSMC_CACHE_DIR, $XDG_CACHE_HOME/ssmc or ~/.cache/ssmc, each in a
// file named by the hash of everything it was made from, and in another by that of
// the program which the source became. The cache is never the reason for a failure:
// what cannot be read or written is compiled again.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_DRIVER_CACHE_H
#define SSMC_LIB_DRIVER_CACHE_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/MemoryBuffer.h"
#include <memory>
#include <string>

namespace ssmc {

/// A hash over fields, each with its length, so that no two lists of fields are
/// one text. Begins with the identity of this build of the compiler.
class CacheKey {
public:
  CacheKey();
  CacheKey &add(llvm::StringRef field);
  std::string hex();
  uint64_t hash();

private:
  void finish();
  llvm::BLAKE3 hasher;
  std::array<uint8_t, 16> digest{};
  bool finished = false;
};

/// The object, or null.
std::unique_ptr<llvm::MemoryBuffer> readCache(llvm::StringRef key);
void writeCache(llvm::StringRef key, llvm::StringRef object);
/// Where the cache is, or "" if there is no place for it.
std::string cacheDirectory();

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_CACHE_H
