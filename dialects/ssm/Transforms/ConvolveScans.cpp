//===- ConvolveScans.cpp - Time-invariant recurrences as convolutions -----===//
//
// ssm-convolve-scans: a time-invariant scan whose schedule asks for a convolution
// becomes one with its impulse response, for each input of the state.
//
// The response depends on weights alone and is as long as the longest sequence that is
// prepared for, so ssm-split-prepare moves it out of @forward. A convolution knows
// nothing of states: where one was before the call, or is wanted after it, the
// recurrence stays, in a branch of its own.
//
//===----------------------------------------------------------------------===//

#include "PreparedValues.h"
#include "Tabulator.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "ssm/Analysis/ConvCostModel.h"
#include "ssm/Analysis/CostModel.h"
#include "ssm/Analysis/InvariantForm.h"
#include "ssm/Transforms/Passes.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_CONVOLVESCANSPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;
using namespace mlir::ssm;

/// A token alone is a step: the recurrence's.
static constexpr int64_t fewestTokens = 2;

namespace {
class Convolver {
public:
  Convolver(ScanOp scan, const InvariantForm &form, int64_t vectorBits,
            StringRef convolution, bool byPosition);
  void run();

private:
  Value makeCondition();
  Value isZero(OpBuilder &nested, ValueRange tensors);
  Value makeInput(const WriteInput &input, AffineMap &map);
  Value convolve(Value input, AffineMap inputMap, Value kernel);
  SmallVector<Value> finish(ArrayRef<Value> sums);
  SmallVector<Value> convolveAll();
  SmallVector<Value> getLastStates(bool isBranch);

  Value zero(OpBuilder &nested, Type type, double value = 0) {
    return arith::ConstantOp::create(nested, loc, nested.getFloatAttr(type, value));
  }
  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(builder, loc, value);
  }
  Value makeEmpty(ArrayRef<unsigned> dims, Value batch, Value tokens, Type type);
  AffineMap select(unsigned numDims, ArrayRef<unsigned> dims) {
    return AffineMap::getMultiDimMapWithTargets(numDims, dims, builder.getContext());
  }

  ScanOp scan;
  const InvariantForm &form;
  OpBuilder builder;
  Location loc;
  Block *body;
  Type element;
  Tabulator tabulator;
  StringRef convolution; ///< auto, fft or direct
  bool byPosition;       ///< states are zero where a sequence begins
  bool isPrepared = false; ///< the kernel is that of the longest sequence
  bool usesStates = false; ///< something reads the states after the last token
  bool mayKeep = false;    ///< and only a caller does, if it keeps them
  int64_t shortest = 0;    ///< sequence that is convolved
  Value tokens, length;    ///< of this call, and of the kernel
  SmallVector<SmallVector<Value>> kernels; ///< by input, by output
  SmallVector<unsigned> kernelDims;
};
} // namespace

/// The argument of a layer with the unit attribute `name`, made where it is missing.
static Value getArgument(func::FuncOp function, StringRef name, Type type,
                         StringRef also = "") {
  for (BlockArgument argument : function.getArguments())
    if (function.getArgAttr(argument.getArgNumber(), name))
      return argument;
  Builder builder(function.getContext());
  NamedAttrList attributes;
  attributes.set(name, builder.getUnitAttr());
  if (!also.empty())
    attributes.set(also, builder.getUnitAttr());
  unsigned number = function.getNumArguments();
  (void)function.insertArgument(number, type, attributes.getDictionary(type.getContext()),
                                function.getLoc());
  return function.getArgument(number);
}

Convolver::Convolver(ScanOp scan, const InvariantForm &form, int64_t vectorBits,
                     StringRef convolution, bool byPosition)
    : scan(scan), form(form), builder(scan), loc(scan.getLoc()),
      body(&scan.getCoefficients().front()),
      element(getElementTypeOrSelf(scan.getFinalStates().front())),
      tabulator(scan, form, std::max<int64_t>(vectorBits / 64, 1), /*isWide=*/true),
      convolution(convolution), byPosition(byPosition) {
  auto function = scan->getParentOfType<func::FuncOp>();
  tokens = tensor::DimOp::create(builder, loc, scan.getOutputInits().front(), 1);
  isPrepared = isLayer(function) && hasPreparedCoefficients(scan);
  // Longer sequences than those that are prepared for take the recurrence, so that this
  // table asks for no bound.
  length = isPrepared ? getArgument(function, kPreparedLengthAttr,
                                    builder.getIndexType(), kAnyLengthAttr)
                      : tokens;
  auto states = scan.getResults().take_back(scan.getNumStates());
  usesStates = llvm::any_of(states, [](Value state) { return !state.use_empty(); });
  mayKeep = usesStates && areKeptOnly(scan);
  kernelDims = tabulator.getKernelDims();
}

/// An empty tensor over `dims` of the scan, among which are batch and tokens.
Value Convolver::makeEmpty(ArrayRef<unsigned> dims, Value batch, Value tokens,
                           Type type) {
  SmallVector<OpFoldResult> sizes;
  for (unsigned dim : dims)
    sizes.push_back(dim == 0   ? OpFoldResult(batch)
                    : dim == 1 ? OpFoldResult(tokens)
                               : OpFoldResult(builder.getIndexAttr(scan.getDimSize(dim))));
  return tensor::EmptyOp::create(builder, loc, sizes, type);
}

//===----------------------------------------------------------------------===//
// Where a convolution does
//===----------------------------------------------------------------------===//

/// Whether all elements are zero; what is no number is not.
Value Convolver::isZero(OpBuilder &nested, ValueRange tensors) {
  auto type = cast<RankedTensorType>(tensors.front().getType());
  Value no = arith::ConstantOp::create(nested, loc, nested.getBoolAttr(false));
  Value init = tensor::EmptyOp::create(nested, loc, ArrayRef<int64_t>(),
                                       nested.getI1Type());
  init = linalg::FillOp::create(nested, loc, no, init).getResult(0);
  SmallVector<AffineMap> maps(tensors.size(),
                              nested.getMultiDimIdentityMap(type.getRank()));
  maps.push_back(AffineMap::get(type.getRank(), 0, nested.getContext()));
  SmallVector<utils::IteratorType> iterators(type.getRank(),
                                             utils::IteratorType::reduction);
  Value found =
      linalg::GenericOp::create(
          nested, loc, init.getType(), tensors, init, maps, iterators,
          [&](OpBuilder &inner, Location, ValueRange values) {
            Value any = values.back();
            for (Value value : values.drop_back()) {
              Value isOther = arith::CmpFOp::create(
                  inner, loc, arith::CmpFPredicate::UNE, value,
                  zero(inner, value.getType()));
              any = arith::OrIOp::create(inner, loc, any, isOther);
            }
            linalg::YieldOp::create(inner, loc, any);
          })
          .getResult(0);
  found = tensor::ExtractOp::create(nested, loc, found, ValueRange());
  Value yes = arith::ConstantOp::create(nested, loc, nested.getBoolAttr(true));
  return arith::XOrIOp::create(nested, loc, found, yes);
}

/// Whether this call can be a convolution; null if every call can.
Value Convolver::makeCondition() {
  Value condition;
  auto also = [&](Value next) {
    condition = condition
                    ? arith::AndIOp::create(builder, loc, condition, next).getResult()
                    : next;
  };
  auto compare = [&](arith::CmpIPredicate predicate, Value left, Value right) -> Value {
    return arith::CmpIOp::create(builder, loc, predicate, left, right);
  };
  if (isPrepared) {
    shortest = std::max<int64_t>(scan.getShortestConv().value_or(0), fewestTokens);
    also(compare(arith::CmpIPredicate::sge, tokens, index(shortest)));
    also(compare(arith::CmpIPredicate::sle, tokens, length));
    if (auto longest = scan->getAttrOfType<IntegerAttr>(kLongestConvAttr))
      also(compare(arith::CmpIPredicate::sle, tokens, index(longest.getInt())));
  }
  if (mayKeep) {
    Value keeps = getArgument(scan->getParentOfType<func::FuncOp>(), kKeepsStateAttr,
                              builder.getI1Type());
    also(compare(arith::CmpIPredicate::eq, keeps,
                 arith::ConstantOp::create(builder, loc, builder.getBoolAttr(false))));
  }
  if (scan.getInitial().empty())
    return condition;
  if (byPosition) {
    Value position = getArgument(scan->getParentOfType<func::FuncOp>(), kPositionAttr,
                                 builder.getIndexType());
    also(compare(arith::CmpIPredicate::eq, position, index(0)));
    return condition;
  }
  if (!condition)
    return isZero(builder, scan.getInitial());
  // The state is looked at where everything else permits a convolution.
  return scf::IfOp::create(
             builder, loc, condition,
             [&](OpBuilder &nested, Location) {
               scf::YieldOp::create(nested, loc, isZero(nested, scan.getInitial()));
             },
             [&](OpBuilder &nested, Location) {
               Value no =
                   arith::ConstantOp::create(nested, loc, nested.getBoolAttr(false));
               scf::YieldOp::create(nested, loc, no);
             })
      .getResult(0);
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
  SmallVector<AffineExpr> kernelExprs = {builder.getAffineDimExpr(numDims - 1)};
  for (unsigned dim : ArrayRef(kernelDims).drop_front())
    kernelExprs.push_back(positions[dim]);
  Value first;
  if (scan.getReverse())
    first = arith::SubIOp::create(builder, loc, index(1), length);
  Value like = scan.getOutputInits().front();
  Value empty = makeEmpty(outputDims, tensor::DimOp::create(builder, loc, like, 0),
                          tokens, element);
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
  if (std::optional<int64_t> shortest = chooseShortestTransform(conv, convolution))
    conv.setShortestFft(shortest);
  return conv.getResult(0);
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

SmallVector<Value> Convolver::convolveAll() {
  SmallVector<SmallVector<Value>> terms(scan.getNumOutputs());
  for (auto [input, list] : llvm::zip(form.inputs, kernels)) {
    AffineMap inputMap;
    Value tensor = makeInput(input, inputMap);
    for (auto [output, kernel] : llvm::enumerate(list))
      terms[output].push_back(convolve(tensor, inputMap, kernel));
  }
  SmallVector<Value> sums;
  for (const SmallVector<Value> &list : terms)
    llvm::append_range(sums, list);
  return finish(sums);
}

/// The scan as it is, in chunks or token by token.
static ScanOp cloneScan(OpBuilder &builder, ScanOp scan) {
  auto copy = cast<ScanOp>(builder.clone(*scan));
  copy.removeShortestConvAttr();
  copy->removeAttr(kLongestConvAttr);
  if (copy.getScheduleAttr().getMode() == ScanMode::conv)
    copy.setScheduleAttr(
        ScheduleAttr::get(builder.getContext(), ScanMode::scan, 0, 0, 0, 0));
  return copy;
}

/// The states after the last token, if anything uses them. Where nobody keeps them, they
/// are those before.
SmallVector<Value> Convolver::getLastStates(bool isBranch) {
  if (!usesStates)
    return {};
  if (!isBranch || !mayKeep) {
    ScanOp copy = cloneScan(builder, scan);
    return SmallVector<Value>(copy.getResults().take_back(scan.getNumStates()));
  }
  if (!scan.getInitial().empty())
    return SmallVector<Value>(scan.getInitial());
  SmallVector<Value> states;
  for (Value out : scan.getFinalStates())
    states.push_back(
        linalg::FillOp::create(builder, loc, zero(builder, element), out).getResult(0));
  return states;
}

void Convolver::run() {
  kernels = tabulator.makeKernels(length);
  Value condition = makeCondition();
  SmallVector<Value> replaced(scan.getResults().take_front(scan.getNumOutputs()));
  if (usesStates)
    replaced.assign(scan.getResults().begin(), scan.getResults().end());
  SmallVector<Value> results;
  auto convolution = [&](bool isBranch) {
    SmallVector<Value> values = convolveAll();
    llvm::append_range(values, getLastStates(isBranch));
    return values;
  };
  if (!condition) {
    results = convolution(/*isBranch=*/false);
  } else {
    auto branch = scf::IfOp::create(builder, loc, ValueRange(replaced).getTypes(),
                                    condition, /*withElseRegion=*/true);
    branch->setAttr(kShortestConvAttr, builder.getI64IntegerAttr(shortest));
    if (Attribute longest = scan->getAttr(kLongestConvAttr))
      branch->setAttr(kLongestConvAttr, longest);
    builder.setInsertionPointToStart(branch.thenBlock());
    SmallVector<Value> values = convolution(/*isBranch=*/true);
    scf::YieldOp::create(builder, loc, values);
    builder.setInsertionPointToStart(branch.elseBlock());
    ScanOp recurrence = cloneScan(builder, scan);
    scf::YieldOp::create(builder, loc,
                         recurrence.getResults().take_front(replaced.size()));
    llvm::append_range(results, branch.getResults());
  }
  for (auto [value, result] : llvm::zip_equal(replaced, results))
    value.replaceAllUsesWith(result);
  scan.erase();
}

/// Whether the state before the first token of a sequence is zero: it is that of an
/// argument, into which a caller puts nothing of its own.
static bool beginsAtZero(ScanOp scan) {
  return llvm::all_of(scan.getInitial(), [](Value value) {
    while (Operation *op = value.getDefiningOp()) {
      if (!isa<tensor::ExtractSliceOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp,
               tensor::CastOp>(op))
        return false;
      value = op->getOperand(0);
    }
    auto argument = cast<BlockArgument>(value);
    auto function = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
    return function && function.getArgAttr(argument.getArgNumber(), kStateAttr) &&
           !function.getArgAttr(argument.getArgNumber(), kInitialAttr);
  });
}

namespace {
struct ConvolveScansPass
    : public ssm::impl::ConvolveScansPassBase<ConvolveScansPass> {
  using ConvolveScansPassBase::ConvolveScansPassBase;

  void runOnOperation() override {
    SmallVector<ScanOp> scans;
    getOperation().walk([&](ScanOp scan) {
      ScheduleAttr schedule = scan.getScheduleAttr();
      if (schedule && scan.hasPureTensorSemantics() &&
          (schedule.getMode() == ScanMode::conv || scan.getShortestConv()))
        scans.push_back(scan);
    });
    for (ScanOp scan : scans) {
      std::string reason;
      std::optional<InvariantForm> form = getInvariantForm(scan, reason);
      if (!form) {
        scan.emitError() << "mode 'conv' is not possible: " << reason;
        return signalPassFailure();
      }
      if (!byPosition || beginsAtZero(scan))
        Convolver(scan, *form, vectorBits, convolution, byPosition).run();
    }
  }
};
} // namespace
