//===- ASTPrinter.cpp - The syntax tree as text ---------------------------===//
//
// One node a line, children indented below, roles in front of a colon. Sizes of
// axes and the like are whole expressions, so they are nodes as well.
//
//===----------------------------------------------------------------------===//

#include "AST.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cstdio>
#include <cstdlib>

using namespace llvm;

namespace ssmc::ast {

namespace {

class Printer {
public:
  explicit Printer(raw_ostream &os) : os(os) {}
  void print(const Module &module);

private:
  /// Starts a line; children printed while the result lives are indented.
  struct Scope {
    Scope(Printer &printer, const Twine &text) : printer(printer) {
      printer.os.indent(2 * printer.level++) << printer.role << text << "\n";
      printer.role.clear();
    }
    ~Scope() { --printer.level; }
    Printer &printer;
  };
  void line(const Twine &text) { Scope(*this, text); }

  void print(const Expr &expr);
  void print(StringRef name, const ExprPtr &expr);
  void print(StringRef name, const ConditionPtr &expr);
  void print(const AxisPattern &axis);
  void print(const Pattern &pattern);
  void printFamily(ArrayRef<AxisPattern> family);
  void print(ArrayRef<Arg> args);
  void print(const Stmt &stmt);
  void print(StringRef name, ArrayRef<StmtPtr> body);
  void print(const FnDecl &fn);
  void print(const StateStmt &state);
  void print(const LayerDecl &layer);
  void print(const Param &param);

  raw_ostream &os;
  unsigned level = 0;
  std::string role; // put before the next line's text
};

} // namespace

static std::string quoted(StringRef text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      result += '\\';
    result += c;
  }
  return result + "\"";
}

/// The fewest digits that read back as the same number.
static std::string shortest(double value) {
  char text[32];
  for (int digits = 1; digits <= 17; ++digits) {
    snprintf(text, sizeof(text), "%.*g", digits, value);
    if (strtod(text, nullptr) == value)
      break;
  }
  return text;
}

static std::string joined(ArrayRef<Ident> names, StringRef separator) {
  return llvm::join(map_range(names, [](const Ident &i) { return i.name; }),
                    separator);
}

static StringRef spelling(BinaryExpr::Op op) {
  static constexpr const char *spellings[] = {
      "+",  "-",  "*", "/",  "//", "%",  "^",   "@",
      "==", "!=", "<", "<=", ">",  ">=", "and", "or"};
  return spellings[op];
}

//===----------------------------------------------------------------------===//
// Patterns
//===----------------------------------------------------------------------===//

void Printer::print(const AxisPattern &axis) {
  static constexpr const char *extents[] = {"", " pairs", " lag", " seq"};
  std::string text;
  switch (axis.kind) {
  case AxisPattern::Name:
    text = "axis " + axis.name.name;
    break;
  case AxisPattern::Size:
    text = "axis of size";
    break;
  case AxisPattern::Merged:
    text = "merged";
    break;
  case AxisPattern::Rest:
    text = "axes ..";
    break;
  }
  Scope scope(*this, text + extents[axis.extent]);
  print("size", axis.size);
  print("from", axis.lagFrom);
  print("to", axis.lagTo);
  for (const AxisPattern &member : axis.members)
    print(member);
}

void Printer::printFamily(ArrayRef<AxisPattern> family) {
  for (const AxisPattern &axis : family) {
    role = "family ";
    print(axis);
  }
}

void Printer::print(const Pattern &pattern) {
  std::string text = pattern.isTuple ? "tuple" : "name " + pattern.name.name;
  if (pattern.hasAxes && pattern.axes.empty())
    text += " []";
  if (pattern.isComplex)
    text += " complex";
  if (pattern.isInt)
    text += " int";
  Scope scope(*this, text);
  printFamily(pattern.family);
  for (const AxisPattern &axis : pattern.axes)
    print(axis);
  for (const Pattern &element : pattern.elements)
    print(element);
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

void Printer::print(StringRef name, const ExprPtr &expr) {
  if (!expr)
    return;
  role = name.empty() ? "" : (name + ": ").str();
  print(*expr);
}

void Printer::print(StringRef name, const ConditionPtr &expr) {
  if (!expr)
    return;
  role = (name + ": ").str();
  print(*expr);
}

void Printer::print(ArrayRef<Arg> args) {
  for (const Arg &arg : args)
    print(arg.name.name.empty() ? "" : arg.name.name + " =", arg.value);
}

void Printer::print(const Expr &expr) {
  TypeSwitch<const Expr *>(&expr)
      .Case([&](const NumberExpr *e) {
        line(e->isInteger ? "integer " + Twine(int64_t(e->value)).str()
                          : "real " + shortest(e->value));
      })
      .Case([&](const StringExpr *e) { line("string " + quoted(e->value)); })
      .Case([&](const NameExpr *e) { line("name " + e->name); })
      .Case([&](const ConfigExpr *e) {
        Scope scope(*this, "config " + quoted(e->field));
        print("else", e->fallback);
      })
      .Case([&](const IndexExpr *e) {
        Scope scope(*this, "index");
        print("base", e->base);
        for (const IndexExpr::Item &item : e->items) {
          print("at", item.index);
          print("else", item.otherwise);
        }
      })
      .Case([&](const CallExpr *e) {
        Scope scope(*this, e->passRest ? "call .." : "call");
        print("callee", e->callee);
        print(e->args);
      })
      .Case([&](const ApplyExpr *e) {
        Scope scope(*this, "apply " + e->op.name);
        for (const ApplyExpr::Axis &axis : e->axes) {
          Scope axisScope(*this, "axis " + axis.name.name);
          print("size", axis.size);
          print("from", axis.from);
          print("to", axis.to);
        }
        print("where", e->where);
        print("by", e->by);
        for (const Arg &option : e->options)
          print(option.name.name.empty() ? "option" : option.name.name + " =",
                option.value);
        print("of", e->operand);
        print("else", e->otherwise);
      })
      .Case([&](const UnaryExpr *e) {
        Scope scope(*this, e->op == UnaryExpr::Neg ? "unary -" : "unary not");
        print("", e->operand);
      })
      .Case([&](const BinaryExpr *e) {
        Scope scope(*this, "binary " + spelling(e->op));
        print("", e->lhs);
        print("", e->rhs);
      })
      .Case([&](const IfExpr *e) {
        Scope scope(*this, "if");
        for (size_t i = 0; i < e->conditions.size(); ++i) {
          print("if", e->conditions[i]);
          print("then", e->values[i]);
        }
        print("else", e->otherwise);
      })
      .Case([&](const MatchExpr *e) {
        Scope scope(*this, "match");
        print("of", e->subject);
        for (const MatchExpr::Arm &arm : e->arms)
          print(arm.label.name, arm.value);
      })
      .Case([&](const TupleExpr *e) {
        Scope scope(*this, "tuple");
        for (size_t i = 0; i < e->elements.size(); ++i) {
          print("", e->elements[i]);
          print("size", e->sizes[i]);
        }
      })
      .Case([&](const LambdaExpr *e) {
        Scope scope(*this, "lambda " + joined(e->params, " "));
        print("", e->body);
      })
      .Case([&](const IversonExpr *e) {
        Scope scope(*this, "iverson");
        print("", e->condition);
      })
      .Case([&](const RangeExpr *e) {
        Scope scope(*this, "range");
        print("", e->from);
        print("", e->to);
      })
      .Case([&](const LagExpr *e) { print(e->axis); })
      .Case([&](const RenameExpr *e) {
        line("rename " + e->from.name + " -> " + e->to.name);
      });
}

//===----------------------------------------------------------------------===//
// Statements
//===----------------------------------------------------------------------===//

void Printer::print(StringRef name, ArrayRef<StmtPtr> body) {
  if (body.empty())
    return;
  Scope scope(*this, name);
  for (const StmtPtr &stmt : body)
    print(*stmt);
}

void Printer::print(const StateStmt &state) {
  Scope scope(*this, "state");
  print(state.state);
  print("along", state.along);
  print("from", state.from);
  if (!state.to.name.empty())
    line("to: name " + state.to.name);
  for (const StateStmt::Line &stateLine : state.lines) {
    static constexpr const char *kinds[] = {"derivative", "update", "output"};
    Scope lineScope(*this, kinds[stateLine.kind]);
    print(stateLine.target);
    print("value", stateLine.value);
  }
  if (!state.rule)
    return;
  Scope ruleScope(*this, "discretize");
  print("rule", state.rule);
  print("input", state.inputRule);
  print("step", state.step);
}

void Printer::print(const FnDecl &fn) {
  Scope scope(*this, "fn " + fn.name.name);
  for (const FnDecl::Param &param : fn.params) {
    Scope paramScope(*this, param.shared    ? "param shared"
                            : param.batched ? "param batched"
                                            : "param");
    print(param.pattern);
    if (!param.choices.empty())
      line("choices " + joined(param.choices, " | "));
    if (!param.type.name.empty())
      line("type " + param.type.name);
    print("default", param.defaultValue);
    print("if", param.condition);
  }
  for (const FnDecl::Result &result : fn.results) {
    Scope resultScope(*this, "result");
    print(result.pattern);
    print("if", result.condition);
  }
  for (const AxisPattern &axis : fn.resultAxes) {
    role = "result ";
    print(axis);
  }
  if (!fn.cutAxis.name.empty()) {
    Scope cutScope(*this, "cut " + fn.cutAxis.name);
    print("where", fn.cutWhere);
  }
  print("body", fn.body);
  print("value", fn.value);
}

void Printer::print(const Stmt &stmt) {
  TypeSwitch<const Stmt *>(&stmt)
      .Case([&](const AssignStmt *s) {
        Scope scope(*this, s->kind == Stmt::Let      ? "let"
                           : s->kind == Stmt::Kernel ? "kernel"
                           : s->kind == Stmt::Table  ? "table"
                                                     : "assign");
        print(s->target);
        print("value", s->value);
      })
      .Case([&](const PartStmt *s) {
        Scope scope(*this,
                    "part " + s->name.name +
                        (s->at ? " at " + quoted(*s->at) : std::string()));
        printFamily(s->family);
        print("value", s->value);
        print("if", s->condition);
      })
      .Case([&](const WeightStmt *s) {
        Scope scope(
            *this, "weight" +
                       (s->group ? " in " + quoted(*s->group) : std::string()) +
                       (s->at ? " at " + quoted(*s->at) : std::string()));
        print(s->target);
        print("init", s->init);
        print("if", s->condition);
        print("else", s->otherwise);
      })
      .Case([&](const FnDecl *s) { print(*s); })
      .Case([&](const StateStmt *s) { print(*s); })
      .Case([&](const OverStmt *s) {
        Scope scope(*this, "over " + s->index.name + ": " + s->axis.name);
        print("where", s->where);
      })
      .Case([&](const ForStmt *s) {
        Scope scope(*this, "for " + s->index.name);
        print("from", s->from);
        print("to", s->to);
        print("body", s->body);
      })
      .Case([&](const IfStmt *s) {
        Scope scope(*this, "if");
        print("if", s->condition);
        print("then", s->thenBody);
        print("else", s->elseBody);
      })
      .Case([&](const ReturnStmt *s) {
        Scope scope(*this, "return");
        print("", s->value);
      });
}

//===----------------------------------------------------------------------===//
// Declarations
//===----------------------------------------------------------------------===//

void Printer::print(const Param &param) {
  Scope scope(*this, "param " + param.name.name);
  if (!param.choices.empty())
    line("choices " + joined(param.choices, " | "));
  if (!param.type.name.empty())
    line("type " + param.type.name);
  print("default", param.defaultValue);
  print("test", param.testValue);
}

void Printer::print(const LayerDecl &layer) {
  Scope scope(*this, (layer.isModel ? "model " : "layer ") + layer.name.name +
                         (layer.modelType.empty()
                              ? std::string()
                              : " for " + quoted(layer.modelType)));
  for (const Param &param : layer.params)
    print(param);
  for (const StmtPtr &member : layer.members)
    print(*member);
  print("alias", layer.alias);
}

void Printer::print(const Module &module) {
  Scope scope(*this, "module " + module.name);
  for (const ImportDecl &import : module.imports)
    line("import " + import.module.name +
         (import.names.empty() ? "" : " (" + joined(import.names, ", ") + ")"));
  for (const NamesDecl &names : module.names)
    line("names " + names.name.name + " = " + joined(names.choices, " | "));
  for (const std::unique_ptr<FnDecl> &fn : module.functions)
    print(*fn);
  for (const std::unique_ptr<LayerDecl> &layer : module.layers)
    print(*layer);
}

void print(const Module &module, raw_ostream &os) { Printer(os).print(module); }

} // namespace ssmc::ast
