//===- ReadPackedWeights.cpp - Rows of weights that are packed anyway -----===//
//
// ssm-read-packed-weights: an embedding that is also the head of a model is
// stored once. Its rows are read from the panels of the product.
//
//===----------------------------------------------------------------------===//

#include "PreparedValues.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "ssm/IR/SSM.h"
#include "ssm/Transforms/Passes.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_READPACKEDWEIGHTSPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;

/// The packing of `weight` that keeps every element as it is, if all other uses
/// read single elements.
static ssm::PackOp findPacking(BlockArgument weight,
                               SmallVectorImpl<tensor::ExtractOp> &reads) {
  auto type = dyn_cast<RankedTensorType>(weight.getType());
  if (!type || type.getRank() != 2)
    return nullptr;
  ssm::PackOp packing;
  for (Operation *user : weight.getUsers()) {
    if (auto read = dyn_cast<tensor::ExtractOp>(user)) {
      reads.push_back(read);
      continue;
    }
    auto pack = dyn_cast<ssm::PackOp>(user);
    if (!pack || pack.getNumResults() != 1 || packing)
      return nullptr;
    auto packed = cast<RankedTensorType>(pack.getResult(0).getType());
    if (packed.getElementType() != type.getElementType() ||
        !pack.getOuts().front().getDefiningOp<tensor::EmptyOp>())
      return nullptr;
    packing = pack;
  }
  return reads.empty() ? nullptr : packing;
}

/// Reads element [row, column] of the weight, or [column, row] if `transposed`,
/// from its panels.
static void readPanel(tensor::ExtractOp read, Value packed, bool transposed) {
  OpBuilder builder(read);
  Location loc = read.getLoc();
  auto type = cast<RankedTensorType>(packed.getType());
  Value column = read.getIndices()[transposed ? 1 : 0];
  Value depth = read.getIndices()[transposed ? 0 : 1];
  auto constant = [&](int64_t value) {
    return arith::ConstantIndexOp::create(builder, loc, value);
  };
  auto divide = [&](Value value, int64_t by) -> Value {
    return arith::DivUIOp::create(builder, loc, value, constant(by));
  };
  auto remainder = [&](Value value, int64_t by) -> Value {
    return arith::RemUIOp::create(builder, loc, value, constant(by));
  };
  int64_t width = type.getDimSize(2);
  SmallVector<Value> indices = {divide(column, width), depth,
                                remainder(column, width)};
  if (type.getRank() == 4) {
    indices[1] = divide(depth, 2);
    indices.push_back(remainder(depth, 2));
  }
  Value element = tensor::ExtractOp::create(builder, loc, packed, indices);
  read.replaceAllUsesWith(element);
  read.erase();
}

namespace {
class ReadPackedWeightsPass
    : public ssm::impl::ReadPackedWeightsPassBase<ReadPackedWeightsPass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isDeclaration())
      return;
    for (BlockArgument weight : function.getArguments()) {
      SmallVector<tensor::ExtractOp> reads;
      if (!function.getArgAttr(weight.getArgNumber(), ssm::kWeightAttr))
        continue;
      ssm::PackOp packing = findPacking(weight, reads);
      if (!packing)
        continue;
      // It depends on the weight alone, and comes first.
      Block &entry = function.front();
      Operation *empty = packing.getOuts().front().getDefiningOp();
      if (!empty->getOperands().empty())
        continue;
      OpBuilder builder = OpBuilder::atBlockBegin(&entry);
      Operation *copy = builder.clone(*empty);
      packing.getOutsMutable().assign(copy->getResults());
      packing->moveAfter(copy);
      for (tensor::ExtractOp read : reads)
        readPanel(read, packing.getResult(0), packing.getTransposed());
      remark::passed(packing.getLoc(), remark::RemarkOpts::name("ReadPacked")
                                           .category("ssm-read-packed-weights"))
          << remark::metric("reads", reads.size());
    }
  }
};
} // namespace
