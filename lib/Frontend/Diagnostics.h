//===- Diagnostics.h - Errors of the front end -----------------*- C++ -*-===//
//
// Errors with a caret range and notes at other places, in the form
// `FILE:LINE:COL: error: ...`. All errors of a run are collected; a second error
// at the same place is dropped, and so is what follows from another mistake, so
// that one mistake does not cascade.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_FRONTEND_DIAGNOSTICS_H
#define SSMC_FRONTEND_DIAGNOSTICS_H

#include "llvm/ADT/Twine.h"
#include "llvm/Support/SourceMgr.h"
#include <set>

namespace ssmc {

class Diagnostics {
public:
  Diagnostics(llvm::SourceMgr &sources, llvm::raw_ostream &os)
      : sources(sources), os(os) {}

  llvm::SourceMgr &getSources() { return sources; }

  /// Reports an error; returns false, so that `return error(...)` reads well.
  bool error(llvm::SMRange where, const llvm::Twine &message);
  /// A note that belongs to the last error or warning; silent if that was dropped.
  void note(llvm::SMRange where, const llvm::Twine &message);
  void warning(llvm::SMRange where, const llvm::Twine &message);

  /// While set, errors are counted and not shown: they follow from one that was.
  bool consequence = false;

  /// All errors; those that a reader sees.
  unsigned getNumErrors() const { return errors; }
  unsigned getNumShown() const { return shown; }
  bool hasErrors() const { return errors != 0; }

private:
  void print(llvm::SMRange where, llvm::SourceMgr::DiagKind kind,
             const llvm::Twine &message);

  llvm::SourceMgr &sources;
  llvm::raw_ostream &os;
  std::set<const char *> places;
  unsigned errors = 0, shown = 0;
  bool lastDropped = false;
};

} // namespace ssmc

#endif // SSMC_FRONTEND_DIAGNOSTICS_H
