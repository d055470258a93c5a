//===- TabulateChunks.cpp - Matrices of a chunk of an invariant recurrence ===//
//
// ssm-tabulate-chunks: gives a time-invariant scan that runs in chunks the tables of
// its matrices. They are computed in f64: a power of a decay near 1 loses digits in f32
// that the state would not lose token by token.
//
// All numbers are first laid out over [outer, keys, tiles, width]: the dimensions of
// each kind joined, and the lanes cut into vectors, the last filled up with zeros.
//
//===----------------------------------------------------------------------===//

#include "Tabulator.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "ssm/Analysis/CostModel.h"
#include "ssm/Transforms/Passes.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_TABULATECHUNKSPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;
using namespace mlir::ssm;

using Number = SmallVector<Value, 2>;
using Dims = SmallVector<unsigned>;

Tabulator::Tabulator(ScanOp scan, const InvariantForm &form, int64_t vectorLanes,
                     bool isWide)
    : scan(scan), form(form), builder(scan), loc(scan.getLoc()),
      roles(scan.getCoefficientsOp()), body(&scan.getCoefficients().front()),
      element(getElementTypeOrSelf(scan.getFinalStates().front())),
      wide(builder.getF64Type()), isWide(isWide), parts(scan.getNumStates()),
      outputs(scan.getNumOutputs()), chunk(scan.getScheduleAttr().getChunk()) {
  keys = InvariantForm::getExtent(scan, form.rows);
  copies = InvariantForm::getExtent(scan, form.copies);
  if (form.onOuter)
    outer = InvariantForm::getExtent(scan, form.outer);
  if (form.onLane) {
    lanes = scan.getDimSize(*form.lane);
    width = std::min<int64_t>(vectorLanes, llvm::PowerOf2Ceil(lanes));
    tiles = llvm::divideCeil(lanes, width);
  }
}

//===----------------------------------------------------------------------===//
// Numbers of the coefficients, as tensors
//===----------------------------------------------------------------------===//

/// Clones what `value` is computed from with every number in f64.
static Value cloneWide(OpBuilder &nested, IRMapping &mapping, Value value, Block *body) {
  if (Value known = mapping.lookupOrNull(value))
    return known;
  Operation *op = value.getDefiningOp();
  if (!op || op->getBlock() != body) {
    auto type = dyn_cast<FloatType>(value.getType());
    FloatAttr number;
    if (!type || type.isF64())
      return value;
    // A constant as the source has it.
    Value wide =
        matchPattern(value, m_Constant(&number))
            ? arith::ConstantOp::create(
                  nested, value.getLoc(),
                  nested.getF64FloatAttr(number.getValueAsDouble()))
                  .getResult()
            : arith::ExtFOp::create(nested, value.getLoc(), nested.getF64Type(), value)
                  .getResult();
    mapping.map(value, wide);
    return wide;
  }
  if (isa<arith::ExtFOp, arith::TruncFOp>(op)) {
    Value operand = cloneWide(nested, mapping, op->getOperand(0), body);
    mapping.map(value, operand);
    return operand;
  }
  for (Value operand : op->getOperands())
    cloneWide(nested, mapping, operand, body);
  Operation *copy = nested.clone(*op, mapping);
  auto widened = [&](Type type) -> Type {
    return isa<FloatType>(type) ? Type(nested.getF64Type()) : type;
  };
  if (auto constant = dyn_cast<arith::ConstantOp>(copy))
    if (auto number = dyn_cast<FloatAttr>(constant.getValue()))
      constant.setValueAttr(nested.getF64FloatAttr(number.getValueAsDouble()));
  for (auto [from, to] : llvm::zip(op->getResults(), copy->getResults())) {
    to.setType(widened(to.getType()));
    mapping.map(from, to);
  }
  return mapping.lookup(value);
}

/// Computes numbers at all points of the dimensions in `groups`, each of which becomes
/// one dimension; the last is that of the lanes.
SmallVector<Value>
Tabulator::layOut(function_ref<Number(OpBuilder &, IRMapping &)> compute,
                  ArrayRef<Value> needed, ArrayRef<Dims> groups) {
  // The ops of the region that the numbers need, and its arguments.
  llvm::SmallPtrSet<Operation *, 16> ops;
  SetVector<unsigned> arguments;
  SmallVector<Value> pending(needed);
  while (!pending.empty()) {
    Value value = pending.pop_back_val();
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      if (argument.getOwner() == body)
        arguments.insert(argument.getArgNumber());
    } else if (Operation *op = value.getDefiningOp();
               op->getBlock() == body && ops.insert(op).second) {
      llvm::append_range(pending, op->getOperands());
    }
  }

  // A group without dimensions is one of extent 1.
  SmallVector<AffineExpr> positions(scan.getNumDims(),
                                    builder.getAffineConstantExpr(0));
  SmallVector<int64_t> shape, joined;
  SmallVector<ReassociationIndices> reassociation;
  for (const Dims &group : groups) {
    ReassociationIndices &indices = reassociation.emplace_back();
    joined.push_back(1);
    auto add = [&](int64_t extent) {
      indices.push_back(shape.size());
      shape.push_back(extent);
      joined.back() *= extent;
    };
    for (unsigned dim : group) {
      positions[dim] = builder.getAffineDimExpr(shape.size());
      add(scan.getDimSize(dim));
    }
    if (group.empty())
      add(1);
  }
  SmallVector<Value> ins;
  SmallVector<AffineMap> maps;
  for (unsigned argument : arguments) {
    ins.push_back(scan.getIns()[argument]);
    maps.push_back(scan.getInsMap(argument).replaceDimsAndSymbols(positions, {},
                                                                  shape.size(), 0));
  }
  SmallVector<Value> results = emitGeneric(
      shape, ins, maps, parts, wide, [&](OpBuilder &nested, ValueRange values) {
        IRMapping mapping;
        for (auto [argument, value] : llvm::zip(arguments, values)) {
          bool widens = isWide && isa<FloatType>(value.getType());
          mapping.map(body->getArgument(argument),
                      widens ? emitFactor(nested, mapping, value) : value);
        }
        if (isWide)
          for (Value value : needed)
            cloneWide(nested, mapping, value, body);
        else
          for (Operation &op : *body)
            if (ops.contains(&op))
              nested.clone(op, mapping);
        return SmallVector<Value>(compute(nested, mapping));
      });
  for (Value &result : results) {
    result = tensor::CollapseShapeOp::create(
        builder, loc, RankedTensorType::get(joined, wide), result, reassociation);
    result = cutLanes(result);
  }
  return results;
}

/// The last dimension as tiles of `width`.
Value Tabulator::cutLanes(Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<int64_t> shape(type.getShape());
  int64_t padded = tiles * width;
  if (shape.back() != padded) {
    SmallVector<OpFoldResult> offsets(shape.size(), builder.getIndexAttr(0)), sizes,
        strides(shape.size(), builder.getIndexAttr(1));
    for (int64_t size : shape)
      sizes.push_back(builder.getIndexAttr(size));
    shape.back() = padded;
    Value empty = tensor::EmptyOp::create(builder, loc, shape, wide);
    Value zeros = linalg::FillOp::create(builder, loc, constant(builder, 0), empty)
                      .getResult(0);
    tensor = tensor::InsertSliceOp::create(builder, loc, tensor, zeros, offsets, sizes,
                                           strides);
  }
  SmallVector<ReassociationIndices> reassociation;
  for (unsigned dim = 0; dim < shape.size(); ++dim)
    reassociation.push_back({dim});
  reassociation.back().push_back(shape.size());
  shape.back() = tiles;
  shape.push_back(width);
  return tensor::ExpandShapeOp::create(builder, loc, RankedTensorType::get(shape, wide),
                                       tensor, reassociation);
}

Value Tabulator::emitFactor(OpBuilder &nested, const IRMapping &mapping, Value value) {
  value = mapping.lookupOrDefault(value);
  if (value.getType() == wide)
    return value;
  return arith::ExtFOp::create(nested, loc, wide, value);
}

/// The groups over which decay and gains are laid out.
SmallVector<Dims> Tabulator::getGroups() {
  Dims lane;
  if (form.onLane)
    lane.push_back(*form.lane);
  return {form.onOuter ? form.outer : Dims(), form.rows, lane};
}

SmallVector<Value> Tabulator::getDecay() {
  SmallVector<Value> needed(roles.getDecay());
  return layOut(
      [&](OpBuilder &nested, IRMapping &mapping) {
        Number number;
        for (Value value : needed)
          number.push_back(emitFactor(nested, mapping, value));
        for (unsigned part = number.size(); part < parts; ++part)
          number.push_back(constant(nested, part == 0));
        return number;
      },
      needed, getGroups());
}

SmallVector<Value> Tabulator::getRead() {
  SmallVector<Value> needed(roles.getRead());
  SmallVector<Dims> groups = getGroups();
  groups.insert(groups.begin() + 1, form.copies);
  return layOut(
      [&](OpBuilder &nested, IRMapping &mapping) {
        Number number;
        for (Value value : needed)
          number.push_back(emitFactor(nested, mapping, value));
        for (unsigned part = number.size(); part < parts; ++part)
          number.push_back(constant(nested, part == 0));
        return number;
      },
      needed, groups);
}

Value Tabulator::emitGain(OpBuilder &nested, const IRMapping &mapping,
                          ArrayRef<WriteGain> gains) {
  Value sum;
  for (const WriteGain &gain : gains) {
    Value product = constant(nested, gain.negative ? -1 : 1);
    for (const WriteFactor &factor : gain.factors) {
      Value value = emitFactor(nested, mapping, factor.value);
      product = factor.inverse
                    ? arith::DivFOp::create(nested, loc, product, value).getResult()
                    : arith::MulFOp::create(nested, loc, product, value).getResult();
    }
    sum = sum ? arith::AddFOp::create(nested, loc, sum, product).getResult() : product;
  }
  return sum ? sum : constant(nested, 0);
}

SmallVector<Value> Tabulator::getGain(const WriteInput &input) {
  SmallVector<Value> needed;
  for (const auto &gains : input.gains)
    for (const WriteGain &gain : gains)
      for (const WriteFactor &factor : gain.factors)
        needed.push_back(factor.value);
  return layOut(
      [&](OpBuilder &nested, IRMapping &mapping) {
        Number number;
        for (const auto &gains : input.gains)
          number.push_back(emitGain(nested, mapping, gains));
        return number;
      },
      needed, getGroups());
}

//===----------------------------------------------------------------------===//
// Arithmetic of a point
//===----------------------------------------------------------------------===//

Number Tabulator::multiply(OpBuilder &nested, const Number &a, const Number &b) {
  auto times = [&](Value x, Value y) -> Value {
    return arith::MulFOp::create(nested, loc, x, y);
  };
  if (parts == 1)
    return {times(a[0], b[0])};
  return {arith::SubFOp::create(nested, loc, times(a[0], b[0]), times(a[1], b[1])),
          arith::AddFOp::create(nested, loc, times(a[0], b[1]), times(a[1], b[0]))};
}

/// `base` to an exponent of at most a chunk, by squaring: right for every base, zero
/// and negative ones too.
Number Tabulator::power(OpBuilder &nested, const Number &base, Value exponent) {
  Number result{constant(nested, 1)};
  if (parts == 2)
    result.push_back(constant(nested, 0));
  Number square = base;
  Value zero = arith::ConstantIndexOp::create(nested, loc, 0);
  for (int64_t bit = 1; bit <= chunk; bit *= 2) {
    if (bit > 1)
      square = multiply(nested, square, square);
    Value mask = arith::ConstantIndexOp::create(nested, loc, bit);
    Value isSet = arith::CmpIOp::create(
        nested, loc, arith::CmpIPredicate::ne,
        arith::AndIOp::create(nested, loc, exponent, mask), zero);
    Number product = multiply(nested, result, square);
    for (unsigned part = 0; part < parts; ++part)
      result[part] = arith::SelectOp::create(nested, loc, isSet, product[part],
                                             result[part]);
  }
  return result;
}

/// The element of a table: arithmetic on denormal numbers is slow, so they are zero.
Value Tabulator::round(OpBuilder &nested, Value value) {
  if (element == wide)
    return value;
  double smallest =
      APFloat::getSmallestNormalized(cast<FloatType>(element).getFloatSemantics())
          .convertToDouble();
  Value magnitude = math::AbsFOp::create(nested, loc, value);
  Value isSmall = arith::CmpFOp::create(nested, loc, arith::CmpFPredicate::OLT,
                                        magnitude, constant(nested, smallest));
  value = arith::SelectOp::create(nested, loc, isSmall, constant(nested, 0), value);
  return arith::TruncFOp::create(nested, loc, element, value);
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

SmallVector<Value> Tabulator::emitGeneric(ArrayRef<int64_t> shape, ArrayRef<Value> ins,
                                          ArrayRef<AffineMap> maps, unsigned numResults,
                                          Type type, Body emit) {
  SmallVector<Value> inits;
  SmallVector<Type> types;
  SmallVector<AffineMap> allMaps(maps);
  for (unsigned i = 0; i < numResults; ++i) {
    inits.push_back(tensor::EmptyOp::create(builder, loc, shape, type));
    types.push_back(inits.back().getType());
    allMaps.push_back(builder.getMultiDimIdentityMap(shape.size()));
  }
  SmallVector<utils::IteratorType> iterators(shape.size(),
                                             utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      builder, loc, types, ins, inits, allMaps, iterators,
      [&](OpBuilder &nested, Location, ValueRange values) {
        SmallVector<Value> results = emit(nested, values);
        for (Value &result : results)
          if (result.getType() != type)
            result = round(nested, result);
        linalg::YieldOp::create(nested, loc, results);
      });
  return SmallVector<Value>(generic.getResults());
}

/// Joins tensors as the members of one: `dims` of `shape` count them, the last fastest.
Value Tabulator::assemble(ArrayRef<int64_t> shape, ArrayRef<Value> members,
                          ArrayRef<unsigned> dims) {
  Value table = tensor::EmptyOp::create(builder, loc, shape, element);
  for (auto [number, member] : llvm::enumerate(members)) {
    SmallVector<OpFoldResult> offsets(shape.size(), builder.getIndexAttr(0)),
        strides(shape.size(), builder.getIndexAttr(1)), sizes;
    for (int64_t size : shape)
      sizes.push_back(builder.getIndexAttr(size));
    int64_t rest = number;
    for (unsigned dim : llvm::reverse(dims)) {
      offsets[dim] = builder.getIndexAttr(rest % shape[dim]);
      sizes[dim] = builder.getIndexAttr(1);
      rest /= shape[dim];
    }
    table = tensor::InsertSliceOp::create(builder, loc, member, table, offsets, sizes,
                                          strides);
  }
  return table;
}

/// Joins dimension `dim` and the next.
static Value join(OpBuilder &builder, Location loc, Value tensor, unsigned dim) {
  SmallVector<ReassociationIndices> groups;
  int64_t rank = cast<RankedTensorType>(tensor.getType()).getRank();
  for (int64_t at = 0; at < rank; ++at) {
    if (at == dim + 1)
      groups.back().push_back(at);
    else
      groups.push_back({at});
  }
  return tensor::CollapseShapeOp::create(builder, loc, tensor, groups);
}

Value Tabulator::makeWrite() {
  // Dimensions: outer, tiles, keys, token, width.
  SmallVector<Value> ins(decay);
  for (const auto &gain : gains)
    llvm::append_range(ins, gain);
  SmallVector<AffineMap> maps(ins.size(), select(5, {0, 2, 1, 4}));
  unsigned inputs = gains.size();
  SmallVector<Value> members = emitGeneric(
      {outer, tiles, keys, chunk, width}, ins, maps, parts * inputs, element,
      [&](OpBuilder &nested, ValueRange values) {
        Value last = arith::ConstantIndexOp::create(nested, loc, chunk - 1);
        Value token = linalg::IndexOp::create(nested, loc, 3);
        Number decayed = power(nested, Number(values.take_front(parts)),
                               arith::SubIOp::create(nested, loc, last, token));
        SmallVector<Value> results(parts * inputs);
        for (unsigned input = 0; input < inputs; ++input) {
          Number gain(values.slice(parts * (1 + input), parts));
          for (auto [part, value] :
               llvm::enumerate(multiply(nested, decayed, gain)))
            results[part * inputs + input] = value;
        }
        return results;
      });
  Value table = assemble({outer, tiles, keys, parts, chunk, inputs, width}, members,
                         {3, 5});
  return join(builder, loc, table, 2);
}

Value Tabulator::makeRead() {
  // Dimensions: outer, tiles, copies, token, keys, width.
  SmallVector<Value> ins(decay);
  llvm::append_range(ins, read);
  SmallVector<AffineMap> maps(parts, select(6, {0, 4, 1, 5}));
  maps.append(parts, select(6, {0, 2, 4, 1, 5}));
  SmallVector<Value> members = emitGeneric(
      {outer, tiles, copies, chunk, keys, width}, ins, maps, outputs * parts, element,
      [&](OpBuilder &nested, ValueRange values) {
        Value one = arith::ConstantIndexOp::create(nested, loc, 1);
        Value token = linalg::IndexOp::create(nested, loc, 3);
        Number decayed = power(nested, Number(values.take_front(parts)),
                               arith::AddIOp::create(nested, loc, token, one));
        Number product =
            multiply(nested, decayed, Number(values.slice(parts, parts)));
        if (parts == 1)
          return SmallVector<Value>{product[0]};
        // (a + bi)(x + yi): a x - b y, and b x + a y.
        SmallVector<Value> results{
            product[0], arith::NegFOp::create(nested, loc, product[1])};
        if (outputs == 2)
          llvm::append_range(results, SmallVector<Value>{product[1], product[0]});
        return results;
      });
  Value table = assemble({outer, tiles, copies, chunk, outputs, keys, parts, width},
                         members, {4, 6});
  return join(builder, loc, table, 5);
}

Value Tabulator::makeKernel() {
  // Dimensions: outer, tiles, copies, token, width, and the sum over keys.
  SmallVector<Value> ins(decay);
  llvm::append_range(ins, read);
  for (const auto &gain : gains)
    llvm::append_range(ins, gain);
  AffineMap perKey = select(6, {0, 5, 1, 4});
  SmallVector<AffineMap> maps(parts, perKey);
  maps.append(parts, select(6, {0, 2, 5, 1, 4}));
  maps.append(parts * gains.size(), perKey);
  unsigned inputs = gains.size(), numSums = outputs * inputs;
  SmallVector<int64_t> shape{outer, tiles, copies, chunk, width};
  SmallVector<Value> inits;
  SmallVector<Type> types;
  for (unsigned i = 0; i < numSums; ++i) {
    Value empty = tensor::EmptyOp::create(builder, loc, shape, wide);
    inits.push_back(linalg::FillOp::create(builder, loc, constant(builder, 0), empty)
                        .getResult(0));
    types.push_back(empty.getType());
    maps.push_back(select(6, {0, 1, 2, 3, 4}));
  }
  SmallVector<utils::IteratorType> iterators(6, utils::IteratorType::parallel);
  iterators.back() = utils::IteratorType::reduction;
  auto sums = linalg::GenericOp::create(
      builder, loc, types, ins, inits, maps, iterators,
      [&](OpBuilder &nested, Location, ValueRange values) {
        Value token = linalg::IndexOp::create(nested, loc, 3);
        Number weight = multiply(
            nested, power(nested, Number(values.take_front(parts)), token),
            Number(values.slice(parts, parts)));
        SmallVector<Value> results;
        for (unsigned output = 0; output < outputs; ++output)
          for (unsigned input = 0; input < inputs; ++input) {
            Number gain(values.slice(parts * (2 + input), parts));
            Value term = multiply(nested, weight, gain)[output];
            results.push_back(arith::AddFOp::create(
                nested, loc, values[ins.size() + results.size()], term));
          }
        linalg::YieldOp::create(nested, loc, results);
      });
  SmallVector<Value> members = emitGeneric(
      shape, SmallVector<Value>(sums.getResults()),
      SmallVector<AffineMap>(numSums, builder.getMultiDimIdentityMap(5)), numSums,
      element, [&](OpBuilder &, ValueRange values) {
        return SmallVector<Value>(values.take_front(numSums));
      });
  return assemble({outer, tiles, copies, outputs, inputs, chunk, width}, members,
                  {3, 4});
}

Value Tabulator::makeDecay() {
  // Dimensions: outer, tiles, exponent, keys, width.
  SmallVector<AffineMap> maps(parts, select(5, {0, 3, 1, 4}));
  SmallVector<Value> members = emitGeneric(
      {outer, tiles, 2, keys, width}, decay, maps, parts, element,
      [&](OpBuilder &nested, ValueRange values) {
        Value which = linalg::IndexOp::create(nested, loc, 2);
        Value one = arith::ConstantIndexOp::create(nested, loc, 1);
        Value all = arith::ConstantIndexOp::create(nested, loc, chunk);
        Value isAll = arith::CmpIOp::create(nested, loc, arith::CmpIPredicate::eq,
                                            which, one);
        Value exponent = arith::SelectOp::create(nested, loc, isAll, all, one);
        return SmallVector<Value>(
            power(nested, Number(values.take_front(parts)), exponent));
      });
  Value table = assemble({outer, tiles, 2, keys, parts, width}, members, {4});
  return join(builder, loc, table, 3);
}

/// Names the inputs in the coefficients.
void Tabulator::addInputs(ArrayRef<Value> tables) {
  OpBuilder inside(roles);
  SmallVector<Value> inputs;
  for (const WriteInput &input : form.inputs) {
    Value product;
    auto convert = [&](Value value) -> Value {
      unsigned bits = value.getType().getIntOrFloatBitWidth();
      if (bits < element.getIntOrFloatBitWidth())
        return arith::ExtFOp::create(inside, loc, element, value);
      if (value.getType() != element)
        return arith::TruncFOp::create(inside, loc, element, value);
      return value;
    };
    for (const WriteFactor &factor : input.factors)
      if (!factor.inverse) {
        Value value = convert(factor.value);
        product = product
                      ? arith::MulFOp::create(inside, loc, product, value).getResult()
                      : value;
      }
    if (!product)
      product = arith::ConstantOp::create(inside, loc, inside.getFloatAttr(element, 1));
    for (const WriteFactor &factor : input.factors)
      if (factor.inverse)
        product =
            arith::DivFOp::create(inside, loc, product, convert(factor.value));
    inputs.push_back(product);
  }
  roles.getInputsMutable().assign(inputs);
  scan.getTablesMutable().assign(tables);
}

void Tabulator::run() {
  for (const WriteInput &input : form.inputs)
    gains.push_back(getGain(input));
  if (isMixing())
    return addInputs(makeMatrixTables());
  decay = getDecay();
  read = getRead();
  addInputs({makeWrite(), makeRead(), makeKernel(), makeDecay()});
}

namespace {
struct TabulateChunksPass
    : public ssm::impl::TabulateChunksPassBase<TabulateChunksPass> {
  using TabulateChunksPassBase::TabulateChunksPassBase;

  void runOnOperation() override {
    SmallVector<ScanOp> scans;
    getOperation().walk([&](ScanOp scan) {
      ScheduleAttr schedule = scan.getScheduleAttr();
      if (schedule && schedule.getMode() == ScanMode::chunk &&
          schedule.getChunk() > 0 && scan.hasPureTensorSemantics() &&
          scan.getTables().empty())
        scans.push_back(scan);
    });
    for (ScanOp scan : scans) {
      std::string reason;
      ScanWork work(scan, analyzeRecurrence(scan));
      Machine machine = Machine::get(scan);
      bool rounds = machine.tableTokens > 0; // operands, and so what is read of them
      if (!CostModel(work, machine).hasTableCode() ||
          (rounds && !getElementTypeOrSelf(scan.getOuts().front()).isBF16()))
        continue;
      // Other recurrences have chunks of another form.
      if (std::optional<InvariantForm> form = getInvariantForm(scan, reason))
        Tabulator(scan, *form,
                  std::max<int64_t>(
                      vectorBits / getElementTypeOrSelf(scan.getFinalStates().front())
                                       .getIntOrFloatBitWidth(),
                      1))
            .run();
    }
  }
};
} // namespace
