//===- SyntaxTesting.h - What the tests of the parser share ----*- C++ -*-===//

#ifndef SSMC_TEST_UNIT_FRONTEND_SYNTAXTESTING_H
#define SSMC_TEST_UNIT_FRONTEND_SYNTAXTESTING_H

#include "Frontend/Lexer.h"
#include "Frontend/Parser.h"
#include <string>
#include <vector>

namespace ssmc::testing {

/// One parsed text with what was printed about it.
struct Parsed {
  explicit Parsed(llvm::StringRef text);

  llvm::SourceMgr sources;
  std::string output; // errors and notes
  unsigned errors = 0;
  std::unique_ptr<ast::Module> module;
};

/// Expressions in prefix form: `(+ (sum[n] (* C s)) D)`.
std::string show(const ast::Expr *expr);
std::string show(const ast::AxisPattern &axis);
std::string show(const ast::Pattern &pattern);

/// The value of `y = TEXT` in the body of a function, in prefix form, or the
/// first error.
std::string showValue(llvm::StringRef text);
/// The statements of a function with this body.
std::vector<std::string> showBody(llvm::StringRef text);
/// The members of a layer with this body.
std::vector<std::string> showMembers(llvm::StringRef text);
std::string show(const ast::Stmt &stmt);

/// All texts of test/Frontend/Parser/Inputs.
std::vector<std::pair<std::string, std::string>> readInputs();

} // namespace ssmc::testing

#endif // SSMC_TEST_UNIT_FRONTEND_SYNTAXTESTING_H
