//===- ExpandQuadratic.cpp - A recurrence as a sum over earlier tokens ----===//
//
// The write, a sum of products, is split into what the keys are in and the rest:
// reads and keys give scores, the rest the values. The state before the first
// token is so many more tokens as it has keys, each with one key; that after the
// last one is what as many queries of one key each see.
//
//===----------------------------------------------------------------------===//

#include "ssm/IR/SSM.h"
#include "ssm/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/DenseSet.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_EXPANDQUADRATICPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;
using namespace mlir::ssm;

namespace {
/// A factor of a product, or the inverse of one.
struct Factor {
  Value value;
  bool inverse;
};

/// What one product of the write adds at a token: a key times a value.
struct Term {
  bool negated = false;
  SmallVector<Factor> keyFactors, valueFactors;
  Value key, value;
  SmallVector<unsigned> keyDims, valueDims; ///< beyond batch and time
};

class QuadraticForm {
public:
  QuadraticForm(RewriterBase &builder, ScanOp op)
      : builder(builder), op(op), loc(op.getLoc()), roles(op.getCoefficientsOp()),
        keyDims(op.getKeyDims()),
        element(getElementTypeOrSelf(op.getOutputInits().front())) {}
  void run();

private:
  void splitWrite(Value value, bool negated);
  void splitProduct(Value value, bool inverse, Term &term);
  bool dependsOnKeys(Value value);
  SmallVector<unsigned> getDims(ArrayRef<Factor> factors, ArrayRef<unsigned> least);
  SmallVector<unsigned> getDims(const llvm::SmallBitVector &dims);
  Value emptyTensor(ArrayRef<Value> leading, ArrayRef<unsigned> dims, Type type);
  Value emitGeneric(ValueRange inputs, ArrayRef<AffineMap> maps, Value init,
                    function_ref<Value(ValueRange)> body);
  Value emitProduct(ArrayRef<Factor> factors, bool negated, ArrayRef<unsigned> dims);
  Value emitUnits(ArrayRef<Value> leading, ArrayRef<unsigned> dims, Type type);
  Value emitInitial(ArrayRef<unsigned> dims, Type type);
  Value emitAttend(Term &term, bool isFirst, bool isFinal);
  Value emitOutput(ValueRange sums);
  Value emitFinal(ValueRange sums);
  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(builder, loc, value);
  }
  Value convert(Value value, Type type);
  Value cloneValue(Value value, Block &body, IRMapping &mapping);

  RewriterBase &builder;
  ScanOp op;
  Location loc;
  CoefficientsOp roles;
  SmallVector<unsigned> keyDims;
  Type element;
  SmallVector<Term, 2> terms;
  Value batch, tokens, read, decay;
  SmallVector<unsigned> readDims, decayDims;
  int64_t numKeys = 1;
};
} // namespace

Value QuadraticForm::convert(Value value, Type type) {
  auto from = cast<FloatType>(value.getType()), to = cast<FloatType>(type);
  if (from == to)
    return value;
  if (from.getWidth() < to.getWidth())
    return arith::ExtFOp::create(builder, loc, to, value);
  return arith::TruncFOp::create(builder, loc, to, value);
}

bool QuadraticForm::dependsOnKeys(Value value) {
  llvm::SmallBitVector dims = op.getDependentDims(value);
  return llvm::any_of(keyDims, [&](unsigned dim) { return dims[dim]; });
}

/// Sums become terms.
void QuadraticForm::splitWrite(Value value, bool negated) {
  Operation *definition = value.getDefiningOp();
  if (definition && dependsOnKeys(value)) {
    if (isa<arith::AddFOp, arith::SubFOp>(definition)) {
      splitWrite(definition->getOperand(0), negated);
      splitWrite(definition->getOperand(1),
                 negated != isa<arith::SubFOp>(definition));
      return;
    }
    if (isa<arith::NegFOp>(definition))
      return splitWrite(definition->getOperand(0), !negated);
  }
  Term term;
  term.negated = negated;
  splitProduct(value, false, term);
  SmallVector<unsigned> lanes;
  for (unsigned dim : op.getStateDims())
    if (!llvm::is_contained(keyDims, dim))
      lanes.push_back(dim);
  term.keyDims = getDims(term.keyFactors, keyDims);
  term.valueDims = getDims(term.valueFactors, lanes);
  terms.push_back(std::move(term));
}

void QuadraticForm::splitProduct(Value value, bool inverse, Term &term) {
  if (!dependsOnKeys(value)) {
    term.valueFactors.push_back({value, inverse});
    return;
  }
  Operation *definition = value.getDefiningOp();
  if (isa_and_nonnull<arith::NegFOp>(definition)) {
    term.negated = !term.negated;
    return splitProduct(definition->getOperand(0), inverse, term);
  }
  if (isa_and_nonnull<arith::MulFOp, arith::DivFOp>(definition)) {
    splitProduct(definition->getOperand(0), inverse, term);
    return splitProduct(definition->getOperand(1),
                        inverse != isa<arith::DivFOp>(definition), term);
  }
  term.keyFactors.push_back({value, inverse});
}

SmallVector<unsigned> QuadraticForm::getDims(const llvm::SmallBitVector &dims) {
  SmallVector<unsigned> result;
  for (unsigned dim : dims.set_bits())
    if (dim >= 2)
      result.push_back(dim);
  return result;
}

/// Dimensions of a product beyond batch and time, and at least those of `least`.
SmallVector<unsigned> QuadraticForm::getDims(ArrayRef<Factor> factors,
                                             ArrayRef<unsigned> least) {
  llvm::SmallBitVector dims(op.getNumDims());
  for (const Factor &factor : factors)
    dims |= op.getDependentDims(factor.value);
  for (unsigned dim : least)
    dims.set(dim);
  return getDims(dims);
}

Value QuadraticForm::emptyTensor(ArrayRef<Value> leading, ArrayRef<unsigned> dims,
                                 Type type) {
  SmallVector<OpFoldResult> sizes;
  for (Value size : leading)
    sizes.push_back(getAsOpFoldResult(size));
  for (unsigned dim : dims)
    sizes.push_back(builder.getIndexAttr(op.getDimSize(dim)));
  return tensor::EmptyOp::create(builder, loc, sizes, type);
}

/// One op over all dimensions of `init`.
Value QuadraticForm::emitGeneric(ValueRange inputs, ArrayRef<AffineMap> maps,
                                 Value init,
                                 function_ref<Value(ValueRange)> body) {
  auto type = cast<RankedTensorType>(init.getType());
  SmallVector<AffineMap> all(maps);
  all.push_back(builder.getMultiDimIdentityMap(type.getRank()));
  SmallVector<utils::IteratorType> iterators(type.getRank(),
                                             utils::IteratorType::parallel);
  OpBuilder::InsertionGuard guard(builder);
  return linalg::GenericOp::create(
             builder, loc, init.getType(), inputs, init, all, iterators,
             [&](OpBuilder &inner, Location, ValueRange arguments) {
               OpBuilder::InsertionGuard inside(builder);
               builder.setInsertionPoint(inner.getInsertionBlock(),
                                         inner.getInsertionPoint());
               Value result = convert(body(arguments), type.getElementType());
               linalg::YieldOp::create(builder, loc, result);
             })
      .getResult(0);
}

/// A value of `body` and what it is made of.
Value QuadraticForm::cloneValue(Value value, Block &body, IRMapping &mapping) {
  if (mapping.contains(value))
    return mapping.lookup(value);
  Operation *definition = value.getDefiningOp();
  if (!definition || definition->getBlock() != &body)
    return value;
  for (Value operand : definition->getOperands())
    cloneValue(operand, body, mapping);
  builder.clone(*definition, mapping);
  return mapping.lookup(value);
}

/// Maps of the scan's dimensions to those of an op over batch, time and `dims`.
static AffineMap restrictMap(AffineMap map, ArrayRef<unsigned> dims,
                             MLIRContext *context) {
  SmallVector<AffineExpr> places(map.getNumDims(), getAffineConstantExpr(0, context));
  places[0] = getAffineDimExpr(0, context);
  places[1] = getAffineDimExpr(1, context);
  for (auto [i, dim] : llvm::enumerate(dims))
    places[dim] = getAffineDimExpr(i + 2, context);
  return map.replaceDimsAndSymbols(places, {}, dims.size() + 2, 0);
}

/// A product of coefficients at all tokens, over batch, time and `dims`.
Value QuadraticForm::emitProduct(ArrayRef<Factor> factors, bool negated,
                                 ArrayRef<unsigned> dims) {
  Block &body = op.getCoefficients().front();
  // The operands that the factors are made of.
  llvm::DenseSet<Value> needed;
  SmallVector<Value> open;
  for (const Factor &factor : factors)
    open.push_back(factor.value);
  while (!open.empty()) {
    Value value = open.pop_back_val();
    if (!needed.insert(value).second)
      continue;
    if (Operation *definition = value.getDefiningOp();
        definition && definition->getBlock() == &body)
      open.append(definition->operand_begin(), definition->operand_end());
  }
  SmallVector<Value> inputs, arguments;
  SmallVector<AffineMap> maps;
  for (auto [i, operand] : llvm::enumerate(op.getIns())) {
    if (!needed.contains(body.getArgument(i)))
      continue;
    inputs.push_back(operand);
    arguments.push_back(body.getArgument(i));
    maps.push_back(restrictMap(op.getInsMap(i), dims, builder.getContext()));
  }
  return emitGeneric(
      inputs, maps, emptyTensor({batch, tokens}, dims, element),
      [&](ValueRange values) {
        IRMapping mapping;
        mapping.map(arguments, values.take_front(arguments.size()));
        Value product = arith::ConstantOp::create(
            builder, loc, builder.getFloatAttr(element, negated ? -1.0 : 1.0));
        for (const Factor &factor : factors) {
          Value value = convert(cloneValue(factor.value, body, mapping), element);
          if (factor.inverse)
            product = arith::DivFOp::create(builder, loc, product, value);
          else
            product = arith::MulFOp::create(builder, loc, product, value);
        }
        return product;
      });
}

/// 1 where the last of the leading dimensions is the place of the keys among all,
/// otherwise 0.
Value QuadraticForm::emitUnits(ArrayRef<Value> leading, ArrayRef<unsigned> dims,
                               Type type) {
  return emitGeneric({}, {}, emptyTensor(leading, dims, type), [&](ValueRange) {
    auto indexOf = [&](unsigned dim) -> Value {
      return linalg::IndexOp::create(builder, loc, dim);
    };
    Value place = index(0);
    for (unsigned key : keyDims) {
      auto *axis = llvm::find(dims, key);
      place = arith::MulIOp::create(builder, loc, place, index(op.getDimSize(key)));
      place = arith::AddIOp::create(
          builder, loc, place, indexOf(leading.size() + (axis - dims.begin())));
    }
    Value isKey =
        arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, place,
                              indexOf(leading.size() - 1));
    auto number = [&](double value) -> Value {
      return arith::ConstantOp::create(builder, loc,
                                       builder.getFloatAttr(type, value));
    };
    return Value(arith::SelectOp::create(builder, loc, isKey, number(1), number(0)));
  });
}

/// The state before the first token, a row for each of its keys.
Value QuadraticForm::emitInitial(ArrayRef<unsigned> dims, Type type) {
  MLIRContext *context = builder.getContext();
  AffineExpr place = getAffineDimExpr(1, context);
  SmallVector<AffineExpr> places(op.getNumDims());
  places[0] = getAffineDimExpr(0, context);
  for (auto [i, dim] : llvm::enumerate(dims))
    places[dim] = getAffineDimExpr(i + 2, context);
  for (unsigned key : llvm::reverse(keyDims)) {
    places[key] = keyDims.size() == 1 ? place : place % op.getDimSize(key);
    place = place.floorDiv(op.getDimSize(key));
  }
  SmallVector<AffineExpr> exprs;
  for (AffineExpr expr : op.getStateMap().getResults())
    exprs.push_back(places[cast<AffineDimExpr>(expr).getPosition()]);
  return emitGeneric(op.getInitial().front(),
                     AffineMap::get(dims.size() + 2, 0, exprs, context),
                     emptyTensor({batch, index(numKeys)}, dims, type),
                     [](ValueRange values) { return values[0]; });
}

/// What a term adds to the output, or to the state after the last token: then the
/// queries are the keys, one by one.
Value QuadraticForm::emitAttend(Term &term, bool isFirst, bool isFinal) {
  MLIRContext *context = builder.getContext();
  SmallVector<unsigned> lanes;
  for (unsigned dim : op.getOutputDims())
    if (!isFinal || llvm::is_contained(op.getStateDims(), dim))
      lanes.push_back(dim);
  SmallVector<unsigned> places(op.getNumDims());
  unsigned numDims = 3;
  for (unsigned dim : lanes)
    places[dim] = numDims++;
  for (unsigned dim : keyDims)
    places[dim] = numDims++;
  auto mapOf = [&](unsigned token, ArrayRef<unsigned> dims, bool hasBatch = true) {
    SmallVector<AffineExpr> exprs;
    if (hasBatch)
      exprs.push_back(getAffineDimExpr(0, context));
    exprs.push_back(getAffineDimExpr(token, context));
    for (unsigned dim : dims)
      exprs.push_back(getAffineDimExpr(places[dim], context));
    return AffineMap::get(numDims, 0, exprs, context);
  };
  Value query = read;
  AffineMap queryMap;
  if (isFinal) {
    query = emitUnits({index(numKeys)}, keyDims, element);
    queryMap = mapOf(1, keyDims, /*hasBatch=*/false);
  } else {
    queryMap = mapOf(1, readDims);
  }
  SmallVector<Value> histories;
  if (isFirst && !op.getInitial().empty()) {
    histories = {emitUnits({batch, index(numKeys)}, term.keyDims, element),
                 emitInitial(term.valueDims, element)};
    if (decay)
      histories.push_back(emitGeneric(
          {}, {}, emptyTensor({batch, index(numKeys)}, decayDims, element),
          [&](ValueRange) {
            return Value(arith::ConstantOp::create(
                builder, loc, builder.getFloatAttr(element, 1.0)));
          }));
  }
  Value init = emptyTensor({batch, isFinal ? index(numKeys) : tokens}, lanes, element);
  AffineExpr token = getAffineDimExpr(0, context);
  SmallVector<AffineExpr> to;
  if (!isFinal)
    to.push_back(token + 1);
  auto attend = AttendOp::create(
      builder, loc, init.getType(), query, term.key, ValueRange(), term.value, decay,
      histories, index(op.getInitial().empty() ? 0 : numKeys), init, UnitAttr(),
      AffineMapAttr::get(AffineMap::get(1, 0, {}, context)),
      AffineMapAttr::get(AffineMap::get(1, 0, to, context)),
      builder.getAffineMapArrayAttr(queryMap),
      builder.getAffineMapArrayAttr(mapOf(2, term.keyDims)),
      builder.getAffineMapArrayAttr({}), AffineMapAttr::get(mapOf(2, term.valueDims)),
      decay ? AffineMapAttr::get(mapOf(2, decayDims)) : AffineMapAttr(),
      AffineMapAttr::get(mapOf(1, lanes)));
  OpBuilder::InsertionGuard guard(builder);
  SmallVector<Type> types = {element};
  types.append(lanes.size() + 2, builder.getIndexType());
  Block *block = builder.createBlock(&attend.getScore(), {}, types,
                                     SmallVector<Location>(types.size(), loc));
  YieldOp::create(builder, loc, block->getArgument(0));
  return attend.getResult(0);
}

/// The terms' sums through the epilogue.
Value QuadraticForm::emitOutput(ValueRange sums) {
  Block &body = op.getEpilogue().front();
  SmallVector<unsigned> dims = op.getOutputDims();
  SmallVector<Value> inputs(sums);
  SmallVector<AffineMap> maps(sums.size(),
                              builder.getMultiDimIdentityMap(dims.size() + 2));
  for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns())) {
    inputs.push_back(operand);
    maps.push_back(restrictMap(op.getEpilogueMap(i), dims, builder.getContext()));
  }
  return emitGeneric(inputs, maps, op.getOutputInits().front(), [&](ValueRange values) {
    Value sum = values[0];
    for (Value other : values.take_front(sums.size()).drop_front())
      sum = arith::AddFOp::create(builder, loc, sum, other);
    IRMapping mapping;
    mapping.map(body.getArgument(0), sum);
    for (unsigned i = 0, end = op.getEpilogueIns().size(); i < end; ++i)
      mapping.map(body.getArgument(i + 1), values[sums.size() + i]);
    return cloneValue(op.getEpilogueYield().getValues()[0], body, mapping);
  });
}

/// The state after the last token from its rows.
Value QuadraticForm::emitFinal(ValueRange sums) {
  MLIRContext *context = builder.getContext();
  // Dimensions are those of the state.
  SmallVector<AffineExpr> places(op.getNumDims());
  for (auto [i, expr] : llvm::enumerate(op.getStateMap().getResults()))
    places[cast<AffineDimExpr>(expr).getPosition()] = getAffineDimExpr(i, context);
  AffineExpr place = getAffineConstantExpr(0, context);
  for (unsigned key : keyDims)
    place = place * op.getDimSize(key) + places[key];
  SmallVector<AffineExpr> exprs = {places[0], place};
  for (unsigned dim : op.getOutputDims())
    if (llvm::is_contained(op.getStateDims(), dim))
      exprs.push_back(places[dim]);
  AffineMap map =
      AffineMap::get(op.getStateMap().getNumResults(), 0, exprs, context);
  return emitGeneric(sums, SmallVector<AffineMap>(sums.size(), map),
                     op.getFinalStates().front(), [&](ValueRange values) {
                       Value sum = values[0];
                       for (Value other :
                            values.take_front(sums.size()).drop_front())
                         sum = arith::AddFOp::create(builder, loc, sum, other);
                       return sum;
                     });
}

void QuadraticForm::run() {
  builder.setInsertionPoint(op);
  Value output = op.getOutputInits().front();
  batch = builder.createOrFold<tensor::DimOp>(loc, output, 0);
  tokens = builder.createOrFold<tensor::DimOp>(loc, output, 1);
  for (unsigned key : keyDims)
    numKeys *= op.getDimSize(key);
  splitWrite(roles.getWrite()[0], false);
  readDims = getDims({{roles.getRead()[0], false}}, keyDims);
  read = emitProduct({{roles.getRead()[0], false}}, false, readDims);
  if (!roles.getDecay().empty()) {
    decayDims = getDims({{roles.getDecay()[0], false}}, {});
    decay = emitProduct({{roles.getDecay()[0], false}}, false, decayDims);
  }
  SmallVector<Value> outputs, finals;
  for (auto [i, term] : llvm::enumerate(terms)) {
    term.key = emitProduct(term.keyFactors, false, term.keyDims);
    term.value = emitProduct(term.valueFactors, term.negated, term.valueDims);
    outputs.push_back(emitAttend(term, i == 0, /*isFinal=*/false));
    finals.push_back(emitAttend(term, i == 0, /*isFinal=*/true));
  }
  Value y = emitOutput(outputs), state = emitFinal(finals);
  builder.replaceOp(op, {y, state});
}

namespace {
struct ExpandQuadraticPass
    : public ssm::impl::ExpandQuadraticPassBase<ExpandQuadraticPass> {
  void runOnOperation() override {
    SmallVector<ScanOp> scans;
    getOperation().walk([&](ScanOp scan) {
      ScheduleAttr schedule = scan.getScheduleAttr();
      if (schedule && schedule.getMode() == ScanMode::quadratic &&
          scan.hasPureTensorSemantics())
        scans.push_back(scan);
    });
    IRRewriter rewriter(&getContext());
    for (ScanOp scan : scans) {
      CoefficientsOp roles = scan.getCoefficientsOp();
      bool hasForm = !scan.getComplex() && !scan.getReverse() &&
                     !scan.getDense() && !roles.getReset() &&
                     roles.getErase().empty() && !roles.getWrite().empty() &&
                     !roles.getRead().empty() && !scan.getKeyDims().empty();
      for (unsigned dim = 2; dim < scan.getNumDims(); ++dim)
        hasForm &= !ShapedType::isDynamic(scan.getDimSize(dim));
      if (!hasForm) {
        scan.emitOpError("schedule: found quadratic, wanted it where a real "
                         "recurrence of static extents runs forward with a write "
                         "and a read over keys, without erase pairs and resets");
        return signalPassFailure();
      }
      QuadraticForm(rewriter, scan).run();
    }
  }
};
} // namespace
