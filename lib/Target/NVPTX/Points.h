//===- Points.h - Points of a loop that one thread takes -------*- C++ -*-===//

#ifndef SSMC_LIB_TARGET_NVPTX_POINTS_H
#define SSMC_LIB_TARGET_NVPTX_POINTS_H

#include "mlir/IR/Builders.h"

namespace ssmc::nvptx {

/// What a thread takes of the innermost loop of a nest: groups of neighbours, whose elements
/// are loaded and stored at once, a warp's groups apart. What keeps memory busy is the
/// number of bytes on their way.
struct Points {
  int64_t together = 1, groups = 1;

  int64_t count() const { return together * groups; }
};

/// Those of a loop from `lower` to `upper` by 1 over `induction`, whose body is `body`, of
/// the nest `outer`.
Points choosePoints(mlir::Operation *outer, mlir::Block &body, mlir::Value induction,
                    int64_t lower, int64_t upper);

/// Memory of which neighbours are accessed at once where it is aligned to them, and the
/// bytes to which it has to be; `rows` are those of which one point loads a whole row.
struct NeighbouringMemory {
  llvm::SmallVector<mlir::Value> memrefs, rows;
  int64_t bytes = 1;
};
NeighbouringMemory findNeighbouring(mlir::Operation *outer, mlir::Block &body,
                                    mlir::Value induction, const Points &points);

/// The points of the thread `number`, group by group.
llvm::SmallVector<mlir::Value> placePoints(mlir::OpBuilder &builder, mlir::Location loc,
                                           mlir::Value number, const Points &points);

/// Makes the code after that of the points, which is the first one's, all points'. They are
/// independent, so the loads of all may come before any store.
void spreadCode(llvm::ArrayRef<mlir::Value> values, const Points &points);

/// Loads at once what a block of code in `body` loads of a whole row of one of `memrefs`.
void loadRowsTogether(mlir::Block &body, mlir::ValueRange memrefs);

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_POINTS_H
