//===- InterpreterImpl.h - One run of the interpreter -----------*- C++ -*-===//

#ifndef SSMC_TEST_LIB_INTERPRETERIMPL_H
#define SSMC_TEST_LIB_INTERPRETERIMPL_H

#include "Interpreter.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "ssm/IR/SSM.h"
#include "llvm/ADT/DenseMap.h"
#include <functional>

namespace ssmc::test {

using Point = llvm::SmallVector<int64_t>;
using Values = llvm::DenseMap<mlir::Value, double>;

class Interpreter {
public:
  llvm::DenseMap<mlir::Value, Array *> arrays;

  void run(mlir::Operation *op);

private:
  void runGeneric(mlir::linalg::GenericOp op);
  void runScan(mlir::ssm::ScanOp op);
  void runConv(mlir::ssm::ConvOp op);
  void runShift(mlir::ssm::ShiftOp op);
  void runNorm(mlir::ssm::NormOp op);
  void runAttend(mlir::ssm::AttendOp op);
  void runImpulseResponse(mlir::ssm::ImpulseResponseOp op);

  Array &array(mlir::Value value) { return *arrays.find(value)->second; }
  double &at(mlir::Value memref, mlir::AffineMap map, const Point &point) {
    return array(memref).at(map.compose(point));
  }
  void evaluate(mlir::Block &body, const Point &point, Values &values);
  double evaluateOp(mlir::Operation *op, const Point &point,
                    const Values &values);
  /// Notes the extents of the dimensions that `map` names alone.
  static void noteExtents(Point &extents, mlir::AffineMap map,
                          const Array &array);
  /// Calls `body` for each point of the extents of `dims`; others stay.
  static void forEach(llvm::ArrayRef<unsigned> dims, const Point &extents,
                      Point &point, const std::function<void()> &body);
};

} // namespace ssmc::test

#endif // SSMC_TEST_LIB_INTERPRETERIMPL_H
