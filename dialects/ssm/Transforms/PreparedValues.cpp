//===- PreparedValues.cpp - What weights alone determine ------------------===//

#include "PreparedValues.h"
#include "Costs.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace mlir::ssm;

SetVector<Value> ssm::getReadValues(Operation *op) {
  SetVector<Value> values(op->operand_begin(), op->operand_end());
  getUsedValuesDefinedAbove(op->getRegions(), values);
  return values;
}

/// Whether weights alone determine `value`: whether it depends on any, or nothing.
static std::optional<bool> dependsOnWeightsAlone(Value value) {
  SetVector<Value> values;
  values.insert(value);
  bool sawWeight = false;
  for (unsigned next = 0; next < values.size(); ++next) {
    Value current = values[next];
    if (Operation *op = current.getDefiningOp()) {
      if (!isMemoryEffectFree(op) || isa<LoopLikeOpInterface>(op))
        return std::nullopt;
      SetVector<Value> read = getReadValues(op);
      values.insert(read.begin(), read.end());
      continue;
    }
    auto argument = cast<BlockArgument>(current);
    Operation *parent = argument.getOwner()->getParentOp();
    if (auto loop = dyn_cast<scf::ForOp>(parent)) {
      if (argument != loop.getInductionVar())
        return std::nullopt;
      continue;
    }
    auto function = dyn_cast<func::FuncOp>(parent);
    if (!function)
      return std::nullopt;
    unsigned number = argument.getArgNumber();
    if (function.getArgAttr(number, kPreparedLengthAttr))
      continue;
    if (!function.getArgAttr(number, kWeightAttr) &&
        !function.getArgAttr(number, kTableAttr))
      return std::nullopt;
    sawWeight = true;
  }
  return sawWeight;
}

bool ssm::isDeterminedByWeights(Value value) {
  return dependsOnWeightsAlone(value).value_or(false);
}

bool ssm::isKnownBeforehand(Value value) {
  return dependsOnWeightsAlone(value).has_value();
}

bool ssm::isLayer(func::FuncOp function) {
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (function.getArgAttr(i, kWeightAttr) || function.getArgAttr(i, "ssm.input"))
      return true;
  return false;
}

bool ssm::hasPreparedCoefficients(ScanOp scan) {
  for (auto [i, operand] : llvm::enumerate(scan.getIns())) {
    AffineMap map = scan.getInsMap(i);
    if (!map.isFunctionOfDim(0) && !map.isFunctionOfDim(1) &&
        !isKnownBeforehand(operand))
      return false;
  }
  return true;
}

/// Whether each trip of `loop` reads and writes the member of `carried` that has its number
/// only: what a trip leaves there no later one sees.
static bool holdsMembers(scf::ForOp loop, BlockArgument carried) {
  return llvm::all_of(carried.getUsers(), [&](Operation *user) {
    SmallVector<OpFoldResult> offsets;
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(user))
      offsets = slice.getMixedOffsets();
    else if (auto insert = dyn_cast<tensor::InsertSliceOp>(user);
             insert && insert.getSource() != carried)
      offsets = insert.getMixedOffsets();
    return !offsets.empty() &&
           offsets.front() == OpFoldResult(loop.getInductionVar());
  });
}

static bool goesToStatesOnly(Value value) {
  return llvm::all_of(value.getUses(), [](OpOperand &use) {
    if (auto insert = dyn_cast<tensor::InsertSliceOp>(use.getOwner()))
      return goesToStatesOnly(insert.getResult());
    if (auto yield = dyn_cast<scf::YieldOp>(use.getOwner())) {
      auto loop = dyn_cast<scf::ForOp>(yield->getParentOp());
      if (!loop)
        return false;
      unsigned number = use.getOperandNumber();
      return holdsMembers(loop, loop.getRegionIterArg(number)) &&
             goesToStatesOnly(loop.getResult(number));
    }
    auto terminator = dyn_cast<func::ReturnOp>(use.getOwner());
    if (!terminator)
      return false;
    auto function = cast<func::FuncOp>(terminator->getParentOp());
    return bool(function.getResultAttr(use.getOperandNumber(), "ssm.state"));
  });
}

bool ssm::areKeptOnly(ScanOp scan) {
  return llvm::all_of(scan.getResults().take_back(scan.getNumStates()), goesToStatesOnly);
}

//===----------------------------------------------------------------------===//
// Extents
//===----------------------------------------------------------------------===//

Value ssm::getPreparedLength(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments())
    if (function.getArgAttr(argument.getArgNumber(), kPreparedLengthAttr))
      return argument;
  return {};
}

std::optional<PreparedExtent> ssm::getPreparedExtent(OpFoldResult size) {
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return PreparedExtent{0, *constant};
  auto value = cast<Value>(size);
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto function =
        dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
    if (function &&
        function.getArgAttr(argument.getArgNumber(), kPreparedLengthAttr))
      return PreparedExtent{1, 0};
    return std::nullopt;
  }
  Operation *op = value.getDefiningOp();
  if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    std::optional<int64_t> index = dim.getConstantIndex();
    return index ? getPreparedExtent(dim.getSource(), *index) : std::nullopt;
  }
  if (!isa<arith::AddIOp, arith::SubIOp, arith::MulIOp>(op))
    return std::nullopt;
  std::optional<PreparedExtent> left = getPreparedExtent(op->getOperand(0));
  std::optional<PreparedExtent> right = getPreparedExtent(op->getOperand(1));
  if (!left || !right)
    return std::nullopt;
  if (isa<arith::AddIOp>(op))
    return PreparedExtent{left->scale + right->scale,
                          left->offset + right->offset};
  if (isa<arith::SubIOp>(op))
    return PreparedExtent{left->scale - right->scale,
                          left->offset - right->offset};
  if (left->scale != 0 && right->scale != 0)
    return std::nullopt;
  if (left->scale == 0)
    std::swap(left, right);
  return PreparedExtent{left->scale * right->offset,
                        left->offset * right->offset};
}

std::optional<PreparedExtent> ssm::getPreparedExtent(Value tensor,
                                                     unsigned dim) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(dim))
    return PreparedExtent{0, type.getDimSize(dim)};
  if (auto argument = dyn_cast<BlockArgument>(tensor)) {
    Operation *parent = argument.getOwner()->getParentOp();
    if (auto loop = dyn_cast<scf::ForOp>(parent))
      return getPreparedExtent(loop.getTiedLoopInit(argument)->get(), dim);
    auto function = dyn_cast<func::FuncOp>(parent);
    if (!function)
      return std::nullopt;
    auto extents = function.getArgAttrOfType<DenseI64ArrayAttr>(
        argument.getArgNumber(), kExtentsAttr);
    if (!extents)
      return std::nullopt;
    return PreparedExtent{extents[2 * dim], extents[2 * dim + 1]};
  }
  Operation *op = tensor.getDefiningOp();
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return getPreparedExtent(empty.getMixedSizes()[dim]);
  if (auto destination = dyn_cast<DestinationStyleOpInterface>(op))
    return getPreparedExtent(
        destination.getTiedOpOperand(cast<OpResult>(tensor))->get(), dim);
  // What a loop carries keeps its shape.
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return getPreparedExtent(
        loop.getInitArgs()[cast<OpResult>(tensor).getResultNumber()], dim);
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return getPreparedExtent(cast.getSource(), dim);
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    for (unsigned at = 0, kept = 0; at < dropped.size(); ++at)
      if (!dropped.test(at) && kept++ == dim)
        return getPreparedExtent(slice.getMixedSizes()[at]);
    return std::nullopt;
  }
  // Only one dimension of a group may grow.
  auto product = [](Value of, ArrayRef<int64_t> dims, unsigned besides) {
    int64_t product = 1;
    for (int64_t at : dims)
      if (unsigned(at) != besides)
        product *= cast<RankedTensorType>(of.getType()).getDimSize(at);
    return product;
  };
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    unsigned group = expand.getCorrespondingSourceDim(dim);
    std::optional<PreparedExtent> whole =
        getPreparedExtent(expand.getSrc(), group);
    int64_t others =
        product(expand.getResult(), expand.getReassociationIndices()[group], dim);
    if (!whole || others <= 0 || whole->scale % others || whole->offset % others)
      return std::nullopt;
    return PreparedExtent{whole->scale / others, whole->offset / others};
  }
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    ReassociationIndices group = collapse.getReassociationIndices()[dim];
    for (int64_t at : group) {
      auto source = cast<RankedTensorType>(collapse.getSrcType());
      if (!source.isDynamicDim(at))
        continue;
      std::optional<PreparedExtent> one =
          getPreparedExtent(collapse.getSrc(), at);
      int64_t others = product(collapse.getSrc(), group, at);
      if (!one || others < 0)
        return std::nullopt;
      return PreparedExtent{one->scale * others, one->offset * others};
    }
  }
  return std::nullopt;
}

OpFoldResult ssm::emitExtent(OpBuilder &builder, Location loc,
                             PreparedExtent extent, Value preparedLength) {
  if (extent.scale == 0)
    return builder.getIndexAttr(extent.offset);
  Value value = preparedLength;
  if (extent.scale != 1)
    value = arith::MulIOp::create(
        builder, loc, value,
        arith::ConstantIndexOp::create(builder, loc, extent.scale));
  if (extent.offset != 0)
    value = arith::AddIOp::create(
        builder, loc, value,
        arith::ConstantIndexOp::create(builder, loc, extent.offset));
  return value;
}

//===----------------------------------------------------------------------===//
// Analysis
//===----------------------------------------------------------------------===//

/// Results that can be tables: tensors whose extents are known or grow with the
/// prepared length.
static bool hasTableResults(Operation *op) {
  return llvm::all_of(op->getResults(), [](Value result) {
    auto type = dyn_cast<RankedTensorType>(result.getType());
    if (!type)
      return false;
    for (int64_t dim = 0; dim < type.getRank(); ++dim)
      if (!ssm::getPreparedExtent(result, dim))
        return false;
    return true;
  });
}

/// Whether a result grows with the prepared length: @forward has no room for it.
static bool growsWithLength(Operation *op) {
  return !isa<tensor::EmptyOp>(op) &&
         llvm::any_of(op->getResultTypes(), [](Type type) {
           return !cast<RankedTensorType>(type).hasStaticShape();
         });
}

PreparedValues::PreparedValues(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments()) {
    unsigned number = argument.getArgNumber();
    if (function.getArgAttr(number, kWeightAttr) ||
        function.getArgAttr(number, kTableAttr))
      known[argument] = {nullptr, true};
    else if (function.getArgAttr(number, kPreparedLengthAttr))
      known[argument] = {nullptr, false};
  }
  classifyBlock(function.getBody().front(), nullptr);
}

std::optional<Prepared> PreparedValues::classify(Operation *op) const {
  if (op->getNumResults() == 0 || !isMemoryEffectFree(op))
    return std::nullopt;
  Prepared info = {nullptr, false};
  for (Value value : getReadValues(op)) {
    auto it = known.find(value);
    if (it == known.end())
      return std::nullopt;
    if (it->second.loop)
      info.loop = it->second.loop;
    info.worthy |= it->second.worthy;
  }
  if (hasTableResults(op)) {
    info.worthy |= containsCostlyScalar(op) || growsWithLength(op);
    return info;
  }
  // An extent is known wherever the prepared length is.
  if (op->getNumResults() == 1 && op->getResult(0).getType().isIndex() &&
      getPreparedExtent(op->getResult(0)))
    return Prepared{nullptr, false};
  // A number or a tensor of unknown extent cannot be a table. It may still be
  // an operand of one, unless it comes from weights.
  if (info.worthy)
    return std::nullopt;
  return info;
}

void PreparedValues::classifyBlock(Block &block, scf::ForOp loop) {
  for (Operation &op : block.without_terminator()) {
    if (std::optional<Prepared> info = classify(&op)) {
      for (Value result : op.getResults())
        known[result] = *info;
      continue;
    }
    // What is computed in one branch only can be prepared all the same.
    if (auto branch = dyn_cast<scf::IfOp>(op))
      for (Region &region : branch->getRegions())
        if (!region.empty())
          classifyBlock(region.front(), loop);
    // The index of an inner loop, or of one whose trips cannot be counted,
    // stays unknown: what depends on it is computed in place.
    auto nested = dyn_cast<scf::ForOp>(op);
    if (!nested || loop || !nested.getStaticTripCount())
      continue;
    known[nested.getInductionVar()] = {nested, false};
    classifyBlock(*nested.getBody(), nested);
  }
}
