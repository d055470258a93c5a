//===- StateBlock.h - A state block while it is read -----------*- C++ -*-===//

#ifndef SSMC_FRONTEND_STATEBLOCK_H
#define SSMC_FRONTEND_STATEBLOCK_H

#include "Elaborator.h"

namespace ssmc {

struct Elaborator::StateBlock {
  explicit StateBlock(const ast::StateStmt &stmt) : stmt(stmt) {}
  const ast::StateStmt &stmt;
  std::vector<Axis> axes;
  std::vector<IndexId> ids;
  std::vector<mlir::AffineExpr> at;
  IndexId time = 0;
  Axis timeAxis;
  /// The layer's other sequence axes, in their order: each token along them has a
  /// state of its own. And all names of sequence axes, and what `..` stands for.
  llvm::SmallVector<IndexId> others;
  std::vector<std::pair<std::string, IndexId>> sequenceNames;
  llvm::SmallVector<IndexId> rest;
  bool restIsSequences = false; // and nothing else
  bool backward = false;
  Number decay, write;
  std::vector<LinearForm::Erase> erase;
  std::optional<double> period; // of which the state is kept as a remainder
  bool realSums = false; // of the erase terms the real part is taken
  /// An element of the transition matrix at the state's indices, `target` along the
  /// axis that it mixes, and at `source`; it takes the place of the decay.
  Number dense;
  IndexId target = 0, source = 0;
  /// A transition that mixes real and imaginary parts runs over the real numbers:
  /// the last axis of the state, twice as long, holds both parts of each value in
  /// turn. `interleaved` is its index, and that of decay, write and dense.
  bool isReal = false;
  IndexId interleaved = 0;
  unsigned slot = ~0u;      // of the carried state
  mlir::Value initial[2], finals[2];
  mlir::Value whole; // the initial state with both parts
  bool isComplex() const { return stmt.state.isComplex; }
  /// Binds the names of the sequence axes at a point.
  void bindSequences(PointContext &point, mlir::MLIRContext *context) const {
    for (const auto &[name, id] : sequenceNames)
      point.bound[name] = mlir::getAffineDimExpr(id, context);
    point.variables.push_back(time);
    point.variables.append(others.begin(), others.end());
    point.rest = rest;
  }
  /// Indices of the scan's state.
  llvm::SmallVector<IndexId> stateIds() const {
    llvm::SmallVector<IndexId> all(ids.begin(), ids.end());
    if (isReal)
      all.back() = interleaved;
    return all;
  }
};

/// A line that mixes the elements of a state along one axis. With x and y for the
/// real and imaginary part of the state (y is absent from a real one),
/// `diagonal[0][0] x + diagonal[0][1] y + sum_r right_r[0] f_r + write.re`
/// is the real part of what it says, `f_r = sum(source) left_r[0] x + left_r[1] y`.
struct Elaborator::Mixing {
  unsigned axis = 0;  // of the state
  IndexId source = 0; // the index along it inside the sums
  struct Sum {
    TermRef left[2], right[2];
  };
  std::vector<Sum> sums;
  TermRef diagonal[2][2]; // part of the result, part of the state
  Number write;
  bool isSeparable = true; // no `left` depends on the row
  bool isMixed() const { return !sums.empty(); }
};

} // namespace ssmc

#endif // SSMC_FRONTEND_STATEBLOCK_H
