//===- Assembler.cpp - PTX to machine code of a GPU -----------------------===//
//
// The instruction set is NVIDIA's secret: its own program makes it, if it is there.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Assembler.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/raw_ostream.h"
#include <cstdlib>

using namespace ssmc;

std::optional<nvptx::Arch> nvptx::parseArch(llvm::StringRef name) {
  Arch arch;
  if (!name.consume_front("sm_"))
    return std::nullopt;
  if (name.ends_with("a") || name.ends_with("f")) {
    arch.variant = name.back();
    name = name.drop_back();
  }
  if (name.size() < 2 || name.size() > 3 || name.getAsInteger(10, arch.number))
    return std::nullopt;
  return arch;
}

std::string nvptx::findAssembler() {
  if (auto path = llvm::sys::findProgramByName("ptxas"))
    return *path;
  for (const char *variable : {"CUDA_HOME", "CUDA_PATH"}) {
    const char *root = std::getenv(variable);
    if (!root || !*root)
      continue;
    llvm::SmallString<128> path(root);
    llvm::sys::path::append(path, "bin", "ptxas");
    if (llvm::sys::fs::can_execute(path))
      return path.str().str();
  }
  return "";
}

namespace {
/// A file that goes with its scope.
class TemporaryFile {
public:
  ~TemporaryFile() {
    if (path.empty())
      return;
    llvm::sys::fs::remove(path);
    llvm::sys::DontRemoveFileOnSignal(path);
  }
  std::error_code create(llvm::StringRef suffix, llvm::StringRef text = "") {
    int descriptor;
    if (std::error_code error =
            llvm::sys::fs::createTemporaryFile("ssmc", suffix, descriptor, path))
      return error;
    llvm::sys::RemoveFileOnSignal(path);
    llvm::raw_fd_ostream os(descriptor, /*shouldClose=*/true);
    os << text;
    os.close();
    std::error_code error = os.error();
    os.clear_error();
    return error;
  }
  llvm::SmallString<128> path;
};
} // namespace

static llvm::Error fail(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

/// What a program printed, in one line.
static std::string outputOf(llvm::StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  std::string text = buffer ? (*buffer)->getBuffer().trim().take_front(1000).str() : "";
  for (char &c : text)
    if (c == '\n')
      c = ' ';
  return text;
}

llvm::Expected<std::string> nvptx::assemble(llvm::StringRef ptx, llvm::StringRef arch,
                                            llvm::StringRef assembler) {
  TemporaryFile input, output, messages;
  std::error_code error = input.create("ptx", ptx);
  if (!error)
    error = output.create("cubin");
  if (!error)
    error = messages.create("txt");
  if (error)
    return fail("a temporary file: " + error.message());
  std::string option = ("-arch=" + arch).str();
  llvm::StringRef arguments[] = {assembler, option, "-O3", "-o", output.path, input.path};
  std::optional<llvm::StringRef> redirects[] = {std::nullopt, messages.path.str(),
                                                messages.path.str()};
  std::string reason;
  int status = llvm::sys::ExecuteAndWait(assembler, arguments, std::nullopt, redirects, 0,
                                         0, &reason);
  if (status != 0)
    return fail(assembler + " failed for " + arch + " with status " +
                llvm::Twine(status) + ": " +
                (reason.empty() ? outputOf(messages.path) : reason));
  auto bytes = llvm::MemoryBuffer::getFile(output.path, /*IsText=*/false,
                                           /*RequiresNullTerminator=*/false);
  if (!bytes)
    return fail(output.path + ": " + bytes.getError().message());
  return (*bytes)->getBuffer().str();
}
