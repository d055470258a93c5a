//===- Progress.cpp - A line for what takes long --------------------------===//

#include "Progress.h"

#include "llvm/Support/Process.h"
#include <chrono>
#include <cstdio>
#include <unistd.h>

using namespace ssmc;

Progress::Progress(std::string what) : what(std::move(what)) {
  if (llvm::sys::Process::StandardErrIsDisplayed())
    thread = std::thread([this] { run(); });
}

Progress::~Progress() {
  if (!thread.joinable())
    return;
  {
    std::lock_guard<std::mutex> lock(mutex);
    finished = true;
  }
  changed.notify_one();
  thread.join();
}

void Progress::run() {
  std::unique_lock<std::mutex> lock(mutex);
  auto isFinished = [&] { return finished; };
  if (changed.wait_for(lock, std::chrono::seconds(2), isFinished))
    return;
  // Past the streams: a diagnostic of another thread is never cut in two.
  auto write = [](const std::string &text) {
    (void)!::write(STDERR_FILENO, text.data(), text.size());
  };
  for (int seconds = 2;; ++seconds) {
    write("\r\x1b[K" + what + ", " + std::to_string(seconds) + " s");
    if (changed.wait_for(lock, std::chrono::seconds(1), isFinished))
      break;
  }
  write("\r\x1b[K");
}
