//===- SSMOps.cpp - Norms, products, discretisation -----------------------===//
//
// Verification of all ops but ssm.scan, ssm.conv and ssm.shift.
//
//===----------------------------------------------------------------------===//

#include "OpsDetail.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace mlir::ssm::detail;

#define GET_OP_CLASSES
#include "ssm/IR/SSMOps.cpp.inc"

//===----------------------------------------------------------------------===//
// Interfaces
//===----------------------------------------------------------------------===//

#define SSM_DESTINATION_INTERFACES(OP)                                         \
  void OP::getEffects(                                                         \
      SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>      \
          &effects) {                                                          \
    getDestinationEffects(*this, effects);                                     \
  }                                                                            \
  Speculation::Speculatability OP::getSpeculatability() {                      \
    return getDestinationSpeculatability(*this);                               \
  }

SSM_DESTINATION_INTERFACES(ConvOp)
SSM_DESTINATION_INTERFACES(RootsOp)
SSM_DESTINATION_INTERFACES(SpectrumOp)
SSM_DESTINATION_INTERFACES(ShiftOp)
SSM_DESTINATION_INTERFACES(NormOp)
SSM_DESTINATION_INTERFACES(PackOp)
SSM_DESTINATION_INTERFACES(MatmulOp)
SSM_DESTINATION_INTERFACES(DiscretizeMatrixOp)
SSM_DESTINATION_INTERFACES(MatrixPowerOp)
SSM_DESTINATION_INTERFACES(ImpulseResponseOp)
SSM_DESTINATION_INTERFACES(KrylovOp)

#undef SSM_DESTINATION_INTERFACES

//===----------------------------------------------------------------------===//
// DiscretizeOp
//===----------------------------------------------------------------------===//

LogicalResult DiscretizeOp::verify() {
  size_t width = getRate().size();
  if (width != 1 && width != 2)
    return emitOpError() << "rate: found " << width
                         << " operands, wanted 1, or 2 if complex";
  if (getStep().size() != 1 && getStep().size() != width)
    return emitOpError() << "step: found " << getStep().size()
                         << " operands, wanted 1"
                         << (width == 2 ? ", or 2 as the rate" : "");
  if (getDecay().size() != width || getGain().size() != width)
    return emitOpError() << "results: found " << getDecay().size()
                         << " for the decay and " << getGain().size()
                         << " for the gain, wanted " << width
                         << " each, as for the rate";
  Type type = getRate().front().getType();
  for (Type found : llvm::concat<Type>(SmallVector<Type>(getOperandTypes()),
                                       SmallVector<Type>(getResultTypes())))
    if (found != type)
      return emitOpError() << "types: found " << found << ", wanted " << type
                           << " as the rate";
  return success();
}

//===----------------------------------------------------------------------===//
// NormOp
//===----------------------------------------------------------------------===//

YieldOp NormOp::getEpilogueYield() {
  return cast<YieldOp>(getEpilogue().front().back());
}

/// The constraint `label`: maps and sizes of epilogue operands, over the
/// dimensions of `space`.
static LogicalResult verifyEpilogueOperands(Operation *op, StringRef label,
                                            Value space, ArrayAttr maps,
                                            ValueRange operands) {
  unsigned rank = getShape(space).size();
  if (failed(verifyMaps(op, label, "epilogue", maps, rank, operands)))
    return failure();
  DimSizes sizes(op, rank);
  for (auto [dim, size] : llvm::enumerate(getShape(space)))
    sizes.set(dim, size);
  for (auto [index, map, operand] : llvm::enumerate(maps, operands)) {
    AffineMap epilogueMap = cast<AffineMapAttr>(map).getValue();
    std::string what = ("epilogue_ins " + Twine(index)).str();
    if (failed(sizes.add(label, what, epilogueMap, operand)) ||
        failed(sizes.verifyBounds(label, what, epilogueMap, operand)))
      return failure();
  }
  return success();
}

LogicalResult NormOp::verify() {
  if (failed(verifyOneForm(*this)) ||
      failed(verifyNumOuts(*this, getOuts().size(), 1, 1)) ||
      failed(verifyFloats(*this, "input", getInput())) ||
      failed(verifyFloats(*this, "output", getOutput())))
    return failure();
  ArrayRef<int64_t> shape = getShape(getInput());
  int64_t groups = getGroups();
  if (groups < 1)
    return emitOpError() << "(C1) groups: found " << groups
                         << ", wanted at least 1";
  if (shape.empty() || ShapedType::isDynamic(shape.back()) ||
      shape.back() % groups != 0)
    return emitOpError() << "(C1) input: found " << getInput().getType()
                         << ", wanted a static last dimension that is a "
                            "multiple of "
                         << groups;
  if (!agree(shape, getShape(getOutput())))
    return emitOpError() << "(C2) output: found " << getOutput().getType()
                         << ", wanted the shape of " << getInput().getType();
  return verifyEpilogueOperands(*this, "(C3)", getOutput(), getEpilogueMaps(),
                                getEpilogueIns());
}

LogicalResult NormOp::verifyRegions() {
  return verifyEpilogue(*this, "(C3)", getEpilogue(), getOutput(),
                        getEpilogueIns(), /*mayNarrow=*/true);
}

//===----------------------------------------------------------------------===//
// PackOp, MatmulOp
//===----------------------------------------------------------------------===//

YieldOp MatmulOp::getEpilogueYield() {
  return cast<YieldOp>(getEpilogue().front().back());
}

/// (C1): `packed` is the panel layout of a matrix with `n` columns of depth
/// `k`, either of which may be dynamic.
static LogicalResult verifyPanels(Operation *op, Value packed, int64_t n,
                                  int64_t k) {
  auto type = cast<ShapedType>(packed.getType());
  bool isPaired = type.getElementTypeBitWidth() == 16;
  ArrayRef<int64_t> shape = type.getShape();
  auto emitLayoutError = [&]() {
    InFlightDiagnostic error = op->emitOpError()
                               << "(C1) packed weight: found "
                               << packed.getType() << ", wanted ";
    auto printSize = [&](int64_t size, StringRef name) {
      if (ShapedType::isDynamic(size))
        error << name;
      else
        error << size;
    };
    error << "ceil(";
    printSize(n, "N");
    error << "/W) x " << (isPaired ? "ceil(" : "");
    printSize(k, "K");
    error << (isPaired ? "/2) x W x 2" : " x W") << " with a static W";
    return error;
  };
  if (shape.size() != (isPaired ? 4 : 3) || ShapedType::isDynamic(shape[2]) ||
      shape[2] < 1 || (isPaired && shape[3] != 2))
    return emitLayoutError();
  // Pairs may be padded to whole blocks of a matrix unit.
  bool isDeepEnough =
      ShapedType::isDynamic(k) || ShapedType::isDynamic(shape[1]) ||
      (isPaired ? shape[1] >= int64_t(llvm::divideCeil(k, 2)) : shape[1] == k);
  if (!isDeepEnough)
    return emitLayoutError();
  if (!ShapedType::isDynamic(n) &&
      !agree(shape[0], llvm::divideCeil(n, shape[2])))
    return emitLayoutError();
  return success();
}

LogicalResult PackOp::verify() {
  if (failed(verifyOneForm(*this)) ||
      failed(verifyNumOuts(*this, getOuts().size(), 1, 1)) ||
      failed(verifyFloats(*this, "weight", getWeight())) ||
      failed(verifyFloats(*this, "packed weight", getOuts().front())))
    return failure();
  ArrayRef<int64_t> shape = getShape(getWeight());
  if (shape.size() != 2)
    return emitOpError() << "(C1) weight: found " << getWeight().getType()
                         << ", wanted a matrix";
  return verifyPanels(*this, getOuts().front(),
                      getTransposed() ? shape[1] : shape[0],
                      getTransposed() ? shape[0] : shape[1]);
}

LogicalResult MatmulOp::verify() {
  if (failed(verifyOneForm(*this)) ||
      failed(verifyNumOuts(*this, getOuts().size(), 1, 1)) ||
      failed(verifyFloats(*this, "input", getInput())) ||
      failed(verifyFloats(*this, "packed weight", getWeight())) ||
      failed(verifyFloats(*this, "output", getOutput())))
    return failure();
  ArrayRef<int64_t> input = getShape(getInput());
  ArrayRef<int64_t> output = getShape(getOutput());
  if (input.empty() || output.empty() ||
      !agree(input.drop_back(), output.drop_back()))
    return emitOpError() << "(C2) output: found " << getOutput().getType()
                         << ", wanted the shape of " << getInput().getType()
                         << " in all dimensions but the last";
  if (failed(verifyPanels(*this, getWeight(), output.back(), input.back())))
    return failure();
  return verifyEpilogueOperands(*this, "(C3)", getOutput(), getEpilogueMaps(),
                                getEpilogueIns());
}

LogicalResult MatmulOp::verifyRegions() {
  return verifyEpilogue(*this, "(C3)", getEpilogue(), getOutput(),
                        getEpilogueIns());
}

bool mlir::ssm::isReadWhereWritten(Operation *op, OpOperand &read,
                                   OpOperand &written) {
  auto matmul = dyn_cast<MatmulOp>(op);
  if (!matmul || !matmul.isDpsInit(&written) ||
      read.get().getType() != written.get().getType())
    return false;
  MutableOperandRange operands = matmul.getEpilogueInsMutable();
  for (unsigned i = 0, end = operands.size(); i < end; ++i)
    if (&operands[i] == &read)
      return matmul.getEpilogueMap(i).isIdentity();
  return false;
}
