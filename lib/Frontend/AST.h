//===- AST.h - Syntax tree of the .ssm language ----------------*- C++ -*-===//
//
// What the parser builds and the elaborator reads. Nodes are plain structs with
// source ranges, owned by unique_ptr; nothing here knows MLIR. The tree is the
// text: no name is resolved, no size is known.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_FRONTEND_AST_H
#define SSMC_FRONTEND_AST_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Casting.h"
#include "llvm/Support/SMLoc.h"
#include "llvm/Support/raw_ostream.h"
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ssmc::ast {

using llvm::SMRange;

struct Expr;
struct Stmt;
struct FnDecl;
using ExprPtr = std::unique_ptr<Expr>;
using StmtPtr = std::unique_ptr<Stmt>;
/// A trailing `if c` holds for all definitions of its line, which share it.
using ConditionPtr = std::shared_ptr<Expr>;

/// A name with the place where it stands.
struct Ident {
  std::string name;
  SMRange range;
};

//===----------------------------------------------------------------------===//
// Axes and patterns
//===----------------------------------------------------------------------===//

/// One index position of a declared or assigned name: `n`, `n: N`, `n: N pairs`,
/// `j: lag`, `j: lag(M)`, `j: lag(a .. b)`, `x: seq`, a size without a name
/// (`D`, `1`, `4 * D`), a merged pair `(c, h)`, `..` (any leading axes), or
/// `t = L` (the sequence axis with a required length).
struct AxisPattern {
  enum Kind { Name, Size, Merged, Rest };
  enum Extent { Plain, Pairs, Lag, Seq };
  Kind kind = Name;
  Extent extent = Plain;
  Ident name;                        // Name
  ExprPtr size;                      // after ':' or '=', or the Size itself
  bool isLength = false;             // after '=': the sequence has that length
  ExprPtr lagFrom, lagTo;            // lag(from .. to); lag(M) has only lagTo
  std::vector<AxisPattern> members;  // Merged
  SMRange range;
};

/// The left side of a definition: `y`, `y[t, (c, h)]`, `B: complex[h, n]`,
/// `(u, z)`, `piece[i: n][g, h]` (a family: `family` holds `i: n`).
struct Pattern {
  Ident name;
  bool isTuple = false;
  bool isComplex = false, isInt = false;
  bool hasAxes = false;              // y[] differs from y
  std::vector<AxisPattern> family;   // [i: n] before the axes
  std::vector<AxisPattern> axes;
  std::vector<Pattern> elements;     // isTuple
  SMRange range;
};

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

struct Expr {
  enum Kind {
    Number, String, Name, Config, Index, Call, Apply, Unary, Binary, If, Match,
    Tuple, Lambda, Iverson, Range, Lag, Rename
  };
  Expr(Kind kind, SMRange range) : kind(kind), range(range) {}
  virtual ~Expr() = default;
  const Kind kind;
  SMRange range;
};

/// `16`, `1e-5`; `isInteger` when written without point and exponent.
struct NumberExpr : Expr {
  NumberExpr(double value, bool isInteger, SMRange r)
      : Expr(Number, r), value(value), isInteger(isInteger) {}
  double value;
  bool isInteger;
  static bool classof(const Expr *e) { return e->kind == Number; }
};

struct StringExpr : Expr {
  StringExpr(std::string value, SMRange r)
      : Expr(String, r), value(std::move(value)) {}
  std::string value;
  static bool classof(const Expr *e) { return e->kind == String; }
};

/// A name; `module.name` keeps the point (`flax.Dense`).
struct NameExpr : Expr {
  NameExpr(std::string name, SMRange r) : Expr(Name, r), name(std::move(name)) {}
  std::string name;
  static bool classof(const Expr *e) { return e->kind == Name; }
};

/// `config "hidden_size"`, optionally `config "x" else 4`; `config "a.0"` indexes
/// a list.
struct ConfigExpr : Expr {
  ConfigExpr(std::string field, ExprPtr fallback, SMRange r)
      : Expr(Config, r), field(std::move(field)), fallback(std::move(fallback)) {}
  std::string field;
  ExprPtr fallback;
  static bool classof(const Expr *e) { return e->kind == Config; }
};

/// `base[i, (h, k), t-1 else s0]`: an index is an expression, a Tuple (axes
/// stored as one), and may have a value for tokens outside the sequence.
struct IndexExpr : Expr {
  struct Item {
    ExprPtr index;
    ExprPtr otherwise; // `else` value, or null
  };
  IndexExpr(ExprPtr base, std::vector<Item> items, SMRange r)
      : Expr(Index, r), base(std::move(base)), items(std::move(items)) {}
  ExprPtr base;
  std::vector<Item> items;
  static bool classof(const Expr *e) { return e->kind == Index; }
};

/// `f(a, b, name = c, ..)`; `..` passes parameters of the same names.
struct Arg {
  Ident name; // empty when positional
  ExprPtr value;
};
struct CallExpr : Expr {
  CallExpr(ExprPtr callee, SMRange r) : Expr(Call, r), callee(std::move(callee)) {}
  ExprPtr callee;
  std::vector<Arg> args;
  bool passRest = false;
  static bool classof(const Expr *e) { return e->kind == Call; }
};

/// An operator over axes applied to the multiplicative term that follows it:
/// `sum(n) C[h, n] * s`, `sum(m where m + j < N) ...`, `softmax(s) x`,
/// `rmsnorm(d, eps = 1e-5) x`, `concat(i: n) x`, `rotate(n by theta, kind) x`,
/// `first(s in 2 .. L-1 where c, else 1)`.
struct ApplyExpr : Expr {
  struct Axis {
    Ident name;
    ExprPtr size;        // `q: 2*P`, or null
    ExprPtr from, to;    // `s in a .. b`, or null
  };
  ApplyExpr(Ident op, SMRange r) : Expr(Apply, r), op(std::move(op)) {}
  Ident op;
  std::vector<Axis> axes;
  ExprPtr where;            // condition, or null
  ExprPtr by;               // `by theta`, or null
  std::vector<Arg> options; // `eps = 1e-5`, `interleaved`
  ExprPtr operand;          // null for `first(...)`
  ExprPtr otherwise;        // `else 1`
  static bool classof(const Expr *e) { return e->kind == Apply; }
};

struct UnaryExpr : Expr {
  enum Op { Neg, Not };
  UnaryExpr(Op op, ExprPtr operand, SMRange r)
      : Expr(Unary, r), op(op), operand(std::move(operand)) {}
  Op op;
  ExprPtr operand;
  static bool classof(const Expr *e) { return e->kind == Unary; }
};

struct BinaryExpr : Expr {
  enum Op {
    Add, Sub, Mul, Div, FloorDiv, Mod, Pow, MatMul,
    Eq, Ne, Lt, Le, Gt, Ge, And, Or
  };
  BinaryExpr(Op op, ExprPtr lhs, ExprPtr rhs, SMRange r)
      : Expr(Binary, r), op(op), lhs(std::move(lhs)), rhs(std::move(rhs)) {}
  Op op;
  ExprPtr lhs, rhs;
  static bool classof(const Expr *e) { return e->kind == Binary; }
};

/// `if a then b elif c then d else e`; conditions.size() == values.size(), and
/// `otherwise` may be null only where a statement-level value is optional.
struct IfExpr : Expr {
  IfExpr(SMRange r) : Expr(If, r) {}
  std::vector<ExprPtr> conditions, values;
  ExprPtr otherwise;
  static bool classof(const Expr *e) { return e->kind == If; }
};

/// `match disc { zoh: a, bilinear: b }`.
struct MatchExpr : Expr {
  struct Arm {
    Ident label;
    ExprPtr value;
  };
  MatchExpr(ExprPtr subject, SMRange r) : Expr(Match, r), subject(std::move(subject)) {}
  ExprPtr subject;
  std::vector<Arm> arms;
  static bool classof(const Expr *e) { return e->kind == Match; }
};

struct TupleExpr : Expr {
  TupleExpr(SMRange r) : Expr(Tuple, r) {}
  std::vector<ExprPtr> elements;
  /// `split(x, (h, p: headdim), h)`: the size after each element, or null.
  std::vector<ExprPtr> sizes;
  static bool classof(const Expr *e) { return e->kind == Tuple; }
};

/// `u => expr`.
struct LambdaExpr : Expr {
  LambdaExpr(std::vector<Ident> params, ExprPtr body, SMRange r)
      : Expr(Lambda, r), params(std::move(params)), body(std::move(body)) {}
  std::vector<Ident> params;
  ExprPtr body;
  static bool classof(const Expr *e) { return e->kind == Lambda; }
};

/// `[n == m]`: 1 where true, else 0.
struct IversonExpr : Expr {
  IversonExpr(ExprPtr condition, SMRange r)
      : Expr(Iverson, r), condition(std::move(condition)) {}
  ExprPtr condition;
  static bool classof(const Expr *e) { return e->kind == Iverson; }
};

/// `a .. b` (b excluded in a `for`; see docs/Language.md); both null for the `..`
/// of an index list (any leading axes).
struct RangeExpr : Expr {
  RangeExpr(ExprPtr from, ExprPtr to, SMRange r)
      : Expr(Range, r), from(std::move(from)), to(std::move(to)) {}
  ExprPtr from, to;
  static bool classof(const Expr *e) { return e->kind == Range; }
};

/// `h: H` or `lag(...)` used as an argument (`split(x, h: H, p)`).
struct LagExpr : Expr {
  LagExpr(AxisPattern axis, SMRange r) : Expr(Lag, r), axis(std::move(axis)) {}
  AxisPattern axis;
  static bool classof(const Expr *e) { return e->kind == Lag; }
};

/// `t -> m`, an argument: the axis t becomes the axis m (`rfft(x, t -> m)`).
struct RenameExpr : Expr {
  RenameExpr(Ident from, Ident to, SMRange r)
      : Expr(Rename, r), from(std::move(from)), to(std::move(to)) {}
  Ident from, to;
  static bool classof(const Expr *e) { return e->kind == Rename; }
};

//===----------------------------------------------------------------------===//
// Statements and declarations
//===----------------------------------------------------------------------===//

struct Stmt {
  enum Kind {
    Assign, Let, Part, Weight, Kernel, Table, Fn, State, Over, For, If, Return
  };
  Stmt(Kind kind, SMRange range) : kind(kind), range(range) {}
  virtual ~Stmt() = default;
  const Kind kind;
  SMRange range;
};

/// `y[t, h] = expr`, and with isLet `let y[h] = expr`; `kernel K[h, j: lag] =`
/// and `table pick[i, k] =` share the form.
struct AssignStmt : Stmt {
  AssignStmt(Kind kind, SMRange r) : Stmt(kind, r) {}
  Pattern target;
  ExprPtr value;
  static bool classof(const Stmt *s) {
    return s->kind == Assign || s->kind == Let || s->kind == Kernel ||
           s->kind == Table;
  }
};

/// One `part name[i: n] = Layer(...) at "prefix.{i}" if condition`.
struct PartStmt : Stmt {
  PartStmt(SMRange r) : Stmt(Part, r) {}
  Ident name;
  std::vector<AxisPattern> family;
  ExprPtr value;
  std::optional<std::string> at;
  ConditionPtr condition;
  static bool classof(const Stmt *s) { return s->kind == Part; }
};

/// One weight of a `weight` line or a `weights at "..." { }` group.
struct WeightStmt : Stmt {
  WeightStmt(SMRange r) : Stmt(Weight, r) {}
  Pattern target;
  std::optional<std::string> at;    // name in the checkpoint
  std::optional<std::string> group; // prefix of the enclosing group
  ExprPtr init;                     // after '~'
  ConditionPtr condition;           // after 'if'
  ExprPtr otherwise;                // after 'else': the value where absent
  static bool classof(const Stmt *s) { return s->kind == Weight; }
};

/// `fn forward(u[t, h], dt[t] if variable) -> (y[t, h]) cut t where c { ... }`.
struct FnDecl : Stmt {
  struct Param {
    Pattern pattern;
    bool shared = false, batched = false;
    ExprPtr defaultValue, condition;
    std::vector<Ident> choices; // `disc: zoh | bilinear`
    Ident type;                 // a declared list of names (`act: Act`)
  };
  struct Result {
    Pattern pattern;
    ExprPtr condition;
  };
  FnDecl(SMRange r) : Stmt(Fn, r) {}
  Ident name;
  std::vector<Param> params;
  std::vector<Result> results;
  std::vector<AxisPattern> resultAxes; // `fn scaled(i, s)[g, h, j] = ...`
  Ident cutAxis;                       // empty: none
  ExprPtr cutWhere;
  std::vector<StmtPtr> body;
  ExprPtr value; // `fn f(x) = value`, instead of a body
  static bool classof(const Stmt *s) { return s->kind == Fn; }
};

/// `state s[h, n: N pairs]: complex along side from s0 to s1 { ... }`.
struct StateStmt : Stmt {
  struct Line {
    enum Kind { Derivative, Update, Output };
    Kind kind;
    Pattern target; // Derivative and Update: the state's name
    ExprPtr value;
    SMRange range;
  };
  StateStmt(SMRange r) : Stmt(State, r) {}
  Pattern state; // name, axes, isComplex
  ExprPtr along, from;
  Ident to;
  std::vector<Line> lines;
  ExprPtr rule, inputRule; // `discretize zoh for s, euler for input, step e`
  ExprPtr step;
  SMRange discretizeRange;
  static bool classof(const Stmt *s) { return s->kind == State; }
};

/// `over s: t where condition`.
struct OverStmt : Stmt {
  OverStmt(SMRange r) : Stmt(Over, r) {}
  Ident index, axis;
  ExprPtr where;
  static bool classof(const Stmt *s) { return s->kind == Over; }
};

/// `for i in 0 .. n { ... }`.
struct ForStmt : Stmt {
  ForStmt(SMRange r) : Stmt(For, r) {}
  Ident index;
  ExprPtr from, to;
  std::vector<StmtPtr> body;
  static bool classof(const Stmt *s) { return s->kind == For; }
};

struct IfStmt : Stmt {
  IfStmt(SMRange r) : Stmt(If, r) {}
  ExprPtr condition;
  std::vector<StmtPtr> thenBody, elseBody;
  static bool classof(const Stmt *s) { return s->kind == If; }
};

struct ReturnStmt : Stmt {
  ReturnStmt(SMRange r) : Stmt(Return, r) {}
  ExprPtr value;
  static bool classof(const Stmt *s) { return s->kind == Return; }
};

/// A parameter of a layer: `N = 16`, `disc: zoh | bilinear = zoh`,
/// `norm: NormKind = layernorm`, `V = config "vocab_size"`.
struct Param {
  Ident name;
  std::vector<Ident> choices; // names allowed, in order
  Ident type;                 // a declared list of names (`NormKind`)
  ExprPtr defaultValue;
  ExprPtr testValue; // after 'test', the value that tests use
};

/// `layer Name(params) { members }`, `model ...`, or `layer A(..) = B(..)`.
struct LayerDecl {
  Ident name;
  bool isModel = false;
  std::string modelType; // `model X for "mamba" (...)`: config.json model_type
  std::vector<Param> params;
  std::vector<StmtPtr> members;
  ExprPtr alias;
  SMRange range;
};

/// `names NormKind = layernorm | rmsnorm`.
struct NamesDecl {
  Ident name;
  std::vector<Ident> choices;
};

struct ImportDecl {
  Ident module;
  std::vector<Ident> names; // empty: everything
};

struct Module {
  std::string name;
  std::vector<ImportDecl> imports;
  std::vector<NamesDecl> names;
  std::vector<std::unique_ptr<LayerDecl>> layers;
  std::vector<std::unique_ptr<FnDecl>> functions;
};

/// Writes the tree, one node a line, as `--emit=ast` shows it.
void print(const Module &module, llvm::raw_ostream &os);

} // namespace ssmc::ast

#endif // SSMC_FRONTEND_AST_H
