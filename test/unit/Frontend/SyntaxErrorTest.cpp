//===- SyntaxErrorTest.cpp - What errors say and where --------------------===//
//
// Each entry is a text and everything that is printed about it, without source
// lines: positions, errors, notes.
//
//===----------------------------------------------------------------------===//

#include "SyntaxTesting.h"
#include "llvm/ADT/StringExtras.h"
#include "gtest/gtest.h"

using namespace llvm;
using namespace ssmc::testing;

namespace {

struct Case {
  const char *text;
  std::vector<const char *> messages; // "LINE:COLUMN: KIND: TEXT"
};

std::vector<std::string> messagesOf(StringRef text) {
  Parsed parsed(text);
  EXPECT_EQ(parsed.module == nullptr, parsed.errors != 0);
  SmallVector<StringRef> lines;
  StringRef(parsed.output).split(lines, '\n');
  std::vector<std::string> messages;
  for (StringRef line : lines)
    if (line.consume_front("test.ssm:"))
      messages.push_back(line.str());
  return messages;
}

void check(ArrayRef<Case> cases, StringRef before, StringRef after) {
  for (const Case &entry : cases) {
    std::string text = (before + entry.text + after).str();
    std::vector<std::string> wanted(entry.messages.begin(),
                                    entry.messages.end());
    EXPECT_EQ(join(messagesOf(text), "\n"), join(wanted, "\n")) << text;
  }
}

// In a function body; the text begins in line 2, column 1.
const Case statements[] = {
    {"y = f(a b)",
     {"2:9: error: expected ',' or ')' to end the arguments, found 'b'",
      "2:6: note: the '(' is here"}},
    {"y = f(a",
     {"3:1: error: expected ',' or ')' to end the arguments, found 'z'",
      "2:6: note: the '(' is here"}},
    {"y = (1 + 2",
     {"3:1: error: expected ',' or ')' to end the parenthesis, found 'z'",
      "2:5: note: the '(' is here"}},
    {"y = u[t)",
     {"2:8: error: expected ',' or ']' to end the indices, found ')'",
      "2:6: note: the '[' is here"}},
    {"y = f(\nlet z = 2",
     {"3:1: error: expected an expression, found the keyword 'let'",
      "2:6: note: the '(' here is not closed"}},
    {"y = [n == m",
     {"3:1: error: expected ',' or ']' to end the condition '[...]', found 'z'",
      "2:5: note: the '[' is here"}},
    {"y =", {"2:4: error: expected an expression, found the end of the line"}},
    {"y = 1 +",
     {"2:8: error: expected an expression, found the end of the line"}},
    {"y = * 2", {"2:5: error: expected an expression, found '*'"}},
    {"y = ()",
     {"2:5: error: expected an expression between '(' and ')', found none"}},
    {"y = (a,)",
     {"2:5: error: expected at least two elements in a tuple, found one"}},
    {"y = x[]",
     {"2:6: error: expected an index between '[' and ']', found none"}},
    {"y = a < b < c",
     {"2:11: error: comparisons do not chain; join two of them with 'and'",
      "2:7: note: the first comparison is here"}},
    {"y = if a then b",
     {"2:16: error: expected 'else' or 'elif', found the end of the line; an "
      "'if' that "
      "is a value needs an 'else'",
      "2:5: note: the 'if' is here"}},
    {"y = if a b else c",
     {"2:10: error: expected 'then' after the condition, found 'b'",
      "2:5: note: the 'if' is here"}},
    {"y = a + if b then c else d",
     {"2:9: error: expected an operand, found the keyword 'if'; an 'if' inside "
      "a larger "
      "expression needs parentheses"}},
    {"y = a == not b",
     {"2:10: error: expected an operand, found the keyword 'not'; a 'not' "
      "inside a "
      "larger expression needs parentheses"}},
    {"y = match d { a: 1 b: 2 }",
     {"2:20: error: expected ',' or '}' to end the arms of 'match', found 'b'",
      "2:13: note: the '{' is here"}},
    {"y = match d { }",
     {"2:5: error: expected 'label: value' in 'match', found none"}},
    {"y = match d { a 1 }",
     {"2:17: error: expected ':' after the label, found '1'"}},
    {"y = match d { 1.5: 1 }",
     {"2:15: error: expected a name or a whole number, found '1.5'"}},
    {"y = sum(n)",
     {"2:11: error: expected the operand of 'sum' behind its axes, found the "
      "end of the "
      "line"}},
    {"y = sum() x",
     {"2:5: error: expected an axis in the parentheses of 'sum', found none"}},
    {"y = sum(2*n) x",
     {"2:9: error: expected the name of an axis, found '2'",
      "2:5: note: 'sum' is followed by axes in parentheses and then by its "
      "operand on "
      "the same line"}},
    {"y = sum(f(x)) x",
     {"2:10: error: expected ',' or ')' after the axis, found '('",
      "2:5: note: 'sum' is followed by axes in parentheses and then by its "
      "operand on "
      "the same line"}},
    {"y = f(a = 1, b)",
     {"2:14: error: expected 'name = value', found an argument by position "
      "after one by "
      "name",
      "2:7: note: the argument by name is here"}},
    {"y = f(.., ..)", {"2:11: error: '..' stands twice in this call"}},
    {"y = config x",
     {"2:12: error: expected a string after 'config', the name of a field of "
      "config.json, found 'x'"}},
    {"y == 3",
     {"2:3: error: expected '=' after the name that is defined, found '=='"}},
    {"f(x)",
     {"2:2: error: expected '=' after the name, found '('; a call is no "
      "statement, its "
      "value needs a name"}},
    {"a = 1 b = 2",
     {"2:7: error: expected the end of the line, found 'b'; ',' separates "
      "definitions "
      "on one line"}},
    {"a = 1 // the rest",
     {"2:14: error: expected the end of the line, found 'rest'",
      "2:7: note: '//' between operands is floor division; a comment behind "
      "code needs "
      "two blanks before it"}},
    {"a = b; c = d",
     {"2:6: error: unexpected ';'; a statement ends with its line"}},
    {"a = 3x",
     {"2:5: error: a name cannot begin with a digit; write '3 * x' for a "
      "product"}},
    {"a = \"b",
     {"2:5: error: expected '\"' to end the string before the end of the "
      "line"}},
    {"flax.a = 1",
     {"2:1: error: expected a name to define, found 'flax.a'; a name that is "
      "declared "
      "has no '.'"}},
    {"w[][d] = 1", {"2:4: error: expected an axis in the '[]' before, found none"}},
    {"let = 3", {"2:5: error: expected a name to define, found '='"}},
    {"y: real[t] = 3",
     {"2:4: error: expected 'complex' or 'int' after ':', found 'real'"}},
    {"y[t = \n",
     {"4:3: error: expected ',' or ']' to end the axes, found '='",
      "2:2: note: the '[' is here"}},
    {"y[lag(3)] = x",
     {"2:3: error: expected the name of an axis before its lags, as in 'j: "
      "lag(4)', "
      "found 'lag'"}},
    {"() = x", {"2:1: error: expected a name between '(' and ')', found none"}},
    {"return",
     {"2:7: error: expected an expression, found the end of the line"}},
    {"+ 1", {"2:1: error: expected a statement, found '+'"}},
    {"part p = A()",
     {"2:1: error: expected a statement, found 'part', which belongs in a "
      "layer and not "
      "in a function"}},
    {"discretize zoh, step 1",
     {"2:1: error: expected a statement, found 'discretize', which belongs in "
      "a state "
      "block"}},
    {"for i 0 .. 3 { }",
     {"2:7: error: expected 'in' after the index, found '0'"}},
    {"for i in 0 3 { }",
     {"2:12: error: expected '..' between the bounds of 'for', found '3'"}},
    {"for i in 0 .. 3\n",
     {"2:16: error: expected '{' to begin the body of the loop, found the end "
      "of the "
      "line"}},
    {"over s t",
     {"2:8: error: expected ':' and the axis it runs over, found 't'"}},
    {"if a then b = c",
     {"2:6: error: expected '{' after the condition, found the keyword 'then'; "
      "'if ... "
      "then ... else' is a value and no statement"}},
    // Several statements: one error for each.
    {"a = 1 +\nb = (2\nc = 3 3\nd = 4",
     {"2:8: error: expected an expression, found the end of the line",
      "4:1: error: expected ',' or ')' to end the parenthesis, found 'c'",
      "3:5: note: the '(' is here",
      "4:7: error: expected the end of the line, found '3'"}},
    {"y = f(a,\n  b c,\n  d)",
     {"3:5: error: expected ',' or ')' to end the arguments, found 'c'",
      "2:6: note: the '(' is here"}},
};

TEST(SyntaxErrors, Statements) {
  check(statements, "fn f(x) {\n", "\nz = 1\n}\n");
}

const Case states[] = {
    {"state s[n { s = 1 }",
     {"2:11: error: expected ',' or ']' to end the axes, found '{'",
      "2:8: note: the '[' is here"}},
    {"state s[n] { }",
     {"2:12: error: expected an update line 'ds/dt = ...' or 's = ...' in the "
      "state "
      "block, found none"}},
    {"state s[n] { dx/dt = 1 }",
     {"2:14: error: expected 'ds' on the left of '/', found 'dx'; the state is "
      "'s'"}},
    {"state s[n] { ds/x = 1 }",
     {"2:17: error: expected 'dt' after 'ds/', found 'x'"}},
    {"state (a, b) { }",
     {"2:7: error: expected the name of one state, found a tuple"}},
    {"state s[n] along a along b { s = s }",
     {"2:20: error: 'along' stands twice in this state block"}},
    {"state s[n] s = s",
     {"2:12: error: expected '{', 'along', 'from' or 'to' after the name of "
      "the state, "
      "found 's'"}},
    {"state s[n] {\n s = s\n discretize zoh\n}",
     {"4:16: error: expected ',' and 'step' after the rule, found the end of "
      "the line"}},
    {"state s[n] {\n s = s\n discretize zoh, stride 1\n}",
     {"4:18: error: expected 'step' and the length of a step, found 'stride'"}},
    {"state s[n] {\n s = s\n discretize zoh for x, step 1\n}",
     {"4:21: error: expected the state 's' after 'for', found 'x'"}},
    {"state s[n] {\n s = s\n discretize zoh for s, step 1\n}",
     {"4:29: error: expected 'for' and 'input' after the second rule, found "
      "'1'"}},
    {"state s[n] {\n s = s\n discretize a, step 1\n discretize b, step 2\n}",
     {"5:2: error: 'discretize' stands twice in this state block",
      "4:2: note: the first one is here"}},
    {"state s[n] {\n s = s +\n t = ]\n discretize zoh, step 1\n}",
     {"3:9: error: expected an expression, found the end of the line",
      "4:6: error: expected an expression, found ']'"}},
};

TEST(SyntaxErrors, States) { check(states, "fn f(x) {\n", "\nz = 1\n}\n"); }

const Case declarations[] = {
    {"foo",
     {"1:1: error: expected 'layer', 'model', 'fn', 'names' or 'import', found "
      "'foo'"}},
    {"}",
     {"1:1: error: expected 'layer', 'model', 'fn', 'names' or 'import', found "
      "'}'",
      "1:1: note: this '}' closes nothing"}},
    {"layer A {}",
     {"1:9: error: expected '(' to begin the parameters of the layer, found "
      "'{'"}},
    {"layer (n) {}", {"1:7: error: expected the name of the layer, found '('"}},
    {"layer A(n {}",
     {"1:11: error: expected ',' or ')' to end the parameters of the layer, "
      "found '{'",
      "1:8: note: the '(' is here"}},
    {"layer A(1) {}",
     {"1:9: error: expected the name of a parameter, found '1'"}},
    {"layer A(n: ) {}",
     {"1:12: error: expected a name or a whole number, found ')'"}},
    {"layer A(n = ) {}", {"1:13: error: expected an expression, found ')'"}},
    {"layer A(n)\nlayer B() { }",
     {"1:11: error: expected '{' or '=' after the parameters of the layer, "
      "found the end "
      "of the line"}},
    {"layer A(n) = ",
     {"1:13: error: expected an expression, found the end of the file"}},
    {"model M for mamba () { }",
     {"1:13: error: expected a string after 'for', the \"model_type\" of "
      "config.json, "
      "found 'mamba'"}},
    {"layer A(n) { x = 1 }",
     {"1:14: error: expected 'let', 'part', 'weight', 'kernel' or 'fn' before "
      "a "
      "definition in a layer, found 'x'"}},
    {"layer A(n) { if a { } }",
     {"1:14: error: expected 'let', 'part', 'weight', 'weights', 'kernel', "
      "'table' or "
      "'fn', found the keyword 'if'"}},
    {"layer A(n) { weight a.b[n] }",
     {"1:21: error: expected the name of a weight, found 'a.b'; its name in "
      "the "
      "checkpoint is a string behind 'at'"}},
    {"layer A(n) { weight a[n] at b }",
     {"1:29: error: expected a string after 'at', the weight's name, found "
      "'b'"}},
    {"layer A(n) { weights { a[n] } }",
     {"1:22: error: expected 'at' and the prefix of the group after 'weights', "
      "found "
      "'{'"}},
    {"layer A(n) {\n weights at \"k\" {\n  a[n] b[n]\n  3\n }\n let x = 1 2\n}",
     {"3:8: error: expected the end of the line, found 'b'",
      "6:12: error: expected the end of the line, found '2'"}},
    {"layer A(n) { part p[] = B() }",
     {"1:20: error: expected an index between '[' and ']', found none"}},
    {"layer A(n) { part p }",
     {"1:21: error: expected '=' after the name of the part, found '}'"}},
    {"layer A(n) { part p = B() at x }",
     {"1:30: error: expected a string after 'at', the prefix of the weights' "
      "names, "
      "found 'x'"}},
    {"layer A(n) { let a = 1 let b = 2 }",
     {"1:24: error: expected the end of the line, found the keyword 'let'; ',' "
      "separates "
      "definitions on one line"}},
    {"layer A(n) { fn f(x)\n let a = 3 }",
     {"1:21: error: expected '{' or '=' after the head of the function, found "
      "the end of "
      "the line"}},
    {"layer A(n) { fn f(x) -> { } }",
     {"1:25: error: expected the name of a result, found '{'"}},
    {"fn f(x) -> () { }",
     {"1:12: error: expected a result between '(' and ')', found none"}},
    {"fn f(x) cut t { }",
     {"1:15: error: expected 'where' after the axis, found '{'"}},
    {"fn f(x y) { z = ) }",
     {"1:8: error: expected ',' or ')' to end the parameters, found 'y'",
      "1:5: note: the '(' is here",
      "1:17: error: expected an expression, found ')'"}},
    {"import",
     {"1:7: error: expected the name of a module, found the end of the file"}},
    {"import a (",
     {"1:11: error: expected a name, found the end of the file",
      "1:10: note: the '(' here is not closed"}},
    {"import a ()",
     {"1:10: error: expected a name between '(' and ')', found none"}},
    {"names = a", {"1:7: error: expected the name of the list, found '='"}},
    {"names A b", {"1:9: error: expected '=' before the names, found 'b'"}},
    {"names A = a |",
     {"1:14: error: expected a name or a whole number, found the end of the "
      "file"}},
};

TEST(SyntaxErrors, Declarations) { check(declarations, "", "\n"); }

const Case braces[] = {
    {"layer A(n) {\n  let a = 1\nlayer B(n) { }\n",
     {"3:1: error: expected '}' to end the body of the layer, found 'layer'",
      "1:12: note: the '{' is here"}},
    {"layer A(n) {\n  fn f(x) {\n    if x {\n      y = 1\n    z = 2\n  }\n}\n",
     {"7:2: error: expected '}' to end the body of the layer, found the end of "
      "the file",
      "1:12: note: the '{' is here",
      "3:10: note: this '{' may be the one that is not closed"}},
    {"layer A(n) {\n  fn f(x) {\n    y = 1\n    }\n    z = 2\n  }\n  let b = 3 "
     "3\n}\n"
     "layer B(n) { let c = 1 1 }\n",
     {"5:5: error: expected 'let', 'part', 'weight', 'kernel' or 'fn' before a "
      "definition in a layer, found 'z'",
      "4:5: note: this '}' may be one too many",
      "9:24: error: expected the end of the line, found '1'"}},
    {"layer A(n) {\n  weights at \"k\"\n    a[n]\n    b[n]\n  }\n  let b = "
     "3\n}\n",
     {"2:17: error: expected '{' to begin the body of the group of weights, "
      "found the "
      "end of the line",
      "5:3: note: this '}' may be one too many"}},
};

TEST(SyntaxErrors, Braces) { check(braces, "", ""); }

TEST(SyntaxErrors, CaretAndRange) {
  Parsed parsed("layer A(n) {\n  let a = match d { }\n}\n");
  EXPECT_EQ(
      parsed.output,
      "test.ssm:2:11: error: expected 'label: value' in 'match', found none\n"
      "  let a = match d { }\n"
      "          ^~~~~~~~~~~\n");
}

TEST(SyntaxErrors, LongLinesAreShownInPart) {
  std::string text =
      "layer A(n) = " + std::string(5000, ' ') + ")" + std::string(5000, ' ');
  Parsed parsed(text);
  EXPECT_EQ(parsed.output,
            "test.ssm:1:5014: error: expected an expression, found ')'\n..." +
                std::string(40, ' ') + ")" + std::string(39, ' ') + "...\n" +
                std::string(43, ' ') + "^\n");
}

TEST(SyntaxErrors, StopsAfterTwenty) {
  std::string text = "layer A(n) {\n";
  for (int i = 0; i < 100; ++i)
    text += "  let a = )\n";
  Parsed parsed(text + "}\n");
  EXPECT_EQ(parsed.errors, 20u);
  EXPECT_NE(parsed.output.find("too many errors"), std::string::npos);
}

} // namespace
