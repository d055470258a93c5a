//===- VectorEmitter.cpp - Scalar regions at vector width -----------------===//

#include "VectorEmitter.h"

#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace ssmc;
using namespace ssmc::cpu;

static bool isVector(Value value) { return isa<VectorType>(value.getType()); }

/// Bits of a memref of i1 take a byte each, those of a vector do not.
static bool hasVectorLayout(MemRefType type) {
  return !type.getElementType().isInteger(1);
}

/// The distance in memory between neighbours along the last dimension is 1.
static bool isContiguous(MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset;
  if (type.getRank() == 0 || failed(type.getStridesAndOffset(strides, offset)))
    return false;
  return strides.back() == 1;
}

Stride ssmc::cpu::getStride(const Access &access, unsigned dim) {
  AffineMap map = access.map;
  if (!map.isFunctionOfDim(dim))
    return Stride::none;
  auto type = cast<MemRefType>(access.memref.getType());
  for (AffineExpr expr : map.getResults().drop_back())
    if (expr.isFunctionOfDim(dim))
      return Stride::other;
  MLIRContext *context = map.getContext();
  AffineExpr expr = map.getResults().back();
  AffineExpr next = expr.replace(getAffineDimExpr(dim, context),
                                 getAffineDimExpr(dim, context) + 1);
  AffineExpr step =
      simplifyAffineExpr(next - expr, map.getNumDims(), map.getNumSymbols());
  auto constant = dyn_cast<AffineConstantExpr>(step);
  if (!constant || constant.getValue() != 1 || !isContiguous(type))
    return Stride::other;
  return Stride::unit;
}

SmallVector<Value> ssmc::cpu::transposeInRegisters(OpBuilder &builder,
                                                   Location loc,
                                                   SmallVector<Value> rows) {
  int64_t size = rows.size();
  assert(llvm::isPowerOf2_64(size) && "as many rows as lanes");
  // Each stage exchanges one bit of the row number with one of the column's.
  for (int64_t bit = size / 2; bit > 0; bit /= 2) {
    SmallVector<int64_t> low(size), high(size);
    for (int64_t c = 0; c < size; ++c) {
      low[c] = (c & bit) ? size + c - bit : c;
      high[c] = (c & bit) ? size + c : c + bit;
    }
    for (int64_t i = 0; i < size; ++i) {
      if (i & bit)
        continue;
      Value a = rows[i], b = rows[i + bit];
      rows[i] = vector::ShuffleOp::create(builder, loc, a, b, low);
      rows[i + bit] = vector::ShuffleOp::create(builder, loc, a, b, high);
    }
  }
  return rows;
}

Value ssmc::cpu::sumLanesInRegisters(OpBuilder &builder, Location loc,
                                     SmallVector<Value> rows) {
  auto type = cast<VectorType>(rows.front().getType());
  int64_t width = type.getNumElements();
  assert(int64_t(rows.size()) == width && "as many rows as lanes");
  // Halves of the pieces of 128 bits first, then whole pieces: both are one
  // instruction where vectors are longer than that.
  int64_t piece =
      std::min<int64_t>(width, 128 / type.getElementTypeBitWidth());
  auto addHalves = [&](llvm::function_ref<int64_t(int64_t, bool)> place) {
    SmallVector<Value> sums;
    for (size_t i = 0; i < rows.size(); i += 2) {
      Value halves[2];
      for (bool second : {false, true}) {
        SmallVector<int64_t> places;
        for (int64_t lane = 0; lane < width; ++lane)
          places.push_back(place(lane, second));
        halves[second] = vector::ShuffleOp::create(builder, loc, rows[i],
                                                   rows[i + 1], places);
      }
      sums.push_back(
          arith::AddFOp::create(builder, loc, halves[0], halves[1]));
    }
    rows = std::move(sums);
  };
  for (int64_t size = 1; size < piece; size *= 2)
    addHalves([&](int64_t lane, bool second) {
      int64_t group = lane % piece / size;
      int64_t from = group / 2 + (second ? piece / size / 2 : 0);
      return lane / piece * piece + from * size + lane % size +
             (group % 2 ? width : 0);
    });
  while (rows.size() > 1)
    addHalves([&](int64_t lane, bool second) {
      int64_t from = 2 * (lane / piece) + second;
      return from * piece + lane % piece;
    });
  return rows.front();
}

static Value
combineLanes(OpBuilder &builder, Location loc, Value vector,
             llvm::function_ref<Operation *(Value, Value)> combine) {
  auto type = dyn_cast<VectorType>(vector.getType());
  while (type && type.getNumElements() > 1) {
    int64_t half = type.getNumElements() / 2;
    Value low = vector::ExtractStridedSliceOp::create(builder, loc, vector, {0},
                                                      {half}, {1});
    Value high = vector::ExtractStridedSliceOp::create(builder, loc, vector,
                                                       {half}, {half}, {1});
    type = cast<VectorType>(low.getType());
    Operation *combined = combine(low, high);
    combined->getResult(0).setType(type);
    allowContraction(combined);
    vector = combined->getResult(0);
  }
  return type ? vector::ExtractOp::create(builder, loc, vector, 0).getResult()
              : vector;
}

Value ssmc::cpu::reduceLanes(OpBuilder &builder, Location loc, Operation *op,
                             Value vector) {
  return combineLanes(builder, loc, vector, [&](Value low, Value high) {
    IRMapping mapping;
    mapping.map(op->getOperand(0), low);
    mapping.map(op->getOperand(1), high);
    return builder.clone(*op, mapping);
  });
}

Value ssmc::cpu::sumLanes(OpBuilder &builder, Location loc, Value vector) {
  return combineLanes(builder, loc, vector, [&](Value low, Value high) {
    return arith::AddFOp::create(builder, loc, low, high).getOperation();
  });
}

RegionEmitter::RegionEmitter(OpBuilder &builder, Location loc, unsigned numDims)
    : builder(builder), loc(loc), numDims(numDims), dimValues(numDims) {}

void RegionEmitter::bindDim(unsigned dim, Value index) {
  unbindDim(dim);
  dimValues[dim] = index;
}

void RegionEmitter::unbindDim(unsigned dim) {
  dimValues[dim] = Value();
  for (auto it = cache.begin(); it != cache.end();)
    it = it->second.dims.test(dim) ? cache.erase(it) : std::next(it);
}

void RegionEmitter::setLanes(const Lanes &newLanes) {
  for (std::optional<unsigned> dim : {lanes.dim, newLanes.dim})
    if (dim)
      unbindDim(*dim);
  lanes = newLanes;
}

void RegionEmitter::bindSource(Value value, Source source,
                               llvm::SmallBitVector dims, bool varies) {
  dims.resize(numDims + 1);
  if (varies)
    dims.set(numDims);
  auto &entry = sources[value.getAsOpaquePointer()];
  bool sameDims = entry.first && entry.second == dims;
  entry = {std::move(source), dims};
  // What was derived from the value before does not hold any more.
  if (!sameDims) {
    dependentDims.clear();
    cache.clear();
    return;
  }
  for (auto it = cache.begin(); it != cache.end();)
    it = it->second.dims.test(numDims) ? cache.erase(it) : std::next(it);
}

llvm::SmallBitVector RegionEmitter::getDependentDims(Value value) {
  auto known = dependentDims.find(value);
  if (known != dependentDims.end())
    return known->second;
  llvm::SmallBitVector dims(numDims + 1);
  auto source = sources.find(value.getAsOpaquePointer());
  auto access = accesses.find(value);
  if (source != sources.end()) {
    dims = source->second.second;
  } else if (access != accesses.end()) {
    for (unsigned dim = 0; dim < numDims; ++dim)
      if (access->second.map.isFunctionOfDim(dim))
        dims.set(dim);
  } else if (auto index = value.getDefiningOp<linalg::IndexOp>()) {
    dims.set(index.getDim());
  } else if (Operation *op = value.getDefiningOp()) {
    if (bodies.contains(op->getBlock()))
      for (Value operand : op->getOperands())
        dims |= getDependentDims(operand);
  }
  dependentDims[value] = dims;
  return dims;
}

Type RegionEmitter::getLanesType(Type element) const {
  if (!lanes.dim || isa<VectorType>(element))
    return element;
  return VectorType::get({lanes.width}, element);
}

Value RegionEmitter::splat(Value value) {
  if (!lanes.dim || isVector(value))
    return value;
  return vector::BroadcastOp::create(builder, loc,
                                     getLanesType(value.getType()), value);
}

bool RegionEmitter::dependsOnLanes(AffineMap map) const {
  return lanes.dim && map.isFunctionOfDim(*lanes.dim);
}

Value RegionEmitter::getLaneIndex(int64_t lane, int64_t offset) {
  Value index = addIndex(builder, loc, dimValues[*lanes.dim],
                         indexConstant(builder, loc, lane + offset));
  return lanes.mask ? minIndex(builder, loc, index, lanes.last) : index;
}

SmallVector<Value> RegionEmitter::getIndices(const Access &access,
                                             const Offsets &offsets,
                                             Value lane) {
  MLIRContext *context = builder.getContext();
  SmallVector<AffineExpr> shifted;
  SmallVector<Value> dims = dimValues;
  for (unsigned dim = 0; dim < numDims; ++dim) {
    AffineExpr expr = getAffineDimExpr(dim, context);
    bool isLane = lane && dim == *lanes.dim;
    if (isLane)
      dims[dim] = lane;
    shifted.push_back(isLane ? expr : expr + offsets[dim]);
  }
  SmallVector<Value> indices;
  for (AffineExpr expr : access.map.getResults()) {
    AffineExpr shiftedExpr = simplifyAffineExpr(
        expr.replaceDims(shifted), numDims, access.map.getNumSymbols());
    indices.push_back(affine::expandAffineExpr(builder, loc, shiftedExpr, dims,
                                               ValueRange()));
  }
  return indices;
}

Value RegionEmitter::load(const Access &access, const Offsets &offsets) {
  auto type = cast<MemRefType>(access.memref.getType());
  if (!dependsOnLanes(access.map))
    return memref::LoadOp::create(builder, loc, access.memref,
                                  getIndices(access, offsets));
  auto vectorType = cast<VectorType>(getLanesType(type.getElementType()));
  if (hasVectorLayout(type) && getStride(access, *lanes.dim) == Stride::unit) {
    SmallVector<Value> indices = getIndices(access, offsets);
    if (!lanes.mask)
      return vector::LoadOp::create(builder, loc, vectorType, access.memref,
                                    indices);
    Value zero = arith::ConstantOp::create(builder, loc,
                                           builder.getZeroAttr(vectorType));
    return vector::MaskedLoadOp::create(builder, loc, vectorType, access.memref,
                                        indices, lanes.mask, zero);
  }
  SmallVector<Value> elements;
  for (int64_t lane = 0; lane < lanes.width; ++lane) {
    Value index = getLaneIndex(lane, offsets[*lanes.dim]);
    elements.push_back(memref::LoadOp::create(
        builder, loc, access.memref, getIndices(access, offsets, index)));
  }
  return vector::FromElementsOp::create(builder, loc, vectorType, elements);
}

static uint64_t getBytes(Value vector) {
  auto type = cast<VectorType>(vector.getType());
  return type.getNumElements() * type.getElementTypeBitWidth() / 8;
}

void RegionEmitter::store(const Access &access, Value value,
                          const Offsets &offsets, bool streaming) {
  auto type = cast<MemRefType>(access.memref.getType());
  if (!dependsOnLanes(access.map)) {
    assert(!isVector(value) && "a vector for one place");
    memref::StoreOp::create(builder, loc, value, access.memref,
                            getIndices(access, offsets));
    return;
  }
  value = splat(value);
  if (hasVectorLayout(type) && getStride(access, *lanes.dim) == Stride::unit) {
    SmallVector<Value> indices = getIndices(access, offsets);
    if (lanes.mask)
      vector::MaskedStoreOp::create(builder, loc, access.memref, indices,
                                    lanes.mask, value);
    else
      vector::StoreOp::create(
          builder, loc, value, access.memref, indices, streaming,
          streaming ? llvm::MaybeAlign(getBytes(value)) : llvm::MaybeAlign());
    return;
  }
  for (int64_t lane = 0; lane < lanes.width; ++lane) {
    Value element = vector::ExtractOp::create(builder, loc, value, lane);
    Value index =
        addIndex(builder, loc, dimValues[*lanes.dim],
                 indexConstant(builder, loc, lane + offsets[*lanes.dim]));
    OpBuilder::InsertionGuard guard(builder);
    if (lanes.mask) {
      Value inside = arith::CmpIOp::create(
          builder, loc, arith::CmpIPredicate::sle, index, lanes.last);
      auto branch = scf::IfOp::create(builder, loc, inside, false);
      builder.setInsertionPointToStart(branch.thenBlock());
    }
    memref::StoreOp::create(builder, loc, element, access.memref,
                            getIndices(access, offsets, index));
  }
}

SmallVector<Value> RegionEmitter::loadTransposed(const Access &access,
                                                 unsigned dim, int64_t count,
                                                 const Offsets &offsets) {
  auto type = cast<MemRefType>(access.memref.getType());
  if (!lanes.dim || count != lanes.width || count == 1 ||
      !hasVectorLayout(type) || !dependsOnLanes(access.map) ||
      getStride(access, dim) != Stride::unit ||
      access.map.getResults().back().isFunctionOfDim(*lanes.dim))
    return {};
  SmallVector<Value> rows;
  for (int64_t lane = 0; lane < count; ++lane) {
    Value index = getLaneIndex(lane, offsets[*lanes.dim]);
    rows.push_back(vector::LoadOp::create(
        builder, loc, cast<VectorType>(getLanesType(type.getElementType())),
        access.memref, getIndices(access, offsets, index)));
  }
  return transposeInRegisters(builder, loc, std::move(rows));
}

bool RegionEmitter::storeTransposed(const Access &access, unsigned dim,
                                    ArrayRef<Value> values,
                                    const Offsets &offsets) {
  auto type = cast<MemRefType>(access.memref.getType());
  int64_t count = values.size();
  if (!lanes.dim || count != lanes.width || count == 1 ||
      !hasVectorLayout(type) || !dependsOnLanes(access.map) ||
      getStride(access, dim) != Stride::unit ||
      access.map.getResults().back().isFunctionOfDim(*lanes.dim))
    return false;
  SmallVector<Value> rows =
      transposeInRegisters(builder, loc, SmallVector<Value>(values));
  for (int64_t lane = 0; lane < count; ++lane) {
    Value index =
        addIndex(builder, loc, dimValues[*lanes.dim],
                 indexConstant(builder, loc, lane + offsets[*lanes.dim]));
    OpBuilder::InsertionGuard guard(builder);
    if (lanes.mask) {
      Value inside = arith::CmpIOp::create(
          builder, loc, arith::CmpIPredicate::sle, index, lanes.last);
      auto branch = scf::IfOp::create(builder, loc, inside, false);
      builder.setInsertionPointToStart(branch.thenBlock());
    }
    vector::StoreOp::create(builder, loc, rows[lane], access.memref,
                            getIndices(access, offsets, index));
  }
  return true;
}

Value RegionEmitter::getVector(Value value, const Offsets &offsets) {
  return splat(get(value, offsets));
}

/// A value differs only along the dimensions on which it depends. The offsets
/// of what varies are for its source to interpret.
Offsets RegionEmitter::getRelevant(const llvm::SmallBitVector &dims,
                                   const Offsets &offsets) const {
  if (dims.test(numDims))
    return offsets;
  Offsets relevant(numDims, 0);
  for (unsigned dim = 0; dim < numDims; ++dim)
    if (dims.test(dim))
      relevant[dim] = offsets[dim];
  return relevant;
}

void RegionEmitter::setValue(Value value, const Offsets &offsets, Value known) {
  llvm::SmallBitVector dims = getDependentDims(value);
  Key key(value.getAsOpaquePointer(), getRelevant(dims, offsets));
  cache[key] = {known, dims};
}

Value RegionEmitter::get(Value value, const Offsets &offsets) {
  llvm::SmallBitVector dims = getDependentDims(value);
  Offsets relevant = getRelevant(dims, offsets);
  Key key(value.getAsOpaquePointer(), relevant);
  auto known = cache.find(key);
  if (known != cache.end())
    return known->second.value;
  Value computed = compute(value, relevant);
  cache[key] = {computed, dims};
  return computed;
}

Value RegionEmitter::compute(Value value, const Offsets &offsets) {
  auto source = sources.find(value.getAsOpaquePointer());
  if (source != sources.end())
    return source->second.first(offsets);
  auto access = accesses.find(value);
  if (access != accesses.end())
    return load(access->second, offsets);
  auto result = dyn_cast<OpResult>(value);
  if (!result || !bodies.contains(result.getOwner()->getBlock()))
    return value; // Defined outside of the region.
  return computeOp(result.getOwner(), result.getResultNumber(), offsets);
}

/// One rounding instead of two; nothing is lost for NaN, infinities or the sign
/// of zero.
void ssmc::cpu::allowContraction(Operation *op) {
  if (!isa<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::NegFOp>(op))
    return;
  auto interface = cast<arith::ArithFastMathInterface>(op);
  arith::FastMathFlags flags = arith::FastMathFlags::contract;
  if (arith::FastMathFlagsAttr old = interface.getFastMathFlagsAttr())
    flags = flags | old.getValue();
  op->setAttr(interface.getFastMathAttrName(),
              arith::FastMathFlagsAttr::get(op->getContext(), flags));
}

Value RegionEmitter::computeOp(Operation *op, unsigned result,
                               const Offsets &offsets) {
  if (auto index = dyn_cast<linalg::IndexOp>(op)) {
    unsigned dim = index.getDim();
    Value base = addIndex(builder, loc, dimValues[dim],
                          indexConstant(builder, loc, offsets[dim]));
    if (lanes.dim != dim)
      return base;
    Value steps = vector::StepOp::create(
        builder, loc, VectorType::get({lanes.width}, builder.getIndexType()));
    Value indices = arith::AddIOp::create(builder, loc, splat(base), steps);
    if (!lanes.mask)
      return indices;
    return arith::MinSIOp::create(builder, loc, indices, splat(lanes.last));
  }
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(get(operand, offsets));
  bool anyVector = llvm::any_of(operands, isVector);
  if (isa<memref::LoadOp>(op) && anyVector)
    return computeLoad(op, operands);
  bool elementwise = OpTrait::hasElementwiseMappableTraits(op);
  if (anyVector && !elementwise)
    return computeByLane(op, result, operands);
  // A scalar condition may choose between vectors.
  bool scalarCondition =
      isa<arith::SelectOp>(op) && anyVector && !isVector(operands.front());
  IRMapping mapping;
  for (auto [i, operand] : llvm::enumerate(operands)) {
    bool keep = !anyVector || (scalarCondition && i == 0);
    mapping.map(op->getOperand(i), keep ? operand : splat(operand));
  }
  Operation *clone = builder.clone(*op, mapping);
  if (anyVector)
    for (OpResult value : clone->getResults())
      value.setType(getLanesType(value.getType()));
  allowContraction(clone);
  return clone->getResult(result);
}

/// A load from memory at indices that the region computes. Rows of a table are
/// contiguous along the lanes.
Value RegionEmitter::computeLoad(Operation *op, ArrayRef<Value> operands) {
  auto loadOp = cast<memref::LoadOp>(op);
  MemRefType type = loadOp.getMemRefType();
  ArrayRef<Value> indices = operands.drop_front();
  auto index = loadOp.getIndices().back().getDefiningOp<linalg::IndexOp>();
  bool scalarRow = llvm::none_of(indices.drop_back(), isVector);
  if (!index || index.getDim() != *lanes.dim || !scalarRow ||
      !isContiguous(type) || !hasVectorLayout(type))
    return computeByLane(op, 0, operands);
  SmallVector<Value> scalars(indices);
  scalars.back() = vector::ExtractOp::create(builder, loc, indices.back(), 0);
  auto vectorType = cast<VectorType>(getLanesType(type.getElementType()));
  if (!lanes.mask)
    return vector::LoadOp::create(builder, loc, vectorType, operands.front(),
                                  scalars);
  Value zero =
      arith::ConstantOp::create(builder, loc, builder.getZeroAttr(vectorType));
  return vector::MaskedLoadOp::create(
      builder, loc, vectorType, operands.front(), scalars, lanes.mask, zero);
}

Value RegionEmitter::computeByLane(Operation *op, unsigned result,
                                   ArrayRef<Value> operands) {
  SmallVector<Value> elements;
  for (int64_t lane = 0; lane < lanes.width; ++lane) {
    IRMapping mapping;
    for (auto [original, operand] : llvm::zip(op->getOperands(), operands)) {
      Value scalar = operand;
      if (isVector(operand))
        scalar = vector::ExtractOp::create(builder, loc, operand, lane);
      mapping.map(original, scalar);
    }
    elements.push_back(builder.clone(*op, mapping)->getResult(result));
  }
  Type type = getLanesType(op->getResult(result).getType());
  return vector::FromElementsOp::create(builder, loc, cast<VectorType>(type),
                                        elements);
}

void RegionEmitter::hoist(Block &body, ArrayRef<Offsets> points) {
  auto isAvailable = [&](Value value) {
    llvm::SmallBitVector dims = getDependentDims(value);
    if (dims.test(numDims))
      return false;
    for (unsigned dim : dims.set_bits())
      if (!dimValues[dim])
        return false;
    return true;
  };
  auto hoistValue = [&](Value value) {
    if (value.use_empty() || !isAvailable(value))
      return;
    for (const Offsets &point : points)
      get(value, point);
  };
  for (BlockArgument argument : body.getArguments())
    hoistValue(argument);
  for (Operation &op : body.without_terminator())
    for (Value value : op.getResults())
      hoistValue(value);
}
