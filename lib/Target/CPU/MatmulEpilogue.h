//===- MatmulEpilogue.h - An epilogue at vector width ----------*- C++ -*-===//
//
// Copies a region of scalar operations to where a product has its results, for
// several columns at once.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_MATMULEPILOGUE_H
#define SSMC_TARGET_CPU_MATMULEPILOGUE_H

#include "mlir/IR/AffineMap.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace ssmc::cpu {

class MatmulEpilogue {
public:
  /// `region` has the results' value and then those of `operands` as
  /// arguments; each of `maps` goes from the results' dimensions to those of
  /// an operand.
  MatmulEpilogue(mlir::Region &region, mlir::ValueRange operands,
                 llvm::ArrayRef<mlir::AffineMap> maps)
      : region(region), operands(operands.begin(), operands.end()),
        maps(maps.begin(), maps.end()) {}

  /// Whether every operation exists for vectors.
  bool canVectorize() const;

  /// What the region yields at `point` for `value`, which is a scalar or a
  /// vector along the last dimension.
  mlir::Value emit(mlir::ImplicitLocOpBuilder &b, mlir::Value value,
                   mlir::ValueRange point) const;

private:
  mlir::Value loadOperand(mlir::ImplicitLocOpBuilder &b, unsigned i,
                          mlir::ValueRange point, int64_t lanes) const;

  mlir::Region &region;
  llvm::SmallVector<mlir::Value> operands;
  llvm::SmallVector<mlir::AffineMap> maps;
};

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_MATMULEPILOGUE_H
