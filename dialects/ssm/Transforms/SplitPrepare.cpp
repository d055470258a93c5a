//===- SplitPrepare.cpp - What depends on weights alone, apart ------------===//
//
// ssm-split-prepare: moves every value of @forward that depends on weights and
// constants only to @prepare, which returns them as tables.
//
// A value inside a rolled loop over depth may depend on the loop's index too;
// its table then has a leading dimension, one member a trip.
//
//===----------------------------------------------------------------------===//

#include "PreparedValues.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Iterators.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/CSE.h"
#include "ssm/IR/SSM.h"
#include "ssm/Transforms/Passes.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_SPLITPREPAREPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;

static remark::RemarkOpts remarkNamed(StringRef name) {
  return remark::RemarkOpts::name(name).category("ssm-split-prepare");
}

namespace {
class Splitter {
public:
  explicit Splitter(func::FuncOp forward)
      : forward(forward), prepared(forward) {}
  void run();

private:
  bool isMemberSlice(tensor::ExtractSliceOp slice);
  void require(Value value);
  void buildPrepare();
  Value materialize(Value value, IRMapping &mapping, OpBuilder &builder);
  void collectMembers(Value value, scf::ForOp loop,
                      SetVector<Operation *> &ops);
  void buildLoop(scf::ForOp loop, ArrayRef<Value> members, IRMapping &mapping,
                 OpBuilder &builder, DenseMap<Value, Value> &results);
  void rewriteForward();
  Attribute getExtentsAttr(Value value);

  func::FuncOp forward;
  ssm::PreparedValues prepared;
  SetVector<Value> tables;
};
} // namespace

//===----------------------------------------------------------------------===//
// Which values
//===----------------------------------------------------------------------===//

/// True if `slice` takes member `i` of a stack along the first dimension, where
/// `i` counts the trips of a loop: as good as a table.
bool Splitter::isMemberSlice(tensor::ExtractSliceOp slice) {
  RankedTensorType source = slice.getSourceType();
  if (!prepared.isWorthy(slice.getSource()) ||
      prepared.getLoop(slice.getSource()) || !slice.hasUnitStride())
    return false;
  ArrayRef<int64_t> offsets = slice.getStaticOffsets();
  ArrayRef<int64_t> sizes = slice.getStaticSizes();
  if (offsets.empty() || sizes.front() != 1 || slice.getOffsets().size() != 1 ||
      !ShapedType::isDynamic(offsets.front()))
    return false;
  for (int64_t dim = 1; dim < source.getRank(); ++dim)
    if (offsets[dim] != 0 || source.isDynamicDim(dim) ||
        sizes[dim] != source.getDimSize(dim))
      return false;
  Value index = slice.getOffsets().front();
  scf::ForOp loop = prepared.getLoop(index);
  return loop && loop.getInductionVar() == index;
}

/// Makes `value` available in @forward. Views stay there and their source
/// becomes the table, so that a weight and its reshaped self are stored once.
void Splitter::require(Value value) {
  Operation *op = value.getDefiningOp();
  if (op && isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(
                op)) {
    Value source = op->getOperand(0);
    if (prepared.isWorthy(source))
      return require(source);
  }
  if (auto slice = dyn_cast_or_null<tensor::ExtractSliceOp>(op))
    if (isMemberSlice(slice))
      return require(slice.getSource());
  tables.insert(value);
}

//===----------------------------------------------------------------------===//
// @prepare
//===----------------------------------------------------------------------===//

/// Clones what computes `value`, which depends on no loop.
Value Splitter::materialize(Value value, IRMapping &mapping,
                            OpBuilder &builder) {
  if (Value done = mapping.lookupOrNull(value))
    return done;
  Operation *op = value.getDefiningOp();
  for (Value read : ssm::getReadValues(op))
    materialize(read, mapping, builder);
  builder.clone(*op, mapping);
  return mapping.lookup(value);
}

/// The ops of `loop` that compute `value` from its index, operands first.
void Splitter::collectMembers(Value value, scf::ForOp loop,
                              SetVector<Operation *> &ops) {
  Operation *op = value.getDefiningOp();
  if (!op || prepared.getLoop(value) != loop || ops.contains(op))
    return;
  for (Value read : ssm::getReadValues(op))
    collectMembers(read, loop, ops);
  ops.insert(op);
}

/// Number of the trip with index `iv`: a table's first index.
static Value emitTrip(OpBuilder &builder, scf::ForOp loop, Value iv) {
  int64_t lower = *getConstantIntValue(loop.getLowerBound());
  int64_t step = *getConstantIntValue(loop.getStep());
  Location loc = loop.getLoc();
  Type type = iv.getType();
  auto constant = [&](int64_t value) {
    return arith::ConstantOp::create(builder, loc,
                                     builder.getIntegerAttr(type, value));
  };
  if (lower != 0)
    iv = arith::SubIOp::create(builder, loc, iv, constant(lower));
  if (step != 1)
    iv = arith::DivUIOp::create(builder, loc, iv, constant(step));
  if (!type.isIndex())
    iv = arith::IndexCastOp::create(builder, loc, builder.getIndexType(), iv);
  return iv;
}

using Extents = SmallVector<ssm::PreparedExtent>;

static Extents getExtents(Value value) {
  Extents extents;
  for (int64_t dim = 0, rank = cast<RankedTensorType>(value.getType()).getRank();
       dim < rank; ++dim)
    extents.push_back(*ssm::getPreparedExtent(value, dim));
  return extents;
}

static SmallVector<OpFoldResult> emitExtents(OpBuilder &builder, Location loc,
                                             const Extents &extents,
                                             Value length) {
  return llvm::map_to_vector(extents, [&](ssm::PreparedExtent extent) {
    return ssm::emitExtent(builder, loc, extent, length);
  });
}

/// Offsets and sizes of member `trip` of a table of members of `extents`.
static void getMemberSlice(OpBuilder &builder, Location loc, Value trip,
                           const Extents &extents, Value length,
                           SmallVectorImpl<OpFoldResult> &offsets,
                           SmallVectorImpl<OpFoldResult> &sizes) {
  offsets.assign(1, trip);
  offsets.append(extents.size(), builder.getIndexAttr(0));
  sizes.assign(1, builder.getIndexAttr(1));
  llvm::append_range(sizes, emitExtents(builder, loc, extents, length));
}

static RankedTensorType getTableType(scf::ForOp loop, RankedTensorType member) {
  SmallVector<int64_t> shape(
      1, loop.getStaticTripCount()->getZExtValue());
  llvm::append_range(shape, member.getShape());
  return RankedTensorType::get(shape, member.getElementType());
}

/// Emits the loop that fills the tables of `members`.
void Splitter::buildLoop(scf::ForOp loop, ArrayRef<Value> members,
                         IRMapping &mapping, OpBuilder &builder,
                         DenseMap<Value, Value> &results) {
  Location loc = loop.getLoc();
  SetVector<Operation *> ops;
  for (Value member : members)
    collectMembers(member, loop, ops);
  for (Operation *op : ops)
    for (Value read : ssm::getReadValues(op))
      if (!prepared.getLoop(read) && prepared.isWorthy(read))
        materialize(read, mapping, builder);
  SmallVector<Value> inits;
  Value length = mapping.lookupOrNull(ssm::getPreparedLength(forward));
  for (Value member : members) {
    auto type = cast<RankedTensorType>(member.getType());
    SmallVector<OpFoldResult> sizes(
        1, builder.getIndexAttr(getTableType(loop, type).getDimSize(0)));
    llvm::append_range(sizes,
                       emitExtents(builder, loc, getExtents(member), length));
    inits.push_back(
        tensor::EmptyOp::create(builder, loc, sizes, type.getElementType()));
  }
  Value lower = materialize(loop.getLowerBound(), mapping, builder);
  Value upper = materialize(loop.getUpperBound(), mapping, builder);
  Value step = materialize(loop.getStep(), mapping, builder);
  auto body = [&](OpBuilder &nested, Location, Value iv, ValueRange filled) {
    IRMapping inner(mapping);
    inner.map(loop.getInductionVar(), iv);
    // Constants and empty tensors are made anew in each trip: an empty tensor
    // can then turn out to be a part of the table.
    for (Operation *op : ops) {
      for (Value read : ssm::getReadValues(op))
        materialize(read, inner, nested);
      nested.clone(*op, inner);
    }
    Value trip = emitTrip(nested, loop, iv);
    SmallVector<Value> yielded;
    for (auto [member, table] : llvm::zip_equal(members, filled)) {
      SmallVector<OpFoldResult> offsets, sizes;
      getMemberSlice(nested, loc, trip, getExtents(member), length, offsets,
                     sizes);
      SmallVector<OpFoldResult> strides(offsets.size(), nested.getIndexAttr(1));
      yielded.push_back(tensor::InsertSliceOp::create(
          nested, member.getLoc(), inner.lookup(member), table, offsets, sizes,
          strides));
    }
    scf::YieldOp::create(nested, loc, yielded);
  };
  auto copy =
      scf::ForOp::create(builder, loc, lower, upper, step, inits, body);
  for (auto [member, result] : llvm::zip_equal(members, copy.getResults()))
    results[member] = result;
}

void Splitter::buildPrepare() {
  OpBuilder builder(forward);
  SmallVector<Type> weightTypes;
  SmallVector<DictionaryAttr> weightAttrs;
  SmallVector<BlockArgument> weights;
  for (BlockArgument argument : forward.getArguments()) {
    if (!forward.getArgAttr(argument.getArgNumber(), ssm::kWeightAttr) &&
        !forward.getArgAttr(argument.getArgNumber(), ssm::kPreparedLengthAttr))
      continue;
    weights.push_back(argument);
    weightTypes.push_back(argument.getType());
    weightAttrs.push_back(forward.getArgAttrDict(argument.getArgNumber()));
  }
  auto prepare = func::FuncOp::create(
      builder, forward.getLoc(), "prepare",
      builder.getFunctionType(weightTypes, TypeRange()));
  prepare.setAllArgAttrs(weightAttrs);
  Block *entry = prepare.addEntryBlock();
  builder.setInsertionPointToStart(entry);
  IRMapping mapping;
  for (auto [weight, argument] : llvm::zip(weights, prepare.getArguments()))
    mapping.map(weight, argument);

  llvm::MapVector<scf::ForOp, SmallVector<Value>> members;
  DenseMap<Value, Value> results;
  for (Value table : tables) {
    if (scf::ForOp loop = prepared.getLoop(table))
      members[loop].push_back(table);
    else
      results[table] = materialize(table, mapping, builder);
  }
  for (auto &[loop, values] : members)
    buildLoop(loop, values, mapping, builder, results);

  SmallVector<Value> returned;
  SmallVector<Type> types;
  for (Value table : tables) {
    returned.push_back(results.lookup(table));
    types.push_back(returned.back().getType());
  }
  func::ReturnOp::create(builder, forward.getLoc(), returned);
  prepare.setFunctionType(builder.getFunctionType(weightTypes, types));
  for (auto [i, table] : llvm::enumerate(tables)) {
    prepare.setResultAttr(i, ssm::kTableAttr, builder.getI64IntegerAttr(i));
    if (!cast<RankedTensorType>(types[i]).hasStaticShape())
      prepare.setResultAttr(i, ssm::kExtentsAttr, getExtentsAttr(table));
  }
}

/// The attribute of a table of `value`s that grows with the length.
Attribute Splitter::getExtentsAttr(Value value) {
  SmallVector<int64_t> numbers;
  if (scf::ForOp loop = prepared.getLoop(value))
    numbers = {0, loop.getStaticTripCount()->getSExtValue()};
  for (ssm::PreparedExtent extent : getExtents(value))
    numbers.append({extent.scale, extent.offset});
  return DenseI64ArrayAttr::get(value.getContext(), numbers);
}

//===----------------------------------------------------------------------===//
// @forward
//===----------------------------------------------------------------------===//

void Splitter::rewriteForward() {
  OpBuilder builder(forward.getContext());
  for (auto [number, entry] : llvm::enumerate(tables)) {
    Value value = entry;
    scf::ForOp loop = prepared.getLoop(value);
    auto type = cast<RankedTensorType>(value.getType());
    SmallVector<NamedAttribute> attributes = {builder.getNamedAttr(
        ssm::kTableAttr, builder.getI64IntegerAttr(static_cast<int64_t>(number)))};
    Extents extents = getExtents(value);
    if (!type.hasStaticShape())
      attributes.push_back(
          builder.getNamedAttr(ssm::kExtentsAttr, getExtentsAttr(value)));
    auto attrs = builder.getDictionaryAttr(attributes);
    unsigned at = forward.getNumArguments();
    Type tableType = loop ? getTableType(loop, type) : type;
    (void)forward.insertArgument(at, tableType, attrs, value.getLoc());
    Value table = forward.getArgument(at);
    remark::passed(value.getLoc(), remarkNamed("Table"))
        << remark::metric("table", static_cast<int64_t>(number))
        << remark::metric("members",
                          loop ? loop.getStaticTripCount()->getSExtValue() : 1)
        << remark::metric("elements", type.hasStaticShape()
                                          ? type.getNumElements()
                                          : ShapedType::kDynamic);
    if (!loop) {
      value.replaceAllUsesWith(table);
      continue;
    }
    builder.setInsertionPointToStart(loop.getBody());
    SmallVector<OpFoldResult> offsets, sizes;
    getMemberSlice(builder, value.getLoc(),
                   emitTrip(builder, loop, loop.getInductionVar()), extents,
                   ssm::getPreparedLength(forward), offsets, sizes);
    SmallVector<OpFoldResult> strides(offsets.size(), builder.getIndexAttr(1));
    value.replaceAllUsesWith(tensor::ExtractSliceOp::create(
        builder, value.getLoc(), type, table, offsets, sizes, strides));
  }
  // What only fed tables is dead now.
  forward.walk<WalkOrder::PostOrder, mlir::ReverseIterator>([](Operation *op) {
    if (isOpTriviallyDead(op))
      op->erase();
  });
  llvm::BitVector unused(forward.getNumArguments());
  for (BlockArgument argument : forward.getArguments())
    if (forward.getArgAttr(argument.getArgNumber(), ssm::kWeightAttr))
      unused.set(argument.getArgNumber());
  (void)forward.eraseArguments(unused);
}

void Splitter::run() {
  forward.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (op == forward)
      return WalkResult::advance();
    if (op->getNumResults() && prepared.contains(op->getResult(0)))
      return WalkResult::skip();
    for (Value operand : op->getOperands())
      if (prepared.isWorthy(operand))
        require(operand);
    return WalkResult::advance();
  });
  buildPrepare();
  rewriteForward();
}

/// Extents that follow from the prepared length are computed from it, so that no
/// tensor is kept for the sake of its shape.
static void resolveExtents(func::FuncOp forward) {
  Value length = ssm::getPreparedLength(forward);
  if (!length)
    return;
  SmallVector<tensor::DimOp> dims;
  forward.walk([&](tensor::DimOp dim) { dims.push_back(dim); });
  for (tensor::DimOp dim : dims) {
    std::optional<ssm::PreparedExtent> extent =
        ssm::getPreparedExtent(dim.getResult());
    if (!extent || extent->scale == 0)
      continue;
    OpBuilder builder(dim);
    dim.getResult().replaceAllUsesWith(cast<Value>(
        ssm::emitExtent(builder, dim.getLoc(), *extent, length)));
    dim.erase();
  }
}

namespace {
class SplitPreparePass : public ssm::impl::SplitPreparePassBase<SplitPreparePass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto forward = module.lookupSymbol<func::FuncOp>("forward");
    if (!forward || forward.isDeclaration())
      return;
    if (Operation *prepare = module.lookupSymbol("prepare")) {
      InFlightDiagnostic diag = prepare->emitError(
          "@prepare exists already: @forward can be split only once");
      diag.attachNote(forward.getLoc()) << "@forward is here";
      return signalPassFailure();
    }
    if (!llvm::hasSingleElement(forward.getBody())) {
      forward.emitOpError("expected a body of one block, found ")
          << forward.getBody().getBlocks().size();
      return signalPassFailure();
    }
    for (BlockArgument argument : forward.getArguments()) {
      if (!forward.getArgAttr(argument.getArgNumber(), ssm::kWeightAttr))
        continue;
      auto type = dyn_cast<RankedTensorType>(argument.getType());
      if (type && type.hasStaticShape())
        continue;
      forward.emitOpError("argument #")
          << argument.getArgNumber()
          << " is a weight and must be a tensor of static shape, but is "
          << argument.getType();
      return signalPassFailure();
    }
    resolveExtents(forward);
    // Equal values make one table.
    IRRewriter rewriter(&getContext());
    DominanceInfo dominance(forward);
    eliminateCommonSubExpressions(rewriter, dominance, forward);
    Splitter(forward).run();
  }
};
} // namespace
