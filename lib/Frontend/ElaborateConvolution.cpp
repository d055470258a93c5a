//===- ElaborateConvolution.cpp - Sums over a lag -------------------------===//
//
// `sum(j) K[.., j] * u[t-j, ..]` becomes ssm.conv. An index variable counts the
// places of its axis from 0; the lag that a place stands for is its place plus
// the first lag of the axis, which may contain the length that kernels are
// prepared for.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "ssm/IR/SSM.h"
#include "llvm/ADT/ScopeExit.h"

using namespace ssmc;
using namespace mlir;

//===----------------------------------------------------------------------===//
// Indices
//===----------------------------------------------------------------------===//

std::optional<Elaborator::LinearIndex> Elaborator::linearIndex(AffineExpr expr) {
  LinearIndex result;
  std::function<bool(AffineExpr, int64_t)> collect = [&](AffineExpr e,
                                                         int64_t factor) {
    if (auto d = llvm::dyn_cast<AffineDimExpr>(e)) {
      auto *found = llvm::find_if(result.dims, [&](auto &entry) {
        return entry.first == d.getPosition();
      });
      if (found == result.dims.end())
        result.dims.push_back({d.getPosition(), factor});
      else
        found->second += factor;
      return true;
    }
    if (auto c = llvm::dyn_cast<AffineConstantExpr>(e)) {
      result.constant += factor * c.getValue();
      return true;
    }
    if (llvm::isa<AffineSymbolExpr>(e)) {
      result.preparedScale += factor;
      return true;
    }
    auto binary = llvm::cast<AffineBinaryOpExpr>(e);
    if (e.getKind() == AffineExprKind::Add)
      return collect(binary.getLHS(), factor) && collect(binary.getRHS(), factor);
    auto by = llvm::dyn_cast<AffineConstantExpr>(binary.getRHS());
    return e.getKind() == AffineExprKind::Mul && by &&
           collect(binary.getLHS(), factor * by.getValue());
  };
  if (!collect(expr, 1))
    return std::nullopt;
  llvm::erase_if(result.dims, [](auto &entry) { return entry.second == 0; });
  return result;
}

/// Whether `at` is a token and the index `lag`: `t - j`.
bool Elaborator::isLagged(AffineExpr at, IndexId lag) {
  if (llvm::isa<AffineDimExpr>(at) || !at.isFunctionOfDim(lag) ||
      indexAxis(lag).sequence)
    return false;
  bool hasSequence = false;
  at.walk([&](AffineExpr e) {
    if (auto d = llvm::dyn_cast<AffineDimExpr>(e))
      hasSequence |= indexAxis(d.getPosition()).sequence;
  });
  return hasSequence;
}

/// The number of values of an index.
TermRef Elaborator::extentTerm(IndexId id) {
  int64_t size = indexAxis(id).size;
  if (isSequenceExtent(size))
    return lengthTerm(sequenceNumber(size));
  if (isRunTimeExtent(size))
    return indexTerm(getAffineSymbolExpr(0, &context) *
                     (size == kTwoSidedExtent ? 2 : 1));
  return constant(double(size));
}

//===----------------------------------------------------------------------===//
// Convolutions
//===----------------------------------------------------------------------===//

namespace {
/// The parts of a sum over a lag.
struct Convolution {
  TermRef input;  // the factor that is read at t - j
  TermRef kernel; // the product of the others
  IndexId time = ~0u, lag = ~0u;
  bool reversed = false; // read at t + j
  int64_t first = 0, firstScale = 0; // the first lag, after reversal
};
} // namespace

/// A kernel as an element of a tensor whose first dimension is the lag, turned
/// around where it is read the other way.
static AffineExpr lastPlace(const Axis &axis, MLIRContext *context) {
  if (!isRunTimeExtent(axis.size))
    return getAffineConstantExpr(axis.size - 1, context);
  return getAffineSymbolExpr(0, context) * (axis.size == kTwoSidedExtent ? 2 : 1) - 1;
}

TermRef Elaborator::kernelTensor(TermRef kernel, IndexId lag, bool reversed) {
  bool outer = inKernel;
  inKernel = true; // it is prepared, however it was declared
  llvm::scope_exit restore([&] { inKernel = outer; });
  auto isPlain = [&] {
    if (kernel->kind != Term::Element || kernel->at.empty() || kernel->at[0] != dim(lag))
      return false;
    return llvm::all_of(kernel->at, [](AffineExpr at) {
      return llvm::isa<AffineDimExpr>(at);
    });
  };
  if (reversed) {
    AffineExpr back = lastPlace(indexAxis(lag), &context) - dim(lag);
    kernel = substitute(
        kernel, [&](IndexId id) { return id == lag ? back : AffineExpr(); }, &context);
  } else if (isPlain()) {
    return kernel;
  }
  llvm::SmallVector<IndexId> variables = {lag};
  for (unsigned id : kernel->indices.set_bits())
    if (id != lag)
      variables.push_back(id);
  llvm::SmallVector<Value> values;
  emitGeneric(kernel, variables, {}, Operator::Add, values);
  llvm::SmallVector<AffineExpr> at;
  for (IndexId id : variables)
    at.push_back(dim(id));
  return element(values[0], at, false, false, false);
}

/// sum(j) kernel[.., j] * input[t - j, ..]
std::optional<Number> Elaborator::convolve(llvm::ArrayRef<IndexId> over,
                                           TermRef body, IndexId lag,
                                           llvm::SMRange range, Scope &scope) {
  if (over.size() != 1) {
    diagnostics.error(range, "a convolution sums over one lag; sum over the others "
                             "outside of it");
    return std::nullopt;
  }
  Convolution parts;
  parts.kernel = constant(1);
  std::function<bool(const TermRef &)> split = [&](const TermRef &term) {
    if (term->kind == Term::Operation && term->op == Operator::Mul)
      return split(term->operands[0]) && split(term->operands[1]);
    bool isInput = term->kind == Term::Element &&
                   llvm::any_of(term->at,
                                [&](AffineExpr at) { return isLagged(at, lag); });
    if (!isInput) {
      parts.kernel = multiply(parts.kernel, term);
      return true;
    }
    if (parts.input)
      return false;
    parts.input = term;
    return true;
  };
  auto analyse = [&]() -> bool {
    if (!split(body) || !parts.input || !parts.input->batched || parts.input->at.empty())
      return false;
    const AffineExpr *place = llvm::find_if(
        parts.input->at, [&](AffineExpr at) { return isLagged(at, lag); });
    auto token = linearIndex(*place);
    if (!token || token->dims.size() != 2)
      return false;
    for (auto [id, factor] : token->dims) {
      if (id == lag && (factor == 1 || factor == -1))
        parts.reversed = factor == 1;
      else if (indexAxis(id).sequence && factor == 1)
        parts.time = id;
      else
        return false;
    }
    parts.first = -token->constant;
    parts.firstScale = -token->preparedScale;
    for (const AffineExpr &at : parts.input->at)
      if (&at != place && (at.isFunctionOfDim(lag) || at.isFunctionOfDim(parts.time)))
        return false;
    return llvm::none_of(parts.kernel->indices.set_bits(),
                         [&](unsigned id) { return indexAxis(id).sequence; });
  };
  if (!analyse()) {
    diagnostics.error(range, "a convolution is sum(j) kernel[.., j] * input[t-j, ..]: "
                             "one input read at t - j or t + j, and a kernel that does "
                             "not depend on t");
    return std::nullopt;
  }
  bool ofInputs = false;
  walk(parts.kernel, [&](const TermRef &node) { ofInputs |= node->batched; });
  if (ofInputs) {
    diagnostics.error(range, "the kernel of a convolution depends on an input; it may "
                             "depend on weights, indices and the length");
    return std::nullopt;
  }

  const Axis axis = indexAxis(lag);
  bool isGrowing = isRunTimeExtent(axis.size);
  if (parts.reversed) {
    int64_t scale = axis.size == kTwoSidedExtent ? 2 : isGrowing ? 1 : 0;
    parts.firstScale -= scale;
    parts.first -= isGrowing ? -1 : axis.size - 1;
  }
  bool isLong = isGrowing || axis.size > ssm::ConvOp::kShortLags;
  TermRef kernel = parts.kernel;
  if (isLong || parts.reversed)
    kernel = kernelTensor(kernel, lag, parts.reversed);
  else if (kernel->kind != Term::Element)
    kernel = materializeTerm(kernel);
  bool looksAhead = parts.firstScale < 0 || (parts.firstScale == 0 && parts.first < 0);
  reversed |= looksAhead;

  // Dimensions: batch, time, lanes, lag.
  llvm::SmallVector<IndexId> lanes, others;
  for (unsigned id : body->indices.set_bits())
    if (id != lag && id != parts.time)
      (indexAxis(id).sequence ? others : lanes).push_back(id);
  llvm::sort(others, [&](IndexId a, IndexId b) {
    return indexAxis(a).size < indexAxis(b).size;
  });
  TermRef input = sequences.size() < 2 ? parts.input
                                       : elementOfRows(parts.input, parts.time, others);
  unsigned numDims = 3 + lanes.size();
  llvm::DenseMap<AffineExpr, AffineExpr> rename;
  rename[dim(parts.time)] = getAffineDimExpr(1, &context);
  for (auto [i, id] : llvm::enumerate(lanes))
    rename[dim(id)] = getAffineDimExpr(2 + i, &context);
  rename[dim(lag)] = getAffineDimExpr(numDims - 1, &context);
  llvm::SmallVector<AffineExpr> inputExprs = {getAffineDimExpr(0, &context),
                                              getAffineDimExpr(1, &context)};
  // The tokens kept: those the kernel reaches back to, or all of the sequence.
  int64_t reach = parts.first + axis.size - 1;
  llvm::SmallVector<int64_t> historySizes = {isGrowing ? kLagExtent : reach};
  auto inputType = llvm::cast<RankedTensorType>(input->tensor.getType());
  for (auto [i, at] : llvm::enumerate(llvm::drop_begin(input->at))) {
    inputExprs.push_back(at.replace(rename));
    historySizes.push_back(inputType.getDimSize(i + 2));
  }
  llvm::SmallVector<AffineExpr> kernelExprs, outputExprs;
  for (AffineExpr at : kernel->at)
    kernelExprs.push_back(at.replace(rename));
  for (unsigned d = 0; d < numDims - 1; ++d)
    outputExprs.push_back(getAffineDimExpr(d, &context));
  llvm::SmallVector<int64_t> outputSizes = {indexAxis(parts.time).size};
  for (IndexId id : lanes)
    outputSizes.push_back(indexAxis(id).size);
  Value init = emptyRows(others, outputSizes, scalarType);
  llvm::SmallVector<Value> outs = {init};
  llvm::SmallVector<Type> types = {init.getType()};
  Value history, place, first;
  unsigned slot = ~0u;
  if (!looksAhead && (isGrowing || reach > 0) && keepsStates()) {
    slot = states.size();
    addState(uniqueState("history"), historySizes, inputType.getElementType(), history);
    outs.push_back(history);
    types.push_back(history.getType());
    if (isLong)
      place = position;
  }
  if (parts.firstScale != 0)
    first = preparedLength(parts.firstScale, parts.first);
  Value cut = cutOfRows(scope, parts.time, others);
  auto conv = ssm::ConvOp::create(
      builder, loc, types, input->tensor, kernel->tensor, history, place, cut,
      ValueRange(), first, /*spectrum=*/Value(), /*roots=*/Value(), outs,
      AffineMapAttr::get(AffineMap::get(numDims, 0, inputExprs, &context)),
      AffineMapAttr::get(AffineMap::get(numDims, 0, kernelExprs, &context)),
      builder.getAffineMapArrayAttr({}),
      AffineMapAttr::get(AffineMap::get(numDims, 0, outputExprs, &context)),
      builder.getI64IntegerAttr(isGrowing ? ShapedType::kDynamic : axis.size),
      builder.getI64IntegerAttr(first ? 0 : parts.first),
      /*spectrum_lane=*/IntegerAttr(), /*shortest_fft=*/IntegerAttr());
  {
    OpBuilder::InsertionGuard guard(builder);
    Block *block = builder.createBlock(&conv.getEpilogue(), {}, scalarType, loc);
    ssm::YieldOp::create(builder, loc, block->getArguments());
  }
  noteSequence(conv, indexAxis(parts.time));
  if (history)
    setState(slot, conv.getResult(1));
  llvm::SmallVector<AffineExpr> at;
  for (IndexId id : others)
    at.push_back(dim(id));
  at.push_back(dim(parts.time));
  for (IndexId id : lanes)
    at.push_back(dim(id));
  return ssmc::real(
      element(unfoldRows(conv.getResult(0), others), at, true, false, false));
}
