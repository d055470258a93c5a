//===- SSMScan.cpp - The structured recurrence ----------------------------===//
//
// Assembly and queries of ssm.scan; its constraints are in SSMScanVerifier.cpp.
//
//===----------------------------------------------------------------------===//

#include "OpsDetail.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace mlir::ssm::detail;

static const MapEntry scanMaps[] = {{"ins", "ins_maps", true},
                                    {"epilogue", "epilogue_maps", true},
                                    {"state", "state_map", false},
                                    {"output", "output_map", false}};

//===----------------------------------------------------------------------===//
// Queries
//===----------------------------------------------------------------------===//

/// Dimensions that `map` names alone, after the first `skip` results.
static SmallVector<unsigned> getDims(AffineMap map, unsigned skip) {
  SmallVector<unsigned> dims;
  for (AffineExpr expr : map.getResults().drop_front(skip))
    dims.push_back(cast<AffineDimExpr>(expr).getPosition());
  return dims;
}

CoefficientsOp ScanOp::getCoefficientsOp() {
  return cast<CoefficientsOp>(getCoefficients().front().back());
}

YieldOp ScanOp::getEpilogueYield() {
  return cast<YieldOp>(getEpilogue().front().back());
}

Type ScanOp::getStateType() {
  Type element = getElementTypeOrSelf(getFinalStates().front());
  return element.getIntOrFloatBitWidth() < 32 ? Float32Type::get(getContext()) : element;
}

SmallVector<unsigned> ScanOp::getStateDims() {
  return getDims(getStateMap(), /*skip=*/1);
}

SmallVector<unsigned> ScanOp::getOutputDims() {
  return getDims(getOutputMap(), /*skip=*/2);
}

SmallVector<unsigned> ScanOp::getKeyDims() {
  SmallVector<unsigned> keys;
  if (getCoefficientsOp().getRead().empty()) {
    for (int64_t key : getKeys())
      keys.push_back(key);
    return keys;
  }
  for (unsigned dim : getStateDims())
    if (!getOutputMap().isFunctionOfDim(dim))
      keys.push_back(dim);
  return keys;
}

SmallVector<unsigned> ScanOp::getCopyDims() {
  SmallVector<unsigned> copies;
  for (unsigned dim : getOutputDims())
    if (!getStateMap().isFunctionOfDim(dim))
      copies.push_back(dim);
  return copies;
}

void ScanOp::dropTables() {
  getTablesMutable().clear();
  getCoefficientsOp().getInputsMutable().clear();
}

Value ScanOp::createRemainder(OpBuilder &builder, Location loc, Value state) {
  if (!getPeriod())
    return state;
  Type type = state.getType();
  auto element = cast<FloatType>(getElementTypeOrSelf(type));
  auto constant = [&](double value) -> Value {
    TypedAttr number = builder.getFloatAttr(element, value);
    if (auto shaped = dyn_cast<ShapedType>(type))
      number = DenseElementsAttr::get(shaped, Attribute(number));
    return arith::ConstantOp::create(builder, loc, number);
  };
  auto add = [&](Value a, Value b) -> Value {
    return arith::AddFOp::create(builder, loc, a, b);
  };
  auto subtract = [&](Value a, Value b) -> Value {
    return arith::SubFOp::create(builder, loc, a, b);
  };
  auto multiply = [&](Value a, double b) -> Value {
    return arith::MulFOp::create(builder, loc, a, constant(b));
  };
  double period = getPeriod()->convertToDouble();
  APFloat rounded(period);
  bool losesInfo;
  rounded.convert(element.getFloatSemantics(), APFloat::rmNearestTiesToEven, &losesInfo);
  rounded.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &losesInfo);
  double head = rounded.convertToDouble();

  // What the type has no digits for: of the period, which would add up over the times
  // that it is taken off, and of a sum, whose two parts tell what its rounding lost.
  Value times = math::FloorOp::create(builder, loc, multiply(state, 1 / period));
  Value rest = multiply(times, head - period);
  if (auto sum = state.getDefiningOp<arith::AddFOp>()) {
    Value left = sum.getLhs(), right = subtract(state, left);
    Value lost = add(subtract(left, subtract(state, right)),
                     subtract(sum.getRhs(), right));
    rest = add(lost, rest);
  }
  return add(subtract(state, multiply(times, head)), rest);
}

std::string ScanOp::getDimName(unsigned dim) {
  if (std::optional<ArrayAttr> names = getDimNames())
    return cast<StringAttr>((*names)[dim]).getValue().str();
  return "d" + std::to_string(dim);
}

int64_t ScanOp::getDimSize(unsigned dim) {
  // The matrix is square.
  if (getDenseSource() == dim)
    dim = *getDenseTarget();
  int64_t size = ShapedType::kDynamic;
  auto note = [&](AffineMap map, Value operand) {
    auto shape = cast<ShapedType>(operand.getType()).getShape();
    for (auto [axis, expr] : llvm::enumerate(map.getResults()))
      if (auto named = dyn_cast<AffineDimExpr>(expr))
        if (named.getPosition() == dim && ShapedType::isDynamic(size))
          size = shape[axis];
  };
  for (Value output : getOutputInits())
    note(getOutputMap(), output);
  for (Value state : getFinalStates())
    note(getStateMap(), state);
  for (Value state : getInitial())
    note(getStateMap(), state);
  for (auto [index, operand] : llvm::enumerate(getIns()))
    note(getInsMap(index), operand);
  for (auto [index, operand] : llvm::enumerate(getEpilogueIns()))
    note(getEpilogueMap(index), operand);
  return size;
}

llvm::SmallBitVector
ScanOp::getDependentDims(Value value,
                         function_ref<bool(OpOperand &)> isTimeInvariant) {
  llvm::SmallBitVector dims(getNumDims());
  llvm::SetVector<Value> values;
  values.insert(value);
  for (unsigned next = 0; next < values.size(); ++next) {
    Value current = values[next];
    if (auto argument = dyn_cast<BlockArgument>(current)) {
      if (argument.getOwner() != &getCoefficients().front())
        continue;
      unsigned index = argument.getArgNumber();
      AffineMap map = getInsMap(index);
      bool isConstant =
          isTimeInvariant && isTimeInvariant(getInsMutable()[index]);
      for (unsigned dim = 0, end = getNumDims(); dim < end; ++dim)
        if (map.isFunctionOfDim(dim) && !(isConstant && dim == 1))
          dims.set(dim);
      continue;
    }
    Operation *definition = current.getDefiningOp();
    if (!getCoefficients().isAncestor(definition->getParentRegion()))
      continue;
    // Regions of nested ops may use other values of this one.
    definition->walk([&](Operation *nested) {
      values.insert(nested->operand_begin(), nested->operand_end());
    });
  }
  return dims;
}

//===----------------------------------------------------------------------===//
// Interfaces
//===----------------------------------------------------------------------===//

void ScanOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDestinationEffects(*this, effects);
}

Speculation::Speculatability ScanOp::getSpeculatability() {
  return getDestinationSpeculatability(*this);
}

//===----------------------------------------------------------------------===//
// Assembly
//===----------------------------------------------------------------------===//

ParseResult ScanOp::parse(OpAsmParser &parser, OperationState &result) {
  Builder &builder = parser.getBuilder();
  if (succeeded(parser.parseOptionalKeyword("reverse")))
    result.addAttribute("reverse", builder.getUnitAttr());
  if (succeeded(parser.parseOptionalKeyword("complex")))
    result.addAttribute("complex", builder.getUnitAttr());
  if (succeeded(parser.parseOptionalKeyword("real_sums")))
    result.addAttribute("real_sums", builder.getUnitAttr());

  OperandGroup ins, initial, epilogueIns, tables, outs;
  if (parseGroup(parser, "ins", /*required=*/false, ins) ||
      parseGroup(parser, "initial", /*required=*/false, initial) ||
      parseGroup(parser, "epilogue_ins", /*required=*/false, epilogueIns) ||
      parseGroup(parser, "tables", /*required=*/false, tables) ||
      parseGroup(parser, "outs", /*required=*/true, outs))
    return failure();
  SmallVector<int32_t> segments;
  for (OperandGroup *group : {&ins, &initial, &epilogueIns, &tables, &outs}) {
    segments.push_back(group->operands.size());
    if (parser.resolveOperands(group->operands, group->types, group->loc,
                               result.operands))
      return failure();
  }
  result.addAttribute(getOperandSegmentSizeAttr(),
                      builder.getDenseI32ArrayAttr(segments));

  if (parseMaps(parser, result, scanMaps))
    return failure();
  for (StringRef name : {"keys", "dense"}) {
    if (failed(parser.parseOptionalKeyword(name)))
      continue;
    SmallVector<int64_t> dims;
    auto parseDim = [&] { return parser.parseInteger(dims.emplace_back()); };
    if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Square,
                                       parseDim))
      return failure();
    result.addAttribute(name, builder.getDenseI64ArrayAttr(dims));
  }
  if (parser.parseKeyword("coefficients") ||
      parser.parseRegion(*result.addRegion()) ||
      parser.parseKeyword("epilogue") ||
      parser.parseRegion(*result.addRegion()) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  return parseResultTypes(parser, result);
}

void ScanOp::print(OpAsmPrinter &printer) {
  if (getReverse())
    printer << " reverse";
  if (getComplex())
    printer << " complex";
  if (getRealSums())
    printer << " real_sums";
  printGroup(printer, "ins", getIns());
  printGroup(printer, "initial", getInitial());
  printGroup(printer, "epilogue_ins", getEpilogueIns());
  printGroup(printer, "tables", getTables());
  printGroup(printer, "outs", getOuts());
  printMaps(printer, *this, scanMaps);
  auto printDims = [&](StringRef name, ArrayRef<int64_t> dims) {
    printer << ' ' << name << " [";
    llvm::interleaveComma(dims, printer);
    printer << ']';
  };
  if (!getKeys().empty())
    printDims("keys", getKeys());
  if (getDense())
    printDims("dense", *getDense());
  printer << " coefficients ";
  printer.printRegion(getCoefficients());
  printer << " epilogue ";
  printer.printRegion(getEpilogue());
  SmallVector<StringRef> elided = {
      "ins_maps",   "epilogue_maps", "state_map",
      "output_map", "reverse",       "complex",
      "keys",       "dense",         "real_sums",
      getOperandSegmentSizeAttr()};
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), elided);
  printResultTypes(printer, getResultTypes());
}
