//===- ParserImpl.h - The parser's class -----------------------*- C++ -*-===//
//
// Recursive descent over the token vector. A function that fails has reported
// the error and returns null or false; the nearest loop over statements or
// declarations then skips to the next one (see Parser::recover).
//
// Newlines: `newlinesEnd` is true directly inside braces of statements and
// false inside brackets. Where it is true, a token that starts a line ends the
// statement unless the statement expects something that this token is.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_FRONTEND_PARSERIMPL_H
#define SSMC_FRONTEND_PARSERIMPL_H

#include "AST.h"
#include "Lexer.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/SaveAndRestore.h"

namespace ssmc {

class Parser {
public:
  Parser(Diagnostics &diagnostics, std::vector<Token> tokens)
      : diagnostics(diagnostics), tokens(std::move(tokens)) {}

  /// False when an error was reported.
  bool parseModule(ast::Module &module);

private:
  using Kind = Token::Kind;

  //===--------------------------------------------------------------------===//
  // Tokens (Parser.cpp)
  //===--------------------------------------------------------------------===//

  const Token &token(size_t ahead = 0) const {
    return tokens[std::min(position + ahead, tokens.size() - 1)];
  }
  bool is(Kind kind) const { return token().kind == kind; }
  /// An identifier that is special where it stands.
  bool isWord(llvm::StringRef word, size_t ahead = 0) const {
    return token(ahead).kind == Token::Identifier &&
           token(ahead).text() == word;
  }
  void advance() {
    if (position + 1 < tokens.size())
      ++position;
  }
  bool consume(Kind kind) {
    if (!is(kind))
      return false;
    advance();
    return true;
  }
  bool consumeWord(llvm::StringRef word) {
    if (!isWord(word))
      return false;
    advance();
    return true;
  }
  /// True when the current token begins a line that is not the definition's
  /// first and newlines count.
  bool isBehindNewline() const {
    return newlinesEnd && token().startsLine && position != itemStart;
  }
  /// True when the line before does not ask for more, so that the current token
  /// belongs to it only if the grammar says so by name.
  bool atNewLine() const {
    return isBehindNewline() &&
           !(position && asksForMore(tokens[position - 1].kind));
  }
  /// A line that ends in such a token goes on with the next one.
  static bool asksForMore(Kind kind);
  /// The token behind the partner of the bracket at the current position plus
  /// `ahead`, or null.
  const Token *behindBracket(size_t ahead = 0) const;
  /// From the start of the token at `begin` to the end of the last consumed
  /// one.
  llvm::SMRange rangeFrom(size_t begin) const;

  //===--------------------------------------------------------------------===//
  // Errors and recovery (Parser.cpp)
  //===--------------------------------------------------------------------===//

  /// "expected WANTED, found FOUND; HINT" at the current token; returns false.
  bool expected(const llvm::Twine &wanted, llvm::StringRef hint = "");
  bool error(llvm::SMRange where, const llvm::Twine &message);
  void note(llvm::SMRange where, const llvm::Twine &message);
  void explainFloorDivision();
  bool expect(Kind kind, const llvm::Twine &where);
  bool expectName(ast::Ident &ident, const llvm::Twine &wanted);
  bool expectString(std::string &value, const llvm::Twine &wanted);
  /// "expected '}'" at the current token, with the '{' that was likely
  /// forgotten.
  void reportUnclosed(uint32_t block, const llvm::Twine &what);
  bool noteBraces(uint32_t at, uint32_t shown = Token::none);
  size_t getIndent(uint32_t index) const;
  /// Stops at the end of the file; no error after this one is worth reading.
  void giveUp();
  bool startsDeclaration(size_t at) const;
  bool startsStatement(const Token &next) const;
  /// Skips the statement or declaration that began at `begin`.
  void recover(size_t begin, uint32_t block);
  /// From a broken head to the '{' of its body; false when there is none.
  bool skipToBody();
  /// True at the end of a statement; otherwise reports what follows it.
  bool endStatement(bool endedWithBlock);

  /// Parses `open ... close` around `body`, newlines inside according to the
  /// kind of bracket, with a note at the opening when the closing is missing.
  bool parseBracketed(Kind open, const llvm::Twine &what,
                      llvm::function_ref<bool()> body);
  /// Items separated by commas until `close`; a comma before `close` is
  /// allowed.
  bool parseList(Kind close, llvm::function_ref<bool()> item);

  class DepthGuard {
  public:
    explicit DepthGuard(Parser &parser);
    ~DepthGuard() { --parser.depth; }
    explicit operator bool() const { return good; }

  private:
    Parser &parser;
    bool good;
  };

  //===--------------------------------------------------------------------===//
  // Expressions (ParserExpr.cpp)
  //===--------------------------------------------------------------------===//

  enum Precedence : unsigned {
    OrLevel = 1,
    AndLevel,
    NotLevel,
    ComparisonLevel,
    SumLevel,
    ProductLevel
  };
  struct BinaryOperator {
    ast::BinaryExpr::Op op;
    unsigned precedence;
  };
  static std::optional<BinaryOperator> getBinary(Kind kind);

  /// A whole expression of a statement.
  ast::ExprPtr parseValue();
  /// An expression inside another one.
  ast::ExprPtr parseExpr();
  ast::ExprPtr parseExprOrRange();
  ast::ExprPtr parseBinary(unsigned minPrecedence);
  ast::ExprPtr parseUnary();
  ast::ExprPtr parsePower();
  ast::ExprPtr parsePostfix();
  ast::ExprPtr parsePrimary();
  ast::ExprPtr parseNumber();
  ast::ExprPtr parseIf();
  ast::ExprPtr parseMatch();
  ast::ExprPtr parseLambda();
  ast::ExprPtr parseParenthesized();
  ast::ExprPtr parseIverson();
  ast::ExprPtr parseConfig();
  bool isLambda() const;
  bool countLink();

  // Calls, indices, operators over axes (ParserCall.cpp)
  ast::ExprPtr parseCall(ast::ExprPtr callee);
  ast::ExprPtr parseIndex(ast::ExprPtr base);
  ast::ExprPtr parseApply();
  bool parseApplyItem(ast::ApplyExpr &apply);
  bool parseArg(ast::CallExpr &call);
  bool isApply() const;
  bool isOperandStart(const Token &next) const;

  //===--------------------------------------------------------------------===//
  // Patterns (ParserPattern.cpp) and declarations (ParserDecl.cpp)
  //===--------------------------------------------------------------------===//

  bool parseAxis(ast::AxisPattern &axis, bool allowBareLag = false);
  bool parseLag(ast::AxisPattern &axis);
  bool parseAxes(std::vector<ast::AxisPattern> &axes, llvm::StringRef what);
  bool parsePattern(ast::Pattern &pattern, const llvm::Twine &wanted);
  bool parsePatternType(ast::Pattern &pattern);
  bool parseChoice(ast::Ident &choice);
  bool parseChoices(std::vector<ast::Ident> &choices);
  bool parseChoicesOrType(std::vector<ast::Ident> &choices, ast::Ident &type);
  bool parseImport(ast::Module &module);
  bool parseNames(ast::Module &module);
  std::unique_ptr<ast::LayerDecl> parseLayer();
  bool parseLayerParam(ast::LayerDecl &layer);
  std::unique_ptr<ast::FnDecl> parseFn();
  bool parseFnHead(ast::FnDecl &fn);
  bool parseFnParam(ast::FnDecl &fn);
  bool parseFnResults(ast::FnDecl &fn);
  bool parseMember(std::vector<ast::StmtPtr> &members);
  bool parseParts(std::vector<ast::StmtPtr> &members);
  bool parseWeights(std::vector<ast::StmtPtr> &members,
                    const std::optional<std::string> &group);
  bool parseWeightGroup(std::vector<ast::StmtPtr> &members);

  //===--------------------------------------------------------------------===//
  // Statements (ParserStmt.cpp)
  //===--------------------------------------------------------------------===//

  using StmtParser = llvm::function_ref<bool(std::vector<ast::StmtPtr> &)>;
  /// `{ statements }`, each parsed by `parse`.
  bool parseBlock(llvm::StringRef what, std::vector<ast::StmtPtr> &body,
                  StmtParser parse);
  bool parseFnBody(llvm::StringRef what, std::vector<ast::StmtPtr> &body);
  bool parseStmt(std::vector<ast::StmtPtr> &body);
  bool parseAssigns(ast::Stmt::Kind kind, std::vector<ast::StmtPtr> &body);
  bool parseOver(std::vector<ast::StmtPtr> &body);
  bool parseFor(std::vector<ast::StmtPtr> &body);
  bool parseIfStmt(std::vector<ast::StmtPtr> &body);
  bool parseReturn(std::vector<ast::StmtPtr> &body);
  bool parseState(std::vector<ast::StmtPtr> &body);
  bool parseStateLines(ast::StateStmt &state);
  bool parseDiscretize(ast::StateStmt &state);

  Diagnostics &diagnostics;
  std::vector<Token> tokens;
  size_t position = 0;
  size_t itemStart =
      0; // where the current definition began; it may start a line
  bool newlinesEnd = true;
  /// An `else` that follows belongs to what encloses the current expression,
  /// not to a `config "field"` in it.
  bool elseTaken = false;
  unsigned depth = 0; // of the parser's own recursion
  unsigned links = 0; // operators and calls in the current statement's value
  unsigned errors = 0;
  unsigned notedErrors = 0; // errors when a bracket was last pointed at
  bool failed = false, gaveUp = false;
  bool amongMembers = false; // inside the braces of a layer, not of a function
  bool skipped = false; // the rest of the declaration, its braces do not match
  bool bracesNoted = false;
};

} // namespace ssmc

#endif // SSMC_FRONTEND_PARSERIMPL_H
