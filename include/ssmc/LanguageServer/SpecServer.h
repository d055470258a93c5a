//===- SpecServer.h - Errors of .ssm text in an editor ---------*- C++ -*-===//
//
// The part of the language server protocol that shows errors while a spec is
// written. MLIR text has MLIR's own server.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LANGUAGESERVER_SPECSERVER_H
#define SSMC_LANGUAGESERVER_SPECSERVER_H

#include "llvm/Support/LSP/Transport.h"

namespace ssmc {

/// Serves until the client says `exit` or the input ends. True if the client had
/// asked for a shutdown before.
bool serveSpecs(llvm::lsp::JSONTransport &transport);

} // namespace ssmc

#endif // SSMC_LANGUAGESERVER_SPECSERVER_H
