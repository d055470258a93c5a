//===- BufferizableOpInterfaceImpl.cpp - Bufferization of ssm -------------===//
//
// Outs are written and not read: every op writes all of them, but for the partial
// sums of a relaxed convolution, which it updates. What an op carries (initial and final state, history and final history) may be one
// buffer: all lowerings read a point of the first before they write the same
// point of the second.
//
//===----------------------------------------------------------------------===//

#include "ssm/Interfaces/BufferizableOpInterfaceImpl.h"

#include "ssm/IR/SSM.h"

#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Utils/StructuredOpsUtils.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace mlir::ssm;

/// The operand that receives what `operand` carries into `op`, or null.
static OpOperand *getCarryDestination(Operation *op, OpOperand &operand) {
  if (auto scan = dyn_cast<ScanOp>(op)) {
    MutableOperandRange initial = scan.getInitialMutable();
    for (unsigned i = 0, end = initial.size(); i < end; ++i)
      if (&initial[i] == &operand)
        return &scan.getOutsMutable()[scan.getNumOutputs() + i];
    return nullptr;
  }
  if (auto conv = dyn_cast<ConvOp>(op))
    if (conv.getFinalHistory() && operand.get() == conv.getHistory() &&
        &operand == &conv.getHistoryMutable()[0])
      return &conv.getOutsMutable()[1];
  if (auto attend = dyn_cast<AttendOp>(op)) {
    MutableOperandRange histories = attend.getHistoriesMutable();
    if (attend.getFinalHistories().empty())
      return nullptr;
    for (unsigned i = 0, end = histories.size(); i < end; ++i)
      if (&histories[i] == &operand)
        return &attend.getOutsMutable()[1 + i];
    return nullptr;
  }
  if (auto shift = dyn_cast<ShiftOp>(op))
    if (shift.getOuts().size() > 1 && operand.get() == shift.getHistory() &&
        &operand == &shift.getHistoryMutable()[0])
      return &shift.getOutsMutable()[1];
  return nullptr;
}

namespace {
template <typename OpTy>
struct DestinationOpModel
    : public DstBufferizableOpInterfaceExternalModel<DestinationOpModel<OpTy>,
                                                     OpTy> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &state) const {
    if (auto conv = dyn_cast<ConvOp>(op); conv && conv.isUpdated(operand))
      return true;
    return !cast<DestinationStyleOpInterface>(op).isDpsInit(&operand);
  }

  bool bufferizesToElementwiseAccess(Operation *op, const AnalysisState &state,
                                     ArrayRef<OpOperand *> operands) const {
    if (operands.size() != 2)
      return false;
    return getCarryDestination(op, *operands[0]) == operands[1] ||
           getCarryDestination(op, *operands[1]) == operands[0] ||
           isReadWhereWritten(op, *operands[0], *operands[1]) ||
           isReadWhereWritten(op, *operands[1], *operands[0]);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto destinationOp = cast<DestinationStyleOpInterface>(op);
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(op);
    SmallVector<Value> operands;
    SmallVector<Value> results;
    for (OpOperand &operand : op->getOpOperands()) {
      if (!isa<TensorType>(operand.get().getType())) { // a number
        operands.push_back(operand.get());
        continue;
      }
      FailureOr<Value> buffer =
          getBuffer(rewriter, operand.get(), options, state);
      if (failed(buffer))
        return failure();
      operands.push_back(*buffer);
      if (destinationOp.isDpsInit(&operand))
        results.push_back(*buffer);
    }
    clone(rewriter, op, /*newResultTypes=*/TypeRange(), operands);
    replaceOpWithBufferizedValues(rewriter, op, results);
    return success();
  }
};
} // namespace

void mlir::ssm::registerBufferizableOpInterfaceExternalModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, SSMDialect *dialect) {
    ScanOp::attachInterface<DestinationOpModel<ScanOp>>(*context);
    ConvOp::attachInterface<DestinationOpModel<ConvOp>>(*context);
    RootsOp::attachInterface<DestinationOpModel<RootsOp>>(*context);
    SpectrumOp::attachInterface<DestinationOpModel<SpectrumOp>>(*context);
    AttendOp::attachInterface<DestinationOpModel<AttendOp>>(*context);
    ShiftOp::attachInterface<DestinationOpModel<ShiftOp>>(*context);
    NormOp::attachInterface<DestinationOpModel<NormOp>>(*context);
    PackOp::attachInterface<DestinationOpModel<PackOp>>(*context);
    MatmulOp::attachInterface<DestinationOpModel<MatmulOp>>(*context);
    DiscretizeMatrixOp::attachInterface<DestinationOpModel<DiscretizeMatrixOp>>(
        *context);
    ImpulseResponseOp::attachInterface<DestinationOpModel<ImpulseResponseOp>>(*context);
    KrylovOp::attachInterface<DestinationOpModel<KrylovOp>>(*context);
    MatrixPowerOp::attachInterface<DestinationOpModel<MatrixPowerOp>>(*context);
  });
}
