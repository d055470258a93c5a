//===- MatmulKernel.cpp - What the forms of a product share ---------------===//

#include "Target/NVPTX/MatmulKernel.h"

using namespace mlir;
using namespace ssmc;
using namespace ssmc::nvptx;

void MatmulKernel::countRows() {
  rows = loops.index(1);
  for (int64_t dim = 0; dim + 1 < rank; ++dim) {
    leadingSizes.push_back(loops.size(op.getOutput(), dim));
    rows = loops.mul(rows, leadingSizes.back());
  }
  columns = loops.size(op.getOutput(), rank - 1);
}

void MatmulKernel::choose(Value left, int64_t right, function_ref<void()> small,
                          function_ref<void()> large) {
  Value isSmall =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sle, left, loops.index(right));
  loops.when(isSmall, small, large);
}

SmallVector<Value> MatmulKernel::leadingOf(Value row) {
  SmallVector<Value> indices(rank - 1);
  for (int64_t dim = rank - 2; dim >= 0; --dim) {
    if (dim == 0) {
      indices[0] = row;
      break;
    }
    indices[dim] = arith::RemUIOp::create(b, loc, row, leadingSizes[dim]);
    row = arith::DivUIOp::create(b, loc, row, leadingSizes[dim]);
  }
  return indices;
}

SmallVector<Value> MatmulKernel::loadOperands(ArrayRef<Value> leading,
                                              Value column) {
  SmallVector<Value> point(leading), operands;
  point.push_back(column);
  for (auto [operand, map] :
       llvm::zip_equal(op.getEpilogueIns(),
                       op.getEpilogueMaps().getAsValueRange<AffineMapAttr>()))
    operands.push_back(loops.load(operand, loops.apply(map, point)));
  return operands;
}

Value MatmulKernel::store(ArrayRef<Value> leading, Value column, Value sum,
                          ArrayRef<Value> operands) {
  SmallVector<Value> point(leading);
  point.push_back(column);
  Value result = loops
                     .inlineEpilogue(op.getEpilogue(), sum,
                                     [&](unsigned number) { return operands[number]; })
                     .front();
  loops.store(result, op.getOutput(), point);
  return result;
}
