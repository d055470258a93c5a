//===- ParserCall.cpp - Calls, indices, operators over axes ---------------===//
//
// What follows a value, and the operators that are written like calls: `sum(n)
// x` and its kind take axes in parentheses and the term behind them.
//
//===----------------------------------------------------------------------===//

#include "ParserImpl.h"
#include "llvm/ADT/StringSwitch.h"

using namespace llvm;

namespace ssmc {

using ast::ExprPtr;

namespace {
/// Names that take axes in parentheses and the term behind them as operand.
/// Some are functions as well: `max(a, b)` with nothing behind is a call.
enum class AxisOperator { No, Always, OrCall, NoOperand };
} // namespace

static AxisOperator getAxisOperator(StringRef name) {
  return StringSwitch<AxisOperator>(name)
      .Cases({"sum", "prod", "mean", "softmax", "rmsnorm", "layernorm",
              "l2norm", "groupnorm", "rotate", "cumsum"},
             AxisOperator::Always)
      .Cases({"max", "min", "concat"}, AxisOperator::OrCall)
      .Case("first", AxisOperator::NoOperand)
      .Default(AxisOperator::No);
}

//===----------------------------------------------------------------------===//
// Calls and indices
//===----------------------------------------------------------------------===//

static SMRange join(SMRange first, SMRange last) {
  return {first.Start, last.End};
}

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
    arg.value = std::make_unique<ast::RenameExpr>(
        std::move(from), std::move(to), rangeFrom(begin));
  } else if (isName && (token(1).kind == Token::Colon ||
                        (isWord("lag") && token(1).kind == Token::LParen))) {
    ast::AxisPattern axis;
    if (!parseAxis(axis, /*allowBareLag=*/true))
      return false;
    arg.value =
        std::make_unique<ast::LagExpr>(std::move(axis), rangeFrom(begin));
  } else {
    arg.value = parseExpr();
  }
  if (!arg.value)
    return false;
  if (arg.name.name.empty() && !call.args.empty() &&
      !call.args.back().name.name.empty()) {
    error(arg.value->range,
          "expected 'name = value', found an argument by position "
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
    error(rangeFrom(begin),
          "expected an index between '[' and ']', found none");
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
                .Cases({"along", "from", "to", "cut", "test", "by", "step"},
                       true)
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

/// One item between the parentheses: an axis, an option, or the `else` of
/// first.
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
    note(apply.op.range,
         "'" + apply.op.name +
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
