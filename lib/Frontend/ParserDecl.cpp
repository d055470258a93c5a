//===- ParserDecl.cpp - Parsing of declarations ---------------------------===//
//
// Imports, lists of names, layers, functions, parts and weights.
//
//===----------------------------------------------------------------------===//

#include "ParserImpl.h"

using namespace llvm;

namespace ssmc {

//===----------------------------------------------------------------------===//
// Imports, lists of names
//===----------------------------------------------------------------------===//

/// A name, `true`, `false` or a whole number.
bool Parser::parseChoice(ast::Ident &choice) {
  if (is(Token::Number) && !atNewLine()) {
    if (token().text().find_first_not_of("0123456789") != StringRef::npos)
      return expected("a name or a whole number");
    choice = {token().text().str(), token().range()};
    advance();
    return true;
  }
  return expectName(choice, "a name or a whole number");
}

bool Parser::parseChoices(std::vector<ast::Ident> &choices) {
  do {
    if (!parseChoice(choices.emplace_back()))
      return false;
  } while (consume(Token::Bar));
  return true;
}

/// Behind `:` of a parameter: `zoh | bilinear`, or the name of a list of names.
bool Parser::parseChoicesOrType(std::vector<ast::Ident> &choices,
                                ast::Ident &type) {
  bool isNumber = is(Token::Number);
  if (!parseChoices(choices))
    return false;
  if (choices.size() == 1 && !isNumber) {
    type = std::move(choices.front());
    choices.clear();
  }
  return true;
}

bool Parser::parseImport(ast::Module &module) {
  advance();
  do {
    ast::ImportDecl &import = module.imports.emplace_back();
    if (!expectName(import.module, "the name of a module"))
      return false;
    if (!is(Token::LParen) || atNewLine())
      continue;
    size_t begin = position;
    if (!parseBracketed(Token::LParen, "the imported names", [&] {
          return parseList(Token::RParen, [&] {
            return expectName(import.names.emplace_back(), "a name");
          });
        }))
      return false;
    if (import.names.empty())
      return error(rangeFrom(begin),
                   "expected a name between '(' and ')', found none");
  } while (consume(Token::Comma));
  return true;
}

bool Parser::parseNames(ast::Module &module) {
  advance();
  ast::NamesDecl &names = module.names.emplace_back();
  return expectName(names.name, "the name of the list") &&
         expect(Token::Equal, " before the names") &&
         parseChoices(names.choices);
}

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

bool Parser::parseLayerParam(ast::LayerDecl &layer) {
  ast::Param &param = layer.params.emplace_back();
  if (!expectName(param.name, "the name of a parameter"))
    return false;
  if (consume(Token::Colon) && !parseChoicesOrType(param.choices, param.type))
    return false;
  if (consume(Token::Equal) && !(param.defaultValue = parseValue()))
    return false;
  if (consumeWord("test") && !(param.testValue = parseValue()))
    return false;
  return true;
}

/// `layer Name(params) { members }`; `model Name for "type" (params) ...`.
std::unique_ptr<ast::LayerDecl> Parser::parseLayer() {
  size_t begin = position;
  auto layer = std::make_unique<ast::LayerDecl>();
  layer->isModel = isWord("model");
  StringRef what = token().text();
  advance();
  if (!expectName(layer->name, "the name of the " + what))
    return nullptr;
  if (layer->isModel && consume(Token::KwFor) &&
      !expectString(layer->modelType,
                    "a string after 'for', the \"model_type\" of config.json"))
    return nullptr;
  bool good =
      parseBracketed(Token::LParen, "the parameters of the " + what, [&] {
        return parseList(Token::RParen,
                         [&] { return parseLayerParam(*layer); });
      });
  if (good && !is(Token::Equal) && !is(Token::LBrace))
    good = expected("'{' or '=' after the parameters of the " + what);
  if (!good && !skipToBody())
    return nullptr;
  if (consume(Token::Equal)) {
    layer->alias = parseValue();
    if (!layer->alias || !endStatement(false))
      return nullptr;
  } else {
    SaveAndRestore members(amongMembers, true);
    if (!parseBlock(what, layer->members, [&](std::vector<ast::StmtPtr> &body) {
          return parseMember(body);
        }))
      return nullptr;
  }
  layer->range = rangeFrom(begin);
  return layer;
}

bool Parser::parseMember(std::vector<ast::StmtPtr> &members) {
  switch (token().kind) {
  case Token::KwLet:
    return parseAssigns(ast::Stmt::Let, members) && endStatement(false);
  case Token::KwKernel:
    return parseAssigns(ast::Stmt::Kernel, members) && endStatement(false);
  case Token::KwTable:
    return parseAssigns(ast::Stmt::Table, members) && endStatement(false);
  case Token::KwPart:
    return parseParts(members) && endStatement(false);
  case Token::KwWeight:
    advance();
    return parseWeights(members, std::nullopt) && endStatement(false);
  case Token::KwWeights:
    return parseWeightGroup(members) && endStatement(true);
  case Token::KwFn: {
    std::unique_ptr<ast::FnDecl> fn = parseFn();
    if (!fn)
      return false;
    members.push_back(std::move(fn));
    return endStatement(true);
  }
  default:
    if (is(Token::Identifier) &&
        (token(1).kind == Token::Equal || token(1).kind == Token::LBracket))
      return expected(
          "'let', 'part', 'weight', 'kernel' or 'fn' before a definition "
          "in a layer");
    return expected(
        "'let', 'part', 'weight', 'weights', 'kernel', 'table' or 'fn'");
  }
}

/// Gives the condition at the end of a line to all definitions of the line that
/// have none: `part a = A(), b = B() if c`.
template <typename Definition>
static void shareCondition(std::vector<ast::StmtPtr> &members, size_t first,
                           size_t last) {
  auto &owner = *cast<Definition>(members[last].get());
  for (size_t i = last; i-- > first;) {
    auto &definition = *cast<Definition>(members[i].get());
    if (definition.condition)
      return;
    definition.condition = owner.condition;
  }
}

/// `part a[i: n] = A() at "a.{i}" if c, b = B()`.
bool Parser::parseParts(std::vector<ast::StmtPtr> &members) {
  advance();
  size_t first = members.size();
  do {
    itemStart = position;
    size_t begin = position;
    auto part = std::make_unique<ast::PartStmt>(SMRange());
    if (!expectName(part->name, "the name of a part"))
      return false;
    size_t familyAt = position;
    if (is(Token::LBracket) &&
        !parseAxes(part->family, "the indices of the parts"))
      return false;
    if (position != familyAt && part->family.empty())
      return error(rangeFrom(familyAt),
                   "expected an index between '[' and ']', found none");
    if (!expect(Token::Equal, " after the name of the part"))
      return false;
    part->value = parseValue();
    if (!part->value)
      return false;
    if (consume(Token::KwAt) &&
        !expectString(part->at.emplace(),
                      "a string after 'at', the prefix of the weights' names"))
      return false;
    if (consume(Token::KwIf) && !(part->condition = parseValue()))
      return false;
    part->range = rangeFrom(begin);
    bool conditional = part->condition != nullptr;
    members.push_back(std::move(part));
    if (conditional)
      shareCondition<ast::PartStmt>(members, first, members.size() - 1);
  } while (consume(Token::Comma));
  return true;
}

/// `A[h: H] at "A" ~ init if c else e, B[h]`, behind the word `weight` or as a
/// line of a group.
bool Parser::parseWeights(std::vector<ast::StmtPtr> &members,
                          const std::optional<std::string> &group) {
  size_t first = members.size();
  do {
    itemStart = position;
    if (group && is(Token::RBrace))
      return true; // a comma before the end of the group
    size_t begin = position;
    auto weight = std::make_unique<ast::WeightStmt>(SMRange());
    weight->group = group;
    if (is(Token::Identifier) && token().text().contains('.'))
      return error(token().range(),
                   "expected the name of a weight, found '" + token().text() +
                       "'; its name in the checkpoint is a string behind 'at'");
    if (!parsePattern(weight->target, "the name of a weight"))
      return false;
    if (consume(Token::KwAt) &&
        !expectString(weight->at.emplace(),
                      "a string after 'at', the weight's name"))
      return false;
    if (consume(Token::Tilde) && !(weight->init = parseValue()))
      return false;
    if (consume(Token::KwIf)) {
      SaveAndRestore elses(elseTaken, true);
      if (!(weight->condition = parseValue()))
        return false;
      if (consume(Token::KwElse) && !(weight->otherwise = parseValue()))
        return false;
    }
    weight->range = rangeFrom(begin);
    bool shared = weight->condition && !weight->otherwise;
    members.push_back(std::move(weight));
    if (shared)
      shareCondition<ast::WeightStmt>(members, first, members.size() - 1);
  } while (consume(Token::Comma));
  return true;
}

/// `weights at "prefix" { lines }`.
bool Parser::parseWeightGroup(std::vector<ast::StmtPtr> &members) {
  advance();
  std::optional<std::string> group;
  if (!expect(Token::KwAt, " and the prefix of the group after 'weights'") ||
      !expectString(group.emplace(),
                    "a string after 'at', the prefix of the weights' names"))
    return false;
  return parseBlock("group of weights", members,
                    [&](std::vector<ast::StmtPtr> &body) {
                      return parseWeights(body, group) && endStatement(false);
                    });
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

/// `x[t, h]`, `dt[t] if variable`, `shared b[d]`, `disc: zoh | bilinear`,
/// `s0[h, n] = 0`.
bool Parser::parseFnParam(ast::FnDecl &fn) {
  ast::FnDecl::Param &param = fn.params.emplace_back();
  if (isWord("shared") && token(1).kind == Token::Identifier)
    param.shared = consumeWord("shared");
  else if (isWord("batched") && token(1).kind == Token::Identifier)
    param.batched = consumeWord("batched");
  bool hasChoices = is(Token::Identifier) && token(1).kind == Token::Colon &&
                    !isWord("complex", 2) && !isWord("int", 2);
  if (hasChoices) {
    size_t begin = position;
    if (!expectName(param.pattern.name, "the name of a parameter"))
      return false;
    param.pattern.range = rangeFrom(begin);
    advance();
    if (!parseChoicesOrType(param.choices, param.type))
      return false;
  } else if (!parsePattern(param.pattern, "the name of a parameter")) {
    return false;
  }
  if (consume(Token::Equal) && !(param.defaultValue = parseValue()))
    return false;
  if (consume(Token::KwIf) && !(param.condition = parseValue()))
    return false;
  return true;
}

/// `-> y[t, h]` or `-> (y[t, h], s[h, n] if c)`.
bool Parser::parseFnResults(ast::FnDecl &fn) {
  advance();
  auto parseResult = [&] {
    ast::FnDecl::Result &result = fn.results.emplace_back();
    if (!parsePattern(result.pattern, "the name of a result"))
      return false;
    return !consume(Token::KwIf) || (result.condition = parseValue());
  };
  if (!is(Token::LParen))
    return parseResult();
  size_t begin = position;
  if (!parseBracketed(Token::LParen, "the results",
                      [&] { return parseList(Token::RParen, parseResult); }))
    return false;
  if (fn.results.empty())
    return error(rangeFrom(begin),
                 "expected a result between '(' and ')', found none");
  return true;
}

/// All of a function before `=` or `{`.
bool Parser::parseFnHead(ast::FnDecl &fn) {
  if (!expectName(fn.name, "the name of the function") ||
      !parseBracketed(Token::LParen, "the parameters", [&] {
        return parseList(Token::RParen, [&] { return parseFnParam(fn); });
      }))
    return false;
  if (is(Token::LBracket) &&
      !parseAxes(fn.resultAxes, "the axes of the result"))
    return false;
  if (is(Token::Arrow) && !parseFnResults(fn))
    return false;
  if (consumeWord("cut") && (!expectName(fn.cutAxis, "the axis after 'cut'") ||
                             !expect(Token::KwWhere, " after the axis") ||
                             !(fn.cutWhere = parseValue())))
    return false;
  if (is(Token::Equal) || is(Token::LBrace))
    return true;
  return expected("'{' or '=' after the head of the function");
}

std::unique_ptr<ast::FnDecl> Parser::parseFn() {
  size_t begin = position;
  advance();
  auto fn = std::make_unique<ast::FnDecl>(SMRange());
  // Errors of the body are worth knowing even if the head has one.
  if (!parseFnHead(*fn) && !skipToBody())
    return nullptr;
  if (consume(Token::Equal)) {
    fn->value = parseValue();
    if (!fn->value || !endStatement(false))
      return nullptr;
  } else if (!parseFnBody("function", fn->body)) {
    return nullptr;
  }
  fn->range = rangeFrom(begin);
  return fn;
}

} // namespace ssmc
