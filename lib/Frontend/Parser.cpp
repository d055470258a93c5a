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

bool Parser::expected(const Twine &wanted, StringRef hint) {
  const Token &next = token();
  bool atEnd = next.kind == Token::EndOfFile;
  std::string message = ("expected " + wanted + ", found ").str();
  message += !atEnd && isBehindNewline() ? "the end of the line" : found(next);
  if (!hint.empty())
    message += ("; " + hint).str();
  // The end of a line is where its last token ends, not where the next one
  // begins.
  SMRange where = next.range();
  if (position && (atEnd || isBehindNewline()))
    where.Start = where.End = tokens[position - 1].range().End;
  return error(where, message);
}

/// A comment with a single blank before it is read as a floor division; the
/// error behind it should say so.
void Parser::explainFloorDivision() {
  for (size_t at = position; at > 0 && !tokens[at].startsLine; --at)
    if (tokens[at].kind == Token::SlashSlash) {
      note(tokens[at].range(), "'//' between operands is floor division; a "
                               "comment behind code needs "
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

/// A line that begins with `layer Name` (and the like) is a declaration
/// wherever it stands: if it stands inside braces, one of them was not closed.
bool Parser::startsDeclaration(size_t at) const {
  const Token &word = tokens[at];
  if (word.kind != Token::Identifier || !word.startsLine ||
      at + 1 >= tokens.size() || tokens[at + 1].kind != Token::Identifier ||
      tokens[at + 1].startsLine)
    return false;
  return isDeclarationWord(word.text());
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
  // Where braces do not match, what follows is not what it seems to be: one
  // error for the declaration is enough.
  if (noteBraces(begin)) {
    if (position == begin)
      advance();
    while (!is(Token::EndOfFile) && !startsDeclaration(position))
      advance();
    skipped = true;
    return;
  }
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
        (block == Token::none ? next.kind == Token::KwFn
                              : startsStatement(next)))
      break;
    if (next.kind == Token::RBrace && block != Token::none &&
        (next.partner == Token::none || next.partner < begin))
      break;
    at = next.partner != Token::none && next.partner > at ? next.partner + 1
                                                          : at + 1;
  }
  position = std::min(at, last);
}

bool Parser::skipToBody() {
  if (gaveUp || noteBraces(position))
    return false;
  for (size_t at = position; at < tokens.size(); ++at) {
    const Token &next = tokens[at];
    if (next.kind == Token::LBrace) {
      position = at;
      return true;
    }
    // Parameters may begin a line, other statements have no place in a head.
    bool startsNew = next.startsLine && startsStatement(next) &&
                     next.kind != Token::LParen &&
                     next.kind != Token::Identifier;
    if (startsNew || next.kind == Token::RBrace || startsDeclaration(at))
      return false;
  }
  return false;
}

bool Parser::endStatement(bool endedWithBlock) {
  if (endedWithBlock || token().startsLine || is(Token::RBrace) ||
      is(Token::EndOfFile))
    return true;
  bool definesMore = token(1).kind == Token::Equal || is(Token::KwLet);
  expected("the end of the line",
           definesMore ? "',' separates definitions on one line" : "");
  explainFloorDivision();
  return false;
}

/// The blanks before the line of a token.
size_t Parser::getIndent(uint32_t index) const {
  while (index && !tokens[index].startsLine)
    --index;
  const char *start = tokens[index].begin, *first = tokens.front().begin;
  const char *line = start;
  while (line != first && line[-1] != '\n')
    --line;
  return start - line;
}

void Parser::reportUnclosed(uint32_t block, const Twine &what) {
  if (skipped)
    return; // not closed because what closes it was not read
  SaveAndRestore newlines(newlinesEnd, false);
  expected("'}' to end the body of the " + what);
  note(tokens[block].range(), "the '{' is here");
  noteBraces(block, block);
}

/// Points at the brace that is likely wrong in the declaration around `at`: a
/// '{' whose '}' stands further left than its own line has got that of another
/// one, and of several such the innermost is the one; likewise a '}' further
/// right. The brace `shown` has a note already. Returns false when all braces
/// match.
bool Parser::noteBraces(uint32_t at, uint32_t shown) {
  uint32_t begin = at, end = at;
  while (begin && !startsDeclaration(begin))
    --begin;
  do
    ++end;
  while (end < tokens.size() && !startsDeclaration(end));
  uint32_t unmatched = Token::none, suspect = Token::none;
  for (uint32_t i = begin; i < end && unmatched == Token::none; ++i)
    if ((tokens[i].kind == Token::LBrace || tokens[i].kind == Token::RBrace) &&
        tokens[i].partner == Token::none)
      unmatched = i;
  if (unmatched == Token::none || bracesNoted)
    return unmatched != Token::none;
  bracesNoted = true;
  bool isOpen = tokens[unmatched].kind == Token::LBrace;
  for (uint32_t open = begin; open < end; ++open) {
    uint32_t close = tokens[open].partner;
    if (tokens[open].kind != Token::LBrace || close == Token::none ||
        !tokens[close].startsLine)
      continue;
    size_t openIndent = getIndent(open), closeIndent = getIndent(close);
    if (isOpen ? closeIndent >= openIndent : closeIndent <= openIndent)
      continue;
    if (suspect != Token::none && tokens[suspect].partner < open)
      break;
    suspect = open;
  }
  if (isOpen) {
    uint32_t open = suspect == Token::none ? unmatched : suspect;
    if (open != shown)
      note(tokens[open].range(), "this '{' may be the one that is not closed");
  } else if (suspect != Token::none) {
    note(tokens[tokens[suspect].partner].range(),
         "this '}' may be one too many");
  } else {
    note(tokens[unmatched].range(), "this '}' closes nothing");
  }
  return true;
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
  if (!body()) {
    // What was found is often right, and this bracket is what is wrong.
    if (tokens[begin].partner == Token::none && errors != notedErrors)
      note(tokens[begin].range(),
           "the " + describe(open) + " here is not closed");
    notedErrors = errors;
    return false;
  }
  if (consume(close))
    return true;
  expected("',' or " + describe(close) + " to end " + what);
  note(tokens[begin].range(), "the " + describe(open) + " is here");
  notedErrors = errors;
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
    skipped = bracesNoted = false;
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
    if (!good && !skipped)
      recover(begin, Token::none);
  }
  return !failed;
}

} // namespace ssmc
