//===- PrepareSpectra.cpp - Transforms of long kernels --------------------===//
//
// ssm-prepare-spectra: gives every convolution with a long kernel that weights
// determine the transforms of that kernel, and memory for those of its input; one
// that carries a history also what makes it relaxed, as states beside the history.
//
//===----------------------------------------------------------------------===//

#include "PreparedValues.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "ssm/IR/SSM.h"
#include "ssm/IR/SpectrumBlocks.h"
#include "ssm/Transforms/Passes.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_PREPARESPECTRAPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;
using namespace mlir::ssm;

static remark::RemarkOpts remarkNamed(StringRef name) {
  return remark::RemarkOpts::name(name).category("ssm-prepare-spectra");
}

/// The dimension of the iteration space that is last in input, output and
/// memory, by which vectors are loaded, if the kernel has it.
static std::optional<unsigned> getLaneDim(ConvOp conv) {
  auto last = dyn_cast<AffineDimExpr>(conv.getOutputMap().getResults().back());
  if (!last || last.getPosition() < 2 ||
      conv.getInputMap().getResults().back() != last)
    return std::nullopt;
  return last.getPosition();
}

/// Extents of the output but for batch and tokens.
static ArrayRef<int64_t> getElementShape(ConvOp conv) {
  return cast<RankedTensorType>(conv.getOutput().getType())
      .getShape()
      .drop_front(2);
}

static std::string reasonAgainst(ConvOp conv, const PreparedValues &prepared) {
  if (conv.getCut())
    return "documents start inside of the sequence";
  if (!prepared.contains(conv.getKernel()))
    return "the kernel is not known before the input is";
  std::optional<unsigned> lane = getLaneDim(conv);
  AffineMap map = conv.getKernelMap();
  if (!lane || !map.isFunctionOfDim(*lane))
    return "no channel of the kernel is the last dimension of input and output";
  for (AffineExpr expr : map.getResults())
    if (auto dim = dyn_cast<AffineDimExpr>(expr); !dim || dim.getPosition() < 2)
      return "an index of the kernel is no dimension alone";
  for (int64_t axis = 0, rank = map.getNumResults(); axis < rank; ++axis)
    if (cast<RankedTensorType>(conv.getKernel().getType()).isDynamicDim(axis) &&
        axis != int64_t(*conv.getLagAxis()))
      return "the number of channels is not known";
  return "";
}

/// The same where blocks have one size, threads share them, and numbers are f32.
static std::string reasonAgainstThreads(ConvOp conv) {
  for (Value value : {conv.getInput(), conv.getKernel(), conv.getOutput()})
    if (getElementTypeOrSelf(value).isF64())
      return "numbers are f64";
  if (ShapedType::isDynamicShape(getElementShape(conv)))
    return "the number of channels is not known";
  return conv.getHistory() && !conv.getPosition() ? "the history is not a ring" : "";
}

namespace {
struct PrepareSpectraPass
    : ssm::impl::PrepareSpectraPassBase<PrepareSpectraPass> {
  using PrepareSpectraPassBase::PrepareSpectraPassBase;
  void runOnOperation() override;

private:
  void prepareSpectrum(ConvOp conv);
};

/// The state that is the history of a convolution: an argument of the function, or
/// in a loop over depth a member of one, which the loop carries.
struct HistoryState {
  BlockArgument argument;
  scf::ForOp loop;              // or null
  tensor::ExtractSliceOp slice; // of the loop's argument, or null
};
} // namespace

/// The history's state, or nothing where it is none that calls pass on.
static std::optional<HistoryState> getHistoryState(ConvOp conv) {
  if (!conv.getHistory() || conv.getFinalHistory() != conv.getHistory())
    return std::nullopt;
  HistoryState state;
  Value whole = conv.getHistory();
  if (auto slice = whole.getDefiningOp<tensor::ExtractSliceOp>()) {
    auto carried = dyn_cast<BlockArgument>(slice.getSource());
    state.slice = slice;
    state.loop = carried ? dyn_cast<scf::ForOp>(carried.getOwner()->getParentOp())
                         : scf::ForOp();
    if (!state.loop || carried == state.loop.getInductionVar() ||
        conv->getParentOp() != state.loop)
      return std::nullopt;
    whole = state.loop.getTiedLoopInit(carried)->get();
  }
  state.argument = dyn_cast<BlockArgument>(whole);
  auto function = conv->getParentOfType<func::FuncOp>();
  if (!state.argument || state.argument.getOwner() != &function.front() ||
      !function.getArgAttr(state.argument.getArgNumber(), kStateAttr))
    return std::nullopt;
  return state;
}

namespace {
/// States for later calls alone, beside the history of a convolution: in a loop over
/// depth one of each kind for every trip.
class LaterStates {
public:
  struct Kind {
    StringRef suffix; ///< of the name, after that of the history
    Type element;
    SmallVector<int64_t> shape; ///< after the batch
  };

  LaterStates(ConvOp conv, const HistoryState &history)
      : function(conv->getParentOfType<func::FuncOp>()), loc(conv.getLoc()),
        loop(history.loop), history(history) {}
  /// Adds them as arguments; their values where the convolution is.
  SmallVector<Value> add(ArrayRef<Kind> kinds);
  /// What they are afterwards.
  void update(ValueRange values);

private:
  Value addArgument(const Kind &kind);

  func::FuncOp function;
  Location loc;
  scf::ForOp loop; // or null
  HistoryState history;
  SmallVector<tensor::ExtractSliceOp> slices; // in a loop
};
} // namespace

Value LaterStates::addArgument(const Kind &kind) {
  Builder builder(function.getContext());
  unsigned number = history.argument.getArgNumber();
  auto name = function.getArgAttrOfType<StringAttr>(number, kStateAttr);
  SmallVector<int64_t> extents, dims;
  if (loop)
    extents.push_back(
        cast<RankedTensorType>(history.argument.getType()).getDimSize(0));
  dims = extents;
  extents.push_back(ShapedType::kDynamic);
  dims.push_back(kBatchCode);
  for (int64_t extent : kind.shape) {
    extents.push_back(extent);
    dims.push_back(ShapedType::isDynamic(extent) ? kLengthCode : extent);
  }
  unsigned at = function.getNumArguments();
  (void)function.insertArgument(
      at, RankedTensorType::get(extents, kind.element),
      builder.getDictionaryAttr(
          {builder.getNamedAttr(
               kStateAttr, builder.getStringAttr(name.getValue() + kind.suffix)),
           builder.getNamedAttr(kDimsAttr, builder.getDenseI64ArrayAttr(dims)),
           builder.getNamedAttr(kLaterAttr, builder.getUnitAttr())}),
      loc);
  return function.getArgument(at);
}

SmallVector<Value> LaterStates::add(ArrayRef<Kind> kinds) {
  SmallVector<Value> states;
  for (const Kind &kind : kinds)
    states.push_back(addArgument(kind));
  if (!loop)
    return states;
  IRRewriter rewriter(function.getContext());
  loop = cast<scf::ForOp>(
      loop.replaceWithAdditionalYields(
              rewriter, states, /*replaceInitOperandUsesInLoop=*/false,
              [](OpBuilder &, Location, ArrayRef<BlockArgument> added) {
                return SmallVector<Value>(added.begin(), added.end());
              })
          ->getOperation());
  // The members of this trip, with the offsets of the history's.
  rewriter.setInsertionPoint(history.slice);
  SmallVector<OpFoldResult> from = history.slice.getMixedSizes();
  for (auto [kind, whole] :
       llvm::zip(kinds, loop.getRegionIterArgs().take_back(kinds.size()))) {
    size_t rank = kind.shape.size() + 2;
    SmallVector<OpFoldResult> offsets(rank, rewriter.getIndexAttr(0)),
        strides(rank, rewriter.getIndexAttr(1)),
        sizes = {rewriter.getIndexAttr(1), from[1]};
    offsets[0] = history.slice.getMixedOffsets()[0];
    for (int64_t extent : kind.shape)
      sizes.push_back(ShapedType::isDynamic(extent)
                          ? from[2]
                          : OpFoldResult(rewriter.getIndexAttr(extent)));
    SmallVector<int64_t> extents(1, ShapedType::kDynamic);
    extents.append(kind.shape);
    slices.push_back(tensor::ExtractSliceOp::create(
        rewriter, loc, RankedTensorType::get(extents, kind.element), whole,
        offsets, sizes, strides));
  }
  return SmallVector<Value>(slices.begin(), slices.end());
}

void LaterStates::update(ValueRange values) {
  SmallVector<Value> results(values);
  if (loop) {
    auto yield = cast<scf::YieldOp>(loop.getBody()->getTerminator());
    OpBuilder builder(yield);
    for (auto [slice, value] : llvm::zip(slices, values)) {
      Value inserted = tensor::InsertSliceOp::create(
          builder, loc, value, slice.getSource(), slice.getMixedOffsets(),
          slice.getMixedSizes(), slice.getMixedStrides());
      auto whole = cast<BlockArgument>(slice.getSource());
      loop.getTiedLoopYieldedValue(whole)->set(inserted);
    }
    results = llvm::to_vector(
        llvm::map_range(loop.getResults().take_back(values.size()),
                        [](OpResult result) -> Value { return result; }));
  }
  auto terminator = cast<func::ReturnOp>(function.front().getTerminator());
  unsigned argument = function.getNumArguments() - results.size();
  for (Value result : results) {
    terminator.getOperandsMutable().append(result);
    Attribute name = function.getArgAttr(argument++, kStateAttr);
    (void)function.insertResult(
        function.getNumResults(), result.getType(),
        DictionaryAttr::get(function.getContext(),
                            NamedAttribute(StringAttr::get(function.getContext(),
                                                           kStateAttr),
                                           name)));
  }
}

/// Why each token adds up all taps, or nothing.
static std::string reasonAgainstRelaxed(ConvOp conv) {
  auto first = static_cast<int64_t>(conv.getStaticFirst());
  if (!conv.getPosition() || conv.getFirst() || first < 0)
    return "the kernel looks ahead";
  if (first >= kFirstBlock)
    return "the kernel begins far back";
  if (ShapedType::isDynamicShape(getElementShape(conv)))
    return "the number of channels is not known";
  std::optional<int64_t> reach = conv.getReach();
  if (reach && *reach < kRelaxedReach)
    return "the kernel is short";
  if (reach && static_cast<int64_t>(conv.getLags()) > kMaxSpectrumLags)
    return "the kernel is longer than the largest blocks";
  return "";
}

void PrepareSpectraPass::prepareSpectrum(ConvOp conv) {
  OpBuilder builder(conv);
  Location loc = conv.getLoc();
  auto kernelType = cast<RankedTensorType>(conv.getKernel().getType());
  Type element = getElementTypeOrSelf(conv.getOutput());
  if (element.getIntOrFloatBitWidth() < 32)
    element = builder.getF32Type();
  int64_t width = block > 0 ? 1 : vectorBits / element.getIntOrFloatBitWidth();
  unsigned laneDim = *getLaneDim(conv), lagAxis = *conv.getLagAxis();
  unsigned laneAxis = 0;
  SmallVector<OpFoldResult> sizes;
  for (auto [axis, expr] : llvm::enumerate(conv.getKernelMap().getResults())) {
    if (expr == builder.getAffineDimExpr(laneDim))
      laneAxis = axis;
    else if (axis != lagAxis)
      sizes.push_back(builder.getIndexAttr(kernelType.getDimSize(axis)));
  }
  int64_t tiles = llvm::divideCeil(kernelType.getDimSize(laneAxis), width);
  sizes.push_back(builder.getIndexAttr(tiles));

  // Where the number of lags is known when `prepare` runs, the extents are
  // bounds: they grow in proportion to it, what is needed in steps.
  PreparedExtent lags = *getPreparedExtent(conv.getKernel(), lagAxis);
  int64_t first = conv.getStaticFirst();
  OpFoldResult places, numRoots;
  if (lags.scale == 0 && !conv.getFirst()) {
    places = builder.getIndexAttr(block > 0
                                      ? getPlacesOfSize(block, lags.offset, first)
                                      : getSpectrumPlaces(lags.offset, first));
    numRoots = builder.getIndexAttr(block > 0 ? block : getLargestBlock(lags.offset));
  } else if (block > 0) {
    // Lags that begin anywhere reach into two pieces besides, then comes one more.
    places = emitExtent(builder, loc, {lags.scale, lags.offset + 3 * block},
                        getPreparedLength(getOperation()));
    numRoots = builder.getIndexAttr(block);
  } else {
    Value length = getPreparedLength(getOperation());
    bool isCausal = !conv.getFirst() && first == 0;
    int64_t scale = isCausal ? 4 : 5;
    places = emitExtent(builder, loc,
                        {scale * lags.scale,
                         scale * lags.offset + 4 * kFirstBlock},
                        length);
    numRoots = emitExtent(builder, loc,
                          {lags.scale, lags.offset + kFirstBlock}, length);
  }
  sizes.append({places, builder.getIndexAttr(2), builder.getIndexAttr(width)});
  Value rootsInit = tensor::EmptyOp::create(
      builder, loc, {numRoots, builder.getIndexAttr(2)}, element);
  Value roots =
      RootsOp::create(builder, loc, rootsInit.getType(), rootsInit).getResult(0);
  IntegerAttr blockAttr, threadsAttr;
  if (block > 0) {
    blockAttr = builder.getI64IntegerAttr(block);
    threadsAttr = builder.getI64IntegerAttr(threads);
  }
  Value spectrumInit = tensor::EmptyOp::create(builder, loc, sizes, element);
  Value spectrum =
      SpectrumOp::create(builder, loc, spectrumInit.getType(), conv.getKernel(),
                         roots, conv.getFirst(), spectrumInit,
                         builder.getI64IntegerAttr(lagAxis),
                         builder.getI64IntegerAttr(laneAxis),
                         builder.getI64IntegerAttr(first), blockAttr, threadsAttr)
          .getResult(0);
  bool looksAhead = conv.getFirst() || first < 0 || first >= block;
  int64_t memoryOfToken =
      block > 0 ? getNumbersOfToken(looksAhead) *
                      ShapedType::getNumElements(getElementShape(conv))
                : 4 * tiles * width;
  SmallVector<OpFoldResult> memory = {
      tensor::getMixedSize(builder, loc, conv.getOutput(), 0),
      tensor::getMixedSize(builder, loc, conv.getOutput(), 1),
      builder.getIndexAttr(memoryOfToken)};
  SmallVector<Value> outs(conv.getOuts());
  outs.push_back(tensor::EmptyOp::create(builder, loc, memory, element));
  std::optional<HistoryState> history = getHistoryState(conv);
  std::optional<LaterStates> later;
  if (block == 0 && history && reasonAgainstRelaxed(conv).empty()) {
    later.emplace(conv, *history);
    // Output channels besides the lanes have sums of their own.
    int64_t row = 2 * width * tiles;
    for (int64_t extent : getElementShape(conv))
      row *= extent;
    row /= kernelType.getDimSize(laneAxis);
    SmallVector<int64_t> shape = {ShapedType::kDynamic, kRelaxedPlacesPerToken * row};
    if (!conv.hasDynamicLags())
      shape = {getRelaxedPlaces(static_cast<int64_t>(conv.getLags()), first), row};
    outs.append(later->add({{".sums", element, shape},
                            {".sums_position", builder.getI64Type(), {}}}));
    builder.setInsertionPoint(conv); // which may be in another block now
  }
  auto widened = ConvOp::create(
      builder, loc, ValueRange(outs).getTypes(), conv.getInput(),
      conv.getKernel(), conv.getHistory(), conv.getPosition(), conv.getCut(),
      conv.getEpilogueIns(), conv.getFirst(), spectrum, roots, outs,
      conv.getInputMapAttr(), conv.getKernelMapAttr(),
      conv.getEpilogueMapsAttr(), conv.getOutputMapAttr(), conv.getLagsAttr(),
      conv.getStaticFirstAttr(), builder.getI64IntegerAttr(laneDim),
      conv.getShortestFftAttr(),
      later ? builder.getUnitAttr() : UnitAttr());
  widened->setDiscardableAttrs(conv->getDiscardableAttrDictionary());
  widened.getEpilogue().takeBody(conv.getEpilogue());
  conv->replaceAllUsesWith(
      widened.getResults().take_front(conv->getNumResults()));
  conv.erase();
  if (later)
    later->update(widened.getResults().take_back(2));
  remark::passed(loc, remarkNamed("Spectrum"))
      << remark::metric("tiles", tiles) << remark::metric("width", width)
      << remark::metric("relaxed", later ? "yes" : "no");
}

void PrepareSpectraPass::runOnOperation() {
  PreparedValues prepared(getOperation());
  SmallVector<ConvOp> convs;
  getOperation().walk([&](ConvOp conv) {
    if (!conv.isLong() || !conv.getShortestFft() || conv.getSpectrum())
      return;
    std::string reason = reasonAgainst(conv, prepared);
    if (reason.empty() && block > 0)
      reason = reasonAgainstThreads(conv);
    if (reason.empty())
      convs.push_back(conv);
    else
      remark::missed(conv.getLoc(), remarkNamed("NoSpectrum"))
          << remark::reason("{0}", reason);
  });
  for (ConvOp conv : convs)
    prepareSpectrum(conv);
}
