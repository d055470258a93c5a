//===- TestRecurrenceClass.cpp - Prints the class of recurrences ----------===//

#include "ssm/Analysis/RecurrenceClass.h"

#include "mlir/Pass/Pass.h"

using namespace mlir;
using namespace mlir::ssm;

namespace {
struct TestRecurrenceClass
    : public PassWrapper<TestRecurrenceClass, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TestRecurrenceClass)

  StringRef getArgument() const final { return "test-ssm-recurrence-class"; }
  StringRef getDescription() const final {
    return "Prints the class and the legal modes of every ssm.scan; operands "
           "of ins listed in the attribute test.time_invariant count as the "
           "same at every token";
  }

  void runOnOperation() override {
    getOperation()->walk([](ScanOp op) {
      auto listed = op->getAttrOfType<DenseI64ArrayAttr>("test.time_invariant");
      unsigned begin =
          op.getIns().empty() ? 0 : op.getIns().getBeginOperandIndex();
      RecurrenceInfo info = analyzeRecurrence(op, [&](OpOperand &operand) {
        return listed && llvm::is_contained(listed.asArrayRef(),
                                            operand.getOperandNumber() - begin);
      });
      auto function = op->getParentOfType<SymbolOpInterface>();
      llvm::outs() << "scan in @" << function.getName() << ": class "
                   << stringifyRecurrenceClass(info.kind);
      auto print = [&](StringRef what, ArrayRef<unsigned> dims) {
        llvm::outs() << ", " << what << " (";
        llvm::interleaveComma(dims, llvm::outs(), [&](unsigned dim) {
          llvm::outs() << op.getDimName(dim);
        });
        llvm::outs() << ")";
      };
      print("keys", info.keys);
      print("values", info.values);
      print("lanes", info.lanes);
      llvm::outs() << "\n";
      auto printReason = [](StringRef what, StringRef reason) {
        llvm::outs() << "  " << what << ": "
                     << (reason.empty() ? "legal" : reason) << "\n";
      };
      for (ExecutionMode mode : allExecutionModes)
        printReason(stringifyExecutionMode(mode), info.getReason(mode));
      printReason("split", info.splitReason);
    });
  }
};
} // namespace

namespace ssmc::test {
void registerTestRecurrenceClassPass() {
  PassRegistration<TestRecurrenceClass>();
}
} // namespace ssmc::test
