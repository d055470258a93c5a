//===- ConvertTensor.h - A tensor in another type --------------*- C++ -*-===//

#ifndef SSMC_LIB_PIPELINE_CONVERTTENSOR_H
#define SSMC_LIB_PIPELINE_CONVERTTENSOR_H

#include "mlir/IR/Builders.h"

namespace ssmc {

/// `value` with elements of type `type`; f32 and f64 hold those of a narrow one, which
/// are rounded to nearest, ties to even, on the way back.
mlir::Value convertTensor(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value,
                          mlir::Type type);

/// The narrow type of a name, bf16 or f16.
mlir::Type getNarrowType(mlir::MLIRContext *context, llvm::StringRef name);

/// Whether elements of `type` are numbers that `narrow` has fewer bits for.
bool isWider(mlir::Type type, mlir::Type narrow);

} // namespace ssmc

#endif // SSMC_LIB_PIPELINE_CONVERTTENSOR_H
