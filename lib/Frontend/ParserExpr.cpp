//===- ParserExpr.cpp - Parsing of expressions ----------------------------===//
//
// Precedence, low to high: `=>`; if; or; and; not; comparisons (not chained);
// + -; * / // % @; an operator over axes, which takes the multiplicative term
// behind it; unary -; ^; call and index.
//
//===----------------------------------------------------------------------===//

#include "ParserImpl.h"

using namespace llvm;

namespace ssmc {

using ast::ExprPtr;

std::optional<Parser::BinaryOperator> Parser::getBinary(Kind kind) {
  using Binary = ast::BinaryExpr;
  switch (kind) {
  case Token::KwOr:
    return BinaryOperator{Binary::Or, OrLevel};
  case Token::KwAnd:
    return BinaryOperator{Binary::And, AndLevel};
  case Token::EqualEqual:
    return BinaryOperator{Binary::Eq, ComparisonLevel};
  case Token::NotEqual:
    return BinaryOperator{Binary::Ne, ComparisonLevel};
  case Token::Less:
    return BinaryOperator{Binary::Lt, ComparisonLevel};
  case Token::LessEqual:
    return BinaryOperator{Binary::Le, ComparisonLevel};
  case Token::Greater:
    return BinaryOperator{Binary::Gt, ComparisonLevel};
  case Token::GreaterEqual:
    return BinaryOperator{Binary::Ge, ComparisonLevel};
  case Token::Plus:
    return BinaryOperator{Binary::Add, SumLevel};
  case Token::Minus:
    return BinaryOperator{Binary::Sub, SumLevel};
  case Token::Star:
    return BinaryOperator{Binary::Mul, ProductLevel};
  case Token::Slash:
    return BinaryOperator{Binary::Div, ProductLevel};
  case Token::SlashSlash:
    return BinaryOperator{Binary::FloorDiv, ProductLevel};
  case Token::Percent:
    return BinaryOperator{Binary::Mod, ProductLevel};
  case Token::At:
    return BinaryOperator{Binary::MatMul, ProductLevel};
  default:
    return std::nullopt;
  }
}

/// Chains are loops in the parser but deep trees for all who read them.
bool Parser::countLink() {
  constexpr unsigned maxLinks = 1000;
  if (++links <= maxLinks)
    return true;
  return error(token().range(),
               "the expression has more than " + Twine(maxLinks) +
                   " operators and calls; give names to parts of it");
}

ExprPtr Parser::parseValue() {
  links = 0;
  return parseExpr();
}

ExprPtr Parser::parseExpr() {
  DepthGuard guard(*this);
  if (!guard)
    return nullptr;
  if (isLambda())
    return parseLambda();
  if (is(Token::KwIf))
    return parseIf();
  return parseBinary(OrLevel);
}

ExprPtr Parser::parseExprOrRange() {
  size_t begin = position;
  ExprPtr from = parseExpr();
  if (!from || !consume(Token::DotDot))
    return from;
  ExprPtr to = parseExpr();
  if (!to)
    return nullptr;
  return std::make_unique<ast::RangeExpr>(std::move(from), std::move(to),
                                          rangeFrom(begin));
}

ExprPtr Parser::parseBinary(unsigned minPrecedence) {
  size_t begin = position;
  ExprPtr lhs;
  if (is(Token::KwNot) && minPrecedence <= NotLevel) {
    DepthGuard guard(*this);
    if (!guard)
      return nullptr;
    advance();
    ExprPtr operand = parseBinary(NotLevel);
    if (!operand)
      return nullptr;
    lhs = std::make_unique<ast::UnaryExpr>(
        ast::UnaryExpr::Not, std::move(operand), rangeFrom(begin));
  } else {
    lhs = parseUnary();
  }
  // An operator at the start of a line continues the line before.
  while (lhs) {
    auto binary = getBinary(token().kind);
    if (!binary || binary->precedence < minPrecedence)
      return lhs;
    auto [op, precedence] = *binary;
    size_t opAt = position;
    if (!countLink())
      return nullptr;
    advance();
    ExprPtr rhs = parseBinary(precedence + 1);
    if (!rhs)
      return nullptr;
    lhs = std::make_unique<ast::BinaryExpr>(op, std::move(lhs), std::move(rhs),
                                            rangeFrom(begin));
    auto next = getBinary(token().kind);
    if (precedence == ComparisonLevel && next &&
        next->precedence == ComparisonLevel) {
      error(token().range(),
            "comparisons do not chain; join two of them with 'and'");
      note(tokens[opAt].range(), "the first comparison is here");
      return nullptr;
    }
  }
  return nullptr;
}

ExprPtr Parser::parseUnary() {
  DepthGuard guard(*this);
  if (!guard)
    return nullptr;
  if (!is(Token::Minus))
    return parsePower();
  size_t begin = position;
  advance();
  ExprPtr operand = parseUnary();
  if (!operand)
    return nullptr;
  return std::make_unique<ast::UnaryExpr>(ast::UnaryExpr::Neg,
                                          std::move(operand), rangeFrom(begin));
}

ExprPtr Parser::parsePower() {
  size_t begin = position;
  ExprPtr base = parsePostfix();
  if (!base || !is(Token::Caret))
    return base;
  advance();
  ExprPtr exponent = parseUnary();
  if (!exponent)
    return nullptr;
  return std::make_unique<ast::BinaryExpr>(ast::BinaryExpr::Pow,
                                           std::move(base), std::move(exponent),
                                           rangeFrom(begin));
}

ExprPtr Parser::parsePostfix() {
  ExprPtr base = parsePrimary();
  while (base && !atNewLine()) {
    if (isa<ast::NumberExpr, ast::StringExpr, ast::ApplyExpr>(base.get()))
      return base;
    if (is(Token::LParen))
      base = countLink() ? parseCall(std::move(base)) : nullptr;
    else if (is(Token::LBracket))
      base = countLink() ? parseIndex(std::move(base)) : nullptr;
    else
      return base;
  }
  return base;
}

ExprPtr Parser::parsePrimary() {
  size_t begin = position;
  switch (token().kind) {
  case Token::Number:
    return parseNumber();
  case Token::String: {
    std::string value = stringValue(token());
    advance();
    return std::make_unique<ast::StringExpr>(std::move(value),
                                             rangeFrom(begin));
  }
  case Token::Identifier:
    // `y =` and then a new definition: the value is missing, not the next name.
    if (isBehindNewline() && token(1).kind == Token::Equal) {
      expected("an expression");
      return nullptr;
    }
    if (isWord("config") && token(1).kind == Token::String)
      return parseConfig();
    if (isWord("config") && token(1).kind == Token::Identifier &&
        !token(1).startsLine) {
      advance();
      expected("a string after 'config', the name of a field of config.json");
      return nullptr;
    }
    if (isApply())
      return parseApply();
    advance();
    return std::make_unique<ast::NameExpr>(tokens[begin].text().str(),
                                           rangeFrom(begin));
  case Token::LParen:
    return parseParenthesized();
  case Token::LBracket:
    return parseIverson();
  case Token::KwMatch:
    return parseMatch();
  case Token::KwIf:
    expected("an operand",
             "an 'if' inside a larger expression needs parentheses");
    return nullptr;
  case Token::KwNot:
    expected("an operand",
             "a 'not' inside a larger expression needs parentheses");
    return nullptr;
  default:
    expected("an expression");
    return nullptr;
  }
}

ExprPtr Parser::parseNumber() {
  size_t begin = position;
  StringRef text = token().text();
  double value = 0;
  text.getAsDouble(value); // the lexer has checked it
  bool isInteger = text.find_first_of(".eE") == StringRef::npos;
  advance();
  return std::make_unique<ast::NumberExpr>(value, isInteger, rangeFrom(begin));
}

ExprPtr Parser::parseIf() {
  size_t begin = position;
  auto result = std::make_unique<ast::IfExpr>(SMRange());
  do { // at `if` or `elif`
    size_t ifAt = position;
    advance();
    {
      SaveAndRestore elses(elseTaken, false);
      result->conditions.push_back(parseExpr());
    }
    if (!result->conditions.back())
      return nullptr;
    if (!expect(Token::KwThen, " after the condition")) {
      note(tokens[ifAt].range(),
           "the " + describe(tokens[ifAt].kind) + " is here");
      return nullptr;
    }
    SaveAndRestore elses(elseTaken, true);
    result->values.push_back(parseExpr());
    if (!result->values.back())
      return nullptr;
  } while (is(Token::KwElif));
  if (!consume(Token::KwElse)) {
    expected("'else' or 'elif'", "an 'if' that is a value needs an 'else'");
    note(tokens[begin].range(), "the 'if' is here");
    return nullptr;
  }
  result->otherwise = parseExpr();
  if (!result->otherwise)
    return nullptr;
  result->range = rangeFrom(begin);
  return result;
}

ExprPtr Parser::parseMatch() {
  size_t begin = position;
  advance();
  ExprPtr subject = parseExpr();
  if (!subject)
    return nullptr;
  auto result = std::make_unique<ast::MatchExpr>(std::move(subject), SMRange());
  auto parseArm = [&] {
    ast::MatchExpr::Arm arm;
    if (!parseChoice(arm.label) || !expect(Token::Colon, " after the label"))
      return false;
    arm.value = parseExpr();
    if (!arm.value)
      return false;
    result->arms.push_back(std::move(arm));
    return true;
  };
  // The braces of a match hold no statements: newlines mean nothing in them.
  SaveAndRestore newlines(newlinesEnd, false);
  if (!parseBracketed(Token::LBrace, "the arms of 'match'",
                      [&] { return parseList(Token::RBrace, parseArm); }))
    return nullptr;
  result->range = rangeFrom(begin);
  if (result->arms.empty()) {
    error(result->range, "expected 'label: value' in 'match', found none");
    return nullptr;
  }
  return result;
}

bool Parser::isLambda() const {
  if (is(Token::Identifier))
    return token(1).kind == Token::FatArrow;
  const Token *behind = is(Token::LParen) ? behindBracket() : nullptr;
  return behind && behind->kind == Token::FatArrow;
}

ExprPtr Parser::parseLambda() {
  size_t begin = position;
  std::vector<ast::Ident> params;
  auto parseParam = [&] {
    return expectName(params.emplace_back(), "the name of a parameter");
  };
  if (is(Token::LParen)) {
    if (!parseBracketed(Token::LParen, "the parameters",
                        [&] { return parseList(Token::RParen, parseParam); }))
      return nullptr;
  } else if (!parseParam()) {
    return nullptr;
  }
  advance(); // =>
  ExprPtr body = parseExpr();
  if (!body)
    return nullptr;
  return std::make_unique<ast::LambdaExpr>(std::move(params), std::move(body),
                                           rangeFrom(begin));
}

/// `(e)`, `(a, b)` or `(h, p: headdim)`.
ExprPtr Parser::parseParenthesized() {
  size_t begin = position;
  auto tuple = std::make_unique<ast::TupleExpr>(SMRange());
  bool hasSize = false;
  auto parseElement = [&] {
    bool annotated = is(Token::Identifier) && token(1).kind == Token::Colon;
    ExprPtr element, size;
    if (annotated) {
      size_t nameAt = position;
      advance();
      element = std::make_unique<ast::NameExpr>(tokens[nameAt].text().str(),
                                                rangeFrom(nameAt));
      advance();
      size = parseExpr();
      hasSize = true;
    } else {
      element = parseExpr();
    }
    if (!element || (annotated && !size))
      return false;
    tuple->elements.push_back(std::move(element));
    tuple->sizes.push_back(std::move(size));
    return true;
  };
  bool hasComma = token().hasComma;
  if (!parseBracketed(Token::LParen, "the parenthesis",
                      [&] { return parseList(Token::RParen, parseElement); }))
    return nullptr;
  tuple->range = rangeFrom(begin);
  if (tuple->elements.empty()) {
    error(tuple->range,
          "expected an expression between '(' and ')', found none");
    return nullptr;
  }
  if (tuple->elements.size() > 1 || hasSize)
    return tuple;
  if (hasComma) {
    error(tuple->range, "expected at least two elements in a tuple, found one");
    return nullptr;
  }
  return std::move(tuple->elements.front());
}

ExprPtr Parser::parseIverson() {
  size_t begin = position;
  ExprPtr condition;
  if (!parseBracketed(Token::LBracket, "the condition '[...]'", [&] {
        condition = parseExpr();
        return condition != nullptr;
      }))
    return nullptr;
  return std::make_unique<ast::IversonExpr>(std::move(condition),
                                            rangeFrom(begin));
}

/// `config "field"`, with `else fallback` where no enclosing `if` or weight
/// could own the `else`.
ExprPtr Parser::parseConfig() {
  size_t begin = position;
  advance();
  std::string field = stringValue(token());
  advance();
  ExprPtr fallback;
  if (!elseTaken && consume(Token::KwElse)) {
    fallback = parseExpr();
    if (!fallback)
      return nullptr;
  }
  return std::make_unique<ast::ConfigExpr>(
      std::move(field), std::move(fallback), rangeFrom(begin));
}

} // namespace ssmc
