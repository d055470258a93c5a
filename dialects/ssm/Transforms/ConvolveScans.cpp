//===- ConvolveScans.cpp - Time-invariant recurrences as convolutions -----===//
//
// ssm-convolve-scans: a time-invariant scan whose schedule asks for a convolution
// becomes one with its impulse response, for each input of the state.
//
// The response is that of the recurrence itself, run in f64 over an impulse as long as
// the longest sequence that is prepared for: it depends on weights alone, so
// ssm-split-prepare moves it out of @forward. Dimensions on which no coefficient
// depends are none of the kernel.
//
//===----------------------------------------------------------------------===//

#include "PreparedValues.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "ssm/Analysis/InvariantForm.h"
#include "ssm/Transforms/Passes.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_CONVOLVESCANSPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;
using namespace mlir::ssm;

namespace {
class Convolver {
public:
  Convolver(ScanOp scan, const InvariantForm &form);
  void run();

private:
  SmallVector<Value> makeKernels(const WriteInput &input);
  Value makeImpulse();
  void chooseKernelDims();
  Value makeInput(const WriteInput &input, AffineMap &map);
  Value convolve(Value input, AffineMap inputMap, Value kernel);
  SmallVector<Value> respondToInitial();
  SmallVector<Value> finish(ArrayRef<Value> sums);
  SmallVector<Value> advanceStates();

  Value widen(OpBuilder &nested, Value value) {
    return value.getType() == wide ? value
                                   : arith::ExtFOp::create(nested, loc, wide, value);
  }
  Value zero(OpBuilder &nested, Type type, double value = 0) {
    return arith::ConstantOp::create(nested, loc, nested.getFloatAttr(type, value));
  }
  Value makeEmpty(ArrayRef<unsigned> dims, Value batch, Value tokens, Type type);
  AffineMap select(unsigned numDims, ArrayRef<unsigned> dims) {
    SmallVector<AffineExpr> exprs;
    for (unsigned dim : dims)
      exprs.push_back(builder.getAffineDimExpr(dim));
    return AffineMap::get(numDims, 0, exprs, builder.getContext());
  }

  ScanOp scan;
  const InvariantForm &form;
  OpBuilder builder;
  Location loc;
  CoefficientsOp roles;
  Block *body;
  Type element, wide;
  Value length; ///< of the kernel
  /// Arguments of the coefficients that are the same at every token.
  SmallVector<unsigned> constants;
  /// Dimensions of the kernel's recurrence, in order: batch, token, then those on
  /// which a coefficient depends; and by dimension of the scan its number there.
  SmallVector<unsigned> kernelDims;
  SmallVector<AffineExpr> renumbered;
};
} // namespace

Convolver::Convolver(ScanOp scan, const InvariantForm &form)
    : scan(scan), form(form), builder(scan), loc(scan.getLoc()),
      roles(scan.getCoefficientsOp()), body(&scan.getCoefficients().front()),
      element(getElementTypeOrSelf(scan.getFinalStates().front())),
      wide(builder.getF64Type()) {
  length = getPreparedLength(scan->getParentOfType<func::FuncOp>());
  if (!length)
    length = tensor::DimOp::create(builder, loc, scan.getOutputInits().front(), 1);
  chooseKernelDims();
}

void Convolver::chooseKernelDims() {
  llvm::SmallBitVector needed(scan.getNumDims());
  auto note = [&](Value value) { needed |= scan.getDependentDims(value); };
  for (ValueRange values : {ValueRange(roles.getDecay()), ValueRange(roles.getDense()),
                            ValueRange(roles.getErase()), ValueRange(roles.getRead())})
    llvm::for_each(values, note);
  for (const WriteInput &input : form.inputs)
    for (const auto &gains : input.gains)
      for (const WriteGain &gain : gains)
        for (const WriteFactor &factor : gain.factors)
          note(factor.value);
  // What is summed stays, even if the terms are equal.
  for (unsigned dim : scan.getKeyDims())
    needed.set(dim);
  if (std::optional<unsigned> target = scan.getDenseTarget())
    needed.set(*target);
  needed.set(0, 2);
  renumbered.assign(scan.getNumDims(), builder.getAffineConstantExpr(0));
  for (unsigned dim : needed.set_bits()) {
    renumbered[dim] = builder.getAffineDimExpr(kernelDims.size());
    kernelDims.push_back(dim);
  }
  for (unsigned i = 0; i < scan.getIns().size(); ++i) {
    AffineMap map = scan.getInsMap(i);
    if (!map.isFunctionOfDim(0) && !map.isFunctionOfDim(1))
      constants.push_back(i);
  }
}

/// An empty tensor over `dims` of the scan, among which are batch and tokens.
Value Convolver::makeEmpty(ArrayRef<unsigned> dims, Value batch, Value tokens,
                           Type type) {
  SmallVector<OpFoldResult> sizes;
  for (unsigned dim : dims)
    sizes.push_back(dim == 0   ? (batch ? OpFoldResult(batch)
                                        : OpFoldResult(builder.getIndexAttr(1)))
                    : dim == 1 ? OpFoldResult(tokens)
                               : OpFoldResult(builder.getIndexAttr(scan.getDimSize(dim))));
  return tensor::EmptyOp::create(builder, loc, sizes, type);
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

/// 1 at the token that a scan meets first, over one row.
Value Convolver::makeImpulse() {
  Value empty = makeEmpty({0, 1}, Value(), length, wide);
  Value first = arith::ConstantIndexOp::create(builder, loc, 0);
  if (scan.getReverse())
    first = arith::AddIOp::create(builder, loc, length,
                                  arith::ConstantIndexOp::create(builder, loc, -1));
  AffineMap map = builder.getMultiDimIdentityMap(2);
  SmallVector<utils::IteratorType> parallel(2, utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             builder, loc, empty.getType(), ValueRange(), empty, map, parallel,
             [&](OpBuilder &nested, Location, ValueRange) {
               Value token = linalg::IndexOp::create(nested, loc, 1);
               Value isFirst = arith::CmpIOp::create(
                   nested, loc, arith::CmpIPredicate::eq, token, first);
               Value value = arith::SelectOp::create(
                   nested, loc, isFirst, zero(nested, wide, 1), zero(nested, wide));
               linalg::YieldOp::create(nested, loc, value);
             })
      .getResult(0);
}

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

/// What each output is, at every lag, for an impulse of `input`: over the lags, then
/// the output's dimensions that the kernel has.
SmallVector<Value> Convolver::makeKernels(const WriteInput &input) {
  unsigned numDims = kernelDims.size();
  auto renumber = [&](AffineMap map) {
    return map.replaceDimsAndSymbols(renumbered, {}, numDims, 0);
  };
  auto keep = [&](AffineMap map) {
    SmallVector<unsigned> dims;
    for (AffineExpr expr : map.getResults())
      if (unsigned dim = cast<AffineDimExpr>(expr).getPosition();
          llvm::is_contained(kernelDims, dim))
        dims.push_back(dim);
    return dims;
  };
  SmallVector<Value> ins{makeImpulse()};
  SmallVector<Attribute> maps{AffineMapAttr::get(select(numDims, {0, 1}))};
  for (unsigned number : constants) {
    ins.push_back(scan.getIns()[number]);
    maps.push_back(AffineMapAttr::get(renumber(scan.getInsMap(number))));
  }
  SmallVector<unsigned> stateDims = keep(scan.getStateMap());
  SmallVector<unsigned> outputDims = keep(scan.getOutputMap());
  SmallVector<Value> outs;
  for (unsigned i = 0; i < scan.getNumOutputs(); ++i)
    outs.push_back(makeEmpty(outputDims, Value(), length, wide));
  for (unsigned i = 0; i < scan.getNumStates(); ++i)
    outs.push_back(makeEmpty(stateDims, Value(), Value(), wide));
  auto mapOf = [&](ArrayRef<unsigned> dims) {
    return renumber(select(scan.getNumDims(), dims));
  };
  auto numberOf = [&](int64_t dim) {
    return int64_t(llvm::find(kernelDims, unsigned(dim)) - kernelDims.begin());
  };
  SmallVector<int64_t> keys;
  for (int64_t dim : scan.getKeys())
    keys.push_back(numberOf(dim));
  DenseI64ArrayAttr dense;
  if (auto pair = scan.getDense())
    dense = builder.getDenseI64ArrayAttr({numberOf((*pair)[0]), numberOf((*pair)[1])});
  SmallVector<Attribute> names;
  for (unsigned dim : kernelDims)
    names.push_back(builder.getStringAttr(scan.getDimName(dim)));
  auto response = ScanOp::create(
      builder, loc, ValueRange(outs).getTypes(), ins, ValueRange(), ValueRange(),
      ValueRange(), outs, builder.getArrayAttr(maps), builder.getArrayAttr({}),
      mapOf(stateDims), mapOf(outputDims), keys, scan.getReverse(), scan.getComplex(),
      ScheduleAttr::get(builder.getContext(), ScanMode::scan, 0, 0, 0, 0),
      builder.getArrayAttr(names), dense);
  response.setRealSums(scan.getRealSums());

  OpBuilder::InsertionGuard guard(builder);
  Block *block = builder.createBlock(&response.getCoefficients());
  IRMapping mapping;
  Value impulse = block->addArgument(wide, loc);
  for (unsigned number : constants) {
    Value argument = block->addArgument(body->getArgument(number).getType(), loc);
    mapping.map(body->getArgument(number),
                isa<FloatType>(argument.getType()) ? widen(builder, argument) : argument);
  }
  auto cloneAll = [&](ValueRange values) {
    SmallVector<Value> copies;
    for (Value value : values)
      copies.push_back(cloneWide(builder, mapping, value, body));
    return copies;
  };
  SmallVector<Value> decay = cloneAll(roles.getDecay());
  SmallVector<Value> read = cloneAll(roles.getRead());
  SmallVector<Value> transition = cloneAll(roles.getDense());
  SmallVector<Value> erase = cloneAll(roles.getErase());
  SmallVector<Value> write;
  for (const auto &gains : input.gains) {
    Value sum = zero(builder, wide);
    for (const WriteGain &gain : gains) {
      Value product = zero(builder, wide, gain.negative ? -1 : 1);
      for (const WriteFactor &factor : gain.factors) {
        Value value = cloneWide(builder, mapping, factor.value, body);
        product = factor.inverse
                      ? arith::DivFOp::create(builder, loc, product, value).getResult()
                      : arith::MulFOp::create(builder, loc, product, value).getResult();
      }
      sum = arith::AddFOp::create(builder, loc, sum, product);
    }
    write.push_back(arith::MulFOp::create(builder, loc, sum, impulse));
  }
  CoefficientsOp::create(builder, loc, decay, write, read, erase, Value(),
                         transition);
  Block *epilogue = builder.createBlock(&response.getEpilogue());
  for (unsigned i = 0; i < scan.getNumOutputs(); ++i)
    epilogue->addArgument(wide, loc);
  YieldOp::create(builder, loc, epilogue->getArguments());

  // One row: without the batch, and as narrow as the convolution.
  builder.setInsertionPoint(scan);
  SmallVector<Value> kernels;
  SmallVector<unsigned> dims(ArrayRef(outputDims).drop_front());
  for (unsigned i = 0; i < scan.getNumOutputs(); ++i) {
    Value empty = makeEmpty(dims, Value(), length, element);
    unsigned rank = dims.size();
    SmallVector<AffineExpr> exprs{builder.getAffineConstantExpr(0)};
    for (unsigned dim = 0; dim < rank; ++dim)
      exprs.push_back(builder.getAffineDimExpr(dim));
    SmallVector<AffineMap> indexing{
        AffineMap::get(rank, 0, exprs, builder.getContext()),
        builder.getMultiDimIdentityMap(rank)};
    SmallVector<utils::IteratorType> parallel(rank, utils::IteratorType::parallel);
    kernels.push_back(
        linalg::GenericOp::create(
            builder, loc, empty.getType(), response.getResult(i), empty, indexing,
            parallel,
            [&](OpBuilder &nested, Location, ValueRange values) {
              Value value = values[0];
              if (element != wide)
                value = arith::TruncFOp::create(nested, loc, element, value);
              linalg::YieldOp::create(nested, loc, value);
            })
            .getResult(0));
  }
  return kernels;
}

//===----------------------------------------------------------------------===//
// The convolution
//===----------------------------------------------------------------------===//

/// The factors of an input multiplied out: a tensor over batch, tokens and what else
/// they depend on; `map` says which dimensions of the scan those are.
Value Convolver::makeInput(const WriteInput &input, AffineMap &map) {
  llvm::SmallBitVector needed(scan.getNumDims());
  SetVector<Value> pending;
  for (const WriteFactor &factor : input.factors) {
    needed |= scan.getDependentDims(factor.value);
    pending.insert(factor.value);
  }
  needed.set(0, 2);
  SmallVector<unsigned> dims;
  SmallVector<AffineExpr> positions(scan.getNumDims(),
                                    builder.getAffineConstantExpr(0));
  for (unsigned dim : needed.set_bits()) {
    positions[dim] = builder.getAffineDimExpr(dims.size());
    dims.push_back(dim);
  }
  map = select(scan.getNumDims(), dims);

  SetVector<unsigned> arguments;
  llvm::SmallPtrSet<Operation *, 16> ops;
  for (unsigned i = 0; i < pending.size(); ++i) {
    Value value = pending[i];
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      if (argument.getOwner() == body)
        arguments.insert(argument.getArgNumber());
    } else if (Operation *op = value.getDefiningOp(); op->getBlock() == body) {
      ops.insert(op);
      pending.insert(op->operand_begin(), op->operand_end());
    }
  }
  SmallVector<Value> ins;
  SmallVector<AffineMap> maps;
  for (unsigned argument : arguments) {
    ins.push_back(scan.getIns()[argument]);
    maps.push_back(
        scan.getInsMap(argument).replaceDimsAndSymbols(positions, {}, dims.size(), 0));
  }
  Value like = scan.getOutputInits().front();
  Value batch = tensor::DimOp::create(builder, loc, like, 0);
  Value tokens = tensor::DimOp::create(builder, loc, like, 1);
  Value empty = makeEmpty(dims, batch, tokens, element);
  maps.push_back(builder.getMultiDimIdentityMap(dims.size()));
  SmallVector<utils::IteratorType> parallel(dims.size(), utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             builder, loc, empty.getType(), ins, empty, maps, parallel,
             [&](OpBuilder &nested, Location, ValueRange values) {
               IRMapping mapping;
               for (auto [argument, value] : llvm::zip(arguments, values))
                 mapping.map(body->getArgument(argument), value);
               for (Operation &op : *body)
                 if (ops.contains(&op))
                   nested.clone(op, mapping);
               Value product;
               for (bool inverse : {false, true})
                 for (const WriteFactor &factor : input.factors) {
                   if (factor.inverse != inverse)
                     continue;
                   Value value = mapping.lookupOrDefault(factor.value);
                   unsigned bits = value.getType().getIntOrFloatBitWidth();
                   if (bits < element.getIntOrFloatBitWidth())
                     value = arith::ExtFOp::create(nested, loc, element, value);
                   if (!product)
                     product = inverse ? zero(nested, element, 1) : value;
                   else if (!inverse)
                     product = arith::MulFOp::create(nested, loc, product, value);
                   if (inverse)
                     product = arith::DivFOp::create(nested, loc, product, value);
                 }
               linalg::YieldOp::create(nested, loc,
                                       product ? product : zero(nested, element, 1));
             })
      .getResult(0);
}

/// Over the output's dimensions; a recurrence that runs backward looks ahead.
Value Convolver::convolve(Value input, AffineMap inputMap, Value kernel) {
  SmallVector<unsigned> outputDims;
  for (AffineExpr expr : scan.getOutputMap().getResults())
    outputDims.push_back(cast<AffineDimExpr>(expr).getPosition());
  // Dimensions of the convolution: those of the output, then the lag.
  unsigned numDims = outputDims.size() + 1;
  SmallVector<AffineExpr> positions(scan.getNumDims(),
                                    builder.getAffineConstantExpr(0));
  for (auto [at, dim] : llvm::enumerate(outputDims))
    positions[dim] = builder.getAffineDimExpr(at);
  AffineExpr lag = builder.getAffineDimExpr(numDims - 1);
  SmallVector<AffineExpr> kernelExprs;
  for (unsigned dim : outputDims)
    if (dim == 1)
      kernelExprs.push_back(lag);
    else if (dim != 0 && llvm::is_contained(kernelDims, dim))
      kernelExprs.push_back(positions[dim]);
  Value first;
  if (scan.getReverse()) {
    Value minus = arith::ConstantIndexOp::create(builder, loc, -1);
    Value one = arith::ConstantIndexOp::create(builder, loc, 1);
    first = arith::AddIOp::create(
        builder, loc, arith::MulIOp::create(builder, loc, length, minus), one);
  }
  Value like = scan.getOutputInits().front();
  Value empty = makeEmpty(outputDims, tensor::DimOp::create(builder, loc, like, 0),
                          tensor::DimOp::create(builder, loc, like, 1), element);
  auto conv = ConvOp::create(
      builder, loc, empty.getType(), input, kernel, Value(), Value(), Value(),
      ValueRange(), first, /*spectrum=*/Value(), /*roots=*/Value(), empty,
      AffineMapAttr::get(inputMap.replaceDimsAndSymbols(positions, {}, numDims, 0)),
      AffineMapAttr::get(
          AffineMap::get(numDims, 0, kernelExprs, builder.getContext())),
      builder.getArrayAttr({}),
      AffineMapAttr::get(
          builder.getMultiDimIdentityMap(numDims).getSliceMap(0, numDims - 1)),
      builder.getI64IntegerAttr(ShapedType::kDynamic), builder.getI64IntegerAttr(0),
      /*spectrum_lane=*/IntegerAttr(), /*shortest_fft=*/IntegerAttr());
  OpBuilder::InsertionGuard guard(builder);
  Block *block = builder.createBlock(&conv.getEpilogue());
  YieldOp::create(builder, loc, ValueRange(block->addArgument(element, loc)));
  return conv.getResult(0);
}

//===----------------------------------------------------------------------===//
// What the state adds, and what becomes of it
//===----------------------------------------------------------------------===//

/// The scan as it is, in chunks or token by token, with `write` taken out if asked.
static ScanOp cloneScan(OpBuilder &builder, ScanOp scan, bool keepsWrite) {
  auto copy = cast<ScanOp>(builder.clone(*scan));
  copy.setScheduleAttr(
      ScheduleAttr::get(builder.getContext(), ScanMode::scan, 0, 0, 0, 0));
  if (!keepsWrite)
    copy.getCoefficientsOp().getWriteMutable().clear();
  return copy;
}

/// What the outputs are if nothing is written: nothing without an initial state.
SmallVector<Value> Convolver::respondToInitial() {
  if (scan.getInitial().empty())
    return {};
  ScanOp free = cloneScan(builder, scan, /*keepsWrite=*/false);
  // Its outputs are those before the epilogue, as wide as the state.
  Block &epilogue = free.getEpilogue().front();
  SmallVector<Value> outs, results;
  for (Value out : free.getOutputInits()) {
    builder.setInsertionPoint(free);
    outs.push_back(tensor::EmptyOp::create(
        builder, loc, tensor::getMixedSizes(builder, loc, out), element));
  }
  for (auto [number, out] : llvm::enumerate(outs)) {
    free.getOutsMutable()[number].set(out);
    free.getResult(number).setType(out.getType());
    epilogue.getArgument(number).setType(element);
  }
  epilogue.getTerminator()->setOperands(
      epilogue.getArguments().take_front(outs.size()));
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(epilogue)))
    if (!op.hasTrait<OpTrait::IsTerminator>())
      op.erase();
  epilogue.eraseArguments(outs.size(), epilogue.getNumArguments() - outs.size());
  free.getEpilogueInsMutable().clear();
  free.setEpilogueMapsAttr(builder.getArrayAttr({}));
  builder.setInsertionPoint(scan);
  return SmallVector<Value>(free.getResults().take_front(outs.size()));
}

/// The original epilogue over the sums of what the outputs are made of.
SmallVector<Value> Convolver::finish(ArrayRef<Value> sums) {
  unsigned numOutputs = scan.getNumOutputs();
  unsigned perOutput = sums.size() / numOutputs;
  SmallVector<unsigned> outputDims;
  SmallVector<AffineExpr> positions(scan.getNumDims(),
                                    builder.getAffineConstantExpr(0));
  for (AffineExpr expr : scan.getOutputMap().getResults()) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    positions[dim] = builder.getAffineDimExpr(outputDims.size());
    outputDims.push_back(dim);
  }
  unsigned rank = outputDims.size();
  AffineMap identity = builder.getMultiDimIdentityMap(rank);
  SmallVector<Value> ins(sums);
  SmallVector<AffineMap> maps(sums.size(), identity);
  for (auto [number, value] : llvm::enumerate(scan.getEpilogueIns())) {
    ins.push_back(value);
    maps.push_back(
        scan.getEpilogueMap(number).replaceDimsAndSymbols(positions, {}, rank, 0));
  }
  SmallVector<Value> outs(scan.getOutputInits());
  maps.append(outs.size(), identity);
  SmallVector<utils::IteratorType> parallel(rank, utils::IteratorType::parallel);
  Block &epilogue = scan.getEpilogue().front();
  auto generic = linalg::GenericOp::create(
      builder, loc, ValueRange(outs).getTypes(), ins, outs, maps, parallel,
      [&](OpBuilder &nested, Location, ValueRange values) {
        IRMapping mapping;
        for (unsigned output = 0; output < numOutputs; ++output) {
          Value sum = values[output * perOutput];
          for (unsigned i = 1; i < perOutput; ++i)
            sum = arith::AddFOp::create(nested, loc, sum, values[output * perOutput + i]);
          Type wanted = epilogue.getArgument(output).getType();
          if (wanted.getIntOrFloatBitWidth() < element.getIntOrFloatBitWidth())
            sum = arith::TruncFOp::create(nested, loc, wanted, sum);
          mapping.map(epilogue.getArgument(output), sum);
        }
        for (unsigned i = numOutputs; i < epilogue.getNumArguments(); ++i)
          mapping.map(epilogue.getArgument(i), values[sums.size() + i - numOutputs]);
        for (Operation &op : epilogue.without_terminator())
          nested.clone(op, mapping);
        SmallVector<Value> results;
        for (Value value : epilogue.getTerminator()->getOperands())
          results.push_back(mapping.lookupOrDefault(value));
        linalg::YieldOp::create(nested, loc, results);
      });
  return SmallVector<Value>(generic.getResults());
}

/// The states after the last token, if anything uses them: by the recurrence.
SmallVector<Value> Convolver::advanceStates() {
  auto states = scan.getResults().take_back(scan.getNumStates());
  if (llvm::all_of(states, [](Value state) { return state.use_empty(); }))
    return {};
  ScanOp copy = cloneScan(builder, scan, /*keepsWrite=*/true);
  return SmallVector<Value>(copy.getResults().take_back(scan.getNumStates()));
}

void Convolver::run() {
  unsigned numOutputs = scan.getNumOutputs();
  SmallVector<SmallVector<Value>> terms(numOutputs);
  for (const WriteInput &input : form.inputs) {
    AffineMap inputMap;
    Value tensor = makeInput(input, inputMap);
    for (auto [output, kernel] : llvm::enumerate(makeKernels(input)))
      terms[output].push_back(convolve(tensor, inputMap, kernel));
  }
  for (auto [output, value] : llvm::enumerate(respondToInitial()))
    terms[output].push_back(value);
  SmallVector<Value> sums;
  for (const SmallVector<Value> &list : terms)
    llvm::append_range(sums, list);
  SmallVector<Value> results = finish(sums);
  SmallVector<Value> states = advanceStates();
  for (auto [number, result] : llvm::enumerate(results))
    scan.getResult(number).replaceAllUsesWith(result);
  for (auto [number, state] : llvm::enumerate(states))
    scan.getResult(numOutputs + number).replaceAllUsesWith(state);
  scan.erase();
}

namespace {
struct ConvolveScansPass
    : public ssm::impl::ConvolveScansPassBase<ConvolveScansPass> {
  using ConvolveScansPassBase::ConvolveScansPassBase;

  void runOnOperation() override {
    SmallVector<ScanOp> scans;
    getOperation().walk([&](ScanOp scan) {
      ScheduleAttr schedule = scan.getScheduleAttr();
      if (schedule && schedule.getMode() == ScanMode::conv &&
          scan.hasPureTensorSemantics())
        scans.push_back(scan);
    });
    for (ScanOp scan : scans) {
      std::string reason;
      std::optional<InvariantForm> form = getInvariantForm(scan, reason);
      if (!form) {
        scan.emitError() << "mode 'conv' is not possible: " << reason;
        return signalPassFailure();
      }
      Convolver(scan, *form).run();
    }
  }
};
} // namespace
