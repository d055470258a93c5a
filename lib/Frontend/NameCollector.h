//===- NameCollector.h - Names that a piece of text mentions ---*- C++ -*-===//

#ifndef SSMC_FRONTEND_NAMECOLLECTOR_H
#define SSMC_FRONTEND_NAMECOLLECTOR_H

#include "AST.h"
#include "llvm/Support/Casting.h"
#include <string>
#include <vector>

namespace ssmc {

/// Collects the names that expressions mention.
struct NameCollector {
  std::vector<std::string> names;

  void expr(const ast::Expr *e) {
    if (!e)
      return;
    switch (e->kind) {
    case ast::Expr::Name:
      names.push_back(llvm::cast<ast::NameExpr>(e)->name);
      break;
    case ast::Expr::Index: {
      auto *index = llvm::cast<ast::IndexExpr>(e);
      expr(index->base.get());
      for (auto &item : index->items) {
        expr(item.index.get());
        expr(item.otherwise.get());
      }
      break;
    }
    case ast::Expr::Call: {
      auto *call = llvm::cast<ast::CallExpr>(e);
      expr(call->callee.get());
      for (auto &arg : call->args)
        expr(arg.value.get());
      break;
    }
    case ast::Expr::Apply: {
      auto *apply = llvm::cast<ast::ApplyExpr>(e);
      expr(apply->operand.get());
      expr(apply->where.get());
      expr(apply->by.get());
      for (auto &option : apply->options)
        expr(option.value.get());
      break;
    }
    case ast::Expr::Unary:
      expr(llvm::cast<ast::UnaryExpr>(e)->operand.get());
      break;
    case ast::Expr::Binary:
      expr(llvm::cast<ast::BinaryExpr>(e)->lhs.get());
      expr(llvm::cast<ast::BinaryExpr>(e)->rhs.get());
      break;
    case ast::Expr::If: {
      auto *choice = llvm::cast<ast::IfExpr>(e);
      for (auto &c : choice->conditions)
        expr(c.get());
      for (auto &v : choice->values)
        expr(v.get());
      expr(choice->otherwise.get());
      break;
    }
    case ast::Expr::Match:
      expr(llvm::cast<ast::MatchExpr>(e)->subject.get());
      for (auto &arm : llvm::cast<ast::MatchExpr>(e)->arms)
        expr(arm.value.get());
      break;
    case ast::Expr::Tuple:
      for (auto &element : llvm::cast<ast::TupleExpr>(e)->elements)
        expr(element.get());
      break;
    case ast::Expr::Lambda:
      expr(llvm::cast<ast::LambdaExpr>(e)->body.get());
      break;
    case ast::Expr::Iverson:
      expr(llvm::cast<ast::IversonExpr>(e)->condition.get());
      break;
    default:
      break;
    }
  }

  void stmt(const ast::Stmt &s) {
    switch (s.kind) {
    case ast::Stmt::Assign:
    case ast::Stmt::Let:
    case ast::Stmt::Kernel:
    case ast::Stmt::Table:
      expr(llvm::cast<ast::AssignStmt>(s).value.get());
      break;
    case ast::Stmt::State: {
      auto &state = llvm::cast<ast::StateStmt>(s);
      expr(state.from.get());
      expr(state.step.get());
      for (auto &line : state.lines)
        expr(line.value.get());
      break;
    }
    case ast::Stmt::For:
      for (auto &inner : llvm::cast<ast::ForStmt>(s).body)
        stmt(*inner);
      break;
    case ast::Stmt::If:
      expr(llvm::cast<ast::IfStmt>(s).condition.get());
      for (auto &inner : llvm::cast<ast::IfStmt>(s).thenBody)
        stmt(*inner);
      for (auto &inner : llvm::cast<ast::IfStmt>(s).elseBody)
        stmt(*inner);
      break;
    case ast::Stmt::Return:
      expr(llvm::cast<ast::ReturnStmt>(s).value.get());
      break;
    case ast::Stmt::Fn:
      expr(llvm::cast<ast::FnDecl>(s).value.get());
      for (auto &inner : llvm::cast<ast::FnDecl>(s).body)
        stmt(*inner);
      break;
    default:
      break;
    }
  }
};

} // namespace ssmc

#endif // SSMC_FRONTEND_NAMECOLLECTOR_H
