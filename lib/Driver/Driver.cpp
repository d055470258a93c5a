//===- Driver.cpp - Dispatches to the verbs -------------------------------===//

#include "ssmc/Driver/Driver.h"
#include "Error.h"
#include "Verbs.h"

#include "llvm/Support/raw_ostream.h"
#include <csignal>

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

int ssmc::driverMain(int argc, char **argv) {
  // A closed pipe is an error of a write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  auto options = parseOptions(llvm::ArrayRef<const char *>(argv + 1, size_t(argc - 1)));
  if (!options)
    return exitStatus(options.takeError());
  llvm::Error error = runVerb(*options);
  return exitStatus(llvm::joinErrors(std::move(error), flushOutput()));
}
