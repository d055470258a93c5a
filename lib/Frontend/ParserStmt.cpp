//===- ParserStmt.cpp - Parsing of statements -----------------------------===//
//
// Blocks, the statements of function bodies, and state blocks.
//
//===----------------------------------------------------------------------===//

#include "ParserImpl.h"

using namespace llvm;

namespace ssmc {

using ast::Stmt;
using ast::StmtPtr;

bool Parser::parseBlock(StringRef what, std::vector<StmtPtr> &body,
                        StmtParser parse) {
  DepthGuard guard(*this);
  if (!guard)
    return false;
  if (!is(Token::LBrace))
    return expected("'{' to begin the body of the " + what);
  uint32_t block = position;
  advance();
  SaveAndRestore newlines(newlinesEnd, true);
  SaveAndRestore elses(elseTaken, false);
  while (!is(Token::RBrace) && !is(Token::EndOfFile) &&
         !startsDeclaration(position)) {
    size_t begin = itemStart = position;
    if (!parse(body))
      recover(begin, block);
  }
  // What failed inside was reported there and skipped: the block itself is
  // fine.
  if (consume(Token::RBrace))
    return true;
  reportUnclosed(block, what);
  return false;
}

bool Parser::parseFnBody(StringRef what, std::vector<StmtPtr> &body) {
  SaveAndRestore members(amongMembers, false);
  return parseBlock(what, body, [&](std::vector<StmtPtr> &inner) {
    return parseStmt(inner);
  });
}

bool Parser::parseStmt(std::vector<StmtPtr> &body) {
  // What reads a body looks back over it from each statement.
  constexpr size_t maxStatements = 1000;
  if (body.size() >= maxStatements) {
    error(body.front()->range, "the body that begins here has more than " +
                                   Twine(maxStatements) +
                                   " statements; divide it into layers");
    giveUp();
    return false;
  }
  switch (token().kind) {
  case Token::KwLet:
    return parseAssigns(Stmt::Let, body) && endStatement(false);
  case Token::KwKernel:
    return parseAssigns(Stmt::Kernel, body) && endStatement(false);
  case Token::KwTable:
    return parseAssigns(Stmt::Table, body) && endStatement(false);
  case Token::KwOver:
    return parseOver(body) && endStatement(false);
  case Token::KwFor:
    return parseFor(body) && endStatement(true);
  case Token::KwIf:
    return parseIfStmt(body) && endStatement(true);
  case Token::KwReturn:
    return parseReturn(body) && endStatement(false);
  case Token::KwState:
    return parseState(body) && endStatement(true);
  case Token::KwFn: {
    std::unique_ptr<ast::FnDecl> fn = parseFn();
    if (!fn)
      return false;
    body.push_back(std::move(fn));
    return endStatement(true);
  }
  case Token::KwPart:
  case Token::KwWeight:
  case Token::KwWeights:
    return error(token().range(),
                 "expected a statement, found " + describe(token().kind) +
                     ", which belongs in a layer and not in a function");
  case Token::Identifier:
    if (isWord("discretize") && token(1).kind == Token::Identifier)
      return error(
          token().range(),
          "expected a statement, found 'discretize', which belongs in a "
          "state block");
    [[fallthrough]];
  case Token::LParen:
    return parseAssigns(Stmt::Assign, body) && endStatement(false);
  default:
    return expected("a statement");
  }
}

/// `y[t, h] = a, z = b`, behind `let`, `kernel`, `table` or nothing.
bool Parser::parseAssigns(Stmt::Kind kind, std::vector<StmtPtr> &body) {
  if (kind != Stmt::Assign)
    advance();
  do {
    size_t begin = itemStart = position;
    auto assign = std::make_unique<ast::AssignStmt>(kind, SMRange());
    if (!parsePattern(assign->target, "a name to define"))
      return false;
    if (is(Token::LParen) && !atNewLine() && !assign->target.hasAxes)
      return expected("'=' after the name",
                      "a call is no statement, its value needs a name");
    if (!expect(Token::Equal, " after the name that is defined"))
      return false;
    assign->value = parseValue();
    if (!assign->value)
      return false;
    assign->range = rangeFrom(begin);
    body.push_back(std::move(assign));
  } while (consume(Token::Comma));
  return true;
}

/// `over s: t where condition`.
bool Parser::parseOver(std::vector<StmtPtr> &body) {
  size_t begin = position;
  advance();
  auto over = std::make_unique<ast::OverStmt>(SMRange());
  if (!expectName(over->index, "the name of an index after 'over'") ||
      !expect(Token::Colon, " and the axis it runs over") ||
      !expectName(over->axis, "the axis that the index runs over"))
    return false;
  if (consume(Token::KwWhere) && !(over->where = parseValue()))
    return false;
  over->range = rangeFrom(begin);
  body.push_back(std::move(over));
  return true;
}

/// `for i in 0 .. n { ... }`.
bool Parser::parseFor(std::vector<StmtPtr> &body) {
  size_t begin = position;
  advance();
  auto loop = std::make_unique<ast::ForStmt>(SMRange());
  if (!expectName(loop->index, "the name of an index after 'for'") ||
      !expect(Token::KwIn, " after the index") ||
      !(loop->from = parseValue()) ||
      !expect(Token::DotDot, " between the bounds of 'for'") ||
      !(loop->to = parseValue()) || !parseFnBody("loop", loop->body))
    return false;
  loop->range = rangeFrom(begin);
  body.push_back(std::move(loop));
  return true;
}

/// `if c { ... } elif d { ... } else { ... }`.
bool Parser::parseIfStmt(std::vector<StmtPtr> &body) {
  DepthGuard guard(*this); // `elif` nests
  if (!guard)
    return false;
  size_t begin = position;
  advance();
  auto branch = std::make_unique<ast::IfStmt>(SMRange());
  branch->condition = parseValue();
  if (!branch->condition)
    return false;
  if (is(Token::KwThen) && !atNewLine())
    return expected("'{' after the condition",
                    "'if ... then ... else' is a value and no statement");
  if (!parseFnBody("'if'", branch->thenBody))
    return false;
  if (is(Token::KwElif)) {
    if (!parseIfStmt(branch->elseBody))
      return false;
  } else if (consume(Token::KwElse)) {
    bool good = is(Token::KwIf) ? parseIfStmt(branch->elseBody)
                                : parseFnBody("'else'", branch->elseBody);
    if (!good)
      return false;
  }
  branch->range = rangeFrom(begin);
  body.push_back(std::move(branch));
  return true;
}

bool Parser::parseReturn(std::vector<StmtPtr> &body) {
  size_t begin = position;
  advance();
  auto stmt = std::make_unique<ast::ReturnStmt>(SMRange());
  stmt->value = parseValue();
  if (!stmt->value)
    return false;
  stmt->range = rangeFrom(begin);
  body.push_back(std::move(stmt));
  return true;
}

//===----------------------------------------------------------------------===//
// State blocks
//===----------------------------------------------------------------------===//

/// `state s[h, n: N pairs]: complex along side from s0 to s1 { lines }`.
bool Parser::parseState(std::vector<StmtPtr> &body) {
  size_t begin = position;
  advance();
  auto state = std::make_unique<ast::StateStmt>(SMRange());
  if (!parsePattern(state->state, "the name of a state"))
    return false;
  if (state->state.isTuple)
    return error(state->state.range,
                 "expected the name of one state, found a tuple");
  while (!is(Token::LBrace)) {
    size_t clauseAt = position;
    auto repeated = [&] {
      return error(tokens[clauseAt].range(),
                   "'" + tokens[clauseAt].text() +
                       "' stands twice in this state block");
    };
    if (consumeWord("along")) {
      if (state->along)
        return repeated();
      if (!(state->along = parseValue()))
        return false;
    } else if (consumeWord("from")) {
      if (state->from)
        return repeated();
      if (!(state->from = parseValue()))
        return false;
    } else if (consumeWord("to")) {
      if (!state->to.name.empty())
        return repeated();
      if (!expectName(state->to, "the result that gets the final state"))
        return false;
    } else {
      return expected(
          "'{', 'along', 'from' or 'to' after the name of the state");
    }
  }
  size_t open = position;
  SaveAndRestore members(amongMembers, false);
  std::vector<StmtPtr> none;
  if (!parseBlock("state block", none, [&](std::vector<StmtPtr> &) {
        return parseStateLines(*state);
      }))
    return false;
  state->range = rangeFrom(begin);
  if (state->lines.empty() && !failed)
    return error({tokens[open].range().Start, state->range.End},
                 "expected an update line 'd" + state->state.name.name +
                     "/dt = ...' or '" + state->state.name.name +
                     " = ...' in the state block, found none");
  body.push_back(std::move(state));
  return true;
}

/// One line: definitions separated by commas, or `discretize`.
bool Parser::parseStateLines(ast::StateStmt &state) {
  using Line = ast::StateStmt::Line;
  const std::string &name = state.state.name.name;
  if (isWord("discretize") && token(1).kind != Token::Equal)
    return parseDiscretize(state) && endStatement(false);
  do {
    size_t begin = itemStart = position;
    Line line;
    line.kind = Line::Output;
    bool startsName = is(Token::Identifier);
    if (!startsName && !is(Token::LParen))
      return expected("an update or output line, or 'discretize'");
    if (startsName && token(1).kind == Token::Slash) {
      // `ds/dt`: the name behind the second d is free, time is what one calls
      // it.
      if (token().text() != "d" + name)
        return error(token().range(),
                     "expected 'd" + name + "' on the left of '/', found '" +
                         token().text() + "'; the state is '" + name + "'");
      line.kind = Line::Derivative;
      line.target.name = state.state.name;
      line.target.name.range = token().range();
      advance();
      advance();
      if (!is(Token::Identifier) || !token().text().starts_with("d"))
        return expected("'dt' after 'd" + name + "/'");
      advance();
      line.target.range = rangeFrom(begin);
    } else {
      if (!parsePattern(line.target, "a name to define"))
        return false;
      if (line.target.name.name == name && !line.target.isTuple)
        line.kind = Line::Update;
    }
    if (!expect(Token::Equal, " in the line of the state block"))
      return false;
    line.value = parseValue();
    if (!line.value)
      return false;
    line.range = rangeFrom(begin);
    state.lines.push_back(std::move(line));
  } while (consume(Token::Comma));
  return endStatement(false);
}

/// `discretize RULE, step E` or `discretize RULE for s, RULE for input, step
/// E`.
bool Parser::parseDiscretize(ast::StateStmt &state) {
  size_t begin = position;
  if (state.discretizeRange.isValid()) {
    error(token().range(), "'discretize' stands twice in this state block");
    note(state.discretizeRange, "the first one is here");
    return false;
  }
  advance();
  const std::string &name = state.state.name.name;
  auto expectTarget = [&](StringRef target, const Twine &wanted) {
    if (!isWord(target))
      return expected(wanted);
    advance();
    return true;
  };
  if (!(state.rule = parseValue()))
    return false;
  if (consume(Token::KwFor)) {
    if (!expectTarget(name, "the state '" + name + "' after 'for'") ||
        !expect(Token::Comma, " and the rule for the input") ||
        !(state.inputRule = parseValue()) ||
        !expect(Token::KwFor, " and 'input' after the second rule") ||
        !expectTarget("input", "'input' after 'for'"))
      return false;
  }
  if (!expect(Token::Comma, " and 'step' after the rule"))
    return false;
  if (!consumeWord("step"))
    return expected("'step' and the length of a step");
  if (!(state.step = parseValue()))
    return false;
  state.discretizeRange = rangeFrom(begin);
  return true;
}

} // namespace ssmc
