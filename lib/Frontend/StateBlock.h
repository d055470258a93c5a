//===- StateBlock.h - A state block while it is read -----------*- C++ -*-===//

#ifndef SSMC_FRONTEND_STATEBLOCK_H
#define SSMC_FRONTEND_STATEBLOCK_H

#include "Elaborator.h"

namespace ssmc {

struct Elaborator::StateBlock {
  const ast::StateStmt &stmt;
  std::vector<Axis> axes;
  std::vector<IndexId> ids;
  std::vector<mlir::AffineExpr> at;
  IndexId time = 0;
  Axis timeAxis;
  bool backward = false;
  Number decay, write;
  std::vector<LinearForm::Erase> erase;
  unsigned slot = ~0u;      // of the carried state
  mlir::Value initial[2], finals[2];
  bool isComplex() const { return stmt.state.isComplex; }
};

} // namespace ssmc

#endif // SSMC_FRONTEND_STATEBLOCK_H
