//===- Parser.h - From .ssm text to a syntax tree --------------*- C++ -*-===//

#ifndef SSMC_FRONTEND_PARSER_H
#define SSMC_FRONTEND_PARSER_H

#include "AST.h"
#include "Diagnostics.h"

namespace ssmc {

/// Parses the buffer `bufferId` of the diagnostics' source manager. Reports
/// every syntax error it finds (recovering at statement and declaration
/// boundaries) and then returns null; never crashes on any input.
std::unique_ptr<ast::Module> parse(Diagnostics &diagnostics, unsigned bufferId,
                                   llvm::StringRef moduleName);

} // namespace ssmc

#endif // SSMC_FRONTEND_PARSER_H
