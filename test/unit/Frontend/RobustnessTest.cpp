//===- RobustnessTest.cpp - Large, deep and broken texts ------------------===//

#include "SyntaxTesting.h"
#include "llvm/Support/MemoryBuffer.h"
#include "gtest/gtest.h"
#include <algorithm>
#include <random>

using namespace llvm;
using namespace ssmc;
using namespace ssmc::testing;

namespace {

std::string repeat(StringRef text, size_t count) {
  std::string result;
  result.reserve(text.size() * count);
  for (size_t i = 0; i < count; ++i)
    result += text;
  return result;
}

/// The only error of a text, without its place.
std::string onlyError(StringRef text) {
  Parsed parsed(text);
  EXPECT_EQ(parsed.errors, 1u);
  EXPECT_LT(parsed.output.size(), 2000u);
  StringRef line = StringRef(parsed.output).split('\n').first;
  return line.split(" error: ").second.str();
}

TEST(Robustness, DeepNesting) {
  const char *brackets = "brackets are nested deeper than 200 levels";
  EXPECT_EQ(onlyError("layer A(n) = " + repeat("(", 10000) + "1" +
                      repeat(")", 10000)),
            brackets);
  // The note shows where they begin.
  Parsed deep("layer A(n) = " + repeat("(", 300));
  EXPECT_NE(deep.output.find("1:14: note: the outermost one is here"),
            std::string::npos);
  EXPECT_EQ(onlyError("layer A(n) = " + repeat("a[", 10000)), brackets);
  EXPECT_EQ(onlyError("fn f(x) {" + repeat("if a {", 10000)), brackets);
  EXPECT_EQ(onlyError("fn f(x) { y" + repeat("[(", 10000)), brackets);
  Parsed parsed("layer A(n) = " + repeat("f(", 199) + "1" + repeat(")", 199));
  EXPECT_TRUE(parsed.module) << parsed.output;
}

TEST(Robustness, DeepWithoutBrackets) {
  for (StringRef text : {"-", "not ", "a^", "a => ", "sum(n) ",
                         "if a then b else ", "if ", "a ^ -"})
    EXPECT_EQ(onlyError(("layer A(n) = " + repeat(text, 100000))),
              "this is nested too deeply")
        << text.str();
  EXPECT_EQ(
      onlyError("fn f(x) {\n if a { } " + repeat("elif a { } ", 10000) + "\n}"),
      "this is nested too deeply");
}

TEST(Robustness, LongChains) {
  StringRef tooLong =
      "the expression has more than 1000 operators and calls; give names "
      "to parts of it";
  for (StringRef text : {"+ 1 ", "* a ", "(a)", "[a]", " or a"})
    EXPECT_EQ(onlyError(("layer A(n) = a" + repeat(text, 100000) + "\n")),
              tooLong);
  Parsed fits("layer A(n) = a" + repeat(" + 1", 1000));
  EXPECT_TRUE(fits.module) << fits.output;
}

TEST(Robustness, LargeTexts) {
  const size_t size = 10000000;
  EXPECT_EQ(onlyError(std::string(size, '(')),
            "brackets are nested deeper than 200 levels");
  EXPECT_EQ(onlyError("layer A(n) = \"" + std::string(size, 'a')),
            "expected '\"' to end the string before the end of the line");
  EXPECT_EQ(onlyError("layer A(n) = " + std::string(size, '1')),
            "the number is too large");
  EXPECT_EQ(onlyError(std::string(size, 'a')),
            "expected 'layer', 'model', 'fn', 'names' or 'import', found '" +
                std::string(40, 'a') + "...'");
  EXPECT_TRUE(Parsed(std::string(size, '/')).module);
  EXPECT_TRUE(Parsed(std::string(size, '\n')).module);
  EXPECT_TRUE(
      Parsed("layer A(n) {\n" + repeat("  let a[n] = b + 2\n", size / 20) + "}")
          .module);
}

TEST(Robustness, NoText) {
  std::mt19937 random(1);
  std::string bytes(1000000, '\0');
  for (char &byte : bytes)
    byte = char(random());
  EXPECT_EQ(onlyError(bytes).substr(0, 20), "expected UTF-8 text,");
  EXPECT_EQ(onlyError(StringRef("layer A(n) { \0 }", 16)),
            "expected UTF-8 text, found a NUL byte");
}

/// Every text is either accepted or has at least one error, and not very many.
void expectSane(StringRef text, unsigned maxErrors = 20) {
  Parsed parsed(text);
  EXPECT_EQ(parsed.module == nullptr, parsed.errors > 0) << text.str();
  EXPECT_LE(parsed.errors, maxErrors) << text.str() << "\n" << parsed.output;
}

TEST(Robustness, Prefixes) {
  for (auto &[name, text] : readInputs())
    for (size_t length = 0; length < text.size(); length += 7)
      expectSane(StringRef(text).take_front(length), 3);
}

/// One wrong token gives one error, rarely two: nothing cascades.
TEST(Robustness, OneWrongToken) {
  size_t texts = 0, severalErrors = 0;
  for (auto &[name, text] : readInputs()) {
    SourceMgr sources;
    unsigned id = sources.AddNewSourceBuffer(
        MemoryBuffer::getMemBuffer(text, name), SMLoc());
    Diagnostics diagnostics(sources, nulls());
    auto tokens = lex(diagnostics, id);
    ASSERT_TRUE(tokens);
    const char *wrong[] = {"", "(", ")", "{", "}", "[", "]", ",", "=", "let"};
    for (size_t i = 0; i < tokens->size(); i += 5) {
      const Token &token = (*tokens)[i];
      std::string changed = text;
      changed.replace(token.begin - text.data(), token.length,
                      wrong[texts++ % 10]);
      Parsed parsed(changed);
      EXPECT_EQ(parsed.module == nullptr, parsed.errors > 0);
      EXPECT_LE(parsed.errors, 8u) << name << "\n" << parsed.output;
      severalErrors += parsed.errors > 1;
    }
  }
  EXPECT_LT(severalErrors * 20, texts) << severalErrors << " of " << texts;
}

TEST(Robustness, ShuffledTokens) {
  std::mt19937 random(2);
  for (auto &[name, text] : readInputs()) {
    SmallVector<StringRef> words;
    StringRef(text).split(words, ' ', -1, false);
    for (int i = 0; i < 20; ++i) {
      std::shuffle(words.begin(), words.end(), random);
      std::string shuffled;
      for (StringRef word : words)
        shuffled += (word + " ").str();
      expectSane(shuffled, 21);
    }
  }
}

} // namespace
