//===- Parser.cpp - Tokens, errors and recovery of the parser -------------===//
//
// What all parts of the parser share, and the top level of a file.
//
//===----------------------------------------------------------------------===//

#include "Parser.h"
#include "ParserImpl.h"

using namespace llvm;

namespace ssmc {

std::unique_ptr<ast::Module> parse(Diagnostics &diagnostics, unsigned bufferId,
                                   StringRef moduleName) {
  std::optional<std::vector<Token>> tokens = lex(diagnostics, bufferId);
  if (!tokens)
    return nullptr;
  auto module = std::make_unique<ast::Module>();
  module->name = moduleName.str();
  if (!Parser(diagnostics, std::move(*tokens)).parseModule(*module))
    return nullptr;
  return module;
}

//===----------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------===//

const Token *Parser::behindBracket(size_t ahead) const {
  uint32_t partner = token(ahead).partner;
  if (partner == Token::none || partner + 1 >= tokens.size())
    return nullptr;
  return &tokens[partner + 1];
}

bool Parser::asksForMore(Kind kind) {
  switch (kind) {
  case Token::Number:
  case Token::String:
  case Token::Identifier:
  case Token::RParen:
  case Token::RBracket:
  case Token::LBrace:
  case Token::RBrace:
  case Token::Error:
    return false;
  default:
    return true;
  }
}

SMRange Parser::rangeFrom(size_t begin) const {
  const char *start = tokens[begin].begin;
  const char *end = position > begin ? tokens[position - 1].end() : start;
  return {SMLoc::getFromPointer(start), SMLoc::getFromPointer(end)};
}

//===----------------------------------------------------------------------===//
// Errors
//===----------------------------------------------------------------------===//

bool Parser::error(SMRange where, const Twine &message) {
  constexpr unsigned maxErrors = 20;
  failed = true;
  if (gaveUp)
    return false;
  unsigned before = diagnostics.getNumErrors();
  diagnostics.error(where, message);
  errors += diagnostics.getNumErrors() - before;
  if (errors >= maxErrors) {
    note(where, "too many errors; the rest of the file was not read");
    giveUp();
  }
  return false;
}

void Parser::note(SMRange where, const Twine &message) {
  if (!gaveUp)
    diagnostics.note(where, message);
}

void Parser::giveUp() {
  gaveUp = true;
  position = tokens.size() - 1;
}

static std::string found(const Token &token) {
  StringRef text = token.text();
  std::string shown = text.take_front(40).str();
  if (text.size() > 40) {
    // Not in the middle of a character.
    while (!shown.empty() && (uint8_t(text[shown.size()]) & 0xC0) == 0x80)
      shown.pop_back();
    shown += "...";
  }
  switch (token.kind) {
  case Token::EndOfFile:
    return "the end of the file";
  case Token::String:
    return "the string " + shown;
  default:
    bool keyword = token.kind >= Token::KwAnd;
    return (keyword ? "the keyword '" : "'") + shown + "'";
  }
}

bool Parser::expected(const Twine &wanted) {
  const Token &next = token();
  if (position && isBehindNewline() && next.kind != Token::EndOfFile) {
    SMLoc end = SMLoc::getFromPointer(tokens[position - 1].end());
    return error({end, end}, "expected " + wanted + ", found the end of the line");
  }
  return error(next.range(), "expected " + wanted + ", found " + found(next));
}

/// A comment with a single blank before it is read as a floor division; the error
/// behind it should say so.
void Parser::explainFloorDivision() {
  for (size_t at = position; at > 0 && !tokens[at].startsLine; --at)
    if (tokens[at].kind == Token::SlashSlash) {
      note(tokens[at].range(),
           "'//' between operands is floor division; a comment behind code needs "
           "two blanks before it");
      return;
    }
}

bool Parser::expect(Kind kind, const Twine &where) {
  if (consume(kind))
    return true;
  return expected(describe(kind) + where);
}

bool Parser::expectName(ast::Ident &ident, const Twine &wanted) {
  if (!is(Token::Identifier) || atNewLine())
    return expected(wanted);
  if (token().text().contains('.'))
    return error(token().range(), "expected " + wanted + ", found '" +
                                      token().text() +
                                      "'; a name that is declared has no '.'");
  ident = {token().text().str(), token().range()};
  advance();
  return true;
}

bool Parser::expectString(std::string &value, const Twine &wanted) {
  if (!is(Token::String) || atNewLine())
    return expected(wanted);
  value = stringValue(token());
  advance();
  return true;
}

Parser::DepthGuard::DepthGuard(Parser &parser) : parser(parser) {
  // A bracket costs up to two levels, and brackets have their own limit.
  good = ++parser.depth <= 3 * maxNesting;
  if (!good) {
    parser.error(parser.token().range(), "this is nested too deeply");
    parser.giveUp();
  }
}

//===----------------------------------------------------------------------===//
// Recovery
//===----------------------------------------------------------------------===//

/// A line that begins with `layer Name` (and the like) is a declaration wherever
/// it stands: if it stands inside braces, one of them was not closed.
bool Parser::startsDeclaration(size_t at) const {
  const Token &word = tokens[at];
  if (word.kind != Token::Identifier || !word.startsLine || at + 1 >= tokens.size() ||
      tokens[at + 1].kind != Token::Identifier || tokens[at + 1].startsLine)
    return false;
  StringRef text = word.text();
  return text == "layer" || text == "model" || text == "names" || text == "import";
}

bool Parser::startsStatement(const Token &next) const {
  switch (next.kind) {
  case Token::Identifier:
  case Token::LParen:
  case Token::KwFn:
  case Token::KwKernel:
  case Token::KwLet:
  case Token::KwOver:
  case Token::KwPart:
  case Token::KwReturn:
  case Token::KwState:
  case Token::KwTable:
  case Token::KwWeight:
  case Token::KwWeights:
    return true;
  case Token::KwFor:
  case Token::KwIf:
    // In a layer, a line that begins with `if` continues a declaration.
    return !amongMembers;
  default:
    return false;
  }
}

void Parser::recover(size_t begin, uint32_t block) {
  if (gaveUp)
    return;
  size_t at = position;
  // Leave the brackets that the statement opened, where they are closed.
  uint32_t outer = Token::none;
  for (uint32_t open = tokens[at].parent; open != Token::none && open >= begin;
       open = tokens[open].parent)
    if (tokens[open].partner != Token::none)
      outer = open;
  if (outer != Token::none)
    at = tokens[outer].partner + 1;

  size_t last = tokens.size() - 1;
  while (at < last && !startsDeclaration(at)) {
    const Token &next = tokens[at];
    if (at > begin && next.startsLine &&
        (block == Token::none ? next.kind == Token::KwFn : startsStatement(next)))
      break;
    if (next.kind == Token::RBrace && block != Token::none &&
        (next.partner == Token::none || next.partner < begin))
      break;
    at = next.partner != Token::none && next.partner > at ? next.partner + 1 : at + 1;
  }
  position = std::min(at, last);
}

bool Parser::endStatement(bool endedWithBlock) {
  if (endedWithBlock || token().startsLine || is(Token::RBrace) ||
      is(Token::EndOfFile))
    return true;
  expected("the end of the line");
  explainFloorDivision();
  return false;
}

//===----------------------------------------------------------------------===//
// Lists
//===----------------------------------------------------------------------===//

bool Parser::parseBracketed(Kind open, const Twine &what,
                            function_ref<bool()> body) {
  Kind close = Kind(open + 1);
  size_t begin = position;
  if (!is(open) || atNewLine())
    return expected(describe(open) + " to begin " + what);
  SaveAndRestore newlines(newlinesEnd, false);
  SaveAndRestore elses(elseTaken, false);
  advance();
  if (!body())
    return false;
  if (consume(close))
    return true;
  expected("',' or " + describe(close) + " to end " + what);
  note(tokens[begin].range(), "the " + describe(open) + " is here");
  return false;
}

bool Parser::parseList(Kind close, function_ref<bool()> item) {
  do {
    if (is(close))
      return true;
    if (!item())
      return false;
  } while (consume(Token::Comma));
  return true;
}

//===----------------------------------------------------------------------===//
// Top level
//===----------------------------------------------------------------------===//

bool Parser::parseModule(ast::Module &module) {
  while (!is(Token::EndOfFile)) {
    size_t begin = itemStart = position;
    bool good = false;
    if (is(Token::KwFn)) {
      if (std::unique_ptr<ast::FnDecl> fn = parseFn()) {
        module.functions.push_back(std::move(fn));
        good = endStatement(/*endedWithBlock=*/true);
      }
    } else if (isWord("layer") || isWord("model")) {
      if (std::unique_ptr<ast::LayerDecl> layer = parseLayer()) {
        module.layers.push_back(std::move(layer));
        good = endStatement(/*endedWithBlock=*/true);
      }
    } else if (isWord("import")) {
      good = parseImport(module) && endStatement(false);
    } else if (isWord("names")) {
      good = parseNames(module) && endStatement(false);
    } else {
      expected("'layer', 'model', 'fn', 'names' or 'import'");
    }
    if (!good)
      recover(begin, Token::none);
  }
  return !failed;
}

} // namespace ssmc
