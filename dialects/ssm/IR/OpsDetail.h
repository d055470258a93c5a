//===- OpsDetail.h - Shared by the ops' sources ----------------*- C++ -*-===//
//
// Checks and assembly helpers that several ops of the dialect use. Not for
// clients of the dialect.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_IR_OPSDETAIL_H
#define SSM_IR_OPSDETAIL_H

#include "ssm/IR/SSM.h"

namespace mlir::ssm::detail {

/// As printed in a map: `d0 + 1`.
std::string toString(AffineExpr expr);

inline ArrayRef<int64_t> getShape(Value value) {
  return cast<ShapedType>(value.getType()).getShape();
}

/// Whether two extents, or all extents of two shapes, may be the same.
bool agree(int64_t left, int64_t right);
bool agree(ArrayRef<int64_t> left, ArrayRef<int64_t> right);

/// The op has at least `least` and at most `most` outs.
LogicalResult verifyNumOuts(Operation *op, size_t found, size_t least,
                            size_t most);

/// `value` holds floating-point numbers.
LogicalResult verifyFloats(Operation *op, StringRef what, Value value);

/// Operands of one kind only: an op works on tensors or on memory.
LogicalResult verifyOneForm(Operation *op);

/// The constraint `label`: the arguments of `region` are `results` (the
/// element types of `outputs`, which the terminator yields again) and then the
/// element types of `inputs`. Where it `mayNarrow`, results may come wider than
/// they are stored.
LogicalResult verifyEpilogue(Operation *op, StringRef label, Region &region,
                             ValueRange outputs, ValueRange inputs,
                             bool mayNarrow = false);

/// The constraint `label`: `map` has `numDims` dimensions, no symbols, and one
/// result for each dimension of `operand`.
LogicalResult verifyMap(Operation *op, StringRef label, const Twine &what,
                        AffineMap map, unsigned numDims, Value operand);

/// One map for each of `operands`, with the properties of verifyMap.
LogicalResult verifyMaps(Operation *op, StringRef label, StringRef what,
                         ArrayAttr maps, unsigned numDims, ValueRange operands);

/// Static extents of dimensions, gathered from the operands that name them.
class DimSizes {
public:
  DimSizes(Operation *op, unsigned numDims)
      : op(op), sizes(numDims, ShapedType::kDynamic) {}
  /// Notes the sizes of `operand`, where `map` names a dimension alone;
  /// constraint `label` is that they agree with what is known.
  LogicalResult add(StringRef label, const Twine &what, AffineMap map,
                    Value operand);
  /// Constraint `label`: indices that `map` makes of known dimensions are
  /// inside `operand`.
  LogicalResult verifyBounds(StringRef label, const Twine &what, AffineMap map,
                             Value operand);
  void set(unsigned dim, int64_t size) { sizes[dim] = size; }
  int64_t get(unsigned dim) const { return sizes[dim]; }

private:
  Operation *op;
  SmallVector<int64_t> sizes;
};

/// Memory effects of an op in destination style: inputs are read, outs are
/// written. Tensors have none.
void getDestinationEffects(
    DestinationStyleOpInterface op,
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects);

/// Tensor form may be executed at any place; memory form may not.
Speculation::Speculatability getDestinationSpeculatability(Operation *op);

/// Operands written `keyword(%a, %b : type, type)`.
struct OperandGroup {
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SmallVector<Type> types;
  SMLoc loc;
};
ParseResult parseGroup(OpAsmParser &parser, StringRef keyword, bool required,
                       OperandGroup &group);
void printGroup(OpAsmPrinter &printer, StringRef keyword, ValueRange operands);

/// Parses `maps {name = attribute, ...}` into attributes of `result` called
/// `<name>_map` or `<name>_maps`; `names` lists those expected.
struct MapEntry {
  StringRef name;
  StringRef attribute;
  /// An array of maps, absent if empty; otherwise a single map.
  bool isArray;
};
ParseResult parseMaps(OpAsmParser &parser, OperationState &result,
                      ArrayRef<MapEntry> entries);
void printMaps(OpAsmPrinter &printer, Operation *op,
               ArrayRef<MapEntry> entries);

/// Parses `-> type, type`, absent in memory form.
ParseResult parseResultTypes(OpAsmParser &parser, OperationState &result);
void printResultTypes(OpAsmPrinter &printer, TypeRange types);

} // namespace mlir::ssm::detail

#endif // SSM_IR_OPSDETAIL_H
