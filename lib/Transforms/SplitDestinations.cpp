//===- SplitDestinations.cpp - One empty tensor for each use --------------===//

#include "ssmc/Transforms/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"

namespace ssmc {
#define GEN_PASS_DEF_SPLITDESTINATIONSPASS
#include "ssmc/Transforms/Passes.h.inc"
} // namespace ssmc

using namespace mlir;

namespace {
struct SplitDestinationsPass
    : ssmc::impl::SplitDestinationsPassBase<SplitDestinationsPass> {
  void runOnOperation() override {
    SmallVector<tensor::EmptyOp> shared;
    getOperation().walk([&](tensor::EmptyOp empty) {
      if (!empty->hasOneUse() && !empty->use_empty())
        shared.push_back(empty);
    });
    for (tensor::EmptyOp empty : shared) {
      // Branches of which one is taken write what comes out of both to one place.
      SmallVector<Operation *> kept{*empty->getUsers().begin()};
      for (OpOperand &use : llvm::make_early_inc_range(
               llvm::drop_begin(empty->getUses()))) {
        if (llvm::all_of(kept, [&](Operation *user) {
              return insideMutuallyExclusiveRegions(user, use.getOwner());
            })) {
          kept.push_back(use.getOwner());
          continue;
        }
        OpBuilder builder(use.getOwner());
        use.set(builder.clone(*empty)->getResult(0));
      }
    }
  }
};
} // namespace
