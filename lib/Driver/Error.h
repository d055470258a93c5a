//===- Error.h - Failures of the driver ------------------------*- C++ -*-===//
//
// A failure travels as llvm::Error to driverMain, which prints it and turns it
// into an exit status.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_DRIVER_ERROR_H
#define SSMC_LIB_DRIVER_ERROR_H

#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"

namespace ssmc {

/// The command line cannot be used: exit status 2.
class UsageError : public llvm::ErrorInfo<UsageError> {
public:
  static char ID;
  UsageError(std::string message, std::string verb)
      : message(std::move(message)), verb(std::move(verb)) {}
  void log(llvm::raw_ostream &os) const override { os << message; }
  std::error_code convertToErrorCode() const override {
    return llvm::inconvertibleErrorCode();
  }
  std::string message, verb; // verb: whose help to point to, or empty
};

/// The failure was already printed, as diagnostics of a source are.
class ReportedError : public llvm::ErrorInfo<ReportedError> {
public:
  static char ID;
  void log(llvm::raw_ostream &os) const override {}
  std::error_code convertToErrorCode() const override {
    return llvm::inconvertibleErrorCode();
  }
};

/// A mistake in the user's data or request: exit status 1.
llvm::Error failure(const llvm::Twine &message);
/// The message of the runtime's last failure on this thread, after `context`.
llvm::Error runtimeFailure(const llvm::Twine &context = "");
llvm::Error usageFailure(const llvm::Twine &message, llvm::StringRef verb = "");
llvm::Error reportedFailure();

/// "ssmc: warning: ..." on standard error.
void warn(const llvm::Twine &message);
/// Prints the error, if any, and returns the exit status.
int exitStatus(llvm::Error error);

/// "; did you mean 'x'?" for the name nearest to `name`, or "".
std::string didYouMean(llvm::StringRef name, llvm::ArrayRef<std::string> known);
/// The control characters of a name from a file replaced, for messages.
std::string printable(llvm::StringRef text);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_ERROR_H
