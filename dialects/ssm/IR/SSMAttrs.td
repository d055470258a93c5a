//===- SSMAttrs.td - Enumerations of the ssm dialect -------*- tablegen -*-===//

#ifndef SSM_IR_SSMATTRS_TD
#define SSM_IR_SSMATTRS_TD

include "ssm/IR/SSMBase.td"

def SSM_Discretization : I32EnumAttr<"Discretization",
    "how a continuous state equation becomes a recurrence", [
      I32EnumAttrCase<"zoh", 0>, I32EnumAttrCase<"bilinear", 1>,
      I32EnumAttrCase<"euler", 2>, I32EnumAttrCase<"backward", 3>]> {
  let cppNamespace = "::mlir::ssm";
  let genSpecializedAttr = 0;
}
def SSM_DiscretizationAttr
    : EnumAttr<SSM_Dialect, SSM_Discretization, "rule">;

def SSM_NormKind : I32EnumAttr<"NormKind", "what a row is divided by", [
      I32EnumAttrCase<"rms", 0>, I32EnumAttrCase<"layer", 1>,
      I32EnumAttrCase<"l2", 2>]> {
  let cppNamespace = "::mlir::ssm";
  let genSpecializedAttr = 0;
}
def SSM_NormKindAttr : EnumAttr<SSM_Dialect, SSM_NormKind, "norm_kind">;

def SSM_ScanMode : I32EnumAttr<"ScanMode", "how a recurrence is executed", [
      I32EnumAttrCase<"literal", 0>, I32EnumAttrCase<"scan", 1>,
      I32EnumAttrCase<"chunk", 2>, I32EnumAttrCase<"conv", 3>,
      I32EnumAttrCase<"quadratic", 4>]> {
  let cppNamespace = "::mlir::ssm";
  let genSpecializedAttr = 0;
}
def SSM_ScanModeAttr : EnumAttr<SSM_Dialect, SSM_ScanMode, "mode">;

def SSM_ScheduleAttr : AttrDef<SSM_Dialect, "Schedule"> {
  let mnemonic = "schedule";
  let summary = "How one recurrence is executed, chosen by the cost model";
  let description = [{
    `chunk` is the number of tokens handled by one matrix product (chunk mode)
    or the time tile of the sequential lowering; `lanes` the number of channels
    one task owns; `segments` the number of pieces the sequence is split into, 1
    for none.
    0 leaves the choice to the lowering. Sequences shorter than `crossover`
    tokens take the sequential form whatever the mode is; where the length is
    not known, both forms are compiled. `quadratic` sums over all earlier tokens:
    `ssm-expand-quadratic` makes it `ssm.attend`.
  }];
  let parameters = (ins EnumParameter<SSM_ScanMode>:$mode,
                        DefaultValuedParameter<"int64_t", "0">:$chunk,
                        DefaultValuedParameter<"int64_t", "0">:$lanes,
                        DefaultValuedParameter<"int64_t", "0">:$segments,
                        DefaultValuedParameter<"int64_t", "0">:$crossover);
  let assemblyFormat = "`<` struct(params) `>`";
}

#endif // SSM_IR_SSMATTRS_TD
