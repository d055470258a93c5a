//===- TermEmitter.h - Scalar code of a term -------------------*- C++ -*-===//
//
// Emits the arithmetic of a term into a region, one op a node. What its leaves
// stand for is the caller's: block arguments of a generic op or of a scan.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_FRONTEND_TERMEMITTER_H
#define SSMC_FRONTEND_TERMEMITTER_H

#include "Term.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseMap.h"
#include <map>

namespace ssmc {

class TermEmitter {
public:
  TermEmitter(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type real)
      : builder(builder), loc(loc), real(real) {}

  /// The value of a term; converted to `wanted` where it is a number.
  mlir::Value emit(const TermRef &term, mlir::Type wanted);
  mlir::Value emit(const TermRef &term);
  /// Makes `value` stand for a term.
  void define(const Term *term, mlir::Value value) { done[term] = value; }

  std::function<mlir::Value(const Term &)> elementOf;
  std::function<mlir::Value(IndexId)> indexOf;
  std::function<mlir::Value()> batchIndex, preparedLength;
  std::function<mlir::Value(unsigned)> length; // of a sequence axis

private:
  mlir::Value constantOf(double value, mlir::Type type);
  mlir::Value emitAffine(mlir::AffineExpr expr);
  mlir::Value emitPosition(const TermRef &term);
  mlir::Value emitOperation(const TermRef &term);
  mlir::Value emitDiscretize(const Term &term);
  mlir::Value numeric(mlir::Value value);

  mlir::OpBuilder &builder;
  mlir::Location loc;
  mlir::Type real;
  llvm::DenseMap<const Term *, mlir::Value> done;
  std::map<std::vector<const void *>, mlir::Operation *> discretizations;
};

} // namespace ssmc

#endif // SSMC_FRONTEND_TERMEMITTER_H
