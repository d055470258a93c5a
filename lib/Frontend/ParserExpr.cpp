//===- ParserExpr.cpp - Parsing of expressions ----------------------------===//
//
// Precedence, low to high: `=>`; if; or; and; not; comparisons (not chained);
// + -; * / // % @; an operator over axes, which takes the multiplicative term
// behind it; unary -; ^; call and index.
//
//===----------------------------------------------------------------------===//

#include "ParserImpl.h"
#include "llvm/ADT/StringSwitch.h"

using namespace llvm;

namespace ssmc {

using ast::ExprPtr;
using Op = ast::BinaryExpr::Op;

namespace {
enum Precedence : unsigned {
  OrLevel = 1, AndLevel, NotLevel, ComparisonLevel, SumLevel, ProductLevel
};

/// Names that take axes in parentheses and the term behind them as operand.
/// Some are functions as well: `max(a, b)` with nothing behind is a call.
enum class AxisOperator { No, Always, OrCall, NoOperand };
} // namespace

static AxisOperator getAxisOperator(StringRef name) {
  return StringSwitch<AxisOperator>(name)
      .Cases({"sum", "prod", "mean", "softmax", "rmsnorm", "layernorm", "l2norm",
              "groupnorm", "rotate", "cumsum"},
             AxisOperator::Always)
      .Cases({"max", "min", "concat"}, AxisOperator::OrCall)
      .Case("first", AxisOperator::NoOperand)
      .Default(AxisOperator::No);
}

static std::optional<std::pair<Op, unsigned>> getBinary(Token::Kind kind) {
  using Binary = ast::BinaryExpr;
  switch (kind) {
  case Token::KwOr:
    return {{Binary::Or, OrLevel}};
  case Token::KwAnd:
    return {{Binary::And, AndLevel}};
  case Token::EqualEqual:
    return {{Binary::Eq, ComparisonLevel}};
  case Token::NotEqual:
    return {{Binary::Ne, ComparisonLevel}};
  case Token::Less:
    return {{Binary::Lt, ComparisonLevel}};
  case Token::LessEqual:
    return {{Binary::Le, ComparisonLevel}};
  case Token::Greater:
    return {{Binary::Gt, ComparisonLevel}};
  case Token::GreaterEqual:
    return {{Binary::Ge, ComparisonLevel}};
  case Token::Plus:
    return {{Binary::Add, SumLevel}};
  case Token::Minus:
    return {{Binary::Sub, SumLevel}};
  case Token::Star:
    return {{Binary::Mul, ProductLevel}};
  case Token::Slash:
    return {{Binary::Div, ProductLevel}};
  case Token::SlashSlash:
    return {{Binary::FloorDiv, ProductLevel}};
  case Token::Percent:
    return {{Binary::Mod, ProductLevel}};
  case Token::At:
    return {{Binary::MatMul, ProductLevel}};
  default:
    return std::nullopt;
  }
}

/// Chains are loops in the parser but deep trees for all who read them.
bool Parser::countLink() {
  constexpr unsigned maxLinks = 1000;
  if (++links <= maxLinks)
    return true;
  return error(token().range(), "the expression has more than " + Twine(maxLinks) +
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
    lhs = std::make_unique<ast::UnaryExpr>(ast::UnaryExpr::Not, std::move(operand),
                                           rangeFrom(begin));
  } else {
    lhs = parseUnary();
  }
  // An operator at the start of a line continues the line before.
  while (lhs) {
    auto binary = getBinary(token().kind);
    if (!binary || binary->second < minPrecedence)
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
    if (precedence == ComparisonLevel && next && next->second == ComparisonLevel) {
      error(token().range(), "comparisons do not chain; join two of them with 'and'");
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
  return std::make_unique<ast::UnaryExpr>(ast::UnaryExpr::Neg, std::move(operand),
                                          rangeFrom(begin));
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
  return std::make_unique<ast::BinaryExpr>(ast::BinaryExpr::Pow, std::move(base),
                                           std::move(exponent), rangeFrom(begin));
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
    return std::make_unique<ast::StringExpr>(std::move(value), rangeFrom(begin));
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
    expected("an operand", "an 'if' inside a larger expression needs parentheses");
    return nullptr;
  case Token::KwNot:
    expected("an operand", "a 'not' inside a larger expression needs parentheses");
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
      note(tokens[ifAt].range(), "the " + describe(tokens[ifAt].kind) + " is here");
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
    bool annotated =
        is(Token::Identifier) && token(1).kind == Token::Colon;
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
    error(tuple->range, "expected an expression between '(' and ')', found none");
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
  return std::make_unique<ast::IversonExpr>(std::move(condition), rangeFrom(begin));
}

/// `config "field"`, with `else fallback` where no enclosing `if` or weight could
/// own the `else`.
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
  return std::make_unique<ast::ConfigExpr>(std::move(field), std::move(fallback),
                                           rangeFrom(begin));
}

//===----------------------------------------------------------------------===//
// Calls and indices
//===----------------------------------------------------------------------===//

static SMRange join(SMRange first, SMRange last) { return {first.Start, last.End}; }

bool Parser::parseArg(ast::CallExpr &call) {
  size_t begin = position;
  if (is(Token::DotDot)) {
    if (call.passRest)
      return error(token().range(), "'..' stands twice in this call");
    call.passRest = true;
    advance();
    return true;
  }
  ast::Arg arg;
  bool isName = is(Token::Identifier);
  if (isName && token(1).kind == Token::Equal) {
    if (!expectName(arg.name, "the name of a parameter"))
      return false;
    advance();
    arg.value = parseExpr();
  } else if (isName && token(1).kind == Token::Arrow) {
    ast::Ident from, to;
    if (!expectName(from, "an axis"))
      return false;
    advance();
    if (!expectName(to, "an axis after '->'"))
      return false;
    arg.value = std::make_unique<ast::RenameExpr>(std::move(from), std::move(to),
                                                  rangeFrom(begin));
  } else if (isName && (token(1).kind == Token::Colon ||
                        (isWord("lag") && token(1).kind == Token::LParen))) {
    ast::AxisPattern axis;
    if (!parseAxis(axis, /*allowBareLag=*/true))
      return false;
    arg.value = std::make_unique<ast::LagExpr>(std::move(axis), rangeFrom(begin));
  } else {
    arg.value = parseExpr();
  }
  if (!arg.value)
    return false;
  if (arg.name.name.empty() && !call.args.empty() &&
      !call.args.back().name.name.empty()) {
    error(arg.value->range, "expected 'name = value', found an argument by position "
                            "after one by name");
    note(call.args.back().name.range, "the argument by name is here");
    return false;
  }
  call.args.push_back(std::move(arg));
  return true;
}

ExprPtr Parser::parseCall(ExprPtr callee) {
  SMRange start = callee->range;
  auto call = std::make_unique<ast::CallExpr>(std::move(callee), start);
  size_t begin = position;
  if (!parseBracketed(Token::LParen, "the arguments", [&] {
        return parseList(Token::RParen, [&] { return parseArg(*call); });
      }))
    return nullptr;
  call->range = join(start, rangeFrom(begin));
  return call;
}

ExprPtr Parser::parseIndex(ExprPtr base) {
  SMRange start = base->range;
  size_t begin = position;
  std::vector<ast::IndexExpr::Item> items;
  auto parseItem = [&] {
    ast::IndexExpr::Item item;
    size_t itemAt = position;
    if (consume(Token::DotDot)) {
      item.index =
          std::make_unique<ast::RangeExpr>(nullptr, nullptr, rangeFrom(itemAt));
    } else {
      SaveAndRestore elses(elseTaken, true);
      item.index = parseExprOrRange();
    }
    if (!item.index)
      return false;
    if (consume(Token::KwElse)) {
      item.otherwise = parseExpr();
      if (!item.otherwise)
        return false;
    }
    items.push_back(std::move(item));
    return true;
  };
  if (!parseBracketed(Token::LBracket, "the indices",
                      [&] { return parseList(Token::RBracket, parseItem); }))
    return nullptr;
  if (items.empty()) {
    error(rangeFrom(begin), "expected an index between '[' and ']', found none");
    return nullptr;
  }
  return std::make_unique<ast::IndexExpr>(std::move(base), std::move(items),
                                          join(start, rangeFrom(begin)));
}

//===----------------------------------------------------------------------===//
// Operators over axes
//===----------------------------------------------------------------------===//

bool Parser::isOperandStart(const Token &next) const {
  if (newlinesEnd && next.startsLine)
    return false;
  switch (next.kind) {
  case Token::Number:
  case Token::LParen:
  case Token::KwMatch:
    return true;
  case Token::Identifier:
    // These words go on with the statement.
    return !StringSwitch<bool>(next.text())
                .Cases({"along", "from", "to", "cut", "test", "by", "step"}, true)
                .Default(false);
  default:
    return false;
  }
}

bool Parser::isApply() const {
  AxisOperator op = getAxisOperator(token().text());
  if (op == AxisOperator::No || token(1).kind != Token::LParen ||
      (newlinesEnd && token(1).startsLine))
    return false;
  if (op != AxisOperator::OrCall)
    return true;
  const Token *behind = behindBracket(1);
  return behind && isOperandStart(*behind);
}

/// One item between the parentheses: an axis, an option, or the `else` of first.
bool Parser::parseApplyItem(ast::ApplyExpr &apply) {
  size_t begin = position;
  if (is(Token::KwElse)) {
    if (apply.op.name != "first" || apply.otherwise)
      return expected("an axis or 'name = value'");
    advance();
    apply.otherwise = parseExpr();
    return apply.otherwise != nullptr;
  }
  if (is(Token::Identifier) && (token(1).kind == Token::Equal || apply.by)) {
    ast::Arg option;
    if (token(1).kind == Token::Equal) {
      if (!expectName(option.name, "the name of an option"))
        return false;
      advance();
    }
    option.value = parseExpr();
    bool good = option.value != nullptr;
    apply.options.push_back(std::move(option));
    return good;
  }
  ast::ApplyExpr::Axis axis;
  if (!is(Token::Identifier) ||
      (token(1).kind != Token::Comma && token(1).kind != Token::RParen &&
       token(1).kind != Token::Colon && token(1).kind != Token::KwIn &&
       token(1).kind != Token::KwWhere && !isWord("by", 1))) {
    if (is(Token::Identifier))
      advance();
    if (position == begin)
      expected("the name of an axis");
    else // the name is one, what follows is wrong
      expected("',' or ')' after the axis");
    note(apply.op.range, "'" + apply.op.name +
                             "' is followed by axes in parentheses and then by its "
                             "operand on the same line");
    return false;
  }
  if (!expectName(axis.name, "the name of an axis"))
    return false;
  if (consume(Token::Colon)) {
    axis.size = parseExpr();
    if (!axis.size)
      return false;
  } else if (consume(Token::KwIn)) {
    axis.from = parseExpr();
    if (!axis.from || !expect(Token::DotDot, " between the bounds"))
      return false;
    axis.to = parseExpr();
    if (!axis.to)
      return false;
  }
  apply.axes.push_back(std::move(axis));
  if (is(Token::KwWhere)) {
    if (apply.where)
      return expected("one 'where' for all axes");
    advance();
    apply.where = parseExpr();
    return apply.where != nullptr;
  }
  if (isWord("by") && !apply.by) {
    advance();
    apply.by = parseExpr();
    return apply.by != nullptr;
  }
  return true;
}

ExprPtr Parser::parseApply() {
  size_t begin = position;
  ast::Ident op{token().text().str(), token().range()};
  AxisOperator kind = getAxisOperator(op.name);
  auto apply = std::make_unique<ast::ApplyExpr>(std::move(op), SMRange());
  advance();
  if (!parseBracketed(Token::LParen, "the axes", [&] {
        return parseList(Token::RParen, [&] { return parseApplyItem(*apply); });
      }))
    return nullptr;
  if (apply->axes.empty()) {
    error(rangeFrom(begin), "expected an axis in the parentheses of '" +
                                apply->op.name + "', found none");
    return nullptr;
  }
  if (kind != AxisOperator::NoOperand) {
    if (!isOperandStart(token()) && !is(Token::LBracket) && !is(Token::Minus)) {
      expected("the operand of '" + apply->op.name + "' behind its axes");
      return nullptr;
    }
    if (atNewLine()) {
      expected("the operand of '" + apply->op.name + "' on the same line");
      return nullptr;
    }
    apply->operand = parseBinary(ProductLevel);
    if (!apply->operand)
      return nullptr;
  }
  apply->range = rangeFrom(begin);
  return apply;
}

} // namespace ssmc
