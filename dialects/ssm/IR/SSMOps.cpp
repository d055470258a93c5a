//===- SSMOps.cpp - Convolution, norms, products, discretisation ----------===//
//
// Assembly and verification of all ops but ssm.scan.
//
//===----------------------------------------------------------------------===//

#include "OpsDetail.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace mlir::ssm::detail;

#define GET_OP_CLASSES
#include "ssm/IR/SSMOps.cpp.inc"

static ArrayRef<int64_t> getShape(Value value) {
  return cast<ShapedType>(value.getType()).getShape();
}

/// Whether two extents may be the same.
static bool agree(int64_t left, int64_t right) {
  return left == right || ShapedType::isDynamic(left) ||
         ShapedType::isDynamic(right);
}

static bool agree(ArrayRef<int64_t> left, ArrayRef<int64_t> right) {
  return left.size() == right.size() &&
         llvm::all_of_zip(left, right,
                          [](int64_t l, int64_t r) { return agree(l, r); });
}

static bool holdsFloats(Value value) {
  return isa<FloatType>(getElementTypeOrSelf(value));
}

/// The number of outs an op with `wanted` of them has.
static LogicalResult verifyNumOuts(Operation *op, size_t found, size_t least,
                                   size_t most) {
  if (found >= least && found <= most)
    return success();
  InFlightDiagnostic error = op->emitOpError("outs: found ")
                             << found << ", wanted " << least;
  if (most != least)
    error << " or " << most;
  return error;
}

/// Every one of `values` holds floating-point numbers.
static LogicalResult verifyFloats(Operation *op, StringRef what, Value value) {
  if (holdsFloats(value))
    return success();
  return op->emitOpError() << "elements of the " << what << ": found "
                           << getElementTypeOrSelf(value)
                           << ", wanted a floating-point type";
}

/// The constraint `label`: `cut` is `B x T x i1` for the sequence `input`.
static LogicalResult verifyCut(Operation *op, StringRef label, Value input,
                               Value cut) {
  auto type = cast<ShapedType>(cut.getType());
  if (type.getElementType().isInteger(1) &&
      agree(type.getShape(), getShape(input).take_front(2)))
    return success();
  return op->emitOpError() << label << " cut: found " << cut.getType()
                           << ", wanted i1 elements and the two leading "
                              "dimensions of the input "
                           << input.getType();
}

/// The constraint `label`: `history` is that of `numTokens` tokens of `input`.
static LogicalResult verifyHistory(Operation *op, StringRef label,
                                   StringRef what, Value input, Value history,
                                   int64_t numTokens) {
  SmallVector<int64_t> wanted(getShape(input));
  wanted[1] = numTokens;
  if (agree(getShape(history), wanted) && holdsFloats(history))
    return success();
  InFlightDiagnostic error = op->emitOpError()
                             << label << ' ' << what << ": found "
                             << history.getType() << ", wanted the shape of "
                             << input.getType() << " with " << numTokens
                             << " tokens";
  return error;
}

/// History and final history may be one buffer, so they are of one type.
static LogicalResult verifyHistoryTypes(Operation *op, StringRef label,
                                        Value history, Value finalHistory) {
  if (!history || !finalHistory ||
      getElementTypeOrSelf(history) == getElementTypeOrSelf(finalHistory))
    return success();
  return op->emitOpError() << label << " elements of the final history: found "
                           << getElementTypeOrSelf(finalHistory) << ", wanted "
                           << getElementTypeOrSelf(history)
                           << " as in the history";
}

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
SSM_DESTINATION_INTERFACES(ShiftOp)
SSM_DESTINATION_INTERFACES(NormOp)
SSM_DESTINATION_INTERFACES(PackOp)
SSM_DESTINATION_INTERFACES(MatmulOp)

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
// ConvOp
//===----------------------------------------------------------------------===//

static const MapEntry convMaps[] = {{"input", "input_map", false},
                                    {"kernel", "kernel_map", false},
                                    {"epilogue", "epilogue_maps", true},
                                    {"output", "output_map", false}};

YieldOp ConvOp::getEpilogueYield() {
  return cast<YieldOp>(getEpilogue().front().back());
}

/// (C2), (C3): which dimensions the maps name.
static LogicalResult verifyConvDims(ConvOp op) {
  unsigned lag = op.getNumDims() - 1;
  auto verifyLeading = [&](StringRef label, StringRef what,
                           AffineMap map) -> LogicalResult {
    MLIRContext *context = op.getContext();
    if (map.getNumResults() >= 2 &&
        map.getResult(0) == getAffineDimExpr(0, context) &&
        map.getResult(1) == getAffineDimExpr(1, context))
      return success();
    return op.emitOpError()
           << label << " " << what << " map: found " << AffineMapAttr::get(map)
           << ", wanted results that start with d0, d1";
  };
  if (failed(verifyLeading("(C2)", "output", op.getOutputMap())) ||
      failed(verifyLeading("(C3)", "input", op.getInputMap())))
    return failure();
  llvm::SmallBitVector seen(op.getNumDims());
  for (AffineExpr expr : op.getOutputMap().getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim || dim.getPosition() == lag || seen.test(dim.getPosition()))
      return op.emitOpError()
             << "(C2) output map: found " << toString(expr) << " in "
             << AffineMapAttr::get(op.getOutputMap())
             << ", wanted distinct dimensions other than the lag d" << lag;
    seen.set(dim.getPosition());
  }
  if (seen.count() != lag)
    return op.emitOpError()
           << "(C2) output map: found " << AffineMapAttr::get(op.getOutputMap())
           << ", wanted all dimensions but the lag d" << lag;
  auto verifyNoLag = [&](const Twine &what, AffineMap map) -> LogicalResult {
    if (!map.isFunctionOfDim(lag))
      return success();
    return op.emitOpError()
           << "(C3) " << what << " map: found the lag d" << lag << " in "
           << AffineMapAttr::get(map) << ", wanted it in the kernel's map only";
  };
  if (failed(verifyNoLag("input", op.getInputMap())))
    return failure();
  for (unsigned i = 0, end = op.getEpilogueMaps().size(); i < end; ++i)
    if (failed(verifyNoLag("epilogue " + Twine(i), op.getEpilogueMap(i))))
      return failure();
  return success();
}

/// (C6): extents.
static LogicalResult verifyConvExtents(ConvOp op) {
  if (op.getLags() < 1)
    return op.emitOpError()
           << "(C6) lags: found " << op.getLags() << ", wanted at least 1";
  DimSizes sizes(op, op.getNumDims());
  sizes.set(op.getNumDims() - 1, op.getLags());
  if (failed(
          sizes.add("(C6)", "the output", op.getOutputMap(), op.getOutput())) ||
      failed(sizes.add("(C6)", "the input", op.getInputMap(), op.getInput())) ||
      failed(
          sizes.add("(C6)", "the kernel", op.getKernelMap(), op.getKernel())))
    return failure();
  for (auto [index, operand] : llvm::enumerate(op.getEpilogueIns()))
    if (failed(sizes.add("(C6)", "epilogue_ins " + Twine(index),
                         op.getEpilogueMap(index), operand)))
      return failure();
  if (failed(sizes.verifyBounds("(C6)", "the input", op.getInputMap(),
                                op.getInput())) ||
      failed(sizes.verifyBounds("(C6)", "the kernel", op.getKernelMap(),
                                op.getKernel())))
    return failure();
  for (auto [index, operand] : llvm::enumerate(op.getEpilogueIns()))
    if (failed(sizes.verifyBounds("(C6)", "epilogue_ins " + Twine(index),
                                  op.getEpilogueMap(index), operand)))
      return failure();
  return success();
}

LogicalResult ConvOp::verify() {
  if (failed(verifyOneForm(*this)) ||
      failed(verifyNumOuts(*this, getOuts().size(), 1, 2)) ||
      failed(verifyFloats(*this, "input", getInput())) ||
      failed(verifyFloats(*this, "kernel", getKernel())) ||
      failed(verifyFloats(*this, "output", getOutput())))
    return failure();
  unsigned numDims = getNumDims();
  if (numDims < 3)
    return emitOpError() << "(C1) dimensions of the output map: found "
                         << numDims
                         << ", wanted at least 3: batch, sequence and lag";
  if (failed(verifyMap(*this, "(C1)", "input", getInputMap(), numDims,
                       getInput())) ||
      failed(verifyMap(*this, "(C1)", "kernel", getKernelMap(), numDims,
                       getKernel())) ||
      failed(verifyMap(*this, "(C1)", "output", getOutputMap(), numDims,
                       getOutput())) ||
      failed(verifyMaps(*this, "(C1)", "epilogue", getEpilogueMaps(), numDims,
                        getEpilogueIns())) ||
      failed(verifyConvDims(*this)) || failed(verifyConvExtents(*this)))
    return failure();
  Value history = getHistory();
  Value finalHistory = getFinalHistory();
  int64_t numTokens = getLags() - 1;
  if (history && failed(verifyHistory(*this, "(C4)", "history", getInput(),
                                      history, numTokens)))
    return failure();
  if (finalHistory &&
      failed(verifyHistory(*this, "(C4)", "final history", getInput(),
                           finalHistory, numTokens)))
    return failure();
  if (getCut() && failed(verifyCut(*this, "(C4)", getInput(), getCut())))
    return failure();
  return verifyHistoryTypes(*this, "(C4)", history, finalHistory);
}

LogicalResult ConvOp::verifyRegions() {
  return verifyEpilogue(*this, "(C5)", getEpilogue(), getOutput(),
                        getEpilogueIns());
}

ParseResult ConvOp::parse(OpAsmParser &parser, OperationState &result) {
  Builder &builder = parser.getBuilder();
  OperandGroup input, kernel, history, cut, epilogueIns, outs;
  if (parseGroup(parser, "input", /*required=*/true, input) ||
      parseGroup(parser, "kernel", /*required=*/true, kernel) ||
      parseGroup(parser, "history", /*required=*/false, history) ||
      parseGroup(parser, "cut", /*required=*/false, cut) ||
      parseGroup(parser, "epilogue_ins", /*required=*/false, epilogueIns) ||
      parseGroup(parser, "outs", /*required=*/true, outs))
    return failure();
  SmallVector<int32_t> segments;
  for (OperandGroup *group :
       {&input, &kernel, &history, &cut, &epilogueIns, &outs}) {
    bool isSingle = group != &epilogueIns && group != &outs;
    if (isSingle && group->operands.size() > 1)
      return parser.emitError(group->loc)
             << "found " << group->operands.size() << " operands, wanted one";
    segments.push_back(group->operands.size());
    if (parser.resolveOperands(group->operands, group->types, group->loc,
                               result.operands))
      return failure();
  }
  result.addAttribute(getOperandSegmentSizeAttr(),
                      builder.getDenseI32ArrayAttr(segments));
  int64_t lags;
  if (parseMaps(parser, result, convMaps) || parser.parseKeyword("lags") ||
      parser.parseInteger(lags))
    return failure();
  result.addAttribute("lags", builder.getI64IntegerAttr(lags));
  if (parser.parseKeyword("epilogue") ||
      parser.parseRegion(*result.addRegion()) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  return parseResultTypes(parser, result);
}

void ConvOp::print(OpAsmPrinter &printer) {
  printGroup(printer, "input", getInput());
  printGroup(printer, "kernel", getKernel());
  if (Value history = getHistory())
    printGroup(printer, "history", history);
  if (Value cut = getCut())
    printGroup(printer, "cut", cut);
  printGroup(printer, "epilogue_ins", getEpilogueIns());
  printGroup(printer, "outs", getOuts());
  printMaps(printer, *this, convMaps);
  printer << " lags " << getLags() << " epilogue ";
  printer.printRegion(getEpilogue());
  printer.printOptionalAttrDictWithKeyword(
      (*this)->getAttrs(), {"input_map", "kernel_map", "epilogue_maps",
                            "output_map", "lags", getOperandSegmentSizeAttr()});
  printResultTypes(printer, getResultTypes());
}

//===----------------------------------------------------------------------===//
// ShiftOp
//===----------------------------------------------------------------------===//

LogicalResult ShiftOp::verify() {
  if (failed(verifyOneForm(*this)) ||
      failed(verifyNumOuts(*this, getOuts().size(), 1, 2)) ||
      failed(verifyFloats(*this, "input", getInput())) ||
      failed(verifyFloats(*this, "output", getOuts().front())))
    return failure();
  int64_t distance = getDistance();
  if (distance == 0)
    return emitOpError("(C1) distance: found 0, wanted another number");
  Value history = getHistory();
  Value finalHistory = getOuts().size() > 1 ? getOuts()[1] : Value();
  if (distance < 0 && (history || finalHistory || getCut()))
    return emitOpError() << "(C2) distance: found " << distance << " with a "
                         << (getCut() ? "cut" : "history")
                         << ", wanted a positive one";
  if (getShape(getInput()).size() < 2)
    return emitOpError() << "(C3) input: found " << getInput().getType()
                         << ", wanted at least batch and sequence";
  if (!agree(getShape(getInput()), getShape(getOuts().front())))
    return emitOpError() << "(C3) output: found " << getOuts().front().getType()
                         << ", wanted the shape of " << getInput().getType();
  if (history && failed(verifyHistory(*this, "(C2)", "history", getInput(),
                                      history, distance)))
    return failure();
  if (finalHistory && failed(verifyHistory(*this, "(C2)", "final history",
                                           getInput(), finalHistory, distance)))
    return failure();
  if (getCut() && failed(verifyCut(*this, "(C2)", getInput(), getCut())))
    return failure();
  return verifyHistoryTypes(*this, "(C2)", history, finalHistory);
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
                        getEpilogueIns());
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
  if (!ShapedType::isDynamic(k) &&
      !agree(shape[1], isPaired ? llvm::divideCeil(k, 2) : k))
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
