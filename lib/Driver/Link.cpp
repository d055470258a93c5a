//===- Link.cpp - Archives and shared objects -----------------------------===//

#include "Link.h"
#include "Error.h"

#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

using namespace ssmc;

llvm::Expected<std::string> ssmc::makeArchive(llvm::StringRef object,
                                              llvm::StringRef name) {
  std::string member = (name + ".o").str();
  llvm::NewArchiveMember members[] = {
      llvm::NewArchiveMember(llvm::MemoryBufferRef(object, member))};
  auto archive = llvm::writeArchiveToBuffer(
      members, llvm::SymtabWritingMode::NormalSymtab, llvm::object::Archive::K_GNU,
      /*Deterministic=*/true, /*Thin=*/false);
  if (!archive)
    return archive.takeError();
  return (*archive)->getBuffer().str();
}

//===----------------------------------------------------------------------===//
// Shared objects
//===----------------------------------------------------------------------===//

std::string ssmc::findRuntimeArchive() {
  std::string program = llvm::sys::fs::getMainExecutable(
      nullptr, reinterpret_cast<void *>(&findRuntimeArchive));
  llvm::SmallString<128> prefix(
      llvm::sys::path::parent_path(llvm::sys::path::parent_path(program)));
  // Distributions put libraries one level deeper.
  for (llvm::StringRef directory : {"lib", "lib64", "lib/x86_64-linux-gnu",
                                    "lib/aarch64-linux-gnu"}) {
    llvm::SmallString<128> path(prefix);
    llvm::sys::path::append(path, directory, "libssmrt.a");
    if (llvm::sys::fs::exists(path))
      return path.str().str();
  }
  return "";
}

std::string ssmc::findLinker() {
  for (const char *name : {"ld.lld-22", "ld.lld", "cc", "gcc", "clang-22", "clang"})
    if (auto path = llvm::sys::findProgramByName(name))
      return *path;
  return "";
}

/// A file that goes with its scope.
namespace {
class TemporaryFile {
public:
  llvm::Error create(llvm::StringRef suffix, llvm::StringRef bytes = "") {
    int descriptor;
    if (std::error_code error =
            llvm::sys::fs::createTemporaryFile("ssmc", suffix, descriptor, path))
      return failure("a temporary file: " + error.message());
    llvm::sys::RemoveFileOnSignal(path);
    llvm::raw_fd_ostream os(descriptor, /*shouldClose=*/true);
    os << bytes;
    os.close();
    std::error_code error = os.error();
    os.clear_error();
    if (error)
      return failure(path + ": " + error.message());
    return llvm::Error::success();
  }
  ~TemporaryFile() {
    if (path.empty())
      return;
    llvm::sys::fs::remove(path);
    llvm::sys::DontRemoveFileOnSignal(path);
  }
  llvm::SmallString<128> path;
};
} // namespace

/// ld.lld knows no directories; the libraries that every machine runs with are
/// named by their run-time names, which exist without any development package.
static void addSystemLibraries(std::vector<std::string> &arguments) {
  std::string multiarch =
      llvm::Triple(llvm::sys::getDefaultTargetTriple()).getArchName().str() +
      "-linux-gnu";
  for (const std::string &directory :
       {"/lib/" + multiarch, "/usr/lib/" + multiarch, std::string("/lib64"),
        std::string("/usr/lib64"), std::string("/lib"), std::string("/usr/lib")})
    if (llvm::sys::fs::is_directory(directory))
      arguments.push_back("-L" + directory);
  arguments.insert(arguments.end(), {"-l:libm.so.6", "-l:libc.so.6"});
  // Thread-local variables are the dynamic linker's.
  for (const char *loader :
       {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"})
    if (llvm::sys::fs::exists(loader))
      arguments.push_back(loader);
}

llvm::Expected<std::string> ssmc::linkShared(llvm::StringRef object,
                                             llvm::StringRef triple) {
  llvm::Triple host(llvm::sys::getDefaultTargetTriple());
  if (!triple.empty() && llvm::Triple(triple).getArch() != host.getArch())
    return failure("a shared object for " + triple +
                   " needs that machine's libssmrt.a; compile to .o and link there");
  std::string linker = findLinker(), runtime = findRuntimeArchive();
  if (linker.empty())
    return failure("no linker found: wanted ld.lld-22, ld.lld or cc on the PATH "
                   "(Debian: apt-get install lld-22)");
  if (runtime.empty())
    return failure("libssmrt.a not found in the lib directory beside the program's");
  TemporaryFile input, output, messages;
  if (llvm::Error error = input.create("o", object))
    return std::move(error);
  if (llvm::Error error = output.create("so"))
    return std::move(error);
  if (llvm::Error error = messages.create("txt"))
    return std::move(error);
  bool isLLD = llvm::sys::path::filename(linker).starts_with("ld.");
  llvm::StringRef flag = isLLD ? "" : "-Wl,";
  std::vector<std::string> arguments = {
      linker, "-shared", "-o", output.path.str().str(), input.path.str().str(),
      (flag + "--whole-archive").str(), runtime, (flag + "--no-whole-archive").str(),
      (flag + "-Bsymbolic").str(), (flag + "--build-id").str()};
#ifndef SSMC_SANITIZED // else the sanitizers' functions are the loading program's
  arguments.push_back((flag + "--no-undefined").str());
#endif
  if (isLLD)
    addSystemLibraries(arguments);
  else
    arguments.insert(arguments.end(), {"-lm", "-lpthread", "-ldl"});
  std::vector<llvm::StringRef> references(arguments.begin(), arguments.end());
  std::optional<llvm::StringRef> redirects[] = {std::nullopt, messages.path.str(),
                                                messages.path.str()};
  std::string reason;
  int status = llvm::sys::ExecuteAndWait(linker, references, std::nullopt, redirects,
                                         0, 0, &reason);
  if (status != 0) {
    auto text = readText(messages.path);
    if (!text)
      llvm::consumeError(text.takeError());
    return failure(linker + " failed with status " + llvm::Twine(status) + ": " +
                   (reason.empty() && text ? *text : reason));
  }
  auto bytes = llvm::MemoryBuffer::getFile(output.path, /*IsText=*/false,
                                           /*RequiresNullTerminator=*/false);
  if (!bytes)
    return failure(output.path + ": " + bytes.getError().message());
  return (*bytes)->getBuffer().str();
}
