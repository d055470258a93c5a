//===- ParserTest.cpp - Every construct of the language -------------------===//

#include "SyntaxTesting.h"
#include "llvm/Support/MemoryBuffer.h"
#include "gtest/gtest.h"

using namespace llvm;
using namespace ssmc;
using namespace ssmc::testing;

namespace {

using Texts = std::vector<std::string>;

TEST(Parser, Precedence) {
  EXPECT_EQ(showValue("a + b * c - d"), "(- (+ a (* b c)) d)");
  EXPECT_EQ(showValue("a * b / c % d @ e"), "(@ (% (/ (* a b) c) d) e)");
  EXPECT_EQ(showValue("t // c == s // c"), "(== (// t c) (// s c))");
  EXPECT_EQ(showValue("-a^2"), "(- (^ a 2))");
  EXPECT_EQ(showValue("-a * b"), "(* (- a) b)");
  EXPECT_EQ(showValue("2^-5"), "(^ 2 (- 5))");
  EXPECT_EQ(showValue("a^b^c"), "(^ a (^ b c))");
  EXPECT_EQ(showValue("(1 + j)^-decay[h] * b"),
            "(* (^ (+ 1 j) (- (at decay h))) b)");
  EXPECT_EQ(showValue("K^-0.5 * x"), "(* (^ K (- 0.5)) x)");
  EXPECT_EQ(showValue("a or b and not c == d"),
            "(or a (and b (not (== c d))))");
  EXPECT_EQ(showValue("not not a"), "(not (not a))");
  EXPECT_EQ(showValue("a < b + 1 and c >= d"), "(and (< a (+ b 1)) (>= c d))");
  EXPECT_EQ(showValue("a != b"), "(!= a b)");
  EXPECT_EQ(showValue("- - a - -b"), "(- (- (- a)) (- b))");
  EXPECT_EQ(showValue("mix(x) @ g1 @ g2"), "(@ (@ mix(x) g1) g2)");
}

TEST(Parser, Conditional) {
  EXPECT_EQ(showValue("if a then b else c + d"), "(if a b else (+ c d))");
  EXPECT_EQ(showValue("if a then b elif c then d else e"),
            "(if a b c d else e)");
  EXPECT_EQ(showValue("if a then if b then c else d else e"),
            "(if a (if b c else d) else e)");
  EXPECT_EQ(showValue("(if a then 2 else 1) * b"), "(* (if a 2 else 1) b)");
  EXPECT_EQ(showValue("if a then b\n  elif c then d\n  else e"),
            "(if a b c d else e)");
  EXPECT_EQ(showValue("match d { a: 1, 2: b, true: c }"),
            "(match d a: 1, 2: b, true: c)");
  EXPECT_EQ(showValue("x + match d {\n a: 1,\n b: 2\n  + 3,\n} * 2"),
            "(+ x (* (match d a: 1, b: (+ 2 3)) 2))");
  EXPECT_EQ(showValue("[n == m] * a"), "(* [(== n m)] a)");
}

TEST(Parser, Calls) {
  EXPECT_EQ(showValue("f()"), "f()");
  EXPECT_EQ(showValue("f(a, b = c + 1, ..)"), "f(a, b=(+ c 1), ..)");
  EXPECT_EQ(showValue("S5(..)"), "S5(..)");
  EXPECT_EQ(showValue("mixer[i](norm[i](x))"), "(at mixer i)((at norm i)(x))");
  EXPECT_EQ(showValue("flax.Dense(H, H)"), "flax.Dense(H, H)");
  EXPECT_EQ(showValue("f(x)[t, (h, k)]"), "(at f(x) t, <h, k>)");
  EXPECT_EQ(showValue("split(x, (h, p: P), h, a: 2*R)"),
            "split(x, <h, p: P>, h, {a: (* 2 R)})");
  EXPECT_EQ(showValue("rfft(f[t], t -> m, 2*L)"),
            "rfft((at f t), t->m, (* 2 L))");
  EXPECT_EQ(showValue("f(lag(2), j: lag)"), "f({ lag(2)}, {j lag})");
  EXPECT_EQ(showValue("impulse(u => f(u))[j]"), "(at impulse((u => f(u))) j)");
  EXPECT_EQ(showValue("(a, b) => a"), "(a b => a)");
  EXPECT_EQ(showValue("f(a,)"), "f(a)");
  EXPECT_EQ(showValue("(a, b, c)"), "<a, b, c>");
}

TEST(Parser, Indices) {
  EXPECT_EQ(showValue("x[t-1 else s0]"), "(at x (- t 1) else s0)");
  EXPECT_EQ(showValue("x[t-1 else s0[h, n], h]"),
            "(at x (- t 1) else (at s0 h, n), h)");
  EXPECT_EQ(showValue("A[h % S] * k[h // R]"),
            "(* (at A (% h S)) (at k (// h R)))");
  EXPECT_EQ(showValue("k[-j-1, (1, c), h]"), "(at k (- (- j) 1), <1, c>, h)");
  EXPECT_EQ(showValue("p[.., i]"), "(at p .., i)");
  EXPECT_EQ(showValue("p[0 .. 3]"), "(at p 0..3)");
}

TEST(Parser, AxisOperators) {
  EXPECT_EQ(showValue("sum(n) C[h, n] * s + D * u"),
            "(+ (sum[n] (* (at C h, n) s)) (* D u))");
  EXPECT_EQ(showValue("a * sum(n) b * c"), "(* a (sum[n] (* b c)))");
  EXPECT_EQ(showValue("y / sum(j) a * b"), "(/ y (sum[j] (* a b)))");
  EXPECT_EQ(showValue("sum(p) (a + b) * c"), "(sum[p] (* (+ a b) c))");
  EXPECT_EQ(showValue("-sum(p) -a * b"), "(- (sum[p] (* (- a) b)))");
  EXPECT_EQ(showValue("sum(m) [n == m] * x"), "(sum[m] (* [(== n m)] x))");
  EXPECT_EQ(showValue("sum(m where m + j < N) B[m]"),
            "(sum[m where (< (+ m j) N)] (at B m))");
  EXPECT_EQ(showValue("sum(r, i, q: 2*P) x"), "(sum[r, i, q: (* 2 P)] x)");
  EXPECT_EQ(showValue("sum(n) sum(m) a"), "(sum[n] (sum[m] a))");
  EXPECT_EQ(showValue("softmax(s) (a + b)"), "(softmax[s] (+ a b))");
  EXPECT_EQ(showValue("l2norm(k, eps = 1e-6) f(x)[t]"),
            "(l2norm[k, eps=1e-06] (at f(x) t))");
  EXPECT_EQ(showValue("rotate(n by theta, interleaved) (a + b)"),
            "(rotate[n by theta, interleaved] (+ a b))");
  EXPECT_EQ(showValue("first(s in 2 .. L-1 where f(s) >= L, else 1)"),
            "(first[s in 2..(- L 1) where (>= f(s) L) else 1])");
  EXPECT_EQ(showValue("concat(i: n) f(i, 0)"), "(concat[i: n] f(i, 0))");
}

TEST(Parser, AxisOperatorOrCall) {
  EXPECT_EQ(showValue("max(a, b)"), "max(a, b)");
  EXPECT_EQ(showValue("max(x, 0) - 1"), "(- max(x, 0) 1)");
  EXPECT_EQ(showValue("max(s) x"), "(max[s] x)");
  EXPECT_EQ(showValue("max(s) x * y + 1"), "(+ (max[s] (* x y)) 1)");
  EXPECT_EQ(showValue("min(a, b) + max(s) (x)"), "(+ min(a, b) (max[s] x))");
  EXPECT_EQ(showValue("concat(f, b)[t, q]"), "(at concat(f, b) t, q)");
  EXPECT_EQ(showValue("f(max(a, b), c)"), "f(max(a, b), c)");
  EXPECT_EQ(showValue("if max(a, b) then max(c, d) else e"),
            "(if max(a, b) max(c, d) else e)");
  // What the name means elsewhere is free.
  EXPECT_EQ(showValue("match a { sum: sum, softmax: max }"),
            "(match a sum: sum, softmax: max)");
  // The operand stands on the line of the operator.
  EXPECT_EQ(showBody("y = max(a, b)\nz = 1"),
            (Texts{"y = max(a, b)", "z = 1"}));
  EXPECT_EQ(showBody("y = (max(a)\n x)"), (Texts{"y = (max[a] x)"}));
}

TEST(Parser, Config) {
  EXPECT_EQ(showValue("config \"a.0\""), "(config a.0)");
  EXPECT_EQ(showValue("config \"a\" else 2 * b"), "(config a else (* 2 b))");
  EXPECT_EQ(showValue("if a then config \"b\" else c"),
            "(if a (config b) else c)");
  EXPECT_EQ(showValue("if a then (config \"b\" else 1) else c"),
            "(if a (config b else 1) else c)");
  EXPECT_EQ(showValue("config + 1"), "(+ config 1)");
}

TEST(Parser, NewlinesEndStatements) {
  EXPECT_EQ(showBody("a = 1\nb = 2"), (Texts{"a = 1", "b = 2"}));
  EXPECT_EQ(showBody("a = 1, b = 2,\n c = 3"),
            (Texts{"a = 1", "b = 2", "c = 3"}));
  EXPECT_EQ(showBody("a = b\n  + c\n  * d"), (Texts{"a = (+ b (* c d))"}));
  EXPECT_EQ(showBody("a = b -\n  c"), (Texts{"a = (- b c)"}));
  EXPECT_EQ(showBody("a\n = b"), (Texts{"a = b"}));
  EXPECT_EQ(showBody("a =\n  b"), (Texts{"a = b"}));
  EXPECT_EQ(showBody("a = f(b,\n  c\n)"), (Texts{"a = f(b, c)"}));
  EXPECT_EQ(showBody("a = if b then\n c else\n d"),
            (Texts{"a = (if b c else d)"}));
  // A line that begins with a parenthesis begins a statement.
  EXPECT_EQ(showBody("a = b\n(c, d) = e"), (Texts{"a = b", "(c, d) = e"}));
  EXPECT_EQ(showBody("a = (f\n(b))"), (Texts{"a = f(b)"}));
  EXPECT_EQ(showBody("for i in 0 .. 2 { a = b } return a"),
            (Texts{"for i in 0..2 {a = b}", "return a"}));
  EXPECT_EQ(showBody("a = 1  // c\n// d\n\n\nb = 2"),
            (Texts{"a = 1", "b = 2"}));
}

TEST(Parser, Patterns) {
  EXPECT_EQ(showBody("y = x"), (Texts{"y = x"}));
  EXPECT_EQ(showBody("y[] = x"), (Texts{"y[] = x"}));
  EXPECT_EQ(showBody("y[t, (c, h)] = x"), (Texts{"y[t, (c, h)] = x"}));
  EXPECT_EQ(showBody("B: complex[h, n] = x"), (Texts{"B[h, n]: complex = x"}));
  EXPECT_EQ(showBody("(u, z) = x"), (Texts{"(u, z) = x"}));
  EXPECT_EQ(showBody("let (A[n: N, m], B[n]) = x"),
            (Texts{"let (A[n: N, m], B[n]) = x"}));
  EXPECT_EQ(showBody("x[.., i: 1] = p"), (Texts{"x[.., i: 1] = p"}));
  EXPECT_EQ(showBody("kb[j: lag(2*L), h] = x"),
            (Texts{"kb[j lag((* 2 L)), h] = x"}));
  EXPECT_EQ(showBody("k[j: lag(-inf .. inf), i: lag] = x"),
            (Texts{"k[j lag((- inf)..inf), i lag] = x"}));
  EXPECT_EQ(showBody("k[j: lag(if c then 0 else -inf .. inf)] = x"),
            (Texts{"k[j lag((if c 0 else (- inf))..inf)] = x"}));
  EXPECT_EQ(showBody("w[h: H, n: N pairs, 1, 4 * D, 2*m - 1] = x"),
            (Texts{"w[h: H, n: N pairs, size 1, size (* 4 D), size (- (* 2 m) "
                   "1)] = x"}));
  EXPECT_EQ(showBody("w[(g: G, d), (a + b) * 2, ((a, b), c)] = x"),
            (Texts{"w[(g: G, d), size (* (+ a b) 2), ((a, b), c)] = x"}));
}

TEST(Parser, Statements) {
  EXPECT_EQ(showBody("let a = 1, b[t] = 2"),
            (Texts{"let a = 1", "let b[t] = 2"}));
  EXPECT_EQ(showBody("kernel K[h, j: lag] = x"),
            (Texts{"kernel K[h, j lag] = x"}));
  EXPECT_EQ(showBody("table p[i: n, k: p] = c(s, p)"),
            (Texts{"table p[i: n, k: p] = c(s, p)"}));
  EXPECT_EQ(showBody("over s: t where s <= t and s // c == t // c"),
            (Texts{"over s: t where (and (<= s t) (== (// s c) (// t c)))"}));
  EXPECT_EQ(showBody("over s: t"), (Texts{"over s: t"}));
  EXPECT_EQ(showBody("for i in 0 .. n - 1 {\n x = x + i\n y = x\n}"),
            (Texts{"for i in 0..(- n 1) {x = (+ x i); y = x}"}));
  EXPECT_EQ(showBody("if not a { x = 1 }"), (Texts{"if (not a) {x = 1}"}));
  EXPECT_EQ(showBody("if a { x = 1 }\nelif b { x = 2 }\nelse { x = 3 }"),
            (Texts{"if a {x = 1} else {if b {x = 2} else {x = 3}}"}));
  EXPECT_EQ(showBody("if a { x = 1 } else if b { x = 2 }"),
            (Texts{"if a {x = 1} else {if b {x = 2}}"}));
  EXPECT_EQ(showBody("return (a, b)"), (Texts{"return <a, b>"}));
}

TEST(Parser, StateBlocks) {
  EXPECT_EQ(
      showBody("state s[h, n: N pairs]: complex along side from s0[h] to s1 {\n"
               "  ds/dt = a * s + b\n"
               "  y[t] = sum(n) s\n"
               "  discretize bilinear, step exp(dt[h])\n"
               "}"),
      (Texts{"state s[h, n: N pairs]: complex along side from (at s0 h) to s1 "
             "{d s = (+ (* a s) b); out y[t] = (sum[n] s)} discretize bilinear "
             "step exp((at dt h))"}));
  EXPECT_EQ(showBody("state x[n] { x = a * x, y[t] = x }"),
            (Texts{"state x[n] {x = (* a x); out y[t] = x}"}));
  EXPECT_EQ(showBody("state s[n] from a\n to b\n { s = s }"),
            (Texts{"state s[n] from a to b {s = s}"}));
  EXPECT_EQ(
      showBody(
          "state s[n] {\n ds/dtau = s\n discretize zoh for s, euler for input, "
          "step if a then b else c\n}"),
      (Texts{"state s[n] {d s = s} discretize zoh input euler step (if a b "
             "else c)"}));
}

TEST(Parser, Functions) {
  EXPECT_EQ(showMembers("fn f(x) = x + 1"), (Texts{"fn f(x) = (+ x 1)"}));
  EXPECT_EQ(showMembers("fn f() { return 1 }"), (Texts{"fn f() {return 1}"}));
  EXPECT_EQ(
      showMembers(
          "fn forward(u[t, h], dt[t] if variable, shared b[d], s: int[t],\n"
          "  s0[h, n] = 0, disc: zoh | bilinear, act: Act = relu)\n"
          "  -> (y[t, h], s1: complex[n] if c) cut t where s[t] == 0 { y = u "
          "}"),
      (Texts{"fn forward(u[t, h], dt[t] if variable, shared b[d], s[t]: int, "
             "s0[h, n] = 0, disc: zoh|bilinear, act: Act = relu) -> y[t, h], "
             "s1[n]: complex if c cut t where (== (at s t) 0) {y = u}"}));
  EXPECT_EQ(showMembers("fn f(u[t = L, h]) ->\n y[t] = u"),
            (Texts{"fn f(u[t: L, h]) -> y[t] = u"}));
  EXPECT_EQ(
      showMembers("fn f(u[x: seq, z: seq], p[..]) -> y[.., O]\n{ y = u }"),
      (Texts{"fn f(u[x seq, z seq], p[..]) -> y[.., O] {y = u}"}));
  EXPECT_EQ(showMembers("fn scaled(i, s) [g, h, j] = i"),
            (Texts{"fn scaled(i, s)[g, h, j] = i"}));
  EXPECT_EQ(
      showBody(
          "fn run(side, d[t]) -> s[t, p] {\n s = d\n}\ny = run(forward, 1)"),
      (Texts{"fn run(side, d[t]) -> s[t, p] {s = d}", "y = run(forward, 1)"}));
}

TEST(Parser, Parts) {
  EXPECT_EQ(
      showMembers(
          "part a = Linear(D, 2*E), b[i: 0 .. n] = M(D, ..) at \"l.{i}\""),
      (Texts{"part a = Linear(D, (* 2 E))",
             "part b[i: 0..n] = M(D, ..) at l.{i}"}));
  EXPECT_EQ(showMembers("part c = if u then S(D) else Identity"),
            (Texts{"part c = (if u S(D) else Identity)"}));
  EXPECT_EQ(
      showMembers(
          "part c = match n { layer: A(H), batch: B(H) } at \"norm\"\n if d"),
      (Texts{"part c = (match n layer: A(H), batch: B(H)) at norm if d"}));
  // A condition at the end of a line holds for the whole line.
  EXPECT_EQ(showMembers("part a = A(), b = B() if c"),
            (Texts{"part a = A() if c", "part b = B() if c"}));
  EXPECT_EQ(showMembers("part a = A() if d, b = B() if c"),
            (Texts{"part a = A() if d", "part b = B() if c"}));
}

TEST(Parser, Weights) {
  EXPECT_EQ(
      showMembers("weight A[e: E, n: N] ~ log(n + 1), s[e] at \"D\" ~ 1"),
      (Texts{"weight A[e: E, n: N] ~ log((+ n 1))", "weight s[e] at D ~ 1"}));
  EXPECT_EQ(showMembers("weight p[i: n][g, h: H]\n at \"k.{i}\""),
            (Texts{"weight p[i: n][g, h: H] at k.{i}"}));
  EXPECT_EQ(
      showMembers("weight C: complex[h], D[h] if a\nweight E[h]"),
      (Texts{"weight C[h]: complex if a", "weight D[h] if a", "weight E[h]"}));
  EXPECT_EQ(
      showMembers("weight a[h] if p, b[h], c[h] if q"),
      (Texts{"weight a[h] if p", "weight b[h] if q", "weight c[h] if q"}));
  EXPECT_EQ(showMembers("weight w[v, d] at \"w\" if not config \"tie\" else e"),
            (Texts{"weight w[v, d] at w if (not (config tie)) else e"}));
  EXPECT_EQ(showMembers("weight a[h], b[h] if p else e"),
            (Texts{"weight a[h]", "weight b[h] if p else e"}));
  EXPECT_EQ(
      showMembers("weights at \"k\" {\n a[h], b[h]\n  if c\n d[h] at \"e\", }"),
      (Texts{"weight <k> a[h] if c", "weight <k> b[h] if c",
             "weight <k> d[h] at e"}));
}

TEST(Parser, Declarations) {
  Parsed parsed("import s4 (sides, longconv), s5\nimport std\n"
                "names Kind = layer | rms | none\n"
                "layer A(N = 16, disc: zoh | bilinear = zoh, p: 1 | 2 = 1, k: "
                "Kind = rms,\n"
                "  H test 4, V = 3 test 2,) { }\n"
                "model M for \"mamba\" (V = config \"vocab_size\") { }\n"
                "layer B(..) = A(..)\n");
  ASSERT_FALSE(parsed.module);
  EXPECT_EQ(parsed.errors, 1u); // `..` is no parameter

  Parsed good("import s4 (sides, longconv), s5\nimport std\n"
              "names Kind = layer | rms | none\n"
              "layer A(N = 16, disc: zoh | bilinear = zoh, p: 1 | 2 = 1, k: "
              "Kind = rms,\n"
              "  H test 4, V = 3 test 2,) { }\n"
              "model M for \"mamba\" (V = config \"vocab_size\") { }\n"
              "layer B(n) = A(.., N = n)\n"
              "fn f(x) = x\n");
  ASSERT_TRUE(good.module) << good.output;
  std::string text;
  raw_string_ostream os(text);
  ast::print(*good.module, os);
  EXPECT_EQ(text, R"(module test
  import s4 (sides, longconv)
  import s5
  import std
  names Kind = layer | rms | none
  fn f
    param
      name x
    value: name x
  layer A
    param N
      default: integer 16
    param disc
      choices zoh | bilinear
      default: name zoh
    param p
      choices 1 | 2
      default: integer 1
    param k
      type Kind
      default: name rms
    param H
      test: integer 4
    param V
      default: integer 3
      test: integer 2
  model M for "mamba"
    param V
      default: config "vocab_size"
  layer B
    param n
    alias: call ..
      callee: name A
      N =: name n
)");
}

TEST(Parser, Ranges) {
  Parsed parsed("layer A(n) {\n  let x = f(a)[t]\n}\n");
  ASSERT_TRUE(parsed.module);
  auto *let = cast<ast::AssignStmt>(parsed.module->layers[0]->members[0].get());
  auto text = [](SMRange range) {
    return StringRef(range.Start.getPointer(),
                     range.End.getPointer() - range.Start.getPointer());
  };
  EXPECT_EQ(text(let->range), "x = f(a)[t]");
  EXPECT_EQ(text(let->value->range), "f(a)[t]");
  EXPECT_EQ(text(cast<ast::IndexExpr>(let->value.get())->base->range), "f(a)");
  EXPECT_EQ(text(let->target.name.range), "x");
}

TEST(Parser, Inputs) {
  auto inputs = readInputs();
  EXPECT_GE(inputs.size(), 20u);
  for (auto &[name, text] : inputs) {
    Parsed parsed(text);
    EXPECT_TRUE(parsed.module) << name << "\n" << parsed.output;
  }
}

/// The blocks of the language's page are whole files.
TEST(Parser, DocumentedExamples) {
  auto page = MemoryBuffer::getFile(SSMC_TEST_DIR "/../docs/Language.md");
  ASSERT_TRUE(page);
  StringRef rest = (*page)->getBuffer();
  unsigned blocks = 0;
  while (true) {
    rest = rest.split("```ssm\n").second;
    if (rest.empty())
      break;
    StringRef text = rest.split("```").first;
    Parsed parsed(text);
    EXPECT_TRUE(parsed.module) << text.str() << parsed.output;
    ++blocks;
  }
  EXPECT_GE(blocks, 5u);
}

} // namespace
