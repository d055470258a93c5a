//===- Cache.cpp - Compiled layers on disk --------------------------------===//

#include "Cache.h"
#include "Help.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Support/xxhash.h"
#include <cstdlib>
#include <elf.h>
#include <link.h>

using namespace ssmc;

//===----------------------------------------------------------------------===//
// Identity of the compiler
//===----------------------------------------------------------------------===//

/// The build id that the linker put into a loaded object's notes, or "".
static std::string buildIdOf(const dl_phdr_info &object) {
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const auto &segment = object.dlpi_phdr[i];
    if (segment.p_type != PT_NOTE)
      continue;
    const char *next = reinterpret_cast<const char *>(object.dlpi_addr + segment.p_vaddr);
    const char *end = next + segment.p_memsz;
    while (next + sizeof(ElfW(Nhdr)) <= end) {
      const auto *note = reinterpret_cast<const ElfW(Nhdr) *>(next);
      const char *name = next + sizeof(*note);
      const char *data = name + llvm::alignTo(note->n_namesz, 4);
      if (note->n_type == NT_GNU_BUILD_ID && llvm::StringRef(name, 3) == "GNU")
        return std::string(data, note->n_descsz);
      next = data + llvm::alignTo(note->n_descsz, 4);
    }
  }
  return "";
}

/// The program and the LLVM and MLIR it runs with.
static std::string compilerIdentity() {
  std::string identity = versionText();
  dl_iterate_phdr(
      [](dl_phdr_info *object, size_t, void *result) {
        llvm::StringRef name = llvm::sys::path::filename(object->dlpi_name);
        if (name.empty() || name.starts_with("libMLIR") || name.starts_with("libLLVM"))
          *static_cast<std::string *>(result) += buildIdOf(*object) + "/";
        return 0;
      },
      &identity);
  // Without a build id the program's size and time stand in.
  std::string program = llvm::sys::fs::getMainExecutable(nullptr, nullptr);
  llvm::sys::fs::file_status status;
  if (!llvm::sys::fs::status(program, status))
    identity += llvm::utostr(status.getSize()) + "/" +
                llvm::itostr(status.getLastModificationTime().time_since_epoch().count());
  return identity;
}

CacheKey::CacheKey() { add(compilerIdentity()); }

CacheKey &CacheKey::add(llvm::StringRef field) {
  uint8_t size[8];
  llvm::support::endian::write64le(size, field.size());
  hasher.update(size);
  hasher.update(field);
  return *this;
}

void CacheKey::finish() {
  if (!finished)
    hasher.final(digest);
  finished = true;
}

std::string CacheKey::hex() {
  finish();
  return llvm::toHex(digest, /*LowerCase=*/true);
}

uint64_t CacheKey::hash() {
  finish();
  return llvm::support::endian::read64le(digest.data());
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

// A file is the object after a line that guards against torn and foreign files.
static std::string guardOf(llvm::StringRef object) {
  return "ssmc " + llvm::utohexstr(llvm::xxh3_64bits(object), true, 16) + " " +
         llvm::utostr(object.size()) + "\n";
}

std::string ssmc::cacheDirectory() {
  // Empty means none, as for XDG_CACHE_HOME.
  auto variable = [](const char *name) -> std::string {
    const char *value = std::getenv(name);
    return value ? value : "";
  };
  std::string own = variable("SSMC_CACHE_DIR");
  if (!own.empty())
    return own;
  llvm::SmallString<128> path(variable("XDG_CACHE_HOME"));
  if (path.empty() || !llvm::sys::path::is_absolute(path)) {
    path = variable("HOME");
    if (path.empty())
      return "";
    llvm::sys::path::append(path, ".cache");
  }
  llvm::sys::path::append(path, "ssmc");
  return path.str().str();
}

static std::string pathOf(llvm::StringRef key) {
  llvm::SmallString<128> path(cacheDirectory());
  if (path.empty())
    return "";
  llvm::sys::path::append(path, key + ".o");
  return path.str().str();
}

std::unique_ptr<llvm::MemoryBuffer> ssmc::readCache(llvm::StringRef key) {
  std::string path = pathOf(key);
  if (path.empty())
    return nullptr;
  auto file = llvm::MemoryBuffer::getFile(path, false, false);
  if (!file)
    return nullptr;
  auto [guard, rest] = (*file)->getBuffer().split('\n');
  if (guard.str() + "\n" != guardOf(rest))
    return nullptr;
  // Loading an object wants it aligned, which the rest of the file is not.
  return llvm::MemoryBuffer::getMemBufferCopy(rest, path);
}

void ssmc::writeCache(llvm::StringRef key, llvm::StringRef object) {
  std::string path = pathOf(key);
  if (path.empty() || llvm::sys::fs::create_directories(cacheDirectory()))
    return;
  int descriptor;
  llvm::SmallString<128> temporary;
  if (llvm::sys::fs::createUniqueFile(path + ".%%%%%%%%", descriptor, temporary))
    return;
  llvm::raw_fd_ostream os(descriptor, /*shouldClose=*/true);
  os << guardOf(object) << object;
  os.close();
  bool failed = os.has_error();
  os.clear_error();
  if (failed || llvm::sys::fs::rename(temporary, path))
    llvm::sys::fs::remove(temporary);
}
