//===- TilingInterfaceImpl.cpp - Tiling of ssm ----------------------------===//
//
// All ops are described alike: dimensions of an iteration space, which of them
// are parallel, and for every operand the map from the space to its indices. A
// tile takes slices of the operands. Parallel dimensions are the batch and
// those over which an op does the same thing independently; a recurrence cannot
// be cut in time, nor a sum in what it sums over, so a tile must cover these
// whole.
//
//===----------------------------------------------------------------------===//

#include "ssm/Interfaces/TilingInterfaceImpl.h"

#include "ssm/IR/SSM.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/TilingInterface.h"

using namespace mlir;
using namespace mlir::ssm;

namespace {
/// An op as an iteration space and accesses.
struct IterationSpace {
  unsigned numDims = 0;
  llvm::SmallBitVector parallel;
  /// For each operand, in order.
  SmallVector<AffineMap> maps;

  explicit IterationSpace(unsigned numDims)
      : numDims(numDims), parallel(numDims) {}
  void access(ValueRange operands, AffineMap map) {
    maps.append(operands.size(), map);
  }
  void access(ArrayAttr attributes) {
    for (Attribute map : attributes)
      maps.push_back(cast<AffineMapAttr>(map).getValue());
  }
};

/// The offsets and sizes of a tile.
using Offsets = ArrayRef<OpFoldResult>;
using Sizes = ArrayRef<OpFoldResult>;
} // namespace

//===----------------------------------------------------------------------===//
// Iteration spaces of the ops
//===----------------------------------------------------------------------===//

static IterationSpace getSpace(ScanOp op) {
  IterationSpace space(op.getNumDims());
  space.parallel.set(0);
  // Keys are summed over; all that an output and a state share is independent,
  // and so are copies.
  for (unsigned dim : op.getOutputDims())
    space.parallel.set(dim);
  for (unsigned dim : op.getKeyDims())
    space.parallel.reset(dim);
  if (std::optional<unsigned> target = op.getDenseTarget())
    space.parallel.reset(*target); // the transition mixes its points
  space.access(op.getInsMaps());
  space.access(op.getInitial(), op.getStateMap());
  space.access(op.getEpilogueMaps());
  space.access(op.getOutputInits(), op.getOutputMap());
  space.access(op.getFinalStates(), op.getStateMap());
  return space;
}

static IterationSpace getSpace(ConvOp op) {
  IterationSpace space(op.getNumDims());
  for (auto [i, result] : llvm::enumerate(op.getOutputMap().getResults()))
    if (i != 1) // a token reads those before it
      space.parallel.set(cast<AffineDimExpr>(result).getPosition());
  AffineMap input = op.getInputMap();
  AffineMap sequence = op.getOutputMap().getMajorSubMap(2);
  space.access(op.getInput(), input);
  space.access(op.getKernel(), op.getKernelMap());
  if (op.getHistory())
    space.access(op.getHistory(), input);
  if (op.getCut())
    space.access(op.getCut(), sequence);
  space.access(op.getEpilogueMaps());
  space.access(op.getOutput(), op.getOutputMap());
  if (op.getFinalHistory())
    space.access(op.getFinalHistory(), input);
  return space;
}

static IterationSpace getSpace(ShiftOp op) {
  unsigned rank = cast<ShapedType>(op.getInput().getType()).getRank();
  IterationSpace space(rank);
  space.parallel.set().reset(1);
  AffineMap identity = AffineMap::getMultiDimIdentityMap(rank, op.getContext());
  space.access(op.getInput(), identity);
  if (op.getHistory())
    space.access(op.getHistory(), identity);
  if (op.getCut())
    space.access(op.getCut(), identity.getMajorSubMap(2));
  space.access(op.getOuts(), identity);
  return space;
}

static IterationSpace getSpace(NormOp op) {
  unsigned rank = cast<ShapedType>(op.getInput().getType()).getRank();
  IterationSpace space(rank);
  space.parallel.set().reset(rank - 1);
  AffineMap identity = AffineMap::getMultiDimIdentityMap(rank, op.getContext());
  space.access(op.getInput(), identity);
  space.access(op.getEpilogueMaps());
  space.access(op.getOuts(), identity);
  return space;
}

/// The space is that of the output; columns stay together, as panels hold many.
static IterationSpace getSpace(MatmulOp op) {
  MLIRContext *context = op.getContext();
  unsigned rank = cast<ShapedType>(op.getOutput().getType()).getRank();
  IterationSpace space(rank);
  space.parallel.set().reset(rank - 1);
  AffineMap identity = AffineMap::getMultiDimIdentityMap(rank, context);
  AffineExpr whole = getAffineDimExpr(rank - 1, context);
  space.access(op.getInput(), identity);
  unsigned weightRank = cast<ShapedType>(op.getWeight().getType()).getRank();
  space.access(op.getWeight(),
               AffineMap::get(rank, 0,
                              SmallVector<AffineExpr>(weightRank, whole),
                              context));
  space.access(op.getEpilogueMaps());
  space.access(op.getOuts(), identity);
  return space;
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

/// The extent of each dimension: that of an operand which names it alone. The
/// lags of a convolution, which only its kernel indexes, have an extent of
/// their own.
static SmallVector<Range> getDomain(Operation *op, const IterationSpace &space,
                                    OpBuilder &builder) {
  OpFoldResult zero = builder.getIndexAttr(0), one = builder.getIndexAttr(1);
  SmallVector<Range> domain(space.numDims, Range{zero, zero, one});
  for (unsigned dim = 0; dim < space.numDims; ++dim) {
    if (auto conv = dyn_cast<ConvOp>(op); conv && dim + 1 == space.numDims) {
      domain[dim].size = builder.getIndexAttr(int64_t(conv.getLags()));
      continue;
    }
    // Outputs first: what precedes them may be memory of other extents
    // (history).
    bool found = false;
    for (unsigned i = space.maps.size(); i-- > 0 && !found;)
      for (auto [position, expr] : llvm::enumerate(space.maps[i].getResults()))
        if (expr == getAffineDimExpr(dim, op->getContext())) {
          if (auto conv = dyn_cast<ConvOp>(op))
            if (op->getOperand(i) == conv.getFinalHistory() && position == 1)
              continue;
          if (auto shift = dyn_cast<ShiftOp>(op))
            if (i + 1 == space.maps.size() && shift.getOuts().size() > 1 &&
                position == 1)
              continue;
          domain[dim].size =
              tensor::getMixedSize(builder, op->getLoc(), op->getOperand(i),
                                   static_cast<int64_t>(position));
          found = true;
          break;
        }
  }
  return domain;
}

/// Whether a tile covers a dimension from end to end. A loop over tiles offsets
/// them by its variable; a dimension that is left alone comes with offset 0
/// and, where its extent is dynamic, the extent of some operand as size.
static bool isWhole(int64_t extent, OpFoldResult offset, OpFoldResult size) {
  if (!isZeroInteger(offset))
    return false;
  if (auto value = dyn_cast<Value>(size))
    return ShapedType::isDynamic(extent) &&
           value.getDefiningOp<tensor::DimOp>();
  return getConstantIntValue(size) == extent;
}
static bool isWhole(const Range &range, OpFoldResult offset,
                    OpFoldResult size) {
  return isWhole(getConstantIntValue(range.size).value_or(ShapedType::kDynamic),
                 offset, size);
}

/// Offsets and sizes of the slice of `operand` that a tile accesses; fails
/// where a tiled dimension is part of a compound index.
static LogicalResult getSlice(OpBuilder &builder, Location loc, Value operand,
                              AffineMap map, const llvm::SmallBitVector &tiled,
                              Offsets offsets, Sizes sizes,
                              SmallVectorImpl<OpFoldResult> &sliceOffsets,
                              SmallVectorImpl<OpFoldResult> &sliceSizes) {
  for (auto [position, expr] : llvm::enumerate(map.getResults())) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (dim && tiled.test(dim.getPosition())) {
      sliceOffsets.push_back(offsets[dim.getPosition()]);
      sliceSizes.push_back(sizes[dim.getPosition()]);
      continue;
    }
    for (unsigned other : tiled.set_bits())
      if (expr.isFunctionOfDim(other))
        return failure();
    sliceOffsets.push_back(builder.getIndexAttr(0));
    sliceSizes.push_back(tensor::getMixedSize(builder, loc, operand, position));
  }
  return success();
}

namespace {
template <typename OpTy>
struct TilingModel : TilingInterface::ExternalModel<TilingModel<OpTy>, OpTy> {
  SmallVector<utils::IteratorType> getLoopIteratorTypes(Operation *op) const {
    IterationSpace space = getSpace(cast<OpTy>(op));
    SmallVector<utils::IteratorType> types(space.numDims,
                                           utils::IteratorType::reduction);
    for (unsigned dim : space.parallel.set_bits())
      types[dim] = utils::IteratorType::parallel;
    return types;
  }

  SmallVector<Range> getIterationDomain(Operation *op,
                                        OpBuilder &builder) const {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(op);
    return getDomain(op, getSpace(cast<OpTy>(op)), builder);
  }

  FailureOr<TilingResult> getTiledImplementation(Operation *op,
                                                 OpBuilder &builder,
                                                 Offsets offsets,
                                                 Sizes sizes) const {
    Location loc = op->getLoc();
    IterationSpace space = getSpace(cast<OpTy>(op));
    llvm::SmallBitVector tiled(space.numDims);
    for (auto [dim, range] : llvm::enumerate(getIterationDomain(op, builder)))
      if (!isWhole(range, offsets[dim], sizes[dim])) {
        if (!space.parallel.test(dim))
          return failure();
        tiled.set(dim);
      }
    SmallVector<Value> operands;
    SmallVector<Operation *> slices;
    SmallVector<Type> results;
    for (OpOperand &operand : op->getOpOperands()) {
      AffineMap map = space.maps[operand.getOperandNumber()];
      SmallVector<OpFoldResult> sliceOffsets, sliceSizes;
      if (failed(getSlice(builder, loc, operand.get(), map, tiled, offsets,
                          sizes, sliceOffsets, sliceSizes)))
        return failure();
      SmallVector<OpFoldResult> strides(sliceSizes.size(),
                                        builder.getIndexAttr(1));
      Value slice = operand.get();
      if (llvm::any_of(tiled.set_bits(), [&](unsigned dim) {
            return map.isFunctionOfDim(dim);
          })) {
        slices.push_back(tensor::ExtractSliceOp::create(
            builder, loc, slice, sliceOffsets, sliceSizes, strides));
        slice = slices.back()->getResult(0);
      }
      operands.push_back(slice);
      if (cast<DestinationStyleOpInterface>(op).isDpsInit(&operand))
        results.push_back(slice.getType());
    }
    Operation *tile = mlir::clone(builder, op, results, operands);
    return TilingResult{{tile}, SmallVector<Value>(tile->getResults()), slices};
  }

  LogicalResult
  getResultTilePosition(Operation *op, OpBuilder &builder, unsigned number,
                        Offsets offsets, Sizes sizes,
                        SmallVector<OpFoldResult> &resultOffsets,
                        SmallVector<OpFoldResult> &resultSizes) const {
    IterationSpace space = getSpace(cast<OpTy>(op));
    llvm::SmallBitVector tiled(space.numDims);
    for (auto [dim, range] : llvm::enumerate(getIterationDomain(op, builder)))
      if (!isWhole(range, offsets[dim], sizes[dim]))
        tiled.set(dim);
    unsigned operand = getOutOperand(op, number);
    return getSlice(builder, op->getLoc(), op->getOperand(operand),
                    space.maps[operand], tiled, offsets, sizes, resultOffsets,
                    resultSizes);
  }

  LogicalResult getIterationDomainTileFromResultTile(
      Operation *op, OpBuilder &builder, unsigned number, Offsets resultOffsets,
      Sizes resultSizes, SmallVectorImpl<OpFoldResult> &offsets,
      SmallVectorImpl<OpFoldResult> &sizes) const {
    IterationSpace space = getSpace(cast<OpTy>(op));
    for (const Range &range : getIterationDomain(op, builder)) {
      offsets.push_back(range.offset);
      sizes.push_back(range.size);
    }
    unsigned operand = getOutOperand(op, number);
    for (auto [position, expr] :
         llvm::enumerate(space.maps[operand].getResults())) {
      unsigned dim = cast<AffineDimExpr>(expr).getPosition();
      if (!space.parallel.test(dim))
        continue; // whole, or else the tile of the result is not made by a tile
      offsets[dim] = resultOffsets[position];
      sizes[dim] = resultSizes[position];
    }
    return success();
  }

  FailureOr<TilingResult>
  generateResultTileValue(Operation *op, OpBuilder &builder, unsigned number,
                          Offsets resultOffsets, Sizes resultSizes) const {
    if (!isOpFusableWithConsumerSlice(op, number, resultOffsets, resultSizes))
      return failure();
    SmallVector<OpFoldResult> offsets, sizes;
    (void)getIterationDomainTileFromResultTile(
        op, builder, number, resultOffsets, resultSizes, offsets, sizes);
    FailureOr<TilingResult> tile =
        getTiledImplementation(op, builder, offsets, sizes);
    if (succeeded(tile))
      tile->tiledValues = {tile->tiledValues[number]};
    return tile;
  }

  bool isOpFusableWithConsumerSlice(Operation *op, unsigned number,
                                    Offsets resultOffsets,
                                    Sizes resultSizes) const {
    IterationSpace space = getSpace(cast<OpTy>(op));
    unsigned operand = getOutOperand(op, number);
    ArrayRef<int64_t> shape =
        cast<ShapedType>(op->getOperand(operand).getType()).getShape();
    for (auto [position, expr] :
         llvm::enumerate(space.maps[operand].getResults()))
      if (!space.parallel.test(cast<AffineDimExpr>(expr).getPosition()) &&
          !isWhole(shape[position], resultOffsets[position],
                   resultSizes[position]))
        return false;
    return true;
  }

private:
  /// The operand that receives result `number`.
  static unsigned getOutOperand(Operation *op, unsigned number) {
    return cast<DestinationStyleOpInterface>(op)
        .getDpsInitOperand(number)
        ->getOperandNumber();
  }
};
} // namespace

void mlir::ssm::registerTilingInterfaceExternalModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, SSMDialect *dialect) {
    context->loadDialect<tensor::TensorDialect>();
    ScanOp::attachInterface<TilingModel<ScanOp>>(*context);
    ConvOp::attachInterface<TilingModel<ConvOp>>(*context);
    ShiftOp::attachInterface<TilingModel<ShiftOp>>(*context);
    NormOp::attachInterface<TilingModel<NormOp>>(*context);
    MatmulOp::attachInterface<TilingModel<MatmulOp>>(*context);
  });
}
