//===- SyntaxTesting.cpp - What the tests of the parser share -------------===//

#include "SyntaxTesting.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace ssmc::ast;

namespace ssmc::testing {

Parsed::Parsed(StringRef text) {
  unsigned id = sources.AddNewSourceBuffer(
      MemoryBuffer::getMemBufferCopy(text, "test.ssm"), SMLoc());
  raw_string_ostream os(output);
  Diagnostics diagnostics(sources, os);
  module = parse(diagnostics, id, "test");
  errors = diagnostics.getNumShown();
}

template <typename Range, typename Function>
static std::string list(const Range &range, Function function,
                        StringRef separator = ", ") {
  return join(map_range(range, function), separator);
}

static std::string showArg(const Arg &arg) {
  return arg.name.name.empty() ? show(arg.value.get())
                               : arg.name.name + "=" + show(arg.value.get());
}

static std::string optional(StringRef before, const Expr *expr) {
  return expr ? before.str() + show(expr) : "";
}

static std::string showApply(const ApplyExpr *e) {
  std::string axes = list(e->axes, [](const ApplyExpr::Axis &axis) {
    return axis.name.name + optional(": ", axis.size.get()) +
           optional(" in ", axis.from.get()) + optional("..", axis.to.get());
  });
  std::string options;
  for (const Arg &option : e->options)
    options += ", " + showArg(option);
  return "(" + e->op.name + "[" + axes + optional(" where ", e->where.get()) +
         optional(" by ", e->by.get()) + options +
         optional(" else ", e->otherwise.get()) + "]" +
         optional(" ", e->operand.get()) + ")";
}

std::string show(const Expr *expr) {
  if (!expr)
    return "<none>";
  static constexpr const char *operators[] = {
      "+",  "-",  "*", "/",  "//", "%",  "^",   "@",
      "==", "!=", "<", "<=", ">",  ">=", "and", "or"};
  return TypeSwitch<const Expr *, std::string>(expr)
      .Case([](const NumberExpr *e) {
        std::string text;
        raw_string_ostream(text) << format("%g", e->value);
        return text;
      })
      .Case([](const StringExpr *e) { return "\"" + e->value + "\""; })
      .Case([](const NameExpr *e) { return e->name; })
      .Case([](const ConfigExpr *e) {
        return "(config " + e->field + optional(" else ", e->fallback.get()) +
               ")";
      })
      .Case([](const IndexExpr *e) {
        return "(at " + show(e->base.get()) + " " +
               list(e->items,
                    [](const IndexExpr::Item &item) {
                      return show(item.index.get()) +
                             optional(" else ", item.otherwise.get());
                    }) +
               ")";
      })
      .Case([](const CallExpr *e) {
        std::string args = list(e->args, showArg);
        if (e->passRest)
          args += args.empty() ? ".." : ", ..";
        return show(e->callee.get()) + "(" + args + ")";
      })
      .Case(showApply)
      .Case([](const UnaryExpr *e) {
        return std::string(e->op == UnaryExpr::Neg ? "(- " : "(not ") +
               show(e->operand.get()) + ")";
      })
      .Case([](const BinaryExpr *e) {
        return "(" + std::string(operators[e->op]) + " " + show(e->lhs.get()) +
               " " + show(e->rhs.get()) + ")";
      })
      .Case([](const IfExpr *e) {
        std::string text = "(if";
        for (auto [condition, value] : zip(e->conditions, e->values))
          text += " " + show(condition.get()) + " " + show(value.get());
        return text + " else " + show(e->otherwise.get()) + ")";
      })
      .Case([](const MatchExpr *e) {
        return "(match " + show(e->subject.get()) + " " +
               list(e->arms,
                    [](const MatchExpr::Arm &arm) {
                      return arm.label.name + ": " + show(arm.value.get());
                    }) +
               ")";
      })
      .Case([](const TupleExpr *e) {
        std::vector<std::string> texts;
        for (auto [element, size] : zip(e->elements, e->sizes))
          texts.push_back(show(element.get()) + optional(": ", size.get()));
        return "<" + join(texts, ", ") + ">";
      })
      .Case([](const LambdaExpr *e) {
        return "(" +
               list(
                   e->params, [](const Ident &i) { return i.name; }, " ") +
               " => " + show(e->body.get()) + ")";
      })
      .Case([](const IversonExpr *e) {
        return "[" + show(e->condition.get()) + "]";
      })
      .Case([](const RangeExpr *e) {
        return e->from ? show(e->from.get()) + ".." + show(e->to.get()) : "..";
      })
      .Case([](const LagExpr *e) { return "{" + show(e->axis) + "}"; })
      .Case(
          [](const RenameExpr *e) { return e->from.name + "->" + e->to.name; });
}

std::string show(const AxisPattern &axis) {
  static constexpr const char *extents[] = {"", " pairs", " lag", " seq"};
  std::string text;
  switch (axis.kind) {
  case AxisPattern::Name:
    text = axis.name.name + optional(": ", axis.size.get());
    break;
  case AxisPattern::Size:
    text = optional("size ", axis.size.get());
    break;
  case AxisPattern::Merged:
    text = "(" +
           list(axis.members, [](const AxisPattern &a) { return show(a); }) +
           ")";
    break;
  case AxisPattern::Rest:
    text = "..";
    break;
  }
  text += extents[axis.extent];
  if (axis.lagTo)
    text += "(" + (axis.lagFrom ? show(axis.lagFrom.get()) + ".." : "") +
            show(axis.lagTo.get()) + ")";
  return text;
}

static std::string showAxes(ArrayRef<AxisPattern> axes) {
  return "[" + list(axes, [](const AxisPattern &a) { return show(a); }) + "]";
}

std::string show(const Pattern &pattern) {
  if (pattern.isTuple)
    return "(" +
           list(pattern.elements, [](const Pattern &p) { return show(p); }) +
           ")";
  std::string text = pattern.name.name;
  if (!pattern.family.empty())
    text += showAxes(pattern.family);
  if (pattern.hasAxes)
    text += showAxes(pattern.axes);
  return text + (pattern.isComplex ? ": complex"
                 : pattern.isInt   ? ": int"
                                   : "");
}

static std::string showBlock(ArrayRef<StmtPtr> body) {
  return "{" +
         list(
             body, [](const StmtPtr &s) { return show(*s); }, "; ") +
         "}";
}

static std::string showFn(const FnDecl *s) {
  std::string text =
      "fn " + s->name.name + "(" +
      list(s->params,
           [](const FnDecl::Param &param) {
             std::string text = param.shared    ? "shared "
                                : param.batched ? "batched "
                                                : "";
             text += show(param.pattern);
             if (!param.type.name.empty())
               text += ": " + param.type.name;
             if (!param.choices.empty())
               text += ": " + list(
                                  param.choices,
                                  [](const Ident &i) { return i.name; }, "|");
             return text + optional(" = ", param.defaultValue.get()) +
                    optional(" if ", param.condition.get());
           }) +
      ")";
  if (!s->resultAxes.empty())
    text += showAxes(s->resultAxes);
  if (!s->results.empty())
    text += " -> " + list(s->results, [](const FnDecl::Result &result) {
              return show(result.pattern) +
                     optional(" if ", result.condition.get());
            });
  if (!s->cutAxis.name.empty())
    text += " cut " + s->cutAxis.name + " where " + show(s->cutWhere.get());
  return text +
         (s->value ? " = " + show(s->value.get()) : " " + showBlock(s->body));
}

static std::string showState(const StateStmt *s) {
  static constexpr const char *kinds[] = {"d ", "", "out "};
  std::string text = "state " + show(s->state) +
                     optional(" along ", s->along.get()) +
                     optional(" from ", s->from.get());
  if (!s->to.name.empty())
    text += " to " + s->to.name;
  text += " {" +
          list(
              s->lines,
              [](const StateStmt::Line &line) {
                return kinds[line.kind] + show(line.target) + " = " +
                       show(line.value.get());
              },
              "; ") +
          "}";
  if (s->rule)
    text += " discretize " + show(s->rule.get()) +
            optional(" input ", s->inputRule.get()) + " step " +
            show(s->step.get());
  return text;
}

std::string show(const Stmt &stmt) {
  return TypeSwitch<const Stmt *, std::string>(&stmt)
      .Case([](const AssignStmt *s) {
        StringRef word = s->kind == Stmt::Let      ? "let "
                         : s->kind == Stmt::Kernel ? "kernel "
                         : s->kind == Stmt::Table  ? "table "
                                                   : "";
        return word.str() + show(s->target) + " = " + show(s->value.get());
      })
      .Case([](const PartStmt *s) {
        return "part " + s->name.name +
               (s->family.empty() ? "" : showAxes(s->family)) + " = " +
               show(s->value.get()) + (s->at ? " at " + *s->at : "") +
               optional(" if ", s->condition.get());
      })
      .Case([](const WeightStmt *s) {
        return "weight " + (s->group ? "<" + *s->group + "> " : std::string()) +
               show(s->target) + (s->at ? " at " + *s->at : "") +
               optional(" ~ ", s->init.get()) +
               optional(" if ", s->condition.get()) +
               optional(" else ", s->otherwise.get());
      })
      .Case(showFn)
      .Case(showState)
      .Case([](const OverStmt *s) {
        return "over " + s->index.name + ": " + s->axis.name +
               optional(" where ", s->where.get());
      })
      .Case([](const ForStmt *s) {
        return "for " + s->index.name + " in " + show(s->from.get()) + ".." +
               show(s->to.get()) + " " + showBlock(s->body);
      })
      .Case([](const IfStmt *s) {
        return "if " + show(s->condition.get()) + " " + showBlock(s->thenBody) +
               (s->elseBody.empty() ? "" : " else " + showBlock(s->elseBody));
      })
      .Case(
          [](const ReturnStmt *s) { return "return " + show(s->value.get()); });
}

static std::vector<std::string> showAll(ArrayRef<StmtPtr> stmts) {
  std::vector<std::string> texts;
  for (const StmtPtr &stmt : stmts)
    texts.push_back(show(*stmt));
  return texts;
}

std::vector<std::string> showMembers(StringRef text) {
  Parsed parsed(("layer A(n) {\n" + text + "\n}\n").str());
  if (!parsed.module)
    return {parsed.output};
  return showAll(parsed.module->layers.front()->members);
}

std::vector<std::string> showBody(StringRef text) {
  Parsed parsed(("fn f(x) {\n" + text + "\n}\n").str());
  if (!parsed.module)
    return {parsed.output};
  return showAll(parsed.module->functions.front()->body);
}

std::string showValue(StringRef text) {
  Parsed parsed(("fn f(x) {\ny = " + text + "\n}\n").str());
  if (!parsed.module)
    return parsed.output.substr(0, parsed.output.find('\n'));
  auto &body = parsed.module->functions.front()->body;
  return show(cast<AssignStmt>(body.front().get())->value.get());
}

std::vector<std::pair<std::string, std::string>> readInputs() {
  std::vector<std::pair<std::string, std::string>> texts;
  std::error_code error;
  for (sys::fs::directory_iterator
           it(SSMC_TEST_DIR "/Frontend/Parser/Inputs", error),
       end;
       !error && it != end; it.increment(error))
    if (sys::path::extension(it->path()) == ".ssm")
      if (auto buffer = MemoryBuffer::getFile(it->path()))
        texts.emplace_back(it->path(), (*buffer)->getBuffer().str());
  return texts;
}

} // namespace ssmc::testing
