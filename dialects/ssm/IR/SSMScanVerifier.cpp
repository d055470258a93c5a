//===- SSMScanVerifier.cpp - Constraints of the structured recurrence -----===//
//
// (C1) to (C12) of the definition of ssm.scan.
//
//===----------------------------------------------------------------------===//

#include "OpsDetail.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace mlir::ssm::detail;

/// (C2) `map` is made of distinct dimensions, the first ones `d0, d1, ...`.
static LogicalResult verifyDistinct(ScanOp op, StringRef what, AffineMap map,
                                    unsigned numLeading) {
  if (map.getNumResults() < numLeading)
    return op.emitOpError()
           << "(C2) results of the " << what << " map: found "
           << map.getNumResults() << ", wanted at least " << numLeading;
  llvm::SmallBitVector seen(map.getNumDims());
  for (auto [index, expr] : llvm::enumerate(map.getResults())) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim)
      return op.emitOpError()
             << "(C2) result " << index << " of the " << what << " map: found "
             << toString(expr) << ", wanted a dimension alone";
    if (seen.test(dim.getPosition()))
      return op.emitOpError()
             << "(C2) result " << index << " of the " << what << " map: found "
             << toString(expr) << " again, wanted distinct dimensions";
    seen.set(dim.getPosition());
    if (index < numLeading && dim.getPosition() != index)
      return op.emitOpError()
             << "(C2) result " << index << " of the " << what << " map: found "
             << toString(expr) << ", wanted d" << index;
  }
  return success();
}

/// (C1) to (C3): the maps.
static LogicalResult verifyScanMaps(ScanOp op) {
  unsigned numDims = op.getNumDims();
  if (op.getOuts().size() <= op.getNumStates())
    return op.emitOpError()
           << "(C5) outs: found " << op.getOuts().size() << ", wanted "
           << op.getNumStates() + 1 << (op.getComplex() ? " or 4" : "")
           << ", outputs and then final states";
  if (op.getNumOutputs() > op.getNumStates())
    return op.emitOpError()
           << "(C5) outs: found " << op.getOuts().size() << ", wanted "
           << op.getNumStates() + 1 << (op.getComplex() ? " or 4" : "")
           << ", outputs and then final states";
  if (failed(verifyMaps(op, "(C1)", "ins", op.getInsMaps(), numDims,
                        op.getIns())) ||
      failed(verifyMaps(op, "(C1)", "epilogue", op.getEpilogueMaps(), numDims,
                        op.getEpilogueIns())))
    return failure();
  for (Value output : op.getOutputInits())
    if (failed(verifyMap(op, "(C1)", "output", op.getOutputMap(), numDims,
                         output)))
      return failure();
  for (Value state : op.getFinalStates())
    if (failed(
            verifyMap(op, "(C1)", "state", op.getStateMap(), numDims, state)))
      return failure();
  for (Value state : op.getInitial())
    if (failed(
            verifyMap(op, "(C1)", "state", op.getStateMap(), numDims, state)))
      return failure();

  if (failed(verifyDistinct(op, "state", op.getStateMap(), 1)) ||
      failed(verifyDistinct(op, "output", op.getOutputMap(), 2)))
    return failure();
  if (op.getStateMap().isFunctionOfDim(1))
    return op.emitOpError() << "(C3) state map: found d1, the sequence, in "
                            << AffineMapAttr::get(op.getStateMap())
                            << ", wanted a state without it";
  for (unsigned dim = 2; dim < numDims; ++dim)
    if (op.getDenseSource() != dim && !op.getStateMap().isFunctionOfDim(dim) &&
        !op.getOutputMap().isFunctionOfDim(dim))
      return op.emitOpError()
             << "(C2) d" << dim
             << ": found neither in the state nor in the output map, wanted "
                "it in one of them";
  return success();
}

/// (C5): the states, and the element types of everything that is computed.
static LogicalResult verifyStates(ScanOp op) {
  unsigned numStates = op.getNumStates();
  if (!op.getInitial().empty() && op.getInitial().size() != numStates)
    return op.emitOpError()
           << "(C5) initial states: found " << op.getInitial().size()
           << ", wanted 0 or " << numStates;
  Type element = getElementTypeOrSelf(op.getFinalStates().front());
  if (!isa<FloatType>(element))
    return op.emitOpError() << "(C5) elements of the final state: found "
                            << element << ", wanted a floating-point type";
  for (Value state :
       llvm::concat<Value>(SmallVector<Value>(op.getInitial()),
                           SmallVector<Value>(op.getFinalStates())))
    if (getElementTypeOrSelf(state) != element)
      return op.emitOpError() << "(C5) elements of a state: found "
                              << getElementTypeOrSelf(state) << ", wanted "
                              << element << " as in the first final state";
  for (Value output : op.getOutputInits())
    if (!isa<FloatType>(getElementTypeOrSelf(output)))
      return op.emitOpError() << "(C5) elements of an output: found "
                              << getElementTypeOrSelf(output)
                              << ", wanted a floating-point type";
  return success();
}

/// (C7): extents.
static LogicalResult verifyExtents(ScanOp op) {
  DimSizes sizes(op, op.getNumDims());
  for (Value output : op.getOutputInits())
    if (failed(sizes.add("(C7)", "the outputs", op.getOutputMap(), output)))
      return failure();
  for (Value state : op.getFinalStates())
    if (failed(sizes.add("(C7)", "the final state", op.getStateMap(), state)))
      return failure();
  for (Value state : op.getInitial())
    if (failed(sizes.add("(C7)", "the initial state", op.getStateMap(), state)))
      return failure();
  if (std::optional<unsigned> source = op.getDenseSource())
    sizes.set(*source, sizes.get(*op.getDenseTarget()));
  for (auto [index, operand] : llvm::enumerate(op.getIns()))
    if (failed(sizes.add("(C7)", "ins " + Twine(index), op.getInsMap(index),
                         operand)))
      return failure();
  for (auto [index, operand] : llvm::enumerate(op.getEpilogueIns()))
    if (failed(sizes.add("(C7)", "epilogue_ins " + Twine(index),
                         op.getEpilogueMap(index), operand)))
      return failure();
  for (auto [index, operand] : llvm::enumerate(op.getIns()))
    if (failed(sizes.verifyBounds("(C7)", "ins " + Twine(index),
                                  op.getInsMap(index), operand)))
      return failure();
  for (auto [index, operand] : llvm::enumerate(op.getEpilogueIns()))
    if (failed(sizes.verifyBounds("(C7)", "epilogue_ins " + Twine(index),
                                  op.getEpilogueMap(index), operand)))
      return failure();
  return success();
}

/// (C9): the attribute of a transition matrix.
static LogicalResult verifyDense(ScanOp op) {
  std::optional<ArrayRef<int64_t>> dense = op.getDense();
  if (!dense)
    return success();
  auto inRange = [&](int64_t dim) { return dim >= 2 && dim < op.getNumDims(); };
  if (dense->size() != 2 || !inRange((*dense)[0]) || !inRange((*dense)[1]) ||
      !op.getStateMap().isFunctionOfDim((*dense)[0]) ||
      op.getStateMap().isFunctionOfDim((*dense)[1]) ||
      op.getOutputMap().isFunctionOfDim((*dense)[1]))
    return op.emitOpError()
           << "(C9) dense: found [" << *dense
           << "], wanted a state dimension and one that neither state nor "
              "output has";
  return success();
}

/// (C11): tables of a chunk.
static LogicalResult verifyTables(ScanOp op) {
  OperandRange tables = op.getTables();
  if (tables.empty())
    return success();
  if (tables.size() != 4)
    return op.emitOpError() << "(C11) tables: found " << tables.size()
                            << ", wanted none or 4: write, read, kernel, decay";
  SmallVector<ArrayRef<int64_t>> shapes;
  Type element = op.getStateType();
  const char *names[] = {"write", "read", "kernel", "decay"};
  // The decay of a transition that mixes is a matrix.
  auto decay = dyn_cast<ShapedType>(tables[3].getType());
  bool isMatrix = op.getDense() || (decay && decay.hasRank() && decay.getRank() == 6);
  const size_t ranks[] = {6, 7, 7, isMatrix ? size_t(6) : size_t(5)};
  for (auto [number, table] : llvm::enumerate(tables)) {
    auto type = cast<ShapedType>(table.getType());
    if (!type.hasRank() || !type.hasStaticShape() ||
        type.getShape().size() != ranks[number] ||
        type.getElementType() != element)
      return op.emitOpError()
             << "(C11) table of the " << names[number] << ": found " << type
             << ", wanted " << ranks[number] << " static dimensions of "
             << element;
    shapes.push_back(type.getShape());
  }
  ArrayRef<int64_t> write = shapes[0];
  int64_t outer = write[0], tiles = write[1], rows = write[2], chunk = write[3];
  int64_t inputs = write[4], width = write[5];
  int64_t copies = shapes[1][2], parts = op.getNumOutputs();
  SmallVector<int64_t> wanted[] = {
      {outer, tiles, rows, chunk, inputs, width},
      {outer, tiles, copies, chunk, parts, rows, width},
      {outer, tiles, copies, parts, inputs, chunk, width},
      {outer, tiles, 2, rows}};
  if (isMatrix)
    wanted[3].push_back(rows);
  wanted[3].push_back(width);
  for (auto [number, shape] : llvm::enumerate(shapes))
    if (shape != ArrayRef<int64_t>(wanted[number]))
      return op.emitOpError()
             << "(C11) table of the " << names[number] << ": found shape ["
             << shape << "], wanted [" << ArrayRef<int64_t>(wanted[number])
             << "], which agrees with the others";
  return success();
}

LogicalResult ScanOp::verify() {
  if (failed(verifyOneForm(*this)) || failed(verifyDense(*this)) ||
      failed(verifyScanMaps(*this)) || failed(verifyStates(*this)) ||
      failed(verifyExtents(*this)) || failed(verifyTables(*this)))
    return failure();
  if (std::optional<ArrayAttr> names = getDimNames())
    if (names->size() != getNumDims())
      return emitOpError() << "(C1) dim_names: found " << names->size()
                           << ", wanted " << getNumDims()
                           << ", one for each dimension";
  return success();
}

/// The number of operands of each role.
static LogicalResult verifyRoles(ScanOp op, CoefficientsOp roles) {
  unsigned width = op.getNumStates();
  auto verifyRole = [&](StringRef name, ValueRange values) -> LogicalResult {
    if (values.empty() || values.size() == width)
      return success();
    return roles.emitOpError()
           << name << ": found " << values.size() << " operands, wanted 0 or "
           << width << (width == 2 ? ", real and imaginary part" : "");
  };
  if (failed(verifyRole("decay", roles.getDecay())) ||
      failed(verifyRole("write", roles.getWrite())) ||
      failed(verifyRole("read", roles.getRead())) ||
      failed(verifyRole("dense", roles.getDense())))
    return failure();
  if (roles.getDense().empty() == op.getDense().has_value())
    return op.emitOpError() << "(C9) dense: found "
                            << (op.getDense() ? "dimensions but no role"
                                              : "a role but no "
                                                "dimensions")
                            << ", wanted both or neither";
  if (!roles.getDense().empty() && !roles.getDecay().empty())
    return roles.emitOpError(
        "(C9) dense: found beside a decay, wanted one of them");
  if (op.getTables().empty() != roles.getInputs().empty())
    return op.emitOpError() << "(C11) tables: found "
                            << (op.getTables().empty() ? "inputs" : "tables")
                            << " alone, wanted both or neither";
  if (!op.getTables().empty()) {
    int64_t wanted = cast<ShapedType>(op.getTables()[0].getType()).getDimSize(4);
    if (int64_t(roles.getInputs().size()) != wanted)
      return roles.emitOpError()
             << "(C11) inputs: found " << roles.getInputs().size()
             << ", wanted " << wanted << ", as the tables have";
    if (roles.getReset())
      return roles.emitOpError(
          "(C11) tables: found with a reset, wanted none");
  }
  if (roles.getErase().size() % (2 * width) != 0)
    return roles.emitOpError()
           << "erase: found " << roles.getErase().size()
           << " operands, wanted a multiple of " << 2 * width;
  if (op.getRealSums() && (!op.getComplex() || roles.getErase().empty()))
    return op.emitOpError()
           << "(C10) real_sums: found "
           << (op.getComplex() ? "no erase pair" : "a real recurrence")
           << ", wanted a complex one that erases";
  if (!op.getPeriod())
    return success();
  if (!op.getPeriod()->isFinite() || !(op.getPeriod()->convertToDouble() > 0))
    return op.emitOpError() << "(C12) period: found " << op.getPeriodAttr()
                            << ", wanted a finite number above 0";
  if (op.getComplex() || !roles.getDecay().empty() || !roles.getDense().empty() ||
      !roles.getErase().empty())
    return op.emitOpError() << "(C12) period: found with "
                            << (op.getComplex() ? "a complex state"
                                                : "a factor of the state")
                            << ", wanted a real one that nothing multiplies";
  return success();
}

/// (C8): the keys attribute.
static LogicalResult verifyKeys(ScanOp op, CoefficientsOp roles) {
  llvm::SmallBitVector seen(op.getNumDims());
  for (int64_t key : op.getKeys()) {
    bool inRange = key >= 2 && key < op.getNumDims();
    if (!inRange || !op.getStateMap().isFunctionOfDim(key) || seen.test(key))
      return op.emitOpError()
             << "(C8) keys: found " << key
             << ", wanted distinct dimensions of the state beyond the batch";
    seen.set(key);
  }
  if (roles.getRead().empty()) {
    for (unsigned dim : op.getStateDims())
      if (!op.getOutputMap().isFunctionOfDim(dim))
        return op.emitOpError()
               << "(C8) d" << dim
               << ": found in the state but not in the output, wanted a read "
                  "that sums over it";
    return success();
  }
  if (op.getKeys().empty())
    return success();
  for (unsigned dim : op.getStateDims())
    if (seen.test(dim) == op.getOutputMap().isFunctionOfDim(dim))
      return op.emitOpError()
             << "(C8) keys: found d" << dim << (seen.test(dim) ? "" : " not")
             << " among them, wanted the state dimensions that the output "
                "lacks";
  return success();
}

/// (C6), (C9): what the coefficients depend on.
static LogicalResult verifyDependences(ScanOp op, CoefficientsOp roles) {
  SmallVector<unsigned> copies = op.getCopyDims();
  auto isOneOf = [](OpOperand &operand, OperandRange role) {
    return !role.empty() &&
           operand.getOperandNumber() >= role.getBeginOperandIndex() &&
           operand.getOperandNumber() <
               role.getBeginOperandIndex() + role.size();
  };
  for (OpOperand &operand : roles->getOpOperands()) {
    llvm::SmallBitVector dims = op.getDependentDims(operand.get());
    if (!isOneOf(operand, roles.getRead()))
      for (unsigned copy : copies)
        if (dims.test(copy))
          return op.emitOpError()
                 << "(C6) coefficient " << operand.getOperandNumber()
                 << ": found to depend on " << op.getDimName(copy)
                 << ", which the state lacks, wanted only the read to do so";
    std::optional<unsigned> source = op.getDenseSource();
    if (source && dims.test(*source) && !isOneOf(operand, roles.getDense()))
      return op.emitOpError()
             << "(C9) coefficient " << operand.getOperandNumber()
             << ": found to depend on " << op.getDimName(*source)
             << ", wanted only the dense one to do so";
  }
  return success();
}

LogicalResult ScanOp::verifyRegions() {
  SmallVector<Type> wanted;
  for (Value operand : getIns())
    wanted.push_back(getElementTypeOrSelf(operand));
  TypeRange found = getCoefficients().getArgumentTypes();
  if (found != TypeRange(wanted))
    return emitOpError() << "(C4) coefficient arguments: found (" << found
                         << "), wanted (" << wanted << ")";
  Operation &last = getCoefficients().front().back();
  auto roles = dyn_cast<CoefficientsOp>(last);
  if (!roles)
    return emitOpError() << "(C4) end of the coefficients: found '"
                         << last.getName() << "', wanted 'ssm.coefficients'";
  if (failed(verifyEpilogue(*this, "(C4)", getEpilogue(), getOutputInits(),
                            getEpilogueIns(), /*mayNarrow=*/true)) ||
      failed(verifyRoles(*this, roles)) || failed(verifyKeys(*this, roles)))
    return failure();

  return verifyDependences(*this, roles);
}
