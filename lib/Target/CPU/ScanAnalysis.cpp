//===- ScanAnalysis.cpp - What a recurrence consists of, and its blocks ---===//
//
// Which dimension runs over lanes, how many keys stay in registers, how many
// channels a task owns, and what is computed once and kept in scratch memory.
//
//===----------------------------------------------------------------------===//

#include "Target/CPU/ExpandMath.h"
#include "ScanLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Bytes of state that one task keeps in the nearest caches.
static constexpr int64_t stateBytes = 64 * 1024;
/// Lanes that one task owns at most: long rows of memory, enough tasks.
static constexpr int64_t maximumLanes = 256;

unsigned ScanLowering::getErasePairs() {
  return roles.getErase().size() / (2 * parts);
}

double ScanLowering::getLaneCost(unsigned dim) {
  double cost = 0.1;
  auto note = [&](Value operand, AffineMap map) {
    Access access{operand, map};
    double weight = map.isFunctionOfDim(1) ? 1 : 0.05;
    Stride stride = getStride(access, dim);
    cost += stride == Stride::none   ? 0.05 * weight
            : stride == Stride::unit ? weight
                                     : weight * width;
  };
  for (auto [i, operand] : llvm::enumerate(op.getIns()))
    note(operand, op.getInsMap(i));
  for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
    note(operand, op.getEpilogueMap(i));
  for (Value output : op.getOutputInits())
    note(output, op.getOutputMap());
  note(op.getFinalStates().front(), op.getStateMap());
  int64_t size = std::max<int64_t>(op.getDimSize(dim), 1);
  return cost * llvm::divideCeil(size, width) * width / size;
}

bool ScanLowering::chooseLanes() {
  keyDims = op.getKeyDims();
  copyDims = op.getCopyDims();
  double best = 0;
  for (unsigned dim : op.getStateDims()) {
    if (op.getDimSize(dim) == 1 || llvm::is_contained(keyDims, dim))
      continue;
    double cost = getLaneCost(dim);
    if (!lane || cost <= best) {
      lane = dim;
      best = cost;
    }
  }
  for (unsigned dim : op.getStateDims())
    if (dim != lane && !llvm::is_contained(keyDims, dim))
      outerDims.push_back(dim);
  for (unsigned dim = 2; dim < numDims; ++dim)
    if (ShapedType::isDynamic(op.getDimSize(dim)))
      return false;
  if (!lane)
    width = 1;
  else
    lanes = op.getDimSize(*lane);
  return true;
}

void ScanLowering::chooseBlocks() {
  int64_t registers = target.getRegisters();
  keyBlock = (registers == 32 ? 16 : 8) / parts;
  for (unsigned dim : copyDims)
    copies *= op.getDimSize(dim);
  for (unsigned dim : keyDims)
    outerKeys *= op.getDimSize(dim);
  if (hasKeys()) {
    // The innermost key is the one blocked in registers.
    innerKey = keyDims.back();
    for (unsigned dim : keyDims)
      if (op.getDimSize(*innerKey) == 1 && op.getDimSize(dim) > 1)
        innerKey = dim;
    innerKeys = op.getDimSize(*innerKey);
    outerKeys = innerKeys == 0 ? 0 : outerKeys / innerKeys;
    keyBlock = std::max<int64_t>(1, std::min(keyBlock, innerKeys));
  }
  // Where broadcasts are instructions of their own, four vectors share each.
  if (registers == 16 && parts == 1 && !erases() && hasKeys()) {
    if (hasStateFunctions()) {
      keyBlock = std::min<int64_t>(keyBlock, 4);
    } else if (lanes >= 4 * width && reads()) {
      keyBlock = std::min<int64_t>(keyBlock, 2);
      blockVectors = 4;
    }
  }
  int64_t vectors = llvm::divideCeil(std::max<int64_t>(lanes, 1), width);
  // A row of a group is several cache lines, or too many rows of memory fall
  // into the same sets of a cache.
  int64_t rowLanes = 64;
  group = std::min<int64_t>(
      hasKeys() ? rowLanes / width : registers / 8 / parts, vectors);
  group = std::max<int64_t>(group / blockVectors * blockVectors, 1);
  int64_t bytes = element.getIntOrFloatBitWidth() / 8 * parts;
  int64_t limit =
      stateBytes / std::max<int64_t>(bytes * innerKeys * outerKeys, 1);
  // Enough tasks for some threads, before long rows.
  int64_t share = std::max<int64_t>(llvm::divideCeil(lanes, 8), rowLanes);
  limit = std::clamp<int64_t>(limit, width, std::min(maximumLanes, share));
  ScheduleAttr schedule = op.getScheduleAttr();
  if (schedule && schedule.getLanes() > 0)
    limit = schedule.getLanes();
  if (schedule && schedule.getMode() == ScanMode::scan &&
      schedule.getChunk() > 0)
    timeTile = std::min<int64_t>(schedule.getChunk(), 256);
  timeTile = llvm::alignTo(timeTile, fullWidth);
  // Blocks of equal size, whole groups each.
  int64_t blocks = llvm::divideCeil(std::max<int64_t>(lanes, 1), limit);
  laneBlock = llvm::alignTo(
      llvm::divideCeil(std::max<int64_t>(lanes, 1), blocks), width * group);
}

/// Time for one token of a unit, in nanoseconds.
double ScanLowering::getUnitStepCost() {
  double perState = 3, perLane = 8;
  for (Operation &inner : coefficientsBody.without_terminator()) {
    bool slow = inner.getDialect()->getNamespace() ==
                math::MathDialect::getDialectNamespace();
    llvm::SmallBitVector dims =
        coefficientsBase.getDependentDims(inner.getResult(0));
    bool perKey = llvm::any_of(keyDims, [&](unsigned d) { return dims[d]; });
    (perKey ? perState : perLane) += slow ? 7 : 0.5;
  }
  for (Operation &inner : epilogueBody.without_terminator())
    perLane += inner.getDialect()->getNamespace() ==
                       math::MathDialect::getDialectNamespace()
                   ? 7
                   : 0.5;
  double vectors = std::min(laneBlock, std::max<int64_t>(lanes, 1)) /
                   double(std::max<int64_t>(width, 1));
  double keys = double(innerKeys) * outerKeys;
  return vectors * (perLane + perState * keys * parts) * 0.15;
}

/// Finds the largest subexpressions that do not depend on everything a state
/// element does, and are worth computing once: they go to scratch memory.
void ScanLowering::visitKept(Value value) {
  if (llvm::any_of(kept, [&](const Kept &k) { return k.value == value; }))
    return;
  auto argument = dyn_cast<BlockArgument>(value);
  Operation *definition = value.getDefiningOp();
  if (argument ? argument.getOwner() != &coefficientsBody
               : definition->getBlock() != &coefficientsBody)
    return;
  llvm::SmallBitVector dims = coefficientsBase.getDependentDims(value);
  bool time = dims.test(1);
  bool onLanes = lane && dims.test(*lane);
  bool onKeys = llvm::any_of(keyDims, [&](unsigned d) { return dims.test(d); });
  bool onCopies =
      llvm::any_of(copyDims, [&](unsigned d) { return dims.test(d); });
  // Cheap, or hoisted where it is used.
  if (!value.getType().isF32() && !value.getType().isF64() && !argument)
    return;
  auto keep = [&](Kind kind) { kept.push_back({value, kind, Value()}); };
  auto recurse = [&] {
    if (definition)
      for (Value operand : definition->getOperands())
        visitKept(operand);
  };
  if (argument && !isa<FloatType>(value.getType()))
    return;
  if (onCopies)
    return recurse();
  if (onLanes && onKeys && !time)
    return keep(Kind::lanesKeys);
  if (onLanes && onKeys)
    return recurse();
  if (onLanes && time)
    return keep(Kind::timeLanes);
  if (argument || !time)
    return;
  keep(onKeys ? Kind::timeKeys : Kind::time);
}

/// Whether elementary functions are evaluated for each element of the state at
/// each step.
bool ScanLowering::hasStateFunctions() {
  return llvm::any_of(coefficientsBody, [&](Operation &inner) {
    if (!isa<math::MathDialect>(inner.getDialect()))
      return false;
    llvm::SmallBitVector dims =
        coefficientsBase.getDependentDims(inner.getResult(0));
    return dims[1] && lane && dims[*lane] &&
           llvm::any_of(keyDims, [&](unsigned d) { return dims[d]; });
  });
}

/// An exponential for each element of the state is nearly all the arithmetic
/// there is. It becomes a power of two, with the factor log2(e) where it is
/// applied least often, in the form whose error acts as one of the rate.
void ScanLowering::simplifyExponentials() {
  SmallVector<math::ExpOp> exponentials;
  for (Operation &inner : coefficientsBody) {
    auto exponential = dyn_cast<math::ExpOp>(inner);
    if (!exponential || !exponential.getType().isF32())
      continue;
    llvm::SmallBitVector dims =
        coefficientsBase.getDependentDims(exponential.getResult());
    bool perKey = llvm::any_of(keyDims, [&](unsigned d) { return dims[d]; });
    if (perKey && dims[1] && lane && dims[*lane])
      exponentials.push_back(exponential);
  }
  auto isFixed = [&](Value value) {
    return !coefficientsBase.getDependentDims(value)[1];
  };
  for (math::ExpOp exponential : exponentials)
    toPowerOfTwo(builder, exponential, isFixed);
  coefficientsBase.forgetValues();
}

void ScanLowering::chooseKept() {
  if (!hasKeys())
    return;
  for (Value role : roles->getOperands())
    visitKept(role);
}
