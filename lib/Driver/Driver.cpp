//===- Driver.cpp - Dispatches to the verbs -------------------------------===//

#include "ssmc/Driver/Driver.h"
#include "Error.h"
#include "Verbs.h"

#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/raw_ostream.h"
#include <csignal>
#include <new>
#include <unistd.h>

using namespace ssmc;

static llvm::Error runVerb(const Options &options) {
  switch (options.verb) {
  case Verb::None:
    return llvm::Error::success();
  case Verb::Compile:
    return runCompile(options);
  case Verb::Run:
    return runRun(options);
  case Verb::Generate:
    return runGenerate(options);
  case Verb::Verify:
    return runVerify(options);
  case Verb::Bench:
    return runBench(options);
  case Verb::Inspect:
    return runInspect(options);
  case Verb::Doctor:
    return runDoctor(options);
  }
  llvm_unreachable("all verbs are handled");
}

/// Standard output may be full, or its reader gone; the latter had what it wanted.
static llvm::Error flushOutput() {
  llvm::outs().flush();
  std::error_code error = llvm::outs().error();
  llvm::outs().clear_error();
  if (!error || error == std::errc::broken_pipe)
    return llvm::Error::success();
  return failure("standard output: " + error.message());
}

/// A request beyond the memory is an error as others are; what tells of it must not
/// allocate.
[[noreturn]] static void reportNoMemory() {
  static constexpr char text[] = "ssmc: error: out of memory\n";
  (void)!::write(STDERR_FILENO, text, sizeof(text) - 1);
  llvm::sys::RunInterruptHandlers(); // removes temporary files
  ::_exit(1);
}

int ssmc::driverMain(int argc, char **argv) {
  // A closed pipe is an error of a write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::set_new_handler(reportNoMemory);
  // On a terminal errors are in colour, unless the user's environment says no.
  if (const char *text = std::getenv("NO_COLOR"); text && *text)
    llvm::errs().enable_colors(false);
  llvm::install_bad_alloc_error_handler(
      [](void *, const char *, bool) { reportNoMemory(); });
  auto options = parseOptions(llvm::ArrayRef<const char *>(argv + 1, size_t(argc - 1)));
  if (!options)
    return exitStatus(options.takeError());
  llvm::Error error = runVerb(*options);
  return exitStatus(llvm::joinErrors(std::move(error), flushOutput()));
}
