//===- SSMConv.cpp - Convolution and shift along the sequence -------------===//
//
// Assembly and verification of ssm.conv and ssm.shift.
//
//===----------------------------------------------------------------------===//

#include "OpsDetail.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace mlir::ssm::detail;

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
  std::string tokens = ShapedType::isDynamic(numTokens)
                           ? std::string("any number of")
                           : std::to_string(numTokens);
  if (agree(getShape(history), wanted) &&
      isa<FloatType>(getElementTypeOrSelf(history)))
    return success();
  InFlightDiagnostic error = op->emitOpError()
                             << label << ' ' << what << ": found "
                             << history.getType() << ", wanted the shape of "
                             << input.getType() << " with " << tokens
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
// ConvOp
//===----------------------------------------------------------------------===//

static const MapEntry convMaps[] = {{"input", "input_map", false},
                                    {"kernel", "kernel_map", false},
                                    {"epilogue", "epilogue_maps", true},
                                    {"output", "output_map", false}};

YieldOp ConvOp::getEpilogueYield() {
  return cast<YieldOp>(getEpilogue().front().back());
}

std::optional<unsigned> ConvOp::getLagAxis() {
  AffineExpr lag = getAffineDimExpr(getNumDims() - 1, getContext());
  for (auto [axis, expr] : llvm::enumerate(getKernelMap().getResults()))
    if (expr == lag)
      return axis;
  return std::nullopt;
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
  auto lags = static_cast<int64_t>(op.getLags());
  if (!op.hasDynamicLags() && lags < 1)
    return op.emitOpError()
           << "(C6) lags: found " << lags << ", wanted at least 1";
  DimSizes sizes(op, op.getNumDims());
  sizes.set(op.getNumDims() - 1, lags);
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

/// (C7), (C8): lags at run time, histories.
static LogicalResult verifyConvLags(ConvOp op) {
  if (op.hasDynamicLags() && !op.getLagAxis())
    return op.emitOpError()
           << "(C7) kernel map: found " << AffineMapAttr::get(op.getKernelMap())
           << ", wanted the lag d" << op.getNumDims() - 1
           << " alone as one of the indices, as the number of lags is the "
              "kernel's";
  if (op.getFirst() && op.getStaticFirst() != 0)
    return op.emitOpError() << "(C7) first lag: found a value and the number "
                            << static_cast<int64_t>(op.getStaticFirst())
                            << ", wanted one of them";
  bool hasHistory = op.getHistory() || op.getFinalHistory();
  if (op.getPosition() && !hasHistory)
    return op.emitOpError("(C8) position: found one without a history, wanted "
                          "a history");
  std::optional<int64_t> reach = op.getReach();
  if (hasHistory && reach && *reach < 1)
    return op.emitOpError() << "(C8) history: found one with the lags "
                            << static_cast<int64_t>(op.getStaticFirst())
                            << " to " << *reach << ", wanted a lag above 0";
  return success();
}

/// (C9): what Fourier transforms need.
static LogicalResult verifyConvSpectrum(ConvOp op) {
  std::optional<int64_t> lane = op.getSpectrumLane();
  if (!op.getSpectrum() && !op.getRoots() && !lane)
    return success();
  if (!op.getSpectrum() || !op.getRoots() || !lane)
    return op.emitOpError("(C9) spectrum: found only a part of spectrum, roots "
                          "and spectrum_lane, wanted all or none");
  for (AffineExpr expr : op.getKernelMap().getResults())
    if (!isa<AffineDimExpr>(expr))
      return op.emitOpError() << "(C9) kernel map: found " << toString(expr)
                              << " with a spectrum, wanted a dimension alone";
  if (!op.getLagAxis() || *lane < 2 || *lane + 1 >= int64_t(op.getNumDims()) ||
      !op.getKernelMap().isFunctionOfDim(*lane))
    return op.emitOpError() << "(C9) spectrum_lane: found " << *lane
                            << ", wanted a channel of the kernel";
  int64_t rank = getShape(op.getKernel()).size() + 2;
  ArrayRef<int64_t> shape = getShape(op.getSpectrum());
  if (int64_t(shape.size()) != rank || shape[rank - 2] != 2 ||
      ShapedType::isDynamic(shape[rank - 1]))
    return op.emitOpError() << "(C9) spectrum: found "
                            << op.getSpectrum().getType()
                            << ", wanted what ssm.spectrum makes of the kernel";
  Value workspace = op.getWorkspace();
  if (getShape(workspace).size() != 3 ||
      getElementTypeOrSelf(workspace) != getElementTypeOrSelf(op.getSpectrum()))
    return op.emitOpError() << "(C9) memory for transforms: found "
                            << workspace.getType()
                            << ", wanted three dimensions and the elements of "
                               "the spectrum";
  return success();
}

/// (C10): what calls pass on besides the history.
static LogicalResult verifyConvRelaxed(ConvOp op) {
  if (!op.getRelaxed())
    return success();
  if (!op.getSpectrum() || !op.getPosition() || !op.getHistory() ||
      !op.getFinalHistory() || op.getFirst() ||
      static_cast<int64_t>(op.getStaticFirst()) < 0)
    return op.emitOpError("(C10) relaxed: wanted a spectrum, a position, a "
                          "history with its destination, and no lag below 0");
  Type element = getElementTypeOrSelf(op.getSpectrum());
  auto sums = cast<ShapedType>(op.getPartialSums().getType());
  if (sums.getRank() != 3 || sums.getElementType() != element)
    return op.emitOpError() << "(C10) partial sums: found " << sums
                            << ", wanted three dimensions of " << element;
  auto position = cast<ShapedType>(op.getPartialSumsPosition().getType());
  if (position.getRank() != 1 || !position.getElementType().isInteger(64) ||
      !agree(position.getDimSize(0), getShape(op.getOutput()).front()) ||
      !agree(sums.getDimSize(0), getShape(op.getOutput()).front()))
    return op.emitOpError() << "(C10) partial sums and their position: found "
                            << sums << " and " << position
                            << ", wanted one row and one i64 for each sequence "
                               "of "
                            << op.getOutput().getType();
  return success();
}

LogicalResult ConvOp::verify() {
  if (failed(verifyOneForm(*this)) ||
      failed(verifyNumOuts(*this, getOuts().size(), 1 + getNumExtraOuts(),
                           2 + getNumExtraOuts())) ||
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
      failed(verifyConvDims(*this)) || failed(verifyConvExtents(*this)) ||
      failed(verifyConvLags(*this)) || failed(verifyConvSpectrum(*this)) ||
      failed(verifyConvRelaxed(*this)))
    return failure();
  Value history = getHistory();
  Value finalHistory = getFinalHistory();
  int64_t numTokens = getPosition() ? ShapedType::kDynamic
                                    : getReach().value_or(ShapedType::kDynamic);
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
                        getEpilogueIns(), /*mayNarrow=*/true);
}

/// `lags COUNT (from FIRST)?`, where each may be known at run time only.
static ParseResult parseLags(OpAsmParser &parser, OperationState &result,
                             OperandGroup &first) {
  Builder &builder = parser.getBuilder();
  int64_t lags = ShapedType::kDynamic, from = 0;
  if (parser.parseKeyword("lags"))
    return failure();
  if (failed(parser.parseOptionalQuestion()) && parser.parseInteger(lags))
    return failure();
  result.addAttribute("lags", builder.getI64IntegerAttr(lags));
  if (failed(parser.parseOptionalKeyword("from")))
    return success();
  first.loc = parser.getCurrentLocation();
  OpAsmParser::UnresolvedOperand operand;
  OptionalParseResult isValue = parser.parseOptionalOperand(operand);
  if (isValue.has_value()) {
    if (failed(*isValue))
      return failure();
    first.operands.push_back(operand);
    first.types.push_back(builder.getIndexType());
    return success();
  }
  if (parser.parseInteger(from))
    return failure();
  result.addAttribute("static_first", builder.getI64IntegerAttr(from));
  return success();
}

ParseResult ConvOp::parse(OpAsmParser &parser, OperationState &result) {
  Builder &builder = parser.getBuilder();
  OperandGroup input, kernel, history, position, cut, epilogueIns, first, outs;
  OperandGroup spectrum, roots;
  if (parseGroup(parser, "input", /*required=*/true, input) ||
      parseGroup(parser, "kernel", /*required=*/true, kernel) ||
      parseGroup(parser, "history", /*required=*/false, history) ||
      parseGroup(parser, "position", /*required=*/false, position) ||
      parseGroup(parser, "cut", /*required=*/false, cut) ||
      parseGroup(parser, "spectrum", /*required=*/false, spectrum) ||
      parseGroup(parser, "roots", /*required=*/false, roots) ||
      parseGroup(parser, "epilogue_ins", /*required=*/false, epilogueIns) ||
      parseGroup(parser, "outs", /*required=*/true, outs) ||
      parseMaps(parser, result, convMaps) || parseLags(parser, result, first))
    return failure();
  SmallVector<int32_t> segments;
  for (OperandGroup *group : {&input, &kernel, &history, &position, &cut,
                              &epilogueIns, &first, &spectrum, &roots, &outs}) {
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
  if (Value position = getPosition())
    printGroup(printer, "position", position);
  if (Value cut = getCut())
    printGroup(printer, "cut", cut);
  if (Value spectrum = getSpectrum())
    printGroup(printer, "spectrum", spectrum);
  if (Value roots = getRoots())
    printGroup(printer, "roots", roots);
  printGroup(printer, "epilogue_ins", getEpilogueIns());
  printGroup(printer, "outs", getOuts());
  printMaps(printer, *this, convMaps);
  printer << " lags ";
  if (hasDynamicLags())
    printer << '?';
  else
    printer << static_cast<int64_t>(getLags());
  if (Value first = getFirst())
    printer << " from " << first;
  else if (getStaticFirst() != 0)
    printer << " from " << static_cast<int64_t>(getStaticFirst());
  printer << " epilogue ";
  printer.printRegion(getEpilogue());
  printer.printOptionalAttrDictWithKeyword(
      (*this)->getAttrs(),
      {"input_map", "kernel_map", "epilogue_maps", "output_map", "lags",
       "static_first", getOperandSegmentSizeAttr()});
  printResultTypes(printer, getResultTypes());
}

//===----------------------------------------------------------------------===//
// RootsOp, SpectrumOp
//===----------------------------------------------------------------------===//

static LogicalResult verifyRoots(Operation *op, StringRef label, Value roots) {
  if (agree(getShape(roots), {ShapedType::kDynamic, 2}) &&
      isa<FloatType>(getElementTypeOrSelf(roots)))
    return success();
  return op->emitOpError() << label << " roots: found " << roots.getType()
                           << ", wanted pairs of floating-point numbers, ? x 2";
}

LogicalResult RootsOp::verify() {
  if (failed(verifyOneForm(*this)) ||
      failed(verifyNumOuts(*this, getOuts().size(), 1, 1)))
    return failure();
  return verifyRoots(*this, "(C1)", getOuts().front());
}

LogicalResult SpectrumOp::verify() {
  if (failed(verifyOneForm(*this)) ||
      failed(verifyNumOuts(*this, getOuts().size(), 1, 1)) ||
      failed(verifyFloats(*this, "kernel", getKernel())) ||
      failed(verifyFloats(*this, "spectrum", getOuts().front())))
    return failure();
  ArrayRef<int64_t> kernel = getShape(getKernel());
  auto rank = static_cast<int64_t>(kernel.size());
  auto lag = static_cast<int64_t>(getLag());
  auto lane = static_cast<int64_t>(getLane());
  if (lag < 0 || lag >= rank || lane < 0 || lane >= rank || lag == lane)
    return emitOpError() << "(C1) lag and lane: found " << lag << " and " << lane
                         << ", wanted two dimensions of " << getKernel().getType();
  ArrayRef<int64_t> shape = getShape(getOuts().front());
  SmallVector<int64_t> wanted;
  for (int64_t axis = 0; axis < rank; ++axis)
    if (axis != lag && axis != lane)
      wanted.push_back(kernel[axis]);
  int64_t width = shape.empty() ? ShapedType::kDynamic : shape.back();
  bool isKnown = !ShapedType::isDynamic(width) && width > 0;
  wanted.push_back(!isKnown || ShapedType::isDynamic(kernel[lane])
                       ? ShapedType::kDynamic
                       : int64_t(llvm::divideCeil(kernel[lane], width)));
  wanted.append({ShapedType::kDynamic, 2, width});
  if (!isKnown || !agree(shape, wanted))
    return emitOpError() << "(C2) spectrum: found " << getOuts().front().getType()
                         << ", wanted the other dimensions of "
                         << getKernel().getType()
                         << ", then ceil(lanes / W) x places x 2 x W";
  if (getFirst() && getStaticFirst() != 0)
    return emitOpError("(C2) first lag: found a value and a number, wanted one "
                       "of them");
  auto block = static_cast<int64_t>(getBlock().value_or(8));
  auto threads = static_cast<int64_t>(getThreads().value_or(1));
  if (block < 8 || !llvm::isPowerOf2_64(block))
    return emitOpError() << "(C4) block: found " << block
                         << ", wanted a power of two, at least 8";
  if (threads < 1 || !llvm::isPowerOf2_64(threads) || 2 * threads > block ||
      (getThreads() && !getBlock()))
    return emitOpError() << "(C4) threads: found " << threads
                         << ", wanted a power of two, at most half of a block";
  return verifyRoots(*this, "(C3)", getRoots());
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
