//===- ProductForm.h - Whether chunks are products of matrices --*- C++ -*-===//
//
// Which recurrences the chunks of queries, keys and values can execute.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_ANALYSIS_PRODUCTFORM_H
#define SSM_ANALYSIS_PRODUCTFORM_H

#include "ssm/IR/SSM.h"

#include <string>
#include <utility>

namespace mlir::ssm {

/// Why the chunks of `op` are no products of matrices with a key for each row and a lane
/// for each column; empty if they are.
std::string reasonAgainstProducts(ScanOp op);

/// The products of which a sum consists, and whether each is subtracted.
SmallVector<std::pair<Value, bool>> getProducts(Value sum);

/// Products of keys and of elements of the dimension `lane` that a token adds to the
/// state: those of the write, one where it is a product as a whole, and the erase pairs
/// whose keys are not a written product's.
unsigned countTerms(ScanOp op, unsigned lane);

} // namespace mlir::ssm

#endif // SSM_ANALYSIS_PRODUCTFORM_H
