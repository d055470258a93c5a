//===- Error.cpp - Failures of the driver ---------------------------------===//

#include "Error.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/WithColor.h"
#include "llvm/Support/raw_ostream.h"
#include "ssmrt/ssmrt.h"

using namespace ssmc;

char UsageError::ID;
char ReportedError::ID;

llvm::Error ssmc::failure(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

llvm::Error ssmc::runtimeFailure(const llvm::Twine &context) {
  return failure(context + ssmrt_last_error());
}

llvm::Error ssmc::usageFailure(const llvm::Twine &message, llvm::StringRef verb) {
  return llvm::make_error<UsageError>(message.str(), verb.str());
}

llvm::Error ssmc::reportedFailure() { return llvm::make_error<ReportedError>(); }

void ssmc::warn(const llvm::Twine &message) {
  llvm::WithColor::warning(llvm::errs(), "ssmc") << message << '\n';
}

int ssmc::exitStatus(llvm::Error error) {
  int status = 0;
  llvm::handleAllErrors(
      std::move(error),
      [&](const UsageError &usage) {
        llvm::WithColor::error(llvm::errs(), "ssmc") << usage.message << '\n';
        llvm::errs() << "try: ssmc " << usage.verb << (usage.verb.empty() ? "" : " ")
                     << "--help\n";
        status = 2;
      },
      [&](const ReportedError &) { status = std::max(status, 1); },
      [&](const llvm::ErrorInfoBase &other) {
        llvm::WithColor::error(llvm::errs(), "ssmc") << other.message() << '\n';
        status = std::max(status, 1);
      });
  return status;
}

std::string ssmc::didYouMean(llvm::StringRef name, llvm::ArrayRef<std::string> known) {
  unsigned best = 1 + unsigned(name.size()) / 3;
  llvm::StringRef nearest;
  for (llvm::StringRef candidate : known) {
    unsigned distance = name.edit_distance_insensitive(candidate, true, best + 1);
    if (distance > best || (distance == best && !nearest.empty()))
      continue;
    best = distance;
    nearest = candidate;
  }
  return nearest.empty() ? "" : ("; did you mean '" + nearest + "'?").str();
}

std::string ssmc::printable(llvm::StringRef text) {
  std::string result;
  for (char c : text.take_front(200))
    result += llvm::isPrint(c) || (c & 0x80) ? c : '?';
  return result + (text.size() > 200 ? "..." : "");
}
