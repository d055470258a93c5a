//===- SSMAttend.cpp - Sums over a second sequence index ------------------===//

#include "OpsDetail.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace mlir::ssm::detail;

void AttendOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDestinationEffects(*this, effects);
}

Speculation::Speculatability AttendOp::getSpeculatability() {
  return getDestinationSpeculatability(*this);
}

YieldOp AttendOp::getScoreYield() {
  return cast<YieldOp>(getScore().front().back());
}

SmallVector<Value> AttendOp::getKeyed() {
  SmallVector<Value> keyed(getKeys());
  keyed.push_back(getValues());
  if (getDecays())
    keyed.push_back(getDecays());
  return keyed;
}

SmallVector<unsigned> AttendOp::getScoreLanes() {
  Block &block = getScore().front();
  unsigned firstIndex = getNumPairs() + getScoreIns().size() + 2;
  SmallVector<unsigned> lanes;
  for (unsigned lane = 0, end = getNumLanes(); lane < end; ++lane) {
    auto names = [&](ArrayAttr maps) {
      return llvm::any_of(maps.getAsValueRange<AffineMapAttr>(),
                          [&](AffineMap map) {
                            return map.isFunctionOfDim(lane + 3);
                          });
    };
    if (names(getQueryMaps()) || names(getKeyMaps()) || names(getScoreMaps()) ||
        (getDecays() && getDecayMap()->isFunctionOfDim(lane + 3)) ||
        !block.getArgument(firstIndex + lane).use_empty())
      lanes.push_back(lane + 3);
  }
  return lanes;
}

SmallVector<unsigned> AttendOp::getContracted(unsigned i) {
  SmallVector<unsigned> dims;
  for (unsigned dim = getNumLanes() + 3; dim < getNumDims(); ++dim)
    if (getQueryMap(i).isFunctionOfDim(dim) ||
        getKeyMap(i).isFunctionOfDim(dim))
      dims.push_back(dim);
  return dims;
}

/// (C2), (C3): which dimensions the maps name.
static LogicalResult verifyAttendDims(AttendOp op) {
  MLIRContext *context = op.getContext();
  AffineMap output = op.getOutputMap();
  for (auto [i, expr] : llvm::enumerate(output.getResults()))
    if (expr != getAffineDimExpr(i < 2 ? i : i + 1, context))
      return op.emitOpError()
             << "(C2) output map: found " << AffineMapAttr::get(output)
             << ", wanted d0, d1 and then the dimensions from d3 on";
  if (output.getNumResults() < 2)
    return op.emitOpError() << "(C2) output map: found "
                            << AffineMapAttr::get(output)
                            << ", wanted at least d0, d1";
  auto verifyKey = [&](const Twine &what, AffineMap map) -> LogicalResult {
    if (map.getNumResults() >= 2 &&
        map.getResult(0) == getAffineDimExpr(0, context) &&
        map.getResult(1) == getAffineDimExpr(2, context) &&
        !map.isFunctionOfDim(1))
      return success();
    return op.emitOpError() << "(C3) " << what << " map: found "
                            << AffineMapAttr::get(map)
                            << ", wanted one that starts with d0, d2 and does "
                               "not contain d1";
  };
  auto verifyNone = [&](const Twine &what, AffineMap map, unsigned from,
                        unsigned to) -> LogicalResult {
    for (unsigned dim = from; dim < to; ++dim)
      if (map.isFunctionOfDim(dim))
        return op.emitOpError()
               << "(C3) " << what << " map: found d" << dim << " in "
               << AffineMapAttr::get(map) << ", wanted it without";
    return success();
  };
  unsigned numDims = op.getNumDims(), lanesEnd = op.getNumLanes() + 3;
  for (unsigned i = 0, end = op.getNumPairs(); i < end; ++i)
    if (failed(verifyNone("query " + Twine(i), op.getQueryMap(i), 2, 3)) ||
        failed(verifyKey("key " + Twine(i), op.getKeyMap(i))))
      return failure();
  for (unsigned i = 0, end = op.getScoreMaps().size(); i < end; ++i)
    if (failed(verifyNone("score " + Twine(i), op.getScoreMap(i), lanesEnd,
                          numDims)))
      return failure();
  if (failed(verifyKey("value", op.getValueMap())))
    return failure();
  if (op.getDecays() && (failed(verifyKey("decay", *op.getDecayMap())) ||
                         failed(verifyNone("decay", *op.getDecayMap(), lanesEnd,
                                           numDims))))
    return failure();
  return verifyNone("value", op.getValueMap(), lanesEnd, numDims);
}

/// (C4): what earlier tokens left.
static LogicalResult verifyHistories(AttendOp op, StringRef what,
                                     OperandRange histories) {
  if (histories.empty())
    return success();
  SmallVector<Value> sources = op.getKeyed();
  if (histories.size() != sources.size())
    return op.emitOpError() << "(C4) " << what << ": found " << histories.size()
                            << ", wanted " << sources.size()
                            << ", one for each of keys, values and decays, or none";
  for (auto [history, source] : llvm::zip(histories, sources)) {
    SmallVector<int64_t> shape(getShape(source));
    shape[1] = ShapedType::kDynamic;
    if (getElementTypeOrSelf(history) != getElementTypeOrSelf(source) ||
        !agree(getShape(history), shape))
      return op.emitOpError()
             << "(C4) " << what << ": found " << history.getType()
             << ", wanted what " << source.getType()
             << " is with another number of tokens";
  }
  return success();
}

LogicalResult AttendOp::verify() {
  if (failed(verifyOneForm(*this)))
    return failure();
  if (getOuts().empty())
    return emitOpError("outs: found none, wanted the output first");
  unsigned numDims = getNumDims();
  if (numDims < 3)
    return emitOpError() << "(C1) dimensions of the output map: found "
                         << numDims << ", wanted at least 3: batch and two tokens";
  if (getQueries().size() != getKeys().size())
    return emitOpError() << "(C3) pairs: found " << getQueries().size()
                         << " queries and " << getKeys().size() << " keys";
  for (auto [what, map] : {std::pair("from", getFromMap()), {"to", getToMap()}})
    if (map.getNumDims() != 1 || map.getNumSymbols() != 0)
      return emitOpError() << "(C1) " << what << ": found "
                           << AffineMapAttr::get(map)
                           << ", wanted one dimension, the token";
  if (bool(getDecays()) != getDecayMap().has_value() ||
      (getDecays() && getSoftmax()))
    return emitOpError("(C3) decays: found them without a map, a map without them, "
                       "or both with softmax");
  if (getDecays() && (failed(verifyMap(*this, "(C1)", "decay", *getDecayMap(),
                                       numDims, getDecays())) ||
                      failed(verifyFloats(*this, "decays", getDecays()))))
    return failure();
  if (failed(verifyMaps(*this, "(C1)", "query", getQueryMaps(), numDims,
                        getQueries())) ||
      failed(verifyMaps(*this, "(C1)", "key", getKeyMaps(), numDims,
                        getKeys())) ||
      failed(verifyMaps(*this, "(C1)", "score", getScoreMaps(), numDims,
                        getScoreIns())) ||
      failed(verifyMap(*this, "(C1)", "value", getValueMap(), numDims,
                       getValues())) ||
      failed(verifyMap(*this, "(C1)", "output", getOutputMap(), numDims,
                       getOutput())) ||
      failed(verifyAttendDims(*this)) ||
      failed(verifyHistories(*this, "histories", getHistories())) ||
      failed(verifyHistories(*this, "final histories", getFinalHistories())))
    return failure();
  for (Value operand : llvm::concat<Value>(SmallVector<Value>(getQueries()),
                                           SmallVector<Value>(getKeys()),
                                           SmallVector<Value>{getValues()}))
    if (failed(verifyFloats(*this, "queries, keys and values", operand)))
      return failure();
  DimSizes sizes(*this, numDims);
  if (failed(sizes.add("(C6)", "the output", getOutputMap(), getOutput())))
    return failure();
  for (unsigned i = 0, end = getNumPairs(); i < end; ++i)
    if (failed(sizes.add("(C6)", "query " + Twine(i), getQueryMap(i),
                         getQueries()[i])) ||
        failed(sizes.add("(C6)", "key " + Twine(i), getKeyMap(i),
                         getKeys()[i])))
      return failure();
  if (failed(sizes.add("(C6)", "the values", getValueMap(), getValues())))
    return failure();
  if (getDecays() &&
      failed(sizes.add("(C6)", "the decays", *getDecayMap(), getDecays())))
    return failure();
  for (auto [i, operand] : llvm::enumerate(getScoreIns()))
    if (failed(sizes.add("(C6)", "score_ins " + Twine(i), getScoreMap(i),
                         operand)))
      return failure();
  return success();
}

LogicalResult AttendOp::verifyRegions() {
  Block &block = getScore().front();
  Type number = getElementTypeOrSelf(getOutput());
  if (!number.isF32() && !number.isF64())
    return emitOpError() << "(C5) output: found elements of " << number
                         << ", wanted f32 or f64";
  SmallVector<Type> wanted(getNumPairs(), number);
  for (Value operand : getScoreIns())
    wanted.push_back(getElementTypeOrSelf(operand));
  wanted.append(2 + getNumLanes(), IndexType::get(getContext()));
  if (block.getNumArguments() != wanted.size())
    return emitOpError() << "(C5) score: found " << block.getNumArguments()
                         << " arguments, wanted " << wanted.size();
  for (auto [i, type] : llvm::enumerate(wanted))
    if (block.getArgument(i).getType() != type)
      return emitOpError() << "(C5) score: found argument " << i << " of type "
                           << block.getArgument(i).getType() << ", wanted "
                           << type;
  auto yield = dyn_cast<YieldOp>(block.back());
  if (!yield || yield->getNumOperands() != 1 ||
      yield->getOperand(0).getType() != number)
    return emitOpError() << "(C5) score: wanted an ssm.yield of one " << number;
  return success();
}

LogicalResult AttendOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &) {
  return memref::foldMemRefCast(*this);
}
