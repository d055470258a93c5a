//===- Lexer.cpp - From .ssm text to tokens -------------------------------===//
//
// One pass over the buffer, linear in its size. Brackets are paired on the way:
// braces are the strong structure (a `}` closes what was left open inside it),
// since an unclosed parenthesis should not swallow the rest of the file.
//
//===----------------------------------------------------------------------===//

#include "Lexer.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/ConvertUTF.h"
#include "llvm/Support/MemoryBuffer.h"
#include <cstring>

using namespace llvm;

namespace ssmc {

StringRef describe(Token::Kind kind) {
  static constexpr const char *descriptions[] = {
#define TOKEN(name, description) description,
#include "TokenKinds.def"
  };
  return descriptions[kind];
}

bool isDeclarationWord(StringRef text) {
  return text == "layer" || text == "model" || text == "names" ||
         text == "import";
}

std::string stringValue(const Token &token) {
  std::string value;
  StringRef text = token.text().drop_front().drop_back();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    value += text[i];
  }
  return value;
}

namespace {

bool startsName(char c) { return isAlpha(c) || c == '_'; }
bool continuesName(char c) { return isAlnum(c) || c == '_'; }

SMRange rangeOf(const char *begin, const char *end) {
  return {SMLoc::getFromPointer(begin), SMLoc::getFromPointer(end)};
}

class Lexer {
public:
  Lexer(Diagnostics &diagnostics, StringRef buffer)
      : diagnostics(diagnostics), cursor(buffer.begin()), end(buffer.end()) {}

  /// False when the buffer is no text or nests too deeply.
  bool run();
  std::vector<Token> tokens;

private:
  bool checkText();
  void lexToken();
  void lexName();
  void lexNumber();
  void lexString();
  bool lexPunctuation();
  void lexUnknown();
  bool isComment() const;
  bool beginsDeclaration(uint32_t index) const;
  void add(Token::Kind kind, const char *begin);
  bool pair();

  char peek(size_t ahead = 0) const {
    return size_t(end - cursor) > ahead ? cursor[ahead] : '\0';
  }

  Diagnostics &diagnostics;
  const char *cursor, *const end;
  const char *gap = nullptr; // where the blanks before `cursor` begin
  bool startsLine = true;
  std::vector<uint32_t> open; // brackets not closed yet
};

} // namespace

/// A file that is not UTF-8 text gets one error, not one per byte.
bool Lexer::checkText() {
  if (size_t(end - cursor) > UINT32_MAX / 2)
    return diagnostics.error(rangeOf(cursor, cursor), "the file is too large");
  auto *utf8 = reinterpret_cast<const UTF8 *>(cursor);
  if (!isLegalUTF8String(&utf8, reinterpret_cast<const UTF8 *>(end))) {
    auto *at = reinterpret_cast<const char *>(utf8);
    return diagnostics.error(rangeOf(at, at + 1),
                             "expected UTF-8 text, found the byte 0x" +
                                 utohexstr(uint8_t(*at)));
  }
  if (auto *nul = static_cast<const char *>(memchr(cursor, 0, end - cursor)))
    return diagnostics.error(rangeOf(nul, nul + 1),
                             "expected UTF-8 text, found a NUL byte");
  if (StringRef(cursor, end - cursor).starts_with("\xEF\xBB\xBF"))
    cursor += 3;
  return true;
}

bool Lexer::run() {
  if (!checkText())
    return false;
  // The first round of errors is enough; a file of noise has one in every line.
  constexpr unsigned maxErrors = 20;
  unsigned errorsBefore = diagnostics.getNumErrors();
  tokens.reserve((end - cursor) / 4 + 1);
  while (true) {
    gap = cursor;
    while (cursor != end &&
           (*cursor == ' ' || *cursor == '\t' || *cursor == '\r'))
      ++cursor;
    if (cursor == end)
      break;
    if (*cursor == '\n') {
      ++cursor;
      startsLine = true;
      continue;
    }
    if (peek() == '/' && peek(1) == '/' && isComment()) {
      while (cursor != end && *cursor != '\n')
        ++cursor;
      continue;
    }
    lexToken();
    if (!pair())
      return false;
    if (diagnostics.getNumErrors() - errorsBefore >= maxErrors)
      return false;
  }
  startsLine = true;
  add(Token::EndOfFile, end);
  return true;
}

/// `//` divides when it stands between operands with at most one blank before
/// it; otherwise a comment begins.
bool Lexer::isComment() const {
  if (startsLine || tokens.empty() || cursor - gap >= 2 || *gap == '\t')
    return true;
  switch (tokens.back().kind) {
  case Token::Identifier:
  case Token::Number:
  case Token::RParen:
  case Token::RBracket:
  case Token::RBrace:
    break;
  default:
    return true;
  }
  const char *next = cursor + 2;
  while (next != end && (*next == ' ' || *next == '\t'))
    ++next;
  return next == end || !(continuesName(*next) || *next == '(');
}

void Lexer::add(Token::Kind kind, const char *begin) {
  Token token;
  token.begin = begin;
  token.length = cursor - begin;
  token.kind = kind;
  token.startsLine = startsLine;
  token.parent = open.empty() ? Token::none : open.back();
  tokens.push_back(token);
  startsLine = false;
}

bool Lexer::beginsDeclaration(uint32_t index) const {
  const Token &word = tokens[index];
  return word.kind == Token::Identifier && word.startsLine &&
         isDeclarationWord(word.text());
}

/// Enters the bracket or comma just added into the stack of open brackets.
bool Lexer::pair() {
  Token &token = tokens.back();
  uint32_t index = tokens.size() - 1;
  switch (token.kind) {
  case Token::Identifier:
    // A declaration begins at the top level: what is still open was forgotten.
    if (!open.empty() && index && !token.startsLine &&
        beginsDeclaration(index - 1)) {
      open.clear();
      token.parent = tokens[index - 1].parent = Token::none;
    }
    return true;
  case Token::Comma:
    if (!open.empty())
      tokens[open.back()].hasComma = true;
    return true;
  case Token::LParen:
  case Token::LBracket:
  case Token::LBrace:
    if (open.size() == maxNesting) {
      diagnostics.error(token.range(), "brackets are nested deeper than " +
                                           Twine(maxNesting) + " levels");
      diagnostics.note(tokens[open.front()].range(),
                       "the outermost one is here");
      return false;
    }
    open.push_back(index);
    return true;
  case Token::RParen:
  case Token::RBracket:
  case Token::RBrace:
    break;
  default:
    return true;
  }
  Token::Kind wanted =
      Token::Kind(token.kind - 1); // opening stands before closing
  size_t depth = open.size();
  while (depth && tokens[open[depth - 1]].kind != wanted &&
         (token.kind == Token::RBrace ||
          tokens[open[depth - 1]].kind != Token::LBrace))
    --depth;
  if (!depth || tokens[open[depth - 1]].kind != wanted)
    return true; // a stray one; the parser says so where it meets it
  token.partner = open[depth - 1];
  tokens[token.partner].partner = index;
  token.parent = tokens[token.partner].parent;
  open.resize(depth - 1);
  return true;
}

void Lexer::lexToken() {
  if (startsName(*cursor))
    return lexName();
  if (isDigit(*cursor) || (*cursor == '.' && isDigit(peek(1))))
    return lexNumber();
  if (*cursor == '"')
    return lexString();
  if (!lexPunctuation())
    lexUnknown();
}

void Lexer::lexName() {
  const char *begin = cursor;
  while (true) {
    while (cursor != end && continuesName(*cursor))
      ++cursor;
    // `flax.Dense` is one name; `0 ..n` and `a..b` are not.
    if (peek() != '.' || !startsName(peek(1)))
      break;
    ++cursor;
  }
  StringRef text(begin, cursor - begin);
  add(StringSwitch<Token::Kind>(text)
#define KEYWORD(name, spelling) .Case(spelling, Token::name)
#include "TokenKinds.def"
          .Default(Token::Identifier),
      begin);
}

void Lexer::lexNumber() {
  const char *begin = cursor;
  auto skipDigits = [&] {
    while (cursor != end && isDigit(*cursor))
      ++cursor;
  };
  auto fail = [&](const Twine &message) {
    diagnostics.error(rangeOf(begin, cursor), message);
    add(Token::Error, begin);
  };
  skipDigits();
  if (peek() == '.' && isDigit(peek(1))) {
    ++cursor;
    skipDigits();
  } else if (peek() == '.' && peek(1) != '.') {
    ++cursor;
    return fail("expected a digit after the decimal point");
  }
  bool hasExponent = false;
  if (peek() == 'e' || peek() == 'E') {
    size_t sign = peek(1) == '+' || peek(1) == '-';
    if (isDigit(peek(1 + sign))) {
      cursor += 1 + sign;
      skipDigits();
      hasExponent = true;
    } else if (sign || !continuesName(peek(1))) {
      cursor += 1 + sign;
      return fail("expected a digit in the exponent");
    }
  }
  StringRef number(begin, cursor - begin);
  if (cursor != end && continuesName(*cursor)) {
    const char *rest = cursor;
    while (cursor != end && continuesName(*cursor))
      ++cursor;
    return fail("a name cannot begin with a digit; write '" +
                number.take_front(20) + " * " +
                StringRef(rest, cursor - rest).take_front(20) +
                "' for a product");
  }
  if (number.front() == '.')
    return fail("expected a digit before the decimal point");
  double value;
  if (number.getAsDouble(value) || value > 1e300)
    return fail("the number is too large");
  if (!hasExponent && !number.contains('.') && value > 9007199254740992.0)
    return fail("the integer is larger than 2^53");
  add(Token::Number, begin);
}

void Lexer::lexString() {
  const char *begin = cursor++;
  bool good = true;
  while (cursor != end && *cursor != '"' && *cursor != '\n') {
    if (*cursor == '\\') {
      if (peek(1) != '"' && peek(1) != '\\') {
        good =
            diagnostics.error(rangeOf(cursor, cursor + 1),
                              "expected '\"' or '\\' after '\\' in a string");
        ++cursor;
        continue;
      }
      ++cursor;
    }
    ++cursor;
  }
  if (cursor == end || *cursor == '\n') {
    const char *last = cursor;
    while (last[-1] == '\r' || last[-1] == ' ')
      --last;
    good = diagnostics.error(
        rangeOf(begin, last),
        "expected '\"' to end the string before the end of the line");
  } else {
    ++cursor;
  }
  add(good ? Token::String : Token::Error, begin);
}

bool Lexer::lexPunctuation() {
  const char *begin = cursor;
  StringRef rest(cursor, end - cursor);
  // Longest first, so that `==` is not two `=`.
  static constexpr std::pair<const char *, Token::Kind> spellings[] = {
#define PUNCTUATION(name, spelling) {spelling, Token::name},
#include "TokenKinds.def"
  };
  if (rest.starts_with("...")) {
    cursor += 3;
    diagnostics.error(
        rangeOf(begin, cursor),
        "'...' is not part of the language; '..' is a range or 'the rest'");
    add(Token::Error, begin);
    return true;
  }
  for (size_t length : {2, 1})
    for (auto [spelling, kind] : spellings)
      if (*spelling == *cursor && strlen(spelling) == length &&
          rest.starts_with(spelling)) {
        cursor += length;
        add(kind, begin);
        return true;
      }
  return false;
}

/// A run of characters that begin no token is one error.
void Lexer::lexUnknown() {
  const char *begin = cursor;
  StringRef hint;
  switch (*cursor) {
  case '\'':
    hint = "; strings stand in double quotes";
    break;
  case ';':
    hint = "; a statement ends with its line";
    break;
  case '#':
    hint = "; a comment begins with '//'";
    break;
  case '&':
    hint = "; the conjunction is 'and'";
    break;
  case '!':
    hint = "; the negation is 'not'";
    break;
  }
  auto isKnown = [](unsigned char c) {
    return c < 0x80 && (isSpace(c) || continuesName(c) ||
                        StringRef("\"()[]{},:|~=->.+*/%@^<").contains(c));
  };
  do
    cursor += std::min<size_t>(getNumBytesForUTF8(*cursor), end - cursor);
  while (cursor != end && !isKnown(*cursor));
  StringRef text(begin, cursor - begin);
  std::string shown;
  if (llvm::all_of(text,
                   [](unsigned char c) { return c >= 0x20 && c != 0x7f; }) &&
      text.size() <= 32)
    shown = ("'" + text + "'").str();
  else
    shown = ("characters beginning with 0x" + utohexstr(uint8_t(*begin)));
  diagnostics.error(rangeOf(begin, cursor), "unexpected " + shown + hint);
  add(Token::Error, begin);
}

std::optional<std::vector<Token>> lex(Diagnostics &diagnostics,
                                      unsigned bufferId) {
  Lexer lexer(diagnostics,
              diagnostics.getSources().getMemoryBuffer(bufferId)->getBuffer());
  if (!lexer.run())
    return std::nullopt;
  return std::move(lexer.tokens);
}

} // namespace ssmc
