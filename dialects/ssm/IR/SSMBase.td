//===- SSMBase.td - The ssm dialect ------------------------*- tablegen -*-===//
//
// The dialect, its op base class and the type constraints shared by its ops.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_IR_SSMBASE_TD
#define SSM_IR_SSMBASE_TD

include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/EnumAttr.td"

def SSM_Dialect : Dialect {
  let name = "ssm";
  let cppNamespace = "::mlir::ssm";
  let summary = "State space layers: recurrences, convolutions, norms";
  let description = [{
    What a state space layer has beyond dense algebra. Contractions and
    elementwise maps are upstream `linalg`; this dialect adds the structured
    recurrence `ssm.scan`, causal convolution and shift with carried history,
    discretisation rules, norms, and the product by a packed weight.

    **Axes.** A value with a sequence has type `tensor<B x T x ...>`: the batch
    first, the sequence second, both usually dynamic. Everything else has static
    extents. Complex quantities are pairs of real operands, real part first.

    **Destination style.** Ops that produce tensors take their results' initial
    buffers as `outs` operands, exist in a tensor and in a memref form, and
    bufferize without copies when the destination may be overwritten.

    **Carried values.** Whatever a later call needs of an earlier part of the
    sequence is an explicit operand and result: the state of `ssm.scan`, the
    history of `ssm.conv` and `ssm.shift`. An absent operand means zero. So one
    function is `forward` from the start of a sequence, its continuation, and,
    at length 1, `step`.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::tensor::TensorDialect"];
  let useDefaultAttributePrinterParser = 1;
}

class SSM_Op<string mnemonic, list<Trait> traits = []>
    : Op<SSM_Dialect, mnemonic, traits>;

/// A tensor of values or the memory that holds it.
def SSM_Shaped : AnyTypeOf<[AnyRankedTensor, AnyStridedMemRef]>;
def SSM_Init : AnyTypeOf<[AnyRankedTensor, AnyStridedMemRef]>;

/// An op that writes its results into `outs` operands. Memory effects follow
/// from the destination style: inputs are read, outs are written.
class SSM_DestinationOp<string mnemonic, list<Trait> traits = []>
    : SSM_Op<mnemonic, !listconcat([
        DestinationStyleOpInterface,
        DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
        DeclareOpInterfaceMethods<ConditionallySpeculatable>], traits)> {
  let hasFolder = 1;
  code dpsDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() {
      return getOutsMutable();
    }
  }];
}

#endif // SSM_IR_SSMBASE_TD
