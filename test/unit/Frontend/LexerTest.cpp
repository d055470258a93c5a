//===- LexerTest.cpp ------------------------------------------------------===//

#include "SyntaxTesting.h"
#include "llvm/Support/MemoryBuffer.h"
#include "gtest/gtest.h"

using namespace llvm;
using namespace ssmc;

namespace {

/// The spellings of the tokens, separated by blanks; errors as they are
/// printed.
std::string lexText(StringRef text) {
  SourceMgr sources;
  unsigned id = sources.AddNewSourceBuffer(
      MemoryBuffer::getMemBufferCopy(text, "t"), SMLoc());
  std::string output;
  raw_string_ostream os(output);
  Diagnostics diagnostics(sources, os);
  auto tokens = lex(diagnostics, id);
  if (!tokens || diagnostics.hasErrors())
    return output.substr(0, output.find('\n'));
  std::string result;
  for (const Token &token : *tokens) {
    if (token.kind == Token::EndOfFile)
      break;
    result += (result.empty() ? "" : " ") + token.text().str();
  }
  return result;
}

TEST(Lexer, Names) {
  EXPECT_EQ(lexText("a _b c1 flax.Dense a.b.c"), "a _b c1 flax.Dense a.b.c");
  EXPECT_EQ(lexText("0..n a..b 1 ..2"), "0 .. n a .. b 1 .. 2");
}

TEST(Lexer, Punctuation) {
  EXPECT_EQ(lexText("a<=b==c=>d->e!=f>=g=h|i~j@k^l%m"),
            "a <= b == c => d -> e != f >= g = h | i ~ j @ k ^ l % m");
}

TEST(Lexer, Numbers) {
  EXPECT_EQ(lexText("0 16 1.5 1e-5 64E+5 2e3"), "0 16 1.5 1e-5 64E+5 2e3");
  EXPECT_EQ(lexText("9007199254740992"), "9007199254740992");
  EXPECT_EQ(lexText("9007199254740993"),
            "9007199254740993"); // the double nearest to it is the bound itself
  EXPECT_EQ(lexText("90071992547409930"),
            "t:1:1: error: the integer is larger than 2^53");
  EXPECT_EQ(lexText("1e999"), "t:1:1: error: the number is too large");
  EXPECT_EQ(lexText("1."),
            "t:1:1: error: expected a digit after the decimal point");
  EXPECT_EQ(lexText(".5"),
            "t:1:1: error: expected a digit before the decimal point");
  EXPECT_EQ(lexText("1e+"), "t:1:1: error: expected a digit in the exponent");
  EXPECT_EQ(lexText("2ab"),
            "t:1:1: error: a name cannot begin with a digit; write "
            "'2 * ab' for a product");
}

TEST(Lexer, Strings) {
  EXPECT_EQ(lexText(R"("a.{i}" "" "\"\\")"), R"("a.{i}" "" "\"\\")");
  EXPECT_EQ(lexText("\"\xC3\xA9\""), "\"\xC3\xA9\"");
  EXPECT_EQ(lexText("a \"bc\n"), "t:1:3: error: expected '\"' to end the "
                                 "string before the end of the line");
  EXPECT_EQ(lexText("\"a\\n\""),
            "t:1:3: error: expected '\"' or '\\' after '\\' in a string");
}

TEST(Lexer, CommentOrFloorDivision) {
  EXPECT_EQ(lexText("// all of it\na"), "a");
  EXPECT_EQ(lexText("a  // two blanks\nb"), "a b");
  EXPECT_EQ(lexText("a\t// tab\nb"), "a b");
  EXPECT_EQ(lexText("a, // behind a comma\nb"), "a , b");
  EXPECT_EQ(lexText("{ // behind a brace\n}"), "{ }");
  EXPECT_EQ(lexText("a //"), "a");
  EXPECT_EQ(lexText("a // - no operand"), "a");
  EXPECT_EQ(lexText("a // b"), "a // b");
  EXPECT_EQ(lexText("a//b"), "a // b");
  EXPECT_EQ(lexText("f(a) //(b)"), "f ( a ) // ( b )");
  EXPECT_EQ(lexText("a[1]//2"), "a [ 1 ] // 2");
  EXPECT_EQ(lexText("a\n// b"), "a");
}

TEST(Lexer, LinesAndBlanks) {
  EXPECT_EQ(lexText("a\r\nb\tc \r\n"), "a b c");
  EXPECT_EQ(lexText("\xEF\xBB\xBF"
                    "a"),
            "a");
  EXPECT_EQ(lexText(""), "");
}

TEST(Lexer, NoText) {
  EXPECT_EQ(lexText("a \xFF b"),
            "t:1:3: error: expected UTF-8 text, found the byte 0xFF");
  EXPECT_EQ(lexText(StringRef("a\0b", 3)),
            "t:1:2: error: expected UTF-8 text, found a NUL byte");
  EXPECT_EQ(lexText("\xC3"),
            "t:1:1: error: expected UTF-8 text, found the byte 0xC3");
}

TEST(Lexer, UnknownCharacters) {
  EXPECT_EQ(lexText("a $$ b"), "t:1:3: error: unexpected '$$'");
  EXPECT_EQ(lexText("# c"),
            "t:1:1: error: unexpected '#'; a comment begins with '//'");
  EXPECT_EQ(lexText("a ; b"),
            "t:1:3: error: unexpected ';'; a statement ends with its line");
  EXPECT_EQ(lexText("'a'"),
            "t:1:1: error: unexpected '''; strings stand in double quotes");
  EXPECT_EQ(lexText("a && b"),
            "t:1:3: error: unexpected '&&'; the conjunction is 'and'");
  EXPECT_EQ(lexText("!a"),
            "t:1:1: error: unexpected '!'; the negation is 'not'");
  EXPECT_EQ(lexText("\xCE\xBB = 1"), "t:1:1: error: unexpected '\xCE\xBB'");
  EXPECT_EQ(lexText("a ... b"),
            "t:1:3: error: '...' is not part of the language; "
            "'..' is a range or 'the rest'");
  EXPECT_EQ(lexText("\x01"),
            "t:1:1: error: unexpected characters beginning with 0x1");
}

TEST(Lexer, BracketPairs) {
  SourceMgr sources;
  unsigned id = sources.AddNewSourceBuffer(
      MemoryBuffer::getMemBufferCopy("{ ( a , b ) [ } )", "t"), SMLoc());
  Diagnostics diagnostics(sources, nulls());
  auto tokens = lex(diagnostics, id);
  ASSERT_TRUE(tokens);
  EXPECT_EQ((*tokens)[0].partner, 7u); // a brace closes over what is open in it
  EXPECT_EQ((*tokens)[1].partner, 5u);
  EXPECT_TRUE((*tokens)[1].hasComma);
  EXPECT_FALSE((*tokens)[0].hasComma);
  EXPECT_EQ((*tokens)[6].partner, Token::none);
  EXPECT_EQ((*tokens)[8].partner, Token::none);
  EXPECT_EQ((*tokens)[2].parent, 1u);
}

} // namespace
