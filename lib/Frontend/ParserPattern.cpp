//===- ParserPattern.cpp - Parsing of axes and left sides -----------------===//

#include "ParserImpl.h"

using namespace llvm;

namespace ssmc {

using ast::AxisPattern;

/// `lag`, `lag(M)` or `lag(a .. b)`, at the word `lag`.
bool Parser::parseLag(AxisPattern &axis) {
  advance();
  axis.extent = AxisPattern::Lag;
  if (!is(Token::LParen))
    return true;
  return parseBracketed(Token::LParen, "the lags", [&] {
    axis.lagTo = parseExpr();
    if (!axis.lagTo)
      return false;
    if (!consume(Token::DotDot))
      return true;
    axis.lagFrom = std::move(axis.lagTo);
    axis.lagTo = parseExpr();
    return axis.lagTo != nullptr;
  });
}

bool Parser::parseAxis(AxisPattern &axis, bool allowBareLag) {
  size_t begin = position;
  auto finish = [&] {
    axis.range = rangeFrom(begin);
    return true;
  };
  auto endsAxis = [&](size_t ahead) {
    Kind kind = token(ahead).kind;
    return kind == Token::Comma || kind == Token::RBracket ||
           kind == Token::RParen;
  };
  if (consume(Token::DotDot)) {
    axis.kind = AxisPattern::Rest;
    return finish();
  }
  // `(c, h)` is two axes stored as one, `(a + b) * 2` a size.
  if (is(Token::LParen) &&
      (token().hasComma ||
       (token(1).kind == Token::Identifier && token(2).kind == Token::Colon))) {
    axis.kind = AxisPattern::Merged;
    return parseBracketed(Token::LParen, "the merged axes",
                          [&] {
                            return parseList(Token::RParen, [&] {
                              return parseAxis(axis.members.emplace_back());
                            });
                          }) &&
           finish();
  }
  bool isName = is(Token::Identifier);
  if (isName && isWord("lag") &&
      (endsAxis(1) || token(1).kind == Token::LParen)) {
    if (!allowBareLag)
      return error(token().range(),
                   "expected the name of an axis before its lags, as in "
                   "'j: lag(4)', found 'lag'");
    axis.kind = AxisPattern::Size;
    return parseLag(axis) && finish();
  }
  Kind next = token(1).kind;
  if (!isName || !(next == Token::Colon || next == Token::Equal ||
                   endsAxis(1) || isWord("pairs", 1))) {
    axis.kind = AxisPattern::Size;
    axis.size = parseExprOrRange();
    return axis.size && finish();
  }
  if (!expectName(axis.name, "the name of an axis"))
    return false;
  if (consume(Token::Equal)) {
    axis.isLength = true;
    axis.size = parseExpr();
    return axis.size && finish();
  }
  if (consume(Token::Colon)) {
    if (isWord("lag") && (endsAxis(1) || token(1).kind == Token::LParen))
      return parseLag(axis) && finish();
    if (isWord("seq") && endsAxis(1)) {
      advance();
      axis.extent = AxisPattern::Seq;
      return finish();
    }
    axis.size = parseExprOrRange();
    if (!axis.size)
      return false;
  }
  if (consumeWord("pairs"))
    axis.extent = AxisPattern::Pairs;
  return finish();
}

bool Parser::parseAxes(std::vector<AxisPattern> &axes, StringRef what) {
  return parseBracketed(Token::LBracket, what, [&] {
    return parseList(Token::RBracket,
                     [&] { return parseAxis(axes.emplace_back()); });
  });
}

/// `: complex` or `: int`.
bool Parser::parsePatternType(ast::Pattern &pattern) {
  if (!consume(Token::Colon))
    return true;
  if (consumeWord("complex"))
    pattern.isComplex = true;
  else if (consumeWord("int"))
    pattern.isInt = true;
  else
    return expected("'complex' or 'int' after ':'");
  return true;
}

bool Parser::parsePattern(ast::Pattern &pattern, const Twine &wanted) {
  DepthGuard guard(*this);
  if (!guard)
    return false;
  size_t begin = position;
  auto atAxes = [&] { return is(Token::LBracket) && !atNewLine(); };
  if (is(Token::LParen) && !atNewLine()) {
    pattern.isTuple = true;
    if (!parseBracketed(Token::LParen, "the tuple", [&] {
          return parseList(Token::RParen, [&] {
            return parsePattern(pattern.elements.emplace_back(), "a name");
          });
        }))
      return false;
    pattern.range = rangeFrom(begin);
    if (pattern.elements.empty())
      return error(pattern.range,
                   "expected a name between '(' and ')', found none");
    return true;
  }
  if (!expectName(pattern.name, wanted))
    return false;
  if (atAxes()) {
    pattern.hasAxes = true;
    if (!parseAxes(pattern.axes, "the axes"))
      return false;
  }
  if (!parsePatternType(pattern))
    return false;
  if (atAxes()) {
    // The first group was a family: one tensor for each index.
    if (pattern.hasAxes && pattern.axes.empty())
      return error(token().range(),
                   "expected an axis in the '[]' before, found none");
    pattern.family = std::move(pattern.axes);
    pattern.axes.clear();
    pattern.hasAxes = true;
    if (!parseAxes(pattern.axes, "the axes"))
      return false;
  }
  if (!pattern.isComplex && !pattern.isInt && !parsePatternType(pattern))
    return false;
  pattern.range = rangeFrom(begin);
  return true;
}

} // namespace ssmc
