//===- Help.h - The tables of verbs and options, and their text -*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_HELP_H
#define SSMC_LIB_DRIVER_HELP_H

#include "Options.h"
#include "llvm/Support/raw_ostream.h"

namespace ssmc {

struct OptionSpec {
  enum class Arity { None, One, Optional };
  llvm::StringRef name;
  char letter; // of the short form, or 0
  llvm::StringRef meta;
  Arity arity;
  unsigned verbs; // bits
  llvm::StringRef help;
  /// Stores the value; returns what was wanted, or "".
  std::string (*apply)(Options &, llvm::StringRef);
};

struct VerbSpec {
  Verb verb;
  llvm::StringRef name, arguments, summary, details, example;
};

llvm::ArrayRef<OptionSpec> optionSpecs();
llvm::ArrayRef<VerbSpec> verbSpecs();
void printHelp(Verb verb, llvm::raw_ostream &os);
void printVersion();
/// "ssmc 0.1.0 (LLVM 22.1.8)".
std::string versionText();

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_HELP_H
