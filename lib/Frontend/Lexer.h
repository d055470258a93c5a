//===- Lexer.h - From .ssm text to tokens ----------------------*- C++ -*-===//
//
// The whole buffer becomes one vector of tokens in which every bracket knows
// its partner. The parser can therefore look behind a closing bracket in
// constant time, which is how it tells `max(s) x` from `max(a, b)`, and can
// skip a broken statement as a unit.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_FRONTEND_LEXER_H
#define SSMC_FRONTEND_LEXER_H

#include "Diagnostics.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <optional>
#include <vector>

namespace ssmc {

struct Token {
  enum Kind : uint8_t {
#define TOKEN(name, description) name,
#include "TokenKinds.def"
  };
  static constexpr uint32_t none = ~uint32_t(0);

  const char *begin;
  uint32_t length;
  uint32_t parent = none;  // the innermost bracket that is open here
  uint32_t partner = none; // of a bracket: the other one, if there is one
  Kind kind;
  bool startsLine = false; // first token on its line
  bool hasComma = false;   // of an opening bracket: a ',' directly inside

  llvm::StringRef text() const { return {begin, length}; }
  const char *end() const { return begin + length; }
  llvm::SMRange range() const {
    return {llvm::SMLoc::getFromPointer(begin),
            llvm::SMLoc::getFromPointer(end())};
  }
};

/// How errors call a kind of token: `'('`, `a name`.
llvm::StringRef describe(Token::Kind kind);

/// A line `WORD name ...` with such a word is a declaration wherever it stands.
bool isDeclarationWord(llvm::StringRef text);

/// Brackets (and everything else that nests) may be this deep.
constexpr unsigned maxNesting = 200;

/// The tokens of a buffer, the last one EndOfFile. Errors of single tokens are
/// reported and leave an Error token behind; none when the buffer is no text or
/// nests too deeply, so that there is nothing to parse.
std::optional<std::vector<Token>> lex(Diagnostics &diagnostics,
                                      unsigned bufferId);

/// The value of a String token, quotes and escapes resolved.
std::string stringValue(const Token &token);

} // namespace ssmc

#endif // SSMC_FRONTEND_LEXER_H
