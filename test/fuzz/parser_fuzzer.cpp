//===- parser_fuzzer.cpp - libFuzzer target for the parser ----------------===//
//
// Any bytes: the parser must come back, with a tree or with at least one error,
// and a tree must print.
//
//===----------------------------------------------------------------------===//

#include "Frontend/Parser.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::SourceMgr sources;
  llvm::StringRef text(reinterpret_cast<const char *>(data), size);
  unsigned id = sources.AddNewSourceBuffer(
      llvm::MemoryBuffer::getMemBufferCopy(text, "fuzz.ssm"), llvm::SMLoc());
  ssmc::Diagnostics diagnostics(sources, llvm::nulls());
  auto module = ssmc::parse(diagnostics, id, "fuzz");
  if ((module == nullptr) != diagnostics.hasErrors())
    abort();
  if (module)
    ssmc::ast::print(*module, llvm::nulls());
  return 0;
}
