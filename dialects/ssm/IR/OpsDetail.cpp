//===- OpsDetail.cpp - Shared by the ops' sources -------------------------===//

#include "OpsDetail.h"

using namespace mlir;
using namespace mlir::ssm;

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

std::string ssm::detail::toString(AffineExpr expr) {
  std::string text;
  llvm::raw_string_ostream(text) << expr;
  return text;
}

bool ssm::detail::agree(int64_t left, int64_t right) {
  return left == right || ShapedType::isDynamic(left) ||
         ShapedType::isDynamic(right);
}

bool ssm::detail::agree(ArrayRef<int64_t> left, ArrayRef<int64_t> right) {
  return left.size() == right.size() &&
         llvm::all_of_zip(left, right,
                          [](int64_t l, int64_t r) { return agree(l, r); });
}

LogicalResult ssm::detail::verifyNumOuts(Operation *op, size_t found,
                                         size_t least, size_t most) {
  if (found >= least && found <= most)
    return success();
  InFlightDiagnostic error = op->emitOpError("outs: found ")
                             << found << ", wanted " << least;
  if (most != least)
    error << " or " << most;
  return error;
}

LogicalResult ssm::detail::verifyFloats(Operation *op, StringRef what,
                                        Value value) {
  if (isa<FloatType>(getElementTypeOrSelf(value)))
    return success();
  return op->emitOpError() << "elements of the " << what << ": found "
                           << getElementTypeOrSelf(value)
                           << ", wanted a floating-point type";
}

LogicalResult ssm::detail::verifyOneForm(Operation *op) {
  Value tensor, memory;
  for (Value operand : op->getOperands())
    if (isa<ShapedType>(operand.getType()))
      (isa<TensorType>(operand.getType()) ? tensor : memory) = operand;
  if (!tensor || !memory)
    return success();
  return op->emitOpError("operands of both forms: found ")
         << tensor.getType() << " and " << memory.getType()
         << ", wanted only tensors or only memrefs";
}

LogicalResult ssm::detail::verifyEpilogue(Operation *op, StringRef label,
                                          Region &region, ValueRange outputs,
                                          ValueRange inputs, bool mayNarrow) {
  SmallVector<Type> wanted;
  for (Value value : outputs)
    wanted.push_back(getElementTypeOrSelf(value));
  for (Value value : inputs)
    wanted.push_back(getElementTypeOrSelf(value));
  TypeRange found = region.getArgumentTypes();
  // A result may come as it was computed, for an epilogue that narrows it.
  auto agrees = [&](unsigned i) {
    auto wide = dyn_cast<FloatType>(found[i]), type = dyn_cast<FloatType>(wanted[i]);
    return found[i] == wanted[i] || (mayNarrow && i < outputs.size() && wide && type &&
                                     wide.getWidth() > type.getWidth());
  };
  if (found.size() != wanted.size() ||
      !llvm::all_of(llvm::seq<unsigned>(wanted.size()), agrees))
    return op->emitOpError() << label << " epilogue arguments: found (" << found
                             << "), wanted (" << wanted << ")";
  auto yield = dyn_cast<YieldOp>(region.front().back());
  if (!yield)
    return op->emitOpError()
           << label << " end of the epilogue: found '"
           << region.front().back().getName() << "', wanted 'ssm.yield'";
  ArrayRef<Type> results = ArrayRef(wanted).take_front(outputs.size());
  if (yield.getOperandTypes() != TypeRange(results))
    return yield.emitOpError()
           << label << " yielded types: found (" << yield.getOperandTypes()
           << "), wanted (" << results << ")";
  return success();
}

LogicalResult ssm::detail::verifyMap(Operation *op, StringRef label,
                                     const Twine &what, AffineMap map,
                                     unsigned numDims, Value operand) {
  if (map.getNumSymbols() != 0)
    return op->emitOpError()
           << label << " symbols of the " << what << " map: found "
           << map.getNumSymbols() << ", wanted none";
  if (map.getNumDims() != numDims)
    return op->emitOpError()
           << label << " dimensions of the " << what << " map: found "
           << map.getNumDims() << ", wanted " << numDims;
  int64_t rank = cast<ShapedType>(operand.getType()).getRank();
  if (static_cast<int64_t>(map.getNumResults()) != rank)
    return op->emitOpError()
           << label << " results of the " << what << " map: found "
           << map.getNumResults() << ", wanted " << rank << ", the rank of "
           << operand.getType();
  return success();
}

LogicalResult ssm::detail::verifyMaps(Operation *op, StringRef label,
                                      StringRef what, ArrayAttr maps,
                                      unsigned numDims, ValueRange operands) {
  if (maps.size() != operands.size())
    return op->emitOpError()
           << label << " number of " << what << " maps: found " << maps.size()
           << ", wanted " << operands.size() << ", one for each operand";
  for (auto [index, map, operand] : llvm::enumerate(maps, operands))
    if (failed(verifyMap(op, label, Twine(what) + " " + Twine(index),
                         cast<AffineMapAttr>(map).getValue(), numDims,
                         operand)))
      return failure();
  return success();
}

LogicalResult ssm::detail::DimSizes::add(StringRef label, const Twine &what,
                                         AffineMap map, Value operand) {
  auto shape = cast<ShapedType>(operand.getType()).getShape();
  for (auto [axis, expr] : llvm::enumerate(map.getResults())) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim || ShapedType::isDynamic(shape[axis]))
      continue;
    int64_t &size = sizes[dim.getPosition()];
    if (ShapedType::isDynamic(size))
      size = shape[axis];
    if (size != shape[axis])
      return op->emitOpError()
             << label << " size of d" << dim.getPosition() << " in " << what
             << ": found " << shape[axis] << ", wanted " << size
             << " as in the other operands";
  }
  return success();
}

LogicalResult ssm::detail::DimSizes::verifyBounds(StringRef label,
                                                  const Twine &what,
                                                  AffineMap map,
                                                  Value operand) {
  auto shape = cast<ShapedType>(operand.getType()).getShape();
  MLIRContext *context = op->getContext();
  for (auto [axis, expr] : llvm::enumerate(map.getResults())) {
    if (isa<AffineDimExpr>(expr) || ShapedType::isDynamic(shape[axis]))
      continue;
    // An affine expression of one dimension is monotonic unless it has a
    // remainder, so its extremes are at the ends; with more dimensions or
    // unknown extents nothing is said.
    AffineMap single = AffineMap::get(map.getNumDims(), 0, expr, context);
    SmallVector<Attribute> first, last;
    bool known = true;
    bool empty = false;
    for (auto [dim, size] : llvm::enumerate(sizes)) {
      known &= !expr.isFunctionOfDim(dim) || !ShapedType::isDynamic(size);
      empty |= expr.isFunctionOfDim(dim) && size == 0;
      IntegerType i64 = IntegerType::get(context, 64);
      first.push_back(IntegerAttr::get(i64, 0));
      last.push_back(
          IntegerAttr::get(i64, ShapedType::isDynamic(size) ? 0 : size - 1));
    }
    if (!known || empty)
      continue;
    for (ArrayRef<Attribute> point : {ArrayRef(first), ArrayRef(last)}) {
      SmallVector<Attribute> index;
      if (failed(single.constantFold(point, index)))
        continue;
      int64_t value = cast<IntegerAttr>(index.front()).getInt();
      if (value < 0 || value >= shape[axis])
        return op->emitOpError()
               << label << " index of " << what << " along axis " << axis
               << ": found " << value << ", wanted 0 to " << shape[axis] - 1;
    }
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Interfaces
//===----------------------------------------------------------------------===//

void ssm::detail::getDestinationEffects(
    DestinationStyleOpInterface op,
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<BaseMemRefType>(operand.get().getType()))
      continue;
    MemoryEffects::Effect *effect = MemoryEffects::Read::get();
    if (op.isDpsInit(&operand))
      effect = MemoryEffects::Write::get();
    effects.emplace_back(effect, &operand, /*stage=*/0,
                         /*effectOnFullRegion=*/true,
                         SideEffects::DefaultResource::get());
  }
}

Speculation::Speculatability
ssm::detail::getDestinationSpeculatability(Operation *op) {
  bool onMemory = llvm::any_of(op->getOperandTypes(), [](Type type) {
    return isa<BaseMemRefType>(type);
  });
  return onMemory ? Speculation::NotSpeculatable : Speculation::Speculatable;
}

//===----------------------------------------------------------------------===//
// Assembly
//===----------------------------------------------------------------------===//

ParseResult ssm::detail::parseGroup(OpAsmParser &parser, StringRef keyword,
                                    bool required,
                                    ssm::detail::OperandGroup &group) {
  group.loc = parser.getCurrentLocation();
  if (failed(parser.parseOptionalKeyword(keyword))) {
    if (!required)
      return success();
    return parser.emitError(group.loc) << "expected '" << keyword << "'";
  }
  if (parser.parseLParen() || parser.parseOperandList(group.operands) ||
      parser.parseColonTypeList(group.types))
    return failure();
  return parser.parseRParen();
}

void ssm::detail::printGroup(OpAsmPrinter &printer, StringRef keyword,
                             ValueRange operands) {
  if (operands.empty())
    return;
  printer << ' ' << keyword << '(' << operands << " : " << operands.getTypes()
          << ')';
}

ParseResult ssm::detail::parseMaps(OpAsmParser &parser, OperationState &result,
                                   ArrayRef<ssm::detail::MapEntry> entries) {
  SMLoc start = parser.getCurrentLocation();
  if (parser.parseKeyword("maps"))
    return failure();
  auto parseEntry = [&]() -> ParseResult {
    SMLoc loc = parser.getCurrentLocation();
    StringRef name;
    if (parser.parseKeyword(&name) || parser.parseEqual())
      return failure();
    const ssm::detail::MapEntry *entry =
        llvm::find_if(entries, [&](const ssm::detail::MapEntry &entry) {
          return entry.name == name;
        });
    if (entry == entries.end())
      return parser.emitError(loc) << "unknown map '" << name << "'";
    if (result.attributes.get(entry->attribute))
      return parser.emitError(loc) << "map '" << name << "' given twice";
    if (entry->isArray) {
      ArrayAttr maps;
      return parser.parseAttribute(maps, entry->attribute, result.attributes);
    }
    AffineMapAttr map;
    return parser.parseAttribute(map, entry->attribute, result.attributes);
  };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Braces,
                                     parseEntry))
    return failure();
  for (const ssm::detail::MapEntry &entry : entries) {
    if (result.attributes.get(entry.attribute))
      continue;
    if (!entry.isArray)
      return parser.emitError(start) << "expected a map '" << entry.name << "'";
    result.addAttribute(entry.attribute, parser.getBuilder().getArrayAttr({}));
  }
  return success();
}

void ssm::detail::printMaps(OpAsmPrinter &printer, Operation *op,
                            ArrayRef<ssm::detail::MapEntry> entries) {
  printer << " maps {";
  bool first = true;
  for (const ssm::detail::MapEntry &entry : entries) {
    std::optional<Attribute> inherent = op->getInherentAttr(entry.attribute);
    Attribute attribute = inherent.value_or(Attribute());
    auto array = dyn_cast_or_null<ArrayAttr>(attribute);
    if (!attribute || (array && array.empty()))
      continue;
    if (!first)
      printer << ", ";
    first = false;
    printer << entry.name << " = ";
    printer.printAttribute(attribute);
  }
  printer << '}';
}

ParseResult ssm::detail::parseResultTypes(OpAsmParser &parser,
                                          OperationState &result) {
  if (failed(parser.parseOptionalArrow()))
    return success();
  return parser.parseTypeList(result.types);
}

void ssm::detail::printResultTypes(OpAsmPrinter &printer, TypeRange types) {
  if (!types.empty())
    printer << " -> " << types;
}
