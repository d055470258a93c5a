//===- Diagnostics.cpp - Errors of the front end --------------------------===//

#include "Diagnostics.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace ssmc {

/// Lines longer than this are shown in part: a file without line breaks would
/// otherwise be printed whole with each of its errors.
constexpr size_t maxShownLine = 240;

/// More errors than this in one run are not read.
constexpr unsigned maxErrors = 20;

void Diagnostics::print(SMRange where, SourceMgr::DiagKind kind,
                        const Twine &message) {
  unsigned id =
      where.isValid() ? sources.FindBufferContainingLoc(where.Start) : 0;
  if (!id) {
    sources.PrintMessage(os, SMLoc(), kind, message);
    return;
  }
  if (sources.getDiagHandler()) {
    sources.PrintMessage(os, where.Start, kind, message, where);
    return;
  }
  StringRef buffer = sources.getMemoryBuffer(id)->getBuffer();
  const char *at = where.Start.getPointer();
  const char *begin = at, *end = at;
  while (begin != buffer.begin() && begin[-1] != '\n' &&
         size_t(at - begin) <= maxShownLine)
    --begin;
  while (end != buffer.end() && *end != '\n' &&
         size_t(end - at) <= maxShownLine)
    ++end;
  if (size_t(end - begin) <= maxShownLine) {
    SMRange shown = where;
    // PrintMessage expects ranges within the line it shows.
    if (shown.End.getPointer() > end)
      shown.End = SMLoc::getFromPointer(end);
    if (shown.Start == shown.End)
      sources.PrintMessage(os, where.Start, kind, message);
    else
      sources.PrintMessage(os, where.Start, kind, message, shown);
    return;
  }
  // PrintMessage can only show whole lines.
  static constexpr const char *kinds[] = {"error", "warning", "remark", "note"};
  auto [line, column] = sources.getLineAndColumn(where.Start, id);
  os << sources.getMemoryBuffer(id)->getBufferIdentifier() << ":" << line << ":"
     << column << ": " << kinds[kind] << ": " << message << "\n";
  begin = std::max(begin, at - 40);
  end = std::min(end, begin + 80);
  os << "..." << StringRef(begin, end - begin) << "...\n";
  os.indent(3 + (at - begin)) << "^\n";
}

bool Diagnostics::error(SMRange where, const Twine &message) {
  ++errors;
  lastDropped = consequence || shown == maxErrors ||
                !places.insert(where.Start.getPointer()).second;
  if (lastDropped)
    return false;
  print(where, SourceMgr::DK_Error, message);
  if (++shown == maxErrors)
    os << "these are " << maxErrors << " errors; others are not shown\n";
  return false;
}

void Diagnostics::note(SMRange where, const Twine &message) {
  if (!lastDropped)
    print(where, SourceMgr::DK_Note, message);
}

void Diagnostics::warning(SMRange where, const Twine &message) {
  lastDropped = false;
  print(where, SourceMgr::DK_Warning, message);
}

} // namespace ssmc
