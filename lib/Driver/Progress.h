//===- Progress.h - A line for what takes long -----------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_PROGRESS_H
#define SSMC_LIB_DRIVER_PROGRESS_H

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace ssmc {

/// While it lives, and after two seconds, a line on the terminal says what is going
/// on and for how long. Silent where standard error is not a terminal.
class Progress {
public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

private:
  void run();

  std::string what;
  std::mutex mutex;
  std::condition_variable changed;
  bool finished = false;
  std::thread thread;
};

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_PROGRESS_H
