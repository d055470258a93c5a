//===- RoundOperands.cpp - Operands of products rounded where they are made -===//
//
// ssm-round-operands: what only products read that round it is stored rounded, by the op that
// computes it.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "ssm/IR/SSM.h"
#include "ssm/Transforms/Passes.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_ROUNDOPERANDSPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;

namespace {
/// An output, the views of it, and the products that read them.
struct Rounding {
  OpResult output;
  SmallVector<Operation *> views;
  SmallVector<ssm::MatmulOp> products;
  Type type; // to which they round

  /// Whether all readers of `value` round it to one type.
  bool collect(Value value);
  void apply(IRRewriter &rewriter);
};
} // namespace

bool Rounding::collect(Value value) {
  for (OpOperand &use : value.getUses()) {
    Operation *user = use.getOwner();
    if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(user) &&
        use.getOperandNumber() == 0) {
      views.push_back(user);
      if (!collect(user->getResult(0)))
        return false;
      continue;
    }
    auto product = dyn_cast<ssm::MatmulOp>(user);
    if (!product || !product.getRoundInput() || &use != &product.getInputMutable())
      return false;
    Type wanted = getElementTypeOrSelf(product.getWeight());
    if (type && type != wanted)
      return false;
    type = wanted;
    products.push_back(product);
  }
  return true;
}

void Rounding::apply(IRRewriter &rewriter) {
  Operation *op = output.getOwner();
  Location loc = op->getLoc();
  auto retype = [&](Value value) {
    auto old = cast<RankedTensorType>(value.getType());
    value.setType(RankedTensorType::get(old.getShape(), type));
  };
  OpOperand &init = cast<DestinationStyleOpInterface>(op).getDpsInitsMutable()
                        [output.getResultNumber()];
  auto empty = init.get().getDefiningOp<tensor::EmptyOp>();
  rewriter.setInsertionPoint(op);
  init.set(tensor::EmptyOp::create(rewriter, loc, empty.getType().getShape(), type,
                                   empty.getDynamicSizes()));
  Region &epilogue = isa<ssm::NormOp>(op) ? cast<ssm::NormOp>(op).getEpilogue()
                                          : cast<ssm::ScanOp>(op).getEpilogue();
  Operation *yield = epilogue.front().getTerminator();
  rewriter.setInsertionPoint(yield);
  OpOperand &result = yield->getOpOperand(output.getResultNumber());
  result.set(arith::TruncFOp::create(rewriter, loc, type, result.get()));
  retype(output);
  for (Operation *view : views)
    retype(view->getResult(0));
  for (ssm::MatmulOp product : products)
    product.setRoundInput(false);
  remark::passed(loc, remark::RemarkOpts::name("Rounded").category("ssm-round-operands"))
      << remark::metric("products", products.size());
}

namespace {
class RoundOperandsPass : public ssm::impl::RoundOperandsPassBase<RoundOperandsPass> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    getOperation().walk([&](Operation *op) {
      auto scan = dyn_cast<ssm::ScanOp>(op);
      unsigned numOutputs = scan ? scan.getNumOutputs() : isa<ssm::NormOp>(op) ? 1 : 0;
      for (OpResult output : op->getResults().take_front(numOutputs)) {
        auto destination = cast<DestinationStyleOpInterface>(op);
        Value init = destination.getDpsInits()[output.getResultNumber()];
        Rounding rounding;
        rounding.output = output;
        if (rounding.collect(output) && rounding.type &&
            rounding.type.getIntOrFloatBitWidth() <
                getElementTypeOrSelf(output).getIntOrFloatBitWidth() &&
            init.getDefiningOp<tensor::EmptyOp>())
          rounding.apply(rewriter);
      }
    });
  }
};
} // namespace
