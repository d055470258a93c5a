//===- ProductForm.h - Whether chunks are products of matrices --*- C++ -*-===//
//
// Which recurrences the chunks of queries, keys and values can execute.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_ANALYSIS_PRODUCTFORM_H
#define SSM_ANALYSIS_PRODUCTFORM_H

#include "ssm/IR/SSM.h"

#include <string>

namespace mlir::ssm {

/// Why the chunks of `op` are no products of matrices with a key for each row and a lane
/// for each column; empty if they are.
std::string reasonAgainstProducts(ScanOp op);

} // namespace mlir::ssm

#endif // SSM_ANALYSIS_PRODUCTFORM_H
